/* SPDX-License-Identifier: BSD-3-Clause */
/* What lazy commits take of the file, and when growth is durable. */
#include "lazy_store.h"
#include "rng.h"
#include "space/space_zones.h"

#include <errno.h>
#include <fcntl.h>

static void an_interval_takes_space_for_what_it_touched_only(void **state)
{
	struct daxkv_options o = FILE_MODE;
	struct daxkv_store *store;
	uint64_t size, synced;
	(void)state;

	o.lazy_bytes = o.lazy_ms = UINT64_MAX;
	store = store_open("growth", o);
	for (unsigned int i = 0; i < 100; i++)
		OK(put_in(store, 0, i * 200, 200));
	OK(daxkv_sync(store));
	size = info_of(store).used_bytes;
	for (unsigned int i = 0; i < 3000; i++)
		OK(put_in(store, 0, i * 17 % 20000, 3));
	assert_true(daxkv_size(store) < 4 * size);
	OK(daxkv_sync(store));
	synced = 0;
	for (unsigned int round = 0; round < 8; round++) {
		if (round ==
		    2) /* leaves have room for what comes, and there is space for two of each */
			synced = daxkv_size(store);
		for (unsigned int i = 0; i < 3000; i++)
			OK(put_in(store, 0, i * 17 % 20000, 3));
		OK(daxkv_sync(store));
	}
	assert_int_equal(daxkv_size(store), synced);
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
}

#define KEYS    28000u
#define UPDATES (10 * KEYS)

/* update_all - each of so many updates a commit, of keys all over the store. */
static void update_all(struct daxkv_store *store, uint64_t seed)
{
	uint8_t bytes[100] = {0};

	for (unsigned int i = 0; i < UPDATES; i++) {
		const uint64_t key_bytes[2] = {rng_mix(rng_mix(seed + i) % KEYS), 0};
		struct daxkv_val key = {sizeof key_bytes, (void *)key_bytes};
		struct daxkv_val value = {sizeof bytes, bytes};
		struct daxkv_txn *txn;

		OK(daxkv_txn_begin(store, NULL, 0, &txn));
		OK(daxkv_put(txn, MAIN, &key, &value, 0));
		OK(daxkv_txn_commit(txn));
	}
}

/* The pages of S stay beside those that took their places: an interval takes as much of the file
 * once more, however many commits it has, and the next one takes what the sync gave back. */
static void many_updates_take_each_page_once(void **state)
{
	struct daxkv_options o = FILE_MODE;
	struct daxkv_store *store;
	uint64_t size[4];
	(void)state;

	o.lazy_bytes = o.lazy_ms = UINT64_MAX;
	store = store_open("once", o);
	update_all(store, 1);
	OK(daxkv_sync(store));
	for (unsigned int round = 0; round < 4; round++) {
		const uint64_t before = daxkv_size(store);

		update_all(store, 1 + round * UPDATES);
		assert_int_equal(info_of(store).lazy_commits, UPDATES);
		/* Removals have a reserve of the file, and it grows by steps. */
		assert_true(daxkv_size(store) - before <=
		            info_of(store).used_bytes * 12 / 10 + info_of(store).used_bytes / 10);
		OK(daxkv_sync(store));
		size[round] = daxkv_size(store);
	}
	assert_int_equal(size[2], size[1]);
	assert_int_equal(size[3], size[1]);
	/* S, the newest state, and the reserve, with a small step */
	assert_true(size[3] <= 21 * info_of(store).used_bytes / 10);
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
}

/* grows - a transaction with a value that the file has no room for. */
static struct daxkv_txn *grows(struct daxkv_store *store, unsigned int flags)
{
	struct daxkv_val key = {4, "grow"}, value = {20 << 20, NULL};
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, flags, &txn));
	OK(daxkv_put(txn, MAIN, &key, &value, DAXKV_RESERVE));
	assert_int_equal(store->map.unsettled, flags == DAXKV_TXN_LAZY);
	return txn;
}

/* What the file grows by in an interval is made durable by the sync, and where there is none before
 * anything durable refers to it [I11]. */
