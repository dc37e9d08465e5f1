/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * multiple.c - values of one size in one array. LMDB gives the page of its own that the value lies
 * on, all of it, and a store has no such pages. So the values of a key are thought to lie on pages:
 * the first page begins with the first value, a later one where the cursor comes to it. They are
 * gathered in memory of the cursor's, which is good until its next such call. After that it stands
 * on the last of them.
 */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_HEAD 16u /* of a page of LMDB */

/* per_page - values of that size on a page. */
static size_t per_page(size_t size)
{
	return size && size < PAGE_SIZE - PAGE_HEAD ? (PAGE_SIZE - PAGE_HEAD) / size : 1;
}

/* walk - up to n values that way, among those of the key; *went has how many there were. */
static int multiple_walk(MDB_cursor *c, enum daxkv_cursor_op op, size_t n, size_t *went)
{
	int rc = 0;

	for (*went = 0; *went < n && (rc = cursor_store_get(c, NULL, NULL, op)) == 0; ++*went)
		;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* to_page - back to the first value of the page that the cursor is on; *first: it is the key's
 * first page. *went: how far that was. */
static int to_page(MDB_cursor *c, size_t per, size_t *went, bool *first)
{
	size_t n = c->state & CURSOR_ARRAY ? c->array - 1 : per - 1, back;
	int rc = multiple_walk(c, DAXKV_PREV_DUP, n, went);

	*first = false;
	if (!rc)
		rc = multiple_walk(c, DAXKV_PREV_DUP, 1, &back);
	if (rc)
		return rc;
	*first = !back;
	if (back)
		rc = multiple_walk(c, DAXKV_NEXT_DUP, 1, &back);
	if (!rc && !*first && !(c->state & CURSOR_ARRAY)) {
		rc = multiple_walk(c, DAXKV_NEXT_DUP, *went, &back);
		*went = 0;
	}
	return rc;
}

/* gather - the value under the cursor and up to n - 1 that follow it. */
static int multiple_gather(MDB_cursor *c, size_t n, MDB_val *data)
{
	MDB_val value = {0, NULL};
	size_t got = 1;
	int rc = cursor_store_get(c, NULL, &value, DAXKV_GET_CURRENT);

	if (rc)
		return rc;
	if (!c->page && !(c->page = aligned_alloc(64, PAGE_SIZE)))
		return ENOMEM;
	if (value.mv_size)
		rc = txn_result(c->txn,
		                daxkv_cursor_get_values(c->inner, n, value.mv_size, c->page, &got));
	if (rc)
		return rc;
	c->array = got;
	c->state &= CURSOR_SET | CURSOR_EOF | CURSOR_MOVED | CURSOR_DUP_MOVED;
	c->state |= CURSOR_ARRAY;
	*data = (MDB_val){got * value.mv_size, c->page};
	return 0;
}

/* value_size - of the value under the cursor. */
static int value_size(MDB_cursor *c, size_t *size)
{
	MDB_val value = {0, NULL};
	int rc = cursor_store_get(c, NULL, &value, DAXKV_GET_CURRENT);

	*size = value.mv_size;
	return rc;
}

/* page_here - the page that the cursor is on. */
static int page_here(MDB_cursor *c, MDB_val *data)
{
	size_t size, went;
	bool first;
	int rc = value_size(c, &size);

	if (!rc)
		rc = to_page(c, per_page(size), &went, &first);
	return rc ? rc : multiple_gather(c, per_page(size), data);
}

/* page_before - the page before the one that the cursor is on. MDB_NOTFOUND: it is on the first,
 * and stays where it is. */
static int page_before(MDB_cursor *c, MDB_val *data)
{
	size_t size, went, back;
	bool first;
	int rc = value_size(c, &size);

	if (!rc)
		rc = to_page(c, per_page(size), &went, &first);
	if (rc)
		return rc;
	if (first) {
		rc = multiple_walk(c, DAXKV_NEXT_DUP, went, &back);
		return rc ? rc : MDB_NOTFOUND;
	}
	rc = multiple_walk(c, DAXKV_PREV_DUP, per_page(size), &back);
	return rc ? rc : multiple_gather(c, back, data);
}

/* at_last - whether the cursor knows that it is at the key's last value, or behind what was that:
 * LMDB gives no array then. */
static int at_last(MDB_cursor *c, bool *last)
{
	size_t went;
	int rc;

	*last = c->state & CURSOR_DUP_EOF && c->state & CURSOR_DUP_END;
	if (*last || !(c->state & CURSOR_DUP_EOF))
		return 0;
	rc = multiple_walk(c, DAXKV_NEXT_DUP, 1, &went);
	*last = !went;
	return rc || !went ? rc : multiple_walk(c, DAXKV_PREV_DUP, 1, &went);
}

/* get_here - GET_MULTIPLE. Where there is no array it is a success, and data stays as it is. */
static int get_here(MDB_cursor *c, MDB_val *data)
{
	bool several = false, last = false;
	int rc = 0;

	if (!(c->state & (CURSOR_END | CURSOR_DUP_NONE)))
		rc = cursor_several(c, &several);
	if (!rc && several)
		rc = at_last(c, &last);
	return rc || !several || last ? rc : page_here(c, data);
}

/* get_next - NEXT_MULTIPLE: the page that the next value lies on. A page behind one that was given
 * begins with that value. */
static int get_next(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	bool given = c->state & CURSOR_ARRAY, several = c->state & CURSOR_SET;
	size_t size;
	int rc;

	c->state &= ~(unsigned int)CURSOR_ARRAY;
	rc = cursor_next(c, key, data, MDB_NEXT_DUP);
	if (!rc && !several)
		rc = cursor_several(c, &several);
	if (rc)
		return rc;
	if (!several)
		return MDB_NOTFOUND;
	if (!given)
		return page_here(c, data);
	rc = value_size(c, &size);
	return rc ? rc : multiple_gather(c, per_page(size), data);
}

/* get_before - PREV_MULTIPLE: the page before the one that the cursor is on. */
static int get_before(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	bool several = false;
	int rc = c->state & CURSOR_SET ? 0 : cursor_last(c, key, data);

	if (!rc && !(c->state & (CURSOR_END | CURSOR_DUP_NONE)))
		rc = cursor_several(c, &several);
	if (rc)
		return rc;
	return several ? page_before(c, data) : MDB_NOTFOUND;
}

int multiple_get(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	if (!data || (op == MDB_GET_MULTIPLE && !(c->state & CURSOR_SET)))
		return EINVAL;
	if (!(c->handle->flags & MDB_DUPFIXED))
		return MDB_INCOMPATIBLE;
	if (op == MDB_GET_MULTIPLE)
		return get_here(c, data);
	return op == MDB_NEXT_MULTIPLE ? get_next(c, key, data) : get_before(c, key, data);
}

/* put_only - whether the key has one value, and that is *data: LMDB then writes it once more,
 * counts nothing and stops. */
static int put_only(MDB_cursor *c, const MDB_val *key, const MDB_val *data, bool *only)
{
	MDB_val k = *key, v;
	uint64_t n = 0;
	int rc = cursor_store_get(c, &k, &v, DAXKV_SEEK_GE);

	*only = false;
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc || compare_keys(c->handle, key, &k) != 0 || compare_dups(c->handle, data, &v) != 0)
		return rc;
	rc = txn_result(c->txn, daxkv_cursor_count(c->inner, &n));
	*only = n == 1;
	return rc;
}

int multiple_put(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags)
{
	const unsigned int refusing =
	    MDB_NOOVERWRITE | MDB_NODUPDATA | MDB_APPEND | MDB_APPENDDUP | MDB_CURRENT;
	size_t wanted = data[1].mv_size, done = 0;
	unsigned int eof = 0;
	bool only = false;
	int rc = 0;

	data[1].mv_size = 0;
	flags &= ~(unsigned int)MDB_MULTIPLE;
	if (!(flags & refusing) && wanted && key->mv_size)
		rc = put_only(c, key, data, &only);
	while (!rc && done < wanted) {
		MDB_val v = data[0];

		rc = layer_cursor_put(c, key, &v, flags);
		if (done)
			c->state |= eof; /* the key was looked for once */
		else
			eof = c->state & CURSOR_EOF;
		if (rc || only)
			break;
		flags &= ~(unsigned int)(MDB_NOOVERWRITE |
		                         MDB_APPEND); /* the key's own, which it has from here on */
		data[1].mv_size = ++done;
		if (done < wanted)
			data[0].mv_data = (char *)data[0].mv_data + data[0].mv_size;
	}
	return rc;
}
