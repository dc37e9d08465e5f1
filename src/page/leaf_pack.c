/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leaf_pack.c - a leaf that is filled entry by entry, in order, and written once. See leaf.h
 *
 * Where the entries will begin depends on how many there will be, which is not known. So they are
 * gathered where they would lie if the page became full of entries like the first; when it is
 * built with fewer, they are moved once.
 */
#include "page/leaf.h"

/* mixed_start - where the first of n entries that are not uniform lies in the page: a multiple of
 * 8, so that places in bytes and in the page are aligned alike. What alignment takes is zeros. */
static uint32_t mixed_start(uint32_t n)
{
	return (uint32_t)round_up(FMT_LEAF_BASE + (8 + 2) * n, 8);
}

/* pack_start - where the first of the pack's entries lies when it is built. */
static uint32_t pack_start(const struct leaf_pack *p)
{
	if (p->stride)
		return FMT_LEAF_BASE + 8 * p->n;
	return mixed_start(p->n);
}

/* leaf_pack_begin - the shape of the leaf, by its first entry. What does not suit a uniform leaf
 * begins a mixed one, with stride 0. */
void leaf_pack_begin(struct leaf_pack *p, const struct order *o, const struct item *it)
{
	uint32_t stride;

	assert(p->n == 0);
	assert(p->limit <= p->psize);
	p->at = 0;
	p->stride = 0;
	if (!uniform_suits(o, it))
		return;
	stride = uniform_stride(it->klen, it->vlen);
	/* only in a damaged leaf: refused when it is added */
	if (FMT_LEAF_BASE + 8 + stride > p->psize)
		return;
	p->klen = it->klen;
	p->vlen = it->vlen;
	p->stride = stride;
	p->max = (p->limit - FMT_LEAF_BASE) / (8 + p->stride);
	if (!p->max) /* beyond the limit, but not beyond the page */
		p->max = 1;
	p->bytes = p->page + FMT_LEAF_BASE + 8 * p->max;
}

/* mixed_add - add to a leaf that is not uniform. False: no room. The first entry may go beyond the
 * limit, but not beyond the page. Only the entries are stored; heads and offsets come when the leaf
 * is built, as their number decides where they go. */
static bool mixed_add(struct leaf_pack *p, const struct order *o, const struct item *it)
{
	uint32_t at = p->at;
	uint32_t n = p->n;
	uint32_t e = leaf_entry_align(o, at, it->klen);
	uint32_t behind = e + FMT_ENTRY_SIZE + it->klen + it->vlen;
	uint32_t end = (uint32_t)round_up(behind, 4);
	uint32_t limit = p->limit;

	assert(p->stride == 0);
	if (n == 0)
		limit = p->psize;
	if (mixed_start(n + 1) + end > limit)
		return false;
	if (n == 0) {
		uint32_t each = 8 + 2 + end;
		uint32_t most = (p->limit - FMT_LEAF_BASE) / each;

		p->bytes = p->page + mixed_start(most);
	}
	uint8_t *bytes = p->bytes;

	if (e > at)
		put32(bytes + at, 0);
	put32(bytes + end - 4, 0); /* what the entry leaves of it is padding */
	leaf_entry_store(bytes + e, it);
	p->head = order_head(o, it->key, it->klen, 0);
	p->off[n] = (uint16_t)e;
	p->n = n + 1;
	p->at = end;
	return true;
}

/* to_mixed - give the uniform entries another shape, if there is room for that and for one more.
 * They wait at the end of the two pages meanwhile. False: the pack is as it was, and full for this
 * entry. Each entry becomes larger by its own lengths and an offset, so what has had room may not
 * have it any more. */
static bool to_mixed(struct leaf_pack *p, const struct order *o, const struct item *it)
{
	struct leaf_pack was = *p;
	uint32_t old_cost = leaf_cost(o, p->klen, p->vlen);
	uint32_t new_cost = leaf_cost(o, it->klen, it->vlen);
	uint32_t all = p->n * old_cost + new_cost;
	uint8_t *end = p->page + 2 * p->psize;

	assert(p->stride);
	assert(p->n);
	if (FMT_LEAF_BASE + 8 + all > p->limit)
		return false;
	was.bytes = memmove(end - p->at, p->bytes, p->at);
	p->stride = 0;
	p->n = 0;
	p->at = 0;
	for (uint32_t i = 0; i < was.n; i++) {
		struct item old = leaf_pack_item(&was, i);
		bool fits = mixed_add(p, o, &old);

		assert(fits);
		(void)fits;
	}
	return true;
}

/* leaf_pack_mixed - an entry that does not have the shape of those that are there. When there is
 * room, the leaf is mixed from then on. */
bool leaf_pack_mixed(struct leaf_pack *p, const struct order *o, const struct item *it)
{
	if (p->stride && !to_mixed(p, o, it))
		return false;
	return mixed_add(p, o, it);
}

/* build_uniform, build_mixed - what the page needs before its entries, which lie where they will:
 * of a uniform one the heads are there, unless they shall skip a prefix. Without one the heads were
 * stored with their entries. */
static void build_uniform(struct leaf_pack *p, const struct order *o, uint32_t plen)
{
	uint64_t *heads = (void *)(p->page + FMT_LEAF_BASE);
	const uint8_t *key = p->bytes;

	if (!plen)
		return;
	for (uint32_t i = 0; i < p->n; i++) {
		heads[i] = order_head(o, key, p->klen, plen);
		key += p->stride;
	}
}

/* Between the offsets and the first entry nothing of an older page may show. */
static void build_mixed(struct leaf_pack *p, const struct order *o, uint32_t plen)
{
	uint64_t *heads = (void *)(p->page + FMT_LEAF_BASE);
	uint16_t *offs = (void *)(heads + p->n);
	uint8_t *behind = (uint8_t *)(offs + p->n);

	assert(p->stride == 0);
	assert(behind <= p->bytes);
	for (uint32_t i = 0; i < p->n; i++) {
		const uint8_t *e = p->bytes + p->off[i];
		uint32_t klen = get16(e) & FMT_KLEN_MASK;

		heads[i] = order_head(o, e + FMT_ENTRY_SIZE, klen, plen);
		offs[i] = (uint16_t)(e - p->page);
	}
	memset(behind, 0, (size_t)(p->bytes - behind));
}

/* The prefix of first and last is that of all between, because they are in order. The entries are
 * moved at most once. The place is not in the checksum yet. */
uint32_t leaf_pack_build(struct leaf_pack *p, const struct order *o, uint64_t birth, uint64_t prev)
{
	struct fmt_page *page = (void *)p->page;
	uint32_t n = p->n;
	uint32_t start = pack_start(p);
	uint32_t end = start + p->at;
	uint32_t plen = 0;
	const struct item *shape = NULL;

	assert(n > 0);
	assert(end <= p->psize);
	if (p->bytes != p->page + start)
		p->bytes = memmove(p->page + start, p->bytes, p->at);
	struct item first = leaf_pack_item(p, 0);
	struct item last = leaf_pack_item(p, n - 1);

	if (p->stride)
		shape = &first;
	if (n >= 2)
		plen = order_prefix(o, first.key, first.klen, last.key, last.klen);
	memset(page, 0, FMT_LEAF_BASE);
	*page = leaf_header(n, shape, birth, prev);
	page->plen = (uint16_t)plen;
	page->end = (uint16_t)end;
	if (p->stride)
		build_uniform(p, o, plen);
	else
		build_mixed(p, o, plen);
	memset(p->page + end, 0, round_up(end, FMT_LINE) - end);
	page->crc = leaf_crc(p->page, end);
	return end;
}
