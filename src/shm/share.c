/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * share.c - see share.h
 *
 * Numbers that come from the file are bounded before they are used: another process, or a program
 * that writes where it should not, may have put anything there. What cannot be is CORRUPT
 * (share_limbo_wild) and never an assertion. The store's file is not touched by any of this, so it
 * is whole whatever the lock file says.
 */
#include "shm/share.h"

#include "base/base.h"
#include "base/err.h"
#include "base/fds.h"
#include "daxkv.h"
#include "media/map_file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE            SHARE_PAGE
#define LIMBO_FIRST_LOG 7u  /* 128 items: a page */
#define PLACE_LOG_END   40u /* no room has so many bits */
#define PEEK_TRIES      1000u

size_t share_file_bytes(uint32_t max_readers)
{
	return round_up(share_bytes(max_readers), PAGE) + SHARE_LAZY;
}

/* place_off, place_room - a place is an offset, a multiple of PAGE, and in its low bits the
 * logarithm of the room. */
static uint64_t place_off(uint64_t place)
{
	return round_down(place, PAGE);
}

/* place_room - items, a power of two. */
static uint64_t place_room(uint64_t place)
{
	return (uint64_t)1 << place % PAGE;
}

/* place_sound - whether a lock file of so many bytes can have that place. */
static bool place_sound(uint64_t place, uint64_t file_bytes)
{
	const uint64_t off = place_off(place);
	uint64_t most;

	if (place % PAGE >= PLACE_LOG_END || off >= file_bytes)
		return false;
	most = (file_bytes - off) / sizeof(struct limbo_item);
	return place_room(place) <= most;
}

/* first_place - the one that has its space when it is first wanted. */
static uint64_t first_place(const struct share_file *f)
{
	return f->bytes | LIMBO_FIRST_LOG;
}

bool share_mine(const struct share *s, uint64_t file_id)
{
	if (memcmp(s->magic, LOCK_MAGIC, sizeof s->magic) != 0)
		return false;
	if (s->version != SHARE_LAYOUT)
		return false;
	return s->file_id == file_id;
}

/* file_map - a part of the lock file, shared. The caller unmaps it. */
static int file_map(int fd, uint64_t off, size_t bytes, void **p)
{
	*p = fds_map(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)off);
	if (*p == MAP_FAILED)
		return err_sys(errno, "mapping the lock file");
	return 0;
}

/* share_map - map the share, of so many entries, behind a page of this process's own: what stands
 * in that page no other process can write. */
