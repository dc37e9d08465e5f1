/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crc.c - checksums. See crc.h
 *
 * The ways to compute crc32c differ in speed alone: tests/unit/base compares them at every length
 * and alignment. All of them keep the state complemented between the bytes, as the polynomial's
 * definition has it, and complement it again at the end.
 */
#include "base/crc.h"

#include "base/base.h"

#include <pthread.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* ---- by table -------------------------------------------------------------------------------- */

#define POLYNOMIAL 0x82f63b78u /* Castagnoli's, its bits reflected */

/* table[k][b]: byte b followed by k zero bytes. Filled once, where it is used at all. */
static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

/* byte_crc - of one byte, bit by bit. */
static uint32_t byte_crc(uint32_t byte)
{
	uint32_t crc = byte;

	for (int bit = 0; bit < 8; bit++) {
		bool carry = crc & 1;

		crc >>= 1;
		if (carry)
			crc ^= POLYNOMIAL;
	}
	return crc;
}

/* A zero byte more moves what is there by eight bits. */
static void table_fill(void)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t crc = byte_crc(byte);

		table[0][byte] = crc;
		for (int zeros = 1; zeros < 8; zeros++) {
			crc = crc >> 8 ^ byte_crc(crc & 255);
			table[zeros][byte] = crc;
		}
	}
}

/* word_crc - of a word: the exclusive or of what each of its bytes leaves at its distance from the
 * end. */
static uint32_t word_crc(uint64_t word)
{
	uint32_t crc = 0;

	for (int k = 7; k >= 0; k--) {
		crc ^= table[k][word & 255];
		word >>= 8;
	}
	return crc;
}

/* Eight tables take eight bytes a step ("slicing by eight"). */
uint32_t crc32c_by_table(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *b = p;

	(void)pthread_once(&table_once, table_fill);
	crc = ~crc;
	for (; n >= 8; b += 8, n -= 8)
		crc = word_crc(get64(b) ^ crc);
	for (; n > 0; b++, n--)
		crc = crc >> 8 ^ table[0][(crc ^ *b) & 255];
	return ~crc;
}

/* ---- by instruction -------------------------------------------------------------------------- */

#if defined(__x86_64__)

/* crc_run - go on with a state by the processor's instruction, eight bytes a step. The state is
 * not complemented here, so that the other ways can end in this one. */
__attribute__((target("sse4.2"))) static uint32_t crc_run(uint32_t state, const uint8_t *b,
                                                          size_t n)
{
	uint64_t crc = state;
	for (; n >= 8; b += 8, n -= 8)
		crc = _mm_crc32_u64(crc, get64(b));
	uint32_t rest = (uint32_t)crc;
	if (n & 4) {
		rest = _mm_crc32_u32(rest, get32(b));
		b += 4;
	}
	if (n & 2) {
		rest = _mm_crc32_u16(rest, get16(b));
		b += 2;
	}
	if (n & 1)
		return _mm_crc32_u8(rest, *b);
	return rest;
}

/* crc_by_sse42 - one stream: for processors that have the instruction and not the product. */
static uint32_t crc_by_sse42(uint32_t crc, const void *p, size_t n)
{
	return ~crc_run(~crc, p, n);
}

/* Three streams at once, each of LONG or of SHORT bytes: the crc instruction takes three cycles,
 * and one can begin in each. A crc followed by z zero bytes is its product with x^(8z). The product
 * without carry of two reflected words comes out times x, and the crc instruction multiplies by
 * x^32: the factors are x^(8z - 33), for two streams of zeros and for one. */
#define LONG         256u
#define LONG_SKIP_2  0xdd7e3b0cu
#define LONG_SKIP_1  0xb9e02b86u
#define SHORT        64u
#define SHORT_SKIP_2 0x0d3b6092u
#define SHORT_SKIP_1 0x9e4addf8u

/* crc_three - the state after three streams that lie one behind the other, the first of which
 * begins with the state c0. */
