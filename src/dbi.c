/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dbi.c - database handles, and the databases they mean in a transaction.
 *
 * A named database is a record of the main one that names its descriptor page, so create, drop and rename are ordinary changes that
 * snapshots see or do not. A handle is a name and an order; each transaction resolves it through the records that it sees.
 */
#include "kv.h"

#include "err.h"

#include <errno.h>
#include <stdlib.h>

#define DB_FLAGS                                                                                                                                               \
	(DAXKV_REVERSE_KEY | DAXKV_DUP_SORT | DAXKV_INTEGER_KEY | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP | DAXKV_REVERSE_DUP | DAXKV_OWN_COMPARE |            \
	 DAXKV_OWN_DUP_COMPARE)

struct dbi_name *dbi_name_new(const void *bytes, size_t len)
{
	struct dbi_name *n = calloc(1, sizeof *n + len);

	if (n && len)
		memcpy(n->bytes, bytes, len);
	if (n)
		n->len = (uint32_t)len;
	return n;
}

static void names_free(struct dbi_name *n)
{
	while (n) {
		struct dbi_name *older = n->older;

		free(n);
		n = older;
	}
}

const struct dbi_name *dbi_name(const struct daxkv *kv, daxkv_db db, uint64_t snapshot)
{
	const struct dbi_name *n = __atomic_load_n(&kv->dbi[db].name, __ATOMIC_ACQUIRE);

	while (n && n->older && n->since > snapshot)
		n = n->older;
	return n && !n->gone ? n : NULL;
}

int dbi_open_tables(struct daxkv *kv, uint32_t max_dbs)
{
	kv->max_dbs = max_dbs + DAXKV_MAIN + 1;
	kv->dbi = calloc(kv->max_dbs, sizeof *kv->dbi);
	if (!kv->dbi || !(kv->dbi[DAXKV_MAIN].name = dbi_name_new(NULL, 0)))
		return err_set(ENOMEM, "no memory for %u database handles", max_dbs);
	order_init(&kv->dbi[DAXKV_MAIN].order, 0);
	return 0;
}

void dbi_close_tables(struct daxkv *kv)
{
	for (uint32_t i = 0; kv->dbi && i < kv->max_dbs; i++)
		names_free(kv->dbi[i].name);
	names_free(kv->old_names);
	free(kv->dbi);
	kv->dbi = NULL;
}

static void dbi_forget(struct dbi *d)
{
	struct dbi_name *names = d->name;

	*d = (struct dbi){.serial = d->serial + 1};
	names_free(names);
}

void dbi_name_push(struct daxkv_txn *txn, daxkv_db db, struct dbi_name *n)
{
	struct daxkv *kv = txn->kv;

	pthread_mutex_lock(&kv->dbi_mutex);
	n->since = kv->wset.txn;
	n->by = txn;
	n->older = kv->dbi[db].name;
	__atomic_store_n(&kv->dbi[db].name, n, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&kv->dbi_mutex);
}

/* renames_end - the names that the transaction gave: kept, or undone. */
static void renames_end(struct daxkv_txn *txn, struct dbi *d, bool keep)
{
	struct dbi_name *n = d->name;

	for (; keep && n && n->by == txn; n = n->older)
		n->by = txn->parent;
	while (!keep && (n = d->name) && n->by == txn) {
		__atomic_store_n(&d->name, n->older, __ATOMIC_RELEASE);
		n->older = txn->kv->old_names;
		txn->kv->old_names = n;
	}
}

void dbi_end(struct daxkv_txn *txn, bool keep)
{
	struct daxkv *kv = txn->kv;

	pthread_mutex_lock(&kv->dbi_mutex);
	for (uint32_t i = DAXKV_MAIN + 1; i < txn->ndb; i++) {
		struct dbi *d = &kv->dbi[i];

		renames_end(txn, d, keep);
		if (d->opened_by != txn)
			continue;
		d->opened_by = txn->parent;
		if (!keep)
			dbi_forget(d);
	}
	pthread_mutex_unlock(&kv->dbi_mutex);
}

/* ---- resolving ------------------------------------------------------------------------------------------------------------ */

