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
 * store wrote last, and nobody died. The lock file may say UINT64_MAX, too, which is no commit. */
static inline int commit_take_over(struct daxkv_store *store, bool died)
{
	const struct share *share = store->share;

	if (LIKELY(!died && share->last_writer == store->share_file.owner &&
	           load_relaxed(&share->published) == store->known && store->known != UINT64_MAX))
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

/* ---- commit_lazy.c: commits that wait for a sync ----------------------------------------------
 */

/* commit_lazy_begin - the outermost write transaction that has begun, without a change so far, is
 * lazy, or has found an interval open: it gets another number, and does not change what the file's
 * superblock reaches: pages born before wset.first, which is not 0 from here on. Errors: PANIC,
 * CORRUPT. commit_lazy_end - it ends; where it has committed, it makes a sync, when it was to be
 * durable or a bound is reached. Errors: PANIC alone, because the commit is seen already. */
int commit_lazy_begin(struct daxkv_store *store, bool lazy);
int commit_lazy_end(struct daxkv_store *store, bool committed);

/* commit_lazy - make the transaction current, not durable. It has so many ranges, and its words but
 * those of space, which are added. Not *done: there is nothing to commit, or the interval has
 * ended, because the superblock's words are too many for a sync or there is no space: the words are
 * as before, and the commit goes on as a durable one. Errors: those of space_take. */
int commit_lazy(struct daxkv_store *store, size_t ranges, bool *done);

/* commit_sync - all lazy commits become durable, and the interval ends. The writer's lock is held;
 * a transaction that runs goes on as a durable one. Errors: PANIC; ENOSPC, ENOMEM, CORRUPT: nothing
 * was done. */
int commit_sync(struct daxkv_store *store);

/* commit_lazy_clean - commit_checkpoint in an interval: commit_sync, and the mark.
 * commit_lazy_space
 * - the running transaction is short of space: what a sync or a checkpoint gives back, and it goes
 * on as a durable one. */
int commit_lazy_clean(struct daxkv_store *store);
int commit_lazy_space(struct daxkv_store *store);

/* commit_lazy_recover - the writer died, perhaps while an interval was open, and the file, all of
 * which map has, was recovered to *txn: *txn becomes the newest commit. Errors: CORRUPT, ENOMEM,
 * errno. commit_lazy_attach - in its service. */
void commit_lazy_attach(struct daxkv_store *store);
int commit_lazy_recover(struct daxkv_store *store, struct map *map, uint64_t *txn);

/* ---- commit_shadow.c: the superblock as the newest lazy commit has it -------------------------
 */

#define SUPER_WORDS (FMT_SUPER_SIZE / FMT_WORD)
#define SUPER_FIRST (offsetof(struct fmt_super, main_desc) / FMT_WORD)

/* shadow_word, file_word - word i of the shadow, and of the file's superblock. */
static inline uint64_t *shadow_word(const struct daxkv_store *store, size_t i)
{
	assert(i < SUPER_WORDS);
	return (uint64_t *)(void *)store->share_file.lazy + i;
}

static inline const uint64_t *file_word(const struct daxkv_store *store, size_t i)
{
	return (const uint64_t *)(const void *)store->map.base + i;
}

/* super_word - of a superblock that nobody else writes. */
static inline uint64_t super_word(const struct fmt_super *super, size_t i)
{
	assert(i < SUPER_WORDS);
	return ((const uint64_t *)(const void *)super)[i];
}

/* commit_shadow_begin - the shadow is the file's superblock. commit_shadow_note - the words of the
 * running transaction will be stored there; before its record. commit_shadow_copy - the shadow as
 * it is, of which the fixed part is zeros. commit_shadow_sound - no other bytes have come to that
 * copy, as of commit txn. commit_shadow_forget - commits behind txn never came to be. */
void commit_shadow_begin(struct daxkv_store *store);
void commit_shadow_note(struct daxkv_store *store);
void commit_shadow_copy(const struct daxkv_store *store, struct fmt_super *copy);
bool commit_shadow_sound(const struct daxkv_store *store, const struct fmt_super *shadow,
                         uint64_t txn);
void commit_shadow_forget(struct daxkv_store *store, uint64_t txn);

/* commit_synced - the newest commit that the file knows. */
static inline uint64_t commit_synced(const struct daxkv_store *store)
{
	if (UNLIKELY(store_lazy(store)))
		return load_relaxed(&store->share->interval.synced);
	return load_relaxed(&store->share->published);
}

/* ---- commit_log.c: records that have what is fresh as words ------------------------------------
 */

/* Records whose words may wait for a full fence; one more needs that, and one more is written. */
#define COMMIT_LAG (FMT_RING_RECORDS - 4u)

/* commit_log - steps 2 to 4 of the running transaction, if it can be logged: the caller has listed
 * its words, of which the first own ones are not of space. named: a record with the names of its
 * fresh bytes would do, under one full fence. *done: its record is durable, and nothing else is.
 * Errors: those of space_take and PANIC. commit_record_fence - wait until the record of the running
 * transaction is durable, and nothing else. PANIC. */
int commit_log(struct daxkv_store *store, size_t own, bool named, bool *done);
int commit_record_fence(struct daxkv_store *store);

/* ---- of commit.c, for the two above ------------------------------------------------------------
 */

/* commit_fence - wait; a failure, commit_fence_failed, puts the store into panic and returns PANIC,
 * with a text that begins with what. commit_stage_limbo - what the transaction frees is told to
 * other processes before its record can take effect. */
int commit_fence_failed(struct daxkv_store *store, const char *what, int why);
static inline int commit_fence(struct daxkv_store *store, const char *what)
{
	/* Orders: what the caller names, before what it does next. */
	const int rc = pm_fence(&store->map.pm);

	if (LIKELY(!rc))
		return 0;
	return commit_fence_failed(store, what, rc);
}
int commit_stage_limbo(struct daxkv_store *store);

/* commit_count_keep - where the pages in use were counted, nobody need count them again. The count
 * in the share is for all users; one that is not there stays away, and the next who asks counts. */
static inline void commit_count_keep(struct daxkv_store *store)
{
	uint64_t *used = &store->share->used_pages;
	uint64_t n = load_relaxed(used);

	if (n != SHARE_NOT_COUNTED)
		store_relaxed(used, n + (uint64_t)store->space.gained);
}

/* commit_spill_room - words of a spill page. commit_spill_take - have want pages in the list.
 * commit_spill_write - the words, in these pages, chained through their prev; their checksum. */
static inline uint64_t commit_spill_room(uint32_t psize)
{
	return (psize - FMT_SPILL_PAIRS) / (2 * FMT_WORD);
}
int commit_spill_take(struct daxkv_store *store, uint64_t *pages, uint64_t want, uint64_t **list);
uint32_t commit_spill_write(struct daxkv_store *store, const struct words *words,
                            const uint64_t *page, uint64_t npages);

/* commit_trim - commit a smaller size when there is free space at the end, with all however little
 * that is. What waits in the limbo is not cut off; without all it keeps the whole file. *cut: the
 * file may be cut to store->space.end. */
int commit_trim(struct daxkv_store *store, bool all, bool *cut);

#endif
