/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that no program should make: arguments that are missing, of another store, closed, ended or
 * out of range. Each is an error with a text of its own, and nothing is harmed. What daxkv_errmsg
 * says is always of the call that failed last.
 */
#include "small_store.h"

#define MAIN    DAXKV_MAIN
#define HUGE_DB 0xfffffff1u

static struct daxkv_store *store, *other; /* stores with pages of different sizes */
static struct daxkv_txn *writer, *reader, *idle, *parent, *child, *foreign, *failed;
static struct daxkv_cursor *detached;
static daxkv_db db, closed;

/* refused - the call failed, and its text is not that of the call before. */
static void refused_at(const char *call, int rc)
{
	if (rc == 0)
		fail_msg("%s: was accepted", call);
	if (strcmp(daxkv_errmsg(), "before") == 0)
		fail_msg("%s: %d, without a text", call, rc);
	err_set(EIO, "before");
}
#define REFUSED(call) refused_at(#call, (call))

static int nothing(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	(void)arg;
	(void)key;
	(void)value;
	return DAXKV_NOT_FOUND;
}

static int compare_any(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	return (a->size > b->size) - (a->size < b->size);
}

/* ---- transactions and handles ---------------------------------------------------------------- */

/* every_call - each call that takes a transaction and a handle, one of which is wrong. */
static void every_call(struct daxkv_txn *txn, daxkv_db wrong)
{
	struct daxkv_val k = text("k"), v = text("v"), name = text("name");
	struct daxkv_cursor *c = NULL;
	struct daxkv_db_stat stat;
	unsigned int flags = 0;
	uint64_t n = 0;
	size_t got = 0;
	int result = 0;

	REFUSED(daxkv_get(txn, wrong, &k, &v));
	REFUSED(daxkv_get_many(txn, wrong, 1, &k, &v, &result));
	REFUSED(daxkv_put(txn, wrong, &k, &v, 0));
	REFUSED(daxkv_put_many(txn, wrong, 1, &k, &v, 0, &result));
	REFUSED(daxkv_bulk_load(txn, wrong, 0, nothing, NULL, &n));
	REFUSED(daxkv_del(txn, wrong, &k, NULL));
	REFUSED(daxkv_del_range(txn, wrong, &k, NULL, &n));
	REFUSED(daxkv_db_partition(txn, wrong, 2, &k, &got));
	REFUSED(daxkv_cursor_open(txn, wrong, &c));
	REFUSED(daxkv_db_drop(txn, wrong, 0));
	REFUSED(daxkv_db_drop(txn, wrong, 1));
	REFUSED(daxkv_db_rename(txn, wrong, &name));
	REFUSED(daxkv_db_flags(txn, wrong, &flags));
	REFUSED(daxkv_db_stat(txn, wrong, &stat));
	REFUSED(daxkv_db_set_compare(txn, wrong, compare_any, NULL));
	REFUSED(daxkv_db_set_dup_compare(txn, wrong, compare_any, NULL));
	assert_int_equal(daxkv_db_compare(txn, wrong, &k, &v), 0);
	assert_int_equal(daxkv_db_dup_compare(txn, wrong, &k, &v), 0);
}

/* no_database - each call that takes a transaction alone, which is wrong. */
static void no_database(struct daxkv_txn *txn)
{
	struct daxkv_val name = text("name"), none = {0, NULL};
	struct daxkv_txn *out;
	daxkv_db opened;

	REFUSED(daxkv_db_open(txn, &name, DAXKV_CREATE, &opened));
	REFUSED(daxkv_db_open(txn, NULL, DAXKV_CREATE | DAXKV_DUP_SORT, &opened));
	REFUSED(daxkv_db_list_next(txn, &none));
	REFUSED(daxkv_txn_set_user_version(txn, 1));
	REFUSED(daxkv_txn_clone(txn, &out));
	REFUSED(daxkv_txn_renew(txn == idle ? NULL : txn));
}

