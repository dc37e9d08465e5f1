/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_dup.c - moves by the key under the cursor, and the number of its values. See cursor.h
 *
 *                 first     end
 *      | a1 a2 a3 | b1 b2 b3 | c1 |      the run of b in a leaf
 *
 * Where a run begins and ends is found without looking at its entries: the entry beside the
 * cursor's decides when the key has one value, else a search in the leaf for the place before or
 * behind all of the key. A run that reaches an end of its leaf may go on beside. One that takes all
 * of the leaf beside, too, is looked for from the root.
 *
 * A move changes the cursor's path as it goes, and move_undo takes it back when it fails. The key
 * that it starts from is not copied: it lies in a page of the snapshot, or, in a write transaction,
 * in one that nobody changes while a call runs.
 */
#include "api/cursor_dup.h"
#include "api/cursor_mark.h"
#include "base/err.h"

#include <errno.h>

/* has_key - whether the entry of that rank in the path's leaf has the move's key. CORRUPT, and
 * *same is false then. */
static inline int has_key(const struct move *m, uint32_t rank, bool *same)
{
	struct item it;
	int rc = entry_at(m->c, rank, &it);

	*same = !rc && order_key_same(m->tree->order, it.key, it.klen, m->own.key, m->own.klen);
	return rc;
}

/* edge_probe - the place before all of the key's values, or behind them. */
static struct probe edge_probe(const struct move *m, bool forward)
{
	return (struct probe){
	    .key = m->own.key,
	    .klen = m->own.klen,
	    .edge = forward ? PROBE_AFTER : PROBE_BEFORE,
	};
}

/* leaf_edge - the first rank behind the key (forward), or its first one, in the path's leaf, where
 * the entry of that rank has the key. A search that leads elsewhere is damage, or a page that is
 * changing under an evicted reader. CORRUPT. */
static int leaf_edge(const struct move *m, uint32_t rank, bool forward, uint32_t *edge)
{
	struct probe p = edge_probe(m, forward);
	uint32_t unused;
	uint32_t n = place_live(m->c);
	bool same;
	/* so it is of most leaves if there are many */
	int rc = has_key(m, forward ? n - 1 : 0, &same);

	if (forward)
		*edge = n;
	else
		*edge = 0;
	if (rc)
		return rc;
	if (same)
		return 0;
	rc = leaf_place(&m->c->path.leaf, m->tree->order, &p, edge, &unused);
	if (rc)
		return rc;
	if (UNLIKELY(forward ? *edge <= rank || *edge > n : *edge > rank))
		rc = err_corrupt(m->c->path.leaf.off, "leaf: an entry is not where a search leads");
	/* it may be a leaf that is changing, too: view_evicted */
	return rc;
}

/* The entry beside decides when the key has one value there. */
int cursor_run_edge(const struct move *m, bool forward, uint32_t *edge)
{
	uint32_t to;
	bool same = false;
	int rc = 0;

	if (forward)
		to = m->rank + 1;
	else
		to = m->rank - 1;
	if (to < place_live(m->c))
		rc = has_key(m, to, &same);
	if (forward)
		*edge = m->rank + 1;
	else
		*edge = m->rank;
	if (rc)
		return rc;
	if (LIKELY(!same))
		return 0;
	return leaf_edge(m, m->rank, forward, edge);
}

/* It may be several leaves away where leaves are empty. The way back is copied once, however many
 * leaves the move goes. */
int cursor_beside(struct move *m, bool forward, bool *same)
{
	struct daxkv_cursor *c = m->c;

	if (!m->left)
		path_copy(&m->path, &c->path);
	m->left = true;
	if (forward)
		c->path.rank = place_live(c);
	else
		c->path.rank = 0;
	int rc;

	if (forward)
		rc = cursor_forward(c, m->tree);
	else
		rc = cursor_back(c, m->tree);
	if (rc)
		return rc;
	rc = cursor_sound(c);
	if (rc)
		return rc;
	return has_key(m, c->path.rank, same);
}

