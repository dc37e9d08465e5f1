/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restore_apply.c - the records of a delta, into the store that they follow. See backup.h
 *
 * Between OPEN and CLOSE the entries that are there and those that are put are merged: what is not
 * put goes. Outside of them each record is a change of one entry. Commits come in between, because
 * nobody else sees the store: after one the merge goes on behind the last entry that was put.
 *
 *   in the store    b  c  d     f  h       cursor: the next entry that was there
 *   records      OPEN a   PUT c  PUT e   CLOSE h
 *   afterwards         c  e  h             b, d and f were not put, and go
 *
 * The delta was verified as a whole before (delta_check), so its bytes are those that were written.
 * What they say is still bounded: a record that makes no sense is CORRUPT, and one that does not
 * fit the store that is there is INCOMPATIBLE. Each database is checked by its number of entries.
 */
#include "api/backup.h"
#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

/* bytes put and removed after which it commits: what a transaction keeps in memory stays small */
#define COMMIT_BYTES (32u << 20)
/* a main database of such an order has no named ones */
#define NAMELESS (DAXKV_DUP_SORT | DAXKV_INTEGER_KEY | DAXKV_OWN_COMPARE)

struct bytes { /* owned; grows */
	uint8_t *p;
	size_t size, room;
};

struct name { /* of a NAME record */
	uint8_t *p;
	uint32_t size;
};

struct apply {
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	struct delta_in *in;
	struct restore_progress *progress;
	uint64_t payload;     /* of the delta */
	uint64_t read;        /* of it */
	uint64_t uncommitted; /* bytes put and removed */
	/* the database in work */
	daxkv_db db;
	bool some, main, dups;
	uint64_t entries; /* that it has in the end */
	struct bytes name;
	/* the merge: where it began, or the last entry that was put */
	bool open, from_some, past;
	struct bytes from_key, from_dup;
	struct daxkv_cursor *cursor; /* on the next entry that was there; past: there is none */
	struct bytes key, value;     /* of the record in work */
	struct name *names;
	size_t n_names, names_room;
	uint64_t main_entries, databases;
	uint8_t record; /* read ahead; 0: none */
	int load_rc;    /* what ended a load */
	bool ended;     /* END was read */
};

/* ---- reading --------------------------------------------------------------------------------- */

/* misfit - INCOMPATIBLE: the delta is sound, and belongs to another store or commit. */
static int misfit(const struct apply *a, const char *what)
{
	return err_set(DAXKV_INCOMPATIBLE, "%s: it does not fit what the pieces before it made: %s",
	               a->in->path, what);
}

/* senseless - CORRUPT, with the place in the delta. */
static int senseless(const struct apply *a)
{
	return err_set(DAXKV_CORRUPT, "%s: a record before byte %lu makes no sense", a->in->path,
	               a->in->off);
}

static int get(struct apply *a, void *to, size_t n)
{
	a->read += n;
	return delta_bytes(a->in, to, n);
}

static int get_u8(struct apply *a, uint8_t *x)
{
	return get(a, x, 1);
}

static int get_u16(struct apply *a, uint32_t *x)
{
	uint8_t b[2];
	int rc = get(a, b, sizeof b);

	*x = rc ? 0 : get16(b);
	return rc;
}

static int get_u32(struct apply *a, uint32_t *x)
{
	uint8_t b[4];
	int rc = get(a, b, sizeof b);

	*x = rc ? 0 : get32(b);
	return rc;
}

static int get_u64(struct apply *a, uint64_t *x)
{
	uint8_t b[8];
	int rc = get(a, b, sizeof b);

	*x = rc ? 0 : get64(b);
	return rc;
}

/* get_bytes - n of them, which the delta has. The length comes from the delta, so it is bounded
 * before memory is taken. One byte more than n: an empty key has an address, too. */
static int get_bytes(struct apply *a, struct bytes *to, uint64_t n)
{
	if (n > a->payload - a->read)
		return senseless(a);
	if (n + 1 > to->room) {
		uint8_t *more = realloc(to->p, n + 1);

		if (!more)
			return err_set(ENOMEM, "no memory for %lu bytes of a delta", n);
		to->p = more;
		to->room = n + 1;
	}
	to->size = n;
	return get(a, to->p, n);
}

static struct daxkv_val val(const struct bytes *b)
{
	return (struct daxkv_val){b->size, b->p};
}

