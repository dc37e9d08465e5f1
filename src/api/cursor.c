/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor.c - the life of a cursor, and changes through it. See cursor.h
 *
 * A change by a cursor is one of its transaction, so it makes all cursors on the database keep
 * their places by key, this one too. Where the leaf only got one more slot, it is put back to where
 * it stood (here_stay), so that a scan that changes what it sees does not search for each entry.
 */
#include "api/cursor.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

/* ---- life ------------------------------------------------------------------------------------ */

/* It ends with daxkv_cursor_close, not with its transaction, which only takes its place away. */
int daxkv_cursor_open(struct daxkv_txn *txn, daxkv_db db, struct daxkv_cursor **cursor)
{
	struct dbstate *s;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (!cursor)
		rc = err_set(EINVAL, "no place for the cursor");
	if (rc)
		return rc;
	rc = txn_done(txn, dbi_state(txn, db, &s));
	if (rc)
		return rc;
	return place_new(txn, db, cursor);
}

/* Its memory, and what it kept of a key, are used again. */
int daxkv_cursor_renew(struct daxkv_txn *txn, struct daxkv_cursor *c)
{
	struct dbstate *s;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (!c || txn->write || (c->txn && c->txn->write))
		rc = err_set(EINVAL, "only a read transaction's cursor can be renewed");
	if (rc)
		return rc;
	if (c->store != txn->store)
		rc = err_set(EINVAL, "the cursor is another store's");
	if (rc)
		return rc;
	rc = txn_done(txn, dbi_state(txn, c->db, &s));
	if (rc)
		return rc;
	if (c->txn != txn) {
		place_unlink(c);
		place_link(c, txn);
	}
	c->state = CURSOR_UNSET;
	c->ordered = false;
	place_forget_pages(c);
	return 0;
}

/* NULL once that has ended. */
struct daxkv_txn *daxkv_cursor_txn(const struct daxkv_cursor *c)
{
	if (c)
		return c->txn;
	return NULL;
}

/* The handle stays, also after its transaction. */
daxkv_db daxkv_cursor_db(const struct daxkv_cursor *c)
{
	if (c)
		return c->db;
	return 0;
}

/* restore - KEPT becomes AT. The entry may be gone: then the cursor is in the gap where it was. An
 * error leaves it KEPT, to be tried again. */
static int restore(struct daxkv_cursor *c, const struct tree *t)
{
	assert(c->txn);
	struct probe p = {.key = c->kept, .klen = c->klen};
	int rc;

	if (c->state != CURSOR_KEPT)
		return 0;
	p.dup = c->kept + c->klen;
	p.dlen = c->dlen;
	c->ordered = false;
	rc = tree_seek(t, &p, &c->path);
	if (rc)
		return rc;
	bool gap = !c->path.height || !c->path.eoff;

	if (gap) /* at the tree's end the path stays behind the last entry */
		rc = cursor_forward(c, t);
	if (rc && rc != DAXKV_NOT_FOUND)
		return rc;
	c->state = CURSOR_AT;
	c->gap = gap;
	return 0;
}

/* The transaction may have ended, which detaches the cursor and does not free it. */
int cursor_usable(struct daxkv_cursor *c, bool write, struct dbstate **s)
{
	int rc;

	if (UNLIKELY(!c))
		return err_set(EINVAL, "no cursor was given");
	if (UNLIKELY(!c->txn))
		return err_set(DAXKV_BAD_TXN, "the cursor's transaction has ended");
	rc = txn_check(c->txn, write);
	if (!rc && write)
		rc = txn_seal(c->txn);
	if (rc)
		return rc;
	return dbi_state(c->txn, c->db, s);
}

/* A kept place is searched here, once, and not when the change was made. */
int cursor_ready(struct daxkv_cursor *c, bool write, struct dbstate **s)
{
	int rc = cursor_usable(c, write, s);

	if (rc)
		return rc;
	if (UNLIKELY(c->state == CURSOR_KEPT))
		return restore(c, &(*s)->tree);
	return rc;
}

/* By the bytes in the page: the entry is the one under the cursor. */
int cursor_same_key(struct daxkv_cursor *c, const struct tree *t, const uint8_t *key, uint32_t klen,
                    bool *same)
{
	struct item it;
	int rc = cursor_sound(c);

	if (rc)
		return rc;
	rc = place_entry(c, &it);
	if (rc)
		return rc;
	*same = order_key_cmp(t->order, it.key, it.klen, key, klen) == 0;
	return 0;
}

