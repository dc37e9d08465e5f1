/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * path.c - see path.h
 *
 * A store is known by the file that its name leads to. The lock file lies beside that file, so all
 * symbolic links to a store have to come to one path. Links are followed before anything is opened.
 * An error is explained afterwards, from the path that the program gave: errno does not say which
 * part of a path is wrong.
 */
#include "media/path.h"

#include "base/base.h"
#include "base/err.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LINKS_MAX 40 /* as many as the kernel follows */

/* link_step - the path that the link *path leads to takes its place; *more: it was a link. *path is
 * the caller's memory, and is replaced. A link that does not begin at the root counts from the
 * directory that it lies in. ENOMEM. */
static int link_step(char **path, bool *more)
{
	char target[PATH_MAX], *next;
	const char *slash = strrchr(*path, '/');
	ssize_t n = readlink(*path, target, sizeof target - 1);

	*more = n > 0;
	/* what is wrong with the path, opening it tells */
	if (n <= 0)
		return 0;
	target[n] = 0;
	int dir;

	if (target[0] == '/' || !slash)
		dir = 0;
	else
		dir = (int)(slash + 1 - *path);
	if (asprintf(&next, "%.*s%s", dir, *path, target) < 0)
		return err_set(ENOMEM, "no memory for a file name");
	free(*path);
	*path = next;
	return 0;
}

/* leads_astray - whether path is another file than its links tell: links of /proc do not need the
 * names that they show. Where path itself cannot be looked at it does not: the open that follows
 * says what is wrong. */
static bool leads_astray(const char *path, const char *told)
{
	struct stat x;
	struct stat y;

	if (stat(path, &x) != 0)
		return false;
	if (stat(told, &y) != 0)
		return errno == ENOENT || errno == ENOTDIR;
	return x.st_dev != y.st_dev || x.st_ino != y.st_ino;
}

/* Each link is followed by hand, because realpath(3) wants the last component to exist. The caller
 * frees *out. ENOMEM, ELOOP. */
int path_follow(const char *path, char **out)
{
	char *at = strdup(path);
	bool more = true;
	int rc = 0;

	if (!at)
		rc = err_set(ENOMEM, "no memory for a file name");
	for (unsigned int i = 0; !rc && more; i++) {
		if (i <= LINKS_MAX)
			rc = link_step(&at, &more);
		else
			rc = err_sys(ELOOP, "%s: symbolic links that lead to each other", path);
	}
	if (!rc && strcmp(at, path) != 0 && leads_astray(path, at)) {
		free(at);
		at = strdup(path);
		if (at)
			rc = 0;
		else
			rc = err_set(ENOMEM, "no memory for a file name");
	}
	if (rc) {
		free(at);
		return rc;
	}
	*out = at;
	return 0;
}

/* dir_error - what is wrong with a directory above the file, those above it being in order. 0:
 * nothing. It has set the error's text. path is what the program asked for, dir the part of it that
 * is looked at. */
static int dir_error(const char *path, const char *dir)
{
	struct stat st;

	if (stat(dir, &st) != 0) {
		if (errno == ENOENT)
			return err_sys(errno, "%s: the directory %s is missing", path, dir);
		return err_sys(errno, "%s: %s", path, dir);
	}
	if (!S_ISDIR(st.st_mode))
		return err_sys(ENOTDIR, "%s: %s", path, dir);
	if (faccessat(AT_FDCWD, dir, X_OK, AT_EACCESS) != 0 && errno == EACCES)
		return err_sys(EACCES, "%s: the directory %s", path, dir);
	return 0;
}

/* The directories are looked at from the root on: the first one that is wrong is the reason.
 * Without memory for that the plain error is told. */
int path_error(int rc, const char *path)
{
	char *dir = strdup(path);
	int found = 0;

	if (dir && (rc == ENOENT || rc == ENOTDIR || rc == EACCES)) {
		for (char *slash = strchr(dir + 1, '/'); slash && !found;
		     slash = strchr(slash + 1, '/')) {
			*slash = 0;
			found = dir_error(path, dir);
			*slash = '/';
		}
	}
	free(dir);
	if (found)
		return found;
	return err_sys(rc, "%s", path);
}

char *path_dir(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	if (slash == path)
		return strdup("/");
	return strndup(path, (size_t)(slash - path));
}

/* Asked before anything is made, so that the message is about the directory and not about a
 * temporary file in it. Somebody may change the directory behind this: it is for the text, and not
 * relied on. */
int path_make_error(const char *path)
{
	char *dir = path_dir(path);
	struct stat st;
	int rc = 0;

	if (!dir)
		return err_set(ENOMEM, "no memory for a file name");
	if (stat(dir, &st) != 0)
		rc = path_error(errno, path);
	else if (!S_ISDIR(st.st_mode))
		rc = err_sys(ENOTDIR, "%s: %s", path, dir);
	else if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) != 0)
		rc = err_sys(errno, "%s: no file can be made in the directory %s", path, dir);
	free(dir);
	return rc;
}