static void wrong_transactions(void **state)
{
	struct daxkv_txn *out;
	(void)state;

	every_call(NULL, db);
	no_database(NULL);
	every_call(idle, db);
	no_database(idle);
	every_call(parent, db);
	no_database(parent);
	every_call(failed, db);
	no_database(failed);
	REFUSED(daxkv_txn_begin(store, reader, 0, &out));
	REFUSED(daxkv_txn_begin(store, idle, 0, &out));
	REFUSED(daxkv_txn_begin(store, parent, 0, &out)); /* another store's, with a child */
	REFUSED(daxkv_txn_begin(other, reader, 0, &out));
	REFUSED(daxkv_txn_begin(store, NULL, 0x8000, &out));
	REFUSED(daxkv_txn_begin(store, NULL, 0, NULL));
	REFUSED(daxkv_txn_begin(NULL, NULL, 0, &out));
	REFUSED(daxkv_txn_begin_timed(NULL, 0, &out));
	REFUSED(daxkv_txn_begin_timed(store, 0, NULL));
	REFUSED(daxkv_txn_commit(NULL));
	REFUSED(daxkv_txn_clone(reader, NULL));
	daxkv_txn_abort(NULL);
	daxkv_txn_reset(NULL);
	assert_true(daxkv_txn_id(NULL) == 0 && daxkv_txn_store(NULL) == NULL);
}

static void wrong_handles(void **state)
{
	const daxkv_db wrong[] = {0, closed, db + 1, HUGE_DB, UINT32_MAX};
	(void)state;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		every_call(child, wrong[i]);
		every_call(reader, wrong[i]);
		daxkv_db_close(store, wrong[i]);
	}
	daxkv_db_close(NULL, db);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static void missing_arguments(void **state)
{
	struct daxkv_val k = text("k"), v = text("v"), hollow = {5, NULL}, none = {0, NULL};
	size_t got = 0;
	int result = 0;
	(void)state;

	REFUSED(daxkv_get(child, db, NULL, &v));
	REFUSED(daxkv_get(child, db, &k, NULL));
	REFUSED(daxkv_get(child, db, &hollow, &v));
	REFUSED(daxkv_get(child, db, &none, &v));
	REFUSED(daxkv_get_many(child, db, 1, NULL, &v, &result));
	REFUSED(daxkv_get_many(child, db, 1, &k, NULL, &result));
	REFUSED(daxkv_get_many(child, db, 1, &k, &v, NULL));
	REFUSED(daxkv_put(child, db, NULL, &v, 0));
	REFUSED(daxkv_put(child, db, &k, NULL, 0));
	REFUSED(daxkv_put(child, db, &hollow, &v, 0));
	REFUSED(daxkv_put(child, db, &k, &hollow, 0));
	REFUSED(daxkv_put(child, db, &k, &v, 0x4000));
	REFUSED(daxkv_put_many(child, db, 1, NULL, &v, 0, &result));
	REFUSED(daxkv_put_many(child, db, 1, &k, NULL, 0, &result));
	REFUSED(daxkv_put_many(child, db, 1, &k, &v, 0, NULL));
	REFUSED(daxkv_put_many(child, db, 1, &k, &v, 0x4000, &result));
	REFUSED(daxkv_bulk_load(child, db, 0, NULL, NULL, NULL));
	REFUSED(daxkv_bulk_load(child, db, 9, nothing, NULL, NULL));
	REFUSED(daxkv_bulk_load(child, db, UINT32_MAX, nothing, NULL, NULL));
	REFUSED(daxkv_del(child, db, NULL, NULL));
	REFUSED(daxkv_del(child, db, &hollow, NULL));
	REFUSED(daxkv_del_range(child, db, &hollow, NULL, NULL));
	REFUSED(daxkv_del_range(child, db, NULL, &hollow, NULL));
	REFUSED(daxkv_db_partition(child, db, 0, &k, &got));
	REFUSED(daxkv_db_partition(child, db, SIZE_MAX, &k, &got));
	REFUSED(daxkv_db_partition(child, db, 2, NULL, &got));
	REFUSED(daxkv_db_partition(child, db, 2, &k, NULL));
	REFUSED(daxkv_db_open(child, &hollow, 0, &closed));
	REFUSED(daxkv_db_open(child, &none, 0, &closed));
	REFUSED(daxkv_db_open(child, &k, DAXKV_CREATE, NULL));
	REFUSED(daxkv_db_open(child, &k, 0x8000, &closed));
	REFUSED(daxkv_db_rename(child, db, NULL));
	REFUSED(daxkv_db_rename(child, db, &hollow));
	REFUSED(daxkv_db_rename(child, db, &none));
	REFUSED(daxkv_db_rename(child, MAIN, &k));
	REFUSED(daxkv_db_list_next(child, NULL));
	REFUSED(daxkv_db_list_next(child, &hollow));
	REFUSED(daxkv_db_flags(child, db, NULL));
	REFUSED(daxkv_db_stat(child, db, NULL));
	REFUSED(daxkv_db_set_compare(child, db, NULL, NULL));
	assert_int_equal(daxkv_db_compare(child, db, NULL, &k), 0);
	assert_int_equal(daxkv_db_compare(child, db, &k, &hollow), 0);
}

