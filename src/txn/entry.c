/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * entry.c - putting and removing an entry. See entry.h
 *
 * A put asks first and changes then: every answer that needs no change (EXIST, a pair that is
 * there) comes before anything is touched, so that a refused put leaves the transaction usable. A
 * failure behind that breaks it (txn_break), because pages may be half changed.
 *
 *   entry_put        inlined: an ascending key of the sizes of the last one, into a batch
 *   entry_put_any    any other put
 *     put_in_batch     ascending, into a batch
 *     entry_put_check  key and value alone
 *     tree_seek_put    the place
 *     entry_put_at     what is there: put_dup_allowed, put_unique_allowed; then put_store
 *
 * Key and value are the caller's memory, or bytes of the store. They are copied into a page during
 * the call, and not needed after it.
 */
#include "txn/entry.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

/* A pair of key and duplicate is searched as one, so it must never be outside its leaf. */
#define PAIR_SLACK 32u /* of half a leaf, for the entry around a pair */

/* Only called when one of the reasons holds. The order of the tests is that of the answers: size,
 * bytes, kind. */
int entry_key_refuse(const struct daxkv_store *store, const struct daxkv_val *key)
{
	if (!key || key->size == 0 || key->size > store->max_key)
		return err_set(DAXKV_KEY_SIZE, "a key of %zu bytes; 1 to %u are possible",
		               key ? key->size : 0, store->max_key);
	if (!key->data)
		return err_set(EINVAL, "a key of %zu bytes, but no bytes", key->size);
	return err_set(DAXKV_KEY_SIZE,
	               "a key of %zu bytes in a database of integer keys: 4 or 8 are possible",
	               key->size);
}

/* A pair must fit half a leaf, as an entry does. Other code counts on that: two entries always have
 * room in one leaf. */
int entry_dup_check(const struct daxkv_store *store, const struct order *o,
                    const struct daxkv_val *key, const struct daxkv_val *dup)
{
	size_t pair = leaf_usable(store->page_size) / 2 - PAIR_SLACK;

	if (!dup->data && dup->size)
		return err_set(EINVAL, "a duplicate of %zu bytes, but no bytes", dup->size);
	if (dup->size > store->max_key || key->size + dup->size > pair)
		return err_set(DAXKV_VALUE_SIZE,
		               "a duplicate of %zu bytes for a key of %zu; at most %u, and %zu "
		               "together, are possible",
		               dup->size, key->size, store->max_key, pair);
	if (o->dup == ORDER_INTEGER && dup->size != 4 && dup->size != 8)
		return err_set(
		    DAXKV_VALUE_SIZE,
		    "a duplicate of %zu bytes in a database of integer values: 4 or 8 are possible",
		    dup->size);
	return 0;
}

/* The numbers are bounded by blob_bytes. The value lies in one piece in the mapping; its length may
 * be more than 32 bits. */
int entry_large(const struct view *v, const struct item *it, struct daxkv_val *value)
{
	struct fmt_blob blob;
	const uint8_t *bytes;

	if (it->vlen != sizeof blob)
		return err_corrupt((uint64_t)(it->key - v->base),
		                   "an entry of %u bytes stands for a large value", it->vlen);
	memcpy(&blob, it->val, sizeof blob);
	int rc = blob_bytes(v, &blob, &bytes);

	if (rc)
		return rc;
	*value = entry_bytes(bytes, 0);
	value->size = blob.len;
	return 0;
}

/* ---- put ------------------------------------------------------------------------------------- */

/* put_append_ok - with APPEND: EXIST unless the key lies behind the last one. With duplicates the
 * key may have some already, so the last entry's key is compared. */
static int put_append_ok(const struct put *p)
{
	struct item it;
	uint32_t eoff;

	if (!p->path->height)
		return 0;
	if (p->path->eoff)
		return DAXKV_EXIST;
	if (!tree_at_end(p->path))
		return DAXKV_EXIST;
	if (!p->s->order.dups)
		return 0;
	if (p->path->rank == 0)
		return 0;
	int rc = leaf_at(&p->path->leaf, p->path->rank - 1, &eoff);

	if (rc)
		return rc;
	rc = leaf_item(&p->path->leaf, eoff, &it);
	if (rc)
		return rc;
	if (order_key_cmp(&p->s->order, it.key, it.klen, p->key->data, (uint32_t)p->key->size) < 0)
		return 0;
	return DAXKV_EXIST;
}

