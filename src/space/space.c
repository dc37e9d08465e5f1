/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.c - see space.h
 *
 * Each step is one line in the log (op), with room made before anything is changed (space_op_room),
 * so a step is done wholly or not at all. To undo is to walk the log backwards. A bit that is not
 * as a step expects it is an assertion in space_bits_set: what the file's bitmaps say was compared
 * before, by give_check, where a difference is corruption [I10].
 *
 *   step         disk    busy    undone by     at the commit
 *   taken        set     set     both clear    nothing: the words say it
 *   freed, own   clear   clear   both set      nothing
 *   held         clear   stays   disk set      to the limbo
 *   spill        stays   set     busy clear    to the limbo
 *
 * Pages come from where they cost least: free ones, those that the limbo can let go, growth, and a
 * checkpoint, which makes the limbo's youngest items releasable. The failure of growth is told only
 * when nothing else helped, pages in memory included.
 */
#include "space/space.h"

#include "base/array.h"
#include "base/base.h"
#include "base/err.h"
#include "media/super.h"
#include "space/space_zones.h"

#include <errno.h>
#include <stdlib.h>

#define RELEASE_BATCH 32u /* limbo items that make a scan of the readers worth it */
#define SCAN_PER_TAKE 8u  /* reader entries that taking a page may cost, in the mean */

/* ---- bits ------------------------------------------------------------------------------------ */

/* touch_word - a word of zone z's disk bitmap is about to change. Room was made by
 * space_op_room. */
static void touch_word(struct space *s, size_t z, uint64_t w)
{
	assert(s->ndirty < s->dirty_room);
	uint64_t *d = &s->zone[z].dirty[w / SPACE_WORD_BITS];
	uint64_t bit = (uint64_t)1 << w % SPACE_WORD_BITS;

	if (*d & bit)
		return;
	*d |= bit;
	s->dirty_word[s->ndirty++] = z * space_zone_words(s) + w;
}

/* Pages that one word of a zone's bitmaps holds. */
struct piece {
	size_t z;      /* zone */
	uint64_t w;    /* word of its bitmaps */
	uint64_t mask; /* the pages' bits */
	uint64_t n;    /* pages: the bits in mask */
};

/* piece_at - the pages from page on that lie in its word; at most most, which is not 0. */
static struct piece piece_at(const struct space *s, uint64_t page, uint64_t most)
{
	uint64_t i = page % s->zone_pages;
	uint64_t bit = i % SPACE_WORD_BITS;
	uint64_t n = min_u64(most, SPACE_WORD_BITS - bit);
	uint64_t ones = ~(uint64_t)0 >> (SPACE_WORD_BITS - n);

	return (struct piece){
	    .z = (size_t)(page / s->zone_pages),
	    .w = i / SPACE_WORD_BITS,
	    .mask = ones << bit,
	    .n = n,
	};
}

/* disk_change - what the commit will write. The bits are not as they shall be: a difference to the
 * file was found before (give_check), so this one is a bug. */
static void disk_change(struct space *s, const struct piece *p, bool set)
{
	uint64_t *word = &s->zone[p->z].disk[p->w];

	assert(((*word & p->mask) == 0) == set);
	touch_word(s, p->z, p->w);
	if (set) {
		*word |= p->mask;
		s->gained += (int64_t)p->n;
	} else {
		*word &= ~p->mask;
		s->gained -= (int64_t)p->n;
	}
}

/* busy_change - what may be taken. Pages that become free may make an extent longer than any that
 * the zone is known to have. */
static void busy_change(struct space *s, const struct piece *p, bool set)
{
	struct zone *zone = &s->zone[p->z];
	uint64_t *word = &zone->busy[p->w];

	assert(((*word & p->mask) == 0) == set);
	if (set) {
		assert(zone->nfree >= p->n);
		*word |= p->mask;
		zone->nfree -= (uint32_t)p->n;
		s->nfree -= p->n;
	} else {
		*word &= ~p->mask;
		zone->nfree += (uint32_t)p->n;
		s->nfree += p->n;
		zone->longest = (uint32_t)s->zone_pages;
	}
}

/* Word by word: an extent may cross zones. Pages that become free make later searches begin there.
 */
