/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The checker against the image of check_image.h: clean as built, one fault for every rule, every
 * order of keys, and damaged at random: then it must not crash, and it must see each flipped bit
 * that a checksum covers. What it cannot show: that the engine writes such files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check_image.h"
#include "check_run.h"

static const uint32_t sizes[] = {512, 4096, 32768};

static void check_finds_nothing_in_a_sound_image(void **state)
{
	struct image im;

	(void)state;
	for (size_t s = 0; s < COUNT(sizes); s++) {
		image_make(&im, sizes[s]);
		expect_clean(&im);
		free(im.base);
	}
}

/* ---- one fault for each rule ----------------------------------------------------------------- */

enum seal_how {
	RAW,
	SEALED /* checksums right again */,
	SUMS /* but the records' values and fresh crc stay */
};

static const struct mutation {
	enum place place;
	uint32_t off, width;
	char op; /* = set, + add; the operand is value and so many pages */
	uint64_t value;
	int pages;
	enum seal_how how;
	const char *expect;
} mutations[] = {
    {SUPER, 0, 1, '+', 1, 0, RAW, "magic"},
    {SUPER, 8, 4, '=', FMT_VERSION + 1, 0, SEALED, "format version 6"},
    {SUPER, 12, 4, '=', 0x04030201, 0, SEALED, "byte order"},
    {SUPER, 16, 4, '+', 1, 0, SEALED, "page size"},
    {SUPER, 16, 4, '=', 256, 0, SEALED, "page size 256"},
    {SUPER, 20, 4, '=', 0, 0, SEALED, "do not fit together"},
    {SUPER, 24, 4, '=', 0xffffffff, 0, SEALED, "do not fit together"},
    {SUPER, 28, 4, '=', 1, 0, SEALED, "incompatible features 0x1"},
    {SUPER, 40, 1, '+', 1, 0, RAW, "hash does not match"},
    {SUPER, 48, 8, '+', 1, 0, SEALED, "do not fit together"},
    {SUPER, 56, 8, '+', 8, 0, SEALED, "first page"},
    {SUPER, 56, 8, '=', 0, 1 << 20, SEALED, "size"},
    {SUPER, 104, 1, '=', 1, 0, SEALED, "must be zero"},
    {SUPER, 264, 1, '=', 1, 0, RAW, "must be zero"},
    {SUPER, 344, 1, '=', 1, 0, RAW, "must be zero"},
    {SUPER, 256, 8, '=', 6, 0, RAW, "clean is 0x6, whose checksum does not match"},
    {SUPER, 320, 8, '=', 0, 0, RAW, "descriptor 0x0"},
    {SUPER, 328, 8, '+', 8, 0, RAW, "not a multiple"},
    {SUPER, 328, 8, '+', 0, 2, RAW, "more than the file has"},
    {SUPER, 384, 8, '=', 0, 0, RAW, "directory word 0 is 0"},
    {SUPER, 392, 8, '=', 4097, 0, RAW, "directory 0x1001"},
    {DIR, 0, 8, '+', 0, -1, RAW, "used twice"},
    {DIR, 0, 8, '=', 0, 0, RAW, "zone 0 has no bitmap"},
    {DIR, 8, 8, '=', 0, 1 << 20, RAW, "outside the file"},
    {BITMAP, 0, 1, '=', 0xfe, 0, RAW, "not allocated in the bitmap"},
    {BITMAP, 100, 1, '=', 1, 0, RAW, "behind the size"},
    {RING5, 0, 8, '+', 1, 0, SUMS, "wrong index"},
    {RING5, 0, 8, '+', 64, 0, SUMS, "newer than transaction 5"},
    {RING5, 0, 8, '+', 64, 0, SUMS, "newest record is 4"},
    {RING5, 8, 1, '+', 1, 0, RAW, "ring index 5: its record is not valid"},
    {RING5, 16, 4, '+', 1, 0, SUMS, "fresh ranges does not match"},
    {RING5, 22, 2, '=', 0, 0, SUMS, "not valid"},
    {RING5, 21, 1, '=', 200, 0, RAW, "not valid"},
    {RING5, 24, 8, '+', UINT64_C(1) << 60, 0, SUMS, "fresh range"},
    {RING5, 32, 8, '+', 4, 0, SUMS, "not aligned"},
    {RING5, 32, 8, '=', 0, 1 << 20, SUMS, "outside the file or not aligned"},
    {RING5, 40, 8, '+', 1, 0, SUMS, "not in place"},
    {RING4, 0, 1, '=', 0, 0, RAW, "a hole: record 4"},
    {DESC, 0, 8, '=', 6, 0, SEALED, "birth 6 is after transaction 5"},
    {DESC, 16, 1, '+', 1, 0, RAW, "crc does not match"},
    {DESC, 20, 1, '=', 2, 0, RAW, "type 2"},
    {DESC, 30, 2, '=', 127, 0, SEALED, "not that of a descriptor"},
    {DESC, 32, 4, '=', DAXKV_DUP_FIXED, 0, SEALED, "flags 0x10 are not valid"},
    {DESC, 36, 1, '=', 1, 0, SEALED, "must be zero"},
    {DESC, 50, 1, '=', 1, 0, SEALED, "must be zero"},
    {DESC, 104, 1, '=', 1, 0, RAW, "must be zero"},
    {DESC, 64, 8, '=', 0, 0, RAW, "says 6 entries, found are 0"},
    {DESC, 64, 8, '+', 8, 0, RAW, "not at a page boundary"},
    {DESC, 72, 8, '+', 1, 0, RAW, "leaf pages"},
    {DESC, 80, 8, '+', 1, 0, RAW, "inner pages"},
    {DESC, 88, 8, '+', 1, 0, RAW, "blob pages"},
    {DESC, 136, 8, '+', 1, 0, RAW, "says 7 entries"},
    {DESC, 128, 8, '+', UINT64_C(8) << 40, 0, RAW, "count 1: out of order"},
    {DESC, 136, 8, '+', UINT64_C(1) << 40, 0, RAW, "of transaction 6"},
    {DESC, 152, 8, '=', UINT64_C(4) << 40 | 6, 0, RAW, "follows an unused one"},
    {NAMED, 32, 4, '=', 0, 0, SEALED, "differ from the record's"},
    {NAMED, 40, 8, '+', 1, 0, SEALED, "(database \"d\")"},
    {INNER, 0, 8, '=', 6, 0, SEALED, "birth 6"},
    {INNER, 16, 1, '+', 1, 0, RAW, "crc does not match"},
    {INNER, 20, 1, '=', 3, 0, RAW, "tree page"},
    {INNER, 21, 1, '=', 2, 0, SEALED, "type 1 on level 0"},
    {INNER, 21, 1, '=', 41, 0, SEALED, "on level 41"},
    {INNER, 22, 2, '=', 5000, 0, RAW, "header out of bounds"},
    {INNER, 24, 2, '=', 8, 0, SEALED, "search head"},
    {INNER, 24, 2, '=', 3, 0, SEALED, "prefix length 3"},
    {INNER, 32, 1, '+', 1, 0, SEALED, "search head"},
    {INNER, 40, 8, '=', 0, 1 << 20, RAW, "outside the file"},
    {INNER, 40, 8, '+', 0, 1, RAW, "used twice"},
    {INNER, 40, 8, '+', 0, 7, RAW, "not allocated in the bitmap"},
    {INNER, 56, 2, '=', 30, 0, SEALED, "separator 0: does not lie in the page"},
    {SEP, 0, 2, '=', 60, 0, SEALED, "separator 0: does not lie in the page"},
    {SEP, 12, 1, '=', 'z', 0, SEALED, "out of the bounds of the page above"},
    {SEP, 12, 1, '=', 'd', 0, SEALED, "leaf"},
    {LEAF_A, 0, 8, '=', 4, 0, SEALED, "transaction 3 is not in 4..5"},
    {LEAF_A, 16, 1, '+', 1, 0, RAW, "crc does not match"},
    {LEAF_A, 21, 1, '=', 1, 0, SEALED, "on level 1"},
    {LEAF_A, 22, 2, '=', 2, 0, SEALED, "header out of bounds"},
    {LEAF_A, 24, 2, '=', 12, 0, SEALED, "prefix length 12"},
    {LEAF_A, 26, 2, '=', 168, 0, SEALED, "header out of bounds"},
    {LEAF_A, 30, 2, '=', 0xffff, 0, RAW, "header out of bounds"},
    {LEAF_A, 168, 1, '+', 1, 0, SEALED, "entry 1: search head"},
    {LEAF_A, 184, 2, '=', 150, 0, SEALED, "entry 0: does not lie in the base"},
    {A_BASE, 4 + 2, 1, '=', 'x', 0, SEALED, "lacks the page's prefix"},
    {A_BASE, 2 * 14 + 4 + 8, 1, '=', 'c', 0, SEALED, "entry 2: key out of order (main database)"},
    {A_BASE, 0, 2, '=', 0, 0, SEALED, "key length is out of range"},
    {A_BASE, 1, 1, '=', 0x80, 0, SEALED, "entry flags"},
    {LEAF_A, 32 + 2, 2, '+', 4, 0, SEALED, "its end is wrong"},
    {LEAF_A, 32, 2, '=', 200, 0, SEALED, "does not lie behind the base"},
    {LEAF_A, 32 + 4, 1, '+', 1, 0, SEALED, "fingerprint"},
    {LEAF_B, 32 + 6, 1, '=', 0, 0, SEALED, "out of order, by its rank"},
    {LEAF_A, 32 + 6, 1, '=', 9, 0, SEALED, "rank is out of range"},
    {LEAF_A, 40 + 6, 1, '=', 3, 0, SEALED, "rank is that of another key"},
    {LEAF_A, 32 + 7, 1, '=', 0x40, 0, SEALED, "unknown kind"},
    {LEAF_A, 40, 8, '=', 0, 0, RAW, "slot 2: follows an unused one"},
    {A_TAIL, 0, 8, '=', 9, 0, SEALED, "transaction 9"},
    {A_TAIL, 8 + 4 + 9, 1, '+', 1, 0, RAW, "slot 0: crc does not match"},
    {A_TAIL, 26 + 27 + 8 + 2, 2, '=', 1, 0, RAW, "its end is wrong"},
    {B_TAIL, 8 + 4, 1, '=', 'a', 0, SEALED, "slot 0: key out of the bounds"},
    {B_TAIL, 8 + 1, 1, '=', 0x20, 0, SEALED, "blob reference of the wrong size"},
    {B_BLOB, 0, 8, '+', 8, 0, SEALED, "not at a page boundary"},
    {B_BLOB, 0, 8, '=', 0, 1 << 20, SEALED, "outside the file"},
    {B_BLOB, 8, 8, '=', UINT64_MAX, 0, SEALED, "outside the file"},
    {B_BLOB, 8, 8, '=', 0, 0, SEALED, "blob of 0 bytes"},
    /* allocated is exactly what is reached, and once [I10] */
    {B_BLOB, 8, 8, '=', 10, 0, SEALED, "leaked page"},
    {B_BLOB, 8, 8, '=', 0, 3, SEALED, "used twice"},
    {B_BLOB, 20, 4, '=', 1, 0, SEALED, "spare field"},
    {BLOB, 3, 1, '+', 1, 0, RAW, "blob"},
    {B_DB, 0, 8, '+', 1, 0, SEALED, "descriptor"},
    {B_DB, 8, 4, '=', 0, 0, SEALED, "differ from the record's"},
    {B_DB, 12, 4, '=', 1, 0, SEALED, "spare field"},
    {B_DB, 16, 8, '=', 1000, 0, SEALED, "catalog entry is younger"},
    {DUPS_BASE, 1, 1, '=', 0x40, 0, SEALED, "entry flags"},
    {DUPS_BASE, 1, 1, '=', 0x20, 0, SEALED, "a blob in a database with duplicates"},
    {DUPS_BASE, 6 + 5, 1, '=', '0', 0, SEALED, "entry 1: key out of order"},
    {DUPS_TAIL, 18 + 8 + 5, 1, '=', '2', 0, SEALED, "rank is that of another key"},
};

