/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit_follow.c - what other processes committed, or began to: known before one reads or writes. See store.h
 */
#include "base/cancel.h"
#include "base/err.h"
#include "redo/recover.h"
#include "txn/commit.h"
#include "txn/store.h"
#include "txn/stores.h"

#include <time.h>
#include <unistd.h>

#define FOLLOW_TRIES 10000u /* of a tenth of a millisecond */

/* lengths_agree - the mapping has what the file has: with turns others may have made it longer, or shorter. */
static int lengths_agree(struct daxkv_store *kv)
{
	uint64_t length;
	int rc = map_file_size(&kv->map, &length);

	if (rc)
		return rc;
	length = round_down(length, kv->page_size);
	if (kv->turns && length < kv->map.size) {
		map_cut(&kv->map, length);
		return 0;
	}
	return map_extend(&kv->map, min_u64(length, kv->map.reserve));
}

/* whole_open - the ring of the whole file, as far as others made it grow: recovery looks at all that records name. By a
 * mapping of its own where this process reserved too little address space. whole_close ends it. */
static int whole_open(struct daxkv_store *kv, struct map *whole, struct ring *ring)
{
	uint64_t length;
	int rc = lengths_agree(kv);

	*ring = kv->ring;
	*whole = (struct map){.fd = -1};
	if (!rc)
		rc = map_file_size(&kv->map, &length);
	if (rc || round_down(length, kv->page_size) <= kv->map.reserve)
		return rc;
	*whole = (struct map){.fd = kv->map.fd, .rdonly = kv->map.rdonly, .path = kv->map.path};
	rc = map_attach(whole, round_down(length, kv->page_size), 0, map_pmem(kv->map.medium), false);
	ring->map = whole;
	return rc;
}

static void whole_close(struct daxkv_store *kv, struct map *whole)
{
	if (!whole->base)
		return;
	if (whole->pm.failed)
		kv->map.pm.failed = whole->pm.failed;
	map_detach(whole);
}

/* recover_for - the writer died: its last record counts or does not, as after a crash, but readers go on meanwhile. */
static int recover_for(struct daxkv_store *kv)
{
	struct recover_result r;
	struct map whole;
	struct ring ring;
	int rc = whole_open(kv, &whole, &ring);

	if (!rc)
		rc = recover(&ring, &r);
	whole_close(kv, &whole);
	if (!rc && r.txn < kv->share->published)
		rc = err_corrupt(kv->ring.off, "ring: the newest valid record is %lu, but %lu was published", (unsigned long)r.txn,
		                 (unsigned long)kv->share->published);
	if (!rc)
		rc = share_limbo_cut(&kv->share_file, r.txn);
	if (rc)
		return rc;
	if (r.replayed)
		map_touch(&kv->map);
	kv->known = UINT64_MAX;
	kv->share->durable = kv->share->releasable = r.txn;
	kv->share->size = load_word(&((const struct fmt_super *)(const void *)kv->map.base)->size);
	__atomic_store_n(&kv->share->published, r.txn, __ATOMIC_SEQ_CST);
	return 0;
}

/* share_agrees - what the lock file says of the newest commit is what the store says. */
static int share_agrees(const struct daxkv_store *kv, uint64_t last)
{
	const uint64_t durable = kv->share->durable, releasable = kv->share->releasable;
	uint64_t clean;

	(void)super_clean((const void *)kv->map.base, &clean);
	const bool there = load_word(ring_slot(&kv->ring, last)) == last || clean == last;

	if (kv->share_file.fd < 0 ||
	    (there && load_word(ring_slot(&kv->ring, last + 1)) <= last && durable <= last &&
	     durable + 1 >= last && releasable <= durable))
		return 0;
	return err_set(DAXKV_CORRUPT,
	               "%s is damaged: %lu is not the store's newest commit; "
	               "the store is whole, when all have closed it",
	               kv->lock.name, (unsigned long)last);
}