/* put_key_taken - with duplicates: whether the key has any; *it is the first. *it points into its
 * leaf. */
static int put_key_taken(struct put *p, struct item *it, bool *taken)
{
	assert(p->s->order.dups);
	struct probe probe = entry_probe(p->key, NULL, PROBE_BEFORE);
	struct path path;
	int rc = tree_first(&p->s->tree, &probe, &path, it, taken);

	if (rc)
		return rc;
	if (!*taken)
		return 0;
	int side = order_key_cmp(&p->s->order, it->key, it->klen, probe.key, probe.klen);

	*taken = side == 0;
	return 0;
}

/* put_dup_last - whether the pair's place, where it is not yet, lies behind all values of its key.
 * The next entry, which may be in another leaf, has another key then. */
static int put_dup_last(const struct put *p, bool *last)
{
	assert(p->s->order.dups);
	const struct tree *t = &p->s->tree;
	struct path next;
	struct item it;
	bool moved = true;
	uint32_t eoff;
	int rc = 0;

	*last = true;
	if (!p->path->height)
		return 0;
	path_copy(&next, p->path);
	while (!rc && moved && next.rank >= leaf_count(&next.leaf))
		rc = tree_step(t, &next, true, &moved);
	if (rc)
		return rc;
	if (!moved)
		return 0;
	rc = leaf_at(&next.leaf, next.rank, &eoff);
	if (rc)
		return rc;
	rc = leaf_item(&next.leaf, eoff, &it);
	if (rc)
		return rc;
	*last = !order_key_same(t->order, it.key, it.klen, p->key->data, (uint32_t)p->key->size);
	return 0;
}

/* put_fixed_ok - with DUP_FIXED: the value is as long as those that are there. The entry of the
 * leaf that came last stands for all: it was held against the others, and none has come since. */
static int put_fixed_ok(const struct put *p)
{
	struct item it;

	if (!(p->s->flags & DAXKV_DUP_FIXED))
		return 0;
	if (!p->path->height)
		return 0;
	uint32_t eoff = leaf_newest(&p->path->leaf);

	if (!eoff)
		return 0;
	int rc = leaf_item(&p->path->leaf, eoff, &it);

	if (rc)
		return rc;
	if (it.vlen != p->value->size && leaf_count(&p->path->leaf) != 0)
		return err_set(DAXKV_VALUE_SIZE,
		               "a duplicate of %zu bytes in a database whose duplicates have %u",
		               p->value->size, it.vlen);
	return 0;
}

/* put_same - whether the entry at the path has the bytes of key and value: a comparator may call
 * others equal, which are then replaced. */
static int put_same(const struct put *p, bool *same)
{
	struct item it;
	int rc = leaf_item(&p->path->leaf, p->path->eoff, &it);

	*same = false;
	if (rc)
		return rc;
	if (it.klen != p->key->size)
		return 0;
	if (it.vlen != p->value->size)
		return 0;
	if (memcmp(it.key, p->key->data, it.klen) != 0)
		return 0;
	*same = !it.vlen || memcmp(it.val, p->value->data, it.vlen) == 0;
	return 0;
}

/* put_dup_allowed - the answers that need no change: EXIST; *present when the pair is there
 * already. With NO_OVERWRITE the key decides, and *value becomes its first one; without, the pair
 * does. */
static int put_dup_allowed(struct put *p, bool *present)
{
	struct item it;
	bool taken = false;
	bool last = true;
	int rc = put_fixed_ok(p);

	*present = p->path->height && p->path->eoff;
	if (rc)
		return rc;
	if (p->flags & DAXKV_NO_OVERWRITE) {
		rc = put_key_taken(p, &it, &taken);
		if (rc)
			return rc;
		if (!taken)
			return 0;
		rc = entry_value(txn_view(p->txn), &it, p->value);
		if (rc)
			return rc;
		return DAXKV_EXIST;
	}
	if (*present) {
		if (p->flags & (DAXKV_NO_DUP_DATA | DAXKV_APPEND_DUP))
			return DAXKV_EXIST;
		return put_same(p, present);
	}
	if (p->flags & DAXKV_APPEND_DUP && !p->behind) {
		rc = put_dup_last(p, &last);
		if (rc)
			return rc;
		if (!last)
			return DAXKV_EXIST;
		return 0;
	}
	return 0;
}

