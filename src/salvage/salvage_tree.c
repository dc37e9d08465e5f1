/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/array.h"
#include "salvage/salvage.h"

#include <stdlib.h>

void salvage_hole(struct salvage *s, size_t db, const struct check_bounds *bounds, int level)
{
	int rc = array_room(&s->holes, s->nholes, &s->holes_room, sizeof *s->holes);

	if (rc)
		s->rc = rc;
	else
		s->holes[s->nholes++] = (struct salvage_hole){db, *bounds, level};
}

/* leaf_give - the entries of a leaf that a tree leads to. sound: its base is. */
static void leaf_give(struct salvage *s, size_t db, uint64_t off, bool sound,
                      const struct check_bounds *bounds)
{
	const uint32_t flags = s->dbs[db].flags;
	const uint32_t own = DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE;
	struct salvage_leaf *leaf = &s->leaf;

	salvage_leaf_read(s, off, sound, flags & DAXKV_DUP_SORT, leaf);
	if (sound && leaf->bad)
		salvage_lost(s, &s->dbs[db], "leaf 0x%lx: of %u entries the checksum does not hold",
		             (unsigned long)off, leaf->bad);
	if (leaf->bad && flags & own) { /* the program alone knows their order */
		s->page[off / s->page_size] |= SALVAGE_APART;
		return;
	}
	for (uint32_t i = 0; i < leaf->n; i++) {
		const struct salvage_entry *e = &leaf->entries[i];

		if (!salvage_within(flags, bounds, &e->item))
			salvage_lost(
			    s, &s->dbs[db],
			    "leaf 0x%lx: an entry lies out of the bounds of the page above",
			    (unsigned long)off);
		else if (e->flags & FMT_ENTRY_DB && s->dbs[db].main)
			salvage_catalog(s, e);
		else
			salvage_give(s, db, e, off);
	}
}

/* separator_at - separator i of an inner page. False when it does not lie there. */
static bool separator_at(const struct salvage *s, uint64_t page, uint32_t i,
                         struct check_item *item)
{
	const uint8_t *p = s->base + page;
	const struct fmt_page *head = salvage_head(s, page);
	const uint32_t off = get16(p + head->offs + 2 * i);
	uint32_t klen, dlen;

	if (off < head->offs + 2u * head->n || off + FMT_SEP_SIZE > head->end)
		return false;
	klen = get16(p + off);
	dlen = get16(p + off + 2);
	*item = (struct check_item){
	    .key = p + off + FMT_SEP_SIZE, .klen = klen, .nodup = dlen == FMT_SEP_NODUP};
	item->dup = item->key + klen;
	item->dlen = item->nodup ? 0 : dlen;
	return off + FMT_SEP_SIZE + klen + item->dlen <= head->end;
}

static void page_walk(struct salvage *s, size_t db, uint64_t off, int level,
                      const struct check_bounds *bounds);

static void inner_walk(struct salvage *s, size_t db, uint64_t off,
                       const struct check_bounds *bounds)
{
	const struct fmt_page *head = salvage_head(s, off);
	const uint32_t kids = FMT_INNER_HEADS + 8u * head->n;

	for (uint32_t i = 0; i <= head->n && !s->rc; i++) {
		struct check_bounds kid = *bounds;

		if (i > 0)
			kid.has_low = separator_at(s, off, i - 1, &kid.low);
		if (i < head->n)
			kid.has_high = separator_at(s, off, i, &kid.high);
		page_walk(s, db, get64(s->base + off + kids + i * FMT_WORD), head->level - 1, &kid);
	}
}

/* page_lost - a page that a tree names is not sound: what it led to is missing. */
static void page_lost(struct salvage *s, size_t db, uint64_t off, int level,
                      const struct check_bounds *bounds)
{
	static const char *const what[] = {"tree page", "leaf", "inner page"};

	salvage_lost(s, &s->dbs[db], "%s 0x%lx: %s", what[level < 0 ? 0 : 1 + (level > 0)],
	             (unsigned long)off,
	             off % s->page_size || off / s->page_size >= s->pages
	                 ? "there is no such page"
	                 : "its checksum does not hold");
	salvage_hole(s, db, bounds, level);
	if (level == 0 && off % s->page_size == 0 && off / s->page_size < s->pages &&
	    !(s->page[off / s->page_size] & (SALVAGE_TYPE | SALVAGE_UNREADABLE | SALVAGE_REACHED)))
		leaf_give(s, db, off, false, bounds);
}

static void page_walk(struct salvage *s, size_t db, uint64_t off, int level,
                      const struct check_bounds *bounds)
{
	const bool leaf = salvage_known(s, off, FMT_LEAF);
	const bool inner = salvage_known(s, off, FMT_INNER);
	const struct fmt_page *head;

	if (s->rc)
		return;
	head = leaf || inner ? salvage_head(s, off) : NULL;
	if (!head || (level >= 0 && head->level != level) || head->birth > s->newest ||
	    s->page[off / s->page_size] & SALVAGE_REACHED) {
		page_lost(s, db, off, level, bounds);
		return;
	}
	s->page[off / s->page_size] |= SALVAGE_REACHED;
	if (leaf)
		leaf_give(s, db, off, true, bounds);
	else
		inner_walk(s, db, off, bounds);
}

