/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_row.c - whether changes come in a row, or in a group, so that their leaf is better made
 * private.
 *
 * A removal, or another value of the same size, goes to the tail of a leaf that a commit made: some
 * lines of the medium. In a private leaf it is made in the base, where the entry lies: that takes
 * no checksum of its own, no slot, and no leaf that is written anew for every sixteen of them; but
 * the leaf has to be written once. So the first ones of a row go to the tail.
 *
 *   tail, tail, ... (most of them) | the leaf is written | base, base, ... | next leaf: written
 *                                                                            at once
 *
 * A scan that changes what it sees goes on to the next leaf, which is then made private at its
 * first change. What is counted are changes of the running transaction; its very first one is not.
 *
 * On a file a commit's cost is the pages that it makes dirty. A leaf that is appended to is written
 * twice: with its entries by this commit's fence, with its slots by the next one's. A leaf that is
 * written anew goes out once, and the second time its parent does. When the members of a group
 * change more leaves than the tree has inner pages, they share these.
 *
 *   31 members, 7 inner pages   31 leaves + 31 leaves | 31 leaves + 7 inner pages, a bitmap's page
 */
#include "space/space.h"
#include "tree/tree.h"

/* Pages that are scarce are not taken for that. */
int tree_row_begins(struct tree *t, const struct leaf *l, unsigned int most, bool *begins)
{
	struct tree_row *r = &t->scratch->row;
	struct wset *w = t->view->w;
	bool scarce = false;
	int rc = 0;

	if (r->txn != w->txn)
		*r = (struct tree_row){.txn = w->txn};
	if (r->in != l->off) {
		r->n = 0;
		if (r->own >= most)
			r->n = most;
	}
	r->in = l->off;
	r->own = 0;
	r->n++;
	*begins = r->n >= most && l->page->heads & FMT_UNIFORM;
	if (*begins)
		rc = space_scarce(w->space, &scarce);
	*begins = *begins && !scarce;
	return rc;
}
