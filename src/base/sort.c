/* SPDX-License-Identifier: BSD-3-Clause */
/* sort.c - see sort.h */
#include "base/sort.h"

#define FEW  48u /* up to so many are sorted by insertion */
#define BYTE 256u

/* sort_few - by insertion: the numbers before place i ascend. */
static void sort_few(uint64_t *a, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		uint64_t x = a[i];
		size_t j = i;

		for (; j && a[j - 1] > x; j--)
			a[j] = a[j - 1];
		a[j] = x;
	}
}

/* sort_by_byte - into to, by the eight bits of each number from shift on. Those in which these are
 * equal stay in their order. */
static void sort_by_byte(const uint64_t *from, uint64_t *to, size_t n, unsigned int shift)
{
	size_t place[BYTE] = {0};
	size_t next = 0;

	for (size_t i = 0; i < n; i++)
		place[from[i] >> shift & (BYTE - 1)]++;
	for (unsigned int b = 0; b < BYTE; b++) {
		size_t count = place[b];

		place[b] = next;
		next += count;
	}
	for (size_t i = 0; i < n; i++)
		to[place[from[i] >> shift & (BYTE - 1)]++] = from[i];
}

/* Eight bits at a time, from the least significant on that some of them differ in: offsets of the
 * pages of a file take two or three passes. */
void sort_numbers(uint64_t *number, uint64_t *spare, size_t n)
{
	uint64_t differ = 0;
	uint64_t *from = number;
	uint64_t *to = spare;

	if (n <= FEW) {
		sort_few(number, n);
		return;
	}
	for (size_t i = 1; i < n; i++)
		differ |= number[i] ^ number[0];
	if (!differ)
		return;
	for (unsigned int shift = (unsigned int)__builtin_ctzll(differ);
	     shift < 64 && differ >> shift; shift += 8) {
		uint64_t *sorted = to;

		sort_by_byte(from, to, n, shift);
		to = from;
		from = sorted;
	}
	if (from != number)
		memcpy(number, from, n * sizeof *number);
}
