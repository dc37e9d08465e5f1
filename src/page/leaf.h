/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leaf.h - inside a leaf: a sorted base, written once, and a tail of up to 16 appended entries with
 * ranks.
 *
 *   | header | slots[16] | heads[n] | offs[n] | base entries ... | tail entries as appended ... |
 *
 * A base whose keys have one length and whose values have another, and no entry flags, is uniform:
 * the header has the two lengths, and entry i lies at i times their sum, so that there are no
 * offs[] to read, and six bytes less to an entry. An entry of another size goes to the tail as
 * ever; the base that is made of them all then is not uniform, and larger: it may take three leaves
 * (split in tree.c).
 *
 * A put appends an entry (fresh bytes) and fills the next slot (one word): nothing is shifted,
 * nothing copied. A slot's rank is the entry's place in the leaf's order at that moment; applying
 * the ranks in turn to 0..n-1 gives the order without comparing a key, and a snapshot applies only
 * the slots it may see, which are always the first ones. Slots are never dropped or reordered: a
 * removal appends a tombstone [R6].
 *
 * Lookup: where equal keys have equal bytes, the newest slot with the key's fingerprint that the
 * snapshot sees, else the base. Otherwise the base's lower bound, then the gap that the slots open
 * there is followed through the ranks: only the tail entries in the gap are compared. Rejected:
 * sorted slots (a rewrite per put), unsorted leaves (scans pay), shifting (many lines per put).
 */
#ifndef DAXKV_LEAF_H
#define DAXKV_LEAF_H

#include "page/order.h"
#include "page/view.h"

struct wpage;

struct item { /* an entry, in a page or to be written to one */
	const uint8_t *key;
	const uint8_t *val; /* NULL in an item to be written: zeros, for the caller to fill */
	uint32_t klen;      /* bytes, as is vlen */
	uint32_t vlen;
	uint32_t flags; /* FMT_ENTRY_BLOB, FMT_ENTRY_DB */
};

struct leaf {                        /* a leaf as one view sees it */
	const struct fmt_page *page; /* in the mapping: of this or an older version */
	const uint64_t *slots;       /* the page's, or the writer's pending ones */
	uint64_t off;                /* of the page */
	unsigned int nslots;         /* that the view sees: the first ones */
	uint32_t psize;              /* bytes of a page */
};

/* leaf_open - the page, resolved by the view, with the slots that the view sees. It may come from a
 * damaged file: nothing of the slots is followed yet. For a writer they are its own pending ones
 * where it has any, so leaf is good until the page changes. */
void leaf_open(const struct view *view, const struct fmt_page *page, uint64_t off,
               struct leaf *leaf);

/* leaf_fault - raise the fault of an entry that does not lie in the page. */
void leaf_fault(const struct leaf *leaf, uint32_t eoff);

/* uniform_stride - what an entry of a uniform base takes. uniform_suits - whether such entries may
 * be one: the integers among them stay aligned. */
static inline uint32_t uniform_stride(uint32_t klen, uint32_t vlen)
{
	return (uint32_t)round_up(klen + vlen, 4);
}

/* Integers must stay aligned for programs that read them where they lie. */
static inline bool uniform_suits(const struct order *o, const struct item *it)
{
	if (!it->klen || it->flags)
		return false;
	if (!(o->flags & (DAXKV_INTEGER_KEY | DAXKV_INTEGER_DUP)))
		return true;
	return (it->klen | it->vlen) % 8 == 0;
}

/* leaf_slots - the page's sixteen slots: those that are not in use are 0. A writer's pending ones
 * are elsewhere (struct leaf). A reader loads each of them as a word, since a commit may fill one
 * meanwhile. */
static inline const uint64_t *leaf_slots(const struct fmt_page *p)
{
	return (const uint64_t *)(const void *)((const uint8_t *)p + FMT_LEAF_SLOTS);
}

/* leaf_entry - the byte offset of base entry i. It is what the page says, so it need not lie
 * inside: base_item bounds it. */
static inline uint32_t leaf_entry(const struct fmt_page *p, uint32_t i)
{
	uint32_t heads = once(p->heads);
	uint32_t offs = once(p->offs);

	if (LIKELY(heads & FMT_UNIFORM)) {
		uint32_t first = FMT_LEAF_BASE + 8u * once(p->n);
		uint32_t stride = uniform_stride(heads & FMT_KLEN_MASK, offs);

		return first + i * stride;
	}
	return get16((const uint8_t *)p + offs + 2 * i);
}

