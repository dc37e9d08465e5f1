/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leaf_write.c - building a leaf, and appending to one. See leaf.h
 *
 * Appending is what a put does, and the one place where fresh bytes go into a page that a commit
 * refers to. They lie behind everything that a committed slot names, so nobody can see them before
 * the slot's word is stored; and the slot is stored, or listed for the record, after the bytes
 * [I9].
 *
 *   the page is            bytes                      slot
 *   of the running level   stored, flushed at commit  stored at once
 *   of a commit, or of     stored, write-back begins  waits in the wset; at commit it goes to the
 *   an outer level                                    record, then to the page
 *
 * What a crash leaves of bytes without a slot is behind the end of the last slot's entry, where the
 * next append writes again. A value may be overwritten in place only in a page of the first kind.
 */
#include "base/crc.h"
#include "media/map.h"
#include "page/leaf.h"
#include "space/wset.h"

/* bytes_of - the page as bytes. */
static const uint8_t *bytes_of(const struct leaf *l)
{
	return (const uint8_t *)l->page;
}

/* Of birth, the fields from type on, and the base: not of prev and the slots, which change. end:
 * bytes from the page's begin, where the base ends. The place is not in it: it is added when the
 * page is stored. */
uint32_t leaf_crc(const uint8_t *p, uint32_t end)
{
	uint32_t birth = crc32c(0, p, 8);
	uint32_t head = crc32c(birth, p + 20, 12);

	return crc32c(head, p + FMT_LEAF_BASE, end - FMT_LEAF_BASE);
}

/* lengths_of - both lengths as one number, for comparing. */
static inline uint64_t lengths_of(const struct item *it)
{
	return get64((const uint8_t *)&it->klen);
}
static_assert(offsetof(struct item, vlen) == offsetof(struct item, klen) + 4, "lengths_of");

/* One pass: whether all of them have the lengths of the first. */
uint32_t leaf_costs(const struct order *o, const struct item *items, uint32_t n)
{
	const struct item *first = items;

	if (!n)
		return 0;
	if (!uniform_suits(o, first))
		return 0;
	uint64_t lengths = lengths_of(first);

	for (const struct item *it = items + 1; it < items + n; it++)
		if (lengths_of(it) != lengths || it->flags)
			return 0;
	return 8 + uniform_stride(first->klen, first->vlen);
}

struct base { /* a base in the making, in image; n items that do not lie there */
	uint8_t *image;
	uint32_t psize;
	uint32_t n;
	uint32_t plen;
	const struct order *order;
	const struct item *items;
};

/* base_head - the search head of item i. */
static uint64_t base_head(const struct base *b, uint32_t i)
{
	const struct item *it = &b->items[i];

	return order_head(b->order, it->key, it->klen, b->plen);
}

/* base_uniform - the heads and entries of a base whose entries have the lengths of the first.
 * Returns where they end. Padding is zeros, so that nothing of an older page shows. */
static uint32_t base_uniform(const struct base *b)
{
	uint64_t *heads = (void *)(b->image + FMT_LEAF_BASE);
	uint32_t klen = b->items[0].klen;
	uint32_t vlen = b->items[0].vlen;
	uint32_t stride = uniform_stride(klen, vlen);
	uint8_t *e = b->image + FMT_LEAF_BASE + 8 * b->n;

	assert(FMT_LEAF_BASE + b->n * (8 + stride) <= b->psize);
	for (uint32_t i = 0; i < b->n; i++) {
		const struct item *it = &b->items[i];

		heads[i] = base_head(b, i);
		put32(e + stride - 4, 0); /* what the entry leaves of it is padding */
		leaf_entry_copy(e, it->key, klen);
		leaf_value_copy(e + klen, it->val, vlen);
		e += stride;
	}
	return (uint32_t)(e - b->image);
}

/* base_mixed - entries of any sizes, each with its offset. Gaps between them are zeros, too. */
static uint32_t base_mixed(const struct base *b)
{
	uint8_t *image = b->image;
	uint32_t offs_at = FMT_LEAF_BASE + 8 * b->n;
	uint32_t at = offs_at + 2 * b->n;
	uint64_t *heads = (void *)(image + FMT_LEAF_BASE);
	uint16_t *offs = (void *)(image + offs_at);

	for (uint32_t i = 0; i < b->n; i++) {
		const struct item *it = &b->items[i];
		uint32_t e = leaf_entry_align(b->order, at, it->klen);

		assert(e >= at);
		memset(image + at, 0, e - at);
		heads[i] = base_head(b, i);
		offs[i] = (uint16_t)e;
		leaf_entry_store(image + e, it);
		at = e + FMT_ENTRY_SIZE;
		at += it->klen + it->vlen;
		assert(at <= b->psize);
	}
	return at;
}

