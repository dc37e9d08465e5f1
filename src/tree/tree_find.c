/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_find.c - looking things up: down to an entry, and on to the next one. See tree.h
 *
 * These functions only read. A reader runs them without a lock beside a writer, and pages may
 * change under it once its snapshot was given up (view_evicted). So each number of a page is read
 * once, bounded, and then used; a wrong answer is harmless, because the caller asks at its end
 * whether the snapshot is still there [I20].
 *
 * A way down is paid in cache misses that wait for each other. What the next search will touch is
 * prefetched as soon as its page is known.
 */
#include "tree/tree.h"

/* prefetched on the way to a leaf: what the search touches, and with some luck the entry */
#define LEAF_LINES  32u
#define WRITE_LINES 48u /* the same for a writer: with some luck the tail's end, too */
/* of a page above leaves: heads and kids. The few pages above these are in the cache */
#define INNER_LINES  28u
#define HEADER_LINES ((FMT_LEAF_BASE + FMT_LINE - 1) / FMT_LINE) /* of a leaf, with its slots */
#define EDGE_LINES   4u /* of any page on the way along an edge: its header, and what it leads to */

/* Here a batch ends: whoever looks at a tree finds all of it in pages. A batch that could not be
 * flushed fails every look from then on. *page NULL, and 0: nothing was ever stored, or not in this
 * snapshot. */
int tree_root(const struct tree *t, const struct fmt_page **page, uint64_t *at)
{
	int rc;

	*page = NULL;
	if (UNLIKELY(t->batch || t->failed)) {
		if (t->batch)
			rc = tree_flush(t->batch->tree);
		else
			rc = t->failed;
		if (rc)
			return rc;
	}
	if (!t->root)
		return 0;
	rc = view_version(t->view, t->root, 0, page, at);
	if (rc)
		return rc;
	if (!*page)
		return 0;
	if ((*page)->level >= TREE_DEPTH || !page_sound(*page, (*page)->level, t->view->psize))
		return view_fault(t->view, *at, 0);
	return 0;
}

/* level_of - of a page that tree_root found. Levels are counted down from there, not read again:
 * the page may be changing (view_evicted). */
static inline unsigned int level_of(const struct fmt_page *root)
{
	return once(root->level) % TREE_DEPTH;
}

/* expect_kid - prefetch what a search reads of the page at off, which is of that level. Each number
 * of lines is a constant, so that there is little between one prefetch and the next. */
ALWAYS_INLINE void expect_kid(const struct view *v, uint64_t off, unsigned int level)
{
	if (level > 1)
		return;
	if (level == 1)
		tree_prefetch(v, off, INNER_LINES);
	else if (v->w)
		tree_prefetch(v, off, WRITE_LINES);
	else
		tree_prefetch(v, off, LEAF_LINES);
}

/* An index behind the last kid comes from a caller that looks ahead. */
void tree_expect_leaf(const struct view *v, const struct fmt_page *page, uint64_t at,
                      uint32_t index)
{
	if (index <= page->n)
		tree_prefetch(v, inner_kid(v, page, at, index), HEADER_LINES);
}

/* kid_of - the kid at index, of that level, as this view sees it. Its lines are on their way before
 * view_page looks at its header. */
static int kid_of(const struct tree *t, const struct fmt_page *page, uint64_t off, uint32_t index,
                  unsigned int level, const struct fmt_page **kid, uint64_t *at)
{
	const struct view *v = t->view;
	uint64_t ref = inner_kid(v, page, off, index);

	expect_kid(v, ref, level);
	return view_page(v, ref, level, kid, at);
}

/* edge_kid_of - the same on the way along an edge, which looks at little of each page. */
static int edge_kid_of(const struct tree *t, const struct fmt_page *page, uint64_t off,
                       uint32_t index, unsigned int level, const struct fmt_page **kid,
                       uint64_t *at)
{
	const struct view *v = t->view;
	uint64_t ref = inner_kid(v, page, off, index);

	tree_prefetch(v, ref, EDGE_LINES);
	return view_page(v, ref, level, kid, at);
}

/* Without a path: a get needs the entry and no place. The fingerprint is of the whole key, so one
 * leaf decides; *found false is no error. */
int tree_get(const struct tree *t, const uint8_t *key, uint32_t klen, struct item *item,
             bool *found)
{
	struct probe p = {.key = key, .klen = klen};
	const struct fmt_page *page;
	uint32_t index;
	uint32_t fp = order_fp(key, klen);
	uint64_t at;
	int rc = tree_root(t, &page, &at);

	*found = false;
	if (rc)
		return rc;
	if (!page)
		return 0;
	for (unsigned int level = level_of(page); level; level--) {
		rc = inner_find(t->view, page, at, t->order, &p, &index);
		if (rc)
			return rc;
		rc = kid_of(t, page, at, index, level - 1, &page, &at);
		if (rc)
			return rc;
	}
	return leaf_get(t->view, page, at, t->order, key, klen, fp, item, found);
}

/* descend - fill the path from the root to a leaf, by the probe or along an edge. probe NULL: along
 * the first kids, or with last along the last ones. height is set at the end alone: a path that
 * failed half-way has none, and nobody takes it for one. */
static int descend(const struct tree *t, struct path *path, const struct probe *probe, bool last)
{
	const struct fmt_page *page;
	uint64_t at;
	int rc = tree_root(t, &page, &at);

	path->height = 0;
	path->rank = path->eoff = 0;
	if (rc)
		return rc;
	if (!page)
		return 0;
	unsigned int level = level_of(page);
	unsigned int height = level + 1;

	for (;; level--) {
		uint32_t index = 0;

		if (last)
			index = page->n;
		path->at[level].page = page;
		path->at[level].off = at;
		if (level == 0)
			break;
		if (probe)
			rc = inner_find(t->view, page, at, t->order, probe, &index);
		path->at[level].index = index;
		if (rc)
			return rc;
		rc = (probe ? kid_of : edge_kid_of)(t, page, at, index, level - 1, &page, &at);
		if (rc)
			return rc;
	}
	path->height = height;
	leaf_open(t->view, page, at, &path->leaf);
	return 0;
}

