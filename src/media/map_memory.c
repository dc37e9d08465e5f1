/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_memory.c - pages that lie in no file: see map.h
 *
 * They have their offsets as the file's pages have, behind all that a file may have. The address
 * space is there since the store was opened, so that a page in memory is found by the same
 * addition. Only the writer's thread comes here, and only a transaction that the file has no room
 * for.
 */
#include "base/base.h"
#include "base/err.h"
#include "media/map.h"

#include <sys/mman.h>

static void *memory_at(const struct map *map, uint64_t size)
{
	return (uint8_t *)(uintptr_t)(map->base + map->memory_off + size);
}

/* In steps that are whole pages of the system. */
int map_memory(struct map *map, uint64_t size)
{
	const uint64_t wanted = round_up(size, MAP_STEP);

	if (size <= map->memory)
		return 0;
	if (wanted > map->memory_room)
		return err_set(DAXKV_FULL, "%s: no address space for pages in memory", map->path);
	if (mprotect(memory_at(map, map->memory), wanted - map->memory, PROT_READ | PROT_WRITE))
		return err_sys(errno, "%s: %lu bytes of memory for pages", map->path, wanted);
	map->memory = wanted;
	return 0;
}

/* The kernel has the memory back. Where it does not take the address space's protection away, the
 * pages are zeros, and nobody has an offset of one. */
void map_memory_end(struct map *map)
{
	if (!map->memory)
		return;
	(void)madvise(memory_at(map, 0), map->memory, MADV_DONTNEED);
	(void)mprotect(memory_at(map, 0), map->memory, PROT_NONE);
	map->memory = 0;
}
