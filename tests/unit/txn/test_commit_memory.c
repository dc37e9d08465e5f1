/* SPDX-License-Identifier: BSD-3-Clause */
/* What gives pages in memory their places, beside what else a transaction has: see test_full.c for
 * stores that are full. */
#include "small_store.h"

#include <endian.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static unsigned int opens;      /* times that memory was asked for */
static unsigned int opens_fail; /* which of them fails; 0: none */

static off_t disk;           /* bytes that a file can have; 0: any number */
static unsigned int refused; /* times that a file found no more */

static bool medium_fails;
static unsigned int failures; /* flushes that failed */

/* The engine's calls come here. */
int fdatasync(int fd)
{
	if (medium_fails) {
		failures++;
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t off, off_t n)
{
	if (disk && off + n > disk) {
		refused++;
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, off, n);
}

int mprotect(void *p, size_t n, int prot)
{
	if (prot == (PROT_READ | PROT_WRITE) && ++opens == opens_fail) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_mprotect, p, n, prot);
}

/* A large value whose bytes look like an inner page's: it is taken for none. */
static void a_large_value_that_looks_like_a_page(void **state)
{
	static uint8_t like[4096];
	struct daxkv_store *store =
	    store_open("memory", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                                .page_size = 512,
	                                                .pmem = DAXKV_PMEM_FORCE,
	                                                .max_size = 512 << 10});
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val k = text("value"), v = bytes(like, sizeof like), got;
	(void)state;

	for (uint64_t n = 0; n < 500; n++)
		OK(put_n(txn, DAXKV_MAIN, n, 20, 1));
	OK(daxkv_txn_commit(txn));
	memset(like, 0xff, sizeof like);
	like[offsetof(struct fmt_page, type)] = FMT_INNER;
	txn = begin(store);
	OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, 0));
	store->space.memory.tight = true; /* as when a removal took a page of the reserve */
	OK(del_n(txn, DAXKV_MAIN, 7));
	OK(daxkv_txn_commit(txn));
	txn = begin_reading(store);
	OK(daxkv_get(txn, DAXKV_MAIN, &k, &got));
	assert_int_equal(got.size, sizeof like);
	assert_memory_equal(got.data, like, sizeof like);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* backwards - keys of equal length, the largest first. */
static int backwards(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	return memcmp(b->data, a->data, a->size < b->size ? a->size : b->size);
}

/* full_backwards - a store without room, of a database with an order of the program's. Returns how
 * many entries it has. */
static uint64_t full_backwards(enum daxkv_pmem pmem, struct daxkv_store **store, daxkv_db *db)
{
	struct daxkv_txn *txn;
	uint64_t n = 0;

	unlink(scratch_path("full"));
	*store = store_open("full", (struct daxkv_options){
	                                .flags = DAXKV_CREATE, .pmem = pmem, .max_size = 1 << 20});
	txn = begin(*store);
	*db = db_of(txn, "backwards", DAXKV_OWN_COMPARE);
	OK(daxkv_db_set_compare(txn, *db, backwards, NULL));
	OK(daxkv_txn_commit(txn));
	for (int rc = 0; !rc;) {
		uint64_t i = 0;

		txn = begin(*store);
		for (; i < 8 && !rc; i++)
			rc = put_n(txn, *db, (n + i) * 7919 % 100003, 20, 1);
		if (!rc)
			rc = daxkv_txn_commit(txn);
		else
			daxkv_txn_abort(txn);
		n += rc ? 0 : i;
	}
	return n;
}

/* A removal that has to wait for the medium says that this failed: a page in memory would do for
 * it, but the transaction can no longer be committed. */
static void a_failed_flush_is_told_at_once(void **state)
{
	struct daxkv_store *store;
	daxkv_db db;
	const uint64_t n = full_backwards(DAXKV_PMEM_FILE, &store, &db);
	struct daxkv_txn *txn;
	uint64_t i = 0;
	int rc = 0;
	(void)state;

	while (
	    !store->space.limbo.n) { /* what waits for a checkpoint makes the removal ask for one */
		txn = begin(store);
		for (unsigned int k = 0; k < 40 && i < n; k++, i++)
			OK(del_n(txn, db, i * 7919 % 100003));
		OK(daxkv_txn_commit(txn));
	}
	txn = begin(store);
	medium_fails = true;
	failures = 0;
	for (; i < n && !failures; i++)
		rc = del_n(txn, db, i * 7919 % 100003);
	assert_true(failures > 0);
	assert_int_equal(rc, DAXKV_PANIC);
	daxkv_txn_abort(txn);
	medium_fails = false;
	(void)daxkv_close(store);
}

