/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.h - who may open the store: the file "<store>-lock" and the locks on its first byte.
 *
 * One writer process, or any number of read-only ones: an opener for writing holds the byte exclusively, a read-only one shares it. Open
 * file description locks (OFD, fcntl(2)): the kernel drops them at death, threads and other descriptors of the process do not disturb them.
 * The data file itself carries no lock. Two openers in one process exclude each other like two processes do.
 */
#ifndef DAXKV_LOCK_H
#define DAXKV_LOCK_H

#include <stdbool.h>

struct lock {
	int fd; /* -1: no lock file is used */
};

/* lock_open - make the lock file when it is missing (permissions mode before the umask), take the lock without waiting.
 * A read-only opener that cannot have a lock file (EROFS, EACCES, EPERM) goes on without: fd = -1 and 0. Errors: BUSY
 * (text names the file, and the other's pid when F_OFD_GETLK tells it: for a process's lock, not for an OFD lock), errno with a text;
 * FOREIGN when the lock file is not a regular file. The lock file is re-checked by fstat/stat after locking, so that a file unlinked
 * meanwhile is not mistaken for the lock. O_CLOEXEC, O_NOFOLLOW. */
int lock_open(struct lock *lock, const char *store_path, bool rdonly, unsigned int mode);

/* lock_open_named - the same with the lock file's own path. */
int lock_open_named(struct lock *lock, const char *name, bool rdonly, unsigned int mode);

/* lock_close - let go. The file stays. */
void lock_close(struct lock *lock);

#endif
