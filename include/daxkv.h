/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daxkv.h - an ordered, transactional key-value store in one file, for persistent memory.
 *
 * A write transaction collects its changes; its commit makes all of them durable with one fence
 * (one fdatasync where the file is not on a DAX filesystem). A read transaction is a snapshot: it
 * takes no lock, waits for nobody and reads straight from the file's mapping.
 *
 * Results. 0 is success, a positive value is an errno, a negative value one of enum daxkv_error.
 * Outputs are written on success only. daxkv_errmsg tells in words what failed, and where.
 * Three groups of errors have names here:
 *
 *   read errors     EINVAL (an argument is missing or unknown), BAD_TXN, BAD_DB, NEED_COMPARE,
 *                   CORRUPT, ENOMEM, TOO_OLD (only with a limit, see "Old readers"). A write
 *                   transaction may have to put the entries of earlier puts into their pages
 *                   first: after ENOMEM or CORRUPT of that it can only be aborted.
 *   space errors    FULL, ENOSPC, EDQUOT, EFBIG, EIO, ENOMEM, PANIC, CORRUPT. After one of them the
 *                   transaction can only be aborted: all calls return BAD_TXN. A nested
 *                   transaction's failure leaves its parent whole.
 *   change errors   the read errors without TOO_OLD, the space errors, and EACCES in a read
 *                   transaction.
 *
 * Pointers. A struct daxkv_val that the library returned points into the file's mapping and must
 * not be written through (but see DAXKV_RESERVE). It is valid until the transaction ends, and in a
 * write transaction until its next change of any database. Keys, values and names that a call is
 * given need to last for that call only, and may lie in the store (but see daxkv_put_many).
 *
 * Durability. A change is durable when the commit of its outermost transaction has returned 0; with
 * lazy commits it is seen then, and durable at the next sync (daxkv_set_durability). An abort takes
 * it back. What a commit survives on which medium: daxkv-durability(7).
 *
 * Threads. All threads may use a struct daxkv_store at the same time. A write transaction and its
 * cursors are used by one thread at a time; the thread that began it ends it (but see
 * DAXKV_NO_LOCK). Threads may share a read transaction until one of them ends it; each cursor is
 * used by one thread at a time. A thread that ends inside a write transaction takes the transaction
 * with it. A cancelled thread does not end in the middle of a call: cancellation points are the
 * calls that want the writer's lock, before they have taken anything (daxkv_txn_begin for writing,
 * daxkv_txn_begin_timed, daxkv_sync, daxkv_info, daxkv_check, daxkv_check_with). Functions of the
 * program that the library calls must not end their thread.
 *
 * Processes. Any number of processes of one machine may open a store, and a process may open it
 * more than once. A process that dies loses only the transaction that it had not committed. All
 * must use one lock file: symbolic links to the store lead to the same one; hard links, bind mounts
 * and network filesystems are not supported. In a forked child an inherited handle is of no use
 * (BAD_TXN) and does no harm; it may be closed. Functions without a result return 0 there.
 *
 * The manual with examples is daxkv(3). Method: docs/DESIGN.md. File format: docs/FORMAT.md.
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

/* daxkv_version - the library's version, "0.1.0". Static storage. */
const char *daxkv_version(void);

/* ---- errors ---------------------------------------------------------------------------------- */

enum daxkv_error {
	DAXKV_OK = 0,
	DAXKV_EXIST = -1,         /* the key or the pair is there already */
	DAXKV_NOT_FOUND = -2,     /* no such key, pair, database or position */
	DAXKV_CORRUPT = -3,       /* the file breaks a rule of its format; errmsg says where */
	DAXKV_FOREIGN = -4,       /* not a store, or not a lock file; it was not touched */
	DAXKV_VERSION = -5,       /* the file needs another daxkv, or has unknown features */
	DAXKV_FULL = -6,          /* the store is at its maximum size, or too large to map */
	DAXKV_BUSY = -7,          /* somebody else writes or keeps this user out, or this thread's
	                             own write transaction is still running */
	DAXKV_BAD_TXN = -8,       /* it failed, was reset, rests, or is the parent process's */
	DAXKV_BAD_DB = -9,        /* the handle is not open, or its database not there */
	DAXKV_INCOMPATIBLE = -10, /* the operation or its flags do not suit the database */
	DAXKV_KEY_SIZE = -11,     /* the key is empty, too long, or not an integer's size */
	DAXKV_VALUE_SIZE = -12,   /* the value is too long, or not the size of the others */
	DAXKV_PANIC = -13,        /* a flush failed, in whatever process: changes are refused
	                             until all have closed the store and it is opened again */
	DAXKV_DBS_FULL = -14,     /* too many database handles */
	DAXKV_READERS_FULL = -15, /* too many read transactions at once */
	DAXKV_NEED_COMPARE = -16, /* the database has its own order: set its comparator first */
	DAXKV_TOO_OLD = -17,      /* beyond its limit; its snapshot was given up for its space */
	DAXKV_NOT_DAX = -18,      /* the mapping cannot have MAP_SYNC, or libpmem is missing */
};

/* daxkv_strerror - the text for any result, errno values included. Static storage. */
const char *daxkv_strerror(int err);

/* daxkv_errmsg - what the calling thread's last failed call met, with names and numbers. Valid
 * until the thread's next failed call. */
const char *daxkv_errmsg(void);

