/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_load.c - many entries in ascending order, behind all that are there: pages built in memory,
 * filled, and written once.
 *
 *   level 2   ... [ in the making ]
 *   level 1   ... ][ in the making ]
 *   leaves    ... ][ in the making ]
 *
 * When a page has no room for one more kid it is written, and becomes a kid one level up. The first
 * page written at a level takes the place of the one at the tree's right edge, and begins with what
 * that one has; a last leaf that is full stays where it is.
 *
 * Nothing is searched, and no page is written twice. The tree changes in tree_load_end alone: what
 * was written before are pages that nobody refers to.
 *
 * The rules are those of a split [I7] [I8]: a page that takes another's place has its prev, the
 * parent of more pages than before is made anew, and so is the root.
 *
 * A load belongs to one call, daxkv_bulk_load. Its memory is its own: two pages for the leaf in the
 * making, and three pages and some arrays for each level that is used. Nothing else uses the tree
 * until tree_load_end. A load that fails is freed, and its transaction aborted, which gives the
 * pages back.
 */
#include "tree/tree.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

#define INNER_FILL 90u /* percent of an inner page */

struct load_level { /* level 0 is of leaves: kids, seps and open are not used there */
	bool open;
	/* of the page in the making: kids, with one separator less */
	uint32_t n;
	/* bytes that they take of the page */
	uint32_t cost;
	/* bytes of separators in buf */
	uint32_t bytes;
	uint64_t *kids;
	struct sep *seps;
	uint8_t *buf; /* the separators' bytes */
	/* between the page in the making and the one before it */
	struct sep left;
	uint8_t *left_buf;
	/* the page whose place the first one takes; 0: none, or done */
	uint64_t old;
	uint64_t first; /* the first one, and how many there are */
	uint64_t written;
};

struct tree_load {
	struct tree *tree;
	/* an entry was added; or there was one before */
	bool begun;
	bool some;
	uint64_t entries;
	uint64_t root_prev;
	/* of the tree, before the first was added; then of pack */
	struct item last;
	struct leaf_pack pack; /* the leaf in the making */
	struct path path;      /* the tree's right edge */
	/* one more than a tree can have: never opened, it ends the walk up the highest one */
	struct load_level level[TREE_DEPTH + 1];
};

/* ---- pages ----------------------------------------------------------------------------------- */

/* level_alloc - memory for a level's kids and separators, when it is first used. One allocation,
 * which begins with kids: tree_load_free gives that back. ENOMEM. */
static int level_alloc(struct load_level *v, uint32_t psize)
{
	size_t most = INNER_MAX(psize) + 2;
	size_t kids = most * sizeof *v->kids;
	size_t seps = most * sizeof *v->seps;
	uint8_t *p;

	if (v->left_buf)
		return 0;
	p = malloc(kids + seps + 3 * (size_t)psize);
	if (!p)
		return err_set(ENOMEM, "no memory for pages in the making");
	v->left_buf = p + kids + seps + 2 * (size_t)psize;
	v->buf = p + kids + seps;
	v->seps = (void *)(p + kids);
	v->kids = (void *)p;
	return 0;
}

/* page_write - the page in image is the level's next. Streamed: a load writes each page once, and
 * does not read it again. The page whose place it takes is retired now, and read no more: its
 * entries were copied to the image. The new page is durable with the commit, as all others are.
 * Errors of wset_new_page. */
static int page_write(struct tree_load *l, struct load_level *v, uint8_t *image, uint32_t used,
                      uint64_t *off)
{
	assert(used > 0);
	assert(used <= l->tree->view->psize);
	struct wset *w = l->tree->view->w;
	uint64_t old = v->old;
	struct wpage *wp;
	int rc = wset_new_page(w, &wp);

	if (rc)
		return rc;
	wset_install_whole(w, wp, image, used);
	*off = wp->off;
	if (v->written == 0)
		v->first = wp->off;
	v->written++;
	v->old = 0;
	if (old)
		return wset_retire(w, old);
	return 0;
}

/* page_prev - what the level's next page names as prev. only: there will be no other at that
 * level. The only page of a new highest level is the root: what was the root at the last commit is
 * its prev [I8]. */
