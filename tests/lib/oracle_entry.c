/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "oracle_internal.h"

/* ---- changes --------------------------------------------------------------------------------- */

static bool recs_equal(unsigned int flags, const struct rec *a, const struct rec *b)
{
	struct daxkv_val x = rec_key(a), y = rec_key(b);

	if (order_keys(flags, &x, &y))
		return false;
	if (!(flags & DAXKV_DUP_SORT))
		return true;
	x = rec_value(a);
	y = rec_value(b);
	return order_values(flags, &x, &y) == 0;
}

/* pair_moved - tell the cursors that stand on rec that it went (or came). */
static void pair_moved(struct oracle *oracle, unsigned int db, const struct rec *rec, bool came)
{
	unsigned int flags = oracle_writer_db(oracle, db)->flags;

	for (size_t i = 0; i < OP_CURSORS; i++) {
		struct oracle_cursor *cursor = &oracle->cursor[i];

		if (cursor->txn != 0 || cursor->db != db ||
		    cursor->state != (came ? CURSOR_GAP : CURSOR_AT))
			continue;
		if (recs_equal(flags, cursor->rec, rec))
			cursor->state = came ? CURSOR_VAGUE : CURSOR_GAP;
	}
}

void oracle_pair_remove(struct oracle *oracle, unsigned int index, struct rec *rec)
{
	struct oracle_db *db = oracle_writer_db(oracle, index);
	struct probe probe;
	struct node *root;

	rec_retain(rec);
	probe = probe_rec(rec);
	root = treap_remove(db->flags, db->root, &probe);
	treap_release(db->root);
	db->root = root;
	pair_moved(oracle, index, rec, false);
	rec_release(rec);
}

struct rec *oracle_set(struct oracle *oracle, unsigned int index, const struct daxkv_val *key,
                       const struct daxkv_val *value, bool is_db)
{
	struct oracle_db *db = oracle_writer_db(oracle, index);
	struct rec *rec = rec_make(key, value, is_db);
	size_t before = treap_count(db->root);
	struct node *root = treap_set(db->flags, db->root, rec);

	treap_release(db->root);
	db->root = root;
	if (treap_count(root) > before)
		pair_moved(oracle, index, rec, true);
	rec_release(rec); /* the treap has it */
	return rec;
}

void oracle_remove_key(struct oracle *oracle, unsigned int index, const struct daxkv_val *key)
{
	struct oracle_db *db = oracle_writer_db(oracle, index);
	struct probe before = probe_key(key, PROBE_BEFORE);
	struct rec *rec;

	for (;;) {
		struct daxkv_val found;

		rec = treap_ge(db->flags, db->root, &before);
		if (!rec)
			return;
		found = rec_key(rec);
		if (order_keys(db->flags, &found, key))
			return;
		oracle_pair_remove(oracle, index, rec);
	}
}

/* key_first - the first pair of key. */
struct rec *oracle_key_first(const struct oracle_db *db, const struct daxkv_val *key)
{
	struct probe before = probe_key(key, PROBE_BEFORE);
	struct rec *rec = treap_ge(db->flags, db->root, &before);
	struct daxkv_val found;

	if (!rec)
		return NULL;
	found = rec_key(rec);
	return order_keys(db->flags, &found, key) ? NULL : rec;
}

static struct rec *pair_find(const struct oracle_db *db, const struct daxkv_val *key,
                             const struct daxkv_val *value)
{
	struct probe probe = {.key = *key, .value = *value, .side = PROBE_PAIR};
	struct rec *rec = treap_ge(db->flags, db->root, &probe);

	return rec && rec == treap_le(db->flags, db->root, &probe) ? rec : NULL;
}

/* ---- outcomes -------------------------------------------------------------------------------- */

static void outcome_show(struct oracle *oracle, struct outcome *out, struct rec *rec)
{
	rec_release(oracle->shown);
	oracle->shown = rec_retain(rec);
	out->rc = 0;
	out->key = rec_key(rec);
	out->value = rec_value(rec);
	out->has_key = true;
	out->has_value = !rec->is_db;
}

int oracle_key_check(const struct oracle *oracle, const struct oracle_db *db,
                     const struct daxkv_val *key)
{
	if (key->size == 0 || key->size > oracle->max_key)
		return DAXKV_KEY_SIZE;
	if (db->flags & DAXKV_INTEGER_KEY && key->size != db->key_width)
		return DAXKV_KEY_SIZE;
	return 0;
}

