/* SPDX-License-Identifier: BSD-3-Clause */
/* many.c - phases whose operations come many to a call, where an engine has such calls. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdlib.h>

#include "run.h"

static struct { /* the entries of a transaction */
	unsigned char *bytes;
	unsigned int n;
	struct bench_bytes key[BENCH_TXN], value[BENCH_TXN];
} batch;

int run_make(struct run *r, uint64_t from, uint64_t to)
{
	size_t size = r->config->key_size + r->value_size;
	double start = clock_ns();

	if (!batch.bytes) { /* one size in a run of the program */
		batch.bytes = malloc(BENCH_TXN * size);
		if (!batch.bytes)
			return ENOMEM;
		for (size_t i = 0; i < BENCH_TXN; i++)
			phase_value(r->value_size, 0, 0,
			            batch.bytes + i * size + r->config->key_size);
	}
	batch.n = (unsigned int)(to - from);
	for (uint64_t i = from; i < to; i++) {
		unsigned char *at = batch.bytes + (i - from) * size;

		phase_key(r->config, r->plan->phase->store, r->plan->ops[i].id, at);
		phase_value_stamp(r->value_size, r->plan->ops[i].id, r->plan->ops[i].version,
		                  at + r->config->key_size);
		batch.key[i - from] = (struct bench_bytes){at, r->config->key_size};
		batch.value[i - from] =
		    (struct bench_bytes){at + r->config->key_size, r->value_size};
	}
	r->made_ns += clock_ns() - start;
	return 0;
}

static int source_next(void *arg, struct bench_bytes *key, struct bench_bytes *value)
{
	unsigned int *at = arg;

	if (*at == batch.n)
		return BENCH_END;
	*key = batch.key[*at];
	*value = batch.value[(*at)++];
	return 0;
}

int run_put_made(struct run *r)
{
	int many = r->plan->phase->many, append = r->plan->phase->append, err = 0;
	unsigned int at = 0;

	*r->what = "put";
	if (many && append && r->e->load)
		return r->e->load(r->session, source_next, &at);
	if (many && !append && r->e->put_many)
		return r->e->put_many(r->session, batch.n, batch.key, batch.value);
	for (; at < batch.n && !err; at++)
		err = r->e->put(r->session, batch.key[at], batch.value[at], append);
	return err;
}

int run_get_many(struct run *r)
{
	unsigned char bytes[BENCH_READ_MANY][BENCH_KEY_MAX + 1];
	struct bench_bytes key[BENCH_READ_MANY], value[BENCH_READ_MANY];

	*r->what = "get";
	for (uint64_t i = 0; i < r->plan->n;) {
		unsigned int n = 0;

		for (; n < BENCH_READ_MANY && i < r->plan->n; n++, i++) {
			phase_key(r->config, r->plan->phase->store, r->plan->ops[i].id, bytes[n]);
			key[n] = (struct bench_bytes){bytes[n], r->config->key_size};
		}
		int err = r->e->get_many(r->session, n, key, value);

		if (err)
			return err;
		for (unsigned int v = 0; v < n; v++)
			r->result->checksum += bytes_touch(value[v]);
		r->result->touched += n;
	}
	return 0;
}

int run_scan_many(struct run *r)
{
	struct bench_bytes key[BENCH_READ_MANY], value[BENCH_READ_MANY];
	unsigned int got;
	int err;

	while ((err = r->e->read_many(r->session,
	                              r->plan->phase->kind == BENCH_SCAN ? BENCH_NEXT : BENCH_PREV,
	                              BENCH_READ_MANY, key, value, &got)) == 0) {
		for (unsigned int i = 0; i < got; i++)
			r->result->checksum += bytes_touch(key[i]) + bytes_touch(value[i]);
		r->result->touched += got;
	}
	return err == BENCH_END ? 0 : err;
}

int run_cut(struct run *r)
{
	uint64_t from = r->config->entries / 4, to = from + r->plan->reported;
	unsigned char first[BENCH_KEY_MAX + 1], end[BENCH_KEY_MAX + 1];
	int err;

	phase_key(r->config, r->plan->phase->store, from, first);
	phase_key(r->config, r->plan->phase->store, to, end);
	*r->what = "begin";
	err = r->e->begin(r->session, 1);
	if (err)
		return err;
	*r->what = "delete";
	if (r->e->del_range)
		err = r->e->del_range(r->session, (struct bench_bytes){first, r->config->key_size},
		                      (struct bench_bytes){end, r->config->key_size});
	for (uint64_t id = from; id < to && !r->e->del_range && !err; id++)
		err = r->e->del(r->session, run_key(r, id));
	if (err) {
		r->e->abort(r->session);
		return err;
	}
	*r->what = "commit";
	return r->e->commit(r->session);
}
