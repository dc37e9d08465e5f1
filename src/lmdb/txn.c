/* SPDX-License-Identifier: BSD-3-Clause */
/* txn.c - transactions. */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>

int txn_result(MDB_txn *txn, int rc)
{
	if (LIKELY(!rc))
		return 0;
	switch (rc) {
	case DAXKV_FULL:
	case DAXKV_CORRUPT:
	case DAXKV_POISONED:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EIO:
		txn->failed = true;
		break;
	default:
		break;
	}
	return err_of(rc);
}

static void txn_free(MDB_txn *txn)
{
	free(txn->adopted);
	free(txn);
}

static int begin_read(MDB_txn *txn)
{
	int rc = reader_enter(txn);

	if (rc)
		return rc;
	rc = txn->kv ? daxkv_renew(txn->kv) : daxkv_begin(txn->env->kv, NULL, DAXKV_TXN_RDONLY, &txn->kv);
	if (rc) {
		reader_leave(txn, true);
		return err_of(rc);
	}
	txn->idle = false;
	if (txn->reader)
		__atomic_store_n(&txn->reader->txnid, (size_t)daxkv_txn_id(txn->kv), __ATOMIC_RELAXED);
	return 0;
}

static int begin_write(MDB_txn *txn)
{
	int rc = daxkv_begin(txn->env->kv, txn->parent ? txn->parent->kv : NULL, 0, &txn->kv);

	if (rc == DAXKV_BUSY)
		return EDEADLK; /* this thread's own write transaction is running, and would be waited for */
	if (rc)
		return err_of(rc);
	if (txn->parent)
		txn->parent->child = txn;
	else
		__atomic_store_n(&txn->env->writer, txn, __ATOMIC_RELAXED);
	return 0;
}

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **ret)
{
	MDB_txn *txn;
	int rc;

	if (!env || !ret || !env->kv)
		return EINVAL;
	if (env_is_copy(env))
		return MDB_PANIC;
	if (env->flags & MDB_RDONLY && !(flags & MDB_RDONLY))
		return EACCES;
	if (parent && parent->rdonly)
		return EINVAL;
	if (parent && (flags & MDB_RDONLY || txn_blocked(parent)))
		return MDB_BAD_TXN;
	txn = calloc(1, sizeof *txn);
	if (!txn)
		return ENOMEM;
	txn->env = env;
	txn->parent = parent;
	txn->rdonly = flags & MDB_RDONLY;
	rc = txn->rdonly ? begin_read(txn) : begin_write(txn);
	if (rc)
		free(txn);
	else
		*ret = txn;
	return rc;
}

MDB_env *mdb_txn_env(MDB_txn *txn)
{
	return txn ? txn->env : NULL;
}

size_t mdb_txn_id(MDB_txn *txn)
{
	return txn && !txn->idle ? (size_t)daxkv_txn_id(txn->kv) : 0;
}

/* txn_gone - the store's transaction has ended: so does the handle. */
static void txn_gone(MDB_txn *txn, bool kept)
{
	slots_end(txn, kept);
	if (txn->rdonly)
		reader_leave(txn, true);
	else if (txn->parent)
		txn->parent->child = NULL;
	else
		__atomic_store_n(&txn->env->writer, NULL, __ATOMIC_RELAXED);
	txn_free(txn);
}

/* txn_drop_copy - in a forked child: the store and its locks are the parent's, only the memory is ours. */
static void txn_drop_copy(MDB_txn *txn)
{
	while (txn->cursors) {
		MDB_cursor *c = txn->cursors;

		txn->cursors = c->next;
		c->link = NULL;
		c->txn = NULL;
		if (!txn->rdonly) {
			free(c->page);
			free(c);
		}
	}
	if (txn->child)
		txn_drop_copy(txn->child);
	if (txn->parent)
		txn->parent->child = NULL;
	txn_free(txn);
}

void mdb_txn_abort(MDB_txn *txn)
{
	if (!txn)
		return;
	if (env_is_copy(txn->env)) {
		txn_drop_copy(txn);
		return;
	}
	if (txn->child)
		mdb_txn_abort(txn->child);
	cursors_end(txn);
	daxkv_abort(txn->kv);
	txn_gone(txn, false);
}

int mdb_txn_commit(MDB_txn *txn)
{
	int rc = 0;

	if (!txn)
		return EINVAL;
	if (env_is_copy(txn->env)) {
		txn_drop_copy(txn);
		return MDB_PANIC;
	}
	if (txn->child)
		rc = mdb_txn_commit(txn->child);
	if (!rc && txn->failed) {
		if (txn->parent)
			txn->parent->failed = true;
		rc = MDB_BAD_TXN;
	}
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	cursors_end(txn);
	rc = err_of(daxkv_commit(txn->kv));
	txn_gone(txn, !rc);
	return rc;
}

void mdb_txn_reset(MDB_txn *txn)
{
	if (!txn || !txn->rdonly || txn->idle || env_is_copy(txn->env))
		return;
	slots_end(txn, false);
	daxkv_reset(txn->kv);
	reader_leave(txn, false);
	txn->idle = true;
}

int mdb_txn_renew(MDB_txn *txn)
{
	if (!txn || !txn->rdonly || !txn->idle)
		return EINVAL;
	return env_is_copy(txn->env) ? MDB_PANIC : begin_read(txn);
}
