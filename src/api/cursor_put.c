/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_put.c - where a put by a cursor goes. See cursor.h
 *
 * An index is kept by a seek, a count and a put for each key. The seek leads to the key's first
 * value and the count to the end of its values (cursor_run). A put of one more, which lies between
 * two entries of that leaf, needs no way down of its own.
 */
#include "api/cursor.h"

/* rank_near - where a pair is likely to go in the leaf where the cursor stands: behind the values
 * of its key, if a count has looked for their end, or where a seek for a key that is not there has
 * led. *rank is 0 elsewhere. CORRUPT. */
static int rank_near(struct daxkv_cursor *c, const struct tree *t, const struct daxkv_val *key,
                     uint32_t *rank)
{
	bool same;

	*rank = 0;
	if (place_at_first(c) && c->run.end) {
		*rank = c->run.end;
		return 0;
	}
	int rc = cursor_same_key(c, t, key->data, (uint32_t)key->size, &same);

	if (!rc && !same)
		*rank = c->path.rank;
	return rc;
}

/* place_near - where a pair goes, when that is in the leaf where the cursor stands: the way that
 * led there is the way to the place. put->path NULL: it is elsewhere, or not to be told so quickly.
 * Nothing is changed. CORRUPT. */
static int place_near(struct daxkv_cursor *c, struct put *put)
{
	const struct tree *t = &put->s->tree;
	const struct probe p = entry_probe(put->key, put->value, PROBE_AT);
	struct path *path = c->txn->store->scratch.finger;
	uint32_t rank;
	bool is;

	if (c->gap)
		return 0;
	if (t->batch)
		return 0;
	if (c->path.rank >= place_live(c))
		return 0;
	int rc = rank_near(c, t, put->key, &rank);

	if (rc)
		return rc;
	if (!rank)
		return 0;
	c->txn->store->scratch.finger_of = NULL;
	path_copy(path, &c->path);
	path_leaf(txn_view(c->txn), path);
	rc = tree_place_between(t, path, rank, &p, &is);
	if (rc)
		return rc;
	if (!is)
		return 0;
	put->path = path;
	/* the cursor's key has no values behind that place; another one, which begins there, may */
	if (put->flags & DAXKV_APPEND_DUP && rank < place_live(c))
		rc = cursor_same_key(c, t, p.key, p.klen, &put->behind);
	return rc;
}

/* The cursor is not known by a key yet: its place is good still if the put is refused. */
int cursor_put_entry(struct daxkv_cursor *c, struct dbstate *s, const struct daxkv_val *key,
                     struct daxkv_val *value, unsigned int flags)
{
	struct put near = {
	    .txn = c->txn,
	    .s = s,
	    .key = key,
	    .value = value,
	    .flags = flags,
	};
	int rc;

	if (s->order.dups && c->state == CURSOR_AT) {
		rc = entry_put_check(c->txn->store, &s->order, key, value, flags);
		if (rc)
			return rc;
		rc = place_near(c, &near);
		if (rc)
			return rc;
	}
	rc = txn_changing_by(c->txn, c->db, c);
	if (rc)
		return rc;
	if (near.path)
		return entry_put_at(&near);
	return entry_put(c->txn, c->db, key, value, flags, 0);
}
