/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leaf.c - see leaf.h
 *
 * Everything here reads pages that may be damaged, or that a writer changes because the snapshot
 * was given up: no assertion may depend on what is in them. Each field is read once and bounded; a
 * wrong one leads to CORRUPT, or to an answer that view_evicted throws away [I20].
 *
 * A get, in an order with fingerprints, touches in this order: the page's first three lines (header
 * and slots), whose fingerprints are compared all at once; the entry of a slot that matches, from
 * the newest on; else the heads, by a search without branches; and the one entry whose head is
 * equal. A cursor needs a rank as well, so it takes the gap: what the slots have opened between two
 * entries of the base.
 */
#include "page/leaf.h"

#include "base/crc.h"
#include "base/err.h"
#include "space/wset.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* heads_of - the search heads of the base, one for each entry, ascending. */
static const uint64_t *heads_of(const struct fmt_page *p)
{
	return (const uint64_t *)(const void *)((const uint8_t *)p + FMT_LEAF_BASE);
}

/* Only the text: the caller returns CORRUPT. */
void leaf_fault(const struct leaf *l, uint32_t eoff)
{
	(void)err_corrupt(l->off, "leaf: the entry at byte %u does not lie inside the page", eoff);
}

/* slot_txn - the transaction of a tail entry; UINT64_MAX when the slot points outside. */
static uint64_t slot_txn(const struct fmt_page *p, uint32_t psize, uint64_t slot)
{
	uint32_t off = FMT_SLOT_OFF(slot);

	if (off >= FMT_LEAF_BASE + FMT_TAIL_BEFORE && off < psize)
		return get64((const uint8_t *)p + off - FMT_TAIL_BEFORE);
	return UINT64_MAX;
}

/* A reader sees the slots of transactions up to its snapshot, which are always the first ones. A
 * writer sees all, pending ones included. */
void leaf_open(const struct view *v, const struct fmt_page *page, uint64_t off, struct leaf *l)
{
	const struct wpage *wp = NULL;

	if (v->w)
		wp = wset_find(v->w, off);
	*l = (struct leaf){
	    .page = page,
	    .off = off,
	    .psize = v->psize,
	};
	if (wp && wp->npending) {
		l->slots = wp->val;
		l->nslots = wp->npending;
		return;
	}
	l->slots = leaf_slots(page);
	while (l->nslots < FMT_TAIL_SLOTS && load_word(&l->slots[l->nslots]))
		l->nslots++;
	if (v->w)
		return;
	/* entries of younger transactions are the last ones */
	while (l->nslots && slot_txn(page, v->psize, l->slots[l->nslots - 1]) > v->snapshot)
		l->nslots--;
}

/* Slots are in the order of transactions. */
unsigned int leaf_slots_upto(const struct leaf *l, uint64_t txn)
{
	unsigned int n = l->nslots;

	while (n && slot_txn(l->page, l->psize, load_word(&l->slots[n - 1])) > txn)
		n--;
	return n;
}

/* ---- searching ------------------------------------------------------------------------------- */

/* prefix_side - for a base with a prefix. 0: the key begins with it; <0, >0: it lies before, behind
 * the whole base. The first key shows the prefix, which all keys of the base have. CORRUPT. */
static int prefix_side(const struct leaf *l, uint32_t plen, const uint8_t *key, uint32_t klen,
                       int *side)
{
	struct item first;
	int rc;

	rc = base_item(l, 0, &first);
	if (rc)
		return rc;
	if (plen > first.klen)
		return err_corrupt(l->off, "leaf: a prefix of %u bytes, the first key has %u", plen,
		                   first.klen);
	*side = memcmp(key, first.key, plen < klen ? plen : klen);
	if (*side == 0 && klen < plen)
		*side = -1;
	return 0;
}

/* base_match - the probe's lower bound in the base, of whose heads the first lo are smaller than
 * the probe's, and whether that entry is it. CORRUPT when an entry does not lie in the page. */
