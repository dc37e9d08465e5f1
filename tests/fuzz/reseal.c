/* SPDX-License-Identifier: BSD-3-Clause */
/* reseal.c - see reseal.h */
#include "reseal.h"

#include "base/crc.h"
#include "base/format.h"

#include <stdbool.h>
#include <string.h>

#define SUPER_HASH_SEED UINT64_C(0x6461786b76000001)

struct seal {
	uint8_t *p;
	size_t size;
	uint32_t psize;
};

/* has - whether [off, off + n) lies in the image. */
static bool has(const struct seal *s, uint64_t off, uint64_t n)
{
	return off <= s->size && n <= s->size - off;
}

static uint64_t take(const struct seal *s, uint64_t off, size_t width)
{
	uint64_t value = 0;

	if (has(s, off, width))
		memcpy(&value, s->p + off, width);
	return value;
}

static void put(const struct seal *s, uint64_t off, uint64_t value, size_t width)
{
	if (has(s, off, width))
		memcpy(s->p + off, &value, width);
}

/* ---- records --------------------------------------------------------------------------------- */

static void fresh_seal(const struct seal *s, uint64_t record, uint64_t ranges)
{
	uint32_t crc = 0;

	for (uint64_t i = 0; i < ranges; i++) {
		uint64_t range = take(s, record + 24 + 8 * i, 8), off = range >> 16,
		         len = (range & 0xffff) * 4;

		if (!has(s, off, len))
			return;
		uint32_t one = crc32c(0, s->p + off, len);

		crc = crc32c(crc, &one, 4);
	}
	put(s, record + 16, crc, 4);
}

static void spill_seal(const struct seal *s, uint64_t record)
{
	uint64_t page = take(s, record + 24, 8), left = take(s, record + 32, 8);
	uint32_t crc = 0;

	for (unsigned int n = 0; left && n < 1000; n++) {
		uint64_t pairs = take(s, page + 32, 8);

		if (!pairs || pairs > left || !has(s, page, FMT_SPILL_PAIRS) ||
		    pairs > s->psize / 16 || !has(s, page + FMT_SPILL_PAIRS, pairs * 16))
			return;
		crc = crc32c(crc, s->p + page + FMT_SPILL_PAIRS, pairs * 16);
		left -= pairs;
		page = take(s, page + 8, 8);
	}
	put(s, record + 40, crc, 4);
}

static void clean_seal(const struct seal *s)
{
	const uint64_t none = 0;
	uint64_t at = offsetof(struct fmt_super, clean),
	         txn = take(s, at, 8) & ((UINT64_C(1) << FMT_CLEAN_BITS) - 1);

	put(s, at, FMT_CLEAN(txn, crc32c(0, &txn, 8) ^ crc32c(0, &none, 8)), 8);
}

