/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_create.c - a new store's file appears at its path whole, or not at all. See map.h
 *
 * Two processes may create the same store at once, and each may die at any step. So the content is
 * made and synced under no name, and the name comes last, by a call that replaces nothing: whoever
 * is second gets EEXIST and opens the first one's. What can be had differs between filesystems:
 *
 *   nothing at the path   a file without a name (O_TMPFILE), then linkat
 *                         else a file beside it, "<path>.daxkv-new", then rename or link
 *   an empty file there   somebody has prepared it, with its owner, its rights and its place: it is
 *                         filled where it is. Everybody can see it meanwhile, so its head, which
 *                         makes it a store, is written last, behind a sync of all the rest
 *   anything else there   EEXIST
 *
 * Last of all the directory is synced: a name that a power cut takes would take the store with it.
 */
#include "base/base.h"
#include "base/err.h"
#include "base/fds.h"
#include "media/map.h"
#include "media/map_file.h"
#include "media/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define TEMP_NAMES 100u
/* what makes a file a store: written last where the file is visible already */
#define HEAD_SIZE 4096u

typedef int fill_fn(int fd, void *arg);

struct making { /* a store's file while it is made, for map_create_file, whose words these are */
	const char *path;
	unsigned int mode;
	uint64_t *size;
	uint64_t on_dax;
	fill_fn *fill;
	void *arg;
	int fd; /* of the file that is to get the name; the caller's in the end */
};

/* dir_sync - make a change of path's directory entry durable. A directory that may not be read, or
 * whose filesystem has no fsync for directories, is reached by way of the whole filesystem, of
 * which fd is a file. 0 or errno. */
static int dir_sync(const char *path, int fd)
{
	char *dir = path_dir(path);
	int rc = 0;

	if (!dir)
		return ENOMEM;
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		rc = errno;
	else
		rc = file_sync(dirfd);
	free(dir);
	if (dirfd >= 0)
		close(dirfd);
	if (rc != EACCES && rc != EINVAL)
		return rc;
	if (syncfs(fd) != 0)
		return errno;
	return 0;
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

/* temp_open - a new file beside the path, with a name that nothing has: what has one of these names
 * may be somebody's. 0 with a name to free, or errno. The caller owns the name and the descriptor,
 * and unlinks the file when it is not to stay. */
static int temp_open(struct making *m, char **temp)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	int rc = EEXIST;

	*temp = NULL;
	for (unsigned int i = 0; i < TEMP_NAMES && rc == EEXIST; i++) {
		free(*temp);
		if (asprintf(temp, i ? "%s.daxkv-new-%u" : "%s.daxkv-new", m->path, i) < 0) {
			*temp = NULL;
			return ENOMEM;
		}
		fds_hold();
		m->fd = fd_above_stdio(open(*temp, flags, m->mode));
		rc = 0;
		if (m->fd < 0)
			rc = errno;
		fds_release();
	}
	if (rc) {
		free(*temp);
		*temp = NULL;
	}
	return rc;
}

/* file_prepare - an empty new file, before it gets its space. A file on a DAX filesystem may get
 * another size, so that huge pages can map it. What cannot be asked is left as it is. */
static void file_prepare(struct making *m)
{
	struct statx st;

	file_exempt(m->fd);
	if (m->on_dax == 0)
		return;
	if (statx(m->fd, "", AT_EMPTY_PATH, 0, &st) != 0)
		return;
	if (st.stx_attributes & STATX_ATTR_DAX)
		*m->size = m->on_dax;
}

/* content_make - the whole durable content of the empty new file. 0 or errno, or what fill has
 * returned. The file has all its space before fill writes, so a full disk is found here. */
static int content_make(struct making *m)
{
	file_prepare(m);
	int rc = file_extend(m->fd, 0, *m->size, 0);

	if (rc)
		return rc;
	rc = m->fill(m->fd, m->arg);
	if (rc)
		return rc;
	return file_sync(m->fd);
}

/* new_nameless - a file that has its name only when it is whole, so that a crash leaves nothing. 0
 * or errno, or fill's error, after which the file is closed. *able false says that the other way is
 * worth trying: the filesystem lacks files without a name, or links to them. */
