/* SPDX-License-Identifier: BSD-3-Clause */
/* files.h - a store's directory. */
#ifndef BENCH_FILES_H
#define BENCH_FILES_H

#include "bench.h"

/* files_make - a fresh, empty directory for a store of the engine name, below config->dir; its path
 * to buf, of BENCH_PATH bytes. Returns 0 or an errno. */
int files_make(const struct bench_config *config, const char *name, char *buf);

/* files_name - the path of a file in dir, to buf, of BENCH_PATH bytes. */
void files_name(const char *dir, const char *file, char *buf);

/* files_remove - the directory with all that is in it; nothing happens when there is none. */
void files_remove(const char *dir);

/* files_settle - write what the filesystem of dir has to write, whoever left it. */
void files_settle(const char *dir);

/* files_size - the sizes of the files in dir, without their holes. Returns 0 or an errno. */
int files_size(const char *dir, uint64_t *bytes);

/* files_huge_pages - put a filesystem in memory that uses huge pages where it can, as DAX
 * filesystems do, in the place of dir; seen by this process and its children only, and gone with
 * them. Returns 0 or an errno: it needs root. */
int files_huge_pages(const char *dir);

#endif
