/* SPDX-License-Identifier: BSD-3-Clause */
#include "ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops_internal.h"

/* What a transaction mostly does; weights of the kinds of operation. */
enum {
	W_PUT,
	W_GET,
	W_DEL,
	W_OPEN,
	W_CLOSE,
	W_STEP,
	W_CPUT,
	W_CDEL,
	W_COUNT,
	W_REST,
	W_MANY,
	WEIGHTS
};
static const unsigned int weights[STYLES][WEIGHTS] = {
    [STYLE_MIXED] = {30, 15, 14, 3, 2, 20, 6, 5, 2, 3, 3},
    [STYLE_LOAD] = {80, 4, 2, 2, 1, 4, 4, 1, 1, 1, 3},
    [STYLE_DELETE] = {5, 5, 50, 3, 2, 12, 1, 20, 1, 1, 1},
    [STYLE_CURSORS] = {8, 2, 4, 8, 5, 45, 14, 10, 4, 0, 4},
    [STYLE_ASCENDING] = {86, 4, 1, 1, 1, 4, 2, 1, 0, 0, 2},
};

void ops_start(struct ops *ops, uint64_t seed, const struct ops_config *config,
               const struct oracle *oracle)
{
	*ops = (struct ops){.config = *config, .oracle = oracle};
	rng_seed(&ops->rng, seed);
	ops->key = xmalloc(oracle->max_key + 256);
	ops->value = xmalloc(config->max_value + oracle->max_dup + 256);
	ops->many = xmalloc(OP_MANY * (oracle->max_key + 1 + OPS_MANY_VALUE));
}

void ops_end(struct ops *ops)
{
	free(ops->key);
	free(ops->value);
	free(ops->many);
}

uint64_t outcome_digest(uint64_t digest, const void *name, size_t size)
{
	const unsigned char *p = name;

	digest = rng_mix(digest + size + 1);
	for (size_t i = 0; i < size; i++)
		digest = rng_mix(digest ^ p[i]);
	return digest;
}

static size_t below(struct ops *ops, size_t n)
{
	return ops_below(ops, n);
}

/* hot - percent of keys that are one key, where that can have many values. */
static size_t hot(const struct ops *ops)
{
	return ops->config.long_lists ? 80 : 15;
}

/* ---- keys and values ------------------------------------------------------------------------- */

/* number_put - x in size bytes, so that the byte order of flags (reverse: REVERSE_KEY or
 * REVERSE_DUP) is the numbers' order. */
static void number_put(unsigned char *to, size_t size, uint64_t x, bool reverse)
{
	for (size_t i = 0; i < size; i++) {
		to[reverse ? i : size - 1 - i] = (unsigned char)(x & 0xff);
		x >>= 8;
	}
}

static void integer_put(struct daxkv_val *out, size_t width, uint64_t x)
{
	uint32_t four = (uint32_t)x;

	if (width == sizeof(four))
		memcpy(out->data, &four, sizeof(four));
	else
		memcpy(out->data, &x, sizeof(x));
	out->size = width;
}

static void integer_key(struct ops *ops, const struct oracle_db *db, struct daxkv_val *key)
{
	size_t kind = ops->style == STYLE_ASCENDING && below(ops, 100) < 80 ? 100 : below(ops, 100);
	uint64_t x;

	if (kind == 100)
		x = (db->key_width == 4 ? (uint64_t)1 << 31 : (uint64_t)1 << 60) + ops->ascending++;
	else if (kind < hot(ops) && db->flags & DAXKV_DUP_SORT)
		x = 7;
	else if (kind < 70)
		x = below(ops, ops->config.db_pairs);
	else
		x = rng_mix(below(ops, 0x8000)) >> (kind < 85 && db->key_width == 8 ? 8 : 34);
	integer_put(key, db->key_width, x);
}

/* fresh_key - a key for db that may be new: dense, with long common prefixes, prefixes of each
 * other, random, long or ascending. */
