/* SPDX-License-Identifier: BSD-3-Clause */
/* The file of a store from outside: how small it begins, how it grows and is cut, its times, and
 * what opening and closing cost. */
#include "small_store.h"

#include <sys/stat.h>

#define MIB ((uint64_t)1 << 20)

static struct stat stat_of(const char *name)
{
	struct stat st;

	OK(stat(scratch_path(name), &st));
	return st;
}

static struct daxkv_store *fresh(const char *name, struct daxkv_options o)
{
	o.flags |= DAXKV_CREATE;
	o.pmem = DAXKV_PMEM_FORCE;
	return store_open(name, o);
}

static void put_large(struct daxkv_store *store, const char *key, uint64_t size)
{
	struct daxkv_val k = text(key), v = {.size = size};
	struct daxkv_txn *txn = begin(store);

	OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, DAXKV_RESERVE));
	memset(v.data, 'v', size);
	OK(daxkv_txn_commit(txn));
}

static void del_one(struct daxkv_store *store, const char *key)
{
	struct daxkv_val k = text(key);
	struct daxkv_txn *txn = begin(store);

	OK(daxkv_del(txn, DAXKV_MAIN, &k, NULL));
	OK(daxkv_txn_commit(txn));
}

static void a_few_entries_take_little(void **state)
{
	struct daxkv_store *store = fresh("few", (struct daxkv_options){0});

	(void)state;
	for (uint64_t i = 0; i < 20; i++)
		put_some(store, i, i + 1, 20, i);
	struct daxkv_txn *txn = begin_reading(store);
	daxkv_txn_abort(txn);
	assert_true(stat_of("few").st_size <= 64 << 10);
	assert_true(stat_of("few").st_blocks * 512 <= 64 << 10);
	assert_true(stat_of("few-lock").st_blocks * 512 <= 8 << 10);
	store_done(store);
	assert_true(stat_of("few").st_blocks * 512 <= 64 << 10);
}

/* At each length the file is at most twice what is in use and in reserve, up to 2 MiB more. */
static void growth_is_in_proportion(void **state)
{
	struct daxkv_store *store = fresh("steps", (struct daxkv_options){0});
	uint64_t grows = 0;

	(void)state;
	for (uint64_t n = 0; n < 30000; n += 50) {
		put_some(store, n, n + 50, 100, 0);
		uint64_t used = info(store).used_bytes + info(store).held_pages * 4096,
		         size = (uint64_t)stat_of("steps").st_size;

		if (counters(store).grows > grows)
			assert_true(size <= 2 * used + used / 3 + (64 << 10) &&
			            size <= used + used / 8 + 3 * MIB);
		grows = counters(store).grows;
	}
	assert_true(grows > 5);
	store_done(store);
}

/* More than the bounds of one commit's record: the bitmaps of fifty zones. */
static void a_long_end_is_cut_at_once(void **state)
{
	struct daxkv_store *store = fresh("long", (struct daxkv_options){.page_size = 512});

	(void)state;
	put_one(store, "k", "v");
	put_large(store, "large", 100 * MIB);
	assert_true(stat_of("long").st_size > (off_t)(100 * MIB));
	del_one(store, "large");
	store_done(store);
	assert_true(stat_of("long").st_size <= (off_t)(2 * MIB));
	store = store_again("long");
	put_large(store, "large", 10 * MIB); /* over what was cut */
	store_done(store);
}

static void the_initial_size_holds(void **state)
{
	const uint64_t sizes[] = {100000, 3 * MIB, 9 * MIB + 12345};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct daxkv_store *store =
		    fresh("initial", (struct daxkv_options){.initial_size = sizes[i]});

		assert_true((uint64_t)stat_of("initial").st_size >= sizes[i]);
		put_one(store, "k", "v");
		store_done(store);
		assert_true((uint64_t)stat_of("initial").st_size >= sizes[i]);
		store = store_again("initial");
		put_large(store, "large", 20 * MIB);
		del_one(store, "large");
		store_done(store);
		assert_true((uint64_t)stat_of("initial").st_size >= sizes[i]);
		assert_true((uint64_t)stat_of("initial").st_size <= sizes[i] + 2 * MIB);
		OK(unlink(scratch_path("initial")));
	}
}

