/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_get.c - daxkv_cursor_get: the moves that need no search, and what is seen where one ends.
 * See cursor.h
 *
 *   cursor_get            a step inside a leaf whose order is at hand
 *     step_by_key           a step to another value of the key, or to another key, in that leaf
 *     get_dup_end           to an end of the key's values, by a mark
 *     get_far               all others: cursor_move.c, cursor_dup.c
 *
 * A step of a scan is the commonest call of all, so it is inlined into daxkv_cursor_get, and what
 * it does not need stays out of line: otherwise each step would save registers for that.
 */
#include "api/cursor_mark.h"
#include "base/err.h"

#include <errno.h>

/* uniform_output - of an entry that the cursor knows as a uniform one: it lies in the page. */
static inline void uniform_output(const struct daxkv_cursor *c, uint32_t eoff,
                                  struct daxkv_val *key, struct daxkv_val *value)
{
	const uint8_t *entry = (const uint8_t *)c->path.leaf.page + eoff;

	if (key)
		*key = entry_bytes(entry, c->uniform.klen);
	if (value)
		*value = entry_bytes(entry + c->uniform.klen, c->uniform.vlen);
}

/* get_by_key_far - a move that starts from the key under the cursor. Not inlined: the common ways
 * save no registers. */
static __attribute__((noinline)) int get_by_key_far(struct daxkv_cursor *c, struct daxkv_val *key,
                                                    struct daxkv_val *value,
                                                    enum daxkv_cursor_op op)
{
	struct dbstate *s;

	if (!c || c->state != CURSOR_AT || c->gap)
		return err_answer(cursor_move_far(c, key, value, op));
	int rc = cursor_usable(c, false, &s);

	if (!rc)
		rc = s->order.dups ? cursor_get_by_key(c, s, key, value, op)
		                   : cursor_move_far(c, key, value, op);
	return err_answer(rc);
}

/* get_dup_end - to the first or the last value of the key. */
ALWAYS_INLINE int get_dup_end(struct daxkv_cursor *c, struct daxkv_val *key,
                              struct daxkv_val *value, enum daxkv_cursor_op op)
{
	if (LIKELY(cursor_mark_take(c, key, value, op)))
		return 0;
	return get_by_key_far(c, key, value, op);
}

/* step_by_key - the move by what is at hand, if it ends at the entry beside, in the same leaf. Each
 * of the four has a function of its own: with op known, and no call but for the long way, it saves
 * no registers. */
ALWAYS_INLINE int step_by_key(struct daxkv_cursor *c, struct daxkv_val *key,
                              struct daxkv_val *value, enum daxkv_cursor_op op)
{
	const bool forward = op == DAXKV_NEXT_KEY || op == DAXKV_NEXT_DUP;
	const bool within = op == DAXKV_NEXT_DUP || op == DAXKV_PREV_DUP;

	if (UNLIKELY(c->state != CURSOR_AT || c->gap || !c->ordered || !txn_usable(c->txn, false)))
		return get_by_key_far(c, key, value, op);
	const uint32_t rank = c->path.rank;
	const uint32_t to = forward ? rank + 1 : rank - 1;

	if (UNLIKELY(to >= c->n))
		return get_by_key_far(c, key, value, op);
	const int same = cursor_key_beside(c, rank, to);

	if (within && same == 0)
		return err_answer(DAXKV_NOT_FOUND);
	if (UNLIKELY(same != within))
		return get_by_key_far(c, key, value, op);
	cursor_step_near(c, forward);
	uniform_output(c, c->order[to], key, value);
	return 0;
}

static __attribute__((noinline)) int get_next_key(struct daxkv_cursor *c, struct daxkv_val *key,
                                                  struct daxkv_val *value)
{
	return step_by_key(c, key, value, DAXKV_NEXT_KEY);
}

static __attribute__((noinline)) int get_prev_key(struct daxkv_cursor *c, struct daxkv_val *key,
                                                  struct daxkv_val *value)
{
	return step_by_key(c, key, value, DAXKV_PREV_KEY);
}