int dbi_state_read(struct daxkv_txn *txn, uint64_t off, const struct order *order, struct dbstate *s)
{
	struct view *v = txn_view(txn);
	const struct fmt_desc *desc;
	uint64_t at;
	int rc = desc_read(v, off, &desc, &at);

	if (rc)
		return rc;
	s->desc = at;
	s->flags = desc->flags;
	s->changed = false;
	if (order && desc->flags == order->flags)
		s->order = *order;
	else
		order_init(&s->order, desc->flags);
	s->tree = (struct tree){.view = v, .order = &s->order, .root = load_word(&desc->root)};
	if (txn->write) {
		s->tree.scratch = &txn->kv->scratch;
		s->tree.count = desc_count(v, desc);
		s->tree.leaf_pages = load_word(&desc->leaf_pages);
		s->tree.inner_pages = load_word(&desc->inner_pages);
		s->tree.blob_pages = load_word(&desc->blob_pages);
	}
	return 0;
}

/* state_fill - read the descriptor at off into a state. */
static int state_fill(struct daxkv_txn *txn, daxkv_db db, uint64_t off, struct dbstate *s)
{
	const struct dbi *d = &txn->kv->dbi[db];
	int rc = dbi_state_read(txn, off, &d->order, s);

	if (rc)
		return rc;
	s->generation = txn->generation;
	s->serial = d->serial;
	if (db >= txn->ndb)
		txn->ndb = db + 1;
	return 0;
}

int dbi_record_find(struct daxkv_txn *txn, const uint8_t *name, uint32_t len, struct fmt_db *record)
{
	struct dbstate *main_state;
	struct item it;
	bool found = false;
	int rc = dbi_state(txn, DAXKV_MAIN, &main_state);

	if (rc)
		return rc;
	if (main_state->order.dups || main_state->order.key == ORDER_INTEGER || main_state->order.key == ORDER_OWN)
		return DAXKV_NOTFOUND;
	rc = tree_get(&main_state->tree, name, len, &it, &found);
	if (rc)
		return rc;
	if (!found)
		return DAXKV_NOTFOUND;
	if (!(it.flags & FMT_ENTRY_DB))
		return err_set(DAXKV_INCOMPATIBLE, "the main database has a plain record of that name");
	if (it.vlen != sizeof *record)
		return err_corrupt(0, "the record of database \"%.*s\" has %u bytes", (int)len, (const char *)name, it.vlen);
	memcpy(record, it.val, sizeof *record);
	return 0;
}

static int state_resolve(struct daxkv_txn *txn, daxkv_db db, struct dbstate *s)
{
	const struct fmt_super *super = (const void *)txn->kv->map.base;
	const struct dbi_name *n = dbi_name(txn->kv, db, txn_view(txn)->snapshot);
	struct fmt_db record;

	if (db == DAXKV_MAIN)
		return state_fill(txn, db, load_word(&super->main_desc), s);
	if (!n)
		return err_set(DAXKV_BAD_DB, "the database of handle %u was dropped", db);
	int rc = dbi_record_find(txn, n->bytes, n->len, &record);

	if (rc == DAXKV_NOTFOUND)
		return err_set(DAXKV_BAD_DB, "database \"%.*s\" is not there in this transaction", (int)n->len, (const char *)n->bytes);
	return rc ? rc : state_fill(txn, db, record.desc, s);
}

int dbi_state_find(struct daxkv_txn *txn, daxkv_db db, struct dbstate **state)
{
	struct daxkv *kv = txn->kv;

	if (UNLIKELY(db < DAXKV_MAIN || db >= kv->max_dbs || !kv->dbi[db].name))
		return err_set(DAXKV_BAD_DB, "%u is not an open database handle", db);
	struct dbstate *s = &txn->db[db];

	if (s->generation != txn->generation || s->serial != kv->dbi[db].serial) {
		int rc = state_resolve(txn, db, s);

		if (rc)
			return rc;
	}
	if (UNLIKELY((s->order.key == ORDER_OWN && !s->order.key_fn) || (s->order.dups && s->order.dup == ORDER_OWN && !s->order.dup_fn)))
		return err_set(DAXKV_NEED_COMPARE, "the database has an order of its own: set its comparator first");
	*state = s;
	return 0;
}

int dbi_state_any(struct daxkv_txn *txn, daxkv_db db, struct dbstate **state)
{
	int rc = dbi_state(txn, db, state);

	if (rc == DAXKV_NEED_COMPARE) {
		*state = &txn->db[db];
		rc = 0;
	}
	return rc;
}

/* ---- opening -------------------------------------------------------------------------------------------------------------- */

static int flags_check(unsigned int flags)
{
	bool dups = flags & DAXKV_DUP_SORT;

	if (flags & ~(unsigned int)(DB_FLAGS | DAXKV_CREATE))
		return err_set(EINVAL, "unknown database flags 0x%x", flags & ~(unsigned int)(DB_FLAGS | DAXKV_CREATE));
	if (!dups && flags & (DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP | DAXKV_REVERSE_DUP | DAXKV_OWN_DUP_COMPARE))
		return err_set(EINVAL, "flags for duplicates without DUP_SORT");
	return 0;
}

