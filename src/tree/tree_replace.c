/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_replace.c - carrying a change up: kids of an inner page give way to others, and so on to the
 * root.
 *
 * One for one is a changed word. Anything else makes the inner page anew from its kids and
 * separators: as one page, as several when they do not fit, together with its neighbour when few
 * are left, or as none. See tree.h
 *
 *   path       at[2] [ root    ]      replace_at at level 1 turns a change of leaves into a change
 *              at[1] [  inner  ]      of at[1], which level 2 then makes in the root; and so on
 *              at[0] [  leaf   ]      until a level is done with a word, or the root is replaced
 *
 * The root is special: no page of the tree names it. It may become several pages, which get a root
 * above them; it may have one kid, which becomes the root; it may have none. Each time the new root
 * names as prev what was the root at the last commit [I8].
 *
 * The bytes of separators on their way up lie in scratch->sepbuf, because the pages that they come
 * from may be rewritten on the way.
 */
#include "tree/tree.h"

#include "base/err.h"

#include <errno.h>

/* percent that the left page keeps when keys arrive in ascending order */
#define INNER_APPEND_FILL 90u
#define INNER_JOINED      75u /* percent that both may take together */

/* pages at most that the kids of one or two pages, and those of a change, become */
#define INNER_PARTS 4u

struct replace_build { /* an inner page in the making: n kids in scratch->kids, n - 1 separators in
	                  scratch->seps */
	uint32_t n;
	/* bytes that the separators take in a page, with a kid each */
	uint32_t cost;
	unsigned int level;
	/* the page it replaces */
	uint64_t old;
	/* what the new page names as prev */
	uint64_t prev;
	uint64_t sibling; /* joined, or 0 */
	/* keys ascend: the change was behind the page's last kid */
	bool appends;
};

/* sepbuf_half - where separators of that level lie on their way up: two levels take turns, because
 * one is read while the next is written. Three pages each. */
static uint8_t *sepbuf_half(const struct tree *t, unsigned int level)
{
	return t->scratch->sepbuf + (level % 2) * 3 * (size_t)t->view->psize;
}

/* replace_gather - append the kids [from, to] of a page and the separators between them. Those
 * point into the page. CORRUPT. There is room for the kids of two pages and of a change. *nseps
 * counts on from what is there. */
static int replace_gather(struct tree *t, const struct fmt_page *page, uint64_t off, uint32_t from,
                          uint32_t to, struct replace_build *b, uint32_t *nseps)
{
	uint64_t *kids = t->scratch->kids;
	struct sep *seps = t->scratch->seps;

	assert(b->n <= 2 * INNER_MAX(t->view->psize));
	for (uint32_t i = from; i <= to; i++) {
		kids[b->n++] = inner_kid(t->view, page, off, i);
		if (i == to)
			break;
		int rc = inner_sep(t->view, page, off, i, &seps[*nseps]);

		if (rc)
			return rc;
		*nseps += 1;
	}
	return 0;
}

/* gather_changed - the page's kids and separators with the change made. Between the kids before the
 * change and those behind it stand the page's own separators: the one before its first kid, and the
 * one behind its last. With no kid left there is no separator either. CORRUPT. */
static int gather_changed(struct tree *t, const struct fmt_page *page, uint64_t off,
                          const struct change *c, struct replace_build *b)
{
	assert(c->m <= TREE_BATCH_KIDS + 1);
	assert(b->n == 0);
	struct sep *seps = t->scratch->seps;
	uint32_t ns = 0;
	uint32_t behind = c->from + c->count;
	int rc = 0;

	if (c->from > 0)
		rc = replace_gather(t, page, off, 0, c->from - 1, b, &ns);
	if (rc)
		return rc;
	if (c->from > 0 && (c->m || behind <= page->n))
		rc = inner_sep(t->view, page, off, c->from - 1, &seps[ns++]);
	for (uint32_t i = 0; i < c->m; i++) {
		t->scratch->kids[b->n++] = c->kid[i];
		if (i + 1 < c->m)
			seps[ns++] = c->sep[i];
	}
	if (rc)
		return rc;
	if (behind <= page->n) {
		if (c->m)
			rc = inner_sep(t->view, page, off, behind - 1, &seps[ns++]);
		if (rc)
			return rc;
		rc = replace_gather(t, page, off, behind, page->n, b, &ns);
	}
	assert(rc || b->n == 0 || ns == b->n - 1);
	return rc;
}

