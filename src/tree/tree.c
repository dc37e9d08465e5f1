/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree.c - the leaf's side of a change. See tree.h
 *
 * A change ends in one of four ways, the cheapest first: the base of a private leaf is changed
 * where it lies (leaf_insert, leaf_take_out); the entry is appended to its leaf (leaf_append); the
 * leaf is written anew as one page, which takes the place of the old one in its parent; or it
 * becomes several pages, or none, or joins its neighbour, and the parent hears of that
 * (tree_replace). Items that a page is made of may lie in the page that it replaces, so that one is
 * written last, and freed after that.
 */
#include "tree/tree.h"

#include "base/err.h"
#include "space/space.h"

/* percent of a leaf that a base leaves to the tail, unless a full tail takes less: beyond that it
 * splits */
#define LEAF_TAIL 20u
/* percent that the left leaf keeps when keys arrive in ascending order */
#define LEAF_APPEND_FILL 90u

/* ---- changing -------------------------------------------------------------------------------- */

/* editable - whether the page at off is one that the running level made. Such a page no snapshot
 * and no outer level has seen, so it may be rewritten where it is. */
static bool editable(const struct tree *t, uint64_t off)
{
	return wset_editable(t->view->w, wset_find(t->view->w, off));
}

/* tree_prev_for - what a page that replaces the one at off must name as prev: the page that the
 * last commit had there [I7]. A page of this transaction is not there for any snapshot: what stood
 * there before it is. */
uint64_t tree_prev_for(const struct tree *t, uint64_t off)
{
	const struct wpage *wp = wset_find(t->view->w, off);

	if (wp && wp->owner)
		return view_raw(t->view, off)->prev;
	return off;
}

/* tree_page_out - the page built in the set's image takes the place of old (0: of none): where old
 * is when it may be rewritten there, else on a new page. */
int tree_page_out(struct tree *t, uint64_t old, uint32_t used, uint64_t *off)
{
	assert(used > 0);
	assert(used <= t->view->w->psize);
	struct wset *w = t->view->w;
	struct wpage *wp;
	int rc;

	if (old && editable(t, old)) {
		rc = wset_touch(w, old, &wp);
	} else {
		rc = wset_new_page(w, &wp);
		if (!rc && old)
			rc = wset_retire(w, old);
	}
	if (rc)
		return rc;
	assert(wset_editable(w, wp));
	wset_install(w, wp, w->image, used);
	*off = wp->off;
	return 0;
}

/* leaves at most that the items of one or two leaves, and one more, become: see split */
#define LEAF_PARTS 3u

/*
 * split - items that are too many for a leaf are cut into parts, each of which has room in one:
 * part i ends before cut[i]. Into two: by the cut that leaves the smaller of the two biggest; when
 * keys ascend, with as many on the left as LEAF_APPEND_FILL lets, if large items about it do not
 * leave too much on the right.
 *
 * Two do for the items of a leaf and one more, none above half a leaf. But entries of a uniform
 * base take more beside one of another size, small ones two thirds, some two leaves altogether:
 * then one part after the other is filled. Three do: two neighbours take more than a leaf, and much
 * more than that where so many are small. Returns how many; 0: the entries of a damaged leaf, which
 * overlap, are too many for that.
 */
static uint32_t split(const struct tree *t, const struct item *items, uint32_t n, uint32_t total,
                      bool appends, uint32_t cut[LEAF_PARTS])
{
	assert(n > 0);
	uint32_t usable = leaf_usable(t->view->psize);
	uint32_t append_fill = usable * LEAF_APPEND_FILL / 100;
	uint32_t each = leaf_costs(t->order, items, n);
	uint32_t left = 0;
	uint32_t parts = 0;
	uint32_t batch = 0;
	uint32_t best_max = UINT32_MAX;

	cut[1] = n;
	for (uint32_t i = 0; i + 1 < n; i++) {
		if (each)
			left += each;
		else
			left += leaf_cost(t->order, items[i].klen, items[i].vlen);
		uint32_t right = total - left;
		uint32_t max = left;

		if (left <= right)
			max = right;
		if (left <= append_fill && right <= usable)
			batch = i + 1;
		if (max < best_max) {
			best_max = max;
			cut[0] = i + 1;
		}
	}
	if (appends && batch)
		cut[0] = batch;
	if (best_max <= usable)
		return 2;
	left = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t cost = leaf_cost(t->order, items[i].klen, items[i].vlen);

		if (left + cost > usable) {
			if (cost > usable)
				return 0;
			if (parts == LEAF_PARTS - 1)
				return 0;
			cut[parts++] = i;
			left = 0;
		}
		left += cost;
	}
	cut[parts++] = n;
	return parts;
}