/* put_unique_allowed - without duplicates: EXIST with the value that is there, or a name that must
 * not be overwritten. */
static int put_unique_allowed(struct put *p)
{
	struct item old;

	if (!p->path->height)
		return 0;
	if (!p->path->eoff)
		return 0;
	int rc = leaf_item(&p->path->leaf, p->path->eoff, &old);

	if (rc)
		return rc;
	if (p->flags & DAXKV_NO_OVERWRITE) {
		rc = entry_value(txn_view(p->txn), &old, p->value);
		if (rc)
			return rc;
		return DAXKV_EXIST;
	}
	if (old.flags & FMT_ENTRY_DB && !(p->entry_flags & FMT_ENTRY_DB))
		return err_set(DAXKV_INCOMPATIBLE, "the key is the name of a database");
	return 0;
}

/* put_is_large - whether the value goes outside the leaf: two entries must always have room in one,
 * so an entry takes half of it at most. */
static bool put_is_large(const struct put *p)
{
	uint32_t usable = leaf_usable(p->txn->store->page_size);
	size_t size = p->value->size;

	if (size > usable) /* it may be more than 32 bits */
		return true;
	return leaf_cost(&p->s->order, (uint32_t)p->key->size, (uint32_t)size) > usable / 2;
}

/* put_store - write the entry, in the leaf or as a blob. With RESERVE *p->value becomes the place
 * of the value, which the caller fills before its next call. */
static int put_store(struct put *p)
{
	struct daxkv_store *store = p->txn->store;
	struct item item = {
	    .key = p->key->data,
	    .klen = (uint32_t)p->key->size,
	    .flags = p->entry_flags,
	};
	bool reserve = p->flags & DAXKV_RESERVE;
	const uint8_t *value;
	struct fmt_blob blob;
	uint64_t leaf;
	int rc;

	dbi_changed(p->txn, p->s);
	if (put_is_large(p)) {
		rc = blob_write(&store->wset, reserve ? NULL : p->value->data, p->value->size,
		                &blob);
		if (rc)
			return rc;
		item.flags |= FMT_ENTRY_BLOB;
		item.val = (const uint8_t *)&blob;
		item.vlen = sizeof blob;
	} else {
		if (reserve)
			item.val = NULL;
		else if (p->value->size)
			item.val = p->value->data;
		else
			item.val = (const uint8_t *)"";
		item.vlen = (uint32_t)p->value->size;
	}
	rc = tree_store(&p->s->tree, p->path, &item, &value, &leaf);
	if (rc)
		return rc;
	if (!reserve)
		return 0;
	p->txn->reserved = (struct reserved){
	    .value = value,
	    .leaf = leaf,
	    .dups = p->s->order.dups ? p->s : NULL,
	    .klen = item.klen,
	    .vlen = item.vlen,
	    .pending = true,
	    .blob = item.flags & FMT_ENTRY_BLOB,
	};
	item.val = value;
	return entry_value(txn_view(p->txn), &item, p->value);
}

/* Before any search: what can be said of key and value alone. */
int entry_put_check(const struct daxkv_store *store, const struct order *o,
                    const struct daxkv_val *key, const struct daxkv_val *value, unsigned int flags)
{
	int rc = entry_key_check(store, o, key);

	if (rc)
		return rc;
	if (!value || (!value->data && value->size && !(flags & DAXKV_RESERVE)))
		return err_set(EINVAL, "no value was given");
	/* the bytes of a reserved one are still to come: the key's stand for them */
	if (o->dups) {
		struct daxkv_val sized = {value->size, value->data ? value->data : key->data};

		return entry_dup_check(store, o, key, &sized);
	}
	if (value->size > store->map.reserve)
		return err_set(DAXKV_VALUE_SIZE,
		               "a value of %zu bytes; the store can have at most %lu", value->size,
		               store->map.reserve);
	return 0;
}

