/* SPDX-License-Identifier: BSD-3-Clause */
/* Large values: their pages are used again as soon as nobody can want the old bytes, also within
 * the transaction, and by no nesting level too early. */
#include "small_store.h"

#define MAIN   DAXKV_MAIN
#define LARGE  10000u
#define VALUES 8u

/* Whatever is stored again and again in one transaction, the file is as long as for a few of
 * them. */
static void replaced_within_the_transaction(void **state)
{
	struct daxkv_store *store = store_new("b", 4096);
	struct daxkv_txn *txn = begin(store);
	(void)state;
	for (uint64_t i = 0; i < 3000; i++) {
		OK(put_n(txn, MAIN, i % VALUES, LARGE + i % 3 * 4096, i));
		if (i % 5 == 0)
			OK(del_n(txn, MAIN, i % VALUES));
		if (i % 7 == 0)
			OK(put_n(txn, MAIN, i % VALUES, 20, i));
	}
	for (uint64_t i = 0; i < VALUES; i++)
		OK(put_n(txn, MAIN, i, LARGE, i));
	OK(daxkv_txn_commit(txn));
	assert_in_range(info(store).file_size, 0, 4 << 20);
	store_image(store, "crashed"); /* the record names the last versions only */
	store_done(store);
	store = store_again("crashed");
	txn = begin_reading(store);
	for (uint64_t i = 0; i < VALUES; i++)
		assert_true(has_n(txn, MAIN, i, LARGE, i));
	daxkv_txn_abort(txn);
	store_done(store);
}

static void values_are(struct daxkv_txn *txn, uint64_t version)
{
	for (uint64_t i = 0; i < VALUES; i++)
		assert_true(has_n(txn, MAIN, i, LARGE, version));
}

static void put_values(struct daxkv_txn *txn, uint64_t version)
{
	for (uint64_t i = 0; i < VALUES; i++)
		OK(put_n(txn, MAIN, i, LARGE, version));
}

/* What a child replaces of its parent's is the parent's again when it aborts, and used again when
 * it commits. */
static void replaced_by_nested_transactions(void **state)
{
	struct daxkv_store *store = store_new("b", 4096);
	struct daxkv_txn *txn = begin(store), *child;
	(void)state;
	put_values(txn, 0);
	for (uint64_t round = 1, version = 0; round < 400; round++) {
		child = begin_in(txn);
		put_values(child, round);
		for (uint64_t i = 0; i < 40; i++)
			OK(put_n(child, MAIN, 100 + i, 90, round));
		if (round % 3) {
			OK(daxkv_txn_commit(child));
			version = round;
		} else {
			daxkv_txn_abort(child);
		}
		values_are(txn, version);
	}
	OK(daxkv_txn_commit(txn));
	assert_in_range(info(store).file_size, 0, 4 << 20);
	txn = begin_reading(store);
	values_are(txn, 398); /* the last one that was committed */
	daxkv_txn_abort(txn);
	store_done(store);
}

/* A grandchild's commit frees nothing of what the outermost made: the level between may still be
 * undone. */
static void replaced_two_levels_below(void **state)
{
	struct daxkv_store *store = store_new("b", 4096);
	struct daxkv_txn *txn = begin(store), *child, *grandchild;
	(void)state;
	put_values(txn, 0);
	for (uint64_t i = 0; i < 40; i++)
		OK(put_n(txn, MAIN, 100 + i, 90, 0));
	child = begin_in(txn);
	grandchild = begin_in(child);
	put_values(grandchild, 1);
	for (uint64_t i = 0; i < 40; i++)
		OK(del_n(grandchild, MAIN, 100 + i));
	OK(daxkv_txn_commit(grandchild));
	values_are(child, 1);
	for (uint64_t i = 0; i < 100; i++)
		OK(put_n(child, MAIN, 200 + i, i % 2 ? LARGE : 90, 2));
	daxkv_txn_abort(child);
	values_are(txn, 0);
	for (uint64_t i = 0; i < 40; i++)
		assert_true(has_n(txn, MAIN, 100 + i, 90, 0));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* Of a committed value the pages wait, whatever level replaces it. */
static void committed_values_wait(void **state)
{
	struct daxkv_store *store = store_new("b", 4096);
	struct daxkv_txn *txn, *child, *reader;
	(void)state;
	put_some(store, 0, VALUES, LARGE, 0);
	reader = begin_reading(store);
	txn = begin(store);
	child = begin_in(txn);
	put_values(child, 1);
	put_values(child, 2);
	OK(daxkv_txn_commit(child));
	put_values(txn, 3);
	values_are(reader, 0);
	OK(daxkv_txn_commit(txn));
	values_are(reader, 0);
	daxkv_txn_abort(reader);
	store_done(store);
}

/* The new value and the key are bytes of the old value, which leaves must not overwrite before they
 * are copied. */
static void replaced_by_a_part_of_itself(void **state)
{
	struct daxkv_store *store = store_new("b", 512);
	(void)state;
	for (uint64_t n = 0; n < 60; n++) {
		struct daxkv_txn *txn = begin(store);
		uint8_t value[2000];
		char buf[17];
		struct daxkv_val k = key_n(buf, n), v = {sizeof value, value};
		for (uint64_t i = 0; i < 60; i++)
			if (i != n)
				OK(put_n(txn, MAIN, i, 20 + n % 5, 0));
		fill_n(value, sizeof value, n, 1);
		memcpy(value + 40, k.data, k.size);
		OK(daxkv_put(txn, MAIN, &k, &v, 0));
		for (uint64_t i = 0; i < n % 17;
		     i++) /* the next entry finds a tail of any length */
			OK(put_n(txn, MAIN, n ? n - 1 : 1, 20, i));
		OK(daxkv_get(txn, MAIN, &k, &v));
		k = bytes((uint8_t *)v.data + 40, 16);
		v = bytes((uint8_t *)v.data + 100, 120);
		OK(daxkv_put(txn, MAIN, &k, &v, 0));
		k = key_n(buf, n);
		OK(daxkv_get(txn, MAIN, &k, &v));
		assert_int_equal(v.size, 120);
		assert_memory_equal(v.data, value + 100, 120);
		daxkv_txn_abort(txn);
	}
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(replaced_within_the_transaction), TEST(replaced_by_nested_transactions),
	    TEST(replaced_two_levels_below),       TEST(committed_values_wait),
	    TEST(replaced_by_a_part_of_itself),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
