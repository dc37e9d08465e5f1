/* SPDX-License-Identifier: BSD-3-Clause */
/* drive_internal.h - what the executor's two halves share: drive.c and drive_many.c (operations on
 * many pairs). */
#ifndef DAXKV_TEST_DRIVE_INTERNAL_H
#define DAXKV_TEST_DRIVE_INTERNAL_H

#include "drive.h"

/* drive_many, drive_cursor_many - execute an operation on many pairs. */
int drive_many(struct daxkv_txn *txn, daxkv_db db, const struct op *op, struct outcome *out);
int drive_cursor_many(struct daxkv_cursor *cursor, const struct op *op, struct outcome *out);

#endif
