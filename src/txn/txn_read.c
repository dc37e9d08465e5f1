/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn_read.c - read transactions, their handles and clones. See txn.h
 *
 * A reader entry of the share shows the snapshot while the transaction runs [I13]. Handle and entry
 * are kept by the thread when it ends, so that the next begin costs a few stores.
 *
 * A read transaction runs (idle false), rests after a reset (idle), or is kept by its thread. It
 * may share its entry with clones: the entry is in use until the last of them has ended, and
 * belongs to the transaction that was cloned (origin).
 */
#include "base/err.h"
#include "txn/commit.h"
#include "txn/passive.h"
#include "txn/place.h"
#include "txn/txn.h"
#include "txn/txn_check.h"

#include <errno.h>

/* ---- handles and entries --------------------------------------------------------------------- */

/* reader_lock - what holds entries' bytes; NULL when the entries are this process's own. */
static const struct lock *reader_lock(const struct daxkv_store *store)
{
	return store->share_file.fd < 0 ? NULL : &store->lock;
}

/* reader_take - a reader entry; those of readers that died are freed when there is none. */
static int reader_take(struct daxkv_store *store, uint32_t *reader)
{
	pthread_mutex_lock(&store->reader_mutex);
	int rc = share_take(store->share, reader_lock(store), store->share_file.owner, reader);

	if (rc == DAXKV_READERS_FULL && reader_lock(store) &&
	    share_reap(store->share, reader_lock(store), store->share_file.owner))
		rc = share_take(store->share, reader_lock(store), store->share_file.owner, reader);
	pthread_mutex_unlock(&store->reader_mutex);
	return rc;
}

/* read_txn_unlist, read_txn_list - out of the store's list of read transactions, and into it: by
 * that closing finds those that are kept, or run. */
static void read_txn_unlist(struct daxkv_txn *txn)
{
	struct daxkv_store *store = txn->store;

	pthread_mutex_lock(&store->dbi_mutex);
	assert(*txn->link == txn);
	*txn->link = txn->next;
	if (txn->next)
		txn->next->link = txn->link;
	pthread_mutex_unlock(&store->dbi_mutex);
}

/* read_txn_free - destructor of a thread's kept transaction, and the end of one that is not
 * kept. */
static void read_txn_free(void *arg)
{
	struct daxkv_txn *txn = arg;
	struct daxkv_store *store = txn->store;

	if (txn_forked(store)) /* a child's thread ends: what it kept is the parent's, and the share
	                          is not there */
		return;
	read_txn_unlist(txn);
	pthread_mutex_lock(&store->reader_mutex);
	share_release(store->share, reader_lock(store), txn->reader);
	pthread_mutex_unlock(&store->reader_mutex);
	txn_handle_free(txn);
}

static void read_txn_list(struct daxkv_store *store, struct daxkv_txn *txn)
{
	assert(!txn->write);
	pthread_mutex_lock(&store->dbi_mutex);
	txn->next = store->read_txns;
	txn->link = &store->read_txns;
	if (txn->next)
		txn->next->link = &txn->next;
	store->read_txns = txn;
	pthread_mutex_unlock(&store->dbi_mutex);
}

/* The destructor gives the entry of a thread that ends back. */
int txn_open_tables(struct daxkv_store *store)
{
	int rc = pthread_key_create(&store->thread_txn, read_txn_free);

	return rc ? err_sys(rc, "a key for the threads' read transactions") : 0;
}

/* The key goes first: no thread's end frees what is freed here. No transaction runs. */
void txn_close_tables(struct daxkv_store *store)
{
	pthread_key_delete(store->thread_txn);
	while (store->read_txns) /* idle ones: kept for their threads, or reset */
		read_txn_free(store->read_txns);
	while (store->idle_txns) {
		struct daxkv_txn *txn = store->idle_txns;

		store->idle_txns = txn->next;
		txn_handle_free(txn);
	}
}

