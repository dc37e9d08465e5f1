/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_memory.c - pages of the running transaction that lie in memory: see space.h
 *
 * What is known of such a page is what the bitmaps know of others: allocated, and not to be taken.
 * The two differ when a nested transaction gave up a page of a level around it, which its abort
 * takes back. No commit has seen a page in memory, so none of them is held for the limbo.
 */
#include "base/array.h"
#include "base/base.h"
#include "base/err.h"
#include "space/space.h"
#include "space/space_zones.h"

#include <stdlib.h>

/* memory_page - the number of the page in memory at off. */
static size_t memory_page(const struct space *s, uint64_t off)
{
	assert(map_in_memory(s->map, off));
	const size_t page = (off - s->map->memory_off) / s->psize;

	assert(page < s->memory.n);
	return page;
}

bool space_memory_taken(const struct space *s, uint64_t off)
{
	const uint64_t page = (off - s->map->memory_off) / s->psize;

	if (!map_in_memory(s->map, off))
		return false;
	if (off % s->psize != 0)
		return false;
	if (page >= s->memory.n)
		return false;
	return s->memory.bits[page] & SPACE_DISK;
}

/* The first that is free, so that the memory which was touched is used again. */
int space_memory_take(struct space *s, uint64_t *off)
{
	struct space_memory *m = &s->memory;
	size_t page = m->hint;
	int rc;

	while (page < m->n && m->bits[page])
		page++;
	*off = s->map->memory_off + page * s->psize;
	if (page == m->n) {
		rc = array_room(&m->bits, m->n, &m->room, sizeof *m->bits);
		if (!rc)
			rc = map_memory(s->map, (page + 1) * s->psize);
		if (rc)
			return rc;
		m->bits[m->n++] = 0;
	}
	m->hint = page;
	m->tight = true;
	return 0;
}

void space_memory_set(struct space *s, uint64_t off, unsigned int which, bool set)
{
	struct space_memory *m = &s->memory;
	const size_t page = memory_page(s, off);
	const uint8_t was = m->bits[page];

	assert(set ? !(was & which) : (was & which) == which);
	m->bits[page] = (uint8_t)(set ? was | which : was & ~which);
	m->used += !was && m->bits[page];
	m->used -= was && !m->bits[page];
	if (!m->bits[page] && page < m->hint)
		m->hint = page;
}

/* Whatever is left of them: nothing refers to it. */
void space_memory_end(struct space *s)
{
	free(s->memory.bits);
	s->memory = (struct space_memory){0};
	map_memory_end(s->map);
}
