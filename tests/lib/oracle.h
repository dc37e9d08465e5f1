/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * oracle.h - what a store must answer, computed as plainly as possible.
 *
 * A database is a treap, a state is all databases' roots, a transaction is a state of its own, a
 * snapshot is a state that is kept. A cursor is a pair and one word about it:
 *
 *   CURSOR_AT     the pair is there
 *   CURSOR_GAP    the pair was deleted: the cursor stands between its neighbours
 *   CURSOR_VAGUE  daxkv.h does not say where the cursor stands (its pair came back after a
 *                 deletion, a put was refused): until an
 *                 absolute step everything else is skipped
 *   CURSOR_DEAD   its database was dropped
 */
#ifndef DAXKV_TEST_ORACLE_H
#define DAXKV_TEST_ORACLE_H

#include "ops.h"
#include "treap.h"

struct oracle_db {
	uint32_t incarnation; /* 0: does not exist; never used twice */
	unsigned int flags;   /* enum daxkv_db_flags */
	unsigned int key_width, dup_width;
	char name[OP_NAME_MAX];
	struct node *root;
};

struct oracle_state {
	struct oracle_db db[OP_DBS];
};

enum oracle_cursor_state {
	CURSOR_CLOSED,
	CURSOR_UNPOSITIONED,
	CURSOR_AT,
	CURSOR_GAP,
	CURSOR_VAGUE,
	CURSOR_DEAD
};
struct oracle_cursor {
	enum oracle_cursor_state state;
	unsigned int txn, level, db;
	uint32_t incarnation; /* of the database; 0: its reader has ended, it waits for
	                         OP_CURSOR_RENEW */
	struct rec *rec;
};

enum oracle_reader_state { READER_NONE, READER_LIVE, READER_RESET };
struct oracle_reader {
	enum oracle_reader_state state;
	struct oracle_state snapshot;
};

struct oracle_frame { /* a write transaction */
	struct oracle_state state;
	struct oracle_cursor cursors[OP_CURSORS]; /* as they were at its begin */
};

struct oracle {
	size_t max_key, max_dup, bad_pair;
	uint32_t incarnations;
	unsigned int depth; /* of write transactions running */
	struct oracle_state committed;
	struct oracle_frame frame[OP_DEPTH];
	struct oracle_reader reader[OP_READERS + 1]; /* 0 is not used */
	struct oracle_cursor cursor[OP_CURSORS];
	struct rec *shown; /* keeps the bytes of the last outcome alive */
};

/* oracle_start - an empty store whose main database has main_flags. bad_pair: see struct
 * ops_config. */
void oracle_start(struct oracle *oracle, unsigned int main_flags, size_t max_key, size_t max_dup,
                  size_t bad_pair);
void oracle_end(struct oracle *oracle);

/* oracle_apply - execute op; out->rc is what daxkv must return. Comparisons, OP_SYNC, OP_CHECK
 * and OP_COMPACT change nothing here. */
void oracle_apply(struct oracle *oracle, const struct op *op, struct outcome *out);

/* oracle_view - the state that transaction txn sees; NULL when it is not running. */
const struct oracle_state *oracle_view(const struct oracle *oracle, unsigned int txn);

/* What an executor needs to know of the moment before op: the database's identity and the cursor's
 * place. */
struct oracle_before {
	unsigned int depth, main_flags;
	struct oracle_db db; /* root NULL */
	struct oracle_cursor cursor;
};
void oracle_before_get(const struct oracle *oracle, const struct op *op,
                       struct oracle_before *before);
void oracle_before_end(struct oracle_before *before);

/* oracle_names - the digest of all database names of a state, in the main database's order. */
uint64_t oracle_names(const struct oracle_state *state);

#endif
