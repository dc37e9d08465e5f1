/* SPDX-License-Identifier: BSD-3-Clause */
/* figure.c - what is reported of a phase and an engine, from what the rounds measured. */
#include <stdlib.h>
#include <string.h>

#include "report.h"

static int double_compare(const void *a, const void *b)
{
	double x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return (x > y) - (x < y);
}

static double list_median(const double *list, uint64_t n)
{
	double sorted[BENCH_ROUNDS];

	memcpy(sorted, list, n * sizeof *list);
	qsort(sorted, n, sizeof *sorted, double_compare);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void list_range(const double *list, uint64_t n, double *median, double *min, double *max)
{
	*median = list_median(list, n);
	*min = *max = list[0];
	for (uint64_t i = 1; i < n; i++) {
		*min = list[i] < *min ? list[i] : *min;
		*max = list[i] > *max ? list[i] : *max;
	}
}

struct floor floor_median(const struct report *report, enum bench_store store)
{
	double reads[BENCH_ROUNDS], commits[BENCH_ROUNDS], streams[BENCH_ROUNDS];
	uint64_t n = report->config->rounds;

	for (uint64_t i = 0; i < n; i++) {
		reads[i] = report->floors[store][i].read_ns;
		commits[i] = report->floors[store][i].commit_ns;
		streams[i] = report->floors[store][i].stream_ns;
	}
	return (struct floor){list_median(reads, n), list_median(commits, n),
	                      list_median(streams, n), report->floors[store][0].lines};
}

/* written_ratio - bytes written for a user byte; negative where it is not known: what a mapping
 * without flushes of single lines gives to the disk, nobody counts. */
static double written_ratio(const struct report *report, const struct report_row *row,
                            unsigned int engine)
{
	uint64_t lines = row->counts.lines_flushed + row->counts.lines_streamed;

	if (row->user_bytes == 0 || !report->engines[engine]->counts_writes)
		return -1;
	if (engine == 0)
		return lines ? (double)(lines * 64) / (double)row->user_bytes : -1;
	return row->written[engine] ? (double)row->written[engine] / (double)row->user_bytes : -1;
}

void figure_make(const struct report *report, const struct report_row *row, unsigned int engine,
                 struct figure *f)
{
	uint64_t rounds = report->config->rounds;
	struct floor floor = floor_median(report, row->phase->store);
	double ratios[BENCH_ROUNDS], n = (double)row->reported;

	for (uint64_t r = 0; r < rounds; r++)
		ratios[r] = row->ns[engine][r] / row->ns[0][r];
	list_range(row->ns[engine], rounds, &f->ns, &f->ns_min, &f->ns_max);
	list_range(ratios, rounds, &f->ratio, &f->ratio_min, &f->ratio_max);
	for (int t = 0; t < BENCH_TAILS; t++)
		f->tail[t] = row->phase->timed ? list_median(row->tail[t][engine], rounds) : -1;
	f->writer_ns = row->phase->writer ? list_median(row->writer_ns[engine], rounds) : -1;
	f->floor_ns = floor_of(report->config, row->phase, &floor);
	if (f->floor_ns <= 0)
		f->floor_ns = -1;
	f->to_floor = f->floor_ns > 0 ? f->ns / f->floor_ns : -1;
	f->written = written_ratio(report, row, engine);
	f->fences = f->lines_flushed = f->lines_streamed = -1;
	if (engine == 0 && row->phase->kind != BENCH_REOPEN && row->phase->kind != BENCH_READERS) {
		f->fences = (double)row->counts.fences / n;
		f->lines_flushed = (double)row->counts.lines_flushed / n;
		f->lines_streamed = (double)row->counts.lines_streamed / n;
	}
}

const char *store_name(enum bench_store store)
{
	static const char *const names[BENCH_STORES] = {
	    [BENCH_STORE_RANDOM] = "random keys, after all phases",
	    [BENCH_STORE_ASCEND] = "ascending plain puts",
	    [BENCH_STORE_APPEND] = "append",
	    [BENCH_STORE_MANY] = "put-many",
	    [BENCH_STORE_BULK] = "bulk, after the cut",
	    [BENCH_STORE_LARGE] = "values of 64 KiB",
	    [BENCH_STORE_KILLED] = "killed",
	};

	return names[store];
}
