/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * area_handles.c - who may use a database handle, and how long: opened, closed, dropped, in
 * transactions that end in either way, beside others that began before or after. What stock LMDB
 * leaves undefined (a handle that is closed while a transaction has changes by it) is not here.
 */
#include "areas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* few - an environment in which max databases may be open, with four that are there already: a, b,
 * c, d. No handle is open. */
static MDB_env *few(const char *name, MDB_dbi max, unsigned int flags)
{
	MDB_env *env = started(name, 0);
	MDB_txn *txn;
	MDB_dbi dbi;
	char db[2] = "a";

	if (mdb_txn_begin(env, NULL, 0, &txn))
		exit(2);
	for (; db[0] <= 'd'; db[0]++) {
		MDB_val k = value_of("i am"), v = value_of(db);

		if (mdb_dbi_open(txn, db, MDB_CREATE, &dbi) || mdb_put(txn, dbi, &k, &v, 0))
			exit(2);
	}
	if (mdb_txn_commit(txn))
		exit(2);
	mdb_env_close(env);

	const char *dir = place(name);

	if (mdb_env_create(&env) || mdb_env_set_maxdbs(env, max) ||
	    mdb_env_set_mapsize(env, 16u << 20) || mdb_env_open(env, dir, flags, 0644))
		exit(2);
	return env;
}

static MDB_txn *begun(MDB_env *env, unsigned int flags)
{
	MDB_txn *txn;

	if (mdb_txn_begin(env, NULL, flags, &txn))
		exit(2);
	return txn;
}

static MDB_txn *nested(MDB_env *env, MDB_txn *parent)
{
	MDB_txn *txn;

	if (mdb_txn_begin(env, parent, 0, &txn))
		exit(2);
	return txn;
}

/* show_open - open the database, say what number it gets. */
static MDB_dbi show_open(MDB_txn *txn, const char *name, unsigned int flags)
{
	MDB_dbi dbi = 0;
	int rc = mdb_dbi_open(txn, name, flags, &dbi);

	printf("open %s (%x) = %d, handle %u\n", name, flags, rc, rc ? 0 : dbi);
	return dbi;
}

/* show_use - what each reading call says of the handle. */
static void show_use(const char *what, MDB_txn *txn, MDB_dbi dbi)
{
	MDB_val k = value_of("i am"), v;
	MDB_cursor *c;
	MDB_stat st;
	unsigned int flags;
	int rc = mdb_get(txn, dbi, &k, &v);

	printf("%s: get %d", what, rc);
	if (!rc)
		printf(" '%.*s'", (int)v.mv_size, (const char *)v.mv_data);
	rc = mdb_stat(txn, dbi, &st);
	printf(", stat %d", rc);
	if (!rc)
		printf(" (%zu)", st.ms_entries);
	printf(", flags %d", mdb_dbi_flags(txn, dbi, &flags));
	rc = mdb_cursor_open(txn, dbi, &c);
	printf(", cursor %d\n", rc);
	if (!rc)
		mdb_cursor_close(c);
}

static void show_put(const char *what, MDB_txn *txn, MDB_dbi dbi)
{
	MDB_val k = value_of("more"), v = value_of("x"), none = value_of("none");
	int put = mdb_put(txn, dbi, &k, &v, 0), del = mdb_del(txn, dbi, &none, NULL);

	printf("%s: put %d, del %d\n", what, put, del);
}

static void show_later(const char *what, MDB_env *env, MDB_dbi dbi, unsigned int flags)
{
	MDB_txn *txn = begun(env, flags);

	show_use(what, txn, dbi);
	mdb_txn_abort(txn);
}

/* ---- names without end ----------------------------------------------------------------------- */

enum way {
	WAY_CLOSE,
	WAY_DROP,
	WAY_DROP_AT_ONCE,
	WAY_ABORT,
	WAY_NESTED,
	WAY_READ,
	WAY_RESET,
	WAYS
};

/* come_and_go - one database, made and gone in that way; 0, or the failed call's result. *highest:
 * the highest handle. */
