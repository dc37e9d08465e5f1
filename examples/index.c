/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * index.c - a secondary index. People are kept by name, and are found by their city as well.
 *
 *   database "people"     name -> city
 *   database "by-city"    city -> name, name, ...    sorted duplicates: a key has many values
 *
 * Both databases change in one transaction, so that the index always agrees with what it is for:
 * no reader and no crash ever sees one of the two changes alone.
 *
 * usage: index STORE put NAME CITY    a person who is there already moves to CITY
 *        index STORE del NAME
 *        index STORE in CITY          prints the names of the people in CITY, sorted
 * build: cc index.c $(pkg-config --cflags --libs daxkv)
 */
#include <daxkv.h>

#include <stdio.h>
#include <string.h>

struct databases {
	daxkv_db people, by_city;
};

static struct daxkv_val val_of(char *text)
{
	return (struct daxkv_val){.size = strlen(text), .data = text};
}

/* databases_open - handles for both databases. flags: DAXKV_CREATE to write, 0 to read. */
static int databases_open(struct daxkv_txn *txn, unsigned int flags, struct databases *dbs)
{
	struct daxkv_val people = val_of("people"), by_city = val_of("by-city");
	int err = daxkv_db_open(txn, &people, flags, &dbs->people);

	if (!err)
		err = daxkv_db_open(txn, &by_city, flags | DAXKV_DUP_SORT, &dbs->by_city);
	return err;
}

/* person_remove - the person's entry, and the pair of the index that leads to it. */
static int person_remove(struct daxkv_txn *txn, const struct databases *dbs, char *name)
{
	struct daxkv_val key = val_of(name), city;
	int err = daxkv_get(txn, dbs->people, &key, &city);

	if (err)
		return err;
	/* A value that was read is valid until the next change: the pair has to go first. */
	err = daxkv_del(txn, dbs->by_city, &city, &key);
	return err ? err : daxkv_del(txn, dbs->people, &key, NULL);
}

static int person_put(struct daxkv_txn *txn, const struct databases *dbs, char *name, char *in)
{
	struct daxkv_val key = val_of(name), city = val_of(in);
	int err = person_remove(txn, dbs, name);

	if (err && err != DAXKV_NOT_FOUND)
		return err;
	err = daxkv_put(txn, dbs->people, &key, &city, 0);
	return err ? err : daxkv_put(txn, dbs->by_city, &city, &key, 0);
}

/* change - one write transaction: put the person, or with city NULL remove it. */
static int change(struct daxkv_store *store, char *name, char *city)
{
	struct databases dbs;
	struct daxkv_txn *txn;
	int err = daxkv_txn_begin(store, NULL, 0, &txn);

	if (err)
		return err;
	err = databases_open(txn, DAXKV_CREATE, &dbs);
	if (!err)
		err = city ? person_put(txn, &dbs, name, city) : person_remove(txn, &dbs, name);
	if (!err)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return err;
}

/* print_city - the values of one key of the index, in their order. */
static int print_city(struct daxkv_store *store, char *city)
{
	struct daxkv_val key = val_of(city), name;
	struct daxkv_cursor *cursor;
	struct databases dbs;
	struct daxkv_txn *txn;
	int err = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (err)
		return err;
	err = databases_open(txn, 0, &dbs);
	if (!err)
		err = daxkv_cursor_open(txn, dbs.by_city, &cursor);
	if (!err) {
		err = daxkv_cursor_get(cursor, &key, &name, DAXKV_SEEK);
		while (!err) {
			printf("%.*s\n", (int)name.size, (char *)name.data);
			err = daxkv_cursor_get(cursor, &key, &name, DAXKV_NEXT_DUP);
		}
		daxkv_cursor_close(cursor);
	}
	daxkv_txn_abort(txn);
	return err == DAXKV_NOT_FOUND ? 0 : err; /* after the last name, or there is nobody */
}

int main(int argc, char **argv)
{
	const struct daxkv_options options = {.flags = DAXKV_CREATE};
	const char *what = argc < 4 ? "" : argv[2];
	struct daxkv_store *store;

	if (!(argc == 5 && strcmp(what, "put") == 0) &&
	    !(argc == 4 && (strcmp(what, "del") == 0 || strcmp(what, "in") == 0))) {
		fprintf(stderr, "usage: index STORE put NAME CITY | del NAME | in CITY\n");
		return 2;
	}
	int err = daxkv_open(argv[1], &options, &store);
	if (!err) {
		if (strcmp(what, "in") == 0)
			err = print_city(store, argv[3]);
		else
			err = change(store, argv[3], argc == 5 ? argv[4] : NULL);
		int close_err = daxkv_close(store);
		if (!err)
			err = close_err;
	}
	if (err)
		fprintf(stderr, "index: %s: %s\n", argv[1], daxkv_strerror(err));
	return err != 0;
}
