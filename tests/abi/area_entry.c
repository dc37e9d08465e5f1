/* SPDX-License-Identifier: BSD-3-Clause */
/* area_entry.c - get, put, del; a full map; copies. */
#include "areas.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void integers(MDB_env *env)
{
	static const uint64_t some[] = {256, 1, 1u << 31, 0, (uint64_t)1 << 40, 255};
	MDB_txn *txn;
	MDB_dbi dbi;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "integers", MDB_CREATE | MDB_INTEGERKEY, &dbi));
	for (size_t i = 0; i < 6; i++) {
		uint64_t n = some[i];
		MDB_val k = {sizeof n, &n}, v = value_of("v");

		SHOW(mdb_put(txn, dbi, &k, &v, 0));
	}
	shown_all(txn, dbi);
	SHOW(mdb_dbi_open(txn, "small integers", MDB_CREATE | MDB_INTEGERKEY, &dbi));
	for (size_t i = 0; i < 6; i++) {
		unsigned int n = (unsigned int)some[i];
		MDB_val k = {sizeof n, &n}, v = value_of("v");

		SHOW(mdb_put(txn, dbi, &k, &v, i == 5 ? MDB_APPEND : 0));
	}
	shown_all(txn, dbi);
	SHOW(mdb_txn_commit(txn));
}

/* aligned - programs look at integers where they lie. The stock library promises less, and is not
 * asked. */
static void aligned(MDB_env *env)
{
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_dbi dbi;
	MDB_val k, v;
	bool all = true;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "aligned",
	                  MDB_CREATE | MDB_INTEGERKEY | MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP,
	                  &dbi));
	for (uint64_t i = 0; i < 3000; i++) {
		uint64_t key = i * 7919 % 500;

		k = (MDB_val){sizeof key, &key};
		v = (MDB_val){sizeof i, &i};
		if (mdb_put(txn, dbi, &k, &v, 0))
			exit(2);
	}
	SHOW(mdb_cursor_open(txn, dbi, &c));
	while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0)
		all &= (uintptr_t)k.mv_data % 8 == 0 && (uintptr_t)v.mv_data % 8 == 0;
	for (int rc = mdb_cursor_get(c, &k, &v, MDB_FIRST); rc == 0;
	     rc = mdb_cursor_get(c, &k, &v, MDB_NEXT_NODUP)) {
		if (mdb_cursor_get(c, &k, &v, MDB_GET_MULTIPLE))
			exit(2);
		all &= (uintptr_t)v.mv_data % 8 == 0;
	}
	printf("aligned %d\n", all || !is_daxkv());
	mdb_txn_abort(txn);
}

/* pages - sizes that programs work out from numbers of pages are near the truth. */
static void pages(MDB_env *env)
{
	MDB_txn *txn;
	MDB_stat st;
	MDB_envinfo info;
	char bytes[500];
	size_t data = 0;

	memset(bytes, 'p', sizeof bytes);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	for (unsigned int i = 0; i < 600; i++) {
		MDB_val k = {sizeof i, &i}, v = {i % 50 == 0 ? 9000 : sizeof bytes, NULL};

		if (mdb_put(txn, 1, &k, &v, MDB_RESERVE))
			exit(2);
		memset(v.mv_data, 'p', v.mv_size);
		data += k.mv_size + v.mv_size;
	}
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_env_stat(env, &st));
	SHOW(mdb_env_info(env, &info));
	size_t used = st.ms_psize * (st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages),
	       map = (info.me_last_pgno + 1) * st.ms_psize;

	printf("page size %u, depth %d, branch %d, leaf %d, overflow %d\n", st.ms_psize,
	       st.ms_depth > 1, st.ms_branch_pages > 0, st.ms_leaf_pages > 0,
	       st.ms_overflow_pages > 0);
	printf("data %d, map %d\n", used > data && used < 3 * data,
	       map >= used && map <= info.me_mapsize);
}

/* afterwards - a value is read just after its transaction ended, and even when one commit has
 * replaced it since. */
static void afterwards(MDB_env *env)
{
	MDB_txn *txn;
	MDB_val k = value_of("soon gone"), v = value_of("what it was"), w;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_get(txn, 1, &k, &w));
	mdb_txn_abort(txn);
	shown_val("after its transaction", &w);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	v = value_of("another one");
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	shown_val("after a commit", &w);
}