static uint64_t page_prev(const struct tree_load *l, unsigned int level, bool only)
{
	uint64_t old = l->level[level].old;

	if (old)
		return tree_prev_for(l->tree, old);
	if (only && level >= l->path.height)
		return l->root_prev;
	return 0;
}

/* level_push - one kid more, behind the separator, which the first one does not have. There is
 * room: the caller has seen to that. */
static void level_push(struct load_level *v, const struct sep *sep, uint64_t kid)
{
	if (v->n) {
		assert(sep);
		v->seps[v->n - 1] = tree_sep_copy(sep, v->buf + v->bytes);
		v->bytes += tree_sep_bytes(sep);
		v->cost += inner_cost(sep);
	}
	v->kids[v->n] = kid;
	v->n++;
}

/* level_take - the level begins with what the page at the tree's right edge has, whose last kid
 * becomes kid. CORRUPT. The page itself stays until the level's first page is written. */
static int level_take(struct tree_load *l, unsigned int level, uint64_t kid)
{
	struct load_level *v = &l->level[level];
	const struct view *view = l->tree->view;
	const struct fmt_page *page = l->path.at[level].page;
	struct sep sep = {0};
	int rc = tree_way_sound(l->tree, &l->path, level);

	if (rc)
		return rc;
	v->old = l->path.at[level].off;
	for (uint32_t i = 0; i < page->n; i++) {
		level_push(v, &sep, inner_kid(view, page, v->old, i));
		rc = inner_sep(view, page, v->old, i, &sep);
		if (rc)
			return rc;
		if (!inner_fits(v->cost + inner_cost(&sep), view->psize))
			return err_corrupt(v->old, "inner page: its separators overlap");
	}
	level_push(v, &sep, kid);
	return 0;
}

/* level_open - begin the level with what the page at the tree's right edge has; its last kid
 * becomes kid. A level above the tree's root begins with that kid alone. CORRUPT, ENOMEM, FULL. */
static int level_open(struct tree_load *l, unsigned int level, uint64_t kid)
{
	struct load_level *v = &l->level[level];

	assert(!v->open);
	assert(level > 0);
	if (level >= TREE_DEPTH - 1)
		return err_set(DAXKV_FULL, "the tree has %u levels", level);
	int rc = level_alloc(v, l->tree->view->psize);

	if (rc)
		return rc;
	v->open = true;
	if (level < l->path.height)
		return level_take(l, level, kid);
	level_push(v, NULL, kid);
	return 0;
}

/* load_level_write - the level's kids become a page. only: as for page_prev. The image is written
 * before the old page is retired. */
static int load_level_write(struct tree_load *l, unsigned int level, bool only, uint64_t *off)
{
	struct load_level *v = &l->level[level];
	struct wset *w = l->tree->view->w;

	assert(v->open);
	assert(v->n > 0);
	uint64_t prev = page_prev(l, level, only);
	uint32_t used = tree_inner_image(l->tree, v->seps, v->kids, v->n - 1, level, prev);

	l->tree->inner_pages += !v->old;
	return page_write(l, v, w->image, used, off);
}

/* load_level_add - a page of the level below, behind sep; first: the one before all that come this
 * way. As deep as the tree. */
static int load_level_add(struct tree_load *l, unsigned int level, uint64_t first,
                          const struct sep *sep, uint64_t kid)
{
	struct load_level *v = &l->level[level];
	uint32_t most = inner_usable(l->tree->view->psize) * INNER_FILL / 100;
	uint64_t off;
	int rc;

	if (!v->open) {
		rc = level_open(l, level, first);
		if (rc)
			return rc;
	}
	if (v->n > 1 && v->cost + inner_cost(sep) > most) {
		rc = load_level_write(l, level, false, &off);
		if (rc)
			return rc;
		if (v->written > 1)
			rc = load_level_add(l, level + 1, v->first, &v->left, off);
		if (rc)
			return rc;
		v->left = tree_sep_copy(sep, v->left_buf);
		v->n = 0;
		v->cost = 0;
		v->bytes = 0;
	}
	level_push(v, sep, kid);
	return 0;
}

/* ---- leaves ---------------------------------------------------------------------------------- */

/* load_leaf_write - the leaf in the making becomes a page, and its parent hears of it. The first
 * page written at a level is not told above: the walk in tree_load_end, or the second one, does
 * that. */
