/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.h - an open store, its transactions, database handles and cursors: who sees which tree.
 *
 *   struct daxkv_store  the file, what its users share, and the one writer's state
 *   struct dbi        a database handle, struct dbstate a database as one transaction sees it:
 *                     handle.h
 *
 * Fields are grouped by what protects them. A write transaction and its nested ones work on one
 * struct wset; each has dbstates of its own, which a child copies from its parent at begin and
 * gives back at commit.
 */
#ifndef DAXKV_STORE_H
#define DAXKV_STORE_H

#include "media/super.h"
#include "shm/share.h"
#include "space/space.h"
#include "tree/tree.h"
#include "txn/group.h"
#include "txn/handle.h"
#include "txn/sync_idle.h"

#include <pthread.h>

struct reader_limit { /* the caller's answer to readers that hold space back (reader_limit.h) */
	daxkv_old_reader_fn *fn; /* NULL: none */
	void *arg;
	/* of the reader asked about last, and its entry */
	uint64_t word;
	uint32_t reader;
	unsigned int retry;
};

struct passive { /* a reader that may not write the lock file (passive.h) */
	/* in_store: its bytes are the store's, not the lock file's */
	bool on;
	bool in_store;
	/* of a share that says nothing; 0: there is none */
	uint64_t life;
	/* the snapshot whose byte is locked, + 1; 0: none */
	uint64_t announced;
	pthread_mutex_t mutex;
};

struct lazy_bounds { /* what a lazy interval does not get beyond; of the commits of this handle */
	uint64_t bytes;
	uint64_t commits;
	uint64_t ms;
};

/* Compaction of the store in this process: none, a step behind a commit, or a call. */
enum compacts { COMPACTS_NOT, COMPACTS_STEP, COMPACTS_CALL };

struct daxkv_store {
	/* fixed after open */
	struct map map;
	struct lock lock;
	struct geometry geometry;
	struct share_file share_file;
	struct share *share; /* share_file.share */
	uint64_t *alive;     /* a page that a forked child sees as zeros */
	uint64_t reserved;   /* atomic: bytes of address space */
	/* in registry.c, under its lock */
	struct daxkv_store *next_store;
	struct daxkv_store **store_link;
	bool joined; /* others used the store when it was opened */
	uint32_t page_size;
	uint32_t max_key;
	bool read_only;
	/* others use the file between this one's transactions: DAXKV_EXTERNAL_LOCK */
	bool external_lock;
	/* store_stamp as a reader without company found it when it opened */
	uint64_t stamp;
	/* a read begins with commit_follow: an external lock, or copied */
	bool follows;
	/* atomic: the first writer makes the filesystem copy the file, and this one has the old one
	 * mapped: see map_follow_copy */
	bool copied;
	/* opened without a lock file: write transactions may go from thread to thread */
	bool nolock;
	/* lazy commits can be: in the page cache, and with the share's superblock, or one of this
	 * process's own */
	bool may_lazy;
	/* commits may be logged: see commit_log.c. One part of so many of the file's pages may wait
	 * in the limbo. A commit whose record has no room is logged when the group has so many
	 * members. Set when the store is opened */
	bool logs;
	unsigned int log_part;
	unsigned int log_members;
	/* a lazy interval was found, which nobody used any more */
	bool left;
	uint64_t recovered;
	/* recovery ran, with its fences, when the store was opened */
	bool made_sure;
	struct passive passive;
	/* bounds of this store's own readers */
	uint64_t max_age_ms;
	uint64_t max_lag;
	char *path;
	/* a thread's idle read transaction, kept for its next begin */
	pthread_key_t thread_txn;
	/* dbi_mutex */
	pthread_mutex_t dbi_mutex;
	struct dbi_table dbis;
	struct daxkv_txn *read_txns;  /* all there are, idle ones included */
	pthread_mutex_t reader_mutex; /* taking, releasing and reaping reader entries */
	/* share->writer */
	struct ring ring;
	struct space space;
	struct wset wset;
	struct view writer_view;
	struct tree_scratch scratch;
	/* of the last commit: stored, to be flushed when the next transaction begins [R9] */
	struct words words;
	/* words of it that the running transaction's begin flushed */
	uint64_t flushed;
	/* which commit that is; 0: none, see its record */
	uint64_t words_txn;
	/* the commit at which space holds: another process may have committed since, or released
	 * pages (share->last_writer) */
	uint64_t known;
	/* words up to this commit are durable in place, under a fence that returned. It holds while
	 * known does, and is nobody else's to change: see durable_found */
	uint64_t durable;
	/* others have committed since this one last wrote; with an external lock only */
	bool followed;
	uint64_t commits;
	/* atomic: pages in use at that commit, as counted here last */
	uint64_t used;
	uint64_t used_of;
	struct oldest oldest; /* the reader that holds space back */
	struct reader_limit reader_limit;
	struct daxkv_txn *writer;    /* the outermost write transaction running */
	struct daxkv_txn *idle_txns; /* ended ones, for the next */
	/* called behind each outermost commit that succeeded; NULL: nothing is to be done then. */
	void (*after_commit)(struct daxkv_store *store);
	unsigned int compact_free; /* per cent of the file that may be free */
	enum compacts compacts;    /* atomic: what runs in this process */
	uint64_t compact_rest;     /* bytes free, with which the last walk found nothing to do */
	struct compaction *compaction; /* where daxkv_compact goes on; NULL: it was never called */
	uint64_t generation;
	/* atomic: transactions are lazy that do not say what they are */
	bool lazy;
	bool lazy_txn; /* the running one is, when wset.first says that there is an interval */
	/* S of the interval, once this handle has compared the shadow's sum, which has it in it */
	uint64_t lazy_synced;
	struct lazy_bounds lazy_bounds;
	struct sync_idle sync_idle; /* its look is NULL where no thread syncs the idle store */
	/* the lazy interval's records, as a ring of the share's; see commit_lazy.c */
	struct map lazy_map;
	struct ring lazy_ring;
	pthread_t writer_thread; /* atomic: who has the lock, 0: nobody here */
	/* whose turn it is among this store's threads, and who shares a commit */
	struct commit_group group;
};

