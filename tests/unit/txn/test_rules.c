/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules of commit and recovery, R1 to R9 of docs/DESIGN.md, each by a test that fails when the
 * rule is broken. Most look at what the engine stores, flushes and fences, in order, through
 * pm_log.h. Above each test stands a change of one line that it was shown to catch.
 *
 * What a power cut leaves at each point is the subject of the crash tests; here a rule is shown
 * where it is kept.
 */
#include "pm_log.h"
#include "redo/recover.h"
#include "small_store.h"
#include "txn/dbi.h"

#define MAIN       DAXKV_MAIN
#define RING_BYTES ((uint64_t)FMT_RING_RECORDS * FMT_RING_RECORD)

struct commit { /* what one transaction did, by events of the log */
	uint64_t txn;
	size_t begin, first_fence, fence, end; /* fence: the one that made its record durable */
	struct ring_record rec;
	struct ring_range range[FMT_REC_MAX_RANGES];
	struct ring_word word[64];
	size_t nwords;
};

static struct pm_log trace;

static struct daxkv_store *traced_store(unsigned int page_size)
{
	struct daxkv_store *store = store_new("r", page_size);
	pm_log_attach(&trace, &store->map.pm, store->map.base);
	return store;
}

static void traced_done(struct daxkv_store *store)
{
	pm_log_detach(&trace);
	store_done(store);
}

/* commit_fill - the rest of *c, when a transaction that began at event begin has been committed. */
static void commit_fill(struct daxkv_store *store, size_t begin, struct commit *c)
{
	*c = (struct commit){.txn = store->share->published,
	                     .begin = begin,
	                     .first_fence = pm_log_next(&trace, begin, PM_LOG_FENCE),
	                     .end = trace.n};
	for (size_t i = begin; i < trace.n; i++)
		if (trace.event[i].kind == PM_LOG_FENCE)
			c->fence = i;
	assert_true(c->first_fence != PM_LOG_NONE);
	assert_true(ring_read(&store->ring, (unsigned int)(c->txn % FMT_RING_RECORDS), &c->rec));
	assert_int_equal(c->rec.txn, c->txn);
	for (unsigned int i = 0; i < c->rec.nranges; i++)
		c->range[i] = (struct ring_range){c->rec.ranges[i] >> 16,
		                                  (uint32_t)(c->rec.ranges[i] & 0xffff) * 4, 0};
	c->nwords = store->words.n < 64 ? store->words.n : 64;
	memcpy(c->word, store->words.w, c->nwords * sizeof *c->word);
}

static void traced_put(struct daxkv_store *store, uint64_t n, size_t len, uint64_t version,
                       struct commit *c)
{
	size_t at = trace.n;
	put_some(store, n, n + 1, len, version);
	commit_fill(store, at, c);
}

/* ---- R1 -------------------------------------------------------------------------------------- */

/* Caught: wset.c, wset_install: "wp->used = used;" made "wp->used = w->psize;" - a new page is
 * named with its unused space, where the next transaction appends. */
static void r1_named_bytes_stay_until_the_next_fence(void **state)
{
	struct daxkv_store *store = traced_store(512);
	struct commit last, c;
	uint64_t x = 11, checked = 0;
	(void)state;
	traced_put(store, 0, 20, 0, &last);
	for (uint64_t i = 1; i < 400; i++) {
		if (i % 5 == 0) { /* an aborted transaction writes fresh bytes too */
			struct daxkv_txn *txn = begin(store);
			OK(put_n(txn, MAIN, random_next(&x) % 60, 30, i));
			daxkv_txn_abort(txn);
		}
		traced_put(store, random_next(&x) % 60, 10 + i % 40, i, &c);
		for (unsigned int r = 0; r < last.rec.nranges; r++, checked++)
			assert_true(pm_log_touch(&trace, last.end, c.fence, PM_LOG_STORES,
			                         last.range[r].off,
			                         last.range[r].len) == PM_LOG_NONE);
		last = c;
		if (i % 50 == 0)
			store_check(store);
	}
	assert_true(checked >= 400);
	traced_done(store);
}

/* Each byte that a record names counts, and only they: damage to one loses the transaction, damage
 * beside them does not. Caught: leaf_write.c, shadow_add: "(uint16_t)f->from" made
 * "(uint16_t)(f->from + 4)" - the entry's first bytes are not named. */
