/* SPDX-License-Identifier: BSD-3-Clause */
/* drive_internal.h - what the executor's two halves share: drive.c and drive_many.c (operations on
 * many pairs). */
#ifndef DAXKV_TEST_DRIVE_INTERNAL_H
#define DAXKV_TEST_DRIVE_INTERNAL_H

#include "drive.h"

/* drive_many, drive_cursor_many - execute an operation on many pairs. */
int drive_many(struct daxkv_txn *txn, daxkv_db db, const struct op *op, struct outcome *out);
int drive_cursor_many(struct daxkv_cursor *cursor, const struct op *op, struct outcome *out);

/* drive_group.c: members_begin - the transaction of depth 1 becomes a member, or ends as one, and
 * another begins at depth 2. *done false: it is to be nested. members_end - the innermost
 * transaction, which is a member, ends; keep: well. members_abort - so does all of the group. */
int members_begin(struct drive *drive, bool *done);
int members_end(struct drive *drive, bool keep);
void members_abort(struct drive *drive);

#endif
