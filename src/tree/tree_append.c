/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_append.c - keys that arrive in ascending order: logs, time series, sorted loads.
 *
 * The place of the last put is remembered: while nothing but such puts happens, the next key is
 * compared with the last one only, instead of a way down the tree. When the last leaf is private,
 * or after some such puts, a batch begins:
 *
 *   tree ... -> [ last leaf ]    [leaf] [leaf]   streamed to pages that nothing refers to yet
 *                                [leaf]          in the making, in memory
 *
 * A put then copies its entry to the leaf in the making, and that is all: no way down, no slot, no
 * checksum of its own, no cache line that was not there. A full leaf goes to its page in one
 * stream. The first one takes the place of the tree's last leaf, as any page that is written anew
 * does [I7]. The parents hear of these pages when the batch is flushed, TREE_BATCH_KIDS at a time
 * at most. A load (tree_load.c) is told how entries come and when they end; a batch finds out.
 *
 * The rule that makes it correct: nobody looks at a tree that has a batch. tree_root, where every
 * way down begins, flushes it; so do commit and the beginning and end of a nested transaction.
 * Until then the transaction's pages are private, and to undo it is to forget the batch.
 *
 * A flush does not fail for want of space, because a get may make it: the pages that the parents
 * may need are taken ahead (batch_reserve), before the first put that makes them necessary. What
 * is left, no memory or a damaged page above, makes the tree unusable (failed), and the transaction
 * can only be aborted, even if it was a get that met the error: tree_flush_all, which every commit
 * begins with, repeats it.
 *
 * The life of a batch, of which a tree has at most one:
 *
 *   free --tree_batch_begin--> the tree's --tree_flush, tree_forget--> free
 *
 * Rejected: a larger leaf that is appended to. A leaf has one size, and its tail only 16 slots.
 */
#include "tree/tree.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH_FULL 90u /* percent of a leaf filled this way: a later update needs room */
/* ascending puts that a batch may expect more of, when the last leaf is private and has no tail */
#define BATCH_AFTER 2u
/* ascending puts after which any last leaf is written anew for a batch, or after twice * as many
 * and so on if it is too full: a page for what would be a few lines each */
#define BATCH_COPY 8u

/* The last kid at each level, and behind the last entry of the leaf. Levels above know only which
 * kid was taken, so each must be its page's last. */
bool tree_at_end(const struct path *path)
{
	for (unsigned int l = 1; l < path->height; l++)
		if (path->at[l].index != path->at[l].page->n)
			return false;
	if (!path->height)
		return false;
	return path->rank == leaf_count(&path->leaf);
}

/* last_item - the leaf's last entry; *some false: there is none. The item points into the leaf. */
static int last_item(const struct leaf *leaf, struct item *it, bool *some)
{
	uint32_t n = leaf_count(leaf);
	uint32_t eoff;
	int rc = 0;

	*some = n > 0;
	if (n)
		rc = leaf_at(leaf, n - 1, &eoff);
	if (n && !rc)
		rc = leaf_item(leaf, eoff, it);
	return rc;
}

/* The finger is tried first. Elsewhere the lines that the put will change are asked for while it
 * is placed. The path is scratch->finger, which stays the tree's until a page is replaced. */
int tree_seek_put(struct tree *t, const struct probe *probe, uint32_t bytes)
{
	struct path *path = t->scratch->finger;

	if (t->scratch->finger_of == t && !t->batch) {
		struct item last;
		bool some;

		path_leaf(t->view, path);
		int rc = last_item(&path->leaf, &last, &some);

		if (rc)
			return rc;
		if (some &&
		    order_cmp(t->order, last.key, last.klen, last.val, last.vlen, probe) < 0) {
			path->rank = leaf_count(&path->leaf);
			path->eoff = 0;
			return 0;
		}
	}
	t->scratch->finger_of = NULL;
	if (t->order->dups)
		return tree_seek_again(t, probe, path);
	int rc = tree_down(t, probe, path);

	if (rc)
		return rc;
	if (!path->height)
		return 0;
	leaf_own(&path->leaf, bytes);
	return path_place(t, path, probe);
}

/* ---- batches --------------------------------------------------------------------------------- */

