/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside an inner page: which kid holds a key, separators with and without duplicates, kids changed
 * in place and pending, damage. */
#include "small_store.h"

#define PSIZE 4096u

static _Alignas(64) uint8_t file[2 * PSIZE];
static uint8_t *const page = file + PSIZE;
static struct map map;
static struct view view;
static uint64_t kids[INNER_MAX(PSIZE) + 1];

static struct sep sep_of(const char *key)
{
	return (struct sep){
	    .key = (const uint8_t *)key, .klen = (uint32_t)strlen(key), .dlen = FMT_SEP_NODUP};
}

static const struct fmt_page *build(const struct order *o, const struct sep *seps, uint32_t n)
{
	for (uint32_t i = 0; i <= n; i++)
		kids[i] = (i + 10) * (uint64_t)PSIZE;
	uint32_t used = inner_build(page, PSIZE, o, seps, kids, n, 1, 5, 0);
	map = (struct map){.base = file, .size = 2 * PSIZE};
	view = (struct view){
	    .map = &map, .base = map.base, .size = &map.size, .psize = PSIZE, .snapshot = 9};
	assert_true(used <= PSIZE && page_sound((const void *)page, 1, PSIZE));
	for (uint32_t i = 0; i <= n; i++)
		assert_int_equal(inner_kid(&view, (const void *)page, PSIZE, i), kids[i]);
	return (const void *)page;
}

static uint32_t find(const struct order *o, const char *key)
{
	struct probe p = {.key = (const uint8_t *)key, .klen = (uint32_t)strlen(key)};
	uint32_t index = 9999;
	OK(inner_find(&view, (const void *)page, PSIZE, o, &p, &index));
	return index;
}

static void find_in_a_page_of_one_kid(void **state)
{
	struct order o;
	(void)state;
	order_init(&o, 0);
	build(&o, NULL, 0);
	assert_int_equal(find(&o, "a"), 0);
	assert_int_equal(find(&o, "\xff"), 0);
}

static void find_with_common_prefixes(void **state)
{
	static const char full[] = "prefixprefixprefix";
	struct order o;
	(void)state;
	order_init(&o, 0);
	for (uint32_t plen = 0; plen < 18; plen++) {
		char keys[9][32], probe[32];
		struct sep seps[9];
		for (int i = 0; i < 9; i++) {
			snprintf(keys[i], 32, "%.*s%c", (int)plen, full, 'b' + 2 * i);
			seps[i] = sep_of(keys[i]);
		}
		assert_int_equal(build(&o, seps, 9)->plen, plen < 8 ? 0 : plen);
		for (uint32_t i = 0; i < 9; i++) {
			assert_int_equal(find(&o, keys[i]),
			                 i + 1); /* the separator itself belongs to its right */
			snprintf(probe, 32, "%.*s%c~~~", (int)plen, full, (char)('a' + 2 * i));
			assert_int_equal(find(&o, probe), i);
		}
		if (plen) {
			snprintf(probe, 32, "%.*s", (int)plen, full);
			assert_int_equal(find(&o, probe), 0);
			snprintf(probe, 32, "%.*s", (int)plen - 1, full);
			if (plen > 1)
				assert_int_equal(find(&o, probe), 0);
			snprintf(probe, 32, "%.*s~", (int)plen - 1, full);
			assert_int_equal(find(&o, probe), 9);
		}
		assert_int_equal(find(&o, "A"), 0);
		assert_int_equal(find(&o, "~"), 9);
	}
}

static void find_among_equal_heads(void **state)
{
	struct order o;
	char keys[60][20], probe[24];
	struct sep seps[60];
	(void)state;
	order_init(&o, 0);
	seps[0] = sep_of("b"); /* rules a prefix out */
	for (int i = 1; i < 60; i++) {
		snprintf(keys[i], 20, "samehead%03d", 2 * i);
		seps[i] = sep_of(keys[i]);
	}
	build(&o, seps, 60);
	for (uint32_t i = 1; i < 60; i++) {
		assert_int_equal(find(&o, keys[i]), i + 1);
		snprintf(probe, sizeof probe, "samehead%03u", 2 * i + 1);
		assert_int_equal(find(&o, probe), i + 1);
	}
	assert_int_equal(find(&o, "samehead"), 1);
	assert_int_equal(find(&o, "a"), 0);
}