/* leaf_item - the entry at byte offset eoff of the leaf; base_item, tail_item - where it is known
 * which it is: base entry i, one of the tail. CORRUPT when it does not lie in the page. item_at -
 * the same for an entry whose lengths stand before it (header 0) or in the header (UINT32_MAX). */
static inline int item_at(const struct leaf *leaf, uint32_t eoff, uint32_t header,
                          struct item *item)
{
	const uint8_t *page = (const uint8_t *)leaf->page;

	/* no sum: it may be anything where the page is changing */
	if (UNLIKELY(eoff < FMT_LEAF_BASE || eoff > leaf->psize - FMT_ENTRY_SIZE))
		goto fault;
	uint32_t in_header = offsetof(struct fmt_page, heads) & header;
	const uint8_t *lengths = page + ((eoff & ~header) | in_header);
	uint32_t kf = once(get16(lengths)) & (FMT_KLEN_MASK | ~header);
	uint32_t vlen = once(get16(lengths + 2));
	uint32_t at = eoff + (FMT_ENTRY_SIZE & ~header);

	item->klen = kf & FMT_KLEN_MASK;
	item->flags = kf & ~FMT_KLEN_MASK;
	item->vlen = vlen;
	if (UNLIKELY(at + item->klen + vlen > leaf->psize))
		goto fault;
	item->key = page + at;
	item->val = item->key + item->klen;
	return 0;
fault:
	*item = (struct item){0};
	leaf_fault(leaf, eoff);
	return DAXKV_CORRUPT;
}

/* leaf_item - see above item_at. item points into the page, and is good as long as the view is and
 * the page is not changed. */
static inline int leaf_item(const struct leaf *leaf, uint32_t eoff, struct item *item)
{
	/* By masks: of which kind the next entry of a scan is can not be predicted, and to guess
	 * wrong is dear. */
	uint32_t uniform = -(once(leaf->page->heads) / FMT_UNIFORM);
	uint32_t base = -(uint32_t)(eoff < once(leaf->page->end));

	return item_at(leaf, eoff, uniform & base, item);
}

/* base_item - base entry i, of either shape. */
static inline int base_item(const struct leaf *leaf, uint32_t i, struct item *item)
{
	uint32_t eoff = leaf_entry(leaf->page, i);

	if (LIKELY(once(leaf->page->heads) & FMT_UNIFORM))
		return item_at(leaf, eoff, UINT32_MAX, item);
	return item_at(leaf, eoff, 0, item);
}

/* tail_item - its lengths always stand before it. */
static inline int tail_item(const struct leaf *leaf, uint32_t eoff, struct item *item)
{
	return item_at(leaf, eoff, 0, item);
}

/* leaf_get - the entry of the key in the leaf page at off, in an order with fingerprints. CORRUPT.
 * item means something when *found alone, and points into the page. A tombstone in the tail is an
 * answer: not found. */
int leaf_get(const struct view *view, const struct fmt_page *page, uint64_t off,
             const struct order *order, const uint8_t *key, uint32_t klen, uint32_t fp,
             struct item *item, bool *found);

/* leaf_look, leaf_found - the same in two halves: the first prefetches the entry that the second
 * compares. page and off of look are the caller's. */
struct leaf_look {
	const struct fmt_page *page;
	uint64_t off;
	const uint64_t *slots;
	uint32_t match; /* a bit for each slot with the fingerprint */
	/* so many heads of the base are smaller than the key's; UINT32_MAX: not known */
	uint32_t below;
};
void leaf_look(const struct view *view, const struct order *order, const uint8_t *key,
               uint32_t klen, uint32_t fp, struct leaf_look *look);
int leaf_found(const struct view *view, const struct order *order, const uint8_t *key,
               uint32_t klen, const struct leaf_look *look, struct item *item, bool *found);

/* leaf_place - where the probe is or would be: its rank, and the entry found there or 0. CORRUPT.
 * The rank is that of the first entry at or behind the probe, and may be leaf_count. */
int leaf_place(const struct leaf *leaf, const struct order *order, const struct probe *probe,
               uint32_t *rank, uint32_t *eoff);

