/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc.h"
#include "base/err.h"
#include "salvage/salvage.h"

#include <stdlib.h>

#define TRIAL_BYTES   ((uint64_t)64 << 20) /* of the file, to find the page size */
#define TRIAL_AT_ONCE ((size_t)128 << 10)  /* a multiple of every size, and more than the ring */
#define TRIAL_SIZES   7u                   /* FMT_PAGE_MIN to FMT_PAGE_MAX */
#define RIGHT_LEAST   64u                  /* bits of a bitmap that are known otherwise */

/* ---- soundness ------------------------------------------------------------------------------- */

/* header_sound - the offsets of a leaf or an inner page: arrays of heads from first on and, behind
 * gap bytes, of offsets. */
static bool header_sound(const struct fmt_page *head, uint32_t first, uint64_t gap,
                         uint32_t page_size)
{
	uint64_t behind = first + (uint64_t)head->n * sizeof(uint64_t) + gap;

	return head->heads == first && head->offs == behind &&
	       head->offs + 2u * head->n <= head->end && head->end <= page_size;
}

static bool uniform_sound(const struct fmt_page *head, uint32_t page_size)
{
	uint64_t stride = round_up((head->heads & FMT_KLEN_MASK) + head->offs, 4);

	return head->n > 0 && head->heads & FMT_KLEN_MASK &&
	       !(head->heads & ~(FMT_UNIFORM | FMT_KLEN_MASK)) && head->end <= page_size &&
	       FMT_LEAF_BASE + head->n * (sizeof(uint64_t) + stride) == head->end;
}

static bool leaf_sound(const struct fmt_page *head, uint32_t page_size)
{
	if (head->level != 0)
		return false;
	return head->heads & FMT_UNIFORM ? uniform_sound(head, page_size)
	                                 : header_sound(head, FMT_LEAF_BASE, 0, page_size);
}

static uint32_t page_crc(const uint8_t *p, const struct fmt_page *head)
{
	uint32_t crc = crc32c(0, p, 8);

	switch (head->type) {
	case FMT_LEAF:
		crc = crc32c(crc, p + 20, 12);
		return crc32c(crc, p + FMT_LEAF_BASE, (size_t)(head->end - FMT_LEAF_BASE));
	case FMT_INNER:
		crc = crc32c(crc, p + 20, 12);
		crc = crc32c(crc, p + FMT_INNER_HEADS, head->n * sizeof(uint64_t));
		return crc32c(crc, p + head->offs, (size_t)(head->end - head->offs));
	default:
		return crc32c(crc, p + 20, 64 - 20);
	}
}

unsigned int salvage_page_sound(const uint8_t *p, uint64_t off, uint32_t page_size)
{
	struct fmt_page head;
	bool sound;

	memcpy(&head, p, sizeof head);
	switch (head.type) {
	case FMT_LEAF:
		sound = leaf_sound(&head, page_size);
		break;
	case FMT_INNER:
		sound = head.level > 0 && head.level <= SALVAGE_MAX_LEVEL &&
		        header_sound(&head, FMT_INNER_HEADS, (head.n + UINT64_C(1)) * FMT_WORD,
		                     page_size);
		break;
	case FMT_DESC:
		sound = head.end == FMT_DESC_COUNTS && head.n == 0 && head.level == 0;
		break;
	default:
		return 0;
	}
	return sound && head.crc == (page_crc(p, &head) ^ crc32c_place(off)) ? head.type : 0;
}

/* ---- the page size --------------------------------------------------------------------------- */

/* ring_matches - places of the ring with a record that belongs there. Where the ring lies depends
 * on the page size. head: the file's first n bytes. */
static uint64_t ring_matches(const uint8_t *head, size_t n, uint32_t page_size)
{
	const uint64_t ring = round_up(FMT_SUPER_SIZE, page_size);
	uint64_t found = 0;

	for (uint64_t i = 0; i < FMT_RING_RECORDS; i++) {
		const uint64_t at = ring + i * FMT_RING_RECORD;

		if (at + FMT_RING_RECORD > n)
			break;
		const uint64_t txn = get64(head + at);

		found += txn != 0 && txn >> FMT_CLEAN_BITS == 0 && txn % FMT_RING_RECORDS == i;
	}
	return found;
}

/* size_score - pages of that size which are sound, of the n bytes at off. */
static uint64_t size_score(const uint8_t *bytes, size_t n, uint64_t off, uint32_t page_size)
{
	uint64_t score = 0;

	for (size_t at = 0; at + page_size <= n; at += page_size)
		score += salvage_page_sound(bytes + at, off + at, page_size) != 0;
	return score;
}

/* A smaller size finds pages as well that happen to be short, but never more than the right one,
 * which is why the largest of equals is taken. */