static int base_match(const struct leaf *l, const struct order *o, const struct probe *p,
                      uint64_t head, uint32_t lo, uint32_t *at, bool *exact)
{
	const struct fmt_page *page = l->page;
	const uint64_t *heads = heads_of(page);
	bool outermost = false;
	uint32_t hi = lo;

	*exact = false;
	if (lo < page->n && heads[lo] == head)
		hi = lo + 1;
	if (hi > lo && hi < page->n && heads[hi] == head) {
		hi = heads_upto(heads, page->n, head);
		outermost = p->edge != PROBE_AT;
	}
	while (lo < hi) {
		uint32_t mid = probe_middle(p, outermost, lo, hi);
		struct item it;
		int c;
		int rc = base_item(l, mid, &it);

		if (rc)
			return rc;
		outermost = false;
		c = order_cmp(o, it.key, it.klen, it.val, it.vlen, p);
		if (c == 0) {
			*at = mid;
			*exact = true;
			return 0;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return 0;
}

/* base_find - the same without knowing how many heads are smaller. */
static int base_find(const struct leaf *l, const struct order *o, const struct probe *p,
                     uint32_t *at, bool *exact)
{
	const struct fmt_page *page = l->page;
	uint32_t plen = once(page->plen);
	uint32_t below;
	uint64_t head;
	int side = 0;
	int rc = 0;

	*exact = false;
	if (UNLIKELY(plen))
		rc = prefix_side(l, plen, p->key, p->klen, &side);
	if (UNLIKELY(rc))
		return rc;
	if (UNLIKELY(side)) {
		if (side < 0)
			*at = 0;
		else
			*at = page->n;
		return 0;
	}
	head = order_head(o, p->key, p->klen, plen);
	below = heads_below(heads_of(page), page->n, head);
	return base_match(l, o, p, head, below, at, exact);
}

/* fp_matches - a bit for each slot with that fingerprint; unused slots have fingerprint 0. Without
 * branches: how many slots are in use is not predictable. What it read of a slot that a writer
 * fills meanwhile is not used: who acts on a bit loads the word. */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__) /* ThreadSanitizer knows words */
/* fp_eight - the fingerprints of eight slots: the upper halves of two words at a time, then the
 * lower 16 bits of each. */
static inline __m128i fp_eight(const uint64_t *slots)
{
	const __m128i *two = (const void *)slots;
	__m128i half[2];

	for (unsigned int i = 0; i < 2; i++) {
		__m128 a = _mm_castsi128_ps(_mm_loadu_si128(two + 2 * i));
		__m128 b = _mm_castsi128_ps(_mm_loadu_si128(two + 2 * i + 1));
		__m128 upper = _mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1));
		__m128i shifted = _mm_slli_epi32(_mm_castps_si128(upper), 16);

		half[i] = _mm_srai_epi32(shifted, 16);
	}
	return _mm_packs_epi32(half[0], half[1]);
}

/* fp_matches - see above. The comparisons of two times eight become sixteen bytes, and then bits.
 */
static uint32_t fp_matches(const uint64_t *slots, uint32_t fp)
{
	__m128i want = _mm_set1_epi16((short)fp);
	__m128i first = _mm_cmpeq_epi16(fp_eight(slots), want);
	__m128i second = _mm_cmpeq_epi16(fp_eight(slots + 8), want);

	static_assert(FMT_TAIL_SLOTS == 16, "two times eight");
	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(first, second));
}
#else
static uint32_t fp_matches(const uint64_t *slots, uint32_t fp)
{
	uint32_t mask = 0;

	for (unsigned int i = 0; i < FMT_TAIL_SLOTS; i++)
		mask |= (uint32_t)(FMT_SLOT_FP(load_word(&slots[i])) == fp) << i;
	return mask;
}
#endif

/* prefetch_entry - the entry at eoff to its end, if the header tells where that is, else as much as
 * many have; of a large one the beginning. Inlined by order: gcc leaves out calls that do no more
 * than this. */
ALWAYS_INLINE void prefetch_entry(const struct fmt_page *page, uint32_t eoff)
{
	const uint8_t *p = (const uint8_t *)page + eoff;
	uint32_t heads = page->heads;
	uint32_t most = 4 * FMT_LINE;
	uint32_t size;

	if (heads & FMT_UNIFORM)
		size = FMT_ENTRY_SIZE + uniform_stride(heads & FMT_KLEN_MASK, page->offs);
	else
		size = 2 * FMT_LINE;
	if (size >= most)
		size = most;
	for (uint32_t i = 0; i < size; i += FMT_LINE)
		__builtin_prefetch(p + i);
	__builtin_prefetch(p + size - 1);
}

