/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * layer.h - what stands behind LMDB's handles when a daxkv store does the work.
 *
 *   MDB_env     a store, a table of database handles, a table of readers
 *   MDB_txn     a transaction of the store; as a reader it owns an entry of the reader table
 *   MDB_cursor  a cursor of the store and the flags that LMDB's cursors have beyond its position
 *
 * The layer knows daxkv.h and nothing else of the engine. It adds what LMDB has and daxkv has not: handle numbers (0 the free list, 1 the main
 * database, named ones from 2, the lowest free one first), one read transaction a thread, comparators that a program sets without telling
 * when it makes a database, and LMDB's results.
 */
#ifndef DAXKV_LMDB_LAYER_H
#define DAXKV_LMDB_LAYER_H

#include "abi.h"
#include "daxkv.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

enum { FREE_DBI = 0, MAIN_DBI = 1, FIRST_NAMED = 2 };
#define PAGE_SIZE 4096u
#define DB_FLAGS (MDB_REVERSEKEY | MDB_DUPSORT | MDB_INTEGERKEY | MDB_DUPFIXED | MDB_INTEGERDUP | MDB_REVERSEDUP)
#define ENV_CHANGEABLE (MDB_NOSYNC | MDB_NOMETASYNC | MDB_MAPASYNC | MDB_NOMEMINIT)
#define ENV_FIXED (MDB_FIXEDMAP | MDB_NOSUBDIR | MDB_RDONLY | MDB_WRITEMAP | MDB_NOTLS | MDB_NOLOCK | MDB_NORDAHEAD)
#define NO_TXN SIZE_MAX /* a reader that reads nothing */

struct slot { /* a database handle; its address is fixed while the environment is open */
	bool used;
	char *name; /* NULL: the main database */
	daxkv_db db;
	unsigned int flags;      /* the database's, LMDB's part of them */
	struct MDB_txn *opened_by; /* the running transaction that opened it: an abort closes it */
	MDB_cmp_func *cmp, *dcmp; /* the program's; NULL: the default order */
};

struct reader {
	MDB_env *env;
	pid_t pid; /* 0: free */
	pthread_t thread;
	size_t txnid; /* atomic; NO_TXN between transactions */
	MDB_txn *txn;
};

struct MDB_env {
	/* set before or at open */
	struct daxkv *kv; /* NULL: not open */
	char *path;
	unsigned int flags, max_readers;
	MDB_dbi max_dbs;
	void *userctx;
	MDB_assert_func *assert_func;
	unsigned int forks; /* fork_count at open: else this is a child's copy */
	pthread_key_t reader_key;
	bool has_key, grow;
	size_t mapsize;
	/* the thread of the write transaction */
	MDB_txn *writer; /* atomic: the outermost one running */
	/* mutex */
	pthread_mutex_t mutex;
	struct slot *slot; /* max_dbs + FIRST_NAMED */
	struct reader *reader; /* max_readers */
	unsigned int readers_high;
	MDB_txn *unlisted; /* read transactions that have no entry of the reader table: MDB_NOLOCK */
	daxkv_db *closed;  /* handles of the store that no slot uses any more */
	size_t n_closed;
};

struct MDB_txn {
	MDB_env *env;
	struct daxkv_txn *kv;
	MDB_txn *parent, *child;
	bool rdonly, idle, failed; /* idle: reset; failed: only abort is left */
	struct reader *reader;
	MDB_txn *next, **link; /* in env->unlisted */
	MDB_cursor *cursors;
	uint8_t *adopted; /* by handle: its database has the program's order; NULL until one is asked for */
};

enum place { /* of a cursor, where the store's own position does not tell */
	PLACE_UNSET,
	PLACE_SET,
	PLACE_END /* a search found nothing at or after its key */
};