static void check_names_the_broken_rule(void **state)
{
	struct image im;

	(void)state;
	for (size_t s = 0; s < COUNT(sizes); s++) {
		for (size_t i = 0; i < COUNT(mutations); i++) {
			const struct mutation *m = &mutations[i];
			uint8_t *p;

			image_make(&im, sizes[s]);
			p = im.base + im.at[m->place] + m->off;
			put(p,
			    (m->op == '+' ? take(p, m->width) : 0) + m->value +
			        (uint64_t)m->pages * sizes[s],
			    m->width);
			if (m->how != RAW)
				seal(&im, m->how == SEALED);
			expect_fault(&im, m->expect);
			free(im.base);
		}
	}
}

static void check_bounds_what_it_reads_by_the_mapping(void **state)
{
	struct image im;
	uint64_t whole;

	(void)state;
	image_make(&im, 512);
	whole = im.mapped;
	for (im.mapped = 0; im.mapped < whole - 512; im.mapped += 8)
		expect_fault(&im, im.mapped < 4096 ? "less than a superblock"
		                                   : "more than the file has");
	free(im.base);
}

/* ---- commit records -------------------------------------------------------------------------- */

static void check_accepts_an_empty_ring_when_clean(void **state)
{
	struct image im;

	(void)state;
	image_make(&im, 4096);
	memset(im.base + 4096, 0, 64 * 512);
	put(im.base + 256, clean_word(TXN), 8);
	expect_clean(&im);
	put(im.base + 256, clean_word(TXN - 1), 8);
	expect_fault(&im, "clean is 4 with an empty ring");
	free(im.base);
}

