/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copy.c - copies of an environment: a snapshot, streamed as a store of its own, whose pages are
 * full and in order. So MDB_CP_COMPACT makes no difference, and nothing needs room but where the
 * copy goes.
 */
#include "layer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Pages are gathered to so many bytes for one write. */
#define BUFFER_BYTES (1u << 20)

struct stream {
	int fd;
	uint8_t *buffer;
	size_t used;
};

static int copy_write_full(int fd, const uint8_t *bytes, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno != EINTR)
			return errno;
		bytes += done > 0 ? done : 0;
		n -= done > 0 ? (size_t)done : 0;
	}
	return 0;
}

static int stream_flush(struct stream *s)
{
	size_t n = s->used;

	s->used = 0;
	return copy_write_full(s->fd, s->buffer, n);
}

static int stream_write(const void *bytes, size_t n, void *arg)
{
	struct stream *s = arg;
	int rc = n > BUFFER_BYTES - s->used ? stream_flush(s) : 0;

	if (rc || n > BUFFER_BYTES)
		return rc ? rc : copy_write_full(s->fd, bytes, n);
	memcpy(s->buffer + s->used, bytes, n);
	s->used += n;
	return 0;
}

/* copy_stream - the newest snapshot of env to the descriptor. A reader that goes away is EPIPE, not
 * the end of the process. */
static int copy_stream(MDB_env *env, struct stream *s)
{
	struct daxkv_txn *txn;
	int rc = env_enter(env);

	if (!rc)
		rc = daxkv_txn_begin(env->store, NULL, DAXKV_TXN_READ_ONLY, &txn);
	if (rc)
		return rc;
	rc = daxkv_copy(txn, stream_write, s);
	daxkv_txn_abort(txn);
	return rc ? rc : stream_flush(s);
}

static int copy_to(MDB_env *env, int fd)
{
	struct stream s = {.fd = fd, .buffer = malloc(BUFFER_BYTES)};
	const struct timespec now = {0, 0};
	sigset_t sigpipe, old, pending;
	int rc;

	if (!s.buffer)
		return ENOMEM;
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	rc = pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
	if (!rc) {
		bool was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;

		rc = copy_stream(env, &s);
		if (rc == EPIPE && !was_pending)
			while (sigtimedwait(&sigpipe, NULL, &now) < 0 && errno == EINTR)
				;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	free(s.buffer);
	return err_of(rc);
}

/* ---- to a file ------------------------------------------------------------------------------- */

static int copy_file(MDB_env *env, const char *path)
{
	char *name = env_file(path, env->flags & MDB_NOSUBDIR);
	int fd, rc;

	if (!name)
		return ENOMEM;
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		rc = errno;
		free(name);
		return rc;
	}
	rc = copy_to(env, fd);
	if (!rc && fsync(fd) != 0)
		rc = errno;
	if (close(fd) != 0 && !rc)
		rc = errno;
	if (rc)
		unlink(name);
	free(name);
	return rc;
}

int mdb_env_copy2(MDB_env *env, const char *path, unsigned int flags)
{
	if (!env || !path || !env->store || flags & ~(unsigned int)MDB_CP_COMPACT)
		return EINVAL;
	const int cancel = cancel_off();
	int rc = copy_file(env, path);

	cancel_restore(cancel);
	return rc;
}

int mdb_env_copy(MDB_env *env, const char *path)
{
	return mdb_env_copy2(env, path, 0);
}

/* ---- to a descriptor ------------------------------------------------------------------------- */

int mdb_env_copyfd2(MDB_env *env, int fd, unsigned int flags)
{
	if (!env || !env->store || flags & ~(unsigned int)MDB_CP_COMPACT)
		return EINVAL;
	const int cancel = cancel_off();
	int rc = copy_to(env, fd);

	cancel_restore(cancel);
	return rc;
}

int mdb_env_copyfd(MDB_env *env, int fd)
{
	return mdb_env_copyfd2(env, fd, 0);
}
