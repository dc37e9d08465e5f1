/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit.c - from a transaction's changes to the newest durable state.
 *
 *   1 the descriptors take roots and counts; the words and fresh ranges of the transaction are
 *     listed
 *   2 flush the fresh bytes            (a large transaction: also its spilled words; FENCE)
 *   3 write and flush the record
 *   4 FENCE                            <- durable here
 *   5 store the words in place         flushed when the next transaction begins [I1] [R9]
 *   6 publish                          <- readers see it from here on
 *
 * Orders of 2 and 3: none needed in a small transaction; the record names the fresh bytes with
 * their checksum [R1].
 *
 * Which of three records a transaction gets:
 *
 *   small     its words and its fresh ranges fit a record: one fence
 *   fenced    its words do, but its fresh bytes are too many to be named: a fence before the record
 *   spilled   its words do not: they go to pages of their own, which the record names; a fence
 *             before the record
 *
 * An error up to step 3 leaves the store as it was, and the caller undoes the transaction. A fence
 * that fails puts the store into panic instead: nobody knows whether the commit counts [R5].
 *
 * All of this runs in the thread that ends the transaction, with the writer's lock held. Readers go
 * on meanwhile, and see either all of the commit or nothing of it: step 6 is one word.
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

#define FRESH_MAX                                                                                  \
	65536u /* more fresh bytes than this are fenced before the record: reading them back at    \
	          recovery, and checksums, would cost more */
#define RECENT_LINES 8u /* looked back for a line that was flushed already */

struct ranges { /* fresh bytes that the record is to name */
	struct ring_range r[FMT_REC_MAX_RANGES];
	size_t n;
	uint64_t bytes;
	bool too_many;
};

/* ranges_add - one more; their bytes are counted even when they are too many to be named. crc: of
 * the bytes, or 0 when flush_private will know. */
static void ranges_add(struct ranges *rs, uint64_t off, uint32_t len, uint32_t crc)
{
	rs->bytes += len;
	if (rs->n == FMT_REC_MAX_RANGES || rs->too_many)
		rs->too_many = true;
	else
		rs->r[rs->n++] = (struct ring_range){off, len, crc};
}

/* ---- step 1 ---------------------------------------------------------------------------------- */

/* name_page - the catalog entry of a named database is to name that page: its descriptor, or the
 * leaf that it is. A put into the main database, so this one is changed by it, too. */
static int name_page(struct daxkv_txn *txn, struct dbstate *s, uint64_t off)
{
	struct fmt_db record = {.desc = off, .flags = s->flags, .since = s->since};
	struct daxkv_val name = dbi_name_val(s), value = {sizeof record, &record};

	if (s->named == off)
		return 0;
	s->named = off;
	return entry_put(txn, DAXKV_MAIN, &name, &value, 0, FMT_ENTRY_DB);
}

/* move_desc - the database's descriptor is full of counts: a new one takes its place; or it has
 * none so far. The main one's is named by a word of the superblock, all others' by their catalog
 * entries. Only the main one's needs prev: a catalog entry has versions of its own. */
static int move_desc(struct daxkv_txn *txn, daxkv_db db)
{
	struct daxkv_store *store = txn->store;
	struct dbstate *s = dbi_state_known(txn, db);
	uint64_t old = s->desc, off;
	int rc = desc_new(&store->wset, s->flags, s->tree.count, db == DAXKV_MAIN ? old : 0, &off);

	if (!rc && old)
		rc = wset_retire(&store->wset, old);
	s->desc = off;
	return rc || db == DAXKV_MAIN ? rc : name_page(txn, s, off);
}

/* commit_desc - what the transaction changed in one database reaches its descriptor: by words, or
 * on a new page when the old one is full. A database of one leaf has none: its catalog entry names
 * the leaf. */
static int commit_desc(struct daxkv_txn *txn, daxkv_db db, struct words *words)
{
	struct daxkv_store *store = txn->store;
	struct dbstate *s = dbi_state_known(txn, db);
	bool full = !s->desc || s->desc_moves;

	s->desc_moves = false;
	if (!s->desc && s->tree.leaf_pages < 2 && !s->tree.inner_pages && !s->tallies.root)
		return name_page(txn, s, s->tree.root);
	int rc = full ? 0 : desc_commit(store, s, words, &full);

	if (rc)
		return rc;
	if (!full)
		return 0;
	rc = move_desc(txn, db);
	return rc ? rc : desc_commit(store, s, words, &full);
}