static void r1_ranges_are_what_the_words_reach(void **state)
{
	struct daxkv_store *store = traced_store(4096), *after;
	struct commit c;
	(void)state;
	put_some(store, 0, 5, 20, 1);
	traced_put(store, 2, 20, 2, &c); /* appended to a committed leaf */
	assert_int_equal(c.rec.nranges, 1);
	/* The bytes stored and not named are the record itself. */
	for (size_t i = c.begin; i < c.fence; i++)
		if (trace.event[i].kind & PM_LOG_STORES &&
		    (trace.event[i].off < store->ring.off ||
		     trace.event[i].off >= store->ring.off + RING_BYTES))
			assert_true(trace.event[i].off == c.range[0].off &&
			            trace.event[i].n == c.range[0].len);
	for (uint64_t off = c.range[0].off - 8; off < c.range[0].off + c.range[0].len + 16;
	     off += 4) {
		bool named = off >= c.range[0].off && off < c.range[0].off + c.range[0].len;
		if (off < c.range[0].off)
			continue; /* another transaction's bytes */
		store_image(store, "torn");
		image_flip("torn", off);
		after = store_again("torn");
		struct daxkv_txn *txn = begin_reading(after);
		assert_true(has_n(txn, MAIN, 2, 20, named ? 1 : 2));
		daxkv_txn_abort(txn);
		assert_int_equal(info(after).last_txn, named ? c.txn - 1 : c.txn);
		OK(daxkv_close(after));
	}
	traced_done(store);
}

/* Caught: leaf_write.c, shadow_add: its pm_flush removed; commit.c, flush_private: its pm_flush
 * removed. */
static void r1_record_and_ranges_are_written_back_before_the_fence(void **state)
{
	struct daxkv_store *store = traced_store(512);
	struct commit c;
	uint64_t x = 5;
	(void)state;
	for (uint64_t i = 0; i < 300; i++) {
		size_t at = trace.n;
		put_some(store, random_next(&x) % 80, random_next(&x) % 80 + 80, i % 3 ? 20 : 300,
		         i);
		commit_fill(store, at, &c);
		if (!c.rec.spilled) {
			uint64_t place = (uint64_t)((const uint8_t *)ring_at(&store->ring, c.txn) -
			                            store->map.base);
			size_t stored =
			    pm_log_touch(&trace, c.begin, c.fence, PM_LOG_WRITE, place, 8);
			assert_true(
			    stored != PM_LOG_NONE &&
			    pm_log_written_back(&trace, stored, c.fence, place, c.rec.bytes));
		}
		for (unsigned int r = 0; r < c.rec.nranges; r++)
			assert_true(pm_log_written_back(&trace, c.begin, c.fence, c.range[r].off,
			                                c.range[r].len));
		/* Private pages are written back before the first fence, whether the record names
		 * them or not. */
		for (size_t p = 0; p < store->wset.n; p++) {
			const struct wpage *wp = wset_at(&store->wset, p);
			if (wp->owner && !wp->dead)
				assert_true(pm_log_written_back(&trace, c.begin, c.first_fence,
				                                wp->off, wp->used));
		}
		pm_log_clear(&trace);
	}
	traced_done(store);
}

/* ---- R2 -------------------------------------------------------------------------------------- */

/* words_are_durable - whether the words of a commit were flushed after it had stored them and
 * before a fence in front of event upto. */
static bool words_are_durable(const struct commit *c, size_t upto)
{
	size_t fence = PM_LOG_NONE;
	for (size_t i = c->end; i < upto; i++)
		if (trace.event[i].kind == PM_LOG_FENCE)
			fence = i;
	if (fence == PM_LOG_NONE)
		return false;
	for (size_t i = 0; i < c->nwords; i++)
		if (!pm_log_written_back(&trace, c->end, fence, c->word[i].off, 8))
			return false;
	return true;
}

/* [R2] Caught: ring.c, ring_at: "txn % FMT_RING_RECORDS" made "txn / 2 % FMT_RING_RECORDS" - every
 * other record is written over the one before. */
