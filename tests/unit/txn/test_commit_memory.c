/* SPDX-License-Identifier: BSD-3-Clause */
/* What gives pages in memory their places, beside what else a transaction has: see test_full.c for
 * stores that are full. */
#include "small_store.h"

#include <sys/wait.h>

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

/* backwards - keys of equal length, the largest first. */
static int backwards(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	return memcmp(b->data, a->data, a->size < b->size ? a->size : b->size);
}

/* full_backwards - a store without room, of a database with an order of the program's. Returns how
 * many entries it has. */
static uint64_t full_backwards(struct daxkv_store **store, daxkv_db *db)
{
	struct daxkv_txn *txn;
	uint64_t n = 0;

	unlink(scratch_path("full"));
	*store = store_open("full", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                                   .pmem = DAXKV_PMEM_FORCE,
	                                                   .max_size = 1 << 20});
	txn = begin(*store);
	*db = db_of(txn, "backwards", DAXKV_OWN_COMPARE);
	OK(daxkv_db_set_compare(txn, *db, backwards, NULL));
	OK(daxkv_txn_commit(txn));
	for (int rc = 0; !rc;) {
		uint64_t i = 0;

		txn = begin(*store);
		for (; i < 8 && !rc; i++)
			rc = put_n(txn, *db, (n + i) * 7919 % 100003, 20, 1);
		if (!rc)
			rc = daxkv_txn_commit(txn);
		else
			daxkv_txn_abort(txn);
		n += rc ? 0 : i;
	}
	return n;
}

/* In a store without room, in an order that the program alone knows. In the middle a child is
 * forked: it leaves by exit, or opens the store again and sees what was committed. */
static void a_fork_with_pages_in_memory(void **state)
{
	(void)state;
	for (int reads = 0; reads < 2; reads++) {
		struct daxkv_store *store;
		daxkv_db db;
		const uint64_t n = full_backwards(&store, &db);
		struct daxkv_txn *txn = begin(store);
		uint64_t i = 0;
		int status;

		assert_true(n > 1000);
		for (; i < n / 2; i++)
			OK(del_n(txn, db, i * 17 % n * 7919 % 100003));
		assert_true(n % 17 != 0 && store->space.memory.used > 0);
		const pid_t pid = fork();

		if (pid == 0) {
			struct daxkv_val name = text("backwards");
			daxkv_db again;
			bool same = true;

			if (!reads)
				_exit(del_n(txn, db, 1) == DAXKV_BAD_TXN ? 0 : 1);
			store = store_again("full");
			txn = begin_reading(store);
			if (daxkv_db_open(txn, &name, 0, &again) ||
			    daxkv_db_set_compare(txn, again, backwards, NULL))
				_exit(2);
			for (uint64_t k = 0; k < n; k++)
				same = same && has_n(txn, again, k * 7919 % 100003, 20, 1);
			daxkv_txn_abort(txn);
			_exit(daxkv_close(store) || !same ? 3 : 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		for (; i < n; i++)
			OK(del_n(txn, db, i * 17 % n * 7919 % 100003));
		OK(daxkv_txn_commit(txn));
		txn = begin_reading(store);
		for (uint64_t k = 0; k < n; k++)
			assert_true(lacks_n(txn, db, k * 7919 % 100003));
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_large_value_that_looks_like_a_page),
	    cmocka_unit_test(a_fork_with_pages_in_memory),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
