/* SPDX-License-Identifier: BSD-3-Clause */
/* probe_write.c - changing a store that may be damaged. See probe.h */
#include "probe.h"

#include "daxkv.h"
#include "rng.h"
#include "sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64u
#define LOADS     40u /* entries of a bulk load, at most */
#define MANY      8u

struct writer {
	struct daxkv_store *store;
	struct rng rng;
	bool damaged;     /* any call may fail */
	char failed[256]; /* the call that should not have failed, and why it did */
};

/* expect - whether rc is what the call of a sound store may return; returns rc. */
static int expect(struct writer *w, int rc, const char *what)
{
	bool fine =
	    rc == 0 || rc == DAXKV_NOT_FOUND || rc == DAXKV_EXIST || rc == DAXKV_FULL || w->damaged;

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

/* random_value - of a size that the database takes, mostly a small one; in memory of its own. */
static struct daxkv_val random_value(struct writer *w, unsigned int flags)
{
	static uint8_t bytes[16000];
	struct daxkv_val value = {rng_below(&w->rng, 40), bytes};

	if (flags & DAXKV_INTEGER_DUP)
		value.size = 8;
	else if (flags & DAXKV_DUP_FIXED)
		value.size = 12;
	else if (!(flags & DAXKV_DUP_SORT) && rng_percent(&w->rng, 3))
		value.size = rng_below(&w->rng, sizeof bytes);
	rng_fill(rng_next(&w->rng), bytes, value.size);
	return value;
}

static int change_by_key(struct writer *w, struct daxkv_txn *txn, daxkv_db db, unsigned int flags)
{
	uint8_t room[32];
	struct daxkv_val key = random_key(w, flags, room), value = random_value(w, flags);

	if (rng_percent(&w->rng, 60))
		return expect(w, daxkv_put(txn, db, &key, &value, 0), "put");
	return expect(w, daxkv_del(txn, db, &key, NULL), "del");
}

/* exchange - with what was there in memory of its own: a large value finds no room at first, and
 * its call must say how much it needs and change nothing. */
static int exchange(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
                    struct daxkv_val *value)
{
	uint8_t room[256];
	struct daxkv_val old = {sizeof room, room};
	int found;
	int rc = daxkv_exchange(txn, db, key, value, &old, &found);

	if (rc != ERANGE)
		return rc;
	uint8_t *bytes = malloc(old.size);

	if (!bytes)
		return ENOMEM;
	old.data = bytes;
	rc = daxkv_exchange(txn, db, key, value, &old, &found);
	free(bytes);
	return rc;
}

/* change_by_value - what is there decides: the first value of a key gives way to another one, or is
 * removed. */
static int change_by_value(struct writer *w, struct daxkv_txn *txn, daxkv_db db, unsigned int flags)
{
	uint8_t room[32];
	struct daxkv_val key = random_key(w, flags, room), value = random_value(w, flags), there;
	int rc;

	if (rng_percent(&w->rng, 30)) {
		rc = exchange(txn, db, &key, &value);
		return expect(w, rc == DAXKV_INCOMPATIBLE ? 0 : rc,
		              "exchange"); /* duplicates, or a name */
	}
	rc = expect(w, daxkv_get(txn, db, &key, &there), "get");
	if (rc && rc != DAXKV_NOT_FOUND)
		return rc;
	rc = daxkv_compare_exchange(txn, db, &key, rc ? NULL : &there,
	                            rng_percent(&w->rng, 20) ? NULL : &value);
	return expect(w, rc == DAXKV_INCOMPATIBLE ? 0 : rc, "compare_exchange");
}

/* change_many - puts whose ways down are looked up together. */
static int change_many(struct writer *w, struct daxkv_txn *txn, daxkv_db db, unsigned int flags)
{
	static uint8_t bytes[MANY][12];
	uint8_t room[MANY][32];
	struct daxkv_val keys[MANY], values[MANY];
	int results[MANY];

	for (unsigned int i = 0; i < MANY; i++) {
		keys[i] = random_key(w, flags, room[i]);
		values[i] =
		    (struct daxkv_val){flags & DAXKV_INTEGER_DUP ? 8 : sizeof bytes[i], bytes[i]};
		rng_fill(rng_next(&w->rng), bytes[i], sizeof bytes[i]);
	}
	return expect(w, daxkv_put_many(txn, db, MANY, keys, values, 0, results), "put_many");
}

/* change_range - between two keys: count what is there, and mostly remove it. */
static int change_range(struct writer *w, struct daxkv_txn *txn, daxkv_db db, unsigned int flags)
{
	uint8_t room[2][32];
	struct daxkv_val from = random_key(w, flags, room[0]), to = random_key(w, flags, room[1]);
	const struct daxkv_val *first = rng_percent(&w->rng, 10) ? NULL : &from,
	                       *end = rng_percent(&w->rng, 10) ? NULL : &to;
	uint64_t counted = 0, about, deleted = 0;
	int rc = expect(w, daxkv_count(txn, db, first, end, &counted), "count");

	if (!rc)
		rc = expect(w, daxkv_count_estimate(txn, db, first, end, &about), "count_estimate");
	if (rc || rng_percent(&w->rng, 30))
		return rc;
	rc = daxkv_del_range(txn, db, first, end, &deleted);
	if (rc == DAXKV_INCOMPATIBLE) /* a name is among them */
		return 0;
	rc = expect(w, rc, "del_range");
	if (!rc && counted != deleted && !w->damaged && !w->failed[0])
		snprintf(w->failed, sizeof w->failed, "%lu entries were counted, and %lu removed",
		         (unsigned long)counted, (unsigned long)deleted);
	return rc;
}

struct load { /* entries that rise: number and step are of integers, or of the text behind a letter
	       */
	struct writer *w;
	unsigned int flags, left;
	uint64_t number;
	uint8_t key[32];
};

static int load_next(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	struct load *load = arg;

	if (!load->left--)
		return DAXKV_NOT_FOUND;
	load->number += 1 + rng_below(&load->w->rng, 3);
	*value = random_value(load->w, load->flags);
	if (load->flags & DAXKV_INTEGER_KEY) {
		memcpy(load->key, &load->number, 8);
		*key = (struct daxkv_val){8, load->key};
		return 0;
	}
	*key = (struct daxkv_val){(size_t)snprintf((char *)load->key, sizeof load->key, "zz%016lx",
	                                           (unsigned long)load->number),
	                          load->key};
	return 0;
}

/* change_load - entries behind all others, most of the time. */
static int change_load(struct writer *w, struct daxkv_txn *txn, daxkv_db db, unsigned int flags)
{
	struct load load = {.w = w,
	                    .flags = flags,
	                    .left = (unsigned int)rng_below(&w->rng, LOADS),
	                    .number = (uint64_t)1 << (20 + rng_below(&w->rng, 30))};

	return expect(w, daxkv_bulk_load(txn, db, 0, load_next, &load, NULL), "bulk_load");
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

static int change_once(struct writer *w, struct daxkv_txn *txn, daxkv_db db, unsigned int flags)
{
	switch (rng_below(&w->rng, 20)) {
	case 0:
		return change_range(w, txn, db, flags);
	case 1:
		return change_load(w, txn, db, flags);
	case 2:
		return change_many(w, txn, db, flags);
	case 3:
	case 4:
		return change_by_value(w, txn, db, flags);
	case 5:
	case 6:
	case 7:
		return change_by_cursor(w, txn, db, flags);
	default:
		return change_by_key(w, txn, db, flags);
	}
}

static void change_db(struct writer *w, struct daxkv_txn *txn, daxkv_db db)
{
	unsigned int flags = 0;
	int rc = expect(w, daxkv_db_flags(txn, db, &flags), "db_flags");

	if (!rc)
		rc = expect(w, sample_orders(txn, db), "comparators");
	if (!w->damaged && !in_order(txn, db, flags))
		return;
	for (unsigned int n = (unsigned int)rng_below(&w->rng, 30);
	     n > 0 && (!rc || rc == DAXKV_NOT_FOUND || rc == DAXKV_EXIST); n--)
		rc = change_once(w, txn, db, flags);
	if (rng_percent(&w->rng, 4))
		expect(w, daxkv_db_drop(txn, db, (int)rng_below(&w->rng, 2)), "db_drop");
	else if (rng_percent(&w->rng, 8) && db != DAXKV_MAIN)
		expect(w, daxkv_db_rename(txn, db, &(struct daxkv_val){7, "renamed"}), "db_rename");
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

/* change_store - some transactions. */
static void change_store(struct writer *w)
{
	for (unsigned int n = 1 + (unsigned int)rng_below(&w->rng, 4); n > 0; n--)
		one_transaction(w);
}

static const struct daxkv_options changing = {.flags = DAXKV_NO_LOCK,
                                              .pmem = DAXKV_PMEM_FORCE,
                                              .max_size = 16 << 20,
                                              .max_readers = 2,
                                              .max_dbs = NAMES_MAX * 4};

bool probe_write(const char *path, uint64_t seed, char text[256])
{
	struct writer w = {0};
	struct probe_result r = {0};

	rng_seed(&w.rng, seed);
	int rc = daxkv_open(path, &changing, &w.store);

	if (rc) {
		expect(&w, rc == DAXKV_VERSION ? 0 : rc,
		       "open"); /* it has features of stores that are only to be read */
		return write_result(&w, &r, 0, text);
	}
	change_store(&w);
	(void)daxkv_check(w.store, probe_fault, &r, &r.faults);
	return write_result(&w, &r, daxkv_close(w.store), text);
}

void probe_change(const char *path, uint64_t seed)
{
	struct writer w = {.damaged = true};
	uint64_t faults;

	rng_seed(&w.rng, seed);
	for (int again = 0; again < 2;
	     again++) { /* the second time with what the first made of it */
		if (daxkv_open(path, &changing, &w.store))
			return;
		change_store(&w);
		(void)daxkv_sync(w.store);
		change_store(&w);
		(void)daxkv_check(w.store, NULL, NULL, &faults);
		(void)daxkv_close(w.store);
	}
}
