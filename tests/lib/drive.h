/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drive.h - executes a stream of operations (ops.h) on daxkv.
 *
 * Database handles: a slot's handle is opened when it is first needed and again whenever the rules
 * of daxkv.h took it away (its transaction was aborted, its database dropped, the store closed).
 * Between write transactions every database has one that was committed. A read transaction uses
 * that, or opens its own when its snapshot has a database of the slot that is no more.
 */
#ifndef DAXKV_TEST_DRIVE_H
#define DAXKV_TEST_DRIVE_H

#include "drive_members.h"
#include "oracle.h"

struct drive_handle {
	daxkv_db id;        /* 0: none */
	unsigned int level; /* of the write transaction that opened it; 0: committed */
	uint32_t incarnation;
};

struct drive_reader {
	struct daxkv_txn *txn;
	bool reset, opened; /* opened: it opened a handle, which an abort would take away */
	struct drive_handle handle[OP_DBS];
};

struct drive_cursor {
	struct daxkv_cursor *cursor;
	unsigned int txn, level, db;
};

struct drive {
	const struct oracle *oracle;
	const char *path;
	struct daxkv_options options;
	struct daxkv_store *store;
	unsigned int depth;
	struct daxkv_txn *txn[OP_DEPTH];
	struct drive_handle handle[OP_DBS];
	struct drive_reader reader[OP_READERS + 1]; /* 0 is not used */
	struct drive_cursor cursor[OP_CURSORS];
	struct daxkv_counters past; /* of the handles before the last reopen */
	uint32_t deepest;           /* levels of a tree, seen by OP_DB_STAT */
	uint64_t ends;
	uint64_t moved, compact_cuts;        /* by OP_COMPACT: pages; files made shorter */
	const struct drive_members *members; /* NULL: there are none */
	bool grouped;                        /* a group is open: txn[0] is a member of it, */
	bool second;                         /* and txn[1], too */
	uint64_t begins;
	void (*stored)(
	    const void *p,
	    size_t n); /* the bytes of a reserved value were filled in; NULL: nobody is to know */
};

/* drive_start - open the store in path; a new one gets a main database with main_flags. drive_end
 * ends all transactions and closes it. Both return what daxkv did. */
int drive_start(struct drive *drive, const char *path, const struct daxkv_options *options,
                unsigned int main_flags, const struct oracle *oracle);
int drive_end(struct drive *drive);

/* drive_abort - end the write transactions, whatever state they are in. */
void drive_abort(struct drive *drive);

/* drive_apply - execute op. The oracle has executed it already; before is what there was before. */
void drive_apply(struct drive *drive, const struct op *op, const struct oracle_before *before,
                 struct outcome *out);

/* drive_compare - read a database in both directions against the pairs that it must have; prints
 * the first difference. */
bool drive_compare(struct drive *drive, unsigned int txn, unsigned int index,
                   const struct oracle_db *db, struct rec **list, size_t n);

/* drive_check - daxkv_check, its faults printed. */
int drive_check(struct drive *drive);

/* drive_counters - the counters over all openings. */
void drive_counters(const struct drive *drive, struct daxkv_counters *sum);

#endif
