/* SPDX-License-Identifier: BSD-3-Clause */
/* A store used together: what one user frees, releases, grows or leaves half done, and what another
 * may build on. Two handles of one process stand for two processes where nothing has to die. */
#include "small_store.h"

#include <assert.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define SHARED_SIZE 20u

/* ---- free space ------------------------------------------------------------------------------ */

/* churn - n commits that rewrite some records each: pages are freed all the time. */
static void churn(struct daxkv_store *store, unsigned int n, uint64_t version)
{
	for (unsigned int i = 0; i < n; i++)
		put_some(store, i % 10 * 40, i % 10 * 40 + 40, SHARED_SIZE, version + i);
}

/* touch_and_abort - take pages, so that the limbo's items which nobody needs are released, and
 * forget the transaction. */
static void touch_and_abort(struct daxkv_store *store)
{
	struct daxkv_txn *txn = begin(store);

	for (uint64_t n = 0; n < 400; n++)
		OK(put_n(txn, DAXKV_MAIN, n, SHARED_SIZE, 999));
	daxkv_txn_abort(txn);
}

/* One releases freed pages and aborts; another, whose commit was the last, must not release the
 * same ones again: later ones would go in their stead [I16]. */
static void released_by_one_is_released_for_all(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = store_again("e");
	(void)state;
	put_some(a, 0, 400, SHARED_SIZE, 0);
	struct daxkv_txn *older = begin_reading(a);

	churn(a, 30, 1);
	put_some(a, 0, 400, SHARED_SIZE, 100);
	struct daxkv_txn *old = begin_reading(b);

	churn(a, 30, 200);
	daxkv_txn_abort(older);
	touch_and_abort(b);
	touch_and_abort(a);
	uint64_t items = a->share->limbo_next - a->share->limbo_first;

	assert_int_equal(items, a->space.limbo.n);
	for (unsigned int i = 0; i < 20; i++)
		churn(i % 2 ? a : b, 10, 300 + i * 10);
	for (uint64_t n = 0; n < 400; n++)
		assert_true(has_n(old, DAXKV_MAIN, n, SHARED_SIZE, 100));
	daxkv_txn_abort(old);
	store_done(a);
	store_done(b);
}

/* begin_growing - a transaction that makes the file grow by some zones (2 MiB each with pages of
 * 512 bytes). */
static struct daxkv_txn *begin_growing(struct daxkv_store *store, uint64_t values, uint64_t version)
{
	struct daxkv_txn *txn = begin(store);

	for (uint64_t n = 1000; n < 1000 + values; n++)
		OK(put_n(txn, DAXKV_MAIN, n, 100000, version));
	return txn;
}

/* Growth that was aborted is forgotten when another writes to the same space. */
static void growth_undone_and_done_by_others(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = store_again("e");
	(void)state;
	put_some(a, 0, 100, SHARED_SIZE, 0);
	daxkv_txn_abort(begin_growing(a, 50, 1));
	daxkv_txn_abort(begin_growing(b, 150, 2));
	OK(daxkv_txn_commit(begin_growing(a, 50, 3)));
	store_check(b);
	OK(daxkv_txn_commit(begin_growing(b, 50, 4)));
	store_check(a);
	struct daxkv_txn *txn = begin_reading(a);

	for (uint64_t n = 1000; n < 1050; n++)
		assert_true(has_n(txn, DAXKV_MAIN, n, 100000, 4));
	daxkv_txn_abort(txn);
	store_done(b);
	store_done(a);
}

/* What one maps more of, the other sees; also an opener that came while the file grew, and a reader
 * that began before [I17]. */
