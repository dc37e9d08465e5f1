/* SPDX-License-Identifier: BSD-3-Clause */
/* space.c - see space.h */
#include "space.h"

#include "base.h"
#include "err.h"
#include "super.h"

#include <errno.h>
#include <stdlib.h>

#define GROW_MAX ((uint64_t)1 << 30)
#define RELEASE_BATCH 32u   /* limbo items that make a scan of the readers worth it */
#define SCAN_PER_TAKE 8u    /* reader slots that taking a page may cost, in the mean */

static const struct fmt_super *super_of(const struct space *s)
{
	return (const void *)s->map->base;
}

static const uint64_t *word_at(const struct space *s, uint64_t off)
{
	return (const uint64_t *)(const void *)(s->map->base + off);
}

/* grow_array - make room for one more element. */
static int grow_array(void *array, size_t n, size_t *room, size_t size)
{
	void **p = array;

	if (n < *room)
		return 0;
	size_t more = *room ? 2 * *room : 64;
	void *q = realloc(*p, more * size);

	if (!q)
		return err_set(ENOMEM, "no memory for %zu items", more);
	*p = q;
	*room = more;
	return 0;
}

/* ---- zones ---------------------------------------------------------------------------------------------------------------- */

/* zone_usable - the pages of zone z that lie before end. */
static uint64_t zone_usable(const struct space *s, size_t z)
{
	uint64_t pages = s->end / s->psize, first = z * s->zone_pages;

	return pages <= first ? 0 : min_u64(pages - first, s->zone_pages);
}

static uint32_t zone_count_free(const struct space *s, size_t z)
{
	uint64_t usable = zone_usable(s, z), used = 0;

	for (uint64_t i = 0; i * SPACE_WORD_BITS < usable; i++) {
		uint64_t w = s->zone[z].busy[i], left = usable - i * SPACE_WORD_BITS;

		if (left < SPACE_WORD_BITS)
			w &= ((uint64_t)1 << left) - 1;
		used += (uint64_t)__builtin_popcountll(w);
	}
	return (uint32_t)(usable - used);
}

static int zone_alloc(struct space *s, size_t z)
{
	uint64_t n = space_zone_words(s), ndirty = (n + SPACE_WORD_BITS - 1) / SPACE_WORD_BITS;
	uint64_t *p = calloc(2 * n + ndirty, sizeof *p);

	if (!p)
		return err_set(ENOMEM, "no memory for the bitmap of zone %zu", z);
	s->zone[z].disk = p;
	s->zone[z].busy = p + n;
	s->zone[z].dirty = p + 2 * n;
	return 0;
}

/* zone_hold - pages in the limbo are busy. */
static void zone_hold(struct space *s, size_t z)
{
	uint64_t first = z * s->zone_pages, last = first + s->zone_pages;

	for (size_t i = 0; i < s->limbo.n; i++) {
		const struct limbo_item *it = &s->limbo.item[(s->limbo.head + i) & (s->limbo.room - 1)];
		uint64_t from = max_u64(it->off / s->psize, first), to = min_u64(it->off / s->psize + it->pages, last);

		for (uint64_t p = from; p < to; p++)
			s->zone[z].busy[(p - first) / SPACE_WORD_BITS] |= (uint64_t)1 << p % SPACE_WORD_BITS;
	}
}

uint64_t space_dir_page(const struct space *s, size_t z)
{
	size_t i = z / (s->psize / FMT_WORD);
	uint64_t dir = load_word(&super_of(s)->dir[i]);

	for (size_t g = 0; g < s->grown.n; g++)
		if (s->grown.w[g].off == offsetof(struct fmt_super, dir) + i * FMT_WORD)
			dir = s->grown.w[g].value;
	return dir;
}

