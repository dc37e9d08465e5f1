/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * place.c - cursors keep their place. See place.h
 *
 * A change may write a leaf anew, and a cursor that stands there would point into a page that is
 * gone. So before a change of its database every cursor of the transaction remembers its key
 * (place_save_all), and finds its place again when it is used next.
 *
 * Rejected: to look after each change which cursors it concerns. It needs the cursors' paths in
 * step with the tree at each split and merge; a key needs nothing. A cursor that is not used again
 * pays a copy of its key once.
 */
#include "txn/place.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

/* list_shared - whether other threads may use the list of the transaction's cursors: a read
 * transaction's is used by all that share it, the writer's by its own alone. In a forked child a
 * cursor can only be closed, and a thread of the parent's may have held the lock at the fork. */
static bool list_shared(const struct daxkv_txn *txn)
{
	return !txn->write && *txn->store->alive;
}

/* list_lock, list_unlock - around that list. */
static void list_lock(struct daxkv_txn *txn)
{
	if (list_shared(txn))
		pthread_mutex_lock(&txn->sharing);
}

static void list_unlock(struct daxkv_txn *txn)
{
	if (list_shared(txn))
		pthread_mutex_unlock(&txn->sharing);
}

/* link_locked - at the front of the list, which is locked: the order does not matter. */
static void link_locked(struct daxkv_cursor *c, struct daxkv_txn *txn)
{
	c->txn = txn;
	c->next = txn->cursors;
	c->link = &txn->cursors;
	if (c->next)
		c->next->link = &c->next;
	txn->cursors = c;
	/* another transaction has the same numbers of generations */
	for (unsigned int i = 0; i < CURSOR_MARKS; i++)
		c->mark[i].generation = 0;
}

/* For a cursor that is in no list. */
void place_link(struct daxkv_cursor *c, struct daxkv_txn *txn)
{
	assert(c->store == txn->store);
	list_lock(txn);
	link_locked(c, txn);
	list_unlock(txn);
}

/* cursor_new - memory of a cursor that begins as zeros, with room for the order of any leaf: no
 * move allocates. Marks and order are made when they are needed. NULL: there is none. */
static struct daxkv_cursor *cursor_new(const struct daxkv_txn *txn)
{
	struct daxkv_cursor *c =
	    malloc(sizeof *c + LEAF_MAX(txn->store->page_size) * sizeof c->order[0]);

	if (!c) {
		(void)err_set(ENOMEM, "no memory for a cursor");
		return NULL;
	}
	memset(c, 0, offsetof(struct daxkv_cursor, mark));
	c->store = txn->store;
	return c;
}

/* Programs open a cursor for one look and close it, so the transaction keeps one that was closed.
 * It keeps its room for a key, too. */
int place_new(struct daxkv_txn *txn, daxkv_db db, struct daxkv_cursor **cursor)
{
	list_lock(txn);
	struct daxkv_cursor *c = txn->closed;

	txn->closed = NULL;
	if (!c)
		c = cursor_new(txn);
	if (c) {
		c->db = db;
		c->state = CURSOR_UNSET;
		c->ordered = false;
		place_forget_pages(c);
		link_locked(c, txn);
		*cursor = c;
	}
	list_unlock(txn);
	if (c)
		return 0;
	return ENOMEM;
}

/* unlink_locked - out of the list, which is locked. */
static void unlink_locked(struct daxkv_cursor *c)
{
	assert(*c->link == c);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->txn = NULL;
}

/* A cursor that is in no list stays as it is. */
void place_unlink(struct daxkv_cursor *c)
{
	struct daxkv_txn *txn = c->txn;

	if (!txn)
		return;
	list_lock(txn);
	unlink_locked(c);
	list_unlock(txn);
}

/* Its key, if it has one, stays. */
void place_forget_pages(struct daxkv_cursor *c)
{
	c->path.height = 0;
	c->verified = c->counted = c->run.leaf = 0;
}

/* cursor_free - of one that is in no list; safe on NULL. */
static void cursor_free(struct daxkv_cursor *c)
{
	if (!c)
		return;
	free(c->kept);
	free(c);
}

/* At the end of a transaction's handle. One that was reset still has cursors. */
void place_drop_closed(struct daxkv_txn *txn)
{
	place_end_all(txn);
	cursor_free(txn->closed);
	txn->closed = NULL;
}

