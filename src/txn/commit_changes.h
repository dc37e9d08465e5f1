/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit_changes.h - what a transaction changed, listed for its record: between commit.c and
 * commit_changes.c
 */
#ifndef DAXKV_COMMIT_CHANGES_H
#define DAXKV_COMMIT_CHANGES_H

#include "redo/ring.h"
#include "txn/store.h"

struct ranges { /* fresh bytes that the record is to name */
	struct ring_range r[FMT_REC_MAX_RANGES];
	size_t n;
	uint64_t bytes; /* of all fresh ranges, those that are not in r as well */
	bool too_many;
};

/* commit_changes - list the words of the outermost transaction but those of space, and its fresh
 * ranges. A private page's range has no checksum yet: the walk that writes the page back makes it.
 * Takes and frees pages where a descriptor moves. Errors of space_take and of a put into the main
 * database; the transaction can only be aborted then. */
int commit_changes(struct daxkv_txn *txn, struct words *words, struct ranges *ranges);

#endif
