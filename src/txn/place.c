/* SPDX-License-Identifier: BSD-3-Clause */
/* place.c - cursors keep their place. See place.h */
#include "txn/place.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

void place_link(struct daxkv_cursor *c, struct daxkv_txn *txn)
{
	c->txn = txn;
	c->next = txn->cursors;
	c->link = &txn->cursors;
	if (c->next)
		c->next->link = &c->next;
	txn->cursors = c;
}

void place_unlink(struct daxkv_cursor *c)
{
	if (!c->txn)
		return;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->txn = NULL;
}

void place_forget_pages(struct daxkv_cursor *c)
{
	c->path.height = 0;
	c->verified = c->counted = 0;
}

void daxkv_cursor_close(struct daxkv_cursor *c)
{
	if (!c)
		return;
	place_unlink(c);
	free(c->kept);
	free(c);
}

void place_end_all(struct daxkv_txn *txn)
{
	while (txn->cursors) {
		struct daxkv_cursor *c = txn->cursors;

		if (txn->write) {
			daxkv_cursor_close(c);
		} else {
			place_unlink(c);
			c->state = CURSOR_UNSET;
		}
	}
}

/* ---- keeping a place ------------------------------------------------------------------------- */

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
	c->klen = klen;
	c->dlen = dlen;
	c->state = CURSOR_KEPT;
	return 0;
}

static int place_save(struct daxkv_cursor *c)
{
	struct item it;
	int rc;

	if (c->state == CURSOR_AT && c->gap) /* its key is kept already: it came from there */
		c->state = CURSOR_KEPT;
	if (c->state == CURSOR_AT) {
		rc = place_entry(c, &it);
		if (!rc)
			rc = place_keep(c, it.key, it.klen, it.val,
			                dbi_state_known(c->txn, c->db)->order.dups ? it.vlen : 0);
		if (rc)
			return rc;
	}
	place_forget_pages(c);
	return 0;
}

int place_save_all(struct daxkv_txn *txn, daxkv_db db)
{
	int rc = 0;

	for (struct daxkv_cursor *c = txn->cursors; c && !rc; c = c->next)
		if (!db || c->db == db)
			rc = place_save(c);
	return rc;
}

void place_lose_all(struct daxkv_txn *txn)
{
	for (struct daxkv_cursor *c = txn->cursors; c; c = c->next) {
		c->state = CURSOR_UNSET;
		place_forget_pages(c);
	}
}

void place_lose(struct daxkv_txn *txn, daxkv_db db)
{
	for (struct daxkv_cursor *c = txn->cursors; c; c = c->next)
		if (c->db == db) {
			c->state = CURSOR_UNSET;
			place_forget_pages(c);
		}
}
