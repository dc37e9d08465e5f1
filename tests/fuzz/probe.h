/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * probe.h - use a store that may be damaged in every way that a program could: open, check, read
 * all of it by cursors and by keys, change it.
 *
 * Whatever the file says, a call may fail, and a damaged value may be read; but no call may crash,
 * hang, or end the program.
 */
#ifndef DAXKV_TEST_PROBE_H
#define DAXKV_TEST_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct probe_result {
	int open;        /* of daxkv_open; the rest means something when it is 0 */
	uint64_t faults; /* of the check */
	uint64_t hash;   /* of all that a reader can see: names, flags, keys, values, errors */
	uint64_t pairs;
	char first[256]; /* the check's first fault */
};

/* probe_read - open read-only, check, and read everything: forwards, backwards, each key by itself,
 * and some that are not there. With quick, forwards and by key only. */
struct probe_result probe_read(const char *path, bool quick);

/* probe_write - open a store that the check passes, and change every database in transactions that
 * depend on seed: put, delete, by cursor, by range and by value, bulk load, drop, rename, nested
 * transactions, abort. Then the checker. Returns false when a call fails that should not, or when
 * the store is in order no more; text says what. */
bool probe_write(const char *path, uint64_t seed, char text[256]);

/* probe_change - the same changes of a store that may be damaged: any call may fail, and the check
 * may find anything, but nothing ends the program. */
void probe_change(const char *path, uint64_t seed);

/* probe_salvage - salvage a store that may be damaged. Returns how many entries that gave, of which
 * every byte was read; *lost: how many places it told of. */
uint64_t probe_salvage(const char *path, uint64_t *lost);

/* probe_fault - daxkv_check's report to the probe_result arg: keeps the first fault. */
void probe_fault(const char *fault, void *arg);

#endif