/*
 * What the caller of a put has to know: where the value lies, to fill it, and on which page, to
 * seal it. An item that goes to a tail is known at once. In a leaf that is written anew it is item
 * index of those, and may end in any of the parts.
 */
struct placed {         /* which of the items is the new one, and where it went */
	uint32_t index; /* UINT32_MAX: none */
	/* one leaf is enough where the items fit: they are changed where they lie from here on */
	bool dense;
	/* and it lies behind all others: more like it may come */
	bool appends;
	const uint8_t *value;
	uint64_t leaf;
};

/* leaf_write - items first to first + n become the leaf that replaces old; where the new one went
 * is noted. first is where the part begins among all items, by which placed counts. An index of
 * UINT32_MAX is in no part. Errors of tree_page_out. */
static int leaf_write(struct tree *t, uint64_t old, const struct item *items, uint32_t n,
                      uint64_t prev, uint32_t first, struct placed *placed, uint64_t *off)
{
	assert(n <= LEAF_MAX(t->view->psize));
	uint32_t used = tree_leaf_image(t, items, n, prev);
	int rc = tree_page_out(t, old, used, off);

	if (rc)
		return rc;
	uint32_t own = placed->index - first;

	if (own < n) {
		placed->leaf = *off;
		placed->value = leaf_value(view_raw(t->view, *off), own);
	}
	return 0;
}

/* leaf_parts - into how many leaves n items go, which take total bytes: cut as split has it. One
 * that is nearly full without a tail would be written anew at the next puts; so it splits when its
 * base leaves less to the tail than LEAF_TAIL percent, and less than a tail of items like these
 * takes. 0 as of split. */
static uint32_t leaf_parts(const struct tree *t, const struct item *items, uint32_t n,
                           uint32_t total, bool appends, uint32_t cut[LEAF_PARTS])
{
	uint32_t usable = leaf_usable(t->view->psize);

	cut[0] = n;
	if (n == 0)
		return 1;
	uint64_t full_tail = (uint64_t)total * FMT_TAIL_SLOTS / n;
	uint64_t tail = min_u64(usable * LEAF_TAIL / 100, full_tail);

	if (total <= usable - tail)
		return 1;
	return split(t, items, n, total, appends, cut);
}

/* leaves_write - the parts become leaves, which change then names, with the separators between
 * them; the first one takes the place of old, with that prev. The others have no prev. */
static int leaves_write(struct tree *t, uint64_t old, uint64_t prev, uint32_t parts,
                        const uint32_t cut[LEAF_PARTS], struct placed *placed,
                        struct change *change)
{
	assert(parts > 0);
	assert(parts <= LEAF_PARTS);
	const struct item *items = t->scratch->items;
	uint8_t *buf = t->scratch->sepbuf;

	for (uint32_t i = 0; i + 1 < parts; i++) {
		struct sep *sep = &change->sep[i];

		tree_separator(t, &items[cut[i] - 1], &items[cut[i]], buf, sep);
		buf += tree_sep_bytes(sep);
	}
	change->m = parts;
	/* The leftmost leaf last: the others' items may lie in the page that it rewrites. */
	for (uint32_t i = parts - 1; i > 0; i--) {
		uint32_t first = cut[i - 1];
		int rc = leaf_write(t, 0, items + first, cut[i] - first, 0, first, placed,
		                    &change->kid[i]);

		if (rc)
			return rc;
	}
	return leaf_write(t, old, items, cut[0], prev, 0, placed, &change->kid[0]);
}