int space_load_zone(struct space *s, size_t z)
{
	struct zone *zone = &s->zone[z];
	uint64_t per_dir = s->psize / FMT_WORD;
	int rc;

	if (zone->disk)
		return 0;
	uint64_t dir = space_dir_page(s, z);

	if (dir % s->psize || dir == 0 || dir >= s->end)
		return err_corrupt(offsetof(struct fmt_super, dir) + z / per_dir * FMT_WORD, "superblock: directory page at 0x%lx", (unsigned long)dir);
	uint64_t bitmap = load_word(word_at(s, dir + z % per_dir * FMT_WORD));

	if (bitmap % s->psize || bitmap == 0 || bitmap >= s->end)
		return err_corrupt(dir, "directory: the bitmap page of zone %zu at 0x%lx", z, (unsigned long)bitmap);
	rc = zone_alloc(s, z);
	if (rc)
		return rc;
	zone->bitmap_off = bitmap;
	memcpy(zone->disk, s->map->base + bitmap, s->psize);
	memcpy(zone->busy, zone->disk, s->psize);
	zone_hold(s, z);
	zone->nfree = zone_count_free(s, z);
	return 0;
}

static int zones_room(struct space *s, size_t n)
{
	if (n <= s->zone_room)
		return 0;
	size_t room = n + n / 2 + 8;
	struct zone *zone = realloc(s->zone, room * sizeof *zone);

	if (!zone)
		return err_set(ENOMEM, "no memory for %zu zones", room);
	memset(zone + s->zone_room, 0, (room - s->zone_room) * sizeof *zone);
	s->zone = zone;
	s->zone_room = room;
	return 0;
}

static size_t zones_for(const struct space *s, uint64_t bytes)
{
	uint64_t zone_bytes = s->zone_pages * s->psize;

	return (size_t)((bytes + zone_bytes - 1) / zone_bytes);
}

int space_open(struct space *s, struct map *map, uint32_t psize, uint64_t size)
{
	*s = (struct space){.map = map, .psize = psize, .zone_pages = (uint64_t)psize * 8, .end = size};
	size_t zones = zones_for(s, size);
	int rc = zones_room(s, zones);

	if (!rc)
		s->nzones = zones;
	return rc;
}

static void zones_forget(struct space *s)
{
	for (size_t z = 0; z < s->nzones; z++) {
		free(s->zone[z].disk);
		s->zone[z] = (struct zone){0};
	}
}

int space_reset(struct space *s, uint64_t size)
{
	size_t zones = zones_for(s, size);
	int rc = zones_room(s, zones);

	if (rc)
		return rc;
	zones_forget(s);
	s->end = size;
	s->nzones = zones;
	s->hint = s->run_hint = 0;
	s->nops = s->ndirty = 0;
	s->grown.n = 0;
	return 0;
}

void space_close(struct space *s)
{
	zones_forget(s);
	free(s->zone);
	free(s->op);
	free(s->dirty_word);
	free(s->grown.w);
	limbo_free(&s->limbo);
	*s = (struct space){0};
}

/* ---- bits ----------------------------------------------------------------------------------------------------------------- */

/* touch_word - a word of zone z's disk bitmap is about to change. Room was made by touch_room. */
static void touch_word(struct space *s, size_t z, uint64_t w)
{
	uint64_t *d = &s->zone[z].dirty[w / SPACE_WORD_BITS], bit = (uint64_t)1 << w % SPACE_WORD_BITS;

	if (*d & bit)
		return;
	*d |= bit;
	s->dirty_word[s->ndirty++] = z * space_zone_words(s) + w;
}

enum bits_of { BITS_DISK = 1, BITS_BUSY = 2 };

