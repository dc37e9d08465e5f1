/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for the writer's lock: as long as asked, behind another thread or handle, and never
 * because of a store that only looks the same. */
#include "shm/lock.h"
#include "small_store.h"

#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool stops_in_opening, stops_in_closing; /* once */

static void stop_if(bool *stops)
{
	const bool now = *stops;

	*stops = false;
	if (now)
		raise(SIGSTOP);
}

/* The engine's calls come here. */
int posix_fallocate(int fd, off_t off, off_t len)
{
	stop_if(&stops_in_opening);
	return syscall(SYS_fallocate, fd, 0, off, len) == 0 ? 0 : errno;
}

int fdatasync(int fd)
{
	stop_if(&stops_in_closing);
	return (int)syscall(SYS_fdatasync, fd);
}

struct holder { /* of the lock, by another thread */
	struct daxkv_store *store;
	sem_t held, let_go;
	pthread_t thread;
};

static void *thread_holds_the_lock(void *arg)
{
	struct holder *h = arg;
	struct daxkv_txn *txn = NULL;
	int rc = daxkv_txn_begin_timed(h->store, 10000, &txn);

	sem_post(&h->held);
	if (rc)
		return (void *)1;
	sem_wait(&h->let_go);
	usleep(50000); /* the other one waits already, or at once: right either way */
	daxkv_txn_abort(txn);
	return NULL;
}

static void holder_start(struct holder *h, struct daxkv_store *store)
{
	h->store = store;
	assert_int_equal(sem_init(&h->held, 0, 0) | sem_init(&h->let_go, 0, 0), 0);
	assert_int_equal(pthread_create(&h->thread, NULL, thread_holds_the_lock, h), 0);
	assert_int_equal(sem_wait(&h->held), 0);
}

static void holder_end(struct holder *h)
{
	void *result;

	assert_int_equal(pthread_join(h->thread, &result), 0);
	assert_null(result);
}

static void waiting_for_a_while(void **state)
{
	struct daxkv_store *a = store_new("e", 4096), *b = store_again("e");
	struct daxkv_txn *txn = NULL;
	struct holder holder;
	(void)state;

	holder_start(&holder, a);
	assert_int_equal(daxkv_txn_begin_timed(b, 20, &txn), DAXKV_BUSY);
	assert_int_equal(daxkv_txn_begin_timed(a, 0, &txn), DAXKV_BUSY);
	sem_post(&holder.let_go);
	OK(daxkv_txn_begin_timed(b, 10000, &txn));
	assert_int_equal(daxkv_txn_begin_timed(b, 10, &txn), DAXKV_BUSY); /* its own */
	OK(put(txn, DAXKV_MAIN, "k", "v", 0));
	OK(daxkv_txn_commit(txn));
	holder_end(&holder);
	store_done(a);
	store_done(b);
}

/* A copy of a store has its id, and is another store: to wait for its writer while writing to the
 * first is no deadlock. */
static void a_copy_is_another_store(void **state)
{
	struct daxkv_store *a = store_new("e", 4096), *b;
	struct daxkv_txn *txn, *other = NULL;
	struct holder holder;
	(void)state;
	store_image(a, "copy");
	b = store_open("copy", (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE});
	assert_int_equal(info(a).file_id, info(b).file_id);
	txn = begin(a);
	holder_start(&holder, b);
	sem_post(&holder.let_go);
	OK(daxkv_txn_begin_timed(b, 10000, &other));
	daxkv_txn_abort(other);
	daxkv_txn_abort(txn);
	holder_end(&holder);
	OK(daxkv_close(b));
	store_done(a);
}

/* child_writes_and_stops - begins a write transaction, and stops in it. */
static void child_writes_and_stops(void)
{
	const struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};
	struct daxkv_txn *txn;
	struct daxkv_store *store;

	if (daxkv_open(scratch_path("e"), &o, &store) || daxkv_txn_begin(store, NULL, 0, &txn))
		_exit(1);
	raise(SIGSTOP);
	_exit(2);
}

