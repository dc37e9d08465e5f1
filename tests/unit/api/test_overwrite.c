/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of the same size, put again and again in one transaction: they are overwritten where they
 * lie once the page is the transaction's own. And cursors that stay where they change something. */
#include "small_store.h"

#define MAIN DAXKV_MAIN
#define KEYS 60u

static void put_all(struct daxkv_txn *txn, size_t size, uint64_t version)
{
	for (uint64_t i = 0; i < KEYS; i++)
		OK(put_n(txn, MAIN, i, size, version));
}

static void all_have(struct daxkv_txn *txn, size_t size, uint64_t version)
{
	for (uint64_t i = 0; i < KEYS; i++)
		assert_true(has_n(txn, MAIN, i, size, version));
}

/* done - the checker finds no fault, nor does a reader that verifies, nor one after a crash. */
static void done(struct daxkv_store *store, size_t size, uint64_t version)
{
	struct daxkv_txn *txn;
	struct daxkv_cursor *c;
	int rc;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY | DAXKV_TXN_VERIFY, &txn));
	OK(daxkv_cursor_open(txn, MAIN, &c));
	while ((rc = daxkv_cursor_get(c, NULL, NULL, DAXKV_NEXT)) == 0)
		;
	assert_int_equal(rc, DAXKV_NOT_FOUND);
	daxkv_cursor_close(c);
	daxkv_txn_abort(txn);
	store_image(store, "image");
	store_done(store);
	store = store_again("image");
	txn = begin_reading(store);
	all_have(txn, size, version);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* Caught: commit_pages without leaf_reseal; leaf_overwrite without its checksum of a tail entry, or
 * without "wp->streamed = false". */
