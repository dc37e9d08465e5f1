/* SPDX-License-Identifier: BSD-3-Clause */
/* info.c - what a store tells of itself. See daxkv.h */
#include "base/err.h"
#include "base/format.h"
#include "shm/readers.h"
#include "space/space.h"
#include "txn/commit.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>

const char *daxkv_version(void)
{
	return "0.1.0";
}

uint64_t daxkv_user_version(const struct daxkv_store *store)
{
	if (!store)
		return 0;
	const struct fmt_super *super = (const void *)store->map.base;

	return txn_forked(store) ? 0 : load_word(&super->user_version);
}

uint64_t daxkv_size(const struct daxkv_store *store)
{
	if (!store)
		return 0;
	const struct fmt_super *super = (const void *)store->map.base;

	return txn_forked(store) ? 0 : load_word(&super->size);
}

const char *daxkv_lock_path(const struct daxkv_store *store)
{
	return store && __atomic_load_n(&store->lock.fd, __ATOMIC_RELAXED) >= 0 ? store->lock.name
	                                                                        : NULL;
}

int daxkv_fd(const struct daxkv_store *store)
{
	return store ? store->map.fd : -1;
}

int daxkv_info(struct daxkv_store *store, struct daxkv_info *info)
{
	if (!store || !info)
		return err_set(EINVAL, "a store is needed, and a place for what there is to know");
	const struct fmt_super *super = (const void *)store->map.base;
	uint64_t file_size, used = 0;
	int rc = txn_own(store);

	if (!rc)
		rc = map_file_size(&store->map, &file_size);
	if (!rc && store->external_lock)
		rc = commit_follow(store);
	if (rc)
		return rc;
	if (store->read_only || store->external_lock ||
	    !store->share->recovered) { /* with an external lock it may not be this one's to write;
		                           else nobody has written */
		struct space space;

		rc = space_open(&space, &store->map, store->page_size, load_word(&super->size));
		if (!rc)
			rc = space_used(&space, &used);
		space_close(&space);
	} else {
		struct daxkv_txn *txn = NULL;
		struct err_saved before;
		bool own = txn_writing(store);

		err_save(&before);
		if (!own && !store->share->panic)
			rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_TRY, &txn);
		if (!rc)
			rc = space_used(&store->space, &used);
		if (!rc)
			__atomic_store_n(&store->used, used, __ATOMIC_RELAXED);
		if (rc == DAXKV_BUSY) { /* not worth waiting for */
			err_restore(&before);
			used = __atomic_load_n(&store->used, __ATOMIC_RELAXED);
			rc = 0;
		}
		daxkv_txn_abort(txn);
	}
	if (rc)
		return rc;
	*info = (struct daxkv_info){
	    .medium = store->map.medium,
	    .durability = map_durability(&store->map),
	    .format_version = FMT_VERSION,
	    .page_size = store->page_size,
	    .file_id = store->geometry.file_id,
	    .file_size = file_size,
	    .used_bytes = used,
	    .max_size = load_word(&store->map.cap),
	    .last_txn = __atomic_load_n(&store->share->published, __ATOMIC_ACQUIRE),
	    .recovered = store->recovered,
	    .held_pages = __atomic_load_n(&store->space.limbo.pages, __ATOMIC_RELAXED),
	    .readers = share_active(store->share),
	    .max_readers = share_max_readers(store->share),
	    .readers_peak = share_high(store->share),
	    .read_only = store->read_only,
	    .private_recovery = store->map.private_copy,
	    .copy_on_write = map_copies(&store->map)};
	return 0;
}

void daxkv_counters(struct daxkv_store *store, struct daxkv_counters *c)
{
	if (!store || !c)
		return;
	*c = (struct daxkv_counters){
	    .commits = __atomic_load_n(&store->commits, __ATOMIC_RELAXED),
	    .fences = __atomic_load_n(&store->map.pm.fences, __ATOMIC_RELAXED),
	    .lines_flushed = __atomic_load_n(&store->map.pm.lines_flushed, __ATOMIC_RELAXED),
	    .lines_streamed = __atomic_load_n(&store->map.pm.lines_streamed, __ATOMIC_RELAXED),
	    .grows = __atomic_load_n(&store->space.grows, __ATOMIC_RELAXED),
	    .splits = __atomic_load_n(&store->wset.splits, __ATOMIC_RELAXED),
	    .compactions = __atomic_load_n(&store->wset.compactions, __ATOMIC_RELAXED),
	    .merges = __atomic_load_n(&store->wset.merges, __ATOMIC_RELAXED)};
}
