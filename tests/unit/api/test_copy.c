/* SPDX-License-Identifier: BSD-3-Clause */
/* test_copy.c - a snapshot as a stream of bytes: what comes out is a sound store of its own with
 * the same content; and cursors that verify. */
#include "api/cursor.h"
#include "small_store.h"

#define LARGE 100000u

struct bytes {
	int fd;
	uint64_t n, limit;
};

static int bytes_take(const void *p, size_t n, void *arg)
{
	struct bytes *b = arg;

	if (b->limit && b->n + n > b->limit)
		return EPIPE;
	assert_int_equal(write(b->fd, p, n), (ssize_t)n); /* from front to back: no seek */
	b->n += n;
	return 0;
}

static int copy_to(struct daxkv_txn *txn, const char *name, uint64_t limit, uint64_t *n)
{
	struct bytes b = {
	    .fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
	    .limit = limit};
	int rc = daxkv_copy(txn, bytes_take, &b);

	close(b.fd);
	*n = b.n;
	return rc;
}

/* any_order - of the program's own: from the last byte on. */
static int any_order(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	const uint8_t *p = a->data, *q = b->data;
	(void)arg;
	for (size_t i = 1; i <= a->size && i <= b->size; i++)
		if (p[a->size - i] != q[b->size - i])
			return p[a->size - i] < q[b->size - i] ? -1 : 1;
	return (a->size > b->size) - (a->size < b->size);
}

static daxkv_db db_open(struct daxkv_txn *txn, const char *name, unsigned int flags)
{
	struct daxkv_val n = {strlen(name), (void *)(uintptr_t)name};
	daxkv_db db;

	OK(daxkv_db_open(txn, &n, flags, &db));
	if (flags & DAXKV_OWN_COMPARE)
		OK(daxkv_db_set_compare(txn, db, any_order, NULL));
	if (flags & DAXKV_OWN_DUP_COMPARE)
		OK(daxkv_db_set_dup_compare(txn, db, any_order, NULL));
	return db;
}

static void pair_put(struct daxkv_txn *txn, daxkv_db db, uint64_t key, size_t klen, uint64_t value,
                     size_t vlen)
{
	struct daxkv_val k = {klen, &key}, v = {vlen, &value};

	OK(daxkv_put(txn, db, &k, &v, 0));
}

static const struct {
	const char *name;
	unsigned int flags;
} kinds[] = {{"plain", 0},
             {"reverse", DAXKV_REVERSE_KEY},
             {"integer", DAXKV_INTEGER_KEY},
             {"dups", DAXKV_DUP_SORT},
             {"fixed", DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP},
             {"own", DAXKV_OWN_COMPARE},
             {"owndups", DAXKV_DUP_SORT | DAXKV_OWN_DUP_COMPARE},
             {"empty", 0}};

static void databases_fill(struct daxkv_store *store, uint64_t n, uint64_t salt)
{
	struct daxkv_txn *txn = begin(store);

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		daxkv_db db = db_open(txn, kinds[i].name, kinds[i].flags | DAXKV_CREATE);

		for (uint64_t j = 0; j < n && strcmp(kinds[i].name, "empty") != 0; j++) {
			uint64_t key =
			    (j * 7919 + salt) % (kinds[i].flags & DAXKV_DUP_SORT ? 40 : 100000);

			pair_put(txn, db, key, 8, j * 31 + salt, 8);
		}
	}
	OK(daxkv_txn_commit(txn));
}

/* same_database - in both snapshots: the same pairs in the same order. */
static void same_database(struct daxkv_txn *a, struct daxkv_txn *b, const char *name,
                          unsigned int flags)
{
	struct daxkv_txn *txn[] = {a, b};
	struct daxkv_cursor *c[2];
	struct daxkv_val k[2], v[2];
	struct daxkv_db_stat stat;
	uint64_t n = 0;
	int rc[2];

	for (unsigned int i = 0; i < 2; i++)
		OK(daxkv_cursor_open(txn[i], name ? db_open(txn[i], name, flags) : DAXKV_MAIN,
		                     &c[i]));
	for (;; n++) {
		for (unsigned int i = 0; i < 2; i++)
			rc[i] = daxkv_cursor_get(c[i], &k[i], &v[i], DAXKV_NEXT);
		assert_int_equal(rc[0], rc[1]);
		if (rc[0])
			break;
		assert_true(k[0].size == k[1].size && memcmp(k[0].data, k[1].data, k[0].size) == 0);
		assert_int_equal(v[0].size, v[1].size);
		if (name || v[0].size != sizeof(struct fmt_db)) /* the main one's records of
		                                                   databases name other pages */
			assert_memory_equal(v[0].data, v[1].data, v[0].size);
	}
	assert_int_equal(rc[0], DAXKV_NOT_FOUND);
	OK(daxkv_db_stat(b, daxkv_cursor_db(c[1]), &stat));
	assert_int_equal(stat.entries, n);
	for (unsigned int i = 0; i < 2; i++)
		daxkv_cursor_close(c[i]);
}

