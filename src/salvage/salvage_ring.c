/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * salvage_ring.c - words of commit records that are not in place yet. See salvage.h
 *
 * What recovery does (redo/recover.h), from the format alone, and with what it may not do: where
 * recovery refuses, this goes on. A record that is missing is left out, and so is a word that lies
 * nowhere. All of it goes to the private mapping, so that the file stays as it is.
 */
#include "base/crc.h"
#include "salvage/salvage.h"

#define PAIR      16u /* bytes of a word in a record: where it lies, and its value */
#define SPILL_LEN 6u  /* words of a record whose pairs are elsewhere */

struct record {
	uint64_t txn;
	uint64_t after; /* the words of all records up to it are in place */
	const uint8_t *pairs;
	uint32_t n;         /* pairs in the record */
	uint64_t spill;     /* first page of the pairs, when they are not in the record; else 0 */
	uint64_t spilled;   /* pairs in such pages, all together */
	uint32_t spill_crc; /* of them */
};

/* record_place - the bytes of the ring's place with that index. */
static const uint8_t *record_place(const struct salvage *s, uint64_t index)
{
	assert(index < FMT_RING_RECORDS);
	return s->base + s->super.ring_off + index * FMT_RING_RECORD;
}

/* record_read - the record at a place of the ring. False when there is no sound one. What its head
 * says of its length is bounded before the hash is taken over it. */
static bool record_read(const struct salvage *s, uint64_t index, struct record *r)
{
	const uint8_t *p = record_place(s, index);
	const uint64_t head = get64(p + 16);
	const uint32_t ranges = head >> 32 & 0xff;
	const uint32_t words = head >> 40 & 0xff;
	const uint64_t back = head >> 48; /* so many commits before, all words were in place */
	const bool spilled = ranges == FMT_REC_SPILLED;
	uint64_t n = SPILL_LEN;
	uint64_t hash;

	*r = (struct record){.txn = get64(p)};
	if (!spilled)
		n = FMT_REC_HEAD + ranges + 2u * words;
	if (r->txn == 0)
		return false;
	if (r->txn >> FMT_CLEAN_BITS)
		return false;
	if (r->txn % FMT_RING_RECORDS != index)
		return false;
	if (n * 8 > FMT_RING_RECORD)
		return false;
	if (!spilled && ranges > FMT_REC_MAX_RANGES)
		return false;
	if (back == 0)
		return false;
	if (back > r->txn)
		return false;
	hash = hash64(s->super.file_id, p, 8);
	if (get64(p + 8) != hash64(hash, p + 16, (n - 2) * 8))
		return false;
	r->after = r->txn - back;
	if (spilled) {
		r->spill = get64(p + 24);
		r->spilled = get64(p + 32);
		r->spill_crc = (uint32_t)get64(p + 40);
		return true;
	}
	r->n = words;
	r->pairs = p + (FMT_REC_HEAD + ranges) * 8;
	return true;
}

/* fresh_right - whether the bytes that the record makes reachable are there: else its commit did
 * not finish. */
static bool fresh_right(const struct salvage *s, uint64_t index)
{
	const uint8_t *p = record_place(s, index);
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

		if (!salvage_readable(s, off, len))
			return false;
		crc = crc32c(0, s->base + off, len);
		all = crc32c(all, &crc, sizeof crc);
	}
	return all == (uint32_t)head;
}

/* word_put - store a word in the private mapping, where a record may have one. What is known of a
 * page stays true: its header bounds what is read of it. */
static void word_put(const struct salvage *s, uint64_t off, uint64_t value)
{
	if (off % FMT_WORD)
		return;
	if (off < offsetof(struct fmt_super, main_desc))
		return;
	if (off / s->page_size >= s->pages)
		return;
	if (s->page[off / s->page_size] & SALVAGE_UNREADABLE)
		return;
	if (salvage_fixed(s, off))
		return;
	put64(s->base + off, value);
}

/* words_put - put pairs of offset and value in place, in the private mapping. */
static void words_put(const struct salvage *s, const uint8_t *pairs, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *pair = pairs + PAIR * i;

		word_put(s, get64(pair), get64(pair + 8));
	}
}