/* set_bits - set or clear pages in the bitmaps chosen. The zones are loaded. */
static void set_bits(struct space *s, uint64_t off, uint64_t pages, unsigned int which, bool set)
{
	uint64_t page = off / s->psize;

	for (uint64_t left = pages; left;) {
		size_t z = (size_t)(page / s->zone_pages);
		uint64_t i = page % s->zone_pages, w = i / SPACE_WORD_BITS, bit = i % SPACE_WORD_BITS;
		uint64_t n = min_u64(left, SPACE_WORD_BITS - bit);
		uint64_t mask = (n == SPACE_WORD_BITS ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1) << bit;
		struct zone *zone = &s->zone[z];

		if (which & BITS_DISK) {
			assert(((zone->disk[w] & mask) == 0) == set);
			touch_word(s, z, w);
			zone->disk[w] = set ? zone->disk[w] | mask : zone->disk[w] & ~mask;
		}
		if (which & BITS_BUSY) {
			assert(((zone->busy[w] & mask) == 0) == set);
			zone->busy[w] = set ? zone->busy[w] | mask : zone->busy[w] & ~mask;
			zone->nfree = set ? zone->nfree - (uint32_t)n : zone->nfree + (uint32_t)n;
		}
		page += n;
		left -= n;
	}
	if ((which & BITS_BUSY) && !set && off / s->psize < s->hint)
		s->hint = off / s->psize;
}

/* op_room - make room for a log entry and its bitmap words, and load the zones, so that nothing fails half-way. */
static int op_room(struct space *s, uint64_t off, uint64_t pages)
{
	uint64_t first = off / s->psize, words = pages / SPACE_WORD_BITS + 2;
	int rc = grow_array(&s->op, s->nops, &s->op_room, sizeof *s->op);

	while (!rc && s->ndirty + words > s->dirty_room)
		rc = grow_array(&s->dirty_word, s->dirty_room, &s->dirty_room, sizeof *s->dirty_word);
	for (uint64_t z = first / s->zone_pages; !rc && z <= (first + pages - 1) / s->zone_pages; z++)
		rc = space_load_zone(s, (size_t)z);
	return rc;
}

static void op_log(struct space *s, enum space_op_kind kind, uint64_t off, uint64_t pages)
{
	s->op[s->nops++] = (struct space_op){off, pages, kind};
}

/* ---- searching ------------------------------------------------------------------------------------------------------------ */

/* find_page - the first free page at or after from; *found false when there is none. */
static int find_page(struct space *s, uint64_t from, uint64_t *page, bool *found)
{
	uint64_t pages = s->end / s->psize;

	*found = false;
	for (size_t z = (size_t)(from / s->zone_pages); z < s->nzones; z++) {
		int rc = space_load_zone(s, z);

		if (rc)
			return rc;
		uint64_t start = max_u64(from, z * s->zone_pages) - z * s->zone_pages;

		if (!s->zone[z].nfree)
			continue;
		for (uint64_t w = start / SPACE_WORD_BITS; w < space_zone_words(s); w++) {
			uint64_t free_bits = ~s->zone[z].busy[w];

			if (w == start / SPACE_WORD_BITS)
				free_bits &= ~(uint64_t)0 << start % SPACE_WORD_BITS;
			if (!free_bits)
				continue;
			*page = z * s->zone_pages + w * SPACE_WORD_BITS + (uint64_t)__builtin_ctzll(free_bits);
			*found = *page < pages;
			return 0;
		}
	}
	return 0;
}

/* find_run - the first run of n free pages within [from, to). */
static int find_run(struct space *s, uint64_t from, uint64_t to, uint64_t n, uint64_t *page, bool *found)
{
	uint64_t run = 0;

	*found = false;
	for (uint64_t p = from; p < to;) {
		size_t z = (size_t)(p / s->zone_pages);
		uint64_t i = p % s->zone_pages;
		int rc = space_load_zone(s, z);

		if (rc)
			return rc;
		uint64_t word = s->zone[z].busy[i / SPACE_WORD_BITS] >> i % SPACE_WORD_BITS;
		uint64_t span = min_u64(SPACE_WORD_BITS - i % SPACE_WORD_BITS, to - p);

		if (i == 0 && s->zone[z].nfree == 0) {
			run = 0;
			p += s->zone_pages;
			continue;
		}
		if (word & 1) {
			run = 0;
			p += ~word ? min_u64(span, (uint64_t)__builtin_ctzll(~word)) : span;
			continue;
		}
		uint64_t clear = word ? min_u64(span, (uint64_t)__builtin_ctzll(word)) : span;

		run += clear;
		p += clear;
		if (run >= n) {
			*page = p - run;
			*found = true;
			return 0;
		}
	}
	return 0;
}

