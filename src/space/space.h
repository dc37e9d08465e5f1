/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.h - which pages are free: allocation bitmaps, growth, and what the running write
 * transaction took and gave.
 *
 *   per zone, in memory   disk: the bitmap that the next commit makes true
 *                         busy: disk, and what must not be taken yet
 *
 *   allocate              set in both
 *   free, own page        clear in both: reusable at once
 *   free, held            clear in disk; busy until the limbo lets it go
 *   spill page            set in busy only
 *
 * The reserve: puts find no page, and make the file grow, before the last free ones are gone. So
 * removals, which need pages before they give more back, find some in a store that cannot grow.
 *
 * Pages in memory: a removal that finds no page at all, reserve included, takes one that lies in no
 * file. It is like any other page of the running transaction, until the commit gives what is left
 * of them places in the file (commit_memory.c). So a transaction which removes all that a full
 * store has needs no more pages than its result.
 *
 * Every step is logged, so that a transaction, or a nested one, is undone in reverse. Growth is not
 * undone: the file may be longer than the superblock's size word says, and the next commit carries
 * the words that the growth needs.
 *
 * The rule that makes it correct: a page is taken only when no committed structure, no reader and
 * no record that may be replayed refers to it [R3]. Zones are loaded when first looked at: opening
 * a store costs nothing for its size.
 */
#ifndef DAXKV_SPACE_H
#define DAXKV_SPACE_H

#include "base/format.h"
#include "media/map.h"
#include "redo/ring.h"
#include "shm/limbo.h"

/* The pages that one bitmap page covers. */
struct zone {
	uint64_t *disk;      /* a bit a page: what the next commit makes true; NULL: not loaded */
	uint64_t *busy;      /* a bit a page: not to be taken; never less than disk */
	uint64_t *dirty;     /* a bit for each word of disk that may differ from the file's */
	uint64_t bitmap_off; /* of the bitmap page in the file */
	/* in a lazy interval: the bitmap that the file's superblock leads to, 0: there is none.
	 * What it has is busy */
	uint64_t kept_off;
	/* clear bits of busy among the zone's usable pages */
	uint32_t nfree;
	/* no more of them follow each other, within the zone */
	uint32_t longest;
};

/* What wants pages, and so how much of the reserve it leaves: a put all of it, a commit whose
 * transaction has put, or a removal that splits a page (SPLIT), half of it, and whatever else
 * nothing. A removal (DELETE, SPLIT) has pages in memory when there are no others; what a commit or
 * a compaction takes (HALF, MOVE) must lie in the file. */
enum space_claim { SPACE_PUT, SPACE_HALF, SPACE_MOVE, SPACE_SPLIT, SPACE_DELETE };

/* A step of the running transaction: an extent, and what happened to it. */
enum space_op_kind {
	SPACE_TAKEN, /* by space_take */
	SPACE_FREED, /* by space_give_own, or space_unhold */
	SPACE_HELD,  /* by space_give: for the limbo, at the commit */
	SPACE_SPILL, /* by space_take_spill: for the limbo, too */
};
struct space_op {
	uint64_t off;   /* of the first page, in bytes */
	uint64_t pages; /* at least one */
	enum space_op_kind kind;
};

/* Pages of the running transaction that lie in memory, see map_memory: none when it begins. */
struct space_memory {
	uint8_t *bits; /* enum space_bits of each page */
	size_t room;
	size_t n;    /* pages that were taken at all */
	size_t used; /* that are not free again */
	size_t hint; /* none before it is free */
	/* a removal took a page of the reserve, or of these: the commit spares pages */
	bool tight;
};

