/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recover.c - see recover.h
 *
 * What is read here comes from a file that may be damaged in any way: every offset is bounded
 * before it is followed, and nothing is stored before all of it was read (plan_make,
 * words_gather). An assertion would be wrong for any of it. Step by step, with the crash before
 * each: DESIGN 4 and 5.
 */
#include "redo/recover.h"

#include "base/crc.h"
#include "base/err.h"
#include "daxkv.h"
#include "media/super.h"

#include <errno.h>
#include <stdlib.h>

/* What was decided of the ring. All numbers are transactions: clean <= durable_upto <= newest. */
struct plan {
	uint64_t newest;       /* the newest commit that finished */
	uint64_t durable_upto; /* the words of the commits up to it are in place, and durable */
	uint64_t clean;        /* what the superblock's mark says; 0 when it is not sound */
	/* the place after the newest holds the ring's round before, or nothing: no record can come
	 * to life there [I5] */
	bool whole_follower;
	struct ring_record rec[FMT_RING_RECORDS];
	bool valid[FMT_RING_RECORDS];
};

/* recover_super - the superblock in the mapping. */
static const struct fmt_super *recover_super(const struct ring *ring)
{
	return map_super(ring->map);
}

/* plan_record - the valid record of a transaction; NULL: the ring has none. */
static const struct ring_record *plan_record(const struct plan *p, uint64_t txn)
{
	unsigned int i = (unsigned int)(txn % FMT_RING_RECORDS);

	if (p->valid[i] && p->rec[i].txn == txn)
		return &p->rec[i];
	return NULL;
}

/* record_expected - the valid record of a transaction that the plan needs. CORRUPT: the ring lacks
 * it. */
static int record_expected(const struct ring *ring, const struct plan *p, uint64_t txn)
{
	if (plan_record(p, txn))
		return 0;
	return err_corrupt(ring->off, "ring: record %lu is missing, between %lu and %lu", txn,
	                   p->durable_upto, p->newest);
}

/* follower_whole - whether the place after the newest record holds an older record, or nothing: of
 * the round before, or of an earlier one, because a lazy interval leaves numbers out. */
static bool follower_whole(const struct ring *ring, const struct plan *p)
{
	uint64_t follower = p->newest + 1;
	const uint64_t *at = ring_at(ring, follower);

	if (at[0] == 0 && at[1] == 0 && at[2] == 0)
		return true;
	const unsigned int i = (unsigned int)(follower % FMT_RING_RECORDS);

	if (!p->valid[i])
		return false;
	return p->rec[i].txn < p->newest;
}

/* records_read - all that the ring has; returns the transaction of the newest, 0 when there is
 * none. */
static uint64_t records_read(const struct ring *ring, struct plan *p)
{
	uint64_t newest = 0;

	for (unsigned int i = 0; i < FMT_RING_RECORDS; i++) {
		p->valid[i] = ring_read(ring, i, &p->rec[i]);
		if (p->valid[i] && p->rec[i].txn > newest)
			newest = p->rec[i].txn;
	}
	return newest;
}

/* Step 1: which commit is the newest one that finished, and from which one on its words may not be
 * in place. */
static int plan_make(const struct ring *ring, struct plan *p)
{
	const struct fmt_super *super = recover_super(ring);
	bool sound = super_clean(super, &p->clean);
	uint64_t newest = records_read(ring, p);
	bool fresh_ok = newest <= p->clean || ring_fresh_ok(ring, plan_record(p, newest));
	const struct ring_record *top;

	/* [I4] Without a sound mark the ring must know all that the mark would say. */
	if (!sound && (newest == 0 || !fresh_ok))
		return err_corrupt(offsetof(struct fmt_super, clean),
		                   "superblock: the clean mark 0x%lx has a wrong checksum",
		                   load_word(&super->clean));
	/* [R1] Cut short before its fence: the one before is whole, because its fence had
	 * returned. */
	if (!fresh_ok)
		newest--;
	/* [I4] The words of what is marked clean are in place: nothing of the ring is missed. */
	if (newest < p->clean)
		newest = p->clean;
	top = plan_record(p, newest);
	if (newest > p->clean && !top)
		return err_corrupt(ring->off, "ring: record %lu is missing", newest);
	p->newest = newest;
	p->durable_upto = p->clean;
	if (top)
		p->durable_upto = max_u64(top->durable_upto, p->clean);
	assert(p->durable_upto <= p->newest);
	for (uint64_t n = p->durable_upto + 1; n <= newest; n++) {
		int rc = record_expected(ring, p, n);

		if (rc)
			return rc;
	}
	p->whole_follower = follower_whole(ring, p);
	return 0;
}

