/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run.h"

uint64_t phase_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static void bytes_store_big_endian(unsigned char *buf, uint64_t x)
{
	for (int i = 0; i < 8; i++)
		buf[i] = (unsigned char)(x >> (56 - 8 * i));
}

void phase_key(const struct bench_config *config, enum bench_store store, uint64_t id,
               unsigned char *buf)
{
	uint64_t x = store == BENCH_STORE_RANDOM || store == BENCH_STORE_MANY ||
	                     store == BENCH_STORE_LARGE || store == BENCH_STORE_KILLED
	                 ? phase_mix(id)
	                 : id;

	bytes_store_big_endian(buf, x);
	memset(buf + 8, 'k', config->key_size - 8);
	if (config->key_size >= 16)
		bytes_store_big_endian(buf + config->key_size - 8, phase_mix(x));
}

size_t phase_value_size(const struct bench_config *config, enum bench_store store)
{
	return store == BENCH_STORE_LARGE ? BENCH_LARGE : config->value_size;
}

/* The first and the last 8 bytes are equal: a reader beside a writer sees a torn value by that. */
void phase_value_stamp(size_t size, uint64_t id, uint32_t version, unsigned char *buf)
{
	uint64_t x = phase_mix(id ^ (uint64_t)version << 40);

	for (size_t at = 0; at + sizeof x <= size; at += 4096)
		memcpy(buf + at, &x, sizeof x);
	memcpy(buf + size - sizeof x, &x, sizeof x);
}

void phase_value(size_t size, uint64_t id, uint32_t version, unsigned char *buf)
{
	memset(buf, 'v', size);
	phase_value_stamp(size, id, version, buf);
}

uint64_t phase_hash(struct bench_bytes key, struct bench_bytes value)
{
	const struct bench_bytes parts[2] = {key, value};
	uint64_t h = 0;

	for (int p = 0; p < 2; p++) {
		const unsigned char *at = parts[p].data;

		for (size_t i = 0; i < parts[p].size; i += 8) {
			uint64_t word = 0;
			size_t n = parts[p].size - i < 8 ? parts[p].size - i : 8;

			memcpy(&word, at + i, n);
			h = phase_mix(h ^ word ^ (uint64_t)n << 60);
		}
	}
	return h;
}

double clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* bytes_touch - read the first and the last 8 bytes, as a program that uses the value does; of a
 * large one 8 of each cache line. */
uint64_t bytes_touch(struct bench_bytes b)
{
	uint64_t first = 0, last = 0, sum = 0;

	if (b.size >= sizeof first) {
		memcpy(&first, b.data, sizeof first);
		memcpy(&last, (const char *)b.data + b.size - sizeof last, sizeof last);
	}
	for (size_t at = 0; b.size >= BENCH_LARGE && at + 8 <= b.size; at += 64) {
		uint64_t word;

		memcpy(&word, (const char *)b.data + at, sizeof word);
		sum += word;
	}
	return first + 3 * last + b.size + sum;
}

struct bench_bytes run_key(struct run *r, uint64_t id)
{
	phase_key(r->config, r->plan->phase->store, id, r->key);
	return (struct bench_bytes){r->key, r->config->key_size};
}

static int run_put(struct run *r, const struct bench_op *op)
{
	phase_value_stamp(r->value_size, op->id, op->version, r->value);
	*r->what = "put";
	return r->e->put(r->session, run_key(r, op->id),
	                 (struct bench_bytes){r->value, r->value_size}, r->plan->phase->append);
}

static int run_get(struct run *r, uint64_t id)
{
	struct bench_bytes v;
	int err;

	*r->what = "get";
	err = r->e->get(r->session, run_key(r, id), &v);
	if (err)
		return err;
	r->result->checksum += bytes_touch(v);
	r->result->touched++;
	return 0;
}

/* run_scan - read up to limit entries, from where first leads on. */
static int run_scan(struct run *r, enum bench_move first, enum bench_move next, uint64_t limit,
                    struct bench_bytes start)
{
	struct bench_bytes k = start, v;
	int err;

	*r->what = "cursor";
	err = r->e->move(r->session, first, &k, &v);
	while (err == 0) {
		r->result->checksum += bytes_touch(k) + bytes_touch(v);
		r->result->touched++;
		if (--limit == 0)
			return 0;
		err = r->e->move(r->session, next, &k, &v);
	}
	return err == BENCH_END ? 0 : err;
}

