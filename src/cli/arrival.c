/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arrival.c - see arrival.h.
 */
#include <string.h>

#include "arrival.h"

static int arrival(const struct daxkv_val *a, const struct daxkv_val *b, const void *newest)
{
	if (a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0))
		return 0;
	return a->data == newest ? 1 : b->data == newest ? -1 : 0;
}

int arrival_keys(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	return arrival(a, b, ((struct arrival *)arg)->key);
}

int arrival_dups(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	return arrival(a, b, ((struct arrival *)arg)->dup);
}
