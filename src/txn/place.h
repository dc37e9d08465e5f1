/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * place.h - where a cursor stands, and how it keeps its place across a change.
 *
 *   UNSET    nowhere
 *   AT       on the entry of rank path.rank in path.leaf; with gap: before it, because the entry it
 *            stood on is gone
 *   KEPT     known by key (and duplicate) only: its own transaction was about to change something,
 *            or gave its snapshot up
 *
 * KEPT becomes AT at the next use by searching the key: found, or the gap where it was.
 */
#ifndef DAXKV_PLACE_H
#define DAXKV_PLACE_H

#include "txn/store.h"

enum cursor_state { CURSOR_UNSET, CURSOR_AT, CURSOR_KEPT };

/* Where a move led that has no step before it: to an end of the database, or of a key's values. See
 * api/cursor_mark.h */
#define MARK_HEIGHT 5u /* of the trees in which marks are made: most are lower */
enum cursor_marks { MARK_FIRST, MARK_LAST, MARK_FIRST_DUP, MARK_LAST_DUP, CURSOR_MARKS };
struct cursor_mark {
	uint64_t generation; /* the transaction's; 0: there is no mark */
	uint32_t height;
	uint32_t rank;
	uint32_t n;    /* live entries of the leaf */
	uint32_t eoff; /* of the entry; 0: not known yet, as are its bytes */
	struct daxkv_val key;
	struct daxkv_val value;
	struct leaf leaf;
	struct path_step at[MARK_HEIGHT];
};

/* The entries of a leaf that are known without a look at them: those of a uniform base that lie in
 * the page. They begin less than span bytes behind FMT_LEAF_BASE, where no other entry does, and
 * have these lengths. span 0: there are none, or equal keys need not have equal bytes. */
struct cursor_uniform {
	uint32_t span;
	uint32_t klen;
	uint32_t vlen;
};

/* What a search has told of the values of one key, while nothing in their database changes.
 * Programs look for a key, ask how many values it has, and put one more: that is one search. */
struct cursor_run {
	uint64_t leaf;  /* by its offset; 0: nothing is known */
	uint32_t first; /* the entry of this rank there is the first one of its key */
	uint32_t end;   /* the first rank there that has another key; 0: not known */
};

struct daxkv_cursor {
	struct daxkv_store *store; /* whose transactions it may be renewed in */
	struct daxkv_txn *txn;
	/* the transaction's list */
	struct daxkv_cursor *next;
	struct daxkv_cursor **link;
	daxkv_db db;
	enum cursor_state state;
	bool gap;
	bool ordered; /* order[] is that of path.leaf */
	/* live entries of path.leaf, when ordered or counted */
	uint32_t n;
	uint64_t counted; /* a leaf, by its offset */
	struct cursor_run run;
	struct path path;
	uint8_t *kept; /* key and duplicate */
	uint32_t klen;
	uint32_t dlen;
	uint32_t kept_room;
	/* the leaf that a scan comes to next: to be prefetched from here on */
	const uint8_t *beside;
	/* cache lines left of it, and how many at each step */
	uint32_t lines;
	uint32_t pace;
	struct cursor_uniform uniform; /* of path.leaf, when ordered */
	/* when ordered: what is db while that handle is open. Its entry is never freed before the
	 * store is closed */
	const daxkv_db *open;
	/* the way to the leaf of this snapshot that was verified last; 0: none */
	uint64_t verified;
	struct cursor_mark mark[CURSOR_MARKS]; /* the last to be made zeros: see cursor_new */
	uint16_t order[];                      /* entries of the leaf: LEAF_MAX */
};

/* place_offset - where in its leaf the cursor's entry lies. place_entry - that entry. CORRUPT. */
static inline int place_offset(const struct daxkv_cursor *c, uint32_t *eoff)
{
	if (!c->ordered)
		return leaf_at(&c->path.leaf, c->path.rank, eoff);
	*eoff = c->order[c->path.rank];
	return 0;
}

/* place_entry - see above place_offset. */
static inline int place_entry(const struct daxkv_cursor *c, struct item *it)
{
	uint32_t eoff;
	int rc = place_offset(c, &eoff);

	if (rc)
		return rc;
	return leaf_item(&c->path.leaf, eoff, it);
}

/* place_live - entries in its leaf. */
static inline uint32_t place_live(struct daxkv_cursor *c)
{
	if (!c->path.height)
		return 0;
	if (!c->ordered && c->counted != c->path.leaf.off) {
		c->n = leaf_count(&c->path.leaf);
		c->counted = c->path.leaf.off;
	}
	return c->n;
}

/* place_open - whether the handle of the cursor, which has an order at hand or a mark, is open. */
static inline bool place_open(const struct daxkv_cursor *c)
{
	return load_relaxed(c->open) == c->db;
}

/* place_within - whether the place is surely an entry of its leaf, told without counting: each slot
 * of the tail takes away one entry of the base at most. */
static inline bool place_within(const struct path *path)
{
	return path->height && path->rank + path->leaf.nslots < once(path->leaf.page->n);
}

/* place_at_mark - whether the cursor, which is AT an entry, stands at the mark. */
static inline bool place_at_mark(const struct daxkv_cursor *c, const struct cursor_mark *m)
{
	return m->generation == c->txn->generation && m->rank == c->path.rank &&
	       m->leaf.off == c->path.leaf.off;
}

/* place_at_first - whether the cursor, which is AT an entry, is known to be on its key's first one.
 */
static inline bool place_at_first(const struct daxkv_cursor *c)
{
	return c->run.leaf == c->path.leaf.off && c->run.first == c->path.rank;
}

/* place_new - a cursor on db in the transaction's list, nowhere yet. ENOMEM. place_drop_closed -
 * the memory of a closed one, which the transaction keeps for the next, is given back. */
int place_new(struct daxkv_txn *txn, daxkv_db db, struct daxkv_cursor **cursor);
void place_drop_closed(struct daxkv_txn *txn);

/* place_link, place_unlink - into the transaction's list of cursors, and out of it.
 * place_forget_pages - what the cursor knows of pages is no longer so: they may become others'. */
void place_link(struct daxkv_cursor *c, struct daxkv_txn *txn);
void place_unlink(struct daxkv_cursor *c);
void place_forget_pages(struct daxkv_cursor *c);

/* place_keep - the cursor is known by that key and duplicate from here on. ENOMEM. */
int place_keep(struct daxkv_cursor *c, const uint8_t *key, uint32_t klen, const uint8_t *dup,
               uint32_t dlen);

/* place_save_all - the transaction's cursors on db (0: on all) keep their place by key from here
 * on, but for one (or NULL). ENOMEM. */
int place_save_all(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_cursor *but);

/* place_lose_all - the transaction's cursors are nowhere. place_lose - those on db are. */
void place_lose_all(struct daxkv_txn *txn);
void place_lose(struct daxkv_txn *txn, daxkv_db db);

/* place_end_all - the transaction is gone: its cursors are freed (a write transaction's) or
 * detached. */
void place_end_each(struct daxkv_txn *txn);
/* place_end_all - see above place_end_each. */
static inline void place_end_all(struct daxkv_txn *txn)
{
	if (UNLIKELY(txn->cursors))
		place_end_each(txn);
}

#endif
