/* SPDX-License-Identifier: BSD-3-Clause */
/* The volatile state that users share: reader entries, the oldest snapshot, and the promise between
 * readers and writer under threads. */
#include "shm/readers.h"

#include "base/base.h"
#include "daxkv.h"
#include "scratch.h"

#include <pthread.h>

static struct share *share_new(uint32_t max_readers, uint64_t published)
{
	struct share *share = NULL;
	assert_int_equal(share_create(&share, max_readers, published), 0);
	return share;
}

static void create_without_readers(void **state)
{
	struct share *share = share_new(4, 17);
	(void)state;
	assert_int_equal(share->published, 17);
	assert_int_equal(share->panic, 0);
	assert_int_equal(share_oldest(share, NULL), 17);
	assert_int_equal(share_active(share), 0);
	assert_int_equal((uintptr_t)share->reader % 64, 0);
	share_destroy(share);
	share_destroy(NULL);
}

static void take_until_full(void **state)
{
	struct share *share = share_new(3, 1);
	uint32_t reader[4];
	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(share_take(share, NULL, 0, &reader[i]), 0);
		assert_int_equal(reader[i], i);
	}
	reader[3] = 99;
	assert_int_equal(share_take(share, NULL, 0, &reader[3]), DAXKV_READERS_FULL);
	assert_int_equal(reader[3], 99);
	assert_non_null(strstr(daxkv_errmsg(), "3 read transactions"));
	share_release(share, NULL, 1);
	assert_int_equal(share_take(share, NULL, 0, &reader[3]), 0);
	assert_int_equal(reader[3], 1);
	share_destroy(share);
}

/* The entry has a snapshot before the reader has one [I13]. */
static void enter_holds_the_snapshot(void **state)
{
	struct share *share = share_new(
	    4, 0); /* the snapshot of a new store is 0: an idle entry must not look like it */
	uint32_t a, b;
	(void)state;
	assert_int_equal(share_take(share, NULL, 0, &a), 0);
	assert_int_equal(share_take(share, NULL, 0, &b), 0);
	assert_int_equal(share_enter(share, a), 0);
	share->published = 5;
	assert_int_equal(share_oldest(share, NULL), 0);
	assert_int_equal(share_enter(share, b), 5);
	share->published = 9;
	assert_int_equal(share_active(share), 2);
	assert_int_equal(share_oldest(share, NULL), 0);
	share_leave(share, a);
	assert_int_equal(share_oldest(share, NULL), 5);
	share_release(share, NULL, b); /* ends the read too */
	assert_int_equal(share_active(share), 0);
	assert_int_equal(share_oldest(share, NULL), 9);
	share_destroy(share);
}

static void oldest_with_only_the_last_entry_taken(void **state)
{
	struct share *share = share_new(4, 3);
	uint32_t reader[4];
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(share_take(share, NULL, 0, &reader[i]), 0);
	assert_int_equal(share_enter(share, reader[3]), 3);
	for (uint32_t i = 0; i < 3; i++)
		share_release(share, NULL, reader[i]);
	share->published = 8;
	assert_int_equal(share_oldest(share, NULL), 3);
	assert_int_equal(share_active(share), 1);
	share_destroy(share);
}

/* The reader that was the oldest is looked at again; the others only when it has gone. */
static void oldest_remembered(void **state)
{
	const uint32_t n = 4096;
	struct share *share = share_new(n, 3);
	struct oldest memo = {0};
	uint32_t reader;
	(void)state;
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(share_take(share, NULL, 0, &reader), 0);
	assert_int_equal(share_enter(share, 4000), 3);
	share->published = 5;
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(share_enter(share, i * 7), 5);
	share->published = 9;
	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(share_oldest(share, &memo), 3);
		assert_int_equal(memo.looked, n + 1 + i);
	}
	share_leave(share, 4000);
	assert_int_equal(share_enter(share, 4000), 9); /* the same entry, another reader */
	assert_int_equal(share_oldest(share, &memo), 5);
	for (uint32_t i = 0; i < 100; i++)
		share_leave(share, i * 7);
	share->published = 12;
	assert_int_equal(share_oldest(share, &memo), 9);
	share_leave(share, 4000);
	assert_int_equal(share_oldest(share, &memo), 12);
	assert_int_equal(share_oldest(share, NULL), 12);
	share_destroy(share);
}

static void writer_locks_once(void **state)
{
	struct share *share = share_new(1, 0);
	(void)state;
	assert_true(wlock_try(&share->writer, 1));
	assert_int_equal(wlock_owner(&share->writer), 1);
	assert_false(wlock_try(&share->writer, 1));
	wlock_give(&share->writer);
	assert_int_equal(wlock_owner(&share->writer), 0);
	share_destroy(share);
}

/* ---- threads: what the writer may reuse is never newer than what a reader reads -------------- */

#define READERS 3
#define ENTRIES 3000

struct race {
	struct share *share;
	uint64_t reusable; /* atomic: pages freed at or before it are being reused */
	uint64_t broken, running;
};

static void *race_read(void *arg)
{
	struct race *r = arg;
	uint32_t reader;
	if (share_take(r->share, NULL, 0, &reader))
		abort();
	while (__atomic_load_n(&r->share->published, __ATOMIC_SEQ_CST) ==
	       0) /* until the writer runs */
		usleep(100);
	for (int i = 0; i < ENTRIES; i++) {
		uint64_t snapshot = share_enter(r->share, reader);
		for (int look = 0; look < 4; look++)
			if (__atomic_load_n(&r->reusable, __ATOMIC_SEQ_CST) > snapshot)
				__atomic_fetch_add(&r->broken, 1, __ATOMIC_RELAXED);
		share_leave(r->share, reader);
	}
	share_release(r->share, NULL, reader);
	__atomic_fetch_sub(&r->running, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void oldest_never_overtakes_a_reader(void **state)
{
	struct race r = {.share = share_new(READERS, 0), .running = READERS};
	pthread_t thread[READERS];
	struct oldest memo = {0};
	uint64_t published = 0;
	(void)state;
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, race_read, &r), 0);
	while (__atomic_load_n(&r.running, __ATOMIC_SEQ_CST) || published == 0) {
		__atomic_store_n(&r.share->published, ++published, __ATOMIC_SEQ_CST);
		__atomic_store_n(&r.reusable, share_oldest(r.share, &memo), __ATOMIC_SEQ_CST);
	}
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(r.broken, 0);
	assert_int_equal(share_active(r.share), 0);
	share_destroy(r.share);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(create_without_readers),
	    cmocka_unit_test(take_until_full),
	    cmocka_unit_test(enter_holds_the_snapshot),
	    cmocka_unit_test(oldest_with_only_the_last_entry_taken),
	    cmocka_unit_test(oldest_remembered),
	    cmocka_unit_test(writer_locks_once),
	    cmocka_unit_test(oldest_never_overtakes_a_reader),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