static void r2_ring_index_is_reused_when_its_words_are_durable(void **state)
{
	static struct commit commit[200];
	static uint8_t ring[RING_BYTES];
	struct daxkv_store *store = traced_store(512);
	uint64_t x = 3, reused = 0;
	(void)state;
	for (uint64_t t = 1; t < 200; t++) {
		uint64_t old = 0;
		size_t at = trace.n;
		memcpy(ring, store->map.base + store->ring.off, RING_BYTES);
		put_some(store, random_next(&x) % 100, random_next(&x) % 100 + 101, 8, t);
		size_t write =
		    pm_log_touch(&trace, at, trace.n, PM_LOG_STORES, store->ring.off, RING_BYTES);
		assert_true(write != PM_LOG_NONE);
		memcpy(&old, ring + (trace.event[write].off - store->ring.off), 8);
		if (old) {
			assert_true(old < t && words_are_durable(&commit[old], write));
			reused++;
		}
		commit[t] = (struct commit){
		    .txn = t, .end = trace.n, .nwords = store->words.n < 64 ? store->words.n : 64};
		memcpy(commit[t].word, store->words.w, commit[t].nwords * sizeof *commit[t].word);
	}
	assert_int_equal(reused, 199 - 64);
	traced_done(store);
}

/* ---- R3 -------------------------------------------------------------------------------------- */

/* Caught: space.c, space_release: "min_u64(s->releasable, s->oldest_reader(s->arg))" made
 * "s->releasable". */
static void r3_pages_of_a_running_snapshot_are_not_reused(void **state)
{
	struct daxkv_store *store = traced_store(512);
	struct daxkv_txn *reader;
	uint64_t x = 77;
	(void)state;
	put_some(store, 0, 600, 20, 0);
	reader = begin_reading(store);
	for (uint64_t v = 1; v < 12; v++) {
		struct daxkv_txn *txn = begin(store);
		for (int i = 0; i < 400; i++) {
			uint64_t n = random_next(&x) % 600;
			if (random_next(&x) % 2)
				OK(put_n(txn, MAIN, n, 20 + n % 50, v));
			else
				(void)del_n(txn, MAIN, n);
		}
		OK(daxkv_txn_commit(txn));
		for (uint64_t n = 0; n < 600; n++)
			assert_true(has_n(reader, MAIN, n, 20, 0));
	}
	assert_true(info(store).held_pages > 100);
	assert_int_equal(limbo_oldest(&store->space.limbo),
	                 2); /* what the first transaction after the snapshot freed is still held */
	daxkv_txn_abort(reader);
	put_some(store, 0, 600, 20, 1); /* and now they are */
	put_some(store, 0, 600, 20, 2);
	assert_true(info(store).held_pages < 600);
	traced_done(store);
}

struct freed {
	uint64_t txn, off, bytes;
};

/* Caught: commit.c, "store->share->releasable = store->durable;" made "... = txn;". */
static void r3_freed_pages_wait_for_a_fenced_record_that_names_them_durable(void **state)
{
	static struct freed freed[5000];
	struct daxkv_store *store = traced_store(512);
	uint64_t durable_upto = 0, reused = 0, last = 0;
	size_t nfreed = 0;
	(void)state;
	for (uint64_t t = 1; t <= 60; t++) {
		size_t at = trace.n;
		uint64_t from = t % 3 * 100;
		if (t % 2)
			put_some(store, from, from + 100, 40, t);
		else
			del_some(store, (t - 1) % 3 * 100, (t - 1) % 3 * 100 + 100);
		/* Until this transaction's record is fenced, the newest fenced record is the one
		 * before. */
		for (size_t i = 0; i < nfreed; i++) {
			size_t touched = pm_log_touch(&trace, at, trace.n, PM_LOG_STORES,
			                              freed[i].off, freed[i].bytes);
			if (touched == PM_LOG_NONE)
				continue;
			assert_true(freed[i].txn <= durable_upto);
			reused++;
			freed[i--] = freed[--nfreed];
		}
		struct commit c;
		commit_fill(store, at, &c);
		durable_upto = c.rec.durable_upto;
		assert_true(durable_upto < t && (t < 3 || durable_upto == t - 2));
		for (size_t i = 0; i < store->space.limbo.n; i++) {
			const struct limbo_item *it =
			    &store->space.limbo.item[(store->space.limbo.head + i) &
			                             (store->space.limbo.room - 1)];
			if (it->txn <= last)
				continue;
			assert_true(nfreed < 5000);
			freed[nfreed++] = (struct freed){it->txn, it->off, it->pages * 512};
		}
		last = t;
		pm_log_clear(&trace);
	}
	assert_true(reused > 100);
	traced_done(store);
}

