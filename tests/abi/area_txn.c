/* SPDX-License-Identifier: BSD-3-Clause */
/* area_txn.c - transactions, nested ones, and threads. */
#include "areas.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void nested(MDB_env *env)
{
	MDB_txn *top, *mid, *low;
	MDB_dbi dbi, named;
	MDB_val k = value_of("k"), v = value_of("top");

	SHOW(mdb_txn_begin(env, NULL, 0, &top));
	SHOW(mdb_dbi_open(top, NULL, 0, &dbi));
	SHOW(mdb_put(top, dbi, &k, &v, 0));
	SHOW(mdb_txn_begin(env, top, 0, &mid));
	printf("same id %d\n", mdb_txn_id(top) == mdb_txn_id(mid));
	SHOW(mdb_get(top, dbi, &k, &v));
	SHOW(mdb_put(top, dbi, &k, &v, 0));
	SHOW(mdb_txn_begin(env, top, 0, &low));
	v = value_of("mid");
	SHOW(mdb_put(mid, dbi, &k, &v, 0));
	SHOW(mdb_txn_begin(env, mid, 0, &low));
	v = value_of("low");
	SHOW(mdb_put(low, dbi, &k, &v, 0));
	SHOW(mdb_dbi_open(low, "made below", MDB_CREATE, &named));
	printf("handle %u\n", named);
	mdb_txn_abort(low);
	SHOW(mdb_get(mid, dbi, &k, &v));
	shown_val("k", &v);
	SHOW(mdb_dbi_open(mid, "made below", 0, &named));
	SHOW(mdb_txn_commit(mid));
	SHOW(mdb_get(top, dbi, &k, &v));
	shown_val("k", &v);
	SHOW(mdb_txn_begin(env, top, 0, &mid));
	SHOW(mdb_del(mid, dbi, &k, NULL));
	SHOW(mdb_get(mid, dbi, &k, &v));
	mdb_txn_abort(mid);
	SHOW(mdb_get(top, dbi, &k, &v));
	SHOW(mdb_txn_begin(env, top, MDB_RDONLY, &mid));
	SHOW(mdb_txn_begin(env, top, 0, &mid));
	v = value_of("by the parent's commit");
	SHOW(mdb_put(mid, dbi, &k, &v, 0));
	SHOW(mdb_txn_commit(top));
}

/* deep - forty transactions inside each other, which end in turn by commit and abort. */
static void deep(MDB_env *env)
{
	MDB_txn *txn[40];
	unsigned int kept = 0;

	for (unsigned int i = 0; i < 40; i++) {
		MDB_val k = {sizeof i, &i}, v = value_of("deep");

		if (mdb_txn_begin(env, i ? txn[i - 1] : NULL, 0, &txn[i]) ||
		    mdb_put(txn[i], 1, &k, &v, 0))
			exit(2);
	}
	for (unsigned int i = 40; i-- > 0;) {
		if (i && i % 7 == 0)
			mdb_txn_abort(txn[i]); /* and with it what its children had committed */
		else if (mdb_txn_commit(txn[i]))
			exit(2);
	}
	SHOW(mdb_txn_begin(env, NULL, 0, &txn[0]));
	for (unsigned int i = 0; i < 40; i++) {
		MDB_val k = {sizeof i, &i}, v;

		kept += mdb_get(txn[0], 1, &k, &v) == 0;
		(void)mdb_del(txn[0], 1, &k, NULL);
	}
	printf("kept %u\n", kept);
	SHOW(mdb_txn_commit(txn[0]));
}

/* goes_on - a cursor whose transaction was reset and renewed, without mdb_cursor_renew, finds its
 * place again. */
static void goes_on(MDB_env *env)
{
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_val k, v;
	char name[2] = "a";

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	for (; name[0] <= 'h'; name[0]++) {
		k = value_of(name);
		SHOW(mdb_put(txn, 1, &k, &k, 0));
	}
	printf("id %zu\n", mdb_txn_id(txn));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	printf("id %zu\n", mdb_txn_id(txn));
	SHOW(mdb_cursor_open(txn, 1, &c));
	while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0) {
		shown_val("key", &k);
		mdb_txn_reset(txn);
		SHOW(mdb_txn_renew(txn));
	}
	mdb_cursor_close(c);
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_drop(txn, 1, 0));
	SHOW(mdb_txn_commit(txn));
}

