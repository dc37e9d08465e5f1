/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sync_idle.h - the thread of a handle that syncs a store to which nobody commits any more
 * (DAXKV_SYNC_IDLE).
 *
 * The thread sleeps until a commit that waits for a sync wants a look. What is to be done then it
 * is told by a function, which says when the next look is due. The first commit of an interval
 * wakes it, and at most the first: later ones find that a look is wanted already.
 *
 *   wanted  0: it sleeps without a period; else which interval is to be looked at
 *
 * Commits want a look with the writer's lock held, and take the mutex. So the thread never waits
 * for that lock with the mutex held.
 */
#ifndef DAXKV_SYNC_IDLE_H
#define DAXKV_SYNC_IDLE_H

#include "base/base.h"

#include <pthread.h>

/* sync_idle_fn - a look: milliseconds until the next one. */
typedef int64_t sync_idle_fn(void *arg);

struct sync_idle {
	sync_idle_fn *look; /* NULL: there is no thread; fixed while there are commits */
	void *arg;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* one of these, or wanted is not 0 any more: */
	bool looks;             /* the thread is in its function */
	bool held;              /* atomic: it is to begin no look, and to give up one that waits */
	bool ends;
	uint64_t wanted; /* atomic, see above */
};

/* sync_idle_open, sync_idle_close - of a store, without a thread. */
void sync_idle_open(struct sync_idle *s);
void sync_idle_close(struct sync_idle *s);

/* sync_idle_start - start the thread; errno with a text. sync_idle_hold - until sync_idle_go_on the
 * thread leaves the store alone; one that syncs is waited for. sync_idle_end - the thread has
 * ended. The last three do nothing without a thread. */
int sync_idle_start(struct sync_idle *s, sync_idle_fn *look, void *arg);
void sync_idle_hold(struct sync_idle *s);
void sync_idle_go_on(struct sync_idle *s);
void sync_idle_end(struct sync_idle *s);

/* sync_idle_want - a look at this interval, which is not 0; the writer's lock is held. */
void sync_idle_want(struct sync_idle *s, uint64_t interval);

/* sync_idle_wanted - by the thread: the interval that is to be looked at. What its commits stored
 * before is seen. sync_idle_done - that one is of no interest any more. sync_idle_held - whether
 * the look is to be given up. */
static inline uint64_t sync_idle_wanted(const struct sync_idle *s)
{
	return load_acquire(&s->wanted);
}

static inline void sync_idle_done(struct sync_idle *s, uint64_t interval)
{
	/* Pairs with sync_idle_want: a commit finds 0 and wakes the thread, or is found by it. */
	(void)__atomic_compare_exchange_n(&s->wanted, &interval, 0, false, __ATOMIC_ACQ_REL,
	                                  __ATOMIC_ACQUIRE);
}

static inline bool sync_idle_held(const struct sync_idle *s)
{
	return load_relaxed(&s->held);
}

#endif
