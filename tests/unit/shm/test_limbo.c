/* SPDX-License-Identifier: BSD-3-Clause */
/* The queue of freed pages: order, the ring buffer's wrap and growth, and what may leave it. */
#include "shm/limbo.h"

#include "scratch.h"

static void empty_gives_nothing(void **state)
{
	struct limbo l = {0};
	struct limbo_item item;
	(void)state;
	assert_false(limbo_take(&l, UINT64_MAX, &item));
	assert_true(limbo_oldest(&l) == UINT64_MAX);
	assert_int_equal(l.pages, 0);
	limbo_free(&l);
}

static void take_stops_at_upto(void **state)
{
	struct limbo l = {0};
	struct limbo_item item;
	(void)state;
	assert_int_equal(limbo_reserve(&l, 3), 0);
	limbo_add(&l, 5, 4096, 1);
	limbo_add(&l, 5, 8192, 7);
	limbo_add(&l, 6, 65536, 2);
	assert_int_equal(l.pages, 10);
	assert_int_equal(limbo_oldest(&l), 5);
	assert_false(limbo_take(&l, 4, &item));
	assert_true(limbo_take(&l, 5, &item));
	assert_true(item.txn == 5 && item.off == 4096 && item.pages == 1);
	assert_true(limbo_take(&l, 5, &item));
	assert_true(item.txn == 5 && item.off == 8192 && item.pages == 7);
	assert_false(limbo_take(&l, 5, &item));
	assert_int_equal(limbo_oldest(&l), 6);
	assert_int_equal(l.pages, 2);
	assert_true(limbo_take(&l, UINT64_MAX, &item));
	assert_int_equal(l.pages, 0);
	assert_true(limbo_oldest(&l) == UINT64_MAX);
	limbo_free(&l);
}

/* The buffer grows while its head is anywhere, and loses no item. */
static void order_is_kept_over_wrap_and_growth(void **state)
{
	struct limbo l = {0};
	struct limbo_item item;
	uint64_t in = 0, out = 0, x = 88172645463325252u;
	(void)state;
	for (int round = 0; round < 400; round++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		size_t add = x % 50, take = x / 64 % 40;
		assert_int_equal(limbo_reserve(&l, add), 0);
		for (size_t i = 0; i < add; i++, in++)
			limbo_add(&l, in / 3, in * 512, in % 5 + 1);
		for (size_t i = 0; i < take && out < in; i++, out++) {
			assert_true(limbo_take(&l, UINT64_MAX, &item));
			assert_true(item.txn == out / 3 && item.off == out * 512 &&
			            item.pages == out % 5 + 1);
		}
		assert_int_equal(l.n, in - out);
		assert_true(l.room >= l.n && (l.room & (l.room - 1)) == 0);
	}
	assert_true(in > 1000);
	for (; out < in; out++) {
		assert_true(limbo_take(&l, UINT64_MAX, &item));
		assert_true(item.off == out * 512);
	}
	assert_int_equal(l.pages, 0);
	limbo_free(&l);
}

static void reserve_twice_needs_no_more_room(void **state)
{
	struct limbo l = {0};
	(void)state;
	assert_int_equal(limbo_reserve(&l, 100), 0);
	size_t room = l.room;
	assert_true(room >= 100);
	assert_int_equal(limbo_reserve(&l, 100), 0);
	assert_int_equal(l.room, room);
	assert_int_equal(limbo_reserve(&l, 0), 0);
	assert_int_equal(l.room, room);
	limbo_free(&l);
	assert_true(l.item == NULL && l.room == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(empty_gives_nothing),
	    cmocka_unit_test(take_stops_at_upto),
	    cmocka_unit_test(order_is_kept_over_wrap_and_growth),
	    cmocka_unit_test(reserve_twice_needs_no_more_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