/* super_now - the superblock as the running transaction found it. */
static inline const struct fmt_super *super_now(const struct daxkv_store *store)
{
	if (UNLIKELY(store->wset.first))
		return store_super(store);
	return map_super(&store->map);
}

/* commit_descs - named databases first: a moved descriptor changes its catalog entry in the main
 * one. */
static int commit_descs(struct daxkv_txn *txn, struct words *words)
{
	int rc = 0;

	for (const struct dbstate *s = txn->changed; s && !rc; s = s->links.next_changed)
		if (s->handle != DAXKV_MAIN && dbi_has_changed(txn, s))
			rc = commit_desc(txn, s->handle, words);
	if (rc)
		return rc;
	if (txn->ndb <= DAXKV_MAIN)
		return 0;
	if (!txn->db[DAXKV_MAIN])
		return 0;
	if (!dbi_has_changed(txn, txn->db[DAXKV_MAIN]))
		return 0;
	rc = commit_desc(txn, DAXKV_MAIN, words);
	if (rc)
		return rc;
	if (load_word(&super_now(txn->store)->main_desc) != txn->db[DAXKV_MAIN]->desc)
		rc = words_add(words, offsetof(struct fmt_super, main_desc),
		               txn->db[DAXKV_MAIN]->desc);
	return rc;
}

/* page_words - the words that a committed page gets: slots behind those it has, or kids. */
static int page_words(struct wset *w, const struct wpage *wp, struct words *words)
{
	const struct fmt_page *page = map_at(w->map, wp->off);
	bool leaf = page->type == FMT_LEAF;
	uint64_t at =
	    wp->off + (leaf ? FMT_LEAF_SLOTS : page->heads + (uint64_t)page->n * FMT_WORD);
	int rc = 0;

	for (unsigned int i = leaf ? wp->napplied : 0; i < wp->npending; i++) {
		rc = words_add(words, at + (leaf ? i : wp->idx[i]) * FMT_WORD, wp->val[i]);
		if (rc)
			return rc;
	}
	return 0;
}

/* commit_pages - list the words and fresh ranges of every page touched. A private page is fresh as
 * a whole. A committed leaf has fresh bytes behind its tail, and a page that is superseded has
 * nothing to say. */
static int commit_pages(struct wset *w, struct words *words, struct ranges *ranges)
{
	int rc = 0;

	for (size_t i = 0; i < w->n && !rc; i++) {
		struct wpage *wp = wset_at(w, i);
		const uint8_t *page = map_at(w->map, wp->off);

		if (wp->dead) /* [R7] */
			continue;
		if (wp->owner) {
			wset_apply(w, wp);
			if (UNLIKELY(wp->stale))
				leaf_reseal(w, wp);
			ranges_add(ranges, wp->off, wp->used, 0);
			continue;
		}
		rc = page_words(w, wp, words);
		if (wp->fresh_end)
			ranges_add(ranges, wp->off + wp->fresh_off,
			           (uint32_t)wp->fresh_end - wp->fresh_off,
			           wp->crc_valid ? wp->fresh_crc
			                         : crc32c(0, page + wp->fresh_off,
			                                  (size_t)wp->fresh_end - wp->fresh_off));
	}
	return rc;
}

/* ---- steps 2 to 4 ---------------------------------------------------------------------------- */

/* flush_private - write the private pages back; what was appended to committed pages is on its way
 * already. ranges (NULL: not needed) get the checksums. The ranges come in the order of
 * commit_pages, which left their checksums to this walk: each page is read once. */
static void flush_private(struct wset *w, struct ranges *ranges)
{
	size_t r = 0;

	for (size_t i = 0; i < w->n; i++) {
		struct wpage *wp = wset_at(w, i);
		const uint8_t *page = map_at(w->map, wp->off);

		if (wp->dead || (!wp->owner && !wp->fresh_end))
			continue;
		if (wp->owner) {
			if (ranges)
				ranges->r[r].crc = wp->streamed && wp->crc_valid
				                       ? wp->fresh_crc
				                       : crc32c(0, page, wp->used);
			if (!wp->streamed)
				pm_flush(&w->map->pm, page, wp->used);
		}
		r++;
	}
	assert(!ranges || r == ranges->n);
}

