/* SPDX-License-Identifier: BSD-3-Clause */
/* area_process.c - processes that share an environment: who waits, who died, what each sees. */
#include "areas.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	pid_t pid;
	int to, from; /* one byte each way: go on; done */
};

/* child_start - run body in a new process, with an environment of its own. It says and awaits by
 * its descriptors. */
static struct child child_start(void (*body)(int to, int from))
{
	struct child c;
	int there[2], back[2];

	if (pipe(there) || pipe(back))
		exit(2);
	fflush(stdout);
	c.pid = fork();
	if (c.pid == 0) {
		close(there[1]);
		close(back[0]);
		body(back[1], there[0]);
		fflush(stdout);
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	c.to = there[1];
	c.from = back[0];
	return c;
}

static void say(int fd)
{
	if (write(fd, "x", 1) != 1)
		exit(2);
}

static void await(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		exit(2);
}

/* said - whether a byte came within so many milliseconds. */
static int said(int fd, int milliseconds)
{
	struct pollfd p = {fd, POLLIN, 0};

	return poll(&p, 1, milliseconds) == 1 && p.revents & POLLIN;
}

static void child_end(struct child *c)
{
	int status;

	waitpid(c->pid, &status, 0);
	printf("child %s\n", WIFSIGNALED(status)   ? "killed"
	                     : WEXITSTATUS(status) ? "failed"
	                                           : "done");
	close(c->to);
	close(c->from);
}

static void child_kill(struct child *c)
{
	kill(c->pid, SIGKILL);
	child_end(c);
}

static MDB_env *joined(const char *name)
{
	MDB_env *env;

	if (mdb_env_create(&env) || mdb_env_set_maxdbs(env, 4) ||
	    mdb_env_open(env, place(name), 0, 0644))
		_exit(2);
	main_open(env);
	return env;
}

static int put(MDB_txn *txn, const char *key, const char *value)
{
	MDB_val k = value_of(key), v = value_of(value);

	return mdb_put(txn, 1, &k, &v, 0);
}

static void show(MDB_env *env, const char *key)
{
	MDB_txn *txn;
	MDB_val k = value_of(key), v;

	if (SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn)))
		return;
	printf("%s: ", key);
	if (SHOW(mdb_get(txn, 1, &k, &v)) == 0)
		shown_val(key, &v);
	mdb_txn_abort(txn);
}

/* ---- writers --------------------------------------------------------------------------------- */

static void writes_when_it_may(int to, int from)
{
	MDB_env *env = joined("shared");
	MDB_txn *txn;

	say(to);
	await(from);
	if (mdb_txn_begin(env, NULL, 0, &txn) || put(txn, "second", "2") || mdb_txn_commit(txn))
		_exit(1);
	say(to);
	mdb_env_close(env);
}

static void writes_and_waits(int to, int from)
{
	MDB_env *env = joined("shared");
	MDB_txn *txn;

	if (mdb_txn_begin(env, NULL, 0, &txn) || put(txn, "kept", "1") || mdb_txn_commit(txn))
		_exit(1);
	if (mdb_txn_begin(env, NULL, 0, &txn) || put(txn, "lost", "1"))
		_exit(1);
	say(to);
	await(from);
}

static void writers(MDB_env *env)
{
	struct child c = child_start(writes_when_it_may);
	MDB_txn *txn;

	await(c.from);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(put(txn, "first", "1"));
	say(c.to);
	printf("waits %d\n", !said(c.from, 200));
	SHOW(mdb_txn_commit(txn));
	printf("goes on %d\n", said(c.from, 120000));
	child_end(&c);
	show(env, "second");

	c = child_start(writes_and_waits);
	await(c.from);
	show(env, "kept");
	show(env, "lost");
	child_kill(&c); /* with the lock */
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(put(txn, "after", "it"));
	SHOW(mdb_txn_commit(txn));
	show(env, "lost");
	show(env, "after");
}

/* ---- readers --------------------------------------------------------------------------------- */

