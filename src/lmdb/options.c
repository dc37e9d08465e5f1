/* SPDX-License-Identifier: BSD-3-Clause */
/* options.c - what is set for an environment, and what it tells of itself. */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MDB_KEY_MAX 511u /* LMDB's, as its packages are built */

/* In pages. What LMDB takes of a map for itself: two meta pages, and one at the end that it never
 * gives out, so that a map of no more than these takes no entry. The store's headers, ring and
 * bitmap take LIMIT_BASE more. */
#define MAP_OWN     3u
#define LIMIT_BASE  10u
#define LIMIT_PART  4u /* leaves of large entries hold up to a quarter less than LMDB's */
#define LIMIT_FEW   6u /* what a few small databases need beyond that */
#define LIMIT_MOST  (((uint64_t)1 << 30) / PAGE_SIZE)
#define STORE_EMPTY ((uint64_t)12 * PAGE_SIZE) /* what the smallest store uses */
#define STORE_LEAST ((uint64_t)14 * PAGE_SIZE) /* the smallest store's: with room for a leaf */

int mdb_env_set_flags(MDB_env *env, unsigned int flags, int onoff)
{
	if (!env || flags & ~(unsigned int)ENV_CHANGEABLE)
		return EINVAL;
	env->flags = onoff ? env->flags | flags : env->flags & ~flags;
	if (!env->store || env_is_copy(env))
		return 0;
	return err_of(
	    daxkv_set_durability(env->store, flags_lazy(env->flags) ? DAXKV_LAZY : DAXKV_DURABLE));
}

int mdb_env_get_flags(MDB_env *env, unsigned int *flags)
{
	if (!env || !flags)
		return EINVAL;
	*flags = env->flags & (ENV_CHANGEABLE | ENV_FIXED);
	return 0;
}

int mdb_env_get_path(MDB_env *env, const char **path)
{
	if (!env || !path)
		return EINVAL;
	*path = env->path;
	return 0;
}

int mdb_env_get_fd(MDB_env *env, int *fd)
{
	if (!env || !fd)
		return EINVAL;
	int rc = env_enter(env);

	if (!rc)
		*fd = env->store ? daxkv_fd(env->store) : -1;
	return rc;
}

/* ---- the map size ---------------------------------------------------------------------------- */

/* LMDB keeps the map size in its file: the store's user version has it. */

static uint64_t least_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* limit_pages - of a store for a map of so many pages. */
static uint64_t limit_pages(uint64_t pages)
{
	uint64_t part = pages > MAP_OWN ? (pages - MAP_OWN) / LIMIT_PART : 0;

	return pages + LIMIT_BASE + least_of(part, LIMIT_MOST) + least_of(part, LIMIT_FEW);
}

uint64_t mapsize_limit(uint64_t size)
{
	uint64_t limit = size < UINT64_MAX / 2 ? limit_pages(size / PAGE_SIZE) * PAGE_SIZE
	                                       : size / PAGE_SIZE * PAGE_SIZE;

	return limit > STORE_LEAST ? limit : STORE_LEAST;
}

/* mapsize_for - the least map size, as LMDB has it, of a store that uses so much. */
static uint64_t mapsize_for(uint64_t used)
{
	uint64_t low = MAPSIZE_LEAST / PAGE_SIZE, high = used / PAGE_SIZE + low;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (limit_pages(middle) * PAGE_SIZE < used)
			low = middle + 1;
		else
			high = middle;
	}
	return low * PAGE_SIZE;
}

