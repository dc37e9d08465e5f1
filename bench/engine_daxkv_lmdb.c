/* SPDX-License-Identifier: BSD-3-Clause */
/* engine_daxkv_lmdb.c - daxkv by LMDB's interface: its liblmdb.so.0, from the directory lmdb beside
 * this program. LMDB itself is linked, so this one is loaded. */
#include <dlfcn.h>
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "files.h"

extern const struct bench_engine engine_daxkv_lmdb;

/* clang-format off */
#define FUNCTIONS(F) \
	F(mdb_version) F(mdb_strerror) F(mdb_env_create) \
	F(mdb_env_open) F(mdb_env_close) F(mdb_env_set_mapsize) \
	F(mdb_env_info) F(mdb_txn_begin) F(mdb_txn_commit) \
	F(mdb_txn_abort) F(mdb_dbi_open) F(mdb_put) \
	F(mdb_get) F(mdb_del) F(mdb_cursor_open) \
	F(mdb_cursor_get) F(mdb_cursor_close) F(mdb_env_set_flags) \
	F(mdb_env_sync)
/* clang-format on */

static struct {
	void *library;
#define POINTER(name) __typeof__(name) *name;
	FUNCTIONS(POINTER)
#undef POINTER
} f;

struct store {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *txn;
	MDB_cursor *cursor;
};

