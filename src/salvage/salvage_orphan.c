/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/array.h"
#include "base/err.h"
#include "salvage/salvage.h"

#include <stdio.h>
#include <stdlib.h>

#define NOBODY SIZE_MAX

struct orphan { /* a sound leaf that no tree leads to, and that has entries */
	uint64_t off, birth;
	size_t db; /* or NOBODY */
	uint32_t flags;
	struct check_item first, last;
	size_t reach; /* of its database, the one whose last item comes last up to this one */
};

struct orphans {
	struct orphan *list;
	size_t n, room;
};

/* in_use - the sound page at off may be part of the newest state. *certain: it is, or was until the
 * damage. */
static bool in_use(struct salvage *s, uint64_t off, unsigned int type, bool *certain)
{
	const unsigned int page = s->page[off / s->page_size];

	return (page & SALVAGE_TYPE) == type && !(page & (SALVAGE_REACHED | SALVAGE_REPLACED)) &&
	       salvage_head(s, off)->birth <= s->newest && !salvage_free(s, off, certain);
}

static bool hole_of(const struct salvage *s, size_t db, int level)
{
	for (size_t i = 0; i < s->nholes; i++)
		if (s->holes[i].db == db &&
		    (s->holes[i].level == SALVAGE_ANY_LEVEL || s->holes[i].level >= level))
			return true;
	return false;
}

/* ---- catalog entries and trees --------------------------------------------------------------- */

/* Only the main database has catalog entries, so a leaf with one is its. Its other entries come
 * with the other orphans. */
void salvage_orphans_catalog(struct salvage *s)
{
	bool certain;

	s->zone_asked = false;
	for (uint64_t i = 0; i < s->pages && !s->rc && hole_of(s, 0, 1); i++) {
		if (!in_use(s, i * s->page_size, FMT_LEAF, &certain))
			continue;
		salvage_leaf_read(s, i * s->page_size, true, false, &s->leaf);
		for (uint32_t k = 0; k < s->leaf.n && !s->rc; k++)
			if (s->leaf.entries[k].flags & FMT_ENTRY_DB)
				salvage_catalog(s, &s->leaf.entries[k]);
	}
}

/* A catalog entry that is lost leaves a descriptor that nothing names: the flags are there, and the
 * name is not. */
void salvage_orphans_trees(struct salvage *s)
{
	bool certain;
	int rc;

	s->zone_asked = false;
	for (uint64_t i = 0; i < s->pages && !s->rc && hole_of(s, 0, 0); i++) {
		const uint64_t off = i * s->page_size;

		if (!in_use(s, off, FMT_DESC, &certain))
			continue;
		rc = array_room(&s->dbs, s->ndbs, &s->dbs_room, sizeof *s->dbs);
		if (rc) {
			s->rc = rc;
			return;
		}
		s->named = true;
		s->dbs[s->ndbs] = (struct salvage_db){.nameless = true, .desc = off};
		snprintf(s->dbs[s->ndbs].suffix, sizeof s->dbs->suffix, "-0x%lx",
		         (unsigned long)off);
		s->ndbs++;
		salvage_lost(s, NULL, "descriptor 0x%lx: the name of its database",
		             (unsigned long)off);
		salvage_tree(s, s->ndbs - 1);
		s->zone_asked = false;
	}
}

/* ---- whose an orphan is ---------------------------------------------------------------------- */

/* leaf_fits - all entries of the leaf that was read may stand in the hole. */
static bool leaf_fits(const struct salvage *s, const struct salvage_hole *hole)
{
	const struct salvage_db *db = &s->dbs[hole->db];
	const struct salvage_leaf *leaf = &s->leaf;

	if (hole->level == 0 || db->flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE))
		return false;
	for (uint32_t i = 0; i < leaf->n; i++) {
		const struct salvage_entry *e = &leaf->entries[i];

		if (!salvage_fits(s, db->flags, e) || (e->flags & FMT_ENTRY_DB && !db->main) ||
		    !salvage_within(db->flags, &hole->bounds, &e->item) ||
		    (i > 0 && check_compare(db->flags, &leaf->entries[i - 1].item, &e->item) !=
		                  CHECK_BEFORE))
			return false;
	}
	return true;
}

/* owner - the only database with a hole for the leaf that was read. *several: there are more. */
static size_t owner(const struct salvage *s, bool *several)
{
	size_t db = NOBODY;

	*several = false;
	for (size_t i = 0; i < s->nholes && !*several; i++) {
		if (s->holes[i].db == db || !leaf_fits(s, &s->holes[i]))
			continue;
		*several = db != NOBODY;
		db = s->holes[i].db;
	}
	return *several ? NOBODY : db;
}

