/* SPDX-License-Identifier: BSD-3-Clause */
/* stores.c - see stores.h */
#include "stores.h"

#include "err.h"

#include <unistd.h>

static struct {
	pthread_mutex_t mutex;
	struct daxkv *first;
	int failed; /* errno of pthread_atfork */
} stores = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void before_fork(void)
{
	pthread_mutex_lock(&stores.mutex);
}

static void after_fork_in_parent(void)
{
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
	for (struct daxkv *kv = stores.first; kv; kv = kv->next_store) {
		if (kv->alive)
			*kv->alive = 0; /* where the kernel does not wipe the page */
		kv->store_link = NULL;
		fd_drop(&kv->lock.fd);
		fd_drop(&kv->map.fd);
	}
	stores.first = NULL;
	pthread_mutex_unlock(&stores.mutex);
}

static void handlers_set(void)
{
	stores.failed = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

int stores_add(struct daxkv *kv)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, handlers_set);
	if (stores.failed)
		return err_sys(stores.failed, "a handler for fork");
	pthread_mutex_lock(&stores.mutex);
	kv->next_store = stores.first;
	kv->store_link = &stores.first;
	if (kv->next_store)
		kv->next_store->store_link = &kv->next_store;
	stores.first = kv;
	pthread_mutex_unlock(&stores.mutex);
	return 0;
}

void stores_remove(struct daxkv *kv)
{
	pthread_mutex_lock(&stores.mutex);
	if (kv->store_link) {
		*kv->store_link = kv->next_store;
		if (kv->next_store)
			kv->next_store->store_link = kv->store_link;
		kv->store_link = NULL;
	}
	pthread_mutex_unlock(&stores.mutex);
}

bool stores_writing(const struct daxkv *kv)
{
	bool found = false;

	pthread_mutex_lock(&stores.mutex);
	for (const struct daxkv *other = stores.first; other && !found; other = other->next_store)
		found = other->geometry.file_id == kv->geometry.file_id && txn_writing(other);
	pthread_mutex_unlock(&stores.mutex);
	return found;
}
