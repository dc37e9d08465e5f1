/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * writer.c - the writer's lock, taken for a transaction or by itself. See writer.h
 *
 * The lock is a word of the share (wlock.h). Beside it each handle notes the thread that has it, by
 * which a thread that asks again is told, and by which the end of a thread finds its lock.
 */
#include "txn/writer.h"

#include "base/err.h"
#include "txn/registry.h"
#include "txn/store.h"

#include <errno.h>

/* lock_take - the lock; EDEADLK: this thread has it already, by way of this handle or another of
 * the same store. *died: its last owner did, half-way. The look at other handles is made only when
 * the lock is taken: most times it is free. */
static int lock_take(struct daxkv_store *store, int64_t wait_ms, bool *died)
{
	const struct lock *lock = NULL;
	struct wlock *w = &store->share->writer;
	int rc = 0;

	if (store->share_file.fd >= 0)
		lock = &store->lock;
	*died = false;
	if (UNLIKELY(!wlock_try(w, store->share_file.owner))) {
		if (registry_writing(store))
			rc = EDEADLK;
		else
			rc = wlock_wait(w, lock, store->share_file.owner, wait_ms, died);
	}
	if (rc)
		return rc;
	store_relaxed(&store->writer_thread, pthread_self());
	return 0;
}

/* The same text for all that wait for the lock. */
int writer_busy(int rc)
{
	return err_set(DAXKV_BUSY, rc == EBUSY
	                               ? "another write transaction is running"
	                               : "this thread's write transaction is still running");
}

/* The thread is watched first: if it ends with the lock, somebody must notice. */
int writer_hold(struct daxkv_store *store, int64_t wait_ms, bool *died)
{
	int rc = registry_watch_thread();

	if (!rc)
		rc = lock_take(store, wait_ms, died);
	if (rc == EDEADLK || rc == EBUSY)
		return writer_busy(rc);
	if (rc == EUCLEAN)
		return err_set(DAXKV_CORRUPT,
		               "%s is damaged: it says that this process is writing; "
		               "the store is whole, when all have closed it",
		               store->lock.name);
	if (rc)
		return err_sys(rc, "the writer's lock");
	return 0;
}
