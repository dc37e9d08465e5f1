/* SPDX-License-Identifier: BSD-3-Clause */
/* put, get and del: limits of sizes, every flag, values in and outside their leaf, values to be
 * filled, and inputs that lie in the store. */
#include "small_store.h"

#define MAIN DAXKV_MAIN

static void key_sizes(void **state)
{
	static const struct {
		unsigned int page, max;
	} cases[] = {{512, 128}, {4096, 1024}, {32768, 8191}};
	static char key[9000];
	(void)state;
	memset(key, 'k', sizeof key);
	for (size_t i = 0; i < 3; i++) {
		struct daxkv_store *store = store_new("r", cases[i].page);
		struct daxkv_txn *txn = begin(store);
		struct daxkv_val v = text("v"), got;
		assert_int_equal(daxkv_max_key_size(store), cases[i].max);
		for (size_t len = 1; len <= cases[i].max;
		     len = len < cases[i].max - 2
		               ? len * 2 > cases[i].max ? cases[i].max - 2 : len * 2
		               : len + 1) {
			struct daxkv_val k = bytes(key, len);
			OK(daxkv_put(txn, MAIN, &k, &v, 0));
			OK(daxkv_get(txn, MAIN, &k, &got));
		}
		const size_t bad[] = {0, cases[i].max + 1, 9000};
		for (size_t b = 0; b < 3; b++) {
			struct daxkv_val k = bytes(key, bad[b]);
			assert_int_equal(daxkv_put(txn, MAIN, &k, &v, 0), DAXKV_KEY_SIZE);
			assert_int_equal(daxkv_get(txn, MAIN, &k, &got), DAXKV_KEY_SIZE);
			assert_int_equal(daxkv_del(txn, MAIN, &k, NULL), DAXKV_KEY_SIZE);
		}
		assert_int_equal(daxkv_put(txn, MAIN, NULL, &v, 0), DAXKV_KEY_SIZE);
		OK(daxkv_txn_commit(txn)); /* a refused call leaves the transaction whole */
		store_done(store);
	}
}

/* All lengths around the edge between a value in its leaf and one with pages of its own, by itself
 * and replacing one another. */
static void value_sizes(void **state)
{
	static const unsigned int sizes[] = {512, 4096, 32768};
	(void)state;
	for (size_t p = 0; p < 3; p++) {
		struct daxkv_store *store = store_new("r", sizes[p]);
		size_t half = (sizes[p] - 160) / 2, lens[] = {0,         1,
		                                              7,         half - 60,
		                                              half - 40, half - 30,
		                                              half,      sizes[p] - 1,
		                                              sizes[p],  sizes[p] + 1,
		                                              100001};
		const size_t n = sizeof lens / sizeof *lens;
		uint64_t version = 0;
		for (size_t a = 0; a < n; a++)
			for (size_t b = 0; b < n; b++) {
				struct daxkv_txn *txn = begin(store);
				OK(put_n(txn, MAIN, a, lens[a], ++version));
				assert_true(has_n(txn, MAIN, a, lens[a], version));
				OK(put_n(txn, MAIN, a, lens[b], ++version));
				assert_true(has_n(txn, MAIN, a, lens[b], version));
				OK(daxkv_txn_commit(txn));
				txn = begin_reading(store);
				assert_true(has_n(txn, MAIN, a, lens[b], version));
				daxkv_txn_abort(txn);
			}
		store_done(store);
	}
}

