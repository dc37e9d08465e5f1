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

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE       SHARE_PAGE
#define PEEK_TRIES 1000u

size_t share_file_bytes(uint32_t max_readers)
{
	return round_up(share_bytes(max_readers), PAGE) + SHARE_LAZY;
}

/* layout_known - whether it is this version's, whatever the store. */
static bool layout_known(const struct share *s)
{
	return memcmp(s->magic, LOCK_MAGIC, sizeof s->magic) == 0 && s->version == SHARE_LAYOUT;
}

bool share_mine(const struct share *s, uint64_t file_id)
{
	return layout_known(s) && s->file_id == file_id;
}

int share_read(int fd, uint64_t file_id, struct share *s)
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
	s->limbo_place = share_limbo_start(f);
	share_init(s, max_readers, in_page, published);
	return 0;
}

/* readers_before - how many entries the lock file has had; 0: that cannot be known. A number that
 * the file is too short for is no such number. errno of pread and fstat. */
static int readers_before(int fd, uint32_t *readers)
{
	struct share s;
	struct stat st;
	const ssize_t n = pread(fd, &s, sizeof s, 0);

	*readers = 0;
	if (n < 0 || fstat(fd, &st) != 0)
		return err_sys(errno, "reading the lock file");
	if (n != (ssize_t)sizeof s || !layout_known(&s))
		return 0;
	if (s.max_readers > READERS_MOST)
		return 0;
	if ((uint64_t)st.st_size >= share_file_bytes(s.max_readers))
		*readers = s.max_readers;
	return 0;
}

/* share_make - nobody else uses the store: a share from nothing. It is whole when its magic number
 * is there, which is stored last. */
static int share_make(struct share_file *f, const struct lock *lock, uint32_t max_readers,
                      uint64_t published, uint64_t file_id)
{
	uint64_t magic;
	uint32_t before;
	int rc;

	assert(lock->alone);
	rc = readers_before(f->fd, &before);
	if (rc)
		return rc;
	if (max_readers < before)
		max_readers = before;
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
static int name_taken(const struct lock *lock)
{
	return err_set(DAXKV_BUSY, "%s is in use for another store: this one has taken its name",
	               lock->name);
}

int share_refused(const struct lock *lock, uint64_t file_id)
{
	struct share s;
	const bool whole = pread(lock->fd, &s, sizeof s, 0) == (ssize_t)sizeof s;

	if (whole && s.version == SHARE_LAYOUT && s.file_id != file_id)
		return name_taken(lock);
	return err_set(DAXKV_VERSION, "%s is in use by another version of daxkv", lock->name);
}

/* By the inode's number alone: the device may be another one by another mount. */
int share_file_same(const struct share_file *f, int data_fd)
{
	const struct share *s = f->share;
	struct stat st;

	if (load_acquire(&s->lazy) != f->lazy_mark)
		return 0;
	if (fstat(data_fd, &st) != 0)
		return err_sys(errno, "the store's file");
	if (st.st_ino == s->interval.inode)
		return 0;
	return name_taken(f->lock);
}

/* share_join - others use the store: their share, if it is of this layout and this store. */
static int share_join(struct share_file *f, uint64_t file_id)
{
	struct share s;
	struct stat st;
	int rc;

	if (fstat(f->fd, &st) != 0)
		return err_sys(errno, "the lock file");
	if ((size_t)st.st_size < sizeof s)
		return err_set(DAXKV_VERSION,
		               "the lock file is in use, but its %ld bytes are not this version's",
		               (long)st.st_size);
	rc = share_read(f->fd, file_id, &s);
	if (rc == ENODATA)
		return share_refused(f->lock, file_id);
	if (rc)
		return err_sys(rc, "the lock file");
	f->bytes = share_file_bytes(s.max_readers);
	if ((size_t)st.st_size < f->bytes)
		return share_refused(f->lock, file_id);
	return share_map(f, s.max_readers);
}

/* limbo_renew - there are no items, wherever the share said that they lie: no reader is there to
 * wait for, and the sync that was staging some did not come to be. The numbers first: one who dies
 * here leaves no items either. */
static void limbo_renew(struct share_file *f)
{
	struct share *s = f->share;

	store_release(&s->limbo_first, s->limbo_next);
	store_release(&s->interval.limbo_mark, 0);
	store_release(&s->limbo_place, share_limbo_start(f));
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
	limbo_renew(f);
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
		int rc = share_read(fd, file_id, &s);

		if (rc)
			return rc;
		rc = share_read(fd, file_id, &again);
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