/* A separator with a duplicate divides one key's values; one without lies before all of them. */
static void find_with_duplicates(void **state)
{
	struct order o;
	struct sep seps[3] = {sep_of("k"), sep_of("k"), sep_of("m")};
	static const struct {
		const char *key, *dup;
		enum probe_edge edge;
		uint32_t index;
	} cases[] = {
	    {"j", "z", PROBE_AT, 0},    {"k", "", PROBE_BEFORE, 1}, {"k", "a", PROBE_AT, 1},
	    {"k", "dup", PROBE_AT, 2},  {"k", "dut", PROBE_AT, 2},  {"k", "", PROBE_AFTER, 2},
	    {"l", "", PROBE_BEFORE, 2}, {"m", "", PROBE_BEFORE, 3}, {"m", "a", PROBE_AT, 3},
	    {"m", "", PROBE_AFTER, 3},  {"j", "", PROBE_AFTER, 0},  {"z", "a", PROBE_AT, 3}};
	(void)state;
	order_init(&o, DAXKV_DUP_SORT);
	seps[1].dup = (const uint8_t *)"dup";
	seps[1].dlen = 3;
	build(&o, seps, 3);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct probe p = {.key = (const uint8_t *)cases[i].key,
		                  .klen = 1,
		                  .dup = (const uint8_t *)cases[i].dup,
		                  .dlen = (uint32_t)strlen(cases[i].dup),
		                  .edge = cases[i].edge};
		uint32_t index = 99;
		OK(inner_find(&view, (const void *)page, PSIZE, &o, &p, &index));
		assert_int_equal(index, cases[i].index);
	}
	struct sep s;
	OK(inner_sep(&view, (const void *)page, PSIZE, 1, &s));
	assert_true(s.klen == 1 && s.dlen == 3 && memcmp(s.dup, "dup", 3) == 0);
	OK(inner_sep(&view, (const void *)page, PSIZE, 2, &s));
	assert_true(s.dlen == FMT_SEP_NODUP);
}

/* As many separators as inner_cost allows do fit. */
static void full_page_by_cost(void **state)
{
	uint64_t x = 7;
	(void)state;
	for (int round = 0; round < 100; round++) {
		static uint8_t bytes_of_keys[1100];
		struct order o;
		struct sep seps[INNER_MAX(PSIZE)];
		uint32_t cost = 0, n = 0;
		order_init(&o, 0);
		for (;; n++) {
			seps[n] = (struct sep){
			    .key = bytes_of_keys,
			    .klen = 1 + (uint32_t)(random_next(&x) % (round < 50 ? 4 : 1000)),
			    .dlen = FMT_SEP_NODUP};
			if (cost + inner_cost(&seps[n]) > inner_usable(PSIZE))
				break;
			cost += inner_cost(&seps[n]);
		}
		assert_true(n < INNER_MAX(PSIZE) && n >= 3);
		build(&o, seps, n);
	}
}

static void separator_outside_the_page(void **state)
{
	struct order o;
	struct sep seps[2] = {sep_of("12345678aa"), sep_of("12345678bb")}, s;
	const uint16_t behind = PSIZE - 2, long_key = 5000;
	(void)state;
	order_init(&o, 0);
	const struct fmt_page *p = build(&o, seps, 2);
	struct probe probe = {.key = (const uint8_t *)"12345678b", .klen = 9};
	uint32_t index;
	memcpy(page + p->offs + 2, &behind, 2);
	assert_int_equal(inner_sep(&view, p, PSIZE, 1, &s), DAXKV_CORRUPT);
	p = build(&o, seps, 2);
	memcpy(page + get16(page + p->offs), &long_key, 2);
	assert_int_equal(inner_sep(&view, p, PSIZE, 0, &s), DAXKV_CORRUPT);
	assert_int_equal(inner_find(&view, p, PSIZE, &o, &probe, &index),
	                 DAXKV_CORRUPT); /* the prefix is that one's */
	p = build(&o, seps, 2);
	memcpy(page + get16(page + p->offs), &(uint16_t){3}, 2);
	assert_int_equal(inner_find(&view, p, PSIZE, &o, &probe, &index),
	                 DAXKV_CORRUPT); /* a prefix longer than the key it is taken from */
}

