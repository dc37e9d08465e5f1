/* SPDX-License-Identifier: BSD-3-Clause */
/* A store is made smaller while it is used: its content, its file, and what holds it back. */
#include "small_store.h"

#define MIB ((size_t)1 << 20)

static uint64_t file_bytes(const char *name)
{
	struct stat st;

	assert_int_equal(stat(scratch_path(name), &st), 0);
	assert_true(st.st_blocks * 512 >= st.st_size / 4096 * 4096); /* it is not sparse */
	return (uint64_t)st.st_size;
}

/* left - whether the random deletions leave entry n: one in ten. */
static bool left(uint64_t n)
{
	uint64_t x = n * 0x9E3779B97F4A7C15u + 1;

	return random_next(&x) % 10 == 0;
}

static void fill(struct daxkv_store *store, uint64_t n, size_t size, bool all)
{
	struct daxkv_txn *txn = begin(store);

	for (uint64_t i = 0; i < n; i++)
		if (all || left(i))
			OK(put_n(txn, DAXKV_MAIN, i, size, 1));
	OK(daxkv_txn_commit(txn));
}

static void thin_out(struct daxkv_store *store, uint64_t n)
{
	for (uint64_t i = 0; i < n;) {
		struct daxkv_txn *txn = begin(store);

		for (uint64_t end = i + 5000; i < end && i < n; i++)
			if (!left(i))
				OK(del_n(txn, DAXKV_MAIN, i));
		OK(daxkv_txn_commit(txn));
	}
}

static void all_left(struct daxkv_store *store, uint64_t n, size_t size)
{
	struct daxkv_txn *txn = begin_reading(store);

	for (uint64_t i = 0; i < n; i++)
		assert_true(left(i) ? has_n(txn, DAXKV_MAIN, i, size, 1)
		                    : lacks_n(txn, DAXKV_MAIN, i));
	daxkv_txn_abort(txn);
}

static struct daxkv_compact_report compact(struct daxkv_store *store)
{
	struct daxkv_compact_report r;

	OK(daxkv_compact(store, NULL, &r));
	assert_true(r.done);
	return r;
}

static void one_in_ten_is_left(void **state)
{
	const uint64_t n = 200000;

	(void)state;
	struct daxkv_store *fresh = store_new("fresh", 4096);

	fill(fresh, n, 100, false);
	store_done(fresh);
	struct daxkv_store *store = store_new("s", 4096);

	fill(store, n, 100, true);
	thin_out(store, n);
	struct daxkv_compact_report r = compact(store);

	print_message("%lu -> %lu bytes, %lu pages moved; fresh %lu\n",
	              (unsigned long)r.size_before, (unsigned long)r.size, (unsigned long)r.moved,
	              (unsigned long)file_bytes("fresh"));
	assert_int_equal(r.size, file_bytes("s"));
	assert_true(r.size * 10 <= file_bytes("fresh") * 13);
	all_left(store, n, 100);
	store_check(store);
	assert_int_equal(compact(store).moved, 0); /* there is nothing left to do */
	put_some(store, n, n + 1000, 100, 1);      /* and it grows again */
	store_done(store);
}

