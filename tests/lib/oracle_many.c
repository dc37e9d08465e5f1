/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "oracle_internal.h"

/* put_many - one put after the other. One whose outcome daxkv.h leaves open makes the whole
 * OP_SKIP, before anything was put. */
static int put_many(struct oracle *oracle, const struct op *op, struct outcome *out)
{
	const struct op_pairs *pairs = op->pairs;

	for (unsigned int i = 0; op->flags && i < pairs->n; i++) {
		const struct rec *first =
		    pairs->key[i].size
		        ? oracle_key_first(oracle_writer_db(oracle, op->db), &pairs->key[i])
		        : NULL;

		if (first && first->is_db)
			return OP_SKIP;
	}
	for (unsigned int i = 0; i < pairs->n; i++) {
		struct op one = {.kind = OP_PUT,
		                 .db = op->db,
		                 .flags = op->flags,
		                 .key = pairs->key[i],
		                 .value = pairs->value[i]};
		struct outcome unused = {0};
		struct rec *stands;

		out->result[i] = oracle_put(oracle, &one, &unused, &stands);
	}
	return 0;
}

static int get_many(const struct oracle *oracle, const struct oracle_db *db, const struct op *op,
                    struct outcome *out)
{
	for (unsigned int i = 0; i < op->pairs->n; i++) {
		const struct daxkv_val *key = &op->pairs->key[i];
		const struct rec *rec;

		out->result[i] = oracle_key_check(oracle, db, key);
		if (out->result[i])
			continue;
		rec = oracle_key_first(db, key);
		out->result[i] = rec ? 0 : DAXKV_NOT_FOUND;
		if (rec && op->db) /* in the main database a value may be the engine's business */
			out->count = outcome_digest(out->count, rec_value(rec).data, rec->vlen);
	}
	return 0;
}

/* load - puts as long as each pair lies behind the one before; one whose outcome daxkv.h leaves
 * open makes the whole OP_SKIP. */
static int load(struct oracle *oracle, const struct op *op, struct outcome *out)
{
	const struct op_pairs *pairs = op->pairs;
	const struct oracle_db *db = oracle_writer_db(oracle, op->db);

	if (db->dup_width && !db->root)
		for (unsigned int i = 0; i < pairs->n; i++)
			if (pairs->value[i].size != db->dup_width)
				return OP_SKIP;
	for (unsigned int i = 0; i < pairs->n; i++) {
		struct op one = {
		    .kind = OP_PUT, .db = op->db, .key = pairs->key[i], .value = pairs->value[i]};
		struct probe at = {.key = one.key,
		                   .value = one.value,
		                   .side = db->flags & DAXKV_DUP_SORT ? PROBE_PAIR : PROBE_BEFORE};
		struct outcome unused = {0};
		struct rec *stands;
		int rc = oracle_pair_check(oracle, db, &one);

		if (rc)
			return rc;
		if (db->root && treap_ge(db->flags, db->root, &at))
			return DAXKV_EXIST;
		rc = oracle_put(oracle, &one, &unused, &stands);
		if (rc)
			return rc;
		out->count++;
	}
	return 0;
}

static int del_range(struct oracle *oracle, const struct op *op, struct outcome *out)
{
	struct oracle_db *db = oracle_writer_db(oracle, op->db);
	struct probe from = probe_key(&op->key, PROBE_BEFORE),
	             to = probe_key(&op->value, PROBE_BEFORE);
	size_t first = op->key.data ? treap_rank(db->flags, db->root, &from) : 0;
	size_t end = op->value.data ? treap_rank(db->flags, db->root, &to) : treap_count(db->root);

	for (size_t i = first; i < end; i++)
		if (treap_at(db->root, i)->is_db)
			return DAXKV_INCOMPATIBLE;
	for (; end > first; end--, out->count++)
		oracle_pair_remove(oracle, op->db, treap_at(db->root, end - 1));
	return 0;
}

int oracle_many(struct oracle *oracle, const struct op *op, struct outcome *out)
{
	const struct oracle_state *state = oracle_view(oracle, op->txn);

	if (!state || state->db[op->db].incarnation == 0)
		return OP_SKIP;
	if (op->kind == OP_SPLIT) {
		out->count = treap_count(state->db[op->db].root);
		return 0;
	}
	if (op->kind == OP_GET_MANY)
		return get_many(oracle, &state->db[op->db], op, out);
	if (op->txn)
		return EACCES;
	return op->kind == OP_PUT_MANY ? put_many(oracle, op, out)
	       : op->kind == OP_LOAD   ? load(oracle, op, out)
	                               : del_range(oracle, op, out);
}

int oracle_cursor_many(struct oracle *oracle, const struct oracle_db *db, const struct op *op,
                       struct oracle_cursor *cursor, struct outcome *out)
{
	bool back = op->step == DAXKV_PREV || op->step == DAXKV_LAST || op->step == DAXKV_SEEK_LE;
	unsigned int got = 0;
	int rc = 0;

	while (got < op->n) {
		struct op one = *op;
		struct outcome step = {0};
		enum oracle_cursor_state state = cursor->state;
		struct rec *was = rec_retain(cursor->rec);

		one.kind = OP_CURSOR_GET;
		if (got)
			one.step = back ? DAXKV_PREV : DAXKV_NEXT;
		rc = oracle_cursor_get(oracle, db, &one, cursor, &step);
		if (rc == 0 && op->end &&
		    back == (order_keys(db->flags, &step.key, &op->value) < 0)) {
			bool seek = one.step >= DAXKV_SEEK;

			oracle_cursor_place(cursor, seek ? CURSOR_UNPOSITIONED : state,
			                    seek ? NULL : was);
			rc = DAXKV_NOT_FOUND;
		}
		rec_release(was);
		if (rc)
			break;
		got++;
		out->count = outcome_digest(out->count, step.key.data, step.key.size);
		if (op->db)
			out->count = outcome_digest(out->count, step.value.data, step.value.size);
	}
	return got ? 0 : rc;
}
