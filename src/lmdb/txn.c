/* SPDX-License-Identifier: BSD-3-Clause */
/* txn.c - transactions. */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>

uint64_t txn_serial(MDB_txn *txn)
{
	if (!txn->serial)
		txn->serial = __atomic_add_fetch(&txn->env->serials, 1, __ATOMIC_RELAXED);
	return txn->serial;
}

int txn_result(MDB_txn *txn, int rc)
{
	if (LIKELY(!rc))
		return 0;
	switch (rc) {
	case DAXKV_FULL:
	case DAXKV_CORRUPT:
	case DAXKV_PANIC:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EIO:
		txn->state |= TXN_FAILED;
		break;
	default:
		break;
	}
	return err_of(rc);
}

/* ---- beginning ------------------------------------------------------------------------------- */

/* longer - the file, than it may be here: by a process with a larger map. */
static bool longer(const MDB_env *env)
{
	return daxkv_size(env->store) > env->seen;
}

/* resized - more of a longer file is in use than fits this map. One that grew by a large step can
 * be read, but not written to: it ends beyond what this process may use of it. */
static bool resized(MDB_env *env)
{
	struct daxkv_info info;
	const int cancel = cancel_off(); /* the transaction has begun in the store */
	int rc = daxkv_info(env->store, &info);

	cancel_restore(cancel);
	return !rc && info.used_bytes > env->seen;
}

/* read_fits - a snapshot that was not looked at yet fits the map; else MDB_MAP_RESIZED, and it is
 * given back. The size changes by commits only. */
static int read_fits(MDB_txn *txn, size_t id)
{
	if (longer(txn->env) && resized(txn->env)) {
		daxkv_txn_reset(txn->inner);
		reader_leave(txn);
		return MDB_MAP_RESIZED;
	}
	__atomic_store_n(&txn->env->fits, id, __ATOMIC_RELAXED);
	return 0;
}

/* read_start - a handle, new or reset, begins to read. */
static int read_start(MDB_txn *txn)
{
	int rc =
	    LIKELY(txn->inner)
	        ? daxkv_txn_renew(txn->inner)
	        : daxkv_txn_begin(txn->env->store, NULL,
	                          DAXKV_TXN_READ_ONLY | (txn->env->verify ? DAXKV_TXN_VERIFY : 0u),
	                          &txn->inner);

	if (UNLIKELY(rc)) {
		reader_leave(txn);
		return err_of(rc);
	}
	size_t id = (size_t)daxkv_txn_id(txn->inner);

	if (UNLIKELY(id != __atomic_load_n(&txn->env->fits, __ATOMIC_RELAXED))) {
		rc = read_fits(txn, id);
		if (rc)
			return rc;
	}
	txn->state = 0;
	txn->began = __atomic_load_n(&txn->env->events, __ATOMIC_ACQUIRE);
	__atomic_store_n(&txn->reader->txnid, id, __ATOMIC_RELAXED);
	return 0;
}

static int mdb_begin_read(MDB_env *env, MDB_txn **ret)
{
	MDB_txn *txn;
	int rc = reader_txn_new(env, &txn);

	if (UNLIKELY(rc))
		return rc;
	rc = read_start(txn);
	if (UNLIKELY(rc))
		reader_txn_free(txn);
	else
		*ret = txn;
	return rc;
}

static int mdb_begin_write(MDB_env *env, unsigned int flags, MDB_txn **ret)
{
	MDB_txn *txn = &env->write_txn;
	struct daxkv_txn *inner;
	int rc =
	    daxkv_txn_begin(env->store, NULL, flags & MDB_NOSYNC ? DAXKV_TXN_LAZY : 0u, &inner);

	if (UNLIKELY(rc)) {
		if (rc == DAXKV_BUSY) /* this thread's own write transaction would be waited for */
			return EDEADLK;
		return err_of(rc);
	}
	if (UNLIKELY(longer(env))) {
		daxkv_txn_abort(inner);
		return MDB_MAP_RESIZED;
	}
	*txn = (MDB_txn){.env = env,
	                 .inner = inner,
	                 .forks = fork_count,
	                 .began = __atomic_load_n(&env->events, __ATOMIC_ACQUIRE)};
	__atomic_store_n(&env->writer, txn, __ATOMIC_RELAXED);
	*ret = txn;
	return 0;
}

static int mdb_begin_nested(MDB_env *env, MDB_txn *parent, MDB_txn **ret)
{
	MDB_txn *txn = calloc(1, sizeof *txn);
	int rc;

	if (!txn)
		return ENOMEM;
	txn->env = env;
	txn->forks = fork_count;
	txn->parent = parent;
	txn->began = parent->began;
	rc = cursors_note(parent);
	if (!rc)
		rc = err_of(daxkv_txn_begin(env->store, parent->inner, 0, &txn->inner));
	if (!rc && parent->cursors)
		rc = cursors_shadow(parent, txn);
	if (rc) {
		(void)cursors_end(txn, false);
		daxkv_txn_abort(txn->inner);
		free(txn);
		return rc;
	}
	parent->child = txn;
	parent->state |= TXN_PARENT;
	*ret = txn;
	return 0;
}

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **ret)
{
	if (UNLIKELY(!env || !ret || !env->store))
		return EINVAL;
	int rc = env_enter(env);

	if (UNLIKELY(rc))
		return rc;
	if (UNLIKELY(parent)) {
		if (parent->env != env)
			return EINVAL;
		if (txn_is_copy(parent))
			return MDB_BAD_TXN;
		if (parent->rdonly)
			return env->flags & MDB_RDONLY && !(flags & MDB_RDONLY) ? EACCES : EINVAL;
		return flags & MDB_RDONLY || parent->state ? MDB_BAD_TXN
		                                           : mdb_begin_nested(env, parent, ret);
	}
	if (flags & MDB_RDONLY)
		return mdb_begin_read(env, ret);
	return env->flags & MDB_RDONLY ? EACCES : mdb_begin_write(env, flags, ret);
}

