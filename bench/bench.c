/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench.c - daxkv beside other engines: the same operations, in one process, phase after phase,
 * first the one, then the next.
 *
 * A round makes fresh stores of all engines and runs all phases; the engine that goes first changes
 * from round to round, and each round's ratio compares runs that lie next to each other in time. At
 * the end of a round the content of every store is compared with the expected one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "files.h"
#include "reopen.h"
#include "rounds.h"

static void usage_print(FILE *f)
{
	const struct bench_phase *phase;
	char absent[256];

	fprintf(f, "usage: bench [--entries N] [--ops N] [--mixed-ops N] [--large-ops N] [--key "
	           "BYTES] [--value BYTES] [--dir DIR]\n"
	           "             [--pmem force|file|auto] [--rounds N] [--engines NAME,NAME...] "
	           "[--only NAME,NAME...]\n"
	           "             [--json FILE] [--csv FILE] [--markdown FILE]\nphases, also ycsb "
	           "and readers for those that begin so:\n");
	for (size_t p = 0; (phase = plan_phase(p)) != NULL; p++)
		fprintf(f, "  %-8s %s\n", phase->name, phase->what);
	fprintf(f, "engines:");
	const struct bench_engine *engines[BENCH_ENGINES];
	unsigned int n = engines_select(NULL, engines);

	for (unsigned int i = 0; i < n; i++)
		fprintf(f, " %s", engines[i]->name);
	engines_absent(absent, sizeof absent);
	fprintf(f, "%s%s\n", absent[0] ? "; not built in: " : "", absent);
}

static int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || *n < min || *n > max) {
		fprintf(stderr, "bench: %s is not a number from %" PRIu64 " to %" PRIu64 "\n", text,
		        min, max);
		return 1;
	}
	return 0;
}

static int only_check(const char *only)
{
	if (plan_names(only))
		return 0;
	fprintf(stderr, "bench: no such phase: %s\n", only);
	return 1;
}

static int config_check(struct bench_config *c)
{
	uint64_t data;

	if (strcmp(c->pmem, "force") && strcmp(c->pmem, "file") && strcmp(c->pmem, "auto")) {
		fprintf(stderr, "bench: --pmem is force, file or auto\n");
		return 1;
	}
	if (c->dir && strlen(c->dir) > 2000) {
		fprintf(stderr, "bench: the directory's name is too long\n");
		return 1;
	}
	if (only_check(c->only))
		return 1;
	if (c->ops == 0)
		c->ops = c->entries < 10 ? 1 : c->entries / 10;
	if (c->mixed_ops == 0)
		c->mixed_ops = c->ops < 4 ? 1 : c->ops / 4;
	if (c->large_ops == 0)
		c->large_ops = c->ops < 50 ? 1 : c->ops / 50;
	if (c->ops > c->entries) {
		fprintf(stderr, "bench: more operations than entries\n");
		return 1;
	}
	/* Half-full pages, pages that wait for their reuse, and those that idle readers hold:
	 * enough for daxkv and for LMDB. */
	data = (c->entries + c->ops + c->mixed_ops) * (c->key_size + c->value_size + 32) * 5 / 2 +
	       c->ops / BENCH_IDLE * 6 * 4096;
	if (data < c->large_ops * BENCH_LARGE * 5 / 4)
		data = c->large_ops * BENCH_LARGE * 5 / 4;
	c->file_size = (data + (64u << 20) + (2u << 20) - 1) & ~(uint64_t)((2u << 20) - 1);
	return 0;
}

/* size_parse - a number of bytes from 8 to max. */
static int size_parse(const char *text, uint64_t max, size_t *size)
{
	uint64_t n;

	if (number_parse(text, 8, max, &n))
		return 1;
	*size = (size_t)n;
	return 0;
}

