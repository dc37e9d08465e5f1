/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count.c - operations for callgrind to count: each kind lies in a function of its own, at whose entry counting is switched on and at whose end off
 * (valgrind --tool=callgrind --toggle-collect=count_get). scripts/bench-instructions runs it.
 *
 * usage: bench-count FILE COUNT get|update|insert|delete|begin    does COUNT operations of that kind on a new store of 100,000 entries
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daxkv.h"

#define ENTRIES    100000u
#define BATCH      1000u
#define KEY_SIZE   16u
#define VALUE_SIZE 100u

/* Visible, so that callgrind knows them by name. */
int count_get(struct daxkv *kv, uint64_t n);
int count_begin(struct daxkv *kv, uint64_t n);
int count_update(struct daxkv *kv, uint64_t n);
int count_insert(struct daxkv *kv, uint64_t n);
int count_delete(struct daxkv *kv, uint64_t n);

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

struct record {
	unsigned char key[KEY_SIZE], value[VALUE_SIZE];
	struct daxkv_val k, v;
};

static void record_make(struct record *r, uint64_t id, uint64_t version)
{
	uint64_t x = mix(id);

	memset(r->value, 'v', sizeof r->value);
	for (unsigned int i = 0; i < 8; i++) {
		r->key[i] = (unsigned char)(x >> (56 - 8 * i));
		r->key[i + 8] = (unsigned char)(id >> (56 - 8 * i));
		r->value[i] = (unsigned char)(version >> (56 - 8 * i));
	}
	r->k = (struct daxkv_val){sizeof r->key, r->key};
	r->v = (struct daxkv_val){sizeof r->value, r->value};
}

static uint64_t id_existing(uint64_t i)
{
	return mix(i + 77) % ENTRIES;
}

int count_begin(struct daxkv *kv, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		struct daxkv_txn *txn;

		err = daxkv_begin(kv, NULL, DAXKV_TXN_RDONLY, &txn);
		if (!err)
			daxkv_abort(txn);
	}
	return err;
}

/* All gets lie in one transaction. */
int count_get(struct daxkv *kv, uint64_t n)
{
	struct daxkv_txn *txn;
	struct record r;
	int err = daxkv_begin(kv, NULL, DAXKV_TXN_RDONLY, &txn);

	if (err)
		return err;
	for (uint64_t i = 0; i < n && !err; i++) {
		record_make(&r, id_existing(i), 0);
		err = daxkv_get(txn, DAXKV_MAIN, &r.k, &r.v);
	}
	daxkv_abort(txn);
	return err;
}

static int put_one(struct daxkv *kv, uint64_t id, uint64_t version)
{
	struct daxkv_txn *txn;
	struct record r;
	int err = daxkv_begin(kv, NULL, 0, &txn);

	if (err)
		return err;
	record_make(&r, id, version);
	err = daxkv_put(txn, DAXKV_MAIN, &r.k, &r.v, 0);
	if (err) {
		daxkv_abort(txn);
		return err;
	}
	return daxkv_commit(txn);
}

int count_update(struct daxkv *kv, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++)
		err = put_one(kv, id_existing(i), i + 2);
	return err;
}

int count_insert(struct daxkv *kv, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++)
		err = put_one(kv, ENTRIES + i, 1);
	return err;
}

int count_delete(struct daxkv *kv, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		struct daxkv_txn *txn;
		struct record r;

		err = daxkv_begin(kv, NULL, 0, &txn);
		if (err)
			break;
		record_make(&r, i, 0);
		err = daxkv_del(txn, DAXKV_MAIN, &r.k, NULL);
		if (err)
			daxkv_abort(txn);
		else
			err = daxkv_commit(txn);
	}
	return err;
}

static int store_load(struct daxkv *kv)
{
	int err = 0;

	for (uint64_t i = 0; i < ENTRIES && !err;) {
		struct daxkv_txn *txn;
		struct record r;

		err = daxkv_begin(kv, NULL, 0, &txn);
		if (err)
			break;
		for (unsigned int k = 0; k < BATCH && !err; k++, i++) {
			record_make(&r, i, 1);
			err = daxkv_put(txn, DAXKV_MAIN, &r.k, &r.v, 0);
		}
		if (err)
			daxkv_abort(txn);
		else
			err = daxkv_commit(txn);
	}
	return err;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct daxkv *kv, uint64_t n);
	} kinds[] = {{"get", count_get}, {"begin", count_begin}, {"update", count_update}, {"insert", count_insert}, {"delete", count_delete}};
	/* valgrind has little address space to give: max_size keeps the reservation small. */
	struct daxkv_options options = {
	    .flags = DAXKV_CREATE | DAXKV_EXCLUSIVE, .pmem = DAXKV_PMEM_FORCE, .initial_size = 64u << 20, .max_size = 1u << 30};
	struct daxkv *kv;
	uint64_t n = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
	size_t kind = 0;
	int err;

	while (argc == 4 && kind < 5 && strcmp(argv[3], kinds[kind].name) != 0)
		kind++;
	if (argc != 4 || kind == 5 || n == 0 || n > ENTRIES) {
		fprintf(stderr, "usage: bench-count FILE COUNT get|begin|update|insert|delete\n");
		return 2;
	}
	err = daxkv_open(argv[1], &options, &kv);
	if (err) {
		fprintf(stderr, "bench-count: %s: %s\n", argv[1], daxkv_errmsg());
		return 1;
	}
	err = store_load(kv);
	if (!err)
		err = kinds[kind].run(kv, n);
	if (err)
		fprintf(stderr, "bench-count: %s: %s\n", argv[3], daxkv_strerror(err));
	if (daxkv_close(kv))
		err = EIO;
	return err != 0;
}