/* An empty leaf is one, too: a tree that lost its last entry. */
uint32_t leaf_build(uint8_t *image, uint32_t psize, const struct order *o, const struct item *items,
                    uint32_t n, uint64_t birth, uint64_t prev)
{
	struct fmt_page *page = (void *)image;
	struct base base = {
	    .image = image,
	    .psize = psize,
	    .n = n,
	    .order = o,
	    .items = items,
	};
	const struct item *shape = NULL;
	uint32_t at;

	if (leaf_costs(o, items, n))
		shape = items;
	if (n >= 2) {
		const struct item *last = &items[n - 1];

		base.plen = order_prefix(o, items->key, items->klen, last->key, last->klen);
	}
	memset(image, 0, FMT_LEAF_BASE);
	*page = leaf_header(n, shape, birth, prev);
	page->plen = (uint16_t)base.plen;
	if (shape)
		at = base_uniform(&base);
	else
		at = base_mixed(&base);
	uint32_t end = (uint32_t)round_up(at, 4);

	assert(end <= psize);
	memset(image + at, 0, round_up(end, FMT_LINE) - at);
	page->end = (uint16_t)end;
	page->crc = leaf_crc(image, end);
	return end;
}

/* next_slot - the place of the slot that an append stores. */
static const uint8_t *next_slot(const struct leaf *l)
{
	return bytes_of(l) + FMT_LEAF_SLOTS + l->nslots * FMT_WORD;
}

/* expect_all - the whole leaf will be read. It is about to be copied to a new page. */
static void expect_all(const struct leaf *l)
{
	for (uint32_t i = 0; i < l->psize; i += FMT_LINE)
		__builtin_prefetch(bytes_of(l) + i);
}

/* append_bytes - what an entry with so many bytes of key and value takes in a tail, alignment
 * aside. */
static uint32_t append_bytes(uint32_t bytes)
{
	return FMT_TAIL_BEFORE + FMT_ENTRY_SIZE + bytes + FMT_TAIL_AFTER;
}

/* is_full - no entry of so many bytes can be appended: the leaf will be written anew. Alignment is
 * left out, so it may say that there is room where leaf_append finds none. */
static bool is_full(const struct leaf *l, uint32_t bytes)
{
	if (l->nslots == FMT_TAIL_SLOTS)
		return true;
	return leaf_tail_end(l) + append_bytes(bytes) > l->psize;
}

/* Three lines: what most entries take. */
void leaf_own(const struct leaf *l, uint32_t bytes)
{
	const uint8_t *from = bytes_of(l) + leaf_tail_end(l);

	if (is_full(l, bytes)) {
		expect_all(l);
		return;
	}
	pm_own(next_slot(l));
	for (unsigned int i = 0; i < 3; i++)
		pm_own(from + i * FMT_LINE);
}

/* What is prefetched is a guess, and costs nothing when it is wrong but the bandwidth. */
void leaf_expect_put(const struct leaf *l, const struct leaf_gap *g, uint32_t bytes, bool *full)
{
	const uint8_t *from = bytes_of(l) + leaf_tail_end(l);
	uint32_t need = append_bytes(bytes);

	*full = is_full(l, bytes);
	if (*full) {
		expect_all(l);
		return;
	}
	const uint8_t *page = bytes_of(l);

	for (uint32_t j = 0; j < g->n; j++)
		__builtin_prefetch(page + g->entry[j]);
	pm_own(next_slot(l));
	for (uint32_t i = 0; i < need + FMT_LINE - 1; i += FMT_LINE)
		pm_own(from + i);
}

/* shadow_open - the wpage of a leaf that gets pending slots, *out as wset_find says: at its first
 * one it takes the page's slots over. The pending slots begin as a copy, so that the writer reads
 * one array of slots. ENOMEM. */
