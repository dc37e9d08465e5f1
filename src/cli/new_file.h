/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * new_file.h - a file that a command makes: it has another name until it is whole, so that what is
 * interrupted does not pass for it, and it never takes the place of one that is there.
 */
#ifndef DAXKV_CLI_NEW_FILE_H
#define DAXKV_CLI_NEW_FILE_H

#include "cli.h"

struct new_file {
	const char *name; /* that it is to have */
	char *path;       /* where it is made: the same directory. Nothing is there yet */
};

/* new_file_begin - EXIT_SYSTEM, printed, when there is a file of that name. Until new_file_end or
 * new_file_forget a signal that ends the process removes what is at path. */
int new_file_begin(const struct call *call, const char *name, struct new_file *file);

/* new_file_end - with EXIT_OK in status the file, which is whole and durable, gets its name; else
 * it is removed. Returns status, or the failure, which was printed. */
int new_file_end(const struct call *call, struct new_file *file, int status);

/* new_file_forget - nothing was made, and what is at path is somebody else's. */
void new_file_forget(struct new_file *file);

#endif
