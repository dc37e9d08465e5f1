/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * import.c - kv import: an LMDB environment becomes a new store: all databases, their flags and
 * duplicates. LMDB does not tell when a program's comparator ordered a database; a pass ahead finds
 * out, and such a database gets OWN_COMPARE and is filled in the order that it has.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arrival.h"
#include "bytes.h"
#include "call_store.h"
#include "lmdb.h"
#include "progress.h"

#define BATCH_ENTRIES 10000u
#define BATCH_BYTES   (16u << 20)

struct import {
	struct call *call;
	struct lmdb lmdb;
	MDB_txn *txn;
	uint64_t total, pending, bytes;
	struct arrival arrival;
};

/* ---- one database ---------------------------------------------------------------------------- */

/* is_database - whether the main database's entry is a named database. */
static bool is_database(struct import *im, const MDB_val *key, char **name, MDB_dbi *dbi)
{
	*name = NULL;
	if (memchr(key->mv_data, '\0', key->mv_size) != NULL)
		return false;
	*name = strndup(key->mv_data, key->mv_size);
	if (*name != NULL && im->lmdb.mdb_dbi_open(im->txn, *name, 0, dbi) == 0)
		return true;
	free(*name);
	*name = NULL;
	return false;
}

/* flags_fit - what of LMDB's flags the entries do not keep to, as LMDB allows, is taken off: values
 * of DUP_FIXED that differ in size, and keys that are no integers, or not of one size, with
 * REVERSE_KEY, whose order wins in LMDB. With keys of one size both orders are the same, as
 * integers are little-endian. */
static void flags_fit(const MDB_val *key, const MDB_val *data, const MDB_val *last,
                      const MDB_val *last_data, unsigned int *flags)
{
	const bool integer = key->mv_size == 4 || key->mv_size == 8;

	if (last->mv_data != NULL && last_data->mv_size != data->mv_size)
		*flags &= ~(unsigned int)DAXKV_DUP_FIXED;
	if (*flags & DAXKV_REVERSE_KEY &&
	    (!integer || (last->mv_data != NULL && last->mv_size != key->mv_size)))
		*flags &= ~(unsigned int)DAXKV_INTEGER_KEY;
}

/* own_flags - which of the orders is not the flags' own; and the flags fitted to the entries. */
static int own_flags(struct import *im, MDB_dbi dbi, unsigned int *flags)
{
	MDB_cursor *c;
	MDB_val key, data, last = {0, NULL}, last_data = {0, NULL};
	int rc = im->lmdb.mdb_cursor_open(im->txn, dbi, &c);

	if (rc != 0)
		return lmdb_fail(im->call, &im->lmdb, rc, "cannot read a database");
	while ((rc = im->lmdb.mdb_cursor_get(c, &key, &data, MDB_NEXT)) == 0) {
		int order = last.mv_data != NULL ? im->lmdb.mdb_cmp(im->txn, dbi, &last, &key) : -1;

		if (order > 0)
			*flags |= DAXKV_OWN_COMPARE;
		else if (order == 0 && im->lmdb.mdb_dcmp(im->txn, dbi, &last_data, &data) >= 0)
			*flags |= DAXKV_OWN_DUP_COMPARE;
		flags_fit(&key, &data, &last, &last_data, flags);
		last = key;
		last_data = data;
	}
	im->lmdb.mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? EXIT_OK
	                          : lmdb_fail(im->call, &im->lmdb, rc, "cannot read a database");
}

/* target - select the database of the store, in the transaction that is running. */
static int import_target(struct import *im, const struct daxkv_val *name, unsigned int flags)
{
	struct call *call = im->call;
	int status = store_begin(call, 0), err = 0;

	if (status == EXIT_OK)
		status = store_select(call, name, flags | DAXKV_CREATE);
	if (status != EXIT_OK)
		return status;
	if (flags & DAXKV_OWN_COMPARE)
		err = daxkv_db_set_compare(call->txn, call->db, arrival_keys, &im->arrival);
	if (err == 0 && flags & DAXKV_OWN_DUP_COMPARE)
		err = daxkv_db_set_dup_compare(call->txn, call->db, arrival_dups, &im->arrival);
	return err == 0 ? EXIT_OK : call_fail(call, err, "cannot set an order");
}

static int import_put(struct import *im, const MDB_val *key, const MDB_val *data,
                      const struct daxkv_val *name, unsigned int flags)
{
	struct daxkv_val k = {key->mv_size, key->mv_data}, v = {data->mv_size, data->mv_data};
	int status, err;

	im->arrival = (struct arrival){k.data, v.data};
	err = daxkv_put(im->call->txn, im->call->db, &k, &v, 0);
	if (err != 0) {
		char text[80], what[128];

		snprintf(what, sizeof what, "cannot store the entry of '%s'",
		         bytes_text(&k, text, sizeof text));
		return call_fail(im->call, err, what);
	}
	im->bytes += k.size + v.size;
	progress_add(1);
	if (++im->pending < BATCH_ENTRIES && im->bytes < BATCH_BYTES)
		return EXIT_OK;
	im->pending = im->bytes = 0;
	status = store_commit(im->call);
	return status == EXIT_OK ? import_target(im, name, flags) : status;
}