/* look_begin - the slots of the view, and which of them have the fingerprint. No entry is
 * touched. */
static inline void look_begin(const struct view *v, uint32_t fp, struct leaf_look *look)
{
	const struct wpage *wp = NULL;

	if (v->w)
		wp = wset_find(v->w, look->off);
	if (wp && wp->npending)
		look->slots = wp->val;
	else
		look->slots = leaf_slots(look->page);
	look->match = fp_matches(look->slots, fp);
	look->below = UINT32_MAX;
}

/* newest_match - the last of the slots that a mask has, which is not 0. */
static inline uint32_t newest_match(uint32_t mask)
{
	return 31 - (uint32_t)__builtin_clz(mask);
}

/* The entry's line is asked for here and read in leaf_found, many lookups later. */
void leaf_look(const struct view *v, const struct order *o, const uint8_t *key, uint32_t klen,
               uint32_t fp, struct leaf_look *look)
{
	const struct fmt_page *page = look->page;
	uint32_t eoff;

	look_begin(v, fp, look);
	if (look->match) {
		uint64_t slot = load_word(&look->slots[newest_match(look->match)]);

		eoff = FMT_SLOT_OFF(slot);
	} else {
		uint64_t head;

		if (page->plen)
			return;
		head = order_head(o, key, klen, 0);
		look->below = heads_below(heads_of(page), page->n, head);
		if (look->below >= page->n)
			return;
		eoff = leaf_entry(page, look->below);
	}
	if (eoff < v->psize)
		prefetch_entry(page, eoff);
}

/* look_end - the newest slot of the key that the snapshot sees decides; else the base does. A slot
 * that removes the key is an answer, too. */
ALWAYS_INLINE int look_end(const struct view *v, const struct order *o, const uint8_t *key,
                           uint32_t klen, const struct leaf_look *look, struct item *item,
                           bool *found)
{
	struct leaf l = {
	    .page = look->page,
	    .off = look->off,
	    .psize = v->psize,
	    .slots = look->slots,
	};
	struct probe p = {
	    .key = key,
	    .klen = klen,
	};
	uint32_t at;
	int rc;

	*found = false;
	for (uint32_t match = look->match; match;) {
		uint32_t i = newest_match(match);
		uint64_t slot = load_word(&l.slots[i]);

		match &= ~((uint32_t)1 << i);
		if (!slot) /* unused, and the key's fingerprint is 0 */
			continue;
		rc = tail_item(&l, FMT_SLOT_OFF(slot), item);
		if (rc)
			return rc;
		if (item->klen != klen || memcmp(item->key, key, klen) != 0)
			continue;
		if (!v->w && slot_txn(l.page, v->psize, slot) > v->snapshot)
			continue;
		*found = FMT_SLOT_KIND(slot) != FMT_SLOT_REMOVE;
		return 0;
	}
	if (look->below == UINT32_MAX) {
		rc = base_find(&l, o, &p, &at, found);
	} else {
		uint64_t head = order_head(o, key, klen, 0);

		rc = base_match(&l, o, &p, head, look->below, &at, found);
	}
	if (rc)
		return rc;
	if (!*found)
		return 0;
	return base_item(&l, at, item);
}

/* Out of line, for tree_get_many. */
int leaf_found(const struct view *v, const struct order *o, const uint8_t *key, uint32_t klen,
               const struct leaf_look *look, struct item *item, bool *found)
{
	return look_end(v, o, key, klen, look, item, found);
}

/* Both halves at once, inlined. */
int leaf_get(const struct view *v, const struct fmt_page *page, uint64_t off, const struct order *o,
             const uint8_t *key, uint32_t klen, uint32_t fp, struct item *item, bool *found)
{
	struct leaf_look look = {
	    .page = page,
	    .off = off,
	};

	look_begin(v, fp, &look);
	return look_end(v, o, key, klen, &look, item, found);
}

/* rank_shift - by how much a slot of that kind moves the ranks of what stands behind its entry. */
static inline uint32_t rank_shift(uint32_t kind)
{
	return (kind == FMT_SLOT_INSERT) - (uint32_t)(kind == FMT_SLOT_REMOVE);
}

