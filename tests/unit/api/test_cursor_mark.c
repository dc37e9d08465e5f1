/* SPDX-License-Identifier: BSD-3-Clause */
/* Ends that are asked for again and again: a read transaction's cursor remembers where they are,
 * and its handle what it knows of databases while no commit comes. Whatever changed is seen. */
#include "small_store.h"

#include "base/format.h"

#define MAIN DAXKV_MAIN

static struct daxkv_store *store;
static daxkv_db dups;

static bool text_is(struct daxkv_val v, const char *s)
{
	return v.size == strlen(s) && memcmp(v.data, s, v.size) == 0;
}

/* at - make the move, and once more; where it ends, as key and value of text. */
static void at(struct daxkv_cursor *c, enum daxkv_cursor_op op, const char *key, const char *value)
{
	for (int i = 0; i < 3; i++) {
		struct daxkv_val k = {0}, v = {0}, same = {0};

		OK(daxkv_cursor_get(c, &k, &v, op));
		if (!text_is(k, key) || !text_is(v, value))
			fail_msg("at %.*s=%.*s, not at %s=%s", (int)k.size, (char *)k.data,
			         (int)v.size, (char *)v.data, key, value);
		OK(daxkv_cursor_get(c, &same, NULL, DAXKV_GET_CURRENT));
		assert_true(text_is(same, key));
	}
}

static void put_pairs(const char *key, int from, int n)
{
	struct daxkv_txn *txn = begin(store);
	char value[32];

	for (int i = from; i < from + n; i++) {
		struct daxkv_val k = text(key);
		struct daxkv_val v;

		snprintf(value, sizeof value, "%06d", i);
		v = text(value);
		OK(daxkv_put(txn, dups, &k, &v, 0));
	}
	OK(daxkv_txn_commit(txn));
}

static void put_main(const char *key, const char *value)
{
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val k = text(key), v = text(value);

	OK(daxkv_put(txn, MAIN, &k, &v, 0));
	OK(daxkv_txn_commit(txn));
}

static struct daxkv_cursor *cursor(struct daxkv_txn *txn, daxkv_db db)
{
	struct daxkv_cursor *c = NULL;

	OK(daxkv_cursor_open(txn, db, &c));
	return c;
}

/* started - a store with named databases, and entries a and z in the main one: names are entries
 * there, too, and no ends. */
static void started(const char *name)
{
	struct daxkv_val db = text("dups");
	struct daxkv_txn *txn;

	store = store_new(name, 512);
	txn = begin(store);
	OK(daxkv_db_open(txn, &db, DAXKV_CREATE | DAXKV_DUP_SORT, &dups));
	OK(daxkv_txn_commit(txn));
	put_main("b", "2");
	put_main("y", "8");
}

