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
#include "api/cursor_mark.h"
#include "base/err.h"

#include <errno.h>

struct move { /* one that is under way */
	struct daxkv_cursor *c;
	const struct tree *tree;
	struct item own; /* the entry that it starts from */
	uint32_t rank;   /* and its place */
	bool left;       /* its leaf was left: path leads back */
	struct path path;
};

/* entry_at - the entry of that rank in the cursor's leaf; below the number of live ones.
 * CORRUPT. */
static int entry_at(const struct daxkv_cursor *c, uint32_t rank, struct item *it)
{
	uint32_t eoff;
	int rc = 0;

	if (LIKELY(c->ordered))
		eoff = c->order[rank];
	else
		rc = leaf_at(&c->path.leaf, rank, &eoff);
	if (rc)
		return rc;
	return leaf_item(&c->path.leaf, eoff, it);
}

/* has_key - whether the entry of that rank in the path's leaf has the move's key. CORRUPT, and
 * *same is false then. */
static inline int has_key(const struct move *m, uint32_t rank, bool *same)
{
	struct item it;
	int rc = entry_at(m->c, rank, &it);

	*same = !rc && order_key_same(m->tree->order, it.key, it.klen, m->own.key, m->own.klen);
	return rc;
}

/* move_begin - from the cursor's entry. NOT_FOUND behind the last one. m->own points into the page,
 * and is good for the call. */
static int move_begin(struct move *m, struct daxkv_cursor *c, const struct dbstate *s)
{
	m->c = c;
	m->tree = &s->tree;
	m->rank = c->path.rank;
	m->left = false;
	if (UNLIKELY(m->rank >= place_live(c)))
		return DAXKV_NOT_FOUND;
	return entry_at(c, m->rank, &m->own);
}

/* move_undo - the cursor is where the move began. The path is copied only by a move that left its
 * leaf. The leaf's order is given up with the leaf: it was that of another one. */
