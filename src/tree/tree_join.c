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

/* a leaf joins its neighbour when it holds less than this part of a page */
#define LEAF_SPARSE 4u
#define LEAF_JOINED 75u /* percent that both may take together */
/* an entry of this part of a page or more, half as large again as the average, misleads it */
#define LARGE_PART 16u
/* what a leaf has for an entry of its base beside key and value: a head, an offset, the lengths */
#define ENTRY_OVERHEAD (8u + 2u + FMT_ENTRY_SIZE)

/* join_beside - append the neighbour's items to n of the leaf's, when both fit one leaf; *more of
 * them, 0: they do not, or there is no such neighbour. */
static int join_beside(struct tree *t, const struct path *path, struct item *items, uint32_t n,
                       bool left, uint32_t *more, uint64_t *at)
{
	const struct view *v = t->view;
	uint32_t usable = leaf_usable(v->psize);
	const struct fmt_page *parent = path->at[1].page;
	uint32_t index = path->at[1].index;
	uint32_t edge = 0;

	if (!left)
		edge = parent->n;
	const struct fmt_page *page = NULL;
	struct leaf leaf;

	assert(path->height > 1);
	*more = 0;
	if (index == edge)
		return 0;
	if (left)
		index--;
	else
		index++;
	int rc = tree_kid(v, parent, path->at[1].off, index, 0, &page, at);

	if (rc)
		return rc;
	leaf_open(v, page, *at, &leaf);
	rc = tree_leaf_items(t, &leaf, items + n, more);
	if (rc || tree_items_cost(t, items, n + *more) > usable * LEAF_JOINED / 100)
		*more = 0;
	return rc;
}

/* either - join_beside for the left neighbour, else for the right one. */
static int either(struct tree *t, const struct path *path, struct item *items, uint32_t n,
                  bool *left, uint32_t *more, uint64_t *at)
{
	int rc = join_beside(t, path, items, n, true, more, at);

	*left = *more > 0;
	if (rc || *more)
		return rc;
	return join_beside(t, path, items, n, false, more, at);
}

static bool sparse(const struct tree *t, const struct path *path, uint32_t total)
{
	if (path->height <= 1)
		return false;
	return total < leaf_usable(t->view->psize) / LEAF_SPARSE;
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
	int rc = either(t, path, items, *n, &left, &more, &at);

	if (rc || !more)
		return rc;
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

/* falls_below - whether so many bytes less take the total below a quarter of the page, an eighth,
 * ... So a leaf that keeps losing entries is looked at a few times until it is empty. */
static bool falls_below(uint32_t usable, uint32_t total, uint32_t less)
{
	uint32_t limit = usable / LEAF_SPARSE;

	while (limit > total + less)
		limit /= 2;
	return total < limit;
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
	if (!sparse(t, path, total) || !falls_below(leaf_usable(t->view->psize), total, less))
		return 0;
	int rc = either(t, path, items, n, &left, &more, &at);

	*join = more > 0;
	return rc;
}

/* stays - whether a leaf that is a uniform base alone stays as it is with left entries: no look at
 * them tells more. False: it may join, or it is another leaf. */
static bool stays(const struct tree *t, const struct path *path, uint32_t left,
                  const struct item *gone)
{
	const struct fmt_page *page = path->leaf.page;

	if (path->leaf.nslots || page->heads != (FMT_UNIFORM | gone->klen) ||
	    page->offs != gone->vlen)
		return false;
	uint32_t total = left * (8 + uniform_stride(gone->klen, gone->vlen));

	return !sparse(t, path, total) || !falls_below(leaf_usable(t->view->psize), total,
	                                               leaf_cost(t->order, gone->klen, gone->vlen));
}

/* Most answers come from thin and stays, without a look at the entries. */
int tree_would_join_without(struct tree *t, const struct path *path, uint32_t left,
                            const struct item *gone, bool *join)
{
	struct item *items = t->scratch->items;
	uint32_t n;

	*join = false;
	if (!thin(&path->leaf, left, gone) || stays(t, path, left, gone))
		return 0;
	int rc = tree_items_without(t, path, items, &n);

	if (rc)
		return rc;
	return tree_would_join(t, path, items, n, leaf_cost(t->order, gone->klen, gone->vlen),
	                       join);
}