int mapsize_apply(MDB_env *env, size_t size)
{
	uint64_t kept = daxkv_user_version(env->store);
	struct daxkv_info info;
	bool given = size != 0;
	int rc =
	    daxkv_info(env->store,
	               &info); /* what it tells later while somebody writes is what it found last */

	if (rc)
		return err_of(rc);
	if (info.max_readers > SPARE_READERS) /* who came first has said how many */
		env->max_readers = info.max_readers - SPARE_READERS;
	if (!size) /* a store that was not made by way of this library keeps none */
		size = kept                               ? kept
		       : info.file_size > MAPSIZE_DEFAULT ? info.file_size
		                                          : MAPSIZE_DEFAULT;
	if (size < mapsize_for(info.used_bytes))
		size = mapsize_for(info.used_bytes);
	env->no_room = !env->grow && size / PAGE_SIZE <= MAP_OWN && info.used_bytes <= STORE_EMPTY;
	env->seen = env->grow ? UINT64_MAX : mapsize_limit(size);
	if (env->seen < daxkv_size(env->store))
		env->seen = daxkv_size(env->store);
	if (!env->grow && !info.read_only) {
		rc = daxkv_set_max_size(env->store, mapsize_limit(size));
		if (rc == DAXKV_FULL)
			rc = daxkv_set_max_size(
			    env->store,
			    size / PAGE_SIZE * PAGE_SIZE); /* as much as there are addresses for */
		if (rc == DAXKV_FULL && !given)
			rc = daxkv_set_max_size(
			    env->store, 0); /* what the file says is no reason not to open it */
		if (!rc)
			rc = daxkv_info(env->store, &info);
		if (rc)
			return rc == DAXKV_FULL ? ENOMEM : err_of(rc);
		env->seen = info.max_size;
	}
	env->mapsize = size;
	return 0;
}

void mapsize_keep(const MDB_env *env, struct daxkv_txn *txn)
{
	uint64_t kept = daxkv_user_version(env->store);

	if (UNLIKELY(env->mapsize > kept))
		kept = env->mapsize;
	(void)daxkv_txn_set_user_version(txn, kept); /* one that failed says so at its commit */
}

int mdb_env_set_mapsize(MDB_env *env, size_t size)
{
	if (!env)
		return EINVAL;
	if (!env->store) {
		env->mapsize = size;
		return 0;
	}
	int rc = env_enter(env);

	if (rc)
		return rc;
	if (__atomic_load_n(&env->writer, __ATOMIC_RELAXED))
		return EINVAL;
	return mapsize_apply(env, size);
}

/* ---- other options --------------------------------------------------------------------------- */

int mdb_env_set_maxreaders(MDB_env *env, unsigned int readers)
{
	if (!env || env->store || readers < 1)
		return EINVAL;
	env->max_readers = readers;
	return 0;
}

int mdb_env_get_maxreaders(MDB_env *env, unsigned int *readers)
{
	if (!env || !readers)
		return EINVAL;
	*readers = env->max_readers;
	return 0;
}

int mdb_env_set_maxdbs(MDB_env *env, MDB_dbi dbs)
{
	if (!env || env->store)
		return EINVAL;
	env->max_dbs = dbs;
	return 0;
}

int max_key_option(size_t *size)
{
	const char *wanted = secure_getenv("DAXKV_MAXKEYSIZE");
	char *end;

	*size = MDB_KEY_MAX;
	if (!wanted || !*wanted)
		return 0;
	errno = 0;
	unsigned long number = strtoul(wanted, &end, 10);

	if (*wanted < '0' || *wanted > '9' || *end || errno || !number)
		return EINVAL;
	*size = number;
	return 0;
}

int mdb_env_get_maxkeysize(MDB_env *env)
{
	return env ? (int)env->max_key : (int)MDB_KEY_MAX;
}

int mdb_env_set_userctx(MDB_env *env, void *ctx)
{
	if (!env)
		return EINVAL;
	env->userctx = ctx;
	return 0;
}

void *mdb_env_get_userctx(MDB_env *env)
{
	return env ? env->userctx : NULL;
}

int mdb_env_set_assert(MDB_env *env, MDB_assert_func *func)
{
	if (!env)
		return EINVAL;
	env->assert_func = func;
	return 0;
}

/* Without force the flags decide, as in LMDB. Commits of other processes count. */
int mdb_env_sync(MDB_env *env, int force)
{
	struct daxkv_info info;

	if (!env || !env->store)
		return EINVAL;
	if (env->flags & MDB_RDONLY)
		return EACCES;
	if (!force && flags_lazy(env->flags))
		return 0;
	int rc = env_enter(env);

	if (rc)
		return rc;
	const int cancel = cancel_off();

	rc = daxkv_info(env->store, &info);
	if (!rc && info.lazy_commits)
		rc = daxkv_sync(env->store);
	cancel_restore(cancel);
	return err_of(rc);
}

