/* SPDX-License-Identifier: BSD-3-Clause */
/* Lazy commits whose part of the lock file others have written to, and syncs that fail. */
#include "lazy_store.h"

/* Others may write into the lock file. Their bytes become neither the file's superblock nor a sync
 * that nobody asked for. */
static void what_is_written_into_the_lock_file_stays_there(void **state)
{
	static const size_t word[] = {offsetof(struct fmt_super, main_desc),
	                              offsetof(struct fmt_super, size),
	                              offsetof(struct fmt_super, dir)};
	struct daxkv_options o = FILE_MODE;
	(void)state;

	for (size_t i = 0; i < sizeof word / sizeof *word; i++) {
		struct daxkv_store *store = store_open("wild", o);

		OK(put_in(store, 0, 0, 10));
		OK(daxkv_sync(store));
		OK(put_in(store, 0, 10, 10));
		memset(store->share_file.lazy + word[i], 0x11, 8);
		assert_int_equal(daxkv_sync(store), DAXKV_CORRUPT);
		assert_non_null(strstr(daxkv_errmsg(), "wild-lock is damaged"));
		(void)daxkv_close(store);
		store = store_open("wild", o);
		assert_int_equal(entries(store), 10);
		OK(daxkv_check(store, NULL, NULL, NULL));
		store->share->lazy = 1; /* no interval is open */
		OK(daxkv_sync(store));
		OK(put_in(store, 0, 0, 10));
		OK(daxkv_close(store));
		assert_int_equal(entries_cut("wild"), 10);
	}
}

/* They are noticed also where they could be a superblock's: in a place that nothing looks at, as a
 * page that the store once had, and behind a commit that has written over them. */
static void plausible_bytes_in_the_lock_file_stay_there(void **state)
{
	struct daxkv_options o = FILE_MODE;
	(void)state;

	for (unsigned int i = 0; i < 4; i++) {
		struct daxkv_store *store = store_open("plausible", o);
		struct fmt_super *shadow = (void *)store->share_file.lazy;
		const uint64_t before = ((const struct fmt_super *)store->map.base)->main_desc;

		OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10));
		OK(put_in(store, 0, 10, 10));
		assert_int_not_equal(shadow->main_desc, 0);
		if (i == 0)
			shadow->main_desc =
			    before == shadow->main_desc ? before + store->page_size : before;
		else if (i == 1)
			shadow->dir[0] = shadow->main_desc;
		else if (i == 2)
			shadow->user_version++;
		else
			shadow->dir[1] += store->page_size;
		if (i == 2) {
			struct daxkv_txn *txn;

			OK(daxkv_txn_begin(store, NULL, 0, &txn));
			OK(daxkv_txn_set_user_version(txn, 7));
			OK(daxkv_txn_commit(txn));
		}
		assert_int_equal(daxkv_sync(store), DAXKV_CORRUPT);
		(void)daxkv_close(store);
		store = store_open("plausible", o);
		assert_int_equal(entries(store), 10);
		OK(daxkv_check(store, NULL, NULL, NULL));
		OK(daxkv_close(store));
	}
}

/* The word that says that there is an interval is among what others may write. */
static void an_interval_is_not_forgotten(void **state)
{
	struct daxkv_options o = FILE_MODE;
	(void)state;

	for (unsigned int i = 0; i < 3; i++) {
		struct daxkv_store *store = store_open("forgotten", o);
		struct daxkv_txn *txn;
		unsigned int flags = i == 1 ? 0 : DAXKV_TXN_DURABLE;

		OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10));
		OK(put_in(store, 0, 10, 1000));
		if (i == 0) {
			OK(daxkv_txn_begin(store, NULL, flags, &txn));
			store->share->lazy = 0;
			OK(daxkv_txn_set_user_version(txn, 7));
			assert_int_equal(daxkv_txn_commit(txn), DAXKV_CORRUPT);
		} else {
			store->share->lazy = 0;
			assert_int_equal(put_in(store, flags, 2000, 10), DAXKV_CORRUPT);
		}
		(void)daxkv_close(store);
		store = store_open("forgotten", o);
		assert_int_equal(entries(store), 10);
		OK(daxkv_check(store, NULL, NULL, NULL));
		OK(daxkv_close(store));
	}
}

/* A wrong number of the last sync would have pages changed that a power cut leads back to. */
static void another_number_of_the_last_sync_is_noticed(void **state)
{
	static const uint64_t wild[] = {0, 1, UINT64_MAX, UINT64_MAX - 1};
	(void)state;

	for (size_t i = 0; i < 6; i++) {
		struct daxkv_store *store = store_open("synced", FILE_MODE);
		struct share_interval *iv = &store->share->interval;

		OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10));
		OK(put_in(store, 0, 10, 1000));
		iv->synced = i < 4 ? wild[i] : iv->synced + (i == 4 ? 1 : UINT64_MAX);
		assert_int_equal(put_in(store, 0, 5, 1), DAXKV_CORRUPT);
		assert_int_equal(put_in(store, DAXKV_TXN_DURABLE, 5, 1), DAXKV_PANIC);
		(void)daxkv_close(store);
		store = store_open("synced", FILE_MODE);
		assert_int_equal(entries(store), 10);
		OK(daxkv_check(store, NULL, NULL, NULL));
		OK(daxkv_close(store));
	}
}

