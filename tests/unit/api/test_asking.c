/* SPDX-License-Identifier: BSD-3-Clause */
/* What a store tells of itself, asked by threads while another writes, splits, grows and frees. */
#include "small_store.h"

#define MAIN DAXKV_MAIN

static struct daxkv_store *store;
static int stop; /* atomic */

static void show(const struct daxkv_reader *reader, void *arg)
{
	*(uint64_t *)arg += (uint64_t)reader->running;
}

static void *asks(void *arg)
{
	struct daxkv_counters before = {0}, now;
	uint64_t size = 0, last = 0, n = 0;
	(void)arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct daxkv_usage usage;
		struct daxkv_info i;
		struct daxkv_txn *txn;
		struct daxkv_db_stat stat;

		if (daxkv_info(store, &i) || i.last_txn < last || daxkv_size(store) < size)
			abort();
		if (daxkv_usage(store, &usage) || usage.last_txn < i.last_txn ||
		    usage.used_bytes > daxkv_size(store))
			abort();
		last = i.last_txn;
		size = daxkv_size(store);
		daxkv_counters(store, &now);
		if (now.commits < before.commits || now.splits < before.splits ||
		    now.grows < before.grows || now.merges < before.merges ||
		    now.compactions < before.compactions)
			abort();
		before = now;
		(void)daxkv_user_version(store);
		(void)daxkv_max_key_size(store);
		(void)daxkv_readers_reap(store);
		daxkv_readers_list(store, show, &n);
		if (daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn) ||
		    daxkv_db_stat(txn, MAIN, &stat))
			abort();
		daxkv_txn_abort(txn);
	}
	return NULL;
}

static void numbers_asked_for_beside_a_writer(void **state)
{
	pthread_t thread[2];
	struct daxkv_counters c;
	(void)state;

	store = store_new("asked", 512);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, asks, NULL), 0);
	for (uint64_t round = 0; round < 60; round++) {
		struct daxkv_txn *txn = begin(store);

		for (uint64_t i = 0; i < 400; i++)
			OK(put_n(txn, MAIN, round * 400 + i * 7 % 400, i % 50 ? 60 : 3000, round));
		OK(daxkv_txn_set_user_version(txn, round));
		OK(daxkv_txn_commit(txn));
		txn = begin(store);
		OK(daxkv_del_range(txn, MAIN, NULL, NULL, NULL));
		if (round % 2)
			OK(daxkv_txn_commit(txn));
		else
			daxkv_txn_abort(txn);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	daxkv_counters(store, &c);
	assert_true(c.commits >= 90 && c.splits);
	store_done(store);
}

/* used_now - in pages, by the bitmaps. */
static uint64_t used_now(void)
{
	uint64_t pages;

	OK(space_count(&store->map, (const void *)store->map.base, store->page_size,
	               daxkv_size(store), &pages));
	return pages;
}

static uint64_t used_said(struct daxkv_store *by)
{
	struct daxkv_usage usage;
	struct daxkv_info info;

	OK(daxkv_usage(by, &usage));
	OK(daxkv_info(by, &info));
	assert_int_equal(usage.used_bytes, info.used_bytes);
	assert_int_equal(usage.last_txn, info.last_txn);
	assert_int_equal(usage.page_size, info.page_size);
	assert_int_equal(usage.readers_peak, info.readers_peak);
	return usage.used_bytes / usage.page_size;
}

static void puts_some(struct daxkv_store *by, uint64_t from, uint64_t n)
{
	struct daxkv_txn *txn = begin(by);

	for (uint64_t i = from; i < from + n; i++)
		OK(put_n(txn, MAIN, i, i % 50 ? 60 : 3000, i));
	OK(daxkv_txn_commit(txn));
}

/* Commits keep the number of pages in use: growth, other handles' commits and what was undone
 * included. Nobody counts again. Caught: commit_store without count_keep; set_bits without gained.
 */
