/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inner.c - see inner.h
 *
 * Readers look at pages that a writer may be changing under an evicted snapshot, or that are
 * damaged. So each length is read once (once) and bounded before it is used; what then comes out
 * may be wrong, and never lies outside the page.
 */
#include "page/inner.h"

#include "base/crc.h"
#include "space/wset.h"

int inner_sep(const struct view *v, const struct fmt_page *page, uint64_t off, uint32_t i,
              struct sep *s)
{
	const uint8_t *bytes = (const uint8_t *)page;
	uint32_t at = once(get16(bytes + page->offs + 2 * i));

	if (UNLIKELY(at + FMT_SEP_SIZE > v->psize))
		return err_corrupt(off, "inner page: separator %u lies at byte %u", i, at);
	s->klen = once(get16(bytes + at));
	s->dlen = once(get16(bytes + at + 2));
	s->key = bytes + at + FMT_SEP_SIZE;
	s->dup = s->key + s->klen;
	if (UNLIKELY(at + FMT_SEP_SIZE + s->klen + (s->dlen == FMT_SEP_NODUP ? 0 : s->dlen) >
	             v->psize))
		return err_corrupt(off, "inner page: separator %u at byte %u has %u + %u bytes", i,
		                   at, s->klen, s->dlen);
	return 0;
}

/* sep_cmp - <0: the separator lies before the probe, or is it: the probe belongs to its right. */
static int sep_cmp(const struct order *o, const struct sep *s, const struct probe *p)
{
	int c = order_key_cmp(o, s->key, s->klen, p->key, p->klen);

	if (c || !o->dups)
		return c;
	if (p->edge == PROBE_AFTER)
		return -1;
	if (s->dlen == FMT_SEP_NODUP) {
		if (p->edge == PROBE_BEFORE)
			return 0;
		return -1;
	}
	if (p->edge == PROBE_BEFORE)
		return 1;
	return order_dup_cmp(o, s->dup, s->dlen, p->dup, p->dlen);
}

/* inner_prefix_side - for a page with a prefix. 0: the key begins with it; <0, >0: it lies before,
 * behind all separators. */
static int inner_prefix_side(const struct view *v, const struct fmt_page *page, uint64_t off,
                             uint32_t plen, const uint8_t *key, uint32_t klen, int *side)
{
	struct sep first;
	int rc;

	rc = inner_sep(v, page, off, 0, &first);
	if (rc)
		return rc;
	if (plen > first.klen)
		return err_corrupt(off,
		                   "inner page: a prefix of %u bytes, the first separator has %u",
		                   plen, first.klen);
	*side = memcmp(key, first.key, plen < klen ? plen : klen);
	if (*side == 0 && klen < plen)
		*side = -1;
	return 0;
}

/* Heads first, by masks; entries of equal heads by comparison. Most searches touch the heads and
 * one kid. */
