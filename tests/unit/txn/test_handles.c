/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of database handles (src/txn/handle.h): what a number means when others abort, drop,
 * rename, make anew and close; that it never means another database.
 */
#include "handles.h"

/* ---- numbers --------------------------------------------------------------------------------- */

static void an_old_number_means_nothing(void **state)
{
	struct daxkv_store *store = small_store(3);
	daxkv_db old[300], db = 0;
	(void)state;

	made(store, "a");
	made(store, "b");
	for (int i = 0; i < 300; i++) {
		struct daxkv_txn *txn = begin_reading(store);

		OK(open_db(txn, i % 2 ? "a" : "b", 0, &db));
		for (int j = 0; j < i; j++)
			assert_true(old[j] != db && get_rc(txn, old[j], "i am") == BAD_DB);
		old[i] = db;
		daxkv_txn_abort(txn);
		daxkv_db_close(store, db);
	}
	daxkv_db_close(store, db); /* again */
	daxkv_db_close(store, MAIN);
	daxkv_db_close(store, 0);
	daxkv_db_close(store, UINT32_MAX);
	store_done(store);
}

static void the_numbers_of_an_entry_are_used_up_before_one_comes_again(void **state)
{
	struct daxkv_store *store = small_store(2);
	struct dbi *d = &store->dbis.dbi[2];
	uint32_t numbers = (uint32_t)((UINT64_C(1) << 32) / store->dbis.room);
	daxkv_db db = 0, next = 0;
	(void)state;

	db = made(store, "a");
	assert_ptr_equal(&store->dbis.dbi[db & store->dbis.mask], d);
	daxkv_db_close(store, db);
	d->life = numbers - 1; /* as if it had been opened so often */
	struct daxkv_txn *txn = begin_reading(store);

	OK(open_db(txn, "a", 0, &db));
	assert_int_equal(db, 2 + (numbers - 1) * store->dbis.room);
	assert_true(has(txn, db, "i am", "a"));
	daxkv_db_close(store, db);
	OK(open_db(txn, "a", 0, &next));
	assert_int_equal(next, 3); /* and not 2 again */
	daxkv_txn_abort(txn);
	store_done(store);
}

static void numbers_out_of_range(void **state)
{
	static const daxkv_db wrong[] = {0, 2, 3, 1000, 0x10001, 0x80000001, UINT32_MAX};
	struct daxkv_store *store = small_store(0);
	struct daxkv_txn *txn[2] = {begin(store), begin_reading(store)};
	struct daxkv_cursor *c;
	unsigned int flags;
	(void)state;

	for (size_t i = 0; i < 2 * sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(get_rc(txn[i % 2], wrong[i / 2], "k"), BAD_DB);
		assert_int_equal(daxkv_cursor_open(txn[i % 2], wrong[i / 2], &c), BAD_DB);
		assert_int_equal(daxkv_db_flags(txn[i % 2], wrong[i / 2], &flags), BAD_DB);
	}
	daxkv_txn_abort(txn[1]);
	OK(daxkv_txn_commit(txn[0]));
	store_done(store);
}

static void any_number_of_handles_may_be_asked_for(void **state)
{
	static const unsigned int most[] = {
	    1, DBI_MAX - 1, DBI_MAX, UINT32_MAX - 2, UINT32_MAX - 1, UINT32_MAX};
	(void)state;

	for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
		struct daxkv_store *store = small_store(most[i]);
		struct daxkv_txn *txn = begin(store);
		daxkv_db db = 0;
		char name[8];

		for (int n = 0; n < 100; n++) {
			snprintf(name, sizeof name, "n%d", n);
			assert_int_equal(open_db(txn, name, DAXKV_CREATE, &db),
			                 n && most[i] == 1 ? DAXKV_DBS_FULL : 0);
		}
		OK(daxkv_txn_commit(txn));
		store_done(store);
	}
}

/* ---- ends of handles ------------------------------------------------------------------------- */