/* seps_cost - what n separators, with a kid each, take in a page. */
static uint32_t seps_cost(const struct sep *seps, uint32_t n)
{
	uint32_t cost = 0;

	for (uint32_t i = 0; i < n; i++)
		cost += inner_cost(&seps[i]);
	return cost;
}

/* replace_beside - the neighbour, the separator before or behind it, and what both add to the
 * page's cost. *page NULL: there is none that has room for the kids. CORRUPT. Nothing is
 * changed. */
static int replace_beside(struct tree *t, const struct path *path, const struct replace_build *b,
                          bool left, const struct fmt_page **page, uint64_t *at,
                          struct sep *between, uint32_t *cost)
{
	const struct view *v = t->view;
	const struct path_step *up = &path->at[b->level + 1];
	uint32_t edge = 0;

	if (!left)
		edge = up->page->n;
	uint32_t most = inner_usable(v->psize) * INNER_JOINED / 100;
	uint32_t kid = up->index + 1;
	uint32_t sep = up->index;

	*page = NULL;
	*cost = 0;
	if (up->index == edge)
		return 0;
	if (left) {
		kid = up->index - 1;
		sep = kid;
	}
	int rc = tree_kid(v, up->page, up->off, kid, b->level, page, at);

	if (rc)
		return rc;
	rc = inner_sep(v, up->page, up->off, sep, between);
	if (rc)
		return rc;
	*cost = inner_cost(between);
	for (uint32_t i = 0; i < (*page)->n; i++) {
		struct sep s;

		rc = inner_sep(v, *page, *at, i, &s);
		if (rc)
			return rc;
		*cost += inner_cost(&s);
	}
	if (b->cost + *cost > most)
		*page = NULL;
	return 0;
}

/* join_sibling - when few kids are left, take a neighbour's along; *c is then the change to the
 * parent. The left neighbour is tried first. Its separators point into its page, which is retired
 * when the joined page is written. No neighbour, or none with room: the page stays sparse, which
 * harms nothing. CORRUPT. */
static int join_sibling(struct tree *t, const struct path *path, struct replace_build *b,
                        struct change *c)
{
	assert(b->level + 1 < path->height);
	assert(b->n > 0);
	uint32_t index = path->at[b->level + 1].index;
	uint32_t ns = 0;
	uint32_t cost;
	struct sep *seps = t->scratch->seps;
	uint64_t *kids = t->scratch->kids;
	struct sep between;
	const struct fmt_page *page;
	struct replace_build other = {0};
	uint64_t at = 0;
	bool left = true;

	if (b->cost >= inner_usable(t->view->psize) / TREE_SPARSE)
		return 0;
	int rc = replace_beside(t, path, b, left, &page, &at, &between, &cost);

	if (rc)
		return rc;
	if (!page) {
		left = false;
		rc = replace_beside(t, path, b, left, &page, &at, &between, &cost);
	}
	if (rc)
		return rc;
	if (!page)
		return 0;
	uint32_t own = b->n;
	uint32_t more = page->n + 1u;

	if (left) { /* the neighbour's come first */
		memmove(seps + more, seps, (own - 1) * sizeof *seps);
		memmove(kids + more, kids, own * sizeof *kids);
		seps[more - 1] = between;
	} else {
		seps[own - 1] = between;
		other.n = own;
		ns = own;
	}
	rc = replace_gather(t, page, at, 0, page->n, &other, &ns);
	b->n = own + more;
	b->cost += cost;
	b->sibling = at;
	c->from = index;
	if (left)
		c->from--;
	c->count = 2;
	return rc;
}

