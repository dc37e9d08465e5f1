/* SPDX-License-Identifier: BSD-3-Clause */
/* dbi.c - database handles. */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ------------------------------------------------------------------------------------------------------------ */

int slots_open(MDB_env *env)
{
	env->slot = calloc(env->max_dbs + FIRST_NAMED, sizeof *env->slot);
	if (!env->slot)
		return ENOMEM;
	env->n_slots = env->max_dbs + FIRST_NAMED;
	env->slot[FREE_DBI] = (struct slot){.used = true, .flags = MDB_INTEGERKEY};
	env->slot[MAIN_DBI] = (struct slot){.used = true, .db = DAXKV_MAIN};
	return 0;
}

void slots_close(MDB_env *env)
{
	for (MDB_dbi i = 0; i < env->n_slots; i++)
		free(env->slot[i].name);
	free(env->slot);
	env->slot = NULL;
	env->n_slots = 0;
	free(env->closed);
	env->closed = NULL;
	env->n_closed = 0;
}

/* slot_close - the number is free. A transaction may still look at the store's handle, so that is kept until its table is full. */
static void slot_close(MDB_env *env, struct slot *slot)
{
	daxkv_db *more = realloc(env->closed, (env->n_closed + 1) * sizeof *more);

	if (more) {
		env->closed = more;
		more[env->n_closed++] = slot->db;
	}
	free(slot->name);
	*slot = (struct slot){.used = false};
}

void slots_end(MDB_env *env, uint64_t serial, uint64_t parent, bool keep)
{
	pthread_mutex_lock(&env->mutex);
	for (MDB_dbi i = FIRST_NAMED; i < env->n_slots; i++) {
		struct slot *slot = &env->slot[i];

		if (!slot->used || slot->opened_by != serial)
			continue;
		slot->opened_by = parent;
		if (!keep)
			slot_close(env, slot);
	}
	pthread_mutex_unlock(&env->mutex);
}

struct slot *slot_of_store(MDB_env *env, daxkv_db db)
{
	for (MDB_dbi i = MAIN_DBI; i < env->n_slots; i++)
		if (env->slot[i].used && env->slot[i].db == db)
			return &env->slot[i];
	return NULL;
}

/* store_handles_free - give the store's handles back that no slot uses. The mutex is held. */
static void store_handles_free(MDB_env *env)
{
	for (size_t i = 0; i < env->n_closed; i++)
		if (!slot_of_store(env, env->closed[i]))
			daxkv_db_close(env->kv, env->closed[i]);
	env->n_closed = 0;
}

/* ---- opening -------------------------------------------------------------------------------------------------------------- */

/* store_flags - as a store takes them: where LMDB lets one of two flags win, that one alone. */
static unsigned int store_flags(unsigned int flags)
{
	unsigned int f = flags & DB_FLAGS;

	if (!(f & MDB_DUPSORT))
		f &= ~(unsigned int)(MDB_DUPFIXED | MDB_INTEGERDUP | MDB_REVERSEDUP);
	if (f & MDB_REVERSEKEY)
		f &= ~(unsigned int)MDB_INTEGERKEY;
	if (f & MDB_INTEGERDUP)
		f &= ~(unsigned int)MDB_REVERSEDUP;
	return f;
}

/* slot_learn - what the handle's database is. */
static int slot_learn(MDB_txn *txn, struct slot *slot)
{
	unsigned int flags = 0;
	int rc = daxkv_db_flags(txn->kv, slot->db, &flags);

	if (rc)
		return rc;
	slot->flags = flags & DB_FLAGS;
	return flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE) ? compare_provide(txn->kv, slot) : 0;
}

static int open_main(MDB_txn *txn, unsigned int wanted, MDB_dbi *dbi)
{
	struct slot *slot = &txn->env->slot[MAIN_DBI];
	struct daxkv_stat stat;
	unsigned int flags = 0;
	daxkv_db db;
	int rc = daxkv_db_flags(txn->kv, DAXKV_MAIN, &flags);

	if (!rc && wanted & ~flags) {
		rc = daxkv_db_stat(txn->kv, DAXKV_MAIN, &stat);
		if (!rc && stat.entries)
			return MDB_INCOMPATIBLE;
		txn->changed = true;
		if (!rc && !txn->rdonly)
			rc = daxkv_db_open(txn->kv, NULL, DAXKV_CREATE | store_flags(flags | wanted) | (flags & ~(unsigned int)DB_FLAGS),
			                   &db);
	}
	if (!rc)
		rc = slot_learn(txn, slot);
	if (!rc)
		*dbi = MAIN_DBI;
	return txn_result(txn, rc);
}