static void same_store(struct daxkv_txn *a, struct daxkv_txn *b)
{
	same_database(a, b, NULL, 0);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		same_database(a, b, kinds[i].name, kinds[i].flags);
}

static void large_put(struct daxkv_store *store, uint64_t key, uint32_t size)
{
	static uint8_t bytes[LARGE];
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val k = {8, &key}, v = {size, bytes};

	memset(bytes, (int)(key + size), sizeof bytes);
	OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, 0));
	OK(daxkv_txn_commit(txn));
}

/* copy_check - the copy of txn's snapshot is sound, the same, and can be written to. */
static void copy_check(struct daxkv_txn *txn)
{
	struct daxkv_txn *copied;
	uint64_t n;

	OK(copy_to(txn, "copy", 0, &n));
	struct daxkv_store *copy = store_again("copy");

	store_check(copy);
	assert_true(info(copy).file_size == n && info(copy).recovered == 0 &&
	            info(copy).last_txn == daxkv_txn_id(txn));
	copied = begin_reading(copy);
	same_store(txn, copied);
	daxkv_txn_abort(copied);
	databases_fill(copy, 300, 77);
	store_check(copy);
	OK(daxkv_close(copy));
	copy = store_again("copy");
	store_done(copy);
}

static void copies_of_all_kinds(void **state)
{
	static const unsigned int sizes[] = {4096, 32768};
	(void)state;
	for (size_t s = 0; s < 2; s++) {
		struct daxkv_store *store = store_new("e", sizes[s]);
		struct daxkv_txn *txn;

		for (unsigned int round = 0; round < 3; round++)
			databases_fill(store, 3000, round);
		for (uint64_t i = 0; i < 20; i++)
			large_put(store, i * 1000000, (uint32_t)(1 + i * (LARGE / 20)));
		txn = begin_reading(store);
		copy_check(txn);
		/* A snapshot is what it was, whatever is written meanwhile. */
		databases_fill(store, 2000, 5);
		struct daxkv_txn *writer = begin(store);

		OK(daxkv_del_range(writer, db_open(writer, "plain", 0), NULL, NULL, NULL));
		copy_check(txn);
		OK(daxkv_txn_commit(writer));
		copy_check(txn);
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

static void copy_of_an_empty_store(void **state)
{
	struct daxkv_store *store = store_new("e", 4096);
	struct daxkv_txn *txn = begin_reading(store);
	uint64_t n;
	(void)state;
	OK(copy_to(txn, "copy", 0, &n));
	assert_true(n < 100000);
	daxkv_txn_abort(txn);
	OK(daxkv_close(store));
	store = store_again("copy");
	databases_fill(store, 100, 1);
	store_done(store);
}

static void copy_that_cannot_be_written(void **state)
{
	struct daxkv_store *store = store_new("e", 4096);
	struct daxkv_txn *txn;
	uint64_t n;
	(void)state;
	databases_fill(store, 1000, 1);
	txn = begin_reading(store);
	for (uint64_t limit = 1; limit < 300000; limit += 41000)
		assert_int_equal(copy_to(txn, "copy", limit, &n), EPIPE);
	copy_check(txn);
	daxkv_txn_abort(txn);
	assert_int_equal(copy_to(NULL, "copy", 0, &n), EINVAL);
	txn = begin(store);
	assert_int_equal(copy_to(txn, "copy", 0, &n), EINVAL);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* damaged - the store in which one byte at off is another one. */
static struct daxkv_store *damaged(struct daxkv_store *store, uint64_t off)
{
	store_image(store, "bad");
	image_flip("bad", off);
	return store_open(
	    "bad", (struct daxkv_options){.flags = DAXKV_READ_ONLY, .pmem = DAXKV_PMEM_FORCE});
}

/* walk - all entries, one by one or many a call; the first error. */
static int walk(struct daxkv_store *store, unsigned int flags, bool many)
{
	struct daxkv_val key[16], value[16];
	struct daxkv_cursor *c;
	struct daxkv_txn *txn;
	size_t got;
	int rc;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY | flags, &txn));
	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	do
		rc = many ? daxkv_cursor_get_many(c, DAXKV_NEXT, NULL, 16, key, value, &got)
		          : daxkv_cursor_get(c, key, value, DAXKV_NEXT);
	while (!rc);
	daxkv_cursor_close(c);
	daxkv_txn_abort(txn);
	return rc;
}

/* Damage that no bound meets is told by who verifies, where it is, and by a copy before its first
 * byte. */
static void damage_is_met_by_who_verifies(void **state)
{
	struct daxkv_store *store = store_new("e", 4096), *bad;
	struct daxkv_val key = {4, "key1"}, value;
	struct daxkv_txn *txn;
	uint64_t n, off[4];
	(void)state;
	put_some(store, 0, 2000, 50, 0); /* several leaves, and a page above */
	large_put(store, 1, LARGE);
	txn = begin(store);
	value = (struct daxkv_val){5, "value"}; /* in a tail */
	OK(daxkv_put(txn, DAXKV_MAIN, &key, &value, 0));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_sync(store));
	txn = begin_reading(store);
	OK(daxkv_get(txn, DAXKV_MAIN, &key, &value));
	off[0] = (uint64_t)((uint8_t *)value.data - store->map.base); /* of a tail entry */
	uint64_t large = 1;

	key = (struct daxkv_val){8, &large};
	OK(daxkv_get(txn, DAXKV_MAIN, &key, &value));
	off[1] = (uint64_t)((uint8_t *)value.data - store->map.base) + LARGE / 2;
	struct daxkv_cursor *c;

	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	OK(daxkv_cursor_get(c, &key, &value, DAXKV_LAST));
	off[2] = (uint64_t)((uint8_t *)value.data - store->map.base) + 3; /* of a base */
	daxkv_cursor_close(c);
	daxkv_txn_abort(txn);
	const struct fmt_super *super = (const void *)store->map.base;
	const struct fmt_desc *desc =
	    (const void *)(store->map.base + load_word(&super->main_desc));
	const struct fmt_page *root = (const void *)(store->map.base + load_word(&desc->root));

	assert_int_equal(root->type, FMT_INNER);
	off[3] = load_word(&desc->root) + root->end - 1; /* of a separator */
	for (unsigned int i = 0; i < 4; i++) {
		bad = damaged(store, off[i]);
		for (unsigned int many = 0; many < 2; many++) {
			assert_int_equal(walk(bad, 0, many), DAXKV_NOT_FOUND);
			assert_int_equal(walk(bad, DAXKV_TXN_VERIFY, many), DAXKV_CORRUPT);
			assert_non_null(strstr(daxkv_errmsg(), "corrupted at 0x"));
		}
		txn = begin_reading(bad);
		assert_int_equal(copy_to(txn, "copy", 0, &n), DAXKV_CORRUPT);
		assert_int_equal(n, 0);
		daxkv_txn_abort(txn);
		assert_int_equal(daxkv_check(bad, NULL, NULL, NULL), DAXKV_CORRUPT);
		OK(daxkv_close(bad));
	}
	assert_int_equal(walk(store, DAXKV_TXN_VERIFY, false), DAXKV_NOT_FOUND);
	assert_int_equal(daxkv_txn_begin(store, NULL, DAXKV_TXN_VERIFY, &txn), EINVAL);
	store_done(store);
}