/* A clean store does not need its ring: damage there is told, but the mark is not taken for wrong.
 */
static void check_tells_of_a_damaged_record_that_is_not_needed(void **state)
{
	struct image im;
	struct result res;

	(void)state;
	image_make(&im, 4096);
	put(im.base + 256, clean_word(TXN), 8);
	expect_clean(&im);
	im.base[im.at[RING5] + 30] ^= 1;
	expect_fault(&im, "ring index 5: its record is not valid");
	run(&im, &res);
	assert_null(strstr(res.text, "superblock"));
	put(im.base + 256, clean_word(TXN + 1), 8);
	expect_fault(&im, "clean is 6, behind transaction 5");
	free(im.base);
}

/* Up to three bits of the mark that flipped are seen for certain. */
static void check_never_believes_a_damaged_mark(void **state)
{
	struct image im;
	const uint64_t mark = clean_word(TXN);

	(void)state;
	image_make(&im, 4096);
	for (unsigned int a = 0; a < 64; a++)
		for (unsigned int b = a; b < 64; b++) {
			put(im.base + 256,
			    mark ^ UINT64_C(1) << a ^ (a == b ? 0 : UINT64_C(1) << b), 8);
			expect_fault(&im, "whose checksum does not match");
		}
	free(im.base);
}

