/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery, on records written by hand: which transaction wins, what is stored, what is refused,
 * and that every step may fail. */
#include "redo/recover.h"

#include "pm_log.h"
#include "raw_store.h"

#define WORD (RAW_DATA + 65536) /* the words of the tests lie from here on */

static uint64_t clean_of(const struct raw *r)
{
	uint64_t txn;

	assert_true(super_clean((const void *)r->map.base, &txn));
	return txn;
}

static void recover_gives(struct raw *r, uint64_t txn, uint64_t replayed)
{
	struct recover_result result = {0};
	bool needed = false;
	uint64_t found = 0;
	assert_int_equal(recover_needed(&r->ring, &needed, &found), 0);
	assert_true(needed);
	assert_int_equal(found, txn);
	assert_int_equal(recover(&r->ring, &result), 0);
	assert_int_equal(result.txn, txn);
	assert_int_equal(result.replayed, replayed);
	assert_int_equal(clean_of(r), txn);
	assert_int_equal(recover_needed(&r->ring, &needed, &found), 0);
	assert_int_equal(found, txn);
}

/* recover_refuses - CORRUPT, a text with that word in it, and not a byte is changed. */
static void recover_refuses(struct raw *r, const char *word)
{
	struct recover_result result = {.txn = 999};
	uint8_t *before = malloc(RAW_SIZE);
	assert_non_null(before);
	memcpy(before, r->map.base, RAW_SIZE);
	assert_int_equal(recover(&r->ring, &result), DAXKV_CORRUPT);
	if (!strstr(daxkv_errmsg(), word))
		fail_msg("\"%s\" says nothing of \"%s\"", daxkv_errmsg(), word);
	assert_memory_equal(before, r->map.base, RAW_SIZE);
	free(before);
}

static void new_store_needs_nothing(void **state)
{
	struct raw r;
	bool needed = true;
	uint64_t txn = 1;
	(void)state;
	raw_open(&r, 4096);
	assert_int_equal(recover_needed(&r.ring, &needed, &txn), 0);
	assert_false(needed);
	assert_int_equal(txn, 0);
	raw_close(&r);
}

static void first_record_is_replayed(void **state)
{
	struct raw r;
	bool needed = true;
	uint64_t txn;
	(void)state;
	raw_open(&r, 4096);
	raw_commit(&r, 1, 0, WORD, 11);
	recover_gives(&r, 1, 1);
	assert_int_equal(recover_needed(&r.ring, &needed, &txn), 0);
	assert_false(needed);
	assert_int_equal(raw_word(&r, WORD), 11);
	raw_close(&r);
}

/* Records up to durable_upto are in place already and are not stored again. */
static void replay_begins_behind_durable_upto(void **state)
{
	struct raw r;
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 10; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD + t * 8, t);
	recover_gives(&r, 10, 2);
	for (uint64_t t = 1; t <= 10; t++)
		assert_int_equal(raw_word(&r, WORD + t * 8), t > 8 ? t : 0);
	raw_close(&r);
}

static void ring_that_wrapped(void **state)
{
	struct raw r;
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 200; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
	recover_gives(&r, 200, 2);
	assert_int_equal(raw_word(&r, WORD), 200);
	assert_int_equal(*ring_at(&r.ring, 201),
	                 137); /* the follower's place has its older record still */
	raw_close(&r);
}

static void newest_record_torn(void **state)
{
	struct raw r;
	struct ring_record rec;
	bool needed = true;
	uint64_t txn;
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 70; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
	raw_flip(&r, raw_at(&r, 70) + 30);
	recover_gives(&r, 69, 2);
	assert_int_equal(raw_word(&r, WORD), 69);
	assert_int_equal(recover_needed(&r.ring, &needed, &txn), 0);
	assert_false(needed); /* an erased place is nothing to do: a reader needs no private copy */
	assert_false(ring_read(&r.ring, 70 % 64, &rec));
	raw_flip(
	    &r,
	    raw_at(&r, 70) +
	        30); /* the line that was missing comes late: the record must not come to life */
	assert_false(ring_read(&r.ring, 70 % 64, &rec));
	raw_close(&r);
}

/* What was erased must not come back with the next power cut: it is zeroed as a whole, and written
 * back before the first fence [I5]. Caught: recover.c, recover_run: the follower's pm_flush
 * removed, or covering FMT_LINE only; its pm_zero covering FMT_WORD only. */
