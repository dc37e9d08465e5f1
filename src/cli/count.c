/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count.c - kv count.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "call_store.h"
#include "progress.h"
#include "range.h"
#include "session.h"

/* names_inside - how many of the main database's entries in the range are databases. */
static uint64_t names_inside(const struct call *call, const struct range *range)
{
	uint64_t n = 0;

	for (size_t i = 0; i < range->names.count; i++) {
		struct range one = *range;

		one.names.count = 0; /* as any other key */
		n += range_place(call, &one, &range->names.name[i]) == RANGE_INSIDE;
	}
	return n;
}

/* count_between - by the library, which does not know of names. */
static int count_between(const struct call *call, const struct range *range,
                         const struct daxkv_val *first, const struct daxkv_val *end, uint64_t *n)
{
	uint64_t names = names_inside(call, range);
	int err = call->opt.estimate ? daxkv_count_estimate(call->txn, call->db, first, end, n)
	                             : daxkv_count(call->txn, call->db, first, end, n);

	if (err == 0)
		*n -= names < *n ? names : *n;
	return err;
}

/* count_walk - by looking at each key. */
static int count_walk(struct call *call, const struct range *range, uint64_t *n, int *status)
{
	struct daxkv_cursor *cursor = NULL;
	struct daxkv_val key;
	int err;

	*status = store_cursor(call, &cursor);
	if (*status != EXIT_OK)
		return 0;
	err = range_start(range, false, cursor, &key, NULL);
	while (err == 0 && range_place(call, range, &key) != RANGE_BEHIND) {
		*n += range_place(call, range, &key) == RANGE_INSIDE;
		progress_add(1);
		err = session_interrupted() ? EINTR
		                            : daxkv_cursor_get(cursor, &key, NULL, DAXKV_NEXT);
	}
	daxkv_cursor_close(cursor);
	return err == DAXKV_NOT_FOUND ? 0 : err;
}

int run_count(struct call *call)
{
	struct range range = {0};
	const struct daxkv_val *first, *end;
	uint64_t n = 0;
	int err = 0, status = range_arguments(call, &range);

	if (status == EXIT_OK)
		status = store_read(call);
	if (status == EXIT_OK)
		status = range_open(call, &range);
	if (status == EXIT_OK) {
		bool begun = progress_begin(call, "keys", 0);

		if (range_ends(call, &range, &first, &end))
			err = count_between(call, &range, first, end, &n);
		else
			err = count_walk(call, &range, &n, &status);
		progress_end(begun);
	}
	range_free(&range);
	if (err != 0)
		return call_fail(call, err, "cannot count");
	if (status == EXIT_OK)
		printf("%" PRIu64 "\n", n);
	return status;
}
