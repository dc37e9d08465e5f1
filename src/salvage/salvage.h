/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * salvage.h - getting entries out of a damaged store, whatever else of it is gone.
 *
 *   salvage.c         the file, the superblock, the order of the steps
 *   salvage_page.c    which pages are sound, what the page size is, what a bitmap is worth
 *   salvage_ring.c    words of commit records that are not in place yet
 *   salvage_leaf.c    the entries of a leaf; an entry is given out
 *   salvage_tree.c    databases by their trees
 *   salvage_orphan.c  sound leaves that no tree leads to
 *
 * A page's checksum covers its place, so each page is known to be sound by itself, and no page that
 * was copied elsewhere passes for one. Trees are walked from the descriptors down. Where a page
 * that is not sound was to lead on, a hole is noted: a database, and the bounds of what is missing.
 * Then every sound leaf that no tree leads to is an orphan. A leaf does not tell whose it is, nor
 * whether it is still in use, since pages that were freed keep their content. So an orphan is taken
 *
 *   - only when it is not free by a bitmap that can be believed, no page that replaced it names it
 *     as prev, and it is no younger than the newest commit;
 *   - for the database that has the only hole into which its keys fit;
 *   - else, when a database may be missing from the catalog, as an entry of nobody's.
 *
 * An orphan's entry yields to a younger orphan of the same database that speaks for its key.
 *
 * The rule that makes it safe is the checker's: every byte is untrusted. The file is mapped
 * privately: the words of commit records are put in place there, and the file is never written.
 *
 * Rejected: to repair in place. What is wrong with a page is not known before all is read, and the
 * damaged file is the only original.
 */
#ifndef DAXKV_SALVAGE_H
#define DAXKV_SALVAGE_H

#include "base/base.h"
#include "base/format.h"
#include "check/check_order.h"
#include "daxkv.h"

#define SALVAGE_MAX_LEVEL 40u /* deeper trees cannot be: it bounds the recursion */
#define SALVAGE_ANY_LEVEL (-1)
#define SALVAGE_LOST      "lost+found" /* how names begin of databases for what is nobody's */

/* What is known of a page: enum fmt_page_type when it is sound, and these. */
enum salvage_page {
	SALVAGE_TYPE = 0x7,
	SALVAGE_REACHED = 0x8,     /* a tree leads to it */
	SALVAGE_REPLACED = 0x10,   /* another one took its place */
	SALVAGE_UNREADABLE = 0x20, /* the medium does not give it */
	SALVAGE_APART = 0x40,      /* a reached leaf whose entries cannot be put in order */
	SALVAGE_NO_CATALOG = 0x80, /* no catalog entry was found in it or below it */
};

struct salvage_db {
	/* in the mapping; NULL: main's, and that of a database without a catalog entry */
	const uint8_t *name;
	uint32_t name_len;
	uint32_t flags;
	bool main;       /* the one that the superblock names */
	bool nameless;   /* no catalog entry was found for it */
	bool no_flags;   /* nothing tells them */
	char suffix[24]; /* of the name that one without a name gets */
	uint64_t desc;   /* as a catalog entry says */
};

struct salvage_hole { /* what a page that is lost led to */
	size_t db;
	struct check_bounds bounds;
	int level; /* of the page; SALVAGE_ANY_LEVEL: not known */
};

struct salvage_entry {
	struct check_item item; /* dup is the value, whatever the database */
	uint32_t flags;         /* FMT_ENTRY_BLOB, FMT_ENTRY_DB */
	uint64_t txn;           /* that wrote it, or its leaf's base */
};

struct salvage_leaf { /* as it was read */
	uint64_t off;
	struct salvage_entry *entries; /* live ones; they point into the mapping */
	uint32_t n;
	uint32_t bad; /* slots that are not sound, and a base that is not */
};

