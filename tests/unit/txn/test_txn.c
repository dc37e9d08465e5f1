/* SPDX-License-Identifier: BSD-3-Clause */
/* Transactions: who may begin one and when, nesting, snapshots, and readers that verify theirs
 * while a writer commits. */
#include "small_store.h"

#define MAIN DAXKV_MAIN

static void begin_what_makes_no_sense(void **state)
{
	struct daxkv_store *store = store_new("t", 4096), *other = store_new("t2", 4096);
	struct daxkv_txn *txn = NULL, *writer, *reader;
	(void)state;
	assert_int_equal(daxkv_txn_begin(NULL, NULL, 0, &txn), EINVAL);
	assert_int_equal(daxkv_txn_begin(store, NULL, 0, NULL), EINVAL);
	writer = begin(store);
	assert_int_equal(daxkv_txn_begin(other, writer, 0, &txn), EINVAL);
	assert_int_equal(daxkv_txn_begin(store, writer, DAXKV_TXN_READ_ONLY, &txn), EINVAL);
	reader = begin_reading(store);
	assert_int_equal(daxkv_txn_begin(store, reader, 0, &txn), EACCES);
	assert_int_equal(daxkv_txn_begin(store, NULL, 0, &txn),
	                 DAXKV_BUSY); /* this thread's own is running */
	assert_int_equal(daxkv_txn_begin(store, NULL, DAXKV_TXN_TRY, &txn), DAXKV_BUSY);
	assert_int_equal(daxkv_sync(store), DAXKV_BUSY);
	assert_null(txn);
	assert_int_equal(daxkv_txn_commit(NULL), EINVAL);
	daxkv_txn_abort(NULL);
	daxkv_txn_abort(reader);
	OK(daxkv_txn_commit(writer));
	store_done(store);
	store_done(other);
}

static void numbers_count_commits(void **state)
{
	struct daxkv_store *store = store_new("t", 4096);
	struct daxkv_txn *r = begin_reading(store), *w;
	(void)state;
	assert_int_equal(daxkv_txn_id(r), 0);
	w = begin(store);
	assert_int_equal(daxkv_txn_id(w), 1);
	assert_ptr_equal(daxkv_txn_store(w), store);
	OK(put(w, MAIN, "a", "1", 0));
	daxkv_txn_abort(w);
	w = begin(store);
	assert_int_equal(daxkv_txn_id(w), 1); /* an aborted one leaves no trace */
	OK(put(w, MAIN, "a", "1", 0));
	OK(daxkv_txn_commit(w));
	assert_int_equal(daxkv_txn_id(r), 0);
	daxkv_txn_reset(r);
	OK(daxkv_txn_renew(r));
	assert_int_equal(daxkv_txn_id(r), 1);
	daxkv_txn_abort(r);
	store_done(store);
}

/* A reset transaction does not run: the store can be closed. */
static void closing_ends_what_was_reset(void **state)
{
	struct daxkv_store *store = store_new("e", 512);
	struct daxkv_cursor *cursor;
	struct daxkv_txn *txn;
	(void)state;
	put_one(store, "a", "1");
	txn = begin_reading(store);
	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &cursor));
	OK(daxkv_cursor_get(cursor, NULL, NULL, DAXKV_FIRST));
	daxkv_txn_reset(txn);
	store_done(store);
	assert_int_equal(daxkv_cursor_get(cursor, NULL, NULL, DAXKV_FIRST), DAXKV_BAD_TXN);
	daxkv_cursor_close(cursor);
}

static void reset_gives_the_snapshot_up(void **state)
{
	struct daxkv_store *store = store_new("t", 4096);
	struct daxkv_txn *r, *w;
	struct daxkv_val k = text("a"), v;
	(void)state;
	put_one(store, "a", "1");
	r = begin_reading(store);
	assert_int_equal(daxkv_txn_renew(r), EINVAL);
	assert_int_equal(info(store).readers, 1);
	daxkv_txn_reset(r);
	daxkv_txn_reset(r);
	assert_int_equal(info(store).readers, 0);
	assert_int_equal(daxkv_get(r, MAIN, &k, &v), DAXKV_BAD_TXN);
	put_one(store, "a", "2");
	OK(daxkv_txn_renew(r));
	assert_true(has(r, MAIN, "a", "2"));
	daxkv_txn_reset(r);
	daxkv_txn_abort(r); /* ends a reset one too */
	w = begin(store);
	assert_int_equal(daxkv_txn_renew(w), EINVAL);
	daxkv_txn_reset(w); /* means nothing for a write transaction */
	assert_true(has(w, MAIN, "a", "2"));
	daxkv_txn_abort(w);
	store_done(store);
}

