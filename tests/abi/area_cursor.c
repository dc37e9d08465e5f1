/* SPDX-License-Identifier: BSD-3-Clause */
/* area_cursor.c - cursors, with and without duplicates. */
#include "areas.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static MDB_val k, v;

static int moved(MDB_cursor *c, const char *name, MDB_cursor_op op)
{
	int rc = mdb_cursor_get(c, &k, &v, op);

	printf("%s = %d\n", name, rc);
	if (!rc) {
		if (op != MDB_FIRST_DUP && op != MDB_LAST_DUP && op != MDB_GET_MULTIPLE)
			shown_val("key", &k);
		shown_val("data", &v);
	}
	return rc;
}
#define MOVE(c, op) moved(c, #op, op)

static void to(MDB_cursor *c, const char *name, const char *key, const char *data, MDB_cursor_op op)
{
	k = value_of(key);
	v = value_of(data);
	printf("%s %s: ", key, data);
	moved(c, name, op);
}
#define TO(c, key, data, op) to(c, #op, key, data, op)

static void put_letters(MDB_txn *txn, MDB_dbi dbi, const char *letters, const char *values)
{
	for (; *letters; letters++) {
		for (const char *value = values; *value; value++) {
			char pair[2] = {*letters, *value};
			MDB_val pk = {1, &pair[0]}, pv = {1, &pair[1]};

			if (mdb_put(txn, dbi, &pk, &pv, 0))
				exit(2);
		}
	}
}

static void empty(MDB_cursor *c)
{
	size_t n;

	MOVE(c, MDB_GET_CURRENT);
	MOVE(c, MDB_FIRST);
	MOVE(c, MDB_LAST);
	MOVE(c, MDB_NEXT);
	MOVE(c, MDB_PREV);
	TO(c, "a", "", MDB_SET);
	TO(c, "a", "", MDB_SET_RANGE);
	SHOW(mdb_cursor_del(c, 0));
	SHOW(mdb_cursor_count(c, &n));
	SHOW(mdb_cursor_count(c, NULL));
	SHOW(mdb_cursor_get(c, NULL, &v, MDB_SET));
	SHOW(mdb_cursor_get(c, &k, &v, (MDB_cursor_op)99));
	SHOW(mdb_cursor_get(NULL, &k, &v, MDB_FIRST));
	SHOW(mdb_cursor_put(NULL, &k, &v, 0));
}

static void deleting(MDB_txn *txn, MDB_dbi dbi, MDB_cursor *c)
{
	MDB_cursor *other;

	TO(c, "d", "", MDB_SET);
	SHOW(mdb_cursor_open(txn, dbi, &other));
	TO(other, "d", "", MDB_SET_KEY);
	SHOW(mdb_cursor_del(c, 0));
	MOVE(c, MDB_NEXT);
	MOVE(other, MDB_NEXT);
	TO(c, "g", "", MDB_SET);
	TO(other, "i", "", MDB_SET_KEY);
	SHOW(mdb_cursor_del(c, 0));
	MOVE(c, MDB_GET_CURRENT);
	MOVE(c, MDB_NEXT);
	MOVE(c, MDB_PREV);
	MOVE(other, MDB_GET_CURRENT);
	TO(c, "b", "", MDB_SET);
	SHOW(mdb_cursor_del(c, 0));
	MOVE(c, MDB_PREV);
	for (int rc = MOVE(c, MDB_LAST); !rc; rc = MOVE(c, MDB_GET_CURRENT))
		SHOW(mdb_cursor_del(c, 0));
	MOVE(c, MDB_NEXT);
	MOVE(c, MDB_PREV);
	for (int rc = MOVE(c, MDB_FIRST); !rc; rc = MOVE(c, MDB_NEXT))
		SHOW(mdb_cursor_del(c, 0));
	MOVE(c, MDB_FIRST);
	mdb_cursor_close(other);
}

