/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_zones.c - the bitmaps of zones, loaded when they are first looked at. See space.h
 *
 * For each zone there are three arrays in one piece of memory: disk, busy and dirty. busy is disk
 * and what the limbo holds. Loading is the only place where bytes of the file become bits here, so
 * it is where offsets are checked; behind it a zone's arrays are this process's own.
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

/* Of the pages before the file's end: the last zone is rarely whole. */
uint32_t space_zone_count_free(const struct space *s, size_t z)
{
	assert(s->zone[z].busy);
	uint64_t usable = zone_usable(s, z);
	uint64_t used = 0;

	for (uint64_t i = 0; i * SPACE_WORD_BITS < usable; i++) {
		uint64_t w = s->zone[z].busy[i];
		uint64_t left = usable - i * SPACE_WORD_BITS;

		if (left < SPACE_WORD_BITS)
			w &= ((uint64_t)1 << left) - 1;
		used += (uint64_t)__builtin_popcountll(w);
	}
	return (uint32_t)(usable - used);
}

int space_zone_alloc(struct space *s, size_t z)
{
	assert(z < s->zone_room && !s->zone[z].disk);
	uint64_t n = space_zone_words(s);
	uint64_t ndirty = (n + SPACE_WORD_BITS - 1) / SPACE_WORD_BITS;
	uint64_t *p = calloc(2 * n + ndirty, sizeof *p);

	if (!p)
		return err_set(ENOMEM, "no memory for the bitmap of zone %zu", z);
	s->zone[z].disk = p;
	s->zone[z].busy = p + n;
	s->zone[z].dirty = p + 2 * n;
	s->zone[z].longest = (uint32_t)s->zone_pages;
	return 0;
}

/* zone_hold - pages in the limbo are busy. */
static void zone_hold(struct space *s, size_t z)
{
	uint64_t first = z * s->zone_pages;
	uint64_t last = first + s->zone_pages;

	for (size_t i = 0; i < s->limbo.n; i++) {
		const struct limbo_item *it =
		    &s->limbo.item[(s->limbo.head + i) & (s->limbo.room - 1)];
		uint64_t from = max_u64(it->off / s->psize, first);
		uint64_t to = min_u64(it->off / s->psize + it->pages, last);

		for (uint64_t p = from; p < to; p++)
			s->zone[z].busy[(p - first) / SPACE_WORD_BITS] |= (uint64_t)1
			                                                  << p % SPACE_WORD_BITS;
	}
}

/* Growth that no commit has carried yet is known from its words only. */
uint64_t space_dir_page(const struct space *s, size_t z)
{
	size_t i = z / (s->psize / FMT_WORD);
	uint64_t dir = load_word(&space_super(s)->dir[i]);

	for (size_t g = 0; g < s->grown.n; g++)
		if (s->grown.w[g].off == offsetof(struct fmt_super, dir) + i * FMT_WORD)
			dir = s->grown.w[g].value;
	return dir;
}

int space_load_zone(struct space *s, size_t z)
{
	assert(z < s->zone_room);
	struct zone *zone = &s->zone[z];
	uint64_t per_dir = s->psize / FMT_WORD;
	int rc;

	if (zone->disk)
		return 0;
	uint64_t dir = space_dir_page(s, z);

	if (dir % s->psize || dir == 0 || dir >= s->end)
		return err_corrupt(offsetof(struct fmt_super, dir) + z / per_dir * FMT_WORD,
		                   "superblock: directory page at 0x%lx", (unsigned long)dir);
	uint64_t bitmap = load_word(space_word_at(s, dir + z % per_dir * FMT_WORD));

	if (bitmap % s->psize || bitmap == 0 || bitmap >= s->end)
		return err_corrupt(dir, "directory: the bitmap page of zone %zu at 0x%lx", z,
		                   (unsigned long)bitmap);
	rc = space_zone_alloc(s, z);
	if (rc)
		return rc;
	zone->bitmap_off = bitmap;
	memcpy(zone->disk, s->map->base + bitmap, s->psize);
	memcpy(zone->busy, zone->disk, s->psize);
	zone_hold(s, z);
	zone->nfree = space_zone_count_free(s, z);
	return 0;
}

/* Half more than needed: growth comes in many steps. New entries are zeros, which means not
 * loaded. */
int space_zones_room(struct space *s, size_t n)
{
	if (n <= s->zone_room)
		return 0;
	size_t room = n + n / 2 + 8;
	struct zone *zone = realloc(s->zone, room * sizeof *zone);

	if (!zone)
		return err_set(ENOMEM, "no memory for %zu zones", room);
	memset(zone + s->zone_room, 0, (room - s->zone_room) * sizeof *zone);
	s->zone = zone;
	s->zone_room = room;
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
	s->nzones = zones;
	s->hint = s->extent_hint = s->extent_pages = 0;
	s->nops = s->ndirty = 0;
	s->gained = 0;
	s->grown.n = 0;
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
	limbo_free(&s->limbo);
	*s = (struct space){0};
}