static int shadow_open(struct wset *w, const struct leaf *l, struct wpage **out)
{
	int rc = wset_touch_found(w, l->off, out);
	struct wpage *wp = *out;

	if (rc)
		return rc;
	if (!wp->npending) {
		memcpy(wp->val, l->slots, sizeof wp->val); /* those that are not in use are 0 */
		wp->npending = (uint8_t)l->nslots;
		wp->napplied = (uint8_t)l->nslots;
	}
	assert(wp->owner < w->level);
	assert(wp->npending == l->nslots);
	return 0;
}

/* An entry that is appended. In the page, and in bytes from its beginning on:
 *
 *   from | alignment | transaction | lengths | key | value | checksum | alignment | end
 *                    |<-------------- body -------------->|
 *                                  entry
 */
struct fresh {
	uint8_t *bytes;    /* in wset.image */
	uint32_t from;     /* the tail's end before it, as are entry and end: bytes in the page */
	uint32_t entry;    /* what its slot names */
	uint32_t end;      /* the tail's end behind it */
	uint32_t body;     /* bytes that body_crc is of */
	uint32_t body_crc; /* the entry's checksum is this, and the slot's word */
	uint64_t slot;
	bool to_fill; /* some of the value's bytes are going to change */
};

/* fresh_crc - the checksum of the page's fresh bytes, once those of f are among them: what f's body
 * has is known already where nothing but the body was before. It saves a second pass over the entry
 * for the commonest change, the first entry that goes to a leaf. */
static uint32_t fresh_crc(const struct wpage *wp, const struct fresh *f)
{
	uint32_t n = f->end - f->from;
	bool body_first = f->from + FMT_TAIL_BEFORE == f->entry;
	uint32_t before = 0;

	if (wp->fresh_end)
		before = wp->fresh_crc;
	else if (body_first)
		return crc32c(f->body_crc, f->bytes + f->body, n - f->body);
	return crc32c(before, f->bytes, n);
}

/* shadow_add - the entry's bytes are in the page: note slot and range, and start writing them back.
 * Bytes between the last entry and this one are alignment, stored with it: the range stays one
 * piece [R1]. The write-back that begins here goes on beside the rest of the transaction; the
 * commit's fence waits for it. Where a value is still to be filled the range's checksum is not
 * known, and taken at the commit. */
static void shadow_add(struct wset *w, struct wpage *wp, const struct fresh *f)
{
	assert(wp->npending < FMT_TAIL_SLOTS);
	assert(f->from % 4 == 0);
	assert(f->end % 4 == 0);
	assert(f->from < f->end);
	if (!wp->fresh_end) {
		wp->fresh_off = (uint16_t)f->from;
		wp->crc_valid = true;
	}
	if (f->to_fill)
		wp->crc_valid = false;
	if (wp->crc_valid)
		wp->fresh_crc = fresh_crc(wp, f);
	else
		wp->fresh_crc = 0;
	wp->fresh_end = (uint16_t)f->end;
	wp->val[wp->npending] = f->slot;
	wp->npending++;
	const uint8_t *from = w->map->base + wp->off + f->from;

	pm_flush(&w->map->pm, from, f->end - f->from);
}

/* fresh_from - where the bytes of an entry begin that is appended to a page whose entry is wp.
 * Where a record may have them as words, the first ones of a transaction begin at a word: the rest
 * of the word before is in the words of an earlier record, perhaps, which recovery stores [R10]. */
static inline uint32_t fresh_from(const struct wset *w, const struct leaf *l,
                                  const struct wpage *wp)
{
	const uint32_t from = leaf_tail_end(l);

	if (LIKELY(!w->whole_words) || wset_editable(w, wp) || (wp && wp->fresh_end))
		return from;
	return (uint32_t)round_up(from, FMT_WORD);
}

/* fresh_plan - where the entry will lie, if it has room. Whether it has room is for the caller: end
 * may lie behind the page. */
static struct fresh fresh_plan(const struct order *o, uint32_t from, const struct leaf_change *c)
{
	const struct item *it = &c->item;
	uint32_t entry = leaf_entry_align(o, from + FMT_TAIL_BEFORE, it->klen);
	uint32_t behind = entry + FMT_ENTRY_SIZE + it->klen + it->vlen;
	uint32_t end = (uint32_t)round_up(behind + FMT_TAIL_AFTER, 4);

