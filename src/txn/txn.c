/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn.c - beginning and ending transactions. See store.h
 *
 * Here are the public calls, and how write transactions begin: by the writer's lock, one outermost
 * transaction at a time, and those nested in it. Handles are kept by the store, with what they know
 * of databases. How they end is in txn_end.c, and read transactions are in txn_read.c.
 *
 *   begin_write   the turn (group) -> the lock -> a handle -> what others did meanwhile -> the
 *                 words of the last commit begin to be flushed [R9]
 *
 * What fails is undone in the opposite order, so a begin that fails has changed nothing.
 */
#include "txn/txn.h"

#include "base/err.h"
#include "txn/commit.h"
#include "txn/dbi.h"
#include "txn/place.h"
#include "txn/registry.h"
#include "txn/store.h"
#include "txn/txn_check.h"
#include "txn/writer.h"

#include <errno.h>
#include <stdlib.h>

/* ---- handles --------------------------------------------------------------------------------- */

void txn_handle_free(struct daxkv_txn *txn)
{
	place_drop_closed(txn);
	dbi_states_free(txn);
	free(txn);
}

/* generation 1: states that are zeros are stale. Not inlined: a begin nearly always has one that
 * was kept. */
__attribute__((noinline)) int txn_handle_new(struct daxkv_store *store, bool write,
                                             struct daxkv_txn **out)
{
	struct daxkv_txn *txn = calloc(1, sizeof *txn);

	if (!txn)
		return err_set(ENOMEM, "no memory for a transaction");
	int rc = write ? states_open(txn) : 0;

	if (rc) {
		free(txn);
		return rc;
	}
	txn->store = store;
	txn->write = write;
	txn->sharing = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	txn->generation = 1;
	txn->valid_at = UINT64_MAX;
	*out = txn;
	return 0;
}

/* write_txn_take - a write transaction's handle: one that ended, or a new one. The writer's lock is
 * held. What its dbstates hold is good when it was the last to commit, else of another
 * generation. */
static int write_txn_take(struct daxkv_store *store, struct daxkv_txn *parent,
                          struct daxkv_txn **out)
{
	struct daxkv_txn *txn = store->idle_txns;

