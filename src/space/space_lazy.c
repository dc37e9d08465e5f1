/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_lazy.c - free space while the file's superblock, and all that it reaches, has to stay as it
 * is: a lazy interval. See space.h, docs/DESIGN.md
 *
 *   the file's superblock -> directory -> bitmap of S       never changed, its pages are not taken
 *   the shadow superblock -> directory -> bitmap of N       in pages of their own
 *
 * What S has in use is told by its own bitmaps, which lie where they lay: no list of such pages is
 * kept, so none can be lost with a process [L3]. A bitmap page that a commit is to change is copied
 * to a page of its own first, and so is the directory page above, once in an interval [L1]. To take
 * these pages changes bitmaps in turn, but each page moves once, so that ends.
 */
#include "base/base.h"
#include "base/err.h"
#include "space/space.h"
#include "space/space_zones.h"

/* kept_bitmap - where the bitmap page of zone z is, by that superblock; 0: the zone begins behind
 * its end. */
static int kept_bitmap(const struct space *s, const struct fmt_super *super, size_t z,
                       uint64_t *bitmap)
{
	const uint64_t per_dir = s->psize / FMT_WORD;
	const uint64_t size = load_word(&super->size);
	const uint64_t dir = load_word(&super->dir[z / per_dir]);

	int rc;

	*bitmap = 0;
	if (z * s->zone_pages * s->psize >= size)
		return 0;
	rc = space_dir_check(dir, s->psize, size, z);
	if (rc)
		return rc;
	if (size > load_word(&s->map->size))
		rc = map_extend(s->map, size);
	if (rc)
		return rc;
	*bitmap = load_word(space_word_at(s, dir + z % per_dir * FMT_WORD));
	return space_bitmap_check(dir, *bitmap, s->psize, size, z);
}

int space_zone_keep(struct space *s, size_t z)
{
	const struct fmt_super *file = map_super(s->map);
	struct zone *zone = &s->zone[z];
	int rc = kept_bitmap(s, file, z, &zone->kept_off);

	if (rc)
		return rc;
	if (!zone->kept_off)
		return 0;
	const uint64_t *kept = space_word_at(s, zone->kept_off);

	for (uint64_t w = 0; w < space_zone_words(s); w++)
		zone->busy[w] |= load_word(kept + w);
	return 0;
}

int space_keep(struct space *s, const struct fmt_super *shadow)
{
	s->shadow = shadow;
	if (s->keeping)
		return 0;
	s->keeping = true;
	for (size_t z = 0; z < s->nzones; z++) {
		int rc = 0;

		if (s->zone[z].disk)
			rc = space_zone_keep(s, z);

		if (rc) {
			space_keep_end(s);
			return rc;
		}
	}
	return 0;
}

void space_keep_end(struct space *s)
{
	s->keeping = false;
	s->shadow = NULL;
	for (size_t z = 0; z < s->nzones; z++)
		s->zone[z].kept_off = 0;
}

bool space_op_kept(const struct space *s, const struct space_op *op)
{
	if (op->kind != SPACE_HELD)
		return false;
	return space_kept(s, op->off);
}

/* bitmap_keep - the bitmap of zone z, which the commit changes, goes elsewhere if it must not
 * change. */
static int bitmap_keep(struct space *s, size_t z)
{
	const uint64_t off = s->zone[z].bitmap_off;
	int rc = space_load_zone(s, (size_t)(off / s->psize / s->zone_pages));

	if (rc)
		return rc;
	if (!space_kept(s, off))
		return 0;
	return space_bitmap_move(s, z);
}

/* dir_keep - the same for a directory page, of which a word is to change. */
static int dir_keep(struct space *s, size_t d)
{
	const uint64_t off = space_dir_page(s, d * (s->psize / FMT_WORD));
	int rc = space_load_zone(s, (size_t)(off / s->psize / s->zone_pages));

	if (rc)
		return rc;
	if (!space_kept(s, off))
		return 0;
	return space_dir_move(s, d);
}

/* grown_dir - the directory page that a word of growth lies in, by its number; SIZE_MAX: it is the
 * superblock's. */
static size_t grown_dir(const struct space *s, uint64_t off)
{
	const uint64_t per_dir = s->psize / FMT_WORD;

	for (size_t d = 0; off >= FMT_SUPER_SIZE && d * per_dir < s->nzones; d++)
		if (off - space_dir_page(s, d * per_dir) < s->psize)
			return d;
	return SIZE_MAX;
}

/* dirty_keep - the bitmap of a dirty word that will differ. */
static int dirty_keep(struct space *s, uint64_t dirty)
{
	const uint64_t word = dirty % space_zone_words(s);
	const size_t z = (size_t)(dirty / space_zone_words(s));
	const struct zone *zone = &s->zone[z];

	if (load_word(space_word_at(s, zone->bitmap_off) + word) == zone->disk[word])
		return 0;
	return bitmap_keep(s, z);
}

/* A page that moves makes more words change, some of which were looked at: until none moves. */
int space_keep_words(struct space *s)
{
	size_t moved;
	int rc = 0;

	do {
		moved = s->nops;
		for (size_t i = 0; i < s->ndirty && !rc && s->keeping; i++)
			rc = dirty_keep(s, s->dirty_word[i]);
		for (size_t i = 0; i < s->grown.n && !rc && s->keeping; i++) {
			const size_t d = grown_dir(s, s->grown.w[i].off);

			if (d != SIZE_MAX)
				rc = dir_keep(s, d);
		}
	} while (!rc && s->nops != moved);
	return rc;
}

/* The bitmaps are read as the newest commit has them in the file: a transaction that runs has
 * changed none there. */
int space_each_kept(struct space *s, const struct fmt_super *shadow,
                    int (*show)(void *arg, uint64_t off, uint64_t pages), void *arg)
{
	const struct fmt_super *file = map_super(s->map);
	const uint64_t zones = space_zones_for(s, load_word(&file->size));
	uint64_t from = 0;
	uint64_t n = 0;
	int rc = 0;

	for (size_t z = 0; z < zones && !rc; z++) {
		uint64_t was;
		uint64_t is;

		rc = kept_bitmap(s, file, z, &was);
		if (!rc)
			rc = kept_bitmap(s, shadow, z, &is);
		if (rc || was == is)
			continue;
		for (uint64_t w = 0; w < space_zone_words(s) && !rc; w++) {
			uint64_t gone = load_word(space_word_at(s, was) + w);

			if (is)
				gone &= ~load_word(space_word_at(s, is) + w);
			for (; gone && !rc; gone &= gone - 1) {
				const uint64_t page = z * s->zone_pages + w * SPACE_WORD_BITS +
				                      (uint64_t)__builtin_ctzll(gone);

				if (n && page == from + n) {
					n++;
					continue;
				}
				if (n)
					rc = show(arg, from * s->psize, n);
				from = page;
				n = 1;
			}
		}
	}
	if (rc)
		return rc;
	if (n)
		rc = show(arg, from * s->psize, n);
	return rc;
}
