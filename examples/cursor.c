/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor.c - a loop over the entries of a store, in the order of their keys. It prints each key
 * with the size of its value.
 *
 * A read transaction sees one commit, whatever is written meanwhile; it takes no lock and makes
 * nobody wait. Keys and values are not copied: they point into the file's mapping and are valid
 * until the transaction ends.
 *
 * usage: cursor STORE           all entries
 *        cursor STORE PREFIX    the entries whose key begins with PREFIX
 * build: cc cursor.c $(pkg-config --cflags --libs daxkv)
 */
#include <daxkv.h>

#include <stdio.h>
#include <string.h>

static int has_prefix(const struct daxkv_val *key, const char *prefix)
{
	size_t size = strlen(prefix);

	return key->size >= size && memcmp(key->data, prefix, size) == 0;
}

static int print_entries(struct daxkv_cursor *cursor, char *prefix)
{
	struct daxkv_val key = {strlen(prefix), prefix}, value;
	int err;

	/* A seek needs a key, so that the empty prefix begins at the first entry. */
	err = daxkv_cursor_get(cursor, &key, &value, key.size ? DAXKV_SEEK_GE : DAXKV_FIRST);
	while (!err && has_prefix(&key, prefix)) {
		printf("%.*s: %zu bytes\n", (int)key.size, (char *)key.data, value.size);
		err = daxkv_cursor_get(cursor, &key, &value, DAXKV_NEXT);
	}
	return err == DAXKV_NOT_FOUND ? 0 : err; /* NOT_FOUND: the last entry was passed */
}

static int print_store(struct daxkv_store *store, char *prefix)
{
	struct daxkv_cursor *cursor;
	struct daxkv_txn *txn;
	int err = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (err)
		return err;
	err = daxkv_cursor_open(txn, DAXKV_MAIN, &cursor);
	if (!err) {
		err = print_entries(cursor, prefix);
		daxkv_cursor_close(cursor);
	}
	daxkv_txn_abort(txn); /* a read transaction has nothing to keep */
	return err;
}

int main(int argc, char **argv)
{
	struct daxkv_options options = {.flags = DAXKV_READ_ONLY};
	struct daxkv_store *store;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: cursor STORE [PREFIX]\n");
		return 2;
	}
	int err = daxkv_open(argv[1], &options, &store);
	if (!err) {
		err = print_store(store, argc == 3 ? argv[2] : "");
		daxkv_close(store); /* nothing was written, so nothing can be lost here */
	}
	if (err)
		fprintf(stderr, "cursor: %s: %s\n", argv[1], daxkv_errmsg());
	return err != 0;
}