static int value_check(const struct oracle *oracle, const struct oracle_db *db, const struct op *op)
{
	if (!(db->flags & DAXKV_DUP_SORT))
		return 0;
	if (op->flags & DAXKV_RESERVE && op->kind == OP_CURSOR_PUT)
		return DAXKV_INCOMPATIBLE;
	if (db->dup_width && op->value.size != db->dup_width) {
		if (db->flags & DAXKV_INTEGER_DUP && op->value.size != 4 && op->value.size != 8)
			return DAXKV_VALUE_SIZE;
		return db->root ? DAXKV_VALUE_SIZE
		                : OP_SKIP; /* an empty one may take another size */
	}
	if (op->value.size > oracle->max_dup)
		return DAXKV_VALUE_SIZE;
	return oracle->bad_pair && op->key.size + op->value.size >= oracle->bad_pair
	           ? DAXKV_VALUE_SIZE
	           : 0;
}

int oracle_pair_check(const struct oracle *oracle, const struct oracle_db *db, const struct op *op)
{
	int rc = oracle_key_check(oracle, db, &op->key);

	return rc ? rc : value_check(oracle, db, op);
}

/* put - OP_PUT and OP_CURSOR_PUT without CURRENT. *stands: the pair that was put or found. */
int oracle_put(struct oracle *oracle, const struct op *op, struct outcome *out, struct rec **stands)
{
	struct oracle_db *db = oracle_writer_db(oracle, op->db);
	bool dup = db->flags & DAXKV_DUP_SORT;
	struct rec *first, *last, *same;
	struct probe end;
	int rc = oracle_pair_check(oracle, db, op);

	if (rc)
		return rc;
	first = oracle_key_first(db, &op->key);
	if (first && first->is_db)
		return op->flags ? OP_SKIP : DAXKV_INCOMPATIBLE;
	if (first && op->flags & DAXKV_NO_OVERWRITE) {
		outcome_show(oracle, out, first);
		out->has_key = false;
		return DAXKV_EXIST;
	}
	if (dup && first && op->flags & DAXKV_RESERVE)
		return DAXKV_INCOMPATIBLE;
	same = dup ? pair_find(db, &op->key, &op->value) : NULL;
	if (same && op->flags & DAXKV_NO_DUP_DATA)
		return DAXKV_EXIST;
	last = treap_at(db->root, treap_count(db->root) - 1);
	if (last && op->flags & DAXKV_APPEND) {
		end = probe_key(&op->key, PROBE_BEFORE);
		if (treap_ge(db->flags, db->root, &end))
			return DAXKV_EXIST;
	}
	if (last && op->flags & DAXKV_APPEND_DUP) {
		struct rec *next;
		struct daxkv_val next_key;

		end = (struct probe){.key = op->key, .value = op->value, .side = PROBE_PAIR};
		next = treap_ge(db->flags, db->root, &end);
		next_key = next ? rec_key(next) : op->key;
		if (next && order_keys(db->flags, &next_key, &op->key) == 0)
			return DAXKV_EXIST;
	}
	*stands = same ? same : oracle_set(oracle, op->db, &op->key, &op->value, false);
	return 0;
}

/* put_current - OP_CURSOR_PUT with CURRENT. The new value must not be another duplicate of the key:
 * daxkv.h does not say which error that is. */
static int put_current(struct oracle *oracle, const struct op *op, struct oracle_cursor *cursor)
{
	struct oracle_db *db = oracle_writer_db(oracle, op->db);
	struct daxkv_val key;
	struct rec *rec;
	int rc;

	if (cursor->state != CURSOR_AT)
		return OP_SKIP;
	key = rec_key(cursor->rec);
	if (order_keys(db->flags, &key, &op->key))
		return OP_SKIP;
	rec = pair_find(db, &key,
	                &(struct daxkv_val){cursor->rec->vlen, rec_value(cursor->rec).data});
	if (rec->is_db)
		return DAXKV_INCOMPATIBLE;
	rc = value_check(oracle, db, op);
	if (rc)
		return rc;
	if (db->flags & DAXKV_DUP_SORT) {
		struct rec *other = pair_find(db, &op->key, &op->value);

		if (other == rec)
			return 0;
		if (other)
			return OP_SKIP;
		oracle_pair_remove(oracle, op->db, rec);
	}
	oracle_cursor_place(cursor, CURSOR_AT,
	                    oracle_set(oracle, op->db, &op->key, &op->value, false));
	return 0;
}

static int del(struct oracle *oracle, const struct op *op)
{
	struct oracle_db *db = oracle_writer_db(oracle, op->db);
	struct rec *rec;
	int rc = oracle_key_check(oracle, db, &op->key);

	if (rc)
		return rc;
	rec = op->pair ? pair_find(db, &op->key, &op->value) : oracle_key_first(db, &op->key);
	if (!rec)
		return DAXKV_NOT_FOUND;
	if (rec->is_db)
		return DAXKV_INCOMPATIBLE;
	if (op->pair)
		oracle_pair_remove(oracle, op->db, rec);
	else
		oracle_remove_key(oracle, op->db, &op->key);
	return 0;
}

/* ---- cursors --------------------------------------------------------------------------------- */

