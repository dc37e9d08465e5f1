/* SPDX-License-Identifier: BSD-3-Clause */
/* Orders: the four kinds compared with plain restatements, heads and separators by what they
 * promise. */
#include "page/order.h"

#include "scratch.h"

#define KEY_MAX 24u

struct key {
	uint8_t b[KEY_MAX];
	uint32_t len;
};

static uint64_t seed = 88172645463325252u;

static uint32_t roll(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % below;
}

/* Few different bytes, the highest and lowest among them, so that keys share beginnings and
 * ends. */
static struct key key_roll(const struct order *o)
{
	static const uint8_t some[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct key k = {.len = o->key == ORDER_INTEGER ? 8 : 1 + roll(KEY_MAX)};
	for (uint32_t i = 0; i < k.len; i++)
		k.b[i] = some[roll(roll(3) ? 2 : 5)];
	return k;
}

static int sign(int c)
{
	return (c > 0) - (c < 0);
}

static int plain_bytes(const struct key *a, const struct key *b)
{
	int c = memcmp(a->b, b->b, a->len < b->len ? a->len : b->len);
	return c ? sign(c) : (a->len > b->len) - (a->len < b->len);
}

static int plain_reverse(const struct key *a, const struct key *b)
{
	struct key x = *a, y = *b;
	for (uint32_t i = 0; i < a->len; i++)
		x.b[i] = a->b[a->len - 1 - i];
	for (uint32_t i = 0; i < b->len; i++)
		y.b[i] = b->b[b->len - 1 - i];
	return plain_bytes(&x, &y);
}

static int plain_integer(const struct key *a, const struct key *b)
{
	uint64_t x = get64(a->b), y = get64(b->b);
	return (x > y) - (x < y);
}

static const struct {
	uint32_t flags;
	int (*plain)(const struct key *, const struct key *);
} kinds[] = {
    {0, plain_bytes}, {DAXKV_REVERSE_KEY, plain_reverse}, {DAXKV_INTEGER_KEY, plain_integer}};

static int own_backwards(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	size_t n = a->size < b->size ? a->size : b->size;
	int c = memcmp(b->data, a->data, n);
	++*(int *)arg;
	return c ? c : (a->size < b->size) - (a->size > b->size);
}

static void init_reads_the_flags(void **state)
{
	struct order o;
	(void)state;
	order_init(&o, 0);
	assert_true(o.key == ORDER_BYTES && o.dup == ORDER_BYTES && !o.dups && o.fingerprints);
	order_init(&o, DAXKV_DUP_SORT | DAXKV_REVERSE_KEY | DAXKV_REVERSE_DUP);
	assert_true(o.key == ORDER_REVERSE && o.dup == ORDER_REVERSE && o.dups && !o.fingerprints);
	order_init(&o, DAXKV_INTEGER_KEY | DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP);
	assert_true(o.key == ORDER_INTEGER && o.dup == ORDER_INTEGER);
	order_init(&o, DAXKV_OWN_COMPARE | DAXKV_INTEGER_KEY);
	assert_true(o.key == ORDER_OWN && !o.fingerprints && !o.key_fn);
	order_init(&o, DAXKV_INTEGER_KEY);
	assert_true(o.fingerprints);
}

static void cmp_agrees_with_its_definition(void **state)
{
	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct order o;
		order_init(&o, kinds[k].flags);
		for (int i = 0; i < 20000; i++) {
			struct key a = key_roll(&o), b = roll(8) ? key_roll(&o) : a;
			if (k < 2 && roll(4) == 0) { /* one is the beginning of the other */
				b = a;
				b.len = 1 + roll(a.len);
			}
			int expected = kinds[k].plain(&a, &b);
			assert_int_equal(sign(order_key_cmp(&o, a.b, a.len, b.b, b.len)), expected);
			assert_int_equal(sign(order_key_cmp(&o, b.b, b.len, a.b, a.len)),
			                 -expected);
		}
	}
}

