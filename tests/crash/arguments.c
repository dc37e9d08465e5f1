/* SPDX-License-Identifier: BSD-3-Clause */
/* arguments.c - the command line of the explorer. See crash.c and run.h */
#include "run.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void usage(void)
{
	fprintf(stderr, "usage: crash [--seed N] [--ops N] [--granule 64|512|4096] [--effort N] "
	                "[--crash-one-in N] [--fail-one-in N] [--image N]\n"
	                "             [--lazy PERCENT] [--save PATH] [--dir D] [--verbose]\n");
	exit(2);
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 0);

	if (*text == '\0' || *end)
		usage();
	return n;
}

static void argument(int c, const char **dir)
{
	switch (c) {
	case 's':
		run.seed = number(optarg);
		break;
	case 'n':
		run.ops = number(optarg);
		break;
	case 'g':
		run.granule = number(optarg);
		if (run.granule != FMT_LINE && run.granule != 512 && run.granule != 4096)
			usage();
		break;
	case 'e':
		run.explore.effort = (unsigned int)number(optarg);
		break;
	case 'c':
		run.explore.crash_one_in = (unsigned int)number(optarg);
		break;
	case 'f':
		run.fail_one_in = (unsigned int)number(optarg);
		break;
	case 'l':
		run.lazy = (unsigned int)number(optarg);
		if (run.lazy > 100)
			usage();
		break;
	case 'i':
		run.explore.only = number(optarg);
		break;
	case 'S':
		run.explore.save_path = optarg;
		break;
	case 'd':
		*dir = optarg;
		break;
	case 'v':
		run.verbose = true;
		break;
	default:
		usage();
	}
}

void arguments(int argc, char **argv)
{
	static const struct option options[] = {
	    {"seed", required_argument, NULL, 's'},
	    {"ops", required_argument, NULL, 'n'},
	    {"granule", required_argument, NULL, 'g'},
	    {"effort", required_argument, NULL, 'e'},
	    {"crash-one-in", required_argument, NULL, 'c'},
	    {"fail-one-in", required_argument, NULL, 'f'},
	    {"lazy", required_argument, NULL, 'l'},
	    {"image", required_argument, NULL, 'i'},
	    {"save", required_argument, NULL, 'S'},
	    {"dir", required_argument, NULL, 'd'},
	    {"verbose", no_argument, NULL, 'v'},
	    {NULL, 0, NULL, 0},
	};
	static const unsigned int crashes[] = {250, 60, 250, 1000};
	const char *dir = getenv("TMPDIR");
	int c;

	dir = dir ? dir : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	run = (struct run){.seed = 1, .ops = 3000, .granule = 64, .fail_one_in = 150};
	run.explore = (struct explore_config){.effort = 1, .crash_one_in = UINT_MAX};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		argument(c, &dir);
	if (optind != argc)
		usage();
	if (run.explore.crash_one_in == UINT_MAX)
		run.explore.crash_one_in = crashes[run.seed % 4];
	if (run.granule == FMT_LINE) /* persistent memory knows no lazy commits */
		run.lazy = 0;
	run.crash_one_in = run.explore.crash_one_in;
	snprintf(run.path, sizeof run.path, "%s/crash-%ld.daxkv", dir, (long)getpid());
	snprintf(run.plain_path, sizeof run.plain_path, "%s.image", run.path);
	snprintf(run.replay, sizeof run.replay,
	         "replay: build/tests/crash --seed %lu --ops %lu --granule %zu --effort %u "
	         "--crash-one-in %u --fail-one-in %u --lazy %u",
	         (unsigned long)run.seed, (unsigned long)run.ops, run.granule, run.explore.effort,
	         run.explore.crash_one_in, run.fail_one_in, run.lazy);
	run.explore.seed = run.seed;
	run.explore.plain_path = run.plain_path;
}
