/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * retry.h - the operations of the transaction that runs, kept so that it can be run again when a
 * crash took it.
 *
 * A program that lost a transaction does the same once more, and the same bytes come to the same
 * places: what the crash left of the first attempt must not become valid by that.
 */
#ifndef DAXKV_TEST_RETRY_H
#define DAXKV_TEST_RETRY_H

#include "ops.h"

/* retry_note - op is executed; an outermost begin starts afresh. */
void retry_note(const struct op *op, bool outermost_begin);

/* retry_plan - after a crash: what was noted is to be run again, or (yes false) forgotten. */
void retry_plan(bool yes);

/* retry_next - the next operation of the plan; false: there is none. Its data stay valid until the
 * next retry_plan. */
bool retry_next(struct op *op);

#endif