static int load_leaf_write(struct tree_load *l)
{
	assert(l->begun);
	assert(l->pack.n > 0);
	struct load_level *v = &l->level[0];
	uint64_t prev = page_prev(l, 0, false);
	uint32_t used = leaf_pack_build(&l->pack, l->tree->order, l->tree->view->w->txn, prev);
	uint64_t off;
	int rc = tree_pack_note(l->tree, &l->pack);

	if (rc)
		return rc;
	l->tree->leaf_pages += !v->old;
	rc = page_write(l, v, l->pack.page, used, &off);

	if (rc)
		return rc;
	if (v->written == 1)
		return 0;
	return load_level_add(l, 1, v->first, &v->left, off);
}

/* absorb - the new leaf begins with the entries of the tree's last one, when these and the first
 * new one have room together. */
static int absorb(struct tree_load *l, const struct item *it)
{
	assert(!l->begun);
	struct tree *t = l->tree;
	uint32_t n = 0;
	uint32_t i = 0;
	bool fits = true;
	int rc = 0;

	if (l->path.height)
		rc = tree_leaf_items(t, &l->path.leaf, t->scratch->items, &n);
	if (rc)
		return rc;
	while (i < n && fits)
		fits = leaf_pack_add(&l->pack, t->order, &t->scratch->items[i++]);
	if (fits)
		fits = leaf_pack_add(&l->pack, t->order, it);
	if (fits) {
		if (l->path.height)
			l->level[0].old = l->path.leaf.off;
		return 0;
	}
	/* It stays: what comes is behind it. */
	l->pack.n = 0;
	l->level[0].first = l->path.leaf.off;
	l->level[0].written = 1;
	tree_separator(t, &l->last, it, l->level[0].left_buf, &l->level[0].left);
	fits = leaf_pack_add(&l->pack, t->order, it);
	assert(fits);
	return 0;
}

/* load_edge - find the tree's right edge, and its last entry. The edge is kept as it is now: each
 * level goes on from there. CORRUPT. */
static int load_edge(struct tree_load *l)
{
	struct tree *t = l->tree;
	const struct leaf *leaf = &l->path.leaf;
	uint32_t eoff;
	int rc = tree_edge(t, true, &l->path);

	if (rc)
		return rc;
	if (!l->path.height)
		return 0;
	uint32_t n = leaf_count(leaf);

	l->root_prev = tree_prev_for(t, l->path.at[l->path.height - 1].off);
	if (n == 0 && l->path.height > 1)
		return err_corrupt(leaf->off, "leaf: it is empty, but not the only one");
	if (n == 0)
		return 0;
	l->some = true;
	rc = leaf_at(leaf, n - 1, &eoff);
	if (rc)
		return rc;
	return leaf_item(leaf, eoff, &l->last);
}

/* load_free_with - for a load that cannot begin. Returns rc. */
static int load_free_with(struct tree_load *l, int rc)
{
	tree_load_free(l);
	return rc;
}

int tree_load_begin(struct tree *t, unsigned int fill, struct tree_load **out)
{
	assert(t->scratch);
	assert(fill > 0);
	assert(fill <= 100);
	uint32_t psize = t->view->psize;
	struct tree_load *l = calloc(1, sizeof *l);
	int rc;

	if (l)
		l->pack = (struct leaf_pack){
		    .page = malloc(2 * (size_t)psize),
		    .off = malloc(LEAF_PACK_MAX(psize) * sizeof *l->pack.off),
		    .psize = psize,
		};
	if (!l || !l->pack.page || !l->pack.off)
		return load_free_with(l, err_set(ENOMEM, "no memory for a load"));
	l->tree = t;
	l->pack.limit = FMT_LEAF_BASE + leaf_usable(psize) * fill / 100;
	t->scratch->finger_of = NULL;
	rc = level_alloc(&l->level[0], psize);
	if (rc)
		return load_free_with(l, rc);
	rc = load_edge(l);
	if (rc)
		return load_free_with(l, rc);
	*out = l;
	return 0;
}

/* Behind the last one that was added, or the tree's last before that. A duplicate ascends by its
 * value. */
