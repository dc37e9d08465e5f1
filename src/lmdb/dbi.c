/* SPDX-License-Identifier: BSD-3-Clause */
/* dbi.c - database handles. */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- closing --------------------------------------------------------------------------------- */

/* handle_close - the number is free. The store's handle is kept for a while: a transaction may be
 * looking at it, and the store would refuse it. The mutex is held. */
static void handle_close(MDB_env *env, struct handle *handle)
{
	daxkv_db *last = &env->closed[env->n_closed++ % HANDLES_CLOSED],
	         leaves = env->n_closed > HANDLES_CLOSED ? *last : 0;

	*last = handle->db;
	__atomic_store_n(&handle->from, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&handle->opened_by, 0, __ATOMIC_RELAXED);
	handle_unname(env, handle);
	if (leaves && !handle_of_store(env, leaves))
		daxkv_db_close(env->store, leaves);
}

/* handle_publish - transactions that begin from now on have the handle. The mutex is held. */
static void handle_publish(MDB_env *env, struct handle *handle)
{
	__atomic_store_n(&handle->from, env->events + 2, __ATOMIC_RELEASE);
	__atomic_store_n(&env->events, env->events + 1,
	                 __ATOMIC_RELEASE); /* pairs with the load when one begins */
}

void handles_end(MDB_env *env, uint64_t serial, uint64_t parent, bool keep)
{
	pthread_mutex_lock(&env->mutex);
	for (struct handle *handle = env->own, *next; handle; handle = next) {
		next = handle->next_own;
		if (handle->opened_by != serial)
			continue;
		__atomic_store_n(&handle->opened_by, parent, __ATOMIC_RELAXED);
		if (!parent)
			handle_disown(handle);
		if (!keep)
			handle_close(env, handle);
		else if (!parent)
			handle_publish(env, handle);
	}
	pthread_mutex_unlock(&env->mutex);
}

struct handle *handle_opened(const MDB_txn *txn, struct handle *handle)
{
	uint64_t by = __atomic_load_n(&handle->opened_by, __ATOMIC_RELAXED);

	for (; txn && by; txn = txn->parent)
		if (txn->serial == by)
			return handle;
	return NULL;
}

/* ---- opening --------------------------------------------------------------------------------- */

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

/* handle_learn - what the handle's database is. */
static int handle_learn(MDB_txn *txn, struct handle *handle)
{
	unsigned int flags = 0;
	int rc = daxkv_db_flags(txn->inner, handle->db, &flags);

	if (rc)
		return rc;
	if (handle->flags != (flags & DB_FLAGS))
		handle->flags = flags & DB_FLAGS;
	return flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE)
	           ? compare_provide(txn->inner, handle)
	           : 0;
}

static int open_main(MDB_txn *txn, unsigned int wanted, MDB_dbi *dbi)
{
	struct handle *handle = &txn->env->handle[MAIN_DBI];
	struct daxkv_db_stat stat;
	unsigned int flags = 0;
	daxkv_db db;
	int rc = daxkv_db_flags(txn->inner, DAXKV_MAIN, &flags);

	wanted = store_flags(flags | wanted);
	if (!rc && wanted & ~flags) {
		rc = daxkv_db_stat(txn->inner, DAXKV_MAIN, &stat);
		if (!rc && stat.entries)
			return MDB_INCOMPATIBLE;
		txn->changed = !txn->rdonly;
		if (!rc && !txn->rdonly)
			rc = daxkv_db_open(
			    txn->inner, NULL,
			    DAXKV_CREATE | wanted | (flags & ~(unsigned int)DB_FLAGS), &db);
	}
	if (!rc)
		rc = handle_learn(txn, handle);
	if (!rc)
		*dbi = MAIN_DBI;
	return txn_result(txn, rc);
}

static int store_db_open(MDB_txn *txn, const struct daxkv_val *name, unsigned int flags,
                         daxkv_db *db)
{
	int rc = daxkv_db_open(txn->inner, name, 0, db);

	if (rc != DAXKV_NOT_FOUND || !(flags & MDB_CREATE))
		return rc;
	if (txn->rdonly)
		return EACCES;
	txn->changed = true;
	if (txn->env->no_room)
		return DAXKV_FULL;
	return daxkv_db_open(txn->inner, name, DAXKV_CREATE | store_flags(flags), db);
}