void area_txn(void)
{
	MDB_env *env = started("txn", 0);
	MDB_txn *txn, *other;
	MDB_dbi dbi;
	MDB_val k = value_of("k"), v = value_of("v");

	goes_on(env);
	deep(env);
	nested(env);
	SHOW(mdb_txn_commit(NULL));
	SHOW(mdb_txn_renew(NULL));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	printf("environment %d\n", mdb_txn_env(txn) == env);
	SHOW(mdb_txn_begin(env, txn, 0, &other));
	SHOW(mdb_txn_begin(env, txn, MDB_RDONLY, &other));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &other));
	SHOW(mdb_dbi_open(txn, NULL, 0, &dbi));
	SHOW(mdb_get(txn, dbi, &k, &v));
	shown_val("k", &v);
	MDB_cursor *c;
	MDB_val ck, cv;

	SHOW(mdb_cursor_open(txn, dbi, &c));
	SHOW(mdb_cursor_get(c, &ck, &cv, MDB_NEXT));
	SHOW(mdb_txn_renew(txn));
	mdb_txn_reset(txn);
	SHOW(mdb_get(txn, dbi, &k, &v));
	SHOW(mdb_cursor_get(c, &ck, &cv, MDB_NEXT));
	SHOW(mdb_dbi_open(txn, NULL, 0, &dbi));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &other));
	SHOW(mdb_txn_renew(txn));
	mdb_txn_abort(other);
	SHOW(mdb_txn_renew(txn));
	SHOW(mdb_get(txn, dbi, &k, &v));
	SHOW(mdb_cursor_renew(txn, c));
	SHOW(mdb_cursor_get(c, &ck, &cv, MDB_NEXT));
	printf("cursor's txn %d, dbi %u\n", mdb_cursor_txn(c) == txn, mdb_cursor_dbi(c));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_cursor_renew(txn, c));
	SHOW(mdb_cursor_get(c, &ck, &cv, MDB_NEXT));
	mdb_txn_abort(txn);
	mdb_cursor_close(c);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	size_t id = mdb_txn_id(txn);

	SHOW(mdb_txn_commit(txn)); /* nothing changed: no number is used up */
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	printf("id the same %d\n", mdb_txn_id(txn) == id);
	SHOW(mdb_cursor_open(txn, dbi, &c));
	SHOW(mdb_cursor_renew(txn, c));
	SHOW(mdb_put(txn, dbi, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	printf("id %d\n", mdb_txn_id(txn) == id);
	mdb_txn_reset(txn);
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

/* ---- threads --------------------------------------------------------------------------------- */

static MDB_env *shared_env;
static MDB_txn *lent;

static void *reads(void *arg)
{
	MDB_txn *txn;
	MDB_val k = value_of("k"), v;
	int *rc = arg;

	rc[0] = mdb_txn_begin(shared_env, NULL, MDB_RDONLY, &txn);
	if (rc[0])
		return NULL;
	rc[1] = mdb_get(txn, 1, &k, &v);
	mdb_txn_abort(txn);
	return NULL;
}

static void *reads_lent(void *arg)
{
	MDB_val k = value_of("k"), v;

	*(int *)arg = mdb_get(lent, 1, &k, &v);
	mdb_txn_abort(lent);
	return NULL;
}

static void in_thread(void *(*run)(void *), int *rc)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, rc) || pthread_join(thread, NULL))
		exit(2);
	printf("thread: %d %d\n", rc[0], rc[1]);
}

void area_threads(void)
{
	MDB_txn *txn, *second;
	MDB_val k = value_of("k"), v = value_of("v");
	MDB_envinfo info;
	int rc[2] = {0, 0};

	shared_env = started("threads", 0);
	SHOW(mdb_txn_begin(shared_env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(shared_env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_txn_begin(shared_env, NULL, MDB_RDONLY, &second));
	in_thread(reads, rc);
	in_thread(reads, rc);
	SHOW(mdb_env_info(shared_env, &info));
	printf("readers %u\n", info.me_numreaders);
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(shared_env, NULL, 0, &txn)); /* a writer may read, too */
	SHOW(mdb_txn_begin(shared_env, NULL, MDB_RDONLY, &second));
	mdb_txn_abort(second);
	mdb_txn_abort(txn);
	mdb_env_close(shared_env);

	const char *dir = place("few readers");

	mkdir(dir, 0755);
	if (mdb_env_create(&shared_env))
		exit(2);
	SHOW(mdb_env_set_maxreaders(shared_env, 2));
	SHOW(mdb_env_open(shared_env, dir, MDB_NOTLS, 0644));
	main_open(shared_env);
	SHOW(mdb_txn_begin(shared_env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_txn_begin(shared_env, NULL, MDB_RDONLY, &second));
	SHOW(mdb_txn_begin(shared_env, NULL, MDB_RDONLY, &lent));
	mdb_txn_reset(txn); /* keeps its slot */
	SHOW(mdb_txn_begin(shared_env, NULL, MDB_RDONLY, &lent));
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(shared_env, NULL, MDB_RDONLY, &lent));
	in_thread(reads_lent, rc);
	mdb_txn_abort(second);
	mdb_env_close(shared_env);
}