	if (txn) {
		store->idle_txns = txn->next;
	} else {
		int rc = txn_handle_new(store, true, &txn);

		if (rc)
			return rc;
	}
	txn->parent = parent;
	txn->child = NULL;
	txn->member = false;
	txn->broken = false;
	txn->reserved.pending = false;
	txn->user_version_set = false;
	if (txn->changed)
		states_begin(txn);
	if (parent || txn->valid_at != load_relaxed(&store->share->published)) {
		txn->ndb = 0;
		txn->looked = NULL;
		txn->generation = ++store->generation;
	}
	txn->valid_at = UINT64_MAX;
	*out = txn;
	return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* From here on the set keeps what it needs to undo this level alone. */
int write_txn_nest(struct daxkv_txn *parent, struct daxkv_txn **out)
{
	assert(parent->write);
	assert(!parent->child);
	struct daxkv_store *store = parent->store;
	struct daxkv_txn *txn;
	int rc = write_txn_take(store, parent, &txn);

	if (rc)
		return rc;
	store->scratch.finger_of = NULL;
	wset_enter(&store->wset, &txn->mark);
	parent->child = txn;
	*out = txn;
	return 0;
}

/* begin_nested - the parent rests until the child has ended: its reserved value is sealed, its
 * batches are in pages, its cursors are known by key. */
static int begin_nested(struct daxkv_txn *parent, struct daxkv_txn **out)
{
	struct daxkv_store *store = parent->store;
	int rc = txn_check(parent, true);

	if (rc)
		return rc;
	if (store->wset.level == UINT8_MAX)
		return err_set(DAXKV_BAD_TXN, "transactions are nested %u deep, and no deeper",
		               store->wset.level);
	(void)txn_seal(parent);
	rc = tree_flush_all(&store->scratch, &store->wset);
	if (rc)
		return txn_break(parent, rc);
	if (parent->cursors) {
		rc = place_save_all(parent, 0, NULL);
		if (rc)
			return rc;
	}
	return write_txn_nest(parent, out);
}

/* writer_bury - the lock is held anew: a transaction that is still there, nested ones included, was
 * left by a thread that ended. It is forgotten here; the file's side is recovery's. */
static void writer_bury(struct daxkv_store *store)
{
	struct daxkv_txn *txn = store->writer;

	if (LIKELY(!txn))
		return;
	while (txn->child)
		txn = txn->child;
	tree_forget(&store->scratch);
	while (txn) {
		struct daxkv_txn *parent = txn->parent;

		dbi_end(txn, false);
		place_end_all(txn);
		write_txn_give(txn);
		txn = parent;
	}
	store_release(&store->writer, NULL);
}

/* lock_writer - have the lock, and know what is there. wait_ms: 0 not to wait, negative to wait as
 * long as it takes. */
static int lock_writer(struct daxkv_store *store, int64_t wait_ms)
{
	bool died;
	int rc = writer_hold(store, wait_ms, &died);

	if (rc)
		return rc;
	writer_bury(store);
	died |= commit_behind(
	    store); /* with an external lock, the same has to be done after others have written */
	if (died) {
		rc = store->share->panic ? 0 : commit_take_over(store, true);
		if (rc) { /* left half done as before: the next one tries */
			writer_let_go(store, true);
			return rc;
		}
	}
	uint32_t panic = load_seq_cst(&store->share->panic);

	if (!panic)
		return 0;
	writer_let_go(store, false);
	return err_set(
	    DAXKV_PANIC,
	    "an earlier flush failed (%s): the store refuses changes until it is opened again",
	    strerror((int)panic));
}

/* begin_outermost - with the lock, a transaction one behind the newest commit. The line of the ring
 * that its record begins with comes into this core's cache meanwhile. */
static int begin_outermost(struct daxkv_store *store, int64_t wait_ms, struct daxkv_txn **out)
{
	struct daxkv_txn *txn;
	int rc = lock_writer(store, wait_ms);

	if (rc)
		return rc;
	rc = write_txn_take(store, NULL, &txn);
	if (rc) {
		writer_let_go(store, false);
		return rc;
	}
	rc = commit_take_over(store, false);
	if (LIKELY(!rc)) {
		wset_begin(&store->wset, store->known + 1);
		if (UNLIKELY(store_lazy(store) || store->space.shadow))
			rc = commit_lazy_begin(store, false);
	}
	if (UNLIKELY(rc)) {
		write_txn_give(txn);
		writer_let_go(store, false);
		return rc;
	}
	store_release(&store->writer, txn); /* pairs with commit_follow */
	store->writer_view.snapshot = store->wset.txn;
	store->scratch.finger_of = NULL;
	if (store->scratch.tally_txn != store->known) /* another has committed since */
		tree_tally_forget(&store->scratch);
	pm_own(ring_at(&store->ring, store->wset.txn));
	commit_flush_words(store); /* [R9] */
	*out = txn;
	return 0;
}

/* begin_write - with group commit a thread waits for its turn first, and may become a member of an
 * open group. wait_ms: for both, the turn and the lock. */
static int begin_write(struct daxkv_store *store, int64_t wait_ms, bool may_join,
                       struct daxkv_txn **out)
{
	bool joined = false;
	int rc = 0;

