/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many database handles (src/txn/dbi_index.c): what one call looks at does not grow with their
 * number. Each bound here is a count of what is looked at, not a time.
 */
#include "handles.h"
#include "txn/entry.h"

#include <pthread.h>
#include <stdio.h>

#define MANY 20000u

static const char *name_of(unsigned int i)
{
	static char name[16];

	snprintf(name, sizeof name, "db%06u", i);
	return name;
}

static uint32_t longest_bucket(const struct dbi_table *t)
{
	uint32_t longest = 0;

	for (uint32_t i = 0; i < t->buckets; i++) {
		uint32_t n = 0;

		for (const struct dbi_name *name = t->bucket[i]; name; name = name->next)
			n++;
		longest = n > longest ? n : longest;
	}
	return longest;
}

static uint32_t own_count(const struct dbi_table *t)
{
	uint32_t n = 0;

	for (const struct dbi *d = own_first(t); d; d = own_next(t, d))
		n++;
	return n;
}

/* claims_agree - no snapshot has two claims to a name [I21], and the lists say what the entries
 * do. */
static void claims_agree(const struct dbi_table *t)
{
	uint32_t names = 0, live = 0, nfree = 0, found = 0;

	for (uint32_t i = DAXKV_MAIN + 1; i < t->high; i++) {
		const struct dbi *d = &t->dbi[i];

		live += d->number && !d->name->gone;
		nfree += !d->number && !d->parked;
		for (const struct dbi_name *n = d->name; n; n = n->older) {
			names += !n->gone;
			assert_true(!n->older || n->older->newer == n);
			assert_true(!n->older || n->older->since <= n->since);
		}
	}
	for (uint32_t i = 0; i < t->buckets; i++)
		for (const struct dbi_name *n = t->bucket[i]; n; n = n->next) {
			const struct daxkv_val bytes = entry_bytes(n->bytes, n->len);
			const struct dbi_name *before = index_next(n, &bytes);

			found++;
			assert_true(!before || (before->newer && before->newer->since <= n->since));
		}
	assert_int_equal(found, names);
	assert_int_equal(t->names, names);
	assert_int_equal(t->live, live);
	assert_int_equal(t->n_free, nfree);
	for (uint32_t i = 1; i < t->n_free; i++)
		assert_true(t->dbi[t->heap[(i - 1) / 2]].life <= t->dbi[t->heap[i]].life);
}

static void twenty_thousand(void **state)
{
	struct daxkv_store *store = small_store(MANY + 10);
	struct dbi_table *t = &store->dbis;
	daxkv_db *db = calloc(MANY, sizeof *db), again;
	struct daxkv_txn *txn = begin(store);
	(void)state;

	for (unsigned int i = 0; i < MANY; i++)
		OK(open_db(txn, name_of(i), DAXKV_CREATE, &db[i]));
	assert_int_equal(own_count(t), MANY);
	OK(daxkv_txn_commit(txn));
	assert_int_equal(own_count(t), 0);
	assert_true(t->buckets >= MANY);
	assert_in_range(longest_bucket(t), 1, 10);
	txn = begin_reading(store);
	for (unsigned int i = 0; i < MANY; i++) {
		OK(open_db(txn, name_of(i), 0, &again));
		assert_int_equal(again, db[i]);
	}
	daxkv_txn_abort(txn);
	txn = begin(store);
	OK(open_db(txn, "one more", DAXKV_CREATE, &again));
	assert_int_equal(own_count(t), 1);
	daxkv_txn_abort(txn);
	for (unsigned int i = 0; i < MANY; i += 2)
		daxkv_db_close(store, db[i]);
	claims_agree(t);
	for (int i = 0; i < 10; i++) {
		made(store, "one more");
		dropped(store, "one more");
	}
	claims_agree(t);
	free(db);
	store_done(store);
}

/* twin_of - one of 64 names with one checksum: the divisor of CRC-32C, wherever it begins, adds
 * nothing to it. */
#define TWINS 64u

static const char *twin_of(unsigned int i)
{
	static char name[sizeof(uint64_t) + 1];
	uint64_t bits = UINT64_C(0x91B7584A2265B1F5);

	for (unsigned int bit = 0; bit < 6; bit++)
		if (i & 1u << bit)
			bits ^= UINT64_C(0x105EC76F1) << (bit + 8);
	memcpy(name, &bits, sizeof bits);
	for (unsigned int at = 0; at < sizeof bits; at++)
		assert_true(name[at] != 0);
	return name;
}

