/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for the writer's lock: as long as asked, behind another thread or handle, and never because of a store that only looks the same. */
#include "store.h"

#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

struct holder { /* of the lock, by another thread */
	struct daxkv *kv;
	sem_t held, let_go;
	pthread_t thread;
};

static void *thread_holds_the_lock(void *arg)
{
	struct holder *h = arg;
	struct daxkv_txn *txn = NULL;
	int rc = daxkv_begin_timed(h->kv, 10000, &txn);

	sem_post(&h->held);
	if (rc)
		return (void *)1;
	sem_wait(&h->let_go);
	usleep(50000); /* the other one waits already, or at once: right either way */
	daxkv_abort(txn);
	return NULL;
}

static void holder_start(struct holder *h, struct daxkv *kv)
{
	h->kv = kv;
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
	struct daxkv *a = store_new("e", 4096), *b = store_again("e");
	struct daxkv_txn *txn = NULL;
	struct holder holder;
	(void)state;

	holder_start(&holder, a);
	assert_int_equal(daxkv_begin_timed(b, 20, &txn), DAXKV_BUSY);
	assert_int_equal(daxkv_begin_timed(a, 0, &txn), DAXKV_BUSY);
	sem_post(&holder.let_go);
	OK(daxkv_begin_timed(b, 10000, &txn));
	assert_int_equal(daxkv_begin_timed(b, 10, &txn), DAXKV_BUSY); /* its own */
	OK(put(txn, DAXKV_MAIN, "k", "v", 0));
	OK(daxkv_commit(txn));
	holder_end(&holder);
	store_done(a);
	store_done(b);
}

/* A copy of a store has its id, and is another store: to wait for its writer while writing to the first is no deadlock. */
static void a_copy_is_another_store(void **state)
{
	struct daxkv *a = store_new("e", 4096), *b;
	struct daxkv_txn *txn, *other = NULL;
	struct holder holder;
	(void)state;
	store_image(a, "copy");
	b = store_open("copy", (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE});
	assert_int_equal(info(a).file_id, info(b).file_id);
	txn = begin(a);
	holder_start(&holder, b);
	sem_post(&holder.let_go);
	OK(daxkv_begin_timed(b, 10000, &other));
	daxkv_abort(other);
	daxkv_abort(txn);
	holder_end(&holder);
	OK(daxkv_close(b));
	store_done(a);
}

/* child_writes_and_stops - begins a write transaction, and stops in it. */
static void child_writes_and_stops(void)
{
	const struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};
	struct daxkv_txn *txn;
	struct daxkv *kv;

	if (daxkv_open(scratch_path("e"), &o, &kv) || daxkv_begin(kv, NULL, 0, &txn))
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
	struct daxkv *kv = store_again("e");

	assert_int_equal(daxkv_begin_timed(kv, 30, &txn), DAXKV_BUSY);
	assert_int_equal(daxkv_writer_pid(kv), child);
	(void)info(kv); /* it does not wait */
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	OK(daxkv_begin_timed(kv, 10000, &txn));
	assert_int_equal(daxkv_writer_pid(kv), getpid());
	daxkv_abort(txn);
	assert_int_equal(daxkv_writer_pid(kv), 0);
	store_done(kv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(waiting_for_a_while),
	    cmocka_unit_test(a_copy_is_another_store),
	    cmocka_unit_test(a_stopped_writer_is_named),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
