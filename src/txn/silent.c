/* SPDX-License-Identifier: BSD-3-Clause */
/* silent.c - see silent.h */
#include "txn/silent.h"

#include "base/cancel.h"
#include "base/err.h"

#include <errno.h>

/* newest - the newest commit. A share that nobody used when this store was opened, and that has not
 * been made anew since, says nothing: the file is as it was. */
static int newest(struct daxkv_store *kv, uint64_t *txn)
{
	uint64_t life = 0, published = 0;
	int rc = lock_again(&kv->lock);

	*txn = __atomic_load_n(&kv->share->published, __ATOMIC_RELAXED);
	if (rc || kv->lock.fd < 0)
		return rc;
	rc = share_peek(kv->lock.fd, kv->geometry.file_id, &life, &published);
	if (rc == ENODATA) { /* somebody is making it now, perhaps */
		rc = lock_pass(&kv->lock);
		if (rc)
			return rc;
		rc = share_peek(kv->lock.fd, kv->geometry.file_id, &life, &published);
	}
	if (rc && rc != ENODATA)
		return err_sys(rc, "the lock file");
	if (!rc && life != kv->silent.life)
		*txn = max_u64(*txn, published);
	return 0;
}

int silent_open(struct daxkv_store *kv, uint64_t *txn)
{
	struct silent *s = &kv->silent;
	uint64_t published;
	int rc;

	s->on = kv->lock.silent && !kv->map.private_copy;
	if (!s->on || kv->lock.fd < 0)
		return 0;
	rc = share_peek(kv->lock.fd, kv->geometry.file_id, &s->life, &published);
	if (rc == ENODATA && kv->lock.used)
		return err_set(DAXKV_VERSION, "the lock file is in use by another version of daxkv, or for another store");
	if (rc && rc != ENODATA)
		return err_sys(rc, "the lock file");
	if (kv->lock.used) {
		*txn = published;
		s->life = 0; /* it counts */
	}
	return 0;
}

/* byte_file - where this reader announces itself: in one file for as long as the store is open. */
static int byte_file(const struct daxkv_store *kv)
{
	return kv->silent.in_store ? kv->map.fd : kv->lock.fd;
}

/* announce - have the newest commit announced; *txn is not older. The mutex is held, nothing is announced. */
static int announce(struct daxkv_store *kv, uint64_t *txn)
{
	struct silent *s = &kv->silent;
	int rc = lock_snapshot(byte_file(kv), *txn, true);

	if (rc == EAGAIN)
		return err_set(DAXKV_BUSY, "a program has locked the whole file: a reader cannot announce itself");
	if (rc)
		return err_sys(rc, "announcing a reader");
	s->announced = *txn + 1;
	fence_all(); /* pairs with silent_oldest [I13] */
	rc = newest(kv, txn);
	if (rc) {
		(void)lock_snapshot(byte_file(kv), s->announced - 1, false);
		s->announced = 0;
	}
	return rc;
}

int silent_enter(struct daxkv_store *kv, uint32_t slot)
{
	const int cancel = cancel_off();
	struct silent *s = &kv->silent;
	uint64_t txn = 0;

	pthread_mutex_lock(&s->mutex);
	if (!s->announced)
		s->in_store = kv->lock.fd < 0;
	int rc = newest(kv, &txn);

	if (!rc && !s->announced) /* else what is announced is older, and serves for this one, too */
		rc = announce(kv, &txn);
	if (!rc) {
		__atomic_store_n(&kv->share->published, txn, __ATOMIC_SEQ_CST);
		(void)share_enter(kv->share, slot);
	}
	pthread_mutex_unlock(&s->mutex);
	cancel_restore(cancel);
	return rc;
}

void silent_leave(struct daxkv_store *kv, uint32_t slot)
{
	const int cancel = cancel_off();
	struct silent *s = &kv->silent;

	pthread_mutex_lock(&s->mutex);
	share_leave(kv->share, slot);
	uint64_t now = share_active(kv->share) ? share_oldest_running(kv->share) + 1 : 0;

	if (s->announced && now != s->announced) {
		if (!now || lock_snapshot(byte_file(kv), now - 1, true) == 0) {
			(void)lock_snapshot(byte_file(kv), s->announced - 1, false);
			s->announced = now;
		} /* else the older one goes on serving */
	}
	pthread_mutex_unlock(&s->mutex);
	cancel_restore(cancel);
}

uint64_t silent_oldest(const struct daxkv_store *kv, uint64_t upto)
{
	fence_all(); /* pairs with announce [I13] */
	if (lock_snapshot_oldest(kv->lock.fd, &upto) != 0 || lock_snapshot_oldest(kv->map.fd, &upto) != 0)
		return 0; /* who cannot be asked for may be there */
	return upto;
}

int silent_inherit(struct daxkv_store *kv, uint64_t upto, struct limbo *limbo, bool *unknown)
{
	const uint64_t size =
	    load_word(&((const struct fmt_super *)(const void *)kv->map.base)->size);
	int rc;

	*unknown = false;
	if (kv->joined || kv->lock.silent || kv->lock.fd < 0 || silent_oldest(kv, upto) == upto)
		return 0;
	rc = share_inherit(kv->lock.fd, kv->geometry.file_id, upto, size / kv->page_size, limbo);
	if (!rc && !limbo_sound(limbo, upto, kv->page_size, size)) {
		limbo_free(limbo);
		rc = ENODATA;
	}
	*unknown = rc == ENODATA;
	return *unknown ? 0 : rc;
}

int silent_bequeath(struct daxkv_store *kv, struct limbo *limbo, bool unknown)
{
	struct limbo_item item;
	int rc = 0;

	while (!rc && limbo_take(limbo, UINT64_MAX, &item))
		rc = share_limbo_add(&kv->share_file, &item);
	if (unknown)
		kv->share->hold_free = 1;
	return rc;
}

static int hold(void *arg, uint64_t off, uint64_t pages)
{
	struct daxkv_store *kv = arg;

	return share_limbo_add(&kv->share_file, &(struct limbo_item){kv->share->published, off, pages});
}

int silent_hold(struct daxkv_store *kv)
{
	int rc = kv->share->hold_free ? space_each_free(&kv->space, hold, kv) : 0;

	if (!rc)
		kv->share->hold_free = 0;
	return rc;
}