/* ---- R4 -------------------------------------------------------------------------------------- */

static void recover_image(const char *name, struct map *map, struct ring *ring,
                          struct ring_record *top)
{
	struct geometry g;
	struct stat st;
	*map = (struct map){.fd = -1};
	OK(map_open_file(map, scratch_path(name), false));
	assert_int_equal(fstat(map->fd, &st), 0);
	OK(super_read(map->fd, (uint64_t)st.st_size, &g));
	OK(map_attach(map, (uint64_t)st.st_size, 0, DAXKV_PMEM_FORCE, false));
	*ring = (struct ring){.map = map, .file_id = g.file_id, .off = g.ring_off};
	uint64_t newest = 0;
	for (unsigned int i = 0; i < FMT_RING_RECORDS; i++) {
		struct ring_record rec;
		if (ring_read(ring, i, &rec) && rec.txn > newest) {
			newest = rec.txn;
			*top = rec;
		}
	}
	assert_true(newest > 0);
}

/* Caught: recover.c, recover_run: the first "rc = recover_fence(ring);" made "rc = 0;". */
static void r4_recovery_fences_what_it_rests_on_before_the_first_word(void **state)
{
	struct daxkv_store *store = store_new("r", 512);
	struct recover_result result;
	struct ring_record top;
	struct pm_log log;
	struct ring ring;
	struct map map;
	(void)state;
	for (uint64_t i = 0; i < 70; i++)
		put_some(store, i, i + 1, 30, 0);
	store_image(store, "crashed");
	OK(daxkv_close(store));
	recover_image("crashed", &map, &ring, &top);
	uint64_t place = (uint64_t)((const uint8_t *)ring_at(&ring, top.txn) - map.base);
	assert_true(top.nranges > 0);
	pm_log_attach(&log, &map.pm, map.base);
	OK(recover(&ring, &result));
	size_t word = pm_log_next(&log, 0, PM_LOG_WORD), fence = pm_log_next(&log, 0, PM_LOG_FENCE);
	assert_true(word != PM_LOG_NONE && fence != PM_LOG_NONE && fence < word);
	assert_true(pm_log_written_back(&log, 0, fence, place, top.bytes));
	for (unsigned int r = 0; r < top.nranges; r++)
		assert_true(pm_log_written_back(&log, 0, fence, top.ranges[r] >> 16,
		                                (top.ranges[r] & 0xffff) * 4));
	/* The words are durable before the mark that says so, and that before recovery ends. */
	size_t mark =
	    pm_log_touch(&log, fence, log.n, PM_LOG_WORD, offsetof(struct fmt_super, clean), 8);
	size_t second = pm_log_next(&log, fence + 1, PM_LOG_FENCE);
	assert_true(mark != PM_LOG_NONE && second < mark);
	for (unsigned int i = 0; i < top.nwords; i++)
		assert_true(pm_log_written_back(&log, fence, second, top.words[2 * i], 8));
	assert_true(pm_log_written_back(&log, mark, pm_log_next(&log, mark, PM_LOG_FENCE),
	                                offsetof(struct fmt_super, clean), 8));
	assert_int_equal(log.event[log.n - 1].kind, PM_LOG_FENCE);
	pm_log_detach(&log);
	map_close(&map);
}

/* ---- R5 -------------------------------------------------------------------------------------- */

/* Caught: txn.c, lock_writer: "if (!panic)" made "if (true)" - a store whose fence failed goes on
 * being written. */
