/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn.c - beginning and ending transactions. See store.h
 *
 *   read    a reader entry of the share shows the snapshot while it runs [I13]. Handle and entry
 *           are kept by the thread when it ends, so that the next begin costs a few stores
 *   write   the writer's lock; one outermost transaction at a time, and those nested in it. Handles
 *           are kept by the store, with what they know of databases
 *
 * A read transaction runs (idle false), rests after a reset (idle), or is kept by its thread. It
 * may share its entry with clones: the entry is in use until the last of them has ended, and
 * belongs to the transaction that was cloned (origin).
 *
 *   begin_write   the turn (group) -> the lock -> a handle -> what others did meanwhile -> the
 *                 words of the last commit begin to be flushed [R9]
 *
 * What fails is undone in the opposite order, so a begin that fails has changed nothing.
 */
#include "txn/txn.h"

#include "base/err.h"
#include "txn/commit.h"
#include "txn/dbi.h"
#include "txn/passive.h"
#include "txn/place.h"
#include "txn/registry.h"
#include "txn/store.h"
#include "txn/txn_check.h"
#include "txn/writer.h"

#include <errno.h>
#include <stdlib.h>

/* ---- handles --------------------------------------------------------------------------------- */

/* txn_free - the handle and its states; it is in no list. */
static void txn_free(struct daxkv_txn *txn)
{
	place_drop_closed(txn);
	dbi_states_free(txn);
	free(txn);
}

/* txn_new - a handle without a place in a list. generation 1: states that are zeros are stale.
 * ENOMEM. Not inlined: a begin nearly always has one that was kept. */
static __attribute__((noinline)) int txn_new(struct daxkv_store *store, bool write,
                                             struct daxkv_txn **out)
{
	struct daxkv_txn *txn = calloc(1, sizeof *txn);

	if (!txn)
		return err_set(ENOMEM, "no memory for a transaction");
	int rc = write ? states_open(txn) : 0;

	if (rc) {
		free(txn);
		return rc;
	}
	txn->store = store;
	txn->write = write;
	txn->sharing = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	txn->generation = 1;
	txn->valid_at = UINT64_MAX;
	*out = txn;
	return 0;
}

/* write_txn_take - a write transaction's handle: one that ended, or a new one. The writer's lock is
 * held. What its dbstates hold is good when it was the last to commit, else of another
 * generation. */
static int write_txn_take(struct daxkv_store *store, struct daxkv_txn *parent,
                          struct daxkv_txn **out)
{
	struct daxkv_txn *txn = store->idle_txns;

	if (txn) {
		store->idle_txns = txn->next;
	} else {
		int rc = txn_new(store, true, &txn);

		if (rc)
			return rc;
	}
	txn->parent = parent;
	txn->child = NULL;
	txn->member = false;
	txn->broken = false;
	txn->reserved.pending = false;
	txn->user_version_set = false;
	if (txn->changed)
		states_begin(txn);
	if (parent || txn->valid_at != load_relaxed(&store->share->published)) {
		txn->ndb = 0;
		txn->looked = NULL;
		txn->generation = ++store->generation;
	}
	txn->valid_at = UINT64_MAX;
	*out = txn;
	return 0;
}

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
	txn_free(txn);
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
		txn_free(txn);
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

/* begin_read - by the handle that the thread keeps, or a new one. READERS_FULL, ENOMEM, and errors
 * of commit_follow and passive_enter. */
