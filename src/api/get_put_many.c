/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * get_put_many.c - gets and puts of many keys in one call. See daxkv.h and tree_many.c
 *
 * What it buys is time: the cache misses of up to TREE_MANY keys overlap. Each key has its own
 * result; the call fails as a whole only when the transaction cannot go on.
 *
 *   gets    a group goes down the tree together (tree_get_many)
 *   puts    the places of a group are found together (tree_places), and then used one by one; a put
 *           may change the tree under the places of those behind it, which tree_place notices
 *
 * Groups begin where the ordinary way would search. Ascending keys at the tree's end need no
 * search, and go the ordinary way, into a batch.
 *
 * A search that fails, because a page is damaged or a snapshot is gone, ends the whole call: the
 * keys behind it would fail in the same way, or be lost behind a result that nobody reads. What a
 * put has refused for its key or value alone is that key's result.
 */
#include "base/err.h"
#include "txn/dbi.h"
#include "txn/entry.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>

/* get_group - up to TREE_MANY keys that may go by fingerprint. A key that is refused has its result
 * at once, and is not looked up. A value that is found points into the mapping, or into the
 * transaction's own pages, and stays good as long as one of daxkv_get. Returns 0 when every key has
 * its result, else CORRUPT or TOO_OLD: then the results of this group mean nothing. */
static int get_group(struct daxkv_txn *txn, struct dbstate *s, size_t n,
                     const struct daxkv_val *key, struct daxkv_val *value, int *result)
{
	assert(n <= TREE_MANY);
	struct lookup l[TREE_MANY];
	unsigned int at[TREE_MANY];
	unsigned int m = 0;
	int rc;

	for (unsigned int i = 0; i < n; i++) {
		result[i] = entry_key_check(txn->store, &s->order, &key[i]);
		if (result[i])
			continue;
		at[m] = i;
		l[m].key = key[i].data;
		l[m].klen = (uint32_t)key[i].size;
		m++;
	}
	rc = tree_get_many(&s->tree, l, m);
	if (rc)
		return rc;
	for (unsigned int i = 0; i < m; i++) {
		unsigned int to = at[i];

		result[to] = DAXKV_NOT_FOUND;
		if (!l[i].found)
			continue;
		result[to] = 0;
		rc = entry_value(txn_view(txn), &l[i].item, &value[to]);
		if (rc)
			return rc;
	}
	return 0;
}

/* Databases whose equal keys may differ in bytes are looked up one by one. */
int daxkv_get_many(struct daxkv_txn *txn, daxkv_db db, size_t n, const struct daxkv_val *key,
                   struct daxkv_val *value, int *result)
{
	struct dbstate *s;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (n && (!key || !value || !result))
		rc = err_set(EINVAL, "get_many needs keys, and places for values and results");
	if (rc)
		return rc;
	rc = dbi_state(txn, db, &s);
	for (size_t i = 0; i < n && !rc;) {
		size_t group = TREE_MANY;

		if (n - i < TREE_MANY)
			group = n - i;
		if (s->order.fingerprints) {
			rc = get_group(txn, s, group, key + i, value + i, result + i);
			i += group;
		} else {
			result[i] = daxkv_get(txn, db, &key[i], &value[i]);
			rc = 0;
			if (result[i] == DAXKV_CORRUPT || result[i] == DAXKV_TOO_OLD)
				rc = result[i];
			i++;
		}
	}
	return txn_done(txn, rc);
}

/* puts_expected - the ways down for a group of puts: place gets one for each put whose key and
 * value may stand in the database, in the order of the keys. The others have their result, which is
 * not 0, and no place. Nothing is changed yet. CORRUPT when a way down cannot be read. */
static int puts_expected(struct daxkv_txn *txn, struct dbstate *s, size_t n,
                         const struct daxkv_val *key, const struct daxkv_val *value,
                         unsigned int flags, int *result, struct put_place *place)
{
	assert(n <= TREE_MANY);
	unsigned int m = 0;

	for (size_t i = 0; i < n; i++) {
		result[i] = entry_put_check(txn->store, &s->order, &key[i], &value[i], flags);
		if (result[i])
			continue;
		const struct daxkv_val *dup = NULL;

		if (s->order.dups)
			dup = &value[i];
		place[m].probe = entry_probe(&key[i], dup, PROBE_AT);
		place[m].bytes = entry_size(txn->store, &key[i], &value[i]);
		m++;
	}
	return tree_places(&s->tree, place, m);
}

