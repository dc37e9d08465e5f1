/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * oracle_internal.h - what the oracle's parts share: oracle.c (transactions, databases),
 * oracle_entry.c (pairs, cursors) and oracle_many.c (many pairs at once).
 */
#ifndef DAXKV_TEST_ORACLE_INTERNAL_H
#define DAXKV_TEST_ORACLE_INTERNAL_H

#include "oracle.h"

/* oracle_writer_db - a database as the innermost write transaction has it. */
struct oracle_db *oracle_writer_db(struct oracle *oracle, unsigned int db);

/* oracle_cursor_place - put a cursor on rec (or NULL). */
void oracle_cursor_place(struct oracle_cursor *cursor, enum oracle_cursor_state state,
                         struct rec *rec);

/* oracle_set, oracle_remove_key - put a pair, remove a key, and move the cursors with it.
 * oracle_set returns what the treap has. */
struct rec *oracle_set(struct oracle *oracle, unsigned int index, const struct daxkv_val *key,
                       const struct daxkv_val *value, bool is_db);
void oracle_remove_key(struct oracle *oracle, unsigned int index, const struct daxkv_val *key);

/* oracle_entry - execute an operation on pairs or on an open cursor. */
int oracle_entry(struct oracle *oracle, const struct op *op, struct outcome *out);

/* oracle_key_first - the first pair of key. oracle_key_check - KEY_SIZE unless the key suits db. */
struct rec *oracle_key_first(const struct oracle_db *db, const struct daxkv_val *key);
int oracle_key_check(const struct oracle *oracle, const struct oracle_db *db,
                     const struct daxkv_val *key);

/* oracle_pair_check - KEY_SIZE, VALUE_SIZE unless key and value suit db. */
int oracle_pair_check(const struct oracle *oracle, const struct oracle_db *db, const struct op *op);

/* oracle_pair_remove - take a pair out, and move the cursors with it. */
void oracle_pair_remove(struct oracle *oracle, unsigned int index, struct rec *rec);

/* oracle_put - OP_PUT, and OP_CURSOR_PUT without CURRENT. *stands: the pair that was put or
 * found. */
int oracle_put(struct oracle *oracle, const struct op *op, struct outcome *out,
               struct rec **stands);

/* oracle_cursor_get - OP_CURSOR_GET. */
int oracle_cursor_get(struct oracle *oracle, const struct oracle_db *db, const struct op *op,
                      struct oracle_cursor *cursor, struct outcome *out);

/* oracle_many, oracle_cursor_many - the operations on many pairs. */
int oracle_many(struct oracle *oracle, const struct op *op, struct outcome *out);
int oracle_cursor_many(struct oracle *oracle, const struct oracle_db *db, const struct op *op,
                       struct oracle_cursor *cursor, struct outcome *out);

#endif
