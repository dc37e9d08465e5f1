/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * db.c - kv rename, copy and drop: named databases as a whole, each in one transaction.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "args.h"
#include "bytes.h"
#include "call_store.h"
#include "progress.h"
#include "session.h"

/* open_named - begin a write transaction and select the database that the first operand names. */
static int open_named(struct call *call, struct daxkv_val *name)
{
	int status = args_bytes(call, "the database's name", call->operands[0], name);

	if (status == EXIT_OK)
		status = store_open(call, 0, NULL);
	if (status == EXIT_OK)
		status = store_begin(call, 0);
	return status == EXIT_OK ? store_select(call, name, 0) : status;
}

static int failed(const struct call *call, int err, const char *verb, const struct daxkv_val *name)
{
	char text[80], what[160];

	snprintf(what, sizeof what, "cannot %s the database '%s'", verb,
	         bytes_text(name, text, sizeof text));
	return call_fail(call, err, what);
}

int run_rename(struct call *call)
{
	struct daxkv_val name, new_name;
	int err, status = args_bytes(call, "the new name", call->operands[1], &new_name);

	if (status == EXIT_OK)
		status = open_named(call, &name);
	if (status != EXIT_OK)
		return status;
	err = daxkv_db_rename(call->txn, call->db, &new_name);
	return err == 0 ? store_commit(call) : failed(call, err, "rename", &name);
}

int run_drop(struct call *call)
{
	bool begun;
	struct daxkv_db_stat stat;
	struct daxkv_val name;
	int err, status = open_named(call, &name);

	if (status != EXIT_OK)
		return status;
	begun = progress_begin(call, NULL, 0);
	err = daxkv_db_stat(call->txn, call->db, &stat);
	if (err == 0)
		err = daxkv_db_drop(call->txn, call->db, !call->opt.empty);
	progress_end(begun);
	if (err != 0)
		return failed(call, err, call->opt.empty ? "empty" : "drop", &name);
	status = store_commit(call);
	if (status != EXIT_OK)
		return status;
	printf("%s the database '", call->opt.empty ? "emptied" : "dropped");
	bytes_print(stdout, &name);
	printf("', which had %" PRIu64 " entries\n", stat.entries);
	return EXIT_OK;
}

/* copy_entries - all of call->db to the empty database to. daxkv's result. */
static int copy_entries(struct call *call, daxkv_db to)
{
	struct daxkv_cursor *cursor;
	struct daxkv_val key, value;
	int err = daxkv_cursor_open(call->txn, call->db, &cursor);

	if (err != 0)
		return err;
	while ((err = daxkv_cursor_get(cursor, &key, &value, DAXKV_NEXT)) == 0) {
		err = session_interrupted() ? EINTR : daxkv_put(call->txn, to, &key, &value, 0);
		if (err != 0)
			break;
		progress_add(1);
	}
	daxkv_cursor_close(cursor);
	return err == DAXKV_NOT_FOUND ? 0 : err;
}

/* copy_made - the database new_name, which must not be there, with the flags of call->db. */
static int copy_made(struct call *call, const struct daxkv_val *new_name, daxkv_db *to)
{
	char text[80];
	unsigned int flags;
	int err = daxkv_db_flags(call->txn, call->db, &flags);

	if (err == 0 && flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE))
		err = DAXKV_NEED_COMPARE;
	if (err == 0 && daxkv_db_open(call->txn, new_name, 0, to) == 0)
		return call_fail_sys(call, EEXIST, "cannot make the database '%s'",
		                     bytes_text(new_name, text, sizeof text));
	if (err == 0)
		err = daxkv_db_open(call->txn, new_name, flags | DAXKV_CREATE, to);
	return err == 0 ? EXIT_OK : failed(call, err, "make", new_name);
}

int run_copy(struct call *call)
{
	struct daxkv_val name, new_name;
	struct daxkv_db_stat stat;
	daxkv_db to;
	int err, status = args_bytes(call, "the new name", call->operands[1], &new_name);

	if (status == EXIT_OK)
		status = open_named(call, &name);
	if (status == EXIT_OK)
		status = copy_made(call, &new_name, &to);
	if (status != EXIT_OK)
		return status;
	err = daxkv_db_stat(call->txn, call->db, &stat);
	if (err == 0) {
		bool begun = progress_begin(call, "entries", stat.entries);

		err = copy_entries(call, to);
		progress_end(begun);
	}
	return err == 0 ? store_commit(call) : failed(call, err, "copy", &name);
}
