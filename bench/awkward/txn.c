/* SPDX-License-Identifier: BSD-3-Clause */
/* txn.c - phases about beginning and ending: empty, nested, beside a reader; and what is asked. */
#include "awkward.h"

#define FILLED 200000u

static void fill(struct job *j)
{
	job_fill_random(j, j->phase->n < FILLED ? j->n * (FILLED / j->phase->n) : j->n);
}

/* fill_at_once - the last commit is a large one. */
static void fill_at_once(struct job *j)
{
	job_begin(j, 0);
	for (uint64_t i = 0; i < j->n; i++)
		job_put(j, job_mix(i));
	job_commit(j);
}

static void env_info(struct job *j)
{
	MDB_envinfo info;

	for (uint64_t i = 0; i < j->n; i++)
		must(j, j->mdb.mdb_env_info(j->env, &info), "env_info");
	j->sum = info.me_mapsize;
}

/* env_info_changed - behind each commit of one put. */
static void env_info_changed(struct job *j)
{
	MDB_envinfo info;

	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, 0);
		job_put(j, job_mix(i));
		job_commit(j);
		must(j, j->mdb.mdb_env_info(j->env, &info), "env_info");
	}
	j->sum = info.me_mapsize;
}

static void env_stat(struct job *j)
{
	MDB_stat stat;

	for (uint64_t i = 0; i < j->n; i++)
		must(j, j->mdb.mdb_env_stat(j->env, &stat), "env_stat");
	j->sum = stat.ms_entries;
}

static void count(struct job *j)
{
	MDB_stat stat;

	job_begin(j, MDB_RDONLY);
	for (uint64_t i = 0; i < j->n; i++)
		must(j, j->mdb.mdb_stat(j->txn, j->dbi, &stat), "stat");
	j->sum = stat.ms_entries;
	job_abort(j);
}

static void begin_abort(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, 0);
		job_abort(j);
	}
}

static void begin_commit(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, 0);
		job_commit(j);
	}
}

static void put_abort(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, 0);
		job_put(j, job_mix(i));
		job_abort(j);
	}
}

static void large_abort(struct job *j)
{
	job_begin(j, 0);
	for (uint64_t i = 0; i < j->n; i++)
		job_put(j, job_mix(i) + 1);
	job_abort(j);
}

static void read_empty(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, MDB_RDONLY);
		job_abort(j);
	}
}

static void read_renew(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	for (uint64_t i = 0; i < j->n; i++) {
		j->mdb.mdb_txn_reset(j->txn);
		must(j, j->mdb.mdb_txn_renew(j->txn), "txn_renew");
		job_get(j, j->txn, job_mix(i % FILLED));
	}
	job_abort(j);
}

static void cursor_renew(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	job_cursor(j);
	for (uint64_t i = 0; i < j->n; i++) {
		j->mdb.mdb_txn_reset(j->txn);
		must(j, j->mdb.mdb_txn_renew(j->txn), "txn_renew");
		must(j, j->mdb.mdb_cursor_renew(j->txn, j->cursor), "cursor_renew");
		(void)job_move(j, MDB_FIRST);
	}
	job_cursor_end(j);
	job_abort(j);
}

static void nested(struct job *j)
{
	MDB_txn *outer = NULL;

	for (uint64_t i = 0; i < j->n; i++) {
		if (i % TXN_OPS == 0) {
			if (outer)
				must(j, j->mdb.mdb_txn_commit(outer), "txn_commit");
			must(j, j->mdb.mdb_txn_begin(j->env, NULL, 0, &outer), "txn_begin");
		}
		must(j, j->mdb.mdb_txn_begin(j->env, outer, 0, &j->txn), "txn_begin");
		job_put(j, job_mix(i));
		if (i % 4 == 3)
			job_abort(j);
		else
			job_commit(j);
	}
	must(j, j->mdb.mdb_txn_commit(outer), "txn_commit");
}