static void missing_stores(void **state)
{
	struct daxkv_options o = {0};
	struct daxkv_store *out;
	(void)state;

	REFUSED(daxkv_open(NULL, &o, &out));
	REFUSED(daxkv_open("", &o, &out));
	REFUSED(daxkv_open(scratch_path("none"), &o, NULL));
	REFUSED(daxkv_open(scratch_path("none"), NULL, &out));
	REFUSED(daxkv_sync(NULL));
	REFUSED(daxkv_set_max_size(NULL, 1));
	REFUSED(daxkv_info(NULL, &(struct daxkv_info){0}));
	REFUSED(daxkv_info(store, NULL));
	REFUSED(daxkv_check(NULL, NULL, NULL, NULL));
	REFUSED(daxkv_check_with(NULL, &(struct daxkv_check){0}, NULL));
	REFUSED(daxkv_check_with(store, NULL, NULL));
	assert_true(daxkv_size(NULL) == 0 && daxkv_user_version(NULL) == 0 &&
	            daxkv_fd(NULL) == -1 && !daxkv_lock_path(NULL));
	assert_true(daxkv_max_key_size(NULL) == 0 && daxkv_readers_reap(NULL) == 0);
	daxkv_readers_list(NULL, NULL, NULL);
	daxkv_readers_list(store, NULL, NULL);
	daxkv_counters(NULL, NULL);
	daxkv_counters(store, NULL);
}

