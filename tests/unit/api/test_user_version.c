/* SPDX-License-Identifier: BSD-3-Clause */
/* test_user_version.c - the number that a program keeps with its store: a transaction's like
 * everything else. */
#include "small_store.h"

static void set(struct daxkv_store *store, uint64_t value)
{
	struct daxkv_txn *txn = begin(store);

	OK(daxkv_txn_set_user_version(txn, value));
	OK(daxkv_txn_commit(txn));
}

static void kept_by_commit_only(void **state)
{
	struct daxkv_store *store = store_new("word", 4096), *other = store_again("word");
	struct daxkv_txn *txn = begin(store);

	(void)state;
	assert_int_equal(daxkv_user_version(store), 0);
	OK(daxkv_txn_set_user_version(txn, 7));
	OK(daxkv_txn_set_user_version(txn, 8));
	assert_int_equal(daxkv_user_version(store), 0);
	daxkv_txn_abort(txn);
	assert_int_equal(daxkv_user_version(store), 0);
	txn = begin(store);
	OK(daxkv_txn_commit(txn)); /* what the aborted one wanted is forgotten */
	assert_int_equal(daxkv_user_version(store), 0);
	set(store, UINT64_MAX);
	assert_true(daxkv_user_version(store) == UINT64_MAX &&
	            daxkv_user_version(other) == UINT64_MAX);
	txn = begin_reading(store);
	uint64_t id = daxkv_txn_id(txn);

	assert_int_equal(daxkv_txn_set_user_version(txn, 1), EACCES);
	daxkv_txn_abort(txn);
	set(other, UINT64_MAX); /* nothing changes: a commit all the same */
	set(other, 9);
	txn = begin_reading(store);
	assert_int_equal(daxkv_txn_id(txn), id + 2);
	daxkv_txn_abort(txn);
	store_image(store, "word-image");
	store_check(other);
	OK(daxkv_close(other));
	store_done(store);
	int fd = open(scratch_path("word-image"), O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, &(uint64_t){0}, 8, offsetof(struct fmt_super, user_version)),
	                 8); /* the power went before it was in place */
	close(fd);
	for (int i = 0; i < 2; i++) { /* closed in order, and left by a crash */
		store = store_again(i ? "word-image" : "word");
		assert_int_equal(daxkv_user_version(store), 9);
		store_done(store);
	}
}

static void nested_transactions(void **state)
{
	struct daxkv_store *store = store_new("word-nested", 4096);
	struct daxkv_txn *top = begin(store), *child;

	(void)state;
	OK(daxkv_txn_set_user_version(top, 1));
	child = begin_in(top);
	assert_int_equal(daxkv_txn_set_user_version(top, 5), DAXKV_BAD_TXN);
	OK(daxkv_txn_set_user_version(child, 2));
	daxkv_txn_abort(child);
	child = begin_in(top);
	OK(daxkv_txn_commit(child)); /* says nothing about it */
	OK(daxkv_txn_commit(top));
	assert_int_equal(daxkv_user_version(store), 1);
	top = begin(store);
	child = begin_in(top);
	OK(daxkv_txn_set_user_version(child, 3));
	OK(daxkv_txn_commit(child));
	assert_int_equal(daxkv_user_version(store), 1);
	OK(daxkv_txn_commit(top));
	assert_int_equal(daxkv_user_version(store), 3);
	store_done(store);
}

static void a_new_store_has_the_options_word(void **state)
{
	struct daxkv_options o = {
	    .pmem = DAXKV_PMEM_FORCE, .flags = DAXKV_CREATE, .user_version = 11};
	struct daxkv_store *store = store_open("word-new", o);

	(void)state;
	assert_int_equal(daxkv_user_version(store), 11);
	store_done(store);
	o.user_version = 12;
	store = store_open("word-new", o); /* it is there already */
	assert_int_equal(daxkv_user_version(store), 11);
	store_done(store);
}

static void size_follows_growth(void **state)
{
	struct daxkv_store *store = store_new("word-size", 4096), *other = store_again("word-size");
	uint64_t size = daxkv_size(store);

	(void)state;
	assert_true(size > 0 && size == daxkv_size(other));
	struct daxkv_txn *txn = begin(store);

	for (uint64_t n = 0; n < 3 * size / 4096; n++)
		OK(put_n(txn, DAXKV_MAIN, n, 4096, 0));
	assert_int_equal(daxkv_size(other), size);
	OK(daxkv_txn_commit(txn));
	assert_true(daxkv_size(other) >= 3 * size && daxkv_size(other) == daxkv_size(store));
	OK(daxkv_close(other));
	store_done(store);
}

/* A commit of nothing has no number, one that sets the version has, whatever that was. */
static void setting_what_it_was_is_a_commit(void **state)
{
	struct daxkv_store *store = store_new("v", 4096);
	uint64_t number;
	(void)state;

	for (unsigned int lazy = 0; lazy < 2; lazy++) {
		OK(daxkv_set_durability(store, lazy ? DAXKV_LAZY : DAXKV_DURABLE));
		number = info(store).last_txn;
		OK(daxkv_txn_commit(begin(store)));
		assert_int_equal(info(store).last_txn, number);
		set(store, daxkv_user_version(store));
		assert_true(info(store).last_txn > number);
	}
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(kept_by_commit_only), TEST(setting_what_it_was_is_a_commit),
	    TEST(nested_transactions), TEST(a_new_store_has_the_options_word),
	    TEST(size_follows_growth),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
