/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_helpers.h - what the tests of map.c share: making a mapped file and looking at it from
 * outside.
 */
#ifndef DAXKV_TEST_MAP_HELPERS_H
#define DAXKV_TEST_MAP_HELPERS_H

#include "base/base.h"
#include "media/map.h"
#include "scratch.h"

#include <sys/mman.h>

#define STEP ((uint64_t)MAP_STEP)

static inline int fill_marks(int fd, void *arg)
{
	(void)arg;
	if (pwrite(fd, "head", 4, 0) != 4 || pwrite(fd, "body", 4, 100000) != 4)
		return errno;
	return 0;
}

static inline uint64_t length_of(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : UINT64_MAX;
}

static inline uint64_t blocks_of(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* readable - whether the kernel can read the byte at p. */
static inline bool readable(const uint8_t *p)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	bool ok = write(ends[1], p, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return ok;
}

/* made - a store's file of size bytes, mapped; 0 or what failed. */
static inline int made(struct map *map, const char *path, uint64_t size, uint64_t max)
{
	int rc = map_create_file(map, path, 0644, &(uint64_t){size}, 0, fill_marks, NULL);
	return rc ? rc : map_attach(map, size, max, DAXKV_PMEM_AUTO, false);
}

/* empty_space - whether p lies in reserved space with nothing in it. A mapping beyond the end of
 * the file cannot be read either, so the kernel's list of mappings is asked. */
static inline bool empty_space(const uint8_t *p)
{
	char line[PATH_MAX + 128], perms[8];
	unsigned long from, to;
	bool empty = false;
	FILE *f = fopen("/proc/self/maps", "re");
	while (f && !empty && fgets(line, sizeof line, f))
		if (sscanf(line, "%lx-%lx %7s", &from, &to, perms) == 3 && (uintptr_t)p >= from &&
		    (uintptr_t)p < to)
			empty = strcmp(perms, "---p") == 0;
	if (f)
		fclose(f);
	return empty;
}

/* as_before - the checks after a failed growth from size. */
static inline bool as_before(const struct map *map, const char *path, uint64_t size)
{
	return map->size == size && length_of(path) == size && memcmp(map->base, "head", 4) == 0 &&
	       readable(map->base + size - 1) && empty_space(map->base + size) &&
	       empty_space(map->base + size + STEP);
}

#endif
