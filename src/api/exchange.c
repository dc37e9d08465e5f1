/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exchange.c - changes that depend on the value that is there. See daxkv.h
 *
 * Each is a get and a put or a removal in one transaction, which no other change comes between.
 * With duplicates a value is replaced by adding the new pair before the old one goes: what can be
 * refused is refused before anything has changed.
 *
 * A program could do the same by two calls. One call says what is meant, looks the key up once more
 * at most, and has an answer for each outcome: found or not (exchange), EXIST, NOT_FOUND
 * (compare_exchange).
 */
#include "base/err.h"
#include "txn/dbi.h"
#include "txn/entry.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>

/* pair_copy - key and value become copies in scratch.pair: a put may move the page that the
 * caller's bytes lie in. Both copies are the writer's memory, so no put or removal moves them. They
 * are good until the scratch memory is used again. */
static void pair_copy(struct daxkv_store *store, struct daxkv_val *key, struct daxkv_val *value)
{
	assert(key->size <= store->max_key);
	assert(value->size <= store->max_key);
	uint8_t *bytes = store->scratch.pair;

	memcpy(bytes, key->data, key->size);
	key->data = bytes;
	bytes += store->max_key;
	if (value->size)
		memcpy(bytes, value->data, value->size);
	value->data = bytes;
}

/* pair_replace - the pair of key and old, which is there, gives way to that of key and value. Equal
 * pairs may differ in their bytes where a comparator says so: then a put replaces. An error of the
 * put leaves everything as it was, as it does for daxkv_put. An error of the removal leaves both
 * pairs in the transaction. */
static int pair_replace(struct daxkv_txn *txn, daxkv_db db, const struct order *o,
                        const struct daxkv_val *key, const struct daxkv_val *old,
                        struct daxkv_val *value)
{
	assert(o->dups);
	struct daxkv_val key_copy = *key;
	struct daxkv_val old_copy = *old;
	int rc = entry_put_check(txn->store, o, key, value, 0);

	if (rc)
		return rc;
	/* It comes from a page, and may be longer than any put lets it be. */
	if (UNLIKELY(old->size > txn->store->max_key))
		return err_corrupt(0, "a duplicate of %zu bytes", old->size);
	int side =
	    order_dup_cmp(o, old->data, (uint32_t)old->size, value->data, (uint32_t)value->size);

	if (side == 0)
		return daxkv_put(txn, db, key, value, 0);
	pair_copy(txn->store, &key_copy, &old_copy);
	rc = daxkv_put(txn, db, key, value, 0);
	if (rc)
		return rc;
	return daxkv_del(txn, db, &key_copy, &old_copy);
}

/* only_value - INCOMPATIBLE when the key, which is there, has more values than one. By a cursor,
 * which is closed again: the count is not needed, only whether it is one. Other errors are those of
 * the cursor's calls. */
static int only_value(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key)
{
	struct daxkv_val at = *key;
	struct daxkv_cursor *cursor;
	int several = 0;
	int rc = daxkv_cursor_open(txn, db, &cursor);

	if (rc)
		return rc;
	rc = daxkv_cursor_get(cursor, &at, NULL, DAXKV_SEEK);
	if (!rc)
		rc = daxkv_cursor_several(cursor, &several);
	daxkv_cursor_close(cursor);
	if (rc)
		return rc;
	if (several)
		rc = err_set(DAXKV_INCOMPATIBLE,
		             "the key has several values: which one is to be replaced is not said");
	return rc;
}

/* The old value is copied out first: after the put its bytes may be gone. Whether there is room for
 * it is known before the put, so ERANGE changes nothing but old->size, which then says how much
 * room is needed. */
int daxkv_exchange(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
                   struct daxkv_val *value, struct daxkv_val *old, int *found)
{
	struct daxkv_val there;
	struct dbstate *s;
	int rc = txn_check(txn, true);

