/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_compact.c - a tree's pages move to the front of the file, and sparse leaves are packed.
 *
 * A step looks at one leaf and those behind it under the same parent. What it does is a change like
 * any other: new pages take the place of old ones in their parent [I7] [I8], at the first free
 * places of the file. It does the first of these that there is to do:
 *
 *   1 a page on the way to the leaf lies too far behind: it is written anew
 *   2 a large value of the leaf does: it is copied
 *   3 the leaves beside have room for those of fewer: they are packed
 *   4 the leaf itself lies too far behind: it is written anew
 *
 * The place is remembered as the kid taken on each level, and not by a key: so it needs no order,
 * which a database with a comparator of the program's own does not show. Changes meanwhile shift
 * it, so that a leaf is passed over or looked at twice; the next walk through the tree finds it.
 */
#include "tree/tree.h"

#include "base/err.h"
#include "space/space.h"

#include <errno.h>
#include <stdlib.h>

#define GROUP      12u /* leaves that are packed at once */
#define FILL       90u /* percent of a leaf */
#define GAIN_PARTS 6u  /* a group is packed when that part of its leaves goes */

struct tree_compact {
	struct item *items; /* GROUP * LEAF_MAX */
	uint8_t *seps;      /* GROUP pages */
};

/* Memory for a group of leaves, once for a walk: no step allocates. ENOMEM. */
int tree_compact_open(uint32_t psize, struct tree_compact **out)
{
	struct tree_compact *c = calloc(1, sizeof *c);

	if (c) {
		c->items = malloc(GROUP * (size_t)LEAF_MAX(psize) * sizeof *c->items);
		c->seps = malloc(GROUP * (size_t)psize);
	}
	if (c && c->items && c->seps) {
		*out = c;
		return 0;
	}
	tree_compact_close(c);
	return err_set(ENOMEM, "no memory to pack leaves");
}

/* NULL, and what tree_compact_open left half-way, is safe. */
void tree_compact_close(struct tree_compact *c)
{
	if (!c)
		return;
	free(c->items);
	free(c->seps);
	free(c);
}

/* way - the path to the place. Where a page has no such kid the place is behind it: the next one of
 * the page above. *there false: it is behind the last leaf. CORRUPT. */
static int way(const struct tree *t, struct tree_place *place, struct path *path, bool *there)
{
	const struct fmt_page *page = NULL;
	uint64_t at = 0;
	int rc = tree_root(t, &page, &at);

	*there = false;
	path->height = 0;
	path->rank = path->eoff = 0;
	if (rc)
		return rc;
	if (!page)
		return 0;
	unsigned int level = page->level % TREE_DEPTH;

	if (place->height != level + 1u) /* another tree than before: from its beginning */
		*place = (struct tree_place){.height = level + 1u};
	path->height = level + 1;
	path->at[level].page = page;
	path->at[level].off = at;
	while (level) {
		uint32_t *kid = &place->kid[level];

		if (*kid > path->at[level].page->n) {
			*kid = 0;
			if (++level == path->height)
				return 0;
			place->kid[level]++;
			for (unsigned int below = 1; below < level; below++)
				place->kid[below] = 0;
			continue;
		}
		path->at[level].index = *kid;
		rc = view_page(t->view,
		               inner_kid(t->view, path->at[level].page, path->at[level].off, *kid),
		               level - 1, &path->at[level - 1].page, &path->at[level - 1].off);
		if (rc)
			return rc;
		level--;
	}
	*there = path->height > 1 || place->kid[0] == 0;
	leaf_open(t->view, path->at[0].page, path->at[0].off, &path->leaf);
	return 0;
}

/* passed - the place is that many leaves further on. A kid number behind the page's last one is
 * made good by way. */
static void passed(struct tree_place *place, uint32_t leaves)
{
	place->kid[place->height > 1 ? 1 : 0] += leaves;
}

/* behind - space_behind. */
static int behind(const struct tree *t, uint64_t off, uint64_t pages, uint64_t boundary, bool *is)
{
	return space_behind(t->view->w->space, off, pages, boundary, is);
}

/* way_moves - the uppermost page of the way that is to move, if there is one. The path is of no use
 * afterwards when *moved. */
