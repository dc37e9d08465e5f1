/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * writer.h - the writer's lock of a store, taken for a transaction or by itself.
 */
#ifndef DAXKV_WRITER_H
#define DAXKV_WRITER_H

#include "txn/store.h"

/* writer_hold - have the writer's lock without a transaction, waiting wait_ms (0: not at all,
 * negative: as long as it takes). *died: its last owner did, half-way; recovery is left to the next
 * write transaction, which writer_let_go with left tells. BUSY, ENOMEM, errno. writer_let_go - the
 * same thread gives it back. */
int writer_hold(struct daxkv_store *store, int64_t wait_ms, bool *died);
/* writer_let_go - see above writer_hold. The name goes before the lock, so that no other thread's
 * name is wiped. It may be another thread's: a program may end its transaction in a thread that did
 * not begin it, as a finalizer does. */
static inline void writer_let_go(struct daxkv_store *store, bool left)
{
	assert(store->writer_thread != 0);
	store_relaxed(&store->writer_thread, 0);
	if (UNLIKELY(left))
		wlock_leave(&store->share->writer);
	else
		wlock_give(&store->share->writer);
}

/* writer_busy - BUSY with a text: EBUSY: another thread writes; EDEADLK: this one does. */
int writer_busy(int rc);

#endif
