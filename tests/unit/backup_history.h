/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backup_history.h - what the tests of backups share: random histories of a store, the pieces that
 * are made of its moments, and the store of these pieces again.
 */
#ifndef DAXKV_TEST_BACKUP_HISTORY_H
#define DAXKV_TEST_BACKUP_HISTORY_H

#include "../lib/rng.h"
#include "small_store.h"

#include <sys/stat.h>

#define ROUNDS 5u /* deltas behind a full backup */

/* any_order - of the program's own: from the last byte on. */
static inline int any_order(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	const uint8_t *p = a->data, *q = b->data;

	(void)arg;
	for (size_t i = 1; i <= a->size && i <= b->size; i++)
		if (p[a->size - i] != q[b->size - i])
			return p[a->size - i] < q[b->size - i] ? -1 : 1;
	return (a->size > b->size) - (a->size < b->size);
}

static const unsigned int kinds[] = {
    0,
    DAXKV_REVERSE_KEY,
    DAXKV_INTEGER_KEY,
    DAXKV_DUP_SORT,
    DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP,
    DAXKV_DUP_SORT | DAXKV_REVERSE_DUP,
    DAXKV_OWN_COMPARE,
    DAXKV_DUP_SORT | DAXKV_OWN_DUP_COMPARE,
};
#define KINDS (sizeof kinds / sizeof *kinds)
#define NAMES 10u

/* db_open - the database of that name, if it is there, with its comparators and flags. */
static inline int db_open(struct daxkv_txn *txn, const struct daxkv_val *name, unsigned int create,
                          daxkv_db *db, unsigned int *flags)
{
	int rc = daxkv_db_open(txn, name, create, db);

	if (rc)
		return rc;
	OK(daxkv_db_flags(txn, *db, flags));
	if (*flags & DAXKV_OWN_COMPARE)
		OK(daxkv_db_set_compare(txn, *db, any_order, NULL));
	if (*flags & DAXKV_OWN_DUP_COMPARE)
		OK(daxkv_db_set_dup_compare(txn, *db, any_order, NULL));
	return 0;
}

/* same_database - in both snapshots: the same entries in the same order. */
static inline void same_database(struct daxkv_txn *a, struct daxkv_txn *b,
                                 const struct daxkv_val *name)
{
	struct daxkv_txn *txn[] = {a, b};
	struct daxkv_cursor *c[2];
	struct daxkv_val k[2], v[2];
	unsigned int flags[2];
	int rc[2];

	for (unsigned int i = 0; i < 2; i++) {
		daxkv_db db;

		OK(db_open(txn[i], name, 0, &db, &flags[i]));
		OK(daxkv_cursor_open(txn[i], db, &c[i]));
	}
	assert_int_equal(flags[0], flags[1]);
	for (;;) {
		for (unsigned int i = 0; i < 2; i++)
			rc[i] = daxkv_cursor_get(c[i], &k[i], &v[i], DAXKV_NEXT);
		assert_int_equal(rc[0], rc[1]);
		if (rc[0])
			break;
		assert_int_equal(k[0].size, k[1].size);
		assert_memory_equal(k[0].data, k[1].data, k[0].size);
		assert_int_equal(v[0].size, v[1].size);
		if (name || v[0].size != sizeof(struct fmt_db)) /* what names other pages */
			assert_memory_equal(v[0].data, v[1].data, v[0].size);
	}
	assert_int_equal(rc[0], DAXKV_NOT_FOUND);
	for (unsigned int i = 0; i < 2; i++)
		daxkv_cursor_close(c[i]);
}

/* same_store - the store in that file is sound, and what the snapshot sees. */
static inline void same_store(struct daxkv_txn *snapshot, uint64_t user_version, const char *name)
{
	struct daxkv_store *store =
	    store_open(name, (struct daxkv_options){.flags = DAXKV_NO_LOCK});
	struct daxkv_val at[2] = {{0, NULL}, {0, NULL}};
	struct daxkv_txn *txn;
	int rc[2];

	OK(daxkv_check(store, NULL, NULL, NULL));
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
	assert_int_equal(daxkv_user_version(store), user_version);
	same_database(snapshot, txn, NULL);
	for (;;) {
		rc[0] = daxkv_db_list_next(snapshot, &at[0]);
		rc[1] = daxkv_db_list_next(txn, &at[1]);
		assert_int_equal(rc[0], rc[1]);
		if (rc[0])
			break;
		assert_true(at[0].size == at[1].size &&
		            memcmp(at[0].data, at[1].data, at[0].size) == 0);
		same_database(snapshot, txn, &at[0]);
	}
	daxkv_txn_abort(txn);
	OK(daxkv_close(store));
}

