/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * group.h - whose turn it is to write among the threads of one handle, and which of them share a
 * commit (DAXKV_GROUP_COMMIT).
 *
 *      begin: a queue                the group                      a commit
 *   D -> C -> B ... has the turn --> A, B: their changes are in --> one record, one fence, for all
 *                                    one transaction, and wait      whose threads wait
 *
 * A thread that wants to write waits in the queue until it has the turn, and then takes the
 * writer's lock. When its transaction commits while others wait, its changes stay in memory, it
 * becomes the first member of a group, and the turn goes to the next one in the queue, whose
 * transaction runs as one nested in the first. Nobody waits any more, or a bound is reached: the
 * member that has the turn closes the group, which is the commit of the outermost transaction, and
 * all members return with its result. During that commit others come to the queue: the next group.
 * So groups become as large as the medium is slow, and a thread alone never waits: two exchanges of
 * a word are what it pays.
 *
 * This module knows threads, not transactions: it says who has the turn, and wakes who has it.
 * txn_group.c decides when a group goes on and does what members do [G1] to [G6].
 *
 * The rule that makes it correct: exactly one thread has the turn from the first grant until the
 * group is closed, and everything that belongs to the writer is used by that thread only. Each hand
 * over is a release store of what the next one loads with acquire order.
 *
 * To sleep and to be woken costs more than a turn does, which is some microseconds. So a thread in
 * the queue looks for its turn for a moment before it sleeps, unless a commit runs: that takes
 * long. And a thread that has made a commit gives the turn away before it wakes the members, which
 * come back to the queue at once.
 *
 * Rejected: a condition variable for members, because each that it wakes takes its mutex first.
 */
#ifndef DAXKV_GROUP_H
#define DAXKV_GROUP_H

#include "base/base.h"

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct daxkv_txn;

enum group_state {
	GROUP_WAITS,  /* in the queue, or as a member for the end of its group */
	GROUP_SLEEPS, /* in the queue; it is woken when it gets the turn */
	GROUP_ALONE,  /* it has the turn, and nothing is open */
	GROUP_JOINS,  /* it has the turn, in an open group */
	GROUP_CLOSES, /* a member: it has the turn, to close the group */
	GROUP_DONE    /* a member: the group is closed, rc is the result */
};

struct group_wait { /* a thread that waits; on its stack */
	struct group_wait *next;
	uint32_t state; /* atomic: enum group_state */
	bool joins;     /* in the queue: it may become a member */
	int rc;
	struct err_saved why; /* when rc is not 0 */
};

struct commit_group {
	/* fixed when the store is opened */
	bool on;
	bool spins; /* another processor can give the turn up meanwhile */
	/* a group that is older takes no more members; likewise */
	uint64_t age_max_ns;
	pthread_mutex_t mutex;
	/* atomic: GROUP_TAKEN, and GROUP_WAITER for each thread in the queue */
	uint32_t turn;
	/* atomic: counts what members are woken for: the futex they sleep on */
	uint32_t woken;
	/* atomic: who has the turn makes a commit; until group_leave */
	bool fences;
	/* the mutex: */
	/* the queue */
	struct group_wait *first;
	struct group_wait **last;
	/* the member that offers the turn to the next that comes and may join; NULL: none does */
	const struct group_wait *offerer;
	/* the turn: */
	/* the outermost transaction of the open group; NULL: none */
	struct daxkv_txn *root;
	struct group_wait *members; /* those that wait for its end */
	unsigned int n;             /* members */
	unsigned int expected;      /* members of the group before */
	/* its record has no room, and it goes on all the same */
	bool large;
	/* a member's thread ended inside its transaction */
	bool orphan;
	/* when its first member committed; how long a commit took */
	uint64_t since_ns;
	uint64_t fence_ns;
};

#define GROUP_TAKEN  1u
#define GROUP_WAITER 2u

/* group_open, group_close - of a store. on: its threads share commits. */
void group_open(struct commit_group *g, bool on);
void group_close(struct commit_group *g);

/* group_try - the turn, when nobody has it. Acquire order; pairs with group_leave. */
static inline bool group_try(struct commit_group *g)
{
	uint32_t nobody = 0;

	return swap_acquire(&g->turn, &nobody, GROUP_TAKEN);
}

/* group_wait - the turn, after those that came before, waiting *wait_ms (0: not at all, negative:
 * as long as it takes), of which what is left is returned. may_join: a group may take it as a
 * member; *joined: it did. 0 or EBUSY. */
int group_wait(struct commit_group *g, bool may_join, int64_t *wait_ms, bool *joined);

/* group_leave - nothing is open: the turn goes to the first in the queue. */
void group_leave(struct commit_group *g);

/* group_waiting - how many wait in the queue. */
static inline unsigned int group_waiting(const struct commit_group *g)
{
	return load_relaxed(&g->turn) / GROUP_WAITER;
}

/* group_pass - the turn goes to the first in the queue when that one may join; with offer, where
 * nobody waits, to the next that comes. me (NULL: none) then is a member. false: the caller keeps
 * the turn. */
bool group_pass(struct commit_group *g, struct group_wait *me, bool offer);

/* group_await - a member waits for the end of its group; for offer_ns at most as long as the turn
 * is offered. GROUP_DONE, or GROUP_CLOSES: it has the turn, and is no member in the list any more.
 */
enum group_state group_await(struct commit_group *g, struct group_wait *me, uint64_t offer_ns);

/* group_yield - one that is no member gives up the turn of an open group: a member closes it. */
void group_yield(struct commit_group *g);

/* group_end - the group is closed, with rc and, when that is not 0, with the text of the calling
 * thread's error. There is no open group any more. Its members, for group_tell. */
struct group_wait *group_end(struct commit_group *g, int rc);

/* group_tell - members of a group that has ended return. The caller need not have the turn. */
void group_tell(struct commit_group *g, struct group_wait *members);

/* group_clock - nanoseconds of a clock that only rises. */
uint64_t group_clock(void);

#endif