static void readers_up_to_the_maximum(void **state)
{
	struct daxkv_txn *r[5], *more = NULL;
	struct daxkv_store *store;
	(void)state;
	unlink(scratch_path("t"));
	unlink(scratch_path("t-lock"));
	store =
	    store_open("t", (struct daxkv_options){
	                        .flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE, .max_readers = 5});
	assert_int_equal(info(store).max_readers, 5);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 5; i++)
			r[i] = begin_reading(store);
		assert_int_equal(info(store).readers, 5);
		assert_int_equal(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &more),
		                 DAXKV_READERS_FULL);
		put_one(store, "a", "1"); /* writing needs no slot */
		for (int i = 0; i < 5; i++)
			round == 1 ? (void)daxkv_txn_commit(r[i]) : daxkv_txn_abort(r[i]);
		assert_int_equal(info(store).readers, 0);
	}
	store_done(store);
}

static void reader_writes_nothing(void **state)
{
	struct daxkv_store *store = store_new("t", 4096);
	struct daxkv_txn *r;
	struct daxkv_val name = text("db");
	daxkv_db db;
	(void)state;
	put_one(store, "a", "1");
	r = begin_reading(store);
	assert_int_equal(put(r, MAIN, "a", "2", 0), EACCES);
	assert_int_equal(del(r, MAIN, "a", NULL), EACCES);
	assert_int_equal(daxkv_db_drop(r, MAIN, 0), EACCES);
	assert_int_equal(daxkv_db_open(r, &name, DAXKV_CREATE, &db), EACCES);
	assert_true(has(r, MAIN, "a", "1"));
	OK(daxkv_txn_commit(r));
	store_done(store);
}

static void failed_transaction_can_only_be_aborted(void **state)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn, *child;
	struct daxkv_val k = text("a"), v = {3 << 20, NULL};
	(void)state;
	unlink(scratch_path("t"));
	store = store_open("t", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                               .pmem = DAXKV_PMEM_FORCE,
	                                               .max_size = 2 << 20});
	put_one(store, "a", "1");
	txn = begin(store);
	OK(put(txn, MAIN, "b", "2", 0));
	child = begin_in(txn);
	OK(put(child, MAIN, "a", "3", 0));
	assert_int_equal(daxkv_put(child, MAIN, &k, &v, DAXKV_RESERVE),
	                 DAXKV_VALUE_SIZE); /* an answer that changes nothing */
	assert_true(has(child, MAIN, "a", "3"));
	v.size = (2 << 20) - 4096;
	assert_int_equal(daxkv_put(child, MAIN, &k, &v, DAXKV_RESERVE), DAXKV_FULL);
	assert_int_equal(daxkv_get(child, MAIN, &k, &v), DAXKV_BAD_TXN);
	assert_int_equal(put(child, MAIN, "a", "4", 0), DAXKV_BAD_TXN);
	assert_int_equal(daxkv_txn_commit(child), DAXKV_BAD_TXN);
	assert_true(has(txn, MAIN, "a", "1") && has(txn, MAIN, "b", "2")); /* the parent is whole */
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	assert_true(has(txn, MAIN, "a", "1") && has(txn, MAIN, "b", "2"));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* ---- nesting --------------------------------------------------------------------------------- */

