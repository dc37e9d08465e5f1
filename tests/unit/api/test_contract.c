/* SPDX-License-Identifier: BSD-3-Clause */
/* The errors that daxkv(3) names for calls which cannot be done, and what no handle at all gives.
 */
#include "small_store.h"

#include <errno.h>

#define FAILS(call, error) assert_int_equal(call, error)

static int open_code(const char *name, struct daxkv_options o)
{
	struct daxkv_store *store;

	return daxkv_open(scratch_path(name), &o, &store);
}

static void of_opening(void **state)
{
	struct daxkv_store *store = store_new("o", 4096);

	(void)state;
	FAILS(open_code("missing", (struct daxkv_options){.flags = 0}), ENOENT);
	FAILS(open_code("o", (struct daxkv_options){.flags = DAXKV_CREATE | DAXKV_EXCLUSIVE}),
	      EEXIST);
	FAILS(open_code("o", (struct daxkv_options){.flags = DAXKV_EXTERNAL_LOCK}), EINVAL);
	FAILS(open_code("o", (struct daxkv_options){.page_size = 8192}), DAXKV_INCOMPATIBLE);
	FAILS(daxkv_set_max_size(store, (uint64_t)1 << 50), DAXKV_FULL);
	assert_int_equal(daxkv_max_key_size(store), 1024);
	store_done(store);
}

static void of_transactions(void **state)
{
	struct daxkv_store *store = store_new("t", 4096);
	struct daxkv_txn *txn = begin(store), *inner = txn, *other;
	unsigned int depth = 1; /* the outermost one counts */

	(void)state;
	FAILS(daxkv_txn_begin(store, NULL, 0, &other), DAXKV_BUSY);
	FAILS(daxkv_sync(store), DAXKV_BUSY);
	FAILS(daxkv_close(store), DAXKV_BUSY);
	FAILS(daxkv_txn_clone(txn, &other), EINVAL);
	while (daxkv_txn_begin(store, inner, 0, &other) == 0) {
		inner = other;
		depth++;
	}
	assert_int_equal(depth, 255);
	FAILS(daxkv_txn_begin(store, inner, 0, &other), DAXKV_BAD_TXN);
	FAILS(daxkv_txn_set_user_version(txn, 1), DAXKV_BAD_TXN); /* it rests */
	OK(daxkv_txn_commit(txn));

	txn = begin_reading(store);
	FAILS(daxkv_txn_set_user_version(txn, 1), EACCES);
	FAILS(daxkv_txn_renew(txn), EINVAL); /* it was not reset */
	OK(daxkv_txn_clone(txn, &other));
	daxkv_txn_reset(txn);
	FAILS(daxkv_txn_renew(txn), DAXKV_BUSY);
	daxkv_txn_abort(other);
	OK(daxkv_txn_renew(txn));
	daxkv_txn_abort(txn);
	store_done(store);
}

