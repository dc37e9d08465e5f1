/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn_group.c - write transactions of several threads that share a commit. See group.h, txn.h
 *
 * The first member's transaction stays as the outermost one when its thread commits; every other
 * member's is nested in it, so that it can be undone alone. What a nested transaction may not do to
 * its parent it may not do to the members before it.
 *
 *   first   begin_outermost ... commit: first_keep      -> waits for the end of the group
 *   next    member_begin    ... commit: member_keep     -> waits, or closes it
 *   last                                group_finish    -> one commit; all return its result
 *
 * goes_on is where a group ends: by its bounds [G4], when another process waits, or when nobody
 * comes.
 */
#include "base/err.h"
#include "txn/commit.h"
#include "txn/place.h"
#include "txn/registry.h"
#include "txn/txn.h"
#include "txn/txn_check.h"
#include "txn/writer.h"

#include <errno.h>

#define MEMBERS_MAX  64u
#define OFFER_MAX_NS UINT64_C(1000000)
#define ROOM_PAGES   8u  /* that the closing may take for the main database */
#define ROOM_DB      2u  /* for each other one */
#define ROOM_WORDS   16u /* words that a page has room for, at least, when they are spilled */

/* ---- beginning ------------------------------------------------------------------------------- */

/* A thread that has the turn already, by this handle or another, must not wait for itself. */
int member_turn(struct daxkv_store *store, bool may_join, int64_t *wait_ms, bool *joined)
{
	int rc = registry_watch_thread();

	if (rc)
		return rc;
	if (LIKELY(group_try(&store->group)))
		return 0;
	if (registry_writing(store))
		rc = EDEADLK;
	else
		rc = group_wait(&store->group, may_join, wait_ms, joined);
	if (rc)
		return writer_busy(rc);
	return 0;
}

/* When it cannot begin, a member closes the group. */
int member_begin(struct daxkv_store *store, struct daxkv_txn **out)
{
	assert(store->group.root);
	struct daxkv_txn *txn;
	int rc = write_txn_nest(store->group.root, &txn);

	if (rc) {
		group_yield(&store->group);
		return rc;
	}
	store_relaxed(&store->writer_thread, pthread_self());
	txn->member = true;
	*out = txn;
	return 0;
}

/* ---- going on, or not ------------------------------------------------------------------------ */

/* goes_on - whether the group takes one more. Where nobody waits, *offer_ns: how long it is worth
 * to wait for one, because the last group was larger; 0: not at all. */
static bool goes_on(struct daxkv_store *store, uint64_t *offer_ns)
{
	struct commit_group *g = &store->group;
	const struct wlock *lock = &store->share->writer;
	const unsigned int waiting = group_waiting(g);
	unsigned int n = 1;
	size_t words;

	if (g->root)
		n = g->n;
	*offer_ns = 0;
	if ((!waiting && n >= g->expected) || n >= MEMBERS_MAX || wlock_starving(lock)) /* [G4] */
		return false;
	/* A record that is full costs a second fence, which pays when as many come once more, or
	 * where it writes a row of pages. */
	const bool room = commit_room(store, n, &words) || store->logs;

	g->large |= !room && waiting >= n;
	if (waiting)
		return (room || g->large) &&
		       (!g->root || group_clock() - g->since_ns < g->age_max_ns);
	if (room && !wlock_wanted(lock))
		*offer_ns = min_u64(g->fence_ns / 2, OFFER_MAX_NS);
	return *offer_ns;
}

/* room_keep - what the closing may need is there, so that it does not fail for all [G3]. FULL,
 * ENOSPC, EFBIG, ENOMEM. Pages are taken and given back: the space then has them, or the file has
 * grown. */
