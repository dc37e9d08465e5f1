/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that share a commit: what they promise each other and their programs, and what becomes of
 * members that end otherwise [G1] [G2] [G3] [G5]. */
#include "group_workers.h"

/* ---- the promise ------------------------------------------------------------------------------
 */

static void members_share_one_fence_and_one_number(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_counters before = counters(store), after;
	struct worker w[MEMBERS];
	struct daxkv_txn *txn = begin(store);
	const uint64_t id = daxkv_txn_id(txn);
	(void)state;

	for (unsigned int i = 0; i < MEMBERS; i++)
		start(&w[i], store, body_commit, i + 1);
	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	OK(daxkv_txn_commit(txn));
	after = counters(store);
	for (unsigned int i = 0; i < MEMBERS; i++) {
		end(&w[i]);
		OK(w[i].rc);
		assert_int_equal(w[i].id, id);
		assert_true(lasts(store, i + 1));
	}
	assert_true(lasts(store, 0));
	assert_int_equal(after.fences - before.fences, 1);
	assert_int_equal(after.commits - before.commits, MEMBERS + 1);
	assert_int_equal(__atomic_load_n(&store->share->published, __ATOMIC_SEQ_CST), id);
	store_done(store);
}

static int body_stops(struct worker *w, struct daxkv_txn *txn)
{
	int rc = put_n(txn, DAXKV_MAIN, w->n, 20, 1);

	sem_post(&w->inside);
	sem_wait(&w->go);
	if (!rc)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return rc;
}

static int body_first(struct worker *w, struct daxkv_txn *txn)
{
	queued(w->store, 1);
	return body_stops(w, txn);
}

/* No commit returns, and no reader sees anything, before the sync that all wait for is over [G1].
 */
static void nobody_is_told_before_the_sync(void **state)
{
	struct daxkv_store *store = file_new();
	struct worker first, second;
	(void)state;

	first = (struct worker){.store = store, .body = body_first, .n = 1, .wait_ms = -1};
	assert_int_equal(sem_init(&first.inside, 0, 0) | sem_init(&first.go, 0, 0), 0);
	assert_int_equal(pthread_create(&first.thread, NULL, work, &first), 0);
	while (__atomic_load_n(&store->writer, __ATOMIC_ACQUIRE) == NULL)
		usleep(1000);
	start(&second, store, body_stops, 2);
	sem_wait(&first.inside);
	sem_post(&first.go);
	sem_wait(
	    &second.inside); /* the first one's commit waits, the second one's transaction runs */
	usleep(20000);
	assert_int_equal(__atomic_load_n(&returned, __ATOMIC_SEQ_CST), 0);
	assert_false(there(store, 1) || there(store, 2));
	assert_false(lasts(store, 1));
	sync_us = 30000;
	sem_post(&second.go);
	end(&first);
	end(&second);
	OK(first.rc);
	OK(second.rc);
	assert_int_equal(early, 0);
	assert_true(there(store, 1) && there(store, 2));
	store_done(store);
}

/* ---- members that end otherwise ---------------------------------------------------------------
 */

static int body_spoil(struct daxkv_txn *txn)
{
	struct daxkv_txn *child = begin_in(txn);
	int rc = del_n(child, DAXKV_MAIN, 0);

	for (unsigned int i = 0; i < 300 && !rc; i++)
		rc = put_n(child, DAXKV_MAIN, 1000 + i, 90, 3);
	rc = rc ? rc : daxkv_txn_commit(child);
	return rc ? rc : put(txn, db_of(txn, "of its own", 0), "k", "v", 0);
}

static int body_abort(struct worker *w, struct daxkv_txn *txn)
{
	int rc = body_spoil(txn);
	(void)w;

	rc = rc ? rc : daxkv_txn_set_user_version(txn, 7);
	daxkv_txn_abort(txn);
	return rc;
}

/* spoiled_by - a member in the middle ends by body, the others are as if it had never been [G2]. So
 * many groups it takes. */
