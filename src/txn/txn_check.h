/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * txn_check.h - whether a transaction can be used, and what every call on one begins and ends with.
 *
 *   txn_check      at the beginning: it is this process's, it runs, nothing broke it
 *   txn_changing   before a change: what points into pages that may move is made safe
 *   txn_done       at the end of a read: what was read counts only when the snapshot was not given
 *                  up
 *
 * The rule that makes it right: no call looks at a page before txn_check, and no call of a bounded
 * reader returns what it read before txn_done [I20].
 */
#ifndef DAXKV_TXN_CHECK_H
#define DAXKV_TXN_CHECK_H

#include "txn/place.h"
#include "txn/store.h"

/* txn_forked - whether this is a forked child, which must not use its parent's store. */
static inline bool txn_forked(const struct daxkv_store *store)
{
	return UNLIKELY(*store->alive == 0);
}

/* txn_own - BAD_TXN with a text in a forked child. */
int txn_own(const struct daxkv_store *store);

/* txn_check - whether the transaction can be used, and with write, changed. BAD_TXN, EACCES.
 * txn_refuse - the reason why not. */
int txn_refuse(const struct daxkv_txn *txn, bool write);
/* txn_usable - the same without a text: one chain of tests that all pass for a usable one, and no
 * call. */
static inline bool txn_usable(const struct daxkv_txn *txn, bool write)
{
	return txn && !txn_forked(txn->store) && !txn->child && !txn->broken && !txn->idle &&
	       (txn->write || !write);
}

/* txn_check - see above txn_refuse. */
static inline int txn_check(const struct daxkv_txn *txn, bool write)
{
	if (LIKELY(txn_usable(txn, write)))
		return 0;
	return txn_refuse(txn, write);
}

/* txn_view - what it sees. */
static inline struct view *txn_view(struct daxkv_txn *txn)
{
	if (txn->write)
		return &txn->store->writer_view;
	return &txn->view;
}

/* txn_done - what a call that read comes to: rc, or TOO_OLD when the snapshot was given up
 * meanwhile, whatever the call met then [I20]. */
int txn_too_old(struct daxkv_txn *txn);
/* txn_done - see above txn_too_old. */
static inline int txn_done(struct daxkv_txn *txn, int rc)
{
	if (UNLIKELY(view_evicted(&txn->view)))
		return txn_too_old(txn);
	return rc;
}

/* txn_break - a change failed half-way with rc: only abort is left. Returns rc. */
int txn_break(struct daxkv_txn *txn, int rc);

/* txn_seal - compute the checksum of a reserved value, which the caller has filled by now, and with
 * sorted duplicates see that it lies where its bytes belong. Errors of tree_store break the
 * transaction, and are its commit's. */
int txn_seal_reserved(struct daxkv_txn *txn);
/* txn_seal - see above txn_seal_reserved. */
static inline int txn_seal(struct daxkv_txn *txn)
{
	return UNLIKELY(txn->reserved.pending) ? txn_seal_reserved(txn) : 0;
}

/* txn_changing - a change of database db is about to begin: the value reserved before is sealed, by
 * the caller itself where it has looked at pages by then; cursors there keep their place by key.
 * ENOMEM, and the errors of txn_seal. txn_changing_by - but for the cursor that makes the change:
 * it keeps its place by itself. */
static inline int txn_changing_by(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_cursor *by)
{
	int rc = txn_seal(txn);

	if (UNLIKELY(rc))
		return rc;
	txn->store->wset.changes++;
	if (UNLIKELY(txn->cursors))
		return place_save_all(txn, db, by);
	return 0;
}

/* txn_changing - see above txn_changing_by. */
static inline int txn_changing(struct daxkv_txn *txn, daxkv_db db)
{
	return txn_changing_by(txn, db, NULL);
}

#endif