__attribute__((target("sse4.2,pclmul"), always_inline)) static inline uint64_t
crc_three(uint64_t c0, const uint8_t *b, size_t stream, __m128i skip)
{
	uint64_t c1 = 0;
	uint64_t c2 = 0;
	for (size_t i = 0; i < stream; i += 8) {
		c0 = _mm_crc32_u64(c0, get64(b + i));
		c1 = _mm_crc32_u64(c1, get64(b + stream + i));
		c2 = _mm_crc32_u64(c2, get64(b + 2 * stream + i));
	}
	__m128i first = _mm_cvtsi64_si128((long long)c0);
	__m128i second = _mm_cvtsi64_si128((long long)c1);

	first = _mm_clmulepi64_si128(first, skip, 0x00);
	second = _mm_clmulepi64_si128(second, skip, 0x10);
	__m128i both = _mm_xor_si128(first, second);

	return c2 ^ _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(both));
}

/* crc_by_streams - as many long triples of streams as there are, then short ones, then the rest. */
__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_by_streams(uint32_t crc, const void *p,
                                                                        size_t n)
{
	const uint8_t *b = p;
	uint64_t c = ~crc;
	if (n >= 3 * SHORT) {
		for (; n >= 3 * LONG; n -= 3 * LONG, b += 3 * LONG)
			c = crc_three(c, b, LONG, _mm_set_epi64x(LONG_SKIP_1, LONG_SKIP_2));
		for (; n >= 3 * SHORT; n -= 3 * SHORT, b += 3 * SHORT)
			c = crc_three(c, b, SHORT, _mm_set_epi64x(SHORT_SKIP_1, SHORT_SKIP_2));
	}
	return ~crc_run((uint32_t)c, b, n);
}

/*
 * By folding: the first bytes are multiplied without carry by what moves them over the bytes
 * between, and added to the bytes there. Over a distance of d bits, the first 8 of 16 bytes are
 * multiplied by x^(d + 32) and the others by x^(d - 32), both reflected and shifted by one. Four
 * registers of 64 bytes go on side by side, then into one, and this one's four parts into the last:
 * 16 bytes that have the crc of all.
 */
#define FOLD_MIN 512u
#define WIDE     __attribute__((target("sse4.2,pclmul,avx512f,avx512dq,vpclmulqdq")))

/* The factors of a distance in bytes, for the first and the second half of each 16 bytes. */
struct factors {
	long long first;
	long long second;
};
static const struct factors over_256 = {0xdcb17aa4, 0xb9e02b86};
static const struct factors over_192 = {0xa87ab8a8, 0xab7aff2a};
static const struct factors over_128 = {0x6992cea2, 0x0d3b6092};
static const struct factors over_64 = {0x740eef02, 0x9e4addf8};
static const struct factors over_48 = {0x1c291d04, 0x1d82c63da};
static const struct factors over_32 = {0x1384aa63a, 0xba4fc28e};
static const struct factors over_16 = {0xf20c0dfe, 0x14cd00bd6};

/* load_wide - 64 bytes. */
WIDE static inline __m512i load_wide(const uint8_t *b)
{
	return _mm512_loadu_si512(b);
}

/* fold - move 16 bytes over a distance, and add them to those of onto. */
WIDE static inline __m128i fold(__m128i a, struct factors over, __m128i onto)
{
	const __m128i by = _mm_set_epi64x(over.second, over.first);
	__m128i first = _mm_clmulepi64_si128(a, by, 0x00);
	__m128i second = _mm_clmulepi64_si128(a, by, 0x11);
	__m128i moved = _mm_xor_si128(first, second);

	return _mm_xor_si128(moved, onto);
}

/* fold_wide - the same for four parts of 16 bytes. */
WIDE static inline __m512i fold_wide(__m512i a, struct factors over, __m512i onto)
{
	const __m128i one = _mm_set_epi64x(over.second, over.first);
	const __m512i by = _mm512_broadcast_i32x4(one);
	__m512i first = _mm512_clmulepi64_epi128(a, by, 0x00);
	__m512i second = _mm512_clmulepi64_epi128(a, by, 0x11);

	return _mm512_ternarylogic_epi64(first, second, onto, 0x96); /* the xor of all three */
}

/* fold_parts - the four parts of 16 bytes become one, with the crc of all. */
WIDE static inline __m128i fold_parts(__m512i a)
{
	__m128i part0 = _mm512_extracti64x2_epi64(a, 0);
	__m128i part1 = _mm512_extracti64x2_epi64(a, 1);
	__m128i part2 = _mm512_extracti64x2_epi64(a, 2);
	__m128i part3 = _mm512_extracti64x2_epi64(a, 3);

	part3 = fold(part0, over_48, part3);
	part3 = fold(part1, over_32, part3);
	return fold(part2, over_16, part3);
}

