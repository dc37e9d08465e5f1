/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn.h - begin, commit and abort of transactions: what a store keeps for them.
 */
#ifndef DAXKV_TXN_H
#define DAXKV_TXN_H

#include "txn/store.h"

/* what daxkv_txn_begin takes */
#define BEGIN_FLAGS                                                                                \
	(DAXKV_TXN_READ_ONLY | DAXKV_TXN_TRY | DAXKV_TXN_VERIFY | DAXKV_TXN_LAZY |                 \
	 DAXKV_TXN_DURABLE)

/* txn_open_tables, txn_close_tables - of a store: what threads keep between read transactions. 0 or
 * errno. */
int txn_open_tables(struct daxkv_store *store);
void txn_close_tables(struct daxkv_store *store);

/* txn_begin_alone - a write transaction, as daxkv_txn_begin, that shares nothing with others: for
 * what is done with the writer's lock held and then aborted. wait_ms: for another writer,
 * then BUSY; 0: not at all, negative: as long as it takes. */
int txn_begin_alone(struct daxkv_store *store, int64_t wait_ms, struct daxkv_txn **txn);

/* txn_read_end - end a read transaction of the library's own, which kept the file from being cut.
 * Its reader entry is given back, not kept for the thread's next one: a program that never read
 * shows no reader. Safe on NULL. */
void txn_read_end(struct daxkv_txn *txn);

/* ---- between txn.c, txn_read.c, txn_end.c and txn_group.c ------------------------------------ */

/* txn_handle_new - a handle without a place in a list; ENOMEM. txn_handle_free - it, with its
 * states; it is in no list. */
int txn_handle_new(struct daxkv_store *store, bool write, struct daxkv_txn **txn);
void txn_handle_free(struct daxkv_txn *txn);

/* read_txn_begin - of the newest snapshot. READERS_FULL, ENOMEM, and errors of commit_follow and
 * passive_enter. read_txn_end - it has come to its commit or abort, which are one. */
int read_txn_begin(struct daxkv_store *store, bool verify, struct daxkv_txn **txn);
void read_txn_end(struct daxkv_txn *txn);

/* write_txn_give - the handle of a write transaction that ended. The writer's lock is held. */
static inline void write_txn_give(struct daxkv_txn *txn)
{
	txn->next = txn->store->idle_txns;
	txn->store->idle_txns = txn;
}

/* write_txn_nest - one nested in parent, which rests, and has flushed its append batches. ENOMEM.
 */
int write_txn_nest(struct daxkv_txn *parent, struct daxkv_txn **out);

/* abort_outermost, commit_outermost - the end of an outermost transaction that is no member. */
void abort_outermost(struct daxkv_txn *txn);
int commit_outermost(struct daxkv_txn *txn);

/* undo_nested, commit_nested - the end of a nested transaction, or of a member. When the commit
 * fails it is undone. */
void undo_nested(struct daxkv_txn *txn);
int commit_nested(struct daxkv_txn *txn);

/* outermost_run - the commit of an outermost transaction, which is undone when it fails.
 * outermost_end - after that: the lock and the handle are given back. */
int outermost_run(struct daxkv_txn *txn);
void outermost_end(struct daxkv_txn *txn);

/* member_turn - the turn to write, after the threads that came before; *joined: in an open group.
 * BUSY, ENOMEM. member_begin - a member of that begins. */
int member_turn(struct daxkv_store *store, bool may_join, int64_t *wait_ms, bool *joined);
int member_begin(struct daxkv_store *store, struct daxkv_txn **txn);

/* member_keep - a transaction's changes become the group's, which begins with the outermost one;
 * the turn stays with the caller. When it fails the transaction is undone, and the first one's lock
 * given back. group_finish - one commit for all members; the turn is given up. */
int member_keep(struct daxkv_txn *txn);
int group_finish(struct daxkv_store *store);

/* member_first - an outermost transaction commits: whether others are to share its commit; then it
 * is done, with the result *rc. member_commit, member_abort - the end of a member. */
bool member_first(struct daxkv_txn *txn, int *rc);
int member_commit(struct daxkv_txn *txn);
void member_abort(struct daxkv_txn *txn);

/* txn_sync - daxkv_sync. */
int txn_sync(struct daxkv_store *store);

/* txn_idle_start - start the thread that syncs the idle store; errno with a text. txn_idle_want -
 * there is one, and a commit has ended, which may wait for a sync. The writer's lock is held. */
int txn_idle_start(struct daxkv_store *store);
void txn_idle_want(struct daxkv_store *store);

#endif