/* In a store without room, in an order that the program alone knows. In the middle a child is
 * forked: it leaves by exit, or opens the store again and sees what was committed. */
static void a_fork_with_pages_in_memory(void **state)
{
	(void)state;
	for (int reads = 0; reads < 2; reads++) {
		struct daxkv_store *store;
		daxkv_db db;
		const uint64_t n = full_backwards(DAXKV_PMEM_FORCE, &store, &db);
		struct daxkv_txn *txn = begin(store);
		uint64_t i = 0;
		int status;

		assert_true(n > 1000);
		for (; i < n / 2; i++)
			OK(del_n(txn, db, i * 17 % n * 7919 % 100003));
		assert_true(n % 17 != 0 && store->space.memory.used > 0);
		const pid_t pid = fork();

		if (pid == 0) {
			struct daxkv_val name = text("backwards");
			daxkv_db again;
			bool same = true;

			if (!reads)
				_exit(del_n(txn, db, 1) == DAXKV_BAD_TXN ? 0 : 1);
			store = store_again("full");
			txn = begin_reading(store);
			if (daxkv_db_open(txn, &name, 0, &again) ||
			    daxkv_db_set_compare(txn, again, backwards, NULL))
				_exit(2);
			for (uint64_t k = 0; k < n; k++)
				same = same && has_n(txn, again, k * 7919 % 100003, 20, 1);
			daxkv_txn_abort(txn);
			_exit(daxkv_close(store) || !same ? 3 : 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		for (; i < n; i++)
			OK(del_n(txn, db, i * 17 % n * 7919 % 100003));
		OK(daxkv_txn_commit(txn));
		txn = begin_reading(store);
		for (uint64_t k = 0; k < n; k++)
			assert_true(lacks_n(txn, db, k * 7919 % 100003));
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

/* ---- databases of all kinds ------------------------------------------------------------------ */

#define LEFT 20u /* entries that the emptying leaves, so that pages get places in the file */

enum { PLAIN, BACKWARDS, DUPS, KINDS };

/* mixed - a full store of databases of each kind, which take entries in turn. */
struct mixed {
	struct daxkv_store *store;
	daxkv_db db[KINDS];
	uint64_t n;
	uint64_t step; /* from one removal to the next: a prime number that does not divide n */
};

/* mixed_change - entry n is put, or goes. Few keys have all the duplicates, so there are tallies.
 */
static int mixed_change(const struct mixed *m, struct daxkv_txn *txn, uint64_t n, bool puts)
{
	const daxkv_db db = m->db[n % KINDS];
	const uint64_t number = htobe64(n * 7919 % 100003);
	struct daxkv_val k = text(n % 2 ? "odd" : "even"), v = bytes(&number, sizeof number);

	if (n % KINDS != DUPS)
		return puts ? put_n(txn, db, n * 7919 % 100003, 20, 1)
		            : del_n(txn, db, n * 7919 % 100003);
	return puts ? daxkv_put(txn, db, &k, &v, 0) : daxkv_del(txn, db, &k, &v);
}

static struct mixed mixed_new(size_t max_size)
{
	struct mixed m = {0};
	struct daxkv_txn *txn;

	unlink(scratch_path("mixed"));
	m.store = store_open("mixed", (struct daxkv_options){.flags = DAXKV_CREATE,
	                                                     .page_size = 512,
	                                                     .pmem = DAXKV_PMEM_FORCE,
	                                                     .max_size = max_size});
	txn = begin(m.store);
	m.db[PLAIN] = db_of(txn, "plain", 0);
	m.db[BACKWARDS] = db_of(txn, "backwards", DAXKV_OWN_COMPARE);
	m.db[DUPS] = db_of(txn, "dups", DAXKV_DUP_SORT);
	OK(daxkv_db_set_compare(txn, m.db[BACKWARDS], backwards, NULL));
	OK(daxkv_txn_commit(txn));
	for (int rc = 0; !rc;) {
		uint64_t i = 0;

		txn = begin(m.store);
		for (; i < 6 && !rc; i++)
			rc = mixed_change(&m, txn, m.n + i, true);
		if (!rc)
			rc = daxkv_txn_commit(txn);
		else
			daxkv_txn_abort(txn);
		m.n += rc ? 0 : i;
	}
	assert_true(m.n > 2000);
	m.step = m.n % 1009 ? 1009 : 1013;
	return m;
}

/* mixed_remove - the entries from the i-th up to the end-th, in an order that is none. The first
 * error. */
static int mixed_remove(const struct mixed *m, struct daxkv_txn *txn, uint64_t i, uint64_t end)
{
	int rc = 0;

	for (; i < end && !rc; i++)
		rc = mixed_change(m, txn, i * m->step % m->n, false);
	return rc;
}

/* mixed_has - so many entries are left, in all databases. */
static void mixed_has(const struct mixed *m, uint64_t n)
{
	struct daxkv_txn *txn = begin_reading(m->store);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < KINDS; i++) {
		struct daxkv_db_stat stat;

		OK(daxkv_db_stat(txn, m->db[i], &stat));
		sum += stat.entries;
	}
	daxkv_txn_abort(txn);
	assert_int_equal(sum, n);
	store_check(m->store);
}

static size_t in_memory(const struct mixed *m)
{
	return m->store->space.memory.used;
}

/* levels - of nested transactions with pages in memory one is aborted and one committed; then a
 * database is dropped, and the others are emptied. */
static void levels(size_t max_size)
{
	struct mixed m = mixed_new(max_size);
	struct daxkv_txn *txn = begin(m.store), *child;
	const uint64_t half = m.n / 2, most = m.n / 8 * 7;

	OK(mixed_remove(&m, txn, 0, half));
	const size_t before = in_memory(&m);

	assert_true(before > 0);
	child = begin_in(txn);
	OK(mixed_remove(&m, child, half, most));
	assert_true(in_memory(&m) > before);
	daxkv_txn_abort(child);
	assert_int_equal(in_memory(&m), before);
	child = begin_in(txn);
	OK(mixed_remove(&m, child, half, most));
	OK(daxkv_txn_commit(child));
	assert_true(in_memory(&m) > 0);
	OK(daxkv_db_drop(txn, m.db[PLAIN], 0));
	for (uint64_t i = most; i < m.n; i++)
		if (i * m.step % m.n % KINDS != PLAIN)
			OK(mixed_remove(&m, txn, i, i + 1));
	OK(daxkv_txn_commit(txn));
	assert_int_equal(in_memory(&m), 0);
	mixed_has(&m, 0);
	store_done(m.store);
}

static void levels_and_a_drop(void **state)
{
	(void)state;
	levels(512 << 10);
	disk = 2 << 20; /* what a new store has */
	levels(8 << 20);
	disk = 0;
	assert_true(refused > 0);
}

/* The system gives no memory: the removal finds the store full, and an abort
 * brings all back. */
static void no_memory_for_pages(void **state)
{
	struct mixed m = mixed_new(512 << 10);
	unsigned int failed = 0;
	int rc = DAXKV_FULL;
	(void)state;

	while (rc) {
		struct daxkv_txn *txn = begin(m.store);

		opens = 0;
		opens_fail = failed + 1;
		rc = mixed_remove(&m, txn, 0, m.n - LEFT);
		opens_fail = 0;
		if (!rc) {
			assert_true(in_memory(&m) > 0);
			OK(daxkv_txn_commit(txn));
			continue;
		}
		assert_int_equal(rc, DAXKV_FULL);
		daxkv_txn_abort(txn);
		assert_int_equal(in_memory(&m), 0);
		mixed_has(&m, m.n);
		failed++;
	}
	assert_true(failed > 0);
	mixed_has(&m, LEFT);
	store_done(m.store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_large_value_that_looks_like_a_page),
	    cmocka_unit_test(a_failed_flush_is_told_at_once),
	    cmocka_unit_test(a_fork_with_pages_in_memory),
	    cmocka_unit_test(levels_and_a_drop),
	    cmocka_unit_test(no_memory_for_pages),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
