/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of daxkv_count and daxkv_count_estimate. */
#include "small_store.h"

#include <errno.h>

#define ENTRIES 20000u

static uint64_t count(struct daxkv_txn *txn, daxkv_db db, const char *from, const char *to)
{
	struct daxkv_val a = text(from ? from : ""), b = text(to ? to : "");
	uint64_t n = 99;

	OK(daxkv_count(txn, db, from ? &a : NULL, to ? &b : NULL, &n));
	return n;
}

/* count_n, about_n - from key number from to number to, the first or the last entry when open. */
static uint64_t count_n(struct daxkv_txn *txn, uint64_t from, uint64_t to)
{
	char a[17], b[17];
	struct daxkv_val first = key_n(a, from), end = key_n(b, to);
	uint64_t n = 99;

	OK(daxkv_count(txn, DAXKV_MAIN, from ? &first : NULL, to < ENTRIES ? &end : NULL, &n));
	return n;
}

static uint64_t about_n(struct daxkv_txn *txn, uint64_t from, uint64_t to)
{
	char a[17], b[17];
	struct daxkv_val first = key_n(a, from), end = key_n(b, to);
	uint64_t n = 99;

	OK(daxkv_count_estimate(txn, DAXKV_MAIN, from ? &first : NULL, to < ENTRIES ? &end : NULL,
	                        &n));
	return n;
}

/* filled - the even numbers below 2 * ENTRIES / 2, put in a random order, some of them since
 * changed in the tails of their leaves. */
static struct daxkv_store *filled(unsigned int page_size)
{
	struct daxkv_store *store = store_new("c", page_size);
	struct daxkv_txn *txn = begin(store);
	uint64_t n = 0;

	for (uint64_t i = 0; i < ENTRIES; i++) {
		OK(put_n(txn, DAXKV_MAIN, n, 20, 1));
		n = (n + 7561) % ENTRIES; /* a prime: every number comes once */
	}
	OK(daxkv_txn_commit(txn));
	for (n = 0; n < ENTRIES; n += 500)
		put_some(store, n, n + 1, 20, 2);
	return store;
}

static void exact_for_any_range(void **state)
{
	struct daxkv_store *store = filled(512);
	struct daxkv_txn *reader = begin_reading(store), *txn;
	uint64_t x = 5;
	(void)state;

	del_some(store, 100, 200);
	txn = begin(store);
	OK(put_n(txn, DAXKV_MAIN, 150, 20, 1));
	for (int i = 0; i < 300; i++) {
		uint64_t from = random_next(&x) % ENTRIES,
		         to = from + random_next(&x) % (i % 2 ? 50 : ENTRIES);

		to = to < ENTRIES ? to : ENTRIES;
		assert_int_equal(count_n(reader, from, to), to - from);
	}
	assert_int_equal(count_n(txn, 50, 300), 250 - 99);
	assert_int_equal(count_n(txn, 150, 151), 1);
	assert_int_equal(count_n(txn, 0, ENTRIES), ENTRIES - 99);
	assert_int_equal(count_n(txn, 300, 50), 0);
	assert_int_equal(count_n(txn, 50, 50), 0);
	assert_int_equal(about_n(txn, 300, 50), 0);
	daxkv_txn_abort(txn);
	daxkv_txn_abort(reader);
	store_done(store);
}

static void ends_that_are_no_keys(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val none = {0, NULL}, some = text("x");
	uint64_t n = 77;
	(void)state;

	assert_int_equal(count(txn, DAXKV_MAIN, NULL, NULL), 0);
	assert_int_equal(count(txn, DAXKV_MAIN, "a", "b"), 0);
	OK(daxkv_count_estimate(txn, DAXKV_MAIN, &some, NULL, &n));
	assert_int_equal(n, 0);
	OK(put(txn, DAXKV_MAIN, "b", "1", 0));
	OK(put(txn, DAXKV_MAIN, "d", "2", 0));
	OK(put(txn, DAXKV_MAIN, "f", "3", 0));
	assert_int_equal(count(txn, DAXKV_MAIN, "a", "z"), 3);
	assert_int_equal(count(txn, DAXKV_MAIN, "b", "f"), 2);
	assert_int_equal(count(txn, DAXKV_MAIN, "c", "e"), 1);
	assert_int_equal(count(txn, DAXKV_MAIN, "c", NULL), 2);
	assert_int_equal(count(txn, DAXKV_MAIN, NULL, "d"), 1);
	n = 77;
	assert_int_equal(daxkv_count(txn, DAXKV_MAIN, &none, NULL, &n), DAXKV_KEY_SIZE);
	assert_int_equal(daxkv_count(txn, DAXKV_MAIN, NULL, &none, &n), DAXKV_KEY_SIZE);
	assert_int_equal(daxkv_count(txn, 77, &some, NULL, &n), DAXKV_BAD_DB);
	assert_int_equal(daxkv_count(txn, 77, NULL, NULL, &n), DAXKV_BAD_DB);
	assert_int_equal(daxkv_count(txn, DAXKV_MAIN, &some, NULL, NULL), EINVAL);
	assert_int_equal(n, 77);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void duplicates_count_each(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "dups", DAXKV_DUP_SORT);
	char value[8];
	(void)state;

	for (unsigned int i = 0; i < 1000; i++) { /* of "m" so many that they fill leaves */
		snprintf(value, sizeof value, "%06u", i);
		OK(put(txn, db, "m", value, 0));
		if (i < 3) {
			OK(put(txn, db, "a", value, 0));
			OK(put(txn, db, "z", value, 0));
		}
	}
	for (int committed = 0; committed < 2; committed++) {
		assert_int_equal(count(txn, db, NULL, NULL), 1006);
		assert_int_equal(count(txn, db, "m", NULL), 1003);
		assert_int_equal(count(txn, db, "m", "n"), 1000);
		assert_int_equal(count(txn, db, "a", "m"), 3);
		assert_int_equal(count(txn, db, NULL, "z"), 1003);
		if (!committed)
			OK(daxkv_txn_commit(txn));
		else
			daxkv_txn_abort(txn);
		if (!committed)
			txn = begin_reading(store);
	}
	store_done(store);
}