/* uniform_note - which entries of the leaf need no look at their lengths. The bounds are taken
 * here, once: they hold for the entries' places, whatever a page that is changing says afterwards
 * [I20]. What a step finds in such a page is refused behind it (get_bounded). */
static inline void uniform_note(struct daxkv_cursor *c, const struct order *order)
{
	const struct leaf *l = &c->path.leaf;
	uint32_t heads = once(l->page->heads);
	uint32_t klen = heads & FMT_KLEN_MASK;
	uint32_t vlen = once(l->page->offs);
	uint32_t end = once(l->page->end);
	uint32_t size = klen + vlen;

	c->uniform.span = 0;
	if (!(heads & FMT_UNIFORM) || order->key == ORDER_OWN)
		return;
	if (size < FMT_ENTRY_SIZE)
		size = FMT_ENTRY_SIZE;
	if (UNLIKELY(size > l->psize))
		return;
	if (end > l->psize - size + 1)
		end = l->psize - size + 1;
	if (UNLIKELY(end <= FMT_LEAF_BASE))
		return;
	c->uniform.span = end - FMT_LEAF_BASE;
	c->uniform.klen = klen;
	c->uniform.vlen = vlen;
}

/* The next leaf is prefetched piece by piece while this one is stepped through (pace). Entries some
 * places ahead are prefetched here for the first steps; later ones by each step. */
int cursor_order(struct daxkv_cursor *c, bool forward)
{
	if (c->ordered)
		return 0;
	const struct dbstate *s = dbi_state_known(c->txn, c->db);
	const struct tree *t = &s->tree;
	int rc = leaf_offsets(&c->path.leaf, c->order, &c->n);

	if (rc)
		return rc;
	/* Ranks and entries do not agree, or the page is changing (view_evicted). */
	if (UNLIKELY(c->path.rank > c->n))
		return err_corrupt(c->path.leaf.off, "leaf: rank %u among %u entries", c->path.rank,
		                   c->n);
	c->ordered = true;
	c->open = &s->entry->number;
	uniform_note(c, t->order);
	c->counted = c->path.leaf.off;
	for (uint32_t i = 1; i < CURSOR_AHEAD; i++) {
		uint32_t rank;

		if (forward)
			rank = c->path.rank + i;
		else
			rank = c->path.rank - i;
		if (rank < c->n)
			cursor_expect(c, rank);
	}
	uint64_t beside = tree_beside(t, &c->path, forward);

	if (beside)
		c->beside = t->view->base + beside;
	else
		c->beside = NULL;
	if (beside)
		c->lines = t->view->psize / FMT_LINE;
	else
		c->lines = 0;
	c->pace = c->lines / (c->n + 1) + 1;
	return 0;
}

/* ---- changing -------------------------------------------------------------------------------- */

/* A change of the cursor's own entry needs no search, and where the leaf is not written anew, the
 * cursor stays where it is: a scan that changes what it sees goes on as any other. */
struct here { /* where the cursor stood: its path is left as it was */
	/* pages that the transaction had written as a whole by then */
	uint64_t installs;
	unsigned int height;
	unsigned int nslots; /* of its leaf */
	/* whether the leaf's order was at hand */
	bool ordered;
};

/* here_begin - the transaction is going to change what is under the cursor, whose key is kept.
 * Afterwards the cursor is KEPT, like all others, but its path still leads to the entry: until
 * here_stay, or place_forget_pages. CORRUPT, and errors of txn_changing. */
static int here_begin(struct daxkv_cursor *c, struct here *here)
{
	int rc = place_offset(c, &c->path.eoff);

	/* so no append batch has begun since it came there */
	assert(c->state == CURSOR_AT);
	if (rc)
		return rc;
	*here = (struct here){
	    .installs = c->store->wset.installs,
	    .height = c->path.height,
	    .nslots = c->path.leaf.nslots,
	    .ordered = c->ordered,
	};
	rc = txn_changing(c->txn, c->db);
	if (!rc)
		c->path.height = here->height;
	return rc;
}