static int store_db_try(MDB_txn *txn, const struct daxkv_val *name, unsigned int flags, daxkv_db *db)
{
	int rc = daxkv_db_open(txn->kv, name, 0, db);

	if (rc != DAXKV_NOTFOUND || !(flags & MDB_CREATE))
		return rc;
	if (txn->rdonly)
		return EACCES;
	txn->changed = true;
	return daxkv_db_open(txn->kv, name, DAXKV_CREATE | store_flags(flags), db);
}

static int store_db_open(MDB_txn *txn, const struct daxkv_val *name, unsigned int flags, daxkv_db *db)
{
	int rc = store_db_try(txn, name, flags, db);

	if (rc != DAXKV_DBS_FULL)
		return rc;
	store_handles_free(txn->env);
	return store_db_try(txn, name, flags, db);
}

/* slot_find - the handle of that name, or a free one; *found tells which. MDB_DBS_FULL. */
static int slot_find(MDB_env *env, const char *name, struct slot **slot, bool *found)
{
	*slot = NULL;
	*found = false;
	for (MDB_dbi i = FIRST_NAMED; i < env->n_slots; i++) {
		struct slot *s = &env->slot[i];

		if (!s->used && !*slot)
			*slot = s;
		if (s->used && strcmp(s->name, name) == 0) {
			*slot = s;
			*found = true;
			return 0;
		}
	}
	return *slot ? 0 : MDB_DBS_FULL;
}

/* open_named - the mutex is held. */
static int open_named(MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi)
{
	union {
		const char *in;
		void *out;
	} bytes = {name}; /* the store does not write to it */
	struct daxkv_val key = {strlen(name), bytes.out};
	MDB_env *env = txn->env;
	struct slot *slot, fresh = {.used = true, .opened_by = txn_serial(txn)};
	bool found;
	int rc;

	rc = slot_find(env, name, &slot, &found);
	if (found && slot->opened_by != fresh.opened_by)
		slot->opened_by = 0; /* two transactions rely on it */
	if (rc)
		return rc;
	rc = store_db_open(txn, &key, flags, &fresh.db);
	if (rc)
		return found && rc == DAXKV_NOTFOUND ? (*dbi = (MDB_dbi)(slot - env->slot), 0) : txn_result(txn, rc);
	if (found) {
		slot->db = fresh.db;
		*dbi = (MDB_dbi)(slot - env->slot);
		return txn_result(txn, slot_learn(txn, slot));
	}
	fresh.name = strdup(name);
	if (!fresh.name)
		return ENOMEM;
	*slot = fresh;
	txn->opened = true;
	*dbi = (MDB_dbi)(slot - env->slot);
	return txn_result(txn, slot_learn(txn, slot));
}

int mdb_dbi_open(MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi)
{
	if (!txn || !dbi || flags & ~(unsigned int)(DB_FLAGS | MDB_CREATE))
		return EINVAL;
	if (txn->state)
		return MDB_BAD_TXN;
	if (!name)
		return open_main(txn, flags & DB_FLAGS, dbi);
	pthread_mutex_lock(&txn->env->mutex);
	int rc = open_named(txn, name, flags, dbi);

	pthread_mutex_unlock(&txn->env->mutex);
	return rc;
}

int mdb_dbi_flags(MDB_txn *txn, MDB_dbi dbi, unsigned int *flags)
{
	struct slot *slot = slot_of(txn, dbi);

	if (!slot || !flags || dbi == FREE_DBI)
		return EINVAL;
	unsigned int now;

	if (!txn->state && daxkv_db_flags(txn->kv, slot->db, &now) == 0)
		slot->flags = now & DB_FLAGS;
	*flags = slot->flags;
	return 0;
}

void mdb_dbi_close(MDB_env *env, MDB_dbi dbi)
{
	if (!env || dbi < FIRST_NAMED || dbi >= env->n_slots)
		return;
	pthread_mutex_lock(&env->mutex);
	if (env->slot[dbi].used)
		slot_close(env, &env->slot[dbi]);
	pthread_mutex_unlock(&env->mutex);
}

int mdb_drop(MDB_txn *txn, MDB_dbi dbi, int del)
{
	struct slot *slot = slot_of(txn, dbi);
	int rc;

	if ((unsigned int)del > 1 || !slot || dbi == FREE_DBI)
		return EINVAL;
	if (txn->rdonly)
		return EACCES;
	if (txn->state)
		return MDB_BAD_TXN;
	txn->changed = true;
	rc = daxkv_db_drop(txn->kv, slot->db, del);
	if (rc)
		return txn_result(txn, rc);
	cursors_lose(txn, dbi);
	slot->adopted = 0;
	if (del)
		mdb_dbi_close(txn->env, dbi);
	return 0;
}