/* desc_walk - a database by its descriptor, which is sound. */
static void desc_walk(struct salvage *s, size_t db, uint64_t off)
{
	const struct fmt_desc *desc = (const void *)(s->base + off);
	const struct check_bounds all = {.has_low = false};

	s->page[off / s->page_size] |= SALVAGE_REACHED;
	if (desc->root &&
	    (salvage_known(s, desc->root, FMT_LEAF) || salvage_known(s, desc->root, FMT_INNER)))
		page_walk(s, db, desc->root, SALVAGE_ANY_LEVEL, &all);
	else if (desc->root)
		page_lost(s, db, desc->root, desc->inner_pages ? SALVAGE_ANY_LEVEL : 0, &all);
}

void salvage_tree(struct salvage *s, size_t db)
{
	const struct check_bounds all = {.has_low = false};
	const uint64_t off = s->dbs[db].desc;
	struct salvage_db *d = &s->dbs[db];

	if (salvage_known(s, off, FMT_DESC) && check_flags_valid(get32(s->base + off + 32)))
		d->flags = get32(s->base + off + 32);
	else if (d->main)
		d->no_flags = true;
	salvage_database(s, db);
	if (s->rc || (!off && !d->main)) /* nothing was ever stored */
		return;
	if (!d->main && salvage_known(s, off, FMT_LEAF)) {
		page_walk(s, db, off, 0, &all);
	} else if (salvage_known(s, off, FMT_DESC) &&
	           !(s->page[off / s->page_size] & SALVAGE_REACHED)) {
		desc_walk(s, db, off);
	} else {
		salvage_lost(s, d, "descriptor 0x%lx: its checksum does not hold",
		             (unsigned long)off);
		salvage_hole(s, db, &all, SALVAGE_ANY_LEVEL);
	}
}

/* ---- the main database without a superblock -------------------------------------------------- */

/* has_catalog - a leaf below this page has a catalog entry: the tree is the main database's. */
static bool has_catalog(struct salvage *s, uint64_t off, int level)
{
	if (salvage_known(s, off, FMT_LEAF) && level <= 0) {
		salvage_leaf_read(s, off, true, false, &s->leaf);
		for (uint32_t i = 0; i < s->leaf.n; i++)
			if (s->leaf.entries[i].flags & FMT_ENTRY_DB)
				return true;
		return false;
	}
	if (!salvage_known(s, off, FMT_INNER))
		return false;
	const struct fmt_page *head = salvage_head(s, off);

	if (level != SALVAGE_ANY_LEVEL && head->level != level)
		return false;
	for (uint32_t i = 0; i <= head->n; i++)
		if (has_catalog(s, get64(s->base + off + FMT_INNER_HEADS + 8u * head->n + 8 * i),
		                head->level - 1))
			return true;
	return false;
}

static int by_offset(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* named_descs - what the catalog entries of all sound leaves name, in order. */
static int named_descs(struct salvage *s, uint64_t **named, size_t *n)
{
	size_t room = 0;
	struct fmt_db catalog;
	int rc = 0;

	*named = NULL;
	*n = 0;
	for (uint64_t i = 0; i < s->pages && !rc; i++) {
		if ((s->page[i] & SALVAGE_TYPE) != FMT_LEAF)
			continue;
		salvage_leaf_read(s, i * s->page_size, true, false, &s->leaf);
		for (uint32_t k = 0; k < s->leaf.n && !rc; k++) {
			const struct salvage_entry *e = &s->leaf.entries[k];

			if (!(e->flags & FMT_ENTRY_DB) || e->item.dlen != sizeof catalog)
				continue;
			memcpy(&catalog, e->item.dup, sizeof catalog);
			rc = array_room(named, *n, &room, sizeof **named);
			if (!rc)
				(*named)[(*n)++] = catalog.desc;
		}
	}
	if (*n)
		qsort(*named, *n, sizeof **named, by_offset);
	s->named |= *n != 0;
	return rc;
}

/* desc_txn - the transaction of a descriptor's last count. */
static uint64_t desc_txn(const struct salvage *s, uint64_t off)
{
	uint64_t txn = salvage_head(s, off)->birth;
	uint64_t counted = 0;

	for (uint32_t at = FMT_DESC_COUNTS; at < s->page_size; at += FMT_WORD) {
		const uint64_t word = get64(s->base + off + at);

		if (word == 0)
			break;
		counted = word >> FMT_COUNT_BITS;
	}
	return txn + counted;
}

/* It is a descriptor that no catalog entry names, in use as far as that is known, with a catalog
 * where there is one, and the one that was counted last. */
uint64_t salvage_main_find(struct salvage *s)
{
	uint64_t best = 0;
	uint64_t best_txn = 0;
	uint64_t *named;
	size_t n;
	bool best_catalog = false;
	bool believed;

	s->rc = named_descs(s, &named, &n);
	for (uint64_t i = 0; i < s->pages && !s->rc; i++) {
		const uint64_t off = i * s->page_size;

		if ((s->page[i] & SALVAGE_TYPE) != FMT_DESC || s->page[i] & SALVAGE_REPLACED ||
		    (n && bsearch(&off, named, n, sizeof off, by_offset)) ||
		    salvage_free(s, off, &believed))
			continue;
		const bool catalog = n && has_catalog(s, get64(s->base + off + 64), -1);
		const uint64_t txn = desc_txn(s, off);

		if (!best || (catalog && !best_catalog) ||
		    (catalog == best_catalog && txn >= best_txn)) {
			best = off;
			best_txn = txn;
			best_catalog = catalog;
		}
	}
	free(named);
	return best;
}
