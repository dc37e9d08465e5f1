/* SPDX-License-Identifier: BSD-3-Clause */
/* open.c - opening and closing a store. See daxkv.h and kv.h */
#include "api/open.h"

#include "api/check_store.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/forks.h"
#include "check/check.h"
#include "media/path.h"
#include "redo/recover.h"
#include "txn/commit.h"
#include "txn/dbi.h"
#include "txn/silent.h"
#include "txn/slow.h"
#include "txn/store.h"
#include "txn/stores.h"
#include "txn/txn.h"
#include "txn/txn_check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define PAGE_DEFAULT    4096u
#define SIZE_UNIT       ((uint64_t)64 << 10) /* of a new store */
#define ROOM_LEAST      2u                   /* free pages that a new store has at least: one put must be possible, and one more */
#define READERS_DEFAULT 4096u
#define READERS_MAX     (1u << 20)
#define DBS_DEFAULT     1024u
#define MODE_DEFAULT    0664u
#define KEY_MAX         8191u
#define SILENT_COST     16u /* of asking for silent readers, in slots looked at */
#define OPEN_FLAGS \
	(DAXKV_CREATE | DAXKV_EXCLUSIVE | DAXKV_READ_ONLY | DAXKV_NO_LOCK | DAXKV_EXTERNAL_LOCK | DAXKV_NO_FILE_LOCK | DAXKV_RESERVE_MAX | DAXKV_POPULATE)

/* ---- opening -------------------------------------------------------------------------------------------------------------- */

static int options_check(const char *path, const struct daxkv_options *o)
{
	if (!path || !*path)
		return err_set(EINVAL, "no path was given");
	if (o->flags & ~(unsigned int)OPEN_FLAGS)
		return err_set(EINVAL, "unknown flags 0x%x for open", o->flags & ~(unsigned int)OPEN_FLAGS);
	if (o->flags & DAXKV_EXTERNAL_LOCK && !(o->flags & DAXKV_NO_LOCK))
		return err_set(EINVAL, "who has a lock file need not take turns");
	if (o->flags & DAXKV_READ_ONLY && o->flags & (DAXKV_CREATE | DAXKV_EXCLUSIVE))
		return err_set(EINVAL, "a store cannot be created read-only");
	if (o->page_size && (o->page_size < FMT_PAGE_MIN || o->page_size > FMT_PAGE_MAX || o->page_size & (o->page_size - 1)))
		return err_set(EINVAL, "page size %u: 4096, 8192, 16384 and 32768 are possible", o->page_size);
	if (o->max_readers > READERS_MAX)
		return err_set(EINVAL, "%u read transactions at once: at most %u are possible", o->max_readers, READERS_MAX);
	if (o->initial_size > INT64_MAX / 2)
		return err_set(EFBIG, "an initial size of %lu bytes", (unsigned long)o->initial_size);
	if ((unsigned int)o->pmem > DAXKV_PMEM_FORCE)
		return err_set(EINVAL, "unknown pmem mode %d", (int)o->pmem);
	if (o->max_size && o->initial_size > o->max_size)
		return err_set(EINVAL, "the initial size of %lu bytes is above the maximum size of %lu", (unsigned long)o->initial_size,
		               (unsigned long)o->max_size);
	return 0;
}

/* size_of_new - a multiple of unit when it may be, else of the page size: what was asked for, or little. 0: the maximum is too small. */
static uint64_t size_of_new(const struct daxkv_options *o, uint32_t page_size, uint64_t unit)
{
	const uint64_t least = super_min_size(page_size) + ROOM_LEAST * page_size;
	uint64_t size = round_up(max_u64(o->initial_size, least), unit);

	if (o->max_size && size > o->max_size)
		size = round_down(o->max_size, page_size);
	return size < least ? 0 : size;
}

