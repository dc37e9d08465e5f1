/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open.c - opening a store. See daxkv.h and store.h
 *
 *   1 the lock file: opened, or made; others that open or close meanwhile wait
 *   2 the data file: opened, or made
 *   3 attach: mapped; recovery, when nobody else uses it and it is not clean
 *   4 the share: joined, or made
 *   5 for a writer: free space, scratch memory
 *   6 the open lock is given up: from here on others may open it
 *
 * Each part of the handle is safe to close before it was opened, so one function undoes all of it
 * (store_free), wherever opening failed. A file that was made by a failed open is removed again.
 * Closing is in open_close.c.
 */
#include "api/open.h"
#include "api/compact.h"

#include "api/check_store.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/fds.h"
#include "check/check.h"
#include "media/path.h"
#include "redo/recover.h"
#include "txn/commit.h"
#include "txn/dbi.h"
#include "txn/passive.h"
#include "txn/reader_limit.h"
#include "txn/registry.h"
#include "txn/store.h"
#include "txn/txn.h"
#include "txn/txn_check.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define PAGE_DEFAULT 4096u
#define SIZE_UNIT    ((uint64_t)64 << 10) /* of a new store */
/* free pages that a new store has at least: one put must be possible, and one more */
#define ROOM_LEAST      2u
#define READERS_DEFAULT 4096u
#define READERS_MAX     (1u << 20)
#define DBS_DEFAULT     1024u
#define MODE_DEFAULT    0664u
#define KEY_MAX         8191u
#define PASSIVE_COST    16u /* of asking for passive readers, in entries looked at */
#define OPEN_FLAGS                                                                                 \
	(DAXKV_CREATE | DAXKV_EXCLUSIVE | DAXKV_READ_ONLY | DAXKV_NO_LOCK | DAXKV_EXTERNAL_LOCK |  \
	 DAXKV_NO_FILE_LOCK | DAXKV_RESERVE_MAX | DAXKV_POPULATE | DAXKV_GROUP_COMMIT)

/* ---- opening --------------------------------------------------------------------------------- */

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
	if (o->max_readers > READERS_MAX)
		return err_set(EINVAL, "%u read transactions at once: at most %u are possible",
		               o->max_readers, READERS_MAX);
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
	if ((unsigned int)o->pmem > DAXKV_PMEM_FORCE)
		return err_set(EINVAL, "unknown pmem mode %d", (int)o->pmem);
	if (o->max_size && o->initial_size > o->max_size)
		return err_set(EINVAL,
		               "the initial size of %lu bytes is above the maximum size of %lu",
		               (unsigned long)o->initial_size, (unsigned long)o->max_size);
	return 0;
}

/* size_of_new - a multiple of unit when it may be, else of the page size: what was asked for, or
 * little. 0: the maximum is too small. All are bytes; unit is a multiple of the page size. */
static uint64_t size_of_new(const struct daxkv_options *o, uint32_t page_size, uint64_t unit)
{
	const uint64_t least = super_min_size(page_size) + ROOM_LEAST * page_size;
	uint64_t size = round_up(max_u64(o->initial_size, least), unit);

	if (o->max_size && size > o->max_size)
		size = round_down(o->max_size, page_size);
	if (size < least)
		return 0;
	return size;
}

/* create_file - a new store, whole and durable, in the place of nothing or of an empty file.
 * EINVAL, EFBIG for sizes that cannot be; errno. After an error no file is left that was not
 * there. */
static int create_file(struct daxkv_store *store, const char *path, const struct daxkv_options *o)
{
	struct super_new new = {.page_size = o->page_size ? o->page_size : PAGE_DEFAULT,
	                        .initial = o->initial_size};

	/* Pages of less than 4096 bytes are for tests, which want room. */
	new.size = size_of_new(o, new.page_size,
	                       new.page_size < FMT_SUPER_SIZE ? MAP_STEP
	                                                      : max_u64(SIZE_UNIT, new.page_size));
	if (!new.size)
		return err_set(
		    EINVAL, "a maximum size of %lu bytes: a store with pages of %u needs %lu",
		    (unsigned long)o->max_size, new.page_size,
		    (unsigned long)(super_min_size(new.page_size) + ROOM_LEAST * new.page_size));
	if (new.size > super_max_bytes(new.page_size))
		return err_set(
		    EFBIG, "an initial size of %lu bytes: with pages of %u a store has at most %lu",
		    (unsigned long)new.size, new.page_size,
		    (unsigned long)super_max_bytes(new.page_size));
	new.user_version = o->user_version;
	new.created = (uint64_t)time(NULL);
	if (getrandom(&new.file_id, sizeof new.file_id, 0) != sizeof new.file_id)
		return err_sys(errno, "random bytes for the new store's id");
	return map_create_file(&store->map, path, o->mode ? o->mode : MODE_DEFAULT, &new.size,
	                       size_of_new(o, new.page_size, MAP_STEP), super_fill, &new);
}