/* cut - how many of the kids from first on go to one page, when they do not all fit: half of the
 * cost, or with ascending keys all that fits well. At least one kid, and never so many that they do
 * not fit, in a sound tree. In a damaged one the separators may overlap, and the caller bounds the
 * parts. */
static uint32_t cut(const struct tree *t, const struct replace_build *b, uint32_t first)
{
	assert(first < b->n);
	const struct sep *seps = t->scratch->seps;
	uint32_t usable = inner_usable(t->view->psize);
	uint32_t total = seps_cost(seps + first, b->n - 1 - first);
	uint32_t left = 0;
	uint32_t best = 1;
	uint32_t aim = total / 2;

	if (total <= usable)
		return b->n - first;
	if (b->appends)
		aim = usable * INNER_APPEND_FILL / 100;
	for (uint32_t i = first; i + 1 < b->n; i++) {
		/* kids first .. i on the left: separators first .. i - 1; separator i moves up */
		if (left > usable || (left > aim && i > first))
			break;
		best = i + 1 - first;
		left += inner_cost(&seps[i]);
	}
	return best;
}

/* write_part - kids [from, to) become a page; the first part takes the place of the old one. The
 * others have no prev: no snapshot has seen them there. Errors of tree_page_out. */
static int write_part(struct tree *t, const struct replace_build *b, uint32_t from, uint32_t to,
                      uint64_t *off)
{
	const struct sep *seps = t->scratch->seps + from;
	const uint64_t *kids = t->scratch->kids + from;
	uint32_t n = to - from - 1;
	uint64_t old = 0;
	uint64_t prev = 0;

	if (from == 0) {
		old = b->old;
		prev = b->prev;
	}
	uint32_t used = tree_inner_image(t, seps, kids, n, b->level, prev);

	return tree_page_out(t, old, used, off);
}

/* write_pages - build the inner pages; *c gets them, and the separators that move up. The sibling
 * that joined goes when what came from it is written. CORRUPT when they are more parts than a sound
 * page can make. */
static int write_pages(struct tree *t, const struct replace_build *b, struct change *c)
{
	uint8_t *buf = sepbuf_half(t, b->level);
	uint32_t first[INNER_PARTS + 1] = {0};
	uint32_t parts = 0;

	assert(b->n > 0);
	while (first[parts] < b->n) {
		if (parts == INNER_PARTS)
			return err_corrupt(b->old, "inner page: its separators overlap");
		first[parts + 1] = first[parts] + cut(t, b, first[parts]);
		parts++;
	}
	c->m = parts;
	/* The separators between the parts are copied: the pages they lie in may be rewritten now.
	 */
	for (uint32_t i = 0; i + 1 < parts; i++) {
		c->sep[i] = tree_sep_copy(&t->scratch->seps[first[i + 1] - 1], buf);
		buf += tree_sep_bytes(&c->sep[i]);
	}
	/* The old page last: the others' separators lie in it. */
	for (uint32_t i = parts; i > 0; i--) {
		int rc = write_part(t, b, first[i - 1], first[i], &c->kid[i - 1]);

		if (rc)
			return rc;
	}
	t->inner_pages = t->inner_pages + parts - 1 - (b->sibling != 0);
	if (b->sibling)
		return wset_retire(t->view->w, b->sibling);
	return 0;
}

/* new_root - a root above several pages; prev: what was the root at the last commit. The tree is
 * one level higher. FULL at the deepest that a tree may be. */
