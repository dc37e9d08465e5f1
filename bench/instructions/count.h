/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count.h - operations for callgrind to count: each kind lies in a function of its own, at whose
 * entry counting is switched on and at whose end off (valgrind --tool=callgrind
 * --toggle-collect=count_get). scripts/bench-instructions runs them. There are two programs with
 * the same operations: count.c with daxkv's interface, count_lmdb.c with LMDB's, served by daxkv's
 * liblmdb.so.0.
 *
 * usage: PROGRAM FILE COUNT KIND does COUNT operations of that kind on a new store of 100,000
 * entries
 */
#ifndef BENCH_COUNT_H
#define BENCH_COUNT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES    100000u
#define BATCH      1000u
#define KEY_SIZE   16u
#define VALUE_SIZE 100u

static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

struct record {
	unsigned char key[KEY_SIZE], value[VALUE_SIZE];
};

static inline void entry_make(struct record *r, uint64_t id, uint64_t version)
{
	uint64_t x = mix(id);

	memset(r->value, 'v', sizeof r->value);
	for (unsigned int i = 0; i < 8; i++) {
		r->key[i] = (unsigned char)(x >> (56 - 8 * i));
		r->key[i + 8] = (unsigned char)(id >> (56 - 8 * i));
		r->value[i] = (unsigned char)(version >> (56 - 8 * i));
	}
}

/* id_existing - one of the entries that the store was filled with. */
static inline uint64_t id_existing(uint64_t i)
{
	return mix(i + 77) % ENTRIES;
}

struct count_program {
	const char *name;
	int (*open)(const char *file, void **store);
	int (*fill)(void *store);
	int (*close)(void *store);
	const char *(*text)(int err);
	struct {
		const char *name;
		int (*run)(void *store, uint64_t n);
	} kinds[9]; /* the last has no name */
};

static inline int count_main(const struct count_program *p, int argc, char **argv)
{
	uint64_t n = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
	void *store;
	size_t kind = 0;
	int err, end;

	while (argc == 4 && p->kinds[kind].name && strcmp(argv[3], p->kinds[kind].name) != 0)
		kind++;
	if (argc != 4 || !p->kinds[kind].name || n == 0 || n > ENTRIES) {
		fprintf(stderr, "usage: %s FILE COUNT KIND\n", p->name);
		return 2;
	}
	err = p->open(argv[1], &store);
	if (err) {
		fprintf(stderr, "%s: %s: %s\n", p->name, argv[1], p->text(err));
		return 1;
	}
	err = p->fill(store);
	if (!err)
		err = p->kinds[kind].run(store, n);
	if (err)
		fprintf(stderr, "%s: %s: %s\n", p->name, argv[3], p->text(err));
	end = p->close(store);
	return err || end;
}

#endif
