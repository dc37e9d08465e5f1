/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * group.c - see group.h
 *
 * Two words are slept on. A thread in the queue sleeps on its own state, because exactly one thread
 * gets the turn. Members sleep on the group's counter, which one call wakes all of.
 *
 *   turn: | threads in the queue, in units of GROUP_WAITER | GROUP_TAKEN |
 *
 * The word alone is enough while nobody waits: a compare and exchange takes the turn, another gives
 * it back. Whoever finds it taken, or somebody waiting, goes to the mutex.
 */
#include "txn/group.h"

#include "base/base.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS  1000000
#define AGE_MAX_NS UINT64_C(10000000) /* a group that is older takes no more members */
#define NO_LIMIT   UINT64_MAX
#define SPIN_NS    UINT64_C(30000) /* so long a thread looks before it sleeps: some turns */
#define SPIN_LOOKS 32u             /* between two looks at the clock */

uint64_t group_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* sleep_on - until the word changes, somebody wakes this thread, or so long. Who is woken looks
 * anew, whatever the call returns. No cancellation point. */
static void sleep_on(uint32_t *word, uint32_t seen, uint64_t ns)
{
	assert(ns > 0);
	const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000),
	                           .tv_nsec = (long)(ns % 1000000000)};

	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, ns == NO_LIMIT ? NULL : &t, NULL,
	              0);
}

/* Those that sleep on the word, and no more of them than threads. */
static void wake(uint32_t *word, int threads)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
}

/* processors - that this process may use; more than one where that cannot be told. */
static int processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set))
		return INT_MAX;
	return CPU_COUNT(&set);
}

/* The mutex is there in any case, so that closing needs no test. */
void group_open(struct commit_group *g, bool on)
{
	*g = (struct commit_group){.on = on, .age_max_ns = AGE_MAX_NS};
	g->spins = processors() > 1;
	g->last = &g->first;
	pthread_mutex_init(&g->mutex, NULL);
}

void group_close(struct commit_group *g)
{
	assert(!g->first);
	assert(!g->root);
	pthread_mutex_destroy(&g->mutex);
}

/* ---- the queue ------------------------------------------------------------------------------- */

/* queue_enter - the mutex is held. false: nobody had the turn any more, and the caller has it. */
static bool queue_enter(struct commit_group *g, struct group_wait *me)
{
	uint32_t seen = load_relaxed(&g->turn);
	uint32_t word;

	do
		word = seen & GROUP_TAKEN ? seen + GROUP_WAITER : seen | GROUP_TAKEN;
	while (!swap_acquire(&g->turn, &seen, word));
	if (!(seen & GROUP_TAKEN))
		return false;
	me->next = NULL;
	*g->last = me;
	g->last = &me->next;
	assert(g->first);
	return true;
}

/* queue_remove - the mutex is held, and *at is in the queue. The turn itself is not touched: the
 * caller hands it on. */
static struct group_wait *queue_remove(struct commit_group *g, struct group_wait **at)
{
	assert(*at);
	assert(group_waiting(g) > 0);
	struct group_wait *w = *at;

	*at = w->next;
	if (g->last == &w->next)
		g->last = at;
	__atomic_fetch_sub(&g->turn, GROUP_WAITER, __ATOMIC_RELAXED);
	return w;
}

/* queue_quit - me does not want the turn any more. false: it has it already. The grant may come in
 * between: then the turn is used, whatever time it is. */
static bool queue_quit(struct commit_group *g, struct group_wait *me)
{
	struct group_wait **at = &g->first;
	bool there;

	pthread_mutex_lock(&g->mutex);
	while (*at && *at != me)
		at = &(*at)->next;
	there = *at;
	if (there)
		(void)queue_remove(g, at);
	pthread_mutex_unlock(&g->mutex);
	return there;
}

/* queue_spin - look for the turn, for as long as others have it for short. */
static void queue_spin(const struct commit_group *g, const struct group_wait *me)
{
	const uint64_t until = group_clock() + SPIN_NS;

	if (!g->spins)
		return;
	while (!load_relaxed(&g->fences) && group_clock() < until) {
		for (unsigned int i = 0; i < SPIN_LOOKS; i++) {
			if (load_relaxed(&me->state) != GROUP_WAITS)
				return;
			spin_pause();
		}
	}
}

/* queue_await - false: the time is over, and me has left the queue. until: by group_clock;
 * NO_LIMIT: as long as it takes. */
static bool queue_await(struct commit_group *g, struct group_wait *me, uint64_t until)
{
	uint32_t seen = GROUP_WAITS;

	queue_spin(g, me);
	(void)swap_acquire(&me->state, &seen, GROUP_SLEEPS); /* unless it has the turn */
	while (load_acquire(&me->state) == GROUP_SLEEPS) {   /* pairs with grant */
		uint64_t now = 0;

		if (until != NO_LIMIT)
			now = group_clock();
		if (now >= until && queue_quit(g, me))
			return false;
		sleep_on(&me->state, GROUP_SLEEPS,
		         until == NO_LIMIT || now >= until ? NO_LIMIT : until - now);
	}
	return true;
}