/* ---- a store --------------------------------------------------------------------------------- */

struct daxkv_store;            /* an open store */
struct daxkv_txn;              /* a transaction */
struct daxkv_cursor;           /* a position in one database, seen by one transaction */
typedef unsigned int daxkv_db; /* a database handle */
#define DAXKV_MAIN 1u          /* the main database's, which is always there */

struct daxkv_val { /* bytes in memory: a key or a value */
	size_t size;
	void *data;
};

/* What makes a commit durable: daxkv-durability(7). */
enum daxkv_pmem {
	DAXKV_PMEM_AUTO, /* DAX where the mapping can have MAP_SYNC, else FILE */
	DAXKV_PMEM_DAX,  /* cache-line flushes on a MAP_SYNC mapping, or NOT_DAX */
	DAXKV_PMEM_FILE, /* fdatasync */
	DAXKV_PMEM_FORCE /* cache-line flushes on any file: survives the process, no power cut */
};

enum daxkv_durability { DAXKV_DURABLE, DAXKV_LAZY }; /* daxkv_set_durability */
enum daxkv_open_flags {
	/* Create the store when the file is missing or empty. In daxkv_db_open: the database. */
	DAXKV_CREATE = 0x40000,
	/* With CREATE: EEXIST when the file is there. */
	DAXKV_EXCLUSIVE = 0x1,
	/* Never write to the file. Where it needs recovery, show it recovered in private memory. */
	DAXKV_READ_ONLY = 0x20000,
	/* Use no lock file: the caller keeps all other users away, readers too. A write transaction
	 * may be handed to another thread, by a lock or a system call. */
	DAXKV_NO_LOCK = 0x400000,
	/* With NO_LOCK: others may use the file between this handle's transactions, when they open
	 * it with the same flags. The caller sees to it that no write transaction runs beside a
	 * transaction of another handle. Opening and closing do not write. Behind a writer that
	 * died in its commit a read transaction may be BUSY until somebody writes. */
	DAXKV_EXTERNAL_LOCK = 0x10,
	/* Hold no lock on the store's own file, for programs that lock it from end to end. A user
	 * that comes by a name of the file in another directory then does not notice this one. */
	DAXKV_NO_FILE_LOCK = 0x4,
	/* Reserve as much address space as can be had, whatever max_size says, so that
	 * daxkv_set_max_size can raise it. */
	DAXKV_RESERVE_MAX = 0x2,
	/* Map the whole file before daxkv_open returns, so that reading meets no page faults; what
	 * is added later may. No effect before Linux 5.14. */
	DAXKV_POPULATE = 0x8,
	/* Threads of this handle share commits: one that commits while others wait to write waits
	 * for these, too, and one flush makes all durable; all have its result. So a thread must
	 * not wait inside a write transaction for one that may be in daxkv_txn_commit, as by a
	 * mutex that is held there. What a write transaction reads may be of its group: it is
	 * certain when the commit has returned 0. A thread alone waits for nobody. No effect on
	 * persistent memory and tmpfs, and with NO_LOCK. See daxkv(3). */
	DAXKV_GROUP_COMMIT = 0x40,
	/* A thread, until the handle is closed, syncs when the oldest lazy commit is lazy_ms old
	 * and one of this handle is among them. A failed flush is a PANIC of the next call that
	 * writes or syncs; else it tries again. None where no commit can be lazy: daxkv(3). */
	DAXKV_SYNC_IDLE = 0x20
};

/*
 * Old readers. Pages that a commit frees are used again when no read transaction older than the
 * commit runs, in any process; until then the file grows. Two options change that.
 *
 * A limit (max_age_ms, max_lag) for the read transactions of the handle that sets it. When a writer
 * of any process would have to make the file grow, and a read transaction beyond its limit holds
 * free pages back, its snapshot is given up: its calls return TOO_OLD from then on, and it can only
 * be ended, or reset and renewed. A call that returned success saw a whole snapshot. But what
 * earlier calls returned pointers to may change at any moment: copy what you need, then make one
 * more call (daxkv_db_flags will do), and believe the copy when it succeeds. A comparator of the
 * program may be given any bytes meanwhile. Without a limit, or below it, no snapshot is given up.
 *
 * A function (old_reader) for the write transactions of the handle that sets it. It is called in
 * the same case, after readers beyond their limits were given up, about the oldest reader that is
 * left. It runs inside the call that wants space, with the writer's lock held: it may sleep, and
 * must not use the store.
 */
enum daxkv_old_reader_action {
	DAXKV_OLD_READER_GROW,  /* let the file grow */
	DAXKV_OLD_READER_RETRY, /* look again: the reader may have ended meanwhile */
	DAXKV_OLD_READER_EVICT  /* if it has a limit, reached or not, give it up; else GROW */
};

struct daxkv_old_reader {
	struct daxkv_store *store;     /* the writer's */
	int pid, thread, own, bounded; /* as in struct daxkv_reader */
	uint64_t snapshot, age_ms;
	uint64_t lag;        /* commits since the snapshot */
	uint64_t held_pages; /* free pages that wait for this reader */
	unsigned int retry;  /* how often RETRY was answered for this reader, in a row */
};
typedef enum daxkv_old_reader_action daxkv_old_reader_fn(const struct daxkv_old_reader *reader,
                                                         void *arg);

