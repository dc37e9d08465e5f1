/* SPDX-License-Identifier: BSD-3-Clause */
/* The commit: how many fences, what a crash right after it leaves, large transactions, and a fence
 * that fails. */
#include "pm_log.h"
#include "small_store.h"

/* crash_shows - the image of the store as it is now, opened, has the records [0, n) with that
 * version, and the checker is content. */
static void crash_shows(struct daxkv_store *store, uint64_t n, size_t len, uint64_t version)
{
	store_image(store, "crashed");
	struct daxkv_store *after = store_again("crashed");
	struct daxkv_txn *txn = begin_reading(after);
	for (uint64_t i = 0; i < n; i++)
		assert_true(has_n(txn, DAXKV_MAIN, i, len, version));
	daxkv_txn_abort(txn);
	assert_int_equal(info(after).last_txn, info(store).last_txn);
	store_done(after);
}

static void one_put_takes_one_fence(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	(void)state;
	for (uint64_t i = 0; i < 300;
	     i++) { /* appends, compactions, splits, the ring's wrap: all the same */
		uint64_t before = counters(store).fences;
		put_some(store, i * 37 % 300, i * 37 % 300 + 1, 60, i);
		assert_int_equal(counters(store).fences, before + 1);
		assert_int_equal(counters(store).commits, i + 1);
	}
	assert_true(counters(store).splits > 0 && counters(store).compactions > 0);
	store_done(store);
}

static void nothing_changed_takes_none(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	struct daxkv_txn *txn;
	struct daxkv_val v;
	(void)state;
	put_one(store, "a", "1");
	uint64_t fences = counters(store).fences, commits = counters(store).commits,
	         last = info(store).last_txn;
	OK(daxkv_txn_commit(begin(store)));
	txn = begin(store);
	struct daxkv_val k = text("a");
	OK(daxkv_get(txn, DAXKV_MAIN, &k, &v));
	assert_int_equal(del(txn, DAXKV_MAIN, "b", NULL), DAXKV_NOT_FOUND);
	assert_int_equal(put(txn, DAXKV_MAIN, "a", "2", DAXKV_NO_OVERWRITE), DAXKV_EXIST);
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(put(txn, DAXKV_MAIN, "c", "3", 0));
	daxkv_txn_abort(txn);
	assert_int_equal(counters(store).fences, fences);
	assert_int_equal(counters(store).commits, commits);
	assert_int_equal(info(store).last_txn, last);
	store_done(store);
}

static void put_and_del_of_the_same_key(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	struct daxkv_txn *txn = begin(store);
	(void)state;
	OK(put(txn, DAXKV_MAIN, "a", "1", 0));
	OK(del(txn, DAXKV_MAIN, "a", NULL));
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	assert_true(has(txn, DAXKV_MAIN, "a", NULL));
	daxkv_txn_abort(txn);
	crash_shows(store, 0, 0, 0);
	store_done(store);
}

/* Flushed and streamed lines of a small put: the entry, its record, the words of the last one. */
static void small_put_writes_few_lines(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	(void)state;
	put_some(store, 0, 10, 40, 0);
	put_one(store, "x", "1");
	struct daxkv_counters a = counters(store);
	put_one(store, "x", "2");
	struct daxkv_counters b = counters(store);
	assert_in_range(b.lines_flushed - a.lines_flushed, 3, 8);
	assert_int_equal(b.lines_streamed, a.lines_streamed);
	store_done(store);
}

static void fresh_bytes_around_the_limit(void **state)
{
	const struct {
		size_t len;
		uint64_t fences;
	} cases[] = {{60000, 1}, {65536 - 4096, 1}, {70000, 2}, {1 << 20, 2}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct daxkv_store *store = store_new("c", 4096);
		put_one(store, "first", "1");
		uint64_t before = counters(store).fences;
		put_some(store, 0, 1, cases[i].len, i);
		assert_int_equal(counters(store).fences, before + cases[i].fences);
		crash_shows(store, 1, cases[i].len, i);
		store_done(store);
	}
}

static void many_pages_of_fresh_bytes(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	(void)state;
	uint64_t before = counters(store).fences;
	put_some(store, 0, 1000, 100,
	         1); /* a tree of some 30 pages, all private: few words, over 64 KiB */
	assert_int_equal(counters(store).fences, before + 2);
	crash_shows(store, 1000, 100, 1);
	store_done(store);
}

