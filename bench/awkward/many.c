/* SPDX-License-Identifier: BSD-3-Clause */
/* many.c - phases about many databases, and about emptying and dropping them. */
#include "awkward.h"

#include <stdio.h>

#define DBS 1000u

static MDB_dbi opened[DBS];

static MDB_dbi db_open(struct job *j, uint64_t i, unsigned int flags)
{
	char name[32];
	MDB_dbi dbi;

	(void)snprintf(name, sizeof name, "database %04u", (unsigned int)(i % DBS));
	must(j, j->mdb.mdb_dbi_open(j->txn, name, flags, &dbi), "dbi_open");
	return dbi;
}

static void db_put(struct job *j, MDB_dbi dbi, uint64_t id)
{
	MDB_val k = job_key(j, id), v = job_value(j, id, VALUE_BYTES);

	must(j, j->mdb.mdb_put(j->txn, dbi, &k, &v, 0), "put");
}

static void make(struct job *j, uint64_t entries)
{
	job_begin(j, 0);
	for (uint64_t i = 0; i < DBS; i++) {
		opened[i] = db_open(j, i, MDB_CREATE);
		for (uint64_t e = 0; e < entries; e++)
			db_put(j, opened[i], e);
	}
	job_commit(j);
}

static void make_small(struct job *j)
{
	make(j, 5);
}

static void make_larger(struct job *j)
{
	make(j, 100);
}

static void create(struct job *j)
{
	job_begin(j, 0);
	for (uint64_t i = 0; i < DBS; i++)
		db_put(j, db_open(j, i, MDB_CREATE), i);
	job_commit(j);
	j->ops = DBS;
}

/* put_all - a transaction puts into a hundred databases. */
static void put_all(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		if (i % 100 == 0)
			job_step(j, 0);
		db_put(j, opened[job_draw(j, DBS)], job_mix(i));
	}
	job_commit(j);
}

static void put_each(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, 0);
		db_put(j, opened[i % DBS], job_mix(i));
		job_commit(j);
	}
}

static void open_again(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, MDB_RDONLY);
		j->sum += db_open(j, i, 0) != 0;
		job_abort(j);
	}
}

static void get_all(struct job *j)
{
	job_begin(j, MDB_RDONLY);
	for (uint64_t i = 0; i < j->n; i++) {
		MDB_val k = job_key(j, i % 5), v;

		must(j, j->mdb.mdb_get(j->txn, opened[job_draw(j, DBS)], &k, &v), "get");
		j->sum += v.mv_size;
	}
	job_abort(j);
}

static void drop_all(struct job *j)
{
	job_begin(j, 0);
	for (uint64_t i = 0; i < DBS; i++)
		must(j, j->mdb.mdb_drop(j->txn, opened[i], 1), "drop");
	job_commit(j);
	j->ops = DBS;
}

static void drop_each(struct job *j)
{
	for (uint64_t i = 0; i < DBS; i++) {
		job_begin(j, 0);
		must(j, j->mdb.mdb_drop(j->txn, opened[i], 1), "drop");
		job_commit(j);
	}
	j->ops = DBS;
}

/* scratch - a database is made, filled and dropped in one transaction. */
static void scratch(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i += 100) {
		job_begin(j, 0);
		MDB_dbi dbi = db_open(j, 0, MDB_CREATE);

		for (uint64_t e = i; e < i + 100; e++)
			db_put(j, dbi, job_mix(e));
		must(j, j->mdb.mdb_drop(j->txn, dbi, 1), "drop");
		job_commit(j);
	}
}

static void fill(struct job *j)
{
	job_fill(j, j->n);
}

static void empty(struct job *j)
{
	job_begin(j, 0);
	must(j, j->mdb.mdb_drop(j->txn, j->dbi, 0), "drop");
	job_commit(j);
}

/* refill - emptied and filled again, ten times. */
static void refill(struct job *j)
{
	for (unsigned int i = 0; i < 10; i++) {
		empty(j);
		job_fill(j, j->n / 10);
	}
}

static void fill_large(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put_size(j, i, 5000);
	}
	job_commit(j);
}

const struct phase many_phases[] = {{.name = "db-create",
                                     .what = "1,000 databases made in one transaction",
                                     .n = DBS,
                                     .run = create},
                                    {.name = "db-put",
                                     .what = "puts into 1,000 databases, 100 a transaction",
                                     .n = 50000,
                                     .prepare = make_small,
                                     .run = put_all},
                                    {.name = "db-put-each",
                                     .what = "the same, a put a transaction",
                                     .n = 50000,
                                     .prepare = make_small,
                                     .run = put_each},
                                    {.name = "db-open",
                                     .what = "open of a name that is open, a transaction each",
                                     .n = 100000,
                                     .prepare = make_small,
                                     .run = open_again},
                                    {.name = "db-get",
                                     .what = "gets from 1,000 databases",
                                     .n = 200000,
                                     .prepare = make_small,
                                     .run = get_all},
                                    {.name = "db-drop",
                                     .what = "1,000 databases of 100 dropped at once",
                                     .n = DBS,
                                     .prepare = make_larger,
                                     .run = drop_all},
                                    {.name = "db-drop-each",
                                     .what = "the same, a transaction each",
                                     .n = DBS,
                                     .prepare = make_larger,
                                     .run = drop_each},
                                    {.name = "db-scratch",
                                     .what = "a database made, filled with 100 and dropped",
                                     .n = 50000,
                                     .run = scratch},
                                    {.name = "empty",
                                     .what = "a database of 1,000,000 emptied (an entry)",
                                     .n = 1000000,
                                     .named = 1,
                                     .prepare = fill,
                                     .run = empty},
                                    {.name = "empty-large",
                                     .what = "one of 20,000 values of 5,000 bytes emptied",
                                     .n = 20000,
                                     .named = 1,
                                     .prepare = fill_large,
                                     .run = empty},
                                    {.name = "refill",
                                     .what = "emptied and filled again, ten times",
                                     .n = 200000,
                                     .named = 1,
                                     .prepare = fill,
                                     .run = refill},
                                    {.name = NULL}};
