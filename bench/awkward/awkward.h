/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * awkward.h - the phases of bench-awkward: work that programs do with LMDB's interface and that a
 * benchmark of puts and gets does not show. Each phase runs with LMDB and with daxkv's
 * liblmdb.so.0, each time on a new store and in a process of its own.
 *
 * A file of phases ends in a table of them; awkward.c lists the tables. Within a phase whatever
 * fails ends the process with a message, so its code is the work alone.
 */
#ifndef AWKWARD_H
#define AWKWARD_H

#include <lmdb.h>
#include <stddef.h>
#include <stdint.h>

/* What phases call, in either library: j->mdb.mdb_get(...). */
#define AWKWARD_FUNCTIONS(F)                                                                       \
	F(mdb_version)                                                                             \
	F(mdb_strerror)                                                                            \
	F(mdb_env_create)                                                                          \
	F(mdb_env_open)                                                                            \
	F(mdb_env_close)                                                                           \
	F(mdb_env_set_mapsize)                                                                     \
	F(mdb_env_set_maxdbs)                                                                      \
	F(mdb_env_info)                                                                            \
	F(mdb_env_stat)                                                                            \
	F(mdb_env_copy2)                                                                           \
	F(mdb_txn_begin)                                                                           \
	F(mdb_txn_commit)                                                                          \
	F(mdb_txn_abort)                                                                           \
	F(mdb_txn_reset)                                                                           \
	F(mdb_txn_renew)                                                                           \
	F(mdb_dbi_open)                                                                            \
	F(mdb_dbi_close)                                                                           \
	F(mdb_drop)                                                                                \
	F(mdb_stat)                                                                                \
	F(mdb_put)                                                                                 \
	F(mdb_get)                                                                                 \
	F(mdb_del)                                                                                 \
	F(mdb_cursor_open)                                                                         \
	F(mdb_cursor_close)                                                                        \
	F(mdb_cursor_get)                                                                          \
	F(mdb_cursor_put)                                                                          \
	F(mdb_cursor_del)                                                                          \
	F(mdb_cursor_count)                                                                        \
	F(mdb_cursor_renew)

struct library {
#define AWKWARD_POINTER(name) __typeof__(name) *name;
	AWKWARD_FUNCTIONS(AWKWARD_POINTER)
#undef AWKWARD_POINTER
};

#define KEY_BYTES   16u
#define VALUE_BYTES 100u
#define VALUE_MAX   (128u << 10)
#define TXN_OPS     1000u /* of a transaction, where a phase says nothing else */

struct phase;

struct job { /* a phase with one library */
	struct library mdb;
	const struct phase *phase;
	const char *dir;
	MDB_env *env;
	MDB_dbi dbi;        /* made with the phase's flags; its name is "main", or none */
	MDB_txn *txn, *old; /* the one that runs; a reader that prepare began */
	MDB_cursor *cursor;
	uint64_t n;      /* the phase's size */
	uint64_t ops;    /* what the time is divided by: n, unless run says something else */
	uint64_t sum;    /* of what was read: the same with both libraries */
	uint64_t rng;    /* see job_draw */
	double *latency; /* of a timed phase: of each of n operations, in nanoseconds */
	uint8_t key[KEY_BYTES], value[VALUE_MAX];
};

struct phase {
	const char *name, *what;
	uint64_t n;
	unsigned int db_flags;          /* of the database that it works on */
	int named;                      /* that database has a name */
	int timed;                      /* run fills latency */
	unsigned int env_flags;         /* beside MDB_NOSUBDIR and MDB_WRITEMAP, */
	int nests;                      /* without which LMDB has nested transactions */
	void (*prepare)(struct job *j); /* not timed; NULL: nothing */
	void (*run)(struct job *j);
};

/* The tables, each ended by a phase without a name. */
extern const struct phase order_phases[], change_phases[], txn_phases[], many_phases[],
    read_phases[], dups_phases[], growth_phases[];

/* job_open - load the library and make the store. job_close ends what is still running. */
void job_open(struct job *j, const char *library, const char *pmem);
void job_close(struct job *j);

/* must - rc is 0, or the process ends and says what failed. */
void must(const struct job *j, int rc, const char *what);

/* job_begin - in j->txn; flags as those of mdb_txn_begin. */
void job_begin(struct job *j, unsigned int flags);
void job_commit(struct job *j);
void job_abort(struct job *j);

/* job_step - within a loop of operations: begin at each TXN_OPS-th, after a commit of those before.
 */
void job_step(struct job *j, uint64_t i);

/* job_key - the key of that number; keys are in the order of their numbers. It stays until the
 * next call. job_value - so many bytes, which the number stamps. */
MDB_val job_key(struct job *j, uint64_t id);
MDB_val job_value(struct job *j, uint64_t id, size_t size);

/* job_put - in j->dbi, with a value of VALUE_BYTES. job_put_size - of another size. job_del, and
 * job_get, which adds to j->sum: of a key that is there. */
void job_put(struct job *j, uint64_t id);
void job_put_size(struct job *j, uint64_t id, size_t size);
void job_del(struct job *j, uint64_t id);
void job_get(struct job *j, MDB_txn *txn, uint64_t id);

/* job_fill - entries 0 to n - 1, TXN_OPS a transaction. job_fill_random - n entries whose keys are
 * job_mix of 0 to n - 1. */
void job_fill(struct job *j, uint64_t n);
void job_fill_random(struct job *j, uint64_t n);

/* job_cursor - open j->cursor in j->txn. job_move - to an entry, which it adds to j->sum: 0 or
 * MDB_NOTFOUND. */
void job_cursor(struct job *j);
int job_move(struct job *j, MDB_cursor_op op);
void job_cursor_end(struct job *j);

/* job_draw - a random number below n. job_mix - a permutation of the 64-bit integers. */
uint64_t job_draw(struct job *j, uint64_t n);
uint64_t job_mix(uint64_t x);

/* job_clock - nanoseconds, for latency. */
double job_clock(void);

#endif
