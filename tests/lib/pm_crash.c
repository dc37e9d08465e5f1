/* SPDX-License-Identifier: BSD-3-Clause */
/* pm_crash.c - see pm_crash.h */
#include "pm_crash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/err.h"
#include "base/format.h"
#include "treap.h"

#define VERSIONS_MAX 24u

struct crash_pm crash_pm;
const struct pm_ops *crash_pm_override;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static uint8_t *take(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	               -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* ---- units ----------------------------------------------------------------------------------- */

static void unit_list(uint32_t i)
{
	struct crash_unit *u = &crash_pm.unit[i];

	if (u->listed)
		return;
	crash_pm.dirty[crash_pm.ndirty++] = i;
	u->listed = (uint32_t)crash_pm.ndirty;
}

static void unit_unlist(uint32_t i)
{
	struct crash_unit *u = &crash_pm.unit[i];
	uint32_t last = crash_pm.dirty[--crash_pm.ndirty];

	crash_pm.dirty[u->listed - 1] = last;
	crash_pm.unit[last].listed = u->listed;
	u->listed = 0;
}

/* unit_drop - forget the oldest n versions. */
static void unit_drop(uint32_t i, uint32_t n)
{
	struct crash_unit *u = &crash_pm.unit[i];

	for (uint32_t v = 0; v < n; v++)
		free(u->version[v]);
	u->n -= n;
	memmove(u->version, u->version + n, u->n * sizeof *u->version);
	u->flushed = u->flushed >= (int32_t)n ? u->flushed - (int32_t)n : -1;
	if (u->n == 0 && u->listed)
		unit_unlist(i);
}

/* unit_thin - one version less, but neither the flushed one nor the newest. */
static void unit_thin(struct crash_unit *u)
{
	uint32_t v = (uint32_t)rng_below(&crash_pm.rng, u->n - 1);

	if ((int32_t)v == u->flushed)
		v = v ? v - 1 : 1;
	free(u->version[v]);
	memmove(u->version + v, u->version + v + 1, (u->n - v - 1) * sizeof *u->version);
	u->n--;
	if (u->flushed > (int32_t)v)
		u->flushed--;
}

static void unit_add(uint32_t i, const uint8_t *bytes)
{
	struct crash_unit *u = &crash_pm.unit[i];

	if (u->n == 0)
		u->flushed = -1;
	if (u->n == VERSIONS_MAX)
		unit_thin(u);
	if (u->n == u->room) {
		u->room = u->room ? 2 * u->room : 4;
		u->version = realloc(u->version, u->room * sizeof *u->version);
		if (!u->version)
			die("realloc");
	}
	u->version[u->n] = xmalloc(crash_pm.granule);
	memcpy(u->version[u->n++], bytes, crash_pm.granule);
	unit_list(i);
}

/* unit_settle - these bytes are what the medium has. */
static void unit_settle(uint32_t i, const uint8_t *bytes)
{
	uint64_t off = (uint64_t)i * crash_pm.granule;

	if (memcmp(crash_pm.durable + off, bytes, crash_pm.granule) == 0)
		return;
	memcpy(crash_pm.durable + off, bytes, crash_pm.granule);
	crash_pm.epoch++;
	crash_pm.made_durable(off, crash_pm.granule);
}

/* unit_look - whether the unit was stored to; touched: it was, perhaps with the bytes that it
 * had. */
static void unit_look(uint32_t i, bool touched)
{
	struct crash_unit *u = &crash_pm.unit[i];
	uint64_t off = (uint64_t)i * crash_pm.granule;
	bool changed = memcmp(crash_pm.seen + off, crash_pm.now + off, crash_pm.granule) != 0;

	if (!changed && !(touched && u->stale))
		return;
	memcpy(crash_pm.seen + off, crash_pm.now + off, crash_pm.granule);
	u->stale = false;
	unit_add(i, crash_pm.seen + off);
}

/* in_memory - whether that is of a page in memory, which reaches no medium. */
static bool in_memory(uint64_t off)
{
	return crash_pm.map && map_in_memory(crash_pm.map, off);
}

static void look_at(uint64_t off, size_t n, bool touched)
{
	if (n == 0 || in_memory(off))
		return;
	for (uint64_t i = off / crash_pm.granule; i <= (off + n - 1) / crash_pm.granule; i++)
		unit_look((uint32_t)i, touched);
}

void crash_pm_look(void)
{
	const size_t step = 4096;

	for (uint64_t off = 0; off < crash_pm.size; off += step)
		if (memcmp(crash_pm.seen + off, crash_pm.now + off, step) != 0)
			look_at(off, step, false);
}

/* ---- the layer ------------------------------------------------------------------------------- */

static uint64_t offset_of(struct pm *pm, const void *p)
{
	crash_pm.map = (struct map *)(void *)((char *)pm - offsetof(struct map, pm));
	return (uint64_t)((const uint8_t *)p - crash_pm.map->base);
}

static void point(enum crash_point kind)
{
	if (crash_pm.point)
		crash_pm.point(kind);
}

static void flush_mark(uint64_t off, size_t n)
{
	if (in_memory(off))
		return;
	for (uint64_t i = off / crash_pm.granule; i <= (off + n - 1) / crash_pm.granule; i++) {
		struct crash_unit *u = &crash_pm.unit[i];

		if (u->n)
			u->flushed = (int32_t)u->n - 1;
		crash_pm.flushes_in_vain += u->n == 0;
	}
}

/* zeroed_count - bitmap and directory pages are about to be zeroed. */
static void zeroed_count(const uint8_t *p, size_t n)
{
	size_t i = FMT_LINE;

	while (i < n && p[i] == 0)
		i++;
	crash_pm.zeroed++;
	crash_pm.zeroed_old += i < n;
}

static void crash_write(struct pm *pm, void *dst, const void *src, size_t n)
{
	uint64_t off = offset_of(pm, dst);

	if (!src && off < crash_pm.size &&
	    off >= FMT_SUPER_SIZE + FMT_RING_RECORDS * FMT_RING_RECORD)
		zeroed_count(dst, n);
	pm_plain_write(pm, dst, src, n);
	look_at(off, n, true);
}

void crash_pm_stored(const void *p, size_t n)
{
	look_at((uint64_t)((const uint8_t *)p - crash_pm.map->base), n, true);
}

static void crash_stream(struct pm *pm, void *dst, const void *src, size_t n)
{
	crash_write(pm, dst, src, n);
	if (!crash_pm.cached)
		flush_mark(offset_of(pm, dst), n);
}

static void crash_store8(struct pm *pm, uint64_t *word, uint64_t value)
{
	uint64_t off = offset_of(pm, word);

	pm_plain_store8(pm, word, value);
	look_at(off, sizeof *word, true);
	if (!in_memory(off))
		point(POINT_STORE);
}

static void crash_flush(struct pm *pm, const void *p, size_t n)
{
	uint64_t off = offset_of(pm, p);

	look_at(off, n, false);
	if (!in_memory(off))
		point(POINT_FLUSH);
	if (!crash_pm.cached)
		flush_mark(off, n);
}

/* fence_due - whether this fence is to fail; rare ones do so more often. */
static bool fence_due(unsigned int rare)
{
	return crash_pm.fail_one_in &&
	       rng_below(&crash_pm.rng, crash_pm.fail_one_in / rare + 3) == 0;
}

/* fence_fail - fdatasync said EIO: of every dirty page some version was written, or none; the page
 * counts as clean, or not. */
static int fence_fail(void)
{
	for (size_t d = crash_pm.ndirty; d-- > 0;) {
		uint32_t i = crash_pm.dirty[d];
		struct crash_unit *u = &crash_pm.unit[i];

		if (rng_percent(&crash_pm.rng, 40))
			unit_settle(i, u->version[rng_below(&crash_pm.rng, u->n)]);
		if (rng_percent(&crash_pm.rng, 20))
			continue;
		unit_drop(i, u->n);
		u->stale =
		    memcmp(crash_pm.durable + (uint64_t)i * crash_pm.granule,
		           crash_pm.seen + (uint64_t)i * crash_pm.granule, crash_pm.granule) != 0;
	}
	crash_pm.failures++;
	return EIO;
}

/* fence_unit - what was flushed of the unit, or for a page cache all of it, is durable. */
static void fence_unit(uint32_t i)
{
	struct crash_unit *u = &crash_pm.unit[i];

	if (crash_pm.cached)
		u->flushed = (int32_t)u->n - 1;
	if (u->flushed < 0)
		return;
	unit_settle(i, u->version[u->flushed]);
	unit_drop(i, (uint32_t)u->flushed + 1);
}

static int crash_fence(struct pm *pm)
{
	(void)offset_of(pm, NULL);
	crash_pm_look();
	point(POINT_FENCE);
	if (fence_due(1))
		return err_sys(fence_fail(), "fdatasync");
	crash_pm.size_sure = 0;
	for (size_t d = crash_pm.ndirty; d-- > 0;)
		fence_unit(crash_pm.dirty[d]);
	point(POINT_FENCED);
	return 0;
}

/* The units of the range alone, though a kernel writes whole pages. A failure is as that of all. */
static int crash_fence_range(struct pm *pm, const void *p, size_t n)
{
	const uint64_t off = offset_of(pm, p);

	crash_pm_look();
	point(POINT_FENCE);
	if (fence_due(1))
		return err_sys(fence_fail(), "msync");
	for (uint64_t i = off / crash_pm.granule; i <= (off + n - 1) / crash_pm.granule; i++)
		if (crash_pm.unit[i].n)
			fence_unit((uint32_t)i);
	crash_pm.range_fences++;
	point(POINT_FENCED);
	return 0;
}

const struct pm_ops crash_pm_ops = {
    .name = "crash",
    .write = crash_write,
    .stream = crash_stream,
    .store8 = crash_store8,
    .flush = crash_flush,
    .fence = crash_fence,
    .fence_range = crash_fence_range,
};

void __wrap_pm_init(struct pm *pm, const struct pm_ops *ops, int fd)
{
	__real_pm_init(pm, crash_pm_override && ops != &pm_private_ops ? crash_pm_override : ops,
	               fd);
}

/* ---- the file -------------------------------------------------------------------------------- */

void crash_pm_start(int fd, size_t granule, bool cached, uint64_t seed)
{
	struct crash_pm *c = &crash_pm;
	struct stat st;

	*c = (struct crash_pm){.fd = fd, .granule = granule, .cached = cached};
	if (fstat(fd, &st) != 0)
		die("fstat");
	c->size = (uint64_t)st.st_size;
	c->now = mmap(NULL, CRASH_ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c->now == MAP_FAILED)
		die("mmap");
	c->seen = take(CRASH_ROOM);
	c->durable = take(CRASH_ROOM);
	memcpy(c->seen, c->now, c->size);
	memcpy(c->durable, c->now, c->size);
	c->unit = calloc(CRASH_ROOM / granule, sizeof *c->unit);
	c->dirty = calloc(CRASH_ROOM / granule, sizeof *c->dirty);
	if (!c->unit || !c->dirty)
		die("calloc");
	rng_seed(&c->rng, seed);
}

static void units_forget(uint64_t from)
{
	for (size_t d = crash_pm.ndirty; d-- > 0;)
		if (crash_pm.dirty[d] * (uint64_t)crash_pm.granule >= from)
			unit_drop(crash_pm.dirty[d], crash_pm.unit[crash_pm.dirty[d]].n);
}

void crash_pm_end(void)
{
	units_forget(0);
	for (size_t i = 0; i < CRASH_ROOM / crash_pm.granule; i++)
		free(crash_pm.unit[i].version);
	free(crash_pm.unit);
	free(crash_pm.dirty);
	munmap(crash_pm.now, CRASH_ROOM);
	munmap(crash_pm.seen, CRASH_ROOM);
	munmap(crash_pm.durable, CRASH_ROOM);
}

void crash_pm_died(void)
{
	crash_pm_look();
	for (size_t d = 0; d < crash_pm.ndirty; d++)
		crash_pm.unit[crash_pm.dirty[d]].flushed = -1;
	for (uint64_t off = 0; crash_pm.cached && off < crash_pm.size; off += crash_pm.granule) {
		struct crash_unit *u = &crash_pm.unit[off / crash_pm.granule];

		if (!u->stale || rng_percent(&crash_pm.rng, 50))
			continue;
		memcpy(crash_pm.now + off, crash_pm.durable + off, crash_pm.granule);
		memcpy(crash_pm.seen + off, crash_pm.durable + off, crash_pm.granule);
		u->stale = false;
	}
}

void crash_pm_cut(const uint8_t *image, uint64_t size)
{
	units_forget(0);
	if (ftruncate(crash_pm.fd, (off_t)size) != 0)
		die("ftruncate");
	memcpy(crash_pm.now, image, size);
	memcpy(crash_pm.seen, image, size);
	if (memcmp(crash_pm.durable, image, size) != 0) {
		memcpy(crash_pm.durable, image, size);
		crash_pm.made_durable(0, size);
	}
	for (uint64_t i = 0; i < CRASH_ROOM / crash_pm.granule; i++)
		crash_pm.unit[i].stale = false;
	crash_pm.size = size;
	crash_pm.size_before = crash_pm.size_sure = 0;
	crash_pm.epoch++;
}

static void grown(uint64_t size)
{
	if (size <= crash_pm.size)
		return;
	memset(crash_pm.seen + crash_pm.size, 0, size - crash_pm.size);
	memset(crash_pm.durable + crash_pm.size, 0, size - crash_pm.size);
	crash_pm.made_durable(crash_pm.size, size - crash_pm.size);
	crash_pm.size = size;
	crash_pm.size_before = 0;
	crash_pm.epoch++;
}

static bool sync_fails;

int __wrap_fsync(int fd)
{
	if (!sync_fails)
		return __real_fsync(fd);
	errno = fence_fail();
	return -1;
}

/* In a page cache, growing ends with an fsync, which may fail like any other. It makes more durable
 * than the model assumes. */
int __wrap_map_grow(struct map *map, uint64_t size)
{
	struct stat st;

	if (crash_pm_override != &crash_pm_ops || size <= map->size)
		return __real_map_grow(map, size);
	crash_pm_look();
	sync_fails = fence_due(40);
	int rc = __real_map_grow(map, size);

	sync_fails = false;
	if (!rc && fstat(crash_pm.fd, &st) != 0)
		die("fstat");
	if (!rc) {
		grown((uint64_t)st.st_size);
		crash_pm.size_sure = 0;
	}
	return rc;
}

/* The length is in doubt until a fence. One that a cut file may still have says nothing then. */
int __wrap_map_grow_later(struct map *map, uint64_t size)
{
	const uint64_t sure = crash_pm.size_sure ? crash_pm.size_sure : crash_pm.size;
	struct stat st;

	if (crash_pm_override != &crash_pm_ops || size <= map->size)
		return __real_map_grow_later(map, size);
	crash_pm_look();
	int rc = __real_map_grow_later(map, size);

	if (!rc && fstat(crash_pm.fd, &st) != 0)
		die("fstat");
	if (rc || (uint64_t)st.st_size <= crash_pm.size)
		return rc;
	grown((uint64_t)st.st_size);
	crash_pm.size_sure = sure;
	return 0;
}

int __wrap_map_shrink(struct map *map, uint64_t size)
{
	if (crash_pm_override != &crash_pm_ops)
		return __real_map_shrink(map, size);
	crash_pm_look();
	int rc = __real_map_shrink(map, size);

	if (rc)
		return rc;
	crash_pm.shrinks++;
	crash_pm.size_sure = 0;
	units_forget(round_up(size, crash_pm.granule));
	if (crash_pm.size > crash_pm.size_before)
		crash_pm.size_before = crash_pm.size;
	crash_pm.size = size;
	crash_pm.epoch++;
	return 0;
}