/* open_file - open the file, or create it when it is missing (*made) or empty and that was asked
 * for. A file that somebody made meanwhile is opened. */
static int open_file(struct daxkv_store *store, const char *path, const struct daxkv_options *o,
                     bool *made)
{
	bool create = o->flags & DAXKV_CREATE;
	uint64_t size = 0;
	int rc = map_open_file(&store->map, path, o->flags & DAXKV_READ_ONLY);

	if (rc == ENOENT && create) {
		rc = create_file(store, path, o);
		*made = !rc;
		return rc;
	}
	if (rc)
		return rc;
	rc = map_file_size(&store->map, &size);
	if (rc)
		return rc;
	if (create && o->flags & DAXKV_EXCLUSIVE)
		return err_sys(EEXIST, "%s", path);
	if (!create || size)
		return 0;
	fds_close(&store->map.fd);
	return create_file(store, path, o);
}

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
	if (rc)
		return rc;
	if (o->flags & DAXKV_POPULATE)
		map_populate(&store->map);
	return rc;
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

/* attach - map the file and bring it to its newest transaction. *txn: the newest commit. Those who
 * join find it in the share, and recover nothing. INCOMPATIBLE for another page size than was asked
 * for; VERSION, FOREIGN, CORRUPT as of super_read. */
static int attach(struct daxkv_store *store, const struct daxkv_options *o, uint64_t *txn)
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

/* join - agree with the store's other users. The open lock is held. Two users with different ideas
 * of the medium would flush differently, so the later one follows, or is refused. The file is
 * mapped once more with that medium. INCOMPATIBLE; errors of attach_map. */
