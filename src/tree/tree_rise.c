/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_rise.c - keys that arrive in rising order: logs, time series, sorted loads.
 *
 * The place of the last put is remembered: while nothing but such puts happens, the next key is compared with the last one only, instead of a way
 * down the tree. When the last leaf is private, or after some such puts, a run begins:
 *
 *   tree ... -> [ last leaf ]    [leaf] [leaf] streamed to their pages, which nothing refers to yet    [leaf] in the making, in memory
 *
 * A put then copies its entry to the leaf in the making, and that is all: no way down, no slot, no checksum of its own, no cache line that was not there.
 * A full leaf goes to its page in one stream. The first one takes the place of the tree's last leaf, as any page that is written anew does [I7]. The parents
 * hear of these pages when the run is settled, TREE_RUN_KIDS at a time at most. A load (tree_load.c) is told how entries come and when they end; a run
 * finds out.
 *
 * The rule that makes it correct: nobody looks at a tree that has a run. tree_root, where every way down begins, settles it; so do commit and the
 * beginning and end of a nested transaction. Until then the transaction's pages are private, and to undo it is to forget the run. When a run cannot be
 * settled (no space for an inner page), the tree is unusable (failed) and the transaction can only be aborted, even if it was a get that met the error:
 * tree_settle_all, which every commit begins with, repeats it.
 */
#include "tree/tree.h"

#include <errno.h>
#include <stdlib.h>

#define RUN_FULL 90u /* percent of a leaf filled this way: a later update needs room */
#define RUN_AFTER 2u /* rising puts that a run may expect more of, when the last leaf is private and has no tail */
#define RUN_COPY 8u  /* rising puts after which any last leaf is written anew for a run, or after twice as many and so on if it is too full: a page for
                      * what would be a few lines each */

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

