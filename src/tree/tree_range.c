/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_range.c - removing all entries of a range.
 *
 *            [        .  a |xxxxxxx| b  .       ]      1
 *      [  . a |xxxxx ]             [ xxx| b .   ]      2
 *   [ .... xxx ]                       [ x ..... ]     3
 *
 *   1   where the ways to the range's two ends part, the kids between go as a whole
 *   2   below, the kids right of the way to its begin, and left of the way to its end
 *   3   at last a part of two leaves
 *
 * Pages in the middle are freed unread, but for a leaf's header and slots, which tell how many
 * entries it has; where large values are about, each entry is looked at. Each of these steps is a
 * change like any other, complete in itself: parents are replaced, pages join their neighbours
 * [I8]. After each the two ways are looked up anew, at most some three times for each level.
 */
#include "space/space.h"
#include "tree/tree.h"

#include "base/err.h"

/* so many entries are removed by appending to their leaf; more by writing it anew */
#define TOMBSTONES 4u

/* A range that is being removed. The ways are not kept here: they do not outlive a step. */
struct range_cut {
	struct tree *tree;
	/* NULL: open */
	const struct probe *from;
	const struct probe *to;
	uint64_t removed;
	/* entries of the range, of which those in the middle are not counted; 0: not known */
	uint64_t all;
	/* the last step was made */
	bool done;
};

/* ---- pages in the middle --------------------------------------------------------------------- */

/* cut_kids - kids [first, end) of the path's page at that level go. The pages below are freed first
 * and then unlinked: no other look at the tree comes in between, and a failure leaves the
 * transaction to be aborted. The path is of no use afterwards. */
static int cut_kids(struct range_cut *c, struct path *path, unsigned int level, uint32_t first,
                    uint32_t end)
{
	struct change change = {.from = first, .count = end - first};
	uint64_t entries = 0;

	assert(level > 0);
	assert(level < path->height);
	assert(first < end);
	int rc = tree_free_kids(c->tree, path->at[level].page, path->at[level].off, first, end,
	                        c->all ? NULL : &entries);

	c->removed += entries;
	c->tree->count -= entries;
	if (rc)
		return rc;
	return tree_replace_at(c->tree, path, level, &change);
}

/* ---- the edges ------------------------------------------------------------------------------- */

/* cut_leaf - the entries of the path's leaf between the range's ends. *cut: there were some. left,
 * right: the range's begin, its end may lie in this leaf. A few entries become tombstones, one step
 * each, so that the page is not written; the next step finds the rest. Without from or to that side
 * is the leaf's end. The path is of no use afterwards. */
static int cut_leaf(struct range_cut *c, struct path *path, bool left, bool right, bool *cut)
{
	assert(path->height > 0);
	struct tree *t = c->tree;
	uint32_t first = 0;
	uint32_t end = leaf_count(&path->leaf);
	uint32_t unused;
	int rc = 0;

	if (left && c->from)
		rc = leaf_place(&path->leaf, t->order, c->from, &first, &unused);
	if (rc)
		return rc;
	if (right && c->to)
		rc = leaf_place(&path->leaf, t->order, c->to, &end, &unused);
	*cut = !rc && first < end;
	if (rc)
		return rc;
	if (!*cut)
		return 0;
	/* the right end comes last: nothing is left of the range then */
	c->done = right && (end - first > TOMBSTONES || end - first == 1);
	if (end - first > TOMBSTONES) {
		c->removed += end - first;
		return tree_leaf_without(t, path, first, end);
	}
	path->rank = first;
	rc = leaf_at(&path->leaf, first, &path->eoff);
	c->removed++;
	if (rc)
		return rc;
	return tree_remove(t, path);
}

/* cut_side - below where the ways part: what lies right of the way to the range's begin (left), or
 * left of the way to its end. *cut false: nothing lies there, down to the leaf. The path is still
 * good when *cut is false. */
static int cut_side(struct range_cut *c, struct path *path, unsigned int level, bool left,
                    bool *cut)
{
	for (; level; level--) {
		uint32_t index = path->at[level].index;
		uint32_t n = path->at[level].page->n;

		if (left)
			*cut = index < n;
		else
			*cut = index > 0;
		if (*cut) {
			if (left)
				return cut_kids(c, path, level, index + 1, n + 1);
			return cut_kids(c, path, level, 0, index);
		}
	}
	return cut_leaf(c, path, left, !left, cut);
}

/* down_to - the way to an end of the range; an open one is the tree's first or last leaf. CORRUPT.
 * The height is 0 in an empty tree. */
static int down_to(const struct tree *t, const struct probe *probe, bool last, struct path *path)
{
	if (probe)
		return tree_down(t, probe, path);
	return tree_edge(t, last, path);
}

