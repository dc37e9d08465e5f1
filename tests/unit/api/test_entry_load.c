/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of daxkv_bulk_load: packed pages, old snapshots beside them, and what ends a load. Random
 * loads are the model test's. */
#include "small_store.h"
#include "txn/dbi.h"

#include <errno.h>

struct source { /* records [at, end), as of key_n and fill_n; then what */
	uint64_t at, end, version;
	size_t len;
	int then;
	char key[17];
	uint8_t value[6000];
};

static int next(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	struct source *s = arg;

	if (s->at == s->end)
		return s->then;
	*key = key_n(s->key, s->at);
	fill_n(s->value, s->len, s->at++, s->version);
	*value = bytes(s->value, s->len);
	return 0;
}

static int load_n(struct daxkv_txn *txn, daxkv_db db, unsigned int fill, uint64_t from, uint64_t to,
                  size_t len, int then, uint64_t *loaded)
{
	struct source s = {.at = from, .end = to, .version = 1, .len = len, .then = then};

	return daxkv_bulk_load(txn, db, fill, next, &s, loaded);
}

static void load_some(struct daxkv_store *store, uint64_t from, uint64_t to, size_t len)
{
	struct daxkv_txn *txn = begin(store);
	uint64_t loaded;

	OK(load_n(txn, DAXKV_MAIN, 0, from, to, len, DAXKV_NOT_FOUND, &loaded));
	assert_int_equal(loaded, to - from);
	OK(daxkv_txn_commit(txn));
}

