/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open.c - opening a store. See daxkv.h and store.h
 *
 *   1 the lock file: opened, or made; others that open or close meanwhile wait
 *   2 the data file: opened, or made                                           open_file.c
 *   3 attach: mapped; recovery, when nobody else uses it and it is not clean   open_attach.c
 *   4 the share: joined, or made
 *   5 for a writer: free space, scratch memory                                 open_writer.c
 *   6 the open lock is given up: from here on others may open it
 *
 * The order is that of who may see what. The lock file comes before the data file, so that two who
 * create a store do it one after the other. Recovery comes before the share, because those who join
 * take the share's word for the newest commit. The open lock is held from the first step to the
 * last, and by a close, so nobody meets a store that is half open or half closed.
 *
 * Each part of the handle is safe to close before it was opened, so one function undoes all of it
 * (store_free), wherever opening failed. A file that was made by a failed open is removed again.
 * Closing is in open_close.c.
 */
#include "api/open.h"

#include "api/compact.h"
#include "base/cancel.h"
#include "base/err.h"
#include "media/path.h"
#include "txn/commit.h"
#include "txn/dbi.h"
#include "txn/passive.h"
#include "txn/registry.h"
#include "txn/store.h"
#include "txn/txn.h"
#include "txn/txn_check.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define READERS_DEFAULT 4096u
#define DBS_DEFAULT     1024u
#define KEY_MAX         8191u
#define LOG_PART        8u
/* members of a group, from which on two fences of pages beside each other cost less than one of
 * pages all over the file */
#define LOG_MEMBERS 8u
#define OPEN_FLAGS                                                                                 \
	(DAXKV_CREATE | DAXKV_EXCLUSIVE | DAXKV_READ_ONLY | DAXKV_NO_LOCK | DAXKV_EXTERNAL_LOCK |  \
	 DAXKV_NO_FILE_LOCK | DAXKV_RESERVE_MAX | DAXKV_POPULATE | DAXKV_GROUP_COMMIT |            \
	 DAXKV_SYNC_IDLE)

/* options_check - what can be refused without a look at the file. EINVAL, EFBIG. */
static int options_check(const char *path, const struct daxkv_options *o)
{
	if (!path || !*path)
		return err_set(EINVAL, "no path was given");
	if (o->flags & ~(unsigned int)OPEN_FLAGS)
		return err_set(EINVAL, "unknown flags 0x%x for open",
		               o->flags & ~(unsigned int)OPEN_FLAGS);
	if (o->flags & DAXKV_EXTERNAL_LOCK && !(o->flags & DAXKV_NO_LOCK))
		return err_set(EINVAL, "DAXKV_EXTERNAL_LOCK requires DAXKV_NO_LOCK");
	if (o->flags & DAXKV_READ_ONLY && o->flags & (DAXKV_CREATE | DAXKV_EXCLUSIVE))
		return err_set(EINVAL, "a store cannot be created read-only");
	if (o->page_size && (o->page_size < FMT_PAGE_MIN || o->page_size > FMT_PAGE_MAX ||
	                     o->page_size & (o->page_size - 1)))
		return err_set(EINVAL, "page size %u: 4096, 8192, 16384 and 32768 are possible",
		               o->page_size);
	if (o->max_readers > READERS_MOST)
		return err_set(EINVAL, "%u read transactions at once: at most %u are possible",
		               o->max_readers, READERS_MOST);
	if (o->compact_free > COMPACT_FREE_MAX)
		return err_set(EINVAL, "compaction from %u per cent on: at most %u are possible",
		               o->compact_free, COMPACT_FREE_MAX);
	if (o->compact_free && o->flags & DAXKV_EXTERNAL_LOCK)
		return err_set(DAXKV_INCOMPATIBLE,
		               "with EXTERNAL_LOCK nothing tells of readers that "
		               "may need what a compaction cuts off");
	if (o->initial_size > INT64_MAX / 2)
		return err_set(EFBIG, "an initial size of %lu bytes",
		               (unsigned long)o->initial_size);
	if ((unsigned int)o->durability > DAXKV_LAZY)
		return err_set(EINVAL, "unknown durability %d", (int)o->durability);
	if (o->flags & DAXKV_SYNC_IDLE && o->lazy_ms == UINT64_MAX)
		return err_set(EINVAL, "DAXKV_SYNC_IDLE requires a bound in milliseconds, lazy_ms");
	if ((unsigned int)o->pmem > DAXKV_PMEM_FORCE)
		return err_set(EINVAL, "unknown pmem mode %d", (int)o->pmem);
	if (o->max_size && o->initial_size > o->max_size)
		return err_set(EINVAL,
		               "the initial size of %lu bytes is above the maximum size of %lu",
		               (unsigned long)o->initial_size, (unsigned long)o->max_size);
	return 0;
}

