/* SPDX-License-Identifier: BSD-3-Clause */
/* txn.c - beginning and ending transactions. See store.h */
#include "txn/txn.h"

#include "base/err.h"
#include "txn/commit.h"
#include "txn/dbi.h"
#include "txn/place.h"
#include "txn/silent.h"
#include "txn/store.h"
#include "txn/stores.h"
#include "txn/txn_check.h"
#include "txn/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static uint64_t ms_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_nsec / 1000000;
}

/* ---- handles -------------------------------------------------------------------------------------------------------------- */

static void txn_free(struct daxkv_txn *txn)
{
	dbi_states_free(txn);
	free(txn);
}

static __attribute__((noinline)) int txn_new(struct daxkv_store *kv, bool write, struct daxkv_txn **out)
{
	struct daxkv_txn *txn = calloc(1, sizeof *txn);

	if (!txn)
		return err_set(ENOMEM, "no memory for a transaction");
	int rc = write ? states_open(txn) : 0;

	if (rc) {
		free(txn);
		return rc;
	}
	txn->kv = kv;
	txn->write = write;
	txn->generation = 1;
	txn->valid_at = UINT64_MAX;
	*out = txn;
	return 0;
}

/* write_txn_take - a write transaction's handle: one that ended, or a new one. The writer's lock is held. What its dbstates hold is good
 * when it was the last to commit, else of another generation. */
static int write_txn_take(struct daxkv_store *kv, struct daxkv_txn *parent, struct daxkv_txn **out)
{
	struct daxkv_txn *txn = kv->idle_txns;

	if (txn) {
		kv->idle_txns = txn->next;
	} else {
		int rc = txn_new(kv, true, &txn);

		if (rc)
			return rc;
	}
	txn->parent = parent;
	txn->child = NULL;
	txn->broken = false;
	txn->reserved.pending = false;
	txn->user_version_set = false;
	if (txn->changed)
		states_begin(txn);
	if (parent || txn->valid_at != __atomic_load_n(&kv->share->published, __ATOMIC_RELAXED)) {
		txn->ndb = 0;
		txn->looked = NULL;
		txn->generation = ++kv->generation;
	}
	txn->valid_at = UINT64_MAX;
	*out = txn;
	return 0;
}

static void write_txn_give(struct daxkv_txn *txn)
{
	txn->next = txn->kv->idle_txns;
	txn->kv->idle_txns = txn;
}

/* slot_lock - what holds slots' bytes; NULL when the slots are this process's own. */
static const struct lock *slot_lock(const struct daxkv_store *kv)
{
	return kv->share_file.fd < 0 ? NULL : &kv->lock;
}

/* slot_take - a reader slot; those of readers that died are freed when there is none. */
static int slot_take(struct daxkv_store *kv, uint32_t *slot)
{
	pthread_mutex_lock(&kv->slot_mutex);
	int rc = share_take(kv->share, slot_lock(kv), kv->share_file.owner, slot);

	if (rc == DAXKV_READERS_FULL && slot_lock(kv) && share_reap(kv->share, slot_lock(kv), kv->share_file.owner))
		rc = share_take(kv->share, slot_lock(kv), kv->share_file.owner, slot);
	pthread_mutex_unlock(&kv->slot_mutex);
	return rc;
}

static void read_txn_unlist(struct daxkv_txn *txn)
{
	struct daxkv_store *kv = txn->kv;

	pthread_mutex_lock(&kv->dbi_mutex);
	*txn->link = txn->next;
	if (txn->next)
		txn->next->link = txn->link;
	pthread_mutex_unlock(&kv->dbi_mutex);
}

/* read_txn_free - destructor of a thread's kept transaction, and the end of one that is not kept. */
static void read_txn_free(void *arg)
{
	struct daxkv_txn *txn = arg;
	struct daxkv_store *kv = txn->kv;

	if (txn_forked(kv)) /* a child's thread ends: what it kept is the parent's, and the share is not there */
		return;
	read_txn_unlist(txn);
	pthread_mutex_lock(&kv->slot_mutex);
	share_release(kv->share, slot_lock(kv), txn->slot);
	pthread_mutex_unlock(&kv->slot_mutex);
	txn_free(txn);
}

static void read_txn_list(struct daxkv_store *kv, struct daxkv_txn *txn)
{
	pthread_mutex_lock(&kv->dbi_mutex);
	txn->next = kv->read_txns;
	txn->link = &kv->read_txns;
	if (txn->next)
		txn->next->link = &txn->next;
	kv->read_txns = txn;
	pthread_mutex_unlock(&kv->dbi_mutex);
}