bool tree_load_ascends(const struct tree_load *l, const struct item *it)
{
	const struct order *o = l->tree->order;

	if (LIKELY(l->begun))
		return leaf_pack_ascends(&l->pack, o, it, false);
	if (!l->some)
		return true;
	return leaf_item_ascends(o, &l->last, it, false);
}

/* For messages, and for APPEND of duplicates. */
bool tree_load_last(const struct tree_load *l, struct item *it)
{
	if (l->begun)
		*it = leaf_pack_item(&l->pack, l->pack.n - 1);
	else
		*it = l->last;
	return l->some;
}

/* Of the sizes of the last one, so what was checked of that holds for this one, too. */
bool tree_load_more(struct tree_load *l, const struct daxkv_val *key, const struct daxkv_val *value)
{
	struct item it = {
	    .key = key->data,
	    .klen = (uint32_t)key->size,
	    .val = value->data,
	    .vlen = (uint32_t)value->size,
	};

	if (!l->begun)
		return false;
	if (!leaf_pack_like(&l->pack, key->size, value->size))
		return false;
	uint64_t head = order_head(l->tree->order, it.key, it.klen, 0);

	if (head <= l->pack.head)
		return false;
	if (!leaf_pack_more(&l->pack, &it, head))
		return false;
	l->entries++;
	return true;
}

/* A full leaf is written and the next one begins. The item's bytes are copied: the caller's memory
 * is not needed after the call. */
int tree_load_add(struct tree_load *l, const struct item *it)
{
	const struct order *o = l->tree->order;

	if (UNLIKELY(!l->begun)) {
		int rc = absorb(l, it);

		if (rc)
			return rc;
		l->begun = true;
		l->some = true;
	} else if (UNLIKELY(!leaf_pack_add(&l->pack, o, it))) {
		int rc = load_leaf_write(l);

		if (rc)
			return rc;
		struct item last = leaf_pack_item(&l->pack, l->pack.n - 1);

		tree_separator(l->tree, &last, it, l->level[0].left_buf, &l->level[0].left);
		l->pack.n = 0;
		bool fits = leaf_pack_add(&l->pack, o, it);

		assert(fits);
		(void)fits;
	}
	l->entries++;
	return tree_tally_change(l->tree, it, true);
}

/* level_unopened - the level below has one page in the place of one: a kid that is swapped, if the
 * page here has room for a pending kid; else this page is made anew. *done: nothing is left to do
 * above. */
static int level_unopened(struct tree_load *l, unsigned int level, bool *done)
{
	struct tree *t = l->tree;
	uint64_t only = l->level[level - 1].first;

	if (level >= l->path.height) {
		t->root = only;
		*done = true;
		return 0;
	}
	const struct path_step *at = &l->path.at[level];
	int rc = inner_swap(t->view->w, at->page, at->off, at->page->n, only, done);

	if (rc)
		return rc;
	if (*done)
		return 0;
	return level_open(l, level, only);
}

/* level_end - the level below has written its last page; now this one does, if it has changed.
 * *done: nothing is left to do above. */
static int level_end(struct tree_load *l, unsigned int level, bool *done)
{
	assert(level > 0);
	assert(level <= TREE_DEPTH);
	struct load_level *v = &l->level[level];
	uint64_t off;

	if (!v->open) {
		int rc = level_unopened(l, level, done);

		if (rc)
			return rc;
		if (*done)
			return 0;
	}
	int rc = load_level_write(l, level, v->written == 0, &off);

	if (rc)
		return rc;
	if (v->written == 1)
		return 0;
	return load_level_add(l, level + 1, v->first, &v->left, off);
}

/* From the leaves up: a level with several new pages has told, and so opened, the one above. */
int tree_load_end(struct tree_load *l)
{
	bool done = false;

	if (!l->begun)
		return 0;
	int rc = load_leaf_write(l);

	l->tree->count += l->entries;
	if (rc)
		return rc;
	for (unsigned int level = 1; !done; level++) {
		rc = level_end(l, level, &done);
		if (rc)
			return rc;
	}
	return 0;
}

/* Safe on NULL, and on what tree_load_begin left half-way. */
void tree_load_free(struct tree_load *l)
{
	if (!l)
		return;
	for (unsigned int i = 0; i < TREE_DEPTH; i++)
		free(l->level[i].kids);
	free(l->pack.page);
	free(l->pack.off);
	free(l);
}
