/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * names.h - the named databases of a store. They show as entries of the main database; those
 * entries are no plain ones: scan, dump and list leave them out.
 */
#ifndef DAXKV_CLI_NAMES_H
#define DAXKV_CLI_NAMES_H

#include "cli.h"

struct names {
	struct daxkv_val *name; /* copies, in the order of bytes_cmp */
	size_t count;
};

/* names_read - all names, as call->txn sees them; an exit status, the failure printed. names_free -
 * also after a failure. */
int names_read(const struct call *call, struct names *names);
void names_free(struct names *names);

/* names_has - whether key is one of them. */
bool names_has(const struct names *names, const struct daxkv_val *key);

#endif
