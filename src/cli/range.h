/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * range.h - the keys that --from, --to and --prefix mean, in the selected database's own order.
 *
 * Whether a key with a prefix has its neighbours beside it depends on that order: in one that is
 * not by bytes all keys have to be looked at. Names of databases are never in a range of the main
 * one.
 */
#ifndef DAXKV_CLI_RANGE_H
#define DAXKV_CLI_RANGE_H

#include "cli.h"
#include "names.h"

struct range {
	bool has_from, has_to, has_prefix;
	bool bytewise; /* the order is that of bytes_cmp: keys with one prefix are neighbours */
	struct daxkv_val from, to, prefix, after; /* after: the first key behind all that begin with
	                                             prefix; size 0: there is none */
	struct names names;
};

/* range_arguments - decode the options of the call; before anything of the store is locked.
 * range_open - what the order of the selected database makes of them, and the names of the main
 * one; call->txn runs. Exit statuses, the failure printed. range_free - in any case. */
int range_arguments(struct call *call, struct range *range);
int range_open(struct call *call, struct range *range);
void range_free(struct range *range);

/* range_whole - no option limits it. */
bool range_whole(const struct range *range);

/* range_ends - the first key, and the one that the keys lie before (NULL: open), where these are
 * all that lie between them but for names. False: what lies between has to be looked at. */
bool range_ends(const struct call *call, const struct range *range, const struct daxkv_val **first,
                const struct daxkv_val **end);

/* range_place - where a key lies. */
enum range_place {
	RANGE_BEFORE,
	RANGE_INSIDE,
	RANGE_BEHIND,
	RANGE_BESIDE /* not wanted, and says nothing of its neighbours */
};
enum range_place range_place(const struct call *call, const struct range *range,
                             const struct daxkv_val *key);

/* range_start - the cursor on the first entry that may be wanted, with reverse on the last one; it
 * may still lie before or beside the range. daxkv's result. */
int range_start(const struct range *range, bool reverse, struct daxkv_cursor *cursor,
                struct daxkv_val *key, struct daxkv_val *value);

/* range_print - " from a on, before b, that begin with c", as much of it as the options say. */
void range_print(const struct range *range);

#endif