int tree_seek_put(struct tree *t, const struct probe *probe, uint32_t bytes)
{
	struct path *path = t->scratch->finger;

	if (t->scratch->finger_of == t && !t->run) {
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
	leaf_own(&path->leaf, bytes);
	return leaf_place(&path->leaf, t->order, probe, &path->rank, &path->eoff);
}

/* ---- runs ----------------------------------------------------------------------------------------------------------------- */

/* run_out - the leaf in the making goes to its page. */
static void run_out(struct tree *t, struct tree_run *run)
{
	struct wset *w = t->view->w;
	uint32_t used = leaf_pack_build(&run->pack, t->order, w->txn, run->prev);

	wset_install_whole(w, run->wp, run->pack.page, used);
}

/* run_link - the run's first page takes the place of the tree's last leaf, and those behind it become its neighbours. The path is of no use then. */
static int run_link(struct tree *t, struct tree_run *run)
{
	return run->change.m > 1 || run->change.kid[0] != run->path.at[0].off ? tree_replace(t, &run->path, &run->change) : 0;
}

int tree_settle(struct tree *t)
{
	struct tree_run *run = t->run;

	if (!run)
		return t->failed;
	t->run = NULL;
	run->tree = NULL;
	t->scratch->runs--;
	t->rising = 0;
	t->scratch->finger_of = NULL;
	run_out(t, run);
	t->failed = run_link(t, run);
	if (t->failed)
		t->scratch->failed = t->failed;
	return t->failed;
}

int tree_settle_all(struct tree_scratch *s)
{
	int rc = s->failed;

	for (unsigned int i = 0; s->runs && i < TREE_RUNS && !rc; i++)
		if (s->run[i].tree)
			rc = tree_settle(s->run[i].tree);
	return rc;
}

void tree_forget(struct tree_scratch *s)
{
	for (unsigned int i = 0; s->runs && i < TREE_RUNS; i++) {
		if (s->run[i].tree)
			s->run[i].tree->run = NULL;
		s->run[i].tree = NULL;
	}
	s->runs = 0;
	s->failed = 0;
	s->finger_of = NULL;
}

/* run_take - a run that nobody uses, or the one that was used least recently. ENOMEM, and errors of settling that one. */
static int run_take(struct tree *t, struct tree_run **out)
{
	struct tree_run *run = t->scratch->run;
	uint32_t psize = t->view->psize;

	for (unsigned int i = 1; i < TREE_RUNS && run->tree; i++)
		if (!t->scratch->run[i].tree || t->scratch->run[i].used < run->used)
			run = &t->scratch->run[i];
	if (run->tree) {
		int rc = tree_settle(run->tree);

		if (rc)
			return rc;
	}
	if (!run->pack.page) {
		run->pack.page = malloc(3 * (size_t)psize + LEAF_PACK_MAX(psize) * sizeof *run->pack.off);
		if (!run->pack.page)
			return err_set(ENOMEM, "no memory for rising keys");
		run->seps = run->pack.page + 2 * (size_t)psize;
		run->pack.off = (void *)(run->seps + psize);
		run->pack.psize = psize;
		run->pack.limit = FMT_LEAF_BASE + leaf_usable(psize) * RUN_FULL / 100;
	}
	*out = run;
	return 0;
}

/* run_page - the page for the run's first leaf, in the place of the tree's last one: that one if it may be written anew where it is. */
static int run_page(struct tree *t, struct tree_run *run, uint64_t old)
{
	struct wset *w = t->view->w;
	int rc;

	run->prev = tree_prev_for(t, old);
	if (wset_editable(w, wset_find(w, old)))
		return wset_touch(w, old, &run->wp);
	rc = wset_new_page(w, &run->wp);
	return rc ? rc : wset_retire(w, old);
}

/* run_takes - whether the item may follow the last one of the leaf in the making. key_rises: its key must be greater. */
static inline bool run_takes(const struct tree *t, const struct tree_run *run, const struct item *item, bool key_rises)
{
	return leaf_pack_rises(&run->pack, t->order, item, key_rises) &&
	       (!(t->order->flags & DAXKV_DUP_FIXED) || item->vlen == leaf_pack_item(&run->pack, run->pack.n - 1).vlen);
}

int tree_run_begin(struct tree *t, const struct path *path, const struct item *item, bool *begun)
{
	struct wset *w = t->view->w;
	struct wpage *wp = wset_find(w, path->leaf.off);
	bool ready = wset_editable(w, wp) && !wp->npending && !path->leaf.nslots;
	struct item *items = t->scratch->items;
	struct tree_run *run = NULL;
	uint32_t n = 0;

	*begun = false;
	if (ready ? t->rising < RUN_AFTER : t->rising % RUN_COPY != 0)
		return 0;
	int rc = run_take(t, &run);

	if (!rc)
		rc = tree_leaf_items(t, &path->leaf, items, &n);
	if (rc || n == 0)
		return rc;
	run->pack.n = 0;
	for (uint32_t i = 0; i < n; i++)
		if (!leaf_pack_add(&run->pack, t->order, &items[i])) /* too full: it will split first */
			return 0;
	if (!run_takes(t, run, item, false))
		return err_corrupt(path->leaf.off, "leaf: its entries are not in order, or not of one size");
	if (!leaf_pack_add(&run->pack, t->order, item)) /* now: its bytes may lie in the page that will be written anew */
		return 0;
	rc = run_page(t, run, path->leaf.off);
	if (rc)
		return rc;
	counter_add(&w->compactions, !ready);
	run->cost = run->bytes = 0;
	run->change.from = path->height > 1 ? path->at[1].index : 0;
	run->change.count = run->change.m = 1;
	run->change.kid[0] = run->wp->off;
	run->path.height = path->height;
	memcpy(run->path.at, path->at, path->height * sizeof path->at[0]);
	run->tree = t;
	run->used = w->changes;
	t->run = run;
	t->count++;
	t->scratch->runs++;
	*begun = true;
	return 0;
}

/* run_next - the leaf in the making is full: it goes to its page, and the next one begins with the item. *done false: the parents have to hear of the
 * pages first. */
static int run_next(struct tree *t, struct tree_run *run, const struct item *item, bool *done)
{
	struct wset *w = t->view->w;
	struct change *c = &run->change;
	struct sep *sep = &c->sep[c->m - 1];
	struct wpage *wp;

	*done = false;
	if (c->m > TREE_RUN_KIDS || run->bytes + item->klen + (t->order->dups ? item->vlen : 0) > w->psize || run->cost > inner_usable(w->psize) / 2)
		return 0;
	struct item last = leaf_pack_item(&run->pack, run->pack.n - 1);

	tree_separator(t, &last, item, run->seps + run->bytes, sep);
	int rc = wset_new_page(w, &wp);

	if (rc)
		return rc;
	run->bytes += sep->klen + (sep->dlen == FMT_SEP_NODUP ? 0 : sep->dlen);
	run->cost += inner_cost(sep);
	run_out(t, run);
	run->pack.n = 0;
	run->wp = wp;
	run->prev = 0;
	*done = leaf_pack_add(&run->pack, t->order, item);
	assert(*done);
	c->kid[c->m++] = wp->off;
	t->leaf_pages++;
	counter_add(&w->splits, 1);
	return 0;
}

int tree_run_put(struct tree *t, const struct item *item, bool key_rises, bool *done)
{
	struct tree_run *run = t->run;

	*done = false;
	if (UNLIKELY(!run_takes(t, run, item, key_rises)))
		return 0;
	*done = leaf_pack_add(&run->pack, t->order, item);
	if (UNLIKELY(!*done)) {
		int rc = run_next(t, run, item, done);

		if (rc || !*done)
			return rc;
	}
	run->used = t->view->w->changes;
	t->count++;
	return 0;
}
