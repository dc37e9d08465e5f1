/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * salvage_orphan.c - sound leaves that no tree leads to. See salvage.h
 *
 * They are noted first, with their first and last keys, then sorted by database and key, and given
 * out in that order. Two of them may have one key: an older version of a leaf stays in the file
 * until its page is used again. So each entry is compared with the orphans whose keys overlap,
 * which in the sorted list stand around its own: reach says how far back they can be.
 *
 * Nobody's are those that may be of a database that is not known, or of one of several. They go to
 * databases of their own at the end, where nothing of them can hide what is known.
 */
#include "base/array.h"
#include "base/err.h"
#include "salvage/salvage.h"

#include <stdio.h>
#include <stdlib.h>

#define NOBODY SIZE_MAX

struct orphan { /* a sound leaf that no tree leads to, and that has entries */
	uint64_t off;
	uint64_t birth;
	size_t db; /* or NOBODY */
	uint32_t flags;
	struct check_item first;
	struct check_item last;
	/* of its database's orphans up to this one in the list, that whose last item comes last */
	size_t reach;
};

struct orphans {
	struct orphan *list;
	size_t n;
	size_t room;
};

/* in_use - the sound page at off may be part of the newest state. *certain: it is, or was until the
 * damage. type: the only one that is wanted. No bitmap that can be believed says that it is free,
 * it was not replaced, and no tree has led to it. */
static bool in_use(struct salvage *s, uint64_t off, unsigned int type, bool *certain)
{
	const unsigned int marks = *salvage_marks(s, off);

	if ((marks & SALVAGE_TYPE) != type)
		return false;
	if (marks & (SALVAGE_REACHED | SALVAGE_REPLACED))
		return false;
	if (salvage_head(s, off)->birth > s->newest)
		return false;
	return !salvage_free(s, off, certain);
}

/* hole_of - the database misses a page of that level, or of one above it. Without such a hole
 * nothing of that level can be missing. */
static bool hole_of(const struct salvage *s, size_t db, int level)
{
	for (size_t i = 0; i < s->nholes; i++) {
		const struct salvage_hole *hole = &s->holes[i];

		if (hole->db != db)
			continue;
		if (hole->level == SALVAGE_ANY_LEVEL)
			return true;
		if (hole->level >= level)
			return true;
	}
	return false;
}

/* ---- catalog entries and trees --------------------------------------------------------------- */

/* leaf_catalog_entries - note the databases that catalog entries in the sound leaf at off name. */
static void leaf_catalog_entries(struct salvage *s, uint64_t off)
{
	salvage_leaf_read(s, off, true, false, &s->leaf);
	for (uint32_t k = 0; k < s->leaf.n; k++) {
		const struct salvage_entry *e = &s->leaf.entries[k];

		if (s->rc)
			return;
		if (e->flags & FMT_ENTRY_DB)
			salvage_catalog(s, e);
	}
}

/* tree_give - the database of a descriptor that nothing names. It is called after the descriptor's
 * place. Its tree is walked at once, so that what it leads to is no orphan. A bitmap that was
 * judged before that has to be judged again. */
static void tree_give(struct salvage *s, uint64_t desc)
{
	struct salvage_db *db = salvage_db_new(s);
	const unsigned long place = desc;

	if (!db)
		return;
	s->named = true;
	db->nameless = true;
	db->desc = desc;
	snprintf(db->suffix, sizeof db->suffix, "-0x%lx", place);
	s->ndbs++;
	salvage_lost(s, NULL, "descriptor 0x%lx: the name of its database", place);
	salvage_tree(s, s->ndbs - 1);
	/* pages were reached */
	s->zone_asked = false;
}

/* pages_take - pages of that type that no tree led to, in the order of the file, as long as the
 * main database misses a page of that level. */
static void pages_take(struct salvage *s, unsigned int type, int level,
                       void (*take)(struct salvage *s, uint64_t off))
{
	bool certain;

	s->zone_asked = false;
	for (uint64_t i = 0; i < s->pages; i++) {
		const uint64_t off = i * s->page_size;

		if (s->rc)
			return;
		if (!hole_of(s, 0, level))
			return;
		if (in_use(s, off, type, &certain))
			take(s, off);
	}
}

