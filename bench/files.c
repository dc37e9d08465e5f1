/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

void files_name(const char *dir, const char *file, char *buf)
{
	(void)snprintf(buf, BENCH_PATH, "%.3500s/%.500s", dir, file);
}

int files_make(const struct bench_config *config, const char *name, char *buf)
{
	(void)snprintf(buf, BENCH_PATH, "%.3000s/daxkv-bench-%ld-%.64s", config->dir,
	               (long)getpid(), name);
	files_remove(buf);
	return mkdir(buf, 0700) ? errno : 0;
}

/* An error is of no engine that is measured: those see their own. */
void files_settle(const char *dir)
{
	const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)syncfs(fd);
	(void)close(fd);
}

void files_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[BENCH_PATH];

	if (!d)
		return;
	while ((entry = readdir(d)) !=
	       NULL) { /* none of the engines makes directories in its own */
		files_name(dir, entry->d_name, path);
		(void)unlink(path);
	}
	(void)closedir(d);
	(void)rmdir(dir);
}

int files_size(const char *dir, uint64_t *bytes)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[BENCH_PATH];
	struct stat st;

	if (!d)
		return errno;
	*bytes = 0;
	while ((entry = readdir(d)) != NULL) {
		files_name(dir, entry->d_name, path);
		if (stat(path, &st) || !S_ISREG(st.st_mode))
			continue;
		*bytes +=
		    (uint64_t)(st.st_blocks * 512 < st.st_size ? st.st_blocks * 512 : st.st_size);
	}
	(void)closedir(d);
	return 0;
}

int files_huge_pages(const char *dir)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", dir, "tmpfs", 0, "huge=always,size=90%"))
		return errno;
	return 0;
}
