/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of daxkv_put_many: the same as single puts, one after the other. Random sequences are the
 * model test's. */
#include "small_store.h"

#include <errno.h>

#define MANY 600u

static char names[MANY][17];
static uint8_t texts[MANY][64];
static struct daxkv_val key[MANY], value[MANY];
static int result[MANY];

/* pairs - key and value i for number n. */
static void pair(size_t i, uint64_t n, uint64_t version)
{
	key[i] = key_n(names[i], n);
	fill_n(texts[i], sizeof texts[i], n, version);
	value[i] = bytes(texts[i], sizeof texts[i]);
}

static void puts_in_any_order_split_leaves(void **state)
{
	struct daxkv_store *store = store_new("m", 512);
	struct daxkv_txn *txn = begin(store), *old;
	uint64_t x = 1;
	(void)state;

	for (size_t i = 0; i < MANY; i++)
		pair(i, i * 7919 % MANY, 1); /* 7919 is prime to MANY */
	OK(daxkv_put_many(txn, DAXKV_MAIN, MANY, key, value, 0, result));
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(result[i], 0);
	OK(daxkv_txn_commit(txn));
	old = begin_reading(store);
	txn = begin(store);
	for (size_t i = 0; i < MANY; i++)
		pair(i, random_next(&x) % (2 * MANY), 2); /* some twice, some new */
	OK(daxkv_put_many(txn, DAXKV_MAIN, MANY, key, value, 0, result));
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(result[i], 0);
	OK(daxkv_txn_commit(txn));
	for (uint64_t n = 0; n < MANY; n++)
		assert_true(has_n(old, DAXKV_MAIN, n, sizeof texts[0], 1));
	daxkv_txn_abort(old);
	txn = begin_reading(store);
	for (size_t i = 0; i < MANY; i++) {
		struct daxkv_val v;

		OK(daxkv_get(txn, DAXKV_MAIN, &key[i], &v));
		assert_memory_equal(v.data, texts[i], sizeof texts[i]);
	}
	daxkv_txn_abort(txn);
	store_done(store);
}

