/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn_check.c - whether a transaction can be used, and why not. See txn_check.h
 *
 * The common question is answered inline, by one condition. What is here comes after a no: it finds
 * out which of the reasons it is, because each asks something else of the program.
 *
 *   the process is a forked child       open the store again: locks and mappings are the parent's
 *   a nested transaction runs           end that one first
 *   an earlier call failed half way     abort it: its pages may be half changed
 *   it was reset                        renew it
 *   its snapshot was given up           it was older than the store allows; begin a new one
 *
 * A value that a put has reserved and the program fills later is settled here as well, at the next
 * call in the transaction: from then on its bytes are those that the entry has.
 */
#include "txn/txn_check.h"

#include "base/err.h"
#include "txn/handle.h"
#include "txn/place.h"
#include "txn/store.h"

#include <errno.h>
#include <stdlib.h>

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

/* reserved_anew - a value that lies where its bytes do not lead is put again. It is the only one of
 * its key. bytes has room for key and value. Errors of tree_store. */
static int reserved_anew(struct daxkv_txn *txn, struct tree *t, struct probe *pair, uint8_t *bytes)
{
	struct probe first = {.key = bytes, .klen = pair->klen, .edge = PROBE_BEFORE};
	struct item it;
	struct path path;
	const uint8_t *value;
	uint64_t leaf;
	bool found;

	memcpy(bytes, pair->key, pair->klen);
	memcpy(bytes + pair->klen, pair->dup, pair->dlen);
	pair->key = bytes;
	pair->dup = bytes + pair->klen;
	int rc = tree_first(t, &first, &path, &it, &found);

	if (rc)
		return rc;
	if (!found || it.val != txn->reserved.value)
		return err_corrupt(txn->reserved.leaf, "a reserved value cannot be found");
	it.key = pair->key;
	it.val = pair->dup;
	rc = tree_remove(t, &path);
	if (rc)
		return rc;
	rc = tree_seek(t, pair, &path);
	if (rc)
		return rc;
	return tree_store(t, &path, &it, &value, &leaf);
}

/* reserved_place - with sorted duplicates the bytes decide about the place, which was found without
 * them. A separator of the very key may lie on the way, left from values that it once had. Errors
 * of tree_store. */
static int reserved_place(struct daxkv_txn *txn)
{
	const struct reserved *r = &txn->reserved;
	struct tree *t = &r->dups->tree;
	struct probe pair = {
	    .key = r->value - r->klen,
	    .dup = r->value,
	    .klen = r->klen,
	    .dlen = r->vlen,
	};
	struct path path;
	int rc = tree_seek(t, &pair, &path);

	if (rc)
		return rc;
	if (path.height && path.leaf.off == r->leaf)
		return 0;
	uint8_t *bytes = malloc((size_t)pair.klen + pair.dlen + 1);

	if (!bytes)
		return err_set(ENOMEM, "no memory for a pair of %u bytes", pair.klen + pair.dlen);
	rc = place_save_all(txn, r->dups->handle, NULL);
	if (!rc)
		rc = reserved_anew(txn, t, &pair, bytes);
	free(bytes);
	return rc;
}

/* What the caller wrote since the put is covered by a checksum from here on. The value's place has
 * not moved: every change, and the commit, seal first. A failure is one of the change that made the
 * room: the transaction can only be aborted, and its commit has the error. */
int txn_seal_reserved(struct daxkv_txn *txn)
{
	assert(txn->reserved.pending);
	assert(txn->reserved.value);
	struct reserved *r = &txn->reserved;
	struct wset *w = &txn->store->wset;
	int rc = 0;

	r->pending = false;
	if (r->blob) {
		struct fmt_blob blob;

		memcpy(&blob, r->value, sizeof blob);
		blob.crc = blob_seal(w, &blob);
		pm_write(&w->map->pm, r->value, &blob, sizeof blob);
	}
	leaf_seal(w, r->leaf, r->value, r->vlen);
	if (UNLIKELY(r->dups))
		rc = reserved_place(txn);
	if (rc)
		txn->store->scratch.failed = txn_break(txn, rc);
	return rc;
}

/* A word of the superblock, which the commit stores when it differs, or has nothing else. */
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
	if (txn->write)
		return txn->store->wset.txn;
	return txn->view.snapshot;
}

struct daxkv_store *daxkv_txn_store(const struct daxkv_txn *txn)
{
	if (txn)
		return txn->store;
	return NULL;
}
