/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recover.h - make the newest whole transaction current after a crash.
 *
 *   1 find N: the newest valid record whose fresh bytes check out, or the transaction marked clean
 *     when that is newer: a clean store does not need its ring. du: everything up to it is durable
 *     in place
 *   2 erase the follower's place unless it holds the ring's previous round: it must never become
 *     valid [I5]. Flush that, record N and its fresh bytes, FENCE: they may be valid in a cache
 *     only, and what follows builds on them [R4]
 *   3 store the final value of every word of records du+1 .. N, flush, FENCE
 *   4 clean := N, flush, FENCE [I4]
 *
 * Every step may be cut short and done again. Stores go over bytes that are equal already too, so
 * that after a failed fdatasync they are dirty again [R5]. The cost is that of a few records,
 * whatever the store's size. A hole between du and N is corruption: nothing is touched.
 */
#ifndef DAXKV_RECOVER_H
#define DAXKV_RECOVER_H

#include "redo/ring.h"

struct recover_result {
	uint64_t txn; /* the newest transaction, N */
	/* records whose words were stored; 0: the store was clean */
	uint64_t replayed;
};

/* recover - bring the mapped store to its newest transaction. On a private mapping the stores stay
 * private. Errors: CORRUPT, ENOMEM, errno of a fence. */
int recover(struct ring *ring, struct recover_result *result);

/* recover_needed - whether recover() would store anything; *txn as there. Errors: CORRUPT. */
int recover_needed(const struct ring *ring, bool *needed, uint64_t *txn);

/* recover_in_place - whether what the words in place show, if only in the page cache, is one
 * transaction: *txn, the newest, or the one before when none of the newest's words is there, whose
 * process then died before it was acknowledged. Errors: CORRUPT, ENOMEM. */
int recover_in_place(const struct ring *ring, bool *in_place, uint64_t *txn);

#endif
