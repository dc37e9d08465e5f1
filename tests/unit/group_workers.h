/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * group_workers.h - threads for the tests of groups (src/txn/group.h). A test has the turn itself,
 * lets workers queue in an order that it knows, and commits. It counts the engine's syncs, and may
 * have them take long or fail.
 */
#ifndef DAXKV_TEST_GROUP_WORKERS_H
#define DAXKV_TEST_GROUP_WORKERS_H

#include "small_store.h"
#include "txn/group.h"
#include "txn/txn.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define MEMBERS 6u

static unsigned int syncs;    /* atomic */
static int sync_error;        /* of the next ones; 0: none */
static unsigned int sync_us;  /* that one takes */
static unsigned int returned; /* atomic: commits that have returned */
static unsigned int early;    /* atomic: such of them while the last sync ran */

/* The engine's calls come here. */
int fdatasync(int fd)
{
	if (sync_us)
		usleep(sync_us);
	__atomic_fetch_add(&syncs, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&early, __atomic_load_n(&returned, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
	if (sync_error) {
		errno = sync_error;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* ---- threads that queue -----------------------------------------------------------------------
 */

struct worker {
	struct daxkv_store *store;
	int (*body)(struct worker *w, struct daxkv_txn *txn); /* ends the transaction */
	unsigned int n;
	int wait_ms; /* negative: as long as it takes */
	int rc;
	uint64_t id;      /* of its transaction */
	sem_t inside, go; /* for a body that stops */
	pthread_t thread;
	char text[64];
};

static inline void *work(void *arg)
{
	struct worker *w = arg;
	struct daxkv_txn *txn = NULL;

	w->rc = w->wait_ms < 0 ? daxkv_txn_begin(w->store, NULL, 0, &txn)
	                       : daxkv_txn_begin_timed(w->store, (unsigned int)w->wait_ms, &txn);
	if (!w->rc) {
		w->id = daxkv_txn_id(txn);
		w->rc = w->body(w, txn);
		__atomic_fetch_add(&returned, 1, __ATOMIC_SEQ_CST);
	}
	snprintf(w->text, sizeof w->text, "%s", daxkv_errmsg());
	return NULL;
}

/* queued - so many wait for their turn. */
static inline void queued(const struct daxkv_store *store, unsigned int n)
{
	for (unsigned int ms = 0; group_waiting(&store->group) != n && ms < 20000; ms++)
		usleep(1000);
	assert_int_equal(group_waiting(&store->group), n);
}

/* start - the worker waits in the queue behind the others. */
static inline void start(struct worker *w, struct daxkv_store *store,
                         int (*body)(struct worker *w, struct daxkv_txn *txn), unsigned int n)
{
	const unsigned int before = group_waiting(&store->group);

	*w = (struct worker){.store = store, .body = body, .n = n, .wait_ms = -1};
	assert_int_equal(sem_init(&w->inside, 0, 0) | sem_init(&w->go, 0, 0), 0);
	assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
	queued(store, before + 1);
}

static inline void end(struct worker *w)
{
	assert_int_equal(pthread_join(w->thread, NULL), 0);
}

static inline int body_commit(struct worker *w, struct daxkv_txn *txn)
{
	int rc = put_n(txn, DAXKV_MAIN, w->n, 20, 1);

	if (!rc)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return rc;
}

/* file_new - a store in file mode whose threads share commits, also where a sync costs nothing. */
static inline struct daxkv_store *file_new(void)
{
	unlink(scratch_path("g"));
	unlink(scratch_path("g-lock"));
	struct daxkv_store *store =
	    store_open("g", (struct daxkv_options){.flags = DAXKV_CREATE | DAXKV_GROUP_COMMIT,
	                                           .pmem = DAXKV_PMEM_FILE});

	store->group.on = true;
	store->logs = false;                  /* syncs are counted */
	store->group.age_max_ns = UINT64_MAX; /* whatever the machine does meanwhile */
	store_made_sure(store);
	sync_error = 0;
	sync_us = 0;
	returned = 0;
	return store;
}

/* lasts - what the file has now has entry n, or not: a store of its own opens the bytes. */
static inline bool lasts(struct daxkv_store *store, unsigned int n)
{
	store_image(store, "image");
	struct daxkv_store *image = store_open("image", (struct daxkv_options){.flags = 0});
	struct daxkv_txn *txn = begin_reading(image);
	bool there = has_n(txn, DAXKV_MAIN, n, 20, 1);

	daxkv_txn_abort(txn);
	store_done(image);
	return there;
}

static inline bool there(struct daxkv_store *store, unsigned int n)
{
	struct daxkv_txn *txn = begin_reading(store);
	bool yes = has_n(txn, DAXKV_MAIN, n, 20, 1);

	daxkv_txn_abort(txn);
	return yes;
}

#endif