static void names_of_one_hash(void **state)
{
	struct daxkv_store *store = small_store(2 * TWINS);
	struct daxkv_val first = text(twin_of(0));
	const uint32_t hash = name_hash(&first);
	daxkv_db db[TWINS], again;
	struct daxkv_txn *txn;
	(void)state;

	for (unsigned int i = 0; i < TWINS; i++) {
		struct daxkv_val name = text(twin_of(i));

		assert_int_equal(name_hash(&name), hash);
		db[i] = made(store, twin_of(i));
	}
	assert_true(longest_bucket(&store->dbis) >= TWINS);
	txn = begin(store);
	for (unsigned int i = 0; i < TWINS; i++) {
		assert_true(has(txn, db[i], "i am", twin_of(i)));
		if (i % 4 == 1)
			daxkv_db_close(store, db[i]);
		if (i % 4 == 2)
			OK(daxkv_db_drop(txn, db[i], 1));
		if (i % 4 == 3)
			OK(rename_db(txn, db[i], name_of(i)));
	}
	claims_agree(&store->dbis);
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	for (unsigned int i = 0; i < TWINS; i++) {
		assert_int_equal(open_db(txn, twin_of(i), 0, &again),
		                 i % 4 < 2 ? 0 : DAXKV_NOT_FOUND);
		if (i % 4 < 2)
			assert_true(has(txn, again, "i am", twin_of(i)));
		if (i % 4 == 0)
			assert_int_equal(again, db[i]);
	}
	claims_agree(&store->dbis);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

#define ROUNDS 40

/* A name that is made and dropped again and again has one claim for each snapshot that a reader
 * has; handles that were closed meanwhile are opened anew at the old snapshots, in a mixed
 * order. */
static void one_name_at_many_snapshots(void **state)
{
	struct daxkv_store *store = small_store(4 * ROUNDS);
	struct daxkv_txn *reader[ROUNDS];
	daxkv_db db[ROUNDS], seen;
	(void)state;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct daxkv_txn *txn = begin(store);

		db[i] = db_of(txn, i % 3 ? "x" : "y", 0);
		OK(put(txn, db[i], "i am", name_of(i), 0));
		OK(daxkv_txn_commit(txn));
		if (i % 3 == 0) { /* comes to the name by a rename */
			txn = begin(store);
			OK(rename_db(txn, db[i], "x"));
			OK(daxkv_txn_commit(txn));
		}
		reader[i] = begin_reading(store);
		dropped(store, "x");
		claims_agree(&store->dbis);
	}
	for (unsigned int i = 0; i < ROUNDS; i++)
		if (i % 4)
			daxkv_db_close(store, db[i]);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int at = i * 7 % ROUNDS;

		OK(open_db(reader[at], "x", 0, &seen));
		assert_true(has(reader[at], seen, "i am", name_of(at)));
		assert_true(at % 4 || seen == db[at]);
		claims_agree(&store->dbis);
	}
	for (unsigned int i = 0; i < ROUNDS; i++)
		daxkv_txn_abort(reader[i]);
	db[0] = made(store, "x");
	struct daxkv_txn *txn = begin_reading(store);

	assert_true(has(txn, db[0], "i am", "x"));
	OK(open_db(txn, "x", 0, &seen));
	assert_int_equal(seen, db[0]);
	daxkv_txn_abort(txn);
	claims_agree(&store->dbis);
	store_done(store);
}

/* A snapshot from before a rename opens the name's earlier database anew: that handle
 * must not have the name any more where the renamed one has it. */
static void a_claim_ends_where_the_next_begins(void **state)
{
	struct daxkv_store *store = small_store(0);
	daxkv_db old = made(store, "x"), other = made(store, "y"), early = 0, late = 0;
	struct daxkv_txn *reader = begin_reading(store), *txn;
	(void)state;

	dropped(store, "x");
	daxkv_db_close(store, old);
	txn = begin(store);
	OK(rename_db(txn, other, "x"));
	OK(daxkv_txn_commit(txn));
	OK(open_db(reader, "x", 0, &early));
	assert_true(early != other && has(reader, early, "i am", "x"));
	claims_agree(&store->dbis);
	txn = begin(store);
	OK(open_db(txn, "x", 0, &late));
	assert_int_equal(late, other);
	assert_int_equal(get_rc(txn, early, "i am"), BAD_DB);
	OK(put(txn, late, "more", "of it", 0));
	OK(daxkv_txn_commit(txn));
	assert_true(has(reader, early, "i am", "x"));
	daxkv_txn_abort(reader);
	store_done(store);
}

