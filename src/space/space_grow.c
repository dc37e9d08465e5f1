/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_grow.c - a longer file, when no free pages are enough. See space.h
 *
 *   | ... tail free pages | bitmap and directory pages of new zones | new free pages |
 *                         end                                                       new end
 *
 * When the tail is to be one extent with the new pages, the zones' own pages come at the tail's
 * begin. Growth has an order, in which what can fail comes first: the file (map_grow), the room in
 * memory, the new zones' pages, empty and durable; then grow_finish, which cannot fail. The words
 * that name the new pages wait in grown for the next commit, so a crash before it leaves a file
 * that is longer than its size word says, and nothing else. Growth is not undone by an abort.
 */
#include "base/base.h"
#include "base/err.h"
#include "media/super.h"
#include "space/space.h"
#include "space/space_zones.h"

#include <errno.h>
#include <stdlib.h>

#define GROW_MAX ((uint64_t)16 << 20) /* bytes at a time: a put waits until the medium has them */
/* in a lazy interval, where it does not wait: a step, and the part of the file that is grown by */
#define KEPT_STEP ((uint64_t)256 << 10)
#define KEPT_PART 64u

/* grow_meta - pages that the zones take which [end, new_end) reaches first: their bitmaps, and the
 * directory pages of these. */
static uint64_t grow_meta(const struct space *s, uint64_t new_end)
{
	size_t zones = space_zones_for(s, new_end);
	uint64_t bitmaps = zones - s->nzones;
	uint64_t dirs = space_dirs_for(s->psize, zones) - space_dirs_for(s->psize, s->nzones);

	assert(zones >= s->nzones);
	return bitmaps + dirs;
}

/* grow_zone - give zone z its bitmap page, and dir a word for it: the directory page that lies at
 * dir, which is new when the zone is its first one and new_dir holds. Returns ENOMEM. */
static int grow_zone(struct space *s, size_t z, uint64_t bitmap, uint64_t dir, bool new_dir)
{
	uint64_t in_dir = z % (s->psize / FMT_WORD);
	int rc;

	if (new_dir && in_dir == 0) {
		rc = words_add(&s->grown, space_dir_word(s->psize, z), dir);
		if (rc)
			return rc;
	}
	rc = words_add(&s->grown, dir + in_dir * FMT_WORD, bitmap);
	if (rc)
		return rc;
	rc = space_zone_alloc(s, z);
	if (rc)
		return rc;
	s->zone[z].bitmap_off = bitmap;
	return 0;
}

/* meta_zero - the bitmap and directory pages of new zones, empty and durable. */
static int meta_zero(struct space *s, uint64_t head, uint64_t meta)
{
	struct pm *pm = &s->map->pm;
	const uint8_t *at = map_at(s->map, head);

	pm_zero(pm, at, meta * s->psize);
	pm_flush(pm, at, meta * s->psize);
	if (s->keeping) { /* as in grow_to */
		s->map->unsettled = true;
		return 0;
	}
	/* Orders: empty bitmap and directory pages, before the record whose words name them and set
	 * bits in them [I11]. */
	return pm_fence(pm);
}

/* grow_zones - give those zones their bitmap and directory pages, from head on: the directory pages
 * first, then a bitmap page for each zone. They are zeroed and durable before any word names
 * them. */
static int grow_zones(struct space *s, uint64_t new_end, uint64_t head)
{
	size_t zones = space_zones_for(s, new_end);
	size_t old = s->nzones;
	uint64_t per_dir = s->psize / FMT_WORD;
	uint64_t old_dirs = space_dirs_for(s->psize, old);
	uint64_t new_dirs = space_dirs_for(s->psize, zones) - old_dirs;
	uint64_t bitmaps = head + new_dirs * s->psize;
	uint64_t meta = grow_meta(s, new_end);
	int rc = space_zones_room(s, zones);

	if (rc)
		return rc;
	for (size_t z = old; z < zones; z++) {
		bool new_dir = z / per_dir >= old_dirs;
		uint64_t dir;

		if (new_dir)
			dir = head + (z / per_dir - old_dirs) * s->psize;
		else
			dir = space_dir_page(s, z);
		if (!new_dir)
			rc = space_dir_check(dir, s->psize, s->end, z);
		if (rc)
			return rc;
		rc = grow_zone(s, z, bitmaps + (z - old) * s->psize, dir, new_dir);
		if (rc)
			return rc;
	}
	if (!meta)
		return 0;
	rc = meta_zero(s, head, meta);
	if (rc)
		return err_sys(rc, "growing the store to %lu bytes", (unsigned long)new_end);
	return 0;
}

