/* SPDX-License-Identifier: BSD-3-Clause */
/* differ_full.c - of the random walk: a map that is full. */
#include "differ.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* full_state - what the small environment holds. */
static void full_state(MDB_env *env)
{
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_val k, v;
	size_t n = 0, bytes = 0;

	must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
	must(mdb_cursor_open(txn, 1, &c), "cursor");
	for (; mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0; n++)
		bytes += k.mv_size + v.mv_size;
	mdb_cursor_close(c);
	mdb_txn_abort(txn);
	say("holds %zu, %zu bytes\n", n, bytes);
}

/* fill - put into txn until there is no room. How much that was is the library's own: a random
 * state of its own goes with it. */
static int fill(MDB_txn *txn)
{
	static unsigned char bytes[6000];
	uint64_t kept = random_state;
	int rc = 0;

	for (unsigned int i = 0; !rc && i < 100000; i++) {
		MDB_val k = {sizeof i, &i}, v = {rnd(20) ? rnd(600) : rnd(sizeof bytes), bytes};

		rc = mdb_put(txn, 1, &k, &v, 0);
	}
	random_state = kept;
	return rc;
}

/* do_full - MDB_MAP_FULL spoils the transaction and nothing else; a larger map takes what did not
 * fit. */
void do_full(const char *scratch)
{
	static MDB_env *env;
	static char dir[4200];
	static size_t size = 1 << 20;
	MDB_txn *txn, *child;
	MDB_dbi main_dbi;
	unsigned char bytes[900] = {0};
	MDB_val k = {8, bytes}, v = {sizeof bytes, bytes};
	int rc;

	if (!env) {
		snprintf(dir, sizeof dir, "%s/full", scratch);
		if (mkdir(dir, 0755) != 0 && errno != EEXIST)
			exit(2);
		must(mdb_env_create(&env), "create");
		must(mdb_env_open(env, dir, MDB_NOSYNC | MDB_NOTLS, 0644), "env open");
	}
	must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	must(mdb_dbi_open(txn, NULL, 0, &main_dbi), "open");
	must(mdb_drop(txn, main_dbi, 0), "drop");
	for (uint64_t i = 0, n = rnd(100); i < n; i++) {
		memcpy(bytes, &i, sizeof i);
		must(mdb_put(txn, main_dbi, &k, &v, 0), "put");
	}
	must(mdb_txn_commit(txn), "commit");
	must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	if (rnd(3) == 0) { /* the child's failure */
		must(mdb_txn_begin(env, txn, 0, &child), "begin");
		say("full: %d\n", fill(child));
		rc = mdb_get(child, 1, &k, &v);
		say("get %d, commit %d\n", rc, mdb_txn_commit(child));
		mdb_txn_abort(txn);
	} else {
		say("full: %d\n", fill(txn));
		rc = mdb_get(txn, 1, &k, &v);
		say("get %d, put %d", rc, mdb_put(txn, 1, &k, &v, 0));
		printf(", commit %d\n", rnd(2) ? mdb_txn_commit(txn) : (mdb_txn_abort(txn), 0));
	}
	full_state(env);
	if (rnd(10) == 0 && size < 8 << 20)
		size += 1 << 20;
	say("map size: %d\n", mdb_env_set_mapsize(env, size));
}
