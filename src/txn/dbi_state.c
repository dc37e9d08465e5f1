/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dbi_state.c - the databases that a transaction finds by its handles. See dbi.h
 *
 *   handle -> entry of the table -> name -> catalog entry -> descriptor -> root, counts
 *             (dbi_copy)                    (in the main database, at this snapshot)
 *
 * That is looked up once in a transaction for each handle, and kept in a state. A call then finds
 * the state by a few compares (dbi_state in dbi.h); everything here is the uncommon way.
 *
 * A state is a transaction's own, so no lock is needed for it. In a write transaction there is one
 * state for each database [I21]: the same name by another handle finds the state that is there.
 */
#include "base/err.h"
#include "txn/dbi.h"
#include "txn/desc.h"
#include "txn/place.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>

/* ---- resolving ------------------------------------------------------------------------------- */

/* Flags say which order, the copies of the entry have the program's comparators. Comparators that
 * were not set are NULL, which dbi_state_find refuses. */
void dbi_state_order(struct dbstate *s, uint32_t flags)
{
	order_init(&s->order, flags);
	s->order.key_fn = s->compare.key_fn;
	s->order.key_arg = s->compare.key_arg;
	s->order.dup_fn = s->compare.dup_fn;
	s->order.dup_arg = s->compare.dup_arg;
	order_init(&s->tally_order, flags & (DAXKV_INTEGER_KEY | DAXKV_REVERSE_KEY));
	dbi_state_link(s);
}

/* A state's tree refers to the view of its transaction: it is of no use to another one. An empty
 * catalog entry makes an empty tree. Nothing of a batch or a finger is left from before. */
int dbi_state_read(struct daxkv_txn *txn, const struct fmt_db *catalog, struct dbstate *s)
{
	struct view *v = txn_view(txn);
	struct desc_says says;
	int rc = desc_says(v, catalog, txn->write, &says);

	if (rc)
		return rc;
	if (txn->verify && says.desc)
		rc = desc_verify(v, catalog->desc, says.desc);
	if (rc)
		return rc;
	s->desc = says.desc;
	s->named = catalog->desc;
	s->since = catalog->since;
	s->flags = says.flags;
	s->changed = false;
	s->levels = 0;
	dbi_state_order(s, says.flags);
	s->tree = (struct tree){
	    .view = v,
	    .order = &s->order,
	    .root = says.root,
	    .count = says.entries,
	    .leaf_pages = says.leaf_pages,
	    .inner_pages = says.inner_pages,
	    .blob_pages = says.blob_pages,
	};
	s->tallies = (struct tree){.view = v, .root = says.tallies};
	dbi_state_link(s);
	if (txn->write) {
		s->tree.scratch = s->tallies.scratch = &txn->store->scratch;
		s->tree.id = s->handle;
		if (txn->store->scratch.finger_of == &s->tree) /* it was another database's */
			txn->store->scratch.finger_of = NULL;
	}
	return 0;
}

/* name_verify - the pages that a name was looked for on. A name that is not found counts only when
 * the pages where it would be are sound. */
static int name_verify(const struct tree *t, const uint8_t *name, uint32_t len)
{
	struct probe p = {.key = name, .klen = len};
	struct path path;
	int rc = tree_seek(t, &p, &path);

	if (rc)
		return rc;
	return tree_verify(t, &path, NULL);
}

/* A main database with an order of its own has no named databases. */
int dbi_catalog_find(struct daxkv_txn *txn, const uint8_t *name, uint32_t len,
                     struct fmt_db *catalog)
{
	struct dbstate *main_state;
	struct item it;
	bool found = false;
	int rc = dbi_state(txn, DAXKV_MAIN, &main_state);

	if (rc)
		return rc;
	if (!order_suits_names(&main_state->order))
		return DAXKV_NOT_FOUND;
	rc = tree_get(&main_state->tree, name, len, &it, &found);
	if (rc)
		return rc;
	if (txn->verify)
		rc = name_verify(&main_state->tree, name, len);
	if (rc)
		return rc;
	if (!found)
		return DAXKV_NOT_FOUND;
	if (!(it.flags & FMT_ENTRY_DB))
		return err_set(DAXKV_INCOMPATIBLE,
		               "the main database has a plain entry of that name");
	if (it.vlen != sizeof *catalog)
		return err_corrupt(0, "the catalog entry of database \"%.*s\" has %u bytes",
		                   (int)len, (const char *)name, it.vlen);
	memcpy(catalog, it.val, sizeof *catalog);
	return 0;
}

/* twin_take - s, for handle db, becomes what twin is, whose handle was closed. BAD_DB: that one is
 * in use [I21]. Cursors on the closed handle are lost, as closing says. */
static int twin_take(struct daxkv_txn *txn, daxkv_db db, struct dbstate *twin, struct dbstate *s)
{
	assert(twin != s);
	assert(twin->entry);
	uint32_t from = twin->handle & txn->store->dbis.mask;
	uint32_t to = db & txn->store->dbis.mask;

	if (load_acquire(&twin->entry->number) == twin->handle)
		return err_set(DAXKV_BAD_DB,
		               "handle %u means a database that the transaction uses by handle %u",
		               db, twin->handle);
	place_lose(txn, twin->handle);
	states_exchange(txn, from, to);
	s->generation = 0;
	twin->handle = db;
	twin->entry = s->entry;
	twin->version = 0;
	return 0;
}

