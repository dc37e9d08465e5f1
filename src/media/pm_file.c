/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backends without cache-line flushes: a file in the page cache, where the kernel knows which
 * pages are dirty and fdatasync writes them, and a private mapping, where nothing ever becomes
 * durable.
 */
#include "base/base.h"
#include "base/cancel.h"
#include "base/err.h"
#include "media/pm.h"

#include <sys/mman.h>

/* file_flush - the kernel knows by itself which pages are dirty. */
static void file_flush(struct pm *pm, const void *p, size_t n)
{
	(void)pm;
	(void)p;
	(void)n;
}

/* file_fence - fdatasync is enough: a longer file's length is among what it makes durable, because
 * its new bytes cannot be read without that. */
static int file_fence(struct pm *pm)
{
	const int cancel = cancel_off();
	int rc;
	do
		rc = fdatasync(pm->fd) == 0 ? 0 : errno;
	while (rc == EINTR);
	cancel_restore(cancel);
	if (rc)
		return err_sys(rc, "fdatasync");
	return 0;
}

/* file_fence_range - of the pages that the range touches. The kernel writes no others of the file
 * for it, but an error that it met with any of them since the last call is told here. */
static int file_fence_range(struct pm *pm, const void *p, size_t n)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t from = (uintptr_t)p / page * page;
	const int cancel = cancel_off();
	int rc;

	(void)pm;
	do
		rc = msync((void *)from, (uintptr_t)p + n - from, MS_SYNC) == 0 ? 0 : errno;
	while (rc == EINTR);
	cancel_restore(cancel);
	if (rc)
		return err_sys(rc, "msync");
	return 0;
}

/* private_fence - there is nothing that could become durable. */
static int private_fence(struct pm *pm)
{
	(void)pm;
	return 0;
}

const struct pm_ops pm_file_ops = {
    .name = "file",
    .finds = true,
    .write = pm_plain_write,
    .stream = pm_plain_write,
    .store8 = pm_plain_store8,
    .flush = file_flush,
    .fence = file_fence,
    .fence_range = file_fence_range,
};

const struct pm_ops pm_private_ops = {
    .name = "private",
    .finds = true,
    .write = pm_plain_write,
    .stream = pm_plain_write,
    .store8 = pm_plain_store8,
    .flush = file_flush,
    .fence = private_fence,
};
