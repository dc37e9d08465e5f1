/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_partition.c - keys that cut a tree into parts of about one size, by its inner pages: as many
 * levels of them are looked at as there are pages enough on the last, each counted as one, whatever
 * is in it.
 */
#include "tree/tree.h"

#define PAGES_A_PART 8u

struct partition_cut {
	const struct tree *tree;
	unsigned int level; /* whose kids are counted */
	uint64_t kids;      /* seen so far, or in all */
	uint64_t total;     /* in all; 0: they are being counted */
	uint32_t parts;
	uint32_t n;
	struct sep *sep; /* n of them */
};

/* take - the separator before kid number c->kids begins a part. */
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

/* walk - the kids of one level below a page, which lies behind sep. Recursion is as deep as the
 * tree. */
static int partition_walk(struct partition_cut *c, const struct fmt_page *page, uint64_t at,
                          const struct sep *sep)
{
	const struct view *v = c->tree->view;
	struct sep left = *sep;
	int rc = 0;

	for (uint32_t i = 0; i <= page->n && !rc; i++) {
		const struct fmt_page *kid = NULL;
		uint64_t off = 0;

		if (i)
			rc = inner_sep(v, page, at, i - 1, &left);
		if (!rc && page->level == c->level) {
			/* The first kid at or behind k / parts of all, for some k. */
			if (c->total && c->kids &&
			    c->kids * c->parts / c->total != (c->kids - 1) * c->parts / c->total)
				partition_take(c, &left);
			c->kids++;
			continue;
		}
		if (!rc)
			rc = view_page(v, inner_kid(v, page, at, i), page->level - 1u, &kid, &off);
		if (!rc)
			rc = partition_walk(c, kid, off, &left);
	}
	return rc;
}

/* split_leaf - of a tree that is one leaf, by its entries. */
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

		if (!rank || rank == (uint32_t)((uint64_t)n * (k - 1) / c->parts))
			continue;
		rc = leaf_at(&leaf, rank, &eoff);
		if (!rc)
			rc = leaf_item(&leaf, eoff, &it);
		if (!rc)
			partition_take(c, &(struct sep){.key = it.key, .klen = it.klen});
	}
	return rc;
}

/* From the root down, until a level has enough kids to cut evenly. */
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

	if (!rc && root && !root->level)
		rc = split_leaf(&c, root, at);
	for (c.level = !rc && root ? root->level : 0; c.level && !rc; c.level--) {
		c.kids = 0;
		rc = partition_walk(&c, root, at, &none);
		if (c.level == 1 || c.kids >= (uint64_t)PAGES_A_PART * parts)
			break;
	}
	if (!rc && c.level) {
		c.total = c.kids;
		c.kids = 0;
		rc = partition_walk(&c, root, at, &none);
	}
	*n = c.n;
	return rc;
}
