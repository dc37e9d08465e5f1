/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stores.h - the open stores of this process: the only list that no handle owns.
 *
 * Four things need it. Opening a store takes address space, of which a process has 128 TiB: those that are open are counted. A forked child
 * inherits descriptors, and with them the locks of its parent (lock.h): while it lived, a parent that died would seem to go on using the
 * store, its reader slots too. So a fork handler closes them in the child. And a thread that asks for the writer's lock while it holds it
 * by way of another handle of the same store must be told, and not wait for itself. And when a thread ends in a write transaction, while
 * its process lives on, nobody else would notice: a destructor leaves the lock to the next one, who recovers as from a death.
 *
 * Descriptors are noted in the store the moment they are opened (forks.h), so a child made while another thread opens a store keeps none
 * either.
 */
#ifndef DAXKV_STORES_H
#define DAXKV_STORES_H

#include "txn/store.h"

/* stores_add - before the store's first descriptor is opened. errno. stores_remove - after its last one is closed. */
int stores_add(struct daxkv_store *kv);
void stores_remove(struct daxkv_store *kv);

/* stores_watch_thread - the calling thread is about to write: when it ends, its locks are left. ENOMEM. */
int stores_watch_thread(void);

/* stores_room - how much address space a store that is opened now may reserve: 1 TiB for the first ones, and less the more there are, so that
 * hundreds of them leave room for the program itself; at least 64 GiB. */
uint64_t stores_room(void);

/* stores_writing - whether the calling thread has a write transaction of the same store, through this handle or another. */
bool stores_writing(const struct daxkv_store *kv);

#endif
