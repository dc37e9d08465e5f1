/* SPDX-License-Identifier: BSD-3-Clause */
/* cover_tree.h - the part of cover.h about databases, their leaves and the file's end. */
#ifndef DAXKV_TEST_COVER_TREE_H
#define DAXKV_TEST_COVER_TREE_H

#include <stdint.h>

struct cover_tree {
	uint64_t empty, leaf, described; /* databases that have no page, are one leaf, got a
	                                    descriptor */
	uint64_t joins;                  /* of leaves */
	uint64_t noted,
	    owed; /* lists that were found long; tallies that a level of a transaction changed */
	uint64_t own_large;          /* values that the transaction which wrote them freed */
	uint64_t memory, memory_out; /* pages in memory; those that got places in the file */
	uint64_t memory_lazy;        /* of these, in transactions that began as lazy ones */
	/* cuts of the file; to the size that it was made with; while pages before the end wait */
	uint64_t trims, trims_to_floor, trims_held;
};
extern struct cover_tree cover_tree;

#endif
