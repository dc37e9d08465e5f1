/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit_memory.c - what is left of a transaction's pages in memory gets places in the file: see
 * space.h
 *
 *   1 a database without an entry needs no page: its catalog entry names none. That is done as soon
 *     as a removal took pages of the reserve, also for a leaf of tombstones, whose words take more
 *   2 each page in memory is copied to a page of the file, and freed
 *   3 whoever names it names the copy: an inner page of this transaction, the pending kids of
 *     another, or a root
 *
 * Nobody else has a page's offset then: cursors end with their transaction, or look their place up
 * again, and prev never names a page of the running transaction [I7]. It happens before descriptors
 * take the roots, and before pages are listed. FULL: the file has no room for the result beside
 * what there was before.
 */
#include "base/crc.h"
#include "txn/commit.h"
#include "txn/dbi.h"

/* emptied - the named database has no entry: its pages go. The commit names none then. */
static int emptied(struct wset *w, struct dbstate *s)
{
	int rc;

	if (s->handle == DAXKV_MAIN)
		return 0;
	if (s->tree.count)
		return 0;
	if (!s->tree.root)
		return 0;
	if (s->tree.inner_pages)
		return 0;
	if (s->tree.leaf_pages != 1)
		return 0;
	rc = tree_tally_clear(&s->tree, true);
	if (!rc)
		rc = wset_retire(w, s->tree.root);
	if (!rc && s->desc)
		rc = wset_retire(w, s->desc);
	s->tree.root = s->tree.leaf_pages = s->desc = 0;
	return rc;
}

/* page_out - a page in memory gets a place in the file. Its own element of the set stays, dead, and
 * knows that place. */
static int page_out(struct wset *w, struct wpage *wp)
{
	const uint8_t *page = map_at(w->map, wp->off);
	const bool stale = wp->stale;
	struct wpage *copy;
	int rc;

	assert(wset_editable(w, wp)); /* what other levels made is out already */
	wset_apply(w, wp);
	rc = wset_new_page(w, &copy);
	if (rc)
		return rc;
	memcpy(w->image, page, wp->used);
	((struct fmt_page *)(void *)w->image)->crc ^= crc32c_place(wp->off);
	wset_install(w, copy, w->image, wp->used);
	copy->stale = stale;
	rc = wset_retire(w, wp->off);
	wp->val[0] = copy->off;
	return rc;
}

/* now_at - where the page at off is from now on. */
static uint64_t now_at(const struct wset *w, uint64_t off)
{
	if (LIKELY(!map_in_memory(w->map, off)))
		return off;
	const struct wpage *wp = wset_find(w, off);

	assert(wp);
	assert(wp->dead);
	assert(wp->val[0]);
	return wp->val[0];
}

/* kids_follow - the kids of an inner page that the transaction has touched are where they are from
 * now on. A page that this level made has them in place. */
static void kids_follow(struct wset *w, struct wpage *wp)
{
	const struct fmt_page *page = map_at(w->map, wp->off);

	/* what is private and was not installed is a large value: its bytes are the program's */
	if (wp->dead || (wp->owner && !wp->installed) || page->type != FMT_INNER)
		return;
	if (!wset_editable(w, wp)) {
		for (unsigned int i = 0; i < wp->npending; i++)
			wp->val[i] = now_at(w, wp->val[i]);
		return;
	}
	wset_apply(w, wp);
	const uint64_t *kids =
	    (const uint64_t *)(const void *)((const uint8_t *)page + page->heads) + page->n;

	for (uint32_t i = 0; i <= page->n; i++) {
		const uint64_t kid = load_word(kids + i);

		if (!map_in_memory(w->map, kid))
			continue;
		pm_store8(&w->map->pm, kids + i, now_at(w, kid));
		wp->streamed = false;
	}
}

/* The pages are found by the set, which has all that the transaction has touched. */
int commit_memory_out(struct daxkv_txn *txn)
{
	struct wset *w = &txn->store->wset;
	int rc = 0;

	for (struct dbstate *s = txn->changed; s && !txn->parent && !rc; s = s->links.next_changed)
		if (dbi_has_changed(txn, s))
			rc = emptied(w, s);
	for (size_t i = 0; i < w->n && !rc; i++) {
		struct wpage *wp = wset_at(w, i);

		if (!wp->dead && map_in_memory(w->map, wp->off))
			rc = page_out(w, wp);
	}
	if (rc)
		return rc;
	for (size_t i = 0; i < w->n; i++)
		kids_follow(w, wset_at(w, i));
	for (struct dbstate *s = txn->changed; s; s = s->links.next_changed)
		if (dbi_has_changed(txn, s)) {
			s->tree.root = now_at(w, s->tree.root);
			s->tallies.root = now_at(w, s->tallies.root);
		}
	txn->store->scratch.finger_of = NULL;
	return 0;
}
