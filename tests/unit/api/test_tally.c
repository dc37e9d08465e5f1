/* SPDX-License-Identifier: BSD-3-Clause */
/* Tallies [I23]: the kept numbers of values of keys with very many. Each change that there is,
 * against the values that are there, in the transaction, after it, and in older snapshots. The
 * checker, which runs at the end, compares them all. */
#include "small_store.h"
#include "txn/dbi.h"

#include <string.h>

#define PAGE 512u

static struct daxkv_val number(uint32_t n)
{
	static uint8_t to[4][4];
	static unsigned int at;
	uint8_t *p = to[at++ % 4];

	for (int i = 3; i >= 0; i--, n >>= 8)
		p[i] = (uint8_t)n;
	return bytes(p, 4);
}

static void add_values(struct daxkv_txn *txn, daxkv_db db, const char *key, uint32_t from,
                       uint32_t to)
{
	struct daxkv_val k = text(key);

	for (uint32_t i = from; i < to; i++) {
		/* in no order, so that they go one by one */
		struct daxkv_val v = number(i * 2654435761u);

		OK(daxkv_put(txn, db, &k, &v, 0));
	}
}

/* told - what the tally says; 0: there is none. */
static uint64_t told(struct daxkv_txn *txn, daxkv_db db, const char *key)
{
	struct dbstate *s;
	uint64_t n = 0;

	OK(dbi_state(txn, db, &s));
	OK(tree_tally_find(&s->tree, (const uint8_t *)key, (uint32_t)strlen(key), &n));
	return n;
}

/* counted - what a cursor on the key's first value says. */
static uint64_t counted(struct daxkv_txn *txn, daxkv_db db, const char *key)
{
	struct daxkv_val k = text(key), v;
	struct daxkv_cursor *cursor;
	uint64_t n = 0;

	OK(daxkv_cursor_open(txn, db, &cursor));
	if (!daxkv_cursor_get(cursor, &k, &v, DAXKV_SEEK))
		OK(daxkv_cursor_count(cursor, &n));
	daxkv_cursor_close(cursor);
	return n;
}

static void is(struct daxkv_txn *txn, daxkv_db db, const char *key, uint64_t n)
{
	assert_int_equal(told(txn, db, key), n);
	assert_int_equal(counted(txn, db, key), n);
}

/* lists - a store with a database of two long lists, a and c, and a short one, b. */
static struct daxkv_store *lists(daxkv_db *db, unsigned int flags)
{
	struct daxkv_store *store = store_new("tally", PAGE);
	struct daxkv_txn *txn = begin(store);

	*db = db_of(txn, "lists", DAXKV_DUP_SORT | flags);
	add_values(txn, *db, "long-a", 0, 200);
	add_values(txn, *db, "long-c", 0, 300);
	add_values(txn, *db, "b", 0, 2);
	OK(daxkv_txn_commit(txn));
	return store;
}

