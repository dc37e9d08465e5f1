/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "reopen.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"

static int failure_report(const struct bench_engine *e, const char *what, int err)
{
	fprintf(stderr, "bench: reopen: %s: %s: %s\n", e->name, what,
	        err == BENCH_END ? "no such entry" : e->errmsg(err));
	return 1;
}

/* The child loads ops entries, 1,000 a transaction, then updates the first tenth of them one a
 * transaction. */
static uint64_t updates(const struct bench_config *c)
{
	return c->ops / 10 + 1;
}

static int entry_put(const struct bench_config *c, const struct bench_engine *e, void *session,
                     uint64_t id, uint32_t version)
{
	unsigned char key[BENCH_KEY_MAX], value[BENCH_VALUE_MAX];

	phase_key(c, BENCH_STORE_KILLED, id, key);
	phase_value(c->value_size, id, version, value);
	return e->put(session, (struct bench_bytes){key, c->key_size},
	              (struct bench_bytes){value, c->value_size}, 0);
}

static int range_put(const struct bench_config *c, const struct bench_engine *e, void *session,
                     uint64_t n, uint64_t batch, uint32_t version)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err;) {
		uint64_t end = n - i < batch ? n : i + batch;

		err = e->begin(session, 1);
		for (; i < end && !err; i++)
			err = entry_put(c, e, session, i, version);
		if (!err)
			err = e->commit(session);
	}
	return err;
}

int reopen_fill(const struct bench_config *c, const struct bench_engine *e)
{
	void *session;
	int err = e->open(c, c->fill_path, 1, &session);

	if (err)
		return failure_report(e, "open", err);
	err = range_put(c, e, session, c->ops, BENCH_TXN, 1);
	if (!err)
		err = range_put(c, e, session, updates(c), 1, 2);
	if (!err)
		err = e->begin(session, 1);
	for (uint64_t i = 0; i < c->ops && i < BENCH_TXN && !err; i++) /* never committed */
		err = entry_put(c, e, session, i, 3);
	if (err)
		return failure_report(e, "fill", err);
	if (write(STDOUT_FILENO, "", 1) != 1)
		return 1;
	for (;;)
		(void)pause();
}

static _Noreturn void child_exec(const struct bench_config *c, const struct bench_engine *e,
                                 const char *dir, int out)
{
	char entries[32], ops[32], key[32], value[32];

	(void)snprintf(entries, sizeof entries, "%" PRIu64, c->entries);
	(void)snprintf(ops, sizeof ops, "%" PRIu64, c->ops);
	(void)snprintf(key, sizeof key, "%zu", c->key_size);
	(void)snprintf(value, sizeof value, "%zu", c->value_size);
	if (dup2(out, STDOUT_FILENO) >= 0)
		(void)execl("/proc/self/exe", "bench", "--entries", entries, "--ops", ops, "--key",
		            key, "--value", value, "--pmem", c->pmem, "--dir", c->dir, "--fill",
		            e->name, "--fill-path", dir, (char *)NULL);
	_exit(127);
}

/* child_kill - let a child fill the store in dir, wait until it is done, and kill it. Returns 0 or
 * an errno. */
static int child_kill(const struct bench_config *c, const struct bench_engine *e, const char *dir)
{
	int ends[2], status, err = 0;
	ssize_t n;
	pid_t pid;
	char byte;

	if (pipe2(ends, O_CLOEXEC))
		return errno;
	pid = fork();
	if (pid == 0)
		child_exec(c, e, dir, ends[1]);
	if (pid < 0)
		err = errno;
	(void)close(ends[1]);
	if (!err) {
		n = read(ends[0], &byte, 1);
		if (kill(pid, SIGKILL) || waitpid(pid, &status, 0) != pid)
			err = errno;
		else if (n != 1 || !WIFSIGNALED(status))
			err = ECHILD; /* it has said why */
	}
	(void)close(ends[0]);
	return err;
}

static void contents_expect(const struct bench_config *c, struct contents *contents)
{
	contents_clear(contents);
	for (uint64_t i = 0; i < c->ops; i++)
		contents->versions[i] = i < updates(c) ? 2 : 1;
}

static int store_reopen(const struct bench_config *c, const struct bench_engine *e, const char *dir,
                        struct contents *contents, double *ns)
{
	unsigned char key[BENCH_KEY_MAX];
	struct bench_bytes v;
	void *session;
	double start;
	int err, failed;

	phase_key(c, BENCH_STORE_KILLED, c->ops - 1, key);
	start = clock_ns();
	err = e->open(c, dir, 0, &session);
	if (err)
		return failure_report(e, "open after SIGKILL", err);
	err = e->begin(session, 0);
	if (!err) {
		err = e->get(session, (struct bench_bytes){key, c->key_size}, &v);
		*ns = clock_ns() - start;
		e->abort(session);
	}
	failed = err ? failure_report(e, "get after SIGKILL", err)
	             : contents_verify(e, session, contents);
	err = e->close(session);
	return err ? failure_report(e, "close after SIGKILL", err) : failed;
}

int reopen_run(const struct bench_config *config, const struct bench_engine *engine,
               struct contents *contents, double *ns)
{
	char dir[BENCH_PATH];
	int err = files_make(config, engine->name, dir), failed = 1;

	contents_expect(config, contents);
	if (!err)
		err = contents_sum(config, BENCH_STORE_KILLED, contents);
	if (!err)
		err = child_kill(config, engine, dir);
	if (err)
		fprintf(stderr, "bench: reopen: %s: %s\n", engine->name, strerror(err));
	else
		failed = store_reopen(config, engine, dir, contents, ns);
	files_remove(dir);
	return failed;
}
