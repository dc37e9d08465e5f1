/* SPDX-License-Identifier: BSD-3-Clause */
/* readers.c - gets by one or more threads, with or without a thread that commits beside them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define SNAPSHOT_GETS 100u /* a reader takes a new snapshot after so many */
#define READERS_MAX   2u

struct team {
	const struct bench_config *config;
	const struct bench_engine *e;
	const struct bench_plan *plan;
	pthread_barrier_t start;
	atomic_int stop; /* relaxed: nothing is published by it */
};

struct member {
	struct team *team;
	void *session;
	unsigned int number;
	uint64_t commits; /* of the writer */
	double begun, ended;
	const char *what;
	int err;
};

/* value_whole - the first and the last 8 bytes belong together, see phase_value_stamp. */
static int value_whole(struct bench_bytes v, size_t size)
{
	return v.size == size && memcmp(v.data, (const char *)v.data + size - 8, 8) == 0;
}

static int reader_snapshot(struct member *m, uint64_t first, uint64_t n)
{
	const struct bench_config *c = m->team->config;
	const struct bench_engine *e = m->team->e;
	unsigned char key[BENCH_KEY_MAX];
	int err;

	m->what = "begin";
	err = e->begin(m->session, 0);
	if (err)
		return err;
	m->what = "get";
	for (uint64_t i = first; i < first + n && !err; i++) {
		struct bench_bytes v;

		phase_key(c, BENCH_STORE_RANDOM,
		          phase_mix(i ^ (uint64_t)m->number << 48) % c->entries, key);
		err = e->get(m->session, (struct bench_bytes){key, c->key_size}, &v);
		if (!err && !value_whole(v, c->value_size)) {
			m->what = "get: half of one value and half of another";
			err = EIO;
		}
	}
	e->abort(m->session);
	return err;
}

static void *reader_main(void *arg)
{
	struct member *m = arg;
	uint64_t n = m->team->config->ops;

	(void)pthread_barrier_wait(&m->team->start);
	m->begun = clock_ns();
	for (uint64_t i = 0; i < n && !m->err; i += SNAPSHOT_GETS)
		m->err = reader_snapshot(m, i, n - i < SNAPSHOT_GETS ? n - i : SNAPSHOT_GETS);
	m->ended = clock_ns();
	return NULL;
}

static int writer_put(struct member *m, const struct bench_op *op, uint32_t version)
{
	const struct bench_config *c = m->team->config;
	const struct bench_engine *e = m->team->e;
	unsigned char key[BENCH_KEY_MAX], value[BENCH_VALUE_MAX];
	int err;

	phase_key(c, BENCH_STORE_RANDOM, op->id, key);
	phase_value(c->value_size, op->id, version, value);
	m->what = "begin beside readers";
	err = e->begin(m->session, 1);
	if (err)
		return err;
	m->what = "put beside readers";
	err = e->put(m->session, (struct bench_bytes){key, c->key_size},
	             (struct bench_bytes){value, c->value_size}, 0);
	if (err) {
		e->abort(m->session);
		return err;
	}
	m->what = "commit beside readers";
	return e->commit(m->session);
}

/* writer_main - rewrite the plan's entries until the readers are done, then, with the clock
 * stopped, bring them to their last version: how often the writer came round does not show in what
 * the store holds. */
static void *writer_main(void *arg)
{
	struct member *m = arg;
	const struct bench_plan *plan = m->team->plan;

	(void)pthread_barrier_wait(&m->team->start);
	m->begun = clock_ns();
	while (!m->err && !atomic_load_explicit(&m->team->stop, memory_order_relaxed)) {
		m->err = writer_put(m, &plan->ops[m->commits % plan->n],
		                    (uint32_t)(0x10000 + m->commits));
		m->commits++;
	}
	m->ended = clock_ns();
	for (uint64_t i = 0; i < plan->n && !m->err; i++)
		m->err = writer_put(m, &plan->ops[i], plan->ops[i].version);
	return NULL;
}

static _Noreturn void threads_refused(void)
{
	fprintf(stderr, "bench: the system refuses a thread\n"); /* those that were started wait in
	                                                            the barrier for ever */
	exit(1);
}

/* team_run - start all threads, wait for the readers, then for the writer, which is the last one.
 * The number of a member that failed, or -1. */
