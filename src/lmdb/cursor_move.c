/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_move.c - where a cursor goes. The store's cursor keeps the place; what LMDB's one knows
 * beside it is in its state. An LMDB cursor has an index among the keys and one among the values of
 * its key. Either can lie behind the last one, and either has flags of its own: set, "at the end",
 * "moved by a deletion". So a search that finds nothing leaves it on what follows, or behind the
 * end.
 */
#include "layer.h"

#include <errno.h>
#include <string.h>

#define DUP_STATES                                                                                 \
	(CURSOR_DUP_NONE | CURSOR_DUP_EOF | CURSOR_DUP_MOVED | CURSOR_DUP_END | CURSOR_SEVERAL)

static bool has_dups(const MDB_cursor *c)
{
	return c->handle->flags & MDB_DUPSORT;
}

/* store_result - a failure of the store leaves the transaction fit for its end alone, as in LMDB:
 * an operation of several moves may have ended between two of them. */
static int store_result(MDB_cursor *c, int rc)
{
	return LIKELY(!rc || rc == DAXKV_NOT_FOUND) ? err_of(rc) : txn_result(c->txn, rc);
}

int cursor_store_get(MDB_cursor *c, MDB_val *key, MDB_val *data, enum daxkv_cursor_op op)
{
	int rc = daxkv_cursor_get(c->inner, val_of(key), val_of(data), op);

	if (UNLIKELY(rc == DAXKV_NEED_COMPARE) && !compare_provide(c->txn->inner, c->handle))
		rc = daxkv_cursor_get(c->inner, val_of(key), val_of(data), op);
	return store_result(c, rc);
}

/* peek - whether there is a value that way; the cursor stays. */
static int peek(MDB_cursor *c, enum daxkv_cursor_op there, enum daxkv_cursor_op back, bool *found)
{
	int rc = cursor_store_get(c, NULL, NULL, there);

	*found = !rc;
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	return cursor_store_get(c, NULL, NULL, back);
}

int cursor_several(MDB_cursor *c, bool *several)
{
	int answer = 0, rc;

	*several =
	    c->state & (CURSOR_DUP_NONE | CURSOR_DUP_END | CURSOR_DUP_MOVED | CURSOR_SEVERAL);
	if (*several || !has_dups(c))
		return 0;
	rc = daxkv_cursor_several(c->inner, &answer);
	if (UNLIKELY(rc == DAXKV_NEED_COMPARE) && !compare_provide(c->txn->inner, c->handle))
		rc = daxkv_cursor_several(c->inner, &answer);
	if (rc)
		return store_result(c, rc);
	*several = answer;
	return 0;
}

/* ---- steps ----------------------------------------------------------------------------------- */

int cursor_first(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	int rc = cursor_store_get(c, key, data, DAXKV_FIRST);

	if (!rc)
		c->state = CURSOR_SET;
	return rc;
}

/* came_behind - the cursor came to a key from behind. It knows that it is at the last value only of
 * a key that has several: one that has a single value may get others before it, from puts. */
static int came_behind(MDB_cursor *c, unsigned int state)
{
	bool several = true;
	int rc = 0;

	c->state = CURSOR_SET | state;
	if (has_dups(c) && !c->rdonly)
		rc = cursor_several(c, &several);
	if (several)
		c->state |= CURSOR_DUP_EOF;
	return rc;
}

int cursor_last(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	int rc = cursor_store_get(c, key, data, DAXKV_LAST);

	return rc ? rc : came_behind(c, CURSOR_EOF);
}

/* at_last_key - whether no key follows; the cursor stays. */
static int at_last_key(MDB_cursor *c, bool *last)
{
	bool dups = has_dups(c);
	MDB_val key, data;
	int rc = cursor_store_get(c, &key, dups ? &data : NULL, DAXKV_GET_CURRENT);

	*last = false;
	if (!rc)
		rc = cursor_store_get(c, NULL, NULL, DAXKV_NEXT_KEY);
	if (rc == MDB_NOTFOUND) {
		*last = true;
		return 0;
	}
	return rc ? rc
	          : cursor_store_get(c, &key, dups ? &data : NULL,
	                             dups ? DAXKV_SEEK_PAIR : DAXKV_PREV);
}