/* cut_step - one of the steps; *cut false: nothing is left of the range. a and b are memory for the
 * two ways, which are found anew by each step: a step replaces pages of both. Both ways have the
 * same pages down to where they part, so one of them is enough to cut there. */
static int cut_step(struct range_cut *c, struct path *a, struct path *b, bool *cut)
{
	struct tree *t = c->tree;
	int rc = down_to(t, c->from, false, a);

	*cut = false;
	if (rc)
		return rc;
	rc = down_to(t, c->to, true, b);
	if (rc)
		return rc;
	if (!a->height)
		return 0;
	for (unsigned int level = a->height - 1; level; level--) {
		/* Kids [first, end) lie in the range. */
		uint32_t first = 0;
		uint32_t end;
		bool whole = level + 1 == a->height || a->at[level].off == b->at[level].off;

		if (c->from)
			first = a->at[level].index + 1;
		if (c->to)
			end = b->at[level].index;
		else
			end = a->at[level].page->n + 1u;
		assert(whole);
		(void)whole;
		*cut = first < end;
		if (*cut)
			return cut_kids(c, a, level, first, end);
		if (a->at[level].index == b->at[level].index)
			continue;
		if (c->from)
			rc = cut_side(c, a, level - 1, true, cut);
		if (rc)
			return rc;
		if (!*cut && c->to)
			rc = cut_side(c, b, level - 1, false, cut);
		return rc;
	}
	return cut_leaf(c, a, true, true, cut);
}

/* count_off - what went unread is counted off as well. CORRUPT. */
static int count_off(struct range_cut *c)
{
	if (UNLIKELY(c->removed > c->all || c->all - c->removed > c->tree->count))
		return err_corrupt(c->tree->tallies->root, "a tally of %lu values: they were more",
		                   c->all);
	c->tree->count -= c->all - c->removed;
	c->removed = c->all;
	return 0;
}

/* Everything at once is a clear; a range goes piece by piece until nothing of it is left. The
 * writer's lock is held. *removed is set also after an error. Pages are taken as by a removal,
 * reserve included: a full store can still be emptied. */
int tree_cut(struct tree *t, const struct probe *from, const struct probe *to, uint64_t *removed)
{
	assert(t->scratch);
	struct range_cut c = {
	    .tree = t,
	    .from = from,
	    .to = to,
	};
	struct path a;
	struct path b;
	bool cut = true;
	int rc = 0;

	t->scratch->finger_of = NULL;
	if (!from && !to) {
		*removed = t->count;
		if (t->count)
			return tree_clear(t, false);
		return 0;
	}
	if (t->batch) /* what was put before takes its pages as a put */
		rc = tree_flush(t);
	const enum space_claim before = space_claim(t->view->w->space, SPACE_DELETE);

	if (!rc)
		rc = tree_tally_cut(t, from, to, &c.all);
	while (cut && !c.done && !rc)
		rc = cut_step(&c, &a, &b, &cut);
	(void)space_claim(t->view->w->space, before);
	if (c.all && !rc)
		rc = count_off(&c);
	*removed = c.removed;
	return rc;
}

/* Databases are entries of the main one: a range that has one cannot be removed by deleting
 * entries. Each entry of the range is looked at, but only for its flags. CORRUPT. The entries'
 * offsets go to scratch memory, so it is for a writer. */
int tree_range_db(const struct tree *t, const struct probe *from, const struct probe *to,
                  bool *some)
{
	struct path path;
	struct path end;
	bool moved = true;
	int rc;

	assert(t->scratch);
	if (from)
		rc = tree_seek(t, from, &path);
	else
		rc = tree_edge(t, false, &path);
	*some = false;
	if (rc)
		return rc;
	if (to)
		rc = tree_seek(t, to, &end);
	else
		rc = tree_edge(t, true, &end);
	if (rc)
		return rc;
	while (moved && path.height) {
		uint32_t i = path.rank;
		uint32_t n = 0;
		bool last = path.leaf.off == end.leaf.off;

		rc = leaf_offsets(&path.leaf, t->scratch->offsets, &n);
		if (last && to)
			n = end.rank;
		for (; i < n && !rc; i++) {
			struct item it;

			rc = leaf_item(&path.leaf, t->scratch->offsets[i], &it);
			if (rc)
				return rc;
			if (it.flags & FMT_ENTRY_DB) {
				*some = true;
				return 0;
			}
		}
		if (rc)
			return rc;
		if (last)
			return 0;
		rc = tree_step(t, &path, true, &moved);
		if (rc)
			return rc;
	}
	return 0;
}
