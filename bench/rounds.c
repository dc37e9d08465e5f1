/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rounds.h"

#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "reopen.h"

struct stores { /* one of each engine */
	void *sessions[BENCH_ENGINES];
	char dirs[BENCH_ENGINES][BENCH_PATH];
};

static int failure_report(const struct bench_engine *engine, const char *what, int err)
{
	fprintf(stderr, "bench: %s: %s: %s\n", engine->name, what,
	        err == BENCH_END ? "no such entry" : engine->errmsg(err));
	return 1;
}

static int memory_report(void)
{
	fprintf(stderr, "bench: out of memory\n");
	return 1;
}

static struct report_row *row_of(struct report *report, const struct bench_phase *phase)
{
	for (unsigned int i = 0; i < report->nrows; i++)
		if (report->rows[i].phase == phase)
			return &report->rows[i];
	return NULL;
}

/* results_note - all engines must have read the same; their times go into the phase's row, if it
 * has one. */
static int results_note(struct report *report, const struct bench_plan *plan, uint64_t round,
                        const struct bench_result *results)
{
	struct report_row *row = row_of(report, plan->phase);

	for (unsigned int e = 1; e < report->nengines; e++)
		if (results[e].checksum != results[0].checksum ||
		    results[e].touched != results[0].touched) {
			fprintf(stderr, "bench: phase %s: %s and %s read different entries\n",
			        plan->phase->name, report->engines[0]->name,
			        report->engines[e]->name);
			return 1;
		}
	if (!row)
		return 0;
	row->reported = plan->reported;
	row->user_bytes = plan->user_bytes;
	row->counts = results[0].counts;
	for (unsigned int e = 0; e < report->nengines; e++) {
		row->ns[e][round] = results[e].ns;
		for (int t = 0; t < BENCH_TAILS; t++)
			row->tail[t][e][round] = results[e].tail[t];
		row->writer_ns[e][round] = results[e].writer_ns;
		row->written[e] = results[e].written;
	}
	return 0;
}

/* plan_run - a prepared phase on each engine, one after the other; another one is first in each
 * round. The disk is at rest when an engine begins: it does not wait for what another one left. */
static int plan_run(const struct bench_plan *plan, uint64_t round, const struct stores *stores,
                    struct report *report)
{
	struct bench_result results[BENCH_ENGINES];
	const char *what = "";

	for (unsigned int i = 0; i < report->nengines; i++) {
		unsigned int e = (unsigned int)(round + i) % report->nengines;
		int err;

		files_settle(stores->dirs[e]);
		err = phase_run(report->config, report->engines[e], stores->sessions[e], plan,
		                &results[e], &what);
		if (err) {
			fprintf(stderr, "bench: in phase %s\n", plan->phase->name);
			return failure_report(report->engines[e], what, err);
		}
	}
	return results_note(report, plan, round, results);
}

/* stores_finish - verify all and note what space they take. */
static int stores_finish(struct report *report, enum bench_store which, const struct stores *stores,
                         struct contents *contents)
{
	const struct bench_config *c = report->config;

	if (contents_sum(c, which, contents))
		return memory_report();
	for (unsigned int i = 0; i < report->nengines; i++) {
		const struct bench_engine *e = report->engines[i];
		uint64_t bytes, user = contents->count * (c->key_size + phase_value_size(c, which));
		int err;

		if (contents_verify(e, stores->sessions[i], contents))
			return 1;
		err = e->space ? e->space(stores->sessions[i], &bytes)
		               : files_size(stores->dirs[i], &bytes);
		if (err)
			return failure_report(e, "space", err);
		report->space[which][i] = user ? (double)bytes / (double)user : 0;
		(void)snprintf(report->durability[i], sizeof report->durability[i], "%s",
		               e->durability(stores->sessions[i]));
		if (i == 0 && e->emulated)
			report->emulated = e->emulated(stores->sessions[i]);
	}
	return 0;
}

static int phases_run(struct report *report, uint64_t round, enum bench_store which,
                      const struct stores *stores, struct contents *contents)
{
	const struct bench_phase *phase;

	for (size_t p = 0; (phase = plan_phase(p)) != NULL; p++) {
		struct bench_plan plan;
		int failed;

		if (phase->store != which || !plan_wanted(report->config, p))
			continue;
		if (plan_make(report->config, p, contents, &plan))
			return memory_report();
		failed = plan_run(&plan, round, stores, report);
		free(plan.ops);
		if (failed)
			return 1;
	}
	return stores_finish(report, which, stores, contents);
}

static int stores_open(const struct report *report, struct stores *stores)
{
	for (unsigned int e = 0; e < report->nengines; e++) {
		int err = files_make(report->config, report->engines[e]->name, stores->dirs[e]);

		if (err) {
			fprintf(stderr, "bench: %s: %s\n", stores->dirs[e], strerror(err));
			return 1;
		}
		err = report->engines[e]->open(report->config, stores->dirs[e], 1,
		                               &stores->sessions[e]);
		if (err)
			return failure_report(report->engines[e], stores->dirs[e], err);
	}
	return 0;
}

/* stores_run - all phases of one set of stores, made fresh and removed afterwards; the floor is
 * measured in daxkv's file. */
static int stores_run(struct report *report, uint64_t round, enum bench_store which,
                      struct contents *contents)
{
	struct stores *stores = calloc(1, sizeof *stores);
	char path[BENCH_PATH];
	int failed;

	if (!stores)
		return memory_report();
	contents_clear(contents);
	failed = stores_open(report, stores);
	if (!failed)
		failed = phases_run(report, round, which, stores, contents);
	for (unsigned int e = 0; e < report->nengines; e++) {
		int err = stores->sessions[e] ? report->engines[e]->close(stores->sessions[e]) : 0;

		if (err)
			failed = failure_report(report->engines[e], "close", err);
		if (e > 0)
			files_remove(stores->dirs[e]);
	}
	files_name(stores->dirs[0], "store", path);
	if (!failed) {
		int err = floor_measure(report->config, path, &report->floors[which][round]);

		if (err) {
			fprintf(stderr, "bench: the floor, in %s: %s\n", path, strerror(err));
			failed = 1;
		}
	}
	files_remove(stores->dirs[0]);
	free(stores);
	return failed;
}

/* killed_run - every engine's store is opened after its process was killed. */
static int killed_run(struct report *report, uint64_t round, size_t phase,
                      struct contents *contents)
{
	struct report_row *row = row_of(report, plan_phase(phase));

	if (!row)
		return 0;
	row->reported = 1;
	for (unsigned int i = 0; i < report->nengines; i++) {
		unsigned int e = (unsigned int)(round + i) % report->nengines;

		if (reopen_run(report->config, report->engines[e], contents, &row->ns[e][round]))
			return 1;
	}
	return 0;
}

int rounds_run(struct report *report, struct contents *contents)
{
	for (uint64_t round = 0; round < report->config->rounds; round++) {
		int done[BENCH_STORES] = {0};
		const struct bench_phase *phase;

		for (size_t p = 0; (phase = plan_phase(p)) != NULL; p++) {
			int failed;

			if (done[phase->store] || !plan_wanted(report->config, p))
				continue;
			done[phase->store] = 1;
			failed = phase->store == BENCH_STORE_KILLED
			             ? killed_run(report, round, p, contents)
			             : stores_run(report, round, phase->store, contents);
			if (failed)
				return 1;
		}
	}
	return 0;
}