/* gap_insert, gap_remove - the tail entry at place j of the gap. */
static inline void gap_insert(struct leaf_gap *g, uint32_t j, uint32_t eoff)
{
	memmove(g->entry + j + 1, g->entry + j, (g->n - j) * sizeof *g->entry);
	g->entry[j] = (uint16_t)eoff;
	g->n++;
}

/* gap_remove - see gap_insert. */
static inline void gap_remove(struct leaf_gap *g, uint32_t j)
{
	g->n--;
	memmove(g->entry + j, g->entry + j + 1, (g->n - j) * sizeof *g->entry);
}

/* gap_follow - what one slot does to the gap: opens it wider, closes it, or moves it. A slot just
 * behind the gap's entries is about the base entry that equals the probe, if there is one. Ranks
 * and offsets are what the page says: a wrong one gives a wrong gap, never one of more entries than
 * there are slots. */
static void gap_follow(struct leaf_gap *g, uint64_t slot)
{
	uint32_t rank = FMT_SLOT_RANK(slot);
	uint32_t kind = FMT_SLOT_KIND(slot);
	uint32_t eoff = FMT_SLOT_OFF(slot);
	uint32_t j = rank - g->lo;

	if (j > g->n) { /* unsigned: before or behind the gap */
		if (rank < g->lo)
			g->lo += rank_shift(kind);
		return;
	}
	if (kind == FMT_SLOT_INSERT) {
		gap_insert(g, j, eoff);
		return;
	}
	if (j < g->n) {
		if (kind == FMT_SLOT_REPLACE)
			g->entry[j] = (uint16_t)eoff;
		else
			gap_remove(g, j);
		return;
	}
	if (!g->base)
		return;
	g->base = 0;
	if (kind == FMT_SLOT_REPLACE)
		g->base = eoff;
}

/* The base's lower bound, then each slot in turn: no entry of the tail is touched. */
int leaf_gap_find(const struct leaf *l, const struct order *o, const struct probe *p,
                  struct leaf_gap *g)
{
	uint32_t at;
	bool exact;
	int rc = base_find(l, o, p, &at, &exact);

	if (rc)
		return rc;
	g->n = 0;
	g->lo = at;
	g->base = 0;
	if (exact)
		g->base = leaf_entry(l->page, at);
	for (unsigned int i = 0; i < l->nslots; i++)
		gap_follow(g, load_word(&l->slots[i]));
	return 0;
}

/* At most sixteen entries stand in a gap, mostly none or one: they are compared in order. */
int leaf_gap_place(const struct leaf *l, const struct order *o, const struct probe *p,
                   const struct leaf_gap *g, uint32_t *rank, uint32_t *eoff)
{
	*eoff = 0;
	for (uint32_t j = 0; j < g->n; j++) {
		struct item it;
		int c;
		int rc = tail_item(l, g->entry[j], &it);

		if (rc)
			return rc;
		c = order_cmp(o, it.key, it.klen, it.val, it.vlen, p);
		if (c < 0)
			continue;
		*rank = g->lo + j;
		if (c == 0)
			*eoff = g->entry[j];
		return 0;
	}
	*rank = g->lo + g->n;
	*eoff = g->base;
	return 0;
}

/* The common way, for those that do not need the halves apart. */
int leaf_place(const struct leaf *l, const struct order *o, const struct probe *p, uint32_t *rank,
               uint32_t *eoff)
{
	struct leaf_gap g;
	int rc = leaf_gap_find(l, o, p, &g);

	if (rc)
		return rc;
	return leaf_gap_place(l, o, p, &g, rank, eoff);
}

/* By the slots' kinds alone: a replacement changes nothing. */
uint32_t leaf_count(const struct leaf *l)
{
	uint32_t n = l->page->n;

	for (unsigned int i = 0; i < l->nslots; i++)
		n += rank_shift(FMT_SLOT_KIND(load_word(&l->slots[i])));
	return n;
}