/* leaf_gap_find, leaf_gap_place - the same in two halves: the first touches no entry of the tail,
 * and finds the gap between two base entries where the probe belongs, with the tail entries alive
 * in it. The gap holds as long as the leaf has as many slots and base entries. CORRUPT. */
struct leaf_gap {
	/* the rank of its first entry, or of what stands behind it when it has none */
	uint32_t lo;
	/* tail entries in it */
	uint32_t n;
	/* the entry that equals the probe and stands behind the gap, as a byte offset in the page:
	 * the base's, or one that replaced it. 0: there is none, or it was removed */
	uint32_t base;
	/* byte offsets in the page, in the leaf's order */
	uint16_t entry[FMT_TAIL_SLOTS];
};
int leaf_gap_find(const struct leaf *leaf, const struct order *order, const struct probe *probe,
                  struct leaf_gap *gap);
int leaf_gap_place(const struct leaf *leaf, const struct order *order, const struct probe *probe,
                   const struct leaf_gap *gap, uint32_t *rank, uint32_t *eoff);

/* leaf_slots_upto - how many of the slots that the view sees are of transactions up to that one:
 * with nslots that, a leaf that was there then is what it was then. It does not say whether the
 * leaf was there then: that is its birth. */
unsigned int leaf_slots_upto(const struct leaf *leaf, uint64_t txn);

/* leaf_count - live entries. leaf_at - the entry of that rank (below leaf_count). */
uint32_t leaf_count(const struct leaf *leaf);
int leaf_at_any(const struct leaf *leaf, uint32_t rank, uint32_t *eoff);
/* Inlined for a leaf without a tail: a scan of such leaves touches nothing but the entries. */
static inline int leaf_at(const struct leaf *leaf, uint32_t rank, uint32_t *eoff)
{
	if (leaf->nslots || UNLIKELY(rank >= once(leaf->page->n)))
		return leaf_at_any(leaf, rank, eoff);
	*eoff = leaf_entry(leaf->page, rank);
	if (LIKELY(*eoff >= FMT_LEAF_BASE))
		return 0;
	return leaf_at_any(leaf, rank, eoff);
}

/* leaf_newest - the entry that came to the leaf last, as a byte offset in the page, or one of those
 * that it was written with; it may be gone since. 0: no entry has ever been there. */
uint32_t leaf_newest(const struct leaf *leaf);

/* leaf_tail_end - where the next tail entry may begin: the entries lie in the order of their slots.
 * Records name fresh bytes in units of 4, and the format allows an end between two. leaf is as the
 * writer's view has it, pending slots included. */
static inline uint32_t leaf_tail_end(const struct leaf *l)
{
	uint32_t base = l->page->end;
	uint32_t last = 0;

	if (l->nslots)
		last = FMT_SLOT_END(l->slots[l->nslots - 1]);
	if (last < base)
		last = base;
	return (uint32_t)round_up(last, 4);
}

/* leaf_value - where the value of base entry i lies. For the writer's own pages. */
static inline const uint8_t *leaf_value(const struct fmt_page *page, uint32_t i)
{
	const uint8_t *e = (const uint8_t *)page + leaf_entry(page, i);

	if (page->heads & FMT_UNIFORM)
		return e + (page->heads & FMT_KLEN_MASK);
	return e + FMT_ENTRY_SIZE + (get16(e) & FMT_KLEN_MASK);
}

/* leaf_offsets - all entries in order; out has room for LEAF_MAX(psize). CORRUPT when the ranks
 * make no sense. *n: how many. The offsets are what base and slots say, and are bounded when the
 * entry is read. */
int leaf_offsets(const struct leaf *leaf, uint16_t *out, uint32_t *n);
/* a head, and a key and a value of 4 bytes together */
#define LEAF_MAX(psize) ((psize) / 12 + FMT_TAIL_SLOTS)

/* leaf_usable - bytes for entries in a page, the alignment of the first one taken off. leaf_cost -
 * what an entry takes of them in a base, at most. leaf_costs - what these take in one base: each;
 * 0: each its leaf_cost. */
static inline uint32_t leaf_usable(uint32_t psize)
{
	return psize - FMT_LEAF_BASE - 4;
}

