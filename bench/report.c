/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

struct machine {
	char cpu[128], date[64], filesystem[32], kernel[200], compiler[96];
	long cpus;
};

static void cpu_describe(char *buf, size_t size)
{
	char line[512];
	FILE *f = fopen("/proc/cpuinfo", "r");

	(void)snprintf(buf, size, "unknown");
	if (!f)
		return;
	while (fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) == 0 && colon) {
			line[strcspn(line, "\n")] = 0;
			(void)snprintf(buf, size, "%.*s", (int)size - 1, colon + 2);
			break;
		}
	}
	(void)fclose(f);
}

static void filesystem_describe(const char *dir, char *buf, size_t size)
{
	static const struct {
		unsigned long type;
		const char *name;
	} known[] = {
	    {0x01021994, "tmpfs"}, {0xef53, "ext4"}, {0x58465342, "xfs"}, {0x9123683e, "btrfs"}, {0x794c7630, "overlayfs"},
	};
	struct statfs fs;

	if (statfs(dir, &fs)) {
		(void)snprintf(buf, size, "unknown");
		return;
	}
	(void)snprintf(buf, size, "type 0x%lx", (unsigned long)fs.f_type);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (known[i].type == (unsigned long)fs.f_type)
			(void)snprintf(buf, size, "%s", known[i].name);
}

static void machine_describe(const char *dir, struct machine *m)
{
	time_t now = time(NULL);
	struct utsname u;
	struct tm tm;

	cpu_describe(m->cpu, sizeof m->cpu);
	filesystem_describe(dir, m->filesystem, sizeof m->filesystem);
	m->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (!gmtime_r(&now, &tm) || !strftime(m->date, sizeof m->date, "%Y-%m-%d %H:%M UTC", &tm))
		(void)snprintf(m->date, sizeof m->date, "unknown");
	if (uname(&u) == 0)
		(void)snprintf(m->kernel, sizeof m->kernel, "%s %s %s", u.sysname, u.release, u.machine);
	else
		(void)snprintf(m->kernel, sizeof m->kernel, "unknown");
	(void)snprintf(m->compiler, sizeof m->compiler, "%s", __VERSION__);
}

struct figure { /* of a row */
	double ns[2], ratio, low, high;
};

static int double_compare(const void *a, const void *b)
{
	double x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return (x > y) - (x < y);
}