static int create_file(struct daxkv_store *kv, const char *path, const struct daxkv_options *o)
{
	struct super_new new = {.page_size = o->page_size ? o->page_size : PAGE_DEFAULT, .initial = o->initial_size};

	/* Pages of less than 4096 bytes are for tests, which want room. */
	new.size = size_of_new(o, new.page_size, new.page_size < FMT_SUPER_SIZE ? MAP_STEP : max_u64(SIZE_UNIT, new.page_size));
	if (!new.size)
		return err_set(EINVAL, "a maximum size of %lu bytes: a store with pages of %u needs %lu", (unsigned long)o->max_size,
		               new.page_size, (unsigned long)(super_min_size(new.page_size) + ROOM_LEAST * new.page_size));
	new.user_version = o->user_version;
	new.created = (uint64_t)time(NULL);
	if (getrandom(&new.file_id, sizeof new.file_id, 0) != sizeof new.file_id)
		return err_sys(errno, "random bytes for the new store's id");
	return map_create_file(&kv->map, path, o->mode ? o->mode : MODE_DEFAULT, &new.size, size_of_new(o, new.page_size, MAP_STEP),
	                       super_fill, &new);
}

/* open_file - open the file, or create it when it is missing (*made) or empty and that was asked for. */
static int open_file(struct daxkv_store *kv, const char *path, const struct daxkv_options *o, bool *made)
{
	bool create = o->flags & DAXKV_CREATE;
	uint64_t size = 0;
	int rc = map_open_file(&kv->map, path, o->flags & DAXKV_READ_ONLY);

	if (rc == ENOENT && create) {
		rc = create_file(kv, path, o);
		*made = !rc;
		return rc;
	}
	if (!rc)
		rc = map_file_size(&kv->map, &size);
	if (rc)
		return rc;
	if (create && o->flags & DAXKV_EXCLUSIVE)
		return err_sys(EEXIST, "%s", path);
	if (!create || size)
		return 0;
	forks_close(&kv->map.fd);
	return create_file(kv, path, o);
}

/* attach_map - map the file. With ROOM as much address space as can be had is reserved, so that the maximum size can be raised. */
static int attach_map(struct daxkv_store *kv, const struct daxkv_options *o, uint64_t size, enum daxkv_pmem pmem)
{
	uint64_t max = o->max_size ? max_u64(o->max_size, size) : 0;
	bool room = o->flags & DAXKV_RESERVE_MAX && max;
	int rc = map_attach(&kv->map, size, room ? 0 : max, pmem, false);

	if (!rc && room && kv->map.reserve < max) {
		map_detach(&kv->map);
		rc = map_attach(&kv->map, size, max, pmem, false);
	}
	if (!rc && room)
		kv->map.cap = max;
	if (!rc && o->flags & DAXKV_POPULATE)
		map_populate(&kv->map);
	return rc;
}