static void check_accepts_the_torn_record_of_the_next_commit_only(void **state)
{
	struct image im;

	(void)state;
	image_make(&im, 4096);
	put(im.base + 4096 + 6 * 512, 6, 8);
	expect_clean(&im);
	put(im.base + 4096 + 7 * 512, 7, 8);
	expect_fault(&im, "ring index 7: its record is not valid");
	free(im.base);
}

static void check_wants_no_more_records_than_the_ring_holds(void **state)
{
	struct image im;

	(void)state;
	image_make(&im, 4096);
	im.txn = TXN + 64;
	put(im.base + im.at[RING5], im.txn, 8);
	put(im.base + im.at[RING5] + 22, 65, 2);
	seal(&im, true);
	expect_fault(&im, "durable up to 4 only, more than the ring holds");
	free(im.base);
}

static void check_reads_spilled_records(void **state)
{
	struct image im;
	uint8_t *ring, *page;

	(void)state;
	image_make(&im, 512);
	ring = im.base + im.at[RING5];
	page = im.base + im.at[SPILL];
	page_header(page, 5, FMT_SPILL, 0);
	put(page + 32, 1, 8);
	put(page + 40, im.at[DESC] + 136, 8);
	put(page + 48, UINT64_C(4) << 40 | 6, 8);
	put(ring + 20, 255, 2);
	put(ring + 24, im.at[SPILL], 8);
	put(ring + 32, 1, 8);
	put(ring + 40, crc32c(0, page + 40, 16), 8);
	seal(&im, true);
	expect_clean(&im);
	put(page + 48, 7, 8);
	expect_fault(&im, "not in place");
	expect_fault(&im, "crc of its spilled words");
	put(page + 48, UINT64_C(4) << 40 | 6, 8);
	put(page + 32, 500, 8);
	expect_fault(&im, "spill page");
	put(page + 32, 1, 8);
	put(page + 8, im.at[SPILL], 8); /* a chain that never ends */
	put(ring + 32, UINT64_MAX, 8);
	seal(&im, true);
	expect_fault(&im, "the chain has a loop");
	free(im.base);
}