/* ---- kids that change ------------------------------------------------------------------------ */

static void swap_in_a_private_page(void **state)
{
	struct daxkv_store *store = store_new("i", 512);
	struct daxkv_txn *txn = begin(store);
	struct wset *w = &store->wset;
	struct wpage *wp;
	struct order o;
	struct sep seps[2] = {sep_of("f"), sep_of("p")};
	const uint64_t at[3] = {512, 1024, 1536};
	bool done = false;
	(void)state;
	order_init(&o, 0);
	OK(wset_new_page(w, &wp));
	wset_install(w, wp, w->image, inner_build(w->image, 512, &o, seps, at, 2, 1, w->txn, 0));
	const struct fmt_page *p = view_raw(&store->writer_view, wp->off);
	OK(inner_swap(w, p, wp->off, 1, 4096, &done));
	assert_true(done && !wp->streamed && wp->npending == 0);
	assert_int_equal(inner_kid(&store->writer_view, p, wp->off, 0), 512);
	assert_int_equal(inner_kid(&store->writer_view, p, wp->off, 1), 4096);
	assert_int_equal(inner_kid(&store->writer_view, p, wp->off, 2), 1536);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* In a page that others may see the new kids are pending: 16 of them, a kid changed twice counted
 * once, and not one more. */
static void swap_in_a_committed_page(void **state)
{
	struct daxkv_store *store = store_new("i", 4096);
	struct daxkv_txn *txn = begin(store);
	struct wset *w = &store->wset;
	struct wset_mark mark;
	struct wpage *wp;
	struct order o;
	struct sep seps[20];
	uint64_t at[21];
	char keys[20][4];
	bool done = false;
	(void)state;
	order_init(&o, 0);
	for (int i = 0; i < 20; i++) {
		snprintf(keys[i], 4, "k%02d", i);
		seps[i] = sep_of(keys[i]);
		at[i] = 4096;
	}
	at[20] = 4096;
	OK(wset_new_page(w, &wp));
	wset_install(w, wp, w->image, inner_build(w->image, 4096, &o, seps, at, 20, 1, w->txn, 0));
	const struct fmt_page *p = view_raw(&store->writer_view, wp->off);
	wset_enter(w, &mark); /* from here on it is somebody else's page */
	for (uint32_t i = 0; i < WSET_PENDING; i++) {
		OK(inner_swap(w, p, wp->off, i, 8192, &done));
		assert_true(done);
		OK(inner_swap(w, p, wp->off, i, 8192 + i * 4096, &done));
		assert_true(done);
		assert_int_equal(wp->npending, i + 1);
	}
	OK(inner_swap(w, p, wp->off, 16, 8192, &done));
	assert_false(done);
	struct view reader = store->writer_view;
	reader.w = NULL;
	for (uint32_t i = 0; i < 21; i++) {
		assert_int_equal(inner_kid(&store->writer_view, p, wp->off, i),
		                 i < 16 ? 8192 + i * 4096 : 4096);
		assert_int_equal(inner_kid(&reader, p, wp->off, i), 4096);
	}
	wset_undo(w, &mark);
	assert_int_equal(inner_kid(&store->writer_view, p, wp->off, 0), 4096);
	daxkv_txn_abort(txn);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(find_in_a_page_of_one_kid), TEST(find_with_common_prefixes),
	    TEST(find_among_equal_heads),    TEST(find_with_duplicates),
	    TEST(full_page_by_cost),         TEST(separator_outside_the_page),
	    TEST(swap_in_a_private_page),    TEST(swap_in_a_committed_page),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
