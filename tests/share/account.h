/* SPDX-License-Identifier: BSD-3-Clause */
/* account.h - an account of stress.c: its key, its balance, and a filler whose stored part
 * varies. */
#ifndef DAXKV_TESTS_ACCOUNT_H
#define DAXKV_TESTS_ACCOUNT_H

#include "daxkv.h"

#include "rng.h"

#include <stdio.h>
#include <string.h>

struct account {
	int64_t balance;
	uint8_t filler[200]; /* part of it is stored */
};

static struct daxkv_val account_key(unsigned int i, char *buf, size_t size)
{
	return (struct daxkv_val){(size_t)snprintf(buf, size, "account-%06u", i), buf};
}

static int account_get(struct daxkv_txn *txn, unsigned int i, int64_t *balance)
{
	char buf[32];
	struct daxkv_val key = account_key(i, buf, sizeof buf), value;
	int rc = daxkv_get(txn, DAXKV_MAIN, &key, &value);

	if (!rc)
		memcpy(balance, value.data, sizeof *balance);
	return rc;
}

static int account_put(struct daxkv_txn *txn, unsigned int i, int64_t balance, struct rng *rng)
{
	char buf[32];
	struct account a = {.balance = balance};
	struct daxkv_val key = account_key(i, buf, sizeof buf),
	                 value = {sizeof a.balance + rng_next(rng) % sizeof a.filler, &a};

	memset(a.filler, (int)i, sizeof a.filler);
	return daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
}

#endif
