/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leaf_write.c - building a leaf, and appending to one. See leaf.h
 *
 * Appending is what a put does, and the one place where fresh bytes go into a page that a commit
 * refers to. They lie behind everything that a committed slot names, so nobody can see them before
 * the slot's word is stored; and the slot is stored, or listed for the record, after the bytes
 * [I9].
 */
#include "base/crc.h"
#include "page/leaf.h"
#include "space/wset.h"
/* bytes_of - the page as bytes. */
static const uint8_t *bytes_of(const struct leaf *l)
{
	return (const uint8_t *)l->page;
}

/* Of birth, the fields from type on, and the base: not of prev and the slots, which change. */
uint32_t leaf_crc(const uint8_t *p, uint32_t end)
{
	return crc32c(crc32c(crc32c(0, p, 8), p + 20, 12), p + FMT_LEAF_BASE, end - FMT_LEAF_BASE);
}

/* One pass: whether all of them have the lengths of the first. */
uint32_t leaf_costs(const struct order *o, const struct item *items, uint32_t n)
{
	if (!n || !uniform_suits(o, &items[0]))
		return 0;
	for (uint32_t i = 1; i < n; i++)
		if (items[i].klen != items[0].klen || items[i].vlen != items[0].vlen ||
		    items[i].flags)
			return 0;
	return 8 + uniform_stride(items[0].klen, items[0].vlen);
}

/* base_uniform, base_mixed - the heads and entries of a base; where they end. */
static uint32_t base_uniform(uint8_t *image, uint32_t psize, const struct order *o,
                             const struct item *items, uint32_t n, uint32_t plen)
{
	uint64_t *heads = (void *)(image + FMT_LEAF_BASE);
	uint32_t klen = items[0].klen;
	uint32_t vlen = items[0].vlen;
	uint32_t stride = uniform_stride(klen, vlen);
	uint8_t *e = image + FMT_LEAF_BASE + 8 * n;

	assert(FMT_LEAF_BASE + n * (8 + stride) <= psize);
	for (uint32_t i = 0; i < n; i++, e += stride) {
		heads[i] = order_head(o, items[i].key, klen, plen);
		leaf_entry_copy(e, items[i].key, klen);
		leaf_value_copy(e + klen, items[i].val, vlen);
		memset(e + klen + vlen, 0, stride - klen - vlen);
	}
	return (uint32_t)(e - image);
}

/* base_mixed - entries of any sizes, each with its offset. */
static uint32_t base_mixed(uint8_t *image, uint32_t psize, const struct order *o,
                           const struct item *items, uint32_t n, uint32_t plen)
{
	uint32_t offs_at = FMT_LEAF_BASE + 8 * n;
	uint32_t at = offs_at + 2 * n;
	uint64_t *heads = (void *)(image + FMT_LEAF_BASE);
	uint16_t *offs = (void *)(image + offs_at);

	for (uint32_t i = 0; i < n; i++) {
		const struct item *it = &items[i];
		uint32_t e = leaf_entry_align(o, at, it->klen);

		memset(image + at, 0, e - at);
		heads[i] = order_head(o, it->key, it->klen, plen);
		offs[i] = (uint16_t)e;
		leaf_entry_store(image + e, it);
		at = e + FMT_ENTRY_SIZE + it->klen + it->vlen;
		assert(at <= psize);
	}
	return at;
}

/* An empty leaf is one, too: a tree that lost its last entry. */
uint32_t leaf_build(uint8_t *image, uint32_t psize, const struct order *o, const struct item *items,
                    uint32_t n, uint64_t birth, uint64_t prev)
{
	struct fmt_page *page = (void *)image;
	bool uniform = leaf_costs(o, items, n) > 0;
	uint32_t plen = 0;

	if (n >= 2)
		plen = order_prefix(o, items[0].key, items[0].klen, items[n - 1].key,
		                    items[n - 1].klen);
	memset(image, 0, FMT_LEAF_BASE);
	*page = leaf_header(n, uniform ? items : NULL, birth, prev);
	page->plen = (uint16_t)plen;
	uint32_t at = (uniform ? base_uniform : base_mixed)(image, psize, o, items, n, plen);
	uint32_t end = (uint32_t)round_up(at, 4);

	memset(image + at, 0, round_up(end, FMT_LINE) - at);
	page->end = (uint16_t)end;
	assert(end <= psize);
	page->crc = leaf_crc(image, end);
	return end;
}

/* expect_all - the whole leaf will be read. */
static void expect_all(const struct leaf *l)
{
	for (uint32_t i = 0; i < l->psize; i += FMT_LINE)
		__builtin_prefetch(bytes_of(l) + i);
}

/* Three lines: what most entries take. */
void leaf_own(const struct leaf *l, uint32_t bytes)
{
	uint32_t end = leaf_tail_end(l);
	const uint8_t *from = bytes_of(l) + end;

	/* it will be written anew */
	if (l->nslots == FMT_TAIL_SLOTS ||
	    end + FMT_TAIL_BEFORE + FMT_ENTRY_SIZE + bytes + FMT_TAIL_AFTER > l->psize) {
		expect_all(l);
		return;
	}
	pm_own(bytes_of(l) + FMT_LEAF_SLOTS + l->nslots * FMT_WORD);
	for (unsigned int i = 0; i < 3; i++)
		pm_own(from + i * FMT_LINE);
}