/* ---- places that are put by ------------------------------------------------------------------ */

static void close_in_the_transaction(struct daxkv_store *store, struct daxkv_txn *txn,
                                     unsigned int from)
{
	for (unsigned int i = from; i < from + 100; i++) {
		daxkv_db db = db_of(txn, name_of(i), 0);

		OK(put(txn, db, "i am", name_of(i), 0));
		daxkv_db_close(store, db);
	}
}

static void places_of_changed_databases_come_back(void **state)
{
	for (int way = 0; way < 4; way++) {
		struct daxkv_store *store = small_store(1000);
		struct daxkv_txn *txn = begin(store), *nested = NULL;
		daxkv_db db;

		(void)state;
		close_in_the_transaction(store, txn, 0);
		assert_in_range(store->dbis.n_free, 0, 1);
		OK(daxkv_txn_begin(store, txn, 0, &nested));
		close_in_the_transaction(store, nested, 100);
		claims_agree(&store->dbis);
		assert_in_range(store->dbis.n_free, 0, 1);
		if (way % 2)
			OK(daxkv_txn_commit(nested));
		else
			daxkv_txn_abort(nested);
		claims_agree(&store->dbis);
		db = db_of(txn, "last", 0);
		OK(put(txn, db, "i am", "last", 0));
		if (way / 2)
			OK(daxkv_txn_commit(txn));
		else
			daxkv_txn_abort(txn);
		claims_agree(&store->dbis);
		assert_int_equal(own_count(&store->dbis), 0);
		assert_int_equal(store->dbis.n_free + (way / 2 ? 1 : 0),
		                 store->dbis.high - DAXKV_MAIN - 1);
		txn = begin_reading(store);
		for (unsigned int i = 0; i < 200; i++) {
			bool there = way / 2 && (i < 100 || way % 2);

			assert_int_equal(open_db(txn, name_of(i), 0, &db),
			                 there ? 0 : DAXKV_NOT_FOUND);
			assert_true(!there || has(txn, db, "i am", name_of(i)));
		}
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

/* A nested transaction's end looks at its own handles and not at those of its parent. */
static void nested_ones_end_by_themselves(void **state)
{
	struct daxkv_store *store = small_store(1000);
	struct daxkv_txn *txn = begin(store), *nested = NULL;
	daxkv_db db, kept = 0, outer = 0;
	(void)state;

	for (unsigned int i = 0; i < 500; i++)
		OK(open_db(txn, name_of(i), DAXKV_CREATE, &db));
	outer = db;
	OK(daxkv_txn_begin(store, txn, 0, &nested));
	OK(open_db(nested, "gone", DAXKV_CREATE, &db));
	OK(rename_db(nested, outer, "for a while"));
	assert_true(own_first(&store->dbis)->pending == nested);
	assert_true(
	    own_next(&store->dbis, own_next(&store->dbis, own_first(&store->dbis)))->pending ==
	    txn);
	daxkv_txn_abort(nested);
	assert_int_equal(get_rc(txn, db, "k"), BAD_DB);
	assert_int_equal(get_rc(txn, outer, "k"), DAXKV_NOT_FOUND);
	OK(daxkv_txn_begin(store, txn, 0, &nested));
	OK(open_db(nested, "kept", DAXKV_CREATE, &kept));
	OK(daxkv_txn_commit(nested));
	assert_int_equal(own_count(&store->dbis), 501);
	daxkv_txn_abort(txn);
	claims_agree(&store->dbis);
	assert_int_equal(store->dbis.live, 0);
	assert_int_equal(own_count(&store->dbis), 0);
	txn = begin(store);
	assert_int_equal(get_rc(txn, kept, "k"), BAD_DB);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* ---- what a transaction remembers ------------------------------------------------------------ */

static unsigned int changed_count(const struct daxkv_txn *txn)
{
	unsigned int n = 0;

	for (const struct dbstate *s = txn->changed; s; s = s->links.next_changed)
		n++;
	return n;
}

static unsigned int looked_count(const struct daxkv_txn *txn)
{
	unsigned int n = 0;

	for (const struct dbstate *s = txn->looked; s; s = s->links.next_looked)
		n++;
	return n;
}

/* A commit, and the begin and end of a nested transaction, look at the databases that were used in
 * it, though a thousand are known. */
static void ends_look_at_what_was_used(void **state)
{
	struct daxkv_store *store = small_store(1000);
	struct daxkv_txn *txn = begin(store), *nested = NULL, *inner = NULL;
	daxkv_db db[1000];
	(void)state;

	for (unsigned int i = 0; i < 1000; i++) {
		db[i] = db_of(txn, name_of(i), 0);
		OK(put(txn, db[i], "i am", name_of(i), 0));
	}
	assert_int_equal(changed_count(txn), 1001);
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	assert_int_equal(changed_count(txn), 0);
	OK(put(txn, db[500], "more", "x", 0));
	assert_int_equal(changed_count(txn), 1);
	OK(daxkv_txn_begin(store, txn, 0, &nested));
	assert_int_equal(looked_count(nested), 0);
	assert_true(has(nested, db[500], "more", "x"));
	OK(put(nested, db[600], "more", "y", 0));
	assert_int_equal(looked_count(nested), 2);
	OK(daxkv_txn_begin(store, nested, 0, &inner));
	OK(put(inner, db[500], "more", "z", 0));
	OK(put(inner, db[999], "more", "z", 0));
	assert_int_equal(looked_count(inner), 2);
	OK(daxkv_txn_commit(inner));
	assert_int_equal(looked_count(nested), 3);
	assert_true(has(nested, db[999], "more", "z"));
	OK(daxkv_txn_commit(nested));
	assert_int_equal(changed_count(txn), 3);
	assert_true(has(txn, db[600], "more", "y"));
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	assert_true(has(txn, db[500], "more", "z") && has(txn, db[999], "more", "z"));
	assert_true(has(txn, db[600], "i am", name_of(600)));
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* nest - n transactions, each nested in the one before. */
static void nest(struct daxkv_store *store, struct daxkv_txn **txn, int n)
{
	txn[0] = begin(store);
	for (int i = 1; i < n; i++)
		OK(daxkv_txn_begin(store, txn[i - 1], 0, &txn[i]));
}

/* A database that an outer transaction changed by a handle that was closed since is the one that
 * the inner transaction opens by its name: however deep, and whether that is kept. */
static void an_outer_state_is_found_by_its_name(void **state)
{
	for (int way = 0; way < 8; way++) {
		struct daxkv_store *store = small_store(10);
		struct daxkv_txn *txn[3];
		daxkv_db db, again;
		bool keep = way & 1, renamed = way & 2, dropped_there = way & 4;

		(void)state;
		made(store, "other");
		nest(store, txn, 1);
		db = db_of(txn[0], "x", 0);
		OK(put(txn[0], db, "outer", "1", 0));
		if (renamed)
			OK(rename_db(txn[0], db, "y"));
		daxkv_db_close(store, db);
		OK(daxkv_txn_begin(store, txn[0], 0, &txn[1]));
		OK(daxkv_txn_begin(store, txn[1], 0, &txn[2]));
		OK(open_db(txn[2], renamed ? "y" : "x", 0, &again));
		assert_true(again != db && has(txn[2], again, "outer", "1"));
		OK(put(txn[2], again, "inner", "2", 0));
		if (dropped_there) {
			OK(daxkv_db_drop(txn[2], again, 1));
			assert_int_equal(open_db(txn[2], "x", 0, &again), DAXKV_NOT_FOUND);
			again = db_of(txn[2], "x", 0);
			assert_int_equal(get_rc(txn[2], again, "outer"), DAXKV_NOT_FOUND);
			OK(put(txn[2], again, "anew", "3", 0));
		}
		OK(daxkv_txn_commit(txn[2]));
		if (keep)
			OK(daxkv_txn_commit(txn[1]));
		else
			daxkv_txn_abort(txn[1]);
		OK(open_db(txn[0], renamed && !(dropped_there && keep) ? "y" : "x", 0, &db));
		assert_int_equal(get_rc(txn[0], db, "outer"),
		                 dropped_there && keep ? DAXKV_NOT_FOUND : 0);
		assert_int_equal(get_rc(txn[0], db, "inner"),
		                 keep && !dropped_there ? 0 : DAXKV_NOT_FOUND);
		assert_int_equal(get_rc(txn[0], db, "anew"),
		                 keep && dropped_there ? 0 : DAXKV_NOT_FOUND);
		OK(put(txn[0], db, "last", "4", 0));
		OK(daxkv_txn_commit(txn[0]));
		claims_agree(&store->dbis);
		nest(store, txn, 1);
		assert_true(has(txn[0], db, "last", "4"));
		daxkv_txn_abort(txn[0]);
		store_done(store);
	}
}

/* The names of states that are stale are forgotten as they are met: one name may have been open at
 * every place of the table. */
static void stale_names_are_forgotten(void **state)
{
	struct daxkv_store *store = small_store(500);
	struct daxkv_txn *txn;
	daxkv_db db;
	(void)state;

	for (unsigned int i = 0; i < 300; i++)
		made(store, name_of(i));
	for (unsigned int i = 0; i < 300; i++) {
		txn = begin(store);
		OK(open_db(txn, "db000007", 0, &db));
		assert_true(has(txn, db, "i am", "db000007"));
		daxkv_txn_abort(txn);
		daxkv_db_close(store, db);
		txn = begin(store);
		OK(open_db(txn, "db000008", 0, &db));
		daxkv_txn_abort(txn);
	}
	txn = begin(store);
	OK(open_db(txn, "db000007", 0, &db));
	assert_in_range(txn->names, 1, 302);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* ---- threads --------------------------------------------------------------------------------- */

#define CROWD   2000u
#define THREADS 3u

struct crowd {
	struct daxkv_store *store;
	unsigned int number; /* of the thread */
	unsigned int wrong;
};

/* crowd_look - one database by its name: what it says, or BAD_DB when another thread closes the
 * handle at that moment. */
static bool crowd_look(struct crowd *c, struct daxkv_txn *txn, unsigned int i)
{
	char name[16];
	daxkv_db db = 0;
	struct daxkv_val k = text("i am"), v;
	int rc;

	snprintf(name, sizeof name, "db%06u", i);
	if (open_db(txn, name, 0, &db))
		return false;
	rc = daxkv_get(txn, db, &k, &v);
	if (i % 7 == c->number)
		daxkv_db_close(c->store, db);
	return rc == BAD_DB || (!rc && v.size == strlen(name) && !memcmp(v.data, name, v.size));
}

static void *crowd_thread(void *arg)
{
	struct crowd *c = arg;

	for (unsigned int i = 0; i < CROWD; i++) {
		struct daxkv_txn *txn;

		if (daxkv_txn_begin(c->store, NULL, DAXKV_TXN_READ_ONLY, &txn)) {
			c->wrong++;
			break;
		}
		c->wrong += !crowd_look(c, txn, i);
		c->wrong += !crowd_look(c, txn, (i * (c->number + 2)) % CROWD);
		daxkv_txn_abort(txn);
	}
	return NULL;
}

/* Threads open, use and close handles while the table of names grows from nothing. */
static void the_table_grows_under_threads(void **state)
{
	struct daxkv_store *store = small_store(CROWD);
	struct daxkv_txn *txn = begin(store);
	struct crowd crowd[THREADS];
	pthread_t thread[THREADS];
	(void)state;

	for (unsigned int i = 0; i < CROWD; i++)
		OK(put(txn, db_of(txn, name_of(i), 0), "i am", name_of(i), 0));
	OK(daxkv_txn_commit(txn));
	store_done(store);
	store = store_open("h", (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE, .max_dbs = CROWD});
	assert_int_equal(store->dbis.names, 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		crowd[i] = (struct crowd){.store = store, .number = i};
		assert_int_equal(pthread_create(&thread[i], NULL, crowd_thread, &crowd[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(crowd[i].wrong, 0);
	}
	assert_true(store->dbis.names > CROWD / 2);
	claims_agree(&store->dbis);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(twenty_thousand),
	    TEST(names_of_one_hash),
	    TEST(one_name_at_many_snapshots),
	    TEST(a_claim_ends_where_the_next_begins),
	    TEST(places_of_changed_databases_come_back),
	    TEST(nested_ones_end_by_themselves),
	    TEST(ends_look_at_what_was_used),
	    TEST(an_outer_state_is_found_by_its_name),
	    TEST(stale_names_are_forgotten),
	    TEST(the_table_grows_under_threads),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
