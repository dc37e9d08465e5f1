/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs of ascending keys, which lie in memory until somebody looks at the tree: whoever looks must
 * see them, and an abort must forget them. */
#include "small_store.h"
#include "txn/dbi.h"

#define MAIN DAXKV_MAIN

static bool has_batch(struct daxkv_txn *txn, daxkv_db db)
{
	struct dbstate *s = NULL;

	OK(dbi_state(txn, db, &s));
	return s->tree.batch != NULL;
}

static void append(struct daxkv_txn *txn, daxkv_db db, uint64_t from, uint64_t to,
                   unsigned int flags)
{
	for (uint64_t i = from; i < to; i++) {
		char key[32], value[64];

		snprintf(key, sizeof key, "key-%08lu", (unsigned long)i);
		snprintf(value, sizeof value, "value of %lu, of some length", (unsigned long)i);
		OK(put(txn, db, key, value, flags));
	}
}

static void all_there(struct daxkv_txn *txn, daxkv_db db, uint64_t n)
{
	struct daxkv_cursor *cursor = NULL;
	struct daxkv_val key, value;
	struct daxkv_db_stat stat;
	uint64_t i = 0;
	int rc;

	OK(daxkv_db_stat(txn, db, &stat));
	assert_int_equal(stat.entries, n);
	OK(daxkv_cursor_open(txn, db, &cursor));
	while ((rc = daxkv_cursor_get(cursor, &key, &value, DAXKV_NEXT)) == 0) {
		char expected[32];

		snprintf(expected, sizeof expected, "key-%08lu", (unsigned long)i++);
		assert_true(key.size == strlen(expected) &&
		            memcmp(key.data, expected, key.size) == 0);
	}
	assert_int_equal(rc, DAXKV_NOT_FOUND);
	assert_int_equal(i, n);
	daxkv_cursor_close(cursor);
}

static void seen_by_every_way_of_looking(void **state)
{
	struct daxkv_store *store = store_new("rise", 512);
	struct daxkv_txn *txn = begin(store);
	(void)state;
	append(txn, MAIN, 0, 2000, 0);
	assert_true(has_batch(txn, MAIN));
	assert_true(has(txn, MAIN, "key-00001999", "value of 1999, of some length"));
	assert_false(has_batch(txn, MAIN));
	all_there(txn, MAIN, 2000);
	append(txn, MAIN, 2000, 4000, DAXKV_APPEND);
	assert_true(has_batch(txn, MAIN));
	struct daxkv_db_stat stat;
	OK(daxkv_db_stat(txn, MAIN, &stat));
	assert_int_equal(stat.entries, 4000);
	append(txn, MAIN, 4000, 4100, 0);
	struct daxkv_val keys[2] = {text("key-00004099"), text("key-00004100")}, values[2];
	int results[2];
	OK(daxkv_get_many(txn, MAIN, 2, keys, values, results));
	assert_true(results[0] == 0 && results[1] == DAXKV_NOT_FOUND);
	append(txn, MAIN, 4100, 4200, DAXKV_NO_OVERWRITE);
	assert_int_equal(put(txn, MAIN, "key-00004199", "x", DAXKV_NO_OVERWRITE), DAXKV_EXIST);
	assert_int_equal(put(txn, MAIN, "key-00004199", "x", DAXKV_APPEND), DAXKV_EXIST);
	assert_int_equal(put(txn, MAIN, "key-00000000", "x", DAXKV_APPEND), DAXKV_EXIST);
	OK(put(txn, MAIN, "key-00000000", "changed", 0));
	append(txn, MAIN, 4200, 4300, 0);
	OK(del(txn, MAIN, "key-00004299", NULL));
	append(txn, MAIN, 4299, 4300, 0);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	all_there(txn, MAIN, 4300);
	assert_true(has(txn, MAIN, "key-00000000", "changed"));
	daxkv_txn_abort(txn);
	store_done(store);
}

