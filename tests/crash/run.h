/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run.h - one run of the explorer: what was asked for, and where it is. crash.c runs it,
 * arguments.c reads what was asked for.
 */
#ifndef DAXKV_CRASH_RUN_H
#define DAXKV_CRASH_RUN_H

#include "cover.h"
#include "drive.h"
#include "explore.h"
#include "retry.h"
#include "steer.h"

#include <setjmp.h>
#include <time.h>

struct run {
	uint64_t seed, ops;
	size_t granule;
	unsigned int fail_one_in, crash_one_in;
	unsigned int lazy; /* percent of the transactions whose commits wait for a sync */
	bool verbose;
	struct explore_config explore;
	char path[512], plain_path[520], replay[256];
	struct rng rng;
	struct ops stream;
	struct oracle oracle;
	struct drive drive, other; /* other: of a second user of the store */
	bool shared;
	struct oracle_state before; /* what was acknowledged, while a commit is in flight */
	bool in_flight;
	uint64_t acked; /* the content of what was committed last */
	/* died: the last crash was that of the process alone; rebooted: or of the machine, or a
	 * flush had failed, since the store was open */
	bool died, rebooted;
	uint64_t failures; /* fences that failed, as far as they were dealt with */
	jmp_buf crashed;
	uint8_t *cut;
	struct timespec from;
	uint64_t swaps, cuts, deaths, in_recovery, failed_fences, full, retries;
	uint64_t spilled; /* before the operation that runs: of cover_spilled */
	unsigned int full_in_row;
	struct steer steer;
};
extern struct run run;

/* arguments - fill run from the command line; ends the process when that makes no sense. */
void arguments(int argc, char **argv);

#endif
