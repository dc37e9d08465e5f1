/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pm.h - the persistence layer: the only place that changes mapped bytes, writes them back and
 * waits for it.
 *
 *   pm_write / pm_zero     cached stores of fresh bytes
 *   pm_stream              fresh bytes past the cache, on their way to the medium at once
 *   pm_store8              one word, by an atomic release store
 *   pm_flush               start writing the lines of a range back
 *   pm_fence               wait until all that this thread flushed or streamed is durable
 *   pm_fence_range         wait until what was stored in a range is durable, and nothing else
 *
 * Above this floor a pointer into the mapping points to const, so the compiler finds a store that
 * bypasses it. The rule that makes it correct: nothing is durable before a fence after its flush,
 * and anything may be durable before (a cache evicts when it likes). A fence covers the flushes of
 * its own thread only.
 *
 * What the calls do is chosen when the file is mapped: pm_dax.c (libpmem, on MAP_SYNC mappings and
 * emulated) and pm_file.c (flush does nothing, the fence is fdatasync, that of a range msync).
 * Rejected: pmem_is_pmem() and PMEM_IS_PMEM_FORCE as the test for DAX, because they can be wrong;
 * msync for all that a commit changed, because it needs the list of ranges that fdatasync knows by
 * itself, and waits for the disk once for each.
 *
 * The counters are there for tests and for daxkv_counters: what a commit costs in lines and fences
 * is stated in DESIGN, and measured.
 */
#ifndef DAXKV_PM_H
#define DAXKV_PM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pm;

struct pm_ops {
	const char *name; /* for messages and tests */
	/* what was stored is found by who makes it durable: flush does nothing */
	bool finds;
	void (*write)(struct pm *pm, void *dst, const void *src, size_t n); /* src NULL: zeros */
	/* dst at a line, n whole lines */
	void (*stream)(struct pm *pm, void *dst, const void *src, size_t n);
	void (*store8)(struct pm *pm, uint64_t *word, uint64_t value);
	/* starts the write-back of all lines that the range touches */
	void (*flush)(struct pm *pm, const void *p, size_t n);
	int (*fence)(struct pm *pm); /* 0 or errno */
	/* the same for what was stored in a range; NULL: fence does it */
	int (*fence_range)(struct pm *pm, const void *p, size_t n);
};

struct pm {
	const struct pm_ops *ops; /* chosen at map_attach, and never changed */
	int fd;                   /* of the store, for fdatasync; not owned */
	/* errno of a sync of the file that failed, in a fence or at growth: every later fence fails
	 * with it */
	int failed;
	/* Lines are of 64 bytes. Changed, with relaxed atomic stores, by who may write; read by all
	 * with relaxed loads. */
	uint64_t lines_flushed;
	uint64_t lines_streamed;
	uint64_t fences; /* those that failed as well */
};

/* cache-line flushes by libpmem: after pm_dax_missing has said NULL */
extern const struct pm_ops pm_dax_ops;
extern const struct pm_ops pm_file_ops; /* fdatasync */
/* a private mapping: stores only, nothing is ever durable */
extern const struct pm_ops pm_private_ops;

/* pm_dax_missing - load libpmem, once for the process: NULL, or what cannot be found. Any
 * thread. */
const char *pm_dax_missing(void);

void pm_init(struct pm *pm, const struct pm_ops *ops, int fd);

/* pm_write, pm_zero - store fresh bytes at dst, in the mapping; not flushed. src may lie there,
 * too, and overlap with dst. */
void pm_write(struct pm *pm, const void *dst, const void *src, size_t n);
void pm_zero(struct pm *pm, const void *dst, size_t n);

/* pm_stream - store fresh bytes and start their way to the medium; needs no pm_flush. dst and n are
 * multiples of 64. src and dst do not overlap. */
void pm_stream(struct pm *pm, const void *dst, const void *src, size_t n);

/* pm_store8 - change one word in place; release order, pairs with load_word. Not flushed. */
void pm_store8(struct pm *pm, const uint64_t *word, uint64_t value);

/* pm_flush - start writing back the lines of [p, p + n). */
void pm_flush(struct pm *pm, const void *p, size_t n);

/* pm_fence - wait until everything this thread flushed or streamed is durable. Returns 0, or the
 * errno of fdatasync: then nothing is known about what became durable, and the caller must put the
 * store into panic. The kernel tells of a lost write once only, so that a later success means
 * nothing: it fails from then on. */
int pm_fence(struct pm *pm);

/* pm_fence_range - wait until what was stored in [p, p + n) so far, by any thread or process, is
 * durable. Nothing is known of other bytes: they may be durable, as at any time, or not. Where
 * flush does nothing alone (ops->finds). Returns what pm_fence does, and fails for good likewise.
 */
int pm_fence_range(struct pm *pm, const void *p, size_t n);

/* pm_plain_write, pm_plain_store8 - what the backends on plain memory share. */
void pm_plain_write(struct pm *pm, void *dst, const void *src, size_t n);
void pm_plain_store8(struct pm *pm, uint64_t *word, uint64_t value);

/* pm_own - bring the line of p into this core's cache for writing, ahead of a store and flush
 * (saves half their cost). */
static inline void pm_own(const void *p)
{
	__builtin_prefetch(p, 1, 3);
}

#endif
