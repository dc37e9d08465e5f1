/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_rise.c - keys that arrive in rising order: logs, time series, sorted loads.
 *
 * The place of the last put is remembered: while nothing but such puts happens, the next key is compared with the last one only, instead
 * of a way
 * down the tree. A private last leaf takes entries straight into its base, which was built with room for them, and when it is full the
 * next leaf begins behind
 * it: nothing is written twice. A single put per transaction has no private leaf and goes the ordinary way.
 */
#include "tree.h"

#define RUN_FULL 90u /* percent of a leaf filled this way: a later update needs room */

bool tree_at_end(const struct path *path)
{
	for (unsigned int l = 1; l < path->height; l++)
		if (path->at[l].index != path->at[l].page->n)
			return false;
	return path->height && path->rank == leaf_count(&path->leaf);
}

/* last_item - the leaf's last entry; *some false: there is none. */
static int last_item(const struct leaf *leaf, struct item *it, bool *some)
{
	uint32_t n = leaf_count(leaf), eoff;
	int rc = 0;

	*some = n > 0;
	if (n)
		rc = leaf_at(leaf, n - 1, &eoff);
	if (n && !rc)
		rc = leaf_item(leaf, eoff, it);
	return rc;
}

int tree_seek_put(struct tree *t, const struct probe *probe)
{
	struct path *path = t->scratch->finger;

	if (t->scratch->finger_of == t) {
		struct item last;
		bool some;

		leaf_open(t->view, path->at[0].page, path->at[0].off, &path->leaf);
		int rc = last_item(&path->leaf, &last, &some);

		if (rc)
			return rc;
		if (some && order_cmp(t->order, last.key, last.klen, last.val, last.vlen, probe) < 0) {
			path->rank = leaf_count(&path->leaf);
			path->eoff = 0;
			return 0;
		}
	}
	t->scratch->finger_of = NULL;
	int rc = tree_down(t, probe, path);

	if (rc || !path->height)
		return rc;
	leaf_own(&path->leaf);
	return leaf_place(&path->leaf, t->order, probe, &path->rank, &path->eoff);
}

/* tree_spare - how many more entries like these a leaf of n should have room for. */
uint32_t tree_spare(const struct tree *t, const struct item *items, uint32_t n)
{
	uint32_t full = leaf_usable(t->view->psize) * RUN_FULL / 100, cost = 0;

	for (uint32_t i = 0; i < n; i++)
		cost += leaf_cost(t->order, items[i].klen, items[i].vlen);
	return cost < full ? (full - cost) / (cost / n) : 0;
}

/* next_leaf - begin a new last leaf with the item. */
static int next_leaf(struct tree *t, struct path *path, const struct item *last, const struct item *item, const uint8_t **value, uint64_t *off)
{
	struct wset *w = t->view->w;
	struct change change = {.from = path->height > 1 ? path->at[1].index : 0, .count = 1, .m = 2};
	uint32_t plen = 0, max = last->klen < item->klen ? last->klen : item->klen;

	/* The keys to come will share with this one what it shares with the one before. */
	if (t->order->key == ORDER_BYTES)
		while (plen + 1 < max && last->key[plen] == item->key[plen])
			plen++;
	plen = plen > 8 ? plen - 2 : 0; /* the digits at the end of it count on */
	if (plen < 8)
		plen = 0;
	tree_separator(t, last, item, t->scratch->sepbuf, &change.sep[0]);
	uint32_t used = leaf_build_spare(w->image, w->psize, t->order, item, 1, w->txn, 0, tree_spare(t, item, 1), plen);
	int rc = tree_page_out(t, 0, w->image, used, off);

	if (rc)
		return rc;
	*value = leaf_value(view_raw(t->view, *off), 0);
	change.kid[0] = path->leaf.off;
	change.kid[1] = *off;
	t->leaf_pages++;
	w->splits++;
	return tree_replace(t, path, &change);
}

int tree_rise(struct tree *t, struct path *path, const struct item *item, bool *done, const uint8_t **value, uint64_t *off)
{
	struct wset *w = t->view->w;
	struct wpage *wp = wset_find(w, path->leaf.off);
	uint32_t cost = leaf_cost(t->order, item->klen, item->vlen), used = path->leaf.page->end - FMT_LEAF_BASE;
	struct item last;
	bool some;

	*done = false;
	if (!wset_editable(w, wp) || wp->npending || path->leaf.nslots)
		return 0;
	*off = path->leaf.off;
	if (used + cost <= leaf_usable(w->psize) * RUN_FULL / 100)
		return leaf_push(w, t->order, &path->leaf, item, done, value);
	int rc = last_item(&path->leaf, &last, &some);

	if (rc || !some)
		return rc;
	*done = true;
	return next_leaf(t, path, &last, item, value, off);
}
