/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open_file.c - opening, step 2: the store's file is found, or made. See open.c
 *
 * A file that is made is a whole store before it has its name (map_create.c), so nobody has to tell
 * a half made store from a damaged one. What the options ask of a new file is used here and nowhere
 * else: an existing file has its own page size and identity.
 *
 * A new file has room for a first put and one more, however little was asked for: a store that is
 * full from its first moment on would be of no use. On persistent memory its length is a multiple
 * of a huge page, which the medium can map at once.
 */
#include "api/open.h"
#include "base/err.h"
#include "base/fds.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <time.h>

#define PAGE_DEFAULT 4096u
#define SIZE_UNIT    ((uint64_t)64 << 10) /* of a new store */
/* free pages that a new store has at least: one put must be possible, and one more */
#define ROOM_LEAST 2u

/* size_least - bytes that a new store must have: its own pages, and room for two more. */
static uint64_t size_least(uint32_t page_size)
{
	return super_min_size(page_size) + ROOM_LEAST * page_size;
}

/* size_of_new - a multiple of unit when it may be, else of the page size: what was asked for, or
 * little. 0: the maximum is too small. All are bytes; unit is a multiple of the page size. */
static uint64_t size_of_new(const struct daxkv_options *o, uint32_t page_size, uint64_t unit)
{
	const uint64_t least = size_least(page_size);
	uint64_t size = round_up(max_u64(o->initial_size, least), unit);

	if (o->max_size && size > o->max_size)
		size = round_down(o->max_size, page_size);
	if (size < least)
		return 0;
	return size;
}

/* create_file - a new store, whole and durable, in the place of nothing or of an empty file.
 * EINVAL, EFBIG for sizes that cannot be; errno. After an error no file is left that was not
 * there. */
static int create_file(struct daxkv_store *store, const char *path, const struct daxkv_options *o)
{
	struct super_new new = {.page_size = PAGE_DEFAULT, .initial = o->initial_size};

	if (o->page_size)
		new.page_size = o->page_size;
	const uint64_t most = super_max_bytes(new.page_size);
	uint64_t unit = max_u64(SIZE_UNIT, new.page_size);

	/* Pages of less than 4096 bytes are for tests, which want room. */
	if (new.page_size < FMT_SUPER_SIZE)
		unit = MAP_STEP;
	new.size = size_of_new(o, new.page_size, unit);
	if (!new.size)
		return err_set(EINVAL,
		               "a maximum size of %lu bytes: a store with pages of %u needs %lu",
		               o->max_size, new.page_size, size_least(new.page_size));
	if (new.size > most)
		return err_set(
		    EFBIG, "an initial size of %lu bytes: with pages of %u a store has at most %lu",
		    new.size, new.page_size, most);
	new.user_version = o->user_version;
	new.created = (uint64_t)time(NULL);
	if (getrandom(&new.file_id, sizeof new.file_id, 0) != sizeof new.file_id)
		return err_sys(errno, "random bytes for the new store's id");
	return map_create_file(&store->map, path, open_mode(o), &new.size,
	                       size_of_new(o, new.page_size, MAP_STEP), super_fill, &new);
}

int open_file(struct daxkv_store *store, const char *path, const struct daxkv_options *o,
              bool *made)
{
	bool create = o->flags & DAXKV_CREATE;
	uint64_t size = 0;
	int rc = map_open_file(&store->map, path, o->flags & DAXKV_READ_ONLY);

	if (rc == ENOENT && create) {
		rc = create_file(store, path, o);
		*made = !rc;
		return rc;
	}
	if (rc)
		return rc;
	rc = map_file_size(&store->map, &size);
	if (rc)
		return rc;
	if (create && o->flags & DAXKV_EXCLUSIVE)
		return err_sys(EEXIST, "%s", path);
	if (!create || size)
		return 0;
	fds_close(&store->map.fd);
	return create_file(store, path, o);
}

int open_file_local(const struct daxkv_store *store)
{
	static const uint32_t remote[] = {
	    0x6969 /* NFS */,        0x517b /* SMB */,       0xff534d42 /* CIFS */,
	    0xfe534d42 /* SMB 2 */,  0x00c36400 /* Ceph */,  0x5346414f /* AFS */,
	    0x73757245 /* Coda */,   0x7461636f /* OCFS2 */, 0x01161970 /* GFS2 */,
	    0x0bd00bd0 /* Lustre */, 0x47504653 /* GPFS */,  0x19830326 /* BeeGFS */,
	};
	struct statfs fs;

	if (store->lock.fd < 0)
		return 0;
	if (fstatfs(store->map.fd, &fs) != 0)
		return 0;
	for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
		if ((uint32_t)fs.f_type == remote[i])
			return err_set(EOPNOTSUPP, "%s: on a network filesystem (type 0x%x)",
			               store->path, remote[i]);
	return 0;
}
