/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree.h - what a set of pages means: one database's B+tree, as one transaction sees it.
 *
 *   level 2        [ inner ]                 a change below a page is one word in it: the kid that
 *                                            was replaced
 *   level 1   [ inner ] [ inner ]            a split or merge makes the parent anew, and so on up
 *                                            while pages split
 *   level 0  [leaf][leaf] [leaf][leaf]       no sibling links: a scan climbs
 *
 * The rule that makes it correct [I7] [I8]: a word that a commit refers to is changed to a page
 * born in the running transaction whose prev is the page the word held at the last commit; at the
 * root too, when the tree grows, shrinks or becomes empty. A page made in the transaction at the
 * running nesting level is rewritten where it is. Whatever fails half-way leaves the transaction to
 * be aborted.
 *
 * A tree has no lock of its own. A reader's tree never changes, because its view is a snapshot. A
 * writer's tree is used by the one thread that has the writer's lock.
 *
 * Bytes of the file are not trusted here either. A page is looked at only after view_page has found
 * it sound, a walk is bounded by the depth or by the number of pages in the file, and what does not
 * fit together is CORRUPT. An assertion in this folder is about what the callers and the files here
 * owe each other.
 *
 * Rejected: sibling links between leaves, because each rewrite of a leaf would rewrite its
 * neighbour; parent pointers, because they would be wrong in all snapshots but one.
 *
 * Which file does what: tree_find.c goes down and sideways; tree.c changes leaves; tree_replace.c
 * carries a change up; tree_join.c looks at neighbours; tree_append.c gathers ascending keys in
 * memory; tree_load.c builds from sorted input; tree_range.c removes ranges; tree_count.c and
 * tree_partition.c read inner pages for numbers; tree_many.c does several lookups at once;
 * tree_verify.c compares checksums.
 */
#ifndef DAXKV_TREE_H
#define DAXKV_TREE_H

#include "page/blob.h"
#include "page/inner.h"
#include "page/leaf.h"
#include "space/wset.h"

/* levels at most, far more than a file needs: a tree that would get higher is FULL */
#define TREE_DEPTH 32u

/*
 * The place is a rank among the leaf's entries as its view sees them, the tail's included: 0 to
 * leaf_count. It says nothing about where the entry's bytes are; that is eoff.
 *
 * A path points into pages. It holds until a page of it is replaced, so a cursor keeps a key across
 * a change, and finds a new path.
 */
struct path { /* from the root to a place in a leaf */
	/* levels, 0 = empty tree; the root is at[height - 1] */
	unsigned int height;
	/* the place, and the entry found there or 0 */
	uint32_t rank;
	uint32_t eoff;
	struct leaf leaf;
	struct path_step {
		const struct fmt_page *page;
		uint64_t off;
		uint32_t index; /* the kid taken */
	} at[TREE_DEPTH];       /* by level; at[0] is the leaf */
};

/* path_kid - which kid of its parent the path's page of that level is; the root is none's, and 0.
 */
static inline uint32_t path_kid(const struct path *path, unsigned int level)
{
	if (level + 1 < path->height)
		return path->at[level + 1].index;
	return 0;
}

/* path_copy - as much as there is of it: a path is long, and most trees are low. */
static inline void path_copy(struct path *to, const struct path *from)
{
	to->height = from->height;
	to->rank = from->rank;
	to->eoff = from->eoff;
	to->leaf = from->leaf;
	for (unsigned int i = 0; i < from->height; i++)
		to->at[i] = from->at[i];
}

/* leaves that a batch writes before the parents hear of them: one change names them all */
#define TREE_BATCH_KIDS 64u

/*
 * What one level tells the level above. The separator before the first of the m kids stays the one
 * that the page has there, so m kids bring m - 1 separators along; m 0 takes kids away.
 */
struct change { /* kids [from, from + count) of a page give way to m others, with the separators
	           between them */
	uint32_t from;
	uint32_t count;
	uint32_t m;
	uint64_t kid[TREE_BATCH_KIDS + 1];
	struct sep sep[TREE_BATCH_KIDS];
};

