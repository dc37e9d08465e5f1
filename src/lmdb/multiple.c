/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * multiple.c - values of one size in one array. LMDB has such arrays in its pages; a store has not, so they are gathered in a page of the
 * cursor's own, which is good until the cursor's next such call. After one the cursor stands on the array's last value.
 */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_HEAD 16u /* of a page of LMDB: as many values as it has room for are given at once */

/* gather - the value under the cursor and those of its key that follow, as many as a page holds. */
static int gather(MDB_cursor *c, MDB_val *data)
{
	MDB_val value = {0, NULL};
	size_t room, n = 0;
	int rc = cursor_store_get(c, NULL, &value, DAXKV_GET_CURRENT);

	if (rc)
		return err_of(rc);
	if (!c->page && !(c->page = aligned_alloc(64, PAGE_SIZE)))
		return ENOMEM;
	size_t size = value.mv_size;

	room = size && size < PAGE_SIZE - PAGE_HEAD ? (PAGE_SIZE - PAGE_HEAD) / size : 1;
	do {
		if (size)
			memcpy(c->page + n * size, value.mv_data, size);
		n++;
	} while (n < room && (rc = cursor_store_get(c, NULL, &value, DAXKV_NEXT_DUP)) == 0);
	if (rc && rc != DAXKV_NOTFOUND)
		return err_of(rc);
	c->chunk = n;
	*data = (MDB_val){n * size, c->page};
	return 0;
}

/* back - n values back among those of the key; *went has how many there were. */
static int back(MDB_cursor *c, size_t n, size_t *went)
{
	int rc = 0;

	for (*went = 0; *went < n && (rc = cursor_store_get(c, NULL, NULL, DAXKV_PREV_DUP)) == 0; ++*went)
		;
	return rc == DAXKV_NOTFOUND ? 0 : rc;
}

/* previous - the array that ends before the one given last, or before the cursor. */
static int previous(MDB_cursor *c, MDB_val *data)
{
	MDB_val value;
	size_t went, n = c->chunk ? c->chunk - 1 : 0;
	int rc = back(c, n, &went);

	if (!rc)
		rc = cursor_store_get(c, NULL, &value, DAXKV_GET_CURRENT);
	if (rc)
		return err_of(rc);
	n = value.mv_size && value.mv_size < PAGE_SIZE - PAGE_HEAD ? (PAGE_SIZE - PAGE_HEAD) / value.mv_size : 1;
	rc = back(c, n, &went);
	if (rc || !went)
		return rc ? err_of(rc) : MDB_NOTFOUND;
	uint8_t *page = c->page ? c->page : (c->page = aligned_alloc(64, PAGE_SIZE));

	if (!page)
		return ENOMEM;
	size_t size = value.mv_size;

	for (n = 0; n < went; n++) {
		rc = cursor_store_get(c, NULL, &value, n ? DAXKV_NEXT_DUP : DAXKV_GET_CURRENT);
		if (rc)
			return err_of(rc);
		if (size)
			memcpy(page + n * size, value.mv_data, size);
	}
	c->chunk = went;
	*data = (MDB_val){went * size, page};
	return 0;
}

int multiple_get(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	enum daxkv_cursor_op first = op == MDB_PREV_MULTIPLE ? DAXKV_LAST : DAXKV_FIRST;
	int rc = 0;

	if (!data || (op == MDB_GET_MULTIPLE && c->place == PLACE_UNSET))
		return EINVAL;
	if (!(c->slot->flags & MDB_DUPFIXED))
		return MDB_INCOMPATIBLE;
	if (c->place == PLACE_END)
		return MDB_NOTFOUND;
	if (c->place == PLACE_UNSET)
		rc = cursor_store_get(c, key, NULL, first);
	else if (op == MDB_NEXT_MULTIPLE)
		rc = cursor_store_get(c, key, NULL, DAXKV_NEXT_DUP);
	if (rc)
		return err_of(rc);
	c->place = PLACE_SET;
	return op == MDB_PREV_MULTIPLE ? previous(c, data) : gather(c, data);
}

int multiple_put(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags)
{
	size_t wanted = data[1].mv_size, done = 0;
	int rc = 0;

	data[1].mv_size = 0;
	for (; done < wanted && !rc; done += !rc) {
		struct daxkv_val v = {data[0].mv_size, (char *)data[0].mv_data + done * data[0].mv_size};

		rc = daxkv_cursor_put(c->kv, val_of(key), &v, flags & ~(unsigned int)MDB_MULTIPLE);
		if (!rc || rc == DAXKV_EXIST)
			c->place = PLACE_SET;
	}
	data[1].mv_size = done;
	return txn_result(c->txn, rc);
}