/* grow_finish - the file has grown: the pages are there, and the bitmaps know it. Cannot fail. */
static void grow_finish(struct space *s, uint64_t new_end, uint64_t head, uint64_t meta)
{
	uint64_t end = s->end;
	size_t last = 0;

	assert(new_end > s->end);
	assert(new_end % s->psize == 0);
	if (s->nzones)
		last = s->nzones - 1;
	s->nzones = space_zones_for(s, new_end);
	s->end = new_end;
	s->reserve = space_reserve_of(s->psize, new_end / s->psize);
	for (size_t z = last; z < s->nzones; z++) {
		if (s->zone[z].disk)
			space_zone_recount(s, z);
	}
	if (meta)
		space_bits_set(s, head, meta, SPACE_DISK | SPACE_BUSY, true);
	counter_add(&s->grows, 1);
	space_found_free(s, end / s->psize);
}

/* grow_prepare - all that may fail before grow_finish, but for the file's own growth: room in the
 * log and the touched words, the zones in memory, and the new zones' pages. */
static int grow_prepare(struct space *s, uint64_t new_end, uint64_t head, uint64_t meta)
{
	int rc = 0;

	if (meta && head < s->end)
		rc = space_op_room(s, head, meta);
	else if (meta)
		rc = space_op_room(s, s->end - s->psize, 1);
	if (rc)
		return rc;
	rc = space_dirty_reserve(s, meta / SPACE_WORD_BITS + 4);
	if (rc)
		return rc;
	/* the last zone, which is not whole, holds the first new pages */
	if (s->end % (s->zone_pages * s->psize)) {
		rc = space_load_zone(s, s->nzones - 1);
		if (rc)
			return rc;
	}
	return grow_zones(s, new_end, head);
}

/* grow_forget - zones that grow_prepare made go again, and the words for them. */
static void grow_forget(struct space *s, uint64_t new_end, size_t grown)
{
	size_t zones = space_zones_for(s, new_end);

	assert(grown <= s->grown.n);
	s->grown.n = grown;
	for (size_t z = s->nzones; z < zones && z < s->zone_room; z++) {
		free(s->zone[z].disk);
		s->zone[z] = (struct zone){0};
	}
}

/* grow_to - the file and the bitmaps reach new_end, which has tail free pages before it already:
 * those that are new are to follow them without a gap, so bitmaps of new zones come at their begin.
 * On failure nothing has changed but, perhaps, the file's length. */
static int grow_to(struct space *s, uint64_t new_end, uint64_t tail)
{
	size_t grown = s->grown.n;
	uint64_t meta = grow_meta(s, new_end);
	uint64_t head = s->end;
	int rc;

	assert(new_end > s->end);
	assert(tail * s->psize <= s->end);
	if (tail >= meta)
		head = s->end - tail * s->psize;
	/* a lazy interval's sync has a fence before anything durable refers to the new pages [L4]
	 */
	if (s->keeping)
		rc = map_grow_later(s->map, new_end);
	else
		rc = map_grow(s->map, new_end);
	if (rc)
		return rc;
	rc = grow_prepare(s, new_end, head, meta);
	if (rc) {
		grow_forget(s, new_end, grown);
		return rc;
	}
	grow_finish(s, new_end, head, meta);
	return 0;
}

/* end_for - where the file must end for pages more in one piece, of which it has tail at its end
 * already. A longer file may have more zones, whose bitmaps make it longer again: the loop ends
 * because a zone has room for many times its own bitmap. */
static uint64_t end_for(const struct space *s, uint64_t pages, uint64_t tail)
{
	uint64_t meta = 0;

	assert(tail <= pages);
	for (;;) {
		uint64_t end = s->end + (pages + meta - tail) * s->psize;
		uint64_t more = grow_meta(s, end);

		if (more <= meta)
			return end;
		meta = more;
	}
}

