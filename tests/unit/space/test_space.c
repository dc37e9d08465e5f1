/* SPDX-License-Identifier: BSD-3-Clause */
/* Free space: what is taken, given, held and undone, growth over zones, and the end of the file
 * given back. Pages are of 512 bytes, so a zone is 2 MiB, unless a test says otherwise. */
#include "pm_log.h"
#include "small_store.h"

#define PAGE 512u

static uint64_t used_of(struct daxkv_store *store)
{
	uint64_t pages = 0;
	OK(space_count(&store->map, (const void *)store->map.base, store->page_size,
	               daxkv_size(store), &pages));
	return pages + (uint64_t)store->space.gained;
}

static uint64_t taken(struct daxkv_store *store, uint64_t pages)
{
	uint64_t off = 0;
	OK(space_take(&store->space, pages, &off));
	assert_int_equal(off % store->page_size, 0);
	assert_true(off >= store->geometry.first_page &&
	            off + pages * store->page_size <= store->space.end);
	return off;
}

static void words_add_grows(void **state)
{
	struct words w = {0};
	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		OK(words_add(&w, i * 8, i));
	assert_int_equal(w.n, 1000);
	for (uint64_t i = 0; i < 1000; i++)
		assert_true(w.w[i].off == i * 8 && w.w[i].value == i);
	free(w.w);
}

static void take_gives_pages_of_their_own(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	struct daxkv_txn *txn = begin(store);
	uint64_t off[300], sizes[300], pages = 0, before = used_of(store);
	(void)state;
	for (unsigned int i = 0; i < 300; i++) {
		sizes[i] = i % 5 ? 1 : i % 9 + 1;
		off[i] = taken(store, sizes[i]);
		pages += sizes[i];
		for (unsigned int j = 0; j < i; j++)
			assert_true(off[i] + sizes[i] * PAGE <= off[j] ||
			            off[j] + sizes[j] * PAGE <= off[i]);
	}
	assert_int_equal(used_of(store), before + pages);
	daxkv_txn_abort(txn);
	assert_int_equal(used_of(store), before);
	store_done(store);
}

static void extent_over_bitmap_words(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	struct daxkv_txn *txn = begin(store);
	uint64_t before = used_of(store), off[8];
	(void)state;
	for (uint64_t i = 0; i < 8; i++)
		off[i] = taken(store, 60 + i * 17); /* no multiple of the 64 pages of a word */
	for (uint64_t i = 0; i < 8; i += 2)
		OK(space_give_own(&store->space, off[i], 60 + i * 17));
	uint64_t again = taken(store, 60 + 6 * 17);
	assert_true(again == off[6] || again > off[7]); /* a hole that fits, or behind */
	daxkv_txn_abort(txn);
	assert_int_equal(used_of(store), before);
	store_done(store);
}

