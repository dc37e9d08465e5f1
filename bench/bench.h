/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench.h - what the benchmark's parts share: an engine as a handful of functions, and a phase as a list of operations.
 *
 * Every phase is prepared once, as an array of operations, and then run by both engines: same operations, same order, same bytes.
 * Nothing is drawn at random and nothing is allocated while a phase is timed.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

struct bench_config {
	uint64_t entries, ops, rounds;
	size_t key_size, value_size;
	const char *dir, *pmem, *only, *json;
	uint64_t file_size; /* bytes that both files have from the start */
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

/* An engine. A store has at most one transaction and one cursor at a time. Functions return 0 or an error for errmsg. */
struct bench_engine {
	const char *name;
	const char *(*version)(void);
	const char *(*errmsg)(int err);
	int (*open)(const struct bench_config *config, const char *path, void **store);
	int (*close)(void *store);
	int (*begin)(void *store, int write);
	int (*commit)(void *store); /* ends a write transaction */
	void (*abort)(void *store); /* ends either kind; nothing happens without one */
	int (*put)(void *store, struct bench_bytes key, struct bench_bytes value, int append);
	int (*del)(void *store, struct bench_bytes key);
	int (*get)(void *store, struct bench_bytes key, struct bench_bytes *value);
	int (*cursor_open)(void *store);
	void (*cursor_close)(void *store);
	int (*move)(void *store, enum bench_move move, struct bench_bytes *key, struct bench_bytes *value);
	int (*space)(void *store, uint64_t *bytes);               /* bytes of the file that hold something */
	const char *(*durability)(void *store);                   /* one line */
	int (*emulated)(void *store);                             /* true when DRAM stands in for persistent memory */
	void (*counts)(void *store, struct bench_counts *counts); /* NULL when the engine does not count */
};

extern const struct bench_engine engine_daxkv, engine_lmdb;

/* ---- phases --------------------------------------------------------------------------------------------------------------- */

enum bench_store { BENCH_STORE_RANDOM, BENCH_STORE_ASCEND, BENCH_STORE_APPEND, BENCH_STORES };
enum bench_kind { BENCH_PUT, BENCH_GET, BENCH_SCAN, BENCH_SCAN_BACK, BENCH_RANGE, BENCH_DEL };

struct bench_phase {
	const char *name, *what;
	enum bench_store store;
	enum bench_kind kind;
	unsigned int batch; /* operations of a transaction, for PUT and DEL */
	int append;
};

struct bench_op {
	uint64_t id;      /* of the key */
	uint32_t version; /* of the value */
};

struct bench_plan { /* a phase, prepared */
	const struct bench_phase *phase;
	struct bench_op *ops;
	uint64_t n;        /* operations in ops */
	uint64_t reported; /* operations that the time is divided by: entries, for a scan */
};

struct bench_result {
	double ns;                  /* an operation */
	uint64_t checksum, touched; /* of what was read: the same for both engines */
	struct bench_counts counts;
};

/* phase_run - let one engine do a prepared phase. Returns 0 or the engine's error; what then names the call that failed. */
int phase_run(const struct bench_config *config, const struct bench_engine *engine, void *store, const struct bench_plan *plan,
              struct bench_result *result, const char **what);

/* phase_key, phase_value - the bytes of a key and of a value. keys of the random store lie all over the key space, those of the
 * others ascend with id. buf has room for the configured size. */
void phase_key(const struct bench_config *config, enum bench_store store, uint64_t id, unsigned char *buf);
void phase_value(const struct bench_config *config, uint64_t id, uint32_t version, unsigned char *buf);

/* phase_hash - a number that depends on each byte of key and value. */
uint64_t phase_hash(struct bench_bytes key, struct bench_bytes value);

/* phase_mix - a permutation of the 64-bit integers. */
uint64_t phase_mix(uint64_t x);

#endif
