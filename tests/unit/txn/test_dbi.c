/* SPDX-License-Identifier: BSD-3-Clause */
/* Database handles: made, opened, dropped, renamed; what older snapshots see; comparators. */
#include "small_store.h"

#define MAIN DAXKV_MAIN

static int open_db(struct daxkv_txn *txn, const char *name, unsigned int flags, daxkv_db *db)
{
	struct daxkv_val n = text(name);
	return daxkv_db_open(txn, &n, flags, db);
}

/* made - a new database with one record, committed. */
static daxkv_db made(struct daxkv_store *store, const char *name, unsigned int flags)
{
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = 0;
	OK(open_db(txn, name, flags | DAXKV_CREATE, &db));
	OK(put(txn, db, "in", name, 0));
	OK(daxkv_txn_commit(txn));
	return db;
}

static void create_and_open(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_txn *txn = begin(store);
	daxkv_db a = 0, b = 0, again = 0, none = 77;
	unsigned int flags = 99;
	(void)state;
	assert_int_equal(open_db(txn, "a", 0, &none), DAXKV_NOT_FOUND);
	OK(open_db(txn, "a", DAXKV_CREATE | DAXKV_REVERSE_KEY, &a));
	OK(open_db(txn, "b", DAXKV_CREATE, &b));
	OK(open_db(txn, "a", DAXKV_CREATE, &again));
	assert_true(a == again && a != b && a > MAIN && b > MAIN && none == 77);
	assert_int_equal(open_db(txn, "a", DAXKV_DUP_SORT, &none), DAXKV_INCOMPATIBLE);
	OK(daxkv_db_flags(txn, a, &flags));
	assert_int_equal(flags, DAXKV_REVERSE_KEY);
	OK(put(txn, a, "k", "in a", 0));
	OK(put(txn, b, "k", "in b", 0));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_close(store));
	store = store_again("d");
	txn = begin_reading(store);
	OK(open_db(txn, "a", 0, &a));
	OK(open_db(txn, "b", 0, &b));
	assert_true(has(txn, a, "k", "in a") && has(txn, b, "k", "in b") &&
	            has(txn, MAIN, "k", NULL));
	daxkv_txn_abort(txn);
	store_done(store);
}

static void names_and_flags_that_are_refused(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_txn *txn = begin(store);
	static char name[2000];
	struct daxkv_val n = bytes(name, 0);
	daxkv_db db;
	(void)state;
	memset(name, 'n', sizeof name);
	assert_int_equal(daxkv_db_open(txn, &n, DAXKV_CREATE, &db), DAXKV_KEY_SIZE);
	n.size = 1025;
	assert_int_equal(daxkv_db_open(txn, &n, DAXKV_CREATE, &db), DAXKV_KEY_SIZE);
	n.size = 1024;
	OK(daxkv_db_open(txn, &n, DAXKV_CREATE, &db));
	assert_int_equal(open_db(txn, "x", DAXKV_CREATE | DAXKV_REVERSE_DUP, &db), EINVAL);
	assert_int_equal(open_db(txn, "x", DAXKV_CREATE | 0x8000, &db), EINVAL);
	OK(put(txn, MAIN, "plain", "1", 0));
	assert_int_equal(open_db(txn, "plain", DAXKV_CREATE, &db), DAXKV_INCOMPATIBLE);
	OK(open_db(txn, "db", DAXKV_CREATE, &db));
	assert_int_equal(put(txn, MAIN, "db", "1", 0), DAXKV_INCOMPATIBLE);
	assert_int_equal(del(txn, MAIN, "db", NULL), DAXKV_INCOMPATIBLE);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void handles_up_to_the_maximum(void **state)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	daxkv_db db[3], more = 0;
	(void)state;
	unlink(scratch_path("d"));
	store = store_open("d", (struct daxkv_options){
	                            .flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE, .max_dbs = 3});
	db[0] = made(store, "0", 0);
	db[1] = made(store, "1", 0);
	db[2] = made(store, "2", 0);
	txn = begin(store);
	assert_int_equal(open_db(txn, "3", DAXKV_CREATE, &more), DAXKV_DBS_FULL);
	daxkv_txn_abort(txn);
	txn = begin(store);
	assert_int_equal(open_db(txn, "3", 0, &more),
	                 DAXKV_NOT_FOUND); /* it was not made half-way */
	daxkv_txn_abort(txn);
	daxkv_db_close(store, db[1]);
	txn = begin(store);
	assert_int_equal(put(txn, db[1], "k", "v", 0), DAXKV_BAD_DB);
	OK(open_db(txn, "3", DAXKV_CREATE, &more));
	assert_true(more != db[1] && has(txn, more, "in", NULL));
	assert_int_equal(put(txn, db[1], "k", "v", 0), DAXKV_BAD_DB); /* an old number stays one */
	OK(daxkv_txn_commit(txn));
	daxkv_db_close(store, MAIN); /* means nothing */
	daxkv_db_close(store, 1000);
	store_done(store);
}