struct tree_batch { /* entries that ascend behind all others, not yet in the tree: see tree_append.c
	             */
	struct tree *tree;     /* whose; NULL: nobody's */
	struct leaf_pack pack; /* its last leaf, in the making */
	/* the page that it is for, and what that names as prev */
	struct wpage *wp;
	uint64_t prev;
	uint8_t *seps; /* keys of the separators in change */
	/* of these: in an inner page, and in seps */
	uint32_t cost;
	uint32_t bytes;
	/* pages taken ahead (wset_spare_take) that putting it into the tree may need */
	size_t spare;
	uint64_t used; /* wset.changes at the last put */
	/* the tree's last leaf, and the pages that will follow it */
	struct change change;
	struct path path; /* to the tree's last leaf */
};

/* trees that have a batch at once, such as a table and its indexes */
#define TREE_BATCHES 4u

/* numbers of values in memory, by a hash of the key; a newer one takes the place of an older one */
#define TREE_TALLIES 2048u
struct tree_tally;
struct tree_noted;

/* ways that a writer remembers, of trees at most so high; see tree_way.c */
#define TREE_WAYS       1024u
#define TREE_WAY_HEIGHT 4u
struct tree_way {
	uint32_t id;     /* of the tree */
	uint32_t height; /* of the path; 0: there is no way */
	uint32_t place;  /* where it ended in the leaf */
	/* by level: the kid taken */
	uint32_t index[TREE_WAY_HEIGHT];
};

/*
 * One for each store, in ordinary memory. What rebuilding a page needs is allocated when the store
 * is opened for writing. items, seps and kids have room for two pages at once, because a page may
 * be rebuilt together with its neighbour. What they point to lies in pages of the file, so they are
 * good only until one of these pages is rewritten.
 */
struct tree_scratch { /* the writer's, for rebuilding pages */
	struct item *items;
	struct sep *seps;
	uint64_t *kids;
	uint16_t *offsets;
	/* two halves, each three pages: separators on their way up */
	uint8_t *sepbuf;
	/* two halves: copies of a caller's key and duplicate, which may lie in a page that changes
	 */
	uint8_t *pair;
	struct put_place *places; /* TREE_MANY */
	struct path *finger;      /* the last place of a put */
	/* the tree whose last leaf that is, while nothing else has changed; NULL: none */
	const struct tree *finger_of;
	struct tree_way *way; /* TREE_WAYS; NULL: not needed so far */
	struct tree_row {     /* see tree_row.c */
		/* the leaf of the last change that went to the tail of a leaf and could have been
		 * made in the base of a private one: a removal, or another value of the same size.
		 * And its transaction */
		uint64_t in;
		uint64_t txn;
		unsigned int n;   /* of these, one after the other in that leaf */
		unsigned int own; /* changes in the bases of private leaves since */
	} row;
	struct tree_batch *batch; /* TREE_BATCHES */
	unsigned int batches;     /* in use */
	size_t owed;              /* pages taken ahead for them */
	struct tree_tally *tally; /* TREE_TALLIES, see tree_tally.c; NULL: not needed so far */
	uint64_t tally_round;     /* of those that are good */
	uint64_t tally_txn;       /* the commit that they are right for */
	uint16_t *owing;          /* places in tally whose numbers are still to be written */
	uint32_t nowing;
	struct tree_noted **noted; /* keys whose values are still to be counted */
	size_t nnoted;
	size_t noted_room;
	uint64_t *freed; /* leaves that go, until they are given back: see tree_clear.c */
	size_t nfreed;
	size_t freed_room;
	/* one could not be put into its tree: the error that a commit gets */
	int failed;
};

/*
 * The four counts are what the descriptor will say at the next commit. They come from the file: a
 * damaged descriptor makes them wrong, and nothing may depend on them but statistics, and whether
 * large values are looked for.
 */
struct tree {
	struct view *view;
	const struct order *order;
	struct tree_scratch *scratch; /* NULL in a read transaction */
	/* as the newest state has it; 0: nothing was ever stored */
	uint64_t root;
	/* of a write transaction's tree */
	uint64_t count;
	uint64_t leaf_pages;
	uint64_t inner_pages;
	uint64_t blob_pages;
	/* the numbers of values of the keys that have very many; NULL: none are kept */
	struct tree *tallies;
	struct tree_batch *batch; /* NULL: all of the tree is in its pages */
	/* of a write transaction's: the database's handle */
	uint32_t id;
	/* puts behind all other entries, one after the other */
	uint32_t appends;
	/* the transaction of these: a state may outlast one */
	uint64_t appends_in;
	/* a batch could not be put into the tree: the error that all later uses get */
	int failed;
};

