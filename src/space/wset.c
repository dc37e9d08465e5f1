/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wset.c - see wset.h
 *
 * Entries lie in blocks that never move, so that a pointer to one stays good; a table of indexes,
 * open addressed, finds them by offset. Entries are only added, in the order of their first touch,
 * so the newest can be taken out again when a nested transaction is undone.
 *
 *   table[hash of offset] -> number -> block[number / 256][number % 256]
 *                                      ^ undo log: copies of entries, each with its number
 *
 * The undo log has what a level may have to go back to: the copy that its first change of an entry
 * made. When the level ends well, its copies are dropped or handed to its parent; when it does not,
 * they go back, newest first, so that the oldest copy of an entry comes last.
 */
#include "space/wset.h"

#include "base/array.h"
#include "base/crc.h"
#include "base/err.h"
#include "media/map.h"
#include "media/pm.h"
#include "space/space.h"

#include <errno.h>
#include <stdlib.h>

#define BLOCK       256u
#define TABLE_FIRST 1024u
/* pages of a transaction whose record will hardly name ranges: their checksums are made at commit
 * if it does */
#define NAMED_EAGER 8u
/* a page made by a transaction's first changes will hardly be edited again */
#define STREAM_CHANGES 1u

struct wset_undo {
	uint32_t index;
	struct wpage copy;
};

/* The image is larger than a page: who builds one may store its padding behind the page's end. */
int wset_open(struct wset *w, struct map *map, struct space *space, uint32_t psize)
{
	*w = (struct wset){
	    .map = map,
	    .space = space,
	    .psize = psize,
	    .mask = TABLE_FIRST - 1,
	};
	w->table = calloc(TABLE_FIRST, sizeof *w->table);
	w->image = aligned_alloc(FMT_LINE, 4 * (size_t)psize);
	if (w->table && w->image)
		return 0;
	wset_close(w);
	return err_set(ENOMEM, "no memory for the writer's tables");
}

/* Safe on what wset_open left half-way. */
void wset_close(struct wset *w)
{
	for (size_t i = 0; i < w->nblocks; i++)
		free(w->block[i]);
	free(w->block);
	free(w->table);
	free(w->undo);
	free(w->spare);
	free(w->image);
	*w = (struct wset){0};
}

/* table_place - the place in the table of entry i, which has that offset and is in it. */
static size_t table_place(const struct wset *w, uint64_t off, size_t i)
{
	size_t h = wset_bucket(w, off);

	while (w->table[h] != i + 1) {
		assert(w->table[h]);
		h = (h + 1) & w->mask;
	}
	return h;
}

/* table_put - entry i, which has that offset and is not in it, gets a place. */
static void table_put(struct wset *w, uint64_t off, size_t i)
{
	size_t h = wset_bucket(w, off);

	assert(2 * i <= w->mask);
	while (w->table[h])
		h = (h + 1) & w->mask;
	w->table[h] = (uint32_t)i + 1;
}

/* remove_newest - the entry that was added last goes. Those before it are found as before: none of
 * them was put where it had to pass this one's place. */
static inline void remove_newest(struct wset *w)
{
	size_t i = w->n - 1;

	w->table[table_place(w, wset_at(w, i)->off, i)] = 0;
	w->n = i;
}

/* A small set is wiped entry by entry, so that a small transaction does not pay for a big one
 * before it. */
void wset_begin(struct wset *w, uint64_t txn)
{
	if (w->n * 8 < w->mask) {
		while (w->n)
			remove_newest(w);
	} else {
		memset(w->table, 0, (w->mask + 1) * sizeof *w->table);
		w->n = 0;
	}
	w->txn = txn;
	w->first = 0;
	w->level = 1;
	w->changes = 0;
	w->nundo = 0;
	w->nspare = 0;
}

/* Mostly it is the first place. */
struct wpage *wset_find_from(const struct wset *w, uint64_t off, size_t h)
{
	for (; w->table[h]; h = (h + 1) & w->mask) {
		struct wpage *wp = wset_at(w, w->table[h] - 1);

		if (wp->off == off)
			return wp;
	}
	return NULL;
}

/* table_grow - twice as many places. At most half of them are in use, so that searches stay short.
 * The entries go in again in the order of their first touch, so that the newest can be taken out
 * again. */