struct reserved { /* a value that the caller of put is filling */
	/* in the leaf: the value, or its struct fmt_blob */
	const uint8_t *value;
	uint64_t leaf;
	/* with sorted duplicates the database, else NULL; the key lies before the value */
	struct dbstate *dups;
	uint32_t klen;
	uint32_t vlen;
	bool pending;
	bool blob;
};

struct daxkv_txn {
	struct daxkv_store *store;
	struct daxkv_txn *parent;
	struct daxkv_txn *child;
	/* nested in the outermost one of an open group: for its program it is outermost */
	bool member;
	/* broken: to be aborted; idle: a read transaction after reset */
	bool write;
	bool broken;
	bool idle;
	bool too_old; /* broken, because its snapshot was given up */
	/* a read transaction: its cursors compare checksums */
	bool verify;
	bool bounded;    /* a read transaction of a store with bounds */
	uint32_t reader; /* of the reader table */
	uint64_t generation;
	/* of a write transaction that ended: the commit at which its dbstates hold */
	uint64_t valid_at;
	struct view view; /* of a read transaction */
	/* by the entry of the handle: room pointers, NULL where none was looked at. A state does
	 * not move */
	struct dbstate **db;
	/* ndb: entries looked at in this generation end here */
	uint32_t room;
	uint32_t ndb;
	/* a write transaction's states of named databases by hash; stale ones, too */
	struct dbstate **bucket;
	/* a power of two; states in them */
	uint32_t buckets;
	uint32_t names;
	struct dbstate *changed; /* those that it changed */
	struct dbstate *looked;  /* a nested one's: all that it has of its own */
	bool handles;            /* it opened handles, or gave them names */
	struct daxkv_cursor *cursors;
	/* one that was closed: the next one's memory */
	struct daxkv_cursor *closed;
	/* a read transaction's: threads that share it open and close cursors, and look at databases
	 * for the first time. Recursive: a named database is found by the main one */
	pthread_mutex_t sharing;
	/* in store->read_txns */
	struct daxkv_txn *next;
	struct daxkv_txn **link;
	/* of a clone: the read transaction whose entry it reads by */
	struct daxkv_txn *origin;
	/* there are clones, or were: the two below count then, under reader_mutex */
	bool cloned;
	/* it has, and its entry and memory are left to the last clone */
	bool ended;
	uint32_t users;        /* of its entry */
	struct wset_mark mark; /* of a nested transaction */
	struct reserved reserved;
	uint64_t user_version; /* to be kept with the store, */
	bool user_version_set; /* when this is set */
};

/* dbi_state_entry - the state at entry i < ndb; NULL: there is none yet. Threads that share a read
 * transaction make states, and room for more, while others look: what is seen is seen whole. */
static inline struct dbstate *dbi_state_entry(const struct daxkv_txn *txn, uint32_t i)
{
	struct dbstate *const *db = load_acquire(&txn->db);

	return load_acquire(&db[i]);
}

/* dbi_state_known - the state of a database that the transaction has looked at. */
static inline struct dbstate *dbi_state_known(const struct daxkv_txn *txn, daxkv_db db)
{
	return dbi_state_entry(txn, db & txn->store->dbis.mask);
}

/* store_lazy - whether there are commits that are not synced. Any thread. */
static inline bool store_lazy(const struct daxkv_store *store)
{
	return load_acquire(&store->share->lazy) == store->share_file.lazy_mark;
}

/* store_is_lazy - whether the handle's transactions are lazy when they do not say what they are. */
static inline bool store_is_lazy(const struct daxkv_store *store)
{
	return load_relaxed(&store->lazy);
}

/* store_super - the superblock as the newest commit has it: the share's in a lazy interval. */
static inline const struct fmt_super *store_super(const struct daxkv_store *store)
{
	/* Pairs with commit_lazy.c: who sees the flag sees the superblock behind it. */
	if (UNLIKELY(store_lazy(store)))
		return (const void *)store->share_file.lazy;
	return map_super(&store->map);
}

/* txn_writing - whether the calling thread has a write transaction by way of this handle. */
static inline bool txn_writing(const struct daxkv_store *store)
{
	/* a number; only its own thread stores it */
	return load_relaxed(&store->writer_thread) == pthread_self();
}

#endif
