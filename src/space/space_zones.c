/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_zones.c - the bitmaps of zones, loaded when they are first looked at. See space.h
 *
 * For each zone there are three arrays in one piece of memory: disk, busy and dirty. busy is disk
 * and what the limbo holds. Loading is the only place where bytes of the file become bits here, so
 * it is where offsets are checked; behind it a zone's arrays are this process's own.
 *
 *   disk    the bitmap as the newest commit, and the running transaction, want it on the medium
 *   busy    disk, or a page that a reader or a recovery may still need: what a search looks at
 *   dirty   words of disk that the running transaction has changed: they go into its record
 *
 * A zone costs nothing until it is first looked at, so a large store is opened as fast as a small
 * one, and a process that changes little of it needs little memory.
 */
#include "space/space.h"

#include "base/array.h"
#include "base/base.h"
#include "base/err.h"
#include "media/super.h"
#include "space/space_zones.h"

#include <errno.h>
#include <stdlib.h>

/* ---- zones ----------------------------------------------------------------------------------- */

/* zone_usable - the pages of zone z that lie before end. */
static uint64_t zone_usable(const struct space *s, size_t z)
{
	uint64_t pages = s->end / s->psize;
	uint64_t first = z * s->zone_pages;

	if (pages <= first)
		return 0;
	return min_u64(pages - first, s->zone_pages);
}

/* zone_count_free - of the pages before the file's end: the last zone is rarely whole. */
static uint32_t zone_count_free(const struct space *s, size_t z)
{
	const uint64_t *busy = s->zone[z].busy;
	uint64_t usable = zone_usable(s, z);
	uint64_t used = 0;

	assert(busy);
	assert(usable <= s->zone_pages);
	for (uint64_t i = 0; i * SPACE_WORD_BITS < usable; i++) {
		uint64_t w = busy[i];
		uint64_t left = usable - i * SPACE_WORD_BITS;

		if (left < SPACE_WORD_BITS)
			w &= ((uint64_t)1 << left) - 1;
		used += (uint64_t)__builtin_popcountll(w);
	}
	assert(used <= usable);
	return (uint32_t)(usable - used);
}

void space_zone_recount(struct space *s, size_t z)
{
	struct zone *zone = &s->zone[z];

	s->nfree -= zone->nfree;
	zone->nfree = zone_count_free(s, z);
	zone->longest = (uint32_t)s->zone_pages;
	s->nfree += zone->nfree;
}

/* The three arrays are one piece of memory, which zone->disk owns. */
int space_zone_alloc(struct space *s, size_t z)
{
	struct zone *zone = &s->zone[z];
	uint64_t n = space_zone_words(s);
	uint64_t ndirty = (n + SPACE_WORD_BITS - 1) / SPACE_WORD_BITS;
	uint64_t *p;

	assert(z < s->zone_room);
	assert(!zone->disk);
	p = calloc(2 * n + ndirty, sizeof *p);
	if (!p)
		return err_set(ENOMEM, "no memory for the bitmap of zone %zu", z);
	zone->disk = p;
	zone->busy = p + n;
	zone->dirty = p + 2 * n;
	zone->longest = (uint32_t)s->zone_pages;
	return 0;
}

/* Growth that no commit has carried yet is known from its words only. */
uint64_t space_dir_page(const struct space *s, size_t z)
{
	uint64_t word = space_dir_word(s->psize, z);
	uint64_t dir = space_word_now(s, word);

	for (size_t g = 0; g < s->grown.n; g++)
		if (s->grown.w[g].off == word)
			dir = s->grown.w[g].value;
	return dir;
}

/* The superblock's word is the wrong one. */
int space_dir_check(uint64_t dir, uint32_t psize, uint64_t end, uint64_t z)
{
	if (space_page_valid(dir, psize, end))
		return 0;
	return err_corrupt(space_dir_word(psize, z), "superblock: directory page at 0x%lx",
	                   (unsigned long)dir);
}

