/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_open.c - the life of a cursor's handle: opened, closed, renewed, and what is kept of it.
 *
 *   of a write transaction   ends with it. There are programs that close one afterwards, so its
 *                            memory then rests as a cursor's, without a transaction
 *   of a read transaction    outlives it, to be renewed in another one
 *   spare                    closed by the program, and kept by its running transaction for the
 * next
 *
 * Many programs open a cursor for one look and close it. Opening and closing take the lock of the
 * transaction's list, which threads that share a read transaction need, twice: in the store and
 * here. A spare of a read transaction stays in both lists, so that it is given and taken back by
 * one exchange each.
 */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- handles --------------------------------------------------------------------------------- */

#define RESTING 1024u /* handles of ended write transactions that are not used again yet */

/* A write transaction's cursors end with it, and there are programs that close one afterwards. So
 * its memory stays a cursor's, without a transaction: closing that does nothing. Such handles are
 * used again, those that ended first before others, and none of the last RESTING. A fork waits for
 * the mutex, as for those of environments. */
static struct {
	pthread_mutex_t mutex;
	MDB_cursor *first, **end;
	size_t n;
} resting = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static MDB_cursor *handle_new(MDB_txn *txn)
{
	MDB_cursor *c = NULL;

	if (txn->rdonly)
		return calloc(1, sizeof *c);
	if (txn->spare) {
		c = txn->spare;
		txn->spare = NULL;
		return c;
	}
	pthread_mutex_lock(&resting.mutex);
	if (resting.n > RESTING) {
		c = resting.first;
		resting.first = c->next;
		resting.n--;
	}
	pthread_mutex_unlock(&resting.mutex);
	if (!c)
		return calloc(1, sizeof *c);
	memset(c, 0, sizeof *c);
	return c;
}

/* It waits behind all that rest already. */
void cursor_handle_rest(MDB_cursor *c)
{
	memset(c, 0, sizeof *c);
	pthread_mutex_lock(&resting.mutex);
	if (!resting.n++)
		resting.end = &resting.first;
	*resting.end = c;
	resting.end = &c->next;
	pthread_mutex_unlock(&resting.mutex);
}

void cursors_before_fork(void)
{
	pthread_mutex_lock(&resting.mutex);
}

void cursors_after_fork(void)
{
	pthread_mutex_unlock(&resting.mutex);
}

static void handle_link(MDB_cursor *c, MDB_txn *txn)
{
	if (txn->rdonly)
		pthread_mutex_lock(&txn->sharing);
	c->txn = txn;
	c->rdonly = txn->rdonly;
	c->state = 0;
	c->next = txn->cursors;
	c->link = &txn->cursors;
	if (c->next)
		c->next->link = &c->next;
	txn->cursors = c;
	if (txn->rdonly)
		pthread_mutex_unlock(&txn->sharing);
}

void cursor_handle_unlink(MDB_cursor *c)
{
	MDB_txn *txn = c->txn;

	if (!txn) /* not the link, which a neighbour's thread may be changing */
		return;
	if (txn->rdonly)
		pthread_mutex_lock(&txn->sharing);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->link = NULL;
	c->txn = NULL;
	if (txn->rdonly)
		pthread_mutex_unlock(&txn->sharing);
}

static int store_cursor_open(MDB_txn *txn, struct handle *handle, struct daxkv_cursor **inner)
{
	int rc = daxkv_cursor_open(txn->inner, handle->db, inner);

	if (rc == DAXKV_NEED_COMPARE && !compare_provide(txn->inner, handle))
		rc = daxkv_cursor_open(txn->inner, handle->db, inner);
	return err_of(rc);
}

int cursor_handle_new(MDB_txn *txn, MDB_dbi dbi, struct handle *handle, MDB_cursor **ret)
{
	MDB_cursor *c = handle_new(txn);
	int rc = 0;

	if (!c)
		return ENOMEM;
	if (dbi != FREE_DBI)
		rc = store_cursor_open(txn, handle, &c->inner);
	if (rc) {
		if (txn->rdonly)
			free(c);
		else
			cursor_handle_rest(c);
		return rc;
	}
	c->dbi = dbi;
	c->handle = handle;
	handle_link(c, txn);
	*ret = c;
	return 0;
}