static int come_and_go(MDB_env *env, enum way way, const char *name, MDB_dbi *highest)
{
	bool reads = way == WAY_READ || way == WAY_RESET;
	MDB_txn *txn = begun(env, reads ? MDB_RDONLY : 0),
	        *inner = way == WAY_NESTED ? nested(env, txn) : txn;
	MDB_val k = value_of("k"), v = value_of(name);
	MDB_dbi dbi = 0;
	int rc = mdb_dbi_open(inner, reads ? "a" : name, reads ? 0 : MDB_CREATE, &dbi);

	*highest = dbi > *highest ? dbi : *highest;
	if (!rc && !reads)
		rc = mdb_put(inner, dbi, &k, &v, 0);
	if (inner != txn)
		mdb_txn_abort(inner);
	if (!rc && way == WAY_DROP_AT_ONCE)
		rc = mdb_drop(txn, dbi, 1);
	if (way == WAY_RESET)
		mdb_txn_reset(txn);
	if (rc || way == WAY_ABORT || way == WAY_RESET)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	if (way == WAY_CLOSE || way == WAY_READ)
		mdb_dbi_close(env, dbi);
	if (!rc && way == WAY_DROP) {
		txn = begun(env, 0);
		rc = mdb_drop(txn, dbi, 1);
		rc = rc ? rc : mdb_txn_commit(txn);
	}
	return rc;
}

static void without_end(void)
{
	for (enum way way = 0; way < WAYS; way++) {
		char name[32];

		snprintf(name, sizeof name, "handles-many-%d", (int)way);

		MDB_env *env = few(name, 3, 0);
		MDB_dbi highest = 0;
		int i = 0, rc = 0;

		for (; i < 200 && !rc; i++) {
			snprintf(name, sizeof name, "n%d", i);
			rc = come_and_go(env, way, name, &highest);
		}
		printf("way %d: %d names, then %d; highest handle %u\n", (int)way, i, rc, highest);
		mdb_env_close(env);
	}
}

/* ---- a full table ---------------------------------------------------------------------------- */

static void full_table(void)
{
	MDB_env *env = few("handles-full", 2, 0);
	MDB_txn *txn = begun(env, 0);
	MDB_dbi a = show_open(txn, "a", 0), b = show_open(txn, "b", 0);

	show_open(txn, "c", 0);
	show_open(txn, "none", 0);
	show_open(txn, "new", MDB_CREATE);
	show_open(txn, "a", 0);
	show_put("after the table was full", txn, a);
	SHOW(mdb_txn_commit(txn));
	mdb_dbi_close(env, a);
	show_later("a closed one", env, a, 0);
	txn = begun(env, 0);
	a = show_open(txn, "new", MDB_CREATE);
	show_open(txn, "c", 0);
	show_put("in its place", txn, a);
	show_use("beside it", txn, b);
	SHOW(mdb_txn_commit(txn));
	show_later("the same number now", env, a, MDB_RDONLY);
	mdb_env_close(env);
	env = few("handles-none", 0, 0);
	txn = begun(env, 0);
	show_open(txn, "a", 0);
	show_open(txn, "new", MDB_CREATE);
	SHOW(mdb_dbi_open(txn, NULL, 0, &b));
	SHOW(mdb_txn_commit(txn));
	mdb_env_close(env);
}

/* ---- others' handles ------------------------------------------------------------------------- */

/* A handle is good in transactions that began after the one that opened it had committed. */
static void others_handles(void)
{
	MDB_env *env = few("handles-others", 4, MDB_NOTLS);
	MDB_txn *before = begun(env, MDB_RDONLY), *opener = begun(env, MDB_RDONLY), *after;
	MDB_dbi a = show_open(opener, "a", 0), b;

	show_use("its opener", opener, a);
	show_use("one that began before", before, a);
	after = begun(env, MDB_RDONLY);
	show_use("one that began after the open", after, a);
	SHOW(mdb_txn_commit(opener));
	show_use("one that began before, now", before, a);
	show_use("one that began after the open, now", after, a);
	mdb_txn_reset(after);
	SHOW(mdb_txn_renew(after));
	show_use("renewed", after, a);
	mdb_txn_abort(after);
	mdb_txn_abort(before);

	before = begun(env, MDB_RDONLY);
	opener = begun(env, 0);
	b = show_open(opener, "b", 0);
	show_use("its opener", opener, b);
	show_use("a reader", before, b);
	show_use("a handle from before", before, a);
	SHOW(mdb_txn_commit(opener));
	show_use("a reader, after the commit", before, b);
	mdb_txn_abort(before);
	show_later("a later reader", env, b, MDB_RDONLY);

	opener = begun(env, MDB_RDONLY);
	b = show_open(opener, "c", 0);
	mdb_txn_abort(opener);
	show_later("aborted by a reader", env, b, MDB_RDONLY);
	opener = begun(env, MDB_RDONLY);
	b = show_open(opener, "c", 0);
	mdb_txn_reset(opener);
	SHOW(mdb_txn_renew(opener));
	show_use("reset by a reader", opener, b);
	b = show_open(opener, "d", 0);
	show_use("its number again", opener, b);
	SHOW(mdb_txn_commit(opener));
	show_later("committed by a reader", env, b, 0);
	mdb_env_close(env);
}