/* order_guess - the order of a leaf's keys, by its search heads, which differ from order to order.
 * False when they say nothing: behind a tail entries are not where the heads have them. */
static bool order_guess(const struct salvage *s, uint64_t off, uint32_t *flags)
{
	static const uint32_t orders[] = {0, DAXKV_INTEGER_KEY, DAXKV_REVERSE_KEY};
	const struct fmt_page *head = salvage_head(s, off);

	if (get64(s->base + off + FMT_LEAF_SLOTS) != 0 || s->leaf.n == 0)
		return false;
	for (unsigned int o = 0; o < sizeof orders / sizeof *orders; o++) {
		uint32_t i = 0;

		while (i < s->leaf.n && get64(s->base + off + FMT_LEAF_BASE + 8 * i) ==
		                            check_head(orders[o], s->leaf.entries[i].item.key,
		                                       s->leaf.entries[i].item.klen, head->plen))
			i++;
		if (i < s->leaf.n)
			continue;
		*flags = orders[o];
		return true;
	}
	return false;
}

static bool has_equal_keys(const struct salvage_leaf *leaf)
{
	for (uint32_t i = 1; i < leaf->n; i++) {
		const struct check_item *a = &leaf->entries[i - 1].item;
		const struct check_item *b = &leaf->entries[i].item;

		if (a->klen == b->klen && memcmp(a->key, b->key, a->klen) == 0)
			return true;
	}
	return false;
}

/* main_flags - of a main database whose descriptor is gone, when there is no other database. */
static void main_flags(struct salvage *s)
{
	uint32_t order = 0;
	uint32_t dups = 0;
	bool guessed = false;
	bool certain;

	for (uint64_t i = 0; i < s->pages; i++) {
		if (!in_use(s, i * s->page_size, FMT_LEAF, &certain))
			continue;
		salvage_leaf_read(s, i * s->page_size, true, false, &s->leaf);
		if (!guessed)
			guessed = order_guess(s, i * s->page_size, &order);
		if (has_equal_keys(&s->leaf))
			dups = DAXKV_DUP_SORT;
	}
	s->dbs[0].flags = order | dups;
}

static void orphan_add(struct salvage *s, struct orphans *all, uint64_t off, size_t db)
{
	int rc = array_room(&all->list, all->n, &all->room, sizeof *all->list);

	if (rc) {
		s->rc = rc;
		return;
	}
	all->list[all->n++] = (struct orphan){.off = off,
	                                      .birth = salvage_head(s, off)->birth,
	                                      .db = db,
	                                      .flags = db == NOBODY ? 0 : s->dbs[db].flags,
	                                      .first = s->leaf.entries[0].item,
	                                      .last = s->leaf.entries[s->leaf.n - 1].item};
}

static bool has_catalog_entry(const struct salvage_leaf *leaf)
{
	for (uint32_t i = 0; i < leaf->n; i++)
		if (leaf->entries[i].flags & FMT_ENTRY_DB)
			return true;
	return false;
}

/* orphan_judge - whose the leaf at off is, when it is anybody's. */
static void orphan_judge(struct salvage *s, struct orphans *all, uint64_t off, bool certain)
{
	const bool missing = hole_of(s, 0, 0); /* catalog entries may be */
	bool several;
	size_t db;

	salvage_leaf_read(s, off, true, false, &s->leaf);
	if (s->leaf.bad)
		salvage_lost(s, NULL, "leaf 0x%lx: of %u entries the checksum does not hold",
		             (unsigned long)off, s->leaf.bad);
	if (s->leaf.n == 0)
		return;
	if (has_catalog_entry(&s->leaf)) {
		if (hole_of(s, 0, 1))
			orphan_add(s, all, off, 0);
		return;
	}
	db = owner(s, &several);
	if (s->named && missing)
		db = NOBODY; /* it may be that of a database that is not known */
	if (db != NOBODY || several || (missing && (certain || s->named)))
		orphan_add(s, all, off, db);
}