static void fresh_key(struct ops *ops, const struct oracle_db *db, struct daxkv_val *key)
{
	bool dup = db->flags & DAXKV_DUP_SORT;
	size_t most = dup && ops->config.max_pair - 16 < ops->config.max_key
	                  ? ops->config.max_pair - 16
	                  : ops->config.max_key;
	char *text = key->data;
	size_t kind = below(ops, 100);

	if (db->flags & DAXKV_INTEGER_KEY) {
		integer_key(ops, db, key);
		return;
	}
	if (ops->style == STYLE_ASCENDING && kind < 80) {
		bool reverse = db->flags & DAXKV_REVERSE_KEY;

		memcpy(text + (reverse ? 8 : 0), reverse ? "ur\xff\xff" : "\xff\xffru",
		       4); /* behind nearly all others */
		number_put(ops->key + (reverse ? 0 : 4), 8, ops->ascending++, reverse);
		key->size = 12;
	} else if (dup && kind < hot(ops)) {
		key->size = (size_t)snprintf(text, 16, "hot");
	} else if (kind < 50) {
		key->size = (size_t)snprintf(text, 32, "k%05zu", below(ops, ops->config.db_pairs));
	} else if (kind < 65) {
		key->size = (size_t)snprintf(text, 64, "common/prefix/of/keys/%zu",
		                             below(ops, ops->config.db_pairs));
	} else if (kind < 80) {
		key->size = 1 + below(ops, most < 70 ? most : 70);
		memset(text, 'a', key->size);
		if (below(ops, 2))
			text[key->size - 1] = (char)below(ops, 256);
	} else if (kind < 98) {
		key->size = 1 + below(ops, 24);
		rng_fill(below(ops, 0x8000), text, key->size);
	} else {
		key->size = most - below(ops, 8);
		memset(text, 'z', key->size);
		number_put(ops->key + below(ops, key->size - 8), 8, below(ops, 200), false);
	}
	if (key->size > most)
		key->size = most;
}

void ops_copy_val(struct daxkv_val *to, const struct daxkv_val *from)
{
	to->size = from->size;
	if (from->size)
		memcpy(to->data, from->data, from->size);
}

/* known_rec - any pair of db; NULL when it is empty or a name of a database was hit. */
const struct rec *ops_known_rec(struct ops *ops, const struct oracle_db *db)
{
	const struct rec *rec;

	if (treap_count(db->root) == 0)
		return NULL;
	rec = treap_at(db->root, below(ops, treap_count(db->root)));
	return rec->is_db && below(ops, 20) ? NULL : rec;
}

void ops_make_key(struct ops *ops, const struct oracle_db *db, unsigned int known_percent,
                  struct op *op)
{
	const struct rec *rec =
	    rng_percent(&ops->rng, known_percent) ? ops_known_rec(ops, db) : NULL;
	struct daxkv_val key;

	op->key.data = ops->key;
	if (rec) {
		key = rec_key(rec);
		ops_copy_val(&op->key, &key);
	} else {
		fresh_key(ops, db, &op->key);
	}
}

static void make_dup(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	size_t kind = below(ops, 100), most = ops->config.max_dup;
	uint64_t x = kind < 70 ? below(ops, 400) : below(ops, 0x10000);
	char *text = op->value.data;

	if (op->key.size < ops->config.max_pair && ops->config.max_pair - op->key.size < most)
		most = ops->config.max_pair - op->key.size;
	if (db->flags & DAXKV_INTEGER_DUP) {
		integer_put(&op->value, db->dup_width, kind < 90 ? x : rng_mix(x) >> 4);
	} else if (db->dup_width) {
		op->value.size = db->dup_width;
		number_put(ops->value, db->dup_width, x, db->flags & DAXKV_REVERSE_DUP);
	} else if (kind < 60) {
		op->value.size = (size_t)snprintf(text, 32, "v%04u", (unsigned int)x);
	} else if (kind < 80) {
		op->value.size = 1 + below(ops, most < 40 ? most : 40);
		memset(text, 'b', op->value.size);
	} else if (kind < 98) {
		op->value.size = (ops->config.empty_dups ? 0u : 1u) + below(ops, 20);
		rng_fill(x, text, op->value.size);
	} else {
		op->value.size = most - below(ops, 4);
		memset(text, 'y', op->value.size);
		text[op->value.size / 2] = (char)x;
	}
	if (!db->dup_width && op->value.size > most)
		op->value.size = most;
}

