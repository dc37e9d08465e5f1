/* SPDX-License-Identifier: BSD-3-Clause */
/* rounds.h - all phases, on all engines, as many times as asked for. */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

#include "plan.h"
#include "report.h"

/* rounds_run - measure into report. Returns 0, else it has said what failed. */
int rounds_run(struct report *report, struct contents *contents);

#endif
