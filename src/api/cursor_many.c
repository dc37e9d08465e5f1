/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_many.c - many entries of a scan in one call. See daxkv.h
 *
 * Inside a leaf whose order is at hand an entry is a bounds check and four words of output. While a
 * leaf is handed out the next one comes into the cache, piece by piece.
 *
 *   first      one step, as daxkv_cursor_get makes it: into the scan, or on to another leaf
 *   hand_out   all that the leaf has behind it, up to the end of the scan or of the room
 *
 * The cursor stands on the last entry that was given, so the next call goes on from there. What was
 * given counts only when the snapshot is still there in the end [I20].
 */
#include "api/cursor.h"
#include "base/err.h"

#include <errno.h>

#define MANY_AHEAD 4u /* entries that are prefetched while a leaf is handed out */

struct batch { /* what the caller wants, and has so far */
	struct daxkv_val *key;
	struct daxkv_val *value;
	size_t n;                    /* room, in entries */
	size_t got;                  /* of them */
	const struct daxkv_val *end; /* NULL: none */
	bool forward;
};

/* beyond - whether the key lies where the scan ends: at or after end, or before it when it goes
 * backward. Backward the end itself belongs to the scan. end was checked to be a key, so its size
 * is that of one. */
static bool beyond(const struct batch *b, const struct order *o, const struct daxkv_val *key)
{
	if (!b->end)
		return false;
	int c =
	    order_key_cmp(o, key->data, (uint32_t)key->size, b->end->data, (uint32_t)b->end->size);

	if (b->forward)
		return c >= 0;
	return c < 0;
}

/* first - the batch's next entry, by a step of its own: into the scan, or on to another leaf. When
 * it lies beyond the end, the cursor goes back to where it was; after a seek it is nowhere.
 * NOT_FOUND also when it lies beyond the end: the cursor then has not moved on, so the next call
 * with a later end begins at that entry. */
static int first(struct daxkv_cursor *c, const struct order *o, struct batch *b,
                 enum daxkv_cursor_op op)
{
	assert(b->got < b->n);
	enum cursor_state state = c->state;
	bool gap = c->gap;
	struct daxkv_val key = b->key[b->got];
	struct daxkv_val value;
	struct path was;

	if (b->end && state == CURSOR_AT)
		was = c->path;
	int rc = daxkv_cursor_get(c, &key, &value, op);

	if (rc)
		return rc;
	if (beyond(b, o, &key)) {
		if (op == DAXKV_SEEK_GE || op == DAXKV_SEEK_LE)
			c->state = CURSOR_UNSET;
		else
			c->state = state;
		c->gap = gap;
		c->ordered = false;
		if (c->state == CURSOR_AT)
			c->path = was;
		return DAXKV_NOT_FOUND;
	}
	b->key[b->got] = key;
	b->value[b->got++] = value;
	return 0;
}

/* leaf_limit - the first rank (forward), or the last one (backward), that the scan leaves out;
 * backward, counted from 1. One search for the whole leaf, instead of a compare for each entry.
 * With sorted duplicates the end is the place before all of the key's values. */
static int leaf_limit(const struct daxkv_cursor *c, const struct order *o, const struct batch *b,
                      uint32_t *limit)
{
	uint32_t eoff;

	if (b->forward)
		*limit = c->n;
	else
		*limit = 0;
	if (!b->end)
		return 0;
	struct probe p = entry_probe(b->end, NULL, o->dups ? PROBE_BEFORE : PROBE_AT);

	int rc = leaf_place(&c->path.leaf, o, &p, limit, &eoff);

	*limit = *limit < c->n ? *limit : c->n; /* the page may be changing (view_evicted) */
	return rc;
}

/* hand_out - the entries of the cursor's leaf behind the one under it. *ends: the scan ends in this
 * leaf. The cursor stands on the last one that was handed out. An error leaves b->got at the
 * entries that were right, and the cursor on the last of them. Room for none more is no end of the
 * scan. */
