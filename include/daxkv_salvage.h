/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daxkv_salvage.h - getting entries out of a damaged store: a part of daxkv.h, which includes it.
 */
#ifndef DAXKV_SALVAGE_CALLS_H
#define DAXKV_SALVAGE_CALLS_H

#include "daxkv.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What takes that which daxkv_salvage finds. Bytes are valid during the call. A function that
 * returns other than 0 ends the salvage, which returns that; the functions must not end their
 * thread. */
struct daxkv_salvage {
	/* Called once, first: what the damaged store says of itself; 0 for a user version that is
	 * not known. A store for what follows needs the same page size. */
	int (*store)(unsigned int page_size, uint64_t user_version, void *arg);
	/* The entries that follow are the named database's (NULL: the main one's), whose flags are
	 * those of enum daxkv_db_flags. A database may come more than once. */
	int (*database)(const struct daxkv_val *name, unsigned int flags, void *arg);
	/* An entry. With OWN_COMPARE and OWN_DUP_COMPARE they come in the database's order. */
	int (*entry)(const struct daxkv_val *key, const struct daxkv_val *value, void *arg);
	/* May be NULL: a line of text for each place where something is lost. */
	void (*lost)(const char *what, void *arg);
	void *arg;
};

/* daxkv_salvage - read what can be read of the store in the file path, however damaged, and give it
 * to the functions of to. An entry is given only when its checksum holds, a large value's too, and
 * of a key the newest version that is left. Databases are followed by their trees; where a page
 * that is lost leads no further, leaves are found by looking at all pages. A leaf does not say
 * whose it is: what may be of several databases comes in a database whose name begins with
 * lost+found, and so does a database whose name is lost. The superblock is not needed. Pages in use
 * are told from free ones by the bitmaps; where those are lost too, by what the pages say of each
 * other, and then something that was deleted may come back. *lost (may
 * be NULL) is how many places were told. The file is opened for reading alone, without a lock file:
 * nobody may write it meanwhile. Takes a byte of memory for each page, and reads the file twice.
 * Any thread may call it. Errors: EINVAL, errno of open, fstat and mmap, ENOMEM, FOREIGN (no page
 * of a store is in it), and what the functions return. */
int daxkv_salvage(const char *path, const struct daxkv_salvage *to, uint64_t *lost);

#ifdef __cplusplus
}
#endif
#endif
