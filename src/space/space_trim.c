/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_trim.c - giving free space at the file's end back. See space.h
 *
 * What is cut must be nobody's. Pages in the limbo are busy, so they count as in use here, and all
 * words are durable in place. The bitmaps of zones that go, and directory pages that name none any
 * more, are given back like pages of a tree; the size word is lowered by the same commit.
 */
#include "base/base.h"
#include "space/space.h"
#include "space/space_zones.h"

/* cut off by one commit: each takes a directory word, and their bitmaps a few */
#define TRIM_ZONES 20u

/* bitmap_at - where the bitmap page of zone z lies. A zone that is not loaded has it where the file
 * says. CORRUPT. */
static int bitmap_at(const struct space *s, size_t z, uint64_t *off)
{
	const uint64_t per_dir = s->psize / FMT_WORD;
	const uint64_t dir = space_dir_page(s, z);
	int rc = space_dir_check(dir, s->psize, s->end, z);

	if (rc)
		return rc;
	*off = s->zone[z].bitmap_off;
	if (s->zone[z].disk)
		return 0;
	*off = load_word(space_word_at(s, dir + z % per_dir * FMT_WORD));
	return space_bitmap_check(dir, *off, s->psize, s->end, z);
}

/* is_own - whether the page is a bitmap page, or a directory page, of any zone. Where nothing has
 * moved, it is of the zone that it lies in or of the next one: so these are asked first. CORRUPT.
 */
static int is_own(const struct space *s, uint64_t page, bool *is)
{
	const uint64_t per_dir = s->psize / FMT_WORD;
	const uint64_t first = page / s->zone_pages;
	int rc = 0;

	*is = false;
	for (size_t i = 0; i < s->nzones && !*is && !rc; i++) {
		const size_t z = (size_t)((first + i) % s->nzones);
		uint64_t off = 0;

		rc = bitmap_at(s, z, &off);
		*is = off == page * s->psize;
		if (z % per_dir == 0)
			*is |= space_dir_page(s, z) == page * s->psize;
	}
	return rc;
}

/* zone_content - the last page of zone z, which is loaded, that is in use and no zone's own; 0:
 * there is none. CORRUPT. */
static int zone_content(const struct space *s, size_t z, uint64_t *page)
{
	for (uint64_t w = space_zone_words(s); w-- > 0;) {
		uint64_t bits = s->zone[z].busy[w];

		while (bits) {
			uint64_t top = 63 - (uint64_t)__builtin_clzll(bits);
			bool own;

			*page = z * s->zone_pages + w * SPACE_WORD_BITS + top;
			int rc = is_own(s, *page, &own);

			if (rc || !own)
				return rc;
			bits &= ~((uint64_t)1 << top);
		}
	}
	*page = 0;
	return 0;
}

/* own_last - the last page that zones before end have of their own, when it lies behind *page.
 * CORRUPT. */
static int own_last(const struct space *s, uint64_t end, uint64_t *page)
{
	const uint64_t per_dir = s->psize / FMT_WORD;

	for (size_t z = 0; z < s->nzones && z < space_zones_for(s, end); z++) {
		uint64_t off = 0;
		int rc = bitmap_at(s, z, &off);

		if (rc)
			return rc;
		*page = max_u64(*page, off / s->psize);
		if (z % per_dir == 0)
			*page = max_u64(*page, space_dir_page(s, z) / s->psize);
	}
	return 0;
}

/* content_last - the last page in use that is no zone's own; 0: there is none. Loads the zones from
 * there on: a store that is full to its end costs one. CORRUPT, ENOMEM. */
static int content_last(struct space *s, uint64_t *page)
{
	int rc = 0;

	*page = 0;
	for (size_t z = s->nzones; z-- > 0 && !*page && !rc;) {
		rc = space_load_zone(s, z);
		if (!rc)
			rc = zone_content(s, z, page);
	}
	return rc;
}

/* dir_word - the next commit makes the directory word at off 0. Growth that no commit has carried
 * yet may have set it: a record has no word twice. */
static int dir_word(struct space *s, uint64_t off)
{
	assert(off % FMT_WORD == 0);
	for (size_t i = 0; i < s->grown.n; i++)
		if (s->grown.w[i].off == off) {
			s->grown.w[i].value = 0;
			return 0;
		}
	return words_add(&s->grown, off, 0);
}

