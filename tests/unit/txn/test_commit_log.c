/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Logged commits (src/txn/commit_log.c): what their fences make durable, what their records have,
 * and when a full fence comes. The medium of most tests has what the fences were for and not a byte
 * more, so it is what the worst power cut leaves.
 */
#include "group_workers.h"
#include "pm_log.h"
#include "txn/commit.h"

#define MAIN       DAXKV_MAIN
#define RING_BYTES ((uint64_t)FMT_RING_RECORDS * FMT_RING_RECORD)

static struct pm_log trace;

/* ---- a medium -------------------------------------------------------------------------------- */

static struct medium { /* what fences have made durable */
	struct pm_ops ops;
	const struct pm_ops *below;
	struct daxkv_store *store;
	uint8_t *bytes;
	uint64_t size;
	unsigned int full, ranges;
} medium;

/* medium_fence - all is durable. The length follows, as it does behind fallocate and fsync. */
static int medium_fence(struct pm *pm)
{
	(void)pm;
	medium.size = medium.store->map.size;
	medium.bytes = realloc(medium.bytes, medium.size);
	assert_non_null(medium.bytes);
	memcpy(medium.bytes, medium.store->map.base, medium.size);
	medium.full++;
	return 0;
}

/* medium_fence_range - those bytes are, and not the rest of their page. */
static int medium_fence_range(struct pm *pm, const void *p, size_t n)
{
	const uint64_t off = (uint64_t)((const uint8_t *)p - medium.store->map.base);

	(void)pm;
	if (off + n > medium.size)
		medium_fence(pm);
	memcpy(medium.bytes + off, p, n);
	medium.ranges++;
	return 0;
}

static void medium_begin(struct daxkv_store *store)
{
	medium.store = store;
	medium.below = store->map.pm.ops;
	medium.ops = *medium.below;
	medium.ops.fence = medium_fence;
	medium.ops.fence_range = medium_fence_range;
	store->map.pm.ops = &medium.ops;
	medium_fence(&store->map.pm);
	medium.full = medium.ranges = 0;
}

static void medium_end(void)
{
	medium.store->map.pm.ops = medium.below;
	free(medium.bytes);
	medium.bytes = NULL;
}

/* cut - the power fails: the store that comes of it. */
static struct daxkv_store *cut(void)
{
	int fd = open(scratch_path("cut"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, medium.bytes, medium.size), (ssize_t)medium.size);
	close(fd);
	return store_again("cut");
}

/* logging_store - one whose commits are logged, whatever the filesystem. */
static struct daxkv_store *logging_store(unsigned int page_size, uint64_t entries, size_t len)
{
	unlink(scratch_path("l"));
	unlink(scratch_path("l-lock"));
	struct daxkv_store *store = store_open(
	    "l", (struct daxkv_options){
	             .flags = DAXKV_CREATE, .page_size = page_size, .pmem = DAXKV_PMEM_FILE});

	store->logs = false;
	put_some(store, 0, entries, len, 0);
	OK(daxkv_sync(store));
	store->logs = true;
	store->log_part = 1;
	store->log_members = 0;
	return store;
}

static uint64_t lag(const struct daxkv_store *store)
{
	return store->share->published - store->durable;
}

/* ---- records --------------------------------------------------------------------------------- */

/* Caught: commit_log.c, record_logged: "commit_record_fence(store)" made "commit_fence(store, "")";
 * commit.c: "commit_store(store, !logged)" made "commit_store(store, true)". */
