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
		struct daxkv_info i;
		struct daxkv_txn *txn;
		struct daxkv_db_stat stat;

		if (daxkv_info(store, &i) || i.last_txn < last || daxkv_size(store) < size)
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

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(numbers_asked_for_beside_a_writer)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
