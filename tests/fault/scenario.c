/* SPDX-License-Identifier: BSD-3-Clause */
#include "scenario.h"

#include "inject.h"
#include "txn/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE (2u << 20) /* more than a new store has room for: the file grows */

/* ---- calls, and what they change in next ----------------------------------------------------- */

static int put(struct daxkv_txn *txn, daxkv_db db, struct state_value *values, unsigned int i,
               uint32_t len, uint32_t seed)
{
	struct daxkv_val key = state_key(i), value = state_fill(len, seed);
	int rc = daxkv_put(txn, db, &key, &value, 0);

	if (!rc)
		values[i] = (struct state_value){true, len, seed};
	return rc;
}

static int del(struct life *life, struct daxkv_txn *txn, daxkv_db db, struct state_value *values,
               unsigned int i)
{
	struct daxkv_val key = state_key(i);
	int rc = daxkv_del(txn, db, &key, NULL);

	if (!values[i].there && rc == DAXKV_NOT_FOUND)
		return 0;
	if (!rc && !values[i].there)
		life->wrong = "deleting what is not there succeeded";
	if (!rc)
		values[i].there = false;
	return rc;
}

static int put_dup(struct life *life, struct daxkv_txn *txn, daxkv_db db, unsigned int i,
                   unsigned int v)
{
	struct daxkv_val key = state_key(i), value = state_dup(v);
	int rc = daxkv_put(txn, db, &key, &value, 0);

	if (!rc)
		life->next.dups[i] |= (uint64_t)1 << v;
	return rc;
}

static int open_db(struct daxkv_txn *txn, const char *name, unsigned int flags, daxkv_db *db)
{
	struct daxkv_val n = state_name(name);

	return daxkv_db_open(txn, &n, flags, db);
}

/* in_txn - run a step's body in a write transaction. */
static int in_txn(struct life *life, int (*body)(struct life *life, struct daxkv_txn *txn))
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(life->store, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = body(life, txn);
	if (rc) {
		daxkv_txn_abort(txn);
		return rc;
	}
	return daxkv_txn_commit(txn);
}

/* ---- entries and databases ------------------------------------------------------------------- */

static int fill_body(struct life *life, struct daxkv_txn *txn)
{
	int rc = 0;

	for (unsigned int i = 0; i < 60 && !rc; i++)
		rc = put(txn, DAXKV_MAIN, life->next.main, i * 5, 10 + i, i);
	return rc;
}

static int step_fill(struct life *life)
{
	return in_txn(life, fill_body);
}

static int databases_body(struct life *life, struct daxkv_txn *txn)
{
	daxkv_db dups, more;
	int rc = open_db(txn, "dups", DAXKV_CREATE | DAXKV_DUP_SORT, &dups);

	if (!rc)
		life->next.dups_there = true;
	for (unsigned int i = 0; i < 40 && !rc; i++)
		rc = put_dup(life, txn, dups, i % 3, i);
	if (!rc)
		rc = open_db(txn, "more", DAXKV_CREATE, &more);
	if (!rc)
		life->next.more_name = "more";
	for (unsigned int i = 0; i < STATE_MORE && !rc; i++)
		rc = put(txn, more, life->next.more, i, 30, i + 7);
	return rc;
}

static int step_databases(struct life *life)
{
	return in_txn(life, databases_body);
}

static int rename_body(struct life *life, struct daxkv_txn *txn)
{
	struct daxkv_val name = state_name("moved");
	daxkv_db more;
	int rc = open_db(txn, "more", 0, &more);

	if (!rc)
		rc = daxkv_db_rename(txn, more, &name);
	if (!rc)
		life->next.more_name = "moved";
	if (!rc)
		rc = put(txn, more, life->next.more, 3, 50, 99);
	return rc;
}

static int step_rename(struct life *life)
{
	return in_txn(life, rename_body);
}

static int drop_body(struct life *life, struct daxkv_txn *txn)
{
	daxkv_db more;
	int rc = open_db(txn, "moved", 0, &more);

	if (!rc)
		rc = daxkv_db_drop(txn, more, 1);
	if (!rc) {
		life->next.more_name = NULL;
		memset(life->next.more, 0, sizeof life->next.more);
	}
	return rc;
}

static int step_drop(struct life *life)
{
	return in_txn(life, drop_body);
}

/* ---- nested transactions --------------------------------------------------------------------- */

/* child - a nested transaction that changes keys from first on, and one in it when deep; kept or
 * not. Its failure takes its own changes only: the parent goes on, unless it is the parent's call
 * that fails. */
