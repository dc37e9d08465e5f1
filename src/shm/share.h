/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * share.h - the share of a store in its lock file, so that processes can use the store together.
 *
 *   | struct share, reader entries | limbo items ... |
 *
 * Valid while somebody uses the store: who opens it alone makes it anew, so nothing in it outlives
 * a boot, a crash of all users or another version. The limbo is kept here too, because a writer
 * must know what earlier writers freed. Each writing process has a copy in memory; this one is
 * written before the record that frees, so that a successor of a writer that died finds either too
 * much, marked with a transaction that never came to be, or all.
 *
 * Item number i, counted from the share's beginning, lies at i modulo the room. limbo_first and
 * limbo_next are the numbers of the oldest and of the one to come; limbo_place is offset |
 * log2(room). Each change is one store of one of them, so a writer may die between any two.
 *
 * What is looked at has its space before: entries by the page, when they are first wanted
 * (readers.h), the limbo when it is first written. What lies between is a hole. Outgrown, the limbo
 * moves to a new place behind the old one.
 */
#ifndef DAXKV_SHARE_H
#define DAXKV_SHARE_H

#include "shm/limbo.h"
#include "shm/lock.h"
#include "shm/readers.h"

struct share_file {
	struct share *share; /* mapped, or in memory */
	size_t bytes;        /* of the mapping: the limbo lies behind it in the file */
	/* of the lock file; -1: the share is in this process's memory */
	int fd;
	const struct lock *lock;  /* the lock file */
	struct limbo_item *limbo; /* mapped; NULL: not yet */
	uint64_t limbo_off;       /* where that mapping lies in the lock file */
	uint64_t limbo_room;      /* items that it has room for: a power of two */
	uint32_t owner;           /* this open store's number */
};

/* share_file_open - the share of the store: made anew when lock->alone, else joined. When there is
 * no lock file to write, one in memory. Errors: VERSION when others use it with another layout,
 * BUSY when they use it for another store, ENOSPC, ENOMEM, errno. */
int share_file_open(struct share_file *file, const struct lock *lock, uint32_t max_readers,
                    uint64_t published, uint64_t file_id);

/* share_peek - what the lock file's share says, for who may not write it: ENODATA when there is
 * none, or one of another version or store; errno. */
int share_peek(int fd, uint64_t file_id, uint64_t *life, uint64_t *published);

/* share_refused - the error, with a text, of a lock file in use that is not this store's: BUSY when
 * it is another store's, VERSION when it is another version's. */
int share_refused(const struct lock *lock, uint64_t file_id);

/* share_inherit - before the share is made anew: the limbo that its last users left in the lock
 * file, in which items of transactions after newest are not counted. ENODATA: that cannot be known,
 * is not the store's, or is more than so many items; ENOMEM; errno. */
int share_inherit(int fd, uint64_t file_id, uint64_t newest, uint64_t most, struct limbo *limbo);

/* share_file_close - unmap or free it. */
void share_file_close(struct share_file *file);

/* share_limbo_add - append an item; it counts at once. ENOSPC, after which there is room for a
 * coarse one still, unless the newest is one; ENOMEM. share_limbo_cut - forget the
 * items of transactions after txn. share_limbo_drop - the oldest n are released. share_limbo_load -
 * make limbo what the file says. The writer's lock is held. */
int share_limbo_add(struct share_file *file, const struct limbo_item *item);
int share_limbo_cut(struct share_file *file, uint64_t txn);
void share_limbo_drop(struct share_file *file, uint64_t n);
int share_limbo_load(struct share_file *file, struct limbo *limbo);

/* share_limbo_wild - CORRUPT: what the lock file says of the limbo cannot be. */
int share_limbo_wild(const struct share_file *file);

#endif
