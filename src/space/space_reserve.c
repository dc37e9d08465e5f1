/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_reserve.c - free pages that puts leave to removals [I22]. See space.h
 *
 * A removal takes pages before it gives more back: a leaf without a slot for a tombstone is
 * rewritten on another page, and what it gives up waits in the limbo. So a store whose last page is
 * taken could not be emptied. What is counted is what is free at once; pages in the limbo are not.
 *
 * How much: a removal takes a page or two for each level of its tree and of the catalog, and a
 * spilled record one for each 254 words, of which each is for 64 pages. A thirty-second of the file
 * is that for a small store, and lets a transaction make a few hundred removals, in a larger one. A
 * transaction that empties all databases changes the whole catalog, so it takes that many pages;
 * where pages are small, that is a larger part of the file.
 */
#include "base/base.h"
#include "space/space.h"
#include "space/space_zones.h"

#define RESERVE_PART  32u
#define RESERVE_MOST  1024u /* but for what the record of a very large store needs */
#define RESERVE_SPILL 8192u
#define RESERVE_LEAST 16u
#define RESERVE_SMALL 8u /* the least is no more than this part of a small file */
/* at least that part, and at most so many pages, where pages are under 4096 bytes, of tests */
#define RESERVE_TEST      16u
#define RESERVE_TEST_MOST 256u

uint64_t space_reserve_of(uint32_t psize, uint64_t pages)
{
	uint64_t least = min_u64(RESERVE_LEAST, pages / RESERVE_SMALL);

	if (psize < FMT_SUPER_SIZE)
		least = max_u64(least, min_u64(pages / RESERVE_TEST, RESERVE_TEST_MOST));
	return max_u64(max_u64(least, pages / RESERVE_SPILL),
	               min_u64(pages / RESERVE_PART, RESERVE_MOST));
}

/* free_at_least - whether so many pages are free. Zones are loaded from the end on, where most are,
 * until they show it. */
static int free_at_least(struct space *s, uint64_t pages, bool *are)
{
	for (size_t z = s->nzones; z-- > 0 && s->nfree < pages;) {
		int rc = space_load_zone(s, z);

		if (rc)
			return rc;
	}
	*are = s->nfree >= pages;
	return 0;
}

/* kept - free pages that are not for who takes now. */
static uint64_t kept(const struct space *s)
{
	switch (s->claim) {
	case SPACE_PUT:
		return s->reserve;
	case SPACE_HALF:
	case SPACE_SPLIT:
		return s->reserve / 2;
	case SPACE_MOVE:
	case SPACE_DELETE:
		break;
	}
	return 0;
}

int space_find_kept(struct space *s, uint64_t pages, uint64_t *page, bool *found)
{
	int rc = space_find(s, pages, page, found);

	if (rc)
		return rc;
	if (!*found)
		return 0;
	if (LIKELY(s->nfree >= pages + s->reserve))
		return 0;
	rc = free_at_least(s, pages + kept(s), found);
	if (rc)
		return rc;
	if (!*found)
		space_found_free(s, *page);
	return 0;
}

int space_scarce(struct space *s, bool *scarce)
{
	bool plenty;
	int rc = free_at_least(s, 2 * s->reserve, &plenty);

	*scarce = !rc && !plenty;
	return rc;
}

int space_in_use(struct space *s, uint64_t *pages)
{
	bool all;
	int rc = free_at_least(s, UINT64_MAX, &all);

	*pages = s->end / s->psize - s->nfree;
	return rc;
}

int space_behind(struct space *s, uint64_t off, uint64_t pages, uint64_t boundary, bool *is)
{
	uint64_t first = 0;
	int rc;

	*is = off + pages * s->psize > boundary;
	if (!*is)
		return 0;
	rc = space_find(s, pages, &first, is);
	if (rc)
		return rc;
	if (!*is)
		return 0;
	space_found_free(s, first);
	*is = (first + pages) * s->psize <= off;
	return 0;
}

bool space_freed_span(struct space *s, uint64_t *off, uint64_t *pages)
{
	uint64_t first = UINT64_MAX;
	uint64_t end = 0;

	for (size_t i = 0; i < s->nops; i++) {
		const struct space_op *op = &s->op[i];

		if (!space_op_waits(s, op))
			continue;
		first = min_u64(first, op->off);
		end = max_u64(end, op->off + op->pages * s->psize);
	}
	if (!end)
		return false;
	s->coarse = true;
	*off = first;
	*pages = (end - first) / s->psize | LIMBO_COARSE;
	return true;
}

/* busy_set - pages of the zone, which is loaded, as far as they lie in it: they are held, or they
 * are free but for those that are allocated. */
static void busy_set(struct space *s, size_t z, uint64_t off, uint64_t pages, bool held)
{
	struct zone *zone = &s->zone[z];
	const uint64_t zone_first = z * s->zone_pages;
	const uint64_t from = max_u64(off / s->psize, zone_first);
	const uint64_t to = min_u64(off / s->psize + pages, zone_first + s->zone_pages);

	for (uint64_t p = from; p < to; p++) {
		const uint64_t w = (p - zone_first) / SPACE_WORD_BITS;
		const uint64_t bit = (uint64_t)1 << p % SPACE_WORD_BITS;

		if (held)
			zone->busy[w] |= bit;
		else
			zone->busy[w] &= ~bit | zone->disk[w];
	}
}

/* The log in its order: a page may be given back and be taken again. What the transaction took was
 * free before, perhaps among the pages of a coarse item; an undo expects to find free what it has
 * given back. */
void space_zone_hold(struct space *s, size_t z)
{
	for (size_t i = 0; i < s->limbo.n; i++) {
		const struct limbo_item *item = limbo_at(&s->limbo, i);

		busy_set(s, z, item->off, limbo_item_pages(item), true);
	}
	for (size_t i = 0; i < s->nops; i++) {
		const struct space_op *op = &s->op[i];

		if (op->kind != SPACE_TAKEN)
			busy_set(s, z, op->off, op->pages, op->kind != SPACE_FREED);
	}
}

void space_hold_again(struct space *s)
{
	for (size_t z = 0; z < s->nzones; z++) {
		if (!s->zone[z].disk)
			continue;
		space_zone_hold(s, z);
		space_zone_recount(s, z);
	}
}
