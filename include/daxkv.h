/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daxkv.h - an ordered, transactional key-value store for persistent memory.
 *
 * One file, one mapping, a B+tree per database. A write transaction collects its changes and makes
 * all of them durable at commit with one fence (one fdatasync where the file is not on a DAX
 * filesystem). A read transaction is a snapshot: it takes no lock, waits for nobody and reads
 * straight from the mapping.
 *
 * Results: 0 is success; a positive value is an errno of the operating system; a negative value is
 * one of enum daxkv_error. Outputs are written only on success. daxkv_errmsg() tells in words what
 * the calling thread's last failed call met, and where.
 *
 * Pointers returned in a struct daxkv_val point into the mapping and must not be written through
 * (but see DAXKV_RESERVE). They stay valid until the transaction ends, and in a write transaction
 * until its next change of any database.
 *
 * Processes share a store: each opens it, and the same process may do so more than once. Readers
 * wait for nobody, writers take turns; who dies in a transaction takes nothing but that along. All
 * must be of one machine and use one lock file. Symbolic links to the store do no harm; hard links
 * and network filesystems do not do.
 *
 * Threads: a struct daxkv_store may be used by all threads of the process. A transaction and its
 * cursors are used by one thread at a time; a write transaction is ended by the thread that began
 * it (but see DAXKV_NO_LOCK). In a forked child a handle is of no use (BAD_TXN); it does no harm,
 * and may be closed (what has no result tells 0). A thread that is cancelled (pthread_cancel) does
 * not end half-way in a call: cancellation points are only the calls that want the writer's lock
 * (daxkv_txn_begin for writing, daxkv_txn_begin_timed, daxkv_sync, daxkv_info, daxkv_check), before
 * they have taken anything. One that ends in a transaction takes it along. Functions of the
 * program's own that are called back must not end their thread.
 *
 * Method: docs/DESIGN.md. File format: docs/FORMAT.md.
 */
#ifndef DAXKV_H
#define DAXKV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAXKV_VERSION_MAJOR 0
#define DAXKV_VERSION_MINOR 1
#define DAXKV_VERSION_PATCH 0

/* daxkv_version - the library's version, "0.1.0". */
const char *daxkv_version(void);

/* ---- errors ---------------------------------------------------------------------------------- */

enum daxkv_error {
	DAXKV_OK = 0,
	DAXKV_EXIST = -1,     /* the key (or the pair) is there already */
	DAXKV_NOT_FOUND = -2, /* no such key, pair, database or position */
	DAXKV_CORRUPT = -3,   /* the file breaks a rule of its format; errmsg names the place */
	DAXKV_FOREIGN = -4,   /* the file is not a daxkv store; it was not touched */
	DAXKV_VERSION =
	    -5, /* the file needs a newer daxkv, or its page size or features are unknown here */
	DAXKV_FULL = -6,    /* the store has reached its maximum size */
	DAXKV_BUSY = -7,    /* somebody else writes, or has the store open in a way that keeps this
	                       user out; or this thread's write    transaction is still running */
	DAXKV_BAD_TXN = -8, /* the transaction failed, ended, is read-only, has a child running, or
	                       is of the wrong kind */
	DAXKV_BAD_DB = -9,  /* no such database handle, or it was dropped or closed */
	DAXKV_INCOMPATIBLE = -10, /* the operation or the flags do not suit the database */
	DAXKV_KEY_SIZE = -11,     /* the key is empty, too long, or not an integer's size */
	DAXKV_VALUE_SIZE =
	    -12, /* the value is too large, or not the size that the database's values have */
	DAXKV_PANIC =
	    -13, /* an earlier fence failed: writing is refused until the store is opened again */
	DAXKV_DBS_FULL = -14,     /* too many database handles */
	DAXKV_READERS_FULL = -15, /* too many read transactions at once */
	DAXKV_NEED_COMPARE = -16, /* the database has its own order: set its comparator first */
	DAXKV_TOO_OLD = -17, /* the snapshot had reached its bound and was given up, because the
	                        space that it held back was needed */
	DAXKV_NOT_DAX = -18, /* pmem = dax was asked for and the mapping cannot have MAP_SYNC, or
	                        dax or force and libpmem is missing */
};

/* daxkv_strerror - the text for a result of any function here, errno values included. Static
 * storage. */
const char *daxkv_strerror(int err);

/* daxkv_errmsg - what the calling thread's last failed call met, with names and numbers; after
 * NOT_FOUND and EXIST their texts. Valid until its next failed call. */
const char *daxkv_errmsg(void);

/* ---- a store --------------------------------------------------------------------------------- */

