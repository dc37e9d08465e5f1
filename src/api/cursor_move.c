/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_move.c - where a cursor goes. See cursor.h
 *
 *   cursor_move_far       all moves that cursor_get.c has no shorter way for
 *     step_far              NEXT, PREV to another leaf
 *     move_and_read         KEPT becomes AT; then move
 *
 * What a failed move leaves behind is part of the interface: where the cursor was. So a scan that
 * meets a damaged page can be tried again, and does not pass it by that.
 */
#include "api/cursor.h"
#include "base/err.h"

#include <errno.h>

/* arrive - the path leads to an entry, in a leaf whose order is not known yet. */
static void arrive(struct daxkv_cursor *c)
{
	c->state = CURSOR_AT;
	c->gap = false;
	c->ordered = false;
}

/* A verifying transaction compares a leaf that it leaves without having read an entry of it. */
int cursor_forward(struct daxkv_cursor *c, const struct tree *t)
{
	bool moved = true;

	if (LIKELY(place_within(&c->path)))
		return 0;
	while (c->path.rank >= place_live(c)) {
		int rc = DAXKV_NOT_FOUND;

		if (c->path.height)
			rc = cursor_sound(c);
		if (rc)
			return rc;
		rc = tree_step(t, &c->path, true, &moved);
		if (rc)
			return rc;
		if (!moved)
			return DAXKV_NOT_FOUND;
		c->ordered = false;
	}
	return 0;
}

/* Rank 0 of a leaf has its neighbour in the leaf before. */
int cursor_back(struct daxkv_cursor *c, const struct tree *t)
{
	bool moved = true;

	if (!c->path.height)
		return DAXKV_NOT_FOUND;
	while (c->path.rank == 0) {
		int rc = cursor_sound(c);

		if (rc)
			return rc;
		rc = tree_step(t, &c->path, false, &moved);
		if (rc)
			return rc;
		if (!moved)
			return DAXKV_NOT_FOUND;
		c->ordered = false;
		c->path.rank = place_live(c);
	}
	c->path.rank--;
	return 0;
}

/* seek - the path to the probe's place, which may be behind the last entry of its leaf. CORRUPT.
 * The cursor's state stays what it was. */
static int seek(struct daxkv_cursor *c, const struct tree *t, const struct probe *p)
{
	c->ordered = false;
	return tree_seek_again(t, p, &c->path);
}

/* By the order at hand, else by the rank. */
int cursor_output(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value)
{
	uint32_t eoff;
	int rc = place_offset(c, &eoff);

	if (rc)
		return rc;
	return cursor_output_at(c, eoff, key, value);
}

/* at_edge - whether the path leads to the tree's first or last leaf: that of a cursor which is AT
 * its place has seen no change since, and is the way there. */
static bool at_edge(const struct path *path, bool last)
{
	for (unsigned int i = 1; i < path->height; i++) {
		uint32_t edge = 0;

		if (last)
			edge = path->at[i].page->n;
		if (path->at[i].index != edge)
			return false;
	}
	return path->height > 0;
}

/* move_edge - to the first or the last entry. NOT_FOUND in an empty tree: a cursor that had a place
 * there is in the gap that is left. */
static int move_edge(struct daxkv_cursor *c, const struct tree *t, bool last)
{
	int rc = 0;

	if (c->state != CURSOR_AT || !at_edge(&c->path, last))
		rc = tree_edge(t, last, &c->path);
	c->ordered = false;
	if (rc)
		return rc;
	if (last)
		c->path.rank = place_live(c);
	else
		c->path.rank = 0;
	if (last)
		rc = cursor_back(c, t);
	else
		rc = cursor_forward(c, t);
	if (!rc)
		arrive(c);
	else
		c->gap = true;
	return rc;
}