static void wrong_cursors(void **state)
{
	struct daxkv_val k = text("k"), v = text("v"), hollow = {5, NULL};
	struct daxkv_cursor *c, *w;
	size_t got = 0;
	uint64_t n = 0;
	int several;
	char buf[8];
	(void)state;

	OK(daxkv_cursor_open(reader, db, &c));
	OK(daxkv_cursor_open(child, db, &w));
	struct daxkv_cursor *const wrong[] = {NULL, detached};

	for (size_t i = 0; i < 2; i++) {
		REFUSED(daxkv_cursor_get(wrong[i], &k, &v, DAXKV_FIRST));
		REFUSED(daxkv_cursor_get_many(wrong[i], DAXKV_FIRST, NULL, 1, &k, &v, &got));
		REFUSED(daxkv_cursor_put(wrong[i], &k, &v, 0));
		REFUSED(daxkv_cursor_put(wrong[i], &k, &v, DAXKV_CURRENT));
		REFUSED(daxkv_cursor_del(wrong[i], 0));
		REFUSED(daxkv_cursor_count(wrong[i], &n));
		REFUSED(daxkv_cursor_several(wrong[i], &several));
		REFUSED(daxkv_cursor_get_values(wrong[i], 1, 1, buf, &got));
		assert_null(daxkv_cursor_txn(wrong[i]));
	}
	assert_int_equal(daxkv_cursor_db(NULL), 0);
	daxkv_cursor_close(NULL);
	REFUSED(daxkv_cursor_renew(reader, NULL));
	REFUSED(daxkv_cursor_renew(NULL, c));
	REFUSED(daxkv_cursor_renew(idle, c));
	REFUSED(daxkv_cursor_renew(child, c));
	REFUSED(daxkv_cursor_renew(reader, w));
	REFUSED(daxkv_cursor_renew(foreign, c)); /* pages of 32 KiB there, of 512 bytes here */
	REFUSED(daxkv_cursor_renew(foreign, detached));
	REFUSED(daxkv_cursor_open(reader, db, NULL));
	REFUSED(daxkv_cursor_put(c, &k, &v, 0));
	REFUSED(daxkv_cursor_del(c, 0));
	REFUSED(daxkv_cursor_put(w, NULL, &v, 0));
	REFUSED(daxkv_cursor_put(w, &k, NULL, 0));
	REFUSED(daxkv_cursor_put(w, &hollow, &v, 0));
	REFUSED(daxkv_cursor_put(w, &k, &hollow, 0));
	REFUSED(daxkv_cursor_put(w, &k, &v, DAXKV_CURRENT)); /* it is nowhere */
	OK(daxkv_cursor_get(w, &k, &v, DAXKV_FIRST));
	REFUSED(daxkv_cursor_put(w, NULL, NULL, DAXKV_CURRENT));
	REFUSED(daxkv_cursor_put(w, NULL, &hollow, DAXKV_CURRENT));
	REFUSED(daxkv_cursor_get(w, &k, &v, (enum daxkv_cursor_op)99));
	REFUSED(daxkv_cursor_get(w, NULL, &v, DAXKV_SEEK));
	REFUSED(daxkv_cursor_get(w, &hollow, &v, DAXKV_SEEK));
	REFUSED(daxkv_cursor_get(w, &k, NULL, DAXKV_SEEK_PAIR));
	REFUSED(daxkv_cursor_get_many(w, DAXKV_FIRST, NULL, 0, &k, &v, &got));
	REFUSED(daxkv_cursor_get_many(w, DAXKV_FIRST, NULL, 1, NULL, &v, &got));
	REFUSED(daxkv_cursor_get_many(w, DAXKV_FIRST, NULL, 1, &k, NULL, &got));
	REFUSED(daxkv_cursor_get_many(w, DAXKV_FIRST, NULL, 1, &k, &v, NULL));
	REFUSED(daxkv_cursor_get_many(w, DAXKV_FIRST, &hollow, 1, &k, &v, &got));
	REFUSED(daxkv_cursor_count(w, NULL));
	REFUSED(daxkv_cursor_several(w, NULL));
	daxkv_cursor_close(c);
	daxkv_cursor_close(w);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void sizes_near_the_limits(void **state)
{
	static const size_t sizes[] = {
	    1u << 30,        UINT32_MAX,   (size_t)UINT32_MAX + 1, (size_t)UINT32_MAX + 9,
	    (size_t)1 << 40, SIZE_MAX / 2, SIZE_MAX - 4096,        SIZE_MAX - 64,
	    SIZE_MAX - 1,    SIZE_MAX};
	static const unsigned int flags[] = {0, DAXKV_RESERVE, DAXKV_APPEND, DAXKV_NO_OVERWRITE};
	daxkv_db dups = db_of(child, "dups", DAXKV_DUP_SORT);
	struct daxkv_cursor *c;
	struct daxkv_val k = text("new"), v;
	(void)state;

	OK(daxkv_cursor_open(child, db, &c));
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct daxkv_val large = bytes("?", sizes[i]), at;

		REFUSED(daxkv_get(child, db, &large, &v));
		REFUSED(daxkv_put(child, db, &large, &k, 0));
		REFUSED(daxkv_del(child, db, &large, NULL));
		REFUSED(daxkv_del_range(child, db, &large, NULL, NULL));
		REFUSED(daxkv_db_open(child, &large, DAXKV_CREATE, &closed));
		REFUSED(daxkv_db_rename(child, db, &large));
		REFUSED(daxkv_put(child, dups, &k, &large, 0));
		at = large;
		REFUSED(daxkv_cursor_get(c, &at, &v, DAXKV_SEEK_GE));
		REFUSED(daxkv_cursor_put(c, &large, &k, 0));
		for (size_t f = 0; f < sizeof flags / sizeof *flags; f++) {
			struct daxkv_txn *txn = NULL; /* a failure may leave only abort */

			v = large;
			OK(daxkv_txn_begin(store, child, 0, &txn));
			REFUSED(daxkv_put(txn, db, &k, &v, flags[f]));
			daxkv_txn_abort(txn);
		}
	}
	daxkv_cursor_close(c);
}

