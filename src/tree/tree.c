/* SPDX-License-Identifier: BSD-3-Clause */
/* tree.c - looking things up; the leaf's side of a change. See tree.h */
#include "tree/tree.h"

#include <errno.h>
#include <stdlib.h>

#define LEAF_TAIL                                                                                  \
	20u /* percent of a leaf that a base leaves to the tail, unless a full tail takes less:    \
	       beyond that it splits */
#define LEAF_APPEND_FILL                                                                           \
	90u /* percent that the left leaf keeps when keys arrive in ascending order */
#define LEAF_LINES                                                                                 \
	32u /* prefetched on the way to a leaf: what the search touches, and with some luck the    \
	       entry */
#define WRITE_LINES 48u /* the same for a writer: with some luck the tail's end, too */
#define INNER_LINES                                                                                \
	28u /* of a page above leaves: heads and kids. The few pages above these are in the cache  \
	     */

int tree_scratch_open(struct tree_scratch *s, uint32_t psize)
{
	*s = (struct tree_scratch){
	    .items = malloc((2 * (size_t)LEAF_MAX(psize) + 2) * sizeof *s->items),
	    .seps = malloc((2 * (size_t)INNER_MAX(psize) + 8) * sizeof *s->seps),
	    .kids = malloc((2 * (size_t)INNER_MAX(psize) + 8) * sizeof *s->kids),
	    .offsets = malloc(LEAF_MAX(psize) * sizeof *s->offsets),
	    .sepbuf = malloc(6 * (size_t)psize),
	    .finger = malloc(sizeof *s->finger),
	    .batch = calloc(TREE_BATCHES, sizeof *s->batch),
	};
	if (s->items && s->seps && s->kids && s->offsets && s->sepbuf && s->finger && s->batch)
		return 0;
	tree_scratch_close(s);
	return err_set(ENOMEM, "no memory for the writer's scratch pages");
}

void tree_scratch_close(struct tree_scratch *s)
{
	free(s->items);
	free(s->seps);
	free(s->kids);
	free(s->offsets);
	free(s->sepbuf);
	free(s->finger);
	for (unsigned int i = 0; s->batch && i < TREE_BATCHES; i++)
		free(s->batch[i].pack.page);
	free(s->batch);
	free(s->tally);
	*s = (struct tree_scratch){0};
}

/* ---- finding --------------------------------------------------------------------------------- */

int tree_root(const struct tree *t, const struct fmt_page **page, uint64_t *at)
{
	int rc;

	*page = NULL;
	if (UNLIKELY(t->batch || t->failed)) {
		rc = t->batch ? tree_flush(t->batch->tree) : t->failed;
		if (rc)
			return rc;
	}
	if (!t->root)
		return 0;
	rc = view_version(t->view, t->root, 0, page, at);
	if (rc || !*page)
		return rc;
	if ((*page)->level >= TREE_DEPTH || !page_sound(*page, (*page)->level, t->view->psize))
		return view_fault(t->view, *at, 0);
	return 0;
}

static void prefetch(const struct view *v, uint64_t off, unsigned int lines)
{
	const uint8_t *p = v->base + off;

#pragma GCC unroll 4
	for (unsigned int i = 0; i < lines; i++)
		__builtin_prefetch(p + i * FMT_LINE);
}

/* level_of - of a page that tree_root found. Levels are counted down from there, not read again:
 * the page may be changing (view_evicted). */
static inline unsigned int level_of(const struct fmt_page *root)
{
	return once(root->level) % TREE_DEPTH;
}

/* kid_of - the kid at index, of that level, as this view sees it. */
static int kid_of(const struct tree *t, const struct fmt_page *page, uint64_t off, uint32_t index,
                  unsigned int level, const struct fmt_page **kid, uint64_t *at)
{
	uint64_t ref = inner_kid(t->view, page, off, index);

	if (LIKELY(ref < view_size(t->view)))
		prefetch(t->view, ref,
		         level > 1    ? 0
		         : level == 1 ? INNER_LINES
		         : t->view->w ? WRITE_LINES
		                      : LEAF_LINES);
	return view_page(t->view, ref, level, kid, at);
}