void area_cursor(void)
{
	MDB_env *env = started("cursor", 0);
	MDB_txn *txn;
	MDB_cursor *c;
	char longer[600];

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_cursor_open(txn, 1, NULL));
	SHOW(mdb_cursor_open(txn, 44, &c));
	SHOW(mdb_cursor_open(txn, 1, &c));
	empty(c);
	put_letters(txn, 1, "bdfgij", "v");
	MOVE(c, MDB_NEXT);
	MOVE(c, MDB_PREV);
	MOVE(c, MDB_GET_CURRENT);
	MOVE(c, MDB_NEXT);
	MOVE(c, MDB_NEXT_NODUP);
	MOVE(c, MDB_NEXT_DUP);
	MOVE(c, MDB_PREV_NODUP);
	MOVE(c, MDB_LAST);
	MOVE(c, MDB_NEXT);
	MOVE(c, MDB_GET_CURRENT);
	MOVE(c, MDB_PREV);
	TO(c, "c", "", MDB_SET_RANGE);
	TO(c, "d", "", MDB_SET_KEY);
	TO(c, "x", "", MDB_SET_RANGE);
	MOVE(c, MDB_NEXT);
	TO(c, "x", "", MDB_SET_RANGE);
	MOVE(c, MDB_PREV);
	TO(c, "", "", MDB_SET);
	TO(c, "", "", MDB_SET_RANGE);
	TO(c, "c", "", MDB_SET);
	TO(c, "d", "v", MDB_GET_BOTH);
	TO(c, "d", "v", MDB_GET_BOTH_RANGE);
	MOVE(c, MDB_FIRST);
	MOVE(c, MDB_FIRST_DUP);
	MOVE(c, MDB_GET_MULTIPLE);
	MOVE(c, MDB_NEXT_MULTIPLE);
	MOVE(c, MDB_PREV_MULTIPLE);
	memset(longer, 'g', sizeof longer);
	k = (MDB_val){sizeof longer, longer};
	MOVE(c, MDB_SET_RANGE);
	k = (MDB_val){sizeof longer, longer};
	SHOW(mdb_cursor_get(c, &k, &v, MDB_SET));
	k = value_of("f");
	v = value_of("changed");
	SHOW(mdb_cursor_get(c, &k, NULL, MDB_SET));
	SHOW(mdb_cursor_put(c, &k, &v, MDB_CURRENT));
	MOVE(c, MDB_GET_CURRENT);
	v = value_of("not so");
	SHOW(mdb_cursor_put(c, &k, &v, MDB_NOOVERWRITE));
	shown_val("there", &v);
	MDB_val two[2] = {{1, longer}, {5, NULL}};

	SHOW(mdb_cursor_put(c, &k, two, MDB_MULTIPLE));
	k = value_of("h");
	SHOW(mdb_cursor_put(c, &k, &v, 0));
	MOVE(c, MDB_NEXT);
	deleting(txn, 1, c);
	SHOW(mdb_txn_commit(txn));
	mdb_env_close(env);
}

/* ---- duplicates ------------------------------------------------------------------------------ */

static void multiple(MDB_txn *txn)
{
	MDB_dbi dbi;
	MDB_cursor *c;
	uint32_t items[3000];
	MDB_val data[2] = {{sizeof items[0], items}, {3000, NULL}}, key = value_of("many");
	size_t n = 0;

	SHOW(mdb_dbi_open(txn, "fixed", MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP,
	                  &dbi));
	SHOW(mdb_cursor_open(txn, dbi, &c));
	for (uint32_t i = 0; i < 3000; i++)
		items[i] = i * 7919 % 3000;
	SHOW(mdb_cursor_put(c, &key, data, MDB_MULTIPLE));
	printf("written %zu\n", data[1].mv_size);
	SHOW(mdb_cursor_count(c, &n));
	printf("count %zu\n", n);
	k = key;
	SHOW(mdb_cursor_get(c, &k, &v, MDB_SET));
	size_t seen = 0, calls = 0;
	int ascending = 1, rc = mdb_cursor_get(c, &k, &v, MDB_GET_MULTIPLE), page = 1;

	for (; !rc; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT_MULTIPLE), calls++) {
		for (size_t i = 0; i + 4 <= v.mv_size; i += 4) {
			uint32_t item;

			memcpy(&item, (char *)v.mv_data + i, 4);
			ascending &= item == (uint32_t)seen++;
		}
		page &= v.mv_size <= 4096;
	}
	printf("multiple %d: %zu in order %d, pages %d, several %d\n", rc, seen, ascending, page,
	       calls > 1);
	seen = 0;
	SHOW(mdb_cursor_get(c, &k, &v, MDB_LAST_DUP));
	rc = mdb_cursor_get(c, &k, &v, MDB_GET_MULTIPLE);
	rc = mdb_cursor_get(c, &k, &v, MDB_PREV_MULTIPLE);
	printf("previous %d %d\n", rc, v.mv_size > 0 && v.mv_size <= 4096);
	key = value_of("one");
	data[0].mv_data = items; /* MULTIPLE moved it */
	SHOW(mdb_put(txn, dbi, &key, &data[0], 0));
	SHOW(mdb_cursor_get(c, &key, &v, MDB_SET_KEY));
	MOVE(c, MDB_GET_MULTIPLE);
	MOVE(c, MDB_NEXT_MULTIPLE);
	uint64_t wide = 1;
	MDB_val bad = {sizeof wide, &wide};

	key = value_of("many");
	SHOW(mdb_put(txn, dbi, &key, &bad, 0));
}

static void deleting_dups(MDB_txn *txn, MDB_dbi dbi, MDB_cursor *c)
{
	MDB_val dk = value_of("b"), dv = value_of("2");
	MDB_stat st;

	TO(c, "b", "3", MDB_GET_BOTH);
	SHOW(mdb_cursor_del(c, 0));
	MOVE(c, MDB_NEXT);
	TO(c, "c", "1", MDB_GET_BOTH);
	SHOW(mdb_cursor_del(c, 0));
	MOVE(c, MDB_GET_CURRENT);
	TO(c, "c", "3", MDB_GET_BOTH);
	SHOW(mdb_cursor_del(c, MDB_NODUPDATA));
	MOVE(c, MDB_NEXT);
	SHOW(mdb_del(txn, dbi, &dk, &dv));
	SHOW(mdb_del(txn, dbi, &dk, &dv));
	SHOW(mdb_del(txn, dbi, &dk, NULL));
	SHOW(mdb_del(txn, dbi, &dk, NULL));
	SHOW(mdb_stat(txn, dbi, &st));
	printf("entries %zu\n", st.ms_entries);
	shown_all(txn, dbi);
}