/* here_stay - after the change: whether the leaf only got one more slot, or not even that. Then the
 * cursor is at its rank there; else it is known by its key. installs counts pages that were written
 * as a whole, so an equal number says that no leaf was. The leaf is opened again at its place,
 * since its slots are counted when it is opened. */
static bool here_stay(struct daxkv_cursor *c, const struct here *here)
{
	assert(c->state == CURSOR_KEPT);
	const struct wset *w = &c->store->wset;
	const struct leaf *leaf = &c->path.leaf;
	const struct wpage *wp = wset_find(w, leaf->off);

	if (w->installs != here->installs || !wp || wp->dead) {
		place_forget_pages(c);
		return false;
	}
	leaf_open(txn_view(c->txn), leaf->page, leaf->off, &c->path.leaf);
	c->state = CURSOR_AT;
	c->ordered = here->ordered;
	return true;
}

/* overwrite_here - the value takes the place of the one under the cursor, of its size, where that
 * lies: in a page that the transaction may edit. Nothing moves, so no cursor has to keep its place
 * by key. *done false: it is not that, and nothing has changed. CORRUPT. */
static int overwrite_here(struct daxkv_cursor *c, struct dbstate *s, const struct daxkv_val *value,
                          bool *done)
{
	struct wset *w = &c->store->wset;
	struct item old;
	uint32_t eoff;
	int rc = place_offset(c, &eoff);

	*done = false;
	if (rc)
		return rc;
	rc = leaf_item(&c->path.leaf, eoff, &old);
	if (rc)
		return rc;
	if (old.vlen != value->size)
		return 0;
	if (!w->n)
		return 0;
	struct item item = old;

	item.val = value->data;
	*done = leaf_overwrite(w, &c->path.leaf, eoff, &old, &item);
	if (!*done)
		return 0;
	w->changes++;
	tree_row_own(&c->store->scratch);
	dbi_changed(c->txn, s);
	return 0;
}

/* replace_here - DAXKV_CURRENT without duplicates. The entry's slot in the order is the new one's
 * when it went to the tail. Key and value are checked before anything changes. After an error the
 * cursor is known by its key, and still means the same entry. */
static int replace_here(struct daxkv_cursor *c, struct dbstate *s, struct daxkv_val *value,
                        unsigned int flags)
{
	assert(!s->order.dups);
	struct daxkv_val put = *value;
	struct here here;

	bool done = false;
	int rc = 0;

	c->gap = false; /* behind a gap stands the entry that is meant */
	if (!(flags & DAXKV_RESERVE))
		rc = overwrite_here(c, s, value, &done);
	if (rc)
		return rc;
	if (done)
		return 0;
	rc = here_begin(c, &here);
	if (rc)
		return rc;
	const struct daxkv_val key = {c->klen, c->kept};
	struct put p = {
	    .txn = c->txn,
	    .s = s,
	    .key = &key,
	    .value = &put,
	    .flags = flags & DAXKV_RESERVE,
	    .path = &c->path,
	};

	rc = entry_put_check(c->txn->store, &s->order, &key, &put, p.flags);
	if (!rc)
		rc = entry_put_at(&p);
	if (rc)
		place_forget_pages(c);
	if (rc)
		return rc;
	if (here_stay(c, &here) && c->ordered && c->path.leaf.nslots != here.nslots)
		c->order[c->path.rank] = FMT_SLOT_OFF(c->path.leaf.slots[c->path.leaf.nslots - 1]);
	if (flags & DAXKV_RESERVE)
		value->data = put.data;
	return 0;
}

/* replace_current - DAXKV_CURRENT: another value for the key under the cursor. With duplicates the
 * pair moves to its new place. The new pair is refused, or the old one is gone: nothing lies
 * between, but in a transaction that only abort is left for. NOT_FOUND: the cursor stands behind
 * the last entry. With RESERVE value->data is where the new value is to be written, as of
 * daxkv_put. The cursor then is known by the new pair. */
