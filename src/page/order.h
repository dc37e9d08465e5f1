/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order.h - how one database orders its entries: key first, then, with sorted duplicates, value.
 *
 * Each order but a program's own gives every key a head: 8 bytes as an integer such that a smaller
 * head means a smaller key. Pages keep the heads in one array, searched without touching entries;
 * the tie is settled by the full comparison. For a program's own order all heads are 0.
 *
 *   bytes     big-endian first 8 bytes behind the page's common prefix
 *   reverse   the last 8 bytes, last first
 *   integer   the integer
 *   own       0
 *
 * What a comparator must be: a total order that never changes for a database. If it is not,
 * entries are not found where they are, and nothing worse: no page is damaged by it.
 */
#ifndef DAXKV_ORDER_H
#define DAXKV_ORDER_H

#include "base/base.h"
#include "base/format.h"
#include "daxkv.h"

enum order_kind { ORDER_BYTES, ORDER_REVERSE, ORDER_INTEGER, ORDER_OWN };

struct order {
	uint32_t flags;      /* enum daxkv_db_flags */
	enum order_kind key; /* of keys */
	enum order_kind dup; /* of the values of one key */
	bool dups;           /* entries are (key, value) pairs */
	/* equal keys have equal bytes and one entry: a lookup may go by fingerprint */
	bool fingerprints;
	/* of ORDER_OWN alone: the program's, and what it gets along */
	daxkv_compare_fn *key_fn;
	daxkv_compare_fn *dup_fn;
	void *key_arg;
	void *dup_arg;
};

enum probe_edge { PROBE_BEFORE = -1, PROBE_AT = 0, PROBE_AFTER = 1 };

struct probe { /* what is searched: a key, and with duplicates a value, or the place before or after
	          all of the key's */
	const uint8_t *key;
	const uint8_t *dup; /* only with duplicates, and only PROBE_AT */
	uint32_t klen;
	uint32_t dlen;
	enum probe_edge edge; /* PROBE_AT without duplicates */
};

/* order_suits_names - whether the main database's keys may be names of others. Names are plain
 * bytes, each once: an order of integers, of pairs or of the program's own cannot have them. */
static inline bool order_suits_names(const struct order *order)
{
	if (order->dups)
		return false;
	if (order->key == ORDER_INTEGER)
		return false;
	return order->key != ORDER_OWN;
}

/* order_init - the order of a database with these flags; comparators are set by the caller. */
void order_init(struct order *order, uint32_t flags);

/* order_key_cmp, order_dup_cmp - <0, 0, >0: a lies before b, is it, lies behind it, as keys and as
 * values of one key. The bytes may lie at any alignment, and of any length: an integer that has the
 * wrong one, as damage may show it, counts as 0. An own order calls the program's function, which
 * has to be set. */
int order_key_cmp(const struct order *order, const uint8_t *a, uint32_t alen, const uint8_t *b,
                  uint32_t blen);
int order_dup_cmp(const struct order *order, const uint8_t *a, uint32_t alen, const uint8_t *b,
                  uint32_t blen);

/* order_bytes_same - whether two keys of that length have the same bytes. order_key_same - whether
 * two keys are one: by their bytes where the order allows it. */
static inline bool order_bytes_same(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	/* 8 to 16 bytes, the most usual: two words, which may overlap */
	if (LIKELY(len - 8 <= 8))
		return get64(a) == get64(b) && get64(a + len - 8) == get64(b + len - 8);
	if (UNLIKELY(len < 8)) {
		for (uint32_t i = 0; i < len; i++)
			if (a[i] != b[i])
				return false;
		return true;
	}
	for (uint32_t i = 0; i + 8 < len; i += 8)
		if (get64(a + i) != get64(b + i))
			return false;
	return get64(a + len - 8) == get64(b + len - 8);
}

/* order_key_same - see above. A program's own order may call keys with different bytes one. */
static inline bool order_key_same(const struct order *o, const uint8_t *a, uint32_t alen,
                                  const uint8_t *b, uint32_t blen)
{
	if (UNLIKELY(o->key == ORDER_OWN))
		return order_key_cmp(o, a, alen, b, blen) == 0;
	if (alen != blen)
		return false;
	return order_bytes_same(a, b, alen);
}

/* order_cmp - compare an entry (key and value bytes) with the probe. */
int order_cmp(const struct order *order, const uint8_t *key, uint32_t klen, const uint8_t *dup,
              uint32_t dlen, const struct probe *probe);

/* probe_middle - which of the entries lo..hi-1, whose heads equal the probe's, a search compares
 * next. At first, which outermost says, a probe for a key's edge takes the outermost one: it
 * decides alone where all of them have one key. */
static inline uint32_t probe_middle(const struct probe *p, bool outermost, uint32_t lo, uint32_t hi)
{
	if (!outermost)
		return (lo + hi) / 2;
	if (p->edge == PROBE_AFTER)
		return hi - 1;
	return lo;
}

/* order_head - the key's head in a page whose prefix is plen bytes long (0 but for ORDER_BYTES).
 * Most are 8 bytes of a longer key. */
uint64_t order_head_rare(const struct order *order, const uint8_t *key, uint32_t klen,
                         uint32_t plen);
/* Two loads and a swap for most keys; the rest is a call. */
static inline uint64_t order_head(const struct order *o, const uint8_t *key, uint32_t klen,
                                  uint32_t plen)
{
	if (LIKELY(o->key == ORDER_BYTES && klen >= plen + 8))
		return __builtin_bswap64(get64(key + plen));
	return order_head_rare(o, key, klen, plen);
}

/* order_prefix - how many bytes the first and the last key of a page share, when that is worth
 * stripping: 0 or at least 8. */
uint32_t order_prefix(const struct order *order, const uint8_t *first, uint32_t flen,
                      const uint8_t *last, uint32_t llen);

/* heads_below - how many of n ascending heads are smaller than h. By masks, not branches: a search
 * has no predictable ones. The number of steps depends on n alone. n is the caller's, bounded by
 * the page. */
static inline uint32_t heads_below(const uint64_t *heads, uint32_t n, uint64_t h)
{
	const uint64_t *p = heads;

	if (!n)
		return 0;
	while (n > 1) {
		uint32_t half = n / 2;

		p += half & (0 - (uint64_t)(p[half - 1] < h));
		n -= half;
	}
	return (uint32_t)(p - heads) + (*p < h);
}

/* heads_upto - how many of them are at most h. The largest number has none above it, and is asked
 * for apart. */
static inline uint32_t heads_upto(const uint64_t *heads, uint32_t n, uint64_t h)
{
	if (h == UINT64_MAX)
		return n;
	return heads_below(heads, n, h + 1);
}

/* order_fp - the key's fingerprint. */
uint32_t order_fp(const uint8_t *key, uint32_t klen);

/* order_separate - how many bytes of (key b, value b) are enough to tell it from the smaller (key
 * a, value a): lengths of a separator s with a < s <= b. *dlen is FMT_SEP_NODUP when the key alone
 * does. *koff: where the key part begins in key b (a suffix in reverse order). */
struct separation {
	uint32_t koff; /* in key b */
	uint32_t klen;
	uint32_t doff; /* in value b */
	uint32_t dlen; /* FMT_SEP_NODUP: the key alone is enough */
};
struct separation order_separate(const struct order *order, const uint8_t *ka, uint32_t kalen,
                                 const uint8_t *da, uint32_t dalen, const uint8_t *kb,
                                 uint32_t kblen, const uint8_t *db, uint32_t dblen);

#endif
