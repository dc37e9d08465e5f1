/* SPDX-License-Identifier: BSD-3-Clause */
/* area_sync.c - which calls wait for the disk, by the flags that relax it, and what is there when a
 * process ends without a sync, or when the file alone is kept behind one. This program's fdatasync
 * and msync stand before the C library's, for both libraries. */
#include "areas.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMITS 5u

static unsigned int flushes;

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	flushes++;
	return next(fd);
}

__attribute__((visibility("default"))) int msync(void *addr, size_t size, int flags)
{
	int (*next)(void *, size_t, int) = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "msync");

	flushes += flags & MS_SYNC ? 1 : 0;
	return next(addr, size, flags);
}

static void put_one(MDB_env *env, unsigned int flags, unsigned int number)
{
	MDB_txn *txn;
	MDB_val k = {sizeof number, &number}, v = value_of("value");

	if (mdb_txn_begin(env, NULL, flags, &txn) || mdb_put(txn, 1, &k, &v, 0) ||
	    mdb_txn_commit(txn))
		exit(2);
}

/* waiting_of - how many of some commits wait. One more comes first, which may end what was. */
static unsigned int waiting_of(MDB_env *env, unsigned int flags)
{
	static unsigned int number; /* the keys differ */
	unsigned int waiting = 0;

	put_one(env, flags, number++);
	for (unsigned int i = 0; i < COMMITS; i++) {
		const unsigned int before = flushes;

		put_one(env, flags, number++);
		waiting += flushes != before;
	}
	return waiting;
}

static void commits(const char *what, MDB_env *env)
{
	printf("%s: %u of %u commits wait\n", what, waiting_of(env, 0), COMMITS);
}

static void sync_shown(MDB_env *env, int force)
{
	const unsigned int before = flushes;
	const int rc = mdb_env_sync(env, force);

	printf("sync %d: %d, %s\n", force, rc, flushes != before ? "waits" : "does not wait");
}

static size_t entries_of(const char *dir)
{
	MDB_env *env;
	MDB_stat stat;

	if (mdb_env_create(&env) || mdb_env_open(env, dir, 0, 0644) || mdb_env_stat(env, &stat))
		exit(2);
	mdb_env_close(env);
	return stat.ms_entries;
}

/* copied - what the file alone holds, in a directory of its own. */
static void copied(const char *name)
{
	char dir[64], command[9000];

	snprintf(dir, sizeof dir, "%s-copy", name);
	mkdir(place(dir), 0755);
	snprintf(command, sizeof command, "cp %s/data.mdb %s/data.mdb", place(name), place(dir));
	if (system(command))
		exit(2);
	printf("in the file: %zu entries\n", entries_of(place(dir)));
}

/* relaxed - nothing waits but a sync with force. */
static void relaxed(const char *name, unsigned int flags)
{
	MDB_env *env = started(name, flags);

	commits(name, env);
	sync_shown(env, 0);
	commits("behind a sync without force", env);
	sync_shown(env, 1);
	copied(name);
	commits("behind it", env);
	mdb_env_close(env);
}

static void switched(void)
{
	MDB_env *env = started("switched", 0);

	commits("durable", env);
	/* LMDB 0.9 waits for the data all the same, and not for the page that refers to it */
	if (waiting_of(env, MDB_NOSYNC) && is_daxkv())
		puts("transactions with NOSYNC wait");
	commits("the next ones", env);
	SHOW(mdb_env_set_flags(env, MDB_NOSYNC, 1));
	commits("switched on", env);
	SHOW(mdb_env_set_flags(env, MDB_NOSYNC, 0));
	commits("switched off", env);
	copied("switched");
	mdb_env_close(env);
}

/* ended - a process that ends without a sync or a close loses nothing. */
static void ended(void)
{
	pid_t pid;
	int status;

	mkdir(place("ended"), 0755);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		MDB_env *env;

		if (mdb_env_create(&env) || mdb_env_open(env, place("ended"), MDB_NOSYNC, 0644))
			_exit(2);
		main_open(env);
		for (unsigned int i = 0; i < 100; i++)
			put_one(env, 0, i);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		exit(2);
	printf("a process ended without a sync: %zu entries\n", entries_of(place("ended")));
	copied("ended");
}

void area_sync(void)
{
	/* memory that keeps a commit without a system call has nothing to relax */
	if (setenv("DAXKV_PMEM", "file", 1))
		exit(2);
	relaxed("NOSYNC", MDB_NOSYNC);
	relaxed("MAPASYNC", MDB_WRITEMAP | MDB_MAPASYNC);
	switched();
	ended();
}