static void a_table_that_is_full_leaves_the_transaction_whole(void **state)
{
	struct daxkv_store *store = small_store(2);
	struct daxkv_txn *txn;
	daxkv_db a = made(store, "a"), b = made(store, "b"), more = 0;
	(void)state;

	txn = begin(store);
	OK(put(txn, a, "before", "1", 0));
	assert_int_equal(open_db(txn, "c", DAXKV_CREATE, &more), DAXKV_DBS_FULL);
	assert_string_equal(daxkv_errmsg(), "all 2 database handles are open");
	OK(put(txn, b, "after", "2", 0));
	daxkv_db_close(store, a);
	OK(open_db(txn, "c", DAXKV_CREATE, &more));
	OK(put(txn, more, "i am", "c", 0));
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	assert_true(has(txn, b, "after", "2") && has(txn, more, "i am", "c"));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* A handle that is closed keeps its place while the transaction has changes in its database. */
static void places_of_closed_handles_are_named(void **state)
{
	struct daxkv_store *store = small_store(2);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = 0;
	char name[16];
	int rc = 0;
	(void)state;

	for (int n = 0; !rc && n < 10000; n++) {
		snprintf(name, sizeof name, "n%d", n);
		rc = open_db(txn, name, DAXKV_CREATE, &db);
		if (!rc)
			daxkv_db_close(store, db);
	}
	assert_int_equal(rc, DAXKV_DBS_FULL);
	assert_non_null(strstr(daxkv_errmsg(), "keep the other "));
	OK(daxkv_txn_commit(txn));
	db = made(store, "one more");
	store_done(store);
}

/* names_come_and_go - in each of the ways in which a database can do that. */
static void names_come_and_go(struct daxkv_store *store, int n)
{
	for (int i = 0; i < n; i++) {
		struct daxkv_txn *txn = begin(store), *child = i % 6 == 5 ? begin_in(txn) : NULL;
		daxkv_db db = 0;
		char name[16];

		snprintf(name, sizeof name, "name %d", i);
		OK(open_db(child ? child : txn, name, DAXKV_CREATE, &db));
		OK(put(child ? child : txn, db, "k", name, 0));
		if (child)
			daxkv_txn_abort(child);
		if (i % 6 == 0)
			OK(daxkv_db_drop(txn, db, 1));
		if (i % 6 == 1)
			daxkv_txn_abort(txn);
		else
			OK(daxkv_txn_commit(txn));
		if (i % 6 == 2)
			dropped(store, name);
		else if (i % 6 > 2)
			daxkv_db_close(store, db);
		txn = begin_reading(store);
		assert_int_equal(get_rc(txn, db, "k"), BAD_DB);
		daxkv_txn_abort(txn);
	}
}

/* Ever new names with few handles. Another process's reader keeps none of them; one of this process
 * keeps those that were dropped since, but not for ever. */
static void names_without_end(void **state)
{
	struct daxkv_store *store = small_store(3), *other = store_again("h");
	struct daxkv_txn *reader = begin_reading(other);
	(void)state;

	names_come_and_go(store, 900);
	assert_true(store->dbis.high < 8);
	daxkv_txn_abort(reader);
	OK(daxkv_close(other));
	reader = begin_reading(store);
	names_come_and_go(store, 4000);
	daxkv_txn_abort(reader);
	store_done(store);
}

static void a_handle_that_two_use_survives_the_abort_of_one(void **state)
{
	struct daxkv_store *store = small_store(0);
	struct daxkv_txn *writer, *reader;
	daxkv_db a = 0, same = 0, trash = 0;
	(void)state;

	made(store, "a");
	made(store, "trash");
	OK(daxkv_close(store));
	store = store_again("h");
	for (int shared = 0; shared < 2; shared++) {
		writer = begin(store);
		OK(open_db(writer, "a", 0, &a));
		reader = begin_reading(store);
		if (shared)
			OK(open_db(reader, "a", 0, &same));
		daxkv_txn_abort(reader);
		daxkv_txn_abort(writer);
		reader = begin_reading(store);
		OK(open_db(reader, "trash", 0, &trash));
		if (shared)
			assert_true(has(reader, a, "i am", "a") && same == a);
		else
			assert_int_equal(get_rc(reader, a, "i am"), BAD_DB);
		daxkv_txn_abort(reader);
	}
	store_done(store);
}

static void closing_in_the_middle_of_a_transaction(void **state)
{
	struct daxkv_store *store = small_store(4);
	struct daxkv_txn *txn, *child;
	struct daxkv_cursor *c;
	struct daxkv_val k, v;
	daxkv_db a = made(store, "a"), again = 0, b = 0;
	(void)state;

	for (int nested = 0; nested < 2; nested++) {
		txn = begin(store);
		OK(open_db(txn, "a", 0, &a));
		for (uint64_t i = 0; i < 200; i++)
			OK(put_n(txn, a, i, 20, (uint64_t)nested));
		OK(daxkv_cursor_open(txn, a, &c));
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_FIRST));
		daxkv_db_close(store, a);
		assert_int_equal(put(txn, a, "k", "v", 0), BAD_DB);
		assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_NEXT), BAD_DB);
		b = db_of(txn, "b", 0); /* and does not take its place */
		OK(put(txn, b, "in", "b", 0));
		child = nested ? begin_in(txn) : txn;
		OK(open_db(child, "a", 0, &again));
		assert_true(again != a && has_n(child, again, 199, 20,
		                                (uint64_t)nested)); /* what was changed is seen */
		OK(put(child, again, "k", "v", 0));
		assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_FIRST),
		                 nested ? DAXKV_BAD_TXN : BAD_DB);
		if (nested)
			OK(daxkv_txn_commit(child));
		OK(put(txn, again, "last", "v", 0));
		OK(daxkv_txn_commit(txn));
		store_check(store);
		txn = begin_reading(store);
		for (uint64_t i = 0; i < 200; i++)
			assert_true(has_n(txn, again, i, 20, (uint64_t)nested));
		assert_true(has(txn, again, "last", "v") && has(txn, b, "in", "b"));
		daxkv_txn_abort(txn);
	}
	store_done(store);
}