static void cmp_of_short_integers(void **state)
{
	struct order o;
	const uint32_t small = 5, big = UINT32_MAX;
	const uint64_t wide = 5, huge = (uint64_t)1 << 32;
	(void)state;
	order_init(&o, DAXKV_INTEGER_KEY | DAXKV_DUP_SORT | DAXKV_INTEGER_DUP);
	assert_true(order_key_cmp(&o, (const uint8_t *)&small, 4, (const uint8_t *)&big, 4) < 0);
	assert_true(order_key_cmp(&o, (const uint8_t *)&huge, 8, (const uint8_t *)&big, 4) > 0);
	assert_true(order_key_cmp(&o, (const uint8_t *)&small, 4, (const uint8_t *)&wide, 8) <
	            0); /* equal numbers, then the length */
	assert_true(order_dup_cmp(&o, (const uint8_t *)&big, 4, (const uint8_t *)&small, 4) > 0);
	assert_int_equal(order_dup_cmp(&o, (const uint8_t *)&big, 4, (const uint8_t *)&big, 4), 0);
	assert_true(order_head(&o, (const uint8_t *)&big, 4, 0) == UINT32_MAX);
	assert_true(order_head(&o, (const uint8_t *)&huge, 8, 0) == (uint64_t)1 << 32);
}

static void cmp_by_the_program(void **state)
{
	struct order o;
	int calls = 0;
	(void)state;
	order_init(&o, DAXKV_OWN_COMPARE | DAXKV_DUP_SORT | DAXKV_OWN_DUP_COMPARE);
	o.key_fn = o.dup_fn = own_backwards;
	o.key_arg = o.dup_arg = &calls;
	assert_true(order_key_cmp(&o, (const uint8_t *)"a", 1, (const uint8_t *)"b", 1) > 0);
	assert_true(order_dup_cmp(&o, (const uint8_t *)"b", 1, (const uint8_t *)"a", 1) < 0);
	assert_int_equal(calls, 2);
	assert_true(order_head(&o, (const uint8_t *)"zzzz", 4, 0) == 0);
}

/* A smaller head means a smaller key; that is all that heads promise, and enough for a search. */
static void head_never_contradicts_cmp(void **state)
{
	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct order o;
		order_init(&o, kinds[k].flags);
		for (int i = 0; i < 20000; i++) {
			struct key a = key_roll(&o), b = key_roll(&o);
			uint32_t plen = 0;
			if (k == 0 && roll(2)) { /* behind a common prefix */
				plen = 8 + roll(5);
				for (uint32_t p = 0; p < plen; p++)
					a.b[p] = b.b[p] = (uint8_t)p;
				a.len = a.len < plen ? plen : a.len;
				b.len = b.len < plen ? plen : b.len;
			}
			uint64_t x = order_head(&o, a.b, a.len, plen),
			         y = order_head(&o, b.b, b.len, plen);
			int c = order_key_cmp(&o, a.b, a.len, b.b, b.len);
			if (x != y)
				assert_int_equal(x < y ? -1 : 1, sign(c));
			if (c == 0)
				assert_true(x == y);
		}
	}
}

static void head_of_known_keys(void **state)
{
	struct order o;
	(void)state;
	order_init(&o, 0);
	assert_true(order_head(&o, (const uint8_t *)"abcdefghi", 9, 0) == 0x6162636465666768u);
	assert_true(order_head(&o, (const uint8_t *)"abcdefghi", 9, 8) == (uint64_t)'i' << 56);
	assert_true(order_head(&o, (const uint8_t *)"abcdefgh", 8, 8) == 0);
	assert_true(order_head(&o, (const uint8_t *)"a", 1, 0) == (uint64_t)'a' << 56);
	order_init(&o, DAXKV_REVERSE_KEY);
	assert_true(order_head(&o, (const uint8_t *)"abcdefghi", 9, 0) == 0x6968676665646362u);
	assert_true(order_head(&o, (const uint8_t *)"ab", 2, 0) ==
	            ((uint64_t)'b' << 56 | (uint64_t)'a' << 48));
}

static void fp_is_of_16_bits_and_of_the_bytes(void **state)
{
	uint32_t seen[16] = {0};
	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		uint32_t fp = order_fp((const uint8_t *)&i, 4), copy = i;
		assert_true(fp <= 0xffff);
		assert_int_equal(fp, order_fp((const uint8_t *)&copy, 4));
		seen[fp >> 12]++;
	}
	for (int i = 0; i < 16; i++) /* spread over the range */
		assert_in_range(seen[i], 128, 384);
}