/* peek_note - mdb_env_stat has read: in LMDB it takes no reader's place. */
static void peek_note(MDB_env *env, uint32_t before)
{
	struct daxkv_usage usage;

	if (!daxkv_usage(env->store, &usage) && usage.readers_peak > before)
		__atomic_store_n(&env->peeked, (uint64_t)before << 32 | usage.readers_peak,
		                 __ATOMIC_RELAXED);
}

/* places_taken - by readers: the newest place is none's when only mdb_env_stat has had it. */
static unsigned int places_taken(const MDB_env *env, uint32_t places)
{
	uint64_t peeked = __atomic_load_n(&env->peeked, __ATOMIC_RELAXED);
	unsigned int own = __atomic_load_n(&env->n_readers, __ATOMIC_RELAXED);
	uint32_t before = (uint32_t)(peeked >> 32);

	if (env->flags & MDB_NOLOCK)
		return 0;
	return places != (uint32_t)peeked ? places : before > own ? before : own;
}

/* map_grown - the map size of a store that grew past what was asked for: the file's. Not inlined: a
 * large struct that is needed seldom. */
static __attribute__((noinline)) int map_grown(const MDB_env *env, size_t *mapsize)
{
	struct daxkv_info info;
	int rc = daxkv_info(env->store, &info);

	if (!rc)
		*mapsize = (size_t)info.file_size;
	return err_of(rc);
}

int mdb_env_info(MDB_env *env, MDB_envinfo *arg)
{
	struct daxkv_usage usage;

	if (UNLIKELY(!env || !arg || !env->store))
		return EINVAL;
	int rc = env_enter(env);

	if (UNLIKELY(rc))
		return rc;
	rc = daxkv_usage(env->store, &usage);
	if (UNLIKELY(rc))
		return err_of(rc);
	size_t mapsize = env->mapsize;

	/* the limit is more than the map size, and takes time to compute */
	if (UNLIKELY(mapsize < usage.used_bytes && mapsize_limit(mapsize) < usage.used_bytes)) {
		rc = map_grown(env, &mapsize);
		if (rc)
			return rc;
	}
	const int shift = __builtin_ctz(usage.page_size);
	const size_t pages = mapsize >> shift;
	size_t last = 1;

	if (usage.used_bytes > usage.page_size)
		last = (usage.used_bytes >> shift) - 1;
	if (UNLIKELY(pages && last >= pages)) /* programs subtract the one from the other */
		last = pages - 1;
	*arg = (MDB_envinfo){.me_mapsize = mapsize,
	                     .me_last_pgno = last,
	                     .me_last_txnid = (size_t)usage.last_txn,
	                     .me_maxreaders = env->max_readers,
	                     .me_numreaders = places_taken(env, usage.readers_peak)};
	return 0;
}

/* stat_of - LMDB's struct is the store's. */
static_assert(sizeof(MDB_stat) == sizeof(struct daxkv_db_stat) &&
                  offsetof(MDB_stat, ms_depth) == offsetof(struct daxkv_db_stat, depth) &&
                  offsetof(MDB_stat, ms_branch_pages) ==
                      offsetof(struct daxkv_db_stat, inner_pages) &&
                  offsetof(MDB_stat, ms_leaf_pages) == offsetof(struct daxkv_db_stat, leaf_pages) &&
                  offsetof(MDB_stat, ms_overflow_pages) ==
                      offsetof(struct daxkv_db_stat, blob_pages) &&
                  offsetof(MDB_stat, ms_entries) == offsetof(struct daxkv_db_stat, entries),
              "MDB_stat");

static inline struct daxkv_db_stat *stat_of(MDB_stat *arg)
{
	return (struct daxkv_db_stat *)arg;
}

/* store_stat - of a database. LMDB has no pages for one without an entry. Errors of the store. */
static inline int store_stat(struct daxkv_txn *txn, daxkv_db db, MDB_stat *arg)
{
	struct daxkv_db_stat *stat = stat_of(arg);
	int rc = daxkv_db_stat(txn, db, stat);

	if (UNLIKELY(rc))
		return rc;
	if (UNLIKELY(!stat->entries))
		*stat = (struct daxkv_db_stat){.page_size = stat->page_size};
	return 0;
}

/* memo_get - the numbers as of the newest commit. False: the memo has another one, or none, or is
 * being written. */
