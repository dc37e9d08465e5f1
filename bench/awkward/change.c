/* SPDX-License-Identifier: BSD-3-Clause */
/* change.c - phases that change or delete what is there, by keys and by cursors. */
#include "awkward.h"

static void fill(struct job *j)
{
	job_fill_random(j, j->n);
}

static void fill_sorted(struct job *j)
{
	job_fill(j, j->n);
}

/* ---- a cursor over all of it
 * --------------------------------------------------------------------- */

static void scan_delete(struct job *j)
{
	job_begin(j, 0);
	job_cursor(j);
	while (job_move(j, MDB_NEXT) == 0)
		must(j, j->mdb.mdb_cursor_del(j->cursor, 0), "cursor_del");
	job_cursor_end(j);
	job_commit(j);
}

static void back_delete(struct job *j)
{
	job_begin(j, 0);
	job_cursor(j);
	while (job_move(j, MDB_LAST) == 0)
		must(j, j->mdb.mdb_cursor_del(j->cursor, 0), "cursor_del");
	job_cursor_end(j);
	job_commit(j);
}

static void other_delete(struct job *j)
{
	uint64_t i = 0;

	job_begin(j, 0);
	job_cursor(j);
	while (job_move(j, MDB_NEXT) == 0)
		if (i++ % 2 == 0)
			must(j, j->mdb.mdb_cursor_del(j->cursor, 0), "cursor_del");
	job_cursor_end(j);
	job_commit(j);
}

static void other_delete_keys(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i += 2) {
		if (i % TXN_OPS == 0)
			job_step(j, 0);
		job_del(j, i);
	}
	job_commit(j);
	j->ops = j->n / 2;
}

static void scan_update(struct job *j)
{
	MDB_val k, v;
	int rc;

	job_begin(j, 0);
	job_cursor(j);
	while ((rc = j->mdb.mdb_cursor_get(j->cursor, &k, &v, MDB_NEXT)) == 0) {
		v = job_value(j, ++j->sum, VALUE_BYTES);
		must(j, j->mdb.mdb_cursor_put(j->cursor, &k, &v, MDB_CURRENT), "cursor_put");
	}
	job_cursor_end(j);
	job_commit(j);
}

/* scan_update_some - every tenth entry, a thousand of them a transaction. */
static void scan_update_some(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i += 10) {
		if (i % (10 * TXN_OPS) == 0)
			job_step(j, 0);
		job_put(j, i);
	}
	job_commit(j);
	j->ops = j->n / 10;
}

static void delete_random(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_del(j, job_mix(i));
	}
	job_commit(j);
}

static void delete_sorted(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_del(j, i);
	}
	job_commit(j);
}

static void again(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_del(j, job_mix(i));
		job_put(j, job_mix(i));
	}
	job_commit(j);
}

/* ---- puts
 * ---------------------------------------------------------------------------------------- */

static void put_random(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, job_mix(i));
	}
	job_commit(j);
}

static void put_one_txn(struct job *j)
{
	job_begin(j, 0);
	for (uint64_t i = 0; i < j->n; i++)
		job_put(j, job_mix(i));
	job_commit(j);
}

static void update_each(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, 0);
		job_put(j, job_mix(job_draw(j, j->n)));
		job_commit(j);
	}
}

static void one_key(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		MDB_val k = job_key(j, 7), v = job_value(j, i, VALUE_BYTES);

		must(j, j->mdb.mdb_put(j->txn, j->dbi, &k, &v, 0), "put");
	}
	job_commit(j);
}

static void one_key_each(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, 0);
		job_put(j, 7);
		job_commit(j);
	}
}

static void counter(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		MDB_val k = job_key(j, job_mix(i % 64)), v;
		uint64_t count = 0;

		if (j->mdb.mdb_get(j->txn, j->dbi, &k, &v) == 0)
			count = *(const uint64_t *)v.mv_data;
		count++;
		v = (MDB_val){sizeof count, &count};
		must(j, j->mdb.mdb_put(j->txn, j->dbi, &k, &v, 0), "put");
	}
	job_commit(j);
}

static void no_overwrite(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		MDB_val k = job_key(j, job_mix(i)), v = job_value(j, i, VALUE_BYTES);

		if (j->mdb.mdb_put(j->txn, j->dbi, &k, &v, MDB_NOOVERWRITE) == MDB_KEYEXIST)
			j->sum++;
	}
	job_commit(j);
}

static void delete_missing(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		MDB_val k = job_key(j, job_mix(i) + 1);

		if (j->mdb.mdb_del(j->txn, j->dbi, &k, NULL) == MDB_NOTFOUND)
			j->sum++;
	}
	job_commit(j);
}

