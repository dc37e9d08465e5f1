/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_walk.h - what the files of the checker share: the run's state, and one function per thing
 * that is checked.
 *
 * For use by check*.c only.
 */
#ifndef DAXKV_CHECK_WALK_H
#define DAXKV_CHECK_WALK_H

#include "base/base.h"
#include "base/format.h"
#include "check/check.h"
#include "check/check_order.h"

/* Bytes that an entry needs at least, a head and an offset: the entries of a damaged page may share
 * all others. (Uniform ones: a head and four bytes.) */
#define CHECK_MIN_ENTRY (sizeof(uint64_t) + sizeof(uint16_t))
#define CHECK_MAX_LEVEL 40u                   /* deeper trees cannot be: it bounds the recursion */
#define CHECK_COPIES    (CHECK_MAX_LEVEL + 1) /* of pages: one a level */

struct check_entry {            /* an entry of a leaf, base or tail */
	struct check_item item; /* dup is the value, whatever the database */
	/* in the page: struct fmt_entry, and behind the value */
	uint32_t off;
	uint32_t end;
	uint32_t flags;
	uint32_t index; /* in the base, or in the tail */
	bool tail;      /* it was appended: a slot names it */
};

struct check_tally { /* what a tree of tallies says of a key */
	/* in the mapped file */
	const uint8_t *key;
	uint32_t klen;
	uint64_t values;
};

struct check_run { /* the key whose entries are being met, and its tally */
	/* in the mapped file; NULL: none so far */
	const uint8_t *key;
	uint32_t klen;
	uint64_t values; /* so far */
	size_t next;     /* the first tally that is not behind it */
};

struct check_db {
	uint64_t desc;       /* offset of the descriptor, or of its only leaf; 0: it has nothing */
	uint32_t flags;      /* as the catalog entry says, then as the descriptor does */
	bool main;           /* the one that the superblock names */
	const uint8_t *name; /* in the mapped file */
	uint32_t name_len;
	bool has_dup_size;
	uint32_t dup_size; /* of all values of a DUP_FIXED database */
	/* what the walk found, for a comparison with the descriptor's counts */
	uint64_t entries;
	uint64_t leaf_pages;
	uint64_t inner_pages;
	uint64_t blob_pages; /* pages of large values */
	/* its tallies, of a database with sorted duplicates */
	struct check_tally *tallies;
	size_t tallies_count;
	size_t tallies_room;
	struct check_run run;
	struct check_db *tallies_of; /* of a tree of tallies: the database; else NULL */
};

struct check_page {           /* a tree page whose header's offsets were found inside the page */
	const uint8_t *p;     /* a copy of it */
	uint64_t off;         /* where it lies in the file */
	struct fmt_page head; /* of the copy */
};

struct check {
	const struct check_input *in;
	const uint8_t *base;    /* in->base */
	uint64_t txn;           /* in->txn: nothing of the state is younger */
	struct fmt_super super; /* a copy, taken at first */
	uint32_t page_size;     /* the superblock's, found valid */
	/* bytes that are in use and readable: no reference goes beyond */
	uint64_t limit;
	uint64_t pages; /* in limit */
	uint64_t words; /* in each of the next two */
	uint64_t *used; /* a bit a page: allocated, by the bitmaps */
	uint64_t *seen; /* a bit a page: something refers to it */
	/* how many bits of these are set */
	uint64_t used_pages; /* known when all bitmaps were read */
	uint64_t seen_pages;
	/* of the pages from the root to the one being checked */
	uint8_t *copies;
	struct check_entry *entries; /* of the leaf being checked: base, then tail */
	/* of the leaf being checked: indexes into entries */
	uint16_t *order;
	struct check_db *dbs; /* named databases found in the main one */
	size_t dbs_count;     /* and not yet all walked */
	size_t dbs_room;      /* room for so many */
	uint64_t faults;      /* reported, or counted beyond CHECK_MAX_REPORTS */
	/* ENOMEM once memory ran out, EAGAIN once the state has moved, ECANCELED once the caller
	 * has ended it: the run ends */
	int err;
};

/* check_moved - whether the state is no longer there to be checked; ck->err is EAGAIN then. From
 * then on nothing is told: what was read may be of two states. */
bool check_moved(struct check *ck);

/* check_fault - count and report one fault; db, when not NULL, is named at its end. Nothing when
 * the state has moved. Beyond CHECK_MAX_REPORTS they are counted only. */
void check_fault(struct check *ck, const struct check_db *db, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* check_space_load - read directory and bitmaps into used and claim their pages. The first step of
 * a check: later ones claim what they find. */
void check_space_load(struct check *ck);

/* check_space_claim - note that len bytes at off are in use, named by the word at file offset at.
 * Faults: not at a page boundary, outside the file, used twice, not marked allocated. False when
 * the bytes must not be followed. True also where the bitmap has them free: that is told, and what
 * is there can be read. */
bool check_space_claim(struct check *ck, const struct check_db *db, const char *what, uint64_t off,
                       uint64_t len, uint64_t at);

/* check_space_told - tell the caller how many pages were claimed; ck->err is ECANCELED when it ends
 * the check. */
void check_space_told(struct check *ck);

/* check_space_leaks - report what is allocated and was never claimed. The last step: all databases
 * were walked. */
void check_space_leaks(struct check *ck);

/* check_ring - the commit records against the state of transaction ck->txn. */
void check_ring(struct check *ck);

/* check_db_walk - a database from its descriptor down. at: file offset of what names the
 * descriptor. Named databases of the main one are added to ck->dbs, for the caller to walk. */
void check_db_walk(struct check *ck, struct check_db *db, uint64_t at);

/* check_leaf - a leaf whose header was checked; bounds NULL for a root. page is a copy of the
 * walk's, as it is for all below. */
void check_leaf(struct check *ck, struct check_db *db, const struct check_page *page,
                const struct check_bounds *bounds);

/* check_tally_note - the tree of tallies has that live entry. check_tally_entry - the database has
 * that live entry; they come in order. check_tally_end - it has no more. item points to key and
 * value in the mapped file. */
void check_tally_note(struct check *ck, struct check_db *db, const struct check_item *item);
void check_tally_entry(struct check *ck, struct check_db *db, const struct check_item *item);
void check_tally_end(struct check *ck, struct check_db *db);

/* check_header - the rules that an inner page's and a leaf's offsets share: arrays of head->n heads
 * from first on and, behind gap bytes, of offsets; or the lengths of a uniform leaf. False,
 * reported, when the page's contents cannot be read. */
bool check_header(struct check *ck, const struct check_db *db, const struct check_page *page,
                  const char *what, uint32_t first, uint64_t gap);

/* check_readable - whether a page can be read at off: a multiple of the page size, below limit.
 * That it is the wrong page is found when it is claimed. */
static inline bool check_readable(const struct check *ck, uint64_t off)
{
	if (off % ck->page_size != 0)
		return false;
	return off < ck->limit;
}

/* check_heads - search heads, which lie at heads, and the common prefix of n items. what and part
 * are the words of a report: the page's kind, and that of the item. item gives item i, which was
 * found readable. */
void check_heads(struct check *ck, const struct check_db *db, const struct check_page *page,
                 uint32_t heads, const char *what, const char *part,
                 void (*item)(const void *arg, uint32_t i, struct check_item *out),
                 const void *arg);

#endif
