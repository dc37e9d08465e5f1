/* SPDX-License-Identifier: BSD-3-Clause */
/* jobs.c - see jobs.h */
#include "jobs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILURES_MAX 10u

struct job { /* of one process, seen by the parent */
	uint64_t now;
	unsigned int failed;
	uint64_t counters[JOBS_COUNTERS];
};

unsigned int jobs_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > (long)JOBS_MAX ? JOBS_MAX : (unsigned int)n;
}

static void replay_print(const char *replay, uint64_t number)
{
	printf("replay: ");
	for (const char *p = replay; *p; p++)
		if (strncmp(p, "%lu", 3) == 0) {
			printf("%lu", (unsigned long)number);
			p += 2;
		} else {
			putchar(*p);
		}
	putchar('\n');
}

static void job_run(struct job *job, uint64_t from, uint64_t to, uint64_t step, jobs_case *one,
                    void *arg, const char *replay)
{
	/* The process's own time: a busy machine is no hang. */
	const struct itimerval limit = {.it_value = {JOBS_HANG_SECONDS, 0}};

	for (uint64_t i = from; i < to; i += step) {
		job->now = i;
		setitimer(ITIMER_PROF, &limit, NULL);
		if (one(i, job->counters, arg))
			continue;
		replay_print(replay, i);
		fflush(stdout);
		if (++job->failed == FAILURES_MAX) {
			printf("no more cases in this process after %u failures\n", FAILURES_MAX);
			return;
		}
	}
}

/* job_end - wait for one process; whether it and its cases were well. */
static bool job_end(const struct job *job, pid_t pid, const char *replay)
{
	int status = 0;

	if (waitpid(pid, &status, 0) != pid)
		return false;
	if (status == 0)
		return job->failed == 0;
	if (WIFSIGNALED(status))
		printf("case %lu: %s%s\n", (unsigned long)job->now, strsignal(WTERMSIG(status)),
		       WTERMSIG(status) == SIGPROF ? ": no end in time" : "");
	else
		printf("case %lu: the process ended with status %d\n", (unsigned long)job->now,
		       WEXITSTATUS(status));
	replay_print(replay, job->now);
	return false;
}

bool jobs_run(unsigned int n, uint64_t from, uint64_t to, uint64_t step, jobs_case *one, void *arg,
              const char *replay, uint64_t counters[JOBS_COUNTERS])
{
	struct job *jobs = mmap(NULL, JOBS_MAX * sizeof *jobs, PROT_READ | PROT_WRITE,
	                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[JOBS_MAX];
	bool well = true;

	if (jobs == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	if (n < 1 || n > JOBS_MAX)
		n = 1;
	fflush(stdout);
	for (unsigned int j = 0; j < n; j++) {
		pids[j] = fork();
		if (pids[j] < 0) {
			perror("fork");
			exit(1);
		}
		if (pids[j] == 0) {
			job_run(&jobs[j], from + j * step, to, n * step, one, arg, replay);
			fflush(stdout);
			exit(0);
		}
	}
	for (unsigned int j = 0; j < n; j++) {
		well &= job_end(&jobs[j], pids[j], replay);
		for (unsigned int i = 0; i < JOBS_COUNTERS; i++)
			counters[i] += jobs[j].counters[i];
	}
	munmap(jobs, JOBS_MAX * sizeof *jobs);
	return well;
}
