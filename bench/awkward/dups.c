/* SPDX-License-Identifier: BSD-3-Clause */
/* dups.c - phases about sorted duplicates of 8 bytes: one value a key, 100, and very many. */
#include "awkward.h"

#define FEW   100u
#define FIXED (MDB_DUPSORT | MDB_DUPFIXED)
#define ASKED 1000u /* questions about a key with very many values */
#define LISTS 5u    /* keys of an index */

static uint64_t swapped(uint64_t x)
{
	return __builtin_bswap64(x);
}

static void pair_put(struct job *j, uint64_t key, uint64_t value, unsigned int flags)
{
	uint64_t bytes = swapped(value);
	MDB_val k = job_key(j, key), v = {sizeof bytes, &bytes};
	int rc = j->mdb.mdb_put(j->txn, j->dbi, &k, &v, flags);

	must(j, rc == MDB_KEYEXIST ? 0 : rc, "put");
}

/* fill - n values, so many a key. */
static void fill(struct job *j, uint64_t n, uint64_t each)
{
	for (uint64_t i = 0; i < n; i++) {
		job_step(j, i);
		pair_put(j, i / each, 2 * (i % each), 0);
	}
	job_commit(j);
}

static void fill_one(struct job *j)
{
	fill(j, j->n, 1);
}

static void fill_few(struct job *j)
{
	fill(j, j->n, FEW);
}

static void fill_many(struct job *j)
{
	fill(j, j->n, j->n);
}

static void seek_key(struct job *j, uint64_t key)
{
	MDB_val k = job_key(j, key), v;

	must(j, j->mdb.mdb_cursor_get(j->cursor, &k, &v, MDB_SET), "cursor_get");
}

static void count(struct job *j)
{
	size_t n;

	must(j, j->mdb.mdb_cursor_count(j->cursor, &n), "cursor_count");
	j->sum += n;
}

static void reading(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	job_cursor(j);
}

static void read_end(struct job *j)
{
	job_cursor_end(j);
	job_abort(j);
}

static void count_many(struct job *j)
{
	reading(j);
	seek_key(j, 0);
	for (uint64_t i = 0; i < ASKED; i++)
		count(j);
	j->ops = ASKED;
	read_end(j);
}

static void count_few(struct job *j)
{
	reading(j);
	for (uint64_t i = 0; i < j->n; i++) {
		seek_key(j, job_draw(j, (j->n + FEW - 1) / FEW));
		count(j);
	}
	read_end(j);
}

static void count_each(struct job *j)
{
	reading(j);
	while (job_move(j, MDB_NEXT_NODUP) == 0)
		count(j);
	read_end(j);
}

static void skip(struct job *j)
{
	uint64_t keys = 0;

	reading(j);
	while (job_move(j, MDB_NEXT_NODUP) == 0)
		keys++;
	j->ops = keys ? keys : 1;
	read_end(j);
}

static void within(struct job *j)
{
	reading(j);
	while (job_move(j, MDB_NEXT_NODUP) == 0)
		while (job_move(j, MDB_NEXT_DUP) == 0)
			;
	read_end(j);
}

static void multiple(struct job *j)
{
	MDB_val k, v;
	int rc;

	reading(j);
	while (job_move(j, MDB_NEXT_NODUP) == 0) {
		rc = j->mdb.mdb_cursor_get(j->cursor, &k, &v, MDB_GET_MULTIPLE);
		for (; !rc; rc = j->mdb.mdb_cursor_get(j->cursor, &k, &v, MDB_NEXT_MULTIPLE))
			j->sum += v.mv_size;
		must(j, rc == MDB_NOTFOUND ? 0 : rc, "cursor_get");
	}
	read_end(j);
}

static void ends(struct job *j)
{
	reading(j);
	seek_key(j, (j->n / FEW) / 2);
	for (uint64_t i = 0; i < j->n; i++)
		(void)job_move(j, i % 2 ? MDB_FIRST_DUP : MDB_LAST_DUP);
	read_end(j);
}

static void get(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	for (uint64_t i = 0; i < j->n; i++)
		job_get(j, j->txn, job_draw(j, (j->n + FEW - 1) / FEW));
	job_abort(j);
}

