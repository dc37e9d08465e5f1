/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_join.c - a leaf with little left in it joins a neighbour under the same parent.
 *
 * Whenever a leaf is written anew it is looked at. One that only gets a tombstone, or a small value
 * in place of a large one, is looked at when what it holds falls below a quarter of a page, an
 * eighth, and so on: a leaf whose neighbours are full does not ask again at each deletion. Most
 * deletions see by the leaf's header that this is far away (thin). See tree.h
 *
 * Two limits keep this calm: a leaf asks below a quarter, and both together may take three quarters
 * of a page. So neither does the next put split what was joined, nor the next deletion join what
 * was split.
 *
 * Only neighbours under one parent join: the parent then loses one kid, in the same change. A leaf
 * at the edge of its parent has one such neighbour.
 */
#include "tree/tree.h"

#define LEAF_JOINED 75u /* percent that both may take together */
/* an entry of this part of a page or more, half as large again as the average, misleads it */
#define LARGE_PART 16u
/* what a leaf has for an entry of its base beside key and value: a head, an offset, the lengths */
#define ENTRY_OVERHEAD (8u + 2u + FMT_ENTRY_SIZE)

/* beside - the neighbour on that side, under the same parent; leaf->page NULL: there is none.
 * CORRUPT. */
static int beside(const struct tree *t, const struct path *path, bool left, struct leaf *leaf)
{
	const struct view *v = t->view;
	const struct fmt_page *parent = path->at[1].page;
	const struct fmt_page *page = NULL;
	uint32_t index = path->at[1].index;
	uint32_t edge = 0;
	uint64_t at = 0;

	if (!left)
		edge = parent->n;
	assert(path->height > 1);
	leaf->page = NULL;
	if (index == edge)
		return 0;
	if (left)
		index--;
	else
		index++;
	int rc = tree_kid(v, parent, path->at[1].off, index, 0, &page, &at);

	if (!rc)
		leaf_open(v, page, at, leaf);
	return rc;
}

/* least_cost - what the leaf's entries take at least, by its header and slots alone; 0 where these
 * do not say. A slot takes one entry of the base away at most. */
static uint32_t least_cost(const struct leaf *l)
{
	const struct fmt_page *page = l->page;

	if (!(page->heads & FMT_UNIFORM) || page->n <= l->nslots)
		return 0;
	return (page->n - l->nslots) *
	       (8 + uniform_stride(page->heads & FMT_KLEN_MASK, page->offs));
}

/* fits - whether so much, and what the leaf has at least, may be one leaf. */
static bool fits(const struct leaf *l, uint32_t total)
{
	return total + least_cost(l) <= leaf_usable(l->psize) * LEAF_JOINED / 100;
}

/* join_beside - append the neighbour's items to n of the leaf's, which take total, when both fit
 * one leaf; *more of them, 0: they do not, or there is no such neighbour. */
static int join_beside(struct tree *t, const struct path *path, struct item *items, uint32_t n,
                       uint32_t total, bool left, uint32_t *more, uint64_t *at)
{
	uint32_t usable = leaf_usable(t->view->psize);
	struct leaf leaf;
	int rc = beside(t, path, left, &leaf);

	*more = 0;
	if (rc)
		return rc;
	if (!leaf.page || !fits(&leaf, total))
		return 0;
	*at = leaf.off;
	rc = tree_leaf_items(t, &leaf, items + n, more);
	if (rc || tree_items_cost(t, items, n + *more) > usable * LEAF_JOINED / 100)
		*more = 0;
	return rc;
}

/* either - join_beside for the left neighbour, else for the right one. */
static int either(struct tree *t, const struct path *path, struct item *items, uint32_t n,
                  uint32_t total, bool *left, uint32_t *more, uint64_t *at)
{
	int rc = join_beside(t, path, items, n, total, true, more, at);

	*left = *more > 0;
	if (rc)
		return rc;
	if (*more)
		return 0;
	return join_beside(t, path, items, n, total, false, more, at);
}

static bool sparse(const struct tree *t, const struct path *path, uint32_t total)
{
	if (path->height <= 1)
		return false;
	return total < leaf_usable(t->view->psize) / TREE_SPARSE;
}