/* word_add - a word that recovery will store lies in the file, aligned, and not in the part of the
 * superblock that never changes. */
static int word_add(const struct ring *ring, struct words *ws, uint64_t txn, uint64_t off,
                    uint64_t value)
{
	const uint64_t size = ring->map->size;

	if (off % FMT_WORD || off >= size || off < offsetof(struct fmt_super, main_desc))
		return err_corrupt(off, "record %lu: a word outside the file's %lu bytes", txn,
		                   size);
	return words_add(ws, off, value);
}

/* spill_page - the page at off, when it can be one of a spilled record that has left words more to
 * name; NULL when it cannot. */
static const struct fmt_spill *spill_page(const struct ring *ring, uint64_t off, uint64_t left)
{
	const uint32_t psize = recover_super(ring)->page_size;
	const uint64_t room = (psize - FMT_SPILL_PAIRS) / (2 * FMT_WORD);
	const struct fmt_spill *s;

	if (off % psize)
		return NULL;
	if (off > ring->map->size - psize)
		return NULL;
	s = map_at(ring->map, off);
	if (s->page.type != FMT_SPILL)
		return NULL;
	if (s->pairs == 0)
		return NULL;
	if (s->pairs > room)
		return NULL;
	if (s->pairs > left)
		return NULL;
	return s;
}

/* words_add_spilled - the words of a spilled record, page by page. Each page has at least one of
 * those that are left, so the walk ends. */
static int words_add_spilled(const struct ring *ring, struct words *ws,
                             const struct ring_record *rec)
{
	uint64_t left = rec->spill_words;
	uint64_t off = rec->spill_off;
	uint32_t crc = 0;

	while (left) {
		const struct fmt_spill *s = spill_page(ring, off, left);

		if (!s)
			return err_corrupt(off, "record %lu: its spilled words are not there",
			                   rec->txn);
		crc = crc32c(crc, s->pair, s->pairs * 2 * FMT_WORD);
		for (uint64_t i = 0; i < s->pairs; i++) {
			const uint64_t *pair = &s->pair[2 * i];
			int rc = word_add(ring, ws, rec->txn, pair[0], pair[1]);

			if (rc)
				return rc;
		}
		left -= s->pairs;
		off = s->page.prev;
	}
	if (crc != rec->spill_crc)
		return err_corrupt(rec->spill_off,
		                   "record %lu: the checksum of its spilled words does not match",
		                   rec->txn);
	return 0;
}

/* ranges_check - the fresh ranges that recover_run stores again lie in the file: the test of the
 * newest record has seen those of that one only [I12]. */
static int ranges_check(const struct ring *ring, const struct ring_record *rec)
{
	if (!rec)
		return 0;
	for (unsigned int i = 0; i < rec->nranges; i++) {
		struct ring_range range = ring_range_read(rec->ranges[i]);

		if (!ring_range_inside(ring, &range))
			return err_corrupt(range.off,
			                   "record %lu: a range outside the file's %lu bytes",
			                   rec->txn, ring->map->size);
	}
	return 0;
}

/* words_gather - of the records first to last, which the plan has. */
static int words_gather(const struct ring *ring, const struct plan *p, uint64_t first,
                        uint64_t last, struct words *ws)
{
	for (uint64_t n = first; n <= last; n++) {
		const struct ring_record *rec = plan_record(p, n);
		int rc = 0;

		assert(rec);
		if (rec->spilled)
			rc = words_add_spilled(ring, ws, rec);
		if (rc)
			return rc;
		for (unsigned int i = 0; i < rec->nwords; i++) {
			const uint64_t *word = &rec->words[2 * i];

			rc = word_add(ring, ws, n, word[0], word[1]);
			if (rc)
				return rc;
		}
	}
	return 0;
}

