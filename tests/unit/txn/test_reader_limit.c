/* SPDX-License-Identifier: BSD-3-Clause */
/* Old readers that hold back space: who is given up, who never is, what a given-up one's calls come
 * to, and what a caller is asked. */
#include "clock.h"
#include "small_store.h"

#include <pthread.h>
#include <sys/syscall.h>

#define SIZE         20u
#define BOUNDED(...) store_open("e", (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE, __VA_ARGS__})

/* churn - n commits that rewrite some records each: pages are freed all the time. */
static void churn(struct daxkv_store *store, unsigned int n, uint64_t version)
{
	for (unsigned int i = 0; i < n; i++)
		put_some(store, i % 10 * 40, i % 10 * 40 + 40, SIZE, version + i);
}

static off_t file_size(struct daxkv_store *store)
{
	struct stat st;

	OK(fstat(daxkv_fd(store), &st));
	return st.st_size;
}

static bool all_are(struct daxkv_txn *txn, uint64_t version)
{
	for (uint64_t n = 0; n < 400; n++)
		if (!has_n(txn, DAXKV_MAIN, n, SIZE, version))
			return false;
	return true;
}

/* given_up - its calls say so. */
static bool given_up(struct daxkv_txn *txn)
{
	unsigned int flags = 77;
	int rc = daxkv_db_flags(txn, DAXKV_MAIN, &flags);

	assert_true(rc == 0 || (rc == DAXKV_TOO_OLD && flags == 77));
	return rc == DAXKV_TOO_OLD;
}

/* ---- who is given up ------------------------------------------------------------------------- */

/* By commits: never at or below the bound, however much space is wanted; beyond it when space is
 * wanted, and the file stays small. */
static void bound_by_commits(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = BOUNDED(.max_lag = 200);
	struct daxkv_txn *old;
	(void)state;
	put_some(a, 0, 400, SIZE, 0);
	churn(a, 300, 5);
	put_some(a, 0, 400, SIZE, 1);
	old = begin_reading(b);
	for (int i = 0; i < 4; i++) {
		churn(a, 50, 10);
		assert_true(all_are(old, 1));
	}
	churn(a, 200, 10);
	off_t size = file_size(a);

	churn(a, 5000, 10);
	assert_true(file_size(a) <= size);
	assert_true(given_up(old));
	assert_non_null(strstr(daxkv_errmsg(), "given up"));
	assert_int_equal(info(a).readers, 1); /* it is there, and holds nothing */
	daxkv_txn_reset(old);
	OK(daxkv_txn_renew(old));
	assert_false(given_up(old));
	put_some(a, 0, 400, SIZE, 3);
	assert_true(!all_are(old, 3));
	daxkv_txn_abort(old);
	old = begin_reading(b); /* the same place */
	assert_true(all_are(old, 3));
	daxkv_txn_abort(old);
	store_done(a);
	OK(daxkv_close(b));
}

static void bound_by_age(void **state)
{
	struct daxkv_store *a = store_new("e", 512),
	                   *b = BOUNDED(.max_age_ms = 1500, .flags = DAXKV_READ_ONLY);
	struct daxkv_txn *old, *young;
	(void)state;
	put_some(a, 0, 400, SIZE, 1);
	double from = now();

	old = begin_reading(b);
	churn(a, 500, 10);
	bool there = all_are(old, 1);

	assert_true(there || now() - from >= 1.5);
	off_t size = file_size(a);

	usleep(1600000);
	put_some(a, 0, 400, SIZE, 2);
	young = begin_reading(b);
	churn(a, 3000, 10);
	assert_true(given_up(old));
	assert_true(file_size(a) > size / 2);
	daxkv_txn_abort(young);
	daxkv_txn_abort(old);
	OK(daxkv_close(b));
	store_done(a);
}

/* A reader whose store declared nothing is never given up: the file grows. */
static void without_a_bound(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = store_again("e"),
	                   *c = BOUNDED(.max_lag = 1);
	struct daxkv_txn *old, *bounded;
	(void)state;
	put_some(a, 0, 400, SIZE, 1);
	old = begin_reading(b);
	bounded = begin_reading(c);
	off_t size = file_size(a);

	churn(a, 3000, 10);
	assert_true(file_size(a) > size);
	assert_true(all_are(old, 1));
	assert_true(given_up(bounded)); /* in vain */
	daxkv_txn_abort(bounded);
	daxkv_txn_abort(old);
	OK(daxkv_close(c));
	OK(daxkv_close(b));
	store_done(a);
}