static void parent_rests_while_its_child_runs(void **state)
{
	struct daxkv_store *store = store_new("t", 4096);
	struct daxkv_txn *txn = begin(store), *child = begin_in(txn), *second = NULL;
	struct daxkv_val k = text("a"), v;
	(void)state;
	assert_int_equal(daxkv_get(txn, MAIN, &k, &v), DAXKV_BAD_TXN);
	assert_int_equal(put(txn, MAIN, "a", "1", 0), DAXKV_BAD_TXN);
	assert_int_equal(daxkv_txn_begin(store, txn, 0, &second), DAXKV_BAD_TXN);
	OK(put(child, MAIN, "a", "1", 0));
	assert_int_equal(daxkv_txn_id(child), 1);
	OK(daxkv_txn_commit(child));
	assert_true(has(txn, MAIN, "a", "1"));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

static void ending_the_parent_ends_the_children(void **state)
{
	struct daxkv_store *store = store_new("t", 4096);
	struct daxkv_txn *txn = begin(store), *child = begin_in(txn), *grandchild = begin_in(child);
	(void)state;
	OK(put(grandchild, MAIN, "a", "1", 0));
	OK(daxkv_txn_commit(txn)); /* commits all three */
	txn = begin(store);
	assert_true(has(txn, MAIN, "a", "1"));
	child = begin_in(txn);
	grandchild = begin_in(child);
	OK(put(grandchild, MAIN, "a", "2", 0));
	daxkv_txn_abort(txn); /* aborts all three */
	txn = begin(store);
	assert_true(has(txn, MAIN, "a", "1"));
	daxkv_txn_abort(txn);
	store_done(store);
}

static void nested_up_to_the_limit(void **state)
{
	struct daxkv_store *store = store_new("t", 4096);
	struct daxkv_txn *txn[256], *more = NULL;
	unsigned int n = 1;
	char value[8];
	(void)state;
	for (txn[0] = begin(store); n < 255; n++) {
		snprintf(value, sizeof value, "%u", n);
		OK(put(txn[n - 1], MAIN, "depth", value, 0));
		txn[n] = begin_in(txn[n - 1]);
	}
	assert_int_equal(daxkv_txn_begin(store, txn[254], 0, &more), DAXKV_BAD_TXN);
	OK(put(txn[254], MAIN, "depth", "255", 0));
	for (n = 255; n-- > 100;)
		OK(daxkv_txn_commit(txn[n]));
	assert_true(has(txn[99], MAIN, "depth", "255"));
	daxkv_txn_abort(txn[50]);
	assert_true(has(txn[49], MAIN, "depth", "50"));
	OK(daxkv_txn_commit(txn[0]));
	more = begin_reading(store);
	assert_true(has(more, MAIN, "depth", "50"));
	daxkv_txn_abort(more);
	store_done(store);
}

/* Random changes at random depth, each level with a model of its own: what a level sees, and what
 * is left, is the model's. Every page is touched by several levels, so that a page of the wrong
 * owner changed in place shows. */
#define KEYS 300u

struct level {
	struct daxkv_txn *txn;
	uint8_t version[KEYS]; /* 0: not there */
};

static void level_matches(const struct level *l)
{
	for (uint32_t k = 0; k < KEYS; k++)
		assert_true(l->version[k] ? has_n(l->txn, MAIN, k, 20, l->version[k])
		                          : lacks_n(l->txn, MAIN, k));
}

static void nested_random_changes(void **state)
{
	static struct level level[8];
	struct daxkv_store *store = store_new("t", 512);
	uint64_t x = 31337;
	uint8_t version = 0;
	(void)state;
	memset(level, 0, sizeof level);
	for (int round = 0; round < 120; round++) {
		unsigned int depth = 1;
		level[1] = level[0];
		level[1].txn = begin(store);
		while (depth) {
			struct level *l = &level[depth];
			uint64_t what = random_next(&x) % 10;
			for (uint64_t i = random_next(&x) % 40; i; i--) {
				uint32_t k = (uint32_t)(random_next(&x) % KEYS);
				if (random_next(&x) % 3 == 0) {
					assert_int_equal(del_n(l->txn, MAIN, k),
					                 l->version[k] ? 0 : DAXKV_NOT_FOUND);
					l->version[k] = 0;
				} else {
					version = (uint8_t)(version % 255 + 1);
					OK(put_n(l->txn, MAIN, k, 20, version));
					l->version[k] = version;
				}
			}
			if (what < 4 && depth < 7) {
				level[depth + 1] = *l;
				level[depth + 1].txn = begin_in(l->txn);
				depth++;
				continue;
			}
			level_matches(l);
			if (what < 8) {
				OK(daxkv_txn_commit(l->txn));
				memcpy(level[depth - 1].version, l->version, sizeof l->version);
			} else {
				daxkv_txn_abort(l->txn);
			}
			depth--;
			if (depth)
				level_matches(&level[depth]);
		}
		if (round % 10 == 0)
			store_check(store);
	}
	store_done(store);
}

static void abort_gives_the_space_back(void **state)
{
	struct daxkv_store *store = store_new("t", 512);
	struct daxkv_txn *txn, *child;
	(void)state;
	put_some(store, 0, 200, 40, 0);
	uint64_t used = info(store).used_bytes;
	for (int round = 0; round < 20; round++) {
		txn = begin(store);
		for (uint64_t i = 0; i < 200; i++)
			OK(put_n(txn, MAIN, i, 40 + i % 7 * 100, 1));
		uint64_t mid = info(store).used_bytes;
		child = begin_in(txn);
		for (uint64_t i = 0; i < 200; i++)
			OK(i % 2 ? del_n(child, MAIN, i) : put_n(child, MAIN, i, 900, 2));
		daxkv_txn_abort(child);
		assert_int_equal(info(store).used_bytes, mid);
		daxkv_txn_abort(txn);
		assert_int_equal(info(store).used_bytes, used);
	}
	txn = begin_reading(store);
	for (uint64_t i = 0; i < 200; i++)
		assert_true(has_n(txn, MAIN, i, 40, 0));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* ---- threads --------------------------------------------------------------------------------- */

#define READERS  3
#define ACCOUNTS 400u
#define COMMITS  600

struct bank { /* every commit moves amounts between accounts: each snapshot's sum is the same */
	struct daxkv_store *store;
	uint64_t wrong, snapshots;
	int done;
};

static int64_t amount_of(struct daxkv_txn *txn, uint64_t account)
{
	char buf[17];
	struct daxkv_val k = key_n(buf, account), v;
	int64_t amount = INT64_MIN;
	if (daxkv_get(txn, MAIN, &k, &v) == 0 && v.size >= sizeof amount)
		memcpy(&amount, v.data, sizeof amount);
	return amount;
}

static int amount_set(struct daxkv_txn *txn, uint64_t account, int64_t amount)
{
	char buf[17];
	uint8_t value[48] = {0};
	struct daxkv_val k = key_n(buf, account), v = {8 + account % 5 * 8, value};
	memcpy(value, &amount, sizeof amount);
	return daxkv_put(txn, MAIN, &k, &v, 0);
}

static void *bank_read(void *arg)
{
	struct bank *b = arg;
	uint64_t last = 0;
	while (!__atomic_load_n(&b->done, __ATOMIC_ACQUIRE)) {
		struct daxkv_txn *txn;
		struct daxkv_cursor *c;
		struct daxkv_val k, v;
		int64_t sum = 0, sum2 = 0, amount;
		uint64_t n = 0;
		if (daxkv_txn_begin(b->store, NULL, DAXKV_TXN_READ_ONLY, &txn) ||
		    daxkv_cursor_open(txn, MAIN, &c))
			abort();
		while (daxkv_cursor_get(c, &k, &v, DAXKV_NEXT) == 0) {
			memcpy(&amount, v.data, sizeof amount);
			sum += amount;
			n++;
		}
		daxkv_cursor_close(c);
		for (uint64_t i = 0; i < ACCOUNTS; i++)
			sum2 += amount_of(txn, i);
		uint64_t id = daxkv_txn_id(txn);
		if (sum != 0 || sum2 != 0 || n != ACCOUNTS || id < last)
			__atomic_fetch_add(&b->wrong, 1, __ATOMIC_RELAXED);
		last = id;
		__atomic_fetch_add(&b->snapshots, 1, __ATOMIC_RELAXED);
		daxkv_txn_abort(txn);
	}
	return NULL;
}

static void readers_verify_while_a_writer_commits(void **state)
{
	struct bank b = {.store = store_new("t", 512)};
	pthread_t thread[READERS];
	uint64_t x = 2026;
	struct daxkv_txn *txn = begin(b.store);
	(void)state;
	for (uint64_t i = 0; i < ACCOUNTS; i++)
		OK(amount_set(txn, i, 0));
	OK(daxkv_txn_commit(txn));
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, bank_read, &b), 0);
	for (int i = 0; i < COMMITS; i++) {
		txn = begin(b.store);
		for (int move = 0; move < 4; move++) {
			uint64_t from = random_next(&x) % ACCOUNTS, to = random_next(&x) % ACCOUNTS;
			int64_t sum = (int64_t)(random_next(&x) % 1000);
			OK(amount_set(txn, from, amount_of(txn, from) - sum));
			OK(amount_set(txn, to, amount_of(txn, to) + sum));
		}
		if (i % 16 == 7)
			daxkv_txn_abort(txn);
		else
			OK(daxkv_txn_commit(txn));
	}
	while (__atomic_load_n(&b.snapshots, __ATOMIC_RELAXED) < 10)
		usleep(1000);
	__atomic_store_n(&b.done, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(b.wrong, 0);
	assert_int_equal(info(b.store).readers, 0);
	store_done(b.store);
}

static void *write_many(void *arg)
{
	struct daxkv_store *store = arg;
	for (int i = 0; i < 100; i++) {
		struct daxkv_txn *txn;
		int rc = daxkv_txn_begin(store, NULL, i % 2 ? 0 : DAXKV_TXN_TRY, &txn);
		if (rc == DAXKV_BUSY && i % 2 == 0) {
			i--;
			continue;
		}
		if (rc)
			abort();
		int64_t amount = amount_of(txn, 1);
		if (amount_set(txn, 1, amount + 1) || daxkv_txn_commit(txn))
			abort();
	}
	return NULL;
}

static void writers_take_turns(void **state)
{
	struct daxkv_store *store = store_new("t", 4096);
	struct daxkv_txn *txn = begin(store);
	pthread_t thread[3];
	(void)state;
	OK(amount_set(txn, 1, 0));
	OK(daxkv_txn_commit(txn));
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, write_many, store), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	txn = begin_reading(store);
	assert_int_equal(amount_of(txn, 1), 300);
	daxkv_txn_abort(txn);
	assert_int_equal(counters(store).commits, 301);
	store_done(store);
}

