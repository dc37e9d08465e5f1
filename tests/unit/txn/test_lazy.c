/* SPDX-License-Identifier: BSD-3-Clause */
/* Lazy commits: who sees them, what a power cut and a process's death leave, and what syncs them.
 */
#include "lazy_store.h"

static void seen_at_once_and_durable_at_a_sync(void **state)
{
	struct daxkv_store *store = store_open("seen", FILE_MODE), *other;
	(void)state;

	OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10));
	other = store_open("seen", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	for (unsigned int i = 1; i < 40; i++) {
		OK(put_in(store, 0, 10 * i, 10));
		assert_int_equal(entries(other), 10 * i + 10);
	}
	assert_int_equal(entries_cut("seen"), 10);
	assert_int_equal(info_of(other).lazy_commits, 39);
	assert_true(info_of(other).lazy_bytes > 0);
	assert_true(info_of(other).synced_txn < info_of(other).last_txn);
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_sync(other));
	assert_int_equal(entries_cut("seen"), 400);
	assert_int_equal(info_of(store).lazy_commits, 0);
	assert_int_equal(info_of(store).synced_txn, info_of(store).last_txn);
	OK(daxkv_close(other));
	OK(daxkv_close(store));
}

static void a_durable_commit_takes_lazy_ones_along(void **state)
{
	struct daxkv_store *store = store_open("mixed", FILE_MODE), *other;
	(void)state;

	other = store_open("mixed", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	for (unsigned int i = 0; i < 20; i++) {
		OK(put_in(store, 0, 20 * i, 10));
		assert_int_equal(entries_cut("mixed"), 20 * i);
		OK(put_in(other, 0, 20 * i + 10, 10));
		assert_int_equal(entries_cut("mixed"), 20 * i + 20);
	}
	OK(daxkv_close(other));
	OK(daxkv_close(store));
}

static void bounds_make_a_commit_sync(void **state)
{
	struct daxkv_options o = FILE_MODE;
	struct daxkv_store *store;
	(void)state;

	o.lazy_commits = 3;
	store = store_open("bounds", o);
	for (unsigned int i = 1; i < 10; i++) {
		OK(put_in(store, 0, i, 1));
		assert_int_equal(entries_cut("bounds"), i / 3 * 3);
	}
	OK(daxkv_close(store));
	o.lazy_commits = 0;
	o.lazy_bytes = 1;
	store = store_open("bounds", o);
	OK(put_in(store, 0, 100, 1));
	assert_int_equal(info_of(store).lazy_commits, 0);
	OK(daxkv_close(store));
}

static int dies_with_lazy_commits(const char *name)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn;

	CHECK(daxkv_open(scratch_path(name), &FILE_MODE, &store) == 0);
	for (unsigned int i = 0; i < 30; i++)
		CHECK(put_in(store, 0, 10 * i, 10) == 0);
	CHECK(daxkv_txn_begin(store, NULL, 0, &txn) == 0);
	_exit(0);
}

