/* SPDX-License-Identifier: BSD-3-Clause */
/* test_external_lock.c - EXTERNAL_LOCK: open stores without a lock file that write to one file by
 * turns. */
#include "redo/ring.h"
#include "small_store.h"

#define EMULATED      .pmem = DAXKV_PMEM_FORCE
#define EXTERNAL_LOCK DAXKV_NO_LOCK | DAXKV_EXTERNAL_LOCK
#define KEYS          400u

static struct daxkv_store *external_lock_open(const char *name, unsigned int flags)
{
	return store_open(name, (struct daxkv_options){EMULATED, .flags = EXTERNAL_LOCK | flags});
}

/* fill - KEYS records whose size and bytes follow from round; those of every seventh key are
 * deleted. */
static void fill(struct daxkv_store *store, unsigned int round, bool keep)
{
	static uint8_t bytes[3000];
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, 0, &txn));
	memset(bytes, (int)round, sizeof bytes);
	for (unsigned int i = 0; i < KEYS; i++) {
		struct daxkv_val k = {sizeof i, &i},
		                 v = {(i * 31 + round * 17) % (i % 50 ? 100 : sizeof bytes), bytes};

		if (i % 7 == round % 7) {
			int rc = daxkv_del(txn, DAXKV_MAIN, &k, NULL);

			assert_true(rc == 0 || rc == DAXKV_NOT_FOUND);
		} else {
			OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, 0));
		}
	}
	if (keep)
		OK(daxkv_txn_commit(txn));
	else
		daxkv_txn_abort(txn);
}

/* holds - what fill of that round left is what txn sees. */
static void holds(struct daxkv_txn *txn, unsigned int round)
{
	for (unsigned int i = 0; i < KEYS; i++) {
		struct daxkv_val k = {sizeof i, &i}, v = {0, NULL};
		int rc = daxkv_get(txn, DAXKV_MAIN, &k, &v);

		assert_int_equal(rc, i % 7 == round % 7 ? DAXKV_NOT_FOUND : 0);
		assert_int_equal(v.size, rc ? 0 : (i * 31 + round * 17) % (i % 50 ? 100 : 3000));
		if (v.size)
			assert_int_equal(((uint8_t *)v.data)[v.size - 1], (uint8_t)round);
	}
}

static void shows(struct daxkv_store *store, unsigned int round)
{
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
	holds(txn, round);
	daxkv_txn_abort(txn);
}

/* A process died in its commit: nobody will publish its record, or take it away. Caught:
 * look_shared without look_left, which never returns. */
static void a_check_ends_beside_what_the_dead_left(void **state)
{
	struct daxkv_store *store;
	uint64_t faults = 1;

	(void)state;
	OK(daxkv_close(store_new("left", 512)));
	store = external_lock_open("left", 0);
	fill(store, 0, true);
	fill(store, 1, true);
	const uint64_t next = store->share->published + 1;
	const uint64_t at =
	    (uint64_t)((const uint8_t *)ring_at(&store->ring, next) - store->map.base);
	const int fd = open(scratch_path("left"), O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, &next, sizeof next, (off_t)at), sizeof next);
	OK(daxkv_check(store, NULL, NULL, &faults));
	assert_int_equal(faults, 0);
	shows(store, 1);
	fill(store, 2, true); /* takes over */
	OK(daxkv_check(store, NULL, NULL, &faults));
	close(fd);
	store_done(store);
}

/* Nothing is recovered before the store is opened again, and the check says what that will find.
 * Caught: look_left, "!panic &&" removed, which never returns. */
static void a_check_ends_behind_a_failed_fence(void **state)
{
	struct daxkv_store *store;
	uint64_t faults = 1;

	(void)state;
	OK(daxkv_close(store_new("panic", 512)));
	store = external_lock_open("panic", 0);
	fill(store, 0, true);
	fill(store, 1, true);
	store_seq_cst(&store->share->panic, EIO);
	OK(daxkv_check(store, NULL, NULL, &faults));
	assert_int_equal(faults, 0);
	OK(daxkv_close(store));
	store_done(external_lock_open("panic", 0));
}