int txn_open_tables(struct daxkv_store *kv)
{
	int rc = pthread_key_create(&kv->thread_txn, read_txn_free);

	return rc ? err_sys(rc, "a key for the threads' read transactions") : 0;
}

void txn_close_tables(struct daxkv_store *kv)
{
	pthread_key_delete(kv->thread_txn);
	while (kv->read_txns) /* idle ones, kept for their threads */
		read_txn_free(kv->read_txns);
	while (kv->idle_txns) {
		struct daxkv_txn *txn = kv->idle_txns;

		kv->idle_txns = txn->next;
		txn_free(txn);
	}
}

/* ---- reading -------------------------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) int read_start(struct daxkv_txn *txn)
{
	struct daxkv_store *kv = txn->kv;
	struct timespec now;
	int rc = UNLIKELY(kv->silent.on) ? silent_enter(kv, txn->slot) : 0;

	if (UNLIKELY(rc))
		return rc;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* no system call */
	__atomic_store_n(&kv->share->slot[txn->slot].since_ms, ms_of(&now), __ATOMIC_RELAXED);
	txn->view.snapshot = share_enter(kv->share, txn->slot);
	txn->generation++;
	txn->broken = txn->idle = txn->too_old = false;
	return 0;
}

/* slot_idle - nothing is read by the slot any more. */
static void slot_idle(struct daxkv_store *kv, uint32_t slot)
{
	if (UNLIKELY(kv->silent.on))
		silent_leave(kv, slot);
	else
		share_leave(kv->share, slot);
}

static int begin_read(struct daxkv_store *kv, bool verify, struct daxkv_txn **out)
{
	struct daxkv_txn *txn = pthread_getspecific(kv->thread_txn);
	int followed = UNLIKELY(kv->follows) ? commit_follow(kv) : 0;

	if (followed)
		return followed;
	if (txn) {
		pthread_setspecific(kv->thread_txn, NULL);
	} else {
		int rc = txn_new(kv, false, &txn);

		if (rc)
			return rc;
		rc = slot_take(kv, &txn->slot);
		if (rc) {
			txn_free(txn);
			return rc;
		}
		txn->view = (struct view){.map = &kv->map, .base = kv->map.base, .psize = kv->page_size};
		txn->bounded = kv->max_age_ms || kv->max_lag;
		if (txn->bounded) {
			share_bound(kv->share, txn->slot, kv->max_age_ms, kv->max_lag);
			txn->view.bound = &kv->share->slot[txn->slot].snapshot_plus_1;
		}
		read_txn_list(kv, txn);
	}
	/* Cursors look at the bound first: that is where they learn of verify, too, and a step
	 * without either pays nothing. */
	if (UNLIKELY(txn->verify != verify)) {
		txn->view.bound =
		    verify || txn->bounded ? &kv->share->slot[txn->slot].snapshot_plus_1 : NULL;
		txn->verify = verify;
	}
	int rc = read_start(txn);

	if (rc)
		read_txn_free(txn);
	else
		*out = txn;
	return rc;
}

/* slot_leave - one user less of the slot that a transaction shares with its clones. Returns whether that was the last. */
static bool slot_leave(struct daxkv_txn *origin, bool ended)
{
	struct daxkv_store *kv = origin->kv;

	pthread_mutex_lock(&kv->slot_mutex);
	bool last = --origin->users == 0;

	origin->ended = origin->ended || ended;
	if (last)
		slot_idle(kv, origin->slot);
	last = last && origin->ended;
	pthread_mutex_unlock(&kv->slot_mutex);
	return last;
}

static inline __attribute__((always_inline)) void read_stop(struct daxkv_txn *txn)
{
	if (txn->idle)
		return;
	if (txn->cloned)
		(void)slot_leave(txn, false);
	else
		slot_idle(txn->kv, txn->slot);
	txn->idle = true;
}

static void end_clone(struct daxkv_txn *txn)
{
	struct daxkv_txn *origin = txn->origin;

	read_txn_unlist(txn);
	txn_free(txn);
	if (slot_leave(origin, false))
		read_txn_free(origin);
}

