/* SPDX-License-Identifier: BSD-3-Clause */
/* stores.c - see stores.h */
#include "txn/stores.h"

#include "base/base.h"
#include "base/err.h"
#include "base/forks.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM_FOR_ALL ((uint64_t)48 << 40) /* of the 128 TiB that a process has */
#define ROOM_MOST    ((uint64_t)1 << 40)
#define ROOM_LEAST   ((uint64_t)64 << 30)

static struct {
	pthread_mutex_t mutex;
	struct daxkv_store *first;
	int failed;            /* errno of pthread_atfork */
	pthread_key_t writers; /* while a store is listed: not NULL for a thread that has written. Its destructor is what matters */
} stores = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void before_fork(void)
{
	pthread_mutex_lock(&stores.mutex);
	forks_hold();
}

static void after_fork_in_parent(void)
{
	forks_release();
	pthread_mutex_unlock(&stores.mutex);
}

/* fd_drop - close(2) is safe here: the child has one thread. */
static void fd_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void after_fork_in_child(void)
{
	forks_release();
	for (struct daxkv_store *kv = stores.first; kv; kv = kv->next_store) {
		if (kv->alive)
			*kv->alive = 0; /* where the kernel does not wipe the page */
		kv->store_link = NULL;
		/* In this order, as in closing: who finds nobody at the lock file then finds nobody at the data file. */
		fd_drop(&kv->map.fd);
		fd_drop(&kv->lock.fd);
	}
	if (stores.first)
		pthread_key_delete(stores.writers);
	stores.first = NULL;
	pthread_mutex_unlock(&stores.mutex);
}

/* thread_ended - destructor: leave the locks that the thread still has. In a late round of destructors, so that those of the program's own
 * may end the transactions first: arg counts them. The last round is left to sanitizers, which end their threads there. */
static void thread_ended(void *arg)
{
	uintptr_t round = (uintptr_t)arg;

	if (round < PTHREAD_DESTRUCTOR_ITERATIONS - 1 && pthread_setspecific(stores.writers, (void *)(round + 1)) == 0)
		return;
	pthread_mutex_lock(&stores.mutex);
	for (struct daxkv_store *kv = stores.first; kv; kv = kv->next_store)
		if (txn_writing(kv) && !kv->nolock) { /* else another thread may have the transaction */
			__atomic_store_n(&kv->writer_thread, 0, __ATOMIC_RELAXED);
			wlock_leave(&kv->share->writer);
		}
	pthread_mutex_unlock(&stores.mutex);
}

int stores_watch_thread(void)
{
	if (LIKELY(pthread_getspecific(stores.writers) != NULL))
		return 0;
	int rc = pthread_setspecific(stores.writers, (void *)1);

	return rc ? err_sys(rc, "watching a writing thread") : 0;
}

static void handlers_set(void)
{
	stores.failed = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

int stores_add(struct daxkv_store *kv)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, handlers_set);
	if (stores.failed)
		return err_sys(stores.failed, "a handler for fork");
	pthread_mutex_lock(&stores.mutex);
	int rc = stores.first ? 0 : pthread_key_create(&stores.writers, thread_ended);

	if (rc) {
		pthread_mutex_unlock(&stores.mutex);
		return err_sys(rc, "a key for the threads that write");
	}
	kv->next_store = stores.first;
	kv->store_link = &stores.first;
	if (kv->next_store)
		kv->next_store->store_link = &kv->next_store;
	stores.first = kv;
	pthread_mutex_unlock(&stores.mutex);
	return 0;
}

void stores_remove(struct daxkv_store *kv)
{
	pthread_mutex_lock(&stores.mutex);
	if (kv->store_link) {
		*kv->store_link = kv->next_store;
		if (kv->next_store)
			kv->next_store->store_link = kv->store_link;
		kv->store_link = NULL;
		if (!stores.first)
			pthread_key_delete(stores.writers);
	}
	pthread_mutex_unlock(&stores.mutex);
}

/* same_file - whether two handles are of one file: copies of a store have the same id. */
static bool same_file(const struct daxkv_store *a, const struct daxkv_store *b)
{
	struct stat x, y;

	return a == b || (a->geometry.file_id == b->geometry.file_id && fstat(a->map.fd, &x) == 0 && fstat(b->map.fd, &y) == 0 &&
	                  x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

uint64_t stores_room(void)
{
	uint64_t taken = 0;

	pthread_mutex_lock(&stores.mutex);
	for (const struct daxkv_store *kv = stores.first; kv; kv = kv->next_store)
		taken += __atomic_load_n(&kv->reserved, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&stores.mutex);
	return max_u64(ROOM_LEAST, min_u64(ROOM_MOST, (taken < ROOM_FOR_ALL ? ROOM_FOR_ALL - taken : 0) / 16));
}

bool stores_writing(const struct daxkv_store *kv)
{
	bool found = false;

	pthread_mutex_lock(&stores.mutex);
	for (const struct daxkv_store *other = stores.first; other && !found; other = other->next_store)
		found = txn_writing(other) && same_file(kv, other);
	pthread_mutex_unlock(&stores.mutex);
	return found;
}
