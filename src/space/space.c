/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.c - see space.h
 *
 * Each step is one line in the log (op), with room made before anything is changed (op_room), so a
 * step is done wholly or not at all. To undo is to walk the log backwards. A bit that is not as a
 * step expects it is an assertion in set_bits: what the file's bitmaps say was compared before, by
 * give_check, where a difference is corruption [I10].
 */
#include "space/space.h"

#include "base/array.h"
#include "base/base.h"
#include "base/err.h"
#include "media/super.h"
#include "space/space_zones.h"

#include <errno.h>
#include <stdlib.h>

#define GROW_MAX      ((uint64_t)16 << 20) /* a put waits until the medium has it */
#define RELEASE_BATCH 32u /* limbo items that make a scan of the readers worth it */
#define SCAN_PER_TAKE 8u  /* reader entries that taking a page may cost, in the mean */

/* ---- bits ------------------------------------------------------------------------------------ */

/* touch_word - a word of zone z's disk bitmap is about to change. Room was made by touch_room. */
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

enum bits_of { BITS_DISK = 1, BITS_BUSY = 2 };

/* set_bits - set or clear pages in the bitmaps chosen. The zones are loaded. */
static void set_bits(struct space *s, uint64_t off, uint64_t pages, unsigned int which, bool set)
{
	assert(s->zone[off / s->psize / s->zone_pages].disk);
	assert(off % s->psize == 0);
	uint64_t page = off / s->psize;

	for (uint64_t left = pages; left;) {
		size_t z = (size_t)(page / s->zone_pages);
		uint64_t i = page % s->zone_pages;
		uint64_t w = i / SPACE_WORD_BITS;
		uint64_t bit = i % SPACE_WORD_BITS;
		uint64_t n = min_u64(left, SPACE_WORD_BITS - bit);
		uint64_t mask = (n == SPACE_WORD_BITS ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1)
		                << bit;
		struct zone *zone = &s->zone[z];

		if (which & BITS_DISK) {
			assert(((zone->disk[w] & mask) == 0) == set);
			touch_word(s, z, w);
			if (set)
				zone->disk[w] = zone->disk[w] | mask;
			else
				zone->disk[w] = zone->disk[w] & ~mask;
			if (set)
				s->gained += (int64_t)n;
			else
				s->gained += -(int64_t)n;
		}
		if (which & BITS_BUSY) {
			assert(((zone->busy[w] & mask) == 0) == set);
			if (set)
				zone->busy[w] = zone->busy[w] | mask;
			else
				zone->busy[w] = zone->busy[w] & ~mask;
			if (set)
				zone->nfree = zone->nfree - (uint32_t)n;
			else
				zone->nfree = zone->nfree + (uint32_t)n;
			if (!set)
				zone->longest = (uint32_t)s->zone_pages;
		}
		page += n;
		left -= n;
	}
	if ((which & BITS_BUSY) && !set)
		space_found_free(s, off / s->psize);
}

/* op_room - make room for a log entry and its bitmap words, and load the zones, so that nothing
 * fails half-way. */
static int op_room(struct space *s, uint64_t off, uint64_t pages)
{
	uint64_t first = off / s->psize;
	uint64_t words = pages / SPACE_WORD_BITS + 2;
	int rc = array_room(&s->op, s->nops, &s->op_room, sizeof *s->op);

	while (!rc && s->ndirty + words > s->dirty_room)
		rc = array_room(&s->dirty_word, s->dirty_room, &s->dirty_room,
		                sizeof *s->dirty_word);
	for (uint64_t z = first / s->zone_pages; !rc && z <= (first + pages - 1) / s->zone_pages;
	     z++)
		rc = space_load_zone(s, (size_t)z);
	return rc;
}

/* op_log - note a step. Room was made by op_room. */
static void op_log(struct space *s, enum space_op_kind kind, uint64_t off, uint64_t pages)
{
	assert(s->nops < s->op_room);
	s->op[s->nops++] = (struct space_op){off, pages, kind};
}

/* ---- growth ---------------------------------------------------------------------------------- */

/* grow_meta - pages that the zones take which [end, new_end) reaches first: their bitmaps, and the
 * directory pages of these. */
