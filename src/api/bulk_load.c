/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bulk_load.c - entries in ascending order, packed. See daxkv.h and tree_load.c
 *
 * The program gives one entry after the other. Most are like the last one in their sizes, and go
 * straight into the leaf in the making (tree_load_more). The others are checked as a put is, in
 * load_item. An entry that is refused ends the load, and what came before it is loaded.
 */
#include "base/err.h"
#include "txn/dbi.h"
#include "txn/entry.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>

#define FILL_DEFAULT 90u /* percent of a leaf: a later update needs room */
#define FILL_MIN     10u

/* load_item - one entry. EXIST when it does not lie behind the last one; *fatal: the transaction
 * can only be aborted. It is checked as a put checks it, so a load lets nothing in that a put
 * refuses. A large value is written at once, before the leaf that names it. */
static int load_item(struct daxkv_txn *txn, struct dbstate *s, struct tree_load *load,
                     const struct daxkv_val *key, const struct daxkv_val *value, bool *fatal)
{
	assert(txn->write);
	struct item item = {
	    .key = key->data,
	    .klen = (uint32_t)key->size,
	    .val = value->data,
	    .vlen = (uint32_t)value->size,
	};
	struct item last;
	uint32_t usable = leaf_usable(txn->store->page_size);
	bool plain = entry_plain(txn->store, &s->order, key, value);
	struct fmt_blob blob;
	int rc = 0;

	if (value->size == 0)
		item.val = (const uint8_t *)"";

	if (!plain)
		rc = entry_put_check(txn->store, &s->order, key, value, 0);
	if (UNLIKELY(rc))
		return rc;
	if (UNLIKELY(!tree_load_ascends(load, &item)))
		return DAXKV_EXIST;
	if (UNLIKELY(s->flags & DAXKV_DUP_FIXED) && tree_load_last(load, &last) &&
	    last.vlen != item.vlen)
		return err_set(DAXKV_VALUE_SIZE,
		               "a duplicate of %u bytes in a database whose duplicates have %u",
		               item.vlen, last.vlen);
	if (UNLIKELY(!plain) &&
	    (value->size > usable || leaf_cost(&s->order, item.klen, item.vlen) > usable / 2)) {
		rc = blob_write(&txn->store->wset, value->data, value->size, &blob);
		item.flags = FMT_ENTRY_BLOB;
		item.val = (const uint8_t *)&blob;
		item.vlen = sizeof blob;
		if (!rc)
			s->tree.blob_pages += blob_pages(value->size, txn->store->page_size);
	}
	if (!rc)
		rc = tree_load_add(load, &item);
	*fatal = rc != 0;
	return rc;
}

/* stop is what ended the source: its own answer, or why an entry was refused. rc is the tree's.
 * After a refusal the entries before it are in the tree, and *loaded counts them. When the tree
 * itself fails, the transaction can only be aborted. */
int daxkv_bulk_load(struct daxkv_txn *txn, daxkv_db db, unsigned int fill, daxkv_bulk_load_fn *next,
                    void *arg, uint64_t *loaded)
{
	struct daxkv_val key = {0, NULL};
	struct daxkv_val value = {0, NULL};
	struct tree_load *load;
	struct dbstate *s;
	bool fatal = false;
	uint64_t n = 0;
	int rc = txn_check(txn, true);
	int stop = 0;

	if (rc)
		return rc;
	if ((!next || (fill && (fill < FILL_MIN || fill > 100))))
		rc = err_set(EINVAL, "a load needs a source, and fills pages to %u .. 100 percent",
		             FILL_MIN);
	if (rc)
		return rc;
	rc = dbi_state(txn, db, &s);
	if (rc)
		return rc;
	rc = txn_changing(txn, db);
	if (rc)
		return rc;
	rc = tree_load_begin(&s->tree, fill ? fill : FILL_DEFAULT, &load);
	if (rc)
		return rc;
	while (!stop && (stop = next(arg, &key, &value)) == 0) {
		if (UNLIKELY(!value.data || !tree_load_more(load, &key, &value)))
			stop = load_item(txn, s, load, &key, &value, &fatal);
		n += !stop;
	}
	if (!fatal) {
		if (n)
			dbi_changed(txn, s);
		rc = tree_load_end(load);
		fatal = rc != 0;
	}
	tree_load_free(load);
	if (loaded)
		*loaded = n;
	if (fatal)
		return txn_break(txn, rc ? rc : stop);
	if (stop == DAXKV_NOT_FOUND)
		return 0;
	return err_answer(stop);
}