/* end_origin - the end of a read transaction that has been cloned. *gone: it is the last clone's to free. */
static void end_origin(struct daxkv_txn *txn, bool *gone)
{
	struct daxkv_store *kv = txn->kv;

	if (!txn->idle) {
		*gone = !slot_leave(txn, true);
	} else { /* it was reset, and is no user any more */
		pthread_mutex_lock(&kv->slot_mutex);
		txn->ended = true;
		*gone = txn->users > 0;
		pthread_mutex_unlock(&kv->slot_mutex);
	}
	if (*gone)
		return;
	txn->cloned = txn->ended = false;
	txn->idle = true;
}

int daxkv_txn_clone(struct daxkv_txn *txn, struct daxkv_txn **clone)
{
	struct daxkv_txn *c = NULL, *origin;
	int rc = txn_check(txn, false);

	if (!rc && (txn->write || !clone))
		rc = err_set(EINVAL, "only a read transaction can be cloned");
	if (!rc)
		rc = txn_new(txn->kv, false, &c);
	if (rc)
		return rc;
	origin = txn->origin ? txn->origin : txn;
	c->origin = origin;
	c->slot = origin->slot;
	c->view = txn->view;
	c->verify = txn->verify;
	pthread_mutex_lock(&txn->kv->slot_mutex);
	if (!origin->cloned)
		origin->users = 1;
	origin->cloned = true;
	origin->users++;
	pthread_mutex_unlock(&txn->kv->slot_mutex);
	read_txn_list(txn->kv, c);
	*clone = c;
	return 0;
}

static void end_read(struct daxkv_txn *txn)
{
	struct daxkv_store *kv = txn->kv;
	bool gone = false;

	if (txn->cursors)
		place_end_all(txn);
	if (txn->origin) {
		end_clone(txn);
		return;
	}
	if (txn->cloned)
		end_origin(txn, &gone);
	else
		read_stop(txn);
	if (gone)
		return;
	if (pthread_getspecific(kv->thread_txn) || pthread_setspecific(kv->thread_txn, txn))
		read_txn_free(txn);
}

void daxkv_txn_reset(struct daxkv_txn *txn)
{
	if (!txn || txn_forked(txn->kv) || txn->write || txn->idle || txn->origin)
		return;
	if (txn->cursors && txn_done(txn, place_save_all(txn, 0)))
		place_lose_all(txn); /* no memory to keep their places, or these cannot be believed */
	read_stop(txn);
}

int daxkv_txn_renew(struct daxkv_txn *txn)
{
	if (!txn || txn->write || !txn->idle)
		return err_set(EINVAL, "only a read transaction that was reset can be renewed");
	int rc = UNLIKELY(txn->kv->follows) ? commit_follow(txn->kv) : 0;

	if (!rc && txn->cloned) {
		pthread_mutex_lock(&txn->kv->slot_mutex);
		txn->cloned = txn->users > 0;
		pthread_mutex_unlock(&txn->kv->slot_mutex);
		if (txn->cloned)
			rc = err_set(DAXKV_BUSY, "clones of its last snapshot are still running");
	}
	return rc ? rc : read_start(txn);
}

/* ---- writing -------------------------------------------------------------------------------------------------------------- */

static int begin_nested(struct daxkv_txn *parent, struct daxkv_txn **out)
{
	struct daxkv_store *kv = parent->kv;
	struct daxkv_txn *txn;
	int rc = txn_check(parent, true);

	if (rc)
		return rc;
	if (kv->wset.level == UINT8_MAX)
		return err_set(DAXKV_BAD_TXN, "transactions are nested %u deep, and no deeper", kv->wset.level);
	txn_seal(parent);
	rc = tree_settle_all(&kv->scratch);
	if (rc)
		return txn_break(parent, rc);
	if (parent->cursors) {
		rc = place_save_all(parent, 0);
		if (rc)
			return rc;
	}
	rc = write_txn_take(kv, parent, &txn);
	if (rc)
		return rc;
	kv->scratch.finger_of = NULL;
	wset_enter(&kv->wset, &txn->mark);
	parent->child = txn;
	*out = txn;
	return 0;
}

/* writer_bury - the lock is held anew: a transaction that is still there, nested ones included, was left by a thread that ended. It is
 * forgotten here; the file's side is recovery's. */
static void writer_bury(struct daxkv_store *kv)
{
	struct daxkv_txn *txn = kv->writer;

	while (txn && txn->child)
		txn = txn->child;
	tree_forget(&kv->scratch);
	while (txn) {
		struct daxkv_txn *parent = txn->parent;

		dbi_end(txn, false);
		place_end_all(txn);
		write_txn_give(txn);
		txn = parent;
	}
	__atomic_store_n(&kv->writer, NULL, __ATOMIC_RELEASE);
}