/* import_entries - name NULL: the main database, without the entries of named ones. */
static int import_entries(struct import *im, MDB_dbi dbi, const char *name, unsigned int flags)
{
	union {
		const char *in;
		void *out;
	} bytes = {name}; /* the store does not write to a name */
	struct daxkv_val n = {name != NULL ? strlen(name) : 0, bytes.out},
	                 *to = name != NULL ? &n : NULL;
	MDB_cursor *c;
	MDB_val key, data;
	int status = import_target(im, to, flags), rc;

	if (status != EXIT_OK)
		return status;
	rc = im->lmdb.mdb_cursor_open(im->txn, dbi, &c);
	if (rc != 0)
		return lmdb_fail(im->call, &im->lmdb, rc, "cannot read a database");
	while (status == EXIT_OK && (rc = im->lmdb.mdb_cursor_get(c, &key, &data, MDB_NEXT)) == 0) {
		char *found = NULL;
		MDB_dbi named;

		if (name == NULL && is_database(im, &key, &found, &named)) {
			im->lmdb.mdb_dbi_close(im->lmdb.env, named);
			free(found);
			continue;
		}
		status = import_put(im, &key, &data, to, flags);
	}
	im->lmdb.mdb_cursor_close(c);
	if (status == EXIT_OK && rc != MDB_NOTFOUND)
		status = lmdb_fail(im->call, &im->lmdb, rc, "cannot read a database");
	if (status == EXIT_OK)
		status = store_commit(im->call);
	if (status == EXIT_OK && name != NULL)
		daxkv_db_close(im->call->store, im->call->db);
	return status;
}

static int import_database(struct import *im, MDB_dbi dbi, const char *name)
{
	unsigned int flags = 0;
	MDB_stat st;
	int status, rc = im->lmdb.mdb_dbi_flags(im->txn, dbi, &flags);

	if (rc == 0)
		rc = im->lmdb.mdb_stat(im->txn, dbi, &st);
	if (rc != 0)
		return lmdb_fail(im->call, &im->lmdb, rc, "cannot read a database");
	flags &= LMDB_DB_FLAGS;
	if (!(flags & MDB_DUPSORT)) /* LMDB keeps flags that say nothing */
		flags &= ~(unsigned int)(MDB_DUPFIXED | MDB_INTEGERDUP | MDB_REVERSEDUP);
	im->total += st.ms_entries;
	progress_total(im->total);
	status = own_flags(im, dbi, &flags);
	return status == EXIT_OK ? import_entries(im, dbi, name, flags) : status;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int copy_named(struct import *im, MDB_dbi main_dbi)
{
	MDB_cursor *c;
	MDB_val key, data;
	int status = EXIT_OK, rc = im->lmdb.mdb_cursor_open(im->txn, main_dbi, &c);

	if (rc != 0)
		return lmdb_fail(im->call, &im->lmdb, rc, "cannot read the main database");
	while (status == EXIT_OK &&
	       (rc = im->lmdb.mdb_cursor_get(c, &key, &data, MDB_NEXT_NODUP)) == 0) {
		char *name;
		MDB_dbi dbi;

		if (!is_database(im, &key, &name, &dbi))
			continue;
		progress_total(--im->total); /* an entry of the main database that is none */
		status = import_database(im, dbi, name);
		im->lmdb.mdb_dbi_close(im->lmdb.env, dbi);
		free(name);
	}
	im->lmdb.mdb_cursor_close(c);
	return status == EXIT_OK && rc != MDB_NOTFOUND
	           ? lmdb_fail(im->call, &im->lmdb, rc, "cannot read the main database")
	           : status;
}

static int import_all(struct import *im)
{
	MDB_dbi dbi;
	int status, rc = im->lmdb.mdb_txn_begin(im->lmdb.env, NULL, MDB_RDONLY, &im->txn);

	if (rc == 0)
		rc = im->lmdb.mdb_dbi_open(im->txn, NULL, 0, &dbi);
	if (rc != 0)
		return lmdb_fail(im->call, &im->lmdb, rc, "cannot read the main database");
	status = import_database(im, dbi, NULL);
	if (status == EXIT_OK)
		status = copy_named(im, dbi);
	return status;
}

int run_import(struct call *call)
{
	struct import im = {.call = call};
	const char *from = call->file;
	int status;

	status = lmdb_load(call, &im.lmdb);
	if (status == EXIT_OK)
		status = lmdb_open(call, &im.lmdb, from, MDB_RDONLY, 0);
	if (status == EXIT_OK) {
		MDB_envinfo info;

		if (im.lmdb.mdb_env_info(im.lmdb.env, &info) == 0)
			call->user_version =
			    info.me_mapsize; /* there the LMDB-compatible library keeps it */
		call->file = call->operands[0];
		status = store_open(call, DAXKV_CREATE | DAXKV_EXCLUSIVE, NULL);
		call->half = true;
	}
	const bool lazy = status == EXIT_OK && store_lazy(call);
	const bool begun = progress_begin(call, "entries", 0);

	if (status == EXIT_OK)
		status = import_all(&im);
	if (status == EXIT_OK && lazy)
		status = store_sync(call);
	if (begun && status == EXIT_OK)
		progress_stays();
	progress_end(begun);
	if (im.txn != NULL)
		im.lmdb.mdb_txn_abort(im.txn);
	lmdb_end(&im.lmdb);
	return status;
}