/* scarce_splits - a leaf that lost an entry, or has one changed by the commit, would be split, to
 * leave room for the next tail. Where pages are scarce, or with dense, that is done only when it
 * has to be, and then a removal does not take the last of the reserve: else removals would use it
 * up and give nothing back. CORRUPT, ENOMEM. */
static int scarce_splits(struct tree *t, uint32_t n, uint32_t total, bool dense, uint32_t *parts,
                         uint32_t cut[LEAF_PARTS])
{
	struct space *space = t->view->w->space;
	bool scarce;
	int rc = space_scarce(space, &scarce);

	if (rc)
		return rc;
	if ((scarce || dense) && total <= leaf_usable(t->view->psize)) {
		cut[0] = n;
		*parts = 1;
		return 0;
	}
	if (space->claim == SPACE_DELETE)
		(void)space_claim(space, SPACE_SPLIT); /* until the removal ends */
	return 0;
}

/* leaf_note - a leaf that was just written, of values of one key alone, is told. */
static int leaf_note(struct tree *t, uint64_t off)
{
	struct leaf leaf;
	struct item first;
	struct item last;

	leaf_open(t->view, view_raw(t->view, off), off, &leaf);
	assert(leaf.page->n > 0);
	int rc = base_item(&leaf, 0, &first);

	if (rc)
		return rc;
	rc = base_item(&leaf, leaf.page->n - 1u, &last);
	if (rc)
		return rc;
	if (!order_key_same(t->order, first.key, first.klen, last.key, last.klen))
		return 0;
	return tree_tally_note(t, first.key, first.klen);
}

/* leaf_rewrite - the leaf of path becomes one to three leaves, or none, with these n items (in
 * scratch->items). No item, in a leaf that is not the root: the leaf goes. The root stays as an
 * empty leaf. The path is of no use afterwards. CORRUPT, FULL, ENOMEM. */
static int leaf_rewrite(struct tree *t, struct path *path, uint32_t n, struct placed *placed)
{
	assert(path->height > 0);
	struct item *items = t->scratch->items;
	uint32_t total = tree_items_cost(t, items, n);
	uint32_t own = n;
	uint32_t cut[LEAF_PARTS];
	uint32_t parts = 1;
	struct change change;
	uint64_t old = path->leaf.off;
	uint64_t prev = tree_prev_for(t, old);
	uint64_t sibling;
	uint64_t leaf[LEAF_PARTS];
	int rc;

	change.from = path_kid(path, 0);
	change.count = 1;
	change.m = 0;
	if (n == 0 && path->height > 1) {
		t->leaf_pages--;
		rc = wset_retire(t->view->w, old);
		if (rc)
			return rc;
		return tree_replace(t, path, &change);
	}
	t->scratch->finger_of = NULL;
	rc = tree_join(t, path, items, &n, total, &change, &sibling);
	if (rc)
		return rc;
	if (sibling) { /* both together have room in one leaf */
		bool is_left = change.from != path_kid(path, 0);

		cut[0] = n;
		if (is_left && placed->index != UINT32_MAX)
			placed->index += n - own;
	} else {
		parts = leaf_parts(t, items, n, total, placed->appends, cut);
		if (parts > 1 && (placed->dense || t->view->w->space->claim != SPACE_PUT))
			rc = scarce_splits(t, n, total, placed->dense, &parts, cut);
		if (rc)
			return rc;
	}
	if (!parts)
		return err_corrupt(old, "leaf: %u entries of %u bytes together", n, total);
	rc = leaves_write(t, old, prev, parts, cut, placed, &change);
	if (rc)
		return rc;
	/* After the leaf is written: items of the sibling lie there. */
	if (sibling)
		rc = wset_retire(t->view->w, sibling);
	if (rc)
		return rc;
	counter_add(&t->view->w->compactions, 1);
	counter_add(&t->view->w->splits, parts - 1);
	t->leaf_pages += (uint64_t)parts - 1 - (sibling != 0);
	for (uint32_t i = 0; i < parts; i++)
		leaf[i] = change.kid[i];
	rc = tree_replace(t, path, &change);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < parts && parts > 1 && t->tallies; i++) {
		rc = leaf_note(t, leaf[i]);
		if (rc)
			return rc;
	}
	return 0;
}

