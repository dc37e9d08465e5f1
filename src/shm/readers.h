/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * readers.h - the volatile state that all users of an open store share: the published snapshot, the
 * writer's lock, the reader entries, panic.
 *
 *   published       the newest commit; a reader takes it, nobody waits
 *   reader[i]       snapshot + 1 of a running read transaction, 0 = idle; a line each. With
 *                   READER_EVICTED: the writer has given the snapshot up
 *
 * It is one flat struct without pointers, so that it can lie in memory shared between processes.
 *
 * The rule that makes it correct: a reader stores its entry, then (both seq_cst) loads published
 * again and reads that; the writer publishes, then (both seq_cst) scans the entries [I13]. So
 * either the scan sees the entry, or the reader sees the newer snapshot, and what the entry
 * announces is never newer than what is read. A page freed at T is reused only when every entry
 * that is not evicted shows T or later [R3].
 *
 * Eviction: a store may declare a bound for its own readers, kept in their entries. The writer
 * marks such an entry, fences, and then counts it no more; the reader looks at its entry after
 * reading and before it believes what it read [I20].
 *
 * Costs, because they decide the design: to begin a read is one exchange in a line of its own, no
 * system call and no lock; to scan is one load for each entry ever taken, and the writer scans
 * only when it wants space. Rejected: reference counts of snapshots (a line that all readers
 * write), epochs (a reader that sleeps stops everybody's reclamation at its epoch, and cannot be
 * told apart).
 */
#ifndef DAXKV_READERS_H
#define DAXKV_READERS_H

#include "base/base.h"
#include "shm/wlock.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lock;

enum reader_state { READER_FREE, READER_OWNED, READER_TAKING /* its byte is not held yet */ };

#define SHARE_NOT_COUNTED UINT64_MAX
#define SHARE_PAGE        4096u /* the lock file's space is taken by so many bytes */
#define READER_EVICTED    ((uint64_t)1 << 63)

struct reader_entry {
	uint64_t snapshot_plus_1; /* atomic; READER_EVICTED */
	/* atomic: when the transaction began, CLOCK_MONOTONIC */
	uint64_t since_ms;
	uint32_t taken; /* atomic, enum reader_state */
	/* atomic: the open store that it belongs to, by its number in this share */
	uint32_t owner;
	/* atomic: who took it */
	int32_t pid;
	int32_t tid;
	/* atomic, set while idle: the bounds of its store; 0: none. Without any it is never evicted
	 */
	uint64_t max_age_ms;
	uint64_t max_lag;
	uint64_t thread; /* atomic: and by which pthread_self() */
	uint8_t pad[8];
};
static_assert(sizeof(struct reader_entry) == 64, "an entry is a cache line");

/* share_lazy_mark - what share->lazy is while the store's lazy interval is open: a number of the
 * store, which is not there by chance when somebody has written into the lock file. */
static inline uint32_t share_lazy_mark(uint64_t file_id)
{
	return (uint32_t)(file_id ^ file_id >> 32) | 1;
}

/* What the shadow superblock's words come to behind one commit. */
struct shadow_sum {
	uint64_t txn; /* SHADOW_NO_TXN: this is none */
	uint64_t sum;
};
#define SHADOW_NO_TXN UINT64_MAX

/* A lazy interval, while share->lazy says that it is open: what there is beside the superblock. */
struct share_interval {
	uint64_t synced; /* S: the newest commit that the file knows */
	/* what the machine's start with the mount, and the file, were called when it was opened:
	 * see share_left */
	uint64_t boot;
	uint64_t device;
	uint64_t inode;
	/* atomic: lazy commits since S, bytes of the pages that they took, when the first one came
	 * (CLOCK_MONOTONIC) */
	uint64_t commits;
	uint64_t bytes;
	uint64_t since_ms;
	/* limbo_next, + 1, as it was when the sync began that is running; 0: there is none */
	uint64_t limbo_mark;
	/* behind the newest commit that changed the superblock, and behind the one before; a writer
	 * that died may have left one of a commit that never came to be (commit_shadow.c) */
	struct shadow_sum sum[2];
	uint64_t room; /* not 0: its place in the lock file has its space, and was made empty */
};

