/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * desc.c - descriptor pages: root, page counts and the number of entries of one database.
 *
 * The number of entries must be right for every snapshot, and a commit should not dirty more than a
 * line for it: so it is a list of words, one for each transaction that changed it, and a snapshot
 * reads the last that it may see. A full list gives way to a new page.
 *
 *   word: | age: commit - birth of the page | entries |
 *
 * Root and page counts are single words, which a commit changes in place. A snapshot finds its root
 * by the versions of the root page [I8], and page counts are statistics: nothing depends on them
 * being those of the snapshot.
 */
#include "txn/desc.h"

#include "base/crc.h"
#include "redo/ring.h"
#include "txn/store.h"

#define COUNT_MASK (((uint64_t)1 << FMT_COUNT_BITS) - 1)
/* commits that a page lives at most: the age of one more would not fit its word */
#define AGE_MAX ((uint64_t)1 << (64 - FMT_COUNT_BITS))

/* desc_pairs - count words that a descriptor page has. */
static uint32_t desc_pairs(uint32_t psize)
{
	return (psize - FMT_DESC_COUNTS) / FMT_WORD;
}

/* The page may be any: a descriptor is told by its type. level 0 is for the fault's text alone. */
int desc_read(const struct view *v, uint64_t off, const struct fmt_desc **desc, uint64_t *at)
{
	const struct fmt_page *page = NULL;
	int rc = view_version(v, off, 0, &page, at);

	if (rc)
		return rc;
	if (!page || page->type != FMT_DESC)
		return err_corrupt(off, "not a descriptor page");
	*desc = (const void *)page;
	return 0;
}

/* By halving: words are in the order of transactions, unused ones last. */
uint64_t desc_count(const struct view *v, const struct fmt_desc *desc)
{
	uint32_t lo = 0;
	uint32_t hi = desc_pairs(v->psize);

	/* the first word that the snapshot does not see */
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		uint64_t pair = load_word(&desc->counts[mid]);

		if (pair && (pair >> FMT_COUNT_BITS) + desc->page.birth <= v->snapshot)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo)
		return load_word(&desc->counts[lo - 1]) & COUNT_MASK;
	return desc->base_count;
}

/* leaf_says - of a database that is one leaf, which was sound: a writer may use the page of a
 * reader that it has evicted. Each entry is looked at for a large value, so a reader asks for
 * counts only when it needs them. */
static int leaf_says(const struct view *v, const struct fmt_page *page, uint64_t off,
                     struct desc_says *says)
{
	struct leaf leaf;
	uint32_t eoff;
	int rc;

	leaf_open(v, page, off, &leaf);
	says->entries = leaf_count(&leaf);
	says->leaf_pages = 1;
	for (uint32_t i = 0; i < says->entries; i++) {
		struct item it = {0};
		struct fmt_blob blob;

		rc = leaf_at(&leaf, i, &eoff);
		if (rc)
			return rc;
		rc = leaf_item(&leaf, eoff, &it);
		if (rc)
			return rc;
		if (!(it.flags & FMT_ENTRY_BLOB) || it.vlen != sizeof blob)
			continue;
		memcpy(&blob, it.val, sizeof blob);
		says->blob_pages += blob_pages(blob.len, v->psize);
	}
	return 0;
}

/* A small database has no descriptor: its catalog entry names its only leaf, which is counted. A
 * catalog entry that names nothing is a database without an entry. */
int desc_says(const struct view *v, const struct fmt_db *catalog, bool counts,
              struct desc_says *says)
{
	const struct fmt_page *page = NULL;
	const struct fmt_desc *desc;
	uint64_t at = 0;

	*says = (struct desc_says){.flags = catalog->flags};
	if (!catalog->desc)
		return 0;
	int rc = view_version(v, catalog->desc, 0, &page, &at);

	if (rc)
		return rc;
	if (page && page->type == FMT_LEAF) {
		says->root = catalog->desc;
		if (!page_sound(page, 0, v->psize))
			return view_fault(v, at, 0);
		if (counts)
			return leaf_says(v, page, at, says);
		return 0;
	}
	rc = desc_read(v, catalog->desc, &desc, &at);
	if (rc)
		return rc;
	says->desc = at;
	says->flags = desc->flags;
	says->root = load_word(&desc->root);
	says->tallies = load_word(&desc->tallies);
	if (!counts)
		return 0;
	says->entries = desc_count(v, desc);
	says->leaf_pages = load_word(&desc->leaf_pages);
	says->inner_pages = load_word(&desc->inner_pages);
	says->blob_pages = load_word(&desc->blob_pages);
	return 0;
}

/* The pages on the way from the catalog entry's word count, too. */
int desc_verify(const struct view *v, uint64_t from, uint64_t at)
{
	const struct fmt_desc *desc = (const void *)view_raw(v, at);
	int rc = tree_way_verify(v, from, at);

	if (rc)
		return rc;
	if ((desc_crc(desc) ^ crc32c_place(at)) == desc->page.crc)
		return 0;
	return err_corrupt(at, "descriptor: its checksum does not match");
}

