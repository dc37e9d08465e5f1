/* SPDX-License-Identifier: BSD-3-Clause */
/* area_dbi.c - database handles, and programs' orders. */
#include "areas.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show_flags(MDB_txn *txn, MDB_dbi dbi)
{
	unsigned int flags = 0;

	SHOW(mdb_dbi_flags(txn, dbi, &flags));
	printf("  flags %x\n", flags);
}

static void free_list(MDB_env *env)
{
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_stat st;
	MDB_val k = value_of("k"), v = value_of("v");
	unsigned int flags;

	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_stat(txn, 0, &st));
	printf("page size %u\n", st.ms_psize);
	SHOW(mdb_cursor_open(txn, 0, &c));
	mdb_cursor_close(c);
	SHOW(mdb_dbi_flags(txn, 0, &flags));
	SHOW(mdb_get(txn, 0, &k, &v));
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_cursor_open(txn, 0, &c));
	SHOW(mdb_put(txn, 0, &k, &v, 0));
	SHOW(mdb_del(txn, 0, &k, NULL));
	SHOW(mdb_drop(txn, 0, 0));
	mdb_txn_abort(txn);
}

/* show_names - named databases are entries of the main one. */
static void show_names(MDB_env *env, MDB_dbi a)
{
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_val k, v;
	MDB_dbi again;

	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_dbi_open(txn, "a", MDB_CREATE, &again));
	SHOW(mdb_cursor_open(txn, 1, &c));
	while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0)
		shown_val("name", &k);
	mdb_cursor_close(c);
	SHOW(mdb_drop(txn, a, 0));
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	k = value_of("a");
	SHOW(mdb_del(txn, 1, &k, NULL));
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_cursor_open(txn, 1, &c));
	SHOW(mdb_cursor_get(c, &k, &v, MDB_SET));
	SHOW(mdb_cursor_del(c, 0));
	mdb_txn_abort(txn);
}

static void names(MDB_env *env)
{
	MDB_txn *txn;
	MDB_dbi a, b, c, again, none = 77;
	MDB_val k = value_of("a"), v = value_of("v");
	MDB_stat st;

	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_dbi_open(txn, "a", 0, &none));
	SHOW(mdb_dbi_open(txn, "a", MDB_CREATE, &none));
	SHOW(mdb_dbi_open(txn, "a", 0x1000000, &none));
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "a", 0, &a));
	SHOW(mdb_dbi_open(txn, "a", MDB_CREATE, &a));
	SHOW(mdb_dbi_open(txn, "b", MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED, &b));
	SHOW(mdb_dbi_open(txn, "a", MDB_CREATE, &again));
	printf("handles %u %u %u\n", a, b, again);
	show_flags(txn, b);
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_put(txn, 1, &k, &v, MDB_NOOVERWRITE));
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, a, &k, &v, 0)); /* the handle went with its transaction */
	SHOW(mdb_stat(txn, a, &st));
	SHOW(mdb_dbi_open(txn, "b", MDB_CREATE, &b));
	SHOW(mdb_dbi_open(txn, "a", MDB_CREATE, &a));
	SHOW(mdb_dbi_open(txn, "c", MDB_CREATE | MDB_INTEGERKEY, &c));
	printf("handles %u %u %u\n", a, b, c);
	SHOW(mdb_put(txn, a, &k, &v, 0));
	SHOW(mdb_put(txn, b, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));

	show_names(env, a);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_drop(txn, a, 2));
	SHOW(mdb_drop(txn, a, 0));
	SHOW(mdb_stat(txn, a, &st));
	printf("entries %zu depth %u\n", st.ms_entries, st.ms_depth);
	SHOW(mdb_drop(txn, a, 1));
	SHOW(mdb_stat(txn, a, &st));
	SHOW(mdb_put(txn, a, &k, &v, 0));
	SHOW(mdb_dbi_open(txn, "a", 0, &again));
	SHOW(mdb_dbi_open(txn, "d", MDB_CREATE, &again));
	printf("handle %u\n", again);
	mdb_dbi_close(env, again);
	SHOW(mdb_dbi_open(txn, "d", 0, &again));
	printf("handle %u\n", again);
	SHOW(mdb_txn_commit(txn));
	mdb_dbi_close(env, b);
	mdb_dbi_close(env, 1);
	mdb_dbi_close(env, 4000);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_get(txn, b, &k, &v));
	SHOW(mdb_get(txn, 1, &k, &v));
	SHOW(mdb_dbi_open(txn, "e", MDB_CREATE, &again));
	printf("handle %u\n", again);
	SHOW(mdb_drop(txn, 1, 0));
	SHOW(mdb_stat(txn, 1, &st));
	printf("entries %zu\n", st.ms_entries);
	SHOW(mdb_dbi_open(txn, "b", 0, &again));
	mdb_txn_abort(txn);
}

