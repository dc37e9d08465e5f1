/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_file.h - a store's file by its descriptor: its length, its space on the medium, what the
 * filesystem does with it.
 *
 * The rule: each byte of the file in use has space of its own, so that a store to the mapping needs
 * none, and a full disk is ENOSPC from a call and not SIGBUS. Holes break it, and so do blocks that
 * two files share (cp --reflink) and filesystems that write elsewhere what is changed (copy on
 * write): holes are filled, shared blocks copied, new files exempted from copying, where that can
 * be done. What is left is known by file_copies.
 */
#ifndef DAXKV_MAP_FILE_H
#define DAXKV_MAP_FILE_H

#include <stdbool.h>
#include <stdint.h>

/* file_write - pwrite until all n bytes are written. 0 or errno. */
int file_write(int fd, const uint8_t *p, uint64_t n, uint64_t off);

/* file_length, file_cut, file_sync - fstat, ftruncate, fsync. 0 or errno. */
int file_length(int fd, uint64_t *size);
int file_cut(int fd, uint64_t size);
int file_sync(int fd);

/* file_write_ahead - write back what is dirty, and wait for it, by an open file of its own: a write
 * that fails is told to fd's next sync all the same. Promises nothing; needs /proc. Any thread. */
void file_write_ahead(int fd);

/* file_extend - give [from, to) of the file space on its medium. Bytes that the file has stay; on
 * failure it has its old length again. SIGXFSZ never reaches the process: EFBIG is all that
 * happens. 0 or errno. */
int file_extend(int fd, uint64_t from, uint64_t to, uint64_t length);

/* file_own - give the bytes [0, length) of the file, which is at least as long, space of their own:
 * only what has none is allocated, so that it needs no free space when there are no holes. 0 or
 * errno. */
int file_own(int fd, uint64_t length);

/* file_exempt - fd, an empty file, is to be changed in place, where the filesystem has to be asked
 * for that (btrfs). */
void file_exempt(int fd);

/* file_copies - whether the filesystem may need new space for what is changed in place: by its
 * kind, and by what this file is exempted from. file_in_memory - tmpfs or ramfs. */
bool file_copies(int fd);
/* file_shares - whether another file has some of the file's blocks, too, as far as can be told. */
bool file_shares(int fd);
bool file_in_memory(int fd);

/* file_nameless - a new file without a name, in the directory of path; -1 with errno, also where
 * the filesystem has no such files. file_name - give it the name path, unless something has that
 * name: EEXIST. 0 or errno; without /proc it cannot be done. */
int file_nameless(const char *path, unsigned int mode);
int file_name(int fd, const char *path);

/* file_on_layers - overlayfs: the file may be another one once it was opened for writing. */
bool file_on_layers(int fd);

#endif
