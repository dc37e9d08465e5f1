/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reader.c - who reads: LMDB ties an entry of its reader table to a thread from its first read
 * transaction to its end, or with MDB_NOTLS to the transaction's handle. The rule that a thread has
 * one read transaction at a time, and the limit of mdb_env_set_maxreaders, come from it. With
 * MDB_NOLOCK LMDB has no such table: then an entry goes with the handle, and there is no limit.
 *
 * An entry has room for one handle, whose store transaction stays with it, reset, when the program
 * ends it: beginning the next one is renewing that. A thread that begins a second one while its
 * first is reset gets a handle of the heap.
 */
#include "layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* reader_entry_free - nobody's any more. One whose thread ended before its handle has no place to
 * be taken again: it is memory for a new one. */
static void reader_entry_free(struct reader *r)
{
	MDB_env *env = r->env;
	struct reader **list = r->ended ? &env->spare_readers : &env->free_readers;

	pthread_mutex_lock(&env->mutex);
	r->pid = 0;
	r->ended = false;
	r->next_free = *list;
	*list = r;
	pthread_mutex_unlock(&env->mutex);
}

/* entry_leave - the entry's thread has ended, but the program has the handle that lies in it: a
 * place is free. The handle can be ended, or renewed by another thread, as one that was reset. */
static void entry_leave(struct reader *r)
{
	MDB_env *env = r->env;

	pthread_mutex_lock(&env->mutex);
	r->pid = 0;
	r->ended = true;
	__atomic_store_n(&env->n_readers, env->n_readers - 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&env->mutex);
}

/* thread_ended - destructor of a thread's entry. What its handles read, snapshot and place in the
 * store, is given back, whether the program has ended them or not: LMDB does so, and nobody else
 * would. */
static void thread_ended(void *arg)
{
	struct reader *r = arg;
	MDB_txn *running = r->running;

	if (env_is_copy(r->env))
		return;
	if (running) {
		txn_read_stop(running);
		running->state = TXN_IDLE;
	}
	if (running != &r->txn && r->txn.inner)
		txn_read_stop(&r->txn);
	r->running = NULL;
	__atomic_store_n(&r->txnid, NO_TXN, __ATOMIC_RELAXED);
	if (__atomic_load_n(&r->used, __ATOMIC_ACQUIRE))
		entry_leave(r);
	else
		reader_entry_free(r);
}

int reader_tables_open(MDB_env *env)
{
	int rc;

	if (env->flags & (MDB_NOTLS | MDB_NOLOCK))
		return 0;
	rc = pthread_key_create(&env->reader_key, thread_ended);
	env->has_key = !rc;
	return rc == EAGAIN ? MDB_TLS_FULL : rc;
}

int reader_tables_adopt(MDB_env *env)
{
	if (env->has_key)
		pthread_key_delete(env->reader_key);
	env->has_key = false;
	int rc = reader_tables_open(env);

	if (rc)
		return rc;
	env->n_readers = 0;
	env->free_readers = env->spare_readers = NULL;
	for (struct reader *r = env->readers; r; r = r->next) {
		r->running = NULL;
		r->txnid = NO_TXN;
		r->ended = true;
		r->pid = 0;
		if (r->used)
			continue; /* until the program ends the handle in it */
		r->txn.inner = NULL;
		r->next_free = env->spare_readers;
		env->spare_readers = r;
	}
	return 0;
}

void reader_tables_close(MDB_env *env)
{
	if (env->has_key)
		pthread_key_delete(env->reader_key);
	env->has_key = false;
	while (env->readers) {
		struct reader *r = env->readers;

		env->readers = r->next;
		free(r);
	}
	env->last_reader = env->free_readers = env->spare_readers = NULL;
	env->n_readers = 0;
}

/* entry_new - one more; a new one comes at the end of the list. The mutex is held. */
static struct reader *entry_new(MDB_env *env)
{
	struct reader *r = env->spare_readers;

	if (r) {
		env->spare_readers = r->next_free;
	} else {
		r = aligned_alloc(_Alignof(struct reader), sizeof *r);
		if (!r)
			return NULL;
		*r = (struct reader){
		    .env = env, .txnid = NO_TXN, .txn = {.sharing = PTHREAD_MUTEX_INITIALIZER}};
		__atomic_store_n(env->last_reader ? &env->last_reader->next : &env->readers, r,
		                 __ATOMIC_RELEASE);
		env->last_reader = r;
	}
	__atomic_store_n(&env->n_readers, env->n_readers + 1, __ATOMIC_RELAXED);
	return r;
}

static int entry_take(MDB_env *env, struct reader **out)
{
	struct reader *r;
	int rc = 0;

	pthread_mutex_lock(&env->mutex);
	r = env->free_readers;
	if (r)
		env->free_readers = r->next_free;
	else if (env->n_readers >= env->max_readers && !(env->flags & MDB_NOLOCK))
		rc = MDB_READERS_FULL;
	else if (!(r = entry_new(env)))
		rc = ENOMEM;
	if (r) {
		r->pid = getpid();
		r->thread = pthread_self();
	}
	pthread_mutex_unlock(&env->mutex);
	*out = r;
	return rc;
}