/* tree_scratch_open - memory for pages of psize bytes. ENOMEM. tree_scratch_close - gives it back;
 * no tree has a batch any more. */
int tree_scratch_open(struct tree_scratch *scratch, uint32_t psize);
void tree_scratch_close(struct tree_scratch *scratch);

/* tree_get - the entry of a key by fingerprint: *found, *item. For orders that have fingerprints.
 * CORRUPT. */
int tree_get(const struct tree *tree, const uint8_t *key, uint32_t klen, struct item *item,
             bool *found);

/* tree_get_many - n lookups, at most TREE_MANY, as tree_get; their misses overlap. */
#define TREE_MANY 16u
struct lookup {
	const uint8_t *key;
	uint32_t klen;
	bool found;
	struct item item;
};
int tree_get_many(const struct tree *tree, struct lookup *lookups, unsigned int n);

/* tree_seek - the path to where the probe is or would be. CORRUPT. */
int tree_seek(const struct tree *tree, const struct probe *probe, struct path *path);

/* tree_first - the path to the first entry at or after the probe: *found, *item, path->eoff.
 * CORRUPT. */
int tree_first(const struct tree *tree, const struct probe *probe, struct path *path,
               struct item *item, bool *found);

/* tree_edge - the path to the first leaf, or with last to the last one; rank is 0. */
int tree_edge(const struct tree *tree, bool last, struct path *path);

/* tree_step - on to the next (forward) or previous leaf; rank is 0. *moved false: there is none,
 * and the path is as before. */
int tree_step(const struct tree *tree, struct path *path, bool forward, bool *moved);

/* tree_beside - where the next (forward) or previous leaf under the same parent lies, for
 * prefetching only; 0: none. */
uint64_t tree_beside(const struct tree *tree, const struct path *path, bool forward);

/* tree_seek_again - tree_seek, which a writer's tree with sorted duplicates does by the way that
 * led to the key the last time, if that still leads there. tree_place_between - whether the place
 * before the entry of that rank in the path's leaf is the probe's, and no entry is: then the path
 * goes there. CORRUPT. */
int tree_seek_again(const struct tree *tree, const struct probe *probe, struct path *path);
int tree_place_between(const struct tree *tree, struct path *path, uint32_t rank,
                       const struct probe *probe, bool *is);

/* tree_seek_put - tree_seek for a put of that many bytes of key and value, to scratch->finger: when
 * keys ascend, without going down the tree again. */
int tree_seek_put(struct tree *tree, const struct probe *probe, uint32_t bytes);

/* tree_places - the ways down for n puts, at most TREE_MANY; their misses overlap, and what the
 * puts will touch is on its way to this core's cache. tree_place
 * - what tree_seek finds for one of them, after those before it were done: by what was found ahead
 *   where that still holds. CORRUPT. */
struct put_place {
	struct probe probe;
	uint32_t bytes;    /* of the entry, about */
	uint64_t installs; /* of the set, when the way was found */
	/* of the leaf then */
	uint32_t nslots;
	uint32_t nbase;
	struct path path;
	struct leaf_gap gap;
};
int tree_places(const struct tree *tree, struct put_place *places, unsigned int n);
int tree_place(const struct tree *tree, struct put_place *place);

/* tree_at_end - whether the path's place lies behind all entries of the tree. */
bool tree_at_end(const struct path *path);

/* tree_store - put item at the place that tree_seek found, in place of the entry there if any. An
 * item without val: *value is to be filled by the caller, and sealed. *leaf_off: the leaf it went
 * to. Errors of space_take, ENOMEM, CORRUPT. */
int tree_store(struct tree *tree, struct path *path, const struct item *item, const uint8_t **value,
               uint64_t *leaf_off);

/* tree_batch_put - put an item that belongs behind all others straight into the tree's batch, which
 * there is. *done false: it does not. key_ascends: its key must be greater than the last one, not
 * only the pair. Errors as of tree_store. */