int commit_take_over(struct daxkv_store *kv, bool died)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	uint64_t last = __atomic_load_n(&kv->share->published, __ATOMIC_RELAXED);
	int rc = 0;

	if (!died && kv->known == last && kv->share->last_writer == kv->share_file.owner)
		return 0;
	bool behind = commit_behind(kv);

	if (died || !kv->share->recovered) /* what was found clean when it was opened may be so in a cache only [R4] */
		rc = recover_for(kv);
	if (rc && kv->map.pm.failed)
		__atomic_store_n(&kv->share->poison, (uint32_t)kv->map.pm.failed, __ATOMIC_SEQ_CST);
	if (rc) /* it stays to be done: another process may have the memory, or the descriptors, that were missing here */
		return rc;
	kv->share->recovered = 1;
	last = __atomic_load_n(&kv->share->published, __ATOMIC_RELAXED);
	rc = share_agrees(kv, last);
	if (!rc && kv->share->size > kv->map.size)
		rc = map_extend(&kv->map, kv->share->size);
	if (!rc && behind) /* all words are durable in place, as in a store that was just opened: nothing waits [R3] */
		limbo_free(&kv->space.limbo);
	if (!rc)
		rc = space_reset(&kv->space, load_word(&super->size));
	if (!rc)
		rc = share_limbo_load(&kv->share_file, &kv->space.limbo);
	if (!rc && !limbo_sound(&kv->space.limbo, last, kv->page_size, kv->space.end))
		rc = share_limbo_wild(&kv->share_file);
	if (rc) {
		kv->known = UINT64_MAX;
		return rc;
	}
	kv->space.releasable = kv->share->releasable;
	kv->known = last;
	__atomic_store_n(&kv->share->writer_pid, getpid(), __ATOMIC_RELAXED);
	__atomic_store_n(&kv->share->last_writer, kv->share_file.owner, __ATOMIC_RELEASE); /* pairs with daxkv_writer_pid */
	kv->followed = false;
	return 0;
}

/* newer - whether the file has a commit, or an attempt at one, that this store does not know. Its record, or one that came after it, is in the slot where the
 * next is to be; or it was made clean. */
static bool newer(const struct daxkv_store *kv)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	uint64_t last = __atomic_load_n(&kv->share->published, __ATOMIC_RELAXED), clean;

	if (load_word(ring_slot(&kv->ring, last + 1)) > last)
		return true;
	(void)super_clean(super, &clean);
	return clean > last;
}

bool commit_behind(const struct daxkv_store *kv)
{
	return kv->turns && (kv->followed || newer(kv));
}

/* follow - the writer's lock is held. */
static int follow(struct daxkv_store *kv)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	uint64_t txn = 0, size;
	struct map whole;
	struct ring ring;
	bool in_place = true;
	int rc = whole_open(kv, &whole, &ring);

	if (!rc)
		rc = recover_in_place(&ring, &in_place, &txn);
	whole_close(kv, &whole);
	if (rc)
		return rc;
	if (!in_place)
		return kv->read_only ? err_set(DAXKV_BUSY, "another process died in its commit: a writer has to put it right") : commit_take_over(kv, true);
	size = load_word(&super->size);
	if (size > kv->map.reserve)
		return err_set(DAXKV_FULL, "the store has grown to %lu bytes; this process opened it with a maximum of %lu", (unsigned long)size,
		               (unsigned long)kv->map.reserve);
	if (size > kv->map.size)
		return err_corrupt(offsetof(struct fmt_super, size), "truncated: the store uses %lu bytes, the file has %lu", (unsigned long)size,
		                   (unsigned long)kv->map.size);
	kv->followed = true;
	__atomic_store_n(&kv->share->size, size, __ATOMIC_RELEASE);
	__atomic_store_n(&kv->share->published, txn, __ATOMIC_SEQ_CST);
	return 0;
}

/* follow_copy - somebody has opened the store for writing, so that the filesystem has made a copy of the file: that is the store now. */
static int follow_copy(struct daxkv_store *kv)
{
	int rc = 0;

	pthread_mutex_lock(&kv->slot_mutex);
	if (kv->copied)
		rc = map_follow_copy(&kv->map);
	if (!rc && kv->lock.data_fd >= 0) /* the descriptor is another one by that number */
		rc = lock_data(&kv->lock, kv->map.fd, true);
	if (!rc && !kv->turns) /* with turns nothing tells of writers: each read looks anew */
		__atomic_store_n(&kv->copied, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&kv->slot_mutex);
	return rc;
}

int commit_follow(struct daxkv_store *kv)
{
	const struct timespec pause = {.tv_nsec = 100000};

	if (__atomic_load_n(&kv->copied, __ATOMIC_RELAXED) && (kv->turns || __atomic_load_n(&kv->share->writable, __ATOMIC_ACQUIRE))) {
		int rc = follow_copy(kv);

		if (rc)
			return rc;
	}
	if (!kv->turns)
		return 0;
	for (unsigned int tries = 0; newer(kv); tries++) {
		if (stores_writing(kv) || __atomic_load_n(&kv->writer, __ATOMIC_ACQUIRE)) /* pairs with begin_write: who writes here is at the front */
			return 0;
		if (wlock_try(&kv->share->writer, kv->share_file.owner)) {
			int rc = newer(kv) ? follow(kv) : 0;

			wlock_give(&kv->share->writer);
			return rc;
		}
		if (tries == FOLLOW_TRIES)
			return err_set(DAXKV_BUSY, "another thread has been catching up with the file for a second");
		const int cancel = cancel_off();

		nanosleep(&pause, NULL); /* another thread follows, or begins to write */
		cancel_restore(cancel);
	}
	return 0;
}
