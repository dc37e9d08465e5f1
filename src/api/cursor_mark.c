/* SPDX-License-Identifier: BSD-3-Clause */
/* cursor_mark.c - where the moves to an end led: marks that are made. See cursor_mark.h */
#include "api/cursor_mark.h"

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

/* mark_read - where the mark's entry lies, and its bytes, which stay where they are as long as the
 * mark holds. CORRUPT: nothing is known then. */
static int mark_read(struct daxkv_cursor *c, struct cursor_mark *m)
{
	struct item it;
	uint32_t eoff;
	int rc = leaf_at(&m->leaf, m->rank, &eoff);

	if (rc)
		return rc;
	rc = leaf_item(&m->leaf, eoff, &it);
	if (rc)
		return rc;
	rc = entry_value(txn_view(c->txn), &it, &m->value);
	if (rc)
		return rc;
	m->key = entry_bytes(it.key, it.klen);
	m->eoff = eoff;
	return 0;
}

/* See cursor_mark_take. */
bool cursor_mark_first(struct daxkv_cursor *c, struct cursor_mark *m, struct daxkv_val *key,
                       struct daxkv_val *value)
{
	if (mark_read(c, m))
		return false;
	cursor_mark_go(c, m);
	if (key)
		*key = m->key;
	if (value)
		*value = m->value;
	return true;
}

/* The other mark of a key stays when the move began there. */
void cursor_mark_set(struct daxkv_cursor *c, enum daxkv_cursor_op op, bool paired)
{
	if (!marks_hold(c) || c->path.height > MARK_HEIGHT || c->path.height == 0)
		return;
	assert(c->state == CURSOR_AT);
	assert(!c->txn->write);
	struct cursor_mark *m = &c->mark[cursor_mark_of(op)];

	c->open = &dbi_state_known(c->txn, c->db)->entry->number;

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
	return marks_hold(c) && cursor_at_marks(c);
}

bool cursor_mark_several(const struct daxkv_cursor *c, bool *several)
{
	const struct cursor_mark *first = &c->mark[MARK_FIRST_DUP];
	const struct cursor_mark *last = &c->mark[MARK_LAST_DUP];

	if (!marks_hold(c))
		return false;
	if (!cursor_at_marks(c))
		return false;
	if (first->generation != last->generation)
		return false;
	*several = first->leaf.off != last->leaf.off || first->rank != last->rank;
	return true;
}
