/* SPDX-License-Identifier: BSD-3-Clause */
/* area_map.c - the map size: what is kept in the file, what a smaller one does, what other
 * processes' growth does. */
#include "areas.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static MDB_env *opened(const char *dir, size_t size)
{
	MDB_env *env;

	if (mdb_env_create(&env) || (size && mdb_env_set_mapsize(env, size)) ||
	    mdb_env_open(env, dir, 0, 0644))
		exit(2);
	return env;
}

static void show_size(const char *what, MDB_env *env)
{
	MDB_envinfo info;

	SHOW(mdb_env_info(env, &info));
	printf("%s: %zu\n", what, info.me_mapsize);
}

static int put_some(MDB_env *env, unsigned int n)
{
	static char bytes[4000];
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &dbi);
	for (unsigned int i = 0; i < n && !rc; i++) {
		MDB_val k = {sizeof i, &i}, v = {sizeof bytes, bytes};

		rc = mdb_put(txn, dbi, &k, &v, 0);
	}
	if (!rc)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

/* opened_with - open with a map size, commit or not, close; then what an environment without one
 * finds. */
static void opened_with(const char *dir, size_t size, unsigned int puts)
{
	MDB_env *env = opened(dir, size);

	show_size("open", env);
	if (puts)
		SHOW(put_some(env, puts));
	mdb_env_close(env);
	env = opened(dir, 0);
	show_size("kept", env);
	mdb_env_close(env);
}

static void kept(void)
{
	const char *dir = place("map");
	MDB_env *env;
	MDB_txn *txn;

	mkdir(dir, 0755);
	opened_with(dir, 4 * MIB, 0); /* a new file has it at once */
	opened_with(dir, 8 * MIB, 0); /* nothing was committed */
	opened_with(dir, 8 * MIB, 1);
	opened_with(dir, 2 * MIB, 1); /* never less */
	env = opened(dir, 0);
	SHOW(mdb_env_set_mapsize(env, 16 * MIB));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_env_set_mapsize(env, 0));
	show_size("nothing changed", env);
	SHOW(mdb_env_set_mapsize(env, 16 * MIB));
	SHOW(put_some(env, 1));
	SHOW(mdb_env_set_mapsize(env, 6 * MIB));
	show_size("smaller", env);
	SHOW(put_some(env, 3000));
	SHOW(mdb_env_set_mapsize(env, 0));
	show_size("adopted", env);
	SHOW(put_some(env, 3000));
	mkdir(place("map-copy"), 0755);
	SHOW(mdb_env_copy2(env, place("map-copy"), MDB_CP_COMPACT));
	mdb_env_close(env);
	env = opened(place("map-copy"), 0);
	show_size("copy", env);
	mdb_env_close(env);
}

/* resized - another process has a larger map and uses it. */
static void resized(void)
{
	char dir[4096];
	int go[2], status;
	char c = 0;

	snprintf(dir, sizeof dir, "%s", place("map-resized"));
	mkdir(dir, 0755);
	if (pipe(go))
		exit(2);
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		_exit(put_some(opened(dir, 32 * MIB), 3000) != 0);
	}
	MDB_env *env = opened(dir, 2 * MIB);
	MDB_txn *txn;

	SHOW(put_some(env, 10));
	if (write(go[1], &c, 1) != 1)
		exit(2);
	waitpid(pid, &status, 0);
	printf("the other one: %d\n", status);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_env_set_mapsize(env, 0));
	show_size("adopted", env);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_txn_commit(txn));
	SHOW(put_some(env, 4000));
	mdb_env_close(env);
}

/* reader_told - a reader, too, whose map is smaller than what another process's commit uses. */
static void reader_told(void)
{
	char dir[4096];
	int status;
	MDB_env *env;
	MDB_txn *txn, *kept;

	snprintf(dir, sizeof dir, "%s", place("map-told"));
	mkdir(dir, 0755);
	env = opened(dir, MIB / 16);
	SHOW(put_some(env, 1));
	mdb_env_close(env);
	if (mdb_env_create(&env) || mdb_env_set_mapsize(env, MIB / 16) ||
	    mdb_env_open(env, dir, MDB_RDONLY | MDB_NOTLS, 0644))
		exit(2);
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &kept));
	mdb_txn_reset(kept);
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0)
		_exit(put_some(opened(dir, 8 * MIB), 200) != 0);
	waitpid(pid, &status, 0);
	printf("the other one: %d\n", status);
	mdb_txn_abort(txn);
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_txn_renew(kept));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_env_set_mapsize(env, 0));
	show_size("told", env);
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_txn_renew(kept));
	mdb_txn_abort(txn);
	mdb_txn_abort(kept);
	mdb_env_close(env);
}

