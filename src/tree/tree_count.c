/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_count.c - how many entries a range has.
 *
 * Exactly: every leaf between the two ends is looked at, but of those between only the header and
 * the slots, which tell how many entries there are. About: by the two ways to the ends alone,
 * counting kids of their pages for what an average page of that level has.
 *
 *   exact       [ root ]  all kids between the ends, then in each leaf its count
 *   estimate    [ root ]  kids between the two ways, at the level where these part and below
 *
 * The exact count needs no entry of the leaves in the middle. Rejected: counts of entries
 * in inner pages. A put would change one in every page above its leaf, and a commit as many words
 * more.
 */
#include "tree/tree.h"

#include "base/err.h"

#define AHEAD 8u /* leaves whose headers are prefetched */

/* ---- exactly --------------------------------------------------------------------------------- */

struct span { /* a range that is being counted */
	const struct tree *tree;
	/* NULL: open */
	const struct probe *from;
	const struct probe *to;
	/* that may still be met: more than the file has are damage */
	uint64_t pages;
	uint64_t n;
};

/* count_leaf - left, right: the range's begin, its end may lie in this leaf. Ranks are places among
 * the live entries, so their difference is the count. */
static int count_leaf(struct span *s, const struct fmt_page *page, uint64_t at, bool left,
                      bool right)
{
	struct leaf leaf;
	uint32_t first = 0;
	uint32_t end;
	uint32_t unused;
	int rc = 0;

	leaf_open(s->tree->view, page, at, &leaf);
	end = leaf_count(&leaf);
	if (left)
		rc = leaf_place(&leaf, s->tree->order, s->from, &first, &unused);
	if (rc)
		return rc;
	if (right)
		rc = leaf_place(&leaf, s->tree->order, s->to, &end, &unused);
	if (rc)
		return rc;
	if (first < end)
		s->n += end - first;
	return rc;
}

/* count_page - a page and all below it; recursion is as deep as the tree. left, right: as for
 * count_leaf, for the edge of this subtree; a page in the middle has neither. */
static int count_page(struct span *s, const struct fmt_page *page, uint64_t at, bool left,
                      bool right)
{
	const struct view *v = s->tree->view;
	unsigned int level = page->level;
	uint32_t first = 0;
	uint32_t last = page->n;
	int rc = 0;

	if (s->pages-- == 0)
		return err_corrupt(at, "a tree has more pages than the file");
	if (!level)
		return count_leaf(s, page, at, left, right);
	if (left)
		rc = inner_find(v, page, at, s->tree->order, s->from, &first);
	if (rc)
		return rc;
	if (right)
		rc = inner_find(v, page, at, s->tree->order, s->to, &last);
	if (rc)
		return rc;
	for (uint32_t i = first; i <= last; i++) {
		const struct fmt_page *kid = NULL;
		uint64_t off = 0;

		if (level == 1 && i + AHEAD <= last)
			tree_expect_leaf(v, page, at, i + AHEAD);
		rc = tree_kid(v, page, at, i, level - 1, &kid, &off);
		if (rc)
			return rc;
		rc = count_page(s, kid, off, left && i == first, right && i == last);
		if (rc)
			return rc;
	}
	return 0;
}

/* The number of pages bounds the walk: a damaged tree may have a page twice. Entries of a batch are
 * flushed into pages first, by tree_root. */
int tree_count(const struct tree *t, const struct probe *from, const struct probe *to, uint64_t *n)
{
	struct span s = {
	    .tree = t,
	    .from = from,
	    .to = to,
	};
	const struct fmt_page *root;
	uint64_t at = 0;
	int rc = tree_root(t, &root, &at);

	s.pages = view_size(t->view) / t->view->psize;
	if (rc)
		return rc;
	if (root)
		rc = count_page(&s, root, at, from != NULL, to != NULL);
	*n = s.n;
	return rc;
}

/* ---- about ----------------------------------------------------------------------------------- */

/* way_to - the path to an end of the range; open ends are the tree's. The end of the tree is behind
 * its last entry; tree_edge leaves the rank at 0. */
static int way_to(const struct tree *t, const struct probe *probe, bool last, struct path *path)
{
	int rc;

	if (probe)
		rc = tree_seek(t, probe, path);
	else
		rc = tree_edge(t, last, path);
	if (rc)
		return rc;
	if (!probe && last && path->height)
		path->rank = leaf_count(&path->leaf);
	return rc;
}

/* nth_root - of a number from 1 on, by halving. libm is not among what the library needs. 64
 * halvings are more than a double has bits. */
static double nth_root(double x, unsigned int n)
{
	double low = 1;
	double high = x;

	for (int i = 0; i < 64; i++) {
		double middle = (low + high) / 2;
		double power = middle;

		for (unsigned int k = 1; k < n && power <= x; k++)
			power *= middle;
		if (power <= x)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* between - what lies between the two ways, which part at that level of inner pages. A leaf stands
 * for its share of all entries, a kid of the root as well, and the pages between these two have as
 * many kids as is even. Partial pages at the two edges are counted by what lies beside the ways:
 * right of the left one, and left of the right one. */
static double between(const struct path *a, const struct path *b, unsigned int level,
                      uint64_t entries, uint64_t leaves)
{
	double roots = a->at[a->height - 1].page->n + 1.0;
	double kid = leaves ? (double)entries / (double)leaves : 0;
	double sum = (double)leaf_count(&a->leaf) - a->rank + b->rank;
	double fan = 1;

	if (a->height > 2 && (double)leaves > roots)
		fan = nth_root((double)leaves / roots, a->height - 2);
	for (unsigned int i = 1; i < level; i++) {
		sum += kid * ((double)a->at[i].page->n - a->at[i].index + b->at[i].index);
		kid *= fan;
	}
	return sum + kid * ((double)b->at[level].index - a->at[level].index - 1);
}

/* Never more than there are, never less than none. */
int tree_count_estimate(const struct tree *t, const struct probe *from, const struct probe *to,
                        uint64_t entries, uint64_t leaves, uint64_t *n)
{
	/* Both ways are looked up in one snapshot, so they have one height. */
	struct path a;
	struct path b;
	unsigned int level;
	double sum;
	int rc = way_to(t, from, false, &a);

	*n = 0;
	if (rc)
		return rc;
	rc = way_to(t, to, true, &b);
	if (rc)
		return rc;
	if (!a.height)
		return 0;
	for (level = a.height - 1; level && a.at[level].index == b.at[level].index;)
		level--;
	if (!level) { /* one leaf */
		if (a.rank < b.rank)
			*n = b.rank - a.rank;
		else
			*n = 0;
		return 0;
	}
	sum = between(&a, &b, level, entries, leaves);
	if (sum < 0)
		*n = 0;
	else if (sum > (double)entries)
		*n = entries;
	else
		*n = (uint64_t)(sum + 0.5);
	return 0;
}