/* When the file may not grow, a bounded reader's pages are what a full store lives on. */
static void a_full_store_goes_on(void **state)
{
	struct daxkv_store *a, *b;
	struct daxkv_txn *old;
	(void)state;
	unlink(scratch_path("e"));
	unlink(scratch_path("e-lock"));
	a = BOUNDED(.flags = DAXKV_CREATE, .page_size = 512, .max_size = 200 << 10);
	b = BOUNDED(.max_lag = 1000000);
	put_some(a, 0, 400, SIZE, 1);
	old = begin_reading(b);
	unsigned int n = 0;
	struct daxkv_txn *txn;
	int rc = 0;

	for (; n < 3000 && !rc; n++) {
		txn = begin(a);
		for (uint64_t i = 0; i < 40 && !rc; i++)
			rc = put_n(txn, DAXKV_MAIN, n % 10 * 40 + i, SIZE, n);
		if (rc)
			daxkv_txn_abort(txn);
		else
			rc = daxkv_txn_commit(txn);
	}
	assert_int_equal(rc, DAXKV_FULL); /* below its bound it is left in peace */
	assert_true(all_are(old, 1));
	daxkv_txn_abort(old);
	OK(daxkv_close(b));
	b = BOUNDED(.max_lag = 5);
	old = begin_reading(b);
	churn(a, 3000, 10);
	assert_true(given_up(old));
	daxkv_txn_abort(old);
	OK(daxkv_close(b));
	store_done(a);
}

/* ---- what its calls come to ------------------------------------------------------------------ */

static struct {
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	struct daxkv_cursor *cursor;
	daxkv_db db;
} r;

static void r_begin(struct daxkv_store *store)
{
	struct daxkv_val name = text("dups");

	r.store = store;
	r.txn = begin_reading(store);
	OK(daxkv_db_open(r.txn, &name, 0, &r.db));
	OK(daxkv_cursor_open(r.txn, r.db, &r.cursor));
	OK(daxkv_cursor_get(r.cursor, &(struct daxkv_val){0}, NULL, DAXKV_FIRST));
}

static void r_evict(void)
{
	struct share *share = r.store->share;

	assert_true(
	    share_evict(share, r.txn->reader, share->reader[r.txn->reader].snapshot_plus_1));
}

static const struct daxkv_val untouched = {12345, (void *)0x5a5a};

static bool is_untouched(const struct daxkv_val *v)
{
	return v->size == untouched.size && v->data == untouched.data;
}

static void outputs_stay(void)
{
	struct daxkv_val k = text("key01"), key = untouched, value = untouched,
	                 many[2] = {untouched, untouched}, keys[2] = {k, k};
	struct daxkv_db_stat stat = {.entries = 77};
	struct daxkv_cursor *cursor = NULL;
	uint64_t count = 77;
	unsigned int flags = 77;
	int result[2];
	daxkv_db db = 77;

	assert_int_equal(daxkv_get(r.txn, DAXKV_MAIN, &k, &value), DAXKV_TOO_OLD);
	assert_int_equal(daxkv_get(r.txn, r.db, &k, &value), DAXKV_TOO_OLD);
	assert_int_equal(daxkv_get_many(r.txn, DAXKV_MAIN, 2, keys, many, result), DAXKV_TOO_OLD);
	for (enum daxkv_cursor_op op = DAXKV_FIRST; op <= DAXKV_GET_CURRENT; op++)
		assert_int_equal(daxkv_cursor_get(r.cursor, &key, &value, op), DAXKV_TOO_OLD);
	for (enum daxkv_cursor_op op = DAXKV_SEEK; op <= DAXKV_SEEK_PAIR_GE; op++) {
		struct daxkv_val at = k, pair = text("v");

		assert_int_equal(daxkv_cursor_get(r.cursor, &at, &pair, op), DAXKV_TOO_OLD);
		assert_true(at.data == k.data);
	}
	assert_int_equal(daxkv_cursor_count(r.cursor, &count), DAXKV_TOO_OLD);
	assert_int_equal(daxkv_cursor_open(r.txn, DAXKV_MAIN, &cursor), DAXKV_TOO_OLD);
	assert_int_equal(daxkv_cursor_renew(r.txn, r.cursor), DAXKV_TOO_OLD);
	assert_int_equal(daxkv_db_open(r.txn, &k, 0, &db), DAXKV_TOO_OLD);
	assert_int_equal(daxkv_db_open(r.txn, NULL, 0, &db), DAXKV_TOO_OLD);
	assert_int_equal(daxkv_db_flags(r.txn, r.db, &flags), DAXKV_TOO_OLD);
	assert_int_equal(daxkv_db_stat(r.txn, r.db, &stat), DAXKV_TOO_OLD);
	struct daxkv_val name = {0};

	assert_int_equal(daxkv_db_list_next(r.txn, &name), DAXKV_TOO_OLD);
	assert_true(is_untouched(&key) && is_untouched(&value) && count == 77 && flags == 77 &&
	            db == 77 && stat.entries == 77 && !cursor && !name.data);
}