struct daxkv_store;            /* an open store */
struct daxkv_txn;              /* a transaction */
struct daxkv_cursor;           /* a position in one database, seen by one transaction */
typedef unsigned int daxkv_db; /* a database handle; DAXKV_MAIN is always there */
#define DAXKV_MAIN 1u

struct daxkv_val { /* bytes in memory: a key or a value */
	size_t size;
	void *data;
};

enum daxkv_pmem {                  /* what makes a commit durable */
	          DAXKV_PMEM_AUTO, /* dax where MAP_SYNC holds, else file */
	          DAXKV_PMEM_DAX,  /* cache-line flushes on a MAP_SYNC mapping, else fail with
	                              DAXKV_NOT_DAX */
	          DAXKV_PMEM_FILE, /* fdatasync */
	          DAXKV_PMEM_FORCE /* cache-line flushes without MAP_SYNC: emulation; survives a
	                              process crash, not a power cut */
};

enum daxkv_open_flags {
	DAXKV_CREATE = 0x40000, /* make the store when the file is missing or empty (also: make the
	                           database, daxkv_db_open) */
	DAXKV_EXCLUSIVE = 0x1,  /* with CREATE: fail with EEXIST when the file is there */
	DAXKV_READ_ONLY =
	    0x20000, /* never write to the file; an unclean file is recovered in private memory */
	DAXKV_NO_LOCK = 0x400000, /* no lock file: the caller keeps all other openers, readers too,
	                          away. A write transaction may be handed to another thread, by way
	                          of a lock or a system call */
	DAXKV_EXTERNAL_LOCK =
	    0x10, /* with NO_LOCK: others may use the file between this one's transactions, if they
	          open it so as well and the caller sees to it that no write transaction runs beside
	          any of theirs. Opening and closing do not write. Behind a writer that died in its
	          commit a read transaction may be BUSY until somebody writes */
	DAXKV_NO_FILE_LOCK = 0x4, /* hold no lock on the store's own file, for programs that lock it
	                            from end to end: who opens it by another name, with a lock file
	                            of its own, then does not notice this user */
	DAXKV_RESERVE_MAX = 0x2,  /* reserve as much address space as can be had whatever max_size
	                             says, for daxkv_set_max_size */
	DAXKV_POPULATE = 0x8 /* have the whole file in this process's page tables when open returns,
	                       so that reading it meets no page faults; what is added later may.
	                       Without effect on Linux before 5.14 */
};

/*
 * Old readers. What a commit frees is used again when no read transaction older than that commit
 * runs, in any process; until then the file grows. Two things can be done about it, neither by
 * default.
 *
 * A bound, for the read transactions of the store handle whose options set it. When a writer, in
 * whatever process, would have to make the file grow, and a read transaction beyond its bound holds
 * free space back, that snapshot is given up: the transaction's calls return DAXKV_TOO_OLD from
 * then on, and it can only be ended, or reset and renewed. A call that returned success saw a whole
 * snapshot. But pointers that earlier calls returned may show other bytes at any moment from then
 * on: copy what you need, then call once more (daxkv_db_flags will do) to learn whether the copy is
 * good. A comparator of the program's own may be given any bytes while the snapshot is being given
 * up. Below its bound, and without one, a read transaction is never given up.
 *
 * A function, for the write transactions of the store handle whose options set it. It is called in
 * the same case, after readers beyond their bounds were given up, about the oldest reader that
 * holds space back, and says what to do. It runs inside the call that wants space, with the
 * writer's lock held: it may sleep, and must not use the store.
 */
enum daxkv_old_reader_action {
	DAXKV_OLD_READER_GROW,  /* let the file grow; FULL or ENOSPC when it cannot */
	DAXKV_OLD_READER_RETRY, /* look again: the reader may have ended, or the function has waited
	                           for it */
	DAXKV_OLD_READER_EVICT  /* give its snapshot up, when it has a bound, even if it is not
	                           beyond it; else GROW */
};

struct daxkv_old_reader {
	struct daxkv_store *store;
	int pid, thread, own, bounded; /* as in struct daxkv_reader */
	uint64_t snapshot, age_ms;
	uint64_t lag;        /* commits since */
	uint64_t held_pages; /* free pages that wait: for this reader, but for those of the last
	                        commits */
	unsigned int
	    retry; /* how often RETRY was answered for this reader, one call after another */
};
typedef enum daxkv_old_reader_action daxkv_old_reader_fn(const struct daxkv_old_reader *reader,
                                                         void *arg);

