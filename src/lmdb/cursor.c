/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor.c - cursors of parents and children, and changes through them. A handle's life is in
 * cursor_open.c, and where it goes in cursor_move.c.
 *
 * A deletion moves every cursor of the transaction that stands on what is gone: on to the next
 * value of the key, behind its last value, or on to the next key. The store's cursors would stay in
 * the gap. So a deletion is done in three steps: cursors_aim, the deletion, cursors_advance.
 *
 * A child transaction moves its parent's cursors, too, and its abort moves them back. It has
 * shadows of them, hidden cursors of its own. Where one has strayed when the child commits, the
 * parent's cursor follows.
 */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pair { /* where a cursor stands, copied */
	unsigned int state;
	size_t klen, dlen;
	uint8_t bytes[];
};

/* ---- parents and children -------------------------------------------------------------------- */

/* stands - whether the store's cursor tells where c is. */
static bool stands(const MDB_cursor *c)
{
	return (c->state & (CURSOR_SET | CURSOR_END)) == CURSOR_SET;
}

/* pair_under - a copy of what c stands on: the key, and with duplicates the value. Empty when it
 * stands on nothing. */
static int pair_under(MDB_cursor *c, struct pair **ret)
{
	bool dups = c->handle->flags & MDB_DUPSORT;
	MDB_val key = {0, NULL}, data = {0, NULL};
	struct pair *p;
	int rc = stands(c) ? cursor_store_get(c, &key, dups ? &data : NULL, DAXKV_GET_CURRENT) : 0;

	if (rc)
		return rc;
	p = malloc(sizeof *p + key.mv_size + data.mv_size);
	if (!p)
		return ENOMEM;
	*p = (struct pair){.state = c->state, .klen = key.mv_size, .dlen = data.mv_size};
	if (key.mv_size)
		memcpy(p->bytes, key.mv_data, key.mv_size);
	if (data.mv_size)
		memcpy(p->bytes + key.mv_size, data.mv_data, data.mv_size);
	*ret = p;
	return 0;
}

/* pair_seek - c goes where the pair was copied. */
static int pair_seek(MDB_cursor *c, struct pair *p)
{
	MDB_val key = {p->klen, p->bytes}, data = {p->dlen, p->bytes + p->klen};
	bool dups = c->handle->flags & MDB_DUPSORT;
	int rc = 0;

	if (p->klen)
		rc = cursor_store_get(c, &key, dups ? &data : NULL,
		                      dups ? DAXKV_SEEK_PAIR : DAXKV_SEEK);
	c->state = rc ? 0 : p->state & ~(unsigned int)CURSOR_ARRAY;
	return rc;
}

static void pairs_forget(MDB_txn *txn)
{
	for (MDB_cursor *c = txn->cursors; c; c = c->next) {
		free(c->pending);
		c->pending = NULL;
	}
}

int cursors_note(MDB_txn *parent)
{
	int rc = 0;

	for (MDB_cursor *c = parent->cursors; c && !rc; c = c->next)
		rc = pair_under(c, &c->pending);
	if (rc)
		pairs_forget(parent);
	return rc;
}

int cursors_shadow(MDB_txn *parent, MDB_txn *child)
{
	int rc = 0;

	for (MDB_cursor *c = parent->cursors; c && !rc; c = c->next) {
		MDB_cursor *shadow;

		rc = cursor_handle_new(child, c->dbi, c->handle, &shadow);
		if (rc)
			break;
		shadow->of = c;
		c->shadow = shadow;
		rc = pair_seek(shadow, c->pending);
	}
	pairs_forget(parent);
	return rc;
}

int cursors_end(MDB_txn *txn, bool keep)
{
	int rc = 0;

	cursor_spare_end(txn);
	while (txn->cursors) {
		MDB_cursor *c = txn->cursors;

		if (keep && !rc && c->of && c->strayed)
			rc = pair_under(c, &c->of->pending);
		if (txn->rdonly)
			cursor_handle_unlink(c);
		else
			cursor_handle_free(c);
	}
	return rc;
}

void cursors_forget(MDB_txn *txn)
{
	MDB_cursor *spare = txn->spare;

	txn->spare = NULL;
	while (txn->cursors) {
		MDB_cursor *c = txn->cursors;

		txn->cursors = c->next;
		c->link = NULL;
		c->txn = NULL;
		if (txn->rdonly)
			continue;
		free(c->page);
		cursor_handle_rest(c);
	}
	if (spare)
		free(spare->page);
	free(spare);
}

