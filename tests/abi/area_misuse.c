/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * area_misuse.c - calls with arguments that are missing, of another environment, ended or out of
 * range. LMDB's answer to many of them is a crash, so only ours is asked: each is an error.
 */
#include "areas.h"

#include <stdio.h>
#include <stdlib.h>

#define REFUSED(call)                                                                              \
	do {                                                                                       \
		if ((call) == 0)                                                                   \
			printf("accepted: %s\n", #call);                                           \
	} while (0)

static void no_env(void)
{
	MDB_envinfo info;
	MDB_stat st;
	MDB_env *env;
	MDB_txn *txn;
	int dead;

	REFUSED(mdb_env_create(NULL));
	if (mdb_env_create(&env)) /* and not opened */
		exit(2);
	MDB_env *const wrong[] = {NULL, env};

	for (int i = 0; i < 2; i++) {
		REFUSED(mdb_env_copy(wrong[i], "x"));
		REFUSED(mdb_env_stat(wrong[i], &st));
		REFUSED(mdb_env_info(wrong[i], &info));
		REFUSED(mdb_env_sync(wrong[i], 1));
		REFUSED(mdb_txn_begin(wrong[i], NULL, 0, &txn));
		REFUSED(mdb_reader_list(wrong[i], NULL, NULL));
	}
	REFUSED(mdb_env_open(NULL, "x", 0, 0644));
	REFUSED(mdb_env_open(env, NULL, 0, 0644));
	REFUSED(mdb_env_get_path(env, NULL));
	REFUSED(mdb_env_get_fd(env, NULL));
	REFUSED(mdb_env_set_maxdbs(NULL, 1));
	REFUSED(mdb_reader_check(NULL, &dead));
	mdb_dbi_close(NULL, 2);
	mdb_txn_abort(NULL);
	mdb_env_close(NULL);
	mdb_env_close(env);
}

/* values - wrong keys and values. */
static void values(MDB_txn *txn, MDB_dbi dbi)
{
	static const size_t sizes[] = {1u << 30, (size_t)1 << 32, (size_t)1 << 40, SIZE_MAX - 1,
	                               SIZE_MAX};
	MDB_val k = value_of("k"), v = value_of("v"), hollow = {5, NULL};

	REFUSED(mdb_get(txn, dbi, NULL, &v));
	REFUSED(mdb_get(txn, dbi, &k, NULL));
	REFUSED(mdb_get(txn, dbi, &hollow, &v));
	REFUSED(mdb_put(txn, dbi, NULL, &v, 0));
	REFUSED(mdb_put(txn, dbi, &k, NULL, 0));
	REFUSED(mdb_put(txn, dbi, &hollow, &v, 0));
	REFUSED(mdb_put(txn, dbi, &k, &hollow, 0));
	REFUSED(mdb_del(txn, dbi, NULL, NULL));
	REFUSED(mdb_stat(txn, dbi, NULL));
	REFUSED(mdb_dbi_flags(txn, dbi, NULL));
	REFUSED(mdb_cursor_open(txn, dbi, NULL));
	REFUSED(mdb_dbi_open(txn, "n", 0, NULL));
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		MDB_val large = {sizes[i], k.mv_data};

		REFUSED(mdb_get(txn, dbi, &large, &v));
		REFUSED(mdb_put(txn, dbi, &large, &v, 0));
	}
}

/* handles - each call with each handle that is none. */
static void handles(MDB_txn *txn)
{
	static const MDB_dbi wrong[] = {77, 1u << 20, (1u << 20) + 1, (1u << 20) + 2, (MDB_dbi)-1};
	MDB_val k = value_of("k"), v = value_of("v");
	unsigned int flags;
	MDB_cursor *c;
	MDB_stat st;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		REFUSED(mdb_get(txn, wrong[i], &k, &v));
		REFUSED(mdb_put(txn, wrong[i], &k, &v, 0));
		REFUSED(mdb_del(txn, wrong[i], &k, NULL));
		REFUSED(mdb_drop(txn, wrong[i], 0));
		REFUSED(mdb_stat(txn, wrong[i], &st));
		REFUSED(mdb_dbi_flags(txn, wrong[i], &flags));
		REFUSED(mdb_cursor_open(txn, wrong[i], &c));
		REFUSED(mdb_set_compare(txn, wrong[i], NULL));
	}
}

/* strangers - cursors and transactions of another environment, and such as ended. */
static void strangers(MDB_env *env, MDB_env *other)
{
	MDB_val k = value_of("k"), v;
	MDB_txn *reader, *foreign, *writer, *txn;
	MDB_cursor *c;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &reader) || mdb_cursor_open(reader, 1, &c) ||
	    mdb_txn_begin(other, NULL, MDB_RDONLY, &foreign) ||
	    mdb_txn_begin(other, NULL, 0, &writer))
		exit(2);
	REFUSED(mdb_cursor_renew(foreign, c));
	REFUSED(mdb_cursor_renew(writer, c));
	REFUSED(mdb_cursor_renew(NULL, c));
	REFUSED(mdb_cursor_renew(reader, NULL));
	REFUSED(mdb_txn_begin(env, writer, 0, &txn));
	REFUSED(mdb_txn_begin(env, reader, 0, &txn));
	REFUSED(mdb_cursor_put(c, &k, &k, 0));
	REFUSED(mdb_cursor_del(c, 0));
	REFUSED(mdb_txn_renew(reader));
	REFUSED(mdb_cursor_get(NULL, &k, &v, MDB_FIRST));
	mdb_txn_abort(reader);
	REFUSED(mdb_cursor_get(c, &k, &v, MDB_FIRST));
	mdb_cursor_close(c);
	mdb_txn_abort(foreign);
	mdb_txn_abort(writer);
	handles(NULL);
	values(NULL, 1);
}

void area_misuse(void)
{
	const char *dir = place("misuse-most");
	MDB_env *env = started("misuse-most", 0), *other = started("misuse-other", MDB_NOTLS);
	MDB_txn *txn;
	MDB_dbi dbi;

	mdb_env_close(env);
	if (is_daxkv()) {
		no_env();
		if (mdb_env_create(&env) || mdb_env_set_maxdbs(env, (MDB_dbi)-1) ||
		    mdb_env_set_maxreaders(env, (unsigned int)-1) ||
		    mdb_env_open(env, dir, MDB_NOTLS, 0644))
			exit(2); /* as many as can be */
		if (mdb_txn_begin(env, NULL, 0, &txn) || mdb_dbi_open(txn, "d", MDB_CREATE, &dbi))
			exit(2);
		handles(txn);
		values(txn, dbi);
		mdb_txn_abort(txn);
		strangers(env, other);
		mdb_env_close(env);
	}
	mdb_env_close(other);
}
