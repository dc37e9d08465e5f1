/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench.c - daxkv and LMDB side by side: the same operations, in one process, phase after phase, first the one, then the other.
 *
 * A round makes fresh stores of both engines and runs all phases; the engine that goes first changes from round to round, and each
 * round's ratio compares two runs that lie next to each other in time. At the end of a round the content of both is compared with
 * the expected one.
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
#include <unistd.h>

#include "bench.h"
#include "report.h"

#define PATH_SIZE 4096u
#define BATCH     1000u

static const struct bench_phase phases[] = {
    {"load", "put of random keys, 1,000 a transaction", BENCH_STORE_RANDOM, BENCH_PUT, BATCH, 0},
    {"insert", "put of a new random key, one a transaction", BENCH_STORE_RANDOM, BENCH_PUT, 1, 0},
    {"update", "put of an existing random key, one a transaction", BENCH_STORE_RANDOM, BENCH_PUT, 1, 0},
    {"get", "get of an existing random key", BENCH_STORE_RANDOM, BENCH_GET, 0, 0},
    {"scan", "an entry of a full scan, forward", BENCH_STORE_RANDOM, BENCH_SCAN, 0, 0},
    {"back", "an entry of a full scan, backward", BENCH_STORE_RANDOM, BENCH_SCAN_BACK, 0, 0},
    {"seek50", "seek to a random key and read the 50 that follow it", BENCH_STORE_RANDOM, BENCH_RANGE, 0, 0},
    {"delete", "delete of an existing random key, one a transaction", BENCH_STORE_RANDOM, BENCH_DEL, 1, 0},
    {"ascend", "plain put of ascending keys, 1,000 a transaction", BENCH_STORE_ASCEND, BENCH_PUT, BATCH, 0},
    {"append", "put of ascending keys with APPEND, 1,000 a transaction", BENCH_STORE_APPEND, BENCH_PUT, BATCH, 1},
};
#define PHASES (sizeof phases / sizeof phases[0])
enum { PHASE_LOAD, PHASE_INSERT, PHASE_UPDATE, PHASE_GET, PHASE_SCAN, PHASE_BACK, PHASE_SEEK50, PHASE_DELETE };

static const struct bench_engine *const engines[2] = {&engine_daxkv, &engine_lmdb};

struct contents { /* what a store must hold: the version of each value, 0 = no such key */
	uint32_t *versions;
	uint64_t ids;        /* in versions */
	uint64_t count, sum; /* filled by contents_sum */
};

static int failure_report(const struct bench_engine *engine, const char *what, int err)
{
	fprintf(stderr, "bench: %s: %s: %s\n", engine->name, what, err == BENCH_END ? "no such entry" : engine->errmsg(err));
	return 1;
}

/* ---- operations ----------------------------------------------------------------------------------------------------------- */

static uint64_t phase_reported(const struct bench_config *c, size_t phase, const struct contents *contents)
{
	uint64_t n = 0;

	if (phase == PHASE_SCAN || phase == PHASE_BACK) {
		for (uint64_t i = 0; i < contents->ids; i++)
			n += contents->versions[i] != 0;
		return n;
	}
	return phases[phase].batch == BATCH ? c->entries : c->ops;
}

/* plan_make - draw the operations of a phase and bring contents to what holds after it. */
static int plan_make(const struct bench_config *c, size_t phase, struct contents *contents, struct bench_plan *plan)
{
	uint64_t rng = phase * 1000003u;

	plan->phase = &phases[phase];
	plan->reported = phase_reported(c, phase, contents);
	plan->n = plan->phase->kind == BENCH_SCAN || plan->phase->kind == BENCH_SCAN_BACK ? 1 : plan->reported;
	plan->ops = calloc(plan->n, sizeof *plan->ops);
	if (!plan->ops)
		return ENOMEM;
	for (uint64_t i = 0; i < plan->n; i++) {
		struct bench_op *op = &plan->ops[i];

		if (phase == PHASE_INSERT)
			op->id = c->entries + i;
		else if (phase == PHASE_UPDATE || phase == PHASE_GET || phase == PHASE_SEEK50)
			op->id = phase_mix(++rng) % c->entries;
		else
			op->id = i;
		if (plan->phase->kind == BENCH_PUT)
			op->version = ++contents->versions[op->id];
		else if (plan->phase->kind == BENCH_DEL)
			contents->versions[op->id] = 0;
	}
	return 0;
}

