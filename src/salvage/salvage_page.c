/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * salvage_page.c - which pages are sound, what the page size is, and what a bitmap is worth. See
 * salvage.h
 *
 * Sound is a page whose header makes sense and whose checksum, which covers its place, is right.
 * That says that some commit wrote it there, and not that it is still in use. Three things speak
 * about that: a younger page that names it as prev, a bitmap, and the trees. The trees come later,
 * so a bitmap is judged when it is asked, by the pages that trees have reached until then.
 *
 * Every page is read by a system call first: a bad block is an error there, and would be a signal
 * from the mapping.
 */
#include "base/crc.h"
#include "base/err.h"
#include "salvage/salvage.h"

#include <stdlib.h>

#define TRIAL_BYTES   ((uint64_t)64 << 20) /* of the file, to find the page size */
#define TRIAL_AT_ONCE ((size_t)128 << 10)  /* a multiple of every size, and more than the ring */
#define TRIAL_READ    ((size_t)4 << 10)    /* what a bad block takes along */
#define TRIAL_SIZES   7u                   /* FMT_PAGE_MIN to FMT_PAGE_MAX */
#define RIGHT_LEAST   64u                  /* bits of a bitmap that are known otherwise */
#define KEPT_PART     16u                  /* of pages that were replaced, at most not free */

/* ---- soundness ------------------------------------------------------------------------------- */

/* header_sound - the offsets of a leaf or an inner page: arrays of heads from first on and, behind
 * gap bytes, of offsets. The sums are in 64 bits, so no count from the file can make them wrap. */
static bool header_sound(const struct fmt_page *head, uint32_t first, uint64_t gap,
                         uint32_t page_size)
{
	uint64_t behind = first + (uint64_t)head->n * sizeof(uint64_t) + gap;

	if (head->heads != first)
		return false;
	if (head->offs != behind)
		return false;
	if (head->end > page_size)
		return false;
	return head->offs + 2u * head->n <= head->end;
}

/* uniform_sound - of a uniform leaf: its two lengths and its number make its end. An entry takes a
 * head of eight bytes, and key and value padded to four. */
static bool uniform_sound(const struct fmt_page *head, uint32_t page_size)
{
	const uint32_t klen = head->heads & FMT_KLEN_MASK;
	const uint64_t stride = round_up(klen + head->offs, 4);

	if (head->n == 0)
		return false;
	if (klen == 0)
		return false;
	if (head->heads & ~(FMT_UNIFORM | FMT_KLEN_MASK))
		return false;
	if (head->end > page_size)
		return false;
	return FMT_LEAF_BASE + head->n * (sizeof(uint64_t) + stride) == head->end;
}

/* leaf_sound - a leaf's header, of either shape. */
static bool leaf_sound(const struct fmt_page *head, uint32_t page_size)
{
	if (head->level != 0)
		return false;
	if (head->heads & FMT_UNIFORM)
		return uniform_sound(head, page_size);
	return header_sound(head, FMT_LEAF_BASE, 0, page_size);
}

/* inner_sound - an inner page's header; its kids lie between heads and offsets. */
static bool inner_sound(const struct fmt_page *head, uint32_t page_size)
{
	const uint64_t kids = (head->n + UINT64_C(1)) * FMT_WORD;

	if (head->level == 0)
		return false;
	if (head->level > SALVAGE_MAX_LEVEL)
		return false;
	return header_sound(head, FMT_INNER_HEADS, kids, page_size);
}

/* desc_sound - a descriptor's header, which has nothing but its end. */
static bool desc_sound(const struct fmt_page *head)
{
	if (head->end != FMT_DESC_COUNTS)
		return false;
	if (head->n != 0)
		return false;
	return head->level == 0;
}

/* page_crc - of a page whose header is sound: of what does not change after it was written. Left
 * out are prev and, of an inner page, the kids: these change in place. The tail of a leaf has
 * checksums of its own. */
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

/* The header first: the checksum's bounds come from it. */
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
		sound = inner_sound(&head, page_size);
		break;
	case FMT_DESC:
		sound = desc_sound(&head);
		break;
	default:
		return 0;
	}
	if (!sound)
		return 0;
	if (head.crc != (page_crc(p, &head) ^ crc32c_place(off)))
		return 0;
	return head.type;
}

/* ---- the page size --------------------------------------------------------------------------- */

/* ring_matches - places of the ring with a record that belongs there. Where the ring lies depends
 * on the page size. head: the file's first n bytes. It helps with a store that has hardly a page:
 * the records still show where the ring begins. */
static uint64_t ring_matches(const uint8_t *head, size_t n, uint32_t page_size)
{
	const uint64_t ring = round_up(FMT_SUPER_SIZE, page_size);
	uint64_t found = 0;

	for (uint64_t i = 0; i < FMT_RING_RECORDS; i++) {
		const uint64_t at = ring + i * FMT_RING_RECORD;
		uint64_t txn;

		if (at + FMT_RING_RECORD > n)
			break;
		txn = get64(head + at);
		if (txn == 0 || txn >> FMT_CLEAN_BITS != 0)
			continue;
		if (txn % FMT_RING_RECORDS == i)
			found++;
	}
	return found;
}