/* Nobody knows what became durable [R5]. */
int commit_fence_failed(struct daxkv_store *store, const char *what, int why)
{
	store_seq_cst(&store->share->panic, (uint32_t)why);
	return err_set(DAXKV_PANIC, "%s: %s; the store refuses changes until it is opened again",
	               what, strerror(why));
}

/* stage_freed - append what the transaction frees to the limbo in the lock file; all of it or
 * nothing. ENOSPC, EDQUOT, errno. */
static int stage_freed(struct daxkv_store *store)
{
	int rc = 0;

	for (size_t i = 0; i < store->space.nops && !rc; i++) {
		const struct space_op *op = &store->space.op[i];

		if (space_op_waits(&store->space, op))
			rc = share_limbo_add(
			    &store->share_file,
			    &(struct limbo_item){store->wset.txn, op->off, op->pages});
	}
	if (rc)
		(void)share_limbo_cut(&store->share_file, store->wset.txn - 1);
	return rc;
}

/* stage_span - all that the transaction freed as one item, which holds back more than that. */
static int stage_span(struct daxkv_store *store)
{
	struct limbo_item item = {.txn = store->wset.txn};

	if (!space_freed_span(&store->space, &item.off, &item.pages))
		return 0;
	return share_limbo_add(&store->share_file, &item);
}

/* What the transaction frees is told to other processes before its record can take
 * effect: if this one dies, the next writer knows. Where the lock file cannot grow, what nobody
 * needs any more makes room, or else the transaction has one coarse item. */
static inline int stage_limbo(struct daxkv_store *store)
{
	int rc = stage_freed(store);

	if (LIKELY(rc != ENOSPC && rc != EDQUOT))
		return rc;
	if (store->space.limbo.n) {
		space_release(&store->space);
		rc = stage_freed(store);
	}
	if (rc == ENOSPC || rc == EDQUOT)
		rc = stage_span(store);
	return rc;
}

int commit_stage_limbo(struct daxkv_store *store)
{
	return stage_limbo(store);
}

/* durable_upto - what the record of the running transaction, T, says: the words of T-2 are durable
 * for sure, those of T-1 when a checkpoint was made since. */
static uint64_t durable_upto(const struct daxkv_store *store)
{
	const uint64_t txn = store->wset.txn;

	return store->share->durable == txn - 1 ? txn - 1 : txn - min_u64(txn, 2);
}

/* Pages that are in the list already are kept when it grows; *list is the caller's to free. */
int commit_spill_take(struct daxkv_store *store, uint64_t *pages, uint64_t want, uint64_t **list)
{
	uint64_t *more = realloc(*list, want * sizeof **list);
	int rc = 0;

	if (!more)
		return err_set(ENOMEM, "no memory for a transaction of %lu spilled pages",
		               (unsigned long)want);
	*list = more;
	while (*pages < want && !rc) {
		rc = space_take_spill(&store->space, 1, &more[*pages]);
		*pages += !rc;
	}
	return rc;
}

/* The words go to the pages, in order, streamed. The record keeps the checksum of all pairs: the
 * pages have none of their own. */
uint32_t commit_spill_write(struct daxkv_store *store, const struct words *words,
                            const uint64_t *page, uint64_t npages)
{
	assert(npages * commit_spill_room(store->page_size) >= words->n);
	struct fmt_spill *s = (void *)store->wset.image;
	uint64_t room = commit_spill_room(store->page_size);
	uint32_t crc = 0;

	for (uint64_t i = 0, at = 0; i < npages && at < words->n; i++) {
		uint64_t n = min_u64(room, words->n - at);
		size_t bytes = n * 2 * FMT_WORD;

		memset(s, 0, FMT_SPILL_PAIRS);
		s->page.birth = store->wset.txn;
		s->page.prev = at + n < words->n ? page[i + 1] : 0;
		s->page.type = FMT_SPILL;
		s->pairs = n;
		memcpy(s->pair, words->w + at, bytes);
		crc = crc32c(crc, s->pair, bytes);
		memset((uint8_t *)s->pair + bytes, 0,
		       round_up(FMT_SPILL_PAIRS + bytes, FMT_LINE) - FMT_SPILL_PAIRS - bytes);
		pm_stream(&store->map.pm, map_at(&store->map, page[i]), s,
		          round_up(FMT_SPILL_PAIRS + bytes, FMT_LINE));
		at += n;
	}
	return crc;
}

