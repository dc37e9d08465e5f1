/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "daxkv.h"
#include "files.h"

extern const struct bench_engine engine_daxkv;

struct store {
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	struct daxkv_cursor *cursor;
};

static const char *store_errmsg(int err)
{
	const char *msg = daxkv_errmsg();

	return msg && msg[0] ? msg : daxkv_strerror(err);
}

static int store_open(const struct bench_config *config, const char *dir, int create, void **out)
{
	struct daxkv_options options = {
	    .flags = (create ? DAXKV_CREATE | DAXKV_EXCLUSIVE | DAXKV_POPULATE : 0u) |
	             DAXKV_GROUP_COMMIT,
	    .initial_size = config->file_size};
	struct store *s = calloc(1, sizeof *s);
	char path[BENCH_PATH];
	int err;

	if (!s)
		return ENOMEM;
	files_name(dir, "store", path);
	options.pmem = DAXKV_PMEM_AUTO;
	if (strcmp(config->pmem, "force") == 0)
		options.pmem = DAXKV_PMEM_FORCE;
	else if (strcmp(config->pmem, "file") == 0)
		options.pmem = DAXKV_PMEM_FILE;
	err = daxkv_open(path, &options, &s->store);
	if (err) {
		free(s);
		return err;
	}
	*out = s;
	return 0;
}

static int store_close(void *store)
{
	struct store *s = store;
	int err = daxkv_close(s->store);

	free(s);
	return err;
}

static int store_session_open(void *session, void **another)
{
	struct store *s = calloc(1, sizeof *s);

	if (!s)
		return ENOMEM;
	s->store = ((struct store *)session)->store;
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

	return daxkv_txn_begin(s->store, NULL, write ? 0 : DAXKV_TXN_READ_ONLY, &s->txn);
}

static int store_commit(void *store)
{
	struct store *s = store;
	struct daxkv_txn *txn = s->txn;

	s->txn = NULL;
	return daxkv_txn_commit(txn);
}

static void store_abort(void *store)
{
	struct store *s = store;

	if (s->txn)
		daxkv_txn_abort(s->txn);
	s->txn = NULL;
}

static int store_relax(void *store, int on)
{
	return daxkv_set_durability(((struct store *)store)->store,
	                            on ? DAXKV_LAZY : DAXKV_DURABLE);
}

static int store_sync(void *store)
{
	return daxkv_sync(((struct store *)store)->store);
}

/* val_of - the interface takes one struct for input and output; input bytes are not written. */
static struct daxkv_val val_of(struct bench_bytes b)
{
	union {
		const void *in;
		void *out;
	} data = {b.data};

	return (struct daxkv_val){b.size, data.out};
}

static int store_put(void *store, struct bench_bytes key, struct bench_bytes value, int append)
{
	struct store *s = store;
	struct daxkv_val k = val_of(key), v = val_of(value);

	return daxkv_put(s->txn, DAXKV_MAIN, &k, &v, append ? DAXKV_APPEND : 0);
}

static int store_del(void *store, struct bench_bytes key)
{
	struct store *s = store;
	struct daxkv_val k = val_of(key);

	return daxkv_del(s->txn, DAXKV_MAIN, &k, NULL);
}

static int store_get(void *store, struct bench_bytes key, struct bench_bytes *value)
{
	struct store *s = store;
	struct daxkv_val k = val_of(key), v;
	int err = daxkv_get(s->txn, DAXKV_MAIN, &k, &v);

	if (err)
		return err == DAXKV_NOT_FOUND ? BENCH_END : err;
	*value = (struct bench_bytes){v.data, v.size};
	return 0;
}

static int store_cursor_open(void *store)
{
	struct store *s = store;

	return daxkv_cursor_open(s->txn, DAXKV_MAIN, &s->cursor);
}

static void store_cursor_close(void *store)
{
	struct store *s = store;

	daxkv_cursor_close(s->cursor);
	s->cursor = NULL;
}

static int store_move(void *store, enum bench_move move, struct bench_bytes *key,
                      struct bench_bytes *value)
{
	static const enum daxkv_cursor_op ops[] = {
	    [BENCH_FIRST] = DAXKV_FIRST, [BENCH_LAST] = DAXKV_LAST,    [BENCH_NEXT] = DAXKV_NEXT,
	    [BENCH_PREV] = DAXKV_PREV,   [BENCH_SEEK] = DAXKV_SEEK_GE,
	};
	struct store *s = store;
	struct daxkv_val k = val_of(*key), v;
	int err = daxkv_cursor_get(s->cursor, &k, &v, ops[move]);