/* move_next - from a gap, to the entry that follows it. A failed one leaves the rank. */
static int move_next(struct daxkv_cursor *c, const struct tree *t)
{
	struct path *p = &c->path;
	uint32_t rank = p->rank;
	int rc;

	if (!p->height)
		return DAXKV_NOT_FOUND;
	rc = cursor_order(c, true);
	if (rc)
		return rc;
	p->rank += !c->gap;
	rc = cursor_forward(c, t);
	if (rc) {
		p->rank = rank;
		return rc;
	}
	c->gap = false;
	return 0;
}

/* move_prev - from a gap as from the entry that followed it. */
static int move_prev(struct daxkv_cursor *c, const struct tree *t)
{
	int rc = DAXKV_NOT_FOUND;

	if (c->path.height)
		rc = cursor_order(c, false);
	if (rc)
		return rc;
	rc = cursor_back(c, t);
	if (rc)
		return rc;
	c->gap = false;
	return 0;
}

/* seek_side - to the first entry at or after the probe, or with before to the last one before it.
 * NOT_FOUND: there is none; the state is not changed then. */
static int seek_side(struct daxkv_cursor *c, const struct tree *t, const struct probe *p,
                     bool before)
{
	int rc = seek(c, t, p);

	if (rc)
		return rc;
	if (before)
		rc = cursor_back(c, t);
	else
		rc = cursor_forward(c, t);
	if (rc)
		return rc;
	arrive(c);
	if (p->edge == PROBE_BEFORE && !before)
		c->run = (struct cursor_run){
		    .leaf = c->path.leaf.off,
		    .first = c->path.rank,
		};
	return 0;
}

/* move_plain - a move by key where a key has one value. A move to another value of the key is
 * NOT_FOUND. */
static int move_plain(struct daxkv_cursor *c, const struct tree *t, enum daxkv_cursor_op op)
{
	if (!c->gap && c->path.rank >= place_live(c))
		return DAXKV_NOT_FOUND;
	switch (op) {
	case DAXKV_NEXT_KEY:
		return move_next(c, t);
	case DAXKV_PREV_KEY:
		return move_prev(c, t);
	case DAXKV_FIRST_DUP:
	case DAXKV_LAST_DUP:
		if (c->gap)
			return DAXKV_NOT_FOUND;
		return 0;
	default:
		return DAXKV_NOT_FOUND;
	}
}

/* move_from_gap - a move by the key of the entry that is gone, which other duplicates may still
 * have. */
static int move_from_gap(struct daxkv_cursor *c, const struct tree *t, enum daxkv_cursor_op op)
{
	bool behind = op == DAXKV_NEXT_KEY || op == DAXKV_LAST_DUP;
	bool back = op == DAXKV_PREV_KEY || op == DAXKV_LAST_DUP;
	bool same = true;
	struct probe p = {
	    .key = c->kept, .klen = c->klen, .edge = behind ? PROBE_AFTER : PROBE_BEFORE};
	int rc;

	if (op == DAXKV_NEXT_DUP || op == DAXKV_PREV_DUP)
		rc = op == DAXKV_NEXT_DUP ? move_next(c, t) : move_prev(c, t);
	else
		rc = seek_side(c, t, &p, back);
	if (rc)
		return rc;
	if (op != DAXKV_NEXT_KEY && op != DAXKV_PREV_KEY)
		rc = cursor_same_key(c, t, p.key, p.klen, &same);
	if (rc)
		return rc;
	if (same)
		return 0;
	return DAXKV_NOT_FOUND;
}

/* move_by_key - the moves that start from the key under the cursor. A failed one leaves the cursor
 * where it was. */
static int move_by_key(struct daxkv_cursor *c, const struct dbstate *s, enum daxkv_cursor_op op)
{
	bool gap = c->gap;
	struct path was;

	if (s->order.dups && !gap)
		return cursor_move_by_key(c, s, op);
	path_copy(&was, &c->path);
	int rc = (gap && s->order.dups ? move_from_gap : move_plain)(c, &s->tree, op);

	if (rc) {
		path_copy(&c->path, &was);
		c->gap = gap;
		c->ordered = false;
	}
	return rc;
}