/* flags_change - give an empty database other flags: it gets a new descriptor, which a named one's record has to name. */
static int flags_change(struct daxkv_txn *txn, daxkv_db db, struct dbstate *s, unsigned int flags)
{
	struct daxkv *kv = txn->kv;
	const struct dbi_name *n = dbi_name(kv, db, kv->wset.txn);
	uint64_t off;
	int rc = tree_clear(&s->tree, false);

	if (!rc)
		rc = desc_new(&kv->wset, flags, 0, tree_prev_for(&s->tree, s->desc), &off);
	if (!rc)
		rc = wset_retire(&kv->wset, s->desc);
	if (rc)
		return txn_break(txn, rc);
	s->desc = off;
	s->flags = flags;
	s->changed = true;
	order_init(&s->order, flags);
	if (db == DAXKV_MAIN)
		return 0;
	union {
		const uint8_t *in;
		void *out;
	} bytes = {n->bytes}; /* put does not write to a key */
	struct fmt_db record = {.desc = off, .flags = flags};
	struct daxkv_val name = {n->len, bytes.out}, value = {sizeof record, &record};

	return record_put(txn, DAXKV_MAIN, &name, &value, 0, FMT_ENTRY_DB);
}

/* main_flags - give the main database flags, while it is empty. */
static int main_flags(struct daxkv_txn *txn, unsigned int flags)
{
	struct dbstate *s;
	int rc = dbi_state_any(txn, DAXKV_MAIN, &s);

	if (rc || !flags || flags == s->flags)
		return rc;
	if (!txn->write || s->tree.count)
		return err_set(DAXKV_INCOMPATIBLE, "the main database was made with flags 0x%x, not 0x%x", s->flags, flags);
	return flags_change(txn, DAXKV_MAIN, s, flags);
}

/* handle_for - the handle of that name, or a free one; the mutex is held. */
static int handle_for(struct daxkv *kv, uint64_t snapshot, const struct daxkv_val *name, daxkv_db *db, bool *is_new)
{
	uint64_t oldest = share_oldest_running(kv->share);
	daxkv_db unused = 0;

	for (daxkv_db i = DAXKV_MAIN + 1; i < kv->max_dbs; i++) {
		const struct dbi_name *n = dbi_name(kv, i, snapshot), *newest = kv->dbi[i].name;

		if (newest && newest->gone && !newest->by && newest->since <= oldest)
			dbi_forget(&kv->dbi[i]); /* no reader is left that could use it */
		if (n && n->len == name->size && memcmp(n->bytes, name->data, n->len) == 0) {
			*db = i;
			*is_new = false;
			return 0;
		}
		if (!kv->dbi[i].name && !unused)
			unused = i;
	}
	if (!unused)
		return err_set(DAXKV_DBS_FULL, "%u database handles are open, and no more are allowed", kv->max_dbs - 2);
	*db = unused;
	*is_new = true;
	return 0;
}

/* db_create - a record and a descriptor for a new database. */
static int db_create(struct daxkv_txn *txn, const struct daxkv_val *name, unsigned int flags, struct fmt_db *record)
{
	struct daxkv_val value = {sizeof *record, record};
	int rc;

	*record = (struct fmt_db){.flags = flags};
	rc = desc_new(&txn->kv->wset, flags, 0, 0, &record->desc);
	if (rc)
		return txn_break(txn, rc);
	return record_put(txn, DAXKV_MAIN, name, &value, 0, FMT_ENTRY_DB);
}

static int db_find_or_create(struct daxkv_txn *txn, const struct daxkv_val *name, unsigned int flags, struct fmt_db *record, bool *created)
{
	unsigned int kept = flags & DB_FLAGS;
	struct dbstate *main_state;
	int rc = dbi_state(txn, DAXKV_MAIN, &main_state);

	*created = false;
	if (!rc)
		rc = dbi_record_find(txn, name->data, (uint32_t)name->size, record);
	if (!rc && kept && kept != record->flags)
		return err_set(DAXKV_INCOMPATIBLE, "the database was made with flags 0x%x, not 0x%x", record->flags, kept);
	if (rc != DAXKV_NOTFOUND || !(flags & DAXKV_CREATE))
		return rc;
	if (main_state->order.dups || main_state->order.key == ORDER_INTEGER || main_state->order.key == ORDER_OWN)
		return err_set(DAXKV_INCOMPATIBLE, "the main database's flags 0x%x rule named databases out", main_state->flags);
	rc = txn_check(txn, true);
	if (!rc)
		rc = record_key_check(txn->kv, &main_state->order, name);
	if (!rc)
		rc = txn_changing(txn, DAXKV_MAIN);
	if (!rc)
		rc = db_create(txn, name, kept, record);
	*created = !rc;
	return rc;
}