static void each_sees_what_the_others_did(void **state)
{
	struct daxkv_store *writer[3], *reader;
	struct daxkv_txn *kept;

	(void)state;
	OK(daxkv_close(store_new("turns", 512)));
	for (int i = 0; i < 3; i++)
		writer[i] = external_lock_open("turns", 0);
	fill(writer[0], 0, true);
	reader = external_lock_open("turns", DAXKV_READ_ONLY);
	OK(daxkv_txn_begin(reader, NULL, DAXKV_TXN_READ_ONLY, &kept));
	for (unsigned int round = 1; round < 300; round++) { /* more than the ring has records */
		struct daxkv_store *store = writer[round * round / 3 % 3];

		daxkv_txn_reset(kept);
		if (round % 5 == 0)
			fill(store, round + 1, false);
		fill(store, round, true);
		shows(writer[round % 3], round);
		if (round % 90 > 80)
			continue; /* the reader stays behind for longer */
		OK(daxkv_txn_renew(kept));
		holds(kept, round);
		if (round % 20 == 0)
			shows(reader, round);
		if (round % 50 == 0)
			store_check(writer[(round + 1) % 3]);
		if (round % 60 == 0) { /* one goes, another comes */
			OK(daxkv_close(writer[0]));
			writer[0] = external_lock_open("turns", 0);
		}
	}
	daxkv_txn_abort(kept);
	for (int i = 0; i < 3; i++)
		store_done(writer[i]);
	shows(reader, 299);
	OK(daxkv_close(reader));
	struct daxkv_store *store = store_again("turns");

	shows(store, 299);
	store_done(store);
}

enum { TOGETHER = 4, ROUNDS = 300 };

struct crowd { /* threads that begin to read together, right after another store's commit */
	struct daxkv_store *store;
	uint64_t first; /* the newest transaction before the first round */
	pthread_barrier_t committed, read;
};

static void *reads_with_others(void *arg)
{
	struct crowd *c = arg;
	uintptr_t behind = 0;

	for (unsigned int round = 1; round <= ROUNDS; round++) {
		struct daxkv_txn *txn = NULL;

		pthread_barrier_wait(&c->committed);
		behind += daxkv_txn_begin(c->store, NULL, DAXKV_TXN_READ_ONLY, &txn) != 0 ||
		          daxkv_txn_id(txn) != c->first + round;
		daxkv_txn_abort(txn);
		pthread_barrier_wait(&c->read);
	}
	return (void *)behind;
}

/* One of the threads catches up with the file; the others wait for it, and do not read what was
 * there before. */
static void threads_see_what_the_others_did(void **state)
{
	struct daxkv_store *writer;
	struct crowd crowd;
	pthread_t thread[TOGETHER];
	(void)state;

	OK(daxkv_close(store_new("crowd", 512)));
	writer = external_lock_open("crowd", 0);
	crowd.store = external_lock_open("crowd", 0);
	crowd.first = info(crowd.store).last_txn;
	pthread_barrier_init(&crowd.committed, NULL, TOGETHER + 1);
	pthread_barrier_init(&crowd.read, NULL, TOGETHER + 1);
	for (int i = 0; i < TOGETHER; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, reads_with_others, &crowd), 0);
	for (unsigned int round = 1; round <= ROUNDS; round++) {
		fill(writer, round, true);
		pthread_barrier_wait(&crowd.committed);
		pthread_barrier_wait(&crowd.read);
	}
	for (int i = 0; i < TOGETHER; i++) {
		void *behind;

		assert_int_equal(pthread_join(thread[i], &behind), 0);
		assert_null(behind);
	}
	store_done(writer);
	OK(daxkv_close(crowd.store));
}

/* The mapping follows a file that somebody made shorter. */
static void a_file_that_was_cut(void **state)
{
	struct daxkv_store *store = store_new("cut", 4096), *external_lock;
	struct daxkv_txn *txn;
	struct stat before, after;
	uint8_t *big = calloc(1, 8 << 20);
	struct daxkv_val k = {3, "big"}, v = {8 << 20, big};

	(void)state;
	assert_non_null(big);
	fill(store, 1, true);
	OK(daxkv_txn_begin(store, NULL, 0, &txn));
	OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, 0));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_close(store));
	external_lock = external_lock_open("cut", 0);
	shows(external_lock, 1);
	assert_int_equal(stat(scratch_path("cut"), &before), 0);
	store = store_again("cut");
	OK(daxkv_txn_begin(store, NULL, 0, &txn));
	OK(daxkv_del(txn, DAXKV_MAIN, &k, NULL));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_close(store));
	store = store_again("cut"); /* what was given up is free */
	fill(store, 3, true);
	OK(daxkv_close(store));
	assert_int_equal(stat(scratch_path("cut"), &after), 0);
	assert_true(after.st_size < before.st_size);
	shows(external_lock, 3);
	v.size = 5 << 20; /* within what was mapped before */
	OK(daxkv_txn_begin(external_lock, NULL, 0, &txn));
	OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, 0));
	OK(daxkv_txn_commit(txn));
	store_done(external_lock);
	free(big);
}

/* dies - a process that ends in the commit of fill(round): behind its record, or, not all, when the
 * first of its words is stored. */
