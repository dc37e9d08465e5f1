/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open.h - what a store is before it is open, and how it ends.
 */
#ifndef DAXKV_OPEN_H
#define DAXKV_OPEN_H

#include "txn/store.h"

/* open_look - what a path has, before a lock file is made for it (struct lock_for): 0 when it is a
 * store, or is missing or empty and DAXKV_CREATE says to make one. Errors of daxkv_open, with a
 * text: ENOENT, EEXIST, EISDIR, EACCES, FOREIGN, VERSION, CORRUPT. arg is a struct open_look. */
struct open_look {
	const char *path;
	unsigned int flags; /* of daxkv_open */
};
struct stat;
int open_look(void *arg, struct stat *st);

/* store_free - undo all of daxkv_open, as far as it came, and free the handle. No transaction
 * runs. */
void store_free(struct daxkv_store *store);

#endif