static void move_undo(struct move *m)
{
	if (m->left) {
		path_copy(&m->c->path, &m->path);
		m->c->ordered = false;
	}
	m->c->path.rank = m->rank;
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

/* run_edge - the same in the leaf where the move begins. The entry beside decides when the key has
 * one value there. For a run that ends at the leaf's end, inside tells that it may go on. */
static int run_edge(const struct move *m, bool forward, uint32_t *edge)
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

/* inside - whether the leaf has entries beyond the edge, so that the run ends in it. */
static inline bool inside(const struct move *m, bool forward, uint32_t edge)
{
	if (forward)
		return edge < place_live(m->c);
	return edge > 0;
}

/* beside - on to the nearest entry of the leaf beside; *same: it has the key. Nothing is there:
 * NOT_FOUND. It may be several leaves away where leaves are empty. The way back is copied once,
 * however many leaves the move goes. */
static int beside(struct move *m, bool forward, bool *same)
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
	int rc = run_edge(m, forward, &edge);

	if (rc)
		return rc;
	c->path.rank = edge;
	if (inside(m, forward, edge))
		return 0;
	rc = beside(m, forward, &same);
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
	return beside(m, forward, same);
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
	int rc = beside(m, forward, &same);

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
		rc = run_edge(m, false, &first);
	if (rc)
		return rc;
	rc = run_edge(m, true, &end);
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

/* count_all - the values of the key that the move starts from. A leaf that the key fills asks for
 * the tally at once. Otherwise a few leaves tell of most keys, and one that goes on beyond them has
 * a tally, or is counted by its leaves. CORRUPT; the cursor is where it was in any case. */
static int count_all(struct move *m, uint64_t *count)
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
		rc = beside(&m, way, several);
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

/* ---- their values ---------------------------------------------------------------------------- */

/* copy_strided - n values of that size, which lie so far from each other. The sizes of integers
 * have loops of their own, which the compiler can unroll. */
static void copy_strided(uint8_t *to, const uint8_t *from, uint32_t stride, uint32_t size,
                         uint32_t n)
{
	if (size == 8)
		for (uint32_t i = 0; i < n; i++)
			put64(to + 8 * (size_t)i, get64(from + (size_t)i * stride));
	else if (size == 4)
		for (uint32_t i = 0; i < n; i++)
			put32(to + 4 * (size_t)i, get32(from + (size_t)i * stride));
	else
		for (uint32_t i = 0; i < n; i++)
			memcpy(to + (size_t)i * size, from + (size_t)i * stride, size);
}

/* copy_values - of the n entries from the cursor's on, all in its leaf: *done of them, up to one of
 * another size. A uniform base without a tail is copied without a look at its entries. to has room
 * for n. CORRUPT: an entry does not lie in the page, which may be changing under an evicted
 * reader. */
static int copy_values(struct daxkv_cursor *c, uint32_t n, uint32_t size, uint8_t *to,
                       uint32_t *done)
{
	const struct leaf *l = &c->path.leaf;
	const struct fmt_page *page = l->page;
	uint32_t rank = c->path.rank;
	uint32_t heads = once(page->heads);
	uint32_t klen = heads & FMT_KLEN_MASK;

	if (!l->nslots && heads & FMT_UNIFORM && once(page->offs) == size) {
		uint32_t stride = uniform_stride(klen, size);
		uint32_t at = leaf_entry(page, rank);

		if (UNLIKELY(at > l->psize || n * stride > l->psize - at)) { /* it is changing */
			leaf_fault(l, at);
			return DAXKV_CORRUPT;
		}
		copy_strided(to, (const uint8_t *)page + at + klen, stride, size, n);
		*done = n;
		return 0;
	}
	int rc = 0;
	struct item it;

	if (n > 1)
		rc = cursor_order(c, true);
	for (*done = 0; *done < n && !rc; ++*done) {
		rc = entry_at(c, rank + *done, &it);
		if (rc || it.vlen != size)
			break;
		memcpy(to + (size_t)*done * size, it.val, size);
	}
	return rc;
}

/* get_values - the cursor is on the first one, of that size. The cursor ends on the last value that
 * was copied; *got counts them, also when an error comes behind. to has room for n of them. It ends
 * at the key's last value, at one of another size, or when the room is full. */
static int get_values(struct move *m, size_t n, uint32_t size, uint8_t *to, size_t *got)
{
	assert(n > 0);
	struct daxkv_cursor *c = m->c;
	uint32_t last = m->rank;
	int rc = cursor_sound(c);

	for (*got = 0; !rc;) {
		uint32_t end;
		uint32_t done = 0;
		bool same;

		rc = run_edge(m, true, &end);
		uint32_t take = 0;

		if (!rc)
			take = (uint32_t)min_u64(end - m->rank, n - *got);
		if (!rc)
			rc = copy_values(c, take, size, to + *got * size, &done);
		*got += done;
		if (rc || !done) /* the leaf before had the last one */
			break;
		m->left = false;
		last = m->rank = c->path.rank += done - 1;
		if (done < take)
			return 0;
		if (*got == n)
			return 0;
		if (inside(m, true, end))
			return 0;
		rc = beside(m, true, &same);
		if (rc || !same)
			break;
		m->rank = c->path.rank;
	}
	m->rank = last;
	move_undo(m);
	if (rc == DAXKV_NOT_FOUND)
		return 0;
	return rc;
}

/* cursor_get_values - the values of one size of a key, from the cursor's on. VALUE_SIZE when the
 * value under the cursor has another size; INCOMPATIBLE without sorted duplicates. */
static int cursor_get_values(struct daxkv_cursor *c, size_t n, size_t size, void *bytes,
                             size_t *got)
{
	struct dbstate *s;
	struct move m;
	int rc = cursor_ready(c, false, &s);

	if (rc)
		return rc;
	if (!s->order.dups)
		return err_set(DAXKV_INCOMPATIBLE, "values of a key without sorted duplicates");
	if (c->state == CURSOR_UNSET)
		return err_set(EINVAL, "the cursor is not positioned");
	rc = move_begin(&m, c, s);
	if (rc)
		return rc;
	if (m.own.vlen != size)
		return err_set(DAXKV_VALUE_SIZE, "a value of %u bytes, where %zu were asked for",
		               m.own.vlen, size);
	c->gap = false;
	return get_values(&m, n, m.own.vlen, bytes, got);
}

/* What was copied counts only when the snapshot is still there [I20]. */
int daxkv_cursor_get_values(struct daxkv_cursor *c, size_t n, size_t size, void *bytes, size_t *got)
{
	size_t some = 0;
	int rc;

	if (n && bytes && got)
		rc = cursor_get_values(c, n, size, bytes, &some);
	else
		rc = err_set(EINVAL, "room for one value is needed, and for the "
		                     "number of them");
	if (c && c->txn)
		rc = txn_done(c->txn, rc);
	if (!rc)
		*got = some;
	return err_answer(rc);
}
