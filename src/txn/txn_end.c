/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn_end.c - how write transactions end. See txn.h
 *
 *                  commit                               abort, or a commit that failed
 *   nested         its changes become the parent's      wset_undo: back to its mark
 *   outermost      commit_run makes them durable        the set is forgotten; pages that were taken
 *                                                       are free again
 *
 * In memory alone: nothing that a commit refers to was changed before its record. In each case
 * handles (dbi_end) and cursors (place_end_all) are settled before the set: they point into it.
 */
#include "media/map_file.h"
#include "txn/commit.h"
#include "txn/dbi.h"
#include "txn/place.h"
#include "txn/txn.h"
#include "txn/txn_check.h"
#include "txn/writer.h"

/* The parent goes on as if the child had not been. */
void undo_nested(struct daxkv_txn *txn)
{
	struct daxkv_txn *parent = txn->parent;

	assert(parent);
	assert(!txn->child);
	dbi_end(txn, false);
	place_end_all(txn);
	tree_forget(&txn->store->scratch);
	wset_undo(&txn->store->wset, &txn->mark);
	parent->child = NULL;
	write_txn_give(txn);
}

/* undo_outermost - the store is as it was at begin. The writer's lock is still held. */
static inline void undo_outermost(struct daxkv_txn *txn)
{
	dbi_end(txn, false);
	place_end_all(txn);
	tree_forget(&txn->store->scratch);
	space_undo(&txn->store->space, 0);
	if (UNLIKELY(txn->store->wset.first))
		(void)commit_lazy_end(txn->store, false);
	(void)commit_empty(txn->store); /* a panic, which the next transaction hears of */
	/* pages of the bitmaps lie elsewhere, in this process's memory alone [I16] */
	if (UNLIKELY(txn->store->space.moved))
		txn->store->known = UINT64_MAX;
}

/* The handle goes back before the lock: the next writer takes it. */
void outermost_end(struct daxkv_txn *txn)
{
	struct daxkv_store *store = txn->store;

	if (store->map.pm.failed) /* growth may have met it, not a fence */
		store_seq_cst(&store->share->panic, (uint32_t)store->map.pm.failed);
	store_release(&store->writer, NULL);
	write_txn_give(txn);
	writer_let_go(store, false);
	if (UNLIKELY(store->group.on))
		group_leave(&store->group);
}

/* Nothing was shared with others, so nothing is told to them. */
void abort_outermost(struct daxkv_txn *txn)
{
	undo_outermost(txn);
	outermost_end(txn);
}

/* Nothing of it is durable before the commit of the outermost one. */
int commit_nested(struct daxkv_txn *txn)
{
	struct daxkv_txn *parent = txn->parent;
	int rc;

	assert(parent);
	assert(!txn->child);
	(void)txn_seal(txn);
	rc = tree_flush_all(&txn->store->scratch, &txn->store->wset);
	if (rc) {
		undo_nested(txn);
		return rc;
	}
	dbi_end(txn, true);
	place_end_all(txn);
	txn->store->scratch.finger_of = NULL;
	wset_merge(&txn->store->wset, &txn->mark);
	dbi_states_give(parent, txn);
	if (txn->user_version_set) {
		parent->user_version = txn->user_version;
		parent->user_version_set = true;
	}
	parent->child = NULL;
	write_txn_give(txn);
	return 0;
}

/* states_keep - what the committed transaction knows of its databases is what the next one will
 * find. */
static void states_keep(struct daxkv_txn *txn)
{
	for (struct dbstate *s = txn->changed; s; s = s->links.next_changed)
		s->changed = false;
	txn->valid_at = load_relaxed(&txn->store->share->published);
}

/* lazy_end - the end of a commit that was lazy, or has found lazy ones. */
static __attribute__((noinline)) int lazy_end(struct daxkv_store *store)
{
	const int rc = commit_lazy_end(store, true);

	if (UNLIKELY(store->sync_idle.look != NULL) && !rc)
		txn_idle_want(store);
	return rc;
}

/* Handles and cursors end only after the commit: when it fails, they are undone with the rest. */
static inline __attribute__((always_inline)) int run(struct daxkv_txn *txn)
{
	int rc;

	/* [R9] Another thread began the transaction and flushed the words of the last commit. The
	 * fence of this thread does not wait for them. */
	if (UNLIKELY(!txn_writing(txn->store)))
		commit_flush_words(txn->store);
	rc = commit_run(txn);
	if (UNLIKELY(rc)) {
		undo_outermost(txn);
		return rc;
	}
	if (UNLIKELY(txn->store->wset.first))
		rc = lazy_end(txn->store);
	dbi_end(txn, true);
	place_end_all(txn);
	states_keep(txn);
	txn->store->scratch.tally_txn = txn->store->known;
	return rc;
}

int outermost_run(struct daxkv_txn *txn)
{
	return run(txn);
}

/* With group commit its thread may wait for others here, and one of these makes the commit. The
 * commit counts whatever becomes of what follows. */
int commit_outermost(struct daxkv_txn *txn)
{
	struct daxkv_store *store = txn->store;
	int rc;

	(void)txn_seal(txn);
	if (LIKELY(!store->group.on) || (store->wset.first && store->lazy_txn) ||
	    !member_first(txn, &rc)) {
		rc = run(txn);
		outermost_end(txn);
	}
	if (UNLIKELY(store->after_commit != NULL) && !rc)
		store->after_commit(store);
	return rc;
}

/* Most of what lazy commits wrote is written to the medium while others write: the sync itself does
 * not rely on that. Inside a write transaction of this thread what was committed before it is
 * synced, and it goes on as a durable one. */
int txn_sync(struct daxkv_store *store)
{
	const bool lazy = !txn_forked(store) && !store->read_only && store_lazy(store);
	struct daxkv_txn *txn;
	int rc;

	if (lazy && txn_writing(store))
		return commit_sync(store);
	if (lazy)
		file_write_ahead(store->map.fd);
	rc = txn_begin_alone(store, -1, &txn);
	if (rc)
		return rc;
	rc = store_lazy(store) ? commit_sync(store) : commit_checkpoint(store);
	daxkv_txn_abort(txn);
	return rc;
}