	pthread_testcancel(); /* a thread that only writes can be cancelled as well: here, where it
	                         has nothing */
	if (UNLIKELY(store->read_only))
		return err_set(EACCES, "the store was opened read-only");
	if (UNLIKELY(store->group.on))
		rc = member_turn(store, may_join, &wait_ms, &joined);
	if (UNLIKELY(rc))
		return rc;
	if (UNLIKELY(joined))
		return member_begin(store, out);
	rc = begin_outermost(store, wait_ms, out);
	if (UNLIKELY(rc && store->group.on))
		group_leave(&store->group);
	return rc;
}

/* It never is a member, whose commit could be shared. */
int txn_begin_alone(struct daxkv_store *store, int64_t wait_ms, struct daxkv_txn **txn)
{
	return txn_forked(store) ? txn_own(store) : begin_write(store, wait_ms, false, txn);
}

/* begin_lazy - a write transaction whose commit may wait for a sync. */
static int begin_lazy(struct daxkv_store *store, int64_t wait_ms, struct daxkv_txn **txn)
{
	int rc = begin_write(store, wait_ms, false, txn);

	if (rc)
		return rc;
	rc = commit_lazy_begin(store, true);
	if (rc)
		abort_outermost(*txn);
	return rc;
}

/* begin_unusual - a nested transaction, or one with more flags than whether it reads. */
static __attribute__((noinline)) int begin_unusual(struct daxkv_store *store,
                                                   struct daxkv_txn *parent, unsigned int flags,
                                                   struct daxkv_txn **txn)
{
	if (parent && (flags & DAXKV_TXN_READ_ONLY || parent->store != store))
		return err_set(EINVAL,
		               "a transaction needs a store, and a parent that writes to it");
	if (flags & ~(unsigned int)BEGIN_FLAGS)
		return err_set(EINVAL, "unknown flags 0x%x for begin", flags);
	if (flags & DAXKV_TXN_LAZY && flags & (DAXKV_TXN_DURABLE | DAXKV_TXN_READ_ONLY))
		return err_set(EINVAL, "a lazy transaction writes, and is not durable");
	if (parent && flags & (DAXKV_TXN_LAZY | DAXKV_TXN_DURABLE))
		return err_set(EINVAL, "a nested transaction is as durable as its parent");
	if (parent)
		return begin_nested(parent, txn);
	if (flags & DAXKV_TXN_VERIFY && !(flags & DAXKV_TXN_READ_ONLY))
		return err_set(EINVAL, "only a read transaction verifies what it reads");
	if (flags & DAXKV_TXN_READ_ONLY)
		return read_txn_begin(store, flags & DAXKV_TXN_VERIFY, txn);
	const bool tries = flags & DAXKV_TXN_TRY;

	if (flags & DAXKV_TXN_LAZY ? store->may_lazy
	                           : store_is_lazy(store) && !(flags & DAXKV_TXN_DURABLE))
		return begin_lazy(store, tries ? 0 : -1, txn);
	return begin_write(store, tries ? 0 : -1, !tries, txn);
}

/* The two commonest kinds are told by a test or two; the rest is begin_unusual's. */
int daxkv_txn_begin(struct daxkv_store *store, struct daxkv_txn *parent, unsigned int flags,
                    struct daxkv_txn **txn)
{
	if (UNLIKELY(store && txn_forked(store)))
		return txn_own(store);
	if (UNLIKELY(!store || !txn))
		return err_set(EINVAL,
		               "a transaction needs a store, and a parent that writes to it");
	if (UNLIKELY(parent || flags & ~(unsigned int)DAXKV_TXN_READ_ONLY || store_is_lazy(store)))
		return begin_unusual(store, parent, flags, txn);
	return flags ? read_txn_begin(store, false, txn) : begin_write(store, -1, true, txn);
}

int daxkv_txn_begin_timed(struct daxkv_store *store, unsigned int milliseconds,
                          struct daxkv_txn **txn)
{
	if (store && txn_forked(store))
		return txn_own(store);
	if (!store || !txn)
		return err_set(EINVAL, "a transaction needs a store");
	return store_is_lazy(store) ? begin_lazy(store, milliseconds, txn)
	                            : begin_write(store, milliseconds, true, txn);
}

/* The innermost first. */
void daxkv_txn_abort(struct daxkv_txn *txn)
{
	if (!txn || txn_forked(txn->store)) /* in a forked child there is nothing to end */
		return;
	if (txn->child)
		daxkv_txn_abort(txn->child); /* as deep as they are nested */
	if (!txn->write)
		read_txn_end(txn);
	else if (UNLIKELY(txn->member))
		member_abort(txn);
	else if (txn->parent)
		undo_nested(txn);
	else
		abort_outermost(txn);
}

/* A child that still runs is committed with it. Whatever the result is, the handle is gone. */
int daxkv_txn_commit(struct daxkv_txn *txn)
{
	int rc;

	if (!txn)
		return err_set(EINVAL, "no transaction was given");
	if (txn_forked(txn->store))
		return err_set(DAXKV_BAD_TXN, "the transaction belongs to the parent process");
	if (txn->child) {
		rc = daxkv_txn_commit(txn->child);
		if (rc) {
			daxkv_txn_abort(txn);
			return rc;
		}
	}
	if (!txn->write) {
		read_txn_end(txn);
		return 0;
	}
	rc = txn_check(txn, true);
	if (rc) {
		daxkv_txn_abort(txn);
		return rc;
	}
	if (UNLIKELY(txn->member))
		return member_commit(txn);
	return txn->parent ? commit_nested(txn) : commit_outermost(txn);
}
