/* SPDX-License-Identifier: BSD-3-Clause */
/* fork: what a child inherits is of no use to it, does no harm to its parent, and keeps nobody from
 * the store. */
#include "clock.h"
#include "small_store.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

static struct {
	struct daxkv_store *store;
	struct daxkv_txn *read, *write;
	struct daxkv_cursor *cursor;
} parents;

static int child_uses_everything(void)
{
	struct daxkv_val k = text("k"), v = text("w");
	struct daxkv_txn *txn = NULL;
	struct daxkv_cursor *cursor;
	daxkv_db db;

	CHECK(daxkv_txn_begin(parents.store, NULL, 0, &txn) == DAXKV_BAD_TXN &&
	      strstr(daxkv_errmsg(), "parent"));
	CHECK(daxkv_txn_begin(parents.store, NULL, DAXKV_TXN_READ_ONLY, &txn) == DAXKV_BAD_TXN);
	CHECK(daxkv_txn_begin(parents.store, parents.write, 0, &txn) == DAXKV_BAD_TXN);
	CHECK(daxkv_get(parents.read, DAXKV_MAIN, &k, &v) == DAXKV_BAD_TXN);
	CHECK(daxkv_get(parents.write, DAXKV_MAIN, &k, &v) == DAXKV_BAD_TXN);
	CHECK(daxkv_put(parents.write, DAXKV_MAIN, &k, &v, 0) == DAXKV_BAD_TXN);
	CHECK(daxkv_del(parents.write, DAXKV_MAIN, &k, NULL) == DAXKV_BAD_TXN);
	CHECK(daxkv_db_open(parents.write, &k, DAXKV_CREATE, &db) == DAXKV_BAD_TXN);
	CHECK(daxkv_cursor_open(parents.read, DAXKV_MAIN, &cursor) == DAXKV_BAD_TXN);
	CHECK(daxkv_cursor_get(parents.cursor, &k, &v, DAXKV_NEXT) == DAXKV_BAD_TXN);
	CHECK(daxkv_sync(parents.store) == DAXKV_BAD_TXN);
	struct daxkv_info i;
	uint64_t faults;

	CHECK(daxkv_info(parents.store, &i) == DAXKV_BAD_TXN && strstr(daxkv_errmsg(), "parent"));
	CHECK(daxkv_check(parents.store, NULL, NULL, &faults) == DAXKV_BAD_TXN);
	CHECK(daxkv_set_max_size(parents.store, 0) == DAXKV_BAD_TXN);
	CHECK(daxkv_size(parents.store) == 0 && daxkv_user_version(parents.store) == 0 &&
	      daxkv_fd(parents.store) == -1);
	CHECK(daxkv_readers_reap(parents.store) == 0 && daxkv_writer_pid(parents.store) == 0);
	CHECK(daxkv_txn_commit(parents.write) == DAXKV_BAD_TXN);
	daxkv_txn_reset(parents.read);
	CHECK(daxkv_txn_renew(parents.read) != 0);
	daxkv_txn_abort(parents.write);
	daxkv_txn_abort(parents.read);
	CHECK(daxkv_close(parents.store) == 0);
	return 0;
}

static void a_child_is_refused_and_harmless(void **state)
{
	struct daxkv_store *store = parents.store = store_new("e", 4096);
	struct daxkv_val k;
	(void)state;
	put_one(store, "k", "v");
	parents.read = begin_reading(store);
	OK(daxkv_cursor_open(parents.read, DAXKV_MAIN, &parents.cursor));
	parents.write = begin(store);
	OK(put(parents.write, DAXKV_MAIN, "new", "1", 0));
	child_run(child_uses_everything);
	assert_true(has(parents.read, DAXKV_MAIN, "k", "v"));
	OK(daxkv_cursor_get(parents.cursor, &k, NULL, DAXKV_FIRST));
	assert_int_equal(info(store).readers, 1);
	OK(put(parents.write, DAXKV_MAIN, "new2", "2", 0));
	OK(daxkv_txn_commit(parents.write));
	daxkv_cursor_close(parents.cursor);
	daxkv_txn_abort(parents.read);
	store_done(store);
	store = store_again("e");
	parents.read = begin_reading(store);
	assert_true(has(parents.read, DAXKV_MAIN, "new2", "2"));
	daxkv_txn_abort(parents.read);
	store_done(store);
}

