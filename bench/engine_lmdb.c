/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "files.h"

extern const struct bench_engine engine_lmdb, engine_lmdb_pwrite, engine_lmdb_nosync,
    engine_lmdb_async;

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

struct store {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *txn;
	MDB_cursor *cursor;
	unsigned int relaxed; /* the flag for commits that wait for a sync */
};

static const char *store_version(void)
{
	return mdb_version(NULL, NULL, NULL);
}

static const char *store_errmsg(int err)
{
	return mdb_strerror(err);
}

/* map_find - where the file is mapped; LMDB tells only of a map at a fixed address. */
static void *map_find(const char *path)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[BENCH_PATH + 128];
	void *at = NULL;

	while (maps && !at && fgets(line, sizeof line, maps))
		if (strstr(line, path) && !strstr(line, "-lock"))
			at = (void *)(uintptr_t)strtoull(line, NULL, 16);
	if (maps)
		(void)fclose(maps);
	return at;
}

/* store_prepare - give the file its blocks and the mapping its page table entries, as daxkv does
 * when it makes a file. */
static int store_prepare(struct store *s, const char *path, uint64_t size, int advice)
{
	mdb_filehandle_t fd;
	int err = mdb_env_get_fd(s->env, &fd);

	if (!err)
		err = posix_fallocate(fd, 0, (off_t)size);
	if (err)
		return err;
	void *map = map_find(path);

	/* A kernel before 5.14 refuses: LMDB then meets its page faults while it runs. */
	if (map)
		(void)madvise(map, size, advice);
	return 0;
}