/* Its words are filled by desc_commit, in place: the page is private until the commit. */
int desc_new(struct wset *w, uint32_t flags, uint64_t count, uint64_t prev, uint64_t *off)
{
	assert(w->level > 0);
	struct fmt_desc *desc = (void *)w->image;
	struct wpage *wp;
	int rc = wset_new_page(w, &wp);

	if (rc)
		return rc;
	memset(w->image, 0, w->psize);
	desc->page = (struct fmt_page){
	    .birth = w->txn,
	    .prev = prev,
	    .type = FMT_DESC,
	    .end = FMT_DESC_COUNTS,
	};
	desc->flags = flags;
	desc->base_count = count;
	desc->page.crc = desc_crc(desc);
	wset_install(w, wp, w->image, w->psize);
	*off = wp->off;
	return 0;
}

/* free_pair - the first unused count word; a binary search, but where the last commit left off is
 * tried first. The hint is believed only when the words on both sides of it agree. */
static uint64_t free_pair(const struct dbstate *s, const struct fmt_desc *desc, uint32_t psize)
{
	uint64_t lo = 0;
	uint64_t hi = desc_pairs(psize);
	uint64_t hint = s->npairs;

	if (s->counted == s->desc && hint <= hi) {
		bool used_before = hint == 0 || load_word(&desc->counts[hint - 1]);
		bool free_here = hint == hi || !load_word(&desc->counts[hint]);

		if (used_before && free_here)
			return hint;
	}
	while (lo < hi) {
		uint64_t mid = (lo + hi) / 2;

		if (load_word(&desc->counts[mid]))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* last_count - what the newest commit said. Commits of this database only: others leave its list
 * alone. */
static uint64_t last_count(const struct fmt_desc *desc, uint64_t npairs)
{
	if (npairs)
		return load_word(&desc->counts[npairs - 1]) & COUNT_MASK;
	return desc->base_count;
}

/* word_if_changed - a record names only what differs. The word lies in the mapping; a record has
 * its offset. */
static int word_if_changed(struct daxkv_store *store, struct words *words, const uint64_t *word,
                           uint64_t value)
{
	if (load_word(word) == value)
		return 0;
	return words_add(words, (uint64_t)((const uint8_t *)word - store->map.base), value);
}

/* desc_write_private - all of a page that nobody else can see, with its checksum. */
static void desc_write_private(struct daxkv_store *store, struct wpage *wp,
                               const struct fmt_desc *desc, const struct dbstate *state)
{
	const struct tree *t = &state->tree;

	assert(wp->owner);
	struct pm *pm = &store->map.pm;
	uint32_t crc;

	wp->streamed = false;
	pm_write(pm, &desc->base_count, &t->count, FMT_WORD);
	pm_store8(pm, &desc->root, t->root);
	pm_store8(pm, &desc->leaf_pages, t->leaf_pages);
	pm_store8(pm, &desc->inner_pages, t->inner_pages);
	pm_store8(pm, &desc->blob_pages, t->blob_pages);
	pm_store8(pm, &desc->tallies, state->tallies.root);
	crc = desc_crc(desc) ^ crc32c_place(wp->off);
	pm_write(pm, &desc->page.crc, &crc, sizeof crc);
}

/* A private page is written in place; a committed one gets words: one count at least, and what
 * else differs. */
int desc_commit(struct daxkv_store *store, struct dbstate *state, struct words *words, bool *full)
{
	assert(state->desc);
	const struct fmt_desc *desc = (const void *)view_raw(&store->writer_view, state->desc);
	struct wpage *wp = wset_find(&store->wset, state->desc);
	const struct tree *t = &state->tree;

	*full = false;
	if (wp && wp->owner) {
		desc_write_private(store, wp, desc, state);
		state->counted = state->desc;
		state->npairs = 0;
		return 0;
	}
	if (wset_kept(&store->wset, &desc->page)) {
		*full = true;
		return 0;
	}
	uint64_t n = free_pair(state, desc, store->page_size);
	uint64_t age = store->wset.txn - desc->page.birth;

	if (last_count(desc, n) != t->count) {
		if (n == desc_pairs(store->page_size) || age >= AGE_MAX) {
			*full = true;
			return 0;
		}
		uint64_t word = state->desc + FMT_DESC_COUNTS + n * FMT_WORD;
		int rc = words_add(words, word, age << FMT_COUNT_BITS | t->count);

		if (rc)
			return rc;
		n++;
	}
	state->counted = state->desc;
	state->npairs = n;
	int rc = word_if_changed(store, words, &desc->root, t->root);

	if (rc)
		return rc;
	rc = word_if_changed(store, words, &desc->leaf_pages, t->leaf_pages);
	if (rc)
		return rc;
	rc = word_if_changed(store, words, &desc->inner_pages, t->inner_pages);
	if (rc)
		return rc;
	rc = word_if_changed(store, words, &desc->blob_pages, t->blob_pages);
	if (rc)
		return rc;
	return word_if_changed(store, words, &desc->tallies, state->tallies.root);
}
