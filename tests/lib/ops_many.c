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
static void make_pair(struct ops *ops, const struct oracle_db *db, unsigned int known_percent,
                      struct op *op)
{
	ops_make_key(ops, db, known_percent, op);
	ops_make_value(ops, db, op);
	if (op->value.size > OPS_MANY_VALUE)
		op->value.size = OPS_MANY_VALUE;
}

static void make_put_many(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	static const unsigned int flags[] = {
	    0, 0, 0, 0, DAXKV_NO_OVERWRITE, DAXKV_NO_DUP_DATA, DAXKV_APPEND, DAXKV_APPEND_DUP};
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

/* make_behind - a key behind the pair at the end of db, or one that may be: the last one's with
 * more bytes, or a greater number. */
static void make_behind(struct ops *ops, const struct oracle_db *db, const struct daxkv_val *last,
                        struct op *op)
{
	size_t more = 1 + ops_below(ops, 3), size = last->size;

	op->key.data = ops->key;
	ops_copy_val(&op->key, last);
	if (db->flags & DAXKV_INTEGER_KEY) {
		uint64_t x = 0;

		memcpy(&x, ops->key, size);
		x += more;
		memcpy(ops->key, &x, size);
	} else if (size + more > ops->config.max_key || size + more > ops->config.max_pair / 2) {
		ops->key[db->flags & DAXKV_REVERSE_KEY ? 0 : size - 1]++;
	} else if (db->flags & DAXKV_REVERSE_KEY) {
		memmove(ops->key + more, ops->key, size);
		rng_fill(rng_next(&ops->rng), ops->key, more);
		op->key.size = size + more;
	} else {
		rng_fill(rng_next(&ops->rng), ops->key + size - (size > 12 ? 4 : 0),
		         more + (size > 12 ? 4 : 0));
		op->key.size = size + more;
	}
}

static void make_load(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	static const unsigned int fills[] = {0, 0, 100, 100, 50, 10};
	size_t n = ops_below(ops, 8) ? 1 + ops_below(ops, OP_MANY) : 0;
	const struct rec *last = treap_at(db->root, treap_count(db->root) - 1);
	struct daxkv_val key = {0, NULL};

	op->kind = OP_LOAD;
	op->flags = fills[ops_below(ops, 6)];
	if (last)
		key = rec_key(last);
	while (ops->pairs.n < n) {
		bool dup = db->flags & DAXKV_DUP_SORT && ops->pairs.n && ops_below(ops, 3) == 0;

		if (dup) { /* another value for the same key: mostly a greater one */
			op->key.data = ops->key;
			ops_copy_val(&op->key, &key);
		} else if (key.size && ops_below(ops, 60)) {
			make_behind(ops, db, &key, op);
		} else {
			ops_make_key(ops, db, 5, op);
		}
		for (size_t tries = 0; tries < 4; tries++) {
			ops_make_value(ops, db, op);
			if (!dup || order_values(db->flags, &op->value,
			                         &ops->pairs.value[ops->pairs.n - 1]) > 0)
				break;
		}
		if (op->value.size > OPS_MANY_VALUE)
			op->value.size = OPS_MANY_VALUE;
		pair_add(ops, &op->key, &op->value);
		key = ops->pairs.key[ops->pairs.n - 1];
	}
}

static void make_del_range(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	size_t count = treap_count(db->root), at = ops_below(ops, count),
	       n = ops_below(ops, ops_below(ops, 2) ? count + 1 : 30);

	op->kind = OP_DEL_RANGE;
	if (ops_below(ops, 4)) {
		ops_make_key(ops, db, 70, op);
		if (count && ops_below(ops, 2)) { /* from a pair that is there, about n of them */
			struct daxkv_val key = rec_key(treap_at(db->root, at));

			ops_copy_val(&op->key, &key);
		}
	}
	if (count == 0 || (ops_below(ops, 4) == 0 && (!op->key.data || ops_below(ops, 2))))
		return; /* all, or all that follow */
	struct daxkv_val end = rec_key(treap_at(db->root, at + n < count ? at + n : count - 1));

	op->value.data = ops->value;
	ops_copy_val(&op->value, &end);
}

void ops_make_cursor_many(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	static const enum daxkv_cursor_op steps[] = {DAXKV_NEXT,  DAXKV_PREV,    DAXKV_NEXT,
	                                             DAXKV_PREV,  DAXKV_SEEK_GE, DAXKV_SEEK_LE,
	                                             DAXKV_FIRST, DAXKV_LAST};
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
	if (kind < 60) {
		make_put_many(ops, db, op);
	} else if (kind < 70) {
		make_get_many(ops, db, op);
	} else if (kind < 90) {
		make_load(ops, db, op);
	} else {
		make_del_range(ops, db, op);
		return;
	}
	op->pairs = &ops->pairs;
	op->key = op->value = (struct daxkv_val){0, NULL};
}