/* The directory page's word is the wrong one. */
int space_bitmap_check(uint64_t dir, uint64_t bitmap, uint32_t psize, uint64_t end, uint64_t z)
{
	if (space_page_valid(bitmap, psize, end))
		return 0;
	return err_corrupt(dir, "directory: the bitmap page of zone %lu at 0x%lx", (unsigned long)z,
	                   (unsigned long)bitmap);
}

/* The bits are copied: what the file has changes by commits alone, and this process's copy by each
 * step of the running transaction. */
int space_load_zone(struct space *s, size_t z)
{
	struct zone *zone = &s->zone[z];
	uint64_t per_dir = s->psize / FMT_WORD;
	uint64_t dir;
	uint64_t bitmap;
	int rc;

	assert(z < s->zone_room);
	if (zone->disk)
		return 0;
	dir = space_dir_page(s, z);
	rc = space_dir_check(dir, s->psize, s->end, z);
	if (rc)
		return rc;
	bitmap = load_word(space_word_at(s, dir + z % per_dir * FMT_WORD));
	rc = space_bitmap_check(dir, bitmap, s->psize, s->end, z);
	if (rc)
		return rc;
	rc = space_zone_alloc(s, z);
	if (rc)
		return rc;
	zone->bitmap_off = bitmap;
	memcpy(zone->disk, map_at(s->map, bitmap), s->psize);
	memcpy(zone->busy, zone->disk, s->psize);
	space_zone_hold(s, z);
	if (UNLIKELY(s->keeping)) {
		rc = space_zone_keep(s, z);
		if (rc) { /* looked at again by the next one */
			free(zone->disk);
			*zone = (struct zone){0};
			return rc;
		}
	}
	space_zone_recount(s, z);
	return 0;
}

/* New entries are zeros, which means not loaded. */
int space_zones_room(struct space *s, size_t n)
{
	const size_t before = s->zone_room;

	if (n <= before)
		return 0;
	int rc = array_room(&s->zone, n - 1, &s->zone_room, sizeof *s->zone);

	if (rc)
		return rc;
	memset(s->zone + before, 0, (s->zone_room - before) * sizeof *s->zone);
	return 0;
}

/* Rounded up: the last one may be covered in part. */
size_t space_zones_for(const struct space *s, uint64_t bytes)
{
	uint64_t zone_bytes = s->zone_pages * s->psize;

	return (size_t)((bytes + zone_bytes - 1) / zone_bytes);
}

/* Nothing is read: the first page that is wanted loads the first zone. */
int space_open(struct space *s, struct map *map, uint32_t psize, uint64_t size)
{
	*s = (struct space){
	    .map = map,
	    .psize = psize,
	    .zone_pages = (uint64_t)psize * 8,
	    .end = size,
	    .reserve = space_reserve_of(psize, size / psize),
	};
	size_t zones = space_zones_for(s, size);
	int rc = space_zones_room(s, zones);

	if (rc)
		return rc;
	s->nzones = zones;
	return 0;
}

/* zones_forget - what is known of the bitmaps goes; the array of zones stays. */
static void zones_forget(struct space *s)
{
	for (size_t z = 0; z < s->nzones; z++) {
		free(s->zone[z].disk);
		s->zone[z] = (struct zone){0};
	}
	s->nfree = 0;
}

/* The log must be empty: this is a writer that begins, not one that runs. */
int space_reset(struct space *s, uint64_t size)
{
	size_t zones = space_zones_for(s, size);
	int rc = space_zones_room(s, zones);

	if (rc)
		return rc;
	zones_forget(s);
	s->end = size;
	s->reserve = space_reserve_of(s->psize, size / s->psize);
	s->puts = false;
	s->coarse = false;
	s->nzones = zones;
	s->hint = 0;
	s->extent_hint = 0;
	s->extent_pages = 0;
	s->nops = 0;
	s->ndirty = 0;
	s->gained = 0;
	s->grown.n = 0;
	s->moved = false;
	return 0;
}

/* Safe on a struct space that is all zeros. */
void space_close(struct space *s)
{
	zones_forget(s);
	free(s->zone);
	free(s->op);
	free(s->dirty_word);
	free(s->grown.w);
	free(s->memory.bits);
	limbo_free(&s->limbo);
	*s = (struct space){0};
}
