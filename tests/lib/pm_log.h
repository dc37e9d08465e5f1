/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pm_log.h - a persistence layer that writes down what the engine does to the medium, in order, and
 * can make a fence fail.
 *
 *   engine -> pm_write, pm_store8, pm_flush, pm_fence ... -> struct pm_log -> the backend that was
 *     there before
 *
 * An event names a range by its offset in the mapping, so that a test can ask what was stored, what
 * was flushed, and in which order.
 */
#ifndef DAXKV_PM_LOG_H
#define DAXKV_PM_LOG_H

#include "media/pm.h"

#include <stdbool.h>

enum pm_log_kind {
	PM_LOG_WRITE = 1,
	PM_LOG_STREAM = 2,
	PM_LOG_WORD = 4,
	PM_LOG_FLUSH = 8,
	PM_LOG_FENCE = 16,
	PM_LOG_RANGE = 32 /* a fence of that range alone */
};
#define PM_LOG_STORES (PM_LOG_WRITE | PM_LOG_STREAM | PM_LOG_WORD)
#define PM_LOG_NONE   SIZE_MAX

struct pm_log_event {
	enum pm_log_kind kind;
	uint64_t off, n; /* bytes of the mapping; 0, 0 for a fence */
};

struct pm_log {
	struct pm_ops ops; /* first: what struct pm points at */
	struct pm *pm;
	const struct pm_ops *below;
	const uint8_t *base;
	struct pm_log_event *event;
	size_t n, room;
	int fail;           /* errno of the fence that fails; 0: none does */
	unsigned int after; /* fences that work before it */
};

/* pm_log_attach - from here on the log sees every call; base is where the mapping begins.
 * pm_log_detach puts the old backend back and frees the events. */
void pm_log_attach(struct pm_log *log, struct pm *pm, const uint8_t *base);
void pm_log_detach(struct pm_log *log);

/* pm_log_clear - forget the events so far. */
void pm_log_clear(struct pm_log *log);

/* pm_log_fail - after so many more fences one fails with that errno, and all behind it. */
void pm_log_fail(struct pm_log *log, unsigned int after, int err);

/* pm_log_next - the first event at or after from of one of those kinds; PM_LOG_NONE when there is
 * none. */
size_t pm_log_next(const struct pm_log *log, size_t from, unsigned int kinds);

/* pm_log_count - the events of those kinds. */
size_t pm_log_count(const struct pm_log *log, unsigned int kinds);

/* pm_log_touch - the first event of those kinds in [from, to) that meets the bytes [off, off + n);
 * PM_LOG_NONE when there is none. */
size_t pm_log_touch(const struct pm_log *log, size_t from, size_t to, unsigned int kinds,
                    uint64_t off, uint64_t n);

/* pm_log_written_back - whether every line of [off, off + n) was flushed or streamed by an event in
 * [from, to). */
bool pm_log_written_back(const struct pm_log *log, size_t from, size_t to, uint64_t off,
                         uint64_t n);

#endif