static int hand_out(struct daxkv_cursor *c, const struct order *o, struct batch *b, bool *ends)
{
	assert(b->got < b->n);
	const struct view *v = txn_view(c->txn);
	const struct leaf *leaf = &c->path.leaf;
	uint32_t rank = c->path.rank;
	uint32_t limit;
	uint32_t left;
	int rc = 0;

	if (c->txn->verify)
		rc = cursor_verify_pages(c);
	if (rc)
		return rc;
	rc = cursor_order(c, b->forward);
	if (rc)
		return rc;
	rc = leaf_limit(c, o, b, &limit);
	if (rc)
		return rc;
	if (b->forward)
		left = (limit > rank + 1 ? limit - rank - 1 : 0);
	else if (rank > limit)
		left = rank - limit;
	else
		left = 0;
	*ends = b->end && (b->forward ? limit < c->n : limit > 0);
	if (left > b->n - b->got) {
		left = (uint32_t)(b->n - b->got);
		*ends = false;
	}
	for (; left; left--) {
		struct item it;

		if (b->forward)
			rank += 1;
		else
			rank += UINT32_MAX;
		uint32_t further;

		if (b->forward)
			further = rank + MANY_AHEAD;
		else
			further = rank - MANY_AHEAD;
		if (further < c->n)
			__builtin_prefetch((const uint8_t *)leaf->page + c->order[further]);
		for (uint32_t i = 0; i < c->pace && c->lines;
		     i++, c->beside += FMT_LINE, c->lines--)
			__builtin_prefetch(c->beside);
		rc = leaf_item(leaf, c->order[rank], &it);
		if (UNLIKELY(rc))
			return rc;
		if (UNLIKELY(it.flags & FMT_ENTRY_BLOB)) {
			rc = 0;
			if (c->txn->verify)
				rc = cursor_verify_value(c, &it);
			if (rc)
				return rc;
			rc = entry_value(v, &it, &b->value[b->got]);
			if (rc)
				return rc;
		} else {
			b->value[b->got] = entry_bytes(it.val, it.vlen);
		}
		b->key[b->got++] = entry_bytes(it.key, it.klen);
		c->path.rank = rank;
	}
	return 0;
}

/* In turn: a step into a leaf, as cursor_get makes it, and then all that the leaf has of the scan.
 * NOT_FOUND is returned only when nothing was given; *got is set on success alone. */
int daxkv_cursor_get_many(struct daxkv_cursor *c, enum daxkv_cursor_op op,
                          const struct daxkv_val *end, size_t n, struct daxkv_val *key,
                          struct daxkv_val *value, size_t *got)
{
	struct batch b = {
	    .key = key,
	    .value = value,
	    .n = n,
	    .end = end,
	    .forward = op == DAXKV_NEXT || op == DAXKV_FIRST || op == DAXKV_SEEK_GE,
	};
	struct dbstate *s;
	bool ends = false;
	int rc;

	if (!n || !key || !value || !got)
		return err_set(EINVAL, "get_many needs room for at least one entry");
	if (!b.forward && op != DAXKV_PREV && op != DAXKV_LAST && op != DAXKV_SEEK_LE)
		return err_set(EINVAL, "cursor operation %d for get_many", (int)op);
	rc = cursor_ready(c, false, &s);
	if (rc)
		return rc;
	if (end)
		rc = entry_key_check(c->txn->store, &s->order, end);
	if (rc)
		return rc;
	const struct order *o = &s->order;
	bool near = (op == DAXKV_NEXT || op == DAXKV_PREV) && c->state == CURSOR_AT && !c->gap &&
	            c->path.rank < place_live(c);

	if (!near)
		rc = first(c, o, &b, op);
	while (!rc && !ends && b.got < n) {
		rc = hand_out(c, o, &b, &ends);
		if (!rc && !ends && b.got < n)
			rc = first(c, o, &b, b.forward ? DAXKV_NEXT : DAXKV_PREV);
	}
	if (b.got && rc == DAXKV_NOT_FOUND)
		rc = 0;
	else if (!b.got && !rc) /* what is left lies beyond the end */
		rc = DAXKV_NOT_FOUND;
	rc = txn_done(c->txn, rc);
	if (!rc)
		*got = b.got;
	return err_answer(rc);
}
