/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit.c - from a transaction's changes to the newest durable state.
 *
 *   1 the descriptors take roots and counts; the words and fresh ranges of the transaction are listed
 *   2 flush the fresh bytes            (a large transaction: also its word list, spilled to pages; FENCE)
 *   3 write and flush the record
 *   4 FENCE                            <- durable here
 *   5 store the words in place         flushed when the next transaction begins [I1] [R9]
 *   6 publish                          <- readers see it from here on
 *
 * Orders of 2 and 3: none needed in a small transaction; the record names the fresh bytes with their checksum [R1].
 */
#include "txn/commit.h"

#include "base/crc.h"
#include "base/err.h"
#include "txn/dbi.h"
#include "txn/desc.h"
#include "txn/entry.h"
#include "txn/store.h"

#include <errno.h>
#include <stdlib.h>

#define FRESH_MAX 65536u  /* more fresh bytes than this are fenced before the record: reading them back at recovery, and checksums, would cost more */
#define RECENT_LINES 8u   /* looked back for a line that was flushed already */

struct ranges {
	struct ring_range r[FMT_REC_MAX_RANGES];
	size_t n;
	uint64_t bytes;
	bool too_many;
};

static void ranges_add(struct ranges *rs, uint64_t off, uint32_t len, uint32_t crc)
{
	rs->bytes += len;
	if (rs->n == FMT_REC_MAX_RANGES || rs->too_many)
		rs->too_many = true;
	else
		rs->r[rs->n++] = (struct ring_range){off, len, crc};
}

/* ---- step 1 --------------------------------------------------------------------------------------------------------------- */

/* name_page - the record of a named database is to name that page: its descriptor, or the leaf that
 * it is. */
static int name_page(struct daxkv_txn *txn, struct dbstate *s, uint64_t off)
{
	struct fmt_db record = {.desc = off, .flags = s->flags};
	struct daxkv_val name = dbi_name_val(s), value = {sizeof record, &record};

	if (s->named == off)
		return 0;
	s->named = off;
	return entry_put(txn, DAXKV_MAIN, &name, &value, 0, FMT_ENTRY_DB);
}

/* move_desc - the database's descriptor is full of counts: a new one takes its place; or it has none
 * so far. */
static int move_desc(struct daxkv_txn *txn, daxkv_db db)
{
	struct daxkv_store *kv = txn->kv;
	struct dbstate *s = dbi_state_known(txn, db);
	uint64_t old = s->desc, off;
	int rc = desc_new(&kv->wset, s->flags, s->tree.count, db == DAXKV_MAIN ? old : 0, &off);

	if (!rc && old)
		rc = wset_retire(&kv->wset, old);
	s->desc = off;
	return rc || db == DAXKV_MAIN ? rc : name_page(txn, s, off);
}

static int commit_desc(struct daxkv_txn *txn, daxkv_db db, struct words *words)
{
	struct daxkv_store *kv = txn->kv;
	struct dbstate *s = dbi_state_known(txn, db);
	bool full = !s->desc;

	if (!s->desc && s->tree.leaf_pages < 2 && !s->tree.inner_pages)
		return name_page(txn, s, s->tree.root);
	int rc = full ? 0 : desc_commit(kv, s, words, &full);

	if (rc || !full)
		return rc;
	rc = move_desc(txn, db);
	return rc ? rc : desc_commit(kv, s, words, &full);
}

static bool db_changed(const struct daxkv_txn *txn, const struct dbstate *s)
{
	return s->generation == txn->generation && s->changed;
}

