/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_world.h - databases as sets in memory, cursors as places in them, and where a move leads:
 * what test_cursor_walk.c compares the store with.
 */
#ifndef DAXKV_TEST_CURSOR_WORLD_H
#define DAXKV_TEST_CURSOR_WORLD_H

#include "small_store.h"

#include "rng.h"

#define DBS     3u
#define SLOTS   1200u /* what a database can hold, in its order */
#define LEVELS  4u
#define READERS 3u
#define CURSORS 12u
#define FREE    UINT32_MAX /* of no transaction */
#define NOWHERE UINT32_MAX

/* A database of dups keys: slot s is the pair of key s / dups and value s % dups. With one value a
 * key, what the slot has is the number in its value. 0: nothing is there. */
static const struct kind {
	const char *name;
	unsigned int flags;
	uint32_t dups;
	uint32_t vlen; /* of a value, beside its number */
} kinds[DBS] = {
    {"plain", 0, 1, 20},
    {"lists", DAXKV_DUP_SORT, 150, 12},
    {"pairs", DAXKV_DUP_SORT, 2, 8},
};

struct content {
	uint16_t has[DBS][SLOTS];
};

struct place {
	struct daxkv_cursor *c;
	uint32_t txn; /* level of the writer, or LEVELS + reader; FREE */
	uint32_t db;
	uint32_t slot; /* where it is, or was when the entry is gone; NOWHERE */
};

static struct world {
	struct rng rng;
	struct daxkv_store *store;
	daxkv_db db[DBS];
	struct daxkv_txn *txn[LEVELS + READERS];
	bool resting[LEVELS + READERS]; /* a reader that was reset */
	struct content content[LEVELS + READERS], committed;
	uint32_t depth; /* write transactions */
	uint16_t number;
	struct place place[CURSORS];
	uint64_t seed;
	unsigned int step;
} w;

static inline uint32_t rnd(uint32_t below)
{
	return (uint32_t)rng_below(&w.rng, below);
}

#define SAME(a, b)                                                                                 \
	do {                                                                                       \
		long long one = (long long)(a), two = (long long)(b);                              \
		if (one != two)                                                                    \
			fail_msg("seed %llu step %u, %s:%d: %s is %lld, not %lld (%s)",            \
			         (unsigned long long)w.seed, w.step, __FILE__, __LINE__, #a, one,  \
			         two, daxkv_errmsg());                                             \
	} while (0)

/* ---- entries as bytes ------------------------------------------------------------------------ */

static inline struct daxkv_val key_of(uint32_t db, uint32_t slot, char *buf)
{
	sprintf(buf, "k%06u", slot / kinds[db].dups);
	return bytes(buf, 7);
}

/* With many values a key the value is that of the slot, else the number that it was given. */
static inline struct daxkv_val value_of(uint32_t db, uint32_t slot, uint32_t has, char *buf)
{
	uint32_t n = kinds[db].dups > 1 ? slot % kinds[db].dups : has;

	sprintf(buf, "%06u", n);
	memset(buf + 6, 'x', kinds[db].vlen);
	return bytes(buf, 6 + kinds[db].vlen);
}

static inline bool same(struct daxkv_val a, struct daxkv_val b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* ---- where cursors are ----------------------------------------------------------------------- */

static inline const uint16_t *has_of(const struct place *p)
{
	return w.content[p->txn].has[p->db];
}

/* after, before - the nearest entry from slot on, or before it; NOWHERE. */
static inline uint32_t after(const uint16_t *has, uint32_t slot)
{
	while (slot < SLOTS && !has[slot])
		slot++;
	return slot < SLOTS ? slot : NOWHERE;
}

static inline uint32_t before(const uint16_t *has, uint32_t slot)
{
	while (slot > 0 && !has[slot - 1])
		slot--;
	return slot > 0 ? slot - 1 : NOWHERE;
}

static inline uint32_t key_begin(uint32_t db, uint32_t slot)
{
	return slot - slot % kinds[db].dups;
}

static inline uint32_t key_end(uint32_t db, uint32_t slot)
{
	return key_begin(db, slot) + kinds[db].dups;
}

static inline uint32_t within(uint32_t db, uint32_t slot, uint32_t found)
{
	return found != NOWHERE && key_begin(db, found) == key_begin(db, slot) ? found : NOWHERE;
}

/* led - where the move leads; NOWHERE: NOT_FOUND. */
static inline uint32_t led(const struct place *p, enum daxkv_cursor_op op)
{
	const uint16_t *has = has_of(p);
	uint32_t db = p->db, s = p->slot;

	if (s == NOWHERE && (op == DAXKV_NEXT || op == DAXKV_NEXT_KEY || op == DAXKV_NEXT_DUP))
		op = DAXKV_FIRST;
	if (s == NOWHERE && (op == DAXKV_PREV || op == DAXKV_PREV_KEY || op == DAXKV_PREV_DUP))
		op = DAXKV_LAST;
	switch (op) {
	case DAXKV_FIRST:
		return after(has, 0);
	case DAXKV_LAST:
		return before(has, SLOTS);
	case DAXKV_NEXT:
		return after(has, s + 1);
	case DAXKV_PREV:
		return before(has, s);
	case DAXKV_NEXT_KEY:
		return after(has, key_end(db, s));
	case DAXKV_PREV_KEY:
		return before(has, key_begin(db, s));
	case DAXKV_NEXT_DUP:
		return within(db, s, after(has, s + 1));
	case DAXKV_PREV_DUP:
		return within(db, s, before(has, s));
	case DAXKV_FIRST_DUP:
		return within(db, s, after(has, key_begin(db, s)));
	case DAXKV_LAST_DUP:
		return within(db, s, before(has, key_end(db, s)));
	default:
		return after(has, s);
	}
}

#endif