struct MDB_cursor {
	struct daxkv_cursor *kv; /* NULL: on the free list, which shows nothing */
	MDB_txn *txn;            /* NULL: a read transaction that ended */
	MDB_cursor *next, **link;
	MDB_dbi dbi;
	enum place place;
	bool rdonly;
	size_t chunk;   /* values that the last MULTIPLE gave: the cursor is on the last of them. 0: none */
	uint8_t *page;  /* where they were gathered */
};

/* ---- err.c ---------------------------------------------------------------------------------------------------------------- */

/* err_of - the result of a daxkv function as LMDB has it. */
int err_of(int rc);

/* ---- env.c ---------------------------------------------------------------------------------------------------------------- */

/* env_is_copy - whether this process is a forked child of the one that opened the environment. */
bool env_is_copy(const MDB_env *env);

/* env_file - the path of a file of the environment at path: the data or the lock file; NULL when there is no memory. */
char *env_file(const char *path, bool nosubdir, bool lock);

/* ---- reader.c ------------------------------------------------------------------------------------------------------------- */

/* reader_enter - txn is about to read: an entry of the reader table for it. MDB_BAD_RSLOT, MDB_READERS_FULL, ENOMEM. */
int reader_enter(MDB_txn *txn);

/* reader_leave - txn does not read any more; with end its handle goes too. */
void reader_leave(MDB_txn *txn, bool end);

/* reader_tables_open, reader_tables_close - of an environment. */
int reader_tables_open(MDB_env *env);
void reader_tables_close(MDB_env *env);

/* ---- txn.c ---------------------------------------------------------------------------------------------------------------- */

/* txn_blocked - whether nothing but its end may be asked of txn. */
static inline bool txn_blocked(const MDB_txn *txn)
{
	return txn->child || txn->idle || txn->failed;
}

/* txn_result - the result of a change in txn, which a failure half-way leaves fit for abort alone. */
int txn_result(MDB_txn *txn, int rc);

/* ---- dbi.c ---------------------------------------------------------------------------------------------------------------- */

/* slot_of - the handle, or NULL when there is none with that number, or the transaction is reset. */
static inline struct slot *slot_of(const MDB_txn *txn, MDB_dbi dbi)
{
	return LIKELY(txn && !txn->idle && dbi < txn->env->max_dbs + FIRST_NAMED && txn->env->slot[dbi].used) ? &txn->env->slot[dbi] : NULL;
}

/* slot_of_store - the handle that stands for the store's handle db, or NULL. The mutex is held. */
struct slot *slot_of_store(MDB_env *env, daxkv_db db);

int slots_open(MDB_env *env);
void slots_close(MDB_env *env);

/* slots_end - txn ends: the handles that it opened stay, or its parent's, or go. */
void slots_end(MDB_txn *txn, bool keep);

/* ---- compare.c ------------------------------------------------------------------------------------------------------------ */

/* compare_keys, compare_dups - in the handle's order. */
int compare_keys(const struct slot *slot, const MDB_val *a, const MDB_val *b);
int compare_dups(const struct slot *slot, const MDB_val *a, const MDB_val *b);

/* compare_provide - give the store the handle's comparators when its database has an order of its own. */
int compare_provide(struct daxkv_txn *txn, struct slot *slot);

/* compare_adopt - before a change: the handle's database gets the order that the program set, when it was made without one. */
int compare_adopt(MDB_txn *txn, MDB_dbi dbi);

/* ---- cursor.c ------------------------------------------------------------------------------------------------------------- */

/* cursors_end - txn ends: its cursors are freed, or a read transaction's are detached. */
void cursors_end(MDB_txn *txn);

/* cursors_lose - txn's cursors on dbi have no position any more. */
void cursors_lose(MDB_txn *txn, MDB_dbi dbi);

/* cursor_store_get - move the store's cursor; outputs only on success. */
int cursor_store_get(MDB_cursor *c, MDB_val *key, MDB_val *data, enum daxkv_cursor_op op);

/* ---- multiple.c ----------------------------------------------------------------------------------------------------------- */

int multiple_get(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op);
int multiple_put(MDB_cursor *c, const MDB_val *key, MDB_val *data, unsigned int flags);

#endif
