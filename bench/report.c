/* SPDX-License-Identifier: BSD-3-Clause */
/* report.c - the table for people: on a terminal, and as Markdown for a file. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct page { /* where a table goes, and how its cells are set */
	FILE *f;
	int markdown;
	const struct report *report;
};

static const char *number_text(double x, int decimals, char *buf, size_t size)
{
	if (x < 0)
		return "-";
	(void)snprintf(buf, size, "%.*f", decimals, x);
	return buf;
}

static void cell_print(const struct page *p, int width, const char *text)
{
	if (p->markdown)
		fprintf(p->f, " %s |", text);
	else
		fprintf(p->f, "%*s", width, text);
}

static void number_print(const struct page *p, int width, double x, int decimals)
{
	char buf[40];

	cell_print(p, width, number_text(x, decimals, buf, sizeof buf));
}

static void row_begin(const struct page *p, const char *name)
{
	fprintf(p->f, p->markdown ? "| %s |" : "%-9s", name);
}

/* title_print - what stands above a table; its columns are set with cell_print after it and end
 * with rule_print. */
static void title_print(const struct page *p, const char *title, const char *first)
{
	fprintf(p->f, p->markdown ? "\n### %s\n\n" : "\n%s\n\n", title);
	row_begin(p, first);
}

static void rule_print(const struct page *p, unsigned int columns)
{
	fputc('\n', p->f);
	if (!p->markdown)
		return;
	fprintf(p->f, "|---|");
	for (unsigned int i = 0; i < columns; i++)
		fprintf(p->f, "---:|");
	fputc('\n', p->f);
}

static void line_print(const struct page *p, const char *label, const char *text)
{
	fprintf(p->f, p->markdown ? "- **%s**: %s\n" : "%-12s %s\n", label, text);
}

static void header_print(const struct page *p)
{
	const struct report *r = p->report;
	const struct bench_config *c = r->config;
	const struct machine *m = &r->machine;
	char text[512];

	(void)snprintf(text, sizeof text, "%s, %ld CPUs, load %s before the run", m->cpu, m->cpus,
	               m->load);
	line_print(p, "machine", text);
	(void)snprintf(text, sizeof text, "%s, compiler %s", m->kernel, m->compiler);
	line_print(p, "system", text);
	(void)snprintf(text, sizeof text, "%s on %s%s%s", c->dir, m->filesystem,
	               c->huge_pages ? " with huge pages, as DAX filesystems map them" : "",
	               r->emulated ? "; DRAM stands in for persistent memory: daxkv flushes and "
	                             "fences as it would there"
	                           : "");
	line_print(p, "files", text);
	line_print(p, "date", m->date);
	line_print(p, "command", c->command);
	(void)snprintf(text, sizeof text,
	               "%" PRIu64 " entries of %zu + %zu bytes, %" PRIu64
	               " operations in the small phases, %" PRIu64 " in the mixes, %" PRIu64
	               " with large values, %" PRIu64 " rounds",
	               c->entries, c->key_size, c->value_size, c->ops, c->mixed_ops, c->large_ops,
	               c->rounds);
	line_print(p, "size", text);
	for (unsigned int e = 0; e < r->nengines; e++) {
		(void)snprintf(text, sizeof text, "%s%s%s", r->engines[e]->version(),
		               r->durability[e][0] ? "; " : "", r->durability[e]);
		line_print(p, r->engines[e]->name, text);
	}
	if (r->absent[0])
		line_print(p, "absent", r->absent);
}

