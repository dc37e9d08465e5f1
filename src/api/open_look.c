/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open_look.c - what a path has, before anything is made beside it. See open.h
 *
 * A file that is no store gets no lock file beside it, and a path that cannot be opened is refused
 * before one is made. The descriptor is closed again: the store is opened when the lock is held.
 */
#include "api/open.h"
#include "base/err.h"
#include "base/fds.h"
#include "media/path.h"
#include "txn/store.h"

#include <errno.h>
#include <sys/stat.h>

int open_look(void *arg, struct stat *st)
{
	const struct open_look *look = arg;
	struct map map = {.fd = -1};
	struct geometry geometry;
	int rc = map_open_file(&map, look->path, true);

	if (rc == ENOENT && look->flags & DAXKV_CREATE) {
		*st = (struct stat){.st_mode = 0};
		return path_make_error(look->path);
	}
	if (rc)
		return rc;
	if (fstat(map.fd, st) != 0)
		rc = err_sys(errno, "%s", look->path);
	else if (look->flags & DAXKV_EXCLUSIVE)
		rc = err_sys(EEXIST, "%s", look->path);
	else if (!(look->flags & DAXKV_CREATE) || st->st_size)
		rc = super_read(map.fd, (uint64_t)st->st_size, &geometry);
	fds_close(&map.fd);
	return rc;
}