/* attach - map the file and bring it to its newest transaction. */
static int attach(struct daxkv_store *kv, const struct daxkv_options *o, uint64_t *txn)
{
	uint64_t file_size, size;
	struct recover_result r = {0};
	bool needed = false, in_place = false;
	int rc = map_file_size(&kv->map, &file_size);

	if (!rc)
		rc = super_read(kv->map.fd, file_size, &kv->geometry);
	if (rc)
		return rc;
	kv->page_size = kv->geometry.page_size;
	if (o->page_size && o->page_size != kv->page_size)
		return err_set(DAXKV_INCOMPATIBLE, "the store has pages of %u bytes, not %u", kv->page_size, o->page_size);
	if (kv->geometry.rocompat && !kv->read_only)
		return err_set(DAXKV_VERSION, "the store uses features that this library can only read: open it read-only");
	size = round_down(file_size, kv->page_size);
	kv->map.lenient = o->max_age_ms || o->max_lag;
	kv->map.room = stores_room();
	rc = attach_map(kv, o, size, o->pmem);
	__atomic_store_n(&kv->reserved, kv->map.reserve, __ATOMIC_RELAXED);
	kv->ring = (struct ring){.map = &kv->map, .file_id = kv->geometry.file_id, .off = kv->geometry.ring_off};
	if (rc || kv->joined)
		return rc;
	if (kv->read_only && !kv->turns)
		rc = store_stamp(kv, &kv->stamp);
	if (rc)
		return rc;
	rc = recover_needed(&kv->ring, &needed, txn);
	if (!rc && kv->turns) {
		rc = recover_in_place(&kv->ring, &in_place, txn);
		if (rc || in_place) /* nothing that a reader would miss; a writer makes sure of the rest when it is its turn */
			return rc;
		kv->turns = !kv->read_only; /* a private copy follows nobody */
	}
	if (!rc && needed && kv->lock.silent) {
		rc = recover_in_place(&kv->ring, &in_place, txn);
		needed = !in_place;
	}
	if (!rc && needed && kv->read_only) {
		/* Not to be written: recover a private copy, and keep writers away from what it was taken from. */
		rc = lock_show_unclean(&kv->lock);
		map_detach(&kv->map);
		if (!rc)
			rc = map_attach(&kv->map, size, 0, o->pmem, true);
	}
	if (!rc && needed)
		rc = recover(&kv->ring, &r);
	if (!rc && needed && !kv->map.private_copy)
		map_touch(&kv->map);
	kv->made_sure = needed && !kv->read_only;
	kv->recovered = r.replayed;
	return rc;
}

/* join - agree with the store's other users. The gate is held. */
static int join(struct daxkv_store *kv, const struct daxkv_options *o)
{
	if (!kv->read_only && !kv->share->writable)
		kv->share->medium = (uint32_t)kv->map.medium; /* nobody can have written yet */
	if (kv->read_only || kv->share->medium == (uint32_t)kv->map.medium)
		return 0;
	if (o->pmem != DAXKV_PMEM_AUTO)
		return err_set(DAXKV_INCOMPATIBLE, "other processes use the store with another pmem mode");
	uint64_t size = kv->map.size;

	map_detach(&kv->map);
	return attach_map(kv, o, size, map_pmem((enum daxkv_medium)kv->share->medium));
}

/* share_open - the state shared with other users, for who is alone too. */
static int share_open(struct daxkv_store *kv, const struct daxkv_options *o, uint64_t txn)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	const uint32_t nslots = o->max_readers ? o->max_readers : READERS_DEFAULT;
	struct limbo left = {0};
	bool unknown;
	int rc = silent_open(kv, &txn);

	if (!rc)
		rc = silent_inherit(kv, txn, &left, &unknown);
	if (!rc)
		rc = share_file_open(&kv->share_file, &kv->lock, nslots, txn, kv->geometry.file_id);
	if ((rc == ENOSPC || rc == EDQUOT) && kv->read_only && !kv->joined) { /* no room for a lock file */
		rc = lock_be_silent(&kv->lock);
		lock_unmake(&kv->lock);
		if (!rc)
			rc = silent_open(kv, &txn);
		if (!rc)
			rc = share_file_open(&kv->share_file, &kv->lock, nslots, txn, kv->geometry.file_id);
	}
	kv->share = kv->share_file.share;
	if (!rc)
		rc = silent_bequeath(kv, &left, unknown);
	limbo_free(&left);
	if (!rc && kv->joined)
		rc = join(kv, o);
	if (rc)
		return rc;
	if (!kv->joined || kv->lock.silent) {
		kv->share->medium = (uint32_t)kv->map.medium;
		kv->share->durable = kv->share->releasable = txn;
		kv->share->size = load_word(&super->size);
	}
	kv->copied = !kv->share->writable && map_on_layers(&kv->map);
	kv->follows = kv->turns || kv->copied;
	kv->share->writable |= !kv->read_only;
	kv->share->recovered |= kv->made_sure; /* else the first who writes does it: reading needs no flush */
	kv->map.committed = &kv->share->size;
	kv->lock.writer = &kv->writer_thread;
	return 0;
}

