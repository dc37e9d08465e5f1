/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reader_limit.h - old readers that hold back space which the writer wants.
 *
 * A snapshot holds back what was freed since. When no free page is left but the limbo has some that
 * only readers keep there, the writer looks at these readers before it makes the file grow: those
 * beyond the bound that their own store declared are evicted; about the oldest of the others the
 * caller is asked, if it wants to be.
 *
 * The rule that makes it correct [I20]: a reader is marked before its pages are released, by an
 * exchange of the word that it announced, and it looks for the mark after reading and before it
 * returns anything. So what a call returned without TOO_OLD was read before any of it could change.
 * Readers that declared no bound are never marked: programs that keep pointers for as long as the
 * transaction lasts are right to do so. Rejected: to evict by age alone, without need: a timer
 * would end readers that harm nobody.
 */
#ifndef DAXKV_READER_LIMIT_H
#define DAXKV_READER_LIMIT_H

#include "txn/store.h"

/* reader_limit_apply - in the space's service: whether it is worth looking for released pages
 * again. The writer's lock is held. */
bool reader_limit_apply(void *store);

#endif