static void growth_waits_for_the_sync(void **state)
{
	struct daxkv_store *store = store_open("grows", FILE_MODE);
	struct daxkv_counters before, after;
	(void)state;

	struct daxkv_txn *txn = grows(store, DAXKV_TXN_LAZY);

	daxkv_counters(store, &before);
	daxkv_txn_abort(txn);
	daxkv_counters(store, &after);
	assert_false(store->map.unsettled);
	assert_int_equal(after.fences, before.fences + 1);
	OK(daxkv_close(store));
	store = store_open("grows", FILE_MODE);
	OK(put_in(store, 0, 0, 1));
	daxkv_counters(store, &before);
	OK(daxkv_txn_commit(grows(store, DAXKV_TXN_LAZY)));
	daxkv_counters(store, &after);
	assert_true(after.grows > before.grows && after.fences == before.fences);
	assert_true(store->map.unsettled);
	OK(daxkv_sync(store));
	assert_false(store->map.unsettled);
	assert_int_equal(entries_cut("grows"), 2);
	daxkv_txn_abort(grows(store, DAXKV_TXN_DURABLE));
	store->map.unsettled = true; /* as behind a process that died while the file grew */
	OK(map_grow_later(&store->map, store->map.size));
	assert_true(store->map.unsettled);
	OK(map_grow(&store->map, store->map.size));
	assert_false(store->map.unsettled);
	OK(daxkv_close(store));
}

/* ---- commits that move bitmaps, and then cannot be lazy ---------------------------------------
 */

static int refused; /* errno of calls that ask for space in the lock file; 0: they get it */

/* In place of libc's: an interval's place in the lock file gets its space by this call. */
int posix_fallocate(int fd, off_t off, off_t len)
{
	if (refused)
		return refused;
	return fallocate(fd, 0, off, len) ? errno : 0;
}

/* newest - the newest commit's record. */
static struct ring_record newest(struct daxkv_store *store)
{
	struct ring_record rec;

	assert_true(ring_read(&store->ring, (unsigned int)(store->known % FMT_RING_RECORDS), &rec));
	assert_int_equal(rec.txn, store->known);
	return rec;
}

/* A commit finds no room for an interval when its bitmaps have other places already, and goes on as
 * a durable one: these pages are durable before the record that leads to them, which does not name
 * them. */
static void bitmaps_that_moved_are_fenced(void **state)
{
	struct daxkv_store *store = store_open("moved", FILE_MODE);
	(void)state;

	OK(put_in(store, DAXKV_TXN_DURABLE, 0, 100));
	OK(put_in(store, DAXKV_TXN_DURABLE, 100, 100));
	assert_true(newest(store).nranges > 0);
	refused = ENOSPC;
	OK(put_in(store, 0, 200, 100));
	refused = 0;
	assert_false(store_lazy(store));
	assert_int_equal(newest(store).nranges, 0);
	assert_int_equal(entries_cut("moved"), 300);
	OK(put_in(store, 0, 300, 100));
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
}

/* A commit that fails there leaves the bitmaps where they were. */
static void bitmaps_of_a_failed_commit_did_not_move(void **state)
{
	struct daxkv_store *store = store_open("stays", FILE_MODE);
	(void)state;

	OK(put_in(store, DAXKV_TXN_DURABLE, 0, 100));
	refused = EIO;
	assert_int_equal(put_in(store, 0, 100, 100), EIO);
	refused = 0;
	assert_int_equal(entries(store), 100);
	for (unsigned int i = 1; i < 20; i++) {
		OK(put_in(store, i % 2 ? DAXKV_TXN_DURABLE : 0, 100 * i, 100));
		OK(daxkv_check(store, NULL, NULL, NULL));
	}
	OK(daxkv_sync(store));
	assert_int_equal(entries_cut("stays"), 2000);
	OK(daxkv_close(store));
}

/* limbo_places - that are left in the lock file. */
static uint64_t limbo_places(const struct daxkv_store *store)
{
	const struct share *share = store->share;

	return store->share_file.limbo_room - (share->limbo_next - share->limbo_first);
}

