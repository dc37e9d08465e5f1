/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map.c - see map.h
 *
 * Two locks order what is here. map->mutex is held while the mapping grows or is extended, by the
 * writer's thread and by readers that follow another process. The mutex of fds.h is held for the
 * single step of a mapping and its advice. The size is published last, with release order: a
 * reader that sees it finds the pages mapped.
 *
 *   base                    page_up(size)                      reserve            memory_off
 *   | the file, range_fill  | nothing, range_empty             | MAP_STEP of guard | map_memory.c
 *
 * Both of them replace what is mapped in a range in one call, so no other thread can get an address
 * in between. A new mapping over an old one is also how a grown file and a copied file come to be
 * seen, without a moment in which a reader's load would fail.
 */
#include "media/map.h"

#include "base/base.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/fds.h"
#include "media/map_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define RESERVE_MAX ((uint64_t)1 << 40)
#define MEMORY_MAX  ((uint64_t)1 << 36) /* for pages that lie in no file */

/* ---- address space --------------------------------------------------------------------------- */

/* page_up - to a multiple of the system's page, which is not the store's. The kernel maps in units
 * of that. */
static uint64_t page_up(uint64_t n)
{
	return round_up(n, (uint64_t)sysconf(_SC_PAGESIZE));
}

/* address - of a byte of the file in the reserved range. Here the mapping is changed as a whole, so
 * the const of its bytes is taken off. What is stored there goes through pm.h all the same. */
static uint8_t *address(const struct map *map, uint64_t off)
{
	return (uint8_t *)(uintptr_t)(map->base + off);
}

/* size_set - the writer's thread changes it while readers' threads look. Pairs with the loads of
 * the size: a thread that sees it finds the pages mapped. */
static void size_set(struct map *map, uint64_t size)
{
	assert(size <= map->reserve);
	store_release(&map->size, size);
}

/* reserve_exactly - len bytes of empty address space, aligned to MAP_STEP: more is taken and
 * trimmed. 0 or errno. A forked child does not have the range. */
