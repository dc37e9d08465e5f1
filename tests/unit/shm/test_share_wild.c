/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers in the lock file that no user of the store has written: a writer notices them before they
 * harm the store. tests/share/wild.c has what comes by chance. */
#include "small_store.h"

#include "space/space_zones.h"

/* The words of the newest commit lie in pages that only the limbo keeps from use: recovery may need
 * them until the next commit [R3]. */
static void a_limbo_that_has_lost_its_items(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = store_again("e");
	struct daxkv_txn *txn;

	(void)state;
	put_some(a, 0, 100, 100, 0);
	put_some(b, 0, 2000, 100, 1);
	assert_true(ring_is_spilled(ring_at(&b->ring, b->known)));
	const uint64_t first = a->share->limbo_first;

	a->share->limbo_first = a->share->limbo_next;
	assert_int_equal(daxkv_txn_begin(a, NULL, 0, &txn), DAXKV_CORRUPT);
	assert_non_null(strstr(daxkv_errmsg(), "free space"));
	a->share->limbo_first = first;
	put_some(a, 0, 100, 100, 2);
	put_some(b, 0, 100, 100, 3);
	store_check(a);
	store_done(b);
	store_done(a);
}

/* Free pages are held back by who has the writer's lock, and the whole file mapped: not by who
 * opens the store. */
static void a_wish_to_hold_free_pages(void **state)
{
	struct daxkv_store *a = store_new("e", 512);

	(void)state;
	put_some(a, 0, 2000, 100, 0);
	a->share->hold_free = 1;
	struct daxkv_store *b = store_again("e");

	assert_int_equal(b->share->hold_free, 1);
	put_some(a, 0, 4000, 100, 1);
	struct daxkv_txn *reader = begin_reading(a), *txn = begin(b);

	assert_int_equal(b->share->hold_free, 0);
	assert_true(b->space.limbo.n > 0);
	for (size_t z = 0; z < b->space.nzones; z++)
		OK(space_load_zone(&b->space, z));
	assert_int_equal(b->space.nfree, 0);
	OK(put_n(txn, DAXKV_MAIN, 1, 100, 2));
	OK(daxkv_txn_commit(txn));
	daxkv_txn_abort(reader);
	store_check(b);
	store_done(b);
	store_done(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(a_limbo_that_has_lost_its_items),
	                                   TEST(a_wish_to_hold_free_pages)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