static uint64_t grow_meta(const struct space *s, uint64_t new_end)
{
	size_t zones = space_zones_for(s, new_end);
	uint64_t per_dir = s->psize / FMT_WORD;

	return (zones - s->nzones) +
	       ((zones + per_dir - 1) / per_dir - (s->nzones + per_dir - 1) / per_dir);
}

/* grow_zones - give those zones their bitmap and directory pages, from head on: zeroed and durable
 * before any word names them. */
static int grow_zones(struct space *s, uint64_t new_end, uint64_t head)
{
	size_t zones = space_zones_for(s, new_end);
	size_t old = s->nzones;
	uint64_t per_dir = s->psize / FMT_WORD;
	uint64_t dirs = (zones + per_dir - 1) / per_dir;
	uint64_t old_dirs = (old + per_dir - 1) / per_dir;
	uint64_t meta = grow_meta(s, new_end);
	uint64_t bitmaps = head + (dirs - old_dirs) * s->psize;
	struct pm *pm = &s->map->pm;
	int rc = space_zones_room(s, zones);

	for (size_t z = old; z < zones && !rc; z++) {
		uint64_t bitmap = bitmaps + (z - old) * s->psize;
		uint64_t dir_index = z / per_dir;
		uint64_t dir;

		if (dir_index < old_dirs)
			dir = space_dir_page(s, z);
		else
			dir = head + (dir_index - old_dirs) * s->psize;
		if (dir_index >= old_dirs && z % per_dir == 0)
			rc = words_add(&s->grown,
			               offsetof(struct fmt_super, dir) + dir_index * FMT_WORD, dir);
		if (!rc)
			rc = words_add(&s->grown, dir + z % per_dir * FMT_WORD, bitmap);
		if (!rc)
			rc = space_zone_alloc(s, z);
		s->zone[z].bitmap_off = bitmap;
	}
	if (rc || !meta)
		return rc;
	pm_zero(pm, s->map->base + head, meta * s->psize);
	pm_flush(pm, s->map->base + head, meta * s->psize);
	/* Orders: empty bitmap and directory pages, before the record whose words name them and set
	 * bits in them [I11]. */
	rc = pm_fence(pm);
	if (rc)
		return err_sys(rc, "growing the store to %lu bytes", (unsigned long)new_end);
	return 0;
}

/* grow_finish - the file has grown: the pages are there, and the bitmaps know it. Cannot fail. */
static void grow_finish(struct space *s, uint64_t new_end, uint64_t head, uint64_t meta)
{
	assert(new_end > s->end);
	uint64_t end = s->end;
	size_t last = 0;

	if (s->nzones)
		last = s->nzones - 1;
	s->nzones = space_zones_for(s, new_end);
	s->end = new_end;
	for (size_t z = last; z < s->nzones; z++)
		if (s->zone[z].disk) {
			s->zone[z].nfree = space_zone_count_free(s, z);
			s->zone[z].longest = (uint32_t)s->zone_pages;
		}
	if (meta)
		set_bits(s, head, meta, BITS_DISK | BITS_BUSY, true);
	counter_add(&s->grows, 1);
	space_found_free(s, end / s->psize);
}

/* grow_to - the file and the bitmaps reach new_end, which has tail free pages before it already:
 * those that are new are to follow them without a gap, so bitmaps of new zones come at their begin.
 * On failure nothing has changed but, perhaps, the file's length. */
static int grow_to(struct space *s, uint64_t new_end, uint64_t tail)
{
	assert(new_end > s->end && tail * s->psize <= s->end);
	size_t zones = space_zones_for(s, new_end);
	size_t grown = s->grown.n;
	uint64_t meta = grow_meta(s, new_end);
	uint64_t head = tail >= meta ? s->end - tail * s->psize : s->end;
	int rc = map_grow(s->map, new_end);

	if (!rc && meta) {
		if (head < s->end)
			rc = op_room(s, head, meta);
		else
			rc = op_room(s, s->end - s->psize, 1);
	}
	while (!rc && s->ndirty + meta / SPACE_WORD_BITS + 4 > s->dirty_room)
		rc = array_room(&s->dirty_word, s->dirty_room, &s->dirty_room,
		                sizeof *s->dirty_word);
	/* it holds the first new pages */
	if (!rc && s->end % (s->zone_pages * s->psize))
		rc = space_load_zone(s, s->nzones - 1);
	if (!rc)
		rc = grow_zones(s, new_end, head);
	if (rc) {
		s->grown.n = grown;
		for (size_t z = s->nzones; z < zones && z < s->zone_room; z++) {
			free(s->zone[z].disk);
			s->zone[z] = (struct zone){0};
		}
		return rc;
	}
	grow_finish(s, new_end, head, meta);
	return 0;
}