static void what_processes_leave_that_die_is_made_durable(void **state)
{
	struct daxkv_store *store;
	(void)state;

	for (int again = 0; again < 2; again++) {
		const pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(dies_with_lazy_commits("death"));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(entries_cut("death"), again ? 300 : 0);
		if (again) { /* a reader cannot sync, and leaves all as it is */
			store =
			    store_open("death", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
			assert_int_equal(entries(store), 300);
			OK(daxkv_close(store));
		}
		store = store_open("death", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
		assert_int_equal(entries(store), 300);
		assert_int_equal(entries_cut("death"), 300);
		OK(daxkv_check(store, NULL, NULL, NULL));
		OK(daxkv_close(store));
	}
}

/* Its last sync left words in place that are not known to be durable: the file is not clean. */
static int dies_after_a_sync(void)
{
	struct daxkv_store *store;

	CHECK(daxkv_open(scratch_path("unclean"), &FILE_MODE, &store) == 0);
	CHECK(put_in(store, 0, 0, 10) == 0 && daxkv_sync(store) == 0);
	CHECK(put_in(store, 0, 10, 10) == 0);
	CHECK(put_in(store, DAXKV_TXN_DURABLE, 20, 10) == 0);
	CHECK(put_in(store, 0, 30, 10) == 0);
	return 0;
}

static void a_reader_of_what_died_sees_it_and_keeps_nobody_out(void **state)
{
	const struct daxkv_options reads = {.flags = DAXKV_READ_ONLY}, writes = FILE_MODE;
	struct daxkv_store *reader, *store;
	const pid_t pid = fork();
	int status;
	(void)state;

	if (pid == 0)
		_exit(dies_after_a_sync());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(entries_cut("unclean"), 30);
	reader = store_open("unclean", reads);
	assert_int_equal(entries(reader), 40);
	store = store_open("unclean", writes);
	OK(put_in(store, 0, 40, 10));
	assert_int_equal(entries(reader), 50);
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(reader));
	OK(daxkv_close(store));
}

static void another_start_of_the_machine_believes_the_file_alone(void **state)
{
	struct share share;
	struct daxkv_store *store;
	int status, fd;
	(void)state;

	unlink(scratch_path("death"));
	const pid_t pid = fork();

	if (pid == 0)
		_exit(dies_with_lazy_commits("death"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fd = open(scratch_path("death-lock"), O_RDWR);
	assert_int_equal(pread(fd, &share, sizeof share, 0), sizeof share);
	assert_int_equal(share.lazy, share_lazy_mark(share.file_id));
	share.interval.boot ^= 2;
	assert_int_equal(pwrite(fd, &share, sizeof share, 0), sizeof share);
	close(fd);
	store = store_open("death", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	assert_int_equal(entries(store), 0);
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
}

/* shell - a command that knows the paths of an image file and of a mount point. */
static bool shell(const char *command)
{
	setenv("IMAGE", scratch_path("image"), 1);
	setenv("AT", scratch_path("at"), 1);
	return system(command) == 0;
}

/* unmount - what is left of a test that failed. */
static int unmount(void **state)
{
	(void)state;
	while (shell("umount \"$AT\" 2>/dev/null"))
		continue;
	return 0;
}

/* left_seen - what the next one that opens the store of a process that died finds, which makes it
 * durable. */
static uint64_t left_seen(const char *name)
{
	struct daxkv_store *store =
	    store_open(name, (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	const uint64_t n = entries(store);

	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
	return n;
}

/* A filesystem that was shut down has lost pages, and is mounted again in the same start. */
static void another_mount_believes_the_file_alone(void **state)
{
	(void)state;

	if (geteuid() != 0 || !shell("exec 2>/dev/null; truncate -s 32M \"$IMAGE\" && "
	                             "mkfs.ext4 -q \"$IMAGE\" && mkdir \"$AT\" && "
	                             "mount -o loop \"$IMAGE\" \"$AT\""))
		skip();
	for (int again = 0; again < 2; again++) {
		const pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(dies_with_lazy_commits("at/s"));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		if (again) { /* by way of another mount point it is the same one */
			assert_true(shell("mount --bind \"$AT\" \"$AT\""));
			assert_int_equal(left_seen("at/s"), 300);
			assert_true(shell("umount \"$AT\" && umount \"$AT\""));
		} else {
			assert_true(shell("umount \"$AT\" && mount -o loop \"$IMAGE\" \"$AT\""));
			assert_int_equal(left_seen("at/s"), 0);
		}
	}
}

static void after_a_failed_flush_the_last_sync_is_believed(void **state)
{
	struct daxkv_options o = FILE_MODE;
	struct daxkv_store *store = store_open("failed", o);
	(void)state;

	OK(put_in(store, 0, 0, 10));
	OK(daxkv_sync(store));
	OK(put_in(store, 0, 10, 10));
	store->map.pm.failed = EIO; /* as if fdatasync had said so */
	assert_int_equal(daxkv_sync(store), DAXKV_PANIC);
	assert_int_equal(entries(store), 20);
	assert_int_equal(put_in(store, 0, 20, 10), DAXKV_PANIC);
	(void)daxkv_close(store);
	store = store_open("failed", o);
	assert_int_equal(entries(store), 10);
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(store));
}

static void a_sync_inside_a_transaction_is_of_those_before(void **state)
{
	struct daxkv_store *store = store_open("inside", FILE_MODE);
	struct daxkv_val key = {3, "key"}, value = {5, "value"};
	struct daxkv_txn *txn;
	(void)state;

	OK(put_in(store, 0, 0, 10));
	OK(daxkv_txn_begin(store, NULL, 0, &txn));
	OK(daxkv_put(txn, MAIN, &key, &value, 0));
	OK(daxkv_sync(store));
	assert_int_equal(entries_cut("inside"), 10);
	OK(daxkv_put(txn, MAIN, &value, &key, 0));
	OK(daxkv_txn_commit(txn));
	assert_int_equal(entries_cut("inside"), 12);
	OK(put_in(store, 0, 10, 10));
	assert_int_equal(entries_cut("inside"), 12);
	assert_int_equal(entries(store), 22);
	OK(daxkv_close(store));
}

static void an_old_reader_keeps_its_snapshot_over_syncs(void **state)
{
	struct daxkv_store *store = store_open("reader", FILE_MODE), *other;
	struct daxkv_txn *txn;
	struct daxkv_db_stat stat;
	(void)state;

	other = store_open("reader", FILE_MODE);
	OK(put_in(store, 0, 0, 500));
	OK(daxkv_txn_begin(other, NULL, DAXKV_TXN_READ_ONLY, &txn));
	for (unsigned int i = 0; i < 200; i++) {
		OK(put_in(i % 3 ? store : other, i % 7 ? 0 : DAXKV_TXN_DURABLE, i * 31 % 700, 20));
		if (i % 50 == 49)
			OK(daxkv_sync(store));
		OK(daxkv_db_stat(txn, MAIN, &stat));
		assert_int_equal(stat.entries, 500);
		for (unsigned int k = 0; k < 500; k += 7) {
			struct daxkv_val key = {sizeof k, &k}, value;

			OK(daxkv_get(txn, MAIN, &key, &value));
		}
	}
	daxkv_txn_abort(txn);
	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_close(other));
	OK(daxkv_close(store));
}

/* ---- a writer that dies between two words of a lazy commit ------------------------------------
 */

#define SPREAD 8u /* keys of each transaction, in leaves of their own */
#define ROUNDS 3u /* transactions that are done before the one that the writer dies in */

static struct {
	struct pm_ops ops;
	void (*store8)(struct pm *pm, uint64_t *word, uint64_t value);
	unsigned int left; /* words before the end of the process */
} dying;

static void store8_or_die(struct pm *pm, uint64_t *word, uint64_t value)
{
	if (!dying.left--)
		_exit(1);
	dying.store8(pm, word, value);
}

static int put_spread(struct daxkv_store *store, unsigned int round)
{
	struct daxkv_val value = {sizeof round, &round};
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, 0, &txn);

	for (unsigned int i = 0; i < SPREAD && !rc; i++) {
		unsigned int word = i * 256 / SPREAD; /* its first byte is the lowest one */
		struct daxkv_val key = {sizeof word, &word};

		rc = daxkv_put(txn, MAIN, &key, &value, 0);
	}
	return rc ? rc : daxkv_txn_commit(txn);
}

/* dies_in_a_commit - behind so many words; returns when the commit has fewer. */
static void dies_in_a_commit(const char *name, unsigned int words)
{
	struct daxkv_store *store;

	if (daxkv_open(scratch_path(name), &FILE_MODE, &store))
		_exit(2);
	for (unsigned int round = 1; round <= ROUNDS; round++)
		if (put_spread(store, round))
			_exit(2);
	dying.ops = *store->map.pm.ops;
	dying.store8 = dying.ops.store8;
	dying.ops.store8 = store8_or_die;
	dying.left = words;
	store->map.pm.ops = &dying.ops;
	if (put_spread(store, ROUNDS + 1))
		_exit(2);
}

/* spread_round - the round that all keys are of. */
static unsigned int spread_round(struct daxkv_store *store)
{
	struct daxkv_txn *txn;
	unsigned int round, first = 0;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
	for (unsigned int i = 0; i < SPREAD; i++) {
		unsigned int word = i * 256 / SPREAD;
		struct daxkv_val key = {sizeof word, &word}, value;

		OK(daxkv_get(txn, MAIN, &key, &value));
		assert_int_equal(value.size, sizeof round);
		memcpy(&round, value.data, sizeof round);
		if (i == 0)
			first = round;
		assert_int_equal(round, first);
	}
	daxkv_txn_abort(txn);
	return first;
}

/* spread_store - with leaves between the keys, all of it durable. */
static struct daxkv_store *spread_store(const char *name)
{
	struct daxkv_store *store = store_open(name, FILE_MODE);
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, 0, &txn));
	for (unsigned int i = 0; i < SPREAD * 256; i++) {
		uint8_t key[4] = {(uint8_t)i, 1, 1, (uint8_t)(i >> 8)};
		struct daxkv_val k = {sizeof key, key}, v = {sizeof key, key};

		OK(daxkv_put(txn, MAIN, &k, &v, 0));
	}
	OK(daxkv_txn_commit(txn));
	OK(put_spread(store, 0));
	OK(daxkv_sync(store));
	return store;
}

static void a_writer_that_dies_between_two_words_is_whole(void **state)
{
	unsigned int words = 0;
	int status = 1;
	(void)state;

	for (; status; words++) {
		struct daxkv_store *store = spread_store("words");
		const pid_t pid = fork();

		if (pid == 0) {
			dies_in_a_commit("words", words);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		assert_true(spread_round(store) >= ROUNDS);
		OK(put_in(store, 0, 77, 1)); /* takes over */
		assert_true(spread_round(store) >= ROUNDS + !status);
		OK(daxkv_check(store, NULL, NULL, NULL));
		OK(daxkv_sync(store));
		OK(daxkv_close(store));
		unlink(scratch_path("words"));
	}
	assert_true(words > 2);
}

/* The same when nobody else has the store open: the next one finds an interval behind a sync, whose
 * record recovery stores once more. The words of the commit come after that. */
static void a_writer_that_dies_alone_between_two_words_is_whole(void **state)
{
	unsigned int words = 0;
	int status = 1;
	(void)state;

	for (; status; words++) {
		const pid_t pid = fork();

		if (pid == 0) {
			(void)spread_store("alone");
			dies_in_a_commit("alone", words);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		struct daxkv_store *store = store_open("alone", FILE_MODE);

		assert_true(spread_round(store) >= ROUNDS);
		OK(put_in(store, 0, 77, 1));
		assert_true(spread_round(store) >= ROUNDS + !status);
		OK(daxkv_check(store, NULL, NULL, NULL));
		OK(daxkv_sync(store));
		OK(daxkv_close(store));
		unlink(scratch_path("alone"));
	}
	assert_true(words > 2);
}

static void persistent_memory_is_always_durable(void **state)
{
	struct daxkv_store *store = store_new("pmem", 4096);
	(void)state;

	OK(daxkv_set_durability(store, DAXKV_LAZY));
	OK(put_in(store, 0, 0, 10));
	OK(put_in(store, DAXKV_TXN_LAZY, 10, 10));
	assert_int_equal(info_of(store).lazy_commits, 0);
	assert_int_equal(daxkv_set_durability(store, (enum daxkv_durability)2), EINVAL);
	assert_int_equal(put_in(store, DAXKV_TXN_LAZY | DAXKV_TXN_DURABLE, 0, 1), EINVAL);
	OK(daxkv_close(store));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(seen_at_once_and_durable_at_a_sync),
	    cmocka_unit_test(a_durable_commit_takes_lazy_ones_along),
	    cmocka_unit_test(bounds_make_a_commit_sync),
	    cmocka_unit_test(what_processes_leave_that_die_is_made_durable),
	    cmocka_unit_test(a_reader_of_what_died_sees_it_and_keeps_nobody_out),
	    cmocka_unit_test(another_start_of_the_machine_believes_the_file_alone),
	    cmocka_unit_test_teardown(another_mount_believes_the_file_alone, unmount),
	    cmocka_unit_test(after_a_failed_flush_the_last_sync_is_believed),
	    cmocka_unit_test(a_sync_inside_a_transaction_is_of_those_before),
	    cmocka_unit_test(an_old_reader_keeps_its_snapshot_over_syncs),
	    cmocka_unit_test(a_writer_that_dies_between_two_words_is_whole),
	    cmocka_unit_test(a_writer_that_dies_alone_between_two_words_is_whole),
	    cmocka_unit_test(persistent_memory_is_always_durable),
	};

	return cmocka_run_group_tests_name("lazy", tests, scratch_make, scratch_remove);
}