static void loads_of_every_size(void **state)
{
	(void)state;
	for (uint64_t step = 1; step < 3000;
	     step = step * 3 + 1) { /* from one entry a load to many levels at once */
		struct daxkv_store *store = store_new("l", 512);
		struct daxkv_txn *txn, *old;
		struct daxkv_db_stat stat;
		uint64_t n = 0;

		for (int i = 0; i < 6; i++, n += step) {
			load_some(store, n, n + step, 20);
			store_check(store);
		}
		old = begin_reading(store);
		load_some(store, n, n + step, 20);
		for (uint64_t i = 0; i < n; i++)
			assert_true(has_n(old, DAXKV_MAIN, i, 20, 1));
		assert_true(lacks_n(old, DAXKV_MAIN, n));
		OK(daxkv_db_stat(old, DAXKV_MAIN, &stat));
		assert_int_equal(stat.entries, n);
		daxkv_txn_abort(old);
		put_some(store, 0, n + step, 25,
		         2); /* the loaded pages take changes like any others */
		txn = begin_reading(store);
		for (uint64_t i = 0; i < n + step; i++)
			assert_true(has_n(txn, DAXKV_MAIN, i, 25, 2));
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

static void pages_are_as_full_as_asked(void **state)
{
	static const unsigned int fill[] = {10, 50, 0, 100};
	uint64_t pages[4];
	(void)state;

	for (size_t f = 0; f < 4; f++) {
		struct daxkv_store *store = store_new("l", 4096);
		struct daxkv_txn *txn = begin(store);
		struct daxkv_counters before = counters(store), after;
		struct daxkv_db_stat stat;

		OK(load_n(txn, DAXKV_MAIN, fill[f], 0, 20000, 100, DAXKV_NOT_FOUND, NULL));
		OK(daxkv_db_stat(txn, DAXKV_MAIN, &stat));
		OK(daxkv_txn_commit(txn));
		after = counters(store);
		pages[f] = stat.leaf_pages;
		/* Every page is written once: what is flushed beside is the commit's. */
		assert_in_range(after.lines_streamed - before.lines_streamed, stat.leaf_pages * 6,
		                (stat.leaf_pages + stat.inner_pages + 40) * 64);
		assert_in_range(after.lines_flushed - before.lines_flushed, 1, 200);
		store_done(store);
	}
	/* An entry takes 16 + 100 + 8 bytes of the 3932: 31 of them fit. */
	assert_int_equal(pages[3], (20000 + 30) / 31);
	assert_int_equal(pages[2], (20000 + 27) / 28);
	assert_int_equal(pages[1], (20000 + 14) / 15);
	assert_int_equal(pages[0], (20000 + 2) / 3);
}

static void an_entry_that_does_not_ascend_ends_it(void **state)
{
	struct daxkv_store *store = store_new("l", 512);
	struct daxkv_txn *txn = begin(store);
	uint64_t loaded = 99;
	(void)state;

	OK(put_n(txn, DAXKV_MAIN, 50, 20, 7));
	assert_int_equal(load_n(txn, DAXKV_MAIN, 0, 50, 60, 20, DAXKV_NOT_FOUND, &loaded),
	                 DAXKV_EXIST);
	assert_int_equal(loaded, 0);
	assert_int_equal(load_n(txn, DAXKV_MAIN, 0, 49, 60, 20, DAXKV_NOT_FOUND, &loaded),
	                 DAXKV_EXIST);
	OK(load_n(txn, DAXKV_MAIN, 0, 51, 51, 20, DAXKV_NOT_FOUND, &loaded)); /* of nothing */
	assert_int_equal(loaded, 0);
	assert_int_equal(load_n(txn, DAXKV_MAIN, 0, 51, 99, 20, 4711, &loaded),
	                 4711); /* the source's own failure */
	assert_int_equal(loaded, 48);
	assert_int_equal(load_n(txn, DAXKV_MAIN, 0, 100, 110, 20, DAXKV_PANIC, &loaded),
	                 DAXKV_PANIC);
	assert_int_equal(loaded, 10);
	for (uint64_t n = 50; n < 110; n++)
		assert_true(n == 99 ? lacks_n(txn, DAXKV_MAIN, n)
		                    : has_n(txn, DAXKV_MAIN, n, 20, n == 50 ? 7 : 1));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void wrong_calls(void **state)
{
	struct daxkv_store *store = store_new("l", 512);
	struct daxkv_txn *txn = begin(store), *reading;
	(void)state;

	assert_int_equal(daxkv_bulk_load(txn, DAXKV_MAIN, 0, NULL, NULL, NULL), EINVAL);
	assert_int_equal(load_n(txn, DAXKV_MAIN, 9, 0, 1, 20, DAXKV_NOT_FOUND, NULL), EINVAL);
	assert_int_equal(load_n(txn, DAXKV_MAIN, 101, 0, 1, 20, DAXKV_NOT_FOUND, NULL), EINVAL);
	assert_int_equal(load_n(txn, 77, 0, 0, 1, 20, DAXKV_NOT_FOUND, NULL), DAXKV_BAD_DB);
	OK(daxkv_txn_commit(txn));
	reading = begin_reading(store);
	assert_int_equal(load_n(reading, DAXKV_MAIN, 0, 0, 1, 20, DAXKV_NOT_FOUND, NULL), EACCES);
	daxkv_txn_abort(reading);
	store_done(store);
}

static void large_values_nesting_and_abort(void **state)
{
	struct daxkv_store *store = store_new("l", 512);
	struct daxkv_txn *txn = begin(store), *child;
	struct daxkv_db_stat stat;
	uint64_t used;
	(void)state;

	OK(load_n(txn, DAXKV_MAIN, 0, 0, 40, 5000, DAXKV_NOT_FOUND, NULL));
	OK(daxkv_db_stat(txn, DAXKV_MAIN, &stat));
	assert_int_equal(stat.blob_pages, 40 * 10);
	OK(daxkv_txn_commit(txn));
	used = info(store).used_bytes;
	txn = begin(store);
	OK(load_n(txn, DAXKV_MAIN, 0, 40, 400, 30, DAXKV_NOT_FOUND, NULL));
	child = begin_in(txn);
	OK(load_n(child, DAXKV_MAIN, 0, 400, 900, 30, DAXKV_NOT_FOUND, NULL));
	daxkv_txn_abort(child);
	assert_true(lacks_n(txn, DAXKV_MAIN, 400));
	child = begin_in(txn);
	OK(load_n(child, DAXKV_MAIN, 0, 400, 600, 30, DAXKV_NOT_FOUND, NULL));
	OK(daxkv_txn_commit(child));
	for (uint64_t n = 40; n < 600; n++)
		assert_true(has_n(txn, DAXKV_MAIN, n, 30, 1));
	daxkv_txn_abort(txn);
	assert_int_equal(info(store).used_bytes, used);
	store_done(store);
}

static int next_pair(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	static char k[17], v[17];
	uint64_t *n = arg;

	if (*n == 900)
		return DAXKV_NOT_FOUND;
	*key = key_n(k, *n / 300);
	*value = key_n(v, *n % 300);
	++*n;
	return 0;
}

static void pairs(void **state)
{
	struct daxkv_store *store = store_new("l", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "d", DAXKV_DUP_SORT | DAXKV_DUP_FIXED);
	struct daxkv_cursor *c;
	char k1[17], v1[17];
	struct daxkv_val key, value;
	uint64_t n = 0, loaded;
	(void)state;

	OK(daxkv_bulk_load(txn, db, 0, next_pair, &n, &loaded));
	assert_int_equal(loaded, 900);
	n = 899;
	assert_int_equal(daxkv_bulk_load(txn, db, 0, next_pair, &n, &loaded), DAXKV_EXIST);
	assert_int_equal(load_n(txn, db, 0, 7, 8, 20, DAXKV_NOT_FOUND, &loaded),
	                 DAXKV_VALUE_SIZE); /* DUP_FIXED */
	OK(daxkv_cursor_open(txn, db, &c));
	for (n = 0; n < 900; n++) {
		OK(daxkv_cursor_get(c, &key, &value, DAXKV_NEXT));
		assert_memory_equal(key.data, key_n(k1, n / 300).data, 16);
		assert_memory_equal(value.data, key_n(v1, n % 300).data, 16);
	}
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void a_full_store_breaks_the_transaction(void **state)
{
	struct daxkv_store *store =
	    store_open("full", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                              .page_size = 512,
	                                              .pmem = DAXKV_PMEM_FORCE,
	                                              .initial_size = 64 << 10,
	                                              .max_size = 96 << 10});
	struct daxkv_txn *txn;
	uint64_t loaded = 0;
	(void)state;

	load_some(store, 0, 10, 20);
	txn = begin(store);
	assert_int_equal(load_n(txn, DAXKV_MAIN, 0, 10, 100000, 100, DAXKV_NOT_FOUND, &loaded),
	                 DAXKV_FULL);
	assert_in_range(loaded, 100, 1000);
	assert_int_equal(put_n(txn, DAXKV_MAIN, 5, 20, 2), DAXKV_BAD_TXN);
	daxkv_txn_abort(txn);
	load_some(store, 10, 100, 20);
	store_done(store);
}

/* Each separator of a damaged page lies in it, but together they are longer: the load copies
 * them. */
static void separators_that_overlap(void **state)
{
	struct daxkv_store *store = store_new("l", 512);
	const struct fmt_page *page;
	struct dbstate *s;
	uint8_t was[512];
	uint64_t at, n = 0;
	struct daxkv_txn *txn;
	(void)state;

	do { /* a root with many kids, just above the leaves */
		load_some(store, n, n + 5, 30);
		n += 5;
		txn = begin_reading(store);
		OK(dbi_state(txn, DAXKV_MAIN, &s));
		OK(tree_root(&s->tree, &page, &at));
		daxkv_txn_abort(txn);
	} while (page->level == 0 || page->n < 8);
	assert_int_equal(page->level, 1);
	memcpy(was, page, sizeof was);
	for (uint32_t i = 0; i < page->n; i++) {
		uint32_t sep = get16(was + page->offs + 2 * i);
		uint8_t klen[2];

		put16(klen, 512 - sep - FMT_SEP_SIZE);
		pm_write(&store->map.pm, store->map.base + at + sep, klen, sizeof klen);
	}
	txn = begin(store);
	assert_int_equal(load_n(txn, DAXKV_MAIN, 0, n, n + 100, 30, DAXKV_NOT_FOUND, NULL),
	                 DAXKV_CORRUPT);
	assert_int_equal(daxkv_txn_commit(txn), DAXKV_BAD_TXN);
	pm_write(&store->map.pm, store->map.base + at, was, sizeof was);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(loads_of_every_size),
	    TEST(pages_are_as_full_as_asked),
	    TEST(an_entry_that_does_not_ascend_ends_it),
	    TEST(wrong_calls),
	    TEST(large_values_nesting_and_abort),
	    TEST(pairs),
	    TEST(a_full_store_breaks_the_transaction),
	    TEST(separators_that_overlap),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