static void a_logged_commit_fences_its_record_alone(void **state)
{
	struct daxkv_store *store = logging_store(4096, 200, 30);
	const uint64_t durable = store->share->published;
	struct ring_record rec;
	(void)state;

	pm_log_attach(&trace, &store->map.pm, store->map.base);
	for (uint64_t i = 0; i < 5; i++) {
		pm_log_clear(&trace);
		put_some(store, 20 * i, 20 * i + 1, 30, 1);
		const uint64_t txn = store->share->published;
		const size_t fence = pm_log_next(&trace, 0, PM_LOG_FENCE | PM_LOG_RANGE);
		const uint64_t at =
		    (uint64_t)((const uint8_t *)ring_at(&store->ring, txn) - store->map.base);

		assert_int_equal(pm_log_count(&trace, PM_LOG_FENCE | PM_LOG_RANGE), 1);
		assert_int_equal(trace.event[fence].kind, PM_LOG_RANGE);
		assert_true(trace.event[fence].off <= at);
		assert_true(at + FMT_RING_RECORD <= trace.event[fence].off + trace.event[fence].n);
		assert_true(ring_read(&store->ring, (unsigned int)(txn % FMT_RING_RECORDS), &rec));
		assert_int_equal(rec.txn, txn);
		assert_int_equal(rec.nranges, 0);
		assert_int_equal(rec.durable_upto, durable);
		assert_int_equal(store->durable, durable);
		assert_true(store->share->releasable <= durable);
	}
	pm_log_detach(&trace);
	store_done(store);
}

/* Entries of all lengths, aborts, leaves that are written anew: what the medium has behind each
 * commit is that commit, though nothing but records and spills was fenced for most. */
static void what_was_fenced_is_enough(void **state)
{
	enum { ENTRIES = 60 };
	static const unsigned int sizes[] = {512, 4096};
	(void)state;

	for (size_t s = 0; s < 2; s++) {
		struct daxkv_store *store = logging_store(sizes[s], ENTRIES, 20);
		uint64_t version[ENTRIES] = {0}, x = 7;
		size_t len[ENTRIES];

		for (size_t i = 0; i < ENTRIES; i++)
			len[i] = 20;
		medium_begin(store);
		for (uint64_t v = 1; v < 500; v++) {
			struct daxkv_txn *txn = begin(store);
			const uint64_t n = random_next(&x) % ENTRIES;

			if (v % 3 == 0) {
				OK(put_n(txn, MAIN, n, random_next(&x) % 60, v));
				daxkv_txn_abort(txn);
				txn = begin(store);
			}
			/* every fourth one names its bytes where the records before have words */
			store->logs = v % 4;
			len[n] = random_next(&x) % 60;
			version[n] = v;
			OK(put_n(txn, MAIN, n, len[n], v));
			OK(daxkv_txn_commit(txn));
			if (v % 7)
				continue;
			struct daxkv_store *after = cut();

			assert_int_equal(info(after).last_txn, store->share->published);
			txn = begin_reading(after);
			for (uint64_t i = 0; i < ENTRIES; i++)
				assert_true(has_n(txn, MAIN, i, len[i], version[i]));
			daxkv_txn_abort(txn);
			store_done(after);
		}
		assert_true(medium.ranges > 300);
		medium_end();
		store_done(store);
	}
}

/* [R10] Caught: leaf_write.c, fresh_from: "round_up(from, FMT_WORD)" made "from". */
static void no_byte_of_a_waiting_word_is_written_again(void **state)
{
	enum { WORDS = 4096 };
	static struct ring_word word[WORDS];
	struct daxkv_store *store = logging_store(4096, 40, 20);
	struct ring_record rec;
	uint64_t x = 3, durable = store->durable;
	size_t n = 0, looked = 0;
	(void)state;

	pm_log_attach(&trace, &store->map.pm, store->map.base);
	for (uint64_t v = 1; v < 600; v++) {
		pm_log_clear(&trace);
		store->logs = v % 5;
		struct daxkv_txn *txn = begin(store);

		OK(put_n(txn, MAIN, random_next(&x) % 40, random_next(&x) % 50, v));
		if (v % 6 == 0) {
			daxkv_txn_abort(txn);
		} else {
			OK(daxkv_txn_commit(txn));
		}
		for (size_t i = 0; i < n; i++, looked++)
			assert_true(pm_log_touch(&trace, 0, trace.n, PM_LOG_WRITE | PM_LOG_STREAM,
			                         word[i].off, FMT_WORD) == PM_LOG_NONE);
		if (store->durable != durable)
			n = 0;
		durable = store->durable;
		const uint64_t txn_now = store->share->published;

		if (v % 6 &&
		    ring_read(&store->ring, (unsigned int)(txn_now % FMT_RING_RECORDS), &rec) &&
		    !rec.spilled && !rec.nranges)
			for (unsigned int i = 0; i < rec.nwords && n < WORDS; i++)
				word[n++].off = rec.words[2 * i];
	}
	assert_true(looked > 1000);
	pm_log_detach(&trace);
	store_done(store);
}

