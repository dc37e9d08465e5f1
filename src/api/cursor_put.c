/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_put.c - where a put by a cursor goes. See cursor.h
 *
 * An index is kept by a seek, a count and a put for each key. The seek leads to the key's first
 * value and the count to the end of its values (cursor_run). A put of one more, which lies between
 * two entries of that leaf, needs no way down of its own.
 */
#include "api/cursor.h"

/* put_behind - whether the pair belongs right behind the values that the key under the cursor has
 * in its leaf, which a count has looked for: *behind, at run.end. The last of them tells: it has
 * the key, and a smaller value. CORRUPT. */
static int put_behind(const struct daxkv_cursor *c, const struct order *o, const struct probe *p,
                      bool *behind)
{
	struct item last;
	uint32_t eoff;

	*behind = false;
	if (!place_at_first(c))
		return 0;
	if (!c->run.end)
		return 0;
	assert(c->run.end > c->path.rank);
	int rc = leaf_at(&c->path.leaf, c->run.end - 1, &eoff);

	if (rc)
		return rc;
	rc = leaf_item(&c->path.leaf, eoff, &last);
	if (rc)
		return rc;
	if (!order_key_same(o, last.key, last.klen, p->key, p->klen))
		return 0;
	*behind = order_dup_cmp(o, last.val, last.vlen, p->dup, p->dlen) < 0;
	return 0;
}

/* place_near - where a pair with the key under the cursor goes, when that is between two entries of
 * the leaf where it stands: the way that led there is the way to the place. put->path NULL: it is
 * elsewhere, or not to be told by this leaf alone. Nothing is changed. CORRUPT. */
static int place_near(struct daxkv_cursor *c, struct put *put)
{
	const struct order *o = &put->s->order;
	const struct probe p = entry_probe(put->key, put->value, PROBE_AT);
	struct path *path = c->txn->store->scratch.finger;
	uint32_t live;
	bool same = true;

	if (c->gap)
		return 0;
	if (put->s->tree.batch)
		return 0;
	live = place_live(c);
	if (c->path.rank >= live)
		return 0;
	int rc = put_behind(c, o, &p, &put->behind);

	if (rc)
		return rc;
	if (!put->behind)
		rc = cursor_same_key(c, &put->s->tree, p.key, p.klen, &same);
	if (rc)
		return rc;
	if (!same)
		return 0;
	c->txn->store->scratch.finger_of = NULL;
	path_copy(path, &c->path);
	path_leaf(txn_view(c->txn), path);
	path->rank = c->run.end;
	path->eoff = 0;
	if (!put->behind)
		rc = path_place(&put->s->tree, path, &p);
	if (rc)
		return rc;
	put->path = path;
	if (path->eoff)
		return 0;
	if (path->rank > 0 && path->rank < live)
		return 0;
	put->path = NULL;
	put->behind = false;
	return 0;
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
