/* SPDX-License-Identifier: BSD-3-Clause */
/* area_number.c - which commits get a number. LMDB gives one to a transaction that has copied a
 * page, whether it changed anything on it or not. */
#include "areas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAIN, DUPS, EMPTY, FIXED, DBS };
static const char *const db_names[DBS] = {"plain", "dups", "empty", "fixed"};
static const unsigned int db_flags[DBS] = {0, MDB_DUPSORT, 0, MDB_DUPSORT | MDB_DUPFIXED};
static MDB_dbi dbi[DBS];

static int put(MDB_txn *txn, int db, const char *key, const char *data, unsigned int flags)
{
	MDB_val k = value_of(key), v = value_of(data);

	return mdb_put(txn, dbi[db], &k, &v, flags);
}

static int del(MDB_txn *txn, int db, const char *key, const char *data)
{
	MDB_val k = value_of(key), v = value_of(data ? data : "");

	return mdb_del(txn, dbi[db], &k, data ? &v : NULL);
}

/* at - a cursor moved there; key NULL: to the last entry. */
static MDB_cursor *at(MDB_txn *txn, int db, const char *key)
{
	MDB_val k = value_of(key ? key : ""), v;
	MDB_cursor *c;

	if (mdb_cursor_open(txn, dbi[db], &c))
		exit(2);
	(void)mdb_cursor_get(c, &k, &v, key ? MDB_SET : MDB_LAST);
	return c;
}

static int cursor_put(MDB_cursor *c, const char *key, const char *data, unsigned int flags)
{
	MDB_val k = value_of(key), v = value_of(data);

	return mdb_cursor_put(c, &k, &v, flags);
}

/* multiple - n values through a cursor. */
static int multiple(MDB_txn *txn, size_t n)
{
	MDB_val k = value_of("a"), v[2] = {value_of("1111"), {n, NULL}};

	v[0].mv_size = 4;
	return mdb_cursor_put(at(txn, FIXED, "a"), &k, v, MDB_MULTIPLE);
}

/* puts - those that may find nothing to do, n of them. -1: there are no more. */
static int puts_of(MDB_txn *txn, unsigned int n)
{
	switch (n) {
	case 0:
		return put(txn, PLAIN, "a", "1", 0);
	case 1:
		return put(txn, PLAIN, "a", "9", MDB_NOOVERWRITE);
	case 2:
		return put(txn, DUPS, "a", "1", MDB_NODUPDATA);
	case 3:
		return put(txn, DUPS, "a", "1", 0);
	case 4:
		return put(txn, DUPS, "a", "1", MDB_NOOVERWRITE);
	case 5:
		return put(txn, DUPS, "a", "1", MDB_NOOVERWRITE | MDB_NODUPDATA);
	case 6:
		return put(txn, PLAIN, "0", "1", MDB_APPEND);
	case 7:
		return put(txn, DUPS, "a", "0", MDB_APPENDDUP);
	case 8:
		return put(txn, DUPS, "b", "1", MDB_NODUPDATA);
	case 9:
		return put(txn, FIXED, "a", "1111", MDB_NODUPDATA);
	case 10:
		return multiple(txn, 0);
	case 11:
		return multiple(txn, 1);
	case 12:
		return cursor_put(at(txn, PLAIN, "a"), "a", "1", MDB_CURRENT);
	case 13:
		return cursor_put(at(txn, DUPS, "a"), "a", "1", MDB_CURRENT);
	case 14:
		return cursor_put(at(txn, DUPS, "b"), "b", "1", MDB_NODUPDATA);
	case 15:
		return cursor_put(at(txn, PLAIN, "b"), "b", "1", MDB_NOOVERWRITE);
	case 16:
		return cursor_put(at(txn, DUPS, "a"), "a", "1", 0);
	default:
		return -1;
	}
}

/* others - the same of other calls. */
static int others(MDB_txn *txn, unsigned int n)
{
	MDB_cursor *c;
	MDB_dbi db;

	switch (n) {
	case 0:
		return 0;
	case 1:
		return del(txn, PLAIN, "zz", NULL);
	case 2:
		return del(txn, DUPS, "a", "7");
	case 3:
		return put(txn, PLAIN, "n", "v", 0) + del(txn, PLAIN, "n", NULL);
	case 4:
		return put(txn, EMPTY, "n", "v", 0) + del(txn, EMPTY, "n", NULL);
	case 5:
		return mdb_dbi_open(txn, "plain", MDB_CREATE, &db);
	case 6:
		return mdb_dbi_open(txn, NULL, MDB_CREATE, &db);
	case 7:
		return mdb_dbi_open(txn, "new", MDB_CREATE, &db) + mdb_drop(txn, db, 1);
	case 8:
		return mdb_drop(txn, dbi[EMPTY], 0);
	case 9:
		return mdb_drop(txn, dbi[EMPTY], 1);
	case 10:
		c = at(txn, PLAIN, NULL);
		return mdb_cursor_del(c, 0) + mdb_cursor_del(c, 0);
	case 11:
		return mdb_cursor_del(at(txn, PLAIN, "zz"), 0);
	case 12: {
		MDB_val k = value_of("plain"), v = value_of("no database");

		return mdb_put(txn, 1, &k, &v, 0); /* refused when its page was copied */
	}
	case 13: {
		MDB_val k = value_of("plain"), v = value_of("no database");

		return mdb_put(txn, 1, &k, &v, MDB_NOOVERWRITE);
	}
	default:
		return -1;
	}
}