struct daxkv_options {      /* zero means the default, everywhere */
	unsigned int flags; /* enum daxkv_open_flags */
	enum daxkv_pmem pmem;
	unsigned int mode;      /* permission bits of a new file; 0664 before the umask */
	unsigned int page_size; /* bytes, of a new store: 4096 (default), 8192, 16384 or 32768; else
	                           must match or be 0 */
	uint64_t initial_size;  /* bytes, of a new store: closing never cuts its file to less. By
	                           default it begins small, with 64 KiB (2 MiB on a DAX filesystem),
	                           and grows with what it holds */
	uint64_t max_size; /* bytes; growing stops here with DAXKV_FULL. Default: as much address
	                      space as can be had, up to 1 TiB; less, but 64 GiB, when the process
	                      has dozens of stores open */
	unsigned int
	    max_readers; /* read transactions at once; 4096 by default, 1048576 at most (EINVAL) */
	unsigned int max_dbs;  /* database handles at once; 1024 by default, 1048576 at most: more
	                          means that many */
	const char *lock_path; /* the lock file. By default path + "-lock", or lock.mdb beside
	                          data.mdb; path is then where a symbolic link leads to */
	uint64_t user_version; /* of a new store, see daxkv_user_version */
	uint64_t
	    max_age_ms;   /* bounds of this handle's read transactions: milliseconds since begin, */
	uint64_t max_lag; /* commits since the snapshot. 0: no bound; with neither, none is ever
	                     given up */
	daxkv_old_reader_fn
	    *old_reader; /* asked about readers that hold back space; NULL: the file grows */
	void *old_reader_arg;
	unsigned int
	    wait_ms; /* how long opening waits for another process that is opening or closing the
	                store; then BUSY, and errmsg names it. 0: as long as it takes */
};

/* daxkv_open - open or create the store in the file path, recovering it when its last user did not
 * close it. options may be NULL. A new store is durable on return. Errors: errno of open,
 * fallocate, mmap, fdatasync; EINVAL for options; FOREIGN, VERSION, CORRUPT; BUSY; NOT_DAX. */
int daxkv_open(const char *path, const struct daxkv_options *options, struct daxkv_store **store);

/* daxkv_close - end a store's use: marks it clean, gives free space at its end back when it was
 * written to, frees the handle. All transactions must have ended (a running one makes it return
 * BUSY and do nothing); cursors and database handles die. Errors of the last flush are returned,
 * and the handle is gone all the same: what was committed is durable. It waits for another process
 * that is opening or closing the store for 3 seconds at most, or wait_ms: when that one stands
 * still, the file is left as by a user that is not the last, and the next opening recovers it. */
int daxkv_close(struct daxkv_store *store);

/* daxkv_sync - flush and fence everything committed so far, in place. Commits are durable without
 * it: it shortens the next recovery. Not inside a write transaction of this thread (BUSY). */
int daxkv_sync(struct daxkv_store *store);

/* daxkv_set_max_size - growing stops here from this call on: bytes, 0 for as far as address space
 * was reserved, at least what the file has. Errors: FULL when less address space was reserved at
 * open (see DAXKV_RESERVE_MAX). */
int daxkv_set_max_size(struct daxkv_store *store, uint64_t size);

/* daxkv_size - bytes of the file that the newest commit uses, free ones between them included. */
uint64_t daxkv_size(const struct daxkv_store *store);

/* daxkv_user_version - a number of the program's own that is kept with the store: the newest
 * committed one, 0 at first. Not part of snapshots.
 */
uint64_t daxkv_user_version(const struct daxkv_store *store);

/* daxkv_fd - the store's file descriptor, for fstat(2) and the like. Owned by the store. */
int daxkv_fd(const struct daxkv_store *store);

/* daxkv_lock_path - the path of the lock file that is used; NULL when there is none (NO_LOCK, or a
 * reader that found none and could not make one). It lives until daxkv_close. Any thread may
 * ask. */
const char *daxkv_lock_path(const struct daxkv_store *store);

/* ---- transactions ---------------------------------------------------------------------------- */

enum daxkv_txn_flags {
	DAXKV_TXN_READ_ONLY = 0x20000,
	DAXKV_TXN_TRY = 0x1, /* do not wait for another writer: BUSY */
	DAXKV_TXN_VERIFY =
	    0x2 /* with READ_ONLY: what its cursors give was compared with its checksum, the pages
	           on the way there too: CORRUPT says where one does not match, or lies where it
	           does not belong. So was the record of a database that it opens. For dumps and
	           copies. Not of gets, nor of the counts of daxkv_db_stat */
};