/* move_seek - by a key, or a pair. A seek that fails leaves the cursor UNSET: where it was before
 * does not matter any more. A duplicate that no entry could have is NOT_FOUND. */
static int move_seek(struct daxkv_cursor *c, const struct tree *t, const struct daxkv_val *key,
                     const struct daxkv_val *value, enum daxkv_cursor_op op)
{
	const struct order *o = t->order;
	struct probe p = {.key = key->data,
	                  .klen = (uint32_t)key->size,
	                  .edge = o->dups ? PROBE_BEFORE : PROBE_AT};
	bool pair = op == DAXKV_SEEK_PAIR || op == DAXKV_SEEK_PAIR_GE;
	bool same = true;
	int rc = entry_key_check(c->txn->store, o, key);

	c->state = CURSOR_UNSET;
	if (rc)
		return rc;
	if (pair) {
		if (!o->dups || !value)
			return err_set(DAXKV_INCOMPATIBLE,
			               "a seek by pair needs sorted duplicates and a value");
		rc = entry_dup_check(c->txn->store, o, key, value);
		if (rc) {
			if (rc == DAXKV_VALUE_SIZE && value->size > c->txn->store->max_key)
				return rc;
			return DAXKV_NOT_FOUND;
		}
		p.dup = value->data;
		p.dlen = (uint32_t)value->size;
		p.edge = PROBE_AT;
	}
	if (op == DAXKV_SEEK_LE) {
		if (o->dups)
			p.edge = PROBE_AFTER;
		else
			p.edge = PROBE_AT;
		rc = seek(c, t, &p);
		if (rc)
			return rc;
		if (!c->path.height || !c->path.eoff)
			rc = cursor_back(c, t);
		if (rc)
			return rc;
		arrive(c);
		return 0;
	}
	rc = seek_side(c, t, &p, false);
	if (rc)
		return rc;
	if (op == DAXKV_SEEK_GE)
		return 0;
	rc = cursor_same_key(c, t, p.key, p.klen, &same);
	if (!rc && same && op == DAXKV_SEEK_PAIR)
		same = c->path.eoff != 0;
	if (rc || !same)
		c->state = CURSOR_UNSET;
	if (rc)
		return rc;
	if (same)
		return 0;
	return DAXKV_NOT_FOUND;
}

/* move - all moves but a step inside a leaf. */
static int move(struct daxkv_cursor *c, const struct dbstate *s, const struct daxkv_val *key,
                const struct daxkv_val *value, enum daxkv_cursor_op op)
{
	const struct tree *t = &s->tree;
	bool unset = c->state == CURSOR_UNSET;
	int rc;

	switch (op) {
	case DAXKV_FIRST:
	case DAXKV_LAST:
		rc = move_edge(c, t, op == DAXKV_LAST);
		break;
	case DAXKV_NEXT:
		if (unset)
			rc = move_edge(c, t, false);
		else
			rc = move_next(c, t);
		break;
	case DAXKV_PREV:
		if (unset)
			rc = move_edge(c, t, true);
		else
			rc = move_prev(c, t);
		break;
	case DAXKV_NEXT_KEY:
	case DAXKV_NEXT_DUP:
		if (unset)
			rc = move_edge(c, t, false);
		else
			rc = move_by_key(c, s, op);
		break;
	case DAXKV_PREV_KEY:
	case DAXKV_PREV_DUP:
		if (unset)
			rc = move_edge(c, t, true);
		else
			rc = move_by_key(c, s, op);
		break;
	case DAXKV_FIRST_DUP:
	case DAXKV_LAST_DUP:
		if (unset)
			rc = err_set(EINVAL, "the cursor is not positioned");
		else
			rc = move_by_key(c, s, op);
		break;
	case DAXKV_GET_CURRENT:
		if (unset)
			rc = err_set(EINVAL, "the cursor is not positioned");
		else if (c->path.rank < place_live(c))
			rc = 0;
		else
			rc = DAXKV_NOT_FOUND;
		if (!rc)
			c->gap = false; /* the entry behind the gap is the cursor's from here on */
		break;
	case DAXKV_SEEK:
	case DAXKV_SEEK_GE:
	case DAXKV_SEEK_LE:
	case DAXKV_SEEK_PAIR:
	case DAXKV_SEEK_PAIR_GE:
		if (key)
			rc = move_seek(c, t, key, value, op);
		else
			rc = err_set(EINVAL, "a seek needs a key");
		break;
	default:
		rc = err_set(EINVAL, "unknown cursor operation %d", (int)op);
	}
	return rc;
}