static int new_root(struct tree *t, const struct change *c, unsigned int level, uint64_t prev)
{
	assert(c->m > 1);
	struct wset *w = t->view->w;
	uint32_t used;

	if (level >= TREE_DEPTH)
		return err_set(DAXKV_FULL, "the tree has %u levels", level);
	if (!inner_fits(seps_cost(c->sep, c->m - 1), w->psize))
		return err_corrupt(prev, "inner page: its separators are too long");
	used = tree_inner_image(t, c->sep, c->kid, c->m - 1, level, prev);
	t->inner_pages++;
	return tree_page_out(t, 0, used, &t->root);
}

/* replace_copy_page - a private copy of a page that becomes the root, with that prev. The page
 * itself is retired, or rewritten where it is. It is written again even though nothing changes in
 * it: a root has to name the old one as prev, and prev is set when a page is written. CORRUPT;
 * errors of tree_page_out. */
static int replace_copy_page(struct tree *t, const struct fmt_page *page, uint64_t off,
                             uint64_t prev, uint64_t *copy)
{
	struct wset *w = t->view->w;
	struct replace_build b = {0};
	uint32_t used;
	uint32_t n;
	int rc;

	if (page->level == 0) {
		struct leaf leaf;

		leaf_open(t->view, page, off, &leaf);
		rc = tree_leaf_items(t, &leaf, t->scratch->items, &n);
		if (rc)
			return rc;
		used = tree_leaf_image(t, t->scratch->items, n, prev);
	} else {
		n = 0;
		rc = replace_gather(t, page, off, 0, page->n, &b, &n);
		if (rc)
			return rc;
		if (!inner_fits(seps_cost(t->scratch->seps, n), w->psize))
			rc = err_corrupt(off, "inner page: its separators overlap");
		if (rc)
			return rc;
		used =
		    tree_inner_image(t, t->scratch->seps, t->scratch->kids, n, page->level, prev);
	}
	return tree_page_out(t, off, used, copy);
}

/* collapse - the root has one kid: that one becomes the root, born now, with the old root as prev
 * [I8]; and again while it has one kid itself. The pages that are left out on the way stay for
 * older snapshots. */
static int collapse(struct tree *t, uint64_t root, unsigned int level, uint64_t kid)
{
	assert(level > 0);
	uint64_t prev = tree_prev_for(t, root);
	uint64_t at = root;

	for (;;) {
		const struct fmt_page *page = NULL;
		int rc = wset_retire(t->view->w, at);

		t->inner_pages--;
		if (rc)
			return rc;
		rc = view_page(t->view, kid, --level, &page, &at);
		if (rc)
			return rc;
		if (level == 0 || page->n)
			return replace_copy_page(t, page, at, prev, &t->root);
		kid = inner_kid(t->view, page, at, 0);
	}
}

/* collapse_fits - whether the page that would become the root fits when it is written anew: a leaf
 * whose tail is aligned better than the base would be may not. It follows the same way as collapse,
 * and changes nothing. CORRUPT. */
static int collapse_fits(struct tree *t, unsigned int level, uint64_t kid, bool *fits)
{
	const struct fmt_page *page = NULL;
	struct leaf leaf;
	uint32_t n;
	uint64_t at = 0;

	for (;;) {
		int rc = view_page(t->view, kid, --level, &page, &at);

		if (rc)
			return rc;
		if (level == 0 || page->n)
			break;
		kid = inner_kid(t->view, page, at, 0);
	}
	*fits = true;
	if (level)
		return 0;
	leaf_open(t->view, page, at, &leaf);
	int rc = tree_leaf_items(t, &leaf, t->scratch->items, &n);

	if (rc)
		return rc;
	*fits = tree_items_cost(t, t->scratch->items, n) <= leaf_usable(t->view->psize);
	return 0;
}

/* empty_root - nothing is left: an empty leaf takes the root's place, so that older snapshots find
 * what was there [I8]. The root is an inner page here. */
