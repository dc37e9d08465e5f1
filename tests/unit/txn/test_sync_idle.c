/* SPDX-License-Identifier: BSD-3-Clause */
/* DAXKV_SYNC_IDLE: a store to which nobody commits any more becomes durable by itself, and its
 * thread is in nobody's way. */
#include "clock.h"
#include "lazy_store.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define LONG_S 20.0 /* seconds; longer than anything here takes on a busy machine */
#define HOUR   3600000u

static int flush_error;       /* atomic: what fdatasync fails with; 0: it does not */
static bool flush_slow;       /* atomic: it takes a while */
static unsigned int slows;    /* atomic: how many of these have begun */
static bool no_thread;        /* pthread_create fails */
static int mapless;           /* atomic: the thread that can map nothing; 0: none */
static unsigned int unmapped; /* atomic: how often it could not */

/* The engine's calls come here. */
int fdatasync(int fd)
{
	const int error = __atomic_load_n(&flush_error, __ATOMIC_SEQ_CST);

	if (__atomic_load_n(&flush_slow, __ATOMIC_SEQ_CST)) {
		__atomic_add_fetch(&slows, 1, __ATOMIC_SEQ_CST);
		usleep(200000);
	}
	if (!error)
		return (int)syscall(SYS_fdatasync, fd);
	errno = error;
	return -1;
}

void *mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset)
{
	const int id = __atomic_load_n(&mapless, __ATOMIC_SEQ_CST);

	if (!id || id != (int)syscall(SYS_gettid))
		return (void *)syscall(SYS_mmap, at, length, prot, flags, fd, offset);
	__atomic_add_fetch(&unmapped, 1, __ATOMIC_SEQ_CST);
	errno = ENOMEM;
	return MAP_FAILED;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	void *symbol = dlsym(RTLD_NEXT, "pthread_create");

	if (no_thread)
		return EAGAIN;
	memcpy(&next, &symbol, sizeof next);
	return next(thread, attr, run, arg);
}

/* thread_named - whether it is one of the library's. */
static bool thread_named(int id)
{
	char path[64], name[32] = "";

	snprintf(path, sizeof path, "/proc/self/task/%d/comm", id);
	FILE *f = fopen(path, "re");
	const bool read = f && fgets(name, sizeof name, f);

	if (f)
		fclose(f);
	return read && strcmp(name, "daxkv-sync\n") == 0;
}

