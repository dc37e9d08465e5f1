/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * edit.c - kv create, put and del.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "bytes.h"
#include "call_store.h"
#include "value.h"

/* create_db - make the database of --db, or give the main one its flags. The other commands never
 * make a database that is missing by a slip of the pen, and this one never takes one that is there
 * for new. */
static int create_db(struct call *call)
{
	const struct daxkv_val *name = call->opt.has_db ? &call->opt.db : NULL;
	char text[80];
	daxkv_db db;
	int status = store_begin(call, 0);

	if (status != EXIT_OK)
		return status;
	if (name != NULL && daxkv_db_open(call->txn, name, 0, &db) == 0)
		return call_fail_sys(call, EEXIST, "cannot make the database '%s'",
		                     bytes_text(name, text, sizeof text));
	status = store_select(call, name, call->opt.db_flags | DAXKV_CREATE);
	return status != EXIT_OK ? status : store_commit(call);
}

int run_create(struct call *call)
{
	bool found = false;
	int status =
	    store_open(call, DAXKV_CREATE | DAXKV_EXCLUSIVE, call->opt.has_db ? &found : NULL);

	if (status == EXIT_OK && found)
		status = store_open(call, 0, NULL);
	if (status != EXIT_OK)
		return status;
	return call->opt.has_db || call->opt.db_flags != 0 ? create_db(call) : EXIT_OK;
}

/* source_open - where kv put takes the value from, other than the argument. */
static int source_open(const struct call *call, struct value_source *source)
{
	source->fd = -1;
	if (call->opt.from != NULL)
		return value_open(call, call->opt.from, true, source);
	if (strcmp(call->operands[1], "-") == 0)
		return value_stdin(call, source);
	return EXIT_OK;
}

/* put_value - value, or when sized the source's, in a transaction of its own. */
static int put_value(struct call *call, const struct daxkv_val *key, struct daxkv_val *value,
                     struct value_source *sized)
{
	unsigned int flags = call->opt.no_overwrite ? DAXKV_NO_OVERWRITE : 0;
	uint64_t size;
	int err, status = store_write(call);

	if (status == EXIT_OK && sized != NULL) {
		status = value_put(call, key, sized, flags, &size);
	} else if (status == EXIT_OK) {
		err = daxkv_put(call->txn, call->db, key, value, flags);
		if (err != 0)
			status = call_fail(call, err, "cannot put the value");
	}
	return status == EXIT_OK ? store_commit(call) : status;
}

int run_put(struct call *call)
{
	struct value_source source;
	struct daxkv_val key, value = {0, NULL};
	void *gathered = NULL;
	int status;

	if ((call->n_operands == 2) == (call->opt.from != NULL))
		return call_fail_as(call, EXIT_USAGE,
		                    "give the value either as an operand or with --from");
	status = args_bytes(call, "the key", call->operands[0], &key);
	if (status == EXIT_OK)
		status = source_open(call, &source);
	if (status != EXIT_OK)
		return status;
	if (source.fd < 0) {
		status = args_bytes(call, "the value", call->operands[1], &value);
	} else if (!source.sized) { /* it may have to be waited for: before the transaction */
		status = store_open(call, 0, NULL);
		if (status == EXIT_OK)
			status = value_gather(call, &source, &value);
		gathered = value.data; /* after EXIST value shows the store's own */
	}
	if (status == EXIT_OK)
		status =
		    put_value(call, &key, &value, source.fd >= 0 && source.sized ? &source : NULL);
	free(gathered);
	value_close(&source);
	return status;
}

/* has_value - whether key has the value given, in a database without duplicates: daxkv_del takes a
 * value as a condition only where there are duplicates, and a user who names the pair means the
 * pair. */
static int has_value(const struct call *call, const struct daxkv_val *key,
                     const struct daxkv_val *value)
{
	struct daxkv_val there;
	int err = daxkv_get(call->txn, call->db, key, &there);

	if (err != 0)
		return err;
	return bytes_cmp(&there, value) == 0 ? 0 : DAXKV_NOT_FOUND;
}

int run_del(struct call *call)
{
	bool pair = call->n_operands == 2;
	unsigned int flags = 0;
	struct daxkv_val key, value;
	int err, status = args_bytes(call, "the key", call->operands[0], &key);

	if (status == EXIT_OK && pair)
		status = args_bytes(call, "the value", call->operands[1], &value);
	if (status == EXIT_OK)
		status = store_write(call);
	if (status != EXIT_OK)
		return status;
	err = daxkv_db_flags(call->txn, call->db, &flags);
	if (err == 0 && pair && (flags & DAXKV_DUP_SORT) == 0)
		err = has_value(call, &key, &value);
	if (err == 0)
		err = daxkv_del(call->txn, call->db, &key,
		                pair && flags & DAXKV_DUP_SORT ? &value : NULL);
	if (err != 0)
		return call_fail(call, err,
		                 pair ? "cannot remove the pair" : "cannot remove the key");
	return store_commit(call);
}