/* main_again - the main database with each combination of flags, in which some have no effect: they
 * may be asked for again when it has entries, and that changes nothing. */
static void main_again(void)
{
	static const unsigned int bits[] = {MDB_REVERSEKEY, MDB_DUPSORT,    MDB_INTEGERKEY,
	                                    MDB_DUPFIXED,   MDB_INTEGERDUP, MDB_REVERSEDUP};
	char name[32];

	for (unsigned int n = 0; n < 64; n++) {
		unsigned int flags = 0;
		MDB_envinfo info;
		MDB_env *env;
		MDB_txn *txn;
		MDB_dbi dbi;
		size_t last = 0;

		for (unsigned int i = 0; i < 6; i++)
			flags |= n >> i & 1 ? bits[i] : 0;
		if ((flags & (MDB_DUPSORT | MDB_DUPFIXED)) == MDB_DUPFIXED)
			continue; /* LMDB takes its own pages for others */
		snprintf(name, sizeof name, "main-again-%u", n);
		env = started(name, 0);
		for (int round = 0; round < 4; round++) {
			MDB_val k = value_of("integers"), v = value_of("eightnow");

			if (mdb_txn_begin(env, NULL, round == 3 ? MDB_RDONLY : 0, &txn))
				exit(2);
			printf("%x: %d", flags, mdb_dbi_open(txn, NULL, flags, &dbi));
			if (round == 1)
				printf(", put %d", mdb_put(txn, dbi, &k, &v, 0));
			printf(", commit %d", mdb_txn_commit(txn));
			SHOW(mdb_env_info(env, &info));
			if (round > 0) /* the first keeps flags without effect in LMDB alone */
				printf("numbers %zu\n", info.me_last_txnid - last);
			last = info.me_last_txnid;
		}
		mdb_env_close(env);
	}
}

void area_dbi(void)
{
	MDB_env *env = started("dbi", 0);
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k = value_of("plain"), v = value_of("v");

	free_list(env);
	names(env);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_dbi_open(txn, "plain", 0, &dbi));
	SHOW(mdb_dbi_open(txn, "plain", MDB_CREATE, &dbi));
	char name[4] = "n0";
	int rc = 0;

	for (int i = 0; i < 10 && !rc; i++, name[1]++) {
		rc = mdb_dbi_open(txn, name, MDB_CREATE, &dbi);
		printf("%s = %d %u\n", name, rc, rc ? 0 : dbi);
	}
	mdb_txn_abort(txn);
	mdb_env_close(env);

	const char *dir = place("dbi");

	if (mdb_env_create(&env))
		exit(2);
	SHOW(mdb_env_open(env, dir, 0, 0644));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_dbi_open(txn, "b", 0, &dbi));
	mdb_txn_abort(txn);
	mdb_env_close(env);

	env = started("dbi-dups", 0);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, NULL, MDB_DUPSORT, &dbi));
	show_flags(txn, dbi);
	SHOW(mdb_put(txn, dbi, &k, &v, 0));
	SHOW(mdb_dbi_open(txn, "x", 0, &dbi));
	SHOW(mdb_dbi_open(txn, "x", MDB_CREATE, &dbi));
	SHOW(mdb_txn_commit(txn));
	mdb_env_close(env);
	main_again();
}

/* ---- orders ---------------------------------------------------------------------------------- */

static int backwards(const MDB_val *a, const MDB_val *b)
{
	size_t n = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
	int c = memcmp(b->mv_data, a->mv_data, n);

	return c ? c : a->mv_size < b->mv_size ? 1 : a->mv_size > b->mv_size ? -1 : 0;
}

static int without_case(const MDB_val *a, const MDB_val *b)
{
	size_t n = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
	int c = strncasecmp(a->mv_data, b->mv_data, n);

	return c ? c : a->mv_size < b->mv_size ? -1 : a->mv_size > b->mv_size;
}

static void put_words(MDB_txn *txn, MDB_dbi dbi)
{
	static const char *const words[] = {"pear", "Apple", "fig", "apple", "plum", "Fig"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		MDB_val k = value_of(words[i]), v = value_of(words[5 - i]);

		SHOW(mdb_put(txn, dbi, &k, &v, 0));
	}
}