static void dups_make(struct daxkv_store *store)
{
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val name = text("dups");
	char key[8], value[40];
	daxkv_db db;

	OK(daxkv_db_open(txn, &name, DAXKV_CREATE | DAXKV_DUP_SORT, &db));
	for (int i = 0; i < 400; i++) {
		snprintf(key, sizeof key, "key%02d", i / 20);
		snprintf(value, sizeof value, "a duplicate's value %02d", i % 20);
		OK(put(txn, db, key, value, 0));
		OK(put(txn, DAXKV_MAIN, key, value, 0));
	}
	OK(daxkv_txn_commit(txn));
}

/* Whatever is called first after it was given up; and again, and after the cursor's place was to be
 * kept. */
static void every_call_says_so(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = BOUNDED(.max_lag = 1);
	struct daxkv_val k, v;
	(void)state;
	dups_make(a);
	for (int i = 0; i < 3; i++) {
		r_begin(b);
		if (i)
			r_evict();
		if (i == 2)
			outputs_stay();
		daxkv_txn_reset(r.txn);
		OK(daxkv_txn_renew(r.txn));
		/* A place that was kept while the snapshot could be believed is found again,
		 * another is nowhere. */
		assert_int_equal(daxkv_cursor_get(r.cursor, &k, &v, DAXKV_GET_CURRENT),
		                 i ? EINVAL : 0);
		OK(daxkv_cursor_get(r.cursor, &k, &v, DAXKV_FIRST));
		assert_true(v.size == strlen("a duplicate's value 00"));
		r_evict();
		outputs_stay();
		outputs_stay();
		daxkv_txn_abort(r.txn);
		daxkv_cursor_close(r.cursor);
	}
	store_done(a);
	OK(daxkv_close(b));
}

/* A handle that an evicted reader may be using is not given to another database: its calls may be
 * looking at the name. */
static void handles_outlive_eviction(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = BOUNDED(.max_lag = 1);
	struct daxkv_val other = text("another");
	struct daxkv_txn *txn;
	daxkv_db db;
	(void)state;
	dups_make(a);
	r_begin(b);
	txn = begin(b);
	OK(daxkv_db_drop(txn, r.db, 1));
	OK(daxkv_txn_commit(txn));
	r_evict();
	txn = begin(b);
	OK(daxkv_db_open(txn, &other, DAXKV_CREATE, &db));
	assert_true(db != r.db && b->dbis.dbi[r.db].name);
	OK(daxkv_txn_commit(txn));
	assert_int_equal(daxkv_cursor_get(r.cursor, &(struct daxkv_val){0}, NULL, DAXKV_FIRST),
	                 DAXKV_TOO_OLD);
	daxkv_txn_abort(r.txn);
	daxkv_cursor_close(r.cursor);
	store_done(a);
	OK(daxkv_close(b));
}

/* ---- pages that change in the middle of a call ----------------------------------------------- */

/* A comparator is called in the middle of each search: there the snapshot is given up, and all
 * pages get other bytes. */
static struct {
	struct daxkv_store *store; /* the writer's handle */
	uint8_t *saved;
	unsigned int left, pattern;
	bool done;
} trap;