/* A size that the directory of a new store cannot have is refused before there is a file. */
static void an_initial_size_beyond_the_directory(void **state)
{
	static const unsigned int page_sizes[] = {512, 4096};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const uint64_t most = super_max_bytes(page_sizes[i]);
		struct daxkv_options o = {
		    .flags = DAXKV_CREATE,
		    .page_size = page_sizes[i],
		    .initial_size = most + 1,
		};
		struct daxkv_store *store;

		assert_int_equal(daxkv_open(scratch_path("beyond"), &o, &store), EFBIG);
		assert_non_null(strstr(daxkv_errmsg(), "initial size"));
		assert_int_equal(access(scratch_path("beyond"), F_OK), -1);
		o.initial_size = UINT64_MAX / 4;
		assert_int_equal(daxkv_open(scratch_path("beyond"), &o, &store), EFBIG);
	}
}

/* A file that somebody lengthened gets no space for that, until the store grows there. */
static void a_lengthened_file_takes_no_more(void **state)
{
	struct daxkv_store *store = fresh("longer", (struct daxkv_options){0});

	(void)state;
	store_done(store);
	for (int i = 0; i < 2; i++) {
		OK(truncate(scratch_path("longer"), (off_t)(1024 * MIB)));
		store = store_again("longer");
		put_one(store, "k", "v");
		assert_int_equal(stat_of("longer").st_size, 1024 * MIB);
		assert_true(stat_of("longer").st_blocks * 512 <= 4 << 20);
		put_large(store, "large", 20 * MIB);
		assert_true((uint64_t)stat_of("longer").st_blocks * 512 >= 20 * MIB);
		assert_true((uint64_t)stat_of("longer").st_blocks * 512 <= 64 * MIB);
		del_one(store, "large");
		store_done(store);
		assert_true(stat_of("longer").st_blocks * 512 <= 4 << 20);
	}
}

static void old_times(const char *name)
{
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	OK(utimensat(AT_FDCWD, scratch_path(name), old, 0));
}

/* A program that copies files which are newer than its copies finds those that were changed. */
static void changes_show_in_the_times(void **state)
{
	struct daxkv_store *store = fresh("times", (struct daxkv_options){0});

	(void)state;
	put_one(store, "k", "v");
	OK(daxkv_close(store));
	old_times("times");
	store = store_again("times");
	put_one(store, "k", "w");
	OK(daxkv_close(store));
	assert_true(stat_of("times").st_mtim.tv_sec > 1000);
	store = store_again("times");
	put_one(store, "k", "x");
	old_times("times");
	OK(daxkv_sync(store));
	assert_true(stat_of("times").st_mtim.tv_sec > 1000);
	put_one(store, "k", "y");
	store_image(store, "crashed");
	store_done(store);
	old_times("crashed");
	OK(daxkv_close(store_again("crashed"))); /* what was replayed is a change */
	assert_true(stat_of("crashed").st_mtim.tv_sec > 1000);
	old_times("times");
	store = store_again("times");
	daxkv_txn_abort(begin_reading(store));
	OK(daxkv_close(store));
	OK(daxkv_close(store_open("times", (struct daxkv_options){.flags = DAXKV_READ_ONLY})));
	assert_int_equal(stat_of("times").st_mtim.tv_sec, 1000);
}

static uint64_t waits;

static int waiting_fence(struct pm *pm)
{
	(void)pm;
	waits++;
	return 0;
}

/* watch - the store's fences are counted from here on, its closing's too. */
static void watch(struct daxkv_store *store)
{
	static struct pm_ops ops;

	ops = *store->map.pm.ops;
	ops.fence = waiting_fence;
	store->map.pm.ops = &ops;
	waits = 0;
}

