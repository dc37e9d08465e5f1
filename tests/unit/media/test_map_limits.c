/* SPDX-License-Identifier: BSD-3-Clause */
/* Every failure of the mapping that a limit, a full disk or a denied system call can bring about:
 * file and mapping are then as before. */
#include "map_helpers.h"

#include "daxkv.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* deny - from now on this process gets err from system call nr, where argument arg has value (arg <
 * 0: always). */
static bool deny(long nr, int arg, uint32_t value, int err)
{
	const unsigned int ret = SECCOMP_RET_ERRNO | (unsigned int)err;
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)(offsetof(struct seccomp_data, args) +
	                                                      8 * (arg < 0 ? 0 : (size_t)arg))),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, ret),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = sizeof code / sizeof *code, .filter = code};
	if (arg < 0)
		code[3].jf = 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) == 0)
		return true;
	fprintf(stderr, "skipped: no seccomp here: %s\n", strerror(errno));
	return false;
}

static volatile sig_atomic_t xfsz_seen;

static void on_xfsz(int sig)
{
	(void)sig;
	xfsz_seen = 1;
}

static int child_meets_file_limit(void)
{
	const char *path = scratch_path("fsize"), *other = scratch_path("fsize2");
	const struct rlimit limit = {3 * STEP, 3 * STEP};
	struct map map, map2;
	sigset_t set;
	CHECK(made(&map, path, STEP, 8 * STEP) == 0);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK(map_grow(&map, 4 * STEP) == EFBIG); /* SIGXFSZ kills by default */
	CHECK(as_before(&map, path, STEP));
	signal(SIGXFSZ, on_xfsz);
	CHECK(map_grow(&map, 4 * STEP) == EFBIG);
	CHECK(!xfsz_seen);
	CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGXFSZ) == 0);
	signal(SIGXFSZ, SIG_IGN);
	CHECK(map_grow(&map, 4 * STEP) == EFBIG);
	signal(SIGXFSZ, SIG_DFL);
	CHECK(map_create_file(&map2, other, 0644, &(uint64_t){4 * STEP}, 0, fill_marks, NULL) ==
	      EFBIG);
	CHECK(length_of(other) == UINT64_MAX);
	close(open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	CHECK(map_create_file(&map2, other, 0644, &(uint64_t){4 * STEP}, 0, fill_marks, NULL) ==
	      EFBIG);
	CHECK(length_of(other) == 0);
	CHECK(map_grow(&map, 3 * STEP) == 0);
	CHECK(map.size == 3 * STEP);
	map_close(&map);
	return 0;
}

static void file_limit_is_efbig(void **state)
{
	(void)state;
	child_run(child_meets_file_limit);
}

static int child_has_signal_pending(void)
{
	const struct rlimit limit = {STEP, STEP};
	struct map map;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGXFSZ);
	CHECK(made(&map, scratch_path("pending"), STEP, 0) == 0);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(map_grow(&map, 4 * STEP) == EFBIG);
	CHECK(sigpending(&set) == 0 && sigismember(&set, SIGXFSZ) == 0);
	CHECK(raise(SIGXFSZ) == 0);
	CHECK(map_grow(&map, 4 * STEP) == EFBIG);
	CHECK(sigpending(&set) == 0 && sigismember(&set, SIGXFSZ) == 1);
	CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGXFSZ) == 1);
	return 0;
}

static void pending_signal_of_the_program_stays(void **state)
{
	(void)state;
	child_run(child_has_signal_pending);
}