/* ---- what the stores hold ------------------------------------------------------------------------------------------------- */

static int contents_sum(const struct bench_config *c, enum bench_store store, struct contents *contents)
{
	unsigned char *key = malloc(c->key_size), *value = malloc(c->value_size);
	int err = key && value ? 0 : ENOMEM;

	contents->count = contents->sum = 0;
	for (uint64_t i = 0; !err && i < contents->ids; i++)
		if (contents->versions[i]) {
			phase_key(c, store, i, key);
			phase_value(c, i, contents->versions[i], value);
			contents->count++;
			contents->sum += phase_hash((struct bench_bytes){key, c->key_size}, (struct bench_bytes){value, c->value_size});
		}
	free(key);
	free(value);
	return err;
}

/* store_verify - compare a store's content with the expected one: number of entries, their order, every byte by a checksum. */
static int store_verify(const struct bench_engine *e, void *store, const struct contents *contents)
{
	struct bench_bytes k = {NULL, 0}, v;
	unsigned char last[4096];
	size_t last_size = 0;
	uint64_t count = 0, sum = 0;
	int err = e->begin(store, 0), disorder = 0;

	if (err)
		return failure_report(e, "verify", err);
	err = e->cursor_open(store);
	if (err) {
		e->abort(store);
		return failure_report(e, "verify", err);
	}
	err = e->move(store, BENCH_FIRST, &k, &v);
	while (!err) {
		if (k.size > sizeof last || (count && (k.size != last_size || memcmp(last, k.data, k.size) >= 0))) {
			disorder = 1;
			break;
		}
		memcpy(last, k.data, k.size);
		last_size = k.size;
		count++;
		sum += phase_hash(k, v);
		err = e->move(store, BENCH_NEXT, &k, &v);
	}
	e->cursor_close(store);
	e->abort(store);
	if (err && err != BENCH_END)
		return failure_report(e, "verify", err);
	if (disorder || count != contents->count || sum != contents->sum) {
		fprintf(stderr,
		        "bench: %s holds %" PRIu64 " entries with checksum %016" PRIx64 "%s; expected %" PRIu64 ", %016" PRIx64 "\n",
		        e->name, count, sum, disorder ? " before a key out of order" : "", contents->count, contents->sum);
		return 1;
	}
	return 0;
}

/* ---- rounds --------------------------------------------------------------------------------------------------------------- */

static void path_make(const struct bench_config *c, int engine, char *path)
{
	(void)snprintf(path, PATH_SIZE - 8, "%s/daxkv-bench-%ld-%s", c->dir, (long)getpid(), engines[engine]->name);
}

static void files_remove(const struct bench_config *c, int engine)
{
	char path[PATH_SIZE];

	path_make(c, engine, path);
	(void)unlink(path);
	strcat(path, "-lock");
	(void)unlink(path);
}

/* plan_run - a prepared phase on both engines, first on the one, then on the other. */
static int plan_run(const struct bench_plan *plan, uint64_t round, void *const stores[2], struct report *report)
{
	struct report_row *row = NULL;
	struct bench_result results[2];
	const char *what;

	for (unsigned int i = 0; i < 2; i++) {
		unsigned int e = (unsigned int)(round + i) % 2;
		int err = phase_run(report->config, engines[e], stores[e], plan, &results[e], &what);

		if (err) {
			fprintf(stderr, "bench: in phase %s\n", plan->phase->name);
			return failure_report(engines[e], what, err);
		}
	}
	if (results[0].checksum != results[1].checksum || results[0].touched != results[1].touched) {
		fprintf(stderr, "bench: phase %s: the engines read different entries\n", plan->phase->name);
		return 1;
	}
	for (unsigned int i = 0; i < report->nrows; i++)
		if (report->rows[i].phase == plan->phase)
			row = &report->rows[i];
	if (row) {
		row->reported = plan->reported;
		row->ns[0][round] = results[0].ns;
		row->ns[1][round] = results[1].ns;
		row->counts = results[0].counts;
	}
	return 0;
}