static void reading_waits_for_no_medium(void **state)
{
	struct daxkv_store *store = fresh("idle", (struct daxkv_options){0});

	(void)state;
	put_one(store, "k", "v");
	OK(daxkv_close(store));
	store = store_again("idle");
	assert_int_equal(counters(store).fences, 0);
	watch(store);
	struct daxkv_txn *txn = begin_reading(store);
	assert_true(has(txn, DAXKV_MAIN, "k", "v"));
	daxkv_txn_abort(txn);
	assert_true(info(store).used_bytes > 0);
	OK(daxkv_close(store));
	assert_int_equal(waits, 0);
	store = store_again("idle");
	watch(store);
	put_one(store, "k", "w"); /* what was found, the commit */
	OK(daxkv_close(store));   /* its words, the mark */
	assert_int_equal(waits, 4);
}

/* dies_large - of a process that opened the store without a limit: a large value that is committed,
 * or only begun. */
static int dies_large(bool committed)
{
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};
	struct daxkv_val k = text("large"), v = {.size = 20 * MIB};
	struct daxkv_txn *txn;
	struct daxkv_store *store;

	CHECK(daxkv_open(scratch_path("limits"), &o, &store) == 0);
	CHECK(daxkv_txn_begin(store, NULL, 0, &txn) == 0);
	CHECK(daxkv_put(txn, DAXKV_MAIN, &k, &v, DAXKV_RESERVE) == 0);
	if (committed)
		CHECK(daxkv_txn_commit(txn) == 0 && daxkv_txn_begin(store, NULL, 0, &txn) == 0);
	return 0;
}

static int dies_begun(void)
{
	return dies_large(false);
}

static int dies_committed(void)
{
	return dies_large(true);
}

static int writes(void)
{
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};
	struct daxkv_val k = text("k"), v = text("again");
	struct daxkv_txn *txn;
	struct daxkv_store *store;

	CHECK(daxkv_open(scratch_path("limits"), &o, &store) == 0);
	CHECK(daxkv_txn_begin(store, NULL, 0, &txn) == 0);
	CHECK(daxkv_put(txn, DAXKV_MAIN, &k, &v, 0) == 0 && daxkv_txn_commit(txn) == 0);
	CHECK(daxkv_close(store) == 0);
	return 0;
}

/* One whose limit is too small for the store cannot write, and keeps nobody from it. */
static void a_small_limit_takes_over(void **state)
{
	struct daxkv_store *store = fresh("limits", (struct daxkv_options){0}), *small;
	struct daxkv_txn *txn;

	(void)state;
	put_one(store, "k", "v");
	small = store_open("limits",
	                   (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE, .max_size = 4 * MIB});
	child_run(dies_begun); /* the file is longer than the limit, the store is not */
	put_one(small, "k", "w");
	child_run(dies_committed);
	assert_int_equal(daxkv_txn_begin(small, NULL, 0, &txn), DAXKV_FULL);
	assert_int_equal(daxkv_txn_begin(small, NULL, 0, &txn), DAXKV_FULL);
	child_run(writes);
	put_one(store, "k", "x");
	child_run(dies_committed);
	put_one(store, "k", "y");
	txn = begin_reading(small);
	assert_true(has(txn, DAXKV_MAIN, "k", "y"));
	daxkv_txn_abort(txn);
	(void)daxkv_close(small);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(a_few_entries_take_little),
	                                   TEST(growth_is_in_proportion),
	                                   TEST(a_long_end_is_cut_at_once),
	                                   TEST(the_initial_size_holds),
	                                   TEST(an_initial_size_beyond_the_directory),
	                                   TEST(a_lengthened_file_takes_no_more),
	                                   TEST(changes_show_in_the_times),
	                                   TEST(reading_waits_for_no_medium),
	                                   TEST(a_small_limit_takes_over)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
