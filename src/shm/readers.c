/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * readers.c - see readers.h
 *
 * Two kinds of users look at an entry: its owner, who changes it without asking anybody, and the
 * writer, who scans all of them. Every field is atomic; only the announced word is ordered
 * (seq_cst). An entry beyond the share's room has no space in the lock file yet and is never
 * touched.
 */
#include "shm/readers.h"

#include "base/base.h"
#include "base/err.h"
#include "daxkv.h"
#include "shm/lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A multiple of a cache line. */
size_t share_bytes(uint32_t max_readers)
{
	return round_up(sizeof(struct share) + max_readers * sizeof(struct reader_entry), 64);
}

void share_init(struct share *share, uint32_t max_readers, uint32_t room, uint64_t published)
{
	share->published = published;
	share->used_pages = SHARE_NOT_COUNTED;
	share->max_readers = max_readers;
	share->room = (uint32_t)min_u64(room, max_readers);
}

/* The number of entries stands in front of the share, in memory that no other process can write. */
int share_create(struct share **out, uint32_t max_readers, uint64_t published)
{
	size_t size = SHARE_FRONT + share_bytes(max_readers);
	uint8_t *front = aligned_alloc(64, size);

	if (!front)
		return err_set(ENOMEM, "no memory for %u reader entries", max_readers);
	memset(front, 0, size);
	memcpy(front, &max_readers, sizeof max_readers);
	*out = (void *)(front + SHARE_FRONT);
	share_init(*out, max_readers, max_readers, published);
	return 0;
}

void share_destroy(struct share *share)
{
	if (share)
		free((uint8_t *)share - SHARE_FRONT);
}

/* reader_own - take entry i when it is free. Between the first store and the byte's lock a reaper
 * may think its owner dead and free it, and another take it: who holds the byte has it. EAGAIN: it
 * is somebody's; another errno: the byte cannot be locked. */
