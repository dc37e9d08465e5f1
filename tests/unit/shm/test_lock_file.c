/* SPDX-License-Identifier: BSD-3-Clause */
/* The lock file: of nobody, of another kind, somebody else's, lost, and by other names of the
 * store. */
#include "small_store.h"

static void lock_file_fill(const void *p, size_t n)
{
	int fd = open(scratch_path("e-lock"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static int open_code(const char *name)
{
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE};
	struct daxkv_store *store;
	int rc = daxkv_open(scratch_path(name), &o, &store);

	if (!rc)
		OK(daxkv_close(store));
	return rc;
}

/* Whatever a lock file has when nobody uses the store is of no account: ours, of any version, also
 * in the making, and LMDB's. */
static void lock_file_of_nobody(void **state)
{
	static const char *const begins[] = {LOCK_MAGIC, LOCK_MAKING, "\xde\xc0\xef\xbe\1\0\2"};
	uint8_t junk[10000];
	struct daxkv_store *store;
	(void)state;
	put_one(store = store_new("e", 4096), "k", "v");
	OK(daxkv_close(store));
	for (size_t n = 0; n < sizeof junk; n += 1111) {
		memset(junk, 0xff, sizeof junk);
		memcpy(junk, begins[n % 3], LOCK_MAGIC_SIZE);
		lock_file_fill(junk, n);
		struct daxkv_store *a = store_again("e"), *b = store_again("e");

		put_one(b, "k", "w");
		store_done(a);
		store_done(b);
	}
	OK(unlink(scratch_path("e-lock")));
	OK(open_code("e"));
	assert_int_equal(access(scratch_path("e-lock"), F_OK), 0);
}

/* entries_with - how many reader entries a store has that is opened for so many. */
static uint32_t entries_with(unsigned int asked)
{
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE, .max_readers = asked};
	struct daxkv_store *store;
	struct daxkv_info info;

	OK(daxkv_open(scratch_path("e"), &o, &store));
	OK(daxkv_info(store, &info));
	OK(daxkv_close(store));
	return info.max_readers;
}

/* A number of entries that the file is too short for, or that no store takes, is not believed. */
static void lock_file_keeps_its_entries(void **state)
{
	const off_t at = offsetof(struct share, max_readers);
	const uint32_t wild[] = {6000, READERS_MOST + 1, UINT32_MAX};
	(void)state;

	store_done(store_new("e", 4096));
	OK(unlink(scratch_path("e-lock")));
	assert_int_equal(entries_with(5), 5);
	assert_int_equal(entries_with(5000), 5000);
	assert_int_equal(entries_with(5), 5000);
	assert_int_equal(entries_with(0), 5000);
	for (unsigned int i = 0; i < 3; i++) {
		const int fd = open(scratch_path("e-lock"), O_RDWR | O_CLOEXEC);

		assert_int_equal(pwrite(fd, &wild[i], sizeof wild[i], at), sizeof wild[i]);
		OK(ftruncate(fd, 5000 * 64));
		close(fd);
		assert_int_equal(entries_with(7), 7);
	}
	OK(unlink(scratch_path("e-lock")));
}

/* While somebody uses it, another layout, another store's, or one cut short is refused in words. */
static void lock_file_of_another_kind_in_use(void **state)
{
	(void)state;
	struct daxkv_store *a = store_new("e", 4096);
	uint32_t version = a->share->version, max_readers = a->share->max_readers;

	a->share->version = version + 1;
	assert_int_equal(open_code("e"), DAXKV_VERSION);
	assert_non_null(strstr(daxkv_errmsg(), "another version"));
	a->share->version = version;
	a->share->file_id++;
	assert_int_equal(open_code("e"), DAXKV_BUSY);
	assert_non_null(strstr(daxkv_errmsg(), "another store"));
	a->share->file_id--;
	a->share->max_readers = UINT32_MAX;
	assert_int_equal(open_code("e"), DAXKV_VERSION);
	a->share->max_readers = max_readers;
	a->share->magic[0]++; /* what begins otherwise is not known as a lock file at all */
	assert_int_equal(open_code("e"), DAXKV_FOREIGN);
	a->share->magic[0]--;
	OK(open_code("e"));
	store_done(a);
}

/* What is no lock file stays as it is, however it is opened, and whether the store is there or
 * not. */
static void lock_file_of_somebody_else(void **state)
{
	static const char *const texts[] = {"x", "daxkvl", "daxkvlkx and more",
	                                    "PK\3\4 an archive of sorts"};
	const unsigned int flags[] = {0, DAXKV_READ_ONLY, DAXKV_CREATE,
	                              DAXKV_CREATE | DAXKV_EXCLUSIVE, DAXKV_NO_FILE_LOCK};
	uint8_t zeros[8192] = {0}, now[sizeof zeros + 1];
	struct daxkv_store *store;
	(void)state;

	for (unsigned int there = 0; there < 2; there++) {
		unlink(scratch_path("e-lock"));
		unlink(scratch_path("e"));
		if (there)
			store_done(store_new("e", 4096));
		for (unsigned int i = 0; i <= 4; i++) {
			const void *text = i < 4 ? (const void *)texts[i] : zeros;
			const size_t size = i < 4 ? strlen(texts[i]) : sizeof zeros;

			lock_file_fill(text, size);
			for (unsigned int f = 0; f < 5; f++) {
				struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE,
				                          .flags = flags[f]};
				int rc = daxkv_open(scratch_path("e"), &o, &store), fd;

				assert_int_equal(
				    rc, there || flags[f] & DAXKV_CREATE ? DAXKV_FOREIGN : rc);
				assert_true(rc == DAXKV_FOREIGN || rc == ENOENT);
				assert_true(rc == ENOENT ||
				            strstr(daxkv_errmsg(), "e-lock is in the way"));
				fd = open(scratch_path("e-lock"), O_RDONLY | O_CLOEXEC);
				assert_int_equal(read(fd, now, sizeof now), (ssize_t)size);
				assert_memory_equal(now, text, size);
				close(fd);
			}
			assert_int_equal(access(scratch_path("e"), F_OK), there ? 0 : -1);
		}
	}
	OK(unlink(scratch_path("e-lock")));
	OK(open_code("e"));
}