struct space {
	struct map *map;
	uint32_t psize;      /* bytes of a page */
	uint64_t zone_pages; /* pages of a zone: bits of a page */
	uint64_t end;        /* bytes usable, what the size word becomes */
	struct zone *zone;   /* zero: not loaded */
	size_t nzones;       /* those that end reaches */
	size_t zone_room;
	/* the free pages of the zones in memory */
	uint64_t nfree;
	/* so many free pages are left to removals, by the file's size */
	uint64_t reserve;
	enum space_claim claim; /* of those who take pages now: space_claim */
	bool puts;              /* the running transaction took some as puts */
	bool stays;             /* the file does not grow for them */
	bool coarse;            /* its commit has one limbo item for all that it freed */
	/* no page before it is known to be free: a page number */
	uint64_t hint;
	/* before that page no extent of so many free pages or more begins */
	uint64_t extent_hint;
	uint64_t extent_pages;
	/* the log of the running transaction, and of the nested ones in it */
	struct space_op *op;
	size_t nops;
	size_t op_room;
	/* words of bitmaps that were touched: zone * words per zone + word */
	uint64_t *dirty_word;
	size_t ndirty;
	size_t dirty_room;
	/* directory words of growth, for the next commit */
	struct words grown;
	uint64_t grows; /* times that the file has grown; any thread may read it */
	/* pages allocated, less those given, that no commit has carried yet */
	int64_t gained;
	struct space_memory memory;
	struct limbo limbo; /* extents that commits gave up and somebody may need */
	/* a lazy interval, see space_lazy.c: what the file's superblock reaches stays as it is */
	bool keeping;
	/* the running transaction put bitmap or directory pages elsewhere: not undone, but
	 * forgotten by space_reset */
	bool moved;
	const struct fmt_super *shadow; /* of the newest commit then; NULL: the file's */
	/* reader entries looked at in the last try to release, and pages taken since */
	uint64_t scanned;
	uint64_t takes;
	/* limbo items up to this transaction are durable in place under a fenced record */
	uint64_t releasable;
	uint64_t (*oldest_reader)(void *arg); /* for the limbo; adds to scanned */
	/* forget readers that died; called before the file grows */
	void (*reap)(void *arg);
	/* likewise, old readers beyond their limits: whether to look for released pages again */
	bool (*reader_limit)(void *arg);
	/* that many limbo items, the oldest, are gone */
	void (*released)(void *arg, uint64_t items);
	/* make all committed words durable in place and mark it; raises releasable */
	int (*checkpoint)(void *arg);
	void *arg;
};

#define SPACE_WORD_BITS  64u
#define SPACE_TEST_STEP  64u /* pages under 4096 bytes, of tests, make the file grow by so many */
#define SPACE_STEP_LEAST ((uint64_t)64 << 10)

/* space_zone_words - 64-bit words of a zone's bitmap. */
static inline uint64_t space_zone_words(const struct space *space)
{
	return space->zone_pages / SPACE_WORD_BITS;
}

/* space_step - what a file of about so many bytes has a multiple of, when it can be: a small file
 * has small steps, but on a DAX filesystem, where huge pages are to map it. */
uint64_t space_step(const struct space *space, uint64_t size);

/* space_claim - who takes pages from now on; returns who did before, to be set again. The default
 * is a put. space_claim_commit - likewise, for what the running transaction's commit needs. */
static inline enum space_claim space_claim(struct space *space, enum space_claim claim)
{
	const enum space_claim before = space->claim;

	space->claim = claim;
	return before;
}
static inline enum space_claim space_claim_commit(struct space *space)
{
	return space_claim(space, space->puts ? SPACE_HALF : SPACE_MOVE);
}

/* space_behind - whether so many pages at off reach behind the boundary, and as many in a row are
 * free before them: without such a place a move gains nothing. off and boundary: bytes.
 * space_in_use - pages that cannot be taken now. Both load zones. CORRUPT, ENOMEM. */
int space_behind(struct space *space, uint64_t off, uint64_t pages, uint64_t boundary, bool *is);
int space_in_use(struct space *space, uint64_t *pages);

/* space_reserve_of - the reserve of a file of so many pages. */
uint64_t space_reserve_of(uint32_t psize, uint64_t pages);

/* space_no_room - such a failure says that there is no space for it, and not that something is
 * broken. */
bool space_no_room(int rc);

/* space_scarce - whether hardly more than the reserve is free: pages are not to be spent on what
 * only saves work later. CORRUPT, ENOMEM. */
int space_scarce(struct space *space, bool *scarce);

int space_open(struct space *space, struct map *map, uint32_t psize, uint64_t size);
void space_close(struct space *space);

/* space_reset - forget what is known of the bitmaps: another process has changed them. size as in
 * space_open. */
int space_reset(struct space *space, uint64_t size);

/* space_take - n contiguous pages for the running transaction. Grows the file when there are none.
 * Errors: FULL, ENOSPC, EFBIG, ENOMEM, CORRUPT, errno of growth. */
int space_take(struct space *space, uint64_t pages, uint64_t *off);

/* space_take_spill - the same for pages that only the transaction's record refers to: never marked
 * in the file, held after the commit. */
int space_take_spill(struct space *space, uint64_t pages, uint64_t *off);

/* space_spill_here - the same where such an extent is free already: nothing grows, and no
 * checkpoint is made for it. Not *found: there is none. Errors: CORRUPT, ENOMEM. */
int space_spill_here(struct space *space, uint64_t pages, uint64_t *off, bool *found);

/* space_give - free pages that a commit refers to: held until nobody needs them. space_give_own -
 * free pages that the running transaction took and that nothing refers to: reusable at once. */
int space_give(struct space *space, uint64_t off, uint64_t pages);
int space_give_own(struct space *space, uint64_t off, uint64_t pages);

/* space_memory_taken - whether that is the offset of a page in memory which is in use. */
bool space_memory_taken(const struct space *space, uint64_t off);

/* space_mark, space_undo - a position in the log; forget everything since. */
static inline size_t space_mark(const struct space *space)
{
	return space->nops;
}
void space_undo(struct space *space, size_t mark);

