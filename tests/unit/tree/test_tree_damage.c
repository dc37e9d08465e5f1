/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of changes to a tree whose pages are damaged: CORRUPT, whatever the bytes say [I12]. */
#include "small_store.h"

#include "page/inner.h"
#include "page/leaf.h"

#define ENTRIES 3000u
#define LEN     30u

static struct daxkv_store *filled(void)
{
	struct daxkv_store *store = store_new("t", 512);

	put_some(store, 0, ENTRIES, LEN, 1);
	for (uint64_t n = 0; n < ENTRIES; n += 5) /* entries in the tails of their leaves */
		put_some(store, n, n + 1, LEN, 1);
	OK(daxkv_sync(store));
	return store;
}

static uint64_t root_of(const struct daxkv_store *store)
{
	const struct fmt_super *super = (const void *)store->map.base;
	const struct fmt_desc *desc =
	    (const void *)(store->map.base + load_word(&super->main_desc));

	return load_word(&desc->root);
}

static const struct fmt_page *page_at(const struct daxkv_store *store, uint64_t off)
{
	return (const void *)(store->map.base + off);
}

/* leftmost, rightmost - the page of that level at the tree's edge. */
static uint64_t edge_of(const struct daxkv_store *store, unsigned int level, bool right)
{
	uint64_t off = root_of(store);

	while (page_at(store, off)->level > level) {
		const struct fmt_page *page = page_at(store, off);

		off = load_word(inner_kids(page) + (right ? page->n : 0));
	}
	return off;
}

/* damaged - a store whose file is that of the one given, with n bytes at off replaced. */
static struct daxkv_store *damaged(struct daxkv_store *store, uint64_t off, const void *bytes_there,
                                   size_t n)
{
	store_image(store, "damaged");
	store_done(store);
	int fd = open(scratch_path("damaged"), O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, bytes_there, n, (off_t)off), (ssize_t)n);
	close(fd);
	return store_again("damaged");
}

static void damaged_done(struct daxkv_store *store, struct daxkv_txn *txn)
{
	assert_int_equal(daxkv_txn_commit(txn), DAXKV_BAD_TXN); /* nothing was kept */
	(void)daxkv_close(store);
}

/* overlapping - the page at off, all of whose separators are one: their bytes would have room in a
 * page, but not all that a page has of each. */
static void overlapping(const struct daxkv_store *store, uint64_t off, uint8_t page[512])
{
	struct fmt_page *head = (void *)page;
	uint32_t at;

	memcpy(page, page_at(store, off), 512);
	assert_true(head->level > 0 && head->n > 3);
	at = head->offs + 2u * head->n;
	for (uint32_t i = 0; i < head->n; i++)
		put16(page + head->offs + 2 * i, at);
	put16(page + at, 500u / head->n);
	put16(page + at + 2, FMT_SEP_NODUP);
	head->plen = 0;
}

static int load_next(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	static char buf[17];
	uint64_t *n = arg;

	*key = key_n(buf, (*n)++);
	*value = *key;
	return *n > ENTRIES + 200 ? DAXKV_NOT_FOUND : 0;
}

static void bulk_load_behind_separators_that_overlap(void **state)
{
	struct daxkv_store *store = filled();
	uint64_t off = edge_of(store, 1, true), n = ENTRIES + 1;
	uint8_t page[512];
	struct daxkv_txn *txn;
	(void)state;

	overlapping(store, off, page);
	store = damaged(store, off, page, sizeof page);
	txn = begin(store);
	assert_int_equal(daxkv_bulk_load(txn, DAXKV_MAIN, 0, load_next, &n, NULL), DAXKV_CORRUPT);
	assert_non_null(strstr(daxkv_errmsg(), "separators overlap"));
	damaged_done(store, txn);
}