/* address_use - bytes of address space that the process has. */
static uint64_t address_use(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f || fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int child_meets_address_limit(void)
{
	const char *path = scratch_path("as");
	struct map map;
	CHECK(map_create_file(&map, path, 0644, &(uint64_t){STEP}, 0, fill_marks, NULL) == 0);
	const uint64_t use = address_use();
	struct rlimit limit = {use + 64 * STEP, RLIM_INFINITY};
	CHECK(use > 0);
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	CHECK(map_attach(&map, STEP, (uint64_t)1 << 40, DAXKV_PMEM_AUTO, false) == ENOMEM);
	CHECK(strstr(daxkv_errmsg(), "RLIMIT_AS"));
	CHECK(!map.base);
	CHECK(map_attach(&map, STEP, 0, DAXKV_PMEM_AUTO, false) == 0); /* by halves */
	CHECK(map.reserve >= STEP && map.reserve <= 64 * STEP);
	CHECK(map.reserve >= 8 * STEP);
	limit.rlim_cur = use; /* less than the process has already: every mmap fails */
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	CHECK(map_grow(&map, 4 * STEP) == ENOMEM);
	CHECK(as_before(&map, path, STEP));
	limit.rlim_cur = use + map.reserve + 16 * (uint64_t)sysconf(_SC_PAGESIZE);
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	CHECK(map_grow(&map, 4 * STEP) == 0); /* the space is there already: growth takes none */
	map_close(&map);
	return 0;
}

static void address_limit(void **state)
{
	(void)state;
	child_run(child_meets_address_limit);
}

static int child_without_limit(void)
{
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit now;
	struct map map;
	if (getrlimit(RLIMIT_AS, &now) != 0 ||
	    (now.rlim_cur != RLIM_INFINITY && setrlimit(RLIMIT_AS, &none) != 0)) {
		fprintf(stderr, "skipped: the address space is limited\n");
		return SKIPPED;
	}
	CHECK(made(&map, scratch_path("wide"), STEP, 0) == 0);
	CHECK(map.reserve == (uint64_t)1 << 40);
	map_close(&map);
	return 0;
}

static void no_limit_reserves_a_tebibyte(void **state)
{
	(void)state;
	child_run(child_without_limit);
}

/* disk_filled - no byte is left on the small filesystem. */
static bool disk_filled(void)
{
	static const char bytes[4096];
	int fd = open(scratch_path("small/filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	while (write(fd, bytes, sizeof bytes) == sizeof bytes)
		;
	return errno == ENOSPC && close(fd) == 0;
}

/* written - a transaction that puts, or deletes, one of 500 keys. */
static int written(struct daxkv_store *store, uint32_t number, bool put)
{
	uint8_t bytes[300] = {0};
	struct daxkv_val k = {sizeof number, &number}, v = {sizeof bytes, bytes};
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, 0, &txn);

	if (rc)
		return rc;
	number = number * 31 % 500;
	rc = put ? daxkv_put(txn, DAXKV_MAIN, &k, &v, 0) : daxkv_del(txn, DAXKV_MAIN, &k, NULL);
	if (!rc || rc == DAXKV_NOT_FOUND)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return rc;
}

/* The lock file cannot grow while a reader keeps what is freed; behind the reader it need not. */
static int child_without_room_for_the_lock_file(void)
{
	const struct daxkv_options options = {
	    .flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE, .page_size = 512};
	struct daxkv_txn *reader[200];
	uint64_t faults = 1;
	struct daxkv_store *store;
	unsigned int n = 0;
	int rc = 0;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", scratch_path("small"), "tmpfs", 0, "size=3m") != 0)
		return SKIPPED;
	CHECK(daxkv_open(scratch_path("small/store"), &options, &store) == 0);
	for (uint32_t i = 0; i < 1000; i++)
		CHECK(written(store, i, true) == 0);
	CHECK(disk_filled());
	while (n < 200 && (rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &reader[n])) == 0)
		n++;
	CHECK(n && rc == ENOSPC); /* no crash at an entry without its space */
	for (uint32_t i = 0; i < 10000 && (rc = written(store, i, i % 2)) == 0; i++)
		;
	CHECK(rc == ENOSPC);
	while (n)
		daxkv_txn_abort(reader[--n]);
	for (uint32_t i = 0; i < 50; i++)
		CHECK(written(store, i, false) == 0);
	CHECK(daxkv_check(store, NULL, NULL, &faults) == 0 && faults == 0);
	CHECK(daxkv_close(store) == 0);
	return 0;
}

static int child_on_a_small_disk(void)
{
	const char *dir = scratch_path("small"), *path = scratch_path("small/store"),
	           *sparse = scratch_path("small/sparse");
	struct map map, other = {.fd = -1};
	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", dir, "tmpfs", 0, "size=6m") != 0) {
		fprintf(stderr, "skipped: may not mount a small filesystem: %s\n",
		        geteuid() ? "not root" : strerror(errno));
		return SKIPPED;
	}
	CHECK(made(&map, path, STEP, 16 * STEP) == 0);
	CHECK(map.volatile_fs);
	CHECK(map_grow(&map, 8 * STEP) == ENOSPC);
	CHECK(strstr(daxkv_errmsg(), "No space left"));
	CHECK(as_before(&map, path, STEP));
	CHECK(map_grow(&map, 2 * STEP) == 0);
	CHECK(map_grow(&map, 4 * STEP) == ENOSPC);
	CHECK(as_before(&map, path, 2 * STEP));
	CHECK(map_create_file(&other, scratch_path("small/b"), 0644, &(uint64_t){2 * STEP}, 0,
	                      fill_marks, NULL) == ENOSPC);
	CHECK(length_of(scratch_path("small/b")) == UINT64_MAX &&
	      length_of(scratch_path("small/b.daxkv-new")) == UINT64_MAX);
	int fd = open(sparse, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(map_create_file(&other, sparse, 0644, &(uint64_t){2 * STEP}, 0, fill_marks, NULL) ==
	      ENOSPC);
	CHECK(length_of(sparse) == 0);
	CHECK(ftruncate(fd, 4 * (off_t)STEP) == 0);
	close(fd);
	CHECK(map_open_file(&other, sparse, false) == 0);
	CHECK(map_attach(&other, 4 * STEP, 0, DAXKV_PMEM_AUTO, false) == ENOSPC);
	CHECK(!other.base && length_of(sparse) == 4 * STEP);
	map_close(&other);
	CHECK(map_shrink(&map, STEP) == 0);
	CHECK(map_grow(&map, 2 * STEP) == 0);
	map_close(&map);
	return 0;
}

static void full_disk_is_enospc(void **state)
{
	(void)state;
	assert_int_equal(mkdir(scratch_path("small"), 0700), 0);
	child_run(child_on_a_small_disk);
	child_run(child_without_room_for_the_lock_file);
}

static int child_cannot_fallocate(void)
{
	const char *path = scratch_path("nofalloc");
	const struct rlimit limit = {5 * STEP, 5 * STEP};
	struct map map;
	CHECK(map_create_file(&map, path, 0644, &(uint64_t){STEP}, 0, fill_marks, NULL) == 0);
	CHECK(ftruncate(map.fd, (off_t)(STEP + STEP / 2)) == 0);
	CHECK(pwrite(map.fd, "tail", 4, (off_t)(STEP + 100)) == 4);
	if (!deny(SYS_fallocate, -1, 0, EOPNOTSUPP))
		return SKIPPED;
	CHECK(map_attach(&map, STEP, 8 * STEP, DAXKV_PMEM_AUTO, false) == 0);
	CHECK(map_grow(&map, 3 * STEP) == 0);
	CHECK(memcmp(map.base, "head", 4) == 0 && memcmp(map.base + 100000, "body", 4) == 0);
	CHECK(memcmp(map.base + STEP + 100, "tail", 4) ==
	      0); /* written bytes stay, though the mapping ended before them */
	CHECK(length_of(path) == 3 * STEP && blocks_of(path) >= 2 * STEP);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK(map_grow(&map, 6 * STEP) == EFBIG);
	CHECK(as_before(&map, path, 3 * STEP));
	map_close(&map);
	return 0;
}

static void fallocate_unsupported_writes_zeros(void **state)
{
	(void)state;
	child_run(child_cannot_fallocate);
}

static int child_denied(const char *name, long nr, int arg, uint32_t value, int err, int expected)
{
	const char *path = scratch_path(name);
	struct map map;
	CHECK(map_create_file(&map, path, 0644, &(uint64_t){STEP}, 0, fill_marks, NULL) == 0);
	CHECK(map_attach(&map, STEP, 8 * STEP, DAXKV_PMEM_FILE, false) ==
	      0); /* one way to mmap, on any filesystem */
	if (!deny(nr, arg, value, err))
		return SKIPPED;
	CHECK(map_grow(&map, 4 * STEP) == expected);
	CHECK(as_before(&map, path, STEP));
	CHECK(strstr(daxkv_errmsg(), path));
	map_close(&map);
	return 0;
}

static int child_populate_enomem(void)
{
	return child_denied("populate", SYS_madvise, 2, 23, ENOMEM, ENOMEM);
}

static int child_populate_efault(void)
{
	return child_denied("fault", SYS_madvise, 2, 23, EFAULT, EIO);
}

static int child_fsync_fails(void)
{
	return child_denied("fsync", SYS_fsync, -1, 0, EIO, EIO);
}

static int child_mmap_fails(void)
{
	return child_denied("mmap", SYS_mmap, 3, MAP_SHARED | MAP_FIXED, ENOMEM, ENOMEM);
}

static int child_fallocate_fails(void)
{
	return child_denied("fallocate", SYS_fallocate, -1, 0, EIO, EIO);
}

static void failed_growth_is_undone(void **state)
{
	(void)state;
	child_run(child_populate_enomem);
	child_run(child_populate_efault);
	child_run(child_fsync_fails);
	child_run(child_mmap_fails);
	child_run(child_fallocate_fails);
}

static int child_on_an_old_kernel(void)
{
	struct map map;
	CHECK(made(&map, scratch_path("old"), STEP, 8 * STEP) == 0);
	if (!deny(SYS_madvise, 2, 23, EINVAL))
		return SKIPPED;
	CHECK(map_grow(&map, 4 * STEP) == 0);
	CHECK(readable(map.base + 4 * STEP - 1));
	map_close(&map);
	return 0;
}

static void populate_unknown_to_the_kernel(void **state)
{
	(void)state;
	child_run(child_on_an_old_kernel);
}

static int child_without_renameat2(void)
{
	const char *path = scratch_path("linked");
	struct map map;
	if (!deny(SYS_renameat2, -1, 0, EINVAL) ||
	    !deny(SYS_openat, 2, O_RDWR | O_TMPFILE | O_CLOEXEC, EOPNOTSUPP))
		return SKIPPED;
	close(open(scratch_path("linked.daxkv-new"), O_RDWR | O_CREAT | O_CLOEXEC,
	           0600)); /* somebody's */
	CHECK(map_create_file(&map, path, 0644, &(uint64_t){STEP}, 0, fill_marks, NULL) == 0);
	CHECK(length_of(path) == STEP && length_of(scratch_path("linked.daxkv-new")) == 0);
	CHECK(length_of(scratch_path("linked.daxkv-new-1")) == UINT64_MAX);
	map_close(&map);
	CHECK(symlink("no such thing", scratch_path("linked2")) == 0);
	CHECK(map_create_file(&map, scratch_path("linked2"), 0644, &(uint64_t){STEP}, 0, fill_marks,
	                      NULL) == EEXIST);
	CHECK(length_of(scratch_path("linked2.daxkv-new")) == UINT64_MAX);
	return 0;
}

static void create_without_renameat2(void **state)
{
	(void)state;
	child_run(child_without_renameat2);
}

static int child_create_unsynced(void)
{
	const char *path = scratch_path("unsynced");
	struct map map = {.fd = -1};
	if (!deny(SYS_fsync, -1, 0, EIO))
		return SKIPPED;
	CHECK(map_create_file(&map, path, 0644, &(uint64_t){STEP}, 0, fill_marks, NULL) == EIO);
	CHECK(map.fd == -1 && length_of(path) == UINT64_MAX &&
	      length_of(scratch_path("unsynced.daxkv-new")) == UINT64_MAX);
	return 0;
}

static int child_create_in_unsynced_directory(void)
{
	const char *path = scratch_path("undirected");
	struct map map = {.fd = -1};
	if (!deny(SYS_openat, 2, O_RDONLY | O_DIRECTORY | O_CLOEXEC, EMFILE))
		return SKIPPED;
	CHECK(map_create_file(&map, path, 0644, &(uint64_t){STEP}, 0, fill_marks, NULL) == EMFILE);
	CHECK(map.fd == -1 && length_of(path) == UINT64_MAX &&
	      length_of(scratch_path("undirected.daxkv-new")) == UINT64_MAX);
	return 0;
}

static void create_with_failing_fsync(void **state)
{
	(void)state;
	child_run(child_create_in_unsynced_directory);
	child_run(child_create_unsynced);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(file_limit_is_efbig),
	    cmocka_unit_test(pending_signal_of_the_program_stays),
	    cmocka_unit_test(address_limit),
	    cmocka_unit_test(no_limit_reserves_a_tebibyte),
	    cmocka_unit_test(full_disk_is_enospc),
	    cmocka_unit_test(fallocate_unsupported_writes_zeros),
	    cmocka_unit_test(failed_growth_is_undone),
	    cmocka_unit_test(populate_unknown_to_the_kernel),
	    cmocka_unit_test(create_without_renameat2),
	    cmocka_unit_test(create_with_failing_fsync),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