/* ---- histories ------------------------------------------------------------------------------- */

struct history {
	struct rng rng;
	struct daxkv_store *store;
	uint64_t ascending;
	bool compacts; /* after some transactions pages move */
};

static inline uint64_t below(struct history *h, uint64_t n)
{
	return rng_below(&h->rng, n);
}

static inline struct daxkv_val name_of(struct history *h, char *text)
{
	return (struct daxkv_val){(size_t)sprintf(text, "db%u", (unsigned int)below(h, NAMES)),
	                          text};
}

/* entry - a key, and a value that suits the database. */
static inline void entry(struct history *h, unsigned int flags, uint8_t *bytes,
                         struct daxkv_val *key, struct daxkv_val *value)
{
	const bool dups = flags & DAXKV_DUP_SORT;
	uint64_t k = below(h, dups ? 30 : 2000), v = below(h, 1000);
	uint64_t kind = below(h, 20);

	if (kind == 0)
		k = 1000000 + h->ascending++;
	*key = (struct daxkv_val){8, bytes};
	*value = (struct daxkv_val){8, bytes + 64};
	memset(bytes, (int)v, 4096);
	memcpy(bytes + 64, &v, sizeof v);
	if (flags & DAXKV_INTEGER_KEY)
		memcpy(bytes, &k, sizeof k);
	else
		key->size = (size_t)sprintf((char *)bytes, "%s%u", k % 3 ? "key" : "another",
		                            (unsigned int)k);
	if (dups && !(flags & DAXKV_DUP_FIXED))
		value->size = 1 + v % 20;
	else if (!dups && kind < 3)
		value->size = below(h, 3000); /* large ones lie outside of their leaf */
	else if (!dups && kind < 10)
		value->size = v % 40;
}

/* entry_change - one entry, or now and then a range. */
static inline void entry_change(struct history *h, struct daxkv_txn *txn, daxkv_db db,
                                unsigned int flags)
{
	static uint8_t bytes[4096 + 64], other[4096 + 64];
	struct daxkv_val key, value, to, unused;
	int rc = 0;

	entry(h, flags, bytes, &key, &value);
	uint64_t what = below(h, 60);

	if (what < 15) {
		rc = daxkv_del(txn, db, &key,
		               flags & DAXKV_DUP_SORT && value.size % 2 ? &value : NULL);
	} else if (what == 15) {
		entry(h, flags, other, &to, &unused);
		rc = daxkv_del_range(txn, db, &key, &to, NULL);
	} else {
		rc = daxkv_put(txn, db, &key, &value, 0);
	}
	if (rc && rc != DAXKV_NOT_FOUND && rc != DAXKV_INCOMPATIBLE)
		fail_msg("%s", daxkv_errmsg());
}

/* database_change - made, dropped, emptied, renamed. */
static inline void database_change(struct history *h, struct daxkv_txn *txn)
{
	char text[2][16];
	struct daxkv_val name = name_of(h, text[0]), other = name_of(h, text[1]);
	unsigned int flags = 0;
	daxkv_db db;
	int rc = db_open(txn, &name, 0, &db, &flags);

	if (rc == DAXKV_NOT_FOUND) {
		rc = db_open(txn, &name, kinds[below(h, KINDS)] | DAXKV_CREATE, &db, &flags);
		for (uint64_t i = below(h, 300); i > 0 && !rc; i--)
			entry_change(h, txn, db, flags);
	} else if (!rc && below(h, 3) == 0) {
		rc = daxkv_db_drop(txn, db, (int)below(h, 2));
	} else if (!rc) {
		rc = daxkv_db_rename(txn, db, &other);
	}
	if (rc && rc != DAXKV_EXIST && rc != DAXKV_INCOMPATIBLE)
		fail_msg("%d: %s", rc, daxkv_errmsg());
}