static void abort_takes_the_handle_along(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_txn *txn = begin(store), *child;
	daxkv_db a, b, c;
	(void)state;
	OK(open_db(txn, "a", DAXKV_CREATE, &a));
	child = begin_in(txn);
	OK(open_db(child, "b", DAXKV_CREATE, &b));
	OK(put(child, a, "k", "child", 0));
	daxkv_txn_abort(child);
	assert_int_equal(put(txn, b, "k", "v", 0), DAXKV_BAD_DB);
	assert_true(has(txn, a, "k", NULL));
	child = begin_in(txn);
	OK(open_db(child, "c", DAXKV_CREATE, &c));
	OK(put(child, c, "k", "kept", 0));
	OK(daxkv_txn_commit(child));
	assert_true(has(txn, c, "k", "kept"));
	daxkv_txn_abort(txn);
	txn = begin(store);
	assert_int_equal(put(txn, a, "k", "v", 0), DAXKV_BAD_DB);
	assert_int_equal(put(txn, c, "k", "v", 0), DAXKV_BAD_DB);
	assert_int_equal(open_db(txn, "a", 0, &a), DAXKV_NOT_FOUND);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void drop_is_seen_by_later_snapshots_only(void **state)
{
	struct daxkv_store *store = store_new("d", 512);
	daxkv_db db = made(store, "gone", 0), again = 0;
	struct daxkv_txn *old, *txn;
	(void)state;
	txn = begin(store);
	for (uint64_t i = 0; i < 300; i++)
		OK(put_n(txn, db, i, i % 50 ? 20 : 3000, 0));
	OK(daxkv_txn_commit(txn));
	uint64_t used = info(store).used_bytes;
	old = begin_reading(store);
	txn = begin(store);
	OK(daxkv_db_drop(txn, db, 1));
	assert_int_equal(put(txn, db, "k", "v", 0), DAXKV_BAD_DB);
	daxkv_txn_abort(txn); /* not dropped after all */
	txn = begin(store);
	assert_true(has_n(txn, db, 7, 20, 0));
	OK(daxkv_db_drop(txn, db, 1));
	OK(daxkv_txn_commit(txn));
	for (uint64_t i = 0; i < 300; i++)
		assert_true(has_n(old, db, i, i % 50 ? 20 : 3000, 0));
	assert_true(info(store).used_bytes < used / 2);
	txn = begin(store);
	assert_int_equal(open_db(txn, "gone", 0, &again), DAXKV_NOT_FOUND);
	OK(open_db(txn, "gone", DAXKV_CREATE, &again));
	assert_true(lacks_n(txn, again, 7));
	OK(put(txn, again, "in", "new", 0));
	OK(daxkv_txn_commit(txn));
	for (uint64_t i = 0; i < 300; i++)
		assert_true(has_n(old, db, i, i % 50 ? 20 : 3000, 0));
	daxkv_txn_abort(old);
	store_done(store);
}

static void empty_a_database(void **state)
{
	struct daxkv_store *store = store_new("d", 512);
	daxkv_db db = made(store, "x", 0);
	struct daxkv_txn *txn = begin(store), *old;
	struct daxkv_db_stat stat;
	(void)state;
	for (uint64_t i = 0; i < 300; i++)
		OK(put_n(txn, db, i, 20, 0));
	OK(daxkv_txn_commit(txn));
	old = begin_reading(store);
	txn = begin(store);
	OK(daxkv_db_drop(txn, db, 0));
	OK(daxkv_db_stat(txn, db, &stat));
	assert_true(stat.entries == 0 && stat.leaf_pages == 1 && stat.inner_pages == 0);
	OK(put(txn, db, "after", "1", 0));
	OK(daxkv_txn_commit(txn));
	assert_true(has_n(old, db, 299, 20, 0) && has(old, db, "after", NULL));
	daxkv_txn_abort(old);
	txn = begin(store);
	assert_true(has(txn, db, "after", "1") && lacks_n(txn, db, 299));
	OK(put(txn, MAIN, "plain", "1", 0));
	OK(daxkv_db_drop(txn, MAIN, 1)); /* takes all named ones along */
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	OK(daxkv_db_stat(txn, MAIN, &stat));
	assert_int_equal(stat.entries, 0);
	assert_int_equal(open_db(txn, "x", 0, &db), DAXKV_NOT_FOUND);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void rename_keeps_handle_and_content(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	daxkv_db a = made(store, "a", 0), b = made(store, "b", 0), other = 0;
	struct daxkv_txn *old = begin_reading(store), *txn = begin(store);
	struct daxkv_val name = text("b");
	(void)state;
	assert_int_equal(daxkv_db_rename(txn, a, &name), DAXKV_EXIST);
	assert_int_equal(daxkv_db_rename(txn, MAIN, &name), EINVAL);
	name = text("c");
	OK(daxkv_db_rename(txn, a, &name));
	assert_true(has(txn, a, "in", "a"));
	daxkv_txn_abort(txn);
	txn = begin(store);
	assert_int_equal(open_db(txn, "c", 0, &other), DAXKV_NOT_FOUND);
	OK(daxkv_db_rename(txn, a, &name));
	OK(put(txn, a, "more", "1", 0));
	OK(daxkv_txn_commit(txn));
	assert_true(has(old, a, "in", "a") && has(old, a, "more", NULL) && has(old, b, "in", "b"));
	daxkv_txn_abort(old);
	txn = begin_reading(store);
	OK(open_db(txn, "c", 0, &other));
	assert_int_equal(other, a);
	assert_int_equal(open_db(txn, "a", 0, &other), DAXKV_NOT_FOUND);
	assert_true(has(txn, a, "more", "1"));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* Names that are pointers into pages which the call itself rewrites. */
static void names_that_lie_in_the_store(void **state)
{
	(void)state;
	for (int fill = 0; fill < 24; fill++) { /* wherever in the leaf's life the call comes */
		struct daxkv_store *store = store_new("d", 512);
		struct daxkv_txn *txn = begin(store);
		struct daxkv_val k = text("names"), v;
		daxkv_db db = 0, again = 0;
		OK(put(txn, MAIN, "names", "first name", 0));
		for (uint64_t i = 0; i < (uint64_t)fill; i++)
			OK(put_n(txn, MAIN, i % 5, 4, i));
		OK(daxkv_get(txn, MAIN, &k, &v));
		OK(daxkv_db_open(txn, &v, DAXKV_CREATE, &db));
		OK(put(txn, db, "in", "it", 0));
		OK(open_db(txn, "first name", 0, &again));
		assert_int_equal(db, again);
		OK(put(txn, MAIN, "names", "second name", 0));
		OK(daxkv_get(txn, MAIN, &k, &v));
		OK(daxkv_db_rename(txn, db, &v));
		OK(daxkv_txn_commit(txn));
		txn = begin_reading(store);
		OK(open_db(txn, "second name", 0, &again));
		assert_true(again == db && has(txn, db, "in", "it"));
		assert_int_equal(open_db(txn, "first name", 0, &again), DAXKV_NOT_FOUND);
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

static void next_lists_names_among_entries(void **state)
{
	struct daxkv_store *store = store_new("d", 512);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val name = {0, NULL};
	daxkv_db db;
	char expected[16];
	int n = 0;
	(void)state;
	assert_int_equal(daxkv_db_list_next(txn, &name), DAXKV_NOT_FOUND);
	for (uint64_t i = 0; i < 100; i++)
		OK(put_n(txn, MAIN, i, 20, 0));
	for (int i = 0; i < 30; i++) {
		snprintf(expected, sizeof expected, "%c%02d", i % 2 ? 'a' : 'z', i);
		OK(open_db(txn, expected, DAXKV_CREATE, &db));
	}
	for (; daxkv_db_list_next(txn, &name) == 0; n++) {
		int i = n < 15 ? 2 * n + 1 : 2 * (n - 15);
		snprintf(expected, sizeof expected, "%c%02d", i % 2 ? 'a' : 'z', i);
		assert_true(name.size == 3 && memcmp(name.data, expected, 3) == 0);
	}
	assert_int_equal(n, 30);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* In a damaged leaf a name lies behind a greater one: listing them goes round no more than once. */
static void names_out_of_order(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val name = {0, NULL};
	daxkv_db db;
	int n = 0, rc;
	(void)state;
	OK(open_db(txn, "database-1", DAXKV_CREATE, &db));
	OK(open_db(txn, "database-2", DAXKV_CREATE, &db));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_sync(store));
	store_image(store, "damaged");
	const uint8_t *key = memmem(store->map.base, store->map.size, "database-2", 10);
	assert_non_null(key);
	off_t at = key - store->map.base;
	store_done(store);
	int fd = open(scratch_path("damaged"), O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "a", 1, at), 1);
	close(fd);
	store = store_again("damaged");
	txn = begin_reading(store);
	while ((rc = daxkv_db_list_next(txn, &name)) == 0 && n < 10)
		n++;
	assert_true(rc == DAXKV_CORRUPT && n == 1);
	daxkv_txn_abort(txn);
	OK(daxkv_close(store));
}

static void flags_of_the_main_database(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = 0;
	(void)state;
	OK(daxkv_db_open(txn, NULL, DAXKV_CREATE | DAXKV_DUP_SORT, &db));
	assert_int_equal(db, MAIN);
	OK(put(txn, MAIN, "k", "1", 0));
	OK(put(txn, MAIN, "k", "2", 0));
	assert_int_equal(daxkv_db_open(txn, NULL, DAXKV_CREATE | DAXKV_REVERSE_KEY, &db),
	                 DAXKV_INCOMPATIBLE);
	assert_int_equal(open_db(txn, "named", DAXKV_CREATE, &db), DAXKV_INCOMPATIBLE);
	OK(daxkv_txn_commit(txn));
	OK(daxkv_close(store));
	store = store_again("d");
	txn = begin_reading(store);
	unsigned int flags = 0;
	OK(daxkv_db_flags(txn, MAIN, &flags));
	assert_int_equal(flags, DAXKV_DUP_SORT);
	daxkv_txn_abort(txn);
	store_done(store);
}

static int by_length(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	++*(int *)arg;
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return memcmp(a->data, b->data, a->size);
}

static void comparators_are_asked_for(void **state)
{
	struct daxkv_store *store = store_new("d", 512);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *c;
	struct daxkv_val k, v, a = text("zz"), b = text("aaa");
	daxkv_db db, plain;
	int calls = 0;
	size_t last = 0, n = 0;
	(void)state;
	OK(open_db(txn, "own", DAXKV_CREATE | DAXKV_OWN_COMPARE, &db));
	OK(open_db(txn, "plain", DAXKV_CREATE, &plain));
	assert_int_equal(put(txn, db, "k", "v", 0), DAXKV_NEED_COMPARE);
	assert_int_equal(daxkv_cursor_open(txn, db, &c), DAXKV_NEED_COMPARE);
	OK(put(txn, plain, "k", "v", 0));
	assert_int_equal(daxkv_db_set_compare(txn, plain, by_length, &calls), DAXKV_INCOMPATIBLE);
	assert_int_equal(daxkv_db_set_dup_compare(txn, db, by_length, &calls), DAXKV_INCOMPATIBLE);
	OK(daxkv_db_set_compare(txn, db, by_length, &calls));
	assert_true(daxkv_db_compare(txn, db, &a, &b) < 0 &&
	            daxkv_db_compare(txn, plain, &a, &b) > 0);
	for (int i = 0; i < 200; i++) {
		char key[64];
		memset(key, 'a' + i % 26, sizeof key);
		k = bytes(key, (size_t)(i * 37 % 60 + 1));
		v = bytes(key, 3);
		OK(daxkv_put(txn, db, &k, &v, 0));
		OK(daxkv_get(txn, db, &k, &v));
	}
	assert_true(calls > 200);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	OK(daxkv_cursor_open(txn, db, &c));
	for (; daxkv_cursor_get(c, &k, NULL, DAXKV_NEXT) == 0; n++) {
		assert_true(k.size >= last);
		last = k.size;
	}
	assert_true(n > 60);
	daxkv_cursor_close(c);
	daxkv_txn_abort(txn);
	store_check(store);
	OK(daxkv_close(store));
	store = store_again("d");
	txn = begin_reading(store);
	OK(open_db(txn, "own", 0, &db));
	assert_int_equal(daxkv_get(txn, db, &a, &v), DAXKV_NEED_COMPARE);
	daxkv_txn_abort(txn);
	store_done(store);
}

static int by_first_byte(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	return *(const char *)a->data - *(const char *)b->data;
}

/* An order of the program's own allows duplicates of any size where integers are declared. */
static void an_equal_duplicate_is_replaced(void **state)
{
	const unsigned int flags =
	    DAXKV_CREATE | DAXKV_DUP_SORT | DAXKV_INTEGER_DUP | DAXKV_OWN_DUP_COMPARE;
	struct daxkv_store *store = store_new("d", 512);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val k = text("k"), v;
	struct daxkv_db_stat stat;
	daxkv_db db;
	(void)state;
	OK(open_db(txn, "own", flags, &db));
	OK(daxkv_db_set_dup_compare(txn, db, by_first_byte, NULL));
	for (char first = 'a'; first <= 'z'; first++) {
		char duplicate[] = {first, '1', 0}, longer[] = {first, '2', '2', 0};
		OK(put(txn, db, "k", duplicate, 0));
		assert_int_equal(put(txn, db, "k", longer, DAXKV_NO_DUP_DATA), DAXKV_EXIST);
		OK(put(txn, db, "k", longer, 0));
		OK(put(txn, db, "k", longer, 0));
	}
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(put(txn, db, "k", "a4", 0));
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	OK(daxkv_db_stat(txn, db, &stat));
	assert_int_equal(stat.entries, 26);
	OK(daxkv_get(txn, db, &k, &v));
	assert_true(v.size == 2 && memcmp(v.data, "a4", 2) == 0);
	daxkv_txn_abort(txn);
	store_done(store);
}
static void emptying_main_needs_no_handles(void **state)
{
	struct daxkv_store *store = store_open(
	    "many",
	    (struct daxkv_options){
	        .flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE, .page_size = 512, .max_dbs = 3});
	daxkv_db kept = 0, db = 0;
	(void)state;
	for (uint64_t i = 0; i < 12; i++) {
		struct daxkv_txn *txn = begin(store);
		char buf[17];
		struct daxkv_val name = key_n(buf, i);
		OK(daxkv_db_open(txn, &name, DAXKV_CREATE, &db));
		for (uint64_t n = 0; n < 100; n++)
			OK(put_n(txn, db, n, n == 50 ? 2000 : 10, 1));
		OK(daxkv_txn_commit(txn));
		if (i == 5)
			kept = db;
		else
			daxkv_db_close(store, db);
	}
	struct daxkv_txn *old = begin_reading(store), *txn = begin(store);
	struct daxkv_val none = {0, NULL};
	assert_true(has_n(old, kept, 7, 10, 1));
	OK(daxkv_db_drop(txn, DAXKV_MAIN, 0));
	assert_int_equal(daxkv_db_list_next(txn, &none), DAXKV_NOT_FOUND);
	assert_int_equal(put_n(txn, kept, 1, 10, 2), DAXKV_BAD_DB);
	OK(daxkv_txn_commit(txn));
	assert_true(has_n(old, kept, 7, 10, 1)); /* the snapshot has it still */
	daxkv_txn_abort(old);
	store_done(store);
}

/* An empty database has no page: thousands of empty ones take what their records take. */
static void empty_databases_take_no_pages(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_txn *txn = begin(store), *reader;
	struct daxkv_db_stat stat;
	daxkv_db db = 0;
	char name[16];
	(void)state;
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof name, "db%04d", i);
		OK(open_db(txn, name, DAXKV_CREATE | (i % 2 ? DAXKV_DUP_SORT : 0), &db));
		if (i % 16 == 15) {
			OK(daxkv_txn_commit(txn));
			for (daxkv_db h = MAIN + 1; h <= db; h++)
				daxkv_db_close(store, h);
			txn = begin(store);
		}
	}
	OK(daxkv_txn_commit(txn));
	assert_in_range(info(store).used_bytes, 0, 400000);
	OK(daxkv_close(store));
	store = store_again("d");
	assert_in_range(info(store).used_bytes, 0, 400000);
	txn = begin_reading(store);
	OK(open_db(txn, "db0007", 0, &db));
	OK(daxkv_db_stat(txn, db, &stat));
	assert_true(stat.entries == 0 && stat.leaf_pages == 0 && stat.depth == 0);
	assert_true(has(txn, db, "k", NULL));
	daxkv_txn_abort(txn);
	/* Its first entry, in a nested transaction; snapshots before go on seeing it empty. */
	reader = begin_reading(store);
	OK(open_db(reader, "db0007", 0, &db));
	txn = begin(store);
	struct daxkv_txn *child = begin_in(txn);
	OK(put(child, db, "k", "aborted", 0));
	daxkv_txn_abort(child);
	child = begin_in(txn);
	OK(put(child, db, "k", "v", 0));
	OK(put(child, db, "k", "w", 0));
	OK(daxkv_txn_commit(child));
	OK(daxkv_txn_commit(txn));
	assert_true(has(reader, db, "k", NULL));
	OK(daxkv_db_stat(reader, db, &stat));
	assert_int_equal(stat.entries, 0);
	daxkv_txn_abort(reader);
	store_image(store, "crashed");
	store_done(store);
	store = store_again("crashed");
	reader = begin_reading(store);
	OK(open_db(reader, "db0007", 0, &db));
	OK(daxkv_db_stat(reader, db, &stat));
	assert_true(stat.entries == 2 && has(reader, db, "k", "v"));
	daxkv_txn_abort(reader);
	store_done(store);
}

/* What else happens to one without entries: deleted from, cut, emptied, renamed, dropped, dropped
 * with all others. */
static void changes_of_an_empty_database(void **state)
{
	struct daxkv_store *store = store_new("d", 512);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val b = text("b");
	struct daxkv_db_stat stat;
	daxkv_db a, other, again;
	uint64_t gone = 7;
	(void)state;
	OK(open_db(txn, "a", DAXKV_CREATE, &a));
	OK(open_db(txn, "other", DAXKV_CREATE, &other));
	OK(daxkv_txn_commit(txn));
	uint64_t used = info(store).used_bytes;
	txn = begin(store);
	assert_int_equal(del(txn, a, "k", NULL), DAXKV_NOT_FOUND);
	OK(daxkv_del_range(txn, a, NULL, NULL, &gone));
	assert_int_equal(gone, 0);
	OK(daxkv_db_drop(txn, a, 0));
	OK(daxkv_txn_commit(txn));
	assert_int_equal(info(store).used_bytes, used);
	txn = begin(store);
	OK(put(txn, a, "k", "v", 0));
	OK(del(txn, a, "k", NULL));
	OK(daxkv_db_rename(txn, a, &b));
	OK(daxkv_txn_commit(txn));
	store_check(store);
	txn = begin(store);
	OK(open_db(txn, "b", 0, &again));
	assert_int_equal(again, a);
	OK(daxkv_db_stat(txn, a, &stat));
	assert_int_equal(stat.entries, 0);
	OK(daxkv_db_rename(txn, other, &(struct daxkv_val){1, "c"}));
	OK(put(txn, other, "k", "v", 0));
	OK(daxkv_db_drop(txn, a, 1));
	OK(daxkv_txn_commit(txn));
	store_check(store);
	txn = begin(store);
	OK(open_db(txn, "d", DAXKV_CREATE, &a));
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	assert_true(has(txn, other, "k", "v"));
	OK(daxkv_db_drop(txn, a, 1));
	OK(open_db(txn, "e", DAXKV_CREATE, &a));
	OK(daxkv_db_drop(txn, MAIN, 0));
	assert_int_equal(open_db(txn, "e", 0, &again), DAXKV_NOT_FOUND);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void stat_is(struct daxkv_txn *txn, daxkv_db db, uint64_t entries, uint64_t leaves,
                    uint64_t blobs)
{
	struct daxkv_db_stat stat;
	OK(daxkv_db_stat(txn, db, &stat));
	assert_int_equal(stat.entries, entries);
	assert_int_equal(stat.leaf_pages, leaves);
	assert_int_equal(stat.blob_pages, blobs);
}

/* A database that is one leaf takes that page; it grows and shrinks under snapshots, which count
 * what they see. */
static void small_database_is_one_page(void **state)
{
	struct daxkv_store *store = store_new("d", 512);
	uint64_t used = info(store).used_bytes, x = 3;
	struct daxkv_txn *txn = begin(store), *reader, *older;
	daxkv_db db;
	(void)state;
	OK(open_db(txn, "small", DAXKV_CREATE, &db));
	OK(put_n(txn, db, 0, 20, 0));
	OK(daxkv_txn_commit(txn));
	assert_int_equal(info(store).used_bytes,
	                 used + 2 * 512);   /* the main database's leaf, too */
	for (uint64_t n = 1; n < 40; n++) { /* its leaf is written anew now and then */
		txn = begin(store);
		OK(put_n(txn, db, random_next(&x) % 4, 20, n));
		OK(daxkv_txn_commit(txn));
	}
	reader = begin_reading(store);
	txn = begin(store);
	for (uint64_t n = 0; n < 4; n++)
		OK(put_n(txn, db, n, 20, 40));
	OK(put_n(txn, db, 5, 2000, 0));
	stat_is(txn, db, 5, 1, 4);
	OK(daxkv_txn_commit(txn));
	stat_is(reader, db, 4, 1, 0);
	older = reader;
	reader = begin_reading(store);
	stat_is(reader, db, 5, 1, 4);
	daxkv_txn_abort(reader);
	store_image(store, "crashed");
	txn = begin(store);
	for (uint64_t n = 6; n < 60; n++)
		OK(put_n(txn, db, n, 20, 0));
	OK(daxkv_txn_commit(txn));
	reader = begin_reading(store);
	txn = begin(store);
	for (uint64_t n = 0; n < 60; n++)
		if (n != 4)
			OK(del_n(txn, db, n));
	stat_is(txn, db, 0, 1, 0);
	OK(daxkv_txn_commit(txn));
	struct daxkv_db_stat stat;
	OK(daxkv_db_stat(reader, db, &stat));
	assert_int_equal(stat.entries, 59);
	stat_is(older, db, 4, 1, 0);
	daxkv_txn_abort(reader);
	daxkv_txn_abort(older);
	store_check(store);
	txn = begin(store);
	OK(daxkv_db_drop(txn, db, 1));
	OK(daxkv_txn_commit(txn));
	store_done(store);
	store = store_again("crashed");
	txn = begin(store);
	OK(open_db(txn, "small", 0, &db));
	stat_is(txn, db, 5, 1, 4);
	for (uint64_t n = 0; n < 4; n++)
		assert_true(has_n(txn, db, n, 20, 40));
	OK(del_n(txn, db, 5));
	OK(daxkv_db_drop(txn, db, 1));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* One leaf without entries gives way when the database gets another order: its page is not named
 * any more. */
static void an_emptied_database_gets_another_order(void **state)
{
	struct daxkv_store *store = store_new("d", 512);
	daxkv_db db = made(store, "own", 0);
	struct daxkv_txn *txn = begin(store);
	int calls = 0;
	(void)state;
	OK(del(txn, db, "in", NULL));
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(daxkv_db_set_compare(txn, db, by_length, &calls));
	OK(daxkv_txn_commit(txn));
	store_check(store);
	txn = begin(store);
	OK(put(txn, db, "long", "1", 0));
	OK(put(txn, db, "x", "2", 0));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(create_and_open),
	    TEST(names_and_flags_that_are_refused),
	    TEST(handles_up_to_the_maximum),
	    TEST(abort_takes_the_handle_along),
	    TEST(drop_is_seen_by_later_snapshots_only),
	    TEST(empty_a_database),
	    TEST(rename_keeps_handle_and_content),
	    TEST(names_that_lie_in_the_store),
	    TEST(next_lists_names_among_entries),
	    TEST(names_out_of_order),
	    TEST(flags_of_the_main_database),
	    TEST(comparators_are_asked_for),
	    TEST(an_equal_duplicate_is_replaced),
	    TEST(emptying_main_needs_no_handles),
	    TEST(empty_databases_take_no_pages),
	    TEST(changes_of_an_empty_database),
	    TEST(small_database_is_one_page),
	    TEST(an_emptied_database_gets_another_order),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
