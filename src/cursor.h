/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor.h - a position in one database, for cursor.c (life, changes) and cursor_move.c (moves).
 *
 *   UNSET    nowhere
 *   AT       on the entry of rank path.rank in path.leaf; with gap: before it, because the entry it stood on is gone
 *   KEPT     known by key (and duplicate) only: its own transaction was about to change something, or gave its snapshot up
 *
 * KEPT becomes AT at the next use by searching the key: found, or the gap where it was.
 */
#ifndef DAXKV_CURSOR_H
#define DAXKV_CURSOR_H

#include "kv.h"

enum cursor_state { CURSOR_UNSET, CURSOR_AT, CURSOR_KEPT };

struct daxkv_cursor {
	struct daxkv *kv; /* whose transactions it may be renewed in */
	struct daxkv_txn *txn;
	struct daxkv_cursor *next, **link; /* the transaction's list */
	daxkv_db db;
	enum cursor_state state;
	bool gap;
	bool ordered;      /* order[] is that of path.leaf */
	uint32_t n;        /* live entries of path.leaf, when ordered */
	struct path path;
	uint8_t *kept;     /* key and duplicate */
	uint32_t klen, dlen, kept_room;
	const uint8_t *beside; /* the leaf that a scan comes to next: to be prefetched from here on */
	uint32_t lines, pace;  /* cache lines left of it, and how many at each step */
	uint64_t verified;     /* the way to the leaf of this snapshot that was verified last; 0: none */
	uint16_t order[];  /* entries of the leaf: LEAF_MAX */
};

/* cursor_place - where in its leaf the cursor's entry lies. cursor_entry - that entry. CORRUPT. */
static inline int cursor_place(const struct daxkv_cursor *c, uint32_t *eoff)
{
	if (!c->ordered)
		return leaf_at(&c->path.leaf, c->path.rank, eoff);
	*eoff = c->order[c->path.rank];
	return 0;
}

static inline int cursor_entry(const struct daxkv_cursor *c, struct item *it)
{
	uint32_t eoff;
	int rc = cursor_place(c, &eoff);

	return rc ? rc : leaf_item(&c->path.leaf, eoff, it);
}

/* cursor_live - entries in its leaf. */
static inline uint32_t cursor_live(struct daxkv_cursor *c)
{
	return c->ordered ? c->n : c->path.height ? leaf_count(&c->path.leaf) : 0;
}

/* cursor_usable - the transaction can be used (with write: changed). cursor_ready - and the cursor's place is known again. Errors as of txn_check,
 * dbi_state. */
int cursor_usable(struct daxkv_cursor *c, bool write, struct dbstate **s);
int cursor_ready(struct daxkv_cursor *c, bool write, struct dbstate **s);

/* cursor_output - key and value under the cursor; either may be NULL. CORRUPT. */
int cursor_output(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value);

/* cursor_order - have the leaf's entries in order at hand, for stepping, and let the first ones of that way come. */
int cursor_order(struct daxkv_cursor *c, bool forward);

/* cursor_verify - compare the checksums of what the cursor stands on: its entry, a large value
 * included, the leaf and the pages above, these once for each leaf. cursor_verify_pages - of the
 * pages alone; the path leads to one. cursor_verify_value - of another entry of that leaf, the
 * value alone. CORRUPT. */
int cursor_verify(struct daxkv_cursor *c);
int cursor_verify_pages(struct daxkv_cursor *c);
int cursor_verify_value(const struct daxkv_cursor *c, const struct item *it);

/* cursor_same_key - whether the cursor's entry has that key. CORRUPT. */
int cursor_same_key(struct daxkv_cursor *c, const struct tree *t, const uint8_t *key, uint32_t klen, bool *same);

#endif