static void reads_and_waits(int to, int from)
{
	MDB_env *env = joined("shared");
	MDB_txn *txn;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))
		_exit(1);
	say(to);
	await(from);
}

static struct {
	int calls, lines;
	pid_t pid;
	size_t txnid;
} list;

static int list_line(const char *msg, void *ctx)
{
	int pid;
	size_t thread, txnid;

	(void)ctx;
	list.calls++;
	if (sscanf(msg, "%10d %zx %zu\n", &pid, &thread, &txnid) == 3) {
		list.lines++;
		if (!thread)
			printf("no thread\n");
		if (pid == list.pid)
			list.txnid = txnid;
	} else {
		printf("  says %s", msg);
	}
	return 0;
}

static void show_list(MDB_env *env, pid_t pid)
{
	memset(&list, 0, sizeof list);
	list.pid = pid;
	SHOW(mdb_reader_list(env, list_line, NULL) < 0);
	printf("  lines %d, that process's snapshot %zu\n", list.lines, list.txnid);
}

/* show_counts - places over all processes, of which daxkv may keep one more for the next
 * transaction, and the limit, which is of who came first. */
static void show_counts(MDB_env *env)
{
	MDB_envinfo info;

	SHOW(mdb_env_info(env, &info));
	printf("places %d of %u\n", info.me_numreaders >= 3 && info.me_numreaders <= 4,
	       info.me_maxreaders);
}

static void joins_with_a_limit(int to, int from)
{
	MDB_envinfo info;
	MDB_env *env;
	unsigned int n = 0;

	(void)to;
	(void)from;
	if (mdb_env_create(&env) || mdb_env_set_maxreaders(env, 17) ||
	    mdb_env_open(env, place("shared"), 0, 0644))
		_exit(1);
	SHOW(mdb_env_get_maxreaders(env, &n));
	SHOW(mdb_env_info(env, &info));
	printf("max %u %u\n", n, info.me_maxreaders);
	mdb_env_close(env);
}

static int two_lines(const char *msg, void *ctx)
{
	(void)msg;
	(void)ctx;
	return ++list.calls == 2 ? -7 : 0;
}

static void readers(MDB_env *env)
{
	struct child c[3];
	int dead = 7;

	for (int i = 0; i < 3; i++) {
		c[i] = child_start(reads_and_waits);
		await(c[i].from);
	}
	show_list(env, c[1].pid);
	show_counts(env);
	struct child limited = child_start(joins_with_a_limit);

	child_end(&limited);
	memset(&list, 0, sizeof list);
	printf("stopped %d", mdb_reader_list(env, two_lines, NULL));
	printf(" after %d calls\n", list.calls);
	SHOW(mdb_reader_check(env, &dead));
	printf("dead %d\n", dead);
	child_kill(&c[0]);
	child_kill(&c[1]);
	SHOW(mdb_reader_check(env, &dead));
	printf("dead %d\n", dead);
	show_list(env, c[2].pid);
	SHOW(mdb_reader_check(env, &dead));
	printf("dead %d\n", dead);
	say(c[2].to);
	child_end(&c[2]);
	SHOW(mdb_reader_check(env, NULL));
}

static void writes_once(int to, int from)
{
	MDB_env *env = joined("shared");
	MDB_txn *txn;

	(void)to;
	(void)from;
	if (mdb_txn_begin(env, NULL, 0, &txn) || put(txn, "by another", "one") ||
	    mdb_txn_commit(txn))
		_exit(1);
	mdb_env_close(env);
}

/* closed_in_child - what a daemon does after fork: every descriptor is closed. The parent notices
 * nothing of it. */
static void closed_in_child(MDB_env *env)
{
	MDB_txn *reader, *txn;
	MDB_val k = value_of("first"), v;
	int status;

	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &reader));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(put(txn, "first", "beside a child"));
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		for (int fd = 3; fd < 256; fd++)
			close(fd);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	struct child c = child_start(writes_when_it_may);

	printf("waits %d\n",
	       !said(c.from,
	             200)); /* already with its first transaction: the lock is still the parent's */
	SHOW(mdb_txn_commit(txn));
	await(c.from);
	say(c.to);
	printf("goes on %d\n", said(c.from, 120000));
	child_end(&c);
	SHOW(mdb_get(reader, 1, &k, &v));
	shown_val("first", &v);
	mdb_txn_abort(reader);
	show(env, "first");
	c = child_start(writes_once);
	child_end(&c);
	show(env, "by another");
}