/* Removals name no entry of their own. */
uint32_t leaf_newest(const struct leaf *l)
{
	for (unsigned int i = l->nslots; i-- > 0;) {
		uint64_t slot = load_word(&l->slots[i]);

		if (FMT_SLOT_KIND(slot) != FMT_SLOT_REMOVE)
			return FMT_SLOT_OFF(slot);
	}
	if (!l->page->n)
		return 0;
	return leaf_entry(l->page, 0);
}

/* leaf_at_raw - leaf_at_any, wherever the entry is said to lie. From the newest slot back to the
 * first one: what rank it was before each of them. So no order is built for one entry. */
static int leaf_at_raw(const struct leaf *l, uint32_t rank, uint32_t *eoff)
{
	for (unsigned int i = l->nslots; i-- > 0;) {
		uint64_t slot = load_word(&l->slots[i]);
		uint32_t r = FMT_SLOT_RANK(slot);
		uint32_t kind = FMT_SLOT_KIND(slot);

		if (kind == FMT_SLOT_REMOVE) {
			rank += r <= rank;
		} else if (r == rank) {
			*eoff = FMT_SLOT_OFF(slot);
			return 0;
		} else if (kind == FMT_SLOT_INSERT) {
			rank -= r < rank;
		}
	}
	if (rank >= l->page->n)
		return err_corrupt(l->off, "leaf: no entry has rank %u", rank);
	*eoff = leaf_entry(l->page, rank);
	return 0;
}

/* An offset of 0 would say that there is none, so an entry that claims to lie in the header is
 * damage. The way for leaves with a tail. */
int leaf_at_any(const struct leaf *l, uint32_t rank, uint32_t *eoff)
{
	int rc = leaf_at_raw(l, rank, eoff);

	if (rc)
		return rc;
	if (UNLIKELY(*eoff < FMT_LEAF_BASE)) { /* 0 would say that there is none */
		leaf_fault(l, *eoff);
		return DAXKV_CORRUPT;
	}
	return rc;
}

/* base_offsets - where the base's entries lie, in order. out has room for n, which was bounded. */
static void base_offsets(const struct fmt_page *p, uint32_t n, uint16_t *out)
{
	uint32_t heads = p->heads;

	if (heads & FMT_UNIFORM) {
		uint32_t start = FMT_LEAF_BASE + 8 * n;
		uint32_t stride = uniform_stride(heads & FMT_KLEN_MASK, p->offs);

		for (uint32_t i = 0; i < n; i++)
			out[i] = (uint16_t)(start + i * stride);
	} else {
		memcpy(out, (const uint8_t *)p + p->offs, n * sizeof *out);
	}
}

typedef int16_t lanes __attribute__((vector_size(16)));
typedef uint16_t byte_offsets __attribute__((vector_size(16)));
#define LANES 8

/* all_lanes - the number in each lane. Numbers of entries are small enough for 16 bits with a
 * sign. */
static inline lanes all_lanes(int32_t x)
{
	return (int16_t)x - (lanes){0};
}

/* What a tail without removals makes of a leaf. */
struct tail_places {
	uint16_t off[FMT_TAIL_SLOTS]; /* where each slot's entry lies */
	int16_t
	    place[FMT_TAIL_SLOTS];   /* its place in the leaf's order, when all slots are applied */
	bool insert[FMT_TAIL_SLOTS]; /* it is one entry more, and replaces none */
	uint32_t total;              /* entries of the leaf */
};

/* places_find - where each slot's entry stands in the end: a slot's rank is moved by each later
 * insertion at or before it, all ranks at once. n is the base's number. False: a removal, or a rank
 * that makes no sense. */
static inline bool places_find(const struct leaf *l, uint32_t n, struct tail_places *t)
{
	static const lanes index[2] = {{0, 1, 2, 3, 4, 5, 6, 7}, {8, 9, 10, 11, 12, 13, 14, 15}};
	/* -1: not yet there */
	lanes at[2] = {all_lanes(-1), all_lanes(-1)};

	t->total = n;
	for (unsigned int i = 0; i < l->nslots; i++) {
		uint64_t slot = load_word(&l->slots[i]);
		uint32_t rank = FMT_SLOT_RANK(slot);
		uint32_t kind = FMT_SLOT_KIND(slot);
		bool insert = kind == FMT_SLOT_INSERT;
		lanes rank_of_all = all_lanes((int32_t)rank);
		lanes number = all_lanes((int32_t)i);

		if (kind == FMT_SLOT_REMOVE)
			return false;
		if (rank >= t->total + insert)
			return false;
		for (unsigned int h = 0; h < 2; h++) {
			at[h] -= (at[h] >= rank_of_all) & all_lanes(-insert);
			at[h] += (index[h] == number) & (rank_of_all + 1);
		}
		t->total += insert;
		t->insert[i] = insert;
		t->off[i] = (uint16_t)FMT_SLOT_OFF(slot);
	}
	memcpy(t->place, at, sizeof t->place);
	return true;
}

