/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_find.c - the first free pages of a store that are enough. See space.h
 *
 * Always the first ones: what is in use stays together at the file's head, and what is free at its
 * end, where large values find a place and closing can cut it off. So that this does not mean to
 * read all bitmaps each time, it is known before which page there is no free one, before which
 * there is no extent as long as the last that was searched for, and of each zone how long an extent
 * in it can be.
 *
 *   hint           no page before it is free
 *   extent_hint    before it begins no extent of extent_pages free pages, or of more
 *   zone.longest   no extent within the zone is longer
 *
 * All three are bounds: a page that becomes free lowers the hints that lie behind it, and makes its
 * zone's longest unknown. They may be too careful, and then a search takes longer.
 */
#include "base/base.h"
#include "space/space.h"

#define GAP_MAX  64u /* pages left free before a large value */
#define GAP_MIN  16u
#define GAP_PART 4u /* at most this part of what the value leaves of the extent */

/* find_page - the first free page at or after from. Zones that have none are passed without a look
 * at their bits. */
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
			*page = z * s->zone_pages + w * SPACE_WORD_BITS +
			        (uint64_t)__builtin_ctzll(free_bits);
			*found = *page < pages;
			return 0;
		}
	}
	return 0;
}

/* span_at - so many pages from p on, within one word of the bitmap and before to, are all free, or
 * all not. */
static uint64_t span_at(const struct space *s, uint64_t p, uint64_t to, bool *is_free)
{
	uint64_t i = p % s->zone_pages;
	uint64_t bit = i % SPACE_WORD_BITS;
	uint64_t word = s->zone[p / s->zone_pages].busy[i / SPACE_WORD_BITS] >> bit;
	uint64_t span = min_u64(SPACE_WORD_BITS - bit, to - p);
	uint64_t others;

	assert(p < to);
	*is_free = !(word & 1);
	if (*is_free)
		others = word;
	else
		others = ~word;
	if (!others)
		return span;
	return min_u64(span, (uint64_t)__builtin_ctzll(others));
}

/* free_before - the free pages right before page p, of its zone only, which is loaded; at most. */
static uint64_t free_before(const struct space *s, uint64_t p, uint64_t most)
{
	uint64_t n = 0;
	uint64_t room = (p - 1) % s->zone_pages + 1;

	while (n < room && n < most) {
		uint64_t i = (p - n - 1) % s->zone_pages;
		uint64_t bit = i % SPACE_WORD_BITS;
		uint64_t word = s->zone[(p - 1) / s->zone_pages].busy[i / SPACE_WORD_BITS]
		                << (SPACE_WORD_BITS - 1 - bit);
		uint64_t clear = SPACE_WORD_BITS;

		if (word)
			clear = (uint64_t)__builtin_clzll(word);
		n += min_u64(clear, bit + 1);
		if (clear <= bit)
			break;
	}
	return min_u64(n, most);
}

/* longest_known - a zone was gone through from its begin to its end: *longest of its pages are free
 * in a row, the most there are. */
static void longest_known(struct zone *zone, uint64_t longest)
{
	assert(longest <= zone->nfree);
	zone->longest = (uint32_t)longest;
}

/* find_extent - the first extent of n free pages at or after from. A zone that cannot have one is
 * passed without a look at its bits, but for the free pages at its end, which may go on in the next
 * zone. */
