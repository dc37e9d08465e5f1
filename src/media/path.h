/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * path.h - names of files: where a symbolic link leads, and what is wrong with a path.
 *
 * The lock file lies beside the store that a link leads to. So those that come through links and
 * those that do not share one lock file.
 */
#ifndef DAXKV_PATH_H
#define DAXKV_PATH_H

/* path_follow - the path of the file that path leads to when its last component is a symbolic link,
 * also one to a file that is not there yet; else path as it is. *out is to be freed. ELOOP with a
 * text when links lead to each other; ENOMEM. */
int path_follow(const char *path, char **out);

/* path_dir - the directory that the last component of path lies in, "." for a path of one
 * component; to be freed. NULL: there is no memory. */
char *path_dir(const char *path);

/* path_error - rc, the errno of a call that failed for path, with a text that names the directory
 * which is missing, is none, or may not be used. */
int path_error(int rc, const char *path);

/* path_make_error - path is missing: 0 when a file can be made there, else errno with such a
 * text. */
int path_make_error(const char *path);

#endif
