/* SPDX-License-Identifier: BSD-3-Clause */
/* differ.h - what the parts of the random walk share. */
#ifndef DAXKV_TESTS_ABI_DIFFER_H
#define DAXKV_TESTS_ABI_DIFFER_H

#include <lmdb.h>
#include <stdint.h>

/* random_state - of rnd: who draws a number of times that only the library decides puts it back. */
extern uint64_t random_state;
uint64_t rnd(uint64_t below);

/* say - a line of the walk, or its beginning. must - a call that has to succeed. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void must(int rc, const char *what);

/* do_full - MDB_MAP_FULL spoils its transaction and nothing else; a larger map takes what did not
 * fit. In an environment of its own below scratch. */
void do_full(const char *scratch);

#endif
