/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pm.c - what both media share: checks, counters, and the choice of a backend. See pm.h
 */
#include "media/pm.h"

#include "base/base.h"

#define LINE 64u

/* count - one thread at a time may write, so no increment is lost; who reads the counters meanwhile
 * sees whole numbers. */
static void count(uint64_t *counter, uint64_t n)
{
	store_relaxed(counter, load_relaxed(counter) + n);
}

/* writable - the one place where the const that guards the mapping is taken off. */
static void *writable(const void *p)
{
	return (void *)(uintptr_t)p;
}

/* Counters begin at 0, and nothing has failed. */
void pm_init(struct pm *pm, const struct pm_ops *ops, int fd)
{
	assert(ops);
	*pm = (struct pm){.ops = ops, .fd = fd};
}

/* A write of no bytes is nothing, and may have no source. */
void pm_write(struct pm *pm, const void *dst, const void *src, size_t n)
{
	assert(src || n == 0);
	if (n > 0)
		pm->ops->write(pm, writable(dst), src, n);
}

/* The backend writes zeros where there is no source. */
void pm_zero(struct pm *pm, const void *dst, size_t n)
{
	assert(dst || n == 0);
	if (n > 0)
		pm->ops->write(pm, writable(dst), NULL, n);
}

/* Whole lines: a store past the cache of a part of a line would read the rest of it first. */
void pm_stream(struct pm *pm, const void *dst, const void *src, size_t n)
{
	assert((uintptr_t)dst % LINE == 0);
	assert(n % LINE == 0);
	if (n == 0)
		return;
	pm->ops->stream(pm, writable(dst), src, n);
	count(&pm->lines_streamed, n / LINE);
}

/* Eight bytes at a multiple of eight: no power cut and no reader sees a part of them [I9]. */
void pm_store8(struct pm *pm, const uint64_t *word, uint64_t value)
{
	assert((uintptr_t)word % sizeof *word == 0);
	pm->ops->store8(pm, writable(word), value);
}

/* Lines that the range touches, not only those that it fills. */
void pm_flush(struct pm *pm, const void *p, size_t n)
{
	if (n == 0)
		return;
	assert(p);
	pm->ops->flush(pm, p, n);
	count(&pm->lines_flushed, ((uintptr_t)p + n - 1) / LINE - (uintptr_t)p / LINE + 1);
}

/* Once failed, the backend is not asked again: what a later success would mean is not known [R5].
 */
int pm_fence(struct pm *pm)
{
	count(&pm->fences, 1);
	if (!pm->failed)
		pm->failed = pm->ops->fence(pm);
	return pm->failed;
}

/* A fence of all is one of each range as well. */
int pm_fence_range(struct pm *pm, const void *p, size_t n)
{
	assert(n > 0);
	if (!pm->ops->fence_range)
		return pm_fence(pm);
	count(&pm->fences, 1);
	if (!pm->failed)
		pm->failed = pm->ops->fence_range(pm, p, n);
	return pm->failed;
}

/* The compiler may split or repeat these stores, so they are for bytes that nobody looks at yet. */
void pm_plain_write(struct pm *pm, void *dst, const void *src, size_t n)
{
	(void)pm;
	if (src)
		memmove(dst, src, n);
	else
		memset(dst, 0, n);
}

/* Release: what was stored before is there for whoever loads the word with acquire. */
void pm_plain_store8(struct pm *pm, uint64_t *word, uint64_t value)
{
	(void)pm;
	store_release(word, value); /* pairs with load_word */
}
