/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_zones.h - what the files of the space floor share: space.c (take and give), space_grow.c
 * (a longer file), space_zones.c (the bitmaps in memory), space_find.c (searches), space_trim.c
 * (the file's end), space_reserve.c (what puts leave), space_memory.c (pages in memory),
 * space_lazy.c (a lazy interval), space_move.c (other places for bitmaps).
 */
#ifndef DAXKV_SPACE_ZONES_H
#define DAXKV_SPACE_ZONES_H

#include "base/base.h"
#include "base/format.h"
#include "space/space.h"

/* space_super - the superblock as the newest commit has it. space_word_at - in the mapping, to be
 * read. */
static inline const struct fmt_super *space_super(const struct space *s)
{
	if (UNLIKELY(s->shadow))
		return s->shadow;
	return map_super(s->map);
}

/* A word is loaded by load_word: a commit stores it as a whole. */
static inline const uint64_t *space_word_at(const struct space *s, uint64_t off)
{
	assert(off % FMT_WORD == 0);
	return map_at(s->map, off);
}

/* space_word_now - the word at off as the newest commit has it. */
static inline uint64_t space_word_now(const struct space *s, uint64_t off)
{
	const uint64_t *from = space_word_at(s, off);

	if (off < FMT_SUPER_SIZE)
		from = (const uint64_t *)(const void *)space_super(s) + off / FMT_WORD;
	return load_word(from);
}

/* space_dirs_for - how many directory pages so many zones have: one word of a directory page for
 * each zone, and one word of the superblock for each directory page. */
static inline uint64_t space_dirs_for(uint32_t psize, uint64_t zones)
{
	const uint64_t per_dir = psize / FMT_WORD;

	return (zones + per_dir - 1) / per_dir;
}

/* space_dir_word - the superblock's word for the directory page of zone z, as an offset in the
 * file. */
static inline uint64_t space_dir_word(uint32_t psize, uint64_t z)
{
	const uint64_t per_dir = psize / FMT_WORD;

	return offsetof(struct fmt_super, dir) + z / per_dir * FMT_WORD;
}

/* space_page_valid - whether a page that the file names can lie there: its offset is a multiple of
 * the page size and before end, and not 0, where the superblock is. */
static inline bool space_page_valid(uint64_t off, uint32_t psize, uint64_t end)
{
	if (off == 0)
		return false;
	if (off % psize != 0)
		return false;
	return off < end;
}

/* space_bit - bit i of a bitmap in memory. */
static inline bool space_bit(const uint64_t *words, uint64_t i)
{
	return words[i / SPACE_WORD_BITS] >> i % SPACE_WORD_BITS & 1;
}

/* space_zones_for - how many zones a file of so many bytes has. space_zones_room - have that many
 * struct zone; ENOMEM. */
size_t space_zones_for(const struct space *s, uint64_t bytes);
int space_zones_room(struct space *s, size_t n);

/* space_dir_check, space_bitmap_check - whether zone z's directory page, and its bitmap page, can
 * lie where the file says: before end. dir and bitmap are the words that were read. CORRUPT, with
 * the place of the word that is wrong. */
int space_dir_check(uint64_t dir, uint32_t psize, uint64_t end, uint64_t z);
int space_bitmap_check(uint64_t dir, uint64_t bitmap, uint32_t psize, uint64_t end, uint64_t z);

/* space_zone_alloc - memory for the bits of zone z, all clear. ENOMEM. */
int space_zone_alloc(struct space *s, size_t z);

/* space_zone_recount - nfree of the loaded zone z, and of all zones, from its bits. */
void space_zone_recount(struct space *s, size_t z);

/* space_zone_hold - pages in the limbo, and those that the running transaction gave, are busy in
 * the bits of the loaded zone z; its own that it gave back are not. space_hold_again - in those of
 * all zones: a coarse limbo item was released, among whose pages they may be. */
void space_zone_hold(struct space *s, size_t z);
void space_hold_again(struct space *s);

/* space_find_kept - space_find, but not found when what is left to others would be touched. */
int space_find_kept(struct space *s, uint64_t pages, uint64_t *page, bool *found);

/* space_zone_keep - find the bitmap of zone z, which is loaded, as the file's superblock has it. */
int space_zone_keep(struct space *s, size_t z);

/* space_bitmap_move - the bitmap page of zone z, which is loaded, gets another place.
 * space_dir_move
 * - likewise directory page d. The running commit changes the page there, and stores the word that
 * names it. Errors: those of space_take and space_give. */
int space_bitmap_move(struct space *s, size_t z);
int space_dir_move(struct space *s, size_t d);

/* space_kept - whether the page at off, whose zone is loaded, is part of the state that the file's
 * superblock reaches: always false without a lazy interval. */
static inline bool space_kept(const struct space *s, uint64_t off)
{
	const uint64_t page = off / s->psize;
	const struct zone *zone = &s->zone[page / s->zone_pages];
	const uint64_t i = page % s->zone_pages;

	if (!zone->kept_off)
		return false;
	return load_word(space_word_at(s, zone->kept_off) + i / SPACE_WORD_BITS) >>
	           i % SPACE_WORD_BITS &
	       1;
}

/* space_bits_set - set or clear pages in the bitmaps chosen. Their zones are loaded, there is room
 * for the words touched (space_op_room), and none of the bits is as it shall be. Cannot fail. */
enum space_bits {
	SPACE_DISK = 1, /* what the next commit makes the file's */
	SPACE_BUSY = 2, /* what must not be taken */
};
void space_bits_set(struct space *s, uint64_t off, uint64_t pages, unsigned int which, bool set);

/* space_memory_may - whether who takes so many pages may have them in memory. space_memory_take - a
 * page there, without content; ENOMEM, FULL. space_memory_set - as space_bits_set, for such a page.
 * space_memory_end - the transaction has ended. */
static inline bool space_memory_may(const struct space *s, uint64_t pages)
{
	return s->claim >= SPACE_SPLIT && pages == 1;
}
int space_memory_take(struct space *s, uint64_t *off);
void space_memory_set(struct space *s, uint64_t off, unsigned int which, bool set);
void space_memory_end(struct space *s);

/* space_dirty_reserve - room for so many more touched words. ENOMEM. space_op_room - the same for
 * all words of an extent, room for a step in the log, and the extent's zones in memory, so that
 * nothing fails half-way. CORRUPT, ENOMEM. */
int space_dirty_reserve(struct space *s, uint64_t words);
int space_op_room(struct space *s, uint64_t off, uint64_t pages);

/* space_grow - make the file longer, so that it has so many free pages in one piece. FULL, ENOSPC,
 * EFBIG, ENOMEM, CORRUPT, errno of growth. */
int space_grow(struct space *s, uint64_t pages);

#endif
