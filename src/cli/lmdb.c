/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lmdb.c - see lmdb.h.
 */
#include "lmdb.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY    "liblmdb.so.0"
#define LOCK_MAGIC 0xBEEFC0DEu /* the beginning of LMDB's lock file */
#define META_MAGIC LOCK_MAGIC  /* behind the header of the first page of its data file */
#define META_OFF   16

int lmdb_load(const struct call *call, struct lmdb *lmdb)
{
	*lmdb = (struct lmdb){.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL)};
	if (lmdb->library == NULL)
		return call_fail_as(call, EXIT_SYSTEM,
		                    "LMDB's library, " LIBRARY
		                    ", is not installed (Debian: liblmdb0): %s",
		                    dlerror());
#define LMDB_FIND(name)                                                                            \
	do {                                                                                       \
		void *found = dlsym(lmdb->library, #name);                                         \
		if (found == NULL)                                                                 \
			return call_fail_as(call, EXIT_SYSTEM, LIBRARY " has no function " #name); \
		memcpy(&lmdb->name, &found, sizeof found);                                         \
	} while (0);
	LMDB_FUNCTIONS(LMDB_FIND)
#undef LMDB_FIND
	if (strstr(lmdb->mdb_version(NULL, NULL, NULL), "(daxkv") != NULL)
		return call_fail_as(call, EXIT_SYSTEM,
		                    LIBRARY " is daxkv's here, which has no files of LMDB's: call "
		                            "kv without LD_LIBRARY_PATH or LD_PRELOAD");
	return EXIT_OK;
}

int lmdb_fail(const struct call *call, const struct lmdb *lmdb, int rc, const char *what)
{
	enum exit_status status = EXIT_SYSTEM;

	if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_CORRUPTED ||
	    rc == MDB_PAGE_NOTFOUND)
		status = EXIT_CORRUPT;
	if (rc == MDB_BAD_VALSIZE)
		status = EXIT_USAGE;
	return call_fail_as(call, status, "%s: %s", what, lmdb->mdb_strerror(rc));
}

/* lock_check - LMDB makes whatever has its lock file's name its lock file: what has it must be one,
 * or empty, or daxkv's. A name too long to ask for LMDB cannot open either. */
static int lock_check(const struct call *call, const char *path, bool dir)
{
	char name[PATH_MAX], head[8] = {0};
	uint32_t magic = 0;
	ssize_t n = 0;
	int fd = -1;

	if (snprintf(name, sizeof name, dir ? "%s/lock.mdb" : "%s-lock", path) < (int)sizeof name)
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0) {
		n = read(fd, head, sizeof head);
		close(fd);
	}
	memcpy(&magic, head, sizeof magic);
	if (n == 0 || magic == LOCK_MAGIC || memcmp(head, "daxkvlk", sizeof head) == 0)
		return EXIT_OK;
	return call_fail_as(
	    call, EXIT_SYSTEM,
	    "'%s' is in the way: LMDB needs a lock file of that name, and it is another file",
	    name);
}

/* data_check - LMDB makes its lock file before it looks at the data file: none is to be left beside
 * what is not LMDB's. A name too long to ask for LMDB cannot open either. */
static int data_check(const struct call *call, const char *path, bool dir)
{
	char name[PATH_MAX];
	struct stat st;
	uint32_t magic = 0;
	ssize_t n = 0;
	int fd = -1;

	if (snprintf(name, sizeof name, dir ? "%s/data.mdb" : "%s", path) < (int)sizeof name)
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	else
		errno = ENAMETOOLONG;
	if (fd < 0)
		return call_fail_as(call, EXIT_SYSTEM, "cannot open '%.200s': %s", name,
		                    strerror(errno));
	const bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	if (regular)
		n = pread(fd, &magic, sizeof magic, META_OFF);
	close(fd);
	if (n == (ssize_t)sizeof magic && magic == META_MAGIC)
		return EXIT_OK;
	return call_fail_as(call, EXIT_CORRUPT, "'%.200s' is not an LMDB file: %s", name,
	                    !regular          ? "it is no regular file"
	                    : st.st_size == 0 ? "it is empty"
	                                      : "it does not begin as one");
}

int lmdb_open(const struct call *call, struct lmdb *lmdb, const char *path, unsigned int flags,
              uint64_t mapsize)
{
	char what[300];
	struct stat st;
	int rc;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		flags |= MDB_NOSUBDIR;
	if (!(flags & MDB_NOLOCK)) {
		const bool dir = !(flags & MDB_NOSUBDIR);
		int status = data_check(call, path, dir);

		if (status == EXIT_OK)
			status = lock_check(call, path, dir);
		if (status != EXIT_OK)
			return status;
	}
	snprintf(what, sizeof what, "cannot open '%.200s' with LMDB", path);
	for (unsigned int lock = 0;; lock = MDB_NOLOCK) {
		rc = lmdb->mdb_env_create(&lmdb->env);
		if (rc == 0)
			rc = lmdb->mdb_env_set_maxdbs(lmdb->env, 1);
		if (rc == 0 && mapsize != 0)
			rc = lmdb->mdb_env_set_mapsize(lmdb->env, (size_t)mapsize);
		if (rc == 0)
			rc = lmdb->mdb_env_open(lmdb->env, path, flags | lock, 0664);
		if (rc == 0)
			return EXIT_OK;
		if (lmdb->env != NULL)
			lmdb->mdb_env_close(lmdb->env);
		lmdb->env = NULL;
		if (lock != 0 || !(flags & MDB_RDONLY) ||
		    (rc != EACCES && rc != EROFS && rc != EPERM))
			return lmdb_fail(call, lmdb, rc, what);
	}
}

void lmdb_end(struct lmdb *lmdb)
{
	if (lmdb->env != NULL)
		lmdb->mdb_env_close(lmdb->env);
	if (lmdb->library != NULL)
		dlclose(lmdb->library);
	*lmdb = (struct lmdb){.library = NULL};
}
