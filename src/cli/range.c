/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * range.c - see range.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "bytes.h"
#include "range.h"

int range_arguments(struct call *call, struct range *range)
{
	const struct options *opt = &call->opt;
	int status = EXIT_OK;

	range->has_from = opt->from != NULL;
	range->has_to = opt->to != NULL;
	range->has_prefix = opt->prefix != NULL && *opt->prefix != '\0';
	if (range->has_from)
		status = args_bytes(call, "--from", opt->from, &range->from);
	if (status == EXIT_OK && range->has_to)
		status = args_bytes(call, "--to", opt->to, &range->to);
	if (status == EXIT_OK && range->has_prefix)
		status = args_bytes(call, "--prefix", opt->prefix, &range->prefix);
	if (status == EXIT_OK &&
	    ((range->has_from && range->from.size == 0) || (range->has_to && range->to.size == 0)))
		status = call_fail_as(call, EXIT_USAGE,
		                      "--from and --to need a key of one byte or more");
	return status;
}

/* after_prefix - the last byte that is not 0xff counted up, what follows it cut off. */
static int after_prefix(const struct call *call, struct range *range)
{
	size_t size = range->prefix.size;
	unsigned char *after = malloc(size);

	if (after == NULL)
		return call_fail_sys(call, ENOMEM, "cannot look for a prefix");
	memcpy(after, range->prefix.data, size);
	while (size > 0 && after[size - 1] == 0xff)
		size--;
	if (size > 0)
		after[size - 1]++;
	range->after = (struct daxkv_val){size, after};
	return EXIT_OK;
}

int range_open(struct call *call, struct range *range)
{
	unsigned int flags = 0;
	int status = range->has_prefix ? after_prefix(call, range) : EXIT_OK, err;

	if (status == EXIT_OK && call->db == DAXKV_MAIN)
		status = names_read(call, &range->names);
	if (status != EXIT_OK)
		return status;
	err = daxkv_db_flags(call->txn, call->db, &flags);
	range->bytewise =
	    (flags & (DAXKV_REVERSE_KEY | DAXKV_INTEGER_KEY | DAXKV_OWN_COMPARE)) == 0;
	if (err == 0 && flags & DAXKV_OWN_COMPARE && (range->has_from || range->has_to))
		err = DAXKV_NEED_COMPARE;
	return err == 0 ? EXIT_OK : call_fail(call, err, "cannot use --from and --to");
}

void range_free(struct range *range)
{
	names_free(&range->names);
	free(range->after.data);
	range->after.data = NULL;
}

bool range_whole(const struct range *range)
{
	return !range->has_from && !range->has_to && !range->has_prefix;
}

bool range_ends(const struct call *call, const struct range *range, const struct daxkv_val **first,
                const struct daxkv_val **end)
{
	*first = range->has_from ? &range->from : NULL;
	*end = range->has_to ? &range->to : NULL;
	if (!range->has_prefix)
		return true;
	/* A key longer than any that can be stored is no end that the library takes. */
	if (!range->bytewise || range->prefix.size > daxkv_max_key_size(call->store))
		return false;
	if (*first == NULL || bytes_cmp(&range->prefix, *first) > 0)
		*first = &range->prefix;
	if (range->after.size > 0 && (*end == NULL || bytes_cmp(&range->after, *end) < 0))
		*end = &range->after;
	return true;
}

enum range_place range_place(const struct call *call, const struct range *range,
                             const struct daxkv_val *key)
{
	if (range->has_from && daxkv_db_compare(call->txn, call->db, key, &range->from) < 0)
		return RANGE_BEFORE;
	if (range->has_to && daxkv_db_compare(call->txn, call->db, key, &range->to) >= 0)
		return RANGE_BEHIND;
	if (range->has_prefix && (key->size < range->prefix.size ||
	                          memcmp(key->data, range->prefix.data, range->prefix.size) != 0)) {
		if (!range->bytewise)
			return RANGE_BESIDE;
		return bytes_cmp(key, &range->prefix) < 0 ? RANGE_BEFORE : RANGE_BEHIND;
	}
	return call->db == DAXKV_MAIN && names_has(&range->names, key) ? RANGE_BESIDE
	                                                               : RANGE_INSIDE;
}

int range_start(const struct range *range, bool reverse, struct daxkv_cursor *cursor,
                struct daxkv_val *key, struct daxkv_val *value)
{
	const struct daxkv_val *bound = NULL, *prefix_bound = NULL;

	if (reverse ? range->has_to : range->has_from)
		bound = reverse ? &range->to : &range->from;
	if (range->has_prefix && range->bytewise && (!reverse || range->after.size > 0))
		prefix_bound = reverse ? &range->after : &range->prefix;
	if (bound == NULL ||
	    (prefix_bound != NULL && (bytes_cmp(prefix_bound, bound) < 0) == reverse))
		bound = prefix_bound != NULL ? prefix_bound : bound;
	if (bound == NULL)
		return daxkv_cursor_get(cursor, key, value, reverse ? DAXKV_LAST : DAXKV_FIRST);
	*key = *bound;
	return daxkv_cursor_get(cursor, key, value, reverse ? DAXKV_SEEK_LE : DAXKV_SEEK_GE);
}

void range_print(const struct range *range)
{
	if (range->has_from) {
		fputs(" from '", stdout);
		bytes_print(stdout, &range->from);
		fputs("' on", stdout);
	}
	if (range->has_to) {
		fputs(" before '", stdout);
		bytes_print(stdout, &range->to);
		putchar('\'');
	}
	if (range->has_prefix) {
		fputs(" with the prefix '", stdout);
		bytes_print(stdout, &range->prefix);
		putchar('\'');
	}
}
