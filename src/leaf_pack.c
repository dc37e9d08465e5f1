/* SPDX-License-Identifier: BSD-3-Clause */
/* leaf_pack.c - a leaf that is filled entry by entry, in order, and written once. See leaf.h */
#include "leaf.h"

#include "crc.h"

uint32_t leaf_pack_build(struct leaf_pack *p, const struct order *o, uint64_t birth, uint64_t prev)
{
	uint8_t *image = p->page;
	struct fmt_page *page = (void *)image;
	uint32_t n = p->n, offs_at = FMT_LEAF_BASE + 8 * n, start = leaf_pack_start(n), end = start + p->at, plen = 0;
	uint64_t *heads = (void *)(image + FMT_LEAF_BASE);
	uint16_t *offs = (void *)(image + offs_at);

	assert(n);
	if (p->bytes != image + start)
		memmove(image + start, p->bytes, p->at);
	p->bytes = image + start;
	struct item first = leaf_pack_item(p, 0), last = leaf_pack_item(p, n - 1);

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

		heads[i] = order_head(o, key, klen, plen);
		offs[i] = (uint16_t)(start + p->off[i]);
	}
	memset(offs + n, 0, start - offs_at - 2 * n);
	memset(image + end, 0, round_up(end, FMT_LINE) - end);
	page->end = (uint16_t)end;
	page->crc = leaf_crc(image, end);
	return end;
}
