/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit.c - from a transaction's changes to the newest durable state.
 *
 *   1 the descriptors take roots and counts; the words and fresh ranges of the transaction are
 *     listed                           (commit_changes.c)
 *   2 flush the fresh bytes            (a large transaction: also its spilled words; FENCE)
 *   3 write and flush the record
 *   4 FENCE                            <- durable here
 *   5 store the words in place         flushed when the next transaction begins [I1] [R9]
 *                                      (commit_flush.c)
 *   6 publish                          <- readers see it from here on
 *
 * Orders of 2 and 3: none needed in a small transaction; the record names the fresh bytes with
 * their checksum [R1].
 *
 * Which of three records a transaction gets:
 *
 *   small     its words and its fresh ranges fit a record: one fence
 *   fenced    its words do, but its fresh bytes are too many to be named, or bitmaps that moved are
 *             among them: a fence before the record
 *   spilled   its words do not: they go to pages of their own, which the record names; a fence
 *             before the record
 *
 * On a file most are logged instead (commit_log.c): the record has the fresh bytes as words, and
 * the fence is of the record alone.
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
#include "txn/commit_changes.h"
#include "txn/store.h"

#include <errno.h>
#include <stdlib.h>

#define FRESH_MAX                                                                                  \
	65536u /* more fresh bytes than this are fenced before the record: reading them back at    \
	          recovery, and checksums, would cost more */

/* ---- steps 2 to 4 ---------------------------------------------------------------------------- */

/* page_crc - of a private page's bytes: known when it was streamed, else made from the page. */
static inline uint32_t page_crc(const struct wpage *wp, const uint8_t *page)
{
	if (wp->streamed && wp->crc_valid)
		return wp->fresh_crc;
	return crc32c(0, page, wp->used);
}

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
				ranges->r[r].crc = page_crc(wp, page);
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

/* record_fence - step 4 where all but the record is durable. */
static int record_fence(struct daxkv_store *store)
{
	if (store->logs)
		return commit_record_fence(store);
	/* Orders: the record, before its words in place. */
	return commit_fence(store, "committing");
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
	ring_write_spilled(&store->ring, txn, store->durable, npages ? page[0] : 0, words->n, crc);
	/* Orders: the record, before its words in place. */
	rc = record_fence(store);
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
	const uint64_t durable = store->durable;

	flush_private(&store->wset, ranges);
	ring_write(&store->ring, store->wset.txn, durable, ranges->r, ranges->n, words->w,
	           words->n);
	/* Orders: fresh bytes, record, and the words of T-1 that the begin flushed [R9], before the
	 * words of T in place. */
	return commit_fence(store, "committing");
}

/* record_fenced - steps 2 to 4 of a transaction whose words fit a record but whose fresh bytes are
 * too many to be named, or bitmaps that moved, which are never named. */
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
	ring_write(&store->ring, store->wset.txn, store->durable, NULL, 0, words->w, words->n);
	/* Orders: the record, before its words in place. */
	return record_fence(store);
}

/* ---- steps 5 and 6 --------------------------------------------------------------------------- */

/* commit_store - steps 5 and 6, after the record is durable: nothing here can fail. The words may
 * reach the medium in any order, or not at all: recovery stores them again from the record [I1].
 * published comes last, because a reader that sees it looks at all the others. full: the fence was
 * of all that had been stored before. */
static void commit_store(struct daxkv_store *store, bool full)
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
	store->space.releasable = store->share->releasable = store->durable;
	/* flushed when txn began, fenced with it [R9] [I3] */
	if (full)
		store->durable = txn - 1;
	store->known = txn;
	store_release(&store->share->size, store->space.end);
	store_relaxed(&store->commits, store->commits + 1);
	store_seq_cst(&store->share->published, txn);
}

/* names_fit - whether a record with these words can name the fresh ranges, and they are few enough
 * bytes to be read back at a recovery. */
static bool names_fit(const struct ranges *ranges, const struct words *words)
{
	if (ranges->too_many || ranges->bytes > FRESH_MAX)
		return false;
	return ring_fits(ranges->n, words->n);
}

/* record - steps 2 to 4, as a record of the kind that the transaction can have; own: its words but
 * those of space. */
static int record(struct daxkv_store *store, struct ranges *ranges, size_t own, bool may_log,
                  bool *logged)
{
	struct words *words = &store->words;
	const bool named = LIKELY(!store->space.moved) && names_fit(ranges, words);

	*logged = false;
	if (may_log && !store->space.moved) {
		int rc = commit_log(store, own, named, logged);

		if (rc || *logged)
			return rc;
	}
	if (UNLIKELY(!ring_fits(0, words->n))) {
		words->n = own;
		return record_spilled(store, words);
	}
	if (named)
		return record_small(store, words, ranges);
	return record_fenced(store, words);
}

/* changes_run - steps 1 to 6, with all that the trees have in their pages. The words of space come
 * last: taking a page for a descriptor, or freeing one, changes them. */
static int changes_run(struct daxkv_txn *txn)
{
	assert(!txn->parent);
	struct daxkv_store *store = txn->store;
	struct ranges ranges;
	struct words *words = &store->words;
	const bool may_log = store->logs && !store->wset.first;
	bool logged;
	int rc;

	store->words_txn = 0;
	rc = commit_memory(txn);
	if (rc)
		return rc;
	rc = commit_changes(txn, words, &ranges);
	if (rc)
		return rc;
	const size_t own = words->n; /* without those of space */

	if (UNLIKELY(store->wset.first)) {
		bool done;

		rc = commit_lazy(store, ranges.n, &done);
		if (rc)
			return rc;
		if (done)
			return 0;
	}
	rc = space_words(&store->space, words);
	if (rc)
		return rc;
	if (words->n == 0 && ranges.n == 0) { /* nothing changed: what was taken was given back */
		space_undo(&store->space, 0);
		return commit_empty(store);
	}
	rc = record(store, &ranges, own, may_log, &logged);
	if (rc)
		return rc;
	commit_store(store, !logged);
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

/* ---- trim ------------------------------------------------------------------------------------ */

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
	/* at closing a reader has died, or the lock file is damaged */
	if (store->space.limbo.n && !all)
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
		commit_store(store, true);
		return 0;
	}
	*cut = false; /* so many words are not worth it */
	space_undo(&store->space, 0);
	store->space.grown.n = 0;
	space_end_set(&store->space, end);
	return rc;
}