static void *try_to_begin(void *arg)
{
	struct daxkv_txn *txn = NULL;
	int *rc = malloc(sizeof *rc);
	if (!rc)
		abort();
	*rc = daxkv_txn_begin(arg, NULL, DAXKV_TXN_TRY, &txn);
	daxkv_txn_abort(txn);
	return rc;
}

static void try_while_another_thread_writes(void **state)
{
	struct daxkv_store *store = store_new("t", 4096);
	struct daxkv_txn *txn = begin(store);
	pthread_t thread;
	void *rc;
	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, try_to_begin, store), 0);
	pthread_join(thread, &rc);
	assert_int_equal(*(int *)rc, DAXKV_BUSY);
	free(rc);
	daxkv_txn_abort(txn);
	assert_int_equal(pthread_create(&thread, NULL, try_to_begin, store), 0);
	pthread_join(thread, &rc);
	assert_int_equal(*(int *)rc, 0);
	free(rc);
	store_done(store);
}

struct shared {
	struct daxkv_txn *reader;
	daxkv_db db[20];
	pthread_barrier_t together;
};

static void *shares_a_reader(void *arg)
{
	struct shared *shared = arg;

	pthread_barrier_wait(&shared->together);
	for (int i = 0; i < 2000; i++) {
		struct daxkv_cursor *cursor;
		struct daxkv_val key, value;

		OK(daxkv_cursor_open(shared->reader, shared->db[i % 20], &cursor));
		OK(daxkv_cursor_get(cursor, &key, &value, DAXKV_FIRST));
		assert_true(has(shared->reader, shared->db[i % 20], "in", "it"));
		daxkv_cursor_close(cursor);
	}
	return NULL;
}

