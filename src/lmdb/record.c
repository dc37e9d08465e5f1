/* SPDX-License-Identifier: BSD-3-Clause */
/* record.c - get, put, del. */
#include "layer.h"

#include <errno.h>

#define PUT_FLAGS (MDB_NOOVERWRITE | MDB_NODUPDATA | MDB_RESERVE | MDB_APPEND | MDB_APPENDDUP)

/* key_result - LMDB finds no key that is too long, and refuses an empty one. */
static int key_result(const MDB_txn *txn, const MDB_val *key, int rc)
{
	if (rc == DAXKV_KEY_SIZE && key->mv_size > daxkv_max_key_size(txn->env->kv))
		return MDB_NOTFOUND;
	return err_of(rc);
}

int mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
	struct slot *slot = slot_of(txn, dbi);

	if (UNLIKELY(!key || !data || !slot || dbi == FREE_DBI))
		return EINVAL;
	if (UNLIKELY(txn_blocked(txn)))
		return MDB_BAD_TXN;
	struct daxkv_val k = {key->mv_size, key->mv_data}, v;
	int rc = daxkv_get(txn->kv, slot->db, &k, &v);

	if (UNLIKELY(rc == DAXKV_NEED_COMPARE) && !compare_provide(txn->kv, slot))
		rc = daxkv_get(txn->kv, slot->db, &k, &v);
	if (rc)
		return key_result(txn, key, rc);
	data->mv_size = v.size;
	data->mv_data = v.data;
	return 0;
}

int mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags)
{
	struct slot *slot = slot_of(txn, dbi);
	int rc;

	if (!key || !data || !slot || dbi == FREE_DBI || flags & ~(unsigned int)PUT_FLAGS)
		return EINVAL;
	if (txn->rdonly)
		return EACCES;
	if (txn_blocked(txn))
		return MDB_BAD_TXN;
	rc = compare_adopt(txn, dbi);
	if (rc)
		return rc;
	struct daxkv_val k = {key->mv_size, key->mv_data}, v = {data->mv_size, data->mv_data};

	rc = daxkv_put(txn->kv, slot->db, &k, &v, flags);
	if (UNLIKELY(rc == DAXKV_NEED_COMPARE) && !compare_provide(txn->kv, slot))
		rc = daxkv_put(txn->kv, slot->db, &k, &v, flags);
	if ((!rc && flags & MDB_RESERVE) || (rc == DAXKV_EXIST && flags & MDB_NOOVERWRITE && !(flags & MDB_APPEND))) {
		data->mv_size = v.size;
		data->mv_data = v.data;
	}
	return txn_result(txn, rc);
}

int mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
	struct slot *slot = slot_of(txn, dbi);
	int rc;

	if (!key || !slot || dbi == FREE_DBI)
		return EINVAL;
	if (txn->rdonly)
		return EACCES;
	if (txn_blocked(txn))
		return MDB_BAD_TXN;
	rc = compare_adopt(txn, dbi);
	if (rc)
		return rc;
	struct daxkv_val k = {key->mv_size, key->mv_data}, v = {0, NULL};

	if (data)
		v = (struct daxkv_val){data->mv_size, data->mv_data};
	rc = daxkv_del(txn->kv, slot->db, &k, data ? &v : NULL);
	if (UNLIKELY(rc == DAXKV_NEED_COMPARE) && !compare_provide(txn->kv, slot))
		rc = daxkv_del(txn->kv, slot->db, &k, data ? &v : NULL);
	return rc == DAXKV_KEY_SIZE ? key_result(txn, key, rc) : txn_result(txn, rc);
}