/* ---- orders ---------------------------------------------------------------------------------- */

#define U(x) (UINT64_C(0x##x))

static const struct order_case {
	uint32_t flags;
	bool ordered; /* whether the checker knows the order */
	struct pair pair[3];
} orders[] = {
    {0,
     true,
     {{"a", "", 1, 0, U(61) << 56, 0},
      {"ab", "", 2, 0, U(6162) << 48, 0},
      {"b", "", 1, 0, U(62) << 56, 0}}},
    {DAXKV_REVERSE_KEY,
     true,
     {{"a", "", 1, 0, U(61) << 56, 0},
      {"ba", "", 2, 0, U(6162) << 48, 0},
      {"ab", "", 2, 0, U(6261) << 48, 0}}},
    {DAXKV_INTEGER_KEY,
     true,
     {{"\2\0\0\0", "", 4, 0, 2, 0},
      {"\1\1\0\0", "", 4, 0, 0x101, 0},
      {"\0\0\1\0", "", 4, 0, 0x10000, 0}}},
    {DAXKV_INTEGER_KEY,
     true,
     {{"\2\0\0\0\0\0\0\0", "", 8, 0, 2, 0},
      {"\1\1\0\0\0\0\0\0", "", 8, 0, 0x101, 0},
      {"\0\0\0\0\0\0\0\1", "", 8, 0, U(1) << 56, 0}}},
    {DAXKV_OWN_COMPARE,
     false,
     {{"c", "", 1, 0, 0, 0}, {"a", "", 1, 0, 0, 0}, {"b", "", 1, 0, 0, 0}}},
    {DAXKV_DUP_SORT,
     true,
     {{"a", "9", 1, 1, U(61) << 56, 0},
      {"b", "1", 1, 1, U(62) << 56, 0},
      {"b", "10", 1, 2, U(62) << 56, 0}}},
    {DAXKV_DUP_SORT | DAXKV_REVERSE_DUP,
     true,
     {{"a", "91", 1, 2, U(61) << 56, 0},
      {"a", "12", 1, 2, U(61) << 56, 0},
      {"a", "22", 1, 2, U(61) << 56, 0}}},
    {DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP,
     true,
     {{"a", "\2\0\0\0", 1, 4, U(61) << 56, 0},
      {"a", "\1\1\0\0", 1, 4, U(61) << 56, 0},
      {"a", "\0\0\1\0", 1, 4, U(61) << 56, 0}}},
    {DAXKV_DUP_SORT | DAXKV_OWN_DUP_COMPARE,
     false,
     {{"a", "3", 1, 1, U(61) << 56, 0},
      {"a", "1", 1, 1, U(61) << 56, 0},
      {"a", "2", 1, 1, U(61) << 56, 0}}},
    {DAXKV_DUP_SORT | DAXKV_OWN_COMPARE,
     true,
     {{"a", "1", 1, 1, 0, 0}, {"a", "2", 1, 1, 0, 0}, {"a", "3", 1, 1, 0, 0}}},
};

/* order_make - the named database becomes one of these flags with three entries in its base. */
static void order_make(struct image *im, uint32_t flags, const struct pair *pair)
{
	image_make(im, 512);
	memset(im->base + im->at[DUPS], 0, 512);
	desc_put(im, NAMED, 3, flags, 3, DUPS);
	put(im->base + im->at[B_DB] + 8, flags, 4);
	leaf_put(im, DUPS, 3, 0, pair, 3);
	put(im->base + im->at[RING4] + 21, 1, 1);
	seal(im, true);
}