/* Caught: commit_log.c, record_logged_spilled: its pm_fence_range removed. */
static void spilled_words_are_fenced_before_their_record(void **state)
{
	struct daxkv_store *store = logging_store(4096, 2000, 30);
	struct ring_record rec;
	(void)state;

	pm_log_attach(&trace, &store->map.pm, store->map.base);
	struct daxkv_txn *txn = begin(store);

	for (uint64_t i = 0; i < 40; i++)
		OK(put_n(txn, MAIN, 50 * i, 30, 1));
	OK(daxkv_txn_commit(txn));
	assert_true(ring_read(&store->ring,
	                      (unsigned int)(store->share->published % FMT_RING_RECORDS), &rec));
	assert_true(rec.spilled);
	const size_t first = pm_log_next(&trace, 0, PM_LOG_FENCE | PM_LOG_RANGE);
	const size_t second = pm_log_next(&trace, first + 1, PM_LOG_FENCE | PM_LOG_RANGE);
	const uint64_t room = (4096 - FMT_SPILL_PAIRS) / 16;

	assert_int_equal(pm_log_count(&trace, PM_LOG_FENCE), 0);
	assert_int_equal(pm_log_count(&trace, PM_LOG_RANGE), 2);
	assert_int_equal(trace.event[first].off, rec.spill_off);
	assert_true(trace.event[first].n >= (rec.spill_words + room - 1) / room * 4096);
	assert_true(pm_log_touch(&trace, first, second, PM_LOG_STORES, store->ring.off,
	                         RING_BYTES) != PM_LOG_NONE);
	assert_true(pm_log_touch(&trace, 0, first, PM_LOG_STORES, store->ring.off, RING_BYTES) ==
	            PM_LOG_NONE);
	pm_log_detach(&trace);
	store_done(store);
}

/* ---- full fences ----------------------------------------------------------------------------- */

/* [R2] Caught: commit_log.c, log_pays: "> COMMIT_LAG" made "> FMT_RING_RECORDS". */
static void a_full_fence_comes_before_the_ring_is_full(void **state)
{
	struct daxkv_store *store = logging_store(4096, 2000, 30);
	uint64_t longest = 0;
	unsigned int full = 0;
	(void)state;

	medium_begin(store);
	for (uint64_t i = 0; i < 400; i++) {
		const unsigned int before = medium.full;
		const uint64_t known = store->share->published, durable = store->durable;

		put_some(store, i * 37 % 2000, i * 37 % 2000 + 1, 30, i);
		longest = max_u64(longest, lag(store));
		if (store->durable == durable)
			continue;
		assert_int_equal(store->durable, known);
		assert_true(medium.full > before);
		full++;
	}
	assert_int_equal(longest, COMMIT_LAG);
	assert_in_range(full, 400 / (COMMIT_LAG + 2), 400 / COMMIT_LAG + 1);
	struct daxkv_store *after = cut();

	assert_int_equal(info(after).last_txn, store->share->published);
	store_done(after);
	medium_end();
	store_done(store);
}