/* stores_finish - verify both and note what space they take. */
static int stores_finish(struct report *report, enum bench_store which, void *const stores[2], struct contents *contents)
{
	if (contents_sum(report->config, which, contents)) {
		fprintf(stderr, "bench: out of memory\n");
		return 1;
	}
	for (unsigned int e = 0; e < 2; e++) {
		uint64_t bytes, user = contents->count * (report->config->key_size + report->config->value_size);
		int err;

		if (store_verify(engines[e], stores[e], contents))
			return 1;
		err = engines[e]->space(stores[e], &bytes);
		if (err)
			return failure_report(engines[e], "space", err);
		report->space[which][e] = user ? (double)bytes / (double)user : 0;
		(void)snprintf(report->durability[e], sizeof report->durability[e], "%s", engines[e]->durability(stores[e]));
	}
	report->emulated = engines[0]->emulated(stores[0]);
	return 0;
}

static int phase_wanted(const struct bench_config *c, size_t phase)
{
	return !c->only || phase == PHASE_LOAD || strcmp(c->only, phases[phase].name) == 0;
}

static int phases_run(struct report *report, uint64_t round, enum bench_store which, void *const stores[2], struct contents *contents)
{
	for (size_t p = 0; p < PHASES; p++) {
		struct bench_plan plan;
		int failed;

		if (phases[p].store != which || !phase_wanted(report->config, p))
			continue;
		if (plan_make(report->config, p, contents, &plan)) {
			fprintf(stderr, "bench: out of memory\n");
			return 1;
		}
		failed = plan_run(&plan, round, stores, report);
		free(plan.ops);
		if (failed)
			return 1;
	}
	return stores_finish(report, which, stores, contents);
}

/* stores_run - all phases of one pair of stores, made fresh and removed afterwards. */
static int stores_run(struct report *report, uint64_t round, enum bench_store which, struct contents *contents)
{
	void *stores[2] = {NULL, NULL};
	int failed = 0;

	memset(contents->versions, 0, contents->ids * sizeof *contents->versions);
	for (int e = 0; e < 2 && !failed; e++) {
		char path[PATH_SIZE];
		int err;

		path_make(report->config, e, path);
		err = engines[e]->open(report->config, path, &stores[e]);
		if (err)
			failed = failure_report(engines[e], path, err);
	}
	if (!failed)
		failed = phases_run(report, round, which, stores, contents);
	for (int e = 0; e < 2; e++) {
		int err = stores[e] ? engines[e]->close(stores[e]) : 0;

		if (err)
			failed = failure_report(engines[e], "close", err);
		files_remove(report->config, e);
	}
	return failed;
}

static int rounds_run(struct report *report, struct contents *contents)
{
	for (uint64_t round = 0; round < report->config->rounds; round++)
		for (int s = 0; s < BENCH_STORES; s++) {
			int wanted = 0;

			for (size_t p = 0; p < PHASES; p++)
				wanted |= (int)phases[p].store == s &&
				          (!report->config->only || strcmp(report->config->only, phases[p].name) == 0);
			if (wanted && stores_run(report, round, (enum bench_store)s, contents))
				return 1;
		}
	return 0;
}

/* ---- options -------------------------------------------------------------------------------------------------------------- */

static void usage_print(FILE *f)
{
	fprintf(f, "usage: bench [--entries N] [--ops N] [--key BYTES] [--value BYTES] [--dir DIR] [--pmem force|file|auto]\n"
	           "             [--rounds N] [--only PHASE] [--json FILE]\nphases:\n");
	for (size_t p = 0; p < PHASES; p++)
		fprintf(f, "  %-8s %s\n", phases[p].name, phases[p].what);
}