static void erased_follower_is_written_back_before_the_first_fence(void **state)
{
	struct raw r;
	struct pm_log log;
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 70; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
	raw_flip(&r, raw_at(&r, 70) + 30);
	pm_log_attach(&log, &r.map.pm, r.map.base);
	recover_gives(&r, 69, 2);
	size_t fence = pm_log_next(&log, 0, PM_LOG_FENCE);
	for (uint64_t off = raw_at(&r, 70); off < raw_at(&r, 70) + FMT_RING_RECORD;
	     off += FMT_WORD) {
		assert_int_equal(raw_word(&r, off), 0);
		assert_true(pm_log_touch(&log, 0, fence, PM_LOG_STORES, off, FMT_WORD) !=
		            PM_LOG_NONE);
	}
	assert_true(pm_log_written_back(&log, 0, fence, raw_at(&r, 70), FMT_RING_RECORD));
	pm_log_detach(&log);
	raw_close(&r);
}

/* The process that stored the mark may have died before its fence: it is stored and written back
 * again, although nothing is replayed [R4] [R5]. Caught: recover.c, recover_run: its first redirty
 * removed. */
static void mark_that_says_clean_is_made_durable(void **state)
{
	struct raw r;
	struct pm_log log;
	struct recover_result result;
	const uint64_t five = super_clean_word(5), mark = offsetof(struct fmt_super, clean);
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 5; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
	pm_write(&r.map.pm, r.map.base + mark, &five, sizeof five);
	pm_log_attach(&log, &r.map.pm, r.map.base);
	assert_int_equal(recover(&r.ring, &result), 0);
	assert_int_equal(result.replayed, 0);
	size_t fence = pm_log_next(&log, 0, PM_LOG_FENCE),
	       stored = pm_log_touch(&log, 0, log.n, PM_LOG_STORES, mark, sizeof five);
	assert_true(fence != PM_LOG_NONE && stored < fence &&
	            pm_log_written_back(&log, stored, fence, mark, sizeof five));
	assert_int_equal(clean_of(&r), 5);
	pm_log_detach(&log);
	raw_close(&r);
}

static void newest_fresh_bytes_torn(void **state)
{
	struct raw r;
	struct ring_record rec;
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 5; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
	raw_flip(&r, RAW_DATA + 5 * 64 + 63);
	recover_gives(&r, 4, 2);
	assert_int_equal(raw_word(&r, WORD), 4);
	raw_flip(&r, RAW_DATA + 5 * 64 + 63); /* and the fresh bytes come late */
	assert_false(ring_read(&r.ring, 5, &rec));
	for (size_t i = 0; i < FMT_RING_RECORD / 8; i++)
		assert_int_equal(ring_at(&r.ring, 5)[i], 0);
	raw_close(&r);
}

/* Only the newest record's fresh bytes may be missing: those of older ones were written over by
 * later transactions long since. */
static void older_fresh_bytes_are_not_looked_at(void **state)
{
	struct raw r;
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 5; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
	raw_flip(&r, RAW_DATA + 4 * 64);
	recover_gives(&r, 5, 2);
	raw_close(&r);
}

/* What is stored again of the record below a torn one has passed no test: its range must lie in the
 * file. */
static void range_of_an_older_record_outside_the_file(void **state)
{
	const uint64_t bad[] = {RAW_SIZE, RAW_SIZE - 32, ((uint64_t)1 << 48) - 64};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct raw r;
		struct ring_range range = {bad[i], 64, 0};
		raw_open(&r, 4096);
		ring_write(&r.ring, 1, 0, &range, 1, &(struct ring_word){WORD, 1}, 1);
		raw_commit(&r, 2, 0, WORD, 2);
		raw_flip(&r, RAW_DATA + 2 * 64);
		recover_refuses(&r, "a range outside");
		raw_close(&r);
	}
}

static void hole_is_corruption(void **state)
{
	struct raw r;
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 5; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
	raw_flip(&r, raw_at(&r, 4) + 3);
	recover_refuses(&r, "record 4 is missing");
	raw_close(&r);
}

/* Record 5 torn and record 4 with it: 4 was durable before 5 began, so this is no crash. */
static void newest_torn_and_hole_below(void **state)
{
	struct raw r;
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 6; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
	raw_flip(&r, RAW_DATA + 6 * 64);
	raw_flip(&r, raw_at(&r, 5) + 3);
	recover_refuses(&r, "record 5 is missing");
	raw_close(&r);
}

static void mark_put(struct raw *r, uint64_t word)
{
	pm_write(&r->map.pm, r->map.base + offsetof(struct fmt_super, clean), &word, sizeof word);
}

/* nothing_needed - the store is clean at txn: nothing is to be recovered. */
static void nothing_needed(const struct raw *r, uint64_t txn)
{
	bool needed = true;
	uint64_t found = 0;

	assert_int_equal(recover_needed(&r->ring, &needed, &found), 0);
	assert_false(needed);
	assert_int_equal(found, txn);
}

/* A clean store does not need its ring: any record may be damaged, the newest too, or all of them
 * be gone. Caught: recover.c, plan_make: "newest = p->clean" made an error, as it was. */
