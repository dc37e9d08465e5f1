/* SPDX-License-Identifier: BSD-3-Clause */
/* forks.c - see forks.h */
#include "base/forks.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void forks_hold(void)
{
	pthread_mutex_lock(&mutex);
}

void forks_release(void)
{
	pthread_mutex_unlock(&mutex);
}

void *forks_map(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	forks_hold();
	void *p = mmap(at, len, prot, flags, fd, off);
	int err = errno;

	if (p != MAP_FAILED)
		(void)madvise(p, len, MADV_DONTFORK);
	forks_release();
	errno = err;
	return p;
}

void forks_close(int *fd)
{
	int err = errno;

	forks_hold();
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	forks_release();
	errno = err;
}
