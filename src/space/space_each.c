/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_each.c - the free pages, extent by extent. See space.h
 *
 * For info, and for a writer that must hold all of them back for passive readers.
 * It reads every bitmap, so no put or commit uses it.
 */
#include "base/base.h"
#include "base/err.h"
#include "space/space.h"

/* is_free - whether the page, whose zone is loaded, can be taken. */
static bool is_free(const struct space *s, uint64_t page)
{
	uint64_t i = page % s->zone_pages;

	return !(s->zone[page / s->zone_pages].busy[i / SPACE_WORD_BITS] >> i % SPACE_WORD_BITS &
	         1);
}

/* An extent may cross zones: it is shown when the first page behind it is not free. */
int space_each_free(struct space *s, int (*show)(void *arg, uint64_t off, uint64_t pages),
                    void *arg)
{
	uint64_t end = s->end / s->psize;
	uint64_t from = 0;
	uint64_t n = 0;
	int rc = 0;

	for (uint64_t page = 0; page <= end && !rc; page++) {
		if (page < end && page % s->zone_pages == 0)
			rc = space_load_zone(s, (size_t)(page / s->zone_pages));
		if (!rc && page < end && is_free(s, page)) {
			from = n++ ? from : page;
		} else if (!rc && n) {
			rc = show(arg, from * s->psize, n);
			n = 0;
		}
	}
	return rc;
}

/* zone_bitmap - where the newest commit has the bitmap page of zone z. CORRUPT. */
static int zone_bitmap(const struct map *map, uint32_t psize, uint64_t end, uint64_t z,
                       uint64_t *bitmap)
{
	const struct fmt_super *super = (const void *)map->base;
	const uint64_t per_dir = psize / FMT_WORD;
	const uint64_t dir = load_word(&super->dir[z / per_dir]);

	if (dir % psize || dir == 0 || dir >= end)
		return err_corrupt(offsetof(struct fmt_super, dir) + z / per_dir * FMT_WORD,
		                   "superblock: directory page at 0x%lx", (unsigned long)dir);
	*bitmap = load_word((const uint64_t *)(const void *)(map->base + dir) + z % per_dir);
	if (*bitmap % psize || *bitmap == 0 || *bitmap >= end)
		return err_corrupt(dir, "directory: the bitmap page of zone %lu at 0x%lx",
		                   (unsigned long)z, (unsigned long)*bitmap);
	return 0;
}

int space_count(const struct map *map, uint32_t psize, uint64_t end, uint64_t *pages)
{
	const uint64_t zone_bytes = (uint64_t)psize * 8 * psize;
	uint64_t n = 0;

	for (uint64_t z = 0; z * zone_bytes < end; z++) {
		uint64_t bitmap = 0;
		int rc = zone_bitmap(map, psize, end, z, &bitmap);

		if (rc)
			return rc;
		for (const uint64_t *w = (const void *)(map->base + bitmap),
		                    *e = w + psize / FMT_WORD;
		     w < e; w++)
			n += (uint64_t)__builtin_popcountll(load_word(w));
	}
	*pages = n;
	return 0;
}
