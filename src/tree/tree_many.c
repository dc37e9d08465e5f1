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

/* lines_below - how many lines are worth it of a page below one of that level. */
static unsigned int lines_below(unsigned int level)
{
	if (level == 1)
		return MANY_LEAF_LINES;
	return MANY_INNER_LINES;
}

/* prefetch_search - what a leaf's search will touch behind these lines, now that its header is
 * here: much, when entries are small. */
static void prefetch_search(const struct fmt_page *page)
{
	uint32_t each = 8 + 2; /* a head and an offset */

	if (page->heads & FMT_UNIFORM)
		each = 8;
	uint32_t end = FMT_LEAF_BASE + each * page->n;

	for (uint32_t i = MANY_LEAF_LINES * FMT_LINE; UNLIKELY(i < end); i += FMT_LINE)
		__builtin_prefetch((const uint8_t *)page + i);
}

/* kid_find - search the lookup's page, and ask for the word of the kid found. */
static int kid_find(const struct tree *t, const struct lookup *l, struct many *m)
{
	const struct leaf_look *at = &m->look;
	struct probe p = {
	    .key = l->key,
	    .klen = l->klen,
	};
	int rc = inner_find(t->view, at->page, at->off, t->order, &p, &m->index);

	if (rc)
		return rc;
	__builtin_prefetch(inner_kids(at->page) + m->index);
	return 0;
}

/* kid_ask - read that word, and ask for the kid's first lines. */
static void kid_ask(const struct view *v, struct many *m, unsigned int level)
{
	const struct leaf_look *at = &m->look;

	m->ref = inner_kid(v, at->page, at->off, m->index);
	tree_prefetch(v, m->ref, lines_below(level));
}

/* kid_enter - the lookup goes on in that kid, whose header has come by now. */
static int kid_enter(const struct view *v, struct many *m, unsigned int level)
{
	struct leaf_look *at = &m->look;
	int rc = view_page(v, m->ref, level - 1, &at->page, &at->off);

	if (rc)
		return rc;
	if (level == 1)
		prefetch_search(at->page);
	return 0;
}

/* step_down - one level for all, in two rounds. A kid's word is read BEHIND searches after its
 * place was found. */
static int step_down(const struct tree *t, const struct lookup *l, struct many *m, unsigned int n,
                     unsigned int level)
{
	const struct view *v = t->view;

	for (unsigned int i = 0; i < n + BEHIND; i++) {
		int rc = 0;

		if (i < n)
			rc = kid_find(t, &l[i], &m[i]);
		if (rc)
			return rc;
		if (i >= BEHIND)
			kid_ask(v, &m[i - BEHIND], level);
	}
	for (unsigned int i = 0; i < n; i++) {
		int rc = kid_enter(v, &m[i], level);

		if (rc)
			return rc;
	}
	return 0;
}

/* leaves_look - the leaves in two halves. The first half of a leaf's search prefetches the entry
 * that the second one compares. */
static int leaves_look(const struct tree *t, struct lookup *l, struct many *m, unsigned int n)
{
	const struct view *v = t->view;
	const struct order *o = t->order;

	for (unsigned int i = 0; i < n; i++) {
		const uint8_t *key = l[i].key;
		uint32_t klen = l[i].klen;
		uint32_t fp = order_fp(key, klen);

		leaf_look(v, o, key, klen, fp, &m[i].look);
	}
	for (unsigned int i = 0; i < n; i++) {
		const uint8_t *key = l[i].key;
		uint32_t klen = l[i].klen;
		bool *found = &l[i].found;
		int rc = leaf_found(v, o, key, klen, &m[i].look, &l[i].item, found);

		if (rc)
			return rc;
	}
	return 0;
}

/* One level after the other for all of them, then the leaves. */
int tree_get_many(const struct tree *t, struct lookup *l, unsigned int n)
{
	struct many m[TREE_MANY];
	const struct fmt_page *root;
	uint64_t at = 0;
	int rc = tree_root(t, &root, &at);

	assert(n <= TREE_MANY);
	for (unsigned int i = 0; i < n; i++)
		l[i].found = false;
	if (rc)
		return rc;
	if (!root)
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		m[i].look.page = root;
		m[i].look.off = at;
	}
	for (unsigned int level = once(root->level) % TREE_DEPTH; level; level--) {
		rc = step_down(t, l, m, n, level);
		if (rc)
			return rc;
	}
	return leaves_look(t, l, m, n);
}

/* ---- puts ------------------------------------------------------------------------------------ */