/* In a base that is not uniform: a head, an offset, the entry, and what alignment may take. */
static inline uint32_t leaf_cost(const struct order *order, uint32_t klen, uint32_t vlen)
{
	uint32_t entry = (uint32_t)round_up(FMT_ENTRY_SIZE + klen + vlen, 4);
	uint32_t pad = 0;

	if (order->flags & (DAXKV_INTEGER_KEY | DAXKV_INTEGER_DUP))
		pad = 4;
	return 8 + 2 + entry + pad;
}
uint32_t leaf_costs(const struct order *order, const struct item *items, uint32_t n);

/* leaf_build - write a leaf of n items, in order, with an empty tail, to image (a page); the items
 * must not lie in image. Returns the bytes used. birth: the transaction's number; prev: the page
 * that this one replaces, or 0. The place is not in its checksum yet. */
uint32_t leaf_build(uint8_t *image, uint32_t psize, const struct order *order,
                    const struct item *items, uint32_t n, uint64_t birth, uint64_t prev);

/* Within the module: leaf_entry_align - the first place at or after off for an entry: integers are
 * aligned for programs that read them where they lie. leaf_entry_store - an entry's bytes;
 * leaf_entry_copy, leaf_value_copy - some of them. leaf_crc - of a leaf whose base ends at end.
 * leaf_header - of a base of n entries; uniform: one of them if they are, else NULL. */
static inline uint32_t leaf_entry_align(const struct order *o, uint32_t off, uint32_t klen)
{
	uint32_t at = (uint32_t)round_up(off, 4);
	uint32_t want;

	if (LIKELY(!(o->flags & (DAXKV_INTEGER_DUP | DAXKV_INTEGER_KEY))))
		return at;
	want = FMT_ENTRY_SIZE;
	if (o->flags & DAXKV_INTEGER_DUP)
		want = (8 - (FMT_ENTRY_SIZE + klen) % 8) % 8;
	/* a key of odd length before an integer: no place aligns both the entry and the integer */
	if (want % 4)
		return at;
	if (at % 8 == want)
		return at;
	return at + 4;
}

/* leaf_entry_copy - n bytes. Short ones without a call. */
static inline void leaf_entry_copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
	/* 8 to 16 bytes, the most usual: two words, which may overlap. No call, and a key just made
	 * of words is read by words */
	if (LIKELY(n - 8 <= 8)) {
		uint64_t first = get64(from);
		uint64_t last = get64(from + n - 8);

		put64(to, first);
		put64(to + n - 8, last);
	} else {
		memcpy(to, from, n);
	}
}

/* leaf_value_copy - the value, or zeros for one that the caller fills later. */
static inline void leaf_value_copy(uint8_t *to, const uint8_t *val, uint32_t vlen)
{
	if (LIKELY(vlen && val))
		leaf_entry_copy(to, val, vlen);
	else
		memset(to, 0, vlen); /* to be filled by the caller of put */
}

/* leaf_entry_store - the fixed part, key and value of an entry that is not in a uniform base. */
static inline void leaf_entry_store(uint8_t *p, const struct item *it)
{
	put16(p, it->klen | it->flags);
	put16(p + 2, it->vlen);
	leaf_entry_copy(p + FMT_ENTRY_SIZE, it->key, it->klen);
	leaf_value_copy(p + FMT_ENTRY_SIZE + it->klen, it->val, it->vlen);
}
uint32_t leaf_crc(const uint8_t *page, uint32_t end);

/* leaf_verify - compare the checksums of the base and of all entries of the tail. CORRUPT. */
int leaf_verify(const struct leaf *leaf);

/* leaf_header - a header without plen, end and checksum, which depend on the entries. */
static inline struct fmt_page leaf_header(uint32_t n, const struct item *uniform, uint64_t birth,
                                          uint64_t prev)
{
	uint32_t heads = FMT_LEAF_BASE;
	uint32_t offs = FMT_LEAF_BASE + 8 * n;

	if (uniform) {
		heads = FMT_UNIFORM | uniform->klen;
		offs = uniform->vlen;
	}
	return (struct fmt_page){
	    .birth = birth,
	    .prev = prev,
	    .type = FMT_LEAF,
	    .n = (uint16_t)n,
	    .heads = (uint16_t)heads,
	    .offs = (uint16_t)offs,
	};
}

