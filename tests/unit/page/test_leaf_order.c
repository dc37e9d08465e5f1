/* SPDX-License-Identifier: BSD-3-Clause */
/* The order of a leaf's entries, made of the ranks in its slots. */
#include "leaf_image.h"

static void ranks_that_make_no_sense(void **state)
{
	static const struct {
		uint32_t rank, kind;
	} bad[] = {{3, FMT_SLOT_INSERT},
	           {2, FMT_SLOT_REPLACE},
	           {2, FMT_SLOT_REMOVE},
	           {4095, FMT_SLOT_INSERT}};
	static uint16_t offsets[LEAF_MAX(PSIZE)];
	struct order o;
	struct item items[2] = {item_of("a", "1"), item_of("b", "2")};
	(void)state;
	order_init(&o, 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct mem m;
		uint32_t n;
		leaf_build(page, PSIZE, &o, items, 2, 3, 0);
		uint64_t slot = FMT_SLOT(1008, 1040, 1, bad[i].rank, bad[i].kind);
		memset(page + 1000, 0, 40);
		memcpy(page + FMT_LEAF_SLOTS, &slot, 8);
		mem_open(&m);
		assert_int_equal(leaf_offsets(&m.leaf, offsets, &n), DAXKV_CORRUPT);
	}
}

/* ranks_are - whether leaf_offsets gives what shifting one entry after the other does. */
static void ranks_are(const uint64_t *slots, unsigned int nslots)
{
	static uint16_t offsets[LEAF_MAX(PSIZE)], want[LEAF_MAX(PSIZE)];
	struct mem m;
	uint32_t got, n;
	memset(page + FMT_LEAF_SLOTS, 0, 8 * FMT_TAIL_SLOTS);
	memcpy(page + FMT_LEAF_SLOTS, slots, 8 * nslots);
	mem_open(&m);
	n = m.leaf.page->n;
	m.leaf.nslots = nslots;
	for (uint32_t i = 0; i < n; i++)
		want[i] = (uint16_t)leaf_entry(m.leaf.page, i);
	for (unsigned int i = 0; i < nslots; i++) {
		uint32_t r = FMT_SLOT_RANK(slots[i]), kind = FMT_SLOT_KIND(slots[i]);
		if (kind == FMT_SLOT_INSERT)
			memmove(want + r + 1, want + r, (n++ - r) * sizeof *want);
		if (kind == FMT_SLOT_REMOVE)
			memmove(want + r, want + r + 1, (--n - r) * sizeof *want);
		else
			want[r] = (uint16_t)FMT_SLOT_OFF(slots[i]);
	}
	OK(leaf_offsets(&m.leaf, offsets, &got));
	assert_int_equal(got, n);
	assert_memory_equal(offsets, want, n * sizeof *want);
}

/* all_ranks - every way to go on from these slots with up to four in all, among n entries. */
static void all_ranks(uint64_t *slots, unsigned int nslots, uint32_t n)
{
	ranks_are(slots, nslots);
	if (nslots == 4)
		return;
	for (uint32_t kind = FMT_SLOT_INSERT; kind <= FMT_SLOT_REMOVE; kind++)
		for (uint32_t r = 0; r < n + (kind == FMT_SLOT_INSERT); r++) {
			slots[nslots] = FMT_SLOT(3000 + 16 * nslots, 3016, 1, r, kind);
			all_ranks(slots, nslots + 1,
			          n + (kind == FMT_SLOT_INSERT) - (kind == FMT_SLOT_REMOVE));
		}
}

/* Uniform bases, whose order is made without shifting, and others: all short tails over small
 * bases, random full ones over bases of all sizes. */
static void order_without_shifting(void **state)
{
	static char keys[240][5];
	static struct item items[240];
	uint64_t slots[FMT_TAIL_SLOTS];
	struct order o;
	(void)state;
	order_init(&o, 0);
	for (uint32_t i = 0; i < 240; i++) {
		snprintf(keys[i], sizeof keys[i], "%04u", (unsigned int)i);
		items[i] = item_of(keys[i], "v");
	}
	for (uint32_t n = 1; n <= 3; n++) {
		leaf_build(page, PSIZE, &o, items, n, 3, 0);
		assert_true(((const struct fmt_page *)(void *)page)->heads & FMT_UNIFORM);
		all_ranks(slots, 0, n);
	}
	srand(7);
	for (int turn = 0; turn < 20000; turn++) {
		bool uniform = turn % 8 != 5;
		uint32_t base = 1 + (uint32_t)rand() % (uniform ? 240 : 150), n = base;
		if (turn % 200 < 2) /* as full as it gets */
			n = base = 240;
		items[base / 2].vlen = uniform;
		leaf_build(page, PSIZE, &o, items, base, 3, 0);
		for (unsigned int i = 0; i < FMT_TAIL_SLOTS; i++) {
			uint32_t kind = 1 + (uint32_t)rand() % (turn % 4 == 3 ? 3 : 2);
			if (!n)
				kind = FMT_SLOT_INSERT;
			slots[i] =
			    FMT_SLOT(3000 + 16 * i, 3016, 1,
			             (uint32_t)rand() % (n + (kind == FMT_SLOT_INSERT)), kind);
			n += kind == FMT_SLOT_INSERT;
			n -= kind == FMT_SLOT_REMOVE;
		}
		ranks_are(slots, (unsigned int)turn % (FMT_TAIL_SLOTS + 1));
		items[base / 2].vlen = 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(ranks_that_make_no_sense),
	    TEST(order_without_shifting),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