static void committed_with_a_batch(void **state)
{
	struct daxkv_store *store = store_new("rise", 512);
	(void)state;
	for (uint64_t i = 0; i < 20; i++) { /* each goes on behind what the one before committed */
		struct daxkv_txn *txn = begin(store);
		append(txn, MAIN, i * i * 10, (i + 1) * (i + 1) * 10, 0);
		assert_true(i < 3 || has_batch(txn, MAIN)); /* one may have been flushed at its
		                                               length, and the next not begun */
		OK(daxkv_txn_commit(txn));
		store_check(store);
	}
	struct daxkv_txn *txn = begin_reading(store);
	all_there(txn, MAIN, 4000);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* A last leaf that is committed, with a tail or without, is left to those who see it: after some
 * puts the batch goes on in a page of its own. */
static void behind_a_committed_leaf(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 60; n++)
		for (int fate = 0; fate < 3;
		     fate++) { /* aborted; committed; as a child whose parent is aborted */
			struct daxkv_store *store = store_new("rise", 512);
			struct daxkv_txn *txn = begin(store), *child = NULL, *old;
			uint64_t after;
			bool began = false;

			append(txn, MAIN, 0, n, 0);
			OK(daxkv_txn_commit(txn));
			txn = begin(store);
			append(txn, MAIN, n, n + 3, 0);
			OK(daxkv_txn_commit(txn));
			old = begin_reading(store);
			txn = begin(store);
			if (fate == 2) {
				append(txn, MAIN, n + 3, n + 5, 0);
				OK(daxkv_txn_begin(store, txn, 0, &child));
			}
			after = n + (fate == 2 ? 5 : 3);
			for (uint64_t i = 0; i < 24; i++) {
				append(child ? child : txn, MAIN, after + i, after + i + 1, 0);
				began |= has_batch(child ? child : txn, MAIN);
			}
			assert_true(began);
			all_there(old, MAIN, n + 3);
			if (fate == 1) {
				OK(daxkv_txn_commit(txn));
				txn = begin(store);
			} else if (fate == 0) {
				daxkv_txn_abort(txn);
				txn = begin(store);
			} else {
				daxkv_txn_abort(child);
			}
			all_there(txn, MAIN, fate == 1 ? after + 24 : after);
			append(txn, MAIN, fate == 1 ? after + 24 : after, after + 40, 0);
			all_there(old, MAIN, n + 3);
			OK(daxkv_txn_commit(txn));
			all_there(old, MAIN, n + 3);
			daxkv_txn_abort(old);
			store_check(store);
			txn = begin_reading(store);
			all_there(txn, MAIN, after + 40);
			daxkv_txn_abort(txn);
			store_done(store);
		}
}

/* Each put's value is where a get just found another one, in the leaf that is about to be written
 * anew. */
static void values_from_the_leaf_itself(void **state)
{
	static uint8_t texts[200][100];
	(void)state;
	for (uint32_t kind = 0; kind < 2; kind++) /* entries of one size, and not */
		for (uint64_t n = 1; n < 100; n++) {
			struct daxkv_store *store = store_new("rise", 4096);
			struct daxkv_txn *txn = begin(store);
			char buf[17];
			for (uint64_t i = n; i-- > 0;) { /* falling: no batch */
				fill_n(texts[i], sizeof texts[i], i, 7);
				struct daxkv_val k = key_n(buf, i),
				                 v = bytes(texts[i],
				                           sizeof texts[i] - kind * (i % 3));
				OK(daxkv_put(txn, MAIN, &k, &v, 0));
			}
			for (uint64_t i = n; i < n + 30; i++) {
				struct daxkv_val k = key_n(buf, i - 1 - i % 2 * (i > 1)), v;
				OK(daxkv_get(txn, MAIN, &k, &v));
				memcpy(texts[i], v.data, v.size);
				k = key_n(buf, i);
				OK(daxkv_put(txn, MAIN, &k, &v, 0));
			}
			for (uint64_t i = 0; i < n + 30; i++) {
				struct daxkv_val k = key_n(buf, i), v;
				OK(daxkv_get(txn, MAIN, &k, &v));
				assert_memory_equal(v.data, texts[i], v.size);
			}
			OK(daxkv_txn_commit(txn));
			store_check(store);
			store_done(store);
		}
}