/* A member that is zero has its default. */
struct daxkv_options {
	/* enum daxkv_open_flags */
	unsigned int flags;
	enum daxkv_pmem pmem;
	/* Permission bits of a new file, before the umask: 0664. */
	unsigned int mode;
	/* Bytes, of a new store: 4096 (the default), 8192, 16384 or 32768. Else it must match. */
	unsigned int page_size;
	/* Bytes, of a new store; no closing cuts it below. 0: 64 KiB, 2 MiB on DAX; it grows. */
	uint64_t initial_size;
	/* Bytes: the file does not grow beyond it. By default as far as address space can be
	 * reserved, up to 1 TiB; less, at least 64 GiB, in a process with dozens of open stores. */
	uint64_t max_size;
	/* Read transactions at once, of all users: 4096, at most 1048576. The first user decides,
	 * but a lock file that was made for more keeps that number. */
	unsigned int max_readers;
	unsigned int max_dbs; /* database handles at once: 1024, at most 1048576 */
	/* By default path + "-lock", or lock.mdb beside data.mdb, where symbolic links lead to. */
	const char *lock_path;
	uint64_t user_version; /* of a new store, see daxkv_user_version */
	/* Limits of this handle's read transactions, see above: milliseconds since their begin,
	 * and commits since their snapshot. 0: none. */
	uint64_t max_age_ms, max_lag;
	/* Asked about old readers, see above. NULL: the file grows. */
	daxkv_old_reader_fn *old_reader;
	void *old_reader_arg;
	/* Of this handle's commits, and bounds at which a lazy one syncs: bytes of pages written,
	 * commits, milliseconds. 0: 256 MiB, any number, 30 s; UINT64_MAX: no bound. */
	enum daxkv_durability durability;
	uint64_t lazy_bytes, lazy_commits, lazy_ms;
	/* Milliseconds to wait for a process that opens or closes the store; 0: for ever. */
	unsigned int wait_ms;
	/* Per cent that may be free before commits compact, see daxkv_compact.h; 0: never. */
	unsigned int compact_free;
};

/* daxkv_open - open the store in the file path, or create it, and recover it when its last user did
 * not close it. options may be NULL. A new store is durable on return. *store is the caller's to
 * close. Errors: EINVAL (options); EEXIST; errno of open, mmap, fallocate, fcntl, fdatasync;
 * EOPNOTSUPP (network filesystem); EAGAIN (about a thousand stores are open, or no thread for
 * SYNC_IDLE); ENOMEM; FOREIGN; VERSION; CORRUPT; INCOMPATIBLE (other page size, or other pmem than
 * other users have); NOT_DAX; FULL (larger than max_size allows to map); BUSY (wait_ms is over,
 * another name of the file is in use, or a reader shows an unclean file). */
int daxkv_open(const char *path, const struct daxkv_options *options, struct daxkv_store **store);

/* daxkv_close - close the store and free the handle, its database handles included. One that has
 * written makes all durable in place, so that nothing is left to recover, and the last user cuts
 * free space off the end of a store that was written to. It waits for a process that is opening or
 * closing the store, 3 seconds at most or wait_ms, and leaves the rest to the next user then.
 * NULL does nothing. Errors: BUSY when a transaction runs: nothing was done. After any other
 * (PANIC, errno) the handle is gone all the same, and what was committed is durable. */
int daxkv_close(struct daxkv_store *store);

/* daxkv_set_durability - from this handle's next write transaction on commits are LAZY: seen at
 * once, durable at the next sync or durable commit of any user; or DURABLE, when they return. A
 * power cut leaves the store exactly as of a sync, at least the last that returned. See
 * daxkv-durability(7), also for where all commits are durable. Any thread. Errors: EINVAL.
 * daxkv_sync - make durable what is committed, by all users; where nothing is lazy, in place, which
 * shortens the next recovery. Errors: those of daxkv_txn_begin for writing (BUSY inside a write
 * transaction of this thread, when nothing is lazy), PANIC, CORRUPT, ENOSPC (the lock file's). */
int daxkv_set_durability(struct daxkv_store *store, enum daxkv_durability durability);
int daxkv_sync(struct daxkv_store *store);

/* daxkv_set_max_size - let the file grow to size bytes from now on, but not less than it has; 0: as
 * far as address space was reserved. It lasts as long as the handle. Errors: EINVAL, BAD_TXN
 * (forked child), FULL when less address space was reserved (see DAXKV_RESERVE_MAX). */
int daxkv_set_max_size(struct daxkv_store *store, uint64_t size);

/* daxkv_size - bytes of the file that the newest commit uses, free pages between them included.
 * daxkv_fd - the store's file descriptor, for fstat(2) and the like. It belongs to the store. */
uint64_t daxkv_size(const struct daxkv_store *store);
int daxkv_fd(const struct daxkv_store *store);

/* daxkv_user_version - the number that the program keeps with the store, as the newest commit has
 * it; 0 at first. It belongs to no snapshot and has no checksum. */
uint64_t daxkv_user_version(const struct daxkv_store *store);

/* daxkv_lock_path - the path of the lock file; NULL when there is none (NO_LOCK, or a reader that
 * found none and could not make one). It lives until daxkv_close. */
const char *daxkv_lock_path(const struct daxkv_store *store);

/* ---- transactions ---------------------------------------------------------------------------- */

