/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lmdb_ref.h - executes a stream of operations (tests/lib/ops.h) on LMDB, so that the oracle is
 * held against a store that others wrote.
 *
 * Only what both stores define alike is compared. LMDB keeps no cursor from one operation to the
 * next: each starts by seeking the place where the oracle says the cursor stands, because LMDB
 * 0.9's cursors differ from daxkv's after deletions, at a key's end and at the database's end. Left
 * out (OP_SKIP): steps from a deleted pair, refused sizes, the opening and listing of databases.
 * LMDB cannot rename, and drops badly inside nested transactions: databases have names of their own
 * there, a dropped one is emptied and serves again.
 */
#ifndef DAXKV_TEST_LMDB_REF_H
#define DAXKV_TEST_LMDB_REF_H

#include "oracle.h"

struct lmdb_ref;

/* lmdb_ref_start - an empty LMDB environment in the file path; ends the program when there can be
 * none. */
struct lmdb_ref *lmdb_ref_start(const char *path, unsigned int main_flags);

/* lmdb_ref_end - close it and remove its file. */
void lmdb_ref_end(struct lmdb_ref *ref);

/* lmdb_ref_apply - execute op; want is the oracle's outcome. */
void lmdb_ref_apply(struct lmdb_ref *ref, const struct op *op, const struct oracle_before *before,
                    const struct outcome *want, struct outcome *out);

/* lmdb_ref_compare - read a database in both directions against the pairs that it must have. */
bool lmdb_ref_compare(struct lmdb_ref *ref, unsigned int index, const struct oracle_db *db,
                      struct rec **list, size_t n);

#endif
