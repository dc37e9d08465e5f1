/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>
#include <time.h>

#include "bench.h"

#define RANGE_ENTRIES 50u
#define SIZE_LIMIT    4096u

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

void phase_key(const struct bench_config *config, enum bench_store store, uint64_t id, unsigned char *buf)
{
	uint64_t x = store == BENCH_STORE_RANDOM ? phase_mix(id) : id;

	bytes_store_big_endian(buf, x);
	memset(buf + 8, 'k', config->key_size - 8);
	if (config->key_size >= 16)
		bytes_store_big_endian(buf + config->key_size - 8, phase_mix(x));
}

void phase_value(const struct bench_config *config, uint64_t id, uint32_t version, unsigned char *buf)
{
	uint64_t x = phase_mix(id ^ (uint64_t)version << 40);

	memset(buf, (int)('a' + (x & 15)), config->value_size);
	memcpy(buf, &x, sizeof x);
	memcpy(buf + config->value_size - sizeof x, &x, sizeof x);
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

/* bytes_touch - read the first and the last 8 bytes, as a program that uses the value does. */
static uint64_t bytes_touch(struct bench_bytes b)
{
	uint64_t first = 0, last = 0;

	if (b.size >= sizeof first) {
		memcpy(&first, b.data, sizeof first);
		memcpy(&last, (const char *)b.data + b.size - sizeof last, sizeof last);
	}
	return first + 3 * last + b.size;
}

static int phase_write(const struct bench_config *config, const struct bench_engine *e, void *store, const struct bench_plan *plan,
                       const char **what)
{
	const struct bench_phase *phase = plan->phase;
	unsigned char key[SIZE_LIMIT], value[SIZE_LIMIT];
	struct bench_bytes k = {key, config->key_size}, v = {value, config->value_size};
	uint64_t i = 0;
	int err;

	while (i < plan->n) {
		uint64_t end = plan->n - i < phase->batch ? plan->n : i + phase->batch;

		*what = "begin";
		err = e->begin(store, 1);
		if (err)
			return err;
		for (; i < end; i++) {
			phase_key(config, phase->store, plan->ops[i].id, key);
			if (phase->kind == BENCH_DEL) {
				*what = "delete";
				err = e->del(store, k);
			} else {
				*what = "put";
				phase_value(config, plan->ops[i].id, plan->ops[i].version, value);
				err = e->put(store, k, v, phase->append);
			}
			if (err) {
				e->abort(store);
				return err;
			}
		}
		*what = "commit";
		err = e->commit(store);
		if (err)
			return err;
	}
	return 0;
}

static int phase_get(const struct bench_config *config, const struct bench_engine *e, void *store, const struct bench_plan *plan,
                     struct bench_result *result, const char **what)
{
	unsigned char key[SIZE_LIMIT];
	struct bench_bytes k = {key, config->key_size}, v;

	*what = "get";
	for (uint64_t i = 0; i < plan->n; i++) {
		phase_key(config, plan->phase->store, plan->ops[i].id, key);
		int err = e->get(store, k, &v);

		if (err)
			return err;
		result->checksum += bytes_touch(v);
		result->touched++;
	}
	return 0;
}

static int phase_scan(const struct bench_engine *e, void *store, enum bench_move first, enum bench_move next, uint64_t limit,
                      struct bench_bytes start, struct bench_result *result)
{
	struct bench_bytes k = start, v;
	int err = e->move(store, first, &k, &v);

	while (err == 0) {
		result->checksum += bytes_touch(k) + bytes_touch(v);
		result->touched++;
		if (--limit == 0)
			return 0;
		err = e->move(store, next, &k, &v);
	}
	return err == BENCH_END ? 0 : err;
}

static int phase_cursor(const struct bench_config *config, const struct bench_engine *e, void *store, const struct bench_plan *plan,
                        struct bench_result *result, const char **what)
{
	enum bench_kind kind = plan->phase->kind;
	unsigned char key[SIZE_LIMIT];
	struct bench_bytes k = {key, config->key_size};
	int err = e->cursor_open(store);

	*what = "cursor";
	if (err)
		return err;
	if (kind == BENCH_SCAN)
		err = phase_scan(e, store, BENCH_FIRST, BENCH_NEXT, UINT64_MAX, k, result);
	else if (kind == BENCH_SCAN_BACK)
		err = phase_scan(e, store, BENCH_LAST, BENCH_PREV, UINT64_MAX, k, result);
	else
		for (uint64_t i = 0; i < plan->n && !err; i++) {
			phase_key(config, plan->phase->store, plan->ops[i].id, key);
			err = phase_scan(e, store, BENCH_SEEK, BENCH_NEXT, RANGE_ENTRIES + 1, k, result);
		}
	e->cursor_close(store);
	return err;
}

static int phase_read(const struct bench_config *config, const struct bench_engine *e, void *store, const struct bench_plan *plan,
                      struct bench_result *result, const char **what)
{
	int err;

	*what = "begin";
	err = e->begin(store, 0);
	if (err)
		return err;
	if (plan->phase->kind == BENCH_GET)
		err = phase_get(config, e, store, plan, result, what);
	else
		err = phase_cursor(config, e, store, plan, result, what);
	e->abort(store);
	return err;
}

static double clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int phase_run(const struct bench_config *config, const struct bench_engine *engine, void *store, const struct bench_plan *plan,
              struct bench_result *result, const char **what)
{
	struct bench_counts before = {0}, after = {0};
	int writes = plan->phase->kind == BENCH_PUT || plan->phase->kind == BENCH_DEL;
	double start;
	int err;

	memset(result, 0, sizeof *result);
	if (engine->counts)
		engine->counts(store, &before);
	start = clock_ns();
	err = writes ? phase_write(config, engine, store, plan, what) : phase_read(config, engine, store, plan, result, what);
	result->ns = (clock_ns() - start) / (double)plan->reported;
	if (err)
		return err;
	if (engine->counts)
		engine->counts(store, &after);
	result->counts.fences = after.fences - before.fences;
	result->counts.lines_flushed = after.lines_flushed - before.lines_flushed;
	result->counts.lines_streamed = after.lines_streamed - before.lines_streamed;
	result->counts.grows = after.grows - before.grows;
	return 0;
}
