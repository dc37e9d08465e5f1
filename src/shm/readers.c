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

/* The rest of the share is zero already: no entry is taken. */
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

/* For a share that share_create made; NULL is none. */
void share_destroy(struct share *share)
{
	if (share)
		free((uint8_t *)share - SHARE_FRONT);
}

/* taken_swap - the entry goes from one state to another, if it is still in the first. It takes what
 * was stored before the entry was freed, and gives what was stored before this. */
static bool taken_swap(struct reader_entry *s, uint32_t from, uint32_t to)
{
	return swap_acq_rel(&s->taken, &from, to);
}

/* entry_fill - who has the entry: the open store, and, for people, process and thread. It has no
 * bounds yet. */
static void entry_fill(struct reader_entry *s, uint32_t owner)
{
	const int32_t tid = (int32_t)syscall(SYS_gettid);
	const uint64_t thread = (uint64_t)pthread_self();

	store_relaxed(&s->owner, owner);
	store_relaxed(&s->pid, getpid());
	store_relaxed(&s->tid, tid);
	store_relaxed(&s->thread, thread);
	store_relaxed(&s->max_age_ms, 0);
	store_relaxed(&s->max_lag, 0);
}

/* reader_own - take entry i when it is free. Between the first store and the byte's lock a reaper
 * may think its owner dead and free it, and another take it: who holds the byte has it [I18].
 * EAGAIN: it is somebody's; another errno: the byte cannot be locked. */
static int reader_own(struct share *share, const struct lock *lock, uint32_t owner, uint32_t i)
{
	struct reader_entry *s = &share->reader[i];
	int rc = 0;

	assert(i < share_max_readers(share));
	if (!taken_swap(s, READER_FREE, READER_TAKING))
		return EAGAIN;
	if (lock)
		rc = lock_reader(lock, i, true);
	/* its last owner may not have let go of the byte yet: the entry is free again, whoever is
	 * taking it */
	if (rc) {
		(void)taken_swap(s, READER_TAKING, READER_FREE);
		return rc;
	}
	entry_fill(s, owner);
	if (taken_swap(s, READER_TAKING, READER_OWNED))
		return 0;
	if (lock)
		(void)lock_reader(lock, i, false);
	return EAGAIN;
}

/* number_raise - a number of the share that only rises is at least so much. seq_cst: what this
 * thread announces next is not seen before it. */
static void number_raise(uint32_t *number, uint32_t least)
{
	uint32_t now = load_relaxed(number);

	while (now < least && !swap_seq_cst(number, &now, least))
		;
}

/* room_make - entry i has its space in the lock file, zeroed: a store there cannot fail. Several
 * may do so at once. */
static int room_make(struct share *share, const struct lock *lock, uint32_t i)
{
	uint32_t room = load_relaxed(&share->room);
	uint64_t from;
	uint64_t to;
	uint64_t more;
	int rc = 0;

	if (LIKELY(i < room))
		return 0;
	from = share_bytes(room);
	to = round_up(share_bytes(i + 1), SHARE_PAGE);
	if (lock)
		rc = lock_allocate(lock, from, to - from);
	if (rc)
		return rc;
	more = (to - sizeof *share) / sizeof share->reader[0];
	more = min_u64(more, share_max_readers(share));
	number_raise(&share->room, (uint32_t)more);
	return 0;
}

/* reader_try - take entry i, if it is free, with its space. EAGAIN: it is somebody's. */
static int reader_try(struct share *share, const struct lock *lock, uint32_t owner, uint32_t i)
{
	int rc = room_make(share, lock, i);

	if (rc)
		return rc;
	if (load_relaxed(&share->reader[i].taken) != READER_FREE)
		return EAGAIN;
	rc = reader_own(share, lock, owner, i);
	if (rc && rc != EAGAIN)
		return err_sys(rc, "locking reader entry %u", i);
	return rc;
}

/* From the first entry on, so that scans stay short. */
int share_take(struct share *share, const struct lock *lock, uint32_t owner, uint32_t *reader)
{
	const uint32_t all = share_max_readers(share);

	for (uint32_t i = 0; i < all; i++) {
		int rc = reader_try(share, lock, owner, i);

		if (rc == EAGAIN)
			continue;
		if (rc)
			return rc;
		/* Before the entry's first announcement, so that a scan that starts after it covers
		 * the entry. */
		number_raise(&share->high, i + 1);
		*reader = i;
		return 0;
	}
	return err_set(DAXKV_READERS_FULL,
	               "%u read transactions are running, and no more are allowed", all);
}