/* blob_of - what a leaf's entry says of its large value. CORRUPT when the entry has another size.
 * Where it leads is bounded when it is followed. */
static int blob_of(const struct item *it, struct fmt_blob *blob)
{
	if (it->vlen != sizeof *blob)
		return err_corrupt(0, "an entry of %u bytes stands for a large value", it->vlen);
	memcpy(blob, it->val, sizeof *blob);
	return 0;
}

/* drop_blob - give the value's pages back, and count them off. Its extent stays for the snapshots
 * that may read it [I7]. CORRUPT, ENOMEM. */
static int drop_blob(struct tree *t, const struct fmt_blob *blob)
{
	t->blob_pages -= blob_pages(blob->len, t->view->psize);
	return blob_free(t->view->w, blob);
}

/* An entry without a large value has nothing to drop. */
int tree_blob_drop(struct tree *t, const struct item *it)
{
	struct fmt_blob blob;

	if (!(it->flags & FMT_ENTRY_BLOB))
		return 0;
	int rc = blob_of(it, &blob);

	if (rc)
		return rc;
	return drop_blob(t, &blob);
}

/* first_leaf - the tree's very first page. It has no prev: no snapshot knows the tree. */
static int first_leaf(struct tree *t, const struct item *item, struct placed *placed)
{
	assert(item->klen + item->vlen <= leaf_usable(t->view->psize));
	uint64_t off;
	int rc = leaf_write(t, 0, item, 1, 0, 0, placed, &off);

	if (rc)
		return rc;
	t->root = off;
	t->leaf_pages++;
	return 0;
}

/* shrinks_by - bytes that the entry gives up when the other takes its place, when that is half of
 * it or more; else 0. Only then is it asked whether the leaf joins a neighbour. */
static uint32_t shrinks_by(const struct tree *t, const struct item *old, const struct item *item)
{
	uint32_t was = leaf_cost(t->order, old->klen, old->vlen);
	uint32_t is = leaf_cost(t->order, item->klen, item->vlen);

	if (was >= 2 * is)
		return was - is;
	return 0;
}

/* would_join - whether the leaf would be joined if the item stood where the path points, in place
 * of an entry that took less bytes more. Most puts do not come here: less is 0. Nothing is changed.
 * CORRUPT. */
static int would_join(struct tree *t, const struct path *path, const struct item *item,
                      uint32_t less, bool *join)
{
	struct item *items = t->scratch->items;
	uint32_t n;
	int rc = tree_leaf_items(t, &path->leaf, items, &n);

	if (rc)
		return rc;
	items[path->rank] = *item;
	return tree_would_join(t, path, items, n, less, join);
}

/* suits_base - whether the item could take the place of old in a private leaf, where that lies. */
static bool suits_base(const struct tree *t, const struct leaf *l, const struct item *old,
                       const struct item *it)
{
	return !t->order->dups && it->val && !it->flags && !old->flags && it->vlen == old->vlen &&
	       l->page->heads == (FMT_UNIFORM | it->klen) && l->page->offs == it->vlen;
}

/* store_in_leaf - into the leaf of path: behind its last entry, or by writing it anew. old: the
 * entry that gives way, or NULL; last: the item lies behind all others of the tree. The cheapest
 * way that is possible is taken: over the old value, into the tail, a leaf written anew. */
