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
