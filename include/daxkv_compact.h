/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daxkv_compact.h - making the file of a store smaller while it is used: a part of daxkv.h, which
 * includes it.
 */
#ifndef DAXKV_COMPACT_CALLS_H
#define DAXKV_COMPACT_CALLS_H

#include "daxkv.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How much daxkv_compact does at a call. A member that is zero is no bound. */
struct daxkv_compact {
	uint64_t pages;            /* moved or written anew, about */
	unsigned int milliseconds; /* after which no further step begins */
	uint64_t size;             /* bytes: a file that is no longer than that is left alone */
	/* Called after each step, outside of its transaction, when it is not NULL: pages moved by
	 * this call so far, and bytes of the file. Other than 0 ends the call, which returns it. */
	int (*progress)(uint64_t moved, uint64_t file_size, void *arg);
	void *arg;
};

struct daxkv_compact_report {
	uint64_t size_before, size; /* bytes of the file, at the call and now */
	uint64_t moved;             /* pages moved or written anew */
	int done;                   /* nothing is left to do; else a bound ended the call */
	/* What held the rest back, when the file could not be cut or pages not be moved: the oldest
	 * reader; 0: none. A reader that may not write the lock file has no pid. */
	int held, reader_pid;
	uint64_t reader_snapshot, reader_age_ms;
	uint64_t last_page; /* in use, by its offset in bytes: the file does not end before it */
};

/* daxkv_compact - move pages from the end of the file into free ones before them, join leaves that
 * have little in them, and cut the file. It does so in small write transactions, between which
 * others write, beside readers and writers of any process; a step is durable when the next begins,
 * and a process that dies leaves the store as between two of them. The next call goes on where this
 * one stopped. Large values move when a place before theirs is long enough. The file does not get
 * shorter than its initial size, nor than what is in use and the reserve for removals (see
 * daxkv(3)). It is cut when no reader is older than the last step, and no read transaction with a
 * limit is there; else a later call cuts it, or the last one to close the store. options may be
 * NULL. *report (may be NULL) is filled whatever is returned. Any thread may call it, outside of
 * its own write transactions. Errors: those of daxkv_txn_begin for writing; INCOMPATIBLE
 * (EXTERNAL_LOCK); DBS_FULL (no handle was left for a named database); the space errors; what
 * progress returned. */
int daxkv_compact(struct daxkv_store *store, const struct daxkv_compact *options,
                  struct daxkv_compact_report *report);

/* With compact_free in struct daxkv_options, per cent up to 99, the commits of that handle do it:
 * while more of the file is free, each one is followed by a step of a few dozen pages, made by
 * the same thread, a commit of its own, when no other writer is there. A step waits for no
 * reader, and what it meets is no error of the commit. There is none where commits may wait for a
 * sync. A pass that gains nothing is not repeated before an eighth of the file more is free. */

#ifdef __cplusplus
}
#endif
#endif
