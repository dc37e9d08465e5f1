/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_image.h - a small store file for test_check.c, built by hand, byte by byte from the format.
 *
 *   superblock, ring with records 4 and 5 | directory | bitmap | main descriptor | inner | leaf A |
 *     leaf B | blob (2 pages)
 *   | descriptor of "d" | its leaf | two free pages
 *
 * The newest transaction is 5. Both leaves and the leaf of "d", a database with duplicates, have a
 * tail; leaf B holds the blob's entry and the record of "d". Search heads and offsets are written
 * out here, so that no code is shared with what reads them.
 */
#ifndef DAXKV_TEST_CHECK_IMAGE_H
#define DAXKV_TEST_CHECK_IMAGE_H

#include "base/crc.h"
#include "base/format.h"
#include "daxkv.h"

#include <stdlib.h>
#include <string.h>

#define TXN         5u
#define IMAGE_PAGES 13u /* behind the ring */
#define SUPER_SEED  UINT64_C(0x6461786b76000001)
#define FILE_ID     UINT64_C(0x1122334455667788)

enum place { /* file offsets that mutations are relative to */
	     SUPER,
	     RING4,
	     RING5,
	     DIR,
	     BITMAP,
	     DESC,
	     INNER,
	     LEAF_A,
	     LEAF_B,
	     BLOB,
	     BLOB_END,
	     NAMED,
	     DUPS,
	     SPILL,
	     SIZE,
	     SEP,
	     A_BASE,
	     A_TAIL,
	     B_BLOB,
	     B_DB,
	     B_TAIL,
	     DUPS_BASE,
	     DUPS_TAIL,
	     PLACES
};

struct image {
	uint8_t *base;
	uint32_t page_size;
	uint64_t mapped, txn, at[PLACES];
	uint32_t leaf_end[PLACES]; /* next free byte of a leaf's tail */
};

static void put(uint8_t *p, uint64_t value, size_t width)
{
	memcpy(p, &value, width);
}

static uint64_t take(const uint8_t *p, size_t width)
{
	uint64_t value = 0;

	memcpy(&value, p, width);
	return value;
}

/* ---- checksums ------------------------------------------------------------------------------- */

static void seal_page(struct image *im, uint64_t off)
{
	const uint32_t page_size = im->page_size;
	uint8_t *p = im->base + off;
	uint32_t n = (uint32_t)take(p + 22, 2), heads = (uint32_t)take(p + 26, 2),
	         offs = (uint32_t)take(p + 28, 2), crc;
	uint32_t end = (uint32_t)take(p + 30, 2);

	if (end > page_size ||
	    (p[20] != FMT_LEAF &&
	     (offs > page_size || end < offs || heads > page_size || heads + 8 * n > page_size)))
		return; /* damaged on purpose */
	crc = crc32c(crc32c(0, p, 8), p + 20, 12);
	if (p[20] == FMT_DESC) {
		crc = crc32c(crc, p + 32, 32);
	} else if (p[20] == FMT_INNER) {
		crc = crc32c(crc, p + heads, (size_t)n * 8);
		crc = crc32c(crc, p + offs, end - offs);
	} else if (end >= 160) {
		crc = crc32c(crc, p + 160, end - 160);
	}
	put(p + 16, crc ^ crc32c(0, &off, sizeof off), 4);
}

static void seal_tail(uint8_t *leaf, uint32_t page_size)
{
	for (uint32_t i = 0; i < FMT_TAIL_SLOTS; i++) {
		uint8_t *slot = leaf + 32 + (size_t)i * 8;
		uint32_t off = (uint32_t)take(slot, 2), end = (uint32_t)take(slot + 2, 2);

		if (off >= 8 && end <= page_size && off + 4 < end)
			put(leaf + end - 4,
			    crc32c(crc32c(0, leaf + off - 8, end - 4 - off + 8), slot, 8), 4);
	}
}