static void cmp_with_the_edges_of_a_key(void **state)
{
	struct order o;
	const uint8_t *k = (const uint8_t *)"key", *v = (const uint8_t *)"v1",
	              *w = (const uint8_t *)"v2";
	struct probe p = {.key = k, .klen = 3, .dup = v, .dlen = 2};
	(void)state;
	order_init(&o, DAXKV_DUP_SORT);
	assert_int_equal(order_cmp(&o, k, 3, v, 2, &p), 0);
	assert_true(order_cmp(&o, k, 3, w, 2, &p) > 0);
	p.edge = PROBE_BEFORE;
	assert_true(order_cmp(&o, k, 3, v, 2, &p) > 0);
	assert_true(order_cmp(&o, k, 3, NULL, 0, &p) > 0);
	p.edge = PROBE_AFTER;
	assert_true(order_cmp(&o, k, 3, w, 2, &p) < 0);
	assert_true(order_cmp(&o, (const uint8_t *)"kez", 3, w, 2, &p) > 0);
	order_init(&o, 0);
	p.edge = PROBE_AT;
	assert_int_equal(order_cmp(&o, k, 3, w, 2, &p),
	                 0); /* without duplicates the value does not count */
}

/* a < s <= b, and where the order is one of bytes no shorter part of b would do. */
static void separator_lies_between(void **state)
{
	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct order o;
		order_init(&o, kinds[k].flags);
		for (int i = 0; i < 20000; i++) {
			struct key a = key_roll(&o), b = key_roll(&o);
			int c = order_key_cmp(&o, a.b, a.len, b.b, b.len);
			if (c == 0)
				continue;
			if (c > 0) {
				struct key t = a;
				a = b;
				b = t;
			}
			struct separation s =
			    order_separate(&o, a.b, a.len, NULL, 0, b.b, b.len, NULL, 0);
			const uint8_t *at = b.b + s.koff;
			assert_int_equal(s.dlen, FMT_SEP_NODUP);
			assert_true(s.klen >= 1 && s.koff + s.klen <= b.len);
			assert_true(order_key_cmp(&o, a.b, a.len, at, s.klen) < 0);
			assert_true(order_key_cmp(&o, at, s.klen, b.b, b.len) <= 0);
			if (k == 0 && s.klen > 1)
				assert_true(order_key_cmp(&o, a.b, a.len, at, s.klen - 1) >= 0);
			if (k == 1 && s.klen > 1)
				assert_true(order_key_cmp(&o, a.b, a.len, at + 1, s.klen - 1) >= 0);
		}
	}
}

static void separator_within_a_key(void **state)
{
	static const uint32_t flags[] = {0, DAXKV_REVERSE_DUP, DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP};
	const uint8_t *key = (const uint8_t *)"key";
	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct order o, plain;
		order_init(&o, DAXKV_DUP_SORT | flags[k]);
		order_init(&plain, kinds[k].flags);
		for (int i = 0; i < 5000; i++) {
			struct key a = key_roll(&plain), b = key_roll(&plain);
			if (order_dup_cmp(&o, a.b, a.len, b.b, b.len) >= 0)
				continue;
			struct separation s =
			    order_separate(&o, key, 3, a.b, a.len, key, 3, b.b, b.len);
			assert_true(s.klen == 3 && s.koff == 0 && s.dlen != FMT_SEP_NODUP &&
			            s.doff + s.dlen <= b.len);
			assert_true(order_dup_cmp(&o, a.b, a.len, b.b + s.doff, s.dlen) < 0);
			assert_true(order_dup_cmp(&o, b.b + s.doff, s.dlen, b.b, b.len) <= 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(init_reads_the_flags),
	    cmocka_unit_test(cmp_agrees_with_its_definition),
	    cmocka_unit_test(cmp_of_short_integers),
	    cmocka_unit_test(cmp_by_the_program),
	    cmocka_unit_test(head_never_contradicts_cmp),
	    cmocka_unit_test(head_of_known_keys),
	    cmocka_unit_test(fp_is_of_16_bits_and_of_the_bytes),
	    cmocka_unit_test(cmp_with_the_edges_of_a_key),
	    cmocka_unit_test(separator_lies_between),
	    cmocka_unit_test(separator_within_a_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
