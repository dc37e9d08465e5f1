/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * passive.c - see passive.h
 *
 * The mutex orders the threads of this process: together they hold one byte, that of the oldest
 * snapshot that any of them reads. A new reader that is not older than that needs no lock of its
 * own.
 *
 * Locks on bytes are a process's, or an open file's, not a thread's. So the mutex keeps a thread
 * from unlocking a byte that another one needs.
 *
 * A call that waits for a file must not be cancelled half-way: the byte would stay locked.
 */
#include "txn/passive.h"

#include "base/cancel.h"
#include "base/err.h"

#include <errno.h>

/* newest - the newest commit. A share that nobody used when this store was opened, and that has not
 * been made anew since, says nothing: the file is as it was. */
static int newest(struct daxkv_store *store, uint64_t *txn)
{
	uint64_t life = 0;
	uint64_t published = 0;
	int rc = lock_again(&store->lock);

	*txn = load_relaxed(&store->share->published);
	if (rc)
		return rc;
	if (store->lock.fd < 0)
		return 0;
	rc = share_peek(store->lock.fd, store->geometry.file_id, &life, &published);
	if (rc == ENODATA) { /* somebody is making it now, perhaps */
		rc = lock_pass(&store->lock);
		if (rc)
			return rc;
		rc = share_peek(store->lock.fd, store->geometry.file_id, &life, &published);
	}
	if (rc && rc != ENODATA)
		return err_sys(rc, "the lock file");
	if (!rc && life != store->passive.life)
		*txn = max_u64(*txn, published);
	return 0;
}

/* The share's life at opening tells whether it was in use then, or an old one. */
int passive_open(struct daxkv_store *store, uint64_t *txn)
{
	struct passive *s = &store->passive;
	uint64_t published;
	int rc;

	s->on = store->lock.passive && !store->map.private_copy;
	if (!s->on || store->lock.fd < 0)
		return 0;
	rc = share_peek(store->lock.fd, store->geometry.file_id, &s->life, &published);
	if (rc == ENODATA && store->lock.used)
		return share_refused(&store->lock, store->geometry.file_id);
	if (rc && rc != ENODATA)
		return err_sys(rc, "the lock file");
	if (store->lock.used) {
		*txn = published;
		s->life = 0; /* it counts */
	}
	return 0;
}

/* byte_file - where this reader announces itself: in one file for as long as the store is open. */
static int byte_file(const struct daxkv_store *store)
{
	if (store->passive.in_store)
		return store->map.fd;
	return store->lock.fd;
}

/* announce - have the newest commit announced; *txn is not older. The mutex is held, nothing is
 * announced. When it fails nothing is announced. */
static int announce(struct daxkv_store *store, uint64_t *txn)
{
	assert(!store->passive.announced);
	struct passive *s = &store->passive;
	int rc = lock_snapshot(byte_file(store), *txn, true);

	if (rc == EAGAIN)
		return err_set(
		    DAXKV_BUSY,
		    "a program has locked the whole file: a reader cannot announce itself");
	if (rc)
		return err_sys(rc, "announcing a reader");
	s->announced = *txn + 1;
	fence_all(); /* pairs with passive_oldest [I13] */
	rc = newest(store, txn);
	if (rc) {
		(void)lock_snapshot(byte_file(store), s->announced - 1, false);
		s->announced = 0;
	}
	return rc;
}

/* Announce first, then look again for what is newest, and read that [I13]. The lock on the newest
 * snapshot may be late: a writer that did not see it published before the second look. */
int passive_enter(struct daxkv_store *store, uint32_t reader)
{
	assert(store->passive.on);
	const int cancel = cancel_off();
	struct passive *s = &store->passive;
	uint64_t txn = 0;

	pthread_mutex_lock(&s->mutex);
	if (!s->announced)
		s->in_store = store->lock.fd < 0;
	int rc = newest(store, &txn);

	/* else what is announced is older, and serves for this one, too */
	if (!rc && !s->announced)
		rc = announce(store, &txn);
	if (!rc) {
		store_seq_cst(&store->share->published, txn);
		(void)share_enter(store->share, reader);
	}
	pthread_mutex_unlock(&s->mutex);
	cancel_restore(cancel);
	return rc;
}

/* The next oldest is announced before the older one is taken back, so that there is always one.
 * While a reader of this process is left, its byte stays locked without a gap. */
void passive_leave(struct daxkv_store *store, uint32_t reader)
{
	assert(store->passive.on);
	const int cancel = cancel_off();
	struct passive *s = &store->passive;

	pthread_mutex_lock(&s->mutex);
	share_leave(store->share, reader);
	uint64_t now = 0;

	if (share_active(store->share))
		now = share_oldest_running(store->share) + 1;
	if (s->announced && now != s->announced) {
		if (!now || lock_snapshot(byte_file(store), now - 1, true) == 0) {
			(void)lock_snapshot(byte_file(store), s->announced - 1, false);
			s->announced = now;
		} /* else the older one goes on serving */
	}
	pthread_mutex_unlock(&s->mutex);
	cancel_restore(cancel);
}

/* Both files are asked: a reader that came before there was a lock file announces in the store. 0,
 * the oldest there can be, when a file cannot be asked. */
uint64_t passive_oldest(const struct daxkv_store *store, uint64_t upto)
{
	fence_all(); /* pairs with announce [I13] */
	/* who cannot be asked for may be there */
	if (lock_snapshot_oldest(store->lock.fd, &upto) != 0)
		return 0;
	if (lock_snapshot_oldest(store->map.fd, &upto) != 0)
		return 0;
	return upto;
}

/* Nothing is needed where no passive reader shows an older snapshot. The limbo is the caller's to
 * free, also after an error. */
int passive_inherit(struct daxkv_store *store, uint64_t upto, struct limbo *limbo, bool *unknown)
{
	const uint64_t size = load_word(&map_super(&store->map)->size);
	int rc;

	*unknown = false;
	if (store->joined)
		return 0;
	if (store->lock.passive)
		return 0;
	if (store->lock.fd < 0)
		return 0;
	if (passive_oldest(store, upto) == upto)
		return 0;
	rc = share_inherit(store->lock.fd, store->geometry.file_id, upto, size / store->page_size,
	                   limbo);
	if (!rc && !limbo_sound(limbo, upto, store->page_size, size)) {
		limbo_free(limbo);
		rc = ENODATA;
	}
	*unknown = rc == ENODATA;
	if (*unknown)
		return 0;
	return rc;
}

/* What cannot be known is all held back. The share is new, and nobody else uses it yet. */
int passive_bequeath(struct daxkv_store *store, struct limbo *limbo, bool unknown)
{
	assert(store->share);
	struct limbo_item item;
	int rc = 0;

	while (!rc && limbo_take(limbo, UINT64_MAX, &item))
		rc = share_limbo_add(&store->share_file, &item);
	if (unknown)
		store->share->hold_free = 1;
	return rc;
}

/* hold - for space_each_free: an extent waits in the limbo as if it had been freed just now. */
static int hold(void *arg, uint64_t off, uint64_t pages)
{
	struct daxkv_store *store = arg;

	return share_limbo_add(&store->share_file,
	                       &(struct limbo_item){store->share->published, off, pages});
}

/* Once in a share's life. The pages go to readers' limbo, and come back when these readers have
 * ended. Bitmaps that were read before know nothing of it. */
int passive_hold(struct daxkv_store *store)
{
	if (!store->share->hold_free)
		return 0;
	const int rc = space_each_free(&store->space, hold, store);

	if (rc)
		return rc;
	store->share->hold_free = 0;
	return space_reset(&store->space, store->space.end);
}
