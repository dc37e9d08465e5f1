/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_compact_cut.c - the end of the file is cut off, by compaction and at closing: what has to be
 * durable by then, and readers who know the longer file.
 *
 * ftruncate is the test's here, so that a test sees the file at that moment.
 */
#include "small_store.h"

#include "media/super.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ENTRIES 6000u

static unsigned int cuts;    /* that were looked at */
static unsigned int unready; /* of these, before the mark */

/* newest_record - the newest transaction that the ring of the mapped file names. */
static uint64_t newest_record(const uint8_t *file)
{
	const struct fmt_super *super = (const void *)file;
	uint64_t newest = 0;

	for (uint32_t i = 0; i < FMT_RING_RECORDS; i++) {
		uint64_t txn = get64(file + super->ring_off + i * FMT_RING_RECORD);

		if (txn % FMT_RING_RECORDS == i && txn > newest)
			newest = txn;
	}
	return newest;
}

/* The record that made the file shorter may be lost, as any may to a bad medium. Then its size has
 * to be in place: else the file is shorter than its superblock says. */
int ftruncate(int fd, off_t length)
{
	struct stat st;
	uint64_t clean = 0;

	if (fstat(fd, &st) == 0 && length < st.st_size && length > 0) {
		const uint8_t *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);

		assert_true(file != MAP_FAILED);
		cuts++;
		if (!super_clean((const void *)file, &clean) || clean != newest_record(file))
			unready++;
		munmap((void *)(uintptr_t)file, (size_t)st.st_size);
	}
	return (int)syscall(SYS_ftruncate, fd, length);
}

static uint64_t file_bytes(void)
{
	struct stat st;

	assert_int_equal(stat(scratch_path("s"), &st), 0);
	return (uint64_t)st.st_size;
}

static void fill(struct daxkv_store *store, uint64_t from, uint64_t to)
{
	struct daxkv_txn *txn = begin(store);

	for (uint64_t i = from; i < to; i++)
		OK(put_n(txn, DAXKV_MAIN, i, 900, 1));
	OK(daxkv_txn_commit(txn));
}

/* end_free - most of the file, at its end, is free, and nothing waits in the limbo. */
static void end_free(struct daxkv_store *store)
{
	struct daxkv_txn *txn = begin(store);

	for (uint64_t i = 20; i < ENTRIES; i++)
		OK(del_n(txn, DAXKV_MAIN, i));
	OK(daxkv_txn_commit(txn));
	for (uint64_t i = 0; i < 3; i++)
		fill(store, i, i + 1);
	OK(daxkv_sync(store));
}

/* end_free_by_abort - most of the file is free, at its end: nothing has to move, or waits. */
static void end_free_by_abort(struct daxkv_store *store)
{
	struct daxkv_txn *txn = begin(store);

	for (uint64_t i = 20; i < ENTRIES; i++)
		OK(put_n(txn, DAXKV_MAIN, i, 900, 1));
	daxkv_txn_abort(txn);
	fill(store, 0, 1);
	OK(daxkv_sync(store));
}

static void the_mark_comes_before_the_cut(void **state)
{
	(void)state;
	for (int closing = 0; closing < 2; closing++) {
		struct daxkv_store *store = store_new("s", 4096);
		struct daxkv_compact_report r;

		fill(store, 0, ENTRIES);
		end_free(store);
		const uint64_t before = file_bytes();

		cuts = unready = 0;
		if (!closing)
			OK(daxkv_compact(store, NULL, &r));
		OK(daxkv_close(store));
		assert_true(cuts > 0 && file_bytes() < before / 2);
		assert_int_equal(unready, 0);
	}
}

/* A reader that began before the commit of the smaller size may look behind it, as the checker
 * does, although nothing that it reads lies there. */