void space_bits_set(struct space *s, uint64_t off, uint64_t pages, unsigned int which, bool set)
{
	uint64_t first = off / s->psize;
	uint64_t done = 0;

	if (UNLIKELY(map_in_memory(s->map, off))) {
		space_memory_set(s, off, which, set);
		return;
	}
	assert(s->zone[first / s->zone_pages].disk);
	assert(off % s->psize == 0);
	while (done < pages) {
		struct piece p = piece_at(s, first + done, pages - done);

		if (which & SPACE_DISK)
			disk_change(s, &p, set);
		if (which & SPACE_BUSY)
			busy_change(s, &p, set);
		done += p.n;
	}
	if ((which & SPACE_BUSY) && !set)
		space_found_free(s, first);
}

/* Each call asks for an element behind the room that there is, and so makes more. */
int space_dirty_reserve(struct space *s, uint64_t words)
{
	while (s->ndirty + words > s->dirty_room) {
		int rc = array_room(&s->dirty_word, s->dirty_room, &s->dirty_room,
		                    sizeof *s->dirty_word);

		if (rc)
			return rc;
	}
	return 0;
}

/* The extent touches at most two words that it does not fill. */
int space_op_room(struct space *s, uint64_t off, uint64_t pages)
{
	uint64_t first = off / s->psize;
	uint64_t last = first + pages - 1;
	int rc = array_room(&s->op, s->nops, &s->op_room, sizeof *s->op);

	if (rc)
		return rc;
	if (UNLIKELY(map_in_memory(s->map, off)))
		return 0;
	rc = space_dirty_reserve(s, pages / SPACE_WORD_BITS + 2);
	if (rc)
		return rc;
	for (uint64_t z = first / s->zone_pages; z <= last / s->zone_pages; z++) {
		rc = space_load_zone(s, (size_t)z);
		if (rc)
			return rc;
	}
	return 0;
}

/* op_log - note a step. Room was made by space_op_room. */
static void op_log(struct space *s, enum space_op_kind kind, uint64_t off, uint64_t pages)
{
	assert(s->nops < s->op_room);
	assert(pages > 0);
	assert(off + pages * s->psize <= s->end || map_in_memory(s->map, off));
	s->op[s->nops++] = (struct space_op){
	    .off = off,
	    .pages = pages,
	    .kind = kind,
	};
}

/* ---- taking and giving ----------------------------------------------------------------------- */

/* pages_let_go - pages of a loaded zone are not busy any more, but for those that are allocated: a
 * coarse item names some, and the limbo lies where other processes can write. They may make an
 * extent longer than any that the zone is known to have. */
static void pages_let_go(struct space *s, uint64_t page, uint64_t pages)
{
	for (uint64_t done = 0; done < pages;) {
		struct piece p = piece_at(s, page + done, pages - done);
		struct zone *zone = &s->zone[p.z];
		uint64_t freed = p.mask & zone->busy[p.w] & ~zone->disk[p.w];
		uint32_t n;

		if (UNLIKELY(zone->kept_off)) /* [L3] */
			freed &= ~load_word(space_word_at(s, zone->kept_off) + p.w);
		n = (uint32_t)__builtin_popcountll(freed);
		zone->busy[p.w] &= ~freed;
		zone->nfree += n;
		zone->longest = (uint32_t)s->zone_pages;
		s->nfree += n;
		done += p.n;
	}
}

/* item_free - the item's pages can be taken. Zones not in memory will not show them busy any
 * more. */
static void item_free(struct space *s, const struct limbo_item *item)
{
	uint64_t page = item->off / s->psize;
	uint64_t left = limbo_item_pages(item);

	while (left) {
		size_t z = (size_t)(page / s->zone_pages);
		uint64_t n = min_u64(left, (z + 1) * s->zone_pages - page);

		assert(z < s->nzones);
		if (s->zone[z].disk)
			pages_let_go(s, page, n);
		space_found_free(s, page);
		page += n;
		left -= n;
	}
}

/* Nothing is released that recovery might still use, whatever readers say: both bounds count [R3].
 */
void space_release(struct space *s)
{
	struct limbo_item item;
	uint64_t items = 0;
	uint64_t upto;
	bool coarse = false;

	if (limbo_oldest(&s->limbo) > s->releasable)
		return;
	upto = min_u64(s->releasable, s->oldest_reader(s->arg)); /* [R3] */
	while (limbo_take(&s->limbo, upto, &item)) {
		item_free(s, &item);
		coarse |= item.pages & LIMBO_COARSE;
		items++;
	}
	if (UNLIKELY(coarse))
		space_hold_again(s);
	if (items && s->released)
		s->released(s->arg, items);
}

