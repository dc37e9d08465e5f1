/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit_changes.c - step 1 of a commit: what the transaction changed, as words and ranges
 *
 * A transaction has changed pages in two ways. A page that it made is fresh as a whole: nobody else
 * can see it, so its bytes only have to be durable before something refers to it. A page that an
 * earlier commit made stays as it is, and gets words: a slot of a leaf, a kid of an inner page, a
 * field of a descriptor or of the superblock. The words are what makes the rest reachable.
 *
 *   struct words    (offset, value): stored in place when the record is durable
 *   struct ranges   (offset, length, checksum): bytes that the record vouches for [R1]
 *
 * The order is that of dependence: trees first, which are in their pages already; then each named
 * database's descriptor, whose new place goes into the main database; then the main database's; and
 * the superblock last. The words of space come later still, in commit.c: each of these steps may
 * take a page or free one.
 */
#include "txn/commit.h"

#include "base/crc.h"
#include "txn/commit_changes.h"
#include "txn/dbi.h"
#include "txn/desc.h"
#include "txn/entry.h"

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

/* name_page - the catalog entry of a named database is to name that page: its descriptor, or the
 * leaf that it is. A put into the main database, so this one is changed by it, too. */
static int name_page(struct daxkv_txn *txn, struct dbstate *s, uint64_t off)
{
	struct fmt_db record = {.desc = off, .flags = s->flags, .since = s->since};
	struct daxkv_val name = dbi_name_val(s);
	struct daxkv_val value = {sizeof record, &record};

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
	uint64_t old = s->desc;
	uint64_t prev = 0;
	uint64_t off;

	if (db == DAXKV_MAIN)
		prev = old;
	int rc = desc_new(&store->wset, s->flags, s->tree.count, prev, &off);

	if (!rc && old)
		rc = wset_retire(&store->wset, old);
	s->desc = off;
	if (rc || db == DAXKV_MAIN)
		return rc;
	return name_page(txn, s, off);
}

/* commit_desc - what the transaction changed in one database reaches its descriptor: by words, or
 * on a new page when the old one is full. A database of one leaf has none: its catalog entry names
 * the leaf. */
static int commit_desc(struct daxkv_txn *txn, daxkv_db db, struct words *words)
{
	struct daxkv_store *store = txn->store;
	struct dbstate *s = dbi_state_known(txn, db);
	bool full = !s->desc || s->desc_moves;
	int rc = 0;

	s->desc_moves = false;
	if (!s->desc && s->tree.leaf_pages < 2 && !s->tree.inner_pages && !s->tallies.root)
		return name_page(txn, s, s->tree.root);
	if (!full)
		rc = desc_commit(store, s, words, &full);
	if (rc)
		return rc;
	if (!full)
		return 0;
	rc = move_desc(txn, db);
	if (rc)
		return rc;
	return desc_commit(store, s, words, &full);
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
	const struct dbstate *main_state = txn->db[DAXKV_MAIN];

	if (!main_state || !dbi_has_changed(txn, main_state))
		return 0;
	rc = commit_desc(txn, DAXKV_MAIN, words);
	if (rc)
		return rc;
	if (load_word(&super_now(txn->store)->main_desc) == main_state->desc)
		return 0;
	return words_add(words, offsetof(struct fmt_super, main_desc), main_state->desc);
}

/* page_words - the words that a committed page gets: slots behind those it has, or kids. */
static int page_words(struct wset *w, const struct wpage *wp, struct words *words)
{
	const struct fmt_page *page = map_at(w->map, wp->off);
	int rc = 0;

	if (page->type == FMT_LEAF) {
		const uint64_t slots = wp->off + FMT_LEAF_SLOTS;

		for (unsigned int i = wp->napplied; i < wp->npending && !rc; i++)
			rc = words_add(words, slots + i * FMT_WORD, wp->val[i]);
		return rc;
	}
	const uint64_t kids = wp->off + page->heads + (uint64_t)page->n * FMT_WORD;

	for (unsigned int i = 0; i < wp->npending && !rc; i++)
		rc = words_add(words, kids + wp->idx[i] * FMT_WORD, wp->val[i]);
	return rc;
}

/* tail_add - the fresh bytes behind a committed leaf's tail. */
static void tail_add(struct ranges *ranges, const struct wpage *wp, const uint8_t *page)
{
	uint32_t len = (uint32_t)wp->fresh_end - wp->fresh_off;
	uint32_t crc = wp->fresh_crc;

	if (!wp->crc_valid)
		crc = crc32c(0, page + wp->fresh_off, len);
	ranges_add(ranges, wp->off + wp->fresh_off, len, crc);
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
			tail_add(ranges, wp, page);
	}
	return rc;
}

int commit_changes(struct daxkv_txn *txn, struct words *words, struct ranges *ranges)
{
	struct daxkv_store *store = txn->store;

	ranges->n = 0;
	ranges->bytes = 0;
	ranges->too_many = false;
	words->n = 0;
	int rc = commit_descs(txn, words);

	if (!rc && txn->user_version_set &&
	    load_word(&super_now(store)->user_version) != txn->user_version)
		rc = words_add(words, offsetof(struct fmt_super, user_version), txn->user_version);
	if (!rc)
		rc = commit_pages(&store->wset, words, ranges);
	/* setting it to what it was is a commit all the same */
	if (!rc && UNLIKELY(txn->user_version_set && !words->n && !ranges->n))
		rc = words_add(words, offsetof(struct fmt_super, user_version), txn->user_version);
	return rc;
}