static int find_pages(struct space *s, uint64_t n, uint64_t *page, bool *found)
{
	uint64_t pages = s->end / s->psize, start = s->run_hint < pages ? s->run_hint : 0;
	int rc;

	if (n == 1) {
		rc = find_page(s, s->hint, page, found);
		if (!rc)
			s->hint = *found ? *page + 1 : pages;
		return rc;
	}
	rc = find_run(s, start, pages, n, page, found);
	if (!rc && !*found && start)
		rc = find_run(s, 0, min_u64(pages, start + n), n, page, found);
	if (!rc && *found)
		s->run_hint = *page + n;
	return rc;
}

/* ---- growth --------------------------------------------------------------------------------------------------------------- */

/* grow_zones - give the zones that [end, new_end) reaches first their bitmap pages, and those their directory pages, at the region's head:
 * zeroed and durable before any word names them. */
static int grow_zones(struct space *s, uint64_t new_end)
{
	size_t zones = zones_for(s, new_end), old = s->nzones;
	uint64_t per_dir = s->psize / FMT_WORD, dirs = (zones + per_dir - 1) / per_dir, old_dirs = (old + per_dir - 1) / per_dir;
	uint64_t head = s->end, meta = (zones - old) + (dirs - old_dirs), bitmaps = head + (dirs - old_dirs) * s->psize;
	struct pm *pm = &s->map->pm;
	int rc = zones_room(s, zones);

	for (size_t z = old; z < zones && !rc; z++) {
		uint64_t bitmap = bitmaps + (z - old) * s->psize, dir_index = z / per_dir;
		uint64_t dir = dir_index < old_dirs ? space_dir_page(s, z) : head + (dir_index - old_dirs) * s->psize;

		if (dir_index >= old_dirs && z % per_dir == 0)
			rc = words_add(&s->grown, offsetof(struct fmt_super, dir) + dir_index * FMT_WORD, dir);
		if (!rc)
			rc = words_add(&s->grown, dir + z % per_dir * FMT_WORD, bitmap);
		if (!rc)
			rc = zone_alloc(s, z);
		s->zone[z].bitmap_off = bitmap;
	}
	if (rc || !meta)
		return rc;
	pm_zero(pm, s->map->base + head, meta * s->psize);
	pm_flush(pm, s->map->base + head, meta * s->psize);
	/* Orders: empty bitmap and directory pages, before the record whose words name them and set bits in them [I11]. */
	rc = pm_fence(pm);
	return rc ? err_sys(rc, "growing the store to %lu bytes", (unsigned long)new_end) : 0;
}

static void grow_finish(struct space *s, uint64_t new_end, uint64_t meta)
{
	uint64_t head = s->end;
	size_t last = s->nzones ? s->nzones - 1 : 0;

	s->nzones = zones_for(s, new_end);
	s->end = new_end;
	for (size_t z = last; z < s->nzones; z++)
		if (s->zone[z].disk)
			s->zone[z].nfree = zone_count_free(s, z);
	if (meta)
		set_bits(s, head, meta, BITS_DISK | BITS_BUSY, true);
	s->grows++;
	if (s->hint > head / s->psize)
		s->hint = head / s->psize;
}

/* grow_to - the file and the bitmaps reach new_end; on failure nothing has changed but, perhaps, the file's length. */
static int grow_to(struct space *s, uint64_t new_end)
{
	size_t zones = zones_for(s, new_end), grown = s->grown.n;
	uint64_t per_dir = s->psize / FMT_WORD;
	uint64_t meta = (zones - s->nzones) + ((zones + per_dir - 1) / per_dir - (s->nzones + per_dir - 1) / per_dir);
	int rc = map_grow(s->map, new_end);

	if (!rc && meta)
		rc = op_room(s, s->end - s->psize, 1);
	while (!rc && s->ndirty + meta / SPACE_WORD_BITS + 4 > s->dirty_room)
		rc = grow_array(&s->dirty_word, s->dirty_room, &s->dirty_room, sizeof *s->dirty_word);
	if (!rc && s->end % (s->zone_pages * s->psize))
		rc = space_load_zone(s, s->nzones - 1); /* it holds the first new pages */
	if (!rc)
		rc = grow_zones(s, new_end);
	if (rc) {
		s->grown.n = grown;
		for (size_t z = s->nzones; z < zones && z < s->zone_room; z++) {
			free(s->zone[z].disk);
			s->zone[z] = (struct zone){0};
		}
		return rc;
	}
	grow_finish(s, new_end, meta);
	return 0;
}

