/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open_attach.c - opening, step 3: the file is mapped and comes to its newest commit. See open.c
 *
 * Who is alone recovers, before anybody else can look. Who joins recovers nothing: those who have
 * the store open know what its newest commit is, and the share says it. Between these two are users
 * that may not write the file, or that are not told what others do:
 *
 *   alone, may write            recovers in the file
 *   alone, read-only            reads the file as it is where recovery would change nothing that a
 *                               reader sees; else it recovers in a private copy of the pages
 *   passive (no lock file)      the same, because a writer may come at any time
 *   external lock               recovers only what a reader would miss: the program orders the rest
 *   joined                      maps with the medium of the others, and recovers nothing
 *
 * The page size, and which features the file has, are known from the superblock before anything is
 * mapped; that the file is long enough is checked when its newest commit is known.
 */
#include "api/check_store.h"
#include "api/open.h"
#include "base/err.h"
#include "redo/recover.h"
#include "txn/registry.h"

#include <errno.h>
#include <unistd.h>

/* attach_map - map the file. With ROOM as much address space as can be had is reserved, so that the
 * maximum size can be raised. */
static int attach_map(struct daxkv_store *store, const struct daxkv_options *o, uint64_t size,
                      enum daxkv_pmem pmem)
{
	assert(store->map.fd >= 0);
	uint64_t max = o->max_size ? max_u64(o->max_size, size) : 0;
	bool room = o->flags & DAXKV_RESERVE_MAX && max;
	int rc = map_attach(&store->map, size, room ? 0 : max, pmem, false);

	if (rc)
		return rc;
	if (room && store->map.reserve < max) {
		map_detach(&store->map);
		rc = map_attach(&store->map, size, max, pmem, false);
	}
	if (rc)
		return rc;
	if (room)
		store->map.cap = max;
	if (o->flags & DAXKV_POPULATE)
		map_populate(&store->map);
	return 0;
}

/* bring_up - the mapped file comes to its newest commit, *txn. Nobody else uses the store, or what
 * others do is ordered by an external lock. size: of the file. After an error the file is as a
 * crash would leave it, and the next open recovers it. */
static int bring_up(struct daxkv_store *store, const struct daxkv_options *o, uint64_t size,
                    uint64_t *txn)
{
	struct recover_result r = {0};
	bool needed = false;
	bool in_place = false;
	int rc = recover_needed(&store->ring, &needed, txn);

	if (rc)
		return rc;
	if (store->external_lock) {
		rc = recover_in_place(&store->ring, &in_place, txn);
		/* nothing that a reader would miss; a writer makes sure of the rest when it is its
		 * turn */
		if (rc)
			return rc;
		if (in_place)
			return 0;
		store->external_lock = !store->read_only; /* a private copy follows nobody */
	}
	if (needed && store->lock.passive) {
		rc = recover_in_place(&store->ring, &in_place, txn);
		if (rc)
			return rc;
		needed = !in_place;
	}
	if (needed && store->read_only) {
		rc = lazy_in_place(store, *txn, &in_place);
		if (rc)
			return rc;
		needed = !in_place;
	}
	if (!needed)
		return 0;
	if (store->read_only) {
		/* Not to be written: recover a private copy, and keep writers away from what it was
		 * taken from. */
		rc = lock_show_unclean(&store->lock);
		map_detach(&store->map);
		if (rc)
			return rc;
		rc = map_attach(&store->map, size, 0, o->pmem, true);
		if (rc)
			return rc;
	}
	rc = recover(&store->ring, &r);
	if (rc)
		return rc;
	if (!store->map.private_copy)
		map_touch(&store->map);
	store->made_sure = !store->read_only;
	store->recovered = r.replayed;
	return 0;
}

/* bytes_used - what the size word says, before the file is mapped: the newest record may say more,
 * and a size that cannot be is found when the store is up. 0 or errno. */
static int bytes_used(const struct daxkv_store *store, uint64_t *size)
{
	const ssize_t n =
	    pread(store->map.fd, size, sizeof *size, (off_t)offsetof(struct fmt_super, size));

	if (n < 0)
		return err_sys(errno, "%s", store->path);
	if (n < (ssize_t)sizeof *size)
		*size = 0;
	return 0;
}

int open_attach(struct daxkv_store *store, const struct daxkv_options *o, uint64_t *txn)
{
	assert(store->map.fd >= 0);
	uint64_t file_size;
	uint64_t size;
	int rc = map_file_size(&store->map, &file_size);

	if (rc)
		return rc;
	rc = super_read(store->map.fd, file_size, &store->geometry);
	if (rc)
		return rc;
	store->page_size = store->geometry.page_size;
	if (o->page_size && o->page_size != store->page_size)
		return err_set(DAXKV_INCOMPATIBLE, "the store has pages of %u bytes, not %u",
		               store->page_size, o->page_size);
	if (store->geometry.rocompat && !store->read_only)
		return err_set(
		    DAXKV_VERSION,
		    "the store uses features that this library can only read: open it read-only");
	size = round_down(file_size, store->page_size);
	store->map.guard = o->max_age_ms || o->max_lag;
	store->map.room = registry_room();
	if (!store->external_lock)
		rc = bytes_used(store, &store->map.own);
	if (rc)
		return rc;
	rc = attach_map(store, o, size, o->pmem);
	store_relaxed(&store->reserved, store->map.reserve);
	store->ring = (struct ring){
	    .map = &store->map,
	    .file_id = store->geometry.file_id,
	    .off = store->geometry.ring_off,
	};
	if (rc)
		return rc;
	if (store->joined)
		return 0;
	if (store->read_only && !store->external_lock)
		rc = store_stamp(store, &store->stamp);
	if (rc)
		return rc;
	return bring_up(store, o, size, txn);
}

/* Two users with different ideas of the medium would flush differently, so the later one follows,
 * or is refused. The file is mapped once more with that medium. */
int open_join(struct daxkv_store *store, const struct daxkv_options *o)
{
	assert(store->joined);
	assert(store->share);
	const int rc = share_file_same(&store->share_file, store->map.fd);

	if (rc)
		return rc;
	/* nobody can have written yet */
	if (!store->read_only && !store->share->writable)
		store->share->medium = (uint32_t)store->map.medium;
	if (store->read_only)
		return 0;
	if (store->share->medium == (uint32_t)store->map.medium)
		return 0;
	if (o->pmem != DAXKV_PMEM_AUTO)
		return err_set(DAXKV_INCOMPATIBLE,
		               "other processes use the store with another pmem mode");
	uint64_t size = store->map.size;

	map_detach(&store->map);
	return attach_map(store, o, size, map_pmem((enum daxkv_medium)store->share->medium));
}

int open_size_check(struct daxkv_store *store)
{
	assert(store->page_size > 0);
	const struct fmt_super *super = store_super(store);
	uint64_t size = load_word(&super->size);

	if (store->joined && size > store->map.size) { /* grown since it was mapped */
		int rc = map_extend(&store->map, size);

		if (rc)
			return rc;
	}

	if (size > store->map.size)
		return err_corrupt(offsetof(struct fmt_super, size),
		                   "truncated: the store uses %lu bytes, the file has %lu",
		                   (unsigned long)size, (unsigned long)store->map.size);
	if (size % store->page_size || size < super_min_size(store->page_size))
		return err_corrupt(offsetof(struct fmt_super, size),
		                   "superblock: a size of %lu bytes", (unsigned long)size);
	if (store->read_only || store->lock.passive)
		return 0;
	return map_grow(&store->map, size); /* a record that was replayed said more, perhaps */
}
