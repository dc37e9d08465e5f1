/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * db_drop.c - emptying, dropping and renaming databases. See dbi.c and daxkv.h
 *
 * Each concerns two things: the catalog entry in the main database, which is durable, and the name
 * in the table of handles, which is this process's. The entry is changed first. The table changes
 * last, when nothing can fail any more (dbi_push), and its memory is allocated before anything has
 * changed.
 *
 * Pages of a database that is dropped go to the limbo, and stay for older snapshots.
 */
#include "base/err.h"
#include "txn/dbi.h"
#include "txn/entry.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>
#include <stdlib.h>

/* end_new - what a handle's name becomes when its database is dropped. It is the caller's until
 * dbi_push takes it. ENOMEM. */
static int end_new(struct dbi_name **end)
{
	return dbi_name_new(&(struct daxkv_val){0, NULL}, true, end);
}

/* state_named - the state of a named database in the running transaction, which may have changed it
 * by a handle that was closed. Without one, unopened gets it. NOT_FOUND; CORRUPT. *s is good as
 * long as unopened is. */
static int state_named(struct daxkv_txn *txn, const struct daxkv_val *name, daxkv_db db,
                       struct dbstate *unopened, struct dbstate **s)
{
	assert(txn->write);
	struct fmt_db catalog;
	int rc;

	if (db)
		return dbi_state_any(txn, db, s);
	rc = dbi_catalog_find(txn, name->data, (uint32_t)name->size, &catalog);
	if (rc)
		return rc;
	rc = dbi_twin(txn, name, s);
	if (rc)
		return rc;
	if (*s)
		return 0;
	*s = unopened;
	return dbi_state_read(txn, &catalog, unopened);
}

/* drop_with_main - free a named database's pages; its catalog entry goes with all others of the
 * main one. After an error some of its pages may be given back: the caller breaks the
 * transaction. */
static int drop_with_main(struct daxkv_txn *txn, const struct daxkv_val *name)
{
	assert(txn->write);
	daxkv_db db = dbi_find(txn, name);
	struct dbi_name *end = NULL;
	struct dbstate unopened = {0};
	struct dbstate *s;
	int rc = 0;

	if (db)
		rc = end_new(&end);
	if (!rc)
		rc = state_named(txn, name, db, &unopened, &s);
	if (!rc && db)
		rc = txn_changing(txn, db);
	if (!rc)
		rc = tree_clear(&s->tree, true);
	if (!rc && s->desc)
		rc = wset_retire(&txn->store->wset, s->desc);
	if (rc) {
		free(end);
		return rc;
	}
	s->generation = 0;
	if (db)
		dbi_push(txn, db, end);
	return 0;
}

/* drop_all_named - the main database is emptied, and with it the catalog: all named ones go,
 * whether they have a handle or not. An error leaves a transaction that can only be aborted. */
static int drop_all_named(struct daxkv_txn *txn)
{
	assert(txn->write);
	/* in the main database, which does not change meanwhile */
	struct daxkv_val name = {0, NULL};
	int rc;

	while ((rc = daxkv_db_list_next(txn, &name)) == 0) {
		rc = drop_with_main(txn, &name);
		if (rc)
			return txn_break(txn, rc);
	}
	if (rc == DAXKV_NOT_FOUND)
		return 0;
	return rc;
}

/* catalog_drop - the entry and the descriptor go; the tree has gone already. The state is stale
 * from here on. CORRUPT when the entry is not there. generation 0 makes the handle look its
 * database up again. */
static int catalog_drop(struct daxkv_txn *txn, struct dbstate *s)
{
	assert(txn->write);
	assert(s->handle != DAXKV_MAIN);
	struct daxkv_store *store = txn->store;
	struct probe p = {.key = s->name, .klen = s->name_len};
	struct dbstate *main_state;
	struct path path;
	int rc = dbi_state(txn, DAXKV_MAIN, &main_state);

	if (rc)
		return rc;
	rc = tree_seek(&main_state->tree, &p, &path);
	if (rc)
		return rc;
	if (!path.eoff)
		rc = err_corrupt(s->desc, "the catalog entry is gone");
	if (rc)
		return rc;
	rc = tree_remove(&main_state->tree, &path);
	if (rc)
		return rc;
	if (s->desc)
		rc = wset_retire(&store->wset, s->desc);
	dbi_changed(txn, main_state);
	s->generation = 0;
	return rc;
}

/* The main database cannot be deleted: del empties it. The named ones go before the main tree:
 * afterwards nothing would name them. Memory for the handle's end is taken before the first page is
 * given back. */