/* thread_count - the library's in this process; *id: one of them. */
static unsigned int thread_count(int *id)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *e;
	unsigned int n = 0;

	while (dir && (e = readdir(dir)) != NULL) {
		const int at = atoi(e->d_name);

		if (at <= 0 || !thread_named(at))
			continue;
		*id = at;
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

/* thread_is_there, threads_are_gone - soon: a thread names itself, and the kernel forgets one a bit
 * later than it was joined. */
static int thread_is_there(void)
{
	const double from = now();
	int id = 0;

	while (thread_count(&id) != 1 && now() - from < LONG_S)
		usleep(1000);
	assert_true(id > 0);
	return id;
}

static void threads_are_gone(void)
{
	const double from = now();
	int id;

	while (thread_count(&id) && now() - from < LONG_S)
		usleep(1000);
	assert_int_equal(thread_count(&id), 0);
}

/* no_thread_comes - also not a bit later. */
static void no_thread_comes(void)
{
	int id;

	usleep(20000);
	assert_int_equal(thread_count(&id), 0);
}

/* thread_says - a number of /proc/self/task/ID/status. */
static unsigned long long thread_says(int id, const char *name, int base)
{
	unsigned long long value = 0;
	char path[64], line[256];
	bool found = false;

	snprintf(path, sizeof path, "/proc/self/task/%d/status", id);
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	while (!found && fgets(line, sizeof line, f)) {
		found = strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':';
		if (found)
			value = strtoull(line + strlen(name) + 1, NULL, base);
	}
	fclose(f);
	assert_true(found);
	return value;
}

/* sleeps - the thread is not scheduled for a while; within a bound, because it may be on its way to
 * sleep. */
static bool sleeps(int id)
{
	for (int i = 0; i < 20; i++) {
		const unsigned long long before = thread_says(id, "voluntary_ctxt_switches", 10);

		usleep(300000);
		if (thread_says(id, "voluntary_ctxt_switches", 10) == before)
			return true;
	}
	return false;
}

static struct daxkv_store *open_idle(const char *name, uint64_t ms, unsigned int flags)
{
	struct daxkv_options o = FILE_MODE;

	o.flags |= DAXKV_SYNC_IDLE | flags;
	o.lazy_ms = ms;
	return store_open(name, o);
}

/* becomes_durable - by nothing that this thread does. */
static bool becomes_durable(struct daxkv_store *store)
{
	const double from = now();

	while (info_of(store).lazy_commits && now() - from < LONG_S)
		usleep(1000);
	return info_of(store).lazy_commits == 0;
}

static void a_lone_commit_becomes_durable(void **state)
{
	struct daxkv_store *store = open_idle("lone", 60, 0);
	(void)state;

	for (unsigned int i = 0; i < 4; i++) {
		const double from = now();

		OK(put_in(store, 0, i, 1));
		assert_true(becomes_durable(store));
		assert_true(now() - from > 0.059);
		assert_int_equal(entries_cut("lone"), i + 1);
	}
	OK(put_in(store, DAXKV_TXN_DURABLE, 4, 1));
	OK(daxkv_set_durability(store, DAXKV_DURABLE));
	OK(put_in(store, DAXKV_TXN_LAZY, 5, 1));
	assert_true(becomes_durable(store));
	store_done(store);
}

static void without_the_flag_it_waits(void **state)
{
	struct daxkv_options o = FILE_MODE;
	(void)state;

	o.lazy_ms = 10;
	struct daxkv_store *store = store_open("without", o);

	OK(put_in(store, 0, 0, 1));
	no_thread_comes();
	usleep(200000);
	assert_int_equal(info_of(store).lazy_commits, 1);
	store_done(store);
}

/* Its sleep has no period: not before the first lazy commit, not among durable ones, and not behind
 * a sync. */
static void with_nothing_to_do_it_sleeps(void **state)
{
	struct daxkv_store *store = open_idle("sleeps", 10, 0);
	const int never[] = {SIGKILL, SIGSTOP, SIGBUS, SIGSEGV, SIGFPE, SIGILL};
	unsigned long long blocked = 0x7fffffff; /* but real-time ones */
	const int id = thread_is_there();
	(void)state;

	assert_true(sleeps(id));
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		blocked &= ~(1ull << (never[i] - 1));
	assert_int_equal(thread_says(id, "SigBlk", 16) & 0x7fffffff, blocked);
	const unsigned long long switches = thread_says(id, "voluntary_ctxt_switches", 10);

	for (unsigned int i = 0; i < 50; i++)
		OK(put_in(store, DAXKV_TXN_DURABLE, i, 1));
	assert_int_equal(thread_says(id, "voluntary_ctxt_switches", 10), switches);
	OK(put_in(store, 0, 50, 1));
	assert_true(becomes_durable(store));
	assert_true(sleeps(id));
	OK(put_in(store, 0, 51, 1)); /* a sync by somebody else */
	OK(daxkv_sync(store));
	assert_true(sleeps(id));
	store_done(store);
	threads_are_gone();
}

static void closing_waits_for_no_bound(void **state)
{
	struct daxkv_store *store = open_idle("close", HOUR, 0);
	const double from = now();
	(void)state;

	OK(put_in(store, 0, 0, 10));
	(void)thread_is_there();
	OK(daxkv_close(store));
	assert_true(now() - from < LONG_S);
	threads_are_gone();
	assert_int_equal(entries_cut("close"), 10);
}

/* The thread that waits for a transaction of the program is no reason to wait for it in closing,
 * and a close that did nothing leaves the thread at work. */
static void a_close_that_is_refused_does_nothing(void **state)
{
	struct daxkv_store *store = open_idle("busy", 20, 0);
	(void)state;

	for (unsigned int i = 0; i < 3; i++) {
		OK(put_in(store, 0, i, 1));
		struct daxkv_txn *txn = i == 1 ? begin_reading(store) : begin(store);

		usleep(100000); /* it waits for the lock now, where that is taken */
		const double from = now();

		assert_int_equal(daxkv_close(store), DAXKV_BUSY);
		assert_true(now() - from < LONG_S);
		daxkv_txn_abort(txn);
		assert_true(becomes_durable(store));
	}
	store_done(store);
}

/* A close that comes in the middle of a sync is not told that a transaction runs. */
static void a_close_in_a_sync_succeeds(void **state)
{
	struct daxkv_store *store = open_idle("middle", 1, 0);
	(void)state;

	OK(daxkv_sync(store)); /* then the begin of an interval flushes nothing */
	__atomic_store_n(&slows, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&flush_slow, true, __ATOMIC_SEQ_CST);
	OK(put_in(store, 0, 0, 10));
	while (__atomic_load_n(&slows, __ATOMIC_SEQ_CST) < 2) /* the first is without the lock */
		usleep(1000);
	const int rc = daxkv_close(store);

	__atomic_store_n(&flush_slow, false, __ATOMIC_SEQ_CST);
	assert_int_equal(rc, 0);
	assert_int_equal(entries_cut("middle"), 10);
}

static struct daxkv_store *parents;

static int child_has_no_thread(void)
{
	struct daxkv_txn *txn;
	struct daxkv_store *own;
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FILE};
	int id;

	CHECK(thread_count(&id) == 0);
	CHECK(daxkv_txn_begin(parents, NULL, DAXKV_TXN_LAZY, &txn) == DAXKV_BAD_TXN);
	CHECK(daxkv_close(parents) == 0);
	CHECK(daxkv_open(scratch_path("fork"), &o, &own) == 0 && daxkv_close(own) == 0);
	return 0;
}