	if (err)
		return err == DAXKV_NOT_FOUND ? BENCH_END : err;
	*key = (struct bench_bytes){k.data, k.size};
	*value = (struct bench_bytes){v.data, v.size};
	return 0;
}

static int store_get_many(void *store, unsigned int n, const struct bench_bytes *keys,
                          struct bench_bytes *values)
{
	struct daxkv_val k[BENCH_READ_MANY] = {{0}}, v[BENCH_READ_MANY];
	int result[BENCH_READ_MANY], err;
	struct store *s = store;

	for (unsigned int i = 0; i < n; i++)
		k[i] = val_of(keys[i]);
	err = daxkv_get_many(s->txn, DAXKV_MAIN, n, k, v, result);
	for (unsigned int i = 0; i < n && !err; i++) {
		err = result[i];
		values[i] = (struct bench_bytes){v[i].data, v[i].size};
	}
	return err;
}

static int store_put_many(void *store, unsigned int n, const struct bench_bytes *keys,
                          const struct bench_bytes *values)
{
	struct store *s = store;
	static struct daxkv_val k[BENCH_TXN], v[BENCH_TXN]; /* one thread writes */
	static int result[BENCH_TXN];
	int err;

	for (unsigned int i = 0; i < n; i++) {
		k[i] = val_of(keys[i]);
		v[i] = val_of(values[i]);
	}
	err = daxkv_put_many(s->txn, DAXKV_MAIN, n, k, v, 0, result);
	for (unsigned int i = 0; i < n && !err; i++)
		err = result[i];
	return err;
}

struct source {
	bench_next_fn *next;
	void *arg;
};

static int source_next(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	struct source *from = arg;
	struct bench_bytes k, v;
	int err = from->next(from->arg, &k, &v);

	if (err)
		return err == BENCH_END ? DAXKV_NOT_FOUND : err;
	*key = val_of(k);
	*value = val_of(v);
	return 0;
}

static int store_load(void *store, bench_next_fn *next, void *arg)
{
	struct store *s = store;
	struct source source = {next, arg};

	return daxkv_bulk_load(s->txn, DAXKV_MAIN, 100, source_next, &source,
	                       NULL); /* as full as LMDB's APPEND leaves its pages */
}

static int store_read_many(void *store, enum bench_move move, unsigned int n,
                           struct bench_bytes *keys, struct bench_bytes *values, unsigned int *got)
{
	struct store *s = store;
	struct daxkv_val k[BENCH_READ_MANY], v[BENCH_READ_MANY];
	size_t count;
	int err = daxkv_cursor_get_many(s->cursor, move == BENCH_NEXT ? DAXKV_NEXT : DAXKV_PREV,
	                                NULL, n, k, v, &count);

	if (err)
		return err == DAXKV_NOT_FOUND ? BENCH_END : err;
	for (size_t i = 0; i < count; i++) {
		keys[i] = (struct bench_bytes){k[i].data, k[i].size};
		values[i] = (struct bench_bytes){v[i].data, v[i].size};
	}
	*got = (unsigned int)count;
	return 0;
}

static int store_del_range(void *store, struct bench_bytes from, struct bench_bytes to)
{
	struct store *s = store;
	struct daxkv_val first = val_of(from), end = val_of(to);

	return daxkv_del_range(s->txn, DAXKV_MAIN, &first, &end, NULL);
}

static int store_space(void *store, uint64_t *bytes)
{
	struct store *s = store;
	struct daxkv_info info;
	int err = daxkv_info(s->store, &info);

	if (!err)
		*bytes = info.used_bytes;
	return err;
}

static const char *store_durability(void *store)
{
	struct store *s = store;
	struct daxkv_info info;

	return daxkv_info(s->store, &info) == 0 ? info.durability : "unknown";
}

static int store_emulated(void *store)
{
	struct store *s = store;
	struct daxkv_info info;

	return daxkv_info(s->store, &info) == 0 && info.medium == DAXKV_MEDIUM_EMULATED;
}

static void store_counts(void *store, struct bench_counts *counts)
{
	struct store *s = store;
	struct daxkv_counters c;

	daxkv_counters(s->store, &c);
	*counts = (struct bench_counts){c.fences, c.lines_flushed, c.lines_streamed, c.grows};
}

const struct bench_engine engine_daxkv = {
    .name = "daxkv",
    .counts_writes = 1,
    .version = daxkv_version,
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
    .get_many = store_get_many,
    .put_many = store_put_many,
    .load = store_load,
    .read_many = store_read_many,
    .del_range = store_del_range,
    .space = store_space,
    .durability = store_durability,
    .emulated = store_emulated,
    .counts = store_counts,
};
