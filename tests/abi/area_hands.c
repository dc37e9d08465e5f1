/* SPDX-License-Identifier: BSD-3-Clause */
/* area_hands.c - transactions that go from hand to hand between threads, handles that outlive their
 * threads, the program's own locks on the file. */
#include "areas.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static MDB_env *env;
static MDB_txn *txn;
static MDB_cursor *cursor;

static void in_thread(void *(*run)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, NULL) || pthread_join(thread, NULL))
		exit(2);
}

static void *begins(void *arg)
{
	MDB_val k = value_of("k"), v = value_of("from the thread");

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	return arg;
}

static void *commits(void *arg)
{
	SHOW(mdb_txn_commit(txn));
	return arg;
}

/* nolock - without locks LMDB does not know threads. */
static void nolock(void)
{
	MDB_val k = value_of("k"), v = value_of("v");

	env = started("hands-nolock", MDB_NOLOCK);
	in_thread(begins);
	SHOW(mdb_get(txn, 1, &k, &v));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	v = value_of("from main");
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	in_thread(commits);
	in_thread(begins);
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_get(txn, 1, &k, &v));
	shown_val("k", &v);
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

static void *aborts(void *arg)
{
	mdb_txn_abort(txn);
	return arg;
}

/* elsewhere - a transaction is ended by a thread that did not begin it, as a garbage collector's
 * finalizer does. LMDB keeps its writer's lock then, so each case has an environment of its own. */
static void elsewhere(const char *name, void *(*ends)(void *))
{
	MDB_val k = value_of("k"), v = value_of("begun here");

	env = started(name, 0);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	in_thread(ends);
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_get(txn, 1, &k, &v));
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

/* ---- readers --------------------------------------------------------------------------------- */

static void *reads_and_resets(void *arg)
{
	MDB_val k = value_of("k"), v;

	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_get(txn, 1, &k, &v));
	SHOW(mdb_cursor_open(txn, 1, &cursor));
	SHOW(mdb_cursor_get(cursor, &k, &v, MDB_FIRST));
	mdb_txn_reset(txn);
	return arg;
}

static pthread_barrier_t together;

/* shares - look at databases, open cursors and go to ends, again and again, in a read transaction
 * that other threads use too. */
static void *shares(void *arg)
{
	unsigned int *wrong = arg;
	MDB_val k = value_of("k"), v;
	MDB_cursor *mine, *second;
	MDB_stat stat;

	pthread_barrier_wait(&together);
	for (unsigned int i = 0; i < 20000; i++) {
		*wrong += mdb_cursor_open(txn, 1, &mine) != 0;
		*wrong += mdb_cursor_open(txn, 1, &second) != 0;
		*wrong += mdb_cursor_get(mine, &k, &v, MDB_FIRST) != 0 || v.mv_size != 4;
		*wrong += mdb_get(txn, 1, &k, &v) != 0;
		*wrong += mdb_cursor_get(mine, &k, &v, MDB_LAST) != 0 || v.mv_size != 4;
		*wrong += mdb_cursor_get(mine, &k, &v, MDB_FIRST) != 0 || v.mv_size != 4;
		*wrong += mdb_stat(txn, 1, &stat) != 0 || stat.ms_entries != 1;
		*wrong += mdb_env_stat(env, &stat) != 0 || stat.ms_entries != 1;
		mdb_cursor_close(mine);
		mdb_cursor_close(second);
	}
	return NULL;
}

/* shared - LMDB keeps nothing of a read transaction's cursors, so programs give one transaction to
 * several threads. */
static void shared(void)
{
	MDB_val k = value_of("k"), v = value_of("many");
	unsigned int wrong[4] = {0};
	pthread_t thread[4];

	env = started("hands-shared", MDB_NOTLS);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	if (pthread_barrier_init(&together, NULL, 4))
		exit(2);
	for (int i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, shares, &wrong[i]))
			exit(2);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&together);
	printf("wrong: %u\n", wrong[0] + wrong[1] + wrong[2] + wrong[3]);
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

static void *begins_reading(void *arg)
{
	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))
		exit(2);
	mdb_txn_reset(txn);
	return arg;
}

/* several - a thread's second handle while its first is reset; one that is reset is renewed by
 * another thread. */
