/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_file.c - see map_file.h, and map.h for opening and creating
 *
 * What is asked of a filesystem differs between filesystems, so each question has an answer for
 * "it cannot tell": a list of extents, else SEEK_HOLE, else everything is allocated again. All
 * calls are repeated after EINTR. None of them knows what a store is.
 */
#include "media/map_file.h"

#include "base/base.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/fds.h"
#include "media/map.h"
#include "media/path.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#define EXTENTS    32u /* of a file, asked for in one call */
#define TEMP_NAMES 100u
/* what makes a file a store: written last where the file is visible already */
#define HEAD_SIZE 4096u

typedef int fill_fn(int fd, void *arg); /* of map_create_file */
typedef int extent_fn(int fd, uint64_t from, const struct fiemap_extent *extent, uint64_t length);

/* ---- bytes of a file ------------------------------------------------------------------------- */

/* write_all - pwrite until all is written. A write of nothing is EIO: it would be tried for ever. 0
 * or errno. */
static int write_all(int fd, const uint8_t *p, uint64_t n, uint64_t off)
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
		rc = write_all(fd, zeros, min_u64(sizeof zeros, to - from), from);
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

/* ---- space of its own ------------------------------------------------------------------------ */

/* extents_walk - see is called for each extent of [0, length), and once with NULL when there are no
 * more; from is the end of the one before. What it returns but 0 ends the walk. *known: the
 * filesystem has a list of extents. Errors are those of the ioctl, once it has worked, and what see
 * has returned. */
static int extents_walk(int fd, uint64_t length, extent_fn *see, bool *known)
{
	union {
		struct fiemap map;
		uint8_t room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
	} list;
	uint64_t at = 0;
	bool last = false;
	*known = true;
	while (at < length && !last) {
		/* All of it: tools that watch memory may not know what this ioctl fills. */
		memset(&list, 0, sizeof list);
		list.map.fm_start = at;
		list.map.fm_length = length - at;
		list.map.fm_extent_count = EXTENTS;
		if (ioctl(fd, FS_IOC_FIEMAP, &list.map) != 0) {
			*known = at > 0;
			if (*known)
				return errno;
			return 0;
		}
		last = list.map.fm_mapped_extents == 0;
		for (uint32_t i = 0; i < list.map.fm_mapped_extents; i++) {
			const struct fiemap_extent *e = &list.map.fm_extents[i];
			int rc = see(fd, at, e, length);
			if (rc)
				return rc;
			at = max_u64(at, e->fe_logical + e->fe_length);
			last |= e->fe_flags & FIEMAP_EXTENT_LAST;
		}
	}
	return see(fd, at, NULL, length);
}

/* extent_own - fill the hole before an extent; blocks that it shares with another file are copied,
 * where the filesystem can. For extents_walk; e NULL: the end of the file. 0 or errno: ENOSPC where
 * the space cannot be had. */
static int extent_own(int fd, uint64_t from, const struct fiemap_extent *e, uint64_t length)
{
	uint64_t to = length;

	if (e)
		to = min_u64(e->fe_logical, length);
	int rc = 0;

	if (from < to)
		rc = file_extend(fd, from, to, length);
	if (rc)
		return rc;
	if (!e)
		return 0;
	if (!(e->fe_flags & FIEMAP_EXTENT_SHARED))
		return 0;
	if (e->fe_logical >= length)
		return 0;
	const uint64_t shared = min_u64(e->fe_length, length - e->fe_logical);
	while (fallocate(fd, FALLOC_FL_UNSHARE_RANGE, (off_t)e->fe_logical, (off_t)shared) != 0) {
		/* file_copies tells of it */
		if (errno == EOPNOTSUPP || errno == EINVAL)
			return 0;
		if (errno != EINTR)
			return errno;
	}
	return 0;
}

/* extent_shared - EEXIST for an extent that another file has, too. It is an answer and not a
 * failure: one is enough, and ends the walk. */