/* alive_open - a page that reads as zeros in a forked child. */
static int alive_open(struct daxkv_store *kv)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return err_sys(errno, "a page of memory");
	*p = 1;
	kv->alive = p;
	(void)madvise(p, page, MADV_WIPEONFORK);
	return 0;
}

/* size_check - the file has what its size word says. */
static int size_check(struct daxkv_store *kv)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	uint64_t size = load_word(&super->size);

	if (kv->joined && size > kv->map.size) { /* grown since it was mapped */
		int rc = map_extend(&kv->map, size);

		if (rc)
			return rc;
	}

	if (size > kv->map.size)
		return err_corrupt(offsetof(struct fmt_super, size), "truncated: the store uses %lu bytes, the file has %lu",
		                   (unsigned long)size, (unsigned long)kv->map.size);
	if (size % kv->page_size || size < super_min_size(kv->page_size))
		return err_corrupt(offsetof(struct fmt_super, size), "superblock: a size of %lu bytes", (unsigned long)size);
	return 0;
}

static uint64_t oldest_reader(void *arg)
{
	struct daxkv_store *kv = arg;
	uint64_t looked = kv->oldest.looked, oldest = share_oldest(kv->share, &kv->oldest);

	kv->space.scanned += kv->oldest.looked - looked;
	if (kv->share_file.fd < 0 || limbo_oldest(&kv->space.limbo) > oldest)
		return oldest;
	kv->space.scanned += SILENT_COST;
	return silent_oldest(kv, oldest);
}

static void reap(void *arg)
{
	(void)daxkv_readers_reap(arg);
}

static void released(void *arg, uint64_t items)
{
	share_limbo_drop(&((struct daxkv_store *)arg)->share_file, items);
}

static int settle(void *arg)
{
	return commit_settle(arg);
}

static int open_writer(struct daxkv_store *kv, uint64_t txn)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	int rc = space_open(&kv->space, &kv->map, kv->page_size, load_word(&super->size));

	kv->space.oldest_reader = oldest_reader;
	kv->space.settle = settle;
	kv->space.arg = kv;
	kv->space.reap = reap;
	kv->space.slow = slow_readers;
	kv->space.released = released;
	kv->space.releasable = txn;
	kv->known = kv->joined ? UINT64_MAX : txn;
	if (!rc)
		rc = silent_hold(kv);
	if (!rc)
		rc = wset_open(&kv->wset, &kv->map, &kv->space, kv->page_size);
	if (!rc)
		rc = tree_scratch_open(&kv->scratch, kv->page_size);
	kv->writer_view = (struct view){.map = &kv->map, .base = kv->map.base, .psize = kv->page_size, .w = &kv->wset};
	return rc;
}

/* store_free - undo all of daxkv_open; each part is safe when it was never made. */
static void store_free(struct daxkv_store *kv)
{
	tree_scratch_close(&kv->scratch);
	wset_close(&kv->wset);
	space_close(&kv->space);
	free(kv->words.w);
	dbi_close_tables(kv);
	share_file_close(&kv->share_file);
	map_close(&kv->map);
	lock_close(&kv->lock);
	stores_remove(kv);
	pthread_mutex_destroy(&kv->dbi_mutex);
	pthread_mutex_destroy(&kv->slot_mutex);
	pthread_mutex_destroy(&kv->silent.mutex);
	if (kv->alive)
		munmap(kv->alive, (size_t)sysconf(_SC_PAGESIZE));
	free(kv->path);
	free(kv);
}

