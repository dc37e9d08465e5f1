/* SPDX-License-Identifier: BSD-3-Clause */
#include "drive_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- handles --------------------------------------------------------------------------------- */

static struct daxkv_val name_val(const char *name)
{
	return (struct daxkv_val){strlen(name), (void *)(uintptr_t)name};
}

static int db_open(struct daxkv_txn *txn, const char *name, unsigned int flags, unsigned int create,
                   daxkv_db *db)
{
	struct daxkv_val val = name_val(name);
	int rc = daxkv_db_open(txn, &val, flags | create, db);

	if (rc == 0 && flags & DAXKV_OWN_COMPARE)
		rc = daxkv_db_set_compare(txn, *db, order_own_keys, NULL);
	if (rc == 0 && flags & DAXKV_OWN_DUP_COMPARE)
		rc = daxkv_db_set_dup_compare(txn, *db, order_own_values, NULL);
	return rc;
}

static struct daxkv_txn *txn_of(const struct drive *drive, unsigned int txn)
{
	if (txn)
		return drive->reader[txn].txn;
	return drive->depth ? drive->txn[drive->depth - 1] : NULL;
}

/* handle_get - a handle for the slot's database as transaction txn sees it. */
static int handle_get(struct drive *drive, unsigned int txn, unsigned int index,
                      const struct oracle_db *db, daxkv_db *id)
{
	struct drive_handle *common = &drive->handle[index],
	                    *own = txn ? &drive->reader[txn].handle[index] : common;
	int rc;

	if (index == 0) {
		*id = DAXKV_MAIN;
		return 0;
	}
	if (common->id && common->incarnation == db->incarnation &&
	    (txn == 0 || common->level == 0)) {
		*id = common->id;
		return 0;
	}
	if (own->id && own->incarnation == db->incarnation) {
		*id = own->id;
		return 0;
	}
	rc = db_open(txn_of(drive, txn), db->name, db->flags, 0, id);
	if (rc)
		return rc;
	*own = (struct drive_handle){
	    .id = *id, .level = txn ? 0 : drive->depth, .incarnation = db->incarnation};
	if (txn)
		drive->reader[txn].opened = true;
	return 0;
}

/* handles_commit - the innermost write transaction ends well: its handles become its parent's, or
 * the store's. */
static void handles_commit(struct drive *drive)
{
	for (size_t i = 1; i < OP_DBS; i++) {
		if (drive->handle[i].level == drive->depth)
			drive->handle[i].level--;
	}
}

/* handles_abort - it is undone: its handles are gone, and readers may have been sharing them. */
static void handles_abort(struct drive *drive)
{
	for (size_t i = 1; i < OP_DBS; i++) {
		if (drive->handle[i].level >= drive->depth)
			drive->handle[i].id = drive->handle[i].level = 0;
		for (size_t r = 1; r <= OP_READERS; r++)
			drive->reader[r].handle[i].id = 0;
	}
}

/* handles_complete - between write transactions: a committed handle for every database. */
static int handles_complete(struct drive *drive)
{
	const struct oracle_db *db = drive->oracle->committed.db;
	struct daxkv_txn *txn = NULL;
	int rc = 0;

	for (size_t i = 1; i < OP_DBS && rc == 0; i++) {
		struct drive_handle *handle = &drive->handle[i];

		if (db[i].incarnation == 0 ||
		    (handle->id && handle->incarnation == db[i].incarnation))
			continue;
		if (!txn)
			rc = daxkv_txn_begin(drive->store, NULL, DAXKV_TXN_READ_ONLY, &txn);
		if (rc == 0)
			rc = db_open(txn, db[i].name, db[i].flags, 0, &handle->id);
		handle->incarnation = db[i].incarnation;
		handle->level = 0;
	}
	if (txn && rc == 0)
		return daxkv_txn_commit(txn);
	if (txn)
		daxkv_txn_abort(txn);
	return rc;
}

/* ---- the store ------------------------------------------------------------------------------- */

static int store_open(struct drive *drive)
{
	int rc = daxkv_open(drive->path, &drive->options, &drive->store);

	if (rc == 0)
		rc = handles_complete(drive);
	return rc;
}

int drive_start(struct drive *drive, const char *path, const struct daxkv_options *options,
                unsigned int main_flags, const struct oracle *oracle)
{
	struct daxkv_txn *txn;
	daxkv_db db;
	int rc;

	*drive = (struct drive){.oracle = oracle, .path = path, .options = *options};
	rc = store_open(drive);
	if (rc || !main_flags)
		return rc;
	rc = daxkv_txn_begin(drive->store, NULL, 0, &txn);
	if (rc)
		return rc;
	rc = daxkv_db_open(txn, NULL, main_flags | DAXKV_CREATE, &db);
	if (rc == 0)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return rc;
}

