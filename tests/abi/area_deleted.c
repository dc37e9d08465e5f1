/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * area_deleted.c - where cursors stand after what was under them is gone, as directory servers use
 * it: the key of the last value that was deleted is asked for, another value is put there, a cursor
 * is closed when its transaction has ended.
 */
#include "areas.h"

#include <stdio.h>
#include <stdlib.h>

static MDB_env *env;
static MDB_dbi dbi;

static void begin(MDB_txn **txn, const char *letters)
{
	SHOW(mdb_txn_begin(env, NULL, 0, txn));
	for (const char *p = letters; *p; p++) {
		MDB_val k = value_of(*p < 'n' ? "k1" : "k2"), v = {1, (char *)(uintptr_t)p};

		if (mdb_put(*txn, dbi, &k, &v, 0))
			exit(2);
	}
}

static void look(MDB_cursor *c, const char *what, bool with_data, MDB_cursor_op op)
{
	MDB_val k = value_of("key as it was"), v = value_of("data as it was");

	printf("%s%s = %d\n", what, with_data ? "" : " without data",
	       mdb_cursor_get(c, &k, with_data ? &v : NULL, op));
	shown_val("key", &k);
	if (with_data)
		shown_val("data", &v);
}

/* deleted - the value which of k1 is deleted; another cursor is on the value other. */
static void deleted(const char *letters, const char *which, const char *other, bool with_data,
                    MDB_cursor_op op)
{
	MDB_val k = value_of("k1"), v = value_of(which);
	MDB_cursor *c, *second;
	MDB_txn *txn;

	printf("%s: %s is deleted, beside %s, then operation %d\n", letters, which, other, op);
	begin(&txn, letters);
	SHOW(mdb_cursor_open(txn, dbi, &c));
	SHOW(mdb_cursor_open(txn, dbi, &second));
	SHOW(mdb_cursor_get(c, &k, &v, MDB_GET_BOTH));
	v = value_of(other);
	SHOW(mdb_cursor_get(second, &k, &v, MDB_GET_BOTH));
	SHOW(mdb_cursor_del(c, 0));
	look(c, "own", with_data, op);
	look(second, "other", with_data, op);
	look(c, "own next", true, MDB_NEXT);
	look(second, "other next", true, MDB_NEXT);
	mdb_txn_abort(txn);
}

/* nested - a child's deletions move its parent's cursors, unless it is aborted. */
static void nested(bool keep)
{
	MDB_val k = value_of("k1"), v = value_of("b");
	MDB_txn *txn, *child;
	MDB_cursor *c;

	printf("a child that %s\n", keep ? "commits" : "aborts");
	begin(&txn, "abcx");
	SHOW(mdb_cursor_open(txn, dbi, &c));
	SHOW(mdb_cursor_get(c, &k, &v, MDB_GET_BOTH));
	SHOW(mdb_txn_begin(env, txn, 0, &child));
	SHOW(mdb_del(child, dbi, &k, &v));
	SHOW(mdb_put(child, dbi, &k, &v, 0));
	if (keep)
		SHOW(mdb_txn_commit(child));
	else
		mdb_txn_abort(child);
	look(c, "next", true, MDB_NEXT);
	look(c, "current", true, MDB_GET_CURRENT);
	mdb_txn_abort(txn);
}

/* replaced - MDB_CURRENT behind a deletion, and the values afterwards. */
static void replaced(void)
{
	MDB_val k = value_of("k1"), v = value_of("b");
	MDB_txn *txn;
	MDB_cursor *c;

	begin(&txn, "abd");
	SHOW(mdb_cursor_open(txn, dbi, &c));
	SHOW(mdb_cursor_get(c, &k, &v, MDB_GET_BOTH));
	SHOW(mdb_cursor_del(c, 0));
	v = value_of("e");
	SHOW(mdb_cursor_put(c, &k, &v, MDB_CURRENT));
	look(c, "current", true, MDB_GET_CURRENT);
	shown_all(txn, dbi);
	mdb_txn_abort(txn);
}

/* met_the_end - a cursor that has met the end goes on to know that, through the deletion of all
 * that there is and the put of an array, until it finds an entry somewhere else. */