int cursors_resume(MDB_txn *parent, bool done)
{
	int rc = 0;

	for (MDB_cursor *c = parent->cursors; c && done; c = c->next) {
		if (!c->pending)
			continue;
		int moved = pair_seek(c, c->pending);

		c->strayed = true;
		rc = rc ? rc : moved;
	}
	pairs_forget(parent);
	return rc;
}

void cursors_lose(MDB_txn *txn, MDB_dbi dbi)
{
	for (MDB_cursor *c = txn->cursors; c; c = c->next) {
		if (c->dbi != dbi && dbi != MAIN_DBI)
			continue;
		c->state &= CURSOR_MOVED;
		c->strayed = true;
	}
}

/* ---- deletions ------------------------------------------------------------------------------- */

int cursors_aim(MDB_txn *txn, const struct handle *handle, const MDB_cursor *own,
                const MDB_val *key, const MDB_val *data)
{
	bool pair = data && handle->flags & MDB_DUPSORT;

	for (MDB_cursor *c = txn->cursors; c; c = c->next) {
		MDB_val k, v;
		int rc;

		c->hit = c == own;
		if (c->handle != handle || c->hit || !stands(c))
			continue;
		rc = cursor_store_get(c, &k, pair ? &v : NULL, DAXKV_GET_CURRENT);
		if (rc)
			return rc;
		c->hit = compare_keys(handle, key, &k) == 0 &&
		         (!pair || compare_dups(handle, data, &v) == 0);
	}
	return 0;
}

/* advance_dup - the key has other values: on to the next one, or behind the last. MDB_NOTFOUND: it
 * has none. */
static int advance_dup(MDB_cursor *c)
{
	unsigned int state = c->state;
	int rc = MDB_NOTFOUND;

	if (!(state & CURSOR_DUP_END)) {
		rc = cursor_store_get(c, NULL, NULL, DAXKV_NEXT_DUP);
		if (!rc)
			c->state |= state & CURSOR_DUP_NONE ? 0 : CURSOR_DUP_MOVED;
	}
	if (rc == MDB_NOTFOUND) {
		rc = cursor_store_get(c, NULL, NULL, DAXKV_PREV_DUP);
		if (!rc && !(state & (CURSOR_DUP_NONE | CURSOR_DUP_END)))
			c->state |= CURSOR_DUP_END | CURSOR_DUP_MOVED | CURSOR_DUP_EOF;
	}
	return rc;
}

/* advance_key - on to the next key, before its first value, or behind all keys. */
static int advance_key(MDB_cursor *c)
{
	unsigned int eof = c->state & CURSOR_EOF;
	bool several;
	int rc = cursor_store_get(c, NULL, NULL, DAXKV_GET_CURRENT);

	c->met_end = eof;
	c->state = CURSOR_SET | CURSOR_MOVED | (rc ? CURSOR_END | CURSOR_EOF : eof);
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	rc = cursor_several(c, &several);
	if (!rc && several)
		c->state |= CURSOR_DUP_MOVED;
	return rc;
}

/* unset_if_empty - in an empty database no cursor has a place. But those that another one's
 * deletion has moved there remember that, as LMDB's do. */
static int unset_if_empty(MDB_txn *txn, const struct handle *handle, const MDB_cursor *own)
{
	struct daxkv_db_stat stat;
	int rc = daxkv_db_stat(txn->inner, handle->db, &stat);

	if (rc || stat.entries)
		return txn_result(txn, rc);
	for (MDB_cursor *c = txn->cursors; c; c = c->next) {
		if (c->handle != handle)
			continue;
		bool eof = c->hit ? c->met_end : c->state & CURSOR_EOF;

		c->state = eof ? CURSOR_EOF : 0; /* which means something again behind a put */
		c->state |= c->hit && c != own ? CURSOR_MOVED : 0;
		c->strayed = true;
	}
	return 0;
}

int cursors_advance(MDB_txn *txn, const struct handle *handle, const MDB_cursor *own)
{
	bool ends = false;
	int rc = 0;

	for (MDB_cursor *c = txn->cursors; c && !rc; c = c->next) {
		if (c->handle == handle && c->hit) {
			c->strayed = true;
			c->state &= ~(unsigned int)CURSOR_ARRAY;
			rc = handle->flags & MDB_DUPSORT ? advance_dup(c) : MDB_NOTFOUND;
			if (rc == MDB_NOTFOUND)
				rc = advance_key(c);
		}
		ends |= c->handle == handle && c->state & CURSOR_END;
	}
	return rc || !ends ? rc : unset_if_empty(txn, handle, own);
}