int daxkv_db_open(struct daxkv_txn *txn, const struct daxkv_val *name, unsigned int flags, daxkv_db *db)
{
	struct daxkv *kv;
	struct fmt_db record;
	bool is_new, created;
	daxkv_db handle = 0;
	int rc = txn_check(txn, false);

	if (!rc)
		rc = flags_check(flags);
	if (rc)
		return rc;
	kv = txn->kv;
	if (!name) {
		rc = txn_done(txn, main_flags(txn, flags & DB_FLAGS));
		if (!rc)
			*db = DAXKV_MAIN;
		return rc;
	}
	if (name->size == 0 || name->size > kv->max_key)
		return err_set(DAXKV_KEY_SIZE, "a database name of %zu bytes; 1 to %u are possible", name->size, kv->max_key);
	uint8_t bytes[FMT_PAGE_MAX / 4]; /* the caller's may lie in a page that changes */
	struct daxkv_val own = {name->size, bytes};

	memcpy(bytes, name->data, name->size);
	name = &own;
	rc = txn_done(txn, db_find_or_create(txn, name, flags, &record, &created));
	if (rc)
		return rc;
	pthread_mutex_lock(&kv->dbi_mutex);
	rc = handle_for(kv, txn_view(txn)->snapshot, name, &handle, &is_new);
	if (!rc && is_new) {
		struct dbi *d = &kv->dbi[handle];
		struct dbi_name *copy = dbi_name_new(name->data, name->size);

		if (copy) {
			*d = (struct dbi){.serial = d->serial, .opened_by = txn->write ? txn : NULL};
			order_init(&d->order, record.flags);
			__atomic_store_n(&d->name, copy, __ATOMIC_RELEASE);
		} else {
			rc = err_set(ENOMEM, "no memory for a database handle");
		}
	} else if (!rc && created) {
		order_init(&kv->dbi[handle].order, record.flags); /* dropped by name elsewhere, and made anew */
	}
	pthread_mutex_unlock(&kv->dbi_mutex);
	if (rc)
		return created ? txn_break(txn, rc) : rc;
	struct dbstate *s = &txn->db[handle];

	/* A state that is known already may have changes in it. */
	if (created || s->generation != txn->generation || s->serial != kv->dbi[handle].serial) {
		rc = txn_done(txn, state_fill(txn, handle, record.desc, s));
		if (rc)
			return rc;
		s->changed = created;
	}
	*db = handle;
	return 0;
}

void daxkv_db_close(struct daxkv *kv, daxkv_db db)
{
	if (!kv || db <= DAXKV_MAIN || db >= kv->max_dbs)
		return;
	pthread_mutex_lock(&kv->dbi_mutex);
	dbi_forget(&kv->dbi[db]);
	pthread_mutex_unlock(&kv->dbi_mutex);
}

/* ---- asking --------------------------------------------------------------------------------------------------------------- */

static int db_next(struct daxkv_txn *txn, struct daxkv_val *name)
{
	struct probe p = {.key = name->data, .klen = (uint32_t)name->size};
	struct dbstate *s;
	struct path path;
	int rc = txn_check(txn, false);

	if (!rc)
		rc = dbi_state(txn, DAXKV_MAIN, &s);
	if (rc)
		return rc;
	if (s->order.dups || s->order.key == ORDER_INTEGER || s->order.key == ORDER_OWN)
		return DAXKV_NOTFOUND;
	rc = name->size ? tree_seek(&s->tree, &p, &path) : tree_edge(&s->tree, false, &path);
	if (rc || !path.height)
		return rc ? rc : DAXKV_NOTFOUND;
	if (name->size && path.eoff)
		path.rank++;
	for (bool moved = true;;) {
		for (uint32_t n = leaf_count(&path.leaf); path.rank < n; path.rank++) {
			struct item it;

			rc = leaf_at(&path.leaf, path.rank, &path.eoff);
			if (!rc)
				rc = leaf_item(&path.leaf, path.eoff, &it);
			if (rc)
				return rc;
			if (!(it.flags & FMT_ENTRY_DB))
				continue;
			if (name->size && order_key_cmp(&s->order, it.key, it.klen, p.key, p.klen) <= 0) /* a list would never end */
				return err_corrupt(path.leaf.off, "leaf: its keys are not in order");
			*name = record_bytes(it.key, it.klen);
			return 0;
		}
		rc = tree_step(&s->tree, &path, true, &moved);
		if (rc || !moved)
			return rc ? rc : DAXKV_NOTFOUND;
	}
}

