/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leaf_edit.c - the base of a leaf is changed where it lies. See leaf.h
 *
 * A tail exists for pages that a commit refers to. A page that the running level made is seen by
 * nobody else, so an entry may be moved in or out of its base, as in any B-tree: that takes no
 * checksum, no slot and no tombstone, and the leaf need not be written anew for want of slots.
 *
 *   | header | slots, all 0 | heads[n] | entry 0 | ... | entry n-1 |
 *
 * An entry more moves what stands behind it by its own size, and all entries by one head. This is
 * done for a uniform base without a tail, as most private leaves have, when the entry is like the
 * others. Any other leaf goes the common way, by its tail.
 *
 * The page's checksum is of the base as it was. It is made anew once, before the commit
 * (leaf_reseal), however often the base changed.
 */
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

/* base_open - the leaf's base; false: it can not be changed where it lies. */
static bool base_open(struct wset *w, struct wpage *wp, const struct leaf *l, struct base *b)
{
	const struct fmt_page *page = l->page;

	assert(wp->off == l->off);
	if (l->nslots || !(page->heads & FMT_UNIFORM))
		return false;
	if (!wset_editable(w, wp) || wp->npending) /* [I1] [R8] */
		return false;
	b->wp = wp;
	b->w = w;
	b->page = (const uint8_t *)page;
	b->n = page->n;
	b->entries = FMT_LEAF_BASE + 8 * b->n;
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

/* base_resize - the header says that there are n entries. What was on its way to the medium is not
 * the page any more, and its checksum is still to be made. */
static void base_resize(const struct base *b, uint32_t n)
{
	uint32_t end = FMT_LEAF_BASE + n * (8 + b->stride);

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

/* suits - whether the item is like the base's entries, and begins with what they all begin with. */
static bool suits(const struct leaf *l, const struct base *b, const struct item *it)
{
	const struct fmt_page *page = l->page;
	uint32_t plen = page->plen;

	if (it->flags)
		return false;
	if (it->klen != (page->heads & FMT_KLEN_MASK))
		return false;
	if (it->vlen != page->offs)
		return false;
	if (within(l, it->key, it->klen))
		return false;
	if (it->val && within(l, it->val, it->vlen))
		return false;
	if (!plen)
		return true;
	return plen <= it->klen && memcmp(it->key, b->page + b->entries, plen) == 0;
}

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
	if ((b.n + 1) * (8 + b.stride) > leaf_usable(l->psize) * EDIT_FULL / 100)
		return NULL;
	assert(rank <= b.n);
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
	base_resize(&b, b.n + 1);
	return b.page + to + it->klen;
}

/* From the beginning on. The last entry stays: a uniform base has one at least. */
bool leaf_take_out(struct wset *w, struct wpage *wp, const struct leaf *l, uint32_t rank)
{
	struct base b;

	if (!base_open(w, wp, l, &b))
		return false;
	if (b.n == 1)
		return false;
	assert(rank < b.n);
	uint32_t from = b.entries + rank * b.stride;
	uint32_t at = FMT_LEAF_BASE + 8 * rank;

	move(&b, at, at + 8, 8 * (b.n - 1 - rank));
	move(&b, b.entries - 8, b.entries, rank * b.stride);
	move(&b, from - 8, from + b.stride, (b.n - 1 - rank) * b.stride);
	base_resize(&b, b.n - 1);
	return true;
}