MDB_env *mdb_txn_env(MDB_txn *txn)
{
	return txn ? txn->env : NULL;
}

size_t mdb_txn_id(MDB_txn *txn)
{
	return txn && !(txn->state & TXN_IDLE) ? (size_t)daxkv_txn_id(txn->inner) : 0;
}

/* ---- ending ---------------------------------------------------------------------------------- */

void txn_read_stop(MDB_txn *txn)
{
	(void)cursors_end(txn, false);
	daxkv_txn_abort(txn->inner);
	txn->inner = NULL;
}

/* read_end - the store's transaction stays with a handle that stays, unless cursors hang on it. */
static void read_end(MDB_txn *txn, bool keep)
{
	if (UNLIKELY(txn->opened))
		handles_end(txn->env, txn->serial, 0, keep);
	if (txn->spare)
		cursor_spare_end(txn);
	if (UNLIKELY(txn->cursors) || !txn->home) {
		txn_read_stop(txn);
	} else {
		daxkv_txn_reset(txn->inner);
	}
	reader_txn_free(txn);
}

/* write_end - commit or abort. Where the outermost transaction ends another thread's may begin, in
 * the same handle. */
static int write_end(MDB_txn *txn, bool keep)
{
	MDB_env *env = txn->env;
	MDB_txn *parent = txn->parent;
	struct daxkv_txn *inner = txn->inner;
	uint64_t serial = txn->serial;
	bool opened = txn->opened;
	int rc = txn->cursors || txn->spare ? cursors_end(txn, keep) : 0;

	keep &= !rc;
	if (keep && parent) {
		parent->changed |= txn->changed;
		parent->opened |= opened;
	} else if (keep && txn->changed) {
		mapsize_keep(env, inner);
	}
	if (parent) {
		parent->child = NULL;
		parent->state &= ~(unsigned int)TXN_PARENT;
		free(txn);
	} else {
		txn->state = TXN_IDLE; /* who uses the handle once more is told so */
		__atomic_store_n(&env->writer, NULL, __ATOMIC_RELAXED);
	}
	if (keep)
		rc = err_of(daxkv_txn_commit(inner));
	else
		daxkv_txn_abort(inner);
	if (UNLIKELY(opened))
		handles_end(env, serial, parent ? txn_serial(parent) : 0, keep && !rc);
	if (UNLIKELY(parent && parent->cursors)) {
		int moved = cursors_resume(parent, keep && !rc);

		rc = rc ? rc : moved;
	}
	return rc;
}

/* txn_drop_copy - in a forked child: the store and its locks are the parent's, only the memory is
 * ours. */
static void txn_drop_copy(MDB_txn *txn)
{
	cursors_forget(txn);
	if (txn->child)
		txn_drop_copy(txn->child);
	if (txn->parent)
		txn->parent->child = NULL;
	if (txn->parent || (txn->rdonly && !txn->home))
		free(txn);
	else if (txn->rdonly && !env_is_copy(txn->env))
		reader_txn_free(txn);
}

void mdb_txn_abort(MDB_txn *txn)
{
	if (!txn)
		return;
	if (txn_is_copy(txn)) {
		txn_drop_copy(txn);
		return;
	}
	if (UNLIKELY(txn->child))
		mdb_txn_abort(txn->child);
	if (txn->rdonly)
		read_end(txn, false);
	else if (!(txn->state & TXN_IDLE))
		(void)write_end(txn, false);
}

int mdb_txn_commit(MDB_txn *txn)
{
	int rc = 0;

	if (!txn)
		return EINVAL;
	if (txn_is_copy(txn)) {
		bool rdonly = txn->rdonly;

		txn_drop_copy(txn);
		return rdonly ? 0 : MDB_PANIC;
	}
	if (txn->rdonly) {
		read_end(txn, true);
		return 0;
	}
	if (UNLIKELY(txn->state & TXN_IDLE))
		return MDB_BAD_TXN;
	if (UNLIKELY(txn->child))
		rc = mdb_txn_commit(txn->child);
	if (UNLIKELY(!rc && txn->state & TXN_FAILED)) {
		if (txn->parent)
			txn->parent->state |= TXN_FAILED;
		rc = MDB_BAD_TXN;
	}
	if (LIKELY(!rc))
		return write_end(txn, true);
	mdb_txn_abort(txn);
	return rc;
}

void mdb_txn_reset(MDB_txn *txn)
{
	if (!txn || !txn->rdonly || txn->state & TXN_IDLE)
		return;
	if (txn_is_copy(txn)) {
		txn->state = TXN_IDLE; /* to be renewed here */
		return;
	}
	if (txn->opened)
		handles_end(txn->env, txn->serial, 0, false);
	txn->opened = false;
	if (txn->spare) /* the environment may be closed before the handle ends */
		cursor_spare_end(txn);
	daxkv_txn_reset(txn->inner);
	reader_leave(txn);
	txn->state = TXN_IDLE;
}

int mdb_txn_renew(MDB_txn *txn)
{
	int rc;

	if (!txn || !txn->rdonly || !(txn->state & TXN_IDLE))
		return EINVAL;
	rc = txn_is_copy(txn) ? txn_adopt(txn) : 0;
	if (!rc)
		rc = reader_enter(txn);
	return rc ? rc : read_start(txn);
}
