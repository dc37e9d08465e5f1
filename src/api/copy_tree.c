/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copy_tree.c - one database of a copy: its tree, built from below. See copy.h
 *
 *   entry_out -> leaf in the making -> leaf_out -> copy_level_add -> page in the making at level 1
 *                                                                -> ... level 2, and so on
 *
 * A page is given out when it is full, and becomes a kid one level up, with the separator before
 * it. At the end tree_out gives out what is still in the making, from below.
 *
 * It is like a load (tree_load.c), but for an empty tree, and its pages go to the caller instead of
 * a store. They are all of one commit, that of the snapshot, and have no prev: the copy has no
 * older snapshots.
 */
#include "api/copy.h"
#include "base/crc.h"
#include "base/err.h"
#include "page/blob.h"

#include <stdlib.h>

#define FILL 90u /* percent of a page, as of a load: a later update needs room */

struct level { /* the page in the making, of one level above the leaves */
	/* kids so far */
	uint32_t n;
	/* bytes of the page that they and their separators take */
	uint32_t cost;
	/* of buf that the separators take */
	uint32_t bytes;
	/* their places in the copy; the level's one allocation begins here */
	uint64_t *kids;
	/* pages of this level that were given out */
	uint64_t written;
	/* between the kids: one less than these */
	struct sep *seps;
	uint8_t *buf;    /* the separators' bytes */
	struct sep left; /* between the page before and this one */
	uint8_t *left_buf;
};

struct copy_build {
	struct copy *copy;
	const struct tree *tree; /* which is copied */
	uint64_t txn;            /* of which all pages are */
	/* what was given out so far, for the descriptor */
	uint64_t entries;
	uint64_t leaf_pages;
	uint64_t inner_pages;
	uint64_t blob_pages;
	struct leaf_pack pack;
	/* between the leaf before and the one in the making; its bytes lie in left_buf, which has
	 * two pages: the next separator is made in the one while the other is still needed */
	struct sep left;
	uint8_t *left_buf;
	struct level level[TREE_DEPTH];
};

/* copy_page - a page with a header, whose checksum leaves the place out. *off: where it lies in the
 * copy. The place, which is known only here, goes into the checksum. used: bytes from the page's
 * begin; zeros follow. Errors of copy_put. */
static int copy_page(struct copy *copy, uint8_t *image, uint32_t used, uint64_t *off)
{
	assert(used <= copy->psize);
	((struct fmt_page *)(void *)image)->crc ^= crc32c_place(copy->at);
	return copy_put(copy, image, used, off);
}

/* level_ready - memory for a level's kids and separators, when it is first used: one allocation,
 * which begins with kids. ENOMEM. build_free gives it back. */
static int level_ready(struct level *v, uint32_t psize)
{
	size_t most = INNER_MAX(psize) + 2;
	size_t kids = most * sizeof *v->kids;
	size_t seps = most * sizeof *v->seps;
	uint8_t *p;

	if (v->kids)
		return 0;
	p = malloc(kids + seps + 3 * (size_t)psize);
	if (!p)
		return err_set(ENOMEM, "no memory for pages in the making");
	v->kids = (void *)p;
	v->seps = (void *)(p + kids);
	v->buf = p + kids + seps;
	v->left_buf = v->buf + 2 * (size_t)psize;
	return 0;
}

/* copy_level_write - the level's kids become a page, which is given out. *off: its place in the
 * copy. The kids stay noted: the caller empties the level, or ends with it. */
static int copy_level_write(struct copy_build *b, unsigned int level, uint64_t *off)
{
	assert(b->level[level].n > 0);
	struct copy *copy = b->copy;
	struct level *v = &b->level[level];
	uint32_t used = inner_build(copy->image, copy->psize, b->tree->order, v->seps, v->kids,
	                            v->n - 1, level, b->txn, 0);

	b->inner_pages++;
	v->written++;
	return copy_page(copy, copy->image, used, off);
}

static int copy_level_add(struct copy_build *b, unsigned int level, const struct sep *sep,
                          uint64_t kid);

/* copy_level_full - the level's page is given out, and the next one begins without a kid. The page
 * goes to its parent first, which copies the separator, and then the memory is used for the next
 * one. The recursion is as deep as the tree. */
static int copy_level_full(struct copy_build *b, unsigned int level)
{
	struct level *v = &b->level[level];
	const struct sep *left = NULL;
	uint64_t off;
	int rc = copy_level_write(b, level, &off);

	if (rc)
		return rc;
	if (v->written > 1)
		left = &v->left;
	rc = copy_level_add(b, level + 1, left, off);
	v->n = 0;
	v->cost = 0;
	v->bytes = 0;
	return rc;
}

/* copy_level_add - a page of the level below, behind sep (NULL: the level's first). As deep as the
 * tree. */
