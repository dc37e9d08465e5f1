/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing a store: options, files that are none, who else has it open, read-only use,
 * and what it tells of itself. */
#include "small_store.h"

#define FORCE .pmem = DAXKV_PMEM_FORCE

static int try_open(const char *name, struct daxkv_options o)
{
	struct daxkv_store *store = NULL;
	int rc = daxkv_open(scratch_path(name), &o, &store);
	if (!rc)
		OK(daxkv_close(store));
	else
		assert_null(store);
	return rc;
}

/* file_bytes - the whole file, for comparing; freed by the caller. */
static uint8_t *file_bytes(const char *name, size_t *size)
{
	struct stat st;
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	*size = (size_t)st.st_size;
	uint8_t *p = malloc(*size);
	assert_non_null(p);
	assert_int_equal(read(fd, p, *size), (ssize_t)*size);
	close(fd);
	return p;
}

static void options_that_make_no_sense(void **state)
{
	struct daxkv_store *store = NULL;
	const struct daxkv_options bad[] = {
	    {.flags = 0x80000000u},
	    {.flags = DAXKV_READ_ONLY | DAXKV_CREATE},
	    {.flags = DAXKV_CREATE, .page_size = 5000},
	    {.flags = DAXKV_CREATE, .page_size = 256},
	    {.flags = DAXKV_CREATE, .page_size = 65536},
	    {.flags = DAXKV_CREATE, .pmem = (enum daxkv_pmem)77},
	    {.flags = DAXKV_CREATE, .initial_size = 8 << 20, .max_size = 4 << 20},
	    {.flags = DAXKV_CREATE, .max_size = 10000}};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(try_open("none", bad[i]), EINVAL);
		assert_int_equal(access(scratch_path("none"), F_OK), -1);
	}
	assert_int_equal(daxkv_open(NULL, NULL, &store), EINVAL);
	assert_int_equal(daxkv_open("", NULL, &store), EINVAL);
	assert_int_equal(daxkv_open(scratch_path("none"), NULL, NULL), EINVAL);
	OK(daxkv_close(NULL));
}

static void create_or_not(void **state)
{
	(void)state;
	assert_int_equal(try_open("e", (struct daxkv_options){FORCE}), ENOENT);
	OK(try_open("e", (struct daxkv_options){FORCE, .flags = DAXKV_CREATE | DAXKV_EXCLUSIVE}));
	assert_int_equal(
	    try_open("e", (struct daxkv_options){FORCE, .flags = DAXKV_CREATE | DAXKV_EXCLUSIVE}),
	    EEXIST);
	OK(try_open("e", (struct daxkv_options){FORCE, .flags = DAXKV_CREATE}));
	OK(try_open("e", (struct daxkv_options){FORCE}));
	assert_int_equal(truncate(scratch_path("e"), 0), 0);
	assert_int_equal(try_open("e", (struct daxkv_options){FORCE}), DAXKV_FOREIGN);
	OK(try_open("e", (struct daxkv_options){
	                     FORCE, .flags = DAXKV_CREATE})); /* an empty file becomes a store */
}

static void page_size_must_match(void **state)
{
	struct daxkv_store *store = store_new("e", 8192);
	(void)state;
	assert_int_equal(info(store).page_size, 8192);
	OK(daxkv_close(store));
	assert_int_equal(try_open("e", (struct daxkv_options){FORCE, .page_size = 4096}),
	                 DAXKV_INCOMPATIBLE);
	OK(try_open("e", (struct daxkv_options){FORCE, .page_size = 8192}));
	OK(try_open("e", (struct daxkv_options){FORCE}));
}

