/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend for MAP_SYNC mappings, and for emulation: libpmem chooses the processor's best flush
 * and streaming store. It is loaded when the first store wants it: with it come libraries for
 * managing devices, which cost a process more to start than all else that it does with a store in a
 * file.
 */
#include "media/pm.h"

#include <dlfcn.h>
#include <libpmem.h>
#include <pthread.h>

#define LIBRARY "libpmem.so.1"

static struct {
	__typeof__(pmem_memcpy) *memcpy;
	__typeof__(pmem_flush) *flush;
	__typeof__(pmem_drain) *drain;
	const char *missing; /* what could not be had; static */
} pmem;

/* function_find - ISO C has no conversion from an object's address to a function's: it is
 * copied. */
static void function_find(void *library, const char *name, void *function)
{
	void **place = function;

	*place = dlsym(library, name);
	if (!*place)
		pmem.missing = name;
}

/* load - the library stays: its functions may be running in any thread. */
static void load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!library) {
		pmem.missing = LIBRARY;
		return;
	}
	function_find(library, "pmem_memcpy", &pmem.memcpy);
	function_find(library, "pmem_flush", &pmem.flush);
	function_find(library, "pmem_drain", &pmem.drain);
}

/* Looked for once in a process, by the first store that may need it. */
const char *pm_dax_missing(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return pmem.missing;
}

/* dax_stream, dax_flush, dax_fence - libpmem's calls. The fence cannot fail: a lost line is a
 * machine check, and no return value. */
static void dax_stream(struct pm *pm, void *dst, const void *src, size_t n)
{
	(void)pm;
	pmem.memcpy(dst, src, n, PMEM_F_MEM_NONTEMPORAL | PMEM_F_MEM_NODRAIN);
}

/* dax_flush - starts the write-back of the range's lines: the fence waits for it. */
static void dax_flush(struct pm *pm, const void *p, size_t n)
{
	(void)pm;
	pmem.flush(p, n);
}

/* dax_fence - orders the flushes and streamed stores of this thread before what follows. */
static int dax_fence(struct pm *pm)
{
	(void)pm;
	pmem.drain();
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