static int table_grow(struct wset *w)
{
	size_t mask = 2 * w->mask + 1;
	uint32_t *table = calloc(mask + 1, sizeof *table);

	if (!table)
		return err_set(ENOMEM, "no memory for the pages of a large transaction");
	free(w->table);
	w->table = table;
	w->mask = mask;
	for (size_t i = 0; i < w->n; i++)
		table_put(w, wset_at(w, i)->off, i);
	return 0;
}

/* block_add - memory for BLOCK more entries. A failure leaves the set as it was. */
static int block_add(struct wset *w)
{
	struct wpage *block;
	int rc = array_room(&w->block, w->nblocks, &w->block_room, sizeof(struct wpage *));

	if (rc)
		return rc;
	block = malloc(BLOCK * sizeof *block);
	if (!block)
		return err_set(ENOMEM, "no memory for the pages of a large transaction");
	w->block[w->nblocks] = block;
	w->nblocks++;
	return 0;
}

/* wpage_blank - a committed page's entry, without pending words: nothing of val and idx is in use.
 */
static void wpage_blank(struct wpage *wp, uint64_t off, unsigned int level)
{
	memset(wp, 0, offsetof(struct wpage, val));
	wp->off = off;
	wp->saved_level = (uint8_t)level;
}

/* wset_add - a blank entry, at the end. ENOMEM. */
static int wset_add(struct wset *w, uint64_t off, struct wpage **wp)
{
	int rc;

	assert(off % w->psize == 0);
	assert(w->level >= 1);
	if (w->n / BLOCK == w->nblocks) {
		rc = block_add(w);
		if (rc)
			return rc;
	}
	if (w->n * 2 > w->mask) {
		rc = table_grow(w);
		if (rc)
			return rc;
	}
	table_put(w, off, w->n);
	*wp = wset_at(w, w->n);
	w->n++;
	wpage_blank(*wp, off, w->level);
	return 0;
}

/* wset_save - keep a copy of the entry as the running level found it [R8]. */
static int wset_save(struct wset *w, struct wpage *wp)
{
	size_t h;
	int rc;

	if (wp->saved_level == w->level)
		return 0;
	assert(wp->saved_level < w->level);
	rc = array_room(&w->undo, w->nundo, &w->undo_room, sizeof *w->undo);
	if (rc)
		return rc;
	h = wset_bucket(w, wp->off);
	while (wset_at(w, w->table[h] - 1) != wp)
		h = (h + 1) & w->mask;
	w->undo[w->nundo++] = (struct wset_undo){
	    .index = w->table[h] - 1,
	    .copy = *wp,
	};
	wp->saved_level = (uint8_t)w->level;
	return 0;
}

/* An entry that an outer level made is copied to the undo log first, once for each level. */
int wset_touch_found(struct wset *w, uint64_t off, struct wpage **wp)
{
	if (!*wp)
		return wset_add(w, off, wp);
	assert((*wp)->off == off);
	return wset_save(w, *wp);
}

int wset_touch(struct wset *w, uint64_t off, struct wpage **wp)
{
	struct wpage *found = wset_find(w, off);
	int rc = wset_touch_found(w, off, &found);

	if (LIKELY(!rc))
		*wp = found;
	return rc;
}

/* taken_check - the pages that space gave are none that the transaction has in use: only damage can
 * lead to one that the bitmap says is free. *first: the entry of the first of them, or NULL. */
static int taken_check(const struct wset *w, uint64_t off, uint64_t pages, struct wpage **first)
{
	struct wpage *wp = wset_find(w, off);

	*first = wp;
	while (LIKELY(!wp || wp->dead)) {
		pages--;
		if (!pages)
			return 0;
		off += w->psize;
		wp = wset_find(w, off);
	}
	return err_corrupt(off, "a page in use is free in its bitmap");
}

/* One entry for all pages of the extent, under the offset of its first. */
int wset_new_extent(struct wset *w, uint64_t pages, struct wpage **out)
{
	struct wpage *wp;
	uint64_t off;
	bool again;
	int rc;

	assert(pages > 0);
	assert(w->level >= 1);
	rc = space_take(w->space, pages, &off);
	if (rc)
		return rc;
	rc = taken_check(w, off, pages, &wp);
	if (rc)
		return rc;
	again = wp; /* a page freed and taken again keeps its entry */
	rc = wset_touch_found(w, off, &wp);
	if (rc)
		return rc;
	if (again)
		wpage_blank(wp, off, wp->saved_level);
	wp->owner = (uint8_t)w->level;
	*out = wp;
	return 0;
}

