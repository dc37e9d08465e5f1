/* SPDX-License-Identifier: BSD-3-Clause */
/* inner.c - see inner.h */
#include "inner.h"

#include "crc.h"

static const uint64_t *heads_of(const struct fmt_page *p)
{
	return (const uint64_t *)(const void *)((const uint8_t *)p + FMT_INNER_HEADS);
}

static const uint64_t *kids_of(const struct fmt_page *p)
{
	return heads_of(p) + p->n;
}

int inner_sep(const struct view *v, const struct fmt_page *page, uint64_t off, uint32_t i, struct sep *s)
{
	const uint8_t *bytes = (const uint8_t *)page;
	uint32_t at = once(get16(bytes + page->offs + 2 * i));

	if (UNLIKELY(at + FMT_SEP_SIZE > v->psize))
		return err_corrupt(off, "inner page: separator %u lies at byte %u", i, at);
	s->klen = once(get16(bytes + at));
	s->dlen = once(get16(bytes + at + 2));
	s->key = bytes + at + FMT_SEP_SIZE;
	s->dup = s->key + s->klen;
	if (UNLIKELY(at + FMT_SEP_SIZE + s->klen + (s->dlen == FMT_SEP_NODUP ? 0 : s->dlen) > v->psize))
		return err_corrupt(off, "inner page: separator %u at byte %u has %u + %u bytes", i, at, s->klen, s->dlen);
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
	if (s->dlen == FMT_SEP_NODUP)
		return p->edge == PROBE_BEFORE ? 0 : -1;
	return p->edge == PROBE_BEFORE ? 1 : order_dup_cmp(o, s->dup, s->dlen, p->dup, p->dlen);
}

static int prefix_side(const struct view *v, const struct fmt_page *page, uint64_t off, uint32_t plen, const uint8_t *key, uint32_t klen, int *side)
{
	struct sep first;
	int rc;

	*side = 0;
	if (LIKELY(!plen))
		return 0;
	rc = inner_sep(v, page, off, 0, &first);
	if (rc)
		return rc;
	if (plen > first.klen)
		return err_corrupt(off, "inner page: a prefix of %u bytes, the first separator has %u", plen, first.klen);
	*side = memcmp(key, first.key, plen < klen ? plen : klen);
	if (*side == 0 && klen < plen)
		*side = -1;
	return 0;
}

int inner_find(const struct view *v, const struct fmt_page *page, uint64_t off, const struct order *o, const struct probe *p, uint32_t *index)
{
	const uint64_t *heads = heads_of(page);
	uint32_t plen = once(page->plen);
	int side, rc = prefix_side(v, page, off, plen, p->key, p->klen, &side);

	if (rc)
		return rc;
	if (UNLIKELY(side)) {
		*index = side < 0 ? 0 : page->n;
		return 0;
	}
	uint64_t head = order_head(o, p->key, p->klen, plen);
	uint32_t hi = heads_upto(heads, page->n, head), lo = hi;

	if (hi && heads[hi - 1] == head)
		lo = heads_below(heads, hi, head);
	while (lo < hi) { /* equal heads: the full comparison decides */
		uint32_t mid = (lo + hi) / 2;
		struct sep s;

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

uint64_t inner_kid(const struct view *v, const struct fmt_page *page, uint64_t off, uint32_t index)
{
	const struct wpage *wp = v->w ? wset_find(v->w, off) : NULL;

	if (wp)
		for (unsigned int i = 0; i < wp->npending; i++)
			if (wp->idx[i] == index)
				return wp->val[i];
	return load_word(kids_of(page) + index);
}

uint32_t inner_build(uint8_t *image, uint32_t psize, const struct order *o, const struct sep *seps, const uint64_t *kids, uint32_t n,
                     unsigned int level, uint64_t birth, uint64_t prev)
{
	struct fmt_page *page = (void *)image;
	uint64_t *heads = (void *)(image + FMT_INNER_HEADS);
	uint32_t offs = FMT_INNER_HEADS + 16 * n + 8, at = offs + 2 * n, plen = 0;

	if (n > 1)
		plen = order_prefix(o, seps[0].key, seps[0].klen, seps[n - 1].key, seps[n - 1].klen);
	*page = (struct fmt_page){.birth = birth, .prev = prev, .type = FMT_INNER, .level = (uint8_t)level, .n = (uint16_t)n,
	                          .plen = (uint16_t)plen, .heads = FMT_INNER_HEADS, .offs = (uint16_t)offs};
	memcpy(heads + n, kids, 8 * ((size_t)n + 1));
	for (uint32_t i = 0; i < n; i++) {
		const struct sep *s = &seps[i];
		uint32_t dlen = s->dlen == FMT_SEP_NODUP ? 0 : s->dlen;

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
	page->crc = crc32c(crc32c(crc32c(crc32c(0, image, 8), image + 20, 12), heads, 8 * (size_t)n), image + offs, end - offs);
	return end;
}

int inner_swap(struct wset *w, const struct fmt_page *page, uint64_t off, uint32_t index, uint64_t kid, bool *done)
{
	struct wpage *wp;
	int rc = wset_touch(w, off, &wp);

	*done = true;
	if (rc)
		return rc;
	if (wset_editable(w, wp)) {
		wset_apply(w, wp);
		wp->streamed = false;
		pm_store8(&w->map->pm, kids_of(page) + index, kid);
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
