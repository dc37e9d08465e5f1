/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leaf_edit.c - the base of a leaf is changed where it lies. See leaf.h
 *
 * A tail exists for pages that a commit refers to. A page that the running level made is seen by
 * nobody else, so an entry may be moved in or out of its base, as in any B-tree: that takes no
 * checksum, no slot and no tombstone, and the leaf need not be written anew for want of slots.
 *
 *   uniform   | header | slots, all 0 | heads[n] | entry 0 | ... | entry n-1 |
 *   mixed     | header | slots, all 0 | heads[n] | offs[n] | entries, anywhere |
 *
 * In a uniform base an entry more moves what stands behind it by its own size, and all entries by
 * one head; it must be like the others. In a mixed one it goes behind all others, and so do those
 * that stand where the two arrays grow: nothing else moves. A removal is done in a uniform base
 * alone. A leaf that has a tail goes the common way, by its tail.
 *
 * The page's checksum is of the base as it was. It is made anew once, before the commit
 * (leaf_reseal), however often the base changed.
 */
#include "media/map.h"
#include "page/leaf.h"
#include "space/wset.h"

/* percent of a leaf that entries fill this way: the rest is for the tail of later transactions */
#define EDIT_FULL 90u

/* The base that is being changed: where its parts lie in the page, and of what size they are. */
struct base {
	struct wset *w;
	struct wpage *wp;
	const uint8_t *page;
	uint32_t n;       /* entries */
	uint32_t entries; /* where the first one begins: bytes in the page */
	uint32_t stride;  /* bytes of each */
};

/* base_open - the leaf's base; false: it can not be changed where it lies. A mixed one has no
 * stride. */
static bool base_open(struct wset *w, struct wpage *wp, const struct leaf *l, struct base *b)
{
	const struct fmt_page *page = l->page;

	assert(wp->off == l->off);
	if (l->nslots)
		return false;
	if (!page->n)
		return false;
	if (!wset_editable(w, wp) || wp->npending) /* [I1] [R8] */
		return false;
	b->wp = wp;
	b->w = w;
	b->page = (const uint8_t *)page;
	b->n = page->n;
	b->entries = FMT_LEAF_BASE + 8 * b->n;
	b->stride = 0;
	if (page->heads & FMT_UNIFORM)
		b->stride = uniform_stride(page->heads & FMT_KLEN_MASK, page->offs);
	return true;
}

/* move - n bytes of the page, from one place in it to another. The two may overlap. */
static void move(const struct base *b, uint32_t to, uint32_t from, uint32_t n)
{
	assert(to + n <= b->w->psize);
	assert(from + n <= b->w->psize);
	pm_write(&b->w->map->pm, b->page + to, b->page + from, n);
}

/* The header's words whose last two bytes are n and end. */
#define WORD_N   16u
#define WORD_END 24u
static_assert(offsetof(struct fmt_page, n) == WORD_N + 6, "n");
static_assert(offsetof(struct fmt_page, offs) == WORD_END + 4, "offs");
static_assert(offsetof(struct fmt_page, end) == WORD_END + 6, "end");

/* last_set - the last two bytes of the header's word at that place become value. By one store of a
 * word: a copy of the header that was put together from parts can be loaded only when the
 * processor has written out all that moved before. */
static void last_set(const struct base *b, uint32_t at, uint32_t value)
{
	const uint64_t *word = (const uint64_t *)(const void *)(b->page + at);
	uint64_t rest = *word & (UINT64_MAX >> 16);

	assert(value <= UINT16_MAX);
	pm_store8(&b->w->map->pm, word, rest | (uint64_t)value << 48);
}

/* offs_set - the offsets of a mixed base begin there. */
static void offs_set(const struct base *b, uint32_t at)
{
	const uint64_t *word = (const uint64_t *)(const void *)(b->page + WORD_END);
	uint64_t rest = *word & ~((uint64_t)UINT16_MAX << 32);

	assert(at <= UINT16_MAX);
	pm_store8(&b->w->map->pm, word, rest | (uint64_t)at << 32);
}

/* base_resize - the header says that there are n entries, which end there. What was on its way to
 * the medium is not the page any more, and its checksum is still to be made. */
