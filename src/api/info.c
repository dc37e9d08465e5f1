/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * info.c - what a store tells of itself. See daxkv.h
 *
 * All of it is read without a lock, so the numbers need not be of one moment. How many pages are in
 * use is the one that has to be counted: by the bitmaps, once; commits keep the number from then on
 * (commit_count_keep).
 */
#include "base/err.h"
#include "base/format.h"
#include "shm/readers.h"
#include "space/space.h"
#include "txn/commit.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>

/* Of the library, not of a file's format. */
const char *daxkv_version(void)
{
	return "0.1.0";
}

/* Of the newest commit: a word of the superblock. */
uint64_t daxkv_user_version(const struct daxkv_store *store)
{
	if (!store)
		return 0;
	if (txn_forked(store))
		return 0;
	return load_word(&store_super(store)->user_version);
}

/* What the store uses of its file, in bytes; the file may be longer. */
uint64_t daxkv_size(const struct daxkv_store *store)
{
	if (!store)
		return 0;
	if (txn_forked(store))
		return 0;
	return load_word(&store_super(store)->size);
}

/* NULL without a lock file. The text is the store's, until it is closed. */
const char *daxkv_lock_path(const struct daxkv_store *store)
{
	if (store && load_relaxed(&store->lock.fd) >= 0)
		return store->lock.name;
	return NULL;
}

/* The store's own: the caller must not close it. */
int daxkv_fd(const struct daxkv_store *store)
{
	if (store)
		return store->map.fd;
	return -1;
}

/* count_now - the pages that the newest commit has allocated. It reads the bitmaps of all zones,
 * which takes longer the larger the file is. CORRUPT, errno. */
static int count_now(struct daxkv_store *store, uint64_t *pages)
{
	uint64_t size;
	int rc;

	do {
		const struct fmt_super *super = store_super(store);

		size = load_word(&super->size);
		rc = size > load_word(&store->map.size) ? map_extend(&store->map, size)
		                                        : 0; /* [I17] */
		if (!rc)
			rc = space_count(&store->map, super, store->page_size, size, pages);
	} while (rc == DAXKV_CORRUPT && load_word(&store_super(store)->size) != size); /* cut */
	return rc;
}

/* count_here - the same, once for each commit. A commit that comes in between may be counted in
 * part. */
static int count_here(struct daxkv_store *store, uint64_t *pages)
{
	const uint64_t commit = load_acquire(&store->share->published);

	/* Pairs with the store at the end. */
	if (load_acquire(&store->used_of) == commit + 1) {
		*pages = load_relaxed(&store->used);
		return 0;
	}
	int rc = count_now(store, pages);

	if (rc)
		return rc;
	store_relaxed(&store->used, *pages);
	store_release(&store->used_of, commit + 1);
	return 0;
}

/* count_for_all - under the writer's lock, once for all users of the store: from here on commits
 * keep the number. BUSY. The transaction changes nothing and is aborted: it is begun for the lock
 * alone, and does not wait for it. */
static int count_for_all(struct daxkv_store *store, uint64_t *pages)
{
	assert(!store->read_only);
	assert(!store->external_lock);
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_TRY, &txn);

	if (rc)
		return rc;
	rc = count_now(store, pages);
	if (!rc)
		store_relaxed(&store->share->used_pages, *pages);
	daxkv_txn_abort(txn);
	return rc;
}

/* pages_counted - the number when the share has none. Counting for all needs the writer's lock;
 * when that is not to be had at once, or not to be taken, this process counts for itself. That the
 * lock was not to be had is no failure, so no message of it is left. Not inlined: it is needed
 * once. */
static __attribute__((noinline)) int pages_counted(struct daxkv_store *store, uint64_t *pages)
{
	/* with an external lock it may not be this one's to write; before recovered nobody has
	 * written */
	const bool may = !store->read_only && !store->external_lock &&
	                 load_relaxed(&store->share->recovered) && !txn_writing(store) &&
	                 !load_relaxed(&store->share->panic);
	struct err_saved before;
	int rc = DAXKV_BUSY;

	err_save(&before);
	if (may)
		rc = count_for_all(store, pages);
	if (rc == DAXKV_BUSY) { /* not worth waiting for */
		err_restore(&before);
		rc = count_here(store, pages);
	}
	return rc;
}

/* pages_bounded - others can write the share: there are not more than the file has. */
static inline uint64_t pages_bounded(const struct daxkv_store *store, uint64_t pages)
{
	return min_u64(pages, load_word(&store->map.size) >> __builtin_ctz(store->page_size));
}

/* used_pages - of the newest commit, and what the calling thread's own transaction has taken
 * since. */
