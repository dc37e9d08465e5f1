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
#include "space/space_zones.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* is_free - whether the page, whose zone is loaded, can be taken. */
static bool is_free(const struct space *s, uint64_t page)
{
	return !space_bit(s->zone[page / s->zone_pages].busy, page % s->zone_pages);
}

/* An extent may cross zones: it is shown when the first page behind it is not free. */
int space_each_free(struct space *s, int (*show)(void *arg, uint64_t off, uint64_t pages),
                    void *arg)
{
	uint64_t end = s->end / s->psize;
	uint64_t from = 0;
	uint64_t n = 0;
	int rc;

	for (uint64_t page = 0; page < end; page++) {
		if (page % s->zone_pages == 0) {
			rc = space_load_zone(s, (size_t)(page / s->zone_pages));
			if (rc)
				return rc;
		}
		if (is_free(s, page)) {
			if (n == 0)
				from = page;
			n++;
			continue;
		}
		if (n) {
			rc = show(arg, from * s->psize, n);
			if (rc)
				return rc;
		}
		n = 0;
	}
	if (n)
		return show(arg, from * s->psize, n);
	return 0;
}

/* words_read - n words of the file. They are not read through the mapping, because another process
 * may cut the file meanwhile: what is not there any more is 0. A private mapping has what only this
 * process has recovered. errno of the read. */
static int words_read(const struct map *map, uint64_t off, uint64_t *to, size_t n)
{
	const uint64_t *from = map_at(map, off);
	ssize_t got;

	if (map->private_copy) {
		for (size_t i = 0; i < n; i++)
			to[i] = load_word(from + i);
		return 0;
	}
	got = pread(map->fd, to, n * sizeof *to, (off_t)off);
	if (got < 0)
		return err_sys(errno, "reading the bitmaps");
	memset((uint8_t *)to + got, 0, n * sizeof *to - (size_t)got);
	return 0;
}

/* zone_bitmap - where the newest commit has the bitmap page of zone z. CORRUPT,
 * errno. */
static int zone_bitmap(const struct map *map, const struct fmt_super *super, uint32_t psize,
                       uint64_t end, uint64_t z, uint64_t *bitmap)
{
	const uint64_t per_dir = psize / FMT_WORD;
	const uint64_t dir = load_word(&super->dir[z / per_dir]);
	int rc = space_dir_check(dir, psize, end, z);

	if (rc)
		return rc;
	rc = words_read(map, dir + z % per_dir * FMT_WORD, bitmap, 1);
	if (rc)
		return rc;
	return space_bitmap_check(dir, *bitmap, psize, end, z);
}

/* Words are read while a writer may store them, and their sum is of no one moment. */
int space_count(const struct map *map, const struct fmt_super *super, uint32_t psize, uint64_t end,
                uint64_t *pages)
{
	const uint64_t zone_bytes = (uint64_t)psize * 8 * psize;
	uint64_t n = 0;

	for (uint64_t z = 0; z * zone_bytes < end; z++) {
		uint64_t word[FMT_PAGE_MIN / FMT_WORD];
		uint64_t bitmap = 0;
		int rc = zone_bitmap(map, super, psize, end, z, &bitmap);

		if (rc)
			return rc;
		for (uint64_t at = 0; at < psize; at += sizeof word) {
			rc = words_read(map, bitmap + at, word, FMT_PAGE_MIN / FMT_WORD);
			if (rc)
				return rc;
			for (size_t i = 0; i < FMT_PAGE_MIN / FMT_WORD; i++)
				n += (uint64_t)__builtin_popcountll(word[i]);
		}
	}
	*pages = n;
	return 0;
}
