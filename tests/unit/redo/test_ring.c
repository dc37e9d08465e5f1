/* SPDX-License-Identifier: BSD-3-Clause */
/* The redo ring: what is written is read back, and nothing else is taken for a record. */
#include "raw_store.h"

static void read_back(void **state)
{
	struct raw r;
	struct ring_record rec;
	struct ring_range ranges[3];
	const struct ring_word words[2] = {{RAW_DATA + 8192, 77}, {328, UINT64_MAX}};
	(void)state;
	raw_open(&r, 4096);
	for (uint32_t i = 0; i < 3; i++)
		ranges[i] = raw_fill(&r, RAW_DATA + i * 4096, 4 * (i + 1), (uint8_t)i);
	ring_write(&r.ring, 130, 128, ranges, 3, words, 2);
	assert_true(ring_read(&r.ring, 130 % 64, &rec));
	assert_true(rec.txn == 130 && rec.durable_upto == 128 && !rec.spilled && rec.nranges == 3 &&
	            rec.nwords == 2);
	assert_int_equal(rec.bytes, (3 + 3 + 4) * 8);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(rec.ranges[i] >> 16 == ranges[i].off &&
		            (rec.ranges[i] & 0xffff) * 4 == ranges[i].len);
	for (unsigned int i = 0; i < 2; i++)
		assert_true(rec.words[2 * i] == words[i].off &&
		            rec.words[2 * i + 1] == words[i].value);
	assert_true(ring_fresh_ok(&r.ring, &rec));
	raw_close(&r);
}

static void read_back_spilled(void **state)
{
	struct raw r;
	struct ring_record rec;
	(void)state;
	raw_open(&r, 512);
	ring_write_spilled(&r.ring, 7, 5, RAW_DATA, 12345, 0xcafe);
	assert_true(ring_read(&r.ring, 7, &rec));
	assert_true(rec.txn == 7 && rec.durable_upto == 5 && rec.spilled && rec.nwords == 0 &&
	            rec.nranges == 0);
	assert_true(rec.spill_off == RAW_DATA && rec.spill_words == 12345 &&
	            rec.spill_crc == 0xcafe);
	assert_true(ring_fresh_ok(&r.ring, &rec));
	raw_close(&r);
}

static void read_of_an_empty_ring(void **state)
{
	struct raw r;
	struct ring_record rec;
	(void)state;
	raw_open(&r, 4096);
	for (unsigned int i = 0; i < FMT_RING_RECORDS; i++)
		assert_false(ring_read(&r.ring, i, &rec));
	raw_close(&r);
}

static void fits_up_to_a_ring_record(void **state)
{
	(void)state;
	assert_true(ring_fits(0, 0) && ring_fits(1, 30) && ring_fits(0, 30) && ring_fits(59, 1) &&
	            ring_fits(60, 0));
	assert_false(ring_fits(0, 31) || ring_fits(2, 30) || ring_fits(60, 1) || ring_fits(61, 0) ||
	             ring_fits(0, 1000));
}

static void largest_record_fills_its_place(void **state)
{
	struct raw r;
	struct ring_record rec;
	struct ring_range range;
	struct ring_word words[30];
	(void)state;
	raw_open(&r, 4096);
	range = raw_fill(&r, RAW_DATA, 0xffff * 4, 9); /* the longest range */
	for (uint64_t i = 0; i < 30; i++)
		words[i] = (struct ring_word){RAW_DATA + i * 8, i};
	ring_write(&r.ring, 63, 62, &range, 1, words, 30);
	assert_true(ring_read(&r.ring, 63, &rec));
	assert_int_equal(rec.bytes, FMT_RING_RECORD);
	assert_true(ring_fresh_ok(&r.ring, &rec));
	assert_false(ring_read(&r.ring, 62, &rec)); /* it touched no other */
	assert_false(ring_read(&r.ring, 0, &rec));
	raw_close(&r);
}

/* A record is valid as a whole or not at all: no byte of it can be damaged unseen
 * [I2]. */
static void torn_anywhere_is_no_record(void **state)
{
	struct raw r;
	struct ring_record rec;
	(void)state;
	raw_open(&r, 4096);
	raw_commit(&r, 5, 3, RAW_DATA + 65536, 1);
	assert_true(ring_read(&r.ring, 5, &rec));
	for (uint32_t i = 0, n = rec.bytes; i < n; i++) {
		raw_flip(&r, raw_at(&r, 5) + i);
		assert_false(ring_read(&r.ring, 5, &rec));
		raw_flip(&r, raw_at(&r, 5) + i);
	}
	assert_true(ring_read(&r.ring, 5, &rec));
	raw_flip(&r, raw_at(&r, 5) + rec.bytes); /* behind it is no record's business */
	assert_true(ring_read(&r.ring, 5, &rec));
	raw_close(&r);
}

