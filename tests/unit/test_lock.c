/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may open a store: one writer or many readers, in one process and in several, and what a lock file may be. */
#include "lock.h"

#include "daxkv.h"
#include "scratch.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct lock taken(const char *store, bool rdonly)
{
	struct lock lock = {.fd = -1};
	assert_int_equal(lock_open(&lock, store, rdonly, 0664), 0);
	assert_true(lock.fd > 2);
	return lock;
}

static void assert_refused(const char *store, bool rdonly, int error)
{
	struct lock lock = {.fd = -7};
	assert_int_equal(lock_open(&lock, store, rdonly, 0664), error);
	assert_int_equal(lock.fd, -7);
	assert_non_null(strstr(daxkv_errmsg(), "-lock"));
}

static void open_makes_the_file(void **state)
{
	const char *store = scratch_path("made");
	struct stat st;
	(void)state;
	mode_t mask = umask(027);
	struct lock lock = taken(store, false);
	umask(mask);
	assert_int_equal(stat(scratch_path("made-lock"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(fcntl(lock.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	lock_close(&lock);
	assert_int_equal(lock.fd, -1);
	lock_close(&lock);
	assert_int_equal(access(scratch_path("made-lock"), F_OK), 0);
	assert_int_equal(access(store, F_OK), -1);
}

static void writer_excludes_all(void **state)
{
	const char *store = scratch_path("writer");
	(void)state;
	struct lock lock = taken(store, false);
	assert_refused(store, false, DAXKV_BUSY);
	assert_refused(store, true, DAXKV_BUSY);
	lock_close(&lock);
	lock = taken(store, false);
	lock_close(&lock);
}

static void readers_share(void **state)
{
	const char *store = scratch_path("readers");
	(void)state;
	struct lock a = taken(store, true), b = taken(store, true);
	assert_refused(store, false, DAXKV_BUSY);
	lock_close(&a);
	assert_refused(store, false, DAXKV_BUSY);
	lock_close(&b);
	a = taken(store, false);
	lock_close(&a);
}

static int child_holds_and_dies(void)
{
	struct lock lock;
	CHECK(lock_open(&lock, scratch_path("death"), false, 0600) == 0);
	return 0; /* without lock_close */
}

static void death_lets_go(void **state)
{
	(void)state;
	child_run(child_holds_and_dies);
	struct lock lock = taken(scratch_path("death"), false);
	lock_close(&lock);
}

static int child_is_refused(void)
{
	struct lock lock;
	CHECK(lock_open(&lock, scratch_path("two"), false, 0600) == DAXKV_BUSY);
	CHECK(lock_open(&lock, scratch_path("two"), true, 0600) == DAXKV_BUSY);
	return 0;
}

static void writer_in_another_process(void **state)
{
	(void)state;
	struct lock lock = taken(scratch_path("two"), false);
	child_run(child_is_refused);
	lock_close(&lock);
}

/* The pid is told where the kernel knows it: for a lock that belongs to a process. */
static int child_meets_process_lock(void)
{
	struct lock lock;
	char pid[32];
	CHECK(lock_open(&lock, scratch_path("posix"), false, 0600) == DAXKV_BUSY);
	snprintf(pid, sizeof pid, "process %ld holds", (long)getppid());
	CHECK(strstr(daxkv_errmsg(), pid));
	return 0;
}

static void process_lock_names_the_pid(void **state)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
	(void)state;
	int fd = open(scratch_path("posix-lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETLK, &fl), 0);
	child_run(child_meets_process_lock);
	close(fd);
}

/* A process lock would go with this close. */
static void closing_another_descriptor_keeps_the_lock(void **state)
{
	const char *store = scratch_path("other");
	(void)state;
	struct lock lock = taken(store, false);
	int fd = open(scratch_path("other-lock"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
	assert_refused(store, false, DAXKV_BUSY);
	lock_close(&lock);
}

static void unlinked_file_is_not_the_lock(void **state)
{
	const char *store = scratch_path("unlinked");
	(void)state;
	struct lock old = taken(store, false);
	assert_int_equal(unlink(scratch_path("unlinked-lock")), 0);
	struct lock fresh = taken(store, false);
	struct stat a, b;
	assert_int_equal(fstat(fresh.fd, &a), 0);
	assert_int_equal(stat(scratch_path("unlinked-lock"), &b), 0);
	assert_true(a.st_ino == b.st_ino);
	lock_close(&old);
	assert_refused(store, false, DAXKV_BUSY);
	lock_close(&fresh);
}

/* One process takes the lock and removes its file, over and over; the other must never hold a file that is not there any more. */
static int child_keeps_unlinking(void)
{
	for (;;) {
		struct lock lock;
		int rc = lock_open(&lock, scratch_path("race"), false, 0600);
		CHECK(rc == 0 || rc == DAXKV_BUSY);
		if (rc == 0) {
			CHECK(unlink(scratch_path("race-lock")) == 0);
			lock_close(&lock);
		}
	}
}

static void unlinking_races_with_opening(void **state)
{
	int wrong = 0, errors = 0, status = 0;
	(void)state;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(child_keeps_unlinking());
	}
	for (int taken_times = 0; taken_times < 3000 && !errors;) {
		struct lock lock;
		struct stat mine, now;
		int rc = lock_open(&lock, scratch_path("race"), false, 0600);
		if (rc == DAXKV_BUSY)
			continue;
		errors += rc != 0;
		if (rc == 0) {
			wrong += fstat(lock.fd, &mine) != 0 || stat(scratch_path("race-lock"), &now) != 0 || mine.st_ino != now.st_ino;
			lock_close(&lock);
			taken_times++;
		}
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(errors, 0);
	assert_int_equal(wrong, 0);
}

static void lock_file_of_another_kind(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	(void)state;
	assert_int_equal(mkdir(scratch_path("dir-lock"), 0700), 0);
	assert_int_equal(mkfifo(scratch_path("fifo-lock"), 0600), 0);
	assert_int_equal(symlink("elsewhere", scratch_path("link-lock")), 0);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_true(snprintf(addr.sun_path, sizeof addr.sun_path, "%s/socket-lock", scratch_dir) < (int)sizeof addr.sun_path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
	for (int rdonly = 0; rdonly <= 1; rdonly++) {
		assert_refused(scratch_path("dir"), rdonly, DAXKV_FOREIGN);
		assert_refused(scratch_path("fifo"), rdonly, DAXKV_FOREIGN);
		assert_refused(scratch_path("link"), rdonly, DAXKV_FOREIGN);
		assert_refused(scratch_path("socket"), rdonly, DAXKV_FOREIGN);
	}
	assert_int_equal(access(scratch_path("elsewhere"), F_OK), -1);
	close(fd);
}

static void directory_missing(void **state)
{
	(void)state;
	assert_refused(scratch_path("nowhere/store"), false, ENOENT);
	assert_refused(scratch_path("nowhere/store"), true, ENOENT);
}

/* Root may do everything: the child becomes somebody else. */
static int child_without_permission(void)
{
	struct lock lock = {.fd = -7};
	if (geteuid() == 0)
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHECK(lock_open(&lock, scratch_path("closed/store"), false, 0600) == EACCES);
	CHECK(lock.fd == -7);
	CHECK(lock_open(&lock, scratch_path("closed/store"), true, 0600) == 0);
	CHECK(lock.fd == -1);
	lock.fd = -7;
	CHECK(lock_open(&lock, scratch_path("closed/secret"), true, 0600) == 0);
	CHECK(lock.fd == -1);
	CHECK(lock_open(&lock, scratch_path("closed/shown"), true, 0600) == 0);
	CHECK(lock.fd > 2);
	return 0;
}

static void directory_without_permission(void **state)
{
	(void)state;
	assert_int_equal(chmod(scratch_dir, 0755), 0);
	assert_int_equal(mkdir(scratch_path("closed"), 0700), 0);
	close(open(scratch_path("closed/secret-lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0));
	close(open(scratch_path("closed/shown-lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0444));
	assert_int_equal(chmod(scratch_path("closed"), 0555), 0);
	child_run(child_without_permission);
	assert_int_equal(chmod(scratch_path("closed"), 0755), 0);
}

/* A program may have closed 0, 1 and 2: the lock is kept away from them. */
static int child_without_stdio(void)
{
	struct lock lock;
	int err = dup(2);
	close(0);
	close(1);
	close(2);
	int rc = lock_open(&lock, scratch_path("stdio"), false, 0600);
	dup2(err, 2);
	CHECK(rc == 0 && lock.fd > 2);
	CHECK(fcntl(0, F_GETFD) == -1 && fcntl(1, F_GETFD) == -1);
	struct lock other;
	CHECK(lock_open(&other, scratch_path("stdio"), false, 0600) == DAXKV_BUSY);
	return 0;
}

static void stdio_closed(void **state)
{
	(void)state;
	child_run(child_without_stdio);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(open_makes_the_file),
	    cmocka_unit_test(writer_excludes_all),
	    cmocka_unit_test(readers_share),
	    cmocka_unit_test(death_lets_go),
	    cmocka_unit_test(writer_in_another_process),
	    cmocka_unit_test(process_lock_names_the_pid),
	    cmocka_unit_test(closing_another_descriptor_keeps_the_lock),
	    cmocka_unit_test(unlinked_file_is_not_the_lock),
	    cmocka_unit_test(unlinking_races_with_opening),
	    cmocka_unit_test(lock_file_of_another_kind),
	    cmocka_unit_test(directory_missing),
	    cmocka_unit_test(directory_without_permission),
	    cmocka_unit_test(stdio_closed),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