/* flush_is_dear - each page that a fence writes is, and the fence itself. On persistent memory, and
 * in memory, it costs less than to wake a thread, or to write a page's words beside each other. */
static bool flush_is_dear(const struct daxkv_store *store)
{
	struct statfs fs;

	if (store->map.medium != DAXKV_MEDIUM_FILE)
		return false;
	if (fstatfs(store->map.fd, &fs) != 0)
		return false;
	return (uint32_t)fs.f_type != TMPFS_MAGIC;
}

/* commit_options - how commits wait for the medium. Without a lock file a write transaction may go
 * from thread to thread, which may not wait for each other: there are no groups. */
static void commit_options(struct daxkv_store *store, const struct daxkv_options *o)
{
	const bool dear = flush_is_dear(store);

	store->log_part = LOG_PART;
	store->log_members = LOG_MEMBERS;
	store->logs = dear && !store->read_only && !store->external_lock;
	store->group.on = dear && o->flags & DAXKV_GROUP_COMMIT && !store->nolock;
}

/* share_open - the state shared with other users, for who is alone too. A read-only user without
 * room for a lock file becomes a passive reader. */
static int share_open(struct daxkv_store *store, const struct daxkv_options *o, uint64_t txn)
{
	assert(!store->share);
	const uint32_t max_readers = o->max_readers ? o->max_readers : READERS_DEFAULT;
	struct limbo left = {0};
	bool unknown;
	int rc;

	rc = lazy_left(store, &txn, &store->left);
	if (!rc)
		rc = passive_open(store, &txn);
	if (!rc)
		rc = passive_inherit(store, txn, &left, &unknown);
	if (!rc)
		rc = share_file_open(&store->share_file, &store->lock, max_readers, txn,
		                     store->geometry.file_id, store->left);
	/* no room for a lock file */
	if ((rc == ENOSPC || rc == EDQUOT) && store->read_only && !store->joined) {
		rc = lock_be_passive(&store->lock);
		lock_unmake(&store->lock);
		if (!rc)
			rc = passive_open(store, &txn);
		if (!rc)
			rc = share_file_open(&store->share_file, &store->lock, max_readers, txn,
			                     store->geometry.file_id, false);
	}
	store->share = store->share_file.share;
	if (!rc)
		rc = passive_bequeath(store, &left, unknown);
	limbo_free(&left);
	if (rc)
		return rc;
	if (store->joined)
		rc = open_join(store, o);
	if (rc)
		return rc;
	if (!store->joined || store->lock.passive) {
		store->share->medium = (uint32_t)store->map.medium;
		store->durable = commit_synced(store);
		store->share->releasable = txn;
		store->share->size = load_word(&store_super(store)->size);
	}
	store->copied = !store->share->writable && map_on_layers(&store->map);
	store->follows = store->external_lock || store->copied;
	store->share->writable |= !store->read_only;
	/* Else the first who writes does it: reading needs no flush. What lazy commits left is the
	 * share's, which recovery of the file did not look at [L5]. */
	if (!store->left)
		store->share->recovered |= store->made_sure;
	store->map.committed = &store->share->size;
	store->lock.writer = &store->writer_thread;
	lazy_options(store, o);
	commit_options(store, o);
	return 0;
}

/* alive_open - a page that reads as zeros in a forked child. One load tells each call that it runs
 * in a child: no system call, no handler in the program's way. */
static int alive_open(struct daxkv_store *store)
{
	assert(!store->alive);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return err_sys(errno, "a page of memory");
	*p = 1;
	store->alive = p;
	(void)madvise(p, page, MADV_WIPEONFORK);
	return 0;
}

/* store_start - what an open file needs to be used. In this order: each part uses those before it.
 */
