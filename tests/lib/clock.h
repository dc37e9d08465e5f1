/* SPDX-License-Identifier: BSD-3-Clause */
/* clock.h - how long something takes. */
#ifndef DAXKV_TEST_CLOCK_H
#define DAXKV_TEST_CLOCK_H

#include <time.h>

/* now - seconds since some moment in the past. */
static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