/* to_edge - the path goes to the place behind the last entry of the key (forward), or to its first
 * entry. Either may lie at the other side of a leaf's end. Three looks at most: this leaf, the one
 * beside, a search from the root. At the database's end, either way, the path comes back to the
 * leaf where the move began. After an error the path may be anywhere: the caller undoes the
 * move. */
static int to_edge(struct move *m, bool forward)
{
	struct daxkv_cursor *c = m->c;
	struct probe p = edge_probe(m, forward);
	bool same;
	uint32_t edge;
	int rc = cursor_run_edge(m, forward, &edge);

	if (rc)
		return rc;
	c->path.rank = edge;
	if (inside(m, forward, edge))
		return 0;
	rc = cursor_beside(m, forward, &same);
	if (rc == DAXKV_NOT_FOUND) { /* the database's end */
		path_copy(&c->path, &m->path);
		c->path.rank = edge;
		return 0;
	}
	if (rc)
		return rc;
	if (!same) {
		c->path.rank += !forward;
		return 0;
	}
	rc = leaf_edge(m, c->path.rank, forward, &edge);
	c->path.rank = edge;
	if (rc)
		return rc;
	if (inside(m, forward, edge))
		return 0;
	c->ordered = false;
	return tree_seek(m->tree, &p, &c->path);
}

/* peek - whether the entry beside has the key; *here: there is one in this leaf. Neither way does
 * the cursor move. */
static inline int peek(const struct move *m, bool forward, bool *here, bool *same)
{
	uint32_t to;

	if (forward)
		to = m->rank + 1;
	else
		to = m->rank - 1;
	*same = false;
	*here = to < place_live(m->c);
	if (*here)
		return has_key(m, to, same);
	return 0;
}

/* to_beside - to the entry beside, which peek has looked at. Mostly a step inside the leaf, as any
 * NEXT is. */
static inline int to_beside(struct move *m, bool forward, bool here, bool *same)
{
	int rc = 0;

	if (UNLIKELY(!m->c->ordered))
		rc = cursor_order(m->c, forward);
	if (rc)
		return rc;
	if (LIKELY(here && cursor_step_near(m->c, forward)))
		return 0;
	return cursor_beside(m, forward, same);
}

/*
 * move_on - one of the six moves by key.
 *
 *   NEXT_DUP, PREV_DUP     the entry beside, when it has the key
 *   NEXT_KEY, PREV_KEY     the entry beside, when it has another one; else beyond the run's edge
 *   FIRST_DUP, LAST_DUP    the run's edge
 */
static int move_on(struct move *m, enum daxkv_cursor_op op)
{
	struct daxkv_cursor *c = m->c;
	bool forward = op == DAXKV_NEXT_KEY || op == DAXKV_NEXT_DUP || op == DAXKV_LAST_DUP;
	bool within = op == DAXKV_NEXT_DUP || op == DAXKV_PREV_DUP;
	bool here;
	bool same;
	int rc;

	if (op != DAXKV_FIRST_DUP && op != DAXKV_LAST_DUP) {
		rc = peek(m, forward, &here, &same);
		if (rc)
			return rc;
		if (here && within && !same)
			return DAXKV_NOT_FOUND;
		if (within || !same) {
			rc = to_beside(m, forward, here, &same);
			if (rc)
				return rc;
			if (same == within)
				return 0;
			if (within)
				return DAXKV_NOT_FOUND;
			move_undo(m);
		}
	}
	rc = to_edge(m, forward);
	if (rc)
		return rc;
	if (op == DAXKV_NEXT_KEY || op == DAXKV_FIRST_DUP)
		return cursor_forward(c, m->tree);
	return cursor_back(c, m->tree);
}

/* For a cursor that comes from a gap, and for NEXT_KEY without output. */
int cursor_move_by_key(struct daxkv_cursor *c, const struct dbstate *s, enum daxkv_cursor_op op)
{
	struct move m;
	int rc = move_begin(&m, c, s);

	if (rc)
		return rc;
	rc = move_on(&m, op);
	if (rc)
		move_undo(&m);
	return rc;
}

