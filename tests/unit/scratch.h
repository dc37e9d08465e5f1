/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scratch.h - a directory for a unit test's files, and child processes for what would disturb the
 * test itself: limits, mounts, denied system calls. A child has no cmocka: it uses CHECK and
 * returns 0, or SKIPPED after it has said why.
 */
#ifndef DAXKV_TEST_SCRATCH_H
#define DAXKV_TEST_SCRATCH_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SKIPPED 77
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (errno %d; %s)\n", __FILE__, __LINE__,          \
			        #condition, errno, daxkv_errmsg());                                \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

const char *daxkv_errmsg(void);

static char scratch_dir[PATH_MAX];

/* scratch_make - the group's setup. */
static inline int scratch_make(void **state)
{
	const char *tmp = getenv("TMPDIR");
	(void)state;
	if (!tmp || !tmp[0])
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(scratch_dir, sizeof scratch_dir, "%s/daxkv-test-XXXXXX", tmp);
	return mkdtemp(scratch_dir) ? 0 : -1;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type,
                                     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* scratch_remove - the group's teardown. */
static inline int scratch_remove(void **state)
{
	(void)state;
	return nftw(scratch_dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* scratch_path - name in the directory. Eight results are alive at a time. */
static inline const char *scratch_path(const char *name)
{
	static char paths[8][PATH_MAX + 64];
	static unsigned int next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s", scratch_dir, name);
	return path;
}

/* child_run - run in a forked child; the test fails or is skipped as the child says. */
static inline void child_run(int (*run)(void))
{
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		fail_msg("the child died of signal %d", WTERMSIG(status));
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#endif
