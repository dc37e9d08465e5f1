/* SPDX-License-Identifier: BSD-3-Clause */
/* floor.h - what the memory itself takes, whatever a program does with it: measured on a file that
 * a store left behind. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include "bench.h"

struct floor {
	double read_ns; /* three random cache lines read, the place of each known only when the one
	                   before was read */
	double commit_ns; /* three random cache lines written and flushed, then one fence */
	double stream_ns; /* one byte of a long streaming write */
	int lines;        /* flushes and fences of cache lines; else each commit is one fdatasync */
};

/* floor_measure - in the file path, whose content is lost. Returns 0 or an errno. */
int floor_measure(const struct bench_config *config, const char *path, struct floor *floor);

/* floor_of - the floor of one operation of the phase in nanoseconds, 0 when it has none. */
double floor_of(const struct bench_config *config, const struct bench_phase *phase,
                const struct floor *floor);

#endif
