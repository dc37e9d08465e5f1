/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crc.h - checksums: crc32c (Castagnoli, RFC 3720 appendix B.4 polynomial) for pages, entries and
 * values; a 64-bit multiply-xorshift hash for records and the superblock.
 *
 * crc32c runs on the processor's instruction where there is one (x86-64 with SSE4.2, Armv8 with
 * CRC), chosen at the first call, and on tables elsewhere. Where the processor also multiplies
 * without carry, long inputs run as three streams, because the instruction has a latency of three
 * cycles and a throughput of one; where it does so for 64 bytes at once (AVX-512 with VPCLMULQDQ),
 * they are folded.
 *
 * hash64 keeps one 64-bit state h, at first the seed. Each little-endian word w: h = (h ^ w) *
 * 0x9e3779b97f4a7c15, h ^= h >> 32. At the end: h ^= h >> 29, h *= 0xbf58476d1ce4e5b9, h ^= h >>
 * 32. Every step is a bijection of h: two inputs that differ in one word never have the same hash,
 * and zeros under a seed that is not 0 never hash to 0. It finds accidents, not forgeries.
 */
#ifndef DAXKV_CRC_H
#define DAXKV_CRC_H

#include <stddef.h>
#include <stdint.h>

/* crc32c - extend crc (0 to begin) by n bytes: crc32c(crc32c(0, a), b) is the crc32c of a followed
 * by b. crc32c(0, "123456789") is 0xe3069283. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* crc32c_place - what the place of a page, its offset in the file, adds to its checksum by
 * exclusive or. The pages of two places in files below 2^44 bytes never have the same. */
static inline uint32_t crc32c_place(uint64_t off)
{
	return crc32c(0, &off, sizeof off);
}

/* crc32c_way - the ways to compute it that this processor has, the one that crc32c takes first;
 * NULL after the last. */
typedef uint32_t crc_fn(uint32_t crc, const void *p, size_t n);
crc_fn *crc32c_way(unsigned int i);

/* crc32c_by_table - the same on any processor. */
uint32_t crc32c_by_table(uint32_t crc, const void *p, size_t n);

/* hash64 - a hash of n bytes, n a multiple of 8, at any alignment. hash64(hash64(s, a), b) depends
 * on all of s, a and b. */
uint64_t hash64(uint64_t seed, const void *p, size_t n);

#endif