int tree_get(const struct tree *t, const uint8_t *key, uint32_t klen, struct item *item,
             bool *found)
{
	struct probe p = {.key = key, .klen = klen};
	const struct fmt_page *page;
	uint32_t index, fp = order_fp(key, klen);
	uint64_t at;
	int rc = tree_root(t, &page, &at);

	*found = false;
	if (rc || !page)
		return rc;
	for (unsigned int level = level_of(page); level; level--) {
		rc = inner_find(t->view, page, at, t->order, &p, &index);
		if (!rc)
			rc = kid_of(t, page, at, index, level - 1, &page, &at);
		if (rc)
			return rc;
	}
	return leaf_get(t->view, page, at, t->order, key, klen, fp, item, found);
}

static int descend(const struct tree *t, struct path *path, const struct probe *probe, bool last)
{
	const struct fmt_page *page;
	uint64_t at;
	int rc = tree_root(t, &page, &at);

	path->height = 0;
	path->rank = path->eoff = 0;
	if (rc || !page)
		return rc;
	unsigned int level = level_of(page), height = level + 1;

	for (;; level--) {
		uint32_t index = last ? page->n : 0;

		path->at[level].page = page;
		path->at[level].off = at;
		if (level == 0)
			break;
		if (probe)
			rc = inner_find(t->view, page, at, t->order, probe, &index);
		path->at[level].index = index;
		if (!rc)
			rc = kid_of(t, page, at, index, level - 1, &page, &at);
		if (rc)
			return rc;
	}
	path->height = height;
	leaf_open(t->view, page, at, &path->leaf);
	return 0;
}

int tree_down(const struct tree *t, const struct probe *probe, struct path *path)
{
	return descend(t, path, probe, false);
}

int tree_seek(const struct tree *t, const struct probe *probe, struct path *path)
{
	int rc = descend(t, path, probe, false);

	if (rc || !path->height)
		return rc;
	return leaf_place(&path->leaf, t->order, probe, &path->rank, &path->eoff);
}

int tree_edge(const struct tree *t, bool last, struct path *path)
{
	return descend(t, path, NULL, last);
}

uint64_t tree_beside(const struct tree *t, const struct path *path, bool forward)
{
	uint32_t index = path->height > 1 ? path->at[1].index : 0;

	if (path->height < 2 || index == (forward ? path->at[1].page->n : 0))
		return 0;
	uint64_t ref =
	    inner_kid(t->view, path->at[1].page, path->at[1].off, forward ? index + 1 : index - 1);

	return ref <= view_size(t->view) - t->view->psize ? ref : 0;
}

/* step_over - to the kid beside the one taken on that level, and down to its nearest leaf. A page
 * that is damaged is not passed by trying again: till all are read the path stays. */
static __attribute__((noinline)) int step_over(const struct tree *t, struct path *path,
                                               bool forward, unsigned int level)
{
	struct {
		const struct fmt_page *page;
		uint64_t off;
	} kid[TREE_DEPTH];
	const struct fmt_page *page = path->at[level].page;
	uint64_t off = path->at[level].off;
	uint32_t index = path->at[level].index + (forward ? 1 : UINT32_MAX);

	for (unsigned int l = level; l > 0; l--) {
		int rc = kid_of(t, page, off, index, l - 1, &kid[l - 1].page, &kid[l - 1].off);

		if (rc)
			return rc;
		page = kid[l - 1].page;
		off = kid[l - 1].off;
		index = forward ? 0 : page->n;
	}
	path->at[level].index += forward ? 1 : UINT32_MAX;
	for (; level > 0; level--) {
		path->at[level - 1].page = kid[level - 1].page;
		path->at[level - 1].off = kid[level - 1].off;
		path->at[level - 1].index = forward ? 0 : kid[level - 1].page->n;
	}
	return 0;
}