/* The place is known: what remains is whether to put, and where the value lies. Errors before
 * put_store leave the transaction usable. */
int entry_put_at(struct put *p)
{
	assert(p->txn->write);
	assert(p->path);
	bool present = false;
	int rc = 0;

	if (p->flags & DAXKV_APPEND)
		rc = put_append_ok(p);
	if (rc)
		return rc;
	if (p->s->order.dups)
		rc = put_dup_allowed(p, &present);
	else
		rc = put_unique_allowed(p);
	if (rc)
		return rc;
	if (present)
		return 0;
	rc = put_store(p);
	if (rc)
		return txn_break(p->txn, rc);
	return 0;
}

/* put_in_batch - a key behind all others, while more such come: see tree_append.c. *done false: the
 * common way decides, with its texts for what is refused. */
static int put_in_batch(struct daxkv_txn *txn, struct dbstate *s, const struct daxkv_val *key,
                        const struct daxkv_val *value, unsigned int flags, bool *done)
{
	assert(s->tree.batch);
	const struct order *o = &s->order;
	uint32_t half = leaf_usable(txn->store->page_size) / 2;

	*done = false;
	if (flags & ~ENTRY_BATCH_FLAGS)
		return 0;
	if (!entry_plain(txn->store, o, key, value) &&
	    (entry_key_check(txn->store, o, key) || !value || !value->data || value->size > half ||
	     leaf_cost(o, (uint32_t)key->size, (uint32_t)value->size) > half ||
	     (o->dups && entry_dup_check(txn->store, o, key, value))))
		return 0;
	struct item item = {
	    .key = key->data,
	    .klen = (uint32_t)key->size,
	    .val = value->data,
	    .vlen = (uint32_t)value->size,
	};
	int rc = tree_batch_put(&s->tree, &item, flags & (DAXKV_APPEND | DAXKV_NO_OVERWRITE), done);

	if (rc)
		return txn_break(txn, rc);
	return 0;
}

/* put_reserve_dup - with sorted duplicates the place of a value depends on its bytes, which are
 * still to come: it must be its key's first. Until then it is taken as zeros, and sealing it moves
 * it when they lead to another leaf. INCOMPATIBLE, EXIST. *as is what the search takes for the
 * value: as many zeros. */
static int put_reserve_dup(struct put *p, struct daxkv_val *as)
{
	assert(p->value->size <= FMT_PAGE_MAX / 2);
	static const uint8_t zeros[FMT_PAGE_MAX / 2];
	struct item it;
	bool taken;
	int rc;

	*as = entry_bytes(zeros, (uint32_t)p->value->size);
	rc = put_key_taken(p, &it, &taken);
	if (rc)
		return rc;
	if (!taken)
		return 0;
	if (!(p->flags & DAXKV_NO_OVERWRITE))
		return err_set(DAXKV_INCOMPATIBLE,
		               "RESERVE for a key that has sorted duplicates already");
	rc = entry_value(txn_view(p->txn), &it, p->value);
	if (rc)
		return rc;
	return DAXKV_EXIST;
}

/* The common way: check, search, put. The place is the writer's finger: a put behind the last one
 * needs no search. */
int entry_put_any(struct daxkv_txn *txn, struct dbstate *s, const struct daxkv_val *key,
                  struct daxkv_val *value, unsigned int flags, uint32_t entry_flags)
{
	struct put p = {
	    .txn = txn,
	    .s = s,
	    .key = key,
	    .value = value,
	    .flags = flags,
	    .entry_flags = entry_flags,
	    .path = txn->store->scratch.finger,
	};
	bool done = false;
	int rc = 0;

	if (s->tree.batch && !entry_flags)
		rc = put_in_batch(txn, s, key, value, flags, &done);
	if (rc)
		return rc;
	if (done)
		return 0;
	rc = entry_put_check(txn->store, &s->order, key, value, flags);
	if (rc)
		return rc;
	const struct daxkv_val *dup = NULL;
	struct daxkv_val zeros;

	if (s->order.dups)
		dup = value;
	if (UNLIKELY(dup && flags & DAXKV_RESERVE)) {
		rc = put_reserve_dup(&p, &zeros);
		if (rc)
			return rc;
		dup = &zeros;
	}
	struct probe probe = entry_probe(key, dup, PROBE_AT);

