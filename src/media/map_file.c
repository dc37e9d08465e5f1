/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_file.c - a file's bytes, its filesystem, and its name. See map_file.h, and map.h for opening
 *
 * What a filesystem tells differs, so each question has an answer for "it cannot tell", and that is
 * the careful one. All calls are repeated after EINTR. None of them knows what a store is.
 */
#include "media/map_file.h"

#include "base/base.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/fds.h"
#include "media/map.h"
#include "media/path.h"

#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

/* ---- bytes of a file ------------------------------------------------------------------------- */

/* A write of nothing is EIO: it would be tried for ever. */
int file_write(int fd, const uint8_t *p, uint64_t n, uint64_t off)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, (off_t)off);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			if (done < 0)
				return errno;
			return EIO;
		}
		p += done;
		n -= (uint64_t)done;
		off += (uint64_t)done;
	}
	return 0;
}

/* write_zeros - for filesystems without fallocate. [from, to) of the file, in pieces. 0 or
 * errno. */
static int write_zeros(int fd, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[16384];
	int rc = 0;
	for (; from < to && rc == 0; from += min_u64(sizeof zeros, to - from))
		rc = file_write(fd, zeros, min_u64(sizeof zeros, to - from), from);
	return rc;
}

/* fsync and not fdatasync: a new file's length must be there, too. */
int file_sync(int fd)
{
	while (fsync(fd) != 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

/* The kernel tells each open file of a failed write once. */
void file_write_ahead(int fd)
{
	const int cancel = cancel_off();
	char self[32];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	fd = open(self, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)fdatasync(fd);
	fds_close(&fd);
	cancel_restore(cancel);
}

/* The functions below return 0 or errno without a text: the caller knows the file's name. */
int file_length(int fd, uint64_t *size)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

/* Also makes a file longer, by a hole. */
int file_cut(int fd, uint64_t size)
{
	while (ftruncate(fd, (off_t)size) != 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

/* file_allocate - fallocate [from, to); a file whose filesystem cannot gets zeros written from its
 * end at length on. What lies in the range already stays as it is. */
static int file_allocate(int fd, uint64_t from, uint64_t to, uint64_t length)
{
	while (fallocate(fd, 0, (off_t)from, (off_t)(to - from)) != 0) {
		if (errno == EOPNOTSUPP || errno == ENOSYS)
			return write_zeros(fd, length, to);
		if (errno != EINTR)
			return errno;
	}
	return 0;
}

/* Beyond RLIMIT_FSIZE the kernel sends the calling thread SIGXFSZ: it is held back and taken. The
 * program's own handler does not run, and a signal that was pending before stays so. After an error
 * the file has its old length, if that can be had. */
int file_extend(int fd, uint64_t from, uint64_t to, uint64_t length)
{
	assert(from <= to);
	sigset_t xfsz, old, pending;
	const struct timespec now = {0, 0};
	sigemptyset(&xfsz);
	sigaddset(&xfsz, SIGXFSZ);
	int rc = pthread_sigmask(SIG_BLOCK, &xfsz, &old);
	if (rc)
		return rc;
	bool was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1;
	rc = file_allocate(fd, from, to, length);
	/* when this fails too the file is longer than it need be, which the format allows */
	if (rc && to > length)
		(void)file_cut(fd, length);
	if (rc == EFBIG && !was_pending)
		while (sigtimedwait(&xfsz, NULL, &now) < 0 && errno == EINTR)
			;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* fails on bad arguments only */
	return rc;
}

/* ---- filesystems ------------------------------------------------------------------------------
 */

/* fs_magic - which filesystem the file lies on; 0 when that cannot be asked. */
static uint32_t fs_magic(int fd)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) == 0)
		return (uint32_t)fs.f_type;
	return 0;
}

/* What lies there is gone after a power cut, whatever is synced. */
bool file_in_memory(int fd)
{
	uint32_t magic = fs_magic(fd);
	return magic == TMPFS_MAGIC || magic == RAMFS_MAGIC;
}

/* By the filesystem's kind where all of its files are copied on write, by the file's attribute on
 * Btrfs, and by its extents where a file may share them with another. */
bool file_copies(int fd)
{
	static const uint32_t copying[] = {0x2fc12fc1 /* ZFS */, 0xca451a4e /* bcachefs */,
	                                   NILFS_SUPER_MAGIC};
	const uint32_t magic = fs_magic(fd);
	int flags = 0;
	for (size_t i = 0; i < sizeof copying / sizeof *copying; i++)
		if (magic == copying[i])
			return true;
	if (magic == BTRFS_SUPER_MAGIC &&
	    (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0 || !(flags & FS_NOCOW_FL)))
		return true;
	return file_shares(fd);
}

/* Btrfs writes a file with this attribute in place. It can be set while the file is empty. */
void file_exempt(int fd)
{
	int flags = 0;
	if (fs_magic(fd) == BTRFS_SUPER_MAGIC && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NOCOW_FL;
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

/* There a file that is opened for reading may become another one when somebody writes to it. */
bool file_on_layers(int fd)
{
	return fs_magic(fd) == OVERLAYFS_SUPER_MAGIC;
}

/* ---- opening, names ---------------------------------------------------------------------------
 */

/* type_check - a store is a regular file, and nothing else. EISDIR, FOREIGN. */
static int type_check(const char *path, mode_t mode)
{
	if (S_ISDIR(mode))
		return err_sys(EISDIR, "%s", path);
	if (!S_ISREG(mode))
		return err_set(DAXKV_FOREIGN, "%s: not a regular file", path);
	return 0;
}

/* O_NONBLOCK: to open a FIFO would wait for its other end. The descriptor is above 2, where
 * programs do not close what they have not opened. */
int map_open_file(struct map *map, const char *path, bool rdonly)
{
	struct stat st;
	/* Asked before opening, because to open a device can be an act, and afterwards, because
	 * names change. */
	if (stat(path, &st) != 0)
		return path_error(errno, path);
	int rc = type_check(path, st.st_mode);
	if (rc)
		return rc;
	*map = (struct map){
	    .fd = -1,
	    .rdonly = rdonly,
	    .path = path,
	};
	fds_hold();
	map->fd = fd_above_stdio(
	    open(path, (rdonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
	fds_release();
	if (map->fd < 0)
		return err_sys(errno, "%s", path);
	if (fstat(map->fd, &st) != 0)
		rc = err_sys(errno, "%s", path);
	else
		rc = type_check(path, st.st_mode);
	if (rc)
		fds_close(&map->fd);
	return rc;
}

/* -1 with errno where the filesystem has no O_TMPFILE. The file must be in the directory where it
 * gets its name: a link does not cross filesystems. */
int file_nameless(const char *path, unsigned int mode)
{
	char *dir = path_dir(path);
	int fd = -1;

	if (dir)
		fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, mode);
	free(dir);
	return fd;
}

/* By way of /proc: linkat with AT_EMPTY_PATH needs a privilege. */
int file_name(int fd, const char *path)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return errno;
}
