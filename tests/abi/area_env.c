/* SPDX-License-Identifier: BSD-3-Clause */
/* area_env.c - environments: options, opening and its failures, what is told of them. */
#include "areas.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int print_line(const char *msg, void *ctx)
{
	(void)ctx;
	printf("  says %s", strncmp(msg, "    pid", 7) == 0 || msg[0] == '(' ? msg : "a reader\n");
	return 0;
}

/* before_open - an environment that is not open yet. */
static void before_open(void)
{
	MDB_env *env;
	unsigned int n = 0;
	const char *path = "";
	int fd = -2, dead = 7, minor, patch;

	printf("version %d\n", (mdb_version(NULL, &minor, &patch), minor));
	for (int e = MDB_KEYEXIST; e <= MDB_BAD_DBI; e++)
		printf("%d %s\n", e, mdb_strerror(e));
	/* What is said of numbers that are no error depends on LMDB's version. */
	printf("%d %d\n", mdb_strerror(MDB_KEYEXIST - 1)[0] != '\0',
	       mdb_strerror(MDB_BAD_DBI + 1)[0] != '\0');
	printf("%s; %s\n", mdb_strerror(0), mdb_strerror(ENOENT));
	SHOW(mdb_env_create(&env));
	SHOW(mdb_env_get_flags(env, &n));
	printf("flags %x\n", n);
	SHOW(mdb_env_get_flags(env, NULL));
	SHOW(mdb_env_get_flags(NULL, &n));
	SHOW(mdb_env_set_flags(env, MDB_NOSYNC, 1));
	SHOW(mdb_env_set_flags(env, MDB_NOSUBDIR, 1));
	SHOW(mdb_env_get_maxreaders(env, &n));
	printf("readers %u\n", n);
	SHOW(mdb_env_set_maxreaders(env, 0));
	SHOW(mdb_env_set_maxreaders(env, 3));
	SHOW(mdb_env_get_maxreaders(NULL, &n));
	SHOW(mdb_env_get_path(env, &path));
	printf("path %s\n", path ? path : "none");
	SHOW(mdb_env_get_path(env, NULL));
	SHOW(mdb_env_get_fd(env, &fd));
	SHOW(mdb_env_set_userctx(env, &n));
	printf("context %d\n", mdb_env_get_userctx(env) == &n);
	SHOW(mdb_reader_list(env, NULL, NULL));
	SHOW(mdb_reader_check(env, &dead));
	printf("dead %d\n", dead);
	mdb_env_close(env);
	mdb_env_close(NULL);
	mdb_txn_abort(NULL);
	mdb_cursor_close(NULL);
}

void area_env(void)
{
	MDB_env *env;
	unsigned int n = 0;
	int fd = -2, dead = 7;

	before_open();
	env = started("env", MDB_NOTLS | MDB_NOSYNC);
	SHOW(mdb_env_set_maxreaders(env, 3));
	SHOW(mdb_env_set_maxdbs(env, 3));
	SHOW(mdb_env_open(env, place("other"), 0, 0644));
	SHOW(mdb_env_get_flags(env, &n));
	printf("flags %x\n", n);
	SHOW(mdb_env_set_flags(env, MDB_NOSYNC, 0));
	SHOW(mdb_env_set_flags(env, MDB_MAPASYNC | MDB_NOMETASYNC | MDB_NOMEMINIT, 1));
	SHOW(mdb_env_get_flags(env, &n));
	printf("flags %x\n", n);
	SHOW(mdb_env_get_fd(env, &fd));
	struct stat st;

	printf("descriptor %d\n", fstat(fd, &st));
	SHOW(mdb_env_sync(env, 1));
	SHOW(mdb_env_sync(env, 0));
	const char *path = NULL;

	SHOW(mdb_env_get_path(env, &path));
	printf("path %s\n", path && strlen(path) > 3 ? path + strlen(path) - 3 : "none");
	MDB_envinfo info;
	MDB_stat s;

	SHOW(mdb_env_info(env, &info));
	printf("map %d %zu, txn %zu, readers %u of %u\n", info.me_mapaddr != NULL, info.me_mapsize,
	       info.me_last_txnid, info.me_numreaders, info.me_maxreaders);
	SHOW(mdb_env_info(env, NULL));
	SHOW(mdb_env_stat(env, &s));
	printf("stat %u %u %zu %zu %zu %zu\n", s.ms_psize, s.ms_depth, s.ms_branch_pages,
	       s.ms_leaf_pages, s.ms_overflow_pages, s.ms_entries);
	SHOW(mdb_env_stat(NULL, &s));
	SHOW(mdb_env_info(env, &info));
	printf("readers, none of which is the call before: %u\n", info.me_numreaders);
	SHOW(mdb_reader_list(env, print_line, NULL));
	MDB_txn *a, *b;

	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &a));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &b));
	SHOW(mdb_reader_list(env, print_line, NULL));
	SHOW(mdb_reader_check(env, &dead));
	printf("dead %d\n", dead);
	SHOW(mdb_reader_check(NULL, NULL) != 0);
	mdb_txn_abort(a);
	mdb_txn_abort(b);
	SHOW(mdb_reader_list(env, print_line, NULL));
	SHOW(mdb_env_info(env, &info));
	printf("readers %u of %u\n", info.me_numreaders, info.me_maxreaders);
	mdb_env_close(env);
}