enum daxkv_txn_flags {
	DAXKV_TXN_READ_ONLY = 0x20000,
	/* Do not wait for another write transaction: BUSY. */
	DAXKV_TXN_TRY = 0x1,
	/* With READ_ONLY: cursors compare all that they return with its checksum, and the pages on
	 * the way to it; so is what a database that is opened says of itself. CORRUPT names what
	 * does not match, or lies where it does not belong. For dumps and copies: it does not hold
	 * for daxkv_get, nor for the counts of daxkv_db_stat. */
	DAXKV_TXN_VERIFY = 0x2,
	DAXKV_TXN_LAZY = 0x4,   /* For writing, not nested: as daxkv_set_durability, */
	DAXKV_TXN_DURABLE = 0x8 /* but for this transaction alone. */
};

/* daxkv_txn_begin - begin a transaction: 0 in flags is a write transaction, which waits until the
 * running one has ended, in whatever process. parent, NULL or a write transaction, makes a nested
 * one, 255 deep at most with the outermost: the parent rests until it ends; its changes become the
 * parent's on commit and vanish on abort. *txn is freed by daxkv_txn_commit or daxkv_txn_abort.
 * Errors: EINVAL, ENOMEM, BAD_TXN (forked child; a parent that cannot be changed; nested deeper).
 * Reading: READERS_FULL; with EXTERNAL_LOCK, for a reader that may not write the lock file, and
 * where overlayfs has copied the file for a writer, also BUSY, FULL, CORRUPT, errno. Writing:
 * EACCES (the store is open for reading), BUSY (TRY; this thread has a write transaction), PANIC,
 * and what can stop the recovery behind a writer that died: the space errors, errno. Nested: the
 * space errors, after which the parent can only be aborted. */
int daxkv_txn_begin(struct daxkv_store *store, struct daxkv_txn *parent, unsigned int flags,
                    struct daxkv_txn **txn);

/* daxkv_txn_begin_timed - begin a write transaction, and wait so long for others to end: then BUSY,
 * and daxkv_writer_pid tells who writes. Errors: those of daxkv_txn_begin for writing. */
int daxkv_txn_begin_timed(struct daxkv_store *store, unsigned int milliseconds,
                          struct daxkv_txn **txn);

/* daxkv_txn_commit - end the transaction and keep its changes. When the outermost commit returns
 * 0, all of them are durable (a lazy one's at the next sync), and transactions that begin then see
 * them. The transaction is freed whatever the result; one nested in it is committed first. Of a
 * read transaction: the same as an abort. With GROUP_COMMIT the errors may be other threads'.
 * Errors: EINVAL; BAD_TXN (an earlier call failed half-way; forked child); the space errors:
 * nothing was kept. PANIC when flushing failed: whether the transaction was kept shows at the next
 * opening, and it is then there in full or not at all. */
int daxkv_txn_commit(struct daxkv_txn *txn);

/* daxkv_txn_abort - end the transaction and forget its changes, those of nested ones too. Frees it;
 * cursors of a write transaction die with it. NULL does nothing. */
void daxkv_txn_abort(struct daxkv_txn *txn);

/* daxkv_txn_reset - give a read transaction's snapshot up and keep the transaction, for
 * daxkv_txn_renew; its cursors keep their place by key. daxkv_txn_renew - take the newest snapshot.
 * Errors of renew: EINVAL (not a read transaction that was reset), BUSY (clones of it run), and
 * those of daxkv_txn_begin for reading. */
void daxkv_txn_reset(struct daxkv_txn *txn);
int daxkv_txn_renew(struct daxkv_txn *txn);

/* daxkv_txn_set_user_version - change the store's user version with this transaction, which then
 * has a number even if nothing changes. Errors: EINVAL, BAD_TXN, EACCES (read transaction). */
int daxkv_txn_set_user_version(struct daxkv_txn *txn, uint64_t value);

/* daxkv_txn_clone - another read transaction of the same snapshot, for another thread. The two end
 * in any order, and the snapshot with the last of them. A clone cannot be reset, and the original
 * not be renewed while one runs. Errors: EINVAL (write transaction), BAD_TXN, TOO_OLD, ENOMEM. */
int daxkv_txn_clone(struct daxkv_txn *txn, struct daxkv_txn **clone);

/* daxkv_txn_id - the number of the snapshot that is read, or of the commit that will be made;
 * transactions that share a commit (GROUP_COMMIT) have one number, and behind a lazy commit numbers
 * are left out, up to 64 at each. daxkv_txn_store - the transaction's store. */
uint64_t daxkv_txn_id(const struct daxkv_txn *txn);
struct daxkv_store *daxkv_txn_store(const struct daxkv_txn *txn);

/* ---- databases ------------------------------------------------------------------------------- */

/* Kept in the store with the database. */
enum daxkv_db_flags {
	DAXKV_REVERSE_KEY = 0x02,      /* keys compare from their last byte to their first */
	DAXKV_DUP_SORT = 0x04,         /* a key may have many values, sorted: entries are pairs */
	DAXKV_INTEGER_KEY = 0x08,      /* keys are native unsigned integers of 4 or 8 bytes */
	DAXKV_DUP_FIXED = 0x10,        /* with DUP_SORT: all values have one size */
	DAXKV_INTEGER_DUP = 0x20,      /* with DUP_SORT: values are integers, as keys above */
	DAXKV_REVERSE_DUP = 0x40,      /* with DUP_SORT: values compare from their last byte */
	DAXKV_OWN_COMPARE = 0x100,     /* keys are ordered by the program's comparator */
	DAXKV_OWN_DUP_COMPARE = 0x200, /* with DUP_SORT: so are values */
};

