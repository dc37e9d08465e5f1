/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench.h - what the benchmark's parts share: an engine as a handful of functions, and a phase as a
 * list of operations.
 *
 * Every phase is prepared once, as an array of operations, and then run by every engine: same
 * operations, same order, same bytes. Nothing is drawn at random and nothing is allocated by the
 * benchmark while a phase is timed.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_ENGINES    10u /* at most */
#define BENCH_ROUNDS     99u
#define BENCH_PHASES     44u
#define BENCH_PATH       4096u
#define BENCH_KEY_MAX    511u
#define BENCH_VALUE_MAX  65536u
#define BENCH_LARGE      65536u /* bytes of a large value */
#define BENCH_TXN        1000u  /* operations of a large transaction */
#define BENCH_RANGE_READ 50u
#define BENCH_IDLE       10u /* of so many operations, one beside idle readers */
#define BENCH_READ_MANY  64u /* entries of one call */

struct bench_config {
	uint64_t entries, ops, mixed_ops, large_ops, rounds;
	size_t key_size, value_size;
	const char *dir, *pmem, *only, *engines, *json, *csv, *markdown, *command;
	const char *fill,
	    *fill_path; /* the name of an engine: only fill a store and wait to be killed */
	int huge_pages; /* dir is a filesystem of this run's own, in memory, that maps huge pages */
	uint64_t file_size; /* bytes that the files of daxkv and LMDB have from the start */
};

struct bench_bytes {
	const void *data;
	size_t size;
};

struct bench_counts { /* since the store was opened */
	uint64_t fences, lines_flushed, lines_streamed, grows;
};

enum bench_move { BENCH_FIRST, BENCH_LAST, BENCH_NEXT, BENCH_PREV, BENCH_SEEK };

#define BENCH_END (-1000000) /* get, move: there is none */

typedef int bench_next_fn(void *arg, struct bench_bytes *key, struct bench_bytes *value);

/*
 * An engine. open gives a store with one session; session_open adds one for another thread. A
 * session has at most one transaction and one cursor at a time. What get and move point to stays
 * until the session's next call. Functions return 0 or an error for errmsg; an engine whose errors
 * have no numbers prints its message and returns EIO.
 */
struct bench_engine {
	const char *name;
	int counts_writes; /* all that it writes goes through write(2) and its kin, so that the
	                      kernel can count it */
	int background;    /* it has threads of its own that go on after a call */
	const char *(*version)(void);
	const char *(*errmsg)(int err);
	/* dir is the store's own directory; it exists. */
	int (*open)(const struct bench_config *config, const char *dir, int create, void **session);
	int (*close)(void *session);
	int (*session_open)(void *session, void **another);
	void (*session_close)(void *another);
	int (*begin)(void *session, int write);
	int (*commit)(void *session); /* ends a write transaction: it is durable */
	void (*abort)(void *session); /* ends either kind; nothing happens without one */
	/* relax - commits from here on wait for a sync, or (on 0) are durable again; sync - makes
	 * them durable. Both NULL: the engine has no such commits. */
	int (*relax)(void *session, int on);
	int (*sync)(void *session);
	int (*put)(void *session, struct bench_bytes key, struct bench_bytes value, int append);
	int (*del)(void *session, struct bench_bytes key);
	int (*get)(void *session, struct bench_bytes key, struct bench_bytes *value);
	int (*cursor_open)(void *session);
	void (*cursor_close)(void *session);
	/* NEXT follows FIRST, SEEK and NEXT; PREV follows LAST and PREV. SEEK: at *key or the first
	 * after it. */
	int (*move)(void *session, enum bench_move move, struct bench_bytes *key,
	            struct bench_bytes *value);
	/* Many in one call; NULL: the engine has no such call, and does one after the other. load:
	 * next gives the entries, ascending, BENCH_END behind the last. read_many: NEXT or PREV,
	 * from the first or the last entry on; BENCH_END. del_range: from *from on, up to *to. */
	int (*get_many)(void *session, unsigned int n, const struct bench_bytes *keys,
	                struct bench_bytes *values);
	int (*put_many)(void *session, unsigned int n, const struct bench_bytes *keys,
	                const struct bench_bytes *values);
	int (*load)(void *session, bench_next_fn *next, void *arg);
	int (*read_many)(void *session, enum bench_move move, unsigned int n,
	                 struct bench_bytes *keys, struct bench_bytes *values, unsigned int *got);
	int (*del_range)(void *session, struct bench_bytes from, struct bench_bytes to);
	int (*space)(
	    void *session,
	    uint64_t *bytes); /* bytes of the files that hold something; NULL: their sizes */
	const char *(*durability)(void *session); /* one line: how it was set up */
	int (*emulated)(void *session); /* DRAM stands in for persistent memory; NULL: no */
	void (*counts)(void *session,
	               struct bench_counts *counts); /* NULL: the engine does not count */
};

/* engines_select - the engines that are linked in and named in list (comma-separated, NULL: all),
 * daxkv first. Returns their number, 0 when list names one that is not there. */
