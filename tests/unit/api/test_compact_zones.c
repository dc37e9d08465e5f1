/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_compact_zones.c - bitmap and directory pages that lazy intervals have put far behind come to
 * the front again, so that they do not keep the file long.
 */
#include "lazy_store.h"
#include "space/space_zones.h"

#define MIB     ((uint64_t)1 << 20)
#define ENTRIES 8000u

/* zones_behind - how many pages of the zones' own, of those that the file reaches, lie at or behind
 * off. */
static unsigned int zones_behind(struct daxkv_store *store, uint64_t off)
{
	struct daxkv_txn *txn = begin(store); /* the bitmaps are those of the newest commit */
	const struct space *s = &store->space;
	const uint64_t per_dir = s->psize / FMT_WORD;
	unsigned int n = 0;

	for (size_t z = 0; z < s->nzones; z++) {
		OK(space_load_zone(&store->space, z));
		n += s->zone[z].bitmap_off >= off;
		if (z % per_dir == 0)
			n += space_dir_page(s, z) >= off;
	}
	daxkv_txn_abort(txn);
	return n;
}

/* lazy_file - a store in a file, whose intervals last until they are synced. */
static struct daxkv_store *lazy_file(const char *name, unsigned int page_size)
{
	struct daxkv_options o = FILE_MODE;

	o.page_size = page_size;
	o.lazy_bytes = o.lazy_ms = o.lazy_commits = UINT64_MAX;
	unlink(scratch_path(name));
	return store_open(name, o);
}

static void put_large(struct daxkv_store *store, unsigned int flags, uint64_t from, uint64_t to,
                      size_t size)
{
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, flags, &txn));
	for (uint64_t i = from; i < to; i++) {
		struct daxkv_val value = {size, NULL};

		OK(daxkv_put(txn, MAIN, &(struct daxkv_val){sizeof i, &i}, &value, DAXKV_RESERVE));
	}
	OK(daxkv_txn_commit(txn));
}

static void remove_some(struct daxkv_store *store, uint64_t from, uint64_t to)
{
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_DURABLE, &txn));
	for (uint64_t i = from; i < to; i++)
		OK(daxkv_del(txn, MAIN, &(struct daxkv_val){sizeof i, &i}, NULL));
	OK(daxkv_txn_commit(txn));
}

/* bitmaps_put_last - the store is filled with so many values, and an interval that finds no other
 * free pages moves bitmaps behind them; then all but the first values go. */
static void bitmaps_put_last(struct daxkv_store *store, uint64_t values, size_t size)
{
	put_large(store, DAXKV_TXN_DURABLE, 0, values, size);
	for (uint64_t i = 0; i < values; i += 1 + values / 300) /* a page of each zone, at least */
		put_large(store, DAXKV_TXN_LAZY, i, i + 1, size);
	OK(daxkv_sync(store));
	remove_some(store, 4, values);
}

static struct daxkv_compact_report compact(struct daxkv_store *store)
{
	struct daxkv_compact_report r;

	OK(daxkv_compact(store, NULL, &r));
	assert_true(r.done);
	return r;
}

/* bitmap_put_behind - the bitmap of zone z goes to the first free page, behind what is in use. */
static void bitmap_put_behind(struct daxkv_store *store, size_t z)
{
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_DURABLE, &txn));
	OK(space_load_zone(&store->space, z));
	OK(space_bitmap_move(&store->space, z));
	OK(daxkv_txn_commit(txn));
}

/* A zone that stays in part may have its own bitmap in it, behind all else. */
static void a_bitmap_in_its_own_zone_is_not_cut_off(void **state)
{
	(void)state;
	for (int closing = 0; closing < 2; closing++) {
		struct daxkv_store *store = lazy_file("own", 512);
		struct daxkv_compact_report r;

		put_large(store, DAXKV_TXN_DURABLE, 0, 1, 5 * MIB / 2);
		put_large(store, DAXKV_TXN_DURABLE, 1, 2, MIB);
		for (unsigned int i = 0; zones_behind(store, 3 * MIB) == 0; i++) {
			assert_true(i < 1000);
			put_in(store, DAXKV_TXN_DURABLE, 10 * i, 10);
			bitmap_put_behind(store, 1);
		}
		remove_some(store, 1, 2);
		if (!closing)
			OK(daxkv_compact(store, NULL, &r));
		OK(daxkv_close(store));
		store = store_open("own", FILE_MODE);
		store_done(store);
	}
}