/* daxkv_db_open - a handle for the database name (NULL: the main one). With CREATE in flags it is
 * made when it is missing, in a write transaction. Other flags must be those that it was made with,
 * or none when it exists; the main database takes flags, with CREATE, while it is empty. A name has
 * 1 to daxkv_max_key_size bytes, and shows as an entry of the main database.
 *
 * The handle is good for all threads that use this struct daxkv_store, until it is closed or the
 * database is dropped. One that a write transaction was the first to open goes with its abort,
 * unless a read transaction has opened the name meanwhile. It stands for the name: when another
 * process drops the database it is BAD_DB, and when that one makes another of this name it stands
 * for that. The number of a closed handle never stands for another database.
 *
 * Errors: NOT_FOUND; INCOMPATIBLE (other flags; a main database whose order leaves no room for
 * names); KEY_SIZE; DBS_FULL (nothing was made, the transaction goes on); EACCES (CREATE in a read
 * transaction); the read errors, with CREATE the change errors. */
int daxkv_db_open(struct daxkv_txn *txn, const struct daxkv_val *name, unsigned int flags,
                  daxkv_db *db);

/* daxkv_db_close - forget a handle; calls with it are BAD_DB from then on. The database stays, with
 * what a running transaction has changed in it. Nothing happens with the main database's, nor with
 * what is no open handle. */
void daxkv_db_close(struct daxkv_store *store, daxkv_db db);

/* daxkv_db_drop - empty the database; with del remove it. A removed database's handle is good for
 * older snapshots only, and closes by itself when the last of them in this process has ended, or
 * when a thousand more were dropped. The main database is only emptied, and all named ones go with
 * it. Errors: the change errors. */
int daxkv_db_drop(struct daxkv_txn *txn, daxkv_db db, int del);

/* daxkv_db_rename - give a named database another name. Its handle goes on meaning it. Errors:
 * EXIST (the name is taken), EINVAL (the main database), KEY_SIZE, the change errors. */
int daxkv_db_rename(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *name);

/* daxkv_db_list_next - the first named database whose name comes after *name in the main database's
 * order (size 0: the first of all): its name in *name. Errors: NOT_FOUND, the read errors. */
int daxkv_db_list_next(struct daxkv_txn *txn, struct daxkv_val *name);

/* daxkv_db_flags - its flags when it was made. Errors: the read errors without NEED_COMPARE. */
int daxkv_db_flags(struct daxkv_txn *txn, daxkv_db db, unsigned int *flags);

/* daxkv_db_stat - how large the database is. Errors: the read errors without NEED_COMPARE. */
struct daxkv_db_stat {
	uint32_t page_size, depth; /* bytes; levels, 0 when nothing was ever stored */
	uint64_t inner_pages, leaf_pages, blob_pages;
	uint64_t entries; /* pairs, with sorted duplicates */
};
int daxkv_db_stat(struct daxkv_txn *txn, daxkv_db db, struct daxkv_db_stat *stat);

/* A comparator returns <0, 0 or >0, like memcmp. It must be a total order, the same at every use of
 * the store, and must not call daxkv. */
typedef int daxkv_compare_fn(const struct daxkv_val *a, const struct daxkv_val *b, void *arg);

/* daxkv_db_set_compare, daxkv_db_set_dup_compare - the order of keys with OWN_COMPARE, of values
 * with OWN_DUP_COMPARE. It is kept with the handle, not in the file, and is set before the
 * database's first use. An empty database without the flag gets it, in a write transaction. Errors:
 * INCOMPATIBLE, the read errors, and for an empty database the change errors. */
int daxkv_db_set_compare(struct daxkv_txn *txn, daxkv_db db, daxkv_compare_fn *fn, void *arg);
int daxkv_db_set_dup_compare(struct daxkv_txn *txn, daxkv_db db, daxkv_compare_fn *fn, void *arg);

/* daxkv_db_compare, daxkv_db_dup_compare - compare two keys, two values, in the database's order. 0
 * as well when transaction or handle cannot be used. */
int daxkv_db_compare(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *a,
                     const struct daxkv_val *b);
int daxkv_db_dup_compare(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *a,
                         const struct daxkv_val *b);

/* ---- entries --------------------------------------------------------------------------------- */

enum daxkv_put_flags {
	/* EXIST when the key is there; *value is then what it has. */
	DAXKV_NO_OVERWRITE = 0x10,
	/* With DUP_SORT: EXIST when the pair is there. daxkv_cursor_del: all values of the key. */
	DAXKV_NO_DUP_DATA = 0x20,
	/* daxkv_cursor_put: replace the value that the cursor stands on. */
	DAXKV_CURRENT = 0x40,
	/* Make room for value->size bytes and point value->data at them, to be filled before the
	 * next change and commit. With DUP_SORT not by a cursor nor for a key with a value: else
	 * INCOMPATIBLE. A pair may be missed, and store bytes move, until that change is done. */
	DAXKV_RESERVE = 0x10000,
	/* EXIST unless the key comes after all others. */
	DAXKV_APPEND = 0x20000,
	/* With DUP_SORT: EXIST unless the value comes after all others of its key. */
	DAXKV_APPEND_DUP = 0x40000
};

