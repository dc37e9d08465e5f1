/* SPDX-License-Identifier: BSD-3-Clause */
/* Cursors: every move in databases with and without duplicates, places kept while the tree changes,
 * changes through a cursor, and lives. */
#include "small_store.h"

#define MAIN DAXKV_MAIN

static daxkv_db dups_db(struct daxkv_txn *txn)
{
	struct daxkv_val name = text("dups");
	daxkv_db db = 0;
	OK(daxkv_db_open(txn, &name, DAXKV_CREATE | DAXKV_DUP_SORT, &db));
	return db;
}

static struct daxkv_cursor *cursor(struct daxkv_txn *txn, daxkv_db db)
{
	struct daxkv_cursor *c = NULL;
	OK(daxkv_cursor_open(txn, db, &c));
	return c;
}

/* moved - make the move; "key=value" is where the cursor stands, "" is NOT_FOUND. */
static bool moved(struct daxkv_cursor *c, enum daxkv_cursor_op op, const char *expected)
{
	struct daxkv_val k, v;
	char got[128];
	int rc = daxkv_cursor_get(c, &k, &v, op);
	if (!*expected)
		return rc == DAXKV_NOT_FOUND;
	OK(rc);
	snprintf(got, sizeof got, "%.*s=%.*s", (int)k.size, (char *)k.data, (int)v.size,
	         (char *)v.data);
	if (strcmp(got, expected) != 0)
		print_error("at %s, not at %s\n", got, expected);
	return strcmp(got, expected) == 0;
}

static bool sought(struct daxkv_cursor *c, enum daxkv_cursor_op op, const char *key,
                   const char *value, const char *expected)
{
	struct daxkv_val k = text(key), v = text(value ? value : "");
	char got[128];
	int rc = daxkv_cursor_get(c, &k, &v, op);
	if (!*expected)
		return rc == DAXKV_NOT_FOUND;
	OK(rc);
	snprintf(got, sizeof got, "%.*s=%.*s", (int)k.size, (char *)k.data, (int)v.size,
	         (char *)v.data);
	if (strcmp(got, expected) != 0)
		print_error("at %s, not at %s\n", got, expected);
	return strcmp(got, expected) == 0;
}

static int cursor_put(struct daxkv_cursor *c, const char *key, const char *value,
                      unsigned int flags)
{
	struct daxkv_val k = text(key), v = text(value);
	return daxkv_cursor_put(c, &k, &v, flags);
}

static void moves_in_an_empty_database(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	(void)state;
	for (int round = 0; round < 2; round++) { /* never used; emptied */
		struct daxkv_txn *txn = begin(store);
		struct daxkv_cursor *c = cursor(txn, MAIN);
		const enum daxkv_cursor_op ops[] = {DAXKV_FIRST,    DAXKV_LAST,     DAXKV_NEXT,
		                                    DAXKV_PREV,     DAXKV_NEXT_KEY, DAXKV_PREV_KEY,
		                                    DAXKV_NEXT_DUP, DAXKV_PREV_DUP};
		for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
			assert_true(moved(c, ops[i], ""));
		assert_true(sought(c, DAXKV_SEEK, "a", NULL, "") &&
		            sought(c, DAXKV_SEEK_GE, "a", NULL, "") &&
		            sought(c, DAXKV_SEEK_LE, "a", NULL, ""));
		OK(put(txn, MAIN, "a", "1", 0));
		assert_true(moved(c, DAXKV_NEXT, "a=1"));
		OK(daxkv_cursor_del(c, 0));
		assert_true(moved(c, DAXKV_NEXT, "") && moved(c, DAXKV_PREV, ""));
		OK(daxkv_txn_commit(txn));
	}
	store_done(store);
}

