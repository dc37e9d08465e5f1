/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn.h - begin, commit and abort of transactions: what a store keeps for them.
 */
#ifndef DAXKV_TXN_H
#define DAXKV_TXN_H

#include "txn/store.h"

/* txn_open_tables, txn_close_tables - of a store: what threads keep between read transactions. 0 or
 * errno. */
int txn_open_tables(struct daxkv_store *store);
void txn_close_tables(struct daxkv_store *store);

#endif
