/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * layer.h - what stands behind LMDB's handles when a daxkv store does the work.
 *
 *   MDB_env     a store, a table of database handles, a list of readers
 *   MDB_txn     a transaction of the store; as a reader it owns an entry of the reader list
 *   MDB_cursor  a cursor of the store and what LMDB's cursors know beyond its position
 *
 * A call of a program is a look at its arguments and a call of the store: values are passed on as
 * they are, and the handles of transactions lie in the environment (a writer's) and in the entries
 * of the reader list (readers'), so that beginning one allocates nothing.
 *
 * The layer knows daxkv.h and nothing else of the engine. It adds what LMDB has and daxkv has not:
 * handle numbers (0 the free list, 1 the main database, named ones from 2, the lowest free one
 * first), one read transaction a thread, comparators that a program sets without telling when it
 * makes a database, and LMDB's results.
 */
#ifndef DAXKV_LMDB_LAYER_H
#define DAXKV_LMDB_LAYER_H

#include "daxkv.h"
#include "lmdb_abi.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

enum { FREE_DBI = 0, MAIN_DBI = 1, FIRST_NAMED = 2 };
#define PAGE_SIZE       4096u
#define HANDLES_MAX     1048576u /* databases open at once */
#define HANDLES_CLOSED  16u
#define HANDLE_LEVELS   4u /* 64^4 handles and more */
#define MAPSIZE_DEFAULT 1048576u
#define MAPSIZE_LEAST   8192u /* LMDB's: its two meta pages */
#define DB_FLAGS                                                                                   \
	(MDB_REVERSEKEY | MDB_DUPSORT | MDB_INTEGERKEY | MDB_DUPFIXED | MDB_INTEGERDUP |           \
	 MDB_REVERSEDUP)
/* flags_lazy - whether commits with these flags wait for a sync. MDB_NOMETASYNC may lose the last
 * commit alone: it loses none. */
static inline bool flags_lazy(unsigned int flags)
{
	return flags & MDB_NOSYNC || (flags & MDB_MAPASYNC && flags & MDB_WRITEMAP);
}
#define ENV_CHANGEABLE (MDB_NOSYNC | MDB_NOMETASYNC | MDB_MAPASYNC | MDB_NOMEMINIT)
#define ENV_FIXED                                                                                  \
	(MDB_FIXEDMAP | MDB_NOSUBDIR | MDB_RDONLY | MDB_WRITEMAP | MDB_NOTLS | MDB_NOLOCK |        \
	 MDB_NORDAHEAD)
#define SPARE_READERS 4096u    /* read transactions that the store keeps for threads */
#define NO_TXN        SIZE_MAX /* a reader that reads nothing */

static_assert(sizeof(MDB_val) == sizeof(struct daxkv_val) &&
                  offsetof(MDB_val, mv_size) == offsetof(struct daxkv_val, size) &&
                  offsetof(MDB_val, mv_data) == offsetof(struct daxkv_val, data),
              "MDB_val");

/* Flags that the layer passes on as they are. */
#define SAME_FLAG(lmdb, daxkv) static_assert((unsigned int)(lmdb) == (unsigned int)(daxkv), #lmdb)
SAME_FLAG(MDB_REVERSEKEY, DAXKV_REVERSE_KEY);
SAME_FLAG(MDB_DUPSORT, DAXKV_DUP_SORT);
SAME_FLAG(MDB_INTEGERKEY, DAXKV_INTEGER_KEY);
SAME_FLAG(MDB_DUPFIXED, DAXKV_DUP_FIXED);
SAME_FLAG(MDB_INTEGERDUP, DAXKV_INTEGER_DUP);
SAME_FLAG(MDB_REVERSEDUP, DAXKV_REVERSE_DUP);
SAME_FLAG(MDB_CREATE, DAXKV_CREATE);
SAME_FLAG(MDB_NOOVERWRITE, DAXKV_NO_OVERWRITE);
SAME_FLAG(MDB_NODUPDATA, DAXKV_NO_DUP_DATA);
SAME_FLAG(MDB_CURRENT, DAXKV_CURRENT);
SAME_FLAG(MDB_RESERVE, DAXKV_RESERVE);
SAME_FLAG(MDB_APPEND, DAXKV_APPEND);
SAME_FLAG(MDB_APPENDDUP, DAXKV_APPEND_DUP);
#define PUT_FLAGS (MDB_NOOVERWRITE | MDB_NODUPDATA | MDB_RESERVE | MDB_APPEND | MDB_APPENDDUP)
SAME_FLAG(MDB_RDONLY, DAXKV_TXN_READ_ONLY);
#undef SAME_FLAG

/* cancel_off - a thread that is cancelled does not end in what follows, which calls the system
 * while it holds something; the store's own functions see to that by themselves. It returns what
 * cancel_restore takes. */
static inline int cancel_off(void)
{
	int state = PTHREAD_CANCEL_ENABLE;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

static inline void cancel_restore(int state)
{
	(void)pthread_setcancelstate(state, &state);
}

/* val_of - the value as the store takes and gives it: the same bytes. Outputs are written on
 * success only, by the store as by LMDB. */
static inline struct daxkv_val *val_of(MDB_val *v)
{
	return (struct daxkv_val *)v;
}

/*
 * A database handle; its address is fixed while the environment is open. As in LMDB it is good in
 * the transaction that opened it and those nested in that, and in transactions that begin after the
 * outermost one has committed.
 *
 *   free     used is false, from is 0
 *   opened   opened_by is the transaction that an abort closes it with, from is 0
 *   open     from says for whom. Closing frees it at once, and so does a drop, whatever becomes of
 *            the transaction
 *
 * Two transactions that open one name at the same time, which LMDB does not allow, both have the
 * handle, and it stays.
 */
struct handle {
	bool used;
	uint32_t hash; /* of the name */
	struct handle *next_named,
	    *next_store; /* in the buckets of its name and of its store's handle */
	struct handle *next_own,
	    **own;     /* among those that running transactions opened; own NULL: not */
	uint64_t from; /* atomic: 1 + the event from which on transactions have the handle; 0: none
	                  but its opener */
	char *name;    /* NULL: the main database */
	daxkv_db db;
	unsigned int flags;       /* the database's, LMDB's part of them */
	uint64_t opened_by;       /* atomic: serial of the transaction that opened it; 0: none */
	MDB_cmp_func *cmp, *dcmp; /* the program's; NULL: the default order */
	uint64_t adopted; /* serial of the write transaction in which the database has the program's
	                     order for sure */
};

enum {               /* why a transaction can only be ended, or renewed */
       TXN_IDLE = 1, /* reset; or ended, where the handle stays */
       TXN_FAILED = 2,
       TXN_PARENT = 4 /* a nested one is running */
};

struct MDB_txn {
	MDB_env *env;
	struct daxkv_txn *inner; /* of an unused handle in a reader's entry: an idle one, or NULL */
	unsigned int state;
	unsigned int forks;  /* fork_count at its beginning: else it is the parent process's */
	bool rdonly, opened; /* opened: a handle */
	bool changed;        /* its commit has a number, as LMDB's has that copied a page */
	uint64_t began;      /* the newest event then */
	uint64_t serial;     /* see txn_serial; 0: has none yet */
	MDB_txn *parent, *child;
	struct reader *reader; /* the entry that shows what it reads */
	struct reader *home;   /* the entry that the handle lies in; NULL: none */
	MDB_cursor *cursors;
	/* one that was closed, for the next: atomic, and still in cursors, of a read transaction;
	 * else memory alone */
	MDB_cursor *spare;
	/* of a read transaction: threads of a program may share it, as those of Knot DNS do */
	pthread_mutex_t sharing;
};

struct reader { /* on cache lines of its own: its thread writes to it at every transaction */
	_Alignas(64) MDB_env *env;
	struct reader *next; /* atomic: the one made after it */
	struct reader *next_free;
	pid_t pid; /* 0: free */
	pthread_t thread;
	size_t txnid; /* atomic; NO_TXN between transactions */
	MDB_txn *running;
	bool used;   /* atomic: a program has the handle */
	bool ended;  /* its thread ended while a program had the handle */
	MDB_txn txn; /* the handle */
};

/* The answer of mdb_env_stat as of one commit. Several threads may ask at once: the words are
 * atomic, and belong together when version is the same even number before and behind them. */
struct stat_memo {
	uint64_t version;
	uint64_t commit; /* 1 + its number; 0: none */
	uint64_t depth, branch_pages, leaf_pages, overflow_pages, entries;
};

struct MDB_env {
	/* set before or at open */
	struct daxkv_store *store; /* NULL: not open */
	char *path;
	char *data; /* the file, by a name that chdir(2) does not change */
	dev_t dev;  /* and which file data is */
	ino_t ino;
	unsigned int flags, max_readers;
	size_t max_key; /* of a key that is put, and of a duplicate: bytes */
	MDB_dbi max_dbs;
	void *userctx;
	MDB_assert_func *assert_func;
	unsigned int
	    forks; /* atomic: fork_count at open, or when adopted: else this is a child's copy */
	MDB_env *next_env; /* in fork.c, under its mutex */
	pthread_key_t reader_key;
	bool has_key, grow;
	bool no_room; /* the store is empty and stays so: the map has no page for data */
	bool verify;  /* read transactions compare checksums: DAXKV_VERIFY */
	size_t mapsize;
	uint64_t seen;   /* bytes that the file may have without having been resized by others */
	uint64_t peeked; /* atomic: readers' places before and after mdb_env_stat took one more */
	size_t fits;     /* atomic: the commit that was last seen to have no more */
	struct stat_memo stat;
	MDB_dbi n_handles;                    /* max_dbs + FIRST_NAMED, while open */
	MDB_dbi high_handle;                  /* used ones end here */
	struct handle *handle;                /* n_handles; what is in them belongs to the mutex */
	struct handle **by_name, **by_store;  /* buckets: used named handles; a power of two */
	uint32_t buckets, named;              /* named: handles in them */
	uint64_t *free_handle[HANDLE_LEVELS]; /* bits: free handles before high_handle; then words
	                                         with any */
	struct handle *own;                   /* opened by running transactions, the newest first */
	uint64_t serials;                     /* atomic: given out */
	uint64_t events;                      /* atomic: handles that became everybody's */
	/* the store's lock for writing */
	MDB_txn write_txn; /* the handle of the outermost write transaction */
	MDB_txn *writer;   /* atomic: that handle while it runs, else NULL */
	/* mutex */
	pthread_mutex_t mutex;
	struct reader *readers,
	    *last_reader; /* all there are, in the order in which they were made */
	struct reader *free_readers,
	    *spare_readers;              /* entries whose places are free; without places */
	unsigned int n_readers;          /* places taken, free_readers' included */
	daxkv_db closed[HANDLES_CLOSED]; /* handles of the store whose handles were closed last: who
	                                    looked at them may still do so */
	unsigned int n_closed;           /* in all, so far */
};

/* What a cursor of LMDB's remembers beside its place. CURSOR_SET alone, as in a scan, leaves all to
 * the store. */
enum cursor_state {
	CURSOR_SET = 1,       /* has a place; without it nothing else means anything */
	CURSOR_EOF = 2,       /* has met the end: at the last key a step forward finds nothing */
	CURSOR_MOVED = 4,     /* a deletion moved it on to this key: one step forward stays there */
	CURSOR_END = 8,       /* behind the last record; the store's cursor tells nothing then */
	CURSOR_DUP_NONE = 16, /* at a key with several values, and at none of them */
	CURSOR_DUP_EOF = 32,  /* came from behind: if this is the key's last value, it knows that */
	CURSOR_DUP_MOVED = 64, /* like CURSOR_MOVED, among the key's values */
	CURSOR_DUP_END = 128,  /* behind the key's last value, which the store's cursor is on */
	CURSOR_ARRAY = 256,    /* on the last value of the array that was given last */
	CURSOR_SEVERAL = 512,  /* a read transaction's: its key has several values */
};

struct MDB_cursor {
	struct daxkv_cursor *inner; /* NULL: on the free list, which shows nothing */
	MDB_txn *txn;               /* NULL: a read transaction that ended */
	MDB_cursor *next, **link;
	struct handle *handle;
	MDB_dbi dbi;
	unsigned int state; /* enum cursor_state */
	bool rdonly;
	bool hit;             /* what it stands on is about to be deleted or replaced */
	bool met_end;         /* it had CURSOR_EOF when what it stood on was deleted */
	bool strayed;         /* a shadow that is not where it began */
	MDB_cursor *of;       /* a shadow: the parent transaction's cursor that it stands for */
	MDB_cursor *shadow;   /* the one in the running child */
	struct pair *pending; /* where the child's commit puts it */
	size_t array;         /* CURSOR_ARRAY: the number of values in it */
	uint8_t *page;        /* where they were gathered */
};

/* ---- err.c ----------------------------------------------------------------------------------- */

/* err_of - the result of a daxkv function as LMDB has it. */
int err_of(int rc);

/* ---- fork.c ---------------------------------------------------------------------------------- */

/* fork_count - forks among this process's ancestors since an environment was open. Told to be
 * hidden once more: of an extern variable a compiler does not infer that from -fvisibility, and
 * then reads its address first. */
extern __attribute__((visibility("hidden"))) unsigned int fork_count;

/* env_is_copy - whether this process is a forked child of the one that opened the environment, and
 * has not used it yet. txn_is_copy - whether the transaction was begun by a parent process. */
static inline bool env_is_copy(const MDB_env *env)
{
	return UNLIKELY(__atomic_load_n(&env->forks, __ATOMIC_ACQUIRE) != fork_count);
}

static inline bool txn_is_copy(const MDB_txn *txn)
{
	return UNLIKELY(txn->forks != fork_count);
}

/* fork_adopt - make a copy this process's own: the store is opened once more. Errors of
 * mdb_env_open; MDB_PANIC when its name does not lead to the same file any more. Nothing has
 * changed then. */
int fork_adopt(MDB_env *env);

/* env_enter - before anything that needs the store. */
static inline int env_enter(MDB_env *env)
{
	return env_is_copy(env) ? fork_adopt(env) : 0;
}

/* txn_adopt - a parent's read transaction goes on in this process, on the same snapshot: without
 * cursors. MDB_BAD_TXN when that is not the newest any more, or for a write transaction; errors of
 * fork_adopt. */
int txn_adopt(MDB_txn *txn);

/* fork_watch - the environment is open: forks shall leave children a whole copy. errno. fork_forget
 * - it is about to be closed. fork_path - the name, which is freed, as one that does not depend on
 * the working directory; NULL when there is no memory. */
int fork_watch(MDB_env *env);
void fork_forget(MDB_env *env);
char *fork_path(char *name);

/* ---- env.c ----------------------------------------------------------------------------------- */

/* env_store_open - open the environment's store: create it when it is missing and create is set.
 * size is what the file has, as far as is known. Errors of mdb_env_open. */
int env_store_open(MDB_env *env, bool create, uint64_t size, mode_t mode);

/* env_file - the path of the data file of the environment at path; NULL when there is no memory. */
char *env_file(const char *path, bool nosubdir);

/* ---- options.c ------------------------------------------------------------------------------- */

/* max_key_option - the longest key that a put takes, as DAXKV_MAXKEYSIZE says; LMDB's limit without
 * it. EINVAL: it is no such number, and *size is LMDB's limit. */
int max_key_option(size_t *size);

/* put_too_long - whether a key or a duplicate is longer than a put takes. */
static inline bool put_too_long(const MDB_env *env, const struct handle *handle, const MDB_val *key,
                                const MDB_val *data)
{
	return UNLIKELY(key->mv_size > env->max_key ||
	                (handle->flags & MDB_DUPSORT && data->mv_size > env->max_key));
}

/* mapsize_limit - a map size as the store's limit: so much that what fits LMDB's map fits the
 * store. */
uint64_t mapsize_limit(uint64_t size);

/* mapsize_apply - the open environment gets that map size, 0: the one kept with the store, at least
 * what is in use. ENOMEM: no address space. */
int mapsize_apply(MDB_env *env, size_t size);

/* mapsize_keep - the map size is kept with the store when it is larger than the one that is; and
 * the commit of txn has a number, whether anything else changes or not. */
void mapsize_keep(const MDB_env *env, struct daxkv_txn *txn);

/* ---- reader.c -------------------------------------------------------------------------------- */

/* reader_txn_new - a handle for a read transaction that is about to begin, and an entry of the
 * reader list to show it. MDB_BAD_RSLOT, MDB_READERS_FULL, ENOMEM. */
int reader_txn_new(MDB_env *env, MDB_txn **txn);

/* reader_enter - txn, which was reset, is about to read again: an entry to show it. MDB_BAD_RSLOT,
 * MDB_READERS_FULL, ENOMEM. */
int reader_enter(MDB_txn *txn);

/* reader_adopt - the parent's handle txn, which is reset, is to read in this forked child: where
 * places go with handles it has one here. MDB_READERS_FULL. */
int reader_adopt(MDB_txn *txn);

/* reader_leave - txn does not read any more. reader_txn_free - and its handle is gone. */
void reader_leave(MDB_txn *txn);
void reader_txn_free(MDB_txn *txn);

/* reader_tables_open, reader_tables_close - of an environment. */
int reader_tables_open(MDB_env *env);
int reader_tables_adopt(MDB_env *env); /* in a forked child: nobody reads here yet */
void reader_tables_close(MDB_env *env);

/* ---- txn.c ----------------------------------------------------------------------------------- */

/* txn_serial - the transaction's own number among all of the environment. */
uint64_t txn_serial(MDB_txn *txn);

/* txn_read_stop - the store's read transaction behind a handle ends; its cursors are nowhere. */
void txn_read_stop(MDB_txn *txn);

/* txn_result - the result of a change in txn, which a failure half-way leaves fit for abort
 * alone. */
int txn_result(MDB_txn *txn, int rc);

/* ---- dbi.c ----------------------------------------------------------------------------------- */

/* handle_opened - the handle when the transaction, or one that it is nested in, opened it; else
 * NULL. */
struct handle *handle_opened(const MDB_txn *txn, struct handle *handle);

/* handle_of - the handle, or NULL when there is none with that number, or the transaction is reset,
 * or it is not this transaction's. */
static inline struct handle *handle_of(const MDB_txn *txn, MDB_dbi dbi)
{
	if (UNLIKELY(!txn || txn->state & TXN_IDLE || dbi >= txn->env->n_handles))
		return NULL;
	struct handle *handle = &txn->env->handle[dbi];

	return LIKELY(__atomic_load_n(&handle->from, __ATOMIC_ACQUIRE) - 1 < txn->began + 1)
	           ? handle
	           : handle_opened(txn, handle);
}

/* handles_end - the transaction with that serial ends: the handles that it opened become its
 * parent's (0: it has none, and they stay), or go.
 */
void handles_end(MDB_env *env, uint64_t serial, uint64_t parent, bool keep);

/* ---- handles.c ------------------------------------------------------------------------------- */

/* handles_open, handles_close - of an environment. ENOMEM. The mutex is held for all that
 * follow. */
int handles_open(MDB_env *env);
void handles_close(MDB_env *env);

/* handle_of_store - the handle that stands for the store's handle db, or NULL. handle_of_name - the
 * one of that name, or NULL. handle_lowest_free - the lowest free one; NULL: there is none. */
struct handle *handle_of_store(MDB_env *env, daxkv_db db);
struct handle *handle_of_name(MDB_env *env, const char *name);
struct handle *handle_lowest_free(MDB_env *env);

/* handle_name - a free handle gets a name and the store's handle; ENOMEM. handle_unname - it is
 * free. handle_restore - a used one stands for another handle of the store. */
int handle_name(MDB_env *env, struct handle *handle, const char *name, daxkv_db db);
void handle_unname(MDB_env *env, struct handle *handle);
void handle_restore(MDB_env *env, struct handle *handle, daxkv_db db);

/* handle_own - a running transaction has opened it. handle_disown - none has, any more. */
void handle_own(MDB_env *env, struct handle *handle);
void handle_disown(struct handle *handle);

/* ---- compare.c ------------------------------------------------------------------------------- */

/* compare_keys, compare_dups - in the handle's order. */
int compare_keys(const struct handle *handle, const MDB_val *a, const MDB_val *b);
int compare_dups(const struct handle *handle, const MDB_val *a, const MDB_val *b);

/* compare_provide - give the store the handle's comparators when its database has an order of its
 * own. */
int compare_provide(struct daxkv_txn *txn, struct handle *handle);

/* compare_widen - a put was refused for its duplicate's size. 0: it may be tried again, because the
 * database of integer duplicates has no such ones yet, and got an order that has room for others.
 * DAXKV_VALUE_SIZE: not so; errors of compare_adopt_set. */
int compare_widen(MDB_txn *txn, struct handle *handle, const MDB_val *data);

/* compare_adopt - before a change: the handle's database gets the order that the program set, when
 * it was made without one. */
int compare_adopt_set(MDB_txn *txn, struct handle *handle);

static inline int compare_adopt(MDB_txn *txn, struct handle *handle)
{
	return LIKELY(!handle->cmp && !handle->dcmp) ? 0 : compare_adopt_set(txn, handle);
}

/* ---- cursor_open.c --------------------------------------------------------------------------- */

/* cursor_handle_new - a cursor on the handle's database. ENOMEM, and errors of the store.
 * cursor_handle_unlink - it is in no transaction's list. cursor_handle_free - and it ends.
 * cursor_handle_rest - one of a write transaction has ended with it: its memory, which is not used
 * any more, stays a cursor's for a while. */
int cursor_handle_new(MDB_txn *txn, MDB_dbi dbi, struct handle *handle, MDB_cursor **ret);
void cursor_handle_unlink(MDB_cursor *c);
void cursor_handle_free(MDB_cursor *c);
void cursor_handle_rest(MDB_cursor *c);

/* cursor_spare_end - the transaction ends: so does the cursor that it kept for the next one. No
 * other thread uses it. */
void cursor_spare_end(MDB_txn *txn);

/* ---- cursor.c -------------------------------------------------------------------------------- */

/* cursors_note - a child of parent is about to begin: where the parent's cursors are.
 * cursors_shadow - it has begun: for each of them it gets a cursor of its own, which its changes
 * move. ENOMEM, and errors of the store. */
int cursors_note(MDB_txn *parent);
int cursors_shadow(MDB_txn *parent, MDB_txn *child);

/* cursors_end - txn ends: its cursors are freed, or a read transaction's are detached. With keep
 * the parent's cursors are told where the changes moved them, for cursors_resume. ENOMEM, and
 * errors of the store. */
int cursors_end(MDB_txn *txn, bool keep);

/* cursors_forget - in a forked child: of a transaction that is the parent's, only the memory ends.
 * cursors_before_fork, cursors_after_fork - for fork.c. */
void cursors_forget(MDB_txn *txn);
void cursors_before_fork(void);
void cursors_after_fork(void);

/* cursors_resume - the child has ended: the parent's cursors go where it moved them (done), or
 * stay. Errors of the store. */
int cursors_resume(MDB_txn *parent, bool done);

/* cursors_lose - txn's cursors on dbi have no position any more. */
void cursors_lose(MDB_txn *txn, MDB_dbi dbi);

/* cursors_aim - before the deletion of a key (data NULL) or a pair: which of txn's cursors stand
 * there; own (or NULL), through which it is done, is one. cursors_advance - after it: they go on,
 * as LMDB's do. Errors of the store. */
int cursors_aim(MDB_txn *txn, const struct handle *handle, const MDB_cursor *own,
                const MDB_val *key, const MDB_val *data);
int cursors_advance(MDB_txn *txn, const struct handle *handle, const MDB_cursor *own);

/* layer_cursor_put - one item through the cursor. */
int layer_cursor_put(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags);

/* ---- layer_put.c ----------------------------------------------------------------------------- */

/* put_counts - whether a put with these flags and LMDB's result gives the commit a number although
 * nothing changed: LMDB copies the page of a key before it looks at its values. */
static inline bool put_counts(int rc, unsigned int flags)
{
	if (rc == MDB_KEYEXIST)
		return !(flags & (MDB_NOOVERWRITE | MDB_APPEND));
	return rc == MDB_INCOMPATIBLE;
}

/* put_again - daxkv_put has failed with rc: it is tried again where the program's order, or an
 * order with more room, was missing. With duplicates MDB_RESERVE is for a key's first value; for
 * others, as in LMDB, the value's bytes are there already. The store's results. */
int put_again(MDB_txn *txn, struct handle *handle, MDB_val *key, MDB_val *data, unsigned int flags,
              int rc);

/* put_ordered - daxkv_put, with the program's order at hand: see put_again. */
static inline int put_ordered(MDB_txn *txn, struct handle *handle, MDB_val *key, MDB_val *data,
                              unsigned int flags)
{
	if (UNLIKELY(txn->env->no_room))
		return DAXKV_FULL;
	int rc = daxkv_put(txn->inner, handle->db, val_of(key), val_of(data), flags);

	return LIKELY(!rc) ? 0 : put_again(txn, handle, key, data, flags, rc);
}

/* ---- cursor_move.c --------------------------------------------------------------------------- */

/* cursor_store_get - move the store's cursor; outputs only on success. LMDB's results. */
int cursor_store_get(MDB_cursor *c, MDB_val *key, MDB_val *data, enum daxkv_cursor_op op);

/* cursor_several - whether the key under the cursor has more values than one. */
int cursor_several(MDB_cursor *c, bool *several);

/* cursor_keeps_eof - whether a cursor that has met the end goes on to know that when it puts key:
 * one that is new, and before or behind all others. LMDB looks for such a key on the page where the
 * cursor is. The store's cursor moves. */
int cursor_keeps_eof(MDB_cursor *c, const MDB_val *key, bool *keeps);

/* cursor_first, cursor_last, cursor_next - the moves of that name; op is NEXT, NEXT_DUP or
 * NEXT_NODUP. */
int cursor_first(MDB_cursor *c, MDB_val *key, MDB_val *data);
int cursor_last(MDB_cursor *c, MDB_val *key, MDB_val *data);
int cursor_next(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op);

/* ---- multiple.c ------------------------------------------------------------------------------ */

int multiple_get(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op);
int multiple_put(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags);

#endif