static void check_knows_the_orders(void **state)
{
	struct image im;

	(void)state;
	for (size_t i = 0; i < COUNT(orders); i++) {
		const struct order_case *c = &orders[i];
		const struct pair swapped[] = {c->pair[0], c->pair[2], c->pair[1]},
		                  same[] = {c->pair[0], c->pair[1], c->pair[1]};

		order_make(&im, c->flags, c->pair);
		expect_clean(&im);
		free(im.base);
		order_make(&im, c->flags, swapped);
		if (c->ordered)
			expect_fault(&im, "entry 2: key out of order");
		else
			expect_clean(&im);
		free(im.base);
		order_make(&im, c->flags, same);
		expect_fault(&im, "entry 2: key out of order");
		free(im.base);
	}
}

static void check_knows_the_sizes_of_integers_and_fixed_duplicates(void **state)
{
	const struct pair odd_key[] = {{"123", "", 3, 0, 0, 0},
	                               {"2345", "", 4, 0, 0x35343332, 0},
	                               {"3456", "", 4, 0, 0x36353433, 0}};
	const struct pair odd_dup[] = {{"a", "1", 1, 1, U(61) << 56, 0},
	                               {"b", "22", 1, 2, U(62) << 56, 0},
	                               {"c", "3", 1, 1, U(63) << 56, 0}};
	struct image im;

	(void)state;
	order_make(&im, DAXKV_INTEGER_KEY, odd_key);
	expect_fault(&im, "entry 0: key is not an integer");
	free(im.base);
	order_make(&im, DAXKV_DUP_SORT | DAXKV_DUP_FIXED, odd_dup);
	expect_fault(&im, "entry 1: duplicate of 2 bytes, where others have 1");
	free(im.base);
	order_make(&im, DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP, odd_dup);
	expect_fault(&im, "duplicate is not an integer");
	free(im.base);
	order_make(&im, DAXKV_INTEGER_DUP, odd_dup);
	expect_fault(&im, "are not valid");
	free(im.base);
}

/* uniform_make - three pairs of a byte and a byte in a uniform base; then the bytes at off (0:
 * none) become value. */
static void uniform_make(struct image *im, uint32_t off, uint32_t width, uint64_t value)
{
	static const struct pair pair[] = {{"a", "1", 1, 1, U(61) << 56, 0},
	                                   {"a", "2", 1, 1, U(61) << 56, 0},
	                                   {"b", "1", 1, 1, U(62) << 56, 0}};
	uint8_t *p;

	order_make(im, DAXKV_DUP_SORT, pair);
	p = im->base + im->at[DUPS];
	memset(p + 184, 0, 512 - 184);
	for (uint32_t i = 0; i < 3; i++) {
		memcpy(p + 184 + (size_t)i * 4, pair[i].key, 1);
		memcpy(p + 185 + (size_t)i * 4, pair[i].value, 1);
	}
	put(p + 26, FMT_UNIFORM | 1, 2);
	put(p + 28, 1, 2);
	put(p + 30, 184 + 3 * 4, 2);
	if (off)
		put(p + off, value, width);
	seal(im, true);
}

static void check_reads_uniform_leaves(void **state)
{
	static const struct {
		uint32_t off, width;
		uint64_t value;
		const char *expect;
	} bad[] = {{22, 2, 0, "header out of bounds"},
	           {22, 2, 2, "header out of bounds"},
	           {26, 2, FMT_UNIFORM | 0x2000 | 1, "header out of bounds"},
	           {26, 2, FMT_UNIFORM | 4, "header out of bounds"},
	           {28, 2, 0xffff, "header out of bounds"},
	           {30, 2, 184, "header out of bounds"},
	           {26, 4, FMT_UNIFORM | 2u << 16, "header out of bounds"},
	           {26, 4, FMT_UNIFORM | 2, "search head"},
	           {160, 1, 1, "entry 0: search head"},
	           {184, 1, 'b', "entry 0: search head"},
	           {185, 1, '2', "entry 1: key out of order"},
	           {192, 1, 'a', "entry 2: key out of order"},
	           {24, 2, 8, "prefix length 8"}};
	struct image im;

	(void)state;
	uniform_make(&im, 0, 0, 0);
	expect_clean(&im);
	free(im.base);
	for (size_t i = 0; i < COUNT(bad); i++) {
		uniform_make(&im, bad[i].off, bad[i].width, bad[i].value);
		expect_fault(&im, bad[i].expect);
		free(im.base);
	}
}