static void options_near_the_limits(void **state)
{
	static const uint64_t sizes[] = {1,
	                                 4095,
	                                 1u << 20,
	                                 (uint64_t)1 << 47,
	                                 (uint64_t)1 << 62,
	                                 INT64_MAX - 4096,
	                                 INT64_MAX,
	                                 (uint64_t)INT64_MAX + 1,
	                                 UINT64_MAX - (1u << 21),
	                                 UINT64_MAX - 1,
	                                 UINT64_MAX};
	static const unsigned int counts[] = {1,        2,         1u << 20,       (1u << 20) + 1,
	                                      1u << 26, INT32_MAX, UINT32_MAX - 1, UINT32_MAX};
	size_t n = sizeof sizes / sizeof *sizes, m = sizeof counts / sizeof *counts;
	(void)state;

	for (size_t i = 0; i < 6 * n + m; i++) {
		struct daxkv_options o = {.flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE};
		uint64_t size = sizes[i % n];
		struct daxkv_txn *txn;
		struct daxkv_store *s = NULL;
		struct daxkv_val k = text("k"), v = text("v");

		unlink(scratch_path("limits"));
		if (i >= 6 * n)
			o.max_readers = counts[i - 6 * n];
		else if (i / n == 0)
			o.max_size = size;
		else if (i / n == 1)
			o.initial_size = size;
		else if (i / n == 2)
			o.max_age_ms = size;
		else if (i / n == 3)
			o.max_lag = size;
		else if (i / n == 4)
			o.page_size = (unsigned int)size;
		else
			o.user_version = size;
		if (daxkv_open(scratch_path("limits"), &o, &s)) {
			assert_string_not_equal(daxkv_errmsg(), "before");
			continue;
		}
		txn = begin(s);
		OK(daxkv_put(txn, MAIN, &k, &v, 0));
		OK(daxkv_txn_commit(txn));
		txn = begin_reading(s);
		OK(daxkv_get(txn, MAIN, &k, &v));
		daxkv_txn_abort(txn);
		OK(daxkv_txn_begin_timed(s, UINT32_MAX, &txn));
		daxkv_txn_abort(txn);
		(void)daxkv_set_max_size(s, size);
		store_done(s);
	}
}

/* ---- texts ----------------------------------------------------------------------------------- */

#define SAYS(call, code, text_)                                                                    \
	do {                                                                                       \
		err_set(EIO, "before");                                                            \
		assert_int_equal((call), (code));                                                  \
		assert_string_equal(daxkv_errmsg(), (text_));                                      \
	} while (0)

static int twice(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	(void)arg;
	*key = *value = text("zz");
	return 0;
}

static void answers_have_texts(void **state)
{
	const char *none = daxkv_strerror(DAXKV_NOT_FOUND), *there = daxkv_strerror(DAXKV_EXIST);
	struct daxkv_val k = text("k"), q = text("q"), v = text("v"), name = text("no such"),
	                 dups_name = text("dups");
	struct daxkv_cursor *c;
	daxkv_db dups = 0, out;
	uint64_t n;
	size_t got;
	(void)state;

	OK(daxkv_db_open(child, &dups_name, DAXKV_CREATE | DAXKV_DUP_SORT, &dups));
	OK(daxkv_put(child, dups, &k, &v, 0));
	OK(daxkv_cursor_open(child, db, &c));
	SAYS(daxkv_get(child, db, &q, &v), DAXKV_NOT_FOUND, none);
	SAYS(daxkv_get(reader, db, &q, &v), DAXKV_NOT_FOUND, none);
	SAYS(daxkv_put(child, db, &k, &v, DAXKV_NO_OVERWRITE), DAXKV_EXIST, there);
	SAYS(daxkv_put(child, db, &k, &v, DAXKV_APPEND), DAXKV_EXIST, there);
	v = text("v");
	SAYS(daxkv_put(child, dups, &k, &v, DAXKV_NO_DUP_DATA), DAXKV_EXIST, there);
	SAYS(daxkv_del(child, db, &q, NULL), DAXKV_NOT_FOUND, none);
	SAYS(daxkv_del(child, dups, &k, &q), DAXKV_NOT_FOUND, none);
	SAYS(daxkv_bulk_load(child, db, 0, twice, NULL, NULL), DAXKV_EXIST, there);
	SAYS(daxkv_db_open(child, &name, 0, &out), DAXKV_NOT_FOUND, none);
	SAYS(daxkv_db_rename(child, dups, &(struct daxkv_val){2, v.data = text("db").data}),
	     DAXKV_EXIST, there);
	name = text("zzzz");
	SAYS(daxkv_db_list_next(child, &name), DAXKV_NOT_FOUND, none);
	SAYS(daxkv_cursor_get(c, &q, &v, DAXKV_SEEK), DAXKV_NOT_FOUND, none);
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_LAST));
	SAYS(daxkv_cursor_get(c, &k, &v, DAXKV_NEXT), DAXKV_NOT_FOUND, none);
	SAYS(daxkv_cursor_get_many(c, DAXKV_NEXT, NULL, 1, &k, &v, &got), DAXKV_NOT_FOUND, none);
	k = text("k");
	v = text("v");
	SAYS(daxkv_cursor_put(c, &k, &v, DAXKV_NO_OVERWRITE), DAXKV_EXIST, there);
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_LAST));
	OK(daxkv_cursor_del(c, 0));
	SAYS(daxkv_cursor_del(c, 0), DAXKV_NOT_FOUND, none);
	SAYS(daxkv_cursor_count(c, &n), DAXKV_NOT_FOUND, none);
	/* and a failure behind an answer has its own again */
	SAYS(daxkv_get(child, HUGE_DB, &q, &v), DAXKV_BAD_DB,
	     "4294967281 is not an open database handle");
	daxkv_cursor_close(c);
}