/* ---- changes through a cursor ---------------------------------------------------------------- */

static int changeable(MDB_cursor *c)
{
	if (!c->txn || c->rdonly)
		return EACCES;
	if (c->txn->state)
		return MDB_BAD_TXN;
	return c->handle->used ? 0 : EINVAL;
}

/* at_item - whether the cursor is on an entry that can be replaced or deleted. */
static int at_item(const MDB_cursor *c)
{
	if (!(c->state & CURSOR_SET) || c->state & CURSOR_DUP_NONE)
		return EINVAL;
	return c->state & (CURSOR_END | CURSOR_DUP_END) ? MDB_NOTFOUND : 0;
}

/* put_reserve - with duplicates: where the value will be is known, but not by its bytes. */
static int put_reserve(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags)
{
	MDB_val k = *key;
	int rc = put_ordered(c->txn, c->handle, key, data, flags);

	if (rc)
		return rc;
	rc = daxkv_cursor_get(c->inner, val_of(&k), NULL, DAXKV_SEEK_GE);
	return rc;
}

/* put - daxkv_cursor_put, with the program's order at hand. Flags that it does not know are
 * ignored, as LMDB does here. */
static int put(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags)
{
	bool first = flags & MDB_RESERVE && c->handle->flags & MDB_DUPSORT;
	int rc;

	if (UNLIKELY(c->txn->env->no_room))
		return DAXKV_FULL;
	flags &= PUT_FLAGS | MDB_CURRENT;
	if (UNLIKELY(first)) {
		MDB_val k = *key, found;

		flags &= ~(unsigned int)MDB_RESERVE;
		rc = daxkv_get(c->txn->inner, c->handle->db, val_of(&k), val_of(&found));
		if (rc == DAXKV_NOT_FOUND && !(flags & MDB_CURRENT))
			return put_reserve(c, key, data, flags | MDB_RESERVE);
		if (rc == DAXKV_CORRUPT)
			return rc;
	}
	rc = daxkv_cursor_put(c->inner, val_of(key), val_of(data), flags);
	if (UNLIKELY(rc == DAXKV_NEED_COMPARE) && !compare_provide(c->txn->inner, c->handle))
		rc = daxkv_cursor_put(c->inner, val_of(key), val_of(data), flags);
	if (UNLIKELY(rc == DAXKV_VALUE_SIZE) && !(rc = compare_widen(c->txn, c->handle, data)))
		rc = daxkv_cursor_put(c->inner, val_of(key), val_of(data), flags);
	return rc;
}

/* follow - the cursors that cursors_aim has found go where c is. */
static int follow(MDB_cursor *c)
{
	bool dups = c->handle->flags & MDB_DUPSORT;
	MDB_val key, data;
	int rc = cursor_store_get(c, &key, dups ? &data : NULL, DAXKV_GET_CURRENT);

	for (MDB_cursor *m = c->txn->cursors; m && !rc; m = m->next) {
		MDB_val k = key, v = data;

		if (!m->hit || m->handle != c->handle || m == c)
			continue;
		m->strayed = true;
		rc = cursor_store_get(m, &k, dups ? &v : NULL, dups ? DAXKV_SEEK_PAIR : DAXKV_SEEK);
	}
	return rc;
}

/* put_current - MDB_CURRENT: another value in the place of the one under the cursor. As in LMDB the
 * key is looked at only where the value has another size and is the key's only one: then the new
 * key takes the place, too. */
static int put_current(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags)
{
	bool dups = c->handle->flags & MDB_DUPSORT, several, renamed;
	MDB_val k, old;
	int rc = at_item(c);

	if (!rc)
		rc = cursor_several(c, &several);
	if (!rc)
		rc = cursor_store_get(c, &k, &old, DAXKV_GET_CURRENT);
	if (!rc)
		rc = cursors_aim(c->txn, c->handle, c, &k, dups ? &old : NULL);
	if (rc)
		return rc;
	renamed = !several && old.mv_size != data->mv_size && compare_keys(c->handle, key, &k) != 0;
	if (renamed) {
		rc = daxkv_cursor_del(c->inner, 0);
		if (!rc)
			rc = put(c, key, data, flags & ~(unsigned int)MDB_CURRENT);
	} else {
		rc = put(c, NULL, data, flags);
	}
	if (rc)
		return txn_result(c->txn, rc);
	c->strayed = true;
	c->state &= ~(unsigned int)(CURSOR_MOVED | CURSOR_DUP_MOVED);
	return c->txn->cursors->next ? follow(c) : 0;
}

