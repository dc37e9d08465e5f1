/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * db_info.c - what there is to know of databases: names, flags, sizes, orders. See dbi.h and
 * daxkv.h
 *
 * A read transaction asks the descriptor when it is asked first; a write transaction has the
 * numbers in its state, its own changes included.
 *
 * The comparators are here, too: they are known to a process by its handles, and the file has only
 * the flag that there is one. A call that needs an order whose comparator is not set is refused by
 * dbi_state; calls that only tell of the database take dbi_state_any.
 */
#include "api/db.h"
#include "base/err.h"
#include "txn/desc.h"
#include "txn/entry.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>

/* db_next - the first named database behind that name. Plain entries between are passed. *name then
 * points into the leaf. NOT_FOUND. CORRUPT when a leaf's keys do not rise. The comparison is made
 * for a list's sake alone: without a name to begin behind there is none. */
static int db_next(struct daxkv_txn *txn, struct daxkv_val *name)
{
	struct probe p = {.key = name->data, .klen = (uint32_t)name->size};
	struct dbstate *s;
	struct path path;
	int rc = dbi_state(txn, DAXKV_MAIN, &s);

	if (rc)
		return rc;
	if (!order_suits_names(&s->order))
		return DAXKV_NOT_FOUND;
	if (name->size)
		rc = tree_seek(&s->tree, &p, &path);
	else
		rc = tree_edge(&s->tree, false, &path);
	if (rc)
		return rc;
	if (!path.height)
		return DAXKV_NOT_FOUND;
	if (name->size && path.eoff)
		path.rank++;
	for (bool moved = true;;) {
		for (uint32_t n = leaf_count(&path.leaf); path.rank < n; path.rank++) {
			struct item it;

			rc = leaf_at(&path.leaf, path.rank, &path.eoff);
			if (rc)
				return rc;
			rc = leaf_item(&path.leaf, path.eoff, &it);
			if (rc)
				return rc;
			if (!(it.flags & FMT_ENTRY_DB))
				continue;
			/* a list would never end */
			if (name->size &&
			    order_key_cmp(&s->order, it.key, it.klen, p.key, p.klen) <= 0)
				return err_corrupt(path.leaf.off,
				                   "leaf: its keys are not in order");
			*name = entry_bytes(it.key, it.klen);
			return 0;
		}
		rc = tree_step(&s->tree, &path, true, &moved);
		if (rc)
			return rc;
		if (!moved)
			return DAXKV_NOT_FOUND;
	}
}

/* By a name, not by a place: the list may be gone through while databases come and go. */
int daxkv_db_list_next(struct daxkv_txn *txn, struct daxkv_val *name)
{
	struct daxkv_val next;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (!name || (name->size && !name->data))
		rc = err_set(EINVAL, "a name to begin behind, or one of size 0, is needed");
	if (rc)
		return rc;
	next = *name;
	rc = txn_done(txn, db_next(txn, &next));
	if (!rc)
		*name = next;
	return err_answer(rc);
}

/* Comparators are not needed for it. */
int daxkv_db_flags(struct daxkv_txn *txn, daxkv_db db, unsigned int *flags)
{
	struct dbstate *s;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (!flags)
		rc = err_set(EINVAL, "no place for the flags");
	if (rc)
		return rc;
	rc = txn_done(txn, dbi_state_any(txn, db, &s));
	if (rc)
		return rc;
	*flags = s->flags;
	return 0;
}

/* levels_of - of the tree, whose batch is flushed; 0: nothing was ever stored. CORRUPT. */
static int levels_of(const struct tree *t, uint32_t *levels)
{
	const struct fmt_page *root;
	uint64_t at;
	int rc = tree_root(t, &root, &at);

	if (rc)
		return rc;
	*levels = root ? root->level + 1u : 0;
	return 0;
}

/* numbers_read - those of a read transaction's database, which stay as they are while it runs: the
 * first one who asks keeps them in the state, for all threads that share it. CORRUPT. */
static int numbers_read(struct daxkv_txn *txn, struct dbstate *s, uint32_t *levels)
{
	struct desc_says says;
	int rc = desc_says(txn_view(txn), &(struct fmt_db){.desc = s->named, .flags = s->flags},
	                   true, &says);

	if (!rc)
		rc = levels_of(&s->tree, levels);
	if (rc)
		return rc;
	pthread_mutex_lock(&txn->sharing);
	if (!load_relaxed(&s->levels)) {
		s->tree.count = says.entries;
		s->tree.leaf_pages = says.leaf_pages;
		s->tree.inner_pages = says.inner_pages;
		s->tree.blob_pages = says.blob_pages;
		/* Pairs with the load in daxkv_db_stat: the numbers are there. */
		store_release(&s->levels, *levels + 1);
	}
	pthread_mutex_unlock(&txn->sharing);
	return 0;
}

/* stat_fill - what the state has. */
static inline void stat_fill(const struct daxkv_txn *txn, const struct dbstate *s, uint32_t levels,
                             struct daxkv_db_stat *stat)
{
	*stat = (struct daxkv_db_stat){
	    .page_size = txn->store->page_size,
	    .depth = levels,
	    .inner_pages = s->tree.inner_pages,
	    .leaf_pages = s->tree.leaf_pages,
	    .blob_pages = s->tree.blob_pages,
	    .entries = s->tree.count,
	};
}