static void a_clean_store_does_not_need_its_ring(void **state)
{
	struct raw r;
	(void)state;
	for (uint64_t damaged = 1; damaged <= 6; damaged++) {
		raw_open(&r, 4096);
		for (uint64_t t = 1; t <= 5; t++)
			raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
		recover_gives(&r, 5, 2); /* which marks it */
		if (damaged <= 5)
			raw_flip(&r, raw_at(&r, damaged) + 3);
		else
			for (uint64_t t = 1; t <= 5; t++)
				raw_flip(&r, raw_at(&r, t) + 3);
		nothing_needed(&r, 5);
		assert_int_equal(raw_word(&r, WORD), 5);
		raw_commit(&r, 6, 5, WORD, 6); /* and goes on from there */
		recover_gives(&r, 6, 1);
		assert_int_equal(raw_word(&r, WORD), 6);
		raw_close(&r);
	}
}

/* What comes behind the mark needs its own records only, torn or whole. */
static void records_behind_the_mark(void **state)
{
	struct raw r;
	(void)state;
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 5; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
	recover_gives(&r, 5, 2);
	raw_flip(&r, raw_at(&r, 5) + 3);
	raw_commit(&r, 6, 5, WORD, 6);
	raw_flip(&r, raw_at(&r, 6) + 3); /* torn */
	recover_gives(&r, 5, 0);
	raw_commit(&r, 6, 5, WORD, 6);
	raw_commit(&r, 7, 5, WORD, 7);
	raw_flip(&r, raw_at(&r, 6) + 3); /* needed, and lost */
	recover_refuses(&r, "record 6 is missing");
	raw_close(&r);
}

/* A damaged mark says nothing: the ring has all that it would say, or the store is refused.
 * Caught: super.c, super_clean: "sound" made true. */
static void a_damaged_mark_is_not_believed(void **state)
{
	struct raw r;
	const uint64_t bad[] = {6, 3, UINT64_MAX, super_clean_word(4) ^ 2, super_clean_word(5) ^ 1};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		raw_open(&r, 4096);
		for (uint64_t t = 1; t <= 5; t++)
			raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
		mark_put(&r, bad[i]);
		recover_gives(&r, 5, 2);
		mark_put(&r, bad[i]);
		raw_flip(&r, raw_at(&r, 4) + 3);
		recover_refuses(&r, "record 4 is missing");
		raw_close(&r);
	}
	raw_open(&r, 4096); /* nothing is left that could tell */
	mark_put(&r, 3);
	recover_refuses(&r, "the clean mark 0x3 has a wrong checksum");
	raw_close(&r);
}

static void words_where_none_may_be(void **state)
{
	const uint64_t bad[] = {0,
	                        16,
	                        offsetof(struct fmt_super, hash),
	                        offsetof(struct fmt_super, clean),
	                        RAW_SIZE,
	                        RAW_SIZE + 4096,
	                        WORD + 4,
	                        UINT64_MAX - 7};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct raw r;
		raw_open(&r, 4096);
		raw_commit(&r, 1, 0, bad[i], 5);
		recover_refuses(&r, "a word outside");
		raw_close(&r);
	}
}

/* A word of two records gets its newest value by one store: live mappings never see it go back. */
static void word_of_two_records_is_stored_once(void **state)
{
	struct raw r;
	struct pm_log log;
	(void)state;
	raw_open(&r, 4096);
	raw_commit(&r, 1, 0, WORD, 1);
	raw_commit(&r, 2, 0, WORD, 2);
	raw_commit(&r, 3, 0, WORD, 3);
	pm_log_attach(&log, &r.map.pm, r.map.base);
	recover_gives(&r, 3, 3);
	size_t first = pm_log_touch(&log, 0, log.n, PM_LOG_STORES, WORD, 8);
	assert_true(first != PM_LOG_NONE);
	assert_true(pm_log_touch(&log, first + 1, log.n, PM_LOG_STORES, WORD, 8) == PM_LOG_NONE);
	assert_int_equal(raw_word(&r, WORD), 3);
	pm_log_detach(&log);
	raw_close(&r);
}

static void spill_put(struct raw *r, uint64_t page, uint64_t prev, uint64_t first, uint64_t n,
                      uint32_t *crc)
{
	uint64_t buf[512] = {0};
	struct fmt_spill *s = (void *)buf;
	s->page.type = FMT_SPILL;
	s->page.prev = prev;
	s->pairs = n;
	for (uint64_t i = 0; i < n; i++) {
		s->pair[2 * i] = WORD + (first + i) * 8;
		s->pair[2 * i + 1] = 1000 + first + i;
	}
	*crc = crc32c(*crc, s->pair, n * 16);
	pm_write(&r->map.pm, r->map.base + page, buf, 512);
}