static void unpositioned(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	struct daxkv_txn *txn;
	struct daxkv_val k, v;
	uint64_t n;
	int several;
	(void)state;
	put_one(store, "a", "1");
	put_one(store, "b", "2");
	txn = begin(store);
	struct daxkv_cursor *c = cursor(txn, MAIN);
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT), EINVAL);
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_FIRST_DUP), EINVAL);
	assert_int_equal(daxkv_cursor_get(c, &k, &v, (enum daxkv_cursor_op)99), EINVAL);
	assert_int_equal(daxkv_cursor_get(c, NULL, &v, DAXKV_SEEK), EINVAL);
	assert_int_equal(daxkv_cursor_get(NULL, &k, &v, DAXKV_FIRST), EINVAL);
	assert_int_equal(daxkv_cursor_del(c, 0), EINVAL);
	assert_int_equal(daxkv_cursor_count(c, &n), EINVAL);
	assert_int_equal(daxkv_cursor_several(c, &several), EINVAL);
	assert_int_equal(cursor_put(c, "a", "9", DAXKV_CURRENT), EINVAL);
	assert_true(moved(c, DAXKV_PREV, "b=2"));           /* LAST */
	assert_true(sought(c, DAXKV_SEEK, "aa", NULL, "")); /* a failed seek gives the place up */
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT), EINVAL);
	assert_true(moved(c, DAXKV_NEXT, "a=1"));
	assert_true(moved(c, DAXKV_PREV, "") &&
	            moved(c, DAXKV_GET_CURRENT, "a=1")); /* a failed move does not */
	assert_true(moved(c, DAXKV_NEXT, "b=2") && moved(c, DAXKV_NEXT, "") &&
	            moved(c, DAXKV_GET_CURRENT, "b=2"));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* Seeks at, between and outside of the keys of a tree of many leaves. */
