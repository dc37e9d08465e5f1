/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open_close.c - closing a store, and what makes it durable in place. See daxkv.h and open.h
 *
 * A handle that has written leaves the store clean: the next open has nothing to recover. The last
 * user cuts the free end of the file off, too. A commit is durable without any of this.
 *
 *   close_it   transactions are refused -> the open lock -> alone? -> close_clean
 *                -> threads' tables -> store_free
 *
 * The open lock is held from the look whether others are there until the lock file is closed, so
 * nobody opens the store in between.
 */
#include "api/open.h"
#include "base/cancel.h"
#include "base/err.h"
#include "txn/commit.h"
#include "txn/dbi.h"
#include "txn/registry.h"
#include "txn/txn.h"
#include "txn/txn_check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Each part is safe when it was never made. */
void store_free(struct daxkv_store *store)
{
	assert(!store->writer);
	tree_scratch_close(&store->scratch);
	wset_close(&store->wset);
	space_close(&store->space);
	free(store->words.w);
	dbi_close_tables(store);
	share_file_close(&store->share_file);
	map_close(&store->map);
	lock_close(&store->lock);
	registry_remove(store);
	pthread_mutex_destroy(&store->dbi_mutex);
	pthread_mutex_destroy(&store->reader_mutex);
	pthread_mutex_destroy(&store->passive.mutex);
	group_close(&store->group);
	sync_idle_close(&store->sync_idle);
	if (store->alive)
		munmap(store->alive, (size_t)sysconf(_SC_PAGESIZE));
	free(store->path);
	free(store->compaction);
	free(store);
}

/* cut_end - commit a smaller size when there is free space at the end, and cut it off. Inside a
 * write transaction. *cut: it was so. The order keeps it safe: the smaller size is durable before
 * the file is cut, and in place, so that it does not depend on one record. */
static int cut_end(struct daxkv_store *store, bool *cut)
{
	assert(store->writer);
	int rc = commit_trim(store, false, cut);

	if (rc)
		return rc;
	if (!*cut)
		return 0;
	rc = commit_checkpoint(store);
	if (rc)
		return rc;
	rc = map_shrink(&store->map, store->space.end);
	if (rc)
		return rc;
	return space_reset(&store->space, store->space.end);
}

/* close_clean - leave nothing to recover, and no free space at the end. Nobody else uses the
 * store. */
static int close_clean(struct daxkv_store *store)
{
	assert(!store->writer);
	assert(!store->read_only);
	bool cut = true;
	int rc = 0;

	while (!rc && cut) { /* a very long end goes in parts */
		struct daxkv_txn *txn;

		rc = txn_begin_alone(store, -1, &txn); /* knows what other processes did */
		if (rc)
			return rc;
		rc = commit_checkpoint(store);
		if (!rc)
			rc = cut_end(store, &cut);
		daxkv_txn_abort(txn);
	}
	return rc;
}

/* close_sync - what is lazy does not outlive the handle of one that can sync it, and what was
 * committed is left in place, marked clean. The last to leave may be a reader, who cannot do
 * either, and the next to come may be one, too: it would recover for itself, and keep writers out.
 * Where another one writes, that one does it. */
static int close_sync(struct daxkv_store *store)
{
	struct err_saved before;
	struct daxkv_txn *txn;
	int rc;

	err_save(&before);
	rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_TRY | DAXKV_TXN_DURABLE, &txn);
	if (rc == DAXKV_BUSY || rc == DAXKV_PANIC) {
		err_restore(&before);
		return 0;
	}
	if (rc)
		return rc;
	rc = commit_checkpoint(store);
	daxkv_txn_abort(txn);
	return rc;
}

/* close_it - BUSY while transactions run; otherwise the handle is gone, whatever rc says. */
static int close_it(struct daxkv_store *store)
{
	uint32_t readers = 0;
	bool alone = false;
	int rc = 0;

	/* registry.c has closed what this child inherited; the mapping, and the share, are not
	 * there for it */
	if (txn_forked(store))
		return 0;
	/* its transaction is none of the program's */
	sync_idle_hold(&store->sync_idle);
	/* a thread ended in its transaction: to have the lock anew is to forget it */
	if (store->writer && !load_relaxed(&store->writer_thread))
		(void)daxkv_sync(store);
	for (const struct daxkv_txn *t = store->read_txns; t; t = t->next)
		readers += !t->idle;
	if (store->writer || readers) {
		sync_idle_go_on(&store->sync_idle);
		return err_set(DAXKV_BUSY,
		               "%u read transactions and %u write transactions are running",
		               readers, store->writer != NULL);
	}
	sync_idle_end(&store->sync_idle);
	if (!store->read_only && store_lazy(store))
		rc = close_sync(store);
	if (!rc && !store->read_only)
		rc = lock_enter(&store->lock, &alone);
	/* not recovered: nobody has written */
	if (!rc && !store->read_only && store->share->recovered && !store->share->panic &&
	    !store->external_lock) {
		if (alone)
			rc = close_clean(store);
		else if (store->commits)
			rc = close_sync(store);
	}
	txn_close_tables(store);
	store_free(store);
	return rc;
}

/* NULL is closed already. */
int daxkv_close(struct daxkv_store *store)
{
	const int cancel = cancel_off();
	int rc = 0;

	if (store)
		rc = close_it(store);
	cancel_restore(cancel);
	return rc;
}

int daxkv_sync(struct daxkv_store *store)
{
	if (!store)
		return err_set(EINVAL, "no store was given");
	return txn_sync(store);
}

int daxkv_set_durability(struct daxkv_store *store, enum daxkv_durability durability)
{
	if (!store || (unsigned int)durability > DAXKV_LAZY)
		return err_set(EINVAL, "a store is needed, and durable or lazy");
	store_relaxed(&store->lazy, store->may_lazy && durability == DAXKV_LAZY);
	return 0;
}

/* The address space was reserved when the store was opened; below the size in use it is no limit.
 */
int daxkv_set_max_size(struct daxkv_store *store, uint64_t size)
{
	if (!store)
		return err_set(EINVAL, "no store was given");
	uint64_t least = load_word(&store->map.size);
	int rc = txn_own(store);

	if (rc)
		return rc;
	if (size > store->map.reserve)
		return err_set(DAXKV_FULL,
		               "a maximum size of %lu bytes: address space was reserved for %lu",
		               (unsigned long)size, (unsigned long)store->map.reserve);
	store_release(&store->map.cap, size ? max_u64(size, least) : store->map.reserve);
	return 0;
}
