/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of daxkv_del_range: what goes, what stays, for the transaction and for older snapshots.
 * Random ranges are the model test's. */
#include "small_store.h"

#include <errno.h>

#define ENTRIES 3000u
#define LEN     30u

static int cut(struct daxkv_txn *txn, daxkv_db db, uint64_t from, uint64_t to, uint64_t *deleted)
{
	char a[17], b[17];
	struct daxkv_val first = key_n(a, from), end = key_n(b, to);

	return daxkv_del_range(txn, db, &first, &end, deleted);
}

static struct daxkv_store *filled(void)
{
	struct daxkv_store *store = store_new("r", 512);

	put_some(store, 0, ENTRIES, LEN, 1);
	for (uint64_t n = 0; n < ENTRIES; n += 100) /* some entries in the tails of their leaves */
		put_some(store, n, n + 1, LEN, 1);
	return store;
}

static void all(struct daxkv_txn *txn, uint64_t from,
                uint64_t to) /* of [0, ENTRIES) all but [from, to) are there */
{
	for (uint64_t n = 0; n < ENTRIES; n++)
		assert_true(n >= from && n < to ? lacks_n(txn, DAXKV_MAIN, n)
		                                : has_n(txn, DAXKV_MAIN, n, LEN, 1));
}

static void ranges_of_every_size(void **state)
{
	struct daxkv_store *store = filled();
	struct daxkv_txn *reader = begin_reading(store);
	uint64_t x = 3;
	(void)state;

	for (int i = 0; i < 60; i++) {
		uint64_t from = random_next(&x) % ENTRIES,
		         len = random_next(&x) % (i % 3 == 0   ? 8
		                                  : i % 3 == 1 ? 100
		                                               : ENTRIES),
		         deleted = 99;
		uint64_t to = from + len < ENTRIES ? from + len : ENTRIES;
		struct daxkv_txn *txn = begin(store);
		struct daxkv_db_stat stat;

		OK(cut(txn, DAXKV_MAIN, from, to, &deleted));
		assert_int_equal(deleted, to - from);
		OK(daxkv_db_stat(txn, DAXKV_MAIN, &stat));
		assert_int_equal(stat.entries, ENTRIES - deleted);
		all(txn, from, to);
		if (i % 2) {
			daxkv_txn_abort(txn);
			continue;
		}
		OK(daxkv_txn_commit(txn));
		all(reader, 0, 0);
		store_check(store);
		put_some(store, from, to, LEN, 1);
	}
	daxkv_txn_abort(reader);
	store_done(store);
}

static void middle_pages_are_not_written(void **state)
{
	struct daxkv_store *store = filled();
	struct daxkv_txn *txn = begin(store);
	struct daxkv_counters before = counters(store), after;
	uint64_t deleted;
	(void)state;

	OK(cut(txn, DAXKV_MAIN, 10, ENTRIES - 10, &deleted));
	OK(daxkv_txn_commit(txn));
	after = counters(store);
	assert_int_equal(deleted, ENTRIES - 20);
	assert_in_range(after.lines_flushed - before.lines_flushed, 1,
	                400); /* about 300 leaves of 8 lines went */
	assert_in_range(after.lines_streamed - before.lines_streamed, 0, 400);
	store_done(store);
}