/* step_beside - the same where the leaf beside has the same parent. */
static inline int step_beside(const struct tree *t, struct path *path, bool forward)
{
	uint32_t index = path->at[1].index + (forward ? 1 : UINT32_MAX);
	const struct fmt_page *page;
	uint64_t off;
	int rc = kid_of(t, path->at[1].page, path->at[1].off, index, 0, &page, &off);

	if (rc)
		return rc;
	path->at[1].index = index;
	path->at[0].page = page;
	path->at[0].off = off;
	path->at[0].index = forward ? 0 : page->n;
	return 0;
}

int tree_step(const struct tree *t, struct path *path, bool forward, bool *moved)
{
	unsigned int level = 1;

	*moved = false;
	if (UNLIKELY(view_evicted(t->view)))
		return view_too_old(t->view);
	while (level < path->height && (forward ? path->at[level].index >= path->at[level].page->n
	                                        : path->at[level].index == 0))
		level++;
	if (level >= path->height)
		return 0;
	int rc =
	    LIKELY(level == 1) ? step_beside(t, path, forward) : step_over(t, path, forward, level);

	if (rc)
		return rc;
	leaf_open(t->view, path->at[0].page, path->at[0].off, &path->leaf);
	path->rank = path->eoff = 0;
	*moved = true;
	return 0;
}

int tree_first(const struct tree *t, const struct probe *probe, struct path *path,
               struct item *item, bool *found)
{
	int rc = tree_seek(t, probe, path);
	bool moved = true;

	*found = false;
	if (rc || !path->height)
		return rc;
	while (path->rank >= leaf_count(&path->leaf)) {
		rc = tree_step(t, path, true, &moved);
		if (rc || !moved)
			return rc;
	}
	rc = leaf_at(&path->leaf, path->rank, &path->eoff);
	if (!rc)
		rc = leaf_item(&path->leaf, path->eoff, item);
	*found = !rc;
	return rc;
}

/* ---- changing -------------------------------------------------------------------------------- */

static bool editable(const struct tree *t, uint64_t off)
{
	return wset_editable(t->view->w, wset_find(t->view->w, off));
}

/* tree_prev_for - what a page that replaces the one at off must name as prev: the page that the
 * last commit had there [I7]. */
uint64_t tree_prev_for(const struct tree *t, uint64_t off)
{
	const struct wpage *wp = wset_find(t->view->w, off);

	return wp && wp->owner ? view_raw(t->view, off)->prev : off;
}

/* tree_page_out - the page built in image takes the place of old (0: of none): where old is when it
 * may be rewritten there, else on a new page. */
int tree_page_out(struct tree *t, uint64_t old, uint8_t *image, uint32_t used, uint64_t *off)
{
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
	wset_install(w, wp, image, used);
	*off = wp->off;
	return 0;
}

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
	uint32_t usable = leaf_usable(t->view->psize), each = leaf_costs(t->order, items, n),
	         left = 0, parts = 0, batch = 0, best_max = UINT32_MAX;

	cut[1] = n;
	for (uint32_t i = 0; i + 1 < n; i++) {
		left += each ? each : leaf_cost(t->order, items[i].klen, items[i].vlen);
		uint32_t max = left > total - left ? left : total - left;

		if (left <= usable * LEAF_APPEND_FILL / 100 && total - left <= usable)
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
			if (cost > usable || parts == LEAF_PARTS - 1)
				return 0;
			cut[parts++] = i;
			left = 0;
		}
		left += cost;
	}
	cut[parts++] = n;
	return parts;
}

struct placed {         /* which of the items is the new one, and where it went */
	uint32_t index; /* UINT32_MAX: none */
	bool appends;   /* and it lies behind all others: more like it may come */
	const uint8_t *value;
	uint64_t leaf;
};

