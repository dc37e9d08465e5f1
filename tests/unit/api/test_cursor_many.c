/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of daxkv_cursor_get_many: the same entries as single steps give, and the cursor behind
 * them. */
#include "small_store.h"

#include <errno.h>

#define ENTRIES 700u
#define ROOM    300u

static struct daxkv_val key[ROOM], value[ROOM];
static size_t got;

static struct daxkv_store *filled(void)
{
	struct daxkv_store *store = store_new("c", 512);

	put_some(store, 0, ENTRIES, 30,
	         1); /* then some in the tails of the leaves, and some gone */
	struct daxkv_txn *txn = begin(store);
	for (uint64_t n = 0; n < ENTRIES; n += 10)
		OK(put_n(txn, DAXKV_MAIN, n, 40, 2));
	for (uint64_t n = 3; n < ENTRIES; n += 10)
		OK(del_n(txn, DAXKV_MAIN, n));
	OK(put_n(txn, DAXKV_MAIN, 5, 3000, 3)); /* a large value */
	OK(daxkv_txn_commit(txn));
	return store;
}

static bool gone(uint64_t n)
{
	return n % 10 == 3;
}

/* shown - whether key[i], value[i] are record n's. */
static void shown(size_t i, uint64_t n)
{
	char buf[17];
	uint8_t want[3000];
	size_t len = n == 5 ? 3000 : n % 10 ? 30 : 40;
	struct daxkv_val k = key_n(buf, n);

	fill_n(want, len, n, n == 5 ? 3 : n % 10 ? 1 : 2);
	assert_int_equal(key[i].size, k.size);
	assert_memory_equal(key[i].data, k.data, k.size);
	assert_int_equal(value[i].size, len);
	assert_memory_equal(value[i].data, want, len);
}

static void whole_scans(void **state)
{
	struct daxkv_store *store = filled();
	struct daxkv_txn *txn = begin_reading(store);
	static const size_t rooms[] = {1, 2, 7, 64, ROOM};
	(void)state;

	for (size_t r = 0; r < 5; r++)
		for (int back = 0; back < 2; back++) {
			struct daxkv_cursor *c;
			uint64_t n = back ? ENTRIES - 1 : 0, seen = 0;

			OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
			while (daxkv_cursor_get_many(c, back ? DAXKV_PREV : DAXKV_NEXT, NULL,
			                             rooms[r], key, value, &got) == 0) {
				assert_true(got > 0 && got <= rooms[r]);
				for (size_t i = 0; i < got; i++, n += back ? UINT64_MAX : 1) {
					while (gone(n))
						n += back ? UINT64_MAX : 1;
					shown(i, n);
				}
				seen += got;
			}
			assert_int_equal(seen, ENTRIES - ENTRIES / 10);
			assert_int_equal(daxkv_cursor_get_many(c, back ? DAXKV_PREV : DAXKV_NEXT,
			                                       NULL, 9, key, value, &got),
			                 DAXKV_NOT_FOUND);
			OK(daxkv_cursor_get(c, &key[0], &value[0], DAXKV_GET_CURRENT));
			shown(0, back ? 0 : ENTRIES - 1);
			daxkv_cursor_close(c);
		}
	daxkv_txn_abort(txn);
	store_done(store);
}

/* bounded - entries from a on, up to end, in calls of room: forward [a, end), backward [end, a]. */
static void bounded(struct daxkv_cursor *c, bool back, uint64_t a, uint64_t end, size_t room)
{
	char from[17], to[17];
	struct daxkv_val limit = key_n(to, end);
	uint64_t n = a, last = a;
	bool any = false;
	int rc;

	key[0] = key_n(from, a);
	rc = daxkv_cursor_get_many(c, back ? DAXKV_SEEK_LE : DAXKV_SEEK_GE, &limit, room, key,
	                           value, &got);
	for (; rc == 0; rc = daxkv_cursor_get_many(c, back ? DAXKV_PREV : DAXKV_NEXT, &limit, room,
	                                           key, value, &got)) {
		for (size_t i = 0; i < got; i++, n += back ? UINT64_MAX : 1) {
			while (gone(n))
				n += back ? UINT64_MAX : 1;
			shown(i, n);
			last = n;
		}
		any = true;
	}
	assert_int_equal(rc, DAXKV_NOT_FOUND);
	for (; back ? n + 1 > end : n < end; n += back ? UINT64_MAX : 1)
		assert_true(gone(n)); /* nothing was left out */
	if (any) {                    /* the cursor stands on the last one given */
		OK(daxkv_cursor_get(c, &key[0], &value[0], DAXKV_GET_CURRENT));
		shown(0, last);
	} else {
		assert_int_equal(daxkv_cursor_get(c, &key[0], &value[0], DAXKV_GET_CURRENT),
		                 EINVAL);
	}
}