static void single_puts_and_removals(void **state)
{
	daxkv_db db;
	struct daxkv_store *store = lists(&db, 0);
	struct daxkv_txn *old = begin_reading(store), *txn = begin(store);
	struct daxkv_val k = text("long-a"), v = number(0);
	(void)state;

	is(old, db, "long-a", 200);
	is(old, db, "long-c", 300);
	assert_int_equal(told(old, db, "b"), 0);
	OK(daxkv_del(txn, db, &k, &v));
	add_values(txn, db, "long-c", 300, 311);
	add_values(txn, db, "long-c", 0, 100); /* there already */
	is(txn, db, "long-a", 199);
	is(txn, db, "long-c", 311);
	OK(daxkv_txn_commit(txn));
	is(old, db, "long-a", 200);
	is(old, db, "long-c", 300);
	daxkv_txn_abort(old);
	txn = begin_reading(store);
	is(txn, db, "long-a", 199);
	is(txn, db, "long-c", 311);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void what_is_undone_was_not_counted(void **state)
{
	daxkv_db db;
	struct daxkv_store *store = lists(&db, 0);
	struct daxkv_txn *txn = begin(store), *child;
	(void)state;

	add_values(txn, db, "long-a", 200, 210);
	child = begin_in(txn);
	add_values(child, db, "long-a", 210, 230);
	add_values(child, db, "long-new", 0, 100);
	is(child, db, "long-a", 230);
	daxkv_txn_abort(child);
	is(txn, db, "long-a", 210);
	child = begin_in(txn);
	add_values(child, db, "long-a", 300, 305);
	add_values(child, db, "long-new", 0, 90);
	OK(daxkv_txn_commit(child));
	is(txn, db, "long-a", 215);
	is(txn, db, "long-new", 90);
	daxkv_txn_abort(txn);
	txn = begin(store);
	is(txn, db, "long-a", 200);
	assert_int_equal(told(txn, db, "long-new"), 0);
	add_values(txn, db, "long-a", 200, 201);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	is(txn, db, "long-a", 201);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void all_values_of_a_key_go(void **state)
{
	daxkv_db db;
	struct daxkv_store *store = lists(&db, 0);
	struct daxkv_txn *old = begin_reading(store), *txn = begin(store);
	struct daxkv_val k = text("long-a");
	(void)state;

	OK(daxkv_del(txn, db, &k, NULL));
	is(txn, db, "long-a", 0);
	add_values(txn, db, "long-a", 0, 3); /* too few for a tally */
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	assert_int_equal(told(txn, db, "long-a"), 0);
	assert_int_equal(counted(txn, db, "long-a"), 3);
	add_values(txn, db, "long-a", 3, 150);
	OK(daxkv_txn_commit(txn));
	is(old, db, "long-a", 200);
	daxkv_txn_abort(old);
	txn = begin_reading(store);
	is(txn, db, "long-a", 150);
	is(txn, db, "long-c", 300);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* One by one until none is left: a key with one value has no tally. */
static void down_to_nothing(void **state)
{
	daxkv_db db;
	struct daxkv_store *store = lists(&db, 0);
	struct daxkv_val k = text("long-a");
	(void)state;

	for (uint32_t left = 200; left-- > 0;) {
		struct daxkv_txn *txn = begin(store);
		struct daxkv_val v = number(left * 2654435761u);

		OK(daxkv_del(txn, db, &k, &v));
		assert_int_equal(told(txn, db, "long-a"), left < 2 ? 0 : left);
		OK(daxkv_txn_commit(txn));
		if (left % 40 == 1)
			store_check(store);
	}
	store_done(store);
}

static void a_range_goes(void **state)
{
	daxkv_db db;
	struct daxkv_store *store = lists(&db, 0);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val from = text("b"), to = text("long-b");
	uint64_t n;
	(void)state;

	add_values(txn, db, "long-a", 200, 203); /* owed when the range goes */
	add_values(txn, db, "long-c", 300, 304);
	OK(daxkv_del_range(txn, db, &from, &to, &n));
	assert_int_equal(n, 205);
	is(txn, db, "long-a", 0);
	is(txn, db, "long-c", 304);
	OK(daxkv_txn_commit(txn));
	store_check(store);
	txn = begin(store);
	OK(daxkv_del_range(txn, db, &to, NULL, &n));
	assert_int_equal(n, 304);
	add_values(txn, db, "long-c", 0, 77);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	is(txn, db, "long-c", 77);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void the_database_is_emptied_and_dropped(void **state)
{
	(void)state;
	for (int del = 0; del < 2; del++) {
		daxkv_db db;
		struct daxkv_store *store = lists(&db, 0);
		struct daxkv_txn *old = begin_reading(store), *txn = begin(store);

		add_values(txn, db, "long-a", 200, 210);
		OK(daxkv_db_drop(txn, db, del));
		if (del)
			db = db_of(txn, "lists", DAXKV_DUP_SORT);
		is(txn, db, "long-a", 0);
		add_values(txn, db, "long-a", 0, 60);
		OK(daxkv_txn_commit(txn));
		daxkv_txn_abort(old);
		txn = begin_reading(store);
		is(txn, db, "long-a", 60);
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

/* Values that ascend go by a batch, and by a load. */
static void values_that_ascend(void **state)
{
	daxkv_db db;
	struct daxkv_store *store = lists(&db, 0);
	struct daxkv_val k = text("zz");
	(void)state;

	for (uint32_t i = 0; i < 3; i++) {
		struct daxkv_txn *txn = begin(store);

		for (uint32_t j = 0; j < 400; j++) {
			struct daxkv_val v = number(i * 1000 + j);

			OK(daxkv_put(txn, db, &k, &v, 0));
		}
		assert_int_equal(counted(txn, db, "zz"), 400 * (i + 1));
		OK(daxkv_txn_commit(txn));
		txn = begin_reading(store);
		is(txn, db, "zz", 400 * (i + 1));
		daxkv_txn_abort(txn);
	}
	store_done(store);
}

struct feed {
	uint32_t next, end;
	const char *key;
};

static int feed_next(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	struct feed *f = arg;

	if (f->next == f->end)
		return DAXKV_NOT_FOUND;
	*key = text(f->key);
	*value = number(f->next++);
	return 0;
}

static void a_load(void **state)
{
	daxkv_db db;
	struct daxkv_store *store = lists(&db, 0);
	struct feed feeds[] = {{0, 500, "x"}, {500, 510, "x"}, {0, 90, "y"}};
	(void)state;

	for (size_t i = 0; i < sizeof feeds / sizeof feeds[0]; i++) {
		struct daxkv_txn *txn = begin(store);
		uint64_t n;

		OK(daxkv_bulk_load(txn, db, 100, feed_next, &feeds[i], &n));
		OK(daxkv_txn_commit(txn));
	}
	struct daxkv_txn *txn = begin_reading(store);

	is(txn, db, "x", 510);
	is(txn, db, "y", 90);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* More lists than there are places for their numbers, with long keys: some are written before the
 * transaction ends. */
static void very_many_lists(void **state)
{
	struct daxkv_store *store = store_new("tally", PAGE);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "lists", DAXKV_DUP_SORT);
	char key[2 * TREE_TALLIES][64];
	const uint32_t n = 2 * TREE_TALLIES;
	(void)state;

	for (uint32_t i = 0; i < n; i++) {
		(void)snprintf(key[i], sizeof key[i], "%.*s-%05u", (int)(i % 50),
		               "long long long long long long long long long long long", i);
		add_values(txn, db, key[i], 0, 24);
	}
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	for (uint32_t round = 0; round < 2; round++)
		for (uint32_t i = 0; i < n; i++)
			add_values(txn, db, key[i], 24 + round, 25 + round);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(counted(txn, db, key[i]), 26);
		assert_true(told(txn, db, key[i]) == 0 || told(txn, db, key[i]) == 26);
	}
	daxkv_txn_abort(txn);
	store_done(store);
}

/* What another process commits is not what was in memory here: the second handle stands for it. */
static void another_user_changes_them(void **state)
{
	daxkv_db db, other_db;
	struct daxkv_store *store = lists(&db, 0), *other = store_again("tally");
	(void)state;

	for (uint32_t i = 0; i < 4; i++) {
		struct daxkv_txn *txn = begin(store);

		add_values(txn, db, "long-a", 200 + 2 * i, 201 + 2 * i);
		OK(daxkv_txn_commit(txn));
		txn = begin(other);
		other_db = db_of(txn, "lists", 0);
		add_values(txn, other_db, "long-a", 201 + 2 * i, 202 + 2 * i);
		is(txn, other_db, "long-a", 202 + 2 * i);
		OK(daxkv_txn_commit(txn));
	}
	OK(daxkv_close(other));
	store_done(store);
}

static int to_file(const void *p, size_t n, void *arg)
{
	return write(*(int *)arg, p, n) == (ssize_t)n ? 0 : errno;
}

static void a_copy_has_them(void **state)
{
	daxkv_db db;
	struct daxkv_store *store = lists(&db, 0), *copy;
	struct daxkv_txn *txn = begin_reading(store);
	int fd = open(scratch_path("copied"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	(void)state;

	OK(daxkv_copy(txn, to_file, &fd));
	close(fd);
	daxkv_txn_abort(txn);
	store_done(store);
	copy = store_again("copied");
	txn = begin(copy);
	db = db_of(txn, "lists", 0);
	is(txn, db, "long-a", 200);
	add_values(txn, db, "long-a", 200, 300);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(copy);
	is(txn, db, "long-a", 300);
	is(txn, db, "long-c", 300);
	daxkv_txn_abort(txn);
	store_done(copy);
}

/* The checker sees a tally that is wrong, of a key that is there or is not. */
static void the_checker_compares(void **state)
{
	daxkv_db db;
	struct daxkv_store *store = lists(&db, 0);
	struct daxkv_txn *txn = begin(store);
	struct dbstate *s;
	uint64_t faults;
	(void)state;

	OK(dbi_state(txn, db, &s));
	struct tree *tallies = s->tree.tallies;

	add_values(txn, db, "long-a", 200, 201);
	s->tree.tallies = NULL; /* nobody counts these */
	add_values(txn, db, "long-a", 201, 203);
	s->tree.tallies = tallies;
	OK(daxkv_txn_commit(txn));
	assert_int_equal(daxkv_check(store, NULL, NULL, &faults), DAXKV_CORRUPT);
	assert_int_equal(faults, 1);
	txn = begin(store);
	OK(dbi_state(txn, db, &s));
	tallies = s->tree.tallies;
	s->tree.tallies = NULL;
	struct daxkv_val k = text("long-a");

	OK(daxkv_del(txn, db, &k, NULL));
	s->tree.tallies = tallies;
	OK(daxkv_txn_commit(txn));
	assert_int_equal(daxkv_check(store, NULL, NULL, &faults), DAXKV_CORRUPT);
	assert_int_equal(faults, 1);
	OK(daxkv_close(store));
}

static void orders_of_keys(void **state)
{
	static const unsigned int flags[] = {DAXKV_REVERSE_KEY, DAXKV_INTEGER_KEY};
	(void)state;

	for (size_t i = 0; i < 2; i++) {
		struct daxkv_store *store = store_new("tally", PAGE);
		struct daxkv_txn *txn = begin(store);
		daxkv_db db = db_of(txn, "lists", DAXKV_DUP_SORT | flags[i]);
		uint64_t n;

		add_values(txn, db, "aaab", 0, 100);
		add_values(txn, db, "zaaa", 0, 120);
		add_values(txn, db, "maac", 0, 140);
		OK(daxkv_txn_commit(txn));
		txn = begin(store);
		is(txn, db, "aaab", 100);
		is(txn, db, "zaaa", 120);
		struct daxkv_val from = text("aaab");

		OK(daxkv_del_range(txn, db, &from, NULL, &n)); /* all but the first key */
		assert_int_equal(n, 240);
		is(txn, db, "zaaa", 120);
		is(txn, db, "maac", 0);
		OK(daxkv_txn_commit(txn));
		store_done(store);
	}
}

/* A list that was made, emptied and made again in one transaction has its tally. */
static void a_list_that_is_made_again(void **state)
{
	struct daxkv_store *store = store_new("tally", PAGE);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "lists", DAXKV_DUP_SORT);
	(void)state;

	add_values(txn, db, "long-a", 0, 200);
	OK(daxkv_db_drop(txn, db, 0));
	add_values(txn, db, "long-a", 0, 150);
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	is(txn, db, "long-a", 150);
	daxkv_txn_abort(txn);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(single_puts_and_removals),
	    TEST(what_is_undone_was_not_counted),
	    TEST(all_values_of_a_key_go),
	    TEST(down_to_nothing),
	    TEST(a_range_goes),
	    TEST(the_database_is_emptied_and_dropped),
	    TEST(values_that_ascend),
	    TEST(a_load),
	    TEST(very_many_lists),
	    TEST(another_user_changes_them),
	    TEST(a_copy_has_them),
	    TEST(the_checker_compares),
	    TEST(orders_of_keys),
	    TEST(a_list_that_is_made_again),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