static void r5_failed_fence_panics_the_store(void **state)
{
	struct daxkv_store *store = traced_store(4096), *next;
	struct daxkv_txn *txn;
	(void)state;
	put_some(store, 0, 5, 20, 1);
	pm_log_fail(&trace, 0, EIO);
	txn = begin(store);
	OK(put_n(txn, MAIN, 1, 20, 2));
	assert_int_equal(daxkv_txn_commit(txn), DAXKV_PANIC);
	pm_log_clear(&trace);
	txn = NULL;
	assert_int_equal(daxkv_txn_begin(store, NULL, 0, &txn), DAXKV_PANIC);
	assert_int_equal(daxkv_sync(store), DAXKV_PANIC);
	txn = begin_reading(store);
	assert_true(has_n(txn, MAIN, 1, 20, 1));
	daxkv_txn_abort(txn);
	store_check(store); /* what recovery will find: that is no damage */
	assert_int_equal(pm_log_count(&trace, PM_LOG_STORES | PM_LOG_FENCE),
	                 0);            /* nothing touches the file any more */
	store_image(store, "panicked"); /* closing stores nothing either: see the image after it */
	pm_log_detach(&trace);
	OK(daxkv_close(store));
	next = store_again("r");
	assert_true(info(next).recovered > 0);
	store_done(next);
}

/* After a failed sync the page cache may think bytes clean that the disk does not have: recovery
 * stores all of them again, equal or not. Caught: recover.c, redirty: its pm_write removed;
 * recover_run: its pm_store8 loop made to skip words that are equal. */
static void r5_recovery_stores_again_what_is_there_already(void **state)
{
	struct daxkv_store *store = store_new("r", 4096);
	struct recover_result result;
	struct ring_record top, before;
	struct pm_log log;
	struct ring ring;
	struct map map;
	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		put_some(store, i, i + 1, 30, 0);
	store_image(store, "crashed"); /* every word is in place */
	OK(daxkv_close(store));
	recover_image("crashed", &map, &ring, &top);
	assert_true(ring_read(&ring, (unsigned int)(top.txn - 1) % FMT_RING_RECORDS, &before));
	pm_log_attach(&log, &map.pm, map.base);
	OK(recover(&ring, &result));
	assert_int_equal(result.txn, top.txn);
	for (uint32_t i = 0; i < top.bytes; i += 8)
		assert_true(pm_log_touch(
		                &log, 0, log.n, PM_LOG_WRITE,
		                (uint64_t)((const uint8_t *)ring_at(&ring, top.txn) - map.base) + i,
		                8) != PM_LOG_NONE);
	for (unsigned int r = 0; r < top.nranges; r++)
		for (uint32_t i = 0; i < (top.ranges[r] & 0xffff) * 4; i += 4)
			assert_true(pm_log_touch(&log, 0, log.n, PM_LOG_WRITE,
			                         (top.ranges[r] >> 16) + i, 4) != PM_LOG_NONE);
	for (unsigned int i = 0; i < top.nwords; i++)
		assert_true(pm_log_touch(&log, 0, log.n, PM_LOG_WORD, top.words[2 * i], 8) !=
		            PM_LOG_NONE);
	for (unsigned int i = 0; i < before.nwords; i++)
		assert_true(pm_log_touch(&log, 0, log.n, PM_LOG_WORD, before.words[2 * i], 8) !=
		            PM_LOG_NONE);
	pm_log_detach(&log);
	map_close(&map);
}

/* ---- R6 -------------------------------------------------------------------------------------- */

/* [R6] Caught: leaf_write.c, leaf_append, before shadow_add: "if (c->kind == FMT_SLOT_REMOVE &&
 * wp->npending > wp->napplied) wp->npending--;" added - a removal takes the newest pending slot
 * back instead of adding a tombstone. */
static void r6_slots_are_only_ever_appended(void **state)
{
	struct daxkv_store *store = store_new("r", 4096);
	struct daxkv_txn *txn, *reader;
	uint64_t leaf, x = 9;
	(void)state;
	put_one(store, "m", "0");
	put_one(store, "n", "0");
	reader = begin_reading(store);
	txn = begin(store);
	struct dbstate *s;
	OK(dbi_state(txn, MAIN, &s));
	leaf = s->tree.root;
	for (unsigned int i = 0; i < 13; i++) {
		char key[2] = {(char)('k' + random_next(&x) % 5), 0};
		struct wpage old = {0};
		if (wset_find(&store->wset, leaf))
			old = *wset_find(&store->wset, leaf);
		if (random_next(&x) % 2 || del(txn, MAIN, key, NULL))
			OK(put(txn, MAIN, key, i % 2 ? "odd" : "even", 0));
		const struct wpage *wp = wset_find(&store->wset, leaf);
		assert_non_null(wp);
		assert_int_equal(wp->npending, old.npending ? old.npending + 1u : 2u);
		assert_memory_equal(wp->val, old.npending ? old.val : wp->val,
		                    old.npending * sizeof *old.val);
	}
	assert_false(wset_find(&store->wset, leaf)->dead);
	OK(daxkv_txn_commit(txn));
	assert_true(has(reader, MAIN, "m", "0") && has(reader, MAIN, "n", "0") &&
	            has(reader, MAIN, "k", NULL));
	daxkv_txn_abort(reader);
	store_done(store); /* the checker applies the ranks and compares */
}

