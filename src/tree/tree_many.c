/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_many.c - several lookups, or the places of several puts, at once.
 *
 * A lookup is paid in cache misses that wait for each other: page after page, then the entry. Here
 * a group of lookups goes down the tree level by level: each step of all of them is taken before
 * the next, and what the next step will touch is prefetched meanwhile, so the misses of a group
 * overlap. All leaves of a snapshot are at one depth, so the group stays together.
 *
 * Puts change the tree under the places that were found ahead. A path holds as long as its pages
 * are linked as they were and none of them was written anew, and a place in a leaf as long as
 * nothing was appended to that leaf; else the search is made again, on lines that the first one has
 * brought.
 */
#include "tree/tree.h"

#define MANY_LEAF_LINES  5u  /* to the heads of a leaf that is as full as most are */
#define MANY_INNER_LINES 14u /* the same for inner pages */
/* a kid's word is read so many searches after its place was found: it comes meanwhile */
#define BEHIND 3u

struct many { /* one lookup of a group */
	/* until the leaf is reached, only where the page lies */
	struct leaf_look look;
	uint32_t index; /* the kid to go to, and where it lies */
	uint64_t ref;
};

/* prefetch_page - the first lines of a page, when it lies in the mapping. */
static void prefetch_page(const struct tree *t, uint64_t ref, unsigned int lines)
{
	if (ref < view_size(t->view))
		for (unsigned int i = 0; i < lines; i++)
			__builtin_prefetch(t->view->base + ref + i * FMT_LINE);
}

/* prefetch_search - what a leaf's search will touch behind these lines, now that its header is
 * here: much, when entries are small. */
static void prefetch_search(const struct fmt_page *page)
{
	uint32_t end = FMT_LEAF_BASE + (page->heads & FMT_UNIFORM ? 8u : 8u + 2) * page->n;

	for (uint32_t i = MANY_LEAF_LINES * FMT_LINE; UNLIKELY(i < end); i += FMT_LINE)
		__builtin_prefetch((const uint8_t *)page + i);
}

/* step_down - one level for all. */
static int step_down(const struct tree *t, const struct lookup *l, struct many *m, unsigned int n,
                     unsigned int level)
{
	for (unsigned int i = 0; i < n + BEHIND; i++) {
		if (i < n) {
			struct probe p = {.key = l[i].key, .klen = l[i].klen};
			int rc = inner_find(t->view, m[i].look.page, m[i].look.off, t->order, &p,
			                    &m[i].index);

			if (rc)
				return rc;
			__builtin_prefetch(inner_kids(m[i].look.page) + m[i].index);
		}
		if (i >= BEHIND) {
			struct many *k = &m[i - BEHIND];

			k->ref = inner_kid(t->view, k->look.page, k->look.off, k->index);
			prefetch_page(t, k->ref, level == 1 ? MANY_LEAF_LINES : MANY_INNER_LINES);
		}
	}
	for (unsigned int i = 0; i < n; i++) {
		int rc = view_page(t->view, m[i].ref, level - 1, &m[i].look.page, &m[i].look.off);

		if (rc)
			return rc;
		if (level == 1)
			prefetch_search(m[i].look.page);
	}
	return 0;
}

/* One level after the other for all of them, then the leaves in two halves. */
int tree_get_many(const struct tree *t, struct lookup *l, unsigned int n)
{
	struct many m[TREE_MANY];
	const struct fmt_page *root;
	uint64_t at = 0;
	int rc = tree_root(t, &root, &at);

	assert(n <= TREE_MANY);
	for (unsigned int i = 0; i < n; i++)
		l[i].found = false;
	if (rc || !root)
		return rc;
	for (unsigned int i = 0; i < n; i++) {
		m[i].look.page = root;
		m[i].look.off = at;
	}
	for (unsigned int level = once(root->level) % TREE_DEPTH; level && !rc; level--)
		rc = step_down(t, l, m, n, level);
	for (unsigned int i = 0; i < n && !rc; i++)
		leaf_look(t->view, t->order, l[i].key, l[i].klen, order_fp(l[i].key, l[i].klen),
		          &m[i].look);
	for (unsigned int i = 0; i < n && !rc; i++)
		rc = leaf_found(t->view, t->order, l[i].key, l[i].klen, &m[i].look, &l[i].item,
		                &l[i].found);
	return rc;
}

