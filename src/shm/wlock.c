/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wlock.c - see wlock.h
 *
 * The word's states, and who leads from one to the next:
 *
 *    0 free          --wlock_try-->   owner          the common way, one exchange each way
 *    owner           --waiter-->      owner|WAITED   somebody sleeps; the owner will wake one
 *    owner|WAITED    --waiter-->      ...|STARVING   it has slept for long
 *    ...|STARVING    --wlock_give-->  RESERVED       free, but for one that has slept
 *    owner           --wlock_leave--> ABANDONED      free, and something is half done
 *    owner, dead     --waiter-->      waiter         its byte of the lock file is free [I19]
 *
 * Nobody takes the word but by an exchange of exactly what was seen, so of several that find it
 * free, or find its owner dead, one gets it.
 */
#include "shm/wlock.h"

#include "base/base.h"
#include "shm/lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

enum wlock_flag {
	WAITED = 1,   /* somebody sleeps: to be woken */
	STARVING = 2, /* somebody has waited for long: to be reserved when it is given back */
	RESERVED = 4, /* free, for one who has slept */
	ABANDONED = 8 /* free, and something is half done */
};

#define SLEEP_FIRST_US 1000u
#define SLEEP_MAX_US   16000u /* how late a death is noticed */
#define STARVING_US    8000u
#define NAMELESS_LOOKS 128u /* two seconds of sleep at least */

/* now_us - microseconds of a clock that only goes forward. */
static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* low_half - the flags and some of the owner: what the kernel compares. */
static uint32_t *low_half(struct wlock *w)
{
	return (uint32_t *)(void *)&w->word; /* little-endian */
}

/* word_sleep - until the word changes, somebody wakes this thread, or the time is over. 0 or
 * errno. */
static int word_sleep(struct wlock *w, uint64_t seen, uint64_t us)
{
	const struct timespec t = {
	    .tv_sec = (time_t)(us / 1000000),
	    .tv_nsec = (long)(us % 1000000 * 1000),
	};
	long rc = syscall(SYS_futex, low_half(w), FUTEX_WAIT, (uint32_t)seen, &t, NULL, 0);

	if (rc == 0)
		return 0;
	/* it had changed before the sleep; the time is over; a signal came */
	if (errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR)
		return 0;
	return errno;
}

/* word_wake - wake one that sleeps. A wake that nobody needed costs a look at the word. */
static void word_wake(struct wlock *w)
{
	(void)syscall(SYS_futex, low_half(w), FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* word_swap - the word becomes another if it is still what was seen. Acquire order: pairs with
 * word_free. */
static bool word_swap(struct wlock *w, uint64_t seen, uint64_t word)
{
	return swap_acquire(&w->word, &seen, word);
}

/* owner_nameless - the owner is this store, and no thread of it has named itself as the writer. */
static bool owner_nameless(const struct lock *lock, uint32_t owner, uint32_t self)
{
	if (!lock || owner != self || !lock->writer)
		return false;
	return load_relaxed(lock->writer) == 0;
}

/* owner_gone - whether the owner in the word died [I19]. This store's other threads do not show in
 * the lock file; they live, or have called wlock_leave. A thread names itself just after it has the
 * word, and not any more just before it gives it back: looks counts the looks in a row that found
 * no name. EUCLEAN: too many. */
static int owner_gone(const struct lock *lock, uint32_t owner, uint32_t self, unsigned int *looks,
                      bool *gone)
{
	bool held = true;
	int rc = 0;

	if (lock && owner != self)
		rc = lock_owner_held(lock, owner, &held);
	*gone = !rc && !held;
	if (!owner_nameless(lock, owner, self)) {
		*looks = 0;
		return rc;
	}
	++*looks;
	if (*looks > NAMELESS_LOOKS)
		return EUCLEAN;
	return rc;
}

/* is_free - whether the word that was seen may be taken. What is reserved is for one that has
 * slept, or that will not sleep at all. */
static bool is_free(uint64_t seen, bool may_reserved)
{
	if (seen >> WLOCK_OWNER_SHIFT)
		return false;
	return !(seen & RESERVED) || may_reserved;
}

/* waited_flag - what stands in the word of one that takes it: whether somebody sleeps, which one
 * that has slept cannot know. */
static uint64_t waited_flag(uint64_t seen, bool slept)
{
	if (slept)
		return WAITED;
	return seen & WAITED;
}

/* sleep_for - microseconds of the next sleep: as long as is its turn, and no longer than is left of
 * wait_ms, of which waited microseconds are over; negative: no end. */
static uint64_t sleep_for(uint64_t turn, int64_t wait_ms, uint64_t waited)
{
	if (wait_ms < 0)
		return turn;
	return min_u64(turn, (uint64_t)wait_ms * 1000 - waited);
}

/* Each round looks at the word once and acts on that: takes it, marks that somebody waits, or
 * sleeps on exactly the value that it marked. */
int wlock_wait(struct wlock *w, const struct lock *lock, uint32_t self, int64_t wait_ms, bool *died)
{
	const uint64_t mine = (uint64_t)self << WLOCK_OWNER_SHIFT;
	const uint64_t from = now_us();
	uint64_t turn = SLEEP_FIRST_US;
	unsigned int nameless = 0;
	bool slept = false;

	assert(self != 0);
	for (;;) {
		uint64_t seen = load_relaxed(&w->word);
		uint64_t mark = seen | WAITED;
		uint32_t owner = (uint32_t)(seen >> WLOCK_OWNER_SHIFT);
		bool patient = slept || wait_ms == 0;
		bool gone = false;
		uint64_t waited;
		int rc = 0;

		if (owner && patient)
			rc = owner_gone(lock, owner, self, &nameless, &gone);
		if (rc)
			return rc;
		if (gone || is_free(seen, patient)) {
			if (!word_swap(w, seen, mine | waited_flag(seen, slept)))
				continue;
			*died = gone || seen & ABANDONED;
			return 0;
		}
		waited = now_us() - from;
		if (wait_ms >= 0 && waited >= (uint64_t)wait_ms * 1000)
			return EBUSY;
		if (owner && waited >= STARVING_US)
			mark |= STARVING;
		if (mark != seen && !word_swap(w, seen, mark))
			continue;
		rc = word_sleep(w, mark, sleep_for(turn, wait_ms, waited));
		if (rc)
			return rc;
		slept = true;
		turn = min_u64(2 * turn, SLEEP_MAX_US);
	}
}

/* Read without order: an old answer costs one round more, of the one who waits. */
bool wlock_wanted(const struct wlock *w)
{
	return load_relaxed(&w->word) & WAITED;
}

/* A group of write transactions asks it, and takes no more members when it is so. */
bool wlock_starving(const struct wlock *w)
{
	return load_relaxed(&w->word) & STARVING;
}

/* word_free - give the word up; with left, what it protects is half done. One that starves finds it
 * reserved. */
static void word_free(struct wlock *w, uint64_t left)
{
	uint64_t seen = load_relaxed(&w->word);
	uint64_t word;

	assert((left & ~(uint64_t)ABANDONED) == 0);
	do {
		word = left;
		if (seen & STARVING)
			word |= RESERVED | (seen & WAITED);
	} while (!swap_release(&w->word, &seen, word));
	if (seen & WAITED)
		word_wake(w);
}

/* Nothing is half done: the next one need not look. */
void wlock_give(struct wlock *w)
{
	word_free(w, 0);
}

/* The next one learns of it by *died, as of a dead owner. */
void wlock_leave(struct wlock *w)
{
	word_free(w, ABANDONED);
}
