/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * explore.h - which states of the medium are tried at a crash point, and what they must hold.
 *
 *   units in doubt      images
 *   up to 6             every subset, whole
 *   more                none, all, singles, all but one, prefixes in the order of stores, random
 *                       ones
 *   any                 the same with a unit torn at words, or in an older version of itself
 *
 * An image that was tried since the medium changed last is not tried again. All choices come from
 * one seed, and images are counted: number N of a run is the same in each run.
 */
#ifndef DAXKV_TEST_EXPLORE_H
#define DAXKV_TEST_EXPLORE_H

#include "image.h"
#include "pm_crash.h"

struct explore_config {
	uint64_t seed;
	uint64_t only;             /* open this image alone; 0: all */
	const char *save_path;     /* write that image there; NULL: nowhere */
	const char *plain_path;    /* scratch file for images opened without help */
	unsigned int effort;       /* images for a point, a factor */
	unsigned int crash_one_in; /* points that become a real crash; 0: none */
};

struct explore_counts {
	uint64_t points, exhaustive, images, opened, same, second, bare, plain, torn, older;
	uint64_t replayed, acked, next; /* images that recovery had work with; that showed the last
	                                   acknowledged state, the one in flight */
	uint64_t most_units;
};

struct explore {
	struct explore_config config;
	struct rng rng;
	uint64_t allowed[3]; /* contents that may be found */
	unsigned int nallowed;
	struct explore_counts counts;
	void (*crash)(void);           /* does not return */
	void (*done)(void);            /* the only image was in order; does not return */
	void (*fail)(const char *why); /* does not return */
};

extern struct explore explore;

void explore_start(const struct explore_config *config);
void explore_end(void);

/* explore_allow - from now on a crash must leave a, or with two also b. */
void explore_allow(uint64_t a, bool two, uint64_t b);

/* explore_also - or this one, too: at most three. explore_allows - whether it may be found. */
void explore_also(uint64_t content);
bool explore_allows(uint64_t content);

/* explore_point - for crash_pm.point. */
void explore_point(enum crash_point kind);

/* explore_cut - make the image of a power cut here, a random one, and verify it. bytes get it as it
 * is before recovery, found what it holds. Returns its size. */
uint64_t explore_cut(uint8_t *bytes, struct image_found *found);

#endif