static void of_databases_and_entries(void **state)
{
	struct daxkv_store *store = store_new("d", 4096);
	struct daxkv_val name = text("dups"), key = text("k"), value = text("v"), none = text("");
	struct daxkv_txn *txn = begin(store);
	daxkv_db db, other;
	size_t n;

	(void)state;
	FAILS(daxkv_db_open(txn, &name, 0, &db), DAXKV_NOT_FOUND);
	OK(daxkv_db_open(txn, &name, DAXKV_CREATE | DAXKV_DUP_SORT, &db));
	FAILS(daxkv_db_open(txn, &name, DAXKV_INTEGER_KEY, &other), DAXKV_INCOMPATIBLE);
	FAILS(daxkv_db_open(txn, &none, DAXKV_CREATE, &other), DAXKV_KEY_SIZE);
	FAILS(daxkv_db_rename(txn, DAXKV_MAIN, &key), EINVAL);
	FAILS(daxkv_db_rename(txn, db, &name), DAXKV_EXIST);
	FAILS(daxkv_db_partition(txn, db, 0, NULL, &n), EINVAL);
	FAILS(daxkv_db_partition(txn, db, 65537, &key, &n), EINVAL);
	assert_int_equal(daxkv_db_compare(txn, 99, &key, &value), 0);
	FAILS(daxkv_put(txn, 99, &key, &value, 0), DAXKV_BAD_DB);
	FAILS(daxkv_put(txn, DAXKV_MAIN, &name, &value, 0), DAXKV_INCOMPATIBLE);
	FAILS(daxkv_del(txn, DAXKV_MAIN, &name, NULL), DAXKV_INCOMPATIBLE);
	FAILS(daxkv_del_range(txn, DAXKV_MAIN, NULL, NULL, NULL), DAXKV_INCOMPATIBLE);
	FAILS(daxkv_put(txn, db, &none, &value, 0), DAXKV_KEY_SIZE);
	OK(daxkv_put(txn, db, &key, &value, 0));
	OK(daxkv_put(txn, db, &key, &value, 0)); /* the pair stays */
	FAILS(daxkv_put(txn, db, &key, &value, DAXKV_NO_DUP_DATA), DAXKV_EXIST);
	FAILS(daxkv_put(txn, db, &key, &value, DAXKV_RESERVE), DAXKV_INCOMPATIBLE);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void of_cursors(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	struct daxkv_val key = text("k"), value = text("v"), later = text("zz");
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *cursor;
	uint64_t count;
	size_t n;

	(void)state;
	OK(daxkv_put(txn, DAXKV_MAIN, &key, &value, 0));
	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &cursor));
	FAILS(daxkv_cursor_get(cursor, &key, &value, DAXKV_GET_CURRENT), EINVAL);
	FAILS(daxkv_cursor_get(cursor, &key, &value, DAXKV_FIRST_DUP), EINVAL);
	FAILS(daxkv_cursor_get(cursor, NULL, &value, DAXKV_SEEK), EINVAL);
	FAILS(daxkv_cursor_get(cursor, &key, &value, DAXKV_SEEK_PAIR), DAXKV_INCOMPATIBLE);
	FAILS(daxkv_cursor_del(cursor, 0), EINVAL);
	FAILS(daxkv_cursor_count(cursor, &count), EINVAL);
	FAILS(daxkv_cursor_put(cursor, &key, &value, DAXKV_CURRENT), EINVAL);
	FAILS(daxkv_cursor_get_many(cursor, DAXKV_FIRST, NULL, 0, &key, &value, &n), EINVAL);
	FAILS(daxkv_cursor_get_many(cursor, DAXKV_SEEK, NULL, 1, &key, &value, &n), EINVAL);
	FAILS(daxkv_cursor_renew(txn, cursor), EINVAL);
	OK(daxkv_cursor_get(cursor, &key, &value, DAXKV_FIRST));
	FAILS(daxkv_cursor_get(cursor, &key, &value, DAXKV_NEXT), DAXKV_NOT_FOUND);
	OK(daxkv_cursor_get(cursor, &key, &value, DAXKV_GET_CURRENT)); /* where it was */
	FAILS(daxkv_cursor_get(cursor, &later, &value, DAXKV_SEEK), DAXKV_NOT_FOUND);
	FAILS(daxkv_cursor_get(cursor, &key, &value, DAXKV_GET_CURRENT), EINVAL); /* nowhere */
	OK(daxkv_txn_commit(txn));

	txn = begin_reading(store);
	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &cursor));
	daxkv_txn_abort(txn);
	assert_null(daxkv_cursor_txn(cursor));
	FAILS(daxkv_cursor_get(cursor, &key, &value, DAXKV_FIRST), DAXKV_BAD_TXN);
	daxkv_cursor_close(cursor);
	store_done(store);
}

static void of_nothing(void **state)
{
	(void)state;
	daxkv_txn_abort(NULL);
	daxkv_cursor_close(NULL);
	OK(daxkv_close(NULL));
	FAILS(daxkv_txn_commit(NULL), EINVAL);
	assert_int_equal(daxkv_size(NULL), 0);
	assert_int_equal(daxkv_fd(NULL), -1);
	assert_int_equal(daxkv_txn_id(NULL), 0);
	assert_null(daxkv_txn_store(NULL));
	assert_null(daxkv_lock_path(NULL));
}

/* Each flag that a call does not know is refused, also while ascending keys are gathered: a program
 * that asks for something gets it or is told. */
static void flags_that_no_put_knows(void **state)
{
	const unsigned int put_flags = DAXKV_NO_OVERWRITE | DAXKV_NO_DUP_DATA | DAXKV_RESERVE |
	                               DAXKV_APPEND | DAXKV_APPEND_DUP;
	struct daxkv_store *store = store_new("flags", 4096);
	struct daxkv_val key = text("key-0100"), value = text("v");
	struct daxkv_txn *txn = begin(store);
	struct daxkv_cursor *cursor;
	char bytes[16];
	int result;

	(void)state;
	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &cursor));
	for (int i = 0; i < 100; i++) {
		snprintf(bytes, sizeof bytes, "key-%04d", i);
		OK(put(txn, DAXKV_MAIN, bytes, "v", 0));
	}
	for (unsigned int bit = 0; bit < 32; bit++) {
		const unsigned int flag = 1u << bit;

		if (!(flag & put_flags)) {
			FAILS(daxkv_put(txn, DAXKV_MAIN, &key, &value, flag), EINVAL);
			FAILS(daxkv_cursor_put(cursor, &key, &value, flag), EINVAL);
		}
		if (!(flag & put_flags) || flag == DAXKV_RESERVE)
			FAILS(daxkv_put_many(txn, DAXKV_MAIN, 1, &key, &value, flag, &result),
			      EINVAL);
	}
	OK(daxkv_cursor_get(cursor, &key, NULL, DAXKV_FIRST));
	for (unsigned int bit = 0; bit < 32; bit++)
		if (1u << bit != DAXKV_NO_DUP_DATA)
			FAILS(daxkv_cursor_del(cursor, 1u << bit), EINVAL);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	assert_false(has(txn, DAXKV_MAIN, "key-0100", "v"));
	assert_true(has(txn, DAXKV_MAIN, "key-0000", "v"));
	daxkv_txn_abort(txn);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(of_opening), TEST(of_transactions), TEST(of_databases_and_entries),
	    TEST(of_cursors), TEST(of_nothing),      TEST(flags_that_no_put_knows),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
