/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * db_open.c - opening and making databases. See dbi.h and daxkv.h
 *
 * To open is to take a handle for a name, and to look the name up in this transaction. To make one
 * is a catalog entry that names no page: pages come with the first entry, and a descriptor when
 * there is more than one page.
 */
#include "api/db.h"
#include "base/err.h"
#include "txn/desc.h"
#include "txn/entry.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>

#define DB_FLAGS                                                                                   \
	(DAXKV_REVERSE_KEY | DAXKV_DUP_SORT | DAXKV_INTEGER_KEY | DAXKV_DUP_FIXED |                \
	 DAXKV_INTEGER_DUP | DAXKV_REVERSE_DUP | DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE)

/* times that another thread may close the handle which was just found */
#define OPEN_TRIES 1000u

/* flags_check - whether the flags go together; EINVAL. */
static int flags_check(unsigned int flags)
{
	bool dups = flags & DAXKV_DUP_SORT;

	if (flags & ~(unsigned int)(DB_FLAGS | DAXKV_CREATE))
		return err_set(EINVAL, "unknown database flags 0x%x",
		               flags & ~(unsigned int)(DB_FLAGS | DAXKV_CREATE));
	if (!dups && flags & (DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP | DAXKV_REVERSE_DUP |
	                      DAXKV_OWN_DUP_COMPARE))
		return err_set(EINVAL, "flags for duplicates without DUP_SORT");
	return 0;
}

/* catalog_store - the catalog entry in the main one: of a database that the transaction makes, or
 * makes anew. desc: its descriptor's place, or 0 where it has no page. Errors of entry_put. */
static int catalog_store(struct daxkv_txn *txn, struct daxkv_val name, uint64_t desc,
                         uint32_t flags)
{
	assert(txn->write);
	struct fmt_db catalog = {.desc = desc, .flags = flags, .since = txn->store->wset.txn};
	struct daxkv_val value = {sizeof catalog, &catalog};

	return entry_put(txn, DAXKV_MAIN, &name, &value, 0, FMT_ENTRY_DB);
}

/* A database without a descriptor has an empty leaf at most, which goes, too. The descriptor has
 * the flags, too, so it is written again at another place. An error leaves a transaction that can
 * only be aborted. */
int db_flags_change(struct daxkv_txn *txn, daxkv_db db, struct dbstate *s, unsigned int flags)
{
	assert(txn->write);
	assert(s->tree.scratch);
	struct daxkv_store *store = txn->store;
	uint64_t off = 0;
	int rc = tree_clear(&s->tree, !s->desc);

	if (!rc)
		rc = tree_tally_clear(&s->tree, true);
	if (!rc && s->desc)
		rc = desc_new(&store->wset, flags, 0, tree_prev_for(&s->tree, s->desc), &off);
	if (!rc && s->desc)
		rc = wset_retire(&store->wset, s->desc);
	if (rc)
		return txn_break(txn, rc);
	s->desc = s->named = off;
	s->flags = flags;
	s->since = store->wset.txn;
	dbi_changed(txn, s);
	dbi_state_order(s, flags);
	if (db == DAXKV_MAIN)
		return 0;
	return catalog_store(txn, dbi_name_val(s), off, flags);
}

/* main_flags - give the main database flags, while it is empty. Flags of 0 take it as it is.
 * INCOMPATIBLE when it has entries, or the transaction only reads. */
static int main_flags(struct daxkv_txn *txn, unsigned int flags)
{
	struct dbstate *s;
	int rc = dbi_state_any(txn, DAXKV_MAIN, &s);

	if (rc)
		return rc;
	if (!flags)
		return 0;
	if (flags == s->flags)
		return 0;
	if (!txn->write || s->tree.count)
		return err_set(DAXKV_INCOMPATIBLE,
		               "the main database was made with flags 0x%x, not 0x%x", s->flags,
		               flags);
	return db_flags_change(txn, DAXKV_MAIN, s, flags);
}

/* create_check - whether a database of that name could be made. INCOMPATIBLE, KEY_SIZE; in a read
 * transaction the error of txn_check. */