/* Threads that share a read transaction look at databases for the first time, and open and close
 * cursors. Caught: place.c, list_lock: nothing locked; dbi_state.c, dbi_state_any: the same;
 * dbi_states.c, state_room: the old array freed (under ThreadSanitizer, or often). */
static void threads_share_a_read_transaction(void **state)
{
	struct daxkv_store *store;
	struct shared shared;
	pthread_t thread[3];
	struct daxkv_txn *txn;
	(void)state;

	store_done(store_new("s", 512));
	store = store_open("s", (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE, .max_dbs = 30});
	txn = begin(store);
	for (unsigned int i = 0; i < 20; i++) {
		char name[16];
		struct daxkv_val v = {(size_t)snprintf(name, sizeof name, "db%u", i), name};

		OK(daxkv_db_open(txn, &v, DAXKV_CREATE, &shared.db[i]));
		OK(put(txn, shared.db[i], "in", "it", 0));
	}
	OK(daxkv_txn_commit(txn));
	shared.reader = begin_reading(store);
	assert_int_equal(pthread_barrier_init(&shared.together, NULL, 3), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, shares_a_reader, &shared), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&shared.together);
	daxkv_txn_abort(shared.reader);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(begin_what_makes_no_sense),
	    TEST(numbers_count_commits),
	    TEST(closing_ends_what_was_reset),
	    TEST(reset_gives_the_snapshot_up),
	    TEST(readers_up_to_the_maximum),
	    TEST(reader_writes_nothing),
	    TEST(failed_transaction_can_only_be_aborted),
	    TEST(parent_rests_while_its_child_runs),
	    TEST(ending_the_parent_ends_the_children),
	    TEST(nested_up_to_the_limit),
	    TEST(nested_random_changes),
	    TEST(abort_gives_the_space_back),
	    TEST(readers_verify_while_a_writer_commits),
	    TEST(writers_take_turns),
	    TEST(try_while_another_thread_writes),
	    TEST(threads_share_a_read_transaction),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
