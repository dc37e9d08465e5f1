/* SPDX-License-Identifier: BSD-3-Clause */
/* area_fork.c - an environment that is used in forked children, as data loaders and servers with
 * worker processes do. What the stock library shares between parent and child, a thread's place in
 * the reader table, is left out: there the two disturb each other. */
#include "areas.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRIES = 500 };

/* in_child - run body in a forked child, which ends with its result; 100: it was killed. */
static int in_child(int (*body)(MDB_env *env), MDB_env *env, bool by_exit)
{
	int status;

	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		alarm(120);
		int rc = body(env);

		fflush(stdout);
		if (by_exit)
			exit(rc);
		_exit(rc);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static void fill(MDB_env *env)
{
	MDB_txn *txn;

	if (mdb_txn_begin(env, NULL, 0, &txn))
		exit(2);
	for (int i = 0; i < ENTRIES; i++) {
		char key[20], value[300];

		snprintf(key, sizeof key, "%08d", i);
		memset(value, 'a' + i % 26, sizeof value);
		MDB_val k = value_of(key), v = {sizeof value, value};

		if (mdb_put(txn, 1, &k, &v, 0))
			exit(2);
	}
	if (mdb_txn_commit(txn))
		exit(2);
}

static void main_opened(MDB_env *env)
{
	MDB_txn *txn;
	MDB_dbi dbi;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) || mdb_dbi_open(txn, NULL, 0, &dbi))
		exit(2);
	mdb_txn_abort(txn);
}

/* right - whether the transaction sees entry i. */
static bool right(MDB_txn *txn, int i)
{
	char key[20];

	snprintf(key, sizeof key, "%08d", i);
	MDB_val k = value_of(key), v;

	return mdb_get(txn, 1, &k, &v) == 0 && v.mv_size == 300 &&
	       ((char *)v.mv_data)[299] == 'a' + i % 26;
}

/* reads_all - a transaction for each entry, then one for all, by a cursor. */
static int reads_all(MDB_env *env)
{
	MDB_cursor *cursor;
	MDB_txn *txn;
	MDB_val k, v;
	int n = 0;

	for (int i = 0; i < ENTRIES; i++) {
		if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))
			return 1;
		if (!right(txn, i))
			return 2;
		mdb_txn_abort(txn);
	}
	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) || mdb_cursor_open(txn, 1, &cursor))
		return 3;
	while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0)
		n++;
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return n >= ENTRIES ? 0 : 4; /* or named databases are among them */
}

static int reads_and_closes(MDB_env *env)
{
	int rc = reads_all(env);

	mdb_env_close(env);
	return rc;
}

static int only_closes(MDB_env *env)
{
	mdb_env_close(env);
	return 0;
}

static int forks_again(MDB_env *env)
{
	int rc = in_child(reads_all, env, false); /* before this one has used it */

	if (!rc)
		rc = reads_all(env);
	return rc ? rc : in_child(reads_and_closes, env, true);
}

static int reads_from_elsewhere(MDB_env *env)
{
	return chdir("/") ? 9 : reads_all(env);
}

/* loaders - four at a time, on environments of all kinds. */
static void loaders(void)
{
	static const unsigned int kinds[] = {
	    0, MDB_RDONLY, MDB_RDONLY | MDB_NOLOCK, MDB_NOTLS, MDB_RDONLY | MDB_NOTLS, MDB_NOLOCK};
	const char *dir = place("fork-loaders");
	MDB_env *env = started("fork-loaders", 0);

	fill(env);
	mdb_env_close(env);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		pid_t pid[4];
		int ended = 0, status;

		if (mdb_env_create(&env) || SHOW(mdb_env_open(env, dir, kinds[i], 0644)))
			exit(2);
		main_opened(env);
		fflush(stdout);
		for (int c = 0; c < 4; c++) {
			pid[c] = fork();
			if (pid[c] == 0)
				_exit(reads_all(env));
		}
		for (int c = 0; c < 4; c++)
			ended += waitpid(pid[c], &status, 0) == pid[c] && status == 0;
		if (is_daxkv() ||
		    kinds[i] &
		        (MDB_NOTLS | MDB_NOLOCK)) /* else they share a place in the stock library */
			printf("kind %zu: %d of 4\n", i, ended);
		else
			printf("kind %zu: 4 of 4\n", i);
		printf("closing %d %d\n", in_child(reads_and_closes, env, false),
		       in_child(only_closes, env, true));
		printf("again %d\n", in_child(forks_again, env, true));
		printf("elsewhere %d\n", in_child(reads_from_elsewhere, env, false));
		printf("the parent %d\n", reads_all(env));
		mdb_env_close(env);
	}
}