static int new_nameless(struct making *m, bool *able)
{
	int rc = 0;

	fds_hold();
	m->fd = file_nameless(m->path, m->mode);
	*able = m->fd >= 0;
	m->fd = fd_above_stdio(m->fd);
	if (m->fd < 0)
		rc = errno;
	fds_release();
	if (rc)
		return rc;
	rc = content_make(m);
	if (!rc) {
		rc = file_name(m->fd, m->path);
		*able = rc == 0 || rc == EEXIST || rc == ENOSPC || rc == EDQUOT;
	}
	if (rc)
		fds_close(&m->fd);
	return rc;
}

/* new_temporary - the same with a name for the time being. A crash may leave a file with that name;
 * later ones take another. */
static int new_temporary(struct making *m)
{
	char *temp;
	int rc = temp_open(m, &temp);

	if (rc)
		return rc;
	rc = content_make(m);
	if (!rc)
		rc = name_move(temp, m->path);
	if (rc) {
		(void)unlink(temp);
		fds_close(&m->fd);
	}
	free(temp);
	return rc;
}

/* create_new - a store at a path where nothing is. When the directory's entry cannot be made
 * durable, there is none. EEXIST when somebody made one meanwhile. */
static int create_new(struct making *m)
{
	bool able;
	int rc = new_nameless(m, &able);

	if (rc && !able)
		rc = new_temporary(m);
	if (!rc) {
		rc = dir_sync(m->path, m->fd);
		if (rc) {
			(void)unlink(m->path);
			fds_close(&m->fd);
		}
	}
	if (rc > 0)
		return err_sys(rc, "%s: cannot create a store of %lu bytes", m->path, *m->size);
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
		if (n < 0)
			return errno;
		if (n == 0)
			return EIO;
		int rc = file_write(out, buffer, (uint64_t)n, from);

		if (rc)
			return rc;
		from += (uint64_t)n;
	}
	return 0;
}

/* content_move - what the file in memory has, into the store's file: the head last, between two
 * syncs. 0 or errno. */
static int content_move(const struct making *m, int image)
{
	const uint64_t size = *m->size;
	int rc = data_copy(image, m->fd, HEAD_SIZE, size);

	if (rc)
		return rc;
	rc = file_sync(m->fd);
	if (rc)
		return rc;
	rc = data_copy(image, m->fd, 0, min_u64(HEAD_SIZE, size));
	if (rc)
		return rc;
	return file_sync(m->fd);
}

/* create_inside - fill the empty file: the content is made in memory first, so that its head can
 * come last, in whatever order fill writes. A crash on the way leaves a file that begins with
 * zeros, and no half store. After an error the file is empty again. */
static int create_inside(struct making *m)
{
	int image = memfd_create("daxkv-new", MFD_CLOEXEC);

	if (image < 0)
		return err_sys(errno, "%s: memory for a new store", m->path);
	file_prepare(m);
	assert(*m->size > 0);
	int rc = file_extend(m->fd, 0, *m->size, 0);

	if (!rc)
		rc = file_cut(image, *m->size);
	if (!rc)
		rc = m->fill(image, m->arg);
	if (!rc)
		rc = content_move(m, image);
	if (rc)
		(void)file_cut(m->fd, 0);
	close(image);
	if (rc > 0)
		return err_sys(rc, "%s: cannot make a store of %lu bytes in the empty file",
		               m->path, *m->size);
	return rc;
}

/* create_at_file - where a file has the path: into it when it is empty, else EEXIST. */
static int create_at_file(struct making *m, struct map *map)
{
	uint64_t length = 0;
	int rc = map_open_file(map, m->path, false);

	if (rc)
		return rc;
	m->fd = map->fd;
	rc = file_length(m->fd, &length);
	if (rc)
		rc = err_sys(rc, "%s", m->path);
	else if (length > 0)
		rc = err_sys(EEXIST, "%s", m->path);
	else
		rc = create_inside(m);
	if (rc)
		fds_close(&m->fd);
	return rc;
}

int map_create_file(struct map *map, const char *path, unsigned int mode, uint64_t *size,
                    uint64_t on_dax, fill_fn *fill, void *arg)
{
	struct stat st;
	struct making m = {
	    .path = path,
	    .mode = mode,
	    .size = size,
	    .on_dax = on_dax,
	    .fill = fill,
	    .arg = arg,
	    .fd = -1,
	};
	int rc;

	assert(*size > 0);
	*map = (struct map){.fd = -1, .path = path};
	if (stat(path, &st) == 0)
		rc = create_at_file(&m, map);
	else if (errno == ENOENT)
		rc = create_new(&m);
	else
		return err_sys(errno, "%s", path);
	map->fd = m.fd;
	map->made = !rc;
	return rc;
}
