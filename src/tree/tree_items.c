/* SPDX-License-Identifier: BSD-3-Clause */
/* tree_items.c - the entries of a leaf that is to be written anew, and what stands between leaves.
 * See tree.h */
#include "tree/tree.h"

#include "base/err.h"

/* items_damaged - entries that no leaf can have: some lie over each other, or one is as long as no
 * put makes it. Written anew they would not fit where others do. The caller raises CORRUPT: to
 * write them would go beyond the page that is built. */
static bool items_damaged(uint32_t psize, uint32_t total, uint32_t longest)
{
	if (total > psize)
		return true;
	return longest > leaf_usable(psize) / 2;
}

/* uniform_items - tree_leaf_items of a uniform base without a tail: each entry lies behind the one
 * before it. False: it is another leaf, or one that needs a closer look. */
static bool uniform_items(const struct leaf *leaf, struct item *items, uint32_t *n)
{
	const struct fmt_page *page = leaf->page;
	const uint32_t klen = page->heads & FMT_KLEN_MASK;
	const uint32_t vlen = page->offs;
	const uint32_t stride = uniform_stride(klen, vlen);
	const uint8_t *key = (const uint8_t *)page + FMT_LEAF_BASE + 8u * page->n;

	if (leaf->nslots || !(page->heads & FMT_UNIFORM))
		return false;
	if (page->n > LEAF_MAX(leaf->psize))
		return false;
	if (FMT_LEAF_BASE + page->n * (8 + stride) > leaf->psize)
		return false;
	if (items_damaged(leaf->psize, page->n * (klen + vlen), klen + vlen))
		return false;
	*n = page->n;
	for (uint32_t i = 0; i < *n; i++, key += stride)
		items[i] = (struct item){
		    .key = key,
		    .val = key + klen,
		    .klen = klen,
		    .vlen = vlen,
		};
	return true;
}

/* In the order of the leaf, to memory of the caller's: room for LEAF_MAX. The items point into the
 * page: they are good until it is rewritten. Uses scratch->offsets. */
int tree_leaf_items(struct tree *t, const struct leaf *leaf, struct item *items, uint32_t *n)
{
	assert(t->scratch);
	if (uniform_items(leaf, items, n))
		return 0;
	uint16_t *offsets = t->scratch->offsets;
	int rc = leaf_offsets(leaf, offsets, n);
	const uint32_t entries = *n;
	uint32_t total = 0;
	uint32_t longest = 0;

	if (rc)
		return rc;
	for (uint32_t i = 0; i < entries; i++) {
		struct item *it = &items[i];

		rc = leaf_item(leaf, offsets[i], it);
		if (rc)
			return rc;
		uint32_t size = it->klen + it->vlen;

		total += size;
		if (size > longest)
			longest = size;
	}
	if (UNLIKELY(items_damaged(leaf->psize, total, longest)))
		return err_corrupt(leaf->off, "leaf: %u entries of %u bytes together, one of %u",
		                   entries, total, longest);
	return 0;
}

/* Entries of one size need no sum: a uniform base takes the same for each. */
uint32_t tree_items_cost(const struct tree *t, const struct item *items, uint32_t n)
{
	uint32_t each = leaf_costs(t->order, items, n);
	uint32_t cost = each * n;

	for (uint32_t i = 0; !each && i < n; i++)
		cost += leaf_cost(t->order, items[i].klen, items[i].vlen);
	return cost;
}

/* As short as the order allows, so that inner pages hold many: what tells b from a, not all of b.
 */
void tree_separator(const struct tree *t, const struct item *a, const struct item *b, uint8_t *buf,
                    struct sep *sep)
{
	struct separation s = order_separate(t->order, a->key, a->klen, a->val, a->vlen, b->key,
	                                     b->klen, b->val, b->vlen);
	struct sep shortest = {
	    .key = b->key + s.koff,
	    .dup = b->val + s.doff,
	    .klen = s.klen,
	    .dlen = s.dlen,
	};

	*sep = tree_sep_copy(&shortest, buf);
}

/* NODUP stands for "before all of the key's duplicates", and has no bytes. */
struct sep tree_sep_copy(const struct sep *from, uint8_t *to)
{
	uint32_t dlen = tree_sep_bytes(from) - from->klen;
	struct sep copy = *from;

	memcpy(to, from->key, from->klen);
	if (dlen)
		memcpy(to + from->klen, from->dup, dlen);
	copy.key = to;
	copy.dup = to + from->klen;
	return copy;
}

/* For the removal of the entry that the path has found. */
int tree_items_without(struct tree *t, const struct path *path, struct item *items, uint32_t *n)
{
	int rc = tree_leaf_items(t, &path->leaf, items, n);

	if (rc)
		return rc;
	struct item *gone = items + path->rank;
	uint32_t behind = *n - path->rank - 1;

	memmove(gone, gone + 1, behind * sizeof *items);
	*n -= 1;
	return 0;
}
