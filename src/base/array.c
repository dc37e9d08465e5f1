/* SPDX-License-Identifier: BSD-3-Clause */
/* array.c - see array.h */
#include "base/array.h"

#include "base/err.h"

#include <stdlib.h>

/* Element n lies far behind the room when the caller wants many elements at once. */
int array_grow(void *array, size_t n, size_t *room, size_t size)
{
	void **elements = array;
	size_t more = ARRAY_FIRST;

	assert((*elements == NULL) == (*room == 0));
	assert(n >= *room);
	if (*room)
		more = 2 * *room;
	if (more <= n)
		more = n + 1;
	void *moved = realloc(*elements, more * size);

	if (!moved)
		return err_set(ENOMEM, "no memory for %zu elements of %zu bytes", more, size);
	*elements = moved;
	*room = more;
	return 0;
}