/* next_dup - to the next value of the key. */
static int next_dup(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	const unsigned int both = CURSOR_DUP_EOF | CURSOR_DUP_MOVED;
	enum daxkv_cursor_op op = DAXKV_NEXT_DUP;
	bool more = true;
	int rc = 0;

	if (c->state & CURSOR_DUP_END) {
		c->state |= CURSOR_DUP_EOF;
		return MDB_NOTFOUND;
	}
	if (c->state & CURSOR_DUP_NONE)
		op = DAXKV_FIRST_DUP;
	else if (c->state & CURSOR_DUP_MOVED)
		op = DAXKV_GET_CURRENT;
	if ((c->state & both) == both)
		rc = peek(c, DAXKV_NEXT_DUP, DAXKV_PREV_DUP, &more);
	if (rc || !more)
		return rc ? rc : MDB_NOTFOUND;
	rc = cursor_store_get(c, key, data, op);
	if (!rc)
		c->state &= ~(unsigned int)DUP_STATES;
	else if (rc == MDB_NOTFOUND)
		c->state |= CURSOR_DUP_EOF;
	return rc;
}

/* next_key - to the key that follows, or to the one that a deletion has moved the cursor to. */
static int next_key(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	enum daxkv_cursor_op op = DAXKV_NEXT_KEY;
	int rc;

	if (c->state & CURSOR_MOVED)
		op = has_dups(c) ? DAXKV_FIRST_DUP : DAXKV_GET_CURRENT;
	rc = cursor_store_get(c, key, data, op);
	if (!rc)
		c->state = CURSOR_SET;
	else if (rc == MDB_NOTFOUND)
		c->state |= CURSOR_EOF;
	return rc;
}

int cursor_next(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	int rc;

	if (c->state & CURSOR_MOVED && op == MDB_NEXT_DUP)
		return MDB_NOTFOUND;
	if (!(c->state & CURSOR_SET))
		return cursor_first(c, key, data);
	if (c->state & CURSOR_END)
		return MDB_NOTFOUND;
	if (c->state & CURSOR_EOF) {
		bool last;

		rc = at_last_key(c, &last);
		if (rc || last)
			return rc ? rc : MDB_NOTFOUND;
		c->state &= ~(unsigned int)CURSOR_EOF;
	}
	if (has_dups(c) && op != MDB_NEXT_NODUP) {
		rc = next_dup(c, key, data);
		if (rc != MDB_NOTFOUND || op == MDB_NEXT_DUP)
			return rc;
	}
	return next_key(c, key, data);
}

/* prev_dup - to the value before, of the same key. */
static int prev_dup(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	enum daxkv_cursor_op op = DAXKV_PREV_DUP;
	int rc;

	if (c->state & (CURSOR_DUP_NONE | CURSOR_DUP_END))
		op = DAXKV_LAST_DUP;
	rc = cursor_store_get(c, key, data, op);
	if (!rc)
		c->state &= ~(unsigned int)(DUP_STATES | CURSOR_EOF);
	else if (rc == MDB_NOTFOUND)
		c->state &= ~(unsigned int)(CURSOR_DUP_EOF | CURSOR_DUP_MOVED);
	return rc;
}