/* seal_record - with values: take the words' values from where they point, as commit does. */
static void seal_record(struct image *im, enum place ring, bool values)
{
	uint8_t *p = im->base + im->at[ring];
	uint32_t ranges = p[20], words = p[21], crc = 0,
	         last = 3 + (ranges == 255 ? 3 : ranges + 2 * words);

	if (last > 64)
		return; /* damaged on purpose */
	for (uint32_t i = 0; values && ranges != 255 && i < ranges; i++) {
		uint64_t range = take(p + 24 + (size_t)i * 8, 8);
		uint32_t one = crc32c(0, im->base + (range >> 16), (range & 0xffff) * 4);
		crc = crc32c(crc, &one, 4);
	}
	if (values) {
		put(p + 16, crc, 4);
		for (uint32_t i = 0; ranges != 255 && i < words; i++) {
			uint8_t *pair = p + 24 + (size_t)(ranges + 2 * i) * 8;
			memcpy(pair + 8, im->base + take(pair, 8), 8);
		}
	}
	put(p + 8, hash64(hash64(FILE_ID, p, 8), p + 16, ((size_t)last - 2) * 8), 8);
}

static const enum place pages[] = {DESC, INNER, LEAF_A, LEAF_B, NAMED, DUPS};
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* seal - make all checksums right for what the bytes say now; with values, records too say what is
 * in place. */
static void seal(struct image *im, bool values)
{
	put(im->base + 248, hash64(SUPER_SEED, im->base, 248), 8);
	seal_tail(im->base + im->at[LEAF_A], im->page_size);
	seal_tail(im->base + im->at[LEAF_B], im->page_size);
	seal_tail(im->base + im->at[DUPS], im->page_size);
	for (size_t i = 0; i < COUNT(pages); i++)
		seal_page(im, im->at[pages[i]]);
	if (im->base[im->at[SPILL] + 20] == FMT_INNER)
		seal_page(im, im->at[SPILL]);
	seal_record(im, RING4, values);
	seal_record(im, RING5, values);
}

/* ---- the image ------------------------------------------------------------------------------- */

struct pair {
	const void *key, *value;
	uint32_t klen, vlen;
	uint64_t head;
	uint32_t flags;
};

static void page_header(uint8_t *p, uint64_t birth, uint32_t type, uint32_t level)
{
	put(p, birth, 8);
	p[20] = (uint8_t)type;
	p[21] = (uint8_t)level;
}

static uint32_t entry_put(uint8_t *leaf, uint32_t off, const struct pair *pair)
{
	put(leaf + off, pair->klen | pair->flags, 2);
	put(leaf + off + 2, pair->vlen, 2);
	memcpy(leaf + off + 4, pair->key, pair->klen);
	memcpy(leaf + off + 4 + pair->klen, pair->value, pair->vlen);
	return off + 4 + pair->klen + pair->vlen;
}

static void leaf_put(struct image *im, enum place leaf, uint64_t birth, uint32_t plen,
                     const struct pair *pair, uint32_t n)
{
	uint8_t *p = im->base + im->at[leaf];
	uint32_t offs = 160 + 8 * n, off = offs + 2 * n;

	page_header(p, birth, FMT_LEAF, 0);
	for (uint32_t i = 0; i < n; i++) {
		put(p + 160 + (size_t)i * 8, pair[i].head, 8);
		put(p + offs + (size_t)i * 2, off, 2);
		off = entry_put(p, off, &pair[i]);
	}
	put(p + 22, n, 2);
	put(p + 24, plen, 2);
	put(p + 26, 160, 2);
	put(p + 28, offs, 2);
	put(p + 30, off, 2);
	im->leaf_end[leaf] = off;
}

static void slot_put(struct image *im, enum place leaf, uint32_t slot, uint64_t txn, uint32_t kind,
                     uint32_t rank, const struct pair *pair)
{
	uint8_t *p = im->base + im->at[leaf];
	uint32_t off = im->leaf_end[leaf] + 8, end = entry_put(p, off, pair) + 4,
	         fp = crc32c(0x1234, pair->key, pair->klen);

	put(p + off - 8, txn, 8);
	put(p + 32 + (size_t)slot * 8, FMT_SLOT(off, end, (fp ^ fp >> 16) & 0xffff, rank, kind), 8);
	im->leaf_end[leaf] = end;
}

static void desc_put(struct image *im, enum place desc, uint64_t birth, uint32_t flags,
                     uint64_t entries, enum place root)
{
	uint8_t *p = im->base + im->at[desc];

	page_header(p, birth, FMT_DESC, 0);
	put(p + 30, 128, 2);
	put(p + 32, flags, 4);
	put(p + 40, entries, 8);
	put(p + 64, im->at[root], 8);
	put(p + 72, 1, 8);
}

