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

static void first_fault(const char *fault, void *arg)
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
	int rc = daxkv_check(store, first_fault, &r, &r.faults);

	if (rc && rc != DAXKV_CORRUPT)
		r.faults++;
	read_all(store, quick, &r);
	(void)daxkv_close(store); /* nothing was written */
	return r;
}

/* ---- changing -------------------------------------------------------------------------------- */

struct writer {
	struct daxkv_store *store;
	struct rng rng;
	char failed[256]; /* the call that should not have failed, and why it did */
};

/* expect - whether rc is what the call of a sound store may return. */
static int expect(struct writer *w, int rc, const char *what)
{
	bool fine = rc == 0 || rc == DAXKV_NOT_FOUND || rc == DAXKV_EXIST || rc == DAXKV_FULL;

	if (!fine && !w->failed[0])
		snprintf(w->failed, sizeof w->failed, "%s: %s: %.180s", what, daxkv_strerror(rc),
		         daxkv_errmsg());
	return rc;
}

static struct daxkv_val random_key(struct writer *w, unsigned int flags, uint8_t room[32])
{
	uint64_t number = rng_below(&w->rng, 400);

	if (flags & DAXKV_INTEGER_KEY) {
		number *= 0x101;
		memcpy(room, &number, 8);
		return (struct daxkv_val){number % 2 ? 4 : 8, room};
	}
	return (struct daxkv_val){
	    (size_t)snprintf((char *)room, 32, rng_percent(&w->rng, 50) ? "a key %lu" : "key %lu",
	                     (unsigned long)number),
	    room};
}

static int change_by_key(struct writer *w, struct daxkv_txn *txn, daxkv_db db, unsigned int flags)
{
	static uint8_t bytes[16000];
	uint8_t room[32];
	struct daxkv_val key = random_key(w, flags, room), value = {rng_below(&w->rng, 40), bytes};

	if (flags & DAXKV_INTEGER_DUP)
		value.size = 8;
	else if (flags & DAXKV_DUP_FIXED)
		value.size = 12;
	else if (!(flags & DAXKV_DUP_SORT) && rng_percent(&w->rng, 3))
		value.size = rng_below(&w->rng, sizeof bytes);
	rng_fill(rng_next(&w->rng), bytes, value.size);
	if (rng_percent(&w->rng, 60))
		return expect(w, daxkv_put(txn, db, &key, &value, 0), "put");
	return expect(w, daxkv_del(txn, db, &key, NULL), "del");
}

/* change_by_cursor - remove or replace what lies behind some place. */
static int change_by_cursor(struct writer *w, struct daxkv_txn *txn, daxkv_db db,
                            unsigned int flags)
{
	uint8_t room[32], copy[32];
	struct daxkv_val key = random_key(w, flags, room), value;
	struct daxkv_cursor *c;
	int rc = daxkv_cursor_open(txn, db, &c);

	if (rc)
		return expect(w, rc, "cursor_open");
	rc = expect(w, daxkv_cursor_get(c, &key, &value, DAXKV_SEEK_GE), "seek");
	for (unsigned int n = (unsigned int)rng_below(&w->rng, 5); n > 0 && !rc; n--) {
		if (rng_percent(&w->rng, 50)) {
			rc = daxkv_cursor_del(c, rng_percent(&w->rng, 20) ? DAXKV_NO_DUP_DATA : 0);
			rc = expect(w, rc == DAXKV_INCOMPATIBLE ? 0 : rc,
			            "cursor_del"); /* the entry is a database */
		} else if (!(flags & DAXKV_DUP_SORT) && key.size <= sizeof copy) {
			memcpy(copy, key.data, key.size);
			key.data = copy;
			value = (struct daxkv_val){3, room};
			rc = daxkv_cursor_put(c, &key, &value, DAXKV_CURRENT);
			rc = expect(w, rc == DAXKV_INCOMPATIBLE ? 0 : rc,
			            "cursor_put"); /* likewise */
		}
		if (!rc)
			rc = expect(w, daxkv_cursor_get(c, &key, &value, DAXKV_NEXT), "next");
	}
	daxkv_cursor_close(c);
	return rc;
}

/* in_order - whether a database that the program orders is in that order, and searches find what
 * there is: the checker cannot know. */