static int prev(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	const unsigned int between = CURSOR_DUP_NONE | CURSOR_DUP_MOVED | CURSOR_DUP_END;
	enum daxkv_cursor_op to = DAXKV_PREV;
	int rc;

	if (!(c->state & CURSOR_SET) || c->state & CURSOR_END) {
		to = DAXKV_LAST;
	} else if (has_dups(c) && op == MDB_PREV_NODUP) {
		to = DAXKV_PREV_KEY;
	} else if (has_dups(c) && (op == MDB_PREV_DUP || c->state & between)) {
		to = DAXKV_PREV_KEY;
		rc = prev_dup(c, key, data);
		if (rc != MDB_NOTFOUND || op == MDB_PREV_DUP)
			return rc;
	}
	c->state &= ~(unsigned int)(CURSOR_EOF | CURSOR_MOVED);
	rc = cursor_store_get(c, key, data, to);
	return rc ? rc : came_behind(c, 0);
}

/* ---- searches -------------------------------------------------------------------------------- */

/* seek_long - to the place of a key that is longer than any in the database can be: what compares
 * above the part of it that could be one.
 */
static int seek_long(MDB_cursor *c, const MDB_val *key, MDB_val *found, MDB_val *data)
{
	size_t max = daxkv_max_key_size(c->txn->env->store), cut = key->mv_size - max;
	MDB_val part = {max, key->mv_data};
	int rc;

	if (c->handle->cmp || c->handle->flags & MDB_INTEGERKEY)
		return MDB_BAD_VALSIZE;
	if (c->handle->flags & MDB_REVERSEKEY)
		part.mv_data = (char *)key->mv_data + cut;
	*found = part;
	rc = cursor_store_get(c, found, data, DAXKV_SEEK_GE);
	if (!rc && found->mv_size == max && memcmp(found->mv_data, part.mv_data, max) == 0)
		rc = cursor_store_get(c, found, data, DAXKV_NEXT_KEY);
	return rc;
}

/* behind_all - a search found nothing at or after its key. */
static int behind_all(MDB_cursor *c, MDB_cursor_op op)
{
	struct daxkv_db_stat stat;
	int rc = 0;

	if (c->state & CURSOR_SET) {
		c->state = (c->state & CURSOR_EOF) | CURSOR_SET | CURSOR_END;
		return MDB_NOTFOUND;
	}
	rc = daxkv_db_stat(c->txn->inner, c->handle->db, &stat);
	if (!rc && stat.entries)
		c->state = CURSOR_SET | CURSOR_END | (op == MDB_SET_RANGE ? CURSOR_EOF : 0);
	return rc ? store_result(c, rc) : MDB_NOTFOUND;
}

/* seek_range - to the first entry at or after key, which is left alone: *found has it. */
static int seek_range(MDB_cursor *c, const MDB_val *key, MDB_val *found, MDB_val *data,
                      MDB_cursor_op op)
{
	int rc;

	*found = *key;
	if (key->mv_size > daxkv_max_key_size(c->txn->env->store))
		rc = seek_long(c, key, found, data);
	else
		rc = cursor_store_get(c, found, data, DAXKV_SEEK_GE);
	if (!rc)
		c->state = CURSOR_SET;
	return rc == MDB_NOTFOUND ? behind_all(c, op) : rc;
}

/* at_first_key - whether no key lies before; the cursor is on its key's first value, and stays. */
static int at_first_key(MDB_cursor *c, bool *first)
{
	int rc = cursor_store_get(c, NULL, NULL, DAXKV_PREV_KEY);

	*first = rc == MDB_NOTFOUND;
	if (rc)
		return *first ? 0 : rc;
	return cursor_store_get(c, NULL, NULL, DAXKV_NEXT_KEY);
}

int cursor_keeps_eof(MDB_cursor *c, const MDB_val *key, bool *keeps)
{
	MDB_val k = *key;
	int rc = cursor_store_get(c, &k, NULL, DAXKV_SEEK_GE);

	*keeps = rc == MDB_NOTFOUND;
	if (rc)
		return *keeps || rc == MDB_BAD_VALSIZE ? 0 : rc;
	return compare_keys(c->handle, key, &k) == 0 ? 0 : at_first_key(c, keeps);
}

/* seek_key - exactly to key. Where there is none the cursor is on what follows, and at none of its
 * values. */