static int store_in_leaf(struct tree *t, struct path *path, const struct item *item,
                         const struct item *old, bool last, struct placed *placed)
{
	struct leaf_change c = {
	    .item = *item,
	    .rank = path->rank,
	    .kind = old ? FMT_SLOT_REPLACE : FMT_SLOT_INSERT,
	    .to_fill = !item->val || item->flags & FMT_ENTRY_BLOB,
	};
	struct item *items = t->scratch->items;
	bool done = false;
	bool join = false;
	uint32_t n;
	uint32_t less = 0;
	int rc = 0;

	if (old && t->view->w->n) { /* not the transaction's first change */
		if (!t->order->dups &&
		    leaf_overwrite(t->view->w, &path->leaf, path->eoff, old, item)) {
			placed->leaf = path->leaf.off;
			placed->value = old->val;
			tree_row_own(t->scratch);
			return 0;
		}
		if (suits_base(t, &path->leaf, old, item) && !editable(t, path->leaf.off))
			rc = tree_row_begins(t, &path->leaf, TREE_ROW_UPDATES, &placed->dense);
		if (rc)
			return rc;
	}
	if (old && path->height > 1)
		less = shrinks_by(t, old, item);
	if (UNLIKELY(less)) {
		rc = would_join(t, path, item, less, &join);
		if (rc)
			return rc;
	}
	placed->leaf = path->leaf.off;
	if (!join && !placed->dense) {
		rc = leaf_append(t->view->w, t->order, &path->leaf, &c, &done, &placed->value);
		if (rc)
			return rc;
		if (done)
			return 0;
	}
	rc = tree_leaf_items(t, &path->leaf, items, &n);
	if (rc)
		return rc;
	if (!old) {
		struct item *place = items + path->rank;

		memmove(place + 1, place, (n - path->rank) * sizeof *items);
		n++;
	}
	items[path->rank] = *item;
	placed->index = path->rank;
	placed->appends = last;
	return leaf_rewrite(t, path, n, placed);
}

/* The finger stays only while puts go behind the last entry, and no page is replaced. Counts change
 * before the pages: when the change fails half-way, all of the transaction is undone. */
int tree_store(struct tree *t, struct path *path, const struct item *item, const uint8_t **value,
               uint64_t *leaf_off)
{
	assert(!t->batch);
	struct placed placed = {0};
	bool replace = path->height && path->eoff;
	bool last = !replace && tree_at_end(path);
	bool begun = false;
	int rc = 0;

	if (!last)
		t->appends = 0;
	else if (t->appends_in == t->view->w->txn)
		t->appends = t->appends + 1;
	else
		t->appends = 1;
	t->appends_in = t->view->w->txn;
	/* until a page is replaced */
	if (last && path == t->scratch->finger)
		t->scratch->finger_of = t;
	else
		t->scratch->finger_of = NULL;
	if (!replace)
		rc = tree_tally_change(t, item, true);
	if (rc)
		return rc;
	if (last && item->val && !item->flags && path == t->scratch->finger)
		rc = tree_batch_begin(t, path, item, &begun);
	if (rc)
		return rc;
	if (begun)
		return 0;
	t->count += !replace;
	if (item->flags & FMT_ENTRY_BLOB)
		t->blob_pages += blob_pages(((const struct fmt_blob *)(const void *)item->val)->len,
		                            t->view->psize);
	struct item old = {0};
	/* the key and value that are put may lie in it: it is given up last, for it may be used
	 * again at once */
	struct fmt_blob blob;

	if (replace)
		rc = leaf_item(&path->leaf, path->eoff, &old);
	if (rc)
		return rc;
	if (old.flags & FMT_ENTRY_BLOB)
		rc = blob_of(&old, &blob);
	if (rc)
		return rc;
	if (path->height)
		rc = store_in_leaf(t, path, item, replace ? &old : NULL, last, &placed);
	else
		rc = first_leaf(t, item, &placed);
	if (rc)
		return rc;
	if (old.flags & FMT_ENTRY_BLOB)
		rc = drop_blob(t, &blob);
	*value = placed.value;
	*leaf_off = placed.leaf;
	return rc;
}

/* entry_out - a removal is a tombstone in the tail as long as the leaf is well filled; else the
 * leaf is looked at with its neighbours. The finger stays until a page is replaced: a queue loses
 * entries at its begin between puts at its end. The entry's bytes stay where they are until the
 * leaf is written anew: gone points to them. */
