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

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* ---- by table -------------------------------------------------------------------------------- */

/* The crc is linear: the entry of a byte is the xor of its bits' entries, so that eight constants
 * make a table of 256. */
#define ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                                                   \
	(((i)&1 ? b0 : 0) ^ ((i)&2 ? b1 : 0) ^ ((i)&4 ? b2 : 0) ^ ((i)&8 ? b3 : 0) ^               \
	 ((i)&16 ? b4 : 0) ^ ((i)&32 ? b5 : 0) ^ ((i)&64 ? b6 : 0) ^ ((i)&128 ? b7 : 0))
#define ENTRIES_4(i, ...)                                                                          \
	ENTRY(i, __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__),           \
	    ENTRY((i) + 3, __VA_ARGS__)
#define ENTRIES_16(i, ...)                                                                         \
	ENTRIES_4(i, __VA_ARGS__), ENTRIES_4((i) + 4, __VA_ARGS__),                                \
	    ENTRIES_4((i) + 8, __VA_ARGS__), ENTRIES_4((i) + 12, __VA_ARGS__)
#define ENTRIES_64(i, ...)                                                                         \
	ENTRIES_16(i, __VA_ARGS__), ENTRIES_16((i) + 16, __VA_ARGS__),                             \
	    ENTRIES_16((i) + 32, __VA_ARGS__), ENTRIES_16((i) + 48, __VA_ARGS__)
#define TABLE(...)                                                                                 \
	{                                                                                          \
		ENTRIES_64(0, __VA_ARGS__), ENTRIES_64(64, __VA_ARGS__),                           \
		    ENTRIES_64(128, __VA_ARGS__), ENTRIES_64(192, __VA_ARGS__)                     \
	}

/* table[k][b]: byte b followed by k zero bytes. */
static const uint32_t table[8][256] = {
    TABLE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu,
          0x82f63b78u),
    TABLE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u, 0xff17c604u,
          0xfbc3faf9u),
    TABLE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u, 0xc76580d9u,
          0x8b277743u),
    TABLE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu, 0xaba65fe7u,
          0x52a0c93fu),
    TABLE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu,
          0x6ea2d55cu),
    TABLE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, 0x85f4168du, 0x0e045bebu,
          0x1c08b7d6u),
    TABLE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au,
          0xf56e0ef4u),
    TABLE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, 0x0d006599u, 0x1a00cb32u,
          0x34019664u),
};

/* Eight tables take eight bytes a step ("slicing by eight"): the crc of a word is the exclusive or
 * of what each of its bytes leaves at its distance from the end. */
uint32_t crc32c_by_table(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *b = p;
	crc = ~crc;
	for (; n >= 8; b += 8, n -= 8) {
		uint64_t w = get64(b) ^ crc;
		crc = table[7][w & 255] ^ table[6][w >> 8 & 255] ^ table[5][w >> 16 & 255] ^
		      table[4][w >> 24 & 255] ^ table[3][w >> 32 & 255] ^ table[2][w >> 40 & 255] ^
		      table[1][w >> 48 & 255] ^ table[0][w >> 56];
	}
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
	__m128i a0 = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)c0), skip, 0x00);
	__m128i a1 = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)c1), skip, 0x10);
	return c2 ^ _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(a0, a1)));
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

/* fold_wide - move the four 16-byte parts of a over a distance, and add them to those of onto.
 * first and second are the factors of the distance for the two halves of each part. */
WIDE static inline __m512i fold_wide(__m512i a, long long first, long long second, __m512i onto)
{
	const __m512i by =
	    _mm512_set_epi64(second, first, second, first, second, first, second, first);

	return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(a, by, 0x00),
	                                 _mm512_clmulepi64_epi128(a, by, 0x11), onto, 0x96);
}

/* fold - the same for one part of 16 bytes. */
WIDE static inline __m128i fold(__m128i a, long long first, long long second, __m128i onto)
{
	const __m128i by = _mm_set_epi64x(second, first);

	return _mm_xor_si128(
	    _mm_xor_si128(_mm_clmulepi64_si128(a, by, 0x00), _mm_clmulepi64_si128(a, by, 0x11)),
	    onto);
}

/* crc_by_folding - for inputs long enough to pay for the way into and out of the wide registers.
 * Shorter ones go by the instruction. */
WIDE static uint32_t crc_by_folding(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *b = p;

	if (n < FOLD_MIN)
		return ~crc_run(~crc, b, n);
	__m512i a0 = _mm512_loadu_si512(b);
	__m512i a1 = _mm512_loadu_si512(b + 64);
	__m512i a2 = _mm512_loadu_si512(b + 128);
	__m512i a3 = _mm512_loadu_si512(b + 192);

	a0 = _mm512_xor_si512(a0, _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)~crc)));
	for (b += 256, n -= 256; n >= 256; b += 256, n -= 256) {
		a0 = fold_wide(a0, 0xdcb17aa4, 0xb9e02b86, _mm512_loadu_si512(b));
		a1 = fold_wide(a1, 0xdcb17aa4, 0xb9e02b86, _mm512_loadu_si512(b + 64));
		a2 = fold_wide(a2, 0xdcb17aa4, 0xb9e02b86, _mm512_loadu_si512(b + 128));
		a3 = fold_wide(a3, 0xdcb17aa4, 0xb9e02b86, _mm512_loadu_si512(b + 192));
	}
	a3 = fold_wide(a0, 0xa87ab8a8, 0xab7aff2a, a3);
	a3 = fold_wide(a1, 0x6992cea2, 0x0d3b6092, a3);
	a3 = fold_wide(a2, 0x740eef02, 0x9e4addf8, a3);
	for (; n >= 64; b += 64, n -= 64)
		a3 = fold_wide(a3, 0x740eef02, 0x9e4addf8, _mm512_loadu_si512(b));
	__m128i r = _mm512_extracti64x2_epi64(a3, 3);

	r = fold(_mm512_extracti64x2_epi64(a3, 0), 0x1c291d04, 0x1d82c63da, r);
	r = fold(_mm512_extracti64x2_epi64(a3, 1), 0x1384aa63a, 0xba4fc28e, r);
	r = fold(_mm512_extracti64x2_epi64(a3, 2), 0xf20c0dfe, 0x14cd00bd6, r);
	uint64_t state = _mm_crc32_u64(0, (uint64_t)_mm_extract_epi64(r, 0));

	state = _mm_crc32_u64(state, (uint64_t)_mm_extract_epi64(r, 1));
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

	__atomic_store_n(&crc_chosen, fn, __ATOMIC_RELAXED);
	return fn(crc, p, n);
}

/* A call through a pointer: the processors differ, and a test of what this one has would cost
 * more. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	return __atomic_load_n(&crc_chosen, __ATOMIC_RELAXED)(crc, p, n);
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
