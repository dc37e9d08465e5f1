/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steer.h - bends the stream of operations, made for long runs of the model test, to what a crash test of a few thousand operations needs.
 *
 * Transactions are cut shorter and snapshots rarer; nested transactions, dropped databases, closing and syncing come more often; now and then
 * everything is deleted and the store closed, so that the file is cut.
 */
#ifndef DAXKV_TEST_STEER_H
#define DAXKV_TEST_STEER_H

#include "oracle.h"

struct steer {
	struct rng rng;
	const struct oracle *oracle;
	struct ops *stream;
	bool shared;    /* two users: what their handles are called after a renaming, and snapshots, are left out */
	bool zone_full; /* the store's first zone, all that one bitmap page covers, is nearly full */
	unsigned int readers_percent;
	enum { WIPE_NO, WIPE_BEGIN, WIPE_RUNS } wiping;
};

/* The key in the main database that fills the zone, and stays. */
extern char steer_filler[7];

void steer_start(struct steer *steer, uint64_t seed, const struct oracle *oracle, struct ops *stream, bool shared);

/* steer_crashed - plans are forgotten. */
void steer_crashed(struct steer *steer);

/* steer_op - change op, or (false) leave it out. */
bool steer_op(struct steer *steer, struct op *op);

#endif
