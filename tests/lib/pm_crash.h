/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pm_crash.h - a persistence layer that knows what a crash could leave behind.
 *
 *   now       the file as the program sees it: its mapping
 *   seen      the same at the last look; a difference is a store, whoever made it
 *   durable   what is on the medium whatever happens
 *   unit[i]   of a line (64 bytes) or of a page of the file: its contents since the durable one,
 *             oldest first, and which of
 *             them was flushed
 *
 * Any unit that has versions may be on the medium in any of them, torn between any two at 8-byte
 * words, or not at all. A fence makes the flushed version the durable one; what was stored behind
 * the flush stays in doubt. With cached set the layer behaves like a page cache: everything may be
 * written at any time, a fence covers all, and a fence that fails leaves pages that count as clean
 * while the medium has old bytes. A fence of a range covers that alone.
 *
 * The layer is slid under the engine by the linker: pm_init is wrapped (-Wl,--wrap=pm_init), so the
 * engine needs no hook, and what opens and recovers the store runs on it like everything else.
 * map_grow and map_shrink are wrapped too: a file that grew is longer for good, or (map_grow_later)
 * behind the next fence; one that was cut may have its old length again after a crash. One layer at
 * a time.
 */
#ifndef DAXKV_TEST_PM_CRASH_H
#define DAXKV_TEST_PM_CRASH_H

#include "media/map.h"
#include "rng.h"

#define CRASH_ROOM (8u << 20) /* no test store is larger */
#define CRASH_WORD 8u

enum crash_point {
	POINT_FLUSH,  /* before a flush */
	POINT_FENCE,  /* before a fence */
	POINT_FENCED, /* behind it */
	POINT_STORE,  /* behind a word stored in place */
	POINT_CALL,   /* a call of the interface returned */
	POINT_KINDS
};

struct crash_unit {
	uint8_t **version;
	uint32_t n, room;
	int32_t flushed; /* index of a version; -1: none */
	uint32_t listed; /* place in dirty + 1; 0: not there */
	bool stale;      /* clean for the page cache, but not what the medium has */
};

struct crash_pm {
	int fd;
	size_t granule;
	bool cached;
	uint64_t size;        /* of the file */
	uint64_t size_before; /* the length that a cut file may still have after a crash; 0: none */
	uint64_t size_sure; /* the same of one that grew: what it had at the last fence; 0: none */
	uint8_t *now, *seen, *durable;
	struct crash_unit *unit;
	uint32_t *dirty; /* units that have versions */
	size_t ndirty;
	uint64_t epoch;    /* counts changes of durable */
	struct map *map;   /* the engine's, as it was used last */
	uint64_t failures; /* fences made to fail */
	uint64_t shrinks;
	uint64_t zeroed, zeroed_old; /* pages behind the ring zeroed: all, and those that had
	                                something behind their first line */
	uint64_t range_fences;       /* fences of a range that worked */
	uint64_t flushes_in_vain;    /* of lines that were durable already */
	struct rng rng;
	unsigned int fail_one_in;                     /* fences that fail; 0: none */
	void (*point)(enum crash_point kind);         /* may not return; NULL: nobody looks */
	void (*made_durable)(uint64_t off, size_t n); /* durable changed there */
};

extern struct crash_pm crash_pm;

/* crash_pm_start - take the file as durable as it is. crash_pm_end. */
void crash_pm_start(int fd, size_t granule, bool cached, uint64_t seed);
void crash_pm_end(void);

/* crash_pm_use - the ops that the next mapped store gets: these, others, or (NULL) the engine's
 * own. */
extern const struct pm_ops crash_pm_ops;
extern const struct pm_ops *crash_pm_override;

/* crash_pm_look - take notice of every store since the last look. */
void crash_pm_look(void);

/* crash_pm_word - what is durable of the word at off, or what version has. */
static inline const uint8_t *crash_pm_version(const struct crash_unit *u, uint32_t version)
{
	return u->version[version];
}

/* crash_pm_stored - somebody else than the layer stored n bytes there, in the mapping used last,
 * perhaps those that were there: for a page cache they are dirty all the same. */
void crash_pm_stored(const void *p, size_t n);

/* crash_pm_died - the process is gone, the machine is not: stores stay, flushes count for nothing
 * any more. Pages that only the page cache has right may be read from the medium again. */
void crash_pm_died(void);

/* crash_pm_cut - the power fails and the medium has these bytes: they become file and durable. */
void crash_pm_cut(const uint8_t *image, uint64_t size);

void __real_pm_init(struct pm *pm, const struct pm_ops *ops, int fd);
void __wrap_pm_init(struct pm *pm, const struct pm_ops *ops, int fd);
int __real_map_grow(struct map *map, uint64_t size);
int __wrap_map_grow(struct map *map, uint64_t size);
int __real_map_grow_later(struct map *map, uint64_t size);
int __wrap_map_grow_later(struct map *map, uint64_t size);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_map_shrink(struct map *map, uint64_t size);
int __wrap_map_shrink(struct map *map, uint64_t size);

#endif