static int backward(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	size_t n = a->size < b->size ? a->size : b->size;
	int c = memcmp(b->data, a->data, n);
	(void)arg;

	return c ? c : (b->size > a->size) - (b->size < a->size);
}

static void in_the_order_of_the_database(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "own", DAXKV_OWN_COMPARE);
	struct daxkv_val a = text("a");
	uint64_t n;
	(void)state;

	OK(daxkv_db_set_compare(txn, db, backward, NULL));
	OK(put(txn, db, "a", "1", 0));
	OK(put(txn, db, "b", "2", 0));
	OK(put(txn, db, "c", "3", 0));
	assert_int_equal(count(txn, db, "c", "a"), 2);
	assert_int_equal(count(txn, db, "a", "c"), 0);
	OK(daxkv_txn_commit(txn));
	OK(daxkv_close(store));
	store = store_again("c");
	txn = begin_reading(store);
	OK(daxkv_db_open(txn, &(struct daxkv_val){3, "own"}, 0, &db));
	assert_int_equal(count(txn, db, NULL, NULL), 3); /* no order is needed for that */
	assert_int_equal(daxkv_count(txn, db, &a, NULL, &n), DAXKV_NEED_COMPARE);
	daxkv_txn_abort(txn);
	OK(daxkv_close(store));
}

/* about_in - counts of ranges of all sizes are off by a part of them at most, and by slack. */
static void about_in(unsigned int page_size, uint64_t parts, uint64_t slack)
{
	struct daxkv_store *store = filled(page_size);
	struct daxkv_txn *txn = begin_reading(store);
	uint64_t x = 9;

	for (int i = 0; i < 300; i++) {
		uint64_t from = random_next(&x) % ENTRIES,
		         to = from + random_next(&x) % (i % 2 ? 300 : ENTRIES), off;

		to = to < ENTRIES ? to : ENTRIES;
		off = (to - from) / parts + slack;
		assert_in_range(about_n(txn, from, to) + off, to - from, to - from + 2 * off);
	}
	assert_int_equal(about_n(txn, 0, ENTRIES), ENTRIES);
	assert_int_equal(about_n(txn, 700, 702), 2);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void about_is_near(void **state)
{
	(void)state;

	about_in(4096, 10, 120); /* a leaf has some eighty entries */
	about_in(512, 3, 300);   /* a tree of many levels, with few kids to a page */
}

/* leaf_spoil - the page that holds the key's entry becomes no page. */
static void leaf_spoil(struct daxkv_store *store, uint64_t number)
{
	struct daxkv_txn *txn = begin_reading(store);
	char buf[17];
	struct daxkv_val key = key_n(buf, number), value;
	uint64_t page;

	OK(daxkv_get(txn, DAXKV_MAIN, &key, &value));
	page = (uint64_t)((const uint8_t *)value.data - store->map.base) / 512 * 512;
	daxkv_txn_abort(txn);
	image_flip("image", page + offsetof(struct fmt_page, type));
}

static void an_estimate_reads_no_page_between(void **state)
{
	struct daxkv_store *store = filled(512), *damaged;
	struct daxkv_txn *txn;
	char a[17], b[17];
	struct daxkv_val first = key_n(a, 5000), end = key_n(b, 15000);
	uint64_t n = 0;
	(void)state;

	OK(daxkv_sync(store));
	store_image(store, "image");
	for (uint64_t number = 5500; number < 14500; number += 5)
		leaf_spoil(store, number);
	damaged = store_open("image", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
	txn = begin_reading(damaged);
	assert_int_equal(daxkv_count(txn, DAXKV_MAIN, &first, &end, &n), DAXKV_CORRUPT);
	OK(daxkv_count_estimate(txn, DAXKV_MAIN, &first, &end, &n));
	assert_in_range(n, 8000, 12000);
	daxkv_txn_abort(txn);
	OK(daxkv_close(damaged));
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(exact_for_any_range),   TEST(ends_that_are_no_keys),
	    TEST(duplicates_count_each), TEST(in_the_order_of_the_database),
	    TEST(about_is_near),         TEST(an_estimate_reads_no_page_between),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