/* More ranges than a record can name, few bytes. */
static void many_ranges(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	(void)state;
	uint64_t before = counters(store).fences;
	put_some(store, 0, 70, 600, 1);
	assert_int_equal(counters(store).fences, before + 2);
	crash_shows(store, 70, 600, 1);
	store_done(store);
}

/* One word in each of thousands of leaves: the list goes to pages of its own. */
static void thousands_of_words_are_spilled(void **state)
{
	const uint64_t n = 24000;
	const size_t length = 16; /* a packed leaf has room for one more such record */
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *old, *txn;
	struct daxkv_db_stat stat;
	(void)state;
	put_some(store, 0, n, length, 0);
	old = begin_reading(store);
	OK(daxkv_db_stat(old, DAXKV_MAIN, &stat));
	assert_true(stat.leaf_pages > 2500);
	uint64_t before = counters(store).fences, grows = counters(store).grows;
	txn = begin(store);
	for (uint64_t i = 0; i < n; i += 7)
		OK(put_n(txn, DAXKV_MAIN, i, length, 1));
	OK(daxkv_txn_commit(txn));
	assert_true(store->words.n > 2500);
	assert_in_range(counters(store).fences - before, 2,
	                2 + 2 * (counters(store).grows - grows));
	store_image(store, "crashed");
	for (uint64_t i = 0; i < n; i += 7)
		assert_true(has_n(old, DAXKV_MAIN, i, length, 0));
	daxkv_txn_abort(old);
	struct daxkv_store *after = store_again("crashed");
	assert_true(info(after).recovered > 0);
	txn = begin_reading(after);
	for (uint64_t i = 0; i < n; i++)
		assert_true(has_n(txn, DAXKV_MAIN, i, length, i % 7 == 0));
	daxkv_txn_abort(txn);
	store_done(after);
	put_one(store, "next",
	        "1"); /* goes on with the words of the large one still to be flushed */
	store_done(store);
}

static void reserved_value_takes_two_fences(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val k = text("blob"), v = {100000, NULL};
	(void)state;
	uint64_t before = counters(store).fences;
	OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, DAXKV_RESERVE));
	memset(v.data, 0x5a, v.size);
	OK(daxkv_txn_commit(txn));
	assert_int_equal(counters(store).fences, before + 2);
	store_image(store, "crashed");
	struct daxkv_store *after = store_again("crashed");
	txn = begin_reading(after);
	OK(daxkv_get(txn, DAXKV_MAIN, &k, &v));
	assert_int_equal(v.size, 100000);
	for (size_t i = 0; i < v.size; i++)
		assert_int_equal(((uint8_t *)v.data)[i], 0x5a);
	daxkv_txn_abort(txn);
	store_done(after);
	store_done(store);
}

/* A crash after each of more commits than the ring has slots. */
static void crash_after_every_commit(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	(void)state;
	for (uint64_t i = 0; i < 150; i++) {
		put_some(store, i, i + 1, 30, 4);
		if (i % 3 == 0 || (i > 60 && i < 70))
			crash_shows(store, i + 1, 30, 4);
	}
	store_done(store);
}

static void sync_leaves_nothing_to_recover(void **state)
{
	struct daxkv_store *store = store_new("c", 4096), *after;
	(void)state;
	put_some(store, 0, 50, 30, 0);
	put_one(store, "a", "1");
	store_image(store, "crashed");
	after = store_again("crashed");
	assert_int_equal(info(after).recovered, 2);
	store_done(after);
	uint64_t fences = counters(store).fences;
	OK(daxkv_sync(store));
	assert_int_equal(counters(store).fences, fences + 2);
	OK(daxkv_sync(store)); /* nothing new */
	assert_int_equal(counters(store).fences, fences + 2);
	store_image(store, "crashed");
	after = store_again("crashed");
	assert_int_equal(info(after).recovered, 0);
	store_done(after);
	store_done(store);
}

/* ---- a fence that fails ---------------------------------------------------------------------- */

/* Whatever kind of transaction and whichever of its fences: PANIC, no more changes, snapshots as
 * before, and the next open decides. */
