/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit_log.c - logged commits: their records have the bytes of new entries and pages as words,
 * beside each other, so that a fence writes a page or a few in a row
 *
 * In file mode a fence costs what it writes. A commit's entries and words lie in pages all over the
 * file; a logged one makes none of these durable. Its record has all that it changed as words,
 * which recovery stores:
 *
 *   small      words and bytes fit the record       FENCE of the record's page
 *   spilled    they are in pages beside each other   FENCE of these, FENCE of the record's page
 *
 * A thread alone, or a small group, is not logged as spilled where a record could name its fresh
 * bytes: one full fence of some pages costs less than two.
 *
 * What a logged commit changed in place stays in the page cache. A full fence, of a commit that is
 * not logged, makes all of it durable: at the latest when COMMIT_LAG records wait for that. Until
 * then they are needed, and what they freed is not taken again [R3]: durable moves by full fences
 * alone [I3].
 *
 * An entry's bytes lie in place before the record: no slot that is there refers to them. They begin
 * and end anywhere, but each of their words is the record's alone: the first one begins with the
 * bytes, and the next transaction's bytes begin behind the last one [R10].
 */
#include "base/err.h"
#include "txn/commit.h"
#include "txn/store.h"

#define LOG_PAGES 64u /* more words than these have room for are not written twice */

/* log_bytes - how many bytes of a page, or of a large value, are fresh; they begin at *from. Those
 * of a value that is so large that no record could name them (WSET_UNNAMED) are very many. */
static inline uint64_t log_bytes(const struct wpage *wp, uint32_t *from)
{
	*from = 0;
	if (wp->dead) /* [R7] */
		return 0;
	if (wp->owner)
		return wp->used;
	if (!wp->fresh_end)
		return 0;
	*from = wp->fresh_off;
	return (uint64_t)wp->fresh_end - wp->fresh_off;
}

/* log_count - the words that the fresh bytes are; more than most: they are too many. */
static size_t log_count(const struct wset *w, size_t most)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n && n <= most; i++) {
		uint32_t from;

		n += (log_bytes(wset_at(w, i), &from) + FMT_WORD - 1) / FMT_WORD;
	}
	return n;
}

/* log_add - the fresh bytes as words, behind those that are listed. ENOMEM. */
static int log_add(const struct wset *w, struct words *words)
{
	int rc = 0;

	for (size_t i = 0; i < w->n && !rc; i++) {
		const struct wpage *wp = wset_at(w, i);
		uint32_t from;
		const uint64_t bytes = log_bytes(wp, &from);

		assert(from % FMT_WORD == 0); /* [R10] */
		for (uint64_t at = 0; at < bytes && !rc; at += FMT_WORD) {
			const uint64_t off = wp->off + from + at;

			rc = words_add(words, off, load_word(map_at(w->map, off)));
		}
	}
	return rc;
}

/* log_frees - pages that the running transaction gives up. */
static uint64_t log_frees(const struct space *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->nops; i++)
		if (space_op_waits(s, &s->op[i]))
			n += s->op[i].pages;
	return n;
}

/* log_pays - the transaction may be logged: the ring has room for the records that wait, and with
 * the pages that it takes and frees no more than a part of the file waits, for a full fence or for
 * an old reader, who would hold them all. */
static bool log_pays(struct daxkv_store *store, uint64_t spilled)
{
	struct space *s = &store->space;
	const uint64_t most = s->end / store->page_size / store->log_part;
	const uint64_t txn = store->wset.txn;
	const uint64_t n = spilled + log_frees(s);

	if (txn - store->durable > COMMIT_LAG) /* [R2] */
		return false;
	if (spilled > LOG_PAGES || s->memory.tight)
		return false;
	if (!n)
		return true;
	if (s->limbo.pages + n > most)
		space_release(s);
	return s->limbo.pages + n <= most;
}

/* record_logged - steps 2 to 4 of a transaction whose words fit the record, with all that is
 * fresh. */
static int record_logged(struct daxkv_store *store, const struct words *words)
{
	ring_write(&store->ring, store->wset.txn, store->durable, NULL, 0, words->w, words->n);
	return commit_record_fence(store);
}

/* record_logged_spilled - the same for words in pages beside each other, from off on. */
static int record_logged_spilled(struct daxkv_store *store, const struct words *words, uint64_t off,
                                 uint64_t npages)
{
	uint64_t page[LOG_PAGES];
	const uint64_t txn = store->wset.txn;

	assert(npages <= LOG_PAGES);
	for (uint64_t i = 0; i < npages; i++)
		page[i] = off + i * store->page_size;
	const uint32_t crc = commit_spill_write(store, words, page, npages);
	/* Orders: the words, before the record that names their pages [I6]. */
	const int rc =
	    pm_fence_range(&store->map.pm, map_at(&store->map, off), npages * store->page_size);

	if (rc)
		return commit_fence_failed(store, "writing a transaction's words", rc);
	ring_write_spilled(&store->ring, txn, store->durable, off, words->n, crc);
	return commit_record_fence(store);
}

/* spill_take - pages beside each other for so many words, if some are free. To take them may change
 * the words of space, so these are listed again behind the first own ones. */
static int spill_take(struct daxkv_store *store, size_t own, uint64_t npages, uint64_t *off,
                      bool *found)
{
	int rc = space_spill_here(&store->space, npages, off, found);

	store->words.n = own;
	if (!rc)
		rc = space_words(&store->space, &store->words);
	return rc;
}

int commit_record_fence(struct daxkv_store *store)
{
	/* Orders: the record, before its words in place. All that it needs is durable, or in it. */
	const int rc =
	    pm_fence_range(&store->map.pm, ring_at(&store->ring, store->wset.txn), FMT_RING_RECORD);

	if (rc)
		return commit_fence_failed(store, "committing", rc);
	return 0;
}

/* When it is not done, the words are as they were, and pages that were taken are given back. */
int commit_log(struct daxkv_store *store, size_t own, bool named, bool *done)
{
	struct words *words = &store->words;
	const uint64_t room = commit_spill_room(store->page_size);
	const size_t most = LOG_PAGES * room;
	const size_t n = words->n + log_count(&store->wset, most);
	uint64_t npages = 0;
	uint64_t off = 0;
	int rc = 0;

	*done = false;
	if (!ring_fits(0, n))
		npages = n / room + 1;
	if (npages && named && store->group.n < store->log_members)
		return 0;
	if (!log_pays(store, npages))
		return 0;
	if (npages) {
		bool found;

		rc = spill_take(store, own, npages, &off, &found);
		if (rc || !found)
			return rc;
	}
	const size_t changed = words->n; /* in place behind the fence; the others are there */

	rc = log_add(&store->wset, words);
	if (!rc)
		rc = commit_stage_limbo(store);
	if (rc)
		return rc;
	assert(!npages || words->n <= npages * room);
	if (npages)
		rc = record_logged_spilled(store, words, off, npages);
	else
		rc = record_logged(store, words);
	words->n = changed;
	*done = !rc;
	return rc;
}