int tree_batch_put(struct tree *tree, const struct item *item, bool key_ascends, bool *done);

/* tree_batch_add - the commonest case of tree_batch_put, inlined: an item as leaf_pack_like says of
 * the batch's pack, a key whose head is greater than the last one's, and the leaf in the making has
 * room. False: it is not that, and nothing was done. */
ALWAYS_INLINE bool tree_batch_add(struct tree *t, const struct item *item)
{
	struct tree_batch *batch = t->batch;
	uint64_t head = order_head(t->order, item->key, item->klen, 0);

	if (UNLIKELY(head <= batch->pack.head || !leaf_pack_more(&batch->pack, item, head)))
		return false;
	batch->used = t->view->w->changes;
	t->count++;
	return true;
}

/* tree_flush - put the tree's batch into its pages; looking anything up does it. tree_flush_all -
 * of all trees; an error also when an earlier tree_flush had one, which the caller may have missed.
 * tree_forget - what is not in pages is dropped: the transaction that made it is being undone. */
int tree_flush(struct tree *tree);
int tree_flush_each(struct tree_scratch *scratch, struct wset *w);
/* tree_flush_all - see above tree_flush_each. Mostly there are no batches, and no pages for them.
 */
static inline int tree_flush_all(struct tree_scratch *scratch, struct wset *w)
{
	if (LIKELY(!scratch->batches && !w->nspare && !scratch->nowing && !scratch->nnoted))
		return scratch->failed;
	return tree_flush_each(scratch, w);
}
void tree_forget(struct tree_scratch *scratch);

/* tree_remove - take the entry at the place that tree_seek found (there is one) out. */
int tree_remove(struct tree *tree, struct path *path);

/* tree_free_below - free the page at off, of that level, and all below it. tree_free_kids - of kids
 * [first, end) of the page at off, which is above leaves and is not freed. *entries grows by how
 * many entries those were; NULL: nobody asks, as of a leaf alone nobody may. CORRUPT, ENOMEM; some
 * of the pages are freed already then. Recursion is as deep as the tree. */
int tree_free_below(struct tree *tree, uint64_t off, unsigned int level, uint64_t *entries);
int tree_free_kids(struct tree *tree, const struct fmt_page *page, uint64_t off, uint32_t first,
                   uint32_t end, uint64_t *entries);

/* tree_clear - free all pages; the tree is then an empty leaf, or with forget nothing at all. */
int tree_clear(struct tree *tree, bool forget);

/* tree_load_begin - prepare to add entries behind all others, to leaves that are filled to that
 * many percent. tree_load_ascends - whether an item lies behind all others. tree_load_last - the
 * last entry; false: there is none. tree_load_add - one that lies behind it. tree_load_more - the
 * commonest of them in one call: of the sizes of the last one, with a greater head, into the leaf
 * in the making; false: it is not that, and nothing was done. tree_load_end - all that were added
 * are the tree's. tree_load_free - in any case. Errors of space_take, ENOMEM, CORRUPT. */
struct tree_load;
int tree_load_begin(struct tree *tree, unsigned int fill, struct tree_load **load);
bool tree_load_ascends(const struct tree_load *load, const struct item *item);
bool tree_load_last(const struct tree_load *load, struct item *item);
int tree_load_add(struct tree_load *load, const struct item *item);
bool tree_load_more(struct tree_load *load, const struct daxkv_val *key,
                    const struct daxkv_val *value);
int tree_load_end(struct tree_load *load);
void tree_load_free(struct tree_load *load);

/* tree_cut - remove the entries from the first probe on, up to the second (NULL: from the first
 * entry, to the last): *removed of them. Errors as of tree_remove. tree_range_db - whether one of
 * them is a named database's catalog entry. CORRUPT. */
int tree_cut(struct tree *tree, const struct probe *from, const struct probe *to,
             uint64_t *removed);
int tree_range_db(const struct tree *tree, const struct probe *from, const struct probe *to,
                  bool *some);

