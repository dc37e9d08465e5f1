/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * new_file.c - see new_file.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "new_file.h"

static const int ends[] = {SIGINT, SIGTERM, SIGHUP};

/* What an end by a signal must remove; NULL: nothing. One file is made at a time. */
static const char *volatile unfinished;

/* ended - remove the file, and end as without a handler. */
static void ended(int sig)
{
	const char *path = unfinished;

	if (path != NULL)
		unlink(path);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* ends_watch - for as long as the file is made: a signal that would end the process, and is not
 * ignored or the shell's own, removes the file first. NULL: no file is made any more. */
static void ends_watch(const char *path)
{
	struct sigaction now, watch = {.sa_handler = SIG_DFL}, before = {.sa_handler = ended};

	if (path != NULL) {
		watch.sa_handler = ended;
		before.sa_handler = SIG_DFL;
	}
	unfinished = path;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler == before.sa_handler)
			sigaction(ends[i], &watch, NULL);
}

int new_file_begin(const struct call *call, const char *name, struct new_file *file)
{
	struct stat st;

	*file = (struct new_file){.name = name};
	if (lstat(name, &st) == 0)
		return call_fail_sys(call, EEXIST, "cannot make '%s'", name);
	if (asprintf(&file->path, "%s.%s-%ld", name, call->command->name, (long)getpid()) < 0) {
		file->path = NULL;
		return call_fail_sys(call, ENOMEM, "cannot make '%s'", name);
	}
	if (lstat(file->path, &st) == 0) { /* an earlier process of this number was killed */
		const int status = call_fail_sys(call, EEXIST, "cannot make '%s'", file->path);

		free(file->path);
		file->path = NULL;
		return status;
	}
	ends_watch(file->path);
	return EXIT_OK;
}

/* take_name - a filesystem may have no such rename, but a link, which does not replace either. */
static int take_name(const struct new_file *file)
{
	if (renameat2(AT_FDCWD, file->path, AT_FDCWD, file->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	if (link(file->path, file->name) != 0)
		return errno;
	unlink(file->path);
	return 0;
}

/* directory_sync - the name is durable. 0 or an errno. */
static int directory_sync(const char *name)
{
	char *dir = strdup(name), *slash = dir != NULL ? strrchr(dir, '/') : NULL;
	int fd, err = 0;

	if (dir == NULL)
		return ENOMEM;
	if (slash != NULL)
		slash[slash == dir] = '\0';
	fd = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		err = errno;
	if (fd >= 0)
		close(fd);
	free(dir);
	return err;
}

void new_file_forget(struct new_file *file)
{
	ends_watch(NULL);
	free(file->path);
	file->path = NULL;
}

int new_file_end(const struct call *call, struct new_file *file, int status)
{
	int err = 0;

	if (status == EXIT_OK) {
		err = take_name(file);
		if (err == 0)
			err = directory_sync(file->name);
		if (err != 0)
			status = call_fail_sys(call, err, "cannot make '%s'", file->name);
	}
	if (status != EXIT_OK)
		unlink(file->path);
	new_file_forget(file);
	return status;
}