/* batch_out - the leaf in the making goes to its page. Streamed, so it is durable with the next
 * fence, and its lines are not in the cache. */
static void batch_out(struct tree *t, struct tree_batch *batch)
{
	assert(wset_editable(t->view->w, batch->wp));
	assert(batch->pack.n > 0);
	struct wset *w = t->view->w;
	uint32_t used = leaf_pack_build(&batch->pack, t->order, w->txn, batch->prev);

	wset_install_whole(w, batch->wp, batch->pack.page, used);
}

/* batch_link - the batch's first page takes the place of the tree's last leaf, and those behind it
 * become its neighbours. The path is of no use then. */
static int batch_link(struct tree *t, struct tree_batch *batch)
{
	assert(batch->change.m > 0);
	if (batch->change.m > 1 || batch->change.kid[0] != batch->path.at[0].off)
		return tree_replace(t, &batch->path, &batch->change);
	return 0;
}

/* flush_pages - the most pages that batch_link takes: at each level the kids of one page go to four
 * at most (write_pages), and a new root may stand above them. */
static size_t flush_pages(unsigned int height)
{
	return 4 * ((size_t)height - 1) + 1;
}

/* batch_reserve - have so many pages for the batch's flush; *lacks: there are not so many. Other
 * errors of wset_spare_take. */
static int batch_reserve(struct tree *t, struct tree_batch *batch, size_t pages, bool *lacks)
{
	struct tree_scratch *s = t->scratch;
	size_t more;
	int rc;

	*lacks = false;
	if (batch->spare >= pages)
		return 0;
	more = pages - batch->spare;
	rc = wset_spare_take(t->view->w, s->owed + more);
	if (rc == DAXKV_FULL || rc == ENOSPC || rc == EDQUOT || rc == EFBIG) {
		*lacks = true;
		return wset_spare_give(t->view->w, s->owed);
	}
	if (rc)
		return rc;
	s->owed += more;
	batch->spare = pages;
	return 0;
}

/* The batch is the tree's no longer before it is linked: what links it looks things up. */
int tree_flush(struct tree *t)
{
	struct tree_batch *batch = t->batch;

	if (!batch)
		return t->failed;
	assert(batch->tree == t);
	assert(t->scratch->batches > 0);
	t->batch = NULL;
	batch->tree = NULL;
	t->scratch->batches--;
	t->appends = 0;
	t->scratch->finger_of = NULL;
	batch_out(t, batch);
	assert(t->scratch->owed >= batch->spare);
	t->scratch->owed -= batch->spare;
	batch->spare = 0;
	t->view->w->use_spare = true;
	t->failed = batch_link(t, batch);
	t->view->w->use_spare = false;
	if (t->failed)
		t->scratch->failed = t->failed;
	return t->failed;
}

/* Each tree that has one; there are at most TREE_BATCHES. After an error the others keep theirs:
 * the transaction is aborted, and tree_forget drops them. */
int tree_flush_each(struct tree_scratch *s, struct wset *w)
{
	int rc = s->failed;

	for (unsigned int i = 0; s->batches && i < TREE_BATCHES && !rc; i++)
		if (s->batch[i].tree)
			rc = tree_flush(s->batch[i].tree);
	if (UNLIKELY(w->nspare && !rc))
		rc = wset_spare_give(w, 0);
	if (rc)
		return rc;
	s->failed = tree_tally_flush(s, w);
	return s->failed;
}

/* The pages of the batches are the transaction's, and go with its undo. */
void tree_forget(struct tree_scratch *s)
{
	for (unsigned int i = 0; s->batches && i < TREE_BATCHES; i++) {
		if (s->batch[i].tree)
			s->batch[i].tree->batch = NULL;
		s->batch[i].tree = NULL;
		s->batch[i].spare = 0;
	}
	s->batches = 0;
	s->owed = 0;
	s->failed = 0;
	s->finger_of = NULL;
	tree_tally_forget(s);
}

/* batch_take - a batch that nobody uses, or the one that was used least recently. ENOMEM, and
 * errors of flushing that one. Its memory is allocated at its first use, and stays until the store
 * is closed: three pages and the offsets of the pack's entries. */