static void lock_give(struct daxkv_store *kv)
{
	__atomic_store_n(&kv->writer_thread, 0, __ATOMIC_RELAXED);
	wlock_give(&kv->share->writer);
}

/* lock_writer - have the lock, and know what is there. wait_ms: 0 not to wait, negative to wait as long as it takes. */
static int lock_writer(struct daxkv_store *kv, int64_t wait_ms)
{
	bool died;
	int rc = writer_hold(kv, wait_ms, &died);

	if (rc)
		return rc;
	writer_bury(kv);
	died |= commit_behind(kv); /* with turns, the same has to be done after others have written */
	if (died) {
		rc = kv->share->poison ? 0 : commit_take_over(kv, true);
		if (rc) { /* left half done as before: the next one tries */
			__atomic_store_n(&kv->writer_thread, 0, __ATOMIC_RELAXED);
			wlock_leave(&kv->share->writer);
			return rc;
		}
	}
	uint32_t poison = __atomic_load_n(&kv->share->poison, __ATOMIC_SEQ_CST);

	if (!poison)
		return 0;
	lock_give(kv);
	return err_set(DAXKV_PANIC, "an earlier flush failed (%s): the store refuses changes until it is opened again",
	               strerror((int)poison));
}

static int begin_write(struct daxkv_store *kv, int64_t wait_ms, struct daxkv_txn **out)
{
	struct daxkv_txn *txn;

	pthread_testcancel(); /* a thread that only writes can be cancelled as well: here, where it has nothing */
	int rc = kv->read_only ? err_set(EACCES, "the store was opened read-only") : lock_writer(kv, wait_ms);

	if (rc)
		return rc;
	rc = write_txn_take(kv, NULL, &txn);
	if (rc) {
		lock_give(kv);
		return rc;
	}
	rc = commit_take_over(kv, false);
	if (rc) {
		write_txn_give(txn);
		lock_give(kv);
		return rc;
	}
	__atomic_store_n(&kv->writer, txn, __ATOMIC_RELEASE); /* pairs with commit_follow */
	wset_begin(&kv->wset, kv->known + 1);
	kv->writer_view.snapshot = kv->wset.txn;
	kv->scratch.finger_of = NULL;
	pm_own(ring_slot(&kv->ring, kv->wset.txn));
	commit_flush_words(kv); /* [R9] */
	*out = txn;
	return 0;
}

static void end_write(struct daxkv_txn *txn)
{
	struct daxkv_store *kv = txn->kv;

	if (kv->map.pm.failed) /* growth may have met it, not a fence */
		__atomic_store_n(&kv->share->poison, (uint32_t)kv->map.pm.failed, __ATOMIC_SEQ_CST);
	__atomic_store_n(&kv->writer, NULL, __ATOMIC_RELEASE);
	write_txn_give(txn);
	lock_give(kv);
}

/* begin_unusual - a nested transaction, or one with more flags than whether it reads. */
static __attribute__((noinline)) int begin_unusual(struct daxkv_store *kv, struct daxkv_txn *parent, unsigned int flags, struct daxkv_txn **txn)
{
	if (parent && (flags & DAXKV_TXN_READ_ONLY || parent->kv != kv))
		return err_set(EINVAL, "a transaction needs a store, and a parent that writes to it");
	if (flags & ~(unsigned int)(DAXKV_TXN_READ_ONLY | DAXKV_TXN_TRY | DAXKV_TXN_VERIFY))
		return err_set(EINVAL, "unknown flags 0x%x for begin", flags);
	if (parent)
		return begin_nested(parent, txn);
	if (flags & DAXKV_TXN_VERIFY && !(flags & DAXKV_TXN_READ_ONLY))
		return err_set(EINVAL, "only a read transaction verifies what it reads");
	return flags & DAXKV_TXN_READ_ONLY ? begin_read(kv, flags & DAXKV_TXN_VERIFY, txn)
	                                   : begin_write(kv, flags & DAXKV_TXN_TRY ? 0 : -1, txn);
}

int daxkv_txn_begin(struct daxkv_store *kv, struct daxkv_txn *parent, unsigned int flags, struct daxkv_txn **txn)
{
	if (UNLIKELY(kv && txn_forked(kv)))
		return txn_own(kv);
	if (UNLIKELY(!kv || !txn))
		return err_set(EINVAL, "a transaction needs a store, and a parent that writes to it");
	if (UNLIKELY(parent || flags & ~(unsigned int)DAXKV_TXN_READ_ONLY))
		return begin_unusual(kv, parent, flags, txn);
	return flags ? begin_read(kv, false, txn) : begin_write(kv, -1, txn);
}

