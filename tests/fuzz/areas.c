/* SPDX-License-Identifier: BSD-3-Clause */
/* areas.c - see areas.h */
#include "areas.h"

#include "base/format.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct areas {
	const uint8_t *p; /* the store with all words in place */
	size_t size;
	uint32_t psize;
	uint8_t *map, *named;
};

static uint64_t take(const struct areas *a, uint64_t off, size_t width)
{
	uint64_t value = 0;

	if (off > a->size || width > a->size - off) {
		fprintf(stderr, "areas: byte 0x%lx is behind the sample's end\n",
		        (unsigned long)off);
		exit(1);
	}
	memcpy(&value, a->p + off, width);
	return value;
}

static void paint(struct areas *a, uint64_t off, uint64_t n, enum area area)
{
	if (n) {
		take(a, off + n - 1, 1);
		memset(a->map + off, (int)area, n);
	}
}

/* ---- ring and space -------------------------------------------------------------------------- */

/* record_paint - a place of the ring: what of it the record has, and the rest. */
static void record_paint(struct areas *a, uint64_t off, uint64_t newest)
{
	uint64_t txn = take(a, off, 8), ranges = take(a, off + 20, 1), words = take(a, off + 21, 1),
	         n;

	if ((newest + 1) % FMT_RING_RECORDS == (off - take(a, 48, 8)) / FMT_RING_RECORD) {
		paint(a, off, FMT_RING_RECORD, AREA_FOLLOWER);
		return;
	}
	paint(a, off, FMT_RING_RECORD, txn ? AREA_RECORD_REST : AREA_RECORD_NONE);
	n = ranges == FMT_REC_SPILLED ? FMT_REC_HEAD + 3 : FMT_REC_HEAD + ranges + 2 * words;
	/* Of an empty slot the first three words are looked at. */
	paint(a, off, txn ? n * 8 : 24, txn == newest && txn ? AREA_NEWEST : AREA_RECORD);
	for (uint64_t i = 0; txn == newest && ranges != FMT_REC_SPILLED && i < ranges; i++) {
		uint64_t range = take(a, off + 24 + 8 * i, 8);

		memset(a->named + (range >> 16), 1, (range & 0xffff) * 4);
	}
}

/* words_paint - n words that a record names: recovery stores them again. */
static void words_paint(struct areas *a, uint64_t pairs, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		paint(a, take(a, pairs + 16 * i, 8), 8, AREA_REPLAYED);
}

/* replayed_paint - a record that recovery needs: its words, and the pages that they spilled to. */
static void replayed_paint(struct areas *a, uint64_t record)
{
	uint64_t ranges = take(a, record + 20, 1);

	if (ranges != FMT_REC_SPILLED) {
		words_paint(a, record + 24 + 8 * ranges, take(a, record + 21, 1));
		return;
	}
	for (uint64_t page = take(a, record + 24, 8); page; page = take(a, page + 8, 8)) {
		uint64_t n = take(a, page + 32, 8);

		paint(a, page, a->psize, AREA_SPILL_REST);
		if (take(a, page + 8, 8)) /* the next page; of the last one nobody asks */
			paint(a, page + 8, 8, AREA_SPILL);
		paint(a, page + 20, 1, AREA_SPILL);
		paint(a, page + 32, 8 + 16 * n, AREA_SPILL);
		words_paint(a, page + 40, n);
	}
}

static void ring_paint(struct areas *a)
{
	uint64_t ring = take(a, 48, 8), newest = 0, durable;

	for (uint64_t i = 0; i < FMT_RING_RECORDS; i++)
		if (take(a, ring + i * FMT_RING_RECORD, 8) > newest)
			newest = take(a, ring + i * FMT_RING_RECORD, 8);
	for (uint64_t i = 0; i < FMT_RING_RECORDS; i++)
		record_paint(a, ring + i * FMT_RING_RECORD, newest);
	durable = newest - take(a, ring + newest % FMT_RING_RECORDS * FMT_RING_RECORD + 22, 2);
	if (take(a, 256, 8) > durable)
		durable = take(a, 256, 8);
	for (uint64_t txn = durable + 1; txn <= newest; txn++)
		replayed_paint(a, ring + txn % FMT_RING_RECORDS * FMT_RING_RECORD);
}