/* Only the main database has catalog entries, so a leaf with one is its. Its other entries come
 * with the other orphans. */
void salvage_orphans_catalog(struct salvage *s)
{
	pages_take(s, FMT_LEAF, 1, leaf_catalog_entries);
}

/* A catalog entry that is lost leaves a descriptor that nothing names: the flags are there, and the
 * name is not. */
void salvage_orphans_trees(struct salvage *s)
{
	pages_take(s, FMT_DESC, 0, tree_give);
}

/* ---- whose an orphan is ---------------------------------------------------------------------- */

/* entry_fits - the entry may stand in the hole of that database, behind the one before it, which is
 * NULL for the first. Entries of a leaf stand in its database's order, so a leaf whose entries do
 * not rise in that order is another database's. */
static bool entry_fits(const struct salvage *s, const struct salvage_hole *hole,
                       const struct salvage_entry *e, const struct salvage_entry *before)
{
	const struct salvage_db *db = &s->dbs[hole->db];

	if (!salvage_fits(s, db->flags, e))
		return false;
	if (e->flags & FMT_ENTRY_DB && !db->main)
		return false;
	if (!salvage_within(db->flags, &hole->bounds, &e->item))
		return false;
	if (!before)
		return true;
	return check_compare(db->flags, &before->item, &e->item) == CHECK_BEFORE;
}

/* leaf_fits - all entries of the leaf that was read may stand in the hole. With a comparator of the
 * program's any leaf would fit, so none does. */
static bool leaf_fits(const struct salvage *s, const struct salvage_hole *hole)
{
	const uint32_t own = DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE;
	const struct salvage_entry *before = NULL;
	const struct salvage_leaf *leaf = &s->leaf;

	if (hole->level == 0)
		return false;
	if (s->dbs[hole->db].flags & own)
		return false;
	for (uint32_t i = 0; i < leaf->n; i++) {
		if (!entry_fits(s, hole, &leaf->entries[i], before))
			return false;
		before = &leaf->entries[i];
	}
	return true;
}

/* owner - the only database with a hole for the leaf that was read. *several: there are more.
 * NOBODY when there is none, or more than one. Several holes of one database count once. */
static size_t owner(const struct salvage *s, bool *several)
{
	size_t db = NOBODY;

	*several = false;
	for (size_t i = 0; i < s->nholes; i++) {
		const struct salvage_hole *hole = &s->holes[i];

		if (hole->db == db)
			continue;
		if (!leaf_fits(s, hole))
			continue;
		if (db != NOBODY) {
			*several = true;
			return NOBODY;
		}
		db = hole->db;
	}
	return db;
}

/* heads_agree - the search heads of the sound leaf at off are what its keys have in that order. A
 * head is made of the bytes behind the page's common prefix; that of an integer, or of a key that
 * is compared from its end, differs from that of plain bytes. */
static bool heads_agree(const struct salvage *s, uint64_t off, uint32_t order)
{
	const struct fmt_page *head = salvage_head(s, off);
	const uint8_t *heads = s->base + off + FMT_LEAF_BASE;

	for (uint32_t i = 0; i < s->leaf.n; i++) {
		const struct check_item *item = &s->leaf.entries[i].item;
		const uint64_t want = check_head(order, item->key, item->klen, head->plen);

		if (get64(heads + 8 * i) != want)
			return false;
	}
	return true;
}

/* order_guess - the order of a leaf's keys, by its search heads, which differ from order to order.
 * False when they say nothing: behind a tail entries are not where the heads have them. */
static bool order_guess(const struct salvage *s, uint64_t off, uint32_t *flags)
{
	static const uint32_t orders[] = {0, DAXKV_INTEGER_KEY, DAXKV_REVERSE_KEY};

	if (get64(s->base + off + FMT_LEAF_SLOTS) != 0)
		return false;
	if (s->leaf.n == 0)
		return false;
	for (unsigned int o = 0; o < sizeof orders / sizeof *orders; o++) {
		if (!heads_agree(s, off, orders[o]))
			continue;
		*flags = orders[o];
		return true;
	}
	return false;
}