static void own_page_is_reusable_at_once(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	struct daxkv_txn *txn = begin(store);
	struct words words = {0};
	uint64_t off = taken(store, 1);
	(void)state;
	OK(space_give_own(&store->space, off, 1));
	assert_int_equal(taken(store, 1), off);
	OK(space_give_own(&store->space, off, 1));
	OK(space_words(&store->space, &words));
	assert_int_equal(words.n, 0); /* taken and given back: nothing for the file to learn */
	free(words.w);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void given_page_is_held(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	struct daxkv_txn *txn, *reader;
	uint64_t page = 0;
	(void)state;
	put_some(store, 0, 400, 20, 0);
	reader = begin_reading(store);
	txn = begin(store);
	const struct fmt_super *super = (const void *)store->map.base;
	page = load_word(
	    &super->main_desc); /* some page that a commit refers to; it is given back below */
	size_t mark = space_mark(&store->space);
	uint64_t before = used_of(store);
	OK(space_give(&store->space, page, 1));
	assert_int_equal(used_of(store), before - 1);
	for (int i = 0; i < 2000; i++)
		assert_true(taken(store, 1) != page);
	space_undo(&store->space, mark);
	assert_int_equal(used_of(store), before);
	daxkv_txn_abort(txn);
	daxkv_txn_abort(reader);
	store_done(store);
}

/* Held pages come back when no reader is older and their words are durable under a fenced record;
 * both are needed. */
static void held_pages_wait_for_readers(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	struct daxkv_txn *reader;
	(void)state;
	put_some(store, 0, 400, 20, 0);
	reader = begin_reading(store);
	del_some(store, 0, 400);
	assert_true(info(store).held_pages > 10);
	uint64_t held = info(store).held_pages;
	for (int i = 0; i < 5; i++)
		put_one(store, "later", "1");
	space_release(&store->space);
	assert_true(info(store).held_pages >= held); /* the reader is older */
	for (uint64_t i = 0; i < 400; i++)
		assert_true(has_n(reader, DAXKV_MAIN, i, 20, 0));
	daxkv_txn_abort(reader);
	space_release(&store->space);
	assert_true(info(store).held_pages < held);
	store_done(store);
}

static void held_pages_wait_for_a_fenced_record(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	(void)state;
	put_some(store, 0, 400, 20, 0);
	del_some(store, 0, 400); /* transaction 2 frees: its words are durable with the fence of 3,
	                            said so by the record of 4 */
	uint64_t held = store->space.limbo.pages;
	assert_true(held > 10);
	space_release(&store->space);
	assert_int_equal(store->space.limbo.pages, held);
	assert_true(store->space.releasable < 2);
	put_one(store, "a", "3");
	space_release(&store->space);
	assert_int_equal(store->space.limbo.pages, held);
	put_one(store, "a", "4");
	assert_int_equal(store->space.releasable, 2);
	space_release(&store->space);
	assert_true(store->space.limbo.pages < held);
	store_done(store);
}

/* Two transactions have one item each for all that they freed, and a free page lies among what both
 * hold. It is taken and given back; the older item goes, and an undo finds the page as it was left.
 */
static void own_page_stays_free_among_held_ones(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	struct daxkv_txn *txn = begin(store);
	struct space *s = &store->space;
	uint64_t off = taken(store, 1);
	struct limbo_item item;
	(void)state;
	space_undo(s, 0);
	OK(limbo_reserve(&s->limbo, 2));
	limbo_add(&s->limbo, 0, off, 1 | LIMBO_COARSE);
	limbo_add(&s->limbo, UINT64_MAX, off, 1 | LIMBO_COARSE);
	assert_int_equal(taken(store, 1), off);
	OK(space_give_own(s, off, 1));
	space_release(s);
	assert_int_equal(s->limbo.n, 1);
	daxkv_txn_abort(txn);
	assert_true(limbo_take(&s->limbo, UINT64_MAX, &item));
	store_done(store);
}

static void held_pages_are_used_again(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	(void)state;
	for (int round = 0; round < 30; round++) {
		put_some(store, 0, 400, 20, (uint64_t)round);
		del_some(store, 0, 400);
	}
	assert_int_equal(counters(store).grows, 0); /* 30 times the same pages */
	store_done(store);
}

static void spill_pages_are_never_marked(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	struct daxkv_txn *txn = begin(store);
	struct words words = {0};
	uint64_t before = used_of(store), off;
	(void)state;
	OK(space_take_spill(&store->space, 3, &off));
	assert_int_equal(used_of(store), before);
	for (int i = 0; i < 500; i++) {
		uint64_t page = taken(store, 1);
		assert_true(page < off || page >= off + 3 * PAGE);
	}
	space_undo(&store->space, 1);
	OK(space_words(&store->space, &words));
	assert_int_equal(words.n, 0);
	free(words.w);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void give_what_is_not_taken(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	struct daxkv_txn *txn = begin(store);
	uint64_t off = taken(store, 4), before = used_of(store);
	(void)state;
	OK(space_give_own(&store->space, off, 1));
	assert_int_equal(space_give(&store->space, off, 1), DAXKV_CORRUPT);
	assert_int_equal(space_give(&store->space, off + PAGE, 1000),
	                 DAXKV_CORRUPT); /* its beginning is taken */
	assert_int_equal(space_give(&store->space, off + 100, 1), DAXKV_CORRUPT);
	assert_int_equal(space_give(&store->space, 0, 1), DAXKV_CORRUPT);
	/* a value of no bytes, as only damage has it */
	assert_int_equal(space_give(&store->space, off + PAGE, 0), DAXKV_CORRUPT);
	assert_int_equal(space_give_own(&store->space, off + PAGE, 0), DAXKV_CORRUPT);
	assert_int_equal(space_give(&store->space, store->space.end, 1), DAXKV_CORRUPT);
	assert_int_equal(space_give_own(&store->space, store->space.end - PAGE, 2), DAXKV_CORRUPT);
	assert_int_equal(space_give(&store->space, off + PAGE, UINT64_MAX / PAGE), DAXKV_CORRUPT);
	assert_int_equal(used_of(store), before - 1); /* nothing was given half-way */
	daxkv_txn_abort(txn);
	store_done(store);
}

static void growth_reaches_new_zones(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	uint64_t start = store->space.end;
	struct daxkv_info after;
	(void)state;
	assert_int_equal(store->space.nzones, start / (PAGE * 8 * PAGE));
	for (uint64_t i = 0; i < 8; i++)
		put_some(store, i, i + 1, 1000000, i);
	assert_true(counters(store).grows > 0);
	assert_true(store->space.end >= 8000000 && store->space.nzones >= 4);
	store_check(store);
	after = info(store);
	assert_true(after.file_size >= store->space.end);
	assert_int_equal(after.used_bytes, used_of(store) * PAGE);
	OK(daxkv_close(store));
	store = store_again("s");
	struct daxkv_txn *txn = begin_reading(store);
	for (uint64_t i = 0; i < 8; i++)
		assert_true(has_n(txn, DAXKV_MAIN, i, 1000000, i));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* A new zone's bitmap page may lie on old bytes: it is zeroed, written back as a whole and fenced
 * before the record that names it [I11]. Caught: space.c, grow_zones: its pm_flush removed, or
 * covering FMT_LINE only; its pm_fence removed. */
static void bitmap_pages_are_durable_before_they_are_named(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	struct daxkv_txn *txn = begin(store);
	struct pm_log log;
	(void)state;
	pm_log_attach(&log, &store->map.pm, store->map.base);
	OK(put_n(txn, DAXKV_MAIN, 1, 3000000, 0));
	OK(daxkv_txn_commit(txn));
	assert_true(store->space.nzones > 1);
	uint64_t bitmap = store->space.zone[1].bitmap_off;
	size_t zeroed = pm_log_touch(&log, 0, log.n, PM_LOG_WRITE, bitmap, PAGE),
	       fence = pm_log_next(&log, zeroed, PM_LOG_FENCE);
	size_t record = pm_log_touch(&log, 0, log.n, PM_LOG_STORES, store->ring.off,
	                             FMT_RING_RECORDS * FMT_RING_RECORD);
	size_t first_value = pm_log_next(&log, zeroed + 1, PM_LOG_STORES);
	assert_true(zeroed != PM_LOG_NONE && log.event[zeroed].off <= bitmap &&
	            log.event[zeroed].off + log.event[zeroed].n >= bitmap + PAGE);
	assert_true(pm_log_written_back(&log, zeroed, fence, bitmap, PAGE));
	assert_true(fence < first_value &&
	            first_value <
	                record); /* a fence of its own: nothing else is stored before it */
	pm_log_detach(&log);
	store_done(store);
}

/* An aborted transaction made the store grow: the space is there for the next one, and its commit
 * carries the words that say so. */
/* However large the file is, a put that makes it grow waits for 16 MiB at most. */
static void growth_is_by_small_steps(void **state)
{
	struct daxkv_store *store =
	    store_open("large", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                               .initial_size = (uint64_t)160 << 20,
	                                               .pmem = DAXKV_PMEM_FORCE});
	struct daxkv_txn *txn = begin(store);
	const uint64_t end = store->space.end;
	uint64_t off, n = 0;
	(void)state;

	while (store->space.end == end && n++ < end / 4096)
		OK(space_take(&store->space, 1, &off));
	assert_in_range(store->space.end - end, (uint64_t)2 << 20, (uint64_t)16 << 20);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void growth_is_kept_when_undone(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	struct daxkv_txn *txn = begin(store);
	uint64_t start = store->space.end, before = used_of(store);
	const struct fmt_super *super = (const void *)store->map.base;
	(void)state;
	OK(put_n(txn, DAXKV_MAIN, 1, 7000000, 0));
	daxkv_txn_abort(txn);
	uint64_t grown = store->space.end, grows = counters(store).grows;
	assert_true(grown > start && store->space.nzones > 1);
	assert_int_equal(load_word(&super->size), start);
	store_image(store, "crashed"); /* a longer file than the superblock says is no fault */
	struct daxkv_store *after = store_again("crashed");
	store_done(after);
	put_some(store, 2, 3, 7000000, 0);
	assert_int_equal(counters(store).grows, grows);
	assert_int_equal(load_word(&super->size), store->space.end);
	assert_true(used_of(store) > before + 7000000 / PAGE);
	store_image(store, "crashed");
	after = store_again("crashed");
	txn = begin_reading(after);
	assert_true(has_n(txn, DAXKV_MAIN, 2, 7000000, 0));
	daxkv_txn_abort(txn);
	store_done(after);
	store_done(store);
}

/* At the maximum size the answer is FULL; the transaction is to be aborted, and then everything
 * works. */
static void full_at_max_size(void **state)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	uint64_t n = 0;
	int rc = 0;
	(void)state;
	unlink(scratch_path("full"));
	store = store_open("full", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                                  .page_size = 4096,
	                                                  .pmem = DAXKV_PMEM_FORCE,
	                                                  .max_size = 4 << 20});
	txn = begin(store);
	while (!(rc = put_n(txn, DAXKV_MAIN, n, 20000, 0)))
		n++;
	assert_int_equal(rc, DAXKV_FULL);
	assert_in_range(n, 150, 205); /* of 20 KiB each in 4 MiB */
	assert_int_equal(put_n(txn, DAXKV_MAIN, 0, 10, 1), DAXKV_BAD_TXN);
	daxkv_txn_abort(txn);
	put_some(store, 0, n / 2, 20000, 1);
	/* Deleting frees space at a full store too, and the next transactions get it. */
	for (uint64_t v = 2; v < 6; v++) {
		del_some(store, 0, n / 2);
		put_some(store, 0, n / 2, 20000, v);
	}
	assert_true(store->map.size <= 4 << 20);
	store_done(store);
}

static void one_extent_larger_than_the_store(void **state)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	uint64_t off = 1;
	(void)state;
	unlink(scratch_path("full"));
	store = store_open("full", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                                  .pmem = DAXKV_PMEM_FORCE,
	                                                  .max_size = 4 << 20});
	txn = begin(store);
	assert_int_equal(space_take(&store->space, 1 << 20, &off), DAXKV_FULL);
	assert_int_equal(space_take(&store->space, (uint64_t)1 << 52, &off), DAXKV_FULL);
	assert_int_equal(off, 1);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void trim_at_close_gives_space_back(void **state)
{
	static const unsigned int sizes[] = {512, 4096};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct daxkv_store *store = store_new("s", sizes[i]);
		struct stat st;
		put_some(store, 0, 1, 30, 5);
		put_some(store, 1, 6, 2000000, 0);
		del_some(store, 1, 6);
		assert_true(info(store).file_size > 10000000);
		OK(daxkv_close(store));
		assert_int_equal(stat(scratch_path("s"), &st), 0);
		assert_true(st.st_size <= 2 << 20);
		store = store_again("s");
		assert_int_equal(info(store).recovered, 0);
		store_check(store);
		struct daxkv_txn *txn = begin_reading(store);
		assert_true(has_n(txn, DAXKV_MAIN, 0, 30, 5));
		daxkv_txn_abort(txn);
		put_some(store, 1, 6, 2000000,
		         1); /* it grows again, over the zones that were cut off */
		store_done(store);
		store = store_again("s");
		txn = begin_reading(store);
		for (uint64_t n = 1; n < 6; n++)
			assert_true(has_n(txn, DAXKV_MAIN, n, 2000000, 1));
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

/* Growth that an aborted transaction left, and that closing takes back: its record names each word
 * once, and directory pages that no commit has made known are found. */
static void trim_of_growth_that_was_undone(void **state)
{
	const uint64_t dir_bytes =
	    (uint64_t)PAGE / 8 * PAGE * 8 * PAGE; /* what one directory page covers */
	const uint64_t sizes[] = {3000000, dir_bytes + 3000000};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct daxkv_store *store = store_new("s", PAGE);
		struct daxkv_val key = text("key"), value = {.size = sizes[i]};
		struct ring_record rec;
		struct stat st;
		put_some(store, 0, 10, 30, 5);
		struct daxkv_txn *txn = begin(store);
		OK(daxkv_put(txn, DAXKV_MAIN, &key, &value, DAXKV_RESERVE));
		daxkv_txn_abort(txn);
		assert_true(store->space.nzones > (i ? PAGE / 8 : 1));
		OK(daxkv_close(store));
		assert_int_equal(stat(scratch_path("s"), &st), 0);
		assert_true(st.st_size <= 2 << 20);
		store = store_again("s");
		uint64_t last = info(store).last_txn;
		assert_true(
		    ring_read(&store->ring, (unsigned int)(last % FMT_RING_RECORDS), &rec) &&
		    rec.txn == last);
		for (unsigned int a = 0; a < rec.nwords; a++)
			for (unsigned int b = 0; b < a; b++)
				assert_true(rec.words[2 * a] != rec.words[2 * b]);
		put_some(store, 0, 10, 2000, 6);
		store_done(store);
	}
}

