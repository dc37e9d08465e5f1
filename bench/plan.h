/* SPDX-License-Identifier: BSD-3-Clause */
/* plan.h - the phases, their operations drawn ahead, and what a store holds after them. */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include "bench.h"

struct contents { /* what a store must hold: the version of each value, 0 = no such key */
	uint32_t *versions;
	uint64_t ids;        /* in versions */
	uint64_t next;       /* the least id that was never put */
	uint64_t count, sum; /* filled by contents_sum */
};

/* plan_phase - phase number i, NULL after the last. */
const struct bench_phase *plan_phase(size_t i);

/* plan_make - draw the operations of a phase and bring contents to what holds after it. Returns 0
 * or ENOMEM. Free plan->ops. */
int plan_make(const struct bench_config *config, size_t phase, struct contents *contents,
              struct bench_plan *plan);

/* plan_wanted - is it to be run: chosen, or needed by what was chosen. plan_chosen - is it to be
 * reported. */
int plan_wanted(const struct bench_config *config, size_t phase);
/* plan_names - whether all names of the list, with commas between, are phases or groups of them. */
int plan_names(const char *list);

int plan_chosen(const struct bench_config *config, size_t phase);

/* contents_make - for the ids that all phases together may use. Returns 0 or ENOMEM. Free
 * versions. */
int contents_make(const struct bench_config *config, struct contents *contents);

/* contents_clear - nothing was ever put. */
void contents_clear(struct contents *contents);

/* contents_sum - count the entries and form their checksum. Returns 0 or ENOMEM. */
int contents_sum(const struct bench_config *config, enum bench_store store,
                 struct contents *contents);

/* contents_verify - compare a store with the expected content: number of entries, their order,
 * every byte by a checksum. Prints what differs. Returns 0 when nothing does. contents_sum comes
 * first. */
int contents_verify(const struct bench_engine *engine, void *session,
                    const struct contents *contents);

#endif