static int seek_key(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	unsigned int eof = c->state & CURSOR_EOF;
	MDB_val found, value;
	int rc = seek_range(c, key, &found, data ? &value : NULL, op);
	bool same, several, first = false;

	if (rc)
		return rc;
	same = c->handle->cmp ? compare_keys(c->handle, key, &found) == 0
	                      : key->mv_size == found.mv_size &&
	                            memcmp(key->mv_data, found.mv_data, key->mv_size) == 0;
	if (!same) {
		if (eof)
			rc = at_first_key(c, &first);
		if (!rc)
			rc = cursor_several(c, &several);
		if (!rc)
			c->state |= (first ? eof : 0) | (several ? CURSOR_DUP_NONE : 0);
		return rc ? rc : MDB_NOTFOUND;
	}
	if (data)
		*data = value;
	if (op == MDB_SET_KEY)
		*key = found;
	return 0;
}

/* seek_pair - to a value of the key. Where there is none the cursor is at the next value of the
 * key, or behind all of them. */
static int seek_pair(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	MDB_val k = *key, value = *data;
	bool several;
	int rc = MDB_NOTFOUND;

	if (key->mv_size <= daxkv_max_key_size(c->txn->env->store))
		rc = cursor_store_get(c, &k, &value, DAXKV_SEEK_PAIR_GE);
	if (!rc) {
		c->state = CURSOR_SET;
		if (op == MDB_GET_BOTH && compare_dups(c->handle, data, &value) != 0)
			return MDB_NOTFOUND;
		*data = value;
		return 0;
	}
	if (rc != MDB_NOTFOUND && rc != MDB_BAD_VALSIZE)
		return rc;
	rc = seek_key(c, key, NULL, op);
	if (!rc)
		rc = cursor_several(c, &several);
	if (!rc && several) {
		rc = cursor_store_get(c, NULL, NULL, DAXKV_LAST_DUP);
		c->state |= CURSOR_DUP_END;
	}
	return rc ? rc : MDB_NOTFOUND;
}

static int search(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	bool pair = op == MDB_GET_BOTH || op == MDB_GET_BOTH_RANGE;
	MDB_val found;
	int rc;

	if (pair && !data)
		return EINVAL;
	if (pair && !has_dups(c))
		return MDB_INCOMPATIBLE;
	if (!key)
		return EINVAL;
	if (key->mv_size == 0)
		return MDB_BAD_VALSIZE;
	if (pair)
		return seek_pair(c, key, data, op);
	if (op != MDB_SET_RANGE)
		return seek_key(c, key, data, op);
	rc = seek_range(c, key, &found, data, op);
	if (!rc)
		*key = found;
	return rc;
}

/* ---- where it is ----------------------------------------------------------------------------- */

/* among_dups - FIRST_DUP and LAST_DUP: of a key with one value the key is given, too. */
static int among_dups(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	bool first = op == MDB_FIRST_DUP, several;
	int rc;

	if (!data || !(c->state & CURSOR_SET))
		return EINVAL;
	if (!has_dups(c))
		return MDB_INCOMPATIBLE;
	if (c->state & CURSOR_END)
		return MDB_NOTFOUND;
	c->state &= ~(unsigned int)CURSOR_EOF;
	if (c->state & CURSOR_DUP_NONE)
		return EINVAL;
	rc = cursor_several(c, &several);
	if (!rc && !several)
		return cursor_store_get(c, key, data, DAXKV_GET_CURRENT);
	if (!rc)
		rc = cursor_store_get(c, NULL, data, first ? DAXKV_FIRST_DUP : DAXKV_LAST_DUP);
	if (!rc) {
		c->state &= ~(unsigned int)(CURSOR_DUP_END | CURSOR_DUP_EOF);
		c->state |= (first ? 0 : CURSOR_DUP_EOF) | (c->rdonly ? CURSOR_SEVERAL : 0);
	}
	return rc;
}

