/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock_make.c - making a lock file that is missing, and telling one from other files. See lock.h
 *
 * The first bytes tell whose a file is. A file that begins otherwise is never changed: the name
 * may be a program's own. LMDB's lock file is the exception, because a directory of LMDB's is used
 * by both libraries in turn; it is taken over when no process has LMDB's lock on it.
 */
#include "base/base.h"
#include "base/err.h"
#include "media/map_file.h"
#include "shm/lock.h"

#include <sys/stat.h>

#define LMDB_MAGIC 0xBEEFC0DEu /* at the beginning of its lock file */
#define FIRST_PAGE 4096u
#define MODE_BITS  (S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)

/* owner_may - whether the store's owner may read and write a lock file with these bits, which is
 * somebody else's. Only who is in the store's group is not known; mostly its owner is. */
static bool owner_may(const struct stat *lock, const struct stat *store)
{
	const mode_t group = S_IRGRP | S_IWGRP;
	const mode_t others = S_IROTH | S_IWOTH;

	if (lock->st_uid == store->st_uid)
		return true;
	if ((lock->st_mode & others) == others)
		return true;
	return lock->st_gid == store->st_gid && (lock->st_mode & group) == group;
}

/* give - the new file gets the store's owner, group and permissions, as far as this process may
 * give them. Its owner may always read and write it: a store that is write-protected has readers,
 * too. EACCES: the store's owner could not use it. 0 or errno. */
static int give(int fd, const struct stat *store, bool rdonly)
{
	mode_t mode = (store->st_mode & MODE_BITS) | S_IRUSR | S_IWUSR;
	struct stat now;

	if (fstat(fd, &now) != 0)
		return errno;
	if (now.st_gid != store->st_gid && fchown(fd, (uid_t)-1, store->st_gid) == 0)
		now.st_gid = store->st_gid;
	/* what the store's group may do is no other group's business */
	if (now.st_gid != store->st_gid)
		mode &= ~(mode_t)(S_IRGRP | S_IWGRP);
	if ((now.st_mode & 07777) != mode && fchmod(fd, mode) != 0)
		return errno;
	now.st_mode = mode;
	if (now.st_uid != store->st_uid && fchown(fd, store->st_uid, (gid_t)-1) == 0)
		now.st_uid = store->st_uid;
	/* a reader can do without a lock file */
	return rdonly && !owner_may(&now, store) ? EACCES : 0;
}

/* lasting - whether a file that could not get its name would not get it by another way either. */
static bool lasting(int rc)
{
	switch (rc) {
	case EEXIST:
	case EACCES:
	case ENOSPC:
	case EDQUOT:
	case EROFS:
		return true;
	default:
		return false;
	}
}

/* make_like - a lock file like the store. It has its name only when it is complete, so that nobody
 * meets one that he may not open; where files without a name, or /proc, cannot be had, there is a
 * moment between the two. */
