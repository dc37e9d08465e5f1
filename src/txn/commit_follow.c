/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit_follow.c - what other processes committed, or began to: known before one reads or writes.
 * See store.h
 *
 *   a writer begins     commit_take_over   another process wrote last: its size, its free space and
 *                                          its limbo are read anew. It died writing: recovery first
 *   a reader begins     commit_follow      with an external lock alone, where the share does not
 *                                          tell: the ring is asked whether there is a newer record
 *
 * What a process knows of the free space holds as of one commit (store->known). Anything that makes
 * this doubtful sets known to UINT64_MAX, which is no commit, and the next writer looks again. So a
 * take-over that fails half-way is repeated, by this process or the next.
 */
#include "base/cancel.h"
#include "base/err.h"
#include "redo/recover.h"
#include "txn/commit.h"
#include "txn/passive.h"
#include "txn/registry.h"
#include "txn/store.h"

#include <time.h>
#include <unistd.h>

#define FOLLOW_TRIES 10000u /* of a tenth of a millisecond */

/* lengths_agree - the mapping has what the file has: others may have made it longer, or shorter.
 * Never longer than the address space that was reserved: whole_open then maps the file
 * elsewhere. */
static int lengths_agree(struct daxkv_store *store)
{
	uint64_t length;
	int rc = map_file_size(&store->map, &length);

	if (rc)
		return rc;
	length = round_down(length, store->page_size);
	if (length < store->map.size) {
		map_cut(&store->map, length);
		return 0;
	}
	if (length > store->map.size) /* its growth may have been cut short */
		store->map.unsettled = true;
	return map_extend(&store->map, min_u64(length, store->map.reserve));
}

/* whole_open - the ring of the whole file, as far as others made it grow: recovery looks at all
 * that records name. By a mapping of its own where this process reserved too little address space.
 * whole_close ends it. *whole is without a base where none of its own was needed. */
static int whole_open(struct daxkv_store *store, struct map *whole, struct ring *ring)
{
	uint64_t length;
	int rc = lengths_agree(store);

	*ring = store->ring;
	*whole = (struct map){.fd = -1};
	if (rc)
		return rc;
	rc = map_file_size(&store->map, &length);
	if (rc)
		return rc;
	if (round_down(length, store->page_size) <= store->map.reserve)
		return 0;
	*whole = (struct map){
	    .fd = store->map.fd,
	    .rdonly = store->map.rdonly,
	    .path = store->map.path,
	};
	rc = map_attach(whole, round_down(length, store->page_size), 0, map_pmem(store->map.medium),
	                false);
	ring->map = whole;
	return rc;
}

/* whole_close - back to the store's own mapping; a failed fence is the store's. Safe on what
 * whole_open left half-way. */
static void whole_close(struct daxkv_store *store, struct map *whole)
{
	if (!whole->base)
		return;
	if (whole->pm.failed)
		store->map.pm.failed = whole->pm.failed;
	map_detach(whole);
}

/* recover_for - the writer died: its last record counts or does not, as after a crash, but readers
 * go on meanwhile. The writer's lock is held. Order: what readers and writers need to know comes
 * first, and published last, which makes it count. */
static int recover_for(struct daxkv_store *store)
{
	struct recover_result r = {0};
	struct map whole;
	struct ring ring;
	int rc = whole_open(store, &whole, &ring);

	if (!rc)
		rc = recover(&ring, &r);
	if (!rc)
		rc = commit_lazy_recover(store, ring.map, &r.txn);
	whole_close(store, &whole);
	if (rc)
		return rc;
	if (r.txn < store->share->published)
		rc = err_corrupt(store->ring.off,
		                 "ring: the newest valid record is %lu, but %lu was published",
		                 (unsigned long)r.txn, (unsigned long)store->share->published);
	if (rc)
		return rc;
	rc = share_limbo_cut(&store->share_file, r.txn);
	if (rc)
		return rc;
	if (r.replayed)
		map_touch(&store->map);
	store->known = UINT64_MAX;
	store->share->releasable = r.txn;
	store->share->size = load_word(&store_super(store)->size);
	store_relaxed(&store->share->used_pages, SHARE_NOT_COUNTED);
	store_seq_cst(&store->share->published, r.txn);
	return 0;
}

/* durable_found - up to which commit all words are durable in place, by what the store says itself:
 * the clean mark, or the record of the newest commit, last. On persistent memory those of the
 * commit before it are [R9], and so they are on a file when its record names fresh bytes: the fence
 * was a full one then. */
static uint64_t durable_found(const struct daxkv_store *store, uint64_t last)
{
	struct ring_record rec;
	uint64_t clean;

	(void)super_clean(map_super(&store->map), &clean);
	if (clean >= last)
		return last;
	if (store->map.medium != DAXKV_MEDIUM_FILE)
		return last - 1;
	if (!ring_read(&store->ring, (unsigned int)(last % FMT_RING_RECORDS), &rec))
		return clean;
	if (rec.txn != last)
		return clean;
	if (rec.nranges)
		return last - 1;
	return max_u64(clean, rec.durable_upto);
}

