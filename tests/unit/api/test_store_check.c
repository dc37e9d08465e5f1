/* SPDX-License-Identifier: BSD-3-Clause */
/* test_store_check.c - daxkv_check beside writers: of this process and others, running, standing
 * still, half-way in a commit, dead. */
#include "small_store.h"

#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

#define COMMITS 3000u

static struct daxkv_store *reader_of(const char *name)
{
	return store_open(
	    name, (struct daxkv_options){.flags = DAXKV_READ_ONLY, .pmem = DAXKV_PMEM_FORCE});
}

static void count_fault(const char *fault, void *arg)
{
	(void)fault;
	++*(unsigned int *)arg;
}

static int put_number(struct daxkv_txn *txn, unsigned int i)
{
	char text[120];
	struct daxkv_val key = {8, text}, value = {sizeof text, text};

	memset(text, 'v', sizeof text);
	snprintf(text, sizeof text, "%08u", i * 7919 % 100000000);
	return daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
}

/* child_writes - commits, and then leaves a transaction half done and stands still. */
static void child_writes(unsigned int commits)
{
	const struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};
	struct daxkv_txn *txn = NULL;
	struct daxkv_store *store;
	int rc = daxkv_open(scratch_path("e"), &o, &store);

	for (unsigned int i = 0; i <= commits && !rc; i++) {
		rc = daxkv_txn_begin(store, NULL, 0, &txn);
		for (unsigned int j = 0; j < 20 && !rc; j++)
			rc = put_number(txn, 20 * i + j);
		if (!rc && i < commits)
			rc = daxkv_txn_commit(txn);
	}
	if (rc)
		_exit(1);
	raise(SIGSTOP);
	_exit(0);
}

static pid_t writer_start(unsigned int commits)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		child_writes(commits);
	return child;
}

static void writer_kill(pid_t child)
{
	int status;

	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
}

static void beside_a_transaction_of_its_own(void **state)
{
	struct daxkv_store *store = store_new("e", 4096);
	struct daxkv_txn *txn;
	(void)state;
	for (unsigned int i = 0; i < 50; i++) {
		txn = begin(store);
		for (unsigned int j = 0; j < 40; j++)
			OK(put_number(txn, 40 * i + j));
		store_check(store);
		OK(daxkv_txn_commit(txn));
	}
	txn = begin(store);
	OK(daxkv_del_range(txn, DAXKV_MAIN, NULL, NULL, NULL));
	for (unsigned int j = 0; j < 60000; j++) /* the file grows */
		OK(put_number(txn, j));
	store_check(store);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* Commits of another process all the time; then it stands still in a transaction; then it is dead,
 * and nobody has recovered. */
static void beside_another_process(void **state)
{
	int status = 0;
	(void)state;
	OK(daxkv_close(store_new("e", 4096)));
	struct daxkv_store *store = reader_of("e");
	pid_t child = writer_start(COMMITS);
	unsigned int checks = 0;

	for (; waitpid(child, &status, WNOHANG | WUNTRACED) == 0; checks++)
		store_check(store);
	assert_true(WIFSTOPPED(status) && checks > 0);
	store_check(store);
	struct daxkv_store *other = store_again("e");

	store_check(other);
	writer_kill(child);
	store_check(store);
	store_check(other);
	struct daxkv_txn *txn = begin(other);

	OK(put_number(txn, 1));
	OK(daxkv_txn_commit(txn));
	store_check(store);
	OK(daxkv_close(store));
	store_done(other);
}

struct holder {
	struct daxkv_store *store;
	sem_t has, give;
};

static void *hold(void *arg)
{
	struct holder *h = arg;
	struct daxkv_txn *txn = begin(h->store);

	sem_post(&h->has);
	sem_wait(&h->give);
	daxkv_txn_abort(txn);
	return NULL;
}

/* The record of the next transaction is there, and some of its words: this is neither the old state
 * nor the new one. */
static void half_way_in_a_commit_it_waits(void **state)
{
	struct daxkv_store *store = store_new("e", 4096);
	struct holder h = {.store = store};
	struct daxkv_txn *txn = begin(store);
	unsigned int told = 0;
	struct daxkv_check check = {.milliseconds = 30, .report = count_fault, .arg = &told};
	pthread_t thread;
	(void)state;
	OK(put_number(txn, 1));
	OK(daxkv_txn_commit(txn));
	const struct fmt_super *super = (const void *)store->map.base;
	const struct fmt_desc *desc =
	    (const void *)(store->map.base + load_word(&super->main_desc));
	uint64_t next = info(store).last_txn + 1, leaves = load_word(&desc->leaf_pages),
	         before = load_word(ring_at(&store->ring, next));

	assert_true(sem_init(&h.has, 0, 0) == 0 && sem_init(&h.give, 0, 0) == 0);
	assert_int_equal(pthread_create(&thread, NULL, hold, &h), 0);
	sem_wait(&h.has);
	pm_store8(&store->map.pm, ring_at(&store->ring, next), next);
	pm_store8(&store->map.pm, &desc->leaf_pages, leaves + 1);
	assert_int_equal(daxkv_check_with(store, &check, NULL), DAXKV_BUSY);
	assert_int_equal(told, 0);
	pm_store8(&store->map.pm, &desc->leaf_pages, leaves);
	pm_store8(&store->map.pm, ring_at(&store->ring, next), before);
	check.milliseconds = 0;
	OK(daxkv_check_with(store, &check, NULL));
	pm_store8(&store->map.pm, &desc->leaf_pages, leaves + 1);
	/* that is damage, beside a writer, too */
	assert_int_equal(daxkv_check_with(store, &check, NULL), DAXKV_CORRUPT);
	assert_true(told > 0);
	pm_store8(&store->map.pm, &desc->leaf_pages, leaves);
	sem_post(&h.give);
	pthread_join(thread, NULL);
	store_done(store);
}

/* A reader without a lock file is not noticed by writers: what it would tell of a store that they
 * change is not true. */
static void without_a_lock_file(void **state)
{
	struct daxkv_store *store = store_new("e", 4096), *reader;
	struct daxkv_options o = {
	    .flags = DAXKV_READ_ONLY, .pmem = DAXKV_PMEM_FORCE, .lock_path = "/sys/daxkv-lock"};
	struct daxkv_txn *txn = begin(store);
	unsigned int told = 0;
	(void)state;
	OK(put_number(txn, 1));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_sync(store));
	if (daxkv_open(scratch_path("e"), &o, &reader) != 0 || reader->lock.fd >= 0) {
		store_done(store);
		skip(); /* there a lock file can be made */
	}
	store_check(reader);
	txn = begin(store);
	for (unsigned int i = 0; i < 2000; i++)
		OK(put_number(txn, i));
	OK(daxkv_txn_commit(txn));
	assert_int_equal(daxkv_check(reader, count_fault, &told, NULL), DAXKV_BUSY);
	assert_int_equal(told, 0);
	OK(daxkv_close(reader));
	store_done(store);
}