static int empty_root(struct tree *t, uint64_t old)
{
	struct wset *w = t->view->w;
	uint64_t prev = tree_prev_for(t, old);
	int rc = wset_retire(w, old);
	uint32_t used;

	if (rc)
		return rc;
	t->inner_pages--;
	t->leaf_pages++;
	used = tree_leaf_image(t, NULL, 0, prev);
	return tree_page_out(t, 0, used, &t->root);
}

/* stays - whether a page that loses kid index stays as it is otherwise: it is the root and has more
 * than one left, or does not fall below a limit at which it is looked at with its neighbours. What
 * it holds is told by its header: it may have been more by some bytes of alignment. */
static bool stays(const struct tree *t, const struct fmt_page *page, uint64_t off, uint32_t index,
                  bool is_root)
{
	uint32_t usable = inner_usable(t->view->psize);
	uint32_t seps = page->offs + 2u * page->n;
	struct sep gone;

	if (page->n < 2)
		return false;
	if (is_root)
		return true;
	if (index == page->n)
		index--;
	if (inner_sep(t->view, page, off, index, &gone))
		return false;
	const uint32_t less = inner_cost(&gone);
	const uint32_t total = page->n * INNER_EACH + page->end - seps;

	return total > less && !tree_falls_below(usable, total - less, less);
}

/* changed_copy - the commonest changes, one kid for one, two for one, none for one and one for two,
 * as a copy of the page in w->image. 0: it is to be made from its parts. A copy of the page's bytes
 * with a kid changed is much cheaper than taking it apart, and these are nearly all changes. */
static uint32_t changed_copy(const struct tree *t, const struct fmt_page *page, uint64_t off,
                             const struct change *c, uint64_t prev, bool is_root)
{
	struct wset *w = t->view->w;
	const struct inner_edit edit = {
	    .view = t->view,
	    .page = page,
	    .off = off,
	    .index = c->from,
	    .birth = w->txn,
	    .prev = prev,
	};

	if (c->count == c->m + 1 && c->count <= 2) {
		uint32_t used = 0;

		if (stays(t, page, off, c->from, is_root))
			used = inner_without(w->image, &edit);
		/* the first of two goes, and the other one is where it was then */
		if (used && c->m)
			inner_set_kid(w->image, c->from, c->kid[0]);
		return used;
	}
	if (c->count != 1)
		return 0;
	if (c->m > 2)
		return 0;
	if (c->m == 1)
		return inner_copy(w->image, &edit, c->kid[0]);
	return inner_insert(w->image, &edit, t->order, &c->sep[0], c->kid);
}

/* swap_kid - one kid gives way to one other: a word, and nothing is left to do. *done false: it is
 * another change, or the page has too many pending kids. A kid that is the same already, as one
 * that was rewritten in its place is, needs no word. */
static int swap_kid(struct tree *t, const struct path_step *at, const struct change *c, bool *done)
{
	*done = false;
	if (c->m != 1 || c->count != 1)
		return 0;
	if (inner_kid(t->view, at->page, at->off, c->from) != c->kid[0])
		return inner_swap(t->view->w, at->page, at->off, c->from, c->kid[0], done);
	*done = true;
	return 0;
}

/* root_lowers - the root is left with one kid, or none: the tree gets lower, or empty. *done false:
 * it has more, or the one would not fit where the root was; the root is written like any page.
 * Errors of what it calls. */
static int root_lowers(struct tree *t, const struct replace_build *b, bool *done)
{
	uint64_t kid = t->scratch->kids[0];
	bool fits;

	*done = b->n == 0;
	if (*done)
		return empty_root(t, b->old);
	if (b->n > 1)
		return 0;
	int rc = collapse_fits(t, b->level, kid, &fits);

	if (rc)
		return rc;
	if (!fits)
		return 0;
	*done = true;
	return collapse(t, b->old, b->level, kid);
}

