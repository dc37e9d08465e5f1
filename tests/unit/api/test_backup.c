/* SPDX-License-Identifier: BSD-3-Clause */
/* test_backup.c - backups in parts: a full one and deltas make the store of each of their moments
 * again, whatever came in between; pieces that do not fit are not taken; and what becomes of a
 * backup that ends early. */
#include "../backup_history.h"

#include <signal.h>

/* chain - a full backup, deltas behind it, and the store of each of their moments again. */
static void chain(uint64_t seed, uint32_t page_size, bool compacts)
{
	struct daxkv_txn *moment[ROUNDS + 1];
	uint64_t version[ROUNDS + 1];
	struct history h;

	history_begin(&h, seed, page_size);
	h.compacts = compacts;
	for (uint64_t n = below(&h, 100); n > 0; n--)
		transaction(&h);
	for (unsigned int i = 0; i <= ROUNDS; i++) {
		OK(daxkv_txn_begin(h.store, NULL, DAXKV_TXN_READ_ONLY, &moment[i]));
		version[i] = daxkv_user_version(h.store);
		if (i && below(&h, 2)) /* commits that the backup must not see */
			for (uint64_t n = below(&h, 20); n > 0; n--)
				transaction(&h);
		struct daxkv_txn *user = begin(h.store);

		OK(daxkv_txn_set_user_version(user, version[i]));
		OK(daxkv_txn_commit(user));
		OK(backup_fd(moment[i], piece_names[i], i ? piece_names[i - 1] : NULL));
		for (uint64_t n = below(&h, below(&h, 2) ? 6 : 150); n > 0; n--)
			transaction(&h);
	}
	for (unsigned int i = 0; i <= ROUNDS; i++) {
		OK(restore("again", i + 1));
		same_store(moment[i], version[i], "again");
		daxkv_txn_abort(moment[i]);
	}
	OK(daxkv_close(h.store));
}

static void chains_of_any_histories(void **state)
{
	/* as many as asked for, from the one asked for on */
	const char *more = getenv("BACKUP_SEEDS"), *from = getenv("BACKUP_SEED");
	uint64_t seed = from ? strtoull(from, NULL, 10) : 0;
	uint64_t end = seed + (more ? strtoull(more, NULL, 10) : 16);

	(void)state;
	for (; seed < end; seed++) {
		fprintf(stderr, "history %lu\n", (unsigned long)seed);
		chain(seed, seed % 4 == 0 ? 4096 : seed % 4 == 1 ? 32768 : 512, seed % 16 >= 12);
	}
}

/* leaf_remove - all of the leaf behind the separator cut[i] goes; later one of its entries comes
 * back, into a leaf beside. */
static void leaf_remove(struct daxkv_store *store, const struct daxkv_val *cut, size_t i)
{
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val key = cut[i], value;
	struct daxkv_cursor *cursor;
	char back[32];

	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &cursor));
	OK(daxkv_cursor_get(cursor, &key, &value, DAXKV_SEEK_GE));
	for (unsigned int k = 0; k < 3; k++)
		OK(daxkv_cursor_get(cursor, &key, &value, DAXKV_NEXT));
	key.data = memcpy(back, key.data, key.size);
	OK(daxkv_del_range(txn, DAXKV_MAIN, &cut[i], &cut[i + 1], NULL));
	OK(daxkv_txn_commit(txn));
	txn = begin(store);
	OK(daxkv_put(txn, DAXKV_MAIN, &key, &(struct daxkv_val){1, "b"}, 0));
	OK(daxkv_txn_commit(txn));
}

/* Leaves that go as a whole, the first of an inner page and the last as well as others, between
 * neighbours that nobody touches. */
static void leaves_that_went(void **state)
{
	(void)state;
	for (size_t round = 0; round < 12; round++) {
		struct daxkv_store *store = store_new("source", 512);
		struct daxkv_val cut[2000];
		char text[2000][17];
		struct daxkv_txn *txn;
		size_t n;

		put_some(store, 0, 5000, 20, 1);
		OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
		OK(daxkv_db_partition(txn, DAXKV_MAIN, 2000, cut, &n));
		assert_true(n > 300);
		for (size_t i = 0; i < n; i++)
			cut[i].data = memcpy(text[i], cut[i].data, cut[i].size);
		OK(backup_fd(txn, "full", NULL));
		daxkv_txn_abort(txn);
		for (size_t i = round; i + 1 < n; i += round < 2 ? 3 : 43)
			leaf_remove(store, cut, i);
		OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
		OK(backup_fd(txn, "d1", "full"));
		OK(restore("again", 2));
		same_store(txn, 0, "again");
		daxkv_txn_abort(txn);
		OK(daxkv_close(store));
	}
}