static void open_ends_and_empty_ranges(void **state)
{
	struct daxkv_store *store = filled();
	struct daxkv_txn *txn = begin(store);
	char buf[17];
	struct daxkv_val at = key_n(buf, 1000), none = {0, NULL};
	struct daxkv_db_stat stat;
	uint64_t deleted;
	(void)state;

	OK(cut(txn, DAXKV_MAIN, 500, 500, &deleted));
	assert_int_equal(deleted, 0);
	OK(cut(txn, DAXKV_MAIN, 500, 400, &deleted));
	assert_int_equal(deleted, 0);
	all(txn, 0, 0);
	OK(daxkv_del_range(txn, DAXKV_MAIN, NULL, &at, &deleted));
	assert_int_equal(deleted, 1000);
	all(txn, 0, 1000);
	at = key_n(buf, 2000);
	OK(daxkv_del_range(txn, DAXKV_MAIN, &at, NULL, NULL));
	OK(daxkv_db_stat(txn, DAXKV_MAIN, &stat));
	assert_int_equal(stat.entries, 1000);
	OK(daxkv_del_range(txn, DAXKV_MAIN, &at, NULL, &deleted));
	assert_int_equal(deleted, 0);
	OK(daxkv_del_range(txn, DAXKV_MAIN, NULL, NULL, &deleted));
	assert_int_equal(deleted, 1000);
	OK(daxkv_del_range(txn, DAXKV_MAIN, NULL, NULL, &deleted));
	assert_int_equal(deleted, 0);
	OK(daxkv_db_stat(txn, DAXKV_MAIN, &stat));
	assert_true(stat.entries == 0 && stat.leaf_pages == 1 && stat.inner_pages == 0);
	assert_int_equal(daxkv_del_range(txn, DAXKV_MAIN, &none, NULL, &deleted), DAXKV_KEY_SIZE);
	assert_int_equal(daxkv_del_range(txn, DAXKV_MAIN, NULL, &none, &deleted), DAXKV_KEY_SIZE);
	assert_int_equal(daxkv_del_range(txn, 77, NULL, NULL, &deleted), DAXKV_BAD_DB);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	assert_int_equal(daxkv_del_range(txn, DAXKV_MAIN, NULL, NULL, &deleted), EACCES);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void nothing_from_an_empty_database(void **state)
{
	struct daxkv_store *store = store_new("r", 512);
	struct daxkv_txn *txn;
	uint64_t deleted;
	(void)state;

	put_one(store, "a", "b");
	for (int i = 0; i < 3;
	     i++) { /* each a transaction of its own: the second one changes nothing */
		txn = begin(store);
		OK(daxkv_del_range(txn, DAXKV_MAIN, NULL, NULL, &deleted));
		assert_int_equal(deleted, i == 0);
		OK(daxkv_txn_commit(txn));
		store_check(store);
	}
	put_some(store, 0, 100, LEN, 1);
	store_done(store);
}

static void names_of_databases_are_not_removed(void **state)
{
	struct daxkv_store *store = filled();
	struct daxkv_txn *txn = begin(store);
	uint64_t deleted;
	(void)state;

	(void)db_of(txn, "numbered00001500x", 0); /* between two keys */
	assert_int_equal(cut(txn, DAXKV_MAIN, 10, 2000, &deleted), DAXKV_INCOMPATIBLE);
	assert_int_equal(daxkv_del_range(txn, DAXKV_MAIN, NULL, NULL, &deleted),
	                 DAXKV_INCOMPATIBLE);
	all(txn, 0, 0);
	OK(cut(txn, DAXKV_MAIN, 10, 1500, &deleted)); /* up to 1500, which lies before it */
	OK(cut(txn, DAXKV_MAIN, 1501, 2000, &deleted));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void large_values_and_duplicates(void **state)
{
	struct daxkv_store *store = store_new("r", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db large = db_of(txn, "large", 0), dups = db_of(txn, "dups", DAXKV_DUP_SORT);
	struct daxkv_db_stat stat;
	uint64_t deleted, used;
	(void)state;

	OK(daxkv_txn_commit(txn));
	used = info(store).used_bytes;
	txn = begin(store);
	for (uint64_t n = 0; n < 200; n++) {
		OK(put_n(txn, large, n, n % 2 ? 3000 : 20, 1));
		for (uint64_t v = 0; v < 10; v++)
			OK(put_n(txn, dups, n, 20, v));
	}
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(cut(txn, large, 20, 180, &deleted));
	assert_int_equal(deleted, 160);
	OK(daxkv_db_stat(txn, large, &stat));
	assert_int_equal(stat.blob_pages, 20 * 6);
	OK(cut(txn, dups, 7, 193, &deleted));
	assert_int_equal(deleted, 186 * 10);
	OK(daxkv_db_stat(txn, dups, &stat));
	assert_int_equal(stat.entries, 14 * 10);
	OK(daxkv_txn_commit(txn));
	store_check(store);
	txn = begin(store);
	OK(daxkv_del_range(txn, large, NULL, NULL, &deleted));
	assert_int_equal(deleted, 40);
	OK(cut(txn, dups, 0, 200, &deleted));
	assert_int_equal(deleted, 140);
	OK(daxkv_txn_commit(txn));
	assert_in_range(info(store).used_bytes, used,
	                used + 5 * 512); /* a descriptor and an empty leaf each, and a bitmap page
	                                    where the file grew */
	store_done(store);
}

static void cursors_stand_before_what_followed(void **state)
{
	struct daxkv_store *store = filled();
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *c;
	char buf[17];
	struct daxkv_val key = key_n(buf, 700), value;
	(void)state;

	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	OK(daxkv_cursor_get(c, &key, &value, DAXKV_SEEK));
	OK(cut(txn, DAXKV_MAIN, 300, 1200, NULL));
	OK(daxkv_cursor_get(c, &key, &value, DAXKV_NEXT));
	assert_memory_equal(key.data, key_n(buf, 1200).data, 16);
	OK(daxkv_cursor_get(c, &key, &value, DAXKV_PREV));
	assert_memory_equal(key.data, key_n(buf, 299).data, 16);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* The ends of the range are keys as a get showed them: they lie in leaves that the call
 * rewrites. */
static void ends_that_lie_in_the_store(void **state)
{
	struct daxkv_store *store = filled();
	struct daxkv_txn *txn = begin(store);
	(void)state;

	for (uint64_t n = 0; n < ENTRIES;
	     n++) /* all leaves become private: they are rewritten where they are, one entry often
	             in the place of another */
		OK(put_n(txn, DAXKV_MAIN, n, 0, 2));
	for (uint64_t from = 10; from + 300 < ENTRIES; from += 301) {
		struct daxkv_cursor *a = NULL, *b = NULL;
		struct daxkv_val first, end, v;
		uint64_t deleted = 0;
		char k[17];

		OK(daxkv_cursor_open(txn, DAXKV_MAIN, &a));
		OK(daxkv_cursor_open(txn, DAXKV_MAIN, &b));
		first = key_n(k, from);
		OK(daxkv_cursor_get(a, &first, &v, DAXKV_SEEK_GE));
		end = key_n(k, from + 291);
		OK(daxkv_cursor_get(b, &end, &v, DAXKV_SEEK_GE));
		assert_true(first.data != k && end.data != k);
		daxkv_cursor_close(a);
		daxkv_cursor_close(b);
		OK(daxkv_del_range(txn, DAXKV_MAIN, &first, &end, &deleted));
		assert_int_equal(deleted, 291);
		assert_true(lacks_n(txn, DAXKV_MAIN, from));
		assert_true(lacks_n(txn, DAXKV_MAIN, from + 290));
	}
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* Leaves lie where their turn to be written came: in the order of their places they are few
 * extents, and what is freed together is told in as many steps. */
static void what_goes_together_is_few_extents(void **state)
{
	struct daxkv_store *store = store_new("together", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_db_stat stat;
	uint64_t deleted, x = 7;
	(void)state;

	for (uint64_t i = 0; i < ENTRIES; i++) {
		char k[17];
		uint8_t bytes[LEN] = {0};
		struct daxkv_val key = key_n(k, random_next(&x) % 1000000), value = {LEN, bytes};

		OK(daxkv_put(txn, DAXKV_MAIN, &key, &value, 0));
	}
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(daxkv_db_stat(txn, DAXKV_MAIN, &stat));
	assert_true(stat.leaf_pages > 30);
	OK(cut(txn, DAXKV_MAIN, 1000, 999000, &deleted));
	assert_in_range(store->space.nops, 1, stat.leaf_pages / 4);
	OK(daxkv_txn_commit(txn));
	OK(daxkv_check(store, NULL, NULL, NULL));
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(ranges_of_every_size),
	    TEST(middle_pages_are_not_written),
	    TEST(open_ends_and_empty_ranges),
	    TEST(nothing_from_an_empty_database),
	    TEST(names_of_databases_are_not_removed),
	    TEST(large_values_and_duplicates),
	    TEST(cursors_stand_before_what_followed),
	    TEST(ends_that_lie_in_the_store),
	    TEST(what_goes_together_is_few_extents),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
