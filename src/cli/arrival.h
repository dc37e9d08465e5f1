/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arrival.h - the order of arrival, for databases whose order the program alone knows: they are
 * filled in the order that they have elsewhere, and each entry comes after all that are there.
 */
#ifndef DAXKV_CLI_ARRIVAL_H
#define DAXKV_CLI_ARRIVAL_H

#include "daxkv.h"

struct arrival { /* the entry that is being put: where its key and its value lie */
	const void *key, *dup;
};

/* arrival_keys, arrival_dups - comparators, whose argument is a struct arrival. */
int arrival_keys(const struct daxkv_val *a, const struct daxkv_val *b, void *arg);
int arrival_dups(const struct daxkv_val *a, const struct daxkv_val *b, void *arg);

#endif
