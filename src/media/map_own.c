/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_own.c - each byte of a store's file has space of its own. See map_file.h
 *
 * A store to the mapping cannot fail with an error code: where the block behind it has to be found
 * first, and there is none, the process gets SIGBUS. So the file's holes are filled before it is
 * mapped, and blocks that it shares with a copy of it (cp --reflink) are copied, while a call can
 * still say ENOSPC.
 *
 *   [ data ][ hole ][ data, shared with another file ][ allocated, never written ]
 *              |                    |                              |
 *          allocated        copied where possible           left as it is
 *
 * The last kind is why the list of extents is asked for: SEEK_HOLE takes it for a hole, so a search
 * by it allocates again what is there, which is slow and changes nothing.
 */
#include "base/base.h"
#include "media/map_file.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define EXTENTS 32u /* of a file, asked for in one call */

typedef int extent_fn(int fd, uint64_t from, const struct fiemap_extent *extent, uint64_t length);

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

/* One extent is enough: the walk ends there. */
bool file_shares(int fd)
{
	bool known;

	return extents_walk(fd, FIEMAP_MAX_OFFSET, extent_shared, &known) == EEXIST;
}