/* get_place - key and duplicate of OPEN, CLOSE and DEL. A klen of 0 is no key: the database's begin
 * or end. */
static int get_place(struct apply *a, struct bytes *key, struct bytes *dup)
{
	uint32_t klen, dlen;
	int rc = get_u16(a, &klen);

	if (!rc)
		rc = get_u16(a, &dlen);
	if (!rc && klen && a->dups != (dlen != DELTA_NONE))
		rc = senseless(a);
	if (!rc)
		rc = get_bytes(a, key, klen);
	if (!rc)
		rc = get_bytes(a, dup, dlen == DELTA_NONE ? 0 : dlen);
	return rc;
}

/* ---- the merge ------------------------------------------------------------------------------- */

/* answered - whether there is an entry, of a cursor's result. NOT_FOUND is the end of the database,
 * not a failure. */
static int answered(struct apply *a, int rc)
{
	a->past = rc == DAXKV_NOT_FOUND;
	return a->past ? 0 : rc;
}

static int next(struct apply *a, enum daxkv_cursor_op op)
{
	return answered(a, daxkv_cursor_get(a->cursor, NULL, NULL, op));
}

/* seek_after - the cursor on the first entry behind from. After a commit this is how the merge
 * finds back. */
static int seek_after(struct apply *a)
{
	struct daxkv_val from = val(&a->from_key), dup = val(&a->from_dup), key = from, value = dup;
	int rc;

	if (!a->from_some)
		return next(a, DAXKV_FIRST);
	if (a->dups) {
		rc = daxkv_cursor_get(a->cursor, &key, &value, DAXKV_SEEK_PAIR_GE);
		if (rc == 0 && daxkv_db_dup_compare(a->txn, a->db, &value, &dup) == 0)
			return next(a, DAXKV_NEXT);
		if (rc != DAXKV_NOT_FOUND)
			return answered(a, rc);
		key = from;
	}
	rc = answered(a, daxkv_cursor_get(a->cursor, &key, &value, DAXKV_SEEK_GE));
	if (rc || a->past || daxkv_db_compare(a->txn, a->db, &key, &from) != 0)
		return rc;
	return next(a, DAXKV_NEXT_KEY);
}

/* merge_begin - the cursor is on the first entry behind where the merge begins. */
static int merge_begin(struct apply *a)
{
	assert(!a->cursor);
	int rc = daxkv_cursor_open(a->txn, a->db, &a->cursor);

	a->open = !rc;
	return rc ? rc : seek_after(a);
}

static void merge_end(struct apply *a)
{
	daxkv_cursor_close(a->cursor);
	a->cursor = NULL;
	a->open = false;
}

/* merge_remove - the entry under the cursor goes; a database's name stays. The cursor then is on
 * the entry that followed. */
static int merge_remove(struct apply *a, size_t bytes)
{
	assert(a->cursor && !a->past);
	int rc = daxkv_cursor_del(a->cursor, 0);

	a->uncommitted += bytes;
	if (rc == DAXKV_INCOMPATIBLE && a->main)
		return next(a, DAXKV_NEXT);
	return rc ? rc : next(a, DAXKV_GET_CURRENT);
}

/* merge_upto - entries before the place go, or all (NULL). *at: the entry at it; found false: there
 * is none. */
static int merge_upto(struct apply *a, const struct daxkv_val *key, const struct daxkv_val *dup,
                      bool *found, struct daxkv_val *at)
{
	struct daxkv_val k, v;
	int rc = 0;

	*found = false;
	while (!a->past && !rc) {
		int c = -1;

		rc = answered(a, daxkv_cursor_get(a->cursor, &k, &v, DAXKV_GET_CURRENT));
		if (rc || a->past)
			return rc;
		if (key)
			c = daxkv_db_compare(a->txn, a->db, &k, key);
		if (key && c == 0 && a->dups)
			c = daxkv_db_dup_compare(a->txn, a->db, &v, dup);
		*found = c == 0;
		*at = v;
		if (c >= 0)
			return 0;
		rc = merge_remove(a, k.size + v.size);
	}
	return rc;
}

static int keep(struct bytes *to, const struct bytes *from)
{
	if (from->size + 1 > to->room) {
		uint8_t *more = realloc(to->p, from->size + 1);

		if (!more)
			return err_set(ENOMEM, "no memory for a key");
		to->p = more;
		to->room = from->size + 1;
	}
	to->size = from->size;
	if (from->size)
		memcpy(to->p, from->p, from->size);
	return 0;
}