static int room_keep(struct daxkv_txn *txn)
{
	struct daxkv_store *store = txn->store;
	size_t mark = space_mark(&store->space);
	size_t words;
	size_t pages = ROOM_PAGES;
	uint64_t off;
	int rc = 0;

	(void)commit_room(store, 1, &words);
	pages += words / ROOM_WORDS;
	for (const struct daxkv_txn *t = txn; t; t = t->parent)
		for (const struct dbstate *s = t->changed; s; s = s->links.next_changed)
			pages += ROOM_DB;
	const enum space_claim before = space_claim_commit(&store->space);

	rc = commit_memory(txn);
	mark = space_mark(&store->space);
	while (pages-- && !rc)
		rc = space_take(&store->space, 1, &off);
	(void)space_claim(&store->space, before);
	space_undo(&store->space, mark);
	return rc;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* orphan_undo - the transaction of a member whose thread has ended, nested ones first [G5]. */
static void orphan_undo(struct daxkv_txn *root)
{
	while (root->child) {
		struct daxkv_txn *txn = root->child;

		while (txn->child)
			txn = txn->child;
		undo_nested(txn);
	}
}

/* The calling thread has the turn and the lock, whoever began the transactions. */
int group_finish(struct daxkv_store *store)
{
	struct commit_group *g = &store->group;
	struct daxkv_txn *root = g->root;
	const unsigned int n = g->n;
	const uint64_t from = group_clock();

	store_relaxed(&store->writer_thread, pthread_self());
	if (g->orphan)
		orphan_undo(root);
	g->orphan = g->large = false;
	assert(store->writer == root);
	assert(!root->child);
	store_relaxed(&g->fences, true);
	int rc = outermost_run(root);

	if (!rc)
		store_relaxed(&store->commits, store->commits + n - 1);
	g->fence_ns = group_clock() - from;
	g->expected = n; /* the next group is taken to be as large */
	struct group_wait *members = group_end(g, rc);

	outermost_end(root);
	group_tell(g, members); /* [G1] not before the fence */
	return rc;
}

/* member_await - the calling thread's changes are in the group: the result of its closing. */
static int member_await(struct daxkv_store *store)
{
	struct commit_group *g = &store->group;
	struct group_wait me = {.state = GROUP_WAITS};
	uint64_t offer_ns;

	if (!goes_on(store, &offer_ns) || !group_pass(g, &me, offer_ns) ||
	    group_await(g, &me, offer_ns) == GROUP_CLOSES)
		return group_finish(store);
	if (me.rc)
		err_restore(&me.why);
	return me.rc;
}

/* first_keep - the outermost transaction becomes the group's. Room is kept first: after this its
 * program believes that the transaction is in the group. */
static int first_keep(struct daxkv_txn *txn)
{
	assert(!txn->parent);
	assert(!txn->store->group.root);
	struct commit_group *g = &txn->store->group;
	int rc = tree_flush_all(&txn->store->scratch, &txn->store->wset);

	if (!rc)
		rc = room_keep(txn);
	if (rc) {
		g->large = false;
		daxkv_txn_abort(txn);
		return rc;
	}
	place_end_all(txn);
	g->root = txn;
	g->n = 1;
	g->since_ns = group_clock();
	return 0;
}

/* Its changes are the group's, in memory; its program is told when they are durable [G1]. Numbers
 * of values are written first: that may take pages in memory, which must not outlast the member. */
int member_keep(struct daxkv_txn *txn)
{
	struct daxkv_store *store = txn->store;
	int rc;

	(void)txn_seal(txn);
	if (!txn->member)
		return first_keep(txn);
	rc = tree_flush_all(&store->scratch, &store->wset);
	if (!rc)
		rc = room_keep(txn);
	if (rc)
		undo_nested(txn);
	else
		rc = commit_nested(txn);
	store->group.n += !rc;
	return rc;
}

/* A thread alone goes on without a group: expected 1 lets it wait for nobody. */
bool member_first(struct daxkv_txn *txn, int *rc)
{
	struct daxkv_store *store = txn->store;
	uint64_t offer_ns;

	if (!goes_on(store, &offer_ns)) {
		store->group.expected = 1;
		store_relaxed(&store->group.fences, true);
		return false;
	}
	*rc = member_keep(txn);
	if (!*rc)
		*rc = member_await(store);
	return true;
}

/* member_gone - a member is undone, and the turn is still its thread's: others go on [G2]. */
static void member_gone(struct daxkv_store *store)
{
	assert(store->group.root);
	uint64_t offer_ns;

	/* This thread may end before the next one has put its name there. */
	store_relaxed(&store->writer_thread, 0);
	if (!goes_on(store, &offer_ns) || !group_pass(&store->group, NULL, false))
		group_yield(&store->group);
}

/* Without room it is undone alone, and the members before it do not notice [G2]. */
int member_commit(struct daxkv_txn *txn)
{
	assert(txn->member);
	struct daxkv_store *store = txn->store;
	int rc = member_keep(txn);

	if (!rc)
		return member_await(store);
	member_gone(store);
	return rc;
}

/* The members before it wait on. */
void member_abort(struct daxkv_txn *txn)
{
	assert(txn->member);
	struct daxkv_store *store = txn->store;

	undo_nested(txn);
	member_gone(store);
}