/* record_spilled - steps 2 to 4 of a large transaction. words has the words of the pages only;
 * those of space are added here, after the spill pages were taken, which may make the file grow. To
 * take a spill page changes words of space itself, so the list is made again until it fits the
 * pages taken. */
static int record_spilled(struct daxkv_store *store, struct words *words)
{
	uint64_t *page = NULL, npages = 0, txn = store->wset.txn;
	size_t own = words->n;
	int rc = space_words(&store->space, words);

	while (!rc && npages * commit_spill_room(store->page_size) < words->n) {
		rc = commit_spill_take(store, &npages,
		                       words->n / commit_spill_room(store->page_size) + 1, &page);
		words->n = own;
		if (!rc)
			rc = space_words(&store->space, words);
	}
	if (rc)
		goto free_pages;
	rc = stage_limbo(store);
	if (rc)
		goto free_pages;
	flush_private(&store->wset, NULL);
	uint32_t crc = commit_spill_write(store, words, page, npages);

	/* Orders: fresh bytes and spilled words, before the record that makes them reachable
	 * [I6]. */
	rc = commit_fence(store, "writing a large transaction");
	if (rc)
		goto free_pages;
	ring_write_spilled(&store->ring, txn, durable_upto(store), npages ? page[0] : 0, words->n,
	                   crc);
	/* Orders: the record, before its words in place. */
	rc = commit_fence(store, "committing");
free_pages:
	free(page);
	return rc;
}

/* record_small - steps 2 to 4 of the common transaction, with one fence for both: recovery takes
 * the record only when the ranges that it names have its checksums [R1]. */
static int record_small(struct daxkv_store *store, const struct words *words, struct ranges *ranges)
{
	int rc = stage_limbo(store);

	if (rc)
		return rc;
	const uint64_t durable = durable_upto(store);

	flush_private(&store->wset, ranges);
	ring_write(&store->ring, store->wset.txn, durable, ranges->r, ranges->n, words->w,
	           words->n);
	/* Orders: fresh bytes, record, and the words of T-1 that the begin flushed [R9], before the
	 * words of T in place. */
	return commit_fence(store, "committing");
}

/* record_fenced - steps 2 to 4 of a transaction whose words fit a record but whose fresh bytes are
 * too many to be named. */
static int record_fenced(struct daxkv_store *store, const struct words *words)
{
	assert(ring_fits(0, words->n));
	int rc = stage_limbo(store);

	if (rc)
		return rc;
	flush_private(&store->wset, NULL);
	/* Orders: fresh bytes, before the record that makes them reachable [I6]. */
	rc = commit_fence(store, "writing a transaction's data");
	if (rc)
		return rc;
	ring_write(&store->ring, store->wset.txn, durable_upto(store), NULL, 0, words->w, words->n);
	/* Orders: the record, before its words in place. */
	return commit_fence(store, "committing");
}

/* ---- steps 5 and 6 --------------------------------------------------------------------------- */

/* flush_pairs - start writing back the words of (offset, value) pairs. What lies outside the file
 * is left out: the pairs come from a record, which recovery has judged, or will. */
static void flush_pairs(struct daxkv_store *store, const uint64_t *pair, uint64_t n)
{
	store->flushed += n;
	for (uint64_t i = 0; i < n; i++)
		if (pair[2 * i] < store->map.size)
			pm_flush(&store->map.pm, map_at(&store->map, pair[2 * i]), FMT_WORD);
}

/* flush_record - the same for another process's commit, from its record. A spilled one's pages are
 * still in the limbo. */