static void growth_is_seen_by_others(void **state)
{
	struct daxkv_store *a = store_new("e", 4096), *b = store_again("e"),
	                   *r = store_open("e", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
	(void)state;
	struct daxkv_txn *old = begin_reading(r);

	for (uint64_t i = 0; i < 20; i++)
		put_some(i % 2 ? a : b, i * 2, i * 2 + 2, 1000000, i);
	assert_true(lacks_n(old, DAXKV_MAIN, 0));
	daxkv_txn_reset(old);
	OK(daxkv_txn_renew(old));
	for (uint64_t i = 0; i < 20; i++)
		assert_true(has_n(old, DAXKV_MAIN, i * 2, 1000000, i) &&
		            has_n(old, DAXKV_MAIN, i * 2 + 1, 1000000, i));
	daxkv_txn_abort(old);
	store_check(a);
	OK(daxkv_close(r));
	store_done(b);
	store_done(a);
}

/* The file is cut when the last user leaves, and no sooner: the others have it mapped. */
static void the_last_one_trims(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = store_again("e");
	struct stat st;
	(void)state;
	OK(daxkv_txn_commit(begin_growing(a, 50, 1)));
	del_some(b, 1000, 1050);
	OK(daxkv_close(a));
	OK(stat(scratch_path("e"), &st));
	assert_true(st.st_size > 4 << 20);
	put_some(b, 0, 10, SHARED_SIZE, 1);
	store_done(b);
	OK(stat(scratch_path("e"), &st));
	assert_true(st.st_size <= 2 << 20);
	a = store_again("e");
	assert_int_equal(info(a).recovered, 0);
	store_done(a);
}

#define READERS 4096u

/* churn_looks - how many reader entries n commits look at for each extent that they free, times
 * 100. */
static uint64_t churn_looks(struct daxkv_store *store, unsigned int n, uint64_t version)
{
	uint64_t looked = store->oldest.looked, freed = store->share->limbo_next;

	churn(store, n, version);
	assert_true(store->share->limbo_next > freed);
	return (store->oldest.looked - looked) * 100 / (store->share->limbo_next - freed);
}

/* However many entries there are, and however much an old reader holds back: a commit does not look
 * at all of them. */
static void many_readers_cost_commits_little(void **state)
{
	static struct daxkv_txn *reader[READERS];
	struct daxkv_store *store =
	    store_open("many", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                              .page_size = 512,
	                                              .pmem = DAXKV_PMEM_FORCE,
	                                              .max_readers = READERS,
	                                              .max_dbs = 2});
	(void)state;
	put_some(store, 0, 400, SHARED_SIZE, 0);
	for (unsigned int i = 0; i < READERS; i++)
		reader[i] = begin_reading(store);
	for (unsigned int i = 1; i < READERS; i++)
		if (i <= 100)
			daxkv_txn_reset(reader[i]);
		else
			daxkv_txn_abort(reader[i]);
	churn(store, 300, 1);
	assert_true(churn_looks(store, 1000, 1) < 200); /* one each: the old reader's */
	assert_true(store->space.limbo.n > 5000);
	daxkv_txn_abort(reader[0]);
	assert_true(churn_looks(store, 3000, 1) < 2000); /* now and then all of them */
	assert_true(store->space.limbo.n < 2000);
	for (unsigned int i = 1; i <= 100; i++)
		daxkv_txn_abort(reader[i]);
	store_done(store);
}

/* ---- who holds the writer's lock ------------------------------------------------------------- */

/* One thread, two handles of one store: waiting for itself would last forever. */
static void two_handles_of_one_thread(void **state)
{
	struct daxkv_store *a = store_new("e", 4096), *b = store_again("e");
	struct daxkv_txn *txn = begin(a), *other = NULL;
	(void)state;
	assert_int_equal(daxkv_txn_begin(b, NULL, 0, &other), DAXKV_BUSY);
	assert_int_equal(daxkv_txn_begin(b, NULL, DAXKV_TXN_TRY, &other), DAXKV_BUSY);
	OK(put(txn, DAXKV_MAIN, "k", "v", 0));
	OK(daxkv_txn_commit(txn));
	other = begin(b);
	assert_true(has(other, DAXKV_MAIN, "k", "v"));
	daxkv_txn_abort(other);
	store_done(a);
	store_done(b);
}

static void *thread_leaves_a_transaction(void *arg)
{
	struct daxkv_store *store = arg;
	struct daxkv_txn *txn = NULL, *child = NULL;
	struct daxkv_cursor *cursor;
	struct daxkv_val name = text("made");
	daxkv_db db;

	if (daxkv_txn_begin(store, NULL, 0, &txn) || daxkv_db_open(txn, &name, DAXKV_CREATE, &db) ||
	    put(txn, db, "x", "y", 0))
		return (void *)1;
	if (daxkv_cursor_open(txn, DAXKV_MAIN, &cursor) || daxkv_txn_begin(store, txn, 0, &child))
		return (void *)2;
	for (uint64_t n = 0; n < 300; n++)
		if (put_n(child, DAXKV_MAIN, n, SHARED_SIZE, 7))
			return (void *)3;
	return NULL;
}

