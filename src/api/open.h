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

/* ---- open_lazy.c ------------------------------------------------------------------------------
 */

/* lazy_left - *left: nobody uses the store, and its last users left lazy commits that go on from
 * *txn, the commit that the file shows: *txn becomes the newest of them. errno.
 * lazy_in_place - whether they do, and a reader can see them in the file as it is, though recovery
 * would store words. A private copy of the file would not show them, and would keep writers out.
 * Errors: CORRUPT, ENOMEM, errno.
 * lazy_options - whether commits may be lazy, and whether they are; the bounds. */
int lazy_left(const struct daxkv_store *store, uint64_t *txn, bool *left);
int lazy_in_place(const struct daxkv_store *store, uint64_t txn, bool *in_place);
void lazy_options(struct daxkv_store *store, const struct daxkv_options *o);

/* ---- open_close.c -----------------------------------------------------------------------------
 */

/* store_free - undo all of daxkv_open, as far as it came, and free the handle. No transaction
 * runs. */
void store_free(struct daxkv_store *store);

#endif
