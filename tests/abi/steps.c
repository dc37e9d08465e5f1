/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steps.c - the LMDB-compatible library against others, a few calls at a time: every operation on a
 * cursor after every way of deleting what is under it. Where all the other libraries give the same,
 * ours must. A case that differs is reduced to its fewest steps and printed.
 *
 * usage: steps OURS DIR CASES SEED OTHER...
 *
 * A library works in a process of its own: one that a case crashes is told apart from one that
 * answers, and goes on behind that case.
 */
#include "steps.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBRARIES 4u
#define STRIDE    1000003u /* prime: the numbers that follow differ in all choices */
#define TRIED     100u     /* differences that are reduced */
#define SHOWN     20u      /* reduced ones that are different */

static const char *paths[LIBRARIES], *dir;
static unsigned int n_libraries; /* the first is ours */
static uint64_t n_cases, seed;

static struct shared {
	uint64_t next[LIBRARIES]; /* the case that one is at */
	uint64_t result[];
} * shared;

static struct test_case numbered(uint64_t i)
{
	return case_of((i * STRIDE + seed) % case_count());
}

static uint64_t *result_of(unsigned int lib, uint64_t i)
{
	return &shared->result[lib * n_cases + i];
}

static struct library *in_scratch(unsigned int lib)
{
	char place[4096];

	snprintf(place, sizeof place, "%s/%ld", dir, (long)getpid());
	if (mkdir(place, 0700) != 0)
		exit(2);
	return library_open(paths[lib], place, lib && n_libraries == 2);
}

/* work - a process: all cases from the next one on. */
static void work(unsigned int lib)
{
	struct library *l = in_scratch(lib);

	if (!freopen("/dev/null", "w", stderr)) /* what a library says before it aborts */
		exit(2);
	while (shared->next[lib] < n_cases) {
		uint64_t i = shared->next[lib]++;
		struct test_case t = numbered(i);

		*result_of(lib, i) = RESULT_FAULT; /* it may crash, or not come back */
		alarm(1);
		*result_of(lib, i) = case_run(l, &t, NULL);
	}
	exit(0);
}

static void work_all(void)
{
	pid_t pid[LIBRARIES] = {0};
	unsigned int running = 0;

	fflush(stdout);
	for (unsigned int lib = 0; lib < n_libraries; lib++, running++)
		if ((pid[lib] = fork()) == 0)
			work(lib);
	while (running) {
		int status;
		pid_t done = wait(&status);
		unsigned int lib = 0;

		while (lib < n_libraries && pid[lib] != done)
			lib++;
		if (lib == n_libraries)
			continue;
		running--;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
			exit(2);
		if (WIFEXITED(status) || shared->next[lib] >= n_cases)
			continue;
		if ((pid[lib] = fork()) == 0) /* it crashed: behind that case */
			work(lib);
		running++;
	}
}

/* alone - one case with one library, in a process of its own. */
static uint64_t alone(unsigned int lib, const struct test_case *t, FILE *out)
{
	pid_t pid;
	int status;

	fflush(stdout);
	shared->result[0] = RESULT_FAULT;
	pid = fork();
	if (pid == 0) {
		alarm(1);
		shared->result[0] = case_run(in_scratch(lib), t, out);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (out && !WIFEXITED(status))
		fprintf(out, " (crashed)");
	return shared->result[0];
}

/* is_left_out - whether a difference from that result says nothing. */
static bool is_left_out(uint64_t result)
{
	return result == RESULT_FAULT || result & RESULT_SHRUNK;
}

static bool differs(const struct test_case *t)
{
	uint64_t want = alone(1, t, NULL);

	for (unsigned int lib = 2; lib < n_libraries; lib++)
		if (alone(lib, t, NULL) != want)
			return false;
	return !is_left_out(want) && alone(0, t, NULL) != want;
}

/* reduce - without all steps that the difference does not need. */
static void reduce(struct test_case *t)
{
	for (unsigned int i = t->n; i-- > 0;) {
		struct test_case less = *t;

		less.n--;
		memmove(&less.step[i], &less.step[i + 1], (less.n - i) * sizeof less.step[0]);
		if (differs(&less))
			*t = less;
	}
	for (unsigned int simpler = 0; simpler < n_contents + 1; simpler++) {
		struct test_case less = *t;

		if (simpler)
			less.content = simpler - 1;
		else
			less.nested = false;
		if (memcmp(&less, t, sizeof less) && differs(&less)) {
			*t = less;
			simpler += simpler ? n_contents : 0;
		}
	}
}

/* seen - whether a reduced case came before, of this or another kind of database. */
static bool seen(const struct test_case *t)
{
	static struct test_case before[SHOWN];
	static unsigned int n;

	for (unsigned int i = 0; i < n; i++)
		if (before[i].n == t->n &&
		    !memcmp(before[i].step, t->step, t->n * sizeof t->step[0]))
			return true;
	if (n < SHOWN)
		before[n++] = *t;
	return false;
}

/* show - a case that differs, reduced. False: another library gives something else when it is done
 * alone, so that it says nothing. */
static bool show(uint64_t i, uint64_t ours)
{
	struct test_case t = numbered(i);

	if (!differs(&t)) {
		bool same = alone(0, &t, NULL) == ours;

		if (!same)
			printf("case %lu differs only after others\n", (unsigned long)i);
		return !same;
	}
	reduce(&t);
	if (seen(&t))
		return true;
	printf("---- case %lu: %s, %s, key %u%s\n", (unsigned long)i, kinds[t.kind].name,
	       contents[t.content].name, t.key, t.nested ? ", in a child" : "");
	for (unsigned int n = 0; n < t.n; n++) {
		step_print(&t, &t.step[n]);
		printf("\n");
	}
	for (unsigned int lib = 0; lib < n_libraries; lib++) {
		printf("%s:\n", lib ? paths[lib] : "ours");
		alone(lib, &t, stdout);
		printf("\n");
	}
	return true;
}

int main(int argc, char **argv)
{
	uint64_t differing = 0, left_out = 0;
	size_t size;

	if (argc < 6 || argc > 5 + (int)LIBRARIES - 1)
		return 2;
	paths[n_libraries++] = argv[1];
	dir = argv[2];
	n_cases = strtoul(argv[3], NULL, 0);
	seed = strtoul(argv[4], NULL, 0);
	for (int i = 5; i < argc; i++)
		paths[n_libraries++] = argv[i];
	size = sizeof *shared + n_libraries * n_cases * sizeof shared->result[0];
	shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	work_all();
	struct shared *found = malloc(size);

	if (!found)
		return 2;
	memcpy(found, shared, size); /* a case done alone uses the first result */
	for (uint64_t i = 0; i < n_cases; i++) {
		uint64_t want = found->result[n_cases + i];
		bool agree = !is_left_out(want);

		for (unsigned int lib = 2; lib < n_libraries; lib++)
			agree &= found->result[lib * n_cases + i] == want;
		if (found->result[i] == want && want != RESULT_FAULT)
			continue;
		left_out += !agree;
		if (!agree)
			continue;
		if (differing < TRIED && !show(i, found->result[i]))
			left_out++;
		else
			differing++;
	}
	printf("%lu cases, %lu left out, %lu differ\n", (unsigned long)n_cases,
	       (unsigned long)left_out, (unsigned long)differing);
	return differing != 0;
}
