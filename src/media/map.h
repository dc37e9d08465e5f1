/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map.h - the store's file and its one mapping.
 *
 *   reserved address space, 2 MiB aligned      |<------------- reserve ------------->|
 *   mapped file                                |<---- size ---->|   PROT_NONE        |  memory
 *
 * The address range is reserved at open and filled with MAP_FIXED as the file grows, so pointers
 * never move [I14]. The file is never sparse: growth is fallocate(2), then fsync, before anything
 * durable refers to the new space; so a full disk is ENOSPC from a call and not SIGBUS from a
 * store. On failure the file has its old size again.
 *
 * Behind it is address space for pages that lie in no file (map_memory), so that an offset leads to
 * a page whichever kind it is.
 *
 * What a failure leaves is the rule of every call here: file and mapping are as before, but for a
 * file that may be longer than it need be, which the format allows. What was rejected: mremap (it
 * moves, and pointers that readers hold would be wild), several mappings (a value could not lie
 * across two of them), and a file that is sparse until it is written (a store to it can then fail,
 * which a signal tells and no return value).
 */
#ifndef DAXKV_MAP_H
#define DAXKV_MAP_H

#include "base/format.h"
#include "daxkv.h"
#include "media/pm.h"

#include <pthread.h>
#include <stdbool.h>

#define MAP_STEP (2u << 20) /* alignment of address and of growth: a huge page */

struct map {
	int fd;      /* of the store; -1: none */
	bool rdonly; /* the descriptor cannot write */
	bool made;   /* the file is new: made by way of this struct */
	/* the writer's: a power cut may take length and space of what the file grew by, until a
	 * fence has returned; see map_grow_later */
	bool unsettled;
	bool private_copy; /* MAP_PRIVATE: stores stay in this process */
	/* set before map_attach: MAP_STEP bytes behind the mapping can be read, too, as zeros (see
	 * view.h on eviction) */
	bool guard;
	/* set before map_attach: bytes of the file that have, or get, their space; what is mapped
	 * behind them gets it in map_grow. 0: all */
	uint64_t own;
	/* set before map_attach: what is reserved when there is no maximum; 0: 1 TiB */
	uint64_t room;
	const uint8_t *base; /* of the reserved range: it never moves; NULL: not attached */
	uint64_t reserve;    /* bytes of address space: no size is above it */
	/* bytes: the writer's growing stops here; at most reserve. Atomic */
	uint64_t cap;
	/* behind the reserved range: where pages in memory begin, bytes for them, and bytes of
	 * these that can be used now; 0: none */
	uint64_t memory_off;
	uint64_t memory_room;
	uint64_t memory;
	/* bytes mapped; the file has at least as many. Stored with release order: load_word for
	 * other threads */
	uint64_t size;
	enum daxkv_medium medium; /* how stores become durable */
	/* tmpfs or ramfs: nothing survives a power cut whatever is flushed */
	bool volatile_fs;
	struct pm pm;
	pthread_mutex_t mutex; /* of growing and extending */
	/* bytes that commits use, by all processes; NULL: this one's alone */
	const uint64_t *committed;
	const char *path; /* the caller's; for messages */
	/* the writer's: a bit for each MAP_STEP that is faulted in; NULL: no need to, or no memory
	 */
	uint8_t *prefaulted;
};

/* map_open_file - open path for a store, never creating it. Fills fd, rdonly, path. Errors: errno
 * with a text; ENOENT; EISDIR for a directory; FOREIGN for what is neither a regular file nor empty
 * ("not a regular file"). */
int map_open_file(struct map *map, const char *path, bool rdonly);

/* map_create_file - make the file of a new store so that it appears at path whole or not at all: a
 * file without a name, or where the filesystem has none, "<path>.daxkv-new" or the like, a name
 * that nothing has; fallocated to size, written by fill (pwrite in any order; 0, errno or a daxkv
 * code with a text), fsynced, given the name path without replacing anything (EEXIST), directory
 * fsynced. When path exists and is an empty file, and only then, it is filled in place, the first
 * 4096 bytes last: fill then writes to a file in memory, which is copied. On failure there is no
 * file, or the empty one. Fills fd, path. Where the filesystem maps persistent memory *size becomes
 * on_dax (0: it stays) before fill is called. */
int map_create_file(struct map *map, const char *path, unsigned int mode, uint64_t *size,
                    uint64_t on_dax, int (*fill)(int fd, void *arg), void *arg);

/* map_touch - the file was modified now: stores to a mapping do not tell, on tmpfs and DAX for one,
 * and a program that copies what is newer would miss them. */
void map_touch(const struct map *map);