/* Values that are so large that to write them twice costs more are fenced. */
static void very_large_values_are_not_logged(void **state)
{
	struct daxkv_store *store = logging_store(4096, 200, 30);
	(void)state;

	medium_begin(store);
	put_some(store, 3, 4, 30, 1);
	put_some(store, 4, 5, 30, 1);
	assert_int_equal(lag(store), 2);
	put_some(store, 5, 6, 5000, 1);
	assert_int_equal(lag(store), 3);
	put_some(store, 6, 7, 200000, 1);
	assert_int_equal(lag(store), 1);
	struct daxkv_store *after = cut();
	struct daxkv_txn *txn = begin_reading(after);

	assert_true(has_n(txn, MAIN, 6, 200000, 1) && has_n(txn, MAIN, 5, 5000, 1));
	assert_true(has_n(txn, MAIN, 4, 30, 1) && has_n(txn, MAIN, 3, 30, 1));
	daxkv_txn_abort(txn);
	store_done(after);
	medium_end();
	store_done(store);
}

/* size_behind - of a store in which leaves are written anew, beside an old reader or not; part: as
 * log_part. */
static uint64_t size_behind(unsigned int part, bool reads)
{
	struct daxkv_store *store = logging_store(4096, 4000, 30);
	struct daxkv_txn *reader = reads ? begin_reading(store) : NULL;

	store->log_part = part;
	for (uint64_t v = 1; v < 200; v++) {
		struct daxkv_txn *txn = begin(store);

		for (uint64_t i = 0; i < 20; i++)
			OK(put_n(txn, MAIN, i * 200 + v % 200, 30, v));
		OK(daxkv_txn_commit(txn));
	}
	const uint64_t size = store->map.size;

	if (reader)
		daxkv_txn_abort(reader);
	store_done(store);
	return size;
}

/* What logged commits take and free waits for a full fence, or for an old reader: no more than a
 * part of the file does. Caught: commit_log.c, log_pays: its last line made "return true;". */
static void little_of_the_file_waits(void **state)
{
	(void)state;
	assert_true(size_behind(8, false) <= size_behind(UINT32_MAX, false) * 5 / 4);
	assert_true(size_behind(8, true) <= size_behind(UINT32_MAX, true) * 5 / 4);
}

/* [R3] A page that a logged commit freed is not taken before a full fence. Caught: commit.c,
 * commit_store: "store->durable" made "txn - 1". */
static void what_a_logged_commit_frees_waits(void **state)
{
	struct daxkv_store *store = logging_store(4096, 2000, 30);
	uint64_t durable = store->durable;
	(void)state;

	for (uint64_t v = 1; v < 200; v++) {
		put_some(store, 7, 8, 30, v); /* its leaf is full at times */
		space_release(&store->space);
		assert_true(store->space.releasable <= durable);
		if (store->space.limbo.n)
			assert_true(limbo_oldest(&store->space.limbo) > store->space.releasable);
		durable = store->durable;
	}
	store_done(store);
}

/* [R5] As any fence that fails. */
static void a_failed_fence_of_a_range_is_a_panic(void **state)
{
	struct daxkv_store *store = logging_store(4096, 200, 30);
	struct daxkv_txn *txn = begin(store);
	const uint64_t last = store->share->published;
	(void)state;

	pm_log_attach(&trace, &store->map.pm, store->map.base);
	pm_log_fail(&trace, 0, EIO);
	OK(put_n(txn, MAIN, 1, 30, 1));
	assert_int_equal(daxkv_txn_commit(txn), DAXKV_PANIC);
	assert_int_equal(store->share->published, last);
	assert_int_equal(daxkv_txn_begin(store, NULL, 0, &txn), DAXKV_PANIC);
	pm_log_detach(&trace);
	OK(daxkv_close(store));
}