static int copy_level_add(struct copy_build *b, unsigned int level, const struct sep *sep,
                          uint64_t kid)
{
	struct level *v = &b->level[level];
	uint32_t psize = b->copy->psize;
	uint32_t most = inner_usable(psize) * FILL / 100;
	int rc;

	if (level >= TREE_DEPTH - 1)
		return err_corrupt(kid, "a tree of %u levels", level);
	rc = level_ready(v, psize);
	if (rc)
		return rc;
	if (v->n > 1 && v->cost + inner_cost(sep) > most) {
		rc = copy_level_full(b, level);
		if (rc)
			return rc;
	}
	if (v->n == 0) {
		v->left = (struct sep){0};
		if (sep)
			v->left = tree_sep_copy(sep, v->left_buf);
	} else {
		assert(sep);
		v->seps[v->n - 1] = tree_sep_copy(sep, v->buf + v->bytes);
		v->bytes += tree_sep_bytes(sep);
		v->cost += inner_cost(sep);
	}
	v->kids[v->n] = kid;
	v->n++;
	return 0;
}

/* leaf_out - the leaf in the making is given out, and its parent has it. The caller empties it.
 * b->left is the separator before this leaf still. */
static int leaf_out(struct copy_build *b)
{
	assert(b->pack.n > 0);
	uint32_t used = leaf_pack_build(&b->pack, b->tree->order, b->txn, 0);
	const struct sep *left = NULL;
	uint64_t off;
	int rc = copy_page(b->copy, b->pack.page, used, &off);

	if (rc)
		return rc;
	if (b->leaf_pages > 0)
		left = &b->left;
	b->leaf_pages++;
	return copy_level_add(b, 1, left, off);
}

/* value_out - a large value; blob is its place, old and then new. Its checksum is compared in the
 * first pass, and stays what it was. A snapshot does not change, so the second pass need not
 * compare it again. Errors: CORRUPT, and those of copy_put. */
static int value_out(struct copy_build *b, struct fmt_blob *blob)
{
	const uint8_t *bytes;
	int rc = blob_bytes(&b->copy->txn->view, blob, &bytes);

	if (rc)
		return rc;
	if (!b->copy->write && crc32c(0, bytes, blob->len) != blob->crc)
		rc = err_corrupt(blob->off, "a value of %lu bytes: its checksum does not match",
		                 blob->len);
	if (rc)
		return rc;
	b->blob_pages += blob_pages(blob->len, b->copy->psize);
	return copy_put(b->copy, bytes, blob->len, &blob->off);
}

/* value_of - what the entry will have as its value, when that names other pages; room for it is the
 * caller's. A catalog entry names what named_out has given out for it, in the order of the entries.
 */
static int value_of(struct copy_build *b, struct item *it, struct fmt_blob *blob,
                    struct fmt_db *catalog)
{
	assert(it->flags & (FMT_ENTRY_BLOB | FMT_ENTRY_DB));
	struct copy *copy = b->copy;
	int rc;

	if (it->flags & FMT_ENTRY_BLOB) {
		if (it->vlen != sizeof *blob)
			return err_corrupt(0, "a large value's place of %u bytes", it->vlen);
		memcpy(blob, it->val, sizeof *blob);
		rc = value_out(b, blob);
		it->val = (const uint8_t *)blob;
		return rc;
	}
	if (it->vlen != sizeof *catalog || copy->desc_used == copy->ndesc)
		return err_corrupt(0, "a catalog entry of %u bytes", it->vlen);
	memcpy(catalog, it->val, sizeof *catalog);
	catalog->desc = copy->desc[copy->desc_used++];
	it->val = (const uint8_t *)catalog;
	return 0;
}

/* entry_out - for copy_each: the entry goes into the leaf in the making, which is given out first
 * when it has no room. A new leaf begins with the entry that had no room, and with the separator
 * between it and the last one of the leaf before. CORRUPT: an entry is larger than any that a store
 * takes. */
static int entry_out(void *arg, struct item *it)
{
	struct copy_build *b = arg;
	/* its value may be one of these two, which end with this function */
	struct item out = *it;
	struct fmt_blob blob;
	struct fmt_db catalog;
	int rc = 0;

	if (it->flags & (FMT_ENTRY_BLOB | FMT_ENTRY_DB))
		rc = value_of(b, &out, &blob, &catalog);
	b->entries++;
	if (rc)
		return rc;
	if (leaf_pack_add(&b->pack, b->tree->order, &out))
		return 0;
	if (b->pack.n == 0)
		return err_corrupt(0, "an entry that no leaf has room for");
	struct item last = leaf_pack_item(&b->pack, b->pack.n - 1);
	struct sep next;
	uint8_t *buf = b->left_buf + (b->leaf_pages % 2 ? 0 : b->copy->psize);

	tree_separator(b->tree, &last, &out, buf, &next); /* leaf_out moves what last is */
	rc = leaf_out(b);
	b->left = next;
	b->pack.n = 0;
	if (rc)
		return rc;
	if (!leaf_pack_add(&b->pack, b->tree->order, &out))
		rc = err_corrupt(0, "an entry that no leaf has room for");
	return rc;
}

