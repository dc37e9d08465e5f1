/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * edit.c - kv create, put and del.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "bytes.h"
#include "call_store.h"
#include "progress.h"
#include "range.h"
#include "session.h"
#include "value.h"

#define DEL_MUCH  100000u /* entries, from which on a range is removed in parts */
#define DEL_PARTS 32u

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

/* put_old - replace the value in call->txn; old gets a copy of what was there, in memory to be
 * freed, and *found whether there was any. daxkv's result. */
static int put_old(struct call *call, const struct daxkv_val *key, struct daxkv_val *value,
                   struct daxkv_val *old, int *found)
{
	int err;

	*old = (struct daxkv_val){0, NULL};
	while ((err = daxkv_exchange(call->txn, call->db, key, value, old, found)) == ERANGE) {
		void *more = realloc(old->data, old->size);

		if (more == NULL)
			return ENOMEM;
		old->data = more;
	}
	return err;
}

/* print_old - what --return-old promises, now that it is replaced. */
static int print_old(struct call *call, const struct daxkv_val *old, int found)
{
	if (!found)
		call_note(call, "the key was not there");
	else if (call->session != NULL)
		bytes_print(stdout, old);
	else if (old->size > 0)
		fwrite(old->data, 1, old->size, stdout);
	if (found && (call->session != NULL || isatty(STDOUT_FILENO) == 1))
		putchar('\n');
	return call_output(call, true);
}

/* put_conditional - --expect and --return-old. */
static int put_conditional(struct call *call, const struct daxkv_val *key, struct daxkv_val *value)
{
	struct daxkv_val old = {0, NULL}, expected;
	int err = 0, found = 0, status = EXIT_OK;

	if (call->opt.expect != NULL)
		status = args_bytes(call, "--expect", call->opt.expect, &expected);
	if (status == EXIT_OK)
		status = store_write(call);
	if (status != EXIT_OK)
		return status;
	if (call->opt.return_old)
		err = put_old(call, key, value, &old, &found);
	else
		err = daxkv_compare_exchange(call->txn, call->db, key, &expected, value);
	if (err == DAXKV_NOT_FOUND)
		status =
		    call_fail_as(call, EXIT_NOT_FOUND, "the key does not have the expected value");
	else if (err != 0)
		status = call_fail(call, err, "cannot put the value");
	if (status == EXIT_OK)
		status = store_commit(call);
	if (status == EXIT_OK && call->opt.return_old)
		status = print_old(call, &old, found);
	free(old.data);
	return status;
}

/* put_value - value, or when sized the source's, in a transaction of its own. */
static int put_value(struct call *call, const struct daxkv_val *key, struct daxkv_val *value,
                     struct value_source *sized)
{
	unsigned int flags = call->opt.no_overwrite ? DAXKV_NO_OVERWRITE : 0;
	uint64_t size;
	int err, status;

	if (call->opt.expect != NULL || call->opt.return_old)
		return put_conditional(call, key, value);
	status = store_write(call);
	if (status == EXIT_OK && sized != NULL) {
		status = value_put(call, key, sized, flags, &size);
	} else if (status == EXIT_OK) {
		err = daxkv_put(call->txn, call->db, key, value, flags);
		if (err != 0)
			status = call_fail(call, err, "cannot put the value");
	}
	return status == EXIT_OK ? store_commit(call) : status;
}

/* put_arguments - whether they go together. */
static int put_arguments(const struct call *call)
{
	const struct options *opt = &call->opt;

	if ((call->n_operands == 2) == (opt->from != NULL))
		return call_fail_as(call, EXIT_USAGE,
		                    "give the value either as an operand or with --from");
	if (opt->no_overwrite + opt->return_old + (opt->expect != NULL) > 1)
		return call_fail_as(call, EXIT_USAGE,
		                    "give one of --if-absent, --expect and --return-old");
	if (call->session != NULL && call->n_operands == 2 && strcmp(call->operands[1], "-") == 0)
		return call_fail_as(call, EXIT_USAGE,
		                    "the standard input has the commands: \\x2d is the value '-'");
	return EXIT_OK;
}