/* map_attach - reserve address space (max bytes, or when max is 0 as much up to map->room as can be
 * had, half of RLIMIT_AS where that is set; never under size) and map the first size bytes of the
 * file. Chooses the medium by pmem: AUTO tries MAP_SHARED_VALIDATE|MAP_SYNC and falls back to
 * fdatasync. private_copy: MAP_PRIVATE and pm_private_ops, whatever pmem says. A read-only shared
 * mapping is PROT_READ. size need not be a multiple of the system page. MADV_DONTFORK. Where the
 * mapping can be written, holes in the file's first own bytes get their space. Errors: NOT_DAX;
 * CORRUPT when the file is shorter than size; ENOSPC; ENOMEM (text says RLIMIT_AS when there is
 * one); errno of mmap. map is then as before. */
int map_attach(struct map *map, uint64_t size, uint64_t max, enum daxkv_pmem pmem,
               bool private_copy);

/* map_at - what lies at off, which is in the mapping: any page, record or word of the file. Const,
 * because only pm.h's calls change mapped bytes. map_super - the superblock at its start, which in
 * a lazy interval is not the newest one (store_super). */
static inline const void *map_at(const struct map *map, uint64_t off)
{
	return map->base + off;
}

static inline const struct fmt_super *map_super(const struct map *map)
{
	return map_at(map, 0);
}

/* map_grow - make file and mapping at least size bytes long, with their space: fallocate, map,
 * pre-fault, fsync. SIGXFSZ never reaches the process. A file that is long enough already is not
 * cut; one that is not can only grow when the mapping is shared and written to (else EACCES).
 * Errors: FULL (above reserve), ENOSPC, EFBIG, ENOMEM, EIO ...; file and mapping are then as
 * before. map_grow_later - the same without the fsync, in the page cache: the caller lets nothing
 * durable refer to the new bytes before a fence. map_grow makes up for it where that is due. */
int map_grow(struct map *map, uint64_t size);
int map_grow_later(struct map *map, uint64_t size);

/* map_prefaulted - the writer is about to use [off, off + len): fault its surroundings in, MAP_STEP
 * by MAP_STEP, which costs a fraction of faulting page by page. On persistent memory only: on a
 * file it would make pages dirty that nobody changed. */
void map_prefault(struct map *map, uint64_t off, uint64_t len);
static inline void map_prefaulted(struct map *map, uint64_t off, uint64_t len)
{
	uint64_t first = off / MAP_STEP;
	uint64_t last = (off + len - 1) / MAP_STEP;

	if (map->prefaulted && (first != last || !(map->prefaulted[first / 8] >> first % 8 & 1)))
		map_prefault(map, off, len);
}

/* map_populate - fault all of the file in. What cannot be is faulted in when it is used. */
void map_populate(struct map *map);

/* map_extend - map more of the file, up to size or all that commits use, which another process made
 * longer. Any thread may. CORRUPT when the file has not got it; FULL above reserve; errno of
 * mmap. */
int map_extend(struct map *map, uint64_t size);

/* map_follow_copy - overlayfs: a file of a lower layer is copied to the upper one when it is first
 * opened for writing, and what was opened or mapped before is the lower one's for ever. Have the
 * descriptor (its locks are lost) and the mapping, at its place, be those of the copy. Both have
 * the same bytes but for commits since, so readers go on meanwhile. map_on_layers - whether that
 * can be. */
int map_follow_copy(struct map *map);
bool map_on_layers(const struct map *map);

/* map_memory - have size bytes of memory at memory_off, zeros where they are new: pages that lie in
 * no file. The writer's. FULL: there is no address space for so many; errno of mprotect.
 * map_memory_end - they go. map_in_memory - whether that is the offset of one. */
int map_memory(struct map *map, uint64_t size);
void map_memory_end(struct map *map);
static inline bool map_in_memory(const struct map *map, uint64_t off)
{
	if (!map->memory)
		return false;
	if (off < map->memory_off)
		return false;
	return off - map->memory_off < map->memory;
}

/* map_cut - the file was made shorter by somebody else: no byte from size on is mapped any more. */
void map_cut(struct map *map, uint64_t size);

/* map_shrink - cut the file to size bytes, at most those mapped, and unmap the rest, keeping the
 * address space reserved. The caller makes sure that nobody looks there. Not durable by itself. */
int map_shrink(struct map *map, uint64_t size);

/* map_file_size - the file's length now. */
int map_file_size(const struct map *map, uint64_t *size);

/* map_detach - undo map_attach: the file stays open. */
void map_detach(struct map *map);

/* map_pmem - what to ask for to have a mapping of that medium. */
enum daxkv_pmem map_pmem(enum daxkv_medium medium);

/* map_close - unmap and close. Safe on a struct map that is all zeros but fd = -1. */
void map_close(struct map *map);

/* map_copies - whether a store to the mapping may need space on the medium, and so be SIGBUS when
 * that is full. */
bool map_copies(const struct map *map);

/* map_durability - the line for info's durability. Static storage. */
const char *map_durability(const struct map *map);

#endif
