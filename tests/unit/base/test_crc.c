/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums: known values, every length and alignment against a bit-by-bit computation, and what
 * hash64 promises. */
#include "base/crc.h"

#include "scratch.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define BYTES 5000u

static uint8_t bytes[BYTES + 16];

static uint32_t crc_by_bits(uint32_t crc, const uint8_t *p, size_t n)
{
	crc = ~crc;
	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static int fill_bytes(void **state)
{
	uint64_t x = 88172645463325252u;
	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = (uint8_t)x;
	}
	return 0;
}

/* wide_in_use - the state of the wide vector registers that the processor has to keep: bits 2, of
 * 16 bytes and more, and 6, of 32 and more, of the registers that all instructions know. 0 where it
 * does not tell. */
static uint32_t wide_in_use(void)
{
	uint32_t low = 0;
#if defined(__x86_64__)
	uint32_t a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 0;
	if (!__get_cpuid_count(0xd, 1, &a, &b, &c, &d) || !(a & 4))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(d) : "c"(1));
#endif
	return low & (1u << 2 | 1u << 6);
}

/* Left in use they make each call of memcpy, and much else, several times as slow. */
static void crc32c_leaves_the_wide_registers(void **state)
{
	(void)state;
	for (unsigned int f = 0; crc32c_way(f); f++)
		for (size_t n = 256; n <= 4096; n *= 2) {
#if defined(__x86_64__)
			if (__builtin_cpu_supports("avx"))
				__asm__ volatile("vzeroupper");
#endif
			(void)crc32c_way(f)(0, bytes, n);
			assert_int_equal(wide_in_use(), 0);
		}
}

/* RFC 3720, appendix B.4, and the usual check value. */
static void crc32c_known_inputs(void **state)
{
	crc_fn *fn = crc32c;
	uint8_t rfc[32];
	(void)state;
	for (unsigned int f = 0; fn; fn = crc32c_way(f++)) {
		assert_int_equal(fn(0, "123456789", 9), 0xe3069283u);
		assert_int_equal(fn(0, "", 0), 0);
		memset(rfc, 0, sizeof rfc);
		assert_int_equal(fn(0, rfc, sizeof rfc), 0x8a9136aau);
		memset(rfc, 0xff, sizeof rfc);
		assert_int_equal(fn(0, rfc, sizeof rfc), 0x62a8ab43u);
		for (size_t i = 0; i < sizeof rfc; i++)
			rfc[i] = (uint8_t)i;
		assert_int_equal(fn(0, rfc, sizeof rfc), 0x46dd794eu);
		for (size_t i = 0; i < sizeof rfc; i++)
			rfc[i] = (uint8_t)(31 - i);
		assert_int_equal(fn(0, rfc, sizeof rfc), 0x113fdb5cu);
	}
}

static void crc32c_every_length(void **state)
{
	uint32_t expected = 0;
	(void)state;
	for (size_t n = 0; n <= BYTES; n++) {
		for (unsigned int f = 0; crc32c_way(f); f++)
			assert_int_equal(crc32c_way(f)(0, bytes, n), expected);
		expected = crc_by_bits(expected, bytes + n, 1);
	}
}

static void crc32c_every_alignment(void **state)
{
	const size_t lengths[] = {1, 7, 8, 31, 64, 767, 768, 1023, 1024, 1025, 2304, 4096};
	(void)state;
	for (size_t at = 0; at < 16; at++)
		for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
			uint32_t expected = crc_by_bits(0x12345678u, bytes + at, lengths[i]);
			for (unsigned int f = 0; crc32c_way(f); f++)
				assert_int_equal(crc32c_way(f)(0x12345678u, bytes + at, lengths[i]),
				                 expected);
		}
}

static void crc32c_in_parts(void **state)
{
	const uint32_t whole = crc32c(0, bytes, BYTES);
	(void)state;
	for (size_t cut = 0; cut <= BYTES; cut += 37)
		assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, BYTES - cut), whole);
}

/* Part of the file format. */
static void hash64_known_inputs(void **state)
{
	const uint64_t words[4] = {1, 2, 3, UINT64_MAX};
	(void)state;
	assert_true(hash64(0, words, 0) == 0);
	assert_true(hash64(1, words, 0) == 0xbf58476da3bca2d4u);
	assert_true(hash64(1, words, 8) == 0x0u);
	assert_true(hash64(0x0123456789abcdefu, words, sizeof words) == 0x7d98bf551c7df21fu);
}

static void hash64_zeros(void **state)
{
	const uint8_t zeros[512] = {0};
	uint64_t seed = 1;
	(void)state;
	for (int i = 0; i < 1000; i++, seed = seed * 6364136223846793005u + 1442695040888963407u)
		for (size_t n = 0; n <= sizeof zeros; n += 8)
			assert_true(seed == 0 || hash64(seed, zeros, n) != 0);
}

/* A changed bit changes the hash, and about half of its bits. */
static void hash64_one_bit_changed(void **state)
{
	uint8_t copy[248];
	uint64_t changed = 0, cases = 0;
	const uint64_t before = hash64(7, bytes, sizeof copy);
	(void)state;
	memcpy(copy, bytes, sizeof copy);
	for (size_t bit = 0; bit < sizeof copy * 8; bit++) {
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		uint64_t after = hash64(7, copy, sizeof copy);
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(after != before);
		changed += (uint64_t)__builtin_popcountll(after ^ before);
		cases++;
	}
	assert_in_range(changed, cases * 31, cases * 33);
}

static void hash64_words_swapped(void **state)
{
	const uint64_t ab[2] = {1, 2}, ba[2] = {2, 1};
	(void)state;
	assert_true(hash64(5, ab, 16) != hash64(5, ba, 16));
	assert_true(hash64(5, ab, 16) != hash64(6, ab, 16));
}

static void hash64_unaligned(void **state)
{
	uint8_t copy[64 + 3];
	(void)state;
	memcpy(copy + 3, bytes, 64);
	assert_true(hash64(9, copy + 3, 64) == hash64(9, bytes, 64));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(crc32c_known_inputs),
	    cmocka_unit_test(crc32c_every_length),
	    cmocka_unit_test(crc32c_every_alignment),
	    cmocka_unit_test(crc32c_in_parts),
	    cmocka_unit_test(hash64_known_inputs),
	    cmocka_unit_test(hash64_zeros),
	    cmocka_unit_test(hash64_one_bit_changed),
	    cmocka_unit_test(hash64_words_swapped),
	    cmocka_unit_test(hash64_unaligned),
	    cmocka_unit_test(crc32c_leaves_the_wide_registers),
	};
	return cmocka_run_group_tests(tests, fill_bytes, NULL);
}