static void spoiled_by(int (*body)(struct worker *w, struct daxkv_txn *txn), int want,
                       unsigned int groups)
{
	struct daxkv_store *store = file_new();
	const struct daxkv_counters before = counters(store);
	struct daxkv_txn *txn = begin(store);
	const uint64_t id = daxkv_txn_id(txn);
	struct daxkv_val name = text("of its own");
	struct worker w[2];
	daxkv_db db;

	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	OK(daxkv_txn_set_user_version(txn, 5));
	start(&w[0], store, body, 1);
	start(&w[1], store, body_commit, 2);
	OK(daxkv_txn_commit(txn));
	end(&w[0]);
	end(&w[1]);
	assert_int_equal(w[0].rc, want);
	OK(w[1].rc);
	assert_int_equal(__atomic_load_n(&store->share->published, __ATOMIC_SEQ_CST),
	                 id + groups - 1);
	assert_int_equal(counters(store).commits - before.commits, 2);
	txn = begin_reading(store);
	assert_true(has_n(txn, DAXKV_MAIN, 0, 20, 1) && has_n(txn, DAXKV_MAIN, 2, 20, 1));
	assert_true(lacks_n(txn, DAXKV_MAIN, 1000) && lacks_n(txn, DAXKV_MAIN, 1));
	assert_int_equal(daxkv_db_open(txn, &name, 0, &db), DAXKV_NOT_FOUND);
	assert_int_equal(daxkv_user_version(store), 5);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void an_aborted_member_leaves_the_others(void **state)
{
	(void)state;
	spoiled_by(body_abort, 0, 1);
}

static int body_too_large(struct worker *w, struct daxkv_txn *txn)
{
	struct daxkv_val key = text("large"), value = {txn->store->map.reserve, NULL};
	int rc = body_spoil(txn);

	if (!rc)
		rc = daxkv_put(txn, DAXKV_MAIN, &key, &value, DAXKV_RESERVE);
	if (rc == DAXKV_FULL) /* the transaction is broken: its commit says so */
		return daxkv_txn_commit(txn);
	snprintf(w->text, sizeof w->text, "%s", daxkv_errmsg());
	daxkv_txn_abort(txn);
	return rc;
}

static void a_failed_member_leaves_the_others(void **state)
{
	(void)state;
	spoiled_by(body_too_large, DAXKV_BAD_TXN, 1);
}

static int body_thread_ends(struct worker *w, struct daxkv_txn *txn)
{
	(void)w;
	(void)body_spoil(txn);
	(void)body_spoil(begin_in(txn));
	pthread_exit(NULL);
}

/* A member's thread that ends inside its transaction takes that along, and nothing else [G5]. */
static void a_member_whose_thread_ends_leaves_the_others(void **state)
{
	(void)state;
	spoiled_by(body_thread_ends, 0, 2);
}

static int body_cancelled(struct worker *w, struct daxkv_txn *txn)
{
	(void)w;
	(void)body_spoil(txn);
	pthread_cancel(pthread_self());
	pthread_testcancel();
	return 1;
}

static void a_member_that_is_cancelled_leaves_the_others(void **state)
{
	(void)state;
	spoiled_by(body_cancelled, 0, 2);
}

/* The last member is gone, and nobody waits for a turn: one that waits for the end closes the
 * group. */
static void the_last_member_aborts(void **state)
{
	static int (*const bodies[])(struct worker * w, struct daxkv_txn * txn) = {
	    body_abort, body_thread_ends, body_too_large};
	(void)state;

	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
		struct daxkv_store *store = file_new();
		struct daxkv_txn *txn = begin(store);
		struct worker w[2];

		OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
		start(&w[0], store, body_commit, 1);
		start(&w[1], store, bodies[i], 2);
		OK(daxkv_txn_commit(txn));
		end(&w[0]);
		end(&w[1]);
		OK(w[0].rc);
		assert_true(lasts(store, 0) && lasts(store, 1) && !lasts(store, 1000));
		store_done(store);
	}
}

/* ---- failures ---------------------------------------------------------------------------------
 */