/* find_released - let go of what can be, and look again; as long as old readers make way. */
static int find_released(struct space *s, uint64_t pages, uint64_t *page, bool *found)
{
	for (;;) {
		int rc;

		space_release(s);
		rc = space_find_kept(s, pages, page, found);
		if (rc)
			return rc;
		if (*found)
			return 0;
		if (!s->reader_limit)
			return 0;
		if (!s->reader_limit(s->arg))
			return 0;
	}
}

/* find_after_growth - the pages, after growth returned *why: 0, or what said that there is no room
 * for it. A checkpoint makes what the last commits freed releasable at once; that may be enough,
 * perhaps with what is left to grow by, in which case *why is what that growth returned. */
static int find_after_growth(struct space *s, uint64_t pages, uint64_t *page, bool *found, int *why)
{
	int rc;

	if (!*why || (!s->limbo.n && !s->keeping))
		return space_find_kept(s, pages, page, found);
	rc = s->checkpoint(s->arg);
	if (rc && !space_no_room(rc))
		return rc; /* a medium that failed is told, though a page may be had elsewhere */
	if (!rc)
		rc = find_released(s, pages, page, found);
	else
		rc = space_find_kept(s, pages, page, found);
	if (rc)
		return rc;
	if (*found)
		return 0;
	if (pages == 1)
		return 0;
	*why = space_grow(s, pages);
	return space_find_kept(s, pages, page, found);
}

/* find_or_grow - the pages, by what costs least first: what is free, what can be released, growth,
 * and at last a checkpoint. */
static int find_or_grow(struct space *s, uint64_t pages, uint64_t *page)
{
	bool found;
	int why;
	int rc = space_find_kept(s, pages, page, &found);

	if (rc)
		return rc;
	if (found)
		return 0;
	if (s->limbo.n) {
		if (s->reap)
			s->reap(s->arg);
		rc = find_released(s, pages, page, &found);
		if (rc)
			return rc;
		if (found)
			return 0;
	}
	do { /* the reserve may take all that a nearly full medium gives at a time */
		why = space_grow(s, pages);
		/* other pages would do, and nobody learned of the failure */
		if (why && !space_no_room(why))
			return why;
		rc = find_after_growth(s, pages, page, &found, &why);
		if (rc)
			return rc;
		if (found)
			return 0;
	} while (!why);
	return why;
}

/* find_memory - instead of a page of the file, which could not be had for why: one in memory, for
 * who may have one. */
static int find_memory(struct space *s, uint64_t pages, int why, uint64_t *off)
{
	struct err_saved text;

	if (!space_no_room(why))
		return why;
	if (!space_memory_may(s, pages))
		return why;
	err_save(&text);
	int rc = space_memory_take(s, off);

	if (!rc)
		return 0;
	err_restore(&text);
	return why;
}

/* find_anywhere - find_or_grow, or else a page in memory. A transaction that has such pages asks no
 * more of the file than what is free in it. */
static int find_anywhere(struct space *s, uint64_t pages, uint64_t *off)
{
	uint64_t page = 0;
	bool found = false;
	int rc;

	if (UNLIKELY(s->memory.used && space_memory_may(s, pages))) {
		rc = space_find_kept(s, pages, &page, &found);
		if (!rc && !found)
			return space_memory_take(s, off);
	} else {
		rc = find_or_grow(s, pages, &page);
		if (UNLIKELY(rc))
			return find_memory(s, pages, rc, off);
	}
	*off = page * s->psize;
	s->memory.tight |= space_memory_may(s, pages) && s->nfree < s->reserve;
	return rc;
}

/* take - pages for a step of that kind, set in those bitmaps. */
static int take(struct space *s, uint64_t pages, enum space_op_kind kind, unsigned int which,
                uint64_t *off)
{
	uint64_t at;
	int rc;

	assert(pages > 0);
	if (s->limbo.n >= RELEASE_BATCH && ++s->takes * SCAN_PER_TAKE > s->scanned) {
		s->scanned = 0;
		s->takes = 0;
		space_release(s);
	}
	rc = find_anywhere(s, pages, &at);
	if (rc)
		return rc;
	rc = space_op_room(s, at, pages);
	if (rc) {
		if (!map_in_memory(s->map, at))
			space_found_free(s, at / s->psize);
		return rc;
	}
	space_bits_set(s, at, pages, which, true);
	op_log(s, kind, at, pages);
	s->puts |= s->claim == SPACE_PUT;
	if (LIKELY(!map_in_memory(s->map, at)))
		map_prefaulted(s->map, at, pages * s->psize);
	*off = at;
	return 0;
}

