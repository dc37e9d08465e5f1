/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * salvage_tree.c - databases by their trees. See salvage.h
 *
 *   descriptor -> inner page -> ... -> leaf
 *                     |
 *                     +--> page that is not sound: a hole, with the bounds of what was below
 *
 * A page is entered once: it is marked as reached, and a second way to it counts as a page that is
 * lost. So a damaged tree cannot lead in a circle. The level, which falls by one at each step,
 * bounds the recursion. The separators beside a kid are its bounds, and go along to what is below.
 *
 * Without a superblock the main database's descriptor is looked for among all descriptors.
 */
#include "base/array.h"
#include "salvage/salvage.h"

#include <stdlib.h>

/* The bounds are copied; what they point to stays in the mapping. */
void salvage_hole(struct salvage *s, size_t db, const struct check_bounds *bounds, int level)
{
	int rc = array_room(&s->holes, s->nholes, &s->holes_room, sizeof *s->holes);

	assert(db < s->ndbs);
	if (rc) {
		s->rc = rc;
		return;
	}
	s->holes[s->nholes++] = (struct salvage_hole){
	    .db = db,
	    .bounds = *bounds,
	    .level = level,
	};
}

/* entry_give - an entry of a leaf that a tree leads to: a catalog entry of main's names a database,
 * any other one is given out. An entry out of bounds is not given out: a search for its key does
 * not come here. */
static void entry_give(struct salvage *s, size_t db, uint64_t leaf, const struct salvage_entry *e,
                       const struct check_bounds *bounds)
{
	const struct salvage_db *d = &s->dbs[db];

	if (!salvage_within(d->flags, bounds, &e->item)) {
		salvage_lost(s, d, "leaf 0x%lx: an entry lies out of the bounds of the page above",
		             leaf);
		return;
	}
	if (d->main && e->flags & FMT_ENTRY_DB)
		salvage_catalog(s, e);
	else
		salvage_give(s, db, e, leaf);
}

/* leaf_give - the entries of a leaf that a tree leads to. sound: its base is. With a comparator of
 * the program's, and slots that are not sound, the entries cannot be put in order. Such a leaf is
 * kept apart, and its entries come at the end as nobody's. */
static void leaf_give(struct salvage *s, size_t db, uint64_t off, bool sound,
                      const struct check_bounds *bounds)
{
	const uint32_t flags = s->dbs[db].flags;
	const uint32_t own = DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE;
	struct salvage_leaf *leaf = &s->leaf;

	assert(db < s->ndbs);
	salvage_leaf_read(s, off, sound, flags & DAXKV_DUP_SORT, leaf);
	if (sound && leaf->bad)
		salvage_lost(s, &s->dbs[db], "leaf 0x%lx: of %u entries the checksum does not hold",
		             off, leaf->bad);
	if (leaf->bad && flags & own) { /* the program alone knows their order */
		*salvage_marks(s, off) |= SALVAGE_APART;
		return;
	}
	for (uint32_t i = 0; i < leaf->n; i++)
		entry_give(s, db, off, &leaf->entries[i], bounds);
}

/* inner_head - the header of the sound inner page at off. It is read once, and bounded as it was
 * read: another process may write the file after the page was found sound. False: it is no such
 * page any more. */
static bool inner_head(const struct salvage *s, uint64_t off, struct fmt_page *head)
{
	memcpy(head, salvage_head(s, off), sizeof *head);
	if (head->type != FMT_INNER)
		return false;
	if (head->level == 0)
		return false;
	if (head->offs < FMT_INNER_HEADS + 16u * head->n + FMT_WORD)
		return false;
	if (head->end > s->page_size)
		return false;
	return head->offs + 2u * head->n <= head->end;
}

/* separator_at - separator i of an inner page that has this header. False when it does not lie
 * there. item points into the mapping. A checksum that holds does not make offsets true, so they
 * are bounded. */
