/* SPDX-License-Identifier: BSD-3-Clause */
/* run.h - a phase on one engine, for phases.c (single operations) and many.c (many in one call). */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench.h"

struct run { /* a phase on one engine */
	const struct bench_config *config;
	const struct bench_engine *e;
	void *session;
	const struct bench_plan *plan;
	struct bench_result *result;
	const char **what;
	size_t value_size;
	double made_ns; /* of the phase's time: entries were made, before a transaction of BENCH_TXN
	                   puts. No engine's time has it */
	unsigned char key[BENCH_KEY_MAX + 1], value[BENCH_VALUE_MAX];
};

/* run_key - a key, in r->key. bytes_touch - read the first and the last 8 bytes, as a program that
 * uses the value does; of a large one 8 of each cache line. */
struct bench_bytes run_key(struct run *r, uint64_t id);
uint64_t bytes_touch(struct bench_bytes b);

/* run_get_many - all of a GET phase. run_make - the entries of operations [from, to) of a PUT
 * phase, a whole transaction. run_put_made - put them. run_scan_many - a whole scan. run_cut -
 * remove the middle half of all keys. */
int run_make(struct run *r, uint64_t from, uint64_t to);
int run_put_made(struct run *r);
int run_get_many(struct run *r);
int run_scan_many(struct run *r);
int run_cut(struct run *r);

#endif