/* An offer is taken under the mutex, so that one thread alone takes it. */
int group_wait(struct commit_group *g, bool may_join, int64_t *wait_ms, bool *joined)
{
	struct group_wait me = {.joins = may_join};
	const uint64_t from = group_clock();
	uint64_t until = NO_LIMIT;
	bool queued = false;

	if (*wait_ms >= 0)
		until = from + (uint64_t)*wait_ms * NS_PER_MS;
	pthread_mutex_lock(&g->mutex);
	*joined = g->offerer && may_join;
	if (*joined)
		g->offerer = NULL;
	else
		queued = queue_enter(g, &me);
	pthread_mutex_unlock(&g->mutex);
	if (!queued)
		return 0;
	if (!queue_await(g, &me, until))
		return EBUSY;
	*joined = me.state == GROUP_JOINS;
	if (*wait_ms > 0)
		*wait_ms -=
		    (int64_t)min_u64((uint64_t)*wait_ms, (group_clock() - from) / NS_PER_MS);
	return 0;
}

/* grant - w, which is in no list any more, has the turn. Its memory may be gone when it is woken,
 * which does no harm: the kernel looks for sleepers by the address alone. */
static void grant(struct group_wait *w, enum group_state state)
{
	assert(state == GROUP_ALONE || state == GROUP_JOINS);
	/* pairs with queue_await */
	if (__atomic_exchange_n(&w->state, state, __ATOMIC_RELEASE) == GROUP_SLEEPS)
		wake(&w->state, 1);
}

/* The exchange fails when somebody has come to the queue: that one gets the turn. */
void group_leave(struct commit_group *g)
{
	assert(!g->root);
	struct group_wait *w = NULL;
	uint32_t seen = GROUP_TAKEN;

	store_relaxed(&g->fences, false);
	if (LIKELY(swap_release(&g->turn, &seen, 0)))
		return;
	pthread_mutex_lock(&g->mutex);
	if (g->first)
		w = queue_remove(g, &g->first);
	else /* the last one has just left the queue */
		store_release(&g->turn, 0);
	pthread_mutex_unlock(&g->mutex);
	if (w)
		grant(w, GROUP_ALONE);
}

/* ---- the group ------------------------------------------------------------------------------- */

/* me is listed before the turn is away: from then on another thread may close the group. */
bool group_pass(struct commit_group *g, struct group_wait *me, bool offer)
{
	assert(!me || me->state == GROUP_WAITS);
	struct group_wait *w = NULL;

	pthread_mutex_lock(&g->mutex);
	if (g->first && g->first->joins)
		w = queue_remove(g, &g->first);
	offer = offer && !g->first && !w;
	if (me && (w || offer)) {
		me->next = g->members;
		g->members = me;
	}
	if (offer)
		g->offerer = me;
	else
		g->offerer = NULL;
	pthread_mutex_unlock(&g->mutex);
	if (w)
		grant(w, GROUP_JOINS);
	return w || offer;
}

/* offer_withdraw - when nobody came, me has the turn again, and is no member of the list any more.
 */
static bool offer_withdraw(struct commit_group *g, struct group_wait *me)
{
	bool was;

	pthread_mutex_lock(&g->mutex);
	was = g->offerer == me;
	if (was)
		g->offerer = NULL;
	pthread_mutex_unlock(&g->mutex);
	if (was) {
		assert(g->members == me); /* it was the last to commit */
		g->members = me->next;
	}
	return was;
}

/* The counter is loaded before the state: a wake between the two is not slept over. */
enum group_state group_await(struct commit_group *g, struct group_wait *me, uint64_t offer_ns)
{
	uint64_t until = NO_LIMIT;

	if (offer_ns)
		until = group_clock() + offer_ns;
	for (;;) {
		uint32_t woken = load_acquire(&g->woken);
		/* pairs with tell */
		uint32_t state = load_acquire(&me->state);
		uint64_t now;

		if (state != GROUP_WAITS)
			return (enum group_state)state;
		if (until == NO_LIMIT)
			now = 0;
		else
			now = group_clock();
		if (now >= until) {
			if (offer_withdraw(g, me))
				return GROUP_CLOSES;
			until = NO_LIMIT;
			continue;
		}
		sleep_on(&g->woken, woken, until == NO_LIMIT ? NO_LIMIT : until - now);
	}
}

/* tell - a member goes on; its memory may be gone afterwards. Release order: rc and why are there
 * before. */
static void tell(struct group_wait *w, enum group_state state)
{
	assert(state == GROUP_CLOSES || state == GROUP_DONE);
	store_release(&w->state, state); /* pairs with group_await */
}

/* wake_members - all of them; those that were not told go back to sleep. */
static void wake_members(struct commit_group *g)
{
	__atomic_fetch_add(&g->woken, 1, __ATOMIC_RELEASE);
	wake(&g->woken, INT_MAX);
}

/* The member that came last closes. */
void group_yield(struct commit_group *g)
{
	struct group_wait *w = g->members;

	assert(g->root);
	assert(w);
	g->members = w->next;
	tell(w, GROUP_CLOSES);
	wake_members(g);
}

struct group_wait *group_end(struct commit_group *g, int rc)
{
	struct group_wait *members = g->members;

	assert(g->root);
	for (struct group_wait *w = members; w; w = w->next) {
		w->rc = rc;
		if (rc)
			err_save(&w->why);
	}
	g->members = NULL;
	g->root = NULL;
	g->n = 0;
	return members;
}

/* A member that was told may be gone, with the memory of its entry. */
void group_tell(struct commit_group *g, struct group_wait *members)
{
	struct group_wait *next;

	for (struct group_wait *w = members; w; w = next) {
		next = w->next;
		tell(w, GROUP_DONE);
	}
	if (members)
		wake_members(g);
}
