/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_order.h - the orders of keys and duplicates, for those who read a file by its format alone:
 * the checker and the salvager.
 */
#ifndef DAXKV_CHECK_ORDER_H
#define DAXKV_CHECK_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct check_item { /* a key and, in a DUP_SORT database, the duplicate; also a separator */
	const uint8_t *key;
	const uint8_t *dup;
	uint32_t klen;
	uint32_t dlen;
	/* a separator that lies before all duplicates of its key */
	bool nodup;
};

struct check_bounds { /* what the inner pages above let into a page: low <= x < high */
	struct check_item low;
	struct check_item high;
	bool has_low;
	bool has_high;
};

enum check_order {
	CHECK_BEFORE = -1,
	CHECK_SAME = 0,
	CHECK_AFTER = 1,
	CHECK_UNKNOWN = 2 /* only the program's comparator knows */
};

/* check_compare - a against b in the order of a database with these flags. */
enum check_order check_compare(uint32_t flags, const struct check_item *a,
                               const struct check_item *b);

/* check_head - the search head of a key whose first plen bytes are the page's prefix. */
uint64_t check_head(uint32_t flags, const uint8_t *key, uint32_t klen, uint32_t plen);

/* check_flags_valid - whether flags are a combination that a database can have. */
bool check_flags_valid(uint32_t flags);

#endif