static void flush_record(struct daxkv_store *store, uint64_t txn)
{
	struct ring_record rec;

	if (!ring_read(&store->ring, (unsigned int)(txn % FMT_RING_RECORDS), &rec) ||
	    rec.txn != txn)
		return; /* only after recovery, which leaves all words durable */
	if (!rec.spilled) {
		flush_pairs(store, rec.words, rec.nwords);
		return;
	}
	for (uint64_t left = rec.spill_words, off = rec.spill_off;
	     left && off && off <= store->map.size - store->page_size;) {
		const struct fmt_spill *s = map_at(&store->map, off);
		uint64_t n = min_u64(min_u64(s->pairs, left), commit_spill_room(store->page_size));

		flush_pairs(store, s->pair, n);
		left -= n;
		off = n ? s->page.prev : 0;
	}
}

void commit_flush_words(struct daxkv_store *store)
{
	uint64_t recent[RECENT_LINES];
	const uint64_t last = store->known;
	size_t n = 0;

	store->flushed = 0;
	if (last == store->share->durable || store->map.pm.ops->finds)
		return;
	if (store->words_txn != last) {
		flush_record(store, last);
		return;
	}
	store->flushed = store->words.n;
	for (size_t i = 0; i < store->words.n; i++) {
		uint64_t line = store->words.w[i].off / FMT_LINE;
		bool seen = false;

		for (size_t j = 0; j < RECENT_LINES && j < n; j++)
			seen |= recent[j] == line;
		if (seen)
			continue;
		recent[n++ % RECENT_LINES] = line;
		pm_flush(&store->map.pm, map_at(&store->map, store->words.w[i].off), FMT_WORD);
	}
}

int commit_empty_many(struct daxkv_store *store)
{
	int rc;

	if (!txn_writing(store))
		return 0;
	store->flushed = 0;
	/* Orders: the words of the last commit in place, before durable says that they are [I3]
	 * [R9]. */
	rc = commit_fence(store, "ending a transaction without a change");
	if (rc == 0)
		store->share->durable = store->known;
	return rc;
}

/* commit_store - steps 5 and 6, after the record is durable: nothing here can fail. The words may
 * reach the medium in any order, or not at all: recovery stores them again from the record [I1].
 * published comes last, because a reader that sees it looks at all the others. */
static void commit_store(struct daxkv_store *store)
{
	uint64_t txn = store->wset.txn;

	assert(txn == store->known + 1);
	for (size_t i = 0; i < store->words.n; i++)
		pm_store8(&store->map.pm, map_at(&store->map, store->words.w[i].off),
		          store->words.w[i].value);
	store->words_txn = txn;
	if (store->space.gained)
		commit_count_keep(store);
	space_committed(&store->space, txn);
	/* what the record, fenced now, says [R3] */
	store->space.releasable = store->share->releasable = durable_upto(store);
	store->share->durable = txn - 1; /* flushed when txn began, fenced with it [R9] [I3] */
	store->known = txn;
	store_release(&store->share->size, store->space.end);
	store_relaxed(&store->commits, store->commits + 1);
	store_seq_cst(&store->share->published, txn);
}

/* changes_run - steps 1 to 6, with all that the trees have in their pages. The words of space come
 * last: taking a page for a descriptor, or freeing one, changes them. */
static int changes_run(struct daxkv_txn *txn)
{
	assert(!txn->parent);
	struct daxkv_store *store = txn->store;
	struct wset *w = &store->wset;
	struct ranges ranges;
	struct words *words = &store->words;
	size_t own;
	int rc;

	ranges.n = ranges.bytes = 0;
	ranges.too_many = false;
	words->n = 0;
	store->words_txn = 0;
	rc = commit_memory(txn);
	if (!rc)
		rc = commit_descs(txn, words);
	if (!rc && txn->user_version_set &&
	    load_word(&super_now(store)->user_version) != txn->user_version)
		rc = words_add(words, offsetof(struct fmt_super, user_version), txn->user_version);
	if (rc)
		return rc;
	rc = commit_pages(w, words, &ranges);
	if (rc)
		return rc;
	own = words->n;
	if (UNLIKELY(w->first)) {
		bool done;

		rc = commit_lazy(store, ranges.n, &done);
		if (rc)
			return rc;
		if (done)
			return 0;
		/* bitmaps that moved are not named by the record */
		ranges.too_many |= store->space.moved;
	}
	rc = space_words(&store->space, words);
	if (rc)
		return rc;
	if (words->n == 0 && ranges.n == 0) { /* nothing changed: what was taken was given back */
		space_undo(&store->space, 0);
		return commit_empty(store);
	}
	if (ring_fits(0, words->n) && !ranges.too_many && ring_fits(ranges.n, words->n) &&
	    ranges.bytes <= FRESH_MAX) {
		rc = record_small(store, words, &ranges);
	} else if (ring_fits(0, words->n)) {
		rc = record_fenced(store, words);
	} else {
		words->n = own;
		rc = record_spilled(store, words);
	}
	if (rc)
		return rc;
	commit_store(store);
	return 0;
}