	return (struct fresh){
	    .from = from,
	    .entry = entry,
	    .end = end,
	    .body = FMT_TAIL_BEFORE + behind - entry,
	    .slot = FMT_SLOT(entry, end, order_fp(it->key, it->klen), c->rank, c->kind),
	    .to_fill = c->to_fill,
	};
}

/* fresh_make - put the entry's bytes together, with its checksum, in the writer's scratch: so the
 * page's bytes are stored once, in order. The checksum includes the slot's word, which says the
 * entry's rank. */
static void fresh_make(struct wset *w, struct fresh *f, const struct item *item)
{
	uint8_t *body = w->image + (f->entry - FMT_TAIL_BEFORE - f->from);
	uint32_t crc;

	assert(f->end <= w->psize);
	f->bytes = w->image;
	/* alignment: up to 4 bytes here, up to 3 behind the entry */
	put64(f->bytes, 0);
	put64(body, w->txn);
	leaf_entry_store(body + FMT_TAIL_BEFORE, item);
	f->body_crc = crc32c(0, body, f->body);
	crc = crc32c(f->body_crc, &f->slot, sizeof f->slot);
	put32(body + f->body, crc);
	put32(body + f->body + sizeof crc, 0);
}

/* fresh_store - the entry's bytes go to the page. */
static void fresh_store(struct wset *w, const struct leaf *l, const struct fresh *f)
{
	uint32_t n = f->end - f->from;

	pm_write(&w->map->pm, bytes_of(l) + f->from, f->bytes, n);
}

/* append_private - to a page that the running level may edit, whose entry is wp: slot and all.
 * Slots of it that are still pending go to the page first, which has them all from then on. ENOMEM;
 * the page is as it was then. */
static int append_private(struct wset *w, const struct leaf *l, struct wpage *wp,
                          const struct fresh *f)
{
	const uint64_t *slots = leaf_slots(l->page);
	int rc = wset_touch_found(w, l->off, &wp);

	assert(l->nslots < FMT_TAIL_SLOTS);
	if (rc)
		return rc;
	wset_apply(w, wp);
	fresh_store(w, l, f);
	pm_store8(&w->map->pm, slots + l->nslots, f->slot);
	if (f->end > wp->used)
		wp->used = f->end;
	wp->streamed = false;
	return 0;
}

/* append_shared - to a page that a commit, or an outer level, refers to, whose entry is wp (NULL:
 * none yet): its slot waits for the record [I9]. ENOMEM; the page is as it was then. */
static int append_shared(struct wset *w, const struct leaf *l, struct wpage *wp,
                         const struct fresh *f)
{
	int rc = shadow_open(w, l, &wp);

	if (rc)
		return rc;
	fresh_store(w, l, f);
	shadow_add(w, wp, f);
	return 0;
}

/* Into the base of a private leaf where that is possible. Else the entry is put together in a
 * buffer with its checksum, then written at once: the page's bytes are stored once, in order. */
int leaf_append(struct wset *w, const struct order *o, const struct leaf *l,
                const struct leaf_change *c, bool *done, const uint8_t **value)
{
	struct wpage *wp;
	int rc;

	assert(c->kind != 0);
	*done = false;
	if (l->nslots == FMT_TAIL_SLOTS)
		return 0;
	if (wset_kept(w, l->page))
		return 0;
	wp = wset_find(w, l->off);
	if (wset_editable(w, wp) && c->kind == FMT_SLOT_INSERT) {
		*value = leaf_insert(w, wp, o, l, c->rank, &c->item);
		*done = *value;
	}
	if (*done)
		return 0;
	struct fresh f = fresh_plan(o, fresh_from(w, l, wp), c);

	if (f.end > l->psize)
		return 0;
	fresh_make(w, &f, &c->item);
	if (wset_editable(w, wp))
		rc = append_private(w, l, wp, &f);
	else
		rc = append_shared(w, l, wp, &f);
	if (rc)
		return rc;
	*value = bytes_of(l) + f.entry + FMT_ENTRY_SIZE + c->item.klen;
	*done = true;
	return 0;
}

/* overwrites - whether the item differs from old in nothing but its value's bytes, which lie
 * elsewhere. A value that lies in the page itself may overlap with the old one, so it takes the
 * long way. */
