/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order.c - see order.h
 *
 * Every order compares the same way at all places: pages, separators, probes. A head never decides
 * alone where heads are equal, and a program's own order has none.
 *
 *   key "customer:1042", prefix "customer:"   head 0x3130343200000000: what follows, and zeros
 *
 * Separators are the shortest that tell two keys apart, so that an inner page has many of them: of
 * "apple" and "banana" it is "b". In reverse order it is the end of the key.
 */
#include "page/order.h"

#include "base/crc.h"

#define FP_SEED    0x1234u
#define HEAD       8u
#define PREFIX_MIN 8u /* shorter ones do not pay for the test */

/* An own order has no fingerprints: keys that it calls equal may have different bytes. */
void order_init(struct order *o, uint32_t flags)
{
	*o = (struct order){.flags = flags, .dups = (flags & DAXKV_DUP_SORT) != 0};
	if (flags & DAXKV_OWN_COMPARE)
		o->key = ORDER_OWN;
	else if (flags & DAXKV_INTEGER_KEY)
		o->key = ORDER_INTEGER;
	else if (flags & DAXKV_REVERSE_KEY)
		o->key = ORDER_REVERSE;
	else
		o->key = ORDER_BYTES;
	if (flags & DAXKV_OWN_DUP_COMPARE)
		o->dup = ORDER_OWN;
	else if (flags & DAXKV_INTEGER_DUP)
		o->dup = ORDER_INTEGER;
	else if (flags & DAXKV_REVERSE_DUP)
		o->dup = ORDER_REVERSE;
	else
		o->dup = ORDER_BYTES;
	o->fingerprints = !o->dups && o->key != ORDER_OWN;
}

/* cmp_len - of two that begin alike the shorter one is the smaller. */
static int cmp_len(uint32_t a, uint32_t b)
{
	if (a < b)
		return -1;
	return a > b;
}

/* cmp_bytes - as memcmp, eight bytes a step: keys are short, and a call would cost more. A shorter
 * key that the other one begins with is the smaller. */
static int cmp_bytes(const uint8_t *a, uint32_t alen, const uint8_t *b, uint32_t blen)
{
	uint32_t n = blen;
	uint32_t i = 0;

	if (alen < blen)
		n = alen;
	for (; i + 8 <= n; i += 8) {
		uint64_t x = get64(a + i);
		uint64_t y = get64(b + i);

		if (x != y) {
			if (__builtin_bswap64(x) < __builtin_bswap64(y))
				return -1;
			return 1;
		}
	}
	for (; i < n; i++)
		if (a[i] != b[i]) {
			if (a[i] < b[i])
				return -1;
			return 1;
		}
	return cmp_len(alen, blen);
}

/* cmp_reverse - from the last byte backwards. Of two that end alike the shorter one is the
 * smaller. */
static int cmp_reverse(const uint8_t *a, uint32_t alen, const uint8_t *b, uint32_t blen)
{
	uint32_t n = blen;

	if (alen < blen)
		n = alen;
	for (uint32_t i = 1; i <= n; i++)
		if (a[alen - i] != b[blen - i]) {
			if (a[alen - i] < b[blen - i])
				return -1;
			return 1;
		}
	return cmp_len(alen, blen);
}

/* integer_of - a native integer of 4 or 8 bytes; any other length, which only damage has, is 0. The
 * bytes may lie at any alignment. */
static uint64_t integer_of(const uint8_t *p, uint32_t n)
{
	if (n == 8)
		return get64(p);
	if (n == 4)
		return get32(p);
	return 0;
}

/* cmp_integer - by the numbers; of equal ones by their sizes, so that the order is total. */
static int cmp_integer(const uint8_t *a, uint32_t alen, const uint8_t *b, uint32_t blen)
{
	uint64_t x = integer_of(a, alen);
	uint64_t y = integer_of(b, blen);

	if (x != y)
		return (x < y ? -1 : 1);
	return cmp_len(alen, blen);
}

/* cmp_own - by the program's comparator, which promises not to write. The sign of what it returns
 * counts alone. */
static int cmp_own(daxkv_compare_fn *fn, void *arg, const uint8_t *a, uint32_t alen,
                   const uint8_t *b, uint32_t blen)
{
	assert(fn);
	union {
		const uint8_t *in;
		void *out;
	} pa = {a}, pb = {b}; /* a comparator promises not to write */
	struct daxkv_val x = {alen, pa.out};
	struct daxkv_val y = {blen, pb.out};

	return fn(&x, &y, arg);
}

/* The commonest order is tested last and called last, without a table of functions. */
int order_key_cmp(const struct order *o, const uint8_t *a, uint32_t alen, const uint8_t *b,
                  uint32_t blen)
{
	switch (o->key) {
	case ORDER_REVERSE:
		return cmp_reverse(a, alen, b, blen);
	case ORDER_INTEGER:
		return cmp_integer(a, alen, b, blen);
	case ORDER_OWN:
		return cmp_own(o->key_fn, o->key_arg, a, alen, b, blen);
	case ORDER_BYTES:
		break;
	}
	return cmp_bytes(a, alen, b, blen);
}

/* The duplicates' order is chosen apart from the keys'. */
int order_dup_cmp(const struct order *o, const uint8_t *a, uint32_t alen, const uint8_t *b,
                  uint32_t blen)
{
	switch (o->dup) {
	case ORDER_REVERSE:
		return cmp_reverse(a, alen, b, blen);
	case ORDER_INTEGER:
		return cmp_integer(a, alen, b, blen);
	case ORDER_OWN:
		return cmp_own(o->dup_fn, o->dup_arg, a, alen, b, blen);
	case ORDER_BYTES:
		break;
	}
	return cmp_bytes(a, alen, b, blen);
}