/* entry_of_thread - the calling thread's, which must not be showing another transaction. */
static int entry_of_thread(MDB_env *env, struct reader **out)
{
	struct reader *r = pthread_getspecific(env->reader_key);
	int rc;

	*out = r;
	if (LIKELY(r))
		return UNLIKELY(r->running) ? MDB_BAD_RSLOT : 0;
	rc = entry_take(env, &r);
	if (rc)
		return rc;
	rc = pthread_setspecific(env->reader_key, r);
	if (rc)
		reader_entry_free(r);
	*out = r;
	return rc;
}

int reader_txn_new(MDB_env *env, MDB_txn **out)
{
	struct reader *r;
	MDB_txn *txn;
	int rc = env->has_key ? entry_of_thread(env, &r) : entry_take(env, &r);

	if (rc)
		return rc;
	if (LIKELY(!__atomic_load_n(&r->used, __ATOMIC_ACQUIRE))) {
		txn = &r->txn;
		txn->home = r;
		r->used = true;
		txn->serial = 0;
		txn->opened = false;
	} else {
		txn = calloc(1, sizeof *txn);
		if (!txn)
			return ENOMEM;
		txn->sharing = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	}
	txn->env = env;
	txn->forks = fork_count;
	txn->rdonly = true;
	txn->reader = r;
	r->running = txn;
	*out = txn;
	return 0;
}

int reader_enter(MDB_txn *txn)
{
	MDB_env *env = txn->env;
	struct reader *r = txn->reader;
	int rc = env->has_key ? entry_of_thread(env, &r) : 0;

	if (rc)
		return rc;
	txn->reader = r;
	r->running = txn;
	return 0;
}

int reader_adopt(MDB_txn *txn)
{
	struct reader *home = txn->home;
	MDB_env *env = txn->env;
	int rc = 0;

	txn->reader = NULL;
	if (env->has_key || !home)
		return 0;
	pthread_mutex_lock(&env->mutex);
	if (env->n_readers >= env->max_readers && !(env->flags & MDB_NOLOCK)) {
		rc = MDB_READERS_FULL;
	} else {
		__atomic_store_n(&env->n_readers, env->n_readers + 1, __ATOMIC_RELAXED);
		home->ended = false;
		home->pid = getpid();
		home->thread = pthread_self();
		txn->reader = home;
	}
	pthread_mutex_unlock(&env->mutex);
	return rc;
}

void reader_leave(MDB_txn *txn)
{
	struct reader *r = txn->reader;

	if (!r || r->running != txn)
		return;
	__atomic_store_n(&r->txnid, NO_TXN, __ATOMIC_RELAXED);
	r->running = NULL;
}

void reader_txn_free(MDB_txn *txn)
{
	struct reader *home = txn->home;
	bool tied = txn->env->has_key && !(home && home->ended); /* to its thread */

	reader_leave(txn);
	if (!home) {
		free(txn);
		return;
	}
	__atomic_store_n(&home->used, false, __ATOMIC_RELEASE);
	if (!tied)
		reader_entry_free(home);
}

/* ---- reports --------------------------------------------------------------------------------- */

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

/* list_other - a reader of another process, or of another environment here. */
static void list_other(const struct daxkv_reader *reader, void *arg)
{
	if (!reader->own)
		list_line(arg, reader->pid, (size_t)reader->handle,
		          reader->running ? (size_t)reader->snapshot : NO_TXN);
}

int mdb_reader_list(MDB_env *env, MDB_msg_func *func, void *ctx)
{
	struct list list = {.func = func, .ctx = ctx};

	if (!env || !func)
		return -1;
	if (!env->store || env->flags & MDB_NOLOCK)
		return func("(no reader locks)\n", ctx);
	if (env_enter(env))
		return -1;
	for (const struct reader *r = __atomic_load_n(&env->readers, __ATOMIC_ACQUIRE); r;
	     r = __atomic_load_n(&r->next, __ATOMIC_ACQUIRE))
		if (r->pid)
			list_line(&list, (int)r->pid, (size_t)r->thread,
			          __atomic_load_n(&r->txnid, __ATOMIC_RELAXED));
	daxkv_readers_list(env->store, list_other, &list);
	return list.any ? list.rc : func("(no active readers)\n", ctx);
}

int mdb_reader_check(MDB_env *env, int *dead)
{
	int n = 0;

	if (!env)
		return EINVAL;
	if (env->store && !(env->flags & MDB_NOLOCK)) {
		int rc = env_enter(env);

		if (rc)
			return rc;
		n = (int)daxkv_readers_reap(env->store);
	}
	if (dead)
		*dead = n;
	return 0;
}