/* ---- reading --------------------------------------------------------------------------------- */

/* read_start - the transaction has an entry, and reads the newest commit from here on. The time is
 * stored before the snapshot is announced, so a writer that sees the snapshot never takes a young
 * reader for an old one. When that is the snapshot that the handle read last, its states hold: what
 * that commit freed or left unused may have changed meanwhile, and nothing that it can see. */
ALWAYS_INLINE int read_start(struct daxkv_txn *txn)
{
	struct daxkv_store *store = txn->store;
	int rc = UNLIKELY(store->passive.on) ? passive_enter(store, txn->reader) : 0;

	if (UNLIKELY(rc))
		return rc;
	store_relaxed(&store->share->reader[txn->reader].since_ms, clock_coarse_ms());
	uint64_t snapshot = share_enter(store->share, txn->reader);

	if (snapshot != txn->view.snapshot || txn->broken) {
		txn->view.snapshot = snapshot;
		txn->generation++;
	}
	txn->broken = txn->idle = txn->too_old = false;
	return 0;
}

/* reader_idle - nothing is read by the entry any more. */
static void reader_idle(struct daxkv_store *store, uint32_t reader)
{
	if (UNLIKELY(store->passive.on))
		passive_leave(store, reader);
	else
		share_leave(store->share, reader);
}

/* By the handle that the thread keeps, or a new one. */
int read_txn_begin(struct daxkv_store *store, bool verify, struct daxkv_txn **out)
{
	struct daxkv_txn *txn = pthread_getspecific(store->thread_txn);
	int followed = UNLIKELY(store->follows) ? commit_follow(store) : 0;

	if (followed)
		return followed;
	if (txn) {
		pthread_setspecific(store->thread_txn, NULL);
	} else {
		int rc = txn_handle_new(store, false, &txn);

		if (rc)
			return rc;
		rc = reader_take(store, &txn->reader);
		if (rc) {
			txn_handle_free(txn);
			return rc;
		}
		txn->view = (struct view){
		    .map = &store->map,
		    .base = store->map.base,
		    .size = &store->map.size,
		    .psize = store->page_size,
		};
		txn->bounded = store->max_age_ms || store->max_lag;
		if (txn->bounded) {
			share_bound(store->share, txn->reader, store->max_age_ms, store->max_lag);
			txn->view.bound = &store->share->reader[txn->reader].snapshot_plus_1;
		}
		read_txn_list(store, txn);
	}
	/* Cursors look at the bound first: that is where they learn of verify, too, and a step
	 * without either pays nothing. */
	if (UNLIKELY(txn->verify != verify)) {
		txn->view.bound = verify || txn->bounded
		                      ? &store->share->reader[txn->reader].snapshot_plus_1
		                      : NULL;
		txn->verify = verify;
		txn->generation++; /* what its states say was not verified */
	}
	int rc = read_start(txn);

	if (rc)
		read_txn_free(txn);
	else
		*out = txn;
	return rc;
}

/* reader_leave_clone - one user less of the entry that a transaction shares with its clones.
 * Returns whether that was the last. */
static bool reader_leave_clone(struct daxkv_txn *origin, bool ended)
{
	struct daxkv_store *store = origin->store;

	pthread_mutex_lock(&store->reader_mutex);
	assert(origin->cloned);
	assert(origin->users > 0);
	bool last = --origin->users == 0;

	origin->ended = origin->ended || ended;
	if (last)
		reader_idle(store, origin->reader);
	last = last && origin->ended;
	pthread_mutex_unlock(&store->reader_mutex);
	return last;
}

/* read_stop - nothing is read any more, unless by clones. The entry stays the transaction's. */
ALWAYS_INLINE void read_stop(struct daxkv_txn *txn)
{
	if (txn->idle)
		return;
	if (txn->cloned)
		(void)reader_leave_clone(txn, false);
	else
		reader_idle(txn->store, txn->reader);
	txn->idle = true;
}

