/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handles.c - how a handle is found among many: by its name, by the store's handle that it stands
 * for, as the lowest free one, and as one that a transaction opened. All of it belongs to the
 * mutex.
 */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 2u /* most environments have few databases */

/* ---- buckets --------------------------------------------------------------------------------- */

/* handle_name_hash - FNV-1a: the buckets take its low bits. */
static uint32_t handle_name_hash(const char *name)
{
	uint64_t h = UINT64_C(0xCBF29CE484222325);

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001B3);
	return (uint32_t)(h ^ h >> 32);
}

/* A store numbers its handles by place, and places are what the low bits say. */
static struct handle **name_bucket(const MDB_env *env, uint32_t hash)
{
	return &env->by_name[hash & (env->buckets - 1)];
}

static struct handle **store_bucket(const MDB_env *env, daxkv_db db)
{
	return &env->by_store[db & (env->buckets - 1)];
}

static void bucket_put(struct handle **bucket, struct handle *handle, struct handle **next)
{
	*next = *bucket;
	*bucket = handle;
}

static void handle_unnamed(MDB_env *env, const struct handle *handle)
{
	struct handle **at = name_bucket(env, handle->hash);

	while (*at != handle)
		at = &(*at)->next_named;
	*at = handle->next_named;
}

static void handle_unstored(MDB_env *env, const struct handle *handle)
{
	struct handle **at = store_bucket(env, handle->db);

	while (*at != handle)
		at = &(*at)->next_store;
	*at = handle->next_store;
}

/* handle_buckets_double - without memory for more they are longer. */
static void handle_buckets_double(MDB_env *env)
{
	uint32_t n = 2 * env->buckets;
	struct handle **by_name = calloc(n, sizeof(struct handle *));
	struct handle **by_store = calloc(n, sizeof(struct handle *));

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
	for (MDB_dbi i = FIRST_NAMED; i < env->high_handle; i++) {
		struct handle *handle = &env->handle[i];

		if (!handle->used)
			continue;
		bucket_put(name_bucket(env, handle->hash), handle, &handle->next_named);
		bucket_put(store_bucket(env, handle->db), handle, &handle->next_store);
	}
}

/* ---- the lowest free one --------------------------------------------------------------------- */

/* free_mark - the handle is free, or is not: a bit, and for each word that has any a bit above. */
static void free_mark(MDB_env *env, MDB_dbi i, bool is_free)
{
	for (unsigned int level = 0; level < HANDLE_LEVELS; level++, i /= 64) {
		uint64_t *word = &env->free_handle[level][i / 64], bit = UINT64_C(1) << i % 64;

		*word = is_free ? *word | bit : *word & ~bit;
		if (!is_free && *word)
			break;
	}
}

/* free_lowest - 0: none. */
static MDB_dbi free_lowest(const MDB_env *env)
{
	MDB_dbi i = 0;

	for (unsigned int level = HANDLE_LEVELS; level-- > 0;) {
		uint64_t word = env->free_handle[level][i];

		if (!word)
			return 0;
		i = i * 64 + (MDB_dbi)__builtin_ctzll(word);
	}
	return i;
}

/* ---- the table ------------------------------------------------------------------------------- */

int handles_open(MDB_env *env)
{
	uint32_t n = env->n_handles =
	    (env->max_dbs < HANDLES_MAX ? env->max_dbs : HANDLES_MAX) + FIRST_NAMED;
	bool all;

	env->handle = calloc(n, sizeof *env->handle); /* memory that is not used is not there yet */
	env->buckets = BUCKETS_FIRST;
	env->by_name = calloc(env->buckets, sizeof(struct handle *));
	env->by_store = calloc(env->buckets, sizeof(struct handle *));
	all = env->handle && env->by_name && env->by_store;
	for (unsigned int level = 0; level < HANDLE_LEVELS; level++) {
		n = n / 64 + 1;
		env->free_handle[level] = calloc(n, sizeof(uint64_t));
		all &= env->free_handle[level] != NULL;
	}
	if (!all) {
		handles_close(env);
		return ENOMEM;
	}
	env->high_handle = FIRST_NAMED;
	env->handle[FREE_DBI] = (struct handle){.used = true, .from = 1, .flags = MDB_INTEGERKEY};
	env->handle[MAIN_DBI] = (struct handle){.used = true, .from = 1, .db = DAXKV_MAIN};
	return 0;
}

void handles_close(MDB_env *env)
{
	for (MDB_dbi i = 0; i < env->high_handle; i++)
		free(env->handle[i].name);
	free(env->handle);
	free(env->by_name);
	free(env->by_store);
	for (unsigned int level = 0; level < HANDLE_LEVELS; level++) {
		free(env->free_handle[level]);
		env->free_handle[level] = NULL;
	}
	env->handle = NULL;
	env->by_name = env->by_store = NULL;
	env->own = NULL;
	env->n_handles = env->high_handle = env->named = 0;
	env->n_closed = 0;
}

struct handle *handle_of_store(MDB_env *env, daxkv_db db)
{
	struct handle *handle = db == DAXKV_MAIN ? &env->handle[MAIN_DBI] : *store_bucket(env, db);

	while (handle && handle->db != db)
		handle = handle->next_store;
	return handle;
}

struct handle *handle_of_name(MDB_env *env, const char *name)
{
	uint32_t hash = handle_name_hash(name);
	struct handle *handle = *name_bucket(env, hash);

	while (handle && (handle->hash != hash || strcmp(handle->name, name) != 0))
		handle = handle->next_named;
	return handle;
}

struct handle *handle_lowest_free(MDB_env *env)
{
	MDB_dbi i = free_lowest(env);

	if (!i && env->high_handle < env->n_handles) {
		i = env->high_handle++;
		free_mark(env, i, true);
	}
	return i ? &env->handle[i] : NULL;
}

int handle_name(MDB_env *env, struct handle *handle, const char *name, daxkv_db db)
{
	char *copy = strdup(name);

	if (!copy)
		return ENOMEM;
	if (env->named++ >= env->buckets)
		handle_buckets_double(env);
	handle->name = copy;
	handle->hash = handle_name_hash(name);
	handle->db = db;
	handle->used = true;
	free_mark(env, (MDB_dbi)(handle - env->handle), false);
	bucket_put(name_bucket(env, handle->hash), handle, &handle->next_named);
	bucket_put(store_bucket(env, handle->db), handle, &handle->next_store);
	return 0;
}

void handle_unname(MDB_env *env, struct handle *handle)
{
	handle_unnamed(env, handle);
	handle_unstored(env, handle);
	handle_disown(handle);
	free(handle->name);
	handle->name = NULL;
	handle->used = false;
	env->named--;
	free_mark(env, (MDB_dbi)(handle - env->handle), true);
}

void handle_restore(MDB_env *env, struct handle *handle, daxkv_db db)
{
	if (handle->db == db)
		return;
	handle_unstored(env, handle);
	handle->db = db;
	bucket_put(store_bucket(env, db), handle, &handle->next_store);
}

/* ---- those that running transactions opened -------------------------------------------------- */

void handle_own(MDB_env *env, struct handle *handle)
{
	handle->next_own = env->own;
	handle->own = &env->own;
	if (handle->next_own)
		handle->next_own->own = &handle->next_own;
	env->own = handle;
}

void handle_disown(struct handle *handle)
{
	if (!handle->own)
		return;
	*handle->own = handle->next_own;
	if (handle->next_own)
		handle->next_own->own = handle->own;
	handle->own = NULL;
}
