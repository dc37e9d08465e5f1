/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copy.h - what one snapshot shows, as the bytes of a store of its own, from front to back. For
 * copy.c and copy_tree.c.
 *
 *   | superblock | ring, empty | directory, bitmaps | trees of named databases, each behind its
 * large values | main | free pages |
 *
 * Trees are built from below: a leaf is given out when it is full, an inner page when its kids are.
 * So no page is known before those that it names, and only the first pages depend on what comes
 * behind them: how many pages there are, and where the main descriptor lies. A first pass over the
 * snapshot counts, a second one gives the bytes out.
 *
 * The free pages are the reserve that puts leave to removals [I22]: a copy that fills its maximum
 * size or its disk can be emptied like any other store.
 *
 * The rule that makes it correct: the passes do the same. A snapshot does not change, and nothing
 * else goes in.
 */
#ifndef DAXKV_COPY_H
#define DAXKV_COPY_H

#include "txn/dbi.h"
#include "txn/desc.h"

struct copy {
	struct daxkv_txn *txn;
	daxkv_copy_fn *write; /* NULL: the first pass */
	void *arg;
	uint32_t psize;
	uint64_t at;    /* where the next page will lie */
	uint8_t *zeros; /* a page of them */
	uint8_t *image; /* for an inner page or a descriptor */
	/* descriptors of the named databases, in the order of their catalog entries */
	uint64_t *desc;
	size_t ndesc;
	size_t desc_room;
	size_t desc_used;
};

/* copy_put - n bytes, and zeros to the end of their last page; *off is where they lie. The caller's
 * error of write. */
int copy_put(struct copy *copy, const void *bytes, uint64_t n, uint64_t *off);

/* copy_tree - all pages of the database that the catalog entry from names; *desc: what its new
 * catalog entry is to name. descriptor: in any case one. CORRUPT, ENOMEM, errors of write. */
int copy_tree(struct copy *copy, const struct fmt_db *from, bool descriptor, uint64_t *desc);

/* copy_each - call each for all entries of the database that the catalog entry from names, in
 * order; its pages verified. *state: it. */
typedef int copy_entry_fn(void *arg, struct item *item);
int copy_each(struct copy *copy, const struct fmt_db *from, struct dbstate *state,
              copy_entry_fn *each, void *arg);

/* copy_each_tally - the same for the tallies of the database whose state it is. */
int copy_each_tally(struct copy *copy, const struct dbstate *state, copy_entry_fn *each, void *arg);

#endif