uint32_t salvage_page_size(int fd)
{
	uint8_t *bytes = malloc(TRIAL_AT_ONCE);
	uint64_t score[TRIAL_SIZES] = {0};
	uint64_t best = 0;
	uint32_t found = 0;

	if (!bytes)
		return 0;
	for (uint64_t off = 0; off < TRIAL_BYTES; off += TRIAL_AT_ONCE) {
		const ssize_t n = pread(fd, bytes, TRIAL_AT_ONCE, (off_t)off);

		if (n == 0)
			break;
		for (unsigned int i = 0; i < TRIAL_SIZES && n > 0; i++) {
			const uint32_t psize = FMT_PAGE_MIN << i;

			score[i] += size_score(bytes, (size_t)n, off, psize);
			if (off == 0)
				score[i] += ring_matches(bytes, (size_t)n, psize);
		}
	}
	free(bytes);
	for (unsigned int i = 0; i < TRIAL_SIZES; i++) {
		if (score[i] == 0 || score[i] < best)
			continue;
		best = score[i];
		found = FMT_PAGE_MIN << i;
	}
	return found;
}

/* ---- all pages ------------------------------------------------------------------------------- */

/* readable - whether the medium gives the page: a read by the system fails where one from the
 * mapping would end the process. */
static bool readable(const struct salvage *s, int fd, uint64_t off, uint8_t *room)
{
	return pread(fd, room, s->page_size, (off_t)off) == (ssize_t)s->page_size;
}

int salvage_scan(struct salvage *s, int fd)
{
	uint8_t *room = malloc(s->page_size);

	if (!room)
		return err_set(ENOMEM, "no memory for a page");
	for (uint64_t i = 0; i < s->pages; i++) {
		const uint64_t off = i * s->page_size;
		unsigned int type;

		if (readable(s, fd, off, room)) {
			type = salvage_page_sound(room, off, s->page_size);
		} else {
			type = SALVAGE_UNREADABLE;
			salvage_lost(s, NULL, "page 0x%lx: it cannot be read", (unsigned long)off);
		}
		s->page[i] = (uint8_t)(s->page[i] | type);
	}
	free(room);
	for (uint64_t i = 0; i < s->pages; i++) {
		const struct fmt_page *head = salvage_head(s, i * s->page_size);

		/* A younger page that names an older one as prev stands in its place. A new root
		 * may name the old one, which goes on as its kid: so only on the same level. */
		if (s->page[i] & SALVAGE_TYPE && head->prev &&
		    salvage_known(s, head->prev, s->page[i] & SALVAGE_TYPE) &&
		    salvage_head(s, head->prev)->level == head->level &&
		    salvage_head(s, head->prev)->birth < head->birth)
			s->page[head->prev / s->page_size] |= SALVAGE_REPLACED;
	}
	return 0;
}

/* ---- bitmaps --------------------------------------------------------------------------------- */

/* bitmap_of - the bitmap page of a zone; 0: not known. Without a superblock the first directory
 * page is taken to be where a new store has it. */
static uint64_t bitmap_of(const struct salvage *s, uint64_t zone)
{
	const uint64_t per_page = s->page_size / FMT_WORD;
	const uint64_t d = zone / per_page;
	const uint64_t ring = round_up(FMT_SUPER_SIZE, s->page_size);
	const uint64_t first = round_up(ring + FMT_RING_RECORD * FMT_RING_RECORDS, s->page_size);
	uint64_t dir = d == 0 ? first : 0;
	uint64_t bitmap;

	if (s->super_sound)
		dir = d < FMT_DIR_WORDS ? s->super.dir[d] : 0;
	if (!dir || dir % s->page_size || dir / s->page_size >= s->pages ||
	    s->page[dir / s->page_size])
		return 0;
	bitmap = get64(s->base + dir + zone % per_page * FMT_WORD);
	return bitmap % s->page_size || bitmap / s->page_size >= s->pages ||
	               s->page[bitmap / s->page_size]
	           ? 0
	           : bitmap;
}

/* bitmap_believed - a bitmap has no checksum. But the bits of pages that trees lead to have to be
 * 1, as have those of the file's first pages, and those behind the file's end 0. */
static bool bitmap_believed(const struct salvage *s, uint64_t zone, const uint8_t *bits)
{
	const uint64_t zone_pages = (uint64_t)s->page_size * 8;
	const uint64_t first = zone * zone_pages;
	const uint64_t head = FMT_SUPER_SIZE + FMT_RING_RECORD * FMT_RING_RECORDS;
	uint64_t right = 0;

	for (uint64_t i = 0; i < zone_pages; i++) {
		const bool set = bits[i / 8] >> i % 8 & 1;
		bool want = false;

		if (first + i < s->pages) {
			want = s->page[first + i] & SALVAGE_REACHED ||
			       (first + i) * s->page_size < head;
			if (!want)
				continue;
		}
		if (set != want)
			return false;
		right++;
	}
	return right >= RIGHT_LEAST;
}

bool salvage_free(struct salvage *s, uint64_t off, bool *believed)
{
	const uint64_t page = off / s->page_size;
	const uint64_t zone_pages = (uint64_t)s->page_size * 8;
	const uint64_t zone = page / zone_pages;
	const uint64_t i = page % zone_pages;

	if (!s->zone_asked || s->zone != zone) { /* pages are asked about from front to back */
		s->zone_asked = true;
		s->zone = zone;
		s->bitmap = bitmap_of(s, zone);
		if (s->bitmap && !bitmap_believed(s, zone, s->base + s->bitmap))
			s->bitmap = 0;
	}
	*believed = s->bitmap != 0;
	return s->bitmap && !(s->base[s->bitmap + i / 8] >> i % 8 & 1);
}
