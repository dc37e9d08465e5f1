/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of daxkv_exchange and daxkv_compare_exchange. */
#include "small_store.h"
#include "txn/dbi.h"

#include <errno.h>

static int exchange(struct daxkv_txn *txn, daxkv_db db, const char *key, const char *value,
                    char old[9])
{
	struct daxkv_val k = text(key), v = text(value), was = {8, old};
	int found = -1, rc = daxkv_exchange(txn, db, &k, &v, &was, &found);

	if (rc)
		return rc;
	old[was.size] = '\0';
	return found ? 0 : DAXKV_NOT_FOUND;
}

static int change(struct daxkv_txn *txn, daxkv_db db, const char *key, const char *expected,
                  const char *value)
{
	struct daxkv_val k = text(key), e = text(expected ? expected : ""),
	                 v = text(value ? value : "");

	return daxkv_compare_exchange(txn, db, &k, expected ? &e : NULL, value ? &v : NULL);
}

static void the_old_value_comes_back(void **state)
{
	struct daxkv_store *store = store_new("x", 512);
	struct daxkv_txn *txn = begin(store);
	char old[9] = "";
	(void)state;

	assert_int_equal(exchange(txn, DAXKV_MAIN, "k", "one", old), DAXKV_NOT_FOUND);
	assert_string_equal(old, "");
	OK(exchange(txn, DAXKV_MAIN, "k", "two", old));
	assert_string_equal(old, "one");
	OK(exchange(txn, DAXKV_MAIN, "k", "", old));
	assert_string_equal(old, "two");
	OK(exchange(txn, DAXKV_MAIN, "k", "three", old));
	assert_string_equal(old, "");
	assert_true(has(txn, DAXKV_MAIN, "k", "three"));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void no_room_for_it_changes_nothing(void **state)
{
	struct daxkv_store *store = store_new("x", 512);
	struct daxkv_txn *txn = begin(store);
	uint8_t big[3000], was[3000];
	struct daxkv_val k = text("k"), v = {sizeof big, big}, w = text("new"), old = {2, was};
	int found = -1;
	(void)state;

	fill_n(big, sizeof big, 7, 1);
	OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, 0));
	assert_int_equal(daxkv_exchange(txn, DAXKV_MAIN, &k, &w, &old, &found), ERANGE);
	assert_int_equal(old.size, sizeof big);
	assert_int_equal(found, -1);
	assert_true(has_n(txn, DAXKV_MAIN, 7, 1, 1) == false);
	OK(daxkv_exchange(txn, DAXKV_MAIN, &k, &w, &old, &found));
	assert_int_equal(found, 1);
	assert_int_equal(old.size, sizeof big);
	assert_memory_equal(was, big, sizeof big);
	assert_true(has(txn, DAXKV_MAIN, "k", "new"));
	old = (struct daxkv_val){0, NULL};
	assert_int_equal(daxkv_exchange(txn, DAXKV_MAIN, &k, &w, &old, &found), ERANGE);
	assert_int_equal(daxkv_exchange(txn, DAXKV_MAIN, &k, &w, NULL, &found), EINVAL);
	assert_int_equal(daxkv_exchange(txn, DAXKV_MAIN, &k, &w, &old, NULL), EINVAL);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void a_key_of_one_duplicate(void **state)
{
	struct daxkv_store *store = store_new("x", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "dups", DAXKV_DUP_SORT);
	char old[9];
	(void)state;

	assert_int_equal(exchange(txn, db, "k", "one", old), DAXKV_NOT_FOUND);
	OK(exchange(txn, db, "k", "two", old));
	assert_string_equal(old, "one");
	assert_int_equal(del(txn, db, "k", "one"), DAXKV_NOT_FOUND);
	OK(exchange(txn, db, "k", "two", old)); /* the same again */
	assert_string_equal(old, "two");
	OK(put(txn, db, "k", "three", 0));
	assert_int_equal(exchange(txn, db, "k", "four", old), DAXKV_INCOMPATIBLE);
	OK(del(txn, db, "k", "two"));
	OK(del(txn, db, "k", "three"));
	assert_int_equal(del(txn, db, "k", NULL), DAXKV_NOT_FOUND);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void compared_by_its_bytes(void **state)
{
	struct daxkv_store *store = store_new("x", 512);
	struct daxkv_txn *txn = begin(store);
	(void)state;

	assert_int_equal(change(txn, DAXKV_MAIN, "k", "one", "two"), DAXKV_NOT_FOUND);
	OK(change(txn, DAXKV_MAIN, "k", NULL, NULL)); /* absent, and to stay so */
	OK(change(txn, DAXKV_MAIN, "k", NULL, "one"));
	assert_int_equal(change(txn, DAXKV_MAIN, "k", NULL, "two"), DAXKV_EXIST);
	assert_int_equal(change(txn, DAXKV_MAIN, "k", NULL, NULL), DAXKV_EXIST);
	assert_int_equal(change(txn, DAXKV_MAIN, "k", "on", "two"), DAXKV_NOT_FOUND);
	assert_int_equal(change(txn, DAXKV_MAIN, "k", "One", "two"), DAXKV_NOT_FOUND);
	assert_int_equal(change(txn, DAXKV_MAIN, "k", "", NULL), DAXKV_NOT_FOUND);
	assert_true(has(txn, DAXKV_MAIN, "k", "one"));
	OK(change(txn, DAXKV_MAIN, "k", "one", "two"));
	assert_true(has(txn, DAXKV_MAIN, "k", "two"));
	assert_int_equal(change(txn, DAXKV_MAIN, "k", "one", NULL), DAXKV_NOT_FOUND);
	OK(change(txn, DAXKV_MAIN, "k", "two", NULL));
	assert_true(has(txn, DAXKV_MAIN, "k", NULL));
	assert_int_equal(change(txn, DAXKV_MAIN, "", "one", "two"), DAXKV_KEY_SIZE);
	assert_int_equal(change(txn, DAXKV_MAIN, "", NULL, "two"), DAXKV_KEY_SIZE);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void large_values_are_compared_whole(void **state)
{
	struct daxkv_store *store = store_new("x", 512);
	struct daxkv_txn *txn = begin(store);
	uint8_t a[5000], b[5000];
	struct daxkv_val k = text("k"), value = {sizeof a, a}, other = {sizeof b, b};
	(void)state;

	fill_n(a, sizeof a, 1, 1);
	fill_n(b, sizeof b, 1, 1);
	b[4999] ^= 1;
	OK(daxkv_put(txn, DAXKV_MAIN, &k, &value, 0));
	assert_int_equal(daxkv_compare_exchange(txn, DAXKV_MAIN, &k, &other, &other),
	                 DAXKV_NOT_FOUND);
	OK(daxkv_compare_exchange(txn, DAXKV_MAIN, &k, &value, &other));
	OK(daxkv_compare_exchange(txn, DAXKV_MAIN, &k, &other, NULL));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void one_of_several_duplicates(void **state)
{
	struct daxkv_store *store = store_new("x", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "dups", DAXKV_DUP_SORT),
	         fixed = db_of(txn, "fixed", DAXKV_DUP_SORT | DAXKV_DUP_FIXED);
	char long_value[400];
	struct daxkv_db_stat stat;
	(void)state;

	memset(long_value, 'x', sizeof long_value - 1);
	long_value[sizeof long_value - 1] = '\0';
	OK(change(txn, db, "k", NULL, "b"));
	assert_int_equal(change(txn, db, "k", NULL, "c"), DAXKV_EXIST);
	OK(put(txn, db, "k", "d", 0));
	OK(put(txn, db, "other", "a", 0));
	assert_int_equal(change(txn, db, "k", "a", "z"), DAXKV_NOT_FOUND);
	assert_int_equal(change(txn, db, "k", long_value, "z"), DAXKV_NOT_FOUND);
	assert_int_equal(change(txn, db, "k", "b", long_value), DAXKV_VALUE_SIZE);
	OK(change(txn, db, "k", "b", "e"));
	assert_int_equal(del(txn, db, "k", "b"), DAXKV_NOT_FOUND);
	assert_true(has(txn, db, "k", "d"));
	OK(change(txn, db, "k", "d", "e")); /* which is there already */
	OK(daxkv_db_stat(txn, db, &stat));
	assert_int_equal(stat.entries, 2);
	OK(change(txn, db, "k", "e", "e"));
	OK(change(txn, db, "k", "e", NULL));
	assert_true(has(txn, db, "k", NULL));
	OK(put(txn, fixed, "k", "1234", 0));
	assert_int_equal(change(txn, fixed, "k", "1234", "12345"), DAXKV_VALUE_SIZE);
	OK(change(txn, fixed, "k", "1234", "4321"));
	assert_true(has(txn, fixed, "k", "4321"));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static int by_first_byte(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	return *(const uint8_t *)a->data - *(const uint8_t *)b->data;
}

static void duplicates_that_the_program_calls_equal(void **state)
{
	struct daxkv_store *store = store_new("x", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "own", DAXKV_DUP_SORT | DAXKV_OWN_DUP_COMPARE);
	char old[9];
	(void)state;

	OK(daxkv_db_set_dup_compare(txn, db, by_first_byte, NULL));
	OK(put(txn, db, "k", "one", 0));
	OK(change(txn, db, "k", "oh", "ok")); /* equal to it in this order */
	assert_true(has(txn, db, "k", "ok"));
	OK(exchange(txn, db, "k", "old", old));
	assert_string_equal(old, "ok");
	assert_true(has(txn, db, "k", "old"));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* Keys and values may be what a get, or a cursor, has shown. */
static void bytes_that_lie_in_the_store(void **state)
{
	struct daxkv_store *store = store_new("x", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "dups", DAXKV_DUP_SORT);
	char buf[40];
	(void)state;

	for (unsigned int i = 0; i < 400; i++) {
		struct daxkv_val key, value, k = text("some key"), v;
		struct daxkv_cursor *c;

		snprintf(buf, sizeof buf, "value %06u of this one key", i);
		v = text(buf);
		if (!i)
			OK(daxkv_put(txn, db, &k, &v, 0));
		OK(daxkv_cursor_open(txn, db, &c));
		OK(daxkv_cursor_get(c, &key, &value, DAXKV_FIRST));
		daxkv_cursor_close(c);
		snprintf(buf, sizeof buf, "value %06u of this one key", i + 1);
		OK(daxkv_compare_exchange(txn, db, &key, &value, &v));
		OK(daxkv_put(txn, DAXKV_MAIN, &v, &v, 0)); /* pages move */
	}
	assert_true(has(txn, db, "some key", "value 000400 of this one key"));
	OK(del(txn, db, "some key", "value 000400 of this one key"));
	assert_true(has(txn, db, "some key", NULL));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void names_and_readers_are_refused(void **state)
{
	struct daxkv_store *store = store_new("x", 512);
	struct daxkv_txn *txn = begin(store);
	uint8_t was[100];
	struct daxkv_val k = text("db"), v = text("v"), old = {sizeof was, was}, there;
	int found;
	(void)state;

	(void)db_of(txn, "db", 0);
	assert_int_equal(daxkv_exchange(txn, DAXKV_MAIN, &k, &v, &old, &found), DAXKV_INCOMPATIBLE);
	assert_int_equal(change(txn, DAXKV_MAIN, "db", NULL, "v"), DAXKV_EXIST);
	OK(daxkv_get(txn, DAXKV_MAIN, &k, &there));
	assert_int_equal(daxkv_compare_exchange(txn, DAXKV_MAIN, &k, &there, &v),
	                 DAXKV_INCOMPATIBLE);
	assert_int_equal(daxkv_compare_exchange(txn, DAXKV_MAIN, &k, &there, NULL),
	                 DAXKV_INCOMPATIBLE);
	assert_int_equal(daxkv_exchange(txn, 77, &k, &v, &old, &found), DAXKV_BAD_DB);
	assert_int_equal(daxkv_compare_exchange(txn, 77, &k, NULL, &v), DAXKV_BAD_DB);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	assert_int_equal(daxkv_exchange(txn, DAXKV_MAIN, &v, &v, &old, &found), EACCES);
	assert_int_equal(change(txn, DAXKV_MAIN, "v", NULL, "v"), EACCES);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* entry_becomes - the store's only entry, of the main database, gets these lengths in its leaf. */
static void entry_becomes(struct daxkv_store *store, uint32_t klen, uint32_t vlen)
{
	struct daxkv_txn *txn = begin_reading(store);
	struct fmt_page *page;
	struct dbstate *s;

	OK(dbi_state(txn, DAXKV_MAIN, &s));
	page = (void *)(uintptr_t)(store->map.base + s->tree.root);
	page->heads = (uint16_t)(FMT_UNIFORM | klen);
	page->offs = (uint16_t)vlen;
	page->end = (uint16_t)(FMT_LEAF_BASE + 8 + round_up(klen + vlen, 4));
	daxkv_txn_abort(txn);
}

/* A damaged page may show a key or a duplicate that is longer than any put lets it be, and than the
 * writer's memory for one. */
static void an_entry_longer_than_any(void **state)
{
	struct daxkv_store *store = store_new("x", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val k = text("k"), v = text("w");
	struct daxkv_cursor *c;
	char bytes[4096];
	struct daxkv_val old = {sizeof bytes, bytes};
	daxkv_db db;
	int found;
	(void)state;

	OK(daxkv_db_open(txn, NULL, DAXKV_DUP_SORT | DAXKV_CREATE, &db));
	OK(put(txn, DAXKV_MAIN, "k", "v", 0));
	OK(daxkv_txn_commit(txn));
	entry_becomes(store, 1, 2000);
	txn = begin(store);
	assert_int_equal(daxkv_exchange(txn, DAXKV_MAIN, &k, &v, &old, &found), DAXKV_CORRUPT);
	daxkv_txn_abort(txn);
	entry_becomes(store, 3600, 4);
	txn = begin(store);
	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	OK(daxkv_cursor_get(c, &k, NULL, DAXKV_FIRST));
	assert_int_equal(k.size, 3600);
	assert_int_equal(daxkv_cursor_del(c, DAXKV_NO_DUP_DATA), DAXKV_CORRUPT);
	daxkv_txn_abort(txn);
	entry_becomes(store, 1, 1);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_old_value_comes_back),
	    TEST(no_room_for_it_changes_nothing),
	    TEST(a_key_of_one_duplicate),
	    TEST(compared_by_its_bytes),
	    TEST(large_values_are_compared_whole),
	    TEST(one_of_several_duplicates),
	    TEST(duplicates_that_the_program_calls_equal),
	    TEST(bytes_that_lie_in_the_store),
	    TEST(names_and_readers_are_refused),
	    TEST(an_entry_longer_than_any),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