/* run_batch - operations [from, to) in a transaction. */
static int run_batch(struct run *r, uint64_t from, uint64_t to)
{
	int deletes = r->plan->phase->kind == BENCH_DEL,
	    made = !deletes && r->plan->phase->batch == BENCH_TXN, err = 0;

	*r->what = "make";
	if (made)
		err = run_make(r, from, to);
	if (err)
		return err;
	*r->what = "begin";
	err = r->e->begin(r->session, 1);
	if (err)
		return err;
	if (made)
		err = run_put_made(r);
	for (uint64_t i = from; i < to && !made && !err; i++) {
		const struct bench_op *op = &r->plan->ops[i];

		*r->what = "delete";
		err = deletes ? r->e->del(r->session, run_key(r, op->id)) : run_put(r, op);
	}
	if (err) {
		r->e->abort(r->session);
		return err;
	}
	*r->what = "commit";
	return r->e->commit(r->session);
}

static int run_writes(struct run *r)
{
	uint64_t n = r->plan->n, batch = r->plan->phase->batch;
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i += batch)
		err = run_batch(r, i, n - i < batch ? n : i + batch);
	return err;
}

static int times_compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

/* run_timed - run_writes with a look at the clock before and after each transaction. */
static int run_timed(struct run *r)
{
	static const double parts[BENCH_TAILS] = {0.5, 0.99, 0.999, 1};
	uint64_t n = r->plan->n, batch = r->plan->phase->batch, times = 0;
	float *took = malloc((n / batch + 1) * sizeof *took);
	int err = took ? 0 : ENOMEM;

	for (uint64_t i = 0; i < n && !err; i += batch) {
		double start = clock_ns();

		err = run_batch(r, i, n - i < batch ? n : i + batch);
		took[times++] = (float)(clock_ns() - start);
	}
	if (!err && times) {
		qsort(took, times, sizeof *took, times_compare);
		for (int t = 0; t < BENCH_TAILS; t++)
			r->result->tail[t] =
			    (double)took[(uint64_t)(parts[t] * (double)(times - 1))];
	}
	free(took);
	return err;
}

/* run_relax - commits are relaxed, where they can be; or durable again. */
static int run_relax(struct run *r, int on)
{
	*r->what = on ? "relax" : "end of relaxed commits";
	return r->plan->phase->relaxed && r->e->relax ? r->e->relax(r->session, on) : 0;
}

/* run_relaxed - puts by such commits. The sync that ends them is in nobody's time: the phase of
 * that name has it. */
static int run_relaxed(struct run *r)
{
	double ended;
	int err = run_relax(r, 1);

	if (!err)
		err = r->plan->phase->timed ? run_timed(r) : run_writes(r);
	ended = clock_ns();
	if (!err)
		err = run_relax(r, 0);
	*r->what = "sync";
	if (!err && r->plan->phase->relaxed && r->e->sync)
		err = r->e->sync(r->session);
	r->made_ns += clock_ns() - ended;
	return err;
}

/* run_syncs - relaxed commits in nobody's time, and then a sync. */
static int run_syncs(struct run *r)
{
	const uint64_t n = r->plan->n / r->plan->reported;
	int err = 0;

	for (uint64_t i = 0; i < r->plan->n && !err; i += n) {
		double start = clock_ns();

		err = run_relax(r, 1);
		for (uint64_t j = i; j < i + n && !err; j++)
			err = run_batch(r, j, j + 1);
		r->made_ns += clock_ns() - start;
		*r->what = "sync";
		if (!err && r->e->sync)
			err = r->e->sync(r->session);
	}
	return err ? err : run_relax(r, 0);
}

static int run_cursor(struct run *r)
{
	struct bench_bytes none = {NULL, 0};
	int err;

	*r->what = "cursor";
	err = r->e->cursor_open(r->session);
	if (err)
		return err;
	if (r->plan->phase->many && r->e->read_many)
		err = run_scan_many(r);
	else if (r->plan->phase->kind == BENCH_SCAN)
		err = run_scan(r, BENCH_FIRST, BENCH_NEXT, UINT64_MAX, none);
	else if (r->plan->phase->kind == BENCH_SCAN_BACK)
		err = run_scan(r, BENCH_LAST, BENCH_PREV, UINT64_MAX, none);
	else
		for (uint64_t i = 0; i < r->plan->n && !err; i++)
			err = run_scan(r, BENCH_SEEK, BENCH_NEXT, BENCH_RANGE_READ + 1,
			               run_key(r, r->plan->ops[i].id));
	r->e->cursor_close(r->session);
	return err;
}

/* run_gets_apart - gets, each in a transaction of its own. */
static int run_gets_apart(struct run *r)
{
	int err = 0;

	for (uint64_t i = 0; i < r->plan->n && !err; i++) {
		*r->what = "begin";
		err = r->e->begin(r->session, 0);
		if (err)
			return err;
		err = run_get(r, r->plan->ops[i].id);
		r->e->abort(r->session);
	}
	return err;
}