/* crc_by_folding - for inputs long enough to pay for the way into and out of the wide registers.
 * Shorter ones go by the instruction. */
WIDE static uint32_t crc_by_folding(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *b = p;

	if (n < FOLD_MIN)
		return ~crc_run(~crc, b, n);
	__m512i a0 = load_wide(b);
	__m512i a1 = load_wide(b + 64);
	__m512i a2 = load_wide(b + 128);
	__m512i a3 = load_wide(b + 192);
	__m128i begin = _mm_cvtsi32_si128((int)~crc);

	a0 = _mm512_xor_si512(a0, _mm512_zextsi128_si512(begin));
	for (b += 256, n -= 256; n >= 256; b += 256, n -= 256) {
		a0 = fold_wide(a0, over_256, load_wide(b));
		a1 = fold_wide(a1, over_256, load_wide(b + 64));
		a2 = fold_wide(a2, over_256, load_wide(b + 128));
		a3 = fold_wide(a3, over_256, load_wide(b + 192));
	}
	a3 = fold_wide(a0, over_192, a3);
	a3 = fold_wide(a1, over_128, a3);
	a3 = fold_wide(a2, over_64, a3);
	for (; n >= 64; b += 64, n -= 64)
		a3 = fold_wide(a3, over_64, load_wide(b));
	__m128i last = fold_parts(a3);
	uint64_t low = (uint64_t)_mm_extract_epi64(last, 0);
	uint64_t high = (uint64_t)_mm_extract_epi64(last, 1);

	/* The compiler does not see to it. As long as something is left in the wide halves of
	 * registers, the processor loses some 20 ns wherever instructions with and without AVX
	 * meet, as they do at each memcpy: in all that the program does from here on. */
	_mm256_zeroupper();
	uint64_t state = _mm_crc32_u64(0, low);

	state = _mm_crc32_u64(state, high);
	return ~crc_run((uint32_t)state, b, n);
}

#elif defined(__aarch64__)

/* crc_by_arm - the crc instruction of Armv8, which has no product without carry to make streams
 * worth it. */
static uint32_t crc_by_arm(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *b = p;
	crc = ~crc;
	for (; n >= 8; b += 8, n -= 8)
		__asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(get64(b)));
	for (; n > 0; b++, n--)
		__asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1"
		        : "+r"(crc)
		        : "r"((uint32_t)*b));
	return ~crc;
}

#endif

static crc_fn crc_choose;

/* Threads that meet at the first call choose the same function: relaxed is enough, as the pointer
 * refers to code alone. */
static crc_fn *crc_chosen = crc_choose;

/* The list is made at each call: it is short, and asked for once by crc_choose and otherwise by
 * tests. */
crc_fn *crc32c_way(unsigned int i)
{
	crc_fn *way[4];
	unsigned int n = 0;

#if defined(__x86_64__)
	bool instruction = __builtin_cpu_supports("sse4.2");
	bool product = instruction && __builtin_cpu_supports("pclmul");

	if (product && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
	    __builtin_cpu_supports("vpclmulqdq"))
		way[n++] = crc_by_folding;
	if (product)
		way[n++] = crc_by_streams;
	if (instruction)
		way[n++] = crc_by_sse42;
#elif defined(__aarch64__)
	if (getauxval(AT_HWCAP) & 1u << 7) /* HWCAP_CRC32 */
		way[n++] = crc_by_arm;
#endif
	way[n++] = crc32c_by_table;
	if (i < n)
		return way[i];
	return NULL;
}

/* crc_choose - what crc_chosen is until the first call: choose, remember, compute. */
static uint32_t crc_choose(uint32_t crc, const void *p, size_t n)
{
	crc_fn *fn = crc32c_way(0);

	store_relaxed(&crc_chosen, fn);
	return fn(crc, p, n);
}

/* A call through a pointer: the processors differ, and a test of what this one has would cost
 * more. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	return load_relaxed(&crc_chosen)(crc, p, n);
}

/* ---- hash64 ---------------------------------------------------------------------------------- */

/* The last three lines mix the high bits down: without them two inputs that differ in the last
 * word's high bits alone would have hashes with equal low bits. */
uint64_t hash64(uint64_t seed, const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t h = seed;
	assert(n % 8 == 0);
	for (size_t i = 0; i < n; i += 8) {
		h = (h ^ get64(b + i)) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	return h ^ h >> 32;
}