static void seeks(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin(store);
	char key[16], expected[32];
	(void)state;
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof key, "k%05d", 2 * (i * 173 % 500) + 1);
		OK(put(txn, MAIN, key, "v", 0));
	}
	struct daxkv_cursor *c = cursor(txn, MAIN);
	for (int i = 0; i <= 1000; i++) {
		int ge = i % 2 ? i : i + 1, le = i % 2 ? i : i - 1;
		snprintf(key, sizeof key, "k%05d", i);
		snprintf(expected, sizeof expected, "k%05d=v", ge);
		assert_true(sought(c, DAXKV_SEEK_GE, key, NULL, ge > 999 ? "" : expected));
		snprintf(expected, sizeof expected, "k%05d=v", le);
		assert_true(sought(c, DAXKV_SEEK_LE, key, NULL, le < 1 ? "" : expected));
		assert_true(sought(c, DAXKV_SEEK, key, NULL, i % 2 ? expected : ""));
		if (i % 2 == 0)
			continue;
		snprintf(expected, sizeof expected, "k%05d=v", i + 2);
		assert_true(moved(c, DAXKV_NEXT, i == 999 ? "" : expected));
		if (i < 999) {
			snprintf(expected, sizeof expected, "k%05d=v", i);
			assert_true(moved(c, DAXKV_PREV, expected));
		}
	}
	struct daxkv_val k = bytes("x", 0), v;
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK_GE), DAXKV_KEY_SIZE);
	assert_int_equal(sought(c, DAXKV_SEEK, "k", NULL, ""), true);
	k = text("k00001");
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK_PAIR), DAXKV_INCOMPATIBLE);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void moves_among_duplicates(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = dups_db(txn);
	struct daxkv_cursor *c = cursor(txn, db);
	uint64_t n = 0;
	(void)state;
	static const char *const pairs[][2] = {{"a", "1"}, {"b", "1"}, {"b", "2"}, {"b", "3"},
	                                       {"c", "1"}, {"d", "1"}, {"d", "2"}};
	for (size_t i = 0; i < 7; i++)
		OK(put(txn, db, pairs[i * 3 % 7][0], pairs[i * 3 % 7][1], 0));
	assert_true(moved(c, DAXKV_FIRST, "a=1") && moved(c, DAXKV_NEXT_DUP, "") &&
	            moved(c, DAXKV_PREV_DUP, ""));
	assert_true(moved(c, DAXKV_NEXT_KEY, "b=1") && moved(c, DAXKV_NEXT_DUP, "b=2") &&
	            moved(c, DAXKV_NEXT_DUP, "b=3") && moved(c, DAXKV_NEXT_DUP, ""));
	assert_true(moved(c, DAXKV_GET_CURRENT, "b=3") && moved(c, DAXKV_NEXT, "c=1") &&
	            moved(c, DAXKV_PREV_KEY, "b=3"));
	assert_true(moved(c, DAXKV_FIRST_DUP, "b=1") && moved(c, DAXKV_LAST_DUP, "b=3") &&
	            moved(c, DAXKV_PREV_DUP, "b=2"));
	OK(daxkv_cursor_count(c, &n));
	assert_true(n == 3 && moved(c, DAXKV_GET_CURRENT, "b=2"));
	assert_true(moved(c, DAXKV_NEXT_KEY, "c=1") && moved(c, DAXKV_NEXT_KEY, "d=1") &&
	            moved(c, DAXKV_NEXT_KEY, "") && moved(c, DAXKV_NEXT, "d=2"));
	assert_true(moved(c, DAXKV_LAST, "d=2") && moved(c, DAXKV_PREV_KEY, "c=1"));
	assert_true(sought(c, DAXKV_SEEK, "b", NULL, "b=1") &&
	            sought(c, DAXKV_SEEK_LE, "b", NULL, "b=3") &&
	            sought(c, DAXKV_SEEK_GE, "bb", NULL, "c=1"));
	assert_true(sought(c, DAXKV_SEEK_PAIR, "b", "2", "b=2") &&
	            sought(c, DAXKV_SEEK_PAIR, "b", "22", "") &&
	            sought(c, DAXKV_SEEK_PAIR, "x", "1", ""));
	assert_true(sought(c, DAXKV_SEEK_PAIR_GE, "b", "22", "b=3") &&
	            sought(c, DAXKV_SEEK_PAIR_GE, "b", "4", "") &&
	            sought(c, DAXKV_SEEK_PAIR_GE, "b", "", "b=1"));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* Thousands of duplicates over many leaves, between two other keys. */
static void duplicates_over_many_leaves(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = dups_db(txn);
	struct daxkv_cursor *c = cursor(txn, db);
	uint64_t n = 0;
	char value[16], expected[32];
	(void)state;
	OK(put(txn, db, "a", "x", 0));
	OK(put(txn, db, "c", "x", 0));
	for (int i = 0; i < 1500; i++) {
		snprintf(value, sizeof value, "%06d", i * 701 % 1500);
		OK(put(txn, db, "b", value, 0));
	}
	assert_true(moved(c, DAXKV_FIRST, "a=x") && moved(c, DAXKV_NEXT_KEY, "b=000000"));
	OK(daxkv_cursor_count(c, &n));
	assert_int_equal(n, 1500);
	for (int i = 1; i < 1500; i++) {
		snprintf(expected, sizeof expected, "b=%06d", i);
		assert_true(moved(c, DAXKV_NEXT_DUP, expected));
	}
	assert_true(moved(c, DAXKV_NEXT_DUP, "") && moved(c, DAXKV_NEXT_KEY, "c=x") &&
	            moved(c, DAXKV_PREV_KEY, "b=001499"));
	assert_true(moved(c, DAXKV_FIRST_DUP, "b=000000") && moved(c, DAXKV_PREV, "a=x"));
	assert_true(sought(c, DAXKV_SEEK_PAIR, "b", "000777", "b=000777"));
	OK(daxkv_cursor_del(c, DAXKV_NO_DUP_DATA));
	assert_true(moved(c, DAXKV_NEXT, "c=x") && moved(c, DAXKV_PREV, "a=x"));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void place_is_kept_while_the_tree_changes(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *c[10];
	(void)state;
	for (uint64_t i = 0; i < 1000; i += 10)
		OK(put_n(txn, MAIN, i, 20, 0));
	for (uint64_t i = 0; i < 10; i++) {
		char buf[17];
		struct daxkv_val k = key_n(buf, i * 100), v;
		c[i] = cursor(txn, MAIN);
		OK(daxkv_cursor_get(c[i], &k, &v, DAXKV_SEEK));
	}
	for (uint64_t i = 0; i < 1000;
	     i++) /* splits everywhere, and the records under the odd cursors go */
		OK(i % 200 == 100 ? del_n(txn, MAIN, i) : put_n(txn, MAIN, i, 30, 1));
	for (uint64_t i = 0; i < 10; i++) {
		struct daxkv_val k, v;
		char buf[17];
		OK(daxkv_cursor_get(
		    c[i], &k, &v,
		    i % 2 ? DAXKV_NEXT
		          : DAXKV_GET_CURRENT)); /* what followed the record that is gone */
		assert_memory_equal(k.data, key_n(buf, i * 100 + i % 2).data, 16);
		OK(daxkv_cursor_get(c[i], &k, &v, DAXKV_NEXT));
		assert_memory_equal(k.data, key_n(buf, i * 100 + i % 2 + 1).data, 16);
		daxkv_cursor_close(c[i]);
	}
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void deletion_through_the_cursor(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *c;
	struct daxkv_val k, v;
	uint64_t n = 0;
	(void)state;
	for (uint64_t i = 0; i < 500; i++)
		OK(put_n(txn, MAIN, i, 20, 0));
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	c = cursor(txn, MAIN);
	while (daxkv_cursor_get(c, &k, &v, DAXKV_NEXT) == 0) { /* every third stays */
		if (n++ % 3 == 2)
			continue;
		OK(daxkv_cursor_del(c, 0));
	}
	assert_int_equal(n, 500);
	assert_int_equal(daxkv_cursor_del(c, 0), DAXKV_NOT_FOUND); /* behind the end */
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT), DAXKV_NOT_FOUND);
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_PREV));
	daxkv_cursor_close(c);
	for (uint64_t i = 0; i < 500; i++)
		assert_true(i % 3 == 2 ? has_n(txn, MAIN, i, 20, 0) : lacks_n(txn, MAIN, i));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void put_through_the_cursor(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = dups_db(txn);
	struct daxkv_cursor *c = cursor(txn, MAIN), *d = cursor(txn, db);
	struct daxkv_val k, v;
	(void)state;
	OK(cursor_put(c, "b", "1", 0));
	assert_true(moved(c, DAXKV_GET_CURRENT, "b=1"));
	OK(cursor_put(c, "a", "1", 0));
	assert_true(moved(c, DAXKV_NEXT, "b=1"));
	assert_int_equal(cursor_put(c, "a", "2", DAXKV_NO_OVERWRITE), DAXKV_EXIST);
	assert_true(moved(c, DAXKV_GET_CURRENT, "a=1")); /* it stands on what is there */
	OK(cursor_put(c, "a", "3", DAXKV_CURRENT));
	assert_true(moved(c, DAXKV_GET_CURRENT, "a=3"));
	assert_int_equal(cursor_put(c, "b", "3", DAXKV_CURRENT), EINVAL);
	k = text("a");
	v = (struct daxkv_val){3000, NULL};
	OK(daxkv_cursor_put(c, &k, &v, DAXKV_RESERVE | DAXKV_CURRENT));
	memset(v.data, 'r', v.size);
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT));
	assert_true(v.size == 3000 && *(char *)v.data == 'r');
	OK(cursor_put(d, "k", "2", 0));
	OK(cursor_put(d, "k", "1", 0));
	assert_true(moved(d, DAXKV_GET_CURRENT, "k=1") && moved(d, DAXKV_NEXT_DUP, "k=2"));
	OK(cursor_put(d, "k", "0", DAXKV_CURRENT)); /* the pair moves to its new place */
	assert_true(moved(d, DAXKV_GET_CURRENT, "k=0") && moved(d, DAXKV_NEXT, "k=1") &&
	            moved(d, DAXKV_NEXT, ""));
	assert_int_equal(cursor_put(d, "k", "1", DAXKV_NO_DUP_DATA), DAXKV_EXIST);
	OK(daxkv_cursor_del(d, 0));
	assert_true(moved(d, DAXKV_FIRST, "k=0") && moved(d, DAXKV_NEXT, ""));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* A scan that replaces what it sees, and looks back: at entries of the base and of the tail.
 * Caught: here_stay that leaves uniform.all. */