static int leaf_write(struct tree *t, uint64_t old, const struct item *items, uint32_t n,
                      uint64_t prev, uint32_t first, struct placed *placed, uint64_t *off)
{
	struct wset *w = t->view->w;
	uint32_t used = leaf_build(w->image, w->psize, t->order, items, n, w->txn, prev);
	int rc = tree_page_out(t, old, w->image, used, off);

	if (!rc && placed->index - first < n) {
		placed->leaf = *off;
		placed->value = leaf_value(view_raw(t->view, *off), placed->index - first);
	}
	return rc;
}

/* leaf_rewrite - the leaf of path becomes one to three leaves, or none, with these n items (in
 * scratch->items). */
static int leaf_rewrite(struct tree *t, struct path *path, uint32_t n, struct placed *placed)
{
	struct item *items = t->scratch->items;
	uint32_t usable = leaf_usable(t->view->psize), total = tree_items_cost(t, items, n);
	struct change change;
	uint64_t old = path->leaf.off, prev = tree_prev_for(t, old), sibling;
	int rc;

	change.from = path->height > 1 ? path->at[1].index : 0;
	change.count = 1;
	change.m = 0;
	if (n == 0 && path->height > 1) {
		t->leaf_pages--;
		rc = wset_retire(t->view->w, old);
		return rc ? rc : tree_replace(t, path, &change);
	}
	uint32_t own = n;

	t->scratch->finger_of = NULL;
	rc = tree_join(t, path, items, &n, total, &change, &sibling);
	if (rc)
		return rc;
	if (sibling && change.from != path->at[1].index && placed->index != UINT32_MAX)
		placed->index += n - own;
	uint32_t cut[LEAF_PARTS] = {n}, parts = 1;
	uint8_t *buf = t->scratch->sepbuf;

	if (!sibling && n > 0 &&
	    total >
	        usable - min_u64(usable * LEAF_TAIL / 100, (uint64_t)total * FMT_TAIL_SLOTS / n))
		parts = split(t, items, n, total, placed->appends, cut);
	if (!parts)
		return err_corrupt(old, "leaf: %u entries of %u bytes together", n, total);
	for (uint32_t i = 0; i + 1 < parts; i++) {
		struct sep *sep = &change.sep[i];

		tree_separator(t, &items[cut[i] - 1], &items[cut[i]], buf, sep);
		buf += sep->klen + (sep->dlen == FMT_SEP_NODUP ? 0 : sep->dlen);
	}
	change.m = parts;
	/* The leftmost leaf last: the others' items may lie in the page that it rewrites. */
	for (uint32_t i = parts; i-- > 0 && !rc;) {
		uint32_t first = i ? cut[i - 1] : 0;

		rc = leaf_write(t, i ? 0 : old, items + first, cut[i] - first, i ? 0 : prev, first,
		                placed, &change.kid[i]);
	}
	if (!rc && sibling)
		rc = wset_retire(t->view->w, sibling);
	if (rc)
		return rc;
	counter_add(&t->view->w->compactions, 1);
	counter_add(&t->view->w->splits, parts - 1);
	t->leaf_pages += (uint64_t)parts - 1 - (sibling != 0);
	return tree_replace(t, path, &change);
}

static int blob_of(const struct item *it, struct fmt_blob *blob)
{
	if (it->vlen != sizeof *blob)
		return err_corrupt(0, "an entry of %u bytes stands for a large value", it->vlen);
	memcpy(blob, it->val, sizeof *blob);
	return 0;
}

static int drop_blob(struct tree *t, const struct fmt_blob *blob)
{
	t->blob_pages -= blob_pages(blob->len, t->view->psize);
	return blob_free(t->view->w, blob);
}

int tree_blob_drop(struct tree *t, const struct item *it)
{
	struct fmt_blob blob;

	if (!(it->flags & FMT_ENTRY_BLOB))
		return 0;
	int rc = blob_of(it, &blob);

	return rc ? rc : drop_blob(t, &blob);
}