/* leaf_pack - a leaf in the making, entry by entry in order, in a buffer of its maker's. They are
 * gathered where they will lie if the leaf gets full: in a uniform one, until an entry of another
 * size comes; in others, if all that come are as large as the first. leaf_pack_add - *it is the
 * next one; false: it has no room (the first always has, when it suits a leaf). leaf_pack_item -
 * entry i, until the pack begins anew (n = 0). leaf_item_ascends - whether an item lies behind
 * last; keys: its key alone does. leaf_pack_ascends - the same behind the pack's last one.
 * leaf_pack_build - the leaf of them all, at least one, in page; as leaf_build. Adding is inlined:
 * it is most of what a load does. leaf_pack_begin, leaf_pack_mixed - parts of it. */
struct leaf_pack {
	uint8_t *page;  /* two pages of room, at a multiple of 8 */
	uint8_t *bytes; /* of the entries: in page, at a multiple of 8 */
	/* of each, from bytes, when they are not uniform; room for LEAF_PACK_MAX(psize) */
	uint16_t *off;
	uint64_t head; /* the last one's */
	/* entries so far; 0: the next one decides the shape */
	uint32_t n;
	/* where the next one begins, from bytes; the last one is padded */
	uint32_t at;
	/* where they may end in the page, from its begin: less than psize leaves room for later
	 * changes */
	uint32_t limit;
	uint32_t psize;
	/* of each, and how many have room: while they are uniform. stride 0: they are not */
	uint32_t stride;
	uint32_t klen;
	uint32_t vlen;
	uint32_t max;
};
/* of entries as small as a damaged leaf may show them: a head, an offset, lengths */
#define LEAF_PACK_MAX(psize) ((psize) / (8 + 2 + FMT_ENTRY_SIZE))

void leaf_pack_begin(struct leaf_pack *p, const struct order *o, const struct item *it);
bool leaf_pack_mixed(struct leaf_pack *p, const struct order *o, const struct item *it);

/* leaf_pack_like - whether an entry of these sizes is as those that are there: what was checked of
 * them need not be checked again. */
static inline bool leaf_pack_like(const struct leaf_pack *p, size_t klen, size_t vlen)
{
	return LIKELY(p->n && p->stride && klen == p->klen && vlen == p->vlen);
}

/* leaf_pack_more - leaf_pack_add for such an entry. */
ALWAYS_INLINE bool leaf_pack_more(struct leaf_pack *p, const struct item *it, uint64_t head)
{
	uint32_t n = p->n;
	uint32_t at = p->at;

	if (UNLIKELY(n == p->max))
		return false;
	put32(p->bytes + at + p->stride - 4, 0); /* what the entry leaves of it is padding */
	leaf_entry_copy(p->bytes + at, it->key, it->klen);
	leaf_value_copy(p->bytes + at + it->klen, it->val, it->vlen);
	put64(p->page + FMT_LEAF_BASE + 8 * n, head);
	p->head = head;
	p->n = n + 1;
	p->at = at + p->stride;
	return true;
}

/* leaf_pack_add - see above struct leaf_pack. */
ALWAYS_INLINE bool leaf_pack_add(struct leaf_pack *p, const struct order *o, const struct item *it)
{
	if (UNLIKELY(!p->n))
		leaf_pack_begin(p, o, it);
	if (UNLIKELY(!p->stride || it->klen != p->klen || it->vlen != p->vlen || it->flags))
		return leaf_pack_mixed(p, o, it);
	return leaf_pack_more(p, it, order_head(o, it->key, it->klen, 0));
}

/* leaf_pack_item - entry i, where it lies. It is good until the pack is built or begins again:
 * building moves the bytes. */
static inline struct item leaf_pack_item(const struct leaf_pack *p, uint32_t i)
{
	const uint8_t *e, *key;
	uint32_t kf, klen;

	if (p->stride) {
		e = p->bytes + i * p->stride;
		return (struct item){
		    .key = e,
		    .val = e + p->klen,
		    .klen = p->klen,
		    .vlen = p->vlen,
		};
	}
	e = p->bytes + p->off[i];
	key = e + FMT_ENTRY_SIZE;
	kf = get16(e);
	klen = kf & FMT_KLEN_MASK;
	return (struct item){
	    .key = key,
	    .val = key + klen,
	    .klen = klen,
	    .vlen = get16(e + 2),
	    .flags = kf & ~FMT_KLEN_MASK,
	};
}

