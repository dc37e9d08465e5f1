/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daxkv_salvage.h - looking for damage, and getting entries out of a damaged store: a part of
 * daxkv.h, which includes it.
 */
#ifndef DAXKV_SALVAGE_CALLS_H
#define DAXKV_SALVAGE_CALLS_H

#include "daxkv.h"

#ifdef __cplusplus
extern "C" {
#endif

/* daxkv_check - read the newest commit and verify every rule of the format. report (may be NULL) is
 * called with a line of text for each fault; *faults (may be NULL) is how many there are. Others
 * may write meanwhile: when commits come in between, the check begins again and holds the writer's
 * lock. Behind a writer that died it looks at what recovery will make of the file, and leaves the
 * file as it is. The order of a database with a comparator of the program's own is not checked. It
 * waits as long as it takes. Errors: CORRUPT when there was a fault. After others nothing is known:
 * BUSY (a writer changed the store under a reader that cannot use the lock file), BAD_TXN (forked
 * child), EINVAL, ENOMEM, errno. */
int daxkv_check(struct daxkv_store *store, void (*report)(const char *fault, void *arg), void *arg,
                uint64_t *faults);

/* How daxkv_check_with looks. Each function may be NULL, and none may use the store. */
struct daxkv_check {
	/* how long it may wait for writers; negative: as long as it takes */
	int64_t milliseconds;
	/* the faults, when all of them are known */
	void (*report)(const char *fault, void *arg);
	/* Called again and again: how many pages were looked at, of all that are in use. The number
	 * falls when the check begins again. Other than 0 ends the check, which returns that. The
	 * writer's lock may be held meanwhile. */
	int (*progress)(uint64_t pages, uint64_t total, void *arg);
	void *arg; /* of both */
};

/* daxkv_check_with - daxkv_check, as options say. Errors: those of daxkv_check, BUSY also when the
 * time is over; what progress returned. */
int daxkv_check_with(struct daxkv_store *store, const struct daxkv_check *options,
                     uint64_t *faults);

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