/* Caught: marks that hold for another generation; read_start that keeps the generation. */
static void ends_of_each_snapshot(void **state)
{
	struct daxkv_txn *txn;
	struct daxkv_cursor *c;
	struct daxkv_val k = {0};
	(void)state;

	started("ends");
	txn = begin_reading(store);
	c = cursor(txn, MAIN);
	at(c, DAXKV_FIRST, "b", "2");
	at(c, DAXKV_LAST, "y", "8");
	put_main("a", "1");
	put_main("z", "9");
	put_main("b", "newer");
	at(c, DAXKV_FIRST, "b", "2");
	at(c, DAXKV_LAST, "y", "8");
	daxkv_txn_reset(txn);
	assert_int_equal(daxkv_cursor_get(c, &k, NULL, DAXKV_FIRST), DAXKV_BAD_TXN);
	OK(daxkv_txn_renew(txn));
	at(c, DAXKV_FIRST, "a", "1");
	at(c, DAXKV_LAST, "z", "9");
	daxkv_txn_reset(txn); /* nothing new */
	OK(daxkv_txn_renew(txn));
	OK(daxkv_cursor_renew(txn, c));
	at(c, DAXKV_LAST, "z", "9");
	at(c, DAXKV_FIRST, "a", "1");
	OK(daxkv_cursor_get(c, &k, NULL, DAXKV_NEXT));
	assert_true(text_is(k, "b"));
	daxkv_cursor_close(c);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* Generations are numbers of a transaction: those of two may be the same. Caught: link_locked that
 * leaves marks. */
static void a_cursor_goes_to_another_transaction(void **state)
{
	struct daxkv_txn *old, *new;
	struct daxkv_cursor *c;
	(void)state;

	started("goes");
	old = begin_reading(store);
	c = cursor(old, MAIN);
	at(c, DAXKV_LAST, "y", "8");
	put_main("z", "9");
	new = begin_reading(store);
	new->generation = old->generation;
	OK(daxkv_cursor_renew(new, c));
	at(c, DAXKV_LAST, "z", "9");
	OK(daxkv_cursor_renew(old, c));
	at(c, DAXKV_LAST, "y", "8");
	daxkv_cursor_close(c);
	c = cursor(old, dups); /* its memory */
	assert_int_equal(daxkv_cursor_get(c, &(struct daxkv_val){0}, NULL, DAXKV_LAST),
	                 DAXKV_NOT_FOUND);
	daxkv_cursor_close(c);
	daxkv_txn_abort(old);
	daxkv_txn_abort(new);
	store_done(store);
}

static void several_is(struct daxkv_cursor *c, int expected)
{
	int several = -1;

	OK(daxkv_cursor_several(c, &several));
	assert_int_equal(several, expected);
}

/* ends_are - of the key under the cursor, from wherever it stands there, and back and forth. */
static void ends_are(struct daxkv_cursor *c, const char *key, const char *first, const char *last)
{
	for (int i = 0; i < 3; i++) {
		at(c, DAXKV_LAST_DUP, key, last);
		several_is(c, strcmp(first, last) != 0);
		at(c, DAXKV_FIRST_DUP, key, first);
		several_is(c, strcmp(first, last) != 0);
	}
}

/* Caught: marks of a key's ends that are used wherever the cursor stands; that stay when the other
 * one is made for another key; cursor_mark_several with one mark. */
static void ends_of_a_key(void **state)
{
	struct daxkv_txn *txn;
	struct daxkv_cursor *c;
	struct daxkv_val k, v;
	(void)state;

	started("key");
	put_pairs("a", 0, 1);
	put_pairs("few", 10, 5);
	put_pairs("many", 0, 500);
	put_pairs("z", 7, 2);
	txn = begin_reading(store);
	c = cursor(txn, dups);
	at(c, DAXKV_FIRST, "a", "000000");
	ends_are(c, "a", "000000", "000000");
	for (int round = 0; round < 2; round++) {
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_NEXT_KEY)); /* from a's marks */
		at(c, DAXKV_LAST_DUP, "few", "000014");
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_NEXT_KEY)); /* from one of few's */
		ends_are(c, "many", "000000", "000499");
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_NEXT_DUP));
		at(c, DAXKV_LAST_DUP, "many", "000499");
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_NEXT));
		ends_are(c, "z", "000007", "000008");
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_PREV_KEY));
		at(c, DAXKV_FIRST_DUP, "many", "000000");
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_PREV_KEY));
		at(c, DAXKV_FIRST_DUP, "few", "000010");
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_PREV_KEY));
		at(c, DAXKV_FIRST_DUP, "a", "000000");
		several_is(c, 0);
	}
	put_pairs("a", 1, 3);
	ends_are(c, "a", "000000", "000000");
	daxkv_txn_reset(txn);
	OK(daxkv_txn_renew(txn));
	ends_are(c, "a", "000000", "000003");
	daxkv_cursor_close(c);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* A write transaction sees its own changes at once. Caught: marks_hold for a writer. */