/* Each prefix of 8-byte words of the new record over the old one, and over nothing. */
static void torn_over_the_round_before(void **state)
{
	struct raw r;
	struct ring_record rec;
	uint8_t old[FMT_RING_RECORD], new[FMT_RING_RECORD];
	(void)state;
	raw_open(&r, 4096);
	raw_commit(&r, 9, 7, RAW_DATA + 65536, 1);
	memcpy(old, ring_at(&r.ring, 9), sizeof old);
	raw_commit(&r, 73, 71, RAW_DATA + 65536, 2);
	memcpy(new, ring_at(&r.ring, 73), sizeof new);
	assert_true(ring_read(&r.ring, 9, &rec) && rec.txn == 73);
	for (size_t words = 1, n = rec.bytes / 8; words < n; words++) {
		pm_write(&r.map.pm, ring_at(&r.ring, 9), old, sizeof old);
		pm_write(&r.map.pm, ring_at(&r.ring, 9), new, words * 8);
		assert_false(ring_read(&r.ring, 9, &rec));
	}
	pm_write(&r.map.pm, ring_at(&r.ring, 9), old, sizeof old);
	assert_true(ring_read(&r.ring, 9, &rec) && rec.txn == 9);
	raw_close(&r);
}

static void copied_to_another_index_or_file(void **state)
{
	struct raw r;
	struct ring other;
	struct ring_record rec;
	(void)state;
	raw_open(&r, 4096);
	raw_commit(&r, 5, 3, RAW_DATA + 65536, 1);
	pm_write(&r.map.pm, ring_at(&r.ring, 6), ring_at(&r.ring, 5), FMT_RING_RECORD);
	assert_false(ring_read(&r.ring, 6, &rec));
	other = r.ring;
	other.file_id++;
	assert_false(ring_read(&other, 5, &rec));
	assert_true(ring_read(&r.ring, 5, &rec));
	raw_close(&r);
}

static void fresh_bytes_torn(void **state)
{
	struct raw r;
	struct ring_record rec;
	struct ring_range ranges[2];
	(void)state;
	raw_open(&r, 4096);
	ranges[0] = raw_fill(&r, RAW_DATA, 128, 1);
	ranges[1] = raw_fill(&r, RAW_DATA + 4096, 32, 2);
	ring_write(&r.ring, 5, 3, ranges, 2, &(struct ring_word){RAW_DATA + 65536, 1}, 1);
	assert_true(ring_read(&r.ring, 5, &rec) && ring_fresh_ok(&r.ring, &rec));
	for (uint64_t i = 0; i < 160; i++) {
		uint64_t off = i < 128 ? RAW_DATA + i : RAW_DATA + 4096 + i - 128;
		raw_flip(&r, off);
		assert_false(ring_fresh_ok(&r.ring, &rec));
		raw_flip(&r, off);
	}
	raw_flip(&r, RAW_DATA + 128); /* the ranges are exact */
	raw_flip(&r, RAW_DATA - 1);
	raw_flip(&r, RAW_DATA + 4096 + 32);
	assert_true(ring_fresh_ok(&r.ring, &rec));
	raw_close(&r);
}

static void fresh_bytes_behind_the_file(void **state)
{
	struct raw r;
	struct ring_record rec;
	struct ring_range range = {RAW_SIZE - 64, 128, 0};
	(void)state;
	raw_open(&r, 4096);
	ring_write(&r.ring, 5, 3, &range, 1, &(struct ring_word){RAW_DATA, 1}, 1);
	assert_true(ring_read(&r.ring, 5, &rec));
	assert_false(ring_fresh_ok(&r.ring, &rec));
	range.off = (uint64_t)1 << 47;
	ring_write(&r.ring, 5, 3, &range, 1, &(struct ring_word){RAW_DATA, 1}, 1);
	assert_true(ring_read(&r.ring, 5, &rec));
	assert_false(ring_fresh_ok(&r.ring, &rec));
	raw_close(&r);
}

static void record_without_fresh_bytes(void **state)
{
	struct raw r;
	struct ring_record rec;
	(void)state;
	raw_open(&r, 4096);
	ring_write(&r.ring, 1, 0, NULL, 0, &(struct ring_word){RAW_DATA, 1}, 1);
	assert_true(ring_read(&r.ring, 1, &rec));
	assert_true(rec.durable_upto == 0 && rec.nranges == 0 && ring_fresh_ok(&r.ring, &rec));
	raw_close(&r);
}

/* A record whose lag would put durable_upto before the first transaction, hash and all. */
static void lag_that_makes_no_sense(void **state)
{
	struct raw r;
	struct ring_record rec;
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t lag = 0; lag < 4; lag++) {
		uint64_t w[5] = {2, 0, (uint64_t)1 << 40 | lag << 48, RAW_DATA, 1};
		w[1] = hash64(hash64(RAW_ID, w, 8), w + 2, 24);
		pm_write(&r.map.pm, ring_at(&r.ring, 2), w, sizeof w);
		assert_int_equal(ring_read(&r.ring, 2, &rec), lag == 1 || lag == 2);
	}
	raw_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(read_back),
	    cmocka_unit_test(read_back_spilled),
	    cmocka_unit_test(read_of_an_empty_ring),
	    cmocka_unit_test(fits_up_to_a_ring_record),
	    cmocka_unit_test(largest_record_fills_its_place),
	    cmocka_unit_test(torn_anywhere_is_no_record),
	    cmocka_unit_test(torn_over_the_round_before),
	    cmocka_unit_test(copied_to_another_index_or_file),
	    cmocka_unit_test(fresh_bytes_torn),
	    cmocka_unit_test(fresh_bytes_behind_the_file),
	    cmocka_unit_test(record_without_fresh_bytes),
	    cmocka_unit_test(lag_that_makes_no_sense),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