struct seen {                  /* what a check has told of its progress */
	uint64_t pages, total; /* the last time */
	unsigned int times;
	unsigned int end_at; /* the check ends when it has told so often; 0: never */
	int end;             /* what the check returns then */
};

static int page_seen(uint64_t pages, uint64_t total, void *arg)
{
	struct seen *seen = arg;

	assert_true(pages >= seen->pages && pages <= total && total > 0);
	seen->pages = pages;
	seen->total = total;
	return ++seen->times == seen->end_at ? seen->end : 0;
}

/* Pages of large values count like those of trees, and the last thing that is told is all of them.
 * EAGAIN and BUSY, which mean something inside, are a caller's like other numbers. */
static void progress_is_a_share_of_the_pages(void **state)
{
	const int ends[] = {EINTR, EAGAIN, DAXKV_BUSY, DAXKV_CORRUPT};
	struct daxkv_store *store = store_new("e", 4096);
	struct daxkv_txn *txn = begin(store);
	const size_t size = (size_t)40 << 20;
	struct daxkv_val key = {1, "k"}, value = {size, calloc(1, size)};
	struct seen seen = {0};
	const struct daxkv_check check = {.progress = page_seen, .arg = &seen};
	(void)state;

	assert_non_null(value.data);
	OK(daxkv_put(txn, DAXKV_MAIN, &key, &value, 0));
	for (unsigned int i = 0; i < 150000; i++)
		OK(put_number(txn, i));
	OK(daxkv_txn_commit(txn));
	free(value.data);
	OK(daxkv_check_with(store, &check, NULL));
	assert_true(seen.times > 3);
	assert_true(seen.total > size / 4096);
	assert_int_equal(seen.pages, seen.total);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		uint64_t faults = 7;

		seen = (struct seen){.end_at = 2, .end = ends[i]};
		assert_int_equal(daxkv_check_with(store, &check, &faults), ends[i]);
		assert_int_equal(seen.times, 2);
		assert_int_equal(faults, 7);
	}
	store_check(store);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(beside_a_transaction_of_its_own),
	    cmocka_unit_test(beside_another_process),
	    cmocka_unit_test(half_way_in_a_commit_it_waits),
	    cmocka_unit_test(without_a_lock_file),
	    cmocka_unit_test(progress_is_a_share_of_the_pages),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
