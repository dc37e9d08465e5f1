/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * progress.c - see progress.h.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "call_store.h"
#include "progress.h"

#define QUIET_MS 1000
#define SHOW_MS  200

static struct {
	bool running, ending, shown, stays;
	bool fixed; /* progress_is tells, and progress_add does not */
	const struct call *call;
	const char *what;
	uint64_t total, done, bytes; /* atomic */
	int64_t from;
	pthread_t thread;
	pthread_mutex_t mutex; /* of ending */
	pthread_cond_t end;
} progress;

static void show(void)
{
	uint64_t done = __atomic_load_n(&progress.done, __ATOMIC_RELAXED);
	uint64_t total = __atomic_load_n(&progress.total, __ATOMIC_RELAXED);
	uint64_t bytes = __atomic_load_n(&progress.bytes, __ATOMIC_RELAXED);
	double seconds = (double)(store_now_ms() - progress.from) / 1000;

	fprintf(stderr, "\rkv %s: %.0f s", progress.call->command->name, seconds);
	if (progress.what != NULL && done > 0) {
		fprintf(stderr, ", %" PRIu64, done);
		if (total > 0)
			fprintf(stderr, " of %" PRIu64, total);
		fprintf(stderr, " %s", progress.what);
		if (total >= done)
			fprintf(stderr, ", %.0f %%", 100 * (double)done / (double)total);
		if (bytes > 0)
			fprintf(stderr, ", %.1f MiB", (double)bytes / (1 << 20));
		if (bytes > 0 && seconds > 0)
			fprintf(stderr, ", %.0f %s/s", (double)done / seconds, progress.what);
	}
	fputs("\033[K", stderr); /* nothing is left of a longer line */
	fflush(stderr);
	progress.shown = true;
}

static void *run(void *arg)
{
	struct timespec until;
	int64_t wait_ms = QUIET_MS;

	(void)arg;
	pthread_mutex_lock(&progress.mutex);
	while (!progress.ending) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += wait_ms % 1000 * 1000000;
		until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		while (!progress.ending &&
		       pthread_cond_timedwait(&progress.end, &progress.mutex, &until) == 0)
			;
		if (!progress.ending)
			show();
		wait_ms = SHOW_MS;
	}
	pthread_mutex_unlock(&progress.mutex);
	return NULL;
}

bool progress_begin(const struct call *call, const char *what, uint64_t total)
{
	pthread_condattr_t attr;
	sigset_t all, before;

	if (progress.running || isatty(STDERR_FILENO) != 1)
		return false;
	progress.call = call;
	progress.what = what;
	progress.total = total;
	progress.done = progress.bytes = 0;
	progress.ending = progress.shown = progress.stays = progress.fixed = false;
	progress.from = store_now_ms();
	pthread_mutex_init(&progress.mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&progress.end, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all); /* signals are for the thread that works */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	progress.running = pthread_create(&progress.thread, NULL, run, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return progress.running;
}

bool progress_begin_beside_output(const struct call *call, const char *what)
{
	return isatty(STDOUT_FILENO) != 1 && progress_begin(call, what, 0);
}

void progress_total(uint64_t total)
{
	__atomic_store_n(&progress.total, total, __ATOMIC_RELAXED);
}

void progress_add(uint64_t n)
{
	if (!__atomic_load_n(&progress.fixed, __ATOMIC_RELAXED))
		__atomic_fetch_add(&progress.done, n, __ATOMIC_RELAXED);
}

void progress_is(uint64_t done)
{
	__atomic_store_n(&progress.fixed, true, __ATOMIC_RELAXED);
	__atomic_store_n(&progress.done, done, __ATOMIC_RELAXED);
}

void progress_add_bytes(uint64_t bytes)
{
	__atomic_fetch_add(&progress.bytes, bytes, __ATOMIC_RELAXED);
}

void progress_stays(void)
{
	progress.stays = true;
}

void progress_clear(void)
{
	if (!progress.running)
		return;
	pthread_mutex_lock(&progress.mutex);
	if (progress.shown)
		fputs("\r\033[K", stderr);
	progress.shown = false;
	pthread_mutex_unlock(&progress.mutex);
}

void progress_end(bool begun)
{
	if (!begun)
		return;
	pthread_mutex_lock(&progress.mutex);
	progress.ending = true;
	pthread_cond_signal(&progress.end);
	pthread_mutex_unlock(&progress.mutex);
	pthread_join(progress.thread, NULL);
	pthread_cond_destroy(&progress.end);
	pthread_mutex_destroy(&progress.mutex);
	progress.running = false;
	if (progress.stays)
		show();
	if (progress.stays)
		fputs("\n", stderr);
	else if (progress.shown)
		fputs("\r\033[K", stderr);
}