/* long_file - the file is longer than what is in use, by another process's larger map: it fits. */
static void long_file(void)
{
	char dir[4096];
	int status;
	MDB_env *env;
	MDB_txn *txn;

	snprintf(dir, sizeof dir, "%s", place("map-long"));
	mkdir(dir, 0755);
	env = opened(dir, MIB);
	SHOW(put_some(env, 1));
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0)
		_exit(put_some(opened(dir, 1024 * MIB), 244) != 0);
	waitpid(pid, &status, 0);
	printf("the other one: %d\n", status);
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	mdb_txn_abort(txn);
	SHOW(mdb_env_set_mapsize(env, 0));
	SHOW(put_some(env, 1));
	mdb_env_close(env);
}

/* ---- what fits ------------------------------------------------------------------------------- */

struct load { /* transactions of one put each, until the map is full; LMDB 0.9.24 does so many */
	const char *what;
	size_t map, len;
	unsigned int least;
	bool random, named; /* keys; each in a database of its own */
};

static const struct load loads[] = {
    {"16 bytes", 64 << 10, 16, 597, false, false},
    {"100 bytes", 128 << 10, 100, 695, false, false},
    {"1000 bytes", 256 << 10, 1000, 157, true, false},
    {"1000 bytes, more", 1 << 20, 1000, 711, true, false},
    {"4000 bytes", 64 << 10, 4000, 8, false, false},
    {"10000 bytes", 1 << 20, 10000, 82, false, false},
    {"databases", 128 << 10, 10, 24, false, true},
    {"more databases", 256 << 10, 10, 56, false, true},
    {"empty databases", 64 << 10, SIZE_MAX, 150, false, true},
};

static int load_put(MDB_txn *txn, const struct load *l, unsigned int i, uint64_t *x)
{
	static char bytes[10000];
	char key[16];
	MDB_val k = {8, key}, v = {l->len, bytes};
	MDB_dbi dbi;
	int rc;

	*x = *x * 6364136223846793005u + 1442695040888963407u;
	snprintf(key, sizeof key, "%08u", l->random ? (unsigned int)(*x >> 40) % 100000000u : i);
	rc = mdb_dbi_open(txn, l->named ? key : NULL, l->named ? MDB_CREATE : 0, &dbi);
	if (!rc && l->len != SIZE_MAX)
		rc = mdb_put(txn, dbi, &k, &v, 0);
	return rc;
}

static int load_step(MDB_env *env, const struct load *l, unsigned int i, uint64_t *x)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = load_put(txn, l, i, x);
	if (!rc)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

/* fits - a program whose data fits the map as LMDB fills it is not told that it is full. Five in a
 * hundred are left to other versions of LMDB. */
static void fits(void)
{
	for (size_t n = 0; n < sizeof loads / sizeof *loads; n++) {
		const struct load *l = &loads[n];
		char dir[4096];
		unsigned int i = 0;
		uint64_t x = 1;
		MDB_env *env;

		snprintf(dir, sizeof dir, "%s", place("map-fits"));
		snprintf(dir + strlen(dir), sizeof dir - strlen(dir), "%zu", n);
		mkdir(dir, 0755);
		if (mdb_env_create(&env) || mdb_env_set_mapsize(env, l->map) ||
		    mdb_env_set_maxdbs(env, 200) || mdb_env_open(env, dir, MDB_NOSYNC, 0644))
			exit(2);
		while (i < l->least && !load_step(env, l, i, &x))
			i++;
		printf("%s: fits %d\n", l->what, i >= l->least * 95 / 100);
		show_size("map", env);
		mdb_env_close(env);
	}
}

/* ---- tiny maps ------------------------------------------------------------------------------- */