static void a_writers_ends_move(void **state)
{
	struct daxkv_txn *txn;
	struct daxkv_cursor *c;
	(void)state;

	started("writer");
	txn = begin(store);
	c = cursor(txn, MAIN);
	at(c, DAXKV_LAST, "y", "8");
	for (char name[2] = "z"; name[0] <= '~'; name[0]++) {
		struct daxkv_val k = text(name), v = text("new");

		OK(daxkv_put(txn, MAIN, &k, &v, 0));
		at(c, DAXKV_LAST, name, "new");
	}
	OK(daxkv_cursor_del(c, 0));
	at(c, DAXKV_LAST, "}", "new");
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* What a thread's handle knows was read without a look at checksums. Caught: begin_read that keeps
 * the generation for a transaction that verifies. */
static void verifying_looks_again(void **state)
{
	const struct daxkv_val k = text("few");
	struct daxkv_val v;
	struct daxkv_txn *txn;
	uint64_t desc;
	(void)state;

	started("verify");
	put_pairs("few", 0, 100);
	for (int i = 0; i < 4; i++) /* no record is left that an opening would compare with it */
		put_main("b", "2");
	txn = begin_reading(store);
	OK(daxkv_get(txn, dups, &k, &v));
	desc = dbi_state_known(txn, dups)->desc;
	assert_true(desc > 0);
	store_image(store, "damaged");
	daxkv_txn_abort(txn);
	store_done(store);
	image_flip("damaged", desc + offsetof(struct fmt_desc, base_count));
	store = store_again("damaged");
	txn = begin_reading(store);
	struct daxkv_val name = text("dups");

	OK(daxkv_db_open(txn, &name, 0, &dups));
	OK(daxkv_get(txn, dups, &k, &v));
	daxkv_txn_abort(txn);
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY | DAXKV_TXN_VERIFY, &txn));
	assert_int_equal(daxkv_get(txn, dups, &k, &v), DAXKV_CORRUPT);
	daxkv_txn_abort(txn);
	txn = begin_reading(store);
	OK(daxkv_get(txn, dups, &k, &v));
	daxkv_txn_abort(txn);
	OK(daxkv_close(store));
}

/* refused - what a cursor could answer by what it has at hand, after its handle was closed. */
static void refused(struct daxkv_cursor *c)
{
	struct daxkv_val k, v;
	uint64_t n;
	int several;

	assert_int_equal(daxkv_cursor_count(c, &n), DAXKV_BAD_DB);
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_FIRST_DUP), DAXKV_BAD_DB);
	assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_LAST), DAXKV_BAD_DB);
	assert_int_equal(daxkv_cursor_several(c, &several), DAXKV_BAD_DB);
}

/* Caught: alone, cursor_mark_take without place_open. */
static void a_closed_handle_is_noticed(void **state)
{
	char key[8];
	struct daxkv_txn *txn;
	struct daxkv_cursor *c;
	struct daxkv_val k, v;
	uint64_t n;
	(void)state;

	started("closed");
	for (int i = 0; i < 9; i++) {
		snprintf(key, sizeof key, "few%03d", i);
		put_pairs(key, 0, 1);
	}
	put_pairs("many", 0, 40);
	txn = begin_reading(store);
	c = cursor(txn, dups);
	at(c, DAXKV_LAST, "many", "000039");
	ends_are(c, "many", "000000", "000039");
	for (int i = 0; i < 4; i++) { /* inside the leaf, whose order is at hand */
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_PREV_KEY));
		OK(daxkv_cursor_count(c, &n));
		assert_int_equal(n, 1);
		several_is(c, 0);
	}
	at(c, DAXKV_FIRST_DUP, "few005", "000000");
	daxkv_db_close(store, dups);
	refused(c);
	struct daxkv_val name = text("dups");
	daxkv_db old = dups;

	OK(daxkv_db_open(txn, &name, 0, &dups)); /* perhaps at its place in the table */
	assert_int_not_equal(dups, old);
	refused(c);
	daxkv_txn_abort(txn);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(ends_of_each_snapshot), TEST(a_cursor_goes_to_another_transaction),
	    TEST(ends_of_a_key),         TEST(a_writers_ends_move),
	    TEST(verifying_looks_again), TEST(a_closed_handle_is_noticed)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