/* end_for - where the file must end for pages more in one piece, of which it has tail at its end
 * already. */
static uint64_t end_for(const struct space *s, uint64_t pages, uint64_t tail)
{
	assert(tail <= pages);
	uint64_t meta = 0;
	uint64_t end, more;

	for (;; meta = more) {
		end = s->end + (pages + meta - tail) * s->psize;
		more = grow_meta(s, end);
		if (more <= meta)
			return end;
	}
}

/* A step is at most half of the file, so that a small store does not double its file by one page.
 */
uint64_t space_step(const struct space *s, uint64_t size)
{
	uint64_t step = MAP_STEP;

	if (s->psize < FMT_SUPER_SIZE)
		return (uint64_t)s->psize * SPACE_TEST_STEP;
	while (step > SPACE_STEP_LEAST && step > size / 2 && s->map->medium != DAXKV_MEDIUM_DAX)
		step /= 2;
	return step;
}

/* growth_wanted - a small file doubles, until that is a step; then it grows by steps, or by an
 * eighth when that is more. */
static uint64_t growth_wanted(const struct space *s)
{
	return min_u64(max_u64(s->end / 8, s->psize < FMT_SUPER_SIZE ? space_step(s, s->end)
	                                                             : min_u64(s->end, MAP_STEP)),
	               GROW_MAX);
}

/* no_room - growth failed because there is no space for it, and not because something is broken. */
static bool no_room(int rc)
{
	return rc == DAXKV_FULL || rc == ENOSPC || rc == EFBIG || rc == EDQUOT || rc == ENOMEM;
}

/* space_grow - as growth_wanted, at least need pages; less when there is no room for that much. */
static int space_grow(struct space *s, uint64_t pages)
{
	uint64_t unit = space_step(s, s->end);
	uint64_t tail = 0;
	uint64_t limit =
	    min_u64(round_down(load_word(&s->map->cap), s->psize), super_max_bytes(s->psize));
	int rc = 0;

	if (pages <= limit / s->psize)
		rc = space_tail(s, pages - 1, &tail);
	if (rc)
		return rc;
	/* bitmaps come between */
	if (tail && pages <= limit / s->psize && tail < grow_meta(s, end_for(s, pages, tail)))
		tail = 0;
	if (pages > limit / s->psize || end_for(s, pages, tail) > limit)
		return err_set(
		    DAXKV_FULL,
		    "the store is full: %lu bytes in use of at most %lu, and %lu more are needed",
		    (unsigned long)s->end, (unsigned long)limit, (unsigned long)(pages * s->psize));
	uint64_t small = min_u64(round_up(end_for(s, pages, tail), unit), limit);
	uint64_t big = min_u64(round_up(s->end + growth_wanted(s), unit), limit);

	uint64_t meta = grow_meta(s, big);

	if (big < small || (tail && tail < meta) || (big - s->end) / s->psize + tail < pages + meta)
		big = small;
	rc = grow_to(s, big, tail);
	if (no_room(rc) && small < big)
		rc = grow_to(s, small, tail);
	return rc;
}

/* ---- taking and giving ----------------------------------------------------------------------- */

/* pages_let_go - n pages of a loaded zone, from the i-th on, are not busy any more, but for those
 * that are allocated: the limbo lies where other processes can write. */
static void pages_let_go(struct zone *zone, uint64_t i, uint64_t n)
{
	assert(zone->disk);
	while (n) {
		uint64_t w = i / SPACE_WORD_BITS;
		uint64_t bit = i % SPACE_WORD_BITS;
		uint64_t some = min_u64(n, SPACE_WORD_BITS - bit);
		uint64_t mask = (some == SPACE_WORD_BITS ? ~(uint64_t)0 : ((uint64_t)1 << some) - 1)
		                << bit;

		mask &= zone->busy[w] & ~zone->disk[w];
		zone->busy[w] &= ~mask;
		zone->nfree += (uint32_t)__builtin_popcountll(mask);
		i += some;
		n -= some;
	}
}