static void spilled_record(struct raw *r)
{
	uint32_t crc = 0;
	raw_open(r, 512);
	raw_commit(r, 1, 0, WORD, 1);
	spill_put(r, RAW_DATA + 32768, RAW_DATA + 33280, 0, 29, &crc);
	spill_put(r, RAW_DATA + 33280, 0, 29, 11, &crc);
	ring_write_spilled(&r->ring, 2, 0, RAW_DATA + 32768, 40, crc);
}

static void spilled_words_are_replayed(void **state)
{
	struct raw r;
	(void)state;
	spilled_record(&r);
	recover_gives(&r, 2, 2);
	for (uint64_t i = 0; i < 40; i++)
		assert_int_equal(raw_word(&r, WORD + i * 8), 1000 + i);
	raw_close(&r);
}

static void spilled_words_damaged(void **state)
{
	const uint64_t at[] = {RAW_DATA + 32768 + 20, RAW_DATA + 32768 + 8, RAW_DATA + 32768 + 32,
	                       RAW_DATA + 32768 + 48, RAW_DATA + 33280 + 100};
	(void)state;
	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		struct raw r;
		spilled_record(&r);
		raw_flip(&r, at[i]);
		recover_refuses(&r, "spilled words");
		raw_close(&r);
	}
}

/* A spill page that lies less than a page before 2^64: its end, summed up, would lie in the
 * file. */
static void spill_page_at_the_end_of_all_numbers(void **state)
{
	struct raw r;
	(void)state;
	raw_open(&r, 512);
	ring_write_spilled(&r.ring, 1, 0, UINT64_MAX - 511, 40, 0);
	recover_refuses(&r, "spilled words");
	raw_close(&r);
}

static void twice_gives_the_same(void **state)
{
	struct raw r;
	struct recover_result again = {0};
	uint8_t *before = malloc(RAW_SIZE);
	(void)state;
	assert_non_null(before);
	raw_open(&r, 4096);
	for (uint64_t t = 1; t <= 66; t++)
		raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD + t % 3 * 8, t);
	raw_flip(&r, RAW_DATA + 66 % 64 * 64);
	recover_gives(&r, 65, 2);
	memcpy(before, r.map.base, RAW_SIZE);
	assert_int_equal(recover(&r.ring, &again), 0);
	assert_int_equal(again.txn, 65);
	assert_int_equal(again.replayed, 0);
	assert_memory_equal(before, r.map.base, RAW_SIZE);
	free(before);
	raw_close(&r);
}

/* Whichever fence fails, the error comes back, and the next recovery gives what this one would
 * have. */
static void fence_that_fails(void **state)
{
	(void)state;
	for (unsigned int after = 0; after < 3; after++) {
		struct raw r;
		struct pm_log log;
		struct recover_result result;
		raw_open(&r, 4096);
		for (uint64_t t = 1; t <= 5; t++)
			raw_commit(&r, t, t > 2 ? t - 2 : 0, WORD, t);
		raw_flip(&r, RAW_DATA + 5 * 64);
		pm_log_attach(&log, &r.map.pm, r.map.base);
		pm_log_fail(&log, after, EIO);
		assert_int_equal(recover(&r.ring, &result), EIO);
		assert_int_equal(pm_log_count(&log, PM_LOG_FENCE), after + 1);
		pm_log_detach(&log);
		r.map.pm.failed = 0; /* the next open */
		if (after < 2)
			recover_gives(&r, 4, 2);
		assert_int_equal(raw_word(&r, WORD), 4);
		assert_int_equal(clean_of(&r), 4);
		raw_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(new_store_needs_nothing),
	    cmocka_unit_test(first_record_is_replayed),
	    cmocka_unit_test(replay_begins_behind_durable_upto),
	    cmocka_unit_test(ring_that_wrapped),
	    cmocka_unit_test(newest_record_torn),
	    cmocka_unit_test(erased_follower_is_written_back_before_the_first_fence),
	    cmocka_unit_test(mark_that_says_clean_is_made_durable),
	    cmocka_unit_test(newest_fresh_bytes_torn),
	    cmocka_unit_test(older_fresh_bytes_are_not_looked_at),
	    cmocka_unit_test(range_of_an_older_record_outside_the_file),
	    cmocka_unit_test(hole_is_corruption),
	    cmocka_unit_test(newest_torn_and_hole_below),
	    cmocka_unit_test(a_clean_store_does_not_need_its_ring),
	    cmocka_unit_test(records_behind_the_mark),
	    cmocka_unit_test(a_damaged_mark_is_not_believed),
	    cmocka_unit_test(words_where_none_may_be),
	    cmocka_unit_test(word_of_two_records_is_stored_once),
	    cmocka_unit_test(spilled_words_are_replayed),
	    cmocka_unit_test(spilled_words_damaged),
	    cmocka_unit_test(spill_page_at_the_end_of_all_numbers),
	    cmocka_unit_test(twice_gives_the_same),
	    cmocka_unit_test(fence_that_fails),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
