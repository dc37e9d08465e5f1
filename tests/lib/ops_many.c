/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "ops_internal.h"

/* pair_add - one more pair of the operation, its bytes kept. */
static void pair_add(struct ops *ops, const struct daxkv_val *key, const struct daxkv_val *value)
{
	struct op_pairs *pairs = &ops->pairs;
	unsigned char *at = ops->many + pairs->n * (ops->oracle->max_key + 1 + OPS_MANY_VALUE);

	pairs->key[pairs->n] = (struct daxkv_val){0, at};
	ops_copy_val(&pairs->key[pairs->n], key);
	at += ops->oracle->max_key + 1;
	pairs->value[pairs->n] = (struct daxkv_val){0, at};
	if (value)
		ops_copy_val(&pairs->value[pairs->n], value);
	pairs->n++;
}

/* make_pair - a pair for db in op. */
static void make_pair(struct ops *ops, const struct oracle_db *db, unsigned int known_percent, struct op *op)
{
	ops_make_key(ops, db, known_percent, op);
	ops_make_value(ops, db, op);
	if (op->value.size > OPS_MANY_VALUE)
		op->value.size = OPS_MANY_VALUE;
}

static void make_put_many(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	static const unsigned int flags[] = {0, 0, 0, 0, DAXKV_NOOVERWRITE, DAXKV_NODUPDATA, DAXKV_APPEND, DAXKV_APPENDDUP};
	size_t n = 1 + ops_below(ops, ops_below(ops, 2) ? OP_MANY : 4);

	op->kind = OP_PUT_MANY;
	op->flags = flags[ops_below(ops, db->flags & DAXKV_DUP_SORT ? 8 : 5)];
	while (ops->pairs.n < n) {
		make_pair(ops, db, 30, op);
		if (ops->config.bad_sizes && ops_below(ops, 300) == 0)
			op->key.size = 0;
		pair_add(ops, &op->key, &op->value);
	}
}

static void make_get_many(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	size_t n = 1 + ops_below(ops, OP_MANY);

	op->kind = OP_GET_MANY;
	while (ops->pairs.n < n) {
		ops_make_key(ops, db, 70, op);
		pair_add(ops, &op->key, NULL);
	}
}

void ops_make_cursor_many(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	static const enum daxkv_cursor_op steps[] = {DAXKV_NEXT,    DAXKV_PREV,    DAXKV_NEXT,  DAXKV_PREV,
	                                             DAXKV_SEEK_GE, DAXKV_SEEK_LE, DAXKV_FIRST, DAXKV_LAST};
	const struct rec *rec = ops_known_rec(ops, db);

	op->kind = OP_CURSOR_MANY;
	op->step = steps[ops_below(ops, 8)];
	op->n = 1 + (unsigned int)ops_below(ops, ops_below(ops, 3) ? 10 : 200);
	op->end = ops_below(ops, 2);
	ops_make_key(ops, db, 60, op);
	op->value.data = ops->value;
	if (rec && ops_below(ops, 3)) {
		struct daxkv_val key = rec_key(rec);

		ops_copy_val(&op->value, &key);
	} else {
		ops_copy_val(&op->value, &op->key);
		ops_make_key(ops, db, 60, op);
	}
}

void ops_make_many(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	size_t kind = ops_below(ops, 100);

	ops->pairs.n = 0;
	if (kind < 40 && ops_pick_cursor(ops, op)) {
		ops_make_cursor_many(ops, &oracle_view(ops->oracle, 0)->db[op->db], op);
		return;
	}
	if (kind < 85)
		make_put_many(ops, db, op);
	else
		make_get_many(ops, db, op);
	op->pairs = &ops->pairs;
	op->key = op->value = (struct daxkv_val){0, NULL};
}