/* A word, and where it was in the list. */
struct seq {
	struct ring_word word;
	size_t at;
};

/* seq_compare - by offset, for qsort. */
static int seq_compare(const void *a, const void *b)
{
	const struct seq *x = a;
	const struct seq *y = b;

	if (x->word.off < y->word.off)
		return -1;
	return x->word.off > y->word.off;
}

/* words_final - keep the newest value of each word only: a replay in order would go through old
 * ones. qsort is not stable: of the words with one offset the position says which is the newest. */
static int words_final(struct words *ws)
{
	const size_t n = ws->n;
	struct seq *s = malloc((n + 1) * sizeof *s);
	size_t out = 0;

	if (!s)
		return err_set(ENOMEM, "no memory for recovery");
	for (size_t i = 0; i < n; i++) {
		s[i].word = ws->w[i];
		s[i].at = i;
	}
	qsort(s, n, sizeof *s, seq_compare);
	for (size_t i = 0; i < n;) {
		size_t j = i;
		size_t last = i;

		for (; j < n && s[j].word.off == s[i].word.off; j++)
			if (s[j].at > s[last].at)
				last = j;
		ws->w[out++] = s[last].word;
		i = j;
	}
	assert(out <= n);
	ws->n = out;
	free(s);
	return 0;
}

/* redirty - store the bytes that are there once more: after a failed fdatasync the page cache may
 * think them clean [R5]. */
static void redirty(struct pm *pm, const uint8_t *p, size_t n)
{
	uint8_t line[FMT_LINE];

	for (size_t i = 0; i < n; i += FMT_LINE) {
		size_t part = min_u64(n - i, FMT_LINE);

		memcpy(line, p + i, part);
		pm_write(pm, p + i, line, part);
	}
	pm_flush(pm, p, n);
}

/* recover_fence - one of recovery's three fences, with its error's text. */
static int recover_fence(struct ring *ring)
{
	/* Orders: each step of recovery, before the next; the callers say which. */
	int rc = pm_fence(&ring->map->pm);

	if (rc)
		return err_sys(rc, "recovery could not make the file durable");
	return 0;
}

/* decision_store - store once more, or erase, what the decision for the newest commit rests on: the
 * clean mark, the record's follower, the record and the fresh bytes that it names. */
static void decision_store(struct ring *ring, const struct plan *p)
{
	struct pm *pm = &ring->map->pm;
	const struct fmt_super *super = recover_super(ring);
	const struct ring_record *top = plan_record(p, p->newest);
	const uint64_t *follower = ring_at(ring, p->newest + 1);

	/* Also when nothing is to be replayed: the process that stored the mark, or erased the
	 * follower, may have died before its fence [R4]. */
	redirty(pm, (const uint8_t *)&super->clean, sizeof super->clean);
	if (!p->whole_follower || follower[0] == 0) {
		pm_zero(pm, ring_at(ring, p->newest + 1), FMT_RING_RECORD);
		pm_flush(pm, follower, FMT_RING_RECORD);
	}
	if (!top || p->newest == p->clean)
		return;
	redirty(pm, (const uint8_t *)ring_at(ring, p->newest), top->bytes);
	for (unsigned int i = 0; i < top->nranges; i++) {
		struct ring_range range = ring_range_read(top->ranges[i]);

		redirty(pm, map_at(ring->map, range.off), range.len);
	}
}