static void pages_spoil(void)
{
	uint64_t from = trap.store->geometry.first_page, size = trap.store->map.size;
	uint64_t x = 88172645463325252u + trap.pattern;
	union {
		const uint8_t *in;
		uint8_t *out;
	} base = {trap.store->map.base};

	trap.saved = malloc(size);
	assert_non_null(trap.saved);
	memcpy(trap.saved, base.in, size);
	for (uint64_t i = from; i < size; i++)
		base.out[i] =
		    trap.pattern < 2 ? (uint8_t)(0 - trap.pattern) : (uint8_t)random_next(&x);
	for (uint64_t i = from; trap.pattern > 3 && i + 512 <= size;
	     i += 512) { /* as they were, but for the number of entries */
		struct fmt_page *page = (void *)(base.out + i);

		memcpy(page, trap.saved + i, 512);
		page->n = trap.pattern == 4 ? page->n > 0 : UINT16_MAX;
	}
	if (trap.pattern == 3) /* sound headers, but of other pages */
		for (uint64_t i = from; i + 512 <= size; i += 512)
			memcpy(base.out + i,
			       trap.saved + from + (i * 7 + 512) % (size - from) / 512 * 512, 32);
}

static void pages_restore(void)
{
	union {
		const uint8_t *in;
		uint8_t *out;
	} base = {trap.store->map.base};

	if (trap.saved)
		memcpy(base.out, trap.saved, trap.store->map.size);
	free(trap.saved);
	trap.saved = NULL;
}

static int compare_and_spoil(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	size_t n = a->size < b->size ? a->size : b->size;
	int c = memcmp(a->data, b->data, n);

	(void)arg;
	if (trap.left && --trap.left == 0) {
		trap.done = true;
		r_evict();
		pages_spoil();
	}
	return c ? c : (a->size > b->size) - (a->size < b->size);
}

enum { OWN_KEYS = 1500 };

static int own_key(char *buf, unsigned int n)
{
	return snprintf(buf, 16, "k%06u", n);
}

static int own_call(unsigned int which)
{
	static unsigned int n;
	struct daxkv_val k, v;
	char buf[16];
	uint64_t count;
	int rc;

	n = (n * 31 + 7) % OWN_KEYS;
	k = (struct daxkv_val){(size_t)own_key(buf, n), buf};
	v = text("v");
	switch (which) {
	case 0:
		return daxkv_get(r.txn, r.db, &k, &v);
	case 1:
		rc = daxkv_cursor_get(r.cursor, &k, &v, DAXKV_SEEK_GE);
		for (int i = 0; i < 200 && !rc; i++)
			rc = daxkv_cursor_get(r.cursor, &k, &v, DAXKV_NEXT);
		return rc;
	case 2:
		rc = daxkv_cursor_get(r.cursor, &k, &v, DAXKV_SEEK_LE);
		for (int i = 0; i < 200 && !rc; i++)
			rc =
			    daxkv_cursor_get(r.cursor, &k, &v, i % 2 ? DAXKV_PREV : DAXKV_PREV_KEY);
		return rc;
	case 3:
		rc = daxkv_cursor_get(r.cursor, &k, &v, DAXKV_SEEK);
		return rc ? rc : daxkv_cursor_count(r.cursor, &count);
	default:
		rc = daxkv_cursor_get(r.cursor, &k, &v, DAXKV_LAST);
		for (int i = 0; i < 30 && !rc; i++)
			rc = daxkv_cursor_get(r.cursor, &k, &v, DAXKV_PREV_KEY);
		return rc;
	}
}

/* own_begin - a read transaction with a cursor in the database with an order of its own. */
static void own_begin(struct daxkv_store *b)
{
	struct daxkv_val name = text("own");

	r.store = b;
	r.txn = begin_reading(b);
	OK(daxkv_db_open(r.txn, &name, 0, &r.db));
	OK(daxkv_db_set_compare(r.txn, r.db, compare_and_spoil, NULL));
	OK(daxkv_cursor_open(r.txn, r.db, &r.cursor));
}

static void own_fill(struct daxkv_store *a)
{
	struct daxkv_txn *txn = begin(a);
	struct daxkv_val name = text("own");
	daxkv_db db;

	OK(daxkv_db_open(txn, &name, DAXKV_CREATE | DAXKV_OWN_COMPARE | DAXKV_DUP_SORT, &db));
	OK(daxkv_db_set_compare(txn, db, compare_and_spoil, NULL));
	for (unsigned int n = 0; n < OWN_KEYS; n++) {
		char buf[16];

		own_key(buf, n);
		OK(put(txn, db, buf, "value", 0));
		if (n % 9 == 0)
			OK(put(txn, db, buf, "w", 0));
	}
	OK(daxkv_txn_commit(txn));
}