/* has_equal_keys - keys that stand beside each other in the leaf are one: with sorted duplicates.
 */
static bool has_equal_keys(const struct salvage_leaf *leaf)
{
	for (uint32_t i = 1; i < leaf->n; i++) {
		const struct check_item *a = &leaf->entries[i - 1].item;
		const struct check_item *b = &leaf->entries[i].item;

		if (a->klen != b->klen)
			continue;
		if (memcmp(a->key, b->key, a->klen) == 0)
			return true;
	}
	return false;
}

/* main_flags - of a main database whose descriptor is gone, when there is no other database. All
 * leaves are looked at for equal keys, and the first that says something for the order. Both are
 * guesses, and the best that is left. */
static void main_flags(struct salvage *s)
{
	uint32_t order = 0;
	uint32_t dups = 0;
	bool guessed = false;
	bool certain;

	for (uint64_t i = 0; i < s->pages; i++) {
		const uint64_t off = i * s->page_size;

		if (!in_use(s, off, FMT_LEAF, &certain))
			continue;
		salvage_leaf_read(s, off, true, false, &s->leaf);
		if (!guessed)
			guessed = order_guess(s, off, &order);
		if (has_equal_keys(&s->leaf))
			dups = DAXKV_DUP_SORT;
	}
	s->dbs[0].flags = order | dups;
}

/* orphan_add - note the leaf that was read, which has entries, as the database's, or nobody's. Its
 * first and last item point into the mapping. ENOMEM ends the run. */
static void orphan_add(struct salvage *s, struct orphans *all, uint64_t off, size_t db)
{
	const struct salvage_leaf *leaf = &s->leaf;
	uint32_t flags = 0;
	int rc = array_room(&all->list, all->n, &all->room, sizeof *all->list);

	if (rc) {
		s->rc = rc;
		return;
	}
	assert(leaf->n > 0);
	if (db != NOBODY)
		flags = s->dbs[db].flags;
	all->list[all->n++] = (struct orphan){
	    .off = off,
	    .birth = salvage_head(s, off)->birth,
	    .db = db,
	    .flags = flags,
	    .first = leaf->entries[0].item,
	    .last = leaf->entries[leaf->n - 1].item,
	};
}

/* has_catalog_entry - only a leaf of main's has one. */
static bool has_catalog_entry(const struct salvage_leaf *leaf)
{
	for (uint32_t i = 0; i < leaf->n; i++)
		if (leaf->entries[i].flags & FMT_ENTRY_DB)
			return true;
	return false;
}

/* orphan_judge - whose the leaf at off is, when it is anybody's. Where catalog entries are missing,
 * a leaf that fits into one database's hole may also be that of a database that is not known.
 * certain: a bitmap that is believed says that the page is allocated. One that fits nowhere, where
 * no database is missing, is an old version of something and left out. */
static void orphan_judge(struct salvage *s, struct orphans *all, uint64_t off, bool certain)
{
	const bool missing = hole_of(s, 0, 0);
	bool several;
	size_t db;

	salvage_leaf_read(s, off, true, false, &s->leaf);
	if (s->leaf.bad)
		salvage_lost(s, NULL, "leaf 0x%lx: of %u entries the checksum does not hold", off,
		             s->leaf.bad);
	if (s->leaf.n == 0)
		return;
	if (s->leaf.entries[0].flags & FMT_ENTRY_TALLY)
		return;
	if (has_catalog_entry(&s->leaf)) {
		if (hole_of(s, 0, 1))
			orphan_add(s, all, off, 0);
		return;
	}
	db = owner(s, &several);
	if (s->named && missing)
		db = NOBODY;
	if (db != NOBODY || several) {
		orphan_add(s, all, off, db);
		return;
	}
	if (missing && (certain || s->named))
		orphan_add(s, all, off, NOBODY);
}

/* ---- giving them out ------------------------------------------------------------------------- */

/* by_number - which of two different numbers is the smaller. */
static int by_number(uint64_t a, uint64_t b)
{
	if (a < b)
		return -1;
	return 1;
}

/* by_place - by database, what is nobody's last; then by the first key, where the order is known;
 * then the oldest first. For qsort. No two are equal, so the result does not depend on the way of
 * sorting. */
