/* SPDX-License-Identifier: BSD-3-Clause */
/* growth.c - phases that make the file grow, each operation timed: what the slowest wait for. */
#include "awkward.h"

/* growth - ascending keys, values of 1 KiB. The commit belongs to the put that it follows. */
static void growth(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		const double from = job_clock();

		if (i % 100 == 0)
			job_step(j, 0);
		job_put_size(j, i, 1024);
		j->latency[i] = job_clock() - from;
	}
	job_commit(j);
}

static void growth_large(struct job *j)
{
	for (uint64_t i = 0; i < j->n; i++) {
		const double from = job_clock();

		job_begin(j, 0);
		job_put_size(j, i, VALUE_MAX / 2);
		job_commit(j);
		j->latency[i] = job_clock() - from;
	}
}

const struct phase growth_phases[] = {{.name = "growth",
                                       .what = "ascending puts of 1 KiB, 100 a transaction",
                                       .n = 200000,
                                       .timed = 1,
                                       .run = growth},
                                      {.name = "growth-large",
                                       .what = "puts of 64 KiB, one a transaction",
                                       .n = 4000,
                                       .timed = 1,
                                       .run = growth_large},
                                      {.name = NULL}};
