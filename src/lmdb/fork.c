/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fork.c - environments in forked children. Programs open an environment, fork, and use it in the
 * children: data loaders do, and with LMDB that works.
 *
 *   copy     what a child inherits: memory, but neither the store's mapping nor its locks
 *   adopted  from the child's first use on: the store is opened once more, for this process, and
 *            the
 *            database handles are looked up by their names. The child is a user like any other
 *              then,
 *            with places, snapshots and write transactions of its own
 *
 * Transactions belong to the process that began them. A child may end those that it inherited,
 * which changes nothing for its parent, renew one that was reset, and go on reading in one whose
 * snapshot is still the newest: it begins anew on the same state. Anything else is MDB_BAD_TXN.
 *
 * A fork waits until no thread is in the middle of changing the handles of an environment, so that
 * the copy is whole. Its handler comes first, before the store's own: a thread that holds an
 * environment's mutex may be waiting for one of the store's, so those are taken last.
 */
#include "layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

unsigned int fork_count;
static struct {
	pthread_mutex_t mutex; /* also of adopting */
	MDB_env *first;        /* open environments */
	int failed;            /* errno of pthread_atfork */
} envs = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void fork_before(void)
{
	pthread_mutex_lock(&envs.mutex);
	for (MDB_env *env = envs.first; env; env = env->next_env)
		pthread_mutex_lock(&env->mutex);
	cursors_before_fork();
}

static void fork_after(void)
{
	cursors_after_fork();
	for (MDB_env *env = envs.first; env; env = env->next_env)
		pthread_mutex_unlock(&env->mutex);
	pthread_mutex_unlock(&envs.mutex);
}

static void fork_after_in_child(void)
{
	fork_count++;
	fork_after();
}

static void fork_handlers_set(void)
{
	envs.failed = pthread_atfork(fork_before, fork_after, fork_after_in_child);
}

/* ---- environments that are open -------------------------------------------------------------- */

int fork_watch(MDB_env *env)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct stat st;

	pthread_once(&once, fork_handlers_set);
	if (envs.failed)
		return envs.failed;
	if (fstat(daxkv_fd(env->store), &st) != 0)
		return errno;
	env->dev = st.st_dev;
	env->ino = st.st_ino;
	pthread_mutex_lock(&envs.mutex);
	env->next_env = envs.first;
	envs.first = env;
	env->forks = fork_count;
	pthread_mutex_unlock(&envs.mutex);
	return 0;
}

void fork_forget(MDB_env *env)
{
	pthread_mutex_lock(&envs.mutex);
	for (MDB_env **link = &envs.first; *link; link = &(*link)->next_env) {
		if (*link == env) {
			*link = env->next_env;
			break;
		}
	}
	pthread_mutex_unlock(&envs.mutex);
}

char *fork_path(char *name)
{
	char *dir, *path = NULL;

	if (!name || name[0] == '/')
		return name;
	dir = getcwd(NULL, 0);
	if (!dir)
		return name; /* it has to do */
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		path = NULL;
	free(dir);
	free(name);
	return path;
}

/* ---- adopting -------------------------------------------------------------------------------- */

/* handles_adopt - the database handles have the same meaning in the store as it is opened here. One
 * that a transaction of the parent was about to make is not there. */
static int handles_adopt(MDB_env *env)
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(env->store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (rc)
		return rc;
	env->n_closed = 0;
	for (MDB_dbi i = FIRST_NAMED; i < env->high_handle && !rc; i++) {
		struct handle *handle = &env->handle[i];

		handle->adopted = 0;
		if (!handle->used)
			continue;
		struct daxkv_val name = {strlen(handle->name), handle->name};

		daxkv_db db;

		rc = handle->opened_by ? DAXKV_NOT_FOUND : daxkv_db_open(txn, &name, 0, &db);
		if (!rc)
			handle_restore(env, handle, db);
		if (rc != DAXKV_NOT_FOUND)
			continue;
		handle_unname(env, handle);
		handle->from = handle->opened_by = 0;
		rc = 0;
	}
	env->handle[MAIN_DBI].adopted = 0;
	daxkv_txn_commit(txn);
	return rc;
}

/* store_adopt - open the store again, which must be the parent's: its name may mean another by
 * now. */
static int store_adopt(MDB_env *env)
{
	struct daxkv_store *inherited = env->store;
	struct stat st;
	int rc = env_store_open(env, false, env->mapsize, 0);

	if (rc) {
		env->store = inherited;
		return rc;
	}
	if (fstat(daxkv_fd(env->store), &st) != 0 || st.st_dev != env->dev || st.st_ino != env->ino)
		rc = MDB_PANIC;
	else
		rc = err_of(handles_adopt(env));
	if (rc) {
		(void)daxkv_close(env->store);
		env->store = inherited;
	}
	return rc;
}

int fork_adopt(MDB_env *env)
{
	const int cancel = cancel_off();
	int rc = 0;

	pthread_mutex_lock(&envs.mutex);
	if (env->store && env_is_copy(env)) {
		rc = store_adopt(env);
		if (!rc)
			rc = reader_tables_adopt(env);
		if (!rc) {
			env->writer = NULL;
			__atomic_store_n(&env->forks, fork_count, __ATOMIC_RELEASE);
		}
	}
	pthread_mutex_unlock(&envs.mutex);
	cancel_restore(cancel);
	return rc;
}

int txn_adopt(MDB_txn *txn)
{
	MDB_env *env = txn->env;
	bool idle = txn->state & TXN_IDLE;
	uint64_t snapshot = idle ? 0 : daxkv_txn_id(txn->inner);
	int rc = txn->rdonly ? env_enter(env) : MDB_BAD_TXN;

	if (rc)
		return rc;
	(void)cursors_end(txn, false); /* their places are in the parent's store */
	txn->inner = NULL;
	txn->opened = false;
	txn->state = TXN_IDLE;
	rc = reader_adopt(txn);
	if (rc)
		return rc;
	txn->forks = fork_count;
	if (idle)
		return 0;
	rc = mdb_txn_renew(txn);
	if (!rc && daxkv_txn_id(txn->inner) != snapshot) {
		mdb_txn_reset(txn);
		rc = MDB_BAD_TXN;
	}
	return rc;
}
