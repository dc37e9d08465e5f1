/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dbi.c - the table of database handles. See dbi.h
 *
 * All of it is under dbi_mutex but two things: a handle's number, by which a call notices that it
 * was closed, and an entry's version, by which a state notices that its copies are old. Both are
 * stored last, with release order.
 *
 *   dbi[i]  number, version      | name -> older name -> older name      newest first, by since
 *           opened_by, pending   | past, own: links of the table's lists
 *
 * The mutex is a leaf: nothing is waited for, and no page is looked at, while it is held.
 */
#include "txn/dbi.h"

#include "base/err.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>
#include <stdlib.h>

/* ---- names ----------------------------------------------------------------------------------- */

/* The bytes follow the struct: a name is one piece of memory. */
int dbi_name_new(const struct daxkv_val *bytes, bool gone, struct dbi_name **name)
{
	struct dbi_name *n = calloc(1, sizeof *n + bytes->size);

	if (!n)
		return err_set(ENOMEM, "no memory for a database's name");
	if (bytes->size)
		memcpy(n->bytes, bytes->data, bytes->size);
	n->len = (uint32_t)bytes->size;
	n->gone = gone;
	*name = n;
	return 0;
}

/* dbi_names_free - n and what is older. They are found by nobody any more. */
static void dbi_names_free(struct dbi_table *t, struct dbi_name *n)
{
	while (n) {
		struct dbi_name *older = n->older;

		index_remove(t, n);
		free(n);
		n = older;
	}
}

/* name_at - what the handle is called in that snapshot; NULL: it means nothing there. The mutex is
 * held: a snapshot may be as old as any name. */
static struct dbi_name *name_at(const struct dbi *d, uint64_t snapshot)
{
	struct dbi_name *n = d->name;

	while (n && n->since > snapshot)
		n = n->older;
	if (n && !n->gone)
		return n;
	return NULL;
}