/* A lazy interval begins where all words are durable. */
static void a_lazy_interval_begins_with_a_full_fence(void **state)
{
	struct daxkv_store *store = logging_store(4096, 200, 30);
	struct daxkv_txn *txn;
	(void)state;

	medium_begin(store);
	put_some(store, 1, 2, 30, 1);
	put_some(store, 2, 3, 30, 1);
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_LAZY, &txn));
	OK(put_n(txn, MAIN, 3, 30, 1));
	OK(daxkv_txn_commit(txn));
	struct daxkv_store *after = cut();

	txn = begin_reading(after);
	assert_true(has_n(txn, MAIN, 1, 30, 1) && has_n(txn, MAIN, 2, 30, 1));
	assert_true(has_n(txn, MAIN, 3, 30, 0));
	daxkv_txn_abort(txn);
	store_done(after);
	put_some(store, 4, 5, 30, 1); /* syncs */
	put_some(store, 5, 6, 30, 1);
	after = cut();
	txn = begin_reading(after);
	for (uint64_t i = 1; i < 6; i++)
		assert_true(has_n(txn, MAIN, i, 30, 1));
	daxkv_txn_abort(txn);
	store_done(after);
	medium_end();
	store_done(store);
}

/* ---- others ---------------------------------------------------------------------------------- */

