/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_mark.c - where the moves to an end led. See cursor.h
 *
 * FIRST, LAST, FIRST_DUP and LAST_DUP lead to the same entry again and again while a snapshot
 * stands, and programs ask that often: for the newest entry, or to look at a key's values from both
 * sides. So a read transaction's cursor marks where such a move led, and the next one goes there
 * without a way through the tree.
 *
 *   FIRST, LAST            a mark holds for the transaction's generation: its snapshot
 *   FIRST_DUP, LAST_DUP    also only where the cursor stands at one of the two marks. Both belong
 *                          to one key: a move that begins elsewhere makes the other one void
 *
 * What makes it right: no page changes that a snapshot sees, so a leaf and a rank in it mean the
 * same entry as long as the generation stands. A cursor that another transaction gets, or that is
 * used again for another database, has no marks (link_locked). Readers that may be evicted, or that
 * verify, make none: their pages must be looked at again.
 */
#include "api/cursor.h"

#include "txn/dbi.h"

/* marks_hold - whether the cursor may use its marks, and make some. */
static inline bool marks_hold(const struct daxkv_cursor *c)
{
	const struct daxkv_txn *txn = c->txn;

	if (!txn)
		return false;
	if (txn_check(txn, false))
		return false;
	if (txn->write)
		return false;
	if (txn->view.bound)
		return false;
	return dbi_state_here(txn, c->db);
}

/* mark_of - the number of the move's mark. */
static_assert((int)DAXKV_FIRST == (int)MARK_FIRST && (int)DAXKV_LAST == (int)MARK_LAST, "ends");
static_assert(DAXKV_LAST_DUP == DAXKV_FIRST_DUP + 1 && DAXKV_FIRST_DUP % 2 == 0, "of a key's ends");

static inline unsigned int mark_of(enum daxkv_cursor_op op)
{
	return (unsigned int)op % 2 + (op >= DAXKV_FIRST_DUP ? MARK_FIRST_DUP : MARK_FIRST);
}

/* among_marks - whether the cursor stands at one of the marks of a key's ends. */
static inline bool among_marks(const struct daxkv_cursor *c)
{
	if (c->state != CURSOR_AT)
		return false;
	if (c->gap)
		return false;
	return place_at_mark(c, &c->mark[MARK_FIRST_DUP]) ||
	       place_at_mark(c, &c->mark[MARK_LAST_DUP]);
}

/* mark_go - the cursor goes to the mark. */
static void mark_go(struct daxkv_cursor *c, const struct cursor_mark *m)
{
	struct path *p = &c->path;

	if (!c->ordered || p->leaf.off != m->leaf.off || !p->height) {
		c->ordered = false;
		c->n = m->n;
		c->counted = m->leaf.off;
		p->height = m->height;
		p->leaf = m->leaf;
		for (uint32_t i = 0; i < m->height; i++)
			p->at[i] = m->at[i];
	}
	p->rank = m->rank;
	p->eoff = m->eoff;
	c->state = CURSOR_AT;
	c->gap = false;
}

/* The mark's entry is looked for in its leaf when it is needed for the second time. */
bool cursor_mark_take(struct daxkv_cursor *c, enum daxkv_cursor_op op)
{
	if (UNLIKELY(!c || !marks_hold(c)))
		return false;
	struct cursor_mark *m = &c->mark[mark_of(op)];

	if (m->generation != c->txn->generation)
		return false;
	if (op >= DAXKV_FIRST_DUP && !among_marks(c))
		return false;
	if (!m->eoff && leaf_at(&m->leaf, m->rank, &m->eoff))
		return false;
	mark_go(c, m);
	return true;
}

/* The other mark of a key stays when the move began there. */
void cursor_mark_set(struct daxkv_cursor *c, enum daxkv_cursor_op op, bool paired)
{
	if (!marks_hold(c) || c->path.height > MARK_HEIGHT || c->path.height == 0)
		return;
	assert(c->state == CURSOR_AT);
	struct cursor_mark *m = &c->mark[mark_of(op)];

	m->generation = c->txn->generation;
	m->height = c->path.height;
	m->rank = c->path.rank;
	m->n = place_live(c);
	m->eoff = 0;
	m->leaf = c->path.leaf;
	for (uint32_t i = 0; i < m->height; i++)
		m->at[i] = c->path.at[i];
	if (op == DAXKV_FIRST_DUP && !paired)
		c->mark[MARK_LAST_DUP].generation = 0;
	if (op == DAXKV_LAST_DUP && !paired)
		c->mark[MARK_FIRST_DUP].generation = 0;
}

bool cursor_mark_paired(const struct daxkv_cursor *c)
{
	return marks_hold(c) && among_marks(c);
}

bool cursor_mark_several(const struct daxkv_cursor *c, bool *several)
{
	const struct cursor_mark *first = &c->mark[MARK_FIRST_DUP];
	const struct cursor_mark *last = &c->mark[MARK_LAST_DUP];

	if (!marks_hold(c))
		return false;
	if (!among_marks(c))
		return false;
	if (first->generation != last->generation)
		return false;
	*several = first->leaf.off != last->leaf.off || first->rank != last->rank;
	return true;
}