/* move_and_read - a move, and key and value of where it ends. */
static int move_and_read(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value,
                         enum daxkv_cursor_op op)
{
	struct dbstate *s;
	int rc;

	if (op >= DAXKV_SEEK) /* a kept place is not searched for a seek, which does not need it */
		rc = cursor_usable(c, false, &s);
	else
		rc = cursor_ready(c, false, &s);
	if (rc)
		return rc;
	rc = move(c, s, key, value, op);
	if (rc)
		return rc;
	return cursor_output(c, key, value);
}

/* By a path only when it was AT. */
void cursor_back_to(struct daxkv_cursor *c, enum cursor_state state, bool gap,
                    const struct path *was)
{
	if (state == CURSOR_AT)
		path_copy(&c->path, was);
	c->state = state;
	c->gap = gap;
	c->ordered = false;
}

/* step_undone - NEXT or PREV met an entry that is damaged: back to the one before that, which has
 * been read. */
static void step_undone(struct daxkv_cursor *c, bool forward, bool gap)
{
	assert(c->state == CURSOR_AT);
	const struct tree *t = &dbi_state_known(c->txn, c->db)->tree;
	int rc = 0;

	c->ordered = false;
	if (!forward)
		c->path.rank++;
	if (!forward || !gap) {
		if (forward)
			rc = cursor_back(c, t);
		else
			rc = cursor_forward(c, t);
	}
	c->gap = gap;
	if (rc)
		c->state = CURSOR_UNSET;
}

/* step_far - NEXT or PREV to another leaf. The cursor is AT, and stays there when nothing is
 * beside. */
static int step_far(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value,
                    bool forward)
{
	struct dbstate *s;
	int rc = cursor_usable(c, false, &s);
	uint64_t off = c->path.leaf.off;
	bool gap = c->gap;

	if (!rc) {
		if (forward)
			rc = move_next(c, &s->tree);
		else
			rc = move_prev(c, &s->tree);
	}
	if (rc) {
		if (rc != DAXKV_NOT_FOUND && c->path.leaf.off != off)
			c->state = CURSOR_UNSET; /* behind an empty leaf */
		return rc;
	}
	rc = cursor_output(c, key, value);
	if (UNLIKELY(rc))
		step_undone(c, forward, gap);
	return rc;
}

/* One that meets damage leaves the cursor where it was, a seek unpositioned: trying again does not
 * pass what is damaged. op is an enum of the caller's, and may be any number. */
int cursor_move_far(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value,
                    enum daxkv_cursor_op op)
{
	enum cursor_state state = CURSOR_UNSET;
	bool gap = c && c->gap;
	struct path was;
	int rc;

	if (c)
		state = c->state;
	if (state == CURSOR_AT && (op == DAXKV_NEXT || op == DAXKV_PREV))
		return step_far(c, key, value, op == DAXKV_NEXT);
	was.height = was.rank = was.eoff = 0;
	if (state == CURSOR_AT && op <= DAXKV_GET_CURRENT)
		path_copy(&was, &c->path);
	rc = move_and_read(c, key, value, op);
	if (UNLIKELY(rc && rc != DAXKV_NOT_FOUND && c))
		cursor_back_to(c, op <= DAXKV_GET_CURRENT ? state : CURSOR_UNSET, gap, &was);
	return rc;
}
