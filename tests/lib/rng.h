/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rng.h - the numbers that a random test is made of.
 *
 * The same seed gives the same numbers on every machine. A generator may read its numbers from a
 * buffer instead (a fuzzer's input): when the buffer is used up, the numbers come from the seed.
 */
#ifndef DAXKV_TEST_RNG_H
#define DAXKV_TEST_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rng {
	uint64_t state;
	const unsigned char *input; /* NULL: none */
	size_t input_left;
};

static inline void rng_seed(struct rng *rng, uint64_t seed)
{
	rng->state = seed;
	rng->input = NULL;
	rng->input_left = 0;
}

static inline void rng_feed(struct rng *rng, const void *input, size_t size)
{
	rng->input = input;
	rng->input_left = size;
}

/* rng_mix - the output function of splitmix64, for numbers that depend on nothing but x. */
static inline uint64_t rng_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* rng_of - the same for numbers that follow each other, the small ones too. */
static inline uint64_t rng_of(uint64_t x)
{
	return rng_mix(x + 0x9e3779b97f4a7c15u);
}

static inline uint64_t rng_next(struct rng *rng)
{
	rng->state += 0x9e3779b97f4a7c15u;
	return rng_mix(rng->state);
}

/* rng_below - a number from 0 to n - 1; n is at least 1. Takes two bytes of a fed buffer. */
static inline uint64_t rng_below(struct rng *rng, uint64_t n)
{
	uint16_t two;

	if (rng->input_left >= sizeof(two)) {
		memcpy(&two, rng->input, sizeof(two));
		rng->input += sizeof(two);
		rng->input_left -= sizeof(two);
		return (n <= 0x10000 ? two : (uint64_t)two * 0x9e3779b9u) % n;
	}
	return rng_next(rng) % n;
}

/* rng_percent - true in percent of 100 cases. */
static inline bool rng_percent(struct rng *rng, unsigned int percent)
{
	return rng_below(rng, 100) < percent;
}

/* rng_fill - size bytes that depend on nothing but seed. */
static inline void rng_fill(uint64_t seed, void *out, size_t size)
{
	unsigned char *to = out;
	uint64_t word;

	for (size_t i = 0; i < size; i += sizeof(word)) {
		word = rng_mix(seed += 0x9e3779b97f4a7c15u);
		memcpy(to + i, &word, size - i < sizeof(word) ? size - i : sizeof(word));
	}
}

#endif