/* transaction - of some changes, of which one in eight is taken back. */
static inline void transaction(struct history *h)
{
	struct daxkv_txn *txn = begin(h->store);
	char text[16];
	struct daxkv_val name;
	unsigned int flags;
	daxkv_db db;

	for (uint64_t parts = 1 + below(h, 3); parts > 0; parts--) {
		if (below(h, 12) == 0)
			database_change(h, txn);
		name = name_of(h, text);
		if (db_open(txn, below(h, 4) ? &name : NULL, 0, &db, &flags) != 0)
			continue;
		for (uint64_t n = 1 + below(h, below(h, 8) ? 3 : 200); n > 0; n--)
			entry_change(h, txn, db, flags);
	}
	if (below(h, 8) == 0)
		OK(daxkv_txn_set_user_version(txn, below(h, 1000)));
	if (below(h, 8) == 0)
		daxkv_txn_abort(txn);
	else
		OK(daxkv_txn_commit(txn));
	if (h->compacts && below(h, 6) == 0) {
		const struct daxkv_compact some = {.pages = 1 + below(h, 60)};

		OK(daxkv_compact(h->store, &some, NULL));
	}
}

static inline void history_begin(struct history *h, uint64_t seed, uint32_t page_size)
{
	rng_seed(&h->rng, seed);
	h->ascending = 0;
	h->compacts = false;
	unlink(scratch_path("again"));
	h->store = store_new("source", page_size);
}

/* backup - of the snapshot, into a pipe that a process reads: nothing can be sought there. */
static inline int backup_fd(struct daxkv_txn *txn, const char *name, const char *earlier)
{
	struct daxkv_backup_info since;
	struct daxkv_backup_options options = {.since = &since};
	int fd =
	    open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	int rc = 0;

	assert_true(fd >= 0);
	if (earlier)
		rc = daxkv_backup_look(scratch_path(earlier), &since);
	if (!rc)
		rc = daxkv_backup(txn, fd, earlier ? &options : NULL);
	close(fd);
	return rc;
}

static const char *const piece_names[ROUNDS + 1] = {"full", "d1", "d2", "d3", "d4", "d5"};

/* pieces_of - the paths of the first n. */
static inline void pieces_of(const char *path[ROUNDS + 1])
{
	for (unsigned int i = 0; i <= ROUNDS; i++)
		path[i] = scratch_path(piece_names[i]);
}

static inline int restore(const char *name, size_t n)
{
	const char *path[ROUNDS + 1];

	pieces_of(path);
	unlink(scratch_path(name));
	pieces_of(path); /* scratch_path's results live for eight calls */
	return daxkv_restore(scratch_path(name), path, n,
	                     &(struct daxkv_backup_options){.pmem = DAXKV_PMEM_FORCE});
}

static inline int restore_of(const char *first, const char *second, const char *third)
{
	char path[3][PATH_MAX];
	const char *pieces[] = {path[0], path[1], path[2]};

	snprintf(path[0], sizeof path[0], "%s", scratch_path(first));
	snprintf(path[1], sizeof path[1], "%s", scratch_path(second ? second : ""));
	snprintf(path[2], sizeof path[2], "%s", scratch_path(third ? third : ""));
	return daxkv_restore(scratch_path("again"), pieces, 1u + !!second + !!third, NULL);
}

/* small_chain - a full backup and two deltas of a small store; its last moment is what comes back.
 */
static inline struct daxkv_txn *small_chain(struct history *h)
{
	struct daxkv_txn *txn = NULL;

	history_begin(h, 5, 512);
	for (unsigned int i = 0; i < 3; i++) {
		for (unsigned int n = 0; n < 6; n++)
			transaction(h);
		if (i)
			daxkv_txn_abort(txn);
		OK(daxkv_txn_begin(h->store, NULL, DAXKV_TXN_READ_ONLY, &txn));
		OK(backup_fd(txn, piece_names[i], i ? piece_names[i - 1] : NULL));
	}
	return txn;
}

static inline void no_store_of(int rc)
{
	struct stat st;

	assert_true(rc == DAXKV_CORRUPT || rc == DAXKV_FOREIGN || rc == DAXKV_VERSION ||
	            rc == DAXKV_INCOMPATIBLE);
	assert_true(stat(scratch_path("again"), &st) != 0);
}

#endif
