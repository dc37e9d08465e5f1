/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * registry.c - see registry.h
 *
 * Its mutex comes before that of fds.h, and is never held while waiting for a lock on a file. In
 * the child of a fork there is one thread, and neither mutex is waited for.
 */
#include "txn/registry.h"

#include "base/base.h"
#include "base/err.h"
#include "base/fds.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* bytes of address space: for all stores, of the 128 TiB that a process has; for one */
#define ROOM_FOR_ALL        ((uint64_t)48 << 40)
#define ROOM_MOST           ((uint64_t)1 << 40)
#define REGISTRY_ROOM_LEAST ((uint64_t)64 << 30)

static struct {
	pthread_mutex_t mutex;
	struct daxkv_store *first;
	int failed; /* errno of pthread_atfork */
	/* while a store is listed: not NULL for a thread that has written. Its destructor is what
	 * matters */
	pthread_key_t writers;
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* registry_before_fork - no descriptor is half noted when the process is copied. */
static void registry_before_fork(void)
{
	pthread_mutex_lock(&registry.mutex);
	fds_hold();
}

/* registry_after_fork_in_parent - as before. */
static void registry_after_fork_in_parent(void)
{
	fds_release();
	pthread_mutex_unlock(&registry.mutex);
}

/* fd_drop - close(2) is safe here: the child has one thread. */
static void fd_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* registry_after_fork_in_child - the stores are the parent's: descriptors are closed, and every
 * later call finds out by the page that is zeros now. */
static void registry_after_fork_in_child(void)
{
	fds_release();
	for (struct daxkv_store *store = registry.first; store; store = store->next_store) {
		/* where the kernel does not wipe the page */
		if (store->alive)
			*store->alive = 0;
		store->store_link = NULL;
		/* In this order, as in closing: who finds nobody at the lock file then finds nobody
		 * at the data file. */
		fd_drop(&store->map.fd);
		fd_drop(&store->lock.dir_fd);
		fd_drop(&store->lock.fd);
	}
	if (registry.first)
		pthread_key_delete(registry.writers);
	registry.first = NULL;
	pthread_mutex_unlock(&registry.mutex);
}

/* txn_left - the calling thread ends in its write transaction. Members of its group undo that and
 * close the group [G5]; without one the lock is left to the next writer, who recovers. The
 * transaction itself stays where it is, for the thread that has the lock next to bury. */
static void txn_left(struct daxkv_store *store)
{
	assert(!store->nolock);
	struct commit_group *g = &store->group;

	store_relaxed(&store->writer_thread, 0);
	if (g->on && g->root) {
		g->orphan = true;
		group_yield(g);
		return;
	}
	wlock_leave(&store->share->writer);
	if (g->on)
		group_leave(g);
}

/* registry_thread_ended - destructor: leave the locks that the thread still has. In a late round of
 * destructors, so that those of the program's own may end the transactions first: arg counts them.
 * The last round is left to sanitizers, which end their threads there. */
static void registry_thread_ended(void *arg)
{
	uintptr_t round = (uintptr_t)arg;

	if (round < PTHREAD_DESTRUCTOR_ITERATIONS - 1 &&
	    pthread_setspecific(registry.writers, (void *)(round + 1)) == 0)
		return;
	pthread_mutex_lock(&registry.mutex);
	/* else another thread may have it */
	for (struct daxkv_store *store = registry.first; store; store = store->next_store)
		if (txn_writing(store) && !store->nolock)
			txn_left(store);
	pthread_mutex_unlock(&registry.mutex);
}

/* Once for each thread that writes. The key's value is not NULL for a thread that has written,
 * which is all that its destructor needs. */
int registry_watch_thread(void)
{
	if (LIKELY(pthread_getspecific(registry.writers) != NULL))
		return 0;
	int rc = pthread_setspecific(registry.writers, (void *)1);

	if (rc)
		return err_sys(rc, "watching a writing thread");
	return 0;
}

/* registry_handlers_set - once for the process: they cannot be taken back. */
static void registry_handlers_set(void)
{
	registry.failed = pthread_atfork(registry_before_fork, registry_after_fork_in_parent,
	                                 registry_after_fork_in_child);
}

/* A store is added once. */
int registry_add(struct daxkv_store *store)
{
	assert(!store->store_link);
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, registry_handlers_set);
	if (registry.failed)
		return err_sys(registry.failed, "a handler for fork");
	pthread_mutex_lock(&registry.mutex);
	int rc = 0;

	if (!registry.first)
		rc = pthread_key_create(&registry.writers, registry_thread_ended);
	if (rc) {
		pthread_mutex_unlock(&registry.mutex);
		return err_sys(rc, "a key for the threads that write");
	}
	store->next_store = registry.first;
	store->store_link = &registry.first;
	if (store->next_store)
		store->next_store->store_link = &store->next_store;
	registry.first = store;
	pthread_mutex_unlock(&registry.mutex);
	return 0;
}

/* Safe for a store that was never added. */
void registry_remove(struct daxkv_store *store)
{
	pthread_mutex_lock(&registry.mutex);
	if (store->store_link) {
		assert(*store->store_link == store);
		*store->store_link = store->next_store;
		if (store->next_store)
			store->next_store->store_link = store->store_link;
		store->store_link = NULL;
		if (!registry.first)
			pthread_key_delete(registry.writers);
	}
	pthread_mutex_unlock(&registry.mutex);
}

/* same_file - whether two handles are of one file: copies of a store have the same id. */
static bool same_file(const struct daxkv_store *a, const struct daxkv_store *b)
{
	struct stat x;
	struct stat y;

	if (a == b)
		return true;
	if (a->geometry.file_id != b->geometry.file_id)
		return false;
	if (fstat(a->map.fd, &x) != 0)
		return false;
	if (fstat(b->map.fd, &y) != 0)
		return false;
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A share of what is left for all, so that the hundredth store still opens. */
uint64_t registry_room(void)
{
	uint64_t taken = 0;

	pthread_mutex_lock(&registry.mutex);
	for (const struct daxkv_store *store = registry.first; store; store = store->next_store)
		taken += load_relaxed(&store->reserved);
	pthread_mutex_unlock(&registry.mutex);
	uint64_t left = 0;

	if (taken < ROOM_FOR_ALL)
		left = ROOM_FOR_ALL - taken;
	return max_u64(REGISTRY_ROOM_LEAST, min_u64(ROOM_MOST, left / 16));
}

/* By this thread alone: others are waited for. Only a thread that finds the lock taken comes here.
 */
bool registry_writing(const struct daxkv_store *store)
{
	bool found = false;

	pthread_mutex_lock(&registry.mutex);
	for (const struct daxkv_store *other = registry.first; other && !found;
	     other = other->next_store)
		found = txn_writing(other) && same_file(store, other);
	pthread_mutex_unlock(&registry.mutex);
	return found;
}
