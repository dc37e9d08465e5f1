/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor.c - cursors. The store's cursor keeps the position; the layer knows what LMDB's one does beside it: a failed search leaves it near
 * the key, or behind the last record; it is lost when its database is emptied.
 */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

static void cursor_link(MDB_cursor *c, MDB_txn *txn)
{
	c->txn = txn;
	c->rdonly = txn->rdonly;
	c->place = PLACE_UNSET;
	c->chunk = 0;
	c->next = txn->cursors;
	c->link = &txn->cursors;
	if (c->next)
		c->next->link = &c->next;
	txn->cursors = c;
}

static void cursor_unlink(MDB_cursor *c)
{
	if (!c->link)
		return;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->link = NULL;
	c->txn = NULL;
}

static int store_cursor_open(MDB_txn *txn, struct slot *slot, struct daxkv_cursor **kv)
{
	int rc = daxkv_cursor_open(txn->kv, slot->db, kv);

	if (rc == DAXKV_NEED_COMPARE && !compare_provide(txn->kv, slot))
		rc = daxkv_cursor_open(txn->kv, slot->db, kv);
	return rc;
}

int mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **ret)
{
	struct slot *slot = slot_of(txn, dbi);
	MDB_cursor *c;
	int rc = 0;

	if (!ret || !slot)
		return EINVAL;
	if (txn->state)
		return MDB_BAD_TXN;
	if (dbi == FREE_DBI && !txn->rdonly)
		return EINVAL;
	c = calloc(1, sizeof *c);
	if (!c)
		return ENOMEM;
	c->dbi = dbi;
	c->slot = slot;
	if (dbi != FREE_DBI)
		rc = store_cursor_open(txn, slot, &c->kv);
	if (rc) {
		free(c);
		return err_of(rc);
	}
	cursor_link(c, txn);
	*ret = c;
	return 0;
}

static void cursor_free(MDB_cursor *c)
{
	cursor_unlink(c);
	daxkv_cursor_close(c->kv);
	free(c->page);
	free(c);
}

void mdb_cursor_close(MDB_cursor *c)
{
	if (c)
		cursor_free(c);
}