/* offsets_uniform - leaf_offsets without shifting anything, for a uniform base and a tail without
 * removals: false when it is another leaf, or damaged. At a place that no slot has stands the
 * base's entry of that number, less the insertions before it. Of two slots that replace one entry
 * the later one is stored last. */
static bool offsets_uniform(const struct leaf *l, uint32_t n, uint16_t *out, uint32_t *count)
{
	static const lanes index = {0, 1, 2, 3, 4, 5, 6, 7};
	uint32_t heads = once(l->page->heads);
	uint16_t start = (uint16_t)(FMT_LEAF_BASE + 8 * n);
	uint16_t stride;
	struct tail_places t;
	lanes inserted[FMT_TAIL_SLOTS];

	if (!(heads & FMT_UNIFORM))
		return false;
	if (!n)
		return false;
	if (n + 2 * FMT_TAIL_SLOTS > LEAF_MAX(l->psize))
		return false;
	if (!places_find(l, n, &t))
		return false;
	for (unsigned int i = 0; i < l->nslots; i++)
		inserted[i] = all_lanes(t.insert[i] ? t.place[i] : INT16_MAX);
	stride = (uint16_t)uniform_stride(heads & FMT_KLEN_MASK, once(l->page->offs));
	for (uint32_t j = 0; j < t.total; j += LANES) {
		lanes rank = all_lanes((int32_t)j) + index;
		lanes base = rank;
		byte_offsets entry;

		for (unsigned int i = 0; i < l->nslots; i++)
			base += rank >= inserted[i];
		entry = (byte_offsets)base * stride + start;
		memcpy(out + j, &entry, sizeof entry);
	}
	for (unsigned int i = 0; i < l->nslots; i++)
		out[t.place[i]] = t.off[i];
	*count = t.total;
	return true;
}

/* offsets_follow - what slot i does to the order, of *n entries: it opens a place for its entry,
 * closes one, or gives one another entry. CORRUPT: its rank makes no sense. */
static inline int offsets_follow(const struct leaf *l, unsigned int i, uint16_t *out, uint32_t *n)
{
	uint64_t slot = load_word(&l->slots[i]);
	uint32_t r = FMT_SLOT_RANK(slot);
	uint32_t kind = FMT_SLOT_KIND(slot);

	if (r > *n || (r == *n && kind != FMT_SLOT_INSERT))
		return err_corrupt(l->off, "leaf: slot %u has rank %u among %u entries", i, r, *n);
	if (kind == FMT_SLOT_REMOVE) {
		--*n;
		memmove(out + r, out + r + 1, (*n - r) * sizeof *out);
		return 0;
	}
	if (kind == FMT_SLOT_INSERT) {
		memmove(out + r + 1, out + r, (*n - r) * sizeof *out);
		++*n;
	}
	out[r] = (uint16_t)FMT_SLOT_OFF(slot);
	return 0;
}

/* A uniform leaf without removals, which most are, goes by vectors; any other one by shifting an
 * array. */
int leaf_offsets(const struct leaf *l, uint16_t *out, uint32_t *count)
{
	uint32_t n = once(l->page->n);

	if (LIKELY(offsets_uniform(l, n, out, count)))
		return 0;
	if (n > LEAF_MAX(l->psize) - FMT_TAIL_SLOTS)
		return err_corrupt(l->off, "leaf: %u entries", n);
	base_offsets(l->page, n, out);
	for (unsigned int i = 0; i < l->nslots; i++) {
		int rc = offsets_follow(l, i, out, &n);

		if (rc)
			return rc;
	}
	*count = n;
	return 0;
}