/* end_clone - a clone ends. The last one frees an origin that has ended before it. */
static void end_clone(struct daxkv_txn *txn)
{
	struct daxkv_txn *origin = txn->origin;

	read_txn_unlist(txn);
	txn_handle_free(txn);
	if (reader_leave_clone(origin, false))
		read_txn_free(origin);
}

/* end_origin - the end of a read transaction that has been cloned. *gone: it is the last clone's to
 * free. */
static void end_origin(struct daxkv_txn *txn, bool *gone)
{
	assert(txn->cloned);
	assert(!txn->origin);
	struct daxkv_store *store = txn->store;

	if (!txn->idle) {
		*gone = !reader_leave_clone(txn, true);
	} else { /* it was reset, and is no user any more */
		pthread_mutex_lock(&store->reader_mutex);
		txn->ended = true;
		*gone = txn->users > 0;
		pthread_mutex_unlock(&store->reader_mutex);
	}
	if (*gone)
		return;
	txn->cloned = txn->ended = false;
	txn->idle = true;
}

/* A clone of a clone is one of the origin. It has no entry, so it costs no place in the table. */
int daxkv_txn_clone(struct daxkv_txn *txn, struct daxkv_txn **clone)
{
	struct daxkv_txn *c = NULL, *origin;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (txn->write || !clone)
		return err_set(EINVAL, "only a read transaction can be cloned");
	rc = txn_handle_new(txn->store, false, &c);
	if (rc)
		return rc;
	origin = txn->origin ? txn->origin : txn;
	c->origin = origin;
	c->reader = origin->reader;
	c->view = txn->view;
	c->verify = txn->verify;
	pthread_mutex_lock(&txn->store->reader_mutex);
	if (!origin->cloned) { /* its thread is here: clones of clones find it set */
		origin->cloned = true;
		origin->users = 1;
	}
	origin->users++;
	pthread_mutex_unlock(&txn->store->reader_mutex);
	read_txn_list(txn->store, c);
	*clone = c;
	return 0;
}

/* Commit and abort of a read transaction are one. The thread keeps its handle for the
 * next begin, if it has none yet. */
void read_txn_end(struct daxkv_txn *txn)
{
	struct daxkv_store *store = txn->store;
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
	if (pthread_getspecific(store->thread_txn) || pthread_setspecific(store->thread_txn, txn))
		read_txn_free(txn);
}

void txn_read_end(struct daxkv_txn *txn)
{
	if (!txn)
		return;
	assert(!txn->write);
	assert(!txn->cursors);
	assert(!txn->cloned);
	read_stop(txn);
	read_txn_free(txn);
}

/* Cursors keep their places by key, for after a renew. */
void daxkv_txn_reset(struct daxkv_txn *txn)
{
	if (!txn || txn_forked(txn->store) || txn->write || txn->idle || txn->origin)
		return;
	if (txn->cursors && txn_done(txn, place_save_all(txn, 0, NULL)))
		place_lose_all(
		    txn); /* no memory to keep their places, or these cannot be believed */
	read_stop(txn);
}

/* Not while clones read by its entry: the entry shows one snapshot. */
int daxkv_txn_renew(struct daxkv_txn *txn)
{
	if (!txn || txn->write || !txn->idle)
		return err_set(EINVAL, "only a read transaction that was reset can be renewed");
	int rc = UNLIKELY(txn->store->follows) ? commit_follow(txn->store) : 0;

	if (rc)
		return rc;
	if (txn->cloned) {
		pthread_mutex_lock(&txn->store->reader_mutex);
		if (!txn->users)
			txn->cloned = false;
		pthread_mutex_unlock(&txn->store->reader_mutex);
		if (txn->cloned)
			rc = err_set(DAXKV_BUSY, "clones of its last snapshot are still running");
	}
	return rc ? rc : read_start(txn);
}