static void forgotten_by_an_abort(void **state)
{
	struct daxkv_store *store = store_new("rise", 512);
	struct daxkv_txn *txn = begin(store);
	(void)state;
	append(txn, MAIN, 0, 500, 0);
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	append(txn, MAIN, 500, 3000, 0);
	assert_true(has_batch(txn, MAIN));
	daxkv_txn_abort(txn);
	txn = begin(store);
	all_there(txn, MAIN, 500);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void nested(void **state)
{
	struct daxkv_store *store = store_new("rise", 512);
	struct daxkv_txn *txn = begin(store), *child;
	(void)state;
	append(txn, MAIN, 0, 500, 0);
	child = begin_in(txn);
	all_there(child, MAIN, 500);
	append(child, MAIN, 500, 1500, 0);
	assert_true(has_batch(child, MAIN));
	daxkv_txn_abort(child);
	all_there(txn, MAIN, 500);
	append(txn, MAIN, 500, 600, 0);
	child = begin_in(txn);
	append(child, MAIN, 600, 1600, 0);
	assert_true(has_batch(child, MAIN));
	OK(daxkv_txn_commit(child));
	append(txn, MAIN, 1600, 1700, 0);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	all_there(txn, MAIN, 1700);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* More databases than there are batches: the one used least recently gives its batch up. */
static void in_many_databases(void **state)
{
	struct daxkv_store *store = store_new("rise", 4096);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db[TREE_BATCHES + 2];
	unsigned int now = 0;
	(void)state;
	for (unsigned int d = 0; d < TREE_BATCHES + 2; d++) {
		char name[2] = {(char)('a' + d), 0};
		struct daxkv_val n = text(name);

		OK(daxkv_db_open(txn, &n, DAXKV_CREATE, &db[d]));
	}
	for (uint64_t i = 0; i < 100; i++)
		for (unsigned int d = 0; d < TREE_BATCHES + 2; d++)
			append(txn, db[d], i * 10, i * 10 + 10, 0);
	for (unsigned int d = 0; d < TREE_BATCHES + 2; d++)
		now += has_batch(txn, db[d]);
	assert_int_equal(now, TREE_BATCHES);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	for (unsigned int d = 0; d < TREE_BATCHES + 2; d++)
		all_there(txn, db[d], 1000);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void duplicates(void **state)
{
	struct daxkv_store *store = store_new("rise", 512);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val name = text("dup");
	daxkv_db db;
	(void)state;
	OK(daxkv_db_open(txn, &name, DAXKV_CREATE | DAXKV_DUP_SORT | DAXKV_DUP_FIXED, &db));
	for (int i = 0; i < 300; i++) {
		char key[16], value[16];

		snprintf(key, sizeof key, "%04d", i / 30);
		snprintf(value, sizeof value, "%04d", i);
		OK(put(txn, db, key, value, DAXKV_APPEND_DUP));
	}
	assert_true(has_batch(txn, db));
	assert_int_equal(put(txn, db, "0009", "9999", DAXKV_NO_OVERWRITE), DAXKV_EXIST);
	assert_int_equal(put(txn, db, "0010", "12345", 0), DAXKV_VALUE_SIZE);
	assert_int_equal(put(txn, db, "0009", "9999", DAXKV_APPEND), DAXKV_EXIST);
	assert_int_equal(put(txn, db, "0009", "0299", DAXKV_NO_DUP_DATA), DAXKV_EXIST);
	OK(put(txn, db, "0009", "0299", 0)); /* is there already */
	struct daxkv_db_stat stat;
	OK(daxkv_db_stat(txn, db, &stat));
	assert_int_equal(stat.entries, 300);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* Separators of a thousand bytes: the parents hear of a few pages at a time. A value in a place of
 * its own, and a reserved one, end the batch. */
static void long_keys_and_large_values(void **state)
{
	struct daxkv_store *store = store_new("rise", 4096);
	struct daxkv_txn *txn = begin(store);
	char key[1024], big[9000];
	(void)state;
	memset(key, 'k', sizeof key);
	memset(big, 'b', sizeof big);
	for (int i = 0; i < 1000; i++) {
		char digits[8];
		struct daxkv_val k = bytes(key, sizeof key), v = text("small");
		unsigned int flags = 0;

		snprintf(digits, sizeof digits, "%05d", i);
		memcpy(key + sizeof key - 5, digits, 5);
		if (i % 100 == 98)
			v = bytes(big, sizeof big);
		if (i % 100 == 99) {
			v = (struct daxkv_val){.size = 5};
			flags = DAXKV_RESERVE;
		}
		OK(daxkv_put(txn, MAIN, &k, &v, flags));
		if (flags)
			memcpy(v.data, "small", 5);
	}
	for (int i = 0; i < 1000; i++) {
		char digits[8];
		struct daxkv_val k = bytes(key, sizeof key), v;

		snprintf(digits, sizeof digits, "%05d", i);
		memcpy(key + sizeof key - 5, digits, 5);
		OK(daxkv_get(txn, MAIN, &k, &v));
		assert_int_equal(v.size, i % 100 == 98 ? sizeof big : 5);
		assert_memory_equal(v.data, i % 100 == 98 ? big : "small", v.size);
	}
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* By a cursor, as programs load that were written for LMDB: putting does not look for the cursor's
 * old place. */
static void put_by_a_cursor(void **state)
{
	struct daxkv_store *store = store_new("rise", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *cursor = NULL;
	struct daxkv_val k, v;
	(void)state;
	OK(daxkv_cursor_open(txn, MAIN, &cursor));
	for (int i = 0; i < 500; i++) {
		char key[32];

		snprintf(key, sizeof key, "key-%08d", i);
		k = text(key);
		v = text("v");
		OK(daxkv_cursor_put(cursor, &k, &v, DAXKV_APPEND));
	}
	assert_true(has_batch(txn, MAIN));
	OK(daxkv_cursor_get(cursor, &k, &v, DAXKV_GET_CURRENT));
	assert_memory_equal(k.data, "key-00000499", 12);
	all_there(txn, MAIN, 500);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static int put_numbered(struct daxkv_txn *txn, uint64_t i)
{
	char key[32];

	snprintf(key, sizeof key, "key-%08lu", (unsigned long)i);
	return put(txn, MAIN, key, "value", 0);
}

/* few_pages - a store that cannot grow beyond 2 MiB and some pages. */
static struct daxkv_store *few_pages(const char *name, uint64_t more)
{
	return store_open(name, (struct daxkv_options){.flags = DAXKV_CREATE,
	                                               .page_size = 512,
	                                               .pmem = DAXKV_PMEM_FORCE,
	                                               .max_size = (2 << 20) + more * 512});
}

/* fill_up - as many as there are pages for. Whoever looks then, and whoever commits, has the pages
 * that the leaves' parents need. */
static void fill_up(uint64_t committed)
{
	struct daxkv_store *store = few_pages("full", committed);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val k = text("key-00000000"), v;
	uint64_t n;
	int rc;

	append(txn, MAIN, 0, committed, 0);
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	for (n = committed; (rc = put_numbered(txn, n)) == 0;)
		n++;
	assert_int_equal(rc, DAXKV_FULL);
	assert_int_not_equal(daxkv_txn_commit(txn), 0);
	txn = begin(store);
	for (uint64_t i = committed; i < n; i++)
		OK(put_numbered(txn, i));
	OK(daxkv_get(txn, MAIN, &k, &v));
	all_there(txn, MAIN, n);
	daxkv_txn_abort(txn);
	store_done(store);
	unlink(scratch_path("full"));
}

static void a_look_needs_no_room(void **state)
{
	(void)state;
	for (uint64_t committed = 100; committed < 400; committed += 7)
		fill_up(committed);
}

/* fill_beside - each put of ascending keys is followed by one to another database, which takes what
 * there is: pages taken ahead for the first are not given to the second. */
static void fill_beside(uint64_t committed)
{
	struct daxkv_store *store = few_pages("beside", committed);
	struct daxkv_val name = text("d"), k = text("key-00000000"), v;
	struct daxkv_txn *txn = begin(store);
	uint64_t n = UINT64_MAX;
	daxkv_db db;

	OK(daxkv_db_open(txn, &name, DAXKV_CREATE, &db));
	append(txn, db, 0, committed, 0);
	OK(daxkv_txn_commit(txn));
	for (int round = 0; round < 2; round++) { /* first to see how many there is room for */
		uint64_t i = 0;
		char key[32];
		int rc = 0;

		txn = begin(store);
		append(txn, db, committed, committed + 200, 0);
		for (; i < n && rc == 0; i += !rc) { /* falling: no batch */
			snprintf(key, sizeof key, "key-%08lu", (unsigned long)(100000 - i));
			rc = put(txn, MAIN, key, "value", 0);
		}
		assert_int_equal(rc, round ? 0 : DAXKV_FULL);
		n = i;
		if (!round)
			daxkv_txn_abort(txn);
	}
	assert_true(has_batch(txn, db));
	OK(daxkv_get(txn, db, &k, &v));
	assert_false(has_batch(txn, db));
	all_there(txn, db, committed + 200);
	daxkv_txn_abort(txn);
	store_done(store);
	unlink(scratch_path("beside"));
}

static void a_look_needs_no_room_beside_others(void **state)
{
	(void)state;
	for (uint64_t committed = 100; committed < 400; committed += 7)
		fill_beside(committed);
}

/* What was taken ahead and is not needed is free again: a transaction uses the pages of its tree.
 */
static void pages_taken_ahead_are_given_back(void **state)
{
	struct daxkv_store *store = store_new("rise", 512);
	struct daxkv_txn *txn = begin(store), *child;
	(void)state;
	append(txn, MAIN, 0, 1000, 0);
	assert_true(store->wset.nspare > 0);
	child = begin_in(txn);
	assert_int_equal(store->wset.nspare, 0);
	append(child, MAIN, 1000, 2000, 0);
	assert_true(store->wset.nspare > 0);
	daxkv_txn_abort(child);
	assert_int_equal(store->wset.nspare, 0);
	append(txn, MAIN, 1000, 2000, 0);
	OK(daxkv_txn_commit(txn)); /* store_done looks whether any page is lost */
	assert_int_equal(store->wset.nspare, 0);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(seen_by_every_way_of_looking),
	    cmocka_unit_test(committed_with_a_batch),
	    cmocka_unit_test(behind_a_committed_leaf),
	    cmocka_unit_test(values_from_the_leaf_itself),
	    cmocka_unit_test(forgotten_by_an_abort),
	    cmocka_unit_test(nested),
	    cmocka_unit_test(in_many_databases),
	    cmocka_unit_test(duplicates),
	    cmocka_unit_test(long_keys_and_large_values),
	    cmocka_unit_test(put_by_a_cursor),
	    cmocka_unit_test(a_look_needs_no_room),
	    cmocka_unit_test(a_look_needs_no_room_beside_others),
	    cmocka_unit_test(pages_taken_ahead_are_given_back),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
