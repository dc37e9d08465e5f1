/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * share.h - the share of a store in its lock file, so that processes can use the store together.
 *
 *   | struct share, reader entries | lazy interval: superblock, records | limbo items ... |
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
	/* of the lazy interval: SHARE_LAZY bytes, mapped; to be looked at when share->lazy says so,
	 * or share_lazy_room did */
	uint8_t *lazy;
	uint32_t lazy_mark; /* share_lazy_mark of the store */
};

#define SHARE_LAYOUT 13u /* the version of struct share */

/* share_mine - whether it is this version's, and the store's. share_read - the fixed part of such a
 * one, as the lock file has it. ENODATA: it has none; errno. */
bool share_mine(const struct share *share, uint64_t file_id);
int share_read(int fd, uint64_t file_id, struct share *share);

#define SHARE_LAZY_SUPER 4096u /* FMT_SUPER_SIZE: the superblock as the newest commit has it */
#define SHARE_LAZY_RING  (64u * 512u)
#define SHARE_LAZY       (SHARE_LAZY_SUPER + SHARE_LAZY_RING)

/* share_file_open - the share of the store: made anew when lock->alone, else joined. A lock file
 * that has had more entries than max_readers keeps them. When there is
 * no lock file to write, one in memory. keep: share_left said that it has commits that the file
 * does not know; it is made anew but for these. Errors: VERSION when others use it with another
 * layout, BUSY when they use it for another store, ENOSPC, ENOMEM, errno. */
int share_file_open(struct share_file *file, const struct lock *lock, uint32_t max_readers,
                    uint64_t published, uint64_t file_id, bool keep);

/* share_file_bytes - of a share with so many entries in the lock file, the limbo left out. */
size_t share_file_bytes(uint32_t max_readers);

/* share_left - before the share is made anew: *left: its last users left a lazy interval that goes
 * on from synced, which is the newest commit that the file knows. It counts only when the machine
 * was not started since, nor the filesystem mounted anew, and the file is the one that it was
 * about. *newest: its newest commit. fd: of the lock file. share_names - what the machine's start
 * with the mount, and the open file data_fd, are called; boot is 0 where it cannot be known. */
int share_left(int fd, int data_fd, uint64_t file_id, uint64_t synced, bool *left,
               uint64_t *newest);
void share_names(int data_fd, uint64_t *boot, uint64_t *device, uint64_t *inode);

/* share_lazy_room - the place of the lazy interval has its space, empty at first. ENOSPC, ENOMEM,
 * errno. */
int share_lazy_room(struct share_file *file);

/* share_peek - what the lock file's share says, for who may not write it; lazy commits do not count
 * as published. ENODATA: there is none, or one of another version or store; errno. */
int share_peek(int fd, uint64_t file_id, uint64_t *life, uint64_t *published);

/* share_refused - the error, with a text, of a lock file in use that is not this store's: BUSY when
 * it is another store's, VERSION when it is another version's. */
int share_refused(const struct lock *lock, uint64_t file_id);

/* share_file_same - whether an open lazy interval in the share that was joined is about this file.
 * The superblock in the lock file leads to pages that no copy of the store has. BUSY, errno. */
int share_file_same(const struct share_file *f, int data_fd);

/* share_inherit - before the share is made anew: the limbo that its last users left in the lock
 * file, in which items of transactions after newest are not counted. ENODATA: that cannot be known,
 * is not the store's, or is more than so many items; ENOMEM; errno. */
int share_inherit(int fd, uint64_t file_id, uint64_t newest, uint64_t most, struct limbo *limbo);

/* share_file_close - unmap or free it. */
void share_file_close(struct share_file *file);

/* share_limbo_start - the place of a new share's limbo, which gets its space when it is first
 * wanted. */
uint64_t share_limbo_start(const struct share_file *file);

/* share_limbo_add - append an item; it counts at once. ENOSPC, after which there is room for a
 * coarse one still, unless the newest is one; ENOMEM. share_limbo_cut - forget the
 * items of transactions after txn. share_limbo_room - one coarse item can be added, behind whatever
 * is there; errors as of share_limbo_add. share_limbo_back - forget those from number next on.
 * share_limbo_drop - the oldest n are released. share_limbo_load -
 * make limbo what the file says. The writer's lock is held. */
int share_limbo_add(struct share_file *file, const struct limbo_item *item);
int share_limbo_room(struct share_file *file);
int share_limbo_cut(struct share_file *file, uint64_t txn);
int share_limbo_back(struct share_file *file, uint64_t next);
void share_limbo_drop(struct share_file *file, uint64_t n);
int share_limbo_load(struct share_file *file, struct limbo *limbo);

/* share_limbo_wild - CORRUPT: what the lock file says of the limbo cannot be. */
int share_limbo_wild(const struct share_file *file);

#endif
