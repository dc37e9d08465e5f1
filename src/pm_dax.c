/* SPDX-License-Identifier: BSD-3-Clause */
/* The backend for MAP_SYNC mappings, and for emulation: libpmem chooses the processor's best flush and streaming store. */
#include "pm.h"

#include <libpmem.h>

static void dax_stream(struct pm *pm, void *dst, const void *src, size_t n)
{
	(void)pm;
	pmem_memcpy(dst, src, n, PMEM_F_MEM_NONTEMPORAL | PMEM_F_MEM_NODRAIN);
}

static void dax_flush(struct pm *pm, const void *p, size_t n)
{
	(void)pm;
	pmem_flush(p, n);
}

static int dax_fence(struct pm *pm)
{
	(void)pm;
	pmem_drain();
	return 0;
}

const struct pm_ops pm_dax_ops = {
    .name = "dax",
    .write = pm_plain_write,
    .stream = dax_stream,
    .store8 = pm_plain_store8,
    .flush = dax_flush,
    .fence = dax_fence,
};
