/* SPDX-License-Identifier: BSD-3-Clause */
/* test_open_flags.c - NO_FILE_LOCK leaves the store's file to its program's locks; with NO_LOCK a
 * write transaction goes from thread to thread. */
#include "small_store.h"

#include <pthread.h>
#include <sys/mman.h>

#define EMULATED .pmem = DAXKV_PMEM_FORCE

/* lock_all - a program's lock of the whole file: of a descriptor's own (OFD) or of the process. 0
 * or errno. */
static int lock_all(int fd, int command, short type)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET};

	return fcntl(fd, command, &fl) == 0 ? 0 : errno;
}

static void a_program_locks_its_file(void **state)
{
	struct daxkv_store *store = store_new("plain", 4096);
	int fd = open(scratch_path("plain"), O_RDWR | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(lock_all(fd, F_OFD_SETLK, F_WRLCK),
	                 EAGAIN); /* the store's own lock is in the way */
	OK(daxkv_close(store));
	store = store_open("plain", (struct daxkv_options){EMULATED, .flags = DAXKV_NO_FILE_LOCK});
	assert_int_equal(lock_all(fd, F_OFD_SETLK, F_WRLCK), 0);
	assert_int_equal(lock_all(fd, F_OFD_SETLK, F_UNLCK), 0);
	assert_int_equal(lock_all(fd, F_SETLK, F_WRLCK), 0);
	struct daxkv_store *second = store_open(
	    "plain", (struct daxkv_options){
	                 EMULATED, .flags = DAXKV_NO_FILE_LOCK}); /* nor is the program's */

	put_one(second, "a", "1");
	store_done(second);
	store_done(store);
	assert_int_equal(lock_all(fd, F_SETLK, F_UNLCK), 0);
	close(fd);
}

/* Who leaves no lock in the file still sees those of others. */
static void another_lock_file_is_noticed(void **state)
{
	char alias[PATH_MAX];
	struct daxkv_store *store = store_new("seen", 4096), *other = NULL;
	struct daxkv_options o = {EMULATED, .flags = DAXKV_NO_FILE_LOCK, .lock_path = alias};

	(void)state;
	snprintf(alias, sizeof alias, "%s", scratch_path("seen-alias"));
	assert_int_equal(daxkv_open(scratch_path("seen"), &o, &other), DAXKV_BUSY);
	OK(daxkv_close(store));
	OK(daxkv_open(scratch_path("seen"), &o, &other));
	store_done(other);
}

struct hand { /* what one thread gives to another */
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	int rc;
};

static void *begin_and_put(void *arg)
{
	struct hand *h = arg;

	h->rc = daxkv_txn_begin(h->store, NULL, 0, &h->txn);
	if (!h->rc)
		h->rc = put(h->txn, DAXKV_MAIN, "by", "the thread", 0);
	return NULL;
}

static void *commit(void *arg)
{
	struct hand *h = arg;

	h->rc = daxkv_txn_commit(h->txn);
	return NULL;
}

static void in_thread(void *(*run)(void *), struct hand *h)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run, h), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	OK(h->rc);
}

static uint64_t lines(struct daxkv_store *store)
{
	struct daxkv_counters c;

	daxkv_counters(store, &c);
	return c.lines_flushed;
}

static void nolock_transactions_change_threads(void **state)
{
	struct daxkv_store *store = store_open(
	    "hopping", (struct daxkv_options){EMULATED, .flags = DAXKV_CREATE | DAXKV_NO_LOCK});
	struct hand h = {.store = store};
	struct daxkv_txn *other = NULL;
	uint64_t stayed, hopped;

	(void)state;
	put_one(store, "a", "first");
	h.txn = begin(store);
	stayed = lines(store);
	OK(put(h.txn, DAXKV_MAIN, "a", "other", 0));
	OK(daxkv_txn_commit(h.txn));
	stayed = lines(store) - stayed;
	in_thread(begin_and_put, &h); /* that thread is gone, its transaction is not */
	assert_int_equal(daxkv_txn_begin(store, NULL, DAXKV_TXN_TRY, &other), DAXKV_BUSY);
	assert_true(has(h.txn, DAXKV_MAIN, "by", "the thread"));
	OK(put(h.txn, DAXKV_MAIN, "and", "by this one", 0));
	OK(daxkv_txn_commit(h.txn));
	h.txn = begin(store);
	hopped = lines(store);
	OK(put(h.txn, DAXKV_MAIN, "a", "third", 0));
	in_thread(commit, &h);
	hopped = lines(store) - hopped;
	assert_true(hopped > stayed); /* [R9] the committing thread flushed the words again */
	h.txn = begin_reading(store);
	assert_true(has(h.txn, DAXKV_MAIN, "by", "the thread") &&
	            has(h.txn, DAXKV_MAIN, "and", "by this one") &&
	            has(h.txn, DAXKV_MAIN, "a", "third"));
	daxkv_txn_abort(h.txn);
	store_done(store);
}

static bool can_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p != MAP_FAILED && munmap(p, size) == 0;
}

/* A process with many stores open has address space left for itself. */
static void many_stores_leave_room(void **state)
{
	struct daxkv_store *store, *other[300];
	struct daxkv_info info;

	(void)state;
	if (!can_map((size_t)64 << 40)) /* a sanitizer has taken it */
		skip();
	store = store_new("many", 4096);
	for (size_t i = 0; i < 300; i++)
		other[i] = store_open("many", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
	assert_true(can_map((size_t)1 << 40));
	OK(daxkv_info(store, &info));
	assert_true(info.max_size == (uint64_t)1 << 40);
	OK(daxkv_info(other[299], &info));
	assert_true(info.max_size >= (uint64_t)64 << 30);
	for (size_t i = 0; i < 300; i++)
		OK(daxkv_close(other[i]));
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_program_locks_its_file),
	    TEST(another_lock_file_is_noticed),
	    TEST(nolock_transactions_change_threads),
	    TEST(many_stores_leave_room),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
