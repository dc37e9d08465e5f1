/* SPDX-License-Identifier: BSD-3-Clause */
/* tree_verify.c - the pages of a path against their checksums and each other. See tree.h */
#include "base/crc.h"
#include "base/err.h"
#include "media/super.h"
#include "tree/tree.h"

/* page_verify - a page that is younger than the snapshot, and sends it on. */
static int page_verify(const struct view *v, uint64_t off)
{
	const struct fmt_page *page = view_raw(v, off);
	uint32_t crc = page->crc ^ crc32c_place(off);

	if (page->type == FMT_DESC && desc_crc((const void *)page) == crc)
		return 0;
	if (page->type == FMT_LEAF && page_sound(page, 0, v->psize) &&
	    leaf_crc((const void *)page, page->end) == crc)
		return 0;
	if (page->type == FMT_INNER && page_sound(page, page->level, v->psize))
		return inner_verify(page, off);
	return err_corrupt(off, "a page of type %u: its checksum does not match", page->type);
}

/* Versions older than the snapshot are not looked at: nobody reads them here. */
int tree_way_verify(const struct view *v, uint64_t from, uint64_t to)
{
	int rc = 0;

	while (UNLIKELY(from != to) && from && !rc) {
		if (from & (v->psize - 1) || from > view_size(v) - v->psize)
			return err_corrupt(from, "not the place of a page");
		if (view_raw(v, from)->birth <= v->snapshot)
			return 0;
		rc = page_verify(v, from);
		from = view_raw(v, from)->prev;
	}
	return rc;
}

/* bound_of - the separator that lies below (or above) all of the path's leaf: as a probe, which an
 * entry compares with. *some false: there is none, on that edge of the tree. */
static int bound_of(const struct tree *t, const struct path *p, bool above, struct probe *bound,
                    bool *some)
{
	*some = false;
	for (unsigned int i = 1; i < p->height && !*some; i++) {
		const struct fmt_page *page = p->at[i].page;
		uint32_t index = p->at[i].index;
		struct sep s;

		if (above ? index >= page->n : index == 0)
			continue;
		int rc = inner_sep(t->view, page, p->at[i].off, above ? index : index - 1, &s);

		if (rc)
			return rc;
		*bound = (struct probe){
		    .key = s.key,
		    .klen = s.klen,
		    .edge = PROBE_BEFORE,
		};
		if (s.dlen != FMT_SEP_NODUP || !t->order->dups) {
			bound->dup = s.dup;
			bound->dlen = s.dlen;
			bound->edge = PROBE_AT;
		}
		*some = true;
	}
	return 0;
}

/* edge_verify - the leaf's entry of that rank, its last one (or first), lies within the bound. */
static int edge_verify(const struct tree *t, const struct path *p, uint32_t rank, bool last)
{
	struct probe bound;
	struct item it;
	uint32_t eoff;
	bool some;
	int rc = bound_of(t, p, last, &bound, &some);

	if (rc || !some)
		return rc;
	rc = leaf_at(&p->leaf, rank, &eoff);
	if (rc)
		return rc;
	rc = leaf_item(&p->leaf, eoff, &it);
	if (rc)
		return rc;
	int side = order_cmp(t->order, it.key, it.klen, it.val, it.vlen, &bound);

	if (last ? side < 0 : side >= 0)
		return 0;
	return err_corrupt(p->leaf.off, "leaf: its %s entry lies %s the bound of the page above",
	                   last ? "last" : "first", last ? "behind" : "before");
}

/* can_compare - not in a copy, which has no comparators of the program's own. */
static bool can_compare(const struct order *o)
{
	return (o->key != ORDER_OWN || o->key_fn) && (!o->dups || o->dup != ORDER_OWN || o->dup_fn);
}

/* From the root down, each page against its checksum, then the leaf's first and last entry against
 * the separators above: a page that is whole but hangs in the wrong place is found by that. */
int tree_verify(const struct tree *t, const struct path *p, uint64_t *seen)
{
	const struct view *v = t->view;
	uint64_t at = p->height ? p->at[p->height - 1].off : 0;
	int rc = tree_way_verify(v, t->root, at);

	for (unsigned int i = p->height; i-- > 1 && !rc;) {
		at = p->at[i].off;
		if (!seen || seen[i] != at)
			rc = inner_verify(p->at[i].page, at);
		if (seen)
			seen[i] = at;
		at = inner_kid(v, p->at[i].page, at, p->at[i].index);
		if (!rc)
			rc = tree_way_verify(v, at, p->at[i - 1].off);
	}
	if (!rc && p->height)
		rc = leaf_verify(&p->leaf);
	if (rc || p->height < 2 || !can_compare(t->order))
		return rc;
	uint32_t n = leaf_count(&p->leaf);

	if (n)
		rc = edge_verify(t, p, 0, false);
	if (rc || !n)
		return rc;
	return edge_verify(t, p, n - 1, true);
}
