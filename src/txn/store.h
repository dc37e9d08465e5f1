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

#include <pthread.h>

struct reader_limit { /* the caller's answer to readers that hold space back (reader_limit.h) */
	daxkv_old_reader_fn *fn; /* NULL: none */
	void *arg;
	uint64_t word; /* of the reader asked about last, and its entry */
	uint32_t reader;
	unsigned int retry;
};

struct passive {            /* a reader that may not write the lock file (passive.h) */
	bool on, in_store;  /* in_store: its bytes are the store's, not the lock file's */
	uint64_t life;      /* of a share that says nothing; 0: there is none */
	uint64_t announced; /* the snapshot whose byte is locked, + 1; 0: none */
	pthread_mutex_t mutex;
};

struct daxkv_store {
	/* fixed after open */
	struct map map;
	struct lock lock;
	struct geometry geometry;
	struct share_file share_file;
	struct share *share;                          /* share_file.share */
	uint64_t *alive;                              /* a page that a forked child sees as zeros */
	uint64_t reserved;                            /* atomic: bytes of address space */
	struct daxkv_store *next_store, **store_link; /* in registry.c, under its lock */
	bool joined;                                  /* others used the store when it was opened */
	uint32_t page_size, max_key;
	bool read_only;
	bool external_lock; /* others use the file between this one's transactions:
	                       DAXKV_EXTERNAL_LOCK */
	uint64_t stamp;     /* store_stamp as a reader without company found it when it opened */
	bool follows;       /* a read begins with commit_follow: an external lock, or copied */
	bool copied; /* atomic: the first writer makes the filesystem copy the file, and this one
	                has the old one mapped: see map_follow_copy */
	bool nolock; /* opened without a lock file: write transactions may go from thread to thread
	              */
	uint64_t recovered;
	bool made_sure; /* recovery ran, with its fences, when the store was opened */
	struct passive passive;
	uint64_t max_age_ms, max_lag; /* bounds of this store's own readers */
	char *path;
	pthread_key_t thread_txn; /* a thread's idle read transaction, kept for its next begin */
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
	struct words words; /* of the last commit: stored, to be flushed when the next transaction
	                       begins [R9] */
	uint64_t flushed;   /* words of it that the running transaction's begin flushed */
	uint64_t words_txn; /* which commit that is; 0: none, see its record */
	uint64_t known;     /* the commit at which space holds: another process may have committed
	                       since, or released pages (share->last_writer) */
	bool followed; /* others have committed since this one last wrote; with an external lock
	                  only */
	uint64_t commits;
	uint64_t used, used_of; /* atomic: pages in use at that commit, as counted here last */
	struct oldest oldest;   /* the reader that holds space back */
	struct reader_limit reader_limit;
	struct daxkv_txn *writer;    /* the outermost write transaction running */
	struct daxkv_txn *idle_txns; /* ended ones, for the next */
	uint64_t generation;
	pthread_t writer_thread; /* atomic: who has the lock, 0: nobody here */
	struct commit_group
	    group; /* whose turn it is among this store's threads, and who shares a commit */
};

struct reserved {             /* a value that the caller of put is filling */
	const uint8_t *value; /* in the leaf: the value, or its struct fmt_blob */
	uint64_t leaf;
	uint32_t vlen;
	bool pending, blob;
};

struct daxkv_txn {
	struct daxkv_store *store;
	struct daxkv_txn *parent, *child;
	bool member; /* nested in the outermost one of an open group: for its program it is
	                outermost */
	bool write, broken, idle; /* broken: to be aborted; idle: a read transaction after reset */
	bool too_old;             /* broken, because its snapshot was given up */
	bool verify;              /* a read transaction: its cursors compare checksums */
	bool bounded;             /* a read transaction of a store with bounds */
	uint32_t reader;          /* of the reader table */
	uint64_t generation;
	uint64_t
	    valid_at; /* of a write transaction that ended: the commit at which its dbstates hold */
	struct view view;    /* of a read transaction */
	struct dbstate **db; /* by the entry of the handle: room pointers, NULL where none was
	                        looked at. A state does not move */
	uint32_t room, ndb;  /* ndb: entries looked at in this generation end here */
	struct dbstate *
	    *bucket; /* a write transaction's states of named databases by hash; stale ones, too */
	uint32_t buckets, names; /* a power of two; states in them */
	struct dbstate *changed; /* those that it changed */
	struct dbstate *looked;  /* a nested one's: all that it has of its own */
	bool handles;            /* it opened handles, or gave them names */
	struct daxkv_cursor *cursors;
	struct daxkv_txn *next, **link; /* in store->read_txns */
	struct daxkv_txn *origin; /* of a clone: the read transaction whose entry it reads by */
	bool cloned; /* there are clones, or were: the two below count then, under reader_mutex */
	bool ended;  /* it has, and its entry and memory are left to the last clone */
	uint32_t users;        /* of its entry */
	struct wset_mark mark; /* of a nested transaction */
	struct reserved reserved;
	uint64_t user_version; /* to be kept with the store, */
	bool user_version_set; /* when this is set */
};

/* dbi_state_known - the state of a database that the transaction has looked at. */
static inline struct dbstate *dbi_state_known(const struct daxkv_txn *txn, daxkv_db db)
{
	return txn->db[db & txn->store->dbis.mask];
}

/* txn_writing - whether the calling thread has a write transaction by way of this handle. */
static inline bool txn_writing(const struct daxkv_store *store)
{
	return __atomic_load_n(&store->writer_thread, __ATOMIC_RELAXED) ==
	       pthread_self(); /* a number; only its own thread stores it */
}

#endif
