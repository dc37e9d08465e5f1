/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slots.c - how a handle is found among many: by its name, by the store's handle that it stands for,
 * as the lowest free one, and as one that a transaction opened. All of it belongs to the mutex.
 */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 2u /* most environments have few databases */

/* ---- buckets --------------------------------------------------------------------------------- */

/* name_hash - FNV-1a: the buckets take its low bits. */
static uint32_t name_hash(const char *name)
{
	uint64_t h = UINT64_C(0xCBF29CE484222325);

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001B3);
	return (uint32_t)(h ^ h >> 32);
}

/* A store numbers its handles by place, and places are what the low bits say. */
static struct slot **name_bucket(const MDB_env *env, uint32_t hash)
{
	return &env->by_name[hash & (env->buckets - 1)];
}

static struct slot **store_bucket(const MDB_env *env, daxkv_db db)
{
	return &env->by_store[db & (env->buckets - 1)];
}

static void bucket_put(struct slot **bucket, struct slot *slot, struct slot **next)
{
	*next = *bucket;
	*bucket = slot;
}

static void slot_unnamed(MDB_env *env, const struct slot *slot)
{
	struct slot **at = name_bucket(env, slot->hash);

	while (*at != slot)
		at = &(*at)->next_named;
	*at = slot->next_named;
}

static void slot_unstored(MDB_env *env, const struct slot *slot)
{
	struct slot **at = store_bucket(env, slot->db);

	while (*at != slot)
		at = &(*at)->next_store;
	*at = slot->next_store;
}

/* buckets_double - without memory for more they are longer. */
static void buckets_double(MDB_env *env)
{
	uint32_t n = 2 * env->buckets;
	struct slot **by_name = calloc(n, sizeof(struct slot *));
	struct slot **by_store = calloc(n, sizeof(struct slot *));

	if (!by_name || !by_store) {
		free(by_name);
		free(by_store);
		return;
	}
	free(env->by_name);
	free(env->by_store);
	env->by_name = by_name;
	env->by_store = by_store;
	env->buckets = n;
	for (MDB_dbi i = FIRST_NAMED; i < env->high_slot; i++) {
		struct slot *slot = &env->slot[i];

		if (!slot->used)
			continue;
		bucket_put(name_bucket(env, slot->hash), slot, &slot->next_named);
		bucket_put(store_bucket(env, slot->db), slot, &slot->next_store);
	}
}

/* ---- the lowest free one --------------------------------------------------------------------- */

/* free_mark - the slot is free, or is not: a bit, and for each word that has any a bit above. */
static void free_mark(MDB_env *env, MDB_dbi i, bool is_free)
{
	for (unsigned int level = 0; level < SLOT_LEVELS; level++, i /= 64) {
		uint64_t *word = &env->free_slot[level][i / 64], bit = UINT64_C(1) << i % 64;

		*word = is_free ? *word | bit : *word & ~bit;
		if (!is_free && *word)
			break;
	}
}

/* free_lowest - 0: none. */
static MDB_dbi free_lowest(const MDB_env *env)
{
	MDB_dbi i = 0;

	for (unsigned int level = SLOT_LEVELS; level-- > 0;) {
		uint64_t word = env->free_slot[level][i];

		if (!word)
			return 0;
		i = i * 64 + (MDB_dbi)__builtin_ctzll(word);
	}
	return i;
}

/* ---- the table ------------------------------------------------------------------------------- */

