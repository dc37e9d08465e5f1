/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reseal.h - make the checksums of a store right for what its bytes say, so that damage gets beyond
 * them.
 *
 * The superblock's, those of all records and of the newest one's fresh bytes and spilled words,
 * those of pages, appended entries and large values. It reads nothing outside the image, whatever
 * that says.
 */
#ifndef DAXKV_TEST_RESEAL_H
#define DAXKV_TEST_RESEAL_H

#include <stddef.h>
#include <stdint.h>

void reseal(uint8_t *image, size_t size);

#endif
