/* SPDX-License-Identifier: BSD-3-Clause */
/* Where free pages are found: the first that are enough, over zones and bitmap words, also when the
 * file has to grow for the rest of them. Pages are of 512 bytes, so a zone is 2 MiB, unless a test
 * says otherwise. */
#include "small_store.h"

#define PAGE 512u
#define MIB  ((size_t)1 << 20)

static bool page_is_free(const struct space *s, uint64_t p)
{
	return !(s->zone[p / s->zone_pages].busy[p % s->zone_pages / SPACE_WORD_BITS] >>
	             p % SPACE_WORD_BITS &
	         1);
}

/* first_extent - the first n free pages in a row, looked for page by page; UINT64_MAX: there are
 * none. */
static uint64_t first_extent(const struct space *s, uint64_t n)
{
	uint64_t extent = 0;
	for (uint64_t p = 0; p < s->end / s->psize; p++) {
		extent = page_is_free(s, p) ? extent + 1 : 0;
		if (extent == n)
			return p + 1 - n;
	}
	return UINT64_MAX;
}

/* Random extents taken and given back over several zones: always the first place, or a few pages
 * behind it when nothing is free before. */
static void always_the_first_place(void **state)
{
	struct daxkv_store *store = store_new("f", PAGE);
	struct daxkv_txn *txn = begin(store);
	struct space *s = &store->space;
	uint64_t x = 99, off, page, lowest;
	struct {
		uint64_t off, n;
	} have[400];
	size_t nhave = 0;
	(void)state;
	(void)space_claim(s, SPACE_MOVE); /* nothing is left to others */
	OK(space_take(s, 14000, &off));   /* zones enough */
	OK(space_give_own(s, off, 14000));
	assert_true(s->nzones >= 4);
	for (int step = 0; step < 6000; step++) {
		uint64_t n = random_next(&x) % 3         ? random_next(&x) % 40 + 1
		             : random_next(&x) % 10 == 0 ? 5000
		                                         : 1;
		if (nhave && (nhave == 400 || random_next(&x) % 5 < 2)) {
			size_t i = random_next(&x) % nhave;
			OK(space_give_own(s, have[i].off, have[i].n));
			have[i] = have[--nhave];
			continue;
		}
		page = first_extent(s, n);
		lowest = first_extent(s, 1);
		OK(space_take(s, n, &off));
		have[nhave].n = n;
		have[nhave++].off = off;
		if (page != UINT64_MAX && off / PAGE != page &&
		    !(n > 1 && page == lowest &&
		      (off / PAGE == page + 16 || off / PAGE == page + 64)))
			fail_msg("step %d: %lu pages at %lu, not at %lu", step, (unsigned long)n,
			         (unsigned long)off / PAGE, (unsigned long)page);
	}
	daxkv_txn_abort(txn);
	store_done(store);
}

static int put_size(struct daxkv_txn *txn, const char *key, size_t size)
{
	struct daxkv_val k = text(key), v = {.size = size};
	return daxkv_put(txn, DAXKV_MAIN, &k, &v, DAXKV_RESERVE);
}

/* What an aborted transaction left free at the end is a part of the next large value's space,
 * whatever bitmaps had to be made. */
static void rest_of_an_abort_is_used(void **state)
{
	static const struct {
		unsigned int page;
		size_t aborted, stored, max;
	} cases[] = {{4096, 2 * MIB, 4 * MIB - 262144, 4 * MIB},
	             {4096, 32 * MIB, 60 * MIB, 64 * MIB},
	             {512, 3 * MIB, 9 * MIB, 10 * MIB},
	             {512, 9 * MIB, 10 * MIB - 524288, 10 * MIB},
	             {512, 70 * MIB, 300 * MIB, 301 * MIB}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct daxkv_store *store;
		unlink(scratch_path("f"));
		store = store_open("f", (struct daxkv_options){.flags = DAXKV_CREATE,
		                                               .page_size = cases[i].page,
		                                               .pmem = DAXKV_PMEM_FORCE,
		                                               .max_size = cases[i].max});
		put_one(store, "small", "value");
		for (int round = 0; round < 3; round++) {
			struct daxkv_txn *txn = begin(store);
			OK(put_size(txn, "large", cases[i].aborted));
			daxkv_txn_abort(txn);
			put_one(store, "small", round % 2 ? "a" : "b");
		}
		uint64_t size = info(store).file_size;
		struct daxkv_txn *txn = begin(store);
		OK(put_size(txn, "large", cases[i].aborted));
		daxkv_txn_abort(txn);
		assert_int_equal(info(store).file_size, size);
		txn = begin(store);
		OK(put_size(txn, "large", cases[i].stored));
		OK(daxkv_txn_commit(txn));
		store_done(store);
	}
}

/* A value that is deleted leaves its space whole: small changes meanwhile go before it. */
static void small_changes_stay_before_large_values(void **state)
{
	struct daxkv_store *store;
	(void)state;
	unlink(scratch_path("f"));
	store = store_open("f", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                               .pmem = DAXKV_PMEM_FORCE,
	                                               .max_size = 64 * MIB});
	for (int round = 0; round < 6; round++) {
		struct daxkv_txn *txn = begin(store);
		OK(put_size(txn, "large", round % 2 ? 32 * MIB : 60 * MIB));
		OK(daxkv_txn_commit(txn));
		for (int i = 0; i < 20; i++)
			put_some(store, (uint64_t)i, (uint64_t)i + 1, 50, (uint64_t)round);
		txn = begin(store);
		OK(del(txn, DAXKV_MAIN, "large", NULL));
		OK(daxkv_txn_commit(txn));
		put_one(store, "small", "value");
	}
	store_done(store);
}

/* Values of many sizes, replaced again and again: the file stays within a factor of what they
 * take. */
static void churn_of_large_values_is_bounded(void **state)
{
	struct daxkv_store *store = store_new("f", 4096);
	uint64_t x = 4711, after_first = 0;
	(void)state;
	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < 500; i++) {
			uint64_t n = random_next(&x) % 60, len = 3000 + random_next(&x) % 100000;
			put_some(store, n, n + 1, len, 0);
		}
		if (round == 1)
			after_first = info(store).file_size;
	}
	assert_in_range(info(store).file_size, 0, after_first + after_first / 4);
	assert_in_range(info(store).file_size, 0, 2 * 60 * 53000);
	store_done(store);
}

/* The same over many zones: what the limbo gives back to one of them counts as a place there. */
static void churn_over_zones_is_bounded(void **state)
{
	struct daxkv_store *store = store_new("zones", 512);
	const size_t most = 400000;
	uint64_t x = 4711;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		uint64_t n = i < 100 ? (uint64_t)i : random_next(&x) % 100;
		struct daxkv_txn *txn = begin(store);
		char buf[17];
		struct daxkv_val k = key_n(buf, n), v = {.size = random_next(&x) % most + 1};

		OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, DAXKV_RESERVE));
		OK(daxkv_txn_commit(txn));
	}
	assert_in_range(info(store).file_size, 20 * MIB, 2 * 100 * most / 2);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(always_the_first_place),
	    TEST(rest_of_an_abort_is_used),
	    TEST(small_changes_stay_before_large_values),
	    TEST(churn_of_large_values_is_bounded),
	    TEST(churn_over_zones_is_bounded),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