static bool overwrites(const struct leaf *l, const struct item *old, const struct item *item)
{
	const uint8_t *page = bytes_of(l);

	if (!item->val)
		return false;
	if (old->flags)
		return false;
	if (item->flags)
		return false;
	if (old->vlen != item->vlen)
		return false;
	if (old->klen != item->klen)
		return false;
	if (item->val < page + l->psize && item->val + item->vlen > page)
		return false;
	return memcmp(old->key, item->key, old->klen) == 0;
}

/* slot_of - the tail slot of the entry at eoff; NULL: there is none. It points into the leaf's
 * slots. */
static const uint64_t *slot_of(const struct leaf *l, uint32_t eoff)
{
	for (unsigned int i = l->nslots; i-- > 0;)
		if (FMT_SLOT_OFF(l->slots[i]) == eoff)
			return &l->slots[i];
	return NULL;
}

/* seal_tail - store the checksum of the tail entry at eoff, whose value ends at end, where it
 * belongs: behind the value. Returns where the entry's bytes begin. It is not flushed here. */
static const uint8_t *seal_tail(struct wset *w, const struct leaf *l, uint32_t eoff,
                                const uint8_t *end, uint64_t slot)
{
	const uint8_t *from = bytes_of(l) + eoff - FMT_TAIL_BEFORE;
	uint32_t crc = crc32c(0, from, (size_t)(end - from));

	assert(end > from);
	crc = crc32c(crc, &slot, sizeof slot);
	pm_write(&w->map->pm, end, &crc, sizeof crc);
	return from;
}

/* The page's own checksum is of the base as it was: it is made anew once, before the commit
 * (leaf_reseal). A tail entry's is made at once. */
bool leaf_overwrite(struct wset *w, const struct leaf *l, uint32_t eoff, const struct item *old,
                    const struct item *item)
{
	struct wpage *wp = wset_find(w, l->off);
	const uint64_t *slot = NULL;

	if (!wset_editable(w, wp) || !overwrites(l, old, item)) /* [I1] [R8] */
		return false;
	if (eoff >= l->page->end) {
		slot = slot_of(l, eoff);
		if (!slot)
			return false;
	}
	pm_write(&w->map->pm, old->val, item->val, item->vlen);
	wp->streamed = false;
	if (slot)
		seal_tail(w, l, eoff, old->val + old->vlen, *slot);
	else
		wp->stale = true;
	return true;
}

/* seal_base - store the checksum of the base of the leaf at off. The page is one that the
 * transaction may still edit. */
static void seal_base(struct wset *w, const struct fmt_page *page, uint64_t off)
{
	uint32_t crc = leaf_crc((const uint8_t *)page, page->end) ^ crc32c_place(off);

	assert(page->type == FMT_LEAF);
	pm_write(&w->map->pm, &page->crc, &crc, sizeof crc);
}

/* Once for each page, however many of its values were overwritten. */
void leaf_reseal(struct wset *w, struct wpage *wp)
{
	assert(wp->owner);
	assert(wp->stale);
	seal_base(w, map_at(w->map, wp->off), wp->off);
	wp->stale = false;
}

/* seal_slot - the tail slot whose value lies at value; NULL: it is in the base. By the value's
 * place: the caller knows no more of the entry. */
static const uint64_t *seal_slot(const struct leaf *l, const uint8_t *value)
{
	for (unsigned int i = l->nslots; i-- > 0;) {
		uint64_t slot = l->slots[i];
		struct item it;

		if (FMT_SLOT_KIND(slot) == FMT_SLOT_REMOVE)
			continue;
		if (tail_item(l, FMT_SLOT_OFF(slot), &it) == 0 && it.val == value)
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
	    .size = &w->map->size,
	    .psize = w->psize,
	    .snapshot = w->txn,
	    .w = w,
	};
	struct wpage *wp = wset_find(w, off);
	const uint64_t *slot;
	const uint8_t *from;
	struct leaf l;

	assert(wp);
	leaf_open(&v, view_raw(&v, off), off, &l);
	wp->streamed = false;
	slot = seal_slot(&l, value);
	if (!slot) {
		seal_base(w, l.page, off);
		return;
	}
	from = seal_tail(w, &l, FMT_SLOT_OFF(*slot), value + vlen, *slot);
	pm_flush(&w->map->pm, from, (size_t)(value + vlen - from) + FMT_TAIL_AFTER);
}
