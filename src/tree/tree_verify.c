/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_verify.c - the pages of a path against their checksums and each other. See tree.h
 *
 * For transactions that verify what they read (DAXKV_TXN_VERIFY), and for copies. A page's checksum
 * includes its offset, so that a page written to a wrong place is found. But a page that is sound
 * in itself may be named by a wrong word: then its keys do not lie between the separators above, or
 * the versions on the way to it are not those of this place.
 *
 * A page is compared at each use, because memory may go bad at any time. A scan remembers which
 * inner pages it has just compared.
 */
#include "base/crc.h"
#include "base/err.h"
#include "media/super.h"
#include "tree/tree.h"

/* page_verify - a page that is younger than the snapshot, and sends it on. The kind decides which
 * bytes the checksum covers: words, which change later, are left out. */
static int page_verify(const struct view *v, uint64_t off)
{
	const struct fmt_page *page = view_raw(v, off);
	uint32_t crc = page->crc ^ crc32c_place(off);

	bool same = false;

	if (page->type == FMT_INNER && page_sound(page, page->level, v->psize))
		return inner_verify(page, off);
	if (page->type == FMT_DESC)
		same = desc_crc((const void *)page) == crc;
	else if (page->type == FMT_LEAF && page_sound(page, 0, v->psize))
		same = leaf_crc((const void *)page, page->end) == crc;
	if (same)
		return 0;
	return err_corrupt(off, "a page of type %u: its checksum does not match", page->type);
}

/* Versions older than the snapshot are not looked at: nobody reads them here. A place outside the
 * file, or in the middle of a page, is raised before it is read. The word is read once more than
 * the way to the page was: another process may have stored a page in it meanwhile that lies behind
 * what is mapped. */
int tree_way_verify(const struct view *v, uint64_t from, uint64_t to)
{
	int rc = 0;

	while (UNLIKELY(from != to) && from && !rc) {
		if (from & (v->psize - 1))
			return err_corrupt(from, "not the place of a page");
		if (from > view_size(v) - v->psize)
			rc = view_extend(v, from + v->psize);
		if (rc)
			return rc;
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
		const struct path_step *at = &p->at[i];
		uint32_t index = at->index;
		struct sep s;

		if (above && index >= at->page->n)
			continue;
		if (!above && index == 0)
			continue;
		if (!above)
			index--;
		int rc = inner_sep(t->view, at->page, at->off, index, &s);

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

/* edge_verify - the leaf's entry of that rank, its last one (or first), lies within the bound. Only
 * the edges: the leaf's checksum says that those between are what was written. */
static int edge_verify(const struct tree *t, const struct path *p, uint32_t rank, bool last)
{
	struct probe bound;
	struct item it;
	uint32_t eoff;
	bool some;
	int rc = bound_of(t, p, last, &bound, &some);

	if (rc)
		return rc;
	if (!some)
		return 0;
	rc = leaf_at(&p->leaf, rank, &eoff);
	if (rc)
		return rc;
	rc = leaf_item(&p->leaf, eoff, &it);
	if (rc)
		return rc;
	int side = order_cmp(t->order, it.key, it.klen, it.val, it.vlen, &bound);

	if (last && side >= 0)
		return err_corrupt(p->leaf.off,
		                   "leaf: its last entry lies behind the bound of the page above");
	if (!last && side < 0)
		return err_corrupt(p->leaf.off,
		                   "leaf: its first entry lies before the bound of the page above");
	return 0;
}

/* can_compare - not in a copy, which has no comparators of the program's own. */
static bool can_compare(const struct order *o)
{
	if (o->key == ORDER_OWN && !o->key_fn)
		return false;
	if (!o->dups)
		return true;
	if (o->dup != ORDER_OWN)
		return true;
	return o->dup_fn;
}

/* step_verify - one inner page of a path, and the versions on the way to the page below. *seen (or
 * NULL): the page that was compared last at this level. */
static int step_verify(const struct view *v, const struct path_step *at, uint64_t below,
                       uint64_t *seen)
{
	int rc = 0;

	if (!seen || *seen != at->off)
		rc = inner_verify(at->page, at->off);
	if (seen)
		*seen = at->off;
	if (rc)
		return rc;
	return tree_way_verify(v, inner_kid(v, at->page, at->off, at->index), below);
}

/* From the root down, each page against its checksum, then the leaf's first and last entry against
 * the separators above: a page that is whole but hangs in the wrong place is found by that. */
int tree_verify(const struct tree *t, const struct path *p, uint64_t *seen)
{
	const struct view *v = t->view;

	if (!p->height)
		return tree_way_verify(v, t->root, 0);
	int rc = tree_way_verify(v, t->root, p->at[p->height - 1].off);

	if (rc)
		return rc;
	for (unsigned int i = p->height - 1; i > 0; i--) {
		rc = step_verify(v, &p->at[i], p->at[i - 1].off, seen ? &seen[i] : NULL);
		if (rc)
			return rc;
	}
	rc = leaf_verify(&p->leaf);
	if (rc)
		return rc;
	if (p->height < 2)
		return 0;
	if (!can_compare(t->order))
		return 0;
	uint32_t n = leaf_count(&p->leaf);

	if (!n)
		return 0;
	rc = edge_verify(t, p, 0, false);
	if (rc)
		return rc;
	return edge_verify(t, p, n - 1, true);
}
