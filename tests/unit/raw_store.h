/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * raw_store.h - a new store's bytes, mapped, without the engine above it: tests of the ring and of
 * recovery write records by hand.
 */
#ifndef DAXKV_TEST_RAW_STORE_H
#define DAXKV_TEST_RAW_STORE_H

#include "base/crc.h"
#include "daxkv.h"
#include "media/super.h"
#include "redo/ring.h"
#include "scratch.h"

#define RAW_SIZE ((uint64_t)2 << 20)
#define RAW_ID   0x1122334455667788u
#define RAW_DATA                                                                                   \
	((uint64_t)1                                                                               \
	 << 20) /* where tests put fresh bytes and words: far behind what a new store uses */

struct raw {
	struct map map;
	struct ring ring;
};

static inline void raw_open(struct raw *r, uint32_t page_size)
{
	struct super_new new = {.page_size = page_size, .size = RAW_SIZE, .file_id = RAW_ID};

	unlink(scratch_path("raw"));
	memset(r, 0, sizeof *r);
	assert_int_equal(map_create_file(&r->map, scratch_path("raw"), 0600, &(uint64_t){RAW_SIZE},
	                                 0, super_fill, &new),
	                 0);
	assert_int_equal(map_attach(&r->map, RAW_SIZE, RAW_SIZE, DAXKV_PMEM_FORCE, false), 0);
	r->ring = (struct ring){
	    .map = &r->map, .file_id = RAW_ID, .off = round_up(FMT_SUPER_SIZE, page_size)};
}

static inline void raw_close(struct raw *r)
{
	map_close(&r->map);
}

/* raw_fill - put n bytes that depend on seed at off, and say what a record would of them. */
static inline struct ring_range raw_fill(struct raw *r, uint64_t off, uint32_t n, uint8_t seed)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t byte = (uint8_t)(seed + i * 7);
		pm_write(&r->map.pm, r->map.base + off + i, &byte, 1);
	}
	return (struct ring_range){off, n, crc32c(0, r->map.base + off, n)};
}

static inline void raw_flip(struct raw *r, uint64_t off)
{
	uint8_t byte = r->map.base[off] ^ 0x41;

	pm_write(&r->map.pm, r->map.base + off, &byte, 1);
}

static inline uint64_t raw_word(const struct raw *r, uint64_t off)
{
	return load_word((const uint64_t *)(const void *)(r->map.base + off));
}

static inline uint64_t raw_at(const struct raw *r, uint64_t txn)
{
	return (uint64_t)((const uint8_t *)ring_at(&r->ring, txn) - r->map.base);
}

/* raw_commit - record txn: one fresh range of 64 bytes and one word. */
static inline void raw_commit(struct raw *r, uint64_t txn, uint64_t durable_upto, uint64_t word,
                              uint64_t value)
{
	struct ring_range range = raw_fill(r, RAW_DATA + txn % 64 * 64, 64, (uint8_t)txn);

	ring_write(&r->ring, txn, durable_upto, &range, 1, &(struct ring_word){word, value}, 1);
}

#endif
