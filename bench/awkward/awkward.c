/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * awkward.c - bench-awkward: LMDB and daxkv's liblmdb.so.0 side by side in awkward work. See
 * awkward.h
 *
 * A phase runs in a child process for each library, in turn, as often as there are rounds. What is
 * compared is the processor time of the child while the phase runs, the kernel's part included: it
 * depends less than the time of a clock on what else the machine does. A phase's ratio is the
 * median of its rounds'.
 */
#include "awkward.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 99u
#define PATH_BYTES 4096u

enum { STOCK, OURS, LIBRARIES };

struct options {
	const char *dir, *pmem, *only, *markdown, *library[LIBRARIES];
	double scale, limit;
	unsigned int rounds;
	int wall; /* compare the time of a clock */
};

struct result {             /* of a child, in memory that the parent sees */
	double ns, wall_ns; /* of all operations */
	uint64_t ops, sum;
	double p50, p9999, worst; /* of a timed phase, in nanoseconds */
	int done;
};

struct line { /* of the table */
	double ns[LIBRARIES], ratio, p9999[LIBRARIES], worst[LIBRARIES];
};

static const struct phase *const tables[] = {order_phases, change_phases, txn_phases,   many_phases,
                                             read_phases,  dups_phases,   growth_phases};

static void fail(const char *what, const char *more)
{
	fprintf(stderr, "bench-awkward: %s%s%s\n", what, more ? ": " : "", more ? more : "");
	exit(1);
}

static double processor_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int double_cmp(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *x, unsigned int n)
{
	qsort(x, n, sizeof *x, double_cmp);
	return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* ---- one phase with one library
 * ------------------------------------------------------------------ */

static uint64_t size_of(const struct options *o, const struct phase *phase)
{
	const double n = (double)phase->n * o->scale;

	/* phases go by the hundred, and some divide by what they do */
	return n < 1000 ? 1000 : (uint64_t)(n / 1000) * 1000;
}

static void latencies(struct job *j, struct result *r)
{
	qsort(j->latency, j->n, sizeof *j->latency, double_cmp);
	r->p50 = j->latency[j->n / 2];
	r->p9999 = j->latency[(uint64_t)((double)(j->n - 1) * 0.9999)];
	r->worst = j->latency[j->n - 1];
}

/* child_run - the whole of a child process. */
static void child_run(const struct options *o, const struct phase *phase, const char *library,
                      const char *dir, struct result *r)
{
	static struct job j;

	j.phase = phase;
	j.dir = dir;
	j.ops = j.n = size_of(o, phase);
	if (phase->timed && !(j.latency = calloc(j.n, sizeof *j.latency)))
		fail("no memory", NULL);
	job_open(&j, library, o->pmem);
	if (phase->prepare)
		phase->prepare(&j);
	const double from = processor_ns(), clock = job_clock();

	phase->run(&j);
	r->ns = processor_ns() - from;
	r->wall_ns = job_clock() - clock;
	r->ops = j.ops;
	r->sum = j.sum;
	if (phase->timed)
		latencies(&j, r);
	job_close(&j);
	r->done = 1;
	exit(0);
}

/* dir_make, dir_remove - of one run's files. */
static void dir_make(const struct options *o, char *dir)
{
	(void)snprintf(dir, PATH_BYTES, "%s/awkward.XXXXXX", o->dir);
	if (!mkdtemp(dir))
		fail(o->dir, strerror(errno));
}

static void dir_remove(const char *dir)
{
	static const char *const files[] = {"store", "store-lock", "copy", ""};
	char path[PATH_BYTES + 32];

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
		(void)remove(path);
	}
}

static struct result one_run(const struct options *o, const struct phase *phase, int which)
{
	struct result *shared =
	    mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char dir[PATH_BYTES];
	int status;

	if (shared == MAP_FAILED)
		fail("no memory", NULL);
	dir_make(o, dir);
	(void)fflush(NULL);
	const pid_t pid = fork();

	if (pid < 0)
		fail("fork", strerror(errno));
	if (pid == 0)
		child_run(o, phase, o->library[which], dir, shared);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	const struct result r = *shared;

	dir_remove(dir);
	(void)munmap(shared, sizeof *shared);
	if (!r.done || status)
		fail(phase->name, which == OURS ? "failed with daxkv" : "failed with LMDB");
	return r;
}

/* ---- the table
 * ----------------------------------------------------------------------------------- */

static struct line phase_run(const struct options *o, const struct phase *phase)
{
	double ns[LIBRARIES][ROUNDS_MAX], ratio[ROUNDS_MAX], p9999[LIBRARIES][ROUNDS_MAX];
	struct line line = {.ratio = 0};
	uint64_t sum = 0;

	for (unsigned int round = 0; round < o->rounds; round++) {
		for (int k = 0; k < LIBRARIES; k++) {
			const int which = (int)(round + (unsigned int)k) % LIBRARIES;
			const struct result r = one_run(o, phase, which);

			if ((round || k) && r.sum != sum)
				fail(phase->name, "the libraries do not read the same");
			sum = r.sum;
			ns[which][round] = (o->wall ? r.wall_ns : r.ns) / (double)r.ops;
			p9999[which][round] = r.p9999;
			if (r.worst > line.worst[which])
				line.worst[which] = r.worst;
		}
		ratio[round] = ns[OURS][round] / ns[STOCK][round];
	}
	for (int which = 0; which < LIBRARIES; which++) {
		line.ns[which] = median(ns[which], o->rounds);
		line.p9999[which] = median(p9999[which], o->rounds);
	}
	line.ratio = median(ratio, o->rounds);
	return line;
}

/* wanted - whether the phase is named in only, a comma-separated list: by its name, or by the first
 * letters of it and a star. */