/* A thread that ends without ending its transaction takes that with it, and nothing else. */
static void thread_that_ends_in_a_transaction(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = store_again("e");
	(void)state;
	put_some(a, 0, 300, SHARED_SIZE, 1);
	for (int i = 0; i < 4; i++) {
		pthread_t thread;
		void *result;

		assert_int_equal(pthread_create(&thread, NULL, thread_leaves_a_transaction, a), 0);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_null(result);
		if (i % 2)
			put_some(b, 300, 310, SHARED_SIZE, (uint64_t)i);
		put_some(a, 310, 320, SHARED_SIZE, (uint64_t)i);
		struct daxkv_txn *txn = begin_reading(a);
		struct daxkv_val name = text("made");
		daxkv_db db;

		for (uint64_t n = 0; n < 300; n++)
			assert_true(has_n(txn, DAXKV_MAIN, n, SHARED_SIZE, 1));
		assert_int_equal(daxkv_db_open(txn, &name, 0, &db), DAXKV_NOT_FOUND);
		daxkv_txn_abort(txn);
		store_check(i % 2 ? a : b);
	}
	store_done(a);
	store_done(b);
}

/* A handle whose thread ended in a transaction can be closed, and leaves nothing behind. */
static void closed_after_a_thread_left(void **state)
{
	struct daxkv_store *a = store_new("e", 512);
	pthread_t thread;
	void *result;
	(void)state;
	put_some(a, 0, 300, SHARED_SIZE, 1);
	assert_int_equal(pthread_create(&thread, NULL, thread_leaves_a_transaction, a), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
	OK(daxkv_close(a));
	a = store_again("e");
	assert_int_equal(info(a).recovered, 0);
	store_done(a);
}

/* ---- reader entries -------------------------------------------------------------------------- */

static struct {
	struct daxkv_store *store;
	const struct lock *other;
	int stop, wrong;
} held;

static void *thread_reads_once(void *arg)
{
	(void)arg;
	struct daxkv_txn *txn = NULL;

	if (daxkv_txn_begin(held.store, NULL, DAXKV_TXN_READ_ONLY, &txn)) {
		__atomic_store_n(&held.wrong, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	for (int i = 0; i < 10; i++) {
		if (!lock_reader_held(held.other, txn->reader))
			__atomic_store_n(&held.wrong, 2, __ATOMIC_RELAXED);
		sched_yield();
	}
	daxkv_txn_abort(txn);
	return NULL;
}

static void *thread_starts_readers(void *arg)
{
	for (int i = 0; i < 400; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, thread_reads_once, arg) == 0)
			pthread_join(thread, NULL);
	}
	return NULL;
}

/* An entry in use has its byte held, though threads come and go and the same descriptor holds all
 * the process's bytes [I18]. */
static void reader_entries_of_threads_that_come_and_go(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = store_again("e");
	pthread_t thread[3];
	(void)state;
	held.store = a;
	held.other = &b->lock;
	held.stop = held.wrong = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, thread_starts_readers, NULL), 0);
	for (int i = 0; i < 200; i++) {
		(void)share_reap(b->share, &b->lock, b->share_file.owner);
		usleep(100);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(held.wrong, 0);
	store_done(a);
	store_done(b);
}

static int child_reads_and_dies(void)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};

	CHECK(daxkv_open(scratch_path("e"), &o, &store) == 0);
	CHECK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn) == 0);
	return 0; /* with its snapshot */
}

static void reader_seen(const struct daxkv_reader *reader, void *arg)
{
	struct daxkv_reader *last = arg;

	if (!reader->running)
		return;
	assert_int_equal(reader->pid, getpid());
	assert_true(reader->snapshot >= last->snapshot);
	*last = *reader;
}

