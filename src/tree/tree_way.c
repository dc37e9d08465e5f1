/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_way.c - ways that led to the values of a key, for the next search there. See tree.h
 *
 * An index is a few keys with many values and many keys with few, and a program that keeps one asks
 * for the same keys again and again: where a key's values begin, and where the next one goes. A
 * writer remembers both ways for the keys that it was asked for last.
 *
 *   way    root, kid 3 -> inner, kid 17 -> leaf, before the last 40
 *
 * A remembered way is a guess, and needs no care when pages change. Whatever leaf it leads to now,
 * the entries before and behind the place there, or the separators at the leaf's ends, say whether
 * it is the right one. Otherwise the search begins at the root.
 */
#include "tree/tree.h"

#include <stdlib.h>

/* leaf_bounded - whether what is searched lies on this side of the leaf's end (forward), or begin:
 * the separator there tells. CORRUPT. */
static int leaf_bounded(const struct tree *t, const struct path *path, const struct probe *p,
                        bool forward, bool *is)
{
	bool before = !forward; /* at the tree's own ends */
	int rc = 0;

	for (unsigned int level = 1; level < path->height; level++) {
		const struct path_step *up = &path->at[level];

		if (up->index == (forward ? up->page->n : 0))
			continue;
		rc = inner_sep_before(t->view, up->page, up->off, t->order,
		                      forward ? up->index : up->index - 1, p, &before);
		break;
	}
	*is = before != forward;
	return rc;
}

/* entry_side - on which side of the probe the entry of that rank lies: <0, 0, >0. CORRUPT. */
static int entry_side(const struct tree *t, const struct path *path, uint32_t rank,
                      const struct probe *p, int *side)
{
	struct item it;
	uint32_t eoff;
	int rc = leaf_at(&path->leaf, rank, &eoff);

	if (!rc)
		rc = leaf_item(&path->leaf, eoff, &it);
	if (!rc)
		*side = order_cmp(t->order, it.key, it.klen, it.val, it.vlen, p);
	return rc;
}

/* place_within_leaf - whether the probe's place in the path's leaf, before the entry of that rank,
 * is its place in the tree: inside the leaf it is, at an end a separator tells. CORRUPT. */
static int place_within_leaf(const struct tree *t, const struct path *path, uint32_t rank,
                             const struct probe *p, bool *is)
{
	int rc = 0;

	*is = true;
	if (rank == 0)
		rc = leaf_bounded(t, path, p, false, is);
	if (!rc && *is && rank == leaf_count(&path->leaf))
		rc = leaf_bounded(t, path, p, true, is);
	return rc;
}

/* Its neighbours tell: what is searched lies between them, and keys are in order. */
int tree_place_between(const struct tree *t, struct path *path, uint32_t rank,
                       const struct probe *p, bool *is)
{
	const uint32_t n = leaf_count(&path->leaf);
	int before = -1;
	int behind = 1;
	int rc = 0;

	*is = false;
	if (rank > n)
		return 0;
	if (rank > 0)
		rc = entry_side(t, path, rank - 1, p, &before);
	if (rc || before >= 0)
		return rc;
	if (rank < n)
		rc = entry_side(t, path, rank, p, &behind);
	if (rc || behind <= 0)
		return rc;
	path->rank = rank;
	path->eoff = 0;
	return place_within_leaf(t, path, rank, p, is);
}

/* way_of - the only place that the way of such a search can have. NULL: there is no memory for
 * any. */
static struct tree_way *way_of(const struct tree *t, const struct probe *p)
{
	struct tree_scratch *s = t->scratch;
	uint32_t at = order_fp(p->key, p->klen) ^ t->id * 7919u;

	if (UNLIKELY(!s->way))
		s->way = calloc(TREE_WAYS, sizeof *s->way);
	if (UNLIKELY(!s->way))
		return NULL;
	return &s->way[(2 * at + (p->edge == PROBE_AT)) % TREE_WAYS];
}

/* place_from - a rank as a way has it, and the other way round. Where a key's values begin is
 * counted from the leaf's end: what stands before them grows, and they themselves do at their end.
 */
static uint32_t place_from(const struct probe *p, const struct path *path, uint32_t rank)
{
	if (p->edge == PROBE_AT)
		return rank;
	return leaf_count(&path->leaf) - rank;
}

/* way_keep - the path is where it leads to. An empty tree has none, a high one's are not kept. */
static void way_keep(struct tree_way *way, const struct tree *t, const struct probe *p,
                     const struct path *path)
{
	way->height = 0;
	if (path->height == 0 || path->height > TREE_WAY_HEIGHT)
		return;
	way->id = t->id;
	way->place = place_from(p, path, path->rank);
	for (unsigned int i = 0; i < path->height; i++)
		way->index[i] = path->at[i].index;
	way->height = path->height;
}

/* way_follow - the path goes the way. False: there is none, the tree has another height, or a page
 * is damaged. */
static bool way_follow(const struct tree *t, const struct tree_way *way, struct path *path)
{
	unsigned int level = way->height;
	const struct fmt_page *page;
	uint64_t at = t->root;

	if (level == 0 || way->id != t->id || !at)
		return false;
	level--;
	if (view_page(t->view, at, level, &page, &at))
		return false;
	for (;; level--) {
		path->at[level].page = page;
		path->at[level].off = at;
		path->at[level].index = way->index[level];
		if (level == 0)
			break;
		if (way->index[level] > page->n)
			return false;
		if (tree_kid(t->view, page, at, way->index[level], level - 1, &page, &at))
			return false;
	}
	path->height = way->height;
	leaf_open(t->view, page, at, &path->leaf);
	return true;
}

/* way_leads - whether the way leads to the probe's place, to which the path goes then. A value
 * mostly comes behind the one that came before. */
static bool way_leads(const struct tree *t, const struct tree_way *way, const struct probe *p,
                      struct path *path)
{
	bool is = false;

	if (!way_follow(t, way, path))
		return false;
	uint32_t rank = place_from(p, path, way->place) + (p->edge == PROBE_AT);

	if (tree_place_between(t, path, rank, p, &is))
		return false;
	if (is)
		return true;
	if (path_place(t, path, p))
		return false;
	if (path->eoff)
		return true;
	return !place_within_leaf(t, path, path->rank, p, &is) && is;
}

/* Damage on the way is met again, and told, on the way from the root. */
int tree_seek_again(const struct tree *t, const struct probe *p, struct path *path)
{
	struct tree_way *way = NULL;
	int rc;

	if (t->scratch && t->order->dups && !t->batch && !t->failed)
		way = way_of(t, p);
	if (way && way_leads(t, way, p, path)) {
		way->place = place_from(p, path, path->rank);
		return 0;
	}
	rc = tree_seek(t, p, path);
	if (!rc && way)
		way_keep(way, t, p, path);
	return rc;
}
