/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_salvage.c - stores with pages overwritten by noise: what lies in untouched pages comes back,
 * and nothing comes back that was not there.
 */
#include "salvage_world.h"

static void one(uint32_t page_size, bool named, uint64_t seed, unsigned int kinds)
{
	world_make(page_size, named, seed);
	noise("image", seed, 1, kinds);
	salvage("image");
	judge_back("noise", kinds);
	world_end();
}

static void all_sizes(uint64_t seed, unsigned int kinds)
{
	for (uint32_t size = 512; size <= 32768; size *= 2) {
		one(size, true, seed, kinds);
		one(size, false, seed, kinds);
	}
}

/* Older versions of everything look like what is in use. Where a younger one tells, they are not
 * taken. */
static void no_bitmap_is_left(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		world_make(512u << seed % 4, false, seed);
		noise("image", seed, 1, INNER | BITMAPS);
		salvage("image");
		judge_back("noise", INNER | BITMAPS);
		assert_true(w.wrong < KEYS / 20);
		world_end();
	}
}

static void some_pages_are_noise(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		all_sizes(seed, 0);
}

static void the_superblock_is_gone(void **state)
{
	(void)state;
	for (uint64_t seed = 11; seed <= 13; seed++)
		all_sizes(seed, SUPER);
}

static void no_inner_page_is_left(void **state)
{
	(void)state;
	all_sizes(21, INNER);
	all_sizes(22, INNER | SUPER);
}

static void no_descriptor_is_left(void **state)
{
	(void)state;
	all_sizes(31, DESC);
	all_sizes(32, DESC | SUPER);
	all_sizes(33, DESC | INNER | SUPER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(some_pages_are_noise), TEST(the_superblock_is_gone),
	                                   TEST(no_bitmap_is_left), TEST(no_inner_page_is_left),
	                                   TEST(no_descriptor_is_left)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