/* same_key - rec when it has the key of *at, else NULL. */
static struct rec *same_key(unsigned int flags, struct rec *rec, const struct daxkv_val *key)
{
	struct daxkv_val found;

	if (!rec)
		return NULL;
	found = rec_key(rec);
	return order_keys(flags, &found, key) ? NULL : rec;
}

/* step_relative - where a step leads from the pair at; NULL: nowhere. */
static struct rec *step_relative(const struct oracle_db *db, const struct rec *at,
                                 enum daxkv_cursor_op step)
{
	struct daxkv_val key = rec_key(at);
	struct probe pair = probe_rec(at), before = probe_key(&key, PROBE_BEFORE),
	             after = probe_key(&key, PROBE_AFTER);

	switch (step) {
	case DAXKV_NEXT:
		return treap_gt(db->flags, db->root, &pair);
	case DAXKV_PREV:
		return treap_lt(db->flags, db->root, &pair);
	case DAXKV_NEXT_KEY:
		return treap_ge(db->flags, db->root, &after);
	case DAXKV_PREV_KEY:
		return treap_lt(db->flags, db->root, &before);
	case DAXKV_NEXT_DUP:
		return same_key(db->flags, treap_gt(db->flags, db->root, &pair), &key);
	case DAXKV_PREV_DUP:
		return same_key(db->flags, treap_lt(db->flags, db->root, &pair), &key);
	case DAXKV_FIRST_DUP:
		return treap_ge(db->flags, db->root, &before);
	case DAXKV_LAST_DUP:
		return treap_lt(db->flags, db->root, &after);
	default: /* GET_CURRENT */
		return treap_ge(db->flags, db->root, &pair);
	}
}

static struct rec *step_seek(const struct oracle_db *db, const struct op *op)
{
	struct probe before = probe_key(&op->key, PROBE_BEFORE),
	             after = probe_key(&op->key, PROBE_AFTER);
	struct probe pair = {.key = op->key, .value = op->value, .side = PROBE_PAIR};

	switch (op->step) {
	case DAXKV_SEEK:
		return oracle_key_first(db, &op->key);
	case DAXKV_SEEK_GE:
		return treap_ge(db->flags, db->root, &before);
	case DAXKV_SEEK_LE:
		return treap_lt(db->flags, db->root, &after);
	case DAXKV_SEEK_PAIR:
		return pair_find(db, &op->key, &op->value);
	default: /* SEEK_PAIR_GE */
		return same_key(db->flags, treap_ge(db->flags, db->root, &pair), &op->key);
	}
}

static bool step_of_dups(enum daxkv_cursor_op step)
{
	return step == DAXKV_NEXT_DUP || step == DAXKV_PREV_DUP || step == DAXKV_FIRST_DUP ||
	       step == DAXKV_LAST_DUP || step == DAXKV_SEEK_PAIR || step == DAXKV_SEEK_PAIR_GE;
}

/* cursor_get - OP_CURSOR_GET. Skipped, for daxkv.h leaves them open: steps among duplicates without
 * DUP_SORT or from no position, and from a gap everything but GET_CURRENT, NEXT and PREV. */
int oracle_cursor_get(struct oracle *oracle, const struct oracle_db *db, const struct op *op,
                      struct oracle_cursor *cursor, struct outcome *out)
{
	enum oracle_cursor_state next = CURSOR_AT;
	struct rec *rec;

	if (step_of_dups(op->step) && !(db->flags & DAXKV_DUP_SORT))
		return OP_SKIP;
	if (op->step == DAXKV_FIRST || op->step == DAXKV_LAST) {
		rec = treap_at(db->root, op->step == DAXKV_FIRST ? 0 : treap_count(db->root) - 1);
	} else if (op->step >= DAXKV_SEEK) {
		rec = step_seek(db, op);
		if (!rec) {
			oracle_cursor_place(cursor, CURSOR_UNPOSITIONED, NULL);
			return DAXKV_NOT_FOUND;
		}
	} else if (cursor->state == CURSOR_UNPOSITIONED) {
		if (op->step == DAXKV_GET_CURRENT)
			return EINVAL;
		if (op->step != DAXKV_NEXT && op->step != DAXKV_PREV)
			return OP_SKIP;
		rec = treap_at(db->root, op->step == DAXKV_NEXT ? 0 : treap_count(db->root) - 1);
	} else {
		if (cursor->state == CURSOR_GAP && op->step != DAXKV_NEXT &&
		    op->step != DAXKV_PREV && op->step != DAXKV_GET_CURRENT)
			return OP_SKIP;
		if (cursor->state != CURSOR_AT && cursor->state != CURSOR_GAP)
			return OP_SKIP;
		if (cursor->state == CURSOR_GAP && op->step == DAXKV_GET_CURRENT)
			next = CURSOR_VAGUE; /* on what it gave, or before it still */
		rec = step_relative(db, cursor->rec, op->step);
	}
	if (!rec)
		return DAXKV_NOT_FOUND;
	oracle_cursor_place(cursor, next, rec);
	outcome_show(oracle, out, rec);
	return 0;
}

