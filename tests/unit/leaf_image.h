/* SPDX-License-Identifier: BSD-3-Clause */
/* leaf_image.h - one leaf in memory, as a reader sees it. */
#ifndef DAXKV_TEST_LEAF_IMAGE_H
#define DAXKV_TEST_LEAF_IMAGE_H

#include "small_store.h"

#define PSIZE 4096u

static _Alignas(64) uint8_t file[2 * PSIZE];
static uint8_t *const page = file + PSIZE;

struct mem { /* the page at offset PSIZE of a small file in memory, seen by a reader */
	struct map map;
	struct view view;
	struct leaf leaf;
};

static inline void mem_open(struct mem *m)
{
	m->map = (struct map){.base = file, .size = 2 * PSIZE};
	m->view = (struct view){.map = &m->map,
	                        .base = m->map.base,
	                        .size = &m->map.size,
	                        .psize = PSIZE,
	                        .snapshot = 100};
	leaf_open(&m->view, (const void *)page, PSIZE, &m->leaf);
}

static inline struct item item_of(const char *key, const char *value)
{
	return (struct item){.key = (const uint8_t *)key,
	                     .klen = (uint32_t)strlen(key),
	                     .val = (const uint8_t *)value,
	                     .vlen = (uint32_t)strlen(value)};
}

#endif