static struct {
	struct pm_ops ops;
	struct daxkv_store *store;
	int (*fence)(struct pm *pm);
	unsigned int left; /* fences before the one that bytes come with */
} meanwhile;

static int fence_or_damage(struct pm *pm)
{
	struct fmt_super *shadow = (void *)meanwhile.store->share_file.lazy;

	if (!meanwhile.left--) {
		shadow->dir[100] = 0x11;
		shadow->user_version++;
		shadow->dir[0] += meanwhile.store->page_size;
	}
	return meanwhile.fence(pm);
}

/* A sync waits for the medium twice. What comes into the lock file meanwhile does not get out. */
static void bytes_that_come_while_a_sync_waits_stay_there(void **state)
{
	struct daxkv_options o = FILE_MODE;
	(void)state;

	for (unsigned int i = 0; i < 2; i++) {
		struct daxkv_store *store = store_open("waits", o);

		OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10));
		OK(put_in(store, 0, 10, 1000));
		meanwhile.ops = *store->map.pm.ops;
		meanwhile.fence = meanwhile.ops.fence;
		meanwhile.ops.fence = fence_or_damage;
		meanwhile.store = store;
		meanwhile.left = i;
		store->map.pm.ops = &meanwhile.ops;
		OK(daxkv_sync(store));
		assert_int_equal(entries_cut("waits"), 1010);
		OK(put_in(store, 0, 2000, 10));
		OK(daxkv_check(store, NULL, NULL, NULL));
		OK(daxkv_close(store));
		unlink(scratch_path("waits"));
	}
}

/* A commit that is seen already does not return an error that says that nothing was kept. */
static void a_commit_whose_sync_fails_is_unknown_or_lazy(void **state)
{
	struct daxkv_options o = FILE_MODE;
	(void)state;

	for (unsigned int i = 0; i < 2; i++) {
		struct daxkv_store *store = store_open("fails", o);

		OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10));
		OK(put_in(store, 0, 10, 10));
		store->share_file.lazy[SHARE_LAZY_SUPER - 1] ^= 1;
		if (i)
			store->lazy_bounds.commits = 1;
		assert_int_equal(put_in(store, i ? 0 : DAXKV_TXN_DURABLE, 20, 10), DAXKV_PANIC);
		assert_int_equal(entries(store), 30);
		assert_int_equal(put_in(store, 0, 30, 10), DAXKV_PANIC);
		(void)daxkv_close(store);
		store = store_open("fails", o);
		assert_int_equal(entries(store), 10);
		OK(daxkv_close(store));
	}
}

/* Where this process cannot map all that the newest commit uses, it makes no sync: the bound waits
 * for the next commit, and a durable commit cannot wait. */
static void a_bound_that_cannot_be_kept_waits(void **state)
{
	struct daxkv_store *store = store_open("waits", FILE_MODE);
	(void)state;

	OK(put_in(store, DAXKV_TXN_DURABLE, 0, 1000));
	OK(put_in(store, 0, 0, 1000));
	store->lazy_bounds.commits = 1;
	store->lazy_txn = true;
	const uint64_t reserve = store->map.reserve;

	store->map.size -= store->page_size;
	store->map.reserve = store->map.size;
	assert_int_equal(commit_lazy_end(store, true), 0);
	store->lazy_txn = false;
	assert_int_equal(commit_lazy_end(store, true), DAXKV_PANIC);
	store->map.reserve = reserve;
	store->map.size += store->page_size;
	(void)daxkv_close(store);
}

/* The record of a sync is there before the sync is: a checker in between waits for its end. */
static void a_sync_that_runs_is_no_fault(void **state)
{
	struct daxkv_store *store = store_open("half", FILE_MODE);
	struct daxkv_store *other = store_open("half", FILE_MODE);
	const struct daxkv_check short_check = {.milliseconds = 50};
	struct daxkv_txn *txn;
	(void)state;

	OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10));
	for (unsigned int i = 0; i < 5; i++)
		OK(put_in(store, 0, 10, 10));
	OK(daxkv_txn_begin(store, NULL, 0, &txn));
	const uint64_t synced = commit_synced(store), number = synced + 1 + 2 * FMT_RING_RECORDS;

	ring_write(&store->ring, number, number - 1, NULL, 0, NULL, 0);
	assert_int_equal(daxkv_check_with(other, &short_check, NULL), DAXKV_BUSY);
	pm_zero(&store->map.pm, ring_at(&store->ring, number), FMT_RING_RECORD);
	OK(daxkv_check_with(other, &short_check, NULL));
	daxkv_txn_abort(txn);
	OK(daxkv_close(other));
	OK(daxkv_close(store));
}

static bool shadow_sound_at(const struct daxkv_store *store, uint64_t txn)
{
	struct fmt_super shadow;

	commit_shadow_copy(store, &shadow);
	return commit_shadow_sound(store, &shadow, txn);
}