static inline bool memo_get(const struct stat_memo *memo, const struct daxkv_usage *usage,
                            MDB_stat *arg)
{
	const uint64_t version = __atomic_load_n(&memo->version, __ATOMIC_ACQUIRE);

	if (version % 2 || __atomic_load_n(&memo->commit, __ATOMIC_RELAXED) != usage->last_txn + 1)
		return false;
	const MDB_stat found = {
	    .ms_psize = usage->page_size,
	    .ms_depth = (unsigned int)__atomic_load_n(&memo->depth, __ATOMIC_RELAXED),
	    .ms_branch_pages = __atomic_load_n(&memo->branch_pages, __ATOMIC_RELAXED),
	    .ms_leaf_pages = __atomic_load_n(&memo->leaf_pages, __ATOMIC_RELAXED),
	    .ms_overflow_pages = __atomic_load_n(&memo->overflow_pages, __ATOMIC_RELAXED),
	    .ms_entries = __atomic_load_n(&memo->entries, __ATOMIC_RELAXED),
	};

	/* Pairs with the fence in memo_put: who read one of its words sees another version. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&memo->version, __ATOMIC_RELAXED) != version)
		return false;
	*arg = found;
	return true;
}

/* memo_put - keep them. Nothing happens while another thread does. */
static void memo_put(struct stat_memo *memo, uint64_t commit, const MDB_stat *arg)
{
	uint64_t version = __atomic_load_n(&memo->version, __ATOMIC_RELAXED);

	if (version % 2 || !__atomic_compare_exchange_n(&memo->version, &version, version + 1,
	                                                false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&memo->commit, commit + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&memo->depth, arg->ms_depth, __ATOMIC_RELAXED);
	__atomic_store_n(&memo->branch_pages, arg->ms_branch_pages, __ATOMIC_RELAXED);
	__atomic_store_n(&memo->leaf_pages, arg->ms_leaf_pages, __ATOMIC_RELAXED);
	__atomic_store_n(&memo->overflow_pages, arg->ms_overflow_pages, __ATOMIC_RELAXED);
	__atomic_store_n(&memo->entries, arg->ms_entries, __ATOMIC_RELAXED);
	__atomic_store_n(&memo->version, version + 2, __ATOMIC_RELEASE);
}

/* stat_read - by a transaction; usage is from before it. Not inlined: it is needed once a
 * commit. */
static __attribute__((noinline)) int stat_read(MDB_env *env, const struct daxkv_usage *usage,
                                               MDB_stat *arg)
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(env->store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (rc)
		return err_of(rc);
	const uint64_t commit = daxkv_txn_id(txn);

	rc = store_stat(txn, DAXKV_MAIN, arg);
	daxkv_txn_abort(txn);
	peek_note(env, usage->readers_peak);
	if (rc)
		return err_of(rc);
	memo_put(&env->stat, commit, arg);
	return 0;
}

int mdb_env_stat(MDB_env *env, MDB_stat *arg)
{
	struct daxkv_usage usage;

	if (UNLIKELY(!env || !arg || !env->store))
		return EINVAL;
	int rc = env_enter(env);

	if (UNLIKELY(rc))
		return rc;
	rc = daxkv_usage(env->store, &usage);
	if (UNLIKELY(rc))
		return err_of(rc);
	if (LIKELY(memo_get(&env->stat, &usage, arg)))
		return 0;
	return stat_read(env, &usage, arg);
}

int mdb_stat(MDB_txn *txn, MDB_dbi dbi, MDB_stat *arg)
{
	struct handle *handle = handle_of(txn, dbi);
	int rc = 0;

	if (UNLIKELY(!arg || !handle))
		return EINVAL;
	if (UNLIKELY(txn->state))
		return MDB_BAD_TXN;
	if (txn_is_copy(txn))
		rc = txn_adopt(txn);
	if (UNLIKELY(rc))
		return rc;
	if (UNLIKELY(dbi == FREE_DBI)) {
		*arg = (MDB_stat){.ms_psize = PAGE_SIZE};
		return 0;
	}
	rc = store_stat(txn->inner, handle->db, arg);
	return LIKELY(!rc) ? 0 : err_of(rc);
}