/* A step is at most half of the file, so that a small store does not double its file by one page.
 */
uint64_t space_step(const struct space *s, uint64_t size)
{
	uint64_t step = MAP_STEP;

	if (s->psize < FMT_SUPER_SIZE)
		return (uint64_t)s->psize * SPACE_TEST_STEP;
	if (s->map->medium == DAXKV_MEDIUM_DAX)
		return step;
	while (step > SPACE_STEP_LEAST && step > size / 2)
		step /= 2;
	return step;
}

/* grow_step - what the file's new end is a multiple of. */
static uint64_t grow_step(const struct space *s)
{
	const uint64_t step = space_step(s, s->end);

	return s->keeping ? min_u64(step, KEPT_STEP) : step;
}

/* growth_wanted - a small file doubles, until that is a step; then it grows by steps, or by an
 * eighth when that is more. In bytes, and at most GROW_MAX. In a lazy interval, which takes the
 * file's pages once more, it grows by little: what is too much is space that nothing needs
 * afterwards. */
static uint64_t growth_wanted(const struct space *s)
{
	uint64_t least = min_u64(s->end, MAP_STEP);

	if (s->psize < FMT_SUPER_SIZE)
		least = space_step(s, s->end);
	if (s->keeping)
		return min_u64(max_u64(s->end / KEPT_PART, min_u64(least, KEPT_STEP)), GROW_MAX);
	return min_u64(max_u64(s->end / 8, least), GROW_MAX);
}

/* ENOMEM: growth needs address space and memory for bitmaps, without which smaller steps may do. */
bool space_no_room(int rc)
{
	switch (rc) {
	case DAXKV_FULL:
	case ENOSPC:
	case EFBIG:
	case EDQUOT:
	case ENOMEM:
		return true;
	default:
		return false;
	}
}

/* size_limit - bytes that the file may have, by the store's limit and by the format. */
static uint64_t size_limit(const struct space *s)
{
	uint64_t cap = round_down(load_word(&s->map->cap), s->psize);

	return min_u64(cap, super_max_bytes(s->psize));
}

/* store_full - the text says what is missing: a maximum is chosen by the user. */
static int store_full(const struct space *s, uint64_t limit, uint64_t pages)
{
	return err_set(
	    DAXKV_FULL,
	    "the store is full: %lu bytes in use of at most %lu, and %lu more are needed",
	    (unsigned long)s->end, (unsigned long)limit, (unsigned long)(pages * s->psize));
}

/* grow_big - where the file ends when it grows as growth_wanted, for an extent of so many pages;
 * small, the least that will do, when that much is not enough. */
static uint64_t grow_big(const struct space *s, uint64_t pages, uint64_t tail, uint64_t small,
                         uint64_t limit)
{
	uint64_t wanted = round_up(s->end + growth_wanted(s), grow_step(s));
	uint64_t big = min_u64(wanted, limit);
	uint64_t meta;

	if (big < small)
		return small;
	meta = grow_meta(s, big);
	/* the bitmaps would part the free pages at the end from the new ones */
	if (tail && tail < meta)
		return small;
	if ((big - s->end) / s->psize + tail < pages + meta)
		return small;
	return big;
}

/* As growth_wanted, and less when there is no room for that much. */
int space_grow(struct space *s, uint64_t pages)
{
	uint64_t limit = size_limit(s);
	uint64_t tail = 0;
	uint64_t end;
	uint64_t small;
	uint64_t big;
	int rc;

	if (s->stays)
		limit = s->end;
	if (pages > limit / s->psize)
		return store_full(s, limit, pages);
	rc = space_tail(s, pages - 1, &tail);
	if (rc)
		return rc;
	/* bitmaps come between */
	if (tail && tail < grow_meta(s, end_for(s, pages, tail)))
		tail = 0;
	end = end_for(s, pages, tail);
	if (end > limit)
		return store_full(s, limit, pages);
	small = min_u64(round_up(end, grow_step(s)), limit);
	big = grow_big(s, pages, tail, small, limit);
	rc = grow_to(s, big, tail);
	if (space_no_room(rc) && small < big)
		rc = grow_to(s, small, tail);
	return rc;
}