/* stat_far - the way that is always right. A write transaction's batches are flushed: the depth is
 * that of the pages. *stat is written when the snapshot was still there at the end. Not inlined:
 * the common way calls nothing. */
static __attribute__((noinline)) int stat_far(struct daxkv_txn *txn, daxkv_db db,
                                              struct daxkv_db_stat *stat)
{
	struct dbstate *s;
	uint32_t levels = 0;
	int rc = dbi_state_any(txn, db, &s);

	if (!rc) {
		if (txn->write)
			rc = levels_of(&s->tree, &levels);
		else
			rc = numbers_read(txn, s, &levels);
	}
	rc = txn_done(txn, rc);
	if (rc)
		return rc;
	stat_fill(txn, s, levels, stat);
	return 0;
}

/* A read transaction that has been asked before answers from the state. */
int daxkv_db_stat(struct daxkv_txn *txn, daxkv_db db, struct daxkv_db_stat *stat)
{
	int rc = txn_check(txn, false);

	if (UNLIKELY(rc))
		return rc;
	if (UNLIKELY(!stat))
		return err_set(EINVAL, "no place for the numbers");
	struct dbstate *s = dbi_state_here(txn, db);
	uint32_t known = 0;

	/* Pairs with the store in numbers_read. */
	if (LIKELY(s && !txn->write && !txn->view.bound))
		known = load_acquire(&s->levels);
	if (UNLIKELY(!known))
		return stat_far(txn, db, stat);
	stat_fill(txn, s, known - 1, stat);
	return 0;
}

/* set_compare - an empty database gets the flag with its first comparator, by a write transaction;
 * one with entries must have the flag, because they are in that order. The comparator is the
 * handle's in this process; nothing of it goes to the file but the flag. INCOMPATIBLE when there
 * are entries in another order. */
static int set_compare(struct daxkv_txn *txn, daxkv_db db, uint32_t flag, daxkv_compare_fn *fn,
                       void *arg)
{
	struct dbstate *s;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	rc = txn_done(txn, dbi_state_any(txn, db, &s));
	if (rc)
		return rc;
	if (fn && !(s->flags & flag) && txn->write && !s->tree.count &&
	    (flag == DAXKV_OWN_COMPARE || s->flags & DAXKV_DUP_SORT)) {
		rc = txn_changing(txn, db);
		if (rc)
			return rc;
		if (db != DAXKV_MAIN)
			rc = txn_changing(txn, DAXKV_MAIN);
		if (rc)
			return rc;
		rc = db_flags_change(txn, db, s, s->flags | flag);
		if (rc)
			return rc;
	}
	if (!(s->flags & flag) || !fn)
		return err_set(DAXKV_INCOMPATIBLE,
		               "the database (flags 0x%x) was not made with an order of its own",
		               s->flags);
	dbi_compare_set(txn->store, db, flag, fn, arg, s);
	dbi_state_order(s, s->flags);
	return 0;
}

/* For all transactions to come: see dbi_compare_set. */
int daxkv_db_set_compare(struct daxkv_txn *txn, daxkv_db db, daxkv_compare_fn *fn, void *arg)
{
	return set_compare(txn, db, DAXKV_OWN_COMPARE, fn, arg);
}

/* The same for values. */
int daxkv_db_set_dup_compare(struct daxkv_txn *txn, daxkv_db db, daxkv_compare_fn *fn, void *arg)
{
	return set_compare(txn, db, DAXKV_OWN_DUP_COMPARE, fn, arg);
}

/* values_given - both are there, with their bytes. */
static bool values_given(const struct daxkv_val *a, const struct daxkv_val *b)
{
	if (!a || !b)
		return false;
	if (!a->data && a->size)
		return false;
	return b->data || !b->size;
}

/* order_of - the database's order, when there is one and both values are given; else NULL. */
static const struct order *order_of(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *a,
                                    const struct daxkv_val *b)
{
	struct dbstate *s;

	if (!values_given(a, b))
		return NULL;
	if (txn_check(txn, false))
		return NULL;
	if (txn_done(txn, dbi_state(txn, db, &s)))
		return NULL;
	return &s->order;
}

/* It has no way to tell an error: 0. It compares bytes of the caller's, which need not be in the
 * database. */
int daxkv_db_compare(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *a,
                     const struct daxkv_val *b)
{
	const struct order *o = order_of(txn, db, a, b);

	if (!o)
		return 0;
	return order_key_cmp(o, a->data, (uint32_t)a->size, b->data, (uint32_t)b->size);
}

/* Likewise. */
int daxkv_db_dup_compare(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *a,
                         const struct daxkv_val *b)
{
	const struct order *o = order_of(txn, db, a, b);

	if (!o)
		return 0;
	return order_dup_cmp(o, a->data, (uint32_t)a->size, b->data, (uint32_t)b->size);
}