/* single_from_behind - a cursor comes to a key's only value from behind, and a put gives the key
 * others: the cursor does not know that it is at the last one. */
static void single_from_behind(MDB_env *env)
{
	static const MDB_cursor_op ways[] = {MDB_LAST, MDB_PREV, MDB_PREV_NODUP};
	static const char *const more[] = {"1111", "3333"};

	for (size_t i = 0; i < 6; i++) {
		MDB_cursor *c;
		MDB_txn *txn;
		MDB_dbi dbi;

		k = value_of("b");
		v = value_of("2222");
		SHOW(mdb_txn_begin(env, NULL, 0, &txn));
		SHOW(mdb_dbi_open(txn, "single", MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED, &dbi));
		SHOW(mdb_put(txn, dbi, &k, &v, 0));
		k = value_of("c");
		if (ways[i / 2] != MDB_LAST)
			SHOW(mdb_put(txn, dbi, &k, &v, 0));
		SHOW(mdb_cursor_open(txn, dbi, &c));
		SHOW(mdb_cursor_get(c, &k, &v, MDB_LAST));
		if (ways[i / 2] != MDB_LAST)
			SHOW(mdb_cursor_get(c, &k, &v, ways[i / 2]));
		v = value_of(more[i % 2]);
		k = value_of("b");
		SHOW(mdb_put(txn, dbi, &k, &v, 0));
		v = value_of("none");
		SHOW(mdb_cursor_get(c, &k, &v, MDB_GET_MULTIPLE));
		shown_val("array", &v);
		mdb_cursor_close(c);
		mdb_txn_abort(txn);
	}
}

void area_dups(void)
{
	MDB_env *env = started("dups", 0);
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_cursor *c;
	size_t n = 0;
	char big[600];
	MDB_val bk = value_of("a"), bv = {sizeof big, big}, one = value_of("1");

	memset(big, 'b', sizeof big);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "dups", MDB_CREATE | MDB_DUPSORT, &dbi));
	SHOW(mdb_cursor_open(txn, dbi, &c));
	empty(c);
	put_letters(txn, dbi, "abcd", "13245");
	put_letters(txn, dbi, "e", "7");
	SHOW(mdb_put(txn, dbi, &bk, &one, MDB_NODUPDATA));
	SHOW(mdb_put(txn, dbi, &bk, &one, MDB_NOOVERWRITE));
	SHOW(mdb_put(txn, dbi, &bk, &one, MDB_APPENDDUP));
	SHOW(mdb_put(txn, dbi, &bk, &one, 0));
	TO(c, "b", "", MDB_SET);
	SHOW(mdb_cursor_count(c, &n));
	printf("count %zu\n", n);
	MOVE(c, MDB_NEXT_DUP);
	MOVE(c, MDB_LAST_DUP);
	MOVE(c, MDB_NEXT_DUP);
	MOVE(c, MDB_NEXT);
	MOVE(c, MDB_PREV);
	MOVE(c, MDB_FIRST_DUP);
	MOVE(c, MDB_PREV_DUP);
	MOVE(c, MDB_PREV);
	MOVE(c, MDB_NEXT_NODUP);
	MOVE(c, MDB_NEXT_NODUP);
	MOVE(c, MDB_PREV_NODUP);
	MOVE(c, MDB_PREV_NODUP);
	MOVE(c, MDB_PREV_NODUP);
	TO(c, "e", "", MDB_SET_KEY);
	MOVE(c, MDB_FIRST_DUP);
	MOVE(c, MDB_NEXT_DUP);
	SHOW(mdb_cursor_count(c, &n));
	printf("count %zu\n", n);
	TO(c, "b", "3", MDB_GET_BOTH);
	TO(c, "b", "30", MDB_GET_BOTH);
	TO(c, "b", "30", MDB_GET_BOTH_RANGE);
	TO(c, "b", "9", MDB_GET_BOTH_RANGE);
	TO(c, "x", "9", MDB_GET_BOTH_RANGE);
	TO(c, "bb", "1", MDB_GET_BOTH_RANGE);
	SHOW(mdb_cursor_get(c, &bk, NULL, MDB_GET_BOTH));
	TO(c, "b", "3", MDB_GET_BOTH);
	MOVE(c, MDB_GET_MULTIPLE);
	SHOW(mdb_put(txn, dbi, &bk, &bv, 0));
	deleting_dups(txn, dbi, c);
	multiple(txn);
	SHOW(mdb_txn_commit(txn));
	single_from_behind(env);
	mdb_env_close(env);
}