/* daxkv_txn_begin - start a transaction. A write transaction waits until the running one ends.
 * parent, a write transaction, makes a nested one: the parent rests until the child ends, the
 * child's changes become the parent's on commit and vanish on abort. Errors: BUSY (own write
 * transaction running, or TRY), READERS_FULL, PANIC, BAD_TXN, EACCES (store opened read-only),
 * ENOMEM. */
int daxkv_txn_begin(struct daxkv_store *store, struct daxkv_txn *parent, unsigned int flags,
                    struct daxkv_txn **txn);

/* daxkv_txn_begin_timed - a write transaction, waiting no longer than that for others to end: then
 * BUSY. Errors as of daxkv_txn_begin. */
int daxkv_txn_begin_timed(struct daxkv_store *store, unsigned int milliseconds,
                          struct daxkv_txn **txn);

/* daxkv_txn_commit - end the transaction and keep its changes: all are durable on return of the
 * outermost commit, or none is kept. The handle is gone whatever the result. Errors: BAD_TXN (an
 * earlier call failed half-way; nothing was kept), ENOSPC, EFBIG, FULL, ENOMEM, CORRUPT (nothing
 * was kept); PANIC with the errno in errmsg when the fence failed: the outcome is known after the
 * next open. */
int daxkv_txn_commit(struct daxkv_txn *txn);

/* daxkv_txn_abort - end the transaction and forget its changes. Frees it; cursors of a write
 * transaction die with it. */
void daxkv_txn_abort(struct daxkv_txn *txn);

/* daxkv_txn_reset, daxkv_txn_renew - give a read transaction's snapshot up, keeping the handle;
 * take the newest snapshot again. */
void daxkv_txn_reset(struct daxkv_txn *txn);
int daxkv_txn_renew(struct daxkv_txn *txn);

/* daxkv_txn_set_user_version - give the store's user version another value: kept with the
 * transaction's commit, gone with its abort. Errors: BAD_TXN, EACCES. */
int daxkv_txn_set_user_version(struct daxkv_txn *txn, uint64_t value);

/* daxkv_txn_clone - another read transaction of the same snapshot, for a thread of its own: the two
 * end in any order, and the snapshot with the last. It cannot be reset, and the one it was made of
 * not be renewed (BUSY) while it runs. It takes no reader entry. Errors: EINVAL (a write
 * transaction), BAD_TXN, ENOMEM. */
int daxkv_txn_clone(struct daxkv_txn *txn, struct daxkv_txn **clone);

/* daxkv_txn_id - the number of the snapshot read, or of the commit to be made. daxkv_txn_store -
 * the transaction's store. */
uint64_t daxkv_txn_id(const struct daxkv_txn *txn);
struct daxkv_store *daxkv_txn_store(const struct daxkv_txn *txn);

/* ---- databases ------------------------------------------------------------------------------- */

enum daxkv_db_flags { /* kept in the store with the database */
	              DAXKV_REVERSE_KEY =
	                  0x02,              /* keys compare from their last byte to their first */
	              DAXKV_DUP_SORT = 0x04, /* a key may have many values, kept sorted */
	              DAXKV_INTEGER_KEY =
	                  0x08, /* keys are native unsigned integers of 4 or 8 bytes */
	              DAXKV_DUP_FIXED = 0x10,   /* with DUP_SORT: all values have one size */
	              DAXKV_INTEGER_DUP = 0x20, /* with DUP_SORT: values are native unsigned
	                                           integers of 4 or 8 bytes */
	              DAXKV_REVERSE_DUP =
	                  0x40, /* with DUP_SORT: values compare from their last byte */
	              DAXKV_OWN_COMPARE = 0x100, /* keys are ordered by the program's comparator */
	              DAXKV_OWN_DUP_COMPARE = 0x200, /* with DUP_SORT: so are values */
};

/* daxkv_db_open - a handle for the database name (NULL: the main one), with DAXKV_CREATE in flags
 * made when missing (in a write transaction). Names are 1..max key size bytes. Flags, other than
 * CREATE, must be those it was made with, or none for an existing one. The main database takes
 * flags, with CREATE, while it is empty. Named databases show as entries of the main database. The
 * handle is good for all threads of this struct daxkv_store. One that a write transaction opened
 * first goes with its abort, unless a read transaction has opened the same name meanwhile. It means
 * the name: a database that another process drops is BAD_DB, and one that it makes anew by that
 * name is found by the same handle. A number that is closed never means another database. Errors:
 * NOT_FOUND, INCOMPATIBLE, DBS_FULL (nothing was made, the transaction goes on), KEY_SIZE, EINVAL,
 * EACCES (CREATE in a read transaction), and those of daxkv_put. */