/* open_with - open it with flags, and close it again. */
static int open_with(const char *name, unsigned int flags)
{
	struct daxkv_store *store;
	int rc = daxkv_open(scratch_path(name), &(struct daxkv_options){.flags = flags}, &store);

	if (!rc)
		store_done(store);
	return rc;
}

/* A store in use cannot be used by another name, and its lock file's loss lets nobody in who would
 * not see the others. That holds for users that leave the store's file to the program's locks. */
static void other_names_and_a_lost_lock_file(void **state)
{
	static const unsigned int flags[] = {0, DAXKV_NO_FILE_LOCK, DAXKV_READ_ONLY,
	                                     DAXKV_READ_ONLY | DAXKV_NO_FILE_LOCK};

	(void)state;
	store_done(store_new("e", 4096));
	for (size_t i = 0; i < 4; i++) {
		struct daxkv_store *a;

		OK(daxkv_open(scratch_path("e"), &(struct daxkv_options){.flags = flags[i]}, &a));
		unlink(scratch_path("alias"));
		OK(link(scratch_path("e"), scratch_path("alias")));
		for (size_t j = 0; j < 4; j++)
			assert_int_equal(open_with("alias", flags[j]), DAXKV_BUSY);
		assert_non_null(strstr(daxkv_errmsg(), "another name"));
		OK(unlink(scratch_path("e-lock")));
		for (size_t j = 0; j < 4; j++)
			assert_int_equal(open_with("e", flags[j]), DAXKV_BUSY);
		assert_int_equal(access(scratch_path("e-lock"), F_OK), -1);
		if (!(flags[i] & DAXKV_READ_ONLY))
			put_one(a, "k", "v");
		store_done(a);
		for (size_t j = 0; j < 4; j++) {
			OK(open_with("e", flags[j]));
			OK(open_with("alias", flags[j]));
		}
	}
}

static void descriptors_do_not_survive_exec(void **state)
{
	(void)state;
	struct daxkv_store *a = store_new("e", 4096);

	assert_int_equal(fcntl(a->map.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(a->lock.fd, F_GETFD), FD_CLOEXEC);
	store_done(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(lock_file_of_nobody),
	    TEST(lock_file_keeps_its_entries),
	    TEST(lock_file_of_another_kind_in_use),
	    TEST(lock_file_of_somebody_else),
	    TEST(other_names_and_a_lost_lock_file),
	    TEST(descriptors_do_not_survive_exec),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