static int cursor_del(struct oracle *oracle, const struct op *op, struct oracle_cursor *cursor)
{
	struct oracle_db *db = oracle_writer_db(oracle, op->db);
	struct daxkv_val key;
	struct rec *rec;

	if (cursor->state == CURSOR_UNPOSITIONED)
		return EINVAL;
	if (cursor->state != CURSOR_AT)
		return OP_SKIP;
	key = rec_key(cursor->rec);
	rec = pair_find(db, &key,
	                &(struct daxkv_val){cursor->rec->vlen, rec_value(cursor->rec).data});
	if (rec->is_db)
		return DAXKV_INCOMPATIBLE;
	if (op->flags & DAXKV_NO_DUP_DATA)
		oracle_remove_key(oracle, op->db, &key);
	else
		oracle_pair_remove(oracle, op->db, rec);
	return 0;
}

static int cursor_put(struct oracle *oracle, const struct op *op, struct oracle_cursor *cursor,
                      struct outcome *out)
{
	struct rec *stands = NULL;
	int rc;

	if (op->flags & DAXKV_CURRENT)
		return put_current(oracle, op, cursor);
	rc = oracle_put(oracle, op, out, &stands);
	if (rc == 0)
		oracle_cursor_place(cursor, CURSOR_AT, stands);
	else if (rc != OP_SKIP)
		oracle_cursor_place(cursor, CURSOR_VAGUE, NULL);
	return rc;
}

static int cursor_count(const struct oracle_db *db, const struct oracle_cursor *cursor,
                        struct outcome *out)
{
	struct daxkv_val key;
	struct probe before, after;

	if (cursor->state != CURSOR_AT)
		return OP_SKIP;
	key = rec_key(cursor->rec);
	before = probe_key(&key, PROBE_BEFORE);
	after = probe_key(&key, PROBE_AFTER);
	out->count =
	    treap_rank(db->flags, db->root, &after) - treap_rank(db->flags, db->root, &before);
	return 0;
}

/* cursor_apply - the operations on an open cursor. */
static int cursor_apply(struct oracle *oracle, const struct op *op, struct outcome *out)
{
	struct oracle_cursor *cursor = &oracle->cursor[op->cursor];
	const struct oracle_state *state = oracle_view(oracle, cursor->txn);
	const struct oracle_db *db;

	if (cursor->state == CURSOR_CLOSED || cursor->txn != op->txn ||
	    (op->txn == 0 && cursor->level != oracle->depth))
		return OP_SKIP;
	if (op->kind == OP_CURSOR_CLOSE) {
		oracle_cursor_place(cursor, CURSOR_CLOSED, NULL);
		return 0;
	}
	if (!state || cursor->db != op->db || cursor->state == CURSOR_DEAD)
		return OP_SKIP;
	db = &state->db[op->db];
	if (db->incarnation != cursor->incarnation)
		return OP_SKIP;
	switch (op->kind) {
	case OP_CURSOR_GET:
		return oracle_cursor_get(oracle, db, op, cursor, out);
	case OP_CURSOR_MANY:
		return oracle_cursor_many(oracle, db, op, cursor, out);
	case OP_CURSOR_COUNT:
		return cursor_count(db, cursor, out);
	case OP_CURSOR_PUT:
		return op->txn ? OP_SKIP : cursor_put(oracle, op, cursor, out);
	default:
		return op->txn ? OP_SKIP : cursor_del(oracle, op, cursor);
	}
}

int oracle_entry(struct oracle *oracle, const struct op *op, struct outcome *out)
{
	const struct oracle_state *state;
	struct rec *rec = NULL;

	if (op->kind >= OP_PUT_MANY && op->kind <= OP_SPLIT)
		return oracle_many(oracle, op, out);
	if (op->kind != OP_GET && op->kind != OP_PUT && op->kind != OP_DEL)
		return cursor_apply(oracle, op, out);
	state = oracle_view(oracle, op->txn);
	if (!state || state->db[op->db].incarnation == 0)
		return OP_SKIP;
	if (op->txn && op->kind != OP_GET)
		return EACCES;
	if (op->kind == OP_PUT)
		return oracle_put(oracle, op, out, &rec);
	if (op->kind == OP_DEL)
		return del(oracle, op);
	if (oracle_key_check(oracle, &state->db[op->db], &op->key))
		return DAXKV_KEY_SIZE;
	rec = oracle_key_first(&state->db[op->db], &op->key);
	if (!rec)
		return DAXKV_NOT_FOUND;
	outcome_show(oracle, out, rec);
	out->has_key = false;
	return 0;
}