static void try_open(const char *what, const char *path, unsigned int flags)
{
	MDB_env *env;

	if (mdb_env_create(&env))
		exit(2);
	printf("%s = %d\n", what, mdb_env_open(env, path, flags, 0600));
	mdb_env_close(env);
}

/* readers_asked - open with so many readers (0: unsaid), and how many there can be. */
static void readers_asked(const char *path, unsigned int asked, unsigned int flags)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_envinfo info;
	unsigned int kept = 0, begun = 0;

	if (mdb_env_create(&env) || (asked && mdb_env_set_maxreaders(env, asked)))
		exit(2);
	SHOW(mdb_env_open(env, path, flags | MDB_NOTLS, 0644));
	SHOW(mdb_env_get_maxreaders(env, &kept));
	SHOW(mdb_env_info(env, &info));
	while (!(flags & MDB_NOLOCK) && begun < 2000 && !mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))
		begun++;
	printf("asked for %u: %u %u, begun %u\n", asked, kept, info.me_maxreaders, begun);
	mdb_env_close(env);
}

/* reader_limits - a lock file that was made for more readers keeps them, also when the data file is
 * another one; without a lock file there is nothing to keep. */
static void reader_limits(void)
{
	static const unsigned int asked[] = {2, 3, 63, 0, 500, 0, 10, 1000, 126, 1};
	const char *path = place("readers");

	mkdir(path, 0755);
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
		readers_asked(path, asked[i], 0);
	readers_asked(path, 7, MDB_RDONLY);
	readers_asked(path, 9, MDB_NOLOCK);
	readers_asked(path, 70000, 0);
	SHOW(unlink(place("readers/data.mdb")));
	readers_asked(path, 5, 0);
	SHOW(unlink(place("readers/lock.mdb")));
	readers_asked(path, 5, 0);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
	FILE *f = fopen(path, "w");

	if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) {
		perror(path);
		exit(2);
	}
}

static void put_one(MDB_env *env, const char *key, const char *value)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k = value_of(key), v = value_of(value);

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, NULL, 0, &dbi));
	SHOW(mdb_put(txn, dbi, &k, &v, 0));
	SHOW(mdb_txn_commit(txn));
}

static void in_child(void)
{
	MDB_env *env = started("forked", 0);
	MDB_txn *txn;
	int status = 0;

	put_one(env, "a", "1");
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		mdb_txn_abort(txn);
		mdb_env_close(env);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("child %d\n", status);
	MDB_val k = value_of("a"), v;

	SHOW(mdb_get(txn, 1, &k, &v));
	shown_val("a", &v);
	mdb_txn_abort(txn);
	put_one(env, "b", "2");
	mdb_env_close(env);
}

void area_open(void)
{
	struct stat st;
	MDB_env *env;
	MDB_txn *txn;

	try_open("unknown flags", place("none"), 0x800);
	try_open("no directory", place("none"), 0);
	try_open("no directory, read-only", place("none"), MDB_RDONLY);
	mkdir(place("empty"), 0755);
	try_open("nothing there, read-only", place("empty"), MDB_RDONLY);
	mkdir(place("garbage"), 0755);
	char junk[8192];

	memset(junk, 'x', sizeof junk);
	write_file(place("garbage/data.mdb"), junk, sizeof junk);
	try_open("garbage", place("garbage"), 0);
	write_file(place("garbage/data.mdb"), junk, 10);
	try_open("ten bytes", place("garbage"), 0);
	write_file(place("file"), junk, 0);
	try_open("an empty file", place("file"), MDB_NOSUBDIR);
	printf("file %d, lock %d\n", stat(place("file"), &st), stat(place("file-lock"), &st));
	try_open("a file without NOSUBDIR", place("file"), 0);

	env = started("opened", MDB_CREATE);
	put_one(env, "key", "value");
	SHOW(stat(place("opened/data.mdb"), &st));
	printf("mode %o\n", st.st_mode & 0777);
	SHOW(stat(place("opened/lock.mdb"), &st));
	mdb_env_close(env);

	if (mdb_env_create(&env))
		exit(2);
	SHOW(mdb_env_open(env, place("opened"), MDB_RDONLY, 0));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	MDB_dbi dbi;
	MDB_val k = value_of("key"), v;

	SHOW(mdb_dbi_open(txn, NULL, 0, &dbi));
	SHOW(mdb_get(txn, dbi, &k, &v));
	shown_val("value", &v);
	SHOW(mdb_put(txn, dbi, &k, &v, 0));
	SHOW(mdb_env_sync(env, 1));
	mdb_txn_abort(txn);
	mdb_env_close(env);

	env = started("nolock", MDB_NOLOCK);
	put_one(env, "key", "value");
	printf("lock file %d\n", stat(place("nolock/lock.mdb"), &st) == 0);
	MDB_txn *other;

	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &other));
	mdb_txn_abort(txn);
	mdb_txn_abort(other);
	SHOW(mdb_reader_list(env, print_line, NULL));
	mdb_env_close(env);
	in_child();
	reader_limits();
}
