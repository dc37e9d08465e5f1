/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state.h - what a store of the failure test has to contain, and the comparison with what it
 * contains.
 *
 * The main database has keys "k0000" to "k0399", value i is of state_fill(len, seed); "dups" has
 * keys with up to 64 values each; "more" is made, renamed to "moved" and dropped.
 */
#ifndef DAXKV_TEST_STATE_H
#define DAXKV_TEST_STATE_H

#include "daxkv.h"

#include <stdbool.h>

#define STATE_KEYS      400u
#define STATE_DUP_KEYS  8u
#define STATE_MORE      40u
#define STATE_VALUE_MAX (3u << 20)

struct state_value {
	bool there;
	uint32_t len, seed;
};

struct state {
	struct state_value main[STATE_KEYS];
	bool dups_there;
	uint64_t dups[STATE_DUP_KEYS]; /* bit v: the pair with value v */
	const char *more_name;         /* NULL: not there */
	struct state_value more[STATE_MORE];
};

/* state_key - the i-th key; good until the next eight calls. */
struct daxkv_val state_key(unsigned int i);

/* state_fill - a value; good until the next call. */
struct daxkv_val state_fill(uint32_t len, uint32_t seed);

/* state_dup - the v-th value of a key with many; good until the next call. */
struct daxkv_val state_dup(unsigned int v);

/* state_name - a database's name as a value. */
struct daxkv_val state_name(const char *name);

/* state_differs - NULL when the newest snapshot of store is s; else one line that says where they
 * differ. */
const char *state_differs(struct daxkv_store *store, const struct state *s);

#endif
