/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transaction.c - two changes in one transaction: store a value under one key and delete another.
 * No reader and no crash ever sees one change without the other; when either fails, neither
 * happens.
 *
 * usage: transaction STORE KEY VALUE OLD-KEY
 * build: cc transaction.c $(pkg-config --cflags --libs daxkv)
 */
#include <daxkv.h>

#include <stdio.h>
#include <string.h>

static struct daxkv_val val_of(char *text)
{
	return (struct daxkv_val){.size = strlen(text), .data = text};
}

static int entry_replace(struct daxkv_store *store, struct daxkv_val key, struct daxkv_val value,
                         struct daxkv_val old_key)
{
	struct daxkv_txn *txn;
	int err = daxkv_txn_begin(store, NULL, 0, &txn);
	if (err)
		return err;
	err = daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
	if (!err)
		err = daxkv_del(txn, DAXKV_MAIN, &old_key, NULL);
	if (err) {
		daxkv_txn_abort(txn); /* the put is forgotten as well */
		return err;
	}
	return daxkv_txn_commit(txn); /* on success both changes are durable */
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: transaction STORE KEY VALUE OLD-KEY\n");
		return 2;
	}
	struct daxkv_store *store;
	int err = daxkv_open(argv[1], NULL, &store);
	if (err) {
		fprintf(stderr, "transaction: %s: %s\n", argv[1], daxkv_strerror(err));
		return 1;
	}
	err = entry_replace(store, val_of(argv[2]), val_of(argv[3]), val_of(argv[4]));
	if (err)
		fprintf(stderr, "transaction: nothing was changed: %s\n", daxkv_strerror(err));
	int close_err = daxkv_close(store);
	if (close_err)
		fprintf(stderr, "transaction: %s: %s\n", argv[1], daxkv_strerror(close_err));
	return err || close_err;
}
