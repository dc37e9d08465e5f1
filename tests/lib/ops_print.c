/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "oracle.h"

const char *const op_names[OP_KINDS] = {
    [OP_BEGIN] = "begin",
    [OP_COMMIT] = "commit",
    [OP_ABORT] = "abort",
    [OP_PUT] = "put",
    [OP_GET] = "get",
    [OP_DEL] = "del",
    [OP_CURSOR_OPEN] = "cursor_open",
    [OP_CURSOR_CLOSE] = "cursor_close",
    [OP_CURSOR_RENEW] = "cursor_renew",
    [OP_CURSOR_GET] = "cursor_get",
    [OP_CURSOR_PUT] = "cursor_put",
    [OP_CURSOR_DEL] = "cursor_del",
    [OP_CURSOR_COUNT] = "cursor_count",
    [OP_DB_CREATE] = "db_create",
    [OP_DB_OPEN] = "db_open",
    [OP_DB_DROP] = "db_drop",
    [OP_DB_EMPTY] = "db_empty",
    [OP_DB_RENAME] = "db_rename",
    [OP_DB_LIST] = "db_list",
    [OP_DB_STAT] = "db_stat",
    [OP_PUT_MANY] = "put_many",
    [OP_GET_MANY] = "get_many",
    [OP_LOAD] = "load",
    [OP_DEL_RANGE] = "del_range",
    [OP_SPLIT] = "split",
    [OP_CURSOR_MANY] = "cursor_many",
    [OP_READER_BEGIN] = "reader_begin",
    [OP_READER_END] = "reader_end",
    [OP_READER_RESET] = "reader_reset",
    [OP_READER_RENEW] = "reader_renew",
    [OP_COMPARE] = "compare",
    [OP_COMPARE_ALL] = "compare_all",
    [OP_SYNC] = "sync",
    [OP_CHECK] = "check",
    [OP_COMPACT] = "compact",
    [OP_REOPEN] = "reopen",
};

static const char *const step_names[] = {
    [DAXKV_FIRST] = "FIRST",
    [DAXKV_LAST] = "LAST",
    [DAXKV_NEXT] = "NEXT",
    [DAXKV_PREV] = "PREV",
    [DAXKV_NEXT_KEY] = "NEXT_KEY",
    [DAXKV_PREV_KEY] = "PREV_KEY",
    [DAXKV_NEXT_DUP] = "NEXT_DUP",
    [DAXKV_PREV_DUP] = "PREV_DUP",
    [DAXKV_FIRST_DUP] = "FIRST_DUP",
    [DAXKV_LAST_DUP] = "LAST_DUP",
    [DAXKV_GET_CURRENT] = "GET_CURRENT",
    [DAXKV_SEEK] = "SEEK",
    [DAXKV_SEEK_GE] = "SEEK_GE",
    [DAXKV_SEEK_LE] = "SEEK_LE",
    [DAXKV_SEEK_PAIR] = "SEEK_PAIR",
    [DAXKV_SEEK_PAIR_GE] = "SEEK_PAIR_GE",
};

static void print_val(const char *what, const struct daxkv_val *val)
{
	const unsigned char *p = val->data;

	if (!p)
		return;
	printf(" %s[%zu]=", what, val->size);
	for (size_t i = 0; i < val->size && i < 48; i++)
		printf(p[i] > 0x20 && p[i] < 0x7f && p[i] != '\\' ? "%c" : "\\%02x", p[i]);
	if (val->size > 48)
		printf("...");
}

void ops_print(const struct op *op, const struct oracle_before *before)
{
	printf("%s txn %u depth %u db %u (flags 0x%x) cursor %u flags 0x%x", op_names[op->kind],
	       op->txn, before->depth, op->db, before->db.flags, op->cursor, op->flags);
	if (op->kind == OP_CURSOR_GET || op->kind == OP_CURSOR_MANY)
		printf(" %s", step_names[op->step]);
	if (op->n)
		printf(" n %u%s", op->n, op->end ? " end" : "");
	for (unsigned int i = 0; op->pairs && i < op->pairs->n; i++) {
		printf("\n    %u:", i);
		print_val("key", &op->pairs->key[i]);
		print_val("value", &op->pairs->value[i]);
	}
	if (op->pair)
		printf(" pair");
	print_val("key", &op->key);
	print_val("value", &op->value);
	if (op->name[0])
		printf(" name=%s", op->name);
	printf("\n");
}
