/* SPDX-License-Identifier: BSD-3-Clause */
/* read.c - phases that read, and those that read and write in turn. */
#include "awkward.h"

#include <stdio.h>

static void fill(struct job *j)
{
	job_fill_random(j, j->n);
}

static void get(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	for (uint64_t i = 0; i < j->n; i++)
		job_get(j, j->txn, job_mix(job_draw(j, j->n)));
	job_abort(j);
}

static void get_one(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	for (uint64_t i = 0; i < j->n; i++)
		job_get(j, j->txn, job_mix(7));
	job_abort(j);
}

static void get_missing(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	for (uint64_t i = 0; i < j->n; i++) {
		MDB_val k = job_key(j, job_mix(i) + 1), v;

		j->sum += j->mdb.mdb_get(j->txn, j->dbi, &k, &v) == MDB_NOTFOUND;
	}
	job_abort(j);
}

static void scan(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	job_cursor(j);
	while (job_move(j, MDB_NEXT) == 0)
		;
	job_cursor_end(j);
	job_abort(j);
}

static void back(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	job_cursor(j);
	while (job_move(j, MDB_PREV) == 0)
		;
	job_cursor_end(j);
	job_abort(j);
}

static void seek(struct job *j, unsigned int steps)
{
	job_begin(j, MDB_RDONLY);
	job_cursor(j);
	for (uint64_t i = 0; i < j->n; i++) {
		MDB_val k = job_key(j, job_mix(job_draw(j, j->n))), v;

		must(j, j->mdb.mdb_cursor_get(j->cursor, &k, &v, MDB_SET_RANGE), "cursor_get");
		j->sum += v.mv_size;
		for (unsigned int s = 0; s < steps; s++)
			(void)job_move(j, MDB_NEXT);
	}
	job_cursor_end(j);
	job_abort(j);
}

static void seek_1(struct job *j)
{
	seek(j, 0);
}

static void seek_10(struct job *j)
{
	seek(j, 10);
}

static void ends(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	job_cursor(j);
	for (uint64_t i = 0; i < j->n; i++)
		(void)job_move(j, i % 2 ? MDB_FIRST : MDB_LAST);
	job_cursor_end(j);
	job_abort(j);
}

static void cursor_each(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	for (uint64_t i = 0; i < j->n; i++) {
		job_cursor(j);
		(void)job_move(j, MDB_FIRST);
		job_cursor_end(j);
	}
	job_abort(j);
}

/* put_get - each put is read back in its transaction. */
static void put_get(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, job_mix(i));
		job_get(j, j->txn, job_mix(job_draw(j, i + 1)));
	}
	job_commit(j);
}

static void put_last(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, i);
		job_cursor(j);
		(void)job_move(j, MDB_LAST);
		job_cursor_end(j);
	}
	job_commit(j);
}

/* scan_dirty - of a transaction that has changed every entry. */
static void fill_dirty(struct job *j)
{
	job_fill_random(j, j->n);
	job_begin(j, 0);
	for (uint64_t i = 0; i < j->n; i++)
		job_put(j, job_mix(i));
}

static void scan_dirty(struct job *j)
{
	job_cursor(j);
	while (job_move(j, MDB_NEXT) == 0)
		;
	job_cursor_end(j);
}

static void copy(struct job *j, unsigned int flags)
{
	char path[4096];

	(void)snprintf(path, sizeof path, "%s/copy", j->dir);
	must(j, j->mdb.mdb_env_copy2(j->env, path, flags), "env_copy2");
}

static void copy_compact(struct job *j)
{
	copy(j, MDB_CP_COMPACT);
}

const struct phase read_phases[] = {
    {.name = "get", .what = "random gets", .n = 200000, .prepare = fill, .run = get},
    {.name = "get-one",
     .what = "the same key again and again",
     .n = 200000,
     .prepare = fill,
     .run = get_one},
    {.name = "get-missing",
     .what = "keys that are not there",
     .n = 200000,
     .prepare = fill,
     .run = get_missing},
    {.name = "scan", .what = "a full scan", .n = 200000, .prepare = fill, .run = scan},
    {.name = "back", .what = "a full scan backwards", .n = 200000, .prepare = fill, .run = back},
    {.name = "seek", .what = "a cursor's seeks", .n = 200000, .prepare = fill, .run = seek_1},
    {.name = "seek-10",
     .what = "a seek and ten steps",
     .n = 100000,
     .prepare = fill,
     .run = seek_10},
    {.name = "ends", .what = "first and last in turn", .n = 200000, .prepare = fill, .run = ends},
    {.name = "cursor-each",
     .what = "a cursor opened for each first entry",
     .n = 200000,
     .prepare = fill,
     .run = cursor_each},
    {.name = "put-get", .what = "a put and a get in turn", .n = 100000, .run = put_get},
    {.name = "put-last",
     .what = "an ascending put and a look at the last",
     .n = 100000,
     .run = put_last},
    {.name = "scan-dirty",
     .what = "a scan by a transaction that changed all",
     .n = 100000,
     .prepare = fill_dirty,
     .run = scan_dirty},
    {.name = "copy",
     .what = "a compact copy (an entry)",
     .n = 200000,
     .prepare = fill,
     .run = copy_compact},
    {.name = NULL}};
