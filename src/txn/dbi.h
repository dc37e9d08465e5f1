/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dbi.h - the table of database handles, and the databases that a transaction finds by them.
 *
 * handle.h has the life of a handle, and the rules. dbi.c works on the table, under dbi_mutex,
 * by the lists of dbi_index.c; dbi_state.c works on what one transaction sees, in states that are
 * that transaction's own (dbi_states.c).
 */
#ifndef DAXKV_DBI_H
#define DAXKV_DBI_H

#include "txn/txn_check.h"

/* dbi_open_tables, dbi_close_tables - of a store. ENOMEM. */
int dbi_open_tables(struct daxkv_store *store, uint32_t max_dbs);
void dbi_close_tables(struct daxkv_store *store);

/* dbi_take - the handle that has the name at the transaction's snapshot, or a new one (*is_new).
 * DBS_FULL, ENOMEM. */
int dbi_take(struct daxkv_txn *txn, const struct daxkv_val *name, daxkv_db *db, bool *is_new);

/* dbi_untake - forget a new handle that did not come to be of use, unless another transaction has
 * opened it meanwhile. */
void dbi_untake(struct daxkv_txn *txn, daxkv_db db);

/* dbi_find - the handle that has the name in the running write transaction; 0: there is none. */
daxkv_db dbi_find(const struct daxkv_txn *txn, const struct daxkv_val *name);

/* dbi_name_new - a name, or the end of one (gone), not yet any handle's; ENOMEM. */
int dbi_name_new(const struct daxkv_val *bytes, bool gone, struct dbi_name **name);

/* dbi_push - from the running write transaction on the handle has that name, and nobody else does.
 * name's memory is given away. */
void dbi_push(struct daxkv_txn *txn, daxkv_db db, struct dbi_name *name);

/* dbi_end - the transaction ends: handles that it opened and names that it gave stay (keep; they
 * become the parent's in a nested one) or go. */
void dbi_end_own(struct daxkv_txn *txn, bool keep);
/* dbi_end - see above dbi_end_own. */
static inline void dbi_end(struct daxkv_txn *txn, bool keep)
{
	if (UNLIKELY(txn->handles))
		dbi_end_own(txn, keep);
}

/* dbi_copy - make the state's copies those of handle db at that snapshot. BAD_DB: it is closed, or
 * has no name there. ENOMEM. */
int dbi_copy(struct daxkv_txn *txn, daxkv_db db, uint64_t snapshot, struct dbstate *state);

/* dbi_name_room - room for a name of that length in the state. ENOMEM. dbi_name_keep - put one
 * there, which fits. */
int dbi_name_room(struct dbstate *state, uint32_t len);
void dbi_name_keep(struct dbstate *state, const struct dbi_name *name);

/* dbi_compare_set - the comparator (flag: OWN_COMPARE or OWN_DUP_COMPARE) of the handle, for all
 * transactions to come. */
void dbi_compare_set(struct daxkv_store *store, daxkv_db db, uint32_t flag, daxkv_compare_fn *fn,
                     void *arg, struct dbstate *state);

/* ---- dbi_index.c ----------------------------------------------------------------------------- */

/* All of it belongs to dbi_mutex. */

/* index_open, index_close - of a table. ENOMEM. */
int index_open(struct dbi_table *table);
void index_close(struct dbi_table *table);

/* name_is - whether it is that name. name_hash - of its bytes. */
bool name_is(const struct dbi_name *n, const struct daxkv_val *name);
uint32_t name_hash(const struct daxkv_val *name);

/* index_add - the entry's new name, whose since is set, can be found. index_remove - it cannot any
 * more. An end is no name, and is not there. */
void index_add(struct dbi_table *table, struct dbi *entry, struct dbi_name *n);
void index_remove(struct dbi_table *table, struct dbi_name *n);

/* index_first, index_next - the names with those bytes, the latest since first; NULL: there are no
 * more. */
struct dbi_name *index_first(const struct dbi_table *table, const struct daxkv_val *name);
struct dbi_name *index_next(const struct dbi_name *n, const struct daxkv_val *name);

/* free_put - a FREE entry, to be taken again. free_take - take the first one. */
void free_put(struct dbi_table *table, struct dbi *entry);
struct dbi *free_take(struct dbi_table *table);
/* free_first - the FREE entry to be taken next; NULL: there is none. */
static inline struct dbi *free_first(const struct dbi_table *table)
{
	if (table->n_free)
		return &table->dbi[table->heap[0]];
	return NULL;
}

/* link_put - behind that link. link_out - of its list, if it is in one. */
void link_put(struct dbi_link *behind, struct dbi_link *link);
void link_out(struct dbi_link *link);

/* past_first, own_first, own_next - an entry of such a list; NULL: there is none. */
struct dbi *past_first(const struct dbi_link *list);
struct dbi *own_first(const struct dbi_table *table);
struct dbi *own_next(const struct dbi_table *table, const struct dbi *entry);

/* ---- dbi_state.c ----------------------------------------------------------------------------- */

/* dbi_state_find - database db as txn sees it. See dbi_state below. dbi_state_find_any - the same
 * without asking for comparators. */