static __attribute__((noinline)) int get_next_dup(struct daxkv_cursor *c, struct daxkv_val *key,
                                                  struct daxkv_val *value)
{
	return step_by_key(c, key, value, DAXKV_NEXT_DUP);
}

static __attribute__((noinline)) int get_prev_dup(struct daxkv_cursor *c, struct daxkv_val *key,
                                                  struct daxkv_val *value)
{
	return step_by_key(c, key, value, DAXKV_PREV_DUP);
}

static __attribute__((noinline)) int get_first_dup(struct daxkv_cursor *c, struct daxkv_val *key,
                                                   struct daxkv_val *value)
{
	return get_dup_end(c, key, value, DAXKV_FIRST_DUP);
}

static __attribute__((noinline)) int get_last_dup(struct daxkv_cursor *c, struct daxkv_val *key,
                                                  struct daxkv_val *value)
{
	return get_dup_end(c, key, value, DAXKV_LAST_DUP);
}

/* get_current_far - of a cursor that is AT an entry; other ones go the common way. */
static __attribute__((noinline)) int get_current_far(struct daxkv_cursor *c, struct daxkv_val *key,
                                                     struct daxkv_val *value)
{
	if (!c || c->state != CURSOR_AT || !c->txn || txn_check(c->txn, false) ||
	    c->path.rank >= place_live(c) || ((key || value) && cursor_output(c, key, value)))
		return err_answer(cursor_move_far(c, key, value, DAXKV_GET_CURRENT));
	c->gap = false; /* the entry behind the gap is the cursor's from here on */
	return 0;
}

/* get_current - of a uniform entry in a leaf whose order is at hand nothing needs to be read. */
static __attribute__((noinline)) int get_current(struct daxkv_cursor *c, struct daxkv_val *key,
                                                 struct daxkv_val *value)
{
	if (UNLIKELY(c->state != CURSOR_AT || !c->ordered || !txn_usable(c->txn, false)))
		return get_current_far(c, key, value);
	if (UNLIKELY(c->path.rank >= c->n || !cursor_uniform(c, c->order[c->path.rank])))
		return get_current_far(c, key, value);
	uniform_output(c, c->order[c->path.rank], key, value);
	c->gap = false;
	return 0;
}

/* get_end - to the first or the last entry. */
static __attribute__((noinline)) int get_end(struct daxkv_cursor *c, struct daxkv_val *key,
                                             struct daxkv_val *value, enum daxkv_cursor_op op)
{
	if (cursor_mark_take(c, key, value, op))
		return 0;
	int rc = err_answer(cursor_move_far(c, key, value, op));

	if (!rc)
		cursor_mark_set(c, op, false);
	return rc;
}

/* step_undo - the entry that a step has led to does not lie in its page: back. Returns rc. */
static __attribute__((noinline)) int step_undo(struct daxkv_cursor *c, bool forward, int rc)
{
	if (forward)
		c->path.rank -= 1;
	else
		c->path.rank -= UINT32_MAX;
	return rc;
}

/* get_far - all that is no step inside a leaf. c may be NULL. */
static __attribute__((noinline)) int get_far(struct daxkv_cursor *c, struct daxkv_val *key,
                                             struct daxkv_val *value, enum daxkv_cursor_op op)
{
	if (op == DAXKV_GET_CURRENT)
		return get_current_far(c, key, value);
	if (op <= DAXKV_LAST)
		return get_end(c, key, value, op);
	if (op >= DAXKV_NEXT_KEY && op <= DAXKV_LAST_DUP)
		return get_by_key_far(c, key, value, op);
	return err_answer(cursor_move_far(c, key, value, op));
}

/* step_item - what a step has led to, where that is no uniform entry. Not inlined: a step to one of
 * those saves no registers for it. */
static __attribute__((noinline)) int step_item(struct daxkv_cursor *c, struct daxkv_val *key,
                                               struct daxkv_val *value, bool forward)
{
	int rc = cursor_output_at(c, c->order[c->path.rank], key, value);

