/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor.c - a position in one database. See daxkv.h
 *
 *   UNSET    nowhere
 *   AT       on the entry of rank path.rank in path.leaf; with gap: before it, because the entry it stood on is gone
 *   KEPT     known by key (and duplicate) only: its own transaction was about to change something, or gave its snapshot up
 *
 * KEPT becomes AT at the next use by searching the key: found, or the gap where it was.
 */
#include "kv.h"

#include "err.h"

#include <errno.h>
#include <stdlib.h>

enum cursor_state { CURSOR_UNSET, CURSOR_AT, CURSOR_KEPT };

struct daxkv_cursor {
	struct daxkv_txn *txn;
	struct daxkv_cursor *next, **link; /* the transaction's list */
	daxkv_db db;
	enum cursor_state state;
	bool gap;
	bool ordered;      /* order[] is that of path.leaf */
	uint32_t n;        /* live entries of path.leaf, when ordered */
	struct path path;
	uint8_t *kept;     /* key and duplicate */
	uint32_t klen, dlen, kept_room;
	uint16_t order[];  /* entries of the leaf: LEAF_MAX */
};

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

static void cursor_link(struct daxkv_cursor *c, struct daxkv_txn *txn)
{
	c->txn = txn;
	c->next = txn->cursors;
	c->link = &txn->cursors;
	if (c->next)
		c->next->link = &c->next;
	txn->cursors = c;
}

static void cursor_unlink(struct daxkv_cursor *c)
{
	if (!c->txn)
		return;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->txn = NULL;
}

int daxkv_cursor_open(struct daxkv_txn *txn, daxkv_db db, struct daxkv_cursor **cursor)
{
	struct dbstate *s;
	struct daxkv_cursor *c;
	int rc = txn_check(txn, false);

	if (!rc)
		rc = dbi_state(txn, db, &s);
	if (rc)
		return rc;
	c = calloc(1, sizeof *c + LEAF_MAX(txn->kv->page_size) * sizeof c->order[0]);
	if (!c)
		return err_set(ENOMEM, "no memory for a cursor");
	c->db = db;
	cursor_link(c, txn);
	*cursor = c;
	return 0;
}

int daxkv_cursor_renew(struct daxkv_txn *txn, struct daxkv_cursor *c)
{
	struct dbstate *s;
	int rc = txn_check(txn, false);

	if (!rc && (!c || txn->write || (c->txn && c->txn->write)))
		rc = err_set(EINVAL, "only a read transaction's cursor can be renewed");
	if (!rc)
		rc = dbi_state(txn, c->db, &s);
	if (rc)
		return rc;
	cursor_unlink(c);
	c->state = CURSOR_UNSET;
	cursor_link(c, txn);
	return 0;
}

void daxkv_cursor_close(struct daxkv_cursor *c)
{
	if (!c)
		return;
	cursor_unlink(c);
	free(c->kept);
	free(c);
}

struct daxkv_txn *daxkv_cursor_txn(const struct daxkv_cursor *c)
{
	return c->txn;
}

daxkv_db daxkv_cursor_db(const struct daxkv_cursor *c)
{
	return c->db;
}

void cursor_end_all(struct daxkv_txn *txn)
{
	while (txn->cursors) {
		struct daxkv_cursor *c = txn->cursors;

		if (txn->write) {
			daxkv_cursor_close(c);
		} else {
			cursor_unlink(c);
			c->state = CURSOR_UNSET;
		}
	}
}

/* ---- keeping a place ------------------------------------------------------------------------------------------------------ */