static void failed_fence_panics(size_t len, unsigned int after)
{
	struct daxkv_store *store = store_new("c", 4096), *next;
	struct daxkv_txn *txn, *reader;
	struct pm_log log;
	put_some(store, 0, 20, 30, 1);
	pm_log_attach(&log, &store->map.pm, store->map.base);
	pm_log_fail(&log, after, EIO);
	txn = begin(store);
	OK(put_n(txn, DAXKV_MAIN, 20, len, 1));
	assert_int_equal(daxkv_txn_commit(txn), DAXKV_PANIC);
	assert_non_null(strstr(daxkv_errmsg(), strerror(EIO)));
	pm_log_detach(&log);
	assert_int_equal(daxkv_txn_begin(store, NULL, 0, &txn), DAXKV_PANIC);
	assert_int_equal(daxkv_txn_begin(store, NULL, DAXKV_TXN_TRY, &txn), DAXKV_PANIC);
	assert_int_equal(daxkv_sync(store), DAXKV_PANIC);
	reader = begin_reading(store);
	for (uint64_t i = 0; i < 20; i++)
		assert_true(has_n(reader, DAXKV_MAIN, i, 30, 1));
	assert_true(lacks_n(reader, DAXKV_MAIN, 20)); /* what may not be durable is not seen */
	daxkv_txn_abort(reader);
	assert_int_equal(info(store).last_txn, 1);
	OK(daxkv_close(store));
	next = store_again("c");
	reader = begin_reading(next);
	for (uint64_t i = 0; i < 20; i++)
		assert_true(has_n(reader, DAXKV_MAIN, i, 30, 1));
	assert_true(lacks_n(reader, DAXKV_MAIN, 20) || has_n(reader, DAXKV_MAIN, 20, len, 1));
	daxkv_txn_abort(reader);
	put_one(next, "goes", "on");
	store_done(next);
}

static void failed_fence_of_a_small_commit(void **state)
{
	(void)state;
	failed_fence_panics(50, 0);
}

static void failed_fence_of_a_large_commit(void **state)
{
	(void)state;
	failed_fence_panics(200000, 0);
	failed_fence_panics(200000, 1);
}

static void failed_fence_at_close(void **state)
{
	(void)state;
	for (unsigned int after = 0; after < 2; after++) {
		struct daxkv_store *store = store_new("c", 4096), *next;
		struct pm_log log;
		put_some(store, 0, 20, 30, 1);
		pm_log_attach(&log, &store->map.pm, store->map.base);
		pm_log_fail(&log, after, EIO);
		assert_int_equal(daxkv_close(store), DAXKV_PANIC); /* and the handle is gone */
		free(log.event);
		next = store_again("c");
		struct daxkv_txn *txn = begin_reading(next);
		for (uint64_t i = 0; i < 20; i++)
			assert_true(has_n(txn, DAXKV_MAIN, i, 30, 1));
		daxkv_txn_abort(txn);
		store_done(next);
	}
}

