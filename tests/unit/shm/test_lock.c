/* SPDX-License-Identifier: BSD-3-Clause */
/* Who uses a store: one at a time through the open lock, who is alone, who is passive, whose reader
 * entries are whose, and what a lock file may be. */
#include "shm/lock.h"

#include "daxkv.h"
#include "scratch.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

static const struct lock_for lock_for = {.mode = 0664};
static int getlk_error; /* errno of asking for a lock; 0: it works */

/* The engine's calls come here. */
int fcntl(int fd, int cmd, ...)
{
	va_list args;

	va_start(args, cmd);
	void *arg = va_arg(args, void *);
	va_end(args);
	if (cmd == F_OFD_GETLK && getlk_error) {
		errno = getlk_error;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

/* entered - lock_open succeeded, and its gate is still held. */
static struct lock entered(const char *store, bool rdonly)
{
	struct lock lock = {.fd = -1};
	assert_int_equal(lock_open(&lock, store, rdonly, &lock_for), 0);
	assert_true(lock.fd > 2);
	return lock;
}

/* taken - the opening is done: one of those who use the store. */
static struct lock taken(const char *store, bool rdonly)
{
	struct lock lock = entered(store, rdonly);
	assert_int_equal(lock_share(&lock), 0);
	assert_false(lock.alone);
	return lock;
}

static void assert_refused(const char *store, bool rdonly, int error)
{
	struct lock lock = {.fd = -7};
	assert_int_equal(lock_open(&lock, store, rdonly, &lock_for), error);
	assert_non_null(strstr(daxkv_errmsg(), "-lock"));
	lock_close(&lock);
}

static void assert_alone(const char *store, bool rdonly, bool alone)
{
	struct lock lock = entered(store, rdonly);
	assert_int_equal(lock.alone, alone);
	lock_close(&lock);
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

static void only_the_first_is_alone(void **state)
{
	const char *store = scratch_path("first");
	(void)state;
	for (int rdonly = 0; rdonly <= 1; rdonly++) {
		struct lock a = taken(store, rdonly);
		assert_alone(store, false, false);
		assert_alone(store, true, false);
		struct lock b = taken(store, !rdonly);
		lock_close(&a);
		assert_alone(store, false, false);
		lock_close(&b);
		assert_alone(store, false, true);
		assert_alone(store, true, true);
	}
}

/* Who closes last is alone, and nobody comes in before it is gone. */
static void closing_tells_who_is_last(void **state)
{
	const char *store = scratch_path("last");
	bool alone = true;
	(void)state;
	struct lock a = taken(store, false), b = taken(store, false);
	assert_int_equal(lock_enter(&a, &alone), 0);
	assert_false(alone);
	lock_close(&a);
	assert_int_equal(lock_enter(&b, &alone), 0);
	assert_true(alone);
	lock_close(&b);
}

static int child_opens(const char *store)
{
	struct lock lock;
	CHECK(lock_open(&lock, store, false, &lock_for) == 0);
	lock_close(&lock);
	return 0;
}

/* The gate lets one through at a time: a child waits until it is opened. */
static void assert_open_lock_holds(const char *store, struct lock *held,
                                   int (*open_it)(struct lock *))
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(held->fd); /* a copy would hold the open lock, too */
		_exit(child_opens(store));
	}
	usleep(50000);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	assert_int_equal(open_it(held), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int let_go(struct lock *lock)
{
	lock_close(lock);
	return 0;
}

static void openings_and_closings_wait(void **state)
{
	const char *store = scratch_path("gate");
	bool alone;
	(void)state;
	struct lock lock = entered(store, false);
	assert_open_lock_holds(store, &lock, lock_share);
	assert_int_equal(lock_enter(&lock, &alone), 0);
	assert_open_lock_holds(store, &lock, let_go);
}

static int child_holds_and_dies(void)
{
	struct lock lock;
	CHECK(lock_open(&lock, scratch_path("death"), false, &lock_for) == 0);
	CHECK(lock_reader(&lock, 5, true) == 0);
	return 0; /* without lock_share or lock_close */
}

static void death_lets_go(void **state)
{
	(void)state;
	child_run(child_holds_and_dies);
	struct lock lock = entered(scratch_path("death"), false);
	assert_true(lock.alone);
	assert_false(lock_reader_held(&lock, 5));
	lock_close(&lock);
}

static void reader_entries_show_their_holders(void **state)
{
	const char *store = scratch_path("slots");
	(void)state;
	struct lock a = taken(store, false), b = taken(store, true);
	assert_int_equal(lock_reader(&a, 0, true), 0);
	assert_int_equal(lock_reader(&a, 4095, true), 0);
	assert_false(lock_reader_held(&a, 0)); /* one's own do not show */
	assert_true(lock_reader_held(&b, 0));
	assert_true(lock_reader_held(&b, 4095));
	assert_false(lock_reader_held(&b, 1));
	assert_int_equal(lock_reader(&b, 0, true), EAGAIN);
	assert_int_equal(lock_reader(&a, 0, false), 0);
	assert_int_equal(lock_reader(&b, 0, true), 0);
	assert_true(lock_reader_held(&a, 0));
	lock_close(&a);
	assert_false(lock_reader_held(&b, 4095));
	lock_close(&b);
	assert_int_equal(lock_reader(&b, 0, true),
	                 0); /* without a lock file nobody else is there */
}

/* One that shows an unclean file keeps writers out, and nobody else. */
static void passive_readers_keep_writers_out(void **state)
{
	const char *store = scratch_path("silent");
	bool alone;
	(void)state;
	struct lock a = entered(store, true);
	assert_int_equal(lock_show_unclean(&a), 0);
	assert_int_equal(lock_share(&a), 0);
	assert_refused(store, false, DAXKV_BUSY);
	assert_non_null(strstr(daxkv_errmsg(), "unclean"));
	struct lock b = entered(store, true);
	assert_true(b.alone); /* a passive reader uses nothing that others share */
	assert_int_equal(lock_show_unclean(&b), 0);
	assert_int_equal(lock_share(&b), 0);
	assert_int_equal(lock_enter(&a, &alone), 0);
	assert_false(alone);
	lock_close(&a);
	assert_refused(store, false, DAXKV_BUSY);
	lock_close(&b);
	assert_alone(store, false, true);
}

static int data_open(const char *name, bool rdonly)
{
	int fd = open(scratch_path(name), (rdonly ? O_RDONLY : O_RDWR) | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

/* Snapshots that passive readers announce: the oldest one shows, to others. */
static void announced_snapshots(void **state)
{
	int fd[3] = {data_open("announced", true), data_open("announced", true),
	             data_open("announced", false)};
	const uint64_t snapshot[2][3] = {{700, 30, UINT64_MAX}, {31, 5, 0}};
	uint64_t oldest = 1000;
	(void)state;
	assert_int_equal(lock_snapshot_oldest(fd[2], &oldest), 0);
	assert_int_equal(oldest, 1000);
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 3; j++)
			assert_int_equal(lock_snapshot(fd[i], snapshot[i][j], true), 0);
	assert_int_equal(lock_snapshot_oldest(fd[2], &oldest), 0);
	assert_int_equal(oldest, 0);
	assert_int_equal(lock_snapshot(fd[1], 0, false), 0);
	for (uint64_t upto = 1; upto < 1000; upto++) {
		oldest = upto;
		assert_int_equal(lock_snapshot_oldest(fd[2], &oldest), 0);
		assert_int_equal(oldest, upto > 5 ? 5 : upto);
	}
	close(fd[1]);
	oldest = UINT64_MAX;
	assert_int_equal(lock_snapshot_oldest(fd[2], &oldest), 0);
	assert_int_equal(oldest, 30);
	close(fd[0]);
	assert_int_equal(lock_snapshot_oldest(fd[2], &oldest), 0);
	assert_int_equal(oldest, 30);
	close(fd[2]);
}

/* Two names of a file, two lock files: a byte of the data file tells, or of the directory where the
 * data file is left to the program's locks. */
static void another_name_of_the_file(void **state)
{
	(void)state;
	for (int kinds = 0; kinds < 16; kinds++) {
		int fd = data_open("name", kinds & 1), other = data_open("name", kinds & 2);
		struct lock a = entered(scratch_path("name"), kinds & 1);
		assert_int_equal(lock_data(&a, scratch_path("name"), fd, kinds & 4), 0);
		assert_int_equal(lock_share(&a), 0);
		struct lock b = entered(scratch_path("alias"), kinds & 2);
		assert_true(b.alone);
		assert_int_equal(lock_data(&b, scratch_path("alias"), other, kinds & 8),
		                 DAXKV_BUSY);
		assert_non_null(strstr(daxkv_errmsg(), "another name"));
		lock_close(&b);
		close(other);
		other = data_open("name", kinds & 2);
		b = entered(scratch_path("name"), kinds & 2);
		assert_false(b.alone); /* by the same name it is welcome */
		assert_int_equal(lock_data(&b, scratch_path("name"), other, kinds & 8), 0);
		lock_close(&b);
		lock_close(&a);
		close(other);
		close(fd);
		fd = data_open("name", false);
		b = entered(scratch_path("alias"), false);
		assert_int_equal(lock_data(&b, scratch_path("alias"), fd, kinds & 8), 0);
		lock_close(&b);
		close(fd);
	}
}

/* A user of another file in the same directory is none of this one's. */
static void neighbours_do_not_meet(void **state)
{
	int fd[2] = {data_open("left", false), data_open("right", false)};
	struct lock left = entered(scratch_path("left"), false);
	struct lock right = entered(scratch_path("right"), false);
	(void)state;
	assert_int_equal(lock_data(&left, scratch_path("left"), fd[0], false), 0);
	assert_int_equal(lock_data(&right, scratch_path("right"), fd[1], false), 0);
	lock_close(&left);
	lock_close(&right);
	close(fd[0]);
	close(fd[1]);
}

/* Readers of an unclean file sit beside one another, and keep writers out under every name. */
static void passive_readers_and_names(void **state)
{
	int fd[3] = {data_open("quiet", true), data_open("quiet", true), data_open("quiet", false)};
	struct lock lock[2];
	(void)state;
	for (int i = 0; i < 2; i++) {
		lock[i] = entered(scratch_path("quiet"), true);
		assert_int_equal(lock_data(&lock[i], scratch_path("quiet"), fd[i], true), 0);
		assert_int_equal(lock_show_unclean(&lock[i]), 0);
		assert_int_equal(lock_share(&lock[i]), 0);
	}
	for (int i = 1; i >= 0; i--) {
		struct lock writer = entered(scratch_path("loud"), false);
		assert_int_equal(lock_data(&writer, scratch_path("loud"), fd[2], true), DAXKV_BUSY);
		lock_close(&writer);
		lock_close(&lock[i]);
		close(fd[i]);
	}
	struct lock writer = entered(scratch_path("loud"), false);
	assert_int_equal(lock_data(&writer, scratch_path("loud"), fd[2], true), 0);
	lock_close(&writer);
	close(fd[2]);
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
	assert_alone(store, false, false);
	lock_close(&lock);
}

static void unlinked_file_is_not_the_lock(void **state)
{
	(void)state;
	for (int hold = 0; hold < 2; hold++) {
		const char *store = scratch_path("unlinked");
		struct lock old = taken(store, false);
		int fd = data_open("unlinked", false), again = data_open("unlinked", false);
		assert_int_equal(lock_data(&old, store, fd, hold), 0);
		assert_int_equal(unlink(scratch_path("unlinked-lock")), 0);
		struct lock fresh = entered(store, false);
		struct stat a, b;
		assert_int_equal(fstat(fresh.fd, &a), 0);
		assert_int_equal(stat(scratch_path("unlinked-lock"), &b), 0);
		assert_true(a.st_ino == b.st_ino);
		assert_true(fresh.alone); /* whose lock file was removed still uses the store */
		assert_int_equal(lock_data(&fresh, store, again, true), DAXKV_BUSY);
		assert_int_equal(lock_data(&fresh, store, again, false), DAXKV_BUSY);
		lock_close(&fresh);
		lock_close(&old);
		close(fd);
		fresh = entered(store, false);
		assert_int_equal(lock_data(&fresh, store, again, true), 0);
		lock_close(&fresh);
		close(again);
	}
}

/* One process takes the lock and removes its file, over and over; the other must never hold a file
 * that is not there any more. */
static int child_keeps_unlinking(void)
{
	for (;;) {
		struct lock lock;
		int rc = lock_open(&lock, scratch_path("race"), false, &lock_for);
		CHECK(rc == 0 || rc == DAXKV_BUSY);
		if (rc == 0)
			CHECK(unlink(scratch_path("race-lock")) == 0);
		lock_close(&lock);
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
		int rc = lock_open(&lock, scratch_path("race"), false, &lock_for);
		if (rc == 0) {
			wrong += !lock.alone || fstat(lock.fd, &mine) != 0 ||
			         stat(scratch_path("race-lock"), &now) != 0 ||
			         mine.st_ino != now.st_ino;
			taken_times++;
		}
		errors += rc != 0 && rc != DAXKV_BUSY;
		lock_close(&lock);
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
	assert_true(snprintf(addr.sun_path, sizeof addr.sun_path, "%s/socket-lock", scratch_dir) <
	            (int)sizeof addr.sun_path);
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
	struct lock lock;
	if (geteuid() == 0)
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHECK(lock_open(&lock, scratch_path("closed/store"), false, &lock_for) == EACCES &&
	      lock.fd == -1);
	lock_close(&lock);
	CHECK(lock_open(&lock, scratch_path("closed/store"), true, &lock_for) == 0 &&
	      lock.fd == -1); /* goes without */
	lock_close(&lock);
	CHECK(lock_open(&lock, scratch_path("closed/secret"), true, &lock_for) == EACCES &&
	      lock.fd == -1); /* it could not see writers */
	CHECK(strstr(daxkv_errmsg(), "secret-lock"));
	lock_close(&lock);
	CHECK(lock_open(&lock, scratch_path("closed/used"), true, &lock_for) == 0 && lock.passive &&
	      lock.used && !lock.alone);
	lock_close(&lock);
	CHECK(lock_open(&lock, scratch_path("closed/shown"), true, &lock_for) == 0 && lock.fd > 2);
	CHECK(lock.passive && !lock.used && lock.alone && lock_share(&lock) == 0);
	struct lock second;
	CHECK(lock_open(&second, scratch_path("closed/shown"), true, &lock_for) == 0 &&
	      second.passive);
	return 0;
}

static void directory_without_permission(void **state)
{
	(void)state;
	assert_int_equal(chmod(scratch_dir, 0755), 0);
	assert_int_equal(mkdir(scratch_path("closed"), 0700), 0);
	close(open(scratch_path("closed/secret-lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0));
	close(open(scratch_path("closed/shown-lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0444));
	struct lock used = taken(scratch_path("closed/used"), false);
	assert_int_equal(chmod(scratch_path("closed/used-lock"), 0444), 0);
	assert_int_equal(chmod(scratch_path("closed"), 0555), 0);
	child_run(child_without_permission);
	assert_int_equal(chmod(scratch_path("closed"), 0755), 0);
	lock_close(&used);
}

/* A program may have closed 0, 1 and 2: the lock is kept away from them. */
static int child_without_stdio(void)
{
	struct lock lock;
	int err = dup(2);
	close(0);
	close(1);
	close(2);
	int rc = lock_open(&lock, scratch_path("stdio"), false, &lock_for);
	dup2(err, 2);
	CHECK(rc == 0 && lock.fd > 2);
	CHECK(fcntl(0, F_GETFD) == -1 && fcntl(1, F_GETFD) == -1);
	lock_close(&lock);
	return 0;
}

/* What cannot be asked for is an error of its own, not somebody else's use. */
static void locks_that_cannot_be_asked_for(void **state)
{
	const char *store = scratch_path("asked");
	struct lock lock = {.fd = -1};
	bool held = false;
	(void)state;
	int fd = data_open("asked", false);

	getlk_error = EIO;
	assert_refused(store, false, EIO);
	getlk_error = 0;
	lock = entered(store, false);
	getlk_error = ENOLCK;
	assert_int_equal(lock_data(&lock, store, fd, true), ENOLCK);
	assert_int_equal(lock_owner_held(&lock, 3, &held), ENOLCK);
	assert_true(lock_reader_held(&lock, 3)); /* nothing is taken from who may be there */
	getlk_error = 0;
	assert_int_equal(lock_data(&lock, store, fd, true), 0);
	lock_close(&lock);
	close(fd);
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
	    cmocka_unit_test(only_the_first_is_alone),
	    cmocka_unit_test(closing_tells_who_is_last),
	    cmocka_unit_test(openings_and_closings_wait),
	    cmocka_unit_test(death_lets_go),
	    cmocka_unit_test(reader_entries_show_their_holders),
	    cmocka_unit_test(passive_readers_keep_writers_out),
	    cmocka_unit_test(announced_snapshots),
	    cmocka_unit_test(another_name_of_the_file),
	    cmocka_unit_test(neighbours_do_not_meet),
	    cmocka_unit_test(passive_readers_and_names),
	    cmocka_unit_test(closing_another_descriptor_keeps_the_lock),
	    cmocka_unit_test(unlinked_file_is_not_the_lock),
	    cmocka_unit_test(unlinking_races_with_opening),
	    cmocka_unit_test(lock_file_of_another_kind),
	    cmocka_unit_test(directory_missing),
	    cmocka_unit_test(directory_without_permission),
	    cmocka_unit_test(locks_that_cannot_be_asked_for),
	    cmocka_unit_test(stdio_closed),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
