/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of daxkv_db_partition and daxkv_txn_clone: the parts are the whole, of about one size, also
 * when threads read them beside a writer. */
#include "small_store.h"

#include <errno.h>
#include <pthread.h>

#define PARTS 8u

/* part_count - entries from key *from on, up to *to (NULL: open). */
static uint64_t part_count(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *from,
                           const struct daxkv_val *to)
{
	struct daxkv_val key[100], value[100];
	struct daxkv_cursor *c;
	uint64_t count = 0;
	size_t got;
	int rc = daxkv_cursor_open(txn, db, &c);

	if (rc)
		return UINT64_MAX;
	if (from)
		key[0] = *from;
	rc =
	    daxkv_cursor_get_many(c, from ? DAXKV_SEEK_GE : DAXKV_FIRST, to, 100, key, value, &got);
	while (!rc) {
		count += got;
		rc = daxkv_cursor_get_many(c, DAXKV_NEXT, to, 100, key, value, &got);
	}
	daxkv_cursor_close(c);
	return rc == DAXKV_NOT_FOUND ? count : UINT64_MAX;
}

static void parts_of_about_one_size(void **state)
{
	static const uint64_t sizes[] = {0, 1, 2, 7, 30, 200, 3000, 30000};
	(void)state;

	for (size_t i = 0; i < 8; i++) {
		struct daxkv_store *store = store_new("s", 512);
		struct daxkv_txn *txn;

		put_some(store, 0, sizes[i], 20, 1);
		txn = begin_reading(store);
		for (size_t parts = 1; parts <= 40; parts += 1 + parts / 4) {
			struct daxkv_val key[40];
			uint64_t sum = 0, most = 0;
			size_t n = 99;

			OK(daxkv_db_partition(txn, DAXKV_MAIN, parts, key, &n));
			assert_true(n < parts);
			for (size_t k = 0; k <= n; k++) {
				uint64_t count = part_count(txn, DAXKV_MAIN, k ? &key[k - 1] : NULL,
				                            k < n ? &key[k] : NULL);

				if (k && k < n)
					assert_true(daxkv_db_compare(txn, DAXKV_MAIN, &key[k - 1],
					                             &key[k]) < 0);
				sum += count;
				most = count > most ? count : most;
			}
			assert_int_equal(sum, sizes[i]);
			if (sizes[i] >= 3000) {
				assert_int_equal(n, parts - 1);
				assert_in_range(most, sizes[i] / parts, 2 * sizes[i] / parts);
			}
		}
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

static void duplicates_of_a_key_stay_together(void **state)
{
	struct daxkv_store *store = store_new("s", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "d", DAXKV_DUP_SORT);
	struct daxkv_val key[PARTS];
	uint64_t sum = 0;
	size_t n;
	(void)state;

	for (uint64_t i = 0; i < 3000; i++) {
		char k[17], v[17];
		struct daxkv_val a = key_n(k, i % 3), b = key_n(v, i);

		OK(daxkv_put(txn, db, &a, &b, 0));
	}
	OK(daxkv_db_partition(txn, db, PARTS, key, &n));
	assert_in_range(n, 1, 3);
	for (size_t k = 0; k <= n; k++) {
		uint64_t count =
		    part_count(txn, db, k ? &key[k - 1] : NULL, k < n ? &key[k] : NULL);

		assert_int_equal(count % 1000, 0);
		sum += count;
	}
	assert_int_equal(sum, 3000);
	assert_int_equal(daxkv_db_partition(txn, db, 0, key, &n), EINVAL);
	assert_int_equal(daxkv_db_partition(txn, db, 3, NULL, &n), EINVAL);
	assert_int_equal(daxkv_db_partition(txn, db, 3, key, NULL), EINVAL);
	assert_int_equal(daxkv_db_partition(txn, 77, 3, key, &n), DAXKV_BAD_DB);
	OK(daxkv_db_partition(txn, db, 1, NULL, &n));
	assert_int_equal(n, 0);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

struct job {
	struct daxkv_txn *txn;
	const struct daxkv_val *from, *to;
	uint64_t count;
};

static void *job_run(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < 5; i++) {
		uint64_t count = part_count(job->txn, DAXKV_MAIN, job->from, job->to);

		job->count = i == 0 || count == job->count ? count : UINT64_MAX;
	}
	daxkv_txn_abort(job->txn);
	return NULL;
}

static void threads_read_the_parts_beside_a_writer(void **state)
{
	struct daxkv_store *store = store_new("s", 512);
	struct daxkv_txn *txn;
	struct daxkv_val key[PARTS];
	struct job job[PARTS];
	pthread_t thread[PARTS];
	uint64_t sum = 0;
	size_t n;
	(void)state;

	put_some(store, 0, 20000, 20, 1);
	txn = begin_reading(store);
	OK(daxkv_db_partition(txn, DAXKV_MAIN, PARTS, key, &n));
	assert_int_equal(n, PARTS - 1);
	put_some(store, 20000, 21000, 20,
	         1); /* the clones' snapshot is the origin's, not the newest */
	for (size_t i = 0; i < PARTS; i++) {
		job[i] = (struct job){.from = i ? &key[i - 1] : NULL, .to = i < n ? &key[i] : NULL};
		OK(daxkv_txn_clone(i % 2 ? job[i - 1].txn : txn, &job[i].txn)); /* also of clones */
		assert_int_equal(daxkv_txn_id(job[i].txn), daxkv_txn_id(txn));
	}
	for (size_t i = 0; i < PARTS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, job_run, &job[i]), 0);
	for (uint64_t i = 0; i < 40; i++) {
		del_some(store, i * 100, i * 100 + 100);
		put_some(store, i * 100, i * 100 + 100, 30, 2);
	}
	for (size_t i = 0; i < PARTS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		sum += job[i].count;
	}
	assert_int_equal(sum, 20000);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void the_snapshot_lives_as_long_as_a_clone(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) {
		struct daxkv_store *store = store_new("s", 512);
		struct daxkv_txn *txn, *clone[2];
		uint64_t held;

		put_some(store, 0, 2000, 20, 1);
		txn = begin_reading(store);
		OK(daxkv_txn_clone(txn, &clone[0]));
		OK(daxkv_txn_clone(clone[0], &clone[1]));
		if (way == 0)
			daxkv_txn_abort(txn);
		else
			daxkv_txn_reset(txn);
		if (way == 2)
			assert_int_equal(daxkv_txn_renew(txn), DAXKV_BUSY);
		daxkv_txn_abort(clone[0]);
		for (uint64_t i = 0; i < 20; i++)
			put_some(store, 0, 2000, 20, 2 + i);
		for (uint64_t i = 0; i < 2000; i++)
			assert_true(has_n(clone[1], DAXKV_MAIN, i, 20, 1));
		assert_int_equal(info(store).readers, 1);
		assert_int_equal(daxkv_close(store), DAXKV_BUSY);
		held = info(store).held_pages;
		daxkv_txn_reset(clone[1]); /* does nothing */
		assert_int_equal(daxkv_txn_renew(clone[1]), EINVAL);
		if (way == 1)
			daxkv_txn_abort(txn); /* before the last clone */
		OK(daxkv_txn_commit(clone[1]));
		assert_int_equal(info(store).readers, 0);
		if (way == 2) {
			OK(daxkv_txn_renew(txn));
			assert_true(has_n(txn, DAXKV_MAIN, 5, 20, 21));
			daxkv_txn_abort(txn);
		}
		for (uint64_t i = 0; i < 5; i++)
			put_some(store, 0, 500, 20, 50 + i);
		assert_true(info(store).held_pages < held);
		store_done(store);
	}
}

static void what_cannot_be_cloned(void **state)
{
	struct daxkv_store *store = store_new("s", 512);
	struct daxkv_txn *txn = begin(store), *clone;
	(void)state;

	assert_int_equal(daxkv_txn_clone(txn, &clone), EINVAL);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	assert_int_equal(daxkv_txn_clone(txn, NULL), EINVAL);
	daxkv_txn_reset(txn);
	assert_int_equal(daxkv_txn_clone(txn, &clone), DAXKV_BAD_TXN);
	daxkv_txn_abort(txn);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(parts_of_about_one_size),
	    TEST(duplicates_of_a_key_stay_together),
	    TEST(threads_read_the_parts_beside_a_writer),
	    TEST(the_snapshot_lives_as_long_as_a_clone),
	    TEST(what_cannot_be_cloned),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
