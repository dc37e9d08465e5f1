/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_move.c - bitmap and directory pages get other places. See space.h, docs/DESIGN.md, 9
 *
 *   in a lazy interval   those that a commit is to change, and the file's superblock reaches  [L1]
 *   by a compaction      those that lie behind its boundary
 *
 * The copy is made from what the newest commit has in the file, and the running one changes the
 * copy: its words are stored there, and one more word names the page at its new place. The page
 * that gave way is held back like any that a commit has freed, since a reader may count the pages
 * in use by it. The record does not name the copy, so a fence comes before it (moved) [I6]. What
 * this process knows of the places is not undone with the transaction, but forgotten.
 */
#include "base/base.h"
#include "space/space.h"
#include "space/space_zones.h"

/* page_move - a page of the zones' own gives way to a copy. */
static int page_move(struct space *s, uint64_t old, uint64_t *off)
{
	int rc = space_take(s, 1, off);

	if (rc)
		return rc;
	s->moved = true;
	rc = space_give(s, old, 1);
	if (rc)
		return rc;
	pm_write(&s->map->pm, s->map->base + *off, map_at(s->map, old), s->psize);
	pm_flush(&s->map->pm, s->map->base + *off, s->psize);
	return 0;
}

/* grown_set - the next commit makes the word at off so. */
static int grown_set(struct space *s, uint64_t off, uint64_t value)
{
	for (size_t i = 0; i < s->grown.n; i++)
		if (s->grown.w[i].off == off) {
			s->grown.w[i].value = value;
			return 0;
		}
	return words_add(&s->grown, off, value);
}

int space_bitmap_move(struct space *s, size_t z)
{
	const uint64_t per_dir = s->psize / FMT_WORD;
	uint64_t off;
	int rc = page_move(s, s->zone[z].bitmap_off, &off);

	if (rc)
		return rc;
	s->zone[z].bitmap_off = off;
	return grown_set(s, space_dir_page(s, z) + z % per_dir * FMT_WORD, off);
}

/* Words of the page that wait for the commit are of the copy from now on. */
int space_dir_move(struct space *s, size_t d)
{
	const uint64_t old = space_dir_page(s, d * (s->psize / FMT_WORD));
	uint64_t off;
	int rc = page_move(s, old, &off);

	if (rc)
		return rc;
	for (size_t i = 0; i < s->grown.n; i++)
		if (s->grown.w[i].off - old < s->psize)
			s->grown.w[i].off += off - old;
	return grown_set(s, offsetof(struct fmt_super, dir) + d * FMT_WORD, off);
}

/* A page that lies before its own zone is in nobody's way: it goes when the zone does. The
 * directory page comes with its first zone. */
int space_zone_compact(struct space *s, size_t z, uint64_t boundary, uint64_t *pages)
{
	const uint64_t per_dir = s->psize / FMT_WORD;
	const uint64_t limit = max_u64(boundary, z * s->zone_pages * s->psize);
	bool moves = false;
	int rc = space_load_zone(s, z);

	*pages = 0;
	if (!rc && z % per_dir == 0)
		rc = space_behind(s, space_dir_page(s, z), 1, limit, &moves);
	if (!rc && moves) {
		++*pages;
		rc = space_dir_move(s, z / per_dir);
	}
	if (!rc)
		rc = space_behind(s, s->zone[z].bitmap_off, 1, limit, &moves);
	if (rc || !moves)
		return rc;
	++*pages;
	return space_bitmap_move(s, z);
}
