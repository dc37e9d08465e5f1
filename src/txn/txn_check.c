/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn_check.c - whether a transaction can be used, and why not. See txn_check.h
 */
#include "txn/txn_check.h"

#include "base/err.h"
#include "txn/place.h"
#include "txn/store.h"

#include <errno.h>

/* In the parent it costs a load. */
int txn_own(const struct daxkv_store *store)
{
	if (txn_forked(store))
		return err_set(
		    DAXKV_BAD_TXN,
		    "the store was opened by the parent process: open it again in the child");
	return 0;
}

/* Only called when one of the reasons holds: the last one needs no test. */
int txn_refuse(const struct daxkv_txn *txn, bool write)
{
	if (!txn)
		return err_set(EINVAL, "no transaction was given");
	if (txn_forked(txn->store))
		return err_set(DAXKV_BAD_TXN, "the transaction belongs to the parent process");
	if (txn->child)
		return err_set(DAXKV_BAD_TXN, "a nested transaction is running: its parent rests");
	if (txn->broken) {
		if (txn->too_old)
			return view_too_old(&txn->view);
		return err_set(DAXKV_BAD_TXN,
		               "an earlier change failed: the transaction can only be aborted");
	}
	if (txn->idle)
		return err_set(DAXKV_BAD_TXN, "the read transaction was reset");
	assert(write);
	assert(!txn->write);
	return err_set(EACCES, "a read transaction cannot change anything");
}

/* Its cursors are lost with it: what they stand on may be anything. Whatever the call met before,
 * an error of a page included, came of bytes that had changed. */
int txn_too_old(struct daxkv_txn *txn)
{
	txn->broken = txn->too_old = true;
	place_lose_all(txn);
	return view_too_old(&txn->view);
}

/* Only abort is left: pages may be half changed. */
int txn_break(struct daxkv_txn *txn, int rc)
{
	assert(txn->write);
	assert(rc);
	txn->broken = true;
	return rc;
}

/* What the caller wrote since the put is covered by a checksum from here on. The value's place has
 * not moved: every change, and the commit, seal first. */
void txn_seal_reserved(struct daxkv_txn *txn)
{
	assert(txn->reserved.pending);
	assert(txn->reserved.value);
	struct reserved *r = &txn->reserved;
	struct wset *w = &txn->store->wset;

	r->pending = false;
	if (r->blob) {
		struct fmt_blob blob;

		memcpy(&blob, r->value, sizeof blob);
		blob.crc = blob_seal(w, &blob);
		pm_write(&w->map->pm, r->value, &blob, sizeof blob);
	}
	leaf_seal(w, r->leaf, r->value, r->vlen);
}

/* A word of the superblock, which the commit stores when it differs. */
int daxkv_txn_set_user_version(struct daxkv_txn *txn, uint64_t value)
{
	int rc = txn_check(txn, true);

	if (rc)
		return rc;
	txn->user_version = value;
	txn->user_version_set = true;
	return 0;
}

/* Of a write transaction: the commit that it will be. */
uint64_t daxkv_txn_id(const struct daxkv_txn *txn)
{
	if (!txn)
		return 0;
	return txn->write ? txn->store->wset.txn : txn->view.snapshot;
}

struct daxkv_store *daxkv_txn_store(const struct daxkv_txn *txn)
{
	return txn ? txn->store : NULL;
}