/* spill_sound - off is a page of pairs that the record's transaction wrote. */
static bool spill_sound(const struct salvage *s, const struct record *r, uint64_t off)
{
	const uint64_t most = (s->page_size - FMT_SPILL_PAIRS) / PAIR;
	const struct fmt_spill *spill;

	if (!salvage_is_page(s, off))
		return false;
	if (*salvage_marks(s, off) & SALVAGE_UNREADABLE)
		return false;
	spill = (const void *)(s->base + off);
	if (spill->page.type != FMT_SPILL)
		return false;
	if (spill->page.birth != r->txn)
		return false;
	if (spill->pairs == 0)
		return false;
	return spill->pairs <= most;
}

/* words_lost - those of a commit that were to be in the page at off, or with 0 in its record: what
 * they would have changed is as old as it is. */
static void words_lost(struct salvage *s, uint64_t txn, uint64_t off)
{
	const char *what = "what it changed may be older";

	s->words_lost = min_u64(s->words_lost, txn);
	if (off)
		salvage_lost(s, NULL, "page 0x%lx: words of commit %lu: %s", off, txn, what);
	else
		salvage_lost(s, NULL, "record of commit %lu: %s", txn, what);
}

/* spill_put - the pairs of a chain of pages. A damaged chain may be a ring, hence the bound. Pairs
 * that are not all as they were written are put nevertheless, since most of them are right, and
 * what they lead to has checksums of its own. */
static void spill_put(struct salvage *s, const struct record *r)
{
	uint64_t off = r->spill;
	uint64_t pairs = 0;
	uint32_t crc = 0;

	for (uint64_t i = 0; i < s->pages && off != 0; i++) {
		const struct fmt_spill *spill;

		if (!spill_sound(s, r, off)) {
			words_lost(s, r->txn, off);
			return;
		}
		spill = (const void *)(s->base + off);
		crc = crc32c(crc, spill->pair, spill->pairs * PAIR);
		pairs += spill->pairs;
		words_put(s, (const uint8_t *)spill->pair, spill->pairs);
		off = spill->page.prev;
	}
	if (pairs != r->spilled || crc != r->spill_crc)
		words_lost(s, r->txn, r->spill);
}

/* record_put - the words of a record, wherever they are. */
static void record_put(struct salvage *s, const struct record *r)
{
	if (r->spill)
		spill_put(s, r);
	else
		words_put(s, r->pairs, r->n);
}

/* clean_txn - the commit after which the store was closed, with all words in place; 0: none is
 * known. */
static uint64_t clean_txn(const struct salvage *s)
{
	const uint64_t txn = s->super.clean & ((UINT64_C(1) << FMT_CLEAN_BITS) - 1);
	const uint64_t sum = s->super.clean >> FMT_CLEAN_BITS;
	const uint64_t zero = 0;
	const uint32_t crc = crc32c(0, &txn, 8) ^ crc32c(0, &zero, 8);

	if (sum != FMT_CLEAN_SUM(crc))
		return 0;
	return txn;
}

/* newest_record - the record of the newest commit that finished, clean being known to have; txn 0:
 * there is none. The newest of all may be of a commit that did not: then it is the one before. */
static struct record newest_record(const struct salvage *s, uint64_t clean)
{
	struct record newest = {.txn = 0};
	struct record r;
	uint64_t before;

	for (uint64_t i = 0; i < FMT_RING_RECORDS; i++)
		if (record_read(s, i, &r) && r.txn > newest.txn)
			newest = r;
	if (newest.txn <= clean)
		return newest;
	if (fresh_right(s, newest.txn % FMT_RING_RECORDS))
		return newest;
	before = newest.txn - 1;
	if (record_read(s, before % FMT_RING_RECORDS, &newest) && newest.txn == before)
		return newest;
	return (struct record){
	    .txn = before,
	    .after = before,
	};
}

/* A record that is missing leaves its words as they are: pages are looked at by their checksums
 * anyway. */
void salvage_ring(struct salvage *s)
{
	const uint64_t size = FMT_RING_RECORDS * FMT_RING_RECORD;
	const uint64_t clean = clean_txn(s);
	struct record newest;
	struct record r;

	s->newest = UINT64_MAX;
	if (clean)
		s->newest = clean;
	if (!salvage_readable(s, s->super.ring_off, size))
		return;
	newest = newest_record(s, clean);
	if (newest.txn || clean)
		s->newest = max_u64(newest.txn, clean);
	for (uint64_t t = max_u64(newest.after, clean) + 1; t <= newest.txn; t++) {
		if (record_read(s, t % FMT_RING_RECORDS, &r) && r.txn == t)
			record_put(s, &r);
		else
			words_lost(s, t, 0);
	}
}