static void readers_are_listed(void **state)
{
	struct daxkv_store *a = store_new("e", 4096), *b = store_again("e");
	struct daxkv_reader last = {0};
	(void)state;
	put_one(a, "k", "v");
	struct daxkv_txn *r = begin_reading(a);

	put_one(a, "k", "w");
	struct daxkv_txn *s = begin_reading(b);

	usleep(100000);
	child_run(child_reads_and_dies);
	assert_int_equal(daxkv_readers_reap(b), 1);
	daxkv_readers_list(b, reader_seen, &last);
	assert_int_equal(last.snapshot, 2);
	assert_true(last.age_ms >= 50 && last.age_ms < 60000);
	daxkv_txn_abort(r);
	daxkv_txn_abort(s);
	last.pid = 0;
	daxkv_readers_list(a, reader_seen, &last);
	assert_true(last.pid == 0 && daxkv_readers_reap(a) == 0);
	store_done(a);
	store_done(b);
}

/* A reader that died holding a snapshot holds nothing back: the file stops growing. */
static void a_dead_readers_pages_return(void **state)
{
	struct daxkv_store *a = store_new("e", 512);
	struct stat before, after;
	(void)state;
	put_some(a, 0, 400, SHARED_SIZE, 0);
	churn(a, 200, 1);
	OK(fstat(a->map.fd, &before));
	child_run(child_reads_and_dies);
	assert_int_equal(info(a).readers, 1);
	churn(a, 2000, 1);
	OK(fstat(a->map.fd, &after));
	assert_int_equal(info(a).readers, 0);
	assert_true(after.st_size <= before.st_size + (512 * 64) * 2);
	store_done(a);
}

/* Its place is not taken back before somebody needs it: closing then leaves the file as long as it
 * is. */
static void closing_with_pages_of_a_dead_reader(void **state)
{
	struct daxkv_store *a = store_new("e", 512);
	(void)state;
	put_some(a, 0, 4000, SHARED_SIZE, 0);
	child_run(child_reads_and_dies);
	del_some(a, 1, 4000);
	assert_true(info(a).held_pages > 0 && info(a).readers == 1);
	OK(daxkv_close(a));
	a = store_again("e");
	assert_int_equal(info(a).recovered, 0);
	assert_int_equal(info(a).readers, 0);
	store_done(a);
}

/* In this mode the kernel kills whoever asks it for anything but reading, writing and exit(2). */
static int child_reads_without_the_kernel(void)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	return SKIPPED; /* they have calls of their own */
#endif
	CHECK(daxkv_open(scratch_path("e"), &o, &store) == 0);
	CHECK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn) == 0 &&
	      has(txn, DAXKV_MAIN, "k", "v"));
	daxkv_txn_abort(txn);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
	for (int i = 0; i < 1000; i++) {
		if (daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn) ||
		    !has(txn, DAXKV_MAIN, "k", "v"))
			syscall(SYS_exit, 1);
		daxkv_txn_abort(txn);
	}
	syscall(SYS_exit, 0);
	return 1;
}

static void reading_asks_nothing_of_the_kernel(void **state)
{
	struct daxkv_store *a = store_new("e", 4096);
	(void)state;
	put_one(a, "k", "v");
	store_done(a);
	child_run(child_reads_without_the_kernel);
}

struct lock_holder {
	struct daxkv_store *store;
	pthread_barrier_t barrier; /* once when the locks are held, once when they may go */
};

static void *hold_all_locks(void *arg)
{
	struct lock_holder *holder = arg;
	struct daxkv_store *store = holder->store;

	pthread_mutex_lock(&store->dbi_mutex);
	pthread_mutex_lock(&store->reader_mutex);
	pthread_mutex_lock(&store->map.mutex);
	assert(wlock_try(&store->share->writer, 12345));
	pthread_barrier_wait(&holder->barrier);
	pthread_barrier_wait(&holder->barrier);
	wlock_give(&store->share->writer);
	pthread_mutex_unlock(&store->map.mutex);
	pthread_mutex_unlock(&store->reader_mutex);
	pthread_mutex_unlock(&store->dbi_mutex);
	return NULL;
}

/* Another thread holds every lock of the store. One that was taken would be waited for until the
 * alarm. */