/* nested_large - a child of a hundred puts in a transaction that has changed much. */
static void nested_large(struct job *j)
{
	MDB_txn *outer;

	must(j, j->mdb.mdb_txn_begin(j->env, NULL, 0, &outer), "txn_begin");
	for (uint64_t i = 0; i < j->n; i += 100) {
		must(j, j->mdb.mdb_txn_begin(j->env, outer, 0, &j->txn), "txn_begin");
		for (uint64_t k = i; k < i + 100; k++)
			job_put(j, job_mix(k));
		if (i / 100 % 4 == 3)
			job_abort(j);
		else
			job_commit(j);
	}
	must(j, j->mdb.mdb_txn_commit(outer), "txn_commit");
}

static void fill_reader(struct job *j)
{
	job_fill_random(j, j->n);
	must(j, j->mdb.mdb_txn_begin(j->env, NULL, MDB_RDONLY, &j->old), "txn_begin");
}

static void beside_reader(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, job_mix(job_draw(j, j->n)));
	}
	job_commit(j);
}

static void beside_reader_each(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, 0);
		job_put(j, job_mix(job_draw(j, j->n)));
		job_commit(j);
	}
}

static void fill_reader_updates(struct job *j)
{
	fill_reader(j);
	beside_reader(j);
}

static void old_reader(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++)
		job_get(j, j->old, job_mix(i));
}

static void old_reader_scan(struct job *j)
{
	must(j, j->mdb.mdb_cursor_open(j->old, j->dbi, &j->cursor), "cursor_open");
	while (job_move(j, MDB_NEXT) == 0)
		;
	job_cursor_end(j);
}

const struct phase txn_phases[] = {
    {.name = "env-info",
     .what = "mdb_env_info of a store of 200,000",
     .n = 100000,
     .prepare = fill,
     .run = env_info},
    {.name = "env-info-commits",
     .what = "mdb_env_info after each one-put commit",
     .n = 50000,
     .prepare = fill,
     .run = env_info_changed},
    {.name = "env-stat", .what = "mdb_env_stat", .n = 100000, .prepare = fill, .run = env_stat},
    {.name = "count",
     .what = "mdb_stat for the number of entries",
     .n = 200000,
     .prepare = fill,
     .run = count},
    {.name = "begin-abort",
     .what = "a write transaction without a change, behind a large commit",
     .n = 100000,
     .prepare = fill_at_once,
     .run = begin_abort},
    {.name = "begin-commit",
     .what = "the same, committed",
     .n = 100000,
     .prepare = fill_at_once,
     .run = begin_commit},
    {.name = "put-abort",
     .what = "one put, aborted, behind a large commit",
     .n = 50000,
     .prepare = fill_at_once,
     .run = put_abort},
    {.name = "large-abort",
     .what = "200,000 puts, aborted",
     .n = 200000,
     .prepare = fill_at_once,
     .run = large_abort},
    {.name = "read-empty",
     .what = "begin and abort of a read transaction",
     .n = 200000,
     .prepare = fill,
     .run = read_empty},
    {.name = "read-renew",
     .what = "reset, renew and a get",
     .n = 200000,
     .prepare = fill,
     .run = read_renew},
    {.name = "cursor-renew",
     .what = "reset, renew, cursor_renew and the first entry",
     .n = 200000,
     .prepare = fill,
     .run = cursor_renew},
    {.name = "nested",
     .what = "a nested transaction a put, a quarter aborted",
     .n = 50000,
     .nests = 1,
     .run = nested},
    {.name = "nested-100",
     .what = "nested ones of 100 puts in one large transaction",
     .n = 100000,
     .nests = 1,
     .run = nested_large},
    {.name = "beside-reader",
     .what = "updates beside an old reader, 1,000 a transaction",
     .n = 100000,
     .env_flags = MDB_NOTLS,
     .prepare = fill_reader,
     .run = beside_reader},
    {.name = "beside-reader-each",
     .what = "the same, an update a transaction",
     .n = 50000,
     .env_flags = MDB_NOTLS,
     .prepare = fill_reader,
     .run = beside_reader_each},
    {.name = "old-reader",
     .what = "gets by a snapshot of 100 commits ago",
     .n = 100000,
     .env_flags = MDB_NOTLS,
     .prepare = fill_reader_updates,
     .run = old_reader},
    {.name = "old-reader-scan",
     .what = "a scan by a snapshot of 100 commits ago",
     .n = 100000,
     .env_flags = MDB_NOTLS,
     .prepare = fill_reader_updates,
     .run = old_reader_scan},
    {.name = NULL}};
