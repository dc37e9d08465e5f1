/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit_flush.c - the words of a commit, stored in place, become durable there
 *
 * Until they are, the record has to stay in the ring, and pages that they free cannot be used
 * again: recovery would bring back what they took away. Nobody waits for that by itself. The next
 * transaction starts to write them back when it begins, and its own fence, which it needs anyway,
 * completes it [R9]. Two cases have no such fence: a transaction that changes nothing and a
 * checkpoint.
 *
 *   T commits    stores its words
 *   T+1 begins   commit_flush_words: pm_flush of each line of T's words, once
 *   T+1 commits  its fence: record of T+1 and words of T are durable; durable = T
 *
 * The writer of T may be another process, or have died: then its words are read from its record.
 */
#include "txn/commit.h"

#include "txn/store.h"

#define RECENT_LINES 8u /* looked back for a line that was flushed already */

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

	/* it is not there only after recovery, which leaves all words durable */
	if (!ring_read(&store->ring, (unsigned int)(txn % FMT_RING_RECORDS), &rec))
		return;
	if (rec.txn != txn)
		return;
	if (!rec.spilled) {
		flush_pairs(store, rec.words, rec.nwords);
		return;
	}
	uint64_t left = rec.spill_words;
	uint64_t off = rec.spill_off;

	while (left && off && off <= store->map.size - store->page_size) {
		const struct fmt_spill *s = map_at(&store->map, off);
		uint64_t n = min_u64(s->pairs, commit_spill_room(store->page_size));

		n = min_u64(n, left);
		if (n == 0)
			return;
		flush_pairs(store, s->pair, n);
		left -= n;
		off = s->page.prev;
	}
}

void commit_flush_words(struct daxkv_store *store)
{
	uint64_t recent[RECENT_LINES];
	const uint64_t last = store->known;
	size_t n = 0;

	store->flushed = 0;
	if (last == store->durable || store->map.pm.ops->finds)
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
		store->durable = store->known;
	return rc;
}

/* Two fences: the mark must not be durable before what it says is true, and a page that it releases
 * must not be written before the mark is durable. */
int commit_checkpoint(struct daxkv_store *store)
{
	assert(store->known != UINT64_MAX);
	const struct fmt_super *super = map_super(&store->map);
	const uint64_t txn = store->known;
	const uint64_t mark = super_clean_word(txn);
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
	store->durable = txn;
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