/* Databases of all kinds, and large values, between others that are dropped. */
static void databases_and_large_values(void **state)
{
	struct daxkv_store *store = store_new("s", 4096);
	struct daxkv_txn *txn = begin(store);
	daxkv_db gone = db_of(txn, "gone", 0), kept = db_of(txn, "kept", 0);
	daxkv_db dups = db_of(txn, "with duplicates", DAXKV_DUP_SORT);
	char name[32];

	(void)state;
	for (uint64_t i = 0; i < 3000; i++)
		OK(put_n(txn, gone, i, 2000, 0));
	for (uint64_t i = 0; i < 40; i++)
		OK(put_n(txn, kept, i, 100000 + i * 1000, 2));
	for (uint64_t i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "value %05lu", (unsigned long)i);
		OK(put(txn, dups, i % 2 ? "odd" : "even", name, 0));
	}
	for (uint64_t i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "small %lu", (unsigned long)i);
		OK(put(txn, db_of(txn, name, 0), "key", name, 0));
	}
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(daxkv_db_drop(txn, gone, 1));
	OK(daxkv_txn_commit(txn));
	struct daxkv_compact_report r = compact(store);

	assert_true(r.size < r.size_before && r.size < 10 * MIB);
	assert_int_equal(r.size, file_bytes("s"));
	txn = begin_reading(store);
	for (uint64_t i = 0; i < 40; i++)
		assert_true(has_n(txn, kept, i, 100000 + i * 1000, 2));
	struct daxkv_db_stat stat;

	OK(daxkv_db_stat(txn, dups, &stat));
	assert_int_equal(stat.entries, 20000);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* Bounds of a call, and the next call goes on. An old reader keeps what it reads, and the file is
 * cut when it has gone. */
static void bounds_and_a_reader(void **state)
{
	const uint64_t n = 60000;
	struct daxkv_store *store = store_new("s", 4096);
	struct daxkv_compact_report r = {0};
	unsigned int calls = 0;

	(void)state;
	fill(store, n, 100, true);
	thin_out(store, n);
	struct daxkv_txn *reader = begin_reading(store);

	while (!r.done && calls < 200) {
		OK(daxkv_compact(store, &(struct daxkv_compact){.pages = 50}, &r));
		assert_in_range(r.moved, 0, 200);
		calls++;
	}
	assert_in_range(calls, 4, 199);
	assert_true(r.held && r.reader_pid == getpid());
	assert_int_equal(r.reader_snapshot, daxkv_txn_id(reader));
	for (uint64_t i = 0; i < n; i++)
		assert_true(!left(i) || has_n(reader, DAXKV_MAIN, i, 100, 1));
	daxkv_txn_abort(reader);
	r = compact(store);
	assert_true(!r.held && r.size < r.size_before / 2 && r.size == file_bytes("s"));
	all_left(store, n, 100);
	store_done(store);
}

static int ended(uint64_t moved, uint64_t file_size, void *arg)
{
	(void)moved;
	(void)file_size;
	return *(const int *)arg;
}

static void its_caller_ends_it(void **state)
{
	const uint64_t n = 20000;
	struct daxkv_store *store = store_new("s", 512);
	int code = 77;
	const struct daxkv_compact bounds = {.progress = ended, .arg = &code};
	struct daxkv_compact_report r;

	(void)state;
	fill(store, n, 20, true);
	thin_out(store, n);
	assert_int_equal(daxkv_compact(store, &bounds, &r), 77);
	assert_non_null(strstr(daxkv_errmsg(), "ended by its caller"));
	assert_true(!r.done && r.moved > 0);
	r = compact(store);
	assert_true(r.done && r.size < r.size_before);
	all_left(store, n, 20);
	store_done(store);
}

/* Leaves that only move: a reader from before finds the old ones behind the new [I7]. */
static void a_reader_of_what_moves(void **state)
{
	struct daxkv_store *store = store_new("s", 4096);
	struct daxkv_txn *txn = begin(store);
	daxkv_db gone = db_of(txn, "gone", 0);

	(void)state;
	for (uint64_t i = 0; i < 30000; i++)
		OK(put_n(txn, gone, i, 100, 0));
	OK(daxkv_txn_commit(txn));
	put_some(store, 0, 20000, 100, 1);
	txn = begin(store);
	OK(daxkv_db_drop(txn, gone, 1));
	OK(daxkv_txn_commit(txn));
	for (unsigned int i = 0; i < 4; i++) /* what was freed waits for none of these */
		put_one(store, "another", i % 2 ? "odd" : "even");
	struct daxkv_txn *reader = begin_reading(store);
	struct daxkv_compact_report r;

	/* a few at a time: their words change in the page above, which stays */
	for (unsigned int call = 0; call < 20; call++)
		OK(daxkv_compact(store, &(struct daxkv_compact){.pages = 8}, &r));
	assert_true(r.moved > 0 && r.held);
	for (uint64_t i = 0; i < 20000; i++)
		assert_true(has_n(reader, DAXKV_MAIN, i, 100, 1));
	daxkv_txn_abort(reader);
	r = compact(store);
	assert_true(r.size < r.size_before);
	store_done(store);
}

