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

uint64_t daxkv_user_version(const struct daxkv_store *kv)
{
	if (!kv)
		return 0;
	const struct fmt_super *super = (const void *)kv->map.base;

	return txn_forked(kv) ? 0 : load_word(&super->user_version);
}

uint64_t daxkv_size(const struct daxkv_store *kv)
{
	if (!kv)
		return 0;
	const struct fmt_super *super = (const void *)kv->map.base;

	return txn_forked(kv) ? 0 : load_word(&super->size);
}

const char *daxkv_lock_path(const struct daxkv_store *kv)
{
	return kv && __atomic_load_n(&kv->lock.fd, __ATOMIC_RELAXED) >= 0 ? kv->lock.name : NULL;
}

int daxkv_fd(const struct daxkv_store *kv)
{
	return kv ? kv->map.fd : -1;
}

int daxkv_info(struct daxkv_store *kv, struct daxkv_info *info)
{
	if (!kv || !info)
		return err_set(EINVAL, "a store is needed, and a place for what there is to know");
	const struct fmt_super *super = (const void *)kv->map.base;
	uint64_t file_size, used = 0;
	int rc = txn_own(kv);

	if (!rc)
		rc = map_file_size(&kv->map, &file_size);
	if (!rc && kv->turns)
		rc = commit_follow(kv);
	if (rc)
		return rc;
	if (kv->read_only || kv->turns || !kv->share->recovered) { /* with turns it may not be this one's to write; else nobody has written */
		struct space space;

		rc = space_open(&space, &kv->map, kv->page_size, load_word(&super->size));
		if (!rc)
			rc = space_used(&space, &used);
		space_close(&space);
	} else {
		struct daxkv_txn *txn = NULL;
		struct err_saved before;
		bool own = txn_writing(kv);

		err_save(&before);
		if (!own && !kv->share->poison)
			rc = daxkv_txn_begin(kv, NULL, DAXKV_TXN_TRY, &txn);
		if (!rc)
			rc = space_used(&kv->space, &used);
		if (!rc)
			__atomic_store_n(&kv->used, used, __ATOMIC_RELAXED);
		if (rc == DAXKV_BUSY) { /* not worth waiting for */
			err_restore(&before);
			used = __atomic_load_n(&kv->used, __ATOMIC_RELAXED);
			rc = 0;
		}
		daxkv_txn_abort(txn);
	}
	if (rc)
		return rc;
	*info = (struct daxkv_info){
	    .medium = kv->map.medium,
	    .durability = map_durability(&kv->map),
	    .format_version = FMT_VERSION,
	    .page_size = kv->page_size,
	    .file_id = kv->geometry.file_id,
	    .file_size = file_size,
	    .used_bytes = used,
	    .max_size = load_word(&kv->map.cap),
	    .last_txn = __atomic_load_n(&kv->share->published, __ATOMIC_ACQUIRE),
	    .recovered = kv->recovered,
	    .held_pages = __atomic_load_n(&kv->space.limbo.pages, __ATOMIC_RELAXED),
	    .readers = share_active(kv->share),
	    .max_readers = share_slots(kv->share),
	    .readers_peak = share_high(kv->share),
	    .read_only = kv->read_only,
	    .private_recovery = kv->map.private_copy,
	    .copy_on_write = map_copies(&kv->map)};
	return 0;
}

void daxkv_counters(struct daxkv_store *kv, struct daxkv_counters *c)
{
	if (!kv || !c)
		return;
	*c = (struct daxkv_counters){.commits = __atomic_load_n(&kv->commits, __ATOMIC_RELAXED),
	                             .fences = __atomic_load_n(&kv->map.pm.fences, __ATOMIC_RELAXED),
	                             .lines_flushed = __atomic_load_n(&kv->map.pm.lines_flushed, __ATOMIC_RELAXED),
	                             .lines_streamed = __atomic_load_n(&kv->map.pm.lines_streamed, __ATOMIC_RELAXED),
	                             .grows = __atomic_load_n(&kv->space.grows, __ATOMIC_RELAXED),
	                             .splits = __atomic_load_n(&kv->wset.splits, __ATOMIC_RELAXED),
	                             .compactions = __atomic_load_n(&kv->wset.compactions, __ATOMIC_RELAXED),
	                             .merges = __atomic_load_n(&kv->wset.merges, __ATOMIC_RELAXED)};
}