int daxkv_db_next(struct daxkv_txn *txn, struct daxkv_val *name)
{
	struct daxkv_val next = *name;
	int rc = db_next(txn, &next);

	if (txn)
		rc = txn_done(txn, rc);
	if (!rc)
		*name = next;
	return rc;
}

int daxkv_db_flags(struct daxkv_txn *txn, daxkv_db db, unsigned int *flags)
{
	struct dbstate *s;
	int rc = txn_check(txn, false);

	if (!rc)
		rc = txn_done(txn, dbi_state_any(txn, db, &s));
	if (!rc)
		*flags = s->flags;
	return rc;
}

int daxkv_db_stat(struct daxkv_txn *txn, daxkv_db db, struct daxkv_stat *stat)
{
	const struct fmt_desc *desc;
	const struct fmt_page *root = NULL;
	struct dbstate *s;
	struct view *v;
	uint64_t at;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	v = txn_view(txn);
	rc = dbi_state_any(txn, db, &s);
	if (!rc)
		rc = desc_read(v, s->desc, &desc, &at);
	if (!rc)
		rc = tree_root(&s->tree, &root, &at);
	if (rc)
		return txn_done(txn, rc);
	struct daxkv_stat now = {.page_size = v->psize, .depth = root ? root->level + 1u : 0};

	if (txn->write) {
		now.entries = s->tree.count;
		now.leaf_pages = s->tree.leaf_pages;
		now.inner_pages = s->tree.inner_pages;
		now.blob_pages = s->tree.blob_pages;
	} else {
		now.entries = desc_count(v, desc);
		now.leaf_pages = load_word(&desc->leaf_pages);
		now.inner_pages = load_word(&desc->inner_pages);
		now.blob_pages = load_word(&desc->blob_pages);
	}
	rc = txn_done(txn, 0);
	if (!rc)
		*stat = now;
	return rc;
}

static int set_compare(struct daxkv_txn *txn, daxkv_db db, uint32_t flag, daxkv_compare_fn *fn, void *arg)
{
	struct dbstate *s;
	int rc = txn_check(txn, false);

	if (!rc)
		rc = txn_done(txn, dbi_state_any(txn, db, &s));
	if (rc)
		return rc;
	if (fn && !(s->flags & flag) && txn->write && !s->tree.count && (flag == DAXKV_OWN_COMPARE || s->flags & DAXKV_DUP_SORT)) {
		rc = txn_changing(txn, db);
		if (!rc && db != DAXKV_MAIN)
			rc = txn_changing(txn, DAXKV_MAIN);
		if (!rc)
			rc = flags_change(txn, db, s, s->flags | flag);
		if (rc)
			return rc;
	}
	if (!(s->flags & flag) || !fn)
		return err_set(DAXKV_INCOMPATIBLE, "the database (flags 0x%x) was not made with an order of its own", s->flags);
	struct order *o = &txn->kv->dbi[db].order;

	if (o->flags != s->flags)
		order_init(o, s->flags);
	if (flag == DAXKV_OWN_COMPARE) {
		o->key_fn = fn;
		o->key_arg = arg;
	} else {
		o->dup_fn = fn;
		o->dup_arg = arg;
	}
	s->order = *o;
	return 0;
}

int daxkv_set_compare(struct daxkv_txn *txn, daxkv_db db, daxkv_compare_fn *fn, void *arg)
{
	return set_compare(txn, db, DAXKV_OWN_COMPARE, fn, arg);
}

int daxkv_set_dup_compare(struct daxkv_txn *txn, daxkv_db db, daxkv_compare_fn *fn, void *arg)
{
	return set_compare(txn, db, DAXKV_OWN_DUP_COMPARE, fn, arg);
}

int daxkv_cmp(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *a, const struct daxkv_val *b)
{
	struct dbstate *s;

	if (txn_check(txn, false) || txn_done(txn, dbi_state(txn, db, &s)))
		return 0;
	return order_key_cmp(&s->order, a->data, (uint32_t)a->size, b->data, (uint32_t)b->size);
}

int daxkv_dup_cmp(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *a, const struct daxkv_val *b)
{
	struct dbstate *s;

	if (txn_check(txn, false) || txn_done(txn, dbi_state(txn, db, &s)))
		return 0;
	return order_dup_cmp(&s->order, a->data, (uint32_t)a->size, b->data, (uint32_t)b->size);
}
