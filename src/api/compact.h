/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compact.h - compaction behind commits, for a store that was opened so. See daxkv_compact.h
 *
 *   commit -> more of the file is free than the handle allows? -> a step, bounded in pages moved
 * and leaves looked at -> at the end of a pass: the end is cut, when no reader is in the way
 *
 * It waits for nobody: a thread that finds another writer, or another of its kind, leaves the step
 * to a later commit. What it does is ordinary transactions; whatever becomes of them, the commit
 * that it follows has succeeded.
 */
#ifndef DAXKV_COMPACT_H
#define DAXKV_COMPACT_H

struct daxkv_store;

#define COMPACT_FREE_MAX 99u /* per cent */

/* compact_after_commit - for store->after_commit. It leaves no error text. */
void compact_after_commit(struct daxkv_store *store);

#endif