/* state_resolve - the state for handle db, whose entry is i, is that of a database. In this order:
 * the name by the table, the catalog entry by the name, the tree by that. The state is stale until
 * all of it is known. */
static int state_resolve(struct daxkv_txn *txn, daxkv_db db, uint32_t i)
{
	const struct fmt_super *super = store_super(txn->store);
	struct dbstate *s = txn->db[i];
	struct dbstate *twin;
	struct fmt_db catalog = {.desc = load_word(&super->main_desc)};

	store_relaxed(&s->generation, 0); /* others that share it may look */
	int rc = dbi_copy(txn, db, txn_view(txn)->snapshot, s);

	if (rc)
		return rc;
	if (db != DAXKV_MAIN)
		rc = dbi_catalog_find(txn, s->name, s->name_len, &catalog);
	if (rc == DAXKV_NOT_FOUND)
		return err_set(DAXKV_BAD_DB, "database \"%.*s\" is not there in this transaction",
		               (int)s->name_len, (const char *)s->name);
	if (rc)
		return rc;
	if (txn->write && db != DAXKV_MAIN) {
		const struct daxkv_val name = dbi_name_val(s);

		rc = dbi_twin(txn, &name, &twin);
		if (rc || twin) {
			if (rc)
				return rc;
			return twin_take(txn, db, twin, s);
		}
	}
	rc = dbi_state_read(txn, &catalog, s);
	if (rc)
		return rc;
	if (db == DAXKV_MAIN && !s->desc)
		rc = err_corrupt(catalog.desc, "not the descriptor page of the main database");
	if (rc)
		return rc;
	/* The state is whole: threads that share a read transaction may find it now. */
	store_release(&s->generation, txn->generation);
	if (txn->write && db != DAXKV_MAIN)
		dbi_state_named(txn, s);
	return 0;
}

/* state_renew - the state at entry i is that of handle db, and of this transaction. Two handles
 * whose numbers share an entry cannot both be used in one transaction once the first has changed
 * something. */
static int state_renew(struct daxkv_txn *txn, daxkv_db db, uint32_t i)
{
	struct dbstate *s;
	int rc = dbi_state_at(txn, i, &s);

	if (rc)
		return rc;
	if (s->generation == txn->generation && s->handle == db)
		return 0;
	if (s->generation == txn->generation && s->changed)
		return err_set(DAXKV_BAD_DB,
		               "handle %u cannot be used yet: it stands where the transaction "
		               "changed by handle %u",
		               db, s->handle);
	if (s->generation == txn->generation)
		place_lose(txn, s->handle);
	return state_resolve(txn, db, i);
}

/* compare_missing - whether the order is the program's and nobody has set it. */
static bool compare_missing(const struct dbstate *s)
{
	if (s->order.key == ORDER_OWN && !s->order.key_fn)
		return true;
	if (!s->order.dups)
		return false;
	if (s->order.dup != ORDER_OWN)
		return false;
	return !s->order.dup_fn;
}

/* compare_renew - the comparators may have been set meanwhile, by another transaction. A version of
 * 0 says that the copies hold for this snapshot only, so the order is made again. */
static int compare_renew(struct daxkv_txn *txn, daxkv_db db, struct dbstate *s)
{
	uint64_t had = s->version;
	int rc = dbi_copy(txn, db, txn_view(txn)->snapshot, s);

	if (rc)
		return rc;
	if (!had || s->version != had)
		dbi_state_order(s, s->flags);
	return rc;
}

/* state_current - the state at entry i is that of handle db, with the comparators of now. */
static int state_current(struct daxkv_txn *txn, daxkv_db db, uint32_t i)
{
	int rc = state_renew(txn, db, i);

	if (rc)
		return rc;
	if (txn->db[i]->flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE))
		return compare_renew(txn, db, txn->db[i]);
	return 0;
}

/* For those that set a comparator, or ask for flags, without needing the order. Threads that share
 * a read transaction come here one after the other. */
int dbi_state_find_any(struct daxkv_txn *txn, daxkv_db db, struct dbstate **state)
{
	const struct dbi_table *t = &txn->store->dbis;
	uint32_t i = db & t->mask;
	int rc;

	if (UNLIKELY(i == 0 || load_acquire(&t->dbi[i].number) != db))
		return err_set(DAXKV_BAD_DB, "%u is not an open database handle", db);
	if (!txn->write)
		pthread_mutex_lock(&txn->sharing);
	rc = state_current(txn, db, i);
	if (!txn->write)
		pthread_mutex_unlock(&txn->sharing);
	if (rc)
		return rc;
	*state = dbi_state_entry(txn, i);
	return 0;
}

/* The uncommon way of dbi_state: a state that is stale, or an order that may have changed. */
int dbi_state_find(struct daxkv_txn *txn, daxkv_db db, struct dbstate **state)
{
	struct dbstate *s;
	int rc = dbi_state_find_any(txn, db, &s);

	if (rc)
		return rc;
	if (UNLIKELY(compare_missing(s)))
		return err_set(DAXKV_NEED_COMPARE,
		               "the database has an order of its own: set its comparator first");
	*state = s;
	return 0;
}
