/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inner.c - see inner.h
 *
 * Readers look at pages that a writer may be changing under an evicted snapshot, or that are
 * damaged. So each length is read once (once) and bounded before it is used; what then comes out
 * may be wrong, and never lies outside the page.
 *
 *   header | heads | kids | offsets | separators, in any order | padding
 *            8 each  8 each 2 each    lengths, key, duplicate
 *            n       n + 1  n         n
 *
 * A search reads heads first: each is the first bytes of a separator behind the prefix that all of
 * the page have, as a number that compares as the bytes do. So most steps compare numbers that lie
 * side by side, and only equal heads lead to a separator. Kids are the only words that change in a
 * page that was committed, and only one at a time.
 *
 * A page is written in three ways. From its parts, when many kids change (inner_build). As a copy
 * with one kid changed (inner_copy), when it has no place for one more pending kid. And as a copy
 * with one kid more (inner_insert), after most splits: heads, kids and offsets are opened at one
 * place, and the separators stay together, with the new one behind them.
 */
#include "page/inner.h"

#include "base/crc.h"
#include "base/err.h"
#include "media/map.h"
#include "space/wset.h"

/* The lengths are bounded by the page's end before anybody follows them. */
int inner_sep(const struct view *v, const struct fmt_page *page, uint64_t off, uint32_t i,
              struct sep *s)
{
	const uint8_t *bytes = (const uint8_t *)page;
	uint32_t at = once(get16(bytes + page->offs + 2 * i));
	uint32_t end;

	if (UNLIKELY(at + FMT_SEP_SIZE > v->psize))
		return err_corrupt(off, "inner page: separator %u lies at byte %u", i, at);
	s->klen = once(get16(bytes + at));
	s->dlen = once(get16(bytes + at + 2));
	s->key = bytes + at + FMT_SEP_SIZE;
	s->dup = s->key + s->klen;
	end = at + FMT_SEP_SIZE + s->klen + sep_dup_bytes(s->dlen);
	if (UNLIKELY(end > v->psize))
		return err_corrupt(off, "inner page: separator %u at byte %u has %u + %u bytes", i,
		                   at, s->klen, s->dlen);
	return 0;
}

/* sep_cmp - <0: the separator lies before the probe, or is it: the probe belongs to its right. A
 * separator without a duplicate lies before all pairs of its key, so only a probe for the place
 * before them equals it. */
static int sep_cmp(const struct order *o, const struct sep *s, const struct probe *p)
{
	int c = order_key_cmp(o, s->key, s->klen, p->key, p->klen);

	if (c)
		return c;
	if (!o->dups)
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

/* One comparison, where a search is not needed: it tells one side. */
int inner_sep_before(const struct view *v, const struct fmt_page *page, uint64_t off,
                     const struct order *o, uint32_t i, const struct probe *p, bool *before)
{
	struct sep s;
	int rc = inner_sep(v, page, off, i, &s);

	*before = !rc && sep_cmp(o, &s, p) <= 0;
	return rc;
}

/* inner_prefix_side - for a page with a prefix. 0: the key begins with it; <0, >0: it lies before,
 * behind all separators. CORRUPT when the first separator, which shows the prefix, is shorter than
 * that. */
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
	bool outermost = false;
	uint64_t head;
	uint32_t lo, hi;
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
	head = order_head(o, p->key, p->klen, plen);
	hi = heads_upto(heads, page->n, head);
	lo = hi;
	if (hi && heads[hi - 1] == head) {
		lo = heads_below(heads, hi, head);
		outermost = p->edge != PROBE_AT;
	}
	while (lo < hi) {
		uint32_t mid = probe_middle(p, outermost, lo, hi);
		struct sep s;

		rc = inner_sep(v, page, off, mid, &s);
		if (rc)
			return rc;
		outermost = false;
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

	if (!wp)
		return kid;
	for (unsigned int i = 0; i < wp->npending; i++)
		if (wp->idx[i] == index)
			return wp->val[i];
	return kid;
}

/* page_crc - of everything in the page but prev and the kids, which change in place. The header's
 * offsets were bounded, or made here. */
static uint32_t page_crc(const uint8_t *image)
{
	const struct fmt_page *page = (const void *)image;
	uint32_t crc = crc32c(0, image, 8);

	crc = crc32c(crc, image + 20, 12);
	crc = crc32c(crc, inner_heads(page), 8 * (size_t)page->n);
	return crc32c(crc, image + page->offs, page->end - page->offs);
}

/* sep_store - a separator's lengths and bytes at p. Returns where they end. dup may be NULL when
 * there is none. */
static uint8_t *sep_store(uint8_t *p, const struct sep *s)
{
	uint32_t dup = sep_dup_bytes(s->dlen);

	put16(p, s->klen);
	put16(p + 2, s->dlen);
	p += FMT_SEP_SIZE;
	memcpy(p, s->key, s->klen);
	p += s->klen;
	if (dup)
		memcpy(p, s->dup, dup);
	return p + dup;
}

/* inner_finish - the padding behind at, which the checksum covers, and the checksum of the page in
 * image, which ends at end. The place is added when the page gets one. */
static void inner_finish(uint8_t *image, uint32_t at, uint32_t end)
{
	struct fmt_page *page = (void *)image;

	assert(at <= end);
	assert(end % 4 == 0);
	memset(image + at, 0, round_up(end, FMT_LINE) - at);
	page->end = (uint16_t)end;
	page->crc = page_crc(image);
}

/* Each separator begins at a multiple of 2, where its lengths are. */
uint32_t inner_build(uint8_t *image, uint32_t psize, const struct order *o, const struct sep *seps,
                     const uint64_t *kids, uint32_t n, unsigned int level, uint64_t birth,
                     uint64_t prev)
{
	struct fmt_page *page = (void *)image;
	uint64_t *heads = (void *)(image + FMT_INNER_HEADS);
	uint32_t offs = FMT_INNER_HEADS + 16 * n + 8;
	uint32_t at = offs + 2 * n;
	uint32_t plen = 0;
	uint32_t end;

	assert(n <= INNER_MAX(psize));
	assert(level > 0);
	if (n > 1) {
		const struct sep *last = &seps[n - 1];

		plen = order_prefix(o, seps->key, seps->klen, last->key, last->klen);
	}
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

		heads[i] = order_head(o, s->key, s->klen, plen);
		put16(image + offs + 2 * i, at);
		at = (uint32_t)(sep_store(image + at, s) - image);
		if (at % 2)
			image[at++] = 0;
		assert(at <= psize);
	}
	end = (uint32_t)round_up(at, 4);
	inner_finish(image, at, end);
	return end;
}

