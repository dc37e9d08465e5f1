/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch.c - kv watch: a line every so often about what goes on in a store, until it is stopped. It
 * holds no snapshot, so that it is no reader itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "call_store.h"

#define INTERVAL_MS   1000
#define HEADING_LINES 20u

struct watched {
	struct daxkv_info info;
	uint64_t running, oldest_ms;
	int64_t at_ms;
};

static void reader_add(const struct daxkv_reader *reader, void *arg)
{
	struct watched *w = arg;

	if (!reader->running)
		return;
	w->running++;
	if (reader->age_ms > w->oldest_ms)
		w->oldest_ms = reader->age_ms;
}

static int look(struct call *call, struct watched *w)
{
	int err;

	*w = (struct watched){.at_ms = store_now_ms()};
	err = daxkv_info(call->store, &w->info);
	if (err != 0)
		return call_fail(call, err, "cannot tell about the store");
	daxkv_readers_list(call->store, reader_add, w);
	return EXIT_OK;
}

static void print_heading(void)
{
	puts("time\tcommits\tcommits/"
	     "s\treaders\toldest_s\tused_bytes\tfile_bytes\theld_pages\twriter"
	     "\tlazy\tlazy_bytes\tlazy_s");
}

/* commits_between - two looks. Lazy commits leave numbers out, so they are counted; those before a
 * sync that came in between are not known. */
static uint64_t commits_between(const struct daxkv_info *before, const struct daxkv_info *now)
{
	if (before->lazy_commits == 0 && now->synced_txn >= before->last_txn)
		return now->synced_txn - before->last_txn + now->lazy_commits;
	if (now->synced_txn == before->synced_txn && now->lazy_commits >= before->lazy_commits)
		return now->lazy_commits - before->lazy_commits;
	return now->lazy_commits;
}

static void print_line(struct call *call, const struct watched *before, const struct watched *now)
{
	double seconds = (double)(now->at_ms - before->at_ms) / 1000;
	uint64_t commits = commits_between(&before->info, &now->info);
	int pid = daxkv_writer_pid(call->store);
	time_t t = time(NULL);
	struct tm tm;
	char clock[16] = "";

	if (localtime_r(&t, &tm) != NULL)
		strftime(clock, sizeof clock, "%H:%M:%S", &tm);
	printf("%s\t%" PRIu64 "\t%.0f\t%" PRIu64 "\t%.1f\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t",
	       clock, now->info.last_txn, seconds > 0 ? (double)commits / seconds : 0.0,
	       now->running, (double)now->oldest_ms / 1000, now->info.used_bytes,
	       now->info.file_size, now->info.held_pages);
	if (pid > 0)
		printf("%d", pid);
	else
		putchar('-');
	printf("\t%" PRIu64 "\t%" PRIu64 "\t%.1f\n", now->info.lazy_commits, now->info.lazy_bytes,
	       (double)now->info.lazy_ms / 1000);
}

static void print_json(struct call *call, const struct watched *before, const struct watched *now)
{
	double seconds = (double)(now->at_ms - before->at_ms) / 1000;
	uint64_t commits = commits_between(&before->info, &now->info);

	printf("{\"time\": %lld, \"commits\": %" PRIu64 ", \"commits_per_second\": %.1f"
	       ", \"readers\": %" PRIu64 ", \"oldest_seconds\": %.3f, \"used_bytes\": %" PRIu64
	       ", \"file_bytes\": %" PRIu64 ", \"held_pages\": %" PRIu64 ", \"writer\": %d",
	       (long long)time(NULL), now->info.last_txn,
	       seconds > 0 ? (double)commits / seconds : 0.0, now->running,
	       (double)now->oldest_ms / 1000, now->info.used_bytes, now->info.file_size,
	       now->info.held_pages, daxkv_writer_pid(call->store));
	printf(", \"lazy_commits\": %" PRIu64 ", \"lazy_bytes\": %" PRIu64
	       ", \"lazy_seconds\": %.3f}\n",
	       now->info.lazy_commits, now->info.lazy_bytes, (double)now->info.lazy_ms / 1000);
}

/* sleep_ms - signals that do not end the process do not end the sleep. */
static void sleep_ms(int64_t ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

int run_watch(struct call *call)
{
	int64_t interval = call->opt.interval_ms > 0 ? call->opt.interval_ms : INTERVAL_MS;
	unsigned int heading = isatty(STDOUT_FILENO) == 1 ? HEADING_LINES : 0;
	struct watched before, now;
	int status = store_open(call, DAXKV_READ_ONLY, NULL);

	if (status == EXIT_OK)
		status = look(call, &before);
	for (uint64_t n = 0; status == EXIT_OK; n++) {
		if (!call->opt.json && (n == 0 || (heading != 0 && n % heading == 0)))
			print_heading();
		if (n == 0)
			now = before;
		else
			status = look(call, &now);
		if (status == EXIT_OK && call->opt.json)
			print_json(call, &before, &now);
		else if (status == EXIT_OK)
			print_line(call, &before, &now);
		if (status == EXIT_OK)
			status = call_output(call, true);
		if (n + 1 == call->opt.count)
			break;
		before = now;
		sleep_ms(interval);
	}
	return status;
}
