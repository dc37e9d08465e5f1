/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor.h - what the files of a cursor share: cursor.c (life, changes), cursor_get.c
 * (moves without a search), cursor_move.c (moves), cursor_mark.h (ends, once more), cursor_many.c
 * (many entries a call), cursor_verify.c (checksums). Where it stands: txn/place.h.
 */
#ifndef DAXKV_CURSOR_H
#define DAXKV_CURSOR_H

#include "txn/entry.h"

/* cursor_usable - the transaction can be used (with write: changed). cursor_ready - and the
 * cursor's place is known again. Errors as of txn_check, dbi_state. *s is the database's state in
 * the cursor's transaction; it is good until that ends. */
int cursor_usable(struct daxkv_cursor *c, bool write, struct dbstate **s);
int cursor_ready(struct daxkv_cursor *c, bool write, struct dbstate **s);

/* cursor_output - key and value under the cursor; either may be NULL. CORRUPT. Both point into the
 * page, or for a large value into its pages: they are good until the transaction changes something,
 * or ends. The cursor is AT an entry. */
int cursor_output(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value);

/* cursor_put_entry - a put by the cursor, which does not go there: near where it stands, or by a
 * way of its own. A put that is refused leaves its place. Errors of daxkv_put. */
int cursor_put_entry(struct daxkv_cursor *c, struct dbstate *s, const struct daxkv_val *key,
                     struct daxkv_val *value, unsigned int flags);

/* cursor_output_at - of the entry at eoff of the cursor's leaf, inlined. */
static inline int cursor_output_at(const struct daxkv_cursor *c, uint32_t eoff,
                                   struct daxkv_val *key, struct daxkv_val *value)
{
	struct item it;
	int rc = leaf_item(&c->path.leaf, eoff, &it);

	if (LIKELY(!rc && value))
		rc = entry_value(txn_view(c->txn), &it, value);
	if (LIKELY(!rc && key))
		*key = entry_bytes(it.key, it.klen);
	return rc;
}

/* cursor_order - have the leaf's entries in order at hand, for stepping, and let the first ones of
 * that way come. Nothing happens when the order is there already. CORRUPT when ranks and entries do
 * not agree; the order is not set then. */
int cursor_order(struct daxkv_cursor *c, bool forward);

/* cursor_verify - compare the checksums of what the cursor stands on: its entry, a large value
 * included, the leaf and the pages above, these once for each leaf. cursor_verify_pages - of the
 * pages alone; the path leads to one. cursor_verify_value - of another entry of that leaf, the
 * value alone. CORRUPT. */
int cursor_verify(struct daxkv_cursor *c);
int cursor_verify_pages(struct daxkv_cursor *c);
int cursor_verify_value(const struct daxkv_cursor *c, const struct item *it);

/* cursor_sound - for a transaction that verifies: the cursor's pages are. CORRUPT. */
static inline int cursor_sound(struct daxkv_cursor *c)
{
	if (UNLIKELY(c->txn->verify))
		return cursor_verify_pages(c);
	return 0;
}

/* cursor_forward - path.rank may lie behind the leaf's last entry: go on to the next leaf that has
 * one. cursor_back - to the entry before path.rank. NOT_FOUND: there is none that way; forward the
 * path is behind the last entry then. */
int cursor_forward(struct daxkv_cursor *c, const struct tree *t);
int cursor_back(struct daxkv_cursor *c, const struct tree *t);

/* cursor_move_far - any move, and key and value of where it ends, which may be NULL; also of a
 * cursor that is NULL. cursor_back_to - after a failure the cursor is where it was. */
int cursor_move_far(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value,
                    enum daxkv_cursor_op op);
void cursor_back_to(struct daxkv_cursor *c, enum cursor_state state, bool gap,
                    const struct path *was);

/* cursor_get_by_key - a move that starts from the key under the cursor, among sorted duplicates: it
 * is AT an entry. cursor_move_by_key - without output. A failed one leaves the cursor where it was.
 */
int cursor_get_by_key(struct daxkv_cursor *c, const struct dbstate *s, struct daxkv_val *key,
                      struct daxkv_val *value, enum daxkv_cursor_op op);
int cursor_move_by_key(struct daxkv_cursor *c, const struct dbstate *s, enum daxkv_cursor_op op);

#define CURSOR_AHEAD 6u /* entries that are prefetched while a cursor steps */

/* cursor_expect - prefetch the first two cache lines of the entry at that rank of the leaf's order,
 * which is at hand. It only costs time when the entry is not read after all. */
static inline void cursor_expect(const struct daxkv_cursor *c, uint32_t rank)
{
	const uint8_t *p = (const uint8_t *)c->path.leaf.page + c->order[rank];

	__builtin_prefetch(p);
	__builtin_prefetch(p + FMT_LINE);
}

/* cursor_step_near - a step inside a leaf whose order is at hand. What the next steps read comes
 * meanwhile: the entry some places on, and piece by piece the next leaf. False, and nothing has
 * changed: the step leads out of the leaf, or the cursor has no order or no place yet, and the long
 * way is needed. A rank that falls below 0 wraps round, and so is refused by the same comparison
 * with n. */
ALWAYS_INLINE bool cursor_step_near(struct daxkv_cursor *c, bool forward)
{
	uint32_t to;
	uint32_t further;

	if (forward)
		to = c->path.rank + 1;
	else
		to = c->path.rank - 1;
	if (forward)
		further = to + CURSOR_AHEAD;
	else
		further = to - CURSOR_AHEAD;
	if (c->state != CURSOR_AT)
		return false;
	if (c->gap)
		return false;
	if (!c->ordered)
		return false;
	if (to >= c->n)
		return false;
	c->path.rank = to;
	if (further < c->n)
		cursor_expect(c, further);
	if (c->lines) {
		uint32_t n;

		if (c->pace < c->lines)
			n = c->pace;
		else
			n = c->lines;
		c->lines -= n;
		for (const uint8_t *end = c->beside + n * FMT_LINE; c->beside < end;
		     c->beside += FMT_LINE)
			__builtin_prefetch(c->beside);
	}
	return true;
}

/* cursor_uniform - whether the entry at eoff of the cursor's leaf, whose order is at hand, is one
 * of those that c->uniform describes. */
static inline bool cursor_uniform(const struct daxkv_cursor *c, uint32_t eoff)
{
	return eoff - FMT_LEAF_BASE < c->uniform.span;
}

/* cursor_key_beside - whether two neighbours in the cursor's leaf, whose order is at hand, have one
 * key: 1, 0; -1: not to be told so quickly. 1 and 0: both entries are uniform. */
static inline int cursor_key_beside(const struct daxkv_cursor *c, uint32_t rank, uint32_t to)
{
	const uint8_t *bytes = (const uint8_t *)c->path.leaf.page;
	uint32_t a = c->order[rank];
	uint32_t b = c->order[to];

	if (UNLIKELY(!cursor_uniform(c, a)))
		return -1;
	if (UNLIKELY(!cursor_uniform(c, b)))
		return -1;
	return order_bytes_same(bytes + a, bytes + b, c->uniform.klen);
}

/* cursor_same_key - whether the cursor's entry has that key. CORRUPT. */
int cursor_same_key(struct daxkv_cursor *c, const struct tree *t, const uint8_t *key, uint32_t klen,
                    bool *same);

#endif