static void a_forked_child_has_none(void **state)
{
	(void)state;

	parents = open_idle("fork", 1, 0);
	child_run(child_has_no_thread);
	OK(daxkv_sync(parents));
	__atomic_store_n(&flush_slow, true, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < 4; i++) { /* asleep, and in the middle of a sync */
		__atomic_store_n(&slows, 0, __ATOMIC_SEQ_CST);
		OK(put_in(parents, 0, i, 1));
		while (__atomic_load_n(&slows, __ATOMIC_SEQ_CST) < 1 + i % 2)
			usleep(1000);
		child_run(child_has_no_thread);
		assert_true(becomes_durable(parents));
	}
	__atomic_store_n(&flush_slow, false, __ATOMIC_SEQ_CST);
	store_done(parents);
}

static void a_failed_sync_is_what_the_next_call_reports(void **state)
{
	struct daxkv_store *store = open_idle("fails", 20, 0);
	const double from = now();
	const int id = thread_is_there();
	struct daxkv_txn *txn;
	(void)state;

	OK(put_in(store, DAXKV_TXN_DURABLE, 0, 10));
	OK(daxkv_sync(store)); /* then the begin of an interval flushes nothing */
	__atomic_store_n(&flush_error, EIO, __ATOMIC_SEQ_CST);
	OK(put_in(store, 0, 10, 10));
	while (!__atomic_load_n(&store->share->panic, __ATOMIC_SEQ_CST) && now() - from < LONG_S)
		usleep(1000);
	__atomic_store_n(&flush_error, 0, __ATOMIC_SEQ_CST);
	assert_int_equal(daxkv_sync(store), DAXKV_PANIC);
	assert_non_null(strstr(daxkv_errmsg(), strerror(EIO)));
	assert_int_equal(daxkv_txn_begin(store, NULL, 0, &txn), DAXKV_PANIC);
	assert_int_equal(daxkv_sync(store), DAXKV_PANIC);
	assert_int_equal(entries(store), 20);
	assert_true(sleeps(id));
	const unsigned long long switches = thread_says(id, "voluntary_ctxt_switches", 10);

	usleep(1300000); /* it would try again after a second */
	assert_int_equal(thread_says(id, "voluntary_ctxt_switches", 10), switches);
	(void)daxkv_close(store);
	assert_int_equal(entries_cut("fails"), 10);
}

/* Another handle has made the file grow, and there is no memory to see that. Nothing is harmed, so
 * the thread tries again, but not all the time. */
static void what_fails_without_harm_is_tried_again(void **state)
{
	struct daxkv_store *store = open_idle("again", 500, 0);
	struct daxkv_store *other = store_open("again", FILE_MODE);
	const int id = thread_is_there();
	const uint64_t size = daxkv_size(other);
	const double from = now();
	(void)state;

	__atomic_store_n(&mapless, id, __ATOMIC_SEQ_CST);
	OK(put_in(store, 0, 0, 1));
	OK(put_in(other, 0, 1, 100000));
	assert_true(daxkv_size(other) > size);
	while (!__atomic_load_n(&unmapped, __ATOMIC_SEQ_CST) && now() - from < LONG_S)
		usleep(1000);
	usleep(300000);
	assert_int_equal(__atomic_load_n(&unmapped, __ATOMIC_SEQ_CST), 1);
	assert_int_equal(info_of(other).lazy_commits, 2);
	__atomic_store_n(&mapless, 0, __ATOMIC_SEQ_CST);
	assert_true(becomes_durable(other));
	OK(daxkv_close(other));
	store_done(store);
	assert_int_equal(entries_cut("again"), 100001);
}

