/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that is cancelled does not end inside the library. Each call is made by a thread whose
 * cancellation is pending already, so that it would end at the first cancellation point. */
#include "small_store.h"

#include <pthread.h>

#define VALUE (3u << 20) /* more than a new store has room for */

struct call {
	const char *name;
	struct daxkv_store *store;
	int (*fn)(struct call *call);
	int rc;
	bool returned;
};

static void *run(void *arg)
{
	struct call *call = arg;

	pthread_cancel(pthread_self());
	call->rc = call->fn(call);
	call->returned = true;
	pthread_testcancel();
	return NULL; /* not reached */
}

static void make(struct call *call, int (*fn)(struct call *call), const char *name)
{
	pthread_t thread;
	void *end = NULL;

	call->fn = fn;
	call->returned = false;
	OK(pthread_create(&thread, NULL, run, call));
	OK(pthread_join(thread, &end));
	if (!call->returned)
		fail_msg("%s: the thread ended inside", name);
	assert_ptr_equal(end, PTHREAD_CANCELED); /* it was cancelled, behind the call */
	OK(call->rc);
}

#define MAKE(call, fn) make(call, fn, #fn)

/* begin_alive - begin, and let the thread be cancelled only then. */
static int begin_alive(struct daxkv_store *store, struct daxkv_txn **txn)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	int rc = daxkv_txn_begin(store, NULL, 0, txn);

	pthread_setcancelstate(state, &state);
	return rc;
}

static int open_new(struct call *call)
{
	struct daxkv_options o = {.flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FILE};

	return daxkv_open(scratch_path(call->name), &o, &call->store);
}

static int open_reader(struct call *call)
{
	struct daxkv_options o = {.flags = DAXKV_READ_ONLY, .pmem = DAXKV_PMEM_FILE};

	return daxkv_open(scratch_path(call->name), &o, &call->store);
}

static int close_it(struct call *call)
{
	return daxkv_close(call->store);
}

static int put_large(struct daxkv_txn *txn)
{
	static uint8_t bytes[VALUE];
	struct daxkv_val key = {5, "large"}, value = {sizeof bytes, bytes};

	return daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
}

/* write_large - the file grows, and all is committed. */
static int write_large(struct call *call)
{
	struct daxkv_txn *txn;
	int rc = begin_alive(call->store, &txn);

	if (rc)
		return rc;
	rc = put_large(txn);
	if (rc) {
		daxkv_txn_abort(txn);
		return rc;
	}
	return daxkv_txn_commit(txn);
}

/* leave_growing - the file grows in a transaction that its thread does not end. */
static int leave_growing(struct call *call)
{
	struct daxkv_txn *txn;
	int rc = begin_alive(call->store, &txn);

	return rc ? rc : put_large(txn);
}

static int read_one(struct call *call)
{
	struct daxkv_val key = {5, "large"}, value;
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(call->store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (rc)
		return rc;
	rc = daxkv_get(txn, DAXKV_MAIN, &key, &value);
	daxkv_txn_abort(txn);
	return rc;
}

static void *wait_for_writer(void *arg)
{
	struct call *call = arg;
	struct daxkv_txn *txn;

	call->rc = daxkv_txn_begin(call->store, NULL, 0, &txn);
	call->returned = true;
	pthread_testcancel();
	return NULL; /* not reached */
}

/* A thread that is cancelled while it waits for the writer's lock gets it, and ends in its
 * transaction. */
static void waiting_for_the_lock(void **state)
{
	struct call call = {.name = "w"};
	struct daxkv_txn *txn;
	pthread_t thread;
	void *end;

	(void)state;
	OK(open_new(&call));
	txn = begin(call.store);
	OK(pthread_create(&thread, NULL, wait_for_writer, &call));
	usleep(50000);
	pthread_cancel(thread);
	usleep(10000);
	daxkv_txn_abort(txn);
	OK(pthread_join(thread, &end));
	assert_ptr_equal(end, PTHREAD_CANCELED);
	assert_true(call.returned);
	put_one(call.store, "k", "v");
	store_done(call.store);
}

/* ends - the thread of such a call ends in it, and others go on. */
static void ends(struct call *call, int (*fn)(struct call *call))
{
	pthread_t thread;
	void *end;

	call->fn = fn;
	call->returned = false;
	OK(pthread_create(&thread, NULL, run, call));
	OK(pthread_join(thread, &end));
	assert_ptr_equal(end, PTHREAD_CANCELED);
	assert_false(call->returned);
	put_one(call->store, "k", "v");
}

static int begin_it(struct call *call)
{
	struct daxkv_txn *txn;

	return daxkv_txn_begin(call->store, NULL, 0, &txn);
}

static int begin_it_timed(struct call *call)
{
	struct daxkv_txn *txn;

	return daxkv_txn_begin_timed(call->store, 30, &txn);
}

static int sync_it(struct call *call)
{
	return daxkv_sync(call->store);
}

static int info_of_it(struct call *call)
{
	struct daxkv_info info;

	return daxkv_info(call->store, &info);
}

static int check_it(struct call *call)
{
	return daxkv_check(call->store, NULL, NULL, NULL);
}

static void cancellation_points_have_taken_nothing(void **state)
{
	struct call call = {.name = "p"};

	(void)state;
	OK(open_new(&call));
	ends(&call, begin_it);
	ends(&call, begin_it_timed);
	ends(&call, sync_it);
	ends(&call, info_of_it);
	ends(&call, check_it);
	store_done(call.store);
}

static void no_call_is_left_half_way(void **state)
{
	struct call call = {.name = "c"};

	(void)state;
	MAKE(&call, open_new);
	MAKE(&call, write_large);
	MAKE(&call, read_one);
	MAKE(&call, close_it);
	MAKE(&call, open_reader);
	MAKE(&call, read_one);
	MAKE(&call, close_it);
	call.store = store_open("c", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	store_done(call.store);
}

/* others_go_on - the thread was cancelled in the middle of its transaction: the next one recovers
 * and grows. */
static void others_go_on(void **state)
{
	struct call call = {.name = "o"};

	(void)state;
	OK(open_new(&call));
	MAKE(&call, leave_growing);
	OK(write_large(&call));
	store_check(call.store);
	MAKE(&call, close_it);
}

/* An unclean file is recovered when it is opened: by a writer in place, by a reader in private
 * memory. */
static void opening_recovers(void **state)
{
	struct call call = {.name = "image"};
	struct daxkv_store *store = store_new("u", 4096);

	(void)state;
	put_one(store, "large", "v");
	store_image(store, "image");
	store_done(store);
	MAKE(&call, open_reader);
	MAKE(&call, read_one);
	MAKE(&call, close_it);
	MAKE(&call, open_new);
	MAKE(&call, read_one);
	MAKE(&call, close_it);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(no_call_is_left_half_way),
	                                   TEST(waiting_for_the_lock),
	                                   TEST(cancellation_points_have_taken_nothing),
	                                   TEST(others_go_on), TEST(opening_recovers)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