/* handle_empty - what the cursor has beside its memory goes. */
static void handle_empty(MDB_cursor *c)
{
	daxkv_cursor_close(c->inner);
	free(c->page);
	free(c->pending);
	if (c->of)
		c->of->shadow = NULL;
	if (c->shadow)
		c->shadow->of = NULL;
}

void cursor_handle_free(MDB_cursor *c)
{
	cursor_handle_unlink(c);
	handle_empty(c);
	if (c->rdonly)
		free(c);
	else
		cursor_handle_rest(c);
}

/* ---- spares ---------------------------------------------------------------------------------- */

/* spare_take - a read transaction's spare, as a cursor on the database. False: there is none that
 * suits. Another thread that shares the transaction may take it first. */
static bool spare_take(MDB_txn *txn, MDB_dbi dbi, const struct handle *handle, MDB_cursor **ret)
{
	if (!__atomic_load_n(&txn->spare, __ATOMIC_RELAXED) || dbi == FREE_DBI)
		return false;
	/* Pairs with the exchange in spare_give: the thread that closed it is done with it. */
	MDB_cursor *c = __atomic_exchange_n(&txn->spare, NULL, __ATOMIC_ACQUIRE);

	if (!c)
		return false;
	if (c->dbi != dbi || c->handle != handle || daxkv_cursor_db(c->inner) != handle->db ||
	    daxkv_cursor_renew(txn->inner, c->inner)) {
		cursor_handle_free(c);
		return false;
	}
	c->state = 0;
	*ret = c;
	return true;
}

/* spare_give - a read transaction's cursor is closed: it becomes the spare, and what was that goes.
 */
static void spare_give(MDB_cursor *c)
{
	c = __atomic_exchange_n(&c->txn->spare, c, __ATOMIC_ACQ_REL);
	if (c)
		cursor_handle_free(c);
}

void cursor_spare_end(MDB_txn *txn)
{
	MDB_cursor *c = txn->spare;

	if (!c)
		return;
	txn->spare = NULL;
	if (txn->rdonly)
		cursor_handle_free(c);
	else
		cursor_handle_rest(c);
}

/* ---- calls ----------------------------------------------------------------------------------- */

int mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **ret)
{
	struct handle *handle = handle_of(txn, dbi);

	if (!ret || !handle)
		return EINVAL;
	if (txn->state)
		return MDB_BAD_TXN;
	if (dbi == FREE_DBI && !txn->rdonly)
		return EINVAL;
	int rc = txn_is_copy(txn) ? txn_adopt(txn) : 0;

	if (rc)
		return rc;
	if (txn->rdonly && spare_take(txn, dbi, handle, ret))
		return 0;
	return cursor_handle_new(txn, dbi, handle, ret);
}

/* A read transaction's cursor may have been closed in a child of the process that opened it, where
 * the transaction is the parent's. */
void mdb_cursor_close(MDB_cursor *c)
{
	if (!c || !c->handle)
		return;
	MDB_txn *txn = c->txn;

	if (!txn || txn_is_copy(txn)) {
		cursor_handle_free(c);
	} else if (!txn->rdonly) {
		cursor_handle_unlink(c);
		handle_empty(c);
		memset(c, 0, sizeof *c);
		if (txn->spare)
			cursor_handle_rest(c);
		else
			txn->spare = c;
	} else if (c->inner && !(txn->state & TXN_IDLE)) {
		spare_give(c);
	} else {
		cursor_handle_free(c);
	}
}

int mdb_cursor_renew(MDB_txn *txn, MDB_cursor *c)
{
	struct handle *handle;
	int rc = 0;

	if (!c || !(handle = handle_of(txn, c->dbi)) || !txn->rdonly || !c->rdonly)
		return EINVAL;
	if (txn->state)
		return MDB_BAD_TXN;
	if (c->inner)
		rc = daxkv_cursor_renew(txn->inner, c->inner);
	if (rc == DAXKV_NEED_COMPARE && !compare_provide(txn->inner, handle))
		rc = daxkv_cursor_renew(txn->inner, c->inner);
	if (rc)
		return err_of(rc);
	if (c->txn != txn) {
		cursor_handle_unlink(c);
		handle_link(c, txn);
	}
	c->state = 0;
	return 0;
}

MDB_txn *mdb_cursor_txn(MDB_cursor *c)
{
	return c ? c->txn : NULL;
}

MDB_dbi mdb_cursor_dbi(MDB_cursor *c)
{
	return c ? c->dbi : 0;
}
