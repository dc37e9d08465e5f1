/* SPDX-License-Identifier: BSD-3-Clause */
/* test_places.c - a page copied over another one of its store, every checksum in it right: whatever
 * reads with verification gives all that was stored, or CORRUPT. And a word that names another
 * page. */
#include "small_store.h"

#include "base/crc.h"

#define PAGE    512u
#define LARGE   3000u
#define ENTRIES 450u
#define PAGES   4096u
#define STRIDE  37u /* of the pages that are copied over one */

static const struct {
	const char *name;
	unsigned int flags;
} kinds[] = {
    {"one", 0},         {"same keys", 0}, {"dups", DAXKV_DUP_SORT}, {"numbers", DAXKV_INTEGER_KEY},
    {"single leaf", 0}, {"empty", 0},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static uint8_t large[LARGE];

static daxkv_db kind_open(struct daxkv_txn *txn, size_t kind, unsigned int more)
{
	struct daxkv_val name = {strlen(kinds[kind].name), (void *)(uintptr_t)kinds[kind].name};
	daxkv_db db;

	OK(daxkv_db_open(txn, &name, kinds[kind].flags | more, &db));
	return db;
}

/* round_put - one transaction on all databases: every so many records, with values of this
 * round. */
static void round_put(struct daxkv_store *store, uint64_t first, uint64_t step, uint64_t round)
{
	struct daxkv_txn *txn = begin(store);

	for (size_t kind = 0; kind < KINDS - 1; kind++) {
		daxkv_db db = kind_open(txn, kind, DAXKV_CREATE);

		for (uint64_t i = first; i < (kind == KINDS - 2 ? 5 : ENTRIES); i += step) {
			uint64_t number = kinds[kind].flags & DAXKV_DUP_SORT ? i / 9 : i;
			uint64_t bytes[2] = {round, i + 1000 * kind};
			struct daxkv_val k = {8, &number}, v = {16, bytes};

			if (i % 100 == 1 && kind == 0)
				v = (struct daxkv_val){LARGE, large};
			OK(daxkv_put(txn, db, &k, &v, 0));
		}
	}
	kind_open(txn, KINDS - 1, DAXKV_CREATE);
	OK(daxkv_txn_commit(txn));
}

/* store_fill - with older versions of pages among the free ones, and leaves that are nearly
 * empty. */
static struct daxkv_store *store_fill(void)
{
	struct daxkv_store *store = store_new("places", PAGE);
	struct daxkv_txn *txn;

	memset(large, 'L', sizeof large);
	round_put(store, 0, 1, 0);
	for (uint64_t round = 1; round < 5; round++)
		round_put(store, round, 40, round);
	txn = begin(store);
	for (uint64_t i = 0; i < 60; i++) {
		struct daxkv_val k = {8, &i};

		OK(daxkv_del(txn, kind_open(txn, 1, 0), &k, NULL));
	}
	OK(daxkv_txn_commit(txn));
	store_check(store);
	return store;
}

static uint64_t mix(uint64_t hash, const struct daxkv_val *v)
{
	return hash * 31 + v->size + ((uint64_t)crc32c(0, v->data, v->size) << 20);
}

/* read_one - all of a database, forward or backward. */
static int read_one(struct daxkv_txn *txn, daxkv_db db, bool forward, uint64_t *hash)
{
	struct daxkv_cursor *c;
	struct daxkv_val k, v;
	int rc = daxkv_cursor_open(txn, db, &c);

	if (rc)
		return rc;
	while ((rc = daxkv_cursor_get(c, &k, &v, forward ? DAXKV_NEXT : DAXKV_PREV)) == 0)
		*hash = mix(mix(*hash, &k), &v);
	daxkv_cursor_close(c);
	return rc == DAXKV_NOT_FOUND ? 0 : rc;
}

/* read_all - of a snapshot that verifies; handles are looked up anew. 0: all could be read. */
static int read_all(struct daxkv_store *store, bool forward, uint64_t *hash)
{
	struct daxkv_txn *txn;
	int rc = 0;

	*hash = 1;
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY | DAXKV_TXN_VERIFY, &txn));
	for (size_t kind = 0; kind < KINDS && !rc; kind++) {
		struct daxkv_val name = {strlen(kinds[kind].name),
		                         (void *)(uintptr_t)kinds[kind].name};
		daxkv_db db;

		rc = daxkv_db_open(txn, &name, kinds[kind].flags, &db);
		if (!rc)
			rc = read_one(txn, db, forward, hash);
	}
	if (!rc)
		rc = read_one(txn, DAXKV_MAIN, forward, hash);
	daxkv_txn_abort(txn);
	return rc;
}

static int hash_bytes(const void *p, size_t n, void *arg)
{
	uint64_t *hash = arg;

	if (*hash) /* the superblock comes first: time and random bytes */
		*hash = mix(*hash, &(struct daxkv_val){n, (void *)(uintptr_t)p});
	*hash |= 1;
	return 0;
}

