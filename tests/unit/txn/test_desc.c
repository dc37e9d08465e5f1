/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptor pages: the number of entries of every snapshot, the page that is full of counts, and
 * damage. */
#include "small_store.h"
#include "txn/desc.h"
#include "txn/txn_check.h"

#define PAIRS 48u /* counts in a page of 512 bytes */

static uint64_t main_desc(const struct daxkv_store *store)
{
	const struct fmt_super *super = (const void *)store->map.base;
	return load_word(&super->main_desc);
}

static uint64_t entries(struct daxkv_txn *txn, daxkv_db db)
{
	struct daxkv_db_stat stat;
	OK(daxkv_db_stat(txn, db, &stat));
	return stat.entries;
}

/* Snapshots over more commits than the page has room for: it gives way to a new one, more than
 * once, and all counts stay right. */
static void count_of_every_snapshot(daxkv_db (*open_db)(struct daxkv_store *))
{
	struct daxkv_store *store = store_new("d", 512);
	struct daxkv_txn *reader[3 * PAIRS];
	daxkv_db db = open_db(store);
	uint64_t expected[3 * PAIRS], count = 0, x = 3;
	for (uint64_t i = 0; i < 3 * PAIRS; i++) {
		struct daxkv_txn *txn = begin(store);
		for (uint64_t n = random_next(&x) % 9 + 1; n; n--) {
			uint64_t key = random_next(&x) % 100;
			if (lacks_n(txn, db, key)) {
				OK(put_n(txn, db, key, 8, i));
				count++;
			} else {
				OK(del_n(txn, db, key));
				count--;
			}
		}
		assert_int_equal(entries(txn, db), count);
		OK(daxkv_txn_commit(txn));
		reader[i] = begin_reading(store);
		expected[i] = count;
	}
	for (uint64_t i = 0; i < 3 * PAIRS; i++) {
		struct daxkv_cursor *c;
		uint64_t n = 0;
		assert_int_equal(entries(reader[i], db), expected[i]);
		OK(daxkv_cursor_open(reader[i], db, &c));
		while (daxkv_cursor_get(c, NULL, NULL, DAXKV_NEXT) == 0)
			n++;
		assert_int_equal(n, expected[i]);
		daxkv_cursor_close(c);
		daxkv_txn_abort(reader[i]);
	}
	store_check(store);
	OK(daxkv_close(store));
	store = store_again("d");
	store_done(store);
}

static daxkv_db the_main_one(struct daxkv_store *store)
{
	(void)store;
	return DAXKV_MAIN;
}

static daxkv_db a_named_one(struct daxkv_store *store)
{
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val name = text("named");
	daxkv_db db = 0;
	OK(daxkv_db_open(txn, &name, DAXKV_CREATE, &db));
	OK(daxkv_txn_commit(txn));
	return db;
}

static void counts_of_the_main_database(void **state)
{
	(void)state;
	count_of_every_snapshot(the_main_one);
}

static void counts_of_a_named_database(void **state)
{
	(void)state;
	count_of_every_snapshot(a_named_one);
}

static void full_page_moves(void **state)
{
	struct daxkv_store *store = store_new("d", 512);
	uint64_t first = main_desc(store);
	(void)state;
	for (uint64_t i = 0; i < PAIRS; i++)
		put_some(store, i, i + 1, 8, 0);
	assert_int_equal(main_desc(store), first);
	put_some(store, 0, 1, 8, 1); /* the number of entries is the same: no count is needed */
	assert_int_equal(main_desc(store), first);
	uint64_t fences = counters(store).fences;
	put_some(store, PAIRS, PAIRS + 1, 8, 0);
	assert_int_not_equal(main_desc(store), first);
	assert_int_equal(counters(store).fences, fences + 1);
	store_image(store, "crashed");
	struct daxkv_store *after = store_again("crashed");
	struct daxkv_txn *txn = begin_reading(after);
	assert_int_equal(entries(txn, DAXKV_MAIN), PAIRS + 1);
	daxkv_txn_abort(txn);
	store_done(after);
	store_done(store);
}

static void page_of_another_kind_is_corrupt(void **state)
{
	struct daxkv_store *store = store_new("d", 512);
	struct daxkv_txn *txn;
	struct daxkv_val k = text("a"), v;
	const struct fmt_desc *desc = NULL;
	uint64_t at;
	(void)state;
	put_one(store, "a", "1");
	txn = begin_reading(store);
	OK(desc_read(txn_view(txn), main_desc(store), &desc, &at));
	assert_true(at == main_desc(store) && desc_count(txn_view(txn), desc) == 1);
	const uint64_t bad[] = {load_word(&desc->root), 0, 100, (uint64_t)1 << 45};
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(desc_read(txn_view(txn), bad[i], &desc, &at), DAXKV_CORRUPT);
	daxkv_txn_abort(txn);
	uint64_t root = load_word(
	    &((const struct fmt_desc *)(const void *)(store->map.base + main_desc(store)))->root);
	OK(daxkv_sync(store)); /* else recovery would take the damage for a torn transaction */
	store_image(store, "damaged");
	store_done(store);
	image_flip("damaged", root + 20); /* the root is no leaf any more */
	store = store_again("damaged");
	txn = begin_reading(store);
	assert_int_equal(daxkv_get(txn, DAXKV_MAIN, &k, &v), DAXKV_CORRUPT);
	daxkv_txn_abort(txn);
	txn = begin(store);
	assert_int_equal(put(txn, DAXKV_MAIN, "a", "2", 0), DAXKV_CORRUPT);
	daxkv_txn_abort(txn);
	OK(daxkv_close(store));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(counts_of_the_main_database),
	    TEST(counts_of_a_named_database),
	    TEST(full_page_moves),
	    TEST(page_of_another_kind_is_corrupt),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