/* replace_at - make the change in the inner page of that level; *c becomes the change one level up.
 * *done: nothing is left to do. The cheapest way comes first: a word, a copy of the page, a page
 * made from its parts. CORRUPT, ENOMEM, errors of space_take. */
static int replace_at(struct tree *t, const struct path *path, unsigned int level, struct change *c,
                      bool *done)
{
	const struct fmt_page *page = path->at[level].page;
	uint64_t off = path->at[level].off;
	struct replace_build b = {.level = level, .old = off};
	bool is_root = level + 1 == path->height;
	int rc = tree_way_sound(t, path, level);

	assert(level > 0);
	assert(level < path->height);
	if (rc)
		return rc;
	if (!is_root)
		rc = tree_way_sound(t, path, level + 1);
	if (UNLIKELY(rc))
		return rc;
	rc = swap_kid(t, &path->at[level], c, done);
	if (rc)
		return rc;
	if (*done)
		return 0;
	b.prev = tree_prev_for(t, off);
	b.appends = c->m > 1 && c->from == page->n;
	uint32_t index = path_kid(path, level);
	uint32_t used = changed_copy(t, page, off, c, b.prev, is_root);

	if (used) {
		c->from = index;
		c->count = 1;
		c->m = 1;
		return tree_page_out(t, off, used, &c->kid[0]);
	}
	rc = gather_changed(t, page, off, c, &b);
	if (rc)
		return rc;
	if (is_root) {
		rc = root_lowers(t, &b, done);
		if (rc)
			return rc;
		if (*done)
			return 0;
	}
	c->from = index;
	c->count = 1;
	c->m = 0;
	if (b.n == 0) {
		t->inner_pages--;
		return wset_retire(t->view->w, off);
	}
	b.cost = seps_cost(t->scratch->seps, b.n - 1);
	if (!is_root) {
		rc = join_sibling(t, path, &b, c);
		if (rc)
			return rc;
	}
	return write_pages(t, &b, c);
}

/* From that level up, until a level is changed in place or the root is reached. The path is of no
 * use afterwards. */
int tree_replace_at(struct tree *t, struct path *path, unsigned int level, struct change *c)
{
	assert(level > 0);
	assert(t->scratch);
	assert(path->height > 0);
	assert(c->count + c->m > 0);
	uint64_t root_prev = tree_prev_for(t, path->at[path->height - 1].off);
	bool done = false;
	int rc;

	t->scratch->finger_of = NULL;
	for (; level < path->height; level++) {
		rc = replace_at(t, path, level, c, &done);
		if (rc)
			return rc;
		if (done)
			return 0;
	}
	if (c->m == 1) {
		t->root = c->kid[0];
		return 0;
	}
	return new_root(t, c, path->height, root_prev);
}

/* Leaves' parents are at level 1. */
int tree_replace(struct tree *t, struct path *path, struct change *c)
{
	return tree_replace_at(t, path, 1, c);
}

/* A copy that differs in its place alone. */
int tree_inner_move(struct tree *t, struct path *path, unsigned int level)
{
	assert(level > 0);
	assert(level < path->height);
	struct wset *w = t->view->w;
	const uint64_t off = path->at[level].off;
	const struct inner_edit edit = {
	    .view = t->view,
	    .page = path->at[level].page,
	    .off = off,
	    .index = path->at[level].index,
	    .birth = w->txn,
	    .prev = tree_prev_for(t, off),
	};
	struct change change = {.from = path_kid(path, level), .count = 1, .m = 1};
	uint64_t kid = inner_kid(t->view, edit.page, off, edit.index);
	int rc = tree_way_sound(t, path, level);

	if (rc)
		return rc;
	t->scratch->finger_of = NULL;
	rc = tree_page_out(t, 0, inner_copy(w->image, &edit, kid), &change.kid[0]);
	if (rc)
		return rc;
	rc = wset_retire(w, off);
	if (rc)
		return rc;
	return tree_replace_at(t, path, level + 1, &change);
}
