/* SPDX-License-Identifier: BSD-3-Clause */
/* fds.c - see fds.h */
#include "base/fds.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* fds_hold, fds_release - from here to there no fork happens in between: what is opened is noted,
 * too. */
void fds_hold(void)
{
	pthread_mutex_lock(&mutex);
}

/* fds_release - see fds_hold. A fork that waited goes on now. */
void fds_release(void)
{
	pthread_mutex_unlock(&mutex);
}

/* errno is mmap's. That the mapping is kept from children is a help, and may fail: an old kernel
 * without MADV_DONTFORK is none that daxkv runs on. */
void *fds_map(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	fds_hold();
	void *p = mmap(at, len, prot, flags, fd, off);
	int err = errno;

	if (p != MAP_FAILED)
		(void)madvise(p, len, MADV_DONTFORK);
	fds_release();
	errno = err;
	return p;
}

/* Under the mutex, so that a child that was forked meanwhile does not find the number in use by
 * another file. */
void fds_close(int *fd)
{
	int err = errno;

	fds_hold();
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	fds_release();
	errno = err;
}
