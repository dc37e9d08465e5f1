/* SPDX-License-Identifier: BSD-3-Clause */
/* engine_leveldb.c - LevelDB: a write transaction is a batch, written with sync; a read transaction
 * is a snapshot. */
#include <errno.h>
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "files.h"

extern const struct bench_engine engine_leveldb;

struct shared {
	leveldb_t *db;
	leveldb_options_t *options;
	leveldb_cache_t *cache;
	leveldb_filterpolicy_t *filter;
	leveldb_writeoptions_t *sync;
};

struct store { /* a session */
	struct shared *shared;
	leveldb_readoptions_t *reading;
	leveldb_writebatch_t *batch;
	const leveldb_snapshot_t *snapshot;
	char *got; /* what the last get gave */
	leveldb_iterator_t *cursor;
};

static const char *store_version(void)
{
	static char text[40];

	(void)snprintf(text, sizeof text, "LevelDB %d.%d", leveldb_major_version(),
	               leveldb_minor_version());
	return text;
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
	fprintf(stderr, "bench: leveldb: %s\n", message);
	leveldb_free(message);
	return EIO;
}

static void options_make(const struct bench_config *config, int create, struct shared *shared)
{
	shared->options = leveldb_options_create();
	shared->cache = leveldb_cache_create_lru(config->file_size);
	shared->filter = leveldb_filterpolicy_create_bloom(10);
	leveldb_options_set_cache(shared->options, shared->cache);
	leveldb_options_set_filter_policy(shared->options, shared->filter);
	leveldb_options_set_write_buffer_size(shared->options, 64u << 20);
	leveldb_options_set_create_if_missing(shared->options, create != 0);
	leveldb_options_set_error_if_exists(shared->options, create != 0);
	leveldb_options_set_compression(shared->options, leveldb_no_compression);
}

static void store_session_close(void *session)
{
	struct store *s = session;

	leveldb_free(s->got);
	leveldb_writebatch_destroy(s->batch);
	leveldb_readoptions_destroy(s->reading);
	free(s);
}

static int session_make(struct shared *shared, void **session)
{
	struct store *s = calloc(1, sizeof *s);

	if (!s)
		return ENOMEM;
	s->shared = shared;
	s->reading = leveldb_readoptions_create();
	s->batch = leveldb_writebatch_create();
	*session = s;
	return 0;
}

static void shared_close(struct shared *shared)
{
	if (shared->db)
		leveldb_close(shared->db);
	leveldb_writeoptions_destroy(shared->sync);
	leveldb_options_destroy(shared->options);
	leveldb_filterpolicy_destroy(shared->filter);
	leveldb_cache_destroy(shared->cache);
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
	options_make(config, create, shared);
	shared->sync = leveldb_writeoptions_create();
	leveldb_writeoptions_set_sync(shared->sync, 1);
	shared->db = leveldb_open(shared->options, dir, &message);
	err = message_end(message);
	if (!err)
		err = session_make(shared, session);
	if (err)
		shared_close(shared);
	return err;
}

static int store_relax(void *session, int on)
{
	leveldb_writeoptions_set_sync(((struct store *)session)->shared->sync, !on);
	return 0;
}

/* store_sync - an empty batch with sync: the log is one file, so it takes the ones before along. */
static int store_sync(void *session)
{
	struct shared *shared = ((struct store *)session)->shared;
	leveldb_writebatch_t *empty = leveldb_writebatch_create();
	char *message = NULL;

	leveldb_writeoptions_set_sync(shared->sync, 1);
	leveldb_write(shared->db, shared->sync, empty, &message);
	leveldb_writebatch_destroy(empty);
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
		leveldb_writebatch_clear(s->batch);
		return 0;
	}
	s->snapshot = leveldb_create_snapshot(s->shared->db);
	leveldb_readoptions_set_snapshot(s->reading, s->snapshot);
	return 0;
}

static int store_commit(void *session)
{
	struct store *s = session;
	char *message = NULL;

	leveldb_write(s->shared->db, s->shared->sync, s->batch, &message);
	return message_end(message);
}

static void store_abort(void *session)
{
	struct store *s = session;

	leveldb_writebatch_clear(s->batch);
	if (s->snapshot) {
		leveldb_readoptions_set_snapshot(s->reading, NULL);
		leveldb_release_snapshot(s->shared->db, s->snapshot);
		s->snapshot = NULL;
	}
}

static int store_put(void *session, struct bench_bytes key, struct bench_bytes value, int append)
{
	struct store *s = session;

	(void)append;
	leveldb_writebatch_put(s->batch, key.data, key.size, value.data, value.size);
	return 0;
}

static int store_del(void *session, struct bench_bytes key)
{
	struct store *s = session;

	leveldb_writebatch_delete(s->batch, key.data, key.size);
	return 0;
}

static int store_get(void *session, struct bench_bytes key, struct bench_bytes *value)
{
	struct store *s = session;
	char *message = NULL;
	int err;

	leveldb_free(s->got);
	s->got = leveldb_get(s->shared->db, s->reading, key.data, key.size, &value->size, &message);
	err = message_end(message);
	if (err)
		return err;
	if (!s->got)
		return BENCH_END;
	value->data = s->got;
	return 0;
}

static int store_cursor_open(void *session)
{
	struct store *s = session;

	s->cursor = leveldb_create_iterator(s->shared->db, s->reading);
	return 0;
}

static void store_cursor_close(void *session)
{
	struct store *s = session;

	leveldb_iter_destroy(s->cursor);
	s->cursor = NULL;
}

static int store_move(void *session, enum bench_move move, struct bench_bytes *key,
                      struct bench_bytes *value)
{
	struct store *s = session;
	char *message = NULL;
	int err;

	if (move == BENCH_FIRST)
		leveldb_iter_seek_to_first(s->cursor);
	else if (move == BENCH_LAST)
		leveldb_iter_seek_to_last(s->cursor);
	else if (move == BENCH_SEEK)
		leveldb_iter_seek(s->cursor, key->data, key->size);
	else if (move == BENCH_NEXT)
		leveldb_iter_next(s->cursor);
	else
		leveldb_iter_prev(s->cursor);
	if (!leveldb_iter_valid(s->cursor)) {
		leveldb_iter_get_error(s->cursor, &message);
		err = message_end(message);
		return err ? err : BENCH_END;
	}
	key->data = leveldb_iter_key(s->cursor, &key->size);
	value->data = leveldb_iter_value(s->cursor, &value->size);
	return 0;
}

static const char *store_durability(void *session)
{
	(void)session;
	return "write-ahead log, fdatasync at every commit; no compression, block cache as large "
	       "as the data, write buffer of 64 MiB, bloom filter";
}

const struct bench_engine engine_leveldb = {
    .name = "leveldb",
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