static void a_reader_who_knows_the_longer_file(void **state)
{
	struct daxkv_store *store = store_new("s", 4096);
	struct daxkv_compact_report r;

	(void)state;
	fill(store, 0, 20);
	OK(daxkv_compact(store, NULL, &r));
	end_free_by_abort(store);
	const uint64_t before = file_bytes();
	struct daxkv_txn *reader = begin_reading(store);

	OK(daxkv_compact(store, NULL, &r));
	assert_int_equal(file_bytes(), before);
	daxkv_txn_abort(reader);
	OK(daxkv_compact(store, NULL, &r));
	assert_true(file_bytes() < before / 2);
	store_done(store);
}

/* readers_follow - readers one after the other, and a commit behind the begin of each: at any
 * moment one of them needs a page that waits, in front. The end is given up all the same, and the
 * file is cut when the one that knew the longer file has ended. */
static void readers_follow(void **state)
{
	struct daxkv_store *store = store_new("s", 4096);
	struct daxkv_compact_report r;

	(void)state;
	fill(store, 0, 20);
	end_free_by_abort(store);
	const uint64_t before = file_bytes();
	struct daxkv_txn *reader = begin_reading(store);

	fill(store, 0, 1);
	OK(daxkv_compact(store, NULL, &r));
	assert_true(r.held && store->space.limbo.n > 0);
	assert_true(daxkv_size(store) < before / 2);
	assert_int_equal(file_bytes(), before);
	struct daxkv_txn *next = begin_reading(store);

	fill(store, 0, 1);
	daxkv_txn_abort(reader);
	OK(daxkv_compact(store, NULL, &r));
	assert_true(r.held && store->space.limbo.n > 0);
	assert_true(file_bytes() < before / 2);
	for (uint64_t i = 0; i < 20; i++)
		assert_true(has_n(next, DAXKV_MAIN, i, 900, 1));
	daxkv_txn_abort(next);
	store_check(store);
	store_done(store);
}

/* A reader needs what lies at the end: that is not given up, and no growth takes it. */
static void the_end_waits_for_a_reader(void **state)
{
	struct daxkv_store *store = store_new("s", 4096);
	struct daxkv_compact_report r;

	(void)state;
	fill(store, 0, ENTRIES);
	const uint64_t before = daxkv_size(store);
	struct daxkv_txn *reader = begin_reading(store);

	end_free(store);
	OK(daxkv_compact(store, NULL, &r));
	assert_true(daxkv_size(store) > before / 2);
	fill(store, ENTRIES, 3 * ENTRIES);
	for (uint64_t i = 0; i < ENTRIES; i++)
		assert_true(has_n(reader, DAXKV_MAIN, i, 900, 1));
	daxkv_txn_abort(reader);
	store_check(store);
	store_done(store);
}

/* read_all - what a snapshot has, again and again, until the file stop is there: the first entries
 * in each, and in the first one all. For a process of its own; returns its status. */
static int read_all(int ready)
{
	struct daxkv_store *store =
	    store_open("s", (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE});
	struct daxkv_txn *txn = begin_reading(store);
	unsigned int rounds = 0;

	if (write(ready, "r", 1) != 1)
		return 2;
	while (rounds < 3 || access(scratch_path("stop"), F_OK) != 0) {
		for (uint64_t i = 0; i < (rounds < 3 ? ENTRIES : 20); i++)
			if (!has_n(txn, DAXKV_MAIN, i, 900, 1))
				return 3;
		if (++rounds < 3)
			continue; /* the same snapshot, while the file is compacted */
		uint64_t faults = 0;

		daxkv_txn_abort(txn);
		if (daxkv_check(store, NULL, NULL, &faults) || faults)
			return 4;
		txn = begin_reading(store);
	}
	daxkv_txn_abort(txn);
	return daxkv_close(store) ? 5 : 0;
}

