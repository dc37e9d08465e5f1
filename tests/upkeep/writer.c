/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * writer.c - one process that commits without a pause, as a busy service does.
 *
 *   writer STORE FILE
 *
 * It makes its own changes, so that no other process takes a processor to feed it: durable
 * transactions of one put each, to a thousand keys in turn, for as long as FILE is there.
 */
#include "daxkv.h"

#include <stdio.h>
#include <unistd.h>

#define KEYS 1000u /* FILE is looked for once for so many commits */

/* put_one - one transaction. What daxkv returned. */
static int put_one(struct daxkv_store *store, unsigned int i)
{
	char name[16];
	const struct daxkv_val key = {(size_t)snprintf(name, sizeof name, "zzz%09u", i), name};
	struct daxkv_val value = {1, "v"};
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
	if (!rc)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return rc;
}

int main(int argc, char **argv)
{
	const struct daxkv_options options = {0};
	struct daxkv_store *store;
	int rc;

	if (argc != 3) {
		fputs("usage: writer STORE FILE\n", stderr);
		return 2;
	}
	rc = daxkv_open(argv[1], &options, &store);
	while (!rc && access(argv[2], F_OK) == 0)
		for (unsigned int i = 0; i < KEYS && !rc; i++)
			rc = put_one(store, i);
	if (!rc)
		rc = daxkv_close(store);
	if (rc)
		fprintf(stderr, "writer: %s\n", daxkv_errmsg());
	return rc != 0;
}