static bool separator_at(const struct salvage *s, uint64_t page, const struct fmt_page *head,
                         uint32_t i, struct check_item *item)
{
	const uint8_t *p = s->base + page;
	const uint32_t off = get16(p + head->offs + 2 * i);
	const uint8_t *key = p + off + FMT_SEP_SIZE;
	uint32_t klen;
	uint32_t dlen;

	if (off < head->offs + 2u * head->n)
		return false;
	if (off + FMT_SEP_SIZE > head->end)
		return false;
	klen = get16(p + off);
	dlen = get16(p + off + 2);
	*item = (struct check_item){
	    .key = key,
	    .klen = klen,
	    .dup = key + klen,
	};
	if (dlen == FMT_SEP_NODUP)
		item->nodup = true;
	else
		item->dlen = dlen;
	return off + FMT_SEP_SIZE + klen + item->dlen <= head->end;
}

/* kid_of - kid i of the inner page at off that has this header, behind its heads. The words of kids
 * are not covered by the page's checksum: what they name is judged when it is reached. */
static uint64_t kid_of(const struct salvage *s, uint64_t off, const struct fmt_page *head,
                       uint32_t i)
{
	const uint32_t kids = FMT_INNER_HEADS + 8u * head->n;

	assert(i <= head->n);
	return get64(s->base + off + kids + i * FMT_WORD);
}

static void page_walk(struct salvage *s, size_t db, uint64_t off, int level,
                      const struct check_bounds *bounds);

/* inner_walk - the kids of a sound inner page, each within the separators beside it. The depth is
 * bounded, because a kid's level is one less. */
static void inner_walk(struct salvage *s, size_t db, uint64_t off,
                       const struct check_bounds *bounds)
{
	struct fmt_page head;

	if (!inner_head(s, off, &head)) {
		salvage_lost(s, &s->dbs[db], "inner page 0x%lx: it changed while it was read", off);
		return;
	}
	for (uint32_t i = 0; i <= head.n && !s->rc; i++) {
		struct check_bounds kid = *bounds;

		if (i > 0)
			kid.has_low = separator_at(s, off, &head, i - 1, &kid.low);
		if (i < head.n)
			kid.has_high = separator_at(s, off, &head, i, &kid.high);
		page_walk(s, db, kid_of(s, off, &head, i), head.level - 1, &kid);
	}
}

/* page_lost - a page that a tree names is not sound: what it led to is missing. Of a leaf that can
 * be read the appended entries have checksums of their own. level: the one that the page above asks
 * for. A page that has been reached on another way is not read a second time. */
static void page_lost(struct salvage *s, size_t db, uint64_t off, int level,
                      const struct check_bounds *bounds)
{
	const unsigned int known = SALVAGE_TYPE | SALVAGE_UNREADABLE | SALVAGE_REACHED;
	const char *why = "there is no such page";
	const char *what = "tree page";

	if (level == 0)
		what = "leaf";
	else if (level > 0)
		what = "inner page";
	if (salvage_is_page(s, off))
		why = "its checksum does not hold";
	salvage_lost(s, &s->dbs[db], "%s 0x%lx: %s", what, off, why);
	salvage_hole(s, db, bounds, level);
	if (level != 0 || !salvage_is_page(s, off))
		return;
	if (!(*salvage_marks(s, off) & known))
		leaf_give(s, db, off, false, bounds);
}

/* page_usable - a tree that names the page at off for that level leads on there: the page is sound,
 * of the state that is salvaged, and no tree has led there before. level may be SALVAGE_ANY_LEVEL,
 * for a root. */
static bool page_usable(const struct salvage *s, uint64_t off, int level)
{
	const struct fmt_page *head;

	if (!salvage_known(s, off, FMT_LEAF) && !salvage_known(s, off, FMT_INNER))
		return false;
	head = salvage_head(s, off);
	if (level >= 0 && head->level != level)
		return false;
	if (head->birth > s->newest)
		return false;
	return !(*salvage_marks(s, off) & SALVAGE_REACHED);
}

/* page_walk - all that the page leads to, or the note that it is lost. */
static void page_walk(struct salvage *s, size_t db, uint64_t off, int level,
                      const struct check_bounds *bounds)
{
	if (s->rc)
		return;
	if (!page_usable(s, off, level)) {
		page_lost(s, db, off, level, bounds);
		return;
	}
	*salvage_marks(s, off) |= SALVAGE_REACHED;
	if (salvage_known(s, off, FMT_LEAF))
		leaf_give(s, db, off, true, bounds);
	else
		inner_walk(s, db, off, bounds);
}