static void steps_over_replaced_entries(void **state)
{
	struct daxkv_store *store = store_new("replaced", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *c;
	char key[8];
	(void)state;

	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof key, "key%03d", i);
		OK(put(txn, MAIN, key, "value", 0));
	}
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	c = cursor(txn, MAIN);
	assert_true(moved(c, DAXKV_NEXT, "key000=value"));
	assert_true(moved(c, DAXKV_NEXT, "key001=value"));
	OK(cursor_put(c, "key001", "other", DAXKV_CURRENT));
	assert_true(moved(c, DAXKV_NEXT, "key002=value"));
	assert_true(moved(c, DAXKV_PREV, "key001=other"));
	OK(cursor_put(c, "key001", "longer", DAXKV_CURRENT));
	assert_true(moved(c, DAXKV_PREV, "key000=value"));
	assert_true(moved(c, DAXKV_NEXT, "key001=longer"));
	assert_true(moved(c, DAXKV_NEXT_KEY, "key002=value"));
	assert_true(moved(c, DAXKV_PREV_KEY, "key001=longer"));
	assert_true(moved(c, DAXKV_NEXT, "key002=value"));
	OK(daxkv_cursor_del(c, 0));
	assert_true(moved(c, DAXKV_GET_CURRENT, "key003=value"));
	assert_true(moved(c, DAXKV_PREV, "key001=longer"));
	assert_true(moved(c, DAXKV_NEXT, "key003=value"));
	assert_true(moved(c, DAXKV_NEXT_KEY, "key004=value"));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void lives(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	struct daxkv_txn *r, *w;
	struct daxkv_cursor *c, *x = NULL;
	struct daxkv_val k, v;
	(void)state;
	put_one(store, "a", "1");
	r = begin_reading(store);
	c = cursor(r, MAIN);
	assert_ptr_equal(daxkv_cursor_txn(c), r);
	assert_int_equal(daxkv_cursor_db(c), MAIN);
	assert_true(moved(c, DAXKV_FIRST, "a=1"));
	assert_int_equal(daxkv_cursor_del(c, 0), EACCES);
	assert_int_equal(cursor_put(c, "a", "2", 0), EACCES);
	daxkv_txn_reset(r);
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_NEXT), DAXKV_BAD_TXN);
	put_one(store, "a", "2");
	OK(daxkv_txn_renew(r));
	assert_true(moved(c, DAXKV_GET_CURRENT, "a=2")); /* its place, in the new snapshot */
	daxkv_txn_abort(r);
	assert_null(daxkv_cursor_txn(c));
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_FIRST), DAXKV_BAD_TXN);
	w = begin(store);
	assert_int_equal(daxkv_cursor_renew(w, c), EINVAL);
	x = cursor(w, MAIN);
	r = begin_reading(store);
	assert_int_equal(daxkv_cursor_renew(r, x), EINVAL);
	assert_int_equal(daxkv_cursor_renew(r, NULL), EINVAL);
	OK(daxkv_cursor_renew(r, c));
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT), EINVAL); /* unpositioned */
	assert_true(moved(c, DAXKV_NEXT, "a=2"));
	daxkv_txn_abort(w); /* its cursor goes along */
	x = cursor(r, MAIN);
	assert_true(moved(x, DAXKV_LAST, "a=2"));
	daxkv_cursor_close(x);
	daxkv_cursor_close(c);
	c = cursor(r, MAIN); /* the memory of those may be theirs: they are nowhere */
	x = cursor(r, MAIN);
	assert_ptr_not_equal(c, x);
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT), EINVAL);
	assert_int_equal(daxkv_cursor_get(x, &k, &v, DAXKV_GET_CURRENT), EINVAL);
	daxkv_cursor_close(x);
	daxkv_cursor_close(c);
	daxkv_cursor_close(NULL);
	assert_int_equal(daxkv_cursor_open(r, 99, &c), DAXKV_BAD_DB);
	daxkv_txn_abort(r);
	store_done(store);
}

