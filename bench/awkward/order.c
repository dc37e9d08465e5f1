/* SPDX-License-Identifier: BSD-3-Clause */
/* order.c - phases whose keys come in some order that is not random, and whose entries go again. */
#include "awkward.h"

#define MIDDLE  ((uint64_t)1 << 40)
#define BACKLOG 1000u /* entries of a queue */

/* ---- streams: ascending or descending keys from several places
 * ----------------------------------------
 */

static void streams(struct job *j, uint64_t m)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, (i % m << 40) + i / m);
	}
	job_commit(j);
}

static void streams_1(struct job *j)
{
	streams(j, 1);
}

static void streams_2(struct job *j)
{
	streams(j, 2);
}

static void streams_64(struct job *j)
{
	streams(j, 64);
}

static void both_ends(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, i % 2 ? MIDDLE + i : MIDDLE - i);
	}
	job_commit(j);
}

static void descending(struct job *j)
{
	for (uint64_t i = j->n; i-- > 0;) {
		job_step(j, j->n - 1 - i);
		job_put(j, i);
	}
	job_commit(j);
}

static void inside(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, i % 2 ? i : 2 * MIDDLE - i);
	}
	job_commit(j);
}

/* zigzag - updates that go up and down over the same entries. */
static void zigzag(struct job *j)
{
	const uint64_t width = j->n / 4 + 1;

	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, i / width % 2 ? width - 1 - i % width : i % width);
	}
	job_commit(j);
}

static void append(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		MDB_val k = job_key(j, i), v = job_value(j, i, VALUE_BYTES);

		must(j, j->mdb.mdb_put(j->txn, j->dbi, &k, &v, MDB_APPEND), "put");
	}
	job_commit(j);
}

/* runs - ascending, from a new place every hundred entries. */
static void runs(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, (job_mix(i / 100) << 20) + i % 100);
	}
	job_commit(j);
}

static void integer_keys(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		MDB_val k = {sizeof i, &i}, v = job_value(j, i, VALUE_BYTES);

		must(j, j->mdb.mdb_put(j->txn, j->dbi, &k, &v, 0), "put");
	}
	job_commit(j);
}

static void hot_spot(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, MIDDLE + job_draw(j, j->n / 10 + 1));
	}
	job_commit(j);
}

/* ---- queues and stacks
 * --------------------------------------------------------------------------- */

static void first_del(struct job *j, MDB_cursor_op op)
{
	job_cursor(j);
	if (job_move(j, op) == 0)
		must(j, j->mdb.mdb_cursor_del(j->cursor, 0), "cursor_del");
	job_cursor_end(j);
}

static void backlog_fill(struct job *j)
{
	job_fill(j, BACKLOG);
}

static void queue(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		if (i % (TXN_OPS / 2) == 0)
			job_step(j, 0);
		job_put(j, BACKLOG + i);
		first_del(j, MDB_FIRST);
	}
	job_commit(j);
	j->ops = 2 * j->n;
}

static void queue_each(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, 0);
		job_put(j, BACKLOG + i);
		first_del(j, MDB_FIRST);
		job_commit(j);
	}
}

static void queue_keys(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		if (i % (TXN_OPS / 2) == 0)
			job_step(j, 0);
		job_put(j, BACKLOG + i);
		job_del(j, i);
	}
	job_commit(j);
	j->ops = 2 * j->n;
}

/* stack - pushes and pops by the hundred, in waves that go deeper and come back. */
static void stack(struct job *j)
{
	uint64_t depth = BACKLOG;

	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		if (i / 100 % 2 == 0) {
			job_put(j, depth++);
		} else {
			first_del(j, MDB_LAST);
			depth--;
		}
	}
	job_commit(j);
}

static void stack_each(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		job_begin(j, 0);
		job_put(j, BACKLOG);
		first_del(j, MDB_LAST);
		job_commit(j);
	}
}

static void window(struct job *j)
{
	const uint64_t width = j->n / 4 + 1;

	for (uint64_t i = 0; i < j->n; i++) {
		job_step(j, i);
		job_put(j, job_mix(i));
		if (i >= width)
			job_del(j, job_mix(i - width));
	}
	job_commit(j);
}

const struct phase order_phases[] = {
    {.name = "ascend", .what = "put of ascending keys", .n = 200000, .run = streams_1},
    {.name = "append", .what = "the same with MDB_APPEND", .n = 200000, .run = append},
    {.name = "streams-2", .what = "two ascending streams", .n = 200000, .run = streams_2},
    {.name = "streams-64", .what = "64 ascending streams", .n = 200000, .run = streams_64},
    {.name = "both-ends",
     .what = "put before the first and behind the last",
     .n = 200000,
     .run = both_ends},
    {.name = "inside", .what = "put from both ends to the middle", .n = 200000, .run = inside},
    {.name = "descend", .what = "put of descending keys", .n = 200000, .run = descending},
    {.name = "runs-100",
     .what = "ascending, elsewhere every 100 entries",
     .n = 200000,
     .run = runs},
    {.name = "integer-keys",
     .what = "ascending MDB_INTEGERKEY",
     .n = 200000,
     .db_flags = MDB_INTEGERKEY,
     .named = 1,
     .run = integer_keys},
    {.name = "zigzag", .what = "updates up and down the same entries", .n = 200000, .run = zigzag},
    {.name = "hot-spot", .what = "random puts in a narrow range", .n = 200000, .run = hot_spot},
    {.name = "queue",
     .what = "put at the end, delete the first by a cursor",
     .n = 100000,
     .prepare = backlog_fill,
     .run = queue},
    {.name = "queue-keys",
     .what = "put at the end, delete the first by its key",
     .n = 100000,
     .prepare = backlog_fill,
     .run = queue_keys},
    {.name = "queue-each",
     .what = "queue, one put and delete a transaction",
     .n = 50000,
     .prepare = backlog_fill,
     .run = queue_each},
    {.name = "stack",
     .what = "push and pop at the end",
     .n = 200000,
     .prepare = backlog_fill,
     .run = stack},
    {.name = "stack-each",
     .what = "push and pop, both in one transaction",
     .n = 50000,
     .prepare = backlog_fill,
     .run = stack_each},
    {.name = "window", .what = "random keys, the oldest goes", .n = 200000, .run = window},
    {.name = NULL}};