/* space_grow - by an eighth of the file, at least need pages; less when there is no room for that much. */
static int space_grow(struct space *s, uint64_t pages)
{
	uint64_t unit = space_step(s);
	uint64_t limit = min_u64(round_down(load_word(&s->map->cap), s->psize), super_max_bytes(s->psize));
	uint64_t zone_bytes = s->zone_pages * s->psize;
	uint64_t need = (pages + pages / s->zone_pages + 2 + 1) * s->psize; /* with the bitmap and directory pages of new zones */
	uint64_t want = max_u64(need + (s->end % zone_bytes == 0 ? s->psize : 0), min_u64(max_u64(s->end / 8, unit), GROW_MAX));
	uint64_t big = min_u64(round_up(s->end + want, unit), limit), small = min_u64(round_up(s->end + need, unit), limit);

	if (pages > limit / s->psize || s->end + need > limit)
		return err_set(DAXKV_FULL, "the store is full: %lu bytes in use of at most %lu, and %lu more are needed", (unsigned long)s->end,
		               (unsigned long)limit, (unsigned long)(pages * s->psize));
	int rc = grow_to(s, big);

	if ((rc == ENOSPC || rc == EFBIG || rc == EDQUOT || rc == ENOMEM) && small < big)
		rc = grow_to(s, small);
	return rc;
}

/* ---- taking and giving ---------------------------------------------------------------------------------------------------- */

/* item_free - the item's pages can be taken. Zones not in memory will not show them busy any more. */
static void item_free(struct space *s, const struct limbo_item *item)
{
	uint64_t page = item->off / s->psize, left = item->pages;

	while (left) {
		size_t z = (size_t)(page / s->zone_pages);
		uint64_t n = min_u64(left, (z + 1) * s->zone_pages - page);

		if (s->zone[z].disk)
			set_bits(s, page * s->psize, n, BITS_BUSY, false);
		else
			s->hint = min_u64(s->hint, page);
		page += n;
		left -= n;
	}
}

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

/* find_released - let go of what can be, and look again; as long as slow readers make way. */
static int find_released(struct space *s, uint64_t pages, uint64_t *page, bool *found)
{
	int rc;

	do {
		space_release(s);
		rc = find_pages(s, pages, page, found);
	} while (!rc && !*found && s->slow && s->slow(s->arg));
	return rc;
}

static int find_or_grow(struct space *s, uint64_t pages, uint64_t *page)
{
	bool found;
	int rc = find_pages(s, pages, page, &found);

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

	if (why && s->limbo.n && s->settle(s->arg) == 0) /* what the last commits freed may be enough */
		rc = find_released(s, pages, page, &found);
	else
		rc = find_pages(s, pages, page, &found);
	return rc ? rc : found ? 0 : why ? why : err_set(ENOSPC, "no room for %lu contiguous pages", (unsigned long)pages);
}

static int take(struct space *s, uint64_t pages, enum space_op_kind kind, unsigned int which, uint64_t *off)
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
		s->hint = min_u64(s->hint, page);
		return rc;
	}
	set_bits(s, page * s->psize, pages, which, true);
	op_log(s, kind, page * s->psize, pages);
	map_warm(s->map, page * s->psize, pages * s->psize);
	*off = page * s->psize;
	return 0;
}

int space_take(struct space *s, uint64_t pages, uint64_t *off)
{
	return take(s, pages, SPACE_TAKEN, BITS_DISK | BITS_BUSY, off);
}

int space_take_spill(struct space *s, uint64_t pages, uint64_t *off)
{
	return take(s, pages, SPACE_SPILL, BITS_BUSY, off);
}