static void pages_in_use_are_counted_once(void **state)
{
	struct daxkv_store *other;
	struct daxkv_txn *txn;
	(void)state;

	store = store_new("counted", 512);
	puts_some(store, 0, 100);
	assert_int_equal(store->share->used_pages, SHARE_NOT_COUNTED);
	assert_int_equal(used_said(store), used_now());
	for (uint64_t round = 1; round < 40; round++) {
		puts_some(store, round * 100, 100); /* the file grows */
		assert_int_equal(store->share->used_pages, used_now());
		txn = begin(store);
		for (uint64_t i = 0; i < 2000; i++)
			OK(put_n(txn, MAIN, 1000000 + i, 100, i)); /* and grows, for nothing */
		daxkv_txn_abort(txn);
		assert_int_equal(store->share->used_pages, used_now());
		txn = begin(store);
		OK(del_n(txn, MAIN, round * 100));
		assert_int_equal(used_said(store), used_now() + (uint64_t)store->space.gained);
		OK(daxkv_txn_commit(txn));
		assert_int_equal(used_said(store), used_now());
	}
	other = store_again("counted");
	assert_int_equal(used_said(other), used_now());
	puts_some(other, 100000, 500);
	assert_int_equal(used_said(store), used_now());
	txn = begin(store);
	OK(daxkv_del_range(txn, MAIN, NULL, NULL, NULL));
	OK(daxkv_txn_commit(txn));
	assert_int_equal(used_said(other), used_now());
	OK(daxkv_close(other));
	store_done(store);
}

/* While nobody who may has counted, one that only reads does, anew after each commit; so does one
 * that meets a writer. */
static void pages_in_use_beside_a_writer(void **state)
{
	struct daxkv_store *reader;
	struct daxkv_txn *txn;
	(void)state;

	store = store_new("beside", 512);
	puts_some(store, 0, 100);
	reader = store_open(
	    "beside", (struct daxkv_options){.flags = DAXKV_READ_ONLY, .pmem = DAXKV_PMEM_FORCE});
	for (uint64_t round = 1; round < 10; round++) {
		puts_some(store, round * 1000, 1000);
		assert_int_equal(used_said(reader), used_now());
		assert_int_equal(store->share->used_pages, SHARE_NOT_COUNTED);
	}
	txn = begin(store);
	OK(put_n(txn, MAIN, 5, 10000, 5));
	assert_int_equal(used_said(reader), used_now());
	daxkv_txn_abort(txn);
	assert_int_equal(used_said(store), used_now());
	assert_int_equal(used_said(reader), used_now());
	assert_int_equal(store->share->used_pages, used_now());
	OK(daxkv_close(reader));
	store_done(store);
}

/* Any number that others write into the lock file is bounded. */
static void pages_in_use_are_no_more_than_there_are(void **state)
{
	(void)state;

	store = store_new("wild", 512);
	store->share->used_pages = UINT64_MAX / 2;
	assert_int_equal(used_said(store), daxkv_size(store) / 512);
	store->share->used_pages = SHARE_NOT_COUNTED;
	store_done(store);
}

static uint64_t entries(struct daxkv_txn *txn)
{
	struct daxkv_db_stat stat = {0};

	OK(daxkv_db_stat(txn, MAIN, &stat));
	return stat.entries;
}

/* What a read transaction has said of a database it says again, and in its next snapshot something
 * else. Caught: dbi_state_read that keeps levels; daxkv_db_stat with those of another state. */
static void a_snapshots_numbers_stay(void **state)
{
	struct daxkv_db_stat first, again;
	struct daxkv_store *other;
	struct daxkv_txn *txn, *clone;
	(void)state;

	store = store_new("said", 512);
	other = store_again("said");
	txn = begin_reading(store);
	assert_int_equal(entries(txn), 0);
	assert_int_equal(entries(txn), 0);
	puts_some(other, 0, 500);
	assert_int_equal(entries(txn), 0);
	daxkv_txn_reset(txn);
	assert_int_equal(daxkv_db_stat(txn, MAIN, &first), DAXKV_BAD_TXN);
	OK(daxkv_txn_renew(txn));
	OK(daxkv_db_stat(txn, MAIN, &first));
	assert_int_equal(first.entries, 500);
	assert_true(first.depth > 1 && first.leaf_pages > 1);
	OK(daxkv_txn_clone(txn, &clone));
	puts_some(store, 500, 500);
	OK(daxkv_db_stat(txn, MAIN, &again));
	assert_memory_equal(&first, &again, sizeof first);
	assert_int_equal(entries(clone), 500);
	daxkv_txn_abort(clone);
	daxkv_txn_abort(txn);
	txn = begin_reading(store);
	assert_int_equal(entries(txn), 1000);
	daxkv_txn_abort(txn);
	OK(daxkv_close(other));
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_snapshots_numbers_stay), TEST(numbers_asked_for_beside_a_writer),
	    TEST(pages_in_use_are_counted_once), TEST(pages_in_use_beside_a_writer),
	    TEST(pages_in_use_are_no_more_than_there_are)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
