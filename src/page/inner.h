/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inner.h - inside an inner page: separators in order and the pages between them.
 *
 *   | header | heads[n] | kids[n+1] | offs[n] | separators |
 *
 * Kid i holds what is at or after separator i-1 and before separator i.
 *
 * Immutable but for the kids, which are words: a page replaced below changes one of them, in the
 * transaction's pending set, and more than that makes a new inner page.
 */
#ifndef DAXKV_INNER_H
#define DAXKV_INNER_H

#include "page/order.h"
#include "page/view.h"
#include "space/wset.h"

struct sep { /* a separator, in a page or in memory */
	const uint8_t *key;
	const uint8_t *dup;
	uint32_t klen;
	uint32_t dlen; /* FMT_SEP_NODUP: it lies before all of the key's duplicates, and has none */
};

/* sep_dup_bytes - bytes of the duplicate that it has; dlen as in a page. */
static inline uint32_t sep_dup_bytes(uint32_t dlen)
{
	if (dlen == FMT_SEP_NODUP)
		return 0;
	return dlen;
}

/* inner_find - the kid that holds the probe. CORRUPT. *index is 0 to n, also where the page is
 * damaged and the answer wrong. */
int inner_find(const struct view *view, const struct fmt_page *page, uint64_t off,
               const struct order *order, const struct probe *probe, uint32_t *index);

/* inner_heads, inner_kids - the arrays in the page; kids lie directly behind heads. */
static inline const uint64_t *inner_heads(const struct fmt_page *p)
{
	return (const uint64_t *)(const void *)((const uint8_t *)p + FMT_INNER_HEADS);
}

/* inner_kids - see inner_heads: one more than separators. */
static inline const uint64_t *inner_kids(const struct fmt_page *p)
{
	return inner_heads(p) + p->n;
}

/* inner_kid - the page that kid index (0 .. n) is in this view. inner_kid_pending - the same for a
 * writer, when kid is what the page says. */
uint64_t inner_kid_pending(const struct wset *w, uint64_t off, uint32_t index, uint64_t kid);
/* A writer has pending kids; a reader's view has none, and pays one test. The offset is the page's
 * word: nothing says yet that a sound page is there. */
static inline uint64_t inner_kid(const struct view *v, const struct fmt_page *page, uint64_t off,
                                 uint32_t index)
{
	uint64_t kid = load_word(inner_kids(page) + index);

	if (v->w && v->w->n)
		return inner_kid_pending(v->w, off, index, kid);
	return kid;
}

/* inner_sep - separator index. CORRUPT when it does not lie in the page. sep points into the
 * page. */
int inner_sep(const struct view *view, const struct fmt_page *page, uint64_t off, uint32_t index,
              struct sep *sep);

/* inner_sep_before - whether separator index lies before the probe, or is it: the probe belongs to
 * its right. CORRUPT. */
int inner_sep_before(const struct view *view, const struct fmt_page *page, uint64_t off,
                     const struct order *order, uint32_t index, const struct probe *probe,
                     bool *before);

/* INNER_EACH - what a separator takes beside its lengths and bytes: a head, a kid, an offset.
 * inner_cost - bytes that a separator and its kid take in a page. inner_usable - what a page has
 * for them. */
#define INNER_EACH (8u + 8u + 2u)
static inline uint32_t inner_cost(const struct sep *sep)
{
	uint32_t bytes = FMT_SEP_SIZE + sep->klen + sep_dup_bytes(sep->dlen);

	return INNER_EACH + (uint32_t)round_up(bytes, 2);
}

/* Less one kid, which a page has more than separators, and what alignment may take. */
static inline uint32_t inner_usable(uint32_t psize)
{
	return psize - FMT_INNER_HEADS - 8 - 4; /* the one kid more, alignment */
}

/* inner_fits - whether separators of that cost fit into a page together: any that a sound page has
 * do, and those of a damaged one may lie over each other. */
static inline bool inner_fits(uint32_t cost, uint32_t psize)
{
	return FMT_INNER_HEADS + 8 + cost <= psize;
}

#define INNER_MAX(psize) ((psize) / 16)

/* inner_build - write an inner page of n separators and n + 1 kids to image. Nothing may lie in
 * image. Returns the bytes used. What it is built of has been bounded by inner_usable. The place is
 * not in the checksum yet. */
uint32_t inner_build(uint8_t *image, uint32_t psize, const struct order *order,
                     const struct sep *seps, const uint64_t *kids, uint32_t n, unsigned int level,
                     uint64_t birth, uint64_t prev);

/* A page that is written again with one of its kids changed. */
struct inner_edit {
	const struct view *view; /* what the page's other kids are */
	const struct fmt_page *page;
	uint64_t off;
	uint32_t index; /* of the kid that gives way */
	/* of the new page */
	uint64_t birth;
	uint64_t prev;
};

/* inner_copy - write to image what the page becomes when kid index is another. Returns the bytes
 * used. */
uint32_t inner_copy(uint8_t *image, const struct inner_edit *edit, uint64_t kid);

/* inner_insert - write to image what the page becomes when kid index gives way to two with a
 * separator between: most splits below end in this, so that the rest is copied as it is. Returns
 * the bytes used; 0: it does not fit, or the separator does not share the page's prefix. */
uint32_t inner_insert(uint8_t *image, const struct inner_edit *edit, const struct order *order,
                      const struct sep *sep, const uint64_t kid[2]);

/* inner_without - write to image what the page becomes when kid index goes, with a separator beside
 * it. Returns the bytes used; 0: the page has no other separator, or that one does not lie in it.
 */
uint32_t inner_without(uint8_t *image, const struct inner_edit *edit);

/* inner_set_kid - another kid in an image: its checksum is not of kids. */
static inline void inner_set_kid(uint8_t *image, uint32_t index, uint64_t kid)
{
	const struct fmt_page *page = (const void *)image;

	assert(index <= page->n);
	put64(image + FMT_INNER_HEADS + 8u * (page->n + index), kid);
}

/* inner_swap - kid index becomes page kid, in place or pending; *done false when the page has too
 * many pending kids. It is visible to others with the commit, which stores the word or names it in
 * its record. ENOMEM; nothing has changed then. */
int inner_swap(struct wset *w, const struct fmt_page *page, uint64_t off, uint32_t index,
               uint64_t kid, bool *done);

/* inner_verify - compare the checksum of a sound page. CORRUPT. Sound: its header's bounds hold
 * (page_sound), which the checksum's own bounds come from. */
int inner_verify(const struct fmt_page *page, uint64_t off);

#endif