static void times_print(const struct page *p)
{
	const struct report *r = p->report;

	title_print(p, "Nanoseconds an operation, median of the rounds", "phase");
	for (unsigned int e = 0; e < r->nengines; e++)
		cell_print(p, 13, r->engines[e]->name);
	cell_print(p, 11, "floor");
	fprintf(p->f, p->markdown ? " what |\n" : "  what");
	if (p->markdown) {
		fprintf(p->f, "|---|");
		for (unsigned int e = 0; e <= r->nengines; e++)
			fprintf(p->f, "---:|");
		fprintf(p->f, "---|");
	}
	fputc('\n', p->f);
	for (unsigned int i = 0; i < r->nrows; i++) {
		struct figure f = {0};

		row_begin(p, r->rows[i].phase->name);
		for (unsigned int e = 0; e < r->nengines; e++) {
			figure_make(r, &r->rows[i], e, &f);
			number_print(p, 13, f.ns, 1);
		}
		number_print(p, 11, f.floor_ns, 1);
		fprintf(p->f, p->markdown ? " %s |\n" : "  %s\n", r->rows[i].phase->what);
	}
}

static void ratios_print(const struct page *p)
{
	const struct report *r = p->report;

	if (r->nengines < 2)
		return;
	title_print(p,
	            "Time divided by daxkv's: above 1 daxkv is faster; median [least..greatest] of "
	            "the rounds",
	            "phase");
	for (unsigned int e = 1; e < r->nengines; e++)
		cell_print(p, 23, r->engines[e]->name);
	rule_print(p, r->nengines - 1);
	for (unsigned int i = 0; i < r->nrows; i++) {
		row_begin(p, r->rows[i].phase->name);
		for (unsigned int e = 1; e < r->nengines; e++) {
			struct figure f;
			char text[64];

			figure_make(r, &r->rows[i], e, &f);
			(void)snprintf(text, sizeof text, "%.2f [%.2f..%.2f]", f.ratio, f.ratio_min,
			               f.ratio_max);
			cell_print(p, 23, text);
		}
		fputc('\n', p->f);
	}
}

static void floors_print(const struct page *p)
{
	const struct report *r = p->report;
	char text[256];

	title_print(p, "Time divided by the floor, measured on the same file in the same run",
	            "phase");
	for (unsigned int e = 0; e < r->nengines; e++)
		cell_print(p, 13, r->engines[e]->name);
	rule_print(p, r->nengines);
	for (unsigned int i = 0; i < r->nrows; i++) {
		struct figure f;

		figure_make(r, &r->rows[i], 0, &f);
		if (f.floor_ns < 0)
			continue;
		row_begin(p, r->rows[i].phase->name);
		for (unsigned int e = 0; e < r->nengines; e++) {
			figure_make(r, &r->rows[i], e, &f);
			number_print(p, 13, f.to_floor, 2);
		}
		fputc('\n', p->f);
	}
	fputc('\n', p->f);
	for (int s = 0; s < BENCH_STORES; s++) {
		struct floor floor = floor_median(r, (enum bench_store)s);

		if (floor.stream_ns <= 0)
			continue;
		(void)snprintf(text, sizeof text,
		               "three dependent random line reads %.1f ns; three random lines %s "
		               "%.1f ns; streaming %.0f MB/s",
		               floor.read_ns,
		               floor.lines ? "written, flushed, one fence" : "written, fdatasync",
		               floor.commit_ns, 1000 / floor.stream_ns);
		fprintf(p->f, p->markdown ? "- %s: %s\n" : "%s: %s\n",
		        store_name((enum bench_store)s), text);
	}
}

static void counts_print(const struct page *p)
{
	static const char *const names[] = {"fences", "flushed", "streamed"};
	const struct report *r = p->report;

	title_print(p,
	            "Exact counts of the last round: daxkv's fences, lines flushed and streamed an "
	            "operation; bytes written for a user byte",
	            "phase");
	for (unsigned int i = 0; i < 3; i++)
		cell_print(p, 10, names[i]);
	for (unsigned int e = 0; e < r->nengines; e++)
		if (r->engines[e]->counts_writes)
			cell_print(p, 13, r->engines[e]->name);
	rule_print(p, 3 + r->nengines);
	for (unsigned int i = 0; i < r->nrows; i++) {
		struct figure f;

		figure_make(r, &r->rows[i], 0, &f);
		if (f.fences <= 0 && r->rows[i].user_bytes == 0)
			continue;
		row_begin(p, r->rows[i].phase->name);
		number_print(p, 10, f.fences, 3);
		number_print(p, 10, f.lines_flushed, 2);
		number_print(p, 10, f.lines_streamed, 2);
		for (unsigned int e = 0; e < r->nengines; e++) {
			figure_make(r, &r->rows[i], e, &f);
			if (r->engines[e]->counts_writes)
				number_print(p, 13, f.written, 2);
		}
		fputc('\n', p->f);
		if (r->rows[i].counts.grows && !p->markdown)
			fprintf(p->f,
			        "          daxkv's file grew %" PRIu64 " times in this phase\n",
			        r->rows[i].counts.grows);
	}
}

