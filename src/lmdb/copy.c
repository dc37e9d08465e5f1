/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copy.c - copies of an environment. A snapshot is read database by database and written to a new store, whose pages are then full and in
 * order: MDB_CP_COMPACT makes no difference. A copy for a descriptor is made in a file without a name and streamed from there.
 */
#include "layer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCH_BYTES  (16u << 20) /* of a transaction of the copy */
#define BUFFER_BYTES (1u << 20)

struct copy {
	MDB_env *env;
	struct daxkv_txn *from; /* the snapshot */
	struct daxkv *to;
	struct daxkv_txn *txn;
	size_t pending;        /* bytes since the last commit */
	const void *key, *dup; /* of the pair that is being put */
};

/* ---- the order of arrival ------------------------------------------------------------------------------------------------- */

/* A database with its program's order is copied in that order without knowing it: what is being put comes after all that is there. Keys of
 * one run of duplicates have the same bytes. */
static int arrival(const struct daxkv_val *a, const struct daxkv_val *b, const void *newest)
{
	if (a->data == newest)
		return b->data == newest ? 0 : 1;
	return b->data == newest ? -1 : 0;
}

static bool same_bytes(const struct daxkv_val *a, const struct daxkv_val *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static int arrival_keys(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	return same_bytes(a, b) ? 0 : arrival(a, b, ((struct copy *)arg)->key);
}

static int arrival_dups(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	return same_bytes(a, b) ? 0 : arrival(a, b, ((struct copy *)arg)->dup);
}

static int any_order(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	return same_bytes(a, b) ? 0 : -1;
}

/* ---- reading and writing databases ---------------------------------------------------------------------------------------- */

static int copy_begin(struct copy *copy)
{
	return copy->txn ? 0 : daxkv_begin(copy->to, NULL, 0, &copy->txn);
}

static int copy_commit(struct copy *copy)
{
	int rc = copy->txn ? daxkv_commit(copy->txn) : 0;

	copy->txn = NULL;
	copy->pending = 0;
	return rc;
}

/* target_open - the database of the copy in the transaction that is running there. */
static int target_open(struct copy *copy, const struct daxkv_val *name, unsigned int flags, daxkv_db *db)
{
	int rc = copy_begin(copy);

	if (!rc)
		rc = daxkv_db_open(copy->txn, name, flags | DAXKV_CREATE, db);
	if (!rc && flags & DAXKV_OWN_COMPARE)
		rc = daxkv_set_compare(copy->txn, *db, arrival_keys, copy);
	if (!rc && flags & DAXKV_OWN_DUP_COMPARE)
		rc = daxkv_set_dup_compare(copy->txn, *db, arrival_dups, copy);
	return rc;
}

/* names_record - whether the main database's record is a named database: what is put there is that database's own doing. */
static int names_database(struct copy *copy, const struct daxkv_val *key, struct daxkv_val *next, bool *is)
{
	int rc = 0;

	*is = next->size && same_bytes(key, next);
	if (*is)
		rc = daxkv_db_next(copy->from, next);
	if (rc == DAXKV_NOTFOUND) {
		*next = (struct daxkv_val){0, NULL};
		rc = 0;
	}
	return rc;
}

static int copy_pairs(struct copy *copy, struct daxkv_cursor *c, const struct daxkv_val *name, unsigned int flags, struct daxkv_val next)
{
	struct daxkv_val key, value;
	daxkv_db db;
	int rc = target_open(copy, name, flags, &db);

	while (!rc && (rc = daxkv_cursor_get(c, &key, &value, DAXKV_NEXT)) == 0) {
		bool skip = false;

		if (!name)
			rc = names_database(copy, &key, &next, &skip);
		if (rc || skip)
			continue;
		copy->key = key.data;
		copy->dup = value.data;
		rc = daxkv_put(copy->txn, db, &key, &value, 0);
		copy->pending += key.size + value.size;
		if (!rc && copy->pending > BATCH_BYTES) {
			rc = copy_commit(copy);
			if (!rc)
				rc = target_open(copy, name, flags, &db);
		}
	}
	return rc == DAXKV_NOTFOUND ? 0 : rc;
}

/* source_order - comparators for a database with its program's order. Walking from end to end asks them nothing. */
static int source_order(struct copy *copy, daxkv_db db, unsigned int flags)
{
	struct slot *slot;
	int rc;

	pthread_mutex_lock(&copy->env->mutex);
	slot = slot_of_store(copy->env, db);
	rc = slot ? compare_provide(copy->from, slot) : flags & DAXKV_OWN_COMPARE ? daxkv_set_compare(copy->from, db, any_order, NULL) : 0;
	if (!slot && !rc && flags & DAXKV_OWN_DUP_COMPARE)
		rc = daxkv_set_dup_compare(copy->from, db, any_order, NULL);
	pthread_mutex_unlock(&copy->env->mutex);
	return rc;
}

/* source_close - give the handle back, unless the program has it. */
static void source_close(struct copy *copy, daxkv_db db)
{
	pthread_mutex_lock(&copy->env->mutex);
	if (!slot_of_store(copy->env, db))
		daxkv_db_close(copy->env->kv, db);
	pthread_mutex_unlock(&copy->env->mutex);
}

/* copy_database - name NULL: the main one, without the records of named ones. */
static int copy_database(struct copy *copy, const struct daxkv_val *name)
{
	struct daxkv_val next = {0, NULL};
	struct daxkv_cursor *c = NULL;
	unsigned int flags = 0;
	daxkv_db db;
	int rc = daxkv_db_open(copy->from, name, 0, &db);

	if (rc)
		return rc;
	rc = daxkv_db_flags(copy->from, db, &flags);
	if (!rc)
		rc = daxkv_cursor_open(copy->from, db, &c);
	if (rc == DAXKV_NEED_COMPARE) {
		rc = source_order(copy, db, flags);
		if (!rc)
			rc = daxkv_cursor_open(copy->from, db, &c);
	}
	if (!rc && !name && daxkv_db_next(copy->from, &next) != 0)
		next.size = 0;
	if (!rc)
		rc = copy_pairs(copy, c, name, flags, next);
	daxkv_cursor_close(c);
	if (name)
		source_close(copy, db);
	return rc;
}

static int copy_all(struct copy *copy)
{
	struct daxkv_val name = {0, NULL};
	int rc = copy_database(copy, NULL), more = daxkv_db_next(copy->from, &name);

	while (!rc && !more) {
		rc = copy_database(copy, &name);
		if (!rc)
			more = daxkv_db_next(copy->from, &name);
	}
	if (!rc && more != DAXKV_NOTFOUND)
		rc = more;
	return rc ? rc : copy_commit(copy);
}

/* copy_store - the newest snapshot of env becomes the store in the file name, which is empty or not there. */
static int copy_store(MDB_env *env, const char *name, unsigned int flags, unsigned int mode)
{
	struct daxkv_options o = {.flags = DAXKV_CREATE | DAXKV_NOLOCK | flags,
	                          .pmem = DAXKV_PMEM_FORCE,
	                          .mode = mode,
	                          .max_dbs = UINT16_MAX,
	                          .user_word = env->mapsize};
	struct copy copy = {.env = env};
	struct daxkv_txn *from;
	int rc = daxkv_open(name, &o, &copy.to), end;

	if (rc)
		return err_of(rc);
	end = env_enter(env);
	rc = end ? end : daxkv_begin(env->kv, NULL, DAXKV_TXN_RDONLY, &from);
	if (!rc) {
		copy.from = from;
		rc = copy_all(&copy);
		daxkv_abort(copy.txn);
		daxkv_abort(from);
	}
	end = daxkv_close(copy.to);
	return err_of(rc ? rc : end);
}

/* ---- to a file ------------------------------------------------------------------------------------------------------------ */

static int file_sync(const char *name)
{
	int fd = open(name, O_RDWR | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return errno;
	if (fsync(fd) != 0)
		rc = errno;
	close(fd);
	return rc;
}

int mdb_env_copy2(MDB_env *env, const char *path, unsigned int flags)
{
	char *name;
	int fd, rc;

	if (!env || !path || !env->kv || flags & ~(unsigned int)MDB_CP_COMPACT)
		return EINVAL;
	name = env_file(path, env->flags & MDB_NOSUBDIR, false);
	if (!name)
		return ENOMEM;
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		rc = errno;
		free(name);
		return rc;
	}
	close(fd);
	rc = copy_store(env, name, 0, 0666);
	if (!rc)
		rc = file_sync(name);
	if (rc)
		unlink(name);
	free(name);
	return rc;
}

int mdb_env_copy(MDB_env *env, const char *path)
{
	return mdb_env_copy2(env, path, 0);
}

/* ---- to a descriptor ------------------------------------------------------------------------------------------------------ */

/* nameless_file - in the environment's directory, where there is room for such a file if anywhere; else where temporary files go; else in
 * memory. */
static int nameless_file(const MDB_env *env)
{
	const char *temp = secure_getenv("TMPDIR"), *slash = strrchr(env->path, '/');
	char *dir = !(env->flags & MDB_NOSUBDIR) ? strdup(env->path)
	            : slash                      ? strndup(env->path, (size_t)(slash - env->path) + 1)
	                                         : strdup(".");
	int fd = dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;

	free(dir);
	if (fd < 0)
		fd = open(temp && *temp ? temp : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? memfd_create("lmdb-copy", MFD_CLOEXEC) : fd;
}

static int stream_bytes(int from, int to, uint8_t *buffer)
{
	for (off_t at = 0;;) {
		ssize_t n = pread(from, buffer, BUFFER_BYTES, at), done = 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : 0;
		while (done < n) {
			ssize_t m = write(to, buffer + done, (size_t)(n - done));

			if (m < 0 && errno != EINTR)
				return errno;
			done += m > 0 ? m : 0;
		}
		at += n;
	}
}

/* stream - a reader that goes away is EPIPE, not the end of the process. */
static int stream(int from, int to)
{
	uint8_t *buffer = malloc(BUFFER_BYTES);
	const struct timespec now = {0, 0};
	sigset_t sigpipe, old, pending;
	int rc;

	if (!buffer)
		return ENOMEM;
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	rc = pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
	if (!rc) {
		bool was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;

		rc = stream_bytes(from, to, buffer);
		if (rc == EPIPE && !was_pending)
			while (sigtimedwait(&sigpipe, NULL, &now) < 0 && errno == EINTR)
				;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	free(buffer);
	return rc;
}

int mdb_env_copyfd2(MDB_env *env, int fd, unsigned int flags)
{
	char name[64];
	int temp, rc;

	if (!env || !env->kv || flags & ~(unsigned int)MDB_CP_COMPACT)
		return EINVAL;
	temp = nameless_file(env);
	if (temp < 0)
		return errno;
	snprintf(name, sizeof name, "/proc/self/fd/%d", temp);
	rc = copy_store(env, name, 0, 0600);
	if (!rc)
		rc = stream(temp, fd);
	close(temp);
	return rc;
}

int mdb_env_copyfd(MDB_env *env, int fd)
{
	return mdb_env_copyfd2(env, fd, 0);
}
