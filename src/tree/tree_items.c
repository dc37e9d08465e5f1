/* SPDX-License-Identifier: BSD-3-Clause */
/* tree_items.c - the entries of a leaf that is to be written anew, and what stands between leaves.
 * See tree.h */
#include "tree/tree.h"

#include "base/err.h"

/* items_damaged - entries that no leaf can have: some lie over each other, or one is as long as no
 * put makes it. Written anew they would not fit where others do. */
static bool items_damaged(uint32_t psize, uint32_t total, uint32_t longest)
{
	return total > psize || longest > leaf_usable(psize) / 2;
}

int tree_leaf_items(struct tree *t, const struct leaf *leaf, struct item *items, uint32_t *n)
{
	int rc = leaf_offsets(leaf, t->scratch->offsets, n);
	uint32_t total = 0;
	uint32_t longest = 0;

	for (uint32_t i = 0; i < *n && !rc; i++) {
		uint32_t size;

		rc = leaf_item(leaf, t->scratch->offsets[i], &items[i]);
		size = items[i].klen + items[i].vlen;
		total += size;
		if (size > longest)
			longest = size;
	}
	if (rc)
		return rc;
	if (UNLIKELY(items_damaged(leaf->psize, total, longest)))
		rc = err_corrupt(leaf->off, "leaf: %u entries of %u bytes together, one of %u", *n,
		                 total, longest);
	return rc;
}

uint32_t tree_items_cost(const struct tree *t, const struct item *items, uint32_t n)
{
	uint32_t each = leaf_costs(t->order, items, n);
	uint32_t cost = each * n;

	for (uint32_t i = 0; !each && i < n; i++)
		cost += leaf_cost(t->order, items[i].klen, items[i].vlen);
	return cost;
}

void tree_separator(const struct tree *t, const struct item *a, const struct item *b, uint8_t *buf,
                    struct sep *sep)
{
	struct separation s = order_separate(t->order, a->key, a->klen, a->val, a->vlen, b->key,
	                                     b->klen, b->val, b->vlen);
	uint32_t dlen = 0;

	if (s.dlen != FMT_SEP_NODUP)
		dlen = s.dlen;
	memcpy(buf, b->key + s.koff, s.klen);
	if (dlen)
		memcpy(buf + s.klen, b->val + s.doff, dlen);
	*sep = (struct sep){
	    .key = buf,
	    .dup = buf + s.klen,
	    .klen = s.klen,
	    .dlen = s.dlen,
	};
}

int tree_items_without(struct tree *t, const struct path *path, struct item *items, uint32_t *n)
{
	int rc = tree_leaf_items(t, &path->leaf, items, n);

	if (rc)
		return rc;
	memmove(items + path->rank, items + path->rank + 1, (--*n - path->rank) * sizeof *items);
	return 0;
}