/* daxkv_max_key_size - the longest key and sorted duplicate, in bytes: a quarter of the page size,
 * at most 8191. A key and a duplicate together must also fit half a page, else VALUE_SIZE. */
size_t daxkv_max_key_size(const struct daxkv_store *store);

/* daxkv_get - the value of key, or its first. Errors: NOT_FOUND, KEY_SIZE, the read errors. */
int daxkv_get(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
              struct daxkv_val *value);

/* daxkv_get_many - n gets at once: result[i] is what daxkv_get would return for key[i], and
 * value[i] its output. The searches overlap their cache misses, which pays from about eight keys
 * on. Returns 0, or the read error that ended it: value and result then mean nothing. */
int daxkv_get_many(struct daxkv_txn *txn, daxkv_db db, size_t n, const struct daxkv_val *key,
                   struct daxkv_val *value, int *result);

/* daxkv_put - store value under key: it replaces the key's value, or with DUP_SORT adds the pair. A
 * pair that is there stays, with success; one that the program's comparator calls equal to it takes
 * its place. flags: enum daxkv_put_flags without CURRENT. Errors: EXIST; KEY_SIZE; VALUE_SIZE;
 * INCOMPATIBLE (the key is a database's name; RESERVE); the change errors. */
int daxkv_put(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
              struct daxkv_val *value, unsigned int flags);

/* daxkv_put_many - n puts at once, in order: result[i] is what daxkv_put would return for key[i]
 * and value[i]. RESERVE is not possible, and keys and values must not lie in the store. What
 * NO_OVERWRITE found, which it does not show with APPEND, lies where it is when the call returns.
 * The searches overlap as in daxkv_get_many. Returns 0, or the change error that ended it: result
 * then means nothing. */
int daxkv_put_many(struct daxkv_txn *txn, daxkv_db db, size_t n, const struct daxkv_val *key,
                   struct daxkv_val *value, unsigned int flags, int *result);

/* daxkv_bulk_load - store entries in ascending order behind all that the database has. Pages are
 * filled to fill percent (10 to 100; 0: 90) and written once; nothing is searched. next gives one
 * entry at each call and returns 0, its bytes valid until the next call; NOT_FOUND says that there
 * are no more, and anything else ends the load and is returned. next must not use the transaction.
 * EXIST, KEY_SIZE and VALUE_SIZE of an entry (EXIST: it does not come after the one before) end the
 * load as well. In all these cases *loaded (may be NULL) is how many were stored: they stay in the
 * transaction, which goes on. Other errors: the change errors. */
typedef int daxkv_bulk_load_fn(void *arg, struct daxkv_val *key, struct daxkv_val *value);
int daxkv_bulk_load(struct daxkv_txn *txn, daxkv_db db, unsigned int fill, daxkv_bulk_load_fn *next,
                    void *arg, uint64_t *loaded);

/* daxkv_del - remove key and, with DUP_SORT, all its values, or the one given by value (NULL: all).
 * Errors: NOT_FOUND, KEY_SIZE, INCOMPATIBLE (the key is a database's name), the change errors. */
int daxkv_del(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
              const struct daxkv_val *value);

/* daxkv_del_range - remove all keys from *from on that come before *to, with all their values
 * (NULL: from the first, to the last). *deleted (may be NULL) is how many entries that were,
 * perhaps none. Pages between the two ends are freed as a whole. Errors: KEY_SIZE; INCOMPATIBLE
 * when a named database lies in the range, and nothing is removed then; the change errors. */
int daxkv_del_range(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *from,
                    const struct daxkv_val *to, uint64_t *deleted);

/* daxkv_count - how many entries have keys from *from on that come before *to (NULL: from the
 * first, to the last), each pair for itself: *n. Reads the header of each leaf between the ends;
 * without ends it is what daxkv_db_stat says. In the main database the names of databases are
 * entries, too. daxkv_count_estimate - about how many: reads the pages on the ways to the two ends
 * alone. Exact when both ends lie in one leaf; else leaves and pages between the ends are taken for
 * average ones, so that it is near where the database is filled evenly. Errors: KEY_SIZE; the read
 * errors. */
int daxkv_count(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *from,
                const struct daxkv_val *to, uint64_t *n);
int daxkv_count_estimate(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *from,
                         const struct daxkv_val *to, uint64_t *n);

/* daxkv_exchange - daxkv_put that tells what was there: *found is 1 when the key had a value, a
 * copy of which is then in old->data, which has room for old->size bytes, and old->size is its
 * size; else both are 0. With DUP_SORT the key's only value is replaced: INCOMPATIBLE when it has
 * several. Errors: ERANGE when the old value has no room: nothing has changed, and old->size is
 * what it needs; those of daxkv_put. */
int daxkv_exchange(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
                   struct daxkv_val *value, struct daxkv_val *old, int *found);

/* daxkv_compare_exchange - store value under key, or with NULL remove what is there, if the key has
 * exactly the bytes of *expected for its value; with expected NULL, if it has none. With DUP_SORT,
 * if *expected is one of the key's values, that one is replaced or removed; the others stay, and
 * the new one may be among them. Otherwise nothing changes. Errors: NOT_FOUND (the expected value
 * is not there), EXIST (a value is there, and none was expected); those of daxkv_put. */
int daxkv_compare_exchange(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
                           const struct daxkv_val *expected, struct daxkv_val *value);

