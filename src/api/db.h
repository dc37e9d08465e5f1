/* SPDX-License-Identifier: BSD-3-Clause */
/* db.h - what the calls on databases share. */
#ifndef DAXKV_DB_H
#define DAXKV_DB_H

#include "txn/dbi.h"

/* db_flags_change - give an empty database other flags: it gets a new descriptor, which a named
 * one's catalog entry has to name. Errors of daxkv_put, after which the transaction can only be
 * aborted.
 */
int db_flags_change(struct daxkv_txn *txn, daxkv_db db, struct dbstate *state, unsigned int flags);

#endif
