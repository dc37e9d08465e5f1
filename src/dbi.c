/* SPDX-License-Identifier: BSD-3-Clause */
/* dbi.c - the table of database handles. See dbi.h */
#include "kv.h"

#include "err.h"

#include <errno.h>
#include <stdlib.h>

/* ---- names ----------------------------------------------------------------------------------- */

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

static void names_free(struct dbi_name *n)
{
	while (n) {
		struct dbi_name *older = n->older;

		free(n);
		n = older;
	}
}

/* name_at - what the handle is called in that snapshot; NULL: it means nothing there. */
static struct dbi_name *name_at(const struct dbi *d, uint64_t snapshot)
{
	struct dbi_name *n = d->name;

	while (n && n->since > snapshot)
		n = n->older;
	return n && !n->gone ? n : NULL;
}

static bool name_is(const struct dbi_name *n, const struct daxkv_val *name)
{
	return n && !n->gone && n->len == name->size && memcmp(n->bytes, name->data, n->len) == 0;
}

/* entry_changed - copies that states have of the entry are old. Pairs with copy_holds. */
static void entry_changed(struct dbi *d)
{
	__atomic_store_n(&d->version, d->version + 1, __ATOMIC_RELEASE);
}

/* ---- entries --------------------------------------------------------------------------------- */

