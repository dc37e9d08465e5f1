/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sync_idle.c - see sync_idle.h
 *
 * A forked child has neither the thread nor a use for the mutex, which the thread may have held:
 * nothing here is called for a handle that is the parent's.
 */
#include "txn/sync_idle.h"

#include "base/err.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define STACK     ((size_t)256 << 10) /* beside what the C library needs of it */
#define SLEEP_MAX INT32_MAX           /* milliseconds; the look after it tells the rest */

void sync_idle_open(struct sync_idle *s)
{
	pthread_condattr_t attr;

	*s = (struct sync_idle){0};
	pthread_mutex_init(&s->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
}

void sync_idle_close(struct sync_idle *s)
{
	assert(!s->look);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mutex);
}

/* sleep_until - that moment of clock_ms, or until something has changed. The mutex is held. */
static void sleep_until(struct sync_idle *s, int64_t due_ms)
{
	const struct timespec until = {.tv_sec = (time_t)(due_ms / 1000),
	                               .tv_nsec = (long)(due_ms % 1000 * 1000000)};

	(void)pthread_cond_timedwait(&s->changed, &s->mutex, &until);
}

/* sync_idle_run - the thread. */
static void *sync_idle_run(void *arg)
{
	struct sync_idle *s = arg;
	int64_t due_ms = 0;

	(void)pthread_setname_np(pthread_self(), "daxkv-sync"); /* for those that look at threads */
	pthread_mutex_lock(&s->mutex);
	while (!s->ends) {
		if (s->held || !sync_idle_wanted(s)) {
			pthread_cond_wait(&s->changed, &s->mutex);
			continue;
		}
		if (clock_ms() < due_ms) {
			sleep_until(s, due_ms);
			continue;
		}
		s->looks = true;
		pthread_mutex_unlock(&s->mutex);
		const int64_t rest_ms = s->look(s->arg);

		pthread_mutex_lock(&s->mutex);
		s->looks = false;
		due_ms = clock_ms() + (rest_ms < SLEEP_MAX ? rest_ms : SLEEP_MAX);
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

/* signals_of_others - all but those that an instruction raises. Signals are for the program's
 * threads, but a medium that fails is a signal of the thread that reads it, and blocked it would
 * end the process whatever handler the program has. */
static void signals_of_others(sigset_t *set)
{
	sigfillset(set);
	sigdelset(set, SIGBUS);
	sigdelset(set, SIGSEGV);
	sigdelset(set, SIGFPE);
	sigdelset(set, SIGILL);
}

/* The C library counts the program's thread-local variables
 * among the least that a stack must have. */
int sync_idle_start(struct sync_idle *s, sync_idle_fn *look, void *arg)
{
	assert(!s->look);
	const long least = sysconf(_SC_THREAD_STACK_MIN);
	pthread_attr_t attr;
	sigset_t others, before;

	s->look = look;
	s->arg = arg;
	s->ends = false;
	signals_of_others(&others);
	pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK + (least > 0 ? (size_t)least : 0));
	(void)pthread_sigmask(SIG_SETMASK, &others, &before); /* fails on bad arguments only */
	int rc = pthread_create(&s->thread, &attr, sync_idle_run, s);

	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (!rc)
		return 0;
	s->look = NULL;
	return err_sys(rc, "a thread that syncs the idle store (SYNC_IDLE)");
}

/* held_set - and the thread is told. The mutex is held. */
static void held_set(struct sync_idle *s, bool held)
{
	store_relaxed(&s->held, held);
	pthread_cond_broadcast(&s->changed);
}

void sync_idle_hold(struct sync_idle *s)
{
	if (!s->look)
		return;
	pthread_mutex_lock(&s->mutex);
	held_set(s, true);
	while (s->looks)
		pthread_cond_wait(&s->changed, &s->mutex);
	pthread_mutex_unlock(&s->mutex);
}

void sync_idle_go_on(struct sync_idle *s)
{
	if (!s->look)
		return;
	pthread_mutex_lock(&s->mutex);
	held_set(s, false);
	pthread_mutex_unlock(&s->mutex);
}

void sync_idle_end(struct sync_idle *s)
{
	if (!s->look)
		return;
	pthread_mutex_lock(&s->mutex);
	s->ends = true;
	held_set(s, true);
	pthread_mutex_unlock(&s->mutex);
	(void)pthread_join(s->thread, NULL); /* fails when there is no such thread only */
	s->look = NULL;
}

/* A thread that has a look before it comes to this interval by that one: it began later. The mutex
 * is what a thread that is about to sleep has let go of. */
void sync_idle_want(struct sync_idle *s, uint64_t interval)
{
	assert(interval > 0);
	/* Pairs with sync_idle_wanted, and with sync_idle_done. */
	if (LIKELY(__atomic_exchange_n(&s->wanted, interval, __ATOMIC_ACQ_REL)))
		return;
	pthread_mutex_lock(&s->mutex);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->mutex);
}
