/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer's lock: one at a time among threads and processes, whatever dies; nobody waits for the
 * dead, and nobody for ever for the quick. */
#include "shm/wlock.h"

#include "clock.h"
#include "scratch.h"
#include "shm/lock.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

static void taken_and_given(void **state)
{
	struct wlock w = {0};
	bool died = true;
	(void)state;
	assert_true(wlock_try(&w, 5));
	assert_int_equal(wlock_owner(&w), 5);
	assert_false(wlock_try(&w, 6));
	double from = now();

	assert_int_equal(wlock_wait(&w, NULL, 6, 0, &died), EBUSY);
	assert_int_equal(wlock_wait(&w, NULL, 6, 50, &died), EBUSY);
	assert_true(now() - from >= 0.05);
	assert_int_equal(wlock_owner(&w), 5);
	wlock_give(&w);
	assert_int_equal(wlock_wait(&w, NULL, UINT32_MAX, -1, &died), 0);
	assert_false(died);
	assert_int_equal(wlock_owner(&w), UINT32_MAX);
	wlock_give(&w);
	assert_int_equal(wlock_owner(&w), 0);
}

/* What was left half done is told to one, and to one only. */
static void left_half_done(void **state)
{
	struct wlock w = {0};
	bool died = false;
	(void)state;
	assert_true(wlock_try(&w, 1));
	wlock_leave(&w);
	assert_false(wlock_try(&w, 2)); /* it would not be told */
	assert_int_equal(wlock_wait(&w, NULL, 2, 0, &died), 0);
	assert_true(died);
	wlock_give(&w);
	assert_true(wlock_try(&w, 3));
}

/* ---- threads --------------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS  20000

static struct {
	struct wlock w;
	uint64_t count; /* not atomic: the lock's */
	int stop;
} many;

static void *thread_counts(void *arg)
{
	uint32_t self = (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		bool died = false;

		if (!wlock_try(&many.w, self) &&
		    (wlock_wait(&many.w, NULL, self, -1, &died) || died))
			return (void *)1;
		many.count++;
		wlock_give(&many.w);
	}
	return NULL;
}

static void one_thread_at_a_time(void **state)
{
	pthread_t thread[THREADS];
	(void)state;
	memset(&many, 0, sizeof many);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, thread_counts, (void *)(i + 1)),
		                 0);
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(thread[i], &result);
		assert_null(result);
	}
	assert_int_equal(many.count, THREADS * ROUNDS);
	assert_int_equal(many.w.word, 0);
}

static void *thread_hogs(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&many.stop, __ATOMIC_RELAXED)) {
		bool died;

		if (!wlock_try(&many.w, 1) && wlock_wait(&many.w, NULL, 1, -1, &died))
			return (void *)1;
		for (volatile int i = 0; i < 20000; i++)
			;
		wlock_give(&many.w);
	}
	return NULL;
}

/* One that takes it again the moment it has given it back keeps nobody out. */
static void the_quick_keep_nobody_out(void **state)
{
	pthread_t thread[2];
	double from, longest = 0;
	(void)state;
	memset(&many, 0, sizeof many);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, thread_hogs, NULL), 0);
	for (int i = 0; i < 20; i++) {
		bool died;

		usleep(1000);
		from = now();
		assert_int_equal(wlock_wait(&many.w, NULL, 2, -1, &died), 0);
		longest = now() - from > longest ? now() - from : longest;
		wlock_give(&many.w);
	}
	__atomic_store_n(&many.stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	print_message("the longest wait: %.1f ms\n", longest * 1000);
	assert_true(longest < 30);
}

#define STARVING 2u /* the flag of wlock.c */

static void *thread_waits(void *arg)
{
	bool died;

	(void)arg;
	if (wlock_wait(&many.w, NULL, 2, -1, &died))
		return (void *)1;
	while (!__atomic_load_n(&many.stop, __ATOMIC_RELAXED))
		usleep(100);
	wlock_give(&many.w);
	return NULL;
}

/* One that has waited for long is next: the owner that gives it back cannot be quicker. */
static void who_has_waited_is_next(void **state)
{
	pthread_t thread;
	void *result;
	double end = now() + 60;
	(void)state;
	memset(&many, 0, sizeof many);
	assert_true(wlock_try(&many.w, 1));
	assert_int_equal(pthread_create(&thread, NULL, thread_waits, NULL), 0);
	while (!(__atomic_load_n(&many.w.word, __ATOMIC_RELAXED) & STARVING) && now() < end)
		usleep(1000);
	wlock_give(&many.w);
	bool back = wlock_try(&many.w, 1);

	__atomic_store_n(&many.stop, 1, __ATOMIC_RELAXED);
	if (back)
		wlock_give(&many.w);
	pthread_join(thread, &result);
	assert_null(result);
	assert_false(back);
}

/* ---- processes that die ---------------------------------------------------------------------- */

static struct {
	struct wlock w;
	uint32_t inside; /* who is; 0: nobody */
	uint64_t rounds, deaths, broken;
	uint32_t next;
} * shared;

static struct lock lock_taken(void)
{
	struct lock lock = {.fd = -1};

	if (lock_open(&lock, scratch_path("w"), false, &(struct lock_for){.mode = 0600}) == 0)
		(void)lock_share(&lock);
	return lock;
}