static void reserve(MDB_txn *txn)
{
	MDB_val k = value_of("reserved"), v = {10, NULL}, big = {100000, NULL};

	SHOW(mdb_put(txn, 1, &k, &v, MDB_RESERVE));
	memcpy(v.mv_data, "0123456789", 10);
	SHOW(mdb_get(txn, 1, &k, &v));
	shown_val("reserved", &v);
	k = value_of("reserved big");
	SHOW(mdb_put(txn, 1, &k, &big, MDB_RESERVE));
	memset(big.mv_data, 'b', big.mv_size);
	SHOW(mdb_get(txn, 1, &k, &v));
	shown_val("reserved", &v);
}

/* sizes - keys, duplicates, values and names around the longest that the library takes. */
static void sizes(MDB_env *env)
{
	static char bytes[2000];
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_dbi plain, dups, named;

	memset(bytes, 's', sizeof bytes - 1);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "plain", MDB_CREATE, &plain));
	SHOW(mdb_dbi_open(txn, "dups", MDB_CREATE | MDB_DUPSORT, &dups));
	for (size_t size = 510; size <= 513; size++) {
		MDB_val k = {size, bytes}, v = {size, bytes}, one = {1, bytes},
		        many[2] = {v, {1, NULL}};

		printf("%zu bytes\n", size);
		SHOW(mdb_put(txn, plain, &k, &one, 0));
		SHOW(mdb_put(txn, plain, &one, &v, 0));
		SHOW(mdb_put(txn, plain, &k, &one, MDB_NOOVERWRITE));
		SHOW(mdb_put(txn, dups, &k, &one, 0));
		SHOW(mdb_put(txn, dups, &one, &v, MDB_NODUPDATA));
		SHOW(mdb_cursor_open(txn, dups, &c));
		SHOW(mdb_cursor_put(c, &one, &v, 0));
		SHOW(mdb_cursor_put(c, &one, &v, MDB_CURRENT));
		SHOW(mdb_cursor_put(c, &k, &one, 0));
		SHOW(mdb_cursor_put(c, &one, many, MDB_MULTIPLE));
		SHOW(mdb_cursor_get(c, &k, &v, MDB_GET_BOTH));
		SHOW(mdb_cursor_get(c, &k, &v, MDB_SET));
		mdb_cursor_close(c);
		SHOW(mdb_get(txn, plain, &k, &v));
		SHOW(mdb_del(txn, plain, &k, NULL));
		k = (MDB_val){size, bytes};
		SHOW(mdb_del(txn, dups, &one, &k));
		SHOW(mdb_dbi_open(txn, bytes + sizeof bytes - 1 - size, 0, &named));
		SHOW(mdb_dbi_open(txn, bytes + sizeof bytes - 1 - size, MDB_CREATE, &named));
		SHOW(mdb_dbi_open(txn, bytes + sizeof bytes - 1 - size, 0, &named));
	}
	shown_all(txn, dups);
	SHOW(mdb_txn_commit(txn));
}

void area_entry(void)
{
	MDB_env *env = started("entry", 0);
	MDB_txn *txn;
	char big[600];
	MDB_val k = value_of("key"), v = value_of("value"), none = {0, NULL},
	        longer = {sizeof big, big};

	memset(big, 'k', sizeof big);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_put(txn, 1, &k, &v, 0x1));
	SHOW(mdb_put(txn, 1, NULL, &v, 0));
	SHOW(mdb_put(txn, 1, &k, NULL, 0));
	SHOW(mdb_put(txn, 9, &k, &v, 0));
	SHOW(mdb_put(txn, 1, &none, &v, 0));
	SHOW(mdb_get(txn, 1, &none, &v));
	SHOW(mdb_del(txn, 1, &none, NULL));
	SHOW(mdb_get(txn, 1, &longer, &v));
	SHOW(mdb_del(txn, 1, &longer, NULL));
	SHOW(mdb_get(txn, 1, NULL, &v));
	SHOW(mdb_get(txn, 1, &k, NULL));
	v = value_of("other");
	SHOW(mdb_put(txn, 1, &k, &v, MDB_NOOVERWRITE));
	shown_val("there", &v);
	SHOW(mdb_put(txn, 1, &k, &v, MDB_APPEND));
	k = value_of("a");
	SHOW(mdb_put(txn, 1, &k, &v, MDB_APPEND));
	k = value_of("z");
	SHOW(mdb_put(txn, 1, &k, &v, MDB_APPEND));
	SHOW(mdb_del(txn, 1, &k, &none));
	SHOW(mdb_del(txn, 1, &k, NULL));
	SHOW(mdb_put(txn, 1, &k, &none, 0));
	SHOW(mdb_get(txn, 1, &k, &v));
	printf("empty %zu %d\n", v.mv_size, v.mv_data != NULL);
	reserve(txn);
	SHOW(mdb_txn_commit(txn));
	integers(env);
	k = value_of("key");
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_get(txn, 1, &k, &v));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_del(txn, 1, &k, NULL));
	MDB_cursor *c;

	SHOW(mdb_cursor_open(txn, 1, &c));
	SHOW(mdb_cursor_put(c, &k, &v, 0));
	SHOW(mdb_cursor_del(c, 0));
	mdb_cursor_close(c);
	mdb_txn_abort(txn);
	shown_val("after its transaction", &v); /* programs do so, and it works */
	printf("key limit %d %d\n", mdb_env_get_maxkeysize(env), mdb_env_get_maxkeysize(NULL));
	sizes(env);
	aligned(env);
	afterwards(env);
	pages(env);
	mdb_env_close(env);
}

