/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lazy.c - make a lazy commit, KEY VALUE, in a store, and die: what is not synced is left.
 *
 *   lazy STORE KEY VALUE
 */
#include "daxkv.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct daxkv_options options = {.pmem = DAXKV_PMEM_FILE, .durability = DAXKV_LAZY};
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	int rc;

	if (argc != 4)
		return 2;
	struct daxkv_val key = {strlen(argv[2]), argv[2]}, value = {strlen(argv[3]), argv[3]};

	rc = daxkv_open(argv[1], &options, &store);
	if (!rc)
		rc = daxkv_txn_begin(store, NULL, 0, &txn);
	if (!rc)
		rc = daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
	if (!rc)
		rc = daxkv_txn_commit(txn);
	if (rc)
		fprintf(stderr, "lazy: %s\n", daxkv_errmsg());
	_exit(rc != 0);
}
