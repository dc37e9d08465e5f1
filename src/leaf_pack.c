/* SPDX-License-Identifier: BSD-3-Clause */
/* leaf_pack.c - a leaf that is filled entry by entry, in order, and written once. See leaf.h */
#include "leaf.h"

#include "crc.h"

#define HEAD_ROOM 10u /* of an entry in heads and offs */

/* pack_start - where the first of n entries lies in the page. The entries are gathered at multiples of 8: their places there and here are
 * aligned alike. */
static uint32_t pack_start(uint32_t n)
{
	return (uint32_t)round_up(FMT_LEAF_BASE + HEAD_ROOM * n, 8);
}

bool leaf_pack_add(struct leaf_pack *p, const struct order *o, const struct item *it)
{
	uint32_t e = leaf_entry_align(o, p->at, it->klen), end = e + FMT_ENTRY_SIZE + it->klen + it->vlen;

	if (p->n && (pack_start(p->n + 1) + end > p->limit))
		return false;
	assert(pack_start(p->n + 1) + round_up(end, 4) <= p->psize);
	for (uint32_t i = p->at; i < e; i++)
		p->bytes[i] = 0;
	leaf_entry_store(p->bytes + e, it);
	p->off[p->n++] = (uint16_t)e;
	p->at = end;
	return true;
}

void leaf_pack_item(const struct leaf_pack *p, uint32_t i, struct item *it)
{
	const uint8_t *e = p->bytes + p->off[i];
	uint32_t kf = get16(e);

	it->klen = kf & FMT_KLEN_MASK;
	it->flags = kf & ~FMT_KLEN_MASK;
	it->vlen = get16(e + 2);
	it->key = e + FMT_ENTRY_SIZE;
	it->val = it->key + it->klen;
}

uint32_t leaf_pack_build(const struct leaf_pack *p, const struct order *o, uint8_t *image, uint64_t birth, uint64_t prev)
{
	struct fmt_page *page = (void *)image;
	uint32_t n = p->n, offs_at = FMT_LEAF_BASE + 8 * n, start = pack_start(n), at = start + p->at, plen = 0;
	uint64_t *heads = (void *)(image + FMT_LEAF_BASE);
	uint16_t *offs = (void *)(image + offs_at);
	struct item first, last;

	assert(n);
	leaf_pack_item(p, 0, &first);
	leaf_pack_item(p, n - 1, &last);
	if (n > 1)
		plen = order_prefix(o, first.key, first.klen, last.key, last.klen);
	memset(image, 0, FMT_LEAF_BASE);
	*page = (struct fmt_page){.birth = birth,
	                          .prev = prev,
	                          .type = FMT_LEAF,
	                          .n = (uint16_t)n,
	                          .plen = (uint16_t)plen,
	                          .heads = FMT_LEAF_BASE,
	                          .offs = (uint16_t)offs_at};
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *e = p->bytes + p->off[i], *key = e + FMT_ENTRY_SIZE;
		uint32_t klen = get16(e) & FMT_KLEN_MASK;

		/* Most heads are 8 bytes of a longer key. */
		heads[i] =
		    o->key == ORDER_BYTES && klen >= plen + 8 ? __builtin_bswap64(get64(key + plen)) : order_head(o, key, klen, plen);
		offs[i] = (uint16_t)(start + p->off[i]);
	}
	memset(offs + n, 0, start - offs_at - 2 * n);
	memcpy(image + start, p->bytes, p->at);
	uint32_t end = (uint32_t)round_up(at, 4);

	memset(image + at, 0, round_up(end, FMT_LINE) - at);
	page->end = (uint16_t)end;
	page->crc = leaf_crc(image, end);
	return end;
}