static int way_moves(struct tree *t, struct path *path, uint64_t boundary, bool *moved)
{
	*moved = false;
	for (unsigned int level = path->height - 1; level > 0; level--) {
		int rc = behind(t, path->at[level].off, 1, boundary, moved);

		if (rc)
			return rc;
		if (*moved)
			return tree_inner_move(t, path, level);
	}
	return 0;
}

/* value_copy - the large value of the entry at the path's place gets another extent. The old extent
 * is retired with the entry that gives way. Errors of blob_write and tree_store. */
static int value_copy(struct tree *t, struct path *path, struct item *item)
{
	struct fmt_blob blob;
	const uint8_t *bytes;
	const uint8_t *unused;
	uint64_t leaf;

	memcpy(&blob, item->val, sizeof blob);
	int rc = blob_bytes(t->view, &blob, &bytes);

	if (rc)
		return rc;
	rc = blob_write(t->view->w, bytes, blob.len, &blob);
	if (rc)
		return rc;
	item->val = (const uint8_t *)&blob;
	return tree_store(t, path, item, &unused, &leaf);
}

/* value_moves - the leaf's first large value that is to move, if there is one. *pages: of it. One
 * value a step: the store changes the leaf, and the path is of no use afterwards. */
static int value_moves(struct tree *t, struct path *path, uint64_t boundary, uint64_t *pages)
{
	uint32_t n = 0;
	int rc = 0;

	*pages = 0;
	if (!t->blob_pages)
		return 0;
	rc = tree_leaf_items(t, &path->leaf, t->scratch->items, &n);
	for (uint32_t i = 0; i < n && !rc; i++) {
		struct item item = t->scratch->items[i];
		struct fmt_blob blob;
		bool is;

		if (!(item.flags & FMT_ENTRY_BLOB) || item.vlen != sizeof blob)
			continue;
		memcpy(&blob, item.val, sizeof blob);
		const uint64_t size = blob_pages(blob.len, t->view->psize);

		rc = behind(t, blob.off, size, boundary, &is);
		if (rc || !is)
			continue;
		path->rank = i;
		rc = leaf_at(&path->leaf, i, &path->eoff);
		if (rc)
			return rc;
		*pages = size;
		return value_copy(t, path, &item);
	}
	return rc;
}

/* group_gather - the items of the path's leaf and of those behind it under the same parent.
 * *leaves: how many. The items point into the leaves' pages, which must stay until they are written
 * elsewhere. CORRUPT. */
static int group_gather(struct tree *t, const struct tree_compact *c, const struct path *path,
                        uint32_t *leaves, uint32_t *items)
{
	uint32_t first = path_kid(path, 0);
	uint32_t last = first;

	*leaves = *items = 0;
	if (path->height > 1)
		last = (uint32_t)min_u64(path->at[1].page->n, first + GROUP - 1);
	for (uint32_t i = first; i <= last; i++) {
		struct leaf leaf = path->leaf;
		uint32_t n;

		if (i > first) {
			const struct fmt_page *page = NULL;
			uint64_t at = 0;
			int rc = view_page(t->view,
			                   inner_kid(t->view, path->at[1].page, path->at[1].off, i),
			                   0, &page, &at);

			if (rc)
				return rc;
			leaf_open(t->view, page, at, &leaf);
		}
		int rc = tree_leaf_items(t, &leaf, c->items + *items, &n);

		if (rc)
			return rc;
		*items += n;
		++*leaves;
	}
	return 0;
}

/* group_cut - items that go to leaves which are filled to FILL: part i ends before cut[i]. Returns
 * how many parts; more than most: too many. One item that is larger than the limit is a part by
 * itself. */
static uint32_t group_cut(const struct tree *t, const struct item *items, uint32_t n, uint32_t most,
                          uint32_t cut[GROUP])
{
	const uint32_t limit = leaf_usable(t->view->psize) * FILL / 100;
	const uint32_t each = leaf_costs(t->order, items, n);
	uint32_t parts = 0;
	uint32_t used = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t cost = each;

		if (!each)
			cost = leaf_cost(t->order, items[i].klen, items[i].vlen);

		if (used && used + cost > limit) {
			if (parts == most)
				return most + 1;
			cut[parts++] = i;
			used = 0;
		}
		used += cost;
	}
	if (parts == most)
		return most + 1;
	cut[parts++] = n;
	return parts;
}

