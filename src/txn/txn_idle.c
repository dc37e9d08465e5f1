/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn_idle.c - the sync of a store to which nobody commits any more. See sync_idle.h, txn.h
 *
 * An interval is named by the commit that it goes on from, S. One that this handle has no commit in
 * is left alone: the bounds of others are their own. When the thread looks, its interval may have
 * ended, and another one of this handle may have begun.
 */
#include "media/map_file.h"
#include "txn/commit.h"
#include "txn/txn.h"

/* Milliseconds. For the writer's lock the thread waits in parts, because a close waits for it. A
 * sync that failed without harm is tried again after the bound, and not before so long. */
#define WAIT_PART_MS 50
#define AGAIN_MIN_MS 1000u

/* interval_name - of the open one; not 0. */
static uint64_t interval_name(const struct daxkv_store *store)
{
	return load_relaxed(&store->share->interval.synced) + 1;
}

/* waits - whether the interval still waits for a sync. After a panic none will come. */
static bool waits(const struct daxkv_store *store, uint64_t interval)
{
	return store_lazy(store) && interval_name(store) == interval &&
	       !load_seq_cst(&store->share->panic);
}

/* sync_interval - with the writer's lock, which another one may keep for long. DAXKV_BUSY: the look
 * was given up. */
static int sync_interval(struct daxkv_store *store, uint64_t interval)
{
	struct daxkv_txn *txn;
	int rc;

	file_write_ahead(store->map.fd);
	do
		rc = txn_begin_alone(store, WAIT_PART_MS, &txn);
	while (rc == DAXKV_BUSY && !sync_idle_held(&store->sync_idle));
	if (rc)
		return rc;
	if (waits(store, interval))
		rc = commit_sync(store);
	daxkv_txn_abort(txn);
	return rc;
}

/* look - for sync_idle.h. */
static int64_t look(void *arg)
{
	struct daxkv_store *store = arg;
	const uint64_t interval = sync_idle_wanted(&store->sync_idle);
	const uint64_t bound = store->lazy_bounds.ms;

	if (!waits(store, interval)) {
		sync_idle_done(&store->sync_idle, interval);
		return 0;
	}
	const uint64_t age = (uint64_t)clock_ms() - load_relaxed(&store->share->interval.since_ms);

	if (age < bound)
		return (int64_t)min_u64(bound - age, INT32_MAX);
	const int rc = sync_interval(store, interval);

	/* the next look, at once, finds that there is nothing to do any more, or has to wait */
	if (!rc || rc == DAXKV_BUSY || rc == DAXKV_PANIC)
		return 0;
	return (int64_t)min_u64(max_u64(bound, AGAIN_MIN_MS), INT32_MAX);
}

int txn_idle_start(struct daxkv_store *store)
{
	return sync_idle_start(&store->sync_idle, look, store);
}

void txn_idle_want(struct daxkv_store *store)
{
	if (store_lazy(store))
		sync_idle_want(&store->sync_idle, interval_name(store));
}