/* ---- cursors --------------------------------------------------------------------------------- */

enum daxkv_cursor_op {
	DAXKV_FIRST,
	DAXKV_LAST,
	DAXKV_NEXT,         /* without a position FIRST; so of NEXT_KEY, NEXT_DUP */
	DAXKV_PREV,         /* without a position LAST; so of PREV_KEY, PREV_DUP */
	DAXKV_NEXT_KEY,     /* the next key's first duplicate */
	DAXKV_PREV_KEY,     /* the previous key's last duplicate */
	DAXKV_NEXT_DUP,     /* within the key: NOT_FOUND at its end */
	DAXKV_PREV_DUP,     /* within the key: NOT_FOUND at its begin */
	DAXKV_FIRST_DUP,    /* of the key that the cursor stands on */
	DAXKV_LAST_DUP,     /* of the key that the cursor stands on */
	DAXKV_GET_CURRENT,  /* the entry that the cursor stands on */
	DAXKV_SEEK,         /* *key, its first duplicate */
	DAXKV_SEEK_GE,      /* the first key at or after *key, its first duplicate */
	DAXKV_SEEK_LE,      /* the last key at or before *key, its last duplicate */
	DAXKV_SEEK_PAIR,    /* the pair of *key and *value */
	DAXKV_SEEK_PAIR_GE, /* the first duplicate of *key at or after *value */
};

/* daxkv_cursor_open - a cursor on db, without a position. A write transaction's cursors end with
 * it, and may be closed before that only. A read transaction's are left without a transaction when
 * it ends, may be renewed, and have to be closed, before the store is. Errors: the read errors. */
int daxkv_cursor_open(struct daxkv_txn *txn, daxkv_db db, struct daxkv_cursor **cursor);

/* daxkv_cursor_renew - use a read transaction's cursor in another read transaction of the store,
 * without a position. Errors: EINVAL (write transaction, other store), the read errors. */
int daxkv_cursor_renew(struct daxkv_txn *txn, struct daxkv_cursor *cursor);

/* daxkv_cursor_close - free the cursor. NULL does nothing. */
void daxkv_cursor_close(struct daxkv_cursor *cursor);

/* daxkv_cursor_txn, daxkv_cursor_db - what the cursor was opened or last renewed with; no
 * transaction (NULL) when that has ended. */
struct daxkv_txn *daxkv_cursor_txn(const struct daxkv_cursor *cursor);
daxkv_db daxkv_cursor_db(const struct daxkv_cursor *cursor);

/* daxkv_cursor_get - move, and return the entry that the cursor stands on. key and value are
 * outputs, and inputs of the seeks; either may be NULL where it is only output. A cursor keeps its
 * place while its own transaction changes the database: when the entry under it was deleted,
 * GET_CURRENT and NEXT give the one that followed it, PREV the one before it. NOT_FOUND leaves the
 * cursor where it was; a seek that fails leaves it without a position. Errors: NOT_FOUND; EINVAL
 * (unknown op, seek without key, no position); BAD_TXN (the transaction has ended); of seeks
 * KEY_SIZE, VALUE_SIZE, and INCOMPATIBLE (a pair without DUP_SORT); the read errors. */
int daxkv_cursor_get(struct daxkv_cursor *cursor, struct daxkv_val *key, struct daxkv_val *value,
                     enum daxkv_cursor_op op);

/* daxkv_cursor_get_many - up to n entries in one call, the cheapest way to read many. The first is
 * what daxkv_cursor_get gives for op, and the others follow it: forward after NEXT, FIRST and
 * SEEK_GE, backward after PREV, LAST and SEEK_LE. For the seeks key[0] is the input. The cursor
 * then stands on the last one; *got is how many there are, fewer than n at the end of the scan. end
 * (may be NULL) ends it: forward only keys before *end are given, backward only those at or after
 * it. Errors: NOT_FOUND when there is none; EINVAL (other op, n = 0); those of daxkv_cursor_get. */
int daxkv_cursor_get_many(struct daxkv_cursor *cursor, enum daxkv_cursor_op op,
                          const struct daxkv_val *end, size_t n, struct daxkv_val *key,
                          struct daxkv_val *value, size_t *got);

/* daxkv_db_partition - at most parts - 1 keys, ascending, that cut the database into parts of about
 * one size; *n of them, fewer when it has few pages. key has room for parts - 1. For scans by
 * several threads: each with a clone of one transaction, from key[i - 1] (SEEK_GE) to key[i] (end
 * of daxkv_cursor_get_many). No entry need have such a key. Errors: EINVAL (no parts, or more than
 * 65536), the read errors. */
int daxkv_db_partition(struct daxkv_txn *txn, daxkv_db db, size_t parts, struct daxkv_val *key,
                       size_t *n);

/* daxkv_cursor_put - daxkv_put, and the cursor stands on the entry, also after EXIST of
 * NO_OVERWRITE and NO_DUP_DATA. With CURRENT: replace the value that the cursor stands on; key is
 * then NULL or that entry's. Errors: those of daxkv_put; INCOMPATIBLE (RESERVE with DUP_SORT); of
 * CURRENT also EINVAL (no position, other key) and NOT_FOUND (behind the last entry). */
int daxkv_cursor_put(struct daxkv_cursor *cursor, const struct daxkv_val *key,
                     struct daxkv_val *value, unsigned int flags);

