/* SPDX-License-Identifier: BSD-3-Clause */
/* What lazy commits take of the file, and when growth is durable. */
#include "lazy_store.h"
#include "rng.h"

static void an_interval_takes_space_for_what_it_touched_only(void **state)
{
	struct daxkv_options o = FILE_MODE;
	struct daxkv_store *store;
	uint64_t size, synced;
	(void)state;

	o.lazy_bytes = o.lazy_ms = UINT64_MAX;
	store = store_open("growth", o);
	for (unsigned int i = 0; i < 100; i++)
		OK(put_in(store, 0, i * 200, 200));
	OK(daxkv_sync(store));
	size = info_of(store).used_bytes;
	for (unsigned int i = 0; i < 3000; i++)
		OK(put_in(store, 0, i * 17 % 20000, 3));
	assert_true(daxkv_size(store) < 4 * size);
	OK(daxkv_sync(store));
	synced = 0;
	for (unsigned int round = 0; round < 8; round++) {
		if (round ==
		    2) /* leaves have room for what comes, and there is space for two of each */
			synced = daxkv_size(store);
		for (unsigned int i = 0; i < 3000; i++)
			OK(put_in(store, 0, i * 17 % 20000, 3));
		OK(daxkv_sync(store));
	}
	assert_int_equal(daxkv_size(store), synced);
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
}

#define KEYS    20000u
#define UPDATES (10 * KEYS)

/* update_all - each of so many updates a commit, of keys all over the store. */
static void update_all(struct daxkv_store *store, uint64_t seed)
{
	uint8_t bytes[100] = {0};

	for (unsigned int i = 0; i < UPDATES; i++) {
		const uint64_t key_bytes[2] = {rng_mix(rng_mix(seed + i) % KEYS), 0};
		struct daxkv_val key = {sizeof key_bytes, (void *)key_bytes};
		struct daxkv_val value = {sizeof bytes, bytes};
		struct daxkv_txn *txn;

		OK(daxkv_txn_begin(store, NULL, 0, &txn));
		OK(daxkv_put(txn, MAIN, &key, &value, 0));
		OK(daxkv_txn_commit(txn));
	}
}

/* The pages of S stay beside those that took their places: an interval takes as much of the file
 * once more, however many commits it has, and the next one takes what the sync gave back. */
static void many_updates_take_each_page_once(void **state)
{
	struct daxkv_options o = FILE_MODE;
	struct daxkv_store *store;
	uint64_t size[4];
	(void)state;

	o.lazy_bytes = o.lazy_ms = UINT64_MAX;
	store = store_open("once", o);
	update_all(store, 1);
	OK(daxkv_sync(store));
	for (unsigned int round = 0; round < 4; round++) {
		const uint64_t before = daxkv_size(store);

		update_all(store, 1 + round * UPDATES);
		assert_int_equal(info_of(store).lazy_commits, UPDATES);
		/* the file grows by an eighth or 2 MiB, and removals have a reserve of it */
		assert_true(daxkv_size(store) - before <=
		            info_of(store).used_bytes * 11 / 10 + (2 << 20));
		OK(daxkv_sync(store));
		size[round] = daxkv_size(store);
	}
	assert_int_equal(size[2], size[1]);
	assert_int_equal(size[3], size[1]);
	assert_true(size[3] <= 5 * info_of(store).used_bytes / 2 + (4 << 20));
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
}

/* grows - a lazy transaction with a value that the file has no room for. */
static struct daxkv_txn *grows(struct daxkv_store *store)
{
	struct daxkv_val key = {4, "grow"}, value = {20 << 20, NULL};
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_LAZY, &txn));
	OK(daxkv_put(txn, MAIN, &key, &value, DAXKV_RESERVE));
	assert_true(store->map.unsettled);
	return txn;
}

/* What the file grows by in an interval is made durable by the sync, and where there is none before
 * anything durable refers to it [I11]. */
static void growth_waits_for_the_sync(void **state)
{
	struct daxkv_store *store = store_open("grows", FILE_MODE);
	struct daxkv_counters before, after;
	(void)state;

	struct daxkv_txn *txn = grows(store);

	daxkv_counters(store, &before);
	daxkv_txn_abort(txn);
	daxkv_counters(store, &after);
	assert_false(store->map.unsettled);
	assert_int_equal(after.fences, before.fences + 1);
	OK(daxkv_close(store));
	store = store_open("grows", FILE_MODE);
	OK(put_in(store, 0, 0, 1));
	daxkv_counters(store, &before);
	OK(daxkv_txn_commit(grows(store)));
	daxkv_counters(store, &after);
	assert_true(after.grows > before.grows && after.fences == before.fences);
	assert_true(store->map.unsettled);
	OK(daxkv_sync(store));
	assert_false(store->map.unsettled);
	assert_int_equal(entries_cut("grows"), 2);
	store->map.unsettled = true; /* as behind a process that died while the file grew */
	OK(map_grow_later(&store->map, store->map.size));
	assert_true(store->map.unsettled);
	OK(map_grow(&store->map, store->map.size));
	assert_false(store->map.unsettled);
	OK(daxkv_close(store));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_interval_takes_space_for_what_it_touched_only),
	    cmocka_unit_test(many_updates_take_each_page_once),
	    cmocka_unit_test(growth_waits_for_the_sync),
	};

	return cmocka_run_group_tests_name("lazy_space", tests, scratch_make, scratch_remove);
}
