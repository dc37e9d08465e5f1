/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_zones.h - what the files of the space floor share: space.c (take and give), space_zones.c
 * (the bitmaps in memory), space_find.c (searches), space_trim.c (the file's end).
 */
#ifndef DAXKV_SPACE_ZONES_H
#define DAXKV_SPACE_ZONES_H

#include "base/format.h"
#include "space/space.h"

/* space_super, space_word_at - in the mapping, to be read. */
static inline const struct fmt_super *space_super(const struct space *s)
{
	return (const void *)s->map->base;
}

static inline const uint64_t *space_word_at(const struct space *s, uint64_t off)
{
	assert(off % FMT_WORD == 0);
	return (const uint64_t *)(const void *)(s->map->base + off);
}

/* space_zones_for - how many zones a file of so many bytes has. space_zones_room - have that many
 * struct zone; ENOMEM. */
size_t space_zones_for(const struct space *s, uint64_t bytes);
int space_zones_room(struct space *s, size_t n);

/* space_zone_alloc - memory for the bits of zone z, all clear. ENOMEM. */
int space_zone_alloc(struct space *s, size_t z);

/* space_zone_count_free - what nfree of the loaded zone z is, from its bits. */
uint32_t space_zone_count_free(const struct space *s, size_t z);

#endif