static void changes_by_a_closed_handle_are_dropped_with_the_database(void **state)
{
	struct daxkv_store *store = small_store(4);
	(void)state;

	for (int way = 0; way < 3;
	     way++) { /* dropped with all others; by another handle; not at all */
		struct daxkv_txn *txn;
		daxkv_db a = made(store, "a"), again = 0;

		txn = begin(store);
		for (uint64_t i = 0; i < 200; i++)
			OK(put_n(txn, a, i, 20, 0));
		daxkv_db_close(store, a);
		if (way == 0) {
			OK(daxkv_db_drop(txn, MAIN, 0));
		} else if (way == 1) {
			OK(open_db(txn, "a", 0, &again));
			OK(daxkv_db_drop(txn, again, 1));
		}
		OK(daxkv_txn_commit(txn));
		store_check(store);
		txn = begin_reading(store);
		assert_int_equal(open_db(txn, "a", 0, &again), way == 2 ? 0 : DAXKV_NOT_FOUND);
		assert_true(way != 2 || has_n(txn, again, 7, 20, 0));
		daxkv_txn_abort(txn);
	}
	store_done(store);
}

/* ---- one database, one handle ---------------------------------------------------------------- */

/* Another process drops x; this one gives its name to another database. */
static void a_rename_takes_the_name_from_a_stale_handle(void **state)
{
	struct daxkv_store *store = small_store(0), *other = store_again("h");
	struct daxkv_txn *txn;
	daxkv_db stale = made(store, "x"), tmp = 0, x = 0;
	(void)state;

	dropped(other, "x");
	tmp = made(store, "tmp");
	txn = begin(store);
	OK(rename_db(txn, tmp, "x"));
	assert_int_equal(put(txn, stale, "k", "v", 0), BAD_DB);
	daxkv_txn_abort(txn);
	txn = begin(store); /* it was not renamed after all, and the stale one waits for its name */
	assert_true(get_rc(txn, stale, "i am") == BAD_DB && has(txn, tmp, "i am", "tmp"));
	OK(rename_db(txn, tmp, "x"));
	OK(put(txn, tmp, "first", "1", 0));
	OK(open_db(txn, "x", 0, &x));
	assert_int_equal(x, tmp);
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(put(txn, tmp, "second", "2", 0));
	assert_int_equal(put(txn, stale, "third", "3", 0), BAD_DB);
	OK(open_db(txn, "x", 0, &x));
	assert_int_equal(x, tmp);
	OK(daxkv_txn_commit(txn));
	OK(daxkv_close(other));
	store_done(store);
}

/* Renames in a circle, in nested transactions that end in either way, beside a snapshot from
 * before. */