/* commit_descs - named databases first: a moved descriptor changes its record in the main one. */
static int commit_descs(struct daxkv_txn *txn, struct words *words)
{
	const struct fmt_super *super = (const void *)txn->kv->map.base;
	int rc = 0;

	for (const struct dbstate *s = txn->changed; s && !rc; s = s->links.next_changed)
		if (s->handle != DAXKV_MAIN && db_changed(txn, s))
			rc = commit_desc(txn, s->handle, words);
	if (rc || txn->ndb <= DAXKV_MAIN || !txn->db[DAXKV_MAIN] ||
	    !db_changed(txn, txn->db[DAXKV_MAIN]))
		return rc;
	rc = commit_desc(txn, DAXKV_MAIN, words);
	if (!rc && load_word(&super->main_desc) != txn->db[DAXKV_MAIN]->desc)
		rc = words_add(words, offsetof(struct fmt_super, main_desc), txn->db[DAXKV_MAIN]->desc);
	return rc;
}

/* page_words - the words that a committed page gets: slots behind those it has, or kids. */
static int page_words(struct wset *w, const struct wpage *wp, struct words *words)
{
	const struct fmt_page *page = (const void *)(w->map->base + wp->off);
	bool leaf = page->type == FMT_LEAF;
	uint64_t at = wp->off + (leaf ? FMT_LEAF_SLOTS : page->heads + (uint64_t)page->n * FMT_WORD);
	int rc = 0;

	for (unsigned int i = leaf ? wp->napplied : 0; i < wp->npending && !rc; i++)
		rc = words_add(words, at + (leaf ? i : wp->idx[i]) * FMT_WORD, wp->val[i]);
	return rc;
}

/* commit_pages - list the words and fresh ranges of every page touched. */
static int commit_pages(struct wset *w, struct words *words, struct ranges *ranges)
{
	int rc = 0;

	for (size_t i = 0; i < w->n && !rc; i++) {
		struct wpage *wp = wset_at(w, i);
		const uint8_t *page = w->map->base + wp->off;

		if (wp->dead) /* [R7] */
			continue;
		if (wp->owner) {
			wset_apply(w, wp);
			ranges_add(ranges, wp->off, wp->used, 0);
			continue;
		}
		rc = page_words(w, wp, words);
		if (wp->fresh_end)
			ranges_add(ranges, wp->off + wp->fresh_off, (uint32_t)wp->fresh_end - wp->fresh_off,
			           wp->crc_valid ? wp->fresh_crc : crc32c(0, page + wp->fresh_off, (size_t)wp->fresh_end - wp->fresh_off));
	}
	return rc;
}

/* ---- steps 2 to 4 --------------------------------------------------------------------------------------------------------- */

/* flush_private - write the private pages back; what was appended to committed pages is on its way already. ranges (NULL: not needed) get
 * the checksums. */
static void flush_private(struct wset *w, struct ranges *ranges)
{
	size_t r = 0;

	for (size_t i = 0; i < w->n; i++) {
		struct wpage *wp = wset_at(w, i);
		const uint8_t *page = w->map->base + wp->off;

		if (wp->dead || (!wp->owner && !wp->fresh_end))
			continue;
		if (wp->owner) {
			if (ranges)
				ranges->r[r].crc = wp->streamed && wp->crc_valid ? wp->fresh_crc : crc32c(0, page, wp->used);
			if (!wp->streamed)
				pm_flush(&w->map->pm, page, wp->used);
		}
		r++;
	}
}

/* fence - wait; a failure poisons the store, because nobody knows what became durable [R5]. */
static int fence(struct daxkv_store *kv, const char *what)
{
	int rc = pm_fence(&kv->map.pm); /* Orders: what the caller names, before what it does next. */

	if (!rc)
		return 0;
	__atomic_store_n(&kv->share->poison, (uint32_t)rc, __ATOMIC_SEQ_CST);
	return err_set(DAXKV_PANIC, "%s: %s; the store refuses changes until it is opened again", what, strerror(rc));
}

static int stage_freed(struct daxkv_store *kv)
{
	int rc = 0;

	for (size_t i = 0; i < kv->space.nops && !rc; i++) {
		const struct space_op *op = &kv->space.op[i];

		if (op->kind == SPACE_HELD || op->kind == SPACE_SPILL)
			rc = share_limbo_add(&kv->share_file, &(struct limbo_item){kv->wset.txn, op->off, op->pages});
	}
	if (rc)
		(void)share_limbo_cut(&kv->share_file, kv->wset.txn - 1);
	return rc;
}