/* places_down - one level for all: find the kids and ask for them, then look at them. Between the
 * two rounds at[level - 1].off is what the word says, behind them the page that this view sees. */
static int places_down(const struct tree *t, struct put_place *p, unsigned int n,
                       unsigned int level)
{
	const struct view *v = t->view;

	for (unsigned int i = 0; i < n; i++) {
		struct path_step *at = &p[i].path.at[level];
		struct path_step *below = at - 1;
		const struct fmt_page *page = at->page;
		uint64_t off = at->off;
		int rc = inner_find(v, page, off, t->order, &p[i].probe, &at->index);

		if (rc)
			return rc;
		below->off = inner_kid(v, page, off, at->index);
		tree_prefetch(v, below->off, lines_below(level));
	}
	for (unsigned int i = 0; i < n; i++) {
		struct path_step *below = &p[i].path.at[level - 1];
		int rc = view_page(v, below->off, level - 1, &below->page, &below->off);

		if (rc)
			return rc;
		if (level == 1)
			prefetch_search(below->page);
	}
	return 0;
}

/* place_gap - the way of one put has reached its leaf: find the gap that it belongs to, and ask for
 * the lines that it will change. CORRUPT. */
static int place_gap(const struct tree *t, struct put_place *p)
{
	struct path *path = &p->path;
	struct leaf *leaf = &path->leaf;
	bool full;

	leaf_open(t->view, path->at[0].page, path->at[0].off, leaf);
	p->nslots = leaf->nslots;
	p->nbase = leaf->page->n;
	int rc = leaf_gap_find(leaf, t->order, &p->probe, &p->gap);

	if (rc)
		return rc;
	leaf_expect_put(leaf, &p->gap, p->bytes, &full);
	if (full && path->height > 1) /* a split writes the parent, too */
		tree_prefetch(t->view, path->at[1].off, t->view->psize / FMT_LINE);
	return 0;
}

/* place_begin - the way of one put begins at the root (NULL: of an empty tree). */
static void place_begin(struct put_place *p, uint64_t installs, const struct fmt_page *root,
                        uint64_t at)
{
	struct path *path = &p->path;

	p->installs = installs;
	path->height = 0;
	path->rank = 0;
	path->eoff = 0;
	if (!root)
		return;
	path->height = root->level + 1u;
	path->at[root->level].page = root;
	path->at[root->level].off = at;
}

/* What is found is a guess for tree_place: puts before it may change the tree. */
int tree_places(const struct tree *t, struct put_place *p, unsigned int n)
{
	const struct fmt_page *root;
	uint64_t at = 0;
	int rc = tree_root(t, &root, &at);

	assert(n <= TREE_MANY);
	assert(t->view->w);
	for (unsigned int i = 0; i < n; i++)
		place_begin(&p[i], t->view->w->installs, root, at);
	if (rc)
		return rc;
	if (!root)
		return 0;
	for (unsigned int level = root->level; level; level--) {
		rc = places_down(t, p, n, level);
		if (rc)
			return rc;
	}
	for (unsigned int i = 0; i < n; i++) {
		rc = place_gap(t, &p[i]);
		if (rc)
			return rc;
	}
	return 0;
}

/* path_holds - whether the way that was found still leads to that leaf: each page of it is linked
 * from the one above, and none was written anew. Nothing installed since is the common case, and
 * costs one compare. */
static bool path_holds(const struct tree *t, const struct put_place *p)
{
	const struct path *path = &p->path;
	const struct wset *w = t->view->w;
	uint64_t off = t->root;

	if (p->installs == w->installs)
		return path->height > 0;
	for (unsigned int level = path->height; level-- > 0;) {
		const struct wpage *wp = wset_find(w, off);
		const struct path_step *at = &path->at[level];

		if (off != at->off)
			return false;
		if (wp && wp->installed > p->installs)
			return false;
		if (level)
			off = inner_kid(t->view, at->page, off, at->index);
	}
	return path->height > 0;
}

/* By what was found ahead where the way and the leaf are as they were; else by a new search. */
int tree_place(const struct tree *t, struct put_place *p)
{
	struct path *path = &p->path;

	if (!path_holds(t, p))
		return tree_seek(t, &p->probe, path);
	path_leaf(t->view, path);
	const struct leaf *leaf = &path->leaf;
	bool appended = leaf->nslots != p->nslots;

	if (appended || leaf->page->n != p->nbase)
		return path_place(t, path, &p->probe);
	return leaf_gap_place(leaf, t->order, &p->probe, &p->gap, &path->rank, &path->eoff);
}
