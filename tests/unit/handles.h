/* SPDX-License-Identifier: BSD-3-Clause */
/* handles.h - what the tests of database handles share. */
#ifndef DAXKV_TEST_HANDLES_H
#define DAXKV_TEST_HANDLES_H

#include "small_store.h"

#define MAIN   DAXKV_MAIN
#define BAD_DB DAXKV_BAD_DB

static inline int open_db(struct daxkv_txn *txn, const char *name, unsigned int flags, daxkv_db *db)
{
	struct daxkv_val n = text(name);

	return daxkv_db_open(txn, &n, flags, db);
}

static inline int rename_db(struct daxkv_txn *txn, daxkv_db db, const char *name)
{
	struct daxkv_val n = text(name);

	return daxkv_db_rename(txn, db, &n);
}

/* made - a new database that says its name, committed. */
static inline daxkv_db made(struct daxkv_store *store, const char *name)
{
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, name, 0);

	OK(put(txn, db, "i am", name, 0));
	OK(daxkv_txn_commit(txn));
	return db;
}

/* dropped - a named database is gone, by way of a store handle of its own. */
static inline void dropped(struct daxkv_store *store, const char *name)
{
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = 0;

	OK(open_db(txn, name, 0, &db));
	OK(daxkv_db_drop(txn, db, 1));
	OK(daxkv_txn_commit(txn));
}

static inline int get_rc(struct daxkv_txn *txn, daxkv_db db, const char *key)
{
	struct daxkv_val k = text(key), v;

	return daxkv_get(txn, db, &k, &v);
}

static inline struct daxkv_store *small_store(unsigned int max_dbs)
{
	store_done(store_new("h", 512));
	return store_open("h",
	                  (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE, .max_dbs = max_dbs});
}

#endif