static int reader_end(struct drive *drive, struct drive_reader *reader)
{
	int rc = 0;

	if (reader->opened && reader->reset)
		rc = daxkv_txn_renew(reader->txn);
	if (rc == 0 && (reader->opened || (drive->ends++ & 1 && !reader->reset)))
		rc = daxkv_txn_commit(reader->txn);
	else
		daxkv_txn_abort(reader->txn);
	*reader = (struct drive_reader){0};
	return rc;
}

void drive_abort(struct drive *drive)
{
	if (drive->grouped)
		members_abort(drive);
	while (drive->depth)
		daxkv_txn_abort(drive->txn[--drive->depth]);
}

int drive_end(struct drive *drive)
{
	struct daxkv_counters sum;
	int rc = 0, err;

	for (size_t i = 0; i < OP_CURSORS; i++) {
		if (drive->cursor[i].cursor)
			daxkv_cursor_close(drive->cursor[i].cursor);
		drive->cursor[i] = (struct drive_cursor){0};
	}
	drive_abort(drive);
	for (size_t i = 1; i <= OP_READERS; i++) {
		if (drive->reader[i].txn) {
			err = reader_end(drive, &drive->reader[i]);
			rc = rc ? rc : err;
		}
	}
	drive_counters(drive, &sum);
	err = daxkv_close(drive->store);
	drive->store = NULL;
	drive->past = sum;
	memset(drive->handle, 0, sizeof(drive->handle));
	return rc ? rc : err;
}

void drive_counters(const struct drive *drive, struct daxkv_counters *sum)
{
	struct daxkv_counters now = {0};

	if (drive->store)
		daxkv_counters(drive->store, &now);
	*sum = drive->past;
	sum->commits += now.commits;
	sum->fences += now.fences;
	sum->lines_flushed += now.lines_flushed;
	sum->lines_streamed += now.lines_streamed;
	sum->grows += now.grows;
	sum->splits += now.splits;
	sum->compactions += now.compactions;
	sum->merges += now.merges;
}

static void check_report(const char *fault, void *arg)
{
	(void)arg;
	printf("check: %s\n", fault);
}

