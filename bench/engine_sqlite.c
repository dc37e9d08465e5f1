/* SPDX-License-Identifier: BSD-3-Clause */
/* engine_sqlite.c - SQLite in WAL mode: one table without rowids whose primary key is a blob, and
 * prepared statements. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "files.h"

extern const struct bench_engine engine_sqlite;

enum statement {
	BEGIN,
	BEGIN_WRITE,
	COMMIT,
	ROLLBACK,
	PUT,
	DEL,
	GET,
	FORWARD,
	BACKWARD,
	SEEK,
	STATEMENTS
};

static const char *const sql[STATEMENTS] = {
    [BEGIN] = "BEGIN",
    [BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [PUT] = "INSERT INTO kv (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
    [DEL] = "DELETE FROM kv WHERE k = ?1",
    [GET] = "SELECT v FROM kv WHERE k = ?1",
    [FORWARD] = "SELECT k, v FROM kv ORDER BY k",
    [BACKWARD] = "SELECT k, v FROM kv ORDER BY k DESC",
    [SEEK] = "SELECT k, v FROM kv WHERE k >= ?1 ORDER BY k",
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	sqlite3_stmt *cursor; /* the one that NEXT and PREV step */
	int running;          /* a transaction */
	uint64_t mmap_size;
	char path[BENCH_PATH];
};

static const char *store_version(void)
{
	return "SQLite " SQLITE_VERSION;
}

static const char *store_errmsg(int err)
{
	return sqlite3_errstr(err);
}

static int statement_run(sqlite3_stmt *stmt)
{
	int err = sqlite3_step(stmt);

	(void)sqlite3_reset(stmt);
	return err == SQLITE_DONE || err == SQLITE_ROW ? 0 : err;
}

static int store_connect(struct store *s)
{
	char setup[512];
	int err =
	    sqlite3_open_v2(s->path, &s->db,
	                    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	if (err)
		return err;
	(void)snprintf(
	    setup, sizeof setup,
	    "PRAGMA busy_timeout = 60000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
	    "PRAGMA mmap_size = %llu; PRAGMA cache_size = -%llu;"
	    "CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
	    (unsigned long long)s->mmap_size, (unsigned long long)s->mmap_size / 2048);
	err = sqlite3_exec(s->db, setup, NULL, NULL, NULL);
	for (int i = 0; i < STATEMENTS && !err; i++)
		err = sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
		                         &s->statements[i], NULL);
	return err;
}

/* store_relax - with OFF nothing is written to the disk before a checkpoint with FULL. */
static int store_relax(void *session, int on)
{
	return sqlite3_exec(((struct store *)session)->db,
	                    on ? "PRAGMA synchronous = OFF" : "PRAGMA synchronous = FULL", NULL,
	                    NULL, NULL);
}

static int store_sync(void *session)
{
	struct store *s = session;
	int err = store_relax(s, 0);

	return err ? err
	           : sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL);
}

static void store_session_close(void *session)
{
	struct store *s = session;

	for (int i = 0; i < STATEMENTS; i++)
		(void)sqlite3_finalize(s->statements[i]);
	(void)sqlite3_close(s->db);
	free(s);
}

static int store_make(const char *path, uint64_t mmap_size, void **session)
{
	struct store *s = calloc(1, sizeof *s);
	int err;

	if (!s)
		return SQLITE_NOMEM;
	s->mmap_size = mmap_size;
	(void)snprintf(s->path, sizeof s->path, "%s", path);
	err = store_connect(s);
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
	char path[BENCH_PATH];

	(void)create;
	files_name(dir, "store", path);
	return store_make(path, 2 * config->file_size, session);
}

static int store_close(void *session)
{
	store_session_close(session);
	return 0;
}

static int store_session_open(void *session, void **another)
{
	const struct store *s = session;

	return store_make(s->path, s->mmap_size, another);
}

static int store_begin(void *session, int write)
{
	struct store *s = session;
	int err = statement_run(s->statements[write ? BEGIN_WRITE : BEGIN]);

	s->running = !err;
	return err;
}

static int store_commit(void *session)
{
	struct store *s = session;
	int err;

	/* A running query would keep the snapshot beyond the transaction's end. */
	(void)sqlite3_reset(s->statements[GET]);
	err = statement_run(s->statements[COMMIT]);
	s->running = err != 0;
	return err;
}

static void store_abort(void *session)
{
	struct store *s = session;

	/* A running query is ended first: its rows are in use until then. */
	(void)sqlite3_reset(s->statements[GET]);
	if (s->running)
		(void)statement_run(s->statements[ROLLBACK]);
	s->running = 0;
}

static int blob_bind(sqlite3_stmt *stmt, int i, struct bench_bytes b)
{
	return sqlite3_bind_blob64(stmt, i, b.data, b.size, SQLITE_STATIC);
}

static int store_put(void *session, struct bench_bytes key, struct bench_bytes value, int append)
{
	struct store *s = session;
	int err = blob_bind(s->statements[PUT], 1, key);

	(void)append; /* SQLite tries the end of the table by itself */
	if (!err)
		err = blob_bind(s->statements[PUT], 2, value);
	return err ? err : statement_run(s->statements[PUT]);
}

static int store_del(void *session, struct bench_bytes key)
{
	struct store *s = session;
	int err = blob_bind(s->statements[DEL], 1, key);

	if (!err)
		err = statement_run(s->statements[DEL]);
	if (!err && sqlite3_changes(s->db) != 1)
		err = SQLITE_NOTFOUND;
	return err;
}

static struct bench_bytes column(sqlite3_stmt *stmt, int i)
{
	const void *data = sqlite3_column_blob(stmt, i);

	return (struct bench_bytes){data, (size_t)sqlite3_column_bytes(stmt, i)};
}

static int store_get(void *session, struct bench_bytes key, struct bench_bytes *value)
{
	struct store *s = session;
	sqlite3_stmt *stmt = s->statements[GET];
	int err = sqlite3_reset(stmt);

	if (!err)
		err = blob_bind(stmt, 1, key);
	if (!err)
		err = sqlite3_step(stmt);
	if (err == SQLITE_ROW) {
		*value = column(stmt, 0);
		return 0;
	}
	return err == SQLITE_DONE ? BENCH_END : err;
}

static int store_cursor_open(void *session)
{
	struct store *s = session;

	s->cursor = NULL;
	return 0;
}

static void store_cursor_close(void *session)
{
	struct store *s = session;

	(void)sqlite3_reset(s->cursor);
	s->cursor = NULL;
}

static int store_move(void *session, enum bench_move move, struct bench_bytes *key,
                      struct bench_bytes *value)
{
	struct store *s = session;
	int err = 0;

	if (move == BENCH_FIRST || move == BENCH_LAST || move == BENCH_SEEK) {
		(void)sqlite3_reset(s->cursor);
		s->cursor = s->statements[move == BENCH_FIRST  ? FORWARD
		                          : move == BENCH_LAST ? BACKWARD
		                                               : SEEK];
		if (move == BENCH_SEEK)
			err = blob_bind(s->cursor, 1, *key);
	}
	if (!err)
		err = sqlite3_step(s->cursor);
	if (err != SQLITE_ROW)
		return err == SQLITE_DONE ? BENCH_END : err;
	*key = column(s->cursor, 0);
	*value = column(s->cursor, 1);
	return 0;
}

static const char *store_durability(void *session)
{
	(void)session;
	return "WAL, synchronous = FULL: fdatasync at every commit; cache as large as the data, "
	       "mmap_size twice; table without rowids";
}

const struct bench_engine engine_sqlite = {
    .name = "sqlite",
    .counts_writes = 1,
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
