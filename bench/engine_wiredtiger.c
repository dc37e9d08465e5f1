/* SPDX-License-Identifier: BSD-3-Clause */
/* engine_wiredtiger.c - WiredTiger: one table of raw bytes, its log synced at every commit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wiredtiger.h>

#include "bench.h"
#include "files.h"

extern const struct bench_engine engine_wiredtiger;

#define TABLE "table:kv"

struct store { /* a session */
	WT_CONNECTION *connection;
	WT_SESSION *session;
	WT_CURSOR *records; /* for put, del and get */
	WT_CURSOR *cursor;
	int running; /* a transaction */
	int relaxed; /* commits do not wait for the log */
};

static const char *store_version(void)
{
	return wiredtiger_version(NULL, NULL, NULL);
}

static const char *store_errmsg(int err)
{
	return wiredtiger_strerror(err);
}

static void store_session_close(void *session)
{
	struct store *s = session;

	if (s->session)
		(void)s->session->close(s->session, NULL);
	free(s);
}

static int session_make(WT_CONNECTION *connection, int create, void **session)
{
	struct store *s = calloc(1, sizeof *s);
	int err;

	if (!s)
		return ENOMEM;
	s->connection = connection;
	err = connection->open_session(connection, NULL, "isolation=snapshot", &s->session);
	if (!err && create)
		err = s->session->create(s->session, TABLE, "key_format=u,value_format=u");
	if (!err)
		err = s->session->open_cursor(s->session, TABLE, NULL, NULL, &s->records);
	if (err) {
		store_session_close(s);
		return err;
	}
	*session = s;
	return 0;
}

static int store_open(const struct bench_config *config, const char *dir, int create,
                      void **session)
{
	WT_CONNECTION *connection;
	char setup[256];
	int err;

	(void)snprintf(setup, sizeof setup,
	               "create,cache_size=%lluMB,log=(enabled=true),transaction_sync=(enabled=true,"
	               "method=fsync)",
	               (unsigned long long)(2 * config->file_size >> 20));
	err = wiredtiger_open(dir, NULL, setup, &connection);
	if (err)
		return err;
	err = session_make(connection, create, session);
	if (err)
		(void)connection->close(connection, NULL);
	return err;
}

static int store_close(void *session)
{
	WT_CONNECTION *connection = ((struct store *)session)->connection;

	store_session_close(session);
	return connection->close(connection, NULL);
}

static int store_session_open(void *session, void **another)
{
	return session_make(((struct store *)session)->connection, 0, another);
}

static int store_begin(void *session, int write)
{
	struct store *s = session;
	int err = s->session->begin_transaction(s->session, NULL);

	(void)write;
	s->running = !err;
	return err;
}

static int store_commit(void *session)
{
	struct store *s = session;

	s->running = 0;
	return s->session->commit_transaction(s->session, s->relaxed ? "sync=off" : NULL);
}

static int store_relax(void *session, int on)
{
	((struct store *)session)->relaxed = on;
	return 0;
}

static int store_sync(void *session)
{
	struct store *s = session;

	return s->session->log_flush(s->session, "sync=on");
}

static void store_abort(void *session)
{
	struct store *s = session;

	if (s->running)
		(void)s->session->rollback_transaction(s->session, NULL);
	s->running = 0;
}

static WT_ITEM item_of(struct bench_bytes b)
{
	return (WT_ITEM){.data = b.data, .size = b.size};
}

static int store_put(void *session, struct bench_bytes key, struct bench_bytes value, int append)
{
	struct store *s = session;
	WT_ITEM k = item_of(key), v = item_of(value);

	(void)append; /* its append option is for record numbers */
	s->records->set_key(s->records, &k);
	s->records->set_value(s->records, &v);
	return s->records->insert(s->records);
}

static int store_del(void *session, struct bench_bytes key)
{
	struct store *s = session;
	WT_ITEM k = item_of(key);

	s->records->set_key(s->records, &k);
	return s->records->remove(s->records);
}

static int store_get(void *session, struct bench_bytes key, struct bench_bytes *value)
{
	struct store *s = session;
	WT_ITEM k = item_of(key), v;
	int err;

	s->records->set_key(s->records, &k);
	err = s->records->search(s->records);
	if (!err)
		err = s->records->get_value(s->records, &v);
	if (err)
		return err == WT_NOTFOUND ? BENCH_END : err;
	*value = (struct bench_bytes){v.data, v.size};
	return 0;
}

static int store_cursor_open(void *session)
{
	struct store *s = session;

	return s->session->open_cursor(s->session, TABLE, NULL, NULL, &s->cursor);
}

static void store_cursor_close(void *session)
{
	struct store *s = session;

	(void)s->cursor->close(s->cursor);
	s->cursor = NULL;
}

/* cursor_seek - at key or the first after it. */
static int cursor_seek(WT_CURSOR *cursor, struct bench_bytes key)
{
	WT_ITEM k = item_of(key);
	int exact, err;

	cursor->set_key(cursor, &k);
	err = cursor->search_near(cursor, &exact);
	return err || exact >= 0 ? err : cursor->next(cursor);
}

static int store_move(void *session, enum bench_move move, struct bench_bytes *key,
                      struct bench_bytes *value)
{
	WT_CURSOR *cursor = ((struct store *)session)->cursor;
	WT_ITEM k, v;
	int err = 0;

	if (move == BENCH_FIRST || move == BENCH_LAST)
		err = cursor->reset(cursor);
	if (!err && move == BENCH_SEEK)
		err = cursor_seek(cursor, *key);
	else if (!err)
		err = move == BENCH_FIRST || move == BENCH_NEXT ? cursor->next(cursor)
		                                                : cursor->prev(cursor);
	if (!err)
		err = cursor->get_key(cursor, &k);
	if (!err)
		err = cursor->get_value(cursor, &v);
	if (err)
		return err == WT_NOTFOUND ? BENCH_END : err;
	*key = (struct bench_bytes){k.data, k.size};
	*value = (struct bench_bytes){v.data, v.size};
	return 0;
}

static const char *store_durability(void *session)
{
	(void)session;
	return "log with transaction_sync = fsync at every commit; cache twice the data; no "
	       "compression";
}

const struct bench_engine engine_wiredtiger = {
    .name = "wiredtiger",
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
    .relax = store_relax,
    .sync = store_sync,
    .abort = store_abort,
    .put = store_put,
    .del = store_del,
    .get = store_get,
    .cursor_open = store_cursor_open,
    .cursor_close = store_cursor_close,
    .move = store_move,
    .durability = store_durability,
};