/* On a full disk, and with an old reader, the limbo has one place left for many pages. A durable
 * commit in an interval needs that one, and its sync another: it fails before anybody sees it, and
 * the store goes on. */
static void a_durable_commit_without_room_for_its_sync_loses_nothing(void **state)
{
	struct daxkv_options o = FILE_MODE;
	struct daxkv_txn *old;
	unsigned int n = 0;
	(void)state;

	o.initial_size = 16u << 20; /* no transaction is short of pages, and syncs for that */
	struct daxkv_store *store = store_open("no-room", o);

	OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10000));
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &old));
	OK(put_in(store, 0, 30000, 5000)); /* all leaves are the interval's */
	assert_true(limbo_places(store) > 2);
	refused = ENOSPC;
	for (; limbo_places(store) > 2; n++) {
		assert_true(n < 1000);
		OK(put_in(store, 0, 10000 + n, 1));
		OK(put_in(store, 0, 500, 30));
	}
	assert_int_equal(put_in(store, DAXKV_TXN_DURABLE, 20000, 8000), ENOSPC);
	assert_int_equal(entries(store), 15000 + n);
	assert_true(store_lazy(store));
	OK(daxkv_sync(store));
	assert_int_equal(entries_cut("no-room"), 15000 + n);
	daxkv_txn_abort(old);
	OK(put_in(store, DAXKV_TXN_DURABLE, 20000, 8000));
	refused = 0;
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
}

/* put_pages - a value that takes so many pages. */
static void put_pages(struct daxkv_store *store, unsigned int flags, uint32_t id, size_t pages)
{
	struct daxkv_val key = {sizeof id, &id}, value = {pages * store->page_size, NULL};
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, flags, &txn));
	OK(daxkv_put(txn, MAIN, &key, &value, DAXKV_RESERVE));
	OK(daxkv_txn_commit(txn));
}

/* in_use - whether the newest commit has that page. */
static bool in_use(const struct space *s, uint64_t page)
{
	return space_bit(s->zone[page / s->zone_pages].disk, page % s->zone_pages);
}

/* What the file's superblock reaches waits for the sync, and what the interval made for readers
 * alone: an extent of both is told in two steps, and each goes its way [L3]. */
static void an_extent_of_both_kinds_is_given_in_parts(void **state)
{
	struct daxkv_options o = FILE_MODE;
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	uint64_t page = 0;
	(void)state;

	o.lazy_bytes = o.lazy_ms = UINT64_MAX;
	store = store_open("both", o);
	for (uint32_t id = 0; id < 6; id++)
		put_pages(store, id < 3 ? DAXKV_TXN_DURABLE : DAXKV_TXN_LAZY, id, 3);
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_LAZY, &txn));
	struct space *s = &store->space;

	assert_true(s->keeping);
	const uint64_t last = s->end / s->psize - 1;

	for (uint64_t p = 1; p < last && !page; p++)
		if (in_use(s, p) && in_use(s, p + 1) && space_kept(s, p * s->psize) &&
		    !space_kept(s, (p + 1) * s->psize))
			page = p;
	assert_true(page);
	const size_t before = s->nops;

	OK(space_give(s, page * s->psize, 2));
	assert_int_equal(s->nops, before + 2);
	for (size_t i = before; i < s->nops; i++) {
		assert_int_equal(s->op[i].pages, 1);
		assert_int_equal(space_op_waits(s, &s->op[i]), i > before);
	}
	daxkv_txn_abort(txn);
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_interval_takes_space_for_what_it_touched_only),
	    cmocka_unit_test(many_updates_take_each_page_once),
	    cmocka_unit_test(growth_waits_for_the_sync),
	    cmocka_unit_test(bitmaps_that_moved_are_fenced),
	    cmocka_unit_test(bitmaps_of_a_failed_commit_did_not_move),
	    cmocka_unit_test(an_extent_of_both_kinds_is_given_in_parts),
	    cmocka_unit_test(a_durable_commit_without_room_for_its_sync_loses_nothing),
	};

	return cmocka_run_group_tests_name("lazy_space", tests, scratch_make, scratch_remove);
}