/* merge_put - an entry that is there as it is put stays untouched. The cursor goes on behind it,
 * and the key is kept for after a commit. */
static int merge_put(struct apply *a)
{
	assert(a->open && a->cursor);
	struct daxkv_val key = val(&a->key), value = val(&a->value), at;
	bool found;
	int rc = merge_upto(a, &key, &value, &found, &at);

	if (!rc && !(found && at.size == value.size &&
	             (!at.size || memcmp(at.data, value.data, at.size) == 0))) {
		a->uncommitted += key.size + value.size;
		rc = daxkv_put(a->txn, a->db, &key, &value, 0);
	}
	if (!rc && found)
		rc = next(a, DAXKV_NEXT);
	a->from_some = true;
	if (!rc)
		rc = keep(&a->from_key, &a->key);
	if (!rc && a->dups)
		rc = keep(&a->from_dup, &a->value);
	return rc;
}

/* ---- transactions ---------------------------------------------------------------------------- */

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
	if (!rc)
		rc = daxkv_txn_begin(a->store, NULL, 0, &a->txn);
	return rc || !open ? rc : merge_begin(a);
}

/* ---- records --------------------------------------------------------------------------------- */

/* on_name - names are gathered until the main database comes, which they are held against. */
static int on_name(struct apply *a)
{
	struct name name = {.p = NULL};
	int rc = get_u16(a, &name.size);

	if (!rc && (a->some || !name.size))
		rc = senseless(a);
	if (!rc)
		rc = get_bytes(a, &a->name, name.size);
	if (!rc && a->n_names == a->names_room) {
		size_t room = a->names_room ? 2 * a->names_room : 64;
		struct name *more = realloc(a->names, room * sizeof *more);

		if (!more)
			return err_set(ENOMEM, "no memory for %zu names", room);
		a->names = more;
		a->names_room = room;
	}
	if (!rc)
		name.p = malloc(name.size);
	if (!rc && !name.p)
		rc = err_set(ENOMEM, "no memory for a name");
	if (rc)
		return rc;
	memcpy(name.p, a->name.p, name.size);
	a->names[a->n_names++] = name;
	return 0;
}

/* as_given - the order of entries that come in order: each behind the one before. A load compares
 * the last entry with the next one. The program's own comparator is not here, and need not be:
 * entries come in its order. */
static int as_given(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	return a->size == b->size && (!a->size || memcmp(a->data, b->data, a->size) == 0) ? 0 : -1;
}

/* own_order - where the database's order is the program's own: that one. Without one no call on the
 * database would be possible. */
static int own_order(struct apply *a, daxkv_db db, unsigned int flags)
{
	int rc = 0;

	if (flags & DAXKV_OWN_COMPARE)
		rc = daxkv_db_set_compare(a->txn, db, as_given, NULL);
	if (!rc && flags & DAXKV_OWN_DUP_COMPARE)
		rc = daxkv_db_set_dup_compare(a->txn, db, as_given, NULL);
	return rc;
}

/* drop - the named database goes. NOT_FOUND when it is not there. */
static int drop(struct apply *a, const struct daxkv_val *name)
{
	unsigned int flags = 0;
	daxkv_db db;
	int rc = daxkv_db_open(a->txn, name, 0, &db);

	if (!rc)
		rc = daxkv_db_flags(a->txn, db, &flags);
	if (!rc)
		rc = own_order(a, db, flags);
	return rc ? rc : daxkv_db_drop(a->txn, db, 1);
}

/* names_drop - the databases that have no NAME go. Both come in the main one's order. */
static int names_drop(struct apply *a)
{
	struct bytes last = {.p = NULL};
	struct daxkv_val name = {0, NULL};
	size_t i = 0;
	int rc = 0;

	while (!rc && (rc = daxkv_db_list_next(a->txn, &name)) == 0) {
		const struct bytes bytes = {name.data, name.size, 0};
		int c = 1;

		for (; i < a->n_names && c > 0; i += c > 0) {
			const struct daxkv_val kept = {a->names[i].size, a->names[i].p};

			c = daxkv_db_compare(a->txn, DAXKV_MAIN, &name, &kept);
		}
		rc = keep(&last, &bytes); /* the name lies in a page that changes */
		name = val(&last);
		if (!rc && c)
			rc = drop(a, &name);
	}
	free(last.p);
	return rc == DAXKV_NOT_FOUND ? 0 : rc;
}