static int child(struct life *life, struct daxkv_txn *parent, unsigned int first, bool keep,
                 bool deep)
{
	const struct state before = life->next;
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(life->store, parent, 0, &txn);

	if (rc) {
		life->reported = rc;
		return 0;
	}
	for (unsigned int i = 0; i < 12 && !rc; i++)
		rc = put(txn, DAXKV_MAIN, life->next.main, first + i * 7, 40, first + i);
	if (!rc)
		rc = del(life, txn, DAXKV_MAIN, life->next.main, first + 5);
	if (!rc && deep)
		rc = child(life, txn, first + 1, true, false);
	if (!rc && keep)
		return daxkv_txn_commit(txn);
	if (rc)
		life->reported = rc;
	daxkv_txn_abort(txn);
	life->next = before;
	return 0;
}

static int nested_body(struct life *life, struct daxkv_txn *txn)
{
	daxkv_db dups;
	int rc = put(txn, DAXKV_MAIN, life->next.main, 1, 20, 1);

	if (!rc)
		rc = child(life, txn, 2, false, true);
	if (!rc)
		rc = child(life, txn, 3, true, true);
	if (!rc)
		rc = open_db(txn, "dups", 0, &dups);
	if (!rc)
		rc = put_dup(life, txn, dups, 5, 60);
	if (!rc)
		rc = put(txn, DAXKV_MAIN, life->next.main, 4, 20, 4);
	return rc;
}

static int step_nested(struct life *life)
{
	return in_txn(life, nested_body);
}

/* ---- cursors --------------------------------------------------------------------------------- */

static int cursor_changes(struct life *life, struct daxkv_txn *txn, struct daxkv_cursor *cursor)
{
	struct daxkv_val key = state_key(10), value;
	int rc = daxkv_cursor_get(cursor, &key, &value, DAXKV_SEEK);

	if (!rc) {
		value = state_fill(25, 1234);
		key = state_key(10);
		rc = daxkv_cursor_put(cursor, &key, &value, DAXKV_CURRENT);
	}
	if (!rc)
		life->next.main[10] = (struct state_value){true, 25, 1234};
	for (unsigned int i = 100; i < 110 && !rc; i++)
		rc = put(txn, DAXKV_MAIN, life->next.main, i, 33,
		         i); /* beneath the cursor's place: it is kept by key */
	if (!rc)
		rc = child(life, txn, 40, true, false);
	if (!rc)
		rc = daxkv_cursor_get(cursor, &key, &value, DAXKV_GET_CURRENT);
	if (!rc && memcmp(key.data, "k0010", 5) != 0)
		life->wrong = "the cursor lost its place";
	if (!rc)
		rc = daxkv_cursor_del(cursor, 0);
	if (!rc)
		life->next.main[10].there = false;
	return rc;
}

static int cursors_body(struct life *life, struct daxkv_txn *txn)
{
	struct daxkv_cursor *cursor;
	int rc = daxkv_cursor_open(txn, DAXKV_MAIN, &cursor);

	if (rc)
		return rc;
	rc = cursor_changes(life, txn, cursor);
	daxkv_cursor_close(cursor);
	return rc;
}

static int step_cursors(struct life *life)
{
	return in_txn(life, cursors_body);
}

/* read_pair - read through a cursor, across a reset. */
static int read_pair(struct life *life, struct daxkv_txn *txn, struct daxkv_cursor *cursor)
{
	struct daxkv_val key, value;
	int rc = daxkv_cursor_get(cursor, &key, &value, DAXKV_FIRST);

	if (rc)
		return rc;
	daxkv_txn_reset(txn);
	rc = daxkv_txn_renew(txn);
	if (!rc)
		rc = daxkv_cursor_renew(txn, cursor);
	if (!rc)
		rc = daxkv_cursor_get(cursor, &key, &value, DAXKV_LAST);
	if (!rc && life->next.dups_there && memcmp(key.data, "k", 1) != 0 &&
	    memcmp(key.data, "m", 1) != 0)
		life->wrong = "the last key is another";
	return rc;
}

