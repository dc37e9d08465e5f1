/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restore_apply.c - the records of a delta, into the store that they follow. See restore_apply.h
 *
 * Between OPEN and CLOSE the entries that come are merged with those that are there
 * (restore_merge.c). Outside of them each record is a change of one entry. Commits come in between,
 * because nobody else sees the store. Each database is checked by its number of entries.
 */
#include "api/restore_apply.h"
#include "base/array.h"
#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

/* bytes put and removed after which it commits: what a transaction keeps in memory stays small */
#define COMMIT_BYTES (32u << 20)
/* a main database of such an order has no named ones */
#define NAMELESS (DAXKV_DUP_SORT | DAXKV_INTEGER_KEY | DAXKV_OWN_COMPARE)
/* of a PUT record before key and value: its kind, and their lengths */
#define PUT_HEAD 11u

/* ---- transactions ---------------------------------------------------------------------------- */

/* commit - and begin anew. The merge, if one is open, goes on. */
static int commit(struct apply *a)
{
	const bool open = a->open;
	struct daxkv_txn *txn = a->txn;
	int rc;

	if (open)
		merge_end(a);
	a->txn = NULL;
	a->uncommitted = 0;
	rc = daxkv_txn_commit(txn);
	if (rc)
		return rc;
	rc = daxkv_txn_begin(a->store, NULL, 0, &a->txn);
	if (rc)
		return rc;
	if (!open)
		return 0;
	return merge_begin(a);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* on_name - names are gathered until the main database comes, which they are held against. */
static int on_name(struct apply *a)
{
	struct apply_name name = {.p = NULL};
	int rc = apply_u16(a, &name.size);

	if (rc)
		return rc;
	if (a->some || !name.size)
		return apply_senseless(a);
	rc = apply_get(a, &a->name, name.size);
	if (rc)
		return rc;
	rc = array_room(&a->names, a->n_names, &a->names_room, sizeof *a->names);
	if (rc)
		return rc;
	name.p = malloc(name.size);
	if (!name.p)
		return err_set(ENOMEM, "no memory for a name");
	memcpy(name.p, a->name.p, name.size);
	a->names[a->n_names] = name;
	a->n_names++;
	return 0;
}

/* as_given - the order of entries that come in order: each behind the one before. A load compares
 * the last entry with the next one. The program's own comparator is not here, and need not be:
 * entries come in its order. */
static int as_given(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	if (a->size != b->size)
		return -1;
	if (a->size && memcmp(a->data, b->data, a->size) != 0)
		return -1;
	return 0;
}

/* own_order - where the database's order is the program's own: that one. Without one no call on the
 * database would be possible. */
static int own_order(struct apply *a, daxkv_db db, unsigned int flags)
{
	int rc = 0;

	if (flags & DAXKV_OWN_COMPARE)
		rc = daxkv_db_set_compare(a->txn, db, as_given, NULL);
	if (rc)
		return rc;
	if (flags & DAXKV_OWN_DUP_COMPARE)
		rc = daxkv_db_set_dup_compare(a->txn, db, as_given, NULL);
	return rc;
}

/* drop - the named database goes. NOT_FOUND when it is not there. */
static int drop(struct apply *a, const struct daxkv_val *name)
{
	unsigned int flags = 0;
	daxkv_db db;
	int rc = daxkv_db_open(a->txn, name, 0, &db);

	if (rc)
		return rc;
	rc = daxkv_db_flags(a->txn, db, &flags);
	if (rc)
		return rc;
	rc = own_order(a, db, flags);
	if (rc)
		return rc;
	return daxkv_db_drop(a->txn, db, 1);
}

/* drop_if_there - the same, where it may not be there. */
static int drop_if_there(struct apply *a, const struct daxkv_val *name)
{
	int rc = drop(a, name);

	if (rc == DAXKV_NOT_FOUND)
		return 0;
	return rc;
}

/* name_kept - whether the delta has a NAME for that database. Both come in the main one's order: *i
 * goes on to the first NAME behind it. */
static bool name_kept(struct apply *a, const struct daxkv_val *name, size_t *i)
{
	int c = 1;

	for (; *i < a->n_names && c > 0; *i += c > 0) {
		const struct daxkv_val kept = {a->names[*i].size, a->names[*i].p};

		c = daxkv_db_compare(a->txn, DAXKV_MAIN, name, &kept);
	}
	return c == 0;
}

/* names_drop - the databases that have no NAME go. */
static int names_drop(struct apply *a)
{
	struct apply_bytes last = {.p = NULL};
	struct daxkv_val name = {0, NULL};
	size_t i = 0;
	int rc = daxkv_db_list_next(a->txn, &name);

	while (!rc) {
		bool kept = name_kept(a, &name, &i);

		rc = apply_keep(&last, name.data, name.size); /* it lies in a page that changes */
		name = apply_val(&last);
		if (!rc && !kept)
			rc = drop(a, &name);
		if (!rc)
			rc = daxkv_db_list_next(a->txn, &name);
	}
	free(last.p);
	if (rc == DAXKV_NOT_FOUND)
		return 0;
	return rc;
}

/* ---- databases ------------------------------------------------------------------------------- */

/* entries_check - the database in work has as many entries as it should. */
static int entries_check(struct apply *a)
{
	struct daxkv_db_stat stat;
	int rc = daxkv_db_stat(a->txn, a->db, &stat);

	if (rc)
		return rc;
	if (stat.entries != a->entries)
		return apply_misfit(a, "a database has another number of entries");
	return 0;
}

/* database_end - of the database in work. The main one's names are entries, too, and not all there
 * yet. The handle is closed: the next database takes its place. */
static int database_end(struct apply *a)
{
	if (a->open)
		return apply_senseless(a);
	if (!a->some || a->main)
		return 0;
	int rc = entries_check(a);

	if (!rc && a->uncommitted >= COMMIT_BYTES)
		rc = commit(a);
	daxkv_db_close(a->store, a->db);
	a->some = false;
	return rc;
}

/* main_anew - the main database, emptied, with these flags. Named databases go with it: their names
 * come again. */
static int main_anew(struct apply *a, unsigned int flags)
{
	unsigned int has = 0;
	daxkv_db db;
	int rc = daxkv_db_flags(a->txn, DAXKV_MAIN, &has);

	if (rc)
		return rc;
	rc = own_order(a, DAXKV_MAIN, has);
	if (rc)
		return rc;
	rc = daxkv_db_drop(a->txn, DAXKV_MAIN, 0);
	if (rc)
		return rc;
	return daxkv_db_open(a->txn, NULL, flags | DAXKV_CREATE, &db);
}

/* load_next - a daxkv_bulk_load_fn: the PUT records that follow. The first other record is kept for
 * record_apply. */
static int load_next(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	struct apply *a = arg;

	assert(a->some);
	a->load_rc = apply_u8(a, &a->record);
	if (a->load_rc)
		return a->load_rc;
	if (a->record != DELTA_PUT)
		return DAXKV_NOT_FOUND;
	a->load_rc = apply_entry(a);
	if (a->load_rc)
		return a->load_rc;
	*key = apply_val(&a->key);
	*value = apply_val(&a->value);
	a->load_rc = restore_more(a->progress, PUT_HEAD + key->size + value->size);
	return a->load_rc;
}

/* load - a database that comes whole. What the load refuses is not in the order that a database
 * has. */
static int load(struct apply *a, unsigned int flags)
{
	assert(a->some);
	assert(!a->open);
	int rc = own_order(a, a->db, flags);

	if (rc)
		return rc;
	rc = daxkv_bulk_load(a->txn, a->db, 0, load_next, a, NULL);
	if (a->load_rc)
		return a->load_rc;
	if (rc == DAXKV_EXIST || rc == DAXKV_KEY_SIZE || rc == DAXKV_VALUE_SIZE)
		return apply_senseless(a);
	a->uncommitted = COMMIT_BYTES;
	return rc;
}

/* main_ready - the main database's names are dropped before its entries come: a key may have been a
 * name. */
static int main_ready(struct apply *a, bool whole, unsigned int flags)
{
	a->db = DAXKV_MAIN;
	if (whole)
		return main_anew(a, flags);
	if (flags & NAMELESS)
		return 0;
	return names_drop(a);
}

/* named_ready - a handle of the named database, new when it comes whole. */
static int named_ready(struct apply *a, bool whole, unsigned int flags)
{
	const struct daxkv_val name = apply_val(&a->name);
	unsigned int open_flags = 0;
	int rc = 0;

	if (whole) {
		open_flags = flags | DAXKV_CREATE;
		rc = drop_if_there(a, &name);
	}
	if (rc)
		return rc;
	rc = daxkv_db_open(a->txn, &name, open_flags, &a->db);
	if (rc == DAXKV_NOT_FOUND)
		return apply_misfit(a, "a database is missing");
	return rc;
}

/* database_ready - the handle of the database in work, which has these flags. */
static int database_ready(struct apply *a, bool whole, unsigned int flags)
{
	unsigned int has = flags;
	int rc;

	a->main = a->name.size == 0;
	a->dups = flags & DAXKV_DUP_SORT;
	if (a->main)
		rc = main_ready(a, whole, flags);
	else
		rc = named_ready(a, whole, flags);
	if (rc)
		return rc;
	rc = daxkv_db_flags(a->txn, a->db, &has);
	if (rc)
		return rc;
	if (has != flags)
		return apply_misfit(a, "a database has other flags");
	a->some = true;
	return 0;
}

/* ---- records --------------------------------------------------------------------------------- */

/* on_database - the main one, which has no name, comes first. */
static int on_database(struct apply *a)
{
	uint8_t whole;
	uint32_t size;
	uint32_t flags;
	int rc = database_end(a);

	a->databases++;
	if (rc)
		return rc;
	rc = apply_u8(a, &whole);
	if (rc)
		return rc;
	rc = apply_u16(a, &size);
	if (rc)
		return rc;
	rc = apply_u32(a, &flags);
	if (rc)
		return rc;
	rc = apply_u64(a, &a->entries);
	if (rc)
		return rc;
	bool first = a->databases == 1;

	if ((size == 0) != first)
		return apply_senseless(a);
	if (first)
		a->main_entries = a->entries;
	rc = apply_get(a, &a->name, size);
	if (rc)
		return rc;
	rc = database_ready(a, whole, flags);
	if (rc)
		return rc;
	if (!whole)
		return 0;
	return load(a, flags);
}

static int on_open(struct apply *a)
{
	int rc = apply_place(a, &a->from_key, &a->from_dup);

	if (rc)
		return rc;
	if (!a->some || a->open)
		return apply_senseless(a);
	a->from_some = a->from_key.size;
	return merge_begin(a);
}

static int on_close(struct apply *a)
{
	const struct daxkv_val *end = NULL;
	struct daxkv_val at;
	bool found;
	int rc = apply_place(a, &a->key, &a->value);

	if (rc)
		return rc;
	if (!a->open)
		return apply_senseless(a);
	const struct daxkv_val key = apply_val(&a->key);
	const struct daxkv_val dup = apply_val(&a->value);

	if (key.size)
		end = &key;
	rc = merge_upto(a, end, &dup, &found, &at);
	if (rc)
		return rc;
	merge_end(a);
	return 0;
}

static int on_put(struct apply *a)
{
	int rc = apply_entry(a);

	if (rc)
		return rc;
	if (!a->some)
		return apply_senseless(a);
	if (a->open)
		return merge_put(a);
	const struct daxkv_val key = apply_val(&a->key);
	struct daxkv_val value = apply_val(&a->value);

	a->uncommitted += key.size + value.size;
	return daxkv_put(a->txn, a->db, &key, &value, 0);
}

static int on_del(struct apply *a)
{
	const struct daxkv_val *value = NULL;
	int rc = apply_place(a, &a->key, &a->value);

	if (rc)
		return rc;
	if (!a->some || a->open)
		return apply_senseless(a);
	const struct daxkv_val key = apply_val(&a->key);
	const struct daxkv_val dup = apply_val(&a->value);

	if (a->dups)
		value = &dup;
	a->uncommitted += key.size;
	rc = daxkv_del(a->txn, a->db, &key, value);
	if (a->main && (rc == DAXKV_NOT_FOUND || rc == DAXKV_INCOMPATIBLE))
		return 0; /* it was a database's name */
	if (rc == DAXKV_NOT_FOUND)
		return apply_misfit(a, "an entry is missing");
	return rc;
}

/* totals_agree - the delta's own totals are what came. */
static bool totals_agree(const struct apply *a, uint64_t named)
{
	if (named != a->n_names)
		return false;
	if (named + 1 != a->databases)
		return false;
	return a->read == a->payload;
}

/* on_end - the totals, and the main database's number of entries. */
static int on_end(struct apply *a)
{
	struct daxkv_db_stat stat;
	uint64_t named;
	int rc = apply_u64(a, &named);

	if (rc)
		return rc;
	rc = database_end(a);
	if (rc)
		return rc;
	if (!totals_agree(a, named))
		return apply_senseless(a);
	rc = daxkv_db_stat(a->txn, DAXKV_MAIN, &stat);
	if (rc)
		return rc;
	if (stat.entries != a->main_entries)
		return apply_misfit(a, "the main database has another number of entries");
	a->ended = true;
	return daxkv_txn_set_user_version(a->txn, a->in->head.user_version);
}

/* record_kind - of the next record, which may have been read ahead. */
static int record_kind(struct apply *a, uint8_t *kind)
{
	int rc = 0;

	if (!a->record)
		rc = apply_u8(a, &a->record);
	*kind = a->record;
	a->record = 0;
	return rc;
}

/* record_apply - the next record. A commit comes between records only. DATABASE and END tell no
 * progress of their own: they are few. */
static int record_apply(struct apply *a)
{
	assert(a->txn);
	const uint64_t before = a->read;
	uint8_t kind;
	int rc = record_kind(a, &kind);

	if (rc)
		return rc;
	switch (kind) {
	case DELTA_NAME:
		rc = on_name(a);
		break;
	case DELTA_DATABASE:
		return on_database(a);
	case DELTA_OPEN:
		rc = on_open(a);
		break;
	case DELTA_CLOSE:
		rc = on_close(a);
		break;
	case DELTA_PUT:
		rc = on_put(a);
		break;
	case DELTA_DEL:
		rc = on_del(a);
		break;
	case DELTA_END:
		return on_end(a);
	default:
		return apply_senseless(a);
	}
	if (rc)
		return rc;
	if (a->uncommitted >= COMMIT_BYTES)
		rc = commit(a);
	if (rc)
		return rc;
	return restore_more(a->progress, a->read - before);
}

/* records_apply - all of them. */
static int records_apply(struct apply *a)
{
	while (a->read < a->payload) {
		int rc = record_apply(a);

		if (rc)
			return rc;
	}
	if (!a->ended)
		return apply_senseless(a);
	return 0;
}

/* apply_free - the memory that was taken on the way. */
static void apply_free(struct apply *a)
{
	for (size_t i = 0; i < a->n_names; i++)
		free(a->names[i].p);
	free(a->names);
	free(a->name.p);
	free(a->from_key.p);
	free(a->from_dup.p);
	free(a->key.p);
	free(a->value.p);
}

int restore_apply(struct daxkv_store *store, struct delta_in *in, uint64_t payload,
                  struct restore_progress *progress)
{
	struct apply a = {
	    .store = store,
	    .in = in,
	    .payload = payload,
	    .progress = progress,
	};
	int rc = daxkv_txn_begin(store, NULL, 0, &a.txn);

	if (!rc)
		rc = records_apply(&a);
	if (a.open)
		merge_end(&a);
	if (!rc) {
		rc = daxkv_txn_commit(a.txn);
		a.txn = NULL;
	}
	daxkv_txn_abort(a.txn);
	apply_free(&a);
	return rc;
}