void ops_make_value(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	size_t kind = below(ops, 2000);

	op->value.data = ops->value;
	if (db->flags & DAXKV_DUP_SORT) {
		make_dup(ops, db, op);
		return;
	}
	if (kind < 1300)
		op->value.size = below(ops, 40);
	else if (kind < 1800)
		op->value.size = below(ops, 300);
	else if (kind < 1985)
		op->value.size = below(ops, 3000);
	else if (kind < 1995)
		op->value.size = below(ops, 40000);
	else
		op->value.size = below(ops, ops->config.max_value >>
		                                (kind == 1999 && below(ops, 5) == 0 ? 0 : 3));
	if (op->value.size > ops->config.max_value)
		op->value.size = ops->config.max_value;
	rng_fill(rng_next(&ops->rng), ops->value, op->value.size);
}

/* spoil_size - make the key's or the value's size one that must be refused. */
static void spoil_size(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	size_t size = op->key.size;

	switch (below(ops, 4)) {
	case 0:
		op->key.size = 0;
		break;
	case 1:
		op->key.size = ops->oracle->max_key + 1 + below(ops, 40);
		break;
	case 2:
		if (db->flags & DAXKV_INTEGER_KEY)
			op->key.size = 5;
		break;
	default:
		if (!(db->flags & DAXKV_DUP_SORT) || op->kind != OP_PUT)
			return;
		op->value.size =
		    db->dup_width ? db->dup_width + 1u : ops->oracle->max_dup + 1 + below(ops, 40);
		rng_fill(size, op->value.data, op->value.size);
		return;
	}
	if (op->key.size > size)
		memset(ops->key + size, 'q', op->key.size - size);
}

/* ---- operations of the writer ---------------------------------------------------------------- */

static void make_name(struct ops *ops, struct op *op)
{
	memset(op->name, 0, sizeof(op->name));
	snprintf(op->name, sizeof(op->name), below(ops, 2) ? "name%u" : "database name %u",
	         ops->generation++ % 40);
}

static void make_create(struct ops *ops, struct op *op)
{
	static const unsigned int key_flags[] = {
	    0, 0, DAXKV_REVERSE_KEY, DAXKV_INTEGER_KEY, DAXKV_INTEGER_KEY, DAXKV_OWN_COMPARE};
	static const unsigned int dup_flags[] = {
	    0,
	    0,
	    0,
	    0,
	    0,
	    DAXKV_DUP_SORT,
	    DAXKV_DUP_SORT | DAXKV_REVERSE_DUP,
	    DAXKV_DUP_SORT | DAXKV_DUP_FIXED,
	    DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP,
	    DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_REVERSE_DUP,
	    DAXKV_DUP_SORT | DAXKV_OWN_DUP_COMPARE,
	    DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_OWN_DUP_COMPARE,
	};

	op->kind = OP_DB_CREATE;
	op->flags = key_flags[below(ops, sizeof(key_flags) / sizeof(key_flags[0]))] |
	            dup_flags[below(ops, sizeof(dup_flags) / sizeof(dup_flags[0]))];
	if (ops->config.long_lists && below(ops, 3))
		op->flags |= DAXKV_DUP_SORT;
	if (op->flags & DAXKV_INTEGER_KEY)
		op->key_width = below(ops, 2) ? 4 : 8;
	if (op->flags & DAXKV_INTEGER_DUP)
		op->dup_width = below(ops, 2) ? 4 : 8;
	else if (op->flags & DAXKV_DUP_FIXED)
		op->dup_width = 1 + (unsigned int)below(ops, 12);
	make_name(ops, op);
}

static void make_put(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	bool dup = db->flags & DAXKV_DUP_SORT;
	size_t kind = below(ops, 100);

	op->kind = OP_PUT;
	ops_make_key(ops, db, ops->style == STYLE_ASCENDING ? 3 : 30, op);
	ops_make_value(ops, db, op);
	if (kind < 5)
		op->flags = DAXKV_NO_OVERWRITE;
	else if (kind < 10 && dup)
		op->flags = DAXKV_NO_DUP_DATA;
	else if (kind < 13 || (ops->style == STYLE_ASCENDING && kind < 40))
		op->flags = dup && kind & 1 ? DAXKV_APPEND_DUP : DAXKV_APPEND;
	else if (kind > 94 && (!dup || kind == 99))
		op->flags = DAXKV_RESERVE;
	if (ops->config.bad_sizes && below(ops, 200) == 0) {
		op->flags = 0;
		spoil_size(ops, db, op);
	}
}

