/* SPDX-License-Identifier: BSD-3-Clause */
/* check_run.h - the checker over an image of check_image.h: what it says, and what it is expected
 * to. Include cmocka.h first. */
#ifndef DAXKV_TESTS_CHECK_RUN_H
#define DAXKV_TESTS_CHECK_RUN_H

#include "check/check.h"
#include "check_image.h"

#include <stdio.h>
#include <string.h>

struct result {
	uint64_t faults, reports;
	char text[8192];
};

static void report(const char *fault, void *arg)
{
	struct result *res = arg;
	size_t used = strlen(res->text);

	assert_null(strchr(fault, '\n'));
	res->reports++;
	snprintf(res->text + used, sizeof res->text - used, "%s\n", fault);
}

static void run(const struct image *im, struct result *res)
{
	struct check_input in = {
	    .base = im->base, .mapped = im->mapped, .txn = im->txn, .report = report, .arg = res};
	int rc;

	res->faults = res->reports = 0;
	res->text[0] = 0;
	rc = check_run(&in, &res->faults);
	assert_int_equal(rc, res->faults ? DAXKV_CORRUPT : 0);
	assert_int_equal(res->reports,
	                 res->faults < CHECK_MAX_REPORTS ? res->faults : CHECK_MAX_REPORTS);
}

static void expect_clean(const struct image *im)
{
	struct result res;

	run(im, &res);
	assert_string_equal(res.text, "");
}

static void expect_fault(const struct image *im, const char *word)
{
	struct result res;

	run(im, &res);
	if (!strstr(res.text, word))
		fail_msg("no fault with \"%s\" in:\n%s", word, res.text);
}

#endif
