/* SPDX-License-Identifier: BSD-3-Clause */
/* The file and its mapping: what may be opened, creation that is whole or not at all, attaching,
 * growth and shrinking. */
#include "map_helpers.h"

#include <signal.h>
#include <sys/vfs.h>

static int fill_fails(int fd, void *arg)
{
	if (pwrite(fd, "half", 4, 0) != 4)
		return errno;
	return *(int *)arg;
}

/* ---- opening and creating -------------------------------------------------------------------- */

static void assert_open_fails(const char *path, int error)
{
	for (int rdonly = 0; rdonly <= 1; rdonly++) {
		struct map map = {.fd = -1};
		assert_int_equal(map_open_file(&map, path, rdonly), error);
		assert_int_equal(map.fd, -1);
		assert_non_null(strstr(daxkv_errmsg(), path));
	}
}

static void open_what_is_no_file(void **state)
{
	(void)state;
	assert_open_fails(scratch_path("missing"), ENOENT);
	assert_int_equal(access(scratch_path("missing"), F_OK), -1);
	assert_open_fails(scratch_dir, EISDIR);
	assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
	assert_open_fails(scratch_path("fifo"), DAXKV_FOREIGN);
	assert_open_fails("/dev/null", DAXKV_FOREIGN);
}

static void open_a_file(void **state)
{
	const char *path = scratch_path("plain");
	struct map map;
	(void)state;
	close(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	for (int rdonly = 0; rdonly <= 1; rdonly++) {
		uint64_t size = 77;
		assert_int_equal(map_open_file(&map, path, rdonly), 0);
		assert_true(map.fd > 2 && map.rdonly == rdonly && map.path == path && !map.base);
		assert_int_equal(fcntl(map.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		assert_int_equal(fcntl(map.fd, F_GETFL) & O_ACCMODE, rdonly ? O_RDONLY : O_RDWR);
		assert_int_equal(map_file_size(&map, &size), 0);
		assert_int_equal(size, 0);
		map_close(&map);
		assert_int_equal(map.fd, -1);
	}
}

static void create_makes_a_whole_file(void **state)
{
	const char *path = scratch_path("new"), *temp = scratch_path("new.daxkv-new");
	struct map map;
	struct stat st;
	char mark[4];
	(void)state;
	int fd = open(temp, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* somebody's */
	assert_int_equal(pwrite(fd, "leftover", 8, 5000), 8);
	mode_t mask = umask(022);
	assert_int_equal(map_create_file(&map, path, 0664, &(uint64_t){STEP}, 0, fill_marks, NULL),
	                 0);
	umask(mask);
	assert_true(map.fd > 2 && !map.rdonly && map.path == path);
	assert_int_equal(fcntl(map.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, STEP);
	assert_true((uint64_t)st.st_blocks * 512 >= STEP);
	assert_int_equal(pread(map.fd, mark, 4, 100000), 4);
	assert_memory_equal(mark, "body", 4);
	assert_int_equal(pread(map.fd, mark, 4, 5000), 4);
	assert_memory_equal(mark, "\0\0\0", 4);
	assert_int_equal(length_of(temp), 5008);
	assert_int_equal(pread(fd, mark, 4, 5000), 4);
	assert_memory_equal(mark, "left", 4);
	close(fd);
	map_close(&map);
}

static void create_over_something(void **state)
{
	const char *path = scratch_path("there"), *link_path = scratch_path("dangling");
	struct map map = {.fd = -1};
	(void)state;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "mine", 4), 4);
	assert_int_equal(map_create_file(&map, path, 0600, &(uint64_t){STEP}, 0, fill_marks, NULL),
	                 EEXIST);
	assert_int_equal(length_of(path), 4);
	close(fd);
	assert_int_equal(symlink("no such thing", link_path), 0);
	assert_int_equal(
	    map_create_file(&map, link_path, 0600, &(uint64_t){STEP}, 0, fill_marks, NULL), EEXIST);
	assert_int_equal(access(scratch_path("dangling.daxkv-new"), F_OK), -1);
	assert_int_equal(
	    map_create_file(&map, scratch_dir, 0600, &(uint64_t){STEP}, 0, fill_marks, NULL),
	    EISDIR);
	assert_int_equal(map_create_file(&map, scratch_path("no/dir"), 0600, &(uint64_t){STEP}, 0,
	                                 fill_marks, NULL),
	                 ENOENT);
	assert_int_equal(map.fd, -1);
}

static void create_in_an_empty_file(void **state)
{
	const char *path = scratch_path("empty");
	struct map map = {.fd = -1};
	struct stat before, after;
	char mark[4];
	int error = EDOM;
	(void)state;
	close(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(
	    map_create_file(&map, path, 0644, &(uint64_t){STEP}, 0, fill_fails, &error), EDOM);
	assert_int_equal(length_of(path), 0);
	assert_int_equal(map.fd, -1);
	assert_int_equal(map_create_file(&map, path, 0644, &(uint64_t){STEP}, 0, fill_marks, NULL),
	                 0);
	assert_int_equal(fstat(map.fd, &after), 0);
	assert_true(before.st_ino == after.st_ino && before.st_mode == after.st_mode);
	assert_int_equal(after.st_size, STEP);
	assert_true((uint64_t)after.st_blocks * 512 >= STEP);
	assert_int_equal(pread(map.fd, mark, 4, 0), 4);
	assert_memory_equal(mark, "head", 4);
	assert_int_equal(pread(map.fd, mark, 4, 100000), 4);
	assert_memory_equal(mark, "body", 4);
	map_close(&map);
}

static void create_with_failing_fill(void **state)
{
	const char *path = scratch_path("unfilled");
	const int errors[] = {EIO, DAXKV_CORRUPT};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct map map = {.fd = -1};
		int error = errors[i];
		assert_int_equal(
		    map_create_file(&map, path, 0644, &(uint64_t){STEP}, 0, fill_fails, &error),
		    error);
		assert_int_equal(map.fd, -1);
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(access(scratch_path("unfilled.daxkv-new"), F_OK), -1);
	}
}

/* ---- attaching ------------------------------------------------------------------------------- */

static void attach_maps_the_file(void **state)
{
	const char *path = scratch_path("attach");
	struct map map;
	struct statfs fs;
	(void)state;
	assert_int_equal(made(&map, path, STEP, 10 * STEP + 5), 0);
	assert_int_equal((uintptr_t)map.base % MAP_STEP, 0);
	assert_true(map.size == STEP && map.reserve == 10 * STEP + 5);
	assert_memory_equal(map.base + 100000, "body", 4);
	assert_true(empty_space(map.base + STEP));
	assert_int_equal(fstatfs(map.fd, &fs), 0);
	assert_int_equal(map.volatile_fs,
	                 fs.f_type == 0x01021994 || (uint32_t)fs.f_type == 0x858458f6u);
	assert_true(map.pm.ops == (map.medium == DAXKV_MEDIUM_DAX ? &pm_dax_ops : &pm_file_ops));
	pm_write(&map.pm, map.base + 8192, "stored", 6);
	pm_flush(&map.pm, map.base + 8192, 6);
	assert_int_equal(pm_fence(&map.pm), 0);
	char mark[6];
	assert_int_equal(pread(map.fd, mark, 6, 8192), 6);
	assert_memory_equal(mark, "stored", 6);
	const uint8_t *base = map.base;
	map_close(&map);
	assert_false(readable(base));
	assert_null(map.base);
	map_close(&map);
}

static void attach_by_medium(void **state)
{
	const char *path = scratch_path("media");
	struct map map;
	(void)state;
	assert_int_equal(made(&map, path, STEP, 0), 0);
	const bool dax = map.medium == DAXKV_MEDIUM_DAX;
	const char *on_file =
	    map.volatile_fs
	        ? "survives a process crash, not a power cut (the filesystem is in memory)"
	        : "survives a power cut (fdatasync)";
	assert_string_equal(map_durability(&map),
	                    dax ? "survives a power cut (MAP_SYNC, cache-line flushes)" : on_file);
	map_close(&map);
	assert_int_equal(map_open_file(&map, path, false), 0);
	if (!dax) {
		assert_int_equal(map_attach(&map, STEP, 0, DAXKV_PMEM_DAX, false), DAXKV_NOT_DAX);
		assert_non_null(strstr(daxkv_errmsg(), path));
		assert_null(map.base);
	}
	assert_int_equal(map_attach(&map, STEP, 0, DAXKV_PMEM_FORCE, false), 0);
	assert_true(map.medium == DAXKV_MEDIUM_EMULATED && map.pm.ops == &pm_dax_ops);
	assert_string_equal(map_durability(&map),
	                    "emulated: survives a process crash, not a power cut");
	map_close(&map);
	assert_int_equal(map_open_file(&map, path, false), 0);
	assert_int_equal(map_attach(&map, STEP, 0, DAXKV_PMEM_FILE, false), 0);
	assert_true(map.medium == DAXKV_MEDIUM_FILE && map.pm.ops == &pm_file_ops);
	assert_string_equal(map_durability(&map), on_file);
	map_close(&map);
}

static void attach_of_odd_sizes(void **state)
{
	const char *path = scratch_path("odd");
	struct map map;
	(void)state;
	assert_int_equal(made(&map, path, 100512, 200000), 0);
	assert_true(map.size == 100512 && map.reserve == 200000);
	assert_int_equal(map_grow(&map, 101024), 0);
	assert_int_equal(map_grow(&map, 150000), 0);
	assert_true(readable(map.base + 149999));
	assert_int_equal(length_of(path), 150000);
	assert_int_equal(map_grow(&map, 200000), 0);
	assert_int_equal(map_grow(&map, 200001), DAXKV_FULL);
	assert_int_equal(map_shrink(&map, 100512), 0);
	assert_int_equal(length_of(path), 100512);
	assert_memory_equal(map.base + 100000, "body", 4);
	map_close(&map);
	assert_int_equal(map_open_file(&map, path, false), 0);
	assert_int_equal(map_attach(&map, 0, 0, DAXKV_PMEM_AUTO, false), EINVAL);
	assert_int_equal(map_attach(&map, 100513, 0, DAXKV_PMEM_AUTO, false), DAXKV_CORRUPT);
	assert_int_equal(length_of(path), 100512);
	map_close(&map);
}

static int child_stores_into_readonly(void)
{
	struct map map;
	CHECK(map_open_file(&map, scratch_path("ro"), true) == 0);
	CHECK(map_attach(&map, STEP, 0, DAXKV_PMEM_AUTO, false) == 0);
	*(volatile uint8_t *)(uintptr_t)map.base = 1;
	return 0;
}

static void attach_read_only(void **state)
{
	const char *path = scratch_path("ro");
	struct map map;
	int status = 0;
	(void)state;
	assert_int_equal(made(&map, path, STEP, 0), 0);
	map_close(&map);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(child_stores_into_readonly());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	assert_int_equal(map_open_file(&map, path, true), 0);
	assert_int_equal(map_attach(&map, STEP, 0, DAXKV_PMEM_AUTO, false), 0);
	assert_int_equal(map_grow(&map, 2 * STEP), EACCES);
	assert_int_equal(map_shrink(&map, STEP / 2), EACCES);
	assert_true(as_before(&map, path, STEP));
	assert_int_equal(truncate(path, 2 * (off_t)STEP),
	                 0); /* somebody who may write made it longer */
	assert_int_equal(map_grow(&map, 2 * STEP), 0);
	assert_true(readable(map.base + 2 * STEP - 1));
	map_close(&map);
}

static void attach_private_copy(void **state)
{
	const char *path = scratch_path("private");
	struct map map;
	char mark[4];
	(void)state;
	assert_int_equal(made(&map, path, STEP, 0), 0);
	map_close(&map);
	assert_int_equal(map_open_file(&map, path, true), 0);
	assert_int_equal(map_attach(&map, STEP, 0, DAXKV_PMEM_AUTO, true), 0);
	assert_true(map.private_copy && map.pm.ops == &pm_private_ops);
	pm_write(&map.pm, map.base, "mine", 4);
	assert_memory_equal(map.base, "mine", 4);
	assert_int_equal(pread(map.fd, mark, 4, 0), 4);
	assert_memory_equal(mark, "head", 4);
	assert_int_equal(map_grow(&map, 2 * STEP), EACCES);
	assert_int_equal(length_of(path), STEP);
	assert_non_null(strstr(map_durability(&map), "private"));
	map_close(&map);
}

static void attach_fills_holes(void **state)
{
	const char *path = scratch_path("sparse");
	struct map map;
	(void)state;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 2 * (off_t)STEP), 0);
	assert_int_equal(pwrite(fd, "kept", 4, 5000), 4);
	close(fd);
	assert_true(blocks_of(path) < STEP);
	assert_int_equal(map_open_file(&map, path, true), 0);
	assert_int_equal(map_attach(&map, STEP, 0, DAXKV_PMEM_AUTO, false), 0);
	map_close(&map);
	assert_true(blocks_of(path) < STEP); /* who only reads changes nothing */
	assert_int_equal(map_open_file(&map, path, false), 0);
	assert_int_equal(map_attach(&map, STEP, 0, DAXKV_PMEM_AUTO, false), 0);
	assert_true(blocks_of(path) >= STEP);
	assert_int_equal(length_of(path), 2 * STEP);
	assert_memory_equal(map.base + 5000, "kept", 4);
	map_close(&map);
}

static const uint8_t *parents_base;

static int child_reads_parents_mapping(void)
{
	CHECK(!readable(parents_base));
	CHECK(!readable(parents_base + STEP));
	return 0;
}

static void fork_does_not_inherit_the_mapping(void **state)
{
	struct map map;
	(void)state;
	assert_int_equal(made(&map, scratch_path("fork"), STEP, 0), 0);
	assert_int_equal(map_grow(&map, 2 * STEP), 0);
	parents_base = map.base;
	assert_true(readable(parents_base) && readable(parents_base + STEP));
	child_run(child_reads_parents_mapping);
	map_close(&map);
}

/* ---- growing and shrinking ------------------------------------------------------------------- */

/* What lies in the mapping stays where it is [I14]. */
static void grow_and_shrink(void **state)
{
	const char *path = scratch_path("grow");
	struct map map;
	(void)state;
	assert_int_equal(made(&map, path, STEP, 8 * STEP), 0);
	const uint8_t *base = map.base;
	assert_int_equal(map_grow(&map, STEP / 2), 0);
	assert_int_equal(map.size, STEP);
	assert_int_equal(map_grow(&map, 4 * STEP), 0);
	assert_true(map.base == base && map.size == 4 * STEP && length_of(path) == 4 * STEP &&
	            blocks_of(path) >= 4 * STEP);
	assert_true(empty_space(base + 4 * STEP));
	pm_write(&map.pm, base + 4 * STEP - 4, "last", 4);
	assert_int_equal(map_grow(&map, 8 * STEP + 1), DAXKV_FULL);
	assert_int_equal(map_grow(&map, UINT64_MAX), DAXKV_FULL);
	assert_int_equal(map.size, 4 * STEP);
	assert_int_equal(map_shrink(&map, 5 * STEP), EINVAL);
	assert_int_equal(map_shrink(&map, 0), EINVAL);
	assert_int_equal(map_shrink(&map, 2 * STEP), 0);
	assert_true(map.size == 2 * STEP && length_of(path) == 2 * STEP);
	assert_true(readable(base + 2 * STEP - 1) && empty_space(base + 2 * STEP) &&
	            empty_space(base + 4 * STEP - 1));
	assert_int_equal(map_grow(&map, 8 * STEP), 0);
	assert_memory_equal(base + 4 * STEP - 4, "\0\0\0", 4);
	assert_memory_equal(base, "head", 4);
	map_close(&map);
}

static void grow_into_a_longer_file(void **state)
{
	const char *path = scratch_path("longer");
	struct map map;
	(void)state;
	assert_int_equal(made(&map, path, STEP, 8 * STEP), 0);
	assert_int_equal(ftruncate(map.fd, 4 * (off_t)STEP), 0);
	assert_int_equal(pwrite(map.fd, "kept", 4, 2 * (off_t)STEP), 4);
	assert_int_equal(map_grow(&map, 3 * STEP), 0);
	assert_int_equal(length_of(path), 4 * STEP);
	assert_memory_equal(map.base + 2 * STEP, "kept", 4);
	assert_true(blocks_of(path) >= 3 * STEP);
	assert_int_equal(map_shrink(&map, 3 * STEP), 0);
	assert_int_equal(length_of(path), 3 * STEP);
	map_close(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(open_what_is_no_file),
	    cmocka_unit_test(open_a_file),
	    cmocka_unit_test(create_makes_a_whole_file),
	    cmocka_unit_test(create_over_something),
	    cmocka_unit_test(create_in_an_empty_file),
	    cmocka_unit_test(create_with_failing_fill),
	    cmocka_unit_test(attach_maps_the_file),
	    cmocka_unit_test(attach_by_medium),
	    cmocka_unit_test(attach_of_odd_sizes),
	    cmocka_unit_test(attach_read_only),
	    cmocka_unit_test(attach_private_copy),
	    cmocka_unit_test(attach_fills_holes),
	    cmocka_unit_test(fork_does_not_inherit_the_mapping),
	    cmocka_unit_test(grow_and_shrink),
	    cmocka_unit_test(grow_into_a_longer_file),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
