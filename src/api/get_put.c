/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * get_put.c - get, put, del. See daxkv.h
 *
 * The public calls: they check the transaction and the handle, and call the tree (get) or the entry
 * (put, del). A get copies nothing: the value is the mapping's, for as long as the snapshot lives.
 */
#include "base/err.h"
#include "txn/entry.h"

#include <errno.h>

/* Fixed by the page size: two entries have room in a leaf. */
size_t daxkv_max_key_size(const struct daxkv_store *store)
{
	if (store)
		return store->max_key;
	return 0;
}

/* get_end - the end of a get that failed, or of one from a snapshot that may be given up at any
 * moment: what was found counts only when it was not. *value is written on success alone. txn may
 * be NULL, as txn_check has refused it. */
static __attribute__((noinline)) int get_end(struct daxkv_txn *txn, int rc, bool found,
                                             const struct item *it, struct daxkv_val *value)
{
	struct daxkv_val out;

	if (!rc) {
		rc = DAXKV_NOT_FOUND;
		if (found)
			rc = entry_value(txn_view(txn), it, &out);
	}
	if (txn)
		rc = txn_done(txn, rc);
	if (!rc)
		*value = out;
	return err_answer(rc);
}

/* Where equal keys have equal bytes, by fingerprint; else by a search for the key's first value. */
int daxkv_get(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
              struct daxkv_val *value)
{
	struct dbstate *s;
	struct item it;
	bool found = false;
	int rc = txn_check(txn, false);

	if (!rc)
		rc = dbi_state(txn, db, &s);
	if (!rc) {
		if (value)
			rc = entry_key_check(txn->store, &s->order, key);
		else
			rc = err_set(EINVAL, "no place for the value");
	}
	if (UNLIKELY(rc))
		return get_end(txn, rc, false, NULL, NULL);
	if (LIKELY(s->order.fingerprints)) {
		rc = tree_get(&s->tree, key->data, (uint32_t)key->size, &it, &found);
	} else {
		struct probe p = entry_probe(key, NULL, s->order.dups ? PROBE_BEFORE : PROBE_AT);
		struct path path;

		rc = tree_first(&s->tree, &p, &path, &it, &found);
		if (!rc && found && order_key_cmp(&s->order, it.key, it.klen, p.key, p.klen) != 0)
			found = false;
	}
	if (UNLIKELY(rc || txn->view.bound))
		return get_end(txn, rc, found, &it, value);
	if (found)
		return entry_value(txn_view(txn), &it, value);
	return err_answer(DAXKV_NOT_FOUND);
}

/* The value's bytes are copied to a page. The put is durable when its transaction has committed.
 * With RESERVE, and after NO_OVERWRITE has found an entry, value->data leads into the page. */
int daxkv_put(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
              struct daxkv_val *value, unsigned int flags)
{
	int rc = txn_check(txn, true);

	if (!rc && flags & ~ENTRY_PUT_FLAGS)
		rc = err_set(EINVAL, "flags 0x%x for put", flags);
	if (!rc)
		rc = txn_changing(txn, db);
	if (LIKELY(!rc))
		rc = entry_put(txn, db, key, value, flags, 0);
	if (LIKELY(!rc))
		return 0;
	return err_answer(rc);
}

/* del_entry - without duplicates value is not looked at. With them NULL means all of the key's, and
 * a value that no entry could have is NOT_FOUND. The key is checked before the transaction counts
 * as changing, so a refused removal costs nothing at the commit. CORRUPT, KEY_SIZE; errors of
 * entry_remove. */
static int del_entry(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
                     const struct daxkv_val *value)
{
	struct dbstate *s;
	struct path path;
	int rc = txn_check(txn, true);

	if (rc)
		return rc;
	rc = dbi_state(txn, db, &s);
	if (rc)
		return rc;
	rc = entry_key_check(txn->store, &s->order, key);
	if (rc)
		return rc;
	bool pair = s->order.dups && value;

	if (pair && (value->size > txn->store->max_key ||
	             entry_dup_check(txn->store, &s->order, key, value)))
		return DAXKV_NOT_FOUND;
	rc = txn_changing(txn, db);
	if (rc)
		return rc;
	if (s->order.dups && !value)
		return entry_remove_all(txn, s, key->data, (uint32_t)key->size);
	struct probe probe = entry_probe(key, pair ? value : NULL, PROBE_AT);

	rc = tree_seek(&s->tree, &probe, &path);
	if (rc)
		return rc;
	if (!path.height || !path.eoff)
		return DAXKV_NOT_FOUND;
	return entry_remove(txn, s, &path);
}

/* NOT_FOUND is an answer, and has no text. */
int daxkv_del(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
              const struct daxkv_val *value)
{
	return err_answer(del_entry(txn, db, key, value));
}
