/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops.h - a stream of operations on a store, made from a seed (or from a fuzzer's input).
 *
 *   ops_next() --> struct op --> oracle_apply()  --> struct outcome \
 *                           \--> drive_apply()   --> struct outcome  --> compared by the test
 *                            \-> another store's --> struct outcome /
 *
 * The generator asks the oracle what is there, to aim at keys that exist, but executes nothing:
 * whoever drives the stream applies each operation to the oracle first and to nothing at all when
 * the oracle says OP_SKIP. An operation names transactions, databases and cursors by small numbers;
 * what stands behind a number is the executor's affair.
 */
#ifndef DAXKV_TEST_OPS_H
#define DAXKV_TEST_OPS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daxkv.h"
#include "rng.h"

#define OP_DBS      16u /* database 0 is the main one */
#define OP_READERS  4u  /* transaction 0 is the writer, 1 to OP_READERS are read transactions */
#define OP_CURSORS  12u
#define OP_DEPTH    4u /* nested write transactions */
#define OP_NAME_MAX 32u
#define OP_MANY     48u /* pairs of an operation on many */

enum op_kind {
	OP_BEGIN,
	OP_COMMIT,
	OP_ABORT, /* the writer's innermost transaction */
	OP_PUT,
	OP_GET,
	OP_DEL,
	OP_CURSOR_OPEN,
	OP_CURSOR_CLOSE,
	OP_CURSOR_RENEW,
	OP_CURSOR_GET,
	OP_CURSOR_PUT,
	OP_CURSOR_DEL,
	OP_CURSOR_COUNT,
	OP_DB_CREATE,
	OP_DB_OPEN,
	OP_DB_DROP,
	OP_DB_EMPTY,
	OP_DB_RENAME,
	OP_DB_LIST,
	OP_DB_STAT,
	OP_PUT_MANY,
	OP_GET_MANY,
	OP_LOAD,        /* pairs, as far as they ascend from what is there; flags: the fill */
	OP_DEL_RANGE,   /* from key, up to value (data NULL: from the first, to the last) */
	OP_SPLIT,       /* into n parts, which are read */
	OP_CURSOR_MANY, /* up to n entries, from step on; with end: keys before, or backward not
	                   before, value */
	OP_READER_BEGIN,
	OP_READER_END,
	OP_READER_RESET,
	OP_READER_RENEW,
	OP_COMPARE,     /* the database, in the transaction, in both directions */
	OP_COMPARE_ALL, /* all databases in the transaction */
	OP_SYNC,
	OP_CHECK,
	OP_COMPACT, /* n pages, about; 0: all there is to do */
	OP_REOPEN,
	OP_KINDS
};
extern const char *const op_names[OP_KINDS];

#define OP_SKIP                                                                                    \
	INT_MAX /* outcome.rc: not possible now, or not defined by daxkv.h: do not execute */

struct op_pairs {
	unsigned int n;
	struct daxkv_val key[OP_MANY], value[OP_MANY];
};

struct op {
	enum op_kind kind;
	unsigned int txn, db, cursor;
	unsigned int flags;        /* of put, cursor_put, cursor_del, db_open */
	enum daxkv_cursor_op step; /* OP_CURSOR_GET */
	bool pair;                 /* OP_DEL: only the pair */
	bool end;                  /* OP_CURSOR_MANY */
	unsigned int n;            /* OP_CURSOR_MANY, OP_SPLIT, OP_COMPACT */
	const struct op_pairs
	    *pairs; /* OP_PUT_MANY, OP_GET_MANY, OP_LOAD; the generator's, until its next call */
	struct daxkv_val key, value;       /* data is the generator's, until its next call */
	unsigned int key_width, dup_width; /* OP_DB_CREATE: of integers, of DUP_FIXED; else 0 */
	char name[OP_NAME_MAX];            /* OP_DB_CREATE, OP_DB_OPEN, OP_DB_RENAME */
};

struct outcome {
	int rc;
	bool has_key, has_value; /* compare these outputs too */
	struct daxkv_val key, value;
	uint64_t count;      /* OP_CURSOR_COUNT, OP_DB_STAT; OP_DB_LIST: a digest of the names;
	                      * OP_CURSOR_MANY, OP_GET_MANY: of what was read;      OP_LOAD,
	                      * OP_DEL_RANGE,      OP_SPLIT: pairs */
	int result[OP_MANY]; /* OP_PUT_MANY, OP_GET_MANY */
};

/* outcome_digest - the digest of a list of names with one more name, or of keys and values. */
uint64_t outcome_digest(uint64_t digest, const void *name, size_t size);

struct ops_config {
	size_t max_key;   /* longest key */
	size_t max_dup;   /* longest duplicate */
	size_t max_pair;  /* key and duplicate together that surely fit */
	size_t bad_pair;  /* key and duplicate together that surely do not fit; 0: make none */
	size_t max_value; /* longest value without DUP_SORT */
	size_t db_pairs;  /* databases are kept at about so many pairs */
	/* most databases have duplicates, and one key very many of them */
	bool long_lists;
	bool empty_dups; /* make duplicates of no bytes */
	bool bad_sizes;  /* make keys and values of refused sizes */
};

struct oracle;
struct ops {
	struct rng rng;
	struct ops_config config;
	const struct oracle *oracle;
	uint64_t made; /* operations so far */
	unsigned int txn_left, style, focus, generation, last_cursor;
	uint64_t ascending;
	unsigned char *key, *value, *many;
	struct op_pairs pairs;
};

/* ops_start - prepare a stream; ops_end frees its buffers. */
void ops_start(struct ops *ops, uint64_t seed, const struct ops_config *config,
               const struct oracle *oracle);
void ops_end(struct ops *ops);

/* ops_next - the next operation. */
void ops_next(struct ops *ops, struct op *op);

/* ops_make_compact - OP_COMPACT: mostly of a few pages. */
void ops_make_compact(struct rng *rng, struct op *op);

/* ops_print - one line that says what op is. */
struct oracle_before;
void ops_print(const struct op *op, const struct oracle_before *before);

#endif
