/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_clear.c - free a part of a tree that nobody needs any more. See tree.h
 *
 * Leaves are not looked at: their parent says where they are. But those of a database with large
 * values are, which go with them; and of the leaves of a range header and slots are, which tell how
 * many entries there were.
 */
#include "tree/tree.h"

#include "base/array.h"
#include "base/sort.h"

#define CLEAR_AHEAD 8u /* leaves whose headers are prefetched */
/* leaves that are gathered at most: 512 KiB, with the room for sorting */
#define FREED_MOST 32768u

/* leaf_blobs_drop - free the large values of a leaf. Their extents go back through the set, so that
 * a snapshot which may read them keeps them. */
static int leaf_blobs_drop(struct tree *t, uint64_t ref)
{
	assert(t->scratch);
	const struct fmt_page *page = NULL;
	struct leaf leaf;
	uint64_t at = 0;
	uint32_t n;
	int rc = view_page(t->view, ref, 0, &page, &at);

	if (rc)
		return rc;
	leaf_open(t->view, page, at, &leaf);
	rc = tree_leaf_items(t, &leaf, t->scratch->items, &n);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < n; i++) {
		rc = tree_blob_drop(t, &t->scratch->items[i]);
		if (rc)
			return rc;
	}
	return 0;
}

/* leaves_count - the entries of kids [first, end) of a page above leaves are added to *entries. */
static int leaves_count(const struct tree *t, const struct fmt_page *page, uint64_t at,
                        uint32_t first, uint32_t end, uint64_t *entries)
{
	assert(page->level == 1);
	for (uint32_t i = first; i < end; i++) {
		const struct fmt_page *kid = NULL;
		struct leaf leaf;
		uint64_t off = 0;

		if (i + CLEAR_AHEAD < end)
			tree_expect_leaf(t->view, page, at, i + CLEAR_AHEAD);
		int rc = tree_kid(t->view, page, at, i, 0, &kid, &off);

		if (rc)
			return rc;
		leaf_open(t->view, kid, off, &leaf);
		*entries += leaf_count(&leaf);
	}
	return 0;
}

/* leaves_give - what was gathered goes back, and nothing is gathered then. Leaves that lie behind
 * each other, and that this transaction has not touched, go as one extent, which is one item of the
 * limbo however long it is: so they are brought into the order of their places first. A page that
 * the transaction has touched has an entry in the set, which wset_retire_extent must find by the
 * page's own offset; so it goes alone. */
static int leaves_give(struct tree *t)
{
	struct tree_scratch *s = t->scratch;
	struct wset *w = t->view->w;
	size_t n = s->nfreed;

	s->nfreed = 0;
	if (n)
		sort_numbers(s->freed, s->freed + n, n);
	for (size_t i = 0; i < n;) {
		const uint64_t from = s->freed[i];
		uint64_t pages = 1;

		if (!wset_find(w, from))
			while (i + pages < n && s->freed[i + pages] == from + pages * w->psize &&
			       !wset_find(w, s->freed[i + pages]))
				pages++;
		int rc = wset_retire_extent(w, from, pages);

		if (rc)
			return rc;
		i += pages;
	}
	return 0;
}

/* leaves_free - kids [first, end) of a page above leaves are gathered, and given back at the end of
 * the whole, or when they are very many. */
static int leaves_free(struct tree *t, const struct fmt_page *page, uint64_t at, uint32_t first,
                       uint32_t end)
{
	assert(page->level == 1);
	assert(first < end);
	struct tree_scratch *s = t->scratch;
	const struct wpage *wp = wset_find(t->view->w, at);
	const bool pending = wp && wp->npending;

	for (uint32_t i = first; i < end; i++) {
		uint64_t ref = load_word(inner_kids(page) + i);
		int rc = 0;

		if (pending)
			ref = inner_kid(t->view, page, at, i);
		if (t->blob_pages)
			rc = leaf_blobs_drop(t, ref);
		if (!rc && s->nfreed == FREED_MOST)
			rc = leaves_give(t);
		if (!rc) /* as many again for sorting */
			rc = array_room(&s->freed, 2 * s->nfreed + 1, &s->freed_room,
			                sizeof *s->freed);
		if (rc)
			return rc;
		s->freed[s->nfreed++] = ref;
	}
	t->leaf_pages -= end - first;
	return 0;
}

static int free_below(struct tree *t, uint64_t off, unsigned int level, uint64_t *entries);

/* free_kids - tree_free_kids, but leaves may still be gathered. */
static int free_kids(struct tree *t, const struct fmt_page *page, uint64_t at, uint32_t first,
                     uint32_t end, uint64_t *entries)
{
	assert(page->level > 0);
	assert(end <= page->n + 1u);
	int rc = 0;

	if (first >= end)
		return 0;
	if (page->level > 1) {
		for (uint32_t i = first; i < end; i++) {
			rc = free_below(t, inner_kid(t->view, page, at, i), page->level - 1u,
			                entries);
			if (rc)
				return rc;
		}
		return 0;
	}
	if (entries)
		rc = leaves_count(t, page, at, first, end, entries);
	if (rc)
		return rc;
	return leaves_free(t, page, at, first, end);
}

/* free_below - tree_free_below of a page above leaves, but leaves may still be gathered. */
static int free_below(struct tree *t, uint64_t off, unsigned int level, uint64_t *entries)
{
	const struct fmt_page *page = NULL;
	uint64_t at = off;
	int rc = view_page(t->view, off, level, &page, &at);

	assert(level > 0);
	assert(level < TREE_DEPTH);
	if (rc)
		return rc;
	rc = free_kids(t, page, at, 0, page->n + 1u, entries);
	if (rc)
		return rc;
	t->inner_pages--;
	return wset_retire(t->view->w, at);
}

/* No page is taken before the end: what was freed can still be read. */
int tree_free_kids(struct tree *t, const struct fmt_page *page, uint64_t at, uint32_t first,
                   uint32_t end, uint64_t *entries)
{
	t->scratch->nfreed = 0;
	int rc = free_kids(t, page, at, first, end, entries);

	if (rc)
		return rc;
	return leaves_give(t);
}

/* A leaf that is all of a tree is freed unread, so its entries are not counted. */
int tree_free_below(struct tree *t, uint64_t off, unsigned int level, uint64_t *entries)
{
	int rc = 0;

	assert(level || !entries);
	t->scratch->nfreed = 0;
	if (level)
		rc = free_below(t, off, level, entries);
	else if (t->blob_pages)
		rc = leaf_blobs_drop(t, off);
	if (rc)
		return rc;
	if (level)
		return leaves_give(t);
	return wset_retire(t->view->w, off);
}
