/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compact.c - kv compact.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "call_store.h"
#include "progress.h"
#include "session.h"

/* told - pages moved so far; a signal ends the walk between two steps. */
static int told(uint64_t moved, uint64_t file_size, void *arg)
{
	uint64_t *shown = arg;

	(void)file_size;
	progress_add(moved - *shown);
	*shown = moved;
	return session_interrupted() ? EINTR : 0;
}

int run_compact(struct call *call)
{
	struct daxkv_compact_report report;
	uint64_t shown = 0;
	const struct daxkv_compact bounds = {.pages = call->opt.budget,
	                                     .milliseconds = call->opt.budget_ms,
	                                     .progress = told,
	                                     .arg = &shown};
	int status = store_open(call, 0, NULL);

	if (status != EXIT_OK)
		return status;
	const bool begun = progress_begin(call, "pages", 0);
	int err = daxkv_compact(call->store, &bounds, &report);

	progress_end(begun);
	if (err != 0)
		return call_fail(call, err, "cannot compact");
	printf("%" PRIu64 " to %" PRIu64 " bytes, %" PRIu64 " pages moved%s\n", report.size_before,
	       report.size, report.moved, report.done ? "" : ", more can be moved");
	if (report.held)
		printf("held back by process %d, a reader of commit %" PRIu64 " since %" PRIu64
		       " ms\n",
		       report.reader_pid, report.reader_snapshot, report.reader_age_ms);
	return EXIT_OK;
}