/* Idle first, then free, then the byte: a reaper that sees the byte free finds the entry idle. */
void share_release(struct share *share, const struct lock *lock, uint32_t reader)
{
	assert(reader < share_max_readers(share));
	share_leave(share, reader);
	store_release(&share->reader[reader].taken, READER_FREE);
	if (lock)
		(void)lock_reader(lock, reader, false);
}

/* reader_word - what entry i announces. */
static uint64_t reader_word(const struct share *share, uint32_t i)
{
	return load_seq_cst(&share->reader[i].snapshot_plus_1);
}

/* The newest commit is read first: a reader that begins later reads that or a newer one [I13]. */
uint64_t share_oldest(const struct share *share, struct oldest *memo)
{
	struct oldest none = {0};
	uint64_t oldest = load_seq_cst(&share->published);
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

		if (!s || s & READER_EVICTED || s - 1 >= oldest)
			continue;
		oldest = s - 1;
		memo->reader = i;
		memo->word = s;
	}
	return oldest;
}

/* The mark for all readers comes after the bounds: a writer that sees it may look for them. */
void share_bound(struct share *share, uint32_t i, uint64_t max_age_ms, uint64_t max_lag)
{
	struct reader_entry *s = &share->reader[i];

	assert(i < share_max_readers(share));
	store_relaxed(&s->max_age_ms, max_age_ms);
	store_relaxed(&s->max_lag, max_lag);
	if (max_age_ms || max_lag)
		store_relaxed(&share->bounded, 1);
}

/* For what is told of a reader: to the program's own judgement of it, and in a report. */
bool share_bounded(const struct share *share, uint32_t i)
{
	if (load_relaxed(&share->reader[i].max_age_ms))
		return true;
	return load_relaxed(&share->reader[i].max_lag);
}

/* The exchange fails when the reader has ended or begun anew: then there is nothing to evict. */
bool share_evict(struct share *share, uint32_t i, uint64_t word)
{
	assert(word);
	assert(!(word & READER_EVICTED));
	assert(i < share_max_readers(share));
	uint64_t *at = &share->reader[i].snapshot_plus_1;

	if (!swap_seq_cst(at, &word, word | READER_EVICTED))
		return false;
	/* Before any store to a page that the reader may read; pairs with view_evicted [I20]. */
	fence_all();
	return true;
}

/* oldest_running - among the readers of owner; 0: among all. */
static uint64_t oldest_running(const struct share *share, uint32_t owner)
{
	uint64_t oldest = load_seq_cst(&share->published);
	uint32_t high = share_high(share);

	for (uint32_t i = 0; i < high; i++) {
		const struct reader_entry *entry = &share->reader[i];
		uint64_t s = reader_word(share, i) & ~READER_EVICTED;

		if (!s || s - 1 >= oldest)
			continue;
		if (!owner || load_relaxed(&entry->owner) == owner)
			oldest = s - 1;
	}
	return oldest;
}

/* For the memory of names (dbi.c) an evicted reader still counts: its calls may be running. */
uint64_t share_oldest_running(const struct share *share)
{
	return oldest_running(share, 0);
}

/* For what this open store keeps in its own memory for its own readers. */
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
		if (load_relaxed(&share->reader[i].snapshot_plus_1))
			n++;
	return n;
}

/* reader_dead - entry i is taken, by another open store than owner, and nobody holds its byte. */
static bool reader_dead(const struct share *share, const struct lock *lock, uint32_t owner,
                        uint32_t i)
{
	const struct reader_entry *s = &share->reader[i];

	if (!load_acquire(&s->taken))
		return false;
	if (load_relaxed(&s->owner) == owner)
		return false;
	return !lock_reader_held(lock, i);
}

/* An entry whose byte this process can lock has no owner. It holds the byte while it frees the
 * entry. */
uint32_t share_reap(struct share *share, const struct lock *lock, uint32_t owner)
{
	uint32_t high = share_high(share);
	uint32_t n = 0;

	assert(lock);
	if (lock->fd < 0)
		return 0;
	for (uint32_t i = 0; i < high; i++) {
		if (!reader_dead(share, lock, owner, i))
			continue;
		if (lock_reader(lock, i, true) == 0) { /* nobody can take it meanwhile */
			share_release(share, lock, i);
			n++;
		}
	}
	return n;
}