/* tree_compact_step - look at the leaf at the place, and at those beside it: move what lies behind
 * the boundary, an offset, to a place before it, and pack sparse leaves; then the place is further
 * on. *pages: that were written. *end: there is no leaf at the place; the walk is over. All zeros
 * is the tree's beginning. Errors as of tree_remove. tree_compact_open, tree_compact_close - the
 * memory for it; NULL is closed already. ENOMEM. */
struct tree_place {
	uint32_t height;          /* of the tree; 0: the beginning */
	uint32_t kid[TREE_DEPTH]; /* that was taken, by level */
};
struct tree_compact;
int tree_compact_open(uint32_t psize, struct tree_compact **compact);
void tree_compact_close(struct tree_compact *compact);
int tree_compact_step(struct tree *tree, struct tree_compact *compact, struct tree_place *place,
                      uint64_t boundary, uint64_t *pages, bool *end);

/* tree_count - how many entries there are from the first probe on, up to the second (NULL: from the
 * first entry, to the last). tree_count_estimate - about how many, by the ways to the two alone;
 * the tree has so many entries and leaves in all. CORRUPT. */
int tree_count(const struct tree *tree, const struct probe *from, const struct probe *to,
               uint64_t *n);
int tree_count_estimate(const struct tree *tree, const struct probe *from, const struct probe *to,
                        uint64_t entries, uint64_t leaves, uint64_t *n);

/* tree_tally_find - the number of values of a key that has a tally; 0: it has none. CORRUPT. */
int tree_tally_find(const struct tree *tree, const uint8_t *key, uint32_t klen, uint64_t *values);

/* tree_tally_forget - what is in memory of them is not right any more, or is undone.
 * tree_tally_free
 * - its memory goes. tree_tally_flush - what is still to be counted is counted and written. Errors
 * of tree_store. */
void tree_tally_forget(struct tree_scratch *scratch);
void tree_tally_free(struct tree_scratch *scratch);
int tree_tally_flush(struct tree_scratch *scratch, struct wset *w);

/* tree_tally_change - before a single entry of the key comes (one_more) or goes. tree_tally_cut -
 * before the entries between two keys' edges, or of one key, go; *values: how many these are when
 * that is known, else 0. tree_tally_clear - before all go; see tree_clear. tree_tally_note - a leaf
 * has values of this key alone. Errors of tree_store. */
int tree_tally_count(struct tree *tree, const uint8_t *key, uint32_t klen, bool one_more);
static inline int tree_tally_change(struct tree *tree, const struct item *item, bool one_more)
{
	if (LIKELY(!tree->tallies || !tree->tallies->root))
		return 0;
	return tree_tally_count(tree, item->key, item->klen, one_more);
}
/* tree_tally_known - how many values the key has, by what a writer has in memory; 0: not known.
 * tree_tally_learn - they were counted. */
uint64_t tree_tally_known(const struct tree *tree, const uint8_t *key, uint32_t klen);
void tree_tally_learn(const struct tree *tree, const uint8_t *key, uint32_t klen, uint64_t values);
int tree_tally_cut(struct tree *tree, const struct probe *from, const struct probe *to,
                   uint64_t *values);
int tree_tally_clear(struct tree *tree, bool forget);
int tree_tally_note(struct tree *tree, const uint8_t *key, uint32_t klen);

/* tree_verify - compare the checksums of the path's pages, which know their places, and see to it
 * that the leaf's entries lie where the pages above say. seen (or NULL): the inner page of each
 * level that was compared last, which is not compared again. tree_way_verify - the pages between
 * the one at from, which a word names, and the one at to, which is the view's (0: it has none):
 * they are younger than the snapshot. CORRUPT. */
int tree_verify(const struct tree *tree, const struct path *path, uint64_t *seen);
int tree_way_verify(const struct view *view, uint64_t from, uint64_t to);

/* tree_partition - *n keys, ascending, fewer than parts, that cut the tree into parts of about one
 * size. seps has room for parts of them. CORRUPT. */
int tree_partition(const struct tree *tree, uint32_t parts, struct sep *seps, uint32_t *n);

/* Within the floor: */
/* tree_seek without the leaf's inside */
int tree_down(const struct tree *tree, const struct probe *probe, struct path *path);
/* in this view; NULL: an empty tree */
int tree_root(const struct tree *tree, const struct fmt_page **page, uint64_t *at);
/* in the leaf's parent */
int tree_replace(struct tree *tree, struct path *path, struct change *change);
int tree_replace_at(struct tree *tree, struct path *path, unsigned int level,
                    struct change *change);
