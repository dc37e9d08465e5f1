/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * registry.h - the open stores of this process: the only list that no handle owns.
 *
 * Four things need it. Opening a store takes address space, of which a process has 128 TiB: those
 * that are open are counted. A forked child inherits descriptors, and with them the locks of its
 * parent (lock.h): while it lived, a parent that died would seem to go on using the store, its
 * reader entries too. So a fork handler closes them in the child. And a thread that asks for the
 * writer's lock while it holds it by way of another handle of the same store must be told, and not
 * wait for itself. And when a thread ends in a write transaction, while its process lives on,
 * nobody else would notice: a destructor leaves the lock to the next one, who recovers as from a
 * death.
 *
 * Descriptors are noted in the store the moment they are opened (fds.h), so a child made while
 * another thread opens a store keeps none either.
 */
#ifndef DAXKV_REGISTRY_H
#define DAXKV_REGISTRY_H

#include "txn/store.h"

/* registry_add - before the store's first descriptor is opened. errno. registry_remove - after its
 * last one is closed. */
int registry_add(struct daxkv_store *store);
void registry_remove(struct daxkv_store *store);

/* registry_watch_thread - the calling thread is about to write: when it ends, its locks are left.
 * ENOMEM. */
int registry_watch_thread(void);

/* registry_room - how much address space a store that is opened now may reserve: 1 TiB for the
 * first ones, and less the more there are, so that hundreds of them leave room for the program
 * itself; at least 64 GiB. */
uint64_t registry_room(void);

/* registry_writing - whether the calling thread has a write transaction of the same store, through
 * this handle or another. */
bool registry_writing(const struct daxkv_store *store);

#endif