static int by_place(const void *a, const void *b)
{
	const struct orphan *x = a;
	const struct orphan *y = b;

	if (x->db != y->db)
		return by_number(x->db, y->db);
	if (x->db != NOBODY) {
		const enum check_order order = check_compare(x->flags, &x->first, &y->first);

		if (order == CHECK_BEFORE)
			return order;
		if (order == CHECK_AFTER)
			return order;
	}
	if (x->birth != y->birth)
		return by_number(x->birth, y->birth);
	if (x->off != y->off)
		return by_number(x->off, y->off);
	return 0;
}

/* not_after - a is b, or lies before it, as far as the order is known. */
static bool not_after(uint32_t flags, const struct check_item *a, const struct check_item *b)
{
	const enum check_order order = check_compare(flags, a, b);

	return order == CHECK_BEFORE || order == CHECK_SAME;
}

/* newer_in - the other leaf has the entry's key, from a later transaction. The leaf is read into
 * s->other. */
static bool newer_in(struct salvage *s, const struct orphan *other, const struct salvage_entry *e)
{
	salvage_leaf_read(s, other->off, true, other->flags & DAXKV_DUP_SORT, &s->other);
	for (uint32_t i = 0; i < s->other.n; i++) {
		const struct salvage_entry *o = &s->other.entries[i];

		if (o->txn <= e->txn)
			continue;
		if (check_compare(other->flags, &o->item, &e->item) == CHECK_SAME)
			return true;
	}
	return false;
}

/* outdated - the other leaf, whose keys overlap, speaks for the entry: it is younger and spans the
 * key, so that the key is what it says, or gone; or it has the key from a later transaction. The
 * other one is sound and of the same database. */
static bool outdated(struct salvage *s, const struct orphan *other, const struct salvage_entry *e)
{
	if (!not_after(other->flags, &other->first, &e->item))
		return false;
	if (!not_after(other->flags, &e->item, &other->last))
		return false;
	if (other->birth > e->txn)
		return true;
	return newer_in(s, other, e);
}

/* overlap_from, overlap_to - which orphans of list may have keys of the one at list[at]: those of
 * its database from the first whose reach comes to it on, to the last that begins before it ends.
 * reach ends the search early: when even the last item of all up to there lies before this orphan,
 * none further back overlaps. */
static size_t overlap_from(const struct orphan *list, size_t at)
{
	const struct orphan *o = &list[at];
	size_t from = at;

	assert(o->reach <= at);
	while (from > 0) {
		const struct orphan *before = &list[from - 1];

		if (before->db != o->db)
			break;
		if (!not_after(o->flags, &o->first, &list[before->reach].last))
			break;
		from--;
	}
	return from;
}

/* overlap_to - see overlap_from: the number behind the last of them, of n. */
static size_t overlap_to(const struct orphan *list, size_t n, size_t at)
{
	const struct orphan *o = &list[at];
	size_t to = at + 1;

	while (to < n) {
		const struct orphan *behind = &list[to];

		if (behind->db != o->db)
			break;
		if (!not_after(o->flags, &behind->first, &o->last))
			break;
		to++;
	}
	return to;
}

/* orphan_give - those entries of the orphan at list[at] that no other one of its database is newer
 * than. They are in order, of n. Catalog entries are left out: they were noted before. */
static void orphan_give(struct salvage *s, const struct orphan *list, size_t n, size_t at)
{
	const struct orphan *o = &list[at];
	const size_t from = overlap_from(list, at);
	const size_t to = overlap_to(list, n, at);

	assert(from <= at);
	assert(to <= n);
	salvage_leaf_read(s, o->off, true, o->flags & DAXKV_DUP_SORT, &s->leaf);
	for (uint32_t i = 0; i < s->leaf.n && !s->rc; i++) {
		const struct salvage_entry *e = &s->leaf.entries[i];
		bool old = e->flags & FMT_ENTRY_DB; /* it was noted before */

		for (size_t k = from; k < to && !old; k++)
			old = k != at && outdated(s, &list[k], e);
		if (!old)
			salvage_give(s, o->db, e, o->off);
	}
}