/* thread_forks - a thread that has read and written forks; in the child it is the thread that is
 * left, and returns. */
static void *thread_forks(void *arg)
{
	struct daxkv_txn *txn;
	pid_t *pid = arg;

	put_one(parents.store, "t", "1");
	txn = begin_reading(parents.store);
	daxkv_txn_abort(txn); /* kept for the thread */
	*pid = fork();
	return NULL;
}

static void *thread_forks_to_close(void *arg)
{
	pid_t *pid = arg;

	*pid = fork();
	if (*pid == 0) {
		alarm(20);
		daxkv_cursor_close(parents.cursor);
		_exit(0);
	}
	return NULL;
}

/* Another thread of the parent's opens or closes a cursor of the transaction at the fork. */
static void a_child_closes_a_cursor_whatever_others_did(void **state)
{
	struct daxkv_store *store = parents.store = store_new("e", 4096);
	pthread_t thread;
	pid_t pid = -1;
	int status;
	(void)state;
	put_one(store, "k", "v");
	parents.read = begin_reading(store);
	OK(daxkv_cursor_open(parents.read, DAXKV_MAIN, &parents.cursor));
	fflush(NULL);
	assert_int_equal(pthread_mutex_lock(&parents.read->sharing), 0);
	assert_int_equal(pthread_create(&thread, NULL, thread_forks_to_close, &pid), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pthread_mutex_unlock(&parents.read->sharing), 0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	daxkv_cursor_close(parents.cursor);
	daxkv_txn_abort(parents.read);
	store_done(store);
}

static void the_thread_that_forked_ends(void **state)
{
	struct daxkv_store *store = parents.store = store_new("e", 4096);
	pthread_t thread;
	pid_t pid = -1;
	int status;
	(void)state;
	fflush(NULL);
	assert_int_equal(pthread_create(&thread, NULL, thread_forks, &pid), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(info(store).readers, 0);
	store_done(store);
}

static int child_opens_its_own(void)
{
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};
	struct daxkv_store *store;
	struct daxkv_txn *txn;

	CHECK(daxkv_open(scratch_path("e"), &o, &store) == 0);
	CHECK(daxkv_txn_begin(store, NULL, 0, &txn) == 0);
	CHECK(put(txn, DAXKV_MAIN, "child", "c", 0) == 0 && daxkv_txn_commit(txn) == 0);
	CHECK(daxkv_close(parents.store) == 0); /* the inherited one, before and after its own */
	CHECK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn) == 0 &&
	      has(txn, DAXKV_MAIN, "k", "v"));
	daxkv_txn_abort(txn);
	CHECK(daxkv_close(store) == 0);
	return 0;
}

static void a_child_opens_the_store_again(void **state)
{
	struct daxkv_store *store = parents.store = store_new("e", 4096);
	(void)state;
	put_one(store, "k", "v");
	child_run(child_opens_its_own);
	put_one(store, "more", "m");
	struct daxkv_txn *txn = begin_reading(store);

	assert_true(has(txn, DAXKV_MAIN, "child", "c") && has(txn, DAXKV_MAIN, "more", "m"));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* A process that reads and writes, forks, and dies while its child lives. */
static int parent_that_dies(int tell)
{
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};
	struct daxkv_store *store;
	struct daxkv_txn *txn;

	CHECK(daxkv_open(scratch_path("e"), &o, &store) == 0);
	CHECK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn) == 0);
	CHECK(daxkv_txn_begin(store, NULL, 0, &txn) == 0);
	CHECK(put(txn, DAXKV_MAIN, "lost", "x", 0) == 0);
	pid_t child = fork();

	if (child == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, 1); /* nobody waits for its output */
		dup2(null, 2);
		alarm(300); /* when the test fails and does not kill it */
		child = getpid();
		if (write(tell, &child, sizeof child) ==
		    sizeof child) /* fork's handlers have run */
			pause();
		_exit(0);
	}
	CHECK(child > 0);
	pause();
	return 1;
}

/* orphan_make - a process has the store open, and dies; its child goes on, and would hold what it
 * inherited. */
