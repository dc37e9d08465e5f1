/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sort.h - many numbers in ascending order, without a call for each comparison.
 */
#ifndef DAXKV_SORT_H
#define DAXKV_SORT_H

#include "base/base.h"

#include <stddef.h>

/* sort_numbers - the n numbers ascend. spare has room for n more; what is in it then means
 * nothing. */
void sort_numbers(uint64_t *number, uint64_t *spare, size_t n);

#endif