static int join(struct daxkv_store *store, const struct daxkv_options *o)
{
	assert(store->joined);
	assert(store->share);
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

/* group_pays - on persistent memory, and in memory, a fence costs less than to wake a thread.
 * Without a lock file a write transaction may go from thread to thread, which may not wait for each
 * other. Then each commit is its own. */
static bool group_pays(const struct daxkv_store *store)
{
	struct statfs fs;

	if (store->nolock)
		return false;
	if (store->map.medium != DAXKV_MEDIUM_FILE)
		return false;
	if (fstatfs(store->map.fd, &fs) != 0)
		return false;
	return (uint32_t)fs.f_type != TMPFS_MAGIC;
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
		rc = join(store, o);
	if (rc)
		return rc;
	if (!store->joined || store->lock.passive) {
		store->share->medium = (uint32_t)store->map.medium;
		store->share->durable = commit_synced(store);
		store->share->releasable = txn;
		store->share->size = load_word(&store_super(store)->size);
	}
	store->copied = !store->share->writable && map_on_layers(&store->map);
	store->follows = store->external_lock || store->copied;
	store->share->writable |= !store->read_only;
	/* else the first who writes does it: reading needs no flush */
	store->share->recovered |= store->made_sure;
	store->map.committed = &store->share->size;
	store->lock.writer = &store->writer_thread;
	lazy_options(store, o);
	store->group.on = o->flags & DAXKV_GROUP_COMMIT && group_pays(store);
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

/* size_check - the file has what its size word says. A shorter file would fault when it is read.
 * CORRUPT. */
static int size_check(struct daxkv_store *store)
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

/* oldest_reader - for space: no reader of any process is older. Passive ones are asked for last,
 * because they cost two system calls. The writer's lock is held. Limbo items that are younger than
 * all readers of the share cannot go anyway, so then nobody else is asked. */
static uint64_t oldest_reader(void *arg)
{
	struct daxkv_store *store = arg;
	uint64_t looked = store->oldest.looked;
	uint64_t oldest = share_oldest(store->share, &store->oldest);

	store->space.scanned += store->oldest.looked - looked;
	if (store->share_file.fd < 0)
		return oldest;
	if (limbo_oldest(&store->space.limbo) > oldest)
		return oldest;
	store->space.scanned += PASSIVE_COST;
	return passive_oldest(store, oldest);
}

/* reap - for space: entries of dead readers hold pages back. */
static void reap(void *arg)
{
	(void)daxkv_readers_reap(arg);
}

/* released - for space: so many items of the limbo are free, in the lock file, too. A process that
 * takes the store over reads the limbo there. */
static void released(void *arg, uint64_t items)
{
	share_limbo_drop(&((struct daxkv_store *)arg)->share_file, items);
}

/* checkpoint - for space: makes pages releasable that only recovery still needs [R3]. */
static int checkpoint(void *arg)
{
	struct daxkv_store *store = arg;

	return commit_lazy_space(store);
}

/* open_writer - the memory of the one writer, and the free space as of that commit. A user that
 * joined looks at it when it writes first. */
static int open_writer(struct daxkv_store *store, uint64_t txn)
{
	assert(!store->read_only);
	assert(store->share);
	const struct fmt_super *super = store_super(store);
	int rc = space_open(&store->space, &store->map, store->page_size, load_word(&super->size));

	store->space.oldest_reader = oldest_reader;
	store->space.checkpoint = checkpoint;
	store->space.arg = store;
	store->space.reap = reap;
	store->space.reader_limit = reader_limit_apply;
	store->space.released = released;
	store->space.releasable = txn;
	if (store->joined || store->left)
		store->known = UINT64_MAX;
	else
		store->known = txn;
	if (rc)
		return rc;
	rc = passive_hold(store);
	if (rc)
		return rc;
	rc = wset_open(&store->wset, &store->map, &store->space, store->page_size);
	if (rc)
		return rc;
	rc = tree_scratch_open(&store->scratch, store->page_size);
	store->writer_view = (struct view){
	    .map = &store->map,
	    .base = store->map.base,
	    .psize = store->page_size,
	    .w = &store->wset,
	};
	return rc;
}

/* store_start - what an open file needs to be used. In this order: each part uses those before it.
 */
static int store_start(struct daxkv_store *store, const struct daxkv_options *o)
{
	assert(store->map.fd >= 0);
	assert(store->alive);
	uint64_t txn = 0;
	int rc = attach(store, o, &txn);

	if (rc)
		return rc;
	rc = share_open(store, o, txn);
	if (rc)
		return rc;
	rc = size_check(store);
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

/* local_check - a network filesystem's mappings and locks do not reach other machines in the way
 * that a store needs. EOPNOTSUPP. Without a lock file it is for the caller to know. */
static int local_check(const struct daxkv_store *store)
{
	static const uint32_t remote[] = {
	    0x6969 /* NFS */,        0x517b /* SMB */,       0xff534d42 /* CIFS */,
	    0xfe534d42 /* SMB 2 */,  0x00c36400 /* Ceph */,  0x5346414f /* AFS */,
	    0x73757245 /* Coda */,   0x7461636f /* OCFS2 */, 0x01161970 /* GFS2 */,
	    0x0bd00bd0 /* Lustre */, 0x47504653 /* GPFS */,  0x19830326 /* BeeGFS */,
	};
	struct statfs fs;

	if (store->lock.fd < 0)
		return 0;
	if (fstatfs(store->map.fd, &fs) != 0)
		return 0;
	for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
		if ((uint32_t)fs.f_type == remote[i])
			return err_set(EOPNOTSUPP, "%s: on a network filesystem (type 0x%x)",
			               store->path, remote[i]);
	return 0;
}

/* store_open_locked - from the lock file to the end of opening; what it made is removed when it
 * fails. The open lock is held from the first step on, so nobody sees a store that is half made. */
static int store_open_locked(struct daxkv_store *store, const char *path,
                             const struct daxkv_options *o)
{
	struct open_look look = {.path = path, .flags = o->flags};
	const struct lock_for file = {
	    .mode = o->mode ? o->mode : MODE_DEFAULT,
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
		rc = local_check(store);
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
	rc = path_follow(path, &store->path);
	if (!rc)
		rc = registry_add(store);
	if (!rc)
		rc = store_open_locked(store, store->path, o);
	/* what processes that died left is made durable before anybody builds on it */
	if (!rc && store->left && !store->read_only)
		rc = txn_sync(store);
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