static bool in_order(struct daxkv_txn *txn, daxkv_db db, unsigned int flags)
{
	struct daxkv_val key, value, last_key, last_value;
	struct daxkv_cursor *c, *search;
	bool any = false, fine = true;

	if (!(flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE)))
		return true;
	if (daxkv_cursor_open(txn, db, &c))
		return false;
	if (daxkv_cursor_open(txn, db, &search)) {
		daxkv_cursor_close(c);
		return false;
	}
	for (; fine && daxkv_cursor_get(c, &key, &value, DAXKV_NEXT) == 0; any = true) {
		struct daxkv_val same_key = key, same_value = value;
		int order = any ? daxkv_db_compare(txn, db, &last_key, &key) : -1;

		fine = order < 0 || (order == 0 && flags & DAXKV_DUP_SORT &&
		                     daxkv_db_dup_compare(txn, db, &last_value, &value) < 0);
		fine = fine &&
		       daxkv_cursor_get(search, &same_key, &same_value,
		                        flags & DAXKV_DUP_SORT ? DAXKV_SEEK_PAIR : DAXKV_SEEK) == 0;
		last_key = key;
		last_value = value;
	}
	daxkv_cursor_close(search);
	daxkv_cursor_close(c);
	return fine;
}

static void change_db(struct writer *w, struct daxkv_txn *txn, daxkv_db db)
{
	unsigned int flags = 0;
	int rc = expect(w, daxkv_db_flags(txn, db, &flags), "db_flags");

	if (!rc)
		rc = expect(w, sample_orders(txn, db), "comparators");
	if (!rc && !in_order(txn, db, flags))
		return;
	for (unsigned int n = (unsigned int)rng_below(&w->rng, 30);
	     n > 0 && (!rc || rc == DAXKV_NOT_FOUND); n--)
		rc = rng_percent(&w->rng, 80) ? change_by_key(w, txn, db, flags)
		                              : change_by_cursor(w, txn, db, flags);
	if (rng_percent(&w->rng, 4) && db != DAXKV_MAIN)
		expect(w, daxkv_db_drop(txn, db, (int)rng_below(&w->rng, 2)), "db_drop");
}

/* change_all - every database, in txn. */
static void change_all(struct writer *w, struct daxkv_txn *txn)
{
	struct daxkv_val name = {0, NULL};
	char copy[256];

	for (unsigned int n = 0;
	     n < NAMES_MAX && expect(w, daxkv_db_list_next(txn, &name), "db_next") == 0; n++) {
		daxkv_db db;

		if (name.size > sizeof copy)
			break;
		memcpy(copy, name.data, name.size);
		name.data = copy; /* what it points to changes */
		if (rng_percent(&w->rng, 50) &&
		    expect(w, daxkv_db_open(txn, &name, 0, &db), "db_open") == 0)
			change_db(w, txn, db);
	}
	if (rng_percent(&w->rng, 70))
		change_db(w, txn, DAXKV_MAIN);
}

static void one_transaction(struct writer *w)
{
	struct daxkv_txn *txn, *child;

	if (expect(w, daxkv_txn_begin(w->store, NULL, 0, &txn), "begin"))
		return;
	change_all(w, txn);
	if (rng_percent(&w->rng, 30) && daxkv_txn_begin(w->store, txn, 0, &child) == 0) {
		change_all(w, child);
		if (rng_percent(&w->rng, 50))
			daxkv_txn_abort(child);
		else
			(void)daxkv_txn_commit(
			    child); /* fails when a call within failed for want of space */
	}
	if (rng_percent(&w->rng, 15)) {
		daxkv_txn_abort(txn);
		return;
	}
	int rc = daxkv_txn_commit(txn);

	expect(w, rc == DAXKV_BAD_TXN ? 0 : rc, "commit"); /* the same */
}

static bool write_result(const struct writer *w, const struct probe_result *r, int rc,
                         char text[256])
{
	if (w->failed[0])
		snprintf(text, 256, "%s", w->failed);
	else if (r->faults)
		snprintf(text, 256, "%lu faults after the changes: %.180s",
		         (unsigned long)r->faults, r->first);
	else if (rc)
		snprintf(text, 256, "close: %s: %.150s", daxkv_strerror(rc), daxkv_errmsg());
	return !w->failed[0] && !r->faults && !rc;
}

bool probe_write(const char *path, uint64_t seed, char text[256])
{
	struct daxkv_options o = {.flags = DAXKV_NO_LOCK,
	                          .pmem = DAXKV_PMEM_FORCE,
	                          .max_size = 16 << 20,
	                          .max_readers = 2,
	                          .max_dbs = NAMES_MAX * 4};
	struct writer w = {0};
	struct probe_result r = {0};

	rng_seed(&w.rng, seed);
	int rc = daxkv_open(path, &o, &w.store);

	if (rc) {
		expect(&w, rc == DAXKV_VERSION ? 0 : rc,
		       "open"); /* it has features of stores that are only to be read */
		return write_result(&w, &r, 0, text);
	}
	for (unsigned int n = 1 + (unsigned int)rng_below(&w.rng, 4); n > 0; n--)
		one_transaction(&w);
	(void)daxkv_check(w.store, first_fault, &r, &r.faults);
	return write_result(&w, &r, daxkv_close(w.store), text);
}