static int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || *n < min || *n > max) {
		fprintf(stderr, "bench: %s is not a number from %" PRIu64 " to %" PRIu64 "\n", text, min, max);
		return 1;
	}
	return 0;
}

static int config_check(struct bench_config *c)
{
	int known = !c->only;

	if (strcmp(c->pmem, "force") && strcmp(c->pmem, "file") && strcmp(c->pmem, "auto")) {
		fprintf(stderr, "bench: --pmem is force, file or auto\n");
		return 1;
	}
	for (size_t p = 0; p < PHASES && !known; p++)
		known = strcmp(c->only, phases[p].name) == 0;
	if (!known) {
		fprintf(stderr, "bench: no phase %s\n", c->only);
		return 1;
	}
	if (c->ops == 0)
		c->ops = c->entries < 100000 ? c->entries : 100000;
	if (c->ops > c->entries) {
		fprintf(stderr, "bench: more operations than entries\n");
		return 1;
	}
	/* Half-full pages and pages that wait for their reuse: enough for either engine. */
	c->file_size = (c->entries + c->ops) * (c->key_size + c->value_size + 32) * 5 / 2 + (64u << 20);
	c->file_size = (c->file_size + (2u << 20) - 1) & ~(uint64_t)((2u << 20) - 1);
	return 0;
}

static int config_parse(int argc, char **argv, struct bench_config *c)
{
	static const struct option options[] = {
	    {"entries", 1, NULL, 'n'}, {"ops", 1, NULL, 'o'},  {"key", 1, NULL, 'k'},    {"value", 1, NULL, 'v'},
	    {"dir", 1, NULL, 'd'},     {"pmem", 1, NULL, 'p'}, {"rounds", 1, NULL, 'r'}, {"only", 1, NULL, 'O'},
	    {"json", 1, NULL, 'j'},    {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	uint64_t n;
	int option, bad = 0;

	while (!bad && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'n':
			bad = number_parse(optarg, 1, 1u << 30, &c->entries);
			break;
		case 'o':
			bad = number_parse(optarg, 1, 1u << 30, &c->ops);
			break;
		case 'r':
			bad = number_parse(optarg, 1, REPORT_ROUNDS, &c->rounds);
			break;
		case 'k':
			bad = number_parse(optarg, 8, 511, &n), c->key_size = (size_t)n;
			break;
		case 'v':
			bad = number_parse(optarg, 8, 1024, &n), c->value_size = (size_t)n;
			break;
		case 'd':
			c->dir = optarg;
			break;
		case 'p':
			c->pmem = optarg;
			break;
		case 'O':
			c->only = optarg;
			break;
		case 'j':
			c->json = optarg;
			break;
		case 'h':
			usage_print(stdout);
			exit(0);
		default:
			bad = 1;
		}
	if (bad || optind != argc) {
		usage_print(stderr);
		return 1;
	}
	return config_check(c);
}

int main(int argc, char **argv)
{
	struct bench_config config = {
	    .entries = 1000000, .rounds = 5, .key_size = 16, .value_size = 100, .dir = "/dev/shm", .pmem = "force"};
	struct contents contents;
	struct report *report;
	int failed;

	if (config_parse(argc, argv, &config))
		return 2;
	report = calloc(1, sizeof *report);
	contents.ids = config.entries + config.ops;
	contents.versions = calloc(contents.ids, sizeof *contents.versions);
	if (!report || !contents.versions) {
		fprintf(stderr, "bench: out of memory\n");
		return 1;
	}
	report->config = &config;
	for (size_t p = 0; p < PHASES; p++)
		if (!config.only || strcmp(config.only, phases[p].name) == 0)
			report->rows[report->nrows++].phase = &phases[p];
	failed = rounds_run(report, &contents);
	if (!failed)
		report_table(report);
	if (!failed && config.json) {
		int err = report_json(report, config.json);

		if (err) {
			fprintf(stderr, "bench: %s: %s\n", config.json, strerror(err));
			failed = 1;
		}
	}
	free(contents.versions);
	free(report);
	return failed;
}
