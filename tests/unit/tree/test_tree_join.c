/* SPDX-License-Identifier: BSD-3-Clause */
/* Leaves and inner pages with little left in them: however entries go, what stays fills a quarter
 * of the pages that it takes. */
#include "small_store.h"

#define MAIN  DAXKV_MAIN
#define COUNT 6000u
#define KEEP  16u

static struct daxkv_db_stat stat_of(struct daxkv_store *store)
{
	struct daxkv_txn *txn = begin_reading(store);
	struct daxkv_db_stat stat;
	OK(daxkv_db_stat(txn, MAIN, &stat));
	daxkv_txn_abort(txn);
	return stat;
}

/* filled - entries of about each bytes fill their leaves by so many percent at least, and few inner
 * pages lead to those. */
static void filled(struct daxkv_store *store, uint64_t entries, uint64_t each, uint64_t percent)
{
	struct daxkv_db_stat s = stat_of(store);
	assert_int_equal(s.entries, entries);
	if (s.entries * each * 100 < s.leaf_pages * store->page_size * percent ||
	    s.inner_pages > s.leaf_pages / 2 + 2)
		fail_msg("%lu entries of %lu bytes in %lu leaves, %lu inner pages",
		         (unsigned long)s.entries, (unsigned long)each, (unsigned long)s.leaf_pages,
		         (unsigned long)s.inner_pages);
}

static size_t len_same(uint64_t n)
{
	(void)n;
	return 40;
}

static size_t len_large_and_small(uint64_t n)
{
	return n % KEEP == 0 ? 10 : n % 2 ? 130 : 20;
}

static size_t len_any(uint64_t n)
{
	return n * 7919 % 101;
}

static void put_lens(struct daxkv_store *store, size_t (*len)(uint64_t n))
{
	struct daxkv_txn *txn = begin(store);
	for (uint64_t n = 0; n < COUNT; n++)
		OK(put_n(txn, MAIN, n * 1237 % COUNT, len(n * 1237 % COUNT), 0));
	OK(daxkv_txn_commit(txn));
}

static void kept(struct daxkv_txn *txn, size_t (*len)(uint64_t n), bool all)
{
	for (uint64_t n = 0; n < COUNT; n++)
		if (all || n % KEEP == 0)
			assert_true(has_n(txn, MAIN, n, len(n), 0));
		else
			assert_true(lacks_n(txn, MAIN, n));
}

/* All but every sixteenth go: in one transaction, a few in each, in the order of keys and not. A
 * snapshot keeps seeing all. */
static void one_of_sixteen_stays(void **state)
{
	size_t (*const lens[])(uint64_t) = {len_same, len_large_and_small, len_any};
	const uint64_t each[] = {16 + 40 + 14, 16 + 10 + 14, 16 + 50 + 14}, steps[] = {1, 1237},
	               in_txn[] = {1, 50, COUNT};
	(void)state;
	for (unsigned int i = 0; i < 18; i++) {
		struct daxkv_store *store = store_new("j", 512);
		struct daxkv_txn *reader, *txn = NULL;
		put_lens(store, lens[i % 3]);
		reader = begin_reading(store);
		for (uint64_t k = 0; k < COUNT; k++) {
			uint64_t n = k * steps[i / 3 % 2] % COUNT;
			if (!txn)
				txn = begin(store);
			if (n % KEEP)
				OK(del_n(txn, MAIN, n));
			if ((k + 1) % in_txn[i / 6] == 0) {
				OK(daxkv_txn_commit(txn));
				txn = NULL;
			}
		}
		kept(reader, lens[i % 3], true);
		daxkv_txn_abort(reader);
		reader = begin_reading(store);
		kept(reader, lens[i % 3], false);
		daxkv_txn_abort(reader);
		filled(store, (COUNT + KEEP - 1) / KEEP, each[i % 3], 25);
		store_done(store);
	}
}

/* Large values give way to small ones, in their leaf or out of it. */
static void values_shrink(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 3000; len += 1000) {
		struct daxkv_store *store = store_new("j", 4096);
		put_some(store, 0, COUNT, 1200, 0);
		for (uint64_t n = 0; n < COUNT; n += 10)
			put_some(store, n, n + 10, len == 1000 ? 10 : len, 1);
		struct daxkv_txn *txn = begin_reading(store);
		for (uint64_t n = 0; n < COUNT; n++)
			assert_true(has_n(txn, MAIN, n, len == 1000 ? 10 : len, 1));
		daxkv_txn_abort(txn);
		filled(store, COUNT, 16 + 14 + (len > 1000 ? 24 : len / 100), 25);
		store_done(store);
	}
}

static void ranges_go(void **state)
{
	(void)state;
	for (uint64_t keep = 2; keep <= 64; keep *= 2) {
		struct daxkv_store *store = store_new("j", 512);
		put_some(store, 0, COUNT, 40, 0);
		for (uint64_t n = 0; n < COUNT; n += keep) {
			struct daxkv_txn *txn = begin(store);
			char a[17], b[17];
			struct daxkv_val from = key_n(a, n + 1), to = key_n(b, n + keep);
			uint64_t gone;
			OK(daxkv_del_range(txn, MAIN, &from, &to, &gone));
			assert_int_equal(gone, n + keep <= COUNT ? keep - 1 : COUNT - n - 1);
			OK(daxkv_txn_commit(txn));
		}
		filled(store, (COUNT + keep - 1) / keep, 16 + 40 + 14, 25);
		store_done(store);
	}
}

/* A queue: entries go at the front, beside a full leaf that nothing joins. Its leaf is not written
 * anew for each. */
static void front_of_a_queue(void **state)
{
	struct daxkv_store *store = store_new("j", 4096);
	(void)state;
	put_some(store, 0, COUNT, 100, 0);
	uint64_t before = counters(store).compactions;
	for (uint64_t n = 0; n < COUNT; n++) {
		struct daxkv_txn *txn = begin(store);
		OK(del_n(txn, MAIN, n));
		OK(daxkv_txn_commit(txn));
	}
	assert_in_range(counters(store).compactions - before, 0, COUNT / 8);
	assert_int_equal(stat_of(store).leaf_pages, 1);
	store_done(store);
}

/* Pairs, deleted by pair and by cursor. */
static void duplicates_go(void **state)
{
	struct daxkv_store *store = store_new("j", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "d", DAXKV_DUP_SORT);
	struct daxkv_cursor *c;
	struct daxkv_val k, v;
	struct daxkv_db_stat stat;
	uint64_t i = 0;
	(void)state;
	for (uint64_t n = 0; n < COUNT; n++)
		OK(put_n(txn, db, n % 7, 60, n));
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(daxkv_db_stat(txn, db, &stat));
	uint64_t leaves = stat.leaf_pages, entries = stat.entries;
	OK(daxkv_cursor_open(txn, db, &c));
	while (daxkv_cursor_get(c, &k, &v, DAXKV_NEXT) == 0)
		if (i++ % KEEP)
			OK(daxkv_cursor_del(c, 0));
	OK(daxkv_db_stat(txn, db, &stat));
	assert_int_equal(stat.entries, (entries + KEEP - 1) / KEEP);
	assert_in_range(stat.leaf_pages, 1, leaves / 4);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(one_of_sixteen_stays), TEST(values_shrink), TEST(ranges_go),
	    TEST(front_of_a_queue),     TEST(duplicates_go),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
