/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copy.c - a snapshot as a stream of bytes. See copy.h and daxkv.h
 *
 *   copy_run   pass 1   all trees: what does it come to, and is it sound? Nothing is given out
 *              head     superblock, ring, directory, bitmaps, which need those numbers
 *              pass 2   all trees again, this time given out
 *              tail     zeros: the reserve
 *
 * Checksums are compared in the first pass, so a damaged store fails before the caller has a byte.
 *
 * It is a read transaction like any other: writers go on. A snapshot that is given up meanwhile
 * (reader bounds) ends the copy with TOO_OLD.
 */
#include "api/copy.h"

#include "base/array.h"
#include "base/cancel.h"
#include "base/err.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* In the first pass, where write is NULL, only the place is counted on. */
int copy_put(struct copy *copy, const void *bytes, uint64_t n, uint64_t *off)
{
	assert(copy->at % copy->psize == 0);
	const uint64_t pad = round_up(n, copy->psize) - n;
	int rc = 0;

	*off = copy->at;
	copy->at += n + pad;
	if (copy->write && n)
		rc = copy->write(bytes, n, copy->arg);
	if (copy->write && pad && !rc)
		rc = copy->write(copy->zeros, pad, copy->arg);
	return rc;
}

/* leaf_each - the entries of the path's leaf, in order; *found counts them. order is room for
 * LEAF_MAX. Each entry is given out before it is known that the snapshot was still there: what each
 * does with it counts only when this returns 0. */
static int leaf_each(const struct copy *copy, const struct path *path, uint16_t *order,
                     uint64_t *found, copy_entry_fn *each, void *arg)
{
	uint32_t n = 0;
	int rc = leaf_offsets(&path->leaf, order, &n);

	for (uint32_t i = 0; i < n && !rc; i++) {
		struct item it;

		rc = leaf_item(&path->leaf, order[i], &it);
		if (rc)
			break;
		rc = each(arg, &it);
	}
	*found += n;
	return txn_done(copy->txn, rc);
}

/* tree_each - all entries of a tree, in order; *found counts them. seen: inner pages that have just
 * been compared are not compared again for each leaf below. */
static int tree_each(struct copy *copy, const struct tree *tree, uint64_t *found,
                     copy_entry_fn *each, void *arg)
{
	uint64_t seen[TREE_DEPTH] = {0};
	uint16_t *order = malloc(LEAF_MAX(copy->psize) * sizeof *order);
	struct path path;
	bool moved = true;
	int rc;

	*found = 0;
	if (!order)
		return err_set(ENOMEM, "no memory for a copy");
	rc = tree_edge(tree, false, &path);
	if (!rc && !path.height)
		rc = tree_verify(tree, &path, NULL);
	while (!rc && path.height && moved) {
		if (!copy->write) /* before a byte is given out */
			rc = tree_verify(tree, &path, seen);
		if (!rc)
			rc = leaf_each(copy, &path, order, found, each, arg);
		if (!rc)
			rc = tree_step(tree, &path, true, &moved);
	}
	free(order);
	return rc;
}

/* The descriptor's count is held against what was found: it says so of a leaf that a scan
 * missed. */
int copy_each(struct copy *copy, const struct fmt_db *from, struct dbstate *state,
              copy_entry_fn *each, void *arg)
{
	uint64_t found = 0;
	struct desc_says says;

	*state = (struct dbstate){0};
	int rc = dbi_state_read(copy->txn, from, state);

	if (!rc)
		rc = desc_says(&copy->txn->view, from, true, &says);
	if (!rc && says.desc)
		rc = desc_verify(&copy->txn->view, from->desc, says.desc);
	if (!rc)
		rc = tree_each(copy, &state->tree, &found, each, arg);
	if (!rc && found != says.entries)
		rc = err_corrupt(from->desc, "descriptor: %lu entries, of which %lu were found",
		                 says.entries, found);
	return txn_done(copy->txn, rc);
}

int copy_each_tally(struct copy *copy, const struct dbstate *state, copy_entry_fn *each, void *arg)
{
	uint64_t found;
	int rc = tree_each(copy, &state->tallies, &found, each, arg);

	return txn_done(copy->txn, rc);
}

/* named_out - an entry of the main database, met before its own tree is made. Its place in the copy
 * is kept until the entry itself is given out, in the main database's tree. The order is that of
 * the main database's entries, in which its own tree takes them up again. CORRUPT, ENOMEM; errors
 * of copy_tree. */
static int named_out(void *arg, struct item *it)
{
	struct copy *copy = arg;
	struct fmt_db catalog;
	int rc;

	if (!(it->flags & FMT_ENTRY_DB))
		return 0;
	if (it->vlen != sizeof catalog)
		return err_corrupt(0, "a catalog entry of %u bytes", it->vlen);
	rc = array_room(&copy->desc, copy->ndesc, &copy->desc_room, sizeof *copy->desc);
	if (rc)
		return rc;
	memcpy(&catalog, it->val, sizeof catalog);
	rc = copy_tree(copy, &catalog, false, &copy->desc[copy->ndesc]);
	copy->ndesc += !rc;
	return rc;
}

/* pass - all pages of all databases, from copy->at on. Named databases come first, because the
 * catalog names their places. It begins with no descriptors noted, and frees none: the second pass
 * finds as many as the first. */
