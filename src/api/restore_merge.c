/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restore_merge.c - between OPEN and CLOSE the entries that are there and those that are put are
 * merged: what is not put goes. See restore_apply.h
 *
 *   in the store    b  c  d     f  h       cursor: the next entry that was there
 *   records      OPEN a   PUT c  PUT e   CLOSE h
 *   afterwards         c  e  h             b, d and f were not put, and go
 *
 * Commits may come in between, because nobody else sees the store: after one the merge goes on
 * behind the last entry that was put.
 */
#include "api/restore_apply.h"

/* answered - whether there is an entry, of a cursor's result. NOT_FOUND is the end of the database,
 * not a failure. */
static int answered(struct apply *a, int rc)
{
	a->past = rc == DAXKV_NOT_FOUND;
	if (a->past)
		return 0;
	return rc;
}

static int step(struct apply *a, enum daxkv_cursor_op op)
{
	return answered(a, daxkv_cursor_get(a->cursor, NULL, NULL, op));
}

/* seek_pair - the cursor on the first entry behind the pair from, as far as its key goes; *done
 * false: the key has no such value. */
static int seek_pair(struct apply *a, bool *done)
{
	const struct daxkv_val dup = apply_val(&a->from_dup);
	struct daxkv_val key = apply_val(&a->from_key);
	struct daxkv_val value = dup;
	int rc = daxkv_cursor_get(a->cursor, &key, &value, DAXKV_SEEK_PAIR_GE);

	*done = rc != DAXKV_NOT_FOUND;
	if (!*done)
		return 0;
	if (!rc && daxkv_db_dup_compare(a->txn, a->db, &value, &dup) == 0)
		return step(a, DAXKV_NEXT);
	return answered(a, rc);
}

/* seek_after - the cursor on the first entry behind from. After a commit this is how the merge
 * finds back. */
static int seek_after(struct apply *a)
{
	const struct daxkv_val from = apply_val(&a->from_key);
	struct daxkv_val key = from;
	struct daxkv_val value;
	bool done = false;
	int rc = 0;

	if (!a->from_some)
		return step(a, DAXKV_FIRST);
	if (a->dups)
		rc = seek_pair(a, &done);
	if (rc)
		return rc;
	if (done)
		return 0;
	rc = answered(a, daxkv_cursor_get(a->cursor, &key, &value, DAXKV_SEEK_GE));
	if (rc)
		return rc;
	if (a->past)
		return 0;
	if (daxkv_db_compare(a->txn, a->db, &key, &from) != 0)
		return 0;
	return step(a, DAXKV_NEXT_KEY);
}

int merge_begin(struct apply *a)
{
	assert(!a->cursor);
	int rc = daxkv_cursor_open(a->txn, a->db, &a->cursor);

	if (rc)
		return rc;
	a->open = true;
	return seek_after(a);
}

void merge_end(struct apply *a)
{
	daxkv_cursor_close(a->cursor);
	a->cursor = NULL;
	a->open = false;
}

/* merge_remove - the entry under the cursor goes; a database's name stays. The cursor then is on
 * the entry that followed. */
static int merge_remove(struct apply *a, size_t bytes)
{
	assert(a->cursor);
	assert(!a->past);
	int rc = daxkv_cursor_del(a->cursor, 0);

	a->uncommitted += bytes;
	if (rc == DAXKV_INCOMPATIBLE && a->main)
		return step(a, DAXKV_NEXT);
	if (rc)
		return rc;
	return step(a, DAXKV_GET_CURRENT);
}

/* place_compare - the entry with the place; key NULL: every entry is before it. */
static int place_compare(const struct apply *a, const struct daxkv_val *k,
                         const struct daxkv_val *v, const struct daxkv_val *key,
                         const struct daxkv_val *dup)
{
	if (!key)
		return -1;
	int c = daxkv_db_compare(a->txn, a->db, k, key);

	if (c || !a->dups)
		return c;
	return daxkv_db_dup_compare(a->txn, a->db, v, dup);
}

/* The cursor stays on the entry at the place, or on the first behind it. */
int merge_upto(struct apply *a, const struct daxkv_val *key, const struct daxkv_val *dup,
               bool *found, struct daxkv_val *at)
{
	*found = false;
	while (!a->past) {
		struct daxkv_val k;
		int rc = answered(a, daxkv_cursor_get(a->cursor, &k, at, DAXKV_GET_CURRENT));

		if (rc)
			return rc;
		if (a->past)
			return 0;
		int c = place_compare(a, &k, at, key, dup);

		*found = c == 0;
		if (c >= 0)
			return 0;
		rc = merge_remove(a, k.size + at->size);
		if (rc)
			return rc;
	}
	return 0;
}

/* same - whether the entry that is there has the value that is put. */
static bool same(const struct daxkv_val *at, const struct daxkv_val *value)
{
	if (at->size != value->size)
		return false;
	if (at->size == 0)
		return true;
	return memcmp(at->data, value->data, at->size) == 0;
}

/* An entry that is there as it is put stays untouched. The cursor goes on behind it, and the key is
 * kept for after a commit. */
int merge_put(struct apply *a)
{
	assert(a->open);
	assert(a->cursor);
	const struct daxkv_val key = apply_val(&a->key);
	struct daxkv_val value = apply_val(&a->value);
	struct daxkv_val at;
	bool found;
	int rc = merge_upto(a, &key, &value, &found, &at);

	if (rc)
		return rc;
	if (!found || !same(&at, &value)) {
		a->uncommitted += key.size + value.size;
		rc = daxkv_put(a->txn, a->db, &key, &value, 0);
		if (rc)
			return rc;
	}
	if (found)
		rc = step(a, DAXKV_NEXT);
	if (rc)
		return rc;
	a->from_some = true;
	rc = apply_keep(&a->from_key, key.data, key.size);
	if (rc)
		return rc;
	if (!a->dups)
		return 0;
	return apply_keep(&a->from_dup, value.data, value.size);
}
