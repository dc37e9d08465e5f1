/* SPDX-License-Identifier: BSD-3-Clause */
/* steer.c - see steer.h */
#include "steer.h"

#include <string.h>

char steer_filler[7] = "filler";

/* steer - some operations are rarer in the stream than they should be here. */
static void steer(struct steer *st, struct op *op)
{
	static const enum op_kind whole[] = {OP_DB_EMPTY, OP_DB_EMPTY, OP_DB_DROP};
	unsigned int depth = st->oracle->depth;

	if (depth == 0 && op->kind == OP_BEGIN && rng_below(&st->rng, st->zone_full ? 20 : 150) == 0) {
		st->wiping = WIPE_BEGIN;
	} else if (depth == 0 && op->kind == OP_BEGIN && rng_percent(&st->rng, 5)) {
		*op = (struct op){.kind = rng_percent(&st->rng, 50) ? OP_SYNC : OP_REOPEN};
	} else if (depth && depth < 3 && rng_percent(&st->rng, 2)) {
		*op = (struct op){.kind = OP_BEGIN};
	} else if (depth && rng_below(&st->rng, 250) == 0) {
		*op = (struct op){.kind = whole[rng_below(&st->rng, 3)], .db = 1 + (unsigned int)rng_below(&st->rng, OP_DBS - 1)};
		if (!oracle_view(st->oracle, 0)->db[op->db].incarnation)
			op->kind = OP_DB_LIST;
	}
}

static bool is_filler(const struct daxkv_val *key)
{
	return key->size == sizeof steer_filler && memcmp(key->data, steer_filler, key->size) == 0;
}

/* wipe - everything but the filler goes in one transaction, and the store is closed: the file is cut. */
static void wipe(struct steer *st, struct op *op)
{
	static unsigned char key[4096];
	const struct oracle_state *state = oracle_view(st->oracle, 0);

	if (!state) {
		*op = (struct op){.kind = st->wiping == WIPE_BEGIN ? OP_BEGIN : OP_REOPEN};
		st->wiping = st->wiping == WIPE_BEGIN ? WIPE_RUNS : WIPE_NO;
		return;
	}
	for (unsigned int i = 1; i < OP_DBS; i++)
		if (state->db[i].incarnation) {
			*op = (struct op){.kind = OP_DB_DROP, .db = i};
			return;
		}
	for (size_t i = 0; i < treap_count(state->db[0].root); i++) {
		struct daxkv_val k = rec_key(treap_at(state->db[0].root, i));

		if (is_filler(&k))
			continue;
		memcpy(key, k.data, k.size);
		*op = (struct op){.kind = OP_DEL, .key = {k.size, key}};
		return;
	}
	*op = (struct op){.kind = OP_COMMIT};
}

/* changes_filler - whether op would put or delete what stays. */
static bool changes_filler(const struct op *op)
{
	if (op->db || (op->kind != OP_PUT && op->kind != OP_DEL && op->kind != OP_PUT_MANY))
		return false;
	for (unsigned int i = 0; op->pairs && i < op->pairs->n; i++)
		if (is_filler(&op->pairs->key[i]))
			return true;
	return is_filler(&op->key);
}

/* wanted - the stream is made for long runs of the model test: transactions are cut shorter, snapshots held for less. */
static bool wanted(struct steer *st, const struct op *op)
{
	static const unsigned int longest[] = {1, 2, 4, 12, 40, 90};

	if (changes_filler(op))
		return false;
	if (st->shared && (op->kind == OP_READER_BEGIN || op->kind == OP_DB_RENAME))
		return false; /* what the two users' handles would be called then is not the question here */
	if (op->kind == OP_READER_BEGIN && !rng_percent(&st->rng, st->readers_percent))
		return false;
	if (op->kind == OP_BEGIN && st->oracle->depth == 0 && !st->wiping)
		st->stream->txn_left = 1 + (unsigned int)rng_below(&st->rng, longest[rng_below(&st->rng, 6)]);
	return op->kind != OP_COMPARE && op->kind != OP_COMPARE_ALL && op->kind != OP_CHECK;
}

void steer_start(struct steer *st, uint64_t seed, const struct oracle *oracle, struct ops *stream, bool shared)
{
	*st = (struct steer){.oracle = oracle, .stream = stream, .shared = shared, .zone_full = seed % 6 == 4};
	st->readers_percent = seed % 4 == 2 ? 30 : 2;
	rng_seed(&st->rng, seed ^ 0x7374656572u);
}

void steer_crashed(struct steer *st)
{
	st->wiping = WIPE_NO;
}

bool steer_op(struct steer *st, struct op *op)
{
	steer(st, op);
	if (st->wiping)
		wipe(st, op);
	return wanted(st, op);
}
