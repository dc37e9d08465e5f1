/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_space.c - the allocation bitmaps against what is reachable. See check_walk.h
 *
 * used has the bits that the file says, seen those of the pages that something refers to. A page
 * that is claimed twice, or claimed and not used, is a fault at once; one that is used and was
 * never claimed is a leak, which shows at the end.
 */
#include "check/check_walk.h"

#include <errno.h>

#define PROGRESS_PAGES 1024u /* a millisecond of work, or a few */

/* bit_get, bit_set - of page i. */
static bool bit_get(const uint64_t *bits, uint64_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* bit_set - see bit_get. */
static void bit_set(uint64_t *bits, uint64_t i)
{
	bits[i / 64] |= UINT64_C(1) << (i % 64);
}

/* The last page may be met long before the last fault, so it is told at the end again. */
void check_space_told(struct check *ck)
{
	const struct check_input *in = ck->in;

	if (!in->progress || ck->err)
		return;
	if (in->progress(ck->seen_pages, ck->used_pages, in->progress_arg))
		ck->err = ECANCELED;
}

/* seen_add - so many pages more were claimed. Progress is told when PROGRESS_PAGES more are. */
static void seen_add(struct check *ck, uint64_t pages)
{
	const uint64_t before = ck->seen_pages;

	ck->seen_pages += pages;
	if (before / PROGRESS_PAGES != ck->seen_pages / PROGRESS_PAGES)
		check_space_told(ck);
}

/* The pages up to the first one that is used twice are marked: its second user is reported, and
 * nothing behind it is claimed for a reference that leads nowhere good. */
bool check_space_claim(struct check *ck, const struct check_db *db, const char *what, uint64_t off,
                       uint64_t len, uint64_t at)
{
	uint64_t free_pages = 0;
	uint64_t first_free = 0;
	const uint64_t end = (off + len + ck->page_size - 1) / ck->page_size;

	assert(len > 0);
	if (off % ck->page_size != 0) {
		check_fault(ck, db, "%s 0x%lx, named at 0x%lx: not at a page boundary", what, off,
		            at);
		return false;
	}
	if (off >= ck->limit || len > ck->limit - off) {
		check_fault(ck, db, "%s 0x%lx, named at 0x%lx: outside the file (%lu bytes)", what,
		            off, at, len);
		return false;
	}
	for (uint64_t i = off / ck->page_size; i < end; i++) {
		if (bit_get(ck->seen, i)) {
			check_fault(ck, db, "%s 0x%lx, named at 0x%lx: page 0x%lx is used twice",
			            what, off, at, i * ck->page_size);
			return false;
		}
		bit_set(ck->seen, i);
		if (!bit_get(ck->used, i) && free_pages++ == 0)
			first_free = i * ck->page_size;
	}
	seen_add(ck, end - off / ck->page_size);
	if (free_pages != 0)
		check_fault(ck, db,
		            "%s 0x%lx, named at 0x%lx: %lu pages from 0x%lx on are not allocated "
		            "in the bitmap",
		            what, off, at, free_pages, first_free);
	return true;
}

/* bitmap_load - take a zone's bits over. Bits behind the size are a fault, and stay out. */
static void bitmap_load(struct check *ck, uint64_t zone, uint64_t off)
{
	const uint64_t zone_words = ck->page_size / FMT_WORD;

	assert(off % ck->page_size == 0);
	for (uint64_t w = 0; w < zone_words; w++) {
		uint64_t bits = get64(ck->base + off + w * FMT_WORD);
		uint64_t first = (zone * zone_words + w) * 64;
		uint64_t keep = 0;

		if (bits == 0)
			continue;
		if (first < ck->pages) {
			if (ck->pages - first >= 64)
				keep = UINT64_MAX;
			else
				keep = (UINT64_C(1) << (ck->pages - first)) - 1;
			ck->used[first / 64] = bits & keep;
		}
		if (bits & ~keep)
			check_fault(ck, NULL, "bitmap 0x%lx word %lu: bits set behind the size",
			            off, w);
	}
}

/* zones_needed - how many zones the pages below limit take. A zone has as many pages as a bitmap
 * page has bits. */
static uint64_t zones_needed(const struct check *ck)
{
	const uint64_t zone_bytes = (uint64_t)ck->page_size * 8 * ck->page_size;

	return (ck->limit + zone_bytes - 1) / zone_bytes;
}

/* readable - whether a page of bits can be read there. That it is the wrong page is found when it
 * is claimed. */
static bool readable(const struct check *ck, uint64_t off)
{
	if (off == 0)
		return false;
	if (off % ck->page_size != 0)
		return false;
	return off < ck->limit;
}

/* bitmaps_load - read the bitmaps of the zones below the size: as many bytes as there are pages /
 * 8, whatever the directory says. What cannot be read leaves its zone's pages free; each of them
 * that is used is then a fault of its own. */
static void bitmaps_load(struct check *ck)
{
	const uint64_t per_page = ck->page_size / FMT_WORD;
	const uint64_t needed = zones_needed(ck);

	for (uint64_t zone = 0; zone < needed && zone / per_page < FMT_DIR_WORDS; zone++) {
		uint64_t dir = ck->super.dir[zone / per_page];
		uint64_t off;

		if (!readable(ck, dir))
			continue;
		off = get64(ck->base + dir + zone % per_page * FMT_WORD);
		if (readable(ck, off))
			bitmap_load(ck, zone, off);
	}
}

/* directory_page - claim the bitmap pages that a directory page names. A bitmap of a zone that the
 * size does not need is read here, since bitmaps_load has left it out. */
static void directory_page(struct check *ck, uint64_t dir, uint64_t first_zone)
{
	for (uint64_t i = 0; i < ck->page_size / FMT_WORD; i++) {
		uint64_t at = dir + i * FMT_WORD;
		uint64_t off = get64(ck->base + at);
		bool needed = first_zone + i < zones_needed(ck);

		if (off == 0 && needed)
			check_fault(ck, NULL, "directory 0x%lx word %lu: zone %lu has no bitmap",
			            dir, i, first_zone + i);
		if (off != 0 && check_space_claim(ck, NULL, "bitmap", off, ck->page_size, at) &&
		    !needed)
			bitmap_load(ck, first_zone + i, off);
	}
}

/* The bitmaps are read before anything is claimed: a claim looks at its page's bit, and a zone's
 * bitmap may lie in any zone. */
void check_space_load(struct check *ck)
{
	const uint64_t per_page = ck->page_size / FMT_WORD;

	bitmaps_load(ck);
	for (uint64_t w = 0; w < ck->words; w++)
		ck->used_pages += (uint64_t)__builtin_popcountll(ck->used[w]);
	check_space_claim(ck, NULL, "superblock and ring", 0, ck->super.first_page,
	                  offsetof(struct fmt_super, first_page));
	for (uint64_t i = 0; i < FMT_DIR_WORDS; i++) {
		uint64_t at = offsetof(struct fmt_super, dir) + i * FMT_WORD;
		uint64_t off = ck->super.dir[i];

		if (off == 0 && i * per_page < zones_needed(ck))
			check_fault(ck, NULL,
			            "superblock: directory word %lu is 0 but the size needs it", i);
		if (off != 0 && check_space_claim(ck, NULL, "directory", off, ck->page_size, at))
			directory_page(ck, off, i * per_page);
	}
}

/* Reported page by page: which ones they are is what helps to find out why. */
void check_space_leaks(struct check *ck)
{
	for (uint64_t w = 0; w < ck->words && ck->err == 0; w++) {
		uint64_t leaked = ck->used[w] & ~ck->seen[w];

		for (; leaked != 0; leaked &= leaked - 1)
			check_fault(ck, NULL,
			            "page 0x%lx: leaked page: allocated, and nothing refers to it",
			            (w * 64 + (uint64_t)__builtin_ctzll(leaked)) * ck->page_size);
	}
}
