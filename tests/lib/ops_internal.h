/* SPDX-License-Identifier: BSD-3-Clause */
/* ops_internal.h - what the generator's two halves share: ops.c (the stream, single operations) and
 * ops_many.c (operations on many pairs).
 */
#ifndef DAXKV_TEST_OPS_INTERNAL_H
#define DAXKV_TEST_OPS_INTERNAL_H

#include "oracle.h"

enum style { STYLE_MIXED, STYLE_LOAD, STYLE_DELETE, STYLE_CURSORS, STYLE_ASCENDING, STYLES };

#define OPS_MANY_VALUE 3000u /* bytes of a value among many, at most */

static inline size_t ops_below(struct ops *ops, size_t n)
{
	return (size_t)rng_below(&ops->rng, n ? n : 1);
}

void ops_make_key(struct ops *ops, const struct oracle_db *db, unsigned int known_percent,
                  struct op *op);
void ops_make_value(struct ops *ops, const struct oracle_db *db, struct op *op);
void ops_copy_val(struct daxkv_val *to, const struct daxkv_val *from);

/* ops_known_rec - any pair of db; NULL when it is empty or a name of a database was hit. */
const struct rec *ops_known_rec(struct ops *ops, const struct oracle_db *db);

/* ops_pick_cursor - an open cursor of transaction op->txn that can be used now; false when there is
 * none. */
bool ops_pick_cursor(struct ops *ops, struct op *op);

/* ops_make_many - an operation on many pairs of the writer's db. ops_make_cursor_many - many
 * entries by the cursor op->cursor, on db. */
void ops_make_many(struct ops *ops, const struct oracle_db *db, struct op *op);
void ops_make_cursor_many(struct ops *ops, const struct oracle_db *db, struct op *op);

#endif
