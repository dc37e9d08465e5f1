/* SPDX-License-Identifier: BSD-3-Clause */
/* area_file.c - the files of an environment, and what a program may do to them itself. */
#include "areas.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void put_many(MDB_env *env, int from, int count, size_t size)
{
	char *bytes = calloc(size, 1);
	MDB_txn *txn;

	if (!bytes || mdb_txn_begin(env, NULL, 0, &txn))
		exit(2);
	for (int i = from; i < from + count; i++) {
		MDB_val k = {sizeof i, &i}, v = {size, bytes};

		memset(bytes, i, size);
		if (mdb_put(txn, 1, &k, &v, 0))
			exit(2);
	}
	SHOW(mdb_txn_commit(txn));
	free(bytes);
}

/* show_many - whether the entries of put_many are there. */
static void show_many(MDB_env *env, int count, size_t size)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val v;
	int good = 0;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) || mdb_dbi_open(txn, NULL, 0, &dbi))
		exit(2);
	for (int i = 0; i < count; i++) {
		MDB_val k = {sizeof i, &i};

		good += mdb_get(txn, dbi, &k, &v) == 0 && v.mv_size == size &&
		        ((char *)v.mv_data)[size - 1] == (char)i;
	}
	printf("%d of %d\n", good, count);
	mdb_txn_abort(txn);
}

/* ---- growing, and other hands on the file ---------------------------------------------------- */

/* in_place - a file that grows stays the same file at the same place in memory. */
static void in_place(void)
{
	MDB_env *env = started("in place", 0);
	struct stat before, after, by_name;
	MDB_txn *txn;
	MDB_val k, v;
	int fd, zero = 0;

	SHOW(mdb_env_set_mapsize(env, 8 << 20));
	put_many(env, 0, 1, 1000);
	SHOW(mdb_env_get_fd(env, &fd));
	SHOW(fstat(fd, &before));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	k = (MDB_val){sizeof zero, &zero};
	SHOW(mdb_get(txn, 1, &k, &v));
	put_many(env, 1, 300, 20000);
	printf("bytes seen before it grew %d\n",
	       v.mv_size == 1000 && ((char *)v.mv_data)[999] == 0);
	mdb_txn_abort(txn);
	SHOW(fstat(fd, &after));
	SHOW(stat(place("in place/data.mdb"), &by_name));
	printf("same file %d, mode %o\n",
	       before.st_ino == after.st_ino && before.st_dev == after.st_dev &&
	           after.st_ino == by_name.st_ino,
	       after.st_mode & 0777);
	printf("grown %d\n", after.st_size > 4 << 20);
	mdb_env_close(env);
}

/* other_hands - programs open the data file themselves, give it its full size, close it, and lock
 * it: none of it disturbs. */
static void other_hands(void)
{
	MDB_env *env = started("other hands", 0);
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	const char *data = place("other hands/data.mdb");
	MDB_txn *txn;
	MDB_val k = value_of("k"), v = value_of("v");
	int fd, own;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	own = open(data, O_RDWR | O_CLOEXEC);
	SHOW(posix_fallocate(own, 0, 1 << 20));
	SHOW(close(own)); /* which drops every POSIX lock that the process has on the file */
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_env_get_fd(env, &fd));
	SHOW(fcntl(fd, F_SETLK, &whole));
	put_many(env, 0, 10, 3000);
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) { /* another process finds the lock, and may work all the same */
		MDB_env *second;

		if (mdb_env_create(&second))
			_exit(2);
		SHOW(mdb_env_open(second, place("other hands"), 0, 0644));
		show_many(second, 10, 3000);
		SHOW(mdb_env_get_fd(second, &fd));
		printf("locked %d\n",
		       fcntl(fd, F_SETLK, &whole) == -1 && (errno == EAGAIN || errno == EACCES));
		put_many(second, 10, 5, 3000);
		mdb_env_close(second);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	put_many(env, 15, 5, 3000);
	show_many(env, 20, 3000);
	struct flock asked = whole;

	SHOW(fcntl(fd, F_GETLK, &asked));
	mdb_env_close(env);
	SHOW(truncate(data, 3 << 20));
	if (mdb_env_create(&env))
		exit(2);
	SHOW(mdb_env_open(env, place("other hands"), 0, 0644));
	show_many(env, 20, 3000);
	put_many(env, 20, 5, 3000);
	show_many(env, 25, 3000);
	mdb_env_close(env);
}