static void base_resize(const struct base *b, uint32_t n, uint32_t end)
{
	assert(n > 0);
	assert(end <= b->w->psize);
	last_set(b, WORD_N, n);
	last_set(b, WORD_END, end);
	b->wp->used = end;
	b->wp->stale = true;
	b->wp->streamed = false;
}

/* within - whether n bytes at p lie in the page, and would move with it. */
static bool within(const struct leaf *l, const uint8_t *p, uint32_t n)
{
	const uint8_t *page = (const uint8_t *)l->page;

	return p < page + l->psize && p + n > page;
}

/* suits - whether the item may come to the base: it begins with what all entries begin with, and
 * for a uniform one it is like these. */
static bool suits(const struct leaf *l, const struct base *b, const struct item *it)
{
	const struct fmt_page *page = l->page;
	uint32_t plen = page->plen;
	struct item first;

	if (it->flags)
		return false;
	if (b->stride && it->klen != (page->heads & FMT_KLEN_MASK))
		return false;
	if (b->stride && it->vlen != page->offs)
		return false;
	if (within(l, it->key, it->klen))
		return false;
	if (it->val && within(l, it->val, it->vlen))
		return false;
	if (!plen)
		return true;
	return plen <= it->klen && !base_item(l, 0, &first) && plen <= first.klen &&
	       memcmp(it->key, first.key, plen) == 0;
}

/* ---- mixed bases ----------------------------------------------------------------------------- */

/* entries at most that stand in the way of one more head and offset: they are 8 bytes long or more,
 * as they begin at multiples of 4 */
#define IN_THE_WAY 3u

/* What becomes of a mixed base: made in the set's image, and then written. */
struct growth {
	const struct leaf *leaf;
	const struct order *order;
	uint16_t *offs; /* the new array, in the image */
	uint8_t *fresh; /* the bytes from the base's old end on, in the image */
	uint32_t from;  /* that end: bytes in the page */
	uint32_t end;   /* the new one */
	uint32_t most;  /* which it must not go beyond */
};

/* growth_add - an entry behind all others: where it begins; 0: there is no room. */
static uint32_t growth_add(struct growth *g, const struct item *it)
{
	uint32_t at = leaf_entry_align(g->order, g->end, it->klen);
	uint32_t behind = at + FMT_ENTRY_SIZE + it->klen + it->vlen;
	uint32_t end = (uint32_t)round_up(behind, 4);

	if (end > g->most)
		return 0;
	memset(g->fresh + (g->end - g->from), 0, at - g->end);
	leaf_entry_store(g->fresh + (at - g->from), it);
	memset(g->fresh + (behind - g->from), 0, end - behind);
	g->end = end;
	return at;
}

typedef uint16_t byte_offsets __attribute__((vector_size(16)));
#define LANES 8u

/* first_below - the first of n offsets, from i on, that is below low; n: none is. Most arrays have
 * none, or one: eight are looked at in one step. */
static uint32_t first_below(const uint16_t *offs, uint32_t i, uint32_t n, uint32_t low)
{
	const byte_offsets bound = (uint16_t)low - (byte_offsets){0};

	for (; i + LANES <= n; i += LANES) {
		byte_offsets eight;
		uint64_t below[2];

		memcpy(&eight, offs + i, sizeof eight);
		eight = (byte_offsets)(eight < bound);
		memcpy(below, &eight, sizeof below);
		if (below[0] | below[1])
			break;
	}
	for (; i < n; i++) {
		if (offs[i] < low)
			return i;
	}
	return n;
}

/* growth_clear - the entries that begin before low go behind all others. False: there is no room,
 * or the entries of a damaged leaf overlap. */
static bool growth_clear(struct growth *g, uint32_t n, uint32_t low)
{
	uint32_t moved = 0;

	uint32_t i = first_below(g->offs, 0, n, low);

	while (i < n) {
		struct item it;

		if (moved == IN_THE_WAY)
			return false;
		if (item_at(g->leaf, g->offs[i], 0, &it))
			return false;
		uint32_t at = growth_add(g, &it);

		if (!at)
			return false;
		g->offs[i] = (uint16_t)at;
		moved++;
		i = first_below(g->offs, i + 1, n, low);
	}
	return true;
}