static int find_extent(struct space *s, uint64_t from, uint64_t n, uint64_t *page, bool *found)
{
	uint64_t to = s->end / s->psize;
	uint64_t extent = 0;
	uint64_t longest = 0;
	/* the zone has been gone through from its begin */
	bool whole = false;

	*found = false;
	for (uint64_t p = from; p < to;) {
		size_t z = (size_t)(p / s->zone_pages);
		uint64_t first = z * s->zone_pages;
		uint64_t end = min_u64(first + s->zone_pages, to);
		struct zone *zone = &s->zone[z];
		int rc = space_load_zone(s, z);
		uint64_t span;
		bool is_free;

		if (rc)
			return rc;
		if (p == first && !extent && min_u64(zone->nfree, zone->longest) < n) {
			extent = 0;
			if (zone->nfree)
				extent = free_before(s, end, n);
			p = end;
			continue;
		}
		if (p == first) {
			whole = true;
			longest = 0;
		}
		span = span_at(s, p, end, &is_free);
		p += span;
		if (is_free)
			extent += span;
		else
			extent = 0;
		if (extent >= n) {
			*page = p - extent;
			*found = true;
			return 0;
		}
		longest = max_u64(longest, min_u64(extent, p - first));
		if (p == end && whole)
			longest_known(zone, longest);
	}
	return 0;
}

/* leave_gap - n pages at *page were found. If no page is free before them, a few of a long extent
 * are left free there: else the next single pages, such as leaves, came behind the large value, and
 * would keep all that is free there apart from the file's end. */
static int leave_gap(struct space *s, uint64_t n, uint64_t *page)
{
	uint64_t first;
	uint64_t extent;
	bool found;
	int rc = find_page(s, s->hint, &first, &found);

	if (rc)
		return rc;
	if (!found)
		return 0;
	if (first < *page)
		return 0;
	s->hint = first;
	for (uint64_t gap = GAP_MAX; gap >= GAP_MIN; gap /= GAP_MAX / GAP_MIN) {
		rc = find_extent(s, first, n + gap * GAP_PART, &extent, &found);
		if (rc)
			return rc;
		if (found && extent == first) {
			*page += gap;
			return 0;
		}
	}
	return 0;
}

/* find_one - a single page, for which the hint is exact: no page before it is free. */
static int find_one(struct space *s, uint64_t *page, bool *found)
{
	int rc = find_page(s, s->hint, page, found);

	if (rc)
		return rc;
	if (*found)
		s->hint = *page + 1;
	else
		s->hint = s->end / s->psize;
	return 0;
}

/* For one page and for several there are hints of their own: a store whose single pages are all
 * taken may have large gaps, and the other way round. */
int space_find(struct space *s, uint64_t n, uint64_t *page, bool *found)
{
	uint64_t pages = s->end / s->psize;
	uint64_t from = 0;
	uint64_t hint = 0;
	int rc;

	assert(n > 0);
	if (n == 1)
		return find_one(s, page, found);
	if (n >= s->extent_pages)
		from = s->extent_hint;
	rc = find_extent(s, from, n, page, found);
	if (rc)
		return rc;
	if (*found) {
		hint = *page;
		rc = leave_gap(s, n, page);
		assert(*page >= hint);
		assert(*page + n <= pages);
	} else if (pages > n) {
		hint = pages - n; /* at the end more may come */
	}
	s->extent_pages = n;
	if (*found && *page == hint)
		s->extent_hint = hint + n;
	else
		s->extent_hint = hint;
	return rc;
}

/* Hints may be too low, which costs a longer search, and never too high, which would lose space. */
void space_found_free(struct space *s, uint64_t page)
{
	if (page < s->hint)
		s->hint = page;
	if (page >= s->extent_hint)
		return;
	/* an extent that reaches it may begin before it */
	s->extent_hint = 0;
	if (page > s->extent_pages)
		s->extent_hint = page - s->extent_pages;
}

/* From the end towards the begin, a zone at a time; the first page in use ends it. */
int space_tail(struct space *s, uint64_t most, uint64_t *pages)
{
	uint64_t end = s->end / s->psize;
	uint64_t n = 0;

	while (n < end) {
		uint64_t more;
		int rc = space_load_zone(s, (size_t)((end - n - 1) / s->zone_pages));

		if (rc)
			return rc;
		more = free_before(s, end - n, most - n);
		n += more;
		if (!more)
			break;
		if (n >= most)
			break;
		if ((end - n) % s->zone_pages != 0)
			break;
	}
	assert(n <= most);
	*pages = n;
	return 0;
}