static void values_of_one_size_are_overwritten(void **state)
{
	struct daxkv_store *store = store_new("o", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_counters before, after;
	(void)state;

	put_all(txn, 40, 0);
	OK(daxkv_txn_commit(txn));
	for (uint64_t round = 1; round < 5; round++) {
		txn = begin(store);
		for (uint64_t i = 0; i < 20; i++)
			put_all(txn, 40, round * 1000 + i);
		daxkv_counters(store, &before);
		for (uint64_t i = 0; i < 500; i++)
			put_all(txn, 40, round * 1000 + 20 + i);
		daxkv_counters(store, &after);
		assert_int_equal(before.compactions, after.compactions);
		all_have(txn, 40, round * 1000 + 519);
		OK(put_n(txn, MAIN, 7, 41, 1)); /* of another size: not in its place */
		OK(put_n(txn, MAIN, 7, 40, round * 1000 + 519));
		for (uint64_t i = 100; i < 104; i++) { /* in the tail */
			OK(put_n(txn, MAIN, i, 40, 1));
			OK(put_n(txn, MAIN, i, 40, round));
			assert_true(has_n(txn, MAIN, i, 40, round));
		}
		OK(daxkv_txn_commit(txn));
	}
	done(store, 40, 4519);
}

/* A page that the first change has streamed is written back again, and its record names what is
 * there then [R1]: a crash before the next commit keeps it. Caught: leaf_overwrite without
 * "wp->streamed = false". */
static void a_streamed_page_is_overwritten(void **state)
{
	struct daxkv_store *store = store_new("o", 4096), *after;
	struct daxkv_txn *txn = begin(store);
	(void)state;

	put_all(txn, 40, 0);
	OK(daxkv_txn_commit(txn));
	for (uint64_t round = 1; round < 40; round++) {
		txn = begin(store);
		OK(put_n(txn, MAIN, 7, 40, 2 * round)); /* every 17th time the page is made anew */
		OK(put_n(txn, MAIN, 7, 40, 2 * round + 1));
		OK(daxkv_txn_commit(txn));
		store_image(store, "image");
		after = store_again("image");
		txn = begin_reading(after);
		assert_true(has_n(txn, MAIN, 7, 40, 2 * round + 1));
		daxkv_txn_abort(txn);
		store_done(after);
	}
	store_done(store);
}

/* A nested transaction overwrites nothing that a level around it has put [R8]. */
static void a_level_overwrites_its_own_values_only(void **state)
{
	struct daxkv_store *store = store_new("o", 4096);
	struct daxkv_txn *txn = begin(store), *child;
	(void)state;

	put_all(txn, 40, 0);
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	for (uint64_t i = 1; i < 20; i++)
		put_all(txn, 40, i);
	child = begin_in(txn);
	for (uint64_t i = 100; i < 120; i++)
		put_all(child, 40, i);
	daxkv_txn_abort(child);
	all_have(txn, 40, 19);
	child = begin_in(txn);
	for (uint64_t i = 200; i < 220; i++)
		put_all(child, 40, i);
	OK(daxkv_txn_commit(child));
	all_have(txn, 40, 219);
	put_all(txn, 40, 300);
	child = begin_in(txn);
	put_all(child, 40, 400);
	daxkv_txn_abort(child);
	OK(daxkv_txn_commit(txn));
	done(store, 40, 300);
}

/* What was committed does not change under its readers [I1]. */
static void committed_values_are_not_overwritten(void **state)
{
	struct daxkv_store *store = store_new("o", 4096);
	struct daxkv_txn *txn = begin(store), *old;
	(void)state;

	put_all(txn, 40, 0);
	put_all(txn, 40, 1);
	OK(daxkv_txn_commit(txn));
	old = begin_reading(store);
	txn = begin(store);
	for (uint64_t i = 2; i < 20; i++)
		put_all(txn, 40, i);
	all_have(old, 40, 1);
	OK(daxkv_txn_commit(txn));
	all_have(old, 40, 1);
	daxkv_txn_abort(old);
	done(store, 40, 19);
}

/* The new value may lie in the page, even where the old one does. */
static void values_from_the_same_page(void **state)
{
	struct daxkv_store *store = store_new("o", 4096);
	struct daxkv_txn *txn = begin(store);
	char a[17], b[17];
	struct daxkv_val from, k = key_n(a, 5), to = key_n(b, 9);
	(void)state;

	for (uint64_t i = 0; i < 20; i++)
		put_all(txn, 40, i);
	OK(daxkv_get(txn, MAIN, &k, &from));
	OK(daxkv_put(txn, MAIN, &to, &from, 0));
	OK(daxkv_get(txn, MAIN, &k, &from));
	OK(daxkv_put(txn, MAIN, &k, &from, 0));
	assert_true(has_n(txn, MAIN, 5, 40, 19));
	OK(daxkv_get(txn, MAIN, &to, &from));
	uint8_t bytes_of_5[40];

	fill_n(bytes_of_5, 40, 5, 19);
	assert_true(from.size == 40 && memcmp(from.data, bytes_of_5, 40) == 0);
	OK(put_n(txn, MAIN, 9, 40, 19));
	OK(daxkv_txn_commit(txn));
	done(store, 40, 19);
}

static struct daxkv_cursor *cursor_at(struct daxkv_txn *txn, uint64_t n)
{
	struct daxkv_cursor *c;
	char buf[17];
	struct daxkv_val k = key_n(buf, n);

	OK(daxkv_cursor_open(txn, MAIN, &c));
	OK(daxkv_cursor_get(c, &k, NULL, DAXKV_SEEK));
	return c;
}

static bool is_at(struct daxkv_cursor *c, enum daxkv_cursor_op op, uint64_t n)
{
	char buf[17];
	struct daxkv_val want = key_n(buf, n), k, v;

	return daxkv_cursor_get(c, &k, &v, op) == 0 && k.size == want.size &&
	       memcmp(k.data, want.data, k.size) == 0;
}

/* A cursor changes its entry and goes on; another one keeps its place. Caught: here_stay that
 * always stays; fall_in_gap without the shift of order. */
static void cursors_change_what_they_scan(void **state)
{
	struct daxkv_store *store = store_new("o", 512);
	struct daxkv_txn *txn = begin(store);
	(void)state;

	put_all(txn, 40, 0);
	OK(daxkv_txn_commit(txn));
	for (uint64_t round = 1; round < 40; round++) {
		txn = begin(store);
		struct daxkv_cursor *c = cursor_at(txn, 0), *other = cursor_at(txn, 31);

		for (uint64_t i = 0; i < KEYS; i++) {
			uint8_t value[60];
			struct daxkv_val v = {i % 7 ? 40 : 60, value};

			assert_true(is_at(c, i ? DAXKV_NEXT : DAXKV_GET_CURRENT, i));
			fill_n(value, v.size, i, round);
			OK(daxkv_cursor_put(c, NULL, &v, DAXKV_CURRENT));
			assert_true(is_at(c, DAXKV_GET_CURRENT, i));
			assert_true(has_n(txn, MAIN, i, v.size, round));
			assert_true(is_at(other, DAXKV_GET_CURRENT, 31));
			if (i % 3 != round % 3 || i == 31)
				continue;
			OK(daxkv_cursor_del(c, 0));
			if (i == KEYS - 1)
				continue;
			assert_int_equal(has_n(txn, MAIN, i, v.size, round), 0);
			if (i % 2) {
				assert_true(is_at(c, DAXKV_NEXT, i + 1));
				assert_true(!i || is_at(c, DAXKV_PREV, i - 1));
			} else if (i) {
				assert_true(is_at(c, DAXKV_PREV, i - 1));
			} else {
				assert_true(is_at(c, DAXKV_NEXT, 1));
				assert_int_equal(daxkv_cursor_get(c, NULL, NULL, DAXKV_PREV),
				                 DAXKV_NOT_FOUND);
				daxkv_cursor_close(c);
				OK(put_n(txn, MAIN, 0, 40, round));
				c = cursor_at(txn, 0);
				continue;
			}
			OK(put_n(txn, MAIN, i, 40, round)); /* behind the cursor, before the next */
			assert_true(is_at(c, DAXKV_NEXT, i));
		}
		put_all(txn, 40, round);
		OK(daxkv_txn_commit(txn));
	}
	done(store, 40, 39);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(values_of_one_size_are_overwritten),
	    TEST(a_streamed_page_is_overwritten),
	    TEST(a_level_overwrites_its_own_values_only),
	    TEST(committed_values_are_not_overwritten),
	    TEST(values_from_the_same_page),
	    TEST(cursors_change_what_they_scan),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