/* The pages belong to the running transaction alone until its commit. */
int space_take(struct space *s, uint64_t pages, uint64_t *off)
{
	return take(s, pages, SPACE_TAKEN, SPACE_DISK | SPACE_BUSY, off);
}

/* Its bits stay 0 in the file: a spilled word list is superfluous after recovery's first step. */
int space_take_spill(struct space *s, uint64_t pages, uint64_t *off)
{
	return take(s, pages, SPACE_SPILL, SPACE_BUSY, off);
}

/* What the limbo may let go is looked at only where nothing else is free. */
int space_spill_here(struct space *s, uint64_t pages, uint64_t *off, bool *found)
{
	uint64_t page;
	int rc = space_find_kept(s, pages, &page, found);

	if (!rc && !*found && s->limbo.n) {
		space_release(s);
		rc = space_find_kept(s, pages, &page, found);
	}
	if (rc || !*found)
		return rc;
	space_found_free(s, page); /* it is looked for again when it is taken */
	return space_take_spill(s, pages, off);
}

/* given_in_range - whether an extent that the file names can be one. */
static bool given_in_range(const struct space *s, uint64_t off, uint64_t pages)
{
	if (pages == 0)
		return false;
	if (off % s->psize)
		return false;
	if (off < FMT_SUPER_SIZE)
		return false;
	if (off >= s->end)
		return false;
	return pages <= (s->end - off) / s->psize;
}

/* give_check - an extent named by the file is really allocated; a bitmap that disagrees is
 * corruption and not an assertion [I10] [I12]. Makes the room that giving needs. */
static int give_check(struct space *s, uint64_t off, uint64_t pages)
{
	uint64_t first = off / s->psize;
	int rc;

	if (UNLIKELY(pages == 1 && space_memory_taken(s, off)))
		return space_op_room(s, off, pages);
	if (!given_in_range(s, off, pages))
		return err_corrupt(off, "an extent of %lu pages outside the file is to be freed",
		                   (unsigned long)pages);
	rc = space_op_room(s, off, pages);
	if (rc)
		return rc;
	for (uint64_t done = 0; done < pages;) {
		struct piece p = piece_at(s, first + done, pages - done);
		uint64_t lacks = p.mask & ~s->zone[p.z].disk[p.w];

		if (UNLIKELY(lacks)) {
			uint64_t bit = (uint64_t)__builtin_ctzll(lacks);
			uint64_t page = p.z * s->zone_pages + p.w * SPACE_WORD_BITS + bit;

			return err_corrupt(page * s->psize, "a page in use is free in its bitmap");
		}
		done += p.n;
	}
	return 0;
}

/* kept_alike - how many of the pages from off on are, like the first one, part of what the file's
 * superblock reaches, or are not. Their zones are loaded. */
static uint64_t kept_alike(const struct space *s, uint64_t off, uint64_t pages)
{
	const bool kept = space_kept(s, off);
	uint64_t n = 1;

	while (n < pages && space_kept(s, off + n * s->psize) == kept)
		n++;
	return n;
}

/* give_mixed - space_give in a lazy interval: what the file's superblock reaches waits for the
 * interval's end, the rest goes to the limbo, and one step tells one of the two [L3]. */
static __attribute__((noinline)) int give_mixed(struct space *s, uint64_t off, uint64_t pages)
{
	for (uint64_t n; pages; pages -= n) {
		n = kept_alike(s, off, pages);
		int rc = space_op_room(s, off, n);

		if (rc)
			return rc;
		space_bits_set(s, off, n, SPACE_DISK, false);
		op_log(s, SPACE_HELD, off, n);
		off += n * s->psize;
	}
	return 0;
}

/* Clear in what the commit will write, busy until the limbo lets it go. */
int space_give(struct space *s, uint64_t off, uint64_t pages)
{
	int rc = give_check(s, off, pages);

	if (rc)
		return rc;
	if (UNLIKELY(s->keeping) && pages > 1)
		return give_mixed(s, off, pages);
	space_bits_set(s, off, pages, SPACE_DISK, false);
	op_log(s, SPACE_HELD, off, pages);
	return 0;
}

/* Nobody else has seen these pages: they are free at once. */
int space_give_own(struct space *s, uint64_t off, uint64_t pages)
{
	int rc = give_check(s, off, pages);

	if (rc)
		return rc;
	space_bits_set(s, off, pages, SPACE_DISK | SPACE_BUSY, false);
	op_log(s, SPACE_FREED, off, pages);
	return 0;
}

