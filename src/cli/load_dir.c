/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load_dir.c - every regular file under a directory: the key is the path from the directory, the
 * value the content. Symbolic links are neither followed nor stored; pipes, sockets and devices are
 * passed over, and so is the store itself with its lock file.
 */
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "load.h"
#include "value.h"

struct dir {
	struct stat store;
	size_t root_size; /* characters of a path before the key */
};

/* is_store - whether the file is the store being written, or its lock file: the store's path and
 * "-lock". */
static bool is_store(const struct load *load, const struct dir *dir, const FTSENT *entry)
{
	const struct stat *st = entry->fts_statp;
	size_t size = strlen(load->call->file);
	char lock[4096];
	struct stat lock_st;

	if (st->st_dev == dir->store.st_dev && st->st_ino == dir->store.st_ino)
		return true;
	if (size + sizeof "-lock" > sizeof lock)
		return false;
	memcpy(lock, load->call->file, size);
	memcpy(lock + size, "-lock", sizeof "-lock");
	return stat(lock, &lock_st) == 0 && st->st_dev == lock_st.st_dev &&
	       st->st_ino == lock_st.st_ino;
}

/* gather_file - read the file before a transaction begins. */
static int gather_file(struct load *load, const struct daxkv_val *key,
                       const struct value_source *source)
{
	struct daxkv_val value;
	int status = value_gather(load->call, source, &value);

	if (status == EXIT_OK)
		status = load_put(load, key, &value);
	free(value.data);
	return status;
}

/* put_file - one that is too large for that: straight into the store. */
static int put_file(struct load *load, const struct daxkv_val *key, struct value_source *source)
{
	uint64_t size;
	int status = load_room(load, key->size + source->size);

	if (status == EXIT_OK)
		status = value_put(load->call, key, source, 0, &size);
	return status == EXIT_OK ? load_added(load, key->size + size) : status;
}

/* load_file - one regular file. */
static int load_file(struct load *load, const struct dir *dir, FTSENT *entry)
{
	char *relative = entry->fts_path + dir->root_size;
	struct daxkv_val key;
	struct value_source source;
	int status;

	while (*relative == '/')
		relative++;
	key = (struct daxkv_val){strlen(relative), relative};
	status = value_open(load->call, entry->fts_accpath, false, &source);
	if (status != EXIT_OK)
		return status;
	if (load_gathers(source.size))
		status = gather_file(load, &key, &source);
	else
		status = put_file(load, &key, &source);
	value_close(&source);
	return status;
}

/* load_entry - what fts met. */
static int load_entry(struct load *load, const struct dir *dir, FTSENT *entry)
{
	switch (entry->fts_info) {
	case FTS_F:
		if (!S_ISREG(entry->fts_statp->st_mode) || is_store(load, dir, entry))
			return EXIT_OK;
		return load_file(load, dir, entry);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return call_fail_sys(load->call, entry->fts_errno, "cannot read '%s'",
		                     entry->fts_path);
	default: /* directories before and after their entries, symbolic links */
		return EXIT_OK;
	}
}

int load_dir(struct load *load, const char *path)
{
	char root[4096];
	char *const roots[] = {root, NULL};
	struct dir dir = {.root_size = strlen(path)};
	FTSENT *entry;
	FTS *fts;
	int status = EXIT_OK;

	/* The directory itself may be named by a symbolic link: the slash makes fts go through
	 * it. */
	if (dir.root_size + 2 > sizeof root)
		return call_fail_sys(load->call, ENAMETOOLONG, "cannot read '%s'", path);
	memcpy(root, path, dir.root_size);
	memcpy(root + dir.root_size, "/", 2);
	if (fstat(daxkv_fd(load->call->store), &dir.store) != 0)
		return call_fail_sys(load->call, errno, "cannot look at the store");
	load->by_parts = true;
	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (fts == NULL)
		return call_fail_sys(load->call, errno, "cannot read '%s'", path);
	while (errno = 0, (entry = fts_read(fts)) != NULL) {
		status = load_entry(load, &dir, entry);
		if (status != EXIT_OK)
			break;
	}
	if (entry == NULL && errno != 0)
		status = call_fail_sys(load->call, errno, "cannot read '%s'", path);
	fts_close(fts);
	return status;
}