static void reserve(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		MDB_val k = job_key(j, job_mix(i)), v = {VALUE_BYTES, NULL};

		must(j, j->mdb.mdb_put(j->txn, j->dbi, &k, &v, MDB_RESERVE), "put");
		__builtin_memset(v.mv_data, (int)i, VALUE_BYTES);
	}
	job_commit(j);
}

/* ---- sizes
 * --------------------------------------------------------------------------------------- */

static void sizes(struct job *j, uint64_t keys, uint64_t least, uint64_t most, uint64_t batch)
{
	for (uint64_t i = 0; i < j->n; i++) {
		if (i % batch == 0)
			job_step(j, 0);
		job_put_size(j, job_mix(job_draw(j, keys)), least + job_draw(j, most - least + 1));
	}
	job_commit(j);
}

static void churn_small(struct job *j)
{
	sizes(j, j->n / 10 + 1, 8, 300, TXN_OPS);
}

static void churn_pages(struct job *j)
{
	sizes(j, j->n / 10 + 1, 8, 3000, TXN_OPS);
}

static void churn_large(struct job *j)
{
	sizes(j, j->n / 10 + 1, 3000, 100000, 10);
}

static void tiny(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put_size(j, job_mix(i), 1);
	}
	job_commit(j);
}

static void grow_value(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put_size(j, job_mix(i % 1000), 8 + i / 1000 * 8 % 1000);
	}
	job_commit(j);
}

const struct phase change_phases[] = {
    {.name = "scan-delete",
     .what = "a cursor deletes each entry",
     .n = 200000,
     .prepare = fill,
     .run = scan_delete},
    {.name = "back-delete",
     .what = "a cursor deletes the last entry, until none is left",
     .n = 200000,
     .prepare = fill,
     .run = back_delete},
    {.name = "scan-delete-other",
     .what = "a cursor deletes every other entry",
     .n = 200000,
     .prepare = fill,
     .run = other_delete},
    {.name = "delete-other",
     .what = "every other entry deleted by its key",
     .n = 400000,
     .prepare = fill_sorted,
     .run = other_delete_keys},
    {.name = "scan-update",
     .what = "a cursor replaces each value (MDB_CURRENT)",
     .n = 200000,
     .prepare = fill,
     .run = scan_update},
    {.name = "update-tenth",
     .what = "every tenth entry replaced, ascending",
     .n = 400000,
     .prepare = fill_sorted,
     .run = scan_update_some},
    {.name = "delete-sorted",
     .what = "all deleted by key, ascending",
     .n = 200000,
     .prepare = fill_sorted,
     .run = delete_sorted},
    {.name = "delete-random",
     .what = "all deleted by key, at random",
     .n = 200000,
     .prepare = fill,
     .run = delete_random},
    {.name = "delete-put",
     .what = "deleted and put again, at random",
     .n = 100000,
     .prepare = fill,
     .run = again},
    {.name = "put-random", .what = "put of random keys", .n = 200000, .run = put_random},
    {.name = "put-one-txn", .what = "the same in one transaction", .n = 200000, .run = put_one_txn},
    {.name = "update-each",
     .what = "an update a transaction",
     .n = 50000,
     .prepare = fill,
     .run = update_each},
    {.name = "one-key", .what = "one key, 1,000 times a transaction", .n = 200000, .run = one_key},
    {.name = "one-key-each",
     .what = "one key, a transaction each",
     .n = 50000,
     .run = one_key_each},
    {.name = "counters", .what = "get, add one and put, of 64 keys", .n = 200000, .run = counter},
    {.name = "no-overwrite",
     .what = "MDB_NOOVERWRITE of keys that are there",
     .n = 200000,
     .prepare = fill,
     .run = no_overwrite},
    {.name = "delete-missing",
     .what = "delete of keys that are not there",
     .n = 200000,
     .prepare = fill,
     .run = delete_missing},
    {.name = "reserve", .what = "MDB_RESERVE of random keys", .n = 200000, .run = reserve},
    {.name = "churn-small",
     .what = "values of 8 to 300 bytes replaced",
     .n = 200000,
     .run = churn_small},
    {.name = "churn-pages",
     .what = "values of 8 to 3,000 bytes replaced",
     .n = 100000,
     .run = churn_pages},
    {.name = "churn-large",
     .what = "values of 3 to 100 KB replaced, 10 a transaction",
     .n = 5000,
     .run = churn_large},
    {.name = "tiny-values", .what = "values of one byte, random keys", .n = 200000, .run = tiny},
    {.name = "longer-values",
     .what = "values that grow a little each time",
     .n = 200000,
     .run = grow_value},
    {.name = NULL}};