/* ---- handles and transactions of the parent -------------------------------------------------- */

static MDB_dbi named;
static MDB_txn *open_txn, *reset_txn;

static int backward(const MDB_val *a, const MDB_val *b)
{
	return -strncmp(a->mv_data, b->mv_data, a->mv_size < b->mv_size ? a->mv_size : b->mv_size);
}

static int reads_named(MDB_env *env)
{
	MDB_txn *txn;
	MDB_val k = value_of("2"), v;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) || mdb_get(txn, named, &k, &v))
		return 1;
	shown_val("2", &v);
	shown_all(txn, named);
	mdb_txn_abort(txn);
	return 0;
}

static int uses_the_parents(MDB_env *env)
{
	MDB_val k = value_of("2"), v;
	MDB_cursor *cursor;

	(void)env;
	SHOW(mdb_get(open_txn, named, &k, &v));
	shown_val("2", &v);
	SHOW(mdb_cursor_open(open_txn, named, &cursor));
	SHOW(mdb_cursor_get(cursor, &k, &v, MDB_FIRST));
	shown_val("first", &k);
	mdb_cursor_close(cursor);
	mdb_txn_abort(open_txn);
	SHOW(mdb_txn_renew(reset_txn));
	SHOW(mdb_get(reset_txn, named, &k, &v));
	SHOW(mdb_txn_commit(reset_txn));
	return 0;
}

static void handles(unsigned int flags, const char *name)
{
	MDB_env *env = started(name, flags);
	MDB_txn *txn;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "named", MDB_CREATE, &named));
	SHOW(mdb_set_compare(txn, named, backward));
	for (char i = '1'; i < '4'; i++) {
		MDB_val k = {1, &i};

		SHOW(mdb_put(txn, named, &k, &k, 0));
	}
	SHOW(mdb_txn_commit(txn));
	printf("child %d\n", in_child(reads_named, env, false));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &reset_txn));
	mdb_txn_reset(reset_txn);
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &open_txn));
	printf("child %d\n", in_child(uses_the_parents, env, false));
	MDB_val k = value_of("3"), v;

	SHOW(mdb_get(open_txn, named, &k, &v)); /* the child's end was not ours */
	mdb_txn_abort(open_txn);
	mdb_txn_abort(reset_txn);
	mdb_env_close(env);
}

/* ---- what daxkv promises beyond it ----------------------------------------------------------- */

static int pipes[2][2];

static void tell(int to)
{
	if (write(to, "x", 1) != 1)
		_exit(8);
}

static void hear(int from)
{
	char c;

	if (read(from, &c, 1) != 1)
		_exit(9);
}

/* holds_a_snapshot - the parent overwrites everything meanwhile, many times, and closes the
 * environment. */
static int holds_a_snapshot(MDB_env *env)
{
	MDB_txn *txn;
	int wrong = 0;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))
		return 1;
	tell(pipes[0][1]);
	hear(pipes[1][0]);
	for (int i = 0; i < ENTRIES; i++)
		wrong += !right(txn, i);
	mdb_txn_abort(txn);
	return wrong ? 2 : 0;
}

static int overwritten(MDB_env *env, int rounds)
{
	for (int round = 0; round < rounds; round++) {
		MDB_txn *txn;

		if (mdb_txn_begin(env, NULL, 0, &txn))
			return 1;
		for (int i = 0; i < ENTRIES; i += 7) {
			char key[20];

			snprintf(key, sizeof key, "%08d", i);
			MDB_val k = value_of(key), v = value_of("short");

			if (mdb_put(txn, 1, &k, &v, 0))
				return 2;
		}
		if (mdb_txn_commit(txn))
			return 3;
	}
	return 0;
}

static int uses_an_old_transaction(MDB_env *env)
{
	MDB_val k = value_of("00000001"), v;

	(void)env;
	tell(pipes[0][1]);
	hear(pipes[1][0]);
	return mdb_get(open_txn, 1, &k, &v) == MDB_BAD_TXN ? 0 : 1;
}

