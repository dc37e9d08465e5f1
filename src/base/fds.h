/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fds.h - descriptors that a forked child must not keep.
 *
 * A copy of a descriptor keeps its locks (lock.h), and so does a copy of a mapping of its file. So
 * a child closes descriptors that are noted in an open store (registry.c), and inherits no mapping
 * (MADV_DONTFORK). To open one and note it, to close one and forget it, to map and keep the mapping
 * from children, is one step to fork: it waits for the mutex here, which is held for such a step
 * only, and never while waiting for a lock on a file.
 */
#ifndef DAXKV_FDS_H
#define DAXKV_FDS_H

#include <stddef.h>
#include <sys/types.h>

void fds_hold(void);
void fds_release(void);

/* fds_map - mmap(2) and MADV_DONTFORK. */
void *fds_map(void *at, size_t len, int prot, int flags, int fd, off_t off);

/* fds_close - close *fd, unless it is -1, and make it -1. errno stays. */
void fds_close(int *fd);

#endif