/* stage_limbo - what the transaction frees is told to other processes before its record can take
 * effect: if this one dies, the next writer knows. Where the lock file cannot grow, what nobody
 * needs any more makes room. */
static int stage_limbo(struct daxkv_store *kv)
{
	int rc = stage_freed(kv);

	if ((rc != ENOSPC && rc != EDQUOT) || !kv->space.limbo.n)
		return rc;
	space_release(&kv->space);
	return stage_freed(kv);
}

/* durable_upto - what the record of the running transaction, T, says: the words of T-2 are durable
 * for sure, those of T-1 when the store was settled since. */
static uint64_t durable_upto(const struct daxkv_store *kv)
{
	const uint64_t txn = kv->wset.txn;

	return kv->share->durable == txn - 1 ? txn - 1 : txn - min_u64(txn, 2);
}

static uint64_t spill_room(uint32_t psize)
{
	return (psize - FMT_SPILL_PAIRS) / (2 * FMT_WORD);
}

/* spill_take - have want pages in the list; spill_write chains them through their prev. */
static int spill_take(struct daxkv_store *kv, uint64_t *pages, uint64_t want, uint64_t **list)
{
	uint64_t *more = realloc(*list, want * sizeof **list);
	int rc = 0;

	if (!more)
		return err_set(ENOMEM, "no memory for a transaction of %lu spilled pages", (unsigned long)want);
	*list = more;
	while (*pages < want && !rc) {
		rc = space_take_spill(&kv->space, 1, &more[*pages]);
		*pages += !rc;
	}
	return rc;
}

static uint32_t spill_write(struct daxkv_store *kv, const struct words *words, const uint64_t *page, uint64_t npages)
{
	struct fmt_spill *s = (void *)kv->wset.image;
	uint64_t room = spill_room(kv->page_size);
	uint32_t crc = 0;

	for (uint64_t i = 0, at = 0; i < npages && at < words->n; i++) {
		uint64_t n = min_u64(room, words->n - at);
		size_t bytes = n * 2 * FMT_WORD;

		memset(s, 0, FMT_SPILL_PAIRS);
		s->page.birth = kv->wset.txn;
		s->page.prev = at + n < words->n ? page[i + 1] : 0;
		s->page.type = FMT_SPILL;
		s->pairs = n;
		memcpy(s->pair, words->w + at, bytes);
		crc = crc32c(crc, s->pair, bytes);
		memset((uint8_t *)s->pair + bytes, 0, round_up(FMT_SPILL_PAIRS + bytes, FMT_LINE) - FMT_SPILL_PAIRS - bytes);
		pm_stream(&kv->map.pm, kv->map.base + page[i], s, round_up(FMT_SPILL_PAIRS + bytes, FMT_LINE));
		at += n;
	}
	return crc;
}

/* record_spilled - steps 2 to 4 of a large transaction. words has the words of the pages only; those of space are added here, after
 * the spill pages were taken, which may make the file grow. */
static int record_spilled(struct daxkv_store *kv, struct words *words)
{
	uint64_t *page = NULL, npages = 0, txn = kv->wset.txn;
	size_t own = words->n;
	int rc = space_words(&kv->space, words);

	while (!rc && npages * spill_room(kv->page_size) < words->n) {
		rc = spill_take(kv, &npages, words->n / spill_room(kv->page_size) + 1, &page);
		words->n = own;
		if (!rc)
			rc = space_words(&kv->space, words);
	}
	if (rc)
		goto free_pages;
	rc = stage_limbo(kv);
	if (rc)
		goto free_pages;
	flush_private(&kv->wset, NULL);
	uint32_t crc = spill_write(kv, words, page, npages);

	/* Orders: fresh bytes and spilled words, before the record that makes them reachable [I6]. */
	rc = fence(kv, "writing a large transaction");
	if (rc)
		goto free_pages;
	ring_write_spilled(&kv->ring, txn, durable_upto(kv), npages ? page[0] : 0, words->n, crc);
	/* Orders: the record, before its words in place. */
	rc = fence(kv, "committing");
free_pages:
	free(page);
	return rc;
}