static int team_run(struct member *members, unsigned int n, unsigned int readers)
{
	pthread_t threads[READERS_MAX + 1];

	for (unsigned int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, i < readers ? reader_main : writer_main,
		                   &members[i]))
			threads_refused();
	(void)pthread_barrier_wait(&members[0].team->start);
	for (unsigned int i = 0; i < n; i++) {
		if (i == readers)
			atomic_store_explicit(&members[0].team->stop, 1, memory_order_relaxed);
		if (pthread_join(threads[i], NULL))
			threads_refused();
	}
	for (unsigned int i = 0; i < n; i++)
		if (members[i].err)
			return (int)i;
	return -1;
}

static void team_result(const struct member *members, unsigned int n, unsigned int readers,
                        uint64_t gets, struct bench_result *result)
{
	double begun = members[0].begun, ended = members[0].ended;

	for (unsigned int i = 1; i < readers; i++) {
		begun = members[i].begun < begun ? members[i].begun : begun;
		ended = members[i].ended > ended ? members[i].ended : ended;
	}
	result->ns = (ended - begun) / (double)gets;
	result->touched = gets;
	if (n > readers && members[readers].commits)
		result->writer_ns = (members[readers].ended - members[readers].begun) /
		                    (double)members[readers].commits;
}

int readers_run(const struct bench_config *config, const struct bench_engine *engine, void *session,
                const struct bench_plan *plan, struct bench_result *result, const char **what)
{
	unsigned int readers = plan->phase->threads, n = readers + (plan->phase->writer ? 1 : 0),
	             opened = 0;
	struct member members[READERS_MAX + 1] = {{0}};
	struct team team = {.config = config, .e = engine, .plan = plan};
	int err = 0, failed;

	*what = "open a session";
	if (readers > READERS_MAX)
		return EINVAL;
	for (; opened < n && !err; opened += !err) {
		members[opened] = (struct member){.team = &team, .number = opened};
		err = engine->session_open(session, &members[opened].session);
	}
	if (!err)
		err = pthread_barrier_init(&team.start, NULL, n + 1);
	if (!err) {
		failed = team_run(members, n, readers);
		(void)pthread_barrier_destroy(&team.start);
		if (failed >= 0) {
			err = members[failed].err;
			*what = members[failed].what;
		} else {
			team_result(members, n, readers, plan->reported, result);
		}
	}
	while (opened--)
		engine->session_close(members[opened].session);
	return err;
}

/* ---- readers that do nothing ----------------------------------------------------------------- */

struct idle {
	const struct bench_engine *e;
	unsigned int n;
	pthread_barrier_t begun, stop;
	struct idler {
		struct idle *idle;
		void *session;
		pthread_t thread;
		int err;
	} idler[];
};

static void *idler_main(void *arg)
{
	struct idler *i = arg;
	const struct bench_engine *e = i->idle->e;

	i->err = e->begin(i->session, 0);
	(void)pthread_barrier_wait(&i->idle->begun);
	(void)pthread_barrier_wait(&i->idle->stop);
	if (!i->err)
		e->abort(i->session);
	return NULL;
}

int idle_start(const struct bench_engine *engine, void *session, unsigned int n, struct idle **out)
{
	struct idle *idle = calloc(1, sizeof *idle + n * sizeof idle->idler[0]);
	int err = idle ? 0 : ENOMEM;

	if (err)
		return err;
	idle->e = engine;
	for (; idle->n < n && !err; idle->n += !err) {
		idle->idler[idle->n].idle = idle;
		err = engine->session_open(session, &idle->idler[idle->n].session);
	}
	if (!err)
		err = pthread_barrier_init(&idle->begun, NULL, n + 1);
	if (!err)
		err = pthread_barrier_init(&idle->stop, NULL, n + 1);
	if (err) {
		while (idle->n--)
			engine->session_close(idle->idler[idle->n].session);
		free(idle);
		return err;
	}
	for (unsigned int i = 0; i < n; i++)
		if (pthread_create(&idle->idler[i].thread, NULL, idler_main, &idle->idler[i]))
			threads_refused();
	(void)pthread_barrier_wait(&idle->begun);
	for (unsigned int i = 0; i < n && !err; i++)
		err = idle->idler[i].err;
	*out = idle;
	return err;
}

void idle_stop(struct idle *idle)
{
	if (!idle)
		return;
	(void)pthread_barrier_wait(&idle->stop);
	for (unsigned int i = 0; i < idle->n; i++) {
		if (pthread_join(idle->idler[i].thread, NULL))
			threads_refused();
		idle->e->session_close(idle->idler[i].session);
	}
	(void)pthread_barrier_destroy(&idle->begun);
	(void)pthread_barrier_destroy(&idle->stop);
	free(idle);
}