/* An inner page, a leaf or a descriptor: an extent of one. */
int wset_new_page(struct wset *w, struct wpage **wp)
{
	if (UNLIKELY(w->use_spare && w->nspare)) {
		w->nspare--;
		*wp = w->spare[w->nspare];
		return 0;
	}
	return wset_new_extent(w, 1, wp);
}

/* install - the image becomes the private page's content. A streamed page is on its way to the
 * medium at once; a page that is only stored is flushed at commit. */
static void install(struct wset *w, struct wpage *wp, uint8_t *image, uint32_t used, bool stream)
{
	struct fmt_page *head = (void *)image;
	struct pm *pm = &w->map->pm;
	const uint8_t *page = map_at(w->map, wp->off);

	assert(wset_editable(w, wp));
	assert(used <= w->psize);
	assert(used % 4 == 0);
	head->crc ^= crc32c_place(wp->off);
	wp->npending = 0;
	wp->napplied = 0;
	wp->installed = ++w->installs;
	/* [R1] exactly: the next transaction appends behind it */
	wp->used = used;
	wp->streamed = stream;
	wp->stale = false;
	wp->crc_valid = stream && w->n <= NAMED_EAGER;
	if (wp->crc_valid)
		wp->fresh_crc = crc32c(0, image, used);
	if (stream)
		pm_stream(pm, page, image, round_up(used, FMT_LINE));
	else
		pm_write(pm, page, image, used);
}

/* A page that a transaction's first change makes is rarely changed again: it goes to the medium at
 * once. One of a larger transaction may be edited many times, and is flushed at commit. */
void wset_install(struct wset *w, struct wpage *wp, uint8_t *image, uint32_t used)
{
	install(w, wp, image, used, w->changes <= STREAM_CHANGES);
}

/* For pages of a load or a batch, which are full when they are built. */
void wset_install_whole(struct wset *w, struct wpage *wp, uint8_t *image, uint32_t used)
{
	install(w, wp, image, used, true);
}

/* retire - pages of which the set has an entry. What the running level made nobody else can reach;
 * what an outer level or a commit made waits for the end of those that may go back to it [R8]. */
static int retire(struct wset *w, uint64_t off, uint64_t pages)
{
	struct wpage *wp;
	int rc = wset_touch(w, off, &wp);

	if (rc)
		return rc;
	if (wset_editable(w, wp))
		rc = space_give_own(w->space, off, pages);
	else
		rc = space_give(w->space, off, pages);
	if (rc)
		return rc;
	wp->dead = true; /* [R7] */
	return 0;
}

/* Its entry stays in the set, dead: the commit's walk skips it. */
int wset_retire(struct wset *w, uint64_t off)
{
	assert(off % w->psize == 0);
	return retire(w, off, 1);
}

int wset_spare_take(struct wset *w, size_t n)
{
	int rc = 0;

	assert(!w->use_spare);
	while (w->nspare < n && !rc) {
		rc = array_room(&w->spare, w->nspare, &w->spare_room, sizeof(struct wpage *));
		if (!rc)
			rc = wset_new_extent(w, 1, &w->spare[w->nspare]);
		if (!rc)
			w->nspare++;
	}
	return rc;
}

int wset_spare_give(struct wset *w, size_t n)
{
	int rc = 0;

	while (w->nspare > n) {
		w->nspare--;
		rc = wset_retire(w, w->spare[w->nspare]->off);
		if (rc)
			return rc;
	}
	return 0;
}

/* A value that a commit made has no entry, and needs none. */
int wset_retire_extent(struct wset *w, uint64_t off, uint64_t pages)
{
	if (wset_find(w, off))
		return retire(w, off, pages);
	return space_give(w->space, off, pages);
}

/* slots_apply - of a leaf. Slots that are in the page already are left: each is stored once. */
static void slots_apply(struct wset *w, struct wpage *wp, const uint8_t *page)
{
	const uint64_t *slots = (const uint64_t *)(const void *)(page + FMT_LEAF_SLOTS);

	assert(wp->napplied <= wp->npending);
	assert(wp->npending <= FMT_TAIL_SLOTS);
	for (unsigned int i = wp->napplied; i < wp->npending; i++)
		pm_store8(&w->map->pm, slots + i, wp->val[i]);
	if (wp->fresh_end > wp->used)
		wp->used = wp->fresh_end;
}