/* mixed_insert - see leaf_insert. Nothing is written before all of it is known to have room. */
static const uint8_t *mixed_insert(const struct base *b, const struct order *o,
                                   const struct leaf *l, uint32_t rank, const struct item *it)
{
	const uint32_t n = b->n;
	const uint32_t offs_at = FMT_LEAF_BASE + 8 * (n + 1);
	const uint32_t entries = (uint32_t)round_up(2 * (n + 1), 8);
	const uint32_t at = FMT_LEAF_BASE + 8 * rank;
	struct pm *pm = &b->w->map->pm;
	const uint64_t head = order_head(o, it->key, it->klen, l->page->plen);
	struct growth g = {
	    .leaf = l,
	    .order = o,
	    .offs = (void *)b->w->image,
	    .fresh = b->w->image + entries,
	    .from = l->page->end,
	    .end = l->page->end,
	    .most = FMT_LEAF_BASE + leaf_usable(l->psize) * EDIT_FULL / 100,
	};

	if (offs_at + 2 * (n + 1) > g.from)
		return NULL;
	memcpy(g.offs, b->page + l->page->offs, 2 * n);
	if (!growth_clear(&g, n, offs_at + 2 * (n + 1)))
		return NULL;
	uint32_t entry = growth_add(&g, it);

	if (!entry)
		return NULL;
	memmove(g.offs + rank + 1, g.offs + rank, 2 * (n - rank));
	g.offs[rank] = (uint16_t)entry;
	pm_write(pm, b->page + g.from, g.fresh, g.end - g.from);
	move(b, at + 8, at, 8 * (n - rank));
	pm_write(pm, b->page + at, &head, sizeof head);
	pm_write(pm, b->page + offs_at, g.offs, 2 * (n + 1));
	offs_set(b, offs_at);
	base_resize(b, n + 1, g.end);
	return b->page + entry + FMT_ENTRY_SIZE + it->klen;
}

/* ---- all bases ------------------------------------------------------------------------------- */

/* From the end on, because everything moves towards it. */
const uint8_t *leaf_insert(struct wset *w, struct wpage *wp, const struct order *o,
                           const struct leaf *l, uint32_t rank, const struct item *it)
{
	uint8_t *entry = w->image;
	struct base b;

	if (!base_open(w, wp, l, &b))
		return NULL;
	if (!suits(l, &b, it))
		return NULL;
	assert(rank <= b.n);
	if (!b.stride)
		return mixed_insert(&b, o, l, rank, it);
	if ((b.n + 1) * (8 + b.stride) > leaf_usable(l->psize) * EDIT_FULL / 100)
		return NULL;
	uint32_t from = b.entries + rank * b.stride;
	uint32_t to = from + 8;
	uint32_t at = FMT_LEAF_BASE + 8 * rank;
	uint64_t head = order_head(o, it->key, it->klen, l->page->plen);

	move(&b, to + b.stride, from, (b.n - rank) * b.stride);
	leaf_entry_copy(entry, it->key, it->klen);
	leaf_value_copy(entry + it->klen, it->val, it->vlen);
	memset(entry + it->klen + it->vlen, 0, b.stride - it->klen - it->vlen);
	pm_write(&w->map->pm, b.page + to, entry, b.stride);
	move(&b, b.entries + 8, b.entries, rank * b.stride);
	move(&b, at + 8, at, 8 * (b.n - rank));
	pm_write(&w->map->pm, b.page + at, &head, sizeof head);
	base_resize(&b, b.n + 1, b.entries + 8 + (b.n + 1) * b.stride);
	return b.page + to + it->klen;
}

/* From the beginning on. The last entry stays: a uniform base has one at least. */
bool leaf_take_out(struct wset *w, struct wpage *wp, const struct leaf *l, uint32_t rank)
{
	struct base b;

	if (!base_open(w, wp, l, &b))
		return false;
	if (!b.stride)
		return false;
	if (b.n == 1)
		return false;
	assert(rank < b.n);
	uint32_t from = b.entries + rank * b.stride;
	uint32_t at = FMT_LEAF_BASE + 8 * rank;

	move(&b, at, at + 8, 8 * (b.n - 1 - rank));
	move(&b, b.entries - 8, b.entries, rank * b.stride);
	move(&b, from - 8, from + b.stride, (b.n - 1 - rank) * b.stride);
	base_resize(&b, b.n - 1, b.entries - 8 + (b.n - 1) * b.stride);
	return true;
}