/* A sync that fails is every member's failure, with the same text [G1]. */
static void a_failed_fence_is_told_to_all(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store);
	struct worker w[MEMBERS];
	(void)state;

	for (unsigned int i = 0; i < MEMBERS; i++)
		start(&w[i], store, body_commit, i + 1);
	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	sync_error = EIO;
	assert_int_equal(daxkv_txn_commit(txn), DAXKV_PANIC);
	assert_non_null(strstr(daxkv_errmsg(), "committing"));
	for (unsigned int i = 0; i < MEMBERS; i++) {
		end(&w[i]);
		assert_int_equal(w[i].rc, DAXKV_PANIC);
		assert_non_null(strstr(w[i].text, "committing"));
		assert_false(there(store, i));
	}
	assert_int_equal(daxkv_txn_begin(store, NULL, 0, &txn), DAXKV_PANIC);
	assert_int_equal(daxkv_txn_begin(store, NULL, DAXKV_TXN_TRY, &txn), DAXKV_PANIC);
	sync_error = 0;
	OK(daxkv_close(store));
}

static int body_fills(struct worker *w, struct daxkv_txn *txn)
{
	uint64_t off;
	int rc = put_n(txn, DAXKV_MAIN, w->n, 20, 1);

	/* The file may not grow, and its last free pages go: what is left does for the change. */
	OK(daxkv_set_max_size(w->store, daxkv_size(w->store)));
	while (!rc)
		rc = space_take(&w->store->space, 1, &off);
	if (rc != DAXKV_FULL)
		return -1000;
	rc = daxkv_txn_commit(txn);
	OK(daxkv_set_max_size(w->store, 0));
	return rc;
}

/* What the closing may need is every member's own to have, before the others depend on it [G3]. */
static void a_member_without_room_fails_alone(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store);
	struct worker w[2];
	(void)state;

	start(&w[0], store, body_fills, 1);
	start(&w[1], store, body_commit, 2);
	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	OK(daxkv_txn_commit(txn));
	end(&w[0]);
	end(&w[1]);
	assert_int_equal(w[0].rc, DAXKV_FULL);
	OK(w[1].rc);
	assert_true(lasts(store, 0) && !lasts(store, 1) && lasts(store, 2));
	store_done(store);
}

static unsigned int full_n; /* entries, from 1 on, of a full store */

/* body_removes - entries 1 + n, and every n-th from there on, in no order. */
static int body_removes(struct worker *w, struct daxkv_txn *txn)
{
	int rc = 0;

	for (uint64_t i = 1; i < full_n && !rc; i++) {
		const uint64_t entry = i * 7919 % full_n;

		if (entry && entry % w->n == 0)
			rc = del_n(txn, DAXKV_MAIN, 1 + entry);
	}
	if (rc)
		daxkv_txn_abort(txn);
	return rc ? rc : daxkv_txn_commit(txn);
}

/* In a full store a member that removes has pages in memory until it becomes a part of the group.
 * One whose result has no room fails then, and alone. */
static void members_that_empty_a_full_store(void **state)
{
	struct daxkv_store *store = file_new();
	struct worker w[2];
	struct daxkv_txn *txn;
	int rc = 0;
	(void)state;

	OK(daxkv_set_max_size(store, (size_t)1 << 20));
	for (full_n = 0; !rc; full_n++) {
		txn = begin(store);
		rc = put_n(txn, DAXKV_MAIN, full_n + 1, 20, 1);
		if (rc)
			daxkv_txn_abort(txn);
		else
			rc = daxkv_txn_commit(txn);
	}
	assert_int_equal(rc, DAXKV_FULL);
	full_n--;
	assert_true(full_n > 5000 && full_n % 7919);
	txn = begin(store);
	start(&w[0], store, body_removes, 2);
	start(&w[1], store, body_removes, 1);
	OK(del_n(txn, DAXKV_MAIN, 1));
	OK(daxkv_txn_commit(txn));
	end(&w[0]);
	end(&w[1]);
	assert_int_equal(w[0].rc, DAXKV_FULL);
	OK(w[1].rc);
	txn = begin_reading(store);
	for (uint64_t i = 0; i < full_n; i++)
		assert_true(lacks_n(txn, DAXKV_MAIN, 1 + i));
	daxkv_txn_abort(txn);
	store_check(store);
	store_done(store);
}