/* What is prefetched is a guess, and costs nothing when it is wrong but the bandwidth. */
void leaf_expect_put(const struct leaf *l, const struct leaf_gap *g, uint32_t bytes, bool *full)
{
	uint32_t end = leaf_tail_end(l);
	uint32_t need = FMT_TAIL_BEFORE + FMT_ENTRY_SIZE + bytes + FMT_TAIL_AFTER;

	*full = l->nslots == FMT_TAIL_SLOTS || end + need > l->psize;
	if (*full) {
		expect_all(l);
		return;
	}
	for (uint32_t j = 0; j < g->n; j++)
		__builtin_prefetch(bytes_of(l) + g->entry[j]);
	pm_own(bytes_of(l) + FMT_LEAF_SLOTS + l->nslots * FMT_WORD);
	for (uint32_t i = 0; i < need + FMT_LINE - 1; i += FMT_LINE)
		pm_own(bytes_of(l) + end + i);
}

/* shadow_open - the wpage of a leaf that gets pending slots: at its first one it takes the page's
 * slots over. */
static int shadow_open(struct wset *w, const struct leaf *l, struct wpage **out)
{
	struct wpage *wp;
	int rc = wset_touch(w, l->off, &wp);

	if (rc)
		return rc;
	if (!wp->npending) {
		memcpy(wp->val, l->slots, sizeof wp->val); /* those that are not in use are 0 */
		wp->npending = wp->napplied = (uint8_t)l->nslots;
	}
	*out = wp;
	assert(!wp->owner || wp->owner < w->level);
	assert(wp->npending == l->nslots);
	return 0;
}

struct fresh { /* what is appended to the page, from..end */
	const uint8_t *bytes;
	uint32_t from;
	uint32_t end;
	/* the first so many bytes have that checksum */
	uint32_t known;
	uint32_t crc;
	bool to_fill; /* some of them are going to change */
};

/* shadow_add - the entry's bytes are in the page: note slot and range, and start writing them
 * back. */
static void shadow_add(struct wset *w, struct wpage *wp, const struct fresh *f, uint64_t slot)
{
	assert(wp->npending < FMT_TAIL_SLOTS);
	assert(f->from % 4 == 0 && f->end % 4 == 0 && f->from < f->end);
	uint32_t n = f->end - f->from;

	/* Bytes between the last entry and this one are alignment, stored with it: the range stays
	 * one piece [R1]. */
	if (!wp->fresh_end) {
		wp->fresh_off = (uint16_t)f->from;
		wp->crc_valid = !f->to_fill;
		if (f->to_fill)
			wp->fresh_crc = 0;
		else
			wp->fresh_crc = crc32c(f->crc, f->bytes + f->known, n - f->known);
	} else if (wp->crc_valid) {
		wp->crc_valid = !f->to_fill;
		if (f->to_fill)
			wp->fresh_crc = 0;
		else
			wp->fresh_crc = crc32c(wp->fresh_crc, f->bytes, n);
	}
	wp->fresh_end = (uint16_t)f->end;
	wp->val[wp->npending++] = slot;
	pm_flush(&w->map->pm, w->map->base + wp->off + f->from, n);
}

/* The entry is put together in a buffer with its checksum, then written at once: the page's bytes
 * are stored once, in order. */
int leaf_append(struct wset *w, const struct order *o, const struct leaf *l,
                const struct leaf_change *c, bool *done, const uint8_t **value)
{
	assert(c->kind != 0);
	uint8_t buf[FMT_PAGE_MAX / 2 + 64];
	uint32_t from = leaf_tail_end(l);
	uint32_t e = leaf_entry_align(o, from + FMT_TAIL_BEFORE, c->item.klen);
	uint32_t body = FMT_TAIL_BEFORE + FMT_ENTRY_SIZE + c->item.klen + c->item.vlen;
	uint32_t crc_at = e - FMT_TAIL_BEFORE + body;
	uint32_t end = (uint32_t)round_up(crc_at + FMT_TAIL_AFTER, 4);
	uint32_t lead = e - FMT_TAIL_BEFORE - from;
	struct wpage *wp;
	int rc;

	*done = false;
	if (l->nslots == FMT_TAIL_SLOTS || end > l->psize || body + 64 > sizeof buf)
		return 0;
	uint64_t slot = FMT_SLOT(e, end, c->fp, c->rank, c->kind);
	uint8_t *p = buf + lead;

	/* alignment: up to 4 bytes here, up to 3 behind the entry */
	put64(buf, 0);
	put64(p, w->txn);
	leaf_entry_store(p + FMT_TAIL_BEFORE, &c->item);
	uint32_t body_crc = crc32c(0, p, body);
	uint32_t crc = crc32c(body_crc, &slot, sizeof slot);

	put32(p + body, crc);
	put32(p + body + sizeof crc, 0);
	wp = wset_find(w, l->off);
	if (wset_editable(w, wp)) {
		const uint64_t *slots =
		    (const uint64_t *)(const void *)(bytes_of(l) + FMT_LEAF_SLOTS);

		rc = wset_touch(w, l->off, &wp);
		if (rc)
			return rc;
		wset_apply(w, wp);
		pm_write(&w->map->pm, bytes_of(l) + from, buf, end - from);
		pm_store8(&w->map->pm, slots + l->nslots, slot);
		if (end > wp->used)
			wp->used = end;
		wp->streamed = false;
	} else {
		rc = shadow_open(w, l, &wp);
		if (rc)
			return rc;
		pm_write(&w->map->pm, bytes_of(l) + from, buf, end - from);
		struct fresh f = {
		    .bytes = buf,
		    .from = from,
		    .end = end,
		    .known = lead ? 0 : body,
		    .crc = lead ? 0 : body_crc,
		    .to_fill = c->to_fill,
		};

		shadow_add(w, wp, &f, slot);
	}
	*value = bytes_of(l) + e + FMT_ENTRY_SIZE + c->item.klen;
	*done = true;
	return 0;
}

