/* SPDX-License-Identifier: BSD-3-Clause */
/* area_asked.c - programs that ask again and again, where a library may remember an answer: each
 * one is that of its own moment, whoever has committed meanwhile. */
#include "areas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *dir;
static MDB_env *env;

/* entries - of the main database, by mdb_env_stat, asked twice. */
static size_t entries(void)
{
	MDB_stat once, twice;

	if (mdb_env_stat(env, &once) || mdb_env_stat(env, &twice))
		exit(2);
	if (memcmp(&once, &twice, sizeof once) != 0)
		printf("two answers of one moment differ\n");
	return once.ms_entries;
}

/* in_txn - of a database in a transaction, asked twice. */
static size_t in_txn(MDB_txn *txn, MDB_dbi dbi)
{
	MDB_stat once, twice;

	if (mdb_stat(txn, dbi, &once) || mdb_stat(txn, dbi, &twice))
		exit(2);
	if (memcmp(&once, &twice, sizeof once) != 0)
		printf("two answers of one moment differ\n");
	return once.ms_entries;
}

static void puts_some(MDB_txn *txn, MDB_dbi dbi, unsigned int from, unsigned int n)
{
	for (unsigned int i = from; i < from + n; i++) {
		char key[16];
		MDB_val k = {(size_t)snprintf(key, sizeof key, "%06u", i), key},
		        v = value_of("value");

		if (mdb_put(txn, dbi, &k, &v, 0))
			exit(2);
	}
}

static MDB_txn *begun(MDB_env *of, unsigned int flags)
{
	MDB_txn *txn;

	if (mdb_txn_begin(of, NULL, flags, &txn))
		exit(2);
	return txn;
}