/* group_retire - leaves that others took the place of. All places are looked up before the first
 * page goes. CORRUPT, ENOMEM. */
static int group_retire(struct tree *t, const struct path *path, uint32_t leaves)
{
	uint64_t off[GROUP] = {path->at[0].off};

	for (uint32_t i = 1; i < leaves; i++) {
		const struct fmt_page *page = NULL;
		int rc = view_page(
		    t->view,
		    inner_kid(t->view, path->at[1].page, path->at[1].off, path_kid(path, 0) + i), 0,
		    &page, &off[i]);

		if (rc)
			return rc;
	}
	for (uint32_t i = 0; i < leaves; i++) {
		int rc = wset_retire(t->view->w, off[i]);

		if (rc)
			return rc;
	}
	return 0;
}

/* group_write - the parts become leaves, in place of so many. All new leaves are written before the
 * old ones go, in which their items lie. The first one names the group's first leaf as prev. */
static int group_write(struct tree *t, const struct tree_compact *c, struct path *path,
                       uint32_t leaves, uint32_t parts, const uint32_t *cut)
{
	struct wset *w = t->view->w;
	const uint64_t prev = tree_prev_for(t, path->at[0].off);
	struct change change = {.from = path_kid(path, 0), .count = leaves, .m = parts};
	uint8_t *seps = c->seps;
	uint32_t first = 0;

	t->scratch->finger_of = NULL;
	for (uint32_t i = 0; i < parts; first = cut[i++]) {
		if (i) {
			tree_separator(t, &c->items[first - 1], &c->items[first], seps,
			               &change.sep[i - 1]);
			seps += tree_sep_bytes(&change.sep[i - 1]);
		}
		uint32_t used = leaf_build(w->image, w->psize, t->order, c->items + first,
		                           cut[i] - first, w->txn, i ? 0 : prev);
		int rc = tree_page_out(t, 0, used, &change.kid[i]);

		if (rc)
			return rc;
	}
	int rc = group_retire(t, path, leaves);

	if (rc)
		return rc;
	t->leaf_pages = t->leaf_pages + parts - leaves;
	return tree_replace(t, path, &change);
}

/* leaves_move - pack the leaf with those behind it when that is worth it; else move it alone when
 * it lies behind the boundary. */
static int leaves_move(struct tree *t, const struct tree_compact *c, struct path *path,
                       struct tree_place *place, uint64_t boundary, uint64_t *pages)
{
	uint32_t cut[GROUP];
	uint32_t leaves;
	uint32_t n;
	int rc = group_gather(t, c, path, &leaves, &n);

	if (rc)
		return rc;
	uint32_t most = leaves - (leaves + GAIN_PARTS - 1) / GAIN_PARTS;
	uint32_t parts = most + 1;
	uint32_t own = leaf_count(&path->leaf);
	bool is = n > 0;

	if (most && n)
		parts = group_cut(t, c->items, n, most, cut);
	if (parts > most) {
		leaves = parts = 1;
		cut[0] = own;
		rc = behind(t, path->at[0].off, 1, boundary, &is);
		/* one that would not fit when it is written anew stays: see collapse_fits */
		if (rc || !is || tree_items_cost(t, c->items, own) > leaf_usable(t->view->psize)) {
			passed(place, 1);
			return rc;
		}
	}
	*pages = parts;
	passed(place, parts);
	return group_write(t, c, path, leaves, parts, cut);
}

/* In the order of the list above: pages of the way first, so that what comes after is done on a way
 * that stays. */
int tree_compact_step(struct tree *t, struct tree_compact *c, struct tree_place *place,
                      uint64_t boundary, uint64_t *pages, bool *end)
{
	assert(t->scratch);
	struct path path;
	bool there;
	bool moved;
	int rc = way(t, place, &path, &there);

	*pages = 0;
	*end = !rc && !there;
	if (rc)
		return rc;
	if (!there)
		return 0;
	rc = way_moves(t, &path, boundary, &moved);
	if (rc || moved) {
		*pages = moved;
		return rc;
	}
	rc = value_moves(t, &path, boundary, pages);
	if (rc)
		return rc;
	if (*pages)
		return 0;
	return leaves_move(t, c, &path, place, boundary, pages);
}