	rc = tree_seek_put(&s->tree, &probe, entry_size(txn->store, key, value));
	if (rc)
		return rc;
	return entry_put_at(&p);
}

/* ---- del ------------------------------------------------------------------------------------- */

/* A catalog entry goes with its database only. Its large value goes with it. */
int entry_remove(struct daxkv_txn *txn, struct dbstate *s, struct path *path)
{
	assert(path->height > 0);
	struct item it;
	int rc = leaf_item(&path->leaf, path->eoff, &it);

	if (rc)
		return rc;
	if (it.flags & FMT_ENTRY_DB)
		return err_set(DAXKV_INCOMPATIBLE, "the key is the name of a database: drop it");
	dbi_changed(txn, s);
	rc = tree_remove(&s->tree, path);
	if (rc)
		return txn_break(txn, rc);
	return 0;
}

#define ALONE 4u /* values of a key that go one by one; more by writing their leaf anew */

/* run_end - behind the entries of the path's leaf that have the key of the one at its place. *ends:
 * other keys follow there. Two neighbours with different keys are the common case, and need no
 * search. */
static int run_end(const struct dbstate *s, const struct path *path, const struct item *it,
                   uint32_t *end, bool *ends)
{
	struct probe p = {
	    .key = it->key,
	    .klen = it->klen,
	    .edge = PROBE_AFTER,
	};
	uint32_t n = leaf_count(&path->leaf);
	uint32_t eoff;
	struct item next;
	int rc;

	*end = path->rank + 1;
	*ends = *end < n;
	if (!*ends)
		return 0;
	rc = leaf_at(&path->leaf, *end, &eoff);
	if (rc)
		return rc;
	rc = leaf_item(&path->leaf, eoff, &next);
	if (rc)
		return rc;
	if (!order_key_same(&s->order, next.key, next.klen, it->key, it->klen))
		return 0;
	rc = leaf_place(&path->leaf, &s->order, &p, end, &eoff);
	*ends = *end < n;
	if (rc)
		return rc;
	if (UNLIKELY(*end <= path->rank || *end > n))
		return err_corrupt(path->leaf.off, "leaf: an entry is not where a search leads");
	return 0;
}

/* A few values go one by one, as tombstones; many by their leaves, or as a range. Each removal may
 * replace the leaf, so the next value is searched anew, until the key has none. */
int entry_remove_all(struct daxkv_txn *txn, struct dbstate *s, const uint8_t *key, uint32_t klen)
{
	/* the caller's bytes may lie in a page that changes */
	uint8_t *copy = txn->store->scratch.pair;
	struct probe first = {
	    .key = copy,
	    .klen = klen,
	    .edge = PROBE_BEFORE,
	};
	struct probe behind = first;
	uint64_t removed = 0;
	bool ends = false;

	assert(txn->write);
	/* A cursor's key comes from a page, and may be longer than any put lets it be. */
	if (UNLIKELY(klen > txn->store->max_key))
		return err_corrupt(0, "a key of %u bytes", klen);
	memcpy(copy, key, klen);
	behind.edge = PROBE_AFTER;
	for (;; removed++) {
		struct path path;
		struct item it;
		uint32_t end;
		bool found;
		int rc = tree_first(&s->tree, &first, &path, &it, &found);

		if (rc)
			return rc;
		if (!found || order_key_cmp(&s->order, it.key, it.klen, copy, klen) != 0) {
			if (removed)
				return 0;
			return DAXKV_NOT_FOUND;
		}
		rc = run_end(s, &path, &it, &end, &ends);
		if (rc)
			return rc;
		if (end - path.rank > ALONE) {
			dbi_changed(txn, s);
			if (ends)
				rc = tree_tally_cut(&s->tree, &first, &behind, &removed);
			if (ends && !rc)
				rc = tree_leaf_without(&s->tree, &path, path.rank, end);
			if (!ends)
				rc = tree_cut(&s->tree, &first, &behind, &removed);
			if (rc)
				return txn_break(txn, rc);
			return 0;
		}
		ends = ends && end - path.rank == 1;
		rc = entry_remove(txn, s, &path);
		if (rc)
			return rc;
		if (ends)
			return 0;
	}
}
