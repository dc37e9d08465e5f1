/* SPDX-License-Identifier: BSD-3-Clause */
/* steer.c - see steer.h */
#include "steer.h"

#include <string.h>

#define CALM_PERCENT 5u  /* of what disturbs, in runs where the ring is to fill */
#define LOGS_HOT     15u /* per cent of the spilled commits that are, where commits are logged */
#define HOT                                                                                        \
	3u /* what comes behind a spilled commit: a sync, a close or a small transaction; then two \
	      that take pages */
#define FULL_PAIRS 30u /* of an operation that fills the store, but for the last */
#define FULL_TRIES 60u /* transactions that fill it, or empty it */

char steer_filler[7] = "filler";

static bool is_filler(const struct daxkv_val *key)
{
	return key->size == sizeof steer_filler && memcmp(key->data, steer_filler, key->size) == 0;
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* wipe_op - everything but the filler goes in one transaction; false: it is gone. */
static bool wipe_op(struct steer *st, struct op *op)
{
	static unsigned char key[4096];
	const struct oracle_state *state = oracle_view(st->oracle, 0);

	for (unsigned int i = 1; i < OP_DBS; i++)
		if (state->db[i].incarnation) {
			*op = (struct op){.kind = OP_DB_DROP, .db = i};
			return true;
		}
	for (size_t i = 0; i < treap_count(state->db[0].root); i++) {
		struct daxkv_val k = rec_key(treap_at(state->db[0].root, i));

		if (is_filler(&k))
			continue;
		memcpy(key, k.data, k.size);
		*op = (struct op){.kind = OP_DEL, .key = {k.size, key}};
		return true;
	}
	return false;
}

/* change_op - one of the records, of any database, gets a small value (broad) or one that makes its
 * leaf be written anew; of duplicates one goes. */
static bool change_op(struct steer *st, struct op *op, bool broad)
{
	static unsigned char key[4096], value[4096];
	const struct oracle_state *state = oracle_view(st->oracle, 0);

	for (unsigned int tries = 0; tries < 20; tries++) {
		unsigned int i = (unsigned int)rng_below(&st->rng, OP_DBS);
		size_t n = treap_count(state->db[i].root);
		const struct rec *rec =
		    n && (i == 0 || state->db[i].incarnation)
		        ? treap_at(state->db[i].root, (size_t)rng_below(&st->rng, n))
		        : NULL;

		if (!rec || rec->is_db)
			continue;
		struct daxkv_val k = rec_key(rec), v = rec_value(rec);

		memcpy(key, k.data, k.size);
		*op =
		    (struct op){.kind = OP_PUT, .db = i, .key = {k.size, key}, .value = {0, value}};
		if (is_filler(&k))
			continue;
		if (!(state->db[i].flags & DAXKV_DUP_SORT)) {
			op->value.size = (size_t)(broad ? rng_below(&st->rng, 9)
			                                : 60 + rng_below(&st->rng, 140));
			rng_fill(rng_next(&st->rng), value, op->value.size);
			return true;
		}
		if (v.size > sizeof value || !broad)
			continue;
		memcpy(value, v.data, v.size);
		op->value.size = v.size;
		op->kind = OP_DEL;
		op->pair = true;
		return true;
	}
	return false;
}

/* fill_op - a large value: some of them make the file grow. */
static void fill_op(struct steer *st, struct op *op)
{
	static unsigned char value[30000];
	static char key[8] = "large 0";

	key[6] = (char)('0' + st->left);
	rng_fill(rng_next(&st->rng), value, sizeof value);
	*op = (struct op){
	    .kind = OP_PUT, .key = {sizeof key - 1, key}, .value = {sizeof value, value}};
}

/* take_op - a new record, so large that three fill a leaf. */
static void take_op(struct steer *st, struct op *op)
{
	static unsigned char value[150];
	static uint64_t key;

	key = rng_next(&st->rng);
	rng_fill(key, value, sizeof value);
	*op = (struct op){.kind = OP_PUT,
	                  .key = {sizeof key, &key},
	                  .value = {sizeof value - rng_below(&st->rng, 40), value}};
}

/* full_op - small records for a database in which any will do; of those with duplicates, some of a
 * few keys' many. */
static void full_op(struct steer *st, struct op *op)
{
	const unsigned int narrow = DAXKV_INTEGER_KEY | DAXKV_INTEGER_DUP | DAXKV_DUP_FIXED;
	const struct oracle_state *state = oracle_view(st->oracle, 0);
	const unsigned int db = (unsigned int)rng_below(&st->rng, OP_DBS);
	static uint64_t key[FULL_PAIRS], value[FULL_PAIRS][3];
	static struct op_pairs pairs;
	bool dups;

	*op = (struct op){.kind = OP_PUT_MANY, .pairs = &pairs};
	if (state->db[db].incarnation && !(state->db[db].flags & narrow))
		op->db = db;
	dups = state->db[op->db].flags & DAXKV_DUP_SORT;
	pairs.n = st->nearly ? 5 : FULL_PAIRS;
	for (unsigned int i = 0; i < pairs.n; i++) {
		key[i] = dups ? rng_below(&st->rng, 8) : rng_next(&st->rng);
		rng_fill(rng_next(&st->rng), value[i], sizeof value[i]);
		pairs.key[i] = (struct daxkv_val){sizeof key[i], &key[i]};
		pairs.value[i] = (struct daxkv_val){
		    dups ? sizeof value[i] : (size_t)rng_below(&st->rng, sizeof value[i]),
		    value[i]};
	}
}

/* empty_op - one of all records goes; false: no more are to go. */
static bool empty_op(struct steer *st, struct op *op)
{
	static unsigned char key[4096], value[4096];
	const struct oracle_state *state = oracle_view(st->oracle, 0);
	uint64_t left = 0;

	for (unsigned int i = 0; i < OP_DBS; i++)
		left += i == 0 || state->db[i].incarnation ? treap_count(state->db[i].root) : 0;
	for (unsigned int tries = 0; left > st->full_keep && tries < 100; tries++) {
		uint64_t n = rng_below(&st->rng, left);
		unsigned int i = 0;

		while ((i && !state->db[i].incarnation) || n >= treap_count(state->db[i].root)) {
			n -= i && !state->db[i].incarnation ? 0 : treap_count(state->db[i].root);
			i++;
		}
		const struct rec *rec = treap_at(state->db[i].root, (size_t)n);

		if (rec->is_db)
			continue;
		struct daxkv_val k = rec_key(rec), v = rec_value(rec);

		memcpy(key, k.data, k.size);
		*op = (struct op){.kind = OP_DEL, .db = i, .key = {k.size, key}};
		if (!(state->db[i].flags & DAXKV_DUP_SORT))
			return true;
		memcpy(value, v.data, v.size);
		op->value = (struct daxkv_val){v.size, value};
		op->pair = true;
		return true;
	}
	return false;
}

/* empty_level - a part of the removals is a nested transaction's, which may be aborted. */
static bool empty_level(struct steer *st, struct op *op)
{
	if (st->oracle->depth > 1 && rng_percent(&st->rng, 5))
		*op = (struct op){.kind = rng_percent(&st->rng, 30) ? OP_ABORT : OP_COMMIT};
	else if (st->oracle->depth == 1 && rng_below(&st->rng, 100) == 0)
		*op = (struct op){.kind = OP_BEGIN};
	else
		return false;
	return true;
}

/* full_plan_op - the next operation of filling the store or of emptying it. False: none is left. */
static bool full_plan_op(struct steer *st, struct op *op)
{
	if (st->plan == PLAN_FULL) {
		if (st->left)
			full_op(st, op);
		return st->left > 0;
	}
	return empty_level(st, op) || empty_op(st, op);
}

/* plan_op - the next operation of the plan. */
static void plan_op(struct steer *st, struct op *op)
{
	bool more = st->left > 0;

	if (st->oracle->depth == 0) {
		*op = (struct op){.kind = st->plan == PLAN_CLOSE ? OP_REOPEN : OP_BEGIN};
		if (st->plan != PLAN_CLOSE)
			return;
		if (rng_percent(&st->rng, 30))
			ops_make_compact(&st->rng, op);
		st->plan = PLAN_NONE;
		return;
	}
	if (st->plan == PLAN_WIPE)
		more = wipe_op(st, op);
	else if (st->full)
		more = full_plan_op(st, op);
	else if (more && st->plan == PLAN_FILL)
		fill_op(st, op);
	else if (more && st->plan == PLAN_TAKE && rng_percent(&st->rng, 60))
		take_op(st, op);
	else if (more)
		more = change_op(st, op, st->plan == PLAN_BROAD);
	st->left -= st->left > 0;
	if (more)
		return;
	*op = (struct op){.kind = OP_COMMIT};
	if (st->oracle->depth > 1)
		return;
	st->plan = st->plan == PLAN_WIPE ? PLAN_CLOSE : PLAN_NONE;
}

static void plan_begin(struct steer *st, enum steer_plan plan, unsigned int ops)
{
	st->plan = plan;
	st->left = ops;
	st->plans[plan]++;
}

/* plan_hot - a spilled commit is the newest, or nearly. False: nothing is planned. */
static bool plan_hot(struct steer *st, struct op *op)
{
	if (st->hot == 0)
		return false;
	if (st->hot-- == HOT) {
		if (rng_percent(&st->rng, 60))
			*op = (struct op){.kind = rng_percent(&st->rng, 60) ? OP_SYNC : OP_REOPEN};
		return true;
	}
	plan_begin(st, PLAN_TAKE, 25 + (unsigned int)rng_below(&st->rng, 40));
	return true;
}

/* plan_full - in some stores: transactions that fill the store as it is, until one finds no room,
 * and then one that removes all. It is tried again when it fails, or a crash takes it, but not
 * without end. False: nothing is planned. */
static bool plan_full(struct steer *st)
{
	if (!st->filled)
		return false;
	if (!st->full && !rng_percent(&st->rng, 25))
		return false;
	if (!st->full)
		st->full_left = FULL_TRIES;
	st->has_filled &= st->full;
	st->nearly &= st->full;
	st->full = st->full_left > 0;
	if (!st->full)
		return false;
	st->full_left--;
	st->full_keep = (unsigned int)rng_below(&st->rng, rng_percent(&st->rng, 50) ? 16 : 160);
	plan_begin(st, st->has_filled ? PLAN_EMPTY : PLAN_FULL, st->nearly ? 1 : 3);
	return true;
}

/* ---- single operations ----------------------------------------------------------------------- */

/* reserve_op - the put's value becomes a large one that is filled in behind the call. */
static void reserve_op(struct steer *st, struct op *op)
{
	static unsigned char value[2600];

	if (oracle_view(st->oracle, 0)->db[op->db].flags & DAXKV_DUP_SORT)
		return;
	op->value =
	    (struct daxkv_val){300 + (size_t)rng_below(&st->rng, sizeof value - 300), value};
	rng_fill(rng_next(&st->rng), value, op->value.size);
	op->flags = DAXKV_RESERVE;
}

/* steer - some operations are rarer in the stream than they should be here. */
static void steer(struct steer *st, struct op *op)
{
	static const enum op_kind whole[] = {OP_DB_EMPTY, OP_DB_EMPTY, OP_DB_DROP};
	unsigned int depth = st->oracle->depth;
	bool begins = depth == 0 && op->kind == OP_BEGIN;

	if (st->calm && !rng_percent(&st->rng, CALM_PERCENT))
		return;
	if (st->plan || (begins && plan_full(st)) || (begins && plan_hot(st, op)))
		return;
	if (begins && rng_below(&st->rng, st->zone_full ? 20 : st->first_holds ? 40 : 150) == 0) {
		plan_begin(st, PLAN_WIPE, 0);
	} else if (begins && (st->zone_full || st->first_holds) && rng_percent(&st->rng, 7)) {
		plan_begin(st, PLAN_FILL, 3);
	} else if (begins && rng_percent(&st->rng, 5)) {
		*op = (struct op){.kind = rng_percent(&st->rng, 50) ? OP_SYNC : OP_REOPEN};
	} else if (begins && rng_percent(&st->rng, 5)) {
		*op = (struct op){0};
		ops_make_compact(&st->rng, op);
	} else if (begins && rng_percent(&st->rng, 18)) {
		plan_begin(st, PLAN_BROAD, 35 + (unsigned int)rng_below(&st->rng, 30));
	} else if (depth && op->kind == OP_PUT && !op->flags && rng_percent(&st->rng, 2)) {
		reserve_op(st, op);
	} else if (depth && depth < 3 && rng_percent(&st->rng, 2)) {
		*op = (struct op){.kind = OP_BEGIN};
	} else if (depth && rng_below(&st->rng, 250) == 0) {
		*op = (struct op){.kind = whole[rng_below(&st->rng, 3)],
		                  .db = 1 + (unsigned int)rng_below(&st->rng, OP_DBS - 1)};
		if (!oracle_view(st->oracle, 0)->db[op->db].incarnation)
			op->kind = OP_DB_LIST;
	}
}

/* changes_filler - whether op would put or delete what stays. */
static bool changes_filler(const struct op *op)
{
	if (op->db || (op->kind != OP_PUT && op->kind != OP_DEL && op->kind != OP_PUT_MANY &&
	               op->kind != OP_DEL_RANGE))
		return false;
	if (op->kind == OP_DEL_RANGE)
		return true; /* it may be among them */
	for (unsigned int i = 0; op->pairs && i < op->pairs->n; i++)
		if (is_filler(&op->pairs->key[i]))
			return true;
	return is_filler(&op->key);
}

/* disturbs - whether a commit with op is too large to be logged, or op makes a checkpoint. */
static bool disturbs(const struct op *op)
{
	switch (op->kind) {
	case OP_SYNC:
	case OP_REOPEN:
	case OP_COMPACT:
	case OP_PUT_MANY:
	case OP_LOAD:
	case OP_DEL_RANGE:
	case OP_DB_EMPTY:
	case OP_DB_DROP:
		return true;
	case OP_PUT:
	case OP_CURSOR_PUT:
		return op->value.size > 200;
	default:
		return false;
	}
}

/* wanted - the stream is made for long runs of the model test: transactions are cut shorter,
 * snapshots held for less. */
static bool wanted(struct steer *st, const struct op *op)
{
	static const unsigned int longest[] = {1, 2, 4, 12, 40, 90}, logged[] = {1, 1, 2, 2, 4, 40};

	if (changes_filler(op))
		return false;
	if (st->shared && (op->kind == OP_READER_BEGIN || op->kind == OP_DB_RENAME))
		return false; /* what the two users' handles would be called then is not the
		                 question here */
	if (op->kind == OP_READER_BEGIN && !rng_percent(&st->rng, st->readers_percent))
		return false;
	if (st->calm && disturbs(op) && !rng_percent(&st->rng, CALM_PERCENT))
		return false;
	if (op->kind == OP_BEGIN && st->oracle->depth == 0)
		st->stream->txn_left =
		    1 + (unsigned int)rng_below(
		            &st->rng, (st->logs ? logged : longest)[rng_below(&st->rng, 6)]);
	return op->kind != OP_COMPARE && op->kind != OP_COMPARE_ALL && op->kind != OP_CHECK;
}

void steer_start(struct steer *st, uint64_t seed, const struct oracle *oracle, struct ops *stream,
                 bool shared, bool file)
{
	*st = (struct steer){
	    .oracle = oracle, .stream = stream, .shared = shared, .zone_full = seed % 6 == 4};
	st->logs = file && seed % 4 != 1;
	st->calm = st->logs && seed % 3 == 0;
	st->first_holds = seed % 5 == 0 && !st->zone_full;
	st->pressed = seed % 4 == 1 && !shared;
	st->filled = seed % 8 == 6 && !shared && !st->zone_full;
	st->readers_percent = seed % 4 == 2 && !st->filled ? 30 : 2;
	rng_seed(&st->rng, seed ^ 0x7374656572u);
}

bool steer_op(struct steer *st, struct op *op)
{
	steer(st, op);
	if (st->plan)
		plan_op(st, op);
	return wanted(st, op);
}

void steer_committed(struct steer *st, bool spilled)
{
	if (spilled && !st->calm && (!st->logs || rng_percent(&st->rng, LOGS_HOT)))
		st->hot = HOT;
	if (st->has_filled) /* what was committed is the emptying */
		st->full_left = 0;
}

void steer_full(struct steer *st)
{
	if (st->plan != PLAN_FULL)
		return;
	st->has_filled = st->nearly;
	st->nearly = true;
}

void steer_lost(struct steer *st, bool spilled)
{
	st->plan = PLAN_NONE;
	if (st->hot || (spilled && !st->logs))
		st->hot = HOT - 1;
}