int inner_find(const struct view *v, const struct fmt_page *page, uint64_t off,
               const struct order *o, const struct probe *p, uint32_t *index)
{
	const uint64_t *heads = inner_heads(page);
	uint32_t plen = once(page->plen);
	int side = 0;
	int rc = 0;

	if (UNLIKELY(plen))
		rc = inner_prefix_side(v, page, off, plen, p->key, p->klen, &side);
	if (UNLIKELY(rc))
		return rc;
	if (UNLIKELY(side)) {
		if (side < 0)
			*index = 0;
		else
			*index = page->n;
		return 0;
	}
	uint64_t head = order_head(o, p->key, p->klen, plen);
	uint32_t hi = heads_upto(heads, page->n, head);
	uint32_t lo = hi;

	if (hi && heads[hi - 1] == head)
		lo = heads_below(heads, hi, head);
	/* Equal heads: the full comparison decides; that of the outermost alone where all are of
	 * one key. */
	for (bool near = p->edge != PROBE_AT; lo < hi; near = false) {
		uint32_t mid;
		struct sep s;

		if (!near)
			mid = (lo + hi) / 2;
		else if (p->edge == PROBE_AFTER)
			mid = hi - 1;
		else
			mid = lo;
		rc = inner_sep(v, page, off, mid, &s);
		if (rc)
			return rc;
		if (sep_cmp(o, &s, p) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*index = lo;
	return 0;
}

/* The transaction's own pending kids come first: a writer sees what it has done. */
uint64_t inner_kid_pending(const struct wset *w, uint64_t off, uint32_t index, uint64_t kid)
{
	const struct wpage *wp = wset_find(w, off);

	if (wp)
		for (unsigned int i = 0; i < wp->npending; i++)
			if (wp->idx[i] == index)
				return wp->val[i];
	return kid;
}

/* page_crc - of everything in the page but prev and the kids, which change in place. */
static uint32_t page_crc(const uint8_t *image)
{
	const struct fmt_page *page = (const void *)image;

	return crc32c(crc32c(crc32c(crc32c(0, image, 8), image + 20, 12), inner_heads(page),
	                     8 * (size_t)page->n),
	              image + page->offs, page->end - page->offs);
}

/* The padding is zeroed, because the checksum covers it. */
uint32_t inner_build(uint8_t *image, uint32_t psize, const struct order *o, const struct sep *seps,
                     const uint64_t *kids, uint32_t n, unsigned int level, uint64_t birth,
                     uint64_t prev)
{
	assert(n <= INNER_MAX(psize));
	struct fmt_page *page = (void *)image;
	uint64_t *heads = (void *)(image + FMT_INNER_HEADS);
	uint32_t offs = FMT_INNER_HEADS + 16 * n + 8;
	uint32_t at = offs + 2 * n;
	uint32_t plen = 0;

	if (n > 1)
		plen =
		    order_prefix(o, seps[0].key, seps[0].klen, seps[n - 1].key, seps[n - 1].klen);
	*page = (struct fmt_page){
	    .birth = birth,
	    .prev = prev,
	    .type = FMT_INNER,
	    .level = (uint8_t)level,
	    .n = (uint16_t)n,
	    .plen = (uint16_t)plen,
	    .heads = FMT_INNER_HEADS,
	    .offs = (uint16_t)offs,
	};
	memcpy(heads + n, kids, 8 * ((size_t)n + 1));
	for (uint32_t i = 0; i < n; i++) {
		const struct sep *s = &seps[i];
		uint32_t dlen = 0;

		if (s->dlen != FMT_SEP_NODUP)
			dlen = s->dlen;
		heads[i] = order_head(o, s->key, s->klen, plen);
		put16(image + offs + 2 * i, at);
		put16(image + at, s->klen);
		put16(image + at + 2, s->dlen);
		memcpy(image + at + FMT_SEP_SIZE, s->key, s->klen);
		if (dlen)
			memcpy(image + at + FMT_SEP_SIZE + s->klen, s->dup, dlen);
		at += FMT_SEP_SIZE + s->klen + dlen;
		if (at % 2)
			image[at++] = 0;
		assert(at <= psize);
	}
	uint32_t end = (uint32_t)round_up(at, 4);

	memset(image + at, 0, round_up(end, FMT_LINE) - at);
	page->end = (uint16_t)end;
	page->crc = page_crc(image);
	return end;
}

/* kids_change - the kids as the view sees them, but m of these in place of the one at index. */
static void kids_change(uint64_t *to, const struct view *v, const struct fmt_page *page,
                        uint64_t off, const uint64_t *kid, uint32_t m, uint32_t index)
{
	assert(m > 0);
	const struct wpage *wp = v->w ? wset_find(v->w, off) : NULL;
	const uint64_t *from = inner_kids(page);

	memcpy(to, from, index * sizeof *to);
	memcpy(to + index, kid, m * sizeof *to);
	memcpy(to + index + m, from + index + 1, (page->n - index) * sizeof *to);
	for (unsigned int i = 0; wp && i < wp->npending; i++)
		if (wp->idx[i] != index)
			to[wp->idx[i] < index ? wp->idx[i] : wp->idx[i] + m - 1] = wp->val[i];
}

uint32_t inner_copy(uint8_t *image, const struct view *v, const struct fmt_page *page, uint64_t off,
                    uint64_t kid, uint32_t index, uint64_t birth, uint64_t prev)
{
	struct fmt_page *copy = (void *)image;

	memcpy(image, page, page->end);
	memset(image + page->end, 0, round_up(page->end, FMT_LINE) - page->end);
	copy->birth = birth;
	copy->prev = prev;
	kids_change((uint64_t *)(void *)(image + FMT_INNER_HEADS) + page->n, v, page, off, &kid, 1,
	            index);
	copy->crc = page_crc(image);
	return page->end;
}

/* The parts of the page in their order: header, heads, kids, offsets, separators. The new
 * separator's bytes go to the end, wherever it belongs in the order, so that no other one moves
 * against the others. */
uint32_t inner_insert(uint8_t *image, const struct view *v, const struct fmt_page *page,
                      uint64_t off, const struct sep *sep, const uint64_t kid[2], uint32_t index,
                      const struct order *o, uint64_t birth, uint64_t prev)
{
	uint32_t n = page->n;
	uint32_t dlen = sep->dlen == FMT_SEP_NODUP ? 0 : sep->dlen;
	uint32_t data = page->end - page->offs - 2 * n;
	uint32_t offs = page->offs + 16;
	uint32_t at = offs + 2 * (n + 1) + data;
	uint32_t end = (uint32_t)round_up(at + FMT_SEP_SIZE + sep->klen + dlen, 4);
	const uint64_t *heads = inner_heads(page);
	uint64_t *to = (void *)(image + FMT_INNER_HEADS);
	int side = 0;

	if (n == 0 || end > v->psize ||
	    (page->plen &&
	     inner_prefix_side(v, page, off, page->plen, sep->key, sep->klen, &side)) ||
	    side)
		return 0;
	*(struct fmt_page *)(void *)image = (struct fmt_page){
	    .birth = birth,
	    .prev = prev,
	    .type = FMT_INNER,
	    .level = page->level,
	    .n = (uint16_t)(n + 1),
	    .plen = page->plen,
	    .heads = FMT_INNER_HEADS,
	    .offs = (uint16_t)offs,
	    .end = (uint16_t)end,
	};
	memcpy(to, heads, index * sizeof *to);
	to[index] = order_head(o, sep->key, sep->klen, page->plen);
	memcpy(to + index + 1, heads + index, (n - index) * sizeof *to);
	kids_change(to + n + 1, v, page, off, kid, 2, index);
	/* what they point to lies 18 bytes further: a head, a kid and an offset more are before it
	 */
	for (uint32_t i = 0; i < n; i++)
		put16(image + offs + 2 * (i + (i >= index)),
		      get16((const uint8_t *)page + page->offs + 2 * i) + 18u);
	put16(image + offs + 2 * index, at);
	memcpy(image + offs + 2 * (n + 1), (const uint8_t *)page + page->offs + 2 * n, data);
	put16(image + at, sep->klen);
	put16(image + at + 2, sep->dlen);
	memcpy(image + at + FMT_SEP_SIZE, sep->key, sep->klen);
	if (dlen)
		memcpy(image + at + FMT_SEP_SIZE + sep->klen, sep->dup, dlen);
	memset(image + at + FMT_SEP_SIZE + sep->klen + dlen, 0,
	       round_up(end, FMT_LINE) - at - FMT_SEP_SIZE - sep->klen - dlen);
	((struct fmt_page *)(void *)image)->crc = page_crc(image);
	return end;
}

/* In place where the running level made the page; pending where a commit did. */
int inner_swap(struct wset *w, const struct fmt_page *page, uint64_t off, uint32_t index,
               uint64_t kid, bool *done)
{
	struct wpage *wp;
	int rc = wset_touch(w, off, &wp);

	*done = true;
	if (rc)
		return rc;
	if (wset_editable(w, wp)) {
		wset_apply(w, wp);
		wp->streamed = false;
		pm_store8(&w->map->pm, inner_kids(page) + index, kid);
		return 0;
	}
	for (unsigned int i = 0; i < wp->npending; i++)
		if (wp->idx[i] == index) {
			wp->val[i] = kid;
			return 0;
		}
	if (wp->npending == WSET_PENDING) {
		*done = false;
		return 0;
	}
	wp->idx[wp->npending] = (uint16_t)index;
	wp->val[wp->npending++] = kid;
	return 0;
}

/* The place counts, too: a page that was copied elsewhere does not match [I12]. */
int inner_verify(const struct fmt_page *page, uint64_t off)
{
	if ((page_crc((const uint8_t *)page) ^ crc32c_place(off)) == page->crc)
		return 0;
	return err_corrupt(off, "inner page: its checksum does not match");
}