static void closed_ones(void)
{
	MDB_env *env = few("handles-closed", 4, 0);
	MDB_txn *txn = begun(env, 0);
	MDB_dbi a = show_open(txn, "a", 0), b;

	SHOW(mdb_txn_commit(txn));
	mdb_dbi_close(env, a);
	mdb_dbi_close(env, a);
	mdb_dbi_close(env, 0);
	mdb_dbi_close(env, 1);
	mdb_dbi_close(env, 77);
	mdb_dbi_close(env, (MDB_dbi)-1);
	show_later("closed", env, a, 0);
	show_later("closed", env, a, MDB_RDONLY);
	show_later("never opened", env, 4, MDB_RDONLY);
	show_later("out of range", env, 6, MDB_RDONLY);
	show_later("far out of range", env, (MDB_dbi)-1, MDB_RDONLY);
	txn = begun(env, 0);
	show_put("closed", txn, a);
	printf("drop %d\n", mdb_drop(txn, a, 0));
	b = show_open(txn, "b", 0);
	SHOW(mdb_txn_commit(txn));
	show_later("its number is another's", env, b, 0);
	txn = begun(env, 0);
	a = show_open(txn, "a", 0);
	show_open(txn, "b", 0);
	mdb_dbi_close(env, a);
	a = show_open(txn, "c", 0);
	show_use("a number that was closed in this transaction", txn, a);
	SHOW(mdb_txn_commit(txn));
	mdb_env_close(env);
}

/* ---- drops ----------------------------------------------------------------------------------- */

static void drops(void)
{
	MDB_env *env = few("handles-drops", 4, 0);

	for (int keep = 0; keep < 2; keep++) {
		MDB_txn *txn = begun(env, 0);
		MDB_dbi a = show_open(txn, "a", 0), b = show_open(txn, "b", 0), again;

		SHOW(mdb_txn_commit(txn));
		txn = begun(env, 0);
		SHOW(mdb_drop(txn, a, 1));
		show_use("dropped", txn, a);
		show_put("dropped", txn, a);
		printf("drop again %d\n", mdb_drop(txn, a, 1));
		show_open(txn, "a", 0);
		again = show_open(txn, "a", MDB_CREATE);
		show_use("made anew", txn, again);
		SHOW(mdb_drop(txn, b, 0));
		show_use("emptied", txn, b);
		if (keep)
			SHOW(mdb_txn_commit(txn));
		else
			mdb_txn_abort(txn);
		show_later("the dropped one", env, a, MDB_RDONLY);
		show_later("the new one", env, again, 0);
		show_later("the emptied one", env, b, MDB_RDONLY);
		txn = begun(env, 0);
		a = show_open(txn, "a", 0);
		if (a)
			show_use("by name", txn, a);
		SHOW(mdb_txn_commit(txn));
		mdb_dbi_close(env, a);
		mdb_dbi_close(env, b);
	}
	mdb_env_close(env);
}

/* ---- nesting --------------------------------------------------------------------------------- */