static void met_the_end(const char *first, const char *sought, MDB_cursor_op op)
{
	MDB_val k = value_of("m"), v = value_of("a"), array[2] = {{1, "abc"}, {3, NULL}};
	MDB_cursor *c;
	MDB_txn *txn;
	MDB_dbi fixed;

	printf("key m is deleted, an array put to m, %s sought, operation %d\n", sought, op);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "fixed", MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED, &fixed));
	SHOW(mdb_put(txn, fixed, &k, &v, 0));
	SHOW(mdb_cursor_open(txn, fixed, &c));
	k = value_of(first);
	SHOW(mdb_cursor_get(c, &k, &v, MDB_SET_RANGE));
	k = value_of("m");
	SHOW(mdb_del(txn, fixed, &k, NULL));
	SHOW(mdb_cursor_put(c, &k, array, MDB_MULTIPLE));
	k = value_of(sought);
	v = value_of("b");
	SHOW(mdb_cursor_get(c, &k, &v, MDB_GET_BOTH_RANGE));
	look(c, "then", true, op);
	look(c, "and", true, op);
	mdb_txn_abort(txn);
}

/* from_behind - a cursor that came to a key's values from behind, and deleted the last one, gets no
 * array, also when another one is put there. */
static void from_behind(void)
{
	MDB_val k = value_of("m"), v, array[2] = {{1, "ace"}, {3, NULL}};
	MDB_cursor *c;
	MDB_txn *txn;
	MDB_dbi fixed;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "fixed", MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED, &fixed));
	SHOW(mdb_cursor_open(txn, fixed, &c));
	SHOW(mdb_cursor_put(c, &k, array, MDB_MULTIPLE));
	SHOW(mdb_cursor_get(c, &k, &v, MDB_LAST));
	SHOW(mdb_cursor_del(c, 0));
	v = value_of("d");
	SHOW(mdb_put(txn, fixed, &k, &v, 0));
	look(c, "array", true, MDB_GET_MULTIPLE);
	mdb_txn_abort(txn);
}

/* closed_late - cursors are closed when their transaction has ended; for that is what programs do,
 * although it is LMDB's luck when it works, once. */
static void closed_late(void)
{
	enum { MANY = 3000 };
	static MDB_cursor *late[MANY];
	MDB_cursor *living;
	MDB_txn *txn;

	for (int i = 0; i < (is_daxkv() ? MANY : 1); i++) {
		if (mdb_txn_begin(env, NULL, 0, &txn) || mdb_cursor_open(txn, dbi, &late[i % 1000]))
			exit(2);
		if (mdb_txn_commit(txn))
			exit(2);
		mdb_cursor_close(late[i % 1000]);
	}
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_cursor_open(txn, dbi, &living));
	for (int i = 0; is_daxkv() && i < 1000; i++)
		mdb_cursor_close(late[i]); /* none of them is the living one */
	look(living, "first", true, MDB_FIRST);
	mdb_cursor_close(living);
	mdb_txn_abort(txn);
}

void area_deleted(void)
{
	static const MDB_cursor_op ops[] = {MDB_GET_CURRENT, MDB_NEXT,      MDB_PREV,
	                                    MDB_NEXT_DUP,    MDB_FIRST_DUP, MDB_LAST_DUP};
	MDB_txn *txn;

	env = started("deleted", 0);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "dups", MDB_CREATE | MDB_DUPSORT, &dbi));
	SHOW(mdb_txn_commit(txn));
	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
		deleted("abc", "c", "c", true, ops[i]);
		deleted("abcx", "c", "b", true, ops[i]);
		deleted("abcx", "b", "b", true, ops[i]);
		deleted("ax", "a", "a", true, ops[i]);
	}
	deleted("abc", "c", "c", false, MDB_GET_CURRENT);
	deleted("abcx", "c", "a", false, MDB_GET_CURRENT);
	nested(true);
	nested(false);
	replaced();
	met_the_end("z", "k", MDB_NEXT_DUP);
	met_the_end("z", "k", MDB_NEXT);
	met_the_end("z", "z", MDB_NEXT);
	met_the_end("a", "k", MDB_NEXT_DUP);
	from_behind();
	closed_late();
	mdb_env_close(env);
}