static int pass(struct copy *copy, const struct fmt_db *main_db, uint64_t *desc)
{
	struct dbstate state;

	copy->ndesc = copy->desc_used = 0;
	int rc = copy_each(copy, main_db, &state, named_out, copy);

	if (rc)
		return rc;
	return copy_tree(copy, main_db, true, desc);
}

/* head_out - superblock, ring, directory and bitmaps of a store whose first pages are in use.
 * copy->image serves for each page of words in turn. The bits of pages behind the last one are 0.
 * Errors of write. */
static int head_out(struct copy *copy, const struct super_new *new,
                    const struct super_layout *layout, uint64_t main_desc, uint64_t pages)
{
	assert(copy->write);
	assert(copy->at == 0);
	const uint64_t per_page = copy->psize / FMT_WORD;
	const uint64_t zone = (uint64_t)copy->psize * 8;
	uint64_t *words = (void *)copy->image;
	uint64_t off;
	struct fmt_super super;
	int rc;

	super_image(&super, new, layout->dirs, main_desc, copy->txn->view.snapshot);
	rc = copy_put(copy, &super, sizeof super, &off);
	if (rc)
		return rc;
	while (copy->at < layout->first_page) {
		rc = copy_put(copy, copy->zeros, copy->psize, &off);
		if (rc)
			return rc;
	}
	for (uint64_t d = 0; d < layout->dirs; d++) {
		for (uint64_t i = 0; i < per_page; i++) {
			uint64_t zone_at = d * per_page + i;

			words[i] = 0;
			if (zone_at < layout->zones)
				words[i] = layout->bitmaps_off + zone_at * copy->psize;
		}
		rc = copy_put(copy, words, copy->psize, &off);
		if (rc)
			return rc;
	}
	for (uint64_t z = 0; z < layout->zones; z++) {
		for (uint64_t i = 0; i < per_page; i++) {
			uint64_t first = z * zone + i * 64;

			if (pages >= first + 64)
				words[i] = UINT64_MAX;
			else if (pages > first)
				words[i] = ((uint64_t)1 << (pages - first)) - 1;
			else
				words[i] = 0;
		}
		rc = copy_put(copy, words, copy->psize, &off);
		if (rc)
			return rc;
	}
	return 0;
}

/* reserve_of - bytes that a copy keeps free behind so many of data. What they add to the reserve of
 * all of it is less than a page's worth of a thirty-second, and is counted once. */
static uint64_t reserve_of(uint32_t psize, uint64_t data)
{
	struct super_layout layout;

	super_layout(&layout, psize, data);
	const uint64_t pages = (layout.data_off + data) / psize;

	return space_reserve_of(psize, pages + space_reserve_of(psize, pages)) * psize;
}

/* copy_run - count, then give out. The number of bytes was promised by the superblock: anything
 * else is a fault here. The first pass begins at place 0, and what it gives is moved behind the
 * head by an addition: the layout depends on the size alone. */
static int copy_run(struct copy *copy, daxkv_copy_fn *write)
{
	assert(!copy->write);
	assert(copy->at == 0);
	const struct daxkv_store *store = copy->txn->store;
	const struct fmt_super *super = store_super(store);
	const struct fmt_db main_db = {.desc = load_word(&super->main_desc)};
	struct super_new new = {
	    .page_size = copy->psize,
	    .created = (uint64_t)time(NULL),
	    .user_version = load_word(&super->user_version),
	    .source_id = super->file_id,
	    .source_txn = copy->txn->view.snapshot,
	};
	struct super_layout layout;
	uint64_t desc;
	uint64_t data;
	uint64_t used;
	uint64_t off;
	int rc = pass(copy, &main_db, &desc);

	if (rc)
		return rc;
	data = copy->at;
	const uint64_t reserve = reserve_of(copy->psize, data);

	super_layout(&layout, copy->psize, data + reserve);
	used = layout.data_off + data;
	new.size = used + reserve;
	if (getrandom(&new.file_id, sizeof new.file_id, 0) != sizeof new.file_id)
		return err_sys(errno, "random bytes for the copy's id");
	copy->write = write;
	copy->at = 0;
	rc = head_out(copy, &new, &layout, layout.data_off + desc, used / copy->psize);
	if (rc)
		return rc;
	rc = pass(copy, &main_db, &desc);
	if (rc)
		return rc;
	if (copy->at != used)
		rc = err_corrupt(0, "the copy came to %lu bytes, and not to %lu", copy->at, used);
	if (rc)
		return rc;
	while (copy->at < new.size) {
		rc = copy_put(copy, copy->zeros, copy->psize, &off);
		if (rc)
			return rc;
	}
	return 0;
}

/* A thread is not cancelled inside: the memory would be lost, and the caller's file cut short. */
int daxkv_copy(struct daxkv_txn *txn, daxkv_copy_fn *write, void *arg)
{
	struct copy copy = {.txn = txn, .arg = arg};
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (txn->write || !write)
		rc = err_set(
		    EINVAL, "a copy needs a read transaction, and a function that takes its bytes");
	if (rc)
		return rc;
	copy.psize = txn->store->page_size;
	copy.zeros = calloc(2, copy.psize);
	if (!copy.zeros)
		return err_set(ENOMEM, "no memory for a copy");
	copy.image = copy.zeros + copy.psize;
	const int cancel = cancel_off();

	rc = copy_run(&copy, write);
	cancel_restore(cancel);
	free(copy.zeros);
	free(copy.desc);
	return rc;
}