static uint32_t pow2_from(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

int dbi_open_tables(struct daxkv *kv, uint32_t max_dbs)
{
	struct dbi_table *t = &kv->dbis;
	const struct daxkv_val none = {0, NULL};

	t->max = max_dbs < DBI_MAX ? max_dbs : DBI_MAX;
	t->mask = pow2_from(t->max + t->max / 2 + 1024) - 1; /* some more, for those that are GONE */
	t->room = t->mask + 1;
	t->high = DAXKV_MAIN + 1;
	t->dbi = calloc(t->room, sizeof *t->dbi); /* memory that is not used is not there yet */
	if (!t->dbi)
		return err_set(ENOMEM, "no memory for %u database handles", t->max);
	t->dbi[DAXKV_MAIN] = (struct dbi){.number = DAXKV_MAIN, .life = 1, .version = 1};
	return dbi_name_new(&none, false, &t->dbi[DAXKV_MAIN].name);
}

void dbi_close_tables(struct daxkv *kv)
{
	for (uint32_t i = 0; kv->dbis.dbi && i < kv->dbis.high; i++)
		names_free(kv->dbis.dbi[i].name);
	free(kv->dbis.dbi);
	kv->dbis = (struct dbi_table){0};
}

/* entry_of - the entry of a handle that is not FREE; NULL: there is none. The mutex is held. */
static struct dbi *entry_of(const struct daxkv *kv, daxkv_db db)
{
	struct dbi *d = &kv->dbis.dbi[db & kv->dbis.mask];

	return db && d->number == db ? d : NULL;
}

static void entry_free(struct dbi_table *t, struct dbi *d)
{
	names_free(d->name);
	d->name = NULL;
	d->opened_by = NULL;
	d->compare = (struct dbi_compare){0};
	entry_changed(d);
	__atomic_store_n(&d->number, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&t->regrouped, t->regrouped + 1, __ATOMIC_RELEASE);
}

/* entry_prune - forget what no snapshot of this process can ask for: names, and a handle that is
 * GONE. */
static void entry_prune(struct dbi_table *t, struct dbi *d, uint64_t oldest)
{
	struct dbi_name *n = d->name;

	while (n && (n->by || n->since > oldest))
		n = n->older;
	if (!n)
		return;
	names_free(n->older);
	n->older = NULL;
	if (n->gone && n == d->name)
		entry_free(t, d);
}

/* entry_kept - whether the transaction's state there has changes to commit, for a handle that was
 * closed since. */
static bool entry_kept(const struct daxkv_txn *txn, uint32_t i)
{
	const struct dbstate *s = txn->write && i < txn->ndb ? txn->db[i] : NULL;

	return s && s->generation == txn->generation && s->changed;
}

/* ---- opening --------------------------------------------------------------------------------- */

struct search {            /* what a walk through the table finds for a name */
	struct dbi *at;    /* the handle that has it at the snapshot */
	struct dbi *later; /* the one that has it since a later one only */
	struct dbi *spare; /* the FREE entry that had the fewest numbers */
	struct dbi *gone;  /* the one that is GONE for longest */
	uint64_t since;    /* where the last other claim to it ends */
	uint32_t live;     /* handles that count */
};

static void search_entry(struct search *s, struct dbi *d, uint64_t snapshot,
                         const struct daxkv_val *name)
{
	uint64_t end = 0;

	if (name_is(name_at(d, snapshot), name)) {
		s->at = d;
		return;
	}
	for (const struct dbi_name *n = d->name; n; n = n->older) {
		if (name_is(n, name) && n->since > snapshot && !n->older)
			s->later = d;
		else if (name_is(n, name) && end <= snapshot)
			s->since = max_u64(s->since, end);
		end = n->since;
	}
}

/* table_search - who has the name [I21]. The mutex is held. */
static void table_search(struct daxkv_txn *txn, const struct daxkv_val *name, struct search *s)
{
	struct dbi_table *t = &txn->kv->dbis;
	uint64_t snapshot = txn_view(txn)->snapshot, oldest = UINT64_MAX;

	*s = (struct search){0};
	for (uint32_t i = DAXKV_MAIN + 1; i < t->high && !s->at; i++) {
		struct dbi *d = &t->dbi[i];

		if (d->number && (d->name->older || d->name->gone)) {
			if (oldest == UINT64_MAX)
				oldest =
				    share_oldest_own(txn->kv->share, txn->kv->share_file.owner);
			entry_prune(t, d, oldest);
		}
		if (d->number) {
			s->live += !d->name->gone;
			if (d->name->gone && !d->name->by &&
			    (!s->gone || d->name->since < s->gone->name->since))
				s->gone = d;
			search_entry(s, d, snapshot, name);
		} else if ((!s->spare || d->life < s->spare->life) && !entry_kept(txn, i)) {
			s->spare = d;
		}
	}
}

/* entry_next - an entry for a new handle. When those that were used have had all their numbers, a new
 * one is better. When there is none, a snapshot from before many drops has to do without the first
 * of them. NULL: all belong to the running transaction. */
static struct dbi *entry_next(struct dbi_table *t, const struct search *s)
{
	uint64_t numbers = (UINT64_C(1) << 32) / t->room;
	bool worn = s->spare && s->spare->life && s->spare->life % numbers == 0;

	if (s->spare && (!worn || t->high == t->room))
		return s->spare;
	if (t->high < t->room)
		return &t->dbi[t->high++];
	if (s->gone)
		entry_free(t, s->gone);
	return s->gone;
}

static int entry_open(struct daxkv_txn *txn, const struct daxkv_val *name, const struct search *s,
                      daxkv_db *db)
{
	struct dbi_table *t = &txn->kv->dbis;
	struct dbi_name *n = NULL;
	struct dbi *d = s->live < t->max ? entry_next(t, s) : NULL;

	if (!d)
		return err_set(DAXKV_DBS_FULL,
		               "%u database handles are open, and no more are allowed", s->live);
	int rc = dbi_name_new(name, false, &n);

	if (rc)
		return rc;
	n->since = s->since;
	d->name = n;
	d->opened_by = txn->write ? txn : NULL;
	txn->handles |= txn->write;
	entry_changed(d);
	*db = (daxkv_db)(d - t->dbi) |
	      (d->life++ & (uint32_t)((UINT64_C(1) << 32) / t->room - 1)) * t->room;
	__atomic_store_n(&d->number, *db, __ATOMIC_RELEASE);
	return 0;
}

int dbi_take(struct daxkv_txn *txn, const struct daxkv_val *name, daxkv_db *db, bool *is_new)
{
	struct daxkv *kv = txn->kv;
	struct search s;
	int rc = 0;

	pthread_mutex_lock(&kv->dbi_mutex);
	table_search(txn, name, &s);
	if (!s.at && s.later) { /* that claim begins earlier now */
		struct dbi_name *n = s.later->name;

		while (n->older)
			n = n->older;
		n->since = s.since;
		entry_changed(s.later);
		s.at = s.later;
	}
	*is_new = !s.at;
	if (s.at) {
		*db = s.at->number;
		if (!txn->write)
			s.at->opened_by = NULL; /* two transactions rely on it */
	} else {
		rc = entry_open(txn, name, &s, db);
	}
	pthread_mutex_unlock(&kv->dbi_mutex);
	return rc;
}

void dbi_untake(struct daxkv_txn *txn, daxkv_db db)
{
	struct daxkv *kv = txn->kv;

	pthread_mutex_lock(&kv->dbi_mutex);
	struct dbi *d = entry_of(kv, db);

	if (d && d->opened_by == txn)
		entry_free(&kv->dbis, d);
	pthread_mutex_unlock(&kv->dbi_mutex);
}

daxkv_db dbi_find(const struct daxkv_txn *txn, const struct daxkv_val *name)
{
	struct daxkv *kv = txn->kv;
	daxkv_db db = 0;

	pthread_mutex_lock(&kv->dbi_mutex);
	for (uint32_t i = DAXKV_MAIN + 1; i < kv->dbis.high && !db; i++)
		if (kv->dbis.dbi[i].number && name_is(kv->dbis.dbi[i].name, name))
			db = kv->dbis.dbi[i].number;
	pthread_mutex_unlock(&kv->dbi_mutex);
	return db;
}

void daxkv_db_close(struct daxkv *kv, daxkv_db db)
{
	if (!kv || txn_forked(kv) || db == DAXKV_MAIN)
		return;
	pthread_mutex_lock(&kv->dbi_mutex);
	struct dbi *d = entry_of(kv, db);

	if (d)
		entry_free(&kv->dbis, d);
	pthread_mutex_unlock(&kv->dbi_mutex);
}

/* ---- changing -------------------------------------------------------------------------------- */

void dbi_push(struct daxkv_txn *txn, daxkv_db db, struct dbi_name *n)
{
	struct daxkv *kv = txn->kv;

	pthread_mutex_lock(&kv->dbi_mutex);
	struct dbi *d = entry_of(kv, db);

	if (d && n->gone && d->opened_by == txn) { /* no other transaction knows it */
		entry_free(&kv->dbis, d);
		d = NULL;
	}
	if (d) {
		n->since = kv->wset.txn;
		n->by = txn;
		n->older = d->name;
		d->name = n;
		entry_changed(d);
		txn->handles = true;
		__atomic_store_n(&kv->dbis.regrouped, kv->dbis.regrouped + 1, __ATOMIC_RELEASE);
	} else {
		free(n); /* it was closed meanwhile */
	}
	pthread_mutex_unlock(&kv->dbi_mutex);
}

/* names_end - the names that the transaction gave: kept, or undone. */
static void names_end(struct daxkv_txn *txn, struct dbi *d, bool keep)
{
	struct dbi_name *n = d->name;

	if (!n || n->by != txn)
		return;
	for (; keep && n && n->by == txn; n = n->older)
		n->by = txn->parent;
	while (!keep && (n = d->name) && n->by == txn) {
		d->name = n->older;
		free(n);
	}
	entry_changed(d);
}

void dbi_end(struct daxkv_txn *txn, bool keep)
{
	struct dbi_table *t = &txn->kv->dbis;

	if (!txn->handles)
		return;
	txn->handles = false;
	if (txn->parent && keep)
		txn->parent->handles = true;
	pthread_mutex_lock(&txn->kv->dbi_mutex);
	for (uint32_t i = DAXKV_MAIN + 1; i < t->high; i++) {
		struct dbi *d = &t->dbi[i];

		names_end(txn, d, keep);
		if (d->opened_by != txn)
			continue;
		d->opened_by = txn->parent;
		if (!keep)
			entry_free(t, d);
	}
	pthread_mutex_unlock(&txn->kv->dbi_mutex);
}

/* ---- copies ---------------------------------------------------------------------------------- */

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

void dbi_name_keep(struct dbstate *s, const struct dbi_name *n)
{
	assert(n->len <= s->name_room);
	if (n->len)
		memcpy(s->name, n->bytes, n->len);
	s->name_len = n->len;
	s->version = 0;
}

/* copy_holds - whether the state's copies are those of the handle still. Most times no lock is
 * needed. */
static bool copy_holds(const struct dbi *d, daxkv_db db, const struct dbstate *s)
{
	return s->handle == db && s->version &&
	       s->version == __atomic_load_n(&d->version, __ATOMIC_ACQUIRE);
}

int dbi_copy(struct daxkv_txn *txn, daxkv_db db, uint64_t snapshot, struct dbstate *s)
{
	struct daxkv *kv = txn->kv;
	struct dbi *d = &kv->dbis.dbi[db & kv->dbis.mask];
	int rc;

	if (copy_holds(d, db, s))
		return 0;
	pthread_mutex_lock(&kv->dbi_mutex);
	const struct dbi_name *n = d->number == db ? name_at(d, snapshot) : NULL;

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
		s->version =
		    n == d->name && !n->by ? d->version : 0; /* for every snapshot to come */
	}
	pthread_mutex_unlock(&kv->dbi_mutex);
	return rc;
}

void dbi_compare_set(struct daxkv *kv, daxkv_db db, uint32_t flag, daxkv_compare_fn *fn, void *arg,
                     struct dbstate *s)
{
	pthread_mutex_lock(&kv->dbi_mutex);
	struct dbi *d = entry_of(kv, db);

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
	pthread_mutex_unlock(&kv->dbi_mutex);
}
