/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * first.c - the first program: it makes the store cities.kv and keeps one entry in it.
 *
 * A call returns 0 or an error, and the chain ends at the first error. When daxkv_txn_commit has
 * returned 0, the entry is durable: it survives the end of the process, and on a suitable medium a
 * power cut (daxkv-durability(7)). A process that ends before that leaves nothing half done.
 *
 * usage: first                  then: kv get cities.kv oslo
 * build: cc first.c $(pkg-config --cflags --libs daxkv)
 */
#include <daxkv.h>
#include <stdio.h>

int main(void)
{
	struct daxkv_options options = {.flags = DAXKV_CREATE};
	struct daxkv_val key = {4, "oslo"}, value = {6, "709037"};
	struct daxkv_store *store;
	struct daxkv_txn *txn;

	if (daxkv_open("cities.kv", &options, &store) || daxkv_txn_begin(store, NULL, 0, &txn) ||
	    daxkv_put(txn, DAXKV_MAIN, &key, &value, 0) || daxkv_txn_commit(txn) ||
	    daxkv_close(store)) {
		fprintf(stderr, "cities.kv: %s\n", daxkv_errmsg());
		return 1;
	}
	return 0;
}
