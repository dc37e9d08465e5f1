/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * passive.h - readers that may not write the lock file, or have no room for one: beside writers,
 * and in nobody's way.
 *
 * Such a reader cannot announce in a reader entry which snapshot it reads. A lock on a byte needs
 * no permission but to read: the byte behind 2^62 whose number is the oldest snapshot that its
 * handle reads is locked, in the lock file, or in the store where there is none. What the newest
 * commit is it reads from the share in the lock file, by pread(2): a mapping might lose its pages
 * when the share is made anew.
 *
 *   reader: lock the byte of the newest commit -> fence -> look again for the newest commit, and
 *     read it
 *   writer: publish -> fence -> ask for the oldest byte that is locked, when it looks for the
 *     oldest entry
 *
 * The rule that makes it correct is [I13], with a byte instead of an entry: the byte is never newer
 * than what is read, and the writer sees it or the reader sees the newer commit.
 *
 * Such readers do not show as users. So two things have to be done when somebody opens the store
 * alone while they are there: what the users before had freed may be what they read, so the limbo
 * is taken over from the lock file (passive_inherit), or where that cannot be, all pages that are
 * free then wait (passive_hold); and the share that is made has another life, by which they notice
 * that it counts.
 *
 * An unclean file is shown as it is when the words in place are those of the newest transaction: so
 * they are after a process has died between commits. Else it has to be recovered in private memory,
 * and writers are kept out while that is shown.
 */
#ifndef DAXKV_PASSIVE_H
#define DAXKV_PASSIVE_H

#include "txn/store.h"

/* passive_open - the file is attached: whether this is such a reader. *txn becomes the newest
 * commit, when others use the store. Errors: VERSION, errno. */
int passive_open(struct daxkv_store *store, uint64_t *txn);

/* passive_enter - announce a read of the newest commit, which the entry (of this process's own
 * share) then shows. passive_leave ends it. Errors: EACCES, BUSY when a program has locked the
 * whole file, errno. */
int passive_enter(struct daxkv_store *store, uint32_t reader);
void passive_leave(struct daxkv_store *store, uint32_t reader);

/* passive_oldest - the writer's: no such reader reads anything older than this; at most newest. */
uint64_t passive_oldest(const struct daxkv_store *store, uint64_t newest);

/* passive_inherit - before the share is made: the limbo that is there, when passive readers are
 * that need it; *unknown: they may need any free page. passive_bequeath - and it becomes the new
 * share's. Errors: ENOSPC, ENOMEM, errno. */
int passive_inherit(struct daxkv_store *store, uint64_t newest, struct limbo *limbo, bool *unknown);
int passive_bequeath(struct daxkv_store *store, struct limbo *limbo, bool unknown);

/* passive_hold - a writer's that takes over, before it reads the limbo: see above. It has the
 * writer's lock. Errors: ENOSPC, ENOMEM, CORRUPT, errno. */
int passive_hold(struct daxkv_store *store);

#endif
