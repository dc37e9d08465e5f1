/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sample.h - stores with some of everything in them, as bytes: what the tests of damaged files
 * begin with.
 *
 * Every kind of database that the library knows, with splits, appended entries, tombstones, large
 * values and inner pages; one that was dropped and one that was renamed. The same arguments give
 * the same store, but for its id, its time of creation, and what follows from them.
 *
 *   SAMPLE_CLOSED   as a clean close leaves it
 *   SAMPLE_KILLED   as a killed process leaves it: the newest records' words are in place
 *   SAMPLE_CUT      as a power cut leaves it behind the fence of the last commit: none of that
 *                   record's words is in place
 *   SAMPLE_SPILLED  the same, and the words are so many that they lie in spill pages
 */
#ifndef DAXKV_TEST_SAMPLE_H
#define DAXKV_TEST_SAMPLE_H

#include "daxkv.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sample_state { SAMPLE_CLOSED, SAMPLE_KILLED, SAMPLE_CUT, SAMPLE_SPILLED, SAMPLE_STATES };

struct sample {
	uint8_t *bytes;     /* of the file; free() them */
	size_t size, used;  /* used: up to the last byte that is not zero */
	uint8_t *recovered; /* the same size: with the words of the newest record in place */
	uint8_t *older;     /* some transactions before */
	size_t older_size;
};

/* sample_make - scale 1: some tens of KiB with pages of 512 bytes; more makes it larger. Ends the
 * program when it cannot. */
void sample_make(struct sample *s, enum sample_state state, uint32_t page_size, unsigned int scale);

void sample_free(struct sample *s);

/* sample_record_newest - where the ring slot with the newest record lies. */
size_t sample_record_newest(const struct sample *s);

const char *sample_state_name(enum sample_state state);

/* ---- a file in memory, with a name that daxkv_open can use ----------------------------------- */

struct memfile {
	int fd;
	bool named; /* it has a name of its own, and can have a lock file beside it */
	char path[64];
};

/* memfile_open, memfile_open_named, memfile_set - an empty one; one with a name; give it these
 * bytes and this size, the rest zeros. They end the program when they cannot. */
void memfile_open(struct memfile *f);
void memfile_open_named(struct memfile *f);
void memfile_set(const struct memfile *f, const void *bytes, size_t n, size_t size);
void memfile_close(struct memfile *f);

/* memfile_get - its bytes in *bytes, to be freed. */
size_t memfile_get(const struct memfile *f, uint8_t **bytes);

/* ---- orders of the program's own ------------------------------------------------------------- */

/* sample_orders - give the handle the comparators that the sample's databases have, as its flags
 * ask. */
int sample_orders(struct daxkv_txn *txn, daxkv_db db);

#endif
