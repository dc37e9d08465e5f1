/* SPDX-License-Identifier: BSD-3-Clause */
/* space_each.c - the free pages, extent by extent. See space.h */
#include "base/base.h"
#include "space/space.h"

static bool is_free(const struct space *s, uint64_t page)
{
	uint64_t i = page % s->zone_pages;

	return !(s->zone[page / s->zone_pages].busy[i / SPACE_WORD_BITS] >> i % SPACE_WORD_BITS &
	         1);
}

int space_each_free(struct space *s, int (*show)(void *arg, uint64_t off, uint64_t pages),
                    void *arg)
{
	uint64_t end = s->end / s->psize, from = 0, n = 0;
	int rc = 0;

	for (uint64_t page = 0; page <= end && !rc; page++) {
		if (page < end && page % s->zone_pages == 0)
			rc = space_load_zone(s, (size_t)(page / s->zone_pages));
		if (!rc && page < end && is_free(s, page)) {
			from = n++ ? from : page;
		} else if (!rc && n) {
			rc = show(arg, from * s->psize, n);
			n = 0;
		}
	}
	return rc;
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
