/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_mark.h - where the moves to an end led. See cursor.h
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
 * What makes it right: no page changes that a snapshot sees, so a leaf, a rank in it and the
 * entry's bytes mean the same as long as the generation stands. A cursor that another transaction
 * gets, or that is used again for another database, has no marks (link_locked). Readers that may be
 * evicted, or that verify, make none: their pages must be looked at again.
 */
#ifndef DAXKV_CURSOR_MARK_H
#define DAXKV_CURSOR_MARK_H

#include "api/cursor.h"

/* cursor_mark_set - the op has led here, without a mark; of the _DUP ones paired: from one of their
 * two marks, as cursor_mark_paired says before the move. cursor_mark_several - whether the key
 * under the cursor has more values than one, if marks tell; else false. */
void cursor_mark_set(struct daxkv_cursor *c, enum daxkv_cursor_op op, bool paired);
bool cursor_mark_paired(const struct daxkv_cursor *c);
bool cursor_mark_several(const struct daxkv_cursor *c, bool *several);

/* cursor_mark_first - cursor_mark_take, the first time: the mark's entry has not been read. */
bool cursor_mark_first(struct daxkv_cursor *c, struct cursor_mark *m, struct daxkv_val *key,
                       struct daxkv_val *value);

/* cursor_mark_of - the number of the move's mark. */
static_assert((int)DAXKV_FIRST == (int)MARK_FIRST && (int)DAXKV_LAST == (int)MARK_LAST, "ends");
static_assert(DAXKV_LAST_DUP == DAXKV_FIRST_DUP + 1 && DAXKV_FIRST_DUP % 2 == 0, "of a key's ends");

static inline unsigned int cursor_mark_of(enum daxkv_cursor_op op)
{
	return (unsigned int)op % 2 + (op >= DAXKV_FIRST_DUP ? MARK_FIRST_DUP : MARK_FIRST);
}

/* cursor_at_marks - whether the cursor stands at one of the marks of a key's ends. */
static inline bool cursor_at_marks(const struct daxkv_cursor *c)
{
	if (c->state != CURSOR_AT)
		return false;
	if (c->gap)
		return false;
	return place_at_mark(c, &c->mark[MARK_FIRST_DUP]) ||
	       place_at_mark(c, &c->mark[MARK_LAST_DUP]);
}

/* cursor_mark_go - the cursor goes to the mark. Where it stands in that leaf its path is the
 * mark's. */
static inline void cursor_mark_go(struct daxkv_cursor *c, const struct cursor_mark *m)
{
	struct path *p = &c->path;

	if (c->state != CURSOR_AT || p->leaf.off != m->leaf.off || !p->height) {
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

/* cursor_mark_take - the cursor goes where the same op led before: FIRST, LAST, FIRST_DUP or
 * LAST_DUP. key and value as of cursor_output. False: there is no such mark, and nothing has
 * changed. A mark is a read transaction's, and its generation tells one from another, so what it
 * takes to make one is not asked again. The entry is read when it is needed for the second time. */
ALWAYS_INLINE bool cursor_mark_take(struct daxkv_cursor *c, struct daxkv_val *key,
                                    struct daxkv_val *value, enum daxkv_cursor_op op)
{
	if (UNLIKELY(!c || !txn_usable(c->txn, false) || c->txn->view.bound))
		return false;
	struct cursor_mark *m = &c->mark[cursor_mark_of(op)];

	if (UNLIKELY(m->generation != c->txn->generation || !place_open(c)))
		return false;
	if (op >= DAXKV_FIRST_DUP && UNLIKELY(!cursor_at_marks(c)))
		return false;
	if (UNLIKELY(!m->eoff))
		return cursor_mark_first(c, m, key, value);
	cursor_mark_go(c, m);
	if (key)
		*key = m->key;
	if (value)
		*value = m->value;
	return true;
}

#endif