/* overwrites - whether the item differs from old in nothing but its value's bytes, which lie
 * elsewhere. */
static bool overwrites(const struct leaf *l, const struct item *old, const struct item *item)
{
	return item->val && !(old->flags | item->flags) && old->vlen == item->vlen &&
	       old->klen == item->klen && memcmp(old->key, item->key, old->klen) == 0 &&
	       (item->val >= bytes_of(l) + l->psize || item->val + item->vlen <= bytes_of(l));
}

/* slot_of - the tail slot of the entry at eoff; NULL: there is none. */
static const uint64_t *slot_of(const struct leaf *l, uint32_t eoff)
{
	for (unsigned int i = l->nslots; i-- > 0;)
		if (FMT_SLOT_OFF(l->slots[i]) == eoff)
			return &l->slots[i];
	return NULL;
}

bool leaf_overwrite(struct wset *w, const struct leaf *l, uint32_t eoff, const struct item *old,
                    const struct item *item)
{
	struct wpage *wp = wset_find(w, l->off);
	struct pm *pm = &w->map->pm;
	const uint64_t *slot = NULL;

	if (!wset_editable(w, wp) || !overwrites(l, old, item)) /* [I1] [R8] */
		return false;
	if (eoff >= l->page->end && !(slot = slot_of(l, eoff)))
		return false;
	pm_write(pm, old->val, item->val, item->vlen);
	wp->streamed = false;
	if (slot) {
		const uint8_t *from = bytes_of(l) + eoff - FMT_TAIL_BEFORE;
		const uint8_t *end = old->val + old->vlen;
		uint32_t crc = crc32c(crc32c(0, from, (size_t)(end - from)), slot, sizeof *slot);

		pm_write(pm, end, &crc, sizeof crc);
	} else {
		wp->stale = true;
	}
	return true;
}

void leaf_reseal(struct wset *w, struct wpage *wp)
{
	const uint8_t *bytes = w->map->base + wp->off;
	const struct fmt_page *page = (const void *)bytes;
	uint32_t crc = leaf_crc(bytes, page->end) ^ crc32c_place(wp->off);

	assert(wp->owner && page->type == FMT_LEAF);
	pm_write(&w->map->pm, &page->crc, &crc, sizeof crc);
	wp->stale = false;
}

/* seal_slot - the tail slot whose value lies at value; NULL: it is in the base. */
static const uint64_t *seal_slot(const struct leaf *l, const uint8_t *value)
{
	for (unsigned int i = l->nslots; i-- > 0;) {
		struct item it;

		if (FMT_SLOT_KIND(l->slots[i]) != FMT_SLOT_REMOVE &&
		    tail_item(l, FMT_SLOT_OFF(l->slots[i]), &it) == 0 && it.val == value)
			return &l->slots[i];
	}
	return NULL;
}

/* In the tail the entry's own checksum covers the value, in the base the page's does. */
void leaf_seal(struct wset *w, uint64_t off, const uint8_t *value, uint32_t vlen)
{
	struct view v = {
	    .map = w->map,
	    .base = w->map->base,
	    .psize = w->psize,
	    .snapshot = w->txn,
	    .w = w,
	};
	struct pm *pm = &w->map->pm;
	struct wpage *wp = wset_find(w, off);
	struct leaf l;
	uint32_t crc;

	leaf_open(&v, view_raw(&v, off), off, &l);
	wp->streamed = false;
	const uint64_t *slot = seal_slot(&l, value);

	if (slot) {
		const uint8_t *from = bytes_of(&l) + FMT_SLOT_OFF(*slot) - FMT_TAIL_BEFORE;

		crc = crc32c(crc32c(0, from, (size_t)(value + vlen - from)), slot, sizeof *slot);
		pm_write(pm, value + vlen, &crc, sizeof crc);
		pm_flush(pm, from, (size_t)(value + vlen - from) + sizeof crc);
	} else {
		crc = leaf_crc(bytes_of(&l), l.page->end) ^ crc32c_place(off);
		pm_write(pm, &l.page->crc, &crc, sizeof crc);
	}
}