/* main_becomes - the main database is emptied, has these flags, and n entries. */
static void main_becomes(struct daxkv_store *store, unsigned int flags, uint64_t n)
{
	struct daxkv_txn *txn = begin(store);
	unsigned int has;
	daxkv_db db;

	OK(db_open(txn, NULL, 0, &db, &has));
	OK(daxkv_db_drop(txn, DAXKV_MAIN, 0));
	OK(db_open(txn, NULL, flags | DAXKV_CREATE, &db, &has));
	for (uint64_t i = 0; i < n; i++)
		OK(daxkv_put(txn, db, &(struct daxkv_val){8, &i}, &(struct daxkv_val){8, &i}, 0));
	OK(daxkv_txn_commit(txn));
}

/* The main database gets other flags while it is empty, and even its old ones again. */
static void the_main_database_of_other_flags(void **state)
{
	struct daxkv_store *store = store_new("source", 512);
	struct daxkv_txn *txn;
	struct daxkv_val name = {5, "named"};
	daxkv_db db;

	(void)state;
	put_some(store, 0, 100, 20, 1);
	txn = begin(store);
	OK(daxkv_db_open(txn, &name, DAXKV_CREATE, &db));
	OK(daxkv_txn_commit(txn));
	for (unsigned int i = 0; i <= ROUNDS; i++) {
		if (i == 1)
			main_becomes(store, DAXKV_DUP_SORT, 100);
		if (i == 2) /* it had entries, and has had none of them since */
			main_becomes(store, DAXKV_INTEGER_KEY, 50);
		if (i == 2)
			main_becomes(store, DAXKV_DUP_SORT, 0);
		if (i == 3)
			main_becomes(store, DAXKV_OWN_COMPARE, 70);
		if (i == 5)
			main_becomes(store, DAXKV_REVERSE_KEY, 10);
		OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
		OK(backup_fd(txn, piece_names[i], i ? piece_names[i - 1] : NULL));
		OK(restore("again", i + 1));
		same_store(txn, 0, "again");
		daxkv_txn_abort(txn);
	}
	OK(daxkv_close(store));
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static void pieces_that_do_not_fit(void **state)
{
	struct daxkv_backup_info info, full;
	struct daxkv_backup_options options = {.since = &info};
	struct history h;
	struct daxkv_txn *txn = small_chain(&h), *write;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)state;
	no_store_of(restore_of("full", "d2", NULL));
	no_store_of(restore_of("full", "d2", "d1"));
	no_store_of(restore_of("full", "d1", "d1"));
	no_store_of(restore_of("d1", "d2", NULL));
	no_store_of(restore_of("full", "full", NULL));
	no_store_of(restore_of("source", NULL, NULL));
	OK(daxkv_backup_look(scratch_path("full"), &full));
	assert_true(full.full && full.page_size == 512 && !full.since);
	OK(daxkv_backup_look(scratch_path("d1"), &info));
	assert_true(!info.full && info.since == full.txn && info.store_id == full.store_id);
	OK(daxkv_backup_look(scratch_path("d2"), &info));
	assert_int_equal(info.txn, daxkv_txn_id(txn));
	/* a later commit, another store, and what is no transaction for it */
	info.txn++;
	assert_int_equal(daxkv_backup(txn, null, &options), DAXKV_INCOMPATIBLE);
	info.txn--;
	info.store_id++;
	assert_int_equal(daxkv_backup(txn, null, &options), DAXKV_INCOMPATIBLE);
	info.store_id--;
	OK(daxkv_backup(txn, null, &options));
	write = begin(h.store);
	assert_int_equal(daxkv_backup(write, null, NULL), EINVAL);
	daxkv_txn_abort(write);
	assert_int_equal(daxkv_backup(txn, -1, NULL), EINVAL);
	assert_int_equal(daxkv_backup_look(NULL, &info), EINVAL);
	assert_int_equal(daxkv_backup_look(scratch_path("none"), &info), ENOENT);
	assert_int_equal(daxkv_restore(scratch_path("again"), NULL, 0, NULL), EINVAL);
	assert_int_equal(restore_of("full", "none", NULL), ENOENT);
	/* a FIFO is no piece, and nothing waits for its other end */
	assert_int_equal(mkfifo(scratch_path("pipe"), 0600), 0);
	assert_int_equal(daxkv_backup_look(scratch_path("pipe"), &info), DAXKV_FOREIGN);
	assert_int_equal(restore_of("full", "pipe", NULL), DAXKV_FOREIGN);
	assert_int_equal(restore_of("pipe", NULL, NULL), DAXKV_FOREIGN);
	/* a store in its place stays */
	OK(restore_of("full", "d1", "d2"));
	assert_int_equal(restore_of("full", NULL, NULL), EEXIST);
	same_store(txn, daxkv_user_version(h.store), "again");
	unlink(scratch_path("again"));
	daxkv_txn_abort(txn);
	OK(daxkv_close(h.store));
	close(null);
}