/* first_leaf - the tree's very first page. */
static int first_leaf(struct tree *t, const struct item *item, struct placed *placed)
{
	uint64_t off;
	int rc = leaf_write(t, 0, item, 1, 0, 0, placed, &off);

	if (rc)
		return rc;
	t->root = off;
	t->leaf_pages++;
	return 0;
}

/* shrinks_by - bytes that the entry gives up when the other takes its place, when that is half of
 * it or more; else 0. */
static uint32_t shrinks_by(const struct tree *t, const struct item *old, const struct item *item)
{
	uint32_t was = leaf_cost(t->order, old->klen, old->vlen),
	         is = leaf_cost(t->order, item->klen, item->vlen);

	return was >= 2 * is ? was - is : 0;
}

/* store_in_leaf - into the leaf of path: behind its last entry, or by writing it anew. */
static int store_in_leaf(struct tree *t, struct path *path, const struct item *item,
                         const struct item *old, bool last, struct placed *placed)
{
	struct leaf_change c = {.item = *item,
	                        .rank = path->rank,
	                        .fp = order_fp(item->key, item->klen),
	                        .kind = old ? FMT_SLOT_REPLACE : FMT_SLOT_INSERT,
	                        .to_fill = !item->val || item->flags & FMT_ENTRY_BLOB};
	struct item *items = t->scratch->items;
	bool done = false, join = false;
	uint32_t n, less = old && path->height > 1 ? shrinks_by(t, old, item) : 0;
	int rc = 0;

	if (UNLIKELY(less)) {
		rc = tree_leaf_items(t, &path->leaf, items, &n);
		if (!rc) {
			items[path->rank] = *item;
			rc = tree_would_join(t, path, items, n, less, &join);
		}
	}
	if (!rc && !join)
		rc = leaf_append(t->view->w, t->order, &path->leaf, &c, &done, &placed->value);
	placed->leaf = path->leaf.off;
	if (!rc && !done)
		rc = tree_leaf_items(t, &path->leaf, items, &n);
	if (rc || done)
		return rc;
	if (!old)
		memmove(items + path->rank + 1, items + path->rank,
		        (n++ - path->rank) * sizeof *items);
	items[path->rank] = *item;
	placed->index = path->rank;
	placed->appends = last;
	return leaf_rewrite(t, path, n, placed);
}

int tree_store(struct tree *t, struct path *path, const struct item *item, const uint8_t **value,
               uint64_t *leaf_off)
{
	struct placed placed = {0};
	bool replace = path->height && path->eoff, last = !replace && tree_at_end(path),
	     begun = false;
	int rc = 0;

	t->appends = !last ? 0 : t->appends_in == t->view->w->txn ? t->appends + 1 : 1;
	t->appends_in = t->view->w->txn;
	t->scratch->finger_of =
	    last && path == t->scratch->finger ? t : NULL; /* until a page is replaced */
	if (last && item->val && !item->flags && path == t->scratch->finger)
		rc = tree_batch_begin(t, path, item, &begun);
	if (rc || begun)
		return rc;
	t->count += !replace;
	if (UNLIKELY(t->scratch->tallies) && !replace)
		tree_tally_change(t, item->key, item->klen, true);
	if (item->flags & FMT_ENTRY_BLOB)
		t->blob_pages += blob_pages(((const struct fmt_blob *)(const void *)item->val)->len,
		                            t->view->psize);
	struct item old = {0};
	struct fmt_blob blob; /* the key and value that are put may lie in it: it is given up last,
	                         for it may be used again at once */

	if (replace)
		rc = leaf_item(&path->leaf, path->eoff, &old);
	if (!rc && old.flags & FMT_ENTRY_BLOB)
		rc = blob_of(&old, &blob);
	if (rc)
		return rc;
	rc = path->height ? store_in_leaf(t, path, item, replace ? &old : NULL, last, &placed)
	                  : first_leaf(t, item, &placed);
	if (!rc && old.flags & FMT_ENTRY_BLOB)
		rc = drop_blob(t, &blob);
	*value = placed.value;
	*leaf_off = placed.leaf;
	return rc;
}