static void trim_keeps_what_is_needed(void **state)
{
	struct daxkv_store *store = store_new("s", 4096);
	struct stat st;
	(void)state;
	put_some(store, 1, 12, 1000000, 0);
	del_some(store, 1, 11); /* the last one stays, at the end */
	OK(daxkv_close(store));
	assert_int_equal(stat(scratch_path("s"), &st), 0);
	assert_true(st.st_size > 10000000);
	store = store_again("s");
	struct daxkv_txn *txn = begin_reading(store);
	assert_true(has_n(txn, DAXKV_MAIN, 11, 1000000, 0));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* A directory that points nowhere is said to be corrupt and never followed. */
static void bitmap_out_of_the_file(void **state)
{
	struct daxkv_store *store = store_new("s", 4096);
	const struct fmt_super *super = (const void *)store->map.base;
	uint64_t dir = load_word(&super->dir[0]), bad[] = {0, 100, (uint64_t)1 << 40}, pages;
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct space s;
		const uint64_t *word = (const uint64_t *)(const void *)(store->map.base + dir);
		uint64_t was = load_word(word);
		pm_store8(&store->map.pm, word, bad[i]);
		OK(space_open(&s, &store->map, 4096, store->space.end));
		assert_int_equal(space_load_zone(&s, 0), DAXKV_CORRUPT);
		assert_int_equal(space_count(&store->map, super, 4096, store->space.end, &pages),
		                 DAXKV_CORRUPT);
		space_close(&s);
		pm_store8(&store->map.pm, word, was);
		pm_store8(&store->map.pm, &super->dir[0], bad[i]);
		OK(space_open(&s, &store->map, 4096, store->space.end));
		assert_int_equal(space_load_zone(&s, 0), DAXKV_CORRUPT);
		assert_int_equal(space_count(&store->map, super, 4096, store->space.end, &pages),
		                 DAXKV_CORRUPT);
		space_close(&s);
		pm_store8(&store->map.pm, &super->dir[0], dir);
	}
	store_done(store);
}