int daxkv_db_open(struct daxkv_txn *txn, const struct daxkv_val *name, unsigned int flags,
                  daxkv_db *db);

/* daxkv_db_close - forget a handle. Its database stays, with what a running transaction has changed
 * in it; calls with the handle are BAD_DB from then on. Nothing happens with the main one, or with
 * what is no open handle. */
void daxkv_db_close(struct daxkv_store *store, daxkv_db db);

/* daxkv_db_drop - empty the database, or with del remove it: the handle is then good for older
 * snapshots only, and closes by itself when the last of them in this process has ended, or a
 * thousand more were dropped (the main one is only emptied, and takes all named ones along). */
int daxkv_db_drop(struct daxkv_txn *txn, daxkv_db db, int del);

/* daxkv_db_rename - give a named database another name; EXIST when that is taken. Its handle goes
 * on meaning it, in this store handle; others have handles for names. */
int daxkv_db_rename(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *name);

/* daxkv_db_list_next - the first named database whose name lies after *name in the main database's
 * order (size 0: the first of all), its name in *name. */
int daxkv_db_list_next(struct daxkv_txn *txn, struct daxkv_val *name);

/* daxkv_db_flags - the flags the database was made with. */
int daxkv_db_flags(struct daxkv_txn *txn, daxkv_db db, unsigned int *flags);

struct daxkv_db_stat {
	uint32_t page_size, depth; /* bytes; levels, 0 when nothing was ever stored */
	uint64_t inner_pages, leaf_pages, blob_pages;
	uint64_t entries; /* pairs */
};
int daxkv_db_stat(struct daxkv_txn *txn, daxkv_db db, struct daxkv_db_stat *stat);

/* A comparator gives <0, 0, >0 like memcmp; it must be a total order, the same at every use of the
 * store, and must not call daxkv. */
typedef int daxkv_compare_fn(const struct daxkv_val *a, const struct daxkv_val *b, void *arg);

/* daxkv_db_set_compare, daxkv_db_set_dup_compare - the order of keys, of duplicates, for a database
 * with OWN_COMPARE, OWN_DUP_COMPARE. Kept with the handle, not in the file; set before its first
 * use. An empty database without that flag gets it in a write transaction, as if it had been made
 * so. Errors: INCOMPATIBLE, BAD_DB, and with an empty database those of daxkv_put. */
int daxkv_db_set_compare(struct daxkv_txn *txn, daxkv_db db, daxkv_compare_fn *fn, void *arg);
int daxkv_db_set_dup_compare(struct daxkv_txn *txn, daxkv_db db, daxkv_compare_fn *fn, void *arg);

/* daxkv_db_compare, daxkv_db_dup_compare - compare two keys, two duplicates, in the database's
 * order. */
int daxkv_db_compare(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *a,
                     const struct daxkv_val *b);
int daxkv_db_dup_compare(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *a,
                         const struct daxkv_val *b);

/* ---- entries --------------------------------------------------------------------------------- */

enum daxkv_put_flags {
	DAXKV_NO_OVERWRITE = 0x10, /* EXIST when the key is there; *value then shows what it has */
	DAXKV_NO_DUP_DATA = 0x20,  /* with DUP_SORT: EXIST when the pair is there */
	DAXKV_CURRENT =
	    0x40, /* cursor_put: replace the value at the cursor; the key must be the same */
	DAXKV_RESERVE = 0x10000, /* make room for value->size bytes and point value->data at them:
	                           the caller fills them before the transaction's next change, and
	                           before commit. With DUP_SORT only for a key that has no value,
	                           and not by a cursor: INCOMPATIBLE */
	DAXKV_APPEND = 0x20000,  /* the key comes after all others, else EXIST */
	DAXKV_APPEND_DUP =
	    0x40000 /* with DUP_SORT: the value comes after all others of its key, else EXIST */
};

/* daxkv_max_key_size - the longest key, and the longest duplicate, in bytes: 1024 with 4 KiB pages.
 * A key and a duplicate together must also fit half a page: VALUE_SIZE when they do not. */
size_t daxkv_max_key_size(const struct daxkv_store *store);

/* daxkv_get - the value of key, the first one when there are duplicates. Errors: NOT_FOUND,
 * KEY_SIZE, BAD_DB, BAD_TXN, CORRUPT; as of all calls in a read transaction with a bound, TOO_OLD;
 * as of all calls in a write transaction, for puts before it that were not yet in the tree, FULL,
 * ENOSPC, EFBIG and ENOMEM, after which it can only be aborted. */