static void scans_with_an_end(void **state)
{
	struct daxkv_store *store = filled();
	struct daxkv_txn *txn = begin_reading(store);
	struct daxkv_cursor *c;
	uint64_t x = 7;
	(void)state;

	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	for (int i = 0; i < 300; i++) {
		uint64_t a = random_next(&x) % ENTRIES, len = random_next(&x) % (i % 2 ? 12 : 200);

		bounded(c, false, a, a + len < ENTRIES ? a + len : ENTRIES,
		        1 + random_next(&x) % 40);
		bounded(c, true, a, a > len ? a - len + 1 : 1, 1 + random_next(&x) % 40);
	}
	struct daxkv_val before = text("a"), behind = text("z");

	assert_int_equal(daxkv_cursor_get_many(c, DAXKV_FIRST, &before, 9, key, value, &got),
	                 DAXKV_NOT_FOUND);
	assert_int_equal(daxkv_cursor_get_many(c, DAXKV_LAST, &behind, 9, key, value, &got),
	                 DAXKV_NOT_FOUND);
	OK(daxkv_cursor_get_many(c, DAXKV_LAST, &before, 9, key, value, &got));
	assert_int_equal(got, 9);
	OK(daxkv_cursor_get_many(c, DAXKV_FIRST, &behind, 9, key, value, &got));
	shown(0, 0);
	daxkv_cursor_close(c);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void an_end_that_is_passed_leaves_the_cursor(void **state)
{
	struct daxkv_store *store = filled();
	struct daxkv_txn *txn = begin_reading(store);
	struct daxkv_cursor *c;
	(void)state;

	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	for (uint64_t n = 0; n < ENTRIES; n++) { /* also between leaves */
		char a[17], b[17];
		struct daxkv_val limit = key_n(b, n + 1);

		if (gone(n))
			continue;
		key[0] = key_n(a, n);
		OK(daxkv_cursor_get(c, &key[0], &value[0], DAXKV_SEEK));
		assert_int_equal(daxkv_cursor_get_many(c, DAXKV_NEXT, &limit, 5, key, value, &got),
		                 DAXKV_NOT_FOUND);
		OK(daxkv_cursor_get(c, &key[0], &value[0], DAXKV_GET_CURRENT));
		shown(0, n);
		limit = key_n(b, n);
		assert_int_equal(daxkv_cursor_get_many(c, DAXKV_PREV, &limit, 5, key, value, &got),
		                 DAXKV_NOT_FOUND);
		OK(daxkv_cursor_get(c, &key[0], &value[0], DAXKV_GET_CURRENT));
		shown(0, n);
	}
	daxkv_cursor_close(c);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void beside_changes_of_its_own_transaction(void **state)
{
	struct daxkv_store *store = filled();
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *c;
	(void)state;

	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	OK(daxkv_cursor_get_many(c, DAXKV_FIRST, NULL, 20, key, value,
	                         &got)); /* 0 to 21, without 3 and 13 */
	shown(19, 21);
	OK(del_n(txn, DAXKV_MAIN, 21));
	OK(del_n(txn, DAXKV_MAIN, 22));
	OK(daxkv_cursor_get_many(c, DAXKV_NEXT, NULL, 4, key, value, &got)); /* 23 is gone anyway */
	shown(0, 24);
	OK(daxkv_cursor_del(c, 0));
	OK(daxkv_cursor_get_many(c, DAXKV_PREV, NULL, 4, key, value, &got));
	shown(0, 26);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void wrong_calls(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin_reading(store);
	struct daxkv_cursor *c;
	struct daxkv_val none = {0, NULL};
	(void)state;

	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	assert_int_equal(daxkv_cursor_get_many(c, DAXKV_NEXT, NULL, 3, key, value, &got),
	                 DAXKV_NOT_FOUND);
	assert_int_equal(daxkv_cursor_get_many(c, DAXKV_LAST, NULL, 3, key, value, &got),
	                 DAXKV_NOT_FOUND);
	assert_int_equal(daxkv_cursor_get_many(c, DAXKV_NEXT, NULL, 0, key, value, &got), EINVAL);
	assert_int_equal(daxkv_cursor_get_many(c, DAXKV_NEXT_DUP, NULL, 3, key, value, &got),
	                 EINVAL);
	assert_int_equal(daxkv_cursor_get_many(c, DAXKV_NEXT, &none, 3, key, value, &got),
	                 DAXKV_KEY_SIZE);
	assert_int_equal(daxkv_cursor_get_many(NULL, DAXKV_NEXT, NULL, 3, key, value, &got),
	                 EINVAL);
	daxkv_txn_abort(txn);
	assert_int_equal(daxkv_cursor_get_many(c, DAXKV_NEXT, NULL, 3, key, value, &got),
	                 DAXKV_BAD_TXN);
	daxkv_cursor_close(c);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(whole_scans),
	    TEST(scans_with_an_end),
	    TEST(an_end_that_is_passed_leaves_the_cursor),
	    TEST(beside_changes_of_its_own_transaction),
	    TEST(wrong_calls),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