static int run_reads(struct run *r)
{
	int err;

	if (r->plan->phase->batch)
		return run_gets_apart(r);

	*r->what = "begin";
	err = r->e->begin(r->session, 0);
	if (err)
		return err;
	if (r->plan->phase->many && r->plan->phase->kind == BENCH_GET && r->e->get_many)
		err = run_get_many(r);
	else if (r->plan->phase->kind == BENCH_GET)
		for (uint64_t i = 0; i < r->plan->n && !err; i++)
			err = run_get(r, r->plan->ops[i].id);
	else
		err = run_cursor(r);
	r->e->abort(r->session);
	return err;
}

/* run_op - one operation of a mix, in a transaction of its own. */
static int run_op(struct run *r, const struct bench_op *op)
{
	int writes = op->kind == BENCH_PUT || op->kind == BENCH_MODIFY, err;

	*r->what = "begin";
	err = r->e->begin(r->session, writes);
	if (err)
		return err;
	if (op->kind == BENCH_RANGE) {
		*r->what = "cursor";
		err = r->e->cursor_open(r->session);
		if (!err) {
			err = run_scan(r, BENCH_SEEK, BENCH_NEXT, op->length, run_key(r, op->id));
			r->e->cursor_close(r->session);
		}
	}
	if (op->kind == BENCH_GET || op->kind == BENCH_MODIFY)
		err = run_get(r, op->id);
	if (!err && writes)
		err = run_put(r, op);
	if (err || !writes) {
		r->e->abort(r->session);
		return err;
	}
	*r->what = "commit";
	return r->e->commit(r->session);
}

static int run_mixed(struct run *r)
{
	int err = 0;

	for (uint64_t i = 0; i < r->plan->n && !err; i++)
		err = run_op(r, &r->plan->ops[i]);
	return err;
}

static int run_any(struct run *r)
{
	double start = clock_ns();
	int err;

	switch (r->plan->phase->kind) {
	case BENCH_PUT:
	case BENCH_DEL:
		err = run_relaxed(r);
		break;
	case BENCH_SYNC:
		err = run_syncs(r);
		break;
	case BENCH_MIXED:
		err = run_mixed(r);
		break;
	case BENCH_CUT:
		err = run_cut(r);
		break;
	default:
		err = run_reads(r);
	}
	r->result->ns = (clock_ns() - start - r->made_ns) / (double)r->plan->reported;
	return err;
}

/* written_read - the bytes that this process gave to write(2) and its kin so far; 0 where the
 * kernel does not tell. */
static uint64_t written_read(void)
{
	unsigned long long n = 0;
	char line[128];
	FILE *f = fopen("/proc/self/io", "r");

	if (!f)
		return 0;
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "wchar: %llu", &n) == 1)
			break;
	(void)fclose(f);
	return n;
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* threads_settle - wait, a minute at most, until no background thread of an engine computes or
 * writes: its work is then its own and does not slow the next engine down. */
static void threads_settle(void)
{
	const struct timespec pause = {0, 10000000};
	double limit = clock_ns() + 60e9;
	int quiet = 0;

	while (quiet < 3 && clock_ns() < limit) {
		double before = cpu_ns();
		uint64_t written = written_read();

		(void)nanosleep(&pause, NULL);
		quiet = cpu_ns() - before < 1e6 && written_read() == written ? quiet + 1 : 0;
	}
}

int phase_run(const struct bench_config *config, const struct bench_engine *engine, void *session,
              const struct bench_plan *plan, struct bench_result *result, const char **what)
{
	struct bench_counts before = {0}, after = {0};
	enum bench_kind kind = plan->phase->kind;
	int writes = kind == BENCH_PUT || kind == BENCH_DEL || kind == BENCH_CUT ||
	             kind == BENCH_MIXED || kind == BENCH_READERS || kind == BENCH_WRITERS ||
	             kind == BENCH_SYNC;
	struct run r = {config,
	                engine,
	                session,
	                plan,
	                result,
	                what,
	                phase_value_size(config, plan->phase->store),
	                0,
	                {0},
	                {0}};
	uint64_t written = written_read();
	struct idle *idle = NULL;
	int err = 0;

	phase_value(r.value_size, 0, 0, r.value);
	memset(result, 0, sizeof *result);
	if (engine->counts)
		engine->counts(session, &before);
	*what = "begin of idle readers";
	if (plan->phase->idle)
		err = idle_start(engine, session, plan->phase->idle, &idle);
	if (!err)
		err = kind == BENCH_READERS
		          ? readers_run(config, engine, session, plan, result, what)
		      : kind == BENCH_WRITERS
		          ? writers_run(config, engine, session, plan, result, what)
		          : run_any(&r);
	idle_stop(idle);
	if (err)
		return err;
	if (writes && engine->background)
		threads_settle();
	if (engine->counts)
		engine->counts(session, &after);
	result->written = written_read() - written;
	result->counts.fences = after.fences - before.fences;
	result->counts.lines_flushed = after.lines_flushed - before.lines_flushed;
	result->counts.lines_streamed = after.lines_streamed - before.lines_streamed;
	result->counts.grows = after.grows - before.grows;
	return 0;
}