int daxkv_get(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
              struct daxkv_val *value);

/* daxkv_get_many - n gets at once: result[i] is what daxkv_get would return for key[i], and
 * value[i] its output. The searches are interleaved, so that their cache misses overlap: worth it
 * from some 8 keys on. Returns 0, or the error that ended the whole, as of daxkv_get: value and
 * result then mean nothing. */
int daxkv_get_many(struct daxkv_txn *txn, daxkv_db db, size_t n, const struct daxkv_val *key,
                   struct daxkv_val *value, int *result);

/* daxkv_put - store value under key: replaces, or with DUP_SORT adds the pair (a pair that is there
 * already stays, with success; one that the program's comparator calls equal to it takes its
 * place). Errors: EXIST, KEY_SIZE, VALUE_SIZE, INCOMPATIBLE, EACCES (read transaction), FULL,
 * ENOSPC, EFBIG, ENOMEM, CORRUPT, BAD_TXN, BAD_DB. After FULL, ENOSPC, EFBIG, ENOMEM or CORRUPT the
 * transaction can only be aborted; a child's failure leaves its parent whole. */
int daxkv_put(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
              struct daxkv_val *value, unsigned int flags);

/* daxkv_put_many - n puts at once, in order: result[i] is what daxkv_put would return for key[i]
 * and value[i] (outputs as there: what NO_OVERWRITE shows, which it does not with APPEND, lies
 * where it is when the call returns); flags are those of put but RESERVE. The searches are
 * interleaved as in daxkv_get_many. Keys and values must not lie in the store. Returns 0, or the
 * error that ended the whole: EINVAL, EACCES, BAD_DB, BAD_TXN, and those after which only abort is
 * left; result then means nothing. */
int daxkv_put_many(struct daxkv_txn *txn, daxkv_db db, size_t n, const struct daxkv_val *key,
                   struct daxkv_val *value, unsigned int flags, int *result);

/* daxkv_bulk_load - store entries in ascending order (pairs, with DUP_SORT), behind all that the
 * database has: pages are filled to fill percent (10 .. 100; 0: 90) and written once, and nothing
 * is searched. next gives one entry at each call, 0, its bytes valid until the next one; NOT_FOUND:
 * there are no more; anything else ends the load and is returned. next must not use the
 * transaction. An entry that does not lie behind the one before it ends the load with EXIST, one
 * that cannot be stored with the errors of daxkv_put: in all these cases *loaded (may be NULL) says
 * how many were stored, and they stay in the transaction, which goes on. After FULL, ENOSPC, EFBIG,
 * ENOMEM or CORRUPT of the store's own it can only be aborted. */
typedef int daxkv_bulk_load_fn(void *arg, struct daxkv_val *key, struct daxkv_val *value);
int daxkv_bulk_load(struct daxkv_txn *txn, daxkv_db db, unsigned int fill, daxkv_bulk_load_fn *next,
                    void *arg, uint64_t *loaded);

/* daxkv_del - remove key and, with DUP_SORT, all its values, or only the one given by value (NULL:
 * all). Errors: NOT_FOUND and as put. */
int daxkv_del(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
              const struct daxkv_val *value);

/* daxkv_del_range - remove all keys from *from on that lie before *to, with all their values (NULL:
 * from the first, to the last): *deleted entries, perhaps none; it may be NULL. Leaves between the
 * two ends are freed as a whole; in the main database the entries are looked at first, for a name
 * in the range is INCOMPATIBLE, and nothing is removed then. Errors as of daxkv_put. */
int daxkv_del_range(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *from,
                    const struct daxkv_val *to, uint64_t *deleted);

/* ---- cursors --------------------------------------------------------------------------------- */

enum daxkv_cursor_op {
	DAXKV_FIRST,
	DAXKV_LAST,
	DAXKV_NEXT,
	DAXKV_PREV, /* unpositioned: FIRST, LAST */
	DAXKV_NEXT_KEY,
	DAXKV_PREV_KEY, /* skip the other duplicates (PREV_KEY: to the last duplicate of the key
	                   before) */
	DAXKV_NEXT_DUP,
	DAXKV_PREV_DUP, /* within the key: NOT_FOUND at its end */
	DAXKV_FIRST_DUP,
	DAXKV_LAST_DUP,
	DAXKV_GET_CURRENT, /* EINVAL when unpositioned */
	DAXKV_SEEK,        /* exactly *key */
	DAXKV_SEEK_GE,
	DAXKV_SEEK_LE, /* at or after, at or before *key (GE: its first duplicate, LE: its last) */
	DAXKV_SEEK_PAIR,    /* exactly *key and *value */
	DAXKV_SEEK_PAIR_GE, /* exactly *key, its first duplicate at or after *value */
};

