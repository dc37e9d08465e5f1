/* SPDX-License-Identifier: BSD-3-Clause */
/* engine_rocksdb.c - RocksDB: a write transaction is a batch, written with sync; a read transaction
 * is a snapshot. */
#include <errno.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "files.h"

extern const struct bench_engine engine_rocksdb;

struct shared {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_writeoptions_t *sync;
};

struct store { /* a session */
	struct shared *shared;
	rocksdb_readoptions_t *reading;
	rocksdb_writebatch_t *batch;
	const rocksdb_snapshot_t *snapshot;
	rocksdb_pinnableslice_t *pinned; /* what the last get gave */
	rocksdb_iterator_t *cursor;
};

static const char *store_version(void)
{
	return BENCH_ROCKSDB_VERSION;
}

static const char *store_errmsg(int err)
{
	return strerror(err);
}

/* message_end - print and free an engine's message. Returns EIO when there was one. */
static int message_end(char *message)
{
	if (!message)
		return 0;
	fprintf(stderr, "bench: rocksdb: %s\n", message);
	rocksdb_free(message);
	return EIO;
}

static rocksdb_options_t *options_make(const struct bench_config *config, int create)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_cache_t *cache = rocksdb_cache_create_lru(config->file_size);

	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom(10));
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_cache_destroy(cache); /* the table options hold it */
	rocksdb_block_based_options_destroy(table);
	rocksdb_options_set_create_if_missing(options, create != 0);
	rocksdb_options_set_error_if_exists(options, create != 0);
	rocksdb_options_set_compression(options, rocksdb_no_compression);
	return options;
}

static void store_session_close(void *session)
{
	struct store *s = session;

	rocksdb_pinnableslice_destroy(s->pinned);
	rocksdb_writebatch_destroy(s->batch);
	rocksdb_readoptions_destroy(s->reading);
	free(s);
}

static int session_make(struct shared *shared, void **session)
{
	struct store *s = calloc(1, sizeof *s);

	if (!s)
		return ENOMEM;
	s->shared = shared;
	s->reading = rocksdb_readoptions_create();
	s->batch = rocksdb_writebatch_create();
	*session = s;
	return 0;
}

static void shared_close(struct shared *shared)
{
	if (shared->db)
		rocksdb_close(shared->db);
	rocksdb_writeoptions_destroy(shared->sync);
	rocksdb_options_destroy(shared->options);
	free(shared);
}

static int store_open(const struct bench_config *config, const char *dir, int create,
                      void **session)
{
	struct shared *shared = calloc(1, sizeof *shared);
	char *message = NULL;
	int err;

	if (!shared)
		return ENOMEM;
	shared->options = options_make(config, create);
	shared->sync = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(shared->sync, 1);
	shared->db = rocksdb_open(shared->options, dir, &message);
	err = message_end(message);
	if (!err)
		err = session_make(shared, session);
	if (err)
		shared_close(shared);
	return err;
}

static int store_relax(void *session, int on)
{
	rocksdb_writeoptions_set_sync(((struct store *)session)->shared->sync, !on);
	return 0;
}

static int store_sync(void *session)
{
	char *message = NULL;

	rocksdb_flush_wal(((struct store *)session)->shared->db, 1, &message);
	return message_end(message);
}

static int store_close(void *session)
{
	struct shared *shared = ((struct store *)session)->shared;

	store_session_close(session);
	shared_close(shared);
	return 0;
}

static int store_session_open(void *session, void **another)
{
	return session_make(((struct store *)session)->shared, another);
}

static int store_begin(void *session, int write)
{
	struct store *s = session;

	if (write) {
		rocksdb_writebatch_clear(s->batch);
		return 0;
	}
	s->snapshot = rocksdb_create_snapshot(s->shared->db);
	rocksdb_readoptions_set_snapshot(s->reading, s->snapshot);
	return 0;
}

static int store_commit(void *session)
{
	struct store *s = session;
	char *message = NULL;

	rocksdb_write(s->shared->db, s->shared->sync, s->batch, &message);
	return message_end(message);
}

static void store_abort(void *session)
{
	struct store *s = session;

	rocksdb_writebatch_clear(s->batch);
	if (s->snapshot) {
		rocksdb_readoptions_set_snapshot(s->reading, NULL);
		rocksdb_release_snapshot(s->shared->db, s->snapshot);
		s->snapshot = NULL;
	}
}

static int store_put(void *session, struct bench_bytes key, struct bench_bytes value, int append)
{
	struct store *s = session;

	(void)append;
	rocksdb_writebatch_put(s->batch, key.data, key.size, value.data, value.size);
	return 0;
}

static int store_del(void *session, struct bench_bytes key)
{
	struct store *s = session;

	rocksdb_writebatch_delete(s->batch, key.data, key.size);
	return 0;
}

static int store_get(void *session, struct bench_bytes key, struct bench_bytes *value)
{
	struct store *s = session;
	char *message = NULL;
	int err;

	rocksdb_pinnableslice_destroy(s->pinned);
	s->pinned = rocksdb_get_pinned(s->shared->db, s->reading, key.data, key.size, &message);
	err = message_end(message);
	if (err)
		return err;
	if (!s->pinned)
		return BENCH_END;
	value->data = rocksdb_pinnableslice_value(s->pinned, &value->size);
	return 0;
}

static int store_cursor_open(void *session)
{
	struct store *s = session;

	s->cursor = rocksdb_create_iterator(s->shared->db, s->reading);
	return 0;
}

static void store_cursor_close(void *session)
{
	struct store *s = session;

	rocksdb_iter_destroy(s->cursor);
	s->cursor = NULL;
}

static int store_move(void *session, enum bench_move move, struct bench_bytes *key,
                      struct bench_bytes *value)
{
	struct store *s = session;
	char *message = NULL;
	int err;

	if (move == BENCH_FIRST)
		rocksdb_iter_seek_to_first(s->cursor);
	else if (move == BENCH_LAST)
		rocksdb_iter_seek_to_last(s->cursor);
	else if (move == BENCH_SEEK)
		rocksdb_iter_seek(s->cursor, key->data, key->size);
	else if (move == BENCH_NEXT)
		rocksdb_iter_next(s->cursor);
	else
		rocksdb_iter_prev(s->cursor);
	if (!rocksdb_iter_valid(s->cursor)) {
		rocksdb_iter_get_error(s->cursor, &message);
		err = message_end(message);
		return err ? err : BENCH_END;
	}
	key->data = rocksdb_iter_key(s->cursor, &key->size);
	value->data = rocksdb_iter_value(s->cursor, &value->size);
	return 0;
}

static const char *store_durability(void *session)
{
	(void)session;
	return "write-ahead log, fdatasync at every commit; no compression, block cache as large "
	       "as the data, bloom filter";
}

const struct bench_engine engine_rocksdb = {
    .name = "rocksdb",
    .counts_writes = 1,
    .background = 1,
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
    .durability = store_durability,
};