static void space_paint(struct areas *a)
{
	for (uint64_t off = 384; off < FMT_SUPER_SIZE; off += 8) {
		uint64_t dir = take(a, off, 8);

		if (!dir)
			continue;
		paint(a, dir, a->psize, AREA_SPACE);
		for (uint64_t at = dir; at < dir + a->psize; at += 8)
			if (take(a, at, 8))
				paint(a, take(a, at, 8), a->psize, AREA_SPACE);
	}
}

/* ---- trees ----------------------------------------------------------------------------------- */

static void desc_paint(struct areas *a, uint64_t page);

static void header_paint(struct areas *a, uint64_t page, enum area rest)
{
	paint(a, page, a->psize, rest);
	paint(a, page, 32, AREA_PAGE);
	paint(a, page + 8, 8, AREA_PREV);
}

/* entry_paint - what a live entry refers to; 0: one of a uniform base, which refers to nothing. */
static void entry_paint(struct areas *a, uint64_t off)
{
	if (!off)
		return;
	uint64_t kf = take(a, off, 2), value = off + FMT_ENTRY_SIZE + (kf & FMT_KLEN_MASK);

	if (kf & FMT_ENTRY_DB && take(a, value, 8))
		desc_paint(a, take(a, value, 8));
	if (!(kf & FMT_ENTRY_BLOB))
		return;
	uint64_t blob = take(a, value, 8), n = take(a, value + 8, 8),
	         pages = (n + a->psize - 1) / a->psize;

	paint(a, blob, pages * a->psize, AREA_BLOB_REST);
	paint(a, blob, n, AREA_BLOB);
}

static void leaf_paint(struct areas *a, uint64_t page)
{
	uint64_t n = take(a, page + 22, 2), heads = take(a, page + 26, 2),
	         offs = take(a, page + 28, 2), end = take(a, page + 30, 2), count = n;
	uint64_t order[FMT_PAGE_MAX / 8]; /* of live entries */

	header_paint(a, page, AREA_LEAF_REST);
	paint(a, page + FMT_LEAF_SLOTS, FMT_TAIL_SLOTS * 8, AREA_SLOT);
	paint(a, page + FMT_LEAF_BASE, end - FMT_LEAF_BASE, AREA_BASE);
	for (uint64_t i = 0; i < n; i++)
		order[i] = heads & FMT_UNIFORM ? 0 : page + take(a, page + offs + 2 * i, 2);
	for (uint64_t i = 0; i < FMT_TAIL_SLOTS; i++) {
		uint64_t slot = take(a, page + FMT_LEAF_SLOTS + 8 * i, 8), off = FMT_SLOT_OFF(slot),
		         rank = FMT_SLOT_RANK(slot);

		if (!slot)
			continue;
		uint64_t body = FMT_ENTRY_SIZE + (take(a, page + off, 2) & FMT_KLEN_MASK) +
		                take(a, page + off + 2, 2);

		paint(a, page + off - FMT_TAIL_BEFORE, FMT_TAIL_BEFORE + body + FMT_TAIL_AFTER,
		      AREA_TAIL);
		if (FMT_SLOT_KIND(slot) == FMT_SLOT_INSERT) {
			memmove(order + rank + 1, order + rank, (count++ - rank) * sizeof *order);
			order[rank] = page + off;
		} else if (FMT_SLOT_KIND(slot) == FMT_SLOT_REPLACE) {
			order[rank] = page + off;
		} else {
			memmove(order + rank, order + rank + 1, (--count - rank) * sizeof *order);
		}
	}
	for (uint64_t i = 0; i < count; i++)
		entry_paint(a, order[i]);
}

