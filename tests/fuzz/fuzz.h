/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz.h - a fuzz target: what fuzz_image.c and fuzz_load.c each define, for driver.c and for
 * libFuzzer (libfuzzer.c).
 */
#ifndef DAXKV_TEST_FUZZ_H
#define DAXKV_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_INPUT_MAX ((size_t)1 << 18)

extern const char fuzz_name[];

/* fuzz_seed - the i-th sound input, in *bytes, to be freed; 0 when there are fewer. */
size_t fuzz_seed(unsigned int i, uint8_t **bytes);

/* fuzz_mutate - change an input of size bytes, with room for max, as seed says; its new size. */
size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t seed);

/* LLVMFuzzerTestOneInput - try one input; ends the program when something is wrong. libFuzzer gives
 * its name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