/* entry_changed - copies that states have of the entry are old. Pairs with copy_holds. */
static void entry_changed(struct dbi *d)
{
	store_release(&d->version, d->version + 1);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* pow2_from - the least power of two that is not smaller. A number's low bits are then its entry.
 */
static uint32_t pow2_from(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

/* The table does not grow: entries are pointed to without a lock. */
int dbi_open_tables(struct daxkv_store *store, uint32_t max_dbs)
{
	assert(max_dbs > 0);
	struct dbi_table *t = &store->dbis;
	const struct daxkv_val none = {0, NULL};

	if (max_dbs < DBI_MAX)
		t->max = max_dbs;
	else
		t->max = DBI_MAX;
	/* some more, for those that are GONE */
	t->mask = pow2_from(t->max + t->max / 2 + 1024) - 1;
	t->room = t->mask + 1;
	t->high = DAXKV_MAIN + 1;
	t->dbi = calloc(t->room, sizeof *t->dbi); /* memory that is not used is not there yet */
	if (!t->dbi)
		return err_set(ENOMEM, "no memory for %u database handles", t->max);
	t->dbi[DAXKV_MAIN] = (struct dbi){
	    .number = DAXKV_MAIN,
	    .life = 1,
	    .version = 1,
	};
	int rc = index_open(t);

	if (rc)
		return rc;
	return dbi_name_new(&none, false, &t->dbi[DAXKV_MAIN].name);
}

/* Nobody uses the store any more: no lock is needed. */
void dbi_close_tables(struct daxkv_store *store)
{
	struct dbi_table *t = &store->dbis;

	for (uint32_t i = 0; t->dbi && i < t->high; i++) {
		struct dbi *d = &t->dbi[i];

		while (d->name) {
			struct dbi_name *older = d->name->older;

			free(d->name);
			d->name = older;
		}
	}
	index_close(t);
	free(t->dbi);
	*t = (struct dbi_table){0};
}

/* entry_of - the entry of a handle that is not FREE; NULL: there is none. The mutex is held. A
 * number that was closed finds the entry, but is not its number. */
static struct dbi *entry_of(const struct daxkv_store *store, daxkv_db db)
{
	struct dbi *d = &store->dbis.dbi[db & store->dbis.mask];

	if (db && d->number == db)
		return d;
	return NULL;
}

/* entry_sort - the entry counts, and waits for its older names to be forgotten, as its newest name
 * says. The mutex is held, and the newest name is in its place. */
static void entry_sort(struct dbi_table *t, struct dbi *d)
{
	assert(!d->counted || t->live > 0);
	const struct dbi_name *n = d->name;
	bool counts = n && !n->gone;

	t->live = t->live - d->counted + counts;
	d->counted = counts;
	link_out(&d->past);
	if (n && n->gone)
		link_put(t->gone.prev, &d->past);
	else if (n && n->older)
		link_put(t->renamed.prev, &d->past);
}

/* entry_pending - the write transaction's end has to look at the entry. */
static void entry_pending(struct daxkv_txn *txn, struct dbi *d)
{
	assert(txn->write);
	d->pending = txn;
	link_out(&d->own);
	link_put(&txn->store->dbis.own, &d->own);
	txn->handles = true;
}

/* handle_free - the entry is FREE from here on: the number means nothing, and the next one will be
 * another. A state that was made by it keeps its own copies, and is BAD_DB at its next use. */
static void handle_free(struct dbi_table *t, struct dbi *d)
{
	assert(d->number != DAXKV_MAIN);
	dbi_names_free(t, d->name);
	d->name = NULL;
	entry_sort(t, d);
	link_out(&d->own);
	d->opened_by = NULL;
	d->compare = (struct dbi_compare){0};
	entry_changed(d);
	store_release(&d->number, 0);
	free_put(t, d);
}

/* handle_prune - forget what no snapshot of this process can ask for: names, and a handle that is
 * GONE. Returns whether nothing is left to be forgotten. oldest: no snapshot of this process is
 * older. A name that a running transaction gave may still be undone, so it does not count. */
static bool handle_prune(struct dbi_table *t, struct dbi *d, uint64_t oldest)
{
	struct dbi_name *n = d->name;

	while (n && (n->by || n->since > oldest))
		n = n->older;
	if (!n)
		return false;
	dbi_names_free(t, n->older);
	n->older = NULL;
	if (n != d->name)
		return false;
	if (n->gone)
		handle_free(t, d);
	else
		entry_sort(t, d);
	return true;
}

/* table_prune - all entries. One that is not done stops it: others have had their names less
 * long. Lists are in the order in which the names were given. It costs a look at all reader entries
 * of this process, so only opening does it, and only where something waits. */
static void table_prune(const struct daxkv_store *store, struct dbi_table *t)
{
	struct dbi *gone = past_first(&t->gone);
	struct dbi *renamed = past_first(&t->renamed);

	if (!gone && !renamed)
		return;
	const uint64_t oldest = share_oldest_own(store->share, store->share_file.owner);

	while (gone && handle_prune(t, gone, oldest))
		gone = past_first(&t->gone);
	while (renamed && handle_prune(t, renamed, oldest))
		renamed = past_first(&t->renamed);
}

/* entry_kept - whether the transaction's state there has changes to commit, for a handle that was
 * closed since. Its place is needed until the transaction has ended. */
static bool entry_kept(const struct daxkv_txn *txn, uint32_t i)
{
	const struct dbstate *s = NULL;

	if (txn->write)
		s = dbi_state_seen(txn, i);
	return s && s->changed;
}

/* ---- opening --------------------------------------------------------------------------------- */

struct search {         /* what there is of a name */
	struct dbi *at; /* the handle that has it at the snapshot */
	/* else the first claim to it from a later one on */
	struct dbi_name *later;
	uint64_t since; /* where the last other claim to it ends */
};

/* table_search - who has the name [I21]. The claims to it lie one behind the other. The mutex is
 * held. */
static void table_search(struct daxkv_txn *txn, const struct daxkv_val *name, struct search *s)
{
	struct dbi_table *t = &txn->store->dbis;
	const uint64_t snapshot = txn_view(txn)->snapshot;
	struct dbi_name *n;

	*s = (struct search){0};
	table_prune(txn->store, t);
	n = index_first(t, name);
	for (; n && n->since > snapshot; n = index_next(n, name))
		s->later = n;
	if (n && n->newer && n->newer->since <= snapshot)
		s->since = n->newer->since;
	else if (n)
		s->at = n->entry;
}

/* free_find - the first FREE entry that the transaction may use; others are put by for its end.
 * Parked entries come back in entry_end. */
static struct dbi *free_find(struct daxkv_txn *txn, struct dbi_table *t)
{
	struct dbi *d;

	while ((d = free_first(t)) && entry_kept(txn, (uint32_t)(d - t->dbi))) {
		d->parked = true;
		entry_pending(txn, free_take(t));
	}
	return d;
}

/* entry_next - an entry for a new handle. When those that were used have had all their numbers, a
 * new one is better. When there is none, a snapshot from before many drops has to do without the
 * first of them. NULL: all belong to the running transaction. */
static struct dbi *entry_next(struct daxkv_txn *txn, struct dbi_table *t)
{
	const uint64_t numbers = (UINT64_C(1) << 32) / t->room;
	const struct dbi *spare = free_find(txn, t);
	struct dbi *gone = past_first(&t->gone);
	bool worn = spare && spare->life && spare->life % numbers == 0;

	if (spare && (!worn || t->high == t->room))
		return free_take(t);
	if (t->high < t->room)
		return &t->dbi[t->high++];
	if (!gone || gone->name->by)
		return NULL;
	handle_free(t, gone);
	return free_take(t);
}

/* name_push - the newest name of the entry, which can be found by it. Claims of one entry follow
 * each other in time; the index keeps those to one name in the same order. */
static void name_push(struct dbi_table *t, struct dbi *d, struct dbi_name *n)
{
	assert(!d->name || d->name->since <= n->since);
	n->older = d->name;
	if (n->older)
		n->older->newer = n;
	d->name = n;
	index_add(t, d, n);
	entry_sort(t, d);
	entry_changed(d);
}

/* number_next - the entry's next number: its place in the low bits, how often it was used in the
 * high ones. */
static daxkv_db number_next(const struct dbi_table *t, struct dbi *d)
{
	uint32_t place = (uint32_t)(d - t->dbi);
	uint32_t lives = (uint32_t)((UINT64_C(1) << 32) / t->room);
	uint32_t life = d->life % lives; /* a power of two */

	d->life++;
	return place | life * t->room;
}

/* no_entry - the error when there is no entry for one more handle. */
static int no_entry(const struct dbi_table *t)
{
	if (t->live >= t->max)
		return err_set(DAXKV_DBS_FULL, "all %u database handles are open", t->max);
	return err_set(DAXKV_DBS_FULL,
	               "%u of %u database handles are open, but databases that this transaction "
	               "has used keep the other %u places until it ends",
	               t->live, t->max, t->room - t->live);
}

/* entry_open - a new handle. Where another one has the name from a later snapshot on, it is good
 * for those before only. DBS_FULL, ENOMEM; nothing has changed then. The number is stored last: a
 * thread that sees it sees the rest. */
static int entry_open(struct daxkv_txn *txn, const struct daxkv_val *name, const struct search *s,
                      daxkv_db *db)
{
	const struct daxkv_val none = {0, NULL};
	struct dbi_table *t = &txn->store->dbis;
	struct dbi_name *n = NULL;
	struct dbi_name *end = NULL;
	int rc = dbi_name_new(name, false, &n);

	if (!rc && s->later)
		rc = dbi_name_new(&none, true, &end);
	struct dbi *d = NULL;

	if (!rc && t->live < t->max)
		d = entry_next(txn, t);
	if (!rc && !d)
		rc = no_entry(t);
	if (rc) {
		free(end);
		free(n);
		return rc;
	}
	n->since = s->since;
	name_push(t, d, n);
	if (end) {
		end->since = s->later->since;
		name_push(t, d, end);
	}
	d->opened_by = NULL;
	if (txn->write) {
		d->opened_by = txn;
		entry_pending(txn, d);
	}
	*db = number_next(t, d);
	assert((*db & t->mask) == (uint32_t)(d - t->dbi));
	store_release(&d->number, *db);
	return 0;
}

/* An open of a name that a later snapshot knows extends that claim backwards, if nothing lies
 * between. Whoever opens a name that a running write transaction has opened makes the handle last:
 * both rely on it. */
int dbi_take(struct daxkv_txn *txn, const struct daxkv_val *name, daxkv_db *db, bool *is_new)
{
	struct daxkv_store *store = txn->store;
	struct search s;
	int rc = 0;

	pthread_mutex_lock(&store->dbi_mutex);
	table_search(txn, name, &s);
	if (!s.at && s.later && !s.later->older) { /* that claim begins earlier now */
		s.later->since = s.since;
		s.at = s.later->entry;
		entry_changed(s.at);
	}
	*is_new = !s.at;
	if (s.at) {
		*db = s.at->number;
		/* two transactions rely on it */
		if (!txn->write)
			s.at->opened_by = NULL;
	} else {
		rc = entry_open(txn, name, &s, db);
	}
	pthread_mutex_unlock(&store->dbi_mutex);
	return rc;
}

/* Only where nobody else has found it meanwhile. The name was not there, or could not be made. */
void dbi_untake(struct daxkv_txn *txn, daxkv_db db)
{
	struct daxkv_store *store = txn->store;

	pthread_mutex_lock(&store->dbi_mutex);
	struct dbi *d = entry_of(store, db);

	if (d && d->opened_by == txn)
		handle_free(&store->dbis, d);
	pthread_mutex_unlock(&store->dbi_mutex);
}

/* The newest names only: the writer sees no older ones. A name that was dropped has an end on top,
 * and is no handle's. */
daxkv_db dbi_find(const struct daxkv_txn *txn, const struct daxkv_val *name)
{
	struct daxkv_store *store = txn->store;
	daxkv_db db = 0;

	pthread_mutex_lock(&store->dbi_mutex);
	for (const struct dbi_name *n = index_first(&store->dbis, name); n && !db;
	     n = index_next(n, name))
		if (!n->newer)
			db = n->entry->number;
	pthread_mutex_unlock(&store->dbi_mutex);
	return db;
}

/* A number that is no handle's is nothing to close. The transactions of other threads find out at
 * their next call. */
void daxkv_db_close(struct daxkv_store *store, daxkv_db db)
{
	if (!store || txn_forked(store) || db == DAXKV_MAIN)
		return;
	pthread_mutex_lock(&store->dbi_mutex);
	struct dbi *d = entry_of(store, db);

	if (d)
		handle_free(&store->dbis, d);
	pthread_mutex_unlock(&store->dbi_mutex);
}

/* ---- changing -------------------------------------------------------------------------------- */

/* When the handle was closed meanwhile the name has no place to go. n has no place in the index
 * yet. Older names are forgotten at once where no snapshot needs them, so that a handle that is
 * renamed all the time stays small. */
void dbi_push(struct daxkv_txn *txn, daxkv_db db, struct dbi_name *n)
{
	assert(n);
	struct daxkv_store *store = txn->store;

	pthread_mutex_lock(&store->dbi_mutex);
	struct dbi *d = entry_of(store, db);

	if (d && n->gone && d->opened_by == txn) { /* no other transaction knows it */
		handle_free(&store->dbis, d);
		d = NULL;
	}
	if (d) {
		n->since = store->wset.txn;
		n->by = txn;
		name_push(&store->dbis, d, n);
		if (n->older->older)
			(void)handle_prune(&store->dbis, d,
			                   share_oldest_own(store->share, store->share_file.owner));
		entry_pending(txn, d);
	} else {
		free(n); /* it was closed meanwhile */
	}
	pthread_mutex_unlock(&store->dbi_mutex);
}

/* names_end - the names that the transaction gave: kept, or undone. With keep they are the
 * parent's, or nobody's when there is none: committed. */
static void names_end(struct daxkv_txn *txn, struct dbi *d, bool keep)
{
	struct dbi_table *t = &txn->store->dbis;
	struct dbi_name *n = d->name;

	if (!n || n->by != txn)
		return;
	for (; keep && n && n->by == txn; n = n->older)
		n->by = txn->parent;
	while (!keep && (n = d->name) && n->by == txn) {
		d->name = n->older;
		if (d->name)
			d->name->newer = NULL;
		index_remove(t, n);
		free(n);
	}
	entry_changed(d);
	if (!keep)
		entry_sort(t, d);
}

/* entry_end - the transaction ends: what that means for an entry in own, which stays there for the
 * parent. A parked entry is free again when no transaction around has a state there. */
static void entry_end(struct daxkv_txn *txn, struct dbi *d, bool keep)
{
	assert(d->pending == txn);
	struct dbi_table *t = &txn->store->dbis;
	bool opened = d->opened_by == txn;

	d->pending = txn->parent;
	if (!txn->parent)
		link_out(&d->own);
	if (d->parked && txn->parent && keep)
		return;
	if (d->parked) {
		d->parked = false;
		link_out(&d->own);
		free_put(t, d);
		return;
	}
	names_end(txn, d, keep);
	if (!opened)
		return;
	d->opened_by = txn->parent;
	if (!keep)
		handle_free(t, d);
}

/* Entries of an inner transaction stand before those of its parent, so the walk ends at the first
 * that is not its own. The mutex is taken only by a transaction that touched handles. */
void dbi_end_own(struct daxkv_txn *txn, bool keep)
{
	struct dbi_table *t = &txn->store->dbis;
	struct dbi *next;

	txn->handles = false;
	if (txn->parent)
		txn->parent->handles = true;
	pthread_mutex_lock(&txn->store->dbi_mutex);
	for (struct dbi *d = own_first(t); d && d->pending == txn; d = next) {
		next = own_next(t, d);
		entry_end(txn, d, keep);
	}
	pthread_mutex_unlock(&txn->store->dbi_mutex);
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* It grows to what is needed: names rarely change. */
int dbi_name_room(struct dbstate *s, uint32_t len)
{
	if (len <= s->name_room)
		return 0;
	uint8_t *more = realloc(s->name, len);

	if (!more)
		return err_set(ENOMEM, "no memory for a database's name");
	s->name = more;
	s->name_room = len;
	return 0;
}

/* The version is 0 until the caller says what the copy is of. */
void dbi_name_keep(struct dbstate *s, const struct dbi_name *n)
{
	assert(n->len <= s->name_room);
	if (n->len)
		memcpy(s->name, n->bytes, n->len);
	s->name_len = n->len;
	s->version = 0;
}

/* copy_holds - whether the state's copies are those of the handle still. Most times no lock is
 * needed. The acquire load pairs with entry_changed. */
static bool copy_holds(const struct dbi *d, daxkv_db db, const struct dbstate *s)
{
	if (s->handle != db)
		return false;
	if (!s->version)
		return false;
	return s->version == load_acquire(&d->version);
}

/* The lock is taken only when something changed since the copy was made. A state of the main
 * database has an empty name. */
int dbi_copy(struct daxkv_txn *txn, daxkv_db db, uint64_t snapshot, struct dbstate *s)
{
	struct daxkv_store *store = txn->store;
	struct dbi *d = &store->dbis.dbi[db & store->dbis.mask];
	int rc;

	if (copy_holds(d, db, s))
		return 0;
	pthread_mutex_lock(&store->dbi_mutex);
	const struct dbi_name *n = NULL;

	if (d->number == db)
		n = name_at(d, snapshot);
	if (n)
		rc = dbi_name_room(s, n->len);
	else
		rc = err_set(DAXKV_BAD_DB,
		             "the database of handle %u was dropped, or the handle closed", db);
	if (!rc) {
		dbi_name_keep(s, n);
		s->handle = db;
		s->entry = d;
		s->compare = d->compare;
		/* for every snapshot to come */
		if (n == d->name && !n->by)
			s->version = d->version;
		else
			s->version = 0;
	}
	pthread_mutex_unlock(&store->dbi_mutex);
	return rc;
}

/* States of other transactions take it over at their next use. Without the handle, which was closed
 * meanwhile, nothing is set. */
void dbi_compare_set(struct daxkv_store *store, daxkv_db db, uint32_t flag, daxkv_compare_fn *fn,
                     void *arg, struct dbstate *s)
{
	pthread_mutex_lock(&store->dbi_mutex);
	struct dbi *d = entry_of(store, db);

	if (d && flag == DAXKV_OWN_COMPARE) {
		d->compare.key_fn = fn;
		d->compare.key_arg = arg;
	} else if (d) {
		d->compare.dup_fn = fn;
		d->compare.dup_arg = arg;
	}
	if (d) {
		s->compare = d->compare;
		entry_changed(d);
	}
	pthread_mutex_unlock(&store->dbi_mutex);
}