static int option_take(struct bench_config *c, int option)
{
	const char **const texts[] = {&c->dir, &c->pmem,     &c->only, &c->engines,  &c->json,
	                              &c->csv, &c->markdown, &c->fill, &c->fill_path};

	if (option >= 0x100) {
		*texts[option - 0x100] = optarg;
		return 0;
	}
	switch (option) {
	case 'n':
		return number_parse(optarg, 1, 1u << 30, &c->entries);
	case 'o':
		return number_parse(optarg, 1, 1u << 30, &c->ops);
	case 'm':
		return number_parse(optarg, 1, 1u << 30, &c->mixed_ops);
	case 'l':
		return number_parse(optarg, 1, 1u << 20, &c->large_ops);
	case 'r':
		return number_parse(optarg, 1, BENCH_ROUNDS, &c->rounds);
	case 'k':
		return size_parse(optarg, BENCH_KEY_MAX, &c->key_size);
	case 'v':
		return size_parse(optarg, 1024, &c->value_size);
	case 'h':
		usage_print(stdout);
		exit(0);
	default:
		return 1;
	}
}

static int config_parse(int argc, char **argv, struct bench_config *c)
{
	static const struct option options[] = {
	    {"entries", 1, NULL, 'n'},     {"ops", 1, NULL, 'o'},
	    {"mixed-ops", 1, NULL, 'm'},   {"large-ops", 1, NULL, 'l'},
	    {"rounds", 1, NULL, 'r'},      {"key", 1, NULL, 'k'},
	    {"value", 1, NULL, 'v'},       {"help", 0, NULL, 'h'},
	    {"dir", 1, NULL, 0x100},       {"pmem", 1, NULL, 0x101},
	    {"only", 1, NULL, 0x102},      {"engines", 1, NULL, 0x103},
	    {"json", 1, NULL, 0x104},      {"csv", 1, NULL, 0x105},
	    {"markdown", 1, NULL, 0x106},  {"fill", 1, NULL, 0x107},
	    {"fill-path", 1, NULL, 0x108}, {NULL, 0, NULL, 0},
	};
	int option, bad = 0;

	while (!bad && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		bad = option_take(c, option);
	if (bad || optind != argc || !c->fill != !c->fill_path) {
		usage_print(stderr);
		return 1;
	}
	return config_check(c);
}

/* command_note - the command line as one string. */
static void command_note(int argc, char **argv, char *buf, size_t size)
{
	size_t at = (size_t)snprintf(buf, size, "bench");

	for (int i = 1; i < argc && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, " %s", argv[i]);
}

static int file_write(const char *path, int (*write_report)(const struct report *, const char *),
                      const struct report *report)
{
	int err = path ? write_report(report, path) : 0;

	if (err)
		fprintf(stderr, "bench: %s: %s\n", path, strerror(err));
	return err != 0;
}

static int report_run(const struct bench_config *config, struct report *report)
{
	struct contents contents;
	int failed;

	if (contents_make(config, &contents)) {
		fprintf(stderr, "bench: out of memory\n");
		return 1;
	}
	for (size_t p = 0; plan_phase(p); p++)
		if (plan_chosen(config, p))
			report->rows[report->nrows++].phase = plan_phase(p);
	failed = rounds_run(report, &contents);
	free(contents.versions);
	if (failed)
		return 1;
	report_table(report);
	failed = file_write(config->json, report_json, report);
	failed |= file_write(config->csv, report_csv, report);
	return file_write(config->markdown, report_markdown, report) | failed;
}

int main(int argc, char **argv)
{
	struct bench_config config = {
	    .entries = 1000000, .rounds = 5, .key_size = 16, .value_size = 100, .pmem = "force"};
	struct report *report = calloc(1, sizeof *report);
	char command[1024];
	int failed;

	if (!report) {
		fprintf(stderr, "bench: out of memory\n");
		return 1;
	}
	command_note(argc, argv, command, sizeof command);
	config.command = command;
	report->config = &config;
	if (config_parse(argc, argv, &config)) {
		free(report);
		return 2;
	}
	if (!config.dir) {
		config.dir = "/dev/shm";
		config.huge_pages = !config.fill && files_huge_pages(config.dir) == 0;
	}
	report->nengines =
	    engines_select(config.fill ? config.fill : config.engines, report->engines);
	engines_absent(report->absent, sizeof report->absent);
	if (report->nengines == 0)
		failed = 2;
	else if (config.fill)
		failed = reopen_fill(&config, report->engines[report->nengines - 1]);
	else
		machine_describe(config.dir, &report->machine),
		    failed = report_run(&config, report);
	free(report);
	return failed;
}