static int make_like(const char *name, const struct stat *store, bool rdonly, int *fd)
{
	int rc;

	*fd = file_nameless(name, S_IRUSR | S_IWUSR);
	if (*fd >= 0) {
		rc = give(*fd, store, rdonly);
		bool given = !rc;
		if (!rc)
			rc = file_name(*fd, name);
		if (!rc)
			return 0;
		close(*fd);
		*fd = -1;
		if (!given)
			return rc;
		if (lasting(rc))
			return rc;
	}
	*fd = open(name, LOCK_OPEN_FLAGS | O_RDWR | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
	if (*fd < 0)
		return errno;
	rc = give(*fd, store, rdonly);
	if (rc) {
		(void)unlink(name);
		close(*fd);
		*fd = -1;
	}
	return rc;
}

/* A store that is to be made has no owner yet: the file gets the permissions asked for, less the
 * umask. */
int lock_make(struct lock *lock, const struct stat *store, unsigned int mode)
{
	if (store->st_mode)
		return make_like(lock->name, store, lock->rdonly, &lock->fd);
	lock->fd = open(lock->name, LOCK_OPEN_FLAGS | O_RDWR | O_CREAT | O_EXCL, mode);
	if (lock->fd < 0)
		return errno;
	return 0;
}

/* ---- whose it is ----------------------------------------------------------------------------- */

enum kind { KIND_EMPTY, KIND_OURS, KIND_LMDB, KIND_OTHER };

/* kind_of - what the first bytes say. */
static int kind_of(int fd, enum kind *kind)
{
	uint8_t head[LOCK_MAGIC_SIZE];
	ssize_t n = pread(fd, head, sizeof head, 0);

	if (n < 0)
		return errno;
	if (n == 0)
		*kind = KIND_EMPTY;
	else
		*kind = KIND_OTHER;
	if (n == (ssize_t)sizeof head && (memcmp(head, LOCK_MAGIC, sizeof head) == 0 ||
	                                  memcmp(head, LOCK_MAKING, sizeof head) == 0))
		*kind = KIND_OURS;
	else if (n == (ssize_t)sizeof head && get32(head) == LMDB_MAGIC)
		*kind = KIND_LMDB;
	return 0;
}

/* lmdb_used - whether a process has LMDB's lock on the file: of the kind that belongs to a process,
 * where daxkv's belong to an open file. */
static int lmdb_used(const struct lock *lock, int fd)
{
	struct flock fl = {
	    .l_type = F_WRLCK,
	    .l_whence = SEEK_SET,
	    .l_start = 0,
	    .l_len = 1,
	};

	if (fcntl(fd, F_OFD_GETLK, &fl) != 0)
		return err_sys(errno, "locking %s", lock->name);
	if (fl.l_type == F_UNLCK)
		return 0;
	if (fl.l_pid == -1)
		return 0;
	return err_set(DAXKV_BUSY, "process %d uses the lock file %s with LMDB", (int)fl.l_pid,
	               lock->name);
}

/* An empty file is one that is being made, or whose maker died: it may be used. */
int lock_known(const struct lock *lock, int fd)
{
	enum kind kind;
	int rc = kind_of(fd, &kind);

	if (rc)
		return err_sys(rc, "lock file %s", lock->name);
	if (kind == KIND_LMDB)
		return lmdb_used(lock, fd);
	if (kind == KIND_OTHER)
		return err_set(DAXKV_FOREIGN,
		               "%s is in the way: the store needs a lock file of that name, and it "
		               "is another file",
		               lock->name);
	return 0;
}

/* Only where the lock file has no space does the user need more than the system's text. */
int lock_error(const struct lock *lock, int rc)
{
	if (rc == ENOSPC || rc == EDQUOT)
		return err_sys(
		    rc,
		    "no room for the lock file %s: a writer needs %u bytes on that filesystem, "
		    "so remove another file there first; reading needs none",
		    lock->name, FIRST_PAGE);
	if (rc > 0)
		return err_sys(rc, "lock file %s", lock->name);
	return rc;
}

/* The beginning is written and synced before anything else is, so that a file cut short by a power
 * failure is still known as ours. */
int lock_claim(const struct lock *lock)
{
	assert(lock->fd >= 0);
	static const uint8_t first[FIRST_PAGE] = LOCK_MAKING;
	enum kind kind;
	int rc = kind_of(lock->fd, &kind);

	if (!rc && kind == KIND_OTHER)
		return lock_known(lock, lock->fd);
	if (!rc && kind == KIND_LMDB)
		rc = file_cut(lock->fd, 0);
	if (rc)
		return lock_error(lock, rc);
	size_t n = LOCK_MAGIC_SIZE;

	if (kind != KIND_OURS)
		n = sizeof first;
	if (kind != KIND_OURS)
		file_exempt(lock->fd);
	ssize_t done = pwrite(lock->fd, first, n, 0);

	if (done == (ssize_t)n)
		rc = 0;
	else if (done < 0)
		rc = errno;
	else
		rc = ENOSPC;
	/* else a power cut may leave its length and nothing that is ours */
	if (!rc && kind != KIND_OURS)
		rc = file_sync(lock->fd);
	if (rc && kind != KIND_OURS)
		(void)file_cut(lock->fd, 0);
	return lock_error(lock, rc);
}
