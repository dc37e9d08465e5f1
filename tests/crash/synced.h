/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * synced.h - what is durable while commits are lazy: the state of the last sync, which a power cut
 * may not go behind.
 */
#ifndef DAXKV_CRASH_SYNCED_H
#define DAXKV_CRASH_SYNCED_H

#include <stdbool.h>
#include <stdint.h>

struct oracle_state;

/* synced_start - the store is new. synced_mode - before an outermost transaction: whether it is
 * lazy. */
void synced_start(void);
void synced_mode(void);
bool synced_lazy(void);

/* synced_allow - what a crash may leave from now on: what was synced last, what was committed last,
 * because a transaction that is short of space syncs, and what is in flight. */
void synced_allow(void);

/* synced_look - behind an operation that went well: whether all that was committed is durable now;
 * must: it has to be. */
void synced_look(bool must);

/* synced_is - whether the store came back with the state of the last sync, which becomes the
 * oracle's. synced_back - it came back so: that is durable. */
bool synced_is(uint64_t content);
void synced_back(void);

/* synced_cut - the power failed: the machine starts anew, and believes no lock file. */
void synced_cut(void);

/* synced_show - counts, for the summary. */
void synced_show(void);

void state_release(struct oracle_state *state);
void state_keep(struct oracle_state *to, const struct oracle_state *from);

#endif
