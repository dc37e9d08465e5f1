/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count.c - how many entries a range has. See daxkv.h and tree_count.c
 *
 * A range has its first key, and not its last one. Without an end at either side it is the whole
 * database, whose number the descriptor has.
 */
#include "base/err.h"
#include "txn/dbi.h"
#include "txn/entry.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>

struct ends { /* of a range; NULL: open */
	struct probe from_probe;
	struct probe to_probe;
	struct probe *from;
	struct probe *to;
};

/* end_set - the probe for one end. With duplicates it lies before all values of the key. key NULL:
 * that end is open, and *end is NULL. The probe points to the caller's bytes. Errors of
 * entry_key_check. */
static int end_set(const struct daxkv_store *store, const struct order *o,
                   const struct daxkv_val *key, struct probe *probe, struct probe **end)
{
	int rc = 0;

	if (key)
		rc = entry_key_check(store, o, key);
	*end = NULL;
	if (rc)
		return rc;
	if (!key)
		return 0;
	*probe = entry_probe(key, NULL, o->dups ? PROBE_BEFORE : PROBE_AT);
	*end = probe;
	return 0;
}

/* ends_set - *empty: the first does not lie before the second. An open end makes no range empty. */
static int ends_set(struct daxkv_txn *txn, const struct dbstate *s, const struct daxkv_val *from,
                    const struct daxkv_val *to, struct ends *ends, bool *empty)
{
	int rc = end_set(txn->store, &s->order, from, &ends->from_probe, &ends->from);

	if (rc)
		return rc;
	rc = end_set(txn->store, &s->order, to, &ends->to_probe, &ends->to);
	*empty = false;
	if (rc)
		return rc;
	if (!ends->from)
		return 0;
	if (!ends->to)
		return 0;
	const struct probe *from_end = ends->from;
	const struct probe *to_end = ends->to;
	int side =
	    order_key_cmp(&s->order, from_end->key, from_end->klen, to_end->key, to_end->klen);

	*empty = side >= 0;
	return 0;
}

/* count - exact, by the leaves of the range; or about, by the ways to its ends. Both need no
 * memory, and change nothing. *n is written when the snapshot was still there at the end. */
static int count(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *from,
                 const struct daxkv_val *to, bool exact, uint64_t *n)
{
	struct daxkv_db_stat stat = {0};
	struct dbstate *s;
	struct ends ends;
	bool empty = false;
	uint64_t found = 0;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (!n)
		rc = err_set(EINVAL, "no place for the count");
	if (rc)
		return rc;
	if ((!from && !to) || !exact)
		rc = daxkv_db_stat(txn, db, &stat);
	if (rc)
		return rc;
	if (!from && !to) {
		*n = stat.entries;
		return 0;
	}
	rc = dbi_state(txn, db, &s);
	if (!rc)
		rc = ends_set(txn, s, from, to, &ends, &empty);
	if (!rc && !empty) {
		if (exact)
			rc = tree_count(&s->tree, ends.from, ends.to, &found);
		else
			rc = tree_count_estimate(&s->tree, ends.from, ends.to, stat.entries,
			                         stat.leaf_pages, &found);
	}
	rc = txn_done(txn, rc);
	if (rc)
		return rc;
	*n = found;
	return 0;
}

/* Takes time for each leaf of the range. */
int daxkv_count(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *from,
                const struct daxkv_val *to, uint64_t *n)
{
	return count(txn, db, from, to, true, n);
}

/* Takes the time of two lookups. */
int daxkv_count_estimate(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *from,
                         const struct daxkv_val *to, uint64_t *n)
{
	return count(txn, db, from, to, false, n);
}