/* share_damaged - CORRUPT: the lock file names a newest commit that cannot be. */
static int share_damaged(const struct daxkv_store *store, uint64_t last)
{
	return err_set(DAXKV_CORRUPT,
	               "%s is damaged: %lu is not the store's newest commit; "
	               "the store is whole, when all have closed it",
	               store->lock.name, (unsigned long)last);
}

/* share_agrees - what the lock file says of the newest commit is what the store says. A lock file
 * with wrong numbers would let pages be used again that recovery needs [R3]. */
static int share_agrees(const struct daxkv_store *store, uint64_t last, uint64_t releasable)
{
	/* in a lazy interval, and behind a sync, what its own commits freed waits for readers only;
	 * a sync leaves the words of its own record at most */
	const bool synced = releasable == last && store->durable + 1 >= last;
	const bool lazy = store_lazy(store) || synced;
	uint64_t clean;

	(void)super_clean(map_super(&store->map), &clean);
	const bool there = load_word(ring_at(&store->ring, last)) == last || clean == last;

	if (store->share_file.fd < 0)
		return 0;
	if (there && load_word(ring_at(&store->ring, last + 1)) <= last &&
	    (lazy || releasable <= store->durable))
		return 0;
	return share_damaged(store, last);
}

/* spill_held - all pages with the record's words are in the limbo. Those that are lie in the file.
 */
static bool spill_held(const struct daxkv_store *store, const struct ring_record *rec)
{
	uint64_t off = rec->spill_off;

	for (uint64_t left = rec->spill_words; left;) {
		if (off % store->page_size ||
		    !limbo_has(&store->space.limbo, off, store->page_size))
			return false;
		const struct fmt_spill *s = map_at(&store->map, off);

		if (s->pairs == 0 || s->pairs > left)
			return false;
		left -= s->pairs;
		off = s->page.prev;
	}
	return true;
}

/* limbo_whole - the pages that recovery needs are in the limbo: those of the words of commits that
 * are neither durable in place nor releasable. One that has lost items would let them be taken
 * [R3]. */
static bool limbo_whole(const struct daxkv_store *store, uint64_t last)
{
	uint64_t from = max_u64(store->durable, store->space.releasable) + 1;

	if (store->share_file.fd < 0)
		return true;
	if (last > FMT_RING_RECORDS)
		from = max_u64(from, last - FMT_RING_RECORDS);
	for (uint64_t txn = from; txn <= last; txn++) {
		const unsigned int index = (unsigned int)(txn % FMT_RING_RECORDS);
		struct ring_record rec;

		if (!ring_is_spilled(ring_at(&store->ring, txn)))
			continue;
		if (ring_read(&store->ring, index, &rec) && rec.txn == txn &&
		    !spill_held(store, &rec))
			return false;
	}
	return true;
}

/* The writer's lock is held, and no transaction has begun. */
int commit_take_over_others(struct daxkv_store *store, bool died)
{
	uint64_t last;
	bool behind = commit_behind(store);
	int rc = 0;

	/* what was found clean when it was opened may be so in a cache only [R4] */
	if (died || !store->share->recovered)
		rc = recover_for(store);
	if (rc && store->map.pm.failed)
		store_seq_cst(&store->share->panic, (uint32_t)store->map.pm.failed);
	/* it stays to be done: another process may have the memory, or the descriptors, that were
	 * missing here */
	if (rc)
		return rc;
	store_relaxed(&store->share->recovered, 1);
	/* each is loaded once, so that no other number counts than the one that was looked at */
	last = load_relaxed(&store->share->published);
	const bool lazy = store_lazy(store);
	const uint64_t synced = lazy ? load_relaxed(&store->share->interval.synced) : last;
	const uint64_t releasable = load_relaxed(&store->share->releasable);
	const uint64_t size = load_relaxed(&store->share->size);

	store->durable = durable_found(store, synced);
	rc = share_agrees(store, synced, releasable);
	if (!rc && (last < synced || last == UINT64_MAX))
		rc = share_damaged(store, last);
	if (!rc && size > store->map.size)
		rc = map_extend(&store->map, size);
	else if (!rc && size < store->map.size) /* it may have been cut */
		rc = lengths_agree(store);
	/* all words are durable in place, as in a store that was just opened: nothing waits [R3] */
	if (!rc && behind)
		limbo_free(&store->space.limbo);
	if (!store_lazy(store))
		space_keep_end(&store->space);
	if (!rc)
		rc = space_reset(&store->space, load_word(&store_super(store)->size));
	if (!rc && !lazy)
		rc = passive_hold(store);
	if (!rc)
		rc = share_limbo_load(&store->share_file, &store->space.limbo);
	if (!rc && !limbo_sound(&store->space.limbo, last, store->page_size, store->space.end))
		rc = share_limbo_wild(&store->share_file);
	store->space.releasable = releasable;
	if (!rc && !lazy && !limbo_whole(store, last))
		rc = share_limbo_wild(&store->share_file);
	if (rc) {
		store->known = UINT64_MAX;
		return rc;
	}
	store->known = last;
	store_relaxed(&store->share->writer_pid, getpid());
	/* pairs with daxkv_writer_pid */
	store_release(&store->share->last_writer, store->share_file.owner);
	store->followed = false;
	/* what the store says itself may be further back than what its last writer knew */
	if (!lazy && last - store->durable >= COMMIT_LAG) /* [R2] */
		return commit_checkpoint(store);
	return 0;
}