int run_put(struct call *call)
{
	struct value_source source;
	struct daxkv_val key, value = {0, NULL};
	bool whole = call->opt.expect != NULL || call->opt.return_old;
	void *gathered = NULL;
	int status = put_arguments(call);

	if (status == EXIT_OK)
		status = args_bytes(call, "the key", call->operands[0], &key);
	if (status == EXIT_OK)
		status = source_open(call, &source);
	if (status != EXIT_OK)
		return status;
	if (source.fd < 0) {
		status = args_bytes(call, "the value", call->operands[1], &value);
	} else if (!source.sized ||
	           whole) { /* it may have to be waited for: before the transaction */
		status = store_open(call, 0, NULL);
		if (status == EXIT_OK)
			status = value_gather(call, &source, &value);
		gathered = value.data; /* after EXIST value shows the store's own */
	}
	if (status == EXIT_OK)
		status = put_value(call, &key, &value,
		                   source.fd >= 0 && source.sized && !whole ? &source : NULL);
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

static int del_key(struct call *call)
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

/* del_walk - remove what lies in the range, entry by entry: what is between its keys stays. daxkv's
 * result. */
static int del_walk(struct call *call, const struct range *range, uint64_t *deleted)
{
	struct daxkv_cursor *cursor;
	struct daxkv_val key;
	int err = daxkv_cursor_open(call->txn, call->db, &cursor);

	if (err != 0)
		return err;
	err = range_start(range, false, cursor, &key, NULL);
	while (err == 0 && range_place(call, range, &key) != RANGE_BEHIND) {
		if (range_place(call, range, &key) == RANGE_INSIDE) {
			err = daxkv_cursor_del(cursor, 0);
			if (err != 0)
				break;
			progress_add(1);
			++*deleted;
		}
		err = session_interrupted() ? EINTR
		                            : daxkv_cursor_get(cursor, &key, NULL, DAXKV_NEXT);
	}
	daxkv_cursor_close(cursor);
	return err == DAXKV_NOT_FOUND ? 0 : err;
}

/* keys_own - let the keys have bytes of their own: the pages that they lie in may be edited. What
 * is to be freed; NULL without memory. */
static void *keys_own(struct daxkv_val *key, size_t n)
{
	size_t size = 1;
	unsigned char *bytes, *at;

	for (size_t i = 0; i < n; i++)
		size += key[i].size;
	bytes = at = malloc(size);
	for (size_t i = 0; i < n && bytes != NULL; i++) {
		memcpy(at, key[i].data, key[i].size);
		key[i].data = at;
		at += key[i].size;
	}
	return bytes;
}

/* del_parts - remove what lies between the two keys, in parts: each is progress. They meet where
 * pages do, so no leaf is changed for it. daxkv's result. */
static int del_parts(struct call *call, const struct daxkv_val *first, const struct daxkv_val *end,
                     uint64_t *deleted)
{
	struct daxkv_val cut[DEL_PARTS];
	uint64_t part;
	size_t n;
	int err = daxkv_db_partition(call->txn, call->db, DEL_PARTS, cut, &n);
	void *bytes = err == 0 ? keys_own(cut, n) : NULL;

	if (err == 0 && bytes == NULL)
		err = ENOMEM;
	for (size_t i = 0; i <= n && err == 0; i++) {
		const struct daxkv_val *to = i < n ? &cut[i] : end;

		if (i < n && first != NULL && daxkv_db_compare(call->txn, call->db, to, first) <= 0)
			continue;
		if (i < n && end != NULL && daxkv_db_compare(call->txn, call->db, to, end) >= 0)
			continue;
		err = daxkv_del_range(call->txn, call->db, first, to, &part);
		if (err != 0)
			break;
		progress_add(part);
		*deleted += part;
		first = to;
	}
	free(bytes);
	return err;
}

/* del_between - remove what lies between the two keys, and nothing that is to stay. daxkv's
 * result. */
static int del_between(struct call *call, const struct daxkv_val *first,
                       const struct daxkv_val *end, uint64_t *deleted)
{
	uint64_t about;
	int err = daxkv_count_estimate(call->txn, call->db, first, end, &about);

	if (err != 0)
		return err;
	if (about < DEL_MUCH)
		return daxkv_del_range(call->txn, call->db, first, end, deleted);
	progress_total(about);
	return del_parts(call, first, end, deleted);
}

static void print_deleted(const struct call *call, const struct range *range, uint64_t deleted)
{
	printf("deleted %" PRIu64 " %s", deleted, deleted == 1 ? "entry" : "entries");
	range_print(range);
	if (call->opt.has_db) {
		fputs(" in the database '", stdout);
		bytes_print(stdout, &call->opt.db);
		putchar('\'');
	}
	putchar('\n');
}

static int del_range(struct call *call, struct range *range)
{
	bool begun;
	const struct daxkv_val *first, *end;
	uint64_t deleted = 0;
	int err = DAXKV_INCOMPATIBLE, status = store_write(call);

	if (status == EXIT_OK)
		status = range_open(call, range);
	if (status != EXIT_OK)
		return status;
	begun = progress_begin(call, "entries", 0);
	/* The names of databases in a range of the main one have to be left out. */
	if (range_ends(call, range, &first, &end))
		err = del_between(call, first, end, &deleted);
	if (err == DAXKV_INCOMPATIBLE)
		err = del_walk(call, range, &deleted);
	status = err == 0 ? store_commit(call) : call_fail(call, err, "cannot remove the range");
	progress_end(begun);
	if (status == EXIT_OK)
		print_deleted(call, range, deleted);
	return status;
}

int run_del(struct call *call)
{
	const struct options *opt = &call->opt;
	struct range range = {0};
	int status;

	if (opt->from == NULL && opt->to == NULL && opt->prefix == NULL) {
		if (call->n_operands == 0)
			return call_fail_as(call, EXIT_USAGE,
			                    "give a key, or a range by --from, --to or --prefix");
		return del_key(call);
	}
	if (call->n_operands > 0)
		return call_fail_as(call, EXIT_USAGE, "give either a key or a range");
	/* As a script's variable that is not set would have it. */
	if (opt->prefix != NULL && *opt->prefix == '\0')
		return call_fail_as(call, EXIT_USAGE, "--prefix needs a byte or more here");
	status = range_arguments(call, &range);
	if (status == EXIT_OK)
		status = del_range(call, &range);
	range_free(&range);
	return status;
}