/* Another user of the file, which has more of it mapped than is left, reads and writes on. */
static void another_user(void **state)
{
	const uint64_t n = 60000;
	struct daxkv_store *store = store_new("s", 4096), *other;

	(void)state;
	fill(store, n, 100, true);
	thin_out(store, n);
	other = store_again("s");
	put_some(other, n, n + 10, 100, 3);
	struct daxkv_compact_report r = compact(store);

	assert_true(r.size < r.size_before / 2);
	all_left(other, n, 100);
	store_check(other);
	put_some(other, n, n + 40000, 100, 3);
	all_left(store, n, 100);
	OK(daxkv_close(other));
	store_done(store);
}

/* A store that is full to its last page but the reserve is compacted, too. */
static void a_full_store(void **state)
{
	uint64_t n = 0;
	int rc = 0;

	(void)state;
	unlink(scratch_path("full"));
	struct daxkv_store *store = store_open(
	    "full", (struct daxkv_options){
	                .flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE, .max_size = 4 * MIB});

	while (!rc) {
		struct daxkv_txn *txn = begin(store);

		rc = put_n(txn, DAXKV_MAIN, n * 7919 % 99999989, 100, 1);
		if (!rc)
			rc = daxkv_txn_commit(txn);
		else
			daxkv_txn_abort(txn);
		n += !rc;
	}
	assert_int_equal(rc, DAXKV_FULL);
	assert_true(compact(store).moved > 0);
	put_some(store, 0, 1000, 100, 2); /* there is room again */
	store_done(store);
}

/* Large values at the end, and no gap for them in front: what lies between the free pages goes
 * together first. In parts of a page, too, a call ends at last. */