static size_t tiny_map(size_t size)
{
	static char dir[4096];
	char name[32];
	MDB_env *env;

	snprintf(name, sizeof name, "map-tiny%zu", size);
	snprintf(dir, sizeof dir, "%s", place(name));
	mkdir(dir, 0755);
	if (mdb_env_create(&env) || mdb_env_set_mapsize(env, size) || mdb_env_set_maxdbs(env, 4) ||
	    mdb_env_open(env, dir, MDB_NOSYNC, 0644))
		exit(2);
	show_size("tiny", env);

	MDB_val k = value_of("key"), v = value_of("value");
	MDB_txn *txn;
	MDB_dbi dbi;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, NULL, 0, &dbi));
	SHOW(mdb_get(txn, dbi, &k, &v));
	SHOW(mdb_del(txn, dbi, &k, NULL));
	if (SHOW(mdb_put(txn, dbi, &k, &v, 0)))
		SHOW(mdb_put(txn, dbi, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_get(txn, dbi, &k, &v));
	mdb_txn_abort(txn);
	if (size < 12288) {
		MDB_cursor *c;

		SHOW(mdb_txn_begin(env, NULL, 0, &txn));
		SHOW(mdb_dbi_open(txn, "named", MDB_CREATE, &dbi));
		mdb_txn_abort(txn);
		SHOW(mdb_txn_begin(env, NULL, 0, &txn));
		SHOW(mdb_dbi_open(txn, NULL, 0, &dbi));
		SHOW(mdb_cursor_open(txn, dbi, &c));
		SHOW(mdb_cursor_put(c, &k, &v, 0));
		mdb_cursor_close(c);
		mdb_txn_abort(txn);
		SHOW(mdb_env_set_mapsize(env, MIB));
		SHOW(put_some(env, 2));
		show_size("with room", env);
	}
	mdb_env_close(env);
	return size;
}

/* tiny - of the smallest maps LMDB gives nothing out. */
static void tiny(void)
{
	static const size_t sizes[] = {1,    10,    4095,  4096,  8191, 8192,
	                               8193, 12287, 12288, 16383, 16384};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		printf("of %zu\n", tiny_map(sizes[i]));
}

/* ---- when it is full ------------------------------------------------------------------------- */

struct amount {
	size_t map, len;
	unsigned int each, most; /* puts a transaction; puts that are too many for both libraries */
};

/* filled - how many puts fit, in transactions of so many. */
static unsigned int filled(const char *dir, const struct amount *a)
{
	struct load l = {.len = a->len, .random = a->len == 1000};
	unsigned int done = 0;
	uint64_t x = 1;
	MDB_env *env;
	int rc = 0;

	mkdir(dir, 0755);
	if (mdb_env_create(&env) || mdb_env_set_mapsize(env, a->map) ||
	    mdb_env_open(env, dir, MDB_NOSYNC, 0644))
		exit(2);
	while (!rc && done < a->most) {
		MDB_txn *txn;
		unsigned int i = 0;

		rc = mdb_txn_begin(env, NULL, 0, &txn);
		while (!rc && i < a->each) {
			rc = load_put(txn, &l, done + i, &x);
			i += !rc;
		}
		if (!rc)
			rc = mdb_txn_commit(txn);
		else
			mdb_txn_abort(txn);
		done += rc ? 0 : i;
	}
	printf("map %zu, values of %zu, %u at once: %d\n", a->map, a->len, a->each, rc);
	show_size("map", env);
	mdb_env_close(env);
	return done;
}

/* full - a program that writes until the map is full, to give it a larger one then, is told so in
 * time: most is a half more than the map's size of data, and room for a few pages. */
static void full(void)
{
	static const size_t maps[] = {16384,  24576,  32768, 49152,  65536,
	                              131072, 262144, MIB,   4 * MIB};
	static const size_t lens[] = {100, 1000, 3000};
	static const unsigned int each[] = {1, 20};

	for (size_t i = 0; i < 9 * 3 * 2; i++) {
		struct amount a = {maps[i / 6], lens[i / 2 % 3], each[i % 2], 0};
		char name[32], dir[4096];

		if (a.map >= MIB && a.each == 1)
			continue;
		a.most = (unsigned int)((a.map + a.map / 2 + 24576) / (a.len + 8));
		snprintf(name, sizeof name, "map-full%zu", i);
		snprintf(dir, sizeof dir, "%s", place(name));
		(void)filled(dir, &a);
	}
}

void area_map(void)
{
	kept();
	resized();
	reader_told();
	long_file();
	fits();
	tiny();
	full();
}