static int replace_current(struct daxkv_cursor *c, struct dbstate *s, struct daxkv_val *value,
                           unsigned int flags)
{
	assert(c->state == CURSOR_AT);
	struct daxkv_txn *txn = c->txn;
	struct daxkv_val key;
	struct daxkv_val old;
	uint8_t *copy = NULL;
	int rc = DAXKV_NOT_FOUND;

	if (c->path.rank < place_live(c) && !s->order.dups)
		return replace_here(c, s, value, flags);
	if (c->path.rank < place_live(c))
		rc = cursor_output(c, &key, &old);
	if (rc)
		return rc;
	if (s->order.dups) {
		rc = entry_dup_check(txn->store, &s->order, &key, value);
		if (rc)
			return rc;
		if (s->flags & DAXKV_DUP_FIXED && value->size != old.size)
			rc = err_set(
			    DAXKV_VALUE_SIZE,
			    "a duplicate of %zu bytes in a database whose duplicates have %zu",
			    value->size, old.size);
	}
	if (rc)
		return rc;
	size_t size = key.size + 1;

	if (s->order.dups)
		size += value->size;
	copy = malloc(size);
	if (!copy)
		return err_set(ENOMEM, "no memory for a pair");
	/* Both may lie in a page that changes. */
	memcpy(copy, key.data, key.size);
	key.data = copy;
	struct daxkv_val put = *value;

	if (s->order.dups) {
		memcpy(copy + key.size, value->data, value->size);
		put.data = copy + key.size;
	}
	c->gap = false;                /* behind a gap stands the entry that is meant */
	rc = txn_changing(txn, c->db); /* keeps this cursor's old pair */
	if (!rc && s->order.dups) {
		struct probe p = {
		    .key = c->kept,
		    .klen = c->klen,
		    .dup = c->kept + c->klen,
		    .dlen = c->dlen,
		};
		struct path path;

		rc = tree_seek(&s->tree, &p, &path);
		if (!rc)
			rc = entry_remove(txn, s, &path);
	}
	if (!rc)
		rc = entry_put(txn, c->db, &key, &put, flags & DAXKV_RESERVE, 0);
	if (!rc)
		rc = place_keep(c, copy, (uint32_t)key.size, put.data,
		                s->order.dups ? (uint32_t)put.size : 0);
	if (!rc && flags & DAXKV_RESERVE)
		value->data = put.data;
	free(copy);
	return rc;
}

/* put_refused - what is wrong with the arguments of a put; 0: nothing so far. */
static int put_refused(const struct dbstate *s, const struct daxkv_val *key,
                       const struct daxkv_val *value, unsigned int flags)
{
	if (flags & ~(ENTRY_PUT_FLAGS | (unsigned int)DAXKV_CURRENT))
		return err_set(EINVAL, "flags 0x%x for cursor_put", flags);
	if (!value)
		return err_set(EINVAL, "a value is needed");
	if (!value->data && value->size && !(flags & DAXKV_RESERVE))
		return err_set(EINVAL, "the bytes of the value are needed");
	if (key && key->size && !key->data)
		return err_set(EINVAL, "the bytes of the key are needed");
	if (flags & DAXKV_RESERVE && s->order.dups)
		return err_set(DAXKV_INCOMPATIBLE, "RESERVE by a cursor on sorted duplicates");
	return 0;
}

/* put_current - DAXKV_CURRENT; the key may be left out, and else is the cursor's. */
static int put_current(struct daxkv_cursor *c, struct dbstate *s, const struct daxkv_val *key,
                       struct daxkv_val *value, unsigned int flags)
{
	bool same = true;
	int rc = 0;

	if (c->state == CURSOR_UNSET)
		return err_set(EINVAL, "the cursor is not positioned");
	if (key && c->path.rank < place_live(c))
		rc = cursor_same_key(c, &s->tree, key->data, (uint32_t)key->size, &same);
	if (rc)
		return rc;
	if (!same)
		return err_set(EINVAL, "CURRENT with another key than the cursor's");
	return replace_current(c, s, value, flags);
}

/* cursor_put - a put that leaves the cursor on its entry; after EXIST on the one that is there. The
 * place is kept by key, and searched when the cursor is used next. Key and value may lie in the
 * store's own pages, as what a get has given out does. After another error the cursor means the
 * entry that it meant before; where there is no memory to keep the new place, it is nowhere. */