static int batch_take(struct tree *t, struct tree_batch **out)
{
	struct tree_batch *batch = t->scratch->batch;
	uint32_t psize = t->view->psize;

	for (unsigned int i = 1; i < TREE_BATCHES && batch->tree; i++)
		if (!t->scratch->batch[i].tree || t->scratch->batch[i].used < batch->used)
			batch = &t->scratch->batch[i];
	if (batch->tree) {
		int rc = tree_flush(batch->tree);

		if (rc)
			return rc;
	}
	if (!batch->pack.page) {
		size_t offs = LEAF_PACK_MAX(psize) * sizeof *batch->pack.off;

		batch->pack.page = malloc(3 * (size_t)psize + offs);
		if (!batch->pack.page)
			return err_set(ENOMEM, "no memory for ascending keys");
		batch->seps = batch->pack.page + 2 * (size_t)psize;
		batch->pack.off = (void *)(batch->seps + psize);
		batch->pack.psize = psize;
		batch->pack.limit = FMT_LEAF_BASE + leaf_usable(psize) * BATCH_FULL / 100;
	}
	*out = batch;
	return 0;
}

/* batch_page - the page for the batch's first leaf, in the place of the tree's last one: that one
 * if it may be written anew where it is. prev is asked for while that page is the tree's. */
static int batch_page(struct tree *t, struct tree_batch *batch, uint64_t old)
{
	struct wset *w = t->view->w;
	int rc;

	batch->prev = tree_prev_for(t, old);
	if (wset_editable(w, wset_find(w, old)))
		return wset_touch(w, old, &batch->wp);
	rc = wset_new_page(w, &batch->wp);
	if (rc)
		return rc;
	return wset_retire(w, old);
}

/* batch_takes - whether the item may follow the last one of the leaf in the making. key_ascends:
 * its key must be greater. Duplicates of one size are checked, too, because the common checks of a
 * put are skipped. */
static inline bool batch_takes(const struct tree *t, const struct tree_batch *batch,
                               const struct item *item, bool key_ascends)
{
	const struct leaf_pack *pack = &batch->pack;

	if (!leaf_pack_ascends(pack, t->order, item, key_ascends))
		return false;
	if (!(t->order->flags & DAXKV_DUP_FIXED))
		return true;
	return item->vlen == leaf_pack_item(pack, pack->n - 1).vlen;
}

/* batch_due - whether so many ascending puts came that a batch is worth its page. ready: the last
 * leaf is private and has no tail. */
static bool batch_due(const struct tree *t, bool ready)
{
	if (ready)
		return t->appends >= BATCH_AFTER;
	return t->appends % BATCH_COPY == 0;
}

/* batch_pack - have the leaf's entries, and the item behind them, in the making. *fits false: the
 * leaf is too full, and will split first; or it is empty. CORRUPT. */
static int batch_pack(struct tree *t, struct tree_batch *batch, const struct leaf *leaf,
                      const struct item *item, bool *fits)
{
	struct item *items = t->scratch->items;
	uint32_t n = 0;
	int rc = tree_leaf_items(t, leaf, items, &n);

	*fits = false;
	if (rc)
		return rc;
	if (n == 0)
		return 0;
	batch->pack.n = 0;
	for (uint32_t i = 0; i < n; i++)
		if (!leaf_pack_add(&batch->pack, t->order, &items[i]))
			return 0;
	if (!batch_takes(t, batch, item, false))
		return err_corrupt(leaf->off,
		                   "leaf: its entries are not in order, or not of one size");
	/* now: its bytes may lie in the page that will be written anew */
	*fits = leaf_pack_add(&batch->pack, t->order, item);
	return 0;
}

/* A batch needs to know its first leaf's entries: these are packed with the new item, and the leaf
 * is written as a whole when it is full. */
