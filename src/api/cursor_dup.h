/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_dup.h - what the moves by the key under the cursor, in cursor_dup.c, and the values of
 * that key, in cursor_values.c, share.
 */
#ifndef DAXKV_CURSOR_DUP_H
#define DAXKV_CURSOR_DUP_H

#include "api/cursor.h"

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
static inline int entry_at(const struct daxkv_cursor *c, uint32_t rank, struct item *it)
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

/* move_begin - from the cursor's entry. NOT_FOUND behind the last one. m->own points into the page,
 * and is good for the call. */
static inline int move_begin(struct move *m, struct daxkv_cursor *c, const struct dbstate *s)
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
static inline void move_undo(struct move *m)
{
	if (m->left) {
		path_copy(&m->c->path, &m->path);
		m->c->ordered = false;
	}
	m->c->path.rank = m->rank;
}

/* inside - whether the leaf has entries beyond the edge, so that the run ends in it. */
static inline bool inside(const struct move *m, bool forward, uint32_t edge)
{
	if (forward)
		return edge < place_live(m->c);
	return edge > 0;
}

/* cursor_run_edge - the first rank behind the move's key (forward), or its first one, in the leaf
 * where the move begins. For a run that ends at the leaf's end, inside tells that it may go on.
 * CORRUPT. */
int cursor_run_edge(const struct move *m, bool forward, uint32_t *edge);

/* cursor_beside - on to the nearest entry of the leaf beside; *same: it has the key. Nothing is
 * there: NOT_FOUND. CORRUPT. */
int cursor_beside(struct move *m, bool forward, bool *same);

#endif