/* A file that grows by a zone has a word of the directory page to change: one that lies nowhere is
 * corrupt, and nothing is planned. */
static void growth_by_a_directory_out_of_the_file(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	const struct fmt_super *super = (const void *)store->map.base;
	const uint64_t dir = load_word(&super->dir[0]), zone = (uint64_t)PAGE * 8 * PAGE;
	const uint64_t bad[] = {0, dir + 300, dir + 4, (uint64_t)1 << 40};
	uint64_t off;
	(void)state;
	struct daxkv_txn *txn = begin(store);
	OK(space_load_zone(&store->space, store->space.nzones - 1));
	for (size_t i = 0; i < 4; i++) {
		pm_store8(&store->map.pm, &super->dir[0], bad[i]);
		assert_int_equal(space_take(&store->space, zone / PAGE, &off), DAXKV_CORRUPT);
		assert_int_equal(store->space.grown.n, 0);
		pm_store8(&store->map.pm, &super->dir[0], dir);
	}
	OK(space_take(&store->space, zone / PAGE, &off));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* Random taking, giving and undoing against a list; at the end the bitmap says what the list
 * says. */
static void random_steps_and_undo(void **state)
{
	struct daxkv_store *store = store_new("s", PAGE);
	uint64_t x = 1234567, before = used_of(store);
	(void)state;
	for (int round = 0; round < 40; round++) {
		struct {
			uint64_t off, n;
		} have[200];
		struct daxkv_txn *txn = begin(store);
		size_t nhave = 0, mark = 0, mark_nhave = 0;
		uint64_t mark_pages = 0, pages = 0;
		for (int step = 0; step < 150; step++) {
			uint64_t n = random_next(&x) % 4 ? 1 : random_next(&x) % 100 + 1;
			if (step == 75) {
				mark = space_mark(&store->space);
				mark_nhave = nhave;
				mark_pages = pages;
			}
			if (nhave > (step < 75 ? 0 : mark_nhave) && random_next(&x) % 3 == 0) {
				nhave--; /* only what was taken since the mark */
				OK(space_give_own(&store->space, have[nhave].off, have[nhave].n));
				pages -= have[nhave].n;
			} else if (nhave < 200) {
				have[nhave].n = n;
				have[nhave++].off = taken(store, n);
				pages += n;
			}
			assert_int_equal(used_of(store), before + pages);
		}
		space_undo(&store->space, mark);
		assert_int_equal(used_of(store), before + mark_pages);
		daxkv_txn_abort(txn);
		assert_int_equal(used_of(store), before);
	}
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(words_add_grows),
	    TEST(take_gives_pages_of_their_own),
	    TEST(extent_over_bitmap_words),
	    TEST(own_page_is_reusable_at_once),
	    TEST(given_page_is_held),
	    TEST(held_pages_wait_for_readers),
	    TEST(own_page_stays_free_among_held_ones),
	    TEST(held_pages_wait_for_a_fenced_record),
	    TEST(held_pages_are_used_again),
	    TEST(spill_pages_are_never_marked),
	    TEST(give_what_is_not_taken),
	    TEST(growth_is_by_small_steps),
	    TEST(growth_reaches_new_zones),
	    TEST(bitmap_pages_are_durable_before_they_are_named),
	    TEST(growth_is_kept_when_undone),
	    TEST(full_at_max_size),
	    TEST(one_extent_larger_than_the_store),
	    TEST(trim_at_close_gives_space_back),
	    TEST(trim_of_growth_that_was_undone),
	    TEST(trim_keeps_what_is_needed),
	    TEST(bitmap_out_of_the_file),
	    TEST(growth_by_a_directory_out_of_the_file),
	    TEST(random_steps_and_undo),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
