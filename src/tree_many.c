/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_many.c - several lookups at once.
 *
 * A lookup is paid in cache misses that wait for each other: page after page, then the entry. Here a group of lookups goes down the tree
 * level by level: each
 * step of all of them is taken before the next, and what the next step will touch is prefetched meanwhile, so the misses of a group
 * overlap. All leaves of
 * a snapshot are at one depth, so the group stays together.
 */
#include "tree.h"

#define LEAF_LINES 8u
#define INNER_LINES 8u

struct many { /* one lookup of a group */
	const struct fmt_page *page;
	uint64_t at, ref; /* the page's offset; the kid to go to */
	uint32_t fp;
};

static void prefetch_page(const struct tree *t, uint64_t ref, unsigned int lines)
{
	if (ref < view_size(t->view))
		for (unsigned int i = 0; i < lines; i++)
			__builtin_prefetch(t->view->base + ref + i * FMT_LINE);
}

/* step_down - one level for all. */
static int step_down(const struct tree *t, const struct lookup *l, struct many *m, unsigned int n, unsigned int level)
{
	for (unsigned int i = 0; i < n; i++) {
		struct probe p = {.key = l[i].key, .klen = l[i].klen};
		uint32_t index;
		int rc = inner_find(t->view, m[i].page, m[i].at, t->order, &p, &index);

		if (rc)
			return rc;
		m[i].ref = inner_kid(t->view, m[i].page, m[i].at, index);
		prefetch_page(t, m[i].ref, level == 1 ? LEAF_LINES : INNER_LINES);
	}
	for (unsigned int i = 0; i < n; i++) {
		int rc = view_page(t->view, m[i].ref, level - 1, &m[i].page, &m[i].at);

		if (rc)
			return rc;
	}
	return 0;
}

int tree_get_many(const struct tree *t, struct lookup *l, unsigned int n)
{
	struct many m[TREE_MANY];
	const struct fmt_page *root;
	uint64_t at = 0;
	int rc = tree_root(t, &root, &at);

	assert(n <= TREE_MANY);
	for (unsigned int i = 0; i < n; i++)
		l[i].found = false;
	if (rc || !root)
		return rc;
	for (unsigned int i = 0; i < n; i++) {
		m[i].page = root;
		m[i].at = at;
		m[i].fp = order_fp(l[i].key, l[i].klen);
	}
	for (unsigned int level = root->level; level && !rc; level--)
		rc = step_down(t, l, m, n, level);
	for (unsigned int i = 0; i < n && !rc; i++)
		leaf_expect(t->view, m[i].page, m[i].at, t->order, l[i].key, l[i].klen, m[i].fp);
	for (unsigned int i = 0; i < n && !rc; i++)
		rc = leaf_get(t->view, m[i].page, m[i].at, t->order, l[i].key, l[i].klen, m[i].fp, &l[i].item, &l[i].found);
	return rc;
}