/* ---- a full map ------------------------------------------------------------------------------ */

static int fill(MDB_env *env, unsigned int *stored)
{
	MDB_txn *txn;
	char bytes[2000];
	int rc = 0;

	memset(bytes, 'f', sizeof bytes);
	for (*stored = 0; !rc && *stored < 100000; ++*stored) {
		MDB_val k = {sizeof *stored, stored}, v = {sizeof bytes, bytes};

		rc = mdb_txn_begin(env, NULL, 0, &txn);
		if (rc)
			return rc;
		rc = mdb_put(txn, 1, &k, &v, 0);
		if (rc &&
		    (mdb_get(txn, 1, &k, &v) != MDB_BAD_TXN || mdb_txn_commit(txn) != MDB_BAD_TXN))
			printf("usable after MDB_MAP_FULL\n");
		if (!rc)
			rc = mdb_txn_commit(txn);
	}
	return rc;
}

void area_full(void)
{
	MDB_env *env = started("full", MDB_NOSYNC);
	MDB_envinfo info;
	MDB_txn *txn;
	unsigned int before, after, least = 0;
	MDB_val k = {sizeof least, &least}, v;

	SHOW(fill(env, &before));
	printf("stored some %d\n", before > 100 && before < 600);
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_get(txn, 1, &k, &v));
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_env_set_mapsize(env, 4 << 20));
	mdb_txn_abort(txn);
	SHOW(mdb_env_set_mapsize(env, 4 << 20));
	SHOW(mdb_env_info(env, &info));
	printf("map size %zu\n", info.me_mapsize);
	SHOW(fill(env, &after));
	printf("stored more %d, pages %d\n", after > 3 * before,
	       info.me_last_pgno * 4096 <= (1 << 20) + (1 << 19));
	SHOW(mdb_env_info(env, &info));
	printf("pages %d\n",
	       info.me_last_pgno * 4096 > (3 << 20) && info.me_last_pgno * 4096 <= (4 << 20));
	SHOW(mdb_env_set_mapsize(env, 4096));
	SHOW(mdb_env_info(env, &info));
	printf("clamped %d\n", info.me_mapsize > (3 << 20) && info.me_mapsize <= (4 << 20));
	SHOW(mdb_env_set_mapsize(env, 0));
	mdb_env_close(env);
}

/* large_fill - one more page for each entry, in txn; more of them than LMDB lists. */
static int large_fill(MDB_txn *txn)
{
	static char bytes[4000];
	int rc = 0;

	for (unsigned int i = 0; !rc && i < 140000; i++) {
		MDB_val k = {sizeof i, &i}, v = {sizeof bytes, bytes};

		memcpy(bytes, &i, sizeof i);
		rc = mdb_put(txn, 1, &k, &v, 0);
	}
	return rc;
}

/* area_large - a transaction of half a gigabyte; and the same in a nested one, which LMDB may
 * refuse with MDB_TXN_FULL: its parent is unharmed. */