/* fill - the databases, each time the same. */
static void fill(MDB_env *env)
{
	MDB_txn *txn;

	if (mdb_txn_begin(env, NULL, 0, &txn))
		exit(2);
	for (int db = 0; db < DBS; db++)
		if (mdb_dbi_open(txn, db_names[db], MDB_CREATE | db_flags[db], &dbi[db]) ||
		    mdb_drop(txn, dbi[db], 0))
			exit(2);
	if (put(txn, PLAIN, "a", "1", 0) || put(txn, PLAIN, "b", "2", 0) ||
	    put(txn, DUPS, "a", "1", 0) || put(txn, DUPS, "a", "2", 0) ||
	    put(txn, DUPS, "b", "1", 0) || put(txn, FIXED, "a", "1111", 0) ||
	    put(txn, FIXED, "a", "2222", 0) || mdb_txn_commit(txn))
		exit(2);
}

/* ends - how the transaction of a case begins and ends. */
enum ends { TOP, BEHIND_A_CHANGE, CHILD_COMMITS, CHILD_ABORTS, ABORTED, ENDS };

static void number(MDB_env *env, int (*run)(MDB_txn *, unsigned int), unsigned int n, enum ends end)
{
	MDB_envinfo before, after;
	MDB_txn *txn, *child = NULL;
	int rc;

	fill(env);
	if (mdb_env_info(env, &before) || mdb_txn_begin(env, NULL, 0, &txn) ||
	    (end == BEHIND_A_CHANGE && put(txn, PLAIN, "before", "x", 0)))
		exit(2);
	if ((end == CHILD_COMMITS || end == CHILD_ABORTS) && mdb_txn_begin(env, txn, 0, &child))
		exit(2);
	rc = run(child ? child : txn, n);
	if (end == CHILD_COMMITS)
		SHOW(mdb_txn_commit(child));
	if (end == CHILD_ABORTS)
		mdb_txn_abort(child);
	if (end == ABORTED)
		mdb_txn_abort(txn);
	else
		SHOW(mdb_txn_commit(txn));
	if (mdb_env_info(env, &after) || mdb_txn_begin(env, NULL, 0, &txn))
		exit(2);
	printf("%d: %zu, then %zu\n", rc, after.me_last_txnid - before.me_last_txnid,
	       mdb_txn_id(txn) - before.me_last_txnid);
	mdb_txn_abort(txn);
}

/* larger_map - the map size is kept by a transaction that has a number, and by no other. */
static void larger_map(void)
{
	static const unsigned int flags[] = {MDB_NOOVERWRITE, MDB_NODUPDATA};
	MDB_envinfo info;
	MDB_env *env;

	for (size_t i = 0; i < 2 * sizeof flags / sizeof flags[0]; i++) {
		MDB_txn *txn;

		if (mdb_env_create(&env) || mdb_env_set_maxdbs(env, 8) ||
		    (i % 2 == 0 && mdb_env_set_mapsize(env, (4 + i) << 20)) ||
		    mdb_env_open(env, place("numbers"), 0, 0644) ||
		    mdb_txn_begin(env, NULL, 0, &txn) || mdb_dbi_open(txn, "dups", 0, &dbi[DUPS]))
			exit(2);
		SHOW(put(txn, DUPS, "a", "1", flags[i / 2]));
		SHOW(mdb_txn_commit(txn));
		SHOW(mdb_env_info(env, &info));
		printf("map %zu\n", info.me_mapsize);
		mdb_env_close(env);
	}
}

void area_number(void)
{
	MDB_env *env = started("numbers", 0);

	for (enum ends end = TOP; end < ENDS; end++) {
		for (unsigned int n = 0; n < 17; n++) {
			printf("put %u, end %d\n", n, (int)end);
			number(env, puts_of, n, end);
		}
		for (unsigned int n = 0; n < 14; n++) {
			printf("other %u, end %d\n", n, (int)end);
			number(env, others, n, end);
		}
	}
	mdb_env_close(env);
	larger_map();
}