/* space_is_held - whether step i of the log gave pages by space_give. space_unhold - it shall count
 * as space_give_own. */
static inline bool space_is_held(const struct space *space, size_t i)
{
	return space->op[i].kind == SPACE_HELD;
}
void space_unhold(struct space *space, size_t i);

/* space_words - append the words that make the file's bitmaps, directory and size what they are
 * here. Reserves what space_committed needs. */
int space_words(struct space *space, struct words *words);

/* space_committed - the words are durable: what was given at txn goes to the limbo. */
void space_committed(struct space *space, uint64_t txn);

/* space_freed_span - the pages from the first to the last of those that the running transaction
 * gave, with LIMBO_COARSE: one limbo item that stands for all. From then on space_committed makes
 * one. false: it gave none. */
bool space_freed_span(struct space *space, uint64_t *off, uint64_t *pages);

/* space_op_waits - whether what a step of the log gave goes to the limbo: not what the file's
 * superblock reaches in a lazy interval, which space_op_kept tells [L3]. */
bool space_op_kept(const struct space *space, const struct space_op *op);
static inline bool space_op_waits(const struct space *space, const struct space_op *op)
{
	if (op->kind != SPACE_HELD && op->kind != SPACE_SPILL)
		return false;
	if (LIKELY(!space->keeping))
		return true;
	return !space_op_kept(space, op);
}

/* space_keep - from the running transaction on the file's superblock, and all that it reaches,
 * stays as it is [L1] [L3]. shadow: see there. Errors: CORRUPT. space_keep_end - it may change
 * again: what is kept and not in use any more must be in the limbo by then. */
int space_keep(struct space *space, const struct fmt_super *shadow);
void space_keep_end(struct space *space);

/* space_keep_words - while keeping: bitmap and directory pages that the commit is to change, and
 * which the file's superblock reaches, are put elsewhere; space_words then lists the rest. Errors:
 * those of space_take. */
int space_keep_words(struct space *space);

/* space_zone_compact - the bitmap page of zone z, and with the first zone of a directory page that
 * one too, give way to copies before them when they lie behind the boundary, in bytes, and not
 * before the zone. *pages: how many did. The commit of the running transaction needs a fence before
 * its record then. Errors: those of space_take and space_give. */
int space_zone_compact(struct space *space, size_t z, uint64_t boundary, uint64_t *pages);

/* space_each_kept - show every extent that the file's superblock reaches, and the newest commit,
 * whose superblock is shadow, does not. Errors: CORRUPT, what show returns. */
int space_each_kept(struct space *space, const struct fmt_super *shadow,
                    int (*show)(void *arg, uint64_t off, uint64_t pages), void *arg);

/* space_release - let limbo items go that nobody needs. */
void space_release(struct space *space);

/* space_find - the first n free pages that follow each other. CORRUPT, ENOMEM. space_found_free -
 * there may be an extent that ends at that page or reaches it: later searches begin there.
 * space_tail - the free pages at the end, at most so many. CORRUPT, ENOMEM. */
int space_find(struct space *space, uint64_t n, uint64_t *page, bool *found);
void space_found_free(struct space *space, uint64_t page);
int space_tail(struct space *space, uint64_t most, uint64_t *pages);

/* space_dir_page - where zone z's directory page lies, growth included that no commit carried
 * yet. */
uint64_t space_dir_page(const struct space *space, size_t z);

/* space_load_zone - have the bitmap of zone z in memory. CORRUPT, ENOMEM. */
int space_load_zone(struct space *space, size_t z);

/* space_each_free - show every extent that could be taken. Loads every zone. Errors: CORRUPT,
 * ENOMEM, what show returns. */
int space_each_free(struct space *space, int (*show)(void *arg, uint64_t off, uint64_t pages),
                    void *arg);

/* space_count - the pages that the newest commit has allocated, by the bitmaps as they lie in the
 * file, which ends at end, and are found by super. Any thread may: beside a writer's commit it is
 * about right. CORRUPT, also when the file was cut meanwhile: its size is another then; errno of
 * reading it. */
int space_count(const struct map *map, const struct fmt_super *super, uint32_t psize, uint64_t end,
                uint64_t *pages);

/* space_trim - plan to cut free space off the end: lowers end and drops the bitmap pages of zones
 * behind it, to be carried by the next commit. 0 with *end unchanged when there is nothing worth
 * cutting: less than is in use, up to 2 MiB. Never below floor bytes. A very long tail takes
 * several commits. What the limbo holds is not cut off. */
int space_trim(struct space *space, uint64_t floor, bool all, bool *cut);

/* space_last - where the last page lies that the file's end must be behind. CORRUPT, ENOMEM.
 * space_end_set - the file's usable bytes are these again. */
int space_last(struct space *space, uint64_t *off);
void space_end_set(struct space *space, uint64_t end);

#endif