/* recover_run - steps 2 to 4, on a plan that was checked. */
static int recover_run(struct ring *ring, const struct plan *p, const struct words *ws)
{
	struct pm *pm = &ring->map->pm;
	const uint8_t *base = ring->map->base;
	const struct fmt_super *super = recover_super(ring);
	int rc;

	assert(p->durable_upto <= p->newest);
	assert(p->clean <= p->newest);
	decision_store(ring, p);
	/* [R4] Orders: what the decision for N rests on, before any word that follows from it. */
	rc = recover_fence(ring);
	if (rc)
		return rc;
	if (p->newest == p->clean)
		return 0;
	for (size_t i = 0; i < ws->n; i++)
		pm_store8(pm, (const uint64_t *)(const void *)(base + ws->w[i].off),
		          ws->w[i].value);
	for (size_t i = 0; i < ws->n; i++)
		pm_flush(pm, base + ws->w[i].off, FMT_WORD);
	/* Orders: the words in place, before the clean mark that says so [I4]. */
	rc = recover_fence(ring);
	if (rc)
		return rc;
	pm_store8(pm, &super->clean, super_clean_word(p->newest));
	pm_flush(pm, &super->clean, FMT_WORD);
	/* Orders: the clean mark, before the first record that builds on it. */
	return recover_fence(ring);
}

/* plan_idle - whether there is nothing to do: the store is clean, and the ring's next place can
 * hold nothing that comes to life. */
static bool plan_idle(const struct plan *p)
{
	if (p->newest != p->clean)
		return false;
	return p->whole_follower;
}

/* The plan alone says it: nothing is read of the words. */
int recover_needed(const struct ring *ring, bool *needed, uint64_t *txn)
{
	struct plan p;
	int rc = plan_make(ring, &p);

	if (rc)
		return rc;
	*needed = !plan_idle(&p);
	*txn = p.newest;
	return 0;
}

/* plan_words - what the plan stores: the newest value of each word of the records whose words may
 * not be in place. All that can be wrong with the file is found here, before anything is stored. */
static int plan_words(const struct ring *ring, const struct plan *p, struct words *ws)
{
	int rc;

	if (!plan_idle(p)) {
		rc = ranges_check(ring, plan_record(p, p->newest));
		if (rc)
			return rc;
		rc = words_gather(ring, p, p->durable_upto + 1, p->newest, ws);
		if (rc)
			return rc;
	}
	return words_final(ws);
}

/* Everything that can be refused is refused before the first store (plan_words): a file that is
 * damaged stays as it was found. */
int recover(struct ring *ring, struct recover_result *result)
{
	struct words ws = {0};
	struct plan p;
	int rc = plan_make(ring, &p);

	if (rc)
		return rc;
	*result = (struct recover_result){
	    .txn = p.newest,
	    .replayed = p.newest - p.durable_upto,
	};
	rc = plan_words(ring, &p, &ws);
	if (!rc)
		rc = recover_run(ring, &p, &ws);
	free(ws.w);
	return rc;
}

/* words_stored - how many of the words that the records first to last leave are in place; *all: of
 * how many. */
static int words_stored(const struct ring *ring, const struct plan *p, uint64_t first,
                        uint64_t last, size_t *stored, size_t *all)
{
	struct words ws = {0};
	int rc = words_gather(ring, p, first, last, &ws);

	if (!rc)
		rc = words_final(&ws);
	*stored = 0;
	*all = ws.n;
	for (size_t i = 0; i < ws.n && !rc; i++) {
		const uint64_t *word = map_at(ring->map, ws.w[i].off);

		if (load_word(word) == ws.w[i].value)
			(*stored)++;
	}
	free(ws.w);
	return rc;
}

/* The newest commit's words are looked at alone when not all are in place: none of them, and the
 * commit before it may be whole. */
int recover_in_place(const struct ring *ring, bool *in_place, uint64_t *txn)
{
	struct plan p;
	size_t stored;
	size_t all;
	int rc = plan_make(ring, &p);

	if (rc)
		return rc;
	rc = words_stored(ring, &p, p.durable_upto + 1, p.newest, &stored, &all);
	*in_place = stored == all;
	*txn = p.newest;
	if (rc)
		return rc;
	if (*in_place)
		return 0;
	rc = words_stored(ring, &p, p.newest, p.newest, &stored, &all);
	if (rc || stored) /* some of the newest: it is half done */
		return rc;
	rc = words_stored(ring, &p, p.durable_upto + 1, p.newest - 1, &stored, &all);
	*in_place = stored == all;
	*txn = p.newest - 1;
	return rc;
}