static void large_values_at_the_end(void **state)
{
	const struct daxkv_compact page = {.pages = 1};

	(void)state;
	for (int parts = 0; parts < 2; parts++) {
		struct daxkv_store *store = store_new("s", 512);
		struct daxkv_compact_report r = {0};

		for (uint64_t i = 0; i < 600; i++) /* a few pages each */
			put_some(store, i, i + 1, 3000, 1);
		put_some(store, 1000, 1008, 50000, 2);
		struct daxkv_txn *txn = begin(store);

		for (uint64_t i = 1; i < 600; i += 2)
			OK(del_n(txn, DAXKV_MAIN, i));
		OK(daxkv_txn_commit(txn));
		for (unsigned int calls = 0; parts && !r.done; calls++) {
			assert_true(calls < 20000);
			OK(daxkv_compact(store, &page, &r));
		}
		r = compact(store);
		assert_true(r.size < info(store).used_bytes + 400000 / 2);
		txn = begin_reading(store);
		for (uint64_t i = 1000; i < 1008; i++)
			assert_true(has_n(txn, DAXKV_MAIN, i, 50000, 2));
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

/* compacting - the store is opened again, so that its commits compact from that share on. */
static struct daxkv_store *compacting(struct daxkv_store *store, unsigned int per_cent)
{
	OK(daxkv_close(store));
	return store_open(
	    "s", (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE, .compact_free = per_cent});
}

/* commits_until - small commits, until the file is that much smaller; how many. */
static unsigned int commits_until(struct daxkv_store *store, uint64_t size, unsigned int most)
{
	unsigned int i = 0;

	for (; i < most && info(store).file_size > size; i++)
		put_one(store, "small", i % 2 ? "a" : "b");
	return i;
}

/* Commits compact a store of which more is free than the handle allows, a bounded step each, and
 * then no more; so does nobody who did not ask. Other users read and write meanwhile. */
static void by_itself(void **state)
{
	const uint64_t n = 60000;
	struct daxkv_store *store = store_new("s", 4096), *other;
	struct daxkv_counters before;

	(void)state;
	fill(store, n, 100, true);
	store = compacting(store, 0);
	other = store_again("s");
	thin_out(store, n);
	const uint64_t size = info(store).file_size;

	assert_int_equal(commits_until(store, size - 1, 300), 300);
	OK(daxkv_close(other));
	store = compacting(store, 40);
	other = store_again("s");
	before = counters(store);
	put_one(store, "small", "c");
	const uint64_t moved = counters(store).lines_flushed + counters(store).lines_streamed -
	                       before.lines_flushed - before.lines_streamed;

	assert_true(moved > 500 && moved < 64 * 3 * 64 + 2000); /* a step, in lines */
	commits_until(store, size / 3, 2000);
	assert_true(info(store).file_size <= size / 3);
	all_left(store, n, 100);
	all_left(other, n, 100);
	put_some(other, n, n + 10, 100, 3);
	store_check(store);
	for (unsigned int i = 0; i < 200; i++) /* what is left of its work */
		put_one(store, "small", i % 2 ? "a" : "b");
	before = counters(store);
	put_one(store, "small", "d");
	assert_int_equal(counters(store).fences - before.fences, 1);
	assert_int_equal(counters(store).commits - before.commits, 1);
	OK(daxkv_close(other));
	store_done(store);
}

/* A writer in another process, or a child of this thread's, is not waited for; an old reader keeps
 * the file as long as it is there, and no commit fails for it. */
static void by_itself_beside_others(void **state)
{
	const uint64_t n = 60000;
	struct daxkv_store *store = store_new("s", 4096), *other;
	struct daxkv_txn *reader, *txn;

	(void)state;
	fill(store, n, 100, true);
	store = compacting(store, 40);
	other = store_again("s");
	reader = begin_reading(other);
	thin_out(store, n);
	const uint64_t size = info(store).file_size;

	assert_int_equal(commits_until(store, size - 1, 300), 300);
	for (uint64_t i = 0; i < n; i += 7)
		assert_true(has_n(reader, DAXKV_MAIN, i, 100, 1));
	daxkv_txn_abort(reader);
	struct daxkv_compact_report r = compact(store);

	assert_true(r.done && r.size < size / 3);
	txn = begin(store);
	OK(put(txn, DAXKV_MAIN, "in", "side", 0));
	assert_int_equal(daxkv_compact(store, NULL, NULL), DAXKV_BUSY);
	OK(daxkv_txn_commit(txn));
	store_check(store);
	OK(daxkv_close(other));
	store_done(store);
}

static void by_itself_refused(void **state)
{
	struct daxkv_store *store;

	(void)state;
	assert_int_equal(
	    daxkv_open(scratch_path("r"),
	               &(struct daxkv_options){.flags = DAXKV_CREATE, .compact_free = 100}, &store),
	    EINVAL);
	assert_int_equal(daxkv_open(scratch_path("r"),
	                            &(struct daxkv_options){.flags = DAXKV_CREATE | DAXKV_NO_LOCK |
	                                                             DAXKV_EXTERNAL_LOCK,
	                                                    .compact_free = 10},
	                            &store),
	                 DAXKV_INCOMPATIBLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(one_in_ten_is_left),
	                                   TEST(databases_and_large_values),
	                                   TEST(bounds_and_a_reader),
	                                   TEST(a_reader_of_what_moves),
	                                   TEST(another_user),
	                                   TEST(a_full_store),
	                                   TEST(large_values_at_the_end),
	                                   TEST(its_caller_ends_it),
	                                   TEST(by_itself),
	                                   TEST(by_itself_beside_others),
	                                   TEST(by_itself_refused)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