/* ---- R7 -------------------------------------------------------------------------------------- */

/* A leaf that gets slots, and then is replaced in the same transaction: its slots stay as the last
 * commit left them, for older snapshots. Caught: commit.c, commit_pages: "if (wp->dead) continue;"
 * removed; wset.c, wset_retire: "wp->dead = true;" removed. */
static void r7_words_of_a_replaced_page_leave_the_set(void **state)
{
	struct daxkv_store *store = traced_store(512);
	struct daxkv_txn *reader;
	uint64_t x = 21, retired = 0;
	(void)state;
	put_some(store, 0, 100, 20, 0);
	reader = begin_reading(store);
	for (uint64_t t = 1; t < 30; t++) {
		size_t at = trace.n;
		struct daxkv_txn *txn = begin(store);
		for (int i = 0; i < 60; i++)
			OK(put_n(txn, MAIN, random_next(&x) % 100, 20, t));
		OK(daxkv_txn_commit(txn));
		for (size_t i = 0; i < store->wset.n; i++) {
			const struct wpage *wp = wset_at(&store->wset, i);
			if (!wp->dead)
				continue;
			retired++;
			assert_true(pm_log_touch(&trace, pm_log_next(&trace, at, PM_LOG_FENCE),
			                         trace.n, PM_LOG_WORD, wp->off,
			                         512) == PM_LOG_NONE);
			for (size_t w = 0; w < store->words.n; w++)
				assert_true(store->words.w[w].off < wp->off ||
				            store->words.w[w].off >= wp->off + 512);
		}
		for (size_t w = 0; w < store->words.n; w++) { /* nor in pages freed earlier */
			for (size_t i = 0; i < store->space.limbo.n; i++) {
				const struct limbo_item *it =
				    &store->space.limbo.item[(store->space.limbo.head + i) &
				                             (store->space.limbo.room - 1)];
				assert_true(store->words.w[w].off < it->off ||
				            store->words.w[w].off >= it->off + it->pages * 512);
			}
		}
		for (uint64_t n = 0; n < 100; n++)
			assert_true(has_n(reader, MAIN, n, 20, 0));
		pm_log_clear(&trace);
	}
	assert_true(retired > 50);
	daxkv_txn_abort(reader);
	traced_done(store);
}

/* ---- R8 -------------------------------------------------------------------------------------- */

/* Caught: wset.h, wset_editable: "wp->owner == w->level" made "wp->owner != 0". */
static void r8_private_page_is_edited_by_its_own_level_only(void **state)
{
	struct daxkv_store *store = traced_store(512);
	uint64_t x = 8, checked = 0;
	(void)state;
	for (int round = 0; round < 20; round++) {
		static uint8_t before[64 * 512];
		uint64_t off[64];
		uint32_t used[64];
		size_t n = 0;
		struct daxkv_txn *txn = begin(store), *child;
		for (uint64_t i = 0; i < 200; i++)
			OK(put_n(txn, MAIN, i, 20, 1));
		child = begin_in(txn);
		for (size_t i = 0; i < store->wset.n && n < 64; i++) {
			const struct wpage *wp = wset_at(&store->wset, i);
			if (!wp->owner || wp->dead)
				continue;
			off[n] = wp->off;
			used[n] = wp->used;
			memcpy(before + n++ * 512, store->map.base + wp->off, wp->used);
		}
		assert_true(n > 10);
		for (int i = 0; i < 150; i++) {
			uint64_t k = random_next(&x) % 250;
			if (random_next(&x) % 3)
				OK(put_n(child, MAIN, k, 20, 2));
			else
				(void)del_n(child, MAIN, k);
		}
		for (size_t i = 0; i < n; i++, checked++)
			assert_memory_equal(before + i * 512, store->map.base + off[i], used[i]);
		daxkv_txn_abort(child);
		for (uint64_t i = 0; i < 200; i++)
			assert_true(has_n(txn, MAIN, i, 20, 1));
		for (uint64_t i = 200; i < 250; i++)
			assert_true(lacks_n(txn, MAIN, i));
		if (round % 2)
			OK(daxkv_txn_commit(txn));
		else
			daxkv_txn_abort(txn);
		pm_log_clear(&trace);
	}
	assert_true(checked > 200);
	traced_done(store);
}