struct salvage {
	const struct daxkv_salvage *to; /* who takes what is found */
	uint8_t *base;                  /* of the private mapping */
	uint64_t size;                  /* of the file, in bytes */
	uint32_t page_size;
	uint64_t pages;  /* whole ones in the file */
	uint8_t *page;   /* enum salvage_page, of each page */
	uint64_t newest; /* commit; UINT64_MAX: not known */
	/* the first commit some of whose words are lost: no bitmap knows the pages from it on */
	uint64_t words_lost;
	bool super_sound;
	struct fmt_super super; /* as recovered */
	struct salvage_db *dbs; /* the main one first */
	size_t ndbs;
	size_t dbs_room;
	struct salvage_hole *holes;
	size_t nholes;
	size_t holes_room;
	/* room for one leaf's entries each: the one that is worked on, and one beside it */
	struct salvage_leaf leaf;
	struct salvage_leaf other;
	const uint8_t *lost_name; /* the longest key of main's that begins like SALVAGE_LOST */
	uint32_t lost_name_len;
	bool lost_name_used; /* it stays what it is */
	bool zone_asked;     /* what salvage_free was last asked about: forget it when pages */
	uint64_t zone;       /* were reached since */
	uint64_t bitmap;     /* 0: it is not believed */
	bool named;          /* there are, or were, named databases */
	uint64_t given;      /* entries */
	uint64_t lost;       /* calls of salvage_lost */
	int rc;              /* what ends the run */
};

/* ---- salvage.c ------------------------------------------------------------------------------- */

/* salvage_lost - tell of something that is lost; db may be NULL. The text names what is lost and
 * where it lay; the database's name is added to it. The run goes on. How many there were is counted
 * in s->lost. */
