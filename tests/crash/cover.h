/* SPDX-License-Identifier: BSD-3-Clause */
/* cover.h - what a run of the explorer made the engine do: a run that never splits or spills proves
 * nothing about splitting and spilling. */
#ifndef DAXKV_TEST_COVER_H
#define DAXKV_TEST_COVER_H

#include "drive.h"
#include "redo/ring.h"
#include "shm/limbo.h"
#include "space/wset.h"

/* cover_op - an operation succeeded or failed as it must. */
void cover_op(const struct op *op, const struct oracle_before *before, const struct outcome *want);

/* cover_next - the operation that the engine is at from here on. */
void cover_next(const struct op *op);

/* cover_spilled - word lists spilled so far. */
uint64_t cover_spilled(void);

/* cover_drive - the drive is about to be forgotten, or the run ends: add its counters. */
void cover_drive(const struct drive *drive);

void cover_print(void);

/* cover_show - one count of the report, which sweep.py adds up: a name in small letters, a
 * number. */
void cover_show(const char *name, uint64_t n);

void __real_ring_write(struct ring *ring, uint64_t txn, uint64_t durable_upto,
                       const struct ring_range *ranges, size_t nranges,
                       const struct ring_word *words, size_t nwords);
void __wrap_ring_write(struct ring *ring, uint64_t txn, uint64_t durable_upto,
                       const struct ring_range *ranges, size_t nranges,
                       const struct ring_word *words, size_t nwords);
void __real_ring_write_spilled(struct ring *ring, uint64_t txn, uint64_t durable_upto,
                               uint64_t spill_off, uint64_t nwords, uint32_t crc);
void __wrap_ring_write_spilled(struct ring *ring, uint64_t txn, uint64_t durable_upto,
                               uint64_t spill_off, uint64_t nwords, uint32_t crc);
bool __real_limbo_take(struct limbo *limbo, uint64_t upto, struct limbo_item *item);
bool __wrap_limbo_take(struct limbo *limbo, uint64_t upto, struct limbo_item *item);
int __real_commit_checkpoint(struct daxkv_store *store);
int __wrap_commit_checkpoint(struct daxkv_store *store);
int __real_wset_retire(struct wset *w, uint64_t off);
int __wrap_wset_retire(struct wset *w, uint64_t off);

#endif
