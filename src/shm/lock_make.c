/* SPDX-License-Identifier: BSD-3-Clause */
/* lock_make.c - making a lock file that is missing. See lock.h */
#include "base/base.h"
#include "base/err.h"
#include "shm/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MODE_BITS (S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)

/* owner_may - whether the store's owner may read and write a lock file with these bits, which is
 * somebody else's. Only who is in the store's group is not known; mostly its owner is. */
static bool owner_may(const struct stat *lock, const struct stat *store)
{
	const mode_t group = S_IRGRP | S_IWGRP, others = S_IROTH | S_IWOTH;

	return lock->st_uid == store->st_uid || (lock->st_mode & others) == others ||
	       (lock->st_gid == store->st_gid && (lock->st_mode & group) == group);
}

/* give - the new file gets the store's owner, group and permissions, as far as this process may give
 * them. Its owner may always read and write it: a store that is write-protected has readers, too.
 * EACCES: the store's owner could not use it. 0 or errno. */
static int give(int fd, const struct stat *store, bool rdonly)
{
	mode_t mode = (store->st_mode & MODE_BITS) | S_IRUSR | S_IWUSR;
	struct stat now;

	if (fstat(fd, &now) != 0)
		return errno;
	if (now.st_gid != store->st_gid && fchown(fd, (uid_t)-1, store->st_gid) == 0)
		now.st_gid = store->st_gid;
	if (now.st_gid != store->st_gid) /* what the store's group may do is no other group's business */
		mode &= ~(mode_t)(S_IRGRP | S_IWGRP);
	if ((now.st_mode & 07777) != mode && fchmod(fd, mode) != 0)
		return errno;
	now.st_mode = mode;
	if (now.st_uid != store->st_uid && fchown(fd, store->st_uid, (gid_t)-1) == 0)
		now.st_uid = store->st_uid;
	return rdonly && !owner_may(&now, store) ? EACCES : 0; /* a reader can do without a lock file */
}

/* nameless_open - a file without a name in the directory of name. -1 with errno. */
static int nameless_open(const char *name)
{
	const char *slash = strrchr(name, '/');
	char *dir = !slash ? strdup(".") : strndup(name, slash == name ? 1 : (size_t)(slash - name));
	int fd = dir ? open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, S_IRUSR | S_IWUSR) : -1;

	free(dir);
	return fd;
}

/* name_give - the nameless file becomes name, unless something has that name. 0 or errno. */
static int name_give(int fd, const char *name)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

/* make_like - a lock file like the store. It has its name only when it is complete, so that nobody
 * meets one that he may not open; where files without a name, or /proc, cannot be had, there is a
 * moment between the two. */
static int make_like(const char *name, const struct stat *store, bool rdonly, int *fd)
{
	int rc;

	*fd = nameless_open(name);
	if (*fd >= 0) {
		rc = give(*fd, store, rdonly);
		bool given = !rc;
		if (!rc)
			rc = name_give(*fd, name);
		if (!rc)
			return 0;
		close(*fd);
		*fd = -1;
		if (!given || rc == EEXIST || rc == EACCES || rc == ENOSPC || rc == EDQUOT || rc == EROFS)
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

int lock_make(struct lock *lock, const struct stat *store, unsigned int mode)
{
	if (store->st_mode)
		return make_like(lock->name, store, lock->rdonly, &lock->fd);
	lock->fd = open(lock->name, LOCK_OPEN_FLAGS | O_RDWR | O_CREAT | O_EXCL, mode);
	return lock->fd < 0 ? errno : 0;
}