int tree_remove(struct tree *t, struct path *path)
{
	struct placed placed = {.index = UINT32_MAX};
	struct item gone;
	const uint8_t *unused;
	bool done = false, join = false;
	uint32_t n, left = path->height > 1 ? leaf_count(&path->leaf) - 1 : 1;
	int rc = leaf_item(&path->leaf, path->eoff, &gone);

	assert(path->height && path->eoff && !t->batch);
	t->scratch->finger_of = NULL;
	t->appends = 0;
	if (!rc)
		rc = tree_blob_drop(t, &gone);
	if (rc)
		return rc;
	t->count--;
	if (UNLIKELY(t->scratch->tallies))
		tree_tally_change(t, gone.key, gone.klen, false);
	if (path->height > 1 && left && !tree_well_filled(&path->leaf, left, &gone))
		rc = tree_would_join_without(t, path, left, &gone, &join);
	if (rc)
		return rc;
	if (left && !join) {
		struct leaf_change c = {.item = gone,
		                        .rank = path->rank,
		                        .fp = order_fp(gone.key, gone.klen),
		                        .kind = FMT_SLOT_REMOVE};

		c.item.flags = 0;
		if (!t->order->dups)
			c.item.vlen = 0;
		rc = leaf_append(t->view->w, t->order, &path->leaf, &c, &done, &unused);
		if (rc || done)
			return rc;
	}
	rc = tree_items_without(t, path, t->scratch->items, &n);
	return rc ? rc : leaf_rewrite(t, path, n, &placed);
}

int tree_leaf_without(struct tree *t, struct path *path, uint32_t from, uint32_t to)
{
	struct placed placed = {.index = UINT32_MAX};
	struct item *items = t->scratch->items;
	uint32_t n;
	int rc = tree_leaf_items(t, &path->leaf, items, &n);

	for (uint32_t i = from; i < to && !rc; i++)
		rc = tree_blob_drop(t, &items[i]);
	if (rc)
		return rc;
	t->count -= to - from;
	tree_tally_forget(t->scratch);
	memmove(items + from, items + to, (n - to) * sizeof *items);
	return leaf_rewrite(t, path, n - (to - from), &placed);
}

/* clear_page - free a page and all below it; recursion is as deep as the tree. */
static int clear_page(struct tree *t, uint64_t off, unsigned int level)
{
	const struct fmt_page *page = NULL;
	uint64_t at = 0;
	int rc = view_page(t->view, off, level, &page, &at);

	if (rc)
		return rc;
	for (uint32_t i = 0; level && i <= page->n; i++) {
		rc = clear_page(t, inner_kid(t->view, page, at, i), level - 1);
		if (rc)
			return rc;
	}
	if (!level && t->blob_pages) {
		struct leaf leaf;
		uint32_t n;

		leaf_open(t->view, page, at, &leaf);
		rc = tree_leaf_items(t, &leaf, t->scratch->items, &n);
		for (uint32_t i = 0; !rc && i < n; i++)
			rc = tree_blob_drop(t, &t->scratch->items[i]);
		if (rc)
			return rc;
	}
	return wset_retire(t->view->w, at);
}

int tree_clear(struct tree *t, bool forget)
{
	struct placed placed = {.index = UINT32_MAX};
	const struct fmt_page *page;
	uint64_t at, prev, off;
	int rc = tree_root(t, &page, &at);

	if (rc || !page)
		return rc;
	t->scratch->finger_of = NULL;
	tree_tally_forget(t->scratch);
	prev = tree_prev_for(t, at);
	rc = clear_page(t, at, page->level);
	if (rc)
		return rc;
	t->count = t->leaf_pages = t->inner_pages = t->blob_pages = 0;
	t->root = 0;
	if (forget)
		return 0;
	rc = leaf_write(t, 0, NULL, 0, prev, 0, &placed, &off);
	t->root = off;
	t->leaf_pages = 1;
	return rc;
}