	if (rc)
		return rc;
	if (!old || !found || (!old->data && old->size))
		rc = err_set(EINVAL, "no place for the old value");
	if (rc)
		return rc;
	rc = txn_seal(txn);
	if (rc)
		return rc;
	rc = dbi_state(txn, db, &s);
	if (rc)
		return rc;
	rc = daxkv_get(txn, db, key, &there);
	if (rc == DAXKV_NOT_FOUND) {
		rc = daxkv_put(txn, db, key, value, 0);
		if (!rc) {
			*found = 0;
			old->size = 0;
		}
		return rc;
	}
	if (rc)
		return rc;
	if (s->order.dups)
		rc = only_value(txn, db, key);
	if (rc)
		return rc;
	if (there.size > old->size) {
		rc = err_set(ERANGE, "the old value has %zu bytes; there is room for %zu",
		             there.size, old->size);
		old->size = there.size;
	}
	if (rc)
		return rc;
	if (there.size)
		memcpy(old->data, there.data, there.size);
	if (s->order.dups)
		rc = pair_replace(txn, db, &s->order, key, &there, value);
	else
		rc = daxkv_put(txn, db, key, value, 0);
	if (rc)
		return rc;
	old->size = there.size;
	*found = 1;
	return 0;
}

/* same_bytes - by their bytes, whatever order the database has. What a comparator calls equal is
 * not what the caller has read, so it does not count as unchanged. */
static bool same_bytes(const struct daxkv_val *a, const struct daxkv_val *b)
{
	if (a->size != b->size)
		return false;
	if (a->size == 0)
		return true;
	return memcmp(a->data, b->data, a->size) == 0;
}

/* pair_there - whether the key has the value. NOT_FOUND. A duplicate that no entry could have is
 * not there either. Other errors are those of daxkv_get. A key that no entry can have is refused
 * with its own error, as a get refuses it. */
static int pair_there(struct daxkv_txn *txn, daxkv_db db, const struct dbstate *s,
                      const struct daxkv_val *key, const struct daxkv_val *value)
{
	struct daxkv_val there;
	struct probe probe;
	struct path path;
	int rc;

	if (!s->order.dups) {
		rc = daxkv_get(txn, db, key, &there);
		if (rc)
			return rc;
		if (same_bytes(&there, value))
			return 0;
		return DAXKV_NOT_FOUND;
	}
	rc = entry_key_check(txn->store, &s->order, key);
	if (rc)
		return rc;
	if (entry_dup_check(txn->store, &s->order, key, value))
		return DAXKV_NOT_FOUND;
	probe = entry_probe(key, value, PROBE_AT);
	rc = tree_seek(&s->tree, &probe, &path);
	if (rc)
		return rc;
	if (path.height && path.eoff)
		return 0;
	return DAXKV_NOT_FOUND;
}

/* expected NULL: the key must not be there. value NULL: it goes. EXIST and NOT_FOUND are answers,
 * and have no text; nothing is changed then. */
int daxkv_compare_exchange(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
                           const struct daxkv_val *expected, struct daxkv_val *value)
{
	struct daxkv_val there;
	struct dbstate *s;
	int rc = txn_check(txn, true);

	if (rc)
		return rc;
	if (expected && !expected->data && expected->size)
		rc =
		    err_set(EINVAL, "an expected value of %zu bytes, but no bytes", expected->size);
	if (rc)
		return rc;
	rc = txn_seal(txn);
	if (rc)
		return rc;
	rc = dbi_state(txn, db, &s);
	if (rc)
		return rc;
	if (expected)
		rc = pair_there(txn, db, s, key, expected);
	else
		rc = daxkv_get(txn, db, key, &there);
	if (!expected) {
		if (rc == 0)
			rc = DAXKV_EXIST;
		else if (rc == DAXKV_NOT_FOUND)
			rc = 0;
	}
	if (rc)
		return err_answer(rc);
	if (!value) {
		if (expected)
			return daxkv_del(txn, db, key, expected);
		return 0;
	}
	if (expected && s->order.dups)
		return pair_replace(txn, db, &s->order, key, expected, value);
	return daxkv_put(txn, db, key, value, 0);
}