/* A parent's cursor keeps its place while a child changes the tree under it, whatever becomes of
 * the child. */
static void place_of_a_parents_cursor(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	(void)state;
	for (int keep = 0; keep < 2; keep++) {
		struct daxkv_txn *txn = begin(store), *child;
		struct daxkv_cursor *c;
		struct daxkv_val k, v;
		char buf[17];
		for (uint64_t i = 0; i < 100; i++)
			OK(put_n(txn, MAIN, 2 * i, 20, 0));
		c = cursor(txn, MAIN);
		k = key_n(buf, 100);
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK));
		child = begin_in(txn);
		for (uint64_t i = 0; i < 200; i++)
			OK(i < 90 && i % 2 == 0 ? del_n(child, MAIN, i)
			                        : put_n(child, MAIN, i, 30, 1));
		if (keep)
			OK(daxkv_txn_commit(child));
		else
			daxkv_txn_abort(child);
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT));
		assert_memory_equal(k.data, key_n(buf, 100).data, 16);
		assert_int_equal(v.size, keep ? 30 : 20);
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_NEXT));
		assert_memory_equal(k.data, key_n(buf, keep ? 101 : 102).data, 16);
		daxkv_txn_abort(txn);
	}
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(moves_in_an_empty_database),
	    TEST(unpositioned),
	    TEST(seeks),
	    TEST(moves_among_duplicates),
	    TEST(duplicates_over_many_leaves),
	    TEST(place_is_kept_while_the_tree_changes),
	    TEST(deletion_through_the_cursor),
	    TEST(put_through_the_cursor),
	    TEST(steps_over_replaced_entries),
	    TEST(lives),
	    TEST(place_of_a_parents_cursor),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