static void keys_that_ascend_then_do_not(void **state)
{
	struct daxkv_store *store = store_new("m", 512);
	struct daxkv_txn *txn = begin(store);
	(void)state;

	for (size_t i = 0; i < MANY; i++)
		pair(i, i % 100 == 50 ? i - 33 : i + 1000, 1);
	OK(daxkv_put_many(txn, DAXKV_MAIN, MANY, key, value, 0, result));
	for (size_t i = 0; i < MANY; i++)
		assert_true(
		    has_n(txn, DAXKV_MAIN, i % 100 == 50 ? i - 33 : i + 1000, sizeof texts[i], 1));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void equal_keys_in_one_call(void **state)
{
	struct daxkv_store *store = store_new("m", 512);
	struct daxkv_txn *txn = begin(store);
	(void)state;

	for (size_t i = 0; i < 40; i++)
		pair(i, i / 10, i);
	OK(daxkv_put_many(txn, DAXKV_MAIN, 40, key, value, 0, result));
	for (uint64_t n = 0; n < 4; n++)
		assert_true(has_n(txn, DAXKV_MAIN, n, sizeof texts[n],
		                  10 * n + 9)); /* the last one counts */
	for (size_t i = 0; i < 40; i++)
		pair(i, 3 + i / 10, i);
	OK(daxkv_put_many(txn, DAXKV_MAIN, 40, key, value, DAXKV_NO_OVERWRITE, result));
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(result[i], i == 10 || i == 20 || i == 30 ? 0 : DAXKV_EXIST);
	fill_n(texts[0], sizeof texts[0], 3, 39);
	assert_memory_equal(value[5].data, texts[0],
	                    value[5].size); /* NO_OVERWRITE shows what is there */
	assert_true(value[5].data != texts[5]);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void failures_among_successes(void **state)
{
	struct daxkv_store *store = store_new("m", 512);
	struct daxkv_txn *txn = begin(store), *reading;
	static char too_long[2000];
	(void)state;

	(void)db_of(txn, "numbered00000004", 0);
	for (size_t i = 0; i < 30; i++)
		pair(i, i, 1);
	key[3].size = 0;
	key[20] = bytes(too_long, sizeof too_long);
	value[21].data = NULL;
	OK(daxkv_put_many(txn, DAXKV_MAIN, 30, key, value, 0, result));
	for (size_t i = 0; i < 30; i++) {
		assert_int_equal(result[i], i == 3 || i == 20 ? DAXKV_KEY_SIZE
		                            : i == 4          ? DAXKV_INCOMPATIBLE
		                            : i == 21         ? EINVAL
		                                              : 0);
		assert_int_equal(has_n(txn, DAXKV_MAIN, i, sizeof texts[i], 1), result[i] == 0);
	}
	OK(daxkv_put_many(txn, DAXKV_MAIN, 0, NULL, NULL, 0, NULL));
	assert_int_equal(daxkv_put_many(txn, DAXKV_MAIN, 1, key, value, DAXKV_RESERVE, result),
	                 EINVAL);
	assert_int_equal(daxkv_put_many(txn, DAXKV_MAIN, 1, key, value, 0, NULL), EINVAL);
	assert_int_equal(daxkv_put_many(txn, 77, 1, key, value, 0, result), DAXKV_BAD_DB);
	OK(daxkv_txn_commit(txn));
	reading = begin_reading(store);
	assert_int_equal(daxkv_put_many(reading, DAXKV_MAIN, 1, key, value, 0, result), EACCES);
	daxkv_txn_abort(reading);
	store_done(store);
}

static void pairs_of_duplicates_and_large_values(void **state)
{
	struct daxkv_store *store = store_new("m", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db dups = db_of(txn, "d", DAXKV_DUP_SORT), plain = db_of(txn, "p", 0);
	static uint8_t large[5000];
	struct daxkv_db_stat stat;
	(void)state;

	for (size_t i = 0; i < MANY; i++) {
		pair(i, i % 20, 1);
		snprintf((char *)texts[i], sizeof texts[i], "v%05zu", i * 7919 % MANY / 2);
		value[i].size = 6;
	}
	OK(daxkv_put_many(txn, dups, MANY, key, value, DAXKV_NO_DUP_DATA, result));
	uint64_t there = 0;
	for (size_t i = 0; i < MANY; i++)
		there += result[i] == 0;
	OK(daxkv_db_stat(txn, dups, &stat));
	assert_int_equal(stat.entries, there);
	assert_in_range(there, MANY / 2, MANY);
	fill_n(large, sizeof large, 1, 1);
	for (size_t i = 0; i < 40; i++) {
		pair(i, i, 1);
		value[i] = bytes(large, i % 2 ? sizeof large : 10);
	}
	OK(daxkv_put_many(txn, plain, 40, key, value, 0, result));
	OK(daxkv_db_stat(txn, plain, &stat));
	assert_int_equal(stat.blob_pages, 20 * 10);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void a_full_store_ends_the_whole(void **state)
{
	struct daxkv_store *store =
	    store_open("full", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                              .page_size = 512,
	                                              .pmem = DAXKV_PMEM_FORCE,
	                                              .initial_size = 64 << 10,
	                                              .max_size = 96 << 10});
	struct daxkv_txn *txn;
	int rc = 0;
	(void)state;

	put_some(store, 0, 10, sizeof texts[0], 1);
	txn = begin(store);
	for (uint64_t from = 10; !rc; from += MANY) {
		for (size_t i = 0; i < MANY; i++)
			pair(i, from + i * 7919 % MANY, 1);
		rc = daxkv_put_many(txn, DAXKV_MAIN, MANY, key, value, 0, result);
	}
	assert_int_equal(rc, DAXKV_FULL);
	assert_int_equal(daxkv_put_many(txn, DAXKV_MAIN, 1, key, value, 0, result), DAXKV_BAD_TXN);
	daxkv_txn_abort(txn);
	txn = begin_reading(store);
	assert_true(has_n(txn, DAXKV_MAIN, 9, sizeof texts[0], 1) && lacks_n(txn, DAXKV_MAIN, 10));
	daxkv_txn_abort(txn);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(puts_in_any_order_split_leaves),
	    TEST(keys_that_ascend_then_do_not),
	    TEST(equal_keys_in_one_call),
	    TEST(failures_among_successes),
	    TEST(pairs_of_duplicates_and_large_values),
	    TEST(a_full_store_ends_the_whole),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