static void record_put(struct image *im, enum place ring, uint64_t txn, uint64_t range,
                       const uint64_t *words, uint32_t n)
{
	uint8_t *p = im->base + im->at[ring];
	uint32_t ranges = range != 0;

	put(p, txn, 8);
	p[20] = (uint8_t)ranges;
	p[21] = (uint8_t)n;
	put(p + 22, 2, 2); /* durable up to txn - 2 */
	put(p + 24, range, 8);
	for (uint32_t i = 0; i < n; i++)
		put(p + 24 + (size_t)(ranges + 2 * i) * 8, words[i], 8);
}

/* clean_word - the mark that transaction txn is clean. */
static uint64_t clean_word(uint64_t txn)
{
	const uint64_t none = 0;

	return FMT_CLEAN(txn, crc32c(0, &txn, 8) ^ crc32c(0, &none, 8));
}

static void space_put(struct image *im)
{
	uint64_t used = im->at[SPILL] / im->page_size;

	memcpy(im->base, FMT_MAGIC, 8);
	put(im->base + 8, FMT_VERSION, 4);
	put(im->base + 12, 0x01020304, 4);
	put(im->base + 16, im->page_size, 4);
	put(im->base + 20, 512, 4);
	put(im->base + 24, 64, 4);
	put(im->base + 40, FILE_ID, 8);
	put(im->base + 48, 4096, 8);
	put(im->base + 56, im->at[DIR], 8);
	put(im->base + 256, clean_word(3), 8);
	put(im->base + 320, im->at[DESC], 8);
	put(im->base + 328, im->at[SIZE], 8);
	put(im->base + 384, im->at[DIR], 8);
	put(im->base + im->at[DIR], im->at[BITMAP], 8);
	for (uint64_t i = 0; i < used; i++)
		im->base[im->at[BITMAP] + i / 8] |= (uint8_t)(1u << i % 8);
}

/* inner_put - n separators of nine bytes, before all duplicates, without a prefix. */
static void inner_put(struct image *im, enum place place, uint32_t level, uint32_t n,
                      const char *const *seps, const uint64_t *kids)
{
	uint8_t *p = im->base + im->at[place];
	uint32_t offs = 32 + 8 * n + 8 * (n + 1), off = offs + 2 * n;

	page_header(p, 2, FMT_INNER, level);
	put(p + 22, n, 2);
	put(p + 26, 32, 2);
	put(p + 28, offs, 2);
	memcpy(p + 32 + (size_t)n * 8, kids, ((size_t)n + 1) * 8);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t b = 0; b < 8; b++)
			p[32 + i * 8 + b] = (uint8_t)seps[i][7 - b];
		put(p + offs + (size_t)i * 2, off, 2);
		put(p + off, 9, 2);
		put(p + off + 2, FMT_SEP_NODUP, 2);
		memcpy(p + off + 4, seps[i], 9);
		off += 13;
	}
	put(p + 30, off, 2);
}