static int record_small(struct daxkv_store *kv, const struct words *words, struct ranges *ranges)
{
	int rc = stage_limbo(kv);

	if (rc)
		return rc;
	const uint64_t durable = durable_upto(kv);

	flush_private(&kv->wset, ranges);
	ring_write(&kv->ring, kv->wset.txn, durable, ranges->r, ranges->n, words->w, words->n);
	/* Orders: fresh bytes and record, before the words in place. */
	return fence(kv, "committing");
}

/* record_fenced - steps 2 to 4 of a transaction whose words fit a slot but whose fresh bytes are too many to be named. */
static int record_fenced(struct daxkv_store *kv, const struct words *words)
{
	int rc = stage_limbo(kv);

	if (rc)
		return rc;
	flush_private(&kv->wset, NULL);
	/* Orders: fresh bytes, before the record that makes them reachable [I6]. */
	rc = fence(kv, "writing a transaction's data");
	if (rc)
		return rc;
	ring_write(&kv->ring, kv->wset.txn, durable_upto(kv), NULL, 0, words->w, words->n);
	/* Orders: the record, before its words in place. */
	return fence(kv, "committing");
}

/* ---- steps 5 and 6 -------------------------------------------------------------------------------------------------------- */

/* flush_pairs - start writing back the words of (offset, value) pairs. */
static void flush_pairs(struct daxkv_store *kv, const uint64_t *pair, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (pair[2 * i] < kv->map.size)
			pm_flush(&kv->map.pm, kv->map.base + pair[2 * i], FMT_WORD);
}

/* flush_record - the same for another process's commit, from its record. A spilled one's pages are still in the limbo. */
static void flush_record(struct daxkv_store *kv, uint64_t txn)
{
	struct ring_record rec;

	if (!ring_read(&kv->ring, (unsigned int)(txn % FMT_RING_SLOTS), &rec) || rec.txn != txn)
		return; /* only after recovery, which leaves all words durable */
	if (!rec.spilled) {
		flush_pairs(kv, rec.words, rec.nwords);
		return;
	}
	for (uint64_t left = rec.spill_words, off = rec.spill_off; left && off && off <= kv->map.size - kv->page_size;) {
		const struct fmt_spill *s = (const void *)(kv->map.base + off);
		uint64_t n = min_u64(min_u64(s->pairs, left), spill_room(kv->page_size));

		flush_pairs(kv, s->pair, n);
		left -= n;
		off = n ? s->page.prev : 0;
	}
}

void commit_flush_words(struct daxkv_store *kv)
{
	uint64_t recent[RECENT_LINES];
	const uint64_t last = kv->known;
	size_t n = 0;

	if (last == kv->share->durable)
		return;
	if (kv->words_txn != last) {
		flush_record(kv, last);
		return;
	}
	for (size_t i = 0; i < kv->words.n; i++) {
		uint64_t line = kv->words.w[i].off / FMT_LINE;
		bool seen = false;

		for (size_t j = 0; j < RECENT_LINES && j < n; j++)
			seen |= recent[j] == line;
		if (seen)
			continue;
		recent[n++ % RECENT_LINES] = line;
		pm_flush(&kv->map.pm, kv->map.base + kv->words.w[i].off, FMT_WORD);
	}
}

