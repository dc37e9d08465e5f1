/* SPDX-License-Identifier: BSD-3-Clause */
/* members.h - members of a group (src/txn/group.h) in the explorer's stream: see
 * tests/lib/drive_group.c. */
#ifndef DAXKV_CRASH_MEMBERS_H
#define DAXKV_CRASH_MEMBERS_H

#include "drive_members.h"

#include <stdint.h>

struct member_counts {
	uint64_t groups, kept, undone, given_up;
};
extern struct member_counts member_counts;
extern const struct drive_members members;

#endif
