/* SPDX-License-Identifier: BSD-3-Clause */
/* zones.h - compactions of the explorer's stream put bitmap and directory pages to the first free
 * places, wherever these are, beside those that they move to the front. */
#ifndef DAXKV_CRASH_ZONES_H
#define DAXKV_CRASH_ZONES_H

#include <stdint.h>

struct zone_counts {
	uint64_t moved, put_elsewhere; /* to the front, and by chance */
};
extern struct zone_counts zone_counts;

#endif