/* put_refused - MDB_KEYEXIST: the cursor is on what exists. */
static int put_refused(MDB_cursor *c, const MDB_val *key, unsigned int flags)
{
	unsigned int moved = c->state & CURSOR_MOVED;
	MDB_val k = *key;
	int rc;

	c->strayed = true;
	if (flags & MDB_APPEND) {
		rc = cursor_last(c, NULL, NULL);
		c->state |= rc ? 0 : moved;
	} else if (flags & MDB_APPENDDUP) {
		rc = cursor_store_get(c, &k, NULL, DAXKV_SEEK_GE);
		if (!rc)
			rc = cursor_store_get(c, NULL, NULL, DAXKV_LAST_DUP);
		c->state = rc ? 0 : CURSOR_SET | CURSOR_DUP_EOF;
	} else {
		rc = 0;
		c->state = CURSOR_SET | (flags & MDB_NOOVERWRITE ? moved : 0);
	}
	return rc ? rc : MDB_KEYEXIST;
}

int layer_cursor_put(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags)
{
	bool eof = false;
	int rc = 0;

	if (flags & MDB_CURRENT)
		return put_current(c, key, data, flags);
	if (UNLIKELY(c->state & CURSOR_EOF) && !(flags & MDB_APPEND))
		rc = cursor_keeps_eof(c, key, &eof);
	if (!rc)
		rc = put(c, key, data, flags);
	if (rc == DAXKV_EXIST)
		return put_refused(c, key, flags);
	if (rc)
		return txn_result(c->txn, rc);
	c->strayed = true;
	c->state = CURSOR_SET;
	if (eof || flags & MDB_APPEND)
		c->state |= CURSOR_EOF;
	if (flags & (MDB_APPEND | MDB_APPENDDUP))
		c->state |= CURSOR_DUP_EOF;
	return 0;
}

int mdb_cursor_put(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags)
{
	int rc;

	if (!c || !key || !data || !c->handle)
		return EINVAL;
	if (flags & MDB_MULTIPLE && !(c->handle->flags & MDB_DUPFIXED)) {
		data[1].mv_size = 0;
		return MDB_INCOMPATIBLE;
	}
	rc = changeable(c);
	if (!rc && put_too_long(c->txn->env, c->handle, key, data))
		rc = MDB_BAD_VALSIZE;
	if (!rc)
		rc = compare_adopt(c->txn, c->handle);
	if (rc)
		return rc;
	c->state &= ~(unsigned int)CURSOR_ARRAY;
	if (flags & MDB_APPENDDUP) /* mdb_load says CURRENT | APPENDDUP for one more value of the
	                              current key */
		flags &= ~(unsigned int)MDB_CURRENT;
	rc = flags & MDB_MULTIPLE ? multiple_put(c, key, data, flags)
	                          : layer_cursor_put(c, key, data, flags);
	c->txn->changed |= !rc || put_counts(rc, flags);
	return rc;
}

int mdb_cursor_del(MDB_cursor *c, unsigned int flags)
{
	MDB_val key, data;
	bool all, alone;
	int rc;

	if (!c)
		return EINVAL;
	rc = changeable(c);
	if (rc)
		return rc;
	all = flags & MDB_NODUPDATA || !(c->handle->flags & MDB_DUPSORT);
	if (all && c->state & CURSOR_SET)
		rc = c->state & CURSOR_END ? MDB_NOTFOUND : 0;
	else
		rc = at_item(c);
	if (!rc)
		rc = compare_adopt(c->txn, c->handle);
	if (rc)
		return rc;
	c->hit = true;
	alone = !c->txn->cursors->next;
	if (!alone) {
		rc = cursor_store_get(c, &key, all ? NULL : &data, DAXKV_GET_CURRENT);
		if (!rc)
			rc = cursors_aim(c->txn, c->handle, c, &key, all ? NULL : &data);
		if (rc)
			return rc;
	}
	rc = txn_result(c->txn, daxkv_cursor_del(c->inner, flags & MDB_NODUPDATA));
	if (rc)
		return rc;
	c->txn->changed = true;
	return cursors_advance(c->txn, c->handle, c);
}
