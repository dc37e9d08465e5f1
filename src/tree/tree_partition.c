/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_partition.c - keys that cut a tree into parts of about one size, by its inner pages: as many
 * levels of them are looked at as there are pages enough on the last, each counted as one, whatever
 * is in it.
 *
 *   level 2            [      |      ]           too few kids for 3 parts: one level more
 *   level 1    [ | | | ]  [ | | | ]  [ | | | ]   a first walk counts the kids, a second one takes
 *                     ^          ^               the separators that stand at k thirds of them
 *
 * No leaf is read, so the parts differ as much as leaves are filled differently. They are for
 * threads that scan side by side: one that is done takes another part.
 */
#include "tree/tree.h"

/* pages for each part, on the level that is cut: with fewer the parts would be too uneven */
#define PAGES_A_PART 8u

/* A cut in the making. */
struct partition_cut {
	const struct tree *tree;
	unsigned int level; /* whose kids are counted */
	uint64_t kids;      /* seen so far, or in all */
	uint64_t total;     /* in all; 0: they are being counted */
	uint32_t parts;
	uint32_t n;
	struct sep *sep; /* n of them */
};

/* partition_take - the separator before kid number c->kids begins a part. The separator's bytes
 * stay in their page, which is the snapshot's. */
static void partition_take(struct partition_cut *c, const struct sep *sep)
{
	const struct order *o = c->tree->order;
	const struct sep *last = NULL;

	if (c->n)
		last = &c->sep[c->n - 1];
	/* a key with many values is in one part */
	if (last && order_key_cmp(o, last->key, last->klen, sep->key, sep->klen) == 0)
		return;
	/* pages of a snapshot that was given up may change between the two walks */
	if (c->n + 1 >= c->parts)
		return;
	c->sep[c->n++] = *sep;
}

/* begins_part - whether kid number c->kids is the first one at or behind k / parts of all, for some
 * k. Never in the walk that counts. */
static bool begins_part(const struct partition_cut *c)
{
	if (!c->total)
		return false;
	if (!c->kids)
		return false;
	uint64_t before = (c->kids - 1) * c->parts / c->total;
	uint64_t now = c->kids * c->parts / c->total;

	return now != before;
}

/* partition_walk - the kids of one level below a page, which lies behind sep. Recursion is as deep
 * as the tree. sep: the separator before the page's first kid, which stands in a page above; empty
 * at the left edge of the tree. */
static int partition_walk(struct partition_cut *c, const struct fmt_page *page, uint64_t at,
                          const struct sep *sep)
{
	const struct view *v = c->tree->view;
	struct sep left = *sep;
	int rc = 0;

	for (uint32_t i = 0; i <= page->n; i++) {
		const struct fmt_page *kid = NULL;
		uint64_t off = 0;

		if (i)
			rc = inner_sep(v, page, at, i - 1, &left);
		if (!rc && page->level == c->level) {
			if (begins_part(c))
				partition_take(c, &left);
			c->kids++;
			continue;
		}
		if (rc)
			return rc;
		rc = tree_kid(v, page, at, i, page->level - 1u, &kid, &off);
		if (rc)
			return rc;
		rc = partition_walk(c, kid, off, &left);
		if (rc)
			return rc;
	}
	return 0;
}

/* split_leaf - of a tree that is one leaf, by its entries. The keys of entries serve as separators.
 */
static int split_leaf(struct partition_cut *c, const struct fmt_page *page, uint64_t at)
{
	struct leaf leaf;
	uint32_t n;
	int rc = 0;

	leaf_open(c->tree->view, page, at, &leaf);
	n = leaf_count(&leaf);
	for (uint32_t k = 1; k < c->parts && !rc; k++) {
		uint32_t rank = (uint32_t)((uint64_t)n * k / c->parts);
		uint32_t eoff;
		struct item it = {0};

		if (!rank)
			continue;
		if (rank == (uint32_t)((uint64_t)n * (k - 1) / c->parts))
			continue;
		rc = leaf_at(&leaf, rank, &eoff);
		if (rc)
			return rc;
		rc = leaf_item(&leaf, eoff, &it);
		if (rc)
			return rc;
		partition_take(c, &(struct sep){.key = it.key, .klen = it.klen});
	}
	return rc;
}

/* From the root down, until a level has enough kids to cut evenly. One walk for each level that is
 * counted, and one that takes separators: a few pages in all. */
int tree_partition(const struct tree *t, uint32_t parts, struct sep *seps, uint32_t *n)
{
	struct partition_cut c = {
	    .tree = t,
	    .parts = parts,
	    .sep = seps,
	};
	const struct sep none = {0};
	const struct fmt_page *root;
	uint64_t at = 0;
	int rc = tree_root(t, &root, &at);

	if (rc)
		return rc;
	if (root && !root->level)
		rc = split_leaf(&c, root, at);
	for (c.level = !rc && root ? root->level : 0; c.level && !rc; c.level--) {
		c.kids = 0;
		rc = partition_walk(&c, root, at, &none);
		if (c.level == 1 || c.kids >= (uint64_t)PAGES_A_PART * parts)
			break;
	}
	if (rc)
		return rc;
	if (c.level) {
		c.total = c.kids;
		c.kids = 0;
		rc = partition_walk(&c, root, at, &none);
	}
	*n = c.n;
	return rc;
}