/* database_end - the database in work has as many entries as it should. The main one's names are
 * entries, too, and not all there yet. The handle is closed: the next database takes its place. */
static int database_end(struct apply *a)
{
	struct daxkv_db_stat stat;
	int rc;

	if (a->open)
		return senseless(a);
	if (!a->some || a->main)
		return 0;
	rc = daxkv_db_stat(a->txn, a->db, &stat);
	if (!rc && stat.entries != a->entries)
		rc = misfit(a, "a database has another number of entries");
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

	if (!rc)
		rc = own_order(a, DAXKV_MAIN, has);
	if (!rc)
		rc = daxkv_db_drop(a->txn, DAXKV_MAIN, 0);
	return rc ? rc : daxkv_db_open(a->txn, NULL, flags | DAXKV_CREATE, &db);
}

/* load_next - a daxkv_bulk_load_fn: the PUT records that follow. The first other record is kept for
 * one(). */
static int load_next(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	assert(((struct apply *)arg)->some);
	struct apply *a = arg;
	uint32_t klen;
	uint64_t vlen;
	int rc = get_u8(a, &a->record);

	if (!rc && a->record != DELTA_PUT)
		return DAXKV_NOT_FOUND;
	if (!rc)
		rc = get_u16(a, &klen);
	if (!rc)
		rc = get_u64(a, &vlen);
	if (!rc)
		rc = get_bytes(a, &a->key, klen);
	if (!rc)
		rc = get_bytes(a, &a->value, vlen);
	if (!rc)
		rc = restore_more(a->progress, 11 + klen + vlen);
	*key = val(&a->key);
	*value = val(&a->value);
	a->load_rc = rc;
	return rc;
}

/* load - a database that comes whole. What the load refuses is not in the order that a database
 * has. */
static int load(struct apply *a, unsigned int flags)
{
	assert(a->some && !a->open);
	int rc = own_order(a, a->db, flags);

	if (!rc)
		rc = daxkv_bulk_load(a->txn, a->db, 0, load_next, a, NULL);
	if (a->load_rc)
		return a->load_rc;
	if (rc == DAXKV_EXIST || rc == DAXKV_KEY_SIZE || rc == DAXKV_VALUE_SIZE)
		return senseless(a);
	a->uncommitted = COMMIT_BYTES;
	return rc;
}

/* database_ready - the handle of the database in work, which has these flags. The main one's names
 * are dropped before its entries come: a key may have been a name. */
static int database_ready(struct apply *a, bool whole, unsigned int flags)
{
	const struct daxkv_val name = val(&a->name);
	unsigned int has = flags;
	int rc = 0;

	a->main = !name.size;
	a->dups = flags & DAXKV_DUP_SORT;
	a->db = DAXKV_MAIN;
	if (a->main && whole)
		rc = main_anew(a, flags);
	else if (a->main && !(flags & NAMELESS))
		rc = names_drop(a);
	else if (whole && (rc = drop(a, &name)) == DAXKV_NOT_FOUND)
		rc = 0;
	if (!rc && !a->main)
		rc = daxkv_db_open(a->txn, &name, whole ? flags | DAXKV_CREATE : 0, &a->db);
	if (rc == DAXKV_NOT_FOUND)
		return misfit(a, "a database is missing");
	if (!rc)
		rc = daxkv_db_flags(a->txn, a->db, &has);
	if (!rc && has != flags)
		rc = misfit(a, "a database has other flags");
	a->some = !rc;
	return rc;
}

static int on_database(struct apply *a)
{
	uint8_t whole;
	uint32_t size, flags;
	int rc = database_end(a);

	a->databases++;
	if (!rc)
		rc = get_u8(a, &whole);
	if (!rc)
		rc = get_u16(a, &size);
	if (!rc)
		rc = get_u32(a, &flags);
	if (!rc)
		rc = get_u64(a, &a->entries);
	if (!rc && (size == 0) != (a->databases == 1))
		rc = senseless(a);
	if (!rc)
		rc = get_bytes(a, &a->name, size);
	if (!rc && !size)
		a->main_entries = a->entries;
	if (!rc)
		rc = database_ready(a, whole, flags);
	return rc || !whole ? rc : load(a, flags);
}