/* size_score - pages of that size which are sound, of the n bytes at off. A checksum holds by
 * chance once in 2^32 pages, so even one sound page tells much. */
static uint64_t size_score(const uint8_t *bytes, size_t n, uint64_t off, uint32_t page_size)
{
	uint64_t score = 0;

	for (size_t at = 0; at + page_size <= n; at += page_size)
		score += salvage_page_sound(bytes + at, off + at, page_size) != 0;
	return score;
}

/* sizes_score - add to each size's score what the first n bytes of a part of the file, which lies
 * at off, say for it. */
static void sizes_score(uint64_t score[TRIAL_SIZES], const uint8_t *bytes, size_t n, uint64_t off)
{
	for (unsigned int i = 0; i < TRIAL_SIZES; i++) {
		const uint32_t psize = FMT_PAGE_MIN << i;

		score[i] += size_score(bytes, n, off, psize);
		if (off == 0)
			score[i] += ring_matches(bytes, n, psize);
	}
}

/* trial_read - the file's bytes from off on, TRIAL_AT_ONCE or up to its end. Returns how many.
 * Where the medium gives none they are zeros, among which no page is sound. */
static size_t trial_read(int fd, uint8_t *bytes, uint64_t off)
{
	memset(bytes, 0, TRIAL_AT_ONCE);
	for (size_t at = 0; at < TRIAL_AT_ONCE; at += TRIAL_READ) {
		const ssize_t n = pread(fd, bytes + at, TRIAL_READ, (off_t)(off + at));

		if (n == 0)
			return at;
	}
	return TRIAL_AT_ONCE;
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
		const size_t n = trial_read(fd, bytes, off);

		if (n == 0)
			break;
		sizes_score(score, bytes, n, off);
	}
	free(bytes);
	for (unsigned int i = 0; i < TRIAL_SIZES; i++) {
		if (score[i] == 0)
			continue;
		if (score[i] < best)
			continue;
		best = score[i];
		found = FMT_PAGE_MIN << i;
	}
	return found;
}

/* ---- all pages ------------------------------------------------------------------------------- */

/* readable - whether the medium gives the page: a read by the system fails where one from the
 * mapping would end the process. room: for a page, whose bytes are there afterwards. */
static bool readable(const struct salvage *s, int fd, uint64_t off, uint8_t *room)
{
	const ssize_t n = pread(fd, room, s->page_size, (off_t)off);

	return n == (ssize_t)s->page_size;
}

/* replaced_note - a younger page that names an older one as prev stands in its place. A new root
 * may name the old one, which goes on as its kid: so only on the same level. An older page at a
 * place that was used again since is not the one that was meant: births tell. A page that no
 * commit has named took nobody's place. */
static void replaced_note(struct salvage *s, uint64_t off)
{
	const struct fmt_page *head = salvage_head(s, off);
	const unsigned int type = *salvage_marks(s, off) & SALVAGE_TYPE;
	const struct fmt_page *prev;

	if (!type)
		return;
	if (!head->prev || head->birth > s->newest)
		return;
	if (!salvage_known(s, head->prev, type))
		return;
	prev = salvage_head(s, head->prev);
	if (prev->level == head->level && prev->birth < head->birth)
		*salvage_marks(s, head->prev) |= SALVAGE_REPLACED;
}

/* Which one was replaced is known when all are known that are sound. */
void salvage_replaced(struct salvage *s)
{
	for (uint64_t i = 0; i < s->pages; i++)
		replaced_note(s, i * s->page_size);
}

/* The checksum is taken of the copy that was read, since only that is known to be readable. */
int salvage_scan(struct salvage *s, int fd)
{
	uint8_t *room = malloc(s->page_size);

	if (!room)
		return err_set(ENOMEM, "no memory for a page");
	for (uint64_t i = 0; i < s->pages; i++) {
		const uint64_t off = i * s->page_size;
		unsigned int type = SALVAGE_UNREADABLE;

		if (readable(s, fd, off, room))
			type = salvage_page_sound(room, off, s->page_size);
		else
			salvage_lost(s, NULL, "page 0x%lx: it cannot be read", off);
		s->page[i] = (uint8_t)(s->page[i] | type);
	}
	free(room);
	return 0;
}

/* Behind birth, prev and what the header says of the page there are the words of each kind: slots
 * of a leaf, kids between the heads and the offsets of an inner page, all of a descriptor. */