/* ---- puts ------------------------------------------------------------------------------------ */

/* places_down - one level for all. */
static int places_down(const struct tree *t, struct put_place *p, unsigned int n,
                       unsigned int level)
{
	for (unsigned int i = 0; i < n; i++) {
		struct path *path = &p[i].path;
		int rc = inner_find(t->view, path->at[level].page, path->at[level].off, t->order,
		                    &p[i].probe, &path->at[level].index);

		if (rc)
			return rc;
		path->at[level - 1].off = inner_kid(t->view, path->at[level].page,
		                                    path->at[level].off, path->at[level].index);
		prefetch_page(t, path->at[level - 1].off,
		              level == 1 ? MANY_LEAF_LINES : MANY_INNER_LINES);
	}
	for (unsigned int i = 0; i < n; i++) {
		struct path *path = &p[i].path;
		int rc = view_page(t->view, path->at[level - 1].off, level - 1,
		                   &path->at[level - 1].page, &path->at[level - 1].off);

		if (rc)
			return rc;
		if (level == 1)
			prefetch_search(path->at[0].page);
	}
	return 0;
}

/* What is found is a guess for tree_place: puts before it may change the tree. */
int tree_places(const struct tree *t, struct put_place *p, unsigned int n)
{
	const struct fmt_page *root;
	uint64_t at = 0;
	int rc = tree_root(t, &root, &at);

	assert(n <= TREE_MANY);
	for (unsigned int i = 0; i < n; i++) {
		p[i].installs = t->view->w->installs;
		if (root)
			p[i].path.height = root->level + 1u;
		else
			p[i].path.height = 0;
		p[i].path.rank = p[i].path.eoff = 0;
		if (root) {
			p[i].path.at[root->level].page = root;
			p[i].path.at[root->level].off = at;
		}
	}
	if (rc || !root)
		return rc;
	for (unsigned int level = root->level; level && !rc; level--)
		rc = places_down(t, p, n, level);
	for (unsigned int i = 0; i < n && !rc; i++) {
		struct path *path = &p[i].path;
		bool full;

		leaf_open(t->view, path->at[0].page, path->at[0].off, &path->leaf);
		p[i].nslots = path->leaf.nslots;
		p[i].nbase = path->leaf.page->n;
		rc = leaf_gap_find(&path->leaf, t->order, &p[i].probe, &p[i].gap);
		if (rc)
			return rc;
		leaf_expect_put(&path->leaf, &p[i].gap, p[i].bytes, &full);
		if (full && path->height > 1) /* a split writes the parent, too */
			prefetch_page(t, path->at[1].off, t->view->psize / FMT_LINE);
	}
	return rc;
}

/* path_holds - whether the way that was found still leads to that leaf: each page of it is linked
 * from the one above, and none was written anew. */
static bool path_holds(const struct tree *t, const struct put_place *p)
{
	const struct path *path = &p->path;
	const struct wset *w = t->view->w;
	uint64_t off = t->root;

	if (p->installs == w->installs)
		return path->height > 0;
	for (unsigned int level = path->height; level-- > 0;) {
		const struct wpage *wp = wset_find(w, off);

		if (off != path->at[level].off || (wp && wp->installed > p->installs))
			return false;
		if (level)
			off = inner_kid(t->view, path->at[level].page, off, path->at[level].index);
	}
	return path->height > 0;
}

/* By what was found ahead where the way and the leaf are as they were; else by a new search. */
int tree_place(const struct tree *t, struct put_place *p)
{
	struct path *path = &p->path;

	if (!path_holds(t, p))
		return tree_seek(t, &p->probe, path);
	leaf_open(t->view, path->at[0].page, path->at[0].off, &path->leaf);
	if (path->leaf.nslots != p->nslots || path->leaf.page->n != p->nbase)
		return leaf_place(&path->leaf, t->order, &p->probe, &path->rank, &path->eoff);
	return leaf_gap_place(&path->leaf, t->order, &p->probe, &p->gap, &path->rank, &path->eoff);
}