static void a_root_of_separators_that_overlap(void **state)
{
	struct daxkv_store *store = filled();
	uint64_t root = root_of(store), first;
	const struct fmt_page *page = page_at(store, root);
	struct sep sep;
	struct daxkv_val from;
	uint8_t image[512];
	struct daxkv_txn *txn;
	(void)state;

	/* All but the root's first kid goes: that one becomes the root. */
	assert_true(page->level > 1);
	first = load_word(inner_kids(page));
	OK(inner_sep(&store->writer_view, page, root, 0, &sep));
	from = bytes(sep.key, sep.klen);
	overlapping(store, first, image);
	char copy[64];

	memcpy(copy, from.data, from.size);
	from.data = copy;
	store = damaged(store, first, image, sizeof image);
	txn = begin(store);
	assert_int_equal(daxkv_del_range(txn, DAXKV_MAIN, &from, NULL, NULL), DAXKV_CORRUPT);
	damaged_done(store, txn);
}

/* letters_next - aa, ab ... jj, with values of two sizes, so that each entry has a place of its
 * own. */
static int letters_next(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	static char text[12];
	unsigned int *i = arg;

	snprintf(text, sizeof text, "%c%c of many", 'a' + (int)*i / 10, 'a' + (int)*i % 10);
	*key = bytes(text, 2);
	*value = bytes(text, *i % 2 ? 5 : 7);
	return ++*i > 100 ? DAXKV_NOT_FOUND : 0;
}

static void an_entry_that_lies_nowhere(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val key = text("cc"), to = text("cd"), value;
	daxkv_db db = db_of(txn, "db", 0);
	unsigned int i = 0, at = 0;
	uint16_t nowhere = 0;
	(void)state;

	OK(daxkv_bulk_load(txn, db, 0, letters_next, &i, NULL));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_sync(store));
	txn = begin_reading(store);
	OK(daxkv_get(txn, db, &key, &value));
	uint64_t off = (uint64_t)((const uint8_t *)value.data - store->map.base),
	         leaf = off & ~511u;
	const struct fmt_page *page = page_at(store, leaf);

	daxkv_txn_abort(txn);
	assert_true(page->type == FMT_LEAF && !(page->heads & FMT_UNIFORM));
	while (leaf_entry(page, at) + FMT_ENTRY_SIZE + 2 != off - leaf)
		assert_true(++at < page->n);
	store = damaged(store, leaf + page->offs + 2u * at, &nowhere, sizeof nowhere);
	txn = begin(store);
	db = db_of(txn, "db", 0);
	assert_int_equal(daxkv_del_range(txn, db, &key, &to, NULL), DAXKV_CORRUPT);
	damaged_done(store, txn);
}

static void a_page_in_use_that_is_free(void **state)
{
	struct daxkv_store *store = filled();
	const struct fmt_super *super = (const void *)store->map.base;
	const uint64_t *dir = (const void *)(store->map.base + load_word(&super->dir[0]));
	uint64_t bitmap = load_word(&dir[0]), free_pages[64] = {0};
	struct daxkv_txn *txn;
	uint64_t n = ENTRIES;
	int rc = 0;
	(void)state;

	/* All leaves of the first zone. */
	for (uint64_t at = 0; at < store->map.size && at < sizeof free_pages * 8 * 512; at += 512)
		if (at < 100 * 512 || page_at(store, at)->type != FMT_LEAF)
			free_pages[at / 512 / 64] |= (uint64_t)1 << at / 512 % 64;
	store = damaged(store, bitmap, free_pages, sizeof free_pages);
	txn = begin(store);
	for (uint64_t i = ENTRIES / 2; !rc && i < ENTRIES; i += 20) /* leaves are touched */
		rc = put_n(txn, DAXKV_MAIN, i, LEN, 2);
	while (!rc && n < 3 * ENTRIES) /* and new ones are needed */
		rc = put_n(txn, DAXKV_MAIN, n++, LEN, 1);
	assert_int_equal(rc, DAXKV_CORRUPT);
	assert_non_null(strstr(daxkv_errmsg(), "free in its bitmap"));
	damaged_done(store, txn);
}

struct large_first { /* entries behind all others, of which the first is a large one */
	uint64_t n;
	bool more;
};

