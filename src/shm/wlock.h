/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wlock.h - the writer's lock: one word in the share, taken and given back without a system call
 * when nobody else wants it.
 *
 *   | owner: number of an open store | flags |        0 = free
 *
 * Each open store has a number of its own, and while it lives it holds a byte of the lock file that
 * belongs to that number (lock.h). So the word says who has the lock, whatever PID namespaces the
 * users live in, and the byte says whether that one is still there: who waits looks now and then,
 * and takes the lock from an owner whose byte is free.
 *
 * The rule that makes it correct: a number is given once in the share's life, and its byte is held
 * before the word can have it, until the store is closed. So a free byte means that its owner is
 * gone for good, and a word that still has that number was left by the dead; of several who find
 * out, the exchange of the word lets one in. A thread that ends in a transaction while its process
 * lives on is told by wlock_leave.
 *
 * Fairness: who comes by may be quicker than one who was woken. After some milliseconds a waiter
 * asks for the lock to be reserved, and the next owner then comes from those who have waited.
 *
 * Rejected: a robust pthread mutex. It knows its owner by a thread number, which is unique in one
 * PID namespace only: a writer that dies while it looks at a lock whose owner has the same number
 * makes the kernel hand the lock on, and there are two. Its layout is the C library's, and
 * ThreadSanitizer does not know it.
 */
#ifndef DAXKV_WLOCK_H
#define DAXKV_WLOCK_H

#include "base/base.h"

#include <stdbool.h>
#include <stdint.h>

struct lock;

struct wlock {
	uint64_t word; /* atomic */
};

#define WLOCK_OWNER_SHIFT 8u

/* wlock_try - take it when it is free and nobody waits. Acquire order; pairs with wlock_give. */
static inline bool wlock_try(struct wlock *w, uint32_t owner)
{
	uint64_t free_word = 0;

	return swap_acquire(&w->word, &free_word, (uint64_t)owner << WLOCK_OWNER_SHIFT);
}

/* wlock_wait - take it, waiting wait_ms (0: not at all, negative: as long as it takes). lock tells
 * whether its owner lives; NULL: all users are threads of this store. *died: the owner died, or
 * left it: what it was doing is half done. EBUSY when the time is over; EUCLEAN: the word has this
 * store's number, and for long no thread of it had the lock (lock->writer), so that somebody else
 * wrote it; errno of fcntl or futex. */
int wlock_wait(struct wlock *w, const struct lock *lock, uint32_t owner, int64_t wait_ms,
               bool *died);

/* wlock_give - give it back. wlock_leave - the same, leaving something half done behind: the next
 * one is told. */
void wlock_give(struct wlock *w);
void wlock_leave(struct wlock *w);

/* wlock_wanted - whether somebody waits for it. wlock_starving - whether one has waited for long.
 */
bool wlock_wanted(const struct wlock *w);
bool wlock_starving(const struct wlock *w);

/* wlock_owner - who has it; 0: nobody. */
static inline uint32_t wlock_owner(const struct wlock *w)
{
	return (uint32_t)(load_relaxed(&w->word) >> WLOCK_OWNER_SHIFT);
}

#endif