int tree_batch_begin(struct tree *t, const struct path *path, const struct item *item, bool *begun)
{
	assert(!t->batch);
	assert(path->height > 0);
	struct wset *w = t->view->w;
	struct wpage *wp = wset_find(w, path->leaf.off);
	/* as it was written: with changes in its base it counts as one that has a tail */
	bool ready = wset_editable(w, wp) && !wp->npending && !path->leaf.nslots && !wp->stale;
	struct tree_batch *batch = NULL;
	bool fits;
	bool lacks = false;

	*begun = false;
	if (!batch_due(t, ready))
		return 0;
	int rc = batch_take(t, &batch);

	if (rc)
		return rc;
	assert(!batch->tree);
	batch->spare = 0;
	rc = batch_pack(t, batch, &path->leaf, item, &fits);
	if (rc)
		return rc;
	if (!fits)
		return 0;
	/* the leaf goes to another page, and its parents may have no room for one more word */
	if (!ready)
		rc = batch_reserve(t, batch, path->height - 1, &lacks);
	if (rc)
		return rc;
	if (lacks)
		return 0;
	rc = batch_page(t, batch, path->leaf.off);
	if (rc)
		return rc;
	counter_add(&w->compactions, !ready);
	batch->cost = 0;
	batch->bytes = 0;
	batch->change.from = path_kid(path, 0);
	batch->change.count = 1;
	batch->change.m = 1;
	batch->change.kid[0] = batch->wp->off;
	batch->path.height = path->height;
	memcpy(batch->path.at, path->at, path->height * sizeof path->at[0]);
	batch->tree = t;
	batch->used = w->changes;
	t->batch = batch;
	t->count++;
	t->scratch->batches++;
	*begun = true;
	return 0;
}

/* batch_full - whether the parents have to hear of the batch's pages before there is one more: its
 * kids, or the bytes of their separators, would be too many, or take more than half of a parent. */
static bool batch_full(const struct tree *t, const struct tree_batch *batch,
                       const struct item *item)
{
	uint32_t psize = t->view->psize;
	uint32_t longest = item->klen; /* a separator is no longer than what stands behind it */

	if (t->order->dups)
		longest += item->vlen;
	if (batch->change.m > TREE_BATCH_KIDS)
		return true;
	if (batch->bytes + longest > psize)
		return true;
	return batch->cost > inner_usable(psize) / 2;
}

/* batch_next - the leaf in the making is full: it goes to its page, and the next one begins with
 * the item. *done false: the parents have to hear of the pages first. */
static int batch_next(struct tree *t, struct tree_batch *batch, const struct item *item, bool *done)
{
	assert(batch->change.m > 0);
	struct wset *w = t->view->w;
	struct change *c = &batch->change;
	struct sep *sep = &c->sep[c->m - 1];
	struct wpage *wp;
	bool lacks;
	int rc = tree_pack_note(t, &batch->pack);

	*done = false;
	if (rc)
		return rc;
	if (batch_full(t, batch, item))
		return 0;
	rc = batch_reserve(t, batch, flush_pages(batch->path.height), &lacks);
	if (rc)
		return rc;
	if (lacks)
		return 0;
	struct item last = leaf_pack_item(&batch->pack, batch->pack.n - 1);

	tree_separator(t, &last, item, batch->seps + batch->bytes, sep);
	rc = wset_new_page(w, &wp);
	if (rc)
		return rc;
	batch->bytes += tree_sep_bytes(sep);
	batch->cost += inner_cost(sep);
	batch_out(t, batch);
	batch->pack.n = 0;
	batch->wp = wp;
	batch->prev = 0;
	*done = leaf_pack_add(&batch->pack, t->order, item);
	assert(*done);
	c->kid[c->m++] = wp->off;
	t->leaf_pages++;
	counter_add(&w->splits, 1);
	return 0;
}

/* A full leaf goes out and the next one begins; if the parents must hear of it first, the put goes
 * the common way, which flushes. used is what batch_take goes by. */
int tree_batch_put(struct tree *t, const struct item *item, bool key_ascends, bool *done)
{
	assert(t->batch);
	assert(t->batch->tree == t);
	struct tree_batch *batch = t->batch;

	*done = false;
	if (UNLIKELY(!batch_takes(t, batch, item, key_ascends)))
		return 0;
	*done = leaf_pack_add(&batch->pack, t->order, item);
	if (UNLIKELY(!*done)) {
		int rc = batch_next(t, batch, item, done);

		if (rc)
			return rc;
		if (!*done)
			return 0;
	}
	batch->used = t->view->w->changes;
	t->count++;
	return tree_tally_change(t, item, true);
}
