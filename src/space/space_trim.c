/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_trim.c - giving free space at the file's end back. See space.h
 *
 * What is cut must be nobody's: the limbo is empty, all words are durable in place, and this is
 * the only user. The bitmaps of zones that go, and directory pages that name none any more, are
 * given back like pages of a tree; the size word is lowered by the same commit.
 */
#include "base/base.h"
#include "space/space.h"

/* cut off by one commit: each takes a directory word, and their bitmaps a few */
#define TRIM_ZONES 20u

/* is_meta_from - whether the page is a bitmap page of a zone at or after z, or a directory page of
 * such zones only. */
static bool is_meta_from(const struct space *s, uint64_t off, size_t z)
{
	uint64_t per_dir = s->psize / FMT_WORD;

	for (size_t i = z; i < s->nzones; i++)
		if (s->zone[i].bitmap_off == off)
			return true;
	for (size_t d = (size_t)((z + per_dir - 1) / per_dir); d * per_dir < s->nzones; d++)
		if (space_dir_page(s, d * per_dir) == off)
			return true;
	return false;
}

/* last_needed - the last page that holds anything but the bitmaps of zones behind it. Loads the
 * zones from there on: a store that is full to its end costs one. */
static int last_needed(struct space *s, uint64_t *page)
{
	*page = 0;
	for (size_t z = s->nzones; z-- > 0;) {
		int rc = space_load_zone(s, z);

		if (rc)
			return rc;
		for (uint64_t w = space_zone_words(s); w-- > 0;)
			for (uint64_t bits = s->zone[z].busy[w]; bits;) {
				uint64_t top = 63 - (uint64_t)__builtin_clzll(bits);

				*page = z * s->zone_pages + w * SPACE_WORD_BITS + top;
				if (!is_meta_from(s, *page * s->psize, z + 1) &&
				    !(z > 0 && is_meta_from(s, *page * s->psize, z)))
					return 0;
				bits &= ~((uint64_t)1 << top);
			}
	}
	return 0;
}

/* dir_word - the next commit makes the directory word at off 0. Growth that no commit has carried
 * yet may have set it: a record has no word twice. */
static int dir_word(struct space *s, uint64_t off)
{
	for (size_t i = 0; i < s->grown.n; i++)
		if (s->grown.w[i].off == off) {
			s->grown.w[i].value = 0;
			return 0;
		}
	return words_add(&s->grown, off, 0);
}

/* end_wanted - where the file may end: behind the last page needed, not below floor, and not so far
 * down that the words of the zones cut off do not fit a record. */
static uint64_t end_wanted(const struct space *s, uint64_t last, uint64_t floor)
{
	const uint64_t zone_bytes = s->zone_pages * s->psize;
	const uint64_t used = (last + 1) * s->psize;
	uint64_t end = max_u64(round_up(used, space_step(s, used)), round_up(floor, s->psize));

	const uint64_t committed =
	    (load_word(&((const struct fmt_super *)(const void *)s->map->base)->size) + zone_bytes -
	     1) /
	    zone_bytes;

	/* zones that no commit has carried yet take no words */
	if (committed > TRIM_ZONES)
		end = max_u64(end, (committed - TRIM_ZONES) * zone_bytes);
	return min_u64(end, s->end);
}

/* tail_kept - free space that is not worth a cut: else a small store that grows a little at each
 * use is cut and grown each time. */
static uint64_t tail_kept(const struct space *s, uint64_t end)
{
	if (s->psize < FMT_SUPER_SIZE)
		return space_step(s, end);
	return min_u64(end, MAP_STEP);
}

/* A failure undoes the whole plan: the end stays where it was. */
int space_trim(struct space *s, uint64_t floor, bool *cut)
{
	uint64_t last;
	uint64_t per_dir = s->psize / FMT_WORD;
	int rc = last_needed(s, &last);

	*cut = false;
	if (rc)
		return rc;
	assert(s->limbo.n == 0 && s->nops == 0);
	uint64_t new_end = end_wanted(s, last, floor);
	size_t zones =
	    (size_t)((new_end + s->zone_pages * s->psize - 1) / (s->zone_pages * s->psize));

	if (new_end + tail_kept(s, new_end) > s->end)
		return 0;
	for (size_t z = zones; z < s->nzones && !rc; z++) {
		uint64_t dir = space_dir_page(s, z);

		rc = space_give_own(s, s->zone[z].bitmap_off, 1);
		if (!rc && z / per_dir >= (zones + per_dir - 1) / per_dir) {
			if (z % per_dir == 0) {
				rc = space_give_own(s, dir, 1);
				if (!rc)
					rc = dir_word(s, offsetof(struct fmt_super, dir) +
					                     z / per_dir * FMT_WORD);
			}
		} else if (!rc) {
			rc = dir_word(s, dir + z % per_dir * FMT_WORD);
		}
	}
	if (rc) {
		space_undo(s, 0);
		s->grown.n = 0;
		return rc;
	}
	s->end = new_end;
	assert(new_end % s->psize == 0);
	*cut = true;
	return 0;
}
