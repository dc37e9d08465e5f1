/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * share_limbo.c - the limbo in the lock file: a ring of items that grows by moving to a place twice
 * as long. See share.h
 *
 * The writer has a copy in memory and goes by that; what lies here is for the writer of another
 * process, and for who opens the store after all have left it. So each change is one store of one
 * number, behind the item that it makes count. Rejected: items in the store's file, which would
 * cost each commit a flush.
 */
#include "shm/share.h"

#include "base/base.h"
#include "base/err.h"
#include "base/fds.h"
#include "daxkv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE            SHARE_PAGE
#define LIMBO_FIRST_LOG 7u  /* 128 items: a page */
#define PLACE_LOG_END   40u /* no room has so many bits */

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

	if (place % PAGE >= PLACE_LOG_END)
		return false;
	if (off >= file_bytes)
		return false;
	most = (file_bytes - off) / sizeof(struct limbo_item);
	return place_room(place) <= most;
}

uint64_t share_limbo_start(const struct share_file *f)
{
	return f->bytes | LIMBO_FIRST_LOG;
}

/* file_map - a part of the lock file, shared. The caller unmaps it. */
static int file_map(int fd, uint64_t off, size_t bytes, void **p)
{
	*p = fds_map(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)off);
	if (*p == MAP_FAILED)
		return err_sys(errno, "mapping the lock file");
	return 0;
}

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

	if (place == share_limbo_start(f))
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

/* ---- what earlier users left -------------------------------------------------------------------
 */

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
	if (share_read(fd, file_id, &s) != 0)
		return ENODATA;
	if (s.published > newest)
		return ENODATA;
	n = s.limbo_next - s.limbo_first;
	if (n == 0) /* its place may not have its space yet */
		return 0;
	if (!place_sound(s.limbo_place, (uint64_t)st.st_size))
		return ENODATA;
	if (n > place_room(s.limbo_place))
		return ENODATA;
	if (n > most)
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
