/* SPDX-License-Identifier: BSD-3-Clause */
/* What gives pages in memory their places, beside what else a transaction has: see test_full.c for
 * stores that are full. */
#include "small_store.h"

/* A large value whose bytes look like an inner page's: it is taken for none. */
static void a_large_value_that_looks_like_a_page(void **state)
{
	static uint8_t like[4096];
	struct daxkv_store *store =
	    store_open("memory", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                                .page_size = 512,
	                                                .pmem = DAXKV_PMEM_FORCE,
	                                                .max_size = 512 << 10});
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val k = text("value"), v = bytes(like, sizeof like), got;
	(void)state;

	for (uint64_t n = 0; n < 500; n++)
		OK(put_n(txn, DAXKV_MAIN, n, 20, 1));
	OK(daxkv_txn_commit(txn));
	memset(like, 0xff, sizeof like);
	like[offsetof(struct fmt_page, type)] = FMT_INNER;
	txn = begin(store);
	OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, 0));
	store->space.memory.tight = true; /* as when a removal took a page of the reserve */
	OK(del_n(txn, DAXKV_MAIN, 7));
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	OK(daxkv_get(txn, DAXKV_MAIN, &k, &got));
	assert_int_equal(got.size, sizeof like);
	assert_memory_equal(got.data, like, sizeof like);
	daxkv_txn_abort(txn);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_large_value_that_looks_like_a_page),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