static int current(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	bool none = data && c->state & (CURSOR_DUP_NONE | CURSOR_DUP_END);
	int rc;

	if (!(c->state & CURSOR_SET))
		return EINVAL;
	if (c->state & CURSOR_END)
		return MDB_NOTFOUND;
	rc = cursor_store_get(c, key, none ? NULL : data, DAXKV_GET_CURRENT);
	if (data)
		c->state &= ~(unsigned int)CURSOR_DUP_MOVED;
	if (!rc && none)
		rc = c->state & CURSOR_DUP_NONE ? EINVAL : MDB_NOTFOUND;
	return rc;
}

/* free_list_get - the free list shows no entries. */
static int free_list_get(MDB_cursor_op op)
{
	return op == MDB_GET_CURRENT                   ? EINVAL
	       : (unsigned int)op <= MDB_PREV_MULTIPLE ? MDB_NOTFOUND
	                                               : EINVAL;
}

static int get(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	switch (op) {
	case MDB_FIRST:
		return cursor_first(c, key, data);
	case MDB_LAST:
		return cursor_last(c, key, data);
	case MDB_NEXT:
	case MDB_NEXT_DUP:
	case MDB_NEXT_NODUP:
		return cursor_next(c, key, data, op);
	case MDB_PREV:
	case MDB_PREV_DUP:
	case MDB_PREV_NODUP:
		return prev(c, key, data, op);
	case MDB_FIRST_DUP:
	case MDB_LAST_DUP:
		return among_dups(c, key, data, op);
	case MDB_GET_CURRENT:
		return current(c, key, data);
	case MDB_SET:
	case MDB_SET_KEY:
	case MDB_SET_RANGE:
	case MDB_GET_BOTH:
	case MDB_GET_BOTH_RANGE:
		return search(c, key, data, op);
	default:
		return EINVAL;
	}
}

/* get_far - all but what the common ways do. Not inlined: they need fewer registers. */
static __attribute__((noinline)) int get_far(MDB_cursor *c, MDB_val *key, MDB_val *data,
                                             MDB_cursor_op op)
{
	int rc;

	if (UNLIKELY(!c->inner))
		return free_list_get(op);
	if (UNLIKELY(!c->handle->used))
		return EINVAL;
	if (op == MDB_GET_MULTIPLE || op == MDB_NEXT_MULTIPLE || op == MDB_PREV_MULTIPLE) {
		rc = multiple_get(c, key, data, op);
	} else {
		c->state &= ~(unsigned int)CURSOR_ARRAY;
		rc = get(c, key, data, op);
	}
	c->state &= ~(unsigned int)CURSOR_MOVED;
	return rc;
}

/* plain_missed - the store's operation that is all of op has failed with rc. A key without a
 * further value is known to be; for the rest the long way says how, but for a failure of the store
 * in a step. */
static __attribute__((noinline)) int plain_missed(MDB_cursor *c, MDB_val *key, MDB_val *data,
                                                  MDB_cursor_op op, int rc)
{
	const bool end = op == MDB_FIRST_DUP || op == MDB_LAST_DUP;

	if (rc == DAXKV_NOT_FOUND && op == MDB_NEXT_DUP)
		c->state |= CURSOR_DUP_EOF;
	else if (end || rc == DAXKV_NOT_FOUND || rc == DAXKV_NEED_COMPARE)
		return get_far(c, key, data, op);
	return store_result(c, rc);
}

/* get_plain - op, of which the store's operation to is all, and after which the cursor is in that
 * state. */
static inline __attribute__((always_inline)) int get_plain(MDB_cursor *c, MDB_val *key,
                                                           MDB_val *data, MDB_cursor_op op,
                                                           enum daxkv_cursor_op to,
                                                           unsigned int state)
{
	int rc = daxkv_cursor_get(c->inner, val_of(key), val_of(data), to);

	if (UNLIKELY(rc))
		return plain_missed(c, key, data, op, rc);
	c->state = state;
	return 0;
}