static void nesting(void)
{
	MDB_env *env = few("handles-nested", 6, 0);

	for (int keep = 0; keep < 2; keep++) {
		MDB_txn *txn = begun(env, 0), *child = nested(env, txn), *grandchild;
		MDB_dbi a = show_open(child, "a", 0), b, made;

		show_use("a child's", child, a);
		grandchild = nested(env, child);
		show_use("in the grandchild", grandchild, a);
		b = show_open(grandchild, "b", 0);
		made = show_open(grandchild, "made", MDB_CREATE);
		SHOW(mdb_txn_commit(grandchild));
		show_use("the grandchild's", child, b);
		show_put("the grandchild's new one", child, made);
		if (keep)
			SHOW(mdb_txn_commit(child));
		else
			mdb_txn_abort(child);
		show_use("the child's", txn, a);
		show_use("the grandchild's", txn, b);
		show_use("the new one", txn, made);
		SHOW(mdb_txn_commit(txn));
		show_later("the child's", env, a, MDB_RDONLY);
		show_later("the grandchild's", env, b, MDB_RDONLY);
		show_later("the new one", env, made, MDB_RDONLY);
		mdb_dbi_close(env, a);
		mdb_dbi_close(env, b);
		mdb_dbi_close(env, made);
	}
	mdb_env_close(env);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void same_names(void)
{
	MDB_env *env = few("handles-names", 4, 0);
	MDB_txn *txn = begun(env, 0);
	MDB_dbi a = show_open(txn, "a", 0);
	unsigned int flags = 99;

	printf("the same again: %d\n", show_open(txn, "a", MDB_CREATE) == a);
	printf("with flags: %d\n", show_open(txn, "a", MDB_CREATE | MDB_DUPSORT) == a);
	SHOW(mdb_dbi_flags(txn, a, &flags));
	printf("flags %x\n", flags);
	show_open(txn, "", 0);
	show_open(txn, "none", MDB_DUPSORT);
	show_open(txn, "a", 0x80);
	SHOW(mdb_txn_commit(txn));
	txn = begun(env, MDB_RDONLY);
	printf("in another transaction: %d\n", show_open(txn, "a", 0) == a);
	show_open(txn, "made", MDB_CREATE);
	SHOW(mdb_txn_commit(txn));
	mdb_env_close(env);
}

/* ---- a crowd --------------------------------------------------------------------------------- */

#define CROWD       1500u /* names */
#define CROWD_MAX   1200u /* handles */
#define CROWD_STEPS 8000u /* a line of output for each 100 */

static uint32_t drawn(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % below;
}

/* crowd_step - one of the crowd is opened, in some kind of transaction, or closed. Returns what the
 * handle is. */
static MDB_dbi crowd_step(MDB_env *env, uint32_t *seed, MDB_dbi *handle)
{
	uint32_t way = drawn(seed, 8), i = drawn(seed, CROWD);
	char name[16];
	MDB_dbi dbi = 0;

	snprintf(name, sizeof name, "crowd%u", (unsigned int)i);
	if (way == 0) {
		mdb_dbi_close(env, handle[i]);
		handle[i] = 0;
		return 0;
	}
	MDB_txn *txn = begun(env, way < 4 ? MDB_RDONLY : 0);
	MDB_txn *inner = way == 7 ? nested(env, txn) : txn;
	int rc = mdb_dbi_open(inner, name, way < 4 ? 0 : MDB_CREATE, &dbi);
	bool keep = way % 4 != 3 || drawn(seed, 2);

	if (inner != txn && !keep)
		mdb_txn_abort(inner);
	else if (inner != txn)
		(void)mdb_txn_commit(inner);
	if (keep || inner != txn)
		(void)mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	if (rc)
		return (MDB_dbi)rc;
	if (keep)
		handle[i] = dbi;
	return dbi;
}

static void crowd(void)
{
	MDB_env *env = few("crowd", CROWD_MAX, 0);
	MDB_dbi handle[CROWD] = {0};
	uint32_t seed = 1, sum = 0;

	for (unsigned int i = 1; i <= CROWD_STEPS; i++) {
		sum = sum * 31 + crowd_step(env, &seed, handle);
		if (i % 100 == 0)
			printf("crowd after %u steps: %08x\n", i, (unsigned int)sum);
	}
	mdb_env_close(env);
}

void area_handles(void)
{
	without_end();
	full_table();
	others_handles();
	closed_ones();
	drops();
	nesting();
	same_names();
	crowd();
}