static int store_start(struct daxkv_store *store, const struct daxkv_options *o)
{
	assert(store->map.fd >= 0);
	assert(store->alive);
	uint64_t txn = 0;
	int rc = open_attach(store, o, &txn);

	if (rc)
		return rc;
	rc = share_open(store, o, txn);
	if (rc)
		return rc;
	rc = open_size_check(store);
	if (rc)
		return rc;
	rc = dbi_open_tables(store, o->max_dbs ? o->max_dbs : DBS_DEFAULT);
	if (rc)
		return rc;
	if (!store->read_only)
		rc = open_writer(store, txn);
	if (rc)
		return rc;
	rc = txn_open_tables(store);
	if (rc)
		return rc;
	rc = lock_share(&store->lock);
	if (store->page_size / 4 < KEY_MAX)
		store->max_key = store->page_size / 4;
	else
		store->max_key = KEY_MAX;
	return rc;
}

/* store_open_locked - from the lock file to the end of opening; what it made is removed when it
 * fails. The open lock is held from the first step on, so nobody sees a store that is half made. */
static int store_open_locked(struct daxkv_store *store, const char *path,
                             const struct daxkv_options *o)
{
	struct open_look look = {.path = path, .flags = o->flags};
	const struct lock_for file = {
	    .mode = open_mode(o),
	    .wait_ms = o->wait_ms,
	    .look = open_look,
	    .arg = &look,
	};
	bool made = false;
	int rc = 0;

	store->read_only = o->flags & DAXKV_READ_ONLY;
	store->nolock = o->flags & DAXKV_NO_LOCK;
	store->external_lock = store->followed = o->flags & DAXKV_EXTERNAL_LOCK;
	store->max_age_ms = o->max_age_ms;
	store->max_lag = o->max_lag;
	store->compact_free = o->compact_free;
	if (o->compact_free)
		store->after_commit = compact_after_commit;
	store->reader_limit = (struct reader_limit){.fn = o->old_reader, .arg = o->old_reader_arg};
	if (!(o->flags & DAXKV_NO_LOCK)) {
		if (o->lock_path)
			rc = lock_open_named(&store->lock, o->lock_path, store->read_only, &file);
		else
			rc = lock_open(&store->lock, path, store->read_only, &file);
	}
	if (!rc)
		rc = open_file(store, path, o, &made);
	if (!rc)
		rc = open_file_local(store);
	if (!rc)
		rc = lock_data(&store->lock, path, store->map.fd, !(o->flags & DAXKV_NO_FILE_LOCK));
	store->joined = store->lock.fd >= 0 && !store->lock.alone;
	if (!rc)
		rc = alive_open(store);
	if (!rc)
		rc = store_start(store, o);
	/* nobody else has it: the lock is held. What stays when this fails is an empty store */
	if (rc && made)
		(void)unlink(path);
	if (rc)
		lock_unmake(&store->lock);
	return rc;
}

/* open_it - the handle, and everything that can be undone by store_free. *out is written on success
 * alone. */
static int open_it(const char *path, const struct daxkv_options *options, struct daxkv_store **out)
{
	static const struct daxkv_options none;
	const struct daxkv_options *o = options;
	struct daxkv_store *store;
	int rc;

	if (!options)
		o = &none;
	if (out)
		rc = options_check(path, o);
	else
		rc = err_set(EINVAL, "no place for the handle");
	if (rc)
		return rc;
	store = calloc(1, sizeof *store);
	if (!store)
		return err_set(ENOMEM, "no memory for a store");
	store->map.fd = store->lock.fd = store->lock.dir_fd = store->share_file.fd = -1;
	store->generation = 1;
	pthread_mutex_init(&store->dbi_mutex, NULL);
	pthread_mutex_init(&store->reader_mutex, NULL);
	pthread_mutex_init(&store->passive.mutex, NULL);
	group_open(&store->group, false);
	sync_idle_open(&store->sync_idle);
	rc = path_follow(path, &store->path);
	if (!rc)
		rc = registry_add(store);
	if (!rc)
		rc = store_open_locked(store, store->path, o);
	/* what processes that died left is made durable before anybody builds on it */
	if (!rc && store->left && !store->read_only)
		rc = txn_sync(store);
	if (!rc && store->may_lazy && options && options->flags & DAXKV_SYNC_IDLE)
		rc = txn_idle_start(store);
	if (rc) {
		store_free(store);
		return rc;
	}
	*out = store;
	return 0;
}

/* A thread is not cancelled inside: the lock would stay. */
int daxkv_open(const char *path, const struct daxkv_options *options, struct daxkv_store **out)
{
	const int cancel = cancel_off();
	struct err_saved before;

	err_save(&before);
	int rc = open_it(path, options, out);

	/* that a file to be made was missing is no failure */
	if (!rc)
		err_restore(&before);
	cancel_restore(cancel);
	return rc;
}