static int store_start(const struct bench_config *config, const char *dir, int create,
                       unsigned int flags, struct store *s)
{
	char path[BENCH_PATH];
	int err = mdb_env_set_mapsize(s->env, config->file_size);

	files_name(dir, "store", path);
	if (!err)
		err = mdb_env_open(s->env, path, MDB_NOSUBDIR | flags, 0664);
	if (!err && create)
		err =
		    store_prepare(s, path, config->file_size,
		                  flags & MDB_WRITEMAP ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	if (!err)
		err = mdb_txn_begin(s->env, NULL, 0, &s->txn);
	if (err)
		return err;
	err = mdb_dbi_open(s->txn, NULL, 0, &s->dbi);
	if (err) {
		mdb_txn_abort(s->txn);
		return err;
	}
	err = mdb_txn_commit(s->txn);
	s->txn = NULL;
	return err;
}

static int store_open_with(const struct bench_config *config, const char *dir, int create,
                           unsigned int flags, void **out)
{
	struct store *s = calloc(1, sizeof *s);
	int err;

	if (!s)
		return ENOMEM;
	s->relaxed = MDB_NOSYNC;
	err = mdb_env_create(&s->env);
	if (err) {
		free(s);
		return err;
	}
	err = store_start(config, dir, create, flags, s);
	if (err) {
		mdb_env_close(s->env);
		free(s);
		return err;
	}
	*out = s;
	return 0;
}

static int store_open(const struct bench_config *config, const char *dir, int create, void **out)
{
	return store_open_with(config, dir, create, MDB_WRITEMAP, out);
}

static int store_open_pwrite(const struct bench_config *config, const char *dir, int create,
                             void **out)
{
	return store_open_with(config, dir, create, 0, out);
}

static int store_open_nosync(const struct bench_config *config, const char *dir, int create,
                             void **out)
{
	int err = store_open_with(config, dir, create, MDB_WRITEMAP | MDB_NOSYNC, out);

	if (!err) /* it stays as it is */
		((struct store *)*out)->relaxed = 0;
	return err;
}

static int store_open_async(const struct bench_config *config, const char *dir, int create,
                            void **out)
{
	int err = store_open_with(config, dir, create, MDB_WRITEMAP, out);

	if (!err)
		((struct store *)*out)->relaxed = MDB_MAPASYNC;
	return err;
}

static int store_relax(void *store, int on)
{
	struct store *s = store;

	return mdb_env_set_flags(s->env, s->relaxed, on);
}

static int store_sync(void *store)
{
	return mdb_env_sync(((struct store *)store)->env, 1);
}

static int store_close(void *store)
{
	struct store *s = store;

	mdb_env_close(s->env);
	free(s);
	return 0;
}

static int store_session_open(void *session, void **another)
{
	const struct store *from = session;
	struct store *s = calloc(1, sizeof *s);

	if (!s)
		return ENOMEM;
	s->env = from->env;
	s->dbi = from->dbi;
	*another = s;
	return 0;
}

static void store_session_close(void *another)
{
	free(another);
}

static int store_begin(void *store, int write)
{
	struct store *s = store;

	return mdb_txn_begin(s->env, NULL, write ? 0 : MDB_RDONLY, &s->txn);
}

static int store_commit(void *store)
{
	struct store *s = store;
	MDB_txn *txn = s->txn;

	s->txn = NULL;
	return mdb_txn_commit(txn);
}

static void store_abort(void *store)
{
	struct store *s = store;

	if (s->txn)
		mdb_txn_abort(s->txn);
	s->txn = NULL;
}

/* val_of - the interface takes one struct for input and output; input bytes are not written. */
static MDB_val val_of(struct bench_bytes b)
{
	union {
		const void *in;
		void *out;
	} data = {b.data};

	return (MDB_val){b.size, data.out};
}

static int store_put(void *store, struct bench_bytes key, struct bench_bytes value, int append)
{
	struct store *s = store;
	MDB_val k = val_of(key), v = val_of(value);

	return mdb_put(s->txn, s->dbi, &k, &v, append ? MDB_APPEND : 0);
}

static int store_del(void *store, struct bench_bytes key)
{
	struct store *s = store;
	MDB_val k = val_of(key);

	return mdb_del(s->txn, s->dbi, &k, NULL);
}

static int store_get(void *store, struct bench_bytes key, struct bench_bytes *value)
{
	struct store *s = store;
	MDB_val k = val_of(key), v;
	int err = mdb_get(s->txn, s->dbi, &k, &v);

	if (err)
		return err == MDB_NOTFOUND ? BENCH_END : err;
	*value = (struct bench_bytes){v.mv_data, v.mv_size};
	return 0;
}

static int store_cursor_open(void *store)
{
	struct store *s = store;

	return mdb_cursor_open(s->txn, s->dbi, &s->cursor);
}

static void store_cursor_close(void *store)
{
	struct store *s = store;

	mdb_cursor_close(s->cursor);
	s->cursor = NULL;
}

static int store_move(void *store, enum bench_move move, struct bench_bytes *key,
                      struct bench_bytes *value)
{
	static const MDB_cursor_op ops[] = {
	    [BENCH_FIRST] = MDB_FIRST, [BENCH_LAST] = MDB_LAST,      [BENCH_NEXT] = MDB_NEXT,
	    [BENCH_PREV] = MDB_PREV,   [BENCH_SEEK] = MDB_SET_RANGE,
	};
	struct store *s = store;
	MDB_val k = val_of(*key), v;
	int err = mdb_cursor_get(s->cursor, &k, &v, ops[move]);

	if (err)
		return err == MDB_NOTFOUND ? BENCH_END : err;
	*key = (struct bench_bytes){k.mv_data, k.mv_size};
	*value = (struct bench_bytes){v.mv_data, v.mv_size};
	return 0;
}

/* store_del_range - LMDB's nearest way: a cursor that deletes what is under it. */
static int store_del_range(void *store, struct bench_bytes from, struct bench_bytes to)
{
	struct store *s = store;
	MDB_val k = val_of(from), end = val_of(to), v;
	MDB_cursor *cursor;
	int err = mdb_cursor_open(s->txn, s->dbi, &cursor);

	if (err)
		return err;
	err = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
	while (!err && mdb_cmp(s->txn, s->dbi, &k, &end) < 0) {
		err = mdb_cursor_del(cursor, 0);
		if (!err) /* the cursor is at the entry that followed */
			err = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return err == MDB_NOTFOUND ? 0 : err;
}

/* pages_free - the number of pages in the free list: database 0, whose values are page numbers
 * behind their count. */
static int pages_free(MDB_txn *txn, uint64_t *n)
{
	MDB_cursor *cursor;
	MDB_val k, v;
	size_t count;
	int err = mdb_cursor_open(txn, 0, &cursor);

	if (err)
		return err;
	*n = 0;
	while ((err = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
		memcpy(&count, v.mv_data, sizeof count);
		*n += count;
	}
	mdb_cursor_close(cursor);
	return err == MDB_NOTFOUND ? 0 : err;
}

static int store_space(void *store, uint64_t *bytes)
{
	struct store *s = store;
	MDB_envinfo info;
	MDB_stat stat;
	MDB_txn *txn;
	uint64_t unused;
	int err = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);

	if (err)
		return err;
	err = pages_free(txn, &unused);
	mdb_txn_abort(txn);
	if (!err)
		err = mdb_env_info(s->env, &info);
	if (!err)
		err = mdb_env_stat(s->env, &stat);
	if (!err)
		*bytes = (info.me_last_pgno + 1 - unused) * stat.ms_psize;
	return err;
}

static const char *store_durability(void *store)
{
	struct store *s = store;
	unsigned int flags = 0;

	(void)mdb_env_get_flags(s->env, &flags);
	if (flags & MDB_NOSYNC)
		return "MDB_WRITEMAP, MDB_NOSYNC: a commit survives the process, not a power cut";
	return flags & MDB_WRITEMAP ? "MDB_WRITEMAP: msync at every commit"
	                            : "no flags: pwrite and fdatasync at every commit";
}

/* All that the variants share; what differs comes first. */
#define VARIANT(n, w, o)                                                                           \
	{                                                                                          \
		.name = n, .counts_writes = w, .open = o, .version = store_version,                \
		.errmsg = store_errmsg, .close = store_close, .session_open = store_session_open,  \
		.session_close = store_session_close, .begin = store_begin,                        \
		.commit = store_commit, .abort = store_abort, .relax = store_relax,                \
		.sync = store_sync, .put = store_put, .del = store_del, .get = store_get,          \
		.cursor_open = store_cursor_open, .cursor_close = store_cursor_close,              \
		.move = store_move, .del_range = store_del_range, .space = store_space,            \
		.durability = store_durability,                                                    \
	}

const struct bench_engine engine_lmdb = VARIANT("lmdb", 0, store_open);
const struct bench_engine engine_lmdb_pwrite = VARIANT("lmdb-pwrite", 1, store_open_pwrite);
const struct bench_engine engine_lmdb_nosync = VARIANT("lmdb-nosync", 0, store_open_nosync);
const struct bench_engine engine_lmdb_async = VARIANT("lmdb-async", 0, store_open_async);