static void reading_takes_no_lock(void **state)
{
	struct daxkv_store *a = store_new("e", 4096);
	struct lock_holder holder = {.store = a};
	struct daxkv_txn *txn;
	pthread_t thread;
	daxkv_db named;
	(void)state;
	put_one(a, "k", "v");
	txn = begin(a);
	named = db_of(txn, "named", 0);
	OK(put(txn, named, "n", "v", 0));
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(
	    a); /* a thread's first one has its place to get, and what the handles mean */
	assert_true(has(txn, DAXKV_MAIN, "k", "v") && has(txn, named, "n", "v"));
	daxkv_txn_abort(txn);
	pthread_barrier_init(&holder.barrier, NULL, 2);
	pthread_create(&thread, NULL, hold_all_locks, &holder);
	pthread_barrier_wait(&holder.barrier);
	alarm(20);
	for (int i = 0; i < 1000; i++) {
		txn = begin_reading(a);
		assert_true(has(txn, DAXKV_MAIN, "k", "v") && has(txn, named, "n", "v"));
		daxkv_txn_reset(txn);
		OK(daxkv_txn_renew(txn));
		daxkv_txn_abort(txn);
	}
	alarm(0);
	pthread_barrier_wait(&holder.barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&holder.barrier);
	store_done(a);
}

/* ---- read-only users ------------------------------------------------------------------------- */

static int open_code(const char *name)
{
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};
	struct daxkv_store *store;
	int rc = daxkv_open(scratch_path(name), &o, &store);

	if (!rc)
		OK(daxkv_close(store));
	return rc;
}

/* Two readers of an unclean file, each with a private copy, keep writers out together. */
static void readers_of_an_unclean_file(void **state)
{
	struct daxkv_store *a = store_new("e", 4096), *r[2], *store;
	(void)state;
	put_one(a, "k", "v");
	store_image(a, "image");
	store_done(a);
	for (int i = 0; i < 2; i++) {
		r[i] = store_open("image", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
		assert_true(info(r[i]).private_recovery);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(open_code("image"), DAXKV_BUSY);
		struct daxkv_txn *txn = begin_reading(r[i]);

		assert_true(has(txn, DAXKV_MAIN, "k", "v"));
		daxkv_txn_abort(txn);
		OK(daxkv_close(r[i]));
	}
	OK(open_code("image"));
	OK(daxkv_open(scratch_path("image"), NULL, &store));
	store_done(store);
}

/* A reader that came first, alone, is joined by a writer, and follows it. */
static void a_writer_joins_a_reader(void **state)
{
	struct daxkv_store *a = store_new("e", 512);
	(void)state;
	put_some(a, 0, 100, SHARED_SIZE, 0);
	store_done(a);
	struct daxkv_store *r = store_open(
	    "e", (struct daxkv_options){.flags = DAXKV_READ_ONLY, .pmem = DAXKV_PMEM_FORCE});
	struct daxkv_txn *old = begin_reading(r), *now;

	a = store_again("e");
	for (uint64_t v = 1; v < 40; v++)
		put_some(a, 0, 100, SHARED_SIZE, v);
	now = begin_reading(r);
	for (uint64_t n = 0; n < 100; n++)
		assert_true(has_n(old, DAXKV_MAIN, n, SHARED_SIZE, 0) &&
		            has_n(now, DAXKV_MAIN, n, SHARED_SIZE, 39));
	daxkv_txn_abort(old);
	daxkv_txn_abort(now);
	store_done(a);
	OK(daxkv_close(r));
	a = store_again("e"); /* the last to leave could not write: the next one recovers */
	store_done(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(released_by_one_is_released_for_all),
	    TEST(growth_undone_and_done_by_others),
	    TEST(growth_is_seen_by_others),
	    TEST(the_last_one_trims),
	    TEST(many_readers_cost_commits_little),
	    TEST(two_handles_of_one_thread),
	    TEST(thread_that_ends_in_a_transaction),
	    TEST(closed_after_a_thread_left),
	    TEST(readers_are_listed),
	    TEST(reading_asks_nothing_of_the_kernel),
	    TEST(reading_takes_no_lock),
	    TEST(closing_with_pages_of_a_dead_reader),
	    TEST(reader_entries_of_threads_that_come_and_go),
	    TEST(a_dead_readers_pages_return),
	    TEST(readers_of_an_unclean_file),
	    TEST(a_writer_joins_a_reader),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