static void tree_paint(struct areas *a, uint64_t page)
{
	uint64_t level = take(a, page + 21, 1), n = take(a, page + 22, 2);

	if (level == 0) {
		leaf_paint(a, page);
		return;
	}
	header_paint(a, page, AREA_INNER_REST);
	paint(a, page + 32, take(a, page + 30, 2) - 32, AREA_BASE);
	for (uint64_t i = 0; i <= n; i++)
		tree_paint(a, take(a, page + 32 + 8 * n + 8 * i, 8));
}

static void desc_paint(struct areas *a, uint64_t page)
{
	if (take(a, page + offsetof(struct fmt_page, type), 1) ==
	    FMT_LEAF) { /* all of a database */
		tree_paint(a, page);
		return;
	}
	header_paint(a, page, AREA_DESC);
	/* Of a count's transaction only the order is looked at; an unused count may turn into one
	 * of no entries. */
	for (uint64_t at = page + FMT_DESC_COUNTS; at < page + a->psize; at += 8) {
		paint(a, at + FMT_COUNT_BITS / 8, 3, AREA_COUNT_OLD);
		if (!take(a, at, 8))
			break;
		if (at > page + FMT_DESC_COUNTS)
			paint(a, at - 8, 8, AREA_COUNT_OLD);
	}
	if (take(a, page + offsetof(struct fmt_desc, root), 8))
		tree_paint(a, take(a, page + offsetof(struct fmt_desc, root), 8));
	if (take(a, page + offsetof(struct fmt_desc, tallies), 8))
		tree_paint(a, take(a, page + offsetof(struct fmt_desc, tallies), 8));
}

uint8_t *areas_map(const struct sample *s, uint8_t **named)
{
	struct areas a = {.p = s->recovered,
	                  .size = s->size,
	                  .map = malloc(s->size),
	                  .named = calloc(1, s->size)};

	if (!a.map || !a.named) {
		fprintf(stderr, "areas: no memory\n");
		exit(1);
	}
	memset(a.map, AREA_FREE, s->size);
	a.psize = (uint32_t)take(&a, 16, 4);
	paint(&a, 0, FMT_SUPER_SIZE, AREA_SUPER);
	paint(&a, offsetof(struct fmt_super, clean), 8, AREA_CLEAN);
	paint(&a, offsetof(struct fmt_super, user_version), 8, AREA_USER);
	space_paint(&a);
	desc_paint(&a, take(&a, offsetof(struct fmt_super, main_desc), 8));
	ring_paint(&a);
	*named = a.named;
	return a.map;
}

const char *area_name(enum area area)
{
	static const char *const names[AREAS] = {
	    [AREA_SUPER] = "superblock",
	    [AREA_RECORD] = "records",
	    [AREA_NEWEST] = "the newest record",
	    [AREA_SPACE] = "bitmap and directory pages",
	    [AREA_PAGE] = "page headers",
	    [AREA_SLOT] = "slots of leaves",
	    [AREA_BASE] = "bases of leaves, inner pages",
	    [AREA_TAIL] = "appended entries",
	    [AREA_DESC] = "descriptors",
	    [AREA_BLOB] = "large values",
	    [AREA_SPILL] = "spilled words",
	    [AREA_USER] = "the user version",
	    [AREA_CLEAN] = "the mark of a clean close",
	    [AREA_PREV] = "prev fields",
	    [AREA_REPLAYED] = "words that recovery stores again",
	    [AREA_COUNT_OLD] = "older counts, and the transactions of counts",
	    [AREA_LEAF_REST] = "unused parts of leaves",
	    [AREA_INNER_REST] = "unused parts of inner pages",
	    [AREA_BLOB_REST] = "behind large values",
	    [AREA_SPILL_REST] = "unused parts of spill pages",
	    [AREA_RECORD_REST] = "ring: behind a record's end",
	    [AREA_RECORD_NONE] = "ring: places without a record",
	    [AREA_FOLLOWER] = "ring: the slot that comes next",
	    [AREA_FREE] = "free pages",
	};

	return names[area];
}