/* store_start - what an open file needs to be used. */
static int store_start(struct daxkv_store *kv, const struct daxkv_options *o)
{
	uint64_t txn = 0;
	int rc = attach(kv, o, &txn);

	if (!rc)
		rc = share_open(kv, o, txn);
	if (!rc)
		rc = size_check(kv);
	if (!rc)
		rc = dbi_open_tables(kv, o->max_dbs ? o->max_dbs : DBS_DEFAULT);
	if (!rc && !kv->read_only)
		rc = open_writer(kv, txn);
	if (!rc)
		rc = txn_open_tables(kv);
	if (!rc)
		rc = lock_share(&kv->lock);
	kv->max_key = kv->page_size / 4 < KEY_MAX ? kv->page_size / 4 : KEY_MAX;
	return rc;
}

/* local_check - a network filesystem's mappings and locks do not reach other machines in the way that a store needs. */
static int local_check(const struct daxkv_store *kv)
{
	static const uint32_t remote[] = {
	    0x6969 /* NFS */,      0x517b /* SMB */,        0xff534d42 /* CIFS */, 0xfe534d42 /* SMB 2 */,
	    0x00c36400 /* Ceph */, 0x5346414f /* AFS */,    0x73757245 /* Coda */, 0x7461636f /* OCFS2 */,
	    0x01161970 /* GFS2 */, 0x0bd00bd0 /* Lustre */, 0x47504653 /* GPFS */, 0x19830326 /* BeeGFS */,
	};
	struct statfs fs;

	if (kv->lock.fd < 0 || fstatfs(kv->map.fd, &fs) != 0)
		return 0;
	for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
		if ((uint32_t)fs.f_type == remote[i])
			return err_set(EOPNOTSUPP, "%s: on a network filesystem (type 0x%x)", kv->path, remote[i]);
	return 0;
}

static int store_open(struct daxkv_store *kv, const char *path, const struct daxkv_options *o)
{
	struct open_look look = {.path = path, .flags = o->flags};
	const struct lock_for file = {.mode = o->mode ? o->mode : MODE_DEFAULT,
	                              .wait_ms = o->wait_ms,
	                              .look = open_look,
	                              .arg = &look};
	bool made = false;
	int rc = 0;

	kv->read_only = o->flags & DAXKV_READ_ONLY;
	kv->nolock = o->flags & DAXKV_NO_LOCK;
	kv->turns = kv->followed = o->flags & DAXKV_EXTERNAL_LOCK;
	kv->max_age_ms = o->max_age_ms;
	kv->max_lag = o->max_lag;
	kv->slow = (struct slow){.fn = o->old_reader, .arg = o->old_reader_arg};
	if (!(o->flags & DAXKV_NO_LOCK))
		rc = o->lock_path ? lock_open_named(&kv->lock, o->lock_path, kv->read_only, &file)
		                  : lock_open(&kv->lock, path, kv->read_only, &file);
	if (!rc)
		rc = open_file(kv, path, o, &made);
	if (!rc)
		rc = local_check(kv);
	if (!rc)
		rc = lock_data(&kv->lock, kv->map.fd, !(o->flags & DAXKV_NO_FILE_LOCK));
	kv->joined = kv->lock.fd >= 0 && !kv->lock.alone;
	if (!rc)
		rc = alive_open(kv);
	if (!rc)
		rc = store_start(kv, o);
	if (rc && made)
		(void)unlink(path); /* nobody else has it: the lock is held. What stays when this fails is an empty store */
	if (rc)
		lock_unmake(&kv->lock);
	return rc;
}

static int open_it(const char *path, const struct daxkv_options *options, struct daxkv_store **out)
{
	static const struct daxkv_options none;
	const struct daxkv_options *o = options ? options : &none;
	struct daxkv_store *kv;
	int rc = out ? options_check(path, o) : err_set(EINVAL, "no place for the handle");

	if (rc)
		return rc;
	kv = calloc(1, sizeof *kv);
	if (!kv)
		return err_set(ENOMEM, "no memory for a store");
	kv->map.fd = kv->lock.fd = kv->share_file.fd = -1;
	kv->generation = 1;
	pthread_mutex_init(&kv->dbi_mutex, NULL);
	pthread_mutex_init(&kv->slot_mutex, NULL);
	pthread_mutex_init(&kv->silent.mutex, NULL);
	rc = path_follow(path, &kv->path);
	if (!rc)
		rc = stores_add(kv);
	if (!rc)
		rc = store_open(kv, kv->path, o);
	if (rc) {
		store_free(kv);
		return rc;
	}
	*out = kv;
	return 0;
}