int mdb_cursor_renew(MDB_txn *txn, MDB_cursor *c)
{
	struct slot *slot;
	int rc = 0;

	if (!c || !(slot = slot_of(txn, c->dbi)) || !txn->rdonly || !c->rdonly)
		return EINVAL;
	if (txn->state)
		return MDB_BAD_TXN;
	if (c->kv)
		rc = daxkv_cursor_renew(txn->kv, c->kv);
	if (rc == DAXKV_NEED_COMPARE && !compare_provide(txn->kv, slot))
		rc = daxkv_cursor_renew(txn->kv, c->kv);
	if (rc)
		return err_of(rc);
	cursor_unlink(c);
	cursor_link(c, txn);
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

void cursors_end(MDB_txn *txn)
{
	while (txn->cursors) {
		MDB_cursor *c = txn->cursors;

		if (txn->rdonly)
			cursor_unlink(c);
		else
			cursor_free(c);
	}
}

void cursors_lose(MDB_txn *txn, MDB_dbi dbi)
{
	for (MDB_cursor *c = txn->cursors; c; c = c->next)
		if (c->dbi == dbi || dbi == MAIN_DBI)
			c->place = PLACE_UNSET;
}

/* ---- reading -------------------------------------------------------------------------------------------------------------- */

int cursor_store_get(MDB_cursor *c, MDB_val *key, MDB_val *data, enum daxkv_cursor_op op)
{
	int rc = daxkv_cursor_get(c->kv, val_of(key), val_of(data), op);

	if (UNLIKELY(rc == DAXKV_NEED_COMPARE) && !compare_provide(c->txn->kv, c->slot))
		rc = daxkv_cursor_get(c->kv, val_of(key), val_of(data), op);
	return rc;
}

/* step - the moves from where the cursor is. first: what an unpositioned cursor does. */
static int step(MDB_cursor *c, MDB_val *key, MDB_val *data, enum daxkv_cursor_op op, enum daxkv_cursor_op first)
{
	int rc;

	if (UNLIKELY(c->place != PLACE_SET)) {
		if (c->place == PLACE_END && first == DAXKV_FIRST)
			return MDB_NOTFOUND;
		op = first;
	}
	rc = cursor_store_get(c, key, data, op);
	if (UNLIKELY(rc))
		return err_of(rc);
	c->place = PLACE_SET;
	return 0;
}

/* seek_long - to the place of a key that is longer than any in the database can be: what compares above the part of it that could be one.
 */
static int seek_long(MDB_cursor *c, const struct slot *slot, const MDB_val *key, MDB_val *found, MDB_val *data)
{
	size_t max = daxkv_max_key_size(c->txn->env->kv), cut = key->mv_size - max;
	MDB_val part = {max, key->mv_data};
	int rc;

	if (slot->cmp || slot->flags & MDB_INTEGERKEY)
		return DAXKV_KEY_SIZE;
	if (slot->flags & MDB_REVERSEKEY)
		part.mv_data = (char *)key->mv_data + cut;
	*found = part;
	rc = cursor_store_get(c, found, data, DAXKV_SEEK_GE);
	if (!rc && found->mv_size == max && memcmp(found->mv_data, part.mv_data, max) == 0)
		rc = cursor_store_get(c, found, data, DAXKV_NEXT_KEY);
	return rc;
}

/* seek_range - to the first record at or after key, which is left alone: *found has it. */
static int seek_range(MDB_cursor *c, const struct slot *slot, const MDB_val *key, MDB_val *found, MDB_val *data)
{
	int rc;

	*found = *key;
	if (key->mv_size > daxkv_max_key_size(c->txn->env->kv))
		rc = seek_long(c, slot, key, found, data);
	else
		rc = cursor_store_get(c, found, data, DAXKV_SEEK_GE);
	if (!rc)
		c->place = PLACE_SET;
	else if (rc == DAXKV_NOTFOUND)
		c->place = PLACE_END;
	return err_of(rc);
}

/* seek_key - exactly to key: where there is none the cursor is on what follows. */
static int seek_key(MDB_cursor *c, const struct slot *slot, MDB_val *key, MDB_val *data, bool show)
{
	MDB_val found, value;
	int rc = seek_range(c, slot, key, &found, data ? &value : NULL);

	if (rc)
		return rc;
	bool same = slot->cmp ? compare_keys(slot, key, &found) == 0
	                      : key->mv_size == found.mv_size && memcmp(key->mv_data, found.mv_data, key->mv_size) == 0;

	if (!same)
		return MDB_NOTFOUND;
	if (data)
		*data = value;
	if (show)
		*key = found;
	return 0;
}

static int seek_pair(MDB_cursor *c, const struct slot *slot, const MDB_val *key, MDB_val *data, enum daxkv_cursor_op op)
{
	MDB_val k = *key;
	int rc;

	if (!(slot->flags & MDB_DUPSORT))
		return MDB_INCOMPATIBLE;
	if (key->mv_size > daxkv_max_key_size(c->txn->env->kv))
		return MDB_NOTFOUND;
	rc = cursor_store_get(c, &k, data, op);
	c->place = rc ? PLACE_UNSET : PLACE_SET;
	return err_of(rc);
}

/* among_dups - FIRST_DUP and LAST_DUP. */
static int among_dups(MDB_cursor *c, const struct slot *slot, MDB_val *key, MDB_val *data, enum daxkv_cursor_op op)
{
	if (!data || c->place == PLACE_UNSET)
		return EINVAL;
	if (!(slot->flags & MDB_DUPSORT))
		return MDB_INCOMPATIBLE;
	return c->place == PLACE_END ? MDB_NOTFOUND : err_of(cursor_store_get(c, key, data, op));
}

static int edge(MDB_cursor *c, MDB_val *key, MDB_val *data, enum daxkv_cursor_op op)
{
	int rc = cursor_store_get(c, key, data, op);

	c->place = rc ? PLACE_UNSET : PLACE_SET;
	return err_of(rc);
}

/* nothing - there is no record where the cursor is: in an empty database it is nowhere, EINVAL; else behind the last one. */
static int nothing(MDB_cursor *c)
{
	struct daxkv_stat stat;

	if (c->place != PLACE_UNSET && daxkv_db_stat(c->txn->kv, c->slot->db, &stat) == 0 && stat.entries == 0)
		c->place = PLACE_UNSET;
	return c->place == PLACE_UNSET ? EINVAL : MDB_NOTFOUND;
}

/* placed - whether the cursor is on a record. */
static int placed(MDB_cursor *c)
{
	return LIKELY(c->place == PLACE_SET) ? 0 : nothing(c);
}

static int current(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	int rc = placed(c);

	if (!rc)
		rc = err_of(cursor_store_get(c, key, data, DAXKV_GET_CURRENT));
	return rc == MDB_NOTFOUND ? nothing(c) : rc;
}

static int search(MDB_cursor *c, const struct slot *slot, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	MDB_val found;
	int rc;

	if (!key || (!data && (op == MDB_GET_BOTH || op == MDB_GET_BOTH_RANGE)))
		return EINVAL;
	if (key->mv_size == 0)
		return MDB_BAD_VALSIZE;
	switch (op) {
	case MDB_GET_BOTH:
		return seek_pair(c, slot, key, data, DAXKV_SEEK_PAIR);
	case MDB_GET_BOTH_RANGE:
		return seek_pair(c, slot, key, data, DAXKV_SEEK_PAIR_GE);
	case MDB_SET_RANGE:
		rc = seek_range(c, slot, key, &found, data);
		if (!rc)
			*key = found;
		return rc;
	default:
		return seek_key(c, slot, key, data, op == MDB_SET_KEY);
	}
}

/* free_list_get - the free list shows no records. */
static int free_list_get(MDB_cursor_op op)
{
	return op == MDB_GET_CURRENT ? EINVAL : (unsigned int)op <= MDB_PREV_MULTIPLE ? MDB_NOTFOUND : EINVAL;
}

static int get(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	const struct slot *slot = c->slot;
	bool dups = slot->flags & MDB_DUPSORT;

	switch (op) {
	case MDB_FIRST:
		return edge(c, key, data, DAXKV_FIRST);
	case MDB_LAST:
		return edge(c, key, data, DAXKV_LAST);
	case MDB_NEXT:
		return step(c, key, data, DAXKV_NEXT, DAXKV_FIRST);
	case MDB_NEXT_DUP:
		return step(c, key, data, dups ? DAXKV_NEXT_DUP : DAXKV_NEXT, DAXKV_FIRST);
	case MDB_NEXT_NODUP:
		return step(c, key, data, DAXKV_NEXT_KEY, DAXKV_FIRST);
	case MDB_PREV:
		return step(c, key, data, DAXKV_PREV, DAXKV_LAST);
	case MDB_PREV_DUP:
		return step(c, key, data, dups ? DAXKV_PREV_DUP : DAXKV_PREV, DAXKV_LAST);
	case MDB_PREV_NODUP:
		return step(c, key, data, DAXKV_PREV_KEY, DAXKV_LAST);
	case MDB_FIRST_DUP:
		return among_dups(c, slot, key, data, DAXKV_FIRST_DUP);
	case MDB_LAST_DUP:
		return among_dups(c, slot, key, data, DAXKV_LAST_DUP);
	case MDB_GET_CURRENT:
		return current(c, key, data);
	case MDB_SET:
	case MDB_SET_KEY:
	case MDB_SET_RANGE:
	case MDB_GET_BOTH:
	case MDB_GET_BOTH_RANGE:
		return search(c, slot, key, data, op);
	default:
		return EINVAL;
	}
}

/* stepped - the step of a scan, by the shortest way. When it fails the cursor has not moved, and the long way says why. */
static inline bool stepped(MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	if (UNLIKELY(c->place != PLACE_SET || !c->slot->used))
		return false;
	c->chunk = 0;
	return LIKELY(daxkv_cursor_get(c->kv, val_of(key), val_of(data), DAXKV_NEXT) == 0);
}

int mdb_cursor_get(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	if (UNLIKELY(!c))
		return EINVAL;
	if (UNLIKELY(!c->txn || c->txn->state))
		return MDB_BAD_TXN;
	if (op == MDB_NEXT && stepped(c, key, data))
		return 0;
	if (UNLIKELY(!c->kv))
		return free_list_get(op);
	if (UNLIKELY(!c->slot->used))
		return EINVAL;
	if (op == MDB_GET_MULTIPLE || op == MDB_NEXT_MULTIPLE || op == MDB_PREV_MULTIPLE)
		return multiple_get(c, key, data, op);
	c->chunk = 0;
	return get(c, key, data, op);
}

int mdb_cursor_count(MDB_cursor *c, size_t *count)
{
	uint64_t n = 0;
	int rc;

	if (!c || !count)
		return EINVAL;
	if (!c->txn || c->txn->state)
		return MDB_BAD_TXN;
	if (!c->kv || !(c->slot->flags & MDB_DUPSORT))
		return MDB_INCOMPATIBLE;
	rc = placed(c);
	if (rc)
		return rc;
	rc = daxkv_cursor_count(c->kv, &n);
	if (!rc)
		*count = (size_t)n;
	return err_of(rc);
}

/* ---- changing ------------------------------------------------------------------------------------------------------------- */

static int changeable(MDB_cursor *c)
{
	if (!c->txn || c->rdonly)
		return EACCES;
	if (c->txn->state)
		return MDB_BAD_TXN;
	c->txn->changed = true;
	return c->slot->used ? 0 : EINVAL;
}

static int put(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags)
{
	int rc = daxkv_cursor_put(c->kv, val_of(key), val_of(data), flags);

	if (UNLIKELY(rc == DAXKV_NEED_COMPARE) && !compare_provide(c->txn->kv, c->slot))
		rc = daxkv_cursor_put(c->kv, val_of(key), val_of(data), flags);
	if (!rc || (rc == DAXKV_EXIST && !(flags & (MDB_APPEND | MDB_APPENDDUP))))
		c->place = PLACE_SET;
	return txn_result(c->txn, rc);
}

int mdb_cursor_put(MDB_cursor *c, MDB_val *key, MDB_val *data, unsigned int flags)
{
	int rc;

	if (!c || !key || !data || !c->kv)
		return EINVAL;
	if (flags & MDB_MULTIPLE) {
		if (c->txn && !(c->slot->flags & MDB_DUPFIXED))
			return MDB_INCOMPATIBLE;
	}
	rc = changeable(c);
	if (rc)
		return rc;
	c->chunk = 0;
	if (flags & MDB_APPENDDUP) /* mdb_load says CURRENT | APPENDDUP for one more value of the current key */
		flags &= ~(unsigned int)MDB_CURRENT;
	if (flags & MDB_CURRENT)
		rc = placed(c);
	if (!rc)
		rc = compare_adopt(c->txn, c->slot);
	if (rc)
		return rc;
	return flags & MDB_MULTIPLE ? multiple_put(c, key, data, flags) : put(c, key, data, flags);
}

int mdb_cursor_del(MDB_cursor *c, unsigned int flags)
{
	int rc;

	if (!c)
		return EINVAL;
	rc = changeable(c);
	if (!rc)
		rc = placed(c);
	if (!rc)
		rc = compare_adopt(c->txn, c->slot);
	c->chunk = 0;
	if (!rc)
		rc = txn_result(c->txn, daxkv_cursor_del(c->kv, flags & MDB_NODUPDATA));
	return rc == MDB_NOTFOUND ? nothing(c) : rc;
}