/* Safe on NULL. Its transaction may have ended, or go on. */
void daxkv_cursor_close(struct daxkv_cursor *c)
{
	struct daxkv_txn *txn = NULL;

	if (c)
		txn = c->txn;
	if (txn) {
		struct daxkv_cursor *older;

		list_lock(txn);
		unlink_locked(c);
		older = txn->closed;
		txn->closed = c;
		list_unlock(txn);
		c = older;
	}
	cursor_free(c);
}

/* A read transaction's cursors outlive it, and can be renewed. */
void place_end_each(struct daxkv_txn *txn)
{
	while (txn->write && txn->cursors)
		daxkv_cursor_close(txn->cursors);
	list_lock(txn);
	while (txn->cursors) {
		txn->cursors->state = CURSOR_UNSET;
		unlink_locked(txn->cursors);
	}
	list_unlock(txn);
}

/* ---- keeping a place ------------------------------------------------------------------------- */

/* The bytes may lie in what is kept already: a cursor that moves a little. A larger buffer leaves
 * room, so that a scan of keys that get longer does not allocate at each. */
int place_keep(struct daxkv_cursor *c, const uint8_t *key, uint32_t klen, const uint8_t *dup,
               uint32_t dlen)
{
	if (klen + dlen >= c->kept_room) { /* also when both are 0, as damage has them */
		uint32_t room = 2 * (klen + dlen) + 64;
		uint8_t *more = malloc(room);

		if (!more)
			return err_set(ENOMEM, "no memory to keep a cursor's place");
		memcpy(more, key, klen);
		if (dlen)
			memcpy(more + klen, dup, dlen);
		free(c->kept);
		c->kept = more;
		c->kept_room = room;
	} else {
		memmove(c->kept, key, klen);
		if (dlen)
			memmove(c->kept + klen, dup, dlen);
	}
	assert(klen + dlen < c->kept_room);
	c->klen = klen;
	c->dlen = dlen;
	c->state = CURSOR_KEPT;
	return 0;
}

/* saved_entry - the entry that the cursor is AT. One that came there by a mark knows where in its
 * leaf it lies: of a cursor without marks, nothing else in them was ever written. CORRUPT. */
static int saved_entry(const struct daxkv_cursor *c, struct item *it)
{
	for (unsigned int i = 0; i < CURSOR_MARKS && !c->ordered; i++)
		if (place_at_mark(c, &c->mark[i]) && c->mark[i].eoff)
			return leaf_item(&c->path.leaf, c->mark[i].eoff, it);
	return place_entry(c, it);
}

/* place_save - known by its key from here on, wherever it is. */
static int place_save(struct daxkv_cursor *c)
{
	struct item it;
	int rc;

	if (c->state == CURSOR_AT && c->gap) /* its key is kept already: it came from there */
		c->state = CURSOR_KEPT;
	if (c->state == CURSOR_AT) {
		bool dups = dbi_state_known(c->txn, c->db)->order.dups;

		rc = saved_entry(c, &it);
		if (rc)
			return rc;
		rc = place_keep(c, it.key, it.klen, it.val, dups ? it.vlen : 0);
		if (rc)
			return rc;
	}
	place_forget_pages(c);
	return 0;
}

/* Before each change. Without cursors the caller does not come here. When one has no memory the
 * change is not made. */
int place_save_all(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_cursor *but)
{
	int rc = 0;

	for (struct daxkv_cursor *c = txn->cursors; c && !rc; c = c->next)
		if ((!db || c->db == db) && c != but)
			rc = place_save(c);
	return rc;
}

/* For a snapshot that was given up: no key can be believed. */
void place_lose_all(struct daxkv_txn *txn)
{
	for (struct daxkv_cursor *c = txn->cursors; c; c = c->next) {
		c->state = CURSOR_UNSET;
		place_forget_pages(c);
	}
}

/* For a database that is gone, or that another handle means now. */
void place_lose(struct daxkv_txn *txn, daxkv_db db)
{
	for (struct daxkv_cursor *c = txn->cursors; c; c = c->next)
		if (c->db == db) {
			c->state = CURSOR_UNSET;
			place_forget_pages(c);
		}
}
