/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "oracle_internal.h"

/* ---- states ---------------------------------------------------------------------------------- */

static void state_copy(struct oracle_state *to, const struct oracle_state *from)
{
	*to = *from;
	for (size_t i = 0; i < OP_DBS; i++)
		treap_retain(to->db[i].root);
}

static void state_release(struct oracle_state *state)
{
	for (size_t i = 0; i < OP_DBS; i++)
		treap_release(state->db[i].root);
	memset(state, 0, sizeof(*state));
}

const struct oracle_state *oracle_view(const struct oracle *oracle, unsigned int txn)
{
	if (txn)
		return oracle->reader[txn].state == READER_LIVE ? &oracle->reader[txn].snapshot
		                                                : NULL;
	return oracle->depth ? &oracle->frame[oracle->depth - 1].state : NULL;
}

struct oracle_db *oracle_writer_db(struct oracle *oracle, unsigned int db)
{
	return &oracle->frame[oracle->depth - 1].state.db[db];
}

void oracle_cursor_place(struct oracle_cursor *cursor, enum oracle_cursor_state state,
                         struct rec *rec)
{
	rec_retain(rec);
	rec_release(cursor->rec);
	cursor->rec = rec;
	cursor->state = state;
}

static void cursors_release(struct oracle_cursor *cursors)
{
	for (size_t i = 0; i < OP_CURSORS; i++)
		oracle_cursor_place(&cursors[i], CURSOR_CLOSED, NULL);
}

void oracle_start(struct oracle *oracle, unsigned int main_flags, size_t max_key, size_t max_dup,
                  size_t bad_pair)
{
	*oracle = (struct oracle){
	    .max_key = max_key, .max_dup = max_dup, .bad_pair = bad_pair, .incarnations = 1};
	oracle->committed.db[0] = (struct oracle_db){.incarnation = 1, .flags = main_flags};
}

void oracle_end(struct oracle *oracle)
{
	state_release(&oracle->committed);
	while (oracle->depth--) {
		state_release(&oracle->frame[oracle->depth].state);
		cursors_release(oracle->frame[oracle->depth].cursors);
	}
	for (size_t i = 1; i <= OP_READERS; i++)
		state_release(&oracle->reader[i].snapshot);
	cursors_release(oracle->cursor);
	rec_release(oracle->shown);
}

void oracle_before_get(const struct oracle *oracle, const struct op *op,
                       struct oracle_before *before)
{
	const struct oracle_state *state = oracle_view(oracle, op->txn);

	memset(before, 0, sizeof(*before));
	before->depth = oracle->depth;
	before->main_flags = oracle->committed.db[0].flags;
	before->cursor = oracle->cursor[op->cursor];
	rec_retain(before->cursor.rec);
	if (state)
		before->db = state->db[op->db];
	before->db.root = NULL;
}

void oracle_before_end(struct oracle_before *before)
{
	rec_release(before->cursor.rec);
}