/* daxkv_cursor_open - a cursor on db. A write transaction's cursors end with it; a read
 * transaction's live on after it until closed, for daxkv_cursor_renew. Errors: BAD_TXN, BAD_DB,
 * NEED_COMPARE, ENOMEM. */
int daxkv_cursor_open(struct daxkv_txn *txn, daxkv_db db, struct daxkv_cursor **cursor);

/* daxkv_cursor_renew - use the cursor in another read transaction, unpositioned. */
int daxkv_cursor_renew(struct daxkv_txn *txn, struct daxkv_cursor *cursor);

/* daxkv_cursor_close - free the cursor. A write transaction's may be closed until the transaction
 * ends. */
void daxkv_cursor_close(struct daxkv_cursor *cursor);

/* daxkv_cursor_txn, daxkv_cursor_db - what the cursor was opened or last renewed with. */
struct daxkv_txn *daxkv_cursor_txn(const struct daxkv_cursor *cursor);
daxkv_db daxkv_cursor_db(const struct daxkv_cursor *cursor);

/* daxkv_cursor_get - move and read. key and value are outputs, and inputs to the SEEKs; either may
 * be NULL where it is only output. A cursor keeps its place by key while its own transaction
 * changes the tree; after the entry under it was deleted, GET_CURRENT and NEXT give the one that
 * followed it. NOT_FOUND leaves the cursor where it was, a failed SEEK unpositioned. */
int daxkv_cursor_get(struct daxkv_cursor *cursor, struct daxkv_val *key, struct daxkv_val *value,
                     enum daxkv_cursor_op op);

/* daxkv_cursor_get_many - up to n entries in one call, the cheapest way to read many: the first is
 * what daxkv_cursor_get gives for op, the others follow it, backward after PREV, LAST and SEEK_LE,
 * forward after NEXT, FIRST and SEEK_GE (EINVAL: another op); for the SEEKs key[0] is the input.
 * The cursor then stands on the last one, *got says how many there are: fewer than n when the scan
 * is at its end. end, when not NULL, ends it: forward only keys before *end are given, backward
 * only those at or after it. NOT_FOUND when there is none, as daxkv_cursor_get. */
int daxkv_cursor_get_many(struct daxkv_cursor *cursor, enum daxkv_cursor_op op,
                          const struct daxkv_val *end, size_t n, struct daxkv_val *key,
                          struct daxkv_val *value, size_t *got);

/* daxkv_db_partition - at most parts - 1 keys, ascending, that cut the database into parts of about
 * one size, *n of them; fewer when it has few pages. For scans by several threads: each with a
 * clone of one transaction, from key[i - 1] (SEEK_GE) up to key[i] (end). The keys need not be
 * there. Errors: EINVAL, as get. */
int daxkv_db_partition(struct daxkv_txn *txn, daxkv_db db, size_t parts, struct daxkv_val *key,
                       size_t *n);

/* daxkv_cursor_put - daxkv_put, and the cursor stands on the entry. With DAXKV_CURRENT replaces the
 * value under the cursor. */
int daxkv_cursor_put(struct daxkv_cursor *cursor, const struct daxkv_val *key,
                     struct daxkv_val *value, unsigned int flags);

/* daxkv_cursor_del - remove the entry under the cursor; with DAXKV_NO_DUP_DATA the key with all its
 * duplicates. EINVAL when unpositioned. */
int daxkv_cursor_del(struct daxkv_cursor *cursor, unsigned int flags);

/* daxkv_cursor_count - the number of duplicates of the key under the cursor. */
int daxkv_cursor_count(struct daxkv_cursor *cursor, uint64_t *count);

/* ---- copies
 * ---------------------------------------------------------------------------------------- */

/* daxkv_copy - all that the read transaction sees, as a store of its own: write is given its bytes
 * from front to back, size of them at each call, so that they may go to a pipe. Needs no room but
 * for a few pages; reads the snapshot twice. Pages of the copy are packed; it has this store's page
 * size and user version, an id of its own, and the snapshot's number as its newest commit. What
 * write returns other than 0 ends the copy and is returned. Everything is compared with its
 * checksum before the first byte is given out. Others may write meanwhile. write must not use the
 * transaction, nor end its thread. Errors: EINVAL, BAD_TXN, CORRUPT, TOO_OLD, ENOMEM, errno. */
typedef int daxkv_copy_fn(const void *bytes, size_t size, void *arg);
int daxkv_copy(struct daxkv_txn *txn, daxkv_copy_fn *write, void *arg);

