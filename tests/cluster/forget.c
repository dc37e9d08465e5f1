/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * forget.c - a library to load before liblmdb.so.0. After a while it aborts two write transactions
 * in a row and says that they are committed: the tests of this directory have to fail. It takes
 * two, because a server may commit an entry and its own bookkeeping by turns.
 */
#include <dlfcn.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { FIRST_FORGOTTEN = 60, LAST_FORGOTTEN = 61 };

static _Thread_local MDB_txn *writer; /* the outermost write transaction of this thread */

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn)
{
	int (*begin)(MDB_env *, MDB_txn *, unsigned int, MDB_txn **);
	int rc;

	*(void **)&begin = dlsym(RTLD_NEXT, "mdb_txn_begin");
	rc = begin(env, parent, flags, txn);
	if (!rc && !parent && !(flags & MDB_RDONLY))
		writer = *txn;
	return rc;
}

int mdb_txn_commit(MDB_txn *txn)
{
	static _Atomic int committed;
	int (*commit)(MDB_txn *);

	if (txn && txn == writer) {
		writer = NULL;
		int number = ++committed;

		if (number >= FIRST_FORGOTTEN && number <= LAST_FORGOTTEN) {
			mdb_txn_abort(txn);
			return 0;
		}
	}
	*(void **)&commit = dlsym(RTLD_NEXT, "mdb_txn_commit");
	return commit(txn);
}
