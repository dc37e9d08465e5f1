/* SPDX-License-Identifier: BSD-3-Clause */
/* cover_tree.c - see cover_tree.h. The linker leads the engine's calls through here. */
#include "cover_tree.h"

#include "synced.h"
#include "txn/commit.h"
#include "txn/desc.h"
#include "txn/store.h"

struct cover_tree cover_tree;

/* WRAP - declares the engine's way to a call, and the call itself. */
#define WRAP(name, ...)                                                                            \
	int __real_##name(__VA_ARGS__);                                                            \
	int __wrap_##name(__VA_ARGS__);                                                            \
	int __wrap_##name(__VA_ARGS__)

WRAP(wset_retire_extent, struct wset *w, uint64_t off, uint64_t pages)
{
	const struct wpage *wp = wset_find(w, off);

	cover_tree.own_large += wp && wp->owner;
	return __real_wset_retire_extent(w, off, pages);
}

WRAP(desc_says, const struct view *v, const struct fmt_db *catalog, bool counts,
     struct desc_says *says)
{
	int rc = __real_desc_says(v, catalog, counts, says);

	cover_tree.empty += !rc && counts && !says->root && !says->desc;
	cover_tree.leaf += !rc && counts && says->root && !says->desc;
	return rc;
}

WRAP(desc_new, struct wset *w, uint32_t flags, uint64_t count, uint64_t prev, uint64_t *off)
{
	cover_tree.described += count > 0 && !prev; /* the main database's has one before it */
	return __real_desc_new(w, flags, count, prev, off);
}

WRAP(tree_join, struct tree *t, const struct path *path, struct item *items, uint32_t *n,
     uint32_t total, struct change *change, uint64_t *sibling)
{
	int rc = __real_tree_join(t, path, items, n, total, change, sibling);

	cover_tree.joins += !rc && *sibling;
	return rc;
}

WRAP(tree_tally_flush, struct tree_scratch *s, struct wset *w)
{
	cover_tree.noted += s->nnoted;
	cover_tree.owed += s->nowing;
	return __real_tree_tally_flush(s, w);
}

WRAP(space_trim, struct space *s, uint64_t floor, bool all, bool *cut)
{
	int rc = __real_space_trim(s, floor, all, cut);

	cover_tree.trims += !rc && *cut;
	cover_tree.trims_held += !rc && *cut && s->limbo.n;
	cover_tree.trims_to_floor += !rc && *cut && s->end == floor;
	return rc;
}

WRAP(map_memory, struct map *map, uint64_t size)
{
	int rc = __real_map_memory(map, size);

	cover_tree.memory += !rc;
	return rc;
}

/* A dead page in memory knows its place in the file, if it got one. */
WRAP(commit_memory_out, struct daxkv_txn *txn)
{
	const struct wset *w = &txn->store->wset;
	int rc = __real_commit_memory_out(txn);

	for (size_t i = 0; !rc && i < w->n; i++) {
		const struct wpage *wp = wset_at(w, i);
		const struct wpage *copy =
		    map_in_memory(w->map, wp->off) && wp->val[0] ? wset_find(w, wp->val[0]) : NULL;

		cover_tree.memory_out += copy && copy->owner && !copy->dead;
		cover_tree.memory_lazy += copy && copy->owner && !copy->dead && synced_lazy();
	}
	return rc;
}