/* handle_again - a handle that is there: its name means what it means in this transaction. */
static int handle_again(MDB_txn *txn, struct handle *handle, int opened, daxkv_db db)
{
	MDB_dbi dbi = (MDB_dbi)(handle - txn->env->handle);

	if (opened && opened != DAXKV_NOT_FOUND)
		return txn_result(txn, opened);
	if (!handle_of(txn, dbi)) { /* two transactions rely on it */
		__atomic_store_n(&handle->from, 1, __ATOMIC_RELEASE);
		__atomic_store_n(&handle->opened_by, 0, __ATOMIC_RELAXED);
		handle_disown(handle);
	}
	if (opened) /* its database is gone, and LMDB does not look */
		return 0;
	handle_restore(txn->env, handle, db);
	return txn_result(txn, handle_learn(txn, handle));
}

/* handle_start - a free one becomes the handle of that name, the transaction's own. */
static int handle_start(MDB_txn *txn, struct handle *handle, const char *name, daxkv_db db)
{
	int rc = handle_name(txn->env, handle, name, db);

	if (rc)
		return rc;
	handle->flags = 0;
	handle->cmp = handle->dcmp = NULL;
	handle->adopted = 0;
	handle_own(txn->env, handle);
	__atomic_store_n(&handle->opened_by, txn_serial(txn), __ATOMIC_RELAXED);
	txn->opened = true;
	return txn_result(txn, handle_learn(txn, handle));
}

/* mdb_open_named - the mutex is held. */
static int mdb_open_named(MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi)
{
	union {
		const char *in;
		void *out;
	} bytes = {name}; /* the store does not write to it */
	struct daxkv_val key = {strlen(name), bytes.out};
	struct handle *handle = handle_of_name(txn->env, name);
	bool found = handle;
	daxkv_db db = 0;
	int rc;

	if (!found && !(handle = handle_lowest_free(txn->env)))
		return MDB_DBS_FULL;
	rc = store_db_open(txn, &key, flags, &db);
	if (found)
		rc = handle_again(txn, handle, rc, db);
	else
		rc = rc ? txn_result(txn, rc) : handle_start(txn, handle, name, db);
	if (!rc)
		*dbi = (MDB_dbi)(handle - txn->env->handle);
	return rc;
}

int mdb_dbi_open(MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi)
{
	if (!txn || !dbi || flags & ~(unsigned int)(DB_FLAGS | MDB_CREATE))
		return EINVAL;
	if (txn->state)
		return MDB_BAD_TXN;
	int rc = txn_is_copy(txn) ? txn_adopt(txn) : 0;

	if (rc)
		return rc;
	if (!name)
		return open_main(txn, flags & DB_FLAGS, dbi);
	bool too_long = strlen(name) > txn->env->max_key; /* to be made, not to be found */

	pthread_mutex_lock(&txn->env->mutex);
	rc = mdb_open_named(txn, name, too_long ? flags & ~(unsigned int)MDB_CREATE : flags, dbi);
	pthread_mutex_unlock(&txn->env->mutex);
	return rc == MDB_NOTFOUND && too_long && flags & MDB_CREATE ? MDB_BAD_VALSIZE : rc;
}

int mdb_dbi_flags(MDB_txn *txn, MDB_dbi dbi, unsigned int *flags)
{
	struct handle *handle = handle_of(txn, dbi);

	if (!handle || !flags || dbi == FREE_DBI)
		return EINVAL;
	unsigned int now = handle->flags;
	int rc = txn->state ? 0 : daxkv_db_flags(txn->inner, handle->db, &now);

	if (rc == DAXKV_CORRUPT)
		return err_of(rc);
	*flags = (rc ? handle->flags : now) & DB_FLAGS;
	return 0;
}

void mdb_dbi_close(MDB_env *env, MDB_dbi dbi)
{
	if (!env || dbi < FIRST_NAMED || dbi >= env->n_handles || env_is_copy(env))
		return;
	pthread_mutex_lock(&env->mutex);
	if (env->handle[dbi].used)
		handle_close(env, &env->handle[dbi]);
	pthread_mutex_unlock(&env->mutex);
}

int mdb_drop(MDB_txn *txn, MDB_dbi dbi, int del)
{
	struct handle *handle = handle_of(txn, dbi);
	int rc;

	if ((unsigned int)del > 1 || !handle || dbi == FREE_DBI)
		return EINVAL;
	if (txn->rdonly)
		return EACCES;
	if (txn->state)
		return MDB_BAD_TXN;
	txn->changed = true;
	rc = daxkv_db_drop(txn->inner, handle->db, del);
	if (rc)
		return txn_result(txn, rc);
	cursors_lose(txn, dbi);
	handle->adopted = 0;
	if (del)
		mdb_dbi_close(txn->env, dbi);
	return 0;
}