/* kids_apply - of an inner page, whose kids follow its heads. */
static void kids_apply(struct wset *w, struct wpage *wp, const uint8_t *page)
{
	const struct fmt_page *head = (const void *)page;
	const uint8_t *at = page + head->heads + (size_t)head->n * FMT_WORD;
	const uint64_t *kids = (const uint64_t *)(const void *)at;

	assert(wp->npending <= WSET_PENDING);
	for (unsigned int i = 0; i < wp->npending; i++)
		pm_store8(&w->map->pm, kids + wp->idx[i], wp->val[i]);
}

/* The pending words are in place: what is streamed no more must be flushed at commit. */
void wset_apply(struct wset *w, struct wpage *wp)
{
	const uint8_t *page = map_at(w->map, wp->off);
	const struct fmt_page *head = (const void *)page;

	if (!wp->npending)
		return;
	assert(wp->owner);
	wp->streamed = false;
	if (head->type == FMT_LEAF)
		slots_apply(w, wp, page);
	else
		kids_apply(w, wp, page);
	wp->npending = 0;
	wp->napplied = 0;
	wp->fresh_off = 0;
	wp->fresh_end = 0;
}

/* ---- nesting --------------------------------------------------------------------------------- */

/* The levels count from 1, and a page's owner must fit its byte. */
void wset_enter(struct wset *w, struct wset_mark *mark)
{
	assert(w->level >= 1);
	assert(w->level < UINT8_MAX);
	assert(w->nspare == 0);
	*mark = (struct wset_mark){
	    .n = w->n,
	    .nundo = w->nundo,
	    .space = space_mark(w->space),
	};
	w->level++;
}

/* free_of_parent - what the child gave up of its parent's pages was held for the child's abort,
 * which cannot come any more [R8]. */
static void free_of_parent(struct wset *w, size_t mark, uint8_t parent)
{
	for (size_t i = mark; i < space_mark(w->space); i++) {
		const struct wpage *wp = NULL;

		if (space_is_held(w->space, i))
			wp = wset_find(w, w->space->op[i].off);
		if (wp && wp->owner == parent)
			space_unhold(w->space, i);
	}
}

/* parent_owns - the entry as the parent finds it: what the child made is its. */
static void parent_owns(struct wpage *wp, uint8_t parent)
{
	wp->saved_level = parent;
	if (wp->owner > parent)
		wp->owner = parent;
}

/* A copy that the child's undo log holds is also what the parent's would, unless the parent has one
 * already. The outermost level needs none: its abort forgets everything. */
void wset_merge(struct wset *w, const struct wset_mark *mark)
{
	uint8_t parent = (uint8_t)(w->level - 1);
	size_t keep = mark->nundo;

	assert(w->level > 1);
	assert(w->nspare == 0);
	assert(mark->n <= w->n);
	assert(mark->nundo <= w->nundo);
	for (size_t i = mark->n; i < w->n; i++)
		parent_owns(wset_at(w, i), parent);
	for (size_t i = mark->nundo; i < w->nundo; i++) {
		const struct wset_undo *u = &w->undo[i];

		parent_owns(wset_at(w, u->index), parent);
		if (u->copy.saved_level != parent && parent > 1)
			w->undo[keep++] = *u;
	}
	w->nundo = keep;
	w->level = parent;
	free_of_parent(w, mark->space, parent);
}

/* First the copies, newest first, then the entries that the level added, then its space. */
void wset_undo(struct wset *w, const struct wset_mark *mark)
{
	assert(w->level > 1);
	assert(mark->n <= w->n);
	assert(mark->nundo <= w->nundo);
	while (w->nundo > mark->nundo) {
		const struct wset_undo *u = &w->undo[--w->nundo];

		/* what was appended behind fresh_end stays as unused bytes, or is written again */
		*wset_at(w, u->index) = u->copy;
	}
	while (w->n > mark->n)
		remove_newest(w);
	w->nspare = 0;
	w->level--;
	space_undo(w->space, mark->space);
}