/* item_free - the item's pages can be taken. Zones not in memory will not show them busy any
 * more. */
static void item_free(struct space *s, const struct limbo_item *item)
{
	uint64_t page = item->off / s->psize;
	uint64_t left = item->pages;

	while (left) {
		size_t z = (size_t)(page / s->zone_pages);
		uint64_t n = min_u64(left, (z + 1) * s->zone_pages - page);

		if (s->zone[z].disk)
			pages_let_go(&s->zone[z], page % s->zone_pages, n);
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

	if (limbo_oldest(&s->limbo) > s->releasable)
		return;
	uint64_t upto = min_u64(s->releasable, s->oldest_reader(s->arg)), items = 0; /* [R3] */

	for (; limbo_take(&s->limbo, upto, &item); items++)
		item_free(s, &item);
	if (items && s->released)
		s->released(s->arg, items);
}

/* find_released - let go of what can be, and look again; as long as old readers make way. */
static int find_released(struct space *s, uint64_t pages, uint64_t *page, bool *found)
{
	int rc;

	do {
		space_release(s);
		rc = space_find(s, pages, page, found);
	} while (!rc && !*found && s->reader_limit && s->reader_limit(s->arg));
	return rc;
}

/* find_or_grow - the pages, by what costs least first: what is free, what can be released, growth,
 * and at last a checkpoint, which makes what the last commits freed releasable at once. */
static int find_or_grow(struct space *s, uint64_t pages, uint64_t *page)
{
	bool found;
	int rc = space_find(s, pages, page, &found);

	if (rc || found)
		return rc;
	if (s->limbo.n) {
		if (s->reap)
			s->reap(s->arg);
		rc = find_released(s, pages, page, &found);
		if (rc || found)
			return rc;
	}
	int why = space_grow(s, pages);

	/* other pages would do, and nobody learned of the failure */
	if (why && !no_room(why))
		return why;
	if (!why || !s->limbo.n || s->checkpoint(s->arg)) {
		rc = space_find(s, pages, page, &found);
	} else { /* what the last commits freed may be enough, perhaps with what is left to grow by
		  */
		rc = find_released(s, pages, page, &found);
		if (!rc && !found && pages > 1) {
			why = space_grow(s, pages);
			rc = space_find(s, pages, page, &found);
		}
	}
	if (rc)
		return rc;
	if (found)
		return 0;
	if (why)
		return why;
	return err_set(ENOSPC, "no room for %lu contiguous pages", (unsigned long)pages);
}

/* take - pages for a step of that kind, set in those bitmaps. */
static int take(struct space *s, uint64_t pages, enum space_op_kind kind, unsigned int which,
                uint64_t *off)
{
	uint64_t page;
	int rc;

	assert(pages > 0);
	if (s->limbo.n >= RELEASE_BATCH && ++s->takes * SCAN_PER_TAKE > s->scanned) {
		s->scanned = s->takes = 0;
		space_release(s);
	}
	rc = find_or_grow(s, pages, &page);
	if (rc)
		return rc;
	rc = op_room(s, page * s->psize, pages);
	if (rc) {
		space_found_free(s, page);
		return rc;
	}
	set_bits(s, page * s->psize, pages, which, true);
	op_log(s, kind, page * s->psize, pages);
	map_prefaulted(s->map, page * s->psize, pages * s->psize);
	*off = page * s->psize;
	return 0;
}

/* The pages belong to the running transaction alone until its commit. */
int space_take(struct space *s, uint64_t pages, uint64_t *off)
{
	return take(s, pages, SPACE_TAKEN, BITS_DISK | BITS_BUSY, off);
}

/* Its bits stay 0 in the file: a spilled word list is superfluous after recovery's first step. */
int space_take_spill(struct space *s, uint64_t pages, uint64_t *off)
{
	return take(s, pages, SPACE_SPILL, BITS_BUSY, off);
}

/* given_in_range - whether an extent that the file names can be one. */
static bool given_in_range(const struct space *s, uint64_t off, uint64_t pages)
{
	return off % s->psize == 0 && off >= FMT_SUPER_SIZE && off < s->end &&
	       pages <= (s->end - off) / s->psize;
}

/* give_check - an extent named by the file is really allocated; a bitmap that disagrees is
 * corruption and not an assertion [I10] [I12]. */
static int give_check(struct space *s, uint64_t off, uint64_t pages)
{
	if (!given_in_range(s, off, pages))
		return err_corrupt(off, "an extent of %lu pages outside the file is to be freed",
		                   (unsigned long)pages);
	int rc = op_room(s, off, pages);

	for (uint64_t p = off / s->psize; !rc && p < off / s->psize + pages; p++)
		if (!(s->zone[p / s->zone_pages].disk[p % s->zone_pages / SPACE_WORD_BITS] >>
		          p % SPACE_WORD_BITS &
		      1))
			rc = err_corrupt(p * s->psize, "a page in use is free in its bitmap");
	return rc;
}

/* Clear in what the commit will write, busy until the limbo lets it go. */
int space_give(struct space *s, uint64_t off, uint64_t pages)
{
	int rc = give_check(s, off, pages);

	if (rc)
		return rc;
	set_bits(s, off, pages, BITS_DISK, false);
	op_log(s, SPACE_HELD, off, pages);
	return 0;
}

/* Nobody else has seen these pages: they are free at once. */
int space_give_own(struct space *s, uint64_t off, uint64_t pages)
{
	int rc = give_check(s, off, pages);

	if (rc)
		return rc;
	set_bits(s, off, pages, BITS_DISK | BITS_BUSY, false);
	op_log(s, SPACE_FREED, off, pages);
	return 0;
}

void space_unhold(struct space *s, size_t i)
{
	assert(i < s->nops);
	struct space_op *op = &s->op[i];

	assert(op->kind == SPACE_HELD);
	set_bits(s, op->off, op->pages, BITS_BUSY, false);
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
			set_bits(s, op->off, op->pages, BITS_DISK | BITS_BUSY, false);
			break;
		case SPACE_FREED:
			set_bits(s, op->off, op->pages, BITS_DISK | BITS_BUSY, true);
			break;
		case SPACE_HELD:
			set_bits(s, op->off, op->pages, BITS_DISK, true);
			break;
		case SPACE_SPILL:
			set_bits(s, op->off, op->pages, BITS_BUSY, false);
			break;
		}
	}
}