static int on_open(struct apply *a)
{
	int rc = get_place(a, &a->from_key, &a->from_dup);

	if (!rc && (!a->some || a->open))
		rc = senseless(a);
	a->from_some = a->from_key.size;
	return rc ? rc : merge_begin(a);
}

static int on_close(struct apply *a)
{
	int rc = get_place(a, &a->key, &a->value);
	const struct daxkv_val key = val(&a->key), dup = val(&a->value);
	struct daxkv_val at;
	bool found;

	if (!rc && !a->open)
		rc = senseless(a);
	if (!rc)
		rc = merge_upto(a, key.size ? &key : NULL, &dup, &found, &at);
	if (!rc)
		merge_end(a);
	return rc;
}

static int on_put(struct apply *a)
{
	struct daxkv_val key, value;
	uint32_t klen;
	uint64_t vlen;
	int rc = get_u16(a, &klen);

	if (!rc)
		rc = get_u64(a, &vlen);
	if (!rc)
		rc = get_bytes(a, &a->key, klen);
	if (!rc)
		rc = get_bytes(a, &a->value, vlen);
	if (!rc && !a->some)
		rc = senseless(a);
	if (!rc && a->open)
		return merge_put(a);
	key = val(&a->key);
	value = val(&a->value);
	a->uncommitted += key.size + value.size;
	return rc ? rc : daxkv_put(a->txn, a->db, &key, &value, 0);
}

static int on_del(struct apply *a)
{
	int rc = get_place(a, &a->key, &a->value);
	const struct daxkv_val key = val(&a->key), dup = val(&a->value);

	if (!rc && (!a->some || a->open))
		rc = senseless(a);
	if (rc)
		return rc;
	a->uncommitted += key.size;
	rc = daxkv_del(a->txn, a->db, &key, a->dups ? &dup : NULL);
	if (a->main && (rc == DAXKV_NOT_FOUND || rc == DAXKV_INCOMPATIBLE))
		return 0; /* it was a database's name */
	return rc == DAXKV_NOT_FOUND ? misfit(a, "an entry is missing") : rc;
}

/* on_end - the delta's own totals against what came, and the main database's number of entries. */
static int on_end(struct apply *a)
{
	struct daxkv_db_stat stat;
	uint64_t databases;
	int rc = get_u64(a, &databases);

	if (!rc)
		rc = database_end(a);
	if (!rc &&
	    (databases != a->n_names || databases + 1 != a->databases || a->read != a->payload))
		rc = senseless(a);
	if (!rc)
		rc = daxkv_db_stat(a->txn, DAXKV_MAIN, &stat);
	if (!rc && stat.entries != a->main_entries)
		rc = misfit(a, "the main database has another number of entries");
	a->ended = true;
	if (!rc)
		rc = daxkv_txn_set_user_version(a->txn, a->in->head.user_version);
	return rc;
}

/* one - the next record. A commit comes between records only. DATABASE and END tell no progress of
 * their own: they are few. */
static int one(struct apply *a)
{
	assert(a->txn);
	const uint64_t before = a->read;
	int rc = 0;

	if (!a->record)
		rc = get_u8(a, &a->record);
	if (rc)
		return rc;
	uint8_t kind = a->record;

	a->record = 0;
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
		return senseless(a);
	}
	if (!rc && a->uncommitted >= COMMIT_BYTES)
		rc = commit(a);
	return rc ? rc : restore_more(a->progress, a->read - before);
}

int restore_apply(struct daxkv_store *store, struct delta_in *in, uint64_t payload,
                  struct restore_progress *progress)
{
	struct apply a = {.store = store, .in = in, .payload = payload, .progress = progress};
	int rc = daxkv_txn_begin(store, NULL, 0, &a.txn);

	while (!rc && a.read < payload)
		rc = one(&a);
	if (!rc && !a.ended)
		rc = senseless(&a);
	if (a.open)
		merge_end(&a);
	if (!rc) {
		rc = daxkv_txn_commit(a.txn);
		a.txn = NULL;
	}
	daxkv_txn_abort(a.txn);
	for (size_t i = 0; i < a.n_names; i++)
		free(a.names[i].p);
	free(a.names);
	free(a.name.p);
	free(a.from_key.p);
	free(a.from_dup.p);
	free(a.key.p);
	free(a.value.p);
	return rc;
}
