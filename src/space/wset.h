/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wset.h - what the running write transaction has touched: its private pages, and the words it will
 * change in pages that commits refer to.
 *
 *   committed page   read-only until the commit's record is durable. A leaf gets a shadow of its
 *                    slots, an inner page a few pending kids
 *   private page     made by this transaction: edited in place, nobody else can reach it
 *
 * One struct wpage for each page touched, found by its offset. Nothing here is durable; abort
 * forgets it. A nested transaction treats the private pages of the levels around it like committed
 * ones [R8], and the first change of a wpage at each level keeps a copy to go back to.
 *
 * The rule that makes it correct: the tree reads words through wset_find; a superseded page is
 * marked dead, so its pending words never reach a record [R7].
 *
 * An element is 200 bytes and lives for one transaction; the memory stays for the next. What a
 * level may do with a page follows from two numbers: owner, the level that made it (0: a commit),
 * and level, the one that runs. Equal: edit in place. Anything else: pending words, or a new page.
 */
#ifndef DAXKV_WSET_H
#define DAXKV_WSET_H

#include "base/base.h"
#include "base/format.h"

#define WSET_PENDING 16u /* of an inner page; one more makes it private */
#define WSET_UNNAMED UINT32_MAX

struct map;
struct space;

/* A page, or an extent, that the running transaction has touched. */
struct wpage {
	uint64_t off; /* of the page, or of the extent's first page */
	/* nesting level that made the page, 1 = outermost; 0 = a commit made it */
	uint8_t owner;
	/* the level whose undo log has (or needs no) copy of this */
	uint8_t saved_level;
	bool dead;     /* superseded: not part of the tree any more */
	bool streamed; /* private, and on its way to the medium */
	/* leaf: slots in val, applied ones included, 0 = no shadow; inner: pending kids */
	uint8_t npending;
	uint8_t napplied; /* leaf: slots that are in the page already */
	/* committed or foreign leaf: the entries appended by this transaction */
	uint16_t fresh_off;
	uint16_t fresh_end;
	/* of them, or of a streamed page, when crc_valid */
	uint32_t fresh_crc;
	bool crc_valid;
	/* private: a value in its base was overwritten, its checksum is of what was there */
	bool stale;
	/* private: bytes to make durable, of a large value too; WSET_UNNAMED: no record can name
	 * them */
	uint32_t used;
	uint64_t installed;           /* its last installation's number; 0: none */
	uint64_t val[FMT_TAIL_SLOTS]; /* leaf: the slots; inner: the kids */
	uint16_t idx[WSET_PENDING];   /* inner: which kid */
};
static_assert(WSET_PENDING <= FMT_TAIL_SLOTS, "struct wpage.val");

struct wset {
	struct map *map;
	struct space *space; /* where pages come from and go to */
	uint32_t psize;      /* bytes of a page */
	uint64_t txn;        /* the transaction's number */
	/* pages born before it get no words, but are replaced: a lazy interval's first number; 0:
	 * there is none [L1] */
	uint64_t first;
	/* what a transaction appends to a committed leaf begins at a word, because records may have
	 * such bytes as words: see leaf_append. Fixed when the store is opened */
	bool whole_words;
	unsigned int level; /* nesting, 1 = outermost */
	uint64_t changes;   /* put and delete calls so far */
	/* pages written whole, so far and before: never set back */
	uint64_t installs;
	/* one struct wpage each, at stable addresses */
	struct wpage **block;
	size_t nblocks;
	size_t block_room;
	size_t n;
	uint32_t *table; /* open addressing: index + 1 */
	size_t mask;
	struct wset_undo *undo;
	size_t nundo;
	size_t undo_room;
	/* pages taken ahead, and whether wset_new_page takes them: see wset_spare_take */
	struct wpage **spare;
	size_t nspare;
	size_t spare_room;
	bool use_spare;
	/* scratch, larger than a page: where pages are built, and entries that are appended */
	uint8_t *image;
	/* since the store was opened, for reports */
	uint64_t splits;      /* of pages that became full */
	uint64_t compactions; /* leaves that were written anew, with an empty tail */
	uint64_t merges;      /* of pages that became too empty */
};

