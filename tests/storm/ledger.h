/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ledger.h - transactions that depend on their number and a seed only, and what a store has after
 * them.
 *
 * Transaction t moves money between accounts (the sum never changes), notes itself under "last" and
 * in a log of the newest LEDGER_LOG transactions, adds a pair to the database "pairs" and takes an
 * old one away, now and then rewrites all of the database "bulk", and tries nested transactions,
 * kept and aborted. So the number of the newest transaction tells everything that a store must
 * contain, and a part of a transaction that is missing, or there without the rest, shows.
 */
#ifndef DAXKV_TEST_LEDGER_H
#define DAXKV_TEST_LEDGER_H

#include "daxkv.h"

#include <stdbool.h>

#define LEDGER_ACCOUNTS 48u
#define LEDGER_OPENING  1000 /* in each account at first */
#define LEDGER_LOG      200u
#define LEDGER_PAIRS    300u
#define LEDGER_BULK     500u

struct ledger { /* what a store has after transaction last */
	uint64_t seed, last;
	int64_t account[LEDGER_ACCOUNTS];
	uint64_t bulk; /* the transaction that wrote it; 0: none */
};

/* ledger_start - before the first transaction. */
void ledger_start(struct ledger *l, uint64_t seed);

/* ledger_advance - by the next transaction. */
void ledger_advance(struct ledger *l);

/* ledger_write - carry transaction t out; the store is at t - 1. Returns a result of daxkv; after a
 * failure nothing of t was kept. started, when not NULL, becomes t before the commit begins. */
int ledger_write(struct daxkv_store *store, uint64_t seed, uint64_t t, volatile uint64_t *started);

/* ledger_last - the number of the store's newest transaction, 0 for an empty one, as txn sees
 * it. */
int ledger_last(struct daxkv_txn *txn, uint64_t *t);

/* ledger_sum - of all accounts, as txn sees them; the right one is LEDGER_ACCOUNTS *
 * LEDGER_OPENING, or 0 in an empty store. */
int ledger_sum(struct daxkv_txn *txn, int64_t *sum);

/* ledger_differs - NULL when the store has exactly what the ledger says and daxkv_check is silent;
 * else a line that says what is wrong. */
const char *ledger_differs(struct daxkv_store *store, const struct ledger *l);

#endif