static void several(void)
{
	MDB_txn *other;
	MDB_val k = value_of("k"), v = value_of("v");

	env = started("hands-several", 0);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	mdb_txn_reset(txn);
	for (int i = 0; i < 3; i++) {
		SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &other));
		SHOW(mdb_get(other, 1, &k, &v));
		SHOW(mdb_txn_renew(txn));
		mdb_txn_abort(other);
	}
	SHOW(mdb_txn_renew(txn));
	SHOW(mdb_get(txn, 1, &k, &v));
	mdb_txn_abort(txn);
	in_thread(reads_and_resets); /* the thread is gone */
	SHOW(mdb_txn_renew(txn));
	SHOW(mdb_cursor_renew(txn, cursor));
	SHOW(mdb_cursor_get(cursor, &k, &v, MDB_NEXT));
	shown_val("v", &v);
	mdb_txn_abort(txn);
	mdb_cursor_close(cursor);
	for (int i = 0; i < 300; i++) { /* an entry each, if it were not given back */
		in_thread(begins_reading);
		mdb_txn_abort(txn);
	}
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_cursor_open(txn, 1, &cursor));
	SHOW(mdb_txn_commit(txn)); /* a cursor outlives its transaction */
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	v = value_of("w");
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_cursor_renew(txn, cursor));
	SHOW(mdb_cursor_get(cursor, &k, &v, MDB_GET_CURRENT));
	SHOW(mdb_cursor_get(cursor, &k, &v, MDB_NEXT));
	shown_val("v", &v);
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

static void *reads_and_leaves(void *arg)
{
	MDB_val k = value_of("k"), v;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) || mdb_get(txn, 1, &k, &v))
		return NULL;
	if (mdb_cursor_open(txn, 1, &cursor) || mdb_cursor_get(cursor, &k, &v, MDB_FIRST))
		return NULL;
	return arg;
}

static void *reads_resets_and_leaves(void *arg)
{
	if (!reads_and_leaves(arg))
		return NULL;
	mdb_txn_reset(txn);
	return arg;
}

static void *begins_twice_and_leaves(void *arg)
{
	if (!reads_resets_and_leaves(arg))
		return NULL;
	return reads_and_leaves(arg); /* by a second handle */
}

/* leaving - threads that end with a transaction which is open, or reset, leave no place taken, and
 * no snapshot that keeps space from being used again. */
static void leaving(void)
{
	void *(*const run[])(void *) = {reads_and_leaves, reads_resets_and_leaves,
	                                begins_twice_and_leaves};
	char value[900] = {0};

	env = started("hands-leaving", 0);
	for (int i = 0; i < 3; i++) {
		MDB_val k = value_of("k"), v = {sizeof value, value};
		MDB_txn *left = NULL;
		int threads = 0, commits = 0;

		SHOW(mdb_txn_begin(env, NULL, 0, &txn));
		SHOW(mdb_put(txn, 1, &k, &v, 0));
		SHOW(mdb_txn_commit(txn));
		for (; threads < 400; threads++) {
			pthread_t thread;
			void *done;

			if (pthread_create(&thread, NULL, run[i], env) ||
			    pthread_join(thread, &done))
				exit(2);
			if (!done)
				break;
			if (threads == 7)
				left = txn;
			mdb_cursor_close(cursor);
		}
		for (; commits < 2000; commits++) {
			if (mdb_txn_begin(env, NULL, 0, &txn))
				break;
			memset(value, commits, sizeof value);
			if (mdb_put(txn, 1, &k, &v, 0) || mdb_txn_commit(txn))
				break;
		}
		printf("%d: threads %d, commits %d\n", i, threads, commits);
		mdb_txn_reset(left);
		SHOW(mdb_txn_renew(left)); /* here it is another thread's */
		SHOW(mdb_get(left, 1, &k, &v));
		printf("%d\n", ((char *)v.mv_data)[0]);
		mdb_txn_abort(left);
	}
	mdb_env_close(env);
}