/* grow - another process: when it is told, replace the first entry until the file is four times as
 * long, and on. Its exit status. */
static int grow(int go)
{
	uint64_t i = 0, least;
	struct daxkv_store *store;
	char byte;

	if (read(go, &byte, 1) != 1)
		return 2;
	store = store_again("s");
	least = 4 * store->map.size;
	for (uint64_t more = 0; more < 100; i++, more += store->map.size >= least)
		put_some(store, 0, 1, 300 + i % 100, i);
	return daxkv_close(store) ? 3 : 0;
}

/* The way of a snapshot's cursor is compared again when its words name pages behind what this
 * process has mapped. */
static void verified_beside_a_file_that_grows(void **state)
{
	struct daxkv_val key, value;
	struct daxkv_cursor *c;
	int go[2], status = 1;

	(void)state;
	assert_int_equal(pipe(go), 0);
	const pid_t pid = fork();

	if (pid == 0)
		_exit(grow(go[0]));
	struct daxkv_store *store = store_new("s", 512);

	put_some(store, 0, 500, 300, 1);
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY | DAXKV_TXN_VERIFY, &txn));
	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	OK(daxkv_cursor_get(c, &key, &value, DAXKV_FIRST));
	assert_int_equal(write(go[1], "g", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	c->verified = 0; /* as if its first comparison were on its way */
	OK(daxkv_cursor_get(c, &key, &value, DAXKV_GET_CURRENT));
	daxkv_txn_abort(txn);
	close(go[0]);
	close(go[1]);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(copies_of_all_kinds),
	    cmocka_unit_test(copy_of_an_empty_store),
	    cmocka_unit_test(copy_that_cannot_be_written),
	    cmocka_unit_test(damage_is_met_by_who_verifies),
	    cmocka_unit_test(verified_beside_a_file_that_grows),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
