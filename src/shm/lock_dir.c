/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock_dir.c - users that no lock on the data file shows. See lock.h
 *
 * A store that is open with NO_FILE_LOCK leaves its file to the locks of the program. So that it
 * shows to those that have another lock file, it holds a byte of the directory in which the file
 * lies: the one whose number is the file's inode number. Programs lock no directories, and to read
 * one is enough for a shared lock. It does not show to those that come by a name in another
 * directory, or where the directory may not be read.
 */
#include "base/base.h"
#include "base/err.h"
#include "base/fds.h"
#include "media/path.h"
#include "shm/lock.h"

#include <stdlib.h>
#include <sys/stat.h>

/* dir_open - the directory of the path, noted in the lock; forks wait. 0 or errno. */
static int dir_open(struct lock *lock, const char *path)
{
	char *dir = path_dir(path);
	int rc = 0;

	if (!dir)
		return ENOMEM;
	fds_hold();
	lock->dir_fd = fd_above_stdio(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY));
	if (lock->dir_fd < 0)
		rc = errno;
	fds_release();
	free(dir);
	return rc;
}

/* Where the directory may not be read nothing is seen. A lock that others cannot see, as in a
 * filesystem without locks, is worth no error: the lock file is what keeps order. */
int lock_dir(struct lock *lock, const char *path, int data_fd, bool hold, bool *users)
{
	struct flock fl = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
	struct stat st;
	int rc = 0;

	*users = false;
	if (!hold && !lock->alone)
		return 0;
	if (fstat(data_fd, &st) != 0)
		return errno;
	fl.l_start = (off_t)(st.st_ino & (uint64_t)INT64_MAX);
	if (lock->dir_fd < 0)
		rc = dir_open(lock, path);
	if (rc == EMFILE || rc == ENFILE || rc == ENOMEM)
		return rc;
	if (rc)
		return 0;
	if (hold)
		(void)fcntl(lock->dir_fd, F_OFD_SETLK, &fl);
	fl.l_type = F_WRLCK;
	if (lock->alone && fcntl(lock->dir_fd, F_OFD_GETLK, &fl) == 0)
		*users = fl.l_type != F_UNLCK;
	if (!hold)
		fds_close(&lock->dir_fd);
	return 0;
}