struct wset_mark {    /* where a nested transaction began */
	size_t n;     /* entries that were there */
	size_t nundo; /* copies that were there */
	size_t space; /* space_mark */
};

int wset_open(struct wset *w, struct map *map, struct space *space, uint32_t psize);
void wset_close(struct wset *w);

/* wset_begin - an empty set for transaction txn. */
void wset_begin(struct wset *w, uint64_t txn);

/* wset_bucket - where the search for an offset begins in the table: the high bits of a product,
 * because offsets are multiples of the page size. */
static inline size_t wset_bucket(const struct wset *w, uint64_t off)
{
	return (size_t)((off / FMT_PAGE_MIN) * 0x9E3779B97F4A7C15u >> 20) & w->mask;
}

/* wset_find - the page's entry, or NULL when it was not touched. wset_find_from - the same, with
 * place h of the table the first that may have it. */
struct wpage *wset_find_from(const struct wset *w, uint64_t off, size_t h);
/* Inlined for pages that were not touched: most of those that a writer looks at. */
static inline struct wpage *wset_find(const struct wset *w, uint64_t off)
{
	if (!w->n)
		return NULL;
	size_t h = wset_bucket(w, off);

	if (!w->table[h])
		return NULL;
	return wset_find_from(w, off, h);
}

/* wset_touch - the page's entry for changing it at this level; a new one is blank (a committed
 * page's). wset_touch_found - the same where *wp is what wset_find has just said. ENOMEM. */
int wset_touch(struct wset *w, uint64_t off, struct wpage **wp);
int wset_touch_found(struct wset *w, uint64_t off, struct wpage **wp);

/* wset_editable - whether the running level may change the page in place [R8]. */
static inline bool wset_editable(const struct wset *w, const struct wpage *wp)
{
	return wp && wp->owner == w->level;
}

/* wset_kept - whether a page that a commit made gets no words [L1]. */
static inline bool wset_kept(const struct wset *w, const struct fmt_page *page)
{
	return UNLIKELY(page->birth < w->first);
}

/* wset_new_extent - take contiguous pages and make them private, by one entry. wset_new_page - one
 * page. */
int wset_new_extent(struct wset *w, uint64_t pages, struct wpage **wp);
int wset_new_page(struct wset *w, struct wpage **wp);

/* wset_spare_take - see to it that n pages are taken ahead, private and without content: while
 * use_spare is set, wset_new_page takes these and cannot fail. Errors of space_take, ENOMEM: there
 * are as many as could be had. wset_spare_give - free them until n are left; the level that runs
 * must not change before none is left. Errors of space_give. */
int wset_spare_take(struct wset *w, size_t n);
int wset_spare_give(struct wset *w, size_t n);

/* wset_install - the page built in image, whose checksum leaves the place out, gets that and
 * becomes the private page's content: streamed when the transaction is small so far, else stored.
 * wset_install_whole - the same for one that will hardly change again: streamed in any case. */
void wset_install(struct wset *w, struct wpage *wp, uint8_t *image, uint32_t used);
void wset_install_whole(struct wset *w, struct wpage *wp, uint8_t *image, uint32_t used);

/* wset_retire - the page is no longer part of the tree: free it and forget its pending words.
 * wset_retire_extent - the same for a large value's pages, of which the set has an entry only when
 * this transaction made them. */
int wset_retire(struct wset *w, uint64_t off);
int wset_retire_extent(struct wset *w, uint64_t off, uint64_t pages);

/* wset_apply - store the pending words of a private page in place. Only for a page that the running
 * level may edit, or at commit. */
void wset_apply(struct wset *w, struct wpage *wp);

/* wset_mark, wset_enter, wset_merge, wset_undo - nesting: remember the state; a level deeper; the
 * level's changes become its parent's; they are forgotten. */
void wset_enter(struct wset *w, struct wset_mark *mark);
void wset_merge(struct wset *w, const struct wset_mark *mark);
void wset_undo(struct wset *w, const struct wset_mark *mark);

/* wset_at - entry i of w->n, for the commit's walk. */
static inline struct wpage *wset_at(const struct wset *w, size_t i)
{
	return &w->block[i >> 8][i & 255];
}

#endif