/* fdatasync itself fails: the store's descriptor is made one that cannot be synced. */
static void failed_fdatasync(void **state)
{
	int ends[2];
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	(void)state;
	unlink(scratch_path("c"));
	store =
	    store_open("c", (struct daxkv_options){.flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FILE});
	store->logs = false;
	put_one(store, "a", "1");
	assert_int_equal(pipe(ends), 0);
	int fd = store->map.pm.fd;
	store->map.pm.fd = ends[0];
	txn = begin(store);
	OK(put(txn, DAXKV_MAIN, "b", "2", 0));
	assert_int_equal(daxkv_txn_commit(txn), DAXKV_PANIC);
	store->map.pm.fd = fd;
	assert_int_equal(daxkv_txn_begin(store, NULL, 0, &txn), DAXKV_PANIC);
	OK(daxkv_close(store));
	close(ends[0]);
	close(ends[1]);
	store = store_open("c", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	put_one(store, "c", "3");
	store_done(store);
}

/* put_range - every step-th key from from on, below to, in one transaction. */
static void put_range(struct daxkv_store *store, uint64_t from, uint64_t to, uint64_t step,
                      uint64_t version)
{
	struct daxkv_txn *txn = begin(store);

	for (uint64_t i = from; i < to; i += step)
		OK(put_n(txn, DAXKV_MAIN, i, 20, version));
	OK(daxkv_txn_commit(txn));
}

/* Many words are made durable by the first transaction that ends without a change, and no later
 * begin flushes them again [R9]. Caught: commit.c, commit_empty: its fence left out. */
static void no_change_ends_the_flushing_of_many_words(void **state)
{
	struct daxkv_store *store = store_new("w", 4096);
	struct ring_word word[64];
	struct ring_record rec;
	struct pm_log log;
	(void)state;

	put_range(store, 0, 8000, 1, 0);
	pm_log_attach(&log, &store->map.pm, store->map.base);
	for (uint64_t t = 1; t < 5; t++) {
		put_range(store, 0, 8000, 100, t); /* another leaf, most times */
		const uint64_t last = store->share->published;
		const size_t n = store->words.n < 64 ? store->words.n : 64, stored = log.n;

		memcpy(word, store->words.w, n * sizeof *word);
		assert_true(n > 30 && store->durable == last - 1);
		struct daxkv_txn *txn = begin(store);

		if (t % 2)
			daxkv_txn_abort(txn);
		else
			OK(daxkv_txn_commit(txn));
		const size_t fence = pm_log_next(&log, stored, PM_LOG_FENCE), at = log.n;

		assert_true(fence != PM_LOG_NONE && store->durable == last);
		for (size_t i = 0; i < n; i++)
			assert_true(pm_log_written_back(&log, stored, fence, word[i].off, 8));
		daxkv_txn_abort(begin(store));
		assert_int_equal(log.n, at);
		put_range(store, 7, 8, 1,
		          t); /* few: to change nothing behind it waits for nothing */
		assert_true(ring_read(&store->ring, (last + 1) % FMT_RING_RECORDS, &rec));
		assert_int_equal(rec.durable_upto, last);
		const size_t few = log.n;

		daxkv_txn_abort(begin(store));
		assert_true(pm_log_next(&log, few, PM_LOG_FENCE) == PM_LOG_NONE);
		assert_int_equal(store->durable, last);
		pm_log_clear(&log);
	}
	pm_log_detach(&log);
	store_done(store);
}

/* The fence behind many words fails in a transaction that changes nothing: a commit says so, and
 * the store is in panic after an abort too. Behind a sync there are no words left to fence. Caught:
 * commit.c, commit_run: the result of commit_empty dropped; commit_checkpoint: flushed kept. */
static void no_change_reports_a_failed_fence(void **state)
{
	struct daxkv_store *store = store_new("e", 4096);
	struct daxkv_txn *txn;
	struct pm_log log;
	(void)state;

	put_range(store, 0, 8000, 1, 0);
	pm_log_attach(&log, &store->map.pm, store->map.base);
	for (uint64_t t = 1; t < 3; t++) {
		put_range(store, 0, 8000, 100, t);
		if (t == 1) {
			const size_t at = log.n;

			OK(daxkv_sync(store));
			const size_t words = pm_log_next(&log, at, PM_LOG_FENCE);
			const size_t mark = pm_log_next(&log, words + 1, PM_LOG_FENCE);

			assert_true(pm_log_next(&log, mark + 1, PM_LOG_FENCE) == PM_LOG_NONE);
			continue;
		}
		txn = begin(store);
		pm_log_fail(&log, 0, EIO);
		assert_int_equal(daxkv_txn_commit(txn), DAXKV_PANIC);
	}
	assert_int_equal(daxkv_txn_begin(store, NULL, 0, &txn), DAXKV_PANIC);
	pm_log_detach(&log);
	OK(daxkv_close(store));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(no_change_ends_the_flushing_of_many_words),
	    TEST(one_put_takes_one_fence),
	    TEST(nothing_changed_takes_none),
	    TEST(put_and_del_of_the_same_key),
	    TEST(small_put_writes_few_lines),
	    TEST(fresh_bytes_around_the_limit),
	    TEST(many_pages_of_fresh_bytes),
	    TEST(many_ranges),
	    TEST(thousands_of_words_are_spilled),
	    TEST(reserved_value_takes_two_fences),
	    TEST(crash_after_every_commit),
	    TEST(sync_leaves_nothing_to_recover),
	    TEST(failed_fence_of_a_small_commit),
	    TEST(failed_fence_of_a_large_commit),
	    TEST(failed_fence_at_close),
	    TEST(failed_fdatasync),
	    TEST(no_change_reports_a_failed_fence),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