static void make_del(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	const struct rec *rec = ops_known_rec(ops, db);
	struct daxkv_val part;

	op->kind = OP_DEL;
	if ((db->flags & DAXKV_DUP_SORT) && rec && below(ops, 10) < 8) {
		op->pair = true;
		op->key.data = ops->key;
		op->value.data = ops->value;
		part = rec_key(rec);
		ops_copy_val(&op->key, &part);
		part = rec_value(rec);
		ops_copy_val(&op->value, &part);
		if (below(ops, 10) == 0)
			ops_make_value(ops, db, op);
		return;
	}
	ops_make_key(ops, db, 75, op);
	if (ops->config.bad_sizes && below(ops, 300) == 0)
		spoil_size(ops, db, op);
}

static void make_get(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	op->kind = OP_GET;
	ops_make_key(ops, db, 60, op);
	if (ops->config.bad_sizes && below(ops, 300) == 0)
		spoil_size(ops, db, op);
}

/* pick_cursor - an open cursor of transaction op->txn that can be used now; false when there is
 * none. */
bool ops_pick_cursor(struct ops *ops, struct op *op)
{
	size_t start = below(ops, 2)
	                   ? ops->last_cursor
	                   : below(ops, OP_CURSORS); /* what follows a deletion matters most */

	for (size_t i = 0; i < OP_CURSORS; i++) {
		unsigned int c = (unsigned int)((start + i) % OP_CURSORS);
		const struct oracle_cursor *cursor = &ops->oracle->cursor[c];

		if (cursor->state == CURSOR_CLOSED || cursor->txn != op->txn ||
		    (op->txn == 0 && cursor->level != ops->oracle->depth))
			continue;
		ops->last_cursor = op->cursor = c;
		op->db = cursor->db;
		return true;
	}
	return false;
}

static bool make_cursor_open(struct ops *ops, struct op *op)
{
	size_t start = below(ops, OP_CURSORS);

	for (size_t i = 0; i < OP_CURSORS; i++) {
		op->cursor = (unsigned int)((start + i) % OP_CURSORS);
		if (ops->oracle->cursor[op->cursor].state == CURSOR_CLOSED) {
			op->kind = OP_CURSOR_OPEN;
			return true;
		}
	}
	return false;
}

static void make_step(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	static const enum daxkv_cursor_op often[] = {DAXKV_NEXT, DAXKV_PREV, DAXKV_SEEK_GE,
	                                             DAXKV_NEXT, DAXKV_PREV, DAXKV_SEEK};
	const struct oracle_cursor *cursor = &ops->oracle->cursor[op->cursor];
	const struct rec *rec;
	struct daxkv_val part;

	op->kind = OP_CURSOR_GET;
	op->step = below(ops, 2) ? often[below(ops, 6)]
	                         : (enum daxkv_cursor_op)below(ops, DAXKV_SEEK_PAIR_GE + 1);
	if (cursor->state == CURSOR_AT && db->flags & DAXKV_DUP_SORT && below(ops, 3) == 0)
		op->step = (enum daxkv_cursor_op)(DAXKV_NEXT_DUP + below(ops, 4));
	else if (!(db->flags & DAXKV_DUP_SORT) &&
	         (op->step >= DAXKV_SEEK_PAIR ||
	          (op->step >= DAXKV_NEXT_DUP && op->step <= DAXKV_LAST_DUP)))
		op->step = DAXKV_GET_CURRENT;
	if (cursor->state == CURSOR_VAGUE ||
	    (cursor->state == CURSOR_UNPOSITIONED && below(ops, 4)))
		op->step = below(ops, 6) ? DAXKV_SEEK_GE : (enum daxkv_cursor_op)below(ops, 2);
	if (op->step < DAXKV_SEEK)
		return;
	ops_make_key(ops, db, op->step >= DAXKV_SEEK_PAIR ? 80 : 55, op);
	ops_make_value(ops, db, op);
	rec = ops_known_rec(ops, db);
	if (rec && op->step >= DAXKV_SEEK_PAIR && below(ops, 10) < 6) {
		part = rec_key(rec);
		ops_copy_val(&op->key, &part);
		part = rec_value(rec);
		ops_copy_val(&op->value, &part);
	}
}

