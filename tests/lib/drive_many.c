/* SPDX-License-Identifier: BSD-3-Clause */
#include "drive_internal.h"

#include <string.h>

int drive_cursor_many(struct daxkv_cursor *cursor, const struct op *op, struct outcome *out)
{
	struct daxkv_val key[256], value[256];
	size_t got = 0;
	int rc;

	key[0] = op->key;
	rc = daxkv_cursor_get_many(cursor, op->step, op->end ? &op->value : NULL, op->n, key, value,
	                           &got);
	for (size_t i = 0; rc == 0 && i < got; i++) {
		out->count = outcome_digest(out->count, key[i].data, key[i].size);
		if (op->db) /* in the main database a value may be the engine's business */
			out->count = outcome_digest(out->count, value[i].data, value[i].size);
	}
	return rc;
}

static int get_many(struct daxkv_txn *txn, daxkv_db db, const struct op *op, struct outcome *out)
{
	struct daxkv_val value[OP_MANY];
	int rc = daxkv_get_many(txn, db, op->pairs->n, op->pairs->key, value, out->result);

	for (unsigned int i = 0; rc == 0 && op->db && i < op->pairs->n; i++)
		if (out->result[i] == 0)
			out->count = outcome_digest(out->count, value[i].data, value[i].size);
	return rc;
}

/* split - cut into parts, and count what they have by reading them. */
static int split(struct daxkv_txn *txn, daxkv_db db, const struct op *op, struct outcome *out)
{
	struct daxkv_val cut[32], key[64], value[64];
	struct daxkv_cursor *c;
	size_t n, got;
	int rc = daxkv_db_partition(txn, db, op->n, cut, &n);

	if (!rc)
		rc = daxkv_cursor_open(txn, db, &c);
	if (rc)
		return rc;
	for (size_t i = 0; i <= n && !rc; i++) {
		if (i)
			key[0] = cut[i - 1];
		rc = daxkv_cursor_get_many(c, i ? DAXKV_SEEK_GE : DAXKV_FIRST,
		                           i < n ? &cut[i] : NULL, 64, key, value, &got);
		for (; rc == 0; rc = daxkv_cursor_get_many(c, DAXKV_NEXT, i < n ? &cut[i] : NULL,
		                                           64, key, value, &got))
			out->count += got;
		rc = rc == DAXKV_NOT_FOUND ? 0 : rc;
	}
	daxkv_cursor_close(c);
	return rc;
}

struct source {
	const struct op_pairs *pairs;
	unsigned int at;
};

static int next_pair(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	struct source *s = arg;

	if (s->at == s->pairs->n)
		return DAXKV_NOT_FOUND;
	*key = s->pairs->key[s->at];
	*value = s->pairs->value[s->at++];
	return 0;
}

/* del_range - as many entries go as were counted before. */
static int del_range(struct daxkv_txn *txn, daxkv_db db, const struct op *op, struct outcome *out)
{
	const struct daxkv_val *from = op->key.data ? &op->key : NULL,
	                       *to = op->value.data ? &op->value : NULL;
	uint64_t counted;
	int rc = daxkv_count(txn, db, from, to, &counted);

	if (!rc)
		rc = daxkv_del_range(txn, db, from, to, &out->count);
	if (!rc && counted != out->count)
		out->count = UINT64_MAX; /* what the oracle never has */
	return rc;
}

int drive_many(struct daxkv_txn *txn, daxkv_db db, const struct op *op, struct outcome *out)
{
	struct daxkv_val value[OP_MANY];

	if (op->kind == OP_GET_MANY)
		return get_many(txn, db, op, out);
	if (op->kind == OP_SPLIT)
		return split(txn, db, op, out);
	if (op->kind == OP_LOAD) {
		struct source s = {.pairs = op->pairs};

		return daxkv_bulk_load(txn, db, op->flags, next_pair, &s, &out->count);
	}
	if (op->kind == OP_DEL_RANGE)
		return del_range(txn, db, op, out);
	memcpy(value, op->pairs->value, sizeof value); /* outputs of NO_OVERWRITE */
	return daxkv_put_many(txn, db, op->pairs->n, op->pairs->key, value, op->flags, out->result);
}
