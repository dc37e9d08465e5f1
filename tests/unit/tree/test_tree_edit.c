/* SPDX-License-Identifier: BSD-3-Clause */
/* The base of a private leaf is changed where it lies: what a transaction puts into a leaf that it
 * made, or takes out of it, needs neither a tail nor a leaf that is written anew. */
#include "small_store.h"

#define MAIN  DAXKV_MAIN
#define COUNT 4000u
#define STEP  1237u /* a prime: n * STEP % COUNT are all numbers below COUNT */

/* Random puts of one transaction: a leaf is written when it is split, and not for every tail. */
static void puts_fill_private_leaves(void **state)
{
	(void)state;
	for (unsigned int page_size = 512; page_size <= 4096; page_size *= 8) {
		struct daxkv_store *store = store_new("d", page_size);
		struct daxkv_txn *txn = begin(store);

		for (uint64_t i = 0; i < COUNT; i++)
			OK(put_n(txn, MAIN, i * STEP % COUNT, 40, 0));
		struct daxkv_counters c = counters(store);

		assert_in_range(c.compactions, c.splits, c.splits + c.splits / 2);
		for (uint64_t i = 0; i < COUNT; i++)
			assert_true(has_n(txn, MAIN, i, 40, 0));
		OK(daxkv_txn_commit(txn));
		store_done(store);
	}
}

/* mixed_n - a value of a size that is none of its neighbours', of bytes that its number tells. */
static struct daxkv_val mixed_n(char *buf, uint64_t i, unsigned int most)
{
	size_t n = i * 7 % most;

	memset(buf, (int)('a' + i % 26), n);
	return (struct daxkv_val){n, buf};
}