/* ---- what is seen ---------------------------------------------------------------------------- */

static void changes_all(int to, int from)
{
	MDB_env *env = joined("shared");
	MDB_txn *txn;
	char value[40];

	for (int round = 0; round < 50; round++) {
		if (mdb_txn_begin(env, NULL, 0, &txn))
			_exit(1);
		for (int i = 0; i < 100; i++) {
			char key[20];

			snprintf(key, sizeof key, "key %d", i);
			snprintf(value, sizeof value, "round %d", round);
			if (put(txn, key, value))
				_exit(1);
		}
		if (mdb_txn_commit(txn))
			_exit(1);
		if (round == 0) {
			say(to);
			await(from);
		}
	}
	say(to);
	await(from);
	mdb_env_close(env);
}

/* same_round - whether all keys of changes_all have one value, and which. */
static void same_round(MDB_env *env, MDB_txn *txn, const char *when)
{
	MDB_txn *own = NULL;
	MDB_dbi dbi;
	MDB_val first = {0, NULL}, v;
	int same = 0;

	if ((!txn && mdb_txn_begin(env, NULL, MDB_RDONLY, &own)) ||
	    mdb_dbi_open(txn ? txn : own, NULL, 0, &dbi))
		exit(2);
	for (int i = 0; i < 100; i++) {
		char key[20];
		MDB_val k;

		snprintf(key, sizeof key, "key %d", i);
		k = value_of(key);
		if (mdb_get(txn ? txn : own, dbi, &k, i ? &v : &first))
			break;
		same += !i || (v.mv_size == first.mv_size &&
		               memcmp(v.mv_data, first.mv_data, v.mv_size) == 0);
	}
	printf("%s: %d alike\n", when, same);
	if (strcmp(when, "copied beside a writer") != 0)
		shown_val("value", &first);
	mdb_txn_abort(own);
}

static void snapshots(MDB_env *env)
{
	struct child c = child_start(changes_all);
	MDB_env *copy;
	MDB_txn *txn;

	await(c.from);
	SHOW(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	mkdir(place("snapshot"), 0755);
	say(c.to);
	SHOW(mdb_env_copy2(env, place("snapshot"), MDB_CP_COMPACT));
	await(c.from);
	same_round(env, txn, "a reader's snapshot");
	mdb_txn_abort(txn);
	same_round(env, NULL, "the newest");
	say(c.to);
	child_end(&c);
	if (mdb_env_create(&copy))
		exit(2);
	SHOW(mdb_env_open(copy, place("snapshot"), MDB_RDONLY, 0));
	same_round(copy, NULL, "copied beside a writer");
	mdb_env_close(copy);
}

/* ---- without locks --------------------------------------------------------------------------- */

static MDB_env *unlocked(unsigned int flags)
{
	MDB_env *env;

	if (mdb_env_create(&env) || mdb_env_set_mapsize(env, 8 << 20) ||
	    mdb_env_open(env, place("turns"), MDB_NOLOCK | flags, 0644))
		_exit(2);
	main_open(env);
	return env;
}

/* adds - one transaction of so many entries, and two more that replace each other. */
static int adds(MDB_env *env, int round, int count)
{
	MDB_txn *txn;
	char key[40], value[300];

	memset(value, 'a' + round % 26, sizeof value);
	value[sizeof value - 1] = 0;
	if (mdb_txn_begin(env, NULL, 0, &txn))
		return 1;
	for (int i = 0; i < count; i++) {
		snprintf(key, sizeof key, "%d-%d", round % 3, i);
		if (put(txn, key, value))
			return 1;
	}
	snprintf(value, sizeof value, "round %d", round);
	return put(txn, "newest", value) || mdb_txn_commit(txn);
}

static void takes_turns(int to, int from)
{
	MDB_env *env = unlocked(0);

	for (int round = 1; round < 40; round += 2) {
		await(from);
		if (adds(env, round, 20 * round))
			_exit(1);
		say(to);
	}
	mdb_env_close(env);
}

static void dies(int to, int from)
{
	MDB_env *env = unlocked(0);

	(void)from;
	for (int round = 100; adds(env, round, 50) == 0; round++)
		say(to);
}

/* seen - the newest record and the number of all. */
static void seen(MDB_env *env)
{
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_val k, v;
	int n = 0;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) || mdb_cursor_open(txn, 1, &c))
		exit(2);
	while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0)
		n++;
	mdb_cursor_close(c);
	mdb_txn_abort(txn);
	printf("%d entries, ", n);
	show(env, "newest");
}

