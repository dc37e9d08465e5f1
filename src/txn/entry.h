/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * entry.h - one key and its value: what may be stored, and how it is put and removed.
 *
 * These work on a database that the transaction has found, by a path of its tree. They know neither
 * cursors nor the checks of a call: api/get_put.c and api/cursor.c are the public calls on top.
 */
#ifndef DAXKV_ENTRY_H
#define DAXKV_ENTRY_H

#include "txn/dbi.h"

/* The flags of a put that an append batch keeps by itself, because a key behind all others is new;
 * and all that a put takes, cursors' CURRENT aside. A call refuses what it does not know. */
#define ENTRY_BATCH_FLAGS                                                                          \
	((unsigned int)(DAXKV_NO_OVERWRITE | DAXKV_NO_DUP_DATA | DAXKV_APPEND | DAXKV_APPEND_DUP))
#define ENTRY_PUT_FLAGS (ENTRY_BATCH_FLAGS | (unsigned int)DAXKV_RESERVE)

/* entry_put - daxkv_put without its checks of the transaction; flags of the entry for catalog
 * entries. The commonest put of ascending keys is done here: a load by put is as fast as this.
 * entry_put_any - every other put. */
int entry_put_any(struct daxkv_txn *txn, struct dbstate *state, const struct daxkv_val *key,
                  struct daxkv_val *value, unsigned int flags, uint32_t entry_flags);
/* entry_put - see above entry_put_any. */
ALWAYS_INLINE int entry_put(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
                            struct daxkv_val *value, unsigned int flags, uint32_t entry_flags)
{
	struct dbstate *s;
	int rc = dbi_state(txn, db, &s);

	if (UNLIKELY(rc))
		return rc;
	if (s->tree.batch && !entry_flags && !(flags & ~ENTRY_BATCH_FLAGS) && key && value &&
	    value->data && leaf_pack_like(&s->tree.batch->pack, key->size, value->size)) {
		struct item item = {
		    .key = key->data,
		    .klen = (uint32_t)key->size,
		    .val = value->data,
		    .vlen = (uint32_t)value->size,
		};

		if (LIKELY(tree_batch_add(&s->tree, &item)))
			return 0;
	}
	return entry_put_any(txn, s, key, value, flags, entry_flags);
}

/* entry_put_check - KEY_SIZE, VALUE_SIZE, INCOMPATIBLE, EINVAL unless key and value suit the
 * database. entry_put_at - the rest of a put, whose place path has. Errors of daxkv_put. */
struct put {
	struct daxkv_txn *txn;
	struct dbstate *s;
	const struct daxkv_val *key;
	struct daxkv_val *value;
	unsigned int flags;
	uint32_t entry_flags;
	struct path *path;
	bool behind; /* with duplicates: the place is known to lie behind all values of its key */
};
int entry_put_check(const struct daxkv_store *store, const struct order *order,
                    const struct daxkv_val *key, const struct daxkv_val *value, unsigned int flags);
int entry_put_at(struct put *put);

/* entry_probe - what is searched for a key, or for a pair. */
static inline struct probe entry_probe(const struct daxkv_val *key, const struct daxkv_val *dup,
                                       enum probe_edge edge)
{
	struct probe p = {
	    .key = key->data,
	    .klen = (uint32_t)key->size,
	    .edge = edge,
	};

	if (dup) {
		p.dup = dup->data;
		p.dlen = (uint32_t)dup->size;
	}
	return p;
}

/* entry_remove - take out the entry that path has. entry_remove_all - all pairs of a key;
 * NOT_FOUND. INCOMPATIBLE for a catalog entry. */
int entry_remove(struct daxkv_txn *txn, struct dbstate *state, struct path *path);
int entry_remove_all(struct daxkv_txn *txn, struct dbstate *state, const uint8_t *key,
                     uint32_t klen);

/* entry_bytes - bytes of a page, which the caller promises not to write. */
static inline struct daxkv_val entry_bytes(const uint8_t *p, uint32_t size)
{
	union {
		const uint8_t *in;
		void *out;
	} bytes = {p};

	return (struct daxkv_val){size, bytes.out};
}

/* entry_size - bytes of key and value that a leaf gets. */
static inline uint32_t entry_size(const struct daxkv_store *store, const struct daxkv_val *key,
                                  const struct daxkv_val *value)
{
	return (uint32_t)(key->size + (value->size < store->page_size / 2
	                                   ? value->size
	                                   : sizeof(struct fmt_blob)));
}

/* entry_value - an item's value as the caller gets it. CORRUPT. entry_large - of one that lies
 * outside its page. */
int entry_large(const struct view *view, const struct item *item, struct daxkv_val *value);
/* entry_value - see above entry_large. */
static inline int entry_value(const struct view *view, const struct item *item,
                              struct daxkv_val *value)
{
	if (UNLIKELY(item->flags & FMT_ENTRY_BLOB))
		return entry_large(view, item, value);
	*value = entry_bytes(item->val, item->vlen);
	return 0;
}

/* entry_key_check - KEY_SIZE unless the key suits the database. entry_dup_check - VALUE_SIZE
 * likewise. */
int entry_key_refuse(const struct daxkv_store *store, const struct daxkv_val *key);
/* entry_key_check - see above entry_key_refuse. */
static inline int entry_key_check(const struct daxkv_store *store, const struct order *order,
                                  const struct daxkv_val *key)
{
	if (LIKELY(key && key->data && key->size - 1 < store->max_key &&
	           (order->key != ORDER_INTEGER || key->size == 4 || key->size == 8)))
		return 0;
	return entry_key_refuse(store, key);
}
/* entry_plain - whether key and value are such as most are: bytes, without duplicates, together in
 * a leaf. No check refuses those. */
#define ENTRY_SLACK 32u /* more than what an entry takes beside key and value */
static inline bool entry_plain(const struct daxkv_store *store, const struct order *order,
                               const struct daxkv_val *key, const struct daxkv_val *value)
{
	if (order->key != ORDER_BYTES)
		return false;
	if (order->dups)
		return false;
	if (!key || !value)
		return false;
	if (!key->data || !value->data)
		return false;
	if (key->size - 1 >= store->max_key)
		return false;
	return value->size <= leaf_usable(store->page_size) / 2 - ENTRY_SLACK - key->size;
}
int entry_dup_check(const struct daxkv_store *store, const struct order *order,
                    const struct daxkv_val *key, const struct daxkv_val *dup);

#endif