/* library_load - once; ENOENT when it is not where the build puts it. */
static int library_load(void)
{
	char path[BENCH_PATH + 32];
	ssize_t n;

	if (f.library)
		return 0;
	n = readlink("/proc/self/exe", path, BENCH_PATH);
	if (n < 0)
		return errno;
	path[n] = '\0';
	char *slash = strrchr(path, '/');

	strcpy(slash ? slash : path, "/lmdb/liblmdb.so.0");
	f.library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	if (!f.library)
		return ENOENT;
#define FIND(name)                                                                                 \
	do {                                                                                       \
		void *found = dlsym(f.library, #name);                                             \
		if (!found)                                                                        \
			return ENOSYS;                                                             \
		memcpy(&f.name, &found, sizeof found);                                             \
	} while (0);
	FUNCTIONS(FIND)
#undef FIND
	return 0;
}

static const char *store_version(void)
{
	return library_load() ? "not found: make builds it" : f.mdb_version(NULL, NULL, NULL);
}

static const char *store_errmsg(int err)
{
	return f.library ? f.mdb_strerror(err)
	                 : "there is no lmdb/liblmdb.so.0 beside this program";
}

/* file_fill - a large value, put and deleted: the file then has its size, as daxkv's own has from
 * the start. */
static int file_fill(struct store *s, uint64_t size)
{
	char name[] = "room";
	MDB_val k = {sizeof name, name}, v = {size, NULL};

	for (int i = 0; i < 4; i++) { /* what one commit frees can be used two commits later */
		MDB_txn *txn;
		int err = f.mdb_txn_begin(s->env, NULL, 0, &txn);

		if (err)
			return err;
		if (i % 2 == 0) {
			v.mv_size = i ? 1 : size;
			err = f.mdb_put(txn, s->dbi, &k, &v, MDB_RESERVE);
			if (!err)
				memset(v.mv_data, 0, v.mv_size);
		} else {
			err = f.mdb_del(txn, s->dbi, &k, NULL);
		}
		if (err)
			f.mdb_txn_abort(txn);
		else
			err = f.mdb_txn_commit(txn);
		if (err)
			return err;
	}
	return 0;
}

static int store_start(const struct bench_config *config, const char *dir, struct store *s)
{
	char path[BENCH_PATH];
	int err = f.mdb_env_set_mapsize(s->env, config->file_size);

	files_name(dir, "store", path);
	if (!err)
		err = f.mdb_env_open(s->env, path, MDB_NOSUBDIR, 0664);
	if (!err)
		err = f.mdb_txn_begin(s->env, NULL, 0, &s->txn);
	if (err)
		return err;
	err = f.mdb_dbi_open(s->txn, NULL, 0, &s->dbi);
	if (err)
		f.mdb_txn_abort(s->txn);
	else
		err = f.mdb_txn_commit(s->txn);
	s->txn = NULL;
	return err;
}

static int store_open(const struct bench_config *config, const char *dir, int create, void **out)
{
	int err = library_load();
	struct store *s;

	if (err)
		return err;
	if (setenv("DAXKV_PMEM", config->pmem, 1) != 0)
		return errno;
	s = calloc(1, sizeof *s);
	if (!s)
		return ENOMEM;
	err = f.mdb_env_create(&s->env);
	if (!err) {
		err = store_start(config, dir, s);
		if (!err && create)
			err = file_fill(s, config->file_size / 8 * 7);
		if (err)
			f.mdb_env_close(s->env);
	}
	if (err)
		free(s);
	else
		*out = s;
	return err;
}

static int store_close(void *store)
{
	struct store *s = store;

	f.mdb_env_close(s->env);
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

	return f.mdb_txn_begin(s->env, NULL, write ? 0 : MDB_RDONLY, &s->txn);
}

static int store_commit(void *store)
{
	struct store *s = store;
	MDB_txn *txn = s->txn;

	s->txn = NULL;
	return f.mdb_txn_commit(txn);
}

static void store_abort(void *store)
{
	struct store *s = store;

	if (s->txn)
		f.mdb_txn_abort(s->txn);
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

	return f.mdb_put(s->txn, s->dbi, &k, &v, append ? MDB_APPEND : 0);
}

static int store_del(void *store, struct bench_bytes key)
{
	struct store *s = store;
	MDB_val k = val_of(key);

	return f.mdb_del(s->txn, s->dbi, &k, NULL);
}

static int store_get(void *store, struct bench_bytes key, struct bench_bytes *value)
{
	struct store *s = store;
	MDB_val k = val_of(key), v;
	int err = f.mdb_get(s->txn, s->dbi, &k, &v);

	if (err)
		return err == MDB_NOTFOUND ? BENCH_END : err;
	*value = (struct bench_bytes){v.mv_data, v.mv_size};
	return 0;
}

static int store_cursor_open(void *store)
{
	struct store *s = store;

	return f.mdb_cursor_open(s->txn, s->dbi, &s->cursor);
}

static void store_cursor_close(void *store)
{
	struct store *s = store;

	f.mdb_cursor_close(s->cursor);
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
	int err = f.mdb_cursor_get(s->cursor, &k, &v, ops[move]);

	if (err)
		return err == MDB_NOTFOUND ? BENCH_END : err;
	*key = (struct bench_bytes){k.mv_data, k.mv_size};
	*value = (struct bench_bytes){v.mv_data, v.mv_size};
	return 0;
}

static int store_space(void *store, uint64_t *bytes)
{
	struct store *s = store;
	MDB_envinfo info;
	int err = f.mdb_env_info(s->env, &info);

	if (!err)
		*bytes = (info.me_last_pgno + 1) * 4096;
	return err;
}

static int store_relax(void *store, int on)
{
	return f.mdb_env_set_flags(((struct store *)store)->env, MDB_NOSYNC, on);
}

static int store_sync(void *store)
{
	return f.mdb_env_sync(((struct store *)store)->env, 1);
}

static const char *store_durability(void *store)
{
	(void)store;
	return "as daxkv: by LMDB's interface";
}

const struct bench_engine engine_daxkv_lmdb = {
    .name = "daxkv-lmdb",
    .version = store_version,
    .errmsg = store_errmsg,
    .open = store_open,
    .close = store_close,
    .session_open = store_session_open,
    .session_close = store_session_close,
    .begin = store_begin,
    .commit = store_commit,
    .abort = store_abort,
    .relax = store_relax,
    .sync = store_sync,
    .put = store_put,
    .del = store_del,
    .get = store_get,
    .cursor_open = store_cursor_open,
    .cursor_close = store_cursor_close,
    .move = store_move,
    .space = store_space,
    .durability = store_durability,
};