static void names_that_change_places(void **state)
{
	struct daxkv_store *store = small_store(0);
	daxkv_db a = made(store, "a"), b = made(store, "b"), again = 0;
	struct daxkv_txn *old = begin_reading(store), *txn, *child;
	(void)state;

	for (int i = 0; i < 20; i++) {
		txn = begin(store);
		child = begin_in(txn);
		OK(rename_db(child, a, "t"));
		OK(rename_db(child, b, "a"));
		OK(rename_db(child, a, "b"));
		OK(open_db(child, "a", 0, &again));
		assert_int_equal(again, b);
		if (i % 3)
			OK(daxkv_txn_commit(child));
		else
			daxkv_txn_abort(child);
		OK(open_db(txn, "a", 0, &again));
		assert_int_equal(again, i % 3 ? b : a);
		assert_true(has(txn, a, "i am", "a") && has(txn, b, "i am", "b"));
		if (i % 3 == 2) {
			OK(daxkv_txn_commit(txn));
			again = a;
			a = b;
			b = again; /* by the names that they have now */
			txn = begin(store);
			OK(rename_db(txn, a, "t"));
			OK(rename_db(txn, b, "a"));
			OK(rename_db(txn, a, "b"));
			OK(daxkv_txn_commit(txn));
			again = a;
			a = b;
			b = again;
		} else {
			daxkv_txn_abort(txn);
		}
		OK(open_db(old, "a", 0, &again));
		assert_true(again == a && has(old, a, "i am", "a") && has(old, b, "i am", "b"));
	}
	daxkv_txn_abort(old);
	store_done(store);
}

/* A snapshot from before a rename opens the old name: it gets the handle that had it then, whatever
 * has it now. */
static void names_belong_to_snapshots(void **state)
{
	struct daxkv_store *store = small_store(0);
	daxkv_db first = made(store, "x"), second = 0, seen = 0;
	struct daxkv_txn *old = begin_reading(store), *txn = begin(store);
	(void)state;

	OK(rename_db(txn, first, "y"));
	OK(daxkv_txn_commit(txn));
	second = made(store, "x");
	assert_int_not_equal(first, second);
	OK(open_db(old, "x", 0, &seen));
	assert_int_equal(seen, first);
	assert_int_equal(get_rc(old, second, "i am"), BAD_DB);
	daxkv_db_close(store, first);
	OK(open_db(old, "x", 0,
	           &seen)); /* nobody else had it then: what has it now does for both */
	assert_true(seen == second && has(old, second, "i am", "x"));
	daxkv_txn_abort(old);
	txn = begin(store);
	OK(open_db(txn, "x", 0, &seen));
	assert_int_equal(seen, second);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void a_drop_that_is_undone_gives_the_handle_back(void **state)
{
	struct daxkv_store *store = small_store(0);
	daxkv_db a = made(store, "a"), again = 0;
	struct daxkv_txn *txn = begin(store), *child = begin_in(txn);
	(void)state;

	OK(daxkv_db_drop(child, a, 1));
	OK(open_db(child, "a", DAXKV_CREATE, &again));
	assert_true(again != a && get_rc(child, a, "i am") == BAD_DB);
	OK(put(child, again, "i am", "new", 0));
	daxkv_txn_abort(child);
	assert_true(has(txn, a, "i am", "a") && get_rc(txn, again, "i am") == BAD_DB);
	child = begin_in(txn);
	OK(daxkv_db_drop(child, a, 1));
	OK(daxkv_txn_commit(child));
	assert_int_equal(get_rc(txn, a, "i am"), BAD_DB);
	daxkv_txn_abort(txn);
	txn = begin(store);
	assert_true(has(txn, a, "i am", "a"));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_old_number_means_nothing),
	    TEST(the_numbers_of_an_entry_are_used_up_before_one_comes_again),
	    TEST(numbers_out_of_range),
	    TEST(any_number_of_handles_may_be_asked_for),
	    TEST(a_table_that_is_full_leaves_the_transaction_whole),
	    TEST(places_of_closed_handles_are_named),
	    TEST(names_without_end),
	    TEST(a_handle_that_two_use_survives_the_abort_of_one),
	    TEST(closing_in_the_middle_of_a_transaction),
	    TEST(changes_by_a_closed_handle_are_dropped_with_the_database),
	    TEST(a_rename_takes_the_name_from_a_stale_handle),
	    TEST(names_that_change_places),
	    TEST(names_belong_to_snapshots),
	    TEST(a_drop_that_is_undone_gives_the_handle_back),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