bool salvage_fixed(const struct salvage *s, uint64_t off)
{
	const uint64_t page = off - off % s->page_size;
	const uint64_t at = off - page;
	const struct fmt_page *head;
	uint64_t kids;

	assert(off % FMT_WORD == 0);
	if (!salvage_is_page(s, page))
		return false;
	if (!(*salvage_marks(s, page) & SALVAGE_TYPE))
		return false;
	head = salvage_head(s, page);
	if (at < sizeof *head)
		return at != offsetof(struct fmt_page, prev);
	switch (head->type) {
	case FMT_LEAF:
		return at >= FMT_LEAF_BASE && at < head->end;
	case FMT_INNER:
		kids = FMT_INNER_HEADS + (uint64_t)head->n * FMT_WORD;
		return at < kids || (at > kids + (uint64_t)head->n * FMT_WORD && at < head->end);
	default:
		return at < offsetof(struct fmt_desc, root);
	}
}

/* ---- bitmaps --------------------------------------------------------------------------------- */

/* plain_page - off is that of a page which is no sound one of a tree, as those of directories and
 * bitmaps are not, and which can be read. */
static bool plain_page(const struct salvage *s, uint64_t off)
{
	if (!salvage_is_page(s, off))
		return false;
	return *salvage_marks(s, off) == 0;
}

/* first_dir - where a new store has its first directory page: behind the ring. */
static uint64_t first_dir(const struct salvage *s)
{
	const uint64_t ring = round_up(FMT_SUPER_SIZE, s->page_size);
	const uint64_t behind = ring + FMT_RING_RECORD * FMT_RING_RECORDS;

	return round_up(behind, s->page_size);
}

/* bitmap_of - the bitmap page of a zone; 0: not known. Without a superblock the first directory
 * page is taken to be where a new store has it. Bitmaps and directories have no checksum and no
 * type, so the words that lead to them are taken for what they are only if the page is none of a
 * tree. */
static uint64_t bitmap_of(const struct salvage *s, uint64_t zone)
{
	const uint64_t per_page = s->page_size / FMT_WORD;
	const uint64_t d = zone / per_page;
	uint64_t dir = 0;
	uint64_t bitmap;

	if (s->super_sound && d < FMT_DIR_WORDS)
		dir = s->super.dir[d];
	else if (!s->super_sound && d == 0)
		dir = first_dir(s);
	if (!dir)
		return 0;
	if (!plain_page(s, dir))
		return 0;
	bitmap = get64(s->base + dir + zone % per_page * FMT_WORD);
	assert(dir + s->page_size <= s->size);
	if (!plain_page(s, bitmap))
		return 0;
	return bitmap;
}

/* bit_of - bit i of a bitmap as it lies in the file. */
static bool bit_of(const uint8_t *bits, uint64_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

/* known_in_use - the page with that number is in use for certain: a tree leads to it, or it is one
 * of the file's first. */
static bool known_in_use(const struct salvage *s, uint64_t page)
{
	const uint64_t head = FMT_SUPER_SIZE + FMT_RING_RECORD * FMT_RING_RECORDS;

	if (s->page[page] & SALVAGE_REACHED)
		return true;
	return page * s->page_size < head;
}

/* bitmap_believed - a bitmap has no checksum. But the bits of pages that are known to be in use
 * have to be 1, and those behind the file's end 0: one bit that is wrong is enough to refuse it.
 * Fewer than RIGHT_LEAST that are right prove nothing. Then pages that were replaced count, almost
 * all of which are free: some are not, where words of a commit are lost. */
static bool bitmap_believed(const struct salvage *s, uint64_t zone, const uint8_t *bits)
{
	const uint64_t zone_pages = (uint64_t)s->page_size * 8;
	const uint64_t first = zone * zone_pages;
	uint64_t right = 0;
	uint64_t freed = 0;
	uint64_t kept = 0;

	for (uint64_t i = 0; i < zone_pages; i++) {
		const uint64_t page = first + i;
		const bool inside = page < s->pages;
		const bool in_use = inside && known_in_use(s, page);

		if (!inside || in_use) {
			if (bit_of(bits, i) != in_use)
				return false;
			right++;
		} else if (s->page[page] & SALVAGE_REPLACED) {
			freed += !bit_of(bits, i);
			kept += bit_of(bits, i);
		}
	}
	if (right >= RIGHT_LEAST)
		return true;
	return right + freed >= RIGHT_LEAST && kept * KEPT_PART <= freed;
}

/* What was found of a zone's bitmap is kept for the next question: pages are asked about from front
 * to back. */
bool salvage_free(struct salvage *s, uint64_t off, bool *believed)
{
	const uint64_t page = off / s->page_size;
	const uint64_t zone_pages = (uint64_t)s->page_size * 8;
	const uint64_t zone = page / zone_pages;

	assert(salvage_is_page(s, off));
	if (!s->zone_asked || s->zone != zone) {
		s->zone_asked = true;
		s->zone = zone;
		s->bitmap = bitmap_of(s, zone);
		if (s->bitmap && !bitmap_believed(s, zone, s->base + s->bitmap))
			s->bitmap = 0;
	}
	*believed = s->bitmap != 0 && salvage_head(s, off)->birth < s->words_lost;
	if (!*believed)
		return false;
	return !bit_of(s->base + s->bitmap, page % zone_pages);
}
