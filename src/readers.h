/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * readers.h - the volatile state that all users of an open store share: the published snapshot, the writer's mutex, the reader slots, poison.
 *
 *   published       the newest commit; a reader takes it, nobody waits
 *   slot[i]         snapshot + 1 of a running read transaction, 0 = idle; a line each
 *
 * It is one flat struct without pointers, so that it can lie in memory shared between processes.
 *
 * The rule that makes it correct: a reader stores its slot, then (both seq_cst) loads published again and reads that; the writer publishes,
 * then (both seq_cst) scans the slots [I13]. So either the scan sees the slot, or the reader sees the newer snapshot, and what the slot
 * announces is never newer than what is read. A page freed at T is reused only when every slot shows T or later [R3].
 */
#ifndef DAXKV_READERS_H
#define DAXKV_READERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct reader_slot {
	uint64_t snapshot_plus_1; /* atomic */
	uint32_t taken;           /* atomic: 1 while a transaction handle owns the slot */
	uint8_t pad[52];
};

struct share {
	uint64_t published; /* atomic, seq_cst: the newest commit */
	uint32_t poison;    /* atomic: errno of a failed fence; writing is refused */
	uint32_t nslots;    /* fixed */
	uint32_t high;      /* atomic: slots ever taken */
	pthread_mutex_t writer;
	struct reader_slot slot[] __attribute__((aligned(64)));
};

/* share_create - with nslots idle slots and the snapshot published; ENOMEM. share_destroy frees it. */
int share_create(struct share **share, uint32_t nslots, uint64_t published);
void share_destroy(struct share *share);

/* share_take - own a free slot; READERS_FULL. share_release gives it back, idle. */
int share_take(struct share *share, uint32_t *slot);
void share_release(struct share *share, uint32_t slot);

/* share_enter - announce a read of the newest snapshot in the slot; returns the snapshot. share_leave ends it. No system call, no lock, no wait. */
static inline uint64_t share_enter(struct share *share, uint32_t slot)
{
	uint64_t *word = &share->slot[slot].snapshot_plus_1;

	__atomic_exchange_n(word, __atomic_load_n(&share->published, __ATOMIC_ACQUIRE) + 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&share->published, __ATOMIC_SEQ_CST);
}

static inline void share_leave(struct share *share, uint32_t slot)
{
	__atomic_store_n(&share->slot[slot].snapshot_plus_1, 0, __ATOMIC_RELEASE);
}

/* share_oldest - no reader reads a snapshot older than this. */
uint64_t share_oldest(const struct share *share);

/* share_active - the number of running read transactions. */
uint32_t share_active(const struct share *share);

#endif
