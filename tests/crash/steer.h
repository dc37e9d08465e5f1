/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steer.h - bends the stream of operations, made for long runs of the model test, to what a crash
 * test of a few thousand operations needs.
 *
 * Transactions are cut shorter and snapshots rarer; nested transactions, dropped databases,
 * closing, syncing and compacting come more often; now and then everything is deleted and the store
 * closed or compacted, so that the file is cut.
 *
 * Where the first zone is nearly full, large values then make the file grow again, over the old
 * bytes where a crash left them: the bitmap page of the next zone comes to lie there.
 *
 * Some stores are filled, without room to grow, until a transaction finds no page. The next one
 * removes nearly all, in random order, and partly in nested transactions: most of its pages lie
 * in memory, and what is left of them gets places at its commit.
 *
 * What is rarest, and needs several steps in a row, is planned: a broad transaction changes so many
 * pages that its word list is spilled; its pages are needed until the words are durable in place.
 * So behind it comes a sync, a close or a small transaction, and then transactions that take many
 * pages, all of it with more crashes and failed fences than usual (hot).
 */
#ifndef DAXKV_TEST_STEER_H
#define DAXKV_TEST_STEER_H

#include "oracle.h"

enum steer_plan {
	PLAN_NONE,
	PLAN_WIPE,
	PLAN_CLOSE,
	PLAN_FILL,
	PLAN_BROAD,
	PLAN_TAKE,
	PLAN_FULL,
	PLAN_EMPTY,
	PLANS
};

struct steer {
	struct rng rng;
	const struct oracle *oracle;
	struct ops *stream;
	bool shared; /* two users: what their handles are called after a renaming, and snapshots,
	                are left out */
	bool
	    zone_full; /* the store's first zone, all that one bitmap page covers, is nearly full */
	bool first_holds; /* closing cuts the file to its first size, and no further */
	bool logs;    /* commits are logged where they can be: many are small, many are spilled */
	bool calm;    /* and the ring is to fill with records that wait: crashes are few */
	bool pressed; /* the store may hardly grow: see press in crash.c */
	bool filled;  /* the store is filled now and then, and emptied by one transaction */
	bool full;    /* that is under way: the store may not grow */
	bool nearly;  /* a large transaction found no room */
	bool has_filled;        /* it has no room: what comes is the emptying */
	unsigned int full_left; /* transactions that this may still take */
	unsigned int full_keep; /* records that the emptying leaves */
	unsigned int readers_percent;
	enum steer_plan plan;
	unsigned int left; /* operations of the plan's transaction */
	unsigned int hot;  /* steps to come behind a spilled commit */
	uint64_t plans[PLANS];
};

/* The key in the main database that fills the zone, and stays. */
extern char steer_filler[7];

void steer_start(struct steer *steer, uint64_t seed, const struct oracle *oracle,
                 struct ops *stream, bool shared, bool file);

/* steer_op - change op, or (false) leave it out. */
bool steer_op(struct steer *steer, struct op *op);

/* steer_committed - an outermost commit returned; spilled: it was a large one. */
void steer_committed(struct steer *steer, bool spilled);

/* steer_full - an operation found no room. */
void steer_full(struct steer *steer);

/* steer_lost - the transaction is gone, by a crash or a full store: plans are forgotten. spilled:
 * its record was being written, a large one. */
void steer_lost(struct steer *steer, bool spilled);

#endif