static int create_check(struct daxkv_txn *txn, const struct daxkv_val *name)
{
	struct dbstate *main_state;
	int rc = dbi_state(txn, DAXKV_MAIN, &main_state);

	if (rc)
		return rc;
	if (!order_suits_names(&main_state->order))
		return err_set(DAXKV_INCOMPATIBLE,
		               "the main database's flags 0x%x rule named databases out",
		               main_state->flags);
	rc = txn_check(txn, true);
	if (rc)
		return rc;
	return entry_key_check(txn->store, &main_state->order, name);
}

/* db_create - a catalog entry for a new database: pages come with entries. */
static int db_create(struct daxkv_txn *txn, const struct daxkv_val *name, unsigned int flags)
{
	assert(txn->write);
	int rc = txn_changing(txn, DAXKV_MAIN);

	if (rc)
		return rc;
	return catalog_store(txn, *name, 0, flags);
}

/* handle_open - a handle for the database, which is made when that is wanted. The handle is taken
 * first: when there is none, nothing was made. A handle that was new is given back after an error.
 * BAD_DB: another thread closed it meanwhile. An error behind the catalog's change leaves a
 * transaction that can only be aborted. */
static int handle_open(struct daxkv_txn *txn, const struct daxkv_val *name, bool create,
                       unsigned int flags, daxkv_db *db)
{
	assert(!create || txn->write);
	struct dbstate *s;
	bool is_new;
	int rc = dbi_take(txn, name, db, &is_new);

	if (rc)
		return rc;
	if (create)
		rc = db_create(txn, name, flags);
	if (!rc)
		rc = dbi_state_any(txn, *db, &s);
	if (!rc && create)
		dbi_changed(txn, s);
	if (rc && is_new)
		dbi_untake(txn, *db);
	if (rc && create)
		return txn_break(txn, rc);
	return rc;
}

/* open_named - flags of 0 take the database as it is. NOT_FOUND without CREATE. The tries are
 * bounded, so that two threads that open and close cannot keep a third one here for good. */
static int open_named(struct daxkv_txn *txn, const struct daxkv_val *name, unsigned int flags,
                      daxkv_db *db)
{
	unsigned int kept = flags & DB_FLAGS;
	unsigned int tries = 0;
	bool create = false;
	struct fmt_db catalog;
	int rc = dbi_catalog_find(txn, name->data, (uint32_t)name->size, &catalog);

	if (!rc && kept && kept != catalog.flags)
		return err_set(DAXKV_INCOMPATIBLE,
		               "the database was made with flags 0x%x, not 0x%x", catalog.flags,
		               kept);
	if (rc == DAXKV_NOT_FOUND && flags & DAXKV_CREATE) {
		create = true;
		rc = create_check(txn, name);
	}
	if (rc)
		return rc;
	do { /* another thread may close the handle that was found; then there is another */
		rc = handle_open(txn, name, create, kept, db);
	} while (rc == DAXKV_BAD_DB && !txn->broken && ++tries < OPEN_TRIES);
	return rc;
}

/* Without a name it is the main database, which is always there. */
int daxkv_db_open(struct daxkv_txn *txn, const struct daxkv_val *name, unsigned int flags,
                  daxkv_db *db)
{
	uint8_t bytes[FMT_PAGE_MAX / 4]; /* the caller's may lie in a page that changes */
	daxkv_db handle = DAXKV_MAIN;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (!db || (name && name->size && !name->data))
		rc = err_set(EINVAL, "a place for the handle is needed, and a name's bytes");
	if (rc)
		return rc;
	rc = flags_check(flags);
	if (rc)
		return rc;
	if (name && (name->size == 0 || name->size > txn->store->max_key))
		return err_set(DAXKV_KEY_SIZE, "a database name of %zu bytes; 1 to %u are possible",
		               name->size, txn->store->max_key);
	if (name) {
		memcpy(bytes, name->data, name->size);
		rc = open_named(txn, &(struct daxkv_val){name->size, bytes}, flags, &handle);
	} else {
		rc = main_flags(txn, flags & DB_FLAGS);
	}
	rc = txn_done(txn, rc);
	if (!rc)
		*db = handle;
	return err_answer(rc);
}
