/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is kept with a handle and of it: comparators, a transaction's memory, and copies of names
 * that threads read while others change them.
 */
#include "handles.h"

/* ---- comparators ----------------------------------------------------------------------------- */

static int backwards(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	size_t n = a->size < b->size ? a->size : b->size;
	int c = memcmp(b->data, a->data, n);

	(void)arg;
	return c ? c : (a->size < b->size) - (a->size > b->size);
}

static void put_three(struct daxkv_txn *txn, daxkv_db db)
{
	OK(put(txn, db, "a", "x", 0));
	OK(put(txn, db, "c", "y", 0));
	OK(put(txn, db, "b", "z", 0));
}

static void first_is(struct daxkv_txn *txn, daxkv_db db, const char *key)
{
	struct daxkv_cursor *c;
	struct daxkv_val k, v;

	OK(daxkv_cursor_open(txn, db, &c));
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_FIRST));
	assert_true(k.size == strlen(key) && memcmp(k.data, key, k.size) == 0);
	daxkv_cursor_close(c);
}

static void comparators_stay_with_the_handle(void **state)
{
	struct daxkv_store *store = small_store(0), *other = store_again("h");
	unsigned int flags =
	    DAXKV_CREATE | DAXKV_OWN_COMPARE | DAXKV_DUP_SORT | DAXKV_OWN_DUP_COMPARE;
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = 0, seen = 0, foreign = 0;
	(void)state;

	OK(open_db(txn, "own", flags, &db));
	OK(daxkv_txn_commit(
	    txn)); /* the state that the next write transaction finds has no comparator */
	txn = begin_reading(store);
	OK(daxkv_db_set_compare(txn, db, backwards, NULL));
	OK(daxkv_db_set_dup_compare(txn, db, backwards, NULL));
	daxkv_txn_abort(txn);
	for (int i = 0; i < 4; i++) {
		txn = begin(store);
		put_three(txn, db);
		first_is(txn, db, "c");
		if (i % 2)
			OK(daxkv_txn_commit(txn));
		else
			daxkv_txn_abort(txn);
		if (i != 1)
			continue;
		dropped(other, "own"); /* another process makes it anew */
		txn = begin(other);
		OK(open_db(txn, "own", flags, &foreign));
		OK(daxkv_txn_commit(txn));
	}
	dropped(other, "own"); /* and now this one does */
	txn = begin(store);
	OK(open_db(txn, "own", flags, &seen));
	assert_int_equal(seen, db);
	put_three(txn, db);
	first_is(txn, db, "c");
	OK(daxkv_txn_commit(txn));
	OK(daxkv_close(other));
	store_done(store);
}

/* An empty database gets an order of its own by its first comparator, and keeps the other one; also
 * when that is undone. */
static void one_comparator_does_not_displace_the_other(void **state)
{
	struct daxkv_store *store = small_store(0);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "d", DAXKV_DUP_SORT);
	(void)state;

	OK(daxkv_txn_commit(txn));
	for (int i = 0; i < 2; i++) {
		txn = begin(store);
		OK(daxkv_db_set_compare(txn, db, backwards, NULL));
		OK(daxkv_db_set_dup_compare(txn, db, backwards, NULL));
		put_three(txn, db);
		first_is(txn, db, "c");
		if (i)
			OK(daxkv_txn_commit(txn));
		else
			daxkv_txn_abort(txn);
	}
	txn = begin_reading(store);
	first_is(txn, db, "c");
	daxkv_txn_abort(txn);
	store_done(store);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* bytes_held - what the transaction has for its databases. */
static size_t bytes_held(const struct daxkv_txn *txn)
{
	size_t n = txn->room * sizeof *txn->db;

	for (uint32_t i = 0; i < txn->room; i++)
		n += txn->db[i] ? sizeof *txn->db[i] + txn->db[i]->name_room : 0;
	return n;
}

static void transactions_are_as_large_as_what_they_use(void **state)
{
	struct daxkv_store *store = small_store(DBI_MAX);
	struct daxkv_txn *txn;
	daxkv_db db = 0;
	(void)state;

	made(store, "a");
	for (int write = 0; write < 2; write++) {
		txn = write ? begin(store) : begin_reading(store);
		OK(open_db(txn, "a", 0, &db));
		assert_true(has(txn, db, "i am", "a") && has(txn, MAIN, "k", NULL));
		assert_true(bytes_held(txn) < 1536);
		daxkv_txn_abort(txn);
	}
	store_done(store);
}

/* ---- threads --------------------------------------------------------------------------------- */

#define READERS 3
static struct daxkv_store *shared;
static daxkv_db shared_db; /* atomic: the last one made */
static int shared_stop;    /* atomic */

/* read_on - whatever the handle means, what is found in it is its own, or BAD_DB. */
static void *read_on(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&shared_stop, __ATOMIC_RELAXED)) {
		struct daxkv_txn *txn;
		daxkv_db db = __atomic_load_n(&shared_db, __ATOMIC_ACQUIRE);
		struct daxkv_val k = bytes(&db, sizeof db), v;

		if (daxkv_txn_begin(shared, NULL, DAXKV_TXN_READ_ONLY, &txn))
			continue;
		for (int i = 0; i < 20; i++) {
			int rc = db ? daxkv_get(txn, db, &k, &v) : BAD_DB;

			if (rc != 0 && rc != BAD_DB)
				abort();
		}
		daxkv_txn_abort(txn);
	}
	return NULL;
}