/* the path's inner page of that level is written anew on another page */
int tree_inner_move(struct tree *tree, struct path *path, unsigned int level);
/* the path's leaf loses the entries of ranks [from, to) */
int tree_leaf_without(struct tree *tree, struct path *path, uint32_t from, uint32_t to);
/* an entry goes: free the space of its large value, if it has one */
int tree_blob_drop(struct tree *tree, const struct item *item);
/* tree_way_sound - the way's page of that level is what it was when the way was found, as far as
 * that matters: in a damaged file a new page may have been put over it. CORRUPT. */
static inline int tree_way_sound(const struct tree *tree, const struct path *path,
                                 unsigned int level)
{
	const struct fmt_page *page = path->at[level].page;

	if (LIKELY(page_sound(page, level, tree->view->psize) && path->at[level].index <= page->n))
		return 0;
	return view_fault(tree->view, path->at[level].off, level);
}
/* tree_prefetch - the first lines of the page at off, when it lies in the mapping: a damaged page
 * may name a kid anywhere. What lies behind the mapping's end is not fetched, and does no harm.
 * Inlined by order: gcc leaves out calls that do no more than this. */
ALWAYS_INLINE void tree_prefetch(const struct view *view, uint64_t off, unsigned int lines)
{
	if (UNLIKELY(off >= view_size(view)))
		return;
	const uint8_t *p = view->base + off;

#pragma GCC unroll 16
	for (unsigned int i = 0; i < lines; i++)
		__builtin_prefetch(p + i * FMT_LINE);
}
/* tree_expect_leaf - prefetch the header and slots of the kid at index of a page above leaves: all
 * that a count reads of a leaf. An index behind the last kid, or a kid that does not lie in the
 * mapping, asks for nothing. */
void tree_expect_leaf(const struct view *view, const struct fmt_page *page, uint64_t at,
                      uint32_t index);
/* tree_sep_bytes - bytes of a separator's key and duplicate. tree_sep_copy - a separator whose
 * bytes lie at to, which has room for them: those of from may be in a page that goes. */
static inline uint32_t tree_sep_bytes(const struct sep *sep)
{
	if (sep->dlen == FMT_SEP_NODUP)
		return sep->klen;
	return sep->klen + sep->dlen;
}
struct sep tree_sep_copy(const struct sep *from, uint8_t *to);
/* tree_pack_note - a leaf in the making, which is full, has values of one key alone: tell. */
static inline int tree_pack_note(struct tree *tree, const struct leaf_pack *pack)
{
	if (LIKELY(!tree->tallies))
		return 0;
	const struct item first = leaf_pack_item(pack, 0);
	const struct item last = leaf_pack_item(pack, pack->n - 1);

	if (!order_key_same(tree->order, first.key, first.klen, last.key, last.klen))
		return 0;
	return tree_tally_note(tree, first.key, first.klen);
}
/* tree_join - when the leaf's n items, which take total bytes, are few, take a neighbour's along:
 * *change then covers both leaves, and *sibling is the other one (0: none). tree_would_join -
 * whether the leaf would be joined if it was written anew with these items, of which one took so
 * many bytes more before: only when that took it across one of the limits at which it is looked at.
 * CORRUPT. */
int tree_join(struct tree *tree, const struct path *path, struct item *items, uint32_t *n,
              uint32_t total, struct change *change, uint64_t *sibling);
int tree_would_join(struct tree *tree, const struct path *path, struct item *items, uint32_t n,
                    uint32_t less, bool *join);
/* the entry at its place goes */
int tree_would_join_without(struct tree *tree, const struct path *path, uint32_t left,
                            const struct item *gone, bool *join);
/* a page joins its neighbour when it holds less than this part of a page */
#define TREE_SPARSE 4u
/* tree_falls_below - whether so many bytes less take the total below a quarter of what a page can
 * hold, an eighth, ... So a page that keeps losing entries is looked at a few times until it is
 * empty. */