/* leaf_item_ascends - by the key first, and with sorted duplicates by the value. */
static inline bool leaf_item_ascends(const struct order *o, const struct item *last,
                                     const struct item *it, bool keys)
{
	int c = order_key_cmp(o, last->key, last->klen, it->key, it->klen);

	if (c != 0)
		return c < 0;
	if (!o->dups || keys)
		return false;
	return order_dup_cmp(o, last->val, last->vlen, it->val, it->vlen) < 0;
}

/* leaf_pack_ascends - the head decides most; equal heads need the entry. */
static inline bool leaf_pack_ascends(const struct leaf_pack *p, const struct order *o,
                                     const struct item *it, bool keys)
{
	struct item last;

	if (LIKELY(order_head(o, it->key, it->klen, 0) > p->head))
		return true;
	last = leaf_pack_item(p, p->n - 1);
	return leaf_item_ascends(o, &last, it, keys);
}
uint32_t leaf_pack_build(struct leaf_pack *pack, const struct order *order, uint64_t birth,
                         uint64_t prev);

/* leaf_append - add an entry to the tail's end [R6] [I9], or by leaf_insert to the base: *done
 * false when it has no room. leaf is what leaf_open gave for the writer's view. *value: where the
 * value's bytes lie. An item without val gets zeros, to be filled, and sealed by leaf_seal.
 * ENOMEM. */
struct leaf_change {
	struct item item;
	uint32_t rank;           /* in the leaf's order, as leaf_place found it */
	enum fmt_slot_kind kind; /* what the slot says of that rank */
	bool to_fill;            /* bytes of the value are going to change */
};
/* Nobody else sees the entry before the commit: its bytes lie behind all that committed slots name.
 * *done false is no error, and nothing has changed then: the caller writes the leaf again. */
int leaf_append(struct wset *w, const struct order *order, const struct leaf *leaf,
                const struct leaf_change *change, bool *done, const uint8_t **value);

/* leaf_own - an entry, key and value of so many bytes, will be appended: have the lines that change
 * come into this core's cache meanwhile, or the whole leaf when it has no room. A guess that costs
 * time only, as all prefetching does. */
void leaf_own(const struct leaf *leaf, uint32_t bytes);

/* leaf_expect_put - the same ahead of time, for an entry of about that many bytes which belongs
 * into the gap: what placing it compares comes, too, and the whole leaf when it will have to be
 * written anew. *full: that is so. */
void leaf_expect_put(const struct leaf *leaf, const struct leaf_gap *gap, uint32_t bytes,
                     bool *full);

/* leaf_overwrite - give the entry at eoff, old, the item's value where it lies: in a page that the
 * running level of the transaction may edit, and of the same size. False: it cannot be, and nothing
 * has changed. leaf_reseal - the checksum of a base in which that was done, before the page is
 * committed. */
bool leaf_overwrite(struct wset *w, const struct leaf *leaf, uint32_t eoff, const struct item *old,
                    const struct item *item);
void leaf_reseal(struct wset *w, struct wpage *wp);

/* leaf_insert - the item becomes the base's entry of that rank, where the base lies: in a page that
 * the running level may edit, whose entry is wp, without a tail; in a uniform one among entries of
 * the item's sizes. Some of the base's entries may move with it.
 * Returns where its value is; NULL: it cannot be, and nothing has changed. leaf_take_out - the same
 * for the removal of the entry of that rank. Byte offsets in the page are others afterwards; the
 * base's checksum is leaf_reseal's to make. */
const uint8_t *leaf_insert(struct wset *w, struct wpage *wp, const struct order *order,
                           const struct leaf *leaf, uint32_t rank, const struct item *item);
bool leaf_take_out(struct wset *w, struct wpage *wp, const struct leaf *leaf, uint32_t rank);

/* leaf_seal - the value at value was filled after leaf_append, leaf_insert or leaf_build: recompute
 * the checksum that covers it. Before the page is committed: afterwards its bytes do not change. */
void leaf_seal(struct wset *w, uint64_t off, const uint8_t *value, uint32_t vlen);

#endif