static int step_read(struct life *life)
{
	struct daxkv_txn *txn;
	struct daxkv_cursor *cursor;
	int rc = daxkv_txn_begin(life->store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (rc)
		return rc;
	rc = daxkv_cursor_open(txn, DAXKV_MAIN, &cursor);
	if (!rc) {
		rc = read_pair(life, txn, cursor);
		daxkv_cursor_close(cursor);
	}
	daxkv_txn_abort(txn);
	return rc;
}

/* ---- large values, many changes, growth ------------------------------------------------------ */

static int large_body(struct life *life, struct daxkv_txn *txn)
{
	struct daxkv_val key = state_key(7), value = {3000, NULL};
	int rc = put(txn, DAXKV_MAIN, life->next.main, 6, LARGE, 6);

	if (!rc)
		rc = daxkv_put(txn, DAXKV_MAIN, &key, &value, DAXKV_RESERVE);
	if (!rc) {
		memcpy(value.data, state_fill(3000, 7).data, 3000);
		life->next.main[7] = (struct state_value){true, 3000, 7};
	}
	for (unsigned int i = 0; i < 6 && !rc; i++)
		rc = put(txn, DAXKV_MAIN, life->next.main, 300 + i, 9000, i);
	return rc;
}

static int step_large(struct life *life)
{
	return in_txn(life, large_body);
}

static int many_body(struct life *life, struct daxkv_txn *txn)
{
	int rc = 0;

	for (unsigned int i = 0; i < STATE_KEYS && !rc; i++)
		if (i != 6) /* the large one stays */
			rc = put(txn, DAXKV_MAIN, life->next.main, i * 7 % STATE_KEYS, 12 + i % 50,
			         i);
	return rc;
}

/* step_many - a transaction too large for a record of the ring. */
static int step_many(struct life *life)
{
	return in_txn(life, many_body);
}

static int thin_body(struct life *life, struct daxkv_txn *txn)
{
	int rc = 0;

	for (unsigned int i = 0; i < STATE_KEYS && !rc; i++)
		if (i % 8 != 0)
			rc = del(life, txn, DAXKV_MAIN, life->next.main, i);
	return rc;
}

/* step_thin - delete most, while a reader holds the pages back. */
static int step_thin(struct life *life)
{
	struct daxkv_txn *reader;
	int rc = daxkv_txn_begin(life->store, NULL, DAXKV_TXN_READ_ONLY, &reader);

	if (rc)
		return rc;
	rc = in_txn(life, thin_body);
	if (!rc) {
		struct daxkv_val key = state_key(9), value;

		rc = daxkv_get(reader, DAXKV_MAIN, &key, &value);
		if (rc == 0 && (value.size != life->acked.main[9].len))
			life->wrong = "an older snapshot shows another value";
	}
	daxkv_txn_abort(reader);
	return rc;
}

static int range_body(struct life *life, struct daxkv_txn *txn)
{
	const unsigned int first = STATE_KEYS / 4, end = STATE_KEYS / 2;
	struct daxkv_val from = state_key(first), to = state_key(end);
	uint64_t there = 0, removed;
	int rc = daxkv_del_range(txn, DAXKV_MAIN, &from, &to, &removed);

	for (unsigned int i = first; i < end && !rc; i++) {
		there += life->next.main[i].there;
		life->next.main[i].there = false;
	}
	if (!rc && there != removed)
		life->wrong = "a range had another number of entries";
	return rc;
}

static int step_range(struct life *life)
{
	return in_txn(life, range_body);
}

/* step_compact - no entry changes, whichever of its transactions a failure ends. */
static int step_compact(struct life *life)
{
	return daxkv_compact(life->store, NULL, NULL);
}

static int small_body(struct life *life, struct daxkv_txn *txn)
{
	return put(txn, DAXKV_MAIN, life->next.main, 20, 70, life->acked.main[20].seed + 1);
}

static int step_small(struct life *life)
{
	return in_txn(life, small_body);
}

static int step_sync(struct life *life)
{
	return daxkv_sync(life->store);
}

static int step_reports(struct life *life)
{
	struct daxkv_info info;
	int rc = daxkv_info(life->store, &info);

	return rc ? rc : daxkv_check(life->store, NULL, NULL, NULL);
}

/* ---- a full store ---------------------------------------------------------------------------- */

/* step_open_full - from here on the file does not grow. */
static int step_open_full(struct life *life)
{
	struct stat st;

	inject_pause();
	if (!life->store && stat(life->path, &st) == 0)
		life->options.max_size = (uint64_t)st.st_size;
	inject_resume();
	return life_open(life);
}

/* full_put - an entry in a transaction of its own, which alone is lost when there is no room. */
static int full_put(struct life *life, struct daxkv_txn *parent, unsigned int i, uint32_t len)
{
	const struct state_value before = life->next.main[i];
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(life->store, parent, 0, &txn);

	if (rc)
		return rc;
	rc = put(txn, DAXKV_MAIN, life->next.main, i, len, i + 3);
	if (!rc)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	life->next.main[i] = before;
	return rc;
}

/* Values that fill leaves first, then large ones, until there is no room for a small one. */
static int full_body(struct life *life, struct daxkv_txn *txn)
{
	const uint32_t small = 3000;
	uint32_t large = 80000;
	int rc = 0;

	for (unsigned int i = 0; i < STATE_KEYS && !rc; i++)
		if (i % 4 != 0)
			rc = full_put(life, txn, i, life->options.page_size / 5);
	for (unsigned int i = 0; i < STATE_KEYS && !rc; i += 4) {
		rc = full_put(life, txn, i, large);
		if (rc == DAXKV_FULL && large > small) {
			large = small;
			rc = full_put(life, txn, i, large);
		}
	}
	if (!rc)
		life->wrong = "the store did not become full";
	return rc == DAXKV_FULL ? 0 : rc;
}

static int step_full(struct life *life)
{
	return in_txn(life, full_body);
}

static int empty_body(struct life *life, struct daxkv_txn *txn)
{
	int rc = 0;

	for (unsigned int i = 0; i < STATE_KEYS && !rc; i++)
		rc = del(life, txn, DAXKV_MAIN, life->next.main, i * 7 % STATE_KEYS);
	return rc;
}

/* step_empty - all that a full store has, in one transaction. */
static int step_empty(struct life *life)
{
	return in_txn(life, empty_body);
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* On a file commits are logged, in tmpfs too. */
int life_open(struct life *life)
{
	if (life->store)
		return 0;
	int rc = daxkv_open(life->path, &life->options, &life->store);

	if (!rc && life->store->map.medium == DAXKV_MEDIUM_FILE)
		life->store->logs = true;
	return rc;
}

static int step_close(struct life *life)
{
	struct daxkv_store *store = life->store;

	life->store = NULL;
	return daxkv_close(store);
}

/* copy_store - what a crash at this moment would leave of a store that nobody closed. */
static bool copy_store(struct life *life)
{
	struct stat st;
	int out = open(life->copy, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
	    in = open(life->path, O_RDONLY | O_CLOEXEC);
	off_t off = 0;
	bool done = in >= 0 && out >= 0 && fstat(in, &st) == 0;

	while (done && off < st.st_size)
		done = sendfile(out, in, &off, (size_t)(st.st_size - off)) > 0;
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return done;
}

static int recover_copy(struct life *life, unsigned int flags, bool fresh)
{
	struct daxkv_options options = life->options;
	struct daxkv_store *store;

	life->elsewhere = true;
	inject_pause();
	if (fresh && !copy_store(life))
		life->wrong = "the store cannot be copied";
	inject_resume();
	options.flags = flags;
	int rc = daxkv_open(life->copy, &options, &store);

	if (rc)
		return rc;
	inject_pause();
	const char *difference = state_differs(store, &life->acked);

	if (difference || life_reports_faults(store))
		life->wrong = difference ? difference : "the recovered copy has faults";
	inject_resume();
	return daxkv_close(store);
}

static int step_recover(struct life *life)
{
	return recover_copy(life, 0, true);
}

static int step_recover_private(struct life *life)
{
	return recover_copy(life, DAXKV_READ_ONLY, true);
}

static int step_recover_same(struct life *life)
{
	return recover_copy(life, 0, false);
}

const struct step scenario[] = {
    {"create", life_open, false},
    {"fill", step_fill, false},
    {"databases", step_databases, false},
    {"nested transactions", step_nested, false},
    {"cursors", step_cursors, false},
    {"reading", step_read, false},
    {"recovery", step_recover, false},
    {"large values", step_large, false},
    {"many changes", step_many, false},
    {"rename", step_rename, false},
    {"recovery in private memory", step_recover_private, false},
    {"recovery after many changes", step_recover_same, false},
    {"sync", step_sync, false},
    {"deleting beside a reader", step_thin, false},
    {"drop", step_drop, false},
    {"deleting a range", step_range, false},
    {"compaction", step_compact, false},
    {"reports", step_reports, false},
    {"close", step_close, true},
    {"open", life_open, false},
    {"small change", step_small, false},
    {"close once more", step_close, true},
    {"open at its maximum size", step_open_full, false},
    {"becoming full", step_full, false},
    {"emptying a full store", step_empty, false},
    {"compacting it", step_compact, false},
    {"close again", step_close, true},
};
const unsigned int scenario_steps = sizeof scenario / sizeof scenario[0];
