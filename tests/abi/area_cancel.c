/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * area_cancel.c - a thread that is cancelled does not end inside a call that holds something. Each
 * call is made by a thread whose cancellation is pending already. LMDB ends in many of them, so
 * only ours is asked, and only failures are printed.
 */
#include "areas.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct call {
	MDB_env *env;
	const char *dir;
	int (*fn)(struct call *call);
	int rc;
	bool returned;
};

static void *run(void *arg)
{
	struct call *call = arg;

	pthread_cancel(pthread_self());
	call->rc = call->fn(call);
	call->returned = true;
	pthread_testcancel();
	return NULL;
}

static int made(struct call *call, int (*fn)(struct call *call), const char *name)
{
	pthread_t thread;
	void *end = NULL;

	call->fn = fn;
	call->returned = false;
	if (pthread_create(&thread, NULL, run, call) || pthread_join(thread, &end))
		exit(2);
	if (!call->returned)
		printf("%s: the thread ended inside\n", name);
	else if (call->rc || end != PTHREAD_CANCELED)
		printf("%s: %d, cancelled %d\n", name, call->rc, end == PTHREAD_CANCELED);
	return !call->returned || call->rc;
}

#define MADE(call, fn) made(call, fn, #fn)

static int opened(struct call *call, unsigned int flags)
{
	int rc = mdb_env_create(&call->env);

	return rc ? rc : mdb_env_open(call->env, call->dir, flags, 0644);
}

static int open_it(struct call *call)
{
	return opened(call, 0);
}

static int open_reader(struct call *call)
{
	return opened(call, MDB_RDONLY);
}

static int close_it(struct call *call)
{
	mdb_env_close(call->env);
	return 0;
}

/* write_it - the file grows. That beginning to write ends a cancelled thread is meant so: it has
 * nothing yet. */
static int write_it(struct call *call)
{
	static char bytes[600000];
	MDB_val k = value_of("large"), v = {sizeof bytes, bytes};
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc, state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	rc = mdb_txn_begin(call->env, NULL, 0, &txn);
	pthread_setcancelstate(state, &state);
	if (!rc)
		rc = mdb_dbi_open(txn, NULL, 0, &dbi);
	if (!rc)
		rc = mdb_put(txn, dbi, &k, &v, 0);
	return rc ? rc : mdb_txn_commit(txn);
}

static int read_it(struct call *call)
{
	MDB_val k = value_of("large"), v;
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc = mdb_txn_begin(call->env, NULL, MDB_RDONLY, &txn);

	if (!rc)
		rc = mdb_dbi_open(txn, NULL, 0, &dbi);
	if (!rc)
		rc = mdb_get(txn, dbi, &k, &v);
	if (!rc)
		mdb_txn_abort(txn);
	return rc;
}

static int copy_it(struct call *call)
{
	char name[4096];

	snprintf(name, sizeof name, "%s/copy", call->dir);
	mkdir(name, 0755);
	return mdb_env_copy(call->env, name);
}

static int copy_to_descriptor(struct call *call)
{
	int rc, state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	pthread_setcancelstate(state, &state);
	rc = mdb_env_copyfd(call->env, fd);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	close(fd);
	pthread_setcancelstate(state, &state);
	return rc;
}

void area_cancel(void)
{
	const char *dir = place("cancel");
	struct call call = {.dir = dir};
	int status = 0;

	mkdir(dir, 0755);
	if (!is_daxkv())
		return;
	if (MADE(&call, open_it) || MADE(&call, write_it) || MADE(&call, read_it) ||
	    MADE(&call, copy_it) || MADE(&call, copy_to_descriptor) || MADE(&call, close_it) ||
	    MADE(&call, open_it))
		return;
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) { /* its first use opens the store for it */
		status = MADE(&call, read_it) || MADE(&call, write_it) || MADE(&call, close_it);
		fflush(stdout);
		_exit(status);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		printf("the child: %d\n", status);
	(void)(MADE(&call, read_it) || MADE(&call, write_it) || MADE(&call, close_it) ||
	       MADE(&call, open_reader) || MADE(&call, read_it) || MADE(&call, close_it));
}