/* kids_change - the kids as the view sees them, but m of these in place of the one that gives way:
 * those behind it move by m - 1. Those that wait in the set go into the copy: a new page has no
 * pending kids. */
static void kids_change(uint64_t *to, const struct inner_edit *e, const uint64_t *kid, uint32_t m)
{
	const struct wpage *wp = NULL;
	const uint64_t *from = inner_kids(e->page);
	uint32_t index = e->index;

	assert(index <= e->page->n);
	memcpy(to, from, index * sizeof *to);
	if (m)
		memcpy(to + index, kid, m * sizeof *to);
	memcpy(to + index + m, from + index + 1, (e->page->n - index) * sizeof *to);
	if (e->view->w)
		wp = wset_find(e->view->w, e->off);
	if (!wp)
		return;
	for (unsigned int i = 0; i < wp->npending; i++) {
		uint32_t at = wp->idx[i];

		if (at < index)
			to[at] = wp->val[i];
		else if (at > index)
			to[at + m - 1] = wp->val[i];
	}
}

/* Nothing moves: the page keeps its length and all of its offsets. */
uint32_t inner_copy(uint8_t *image, const struct inner_edit *e, uint64_t kid)
{
	const struct fmt_page *page = e->page;
	struct fmt_page *copy = (void *)image;
	uint64_t *kids = (uint64_t *)(void *)(image + FMT_INNER_HEADS) + page->n;

	memcpy(image, page, page->end);
	copy->birth = e->birth;
	copy->prev = e->prev;
	kids_change(kids, e, &kid, 1);
	inner_finish(image, page->end, page->end);
	return page->end;
}

/* offsets_shift - the page's offsets with a place left free at index: what they lead to has moved.
 * From its own array to the one at to. The place at index is left for the caller to fill. */
static void offsets_shift(uint8_t *to, const struct fmt_page *page, uint32_t index)
{
	const uint8_t *from = (const uint8_t *)page + page->offs;

	assert(index <= page->n);
	for (uint32_t i = 0; i < page->n; i++) {
		uint32_t place = i + (i >= index);

		put16(to + 2 * place, get16(from + 2 * i) + INNER_EACH);
	}
}

/* The parts of the page in their order: header, heads, kids, offsets, separators. The new
 * separator's bytes go to the end, wherever it belongs in the order, so that no other one moves
 * against the others. */