static void show_order(MDB_txn *txn, MDB_dbi dbi)
{
	MDB_val a = value_of("a"), b = value_of("b"), ab = value_of("ab");

	unsigned int flags;

	printf("order %d %d %d\n", mdb_cmp(txn, dbi, &a, &b) < 0, mdb_cmp(txn, dbi, &b, &ab) < 0,
	       mdb_cmp(txn, dbi, &a, &a));
	if (mdb_dbi_flags(txn, dbi, &flags) == 0 && flags & MDB_DUPSORT)
		printf("order of duplicates %d %d\n", mdb_dcmp(txn, dbi, &a, &b) < 0,
		       mdb_dcmp(txn, dbi, &ab, &a) < 0);
}

/* equals - duplicates that the program's order calls equal: the newest takes the place of the
 * others. */
static void equals(MDB_env *env, unsigned int fixed)
{
	static const char *const words[] = {"pear", "Pear", "apple", "PEAR", "APPLE", "fig", "Fig"};
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_cursor *c;
	MDB_val k = value_of("k"), v;
	size_t n;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, fixed ? "equal-fixed" : "equal", MDB_CREATE | MDB_DUPSORT | fixed,
	                  &dbi));
	SHOW(mdb_set_dupsort(txn, dbi, without_case));
	SHOW(mdb_cursor_open(txn, dbi, &c));
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		v = value_of(words[i]);
		if (fixed)
			v.mv_size = 3;
		printf("%s\n", words[i]);
		SHOW(mdb_put(txn, dbi, &k, &v, i == 3 ? MDB_NODUPDATA : 0));
		SHOW(mdb_cursor_put(c, &k, &v, i == 5 ? MDB_NODUPDATA : 0));
		SHOW(mdb_cursor_count(c, &n));
		printf("count %zu\n", n);
		shown_all(txn, dbi);
	}
	v = (MDB_val){fixed ? 3 : 4, (void *)(uintptr_t) "pEAR"};
	SHOW(mdb_cursor_get(c, &k, &v, MDB_GET_BOTH));
	shown_val("both", &v);
	mdb_cursor_close(c);
	SHOW(mdb_txn_commit(txn));
}

void area_order(void)
{
	MDB_env *env = started("order", 0);
	MDB_txn *txn;
	MDB_dbi main_dbi, named, dups;
	MDB_val k = value_of("FIG"), v;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "named", MDB_CREATE, &named));
	SHOW(mdb_set_compare(txn, named, without_case));
	SHOW(mdb_set_compare(txn, 99, without_case));
	SHOW(mdb_set_relfunc(txn, named, NULL));
	SHOW(mdb_set_relctx(txn, named, NULL));
	SHOW(mdb_dbi_open(txn, "dups", MDB_CREATE | MDB_DUPSORT, &dups));
	SHOW(mdb_set_dupsort(txn, dups, backwards));
	put_words(txn, named);
	put_words(txn, dups);
	put_words(txn, dups);
	show_order(txn, dups);
	show_order(txn, named);
	SHOW(mdb_get(txn, named, &k, &v));
	shown_val("FIG", &v);
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	shown_all(txn, named);
	shown_all(txn, dups);
	mdb_txn_abort(txn);
	equals(env, 0);
	equals(env, MDB_DUPFIXED);
	mdb_env_close(env);

	const char *dir = place("order");

	if (mdb_env_create(&env) || mdb_env_set_maxdbs(env, 8))
		exit(2);
	SHOW(mdb_env_open(env, dir, 0, 0644));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "named", 0, &named));
	shown_all(txn, named); /* walking needs no comparator */
	SHOW(mdb_set_compare(txn, named, without_case));
	SHOW(mdb_get(txn, named, &k, &v));
	k = value_of("Cherry");
	v = value_of("late");
	SHOW(mdb_put(txn, named, &k, &v, 0));
	shown_all(txn, named);
	SHOW(mdb_txn_commit(txn));
	mdb_env_close(env);

	env = started("order-main", 0);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, NULL, 0, &main_dbi));
	SHOW(mdb_set_compare(txn, main_dbi, backwards));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	put_words(txn, main_dbi);
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	shown_all(txn, main_dbi);
	k = value_of("apple");
	SHOW(mdb_get(txn, main_dbi, &k, &v));
	mdb_txn_abort(txn);
	mdb_env_close(env);
}