/* ---- giving them out ------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
	const struct orphan *x = a;
	const struct orphan *y = b;

	if (x->db != y->db)
		return x->db < y->db ? -1 : 1;
	if (x->db != NOBODY) {
		const enum check_order order = check_compare(x->flags, &x->first, &y->first);

		if (order == CHECK_BEFORE || order == CHECK_AFTER)
			return order;
	}
	if (x->birth != y->birth)
		return x->birth < y->birth ? -1 : 1;
	return (x->off > y->off) - (x->off < y->off);
}

static bool not_after(uint32_t flags, const struct check_item *a, const struct check_item *b)
{
	const enum check_order order = check_compare(flags, a, b);

	return order == CHECK_BEFORE || order == CHECK_SAME;
}

/* newer_in - the other leaf has the entry's key, from a later transaction. */
static bool newer_in(struct salvage *s, const struct orphan *other, const struct salvage_entry *e)
{
	salvage_leaf_read(s, other->off, true, other->flags & DAXKV_DUP_SORT, &s->other);
	for (uint32_t i = 0; i < s->other.n; i++)
		if (s->other.entries[i].txn > e->txn &&
		    check_compare(other->flags, &s->other.entries[i].item, &e->item) == CHECK_SAME)
			return true;
	return false;
}

/* outdated - the other leaf, whose keys overlap, speaks for the entry: it is younger and spans the
 * key, so that the key is what it says, or gone; or it has the key from a later transaction. */
static bool outdated(struct salvage *s, const struct orphan *other, const struct salvage_entry *e)
{
	if (!not_after(other->flags, &other->first, &e->item) ||
	    !not_after(other->flags, &e->item, &other->last))
		return false;
	return other->birth > e->txn || newer_in(s, other, e);
}

/* orphan_give - those entries of the orphan at list[at] that no other one of its database is
 * newer than. They are in order, of n. */
static void orphan_give(struct salvage *s, const struct orphan *list, size_t n, size_t at)
{
	const struct orphan *o = &list[at];
	size_t from = at;
	size_t to = at + 1;

	while (from > 0 && list[from - 1].db == o->db &&
	       not_after(o->flags, &o->first, &list[list[from - 1].reach].last))
		from--;
	while (to < n && list[to].db == o->db && not_after(o->flags, &list[to].first, &o->last))
		to++;
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

/* nobodys_begin - a database for entries of nobody's. Returns its number. */
static size_t nobodys_begin(struct salvage *s, bool large)
{
	s->rc = array_room(&s->dbs, s->ndbs, &s->dbs_room, sizeof *s->dbs);
	if (s->rc)
		return 0;
	s->dbs[s->ndbs] = (struct salvage_db){.nameless = true};
	if (large)
		strcpy(s->dbs[s->ndbs].suffix, "-large");
	else
		s->dbs[s->ndbs].flags = DAXKV_DUP_SORT;
	salvage_database(s, s->ndbs);
	return s->ndbs++;
}

/* pair_fits - key and value can be one of a key's many values. */
static bool pair_fits(const struct salvage *s, const struct salvage_entry *e)
{
	const uint32_t most = (s->page_size - FMT_LEAF_BASE - 4) / 2 - 32;

	return !(e->flags & FMT_ENTRY_BLOB) && e->item.dlen <= s->page_size / 4 &&
	       e->item.klen + e->item.dlen <= most;
}

/* nobodys_give - what is nobody's goes into two databases: one with sorted duplicates, so that a
 * key that came from several databases keeps all its values, and one for values too large for that,
 * whose youngest one comes last. */
static void nobodys_give(struct salvage *s, const struct orphan *list, size_t n, bool large)
{
	size_t db = 0;

	for (size_t i = 0; i < n && !s->rc; i++) {
		salvage_leaf_read(s, list[i].off, true, false, &s->leaf);
		for (uint32_t k = 0; k < s->leaf.n && !s->rc; k++) {
			if (pair_fits(s, &s->leaf.entries[k]) == large)
				continue;
			if (db == 0)
				db = nobodys_begin(s, large);
			if (!s->rc)
				salvage_give(s, db, &s->leaf.entries[k], list[i].off);
		}
	}
}

static void orphans_give(struct salvage *s, struct orphans *all)
{
	size_t i;

	if (all->n)
		qsort(all->list, all->n, sizeof *all->list, by_place);
	for (i = 0; i < all->n && all->list[i].db != NOBODY; i++) {
		struct orphan *o = &all->list[i];

		o->reach = i;
		if (i > 0 && o[-1].db == o->db &&
		    not_after(o->flags, &o->last, &all->list[o[-1].reach].last))
			o->reach = o[-1].reach;
	}
	const size_t owned = i;

	for (i = 0; i < owned && !s->rc; i++) {
		if (i == 0 || all->list[i - 1].db != all->list[i].db)
			salvage_database(s, all->list[i].db);
		if (!s->rc)
			orphan_give(s, all->list, owned, i);
	}
	nobodys_give(s, all->list + owned, all->n - owned, false);
	nobodys_give(s, all->list + owned, all->n - owned, true);
}

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
