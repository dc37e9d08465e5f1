/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.c - see store.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "store.h"

/* lock_of_lmdb - the lock file of a store that the LMDB-compatible library made in a directory: lock.mdb beside data.mdb. NULL: it is none.
 */
static char *lock_of_lmdb(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	char *lock;

	if (strcmp(name, "data.mdb") != 0 || asprintf(&lock, "%.*slock.mdb", (int)(name - path), path) < 0)
		return NULL;
	return lock;
}

int store_open(struct call *call, unsigned int flags, bool *found)
{
	char *lock = lock_of_lmdb(call->file);
	struct daxkv_options options = {
	    .flags = flags,
	    .pmem = call->opt.pmem,
	    .page_size = call->opt.page_size,
	    .initial_size = call->opt.initial_size,
	    .max_size = call->opt.max_size,
	    .lock_path = lock,
	    .user_word = call->user_word,
	};
	int err = daxkv_open(call->file, &options, &call->kv);

	free(lock);
	if (found != NULL)
		*found = err == EEXIST;
	if (err == 0 || (err == EEXIST && found != NULL))
		return EXIT_OK;
	call->kv = NULL;
	return call_fail(call, err, flags & DAXKV_CREATE ? "cannot open or make the store" : "cannot open the store");
}

int store_begin(struct call *call, unsigned int flags)
{
	int err = daxkv_begin(call->kv, NULL, flags, &call->txn);

	if (err == 0)
		return EXIT_OK;
	call->txn = NULL;
	return call_fail(call, err, "cannot begin a transaction");
}

int store_select(struct call *call, const struct daxkv_val *name, unsigned int flags)
{
	char text[80], what[128];
	int err;

	if (name == NULL && flags == 0) {
		call->db = DAXKV_MAIN;
		return EXIT_OK;
	}
	err = daxkv_db_open(call->txn, name, flags, &call->db);
	if (err == 0)
		return EXIT_OK;
	if (name == NULL)
		return call_fail(call, err, "cannot open the main database");
	snprintf(what, sizeof what, "cannot open the database '%s'", bytes_text(name, text, sizeof text));
	return call_fail(call, err, what);
}

/* begin_selected - a transaction with the database of --db. */
static int begin_selected(struct call *call, unsigned int flags)
{
	int status = store_begin(call, flags);

	if (status != EXIT_OK)
		return status;
	return store_select(call, call->opt.has_db ? &call->opt.db : NULL, 0);
}

int store_read(struct call *call)
{
	int status = store_open(call, DAXKV_RDONLY, NULL);

	return status != EXIT_OK ? status : begin_selected(call, DAXKV_TXN_RDONLY);
}

int store_write(struct call *call)
{
	int status = store_open(call, 0, NULL);

	return status != EXIT_OK ? status : begin_selected(call, 0);
}

int store_commit(struct call *call)
{
	int err = daxkv_commit(call->txn);

	call->txn = NULL; /* gone whatever the result */
	return err == 0 ? EXIT_OK : call_fail(call, err, "cannot commit");
}

int store_next_db(struct call *call)
{
	int err;

	if (call->db == DAXKV_MAIN)
		return EXIT_OK;
	daxkv_reset(call->txn); /* a handle is closed while no transaction uses it */
	daxkv_db_close(call->kv, call->db);
	call->db = DAXKV_MAIN;
	err = daxkv_renew(call->txn);
	return err == 0 ? EXIT_OK : call_fail(call, err, "cannot go on reading");
}

static int compare(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	return bytes_cmp(a, b);
}

int store_cursor(struct call *call, struct daxkv_cursor **cursor)
{
	unsigned int flags = 0;
	int err = daxkv_db_flags(call->txn, call->db, &flags);

	/* Any comparator does, because no step from a record to its neighbour compares; the commands refuse what would. */
	if (err == 0 && flags & DAXKV_OWN_COMPARE)
		err = daxkv_set_compare(call->txn, call->db, compare, NULL);
	if (err == 0 && flags & DAXKV_OWN_DUP_COMPARE)
		err = daxkv_set_dup_compare(call->txn, call->db, compare, NULL);
	if (err == 0)
		err = daxkv_cursor_open(call->txn, call->db, cursor);
	return err == 0 ? EXIT_OK : call_fail(call, err, "cannot read the database");
}

int store_end(struct call *call, int status)
{
	int err;

	if (call->txn != NULL)
		daxkv_abort(call->txn);
	call->txn = NULL;
	if (call->kv == NULL)
		return status;
	err = daxkv_close(call->kv);
	call->kv = NULL;
	if (err != 0 && status == EXIT_OK)
		return call_fail(call, err, "cannot close the store cleanly");
	return status;
}
