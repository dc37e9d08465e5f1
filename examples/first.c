/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * first.c - the first program: it makes the store cities.kv, keeps one entry in it, and reads it.
 *
 * A call returns 0 or an error, and the chain ends at the first error. When daxkv_txn_commit has
 * returned 0, the entry is durable: it survives the end of the process, and on a suitable medium a
 * power cut (daxkv-durability(7)). A process that ends before that leaves nothing half done. What
 * daxkv_get shows lies in the store, and stays until the read transaction ends.
 *
 * usage: first                  then: kv scan cities.kv
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
	    daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn) ||
	    daxkv_get(txn, DAXKV_MAIN, &key, &value)) {
		fprintf(stderr, "cities.kv: %s\n", daxkv_errmsg());
		return 1;
	}
	printf("%.*s\n", (int)value.size, (const char *)value.data);
	daxkv_txn_abort(txn);
	return daxkv_close(store) != 0;
}