/* ---- R9, and the order of a commit ----------------------------------------------------------- */

/* Caught: commit.c, commit_flush_words: its first line made a return. */
static void r9_words_are_flushed_before_the_next_fence(void **state)
{
	static struct commit last, c;
	struct daxkv_store *store = traced_store(512);
	uint64_t x = 13;
	(void)state;
	put_some(store, 0, 300, 20, 0);
	traced_put(store, 0, 20, 1, &last);
	for (uint64_t t = 1; t < 300; t++) {
		size_t at = trace.n;
		if (t % 10 == 0)
			put_some(store, 0, 40, 20,
			         t); /* many words: some share a line, some are many lines apart */
		else
			put_some(store, random_next(&x) % 300, random_next(&x) % 300 + 300, 20, t);
		commit_fill(store, at, &c);
		for (size_t i = 0; i < last.nwords; i++)
			assert_true(pm_log_written_back(&trace, last.end, c.first_fence,
			                                last.word[i].off, 8));
		last = c;
		last.end = 0; /* events are counted anew from here */
		pm_log_clear(&trace);
	}
	traced_done(store);
}

/* Caught: commit.c, record_small: its "return commit_fence(store, ...)" made "return 0;"; the words
 * stored before ring_write as well. */
static void commit_stores_words_after_its_one_fence(void **state)
{
	struct daxkv_store *store = traced_store(512);
	uint64_t x = 17;
	(void)state;
	put_some(store, 0, 300, 20, 0);
	for (uint64_t t = 1; t < 200; t++) {
		struct commit c;
		size_t at = trace.n;
		uint64_t from = random_next(&x) % 300;
		put_some(store, from, from + 1 + t % 5, 20, t);
		commit_fill(store, at, &c);
		assert_true(c.rec.nranges && c.rec.nwords);
		assert_int_equal(c.first_fence, c.fence);
		/* Before the fence no word that a commit refers to is stored: what is stored to
		 * lies in private pages. */
		for (size_t i = c.begin; i < c.fence; i++) {
			if (trace.event[i].kind != PM_LOG_WORD)
				continue;
			const struct wpage *wp =
			    wset_find(&store->wset, trace.event[i].off / 512 * 512);
			assert_true(wp && wp->owner);
		}
		for (size_t i = 0; i < c.nwords; i++)
			assert_true(pm_log_touch(&trace, c.fence, c.end, PM_LOG_WORD, c.word[i].off,
			                         8) != PM_LOG_NONE);
		pm_log_clear(&trace);
	}
	traced_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(r1_named_bytes_stay_until_the_next_fence),
	    TEST(r1_ranges_are_what_the_words_reach),
	    TEST(r1_record_and_ranges_are_written_back_before_the_fence),
	    TEST(r2_ring_index_is_reused_when_its_words_are_durable),
	    TEST(r3_pages_of_a_running_snapshot_are_not_reused),
	    TEST(r3_freed_pages_wait_for_a_fenced_record_that_names_them_durable),
	    TEST(r4_recovery_fences_what_it_rests_on_before_the_first_word),
	    TEST(r5_failed_fence_panics_the_store),
	    TEST(r5_recovery_stores_again_what_is_there_already),
	    TEST(r6_slots_are_only_ever_appended),
	    TEST(r7_words_of_a_replaced_page_leave_the_set),
	    TEST(r8_private_page_is_edited_by_its_own_level_only),
	    TEST(r9_words_are_flushed_before_the_next_fence),
	    TEST(commit_stores_words_after_its_one_fence),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
