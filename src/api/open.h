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

/* open_mode - permissions of a file that is made. */
static inline unsigned int open_mode(const struct daxkv_options *o)
{
	if (o->mode)
		return o->mode;
	return 0664;
}

/* ---- the steps of opening, each in a file of its name -----------------------------------------
 */

/* open_file - open the file, or create it when it is missing (*made) or empty and that was asked
 * for. A file that somebody made meanwhile is opened. Errors of map_open_file, map_create_file;
 * EEXIST; EINVAL, EFBIG for a size that cannot be. After an error no file is left that was not
 * there.
 * open_file_local - a network filesystem's mappings and locks do not reach other machines in the
 * way that a store needs. EOPNOTSUPP. Without a lock file it is for the caller to know. */
int open_file(struct daxkv_store *store, const char *path, const struct daxkv_options *o,
              bool *made);
int open_file_local(const struct daxkv_store *store);

/* open_attach - map the file and bring it to its newest transaction. *txn: the newest commit. Those
 * who join find it in the share, and recover nothing. INCOMPATIBLE for another page size than was
 * asked for; VERSION, FOREIGN, CORRUPT as of super_read.
 * open_join - agree with the store's other users. The open lock is held. INCOMPATIBLE; BUSY when
 * they have another file. open_size_check - the file has what its size word says. A shorter file
 * would fault when it is read. CORRUPT. */
int open_attach(struct daxkv_store *store, const struct daxkv_options *o, uint64_t *txn);
int open_join(struct daxkv_store *store, const struct daxkv_options *o);
int open_size_check(struct daxkv_store *store);

/* open_writer - the memory of the one writer, and the free space as of that commit. A user that
 * joined looks at it when it writes first. */
int open_writer(struct daxkv_store *store, uint64_t txn);

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