/* The step stays in the log as one that gave own pages: an undo sets both bits again. */
void space_unhold(struct space *s, size_t i)
{
	assert(i < s->nops);
	struct space_op *op = &s->op[i];

	assert(op->kind == SPACE_HELD);
	space_bits_set(s, op->off, op->pages, SPACE_BUSY, false);
	op->kind = SPACE_FREED;
}

/* In reverse, so that each step finds the bits as it left them. */
void space_undo(struct space *s, size_t mark)
{
	assert(mark <= s->nops);
	while (s->nops > mark) {
		const struct space_op *op = &s->op[--s->nops];

		switch (op->kind) {
		case SPACE_TAKEN:
			space_bits_set(s, op->off, op->pages, SPACE_DISK | SPACE_BUSY, false);
			break;
		case SPACE_FREED:
			space_bits_set(s, op->off, op->pages, SPACE_DISK | SPACE_BUSY, true);
			break;
		case SPACE_HELD:
			space_bits_set(s, op->off, op->pages, SPACE_DISK, true);
			break;
		case SPACE_SPILL:
			space_bits_set(s, op->off, op->pages, SPACE_BUSY, false);
			break;
		}
	}
	if (mark == 0) {
		s->puts = false;
		s->coarse = false;
		if (UNLIKELY(s->memory.tight))
			space_memory_end(s);
	}
}

/* ---- commit ---------------------------------------------------------------------------------- */

/* grown_words - what growth needs in the directories, but for words that are so already and those
 * of what was cut off again. */
static int grown_words(const struct space *s, struct words *words)
{
	int rc = 0;

	for (size_t i = 0; i < s->grown.n && !rc; i++) {
		uint64_t off = s->grown.w[i].off;
		uint64_t value = s->grown.w[i].value;

		if (off < s->end && space_word_now(s, off) != value)
			rc = words_add(words, off, value);
	}
	return rc;
}

/* Only words that differ from the file's are listed: a page taken and given back leaves no trace
 * in the record. */
int space_words(struct space *s, struct words *words)
{
	uint64_t per_zone = space_zone_words(s);
	int rc = limbo_reserve(&s->limbo, s->nops + 1);

	if (rc)
		return rc;
	for (size_t i = 0; i < s->ndirty; i++) {
		uint64_t w = s->dirty_word[i] % per_zone;
		const struct zone *zone = &s->zone[s->dirty_word[i] / per_zone];
		uint64_t off = zone->bitmap_off + w * FMT_WORD;

		/* a page cut off has no words */
		if (off >= s->end)
			continue;
		if (load_word(space_word_at(s, off)) == zone->disk[w])
			continue;
		rc = words_add(words, off, zone->disk[w]);
		if (rc)
			return rc;
	}
	rc = grown_words(s, words);
	if (rc)
		return rc;
	if (load_word(&space_super(s)->size) == s->end)
		return 0;
	return words_add(words, offsetof(struct fmt_super, size), s->end);
}

/* pages_committed - the part of space_committed for a transaction that took or freed pages. Out of
 * line: most small ones have done neither. */
static __attribute__((noinline)) void pages_committed(struct space *s, uint64_t txn)
{
	uint64_t per_zone = space_zone_words(s);
	uint64_t off;
	uint64_t pages;

	if (UNLIKELY(s->coarse) && space_freed_span(s, &off, &pages))
		limbo_add(&s->limbo, txn, off, pages);
	for (size_t i = 0; i < s->nops && LIKELY(!s->coarse); i++)
		if (space_op_waits(s, &s->op[i]))
			limbo_add(&s->limbo, txn, s->op[i].off, s->op[i].pages);
	s->nops = 0;
	s->coarse = false;
	for (size_t i = 0; i < s->ndirty; i++) {
		uint64_t z = s->dirty_word[i] / per_zone;
		uint64_t w = s->dirty_word[i] % per_zone;
		uint64_t bit = (uint64_t)1 << w % SPACE_WORD_BITS;

		if (z < s->nzones) /* else the zone was trimmed off */
			s->zone[z].dirty[w / SPACE_WORD_BITS] &= ~bit;
	}
	s->ndirty = 0;
}

/* The log becomes the limbo's; the dirty marks are for the next transaction. */
void space_committed(struct space *s, uint64_t txn)
{
	if (s->nops || s->ndirty || UNLIKELY(s->coarse))
		pages_committed(s, txn);
	s->puts = false;
	s->gained = 0;
	s->grown.n = 0;
	s->moved = false;
	assert(!s->memory.used);
	if (UNLIKELY(s->memory.tight))
		space_memory_end(s);
}