static void commit_store(struct daxkv_store *kv)
{
	uint64_t txn = kv->wset.txn;

	for (size_t i = 0; i < kv->words.n; i++)
		pm_store8(&kv->map.pm, (const uint64_t *)(const void *)(kv->map.base + kv->words.w[i].off), kv->words.w[i].value);
	kv->words_txn = txn;
	space_committed(&kv->space, txn);
	/* what the record, fenced now, says [R3] */
	kv->space.releasable = kv->share->releasable = durable_upto(kv);
	kv->share->durable = txn - 1; /* flushed when txn began, fenced with it [R9] [I3] */
	kv->known = txn;
	__atomic_store_n(&kv->share->size, kv->space.end, __ATOMIC_RELEASE);
	__atomic_store_n(&kv->commits, kv->commits + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&kv->share->published, txn, __ATOMIC_SEQ_CST);
}

int commit_run(struct daxkv_txn *txn)
{
	struct daxkv_store *kv = txn->kv;
	struct wset *w = &kv->wset;
	struct ranges ranges;
	struct words *words = &kv->words;
	const struct fmt_super *super = (const void *)kv->map.base;
	size_t own;
	int rc;

	ranges.n = ranges.bytes = 0;
	ranges.too_many = false;
	words->n = 0;
	kv->words_txn = 0;
	rc = tree_settle_all(&kv->scratch);
	if (!rc)
		rc = commit_descs(txn, words);
	if (!rc && txn->user_version_set && load_word(&super->user_version) != txn->user_version)
		rc = words_add(words, offsetof(struct fmt_super, user_version), txn->user_version);
	if (!rc)
		rc = commit_pages(w, words, &ranges);
	if (rc)
		return rc;
	own = words->n;
	rc = space_words(&kv->space, words);
	if (rc)
		return rc;
	if (words->n == 0 && ranges.n == 0) { /* nothing changed: what was taken was given back */
		space_undo(&kv->space, 0);
		return 0;
	}
	if (ring_fits(0, words->n) && !ranges.too_many && ring_fits(ranges.n, words->n) && ranges.bytes <= FRESH_MAX) {
		rc = record_small(kv, words, &ranges);
	} else if (ring_fits(0, words->n)) {
		rc = record_fenced(kv, words);
	} else {
		words->n = own;
		rc = record_spilled(kv, words);
	}
	if (!rc)
		commit_store(kv);
	return rc;
}

/* ---- settling and trimming ------------------------------------------------------------------------------------------------ */

int commit_settle(struct daxkv_store *kv)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	const uint64_t txn = kv->known, mark = super_clean_word(txn);
	int rc;

	if (load_word(&super->clean) == mark)
		return 0;
	commit_flush_words(kv);
	/* Orders: all words in place, before the mark that says so [I4]. */
	rc = fence(kv, "making the store clean");
	if (rc)
		return rc;
	kv->share->durable = txn;
	pm_store8(&kv->map.pm, &super->clean, mark);
	pm_flush(&kv->map.pm, &super->clean, FMT_WORD);
	/* Orders: the mark, before any page that it releases is written [I4] [R3]. */
	rc = fence(kv, "making the store clean");
	if (rc)
		return rc;
	kv->space.releasable = kv->share->releasable = txn;
	map_touch(&kv->map);
	return 0;
}

int commit_trim(struct daxkv_store *kv, bool *cut)
{
	struct ranges ranges;
	int rc;

	ranges.n = 0;
	space_release(&kv->space);
	*cut = false;
	if (kv->space.limbo.n)
		return 0;
	uint64_t end = kv->space.end;

	rc = space_trim(&kv->space, ((const struct fmt_super *)(const void *)kv->map.base)->initial, cut);
	if (rc || !*cut)
		return rc;
	kv->words.n = 0;
	kv->words_txn = 0;
	rc = space_words(&kv->space, &kv->words);
	*cut = !rc && ring_fits(0, kv->words.n);
	if (*cut)
		rc = record_small(kv, &kv->words, &ranges);
	if (*cut && !rc) {
		commit_store(kv);
		return 0;
	}
	*cut = false; /* so many words are not worth it */
	space_undo(&kv->space, 0);
	kv->space.grown.n = 0;
	kv->space.end = end;
	return rc;
}