/* What fails inside a call that succeeds leaves no text. */
static void success_leaves_no_text(void **state)
{
	struct daxkv_options o = {.flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE};
	struct daxkv_val name = text("made"), v, q = text("q");
	struct daxkv_txn *txn;
	struct daxkv_store *s;
	struct daxkv_info info;
	daxkv_db made;
	(void)state;

	err_set(EIO, "before");
	OK(daxkv_open(scratch_path("made"), &o, &s)); /* the file was missing */
	assert_string_equal(daxkv_errmsg(), "before");
	txn = begin(s);
	OK(daxkv_db_open(txn, &name, DAXKV_CREATE | DAXKV_OWN_COMPARE,
	                 &made)); /* so was the database, and its comparator is */
	assert_string_equal(daxkv_errmsg(), "before");
	OK(daxkv_txn_commit(txn));
	OK(daxkv_info(s, &info));
	txn = begin_reading(s);
	assert_int_equal(daxkv_get(txn, MAIN, &q, &v), DAXKV_NOT_FOUND);
	daxkv_txn_abort(txn);
	OK(daxkv_info(store, &info)); /* another thread might be writing */
	assert_string_equal(daxkv_errmsg(), daxkv_strerror(DAXKV_NOT_FOUND));
	store_done(s);
}

/* ---- what all of them use -------------------------------------------------------------------- */

static int begin_all(void **state)
{
	struct daxkv_val k = text("k"), v = text("v"), large = {(size_t)1 << 40, NULL};
	struct daxkv_options o = {.flags = DAXKV_CREATE,
	                          .pmem = DAXKV_PMEM_FORCE,
	                          .page_size = 512,
	                          .max_size = 16u << 20};

	if (scratch_make(state))
		return -1;
	OK(daxkv_open(scratch_path("one"), &o, &store));
	other = store_new("two", 32768);
	writer = begin(store);
	db = db_of(writer, "db", 0);
	closed = db_of(writer, "closed", 0);
	OK(daxkv_put(writer, db, &k, &v, 0));
	OK(daxkv_txn_commit(writer));
	daxkv_db_close(store, closed);
	reader = begin_reading(store);
	idle = begin_reading(store);
	OK(daxkv_cursor_open(idle, db, &detached));
	daxkv_txn_abort(idle);
	idle = begin_reading(store);
	daxkv_txn_reset(idle);
	writer = begin(store);
	child = begin_in(writer);
	foreign = begin_reading(other);
	failed = begin(other);
	parent = failed; /* while a nested one runs */
	failed = begin_in(parent);
	assert_int_not_equal(daxkv_put(failed, MAIN, &k, &large, DAXKV_RESERVE), 0);
	err_set(EIO, "before");
	return 0;
}

static int end_all(void **state)
{
	struct daxkv_val k = text("k"), v;

	OK(daxkv_get(child, db, &k, &v));
	OK(daxkv_txn_commit(child));
	OK(daxkv_txn_commit(writer));
	daxkv_txn_abort(parent);
	daxkv_cursor_close(detached);
	daxkv_txn_abort(reader);
	daxkv_txn_abort(idle);
	daxkv_txn_abort(foreign);
	store_done(store);
	store_done(other);
	return scratch_remove(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(wrong_transactions),      TEST(wrong_handles),      TEST(missing_arguments),
	    TEST(missing_stores),          TEST(wrong_cursors),      TEST(sizes_near_the_limits),
	    TEST(options_near_the_limits), TEST(answers_have_texts), TEST(success_leaves_no_text),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