int daxkv_db_drop(struct daxkv_txn *txn, daxkv_db db, int del)
{
	struct dbstate *s;
	int rc = txn_check(txn, true);

	if (rc)
		return rc;
	rc = dbi_state_any(txn, db, &s);
	if (rc)
		return rc;
	rc = txn_changing(txn, db);
	if (rc)
		return rc;
	if (del && db != DAXKV_MAIN)
		rc = txn_changing(txn, DAXKV_MAIN);
	if (rc)
		return rc;
	if (db == DAXKV_MAIN)
		rc = drop_all_named(txn);
	if (rc)
		return rc;
	bool forget = del && db != DAXKV_MAIN;
	struct dbi_name *end = NULL;

	if (forget)
		rc = end_new(&end);
	if (rc)
		return rc;
	rc = tree_clear(&s->tree, forget);
	dbi_changed(txn, s);
	if (!rc && forget)
		rc = catalog_drop(txn, s);
	if (rc) {
		free(end);
		return txn_break(txn, rc);
	}
	if (forget)
		dbi_push(txn, db, end);
	return 0;
}

/* catalog_move - the catalog entry gets another name. Only abort is left when it fails. The
 * descriptor does not change: it has no name. */
static int catalog_move(struct daxkv_txn *txn, struct dbstate *s, struct dbstate *main_state,
                        struct dbi_name *name)
{
	assert(txn->write);
	assert(s->handle != DAXKV_MAIN);
	struct fmt_db catalog = {
	    .desc = s->named,
	    .flags = s->flags,
	    .since = txn->store->wset.txn,
	};
	struct daxkv_val value = {sizeof catalog, &catalog};
	struct probe p = {.key = s->name, .klen = s->name_len};
	struct path path;
	int rc = tree_seek(&main_state->tree, &p, &path);

	if (!rc && !path.eoff)
		rc = err_corrupt(s->desc, "the catalog entry is gone");
	if (!rc)
		rc = tree_remove(&main_state->tree, &path);
	dbi_changed(txn, main_state);
	if (!rc)
		rc = entry_put(txn, DAXKV_MAIN, &(struct daxkv_val){name->len, name->bytes}, &value,
		               0, FMT_ENTRY_DB);
	if (rc)
		return txn_break(txn, rc);
	return 0;
}

/* rename_check - whether the database may get that name. EXIST. A plain entry of that name is in
 * the way, too. Nothing has changed yet. Errors of entry_key_check; EINVAL. */
static int rename_check(struct daxkv_txn *txn, const struct dbstate *main_state,
                        const struct daxkv_val *name)
{
	struct item it;
	bool taken = false;
	int rc = entry_key_check(txn->store, &main_state->order, name);

	if (rc)
		return rc;
	if (!name->data)
		rc = err_set(EINVAL, "a database's name without bytes");
	if (rc)
		return rc;
	rc = tree_get(&main_state->tree, name->data, (uint32_t)name->size, &it, &taken);
	if (rc)
		return rc;
	if (taken)
		return DAXKV_EXIST;
	return rc;
}

/* rename_to - the handle, and no other, has the name from this transaction on: one that had it
 * means a database that another process dropped [I21]. The name's bytes may lie in a page that
 * changes. All memory is taken before the catalog changes, so that what follows cannot fail. */
static int rename_to(struct daxkv_txn *txn, daxkv_db db, struct dbstate *s,
                     struct dbstate *main_state, const struct daxkv_val *name)
{
	assert(db != DAXKV_MAIN);
	daxkv_db stale = dbi_find(txn, name);
	struct dbi_name *end = NULL;
	struct dbi_name *copy = NULL;
	int rc = dbi_name_new(name, false, &copy);

	if (!rc && stale)
		rc = end_new(&end);
	if (!rc)
		rc = dbi_name_room(s, copy->len);
	if (!rc)
		rc = txn_changing(txn, DAXKV_MAIN);
	if (!rc)
		rc = catalog_move(txn, s, main_state, copy);
	if (rc) {
		free(end);
		free(copy);
		return rc;
	}
	s->since = txn->store->wset.txn;
	dbi_name_keep(s, copy);
	dbi_state_named(txn, s);
	if (stale)
		dbi_push(txn, stale, end);
	dbi_push(txn, db, copy);
	return 0;
}

/* The handle goes on meaning the database, in this transaction and in later ones. */
int daxkv_db_rename(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *name)
{
	struct dbstate *s;
	struct dbstate *main_state;
	int rc = txn_check(txn, true);

	if (!rc)
		rc = dbi_state_any(txn, db, &s);
	if (!rc)
		rc = dbi_state(txn, DAXKV_MAIN, &main_state);
	if (!rc && db == DAXKV_MAIN)
		rc = err_set(EINVAL, "the main database has no name");
	if (!rc)
		rc = rename_check(txn, main_state, name);
	if (!rc)
		rc = rename_to(txn, db, s, main_state, name);
	return err_answer(rc);
}