static void make_cursor_put(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	const struct oracle_cursor *cursor = &ops->oracle->cursor[op->cursor];
	struct daxkv_val key;

	if (cursor->state == CURSOR_AT && below(ops, 2)) {
		op->flags = DAXKV_CURRENT;
		op->key.data = ops->key;
		key = rec_key(cursor->rec);
		ops_copy_val(&op->key, &key);
		ops_make_value(ops, db, op);
	} else {
		make_put(ops, db, op);
	}
	op->kind = OP_CURSOR_PUT;
}

/* make_rest - the rarer operations of a write transaction. */
static void make_rest(struct ops *ops, const struct oracle_db *db, struct op *op)
{
	size_t kind = below(ops, 100);

	op->db = (unsigned int)below(ops, OP_DBS);
	db = &oracle_view(ops->oracle, 0)->db[op->db];
	if (kind < 10 && db->incarnation) {
		op->kind = OP_SPLIT;
		op->n = 1 + (unsigned int)below(ops, 20);
	} else if (kind < 30) {
		op->kind = below(ops, 2) ? OP_DB_LIST : OP_DB_STAT;
	} else if (kind < 45) {
		op->kind = OP_BEGIN;
	} else if (db->incarnation == 0 || op->db == 0) {
		make_create(ops, op);
		if (below(ops, 3) == 0) { /* a name that is most often not there */
			op->kind = OP_DB_OPEN;
			op->flags = 0;
		}
	} else if (kind < 60) {
		op->kind = OP_DB_OPEN;
		memcpy(op->name, db->name, sizeof(op->name));
		op->flags = below(ops, 3) == 0 ? 0 : db->flags;
		if (below(ops, 4) == 0)
			op->flags ^= DAXKV_REVERSE_KEY;
		if (below(ops, 2))
			op->flags |= DAXKV_CREATE;
	} else if (kind < 85) {
		op->kind = OP_DB_RENAME;
		make_name(ops, op);
	} else {
		op->kind = below(ops, 8) ? OP_DB_STAT : below(ops, 2) ? OP_DB_DROP : OP_DB_EMPTY;
	}
}

static void make_write(struct ops *ops, struct op *op)
{
	const struct oracle_db *db = &oracle_view(ops->oracle, 0)->db[op->db];
	const unsigned int *w = weights[ops->style];
	unsigned int kind = 0, sum = 0, pick;

	if (treap_count(db->root) > 2 * ops->config.db_pairs)
		w = weights[STYLE_DELETE];
	for (unsigned int i = 0; i < WEIGHTS; i++)
		sum += w[i];
	pick = (unsigned int)below(ops, sum);
	while (pick >= w[kind])
		pick -= w[kind++];
	if (kind >= W_CLOSE && kind <= W_COUNT && !ops_pick_cursor(ops, op))
		kind = W_OPEN;
	db = &oracle_view(ops->oracle, 0)->db[op->db];
	if ((kind == W_CDEL || kind == W_COUNT) &&
	    ops->oracle->cursor[op->cursor].state != CURSOR_AT && below(ops, 6))
		kind = W_STEP;
	if (kind == W_OPEN && make_cursor_open(ops, op))
		return;
	if (kind == W_GET || kind == W_OPEN)
		make_get(ops, db, op);
	else if (kind == W_PUT)
		make_put(ops, db, op);
	else if (kind == W_DEL)
		make_del(ops, db, op);
	else if (kind == W_STEP)
		make_step(ops, db, op);
	else if (kind == W_CPUT)
		make_cursor_put(ops, db, op);
	else if (kind == W_REST)
		make_rest(ops, db, op);
	else if (kind == W_MANY)
		ops_make_many(ops, db, op);
	else
		op->kind = kind == W_CLOSE  ? OP_CURSOR_CLOSE
		           : kind == W_CDEL ? OP_CURSOR_DEL
		                            : OP_CURSOR_COUNT;
	if (kind == W_CDEL && below(ops, 8) == 0)
		op->flags = DAXKV_NO_DUP_DATA;
}

/* ---- the stream ------------------------------------------------------------------------------ */

