/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * jobs.h - run numbered cases in child processes, so that a crash or a hang is a result, and says
 * which case it was.
 *
 * Case I runs in process I % n. What a process dies of, a signal, a sanitizer's report, a case that
 * takes longer than JOBS_HANG_SECONDS of its time, fails the run; the process's other cases then do
 * not run.
 */
#ifndef DAXKV_TEST_JOBS_H
#define DAXKV_TEST_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#define JOBS_HANG_SECONDS 60
#define JOBS_MAX          64u
#define JOBS_COUNTERS     64u

/* jobs_case - one case. Counters are this process's; jobs_run adds them up. Returns false when it
 * failed, having said how. */
typedef bool jobs_case(uint64_t number, uint64_t counters[JOBS_COUNTERS], void *arg);

/* jobs_run - the cases from, from + step, ... below to, in n processes. counters get the sums.
 * replay, a format with one %lu for the case's number, is printed when one fails. True when all
 * were well. */
bool jobs_run(unsigned int n, uint64_t from, uint64_t to, uint64_t step, jobs_case *one, void *arg,
              const char *replay, uint64_t counters[JOBS_COUNTERS]);

/* jobs_processors - how many processes this machine runs at once. */
unsigned int jobs_processors(void);

#endif
