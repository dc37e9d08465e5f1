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

void area_asked(void)
{
	env = started("asked", 0);
	if (mdb_env_get_path(env, &dir))
		exit(2);
	numbers();
	mdb_env_close(env);
}