/* ---- databases --------------------------------------------------------------------------------
 */

static daxkv_db shared_db;

static int body_uses_db(struct worker *w, struct daxkv_txn *txn)
{
	struct daxkv_val other = text("renamed");
	int rc = put(txn, shared_db, "second", "2", 0);

	if (!rc && w->n == 1)
		rc = daxkv_db_rename(txn, shared_db, &other);
	if (!rc && w->n == 2)
		rc = daxkv_db_drop(txn, shared_db, 1);
	if (!rc && w->n != 2)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return rc;
}

/* A handle that one member opened, the next ones rename, drop and undo: as in nested transactions.
 */
static void handles_go_from_member_to_member(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val name = text("renamed"), old = text("made");
	struct daxkv_cursor *cursor;
	struct worker w[3];
	daxkv_db db;
	(void)state;

	shared_db = db_of(txn, "made", 0);
	OK(put(txn, shared_db, "first", "1", 0));
	OK(daxkv_cursor_open(txn, shared_db, &cursor)); /* ends with its transaction */
	for (unsigned int i = 0; i < 3; i++)
		start(&w[i], store, body_uses_db, i + 1);
	OK(daxkv_txn_commit(txn));
	for (unsigned int i = 0; i < 3; i++) {
		end(&w[i]);
		OK(w[i].rc);
	}
	txn = begin_reading(store);
	assert_int_equal(daxkv_db_open(txn, &old, 0, &db), DAXKV_NOT_FOUND);
	OK(daxkv_db_open(txn, &name, 0, &db));
	assert_int_equal(db, shared_db);
	assert_true(has(txn, db, "first", "1") && has(txn, db, "second", "2"));
	daxkv_txn_abort(txn);
	store_done(store);
}

static int body_many(struct worker *w, struct daxkv_txn *txn)
{
	struct daxkv_val key, value;
	char buf[17];
	int rc = 0;

	for (unsigned int i = 0; i < 2000 && !rc; i++) /* an append batch */
		rc = put_n(txn, DAXKV_MAIN, w->n * 10000 + i, 20, 1);
	key = key_n(buf, w->n * 10000 + 5000);
	value = (struct daxkv_val){20, NULL};
	if (!rc)
		rc = daxkv_put(txn, DAXKV_MAIN, &key, &value, DAXKV_RESERVE);
	if (!rc)
		fill_n(value.data, 20, w->n * 10000 + 5000, 1);
	return rc ? rc : daxkv_txn_commit(txn);
}

/* Many entries, a reserved value that is sealed at the commit, and a record that has no room. */
static void large_members(void **state)
{
	struct daxkv_store *store = file_new();
	struct worker first = {.store = store, .n = 0}, w[3];
	struct daxkv_txn *txn = begin(store);
	(void)state;

	for (unsigned int i = 0; i < 3; i++)
		start(&w[i], store, body_many, i + 1);
	OK(body_many(&first, txn));
	for (unsigned int i = 0; i < 3; i++) {
		end(&w[i]);
		OK(w[i].rc);
	}
	for (unsigned int i = 0; i < 4; i++)
		assert_true(there(store, i * 10000 + 1999) && there(store, i * 10000 + 5000));
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(members_share_one_fence_and_one_number),
	    cmocka_unit_test(nobody_is_told_before_the_sync),
	    cmocka_unit_test(an_aborted_member_leaves_the_others),
	    cmocka_unit_test(a_failed_member_leaves_the_others),
	    cmocka_unit_test(a_member_whose_thread_ends_leaves_the_others),
	    cmocka_unit_test(a_member_that_is_cancelled_leaves_the_others),
	    cmocka_unit_test(the_last_member_aborts),
	    cmocka_unit_test(a_failed_fence_is_told_to_all),
	    cmocka_unit_test(a_member_without_room_fails_alone),
	    cmocka_unit_test(members_that_empty_a_full_store),
	    cmocka_unit_test(handles_go_from_member_to_member),
	    cmocka_unit_test(large_members),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