/* An entry that cannot be read undoes the move as well. The output is given only when the whole
 * move has succeeded. */
int cursor_get_by_key(struct daxkv_cursor *c, const struct dbstate *s, struct daxkv_val *key,
                      struct daxkv_val *value, enum daxkv_cursor_op op)
{
	const bool end = op == DAXKV_FIRST_DUP || op == DAXKV_LAST_DUP;
	struct move m;

	const bool paired = end && cursor_mark_paired(c);
	int rc = move_begin(&m, c, s);

	if (rc)
		return rc;
	rc = move_on(&m, op);
	if (!rc)
		rc = cursor_output(c, key, value);
	if (rc)
		move_undo(&m);
	else if (end)
		cursor_mark_set(c, op, paired);
	return rc;
}

/* ---- how many -------------------------------------------------------------------------------- */

/* count_beside - entries of the key in the leaf beside: *n of them, or *far: it has no others. The
 * cursor comes back to where the move began. */
static int count_beside(struct move *m, bool forward, uint64_t *n, bool *far)
{
	bool same;
	uint32_t edge = 0;
	int rc = cursor_beside(m, forward, &same);

	if (!rc && same)
		rc = leaf_edge(m, m->c->path.rank, forward, &edge);
	if (!rc && same) {
		*far |= !inside(m, forward, edge);
		if (forward)
			*n += edge;
		else
			*n += place_live(m->c) - edge;
	}
	move_undo(m);
	if (rc == DAXKV_NOT_FOUND)
		return 0;
	return rc;
}

/* tally - the number of values, where it is kept; 0: it is not. A transaction that verifies
 * believes what it has verified alone. CORRUPT. */
static int tally(const struct move *m, uint64_t *count)
{
	*count = 0;
	if (m->c->txn->verify)
		return 0;
	return tree_tally_find(m->tree, m->own.key, m->own.klen, count);
}

/* fills - whether the leaf has values of the move's key alone. CORRUPT, and false. */
static int fills(const struct move *m, bool *is)
{
	int rc = 0;

	*is = m->rank == 0;
	if (m->rank && !place_at_first(m->c))
		rc = has_key(m, 0, is);
	if (*is)
		rc = has_key(m, place_live(m->c) - 1, is);
	return rc;
}

/* count_near - the key's values in this leaf and the two beside; *far: it goes on beyond them. */
static int count_near(struct move *m, uint64_t *count, bool *far)
{
	const bool at_first = place_at_first(m->c);
	uint32_t first = m->rank;
	uint32_t end;
	int rc = 0;
	if (!at_first)
		rc = cursor_run_edge(m, false, &first);
	if (rc)
		return rc;
	rc = cursor_run_edge(m, true, &end);
	if (rc)
		return rc;
	if (at_first)
		m->c->run.end = end;
	*count = end - first;
	if (!at_first && !inside(m, false, first))
		rc = count_beside(m, false, count, far);
	if (rc)
		return rc;
	if (!*far && !inside(m, true, end))
		rc = count_beside(m, true, count, far);
	return rc;
}

/* count_leaves - the values of the key that the move starts from. A leaf that the key fills asks
 * for the tally at once. Otherwise a few leaves tell of most keys, and one that goes on beyond them
 * has a tally, or is counted by its leaves. CORRUPT; the cursor is where it was in any case. */
static int count_leaves(struct move *m, uint64_t *count)
{
	bool far = false;
	int rc = fills(m, &far);

	*count = 0;
	if (far)
		rc = tally(m, count);
	far = false;
	if (rc)
		return rc;
	if (*count)
		return 0;
	rc = count_near(m, count, &far);
	if (rc)
		return rc;
	if (!far)
		return 0;
	rc = tally(m, count);
	if (rc)
		return rc;
	if (*count)
		return 0;
	const struct probe from = edge_probe(m, false);
	const struct probe to = edge_probe(m, true);

	return tree_count(m->tree, &from, &to, count);
}