static int extent_shared(int fd, uint64_t from, const struct fiemap_extent *e, uint64_t length)
{
	(void)fd, (void)from, (void)length;
	if (e && e->fe_flags & FIEMAP_EXTENT_SHARED)
		return EEXIST;
	return 0;
}

/* own_by_seek - the same by SEEK_HOLE, which takes allocated blocks that nobody has written for
 * holes as well. Such blocks are allocated once more, which changes nothing. 0 or errno. */
static int own_by_seek(int fd, uint64_t length)
{
	for (uint64_t at = 0; at < length;) {
		off_t hole = lseek(fd, (off_t)at, SEEK_HOLE);
		/* it cannot tell */
		if (hole < 0 && (errno == EINVAL || errno == EOPNOTSUPP))
			return file_extend(fd, at, length, length);
		if (hole < 0) {
			if (errno == ENXIO)
				return 0;
			return errno;
		}
		if ((uint64_t)hole >= length)
			return 0;
		off_t data = lseek(fd, hole, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			return errno;
		uint64_t to = length;

		if (data >= 0)
			to = min_u64((uint64_t)data, length);
		int rc = file_extend(fd, (uint64_t)hole, to, length);
		if (rc)
			return rc;
		at = to;
	}
	return 0;
}

/* The cheapest answer first: on a filesystem in memory the number of blocks, else the list of
 * extents, else a search for holes. A file that has its space costs one call or two. */
int file_own(int fd, uint64_t length)
{
	struct stat st;
	bool known;
	/* In memory, fallocate would visit every page, and the count of blocks is exact. */
	if (file_in_memory(fd)) {
		if (fstat(fd, &st) != 0)
			return errno;
		if ((uint64_t)st.st_blocks * 512 >= max_u64(length, (uint64_t)st.st_size))
			return 0;
	}
	/* The filesystem's own list of extents knows allocated blocks that nobody has written yet
	 * from holes. */
	int rc = extents_walk(fd, length, extent_own, &known);
	if (known)
		return rc;
	return own_by_seek(fd, length);
}

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
	bool known;
	int flags = 0;
	for (size_t i = 0; i < sizeof copying / sizeof *copying; i++)
		if (magic == copying[i])
			return true;
	if (magic == BTRFS_SUPER_MAGIC &&
	    (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0 || !(flags & FS_NOCOW_FL)))
		return true;
	return extents_walk(fd, FIEMAP_MAX_OFFSET, extent_shared, &known) == EEXIST;
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

/* ---- opening and creating -------------------------------------------------------------------- */

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

/* dir_sync - make a change of path's directory entry durable. A directory that may not be read, or
 * whose filesystem has no fsync for directories, is reached by way of the whole filesystem, of
 * which fd is a file. 0 or errno. */
static int dir_sync(const char *path, int fd)
{
	const char *slash = strrchr(path, '/');
	char *dir = !slash          ? strdup(".")
	            : slash == path ? strdup("/")
	                            : strndup(path, (size_t)(slash - path));
	if (!dir)
		return ENOMEM;
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = dirfd < 0 ? errno : file_sync(dirfd);
	free(dir);
	if (dirfd >= 0)
		close(dirfd);
	if (rc == EACCES || rc == EINVAL) {
		if (syncfs(fd) == 0)
			rc = 0;
		else
			rc = errno;
	}
	return rc;
}

/* name_move - give temp the name path, unless something has it: EEXIST. Where the filesystem cannot
 * rename so, a link does the same in two steps. */
static int name_move(const char *temp, const char *path)
{
	if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	if (link(temp, path) != 0)
		return errno;
	(void)unlink(temp); /* when this fails a second name stays */
	return 0;
}

/* -1 with errno where the filesystem has no O_TMPFILE. The file must be in the directory where it
 * gets its name: a link does not cross filesystems. */
int file_nameless(const char *path, unsigned int mode)
{
	const char *slash = strrchr(path, '/');
	char *dir;
	int fd = -1;

	if (!slash)
		dir = strdup(".");
	else
		dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
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

/* temp_open - a new file beside path, with a name that nothing has: what has one of these names may
 * be somebody's. 0 with a name to free, or errno. The caller owns the name and the descriptor, and
 * unlinks the file when it is not to stay. */
static int temp_open(const char *path, unsigned int mode, char **temp, int *fd)
{
	int rc = EEXIST;

	*temp = NULL;
	for (unsigned int i = 0; i < TEMP_NAMES && rc == EEXIST; i++) {
		free(*temp);
		if (asprintf(temp, i ? "%s.daxkv-new-%u" : "%s.daxkv-new", path, i) < 0) {
			*temp = NULL;
			return ENOMEM;
		}
		fds_hold();
		*fd = fd_above_stdio(
		    open(*temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
		rc = 0;
		if (*fd < 0)
			rc = errno;
		fds_release();
	}
	if (rc) {
		free(*temp);
		*temp = NULL;
	}
	return rc;
}

/* There a file that is opened for reading may become another one when somebody writes to it. */
bool file_on_layers(int fd)
{
	return fs_magic(fd) == OVERLAYFS_SUPER_MAGIC;
}

/* file_prepare - an empty new file, before it gets its space. A file on a DAX filesystem may get
 * another size, *size, so that huge pages can map it. What cannot be asked is left as it is. */
static void file_prepare(int fd, uint64_t *size, uint64_t on_dax)
{
	struct statx st;
	file_exempt(fd);
	if (on_dax && statx(fd, "", AT_EMPTY_PATH, 0, &st) == 0 &&
	    st.stx_attributes & STATX_ATTR_DAX)
		*size = on_dax;
}

/* content_make - the whole durable content of the empty new file fd. 0 or errno, or what fill has
 * returned. The file has all its space before fill writes, so a full disk is found here. */
static int content_make(int fd, uint64_t *size, uint64_t on_dax, fill_fn *fill, void *arg)
{
	file_prepare(fd, size, on_dax);
	int rc = file_extend(fd, 0, *size, 0);

	if (rc)
		return rc;
	rc = fill(fd, arg);
	if (rc)
		return rc;
	return file_sync(fd);
}

/* new_nameless - a file that has its name only when it is whole, so that a crash leaves nothing.
 * *able: it could be tried. 0 or errno, or fill's error. After an error *fd is closed. *able false
 * says that the other way is worth trying: the filesystem lacks files without a name, or links to
 * them. */
static int new_nameless(const char *path, unsigned int mode, uint64_t *size, uint64_t on_dax,
                        fill_fn *fill, void *arg, int *fd, bool *able)
{
	fds_hold();
	*fd = file_nameless(path, mode);
	*able = *fd >= 0;
	*fd = fd_above_stdio(*fd);
	int rc = 0;

	if (*fd < 0)
		rc = errno;
	fds_release();

	if (rc)
		return rc;
	rc = content_make(*fd, size, on_dax, fill, arg);
	if (!rc) {
		rc = file_name(*fd, path);
		*able = rc == 0 || rc == EEXIST || rc == ENOSPC || rc == EDQUOT;
	}
	if (rc)
		fds_close(fd);
	return rc;
}

/* new_temporary - the same with a name for the time being. A crash may leave a file with that name;
 * later ones take another. */
static int new_temporary(const char *path, unsigned int mode, uint64_t *size, uint64_t on_dax,
                         fill_fn *fill, void *arg, int *fd)
{
	char *temp;
	int rc = temp_open(path, mode, &temp, fd);

	if (rc)
		return rc;
	rc = content_make(*fd, size, on_dax, fill, arg);
	if (!rc)
		rc = name_move(temp, path);
	if (rc) {
		(void)unlink(temp);
		fds_close(fd);
	}
	free(temp);
	return rc;
}

/* create_new - a store at a path where nothing is. When the directory's entry cannot be made
 * durable, there is none. EEXIST when somebody made one meanwhile. */
static int create_new(const char *path, unsigned int mode, uint64_t *size, uint64_t on_dax,
                      fill_fn *fill, void *arg, int *fd)
{
	bool able;
	int rc = new_nameless(path, mode, size, on_dax, fill, arg, fd, &able);

	if (rc && !able)
		rc = new_temporary(path, mode, size, on_dax, fill, arg, fd);
	if (!rc) {
		rc = dir_sync(path, *fd);
		if (rc) {
			(void)unlink(path);
			fds_close(fd);
		}
	}
	if (rc > 0)
		return err_sys(rc, "%s: cannot create a store of %lu bytes", path, *size);
	return rc;
}

/* data_copy - copy what is data of [from, to): the rest is zero in both files. 0 or errno. A file
 * that ends early is EIO. */
static int data_copy(int in, int out, uint64_t from, uint64_t to)
{
	assert(from % HEAD_SIZE == 0);
	uint8_t buffer[8192];
	while (from < to) {
		off_t data = lseek(in, (off_t)from, SEEK_DATA);
		if (data < 0) {
			if (errno == ENXIO)
				return 0;
			return errno;
		}
		from = (uint64_t)data;
		if (from >= to)
			break;
		ssize_t n = pread(in, buffer, min_u64(sizeof buffer, to - from), data);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n < 0)
				return errno;
			return EIO;
		}
		int rc = write_all(out, buffer, (uint64_t)n, from);
		if (rc)
			return rc;
		from += (uint64_t)n;
	}
	return 0;
}

/* create_inside - fill the empty file fd: the content is made in memory first, so that its head can
 * come last, behind a sync, in whatever order fill writes. A crash on the way leaves a file that
 * begins with zeros, and no half store. After an error the file is empty again. */
static int create_inside(const char *path, int fd, uint64_t *length, uint64_t on_dax, fill_fn *fill,
                         void *arg)
{
	int image = memfd_create("daxkv-new", MFD_CLOEXEC);
	if (image < 0)
		return err_sys(errno, "%s: memory for a new store", path);
	file_prepare(fd, length, on_dax);
	const uint64_t size = *length;
	assert(size > 0);
	int rc = file_extend(fd, 0, size, 0);
	if (rc == 0)
		rc = file_cut(image, size);
	if (rc == 0)
		rc = fill(image, arg);
	if (rc == 0)
		rc = data_copy(image, fd, HEAD_SIZE, size);
	if (rc == 0)
		rc = file_sync(fd);
	if (rc == 0)
		rc = data_copy(image, fd, 0, min_u64(HEAD_SIZE, size));
	if (rc == 0)
		rc = file_sync(fd);
	if (rc)
		(void)file_cut(fd, 0);
	close(image);
	if (rc > 0)
		return err_sys(rc, "%s: cannot make a store of %lu bytes in the empty file", path,
		               size);
	return rc;
}

/* Where nothing has the name, the store appears under it whole, or not at all. An empty file is
 * filled in place, because it may be a special one that somebody has prepared, with its owner, its
 * rights and its place. Any other file is EEXIST. */
int map_create_file(struct map *map, const char *path, unsigned int mode, uint64_t *size,
                    uint64_t on_dax, fill_fn *fill, void *arg)
{
	struct stat st;
	uint64_t length = 0;
	int rc;
	assert(*size > 0);
	*map = (struct map){.fd = -1, .path = path};
	if (stat(path, &st) == 0) {
		rc = map_open_file(map, path, false);
		if (rc)
			return rc;
		rc = file_length(map->fd, &length);
		if (rc)
			rc = err_sys(rc, "%s", path);
		else if (length > 0)
			rc = err_sys(EEXIST, "%s", path);
		else
			rc = create_inside(path, map->fd, size, on_dax, fill, arg);
		if (rc)
			fds_close(&map->fd);
	} else {
		if (errno != ENOENT)
			return err_sys(errno, "%s", path);
		rc = create_new(path, mode, size, on_dax, fill, arg, &map->fd);
	}
	map->made = !rc;
	return rc;
}