static void get_both(struct job *j)
{
	reading(j);
	for (uint64_t i = 0; i < j->n; i++) {
		uint64_t pair = job_draw(j, j->n), value = swapped(2 * (pair % FEW));
		MDB_val k = job_key(j, pair / FEW), v = {sizeof value, &value};

		must(j, j->mdb.mdb_cursor_get(j->cursor, &k, &v, MDB_GET_BOTH), "cursor_get");
	}
	read_end(j);
}

static void put(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		pair_put(j, job_draw(j, (j->n + FEW - 1) / FEW), job_draw(j, j->n), MDB_NODUPDATA);
	}
	job_commit(j);
}

/* index - as OpenLDAP does it: look for the key, count its values, add one behind them. */
static void add_to_list(struct job *j, uint64_t i)
{
	uint64_t bytes = swapped(i);
	MDB_val k = job_key(j, i % LISTS), v = {sizeof bytes, &bytes}, first;
	int rc;

	job_cursor(j);
	rc = j->mdb.mdb_cursor_get(j->cursor, &k, &first, MDB_SET);
	if (!rc)
		count(j);
	must(j, rc == MDB_NOTFOUND ? 0 : rc, "cursor_get");
	must(j, j->mdb.mdb_cursor_put(j->cursor, &k, &v, MDB_NODUPDATA), "cursor_put");
	job_cursor_end(j);
}

static void add_to_lists(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		add_to_list(j, i);
	}
	job_commit(j);
}

static void del_pairs(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i += 2) {
		job_step(j, i / 2);
		uint64_t value = swapped(2 * (i % FEW));
		MDB_val k = job_key(j, i / FEW), v = {sizeof value, &value};

		must(j, j->mdb.mdb_del(j->txn, j->dbi, &k, &v), "del");
	}
	j->ops = (j->n + 1) / 2;
	job_commit(j);
}

/* del_keys - of so many values each, but every other one. */
static void del_keys(struct job *j, uint64_t each)
{
	uint64_t done = 0;

	for (uint64_t key = 0; key * each < j->n; key += 2) {
		job_step(j, done++);
		job_del(j, key);
	}
	j->ops = done;
	job_commit(j);
}

static void del_one(struct job *j)
{
	del_keys(j, 1);
}

static void del_few(struct job *j)
{
	del_keys(j, FEW);
}

static void del_many(struct job *j)
{
	del_keys(j, j->n);
}

#define PHASE(called, says, size, filled, does)                                                    \
	{                                                                                          \
		.name = (called), .what = (says), .n = (size), .db_flags = FIXED,                  \
		.prepare = (filled), .run = (does)                                                 \
	}

const struct phase dups_phases[] = {
    PHASE("dup-count-many", "count of a key's 200,000 values", 200000, fill_many, count_many),
    PHASE("dup-count-100", "a seek and a count, 100 values a key", 200000, fill_few, count_few),
    PHASE("dup-count-1", "each key and its count, a value a key", 200000, fill_one, count_each),
    PHASE("dup-skip-100", "key after key, 100 values a key", 200000, fill_few, skip),
    PHASE("dup-skip-1", "key after key, a value a key", 200000, fill_one, skip),
    PHASE("dup-scan", "value after value of each key", 200000, fill_few, within),
    PHASE("dup-multiple", "a value, in arrays, of 200,000", 200000, fill_many, multiple),
    PHASE("dup-multiple-100", "a value, in arrays, of 100 a key", 200000, fill_few, multiple),
    PHASE("dup-ends", "first and last of a key in turn", 200000, fill_few, ends),
    PHASE("dup-get", "gets, 100 values a key", 200000, fill_few, get),
    PHASE("dup-get-both", "seeks of pairs, 100 values a key", 200000, fill_few, get_both),
    PHASE("dup-put", "random pairs, 1,000 a transaction", 200000, NULL, put),
    PHASE("dup-index", "seek, count, add to one of five lists", 100000, NULL, add_to_lists),
    PHASE("dup-del-pair", "every other value", 200000, fill_few, del_pairs),
    PHASE("dup-del-1", "every other key, a value a key", 200000, fill_one, del_one),
    PHASE("dup-del-100", "every other key, 100 values a key", 200000, fill_few, del_few),
    PHASE("dup-del-many", "a key with 200,000 values", 200000, fill_many, del_many),
    {.name = NULL}};