/* reserve_kept - free pages that the end keeps, because there are not enough of them before the
 * last page needed: removals may want them when the medium is full [I22]. */
static uint64_t reserve_kept(const struct space *s, uint64_t last)
{
	const uint64_t tail = s->end / s->psize - 1 - last;
	const uint64_t before = s->nfree - min_u64(s->nfree, tail);
	const uint64_t reserve = space_reserve_of(s->psize, last + 1);

	return reserve - min_u64(reserve, before);
}

/* end_wanted - where the file may end: behind the last page needed, not below floor, and not so far
 * down that the words of the zones cut off do not fit a record. */
static uint64_t end_wanted(const struct space *s, uint64_t last, uint64_t floor)
{
	const uint64_t zone_bytes = s->zone_pages * s->psize;
	const uint64_t used = (last + 1 + reserve_kept(s, last)) * s->psize;
	const uint64_t committed = space_zones_for(s, load_word(&space_super(s)->size));
	uint64_t end = max_u64(round_up(used, space_step(s, used)), round_up(floor, s->psize));

	/* zones that no commit has carried yet take no words */
	if (committed > TRIM_ZONES)
		end = max_u64(end, (committed - TRIM_ZONES) * zone_bytes);
	return min_u64(end, s->end);
}

/* end_find - the last page that must stay, and where the file may end: the zones that are there
 * then have all of their own pages, wherever these lie. CORRUPT, ENOMEM. */
static int end_find(struct space *s, uint64_t floor, uint64_t *last, uint64_t *end)
{
	uint64_t before;
	int rc = content_last(s, last);

	while (!rc) {
		before = *last;
		*end = end_wanted(s, before, floor);
		rc = own_last(s, *end, last);
		if (*last == before)
			break;
	}
	return rc;
}

/* tail_kept - free space that is not worth a cut: else a small store that grows a little at each
 * use is cut and grown each time. */
static uint64_t tail_kept(const struct space *s, uint64_t end)
{
	if (s->psize < FMT_SUPER_SIZE)
		return space_step(s, end);
	return min_u64(end, MAP_STEP);
}

/* zone_cut - zone z goes, zones being how many stay: its bitmap page, and its directory page with
 * the superblock's word for it when no zone that stays has a word there. */
static int zone_cut(struct space *s, size_t z, size_t zones)
{
	uint64_t per_dir = s->psize / FMT_WORD;
	uint64_t dir = space_dir_page(s, z);
	bool dir_stays = z / per_dir < space_dirs_for(s->psize, zones);
	int rc;

	assert(z >= zones);
	rc = space_give_own(s, s->zone[z].bitmap_off, 1);
	if (rc)
		return rc;
	if (dir_stays)
		return dir_word(s, dir + z % per_dir * FMT_WORD);
	/* once, for the first of the directory page's zones */
	if (z % per_dir != 0)
		return 0;
	rc = space_give_own(s, dir, 1);
	if (rc)
		return rc;
	return dir_word(s, space_dir_word(s->psize, z));
}

/* A failure undoes the whole plan: the end stays where it was. */
int space_trim(struct space *s, uint64_t floor, bool all, bool *cut)
{
	uint64_t last;
	uint64_t new_end = 0;
	uint64_t kept = 0;
	size_t zones;
	int rc = end_find(s, floor, &last, &new_end);

	*cut = false;
	if (rc)
		return rc;
	assert(s->nops == 0);
	zones = space_zones_for(s, new_end);
	if (!all)
		kept = tail_kept(s, new_end);
	if (new_end >= s->end)
		return 0;
	if (new_end + kept > s->end)
		return 0;
	for (size_t z = zones; z < s->nzones; z++) {
		rc = zone_cut(s, z, zones);
		if (rc) {
			space_undo(s, 0);
			s->grown.n = 0;
			return rc;
		}
	}
	assert(new_end % s->psize == 0);
	space_end_set(s, new_end);
	*cut = true;
	return 0;
}

void space_end_set(struct space *s, uint64_t end)
{
	s->end = end;
	s->reserve = space_reserve_of(s->psize, end / s->psize);
}

int space_last(struct space *s, uint64_t *off)
{
	uint64_t end;
	int rc = end_find(s, 0, off, &end);

	*off *= s->psize;
	return rc;
}