static void ring_seal(const struct seal *s)
{
	uint64_t ring = take(s, offsetof(struct fmt_super, ring_off), 8),
	         id = take(s, offsetof(struct fmt_super, file_id), 8), newest = 0;

	for (unsigned int i = 0; i < FMT_RING_RECORDS; i++)
		if (take(s, ring + i * FMT_RING_RECORD, 8) > newest)
			newest = take(s, ring + i * FMT_RING_RECORD, 8);
	for (unsigned int i = 0; i < FMT_RING_RECORDS; i++) {
		uint64_t record = ring + i * FMT_RING_RECORD, ranges = take(s, record + 20, 1),
		         words = take(s, record + 21, 1);
		bool spilled = ranges == FMT_REC_SPILLED;
		uint64_t n = spilled ? FMT_REC_HEAD + 3 : FMT_REC_HEAD + ranges + 2 * words;

		if (!has(s, record, FMT_RING_RECORD) || n > FMT_RING_RECORD / 8 ||
		    take(s, record, 8) == 0)
			continue;
		if (take(s, record, 8) == newest && spilled)
			spill_seal(s, record);
		else if (take(s, record, 8) == newest)
			fresh_seal(s, record, ranges);
		put(s, record + 8,
		    hash64(hash64(id, s->p + record, 8), s->p + record + 16, (n - 2) * 8), 8);
	}
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void entry_seal(const struct seal *s, uint64_t off)
{
	uint64_t kf = take(s, off, 2), value = off + FMT_ENTRY_SIZE + (kf & FMT_KLEN_MASK);
	uint64_t blob = take(s, value, 8), n = take(s, value + 8, 8);

	if ((kf & FMT_ENTRY_BLOB) && has(s, blob, n))
		put(s, value + 16, crc32c(0, s->p + blob, n), 4);
}

static void tail_seal(const struct seal *s, uint64_t page)
{
	for (unsigned int i = 0; i < FMT_TAIL_SLOTS; i++) {
		uint64_t slot = take(s, page + FMT_LEAF_SLOTS + 8 * i, 8), off = FMT_SLOT_OFF(slot);
		uint64_t klen = take(s, page + off, 2) & FMT_KLEN_MASK,
		         end = off + FMT_ENTRY_SIZE + klen + take(s, page + off + 2, 2);

		if (!slot || off < FMT_LEAF_BASE + FMT_TAIL_BEFORE ||
		    end + FMT_TAIL_AFTER > s->psize)
			continue;
		uint32_t fp = crc32c(0x1234, s->p + page + off + FMT_ENTRY_SIZE, klen);

		put(s, page + FMT_LEAF_SLOTS + 8 * i + 4, (fp ^ fp >> 16) & 0xffff, 2);
		entry_seal(s, page + off);
		slot = take(s, page + FMT_LEAF_SLOTS + 8 * i, 8);
		uint32_t crc =
		    crc32c(0, s->p + page + off - FMT_TAIL_BEFORE, end - off + FMT_TAIL_BEFORE);

		put(s, page + end, crc32c(crc, &slot, 8), 4);
	}
}

static void page_seal(const struct seal *s, uint64_t page)
{
	const uint8_t *p = s->p + page;
	uint64_t n = take(s, page + 22, 2), heads = take(s, page + 26, 2),
	         offs = take(s, page + 28, 2), end = take(s, page + 30, 2);
	uint32_t crc;

	bool uniform = p[20] == FMT_LEAF && heads & FMT_UNIFORM;

	if (end > s->psize || (!uniform && (offs > end || heads + 8 * n > s->psize)))
		return;
	if (p[20] == FMT_LEAF && (uniform || heads == FMT_LEAF_BASE) && end >= FMT_LEAF_BASE) {
		for (uint64_t i = 0; !uniform && i < n && offs + 2 * i < end; i++)
			entry_seal(s, page + take(s, page + offs + 2 * i, 2));
		tail_seal(s, page);
		crc = crc32c(crc32c(crc32c(0, p, 8), p + 20, 12), p + FMT_LEAF_BASE,
		             end - FMT_LEAF_BASE);
	} else if (p[20] == FMT_INNER && heads == FMT_INNER_HEADS) {
		crc = crc32c(crc32c(crc32c(crc32c(0, p, 8), p + 20, 12), p + heads, 8 * n),
		             p + offs, end - offs);
	} else if (p[20] == FMT_DESC && end == FMT_DESC_COUNTS) {
		crc = crc32c(crc32c(0, p, 8), p + 20, offsetof(struct fmt_desc, root) - 20);
	} else {
		return;
	}
	put(s, page + 16, crc ^ crc32c_place(page), 4);
}

void reseal(uint8_t *image, size_t size)
{
	struct seal s = {.p = image, .size = size};

	if (size < FMT_SUPER_SIZE)
		return;
	s.psize = (uint32_t)take(&s, offsetof(struct fmt_super, page_size), 4);
	if (s.psize < FMT_PAGE_MIN || s.psize > FMT_PAGE_MAX || s.psize & (s.psize - 1))
		return;
	for (uint64_t page = take(&s, offsetof(struct fmt_super, first_page), 8);
	     page % s.psize == 0 && has(&s, page, s.psize); page += s.psize)
		page_seal(&s, page);
	put(&s, offsetof(struct fmt_super, hash),
	    hash64(SUPER_HASH_SEED, image, offsetof(struct fmt_super, hash)), 8);
	clean_seal(&s);
	ring_seal(&s);
}