int drive_check(struct drive *drive)
{
	uint64_t faults = 0;
	int rc = daxkv_check(drive->store, check_report, NULL, &faults);

	return rc == 0 && faults ? DAXKV_CORRUPT : rc;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static int writer_end(struct drive *drive, bool keep)
{
	struct daxkv_txn *txn = drive->txn[drive->depth - 1];
	int rc = 0;

	for (size_t i = 0; i < OP_CURSORS; i++) { /* they end with the transaction */
		if (drive->cursor[i].cursor && drive->cursor[i].txn == 0 &&
		    drive->cursor[i].level == drive->depth)
			drive->cursor[i].cursor = NULL;
	}
	if (drive->grouped && drive->depth <= 1u + drive->second)
		rc = members_end(drive, keep);
	else if (keep)
		rc = daxkv_txn_commit(txn);
	else
		daxkv_txn_abort(txn);
	if (keep && rc == 0)
		handles_commit(drive);
	else
		handles_abort(drive);
	if (--drive->depth == 0 && rc == 0)
		rc = handles_complete(drive);
	return rc;
}

static int writer_begin(struct drive *drive)
{
	bool done;
	int rc = members_begin(drive, &done);

	if (done)
		return rc;
	rc = daxkv_txn_begin(drive->store, txn_of(drive, 0), 0, &drive->txn[drive->depth]);
	drive->depth += rc == 0;
	return rc;
}

static int compact(struct drive *drive, const struct op *op)
{
	const struct daxkv_compact bounds = {.pages = op->n};
	struct daxkv_compact_report report;
	int rc = daxkv_compact(drive->store, &bounds, &report);

	drive->moved += report.moved;
	drive->compact_cuts += report.size < report.size_before;
	return rc;
}

static int txn_apply(struct drive *drive, const struct op *op)
{
	struct drive_reader *reader = &drive->reader[op->txn];
	int rc;

	switch (op->kind) {
	case OP_BEGIN:
		return writer_begin(drive);
	case OP_COMMIT:
	case OP_ABORT:
		return writer_end(drive, op->kind == OP_COMMIT);
	case OP_READER_BEGIN:
		return daxkv_txn_begin(drive->store, NULL, DAXKV_TXN_READ_ONLY, &reader->txn);
	case OP_READER_RESET:
		daxkv_txn_reset(reader->txn);
		reader->reset = true;
		return 0;
	case OP_READER_RENEW:
		reader->reset = false;
		return daxkv_txn_renew(reader->txn);
	case OP_READER_END:
		return reader_end(drive, reader);
	case OP_SYNC:
		return daxkv_sync(drive->store);
	case OP_CHECK:
		return drive_check(drive);
	case OP_COMPACT:
		return compact(drive, op);
	default: /* OP_REOPEN */
		rc = drive_end(drive);
		return rc ? rc : store_open(drive);
	}
}

/* ---- databases ------------------------------------------------------------------------------- */

static int names_digest(struct daxkv_txn *txn, uint64_t *digest)
{
	struct daxkv_val name = {0, NULL};
	int rc;

	while ((rc = daxkv_db_list_next(txn, &name)) == 0)
		*digest = outcome_digest(*digest, name.data, name.size);
	return rc == DAXKV_NOT_FOUND ? 0 : rc;
}

static int db_stat(struct drive *drive, struct daxkv_txn *txn, daxkv_db db, struct outcome *out)
{
	struct daxkv_db_stat stat;
	int rc = daxkv_db_stat(txn, db, &stat);

	if (rc)
		return rc;
	out->count = stat.entries;
	if (stat.depth > drive->deepest)
		drive->deepest = stat.depth;
	return 0;
}

static int db_create(struct drive *drive, const struct op *op)
{
	struct drive_handle *handle = &drive->handle[op->db];
	int rc = db_open(txn_of(drive, 0), op->name, op->flags, DAXKV_CREATE, &handle->id);

	handle->level = drive->depth;
	handle->incarnation = oracle_view(drive->oracle, 0)->db[op->db].incarnation;
	return rc;
}

static int db_drop(struct drive *drive, const struct op *op, daxkv_db db)
{
	bool del = op->kind == OP_DB_DROP;

	for (size_t i = 0; del && i < OP_CURSORS; i++) {
		struct drive_cursor *cursor = &drive->cursor[i];

		if (!cursor->cursor || cursor->txn || cursor->db != op->db ||
		    cursor->level != drive->depth)
			continue;
		daxkv_cursor_close(cursor->cursor);
		cursor->cursor = NULL;
	}
	if (del)
		drive->handle[op->db].id = 0;
	return daxkv_db_drop(txn_of(drive, 0), db, del);
}

/* db_reopen - OP_DB_OPEN: the handle is not used, only what opening says. */
static int db_reopen(struct drive *drive, const struct op *op)
{
	struct daxkv_val name = name_val(op->name);
	daxkv_db db;

	return daxkv_db_open(txn_of(drive, 0), &name, op->flags, &db);
}

static int db_apply(struct drive *drive, const struct op *op, const struct oracle_before *before,
                    struct outcome *out)
{
	struct daxkv_txn *txn = txn_of(drive, op->txn);
	struct daxkv_val name = name_val(op->name);
	daxkv_db db;
	int rc;

	if (op->kind == OP_DB_LIST)
		return names_digest(txn, &out->count);
	if (op->kind == OP_DB_CREATE)
		return db_create(drive, op);
	rc = before->db.incarnation ? handle_get(drive, op->txn, op->db, &before->db, &db) : 0;
	if (rc)
		return rc;
	if (op->kind == OP_DB_OPEN)
		return db_reopen(drive, op);
	if (op->kind == OP_DB_STAT)
		return db_stat(drive, txn, db, out);
	return op->kind == OP_DB_RENAME ? daxkv_db_rename(txn, db, &name) : db_drop(drive, op, db);
}

/* ---- pairs and cursors ----------------------------------------------------------------------- */

static int put(struct drive *drive, const struct op *op, daxkv_db db, struct outcome *out)
{
	struct daxkv_cursor *cursor = drive->cursor[op->cursor].cursor;
	struct daxkv_val value = op->value;
	int rc;

	if (op->flags & DAXKV_RESERVE)
		value.data = NULL;
	if (op->kind == OP_CURSOR_PUT)
		rc = daxkv_cursor_put(cursor, &op->key, &value, op->flags);
	else
		rc = daxkv_put(txn_of(drive, op->txn), db, &op->key, &value, op->flags);
	if (rc == 0 && op->flags & DAXKV_RESERVE && op->value.size)
		memcpy(value.data, op->value.data, op->value.size);
	if (rc == 0 && op->flags & DAXKV_RESERVE && drive->stored)
		drive->stored(value.data, value.size);
	out->value = value;
	return rc;
}

static int cursor_open(struct drive *drive, const struct op *op, daxkv_db db)
{
	struct drive_cursor *cursor = &drive->cursor[op->cursor];

	cursor->txn = op->txn;
	cursor->db = op->db;
	cursor->level = op->txn ? 0 : drive->depth;
	if (op->kind == OP_CURSOR_RENEW)
		return daxkv_cursor_renew(txn_of(drive, op->txn), cursor->cursor);
	return daxkv_cursor_open(txn_of(drive, op->txn), db, &cursor->cursor);
}

static int entry_apply(struct drive *drive, const struct op *op, const struct oracle_before *before,
                       struct outcome *out)
{
	struct daxkv_cursor *cursor = drive->cursor[op->cursor].cursor;
	daxkv_db db = 0;
	int rc;

	switch (op->kind) {
	case OP_CURSOR_CLOSE:
		daxkv_cursor_close(cursor);
		drive->cursor[op->cursor].cursor = NULL;
		return 0;
	case OP_CURSOR_GET:
		out->key = op->key;
		out->value = op->value;
		return daxkv_cursor_get(cursor, &out->key, &out->value, op->step);
	case OP_CURSOR_PUT:
		return put(drive, op, db, out);
	case OP_CURSOR_DEL:
		return daxkv_cursor_del(cursor, op->flags);
	case OP_CURSOR_COUNT:
		return daxkv_cursor_count(cursor, &out->count);
	case OP_CURSOR_MANY:
		return drive_cursor_many(cursor, op, out);
	default:
		break;
	}
	rc = handle_get(drive, op->txn, op->db, &before->db, &db);
	if (rc)
		return rc;
	switch (op->kind) {
	case OP_GET:
		return daxkv_get(txn_of(drive, op->txn), db, &op->key, &out->value);
	case OP_PUT_MANY:
	case OP_GET_MANY:
	case OP_LOAD:
	case OP_DEL_RANGE:
	case OP_SPLIT:
		return drive_many(txn_of(drive, op->txn), db, op, out);
	case OP_PUT:
		return put(drive, op, db, out);
	case OP_DEL:
		return daxkv_del(txn_of(drive, op->txn), db, &op->key,
		                 op->pair ? &op->value : NULL);
	default:
		return cursor_open(drive, op, db);
	}
}

void drive_apply(struct drive *drive, const struct op *op, const struct oracle_before *before,
                 struct outcome *out)
{
	memset(out, 0, sizeof(*out));
	if (op->kind <= OP_ABORT || op->kind >= OP_SYNC ||
	    (op->kind >= OP_READER_BEGIN && op->kind <= OP_READER_RENEW))
		out->rc = txn_apply(drive, op);
	else if (op->kind >= OP_DB_CREATE && op->kind <= OP_DB_STAT)
		out->rc = db_apply(drive, op, before, out);
	else if (op->kind != OP_COMPARE && op->kind != OP_COMPARE_ALL)
		out->rc = entry_apply(drive, op, before, out);
}

/* ---- whole databases ------------------------------------------------------------------------- */

static bool bytes_equal(const struct daxkv_val *a, const struct daxkv_val *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static bool walk(struct daxkv_cursor *cursor, struct rec **list, size_t n, bool forward)
{
	for (size_t i = 0; i <= n; i++) {
		struct rec *rec = i == n ? NULL : list[forward ? i : n - 1 - i];
		struct daxkv_val key = {0, NULL}, value = {0, NULL}, want;
		int rc = daxkv_cursor_get(cursor, &key, &value, forward ? DAXKV_NEXT : DAXKV_PREV);

		if (rc != (rec ? 0 : DAXKV_NOT_FOUND)) {
			printf("compare: %s, pair %zu of %zu: %s\n",
			       forward ? "forward" : "backward", i, n,
			       rc ? daxkv_errmsg() : "one more");
			return false;
		}
		if (!rec)
			return true;
		want = rec_key(rec);
		if (!bytes_equal(&key, &want)) {
			printf("compare: %s, pair %zu of %zu: another key\n",
			       forward ? "forward" : "backward", i, n);
			return false;
		}
		want = rec_value(rec);
		if (!rec->is_db && !bytes_equal(&value, &want)) {
			printf("compare: %s, pair %zu of %zu: another value\n",
			       forward ? "forward" : "backward", i, n);
			return false;
		}
	}
	return true;
}

bool drive_compare(struct drive *drive, unsigned int txn, unsigned int index,
                   const struct oracle_db *db, struct rec **list, size_t n)
{
	struct daxkv_cursor *cursor;
	struct daxkv_db_stat stat = {0};
	daxkv_db id;
	bool same;
	int rc = handle_get(drive, txn, index, db, &id);

	if (rc == 0)
		rc = daxkv_db_stat(txn_of(drive, txn), id, &stat);
	if (rc == 0 && stat.entries != n) {
		printf("compare: stat counts %llu entries, there are %zu\n",
		       (unsigned long long)stat.entries, n);
		return false;
	}
	if (rc == 0)
		rc = daxkv_cursor_open(txn_of(drive, txn), id, &cursor);
	if (rc) {
		printf("compare: %s: %s\n", daxkv_strerror(rc), daxkv_errmsg());
		return false;
	}
	same = walk(cursor, list, n, true);
	daxkv_cursor_close(cursor);
	if (!same || daxkv_cursor_open(txn_of(drive, txn), id, &cursor))
		return false;
	same = walk(cursor, list, n, false);
	daxkv_cursor_close(cursor);
	return same;
}
