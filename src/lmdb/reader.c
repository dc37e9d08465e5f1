/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reader.c - who reads: LMDB ties an entry of its reader table to a thread from its first read transaction to its end, or with MDB_NOTLS to the
 * transaction's handle. The rule that a thread has one read transaction at a time, and the limit of mdb_env_set_maxreaders, come from it.
 */
#include "layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void entry_free(struct reader *r)
{
	pthread_mutex_lock(&r->env->mutex);
	r->pid = 0;
	r->txn = NULL;
	__atomic_store_n(&r->txnid, NO_TXN, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&r->env->mutex);
}

/* thread_ended - destructor of a thread's entry. */
static void thread_ended(void *arg)
{
	entry_free(arg);
}

int reader_tables_open(MDB_env *env)
{
	int rc;

	env->reader = calloc(env->max_readers ? env->max_readers : 1, sizeof *env->reader);
	if (!env->reader)
		return ENOMEM;
	if (env->flags & (MDB_NOTLS | MDB_NOLOCK))
		return 0;
	rc = pthread_key_create(&env->reader_key, thread_ended);
	env->has_key = !rc;
	return rc == EAGAIN ? MDB_TLS_FULL : rc;
}

void reader_tables_close(MDB_env *env)
{
	if (env->has_key)
		pthread_key_delete(env->reader_key);
	env->has_key = false;
	free(env->reader);
	env->reader = NULL;
	env->readers_high = 0;
}

static int entry_take(MDB_env *env, struct reader **out)
{
	struct reader *r = NULL;

	pthread_mutex_lock(&env->mutex);
	for (unsigned int i = 0; i < env->max_readers && !r; i++) {
		if (env->reader[i].pid)
			continue;
		r = &env->reader[i];
		*r = (struct reader){.env = env, .pid = getpid(), .thread = pthread_self(), .txnid = NO_TXN};
		if (env->readers_high < i + 1)
			env->readers_high = i + 1;
	}
	pthread_mutex_unlock(&env->mutex);
	*out = r;
	return r ? 0 : MDB_READERS_FULL;
}

/* enter_unlisted - without a lock file LMDB counts no readers; the list serves mdb_env_close. */
static int enter_unlisted(MDB_txn *txn)
{
	MDB_env *env = txn->env;

	if (txn->link)
		return 0;
	pthread_mutex_lock(&env->mutex);
	txn->next = env->unlisted;
	txn->link = &env->unlisted;
	if (txn->next)
		txn->next->link = &txn->next;
	env->unlisted = txn;
	pthread_mutex_unlock(&env->mutex);
	return 0;
}

int reader_enter(MDB_txn *txn)
{
	MDB_env *env = txn->env;
	struct reader *r = env->has_key ? pthread_getspecific(env->reader_key) : txn->reader;
	int rc;

	if (env->flags & MDB_NOLOCK)
		return enter_unlisted(txn);
	if (r && r->txn && r->txn != txn && env->has_key)
		return MDB_BAD_RSLOT;
	if (!r) {
		rc = entry_take(env, &r);
		if (rc)
			return rc;
		rc = env->has_key ? pthread_setspecific(env->reader_key, r) : 0;
		if (rc) {
			entry_free(r);
			return rc;
		}
	}
	r->txn = txn;
	txn->reader = r;
	return 0;
}

void reader_leave(MDB_txn *txn, bool end)
{
	struct reader *r = txn->reader;

	if (r) {
		__atomic_store_n(&r->txnid, NO_TXN, __ATOMIC_RELAXED);
		if (txn->env->has_key)
			r->txn = NULL;
		else if (end)
			entry_free(r);
		if (txn->env->has_key || end)
			txn->reader = NULL;
	}
	if (end && txn->link) {
		pthread_mutex_lock(&txn->env->mutex);
		*txn->link = txn->next;
		if (txn->next)
			txn->next->link = txn->link;
		pthread_mutex_unlock(&txn->env->mutex);
		txn->link = NULL;
	}
}

/* ---- reports -------------------------------------------------------------------------------------------------------------- */

struct list {
	MDB_msg_func *func;
	void *ctx;
	bool any;
	int rc;
};

static void list_line(struct list *list, int pid, size_t thread, size_t txnid)
{
	char line[64];

	if (list->rc < 0)
		return;
	if (txnid == NO_TXN)
		snprintf(line, sizeof line, "%10d %zx -\n", pid, thread);
	else
		snprintf(line, sizeof line, "%10d %zx %zu\n", pid, thread, txnid);
	if (!list->any)
		list->rc = list->func("    pid     thread     txnid\n", list->ctx);
	list->any = true;
	if (list->rc >= 0)
		list->rc = list->func(line, list->ctx);
}

/* list_other - of another process the store does not know the thread. */
static void list_other(const struct daxkv_reader *reader, void *arg)
{
	if (!reader->own)
		list_line(arg, reader->pid, 0, reader->running ? (size_t)reader->snapshot : NO_TXN);
}

int mdb_reader_list(MDB_env *env, MDB_msg_func *func, void *ctx)
{
	struct list list = {.func = func, .ctx = ctx};

	if (!env || !func)
		return -1;
	if (!env->reader || env->flags & MDB_NOLOCK)
		return func("(no reader locks)\n", ctx);
	for (unsigned int i = 0; i < env->readers_high; i++) {
		struct reader *r = &env->reader[i];

		if (r->pid)
			list_line(&list, (int)r->pid, (size_t)r->thread, __atomic_load_n(&r->txnid, __ATOMIC_RELAXED));
	}
	daxkv_readers(env->kv, list_other, &list);
	return list.any ? list.rc : func("(no active readers)\n", ctx);
}

int mdb_reader_check(MDB_env *env, int *dead)
{
	int n = 0;

	if (!env)
		return EINVAL;
	if (env->kv && !(env->flags & MDB_NOLOCK))
		n = (int)daxkv_reap(env->kv);
	if (dead)
		*dead = n;
	return 0;
}