/* What puts left in batches takes its pages as they would; the rest may use the reserve. */
int commit_run(struct daxkv_txn *txn)
{
	struct space *space = &txn->store->space;
	int rc = tree_flush_all(&txn->store->scratch, &txn->store->wset);

	if (rc)
		return rc;
	const enum space_claim before = space_claim_commit(space);

	rc = changes_run(txn);
	(void)space_claim(space, before);
	return rc;
}

/* An estimate, by the members so far: the next one is taken to need as much as each of them. */
bool commit_room(const struct daxkv_store *store, unsigned int members, size_t *words)
{
	assert(members > 0);
	size_t nranges = 0, nwords = store->space.ndirty + store->space.grown.n + 1;
	uint64_t bytes = 0;

	for (size_t i = 0; i < store->wset.n; i++) {
		const struct wpage *wp = wset_at(&store->wset, i);

		if (wp->dead)
			continue;
		nranges += wp->owner || wp->fresh_end;
		bytes += wp->owner ? wp->used : (uint64_t)wp->fresh_end - wp->fresh_off;
		if (!wp->owner)
			nwords += wp->npending - wp->napplied;
	}
	*words = nwords;
	if (bytes > FRESH_MAX)
		return false;
	return ring_fits(nranges + 1 + nranges / members, nwords + 2 + nwords / members);
}

/* ---- checkpoint and trim --------------------------------------------------------------------- */

/* Two fences: the mark must not be durable before what it says is true, and a page that it releases
 * must not be written before the mark is durable. */
int commit_checkpoint(struct daxkv_store *store)
{
	assert(store->known != UINT64_MAX);
	const struct fmt_super *super = map_super(&store->map);
	const uint64_t txn = store->known, mark = super_clean_word(txn);
	int rc;

	if (UNLIKELY(store_lazy(store)))
		return commit_lazy_clean(store);
	if (load_word(&super->clean) == mark)
		return 0;
	commit_flush_words(store);
	/* Orders: all words in place, before the mark that says so [I4]. */
	rc = commit_fence(store, "making the store clean");
	if (rc)
		return rc;
	store->flushed = 0; /* no later step need make the same words durable */
	store->share->durable = txn;
	pm_store8(&store->map.pm, &super->clean, mark);
	pm_flush(&store->map.pm, &super->clean, FMT_WORD);
	/* Orders: the mark, before any page that it releases is written [I4] [R3]. */
	rc = commit_fence(store, "making the store clean");
	if (rc)
		return rc;
	store->space.releasable = store->share->releasable = txn;
	map_touch(&store->map);
	return 0;
}

/* A commit of its own, of words of space alone. When it cannot be, the store is as before, and the
 * end keeps its free pages. */
int commit_trim(struct daxkv_store *store, bool all, bool *cut)
{
	assert(store->wset.n == 0);
	struct ranges ranges;
	int rc;

	ranges.n = 0;
	space_release(&store->space);
	*cut = false;
	if (store->space.limbo.n)
		return 0;
	uint64_t end = store->space.end;

	rc = space_trim(&store->space, map_super(&store->map)->initial, all, cut);
	if (rc)
		return rc;
	if (!*cut)
		return 0;
	store->words.n = 0;
	store->words_txn = 0;
	rc = space_words(&store->space, &store->words);
	*cut = !rc && ring_fits(0, store->words.n);
	if (*cut)
		rc = record_small(store, &store->words, &ranges);
	if (*cut && !rc) {
		commit_store(store);
		return 0;
	}
	*cut = false; /* so many words are not worth it */
	space_undo(&store->space, 0);
	store->space.grown.n = 0;
	space_end_set(&store->space, end);
	return rc;
}