static pid_t orphan_make(void)
{
	int tell[2], status;
	pid_t orphan;

	fflush(NULL);
	assert_int_equal(pipe(tell), 0);
	pid_t pid = fork();

	if (pid == 0)
		_exit(parent_that_dies(tell[1]));
	assert_int_equal(read(tell[0], &orphan, sizeof orphan), sizeof orphan);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	close(tell[0]);
	close(tell[1]);
	return orphan;
}

static void an_orphan_holds_nothing(void **state)
{
	struct daxkv_store *store = store_new("e", 512);
	struct stat before, after;
	(void)state;
	for (uint64_t i = 0; i < 200; i++)
		put_some(store, i % 10 * 40, i % 10 * 40 + 40, 20, i);
	pid_t orphan = orphan_make();

	OK(fstat(store->map.fd, &before));
	for (uint64_t i = 0; i < 2000; i++)
		put_some(store, i % 10 * 40, i % 10 * 40 + 40, 20, i);
	OK(fstat(store->map.fd, &after));
	assert_int_equal(info(store).readers, 0);
	assert_true(after.st_size <= before.st_size + 2 * 64 * 512);
	store_done(store);
	pid_t second = orphan_make(); /* of a store that nobody else uses */

	store = store_again("e");
	assert_true(store->share->next_owner == 1); /* alone, in spite of the orphans */
	store_check(store);
	OK(daxkv_close(store));
	assert_int_equal(kill(orphan, SIGKILL), 0);
	assert_int_equal(kill(second, SIGKILL), 0);
}

static struct {
	int stop, opened, failed, done;
} opener;

/* alone_soon - a child may keep a descriptor for the moment until its handlers have run. */
static bool alone_soon(void)
{
	for (int i = 0; i < 6000; i++) {
		struct daxkv_store *store = store_again("e");
		bool alone = store->share->next_owner == 1;

		OK(daxkv_close(store));
		if (alone)
			return true;
		usleep(10000);
	}
	return false;
}

static void *thread_opens_and_closes(void *arg)
{
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};

	while (!__atomic_load_n(&opener.stop, __ATOMIC_RELAXED)) {
		struct daxkv_store *store;

		opener.failed = daxkv_open(scratch_path("e"), &o, &store);
		if (opener.failed)
			break;
		__atomic_fetch_add(&opener.opened, 1, __ATOMIC_RELAXED);
		daxkv_close(store);
	}
	__atomic_store_n(&opener.done, 1, __ATOMIC_RELEASE);
	return arg;
}

/* Children made while another thread is inside of open or close, wherever that is, keep nothing. */
static void forks_while_a_store_is_opened(void **state)
{
	enum { CHILDREN = 400 };
	pid_t pid[CHILDREN];
	pthread_t thread;
	struct daxkv_store *store = store_new("e", 4096);
	(void)state;
	store_done(store);
	memset(&opener, 0, sizeof opener);
	fflush(NULL);
	double end = now() + 120;

	assert_int_equal(pthread_create(&thread, NULL, thread_opens_and_closes, NULL), 0);
	for (int i = 0; i < CHILDREN; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			alarm(300);
			pause();
			_exit(0);
		}
		usleep(50);
		while (__atomic_load_n(&opener.opened, __ATOMIC_RELAXED) <= i / 20 &&
		       now() < end) /* the other thread has its turns, too */
			usleep(50);
	}
	__atomic_store_n(&opener.stop, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&opener.done, __ATOMIC_ACQUIRE) && now() < end)
		usleep(1000);
	bool good = __atomic_load_n(&opener.done, __ATOMIC_ACQUIRE) && alone_soon();

	for (int i = 0; i < CHILDREN;
	     i++) { /* else an opener that waits for one of them would wait for ever */
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	pthread_join(thread, NULL);
	assert_int_equal(opener.failed, 0);
	assert_true(good);
	assert_true(opener.opened > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_child_is_refused_and_harmless),
	    TEST(a_child_closes_a_cursor_whatever_others_did),
	    TEST(the_thread_that_forked_ends),
	    TEST(a_child_opens_the_store_again),
	    TEST(an_orphan_holds_nothing),
	    TEST(forks_while_a_store_is_opened),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