/* tree_out - what is still in the making; *root: 0 when there is nothing. A level that has given
 * out no page and has one kid adds nothing: that kid is the root. A level whose first page is its
 * last one ends the walk, with that page as the root. */
static int tree_out(struct copy_build *b, uint64_t *root)
{
	int rc = 0;

	if (b->pack.n)
		rc = leaf_out(b);
	*root = 0;
	for (unsigned int level = 1; !rc && b->level[level].n; level++) {
		struct level *v = &b->level[level];

		if (v->written == 0 && v->n == 1) { /* a page alone needs none above it */
			*root = v->kids[0];
			return 0;
		}
		rc = copy_level_write(b, level, root);
		if (rc)
			return rc;
		if (v->written > 1)
			rc = copy_level_add(b, level + 1, &v->left, *root);
	}
	return rc;
}

/* desc_out - the database's descriptor, with the counts of what was given out. Its place is *off.
 * It is written behind the trees, because it names their roots and counts the pages of the first.
 */
static int desc_out(struct copy_build *b, uint32_t flags, uint64_t root, uint64_t tallies,
                    uint64_t *off)
{
	struct fmt_desc *desc = (void *)b->copy->image;

	memset(desc, 0, b->copy->psize);
	desc->page = (struct fmt_page){
	    .birth = b->txn,
	    .type = FMT_DESC,
	    .end = FMT_DESC_COUNTS,
	};
	desc->flags = flags;
	desc->base_count = b->entries;
	desc->root = root;
	desc->leaf_pages = b->leaf_pages;
	desc->inner_pages = b->inner_pages;
	desc->blob_pages = b->blob_pages;
	desc->tallies = tallies;
	desc->page.crc = desc_crc(desc);
	return copy_page(b->copy, b->copy->image, b->copy->psize, off);
}

/* build_free - safe on NULL, and on what build_new left half-way. */
static void build_free(struct copy_build *b)
{
	if (!b)
		return;
	for (unsigned int i = 0; i < TREE_DEPTH; i++)
		free(b->level[i].kids);
	free(b->pack.page);
	free(b->pack.off);
	free(b->left_buf);
	free(b);
}

/* build_new - of a tree, which need not be known yet. ENOMEM; build_free in any case. */
static int build_new(struct copy *copy, const struct tree *tree, struct copy_build **out)
{
	const uint32_t psize = copy->psize;
	struct copy_build *b = calloc(1, sizeof *b);

	*out = b;
	if (b) {
		b->copy = copy;
		b->tree = tree;
		b->txn = copy->txn->view.snapshot;
		b->pack = (struct leaf_pack){
		    .page = malloc(2 * (size_t)psize),
		    .off = malloc(LEAF_PACK_MAX(psize) * sizeof *b->pack.off),
		    .psize = psize,
		    .limit = FMT_LEAF_BASE + leaf_usable(psize) * FILL / 100,
		};
		b->left_buf = malloc(2 * (size_t)psize);
	}
	if (b && b->pack.page && b->pack.off && b->left_buf)
		return 0;
	return err_set(ENOMEM, "no memory for a copy");
}

/* tallies_out - the tree of the database's tallies; *root: 0 when there is none. */
static int tallies_out(struct copy *copy, const struct dbstate *state, uint64_t *root)
{
	struct copy_build *b = NULL;
	int rc;

	*root = 0;
	if (!state->tallies.root)
		return 0;
	rc = build_new(copy, &state->tallies, &b);
	if (!rc)
		rc = copy_each_tally(copy, state, entry_out, b);
	if (!rc)
		rc = tree_out(b, root);
	build_free(b);
	return rc;
}

/* The memory is for this database alone: a copy has one tree in the making at a time. */
int copy_tree(struct copy *copy, const struct fmt_db *from, bool descriptor, uint64_t *desc)
{
	assert(!copy->txn->write);
	struct copy_build *b = NULL;
	struct dbstate state = {0};
	uint64_t root;
	uint64_t tallies;
	int rc = build_new(copy, &state.tree, &b);

	if (!rc)
		rc = copy_each(copy, from, &state, entry_out, b);
	if (!rc)
		rc = tree_out(b, &root);
	if (!rc)
		rc = tallies_out(copy, &state, &tallies);
	/* a database of one leaf, or of none, has no descriptor */
	if (!rc)
		*desc = root;
	if (!rc && (descriptor || b->leaf_pages > 1 || tallies))
		rc = desc_out(b, state.flags, root, tallies, desc);
	build_free(b);
	return rc;
}
