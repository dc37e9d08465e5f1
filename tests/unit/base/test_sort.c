/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers in ascending order: few and many, alike and equal ones, against a check of each pair and
 * of their sums. */
#include "base/sort.h"

#include "rng.h"
#include "scratch.h"

#define MOST 5000u

static uint64_t number[MOST], spare[MOST];

/* sorted - n numbers made by (random & mask) << shift ascend afterwards, and are the same ones. */
static void sorted(size_t n, uint64_t mask, unsigned int shift, uint64_t seed)
{
	uint64_t sum = 0, mixed = 0;

	for (size_t i = 0; i < n; i++) {
		number[i] = (rng_mix(seed + i) & mask) << shift;
		sum += number[i];
		mixed += rng_mix(number[i]);
	}
	sort_numbers(number, spare, n);
	for (size_t i = 0; i < n; i++) {
		assert_true(i == 0 || number[i - 1] <= number[i]);
		sum -= number[i];
		mixed -= rng_mix(number[i]);
	}
	assert_int_equal(sum, 0);
	assert_int_equal(mixed, 0);
}

static void numbers_of_every_width(void **state)
{
	(void)state;
	for (size_t n = 0; n < 130; n++)
		for (unsigned int bits = 0; bits < 64; bits += 9)
			sorted(n, bits ? UINT64_MAX >> (64 - bits) : 0, 64 - 9 - bits / 9,
			       n + bits);
	sorted(MOST, UINT64_MAX, 0, 1);
	sorted(MOST, UINT64_MAX >> 44, 12, 2);
	sorted(MOST, 0, 0, 3);
	sorted(MOST, 1, 63, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_of_every_width),
	};

	return cmocka_run_group_tests_name("sort", tests, NULL, NULL);
}
