/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * desc.h - a database's descriptor page: flags, root, counts, and which count belongs to which
 * commit.
 *
 *   catalog entry       -> descriptor page -> root of the tree
 *                                  | count words: (commit, entries) pairs, one added by each commit
 *                                    |
 *
 * The rule that makes it right: the number of entries is exact for every snapshot, because a commit
 * adds a pair and never changes one that an older snapshot reads (docs/DESIGN.md, Named databases).
 */
#ifndef DAXKV_DESC_H
#define DAXKV_DESC_H

#include "redo/ring.h"
#include "space/wset.h"
#include "txn/handle.h"

/* desc_read - the descriptor page at off as the view sees it. CORRUPT. */
int desc_read(const struct view *view, uint64_t off, const struct fmt_desc **desc, uint64_t *at);

/* desc_count - the number of entries at the view's snapshot. */
uint64_t desc_count(const struct view *view, const struct fmt_desc *desc);

/* desc_says - what a catalog entry, and the page that it names, say: with counts all, else desc,
 * root and flags. CORRUPT. */
struct desc_says {
	uint64_t desc; /* the descriptor page; 0: there is none */
	uint64_t root;
	uint64_t tallies; /* root of the tree of tallies; 0: none */
	uint64_t entries;
	uint64_t leaf_pages;
	uint64_t inner_pages;
	uint64_t blob_pages;
	uint32_t flags;
};
int desc_says(const struct view *view, const struct fmt_db *catalog, bool counts,
              struct desc_says *says);

/* desc_verify - compare the checksum of the descriptor page at at, to which a catalog entry that
 * names from leads. CORRUPT. */
int desc_verify(const struct view *view, uint64_t from, uint64_t at);

/* desc_new - a private descriptor page for a database with these flags; prev as for tree pages. */
int desc_new(struct wset *w, uint32_t flags, uint64_t count, uint64_t prev, uint64_t *off);

/* desc_commit - write what changed in the database to its descriptor: words, or in place when it is
 * private. When the page has no room for another count, *full and nothing else. */
int desc_commit(struct daxkv_store *store, struct dbstate *state, struct words *words, bool *full);

#endif