static int share_map(struct share_file *f, uint32_t max_readers)
{
	const int prot = PROT_READ | PROT_WRITE;
	const size_t all = PAGE + f->bytes;
	uint8_t *front = mmap(NULL, all, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *share;

	assert(f->bytes % PAGE == 0);
	if (front == MAP_FAILED)
		return err_sys(errno, "memory for the lock file");
	share = fds_map(front + PAGE, f->bytes, prot, MAP_SHARED | MAP_FIXED, f->fd, 0);
	if (share == MAP_FAILED) {
		int rc = err_sys(errno, "mapping the lock file");

		munmap(front, all);
		return rc;
	}
	memcpy(front + PAGE - SHARE_FRONT, &max_readers, sizeof max_readers);
	f->share = share;
	f->lazy = (uint8_t *)share + f->bytes - SHARE_LAZY;
	return 0;
}

/* file_reads_zeros - *zeros: the file has no data from its second page to the limbo; false also
 * when the filesystem cannot tell. errno of lseek. */
static int file_reads_zeros(const struct share_file *f, bool *zeros)
{
	const off_t data = lseek(f->fd, (off_t)PAGE, SEEK_DATA);

	*zeros = false;
	if (data >= 0) {
		*zeros = (uint64_t)data >= f->bytes;
		return 0;
	}
	if (errno == ENXIO) { /* no data at all behind it */
		*zeros = true;
		return 0;
	}
	if (errno == EINVAL || errno == EOPNOTSUPP) /* it cannot tell */
		return 0;
	return errno;
}

/* file_empty - the lock file has its length, and what lies behind its first page reads as zeros up
 * to the limbo. As it is when few entries were used: to cut a file that was written to a moment ago
 * waits for the medium. */
static int file_empty(const struct share_file *f)
{
	struct stat st;
	bool zeros = false;
	int rc = 0;

	if (fstat(f->fd, &st) != 0)
		return err_sys(errno, "the lock file");
	if ((uint64_t)st.st_size >= f->bytes)
		rc = file_reads_zeros(f, &zeros);
	if (rc)
		return err_sys(rc, "the lock file");
	if (zeros)
		return 0;
	if ((uint64_t)st.st_size > PAGE && ftruncate(f->fd, PAGE) != 0) /* it stays known as ours */
		return err_sys(errno, "emptying the lock file");
	if (ftruncate(f->fd, (off_t)f->bytes) != 0)
		return err_sys(errno, "the lock file's length");
	return 0;
}

/* share_fill - the contents of a new share, but for its magic number. errno of getrandom. */
static int share_fill(struct share_file *f, uint32_t max_readers, uint64_t published,
                      uint64_t file_id)
{
	struct share *s = f->share;
	const uint32_t in_page = (PAGE - sizeof *s) / sizeof(struct reader_entry);

	assert(s);
	memset((uint8_t *)s + LOCK_MAGIC_SIZE, 0, PAGE - LOCK_MAGIC_SIZE);
	s->version = SHARE_LAYOUT;
	s->file_id = file_id;
	if (getrandom(&s->life, sizeof s->life, 0) != sizeof s->life)
		return err_sys(errno, "random bytes for the lock file");
	s->limbo_place = first_place(f);
	share_init(s, max_readers, in_page, published);
	return 0;
}

/* share_make - nobody else uses the store: a share from nothing. It is whole when its magic number
 * is there, which is stored last. */
static int share_make(struct share_file *f, const struct lock *lock, uint32_t max_readers,
                      uint64_t published, uint64_t file_id)
{
	uint64_t magic;
	int rc;

	assert(lock->alone);
	f->bytes = share_file_bytes(max_readers);
	rc = lock_claim(lock);
	if (rc)
		return rc;
	rc = file_empty(f);
	if (rc)
		return rc;
	rc = lock_allocate(lock, 0, PAGE);
	if (rc)
		return rc;
	rc = share_map(f, max_readers);
	if (rc)
		return rc;
	rc = share_fill(f, max_readers, published, file_id);
	if (rc)
		return rc;
	memcpy(&magic, LOCK_MAGIC, sizeof magic);
	/* Pairs with share_peek: it is whole when it has its magic number. */
	store_release((uint64_t *)(void *)f->share->magic, magic);
	return 0;
}

/* A file that takes a store's name finds the lock file of the one that was there before it. */
int share_refused(const struct lock *lock, uint64_t file_id)
{
	struct share s;
	const bool whole = pread(lock->fd, &s, sizeof s, 0) == (ssize_t)sizeof s;

	if (whole && s.version == SHARE_LAYOUT && s.file_id != file_id)
		return err_set(DAXKV_BUSY,
		               "%s is in use for another store: this one has taken its name",
		               lock->name);
	return err_set(DAXKV_VERSION, "%s is in use by another version of daxkv", lock->name);
}

/* share_join - others use the store: their share, if it is of this layout and this store. */
static int share_join(struct share_file *f, uint64_t file_id)
{
	struct stat st;
	void *p;
	int rc;

	if (fstat(f->fd, &st) != 0)
		return err_sys(errno, "the lock file");
	if ((size_t)st.st_size < sizeof(struct share))
		return err_set(DAXKV_VERSION,
		               "the lock file is in use, but its %ld bytes are not this version's",
		               (long)st.st_size);
	rc = file_map(f->fd, 0, sizeof(struct share), &p);
	if (rc)
		return rc;
	const struct share *s = p;
	bool mine = share_mine(s, file_id);
	uint32_t max_readers = s->max_readers;

	munmap(p, sizeof(struct share));
	f->bytes = share_file_bytes(max_readers);
	if (!mine || (size_t)st.st_size < f->bytes)
		return share_refused(f->lock, file_id);
	return share_map(f, max_readers);
}

/* share_renew - nobody else uses the store, and a lazy interval in the share is to go on: all else
 * is made anew, where it lies. One who dies here leaves the interval to the next one. */
static int share_renew(struct share_file *f, uint64_t published, uint64_t file_id)
{
	int rc = share_join(f, file_id);
	uint64_t life;

	if (rc)
		return rc;
	struct share *s = f->share;

	if (getrandom(&life, sizeof life, 0) != sizeof life)
		return err_sys(errno, "random bytes for the lock file");
	for (uint32_t i = 0; i < min_u64(s->room, share_max_readers(s)); i++)
		s->reader[i] = (struct reader_entry){0};
	s->high = s->bounded = s->panic = 0;
	s->writer = (struct wlock){0};
	s->writable = s->recovered = s->hold_free = s->last_writer = 0;
	s->used_pages = SHARE_NOT_COUNTED;
	/* that a sync was staging items is for the one who takes it over */
	if (!s->interval.limbo_mark)
		s->limbo_first = s->limbo_next;
	s->life = life;
	store_seq_cst(&s->published, published);
	return 0;
}

/* owner_take - a number for this open store, and the byte that shows that it is there [I19]. A
 * share that is this process's alone has no bytes. */
static int owner_take(struct share_file *f, const struct lock *lock)
{
	int rc = 0;

	assert(f->share);
	do {
		f->owner = __atomic_add_fetch(&f->share->next_owner, 1, __ATOMIC_RELAXED);
		if (f->owner != 0 && f->fd >= 0)
			rc = lock_owner(lock, f->owner);
	} while (f->owner == 0 || rc == EAGAIN); /* all numbers were given, and it begins again */
	if (rc)
		return err_sys(rc, "locking the number of an open store");
	return 0;
}

/* A passive open writes to no lock file: its share is in this process's memory. */
int share_file_open(struct share_file *f, const struct lock *lock, uint32_t max_readers,
                    uint64_t published, uint64_t file_id, bool keep)
{
	int rc;

	*f = (struct share_file){
	    .fd = -1,
	    .lock = lock,
	    .lazy_mark = share_lazy_mark(file_id),
	};
	if (!lock->passive)
		f->fd = lock->fd;
	if (f->fd < 0)
		rc = share_create(&f->share, max_readers, published);
	else if (keep)
		rc = share_renew(f, published, file_id);
	else if (lock->alone)
		rc = share_make(f, lock, max_readers, published, file_id);
	else
		rc = share_join(f, file_id);
	if (rc)
		return rc;
	return owner_take(f, lock);
}

/* share_pread - the share as the file has it. ENODATA: it is none, or another store's; errno. */
static int share_pread(int fd, uint64_t file_id, struct share *s)
{
	const ssize_t n = pread(fd, s, sizeof *s, 0);

	if (n < 0)
		return errno;
	if (n < (ssize_t)sizeof *s)
		return ENODATA;
	if (!share_mine(s, file_id))
		return ENODATA;
	return 0;
}

/* seen - what the file shows to who comes by its superblock: lazy commits are not there. */
static uint64_t seen(const struct share *s)
{
	if (s->lazy == share_lazy_mark(s->file_id))
		return s->interval.synced;
	return s->published;
}

/* Read twice, because a number may be copied while it changes: what is equal both times was there.
 * Nobody promises that a number is copied in one piece. published is no less than what a sync in
 * between was of, so that an interval that came and went is not missed either. */
int share_peek(int fd, uint64_t file_id, uint64_t *life, uint64_t *published)
{
	struct share s;
	struct share again;

	for (unsigned int tries = 0; tries < PEEK_TRIES; tries++) {
		int rc = share_pread(fd, file_id, &s);

		if (rc)
			return rc;
		rc = share_pread(fd, file_id, &again);
		if (rc)
			return rc;
		*life = again.life;
		*published = seen(&again);
		if (s.published == again.published && s.life == again.life &&
		    seen(&s) == seen(&again))
			return 0;
	}
	return 0;
}

/* items_pread - n items of the limbo from number first on, which lie in one piece. errno; ENODATA:
 * the file ends before. */
static int items_pread(int fd, uint64_t place, uint64_t first, uint64_t n, struct limbo_item *item)
{
	const size_t bytes = n * sizeof *item;
	const uint64_t off = place_off(place) + first % place_room(place) * sizeof *item;
	const ssize_t got = pread(fd, item, bytes, (off_t)off);

	assert(n > 0);
	if (got < 0)
		return errno;
	if (got != (ssize_t)bytes)
		return ENODATA;
	return 0;
}

/* limbo_pread - items first to next of the limbo at place, which are n: a ring, so in two pieces at
 * most. */
static int limbo_pread(int fd, const struct share *s, uint64_t n, struct limbo_item *item)
{
	const uint64_t room = place_room(s->limbo_place);

	for (uint64_t i = 0; i < n;) {
		uint64_t first = s->limbo_first + i;
		uint64_t some = min_u64(n - i, room - first % room);
		int rc = items_pread(fd, s->limbo_place, first, some, item + i);

		if (rc)
			return rc;
		i += some;
	}
	return 0;
}

/* limbo_fill - the items in order, up to the newest transaction. ENODATA: they are in no order. */
static int limbo_fill(struct limbo *limbo, const struct limbo_item *item, uint64_t n,
                      uint64_t newest)
{
	uint64_t last = 0;
	int rc = limbo_reserve(limbo, n);

	if (rc)
		return rc;
	for (uint64_t i = 0; i < n && item[i].txn <= newest; i++) {
		if (item[i].txn < last)
			return ENODATA;
		last = item[i].txn;
		limbo_add(limbo, last, item[i].off, item[i].pages);
	}
	return 0;
}

/* The items are taken as they are, in order, and judged by the caller (limbo_sound). */
int share_inherit(int fd, uint64_t file_id, uint64_t newest, uint64_t most, struct limbo *limbo)
{
	struct limbo_item *item;
	struct share s;
	struct stat st;
	uint64_t n;
	int rc;

	if (fstat(fd, &st) != 0)
		return errno;
	if (share_pread(fd, file_id, &s) != 0)
		return ENODATA;
	if (s.published > newest)
		return ENODATA;
	n = s.limbo_next - s.limbo_first;
	if (n == 0) /* its place may not have its space yet */
		return 0;
	if (!place_sound(s.limbo_place, (uint64_t)st.st_size))
		return ENODATA;
	if (n > place_room(s.limbo_place) || n > most)
		return ENODATA;
	item = malloc(n * sizeof *item + 1);
	if (!item)
		return err_set(ENOMEM, "no memory for %lu items of free space", (unsigned long)n);
	rc = limbo_pread(fd, &s, n, item);
	if (!rc)
		rc = limbo_fill(limbo, item, n, newest);
	if (rc)
		limbo_free(limbo);
	free(item);
	return rc;
}

/* The limbo first: it is a mapping of its own. */
void share_file_close(struct share_file *f)
{
	if (f->limbo)
		munmap(f->limbo, f->limbo_room * sizeof *f->limbo);
	if (f->share && f->fd >= 0) {
		munmap((uint8_t *)f->share - PAGE, PAGE + f->bytes);
	} else {
		free(f->lazy);
		share_destroy(f->share);
	}
	*f = (struct share_file){.fd = -1};
}

/* ---- the limbo ------------------------------------------------------------------------------- */

/* The text says what to do: the share is made anew when nobody uses the store. */
int share_limbo_wild(const struct share_file *f)
{
	return err_set(DAXKV_CORRUPT,
	               "%s is damaged, in what it says of free space: the store is whole, when all "
	               "have closed it",
	               f->lock->name);
}

/* place_have - the limbo's place can be mapped: the first gets its space now, another has had it
 * before it became the place. */
static int place_have(const struct share_file *f, uint64_t place)
{
	struct stat st;

	if (place == first_place(f))
		return lock_allocate(f->lock, place_off(place),
		                     place_room(place) * sizeof *f->limbo);
	if (fstat(f->fd, &st) != 0)
		return err_sys(errno, "the lock file");
	if (place_off(place) >= f->bytes && place_sound(place, (uint64_t)st.st_size))
		return 0;
	return share_limbo_wild(f);
}

/* limbo_remap - have the limbo mapped at that place, and not where it was. A failure leaves the old
 * mapping. */
static int limbo_remap(struct share_file *f, uint64_t place)
{
	const uint64_t room = place_room(place);
	void *p;
	int rc = place_have(f, place);

	assert(f->fd >= 0);
	if (rc)
		return rc;
	rc = file_map(f->fd, place_off(place), room * sizeof *f->limbo, &p);
	if (rc)
		return rc;
	if (f->limbo)
		munmap(f->limbo, f->limbo_room * sizeof *f->limbo);
	f->limbo = p;
	f->limbo_off = place_off(place);
	f->limbo_room = room;
	return 0;
}

/* limbo_map - have the limbo mapped where it is now. *first, *n: the number of its oldest item, and
 * how many there are. Acquire: pairs with limbo_grow, which stores the place behind the items. */
static int limbo_map(struct share_file *f, uint64_t *first, uint64_t *n)
{
	struct share *s = f->share;
	uint64_t place = load_acquire(&s->limbo_place);
	bool mapped = f->limbo && f->limbo_off == place_off(place);

	assert(f->fd >= 0);
	if (!mapped || f->limbo_room != place_room(place)) {
		int rc = limbo_remap(f, place);

		if (rc)
			return rc;
	}
	*first = load_relaxed(&s->limbo_first);
	*n = load_relaxed(&s->limbo_next) - *first;
	if (*n > f->limbo_room)
		return share_limbo_wild(f);
	return 0;
}

/* limbo_grow - twice the room, behind the old place; n items from first on are there. The place is
 * published when they are copied: a process that finds it finds them. */
static int limbo_grow(struct share_file *f, uint64_t first, uint64_t n)
{
	const uint64_t old_bytes = f->limbo_room * sizeof *f->limbo;
	const uint64_t room = 2 * f->limbo_room;
	const uint64_t off = round_up(f->limbo_off + old_bytes, PAGE);
	const uint64_t place = off | (uint64_t)__builtin_ctzll(room);
	struct limbo_item *to;
	void *p;
	int rc;

	assert(n <= f->limbo_room);
	rc = lock_allocate(f->lock, off, room * sizeof *to);
	if (rc)
		return rc;
	rc = file_map(f->fd, off, room * sizeof *to, &p);
	if (rc)
		return rc;
	to = p;
	for (uint64_t i = first; i != first + n; i++)
		to[i % room] = f->limbo[i % f->limbo_room];
	munmap(f->limbo, old_bytes);
	f->limbo = to;
	f->limbo_off = off;
	f->limbo_room = room;
	assert(place_off(place) == off);
	assert(place_room(place) == room);
	store_release(&f->share->limbo_place, place);
	return 0;
}

/* The item is stored before the number that makes it count, with release order: a writer that dies
 * between leaves nothing. */
int share_limbo_add(struct share_file *f, const struct limbo_item *item)
{
	uint64_t first;
	uint64_t n;
	int rc;

	if (f->fd < 0)
		return 0;
	rc = limbo_map(f, &first, &n);
	if (rc)
		return rc;
	/* the last place is left to an item that stands for many, when there is no more room */
	if (n + !(item->pages & LIMBO_COARSE) >= f->limbo_room) {
		rc = limbo_grow(f, first, n);
		if (rc)
			return rc;
	}
	assert(n < f->limbo_room);
	f->limbo[(first + n) % f->limbo_room] = *item;
	store_release(&f->share->limbo_next, first + n + 1);
	return 0;
}

/* What lock_allocate has given stays the limbo's, so it can be asked long before. */
int share_limbo_room(struct share_file *f)
{
	uint64_t first;
	uint64_t n;

	if (f->fd < 0)
		return 0;
	int rc = limbo_map(f, &first, &n);

	if (rc)
		return rc;
	if (n < f->limbo_room)
		return 0;
	return limbo_grow(f, first, n);
}

/* From the newest backwards: they were added by a transaction that did not come to be. */
int share_limbo_cut(struct share_file *f, uint64_t txn)
{
	uint64_t first;
	uint64_t n;
	int rc;

	if (f->fd < 0)
		return 0;
	rc = limbo_map(f, &first, &n);
	if (rc)
		return rc;
	while (n && f->limbo[(first + n - 1) % f->limbo_room].txn > txn) {
		n--;
		store_release(&f->share->limbo_next, first + n);
	}
	return 0;
}

/* Of a sync that did not come to be. */
int share_limbo_back(struct share_file *f, uint64_t next)
{
	uint64_t first;
	uint64_t n;
	int rc;

	if (f->fd < 0)
		return 0;
	rc = limbo_map(f, &first, &n);
	if (rc)
		return rc;
	if (next - first <= n)
		store_release(&f->share->limbo_next, next);
	return 0;
}

/* A failure to map the limbo leaves the items there: they are released later, which is safe. */
void share_limbo_drop(struct share_file *f, uint64_t items)
{
	uint64_t first;
	uint64_t n;

	if (f->fd < 0)
		return;
	if (limbo_map(f, &first, &n) != 0)
		return;
	first += min_u64(items, n);
	store_release(&f->share->limbo_first, first);
}

/* A copy in this process's memory, in order; what is not in order is damage. Each item is read
 * once: another process may be changing it. */
int share_limbo_load(struct share_file *f, struct limbo *limbo)
{
	uint64_t first = 0;
	uint64_t n = 0;
	uint64_t last = 0;
	int rc;

	if (f->fd < 0)
		return 0;
	limbo_free(limbo);
	rc = limbo_map(f, &first, &n);
	if (rc)
		return rc;
	rc = limbo_reserve(limbo, n);
	if (rc)
		return rc;
	for (uint64_t i = 0; i < n; i++) {
		const struct limbo_item item = f->limbo[(first + i) % f->limbo_room];

		if (item.txn < last)
			return share_limbo_wild(f);
		last = item.txn;
		limbo_add(limbo, item.txn, item.off, item.pages);
	}
	return 0;
}
