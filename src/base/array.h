/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * array.h - arrays that grow.
 *
 * The owner keeps a pointer, the number of elements in use and the number that there is room for.
 * Room doubles, so that n elements cost at most 2 n copies in all. What the room gains is not
 * initialized. On failure the array is as it was: nothing that is in it is lost.
 */
#ifndef DAXKV_ARRAY_H
#define DAXKV_ARRAY_H

#include "base/base.h"

#include <stddef.h>

#define ARRAY_FIRST 64u /* elements of the first allocation */

/* array_grow - twice the room, or the first, but at least room for element n. See array_room. */
int array_grow(void *array, size_t n, size_t *room, size_t size);

/* array_room - have room for element n, elements being of size bytes. array is the address of the
 * pointer to them, *room what there is room for. 0, or ENOMEM with a text. */
static inline int array_room(void *array, size_t n, size_t *room, size_t size)
{
	if (LIKELY(n < *room))
		return 0;
	return array_grow(array, n, room, size);
}

#endif