static int entry_out(struct tree *t, struct path *path)
{
	struct placed placed = {.index = UINT32_MAX};
	struct wset *w = t->view->w;
	struct wpage *wp;
	struct item gone;
	const uint8_t *unused;
	bool done = false;
	bool join = false;
	uint32_t n;
	/* A root has no neighbour to join: its removals are tombstones while these have room. */
	uint32_t left = 1;
	int rc = leaf_item(&path->leaf, path->eoff, &gone);

	assert(path->height);
	assert(path->eoff);
	assert(!t->batch);
	if (path->height > 1)
		left = leaf_count(&path->leaf) - 1;
	t->appends = 0;
	if (rc)
		return rc;
	rc = tree_blob_drop(t, &gone);
	if (rc)
		return rc;
	t->count--;
	rc = tree_tally_change(t, &gone, false);
	if (rc)
		return rc;
	if (path->height > 1 && left && !tree_well_filled(&path->leaf, left, &gone))
		rc = tree_would_join_without(t, path, left, &gone, &join);
	if (rc)
		return rc;
	wp = wset_find(w, path->leaf.off);
	if (left && !join && wp && leaf_take_out(w, wp, &path->leaf, path->rank)) {
		tree_row_own(t->scratch);
		return 0;
	}
	if (w->n && left && !join && !wset_editable(w, wp))
		rc = tree_row_begins(t, &path->leaf, TREE_ROW_REMOVALS, &placed.dense);
	if (rc)
		return rc;
	if (left && !join && !placed.dense) {
		struct leaf_change c = {
		    .item = gone,
		    .rank = path->rank,
		    .kind = FMT_SLOT_REMOVE,
		};

		c.item.flags = 0;
		if (!t->order->dups)
			c.item.vlen = 0;
		rc = leaf_append(w, t->order, &path->leaf, &c, &done, &unused);
		if (rc)
			return rc;
		if (done)
			return 0;
	}
	rc = tree_items_without(t, path, t->scratch->items, &n);
	if (rc)
		return rc;
	return leaf_rewrite(t, path, n, &placed);
}

/* It may take what puts leave. */
int tree_remove(struct tree *t, struct path *path)
{
	struct space *space = t->view->w->space;
	const enum space_claim before = space_claim(space, SPACE_DELETE);
	int rc = entry_out(t, path);

	(void)space_claim(space, before);
	return rc;
}

/* entries_out - for several entries of one leaf it is cheaper to write the leaf anew than to append
 * a tombstone for each. So is a range, a whole key's duplicates included. */
static int entries_out(struct tree *t, struct path *path, uint32_t from, uint32_t to)
{
	assert(from <= to);
	assert(!t->batch);
	struct placed placed = {.index = UINT32_MAX};
	struct item *items = t->scratch->items;
	uint32_t n;
	int rc = tree_leaf_items(t, &path->leaf, items, &n);

	if (rc)
		return rc;
	for (uint32_t i = from; i < to; i++) {
		rc = tree_blob_drop(t, &items[i]);
		if (rc)
			return rc;
	}
	t->count -= to - from;
	memmove(items + from, items + to, (n - to) * sizeof *items);
	return leaf_rewrite(t, path, n - (to - from), &placed);
}

/* As tree_remove. */
int tree_leaf_without(struct tree *t, struct path *path, uint32_t from, uint32_t to)
{
	struct space *space = t->view->w->space;
	const enum space_claim before = space_claim(space, SPACE_DELETE);
	int rc = entries_out(t, path, from, to);

	(void)space_claim(space, before);
	return rc;
}

/* A root that snapshots know is replaced by an empty leaf that names it as prev; with forget, the
 * database itself goes. */
int tree_clear(struct tree *t, bool forget)
{
	assert(t->scratch);
	struct placed placed = {.index = UINT32_MAX};
	const struct fmt_page *page;
	uint64_t at;
	uint64_t prev;
	uint64_t off;
	int rc = tree_root(t, &page, &at);

	if (rc)
		return rc;
	if (!page)
		return 0;
	t->scratch->finger_of = NULL;
	rc = tree_tally_clear(t, forget);
	if (rc)
		return rc;
	prev = tree_prev_for(t, at);
	rc = tree_free_below(t, at, page->level, NULL);
	if (rc)
		return rc;
	t->count = t->leaf_pages = t->inner_pages = t->blob_pages = 0;
	t->root = 0;
	if (forget)
		return 0;
	const enum space_claim before = space_claim(t->view->w->space, SPACE_DELETE);

	rc = leaf_write(t, 0, NULL, 0, prev, 0, &placed, &off);
	(void)space_claim(t->view->w->space, before);
	t->root = off;
	t->leaf_pages = 1;
	return rc;
}
