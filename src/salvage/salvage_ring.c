/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc.h"
#include "salvage/salvage.h"

struct record {
	uint64_t txn, after; /* after: the words of all records up to it are in place */
	const uint8_t *pairs;
	uint32_t n;
	uint64_t spill; /* first page of the pairs, when they are not in the record; else 0 */
};

/* record_read - the record at a place of the ring. False when there is no sound one. */
static bool record_read(const struct salvage *s, uint64_t index, struct record *r)
{
	const uint8_t *p = s->base + s->super.ring_off + index * FMT_RING_RECORD;
	const uint64_t head = get64(p + 16);
	const uint32_t ranges = head >> 32 & 0xff;
	const uint32_t words = head >> 40 & 0xff;
	const bool spilled = ranges == FMT_REC_SPILLED;
	const uint64_t n = spilled ? 6 : FMT_REC_HEAD + ranges + 2u * words;

	*r = (struct record){.txn = get64(p), .n = spilled ? 0 : words};
	if (r->txn == 0 || r->txn % FMT_RING_RECORDS != index || n * 8 > FMT_RING_RECORD ||
	    (!spilled && ranges > FMT_REC_MAX_RANGES) || head >> 48 == 0 || head >> 48 > r->txn)
		return false;
	if (get64(p + 8) != hash64(hash64(s->super.file_id, p, 8), p + 16, (n - 2) * 8))
		return false;
	r->after = r->txn - (head >> 48);
	r->pairs = p + (FMT_REC_HEAD + ranges) * 8;
	r->spill = spilled ? get64(p + 24) : 0;
	return true;
}

/* fresh_right - whether the bytes that the record makes reachable are there: else its commit did
 * not finish. */
static bool fresh_right(const struct salvage *s, uint64_t index)
{
	const uint8_t *p = s->base + s->super.ring_off + index * FMT_RING_RECORD;
	const uint64_t head = get64(p + 16);
	const uint32_t ranges = head >> 32 & 0xff;
	uint32_t all = 0;

	if (ranges == FMT_REC_SPILLED)
		return true;
	for (uint32_t i = 0; i < ranges; i++) {
		const uint64_t range = get64(p + (FMT_REC_HEAD + i) * 8);
		const uint64_t off = range >> 16;
		const uint64_t len = (range & 0xffff) * 4;
		uint32_t crc;

		if (off > s->size || len > s->size - off)
			return false;
		for (uint64_t at = off / s->page_size; at * s->page_size < off + len; at++)
			if (s->page[at] & SALVAGE_UNREADABLE)
				return false;
		crc = crc32c(0, s->base + off, len);
		all = crc32c(all, &crc, sizeof crc);
	}
	return all == (uint32_t)head;
}

/* words_put - put pairs of offset and value in place, in the private mapping. */
static void words_put(const struct salvage *s, const uint8_t *pairs, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		const uint64_t off = get64(pairs + 16 * i);

		if (off % FMT_WORD == 0 && off >= offsetof(struct fmt_super, main_desc) &&
		    off < s->pages * s->page_size &&
		    !(s->page[off / s->page_size] & SALVAGE_UNREADABLE))
			put64(s->base + off, get64(pairs + 16 * i + 8));
	}
}

static void spill_put(const struct salvage *s, const struct record *r)
{
	uint64_t off = r->spill;

	for (uint64_t i = 0; i < s->pages && off != 0; i++) { /* a chain may be a ring */
		const struct fmt_spill *page = (const void *)(s->base + off);
		const uint64_t most = (s->page_size - FMT_SPILL_PAIRS) / 16;

		if (off % s->page_size || off / s->page_size >= s->pages ||
		    s->page[off / s->page_size] & SALVAGE_UNREADABLE ||
		    page->page.type != FMT_SPILL || page->page.birth != r->txn || !page->pairs ||
		    page->pairs > most)
			return;
		words_put(s, (const uint8_t *)page->pair, page->pairs);
		off = page->page.prev;
	}
}

static bool ring_readable(const struct salvage *s)
{
	const uint64_t ring = s->super.ring_off;
	const uint64_t size = FMT_RING_RECORDS * FMT_RING_RECORD;

	if (ring > s->size || size > s->size - ring)
		return false;
	for (uint64_t i = ring / s->page_size; i * s->page_size < ring + size; i++)
		if (i >= s->pages || s->page[i] & SALVAGE_UNREADABLE)
			return false;
	return true;
}

/* A record that is missing leaves its words as they are: pages are looked at by their checksums
 * anyway. */
void salvage_ring(struct salvage *s)
{
	const uint64_t txn = s->super.clean & ((UINT64_C(1) << FMT_CLEAN_BITS) - 1);
	const uint64_t sum = s->super.clean >> FMT_CLEAN_BITS;
	const uint32_t c = crc32c(0, &txn, 8) ^ crc32c(0, &(uint64_t){0}, 8);
	const uint64_t clean = sum == FMT_CLEAN_SUM(c) ? txn : 0;
	struct record newest = {.txn = 0};
	struct record r;

	s->newest = clean ? clean : UINT64_MAX;
	if (!ring_readable(s))
		return;
	for (uint64_t i = 0; i < FMT_RING_RECORDS; i++)
		if (record_read(s, i, &r) && r.txn > newest.txn)
			newest = r;
	if (newest.txn > clean && !fresh_right(s, newest.txn % FMT_RING_RECORDS)) {
		const uint64_t before = newest.txn - 1;

		if (!record_read(s, before % FMT_RING_RECORDS, &newest) || newest.txn != before)
			newest = (struct record){.txn = before, .after = before};
	}
	if (newest.txn || clean)
		s->newest = max_u64(newest.txn, clean);
	for (uint64_t t = max_u64(newest.after, clean) + 1; t <= newest.txn; t++) {
		if (!record_read(s, t % FMT_RING_RECORDS, &r) || r.txn != t)
			continue;
		if (r.spill)
			spill_put(s, &r);
		else
			words_put(s, r.pairs, r.n);
	}
}