static int cursor_put(struct daxkv_cursor *c, const struct daxkv_val *key, struct daxkv_val *value,
                      unsigned int flags)
{
	struct dbstate *s;
	int rc;

	if (flags & DAXKV_CURRENT)
		rc = cursor_ready(c, true, &s);
	else
		rc = cursor_usable(c, true, &s);
	if (rc)
		return rc;
	rc = put_refused(s, key, value, flags);
	if (rc)
		return rc;
	if (flags & DAXKV_CURRENT)
		return put_current(c, s, key, value, flags);
	/* Key and duplicate may lie in a page that the change rewrites: the cursor keeps what they
	 * were. */
	uint8_t *pair = c->txn->store->scratch.pair;
	size_t max = c->txn->store->max_key;
	size_t klen = 0;
	size_t dlen = 0;

	if (key && key->size <= max)
		klen = key->size;
	if (s->order.dups && value->size <= max)
		dlen = value->size;
	if (klen)
		memcpy(pair, key->data, klen);
	if (dlen && value->data)
		memcpy(pair + klen, value->data, dlen);
	rc = cursor_put_entry(c, s, key, value, flags);
	if (rc && rc != DAXKV_EXIST)
		return rc;
	if (rc && flags & (DAXKV_APPEND | DAXKV_APPEND_DUP))
		return rc;
	int kept;

	if (rc)
		kept = place_keep(c, key->data, (uint32_t)key->size, value->data,
		                  s->order.dups ? (uint32_t)value->size : 0);
	else
		kept = place_keep(c, pair, (uint32_t)klen, pair + klen, (uint32_t)dlen);
	place_forget_pages(c);
	if (kept) {
		c->state = CURSOR_UNSET;
		return kept;
	}
	return rc;
}

/* EXIST and NOT_FOUND are answers, not failures: they have no text. */
int daxkv_cursor_put(struct daxkv_cursor *c, const struct daxkv_val *key, struct daxkv_val *value,
                     unsigned int flags)
{
	return err_answer(cursor_put(c, key, value, flags));
}

/* fall_in_gap - the cursor's entry is gone, and its leaf was not written anew: it stands before the
 * one that followed, or behind all entries. The order at hand loses that one entry, so the steps
 * that follow need not make it again. A leaf beside that cannot be read is met again by whoever
 * uses the cursor next: it is known by its key then. */
static void fall_in_gap(struct daxkv_cursor *c, const struct tree *t)
{
	assert(c->state == CURSOR_AT);
	const uint32_t rank = c->path.rank;

	if (c->ordered) {
		c->n--;
		memmove(c->order + rank, c->order + rank + 1, (c->n - rank) * sizeof c->order[0]);
	}
	c->gap = true;
	int rc = cursor_forward(c, t);

	if (rc && rc != DAXKV_NOT_FOUND) {
		c->state = CURSOR_KEPT;
		place_forget_pages(c);
	}
}

/* cursor_del - the entry under the cursor goes, or all of its key. The cursor is in the gap: NEXT
 * and GET_CURRENT then are at the entry that followed. NOT_FOUND: there is no entry under it. With
 * NO_DUP_DATA, and where the leaf was written again, the cursor is known by the key that went, and
 * a search finds the gap when it is used next. */
static int cursor_del(struct daxkv_cursor *c, unsigned int flags)
{
	struct dbstate *s;
	struct here here;
	int rc = cursor_ready(c, true, &s);

	if (rc)
		return rc;
	if (flags & ~(unsigned int)DAXKV_NO_DUP_DATA)
		return err_set(EINVAL, "flags 0x%x for cursor_del", flags);
	if (c->state == CURSOR_UNSET)
		return err_set(EINVAL, "the cursor is not positioned");
	if (c->path.rank >= place_live(c))
		return DAXKV_NOT_FOUND;
	c->gap = false; /* behind a gap stands the entry that is meant */
	rc = here_begin(c, &here);
	if (rc)
		return rc;
	if (s->order.dups && flags & DAXKV_NO_DUP_DATA) {
		place_forget_pages(c);
		return entry_remove_all(c->txn, s, c->kept, c->klen);
	}
	rc = entry_remove(c->txn, s, &c->path);
	if (rc)
		place_forget_pages(c);
	if (rc)
		return rc;
	if (here_stay(c, &here)) {
		/* without one more slot: the base's entries have moved */
		if (c->path.leaf.nslots == here.nslots)
			c->ordered = false;
		fall_in_gap(c, &s->tree);
	}
	return rc;
}

/* See cursor_del. */
int daxkv_cursor_del(struct daxkv_cursor *c, unsigned int flags)
{
	return err_answer(cursor_del(c, flags));
}