/* copy_all - a copy, its superblock left out. */
static int copy_all(struct daxkv_store *store, uint64_t *hash)
{
	struct daxkv_txn *txn = begin_reading(store);
	int rc;

	*hash = 0;
	rc = daxkv_copy(txn, hash_bytes, hash);
	daxkv_txn_abort(txn);
	return rc;
}

struct was {
	uint64_t forward, backward, copy;
};

static void was_read(struct daxkv_store *store, struct was *was)
{
	OK(read_all(store, true, &was->forward));
	OK(read_all(store, false, &was->backward));
	OK(copy_all(store, &was->copy));
}

/* try - with a page or a word as it is now: all or CORRUPT. Returns whether it was met. */
static bool try(struct daxkv_store *store, const struct was *was, uint64_t to, uint64_t from)
{
	uint64_t hash;
	bool met = false;

	for (unsigned int way = 0; way < 3; way++) {
		int rc = way < 2 ? read_all(store, way == 0, &hash) : copy_all(store, &hash);
		bool same = hash == (way == 0   ? was->forward
		                     : way == 1 ? was->backward
		                                : was->copy);

		if (rc == DAXKV_NOT_FOUND || rc == DAXKV_INCOMPATIBLE || rc == DAXKV_BAD_DB)
			fail_msg("%lx over %lx: way %u gives %d", (long)from, (long)to, way, rc);
		if (!rc && !same)
			fail_msg("%lx over %lx: way %u is silent", (long)from, (long)to, way);
		if (rc && strstr(daxkv_errmsg(), "0x") == NULL)
			fail_msg("%lx over %lx: %s", (long)from, (long)to, daxkv_errmsg());
		met |= rc != 0;
	}
	return met;
}

/* pages_of - those behind the ring that were ever written, free ones included. */
static unsigned int pages_of(const struct daxkv_store *store, uint64_t *pages)
{
	static const uint8_t none[PAGE];
	uint64_t off = store->ring.off + FMT_RING_RECORDS * FMT_RING_RECORD,
	         size = daxkv_size(store);
	unsigned int n = 0;

	for (; off < size && n < PAGES; off += PAGE)
		if (memcmp(store->map.base + off, none, PAGE) != 0)
			pages[n++] = off;
	return n;
}

static void page_write(struct daxkv_store *store, const uint8_t *page, uint64_t to)
{
	assert_int_equal(pwrite(store->map.fd, page, PAGE, (off_t)to), PAGE);
}

/* is_tried - those that are rare: the first page, whose first word is no number of a transaction,
 * over all, descriptors over each other, and so the leaves of names. Of the rest a share. */
static bool is_tried(const struct daxkv_store *store, const uint64_t *pages, unsigned int to,
                     unsigned int from)
{
	const char *name = kinds[KINDS - 2].name;
	const uint8_t *a = store->map.base + pages[to], *b = store->map.base + pages[from];

	return from == 0 || from % STRIDE == to % STRIDE ||
	       (a[20] == FMT_DESC && b[20] == FMT_DESC) ||
	       (memmem(a, PAGE, name, strlen(name)) && memmem(b, PAGE, name, strlen(name)));
}

static void pages_over_others(void **state)
{
	static uint64_t pages[PAGES];
	struct daxkv_store *store = store_fill();
	unsigned int met = 0, tried = 0, n = pages_of(store, pages);
	uint8_t page[PAGE];
	struct was was;

	(void)state;
	was_read(store, &was);
	assert_true(n > 300);
	for (unsigned int to = 0; to < n; to++) {
		memcpy(page, store->map.base + pages[to], PAGE);
		for (unsigned int from = 0; from < n; from++) {
			if (!is_tried(store, pages, to, from))
				continue;
			tried++;
			page_write(store, store->map.base + pages[from], pages[to]);
			met += try(store, &was, pages[to], pages[from]);
			page_write(store, page, pages[to]);
		}
	}
	print_message("%u pages, %u copies, %u met\n", n, tried, met);
	assert_true(met > tried / 4);
	store_done(store);
}

/* words_that_name_others - no checksum covers the words of an inner page: its separators tell. */
static void words_that_name_others(void **state)
{
	static uint64_t pages[PAGES];
	struct daxkv_store *store = store_fill();
	unsigned int met = 0, n = pages_of(store, pages);
	struct was was;

	(void)state;
	was_read(store, &was);
	for (unsigned int i = 0; i < n; i++) {
		const struct fmt_page *page = (const void *)(store->map.base + pages[i]);

		if (page->type != FMT_INNER)
			continue;
		for (uint32_t kid = 0; kid <= page->n; kid++) {
			const uint64_t *kids = inner_kids(page);
			uint64_t at = (uint64_t)((const uint8_t *)&kids[kid] - store->map.base);
			uint64_t right = kids[kid], other = kids[kid ? kid - 1 : page->n];

			assert_int_equal(pwrite(store->map.fd, &other, 8, (off_t)at), 8);
			met += try(store, &was, at, other);
			assert_int_equal(pwrite(store->map.fd, &right, 8, (off_t)at), 8);
		}
	}
	print_message("%u met\n", met);
	assert_true(met > 100);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pages_over_others),
	    cmocka_unit_test(words_that_name_others),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