static void make_reader(struct ops *ops, struct op *op)
{
	size_t kind = below(ops, 400);
	const struct oracle_reader *reader;

	op->txn = 1 + (unsigned int)below(ops, OP_READERS);
	reader = &ops->oracle->reader[op->txn];
	if (reader->state == READER_NONE) {
		op->kind = OP_READER_BEGIN;
	} else if (reader->state == READER_RESET) {
		op->kind = kind < 280 ? OP_READER_RENEW : OP_READER_END;
	} else if (kind < 5) {
		op->kind = kind < 3 ? OP_READER_END : OP_READER_RESET;
	} else if (kind < 9) {
		op->kind = OP_COMPARE;
	} else if (kind < 20) {
		op->kind = kind < 14 ? OP_DB_LIST : OP_DB_STAT;
	} else if (kind < 50) {
		(void)make_cursor_open(ops, op);
		op->kind = OP_CURSOR_OPEN;
	} else if (kind < 80) {
		op->cursor = (unsigned int)below(ops, OP_CURSORS);
		op->db = ops->oracle->cursor[op->cursor].db;
		op->kind = OP_CURSOR_RENEW;
	} else if (kind < 84) { /* refused: a read transaction */
		op->kind = kind < 82 ? OP_PUT : OP_DEL;
		ops_make_key(ops, &reader->snapshot.db[op->db], 50, op);
		ops_make_value(ops, &reader->snapshot.db[op->db], op);
	} else if (kind < 300 && ops_pick_cursor(ops, op)) {
		if (kind < 88)
			op->kind = OP_CURSOR_CLOSE;
		else if (kind > 280)
			ops_make_cursor_many(ops, &reader->snapshot.db[op->db], op);
		else if (kind < 96)
			op->kind = OP_CURSOR_COUNT;
		else
			make_step(ops, &reader->snapshot.db[op->db], op);
	} else {
		make_get(ops, &reader->snapshot.db[op->db], op);
	}
}

void ops_make_compact(struct rng *rng, struct op *op)
{
	op->kind = OP_COMPACT;
	op->n = rng_percent(rng, 75) ? 1 + (unsigned int)rng_below(rng, 12) : 0;
}

static void make_between(struct ops *ops, struct op *op)
{
	size_t kind = below(ops, 240);
	static const unsigned int longest[] = {3, 80, 80, 600};
	static const enum style styles[] = {STYLE_MIXED,     STYLE_MIXED,   STYLE_LOAD,
	                                    STYLE_LOAD,      STYLE_CURSORS, STYLE_CURSORS,
	                                    STYLE_ASCENDING, STYLE_DELETE};

	if (kind < 7) {
		op->kind = kind < 4 ? OP_CHECK : kind < 6 ? OP_REOPEN : OP_SYNC;
		return;
	}
	if (kind < 14) {
		ops_make_compact(&ops->rng, op);
		return;
	}
	op->kind = OP_BEGIN;
	ops->txn_left = 1 + (unsigned int)below(ops, longest[below(ops, 4)]);
	ops->style = styles[below(ops, sizeof(styles) / sizeof(styles[0]))];
	ops->focus = (unsigned int)below(ops, OP_DBS);
}

void ops_next(struct ops *ops, struct op *op)
{
	memset(op, 0, sizeof(*op));
	op->db = below(ops, 10) < 7 ? ops->focus : (unsigned int)below(ops, OP_DBS);
	ops->made++;
	if (below(ops, 100) < 3) {
		make_reader(ops, op);
	} else if (ops->oracle->depth == 0) {
		make_between(ops, op);
	} else if (ops->txn_left == 0 || (ops->oracle->depth > 1 && below(ops, 20) == 0)) {
		op->kind =
		    below(ops, 100) < (ops->oracle->depth > 1 ? 40 : 12) ? OP_ABORT : OP_COMMIT;
	} else {
		ops->txn_left--;
		if (below(ops, 8000) == 0)
			op->kind = OP_COMPARE_ALL;
		else if (below(ops, 900) == 0)
			op->kind = OP_COMPARE;
		else if (oracle_view(ops->oracle, 0)->db[op->db].incarnation == 0)
			make_create(ops, op);
		else
			make_write(ops, op);
	}
}