/* inherited - descriptors that a program run by this one would have. */
static int inherited(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		int fd = atoi(e->d_name);

		n += fd > 2 && !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	closedir(dir);
	return n;
}

static void names_and_modes(void)
{
	MDB_env *env;
	struct stat st;
	int before = inherited();
	mode_t mask = umask(027);

	env = started("modes", MDB_NOSUBDIR);
	printf("inherited %d\n",
	       is_daxkv() ? inherited() - before : 0); /* one of the stock library's is */
	SHOW(stat(place("modes"), &st));
	printf("mode %o\n", st.st_mode & 07777);
	SHOW(stat(place("modes-lock"), &st));
	printf("mode of the lock file %o\n", st.st_mode & 07777);
	umask(mask);
	SHOW(mdb_env_set_mapsize(env, 3 << 20));
	put_many(env, 0, 3, 100);
	mdb_env_close(env);
	printf("lock file stays %d\n", stat(place("modes-lock"), &st) == 0);

	env = started("fixed", MDB_FIXEDMAP);
	put_many(env, 0, 3, 100);
	mdb_env_close(env);
	env = started("written", MDB_WRITEMAP | MDB_MAPASYNC | MDB_NORDAHEAD);
	put_many(env, 0, 3, 100);
	show_many(env, 3, 100);
	mdb_env_close(env);
}

/* ---- after a crash, where nothing may be written --------------------------------------------- */

/* powers_drop - root may not write to a read-only file any more. */
static void powers_drop(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2] = {{0}};

	if (syscall(SYS_capset, &head, none) != 0)
		_exit(3);
}

static uint64_t file_sum(const char *path)
{
	FILE *f = fopen(path, "r");
	uint64_t sum = 0;

	for (int c = f ? getc(f) : EOF; c != EOF; c = getc(f))
		sum = sum * 31 + (uint64_t)c + 1;
	if (!f || fclose(f))
		exit(2);
	return sum;
}

static void look(void)
{
	MDB_env *env;

	powers_drop();
	printf("may write %d\n", access(place("crashed/data.mdb"), W_OK) == 0 ||
	                             open(place("crashed/new"), O_CREAT | O_WRONLY, 0600) >= 0);
	if (mdb_env_create(&env))
		_exit(2);
	SHOW(mdb_env_open(env, place("crashed"), MDB_RDONLY | MDB_NOLOCK, 0));
	show_many(env, 40, 700);
	mdb_env_close(env);
	fflush(stdout);
	_exit(0);
}

static void crashed(void)
{
	struct stat st;
	int status;

	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		MDB_env *env = started("crashed", MDB_NOLOCK);

		put_many(env, 0, 20, 700);
		put_many(env, 20, 20, 700);
		fflush(stdout);
		raise(SIGKILL);
	}
	waitpid(pid, &status, 0);
	printf("killed %d, lock file %d\n", WIFSIGNALED(status),
	       stat(place("crashed/lock.mdb"), &st) == 0);
	uint64_t before = file_sum(place("crashed/data.mdb"));

	SHOW(chmod(place("crashed/data.mdb"), 0444));
	SHOW(chmod(place("crashed"), 0555));
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		look();
	waitpid(pid, &status, 0);
	printf("reader %d, untouched %d\n", status, file_sum(place("crashed/data.mdb")) == before);
	SHOW(chmod(place("crashed"), 0755));
}

void area_file(void)
{
	in_place();
	other_hands();
	names_and_modes();
	crashed();
}