static void a_thread_that_cannot_be_had_is_told(void **state)
{
	struct daxkv_options o = FILE_MODE;
	struct daxkv_store *store;
	(void)state;

	o.flags |= DAXKV_SYNC_IDLE;
	no_thread = true;
	const int rc = daxkv_open(scratch_path("told"), &o, &store);

	no_thread = false;
	assert_int_equal(rc, EAGAIN);
	assert_non_null(strstr(daxkv_errmsg(), "SYNC_IDLE"));
	store = open_idle("told", 10, 0);
	OK(put_in(store, 0, 0, 1));
	assert_true(becomes_durable(store));
	store_done(store);
	o.lazy_ms = UINT64_MAX;
	assert_int_equal(daxkv_open(scratch_path("told"), &o, &store), EINVAL);
}

/* Where no commit can be lazy there is nothing to do for a thread. */
static void where_nothing_is_lazy_there_is_none(void **state)
{
	const struct daxkv_options kinds[] = {
	    {.flags = DAXKV_READ_ONLY, .pmem = DAXKV_PMEM_FILE},
	    {.pmem = DAXKV_PMEM_FORCE},
	    {.flags = DAXKV_NO_LOCK | DAXKV_EXTERNAL_LOCK, .pmem = DAXKV_PMEM_FILE},
	};
	(void)state;

	store_done(open_idle("none", 10, 0));
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct daxkv_options o = kinds[i];

		o.flags |= DAXKV_SYNC_IDLE;
		o.durability = DAXKV_LAZY;
		struct daxkv_store *store = store_open("none", o);

		no_thread_comes();
		OK(daxkv_close(store));
	}
	struct daxkv_store *store = open_idle("none", 10, DAXKV_NO_LOCK);

	OK(put_in(store, 0, 0, 1));
	assert_true(becomes_durable(store));
	store_done(store);
}

/* An interval in which the handle has a commit is synced, whoever began it; others are not. */
static void what_others_commit_has_their_bounds(void **state)
{
	struct daxkv_store *store = open_idle("others", 20, 0);
	struct daxkv_store *other = store_open("others", FILE_MODE);
	(void)state;

	OK(put_in(store, 0, 0, 1)); /* its thread has a look before it, and none later */
	OK(daxkv_sync(other));
	OK(put_in(other, 0, 1, 1));
	usleep(300000);
	assert_int_equal(info_of(store).lazy_commits, 1);
	OK(put_in(store, 0, 2, 1));
	assert_true(becomes_durable(store));
	assert_int_equal(entries_cut("others"), 3);
	OK(daxkv_close(other));
	store_done(store);
}

#define WRITERS 3
#define EACH    400

struct writer {
	struct daxkv_store *store;
	unsigned int from;
	pthread_t thread;
};

static void *thread_writes(void *arg)
{
	const struct writer *w = arg;

	for (unsigned int i = 0; i < EACH; i++) {
		if (put_in(w->store, i % 7 ? 0 : DAXKV_TXN_DURABLE, w->from + i, 1))
			return arg;
		if (i % 50 == 0)
			usleep(4000);
	}
	return NULL;
}

static void threads_write_meanwhile(void **state)
{
	struct daxkv_store *a = open_idle("meanwhile", 1, DAXKV_GROUP_COMMIT);
	struct daxkv_store *b = open_idle("meanwhile", 2, 0);
	struct writer w[WRITERS];
	void *failed;
	(void)state;

	for (unsigned int i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){.store = i ? a : b, .from = i * EACH};
		assert_int_equal(pthread_create(&w[i].thread, NULL, thread_writes, &w[i]), 0);
	}
	for (unsigned int i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(w[i].thread, &failed), 0);
		assert_null(failed);
	}
	assert_true(becomes_durable(a));
	assert_int_equal(entries_cut("meanwhile"), WRITERS * EACH);
	OK(daxkv_close(b));
	store_done(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_lone_commit_becomes_durable),
	    cmocka_unit_test(without_the_flag_it_waits),
	    cmocka_unit_test(with_nothing_to_do_it_sleeps),
	    cmocka_unit_test(closing_waits_for_no_bound),
	    cmocka_unit_test(a_close_that_is_refused_does_nothing),
	    cmocka_unit_test(a_close_in_a_sync_succeeds),
	    cmocka_unit_test(a_forked_child_has_none),
	    cmocka_unit_test(a_failed_sync_is_what_the_next_call_reports),
	    cmocka_unit_test(what_fails_without_harm_is_tried_again),
	    cmocka_unit_test(a_thread_that_cannot_be_had_is_told),
	    cmocka_unit_test(where_nothing_is_lazy_there_is_none),
	    cmocka_unit_test(what_others_commit_has_their_bounds),
	    cmocka_unit_test(threads_write_meanwhile),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
