/* SPDX-License-Identifier: BSD-3-Clause */
#include "lock.h"

#include "base.h"
#include "daxkv.h"
#include "err.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LOCK_TRIES 100 /* openings of a lock file that somebody keeps unlinking */

/* file_open - open or make the lock file. First without O_CREAT: in a sticky directory that flag makes another user's file unopenable
 * (protected_regular in proc(5)). Returns -1 with errno set. */
static int file_open(const char *name, bool rdonly, unsigned int mode)
{
	const int flags = (rdonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	for (int i = 0; i < LOCK_TRIES; i++) {
		int fd = open(name, flags);
		if (fd < 0 && errno == ENOENT)
			fd = open(name, flags | O_CREAT | O_EXCL, mode);
		if (fd >= 0 || (errno != EEXIST && errno != EINTR))
			return fd_above_stdio(fd);
	}
	return -1;
}

static int open_failed(const char *name, int err, bool rdonly, int *fd)
{
	if (rdonly && (err == EROFS || err == EACCES || err == EPERM)) {
		*fd = -1;
		return 0;
	}
	if (err == ELOOP || err == EISDIR || err == ENXIO)
		return err_set(DAXKV_FOREIGN, "lock file %s: not a regular file", name);
	return err_sys(err, "lock file %s", name);
}

static int byte_lock(const char *name, int fd, bool rdonly)
{
	struct flock fl = {.l_type = rdonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return err_sys(errno, "locking %s", name);
	/* The kernel names the holder of a process's lock, not that of an open file description's. */
	if (fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK && fl.l_pid > 0)
		return err_set(DAXKV_BUSY, "the store is in use: process %ld holds %s", (long)fl.l_pid, name);
	return err_set(DAXKV_BUSY, "the store is in use: %s is locked", name);
}

/* file_lock - check and lock the open file; *same tells whether name still leads to it. */
static int file_lock(const char *name, int fd, bool rdonly, bool *same)
{
	struct stat mine, now;
	if (fstat(fd, &mine) != 0)
		return err_sys(errno, "lock file %s", name);
	if (!S_ISREG(mine.st_mode))
		return err_set(DAXKV_FOREIGN, "lock file %s: not a regular file", name);
	int rc = byte_lock(name, fd, rdonly);
	if (rc)
		return rc;
	if (lstat(name, &now) == 0) {
		*same = now.st_dev == mine.st_dev && now.st_ino == mine.st_ino;
		return 0;
	}
	if (errno != ENOENT)
		return err_sys(errno, "lock file %s", name);
	*same = false;
	return 0;
}

int lock_open_named(struct lock *lock, const char *name, bool rdonly, unsigned int mode)
{
	int rc, fd = -1;
	for (int i = 0; i < LOCK_TRIES; i++) {
		bool same = false;
		fd = file_open(name, rdonly, mode);
		if (fd < 0) {
			rc = open_failed(name, errno, rdonly, &fd);
			goto out;
		}
		rc = file_lock(name, fd, rdonly, &same);
		if (rc)
			close(fd);
		if (rc || same)
			goto out;
		close(fd);
	}
	rc = err_set(DAXKV_BUSY, "lock file %s: somebody keeps removing it", name);
out:
	if (rc == 0)
		lock->fd = fd;
	return rc;
}

int lock_open(struct lock *lock, const char *store_path, bool rdonly, unsigned int mode)
{
	char *name;
	if (asprintf(&name, "%s-lock", store_path) < 0)
		return err_set(ENOMEM, "no memory for a file name");
	int rc = lock_open_named(lock, name, rdonly, mode);
	free(name);
	return rc;
}

void lock_close(struct lock *lock)
{
	if (lock->fd >= 0)
		close(lock->fd);
	lock->fd = -1;
}
