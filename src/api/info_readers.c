/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * info_readers.c - who reads, and who writes. See daxkv.h
 *
 * By the share, for all processes that have a reader entry. Passive readers (passive.h) have none,
 * and do not show. Nothing is locked: an entry may change while it is shown.
 */
#include "txn/store.h"
#include "txn/txn_check.h"

/* 0: nobody writes, or who does is not known. */
int daxkv_writer_pid(const struct daxkv_store *store)
{
	const struct share *share;

	if (!store || txn_forked(store))
		return 0;
	share = store->share;
	/* Pairs with commit_take_over. An owner that has just taken the lock is not known there
	 * yet. */
	uint32_t last = load_acquire(&share->last_writer);
	int pid = load_relaxed(&share->writer_pid);

	if (last && wlock_owner(&share->writer) == last)
		return pid;
	return 0;
}

/* Entries that are kept for a thread's next read are shown as well, not running. */
void daxkv_readers_list(struct daxkv_store *store,
                        void (*show)(const struct daxkv_reader *reader, void *arg), void *arg)
{
	if (!store || !show || txn_forked(store))
		return;
	const uint64_t ms = clock_coarse_ms();

	for (uint32_t i = 0, high = share_high(store->share); i < high; i++) {
		const struct reader_entry *s = &store->share->reader[i];
		uint64_t snapshot = load_acquire(&s->snapshot_plus_1);
		uint64_t since = load_relaxed(&s->since_ms);

		if (load_acquire(&s->taken) != READER_OWNED)
			continue;
		show(
		    &(struct daxkv_reader){
		        .pid = load_relaxed(&s->pid),
		        .thread = load_relaxed(&s->tid),
		        .handle = load_relaxed(&s->thread),
		        .running = snapshot != 0,
		        .bounded = share_bounded(store->share, i),
		        .evicted = (snapshot & READER_EVICTED) != 0,
		        .own = load_relaxed(&s->owner) == store->share_file.owner,
		        .snapshot = snapshot ? (snapshot & ~READER_EVICTED) - 1 : 0,
		        .age_ms = snapshot && ms > since ? ms - since : 0,
		    },
		    arg);
	}
}

/* The mutex keeps this process's own threads from taking an entry meanwhile. */
unsigned int daxkv_readers_reap(struct daxkv_store *store)
{
	unsigned int n;

	if (!store || txn_forked(store))
		return 0;
	pthread_mutex_lock(&store->reader_mutex);
	n = share_reap(store->share, &store->lock, store->share_file.owner);
	pthread_mutex_unlock(&store->reader_mutex);
	return n;
}