static int large_first_next(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	static uint8_t large[3000];
	static char buf[17];
	struct large_first *entries = arg;

	/* As a page it would have more kids than there is room for. */
	memset(large + offsetof(struct fmt_page, n), 0xff, sizeof(uint16_t));
	*key = key_n(buf, entries->n++);
	*value = entries->more ? *key : bytes(large, sizeof large);
	entries->more = true;
	return entries->n > ENTRIES + 200 ? DAXKV_NOT_FOUND : 0;
}

/* A large value is put over the inner page that leads to the last leaf. */
static void a_page_on_the_way_that_is_free(void **state)
{
	struct daxkv_store *store = filled();
	const struct fmt_super *super = (const void *)store->map.base;
	const uint64_t *dir = (const void *)(store->map.base + load_word(&super->dir[0]));
	uint64_t bitmap = load_word(&dir[0]);
	uint64_t first = edge_of(store, 1, true) / 512;
	struct large_first entries = {.n = ENTRIES + 1};
	uint8_t bits[512];
	struct daxkv_txn *txn;
	(void)state;

	memcpy(bits, store->map.base + bitmap, sizeof bits);
	for (uint64_t page = 0; page < first; page++)
		bits[page / 8] |= (uint8_t)(1u << page % 8);
	for (uint64_t page = first; page < first + 3000 / 512 + 1; page++)
		bits[page / 8] &= (uint8_t) ~(1u << page % 8);
	store = damaged(store, bitmap, bits, sizeof bits);
	txn = begin(store);
	assert_int_equal(daxkv_bulk_load(txn, DAXKV_MAIN, 0, large_first_next, &entries, NULL),
	                 DAXKV_CORRUPT);
	assert_non_null(strstr(daxkv_errmsg(), "where one of level 1 is expected"));
	damaged_done(store, txn);
}

/* dups_of_two_keys - 500 values of a, and 400 of k behind them. */
static struct daxkv_store *dups_of_two_keys(void)
{
	struct daxkv_store *store = store_new("t", 512);
	struct daxkv_txn *txn = begin(store);
	const struct daxkv_val a = text("a"), k = text("k");
	char buf[17];
	daxkv_db db;

	OK(daxkv_db_open(txn, NULL, DAXKV_DUP_SORT, &db));
	for (uint64_t n = 0; n < 900; n++) {
		struct daxkv_val value = key_n(buf, n);

		OK(daxkv_put(txn, db, n < 500 ? &a : &k, &value, 0));
	}
	OK(daxkv_txn_commit(txn));
	OK(daxkv_sync(store));
	return store;
}

/* The root's separators lead every search to the first kid, where none of the values is that a
 * cursor comes to leaf by leaf. Their number is kept elsewhere. */
static void values_that_no_search_finds(void **state)
{
	struct daxkv_store *store = dups_of_two_keys();
	uint64_t root = root_of(store), count;
	const struct fmt_page *page = page_at(store, root);
	struct daxkv_cursor *c;
	uint8_t image[512];
	(void)state;

	assert_true(page->level > 0 && page->n > 1);
	memcpy(image, page, sizeof image);
	((struct fmt_page *)(void *)image)->plen = 0;
	memset(image + FMT_INNER_HEADS, 0xff, 8 * (size_t)page->n);
	store = damaged(store, root, image, sizeof image);
	struct daxkv_txn *txn = begin(store);

	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	OK(daxkv_cursor_get(c, NULL, NULL, DAXKV_LAST));
	OK(daxkv_cursor_count(c, &count));
	assert_int_equal(count, 400);
	for (int n = 0; n < 3; n++) {
		OK(daxkv_cursor_del(c, 0));
		OK(daxkv_cursor_get(c, NULL, NULL, DAXKV_LAST));
	}
	daxkv_txn_abort(txn);
	(void)daxkv_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(bulk_load_behind_separators_that_overlap),
	    TEST(a_root_of_separators_that_overlap),
	    TEST(an_entry_that_lies_nowhere),
	    TEST(a_page_in_use_that_is_free),
	    TEST(a_page_on_the_way_that_is_free),
	    TEST(values_that_no_search_finds),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