static int keep_bytes(struct daxkv_cursor *c, const uint8_t *key, uint32_t klen, const uint8_t *dup, uint32_t dlen)
{
	if (klen + dlen > c->kept_room) {
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

static int entry_at(struct daxkv_cursor *c, struct item *it)
{
	uint32_t eoff;
	int rc = 0;

	if (c->ordered)
		eoff = c->order[c->path.rank];
	else
		rc = leaf_at(&c->path.leaf, c->path.rank, &eoff);
	return rc ? rc : leaf_item(&c->path.leaf, eoff, it);
}

static uint32_t live(struct daxkv_cursor *c)
{
	return c->ordered ? c->n : c->path.height ? leaf_count(&c->path.leaf) : 0;
}

static int cursor_save(struct daxkv_cursor *c)
{
	struct item it;
	int rc;

	if (c->state != CURSOR_AT)
		return 0;
	if (c->gap) /* its key is kept already: it came from there */
		return c->state = CURSOR_KEPT, 0;
	rc = entry_at(c, &it);
	if (rc)
		return rc;
	return keep_bytes(c, it.key, it.klen, it.val, c->txn->db[c->db].order.dups ? it.vlen : 0);
}

int cursor_save_all(struct daxkv_txn *txn, daxkv_db db)
{
	int rc = 0;

	for (struct daxkv_cursor *c = txn->cursors; c && !rc; c = c->next)
		if (!db || c->db == db)
			rc = cursor_save(c);
	return rc;
}

/* ---- moving --------------------------------------------------------------------------------------------------------------- */

static void arrive(struct daxkv_cursor *c)
{
	c->state = CURSOR_AT;
	c->gap = false;
	c->ordered = false;
}

/* forward_to_entry - path.rank may lie behind the leaf's last entry: go on to the next leaf that has one. NOTFOUND at the end: the path is
 * there. */
static int forward_to_entry(struct daxkv_cursor *c, const struct tree *t)
{
	bool moved = true;

	while (c->path.rank >= live(c)) {
		int rc = c->path.height ? tree_step(t, &c->path, true, &moved) : DAXKV_NOTFOUND;

		if (rc || !moved)
			return rc ? rc : DAXKV_NOTFOUND;
		c->ordered = false;
	}
	return 0;
}

/* back_to_entry - to the entry before path.rank. NOTFOUND when there is none. */
static int back_to_entry(struct daxkv_cursor *c, const struct tree *t)
{
	bool moved = true;

	if (!c->path.height)
		return DAXKV_NOTFOUND;
	while (c->path.rank == 0) {
		int rc = tree_step(t, &c->path, false, &moved);

		if (rc || !moved)
			return rc ? rc : DAXKV_NOTFOUND;
		c->ordered = false;
		c->path.rank = live(c);
	}
	c->path.rank--;
	return 0;
}

static int seek(struct daxkv_cursor *c, const struct tree *t, const struct probe *p)
{
	c->ordered = false;
	return tree_seek(t, p, &c->path);
}

/* restore - KEPT becomes AT. */
static int restore(struct daxkv_cursor *c, const struct tree *t)
{
	struct probe p = {.key = c->kept, .klen = c->klen};
	int rc;

	if (c->state != CURSOR_KEPT)
		return 0;
	p.dup = c->kept + c->klen;
	p.dlen = c->dlen;
	rc = seek(c, t, &p);
	if (rc)
		return rc;
	c->state = CURSOR_AT;
	c->gap = !c->path.height || !c->path.eoff;
	if (!c->gap)
		return 0;
	rc = forward_to_entry(c, t); /* at the tree's end the path stays behind the last entry */
	return rc == DAXKV_NOTFOUND ? 0 : rc;
}

static int output(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value)
{
	struct item it;
	int rc = entry_at(c, &it);

	if (rc)
		return rc;
	if (value) {
		rc = record_value(txn_view(c->txn), &it, value);
		if (rc)
			return rc;
	}
	return key ? record_value(txn_view(c->txn), &(struct item){.val = it.key, .vlen = it.klen}, key) : 0;
}

/* move_edge - to the first or the last entry. NOTFOUND in an empty tree: a cursor that had a place there is in the gap that is left. */
static int move_edge(struct daxkv_cursor *c, const struct tree *t, bool last)
{
	int rc = tree_edge(t, last, &c->path);

	c->ordered = false;
	if (rc)
		return rc;
	c->path.rank = last ? live(c) : 0;
	rc = last ? back_to_entry(c, t) : forward_to_entry(c, t);
	if (!rc)
		arrive(c);
	else
		c->gap = true;
	return rc;
}

/* order_leaf - have the leaf's entries in order at hand, for stepping. */
static int order_leaf(struct daxkv_cursor *c)
{
	int rc = c->ordered ? 0 : leaf_offsets(&c->path.leaf, c->order, &c->n);

	c->ordered = !rc;
	return rc;
}

static int move_next(struct daxkv_cursor *c, const struct tree *t)
{
	struct path *p = &c->path;
	uint32_t rank = p->rank;
	int rc;

	if (!p->height)
		return DAXKV_NOTFOUND;
	rc = order_leaf(c);
	if (rc)
		return rc;
	p->rank += !c->gap;
	rc = forward_to_entry(c, t);
	if (rc) {
		p->rank = rank;
		return rc;
	}
	c->gap = false;
	return 0;
}

static int move_prev(struct daxkv_cursor *c, const struct tree *t)
{
	int rc = c->path.height ? order_leaf(c) : DAXKV_NOTFOUND;

	if (!rc)
		rc = back_to_entry(c, t);
	if (!rc)
		c->gap = false;
	return rc;
}

/* seek_side - to the first entry at or after the probe, or with before to the last one before it. */
static int seek_side(struct daxkv_cursor *c, const struct tree *t, const struct probe *p, bool before)
{
	int rc = seek(c, t, p);

	if (!rc)
		rc = before ? back_to_entry(c, t) : forward_to_entry(c, t);
	if (!rc)
		arrive(c);
	return rc;
}

/* same_key - whether the cursor's entry has that key. */
static int same_key(struct daxkv_cursor *c, const struct tree *t, const uint8_t *key, uint32_t klen, bool *same)
{
	struct item it;
	int rc = entry_at(c, &it);

	if (!rc)
		*same = order_key_cmp(t->order, it.key, it.klen, key, klen) == 0;
	return rc;
}

/* move_by_key - the moves that start from the key under the cursor. A failed one leaves the cursor where it was. */
static int move_by_key(struct daxkv_cursor *c, const struct tree *t, enum daxkv_cursor_op op)
{
	struct path was = c->path;
	bool gap = c->gap, same = true, dups = t->order->dups, within = op != DAXKV_NEXT_KEY && op != DAXKV_PREV_KEY;
	struct item it;
	int rc;

	if (gap) { /* the key of the entry that is gone, which other duplicates may still have */
		it = (struct item){.key = c->kept, .klen = c->klen};
	} else {
		if (c->path.rank >= live(c))
			return DAXKV_NOTFOUND;
		rc = entry_at(c, &it);
		if (rc)
			return rc;
	}
	struct probe p = {.key = it.key, .klen = it.klen};

	switch (op) {
	case DAXKV_NEXT_KEY:
		p.edge = PROBE_AFTER;
		rc = dups ? seek_side(c, t, &p, false) : move_next(c, t);
		break;
	case DAXKV_PREV_KEY:
		p.edge = PROBE_BEFORE;
		rc = dups ? seek_side(c, t, &p, true) : move_prev(c, t);
		break;
	case DAXKV_FIRST_DUP:
		p.edge = PROBE_BEFORE;
		rc = dups ? seek_side(c, t, &p, false) : 0;
		break;
	case DAXKV_LAST_DUP:
		p.edge = PROBE_AFTER;
		rc = dups ? seek_side(c, t, &p, true) : 0;
		break;
	case DAXKV_NEXT_DUP:
		rc = dups ? move_next(c, t) : DAXKV_NOTFOUND;
		break;
	default:
		rc = dups ? move_prev(c, t) : DAXKV_NOTFOUND;
		break;
	}
	if (!rc && within)
		rc = same_key(c, t, p.key, p.klen, &same);
	if (rc || !same) {
		c->path = was;
		c->gap = gap;
		c->ordered = false;
		return rc ? rc : DAXKV_NOTFOUND;
	}
	return 0;
}

static int move_seek(struct daxkv_cursor *c, const struct tree *t, const struct daxkv_val *key, const struct daxkv_val *value, enum daxkv_cursor_op op)
{
	const struct order *o = t->order;
	struct probe p = {.key = key->data, .klen = (uint32_t)key->size, .edge = o->dups ? PROBE_BEFORE : PROBE_AT};
	bool pair = op == DAXKV_SEEK_PAIR || op == DAXKV_SEEK_PAIR_GE, same = true;
	int rc = record_key_check(c->txn->kv, o, key);

	c->state = CURSOR_UNSET;
	if (rc)
		return rc;
	if (pair) {
		if (!o->dups || !value)
			return err_set(DAXKV_INCOMPATIBLE, "a seek by pair needs sorted duplicates and a value");
		rc = record_dup_check(c->txn->kv, o, key, value);
		if (rc)
			return rc == DAXKV_VALUE_SIZE && value->size > c->txn->kv->max_key ? rc : DAXKV_NOTFOUND;
		p.dup = value->data;
		p.dlen = (uint32_t)value->size;
		p.edge = PROBE_AT;
	}
	if (op == DAXKV_SEEK_LE) {
		p.edge = o->dups ? PROBE_AFTER : PROBE_AT;
		rc = seek(c, t, &p);
		if (!rc && c->path.height && c->path.eoff) {
			arrive(c);
			return 0;
		}
		if (!rc)
			rc = back_to_entry(c, t);
		if (!rc)
			arrive(c);
		return rc;
	}
	rc = seek_side(c, t, &p, false);
	if (rc || op == DAXKV_SEEK_GE)
		return rc;
	rc = same_key(c, t, p.key, p.klen, &same);
	if (!rc && same && op == DAXKV_SEEK_PAIR)
		same = c->path.eoff != 0;
	if (rc || !same)
		c->state = CURSOR_UNSET;
	return rc ? rc : same ? 0 : DAXKV_NOTFOUND;
}

/* ready - the transaction can be used, and the cursor's place is known again. */
static int ready(struct daxkv_cursor *c, bool write, struct dbstate **s)
{
	int rc;

	if (UNLIKELY(!c))
		return err_set(EINVAL, "no cursor was given");
	if (UNLIKELY(!c->txn))
		return err_set(DAXKV_BAD_TXN, "the cursor's transaction has ended");
	rc = txn_check(c->txn, write);
	if (!rc)
		rc = dbi_state(c->txn, c->db, s);
	if (!rc && UNLIKELY(c->state == CURSOR_KEPT))
		rc = restore(c, &(*s)->tree);
	return rc;
}

int daxkv_cursor_get(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value, enum daxkv_cursor_op op)
{
	struct dbstate *s;
	int rc = ready(c, false, &s);

	if (rc)
		return rc;
	const struct tree *t = &s->tree;
	bool unset = c->state == CURSOR_UNSET;

	switch (op) {
	case DAXKV_FIRST:
	case DAXKV_LAST:
		rc = move_edge(c, t, op == DAXKV_LAST);
		break;
	case DAXKV_NEXT:
		rc = unset ? move_edge(c, t, false) : move_next(c, t);
		break;
	case DAXKV_PREV:
		rc = unset ? move_edge(c, t, true) : move_prev(c, t);
		break;
	case DAXKV_NEXT_KEY:
	case DAXKV_NEXT_DUP:
		rc = unset ? move_edge(c, t, false) : move_by_key(c, t, op);
		break;
	case DAXKV_PREV_KEY:
	case DAXKV_PREV_DUP:
		rc = unset ? move_edge(c, t, true) : move_by_key(c, t, op);
		break;
	case DAXKV_FIRST_DUP:
	case DAXKV_LAST_DUP:
		rc = unset ? err_set(EINVAL, "the cursor is not positioned") : move_by_key(c, t, op);
		break;
	case DAXKV_GET_CURRENT:
		rc = unset ? err_set(EINVAL, "the cursor is not positioned") : c->path.rank < live(c) ? 0 : DAXKV_NOTFOUND;
		if (!rc)
			c->gap = false; /* the entry behind the gap is the cursor's from here on */
		break;
	case DAXKV_SEEK:
	case DAXKV_SEEK_GE:
	case DAXKV_SEEK_LE:
	case DAXKV_SEEK_PAIR:
	case DAXKV_SEEK_PAIR_GE:
		rc = key ? move_seek(c, t, key, value, op) : err_set(EINVAL, "a seek needs a key");
		break;
	default:
		rc = err_set(EINVAL, "unknown cursor operation %d", (int)op);
	}
	return rc ? rc : output(c, key, value);
}

/* ---- changing ------------------------------------------------------------------------------------------------------------- */

/* replace_current - DAXKV_CURRENT: another value for the key under the cursor. With duplicates the pair moves to its new place. */
static int replace_current(struct daxkv_cursor *c, struct dbstate *s, struct daxkv_val *value, unsigned int flags)
{
	struct daxkv_txn *txn = c->txn;
	struct daxkv_val key, old;
	uint8_t *copy = NULL;
	int rc = c->path.rank < live(c) ? output(c, &key, &old) : DAXKV_NOTFOUND;

	if (rc)
		return rc;
	if (s->order.dups) {
		rc = record_dup_check(txn->kv, &s->order, &key, value);
		if (!rc && s->flags & DAXKV_DUP_FIXED && value->size != old.size)
			rc = err_set(DAXKV_VALUE_SIZE, "a duplicate of %zu bytes in a database whose duplicates have %zu", value->size, old.size);
	}
	if (!rc && !(copy = malloc(key.size + value->size + 1)))
		rc = err_set(ENOMEM, "no memory for a pair");
	if (rc)
		return rc;
	/* Both may lie in a page that changes. */
	memcpy(copy, key.data, key.size);
	key.data = copy;
	struct daxkv_val put = *value;

	if (s->order.dups) {
		memcpy(copy + key.size, value->data, value->size);
		put.data = copy + key.size;
	}
	rc = txn_changing(txn, c->db); /* keeps this cursor's old pair */
	if (!rc && s->order.dups) {
		struct probe p = {.key = c->kept, .klen = c->klen, .dup = c->kept + c->klen, .dlen = c->dlen};
		struct path path;

		rc = tree_seek(&s->tree, &p, &path);
		if (!rc)
			rc = record_remove(txn, s, &path);
	}
	if (!rc)
		rc = record_put(txn, c->db, &key, &put, flags & DAXKV_RESERVE, 0);
	if (!rc)
		rc = keep_bytes(c, copy, (uint32_t)key.size, put.data, s->order.dups ? (uint32_t)put.size : 0);
	if (!rc && flags & DAXKV_RESERVE)
		value->data = put.data;
	free(copy);
	return rc;
}

int daxkv_cursor_put(struct daxkv_cursor *c, const struct daxkv_val *key, struct daxkv_val *value, unsigned int flags)
{
	struct dbstate *s;
	int rc = ready(c, true, &s);

	if (rc)
		return rc;
	if (flags & DAXKV_CURRENT) {
		bool same = true;

		if (c->state == CURSOR_UNSET || !value)
			return err_set(EINVAL, "the cursor is not positioned");
		if (key && c->path.rank < live(c))
			rc = same_key(c, &s->tree, key->data, (uint32_t)key->size, &same);
		if (!rc && !same)
			rc = err_set(EINVAL, "CURRENT with another key than the cursor's");
		return rc ? rc : replace_current(c, s, value, flags);
	}
	/* Key and duplicate may lie in a page that the change rewrites: the cursor keeps what they were. */
	uint8_t pair[FMT_PAGE_MAX / 2];
	size_t max = c->txn->kv->max_key, klen = key && key->size <= max ? key->size : 0;
	size_t dlen = s->order.dups && value && value->size <= max ? value->size : 0;

	if (klen)
		memcpy(pair, key->data, klen);
	if (dlen && value->data)
		memcpy(pair + klen, value->data, dlen);
	rc = txn_changing(c->txn, c->db);
	if (!rc)
		rc = record_put(c->txn, c->db, key, value, flags, 0);
	if (rc && rc != DAXKV_EXIST)
		return rc;
	if (rc == DAXKV_EXIST && flags & (DAXKV_APPEND | DAXKV_APPENDDUP))
		return rc;
	int kept = rc ? keep_bytes(c, key->data, (uint32_t)key->size, value->data, s->order.dups ? (uint32_t)value->size : 0)
	              : keep_bytes(c, pair, (uint32_t)klen, pair + klen, (uint32_t)dlen);

	return kept ? kept : rc;
}

int daxkv_cursor_del(struct daxkv_cursor *c, unsigned int flags)
{
	struct dbstate *s;
	struct path path;
	int rc = ready(c, true, &s);

	if (rc)
		return rc;
	if (c->state == CURSOR_UNSET)
		return err_set(EINVAL, "the cursor is not positioned");
	if (c->path.rank >= live(c))
		return DAXKV_NOTFOUND;
	c->gap = false; /* before a gap stands the entry that is meant */
	rc = txn_changing(c->txn, c->db);
	if (rc)
		return rc;
	if (s->order.dups && flags & DAXKV_NODUPDATA)
		return record_remove_all(c->txn, s, c->kept, c->klen);
	struct probe p = {.key = c->kept, .klen = c->klen, .dup = c->kept + c->klen, .dlen = c->dlen};

	rc = tree_seek(&s->tree, &p, &path);
	return rc ? rc : record_remove(c->txn, s, &path);
}

int daxkv_cursor_count(struct daxkv_cursor *c, uint64_t *count)
{
	struct dbstate *s;
	int rc = ready(c, false, &s);

	if (rc)
		return rc;
	if (c->state == CURSOR_UNSET)
		return err_set(EINVAL, "the cursor is not positioned");
	if (c->path.rank >= live(c))
		return DAXKV_NOTFOUND;
	*count = 1;
	if (!s->order.dups)
		return 0;
	struct path was = c->path;
	bool gap = c->gap;

	rc = move_by_key(c, &s->tree, DAXKV_FIRST_DUP);
	while (!rc && (rc = move_by_key(c, &s->tree, DAXKV_NEXT_DUP)) == 0)
		++*count;
	c->path = was;
	c->gap = gap;
	c->ordered = false;
	return rc == DAXKV_NOTFOUND ? 0 : rc;
}
