/* SPDX-License-Identifier: BSD-3-Clause */
/* count_lmdb.c - the counted operations by LMDB's interface. See count.h */
#include "count.h"

#include <lmdb.h>

#define MAIN_DBI 1

/* Visible, so that callgrind knows them by name. */
int count_begin(void *env, uint64_t n);
int count_write(void *env, uint64_t n);
int count_get(void *env, uint64_t n);
int count_next(void *env, uint64_t n);
int count_put(void *env, uint64_t n);
int count_update(void *env, uint64_t n);
int count_insert(void *env, uint64_t n);
int count_delete(void *env, uint64_t n);

static int begin_and_abort(MDB_env *env, unsigned int flags, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		MDB_txn *txn;

		err = mdb_txn_begin(env, NULL, flags, &txn);
		if (!err)
			mdb_txn_abort(txn);
	}
	return err;
}

int count_begin(void *env, uint64_t n)
{
	return begin_and_abort(env, MDB_RDONLY, n);
}

int count_write(void *env, uint64_t n)
{
	return begin_and_abort(env, 0, n);
}

/* All gets lie in one transaction. */
int count_get(void *env, uint64_t n)
{
	MDB_txn *txn;
	struct record r;
	int err = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (err)
		return err;
	for (uint64_t i = 0; i < n && !err; i++) {
		entry_make(&r, id_existing(i), 0);
		MDB_val k = {sizeof r.key, r.key}, v;

		err = mdb_get(txn, MAIN_DBI, &k, &v);
	}
	mdb_txn_abort(txn);
	return err;
}

int count_next(void *env, uint64_t n)
{
	MDB_cursor *cursor;
	MDB_txn *txn;
	int err = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (err)
		return err;
	err = mdb_cursor_open(txn, MAIN_DBI, &cursor);
	for (uint64_t i = 0; i < n && !err; i++) {
		MDB_val k, v;

		err = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return err;
}

static int put(MDB_txn *txn, uint64_t id, uint64_t version)
{
	struct record r;

	entry_make(&r, id, version);
	MDB_val k = {sizeof r.key, r.key}, v = {sizeof r.value, r.value};

	return mdb_put(txn, MAIN_DBI, &k, &v, 0);
}

static int end(MDB_txn *txn, int err)
{
	if (!err)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return err;
}

/* put_range - new entries, many in a transaction. */
static int put_range(MDB_env *env, uint64_t from, uint64_t to)
{
	int err = 0;

	for (uint64_t i = from; i < to && !err;) {
		MDB_txn *txn;

		err = mdb_txn_begin(env, NULL, 0, &txn);
		if (err)
			break;
		for (unsigned int k = 0; k < BATCH && i < to && !err; k++, i++)
			err = put(txn, i, 1);
		err = end(txn, err);
	}
	return err;
}

static int put_one(MDB_env *env, uint64_t id, uint64_t version)
{
	MDB_txn *txn;
	int err = mdb_txn_begin(env, NULL, 0, &txn);

	return err ? err : end(txn, put(txn, id, version));
}

int count_put(void *env, uint64_t n)
{
	return put_range(env, ENTRIES, ENTRIES + n);
}

int count_update(void *env, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++)
		err = put_one(env, id_existing(i), i + 2);
	return err;
}

int count_insert(void *env, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++)
		err = put_one(env, ENTRIES + i, 1);
	return err;
}

int count_delete(void *env, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		MDB_txn *txn;
		struct record r;

		err = mdb_txn_begin(env, NULL, 0, &txn);
		if (err)
			break;
		entry_make(&r, i, 0);
		MDB_val k = {sizeof r.key, r.key};

		err = end(txn, mdb_del(txn, MAIN_DBI, &k, NULL));
	}
	return err;
}

static int store_open(const char *file, void **store)
{
	MDB_txn *txn;
	MDB_env *env;
	MDB_dbi dbi;
	int err = mdb_env_create(&env);

	if (!err)
		err = mdb_env_set_mapsize(env, 1u << 30);
	if (!err)
		err = mdb_env_open(env, file, MDB_NOSUBDIR, 0664);
	if (!err)
		err = mdb_txn_begin(env, NULL, 0, &txn);
	if (!err)
		err = end(txn, mdb_dbi_open(txn, NULL, 0, &dbi));
	if (!err)
		*store = env;
	return err;
}

/* store_fill - the last commit is a small one: whoever begins to write flushes its words. */
static int store_fill(void *env)
{
	int err = put_range(env, 0, ENTRIES);

	return err ? err : put_one(env, 0, 1);
}

static int store_close(void *env)
{
	mdb_env_close(env);
	return 0;
}

static const char *store_text(int err)
{
	return mdb_strerror(err);
}

int main(int argc, char **argv)
{
	static const struct count_program program = {
	    .name = "bench-count-lmdb",
	    .open = store_open,
	    .fill = store_fill,
	    .close = store_close,
	    .text = store_text,
	    .kinds = {{"begin", count_begin},
	              {"write", count_write},
	              {"get", count_get},
	              {"next", count_next},
	              {"put", count_put},
	              {"update", count_update},
	              {"insert", count_insert},
	              {"delete", count_delete},
	              {NULL, NULL}},
	};

	return count_main(&program, argc, argv);
}