/* For those that look into the leaf themselves. The rank is 0. */
int tree_down(const struct tree *t, const struct probe *probe, struct path *path)
{
	return descend(t, path, probe, false);
}

/* The place, and the entry there if it is the probe's. In an empty tree the height is 0, and rank
 * and eoff as well. */
int tree_seek(const struct tree *t, const struct probe *probe, struct path *path)
{
	int rc = descend(t, path, probe, false);

	if (rc)
		return rc;
	if (!path->height)
		return 0;
	return path_place(t, path, probe);
}

/* The rank is 0 at either edge: the caller knows how many there are. Likewise for a cursor that
 * goes to the end and then back. */
int tree_edge(const struct tree *t, bool last, struct path *path)
{
	return descend(t, path, NULL, last);
}

/* Only under the same parent: the next parent's kids are not known without reading it. */
uint64_t tree_beside(const struct tree *t, const struct path *path, bool forward)
{
	if (path->height < 2)
		return 0;
	const struct fmt_page *parent = path->at[1].page;
	uint32_t index = path->at[1].index;
	uint32_t edge = 0;

	if (forward)
		edge = parent->n;
	if (index == edge)
		return 0;
	uint32_t beside = index - 1;

	if (forward)
		beside = index + 1;
	uint64_t ref = inner_kid(t->view, parent, path->at[1].off, beside);

	if (ref <= view_size(t->view) - t->view->psize)
		return ref;
	return 0;
}

/* step_over - to the kid beside the one taken on that level, and down to its nearest leaf. A page
 * that is damaged is not passed by trying again: till all are read the path stays. Not inlined:
 * most steps of a scan go to a leaf with the same parent. */
static __attribute__((noinline)) int step_over(const struct tree *t, struct path *path,
                                               bool forward, unsigned int level)
{
	struct {
		const struct fmt_page *page;
		uint64_t off;
	} kid[TREE_DEPTH];
	const struct fmt_page *page = path->at[level].page;
	uint64_t off = path->at[level].off;
	uint32_t index = path->at[level].index + (forward ? 1 : UINT32_MAX);

	for (unsigned int l = level; l > 0; l--) {
		int rc = kid_of(t, page, off, index, l - 1, &kid[l - 1].page, &kid[l - 1].off);

		if (rc)
			return rc;
		page = kid[l - 1].page;
		off = kid[l - 1].off;
		if (forward)
			index = 0;
		else
			index = page->n;
	}
	if (forward)
		path->at[level].index += 1;
	else
		path->at[level].index += UINT32_MAX;
	for (; level > 0; level--) {
		path->at[level - 1].page = kid[level - 1].page;
		path->at[level - 1].off = kid[level - 1].off;
		if (forward)
			path->at[level - 1].index = 0;
		else
			path->at[level - 1].index = kid[level - 1].page->n;
	}
	return 0;
}

/* step_beside - the same where the leaf beside has the same parent. Nothing of the path changes
 * before the page is known to be sound. */
static inline int step_beside(const struct tree *t, struct path *path, bool forward)
{
	uint32_t index = path->at[1].index + (forward ? 1 : UINT32_MAX);
	const struct fmt_page *page;
	uint64_t off;
	int rc = kid_of(t, path->at[1].page, path->at[1].off, index, 0, &page, &off);

	if (rc)
		return rc;
	path->at[1].index = index;
	path->at[0].page = page;
	path->at[0].off = off;
	if (forward)
		path->at[0].index = 0;
	else
		path->at[0].index = page->n;
	return 0;
}

/* at_edge - whether the kid taken at that level is the page's last (forward) or first one. */
static inline bool at_edge(const struct path *path, unsigned int level, bool forward)
{
	uint32_t index = path->at[level].index;

	if (forward)
		return index >= path->at[level].page->n;
	return index == 0;
}

/* Up to the first level that has a kid on that side, and down its edge. The path's pages stay the
 * snapshot's, however often a writer replaces them. */
int tree_step(const struct tree *t, struct path *path, bool forward, bool *moved)
{
	unsigned int level = 1;

	*moved = false;
	if (UNLIKELY(view_evicted(t->view)))
		return view_too_old(t->view);
	while (level < path->height && at_edge(path, level, forward))
		level++;
	if (level >= path->height)
		return 0;
	int rc;

	if (LIKELY(level == 1))
		rc = step_beside(t, path, forward);
	else
		rc = step_over(t, path, forward, level);
	if (rc)
		return rc;
	path_leaf(t->view, path);
	path->rank = path->eoff = 0;
	*moved = true;
	return 0;
}

/* Empty leaves, which only a tree's root can be, and the end of a leaf lead on to the next one.
 * *found false: the tree has none there. */
int tree_first(const struct tree *t, const struct probe *probe, struct path *path,
               struct item *item, bool *found)
{
	int rc = tree_seek(t, probe, path);
	bool moved = true;

	*found = false;
	if (rc)
		return rc;
	if (!path->height)
		return 0;
	while (path->rank >= leaf_count(&path->leaf)) {
		rc = tree_step(t, path, true, &moved);
		if (rc)
			return rc;
		if (!moved)
			return 0;
	}
	rc = leaf_at(&path->leaf, path->rank, &path->eoff);
	if (rc)
		return rc;
	rc = leaf_item(&path->leaf, path->eoff, item);
	*found = !rc;
	return rc;
}