/* daxkv_cursor_del - remove the entry that the cursor stands on; with NO_DUP_DATA in flags the key
 * with all its values. Errors: EINVAL (no position), NOT_FOUND (behind the last entry),
 * INCOMPATIBLE (a database's name), the change errors. */
int daxkv_cursor_del(struct daxkv_cursor *cursor, unsigned int flags);

/* daxkv_cursor_count - how many values the cursor's key has. daxkv_cursor_several - whether more
 * than one: 1 or 0. daxkv_cursor_get_values - those from the cursor's on, n at most, all of that
 * size, copied to to: *got of them, and it stands on the last. Errors: EINVAL (no position, no
 * room), NOT_FOUND (behind all), INCOMPATIBLE (no DUP_SORT), VALUE_SIZE (the first), the read's. */
int daxkv_cursor_count(struct daxkv_cursor *cursor, uint64_t *count);
int daxkv_cursor_several(struct daxkv_cursor *cursor, int *several);
int daxkv_cursor_get_values(struct daxkv_cursor *c, size_t n, size_t size, void *to, size_t *got);

/* ---- reports --------------------------------------------------------------------------------- */

enum daxkv_medium { DAXKV_MEDIUM_DAX, DAXKV_MEDIUM_FILE, DAXKV_MEDIUM_EMULATED };

struct daxkv_info {
	enum daxkv_medium medium;
	const char *durability; /* one line: what a commit survives. Static storage */
	uint32_t format_version, page_size;
	/* Sizes in bytes. used: of pages that the newest commit has allocated, headers included,
	 * and that the caller's own write transaction has taken since. */
	uint64_t file_id, file_size, used_bytes, max_size;
	uint64_t last_txn;   /* the newest commit's number */
	uint64_t recovered;  /* commits that were replayed at opening */
	uint64_t held_pages; /* free pages that readers or recovery may still need */
	uint32_t readers, max_readers;
	uint32_t readers_peak; /* most reader entries in use at once since the first user came */
	int read_only, private_recovery; /* an unclean file is shown, from private memory */
	/* The filesystem needs space for what is changed in place (btrfs without NOCOW, ZFS,
	 * bcachefs, shared blocks): SIGBUS may end a program that writes to a full disk. */
	int copy_on_write;
	uint64_t synced_txn; /* the newest durable commit, and what is not: its age in ms */
	uint64_t lazy_commits, lazy_bytes, lazy_ms;
};

/* daxkv_info - what there is to know of the store. Errors: EINVAL, BAD_TXN (forked child), ENOMEM,
 * CORRUPT, errno. */
int daxkv_info(struct daxkv_store *store, struct daxkv_info *info);

/* daxkv_usage - some of daxkv_info for programs that ask again and again: no system call, no lock
 * and no wait. The first call of a store's users counts the pages, which takes its time in a large
 * store; so does the first call of a handle that cannot write while no writer has counted, and the
 * first after each commit of others with EXTERNAL_LOCK. Errors: EINVAL; BAD_TXN in a forked child;
 * CORRUPT, FULL (the file has outgrown max_size) while counting; with EXTERNAL_LOCK those of a
 * read's begin. Any thread may call it. */
struct daxkv_usage {
	uint64_t used_bytes, last_txn; /* as of daxkv_info */
	uint32_t page_size, readers_peak;
};
int daxkv_usage(struct daxkv_store *store, struct daxkv_usage *usage);

/* daxkv_writer_pid - the process whose write transaction is running, by its number in its own PID
 * namespace. 0: there is none, it has only just begun, or it is not known (a reader that may not
 * write the lock file, a forked child). Makes no system call and waits for nobody. */
int daxkv_writer_pid(const struct daxkv_store *store);

struct daxkv_reader {      /* a reader entry, of any process that has the store open */
	int pid, own;      /* own: it is this store handle's */
	int thread;        /* the thread that took the entry first, by its number there */
	int running;       /* a transaction runs; else it is kept for the next one */
	int bounded;       /* its store handle set a limit */
	int evicted;       /* when running: its snapshot was given up and holds nothing back */
	uint64_t handle;   /* pthread_self of that thread; of use in its process only */
	uint64_t snapshot; /* when running: pages freed since that commit wait for it */
	uint64_t age_ms;   /* when running: since its begin */
};

/* daxkv_readers_list - show each reader entry. Transactions begin and end meanwhile. */
void daxkv_readers_list(struct daxkv_store *store,
                        void (*show)(const struct daxkv_reader *reader, void *arg), void *arg);

/* daxkv_readers_reap - free the reader entries of dead processes and return how many. This also
 * happens by itself when entries or pages run out. */
unsigned int daxkv_readers_reap(struct daxkv_store *store);

struct daxkv_counters {                       /* since open, over all threads of the process */
	uint64_t commits;                     /* write transactions made durable */
	uint64_t fences;                      /* flushes waited for; on a file fdatasync or msync */
	uint64_t lines_flushed;               /* cache lines of 64 bytes written back */
	uint64_t lines_streamed;              /* cache lines written by streaming stores */
	uint64_t grows;                       /* times the file grew; its fences count as well */
	uint64_t splits, compactions, merges; /* of leaves */
};
void daxkv_counters(struct daxkv_store *store, struct daxkv_counters *counters);

#ifdef __cplusplus
}
#endif
#include "daxkv_backup.h"
#include "daxkv_compact.h"
#include "daxkv_salvage.h"
#endif