unsigned int engines_select(const char *list, const struct bench_engine *selected[BENCH_ENGINES]);

/* engines_absent - the names of the engines that were not there when the benchmark was built, ""
 * when all were. */
void engines_absent(char *buf, size_t size);

/* ---- phases ---------------------------------------------------------------------------------- */

enum bench_store { /* a set of phases on one fresh store of each engine */
	           BENCH_STORE_RANDOM,
	           BENCH_STORE_ASCEND,
	           BENCH_STORE_APPEND,
	           BENCH_STORE_MANY, /* keys as in RANDOM */
	           BENCH_STORE_BULK,
	           BENCH_STORE_LARGE,
	           BENCH_STORE_KILLED,
	           BENCH_STORES
};

enum bench_kind {
	BENCH_PUT,
	BENCH_GET,
	BENCH_SCAN,
	BENCH_SCAN_BACK,
	BENCH_RANGE,
	BENCH_DEL,
	BENCH_CUT,
	BENCH_MODIFY,
	BENCH_MIXED,
	BENCH_READERS,
	BENCH_WRITERS,
	BENCH_SYNC,
	BENCH_REOPEN
};

struct bench_phase {
	const char *name, *what;
	enum bench_store store;
	enum bench_kind kind;
	unsigned int batch; /* operations of a transaction, for PUT and DEL; for GET 1, or 0: all */
	int append;
	int many;             /* GET, PUT, SCAN: many in one call; PUT with append: a sorted load */
	int timed;            /* each transaction by itself, for PUT */
	int relaxed;          /* commits wait for a sync, where the engine has such, for PUT */
	unsigned int threads; /* readers, for READERS; writers, for WRITERS */
	int writer;           /* beside them a thread that commits */
	unsigned int idle;    /* threads that hold a read transaction, for PUT */
	double floor_reads,
	    floor_commits; /* how many of each floor an operation has; both 0: none */
	int floor_streams; /* the floor is the time to stream an operation's bytes */
};

struct bench_op {
	uint64_t id;      /* of the key */
	uint32_t version; /* of the value */
	uint16_t kind;    /* enum bench_kind, in a MIXED phase */
	uint16_t length;  /* entries that a RANGE reads */
};

struct bench_plan { /* a phase, prepared */
	const struct bench_phase *phase;
	struct bench_op *ops;
	uint64_t n;          /* operations in ops */
	uint64_t reported;   /* operations that the time is divided by: entries, for a scan */
	uint64_t user_bytes; /* that it puts; a deleted key counts with its own size */
};

enum bench_tail { BENCH_HALF, BENCH_99, BENCH_999, BENCH_MOST, BENCH_TAILS };

struct bench_result {
	double ns;                /* an operation */
	double tail[BENCH_TAILS]; /* of a timed phase, transactions one by one: as many of them take
	                             at most so long */
	double writer_ns;         /* a commit of the thread beside the readers; 0 without it */
	uint64_t checksum, touched; /* of what was read: the same for all engines */
	uint64_t written; /* bytes given to write(2) and its kin, by all threads of the process */
	struct bench_counts counts;
};

/* phase_run - let one engine do a prepared phase. Returns 0 or the engine's error; what then names
 * the call that failed. */
int phase_run(const struct bench_config *config, const struct bench_engine *engine, void *session,
              const struct bench_plan *plan, struct bench_result *result, const char **what);

/* idle_start - so many threads with a read transaction each, which wait for idle_stop (of NULL:
 * nothing). */
struct idle;
int idle_start(const struct bench_engine *engine, void *session, unsigned int n,
               struct idle **idle);
void idle_stop(struct idle *idle);

/* readers_run, writers_run - the same for a phase of kind READERS, WRITERS, in threads. */
int writers_run(const struct bench_config *config, const struct bench_engine *engine, void *session,
                const struct bench_plan *plan, struct bench_result *result, const char **what);
int readers_run(const struct bench_config *config, const struct bench_engine *engine, void *session,
                const struct bench_plan *plan, struct bench_result *result, const char **what);

/* phase_key, phase_value - the bytes of a key and of a value. Keys of the random store lie all over
 * the key space, those of the others ascend with id. buf has room for phase_value_size.
 * phase_value_stamp - the same on a buffer that phase_value filled. */
void phase_key(const struct bench_config *config, enum bench_store store, uint64_t id,
               unsigned char *buf);
void phase_value(size_t size, uint64_t id, uint32_t version, unsigned char *buf);
void phase_value_stamp(size_t size, uint64_t id, uint32_t version, unsigned char *buf);
size_t phase_value_size(const struct bench_config *config, enum bench_store store);

/* phase_hash - a number that depends on each byte of key and value. */
uint64_t phase_hash(struct bench_bytes key, struct bench_bytes value);

/* phase_mix - a permutation of the 64-bit integers. */
uint64_t phase_mix(uint64_t x);

/* clock_ns - a time that only rises, in nanoseconds. */
double clock_ns(void);

#endif