/* Two handles write in turn, and one is closed: what waits is known to both. */
static void two_users_log_in_turn(void **state)
{
	struct daxkv_store *store = logging_store(4096, 200, 30);
	struct daxkv_store *other =
	    store_open("l", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	(void)state;

	other->logs = true;
	other->log_part = 1;
	other->log_members = 0;
	for (uint64_t i = 0; i < 150; i++) {
		put_some(i % 3 ? store : other, i, i + 1, 30, 1);
		assert_true(lag(i % 3 ? store : other) <= COMMIT_LAG);
	}
	assert_true(lag(store) > 2);
	OK(daxkv_close(other));
	put_some(store, 150, 151, 30, 1);
	struct daxkv_txn *txn = begin_reading(store);

	for (uint64_t i = 0; i < 151; i++)
		assert_true(has_n(txn, MAIN, i, 30, 1));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* What does not fit the record is not worth a second fence to a thread alone. Caught: commit_log,
 * without "npages && named && ...". */
static void a_lone_commit_has_one_fence(void **state)
{
	static const size_t lens[] = {100, 1000, 3000};
	struct daxkv_store *store = logging_store(4096, 200, 30);
	(void)state;

	store->log_members = 8;
	for (size_t i = 0; i < 3; i++) {
		const uint64_t fences = store->map.pm.fences;

		put_some(store, 10 * i, 10 * i + 1, lens[i], 1);
		assert_int_equal(store->map.pm.fences, fences + 1);
	}
	store_done(store);
}

/* What another user's file says of its last commit is enough, whatever is in the lock file: a
 * handle that takes over behind logged commits, records with names, and a checkpoint. Caught:
 * durable_found, "return max_u64(clean, rec.durable_upto)" made "return last - 1". */
static void a_user_that_takes_over_asks_the_store(void **state)
{
	struct daxkv_store *store = logging_store(4096, 200, 30);
	struct daxkv_store *other =
	    store_open("l", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	(void)state;

	for (unsigned int kind = 0; kind < 3; kind++) {
		store->logs = kind == 0;
		for (uint64_t i = 0; i < 5; i++)
			put_some(store, i, i + 1, 30, 1);
		if (kind == 2)
			OK(daxkv_sync(store));
		const uint64_t durable = store->durable;

		store->durable = UINT64_MAX; /* its own is not asked */
		daxkv_txn_abort(begin(other));
		assert_int_equal(other->durable, durable);
		daxkv_txn_abort(begin(store));
		assert_int_equal(store->durable, durable);
	}
	OK(daxkv_close(other));
	store_done(store);
}

/* [R3] Behind a sync what the last commit freed waits for readers only. Where words wait for a full
 * fence, a lock file that says so lies. Caught: share_agrees, "store->durable + 1 >= last" made
 * "true". */
static void a_lock_file_that_releases_too_much(void **state)
{
	struct daxkv_store *store = logging_store(4096, 200, 30);
	struct daxkv_store *other =
	    store_open("l", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	struct daxkv_txn *txn;
	(void)state;

	for (uint64_t i = 0; i < 5; i++)
		put_some(store, i, i + 1, 30, 1);
	const uint64_t releasable = store->share->releasable;

	store->share->releasable = store->share->published;
	assert_int_equal(daxkv_txn_begin(other, NULL, 0, &txn), DAXKV_CORRUPT);
	store->share->releasable = releasable;
	put_some(other, 5, 6, 30, 1);
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_LAZY, &txn));
	OK(put_n(txn, MAIN, 6, 30, 1));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_sync(store));
	assert_int_equal(store->share->releasable, store->share->published);
	put_some(other, 7, 8, 30, 1);
	OK(daxkv_close(other));
	store_done(store);
}

/* The number that stands for "not known" is no commit, however often the lock file says it. Caught:
 * commit_take_over without "store->known != UINT64_MAX". */
static void a_lock_file_with_no_commit(void **state)
{
	struct daxkv_store *store = logging_store(4096, 200, 30);
	const uint64_t published = store->share->published;
	struct daxkv_txn *txn;
	(void)state;

	store->known = 0; /* as if another had written */
	store->share->published = UINT64_MAX;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(daxkv_txn_begin(store, NULL, 0, &txn), DAXKV_CORRUPT);
	store->share->published = published;
	put_some(store, 0, 1, 30, 1);
	store_done(store);
}

/* Members of a group: one record, however many words, and no full fence. */
static void a_group_is_logged(void **state)
{
	enum { CROWD = 12, APART = 100 };
	struct daxkv_store *store = file_new();
	struct worker w[CROWD];
	(void)state;

	put_some(store, 0, CROWD * APART + 1, 20, 0);
	OK(daxkv_sync(store));
	store->logs = true;
	store->log_part = 1;
	medium_begin(store);
	struct daxkv_txn *txn = begin(store);

	for (unsigned int i = 0; i < CROWD; i++)
		start(&w[i], store, body_commit, (i + 1) * APART);
	OK(put_n(txn, MAIN, 0, 20, 1));
	OK(daxkv_txn_commit(txn));
	for (unsigned int i = 0; i < CROWD; i++) {
		end(&w[i]);
		OK(w[i].rc);
		assert_int_equal(w[i].id, w[0].id);
	}
	assert_int_equal(medium.full, 0);
	assert_int_equal(medium.ranges, 2);
	struct daxkv_store *after = cut();

	txn = begin_reading(after);
	for (uint64_t i = 0; i <= CROWD; i++)
		assert_true(has_n(txn, MAIN, i * APART, 20, 1));
	daxkv_txn_abort(txn);
	store_done(after);
	medium_end();
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_logged_commit_fences_its_record_alone),
	    cmocka_unit_test(what_was_fenced_is_enough),
	    cmocka_unit_test(no_byte_of_a_waiting_word_is_written_again),
	    cmocka_unit_test(spilled_words_are_fenced_before_their_record),
	    cmocka_unit_test(a_full_fence_comes_before_the_ring_is_full),
	    cmocka_unit_test(very_large_values_are_not_logged),
	    cmocka_unit_test(little_of_the_file_waits),
	    cmocka_unit_test(what_a_logged_commit_frees_waits),
	    cmocka_unit_test(a_failed_fence_of_a_range_is_a_panic),
	    cmocka_unit_test(a_lazy_interval_begins_with_a_full_fence),
	    cmocka_unit_test(two_users_log_in_turn),
	    cmocka_unit_test(a_lone_commit_has_one_fence),
	    cmocka_unit_test(a_user_that_takes_over_asks_the_store),
	    cmocka_unit_test(a_lock_file_that_releases_too_much),
	    cmocka_unit_test(a_lock_file_with_no_commit),
	    cmocka_unit_test(a_group_is_logged),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