static inline bool tree_falls_below(uint32_t usable, uint32_t total, uint32_t less)
{
	uint32_t limit = usable / TREE_SPARSE;

	while (limit > total + less)
		limit /= 2;
	return total < limit;
}
/* eighths of a page under which a leaf is looked at closely: a quarter, and what the average may
 * err */
#define THIN_PER_8 3u
/* tree_well_filled - the commonest answer, inlined: left others like the one that goes, of a
 * uniform base, are more than that. */
static inline bool tree_well_filled(const struct leaf *l, uint32_t left, const struct item *gone)
{
	if (l->page->heads != (FMT_UNIFORM | gone->klen))
		return false;
	if (l->page->offs != gone->vlen)
		return false;
	return 8 * left * (8 + gone->klen + gone->vlen) >= THIN_PER_8 * leaf_usable(l->psize);
}
/* the others of its leaf */
int tree_items_without(struct tree *tree, const struct path *path, struct item *items, uint32_t *n);
/* tree_row_begins - before a change goes to the tail of the leaf, which the running level may not
 * edit: *begins when the leaf is to be made private first, because so many came in a row. CORRUPT,
 * ENOMEM. tree_row_own - a change was made in the base of a private leaf. */
#define TREE_ROW_REMOVALS 4u
#define TREE_ROW_UPDATES  8u
int tree_row_begins(struct tree *tree, const struct leaf *leaf, unsigned int most, bool *begins);
static inline void tree_row_own(struct tree_scratch *scratch)
{
	scratch->row.own++;
}
/* tree_kid - the page that kid index is in this view: of the page at off, one level above level.
 * CORRUPT. */
static inline int tree_kid(const struct view *view, const struct fmt_page *page, uint64_t off,
                           uint32_t index, unsigned int level, const struct fmt_page **kid,
                           uint64_t *at)
{
	uint64_t ref = inner_kid(view, page, off, index);

	return view_page(view, ref, level, kid, at);
}

/* path_leaf - path->leaf becomes the leaf that the path leads to. */
static inline void path_leaf(const struct view *view, struct path *path)
{
	leaf_open(view, path->at[0].page, path->at[0].off, &path->leaf);
}

/* path_place - the probe's place in the path's leaf, which is open: its rank, and eoff. CORRUPT. */
static inline int path_place(const struct tree *tree, struct path *path, const struct probe *probe)
{
	return leaf_place(&path->leaf, tree->order, probe, &path->rank, &path->eoff);
}

/* tree_leaf_image, tree_inner_image - a page of the running transaction, built in the set's image:
 * see leaf_build and inner_build. Returns the bytes used, for tree_page_out. */
static inline uint32_t tree_leaf_image(const struct tree *tree, const struct item *items,
                                       uint32_t n, uint64_t prev)
{
	struct wset *w = tree->view->w;

	return leaf_build(w->image, w->psize, tree->order, items, n, w->txn, prev);
}

/* tree_inner_image - see above tree_leaf_image. */
static inline uint32_t tree_inner_image(const struct tree *tree, const struct sep *seps,
                                        const uint64_t *kids, uint32_t n, unsigned int level,
                                        uint64_t prev)
{
	struct wset *w = tree->view->w;

	return inner_build(w->image, w->psize, tree->order, seps, kids, n, level, w->txn, prev);
}

/* tree_prev_for - what the page that replaces the one at off names as prev. To be asked before that
 * one is retired. */
uint64_t tree_prev_for(const struct tree *tree, uint64_t off);
/* tree_page_out - a built page becomes a private page of the transaction: *off. Errors of
 * space_take, ENOMEM. */
int tree_page_out(struct tree *tree, uint64_t old, uint32_t used, uint64_t *off);
void tree_separator(const struct tree *tree, const struct item *a, const struct item *b,
                    uint8_t *buf, struct sep *sep); /* of two items; copied to buf */
/* with the item */
int tree_batch_begin(struct tree *tree, const struct path *path, const struct item *item,
                     bool *begun);
int tree_leaf_items(struct tree *tree, const struct leaf *leaf, struct item *items, uint32_t *n);
/* in the base of one leaf, at most */
uint32_t tree_items_cost(const struct tree *tree, const struct item *items, uint32_t n);

#endif