/* A writer may die behind the sum of a commit whose record it has not written. */
static void the_sum_of_a_commit_that_never_came_is_forgotten(void **state)
{
	struct daxkv_store *store = store_open("sums", FILE_MODE);
	(void)state;

	OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10));
	OK(put_in(store, 0, 10, 10));
	const uint64_t txn = store->known;

	store->wset.txn = txn + 1;
	store->words.n = 0;
	OK(words_add(&store->words, offsetof(struct fmt_super, user_version), 5));
	commit_shadow_note(store);
	assert_true(shadow_sound_at(store, txn));
	assert_false(shadow_sound_at(store, txn + 1));
	commit_shadow_forget(store, txn);
	assert_true(shadow_sound_at(store, txn + 1));
	OK(put_in(store, 0, 20, 10));
	OK(daxkv_sync(store));
	assert_int_equal(entries_cut("sums"), 30);
	OK(daxkv_close(store));
}

/* A copy of the store that has taken its name has none of the pages that the others' interval leads
 * to: what it has is not to be mixed with theirs. */
static void a_copy_that_has_taken_the_name_waits(void **state)
{
	struct daxkv_store *store = store_open("named", FILE_MODE), *other;
	struct daxkv_options reads = {.flags = DAXKV_READ_ONLY}, writes = FILE_MODE;
	char text[PATH_MAX + 16];
	(void)state;

	OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10));
	assert_int_equal(entries_cut("named"), 10);
	OK(put_in(store, 0, 10, 1000));
	snprintf(text, sizeof text, "%s", scratch_path("named-cut"));
	OK(rename(text, scratch_path("named")));
	assert_int_equal(daxkv_open(scratch_path("named"), &reads, &other), DAXKV_BUSY);
	assert_int_equal(daxkv_open(scratch_path("named"), &writes, &other), DAXKV_BUSY);
	assert_non_null(strstr(daxkv_errmsg(), "has taken its name"));
	assert_int_equal(entries(store), 1010);
	OK(daxkv_sync(store));
	OK(daxkv_close(store));
	store = store_open("named", FILE_MODE);
	assert_int_equal(entries(store), 10);
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
}

static int dies_in_an_interval(void)
{
	struct daxkv_store *store;

	CHECK(daxkv_open(scratch_path("left"), &FILE_MODE, &store) == 0);
	CHECK(put_in(store, DAXKV_TXN_DURABLE, 0, 10) == 0);
	CHECK(put_in(store, 0, 10, 10) == 0);
	return 0;
}

/* The lock file of a process that died in an interval has lost its end, or has other bytes where it
 * tells of the limbo. What cannot be used is made anew, and no opening fails for it. */
static void no_lock_file_that_was_left_keeps_users_out(void **state)
{
	static const uint64_t wild[] = {0, 1, 0x1111111111111111, UINT64_MAX};
	(void)state;

	for (size_t i = 0; i < 15; i++) {
		const pid_t pid = fork();
		int status, fd;
		struct share share;

		if (pid == 0)
			_exit(dies_in_an_interval());
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		fd = open(scratch_path("left-lock"), O_RDWR);
		assert_int_equal(pread(fd, &share, sizeof share, 0), sizeof share);
		if (i < 12) {
			if (i < 4)
				share.limbo_place = wild[i];
			else
				share.limbo_next = wild[i % 4];
			if (i >= 8)
				share.interval.limbo_mark = 7;
			assert_int_equal(pwrite(fd, &share, sizeof share, 0), sizeof share);
		} else {
			const size_t whole = share_file_bytes(share.max_readers);

			OK(ftruncate(fd, (off_t)(whole - (i == 12 ? 1 : (i - 12) * 4096))));
		}
		close(fd);
		struct daxkv_store *store = store_open("left", FILE_MODE);

		assert_int_equal(entries(store), i < 12 ? 20 : 10);
		OK(put_in(store, 0, 20, 10));
		OK(daxkv_check(store, NULL, NULL, NULL));
		OK(daxkv_close(store));
		assert_int_equal(entries_cut("left"), i < 12 ? 30 : 20);
		unlink(scratch_path("left"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_written_into_the_lock_file_stays_there),
	    cmocka_unit_test(plausible_bytes_in_the_lock_file_stay_there),
	    cmocka_unit_test(an_interval_is_not_forgotten),
	    cmocka_unit_test(another_number_of_the_last_sync_is_noticed),
	    cmocka_unit_test(bytes_that_come_while_a_sync_waits_stay_there),
	    cmocka_unit_test(a_commit_whose_sync_fails_is_unknown_or_lazy),
	    cmocka_unit_test(a_bound_that_cannot_be_kept_waits),
	    cmocka_unit_test(a_sync_that_runs_is_no_fault),
	    cmocka_unit_test(a_copy_that_has_taken_the_name_waits),
	    cmocka_unit_test(no_lock_file_that_was_left_keeps_users_out),
	    cmocka_unit_test(the_sum_of_a_commit_that_never_came_is_forgotten),
	};

	return cmocka_run_group_tests_name("lazy_share", tests, scratch_make, scratch_remove);
}
