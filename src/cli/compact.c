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

/* enough_free - whether more of the file is free than --if-free says. Counting costs no more than a
 * look at the bitmaps. An exit status. */
static int enough_free(const struct call *call, bool *enough)
{
	struct daxkv_info info;
	int err = daxkv_info(call->store, &info);

	if (err != 0)
		return call_fail(call, err, "cannot tell what is free");
	const uint64_t used = info.used_bytes; /* it may have grown since file_size was read */
	const uint64_t free = info.file_size > used ? info.file_size - used : 0;

	*enough = free > info.file_size / 100 * call->opt.if_free;
	if (!*enough)
		printf("%" PRIu64 " bytes, of which %" PRIu64 " are free: nothing to do\n",
		       info.file_size, free);
	return EXIT_OK;
}

int run_compact(struct call *call)
{
	struct daxkv_compact_report report;
	bool enough = true;
	uint64_t shown = 0;
	const struct daxkv_compact bounds = {.pages = call->opt.budget,
	                                     .milliseconds = call->opt.budget_ms,
	                                     .progress = told,
	                                     .arg = &shown};
	int status = store_open(call, 0, NULL);

	if (status == EXIT_OK && call->opt.if_free != 0)
		status = enough_free(call, &enough);
	if (status != EXIT_OK || !enough)
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