static int begin_read(struct daxkv_store *store, bool verify, struct daxkv_txn **out)
{
	struct daxkv_txn *txn = pthread_getspecific(store->thread_txn);
	int followed = UNLIKELY(store->follows) ? commit_follow(store) : 0;

	if (followed)
		return followed;
	if (txn) {
		pthread_setspecific(store->thread_txn, NULL);
	} else {
		int rc = txn_new(store, false, &txn);

		if (rc)
			return rc;
		rc = reader_take(store, &txn->reader);
		if (rc) {
			txn_free(txn);
			return rc;
		}
		txn->view = (struct view){
		    .map = &store->map, .base = store->map.base, .psize = store->page_size};
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
	txn_free(txn);
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
	rc = txn_new(txn->store, false, &c);
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

/* end_read - commit and abort of a read transaction are one. The thread keeps its handle for the
 * next begin, if it has none yet. */
static void end_read(struct daxkv_txn *txn)
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
	if (txn->cursors && txn_done(txn, place_save_all(txn, 0)))
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

/* ---- writing --------------------------------------------------------------------------------- */

/* From here on the set keeps what it needs to undo this level alone. */
int write_txn_nest(struct daxkv_txn *parent, struct daxkv_txn **out)
{
	assert(parent->write);
	assert(!parent->child);
	struct daxkv_store *store = parent->store;
	struct daxkv_txn *txn;
	int rc = write_txn_take(store, parent, &txn);

	if (rc)
		return rc;
	store->scratch.finger_of = NULL;
	wset_enter(&store->wset, &txn->mark);
	parent->child = txn;
	*out = txn;
	return 0;
}

/* begin_nested - the parent rests until the child has ended: its reserved value is sealed, its
 * batches are in pages, its cursors are known by key. */
static int begin_nested(struct daxkv_txn *parent, struct daxkv_txn **out)
{
	struct daxkv_store *store = parent->store;
	int rc = txn_check(parent, true);

	if (rc)
		return rc;
	if (store->wset.level == UINT8_MAX)
		return err_set(DAXKV_BAD_TXN, "transactions are nested %u deep, and no deeper",
		               store->wset.level);
	(void)txn_seal(parent);
	rc = tree_flush_all(&store->scratch, &store->wset);
	if (rc)
		return txn_break(parent, rc);
	if (parent->cursors) {
		rc = place_save_all(parent, 0);
		if (rc)
			return rc;
	}
	return write_txn_nest(parent, out);
}

/* writer_bury - the lock is held anew: a transaction that is still there, nested ones included, was
 * left by a thread that ended. It is forgotten here; the file's side is recovery's. */
static void writer_bury(struct daxkv_store *store)
{
	struct daxkv_txn *txn = store->writer;

	if (LIKELY(!txn))
		return;
	while (txn->child)
		txn = txn->child;
	tree_forget(&store->scratch);
	while (txn) {
		struct daxkv_txn *parent = txn->parent;

		dbi_end(txn, false);
		place_end_all(txn);
		write_txn_give(txn);
		txn = parent;
	}
	store_release(&store->writer, NULL);
}

/* lock_writer - have the lock, and know what is there. wait_ms: 0 not to wait, negative to wait as
 * long as it takes. */
static int lock_writer(struct daxkv_store *store, int64_t wait_ms)
{
	bool died;
	int rc = writer_hold(store, wait_ms, &died);

	if (rc)
		return rc;
	writer_bury(store);
	died |= commit_behind(
	    store); /* with an external lock, the same has to be done after others have written */
	if (died) {
		rc = store->share->panic ? 0 : commit_take_over(store, true);
		if (rc) { /* left half done as before: the next one tries */
			writer_let_go(store, true);
			return rc;
		}
	}
	uint32_t panic = load_seq_cst(&store->share->panic);

	if (!panic)
		return 0;
	writer_let_go(store, false);
	return err_set(
	    DAXKV_PANIC,
	    "an earlier flush failed (%s): the store refuses changes until it is opened again",
	    strerror((int)panic));
}

/* begin_outermost - with the lock, a transaction one behind the newest commit. The line of the ring
 * that its record begins with comes into this core's cache meanwhile. */
static int begin_outermost(struct daxkv_store *store, int64_t wait_ms, struct daxkv_txn **out)
{
	struct daxkv_txn *txn;
	int rc = lock_writer(store, wait_ms);

	if (rc)
		return rc;
	rc = write_txn_take(store, NULL, &txn);
	if (rc) {
		writer_let_go(store, false);
		return rc;
	}
	rc = commit_take_over(store, false);
	if (LIKELY(!rc)) {
		wset_begin(&store->wset, store->known + 1);
		if (UNLIKELY(store_lazy(store) || store->space.shadow))
			rc = commit_lazy_begin(store, false);
	}
	if (UNLIKELY(rc)) {
		write_txn_give(txn);
		writer_let_go(store, false);
		return rc;
	}
	store_release(&store->writer, txn); /* pairs with commit_follow */
	store->writer_view.snapshot = store->wset.txn;
	store->scratch.finger_of = NULL;
	if (store->scratch.tally_txn != store->known) /* another has committed since */
		tree_tally_forget(&store->scratch);
	pm_own(ring_at(&store->ring, store->wset.txn));
	commit_flush_words(store); /* [R9] */
	*out = txn;
	return 0;
}

/* begin_write - with group commit a thread waits for its turn first, and may become a member of an
 * open group. wait_ms: for both, the turn and the lock. */
static int begin_write(struct daxkv_store *store, int64_t wait_ms, bool may_join,
                       struct daxkv_txn **out)
{
	bool joined = false;
	int rc = 0;

	pthread_testcancel(); /* a thread that only writes can be cancelled as well: here, where it
	                         has nothing */
	if (UNLIKELY(store->read_only))
		return err_set(EACCES, "the store was opened read-only");
	if (UNLIKELY(store->group.on))
		rc = member_turn(store, may_join, &wait_ms, &joined);
	if (UNLIKELY(rc))
		return rc;
	if (UNLIKELY(joined))
		return member_begin(store, out);
	rc = begin_outermost(store, wait_ms, out);
	if (UNLIKELY(rc && store->group.on))
		group_leave(&store->group);
	return rc;
}

/* It never is a member, whose commit could be shared. */
int txn_begin_alone(struct daxkv_store *store, bool tries, struct daxkv_txn **txn)
{
	return txn_forked(store) ? txn_own(store) : begin_write(store, tries ? 0 : -1, false, txn);
}

/* begin_lazy - a write transaction whose commit may wait for a sync. */
static int begin_lazy(struct daxkv_store *store, int64_t wait_ms, struct daxkv_txn **txn)
{
	int rc = begin_write(store, wait_ms, false, txn);

	if (rc)
		return rc;
	rc = commit_lazy_begin(store, true);
	if (rc)
		abort_outermost(*txn);
	return rc;
}

/* begin_unusual - a nested transaction, or one with more flags than whether it reads. */
static __attribute__((noinline)) int begin_unusual(struct daxkv_store *store,
                                                   struct daxkv_txn *parent, unsigned int flags,
                                                   struct daxkv_txn **txn)
{
	if (parent && (flags & DAXKV_TXN_READ_ONLY || parent->store != store))
		return err_set(EINVAL,
		               "a transaction needs a store, and a parent that writes to it");
	if (flags & ~(unsigned int)BEGIN_FLAGS)
		return err_set(EINVAL, "unknown flags 0x%x for begin", flags);
	if (flags & DAXKV_TXN_LAZY && flags & (DAXKV_TXN_DURABLE | DAXKV_TXN_READ_ONLY))
		return err_set(EINVAL, "a lazy transaction writes, and is not durable");
	if (parent && flags & (DAXKV_TXN_LAZY | DAXKV_TXN_DURABLE))
		return err_set(EINVAL, "a nested transaction is as durable as its parent");
	if (parent)
		return begin_nested(parent, txn);
	if (flags & DAXKV_TXN_VERIFY && !(flags & DAXKV_TXN_READ_ONLY))
		return err_set(EINVAL, "only a read transaction verifies what it reads");
	if (flags & DAXKV_TXN_READ_ONLY)
		return begin_read(store, flags & DAXKV_TXN_VERIFY, txn);
	const bool tries = flags & DAXKV_TXN_TRY;

	if (flags & DAXKV_TXN_LAZY ? store->may_lazy
	                           : store_is_lazy(store) && !(flags & DAXKV_TXN_DURABLE))
		return begin_lazy(store, tries ? 0 : -1, txn);
	return begin_write(store, tries ? 0 : -1, !tries, txn);
}

/* The two commonest kinds are told by a test or two; the rest is begin_unusual's. */
int daxkv_txn_begin(struct daxkv_store *store, struct daxkv_txn *parent, unsigned int flags,
                    struct daxkv_txn **txn)
{
	if (UNLIKELY(store && txn_forked(store)))
		return txn_own(store);
	if (UNLIKELY(!store || !txn))
		return err_set(EINVAL,
		               "a transaction needs a store, and a parent that writes to it");
	if (UNLIKELY(parent || flags & ~(unsigned int)DAXKV_TXN_READ_ONLY || store_is_lazy(store)))
		return begin_unusual(store, parent, flags, txn);
	return flags ? begin_read(store, false, txn) : begin_write(store, -1, true, txn);
}

int daxkv_txn_begin_timed(struct daxkv_store *store, unsigned int milliseconds,
                          struct daxkv_txn **txn)
{
	if (store && txn_forked(store))
		return txn_own(store);
	if (!store || !txn)
		return err_set(EINVAL, "a transaction needs a store");
	return store_is_lazy(store) ? begin_lazy(store, milliseconds, txn)
	                            : begin_write(store, milliseconds, true, txn);
}

/* The innermost first. */
void daxkv_txn_abort(struct daxkv_txn *txn)
{
	if (!txn || txn_forked(txn->store)) /* in a forked child there is nothing to end */
		return;
	if (txn->child)
		daxkv_txn_abort(txn->child); /* as deep as they are nested */
	if (!txn->write)
		end_read(txn);
	else if (UNLIKELY(txn->member))
		member_abort(txn);
	else if (txn->parent)
		undo_nested(txn);
	else
		abort_outermost(txn);
}

/* A child that still runs is committed with it. Whatever the result is, the handle is gone. */
int daxkv_txn_commit(struct daxkv_txn *txn)
{
	int rc;

	if (!txn)
		return err_set(EINVAL, "no transaction was given");
	if (txn_forked(txn->store))
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
	if (UNLIKELY(txn->member))
		return member_commit(txn);
	return txn->parent ? commit_nested(txn) : commit_outermost(txn);
}