/* What others did with a full backup is not lost in silence: it is none any more. */
static void a_backup_that_was_changed_is_none(void **state)
{
	struct daxkv_backup_info info;
	struct history h;
	struct daxkv_store *full;
	uint8_t byte;
	struct daxkv_txn *txn;

	(void)state;
	daxkv_txn_abort(small_chain(&h));
	OK(daxkv_close(h.store));
	full = store_open("full", (struct daxkv_options){.flags = DAXKV_NO_LOCK});
	OK(daxkv_close(full)); /* opened alone it is as it was */
	OK(daxkv_backup_look(scratch_path("full"), &info));
	const off_t at = offsetof(struct fmt_super, user_version); /* without a checksum there */
	int fd = open(scratch_path("full"), O_RDWR | O_CLOEXEC);

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	assert_int_equal(daxkv_backup_look(scratch_path("full"), &info), DAXKV_INCOMPATIBLE);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
	OK(daxkv_backup_look(scratch_path("full"), &info));
	full = store_open("full", (struct daxkv_options){.flags = DAXKV_NO_LOCK});
	txn = begin(full);
	OK(daxkv_txn_set_user_version(txn, 1));
	OK(daxkv_txn_commit(txn));
	OK(daxkv_close(full));
	assert_int_equal(daxkv_backup_look(scratch_path("full"), &info), DAXKV_INCOMPATIBLE);
	no_store_of(restore_of("full", "d1", NULL));
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static int stop_at(uint64_t done, uint64_t total, void *arg)
{
	const uint64_t *limit = arg;

	assert_true(!total || done <= total);
	return done >= *limit ? DAXKV_BUSY : 0;
}

/* A pipe whose reader goes away, a full device, a caller that has enough. */
static void a_backup_that_ends_early(void **state)
{
	uint64_t limit = 1;
	struct daxkv_backup_info info;
	struct daxkv_backup_options options = {.progress = stop_at, .progress_arg = &limit};
	struct history h;
	struct daxkv_txn *txn = small_chain(&h);
	int ends[2], full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	void (*was)(int) = signal(SIGPIPE, SIG_IGN);

	(void)state;
	OK(daxkv_backup_look(scratch_path("d1"), &info));
	for (unsigned int delta = 0; delta < 2; delta++) {
		options.since = delta ? &info : NULL;
		assert_int_equal(pipe(ends), 0);
		close(ends[0]);
		limit = UINT64_MAX;
		assert_int_equal(daxkv_backup(txn, ends[1], &options), EPIPE);
		assert_non_null(strstr(daxkv_errmsg(), "at byte"));
		close(ends[1]);
		assert_int_equal(daxkv_backup(txn, full, &options), ENOSPC);
		limit = 1;
		unlink(scratch_path("cut"));
		int fd = open(scratch_path("cut"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		assert_int_equal(daxkv_backup(txn, fd, &options), DAXKV_BUSY);
		close(fd);
	}
	no_store_of(restore_of("full", "d1", "cut"));
	daxkv_txn_abort(txn);
	OK(daxkv_close(h.store));
	close(full);
	signal(SIGPIPE, was);
}

/* churn_at - the first time some bytes are out, others commit until the snapshot is given up. */
struct churn {
	struct daxkv_store *store;
	struct daxkv_txn *reader;
	bool done;
};

static int churn_at(uint64_t done, uint64_t total, void *arg)
{
	struct churn *c = arg;
	unsigned int flags;

	(void)done;
	(void)total;
	if (c->done)
		return 0;
	for (unsigned int i = 0; daxkv_db_flags(c->reader, DAXKV_MAIN, &flags) == 0; i++) {
		assert_true(i < 100000);
		put_some(c->store, i % 10 * 40, i % 10 * 40 + 40, 20, i);
	}
	c->done = true;
	return 0;
}

/* A snapshot that is given up in the middle: an error, and nothing that passes for a backup. */
static void a_snapshot_that_is_given_up(void **state)
{
	struct daxkv_store *store = store_new("bounded", 512), *reads;
	struct churn churn = {.store = store};
	struct daxkv_backup_info since;
	struct daxkv_backup_options options = {.progress = churn_at, .progress_arg = &churn};
	struct daxkv_txn *txn;

	(void)state;
	put_some(store, 0, 10000, 20, 0);
	reads =
	    store_open("bounded", (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE, .max_lag = 1});
	OK(daxkv_txn_begin(reads, NULL, DAXKV_TXN_READ_ONLY, &txn));
	OK(backup_fd(txn, "full", NULL));
	daxkv_txn_abort(txn);
	OK(daxkv_backup_look(scratch_path("full"), &since));
	put_some(store, 0, 10000, 20, 1);
	for (unsigned int delta = 0; delta < 2; delta++) {
		unlink(scratch_path("cut"));
		int fd = open(scratch_path("cut"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		OK(daxkv_txn_begin(reads, NULL, DAXKV_TXN_READ_ONLY, &txn));
		churn.reader = txn;
		churn.done = false;
		options.since = delta ? &since : NULL;
		if (!delta) { /* what is small is out before anything is told */
			put_some(store, 10000, 60000, 20, 1);
			OK(daxkv_txn_commit(txn));
			OK(daxkv_txn_begin(reads, NULL, DAXKV_TXN_READ_ONLY, &txn));
			churn.reader = txn;
		}
		assert_int_equal(daxkv_backup(txn, fd, &options), DAXKV_TOO_OLD);
		assert_true(churn.done);
		daxkv_txn_abort(txn);
		close(fd);
		unlink(scratch_path("again"));
		no_store_of(delta ? restore_of("full", "cut", NULL)
		                  : restore_of("cut", NULL, NULL));
	}
	OK(daxkv_close(reads));
	OK(daxkv_close(store));
}

/* late - a reader that takes its time, of a pipe that does not block. */
static int late(void)
{
	uint8_t bytes[3000];

	for (ssize_t n = 1; n > 0;) {
		usleep(200);
		n = read(STDIN_FILENO, bytes, sizeof bytes);
		if (n > 0 && write(STDOUT_FILENO, bytes, (size_t)n) != n)
			return 1;
	}
	return 0;
}

static void a_pipe_that_does_not_block(void **state)
{
	struct history h;
	struct daxkv_txn *txn = small_chain(&h);
	int ends[2], status = 1;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int fd = open(scratch_path("slow"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

		close(ends[1]);
		dup2(ends[0], STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		_exit(late());
	}
	close(ends[0]);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	OK(daxkv_backup(txn, ends[1], NULL));
	close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	same_store(txn, daxkv_user_version(h.store), "slow");
	daxkv_txn_abort(txn);
	OK(daxkv_close(h.store));
}

/* ---- size ------------------------------------------------------------------------------------ */

static void number_put(struct daxkv_txn *txn, uint64_t n, uint64_t value)
{
	uint8_t bytes[100];
	uint64_t key[2] = {rng_of(n), n};
	struct daxkv_val k = {sizeof key, key}, v = {sizeof bytes, bytes};

	rng_fill(value, bytes, sizeof bytes);
	OK(daxkv_put(txn, DAXKV_MAIN, &k, &v, 0));
}

/* One entry in a hundred changed: the delta is a tenth of the store at most, also where each leaf
 * was changed often before; and a store that did not change has a delta of some bytes. */
static void a_delta_is_small(void **state)
{
	const uint64_t n = 20000;
	struct stat full, delta;
	struct daxkv_store *store = store_new("sizes", 4096);
	struct daxkv_txn *txn = begin(store);

	(void)state;
	for (uint64_t i = 0; i < n; i++)
		number_put(txn, i, i);
	OK(daxkv_txn_commit(txn));
	for (unsigned int round = 0; round < 3; round++) {
		OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
		OK(backup_fd(txn, "full", NULL));
		OK(backup_fd(txn, "d1", "full"));
		daxkv_txn_abort(txn);
		assert_int_equal(stat(scratch_path("d1"), &delta), 0);
		assert_true(delta.st_size < 200);
		for (uint64_t i = 0; i < n / 100; i++) {
			txn = begin(store);
			number_put(txn, rng_of(round * n + i) % n, round * n + i);
			OK(daxkv_txn_commit(txn));
		}
		OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
		OK(backup_fd(txn, "d1", "full"));
		assert_int_equal(stat(scratch_path("d1"), &delta), 0);
		assert_int_equal(stat(scratch_path("full"), &full), 0);
		assert_true(delta.st_size < full.st_size / 10);
		daxkv_txn_abort(txn);
		for (uint64_t i = 0; i < n / 2; i++) { /* so that tails are used up */
			txn = begin(store);
			number_put(txn, rng_of(i + 7) % n, i);
			OK(daxkv_txn_commit(txn));
		}
	}
	OK(daxkv_close(store));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chains_of_any_histories),
	    cmocka_unit_test(leaves_that_went),
	    cmocka_unit_test(the_main_database_of_other_flags),
	    cmocka_unit_test(pieces_that_do_not_fit),
	    cmocka_unit_test(a_backup_that_was_changed_is_none),
	    cmocka_unit_test(a_backup_that_ends_early),
	    cmocka_unit_test(a_snapshot_that_is_given_up),
	    cmocka_unit_test(a_pipe_that_does_not_block),
	    cmocka_unit_test(a_delta_is_small),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
