/* SPDX-License-Identifier: BSD-3-Clause */
/* report_data.c - the figures for programs: JSON, and CSV with one line for a phase and an engine.
 * What is not known is null, or empty. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <inttypes.h>

#include "report.h"

struct field {
	const char *name;
	double value;
};
#define FIELDS 18u

static void fields_make(const struct report *report, const struct report_row *row,
                        unsigned int engine, struct field out[FIELDS])
{
	struct figure f;

	figure_make(report, row, engine, &f);
	const struct field fields[FIELDS] = {
	    {"ns", f.ns},
	    {"ns_min", f.ns_min},
	    {"ns_max", f.ns_max},
	    {"ratio", f.ratio},
	    {"ratio_min", f.ratio_min},
	    {"ratio_max", f.ratio_max},
	    {"writer_ns", f.writer_ns},
	    {"half_ns", f.tail[BENCH_HALF]},
	    {"p99_ns", f.tail[BENCH_99]},
	    {"p999_ns", f.tail[BENCH_999]},
	    {"most_ns", f.tail[BENCH_MOST]},
	    {"floor_ns", f.floor_ns},
	    {"to_floor", f.to_floor},
	    {"fences", f.fences},
	    {"lines_flushed", f.lines_flushed},
	    {"lines_streamed", f.lines_streamed},
	    {"written_per_user_byte", f.written},
	    {"space_per_user_byte", report->space[row->phase->store][engine] > 0
	                                ? report->space[row->phase->store][engine]
	                                : -1},
	};

	for (unsigned int i = 0; i < FIELDS; i++)
		out[i] = fields[i];
}

static void string_print(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++)
		if (*text == '"' || *text == '\\')
			fprintf(f, "\\%c", *text);
		else if ((unsigned char)*text >= ' ')
			fputc(*text, f);
	fputc('"', f);
}

static void pair_print(FILE *f, const char *name, const char *text)
{
	fprintf(f, "  \"%s\": ", name);
	string_print(f, text);
	fprintf(f, ",\n");
}

static void engines_print(FILE *f, const struct report *r)
{
	fprintf(f, "  \"engines\": [\n");
	for (unsigned int e = 0; e < r->nengines; e++) {
		fprintf(f, "    {\"name\": ");
		string_print(f, r->engines[e]->name);
		fprintf(f, ", \"version\": ");
		string_print(f, r->engines[e]->version());
		fprintf(f, ", \"durability\": ");
		string_print(f, r->durability[e]);
		fprintf(f, "}%s\n", e + 1 < r->nengines ? "," : "");
	}
	fprintf(f, "  ],\n");
}

static void floors_print(FILE *f, const struct report *r)
{
	const char *separator = "";

	fprintf(f, "  \"floors\": [");
	for (int s = 0; s < BENCH_STORES; s++) {
		struct floor floor = floor_median(r, (enum bench_store)s);

		if (floor.stream_ns <= 0)
			continue;
		fprintf(f, "%s\n    {\"store\": ", separator);
		string_print(f, store_name((enum bench_store)s));
		fprintf(f,
		        ", \"three_reads_ns\": %.2f, \"three_lines_one_fence_ns\": %.2f, "
		        "\"stream_bytes_per_second\": %.0f, \"fence\": \"%s\"}",
		        floor.read_ns, floor.commit_ns, 1e9 / floor.stream_ns,
		        floor.lines ? "flushed lines" : "fdatasync");
		separator = ",";
	}
	fprintf(f, "\n  ],\n");
}

static void row_print(FILE *f, const struct report *r, const struct report_row *row,
                      unsigned int engine)
{
	struct field fields[FIELDS];

	fields_make(r, row, engine, fields);
	fprintf(f, "    {\"phase\": \"%s\", \"engine\": \"%s\", \"operations\": %" PRIu64,
	        row->phase->name, r->engines[engine]->name, row->reported);
	for (unsigned int i = 0; i < FIELDS; i++)
		if (fields[i].value < 0)
			fprintf(f, ", \"%s\": null", fields[i].name);
		else
			fprintf(f, ", \"%s\": %.4f", fields[i].name, fields[i].value);
	fputc('}', f);
}

int report_json(const struct report *report, const char *path)
{
	const struct bench_config *c = report->config;
	const struct machine *m = &report->machine;
	FILE *f = fopen(path, "w");
	int failed;

	if (!f)
		return errno;
	fprintf(f, "{\n");
	pair_print(f, "cpu", m->cpu);
	pair_print(f, "kernel", m->kernel);
	pair_print(f, "date", m->date);
	pair_print(f, "load", m->load);
	pair_print(f, "filesystem", m->filesystem);
	pair_print(f, "huge_pages", report->config->huge_pages ? "yes" : "no");
	pair_print(f, "compiler", m->compiler);
	pair_print(f, "command", c->command);
	pair_print(f, "absent", report->absent);
	fprintf(f, "  \"cpus\": %ld, \"dram_stands_in_for_persistent_memory\": %s,\n", m->cpus,
	        report->emulated ? "true" : "false");
	fprintf(f,
	        "  \"entries\": %" PRIu64 ", \"ops\": %" PRIu64 ", \"mixed_ops\": %" PRIu64
	        ", \"large_ops\": %" PRIu64 ",\n",
	        c->entries, c->ops, c->mixed_ops, c->large_ops);
	fprintf(f,
	        "  \"rounds\": %" PRIu64
	        ", \"key_size\": %zu, \"value_size\": %zu, \"file_size\": %" PRIu64 ",\n",
	        c->rounds, c->key_size, c->value_size, c->file_size);
	engines_print(f, report);
	floors_print(f, report);
	fprintf(f, "  \"phases\": [\n");
	for (unsigned int i = 0; i < report->nrows; i++)
		for (unsigned int e = 0; e < report->nengines; e++) {
			row_print(f, report, &report->rows[i], e);
			fprintf(f, "%s\n",
			        i + 1 < report->nrows || e + 1 < report->nengines ? "," : "");
		}
	fprintf(f, "  ]\n}\n");
	failed = ferror(f);
	return fclose(f) || failed ? EIO : 0;
}

int report_csv(const struct report *report, const char *path)
{
	FILE *f = fopen(path, "w");
	struct field fields[FIELDS];
	int failed;

	if (!f)
		return errno;
	for (unsigned int i = 0; i < report->nrows; i++)
		for (unsigned int e = 0; e < report->nengines; e++) {
			fields_make(report, &report->rows[i], e, fields);
			if (i == 0 && e == 0) {
				fprintf(f, "phase,engine,operations");
				for (unsigned int k = 0; k < FIELDS; k++)
					fprintf(f, ",%s", fields[k].name);
				fputc('\n', f);
			}
			fprintf(f, "%s,%s,%" PRIu64, report->rows[i].phase->name,
			        report->engines[e]->name, report->rows[i].reported);
			for (unsigned int k = 0; k < FIELDS; k++)
				if (fields[k].value < 0)
					fputc(',', f);
				else
					fprintf(f, ",%.4f", fields[k].value);
			fputc('\n', f);
		}
	failed = ferror(f);
	return fclose(f) || failed ? EIO : 0;
}
