/* SPDX-License-Identifier: BSD-3-Clause */
/* test_backup.c - backups in parts: a full one and deltas make the store of each of their moments
 * again, whatever came in between; and no piece that is damaged, missing or of another store is
 * taken. */
#include "../../lib/rng.h"
#include "small_store.h"

#include <signal.h>
#include <sys/stat.h>

#define ROUNDS 5u /* deltas behind a full backup */

/* any_order - of the program's own: from the last byte on. */
static int any_order(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
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
static int db_open(struct daxkv_txn *txn, const struct daxkv_val *name, unsigned int create,
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
static void same_database(struct daxkv_txn *a, struct daxkv_txn *b, const struct daxkv_val *name)
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
static void same_store(struct daxkv_txn *snapshot, uint64_t user_version, const char *name)
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
};

static uint64_t below(struct history *h, uint64_t n)
{
	return rng_below(&h->rng, n);
}

static struct daxkv_val name_of(struct history *h, char *text)
{
	return (struct daxkv_val){(size_t)sprintf(text, "db%u", (unsigned int)below(h, NAMES)),
	                          text};
}

/* entry - a key, and a value that suits the database. */
static void entry(struct history *h, unsigned int flags, uint8_t *bytes, struct daxkv_val *key,
                  struct daxkv_val *value)
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
static void entry_change(struct history *h, struct daxkv_txn *txn, daxkv_db db, unsigned int flags)
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
static void database_change(struct history *h, struct daxkv_txn *txn)
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
static void transaction(struct history *h)
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
}

static void history_begin(struct history *h, uint64_t seed, uint32_t page_size)
{
	rng_seed(&h->rng, seed);
	h->ascending = 0;
	unlink(scratch_path("again"));
	h->store = store_new("source", page_size);
}

/* backup - of the snapshot, into a pipe that a process reads: nothing can be sought there. */
static int backup_fd(struct daxkv_txn *txn, const char *name, const char *earlier)
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
static void pieces_of(const char *path[ROUNDS + 1])
{
	for (unsigned int i = 0; i <= ROUNDS; i++)
		path[i] = scratch_path(piece_names[i]);
}

static int restore(const char *name, size_t n)
{
	const char *path[ROUNDS + 1];

	pieces_of(path);
	unlink(scratch_path(name));
	pieces_of(path); /* scratch_path's results live for eight calls */
	return daxkv_restore(scratch_path(name), path, n,
	                     &(struct daxkv_backup_options){.pmem = DAXKV_PMEM_FORCE});
}

/* chain - a full backup, deltas behind it, and the store of each of their moments again. */
static void chain(uint64_t seed, uint32_t page_size)
{
	struct daxkv_txn *moment[ROUNDS + 1];
	uint64_t version[ROUNDS + 1];
	struct history h;

	history_begin(&h, seed, page_size);
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
	uint64_t end = seed + (more ? strtoull(more, NULL, 10) : 12);

	(void)state;
	for (; seed < end; seed++) {
		fprintf(stderr, "history %lu\n", (unsigned long)seed);
		chain(seed, seed % 4 == 0 ? 4096 : seed % 4 == 1 ? 32768 : 512);
	}
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* small_chain - a full backup and two deltas of a small store; its last moment is what comes back.
 */
static struct daxkv_txn *small_chain(struct history *h)
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

static void no_store_of(int rc)
{
	struct stat st;

	assert_true(rc == DAXKV_CORRUPT || rc == DAXKV_FOREIGN || rc == DAXKV_VERSION ||
	            rc == DAXKV_INCOMPATIBLE);
	assert_true(stat(scratch_path("again"), &st) != 0);
}

static uint8_t *piece_read(const char *name, size_t *n)
{
	struct stat st;
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);
	uint8_t *bytes;

	assert_int_equal(fstat(fd, &st), 0);
	*n = (size_t)st.st_size;
	bytes = malloc(*n + 1);
	assert_int_equal(pread(fd, bytes, *n, 0), (ssize_t)*n);
	close(fd);
	return bytes;
}