/* The sibling's items lie in its page: the caller retires it when the joined leaf is written. */
int tree_join(struct tree *t, const struct path *path, struct item *items, uint32_t *n,
              uint32_t total, struct change *change, uint64_t *sibling)
{
	uint32_t more;
	uint64_t at = 0;
	bool left;

	*sibling = 0;
	if (!sparse(t, path, total))
		return 0;
	int rc = either(t, path, items, *n, total, &left, &more, &at);

	if (rc)
		return rc;
	if (!more)
		return 0;
	if (left) { /* the neighbour's come first, by way of the room behind both */
		struct item *behind = items + *n;
		struct item *tmp = behind + more;

		memcpy(tmp, items, *n * sizeof *items);
		memmove(items, behind, more * sizeof *items);
		memcpy(items + more, tmp, *n * sizeof *items);
	}
	*n += more;
	*sibling = at;
	change->from = path->at[1].index;
	if (left)
		change->from--;
	change->count = 2;
	counter_add(&t->view->w->merges, 1);
	return 0;
}

/* thin - whether the leaf may hold less than a quarter of a page once an entry has gone and left
 * others stay, by what its entries take on average. It errs toward true, which costs a closer look.
 */
static bool thin(const struct leaf *l, uint32_t left, const struct item *gone)
{
	uint32_t usable = leaf_usable(l->psize);
	uint32_t all = l->page->n + l->nslots;
	uint32_t size = gone->klen + gone->vlen + ENTRY_OVERHEAD;

	if (UNLIKELY(left >= all)) /* a damaged leaf */
		return true;
	/* Tombstones are no entries: as many as the slots do not explain otherwise. */
	uint32_t tombs = (all - left) / 2;
	uint32_t dead = tombs * (gone->klen + FMT_TAIL_BEFORE + FMT_ENTRY_SIZE + FMT_TAIL_AFTER);
	uint64_t entries = all - tombs;
	uint64_t bytes = leaf_tail_end(l) - FMT_LEAF_BASE;

	bytes -= min_u64(bytes, dead);
	bool few = 8 * left * bytes < THIN_PER_8 * entries * usable;
	bool misled = size >= usable / LARGE_PART && 2 * entries * size > 3 * bytes;

	return few || misled;
}

/* The items are those of the leaf as it would be; they are in scratch->items. */
int tree_would_join(struct tree *t, const struct path *path, struct item *items, uint32_t n,
                    uint32_t less, bool *join)
{
	uint32_t total = tree_items_cost(t, items, n);
	uint32_t more;
	uint64_t at;
	bool left;

	*join = false;
	if (!sparse(t, path, total))
		return 0;
	if (!tree_falls_below(leaf_usable(t->view->psize), total, less))
		return 0;
	int rc = either(t, path, items, n, total, &left, &more, &at);

	*join = more > 0;
	return rc;
}

/* uniform_total - what left entries take in a leaf that is a uniform base alone of entries like the
 * one that goes: no look at them tells more. 0: it is another leaf. */
static uint32_t uniform_total(const struct leaf *l, uint32_t left, const struct item *gone)
{
	const struct fmt_page *page = l->page;

	if (l->nslots || page->heads != (FMT_UNIFORM | gone->klen) || page->offs != gone->vlen)
		return 0;
	return left * (8 + uniform_stride(gone->klen, gone->vlen));
}

/* may_join - whether a leaf of a uniform base, which is left with so much, has a neighbour that it
 * might join, by the headers and slots of those. *sure: it joins it, as they are alike. CORRUPT. */
static int may_join(const struct tree *t, const struct path *path, uint32_t total, bool *may,
                    bool *sure)
{
	const struct fmt_page *page = path->leaf.page;

	*may = *sure = false;
	for (int left = 1; left >= 0 && !*may; left--) {
		struct leaf leaf;
		int rc = beside(t, path, left, &leaf);

		if (rc)
			return rc;
		*may = leaf.page && fits(&leaf, total);
		*sure = *may && !leaf.nslots && leaf.page->n && leaf.page->heads == page->heads &&
		        leaf.page->offs == page->offs;
	}
	return 0;
}

/* Most answers come from headers and slots, without a look at the entries. */
int tree_would_join_without(struct tree *t, const struct path *path, uint32_t left,
                            const struct item *gone, bool *join)
{
	struct item *items = t->scratch->items;
	uint32_t total = uniform_total(&path->leaf, left, gone);
	uint32_t less = leaf_cost(t->order, gone->klen, gone->vlen);
	bool may = true;
	uint32_t n;
	int rc = 0;

	*join = false;
	if (!total)
		may = thin(&path->leaf, left, gone);
	else if (!sparse(t, path, total) ||
	         !tree_falls_below(leaf_usable(t->view->psize), total, less))
		may = false;
	else
		rc = may_join(t, path, total, &may, join);
	if (rc)
		return rc;
	if (!may)
		return 0;
	if (*join)
		return 0;
	rc = tree_items_without(t, path, items, &n);
	if (rc)
		return rc;
	return tree_would_join(t, path, items, n, less, join);
}