/* desc_walk - a database by its descriptor, which is sound. When the root is lost, the count of
 * inner pages tells whether it was a leaf. */
static void desc_walk(struct salvage *s, size_t db, uint64_t off)
{
	const struct fmt_desc *desc = (const void *)(s->base + off);
	const struct check_bounds all = {.has_low = false};
	const uint64_t root = desc->root;
	int level = 0;

	*salvage_marks(s, off) |= SALVAGE_REACHED;
	if (!root)
		return;
	if (salvage_known(s, root, FMT_LEAF) || salvage_known(s, root, FMT_INNER)) {
		page_walk(s, db, root, SALVAGE_ANY_LEVEL, &all);
		return;
	}
	if (desc->inner_pages)
		level = SALVAGE_ANY_LEVEL;
	page_lost(s, db, root, level, &all);
}

/* desc_flags - the database's flags, which its descriptor has, when it is sound. A catalog entry
 * has them, too: only the main database's are unknown without it. The main one's may be guessed
 * later, from its leaves (main_flags). */
static void desc_flags(const struct salvage *s, struct salvage_db *d)
{
	const struct fmt_desc *desc = NULL;

	if (salvage_known(s, d->desc, FMT_DESC))
		desc = (const void *)(s->base + d->desc);
	if (desc && check_flags_valid(desc->flags))
		d->flags = desc->flags;
	else if (d->main)
		d->no_flags = true;
}

/* A database of one leaf has no descriptor: its catalog entry names the leaf. */
void salvage_tree(struct salvage *s, size_t db)
{
	const struct check_bounds all = {.has_low = false};
	struct salvage_db *d = &s->dbs[db];
	const uint64_t off = d->desc;

	assert(db < s->ndbs);
	desc_flags(s, d);
	salvage_database(s, db);
	if (s->rc)
		return;
	if (!off && !d->main) /* nothing was ever stored */
		return;
	if (!d->main && salvage_known(s, off, FMT_LEAF)) {
		page_walk(s, db, off, 0, &all);
		return;
	}
	if (salvage_known(s, off, FMT_DESC) && !(*salvage_marks(s, off) & SALVAGE_REACHED)) {
		desc_walk(s, db, off);
		return;
	}
	salvage_lost(s, d, "descriptor 0x%lx: its checksum does not hold", off);
	salvage_hole(s, db, &all, SALVAGE_ANY_LEVEL);
}

/* ---- the main database without a superblock -------------------------------------------------- */

/* leaf_catalog - the sound leaf at off has a catalog entry. It overwrites s->leaf, as has_catalog
 * does. */
static bool leaf_catalog(struct salvage *s, uint64_t off)
{
	salvage_leaf_read(s, off, true, false, &s->leaf);
	for (uint32_t i = 0; i < s->leaf.n; i++)
		if (s->leaf.entries[i].flags & FMT_ENTRY_DB)
			return true;
	return false;
}

static bool has_catalog(struct salvage *s, uint64_t off, int level);

/* inner_catalog - has_catalog, of a sound inner page. */
static bool inner_catalog(struct salvage *s, uint64_t off)
{
	struct fmt_page head;

	if (!inner_head(s, off, &head))
		return false;
	for (uint32_t i = 0; i <= head.n; i++)
		if (has_catalog(s, kid_of(s, off, &head, i), head.level - 1))
			return true;
	return false;
}

/* has_catalog - a leaf below this page has a catalog entry: the tree is the main database's. The
 * depth is bounded, because a kid's level is one less. No page is searched twice in vain, because
 * damaged kids may all name one page, and so may that page's. */
static bool has_catalog(struct salvage *s, uint64_t off, int level)
{
	const bool leaf = salvage_known(s, off, FMT_LEAF);
	bool found;

	if (!leaf && !salvage_known(s, off, FMT_INNER))
		return false;
	if (level != SALVAGE_ANY_LEVEL && salvage_head(s, off)->level != level)
		return false;
	if (*salvage_marks(s, off) & SALVAGE_NO_CATALOG)
		return false;
	if (leaf)
		found = leaf_catalog(s, off);
	else
		found = inner_catalog(s, off);
	if (!found)
		*salvage_marks(s, off) |= SALVAGE_NO_CATALOG;
	return found;
}