static void main_put(struct image *im)
{
	const struct pair a[] = {{"common--a", "1", 9, 1, UINT64_C(0x61) << 56, 0},
	                         {"common--c", "2", 9, 1, UINT64_C(0x63) << 56, 0},
	                         {"common--e", "3", 9, 1, UINT64_C(0x65) << 56, 0}};
	const struct pair insert = {"common--b", "4", 9, 1, 0, 0},
	                  replace = {"common--c", "55", 9, 2, 0, 0};
	const struct pair removal = {"common--a", "", 9, 0, 0, 0}, last = {"z", "abc", 1, 3, 0, 0};
	const struct fmt_blob blob = {im->at[BLOB], im->page_size + 100,
	                              crc32c(0, im->base + im->at[BLOB], im->page_size + 100), 0};
	const struct fmt_db db = {im->at[NAMED], DAXKV_DUP_SORT, 0, 0};
	const struct pair b[] = {
	    {"common--m", &blob, 9, sizeof blob, UINT64_C(0x636f6d6d6f6e2d2d), FMT_ENTRY_BLOB},
	    {"d", &db, 1, sizeof db, UINT64_C(0x64) << 56, FMT_ENTRY_DB}};
	uint8_t *desc = im->base + im->at[DESC];

	leaf_put(im, LEAF_A, 2, 8, a, 3);
	im->at[A_BASE] = im->at[LEAF_A] + 160 + 30;
	im->at[A_TAIL] = im->at[LEAF_A] + im->leaf_end[LEAF_A];
	slot_put(im, LEAF_A, 0, 3, FMT_SLOT_INSERT, 1, &insert);
	slot_put(im, LEAF_A, 1, 3, FMT_SLOT_REPLACE, 2, &replace);
	slot_put(im, LEAF_A, 2, 4, FMT_SLOT_REMOVE, 0, &removal);
	leaf_put(im, LEAF_B, 3, 0, b, 2);
	im->at[B_BLOB] = im->at[LEAF_B] + 160 + 20 + 4 + 9;
	im->at[B_DB] = im->at[B_BLOB] + sizeof blob + 4 + 1;
	im->at[B_TAIL] = im->at[LEAF_B] + im->leaf_end[LEAF_B];
	slot_put(im, LEAF_B, 0, 5, FMT_SLOT_INSERT, 2, &last);
	inner_put(im, INNER, 1, 1, (const char *const[]){"common--m"},
	          (uint64_t[]){im->at[LEAF_A], im->at[LEAF_B]});
	im->at[SEP] = im->at[INNER] + 58;
	desc_put(im, DESC, 1, 0, 0, INNER);
	put(desc + 72, 2, 8);
	put(desc + 80, 1, 8);
	put(desc + 88, 2, 8);
	put(desc + 128, UINT64_C(1) << 40 | 4, 8);
	put(desc + 136, UINT64_C(4) << 40 | 6, 8);
}

static void dups_put(struct image *im)
{
	const struct pair base[] = {{"k", "1", 1, 1, UINT64_C(0x6b) << 56, 0},
	                            {"k", "2", 1, 1, UINT64_C(0x6b) << 56, 0}};
	const struct pair insert = {"k", "3", 1, 1, 0, 0}, removal = {"k", "1", 1, 1, 0, 0};

	desc_put(im, NAMED, 3, DAXKV_DUP_SORT, 2, DUPS);
	leaf_put(im, DUPS, 3, 0, base, 2);
	im->at[DUPS_BASE] = im->at[DUPS] + 160 + 20;
	im->at[DUPS_TAIL] = im->at[DUPS] + im->leaf_end[DUPS];
	slot_put(im, DUPS, 0, 3, FMT_SLOT_INSERT, 2, &insert);
	slot_put(im, DUPS, 1, 4, FMT_SLOT_REMOVE, 0, &removal);
}

static void image_make(struct image *im, uint32_t page_size)
{
	uint64_t first = (4096 + 64 * 512 + page_size - 1) / page_size * page_size;
	static const enum place order[] = {DIR,  BITMAP,   DESC,  INNER, LEAF_A, LEAF_B,
	                                   BLOB, BLOB_END, NAMED, DUPS,  SPILL};

	memset(im, 0, sizeof *im);
	im->page_size = page_size;
	im->txn = TXN;
	im->mapped = first + IMAGE_PAGES * page_size;
	im->base = calloc(1, im->mapped);
	if (!im->base)
		abort();
	for (size_t i = 0; i < COUNT(order); i++)
		im->at[order[i]] = first + i * page_size;
	im->at[RING4] = 4096 + 4 * 512;
	im->at[RING5] = 4096 + 5 * 512;
	im->at[SIZE] = im->mapped - page_size;
	for (uint32_t i = 0; i < page_size + 100; i++)
		im->base[im->at[BLOB] + i] = (uint8_t)(i * 7 + 1);
	space_put(im);
	main_put(im);
	dups_put(im);
	record_put(im, RING4, 4, 0, (uint64_t[]){im->at[LEAF_A] + 48, im->at[DUPS] + 40}, 2);
	record_put(im, RING5, 5, im->at[B_TAIL] << 16 | 20 / 4,
	           (uint64_t[]){im->at[LEAF_B] + 32, im->at[DESC] + 136}, 2);
	seal(im, true);
}

#endif