/* get_next - MDB_NEXT, of a cursor that remembers nothing beside its place. */
static inline int get_next(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	int rc = daxkv_cursor_get(c->inner, val_of(key), val_of(data), DAXKV_NEXT);

	return LIKELY(!rc) ? 0 : plain_missed(c, key, data, MDB_NEXT, rc);
}

/* The first operations are plain while the cursor remembers nothing beside its place but
 * CURSOR_DUP_EOF and CURSOR_SEVERAL. FIRST_DUP and LAST_DUP give the key where it has one value, so
 * they are plain only where it is known to have several. */
int mdb_cursor_get(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	const unsigned int known = CURSOR_DUP_EOF | CURSOR_SEVERAL;

	if (UNLIKELY(!c))
		return EINVAL;
	if (UNLIKELY(!c->txn || c->txn->state))
		return MDB_BAD_TXN;
	if (UNLIKELY((c->state & ~known) != CURSOR_SET || !c->inner || !c->handle->used))
		return get_far(c, key, data, op);
	if (op == MDB_NEXT && LIKELY(c->state == CURSOR_SET))
		return get_next(c, key, data);
	if (op == MDB_NEXT_NODUP)
		return get_plain(c, key, data, op, DAXKV_NEXT_KEY, CURSOR_SET);
	if (UNLIKELY(!has_dups(c)))
		return get_far(c, key, data, op);
	if (op == MDB_NEXT_DUP)
		return get_plain(c, key, data, op, DAXKV_NEXT_DUP, CURSOR_SET);
	if (op == MDB_PREV_NODUP && c->rdonly) /* see came_behind */
		return get_plain(c, key, data, op, DAXKV_PREV_KEY, CURSOR_SET | CURSOR_DUP_EOF);
	if (!data || !(c->state & CURSOR_SEVERAL))
		return get_far(c, key, data, op);
	if (op == MDB_FIRST_DUP)
		return get_plain(c, NULL, data, op, DAXKV_FIRST_DUP, CURSOR_SET | CURSOR_SEVERAL);
	if (op == MDB_LAST_DUP)
		return get_plain(c, NULL, data, op, DAXKV_LAST_DUP,
		                 CURSOR_SET | CURSOR_SEVERAL | CURSOR_DUP_EOF);
	return get_far(c, key, data, op);
}

/* count_far - the way that is always right. */
static __attribute__((noinline)) int count_far(MDB_cursor *c, size_t *count)
{
	uint64_t n = 0;
	int rc;

	if (!c || !count)
		return EINVAL;
	if (!c->txn || c->txn->state)
		return MDB_BAD_TXN;
	if (!c->inner || !has_dups(c))
		return MDB_INCOMPATIBLE;
	if (!(c->state & CURSOR_SET))
		return EINVAL;
	if (c->state & CURSOR_END)
		return MDB_NOTFOUND;
	c->state &= ~(unsigned int)CURSOR_EOF;
	if (c->state & CURSOR_DUP_NONE)
		return EINVAL;
	rc = daxkv_cursor_count(c->inner, &n);
	if (UNLIKELY(rc == DAXKV_NEED_COMPARE) && !compare_provide(c->txn->inner, c->handle))
		rc = daxkv_cursor_count(c->inner, &n);
	if (!rc)
		*count = (size_t)n;
	return store_result(c, rc);
}

/* A cursor that remembers nothing beside its place asks the store at once. What that refuses it
 * refuses again. */
int mdb_cursor_count(MDB_cursor *c, size_t *count)
{
	static_assert(sizeof *count == sizeof(uint64_t), "a count");
	if (UNLIKELY(!c || !count || !c->txn || c->txn->state || c->state != CURSOR_SET ||
	             !c->inner || !has_dups(c) || daxkv_cursor_count(c->inner, count)))
		return count_far(c, count);
	return 0;
}