static int child_takes_and_dies(void)
{
	struct lock lock = lock_taken();

	CHECK(lock_owner(&lock, 7) == 0 && wlock_try(&shared->w, 7));
	return 0; /* with it */
}

static void the_dead_are_taken_from(void **state)
{
	struct lock lock = lock_taken();
	bool died = false, held = false;
	(void)state;
	memset(shared, 0, sizeof *shared);
	assert_int_equal(lock_owner(&lock, 1), 0);
	child_run(child_takes_and_dies);
	assert_int_equal(wlock_owner(&shared->w), 7);
	assert_int_equal(lock_owner_held(&lock, 7, &held), 0);
	assert_false(held);
	assert_int_equal(wlock_wait(&shared->w, &lock, 1, 0, &died),
	                 0); /* also by one who does not wait */
	assert_true(died);
	wlock_give(&shared->w);
	struct lock other = lock_taken();

	assert_int_equal(lock_owner(&other, 1), EAGAIN);
	assert_int_equal(lock_owner(&other, 8), 0);
	assert_true(wlock_try(&shared->w, 1));
	died = false;
	assert_int_equal(wlock_wait(&shared->w, &other, 8, 40, &died), EBUSY); /* it lives */
	double from = now();

	lock_close(&lock);
	assert_int_equal(wlock_wait(&shared->w, &other, 8, 60000, &died), 0);
	assert_true(died && now() - from < 30);
	/* Its own other threads do not show. */
	assert_int_equal(wlock_wait(&shared->w, &other, 8, 40, &died), EBUSY);
	lock_close(&other);
}

/* A word with one's own number that no thread of one's own has taken: somebody wrote it there. */
static void forged_words_are_noticed(void **state)
{
	struct lock lock = lock_taken();
	pthread_t writer = pthread_self();
	struct wlock w = {0};
	bool died = false;
	(void)state;
	lock.writer = &writer;
	assert_true(wlock_try(&w, 9));
	assert_int_equal(wlock_wait(&w, &lock, 9, 3000, &died), EBUSY); /* a thread of one's own */
	writer = 0;
	assert_int_equal(wlock_wait(&w, &lock, 9, 0, &died), EBUSY);
	assert_int_equal(wlock_wait(&w, &lock, 9, -1, &died), EUCLEAN);
	assert_false(died);
	lock_close(&lock);
}

static int child_takes_in_turn(void)
{
	struct lock lock = lock_taken();
	uint32_t self = __atomic_add_fetch(&shared->next, 1, __ATOMIC_SEQ_CST);

	CHECK(lock_owner(&lock, self) == 0);
	for (;;) {
		bool died = false;

		if (!wlock_try(&shared->w, self))
			CHECK(wlock_wait(&shared->w, &lock, self, -1, &died) == 0);
		uint32_t was = __atomic_exchange_n(&shared->inside, self, __ATOMIC_SEQ_CST);

		if (was && !died) /* somebody is in here, or died here and this one was not told */
			__atomic_store_n(&shared->broken, 1, __ATOMIC_SEQ_CST);
		shared->deaths += died;
		shared->rounds++;
		for (volatile int i = 0; i < 200; i++)
			;
		if (__atomic_exchange_n(&shared->inside, 0, __ATOMIC_SEQ_CST) != self)
			__atomic_store_n(&shared->broken, 2, __ATOMIC_SEQ_CST);
		wlock_give(&shared->w);
	}
}

static pid_t child_start(void)
{
	fflush(NULL);
	pid_t pid = fork();

	if (pid == 0)
		_exit(child_takes_in_turn());
	return pid;
}

/* Processes that want it all the time are killed wherever they are: there is never a second one
 * inside, and the others go on [I19]. */
static void killed_in_turn(void **state)
{
	pid_t pid[3];
	(void)state;
	memset(shared, 0, sizeof *shared);
	for (int i = 0; i < 3; i++)
		pid[i] = child_start();
	for (int i = 0; i < 150; i++) {
		uint64_t rounds = __atomic_load_n(&shared->rounds, __ATOMIC_RELAXED);

		usleep(3000 + (useconds_t)i * 7919 % 3000);
		kill(pid[i % 3], SIGKILL);
		assert_int_equal(waitpid(pid[i % 3], NULL, 0), pid[i % 3]);
		pid[i % 3] = child_start();
		for (int ms = 0;
		     __atomic_load_n(&shared->rounds, __ATOMIC_RELAXED) == rounds && ms < 60000;
		     ms++)
			usleep(1000);
		assert_true(__atomic_load_n(&shared->rounds, __ATOMIC_RELAXED) > rounds);
	}
	for (int i = 0; i < 3; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	assert_int_equal(shared->broken, 0);
	print_message("%lu turns, %lu taken from the dead\n", (unsigned long)shared->rounds,
	              (unsigned long)shared->deaths);
	assert_true(shared->deaths > 5);
}

static int setup(void **state)
{
	shared =
	    mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? -1 : scratch_make(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(taken_and_given),        cmocka_unit_test(left_half_done),
	    cmocka_unit_test(one_thread_at_a_time),   cmocka_unit_test(the_quick_keep_nobody_out),
	    cmocka_unit_test(who_has_waited_is_next), cmocka_unit_test(the_dead_are_taken_from),
	    cmocka_unit_test(killed_in_turn),         cmocka_unit_test(forged_words_are_noticed),
	};

	return cmocka_run_group_tests(tests, setup, scratch_remove);
}
