/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lmdb.h - LMDB, for kv import and kv export: its library is loaded when one of them runs, so that
 * kv needs none.
 */
#ifndef DAXKV_CLI_LMDB_H
#define DAXKV_CLI_LMDB_H

#include "cli.h"
#include "lmdb_abi.h"

/* clang-format off */
#define LMDB_FUNCTIONS(F) \
	F(mdb_version) F(mdb_strerror) F(mdb_env_info) \
	F(mdb_env_create) F(mdb_env_open) F(mdb_env_close) \
	F(mdb_env_set_mapsize) F(mdb_env_set_maxdbs) F(mdb_env_sync) \
	F(mdb_txn_begin) F(mdb_txn_commit) F(mdb_txn_abort) \
	F(mdb_dbi_open) F(mdb_dbi_close) F(mdb_dbi_flags) \
	F(mdb_stat) F(mdb_set_compare) F(mdb_set_dupsort) \
	F(mdb_cmp) F(mdb_dcmp) F(mdb_put) \
	F(mdb_cursor_open) F(mdb_cursor_get) F(mdb_cursor_close)
/* clang-format on */

struct lmdb {
	void *library;
#define LMDB_POINTER(name) __typeof__(name) *name;
	LMDB_FUNCTIONS(LMDB_POINTER)
#undef LMDB_POINTER
	MDB_env *env;
};

#define LMDB_DB_FLAGS                                                                              \
	(MDB_REVERSEKEY | MDB_DUPSORT | MDB_INTEGERKEY | MDB_DUPFIXED | MDB_INTEGERDUP |           \
	 MDB_REVERSEDUP)

/* lmdb_load - find the library and its functions. Returns an exit status; a failure was printed. */
int lmdb_load(const struct call *call, struct lmdb *lmdb);

/* lmdb_open - open the environment at path, a directory or a data file, with flags of LMDB. Exit
 * status as above. */
int lmdb_open(const struct call *call, struct lmdb *lmdb, const char *path, unsigned int flags,
              uint64_t mapsize);

/* lmdb_end - close and unload what there is. */
void lmdb_end(struct lmdb *lmdb);

/* lmdb_fail - print what failed with LMDB's text; returns an exit status. */
int lmdb_fail(const struct call *call, const struct lmdb *lmdb, int rc, const char *what);

#endif
