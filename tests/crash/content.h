/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * content.h - everything that a store says, as one number: names, flags and pairs of all databases,
 * in order.
 *
 * Two states of a test differ in their numbers, so an image found after a crash is compared with
 * the oracle's states by one comparison.
 */
#ifndef DAXKV_TEST_CONTENT_H
#define DAXKV_TEST_CONTENT_H

#include <stdint.h>

struct daxkv_store;
struct oracle_state;

/* content_of_oracle - the number of a state. */
uint64_t content_of_oracle(const struct oracle_state *state);

/* content_of_store - the number of what a new snapshot of kv shows, read forward; pairs gets their
 * count. What daxkv returned. */
int content_of_store(struct daxkv_store *store, uint64_t *content, uint64_t *pairs);

#endif