static void check_wants_live_entries_in_every_leaf_but_the_root(void **state)
{
	const struct pair none = {"z", "", 1, 0, 0, 0};
	struct image im;

	(void)state;
	image_make(&im, 512);
	leaf_put(&im, LEAF_B, 3, 0, &none, 0);
	slot_put(&im, LEAF_B, 0, 5, FMT_SLOT_INSERT, 0, &none);
	slot_put(&im, LEAF_B, 1, 5, FMT_SLOT_REMOVE, 0, &none);
	seal(&im, true);
	expect_fault(&im, "no live entry");
	put(im.base + im.at[DESC] + 64, im.at[LEAF_B], 8); /* the same leaf as the root */
	seal(&im, true);
	expect_fault(&im, "says 6 entries, found are 0");
	free(im.base);
}

static void check_compares_separators_with_the_pages_above(void **state)
{
	static const char *const bounds[] = {"common--b", "common--z"};
	struct image im;

	(void)state;
	for (uint32_t right = 0; right < 2; right++) {
		image_make(&im, 512);
		inner_put(&im, SPILL, 2, 1, &bounds[right],
		          (uint64_t[]){right ? 0 : im.at[INNER], right ? im.at[INNER] : 0});
		put(im.base + im.at[DESC] + 64, im.at[SPILL], 8);
		seal(&im, true);
		expect_fault(&im, right ? "separator 0: out of order"
		                        : "separator 0: out of the bounds of the page above");
		free(im.base);
	}
	image_make(&im, 512);
	inner_put(&im, INNER, 1, 2, (const char *const[]){"common--m", "common--m"},
	          (uint64_t[]){im.at[LEAF_A], 0, im.at[LEAF_B]});
	seal(&im, true);
	expect_fault(&im, "separator 1: out of order");
	free(im.base);
}

static void check_takes_tail_entries_apart(void **state)
{
	const struct pair valued = {"common--b", "x", 9, 1, 0, 0},
	                  flagged = {"common--b", "", 9, 0, 0, FMT_ENTRY_BLOB};
	const struct pair small_db = {"zz", "abc", 2, 3, 0, FMT_ENTRY_DB};
	struct image im;

	(void)state;
	image_make(&im, 512);
	slot_put(&im, LEAF_A, 3, 5, FMT_SLOT_REMOVE, 0, &valued);
	slot_put(&im, LEAF_B, 1, 5, FMT_SLOT_INSERT, 3, &small_db);
	seal(&im, true);
	expect_fault(&im, "slot 3: a removal with a value");
	expect_fault(&im, "slot 1: a catalog entry of the wrong size");
	slot_put(&im, LEAF_A, 3, 5, FMT_SLOT_REMOVE, 0, &flagged);
	memcpy(im.base + im.at[LEAF_B] + 40, im.base + im.at[LEAF_B] + 32, 8);
	seal(&im, true);
	expect_fault(&im, "slot 3: a removal with entry flags");
	expect_fault(&im, "slot 1: its entry does not lie behind that of the slot before");
	free(im.base);
}

/* ---- damage at random ------------------------------------------------------------------------ */

static uint64_t dice_state;

static uint64_t dice(uint64_t below)
{
	dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (dice_state >> 33) % below;
}