int dbi_state_find(struct daxkv_txn *txn, daxkv_db db, struct dbstate **state);
int dbi_state_find_any(struct daxkv_txn *txn, daxkv_db db, struct dbstate **state);

/* dbi_state_read - what a catalog entry says, and its descriptor, in the state's own order.
 * CORRUPT. */
int dbi_state_read(struct daxkv_txn *txn, const struct fmt_db *catalog, struct dbstate *state);

/* dbi_state_order - the order for these flags, with the state's comparators. */
void dbi_state_order(struct dbstate *state, uint32_t flags);

/* dbi_state_link - the state's trees refer to what is the state's own: after it was copied, or has
 * another order. A program's own order of keys has no tallies. */
static inline void dbi_state_link(struct dbstate *state)
{
	state->tree.order = &state->order;
	state->tallies.order = &state->tally_order;
	state->tree.tallies = NULL;
	if (state->order.dups && state->order.key != ORDER_OWN)
		state->tree.tallies = &state->tallies;
}

/* dbi_catalog_find - the catalog entry of a named database in the main one: NOT_FOUND, INCOMPATIBLE
 * when a plain entry has that name. */
int dbi_catalog_find(struct daxkv_txn *txn, const uint8_t *name, uint32_t len,
                     struct fmt_db *catalog);

/* ---- dbi_states.c ---------------------------------------------------------------------------- */

/* states_open, dbi_states_free - of a write transaction's memory; the latter of a read one's as
 * well. ENOMEM. states_begin - it is used for another transaction,
 * which has changed nothing yet. */
int states_open(struct daxkv_txn *txn);
void dbi_states_free(struct daxkv_txn *txn);
void states_begin(struct daxkv_txn *txn);

/* dbi_state_at - the transaction's own state for entry i, a stale one when it has none. ENOMEM.
 * dbi_state_seen - the one that it sees there, which may be an outer one's; NULL: none.
 * states_exchange - those of two entries change places. */
int dbi_state_at(struct daxkv_txn *txn, uint32_t i, struct dbstate **state);
struct dbstate *dbi_state_seen(const struct daxkv_txn *txn, uint32_t i);
void states_exchange(struct daxkv_txn *txn, uint32_t i, uint32_t j);

/* dbi_state_named - the write transaction's state has another name, and is found by it. */
void dbi_state_named(struct daxkv_txn *txn, struct dbstate *state);

/* dbi_twin - the state that the write transaction has for the named database whose catalog entry
 * has that name, under whatever handle; NULL: none. ENOMEM. */
int dbi_twin(struct daxkv_txn *txn, const struct daxkv_val *name, struct dbstate **twin);

/* dbi_states_give - a nested transaction commits: its parent has its states. */
void dbi_states_give(struct daxkv_txn *parent, struct daxkv_txn *child);

/* dbi_changed - the database is changed: its descriptor is written at the commit. */
void dbi_changed_list(struct daxkv_txn *txn, struct dbstate *state);
/* dbi_changed - see above dbi_changed_list. */
static inline void dbi_changed(struct daxkv_txn *txn, struct dbstate *state)
{
	if (UNLIKELY(!state->changed))
		dbi_changed_list(txn, state);
}

/* dbi_has_changed - whether the state is this transaction's and has changes: others may be in its
 * lists still. */
static inline bool dbi_has_changed(const struct daxkv_txn *txn, const struct dbstate *state)
{
	if (state->generation != txn->generation)
		return false;
	return state->changed;
}

/* dbi_name_val - the state's name as a key. */
static inline struct daxkv_val dbi_name_val(const struct dbstate *state)
{
	return (struct daxkv_val){state->name_len, state->name};
}

/* dbi_state_here - the state of database db that needs no look at anything else; NULL: there is
 * none. */
static inline struct dbstate *dbi_state_here(const struct daxkv_txn *txn, daxkv_db db)
{
	uint32_t i = db & txn->store->dbis.mask;

	/* What another thread that shares a read transaction made is seen whole, or not at all. */
	if (UNLIKELY(i >= load_acquire(&txn->ndb)))
		return NULL;
	struct dbstate *s = dbi_state_entry(txn, i);

	if (LIKELY(s && load_acquire(&s->generation) == txn->generation && s->handle == db &&
	           load_relaxed(&s->entry->number) == db &&
	           !(s->flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE))))
		return s;
	return NULL;
}

/* dbi_state - database db as txn sees it. BAD_DB, CORRUPT, NEED_COMPARE, ENOMEM. */
static inline int dbi_state(struct daxkv_txn *txn, daxkv_db db, struct dbstate **state)
{
	struct dbstate *s = dbi_state_here(txn, db);

	if (UNLIKELY(!s))
		return dbi_state_find(txn, db, state);
	*state = s;
	return 0;
}

/* dbi_state_any - the same without asking for comparators. */
static inline int dbi_state_any(struct daxkv_txn *txn, daxkv_db db, struct dbstate **state)
{
	struct dbstate *s = dbi_state_here(txn, db);

	if (UNLIKELY(!s))
		return dbi_state_find_any(txn, db, state);
	*state = s;
	return 0;
}

#endif