static bool given_in_range(const struct space *s, uint64_t off, uint64_t pages)
{
	return off % s->psize == 0 && off >= FMT_SUPER_SIZE && off < s->end && pages <= (s->end - off) / s->psize;
}

/* give_check - an extent named by the file is really allocated; a bitmap that disagrees is corruption and not an assertion [I10] [I12]. */
static int give_check(struct space *s, uint64_t off, uint64_t pages)
{
	if (!given_in_range(s, off, pages))
		return err_corrupt(off, "an extent of %lu pages outside the file is to be freed", (unsigned long)pages);
	int rc = op_room(s, off, pages);

	for (uint64_t p = off / s->psize; !rc && p < off / s->psize + pages; p++)
		if (!(s->zone[p / s->zone_pages].disk[p % s->zone_pages / SPACE_WORD_BITS] >> p % SPACE_WORD_BITS & 1))
			rc = err_corrupt(p * s->psize, "a page in use is free in its bitmap");
	return rc;
}

int space_give(struct space *s, uint64_t off, uint64_t pages)
{
	int rc = give_check(s, off, pages);

	if (rc)
		return rc;
	set_bits(s, off, pages, BITS_DISK, false);
	op_log(s, SPACE_HELD, off, pages);
	return 0;
}

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
	struct space_op *op = &s->op[i];

	assert(op->kind == SPACE_HELD);
	set_bits(s, op->off, op->pages, BITS_BUSY, false);
	op->kind = SPACE_FREED;
}

void space_undo(struct space *s, size_t mark)
{
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

/* ---- commit --------------------------------------------------------------------------------------------------------------- */

int space_words(struct space *s, struct words *words)
{
	uint64_t per_zone = space_zone_words(s);
	int rc = limbo_reserve(&s->limbo, s->nops + 1);

	for (size_t i = 0; i < s->ndirty && !rc; i++) {
		uint64_t w = s->dirty_word[i] % per_zone;
		const struct zone *zone = &s->zone[s->dirty_word[i] / per_zone];
		uint64_t off = zone->bitmap_off + w * FMT_WORD;

		if (off < s->end && load_word(word_at(s, off)) != zone->disk[w]) /* a page cut off has no words */
			rc = words_add(words, off, zone->disk[w]);
	}
	for (size_t i = 0; i < s->grown.n && !rc; i++)
		if (s->grown.w[i].off < s->end && load_word(word_at(s, s->grown.w[i].off)) != s->grown.w[i].value)
			rc = words_add(words, s->grown.w[i].off, s->grown.w[i].value);
	if (!rc && load_word(&super_of(s)->size) != s->end)
		rc = words_add(words, offsetof(struct fmt_super, size), s->end);
	return rc;
}

void space_committed(struct space *s, uint64_t txn)
{
	uint64_t per_zone = space_zone_words(s);

	for (size_t i = 0; i < s->nops; i++)
		if (s->op[i].kind == SPACE_HELD || s->op[i].kind == SPACE_SPILL)
			limbo_add(&s->limbo, txn, s->op[i].off, s->op[i].pages);
	s->nops = 0;
	for (size_t i = 0; i < s->ndirty; i++) {
		uint64_t z = s->dirty_word[i] / per_zone, w = s->dirty_word[i] % per_zone;

		if (z < s->nzones) /* else the zone was trimmed off */
			s->zone[z].dirty[w / SPACE_WORD_BITS] &= ~((uint64_t)1 << w % SPACE_WORD_BITS);
	}
	s->ndirty = 0;
	s->grown.n = 0;
}

int space_used(struct space *s, uint64_t *bytes)
{
	uint64_t n = 0;

	for (size_t z = 0; z < s->nzones; z++) {
		int rc = space_load_zone(s, z);

		if (rc)
			return rc;
		for (uint64_t w = 0; w < space_zone_words(s); w++)
			n += (uint64_t)__builtin_popcountll(s->zone[z].disk[w]);
	}
	*bytes = n * s->psize;
	return 0;
}