/* ---- reports --------------------------------------------------------------------------------- */

enum daxkv_medium { DAXKV_MEDIUM_DAX, DAXKV_MEDIUM_FILE, DAXKV_MEDIUM_EMULATED };

struct daxkv_info {
	enum daxkv_medium medium;
	const char *durability; /* one line: what a commit survives. Static storage */
	uint32_t format_version, page_size;
	uint64_t file_id, file_size, used_bytes,
	    max_size;        /* bytes; used: allocated to pages, headers included; while another
	                        thread writes, as when last asked for, 0 before */
	uint64_t last_txn;   /* the newest commit */
	uint64_t recovered;  /* records replayed at open */
	uint64_t held_pages; /* free pages not yet reusable: readers or recovery may need them */
	uint32_t readers, max_readers;
	uint32_t readers_peak; /* for read transactions that were in use at once, at most, since the
	                          store's first user came */
	int read_only,
	    private_recovery; /* private_recovery: an unclean file is shown from private memory */
	int copy_on_write; /* the filesystem needs space for what is changed in place (btrfs without
	                      NOCOW, ZFS, bcachefs, blocks shared with another file): on a full disk
	                      a program that writes may be ended by SIGBUS */
};
int daxkv_info(struct daxkv_store *store, struct daxkv_info *info);

/* daxkv_writer_pid - the process whose write transaction is running now, by its number in its own
 * PID namespace: for a message about who is waited for, after a BUSY of TRY or
 * daxkv_txn_begin_timed. 0: there is none, it has only just begun, or it is not known (a reader
 * that may not write the lock file, a forked child). Makes no system call, waits for nobody. Any
 * thread may call it. */
int daxkv_writer_pid(const struct daxkv_store *store);

struct daxkv_reader { /* a place for a read transaction, of any process that has the store open */
	int pid, own; /* own: this process's store handle has it */
	int thread;   /* the thread that got the place first, by its number there */
	int running;  /* else it is kept for the next one */
	int bounded;  /* its store handle's options set a bound */
	int evicted;  /* when running: its snapshot was given up, and holds nothing back */
	uint64_t handle;   /* what pthread_self gave that thread; of use in its process only */
	uint64_t snapshot; /* when running: pages freed since that commit wait for it */
	uint64_t age_ms;   /* when running: since it began */
};

/* daxkv_readers_list - show each reader. Others come and go meanwhile. */
void daxkv_readers_list(struct daxkv_store *store,
                        void (*show)(const struct daxkv_reader *reader, void *arg), void *arg);

/* daxkv_readers_reap - take the places of processes that died back, which also happens when their
 * space or places are needed; how many. */
unsigned int daxkv_readers_reap(struct daxkv_store *store);

struct daxkv_counters {          /* since open, over all threads of the process */
	uint64_t commits;        /* write transactions made durable */
	uint64_t fences;         /* flushes waited for; on a regular file each is one fdatasync */
	uint64_t lines_flushed;  /* cache lines of 64 bytes written back */
	uint64_t lines_streamed; /* cache lines written by streaming stores */
	uint64_t
	    grows; /* times the file grew; growth has fences and syncs of its own, counted there */
	uint64_t splits, compactions, merges; /* of leaves */
};
void daxkv_counters(struct daxkv_store *store, struct daxkv_counters *counters);

/* daxkv_check - walk the newest commit and verify every rule of the format; needs the whole tree
 * read. report, when not NULL, is called for each fault with one line of text saying what and
 * where. It may be used beside writers of any process: a running write transaction does not disturb
 * it, nor does one whose process stands still. When commits come in between, it begins again
 * holding the writer's lock, and writers wait for it then; behind a writer that died it checks what
 * recovery will make of the file, which it leaves as it is. Databases with their own order are
 * checked for everything but that order. Returns CORRUPT when there was a fault; faults, when not
 * NULL, gets their number. Other errors, after which nothing is known: BUSY when the store changed
 * under a reader that cannot use its lock file; ENOMEM, errno. daxkv_check waits as long as it
 * takes, daxkv_check_timed so many milliseconds for a commit that is half done, or for the lock:
 * then BUSY. */
int daxkv_check(struct daxkv_store *store, void (*report)(const char *fault, void *arg), void *arg,
                uint64_t *faults);
int daxkv_check_timed(struct daxkv_store *store, unsigned int milliseconds,
                      void (*report)(const char *fault, void *arg), void *arg, uint64_t *faults);

#ifdef __cplusplus
}
#endif
#endif