/* ---- commit ---------------------------------------------------------------------------------- */

/* Only words that differ from the file's are listed: a page taken and given back leaves no trace
 * in the record. */
int space_words(struct space *s, struct words *words)
{
	uint64_t per_zone = space_zone_words(s);
	int rc = limbo_reserve(&s->limbo, s->nops + 1);

	for (size_t i = 0; i < s->ndirty && !rc; i++) {
		uint64_t w = s->dirty_word[i] % per_zone;
		const struct zone *zone = &s->zone[s->dirty_word[i] / per_zone];
		uint64_t off = zone->bitmap_off + w * FMT_WORD;

		/* a page cut off has no words */
		if (off < s->end && load_word(space_word_at(s, off)) != zone->disk[w])
			rc = words_add(words, off, zone->disk[w]);
	}
	for (size_t i = 0; i < s->grown.n && !rc; i++)
		if (s->grown.w[i].off < s->end &&
		    load_word(space_word_at(s, s->grown.w[i].off)) != s->grown.w[i].value)
			rc = words_add(words, s->grown.w[i].off, s->grown.w[i].value);
	if (rc)
		return rc;
	if (load_word(&space_super(s)->size) != s->end)
		rc = words_add(words, offsetof(struct fmt_super, size), s->end);
	return rc;
}

/* The log becomes the limbo's; the dirty marks are for the next transaction. */
void space_committed(struct space *s, uint64_t txn)
{
	uint64_t per_zone = space_zone_words(s);

	for (size_t i = 0; i < s->nops; i++)
		if (s->op[i].kind == SPACE_HELD || s->op[i].kind == SPACE_SPILL)
			limbo_add(&s->limbo, txn, s->op[i].off, s->op[i].pages);
	s->nops = 0;
	for (size_t i = 0; i < s->ndirty; i++) {
		uint64_t z = s->dirty_word[i] / per_zone;
		uint64_t w = s->dirty_word[i] % per_zone;

		if (z < s->nzones) /* else the zone was trimmed off */
			s->zone[z].dirty[w / SPACE_WORD_BITS] &=
			    ~((uint64_t)1 << w % SPACE_WORD_BITS);
	}
	s->ndirty = 0;
	s->gained = 0;
	s->grown.n = 0;
}