static void writers_print(const struct page *p)
{
	const struct report *r = p->report;
	int titled = 0;

	for (unsigned int i = 0; i < r->nrows; i++) {
		if (!r->rows[i].phase->writer)
			continue;
		if (!titled) {
			title_print(p, "Nanoseconds a one-put commit takes beside the readers",
			            "phase");
			for (unsigned int e = 0; e < r->nengines; e++)
				cell_print(p, 13, r->engines[e]->name);
			rule_print(p, r->nengines);
			titled = 1;
		}
		row_begin(p, r->rows[i].phase->name);
		for (unsigned int e = 0; e < r->nengines; e++) {
			struct figure f;

			figure_make(r, &r->rows[i], e, &f);
			number_print(p, 13, f.writer_ns, 1);
		}
		fputc('\n', p->f);
	}
}

static void tails_print(const struct page *p)
{
	static const char *const names[BENCH_TAILS] = {"half", "99 %", "99.9 %", "all"};
	const struct report *r = p->report;

	for (unsigned int i = 0; i < r->nrows; i++) {
		if (!r->rows[i].phase->timed)
			continue;
		title_print(p, "Nanoseconds that as many of the one-put transactions take at most",
		            "share");
		for (unsigned int e = 0; e < r->nengines; e++)
			cell_print(p, 13, r->engines[e]->name);
		rule_print(p, r->nengines);
		for (int t = 0; t < BENCH_TAILS; t++) {
			row_begin(p, names[t]);
			for (unsigned int e = 0; e < r->nengines; e++) {
				struct figure f;

				figure_make(r, &r->rows[i], e, &f);
				number_print(p, 13, f.tail[t], 0);
			}
			fputc('\n', p->f);
		}
	}
}

static void space_print(const struct page *p)
{
	const struct report *r = p->report;

	title_print(p, "Bytes of the files in use for a user byte", "store");
	for (unsigned int e = 0; e < r->nengines; e++)
		cell_print(p, e == 0 && !p->markdown ? 34 : 13, r->engines[e]->name);
	rule_print(p, r->nengines);
	for (int s = 0; s < BENCH_STORES; s++) {
		const char *name = store_name((enum bench_store)s);

		if (r->space[s][0] <= 0)
			continue;
		row_begin(p, name);
		for (unsigned int e = 0; e < r->nengines; e++)
			number_print(p,
			             e == 0 ? 43 - (int)(strlen(name) < 9 ? 9 : strlen(name)) : 13,
			             r->space[s][e], 3);
		fputc('\n', p->f);
	}
}

static void all_print(const struct page *p)
{
	header_print(p);
	times_print(p);
	ratios_print(p);
	floors_print(p);
	counts_print(p);
	writers_print(p);
	tails_print(p);
	space_print(p);
	fprintf(p->f, "\nAfter every round each store held exactly the expected entries.\n");
}

void report_table(const struct report *report)
{
	all_print(&(struct page){stdout, 0, report});
}

int report_markdown(const struct report *report, const char *path)
{
	FILE *f = fopen(path, "w");
	int failed;

	if (!f)
		return errno;
	all_print(&(struct page){f, 1, report});
	failed = ferror(f);
	return fclose(f) || failed ? EIO : 0;
}
