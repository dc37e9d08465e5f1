/* SPDX-License-Identifier: BSD-3-Clause */
/* layer_put.c - get, put, del. */
#include "layer.h"

#include <errno.h>

/* key_result - LMDB finds no key that is too long, and refuses an empty one. */
static int key_result(const MDB_txn *txn, const MDB_val *key, int rc)
{
	if (rc == DAXKV_KEY_SIZE && key->mv_size > daxkv_max_key_size(txn->env->store))
		return MDB_NOTFOUND;
	return err_of(rc);
}

/* get_again - after a search without the program's order, or in a parent's transaction, or one that
 * failed. */
static int get_again(MDB_txn *txn, struct handle *handle, MDB_val *key, MDB_val *data, int rc)
{
	if (txn_is_copy(txn)) {
		rc = txn_adopt(txn);
		if (rc)
			return rc;
		rc = daxkv_get(txn->inner, handle->db, val_of(key), val_of(data));
	}
	if (rc == DAXKV_NEED_COMPARE && !compare_provide(txn->inner, handle))
		rc = daxkv_get(txn->inner, handle->db, val_of(key), val_of(data));
	return rc ? key_result(txn, key, rc) : 0;
}

int mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
	struct handle *handle = handle_of(txn, dbi);

	if (UNLIKELY(!key || !data || !handle || dbi == FREE_DBI))
		return EINVAL;
	if (UNLIKELY(txn->state))
		return MDB_BAD_TXN;
	int rc = daxkv_get(txn->inner, handle->db, val_of(key), val_of(data));

	return LIKELY(!rc) ? 0 : get_again(txn, handle, key, data, rc);
}

/* changing - whether the database can be changed. */
static int changing(MDB_txn *txn, MDB_dbi dbi, struct handle *handle)
{
	if (UNLIKELY(!handle || dbi == FREE_DBI))
		return EINVAL;
	if (UNLIKELY(txn->rdonly))
		return EACCES;
	if (UNLIKELY(txn->state))
		return MDB_BAD_TXN;
	return compare_adopt(txn, handle);
}

int put_again(MDB_txn *txn, struct handle *handle, MDB_val *key, MDB_val *data, unsigned int flags,
              int rc)
{
	if (rc == DAXKV_NEED_COMPARE && !compare_provide(txn->inner, handle))
		rc = daxkv_put(txn->inner, handle->db, val_of(key), val_of(data), flags);
	if (rc == DAXKV_VALUE_SIZE && !(rc = compare_widen(txn, handle, data)))
		rc = daxkv_put(txn->inner, handle->db, val_of(key), val_of(data), flags);
	if (rc == DAXKV_INCOMPATIBLE && flags & MDB_RESERVE && handle->flags & MDB_DUPSORT)
		rc = daxkv_put(txn->inner, handle->db, val_of(key), val_of(data),
		               flags & ~(unsigned int)MDB_RESERVE);
	return rc;
}

int mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags)
{
	struct handle *handle = handle_of(txn, dbi);
	int rc;

	if (UNLIKELY(!key || !data || flags & ~(unsigned int)PUT_FLAGS))
		return EINVAL;
	rc = changing(txn, dbi, handle);
	if (UNLIKELY(rc))
		return rc;
	if (put_too_long(txn->env, handle, key, data))
		return MDB_BAD_VALSIZE;
	rc = put_ordered(txn, handle, key, data, flags);
	if (LIKELY(!rc)) {
		txn->changed = true;
		return 0;
	}
	rc = txn_result(txn, rc);
	txn->changed |= put_counts(rc, flags);
	return rc;
}

int mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
	struct handle *handle = handle_of(txn, dbi);
	int rc;

	if (UNLIKELY(!key))
		return EINVAL;
	rc = changing(txn, dbi, handle);
	if (UNLIKELY(rc))
		return rc;
	rc = UNLIKELY(txn->cursors) ? cursors_aim(txn, handle, NULL, key, data) : 0;
	if (UNLIKELY(rc))
		return rc;
	rc = daxkv_del(txn->inner, handle->db, val_of(key), val_of(data));
	if (UNLIKELY(rc == DAXKV_NEED_COMPARE) && !compare_provide(txn->inner, handle))
		rc = daxkv_del(txn->inner, handle->db, val_of(key), val_of(data));
	if (LIKELY(!rc)) {
		txn->changed = true;
		return UNLIKELY(txn->cursors) ? cursors_advance(txn, handle, NULL) : 0;
	}
	return rc == DAXKV_KEY_SIZE ? key_result(txn, key, rc) : txn_result(txn, rc);
}