/* put_group - up to TREE_MANY puts. Those that broke the transaction end it. No batch begins here:
 * that takes a put by way of scratch->finger. The writer's lock is held. The places lie in the
 * store's scratch memory, which the lock protects. A put that is refused leaves the others alone.
 * Each place is looked at again (tree_place) before its put, because the puts before it may have
 * split or replaced its leaf. */
static int put_group(struct daxkv_txn *txn, struct dbstate *s, size_t n,
                     const struct daxkv_val *key, struct daxkv_val *value, unsigned int flags,
                     int *result)
{
	assert(txn->write);
	assert(n <= TREE_MANY);
	struct put_place *place = txn->store->scratch.places;
	unsigned int m = 0;
	int rc = puts_expected(txn, s, n, key, value, flags, result, place);

	for (size_t i = 0; i < n && !rc; i++) {
		if (result[i])
			continue;
		struct put p = {
		    .txn = txn,
		    .s = s,
		    .key = &key[i],
		    .value = &value[i],
		    .flags = flags,
		    .path = &place[m].path,
		};

		m++;
		txn->store->wset.changes++;
		rc = tree_place(&s->tree, &place[m - 1]);
		if (rc)
			return rc;
		result[i] = entry_put_at(&p);
		if (txn->broken)
			rc = result[i];
	}
	return rc;
}

/* puts_shown - what NO_OVERWRITE found, where it lies now: puts behind it may have moved it. The
 * values are good until the transaction changes something again. */
static int puts_shown(struct daxkv_txn *txn, daxkv_db db, size_t n, const struct daxkv_val *key,
                      struct daxkv_val *value, const int *result)
{
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++)
		if (result[i] == DAXKV_EXIST)
			rc = daxkv_get(txn, db, &key[i], &value[i]);
	return rc;
}

/* In the order of the keys: a later put sees the ones before it. The first key always goes the
 * ordinary way: it finds out whether the keys ascend at the tree's end. NO_OVERWRITE's values are
 * looked up when all puts are done, because no value stays where it is while the puts go on. */
int daxkv_put_many(struct daxkv_txn *txn, daxkv_db db, size_t n, const struct daxkv_val *key,
                   struct daxkv_val *value, unsigned int flags, int *result)
{
	const struct tree_scratch *scratch;
	struct dbstate *s;
	int rc = txn_check(txn, true);

	if (rc)
		return rc;
	if (flags & ~ENTRY_BATCH_FLAGS)
		rc = err_set(EINVAL, "flags 0x%x for put_many", flags);
	if (rc)
		return rc;
	if (n && (!key || !value || !result))
		rc = err_set(EINVAL, "put_many needs keys, values and a place for results");
	if (rc)
		return rc;
	rc = dbi_state(txn, db, &s);
	if (rc)
		return rc;
	rc = txn_changing(txn, db);
	if (rc)
		return rc;
	scratch = &txn->store->scratch;
	for (size_t i = 0; i < n && !rc;) {
		/* While keys ascend at the tree's end, the ordinary way finds each place without a
		 * search. */
		if (i == 0 || s->tree.batch || scratch->finger_of == &s->tree) {
			result[i] = entry_put(txn, db, &key[i], &value[i], flags, 0);
			rc = 0;
			if (txn->broken || result[i] == DAXKV_CORRUPT)
				rc = result[i];
			i++;
			continue;
		}
		size_t group = TREE_MANY;

		if (n - i < TREE_MANY)
			group = n - i;
		rc = put_group(txn, s, group, key + i, value + i, flags, result + i);
		i += group;
	}
	/* APPEND refuses without looking */
	bool shown = flags & DAXKV_NO_OVERWRITE && !(flags & DAXKV_APPEND);

	if (rc)
		return rc;
	if (!shown)
		return 0;
	return puts_shown(txn, db, n, key, value, result);
}
