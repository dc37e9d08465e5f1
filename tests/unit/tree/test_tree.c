/* SPDX-License-Identifier: BSD-3-Clause */
/* The B+tree: growth and collapse of the root, splits, merges, every snapshot kept whole, walks in
 * both directions, and damage. Pages of 512 bytes make small trees deep. */
#include "base/crc.h"
#include "small_store.h"
#include "txn/dbi.h"

#define MAIN DAXKV_MAIN

static struct tree *tree_of(struct daxkv_txn *txn)
{
	struct dbstate *s = NULL;
	OK(dbi_state(txn, MAIN, &s));
	return &s->tree;
}

static struct daxkv_db_stat stat_of(struct daxkv_txn *txn)
{
	struct daxkv_db_stat s;
	OK(daxkv_db_stat(txn, MAIN, &s));
	return s;
}

/* walk - the entries by tree_step, forwards or backwards: they are the numbers in order, each there
 * or not as has says. */
static uint64_t walk(struct daxkv_txn *txn, bool forward)
{
	struct tree *t = tree_of(txn);
	struct path path;
	uint64_t n = 0, last = forward ? 0 : UINT64_MAX;
	bool moved = true;
	OK(tree_edge(t, !forward, &path));
	while (path.height && moved) {
		uint32_t count = leaf_count(&path.leaf);
		for (uint32_t i = 0; i < count; i++, n++) {
			uint32_t eoff;
			struct item it;
			char digits[9] = {0};
			OK(leaf_at(&path.leaf, forward ? i : count - 1 - i, &eoff));
			OK(leaf_item(&path.leaf, eoff, &it));
			assert_int_equal(it.klen, 16);
			memcpy(digits, it.key + 8, 8);
			uint64_t number = strtoul(digits, NULL, 10);
			assert_true(n == 0 || (forward ? number > last : number < last));
			last = number;
		}
		OK(tree_step(t, &path, forward, &moved));
	}
	return n;
}

static void whole(struct daxkv_txn *txn, uint64_t n)
{
	assert_int_equal(walk(txn, true), n);
	assert_int_equal(walk(txn, false), n);
	assert_int_equal(stat_of(txn).entries, n);
}