static void piece_write(const char *name, const uint8_t *bytes, size_t n)
{
	int fd = open(scratch_path(name), O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

/* Each byte of a delta that is another, and each length that is less or more. */
static void a_damaged_delta_is_refused(void **state)
{
	struct history h;
	size_t n;

	(void)state;
	daxkv_txn_abort(small_chain(&h));
	OK(daxkv_close(h.store));
	uint8_t *bytes = piece_read("d1", &n);

	bytes[n] = 0;
	for (size_t i = 0; i < n; i++) {
		const uint8_t bit = (uint8_t)(1 << i % 8);

		bytes[i] ^= bit;
		piece_write("d1", bytes, n);
		no_store_of(restore("again", 3));
		bytes[i] ^= bit;
	}
	for (size_t i = 0; i <= n + 1; i += i + 40 < n && i > 200 ? 17 : 1) {
		if (i == n)
			continue;
		piece_write("d1", bytes, i);
		no_store_of(restore("again", 3));
	}
	piece_write("d1", bytes, n);
	OK(restore("again", 3));
	free(bytes);
}

/* Each byte of a full backup, in one bit: refused, or of no meaning. And each page that is missing.
 */
static void a_damaged_full_backup_is_refused_or_as_good(void **state)
{
	struct history h;
	struct daxkv_txn *txn = small_chain(&h);
	uint64_t version = daxkv_user_version(h.store), refused = 0;
	size_t n;
	uint8_t *bytes = piece_read("full", &n);

	(void)state;
	for (size_t i = 0; i < n; i += i < 400 ? 1 : 23) {
		bytes[i] ^= (uint8_t)(1 << i % 8);
		piece_write("full", bytes, n);
		bytes[i] ^= (uint8_t)(1 << i % 8);
		int rc = restore("again", 3);

		if (rc)
			no_store_of(rc);
		else
			same_store(txn, version, "again");
		refused += rc != 0;
	}
	assert_true(refused > 100);
	for (size_t i = 0; i < n; i += 512) {
		piece_write("full", bytes, i);
		no_store_of(restore("again", 1));
		assert_true(daxkv_open(scratch_path("full"),
		                       &(struct daxkv_options){.flags = DAXKV_NO_LOCK},
		                       &(struct daxkv_store *){NULL}) != 0);
	}
	free(bytes);
	daxkv_txn_abort(txn);
	OK(daxkv_close(h.store));
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static int restore_of(const char *first, const char *second, const char *third)
{
	char path[3][PATH_MAX];
	const char *pieces[] = {path[0], path[1], path[2]};

	snprintf(path[0], sizeof path[0], "%s", scratch_path(first));
	snprintf(path[1], sizeof path[1], "%s", scratch_path(second ? second : ""));
	snprintf(path[2], sizeof path[2], "%s", scratch_path(third ? third : ""));
	return daxkv_restore(scratch_path("again"), pieces, 1u + !!second + !!third, NULL);
}

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
	struct daxkv_txn *txn;

	(void)state;
	daxkv_txn_abort(small_chain(&h));
	OK(daxkv_close(h.store));
	full = store_open("full", (struct daxkv_options){.flags = DAXKV_NO_LOCK});
	OK(daxkv_close(full)); /* opened alone it is as it was */
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
	    cmocka_unit_test(a_damaged_delta_is_refused),
	    cmocka_unit_test(a_damaged_full_backup_is_refused_or_as_good),
	    cmocka_unit_test(pieces_that_do_not_fit),
	    cmocka_unit_test(a_backup_that_was_changed_is_none),
	    cmocka_unit_test(a_backup_that_ends_early),
	    cmocka_unit_test(a_pipe_that_does_not_block),
	    cmocka_unit_test(a_delta_is_small),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
