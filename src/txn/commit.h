/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit.h - the commit of the outermost write transaction, and what a store has to know of others'
 * commits.
 *
 *   build pages -> flush them -> [fence if a value is large] -> record -> fence -> words in place
 *     -> publish
 *
 * commit.c makes a transaction durable with one record and one fence (docs/DESIGN.md, Commit);
 * commit_follow.c takes over what another process committed, or began and did not end.
 */
#ifndef DAXKV_COMMIT_H
#define DAXKV_COMMIT_H

#include "txn/store.h"

/* commit_run - make the outermost transaction's changes durable and current. */
int commit_run(struct daxkv_txn *txn);

/* commit_memory - pages that the transaction has in memory get places in the file: at its end, or
 * when it becomes a part of a group. FULL, ENOSPC, EFBIG: there is no room for its result, and it
 * can only be aborted; ENOMEM, CORRUPT. */
int commit_memory_out(struct daxkv_txn *txn);
static inline int commit_memory(struct daxkv_txn *txn)
{
	if (LIKELY(!txn->store->space.memory.tight))
		return 0;
	return commit_memory_out(txn);
}

/* commit_room - whether the running outermost transaction, which members share, has a record of one
 * fence with room for one more like them. *words: how many it has. */
bool commit_room(const struct daxkv_store *store, unsigned int members, size_t *words);

/* commit_flush_words - start writing the last commit's words back [R9], whichever process made
 * it. */
void commit_flush_words(struct daxkv_store *store);

/* commit_empty - the thread whose begin flushed the last commit's words ends its transaction
 * without one of its own: when they were many they are made durable now, so that no later begin
 * flushes them again [R9]. Errors: that of the flush, after which the store is in panic. */
int commit_empty_many(struct daxkv_store *store);
/* words: more are not flushed by each of many transactions that change nothing */
#define COMMIT_FLUSH_AGAIN 16u
/* commit_empty - see above commit_empty_many. */
static inline int commit_empty(struct daxkv_store *store)
{
	if (LIKELY(store->flushed <= COMMIT_FLUSH_AGAIN))
		return 0;
	return commit_empty_many(store);
}

/* commit_take_over - the writer's lock is held, and another process may have written since this one
 * did, or died writing (died): know what is there. When a dead writer's work cannot be taken over
 * here the lock is to be left as it was. Errors: CORRUPT, ENOMEM, FULL, errno; the share is in
 * panic when a flush failed. */
int commit_take_over_others(struct daxkv_store *store, bool died);
/* commit_take_over - see above commit_take_over_others. Nothing to do is the common case: this
 * store wrote last, and nobody died. */
static inline int commit_take_over(struct daxkv_store *store, bool died)
{
	const struct share *share = store->share;

	if (LIKELY(!died && share->last_writer == store->share_file.owner &&
	           __atomic_load_n(&share->published, __ATOMIC_RELAXED) == store->known))
		return 0;
	return commit_take_over_others(store, died);
}

/* commit_behind - with an external lock: whether others have written since, or may have; the
 * writer's lock is held. commit_follow - before a read, where follows is set: know what they
 * committed. Errors: BUSY when one of them died in its commit and this one may not write; CORRUPT,
 * ENOMEM, errno. */
bool commit_behind(const struct daxkv_store *store);
int commit_follow(struct daxkv_store *store);

/* commit_checkpoint - everything committed becomes durable in place, and is marked so: nothing is
 * left to recover. The writer's lock is held. */
int commit_checkpoint(struct daxkv_store *store);

/* commit_trim - commit a smaller size when there is free space at the end, with all however little
 * that is: *cut, and the file may be cut to store->space.end. */
int commit_trim(struct daxkv_store *store, bool all, bool *cut);

#endif
