/* SPDX-License-Identifier: BSD-3-Clause */
/* array.c - see array.h */
#include "base/array.h"

#include "base/err.h"

#include <stdlib.h>

/* Twice the room, or ARRAY_FIRST elements. */
int array_grow(void *array, size_t *room, size_t size)
{
	void **elements = array;
	size_t more = ARRAY_FIRST;

	assert((*elements == NULL) == (*room == 0));
	if (*room)
		more = 2 * *room;
	void *moved = realloc(*elements, more * size);

	if (!moved)
		return err_set(ENOMEM, "no memory for %zu elements of %zu bytes", more, size);
	*elements = moved;
	*room = more;
	return 0;
}
