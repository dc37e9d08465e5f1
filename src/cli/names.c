/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * names.c - see names.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "names.h"

static int names_compare(const void *a, const void *b)
{
	return bytes_cmp(a, b);
}

/* append - copy name to the list's end; room is the number of names that fit. */
static bool append(struct names *names, size_t *room, const struct daxkv_val *name)
{
	void *copy;

	if (names->count == *room) {
		size_t more = *room == 0 ? 16 : 2 * *room;
		struct daxkv_val *list = realloc(names->name, more * sizeof *list);
		if (list == NULL)
			return false;
		names->name = list;
		*room = more;
	}
	copy = malloc(name->size);
	if (copy == NULL)
		return false;
	memcpy(copy, name->data, name->size);
	names->name[names->count++] = (struct daxkv_val){name->size, copy};
	return true;
}

int names_read(const struct call *call, struct names *names)
{
	struct daxkv_val name = {0, NULL};
	size_t room = 0;
	int err;

	*names = (struct names){NULL, 0};
	while ((err = daxkv_db_list_next(call->txn, &name)) == 0) {
		if (!append(names, &room, &name))
			return call_fail_sys(call, ENOMEM, "cannot list the databases");
	}
	if (err != DAXKV_NOT_FOUND)
		return call_fail(call, err, "cannot list the databases");
	if (names->count > 0)
		qsort(names->name, names->count, sizeof *names->name, names_compare);
	return EXIT_OK;
}

void names_free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->name[i].data);
	free(names->name);
	*names = (struct names){NULL, 0};
}

bool names_has(const struct names *names, const struct daxkv_val *key)
{
	return names->count > 0 &&
	       bsearch(key, names->name, names->count, sizeof *names->name, names_compare) != NULL;
}
