/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * image.h - one state of the medium after a crash, and what the engine makes of it.
 *
 * Between two images the bytes are the durable ones of pm_crash.h; an image is those with a few
 * units patched, and is put back by undoing what the patches and the recovery stored. It is opened
 * by daxkv_open itself: only the calls that reach for the file are led to these bytes (the linker
 * wraps map_open_file, map_attach, map_detach and map_close), because system calls would cost more
 * than all the rest.
 */
#ifndef DAXKV_TEST_IMAGE_H
#define DAXKV_TEST_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/map.h"

/* image_start - a store of room bytes at most. image_base - durable bytes changed: the images
 * follow. image_length - of the file. */
void image_start(uint64_t room);
void image_end(void);
void image_base(const uint8_t *durable, uint64_t off, size_t n);
void image_length(uint64_t size);
uint64_t image_size(void);

/* image_patch - store n bytes; undone by image_reset. image_bytes - what the image has. */
void image_patch(uint64_t off, const void *bytes, size_t n);
const uint8_t *image_bytes(void);
void image_reset(void);

struct image_found {
	uint64_t content, pairs, txn, replayed;
};

/* image_open - recover the image, run the checker over it and read it all. Prints what is wrong
 * with it. */
bool image_open(struct image_found *found);

/* image_again - a second recovery of the image opened last finds the same and leaves it bit for bit
 * as it is; read: what is in it is read again too. */
bool image_again(const struct image_found *found, bool read);

/* image_bare - the image opened last is clean now, and does not need its ring: with its newest
 * record damaged (whole: with none left), at the byte damage, the same transaction is found, and
 * nothing is replayed. */
bool image_bare(const struct image_found *found, bool whole, unsigned int damage);

/* image_abandon - the process that had the store open is taken for dead: its locks go and its
 * mappings, its memory stays. kv is NULL when it did not get as far as a handle: opening is then
 * the map that it used, or NULL too. */
void image_abandon(struct map *opening, struct daxkv_store *store);

/* image_copy - write the image to a file. 0 or errno. */
int image_copy(const char *path);

/* image_plain - the image before image_open, as a real file at path that the engine opens without
 * any help, for reading only: it is recovered in private memory. */
bool image_plain(const char *path, struct image_found *found);

/* image_lazy - whether the store has commits that are not synced. */
bool image_lazy(const struct daxkv_store *store);

/* image_log - whether the store's commits are logged, where they can be. store may be NULL. */
void image_log(struct daxkv_store *store, bool logs);

int __real_map_open_file(struct map *map, const char *path, bool rdonly);
int __wrap_map_open_file(struct map *map, const char *path, bool rdonly);
int __real_map_attach(struct map *map, uint64_t size, uint64_t max, enum daxkv_pmem pmem,
                      bool private_copy);
int __wrap_map_attach(struct map *map, uint64_t size, uint64_t max, enum daxkv_pmem pmem,
                      bool private_copy);
void __real_map_detach(struct map *map);
void __wrap_map_detach(struct map *map);
void __real_map_close(struct map *map);
void __wrap_map_close(struct map *map);

#endif