enum { VALUES = DAXKV_SEEK_PAIR_GE + 1, COUNT, SEVERAL };

/* placed_call - with pages spoilt behind a cursor that has a place: one move. */
static int placed_call(unsigned int place, unsigned int op)
{
	char buf[16];
	struct daxkv_val k = {(size_t)own_key(buf, place * 37 % OWN_KEYS), buf}, v;
	char values[OWN_KEYS * 8];
	size_t count;
	int several;

	OK(daxkv_cursor_get(r.cursor, &k, &v, place % 3 ? DAXKV_SEEK_GE : DAXKV_LAST));
	if (place % 2) /* with the leaf's order at hand */
		OK(daxkv_cursor_get(r.cursor, &k, &v, DAXKV_PREV));
	r_evict();
	pages_spoil();
	k = (struct daxkv_val){(size_t)own_key(buf, place), buf};
	v = text("v");
	if (op > VALUES)
		return op == COUNT ? daxkv_cursor_count(r.cursor, &count)
		                   : daxkv_cursor_several(r.cursor, &several);
	return op == VALUES ? daxkv_cursor_get_values(r.cursor, OWN_KEYS, 5, values, &count)
	                    : daxkv_cursor_get(r.cursor, &k, &v, op);
}

/* trapped - a store without room to grow, whose pages are the trap's. */
static struct daxkv_store *trapped(void)
{
	unlink(scratch_path("e"));
	unlink(scratch_path("e-lock"));
	trap.store = BOUNDED(.flags = DAXKV_CREATE, .page_size = 512, .initial_size = 200 << 10,
	                     .max_size = 200 << 10);
	own_fill(trap.store);
	return trap.store;
}

static void pages_that_changed_under_a_cursor(void **state)
{
	struct daxkv_store *a, *b;
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* loads of plain integers from a page that changes may be misaligned, which
	           processors bear and the sanitizer reports */
#endif
	a = trapped();
	b = BOUNDED(.max_lag = 1);
	trap.left = 0;
	for (unsigned int place = 0; place < 40; place++)
		for (unsigned int op = DAXKV_FIRST; op <= SEVERAL; op++)
			for (trap.pattern = 0; trap.pattern < 6; trap.pattern++) {
				own_begin(b);
				int rc = placed_call(place, op);

				pages_restore();
				if (rc != DAXKV_TOO_OLD)
					fail_msg("place %u, move %u, pattern %u: %s", place, op,
					         trap.pattern, daxkv_strerror(rc));
				daxkv_txn_abort(r.txn);
				daxkv_cursor_close(r.cursor);
			}
	OK(daxkv_close(b));
	store_done(a);
}

static void pages_that_change_under_a_search(void **state)
{
	struct daxkv_store *a, *b;
	unsigned int sprung = 0;
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* loads of plain integers from a page that changes may be misaligned, which
	           processors bear and the sanitizer reports */
#endif
	a = trapped();
	b = BOUNDED(.max_lag = 1);
	for (unsigned int which = 0; which < 5; which++)
		for (unsigned int at = 1; at < 60; at++)
			for (trap.pattern = 0; trap.pattern < 6; trap.pattern++) {
				own_begin(b);
				trap.left = at;
				trap.done = false;
				int rc = own_call(which);

				trap.left = 0;
				pages_restore();
				if (rc != (trap.done ? DAXKV_TOO_OLD : 0) &&
				    !(rc == DAXKV_NOT_FOUND && !trap.done))
					fail_msg("call %u, comparison %u, pattern %u: %s", which,
					         at, trap.pattern, daxkv_strerror(rc));
				sprung += trap.done;
				daxkv_txn_abort(r.txn);
				daxkv_cursor_close(r.cursor);
			}
	assert_true(sprung > 400);
	OK(daxkv_close(b));
	store_done(a);
}

/* ---- who is asked ---------------------------------------------------------------------------- */

static struct {
	struct daxkv_old_reader first, last;
	unsigned int calls;
	enum daxkv_old_reader_action answer;
	unsigned int retries;
	struct daxkv_txn *end; /* ended by the call number retries */
} asked;

static enum daxkv_old_reader_action asked_about(const struct daxkv_old_reader *reader, void *arg)
{
	assert_true(arg == &asked);
	if (asked.calls++ == 0)
		asked.first = *reader;
	asked.last = *reader;
	if (reader->retry < asked.retries)
		return DAXKV_OLD_READER_RETRY;
	if (asked.end) {
		daxkv_txn_abort(asked.end);
		asked.end = NULL;
		return DAXKV_OLD_READER_RETRY;
	}
	return asked.answer;
}