/* The same of entries whose sizes differ: nothing but a split writes a leaf. */
static void puts_of_any_size_fill_private_leaves(void **state)
{
	char kb[17], vb[512];
	(void)state;

	for (unsigned int page_size = 512; page_size <= 4096; page_size *= 8) {
		const unsigned int most = page_size / 8;
		struct daxkv_store *store = store_new("d", page_size);
		struct daxkv_txn *txn = begin(store);
		struct daxkv_val k, v, got;

		for (uint64_t i = 0; i < COUNT; i++) {
			k = key_n(kb, i * STEP % COUNT);
			v = mixed_n(vb, i * STEP % COUNT, most);
			OK(daxkv_put(txn, MAIN, &k, &v, 0));
		}
		struct daxkv_counters c = counters(store);

		assert_in_range(c.compactions, c.splits, 2 * c.splits);
		for (int again = 0; again < 2; again++) {
			for (uint64_t i = 0; i < COUNT; i++) {
				k = key_n(kb, i);
				v = mixed_n(vb, i, most);
				OK(daxkv_get(txn, MAIN, &k, &got));
				assert_true(got.size == v.size &&
				            !memcmp(got.data, v.data, v.size));
			}
			OK(daxkv_txn_commit(txn));
			txn = begin(store);
		}
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

/* An index: pairs of a short key and an integer, which is read where it lies. */
static void integers_stay_aligned_in_private_leaves(void **state)
{
	struct daxkv_store *store = store_new("d", 1024);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "index", DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP);
	struct daxkv_cursor *c;
	struct daxkv_val k, v;
	uint64_t n = 0, splits = counters(store).splits;
	(void)state;

	for (uint64_t i = 0; i < COUNT; i++) {
		uint64_t key = i * STEP % 31;

		k = (struct daxkv_val){i % 5 ? 4 : 6, &key};
		v = (struct daxkv_val){8, &i};
		OK(daxkv_put(txn, db, &k, &v, 0));
	}
	splits = counters(store).splits - splits;
	assert_in_range(counters(store).compactions, splits, 2 * splits);
	OK(daxkv_cursor_open(txn, db, &c));
	for (; daxkv_cursor_get(c, &k, &v, DAXKV_NEXT) == 0; n++)
		assert_true(k.size == 6 || (uintptr_t)v.data % 8 == 0);
	assert_int_equal(n, COUNT);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* A cursor that deletes what it scans, forward or backward: a leaf is written anew once, when it
 * has lost a few entries, and another one only where it joins. */
static void scans_empty_leaves(void **state)
{
	(void)state;
	for (int back = 0; back < 2; back++) {
		struct daxkv_store *store = store_new("d", 4096);
		struct daxkv_db_stat stat;
		struct daxkv_cursor *c;
		struct daxkv_val k, v;
		uint64_t n = 0;

		put_some(store, 0, COUNT, 100, 0);
		uint64_t before = counters(store).compactions;
		struct daxkv_txn *old = begin_reading(store);
		struct daxkv_txn *txn = begin(store);

		OK(daxkv_db_stat(txn, MAIN, &stat));
		OK(daxkv_cursor_open(txn, MAIN, &c));
		while (daxkv_cursor_get(c, &k, &v, back ? DAXKV_LAST : DAXKV_NEXT) == 0) {
			char buf[17];
			struct daxkv_val want = key_n(buf, back ? COUNT - 1 - n : n);

			assert_memory_equal(k.data, want.data, 16);
			OK(daxkv_cursor_del(c, 0));
			n++;
		}
		assert_int_equal(n, COUNT);
		assert_in_range(counters(store).compactions - before, 0, 2 * stat.leaf_pages);
		OK(daxkv_txn_commit(txn));
		for (n = 0; n < COUNT; n++)
			assert_true(has_n(old, MAIN, n, 100, 0));
		daxkv_txn_abort(old);
		store_done(store);
	}
}

/* A cursor that replaces what it scans: a leaf is written anew once, and not split though it is
 * full, but for the first ones and where pages are scarce for a moment. Snapshots keep the old
 * values. */
static void scans_replace_values(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_db_stat stat, after;
	struct daxkv_cursor *c;
	struct daxkv_val k;
	uint8_t value[100];
	uint64_t n = 0;
	(void)state;

	put_some(store, 0, COUNT, sizeof value, 0);
	uint64_t before = counters(store).compactions;
	struct daxkv_txn *old = begin_reading(store);
	struct daxkv_txn *txn = begin(store);

	OK(daxkv_db_stat(txn, MAIN, &stat));
	OK(daxkv_cursor_open(txn, MAIN, &c));
	while (daxkv_cursor_get(c, &k, NULL, DAXKV_NEXT) == 0) {
		struct daxkv_val v = {sizeof value, value};

		fill_n(value, sizeof value, n, 1);
		OK(daxkv_cursor_put(c, NULL, &v, DAXKV_CURRENT));
		n++;
	}
	assert_int_equal(n, COUNT);
	OK(daxkv_db_stat(txn, MAIN, &after));
	assert_in_range(after.leaf_pages, stat.leaf_pages, stat.leaf_pages * 9 / 8);
	assert_in_range(counters(store).compactions - before, stat.leaf_pages / 2,
	                stat.leaf_pages * 9 / 8);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	for (n = 0; n < COUNT; n++) {
		assert_true(has_n(old, MAIN, n, sizeof value, 0));
		assert_true(has_n(txn, MAIN, n, sizeof value, 1));
	}
	daxkv_txn_abort(txn);
	daxkv_txn_abort(old);
	store_done(store);
}

/* A few changes are a few entries of the leaf's tail, and no page: by puts, and by removals. */
static void few_changes_write_no_leaf(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	(void)state;

	put_some(store, 0, COUNT, 8, 0);
	for (int removal = 0; removal < 2; removal++) {
		uint64_t before = counters(store).compactions;
		struct daxkv_txn *txn = begin(store);

		for (uint64_t n = 0; n < (removal ? 3u : 7u); n++) {
			char buf[17];
			struct daxkv_val k = key_n(buf, n + (removal ? COUNT / 2 : 0));

			if (removal)
				OK(daxkv_del(txn, MAIN, &k, NULL));
			else
				OK(put_n(txn, MAIN, n, 8, 1));
		}
		OK(daxkv_txn_commit(txn));
		assert_int_equal(counters(store).compactions, before);
	}
	store_done(store);
}

/* cursor_on - a cursor's entry is number n. */
static void cursor_on(struct daxkv_cursor *c, uint64_t n)
{
	char buf[17];
	struct daxkv_val k, want = key_n(buf, n);

	OK(daxkv_cursor_get(c, &k, NULL, DAXKV_GET_CURRENT));
	assert_memory_equal(k.data, want.data, 16);
}

/* Entries move under the cursors of the transaction, which stay where they were. */
static void cursors_stay(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *c[2];
	struct daxkv_val k, v;
	(void)state;

	for (uint64_t n = 30; n > 0; n--) /* in one private leaf, in two with the puts below */
		OK(put_n(txn, MAIN, 10 * n, 40, 0));
	OK(daxkv_cursor_open(txn, MAIN, &c[0]));
	OK(daxkv_cursor_open(txn, MAIN, &c[1]));
	OK(daxkv_cursor_get(c[0], &k, &v, DAXKV_FIRST));
	OK(daxkv_cursor_get(c[1], &k, &v, DAXKV_LAST));
	for (uint64_t n = 1; n < 20; n++) {
		OK(put_n(txn, MAIN, 10 * n + 5, 40, 0));
		cursor_on(c[0], 10 * n);
		cursor_on(c[1], 300);
		OK(daxkv_cursor_del(c[0], 0));
		OK(daxkv_cursor_get(c[0], &k, &v, DAXKV_NEXT));
		cursor_on(c[0], 10 * n + 5);
		OK(daxkv_cursor_get(c[0], &k, &v, DAXKV_NEXT));
		OK(daxkv_cursor_get(c[1], &k, &v, DAXKV_PREV));
		OK(daxkv_cursor_get(c[1], &k, &v, DAXKV_NEXT));
	}
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* What is put lies in the leaf that moves. */
static void entries_from_the_leaf_itself(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *c;
	struct daxkv_val k, v;
	char buf[17];
	(void)state;

	for (uint64_t n = 20; n > 0; n--)
		OK(put_n(txn, MAIN, 10 * n, 40, n));
	for (uint64_t n = 1; n <= 20; n++) {
		k = key_n(buf, 10 * n);
		OK(daxkv_get(txn, MAIN, &k, &v));
		k = key_n(buf, 201 - 10 * n);
		OK(daxkv_put(txn, MAIN, &k, &v, 0)); /* another's value */
	}
	for (uint64_t n = 1; n <= 20; n++) {
		uint8_t want[40];

		fill_n(want, sizeof want, 10 * n, n);
		k = key_n(buf, 201 - 10 * n);
		OK(daxkv_get(txn, MAIN, &k, &v));
		assert_int_equal(v.size, sizeof want);
		assert_memory_equal(v.data, want, sizeof want);
	}
	OK(daxkv_cursor_open(txn, MAIN, &c));
	while (daxkv_cursor_get(c, &k, &v, DAXKV_NEXT) == 0)
		OK(daxkv_del(txn, MAIN, &k, NULL)); /* its own key */
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* Keys that begin otherwise, values of other sizes, and a place that is filled later. */
static void entries_unlike_the_others(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_txn *txn = begin(store);
	uint8_t value[40];
	(void)state;

	for (uint64_t n = 20; n > 0; n--)
		OK(put_n(txn, MAIN, 2 * n, 40, 0));
	for (uint64_t n = 0; n < 8; n++) {
		char key[17];
		struct daxkv_val k = bytes(key, 16), v = {sizeof value, NULL};

		snprintf(key, sizeof key, "other%011lu", (unsigned long)n);
		fill_n(value, sizeof value, n, 9);
		OK(daxkv_put(txn, MAIN, &k, &v, DAXKV_RESERVE));
		memcpy(v.data, value, sizeof value);
		OK(put_n(txn, MAIN, 2 * n + 1, n % 2 ? 40 : 30, 1));
	}
	OK(daxkv_txn_commit(txn));
	store_check(store);
	txn = begin_reading(store);
	for (uint64_t n = 0; n < 8; n++) {
		char key[17];
		struct daxkv_val k = bytes(key, 16), v;

		snprintf(key, sizeof key, "other%011lu", (unsigned long)n);
		fill_n(value, sizeof value, n, 9);
		OK(daxkv_get(txn, MAIN, &k, &v));
		assert_memory_equal(v.data, value, sizeof value);
		assert_true(has_n(txn, MAIN, 2 * n + 1, n % 2 ? 40 : 30, 1));
	}
	daxkv_txn_abort(txn);
	store_done(store);
}

/* A nested transaction leaves the leaves of the levels around it as they are [R8], until it has
 * committed. */
static void a_level_edits_its_own_leaves(void **state)
{
	(void)state;
	for (int keep = 0; keep < 2; keep++) {
		struct daxkv_store *store = store_new("d", 4096);
		struct daxkv_txn *txn = begin(store), *child;

		for (uint64_t n = 60; n > 0; n--)
			OK(put_n(txn, MAIN, 10 * n, 40, 0));
		child = begin_in(txn);
		for (uint64_t n = 1; n <= 60; n++) {
			OK(put_n(child, MAIN, 10 * n + 1, 40, 1));
			OK(del_n(child, MAIN, 10 * n));
		}
		if (keep)
			OK(daxkv_txn_commit(child));
		else
			daxkv_txn_abort(child);
		for (uint64_t n = 1; n <= 60; n++) {
			assert_true(has_n(txn, MAIN, 10 * n, 40, 0) == !keep);
			assert_true(has_n(txn, MAIN, 10 * n + 1, 40, 1) == keep);
			OK(put_n(txn, MAIN, 10 * n + 2, 40, 2));
		}
		OK(daxkv_txn_commit(txn));
		store_done(store);
	}
}

/* Pairs, integers and reversed keys have leaves of this kind, too. */
static void all_orders(void **state)
{
	const unsigned int flags[] = {DAXKV_DUP_SORT,
	                              DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP,
	                              DAXKV_INTEGER_KEY, DAXKV_REVERSE_KEY};
	struct daxkv_store *store = store_new("d", 4096);
	(void)state;

	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		bool dups = flags[i] & DAXKV_DUP_SORT;
		struct daxkv_txn *txn = begin(store);
		char name[] = {'d', (char)('0' + i), '\0'};
		daxkv_db db = db_of(txn, name, flags[i]);
		struct daxkv_db_stat stat;

		for (uint64_t n = 0; n < COUNT; n++) {
			uint64_t key = n * STEP % COUNT / (dups ? 10 : 1), value = n * STEP % COUNT;
			struct daxkv_val k = bytes(&key, sizeof key),
			                 v = bytes(&value, sizeof value);

			OK(daxkv_put(txn, db, &k, &v, 0));
		}
		for (uint64_t n = 0; n < COUNT; n += 2) {
			uint64_t key = n / (dups ? 10 : 1);
			struct daxkv_val k = bytes(&key, sizeof key), v = bytes(&n, sizeof n);

			OK(daxkv_del(txn, db, &k, dups ? &v : NULL));
		}
		OK(daxkv_db_stat(txn, db, &stat));
		assert_int_equal(stat.entries, COUNT / 2);
		OK(daxkv_txn_commit(txn));
	}
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(puts_fill_private_leaves),
	    TEST(puts_of_any_size_fill_private_leaves),
	    TEST(integers_stay_aligned_in_private_leaves),
	    TEST(scans_empty_leaves),
	    TEST(scans_replace_values),
	    TEST(few_changes_write_no_leaf),
	    TEST(cursors_stay),
	    TEST(entries_from_the_leaf_itself),
	    TEST(entries_unlike_the_others),
	    TEST(a_level_edits_its_own_leaves),
	    TEST(all_orders),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