static int reader_own(struct share *share, const struct lock *lock, uint32_t owner, uint32_t i)
{
	struct reader_entry *s = &share->reader[i];
	uint32_t idle = READER_FREE;
	uint32_t taking = READER_TAKING;

	if (!__atomic_compare_exchange_n(&s->taken, &idle, READER_TAKING, false, __ATOMIC_ACQ_REL,
	                                 __ATOMIC_RELAXED))
		return EAGAIN;
	int rc = 0;

	if (lock)
		rc = lock_reader(lock, i, true);
	/* its last owner may not have let go of the byte yet: the entry is free again, whoever is
	 * taking it */
	if (rc) {
		(void)__atomic_compare_exchange_n(&s->taken, &taking, READER_FREE, false,
		                                  __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
		return rc;
	}
	__atomic_store_n(&s->owner, owner, __ATOMIC_RELAXED);
	__atomic_store_n(&s->pid, getpid(), __ATOMIC_RELAXED);
	__atomic_store_n(&s->tid, (int32_t)syscall(SYS_gettid), __ATOMIC_RELAXED);
	__atomic_store_n(&s->thread, (uint64_t)pthread_self(), __ATOMIC_RELAXED);
	__atomic_store_n(&s->max_age_ms, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->max_lag, 0, __ATOMIC_RELAXED);
	if (!__atomic_compare_exchange_n(&s->taken, &taking, READER_OWNED, false, __ATOMIC_ACQ_REL,
	                                 __ATOMIC_RELAXED)) {
		if (lock)
			(void)lock_reader(lock, i, false);
		return EAGAIN;
	}
	return 0;
}

/* room_make - entry i has its space in the lock file, zeroed: a store there cannot fail. Several
 * may do so at once. */
static int room_make(struct share *share, const struct lock *lock, uint32_t i)
{
	uint32_t room = __atomic_load_n(&share->room, __ATOMIC_RELAXED);

	if (LIKELY(i < room))
		return 0;
	const uint64_t from = share_bytes(room);
	const uint64_t to = round_up(share_bytes(i + 1), SHARE_PAGE);
	int rc = 0;

	if (lock)
		rc = lock_allocate(lock, from, to - from);
	if (rc)
		return rc;
	const uint32_t more = (uint32_t)min_u64((to - sizeof *share) / sizeof share->reader[0],
	                                        share_max_readers(share));

	while (room < more && !__atomic_compare_exchange_n(&share->room, &room, more, false,
	                                                   __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return 0;
}

/* From the first entry on, so that scans stay short. */
int share_take(struct share *share, const struct lock *lock, uint32_t owner, uint32_t *reader)
{
	for (uint32_t i = 0; i < share_max_readers(share); i++) {
		int rc = room_make(share, lock, i);

		if (rc)
			return rc;
		rc = EAGAIN;
		if (__atomic_load_n(&share->reader[i].taken, __ATOMIC_RELAXED) == READER_FREE)
			rc = reader_own(share, lock, owner, i);

		if (rc == EAGAIN)
			continue;
		if (rc)
			return err_sys(rc, "locking reader entry %u", i);
		uint32_t high = __atomic_load_n(&share->high, __ATOMIC_RELAXED);

		/* Before the entry's first announcement, so that a scan that starts after it covers
		 * the entry. */
		while (high < i + 1 &&
		       !__atomic_compare_exchange_n(&share->high, &high, i + 1, false,
		                                    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			;
		*reader = i;
		return 0;
	}
	return err_set(DAXKV_READERS_FULL,
	               "%u read transactions are running, and no more are allowed",
	               share_max_readers(share));
}

/* Idle first, then free, then the byte: a reaper that sees the byte free finds the entry idle. */
void share_release(struct share *share, const struct lock *lock, uint32_t reader)
{
	assert(reader < share_max_readers(share));
	share_leave(share, reader);
	__atomic_store_n(&share->reader[reader].taken, READER_FREE, __ATOMIC_RELEASE);
	if (lock)
		(void)lock_reader(lock, reader, false);
}

/* reader_word - what entry i announces. */
static uint64_t reader_word(const struct share *share, uint32_t i)
{
	return __atomic_load_n(&share->reader[i].snapshot_plus_1, __ATOMIC_SEQ_CST);
}

/* The newest commit is read first: a reader that begins later reads that or a newer one [I13]. */
uint64_t share_oldest(const struct share *share, struct oldest *memo)
{
	struct oldest none = {0};
	uint64_t oldest = __atomic_load_n(&share->published, __ATOMIC_SEQ_CST);
	uint32_t high = share_high(share);

	if (!memo)
		memo = &none;
	memo->looked++;
	if (memo->word && reader_word(share, memo->reader) == memo->word)
		return memo->word - 1;
	memo->word = 0;
	memo->looked += high;
	for (uint32_t i = 0; i < high; i++) {
		uint64_t s = reader_word(share, i);

		if (s && !(s & READER_EVICTED) && s - 1 < oldest) {
			oldest = s - 1;
			memo->reader = i;
			memo->word = s;
		}
	}
	return oldest;
}

void share_bound(struct share *share, uint32_t i, uint64_t max_age_ms, uint64_t max_lag)
{
	assert(i < share_max_readers(share));
	__atomic_store_n(&share->reader[i].max_age_ms, max_age_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&share->reader[i].max_lag, max_lag, __ATOMIC_RELAXED);
	if (max_age_ms || max_lag)
		__atomic_store_n(&share->bounded, 1, __ATOMIC_RELAXED);
}

bool share_bounded(const struct share *share, uint32_t i)
{
	return __atomic_load_n(&share->reader[i].max_age_ms, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&share->reader[i].max_lag, __ATOMIC_RELAXED);
}

/* The exchange fails when the reader has ended or begun anew: then there is nothing to evict. */
bool share_evict(struct share *share, uint32_t i, uint64_t word)
{
	assert(word && !(word & READER_EVICTED));
	assert(i < share_max_readers(share));
	if (!__atomic_compare_exchange_n(&share->reader[i].snapshot_plus_1, &word,
	                                 word | READER_EVICTED, false, __ATOMIC_SEQ_CST,
	                                 __ATOMIC_RELAXED))
		return false;
	/* Before any store to a page that the reader may read; pairs with view_evicted [I20]. */
	fence_all();
	return true;
}

/* oldest_running - among the readers of owner; 0: among all. */
static uint64_t oldest_running(const struct share *share, uint32_t owner)
{
	uint64_t oldest = __atomic_load_n(&share->published, __ATOMIC_SEQ_CST);
	uint32_t high = share_high(share);

	for (uint32_t i = 0; i < high; i++) {
		uint64_t s = reader_word(share, i) & ~READER_EVICTED;

		if (s && s - 1 < oldest &&
		    (!owner || __atomic_load_n(&share->reader[i].owner, __ATOMIC_RELAXED) == owner))
			oldest = s - 1;
	}
	return oldest;
}

/* For the memory of names (dbi.c) an evicted reader still counts: its calls may be running. */
uint64_t share_oldest_running(const struct share *share)
{
	return oldest_running(share, 0);
}

uint64_t share_oldest_own(const struct share *share, uint32_t owner)
{
	return oldest_running(share, owner);
}

/* A number for people: it may be old by the time it is read. */
uint32_t share_active(const struct share *share)
{
	uint32_t high = share_high(share);
	uint32_t n = 0;

	for (uint32_t i = 0; i < high; i++)
		n += __atomic_load_n(&share->reader[i].snapshot_plus_1, __ATOMIC_RELAXED) != 0;
	return n;
}

/* An entry whose byte this process can lock has no owner. It holds the byte while it frees the
 * entry. */
uint32_t share_reap(struct share *share, const struct lock *lock, uint32_t owner)
{
	assert(lock);
	uint32_t high = share_high(share);
	uint32_t n = 0;

	for (uint32_t i = 0; lock->fd >= 0 && i < high; i++) {
		if (!__atomic_load_n(&share->reader[i].taken, __ATOMIC_ACQUIRE) ||
		    __atomic_load_n(&share->reader[i].owner, __ATOMIC_RELAXED) == owner ||
		    lock_reader_held(lock, i))
			continue;
		if (lock_reader(lock, i, true) == 0) { /* nobody can take it meanwhile */
			share_release(share, lock, i);
			n++;
		}
	}
	return n;
}