void salvage_lost(struct salvage *s, const struct salvage_db *db, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* salvage_database - what is given out from here on is the database's. One without a name gets one
 * that no other has. db is its number in dbs. The caller's function is told of the name and the
 * flags; what it returns ends the run. */
void salvage_database(struct salvage *s, size_t db);

/* salvage_db_new - a database more, blank, at the end of dbs; the caller counts it in ndbs when it
 * is filled. NULL, and the run ends: no memory. Pointers into dbs from before are not good any
 * more. */
struct salvage_db *salvage_db_new(struct salvage *s);

/* salvage_is_page - off is where a page of the file begins. */
static inline bool salvage_is_page(const struct salvage *s, uint64_t off)
{
	if (off % s->page_size != 0)
		return false;
	return off / s->page_size < s->pages;
}

/* salvage_marks - what is known of the page at off, which is one: enum salvage_page. */
static inline uint8_t *salvage_marks(const struct salvage *s, uint64_t off)
{
	assert(salvage_is_page(s, off));
	return &s->page[off / s->page_size];
}

/* salvage_known - the page at off is sound and of that type. */
static inline bool salvage_known(const struct salvage *s, uint64_t off, unsigned int type)
{
	if (!salvage_is_page(s, off))
		return false;
	return (*salvage_marks(s, off) & SALVAGE_TYPE) == type;
}

/* salvage_readable - bytes of the file that the medium gives: all pages from off to off + len,
 * where off need not be a page's. False also when they do not lie in the file. */
static inline bool salvage_readable(const struct salvage *s, uint64_t off, uint64_t len)
{
	if (off > s->size)
		return false;
	if (len > s->size - off)
		return false;
	for (uint64_t i = off / s->page_size; i * s->page_size < off + len; i++)
		if (i >= s->pages || s->page[i] & SALVAGE_UNREADABLE)
			return false;
	return true;
}

/* salvage_head - the header of the page at off, in the mapping. It is a page of the file; what it
 * says is not trusted unless the page is known to be sound. */
static inline const struct fmt_page *salvage_head(const struct salvage *s, uint64_t off)
{
	return (const void *)(s->base + off);
}

/* ---- salvage_page.c -------------------------------------------------------------------------- */

/* salvage_page_sound - the type of a page that is sound at the place off; 0: it is not. p: a copy
 * of it, or the mapping; page_size bytes are there. Sound says that some commit wrote this page to
 * this place, and nothing more. */
unsigned int salvage_page_sound(const uint8_t *p, uint64_t off, uint32_t page_size);

/* salvage_page_size - the size with which the most is sound; 0: with none anything is. Reads at
 * most the first 64 MiB of the file, and changes nothing. */
uint32_t salvage_page_size(int fd);

/* salvage_scan - find out which pages are sound. Sets s->page; pages that cannot be read are told
 * of. ENOMEM. */
int salvage_scan(struct salvage *s, int fd);

/* salvage_replaced - find out which pages were replaced by others that are sound. What the newest
 * commit is has to be known by then, as far as it can be. */
void salvage_replaced(struct salvage *s);

/* salvage_fixed - the word at off, a multiple of FMT_WORD, lies in a sound page and among the bytes
 * that its checksum has found right: no commit changes them. */
bool salvage_fixed(const struct salvage *s, uint64_t off);

/* salvage_free - the page is not allocated, by a bitmap that can be believed: *believed. Without
 * such a bitmap the answer is false: nothing speaks against the page. */
bool salvage_free(struct salvage *s, uint64_t off, bool *believed);

/* ---- salvage_ring.c -------------------------------------------------------------------------- */

/* salvage_ring - the newest commit, with its words in place. The superblock is sound. Sets
 * s->newest, and stores into the private mapping, never into the file. */
void salvage_ring(struct salvage *s);

/* ---- salvage_leaf.c -------------------------------------------------------------------------- */

/* salvage_leaf_read - the live entries of the page at off into leaf, in order when bad is 0. base:
 * whether the page is sound; else only appended entries are read. dups: a key's values are entries
 * of their own. leaf->entries has room for all that a page can have, and is overwritten. What it
 * gives points into the mapping. */
void salvage_leaf_read(const struct salvage *s, uint64_t off, bool base, bool dups,
                       struct salvage_leaf *leaf);

/* salvage_give - give an entry out, or tell why it is lost. leaf: where the entry lay, for what is
 * told. */
void salvage_give(struct salvage *s, size_t db, const struct salvage_entry *e, uint64_t leaf);

/* salvage_fits - the entry may stand in a database with these flags. */
bool salvage_fits(const struct salvage *s, uint32_t flags, const struct salvage_entry *e);

/* salvage_within - the item lies inside the bounds, as far as that can be told. An order that the
 * program alone knows keeps nothing out. */
bool salvage_within(uint32_t flags, const struct check_bounds *bounds,
                    const struct check_item *item);

/* salvage_catalog - note the database that a catalog entry names. */
void salvage_catalog(struct salvage *s, const struct salvage_entry *e);

/* ---- salvage_tree.c -------------------------------------------------------------------------- */

/* salvage_tree - all that the database's tree leads to. Entries are given out while it is walked;
 * what cannot be reached becomes holes. Catalog entries of the main database add to dbs, and so may
 * move it. */
void salvage_tree(struct salvage *s, size_t db);

/* salvage_main_find - the main database's descriptor, where no superblock names it; 0: none. It is
 * a guess by what all descriptors and catalog entries say, and 0 when several are as good. */
uint64_t salvage_main_find(struct salvage *s);

/* salvage_hole - note what is missing. The bounds are copied; level is that of the page that is
 * missing. ENOMEM ends the run. */
void salvage_hole(struct salvage *s, size_t db, const struct check_bounds *bounds, int level);

/* ---- salvage_orphan.c ------------------------------------------------------------------------ */

/* salvage_orphans_catalog - catalog entries in leaves that no tree leads to. Only where the main
 * database misses pages. To be called before the other two, which need the databases that it
 * finds. */
void salvage_orphans_catalog(struct salvage *s);

/* salvage_orphans_trees - trees that no catalog entry names. Each becomes a database with a made-up
 * name. */
void salvage_orphans_trees(struct salvage *s);

/* salvage_orphans - all other leaves that no tree leads to. Last of all: what is an orphan is known
 * when all trees were walked. */
void salvage_orphans(struct salvage *s);

#endif
