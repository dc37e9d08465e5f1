/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_clear.c - free a part of a tree that nobody needs any more. See tree.h
 *
 * Leaves are not looked at: their parent says where they are. But those of a database with large
 * values are, which go with them; and of the leaves of a range header and slots are, which tell how
 * many entries there were.
 */
#include "tree/tree.h"

#define CLEAR_AHEAD 8u /* leaves whose headers are prefetched */

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

/* leaves_free - kids [first, end) of a page above leaves. Those that lie behind each other, and
 * that this transaction has not touched, go as one extent. A page that the transaction has touched
 * has an entry in the set, which wset_retire_extent must find by the page's own offset; so it ends
 * an extent. An extent is one item of the limbo, however long it is. */
static int leaves_free(struct tree *t, const struct fmt_page *page, uint64_t at, uint32_t first,
                       uint32_t end)
{
	assert(page->level == 1);
	assert(first < end);
	struct wset *w = t->view->w;
	uint64_t from = inner_kid(t->view, page, at, first);
	uint64_t n = 1;
	bool touched = wset_find(w, from) != NULL;
	int rc = 0;

	for (uint32_t i = first; t->blob_pages && !rc && i < end; i++)
		rc = leaf_blobs_drop(t, inner_kid(t->view, page, at, i));
	for (uint32_t i = first + 1; !rc && i < end; i++) {
		const uint64_t ref = inner_kid(t->view, page, at, i);
		const bool next = wset_find(w, ref) != NULL;

		if (!touched && !next && ref == from + n * w->psize) {
			n++;
			continue;
		}
		rc = wset_retire_extent(w, from, n);
		from = ref;
		n = 1;
		touched = next;
	}
	t->leaf_pages -= end - first;
	if (rc)
		return rc;
	return wset_retire_extent(w, from, n);
}

/* Kids go before their parent, and no page is taken in between: what was freed can still be read.
 */
int tree_free_kids(struct tree *t, const struct fmt_page *page, uint64_t at, uint32_t first,
                   uint32_t end, uint64_t *entries)
{
	assert(page->level > 0);
	assert(end <= page->n + 1u);
	int rc = 0;

	if (first >= end)
		return 0;
	if (page->level > 1) {
		for (uint32_t i = first; i < end; i++) {
			rc = tree_free_below(t, inner_kid(t->view, page, at, i), page->level - 1u,
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

/* A leaf that is all of a tree is freed unread, so its entries are not counted. */
int tree_free_below(struct tree *t, uint64_t off, unsigned int level, uint64_t *entries)
{
	const struct fmt_page *page = NULL;
	uint64_t at = off;
	int rc = 0;

	assert(level < TREE_DEPTH);
	assert(level || !entries);
	if (level == 0) {
		if (t->blob_pages)
			rc = leaf_blobs_drop(t, off);
		if (rc)
			return rc;
		return wset_retire(t->view->w, off);
	}
	rc = view_page(t->view, off, level, &page, &at);
	if (rc)
		return rc;
	rc = tree_free_kids(t, page, at, 0, page->n + 1u, entries);
	if (rc)
		return rc;
	t->inner_pages--;
	return wset_retire(t->view->w, at);
}