static struct daxkv_store *asking(void)
{
	memset(&asked, 0, sizeof asked);
	unlink(scratch_path("e"));
	unlink(scratch_path("e-lock"));
	return BOUNDED(.flags = DAXKV_CREATE, .page_size = 512, .old_reader = asked_about,
	               .old_reader_arg = &asked);
}

static void asked_and_told_to_grow(void **state)
{
	struct daxkv_store *a = asking(), *b = store_again("e");
	struct daxkv_txn *old;
	(void)state;
	put_some(a, 0, 400, SIZE, 0);
	churn(a, 3000, 1);
	assert_int_equal(asked.calls, 0); /* nobody holds anything */
	put_some(a, 0, 400, SIZE, 1);
	old = begin_reading(b);
	uint64_t snapshot = daxkv_txn_id(old);
	off_t size = file_size(a);

	asked.retries = 3;
	churn(a, 2000, 1);
	assert_true(asked.calls >= 4);
	assert_int_equal(asked.first.retry, 0);
	assert_int_equal(asked.last.retry, 3);
	assert_int_equal(asked.first.pid, getpid());
	assert_int_equal(asked.first.thread, syscall(SYS_gettid));
	assert_true(asked.first.store == a && !asked.first.own && !asked.first.bounded &&
	            asked.first.snapshot == snapshot);
	assert_true(asked.first.lag > 0 && asked.first.lag < 2000 &&
	            asked.last.lag >= asked.first.lag);
	assert_true(asked.first.held_pages > 100 && asked.first.age_ms < 60000);
	assert_true(file_size(a) > size);
	assert_true(all_are(old, 1));
	asked.answer = DAXKV_OLD_READER_EVICT; /* it has no bound */
	size = file_size(a);
	churn(a, 4000, 1);
	assert_true(file_size(a) > size && all_are(old, 1));
	daxkv_txn_abort(old);
	OK(daxkv_close(b));
	store_done(a);
}

static void asked_and_the_reader_ends(void **state)
{
	struct daxkv_store *a = asking(), *b = store_again("e");
	(void)state;
	put_some(a, 0, 400, SIZE, 0);
	churn(a, 300, 1);
	asked.end = begin_reading(b);
	asked.retries = 2;
	off_t size = file_size(a);

	churn(a, 3000, 1);
	assert_null(asked.end);
	assert_int_equal(asked.calls, 3);
	assert_true(file_size(a) <= size);
	OK(daxkv_close(b));
	store_done(a);
}

static void seen(const struct daxkv_reader *reader, void *arg)
{
	unsigned int *n = arg;

	assert_true(reader->running && reader->bounded &&
	            reader->thread == (int)syscall(SYS_gettid));
	*n += reader->evicted ? 100 : 1;
}

/* Told to give it up, below its bound: the file stays as it is. */
static void asked_and_told_to_evict(void **state)
{
	struct daxkv_store *a = asking(), *b = BOUNDED(.max_age_ms = UINT64_MAX);
	struct daxkv_txn *old;
	unsigned int n = 0;
	(void)state;
	put_some(a, 0, 400, SIZE, 0);
	churn(a, 300, 1);
	old = begin_reading(b);
	asked.answer = DAXKV_OLD_READER_EVICT;
	off_t size = file_size(a);

	daxkv_readers_list(a, seen, &n);
	assert_int_equal(n, 1);
	churn(a, 3000, 1);
	assert_int_equal(asked.calls, 1);
	assert_true(asked.first.bounded);
	assert_true(given_up(old) && file_size(a) <= size);
	daxkv_readers_list(a, seen, &n);
	assert_int_equal(n, 101);
	daxkv_txn_abort(old);
	store_done(a);
	OK(daxkv_close(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(bound_by_commits),
	    TEST(bound_by_age),
	    TEST(without_a_bound),
	    TEST(a_full_store_goes_on),
	    TEST(every_call_says_so),
	    TEST(handles_outlive_eviction),
	    TEST(pages_that_change_under_a_search),
	    TEST(pages_that_changed_under_a_cursor),
	    TEST(asked_and_told_to_grow),
	    TEST(asked_and_the_reader_ends),
	    TEST(asked_and_told_to_evict),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