static int reserve_exactly(uint64_t len, const uint8_t **base)
{
	uint8_t *p = mmap(NULL, len + MAP_STEP, PROT_NONE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return errno;
	size_t before = (size_t)(round_up((uintptr_t)p, MAP_STEP) - (uintptr_t)p);
	if (before > 0)
		munmap(p, before);
	munmap(p + before + len, MAP_STEP - before);
	madvise(p + before, len, MADV_DONTFORK);
	assert((uintptr_t)(p + before) % MAP_STEP == 0);
	*base = p + before;
	return 0;
}

/* address_limit - how much address space the process may have; UINT64_MAX: no limit. In bytes. */
static uint64_t address_limit(void)
{
	struct rlimit lim;
	if (getrlimit(RLIMIT_AS, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY)
		return (uint64_t)lim.rlim_cur;
	return UINT64_MAX;
}

/* reserve_space - fill base and reserve. With max 0 it begins at 1 TiB, or at half of RLIMIT_AS so
 * that the program keeps some. Behind it lies the range of pages in memory. Where that cannot be
 * had, and no maximum was asked for, half of it is tried, and so on, down to what the file needs;
 * at last without the second range. Errors of mmap, with the limit in the text. */
static int reserve_space(struct map *map, uint64_t size, uint64_t max)
{
	uint64_t behind = 0;

	if (map->guard)
		behind = MAP_STEP;
	const uint64_t least = max_u64(round_up(size, MAP_STEP), MAP_STEP);
	const uint64_t limit = address_limit();
	uint64_t len = round_up(max_u64(max, 1), MAP_STEP);
	assert(size > 0);
	if (max == 0)
		len = round_down(min_u64(map->room ? map->room : RESERVE_MAX, limit / 2), MAP_STEP);
	len = max_u64(len, least);
	uint64_t memory = 0;
	int rc;

	for (;;) {
		if (limit == UINT64_MAX) /* else the program keeps what the limit leaves it */
			memory = min_u64(len, MEMORY_MAX);
		rc = reserve_exactly(len + (memory ? MAP_STEP + memory : behind), &map->base);
		/* EINVAL: from valgrind */
		if ((rc != ENOMEM && rc != EINVAL) || max != 0 || len == least)
			break;
		len = max_u64(round_down(len / 2, MAP_STEP), least);
	}
	if (rc && memory) {
		memory = 0;
		rc = reserve_exactly(len + behind, &map->base);
	}
	if (rc && limit != UINT64_MAX)
		return err_sys(rc, "%s: no %lu bytes of address space: RLIMIT_AS allows %lu",
		               map->path, len, limit);
	if (rc)
		return err_sys(rc, "%s: no %lu bytes of address space", map->path, len);
	map->memory_off = len + (memory ? MAP_STEP : behind);
	map->memory_room = memory;
	map->reserve = len;
	if (max != 0)
		map->reserve = max_u64(max, size);
	map->cap = map->reserve;
	return 0;
}

/* space_give_back - unmap all of it, with the file's part. */
static void space_give_back(const struct map *map)
{
	assert(map->base);
	munmap(address(map, 0), map->memory_off + map->memory_room);
}

/* range_fill - map [from, to) of the file at its place in the reserved space; both are multiples of
 * the system page. What was mapped in that range is replaced in the same call. 0 or errno, without
 * a text. */
static int range_fill(const struct map *map, uint64_t from, uint64_t to)
{
	assert(from % page_up(1) == 0);
	assert(to <= round_up(map->reserve, MAP_STEP));
	int prot = PROT_READ;
	int flags = MAP_FIXED;
	if (from >= to)
		return 0;
	if (map->guard && mprotect(address(map, to), MAP_STEP, PROT_READ) != 0)
		return errno;
	if (map->private_copy || !map->rdonly)
		prot |= PROT_WRITE;
	if (map->private_copy)
		flags |= MAP_PRIVATE | MAP_NORESERVE;
	else if (map->medium == DAXKV_MEDIUM_DAX)
		flags |= MAP_SHARED_VALIDATE | MAP_SYNC;
	else
		flags |= MAP_SHARED;
	if (fds_map(address(map, from), to - from, prot, flags, map->fd, (off_t)from) == MAP_FAILED)
		return errno;
	/* Where the filesystem can: a huge page halves the cost of a random read. Not in the page
	 * cache of a disk: one changed byte has all of it written. */
	if (!map->private_copy && map->medium != DAXKV_MEDIUM_FILE)
		madvise(address(map, from), to - from, MADV_HUGEPAGE);
	return 0;
}

/* range_empty - make [from, to) empty reserved space again. When the kernel has no memory for that,
 * the range stays as it is: nothing refers to it, and it is replaced or unmapped like empty
 * space. */
static void range_empty(const struct map *map, uint64_t from, uint64_t to)
{
	if (from >= to)
		return;
	assert(to <= round_up(map->reserve, MAP_STEP));
	void *p = mmap(address(map, from), to - from, map->guard ? PROT_READ : PROT_NONE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	if (p != MAP_FAILED)
		madvise(p, to - from, MADV_DONTFORK);
}

/* range_populate - fault [from, to) in for writing, so that no commit pays for it. Kernels before
 * 5.14 do not know how: EINVAL. 0 or errno; EIO stands for a bad block, which a store there would
 * have met as a signal. */
static int range_populate(const struct map *map, uint64_t from, uint64_t to)
{
	assert(from >= to || !map->rdonly);
	int rc = 0;
	if (from >= to)
		return 0;
	/* reading ahead gathers pages in larger ones, each of which is written whole */
	if (map->medium == DAXKV_MEDIUM_FILE)
		madvise(address(map, from), to - from, MADV_RANDOM);
	while (madvise(address(map, from), to - from, MADV_POPULATE_WRITE) != 0) {
		if (errno == EINTR || errno == EAGAIN)
			continue;
		/* a store there would have been SIGBUS */
		if (errno != EINVAL)
			rc = errno == EFAULT || errno == EHWPOISON ? EIO : errno;
		break;
	}
	if (map->medium == DAXKV_MEDIUM_FILE)
		madvise(address(map, from), to - from, MADV_NORMAL);
	return rc;
}

/* ---- attaching ------------------------------------------------------------------------------- */

/* sync_probe - 0 when the file's mappings can have MAP_SYNC. Tried beside the reserved space,
 * because a mapping that fails with MAP_FIXED may have taken away what was there. Else errno:
 * EOPNOTSUPP or EINVAL where the filesystem or the kernel cannot. */
static int sync_probe(const struct map *map)
{
	size_t len = page_up(1);
	int prot = PROT_READ;

	if (!map->rdonly)
		prot = PROT_READ | PROT_WRITE;
	void *p = fds_map(NULL, len, prot, MAP_SHARED_VALIDATE | MAP_SYNC, map->fd, 0);
	if (p == MAP_FAILED)
		return errno;
	munmap(p, len);
	return 0;
}

/* medium_choose - what the file lies on and how stores to it become durable, as the caller allows
 * it. A private copy is never durable, and needs no flushes. NOT_DAX when the caller wants what is
 * not to be had; errno. */
static int medium_choose(struct map *map, enum daxkv_pmem pmem)
{
	map->medium = DAXKV_MEDIUM_FILE;
	if (map->private_copy || pmem == DAXKV_PMEM_FILE)
		return 0;
	if (pmem == DAXKV_PMEM_FORCE) {
		if (pm_dax_missing())
			return err_set(DAXKV_NOT_DAX,
			               "%s: no cache-line flushes without libpmem: %s is missing",
			               map->path, pm_dax_missing());
		map->medium = DAXKV_MEDIUM_EMULATED;
		return 0;
	}
	int rc = sync_probe(map);
	if (rc == 0 && pmem == DAXKV_PMEM_DAX && pm_dax_missing())
		return err_set(DAXKV_NOT_DAX,
		               "%s: no cache-line flushes without libpmem: %s is missing",
		               map->path, pm_dax_missing());
	if (rc == 0) /* fdatasync serves as well there */
		map->medium = pm_dax_missing() ? DAXKV_MEDIUM_FILE : DAXKV_MEDIUM_DAX;
	else if (rc != EOPNOTSUPP && rc != EINVAL)
		return err_sys(rc, "%s: mmap with MAP_SYNC", map->path);
	else if (pmem == DAXKV_PMEM_DAX)
		return err_set(DAXKV_NOT_DAX,
		               "%s: the mapping cannot have MAP_SYNC (no DAX filesystem on "
		               "persistent memory): %s",
		               map->path, daxkv_strerror(rc));
	return 0;
}

/* space_ensure - a file that was copied sparsely gets its space now: a full disk is an error here
 * and not SIGBUS from a store. CORRUPT when the file is shorter than what is in use; errno. */
static int space_ensure(const struct map *map, uint64_t size)
{
	uint64_t length;
	int rc = file_length(map->fd, &length);
	if (rc)
		return err_sys(rc, "%s", map->path);
	if (length < size)
		return err_corrupt(length, "%s ends here, but %lu bytes of it are in use",
		                   map->path, size);
	if (map->rdonly || map->private_copy)
		return 0;
	if (map->own)
		length = min_u64(length, map->own);
	rc = file_own(map->fd, length);
	if (rc)
		return err_sys(rc, "%s: cannot allocate its %lu bytes", map->path, length);
	return 0;
}

/* Nothing of *map changes before all has worked. The order is that of what can fail first: the
 * file's own space, so that a store to the mapping cannot be SIGBUS; the choice of the medium; the
 * reserved address space, at whose place the file is mapped; then what is only bookkeeping. The
 * table of prefaulted steps may lack its memory: then nothing is prefaulted. */
int map_attach(struct map *map, uint64_t size, uint64_t max, enum daxkv_pmem pmem,
               bool private_copy)
{
	static const struct pm_ops *const ops[] = {[DAXKV_MEDIUM_DAX] = &pm_dax_ops,
	                                           [DAXKV_MEDIUM_FILE] = &pm_file_ops,
	                                           [DAXKV_MEDIUM_EMULATED] = &pm_dax_ops};
	struct map fresh = {
	    .fd = map->fd,
	    .rdonly = map->rdonly,
	    .made = map->made,
	    .private_copy = private_copy,
	    .guard = map->guard,
	    .own = map->own,
	    .room = map->room,
	    .path = map->path,
	};
	assert(map->fd >= 0);
	assert(!map->base);
	if (size == 0 || max_u64(size, max) > INT64_MAX / 2)
		return err_set(EINVAL, "%s: a mapping of %lu, at most %lu bytes", map->path, size,
		               max);
	fresh.volatile_fs = file_in_memory(fresh.fd);
	int rc = space_ensure(&fresh, size);
	if (rc)
		return rc;
	rc = medium_choose(&fresh, pmem);
	if (rc)
		return rc;
	rc = reserve_space(&fresh, size, max);
	if (rc)
		return rc;
	rc = range_fill(&fresh, 0, page_up(size));
	if (rc) {
		space_give_back(&fresh);
		return err_sys(rc, "%s: mmap of %lu bytes", map->path, size);
	}
	if (!private_copy && !map->rdonly && fresh.medium != DAXKV_MEDIUM_FILE)
		fresh.prefaulted = calloc(1, fresh.reserve / MAP_STEP / 8 + 1);
	fresh.size = size;
	assert(fresh.size <= fresh.reserve);
	assert(fresh.cap <= fresh.reserve);
	pthread_mutex_init(&fresh.mutex, NULL);
	pm_init(&fresh.pm, private_copy ? &pm_private_ops : ops[fresh.medium], fresh.fd);
	*map = fresh;
	return 0;
}

/* ---- growing and shrinking ------------------------------------------------------------------- */

/* grow_sure - what the file has grown by is durable. errno. */
static int grow_sure(struct map *map)
{
	/* Orders: the file's new length and space, before any reference to them [I11]. */
	const int rc = file_sync(map->fd);

	if (rc) /* the file's other dirty pages may be what was lost */
		map->pm.failed = rc;
	else
		map->unsettled = false;
	return rc;
}

/* grow_shared - the part of map_grow for who may write: length is the file's. 0 or errno. The order
 * matters: the file has its space before it is mapped, and its length is durable before the new
 * size is seen, unless that is for later. After an error the mapping and, where that can be had,
 * the file are as they were. */
static int grow_shared(struct map *map, uint64_t size, uint64_t length, bool later)
{
	assert(size > map->size);
	assert(size <= map->reserve);
	assert(!map->rdonly);
	assert(!map->private_copy);
	const uint64_t from = page_up(map->size);
	const uint64_t to = page_up(size);
	/* Growth that was undone may have left a longer file: it has its space already, but for
	 * what a copy made sparse. */
	int rc = 0;

	if (length > map->size)
		rc = file_own(map->fd, min_u64(length, size));
	if (rc == 0 && size > length)
		rc = file_extend(map->fd, length, size, length);
	if (rc)
		return rc;
	rc = range_fill(map, from, to);
	if (rc)
		goto undo;
	rc = range_populate(map, from, to);
	if (rc)
		goto undo;
	if (later)
		map->unsettled = true;
	else
		rc = grow_sure(map);
	if (rc == 0)
		return 0;
undo:
	range_empty(map, from, to);
	if (size > length)
		(void)file_cut(map->fd, length);
	return rc;
}

/* own_more - size is mapped already, because somebody lengthened the file, or growth was cut short:
 * its space may be missing. 0 or errno. */
static int own_more(struct map *map, uint64_t size, bool later)
{
	assert(size <= map->size);
	if (map->rdonly)
		return 0;
	if (map->private_copy)
		return 0;
	int rc = 0;

	if (map->own && size > map->own) {
		rc = file_own(map->fd, size);
		map->unsettled |= !rc;
	}
	if (!rc && map->unsettled && !later)
		rc = grow_sure(map);
	if (rc)
		return err_sys(rc, "%s: cannot allocate %lu bytes of it", map->path, size);
	if (map->own)
		map->own = max_u64(map->own, size);
	return 0;
}

/* grow - map_grow with the mutex held. FULL beyond the maximum; EACCES where the file may not be
 * written; errno. */
static int grow(struct map *map, uint64_t size, bool later)
{
	uint64_t length = 0;
	assert(map->base);
	if (size <= map->size)
		return own_more(map, size, later);
	if (size > map->reserve)
		return err_set(DAXKV_FULL, "%s: %lu bytes wanted, %lu are the maximum", map->path,
		               size, map->reserve);
	int rc = file_length(map->fd, &length);
	if (rc)
		return err_sys(rc, "%s", map->path);
	if (!map->rdonly && !map->private_copy) {
		rc = grow_shared(map, size, length, later);
	} else if (length < size) {
		return err_set(EACCES, "%s: opened for reading, cannot grow from %lu to %lu bytes",
		               map->path, length, size);
	} else {
		rc = range_fill(map, page_up(map->size), page_up(size));
		if (rc)
			range_empty(map, page_up(map->size), page_up(size));
	}
	if (rc)
		return err_sys(rc, "%s: cannot grow from %lu to %lu bytes", map->path, map->size,
		               size);
	size_set(map, size);
	if (map->own)
		map->own = size;
	return 0;
}

/* A step that cannot be populated is marked all the same: its pages are faulted in one by one, by
 * the stores that come to them. */
void map_prefault(struct map *map, uint64_t off, uint64_t len)
{
	assert(map->prefaulted);
	assert(len > 0);
	for (uint64_t step = off / MAP_STEP; step <= (off + len - 1) / MAP_STEP; step++) {
		if (map->prefaulted[step / 8] >> step % 8 & 1)
			continue;
		map->prefaulted[step / 8] |= (uint8_t)(1u << step % 8);
		/* else page by page */
		(void)range_populate(
		    map, step * MAP_STEP,
		    min_u64((step + 1) * MAP_STEP, round_down(map->size, page_up(1))));
	}
}

/* Best effort: what is not populated here costs a fault later. A new file on a disk has its zeros
 * written once, here, and no commit is the first to do it. */
void map_populate(struct map *map)
{
	assert(map->base);
	if (map->prefaulted && map->size)
		map_prefault(map, 0, map->size);
	else if (map->made && map->medium == DAXKV_MEDIUM_FILE)
		(void)range_populate(
		    map, 0,
		    round_down(
		        map->size,
		        page_up(1))); /* zeros are written once, here: no commit is the first to */
	else
		(void)madvise(address(map, 0), page_up(map->size), MADV_POPULATE_READ);
}

/* grow_locked - grow. A thread that is cancelled in here would keep the mutex. */
static int grow_locked(struct map *map, uint64_t size, bool later)
{
	const int cancel = cancel_off();
	pthread_mutex_lock(&map->mutex);
	int rc = grow(map, size, later);
	pthread_mutex_unlock(&map->mutex);
	cancel_restore(cancel);
	return rc;
}

int map_grow(struct map *map, uint64_t size)
{
	return grow_locked(map, size, false);
}

/* In the page cache alone a fence makes a file's length durable. */
int map_grow_later(struct map *map, uint64_t size)
{
	return grow_locked(map, size, map->medium == DAXKV_MEDIUM_FILE);
}

/* extend - map_extend with the mutex held. The file is not changed. It may map more than was asked
 * for, up to what is committed, so that a reader comes here less often. CORRUPT, FULL; errno of
 * mmap. */
static int extend(struct map *map, uint64_t size)
{
	uint64_t length = 0;
	assert(map->base);
	if (size <= map->size)
		return 0;
	int rc = file_length(map->fd, &length);
	if (rc)
		return err_sys(rc, "%s", map->path);
	if (size > length)
		return err_corrupt(length, "%s ends here, but %lu bytes of it are in use",
		                   map->path, size);
	if (size > map->reserve)
		return err_set(
		    DAXKV_FULL,
		    "%s has grown to %lu bytes; this process opened it with a maximum of %lu",
		    map->path, length, map->reserve);
	if (map->committed && load_word(map->committed) > size)
		size = min_u64(load_word(map->committed), min_u64(map->reserve, length));
	rc = range_fill(map, page_up(map->size), page_up(size));
	if (rc)
		return err_sys(rc, "%s: mapping its %lu bytes", map->path, size);
	size_set(map, size);
	return 0;
}

/* A reader calls it, so it is no point where a thread may be cancelled: nothing in extend waits. */
int map_extend(struct map *map, uint64_t size)
{
	pthread_mutex_lock(&map->mutex);
	int rc = extend(map, size);
	pthread_mutex_unlock(&map->mutex);
	return rc;
}

/* A private copy reads what it has mapped, whatever happens to the file. */
bool map_on_layers(const struct map *map)
{
	if (!map->rdonly)
		return false;
	if (map->private_copy)
		return false;
	return file_on_layers(map->fd);
}

/* On an overlay filesystem the first writer gets a copy of the file, and a reader that has the
 * original open goes on reading that. The descriptor keeps its number, so that locks and lists that
 * name it hold: the copy is opened beside it and put in its place, then mapped over the original.
 * errno, with the way out in the text. */
int map_follow_copy(struct map *map)
{
	char self[32];
	/* the same file, whatever its name is by now */
	snprintf(self, sizeof self, "/proc/self/fd/%d", map->fd);
	const int cancel = cancel_off();
	fds_hold();
	int fd = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc = 0;

	if (fd < 0)
		rc = errno;
	if (rc == 0 && dup3(fd, map->fd, O_CLOEXEC) < 0)
		rc = errno;
	if (fd >= 0)
		close(fd);
	fds_release();
	pthread_mutex_lock(&map->mutex);
	if (rc == 0)
		rc = range_fill(map, 0, page_up(map->size));
	pthread_mutex_unlock(&map->mutex);
	cancel_restore(cancel);
	if (rc)
		return err_sys(
		    rc,
		    "%s: the filesystem has copied it for a writer, and the copy cannot be "
		    "opened; open the store again",
		    map->path);
	return 0;
}

/* The size is lowered first: whoever looks at it afterwards goes no further. The file is not
 * changed. */
void map_cut(struct map *map, uint64_t size)
{
	assert(size <= map->reserve);
	pthread_mutex_lock(&map->mutex);
	const uint64_t old = map->size;
	assert(size <= old);

	size_set(map, size);
	range_empty(map, page_up(size), page_up(old));
	pthread_mutex_unlock(&map->mutex);
}

/* The file is cut before the mapping: on failure both are as they were. */
int map_shrink(struct map *map, uint64_t size)
{
	uint64_t length = 0;
	if (map->rdonly || map->private_copy)
		return err_set(EACCES, "%s: opened for reading, cannot shrink", map->path);
	if (size == 0 || size > map->size)
		return err_set(EINVAL, "%s: cannot shrink from %lu to %lu bytes", map->path,
		               map->size, size);
	int rc = file_length(map->fd, &length);
	if (rc == 0 && length > size)
		rc = file_cut(map->fd, size);
	if (rc)
		return err_sys(rc, "%s: cannot shrink from %lu to %lu bytes", map->path, map->size,
		               size);
	const uint64_t old = map->size;
	size_set(map, size);
	range_empty(map, page_up(size), page_up(old));
	return 0;
}

/* What the file has now; other processes may have made it longer than size says. */
int map_file_size(const struct map *map, uint64_t *size)
{
	int rc = file_length(map->fd, size);
	if (rc)
		return err_sys(rc, "%s", map->path);
	return 0;
}

/* The reserved range goes as a whole, mapped parts and empty ones. The descriptor stays open, and
 * map_attach may follow. */
void map_detach(struct map *map)
{
	if (map->base)
		space_give_back(map);
	free(map->prefaulted);
	map->prefaulted = NULL;
	map->base = NULL;
	map->reserve = map->cap = map->size = 0;
	map->memory_off = map->memory_room = map->memory = 0;
}

/* The request that would choose this medium again, for a second open of the same file. */
enum daxkv_pmem map_pmem(enum daxkv_medium medium)
{
	if (medium == DAXKV_MEDIUM_DAX)
		return DAXKV_PMEM_DAX;
	if (medium == DAXKV_MEDIUM_FILE)
		return DAXKV_PMEM_FILE;
	return DAXKV_PMEM_FORCE;
}

/* Safe on a map that was only opened, and on one that never was: fd is -1 then. */
void map_close(struct map *map)
{
	map_detach(map);
	fds_close(&map->fd);
	*map = (struct map){.fd = -1};
}

/* The times of a mapped file change when the kernel writes it back, if at all: programs that copy
 * what has changed go by them. */
void map_touch(const struct map *map)
{
	/* a file of somebody else's, on a medium without times: it stays as it is */
	if (!map->rdonly && !map->private_copy)
		(void)futimens(map->fd, NULL);
}

/* Whether a block is written where it lies or elsewhere: elsewhere, a full disk can fail a store to
 * a block that is there. */
bool map_copies(const struct map *map)
{
	if (map->private_copy)
		return false;
	return file_copies(map->fd);
}

/* For people: one line of what an acknowledged commit survives here. */
const char *map_durability(const struct map *map)
{
	if (map->private_copy)
		return "nothing is written: a private view of the file";
	if (map->medium == DAXKV_MEDIUM_DAX)
		return "survives a power cut (MAP_SYNC, cache-line flushes)";
	if (map->medium == DAXKV_MEDIUM_EMULATED)
		return "emulated: survives a process crash, not a power cut";
	if (map->volatile_fs)
		return "survives a process crash, not a power cut (the filesystem is in memory)";
	return "survives a power cut (fdatasync)";
}