int daxkv_open(const char *path, const struct daxkv_options *options, struct daxkv_store **out)
{
	const int cancel = cancel_off();
	struct err_saved before;

	err_save(&before);
	int rc = open_it(path, options, out);

	if (!rc)
		err_restore(&before); /* that a file to be made was missing is no failure */
	cancel_restore(cancel);
	return rc;
}

/* ---- closing -------------------------------------------------------------------------------------------------------------- */

/* cut_end - commit a smaller size when there is free space at the end, and cut it off. Inside a write transaction. *cut: it was so. */
static int cut_end(struct daxkv_store *kv, bool *cut)
{
	int rc = commit_trim(kv, cut);

	if (rc || !*cut)
		return rc;
	rc = commit_settle(kv);
	if (!rc)
		rc = map_shrink(&kv->map, kv->space.end);
	return rc ? rc : space_reset(&kv->space, kv->space.end);
}

/* close_clean - leave nothing to recover, and no free space at the end. Nobody else uses the store. */
static int close_clean(struct daxkv_store *kv)
{
	bool cut = true;
	int rc = 0;

	while (!rc && cut) { /* a very long end goes in parts */
		struct daxkv_txn *txn;

		rc = daxkv_txn_begin(kv, NULL, 0, &txn); /* knows what other processes did */
		if (rc)
			return rc;
		rc = commit_settle(kv);
		if (!rc)
			rc = cut_end(kv, &cut);
		daxkv_txn_abort(txn);
	}
	return rc;
}

static int close_it(struct daxkv_store *kv)
{
	uint32_t readers = 0;
	bool alone = false;
	int rc = 0;

	if (txn_forked(kv)) /* stores.c has closed what this child inherited; the mapping, and the share, are not there for it */
		return 0;
	if (kv->writer && !__atomic_load_n(&kv->writer_thread, __ATOMIC_RELAXED))
		(void)daxkv_sync(kv); /* a thread ended in its transaction: to have the lock anew is to forget it */
	for (const struct daxkv_txn *t = kv->read_txns; t; t = t->next)
		readers += !t->idle;
	if (kv->writer || readers)
		return err_set(DAXKV_BUSY, "%u read transactions and %u write transactions are running", readers, kv->writer != NULL);
	if (!kv->read_only)
		rc = lock_enter(&kv->lock, &alone);
	if (!rc && alone && kv->share->recovered && !kv->share->poison && !kv->turns) /* not recovered: nobody has written */
		rc = close_clean(kv);
	txn_close_tables(kv);
	store_free(kv);
	return rc;
}

int daxkv_close(struct daxkv_store *kv)
{
	const int cancel = cancel_off();
	int rc = kv ? close_it(kv) : 0;

	cancel_restore(cancel);
	return rc;
}

int daxkv_sync(struct daxkv_store *kv)
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(kv, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = commit_settle(kv);
	daxkv_txn_abort(txn);
	return rc;
}

int daxkv_set_max_size(struct daxkv_store *kv, uint64_t size)
{
	if (!kv)
		return err_set(EINVAL, "no store was given");
	uint64_t least = load_word(&kv->map.size);
	int rc = txn_own(kv);

	if (rc)
		return rc;
	if (size > kv->map.reserve)
		return err_set(DAXKV_FULL, "a maximum size of %lu bytes: address space was reserved for %lu", (unsigned long)size,
		               (unsigned long)kv->map.reserve);
	__atomic_store_n(&kv->map.cap, size ? max_u64(size, least) : kv->map.reserve, __ATOMIC_RELEASE);
	return 0;
}