/* beside_writer - run a child whose parent writes while it waits. */
static int beside_writer(int (*body)(MDB_env *env), MDB_env *env, bool close_it)
{
	int status;

	if (pipe(pipes[0]) || pipe(pipes[1]))
		exit(2);
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0)
		_exit(body(env));
	hear(pipes[0][0]);
	int rc = overwritten(env, 300);

	if (close_it)
		mdb_env_close(env);
	tell(pipes[1][1]);
	waitpid(pid, &status, 0);
	for (int i = 0; i < 4; i++)
		close(pipes[i / 2][i % 2]);
	return rc ? rc : WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static int writes_too(MDB_env *env)
{
	MDB_txn *txn;
	MDB_val k = value_of("child"), v = value_of("wrote");

	return mdb_txn_begin(env, NULL, 0, &txn) || mdb_put(txn, 1, &k, &v, 0) ||
	       mdb_txn_commit(txn);
}

static int stop; /* atomic */

static void *keeps_busy(void *arg)
{
	MDB_env *env = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		MDB_txn *txn;
		MDB_dbi dbi;
		char name[8];

		snprintf(name, sizeof name, "db%d", rand() % 4);
		if (mdb_txn_begin(env, NULL, rand() % 2 ? 0 : MDB_RDONLY, &txn))
			return NULL;
		if (mdb_dbi_open(txn, name, MDB_CREATE, &dbi) == 0 && rand() % 2)
			mdb_txn_abort(txn);
		else if (mdb_txn_commit(txn))
			return NULL;
	}
	return arg;
}

/* busy - forks while other threads are anywhere in the library. */
static int busy(MDB_env *env)
{
	pthread_t thread[3];
	int bad = 0;
	void *done;

	for (int i = 0; i < 3; i++)
		if (pthread_create(&thread[i], NULL, keeps_busy, env))
			exit(2);
	for (int i = 0; i < 60; i++)
		bad += in_child(i % 3 ? writes_too : reads_all, env, i % 2) != 0;
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++)
		bad += pthread_join(thread[i], &done) || !done;
	return bad;
}

/* quietly - started, and nothing is printed that the stock library does not print. */
static MDB_env *quietly(const char *name)
{
	const char *dir = place(name);
	MDB_env *env;

	if (mkdir(dir, 0755) || mdb_env_create(&env) || mdb_env_set_maxdbs(env, 8) ||
	    mdb_env_set_mapsize(env, 64 << 20))
		exit(2);
	if (mdb_env_open(env, dir, 0, 0644))
		exit(2);
	return env;
}

static int moved_away(MDB_env *env)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	return rc == MDB_PANIC ? 0 : 1;
}

/* moved - the environment's name leads to another one by now: a child does not take that for its
 * parent's. */
static int moved(void)
{
	MDB_env *env = quietly("fork-moved"), *other;
	char away[4096];

	snprintf(away, sizeof away, "%s", place("fork-moved-away"));
	if (rename(place("fork-moved"), away))
		exit(2);
	other = quietly("fork-moved");
	int rc = in_child(moved_away, env, false);

	mdb_env_close(other);
	mdb_env_close(env);
	return rc;
}

static void beyond(void)
{
	MDB_env *env = quietly("fork-beyond");

	fill(env);
	int bad = busy(env);
	MDB_val k = value_of("child"), v;
	MDB_txn *txn;

	bad += mdb_txn_begin(env, NULL, 0, &txn) || mdb_get(txn, 1, &k, &v) ||
	       mdb_drop(txn, 1, 0) || mdb_txn_commit(txn);
	fill(env);
	bad += mdb_txn_begin(env, NULL, MDB_RDONLY, &open_txn) != 0;
	bad += beside_writer(uses_an_old_transaction, env, false);
	mdb_txn_abort(open_txn);
	fill(env);
	bad += beside_writer(holds_a_snapshot, env, true);
	bad += moved();
	if (bad)
		printf("%d things went wrong\n", bad);
}

void area_fork(void)
{
	loaders();
	handles(0, "fork-handles");
	handles(MDB_NOTLS, "fork-handles-notls");
	if (is_daxkv())
		beyond();
}