int daxkv_txn_begin_timed(struct daxkv_store *kv, unsigned int milliseconds, struct daxkv_txn **txn)
{
	if (kv && txn_forked(kv))
		return txn_own(kv);
	return kv && txn ? begin_write(kv, milliseconds, txn) : err_set(EINVAL, "a transaction needs a store");
}

static void undo_nested(struct daxkv_txn *txn)
{
	struct daxkv_txn *parent = txn->parent;

	dbi_end(txn, false);
	place_end_all(txn);
	tree_forget(&txn->kv->scratch);
	wset_undo(&txn->kv->wset, &txn->mark);
	parent->child = NULL;
	write_txn_give(txn);
}

static void undo_outermost(struct daxkv_txn *txn)
{
	dbi_end(txn, false);
	place_end_all(txn);
	tree_forget(&txn->kv->scratch);
	space_undo(&txn->kv->space, 0);
	end_write(txn);
}

void daxkv_txn_abort(struct daxkv_txn *txn)
{
	if (!txn || txn_forked(txn->kv)) /* in a forked child there is nothing to end */
		return;
	if (txn->child)
		daxkv_txn_abort(txn->child); /* as deep as they are nested */
	if (!txn->write)
		end_read(txn);
	else if (txn->parent)
		undo_nested(txn);
	else
		undo_outermost(txn);
}

static int commit_nested(struct daxkv_txn *txn)
{
	struct daxkv_txn *parent = txn->parent;
	int rc;

	txn_seal(txn);
	rc = tree_settle_all(&txn->kv->scratch);
	if (rc) {
		undo_nested(txn);
		return rc;
	}
	dbi_end(txn, true);
	place_end_all(txn);
	txn->kv->scratch.finger_of = NULL;
	wset_merge(&txn->kv->wset, &txn->mark);
	dbi_states_give(parent, txn);
	if (txn->user_version_set) {
		parent->user_version = txn->user_version;
		parent->user_version_set = true;
	}
	parent->child = NULL;
	write_txn_give(txn);
	return 0;
}

/* states_keep - what the committed transaction knows of its databases is what the next one will find. */
static void states_keep(struct daxkv_txn *txn)
{
	for (struct dbstate *s = txn->changed; s; s = s->links.next_changed)
		s->changed = false;
	txn->valid_at = __atomic_load_n(&txn->kv->share->published, __ATOMIC_RELAXED);
}

static int commit_outermost(struct daxkv_txn *txn)
{
	int rc;

	txn_seal(txn);
	if (UNLIKELY(txn->kv->nolock && !txn_writing(txn->kv)))
		commit_flush_words(txn->kv); /* [R9] the thread that did so first is another, and this one's fence does not wait for it */
	rc = commit_run(txn);
	if (rc) {
		undo_outermost(txn);
		return rc;
	}
	dbi_end(txn, true);
	place_end_all(txn);
	states_keep(txn);
	end_write(txn);
	return 0;
}

int daxkv_txn_commit(struct daxkv_txn *txn)
{
	int rc;

	if (!txn)
		return err_set(EINVAL, "no transaction was given");
	if (txn_forked(txn->kv))
		return err_set(DAXKV_BAD_TXN, "the transaction belongs to the parent process");
	if (txn->child) {
		rc = daxkv_txn_commit(txn->child);
		if (rc) {
			daxkv_txn_abort(txn);
			return rc;
		}
	}
	if (!txn->write) {
		end_read(txn);
		return 0;
	}
	rc = txn_check(txn, true);
	if (rc) {
		daxkv_txn_abort(txn);
		return rc;
	}
	return txn->parent ? commit_nested(txn) : commit_outermost(txn);
}

int daxkv_txn_set_user_version(struct daxkv_txn *txn, uint64_t value)
{
	int rc = txn_check(txn, true);

	if (rc)
		return rc;
	txn->user_version = value;
	txn->user_version_set = true;
	return 0;
}

uint64_t daxkv_txn_id(const struct daxkv_txn *txn)
{
	if (!txn)
		return 0;
	return txn->write ? txn->kv->wset.txn : txn->view.snapshot;
}

struct daxkv_store *daxkv_txn_store(const struct daxkv_txn *txn)
{
	return txn ? txn->kv : NULL;
}