/* stepping - reset and renewed between steps, the cursor itself is not renewed: PHP does so. */
static void stepping(void)
{
	MDB_val k, v = value_of("v");
	char name[2] = "a";

	env = started("hands-stepping", 0);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	for (; name[0] < 'k'; name[0]++) {
		k = value_of(name);
		if (mdb_put(txn, 1, &k, &v, 0))
			exit(2);
	}
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_cursor_open(txn, 1, &cursor));
	for (int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST); !rc;
	     rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		shown_val("k", &k);
		mdb_txn_reset(txn);
		SHOW(mdb_cursor_get(cursor, &k, &v, MDB_NEXT));
		SHOW(mdb_txn_renew(txn));
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

/* ---- copies beside a writer ------------------------------------------------------------------ */

static int stop; /* atomic */

static void *writes(void *arg)
{
	for (uint64_t n = 0; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); n++) {
		MDB_txn *mine;
		MDB_val k = value_of("left"), v = {sizeof n, &n};

		if (mdb_txn_begin(env, NULL, 0, &mine) || mdb_put(mine, 1, &k, &v, 0) ||
		    (k = value_of("right"), mdb_put(mine, 1, &k, &v, 0)) || mdb_txn_commit(mine))
			exit(2);
	}
	return arg;
}

static void show_copied(const char *path)
{
	MDB_env *copy;
	MDB_dbi dbi;
	MDB_val k = value_of("left"), l, r;

	if (mdb_env_create(&copy))
		exit(2);
	SHOW(mdb_env_open(copy, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_RDONLY, 0));
	SHOW(mdb_txn_begin(copy, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_dbi_open(txn, NULL, 0, &dbi));
	SHOW(mdb_get(txn, dbi, &k, &l));
	k = value_of("right");
	SHOW(mdb_get(txn, dbi, &k, &r));
	printf("the same %d\n",
	       l.mv_size == r.mv_size && memcmp(l.mv_data, r.mv_data, l.mv_size) == 0);
	mdb_txn_abort(txn);
	mdb_env_close(copy);
}

static void copies(void)
{
	MDB_val k = value_of("left"), v = {8, (char[8]){0}};
	pthread_t thread;

	env = started("hands-copies", MDB_NOSYNC);
	SHOW(mdb_env_set_mapsize(env, 256 << 20));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	k = value_of("right");
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	if (pthread_create(&thread, NULL, writes, NULL))
		exit(2);
	for (int i = 0; i < 6; i++) {
		const char *name = place("hands-copied");
		int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

		SHOW(mdb_env_copyfd2(env, fd, i % 2 ? MDB_CP_COMPACT : 0));
		close(fd);
		show_copied(name);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	mdb_env_close(env);
}

/* ---- the program's locks --------------------------------------------------------------------- */

static int lock_all(int fd, int command, short type)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET};

	return fcntl(fd, command, &fl) == 0 ? 0 : errno;
}

static void locks(void)
{
	MDB_val k = value_of("k"), v = value_of("v");
	const char *dir = place("hands-locks");
	int fd = -1, status;

	env = started("hands-locks", 0);
	SHOW(mdb_env_get_fd(env, &fd));
	SHOW(lock_all(fd, F_SETLK, F_WRLCK));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	fflush(stdout);
	pid_t pid = fork();

	if (pid ==
	    0) { /* another process uses the environment while this one has its file locked */
		MDB_env *mine;

		if (mdb_env_create(&mine) || mdb_env_open(mine, dir, 0, 0644))
			_exit(1);
		main_open(mine);
		if (mdb_txn_begin(mine, NULL, MDB_RDONLY, &txn) || mdb_get(txn, 1, &k, &v))
			_exit(1);
		mdb_txn_abort(txn);
		mdb_env_close(mine);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("beside it: %d\n", status);
	SHOW(lock_all(fd, F_SETLK, F_UNLCK));
	SHOW(lock_all(fd, F_OFD_SETLK, F_WRLCK));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_txn_commit(txn));
	SHOW(lock_all(fd, F_OFD_SETLK, F_UNLCK));
	SHOW(posix_fallocate(fd, 0,
	                     1 << 20)); /* to the map size, as programs do to have the space */
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	mdb_env_close(env);
}

void area_hands(void)
{
	nolock();
	elsewhere("hands-commit", commits);
	elsewhere("hands-abort", aborts);
	several();
	shared();
	leaving();
	stepping();
	copies();
	locks();
}
