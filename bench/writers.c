/* SPDX-License-Identifier: BSD-3-Clause */
/* writers.c - commits of one put by several threads of one store at once. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define WRITERS_MAX 32u

struct crew {
	const struct bench_config *config;
	const struct bench_engine *e;
	const struct bench_plan *plan;
	pthread_barrier_t start;
};

struct writer {
	struct crew *crew;
	void *session;
	unsigned int number;
	double begun, ended;
	const char *what;
	int err;
};

static int writer_put(struct writer *w, const struct bench_op *op)
{
	const struct bench_config *c = w->crew->config;
	const struct bench_engine *e = w->crew->e;
	unsigned char key[BENCH_KEY_MAX], value[BENCH_VALUE_MAX];
	int err;

	phase_key(c, BENCH_STORE_RANDOM, op->id, key);
	phase_value(c->value_size, op->id, op->version, value);
	w->what = "begin among writers";
	err = e->begin(w->session, 1);
	if (err)
		return err;
	w->what = "put among writers";
	err = e->put(w->session, (struct bench_bytes){key, c->key_size},
	             (struct bench_bytes){value, c->value_size}, 0);
	if (err) {
		e->abort(w->session);
		return err;
	}
	w->what = "commit among writers";
	return e->commit(w->session);
}

/* writer_main - its share of the plan: the entries of one thread are no other one's. */
static void *writer_main(void *arg)
{
	struct writer *w = arg;
	const struct bench_plan *plan = w->crew->plan;

	(void)pthread_barrier_wait(&w->crew->start);
	w->begun = clock_ns();
	for (uint64_t i = w->number; i < plan->n && !w->err; i += plan->phase->threads)
		w->err = writer_put(w, &plan->ops[i]);
	w->ended = clock_ns();
	return NULL;
}

static void crew_run(struct writer *writers, unsigned int n)
{
	pthread_t threads[WRITERS_MAX];

	for (unsigned int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, writer_main, &writers[i])) {
			fprintf(stderr, "bench: the system refuses a thread\n");
			exit(1); /* those that were started wait in the barrier for ever */
		}
	(void)pthread_barrier_wait(&writers[0].crew->start);
	for (unsigned int i = 0; i < n; i++)
		(void)pthread_join(threads[i], NULL);
}

/* crew_result - the time from the first begin to the last end. The error of the first that failed.
 */
static int crew_result(const struct writer *writers, unsigned int n, uint64_t commits,
                       struct bench_result *result, const char **what)
{
	double begun = writers[0].begun, ended = writers[0].ended;

	for (unsigned int i = 0; i < n; i++) {
		if (writers[i].err) {
			*what = writers[i].what;
			return writers[i].err;
		}
		begun = writers[i].begun < begun ? writers[i].begun : begun;
		ended = writers[i].ended > ended ? writers[i].ended : ended;
	}
	result->ns = (ended - begun) / (double)commits;
	result->touched = commits;
	return 0;
}

int writers_run(const struct bench_config *config, const struct bench_engine *engine, void *session,
                const struct bench_plan *plan, struct bench_result *result, const char **what)
{
	const unsigned int n = plan->phase->threads;
	struct writer writers[WRITERS_MAX] = {{0}};
	struct crew crew = {.config = config, .e = engine, .plan = plan};
	unsigned int opened = 0;
	int err = n > WRITERS_MAX ? EINVAL : 0;

	*what = "open a session";
	while (opened < n && !err) {
		writers[opened] = (struct writer){.crew = &crew, .number = opened};
		err = engine->session_open(session, &writers[opened].session);
		opened += !err;
	}
	if (!err)
		err = pthread_barrier_init(&crew.start, NULL, n + 1);
	if (!err) {
		crew_run(writers, n);
		(void)pthread_barrier_destroy(&crew.start);
		err = crew_result(writers, n, plan->reported, result, what);
	}
	while (opened--)
		engine->session_close(writers[opened].session);
	return err;
}