/* Its mapping is longer than the file is in the end. */
static void a_reader_in_another_process(void **state)
{
	int ready[2], status = 0;
	char byte;

	(void)state;
	unlink(scratch_path("stop"));
	struct daxkv_store *store = store_new("s", 4096);

	fill(store, 0, ENTRIES);
	OK(daxkv_close(store));
	const uint64_t before = file_bytes();

	assert_int_equal(pipe(ready), 0);
	const pid_t pid = fork();

	if (pid == 0)
		_exit(read_all(ready[1]));
	assert_true(pid > 0 && read(ready[0], &byte, 1) == 1);
	store = store_again("s");
	end_free(store);
	for (unsigned int i = 0; i < 2000 && (i < 20 || file_bytes() > before / 2); i++) {
		struct daxkv_compact_report r;

		OK(daxkv_compact(store, NULL, &r));
		usleep(10000);
	}
	assert_true(file_bytes() < before / 2);
	fill(store, ENTRIES, ENTRIES + 200); /* and it grows again */
	close(open(scratch_path("stop"), O_CREAT | O_WRONLY, 0600));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(ready[1]);
	store_done(store);
}

/* thin_out - one entry in ten is left, everywhere. */
static void thin_out(struct daxkv_store *store)
{
	struct daxkv_txn *txn = begin(store);

	for (uint64_t i = 0; i < ENTRIES; i++)
		if (i % 10)
			OK(del_n(txn, DAXKV_MAIN, i));
	OK(daxkv_txn_commit(txn));
}

/* read_for_a_while - another process: it has a snapshot until somebody compacts, and 30 ms more. */
static int read_for_a_while(int ready, int go)
{
	struct daxkv_store *store = store_again("s");
	struct daxkv_txn *txn = begin_reading(store);
	char byte = 0;

	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		return 1;
	usleep(30000);
	daxkv_txn_abort(txn);
	return daxkv_close(store) ? 2 : 0;
}

/* What it needs is in the way of all that is to move: the call waits, and moves it then. */
static void a_reader_who_ends_soon(void **state)
{
	int ready[2], go[2], status = 0;
	char byte = 0;
	struct daxkv_compact_report r;

	(void)state;
	struct daxkv_store *store = store_new("s", 4096);

	fill(store, 0, ENTRIES);
	OK(daxkv_close(store));
	assert_int_equal(pipe(ready) | pipe(go), 0);
	const pid_t pid = fork();

	if (pid == 0)
		_exit(read_for_a_while(ready[1], go[0]));
	assert_true(pid > 0 && read(ready[0], &byte, 1) == 1);
	store = store_again("s");
	thin_out(store);
	assert_int_equal(write(go[1], &byte, 1), 1);
	OK(daxkv_compact(store, NULL, &r));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	print_message("%lu to %lu bytes\n", (unsigned long)r.size_before, (unsigned long)r.size);
	assert_false(r.held);
	assert_true(r.size < r.size_before / 2);
	for (unsigned int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
	store_check(store);
	store_done(store);
}

static uint64_t (*oldest)(void *arg);
static unsigned int looks; /* at the readers */

#define LOOKS_OF_BEGIN 6u

/* The looks of a pass that begins find one of the first commit. It has ended when the pass has. */
static uint64_t an_old_one(void *arg)
{
	return looks++ < LOOKS_OF_BEGIN ? 1 : oldest(arg);
}

/* When a pass begins, a reader needs what was deleted, so all of that counts as used and nothing
 * moves. The reader has ended when the pass is over. */
static void a_reader_when_the_pass_begins(void **state)
{
	struct daxkv_compact_report r;

	(void)state;
	struct daxkv_store *store = store_new("s", 4096);

	fill(store, 0, ENTRIES);
	thin_out(store);
	oldest = store->space.oldest_reader;
	store->space.oldest_reader = an_old_one;
	looks = 0;
	OK(daxkv_compact(store, NULL, &r));
	assert_true(looks > 1 && !r.held);
	assert_true(r.size < r.size_before / 2);
	store_check(store);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(the_mark_comes_before_the_cut),
	                                   TEST(a_reader_who_knows_the_longer_file),
	                                   TEST(readers_follow),
	                                   TEST(the_end_waits_for_a_reader),
	                                   TEST(a_reader_in_another_process),
	                                   TEST(a_reader_who_ends_soon),
	                                   TEST(a_reader_when_the_pass_begins)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