static void dies(const char *name, unsigned int round, bool all)
{
	struct daxkv_store *store = external_lock_open(name, 0);
	size_t size = store->map.size;
	uint8_t *before = malloc(size);
	struct ring_record rec;

	assert_non_null(before);
	daxkv_txn_abort(begin(store)); /* it has made sure of what others did */
	memcpy(before, store->map.base, size);
	fill(store, round, true);
	assert_int_equal(store->map.size, size);
	uint64_t txn = store->share->published;

	assert_true(ring_read(&store->ring, (unsigned int)(txn % FMT_RING_RECORDS), &rec) &&
	            rec.txn == txn && !rec.spilled && rec.nwords > 1);
	for (unsigned int i = !all; i < rec.nwords; i++) {
		uint64_t off = rec.words[2 * i], value;

		memcpy(&value, before + off, sizeof value);
		pm_store8(&store->map.pm, (const uint64_t *)(const void *)(store->map.base + off),
		          value);
	}
	OK(daxkv_close(store));
	free(before);
}

static void one_died_in_its_commit(void **state)
{
	OK(daxkv_close(store_open("died", (struct daxkv_options){EMULATED, .flags = DAXKV_CREATE,
	                                                         .initial_size = 2 << 20})));
	struct daxkv_store *store = external_lock_open("died", 0),
	                   *reader = external_lock_open("died", DAXKV_READ_ONLY), *late;
	struct daxkv_txn *txn;

	(void)state;
	fill(store, 1, true);
	shows(reader, 1);
	dies("died", 2, true); /* not acknowledged: who only reads sees the commit before, who
	                          writes finishes it */
	shows(reader, 1);
	txn = begin_reading(reader);
	assert_int_equal(daxkv_txn_id(txn), store->share->published);
	daxkv_txn_abort(txn);
	shows(store, 1);
	late = external_lock_open("died", DAXKV_READ_ONLY);
	shows(late, 1);
	daxkv_txn_abort(begin(store));
	shows(store, 2);
	shows(reader, 2);
	shows(late, 2);
	dies("died", 3, false);
	assert_int_equal(daxkv_txn_begin(reader, NULL, DAXKV_TXN_READ_ONLY, &txn),
	                 DAXKV_BUSY); /* it may not put that right */
	shows(store, 3);
	shows(reader, 3);
	fill(store, 4, true);
	shows(late, 4);
	OK(daxkv_close(late));
	OK(daxkv_close(reader));
	store_done(store);
}

/* asked - what daxkv_info tells is of the newest commit. */
static void asked(struct daxkv_store *store)
{
	struct daxkv_info info;
	struct daxkv_txn *txn = begin_reading(store);

	OK(daxkv_info(store, &info));
	assert_int_equal(info.last_txn, daxkv_txn_id(txn));
	assert_in_range(info.used_bytes, 8 * store->page_size, store->map.size);
	daxkv_txn_abort(txn);
}

/* Programs open and close outside their turn, and ask. */
static void coming_and_going_writes_nothing(void **state)
{
	OK(daxkv_close(store_new("going", 4096)));
	struct daxkv_store *store = external_lock_open("going", 0), *other;

	(void)state;
	fill(store, 1, true);
	fill(store, 2, true);
	size_t size = store->map.size;
	uint8_t *before = malloc(size);

	assert_non_null(before);
	pm_store8(&store->map.pm, ring_at(&store->ring, store->share->published + 1),
	          store->share->published + 1); /* one that is writing its record */
	memcpy(before, store->map.base, size);
	other = external_lock_open("going", 0);
	shows(other, 2);
	asked(other);
	OK(daxkv_close(other));
	assert_memory_equal(before, store->map.base, size);
	other = external_lock_open("going", 0);
	fill(other, 3, true);
	memcpy(before, other->map.base, size);
	OK(daxkv_close(store)); /* while it does not know the newest commit */
	OK(daxkv_close(other));
	other = external_lock_open("going", DAXKV_READ_ONLY);
	assert_memory_equal(before, other->map.base, size);
	shows(other, 3);
	OK(daxkv_close(other));
	free(before);
}

static void only_without_a_lock_file(void **state)
{
	struct daxkv_options o = {EMULATED, .flags = DAXKV_CREATE | DAXKV_EXTERNAL_LOCK};
	struct daxkv_store *store = NULL;

	(void)state;
	assert_int_equal(daxkv_open(scratch_path("none"), &o, &store), EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_check_ends_beside_what_the_dead_left),
	    TEST(a_check_ends_behind_a_failed_fence),
	    TEST(each_sees_what_the_others_did),
	    TEST(threads_see_what_the_others_did),
	    TEST(a_file_that_was_cut),
	    TEST(one_died_in_its_commit),
	    TEST(coming_and_going_writes_nothing),
	    TEST(only_without_a_lock_file),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