int slots_open(MDB_env *env)
{
	uint32_t n = env->n_slots =
	    (env->max_dbs < SLOTS_MAX ? env->max_dbs : SLOTS_MAX) + FIRST_NAMED;
	bool all;

	env->slot = calloc(n, sizeof *env->slot); /* memory that is not used is not there yet */
	env->buckets = BUCKETS_FIRST;
	env->by_name = calloc(env->buckets, sizeof(struct slot *));
	env->by_store = calloc(env->buckets, sizeof(struct slot *));
	all = env->slot && env->by_name && env->by_store;
	for (unsigned int level = 0; level < SLOT_LEVELS; level++) {
		n = n / 64 + 1;
		env->free_slot[level] = calloc(n, sizeof(uint64_t));
		all &= env->free_slot[level] != NULL;
	}
	if (!all) {
		slots_close(env);
		return ENOMEM;
	}
	env->high_slot = FIRST_NAMED;
	env->slot[FREE_DBI] = (struct slot){.used = true, .from = 1, .flags = MDB_INTEGERKEY};
	env->slot[MAIN_DBI] = (struct slot){.used = true, .from = 1, .db = DAXKV_MAIN};
	return 0;
}

void slots_close(MDB_env *env)
{
	for (MDB_dbi i = 0; i < env->high_slot; i++)
		free(env->slot[i].name);
	free(env->slot);
	free(env->by_name);
	free(env->by_store);
	for (unsigned int level = 0; level < SLOT_LEVELS; level++) {
		free(env->free_slot[level]);
		env->free_slot[level] = NULL;
	}
	env->slot = NULL;
	env->by_name = env->by_store = NULL;
	env->own = NULL;
	env->n_slots = env->high_slot = env->named = 0;
	env->n_closed = 0;
}

struct slot *slot_of_store(MDB_env *env, daxkv_db db)
{
	struct slot *slot = db == DAXKV_MAIN ? &env->slot[MAIN_DBI] : *store_bucket(env, db);

	while (slot && slot->db != db)
		slot = slot->next_store;
	return slot;
}

struct slot *slot_of_name(MDB_env *env, const char *name)
{
	uint32_t hash = name_hash(name);
	struct slot *slot = *name_bucket(env, hash);

	while (slot && (slot->hash != hash || strcmp(slot->name, name) != 0))
		slot = slot->next_named;
	return slot;
}

struct slot *slot_free(MDB_env *env)
{
	MDB_dbi i = free_lowest(env);

	if (!i && env->high_slot < env->n_slots) {
		i = env->high_slot++;
		free_mark(env, i, true);
	}
	return i ? &env->slot[i] : NULL;
}

int slot_name(MDB_env *env, struct slot *slot, const char *name, daxkv_db db)
{
	char *copy = strdup(name);

	if (!copy)
		return ENOMEM;
	if (env->named++ >= env->buckets)
		buckets_double(env);
	slot->name = copy;
	slot->hash = name_hash(name);
	slot->db = db;
	slot->used = true;
	free_mark(env, (MDB_dbi)(slot - env->slot), false);
	bucket_put(name_bucket(env, slot->hash), slot, &slot->next_named);
	bucket_put(store_bucket(env, slot->db), slot, &slot->next_store);
	return 0;
}

void slot_unname(MDB_env *env, struct slot *slot)
{
	slot_unnamed(env, slot);
	slot_unstored(env, slot);
	slot_disown(slot);
	free(slot->name);
	slot->name = NULL;
	slot->used = false;
	env->named--;
	free_mark(env, (MDB_dbi)(slot - env->slot), true);
}

void slot_restore(MDB_env *env, struct slot *slot, daxkv_db db)
{
	if (slot->db == db)
		return;
	slot_unstored(env, slot);
	slot->db = db;
	bucket_put(store_bucket(env, db), slot, &slot->next_store);
}

/* ---- those that running transactions opened -------------------------------------------------- */

void slot_own(MDB_env *env, struct slot *slot)
{
	slot->next_own = env->own;
	slot->own = &env->own;
	if (slot->next_own)
		slot->next_own->own = &slot->next_own;
	env->own = slot;
}

void slot_disown(struct slot *slot)
{
	if (!slot->own)
		return;
	*slot->own = slot->next_own;
	if (slot->next_own)
		slot->next_own->own = slot->own;
	slot->own = NULL;
}
