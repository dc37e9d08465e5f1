/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache.c - a cache whose entries expire.
 *
 *   database "values"     key -> the second at which it expires (8 bytes), then the value
 *   database "expiry"     second -> key, key, ...    integer keys, sorted duplicates
 *
 * A reader looks at the second in the value and needs no clean-up to be right. The second database
 * gives entries back when they have expired, without a look at those that have not: its first keys
 * are the oldest seconds. The purge removes a limited number in one transaction, so that other
 * writers wait only for a moment.
 *
 * usage: cache STORE put KEY VALUE SECONDS
 *        cache STORE get KEY    prints the value; the status is 1 when there is none, or it expired
 *        cache STORE purge      removes what has expired, and prints how many entries that were
 * build: cc cache.c $(pkg-config --cflags --libs daxkv)
 */
#include <daxkv.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PURGE_MOST 1000 /* entries in one transaction */

struct databases {
	daxkv_db values, expiry;
};

static struct daxkv_val val_of(char *text)
{
	return (struct daxkv_val){.size = strlen(text), .data = text};
}

static uint64_t now(void)
{
	return (uint64_t)time(NULL);
}

/* databases_open - handles for both databases. flags: DAXKV_CREATE to write, 0 to read. */
static int databases_open(struct daxkv_txn *txn, unsigned int flags, struct databases *dbs)
{
	struct daxkv_val values = val_of("values"), expiry = val_of("expiry");
	int err = daxkv_db_open(txn, &values, flags, &dbs->values);

	if (!err)
		err = daxkv_db_open(txn, &expiry, flags | DAXKV_INTEGER_KEY | DAXKV_DUP_SORT,
		                    &dbs->expiry);
	return err;
}

/* entry_remove - an entry and its pair in "expiry". NOT_FOUND when there is none. */
static int entry_remove(struct daxkv_txn *txn, const struct databases *dbs, struct daxkv_val *key)
{
	struct daxkv_val value, second;
	uint64_t expires;
	int err = daxkv_get(txn, dbs->values, key, &value);

	if (err)
		return err;
	memcpy(&expires, value.data, sizeof expires); /* valid until the next change only */
	second = (struct daxkv_val){sizeof expires, &expires};
	err = daxkv_del(txn, dbs->expiry, &second, key);
	return err ? err : daxkv_del(txn, dbs->values, key, NULL);
}

static int entry_put(struct daxkv_txn *txn, const struct databases *dbs, struct daxkv_val *key,
                     const struct daxkv_val *value, uint64_t expires)
{
	struct daxkv_val second = {sizeof expires, &expires};
	struct daxkv_val both = {sizeof expires + value->size, NULL};
	int err = entry_remove(txn, dbs, key);

	if (err && err != DAXKV_NOT_FOUND)
		return err;
	/* RESERVE makes room in the store, which is filled here: the value is copied once. */
	err = daxkv_put(txn, dbs->values, key, &both, DAXKV_RESERVE);
	if (err)
		return err;
	memcpy(both.data, &expires, sizeof expires);
	memcpy((char *)both.data + sizeof expires, value->data, value->size);
	return daxkv_put(txn, dbs->expiry, &second, key, 0);
}

/* purge_some - remove at most PURGE_MOST entries that have expired, the oldest first. */
static int purge_some(struct daxkv_txn *txn, const struct databases *dbs, unsigned int *removed)
{
	struct daxkv_val second, key;
	struct daxkv_cursor *cursor;
	uint64_t expires;
	int err = daxkv_cursor_open(txn, dbs->expiry, &cursor);

	if (err)
		return err;
	for (*removed = 0; !err && *removed < PURGE_MOST; *removed += !err) {
		err = daxkv_cursor_get(cursor, &second, &key, DAXKV_FIRST);
		if (err)
			break;
		memcpy(&expires, second.data, sizeof expires);
		if (expires > now())
			break;
		/* What a change is given may lie in the store, as this key does. */
		err = daxkv_del(txn, dbs->values, &key, NULL);
		if (!err)
			err = daxkv_cursor_del(cursor, 0);
	}
	daxkv_cursor_close(cursor);
	return err == DAXKV_NOT_FOUND ? 0 : err; /* NOT_FOUND: there are no entries left */
}

/* write_txn - one write transaction: put the value, or with key NULL purge some. */
static int write_txn(struct daxkv_store *store, struct daxkv_val *key,
                     const struct daxkv_val *value, uint64_t expires, unsigned int *removed)
{
	struct databases dbs;
	struct daxkv_txn *txn;
	int err = daxkv_txn_begin(store, NULL, 0, &txn);

	if (err)
		return err;
	err = databases_open(txn, DAXKV_CREATE, &dbs);
	if (!err)
		err = key ? entry_put(txn, &dbs, key, value, expires)
		          : purge_some(txn, &dbs, removed);
	if (!err)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return err;
}

static int purge(struct daxkv_store *store)
{
	unsigned int removed = 0, all = 0;
	int err;

	do {
		err = write_txn(store, NULL, NULL, 0, &removed);
		if (!err)
			all += removed;
	} while (!err && removed == PURGE_MOST);
	if (!err)
		printf("%u\n", all);
	return err;
}

/* get - print the value. NOT_FOUND when there is none, or when it has expired. */
static int get(struct daxkv_store *store, struct daxkv_val key)
{
	struct daxkv_val value;
	struct databases dbs;
	struct daxkv_txn *txn;
	uint64_t expires;
	int err = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (err)
		return err;
	err = databases_open(txn, 0, &dbs);
	if (!err)
		err = daxkv_get(txn, dbs.values, &key, &value);
	if (!err) {
		memcpy(&expires, value.data, sizeof expires);
		err = expires > now() ? 0 : DAXKV_NOT_FOUND;
	}
	if (!err)
		printf("%.*s\n", (int)(value.size - sizeof expires),
		       (char *)value.data + sizeof expires);
	daxkv_txn_abort(txn);
	return err;
}

int main(int argc, char **argv)
{
	const struct daxkv_options options = {.flags = DAXKV_CREATE};
	const char *what = argc < 3 ? "" : argv[2];
	int puts_one = argc == 6 && strcmp(what, "put") == 0;
	int gets_one = argc == 4 && strcmp(what, "get") == 0;
	struct daxkv_store *store;

	if (!puts_one && !gets_one && !(argc == 3 && strcmp(what, "purge") == 0)) {
		fprintf(stderr, "usage: cache STORE put KEY VALUE SECONDS | get KEY | purge\n");
		return 2;
	}
	int err = daxkv_open(argv[1], &options, &store);
	if (!err) {
		if (puts_one) {
			struct daxkv_val key = val_of(argv[3]), value = val_of(argv[4]);

			err = write_txn(store, &key, &value, now() + strtoul(argv[5], NULL, 10),
			                NULL);
		} else {
			err = gets_one ? get(store, val_of(argv[3])) : purge(store);
		}
		int close_err = daxkv_close(store);
		if (!err)
			err = close_err;
	}
	if (gets_one && err == DAXKV_NOT_FOUND)
		return 1;
	if (err)
		fprintf(stderr, "cache: %s: %s\n", argv[1], daxkv_strerror(err));
	return err ? 3 : 0;
}
