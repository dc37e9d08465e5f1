/* SPDX-License-Identifier: BSD-3-Clause */
/* pm_log.c - see pm_log.h */
#include "pm_log.h"

#include "base/base.h"

#include <stdlib.h>

#define LINE 64u

static struct pm_log *log_of(const struct pm *pm)
{
	return (struct pm_log *)(uintptr_t)pm->ops;
}

static void log_add(struct pm_log *log, enum pm_log_kind kind, const void *p, uint64_t n)
{
	if (log->n == log->room) {
		size_t room = log->room ? 2 * log->room : 1024;
		struct pm_log_event *event = realloc(log->event, room * sizeof *event);

		if (!event)
			abort();
		log->event = event;
		log->room = room;
	}
	log->event[log->n++] =
	    (struct pm_log_event){kind, p ? (uint64_t)((const uint8_t *)p - log->base) : 0, n};
}

static void log_write(struct pm *pm, void *dst, const void *src, size_t n)
{
	log_add(log_of(pm), PM_LOG_WRITE, dst, n);
	log_of(pm)->below->write(pm, dst, src, n);
}

static void log_stream(struct pm *pm, void *dst, const void *src, size_t n)
{
	log_add(log_of(pm), PM_LOG_STREAM, dst, n);
	log_of(pm)->below->stream(pm, dst, src, n);
}

static void log_store8(struct pm *pm, uint64_t *word, uint64_t value)
{
	log_add(log_of(pm), PM_LOG_WORD, word, sizeof *word);
	log_of(pm)->below->store8(pm, word, value);
}

static void log_flush(struct pm *pm, const void *p, size_t n)
{
	log_add(log_of(pm), PM_LOG_FLUSH, p, n);
	log_of(pm)->below->flush(pm, p, n);
}

static int log_fence(struct pm *pm)
{
	struct pm_log *log = log_of(pm);

	log_add(log, PM_LOG_FENCE, NULL, 0);
	if (log->fail && log->after-- == 0) {
		log->after = 0;
		return log->fail;
	}
	return log->below->fence(pm);
}

static int log_fence_range(struct pm *pm, const void *p, size_t n)
{
	struct pm_log *log = log_of(pm);

	log_add(log, PM_LOG_RANGE, p, n);
	if (log->fail && log->after-- == 0) {
		log->after = 0;
		return log->fail;
	}
	return log->below->fence_range(pm, p, n);
}

void pm_log_attach(struct pm_log *log, struct pm *pm, const uint8_t *base)
{
	*log =
	    (struct pm_log){.ops = {.name = "log",
	                            .write = log_write,
	                            .stream = log_stream,
	                            .store8 = log_store8,
	                            .flush = log_flush,
	                            .fence = log_fence,
	                            .fence_range = pm->ops->fence_range ? log_fence_range : NULL},
	                    .pm = pm,
	                    .below = pm->ops,
	                    .base = base};
	pm->ops = &log->ops;
}

void pm_log_detach(struct pm_log *log)
{
	log->pm->ops = log->below;
	free(log->event);
	*log = (struct pm_log){0};
}

void pm_log_clear(struct pm_log *log)
{
	log->n = 0;
}

void pm_log_fail(struct pm_log *log, unsigned int after, int err)
{
	log->after = after;
	log->fail = err;
}

size_t pm_log_next(const struct pm_log *log, size_t from, unsigned int kinds)
{
	for (size_t i = from; i < log->n; i++)
		if (log->event[i].kind & kinds)
			return i;
	return PM_LOG_NONE;
}

size_t pm_log_count(const struct pm_log *log, unsigned int kinds)
{
	size_t count = 0;

	for (size_t i = 0; i < log->n; i++)
		count += (log->event[i].kind & kinds) != 0;
	return count;
}

size_t pm_log_touch(const struct pm_log *log, size_t from, size_t to, unsigned int kinds,
                    uint64_t off, uint64_t n)
{
	for (size_t i = from; i < to && i < log->n; i++) {
		const struct pm_log_event *e = &log->event[i];

		if ((e->kind & kinds) && e->off < off + n && off < e->off + e->n)
			return i;
	}
	return PM_LOG_NONE;
}

bool pm_log_written_back(const struct pm_log *log, size_t from, size_t to, uint64_t off, uint64_t n)
{
	for (uint64_t line = round_down(off, LINE); line < off + n; line += LINE)
		if (pm_log_touch(log, from, to, PM_LOG_FLUSH | PM_LOG_STREAM, line, LINE) ==
		    PM_LOG_NONE)
			return false;
	return true;
}