static void foreign_and_short_files(void **state)
{
	int fd = open(scratch_path("text"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	size_t size;
	(void)state;
	assert_int_equal(write(fd, "no store at all\n", 16), 16);
	close(fd);
	assert_int_equal(try_open("text", (struct daxkv_options){FORCE, .flags = DAXKV_CREATE}),
	                 DAXKV_FOREIGN);
	uint8_t *p = file_bytes("text", &size);
	assert_int_equal(size, 16);
	free(p);
	struct daxkv_store *store = store_new("e", 4096);
	put_some(store, 0, 3, 500000, 0);
	OK(daxkv_close(store));
	assert_int_equal(truncate(scratch_path("e"), 1 << 20), 0);
	assert_int_equal(try_open("e", (struct daxkv_options){FORCE}), DAXKV_CORRUPT);
	assert_non_null(strstr(daxkv_errmsg(), "truncated"));
	assert_int_equal(truncate(scratch_path("e"), 5000), 0);
	assert_int_equal(try_open("e", (struct daxkv_options){FORCE}), DAXKV_CORRUPT);
}

/* Two handles on one store stand for two processes: each sees the other's commits, and their
 * writers take turns. */
static void handles_share_a_store(void **state)
{
	struct daxkv_store *a = store_new("e", 512), *b = store_again("e"),
	                   *reader =
	                       store_open("e", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
	struct daxkv_txn *txn, *other = NULL, *old;
	(void)state;
	put_some(a, 0, 200, 20, 0);
	old = begin_reading(reader);
	assert_true(has_n(old, DAXKV_MAIN, 199, 20, 0));
	txn = begin(a);
	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	assert_int_equal(daxkv_txn_begin(b, NULL, DAXKV_TXN_TRY, &other), DAXKV_BUSY);
	OK(daxkv_txn_commit(txn));
	for (uint64_t v = 2; v < 60;
	     v++) { /* turn by turn, pages freed by one used again by the other */
		put_some(v % 2 ? a : b, v % 3 * 50, v % 3 * 50 + 100, 20, v);
		if (v % 10 == 9)
			store_check(v % 20 == 9 ? a : b);
	}
	for (uint64_t n = 0; n < 200; n++)
		assert_true(has_n(old, DAXKV_MAIN, n, 20, 0));
	daxkv_txn_abort(old);
	old = begin_reading(reader);
	for (uint64_t n = 0; n < 200; n++)
		assert_true(has_n(old, DAXKV_MAIN, n, 20, n < 50 ? 57 : n < 100 ? 58 : 59));
	OK(daxkv_close(a));
	put_one(b, "one", "is left");
	store_done(b);
	assert_true(has_n(old, DAXKV_MAIN, 0, 20, 57));
	daxkv_txn_abort(old);
	OK(daxkv_close(reader));
	/* The last one to leave could not write, and the last that could has left nothing to
	 * recover. So a reader who comes alone keeps no writer out. */
	reader = store_open("e", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
	assert_false(info(reader).private_recovery);
	a = store_again("e");
	assert_int_equal(info(a).recovered, 0);
	store_done(a);
	OK(daxkv_close(reader));
	a = store_again("e");
	assert_int_equal(info(a).recovered, 0);
	store_done(a);
}

static void without_a_lock_file(void **state)
{
	(void)state;
	OK(try_open("unlocked",
	            (struct daxkv_options){FORCE, .flags = DAXKV_CREATE | DAXKV_NO_LOCK}));
	assert_int_equal(access(scratch_path("unlocked-lock"), F_OK), -1);
	struct daxkv_store *store =
	    store_open("unlocked", (struct daxkv_options){FORCE, .flags = DAXKV_NO_LOCK});
	put_one(store, "a", "1");
	store_done(store);
}

static void read_only_refuses_changes(void **state)
{
	struct daxkv_store *store = store_new("e", 4096);
	struct daxkv_txn *txn = NULL;
	size_t size, after;
	(void)state;
	put_some(store, 0, 50, 30, 0);
	OK(daxkv_close(store));
	uint8_t *before = file_bytes("e", &size), *now;
	store = store_open("e", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
	assert_true(info(store).read_only && !info(store).private_recovery &&
	            info(store).used_bytes > 0);
	assert_int_equal(daxkv_txn_begin(store, NULL, 0, &txn), EACCES);
	assert_int_equal(daxkv_sync(store), EACCES);
	store_check(store);
	OK(daxkv_close(store));
	now = file_bytes("e", &after);
	assert_int_equal(size, after);
	assert_memory_equal(before, now, size);
	free(before);
	free(now);
}

/* A file that nobody closed, opened read-only: its newest state is shown, from private memory, and
 * the file is not touched. */
static void read_only_of_an_unclean_file(void **state)
{
	struct daxkv_store *store = store_new("e", 512);
	size_t size, after;
	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		put_some(store, i, i + 1, 30, 0);
	store_image(store, "unclean");
	/* Take back from the image what the words of the newest two commits did: a power cut may
	 * have. */
	int fd = open(scratch_path("unclean"), O_RDWR | O_CLOEXEC);
	const uint64_t zero = 0;
	assert_true(fd >= 0);
	for (size_t i = 0; i < store->words.n; i++)
		assert_int_equal(pwrite(fd, &zero, 8, (off_t)store->words.w[i].off), 8);
	close(fd);
	OK(daxkv_close(store));
	uint8_t *before = file_bytes("unclean", &size), *now;
	store = store_open("unclean", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
	assert_true(info(store).read_only && info(store).private_recovery &&
	            info(store).recovered > 0);
	assert_int_equal(info(store).last_txn, 100);
	struct daxkv_txn *txn = begin_reading(store);
	for (uint64_t i = 0; i < 100; i++)
		assert_true(has_n(txn, DAXKV_MAIN, i, 30, 0));
	daxkv_txn_abort(txn);
	store_check(store);
	OK(daxkv_close(store));
	now = file_bytes("unclean", &after);
	assert_int_equal(size, after);
	assert_memory_equal(before, now, size);
	free(before);
	free(now);
	store = store_again("unclean"); /* and who may write recovers it for good */
	assert_false(info(store).private_recovery);
	assert_true(info(store).recovered > 0);
	store_done(store);
}

static void close_and_open_again(void **state)
{
	struct daxkv_store *store = store_new("e", 512);
	uint64_t id = info(store).file_id;
	(void)state;
	for (uint64_t i = 0; i < 10; i++) {
		put_some(store, i * 50, i * 50 + 50, 30, i);
		store_done(store);
		store = store_again("e");
		assert_int_equal(info(store).recovered, 0);
		assert_int_equal(info(store).file_id, id);
		assert_true(info(store).last_txn >= i + 1);
		struct daxkv_txn *txn = begin_reading(store);
		for (uint64_t n = 0; n < i * 50 + 50; n++)
			assert_true(has_n(txn, DAXKV_MAIN, n, 30, n / 50));
		daxkv_txn_abort(txn);
	}
	store_done(store);
}

static void close_with_running_transactions(void **state)
{
	struct daxkv_store *store = store_new("e", 4096);
	struct daxkv_txn *r = begin_reading(store), *w = begin(store);
	(void)state;
	OK(put(w, DAXKV_MAIN, "a", "1", 0));
	assert_int_equal(daxkv_close(store), DAXKV_BUSY);
	daxkv_txn_abort(r);
	assert_int_equal(daxkv_close(store), DAXKV_BUSY);
	OK(daxkv_txn_commit(w)); /* it did nothing */
	r = begin_reading(store);
	assert_int_equal(daxkv_close(store), DAXKV_BUSY);
	assert_true(has(r, DAXKV_MAIN, "a", "1"));
	daxkv_txn_reset(r); /* one that holds no snapshot is in nobody's way */
	OK(daxkv_close(store));
}

static void info_and_counters(void **state)
{
	struct daxkv_store *store = store_new("e", 4096);
	struct daxkv_info i = info(store);
	struct stat st;
	(void)state;
	assert_int_equal(i.medium, DAXKV_MEDIUM_EMULATED);
	assert_non_null(strstr(i.durability, "power"));
	assert_true(i.format_version == FMT_VERSION && i.last_txn == 0 && i.file_size == 64 << 10 &&
	            i.max_size >= i.file_size);
	assert_true(i.readers == 0 && i.max_readers == 4096 && !i.read_only);
	assert_int_equal(fstat(daxkv_fd(store), &st), 0);
	assert_int_equal(st.st_size, 64 << 10);
	assert_true(strstr(daxkv_lock_path(store), "-lock") &&
	            access(daxkv_lock_path(store), F_OK) == 0);
	uint64_t fences = counters(store).fences; /* of opening */
	put_some(store, 0, 1000, 100, 0);
	struct daxkv_counters c = counters(store);
	assert_true(c.commits == 1 && c.fences == fences + 2 && c.splits > 20 &&
	            c.lines_flushed + c.lines_streamed > 1000 && c.grows == 2);
	del_some(store, 0, 990);
	assert_true(counters(store).merges > 0 || counters(store).compactions > c.compactions);
	i = info(store);
	assert_int_equal(i.last_txn, 2);
	struct daxkv_txn *txn = begin(store);
	OK(put_n(txn, DAXKV_MAIN, 1, 100000, 0));
	assert_true(info(store).used_bytes >=
	            i.used_bytes + 100000); /* of the own transaction, too */
	uint64_t faults = 0;
	OK(daxkv_check(store, NULL, NULL, &faults)); /* the newest commit, beside a transaction */
	daxkv_txn_abort(txn);
	assert_string_equal(daxkv_version(), "0.1.0");
	store_done(store);
}

static void check_finds_damage(void **state)
{
	struct daxkv_store *store = store_new("e", 4096);
	uint64_t faults = 0;
	(void)state;
	put_some(store, 0, 200, 30, 0);
	const struct fmt_super *super = (const void *)store->map.base;
	const struct fmt_desc *desc =
	    (const void *)(store->map.base + load_word(&super->main_desc));
	uint64_t root = load_word(&desc->root);
	OK(daxkv_sync(store)); /* else recovery would take the damage for a torn transaction */
	store_image(store, "damaged");
	store_done(store);
	image_flip("damaged", root + 40);
	store = store_again("damaged");
	assert_int_equal(daxkv_check(store, NULL, NULL, &faults), DAXKV_CORRUPT);
	assert_true(faults > 0);
	OK(daxkv_close(store));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(options_that_make_no_sense), TEST(create_or_not),
	    TEST(page_size_must_match),       TEST(foreign_and_short_files),
	    TEST(handles_share_a_store),      TEST(without_a_lock_file),
	    TEST(read_only_refuses_changes),  TEST(read_only_of_an_unclean_file),
	    TEST(close_and_open_again),       TEST(close_with_running_transactions),
	    TEST(info_and_counters),          TEST(check_finds_damage),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