uint32_t inner_insert(uint8_t *image, const struct inner_edit *e, const struct order *o,
                      const struct sep *sep, const uint64_t kid[2])
{
	const struct fmt_page *page = e->page;
	const uint64_t *heads = inner_heads(page);
	uint64_t *to = (void *)(image + FMT_INNER_HEADS);
	uint32_t n = page->n;
	uint32_t index = e->index;
	uint32_t seps = page->offs + 2 * n; /* where the separators begin */
	uint32_t data = page->end - seps;
	uint32_t offs = page->offs + 16;
	uint32_t at = offs + 2 * (n + 1) + data;
	uint32_t behind = at + FMT_SEP_SIZE + sep->klen + sep_dup_bytes(sep->dlen);
	uint32_t end = (uint32_t)round_up(behind, 4);
	int side = 0;
	int rc = 0;

	if (n == 0)
		return 0;
	if (end > e->view->psize)
		return 0;
	if (page->plen)
		rc = inner_prefix_side(e->view, page, e->off, page->plen, sep->key, sep->klen,
		                       &side);
	if (rc)
		return 0;
	if (side)
		return 0;
	*(struct fmt_page *)(void *)image = (struct fmt_page){
	    .birth = e->birth,
	    .prev = e->prev,
	    .type = FMT_INNER,
	    .level = page->level,
	    .n = (uint16_t)(n + 1),
	    .plen = page->plen,
	    .heads = FMT_INNER_HEADS,
	    .offs = (uint16_t)offs,
	};
	memcpy(to, heads, index * sizeof *to);
	to[index] = order_head(o, sep->key, sep->klen, page->plen);
	memcpy(to + index + 1, heads + index, (n - index) * sizeof *to);
	kids_change(to + n + 1, e, kid, 2);
	offsets_shift(image + offs, page, index);
	put16(image + offs + 2 * index, at);
	memcpy(image + offs + 2 * (n + 1), (const uint8_t *)page + seps, data);
	sep_store(image + at, sep);
	inner_finish(image, behind, end);
	return end;
}

/* The separator that goes stands behind the kid, or before it when it is the last one. The bytes of
 * those behind it move up, so that no hole is left. */
uint32_t inner_without(uint8_t *image, const struct inner_edit *e)
{
	const struct fmt_page *page = e->page;
	const uint8_t *bytes = (const uint8_t *)page;
	uint64_t *to = (void *)(image + FMT_INNER_HEADS);
	uint32_t n = page->n;
	uint32_t gone = e->index < n ? e->index : n - 1;
	struct sep sep;

	if (n < 2)
		return 0;
	if (inner_sep(e->view, page, e->off, gone, &sep) != 0)
		return 0;
	uint32_t hole = get16(bytes + page->offs + 2 * gone);
	uint32_t size = (uint32_t)round_up(FMT_SEP_SIZE + sep.klen + sep_dup_bytes(sep.dlen), 2);
	uint32_t seps = page->offs + 2 * n; /* where the separators begin */
	uint32_t offs = page->offs - 16;
	uint32_t at = offs + 2 * (n - 1);

	if (hole < seps)
		return 0;
	if (hole + size > page->end)
		return 0;
	memcpy(image, page, FMT_INNER_HEADS);
	struct fmt_page *copy = (void *)image;

	copy->birth = e->birth;
	copy->prev = e->prev;
	copy->n = (uint16_t)(n - 1);
	copy->offs = (uint16_t)offs;
	memcpy(to, inner_heads(page), gone * sizeof *to);
	memcpy(to + gone, inner_heads(page) + gone + 1, (n - 1 - gone) * sizeof *to);
	kids_change(to + n - 1, e, NULL, 0);
	for (uint32_t i = 0; i < n - 1; i++) {
		uint32_t from = get16(bytes + page->offs + 2 * (i + (i >= gone)));

		put16(image + offs + 2 * i, from - INNER_EACH - (from > hole ? size : 0));
	}
	memcpy(image + at, bytes + seps, hole - seps);
	at += hole - seps;
	memcpy(image + at, bytes + hole + size, page->end - hole - size);
	at += page->end - hole - size;
	uint32_t end = (uint32_t)round_up(at, 4);

	inner_finish(image, at, end);
	return end;
}

/* pending_kid - the same for a page that a commit refers to: kid index becomes page kid when the
 * commit stores its words. *done false: too many of the page's kids wait already. */
static void pending_kid(struct wpage *wp, uint32_t index, uint64_t kid, bool *done)
{
	unsigned int i = 0;

	while (i < wp->npending && wp->idx[i] != index)
		i++;
	*done = i < WSET_PENDING;
	if (!*done)
		return;
	wp->idx[i] = (uint16_t)index;
	wp->val[i] = kid;
	if (i == wp->npending)
		wp->npending++;
}

/* In place where the running level made the page; pending where a commit did. */
int inner_swap(struct wset *w, const struct fmt_page *page, uint64_t off, uint32_t index,
               uint64_t kid, bool *done)
{
	struct wpage *wp;

	*done = false;
	if (wset_kept(w, page))
		return 0;
	int rc = wset_touch(w, off, &wp);

	*done = true;
	if (rc)
		return rc;
	assert(index <= page->n);
	if (!wset_editable(w, wp)) {
		pending_kid(wp, index, kid, done);
		return 0;
	}
	wset_apply(w, wp);
	wp->streamed = false;
	pm_store8(&w->map->pm, inner_kids(page) + index, kid);
	return 0;
}

/* The place counts, too: a page that was copied elsewhere does not match [I12]. */
int inner_verify(const struct fmt_page *page, uint64_t off)
{
	uint32_t crc = page_crc((const uint8_t *)page) ^ crc32c_place(off);

	if (crc == page->crc)
		return 0;
	return err_corrupt(off, "inner page: its checksum does not match");
}