static int used_pages(struct daxkv_store *store, uint64_t *pages)
{
	uint64_t used = load_relaxed(&store->share->used_pages);

	if (UNLIKELY(used == SHARE_NOT_COUNTED)) {
		int rc = pages_counted(store, &used);

		if (rc)
			return rc;
	}
	if (UNLIKELY(txn_writing(store)))
		used += (uint64_t)store->space.gained;
	*pages = pages_bounded(store, used);
	return 0;
}

/* usage_fill - with so many pages in use. */
static inline void usage_fill(const struct daxkv_store *store, uint64_t pages,
                              struct daxkv_usage *usage)
{
	*usage = (struct daxkv_usage){
	    .used_bytes = pages << __builtin_ctz(store->page_size),
	    .last_txn = load_acquire(&store->share->published),
	    .page_size = store->page_size,
	    .readers_peak = share_high(store->share),
	};
}

/* usage_far - the way that is always right. Not inlined: the common one calls nothing. */
static __attribute__((noinline)) int usage_far(struct daxkv_store *store, struct daxkv_usage *usage)
{
	uint64_t pages;
	int rc = txn_own(store);

	if (rc)
		return rc;
	if (store->external_lock)
		rc = commit_follow(store);
	if (rc)
		return rc;
	rc = used_pages(store, &pages);
	if (rc)
		return rc;
	usage_fill(store, pages, usage);
	return 0;
}

/* The cheap part of daxkv_info. Where nobody writes through this handle, and the pages are counted,
 * it is a few loads. */
int daxkv_usage(struct daxkv_store *store, struct daxkv_usage *usage)
{
	if (UNLIKELY(!store || !usage))
		return err_set(EINVAL, "a store is needed, and a place for what there is to know");
	if (UNLIKELY(txn_forked(store) || store->external_lock ||
	             load_relaxed(&store->writer_thread)))
		return usage_far(store, usage);
	uint64_t pages = load_relaxed(&store->share->used_pages);

	if (UNLIKELY(pages == SHARE_NOT_COUNTED))
		return usage_far(store, usage);
	usage_fill(store, pages_bounded(store, pages), usage);
	return 0;
}

/* info_lazy - what is not durable; a sync may end it meanwhile. */
static void info_lazy(const struct daxkv_store *store, struct daxkv_info *info)
{
	const struct share_interval *iv = &store->share->interval;

	info->synced_txn = commit_synced(store);
	if (!store_lazy(store))
		return;
	info->lazy_commits = load_relaxed(&iv->commits);
	info->lazy_bytes = load_relaxed(&iv->bytes);
	info->lazy_ms = (uint64_t)clock_ms() - load_relaxed(&iv->since_ms);
}

/* It asks the file for its length, and with an external lock for what others have committed. */
int daxkv_info(struct daxkv_store *store, struct daxkv_info *info)
{
	if (!store || !info)
		return err_set(EINVAL, "a store is needed, and a place for what there is to know");
	uint64_t file_size;
	uint64_t used;
	int rc = txn_own(store);

	if (rc)
		return rc;
	rc = map_file_size(&store->map, &file_size);
	if (rc)
		return rc;
	if (store->external_lock)
		rc = commit_follow(store);
	if (rc)
		return rc;
	rc = used_pages(store, &used);
	if (rc)
		return rc;
	*info = (struct daxkv_info){
	    .medium = store->map.medium,
	    .durability = map_durability(&store->map),
	    .format_version = FMT_VERSION,
	    .page_size = store->page_size,
	    .file_id = store->geometry.file_id,
	    .file_size = file_size,
	    .used_bytes = used * store->page_size,
	    .max_size = load_word(&store->map.cap),
	    .last_txn = load_acquire(&store->share->published),
	    .recovered = store->recovered,
	    .held_pages = load_relaxed(&store->space.limbo.pages),
	    .readers = share_active(store->share),
	    .max_readers = share_max_readers(store->share),
	    .readers_peak = share_high(store->share),
	    .read_only = store->read_only,
	    .private_recovery = store->map.private_copy,
	    .copy_on_write = map_copies(&store->map),
	};
	info_lazy(store, info);
	return 0;
}

/* Since this handle was opened, by this handle. */
void daxkv_counters(struct daxkv_store *store, struct daxkv_counters *c)
{
	if (!store || !c)
		return;
	*c = (struct daxkv_counters){
	    .commits = load_relaxed(&store->commits),
	    .fences = load_relaxed(&store->map.pm.fences),
	    .lines_flushed = load_relaxed(&store->map.pm.lines_flushed),
	    .lines_streamed = load_relaxed(&store->map.pm.lines_streamed),
	    .grows = load_relaxed(&store->space.grows),
	    .splits = load_relaxed(&store->wset.splits),
	    .compactions = load_relaxed(&store->wset.compactions),
	    .merges = load_relaxed(&store->wset.merges),
	};
}
