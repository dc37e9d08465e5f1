/* SPDX-License-Identifier: BSD-3-Clause */
/* env.c - opening and closing an environment. What is asked of it and set is in options.c. */
#include "layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READERS_DEFAULT 126u
#define SPARE_HANDLES                                                                              \
	(2 * HANDLES_CLOSED) /* of the store: those of databases dropped or closed a moment ago */
#define READERS_MAX   (1048576u - SPARE_READERS) /* that a store takes */
#define LMDB_MAGIC    0xBEEFC0DEu
#define LMDB_MAGIC_AT 16

/* ---- opening --------------------------------------------------------------------------------- */

int mdb_env_create(MDB_env **ret)
{
	MDB_env *env;

	if (!ret)
		return EINVAL;
	env = calloc(1, sizeof *env);
	if (!env)
		return ENOMEM;
	pthread_mutex_init(&env->mutex, NULL);
	env->max_readers = READERS_DEFAULT;
	(void)max_key_option(&env->max_key); /* opening says what is wrong with it */
	*ret = env;
	return 0;
}

char *env_file(const char *path, bool nosubdir)
{
	char *name;

	return asprintf(&name, nosubdir ? "%s" : "%s/data.mdb", path) < 0 ? NULL : name;
}

/* file_inspect - before anything is touched, the lock file included: whether a file of LMDB's own
 * is there. *size: 0 when there is none. */
static int file_inspect(const char *name, bool rdonly, uint64_t *size)
{
	uint32_t magic = 0;
	struct stat st;
	int rc = 0, fd;

	*size = 0;
	if (stat(name, &st) != 0)
		return errno == ENOENT && !rdonly ? 0 : errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	if (!S_ISREG(st.st_mode))
		return MDB_INVALID;
	*size = (uint64_t)st.st_size;
	if (!*size)
		return rdonly ? ENOENT : 0;
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	ssize_t n = pread(fd, &magic, sizeof magic, LMDB_MAGIC_AT);

	if (n < 0)
		rc = errno;
	else if (n != (ssize_t)sizeof magic)
		rc = MDB_INVALID;
	else if (magic == LMDB_MAGIC)
		rc = MDB_VERSION_MISMATCH;
	close(fd);
	return rc;
}

static int pmem_option(enum daxkv_pmem *pmem)
{
	static const char *const names[] = {"auto", "dax", "file", "force"};
	const char *wanted = secure_getenv("DAXKV_PMEM");

	*pmem = DAXKV_PMEM_AUTO;
	for (unsigned int i = 0; wanted && *wanted && i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(wanted, names[i]) == 0) {
			*pmem = (enum daxkv_pmem)i;
			return 0;
		}
	}
	return wanted && *wanted ? EINVAL : 0;
}

static bool yes_option(const char *name)
{
	const char *wanted = secure_getenv(name);

	return wanted && strcmp(wanted, "1") == 0;
}

int env_store_open(MDB_env *env, bool create, uint64_t size, mode_t mode)
{
	struct daxkv_options o = {
	    .mode = mode & 07777,
	    .max_dbs = env->n_handles + SPARE_HANDLES,
	    .max_readers =
	        (env->max_readers < READERS_MAX ? env->max_readers : READERS_MAX) + SPARE_READERS};
	int rc = pmem_option(&o.pmem);

	o.flags = (env->flags & MDB_RDONLY ? DAXKV_READ_ONLY
	           : create                ? DAXKV_CREATE
	                                   : 0) |
	          DAXKV_NO_FILE_LOCK; /* programs lock what mdb_env_get_fd gives */
	if (env->flags & MDB_NOLOCK)
		o.flags |= DAXKV_NO_LOCK |
		           DAXKV_EXTERNAL_LOCK; /* programs take turns by locks of their own */
	env->grow = yes_option("DAXKV_GROW");
	env->verify = yes_option("DAXKV_VERIFY");
	o.durability = flags_lazy(env->flags) ? DAXKV_LAZY : DAXKV_DURABLE;
	o.user_version = env->mapsize
	                     ? env->mapsize
	                     : MAPSIZE_DEFAULT; /* a new store keeps it, as LMDB's file does */
	if (o.user_version < MAPSIZE_LEAST)
		o.user_version = MAPSIZE_LEAST;
	if (!env->grow && !(env->flags & MDB_RDONLY)) {
		o.flags |= DAXKV_RESERVE_MAX;
		if (env->mapsize || !size)
			o.max_size = mapsize_limit(o.user_version);
	}
	if (rc)
		return rc;
	rc = max_key_option(&env->max_key);
	if (rc)
		return rc;
	env->stat = (struct stat_memo){0};
	rc = daxkv_open(env->data, &o, &env->store);
	if (!rc && env->max_key > daxkv_max_key_size(env->store))
		env->max_key = daxkv_max_key_size(env->store);
	if (rc == EAGAIN) /* the store has a key, too */
		return MDB_TLS_FULL;
	if (rc)
		return err_of(rc);
	rc = mapsize_apply(env, env->mapsize);
	if (rc) {
		(void)daxkv_close(env->store);
		env->store = NULL;
	}
	return rc;
}

static void env_clear(MDB_env *env)
{
	fork_forget(env);
	(void)daxkv_close(env->store);
	env->store = NULL;
	handles_close(env);
	reader_tables_close(env);
	free(env->path);
	free(env->data);
	env->path = env->data = NULL;
}

static int env_open(MDB_env *env, const char *path, unsigned int flags, mode_t mode)
{
	uint64_t size = 0;
	int rc;
	unsigned int before = env->flags;

	flags |= before;
	if (flags & MDB_RDONLY)
		flags &= ~(unsigned int)MDB_WRITEMAP;
	env->flags = flags;
	env->forks = fork_count;
	env->path = strdup(path);
	env->data = fork_path(env_file(path, flags & MDB_NOSUBDIR));
	rc = env->path && env->data ? file_inspect(env->data, flags & MDB_RDONLY, &size) : ENOMEM;
	if (!rc)
		rc = reader_tables_open(env);
	if (!rc)
		rc = handles_open(env);
	if (!rc)
		rc = env_store_open(env, true, size, mode);
	if (!rc)
		rc = fork_watch(env);
	if (rc) {
		env_clear(env);
		env->flags = before;
		return rc;
	}
	return 0;
}

int mdb_env_open(MDB_env *env, const char *path, unsigned int flags, mode_t mode)
{
	if (!env || !path || env->store || flags & ~(unsigned int)(ENV_CHANGEABLE | ENV_FIXED))
		return EINVAL;
	const int cancel = cancel_off();
	int rc = env_open(env, path, flags, mode);

	cancel_restore(cancel);
	return rc;
}

/* ---- closing --------------------------------------------------------------------------------- */

static void end_transactions(MDB_env *env)
{
	for (struct reader *r = env->readers; r; r = r->next)
		if (r->running)
			mdb_txn_abort(r->running);
	if (env->writer)
		mdb_txn_abort(env->writer);
}

void mdb_env_close(MDB_env *env)
{
	if (!env)
		return;
	if (env->store && !env_is_copy(env)) /* a copy's store knows that it is the parent's */
		end_transactions(env);
	env_clear(env); /* what was committed is durable, and LMDB has nobody to tell when closing
	                   fails */
	pthread_mutex_destroy(&env->mutex);
	free(env);
}