static void empty_tree(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	struct daxkv_txn *txn = begin(store);
	struct tree *t = tree_of(txn);
	struct probe p = {.key = (const uint8_t *)"a", .klen = 1};
	struct path path;
	struct item it;
	bool found = true;
	(void)state;
	OK(tree_get(t, p.key, 1, &it, &found));
	assert_false(found);
	OK(tree_seek(t, &p, &path));
	assert_int_equal(path.height, 0);
	OK(tree_first(t, &p, &path, &it, &found));
	assert_false(found);
	whole(txn, 0);
	OK(tree_clear(t, false)); /* nothing to clear */
	assert_true(stat_of(txn).depth == 0 && t->root == 0);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* One commit for each record up and down again: at each depth the count is right, and the root
 * comes down to one empty leaf. */
static void root_grows_and_collapses(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	struct daxkv_txn *txn;
	uint32_t depth = 0;
	(void)state;
	for (uint64_t i = 0; i < 700; i++) {
		put_some(store, i, i + 1, 30 + i % 8, 0);
		if (i % 20)
			continue;
		txn = begin_reading(store);
		assert_true(stat_of(txn).depth >= depth);
		depth = stat_of(txn).depth;
		whole(txn, i + 1);
		daxkv_txn_abort(txn);
	}
	assert_true(depth >= 3);
	store_check(store);
	for (uint64_t i = 0; i < 700; i++) {
		uint64_t n = i * 389 % 700;
		del_some(store, n, n + 1);
		txn = begin_reading(store);
		if (i % 20 == 0)
			whole(txn, 699 - i);
		assert_true(stat_of(txn).depth <= depth);
		depth = stat_of(txn).depth;
		daxkv_txn_abort(txn);
	}
	txn = begin_reading(store);
	struct daxkv_db_stat s = stat_of(txn);
	assert_true(s.depth == 1 && s.leaf_pages == 1 && s.inner_pages == 0 && s.entries == 0);
	daxkv_txn_abort(txn);
	assert_true(counters(store).merges > 10);
	store_check(store);
	put_some(store, 0, 700, 40, 1);
	store_done(store);
}

static int next_short(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	static uint8_t bytes_of_key[2];
	uint32_t *n = arg;
	if (*n == 29)
		return DAXKV_NOT_FOUND;
	bytes_of_key[0] = 'k';
	bytes_of_key[1] = (uint8_t)(2 * (*n)++);
	*key = bytes(bytes_of_key, 2);
	*value = bytes("", 0);
	return 0;
}

/* A full leaf of the smallest entries, all of one size, and one of another: each then takes half as
 * much again, and one leaf becomes up to three. */
static void one_of_another_size(void **state)
{
	uint64_t most = 0;
	(void)state;
	for (uint32_t at = 0; at < 30; at++)
		for (uint32_t len = 1; len < 160; len += 3) {
			struct daxkv_store *store = store_new("t", 512);
			struct daxkv_txn *txn = begin(store);
			struct daxkv_val key = bytes((uint8_t[]){'k', (uint8_t)(2 * at - 1)},
			                             at ? 2 : 1),
			                 value, got;
			static const uint8_t big[160] = {1, 2, 3};
			uint32_t n = 0;
			uint64_t loaded;
			OK(daxkv_bulk_load(txn, DAXKV_MAIN, 100, next_short, &n, &loaded));
			OK(daxkv_txn_commit(txn));
			txn = begin(store);
			assert_int_equal(stat_of(txn).leaf_pages, 1);
			value = bytes(big, len);
			OK(daxkv_put(txn, DAXKV_MAIN, &key, &value, 0));
			OK(daxkv_txn_commit(txn));
			store_check(store);
			txn = begin(store);
			most = stat_of(txn).leaf_pages > most ? stat_of(txn).leaf_pages : most;
			assert_int_equal(stat_of(txn).entries, 30);
			OK(daxkv_get(txn, DAXKV_MAIN, &key, &got));
			assert_true(got.size == len && memcmp(got.data, big, len) == 0);
			OK(daxkv_del(txn, DAXKV_MAIN, &key, NULL));
			for (uint32_t i = 0; i < 29; i++) {
				struct daxkv_val other =
				    bytes((uint8_t[]){'k', (uint8_t)(2 * i)}, 2);
				OK(daxkv_get(txn, DAXKV_MAIN, &other, &got));
			}
			OK(daxkv_txn_commit(txn));
			store_done(store);
		}
	assert_int_equal(most, 3);
}

static int next_of_two_sizes(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	static uint8_t two[2] = {'k'};
	uint32_t *n = arg;
	if (*n == 24)
		return DAXKV_NOT_FOUND;
	two[1] = (uint8_t)*n;
	*key = bytes(two, 2);
	*value = bytes("val", *n < 14 ? 0 : 3);
	(*n)++;
	return 0;
}

/* Two leaves, each of entries of one size, but not of the same: together they take more than both
 * did, and do not join by what each took. */
static void neighbours_of_two_sizes(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val from = bytes((uint8_t[]){'k', 19}, 2);
	uint64_t loaded, removed;
	uint32_t n = 0;
	(void)state;
	OK(daxkv_bulk_load(txn, DAXKV_MAIN, 50, next_of_two_sizes, &n, &loaded));
	assert_int_equal(stat_of(txn).leaf_pages, 2);
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(daxkv_del_range(txn, DAXKV_MAIN, &from, NULL, &removed));
	assert_int_equal(removed, 5);
	assert_int_equal(stat_of(txn).leaf_pages, 2);
	OK(daxkv_txn_commit(txn));
	store_check(store);
	store_done(store);
}

/* An empty root, and a tree that grew again above it, with snapshots of each state: all see
 * theirs. */
static void empty_root_with_old_snapshots(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	struct daxkv_txn *r[8];
	const uint64_t n[8] = {0, 1, 200, 0, 1, 300, 0, 50};
	(void)state;
	for (int i = 0; i < 8; i++) {
		if (i && n[i] < n[i - 1])
			del_some(store, 0, n[i - 1]);
		if (n[i])
			put_some(store, 0, n[i], 20, (uint64_t)i);
		r[i] = begin_reading(store);
	}
	for (int i = 0; i < 8; i++) {
		whole(r[i], n[i]);
		for (uint64_t k = 0; k < 300; k++)
			assert_true(k < n[i] ? has_n(r[i], MAIN, k, 20, (uint64_t)i)
			                     : lacks_n(r[i], MAIN, k));
	}
	for (int i = 0; i < 8; i++)
		daxkv_txn_abort(r[i]);
	store_done(store);
}

/* Keys that rise leave full leaves behind; falling and random ones half of that at least. */
static void leaves_are_filled(void **state)
{
	static const double least[] = {0.75, 0.35, 0.45};
	(void)state;
	for (int order = 0; order < 3; order++) {
		struct daxkv_store *store = store_new("t", 4096);
		struct daxkv_txn *txn = begin(store);
		for (uint64_t i = 0; i < 5000; i++)
			OK(put_n(txn, MAIN,
			         order == 0   ? i
			         : order == 1 ? 4999 - i
			                      : i * 3571 % 5000,
			         64, 0));
		OK(daxkv_txn_commit(txn));
		txn = begin_reading(store);
		double full =
		    5000.0 * (16 + 64 + 4 + 10) / (double)(stat_of(txn).leaf_pages * (4096 - 160));
		if (full < least[order])
			fail_msg("order %d: leaves are full by %.2f", order, full);
		whole(txn, 5000);
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

/* Random changes in many transactions, with a reader of every tenth state: a state is what it was
 * until its reader ends. */
#define KEYS 500u
#define KEPT 12

static void random_changes_under_snapshots(void **state)
{
	static uint8_t now[KEYS], then[KEPT][KEYS];
	struct daxkv_txn *reader[KEPT] = {NULL};
	struct daxkv_store *store = store_new("t", 512);
	uint64_t x = 4711;
	(void)state;
	memset(now, 0, sizeof now);
	for (uint64_t t = 1; t <= 400; t++) {
		struct daxkv_txn *txn = begin(store);
		uint64_t bias = t / 50 % 2; /* the tree grows, then shrinks, and again */
		for (uint64_t i = random_next(&x) % 25; i; i--) {
			uint64_t k = random_next(&x) % KEYS;
			if (random_next(&x) % 4 < (bias ? 3 : 1)) {
				assert_int_equal(del_n(txn, MAIN, k), now[k] ? 0 : DAXKV_NOT_FOUND);
				now[k] = 0;
			} else {
				now[k] = (uint8_t)(t % 255 + 1);
				OK(put_n(txn, MAIN, k, now[k] % 60, now[k]));
			}
		}
		OK(daxkv_txn_commit(txn));
		if (t % 10)
			continue;
		size_t slot = random_next(&x) % KEPT;
		daxkv_txn_abort(reader[slot]);
		reader[slot] = begin_reading(store);
		memcpy(then[slot], now, sizeof now);
		for (size_t s = 0; s < KEPT; s++) {
			uint64_t n = 0;
			if (!reader[s])
				continue;
			for (uint64_t k = 0; k < KEYS; k++) {
				n += then[s][k] != 0;
				assert_true(then[s][k] ? has_n(reader[s], MAIN, k, then[s][k] % 60,
				                               then[s][k])
				                       : lacks_n(reader[s], MAIN, k));
			}
			whole(reader[s], n);
		}
		if (t % 50 == 0)
			store_check(store);
	}
	for (size_t s = 0; s < KEPT; s++)
		daxkv_txn_abort(reader[s]);
	assert_true(counters(store).merges > 0 && counters(store).splits > 0);
	store_done(store);
}

/* Values of very different sizes next to each other: a leaf that splits has to find a cut at which
 * both halves fit. */
static void entries_of_very_different_sizes(void **state)
{
	static const unsigned int sizes[] = {512, 4096};
	(void)state;
	for (size_t s = 0; s < 2; s++) {
		struct daxkv_store *store = store_new("t", sizes[s]);
		uint64_t x = 1, n = 0;
		for (int t = 0; t < 60; t++) {
			struct daxkv_txn *txn = begin(store);
			for (int i = 0; i < 15; i++) {
				size_t len = random_next(&x) % 3
				                 ? random_next(&x) % 10
				                 : random_next(&x) % (sizes[s] / 2 - 60);
				OK(put_n(txn, MAIN, t % 3 ? random_next(&x) % 300 : 300 + n++, len,
				         0));
			}
			OK(daxkv_txn_commit(txn));
			store_check(store);
		}
		store_done(store);
	}
}

/* The longest keys: an inner page holds a few of them only. */
static void longest_keys(void **state)
{
	static const unsigned int sizes[] = {512, 4096};
	(void)state;
	for (size_t s = 0; s < 2; s++) {
		struct daxkv_store *store = store_new("t", sizes[s]);
		size_t max = daxkv_max_key_size(store);
		uint8_t *key = calloc(1, max);
		uint64_t count = 0, x = 12;
		assert_non_null(key);
		for (int t = 0; t < 20; t++) {
			struct daxkv_txn *txn = begin(store);
			for (int i = 0; i < 20; i++) {
				struct daxkv_val k = {max, key}, v = {3, key}, got;
				uint64_t number = random_next(&x);
				memset(key, 'k', max);
				memcpy(key + max - 8, &number,
				       8); /* they differ at their end: separators are as long */
				if (daxkv_get(txn, MAIN, &k, &got) == DAXKV_NOT_FOUND)
					count++;
				OK(daxkv_put(txn, MAIN, &k, &v, 0));
			}
			OK(daxkv_txn_commit(txn));
			store_check(store);
		}
		struct daxkv_txn *txn = begin(store);
		assert_int_equal(stat_of(txn).entries, count);
		assert_true(stat_of(txn).depth >= 4);
		struct daxkv_cursor *c;
		struct daxkv_val k;
		OK(daxkv_cursor_open(txn, MAIN, &c));
		for (; daxkv_cursor_get(c, &k, NULL, DAXKV_FIRST) == 0; count--)
			OK(daxkv_cursor_del(c, 0));
		assert_int_equal(count, 0);
		OK(daxkv_txn_commit(txn));
		free(key);
		store_done(store);
	}
}

static void clear_frees_all_pages(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	struct daxkv_txn *txn;
	(void)state;
	put_one(store, "a", "1");
	uint64_t used = info(store).used_bytes;
	txn = begin(store);
	for (uint64_t i = 0; i < 500; i++)
		OK(put_n(txn, MAIN, i, i % 30 ? 20 : 2000, 0));
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(tree_clear(tree_of(txn), false));
	txn->db[MAIN]->changed = true;
	whole(txn, 0);
	OK(daxkv_txn_commit(txn));
	assert_int_equal(info(store).used_bytes, used);
	store_done(store);
}

/* Each reference and header on the way down, damaged: CORRUPT from a search, a walk and a change,
 * and never a crash. */
/* put_number - a transaction of one put; an 8-byte integer key, len bytes of value. */
static void put_number(struct daxkv_store *store, uint64_t n, size_t len)
{
	uint8_t value[256] = {(uint8_t)n};
	struct daxkv_val k = {sizeof n, &n}, v = {len, value};
	struct daxkv_txn *txn = begin(store);
	OK(daxkv_put(txn, MAIN, &k, &v, 0));
	OK(daxkv_txn_commit(txn));
}

static void del_number(struct daxkv_store *store, uint64_t n)
{
	struct daxkv_val k = {sizeof n, &n};
	struct daxkv_txn *txn = begin(store);
	OK(daxkv_del(txn, MAIN, &k, NULL));
	OK(daxkv_txn_commit(txn));
}

static uint32_t depth_now(struct daxkv_store *store)
{
	struct daxkv_txn *txn = begin_reading(store);
	uint32_t depth = stat_of(txn).depth;
	daxkv_txn_abort(txn);
	return depth;
}

/* A leaf of one base entry and ten in its tail, which lie closer there than a base would have them:
 * as the last kid it cannot be copied to be the root. Caught: tree_replace.c, collapse_fits: the
 * comparison with leaf_usable made "true". */
static void last_kid_that_does_not_fit_stays_below_the_root(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db;
	(void)state;
	OK(daxkv_db_open(txn, NULL, DAXKV_INTEGER_KEY | DAXKV_CREATE, &db));
	OK(daxkv_txn_commit(txn));
	put_number(store, 1, 0);
	put_number(store, 2, 100);
	put_number(store, 3, 90);
	for (int i = 0; i < 3; i++) /* until there is no room for one more */
		put_number(store, 1, 0);
	put_number(store, 4, 1); /* keys ascend: all others stay where they are */
	for (uint64_t n = 5; n < 15; n++)
		put_number(store, n, 5);
	txn = begin_reading(store);
	struct path path;
	OK(tree_edge(tree_of(txn), true, &path));
	assert_int_equal(path.height, 2);
	assert_int_equal(path.leaf.page->n, 1); /* as it was meant */
	assert_int_equal(path.leaf.nslots, 10);
	daxkv_txn_abort(txn);
	for (uint64_t n = 1; n < 4; n++)
		del_number(store, n); /* the other kid is empty, and goes */
	assert_int_equal(depth_now(store), 2);
	txn = begin_reading(store);
	assert_int_equal(stat_of(txn).leaf_pages, 1);
	assert_int_equal(stat_of(txn).inner_pages, 1);
	for (uint64_t n = 4; n < 15; n++) {
		struct daxkv_val k = {sizeof n, &n}, v;
		OK(daxkv_get(txn, MAIN, &k, &v));
		assert_true(v.size == (n == 4 ? 1u : 5u) && ((const uint8_t *)v.data)[0] == n);
	}
	daxkv_txn_abort(txn);
	store_check(store);
	for (uint64_t n = 5; n < 40; n++) /* and it goes on: more kids, fewer, none */
		put_number(store, n, 5);
	store_check(store);
	for (uint64_t n = 4; n < 40; n++)
		del_number(store, n);
	assert_int_equal(depth_now(store), 1);
	store_done(store);
}

static void damage_is_found_on_the_way(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	const struct fmt_super *super = (const void *)store->map.base;
	uint64_t root;
	(void)state;
	put_some(store, 0, 300, 20, 0);
	OK(daxkv_sync(store));
	root = load_word(&((const struct fmt_desc *)(const void *)(store->map.base +
	                                                           load_word(&super->main_desc)))
	                      ->root);
	const struct fmt_page *page = (const void *)(store->map.base + root);
	assert_true(page->level > 0);
	uint64_t kid = root + page->heads + page->n * (uint64_t)8;
	const struct {
		uint64_t off, value;
	} bad[] = {{kid, 0},
	           {kid, 12345},
	           {kid, (uint64_t)1 << 44},
	           {kid, root},
	           {kid, UINT64_MAX - 511},
	           {root + 16, 0},
	           {root + 24, 0xffffffffffffffff},
	           {root, UINT64_MAX}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char buf[17];
		struct daxkv_val k = key_n(buf, 0), v = {0, NULL};
		store_image(store, "damaged");
		int fd = open(scratch_path("damaged"), O_RDWR | O_CLOEXEC);
		assert_int_equal(pwrite(fd, &bad[i].value, 8, (off_t)bad[i].off), 8);
		close(fd);
		struct daxkv_store *after = store_again("damaged");
		struct daxkv_txn *txn = begin_reading(after);
		struct daxkv_cursor *c;
		int rc = daxkv_get(txn, MAIN, &k, &v);
		OK(daxkv_cursor_open(txn, MAIN, &c));
		assert_int_equal(rc, DAXKV_CORRUPT);
		assert_int_equal(daxkv_cursor_get(c, NULL, NULL, DAXKV_FIRST), DAXKV_CORRUPT);
		struct daxkv_txn *w = begin(after);
		assert_int_equal(del_n(w, MAIN, 0), DAXKV_CORRUPT);
		daxkv_txn_abort(w);
		daxkv_cursor_close(c);
		daxkv_txn_abort(txn);
		assert_int_equal(daxkv_check(after, NULL, NULL, NULL), DAXKV_CORRUPT);
		OK(daxkv_close(after));
	}
	store_done(store);
}

/* All entries of a leaf are one, the longest: more than any number of leaves that a put may make of
 * it. */
static void entries_that_overlap(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	const struct fmt_super *super = (const void *)store->map.base;
	struct daxkv_txn *txn = begin(store);
	(void)state;
	for (uint64_t i = 0; i < 6; i++)
		OK(put_n(txn, MAIN, i, 10, 0));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_sync(store));
	uint64_t root =
	    load_word(&((const struct fmt_desc *)(const void *)(store->map.base +
	                                                        load_word(&super->main_desc)))
	                   ->root);
	uint8_t page[512];
	memcpy(page, store->map.base + root, sizeof page);
	struct fmt_page *head = (void *)page;
	uint32_t offs = FMT_LEAF_BASE + 8 * 12, at = offs + 2 * 12;
	*head = (struct fmt_page){.birth = head->birth,
	                          .type = FMT_LEAF,
	                          .n = 12,
	                          .heads = FMT_LEAF_BASE,
	                          .offs = (uint16_t)offs,
	                          .end = 480};
	memset(page + FMT_LEAF_BASE, 0, 512 - FMT_LEAF_BASE);
	for (uint32_t i = 0; i < 12; i++)
		put16(page + offs + 2 * i, at);
	put16(page + at, 16);
	put16(page + at + 2, 140);
	store_image(store, "damaged");
	store_done(store);
	int fd = open(scratch_path("damaged"), O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, page, sizeof page, (off_t)root), sizeof page);
	close(fd);
	store = store_again("damaged");
	txn = begin(store);
	assert_int_equal(put_n(txn, MAIN, 100, 40, 0), DAXKV_CORRUPT);
	assert_non_null(strstr(daxkv_errmsg(), "together"));
	daxkv_txn_abort(txn);
	OK(daxkv_close(store));
}

/* The format lets an appended entry end without the padding that daxkv puts behind it: the next one
 * is appended all the same. */
static void appended_entry_without_padding(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	const struct fmt_super *super = (const void *)store->map.base;
	uint64_t root;
	(void)state;
	put_one(store, "a", "1");
	put_one(store, "b", "12345");
	OK(daxkv_sync(store));
	root = load_word(&((const struct fmt_desc *)(const void *)(store->map.base +
	                                                           load_word(&super->main_desc)))
	                      ->root);
	const uint8_t *leaf = store->map.base + root;
	uint64_t slot = get64(leaf + FMT_LEAF_SLOTS);
	uint32_t off = FMT_SLOT_OFF(slot), body = FMT_ENTRY_SIZE + 1 + 5,
	         end = off + body + FMT_TAIL_AFTER;
	assert_true(FMT_SLOT_END(slot) > end);
	slot = FMT_SLOT(off, end, FMT_SLOT_FP(slot), FMT_SLOT_RANK(slot), FMT_SLOT_KIND(slot));
	uint32_t crc = crc32c(crc32c(0, leaf + off - FMT_TAIL_BEFORE, FMT_TAIL_BEFORE + body),
	                      &slot, sizeof slot);
	OK(daxkv_close(store)); /* no record says what the slot is */
	int fd = open(scratch_path("t"), O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &slot, 8, (off_t)(root + FMT_LEAF_SLOTS)), 8);
	assert_int_equal(pwrite(fd, &crc, 4, (off_t)(root + off + body)), 4);
	close(fd);
	store = store_again("t");
	put_one(store, "c", "2");
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(empty_tree),
	    TEST(root_grows_and_collapses),
	    TEST(one_of_another_size),
	    TEST(neighbours_of_two_sizes),
	    TEST(empty_root_with_old_snapshots),
	    TEST(leaves_are_filled),
	    TEST(random_changes_under_snapshots),
	    TEST(entries_of_very_different_sizes),
	    TEST(longest_keys),
	    TEST(clear_frees_all_pages),
	    TEST(last_kid_that_does_not_fit_stays_below_the_root),
	    TEST(damage_is_found_on_the_way),
	    TEST(entries_that_overlap),
	    TEST(appended_entry_without_padding),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