void area_large(void)
{
	MDB_env *env = started("large", MDB_NOSYNC);
	MDB_txn *txn, *child;
	MDB_stat st;
	MDB_val k = value_of("parent's"), v = value_of("entry");

	SHOW(mdb_env_set_mapsize(env, (size_t)2 << 30));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_put(txn, 1, &k, &v, 0));
	SHOW(mdb_txn_begin(env, txn, 0, &child));
	int rc = large_fill(child);

	printf("child %d\n", rc == 0 || rc == MDB_TXN_FULL);
	mdb_txn_abort(child);
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(large_fill(txn));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_env_stat(env, &st));
	printf("entries %zu\n", st.ms_entries);
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_get(txn, 1, &k, &v));
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void show_copy(const char *path, unsigned int flags)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	static const char *const names[] = {NULL, "dups", "own"};

	if (mdb_env_create(&env) || mdb_env_set_maxdbs(env, 8))
		exit(2);
	SHOW(mdb_env_open(env, path, flags, 0644));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	for (size_t i = 0; i < 3; i++) {
		unsigned int db_flags = 0;
		MDB_cursor *c;
		MDB_val k, v;

		if (SHOW(mdb_dbi_open(txn, names[i], 0, &dbi)))
			continue;
		SHOW(mdb_dbi_flags(txn, dbi, &db_flags));
		printf("flags %x\n", db_flags);
		SHOW(mdb_cursor_open(txn, dbi, &c));
		while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0) {
			shown_val("key", &k);
			if (names[i] || ((char *)k.mv_data)[0] < 'a')
				shown_val("data", &v);
		}
	}
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

static int longest_first(const MDB_val *a, const MDB_val *b)
{
	if (a->mv_size != b->mv_size)
		return a->mv_size > b->mv_size ? -1 : 1;
	return memcmp(a->mv_data, b->mv_data, a->mv_size);
}

static void copy_to_pipe(MDB_env *env, const char *file)
{
	int ends[2], status;
	char command[5000];

	snprintf(command, sizeof command, "%s", file);
	if (pipe(ends))
		exit(2);
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		close(ends[1]);
		dup2(ends[0], 0);
		if (!freopen(command, "w", stdout))
			_exit(1);
		execlp("cat", "cat", (char *)NULL);
		_exit(1);
	}
	close(ends[0]);
	SHOW(mdb_env_copyfd2(env, ends[1], MDB_CP_COMPACT));
	close(ends[1]);
	waitpid(pid, &status, 0);
	printf("reader %d\n", status);
	if (pipe(ends))
		exit(2);
	close(ends[0]);
	SHOW(mdb_env_copyfd2(env, ends[1], MDB_CP_COMPACT)); /* nobody reads */
	close(ends[1]);
}

void area_copy(void)
{
	MDB_env *env = started("copied", 0);
	MDB_txn *txn;
	MDB_dbi dups, own;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "dups", MDB_CREATE | MDB_DUPSORT, &dups));
	SHOW(mdb_dbi_open(txn, "own", MDB_CREATE, &own));
	SHOW(mdb_set_compare(txn, own, longest_first));
	for (int i = 0; i < 40; i++) {
		char key[80], value[80];
		MDB_val k, v;

		snprintf(key, sizeof key, "%d%.*s", i % 10, i,
		         "----------------------------------------");
		snprintf(value, sizeof value, "value %d", i);
		k = value_of(key);
		v = value_of(value);
		if (mdb_put(txn, 1, &k, &v, 0) || mdb_put(txn, own, &k, &v, 0))
			exit(2);
		k.mv_size = 1;
		if (mdb_put(txn, dups, &k, &v, 0))
			exit(2);
	}
	SHOW(mdb_txn_commit(txn));
	mkdir(place("copy"), 0755);
	SHOW(mdb_env_copy(env, place("copy")));
	SHOW(mdb_env_copy(env, place("copy")));
	SHOW(mdb_env_copy(env, place("nowhere")));
	struct stat st;

	printf("no lock file %d\n", stat(place("copy/lock.mdb"), &st));
	mkdir(place("compact"), 0755);
	SHOW(mdb_env_copy2(env, place("compact"), MDB_CP_COMPACT));
	copy_to_pipe(env, place("streamed"));
	mdb_env_close(env);
	show_copy(place("copy"), 0);
	show_copy(place("compact"), 0);
	show_copy(place("streamed"), MDB_NOSUBDIR);
}
