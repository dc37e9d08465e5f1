/* SPDX-License-Identifier: BSD-3-Clause */
/* probe.c - see probe.h */
#include "probe.h"

#include "daxkv.h"
#include "rng.h"
#include "sample.h"

#include <stdio.h>
#include <string.h>

#define PAIRS_MAX 200000u /* of a scan: a damaged tree may say that a page is there many times */
#define NAMES_MAX 64u
#define GETS      4u

static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (; n >= 8; n -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
	}
	for (; n > 0; n--, p++)
		hash = (hash ^ *p) * 0x100000001b3u;
	return hash;
}

static uint64_t mix_val(uint64_t hash, const struct daxkv_val *v)
{
	return mix(mix(hash, &v->size, sizeof v->size), v->data, v->size);
}

static uint64_t mix_int(uint64_t hash, int64_t number)
{
	return mix(hash, &number, sizeof number);
}

/* ---- reading --------------------------------------------------------------------------------- */

static uint64_t read_keys(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *keys,
                          unsigned int n, uint64_t hash)
{
	struct daxkv_val values[GETS];
	int results[GETS] = {0}, rc = daxkv_get_many(txn, db, n, keys, values, results);

	for (unsigned int i = 0; i < n && rc == 0; i++)
		hash = results[i] ? mix_int(hash, results[i]) : mix_val(hash, &values[i]);
	return mix_int(hash, rc);
}

static uint64_t read_key(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
                         uint64_t hash)
{
	struct daxkv_val value;
	int rc = daxkv_get(txn, db, key, &value);

	return rc ? mix_int(hash, rc) : mix_val(hash, &value);
}

/* read_cursor - from end to end, each key once more by itself. */
static uint64_t read_cursor(struct daxkv_txn *txn, daxkv_db db, struct daxkv_cursor *c,
                            enum daxkv_cursor_op step, uint64_t hash, uint64_t *pairs)
{
	struct daxkv_val key, value, keys[GETS];
	unsigned int n = 0, gets = 0;
	int rc;

	while ((rc = daxkv_cursor_get(c, &key, &value, step)) == 0 && n++ < PAIRS_MAX) {
		hash = mix_val(mix_val(hash, &key), &value);
		if (step != DAXKV_NEXT)
			continue;
		keys[gets++] = key;
		if (gets == GETS) {
			hash = read_key(txn, db, &keys[0], hash);
			hash = read_keys(txn, db, keys, gets, hash);
			gets = 0;
		}
	}
	*pairs += n;
	return mix_int(hash, rc);
}

/* seek_some - places that are not there, and the neighbourhood of those that are. */
static uint64_t seek_some(struct daxkv_cursor *c, size_t step, uint64_t hash)
{
	static const enum daxkv_cursor_op ops[] = {
	    DAXKV_SEEK_GE,  DAXKV_SEEK_LE,  DAXKV_SEEK,         DAXKV_NEXT_DUP,
	    DAXKV_PREV_KEY, DAXKV_LAST_DUP, DAXKV_SEEK_PAIR_GE, DAXKV_FIRST_DUP,
	    DAXKV_NEXT_KEY, DAXKV_LAST,     DAXKV_PREV_DUP};
	char bytes[] = "a key 5 and more of it, so that it is a long one";
	uint64_t count = 0;

	for (size_t size = 4; size < sizeof bytes; size += step)
		for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
			struct daxkv_val key = {size, bytes}, value = {4, bytes};
			int rc = daxkv_cursor_get(c, &key, &value, ops[i]);

			hash = rc ? mix_int(hash, rc) : mix_val(mix_val(hash, &key), &value);
		}
	hash = mix_int(hash, daxkv_cursor_count(c, &count));
	return mix_int(hash, (int64_t)count);
}

static uint64_t read_db(struct daxkv_txn *txn, daxkv_db db, bool quick, uint64_t hash,
                        uint64_t *pairs)
{
	struct daxkv_cursor *c;
	struct daxkv_db_stat stat;
	int rc = sample_orders(txn, db);

	if (!rc)
		rc = daxkv_cursor_open(txn, db, &c);
	if (rc)
		return mix_int(hash, rc);
	hash = read_cursor(txn, db, c, DAXKV_NEXT, hash, pairs);
	hash = seek_some(c, quick ? 32 : 4, hash);
	if (!quick)
		hash = read_cursor(txn, db, c, DAXKV_PREV, hash, pairs);
	daxkv_cursor_close(c);
	rc = daxkv_db_stat(txn, db, &stat);
	return rc ? mix_int(hash, rc) : mix_int(hash, (int64_t)stat.entries);
}

static void read_all(struct daxkv_store *store, bool quick, struct probe_result *r)
{
	struct daxkv_val name = {0, NULL};
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	r->hash = mix_int(0, rc);
	if (rc)
		return;
	r->hash = read_db(txn, DAXKV_MAIN, quick, r->hash, &r->pairs);
	for (unsigned int n = 0; n < NAMES_MAX && (rc = daxkv_db_list_next(txn, &name)) == 0; n++) {
		daxkv_db db;

		r->hash = mix_val(r->hash, &name);
		rc = daxkv_db_open(txn, &name, 0, &db);
		if (rc) {
			r->hash = mix_int(r->hash, rc);
			continue;
		}
		r->hash = read_db(txn, db, quick, r->hash, &r->pairs);
		daxkv_db_close(store, db);
	}
	r->hash = mix_int(r->hash, rc);
	daxkv_txn_abort(txn);
}

void probe_fault(const char *fault, void *arg)
{
	struct probe_result *r = arg;

	if (!r->first[0])
		snprintf(r->first, sizeof r->first, "%s", fault);
}

struct probe_result probe_read(const char *path, bool quick)
{
	struct daxkv_options o = {.flags = DAXKV_READ_ONLY | DAXKV_NO_LOCK,
	                          .max_size = 16 << 20,
	                          .max_readers = 2,
	                          .max_dbs = NAMES_MAX};
	struct probe_result r = {0};
	struct daxkv_store *store;

	r.open = daxkv_open(path, &o, &store);
	if (r.open)
		return r;
	int rc = daxkv_check(store, probe_fault, &r, &r.faults);

	if (rc && rc != DAXKV_CORRUPT)
		r.faults++;
	read_all(store, quick, &r);
	(void)daxkv_close(store); /* nothing was written */
	return r;
}
