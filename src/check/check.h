/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check.h - the checker: walks the newest committed state of a store and verifies every rule of the
 * format.
 *
 *   superblock -> directory -> bitmaps                  what the file says is allocated
 *   superblock -> main descriptor -> tree -> leaves     what is reachable, rule by rule
 *                   ^--------- named databases <--'
 *   ring                                                what the next recovery would find
 *
 * It is a second pair of eyes: written from FORMAT.md alone, with a walker, an order and a search
 * head of its own, and it shares with the engine only the checksums. The rule that makes it safe:
 * every byte is untrusted. An offset is bounded before it is followed, and a page is entered once,
 * so bad bytes end in a report and never in a crash or a loop. A tree page is copied before it is
 * looked at: a writer beside may change it, and what was bounded stays so.
 *
 *   check.c        superblock and the run        check_tree.c   descriptors, inner pages
 *   check_ring.c   commit records                check_leaf.c   leaves, tails, blobs
 *   check_space.c  bitmaps, pages seen           check_order.c  the orders of keys and duplicates
 *   check_tally.c  the tallies of long lists
 *
 * Rejected: walking through the engine's cursors, because a fault in the search would hide the same
 * fault in the tree.
 */
#ifndef DAXKV_CHECK_H
#define DAXKV_CHECK_H

#include <stdbool.h>
#include <stdint.h>

struct check_input {
	const uint8_t *base; /* the mapped file; it may be changing */
	uint64_t mapped;     /* bytes readable at base */
	/* newest committed transaction: its state is checked */
	uint64_t txn;
	/* may be NULL; one line, valid during the call */
	void (*report)(const char *fault, void *arg);
	void *arg;
	/* Whether the state is no longer the newest, or not wholly there: what was read may be
	 * anything. NULL: nothing is written meanwhile. */
	bool (*moved)(void *arg);
	void *moved_arg;
	/* May be NULL: pages that something refers to, so far, and all that are in use. True ends
	 * the check. */
	bool (*progress)(uint64_t pages, uint64_t total, void *arg);
	void *progress_arg;
};

#define CHECK_MAX_REPORTS 1000u /* faults after these are counted only */

/* check_run - check the state in->txn of the store at in->base. Bytes may change while they are
 * read: in->moved is asked before a fault is believed, and at the end. faults gets their number
 * with 0 and with CORRUPT. Returns 0; DAXKV_CORRUPT when there is a fault; EAGAIN when in->moved
 * says so, with what was reported until then true, and all of it to be checked again; ECANCELED
 * when in->progress ended it; ENOMEM. */
int check_run(const struct check_input *in, uint64_t *faults);

#endif