/* newer - whether the file has a commit, or an attempt at one, that this store does not know. Its
 * record, or one that came after it, is in the place where the next is to be; or it was made
 * clean. Loads without a lock: a wrong answer is found out with the lock, or at the next begin. */
static bool newer(const struct daxkv_store *store)
{
	const struct fmt_super *super = map_super(&store->map);
	uint64_t last = load_relaxed(&store->share->published);
	uint64_t clean;

	if (load_word(ring_at(&store->ring, last + 1)) > last)
		return true;
	(void)super_clean(super, &clean);
	return clean > last;
}

/* Only with an external lock: else the share tells. followed: read transactions have caught up with
 * the file, but the writer's own memory has not. */
bool commit_behind(const struct daxkv_store *store)
{
	if (!store->external_lock)
		return false;
	return store->followed || newer(store);
}

/* follow_commits - the newest commit of the file becomes what readers of this process see. The
 * writer's lock of this process is held; the program's own lock keeps others out. */
static int follow_commits(struct daxkv_store *store)
{
	assert(store->external_lock);
	const struct fmt_super *super = map_super(&store->map);
	uint64_t txn = 0;
	uint64_t size;
	struct map whole;
	struct ring ring;
	bool in_place = true;
	int rc = whole_open(store, &whole, &ring);

	if (!rc)
		rc = recover_in_place(&ring, &in_place, &txn);
	whole_close(store, &whole);
	if (rc)
		return rc;
	if (!in_place) {
		if (store->read_only)
			return err_set(
			    DAXKV_BUSY,
			    "another process died in its commit: a writer has to put it right");
		return commit_take_over(store, true);
	}
	size = load_word(&super->size);
	if (size > store->map.reserve)
		return err_set(DAXKV_FULL,
		               "the store has grown to %lu bytes; this process opened it with a "
		               "maximum of %lu",
		               (unsigned long)size, (unsigned long)store->map.reserve);
	if (size > store->map.size)
		return err_corrupt(offsetof(struct fmt_super, size),
		                   "truncated: the store uses %lu bytes, the file has %lu",
		                   (unsigned long)size, (unsigned long)store->map.size);
	store->followed = true;
	store_release(&store->share->size, size);
	store_relaxed(&store->share->used_pages, SHARE_NOT_COUNTED);
	store_seq_cst(&store->share->published, txn);
	return 0;
}

/* follow_copy - somebody has opened the store for writing, so that the filesystem has made a copy
 * of the file: that is the store now. Readers of the old mapping keep it: their pages do not
 * change. */
static int follow_copy(struct daxkv_store *store)
{
	int rc = 0;

	pthread_mutex_lock(&store->reader_mutex);
	if (store->copied)
		rc = map_follow_copy(&store->map);
	if (!rc && store->lock.data_fd >= 0) /* the descriptor is another one by that number */
		rc = lock_data(&store->lock, store->path, store->map.fd, true);
	/* with an external lock nothing tells of writers: each read looks anew */
	if (!rc && !store->external_lock)
		store_relaxed(&store->copied, false);
	pthread_mutex_unlock(&store->reader_mutex);
	return rc;
}

/* Short waits: another thread of this process follows, or begins to write. It gives up after about
 * a second. */
int commit_follow(struct daxkv_store *store)
{
	const struct timespec pause = {.tv_nsec = 100000};

	if (load_relaxed(&store->copied) &&
	    (store->external_lock || load_acquire(&store->share->writable))) {
		int rc = follow_copy(store);

		if (rc)
			return rc;
	}
	if (!store->external_lock)
		return 0;
	for (unsigned int tries = 0; newer(store); tries++) {
		/* pairs with begin_write: who writes here is at the front */
		if (registry_writing(store))
			return 0;
		if (load_acquire(&store->writer))
			return 0;
		if (wlock_try(&store->share->writer, store->share_file.owner)) {
			int rc = 0;

			if (newer(store))
				rc = follow_commits(store);
			wlock_give(&store->share->writer);
			return rc;
		}
		if (tries == FOLLOW_TRIES)
			return err_set(
			    DAXKV_BUSY,
			    "another thread has been catching up with the file for a second");
		const int cancel = cancel_off();

		nanosleep(&pause, NULL); /* another thread follows, or begins to write */
		cancel_restore(cancel);
	}
	return 0;
}