/* turns - processes with MDB_NOLOCK that see to it themselves that they do not meet: each knows
 * what the others did before. */
static void external_lock(void)
{
	MDB_env *env = started("turns", MDB_NOLOCK), *reader;

	mdb_env_close(env);
	env = unlocked(0);
	struct child c = child_start(takes_turns);

	SHOW(adds(env, 0, 10));
	if (mdb_env_create(&reader))
		exit(2);
	SHOW(mdb_env_open(reader, place("turns"), MDB_NOLOCK | MDB_RDONLY, 0));
	MDB_txn *txn;
	MDB_dbi dbi;

	SHOW(mdb_txn_begin(reader, NULL, MDB_RDONLY, &txn));
	SHOW(mdb_dbi_open(txn, NULL, 0, &dbi));
	mdb_txn_abort(txn);
	for (int round = 1; round < 40; round += 2) {
		say(c.to);
		await(c.from);
		seen(reader);
		SHOW(adds(env, round + 1, 5 * round));
		seen(reader);
	}
	child_end(&c);
	c = child_start(dies);
	for (int i = 0; i < 5; i++)
		await(c.from);
	kill(c.pid, SIGKILL);
	child_end(&c);
	SHOW(adds(env, 200, 10));
	seen(reader);
	mdb_env_close(reader);
	mdb_env_close(env);
}

/* grows - with a larger map than the process that started it. */
static void grows(int to, int from)
{
	static char bytes[100000];
	MDB_env *env;
	MDB_txn *txn;

	(void)from;
	if (mdb_env_create(&env) || mdb_env_set_mapsize(env, 8 << 20) ||
	    mdb_env_open(env, place("shared"), 0, 0644))
		_exit(2);
	main_open(env);
	if (mdb_txn_begin(env, NULL, 0, &txn))
		_exit(1);
	for (int i = 0; i < 40; i++) {
		MDB_val k = {sizeof i, &i}, v = {sizeof bytes, bytes};

		if (mdb_put(txn, 1, &k, &v, 0))
			_exit(1);
	}
	if (mdb_txn_commit(txn))
		_exit(1);
	say(to);
	mdb_env_close(env);
}

static void resized(MDB_env *env)
{
	struct child c = child_start(grows);
	MDB_txn *txn;
	MDB_envinfo info;

	await(c.from);
	child_end(&c);
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (rc == 0) /* reading goes on with ours */
		mdb_txn_abort(txn);
	printf("reading %d\n", rc == MDB_MAP_RESIZED || (rc == 0 && is_daxkv()));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_env_set_mapsize(env, 0));
	SHOW(mdb_env_info(env, &info));
	printf("map size %d\n", info.me_mapsize >= 3 << 20);
	show(env, "first");
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(put(txn, "first", "again"));
	SHOW(mdb_txn_commit(txn));
}

void area_process(void)
{
	MDB_env *env = started("shared", MDB_NOTLS);

	writers(env);
	readers(env);
	closed_in_child(env);
	snapshots(env);
	resized(env);
	mdb_env_close(env);
	external_lock();
}
