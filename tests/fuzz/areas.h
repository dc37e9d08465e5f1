/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * areas.h - what each byte of a sound store is, by docs/FORMAT.md alone: no code is shared with the
 * engine.
 *
 * The areas at the end of the list hold bytes that nobody reads while the newest state is the one
 * looked at: damage there need not be noticed.
 */
#ifndef DAXKV_TEST_AREAS_H
#define DAXKV_TEST_AREAS_H

#include "sample.h"

enum area {
	AREA_SUPER,
	AREA_RECORD, /* of the ring; the newest one has its own */
	AREA_NEWEST,
	AREA_SPACE, /* directory and bitmap pages */
	AREA_PAGE,  /* header, but for prev */
	AREA_SLOT,
	AREA_BASE, /* heads, offsets and entries; of inner pages the children, too */
	AREA_TAIL,
	AREA_DESC,
	AREA_BLOB,
	AREA_SPILL,
	AREAS_READ,
	AREA_USER = AREAS_READ, /* the program's own number */
	AREA_CLEAN, /* an older mark than the right one has recovery store again what is there */
	AREA_PREV,
	AREA_REPLAYED, /* words that recovery stores again */
	AREA_COUNT_OLD,
	AREA_LEAF_REST,
	AREA_INNER_REST,
	AREA_BLOB_REST,
	AREA_SPILL_REST,
	AREA_RECORD_REST,
	AREA_RECORD_NONE,
	AREA_FOLLOWER,
	AREA_FREE,
	AREAS
};

/* areas_map - the area of each of s->size bytes, to be freed; *named, too: whether the newest
 * record's checksum covers the byte. Ends the program when the sample is not as the format says. */
uint8_t *areas_map(const struct sample *s, uint8_t **named);

const char *area_name(enum area area);

#endif