/* elsewhere - the same by another process. */
static void elsewhere(unsigned int from, unsigned int n)
{
	int status;

	fflush(stdout);
	const pid_t pid = fork();

	if (pid == 0) {
		MDB_env *own;

		if (mdb_env_create(&own) || mdb_env_open(own, dir, 0, 0644))
			_exit(2);
		main_open(own);
		MDB_txn *txn = begun(own, 0);

		puts_some(txn, 1, from, n);
		if (mdb_txn_commit(txn))
			_exit(2);
		mdb_env_close(own);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		exit(2);
	printf("another process %d\n", WEXITSTATUS(status));
}

static void numbers(void)
{
	MDB_txn *txn, *old, *child;
	MDB_dbi dbi;

	printf("new: %zu\n", entries());
	txn = begun(env, 0);
	puts_some(txn, 1, 0, 100);
	printf("not committed: %zu, in it %zu\n", entries(), in_txn(txn, 1));
	SHOW(mdb_txn_commit(txn));
	printf("committed: %zu\n", entries());
	old = begun(env, MDB_RDONLY);
	printf("a reader %zu\n", in_txn(old, 1));
	elsewhere(100, 1000);
	printf("%zu, the reader %zu\n", entries(), in_txn(old, 1));
	mdb_txn_reset(old);
	SHOW(mdb_txn_renew(old));
	printf("renewed %zu\n", in_txn(old, 1));
	mdb_txn_reset(old);
	SHOW(mdb_txn_renew(old));
	printf("renewed, nothing new %zu\n", in_txn(old, 1));
	txn = begun(env, 0);
	SHOW(mdb_dbi_open(txn, "named", MDB_CREATE, &dbi));
	puts_some(txn, dbi, 0, 10);
	SHOW(mdb_txn_begin(env, txn, 0, &child));
	puts_some(child, dbi, 10, 10);
	printf("nested %zu\n", in_txn(child, dbi));
	mdb_txn_abort(child);
	printf("named %zu, main %zu\n", in_txn(txn, dbi), in_txn(txn, 1));
	SHOW(mdb_txn_commit(txn));
	mdb_txn_reset(old);
	SHOW(mdb_txn_renew(old));
	printf("with a name %zu, named %zu\n", in_txn(old, 1), in_txn(old, dbi));
	txn = begun(env, 0);
	puts_some(txn, dbi, 100, 50);
	SHOW(mdb_drop(txn, 1, 0));
	printf("emptied %zu, others %zu\n", in_txn(txn, 1), entries());
	mdb_txn_abort(txn);
	printf("not emptied %zu, named %zu\n", entries(), in_txn(old, dbi));
	txn = begun(env, 0);
	SHOW(mdb_drop(txn, dbi, 0));
	SHOW(mdb_txn_commit(txn));
	printf("the reader's is not emptied: %zu\n", in_txn(old, dbi));
	mdb_txn_abort(old);
	old = begun(env, MDB_RDONLY);
	printf("a new one's is: %zu\n", in_txn(old, dbi));
	mdb_txn_abort(old);
}

/* went - a cursor's move, asked twice, and where it stands. */
static void went(MDB_cursor *c, MDB_cursor_op op)
{
	for (int i = 0; i < 2; i++) {
		MDB_val k = {0, NULL}, v = {0, NULL};
		const int rc = mdb_cursor_get(c, &k, &v, op);

		printf("  op %d: %d %.*s = %.*s\n", op, rc, (int)k.mv_size, (char *)k.mv_data,
		       (int)v.mv_size, (char *)v.mv_data);
	}
}

static void pair(MDB_txn *txn, MDB_dbi dbi, const char *key, const char *value)
{
	MDB_val k = value_of(key), v = value_of(value);

	SHOW(mdb_put(txn, dbi, &k, &v, 0));
}

static void looked(MDB_txn *txn, MDB_dbi dbi, MDB_cursor_op op)
{
	MDB_cursor *c;

	if (SHOW(mdb_cursor_open(txn, dbi, &c)))
		return;
	printf("of %d, in it %d\n", (int)mdb_cursor_dbi(c), mdb_cursor_txn(c) == txn);
	went(c, op);
	mdb_cursor_close(c);
}

/* looks - cursors that are opened for one look, in turn on two databases, several at once. */
static void looks(MDB_txn *txn, MDB_dbi one, MDB_dbi dups)
{
	MDB_cursor *a, *b;

	for (int i = 0; i < 3; i++) {
		looked(txn, one, i % 2 ? MDB_LAST : MDB_FIRST);
		looked(txn, one, MDB_GET_CURRENT); /* nowhere yet */
		looked(txn, dups, MDB_LAST);
		looked(txn, 0, MDB_GET_CURRENT); /* the free list */
	}
	SHOW(mdb_cursor_open(txn, one, &a));
	SHOW(mdb_cursor_open(txn, one, &b));
	went(a, MDB_FIRST);
	went(b, MDB_LAST);
	mdb_cursor_close(a);
	SHOW(mdb_cursor_open(txn, dups, &a));
	went(a, MDB_FIRST);
	went(a, MDB_LAST_DUP);
	went(a, MDB_FIRST_DUP);
	went(a, MDB_LAST_DUP);
	went(a, MDB_NEXT_DUP);
	went(a, MDB_FIRST_DUP);
	went(a, MDB_NEXT);
	went(a, MDB_LAST_DUP);
	went(a, MDB_PREV);
	went(a, MDB_FIRST_DUP);
	went(a, MDB_NEXT_NODUP);
	went(a, MDB_LAST_DUP);
	went(a, MDB_FIRST_DUP);
	mdb_cursor_close(b);
	mdb_cursor_close(a);
	looked(txn, dups, MDB_FIRST);
}

static void cursors(void)
{
	MDB_txn *txn, *old;
	MDB_cursor *c;
	MDB_dbi one, dups;

	txn = begun(env, 0);
	SHOW(mdb_dbi_open(txn, "one", MDB_CREATE, &one));
	SHOW(mdb_dbi_open(txn, "dups", MDB_CREATE | MDB_DUPSORT, &dups));
	pair(txn, one, "b", "1");
	pair(txn, one, "c", "2");
	pair(txn, dups, "k", "1");
	pair(txn, dups, "k", "2");
	pair(txn, dups, "k", "3");
	pair(txn, dups, "l", "only");
	looks(txn, one, dups);
	SHOW(mdb_txn_commit(txn));
	old = begun(env, MDB_RDONLY);
	looks(old, one, dups);
	SHOW(mdb_cursor_open(old, one, &c));
	went(c, MDB_FIRST);
	txn = begun(env, 0);
	pair(txn, one, "a", "0");
	pair(txn, one, "d", "3");
	SHOW(mdb_txn_commit(txn));
	went(c, MDB_FIRST);
	went(c, MDB_LAST);
	looks(old, one, dups);
	for (int i = 0; i < 2; i++) {
		mdb_txn_reset(old);
		SHOW(mdb_txn_renew(old));
		SHOW(mdb_cursor_renew(old, c));
		SHOW(mdb_cursor_renew(old, c));
		went(c, MDB_FIRST);
		went(c, MDB_LAST);
	}
	looked(old, one, MDB_LAST);
	mdb_txn_abort(old);
	printf("it has no transaction: %d\n", mdb_cursor_txn(c) == NULL || !is_daxkv());
	old = begun(env, MDB_RDONLY);
	SHOW(mdb_cursor_renew(old, c));
	went(c, MDB_LAST);
	looked(old, one, MDB_LAST);
	mdb_cursor_close(c);
	looks(old, one, dups);
	mdb_txn_abort(old);
}

/* left_over - cursors that were closed before and after a reset, and a transaction that nobody ends
 * before the environment is closed. */
static void left_over(void)
{
	MDB_env *other = started("left", 0);
	MDB_txn *txn = begun(other, MDB_RDONLY);
	MDB_cursor *a, *b;

	SHOW(mdb_cursor_open(txn, 1, &a));
	SHOW(mdb_cursor_open(txn, 1, &b));
	mdb_cursor_close(a);
	mdb_txn_reset(txn);
	mdb_cursor_close(b);
	mdb_env_close(other);
}

void area_asked(void)
{
	env = started("asked", 0);
	if (mdb_env_get_path(env, &dir))
		exit(2);
	numbers();
	cursors();
	left_over();
	mdb_env_close(env);
}