static void blob_pages_are_counted_and_freed(void **state)
{
	struct daxkv_store *store = store_new("r", 4096);
	struct daxkv_txn *txn;
	struct daxkv_db_stat stat;
	(void)state;
	put_some(store, 0, 4, 10000, 0);
	put_some(store, 1, 2, 50, 1);
	txn = begin(store);
	OK(del_n(txn, MAIN, 2));
	OK(daxkv_db_stat(txn, MAIN, &stat));
	assert_int_equal(stat.blob_pages, 2 * 3);
	assert_int_equal(stat.entries, 3);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	OK(daxkv_db_stat(txn, MAIN, &stat));
	assert_true(stat.blob_pages == 6 && stat.entries == 3 && stat.leaf_pages == 1 &&
	            stat.inner_pages == 0 && stat.depth == 1);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void flags_of_put(void **state)
{
	struct daxkv_store *store = store_new("r", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val k = text("b"), v = text("new");
	(void)state;
	OK(put(txn, MAIN, "b", "old", DAXKV_NO_OVERWRITE));
	assert_int_equal(daxkv_put(txn, MAIN, &k, &v, DAXKV_NO_OVERWRITE), DAXKV_EXIST);
	assert_true(v.size == 3 && memcmp(v.data, "old", 3) == 0);
	assert_int_equal(put(txn, MAIN, "a", "1", DAXKV_APPEND), DAXKV_EXIST);
	assert_int_equal(put(txn, MAIN, "b", "1", DAXKV_APPEND), DAXKV_EXIST);
	OK(put(txn, MAIN, "c", "1", DAXKV_APPEND));
	assert_int_equal(put(txn, MAIN, "c", "1", 0x8000), EINVAL);
	assert_int_equal(put(txn, MAIN, "c", "1", DAXKV_CURRENT), EINVAL);
	assert_int_equal(daxkv_put(txn, MAIN, &k, NULL, 0), EINVAL);
	v = (struct daxkv_val){5, NULL};
	assert_int_equal(daxkv_put(txn, MAIN, &k, &v, 0), EINVAL);
	v.size = 0;
	OK(daxkv_put(txn, MAIN, &k, &v, 0)); /* no bytes need no place */
	assert_true(has(txn, MAIN, "b", ""));
	assert_int_equal(put(txn, 99, "b", "1", 0), DAXKV_BAD_DB);
	assert_int_equal(put(txn, 0, "b", "1", 0), DAXKV_BAD_DB);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void append_in_an_empty_database(void **state)
{
	struct daxkv_store *store = store_new("r", 512);
	struct daxkv_txn *txn = begin(store);
	char buf[17];
	struct daxkv_val k, v = text("some value");
	(void)state;
	for (uint64_t i = 0; i < 500; i++) {
		k = key_n(buf, i);
		OK(daxkv_put(txn, MAIN, &k, &v, DAXKV_APPEND));
		assert_int_equal(daxkv_put(txn, MAIN, &k, &v, DAXKV_APPEND), DAXKV_EXIST);
	}
	for (uint64_t i = 0; i < 500; i++)
		OK(del_n(txn, MAIN, i));
	k = key_n(buf, 0);
	OK(daxkv_put(txn, MAIN, &k, &v, DAXKV_APPEND)); /* everything that was behind it is gone */
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* A reserved value in a tail, in a new leaf and outside, filled late, superseded, deleted, or never
 * filled. */
static void reserved_values(void **state)
{
	static const size_t lens[] = {0, 1, 30, 200, 5000, 100000};
	struct daxkv_store *store = store_new("r", 512);
	(void)state;
	for (size_t i = 0; i < 6; i++)
		for (int how = 0; how < 5; how++) {
			struct daxkv_txn *txn = begin(store), *child;
			struct daxkv_val k = text("key"), v = {lens[i], NULL};
			for (uint64_t n = 0; n < 5; n++)
				OK(put_n(txn, MAIN, n, 20, 0));
			OK(daxkv_put(txn, MAIN, &k, &v, DAXKV_RESERVE));
			assert_int_equal(v.size, lens[i]);
			memset(v.data, 'x' + how % 2, lens[i]);
			switch (how) {
			case 1: /* the next change seals it */
				for (uint64_t n = 5; n < 15; n++)
					OK(put_n(txn, MAIN, n, 20, 0));
				break;
			case 2:
				OK(daxkv_put(txn, MAIN, &k, &v,
				             DAXKV_RESERVE)); /* once more in its own place */
				memset(v.data, 'x', lens[i]);
				break;
			case 3: /* a child begins */
				child = begin_in(txn);
				OK(put_n(child, MAIN, 77, 20, 0));
				daxkv_txn_abort(child);
				break;
			case 4:
				OK(del(txn, MAIN, "key", NULL));
				break;
			default:
				break;
			}
			OK(daxkv_txn_commit(txn));
			store_check(store);
			txn = begin_reading(store);
			assert_int_equal(daxkv_get(txn, MAIN, &k, &v),
			                 how == 4 ? DAXKV_NOT_FOUND : 0);
			if (how < 4) {
				assert_int_equal(v.size, lens[i]);
				for (size_t b = 0; b < v.size; b++)
					assert_int_equal(((uint8_t *)v.data)[b],
					                 how == 1 || how == 3 ? 'y' : 'x');
			}
			daxkv_txn_abort(txn);
		}
	store_done(store);
}

static void integer_keys_and_values_can_be_read_in_place(void **state)
{
	struct daxkv_store *store = store_new("r", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "integers", DAXKV_INTEGER_KEY),
	         dups = db_of(txn, "pairs",
	                      DAXKV_INTEGER_KEY | DAXKV_DUP_SORT | DAXKV_DUP_FIXED |
	                          DAXKV_INTEGER_DUP);
	struct daxkv_cursor *c;
	struct daxkv_val k, v;
	uint64_t n = 0, last = 0;
	(void)state;
	for (uint64_t i = 0; i < 400; i++) {
		uint64_t key = i * 0x9E3779B97F4A7C15u, pair = i % 20;
		k = bytes(&key, 8);
		v = bytes("some value of odd length", i % 24);
		OK(daxkv_put(txn, db, &k, &v, 0));
		k = bytes(&pair, 8);
		v = bytes(&key, 8);
		OK(daxkv_put(txn, dups, &k, &v, 0));
	}
	k = bytes("abc", 3);
	assert_int_equal(daxkv_put(txn, db, &k, &v, 0), DAXKV_KEY_SIZE);
	k = bytes("abcd", 4);
	assert_int_equal(daxkv_put(txn, dups, &k, &(struct daxkv_val){3, k.data}, 0),
	                 DAXKV_VALUE_SIZE);
	for (int which = 0; which < 2; which++) {
		OK(daxkv_cursor_open(txn, which ? dups : db, &c));
		for (n = last = 0; daxkv_cursor_get(c, &k, &v, DAXKV_NEXT) == 0; n++) {
			assert_int_equal((uintptr_t)k.data % 8, 0);
			assert_true(*(const uint64_t *)k.data >= last);
			last = *(const uint64_t *)k.data;
			if (which)
				assert_int_equal((uintptr_t)v.data % 8, 0);
		}
		assert_int_equal(n, 400);
		daxkv_cursor_close(c);
	}
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void duplicates(void **state)
{
	struct daxkv_store *store = store_new("r", 4096);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "d", DAXKV_DUP_SORT),
	         fixed = db_of(txn, "f", DAXKV_DUP_SORT | DAXKV_DUP_FIXED);
	static char big[2000];
	struct daxkv_val k = text("k"), v = bytes(big, 1024), r, reserved = {4, NULL};
	(void)state;
	memset(big, 'b', sizeof big);
	OK(put(txn, db, "k", "2", 0));
	OK(put(txn, db, "k", "1", 0));
	OK(put(txn, db, "k", "2", 0)); /* there already: fine */
	assert_int_equal(put(txn, db, "k", "2", DAXKV_NO_DUP_DATA), DAXKV_EXIST);
	assert_int_equal(put(txn, db, "k", "9", DAXKV_NO_OVERWRITE), DAXKV_EXIST);
	assert_int_equal(put(txn, db, "k", "1", DAXKV_APPEND_DUP), DAXKV_EXIST);
	assert_int_equal(put(txn, db, "k", "2", DAXKV_APPEND_DUP), DAXKV_EXIST);
	OK(put(txn, db, "k", "3", DAXKV_APPEND_DUP));
	OK(put(txn, db, "j", "3", DAXKV_APPEND_DUP));
	OK(put(txn, db, "k", "", 0)); /* an empty duplicate is the first */
	assert_true(has(txn, db, "k", ""));
	assert_int_equal(daxkv_put(txn, db, &k, &(struct daxkv_val){5, NULL}, DAXKV_RESERVE),
	                 DAXKV_INCOMPATIBLE);
	r = bytes("new", 3);
	OK(daxkv_put(txn, db, &r, &reserved,
	             DAXKV_RESERVE)); /* a key's first value has its place */
	memcpy(reserved.data, "late", 4);
	OK(put(txn, db, "new", "later", 0));
	assert_true(has(txn, db, "new", "late"));
	assert_int_equal(daxkv_put(txn, db, &r, &reserved, DAXKV_RESERVE), DAXKV_INCOMPATIBLE);
	assert_int_equal(daxkv_put(txn, db, &r, &reserved, DAXKV_RESERVE | DAXKV_NO_OVERWRITE),
	                 DAXKV_EXIST);
	OK(daxkv_put(txn, db, &k, &v, 0));
	v.size = 1025;
	assert_int_equal(daxkv_put(txn, db, &k, &v, 0), DAXKV_VALUE_SIZE);
	k = bytes(big, 1024);
	v.size = 1024;
	assert_int_equal(daxkv_put(txn, db, &k, &v, 0),
	                 DAXKV_VALUE_SIZE); /* together more than half a page */
	OK(put(txn, fixed, "k", "abc", 0));
	assert_int_equal(put(txn, fixed, "k", "ab", 0), DAXKV_VALUE_SIZE);
	assert_int_equal(del(txn, db, "k", "4"), DAXKV_NOT_FOUND);
	OK(del(txn, db, "k", ""));
	assert_true(has(txn, db, "k", "1"));
	OK(del(txn, db, "k", NULL));
	assert_true(has(txn, db, "k", NULL) && has(txn, db, "j", "3"));
	assert_int_equal(del(txn, db, "k", NULL), DAXKV_NOT_FOUND);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* A key with more duplicates than many leaves hold, deleted at once. */
static void many_duplicates_deleted(void **state)
{
	struct daxkv_store *store = store_new("r", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "d", DAXKV_DUP_SORT);
	struct daxkv_db_stat stat;
	(void)state;
	OK(put(txn, db, "a", "before", 0));
	OK(put(txn, db, "c", "behind", 0));
	for (int i = 0; i < 2000; i++) {
		char value[16];
		snprintf(value, sizeof value, "%08d", i * 7919 % 2000);
		OK(put(txn, db, "b", value, 0));
	}
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	assert_true(has(txn, db, "b", "00000000"));
	struct daxkv_val k = text("b");
	struct daxkv_cursor *c;
	OK(daxkv_cursor_open(txn, db, &c));
	OK(daxkv_cursor_get(
	    c, &k, NULL,
	    DAXKV_SEEK)); /* the key to delete lies in a page that the deletion rewrites */
	OK(daxkv_del(txn, db, &k, NULL));
	OK(daxkv_db_stat(txn, db, &stat));
	assert_int_equal(stat.entries, 2);
	assert_true(has(txn, db, "a", "before") && has(txn, db, "b", NULL) &&
	            has(txn, db, "c", "behind"));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* Keys and values handed in that are pointers got from the store: a swap of records, in a page that
 * is rewritten where it is. */
static void inputs_that_lie_in_the_store(void **state)
{
	static const size_t lens[] = {20, 60, 170, 3000};
	(void)state;
	for (size_t len = 0; len < 4; len++)
		for (int own = 0; own < 2; own++) {
			struct daxkv_store *store = store_new("r", 512);
			struct daxkv_txn *txn = begin(store);
			uint64_t from[40], x = 5;
			for (uint64_t i = 0; i < 40; i++) {
				OK(put_n(txn, MAIN, i, lens[len], i));
				from[i] = i; /* whose value record i has */
			}
			if (!own) { /* else the pages are the transaction's own and edited in place
				     */
				OK(daxkv_txn_commit(txn));
				txn = begin(store);
			}
			for (int step = 0; step < 400; step++) {
				uint64_t a = random_next(&x) % 40, b = random_next(&x) % 40;
				char buf[17];
				struct daxkv_val k = key_n(buf, b), v, key;
				struct daxkv_cursor *c;
				OK(daxkv_cursor_open(txn, MAIN, &c));
				OK(daxkv_cursor_get(c, &k, NULL, DAXKV_SEEK));
				k = key_n(buf, a);
				OK(daxkv_get(txn, MAIN, &k, &v));
				OK(daxkv_cursor_get(
				    c, &key, NULL,
				    DAXKV_GET_CURRENT)); /* the key, too, lies in the store now */
				OK(step % 2 ? daxkv_put(txn, MAIN, &key, &v, 0)
				            : daxkv_cursor_put(c, &key, &v, 0));
				from[b] = from[a];
				if (step % 2 ==
				    0) { /* the cursor stands on the record that was put */
					OK(daxkv_cursor_get(c, &key, NULL, DAXKV_GET_CURRENT));
					assert_true(key.size == 16 &&
					            memcmp(key.data, key_n(buf, b).data, 16) == 0);
				}
				daxkv_cursor_close(c);
			}
			for (uint64_t i = 0; i < 40; i++) {
				char buf[17];
				uint8_t *expected = malloc(lens[len]);
				struct daxkv_val k = key_n(buf, i), v;
				assert_non_null(expected);
				fill_n(expected, lens[len], from[i], from[i]);
				OK(daxkv_get(txn, MAIN, &k, &v));
				assert_int_equal(v.size, lens[len]);
				assert_memory_equal(v.data, expected, v.size);
				free(expected);
			}
			OK(daxkv_txn_commit(txn));
			store_done(store);
		}
}

/* The pairs of a database with duplicates put again under another key, straight from the pages. */
static void pairs_copied_within_the_store(void **state)
{
	struct daxkv_store *store = store_new("r", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "d", DAXKV_DUP_SORT);
	struct daxkv_cursor *c, *to;
	struct daxkv_val k, v, b = text("b");
	uint64_t n = 0;
	(void)state;
	for (int i = 0; i < 300; i++) {
		char value[24];
		snprintf(value, sizeof value, "%06d of some length", i);
		OK(put(txn, db, "a", value, 0));
	}
	OK(daxkv_cursor_open(txn, db, &c));
	OK(daxkv_cursor_open(txn, db, &to));
	k = text("a");
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK));
	do {
		OK(daxkv_cursor_put(to, &b, &v, 0));
		OK(daxkv_cursor_get(to, &k, &v, DAXKV_GET_CURRENT));
		assert_true(k.size == 1 && *(char *)k.data == 'b' && atol(v.data) == (long)n);
		n++;
	} while (daxkv_cursor_get(c, &k, &v, DAXKV_NEXT_DUP) == 0);
	assert_int_equal(n, 300);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* many_agrees - daxkv_get_many gives for keys 0 .. n + 2, and one that is too long, what daxkv_get
 * gives. */
static void many_agrees(struct daxkv_txn *txn, daxkv_db db, uint64_t n)
{
	static char names[3000][17], too_long[9000];
	static struct daxkv_val key[3000], value[3000];
	static int result[3000];
	const size_t count = n + 4;
	for (size_t i = 0; i < count - 1; i++)
		key[i] = key_n(names[i], i);
	key[count - 1] = bytes(too_long, sizeof too_long);
	OK(daxkv_get_many(txn, db, count, key, value, result));
	for (size_t i = 0; i < count; i++) {
		struct daxkv_val v;
		assert_int_equal(result[i], daxkv_get(txn, db, &key[i], &v));
		if (result[i] == 0)
			assert_true(v.size == value[i].size && v.data == value[i].data);
	}
}

static void many_at_once(void **state)
{
	static const unsigned int flags[] = {0, DAXKV_REVERSE_KEY, DAXKV_DUP_SORT};
	struct daxkv_store *store = store_new("r", 512);
	(void)state;
	for (size_t f = 0; f < 3; f++) {
		struct daxkv_txn *txn = begin(store), *old;
		char name[2] = {(char)('a' + f), 0};
		daxkv_db db = db_of(txn, name, flags[f]);
		many_agrees(txn, db, 5); /* empty */
		for (uint64_t n = 0; n < 2000; n += 1 + n % 3)
			OK(put_n(txn, db, n, f == 2 ? n % 40 : n % 300, 1));
		many_agrees(txn, db, 2000);
		OK(daxkv_txn_commit(txn));
		old = begin_reading(store);
		txn = begin(store);
		for (uint64_t n = 0; n < 2000; n += 7)
			if (n % 2)
				OK(put_n(txn, db, n, 20, 2));
			else
				(void)del_n(txn, db, n); /* some are not there */
		many_agrees(txn, db, 2000);
		OK(daxkv_txn_commit(txn));
		many_agrees(old, db, 2000);
		assert_int_equal(daxkv_get_many(old, 77, 0, NULL, NULL, NULL), DAXKV_BAD_DB);
		daxkv_txn_abort(old);
	}
	store_done(store);
}

/* has_pair - a search by the pair finds it. */
static bool has_pair(struct daxkv_txn *txn, daxkv_db db, struct daxkv_val k, struct daxkv_val v)
{
	struct daxkv_cursor *cursor;

	OK(daxkv_cursor_open(txn, db, &cursor));
	int rc = daxkv_cursor_get(cursor, &k, &v, DAXKV_SEEK_PAIR);

	daxkv_cursor_close(cursor);
	return !rc;
}

/* reserve_filled - the key's first value, of four bytes that are all fill. */
static void reserve_filled(struct daxkv_txn *txn, daxkv_db db, struct daxkv_val k, int fill)
{
	struct daxkv_val v = {4, NULL};

	OK(daxkv_put(txn, db, &k, &v, DAXKV_RESERVE));
	memset(v.data, fill, v.size);
}

/* del_first - the key's first value goes, alone. */
static void del_first(struct daxkv_txn *txn, daxkv_db db, struct daxkv_val k)
{
	struct daxkv_val v;

	OK(daxkv_get(txn, db, &k, &v));
	OK(daxkv_del(txn, db, &k, &v));
}

/* delete_beside - a cursor stands on the entry before the key when its value is reserved, and
 * deletes it then; it is put again. */
static void delete_beside(struct daxkv_txn *txn, daxkv_db db, struct daxkv_val k, int fill)
{
	struct daxkv_val near = k, v;
	struct daxkv_cursor *cursor;
	char name[8];

	OK(daxkv_cursor_open(txn, db, &cursor));
	OK(daxkv_cursor_get(cursor, &near, &v, DAXKV_SEEK_LE));
	assert_true(near.size < sizeof name);
	snprintf(name, sizeof name, "%.*s", (int)near.size, (const char *)near.data);
	reserve_filled(txn, db, k, fill);
	OK(daxkv_cursor_del(cursor, 0));
	daxkv_cursor_close(cursor);
	assert_false(has(txn, db, name, "beside"));
	OK(put(txn, db, name, "beside", 0));
}

/* A key that had values has left separators with them. Wherever a reserved value's bytes belong
 * beside those, it is found there: by the next change, in a nested transaction, after a commit. */
static void reserved_duplicates_go_where_their_bytes_belong(void **state)
{
	static const int fills[] = {0, 1, 9, 20, 30, 50, 255};
	struct daxkv_val k = text("m");
	(void)state;

	for (unsigned int n = 1; n < 60; n += 3) {
		struct daxkv_store *store = store_new("r", 512);
		struct daxkv_txn *txn = begin(store), *child;
		daxkv_db db = db_of(txn, "d", DAXKV_DUP_SORT);
		char name[8];

		for (int i = 0; i < 60; i++) {
			snprintf(name, sizeof name, "%c%d", i % 2 ? 'a' : 'z', i);
			OK(put(txn, db, name, "beside", 0));
		}
		for (unsigned int i = 0; i < n; i++) {
			uint8_t value[4] = {(uint8_t)(i + 1), 1, 2, 3};
			struct daxkv_val v = bytes(value, 4);

			OK(daxkv_put(txn, db, &k, &v, 0));
		}
		OK(daxkv_txn_commit(txn));
		txn = begin(store);
		for (unsigned int i = 0; i < n; i++)
			del_first(txn, db, k);
		OK(daxkv_txn_commit(txn));
		for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
			uint8_t filled[4];
			struct daxkv_val v = bytes(filled, 4);

			memset(filled, fills[i], 4);
			txn = begin(store);
			if (i)
				del_first(txn, db, k);
			reserve_filled(txn, db, k, fills[i]);
			OK(put(txn, db, "a0", "next change", 0));
			assert_true(has_pair(txn, db, k, v));
			assert_int_equal(daxkv_put(txn, db, &k, &v, DAXKV_NO_DUP_DATA),
			                 DAXKV_EXIST);
			OK(daxkv_del(txn, db, &k, &v));
			child = begin_in(txn);
			reserve_filled(child, db, k, fills[i]);
			OK(daxkv_txn_commit(child));
			assert_true(has_pair(txn, db, k, v));
			OK(daxkv_del(txn, db, &k, &v));
			delete_beside(txn, db, k, fills[i]);
			assert_true(has_pair(txn, db, k, v));
			OK(daxkv_del(txn, db, &k, &v));
			reserve_filled(txn, db, k, fills[i]);
			OK(daxkv_txn_commit(txn));
			txn = begin_reading(store);
			assert_true(has_pair(txn, db, k, v));
			daxkv_txn_abort(txn);
			store_check(store);
		}
		store_done(store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(key_sizes),
	    TEST(value_sizes),
	    TEST(blob_pages_are_counted_and_freed),
	    TEST(flags_of_put),
	    TEST(append_in_an_empty_database),
	    TEST(reserved_values),
	    TEST(integer_keys_and_values_can_be_read_in_place),
	    TEST(duplicates),
	    TEST(reserved_duplicates_go_where_their_bytes_belong),
	    TEST(many_duplicates_deleted),
	    TEST(inputs_that_lie_in_the_store),
	    TEST(pairs_copied_within_the_store),
	    TEST(many_at_once),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