/* A probe before or after all duplicates of a key is settled by its edge. <0: the entry lies before
 * the probe. Most searches come to the key itself, which its bytes tell without an order. */
int order_cmp(const struct order *o, const uint8_t *key, uint32_t klen, const uint8_t *dup,
              uint32_t dlen, const struct probe *p)
{
	if (o->key == ORDER_OWN || klen != p->klen || !order_bytes_same(key, p->key, klen)) {
		int c = order_key_cmp(o, key, klen, p->key, p->klen);

		if (c)
			return c;
	}
	if (!o->dups)
		return 0;
	if (p->edge != PROBE_AT) {
		if (p->edge == PROBE_BEFORE)
			return 1;
		return -1;
	}
	return order_dup_cmp(o, dup, dlen, p->dup, p->dlen);
}

/* bytes_head - the head of a key of which fewer than eight bytes lie behind the prefix. By words
 * that overlap: short keys are many, and a loop over bytes would take longer than their search. */
static uint64_t bytes_head(const uint8_t *key, uint32_t klen, uint32_t plen)
{
	uint64_t head = 0;

	if (klen <= plen)
		return 0;
	if (klen >= HEAD)
		return __builtin_bswap64(get64(key + klen - HEAD)) << 8 * (HEAD - (klen - plen));
	if (!plen && klen >= HEAD / 2) {
		uint64_t first = __builtin_bswap32(get32(key));
		uint64_t last = __builtin_bswap32(get32(key + klen - HEAD / 2));

		return first << 32 | last << 32 >> 8 * (klen - HEAD / 2);
	}
	for (uint32_t i = plen; i < klen; i++)
		head |= (uint64_t)key[i] << (56 - 8 * (i - plen));
	return head;
}

/* Big-endian, so that a smaller number means a smaller key. Short keys are padded with zeros, which
 * is why equal heads are compared in full. The key may be shorter than the prefix in a damaged
 * page: the head is 0 then. */
uint64_t order_head_rare(const struct order *o, const uint8_t *key, uint32_t klen, uint32_t plen)
{
	uint64_t head = 0;
	uint32_t n;

	switch (o->key) {
	case ORDER_OWN:
		return 0;
	case ORDER_INTEGER:
		return integer_of(key, klen);
	case ORDER_REVERSE:
		n = HEAD;
		if (klen < HEAD)
			n = klen;
		for (uint32_t i = 0; i < n; i++)
			head |= (uint64_t)key[klen - 1 - i] << (56 - 8 * i);
		return head;
	case ORDER_BYTES:
		break;
	}
	if (klen >= plen + HEAD)
		return __builtin_bswap64(get64(key + plen));
	return bytes_head(key, klen, plen);
}

/* A short prefix is not worth its test at each search. What the first and the last key share all
 * between them have, because they are in order. Other orders than that of bytes have none. */
uint32_t order_prefix(const struct order *o, const uint8_t *first, uint32_t flen,
                      const uint8_t *last, uint32_t llen)
{
	uint32_t n = llen;
	uint32_t i = 0;

	if (flen < llen)
		n = flen;
	if (o->key != ORDER_BYTES)
		return 0;
	while (i < n && first[i] == last[i])
		i++;
	if (i < PREFIX_MIN)
		return 0;
	return i;
}

/* The crc folded to 16 bits; 0 is a fingerprint like any other. */
uint32_t order_fp(const uint8_t *key, uint32_t klen)
{
	uint32_t c = crc32c(FP_SEED, key, klen);

	return (c ^ c >> 16) & 0xffff;
}

/* shortest - the least part of b, a prefix or in reverse order a suffix, that is greater than a:
 * its length. Integers, and what a program compares, cannot be cut: all of b. */
static uint32_t shortest(enum order_kind kind, const uint8_t *a, uint32_t alen, const uint8_t *b,
                         uint32_t blen)
{
	uint32_t n = blen;
	uint32_t i = 0;

	if (alen < blen)
		n = alen;
	if (kind == ORDER_BYTES)
		while (i < n && a[i] == b[i])
			i++;
	else if (kind == ORDER_REVERSE)
		while (i < n && a[alen - 1 - i] == b[blen - 1 - i])
			i++;
	else
		return blen;
	if (i + 1 < blen)
		return i + 1;
	return blen;
}

/* Short separators are what keeps trees low: a key's first bytes that tell it from the one before
 * are enough. */
struct separation order_separate(const struct order *o, const uint8_t *ka, uint32_t kalen,
                                 const uint8_t *da, uint32_t dalen, const uint8_t *kb,
                                 uint32_t kblen, const uint8_t *db, uint32_t dblen)
{
	struct separation s = {.klen = kblen, .dlen = FMT_SEP_NODUP};

	if (!o->dups || order_key_cmp(o, ka, kalen, kb, kblen) != 0) {
		s.klen = shortest(o->key, ka, kalen, kb, kblen);
	} else {
		s.dlen = shortest(o->dup, da, dalen, db, dblen);
		if (o->dup == ORDER_REVERSE)
			s.doff = dblen - s.dlen;
	}
	if (o->key == ORDER_REVERSE)
		s.koff = kblen - s.klen;
	return s;
}