struct share {
	char magic[8];
	/* fixed from when the magic number is there */
	uint32_t version;     /* of this layout */
	uint32_t max_readers; /* entries that there can be: see share_max_readers */
	/* atomic: entries that have their space in the lock file; the others are not looked at */
	uint32_t room;
	uint64_t file_id;    /* of the store */
	uint64_t life;       /* another number whenever it is made */
	uint32_t medium;     /* enum daxkv_medium: one for all users */
	uint32_t next_owner; /* atomic */
	/* read by everybody */
	uint64_t published __attribute__((aligned(64))); /* atomic, seq_cst: the newest commit */
	/* atomic: errno of a failed fence; writing is refused */
	uint32_t panic;
	uint32_t high;    /* atomic: entries ever taken */
	uint32_t bounded; /* atomic: some entry has had a bound */
	/* atomic: share_lazy_mark: a lazy interval is open, and its superblock is the store's
	 * (commit_lazy.c) */
	uint32_t lazy;
	/* the writer's lock, and what the next writer must know */
	struct wlock writer __attribute__((aligned(64)));
	/* somebody who can write has opened the store since this began: medium is fixed */
	uint32_t writable;
	/* and has made sure that what was found clean is durable: nobody writes before */
	uint32_t recovered;
	/* what is free may still be read by passive readers: the next writer holds it back */
	uint32_t hold_free;
	/* atomic: the open store, by its number, that held the lock last: only that one's picture
	 * of the free space is up to date */
	uint32_t last_writer;
	/* atomic: the process of last_writer, as that one's PID namespace has it */
	int32_t writer_pid;
	uint64_t size; /* bytes of the file in use, at least */
	/* space freed up to this commit is safe from replays */
	uint64_t releasable;
	/* atomic: that the newest commit has allocated; SHARE_NOT_COUNTED: nobody has counted */
	uint64_t used_pages;
	/* the limbo: a ring of struct limbo_item in the lock file, see share.h */
	uint64_t limbo_place;
	uint64_t limbo_first;
	uint64_t limbo_next;
	struct share_interval interval; /* the writer's; what info shows is atomic */
	struct reader_entry reader[] __attribute__((aligned(64)));
};

#define READERS_MOST (1u << 20) /* max_readers is no more */

/* What other processes can write is not trusted to be right: numbers from the share are bounded
 * before they are used. How many entries it has is kept in front of it, in this process's own
 * memory.
 */
#define SHARE_FRONT 64u
/* share_max_readers - how many entries there are: the number in front of the share, not the one in
 * it. */
static inline uint32_t share_max_readers(const struct share *share)
{
	return *(const uint32_t *)(const void *)((const uint8_t *)share - SHARE_FRONT);
}

/* share_high - the entries that a scan looks at. */
static inline uint32_t share_high(const struct share *share)
{
	uint32_t high = load_seq_cst(&share->high);
	uint32_t most = share_max_readers(share);

	if (high < most)
		return high;
	return most;
}

/* share_bytes - of a share with so many entries. share_init - make zeroed memory one: max_readers
 * idle entries, of which room have their space, the snapshot published. */
size_t share_bytes(uint32_t max_readers);
void share_init(struct share *share, uint32_t max_readers, uint32_t room, uint64_t published);

/* share_create - one in this process's memory; ENOMEM. share_destroy frees it. */
int share_create(struct share **share, uint32_t max_readers, uint64_t published);
void share_destroy(struct share *share);

/* share_take - own a free entry, and hold its byte in the lock file (NULL: there is none), so that
 * its owner's death shows; READERS_FULL. share_release gives it back, idle. These two and
 * share_reap: one thread of an open store at a time, because all its threads hold the same byte. */
int share_take(struct share *share, const struct lock *lock, uint32_t owner, uint32_t *reader);
void share_release(struct share *share, const struct lock *lock, uint32_t reader);

/* share_enter - announce a read of the newest snapshot in the entry; returns the snapshot.
 * share_leave ends it. No system call, no lock, no wait. */
static inline uint64_t share_enter(struct share *share, uint32_t reader)
{
	uint64_t *word = &share->reader[reader].snapshot_plus_1;

	__atomic_exchange_n(word, load_acquire(&share->published) + 1, __ATOMIC_SEQ_CST);
	return load_seq_cst(&share->published);
}

/* share_leave - the reader announces nothing any more: pages that only it needed may be reused. */
static inline void share_leave(struct share *share, uint32_t reader)
{
	store_release(&share->reader[reader].snapshot_plus_1, 0);
}

/* share_bound - readers in the entry, which is idle and this store's, may be evicted from these
 * bounds on. share_bounded - whether it has any. */
void share_bound(struct share *share, uint32_t reader, uint64_t max_age_ms, uint64_t max_lag);
bool share_bounded(const struct share *share, uint32_t reader);

/* share_evict - the reader whose entry has that word is counted no more: false when it has ended.
 * Afterwards pages may change that it reads. The writer's lock is held. */
bool share_evict(struct share *share, uint32_t reader, uint64_t word);

/* share_reap - free the entries of owners that died; how many. Not those of owner, whose own locks
 * do not show. */
uint32_t share_reap(struct share *share, const struct lock *lock, uint32_t owner);

/* share_oldest - no reader reads a snapshot older than this. memo, when not NULL, is a writer's own
 * memory of the last scan. While the reader that was the oldest then is there, it is still the
 * oldest, for others began at that scan's published or later: its entry is all that is looked
 * at. */
struct oldest {
	uint32_t reader; /* the entry that was the oldest at the last look */
	/* snapshot + 1 of that entry; 0: nothing is known */
	uint64_t word;
	uint64_t looked; /* entries looked at, in all */
};
uint64_t share_oldest(const struct share *share, struct oldest *memo);

/* share_oldest_running - the same with evicted readers counted: their calls may still be
 * running. */
uint64_t share_oldest_running(const struct share *share);

/* share_oldest_own - the same among the readers of one open store. */
uint64_t share_oldest_own(const struct share *share, uint32_t owner);

/* share_active - the number of running read transactions. */
uint32_t share_active(const struct share *share);

#endif