/* Who waits for a process that stands still can say which one that is. */
static void a_stopped_writer_is_named(void **state)
{
	struct daxkv_txn *txn;
	int status;
	(void)state;
	OK(daxkv_close(store_new("e", 4096)));
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		child_writes_and_stops();
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	struct daxkv_store *store = store_again("e");

	assert_int_equal(daxkv_txn_begin_timed(store, 30, &txn), DAXKV_BUSY);
	assert_int_equal(daxkv_writer_pid(store), child);
	(void)info(store); /* it does not wait */
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	OK(daxkv_txn_begin_timed(store, 10000, &txn));
	assert_int_equal(daxkv_writer_pid(store), getpid());
	daxkv_txn_abort(txn);
	assert_int_equal(daxkv_writer_pid(store), 0);
	store_done(store);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* child_stopped - runs run in a child, which has stopped on return. */
static pid_t child_stopped(void (*run)(void))
{
	int status;
	fflush(NULL);
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		run();
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	return child;
}

/* child_ends - at once, or going on from where it has stopped. */
static void child_ends(pid_t child, int how)
{
	int status;

	assert_int_equal(kill(child, how), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(how == SIGKILL ? WIFSIGNALED(status) : WIFEXITED(status));
}

static void opens_and_stops(void)
{
	const struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};
	struct daxkv_store *store;

	stops_in_opening = true;
	(void)daxkv_open(scratch_path("e"), &o, &store);
}

static void closes_and_stops(void)
{
	const struct daxkv_options o = {.pmem = DAXKV_PMEM_FILE};
	struct daxkv_store *store;
	struct daxkv_txn *txn;

	if (daxkv_open(scratch_path("e"), &o, &store) || daxkv_txn_begin(store, NULL, 0, &txn) ||
	    put(txn, DAXKV_MAIN, "closed", "v", 0) || daxkv_txn_commit(txn))
		_exit(1);
	stops_in_closing = true;
	(void)daxkv_close(store);
}

/* assert_kept_out - opening waits so long for the process, and no longer, and names it. */
static void assert_kept_out(pid_t child, unsigned int flags)
{
	const struct daxkv_options o = {.flags = flags, .pmem = DAXKV_PMEM_FORCE, .wait_ms = 60};
	const int64_t from = now_ms();
	struct daxkv_store *store;
	char named[64];

	assert_int_equal(daxkv_open(scratch_path("e"), &o, &store), DAXKV_BUSY);
	assert_true(now_ms() - from >= 60);
	snprintf(named, sizeof named, "process %d is opening or closing", (int)child);
	assert_non_null(strstr(daxkv_errmsg(), named));
}

/* One that stands still in opening or closing keeps others out as long as they say, and is named;
 * when it goes on, or dies, nothing was harmed. */
static void a_process_stopped_in_the_open_lock_is_named(void **state)
{
	void (*const stops[])(void) = {opens_and_stops, closes_and_stops};
	const struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE, .wait_ms = 10000};
	struct daxkv_store *store;
	(void)state;
	OK(daxkv_close(store_new("e", 4096)));
	for (int i = 0; i < 4; i++) {
		pid_t child = child_stopped(stops[i / 2]);

		assert_kept_out(child, 0);
		assert_kept_out(child, DAXKV_READ_ONLY);
		child_ends(child, i % 2 ? SIGCONT : SIGKILL);
		OK(daxkv_open(scratch_path("e"), &o, &store));
		store_done(store);
	}
}

static void stops_in_the_open_lock(void)
{
	const struct lock_for file = {.mode = 0600};
	struct lock lock;

	if (lock_open(&lock, scratch_path("e"), false, &file) == 0)
		raise(SIGSTOP);
}

/* Behind one that is stopped in opening, a store is closed all the same: as by one that is not the
 * last, so that what was committed is there, and the next opening recovers it. */
static void closing_leaves_one_that_stopped_in_opening(void **state)
{
	const struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE, .wait_ms = 50};
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	(void)state;
	OK(daxkv_close(store_new("e", 4096)));
	OK(daxkv_open(scratch_path("e"), &o, &store));
	txn = begin(store);
	OK(put(txn, DAXKV_MAIN, "left", "v", 0));
	OK(daxkv_txn_commit(txn));
	pid_t child = child_stopped(stops_in_the_open_lock);
	const int64_t from = now_ms();

	OK(daxkv_close(store));
	assert_true(now_ms() - from >= 50);
	child_ends(child, SIGKILL);
	store = store_again("e");
	txn = begin(store);
	assert_true(has(txn, DAXKV_MAIN, "left", "v"));
	daxkv_txn_abort(txn);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(waiting_for_a_while),
	    cmocka_unit_test(a_copy_is_another_store),
	    cmocka_unit_test(a_stopped_writer_is_named),
	    cmocka_unit_test(a_process_stopped_in_the_open_lock_is_named),
	    cmocka_unit_test(closing_leaves_one_that_stopped_in_opening),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