/* count_all - the same, or what a writer remembers of that. */
static int count_all(struct move *m, uint64_t *count)
{
	int rc = 0;

	*count = 0;
	if (m->c->txn->write && !m->c->txn->verify)
		*count = tree_tally_known(m->tree, m->own.key, m->own.klen);
	if (*count)
		return 0;
	rc = count_leaves(m, count);
	if (!rc && m->c->txn->write)
		tree_tally_learn(m->tree, m->own.key, m->own.klen, *count);
	return rc;
}

/* alone - whether both neighbours in the leaf, whose order is at hand, have other keys: told by
 * their bytes, for a cursor that can be used as it is. False says nothing: a slower way decides. */
static inline bool alone(const struct daxkv_cursor *c)
{
	const uint32_t rank = c->path.rank;

	if (c->state != CURSOR_AT || !c->ordered || !txn_usable(c->txn, false))
		return false;
	if (c->txn->view.bound || !place_open(c))
		return false;
	if (rank == 0 || rank + 1 >= c->n)
		return false;
	return cursor_key_beside(c, rank, rank - 1) == 0 &&
	       cursor_key_beside(c, rank, rank + 1) == 0;
}

/* cursor_count - the values of the key under the cursor. After a gap: of the entry that followed.
 * Without sorted duplicates it is 1. NOT_FOUND behind the last entry. */
static int cursor_count(struct daxkv_cursor *c, uint64_t *count)
{
	struct dbstate *s;
	struct move m;
	int rc = cursor_ready(c, false, &s);

	if (rc)
		return rc;
	if (c->state == CURSOR_UNSET)
		return err_set(EINVAL, "the cursor is not positioned");
	*count = 1;
	rc = move_begin(&m, c, s);
	if (rc)
		return rc;
	if (!s->order.dups)
		return 0;
	return count_all(&m, count);
}

/* count_far - the way that is always right. Not inlined: the common one saves no registers. */
static __attribute__((noinline)) int count_far(struct daxkv_cursor *c, uint64_t *count)
{
	uint64_t n = 0;
	int rc;

	if (count)
		rc = cursor_count(c, &n);
	else
		rc = err_set(EINVAL, "no place for the count");
	if (c && c->txn)
		rc = txn_done(c->txn, rc);
	if (!rc)
		*count = n;
	return err_answer(rc);
}

/* The cursor does not move. */
int daxkv_cursor_count(struct daxkv_cursor *c, uint64_t *count)
{
	if (UNLIKELY(!c || !count || !alone(c)))
		return count_far(c, count);
	*count = 1;
	return 0;
}

/* cursor_several - whether a neighbour on either side has the key: two looks, however many values
 * it has. *several is false at first, and set where there is one more. */
static int cursor_several(struct daxkv_cursor *c, bool *several)
{
	struct dbstate *s;
	struct move m;
	int rc = cursor_ready(c, false, &s);

	if (rc)
		return rc;
	if (c->state == CURSOR_UNSET)
		return err_set(EINVAL, "the cursor is not positioned");
	if (cursor_mark_several(c, several))
		return 0;
	rc = move_begin(&m, c, s);
	for (int way = 0; way < 2 && !rc && !*several && s->order.dups; way++) {
		uint32_t beyond;

		if (way)
			beyond = m.rank + 1;
		else
			beyond = m.rank - 1;
		if (beyond < place_live(c)) {
			rc = has_key(&m, beyond, several);
			continue;
		}
		rc = cursor_beside(&m, way, several);
		if (rc == DAXKV_NOT_FOUND)
			rc = 0;
		move_undo(&m);
		m.left = false;
	}
	return rc;
}

/* The cursor does not move. */
int daxkv_cursor_several(struct daxkv_cursor *c, int *several)
{
	bool is = false;
	int rc;

	if (LIKELY(c && several) && alone(c)) {
		*several = 0;
		return 0;
	}
	if (several)
		rc = cursor_several(c, &is);
	else
		rc = err_set(EINVAL, "no place for the answer");
	if (c && c->txn)
		rc = txn_done(c->txn, rc);
	if (!rc)
		*several = is;
	return err_answer(rc);
}
