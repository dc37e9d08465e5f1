/* SPDX-License-Identifier: BSD-3-Clause */
/* report.h - what was measured, as a table, as Markdown, as JSON and as CSV, with a description of
 * the machine. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench.h"
#include "floor.h"

struct report_row { /* a phase; engine 0 is daxkv */
	const struct bench_phase *phase;
	uint64_t reported, user_bytes;
	double ns[BENCH_ENGINES][BENCH_ROUNDS], writer_ns[BENCH_ENGINES][BENCH_ROUNDS];
	double tail[BENCH_TAILS][BENCH_ENGINES][BENCH_ROUNDS]; /* of a timed phase */
	uint64_t written[BENCH_ENGINES];                       /* in the last round */
	struct bench_counts counts;                            /* daxkv's in the last round */
};

struct machine {
	char cpu[128], date[64], filesystem[32], kernel[200], compiler[96], load[64];
	long cpus;
};

struct report {
	const struct bench_config *config;
	const struct bench_engine *engines[BENCH_ENGINES];
	unsigned int nengines, nrows;
	struct report_row rows[BENCH_PHASES];
	double space[BENCH_STORES][BENCH_ENGINES]; /* bytes in use for a user byte at the end of the
	                                              last round; 0 = not known */
	struct floor floors[BENCH_STORES][BENCH_ROUNDS];
	char durability[BENCH_ENGINES][200], absent[256];
	int emulated;
	struct machine machine;
};

/* machine_describe - as it is when the run begins: its load too. */
void machine_describe(const char *dir, struct machine *m);

struct figure {                    /* of a row and an engine; what is not known is negative */
	double ns, ns_min, ns_max; /* an operation: median, least, greatest */
	double ratio, ratio_min, ratio_max; /* to daxkv's, formed in each round */
	double writer_ns;                   /* a commit beside the readers */
	double tail[BENCH_TAILS];
	double floor_ns, to_floor;
	double written;                               /* for a user byte */
	double fences, lines_flushed, lines_streamed; /* for an operation, daxkv only */
};

void figure_make(const struct report *report, const struct report_row *row, unsigned int engine,
                 struct figure *figure);

/* floor_median - of the floors measured on the files of that set of phases. */
struct floor floor_median(const struct report *report, enum bench_store store);

/* store_name - the phases after which space was measured, in words. */
const char *store_name(enum bench_store store);

void report_table(const struct report *report);

/* report_json, report_csv, report_markdown - write to path. Return 0 or an errno. */
int report_json(const struct report *report, const char *path);
int report_csv(const struct report *report, const char *path);
int report_markdown(const struct report *report, const char *path);

#endif
