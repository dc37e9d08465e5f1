/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * call_store.h - the store of a call: its opening, its one running transaction, its selected
 * database. Each function returns an exit status and has printed what failed.
 */
#ifndef DAXKV_CLI_STORE_H
#define DAXKV_CLI_STORE_H

#include "cli.h"

/* store_open - open call->file with enum daxkv_open_flags; EEXIST is not printed when found is
 * given: *found tells of it instead. */
int store_open(struct call *call, unsigned int flags, bool *found);

/* store_now_ms - a clock that only goes forward. */
int64_t store_now_ms(void);

/* store_waiting - how a call waits for another process's write transaction: first a second without
 * a word, then a line on the standard error says which process that is. waited_ms is how long it
 * has waited: the milliseconds to wait next, at most; 0: no longer, which was printed. */
unsigned int store_waiting(struct call *call, int64_t waited_ms);

/* store_begin - start call->txn: a write transaction, or with DAXKV_TXN_READ_ONLY a read
 * transaction. */
int store_begin(struct call *call, unsigned int flags);

/* store_select - make call->db the database named by name (NULL: the main one), with enum
 * daxkv_db_flags and CREATE. */
int store_select(struct call *call, const struct daxkv_val *name, unsigned int flags);

/* store_read - open for reading, begin a read transaction, select the database of --db. */
int store_read(struct call *call);

/* store_read_verified - the same, and cursors compare checksums. store_count - behind a walk
 * through the selected database: whether it met as many entries as there are, the main one's
 * databases included. */
int store_read_verified(struct call *call);
int store_count(struct call *call, uint64_t found);

/* store_write - open for writing unless that was done, begin a write transaction, select the
 * database of --db. */
int store_write(struct call *call);

/* store_commit - make the running write transaction durable. */
int store_commit(struct call *call);

/* store_lazy - commits wait for a store_sync from here on; false: they cannot. store_sync - make
 * them durable. An exit status. */
bool store_lazy(struct call *call);
int store_sync(struct call *call);

/* store_next_db - give the selected database's handle back, so that any number can be visited.
 * Cursors must be closed and pointers into the store forgotten: the read transaction takes a new
 * snapshot. */
int store_next_db(struct call *call);

/* store_cursor - a cursor on the selected database that may be moved from end to end, also where
 * the order is the program's own. */
int store_cursor(struct call *call, struct daxkv_cursor **cursor);

/* store_open_or_make - the store that is there, or a new one. */
int store_open_or_make(struct call *call);

/* store_end - abort what runs and close the store; returns status, or the failure to close when
 * status is EXIT_OK. Where it is not, a store that this call made is removed, with its lock file,
 * unless somebody else uses it or something was committed to it. */
int store_end(struct call *call, int status);

#endif
