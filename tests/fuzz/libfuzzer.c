/* SPDX-License-Identifier: BSD-3-Clause */
/* libfuzzer.c - a fuzz target's own mutations, beside those of libFuzzer. */
#include "fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	/* libFuzzer's know what the program compared the input with. */
	return seed % 4 == 0 ? LLVMFuzzerMutate(data, size, max)
	                     : fuzz_mutate(data, size, max, seed);
}