static void one_zone(void **state)
{
	struct daxkv_store *fresh = lazy_file("fresh", 4096), *store = lazy_file("s", 4096);
	(void)state;

	put_large(fresh, DAXKV_TXN_DURABLE, 0, 4, 300);
	bitmaps_put_last(store, ENTRIES, 300);
	assert_int_equal(zones_behind(store, daxkv_size(store) / 2), 2);
	compact(store);
	/* a step of growth, at most, is between them */
	assert_in_range(daxkv_size(store), 0, daxkv_size(fresh) + SPACE_STEP_LEAST);
	assert_int_equal(entries_cut("s"), 4);
	put_large(store, DAXKV_TXN_LAZY, 0, 100, 20000);
	assert_int_equal(compact(store).held, 0);
	store_done(fresh);
	store_done(store);
}

/* Also of the second directory page's zones; those that are cut off need no other place. */
static void many_zones(void **state)
{
	struct daxkv_store *store = lazy_file("zones", 512);
	(void)state;

	bitmaps_put_last(store, 280, MIB / 2);
	assert_in_range(store->space.nzones, 66, 1000);
	assert_in_range(zones_behind(store, 100 * MIB), 60, 1000);
	compact(store);
	assert_in_range(daxkv_size(store), 2 * MIB, 4 * MIB);
	assert_int_equal(store->space.nzones, 2);
	assert_int_equal(zones_behind(store, 2 * MIB + MIB / 4), 0);
	assert_int_equal(entries_cut("zones"), 4);
	put_large(store, DAXKV_TXN_DURABLE, 4, 40, MIB / 2);
	store_done(store);
}

/* A few pages a call: each is a commit, and what is under way is what another handle finds. */
static void few_pages_a_call(void **state)
{
	struct daxkv_store *store = lazy_file("budget", 512), *other;
	struct daxkv_compact_report r = {0};
	unsigned int calls = 0;
	(void)state;

	bitmaps_put_last(store, 60, MIB / 2);
	other = store_open("budget", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	for (; !r.done && calls < 2000; calls++) {
		OK(daxkv_compact(store, &(struct daxkv_compact){.pages = 1}, &r));
		store_check(other);
		assert_int_equal(put_in(calls % 3 ? store : other, DAXKV_TXN_DURABLE, 1000, 1), 0);
	}
	assert_true(r.done && daxkv_size(other) < 6 * MIB);
	assert_int_equal(entries_cut("budget"), 5);
	OK(daxkv_close(other));
	store_done(store);
}

/* Where a transaction of a compaction fails, the bitmaps are where the file says, and the number of
 * what is durable is right. */
static void a_step_that_fails(void **state)
{
	struct daxkv_store *store = lazy_file("fails", 4096);
	struct daxkv_txn *txn;
	uint64_t pages;
	(void)state;

	bitmaps_put_last(store, ENTRIES, 300);
	OK(daxkv_close(store));
	store = store_again("fails"); /* persistent memory has words to flush */
	OK(put_in(store, DAXKV_TXN_DURABLE, 10000, 20000));
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_DURABLE, &txn));
	for (uint32_t i = 10000; i < 30000; i += 100) /* a word of each leaf, which begins flush */
		OK(daxkv_put(txn, MAIN, &(struct daxkv_val){sizeof i, &i},
		             &(struct daxkv_val){1, &i}, 0));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_DURABLE, &txn));
	assert_true(store->flushed > COMMIT_FLUSH_AGAIN);
	OK(space_zone_compact(&store->space, 0, MIB, &pages));
	assert_int_equal(pages, 2);
	daxkv_txn_abort(txn);
	store_check(store);
	OK(put_in(store, DAXKV_TXN_DURABLE, 30000, 10));
	assert_int_equal(entries_cut("fails"), 20014);
	compact(store);
	assert_int_equal(zones_behind(store, MIB), 0);
	store_done(store);
}

/* Another process has a lazy interval open: the compaction's commits are durable, so they sync. */
static void beside_an_open_interval(void **state)
{
	struct daxkv_store *store = lazy_file("open", 4096), *other;
	(void)state;

	bitmaps_put_last(store, ENTRIES, 300);
	put_large(store, DAXKV_TXN_LAZY, 200, 203, 20000);
	other = store_open("open", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	assert_true(info_of(other).lazy_commits > 0);
	compact(other);
	assert_true(daxkv_size(store) <= 512u << 10);
	put_large(store, DAXKV_TXN_LAZY, 203, 205, 20000);
	assert_int_equal(entries(other), 9);
	store_check(other);
	OK(daxkv_close(other));
	OK(daxkv_sync(store));
	assert_int_equal(entries_cut("open"), 9);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(one_zone),          TEST(a_bitmap_in_its_own_zone_is_not_cut_off),
	    TEST(many_zones),        TEST(few_pages_a_call),
	    TEST(a_step_that_fails), TEST(beside_an_open_interval)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
