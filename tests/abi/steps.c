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
#include <sys/wait.h>
#include <unistd.h>

#define LIBRARIES 4u
#define STRIDE    1000003u /* prime: the numbers that follow differ in all choices */
#define TRIED     100u     /* differences that are reduced */
#define SHOWN     20u      /* reduced ones that are different */

static const char *paths[LIBRARIES], *dir;
static unsigned int n_libraries; /* the first is ours */
static uint64_t n_cases, seed;
static int wary; /* see library_open */

static struct shared {
	uint64_t next[LIBRARIES]; /* the case that one is at */
	struct result result[];
} * shared;

static struct test_case numbered(uint64_t i)
{
	return case_of((i * STRIDE + seed) % case_count());
}

static struct result *result_of(unsigned int lib, uint64_t i)
{
	return &shared->result[lib * n_cases + i];
}

static struct library *in_scratch(unsigned int lib)
{
	char place[4096];

	snprintf(place, sizeof place, "%s/XXXXXX", dir);
	if (!mkdtemp(place))
		exit(2);
	return library_open(paths[lib], place, wary);
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

		result_of(lib, i)->n = 0;
		alarm(1); /* it may not come back */
		case_run(l, &t, result_of(lib, i), NULL);
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
static struct result alone(unsigned int lib, const struct test_case *t, FILE *out)
{
	pid_t pid;
	int status;

	fflush(stdout);
	shared->result[0].n = 0;
	pid = fork();
	if (pid == 0) {
		alarm(1);
		case_run(in_scratch(lib), t, &shared->result[0], out);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (out && !WIFEXITED(status))
		fprintf(out, " (crashed)");
	return shared->result[0];
}

/* agreed - up to which step all other libraries went well and gave the same. */
static uint32_t agreed(const struct result *others)
{
	uint32_t n = others[0].n;

	for (unsigned int i = 1; i + 1 < n_libraries; i++) {
		if (others[i].n < n)
			n = others[i].n;
		for (uint32_t step = 0; step < n; step++)
			if (others[i].hash[step] != others[0].hash[step])
				n = step;
	}
	return n;
}

/* differs_at - the first step below n where ours gives something else; n when there is none. From
 * where a key has shrunk on a difference says nothing: *n is set back. */
static uint32_t differs_at(const struct result *ours, const struct result *others, uint32_t *n)
{
	uint32_t step = 0;

	while (step < *n && step < ours->n && ours->hash[step] == others->hash[step])
		step++;
	if (step < *n && others->shrunk[step])
		*n = step;
	return step;
}

static bool differs(const struct test_case *t)
{
	struct result others[LIBRARIES] = {{0}}, ours;
	uint32_t n;

	for (unsigned int lib = 1; lib < n_libraries; lib++)
		others[lib - 1] = alone(lib, t, NULL);
	n = agreed(others);
	ours = alone(0, t, NULL);
	return differs_at(&ours, others, &n) < n;
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

/* show - a case that differs, reduced. False: it does not when it is done alone, because another
 * library gives something else then: the faults of cases before show in it. */
static bool show(uint64_t i, const struct result *ours)
{
	struct test_case t = numbered(i);

	if (!differs(&t)) {
		struct result again = alone(0, &t, NULL);

		if (again.n == ours->n &&
		    !memcmp(again.hash, ours->hash, again.n * sizeof again.hash[0]))
			return false;
		printf("case %lu differs only after others\n", (unsigned long)i);
		return true;
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

struct sum { /* of all cases */
	uint64_t in_part, steps, not_done[RULES], not_compared, differing, after_others;
};

static void compare(const struct shared *found, uint64_t i, struct sum *sum)
{
	const struct result *ours = &found->result[i];
	struct result others[LIBRARIES] = {{0}};
	uint32_t steps = numbered(i).n + 1, n, step, not_done = 0;

	for (unsigned int lib = 1; lib < n_libraries; lib++)
		others[lib - 1] = found->result[lib * n_cases + i];
	n = agreed(others);
	step = differs_at(ours, others, &n);
	if (step < n) {
		if (sum->differing >= TRIED || show(i, ours))
			sum->differing++;
		else
			sum->after_others++;
	}
	for (step = 0; step < n; step++) {
		sum->not_done[others[0].rule[step]]++;
		not_done += others[0].rule[step] != RULE_NONE;
	}
	sum->steps += steps;
	sum->not_compared += steps - n;
	sum->in_part += not_done || n < steps;
}

static int report(const struct sum *sum)
{
	uint64_t not_done = 0;

	for (unsigned int rule = RULE_NONE + 1; rule < RULES; rule++) {
		not_done += sum->not_done[rule];
		if (sum->not_done[rule])
			printf("%lu steps not done: %s\n", (unsigned long)sum->not_done[rule],
			       rules[rule]);
	}
	printf("%lu cases, %lu of them in part, %lu otherwise after others; "
	       "%lu steps, %lu not done, %lu behind a fault; %lu differ\n",
	       (unsigned long)n_cases, (unsigned long)sum->in_part,
	       (unsigned long)sum->after_others, (unsigned long)sum->steps, (unsigned long)not_done,
	       (unsigned long)sum->not_compared, (unsigned long)sum->differing);
	return sum->differing != 0;
}

int main(int argc, char **argv)
{
	struct sum sum = {0};
	size_t size;

	if (argc < 6 || argc > 5 + (int)LIBRARIES - 1)
		return 2;
	paths[n_libraries++] = argv[1];
	dir = argv[2];
	n_cases = strtoul(argv[3], NULL, 0);
	seed = strtoul(argv[4], NULL, 0);
	for (int i = 5; i < argc; i++)
		paths[n_libraries++] = argv[i];
	wary = n_libraries == 2 ? library_release(paths[1]) : 0;
	size = sizeof *shared + n_libraries * n_cases * sizeof shared->result[0];
	shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	work_all();
	struct shared *found = malloc(size);

	if (!found)
		return 2;
	memcpy(found, shared, size); /* a case done alone uses the first result */
	for (uint64_t i = 0; i < n_cases; i++)
		compare(found, i, &sum);
	return report(&sum);
}