static int wanted(const char *only, const char *name)
{
	if (!only)
		return 1;
	for (const char *p = only; *p;) {
		const size_t n = strcspn(p, ",");

		if (n == strlen(name) && strncmp(p, name, n) == 0)
			return 1;
		if (n && p[n - 1] == '*' && strncmp(p, name, n - 1) == 0)
			return 1;
		p += n + (p[n] == ',');
	}
	return 0;
}

static void row_print(FILE *f, const struct phase *phase, const struct line *line)
{
	fprintf(f, "| %s | %s | %.0f | %.0f | %.2f |", phase->name, phase->what, line->ns[STOCK],
	        line->ns[OURS], line->ratio);
	if (phase->timed)
		fprintf(f, " %.0f, %.0f | %.0f, %.0f |\n", line->p9999[STOCK] / 1e3,
		        line->worst[STOCK] / 1e3, line->p9999[OURS] / 1e3, line->worst[OURS] / 1e3);
	else
		fprintf(f, " | |\n");
	(void)fflush(f);
}

static void head_print(FILE *f, const struct options *o)
{
	fprintf(f,
	        "%s time of an operation in nanoseconds, and its ratio, daxkv's to LMDB's: below 1 "
	        "daxkv needs less. The median of %u rounds",
	        o->wall ? "The" : "Processor", o->rounds);
	if (o->scale < 1 || o->scale > 1)
		fprintf(f, ", of %g times the usual size", o->scale);
	fprintf(
	    f,
	    ". The last columns: what 99.99 %% of the operations of a phase took at most, and the "
	    "slowest, in microseconds by the clock.\n\n"
	    "| phase | work | LMDB | daxkv | ratio | tail LMDB | tail daxkv |\n"
	    "|---|---|---:|---:|---:|---:|---:|\n");
}

/* phases_run - how many were over the limit; -1: none was there. */
static int phases_run(const struct options *o, FILE *markdown)
{
	unsigned int n = 0;
	int over = 0;

	head_print(stdout, o);
	if (markdown)
		head_print(markdown, o);
	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
		for (const struct phase *phase = tables[t]; phase->name; phase++) {
			if (!wanted(o->only, phase->name))
				continue;
			const struct line line = phase_run(o, phase);

			row_print(stdout, phase, &line);
			if (markdown)
				row_print(markdown, phase, &line);
			over += line.ratio > o->limit;
			n++;
		}
	return n ? over : -1;
}

/* ---- arguments
 * ----------------------------------------------------------------------------------- */

static void usage(FILE *f)
{
	fprintf(f, "usage: bench-awkward [--only NAME,NAME*...] [--scale FACTOR] [--rounds N] "
	           "[--dir DIR]\n"
	           "                     [--pmem auto|file|force|dax] [--wall] [--limit RATIO]\n"
	           "                     [--lmdb LIBRARY] [--daxkv LIBRARY] [--markdown FILE]\n"
	           "The exit status is 1 when a ratio is above the limit. phases:\n");
	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
		for (const struct phase *phase = tables[t]; phase->name; phase++)
			fprintf(f, "  %-18s %s\n", phase->name, phase->what);
}

/* own_library - lmdb/liblmdb.so.0 beside this program. */
static const char *own_library(void)
{
	static char path[PATH_BYTES + 32];
	const ssize_t n = readlink("/proc/self/exe", path, PATH_BYTES);

	if (n < 0)
		fail("/proc/self/exe", strerror(errno));
	path[n] = '\0';
	strcpy(strrchr(path, '/'), "/lmdb/liblmdb.so.0");
	return path;
}

static double number(const char *text, double least)
{
	char *end;
	const double x = strtod(text, &end);

	if (end == text || *end || !isfinite(x) || x < least) {
		usage(stderr);
		exit(2);
	}
	return x;
}

static struct options options_parse(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"only", 1, NULL, 'o'},  {"scale", 1, NULL, 's'},    {"rounds", 1, NULL, 'r'},
	    {"dir", 1, NULL, 'd'},   {"pmem", 1, NULL, 'p'},     {"wall", 0, NULL, 'w'},
	    {"limit", 1, NULL, 'l'}, {"lmdb", 1, NULL, 'L'},     {"daxkv", 1, NULL, 'D'},
	    {"help", 0, NULL, 'h'},  {"markdown", 1, NULL, 'm'}, {NULL, 0, NULL, 0}};
	struct options o = {.dir = "/dev/shm",
	                    .pmem = "auto",
	                    .scale = 1,
	                    .limit = INFINITY,
	                    .rounds = 3,
	                    .library = {"liblmdb.so.0", own_library()}};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 'o':
			o.only = optarg;
			break;
		case 's':
			o.scale = number(optarg, 0);
			break;
		case 'r':
			o.rounds = (unsigned int)fmin(number(optarg, 1), ROUNDS_MAX);
			break;
		case 'd':
			o.dir = optarg;
			break;
		case 'p':
			o.pmem = optarg;
			break;
		case 'w':
			o.wall = 1;
			break;
		case 'l':
			o.limit = number(optarg, 0);
			break;
		case 'L':
			o.library[STOCK] = optarg;
			break;
		case 'D':
			o.library[OURS] = optarg;
			break;
		case 'm':
			o.markdown = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	if (optind < argc) {
		usage(stderr);
		exit(2);
	}
	return o;
}

int main(int argc, char **argv)
{
	const struct options o = options_parse(argc, argv);
	FILE *markdown = o.markdown ? fopen(o.markdown, "w") : NULL;

	if (o.markdown && !markdown)
		fail(o.markdown, strerror(errno));
	const int over = phases_run(&o, markdown);

	if (markdown && fclose(markdown) != 0)
		fail(o.markdown, strerror(errno));
	if (over < 0)
		fail("no such phase", o.only);
	return over > 0;
}
