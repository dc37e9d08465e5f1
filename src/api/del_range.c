/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * del_range.c - removing a range of keys. See daxkv.h and tree_range.c
 *
 * The range has its first key, and not its last one. What can be refused is refused before anything
 * changes; a failure behind that leaves the transaction to be aborted.
 */
#include "base/err.h"
#include "txn/dbi.h"
#include "txn/entry.h"
#include "txn/store.h"
#include "txn/txn_check.h"

/* end_probe - an end of the range. The caller's bytes may lie in a page that changes: they are
 * copied. copy has room for the longest key. */
static struct probe end_probe(const struct daxkv_val *key, uint8_t *copy, const struct order *o)
{
	memcpy(copy, key->data, key->size);
	return entry_probe(&(struct daxkv_val){key->size, copy}, NULL,
	                   o->dups ? PROBE_BEFORE : PROBE_AT);
}

/* range_empty - whether its first key does not lie before its end; an open one has entries. */
static bool range_empty(const struct order *o, const struct probe *left, const struct probe *right)
{
	if (!left || !right)
		return false;
	return order_key_cmp(o, left->key, left->klen, right->key, right->klen) >= 0;
}

/* The order of the keys is the database's, so the ends are compared by it, too. Both ends are
 * checked first. In the main database the range is looked through for names of databases before
 * anything goes: INCOMPATIBLE. */
int daxkv_del_range(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *from,
                    const struct daxkv_val *to, uint64_t *deleted)
{
	struct probe first;
	struct probe end;
	const struct probe *left = NULL;
	const struct probe *right = NULL;
	struct dbstate *s;
	uint64_t n = 0;
	bool names = false;
	int rc = txn_check(txn, true);

	if (rc)
		return rc;
	rc = dbi_state(txn, db, &s);
	if (rc)
		return rc;
	if (from)
		rc = entry_key_check(txn->store, &s->order, from);
	if (rc)
		return rc;
	if (to)
		rc = entry_key_check(txn->store, &s->order, to);
	if (rc)
		return rc;
	rc = txn_changing(txn, db);
	if (rc)
		return rc;
	uint8_t *copy = txn->store->scratch.pair;

	if (from) {
		first = end_probe(from, copy, &s->order);
		left = &first;
	}
	if (to) {
		end = end_probe(to, copy + txn->store->max_key, &s->order);
		right = &end;
	}
	if (!range_empty(&s->order, left, right)) {
		if (db == DAXKV_MAIN)
			rc = tree_range_db(&s->tree, left, right, &names);
		if (rc)
			return rc;
		if (names)
			rc = err_set(DAXKV_INCOMPATIBLE,
			             "a key of the range is the name of a database: drop it first");
		if (rc)
			return rc;
		dbi_changed(txn, s);
		rc = tree_cut(&s->tree, left, right, &n);
	}
	if (rc)
		return txn_break(txn, rc);
	if (deleted)
		*deleted = n;
	return 0;
}