	if (UNLIKELY(rc))
		return step_undo(c, forward, rc);
	return 0;
}

/* cursor_get - inlined, as what a step takes is not much more than a call. */
ALWAYS_INLINE int cursor_get(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value,
                             enum daxkv_cursor_op op)
{
	if (LIKELY(op == DAXKV_NEXT || op == DAXKV_PREV)) {
		const bool forward = op == DAXKV_NEXT;

		if (UNLIKELY(!txn_usable(c->txn, false)))
			return get_far(c, key, value, op);
		if (UNLIKELY(!cursor_step_near(c, forward)))
			return get_far(c, key, value, op);
		const uint32_t eoff = c->order[c->path.rank];

		if (UNLIKELY(!cursor_uniform(c, eoff)))
			return step_item(c, key, value, forward);
		uniform_output(c, eoff, key, value);
		return 0;
	}
	switch (op) {
	case DAXKV_NEXT_KEY:
		return get_next_key(c, key, value);
	case DAXKV_NEXT_DUP:
		return get_next_dup(c, key, value);
	case DAXKV_PREV_KEY:
		return get_prev_key(c, key, value);
	case DAXKV_PREV_DUP:
		return get_prev_dup(c, key, value);
	case DAXKV_FIRST_DUP:
		return get_first_dup(c, key, value);
	case DAXKV_LAST_DUP:
		return get_last_dup(c, key, value);
	case DAXKV_GET_CURRENT:
		return get_current(c, key, value);
	default:
		return get_far(c, key, value, op);
	}
}

/* get_verified - cursor_get, and a comparison of checksums: of what it gives, or of the page where
 * that should be. As in move_far, a failure leaves the cursor where it was. Verifying comes after
 * the move: what was found is compared before it is returned. */
static int get_verified(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value,
                        enum daxkv_cursor_op op)
{
	enum cursor_state state = c->state;
	bool gap = c->gap;
	struct path was;

	was.height = was.rank = was.eoff = 0;
	if (state == CURSOR_AT)
		path_copy(&was, &c->path);
	int rc = cursor_get(c, key, value, op);
	int unsound = 0;

	if (!rc)
		unsound = cursor_verify(c);
	else if (rc == DAXKV_NOT_FOUND)
		unsound = cursor_verify_pages(c);
	if (!unsound)
		return rc;
	if (op > DAXKV_GET_CURRENT)
		state = CURSOR_UNSET;
	cursor_back_to(c, state, gap, &was);
	return unsound;
}

/* get_bounded - for a snapshot that may be given up at any moment: what was found counts only when
 * it was not. And for one that verifies. */
static __attribute__((noinline)) int get_bounded(struct daxkv_cursor *c, struct daxkv_val *key,
                                                 struct daxkv_val *value, enum daxkv_cursor_op op)
{
	struct daxkv_val k = key ? *key : (struct daxkv_val){0},
	                 v = value ? *value : (struct daxkv_val){0};
	int rc =
	    (c->txn->verify ? get_verified : cursor_get)(c, key ? &k : NULL, value ? &v : NULL, op);

	rc = txn_done(c->txn, rc);
	if (rc)
		return rc;
	if (key)
		*key = k;
	if (value)
		*value = v;
	return 0;
}

/* get_rare - without a cursor, or by one without a transaction, or for an uncommon kind of reader:
 * bound is set for those alone. */
static __attribute__((noinline)) int get_rare(struct daxkv_cursor *c, struct daxkv_val *key,
                                              struct daxkv_val *value, enum daxkv_cursor_op op)
{
	if (c && c->txn)
		return get_bounded(c, key, value, op);
	return get_far(c, key, value, op);
}

/* What is common needs one test for all that is not. */
int daxkv_cursor_get(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value,
                     enum daxkv_cursor_op op)
{
	if (UNLIKELY(!c || !c->txn || c->txn->view.bound))
		return get_rare(c, key, value, op);
	return cursor_get(c, key, value, op);
}