/* by_offset - the order of two offsets, for qsort and bsearch. */
static int by_offset(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Descriptors that catalog entries name. */
struct named {
	uint64_t *desc; /* offsets; the caller of named_descs frees them */
	size_t n;
	size_t room;
};

/* leaf_named - those of the catalog entries in the sound leaf at off. ENOMEM. A descriptor that
 * several of them name is noted as often. */
static int leaf_named(struct salvage *s, uint64_t off, struct named *all)
{
	struct fmt_db catalog;

	salvage_leaf_read(s, off, true, false, &s->leaf);
	for (uint32_t k = 0; k < s->leaf.n; k++) {
		const struct salvage_entry *e = &s->leaf.entries[k];
		int rc;

		if (!(e->flags & FMT_ENTRY_DB))
			continue;
		if (e->item.dlen != sizeof catalog)
			continue;
		memcpy(&catalog, e->item.dup, sizeof catalog);
		rc = array_room(&all->desc, all->n, &all->room, sizeof *all->desc);
		if (rc)
			return rc;
		all->desc[all->n++] = catalog.desc;
	}
	return 0;
}

/* named_descs - what the catalog entries of all sound leaves name, in order. Old versions of leaves
 * count as well: a descriptor that was ever named in a catalog is not the main one. ENOMEM; the
 * caller frees all->desc in any case. */
static int named_descs(struct salvage *s, struct named *all)
{
	*all = (struct named){.n = 0};
	for (uint64_t i = 0; i < s->pages; i++) {
		int rc;

		if ((s->page[i] & SALVAGE_TYPE) != FMT_LEAF)
			continue;
		rc = leaf_named(s, i * s->page_size, all);
		if (rc)
			return rc;
	}
	if (all->n == 0)
		return 0;
	qsort(all->desc, all->n, sizeof *all->desc, by_offset);
	s->named = true;
	return 0;
}

/* desc_txn - the transaction of a descriptor's last count. A count has its distance to the
 * descriptor's birth; without one it is the birth. Counts are used from front to back. */
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

/* main_possible - the descriptor at off may be the main database's: no catalog entry names it, and
 * it is in use as far as that is known. */
static bool main_possible(struct salvage *s, uint64_t off, const struct named *all)
{
	const unsigned int marks = *salvage_marks(s, off);
	bool believed;

	if ((marks & SALVAGE_TYPE) != FMT_DESC || marks & SALVAGE_REPLACED)
		return false;
	if (all->n && bsearch(&off, all->desc, all->n, sizeof off, by_offset))
		return false;
	return !salvage_free(s, off, &believed);
}

/* Of those that may be it, one with a catalog where there is one, and the one that was counted
 * last. Where several may be and none has a catalog, the catalog is lost, and which is the main one
 * with it: none is. */
uint64_t salvage_main_find(struct salvage *s)
{
	uint64_t best = 0;
	uint64_t best_txn = 0;
	bool best_catalog = false;
	unsigned int possible = 0;
	struct named all;

	s->rc = named_descs(s, &all);
	for (uint64_t i = 0; i < s->pages && !s->rc; i++) {
		const uint64_t off = i * s->page_size;
		const struct fmt_desc *desc = (const void *)(s->base + off);
		bool catalog = false;
		uint64_t txn;

		if (!main_possible(s, off, &all))
			continue;
		possible++;
		if (all.n)
			catalog = has_catalog(s, desc->root, SALVAGE_ANY_LEVEL);
		txn = desc_txn(s, off);
		if (best && best_catalog && !catalog)
			continue;
		if (best && best_catalog == catalog && txn < best_txn)
			continue;
		best = off;
		best_txn = txn;
		best_catalog = catalog;
	}
	free(all.desc);
	if (possible < 2)
		return best;
	if (best_catalog)
		return best;
	s->named = true;
	return 0;
}
