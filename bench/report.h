/* SPDX-License-Identifier: BSD-3-Clause */
/* report.h - what was measured, as a table and as JSON, with a description of the machine. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench.h"

#define REPORT_PHASES 16u
#define REPORT_ROUNDS 99u

struct report_row { /* a phase; index 0 is daxkv, 1 is LMDB */
	const struct bench_phase *phase;
	uint64_t reported;
	double ns[2][REPORT_ROUNDS];
	struct bench_counts counts; /* daxkv's in the last round */
};

struct report {
	const struct bench_config *config;
	struct report_row rows[REPORT_PHASES];
	unsigned int nrows;
	double space[BENCH_STORES][2]; /* bytes in use for a user byte at the end of the last round; 0 = not run */
	char durability[2][200];
	int emulated;
};

void report_table(const struct report *report);

/* report_json - write the same to path. Returns 0 or an errno. */
int report_json(const struct report *report, const char *path);

#endif