uint64_t oracle_names(const struct oracle_state *state)
{
	size_t n = treap_count(state->db[0].root);
	struct rec **list = xmalloc(n * sizeof(struct rec *));
	uint64_t digest = 0;

	treap_list(state->db[0].root, list);
	for (size_t i = 0; i < n; i++) {
		if (list[i]->is_db)
			digest = outcome_digest(digest, list[i]->bytes, list[i]->klen);
	}
	free(list);
	return digest;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static int begin(struct oracle *oracle)
{
	struct oracle_frame *frame = &oracle->frame[oracle->depth];

	if (oracle->depth == OP_DEPTH)
		return OP_SKIP;
	state_copy(&frame->state,
	           oracle->depth ? &oracle->frame[oracle->depth - 1].state : &oracle->committed);
	memcpy(frame->cursors, oracle->cursor, sizeof(frame->cursors));
	for (size_t i = 0; i < OP_CURSORS; i++)
		rec_retain(frame->cursors[i].rec);
	oracle->depth++;
	return 0;
}

/* cursors_end - the innermost transaction ends: its cursors with it; the others go back to where
 * they were when it is undone. */
static void cursors_end(struct oracle *oracle, bool undo)
{
	struct oracle_frame *frame = &oracle->frame[oracle->depth - 1];

	for (size_t i = 0; i < OP_CURSORS; i++) {
		struct oracle_cursor *cursor = &oracle->cursor[i], *saved = &frame->cursors[i];

		if (cursor->state == CURSOR_CLOSED || cursor->txn)
			continue;
		if (cursor->level == oracle->depth)
			oracle_cursor_place(cursor, CURSOR_CLOSED, NULL);
		else if (undo && cursor->state != CURSOR_DEAD)
			oracle_cursor_place(cursor, saved->state, saved->rec);
	}
	cursors_release(frame->cursors);
}

static int commit(struct oracle *oracle)
{
	struct oracle_state *to;

	if (oracle->depth == 0)
		return OP_SKIP;
	cursors_end(oracle, false);
	oracle->depth--;
	to = oracle->depth ? &oracle->frame[oracle->depth - 1].state : &oracle->committed;
	state_release(to);
	*to = oracle->frame[oracle->depth].state;
	memset(&oracle->frame[oracle->depth].state, 0, sizeof(*to));
	return 0;
}

static int abandon(struct oracle *oracle)
{
	if (oracle->depth == 0)
		return OP_SKIP;
	cursors_end(oracle, true);
	state_release(&oracle->frame[--oracle->depth].state);
	return 0;
}

static int reader_apply(struct oracle *oracle, const struct op *op)
{
	struct oracle_reader *reader = &oracle->reader[op->txn];
	enum oracle_reader_state to = READER_LIVE;

	switch (op->kind) {
	case OP_READER_BEGIN:
		if (reader->state != READER_NONE)
			return OP_SKIP;
		break;
	case OP_READER_RENEW:
		if (reader->state != READER_RESET)
			return OP_SKIP;
		break;
	default:
		if (reader->state == READER_NONE ||
		    (op->kind == OP_READER_RESET && reader->state == READER_RESET))
			return OP_SKIP;
		to = op->kind == OP_READER_END ? READER_NONE : READER_RESET;
	}
	for (size_t i = 0; i < OP_CURSORS; i++) {
		if (oracle->cursor[i].state != CURSOR_CLOSED && oracle->cursor[i].txn == op->txn)
			oracle_cursor_place(&oracle->cursor[i], CURSOR_DEAD,
			                    NULL); /* until it is renewed */
	}
	state_release(&reader->snapshot);
	reader->state = to;
	if (to == READER_LIVE)
		state_copy(&reader->snapshot, &oracle->committed);
	return 0;
}

/* reopen - all transactions end, nothing but what was committed remains. */
static int reopen(struct oracle *oracle)
{
	while (oracle->depth)
		abandon(oracle);
	cursors_release(oracle->cursor);
	for (size_t i = 1; i <= OP_READERS; i++) {
		state_release(&oracle->reader[i].snapshot);
		oracle->reader[i].state = READER_NONE;
	}
	return 0;
}

static int cursor_open(struct oracle *oracle, const struct op *op)
{
	struct oracle_cursor *cursor = &oracle->cursor[op->cursor];
	const struct oracle_state *state = oracle_view(oracle, op->txn);

	if (!state || state->db[op->db].incarnation == 0)
		return OP_SKIP;
	if (op->kind == OP_CURSOR_OPEN && cursor->state != CURSOR_CLOSED)
		return OP_SKIP;
	if (op->kind == OP_CURSOR_RENEW &&
	    (op->txn == 0 || cursor->txn == 0 || cursor->state == CURSOR_CLOSED ||
	     cursor->db != op->db || cursor->incarnation != state->db[op->db].incarnation))
		return OP_SKIP;
	oracle_cursor_place(cursor, CURSOR_UNPOSITIONED, NULL);
	cursor->txn = op->txn;
	cursor->level = op->txn ? 0 : oracle->depth;
	cursor->db = op->db;
	cursor->incarnation = state->db[op->db].incarnation;
	return 0;
}

/* ---- databases ------------------------------------------------------------------------------- */

static struct daxkv_val name_val(const char *name)
{
	return (struct daxkv_val){strlen(name), (void *)(uintptr_t)name};
}

static bool name_taken(struct oracle *oracle, const char *name)
{
	for (size_t i = 1; i < OP_DBS; i++) {
		if (oracle_writer_db(oracle, (unsigned int)i)->incarnation &&
		    strcmp(oracle_writer_db(oracle, (unsigned int)i)->name, name) == 0)
			return true;
	}
	return false;
}

static int db_create(struct oracle *oracle, const struct op *op)
{
	struct oracle_db *db = oracle_writer_db(oracle, op->db);
	struct daxkv_val name = name_val(op->name), none = {0, NULL};

	if (db->incarnation || op->db == 0 || name_taken(oracle, op->name))
		return OP_SKIP;
	*db = (struct oracle_db){.incarnation = ++oracle->incarnations,
	                         .flags = op->flags,
	                         .key_width = op->key_width,
	                         .dup_width = op->dup_width};
	memcpy(db->name, op->name, sizeof(db->name));
	oracle_set(oracle, 0, &name, &none, true);
	return 0;
}

/* db_open - with CREATE: of a database that is there; without: also of a name that is not. */
static int db_open(struct oracle *oracle, const struct op *op)
{
	struct oracle_db *db = oracle_writer_db(oracle, op->db);
	unsigned int flags = op->flags & ~(unsigned int)DAXKV_CREATE;

	if (op->db == 0)
		return OP_SKIP;
	if (db->incarnation == 0 || strcmp(db->name, op->name))
		return op->flags & DAXKV_CREATE || name_taken(oracle, op->name) ? OP_SKIP
		                                                                : DAXKV_NOT_FOUND;
	return flags == 0 || flags == db->flags ? 0 : DAXKV_INCOMPATIBLE;
}

static int db_drop(struct oracle *oracle, const struct op *op)
{
	struct oracle_db *db = oracle_writer_db(oracle, op->db);
	struct daxkv_val name = name_val(db->name);

	if (db->incarnation == 0 || op->db == 0)
		return OP_SKIP;
	for (size_t i = 0; i < OP_CURSORS; i++) {
		struct oracle_cursor *cursor = &oracle->cursor[i];

		if (cursor->state == CURSOR_CLOSED || cursor->txn || cursor->db != op->db)
			continue;
		if (op->kind == OP_DB_DROP && cursor->level == oracle->depth)
			oracle_cursor_place(cursor, CURSOR_CLOSED, NULL);
		else if (op->kind == OP_DB_DROP)
			cursor->state = CURSOR_DEAD;
		else if (cursor->state == CURSOR_AT)
			cursor->state = CURSOR_GAP;
	}
	treap_release(db->root);
	db->root = NULL;
	if (op->kind == OP_DB_EMPTY)
		return 0;
	oracle_remove_key(oracle, 0, &name);
	memset(db, 0, sizeof(*db));
	return 0;
}

static int db_rename(struct oracle *oracle, const struct op *op)
{
	struct oracle_db *db = oracle_writer_db(oracle, op->db);
	struct daxkv_val name = name_val(db->name), none = {0, NULL};

	if (db->incarnation == 0 || op->db == 0 || strcmp(db->name, op->name) == 0)
		return OP_SKIP;
	if (name_taken(oracle, op->name))
		return DAXKV_EXIST;
	oracle_remove_key(oracle, 0, &name);
	memcpy(db->name, op->name, sizeof(db->name));
	name = name_val(db->name);
	oracle_set(oracle, 0, &name, &none, true);
	return 0;
}

static int db_apply(struct oracle *oracle, const struct op *op, struct outcome *out)
{
	const struct oracle_state *state = oracle_view(oracle, op->txn);

	if (!state)
		return OP_SKIP;
	if (op->kind == OP_DB_LIST) {
		out->count = oracle_names(state);
		return 0;
	}
	if (op->kind == OP_DB_STAT) {
		out->count = treap_count(state->db[op->db].root);
		return state->db[op->db].incarnation ? 0 : OP_SKIP;
	}
	if (op->txn)
		return OP_SKIP;
	switch (op->kind) {
	case OP_DB_CREATE:
		return db_create(oracle, op);
	case OP_DB_OPEN:
		return db_open(oracle, op);
	case OP_DB_RENAME:
		return db_rename(oracle, op);
	default:
		return db_drop(oracle, op);
	}
}

static int apply(struct oracle *oracle, const struct op *op, struct outcome *out)
{
	const struct oracle_state *state;

	switch (op->kind) {
	case OP_BEGIN:
		return begin(oracle);
	case OP_COMMIT:
		return commit(oracle);
	case OP_ABORT:
		return abandon(oracle);
	case OP_CURSOR_OPEN:
	case OP_CURSOR_RENEW:
		return cursor_open(oracle, op);
	case OP_DB_CREATE:
	case OP_DB_OPEN:
	case OP_DB_DROP:
	case OP_DB_EMPTY:
	case OP_DB_RENAME:
	case OP_DB_LIST:
	case OP_DB_STAT:
		return db_apply(oracle, op, out);
	case OP_READER_BEGIN:
	case OP_READER_END:
	case OP_READER_RESET:
	case OP_READER_RENEW:
		return reader_apply(oracle, op);
	case OP_COMPARE:
	case OP_COMPARE_ALL:
		state = oracle_view(oracle, op->txn);
		return state && (op->kind == OP_COMPARE_ALL || state->db[op->db].incarnation)
		           ? 0
		           : OP_SKIP;
	case OP_SYNC:
	case OP_CHECK:
	case OP_COMPACT:
		return oracle->depth ? OP_SKIP : 0;
	case OP_REOPEN:
		return reopen(oracle);
	default:
		return oracle_entry(oracle, op, out);
	}
}

void oracle_apply(struct oracle *oracle, const struct op *op, struct outcome *out)
{
	memset(out, 0, sizeof(*out));
	out->rc = apply(oracle, op, out);
}