/* nobodys_begin - a database for entries of nobody's. Returns its number. 0, which is the main
 * one's, when there is no memory: the run has ended then. */
static size_t nobodys_begin(struct salvage *s, bool large)
{
	struct salvage_db *db = salvage_db_new(s);

	if (!db)
		return 0;
	db->nameless = true;
	if (large)
		strcpy(db->suffix, "-large");
	else
		db->flags = DAXKV_DUP_SORT;
	salvage_database(s, s->ndbs);
	return s->ndbs++;
}

/* pair_fits - key and value can be one of a key's many values. The limits are those of a put: a
 * duplicate has at most a quarter of a page, and two pairs fit into a leaf. */
static bool pair_fits(const struct salvage *s, const struct salvage_entry *e)
{
	const uint32_t most = (s->page_size - FMT_LEAF_BASE - 4) / 2 - 32;

	if (e->flags & FMT_ENTRY_BLOB)
		return false;
	if (e->item.dlen > s->page_size / 4)
		return false;
	return e->item.klen + e->item.dlen <= most;
}

/* nobodys_give - what is nobody's goes into two databases: one with sorted duplicates, so that a
 * key that came from several databases keeps all its values, and one for values too large for that,
 * whose youngest one comes last. */
static void nobodys_give(struct salvage *s, const struct orphan *list, size_t n, bool large)
{
	size_t db = 0;

	for (size_t i = 0; i < n && !s->rc; i++) {
		const uint64_t off = list[i].off;

		salvage_leaf_read(s, off, true, false, &s->leaf);
		for (uint32_t k = 0; k < s->leaf.n && !s->rc; k++) {
			const struct salvage_entry *e = &s->leaf.entries[k];

			if (pair_fits(s, e) == large)
				continue;
			if (db == 0)
				db = nobodys_begin(s, large);
			if (!s->rc)
				salvage_give(s, db, e, off);
		}
	}
}

/* reaches_find - reach of all orphans that a database has, which come first in the list, in order.
 * Returns how many. It is found from front to back: either this orphan's last item is the last, or
 * that of the one before it is. */
static size_t reaches_find(struct orphan *list, size_t n)
{
	size_t i;

	for (i = 0; i < n && list[i].db != NOBODY; i++) {
		struct orphan *o = &list[i];
		size_t before;

		o->reach = i;
		if (i == 0)
			continue;
		if (list[i - 1].db != o->db)
			continue;
		before = list[i - 1].reach;
		if (not_after(o->flags, &o->last, &list[before].last))
			o->reach = before;
	}
	return i;
}

/* orphans_give - database by database, then what is nobody's. */
static void orphans_give(struct salvage *s, struct orphans *all)
{
	const struct orphan *list = all->list;
	size_t owned;

	if (!all->n)
		return;
	qsort(all->list, all->n, sizeof *all->list, by_place);
	owned = reaches_find(all->list, all->n);
	for (size_t i = 0; i < owned && !s->rc; i++) {
		if (i == 0 || list[i - 1].db != list[i].db)
			salvage_database(s, list[i].db);
		if (!s->rc)
			orphan_give(s, list, owned, i);
	}
	nobodys_give(s, list + owned, all->n - owned, false);
	nobodys_give(s, list + owned, all->n - owned, true);
}

/* A leaf that a tree led to, and whose entries could not be put in order, is nobody's like those
 * that no tree leads to. */
void salvage_orphans(struct salvage *s)
{
	struct orphans all = {.list = NULL};
	bool certain;

	s->zone_asked = false;
	if (!s->rc && s->dbs[0].no_flags && !s->named)
		main_flags(s);
	for (uint64_t i = 0; i < s->pages && !s->rc; i++) {
		const uint64_t off = i * s->page_size;

		if (s->page[i] & SALVAGE_APART && salvage_known(s, off, FMT_LEAF)) {
			salvage_leaf_read(s, off, true, true, &s->leaf);
			if (s->leaf.n)
				orphan_add(s, &all, off, NOBODY);
		} else if (s->nholes && in_use(s, off, FMT_LEAF, &certain)) {
			orphan_judge(s, &all, off, certain);
		}
	}
	if (!s->rc)
		orphans_give(s, &all);
	free(all.list);
}