/* handles_change - one thread makes, renames, closes and drops databases while others use what it
 * made last. */
static void handles_that_change_under_readers(void **state)
{
	pthread_t thread[READERS];
	(void)state;

	shared = small_store(8);
	__atomic_store_n(&shared_stop, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, read_on, NULL), 0);
	for (int i = 0; i < 300; i++) {
		struct daxkv_txn *txn = begin(shared);
		char name[8], next[8];
		daxkv_db db;

		snprintf(name, sizeof name, "n%d", i % 5);
		snprintf(next, sizeof next, "m%d", i % 5);
		db = db_of(txn, name, 0);
		struct daxkv_val k = bytes(&db, sizeof db), v = text(name);

		OK(daxkv_put(txn, db, &k, &v, 0));
		OK(daxkv_txn_commit(txn));
		__atomic_store_n(&shared_db, db, __ATOMIC_RELEASE);
		txn = begin(shared);
		OK(rename_db(txn, db, next));
		if (i % 2)
			OK(daxkv_txn_commit(txn));
		else
			daxkv_txn_abort(txn);
		if (i % 3 == 0)
			daxkv_db_close(shared, db);
		dropped(shared, i % 2 ? next : name);
	}
	__atomic_store_n(&shared_stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	store_done(shared);
}

/* opens - a thread that opens, reads and closes by itself. */
static void *opens(void *arg)
{
	const char *name = arg;

	for (int i = 0; i < 300; i++) {
		struct daxkv_txn *txn;
		daxkv_db db = 0;

		if (daxkv_txn_begin(shared, NULL, i % 4 ? DAXKV_TXN_READ_ONLY : 0, &txn) ||
		    open_db(txn, name, 0, &db))
			abort();
		struct daxkv_val k = text("i am"), v;
		int rc = daxkv_get(txn, db, &k, &v);

		if (rc != BAD_DB &&
		    (rc || v.size != strlen(name) || memcmp(v.data, name, v.size) != 0))
			abort();
		daxkv_txn_abort(txn);
		if (i % 3 == 0)
			daxkv_db_close(shared, db);
	}
	return NULL;
}

static void threads_that_open_and_close_the_same(void **state)
{
	static char names[4][2] = {"a", "b", "a", "b"};
	pthread_t thread[4];
	(void)state;

	shared = small_store(4);
	made(shared, "a");
	made(shared, "b");
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, opens, names[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	store_done(shared);
}

/* ---- nested transactions --------------------------------------------------------------------- */

/* What the parent had of a database before a child dropped it does not come back with the next
 * child: that one has the memory in which it stands. */
static void a_child_drops_and_the_next_does_not_bring_back(void **state)
{
	struct daxkv_store *store = small_store(0);
	daxkv_db a = made(store, "a"), b = made(store, "b"), c, d;
	struct daxkv_txn *txn = begin(store), *child;
	(void)state;

	OK(put(txn, a, "k", "1", 0));
	OK(put(txn, b, "k", "1", 0));
	child = begin_in(txn);
	OK(daxkv_db_drop(child, b, 1));
	OK(daxkv_txn_commit(child));
	child = begin_in(txn);
	OK(put(child, a, "k", "2", 0));
	OK(daxkv_txn_commit(child));
	OK(open_db(txn, "c", DAXKV_CREATE, &c));
	OK(open_db(txn, "b", DAXKV_CREATE, &d));
	OK(put(txn, c, "k", "3", 0));
	OK(put(txn, d, "k", "4", 0));
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	assert_true(has(txn, a, "k", "2") && has(txn, c, "k", "3") && has(txn, d, "k", "4"));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* The same with a handle that was opened, closed and opened again within the transaction. */
static void a_child_opens_again_and_the_next_does_not_bring_back(void **state)
{
	struct daxkv_store *store = small_store(0);
	daxkv_db a = made(store, "a"), b = made(store, "b"), again, c;
	struct daxkv_txn *txn = begin(store), *child;
	(void)state;

	OK(put(txn, b, "k", "1", 0));
	daxkv_db_close(store, a);
	daxkv_db_close(store, b);
	child = begin_in(txn);
	OK(open_db(child, "b", 0, &again));
	OK(put(child, again, "k", "2", 0));
	OK(daxkv_txn_commit(child));
	child = begin_in(txn);
	OK(put(child, again, "l", "3", 0));
	OK(daxkv_txn_commit(child));
	for (int i = 0; i < 4; i++) {
		char name[] = {'n', (char)('0' + i), 0};

		OK(open_db(txn, name, DAXKV_CREATE, &c));
		OK(put(txn, c, "k", name, 0));
	}
	assert_true(has(txn, again, "k", "2") && has(txn, again, "l", "3"));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(comparators_stay_with_the_handle),
	    TEST(one_comparator_does_not_displace_the_other),
	    TEST(transactions_are_as_large_as_what_they_use),
	    TEST(handles_that_change_under_readers),
	    TEST(threads_that_open_and_close_the_same),
	    TEST(a_child_drops_and_the_next_does_not_bring_back),
	    TEST(a_child_opens_again_and_the_next_does_not_bring_back),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