static void check_sees_each_bit_that_a_checksum_covers(void **state)
{
	struct image im;
	struct result res;

	(void)state;
	image_make(&im, 512);
	const struct {
		uint64_t off, len;
	} covered[] = {
	    {0, 256},             /* superblock and its hash */
	    {im.at[RING4], 56},   /* a record without ranges, of two words */
	    {im.at[RING5], 64},   /* one with a range */
	    {im.at[BITMAP], 512}, /* a bit is a page's, or behind the size */
	    {im.at[DESC], 8},     /* birth; prev is not covered */
	    {im.at[DESC] + 16, 48},
	    {im.at[INNER], 8},
	    {im.at[INNER] + 16, 24}, /* up to the head */
	    {im.at[INNER] + 56, 15}, /* the separator */
	    {im.at[LEAF_A], 8},
	    {im.at[LEAF_A] + 16, 16 + 24},            /* with three slots */
	    {im.at[LEAF_A] + 160, 72 + 26 + 27 + 25}, /* base and tail */
	    {im.at[BLOB], 612},
	    {im.at[B_BLOB], 24},
	};

	for (size_t i = 0; i < COUNT(covered); i++) {
		for (uint64_t bit = 0; bit < covered[i].len * 8; bit++) {
			uint8_t *p = im.base + covered[i].off + bit / 8;

			*p ^= (uint8_t)(1u << bit % 8);
			run(&im, &res);
			if (res.faults == 0)
				fail_msg("bit %u of byte 0x%llx: its flip was not seen",
				         (unsigned int)(bit % 8),
				         (unsigned long long)(covered[i].off + bit / 8));
			*p ^= (uint8_t)(1u << bit % 8);
		}
	}
	expect_clean(&im);
	free(im.base);
}

/* Random bytes and words, half of the time with right checksums so that the damage gets past them.
 * The sanitizers see a stray read. */
static void check_survives_any_bytes(void **state)
{
	static const uint64_t odd[] = {0, 1, 0xffff, UINT64_MAX, UINT64_C(1) << 63, 0x1ffffff8};
	struct image fresh, im;
	struct result res;

	(void)state;
	for (uint64_t seed = 1; seed <= 20000; seed++) {
		if (seed % 10000 == 1)
			image_make(&fresh, seed == 1 ? 512 : 4096);
		im = fresh;
		im.base = malloc(im.mapped); /* of exactly this size */
		assert_non_null(im.base);
		memcpy(im.base, fresh.base, im.mapped);
		dice_state = seed;
		for (uint64_t n = 1 + dice(6); n > 0; n--) {
			uint8_t *p = im.base + (dice(4) ? im.at[dice(PLACES - 1)] + dice(32) * 8
			                                : dice(im.mapped / 8) * 8);

			if (p + 8 > im.base + im.mapped)
				continue;
			if (dice(2))
				p[dice(8)] = (uint8_t)dice(256);
			else
				put(p, dice(2) ? odd[dice(COUNT(odd))] : im.at[dice(PLACES)], 8);
		}
		if (dice(2))
			seal(&im, false);
		run(&im, &res);
		free(im.base);
		if (seed % 10000 == 0)
			free(fresh.base);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(check_finds_nothing_in_a_sound_image),
	    cmocka_unit_test(check_names_the_broken_rule),
	    cmocka_unit_test(check_bounds_what_it_reads_by_the_mapping),
	    cmocka_unit_test(check_accepts_an_empty_ring_when_clean),
	    cmocka_unit_test(check_tells_of_a_damaged_record_that_is_not_needed),
	    cmocka_unit_test(check_never_believes_a_damaged_mark),
	    cmocka_unit_test(check_accepts_the_torn_record_of_the_next_commit_only),
	    cmocka_unit_test(check_wants_no_more_records_than_the_ring_holds),
	    cmocka_unit_test(check_reads_spilled_records),
	    cmocka_unit_test(check_knows_the_orders),
	    cmocka_unit_test(check_knows_the_sizes_of_integers_and_fixed_duplicates),
	    cmocka_unit_test(check_reads_uniform_leaves),
	    cmocka_unit_test(check_wants_live_entries_in_every_leaf_but_the_root),
	    cmocka_unit_test(check_compares_separators_with_the_pages_above),
	    cmocka_unit_test(check_takes_tail_entries_apart),
	    cmocka_unit_test(check_sees_each_bit_that_a_checksum_covers),
	    cmocka_unit_test(check_survives_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