static double list_median(const double *list, uint64_t n)
{
	double sorted[REPORT_ROUNDS];

	memcpy(sorted, list, n * sizeof *list);
	qsort(sorted, n, sizeof *sorted, double_compare);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static struct figure row_figure(const struct report_row *row, uint64_t rounds)
{
	double ratios[REPORT_ROUNDS];
	struct figure f;

	for (uint64_t r = 0; r < rounds; r++) {
		ratios[r] = row->ns[1][r] / row->ns[0][r];
		f.low = r == 0 || ratios[r] < f.low ? ratios[r] : f.low;
		f.high = r == 0 || ratios[r] > f.high ? ratios[r] : f.high;
	}
	f.ns[0] = list_median(row->ns[0], rounds);
	f.ns[1] = list_median(row->ns[1], rounds);
	f.ratio = list_median(ratios, rounds);
	return f;
}

static const char *store_name(int store)
{
	static const char *const names[] = {"random keys, after all phases", "ascending plain puts", "append"};

	return names[store];
}

static void header_print(const struct report *report, const struct machine *m)
{
	const struct bench_config *c = report->config;

	printf("%s, %ld CPUs\n%s, compiler %s\n%s, %s on %s\n", m->cpu, m->cpus, m->kernel, m->compiler, m->date, c->dir, m->filesystem);
	printf("daxkv %s: %s\n%s\n", engine_daxkv.version(), report->durability[0], engine_lmdb.version());
	printf("  %s\n", report->durability[1]);
	if (report->emulated)
		printf("DRAM stands in for persistent memory: daxkv flushes and fences as it would there.\n");
	printf("%" PRIu64 " entries of %zu + %zu bytes, %" PRIu64 " operations in the small phases, %" PRIu64 " rounds; both files have\n",
	       c->entries, c->key_size, c->value_size, c->ops, c->rounds);
	printf("%" PRIu64 " MiB from the start, so that growing is not part of any phase. Times are medians; the ratio is LMDB's time\n",
	       c->file_size >> 20);
	printf("divided by daxkv's, its median over the rounds and in brackets its least and greatest.\n\n");
}

void report_table(const struct report *report)
{
	struct machine m;

	machine_describe(report->config->dir, &m);
	header_print(report, &m);
	printf("%-9s %10s %10s  %-20s %8s %8s %9s  %s\n", "phase", "daxkv ns", "LMDB ns", "ratio", "fences", "flushed", "streamed", "what");
	for (unsigned int i = 0; i < report->nrows; i++) {
		const struct report_row *row = &report->rows[i];
		struct figure f = row_figure(row, report->config->rounds);
		double n = (double)row->reported;
		char ratio[64];

		(void)snprintf(ratio, sizeof ratio, "%.2f [%.2f..%.2f]", f.ratio, f.low, f.high);
		printf("%-9s %10.1f %10.1f  %-20s %8.3f %8.2f %9.2f  %s\n", row->phase->name, f.ns[0], f.ns[1], ratio,
		       (double)row->counts.fences / n, (double)row->counts.lines_flushed / n, (double)row->counts.lines_streamed / n,
		       row->phase->what);
		if (row->counts.grows)
			printf("          daxkv's file grew %" PRIu64 " times in this phase\n", row->counts.grows);
	}
	printf("\nfences, flushed, streamed: daxkv's fences and cache lines for an operation, counted in the last round.\n");
	printf("\nbytes of the file in use for a user byte:\n");
	for (int s = 0; s < BENCH_STORES; s++)
		if (report->space[s][0] > 0)
			printf("  %-30s daxkv %.3f  LMDB %.3f\n", store_name(s), report->space[s][0], report->space[s][1]);
	printf("\nAfter every round both stores held exactly the expected entries.\n");
}

static void string_print(FILE *f, const char *name, const char *text)
{
	fprintf(f, "  \"%s\": \"", name);
	for (; *text; text++)
		if (*text == '"' || *text == '\\')
			fprintf(f, "\\%c", *text);
		else if ((unsigned char)*text >= ' ')
			fputc(*text, f);
	fprintf(f, "\",\n");
}

static void rows_print(FILE *f, const struct report *report)
{
	fprintf(f, "  \"phases\": [\n");
	for (unsigned int i = 0; i < report->nrows; i++) {
		const struct report_row *row = &report->rows[i];
		struct figure x = row_figure(row, report->config->rounds);
		double n = (double)row->reported;

		fprintf(f, "    {\"name\": \"%s\", \"operations\": %" PRIu64 ", \"daxkv_ns\": %.2f, \"lmdb_ns\": %.2f, ", row->phase->name,
		        row->reported, x.ns[0], x.ns[1]);
		fprintf(f, "\"ratio\": %.4f, \"ratio_min\": %.4f, \"ratio_max\": %.4f, ", x.ratio, x.low, x.high);
		fprintf(f, "\"fences\": %.6f, \"lines_flushed\": %.6f, \"lines_streamed\": %.6f, \"grows\": %" PRIu64 "}%s\n",
		        (double)row->counts.fences / n, (double)row->counts.lines_flushed / n, (double)row->counts.lines_streamed / n,
		        row->counts.grows, i + 1 < report->nrows ? "," : "");
	}
	fprintf(f, "  ],\n");
}

int report_json(const struct report *report, const char *path)
{
	const struct bench_config *c = report->config;
	struct machine m;
	FILE *f = fopen(path, "w");
	const char *separator = "";
	int failed;

	if (!f)
		return errno;
	machine_describe(c->dir, &m);
	fprintf(f, "{\n");
	string_print(f, "cpu", m.cpu);
	string_print(f, "kernel", m.kernel);
	string_print(f, "date", m.date);
	string_print(f, "filesystem", m.filesystem);
	string_print(f, "compiler", m.compiler);
	string_print(f, "daxkv", engine_daxkv.version());
	string_print(f, "daxkv_durability", report->durability[0]);
	string_print(f, "lmdb", engine_lmdb.version());
	string_print(f, "lmdb_durability", report->durability[1]);
	fprintf(f, "  \"dram_stands_in_for_persistent_memory\": %s,\n", report->emulated ? "true" : "false");
	fprintf(f, "  \"entries\": %" PRIu64 ", \"ops\": %" PRIu64 ", \"rounds\": %" PRIu64 ", ", c->entries, c->ops, c->rounds);
	fprintf(f, "\"key_size\": %zu, \"value_size\": %zu, \"file_size\": %" PRIu64 ",\n", c->key_size, c->value_size, c->file_size);
	rows_print(f, report);
	fprintf(f, "  \"space\": [");
	for (int s = 0; s < BENCH_STORES; s++)
		if (report->space[s][0] > 0) {
			fprintf(f, "%s\n    {\"store\": \"%s\", \"daxkv\": %.4f, \"lmdb\": %.4f}", separator, store_name(s),
			        report->space[s][0], report->space[s][1]);
			separator = ",";
		}
	fprintf(f, "\n  ]\n}\n");
	failed = ferror(f);
	return fclose(f) || failed ? EIO : 0;
}
