/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c - kv list, stat, info and check, as text and as JSON. In JSON names and messages are in
 * the escaped form of bytes.h, so that they are text whatever their bytes, and a name is what --db
 * takes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "call_store.h"
#include "metrics.h"
#include "names.h"
#include "progress.h"
#include "session.h"

/* ---- each database --------------------------------------------------------------------------- */

/* What is printed of the selected database; name is NULL for the main one. An exit status. */
typedef int report_database(struct call *call, const struct daxkv_val *name,
                            const struct names *names, bool first);

/* report_each_database - report the database of --db, or the main one and then all named ones. */
static int report_each_database(struct call *call, report_database *report)
{
	struct names names = {NULL, 0};
	int status = store_read(call);

	if (status == EXIT_OK)
		status = names_read(call, &names);
	if (status == EXIT_OK)
		status = report(call, call->opt.has_db ? &call->opt.db : NULL, &names, true);
	for (size_t i = 0; i < names.count && status == EXIT_OK && !call->opt.has_db; i++) {
		status = store_select(call, &names.name[i], 0);
		if (status == EXIT_OK)
			status = report(call, &names.name[i], &names, false);
		if (status == EXIT_OK)
			status = store_next_db(call);
	}
	names_free(&names);
	return status;
}

static void report_print_name(const struct daxkv_val *name)
{
	if (name == NULL)
		fputs("(main)", stdout);
	else
		bytes_print(stdout, name);
}

/* print_json_name - a field of an object just begun. */
static void print_json_name(const struct daxkv_val *name)
{
	fputs("\"name\": ", stdout);
	if (name == NULL)
		fputs("null", stdout);
	else
		bytes_print_json(stdout, name->data, name->size);
}

/* print_flags - the words for flags, each in quotes and behind a comma from the second on. */
static void print_flags(unsigned int flags, const char *quote, const char *none)
{
	static const struct {
		unsigned int flag;
		const char *word;
	} words[] = {
	    {DAXKV_REVERSE_KEY, "reverse-key"}, {DAXKV_DUP_SORT, "dup-sort"},
	    {DAXKV_INTEGER_KEY, "integer-key"}, {DAXKV_DUP_FIXED, "dup-fixed"},
	    {DAXKV_INTEGER_DUP, "integer-dup"}, {DAXKV_REVERSE_DUP, "reverse-dup"},
	    {DAXKV_OWN_COMPARE, "own-compare"}, {DAXKV_OWN_DUP_COMPARE, "own-dup-compare"}};
	bool any = false;

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if ((flags & words[i].flag) == 0)
			continue;
		printf("%s%s%s%s", any ? "," : "", quote, words[i].word, quote);
		any = true;
	}
	if (!any)
		fputs(none, stdout);
}

/* ---- list, stat ------------------------------------------------------------------------------ */

static int list_database(struct call *call, const struct daxkv_val *name, const struct names *names,
                         bool first)
{
	struct daxkv_db_stat stat;
	unsigned int flags;
	uint64_t entries;
	int err = daxkv_db_stat(call->txn, call->db, &stat);

	if (err == 0)
		err = daxkv_db_flags(call->txn, call->db, &flags);
	if (err != 0)
		return call_fail(call, err, "cannot read a database");
	entries = stat.entries - (name == NULL ? names->count : 0);
	if (call->opt.json) {
		fputs(first ? "{\"databases\": [\n  {" : ",\n  {", stdout);
		print_json_name(name);
		printf(", \"entries\": %" PRIu64 ", \"flags\": [", entries);
		print_flags(flags, "\"", "");
		fputs("]}", stdout);
	} else {
		report_print_name(name);
		printf("\t%" PRIu64 "\t", entries);
		print_flags(flags, "", "-");
		putchar('\n');
	}
	return call_output(call, false);
}

int run_list(struct call *call)
{
	int status = report_each_database(call, list_database);

	if (call->opt.json && status == EXIT_OK)
		fputs("]}\n", stdout);
	return status;
}

static int stat_database(struct call *call, const struct daxkv_val *name, const struct names *names,
                         bool first)
{
	struct daxkv_db_stat stat;
	int err = daxkv_db_stat(call->txn, call->db, &stat);

	(void)names;
	if (err != 0)
		return call_fail(call, err, "cannot read a database");
	if (call->opt.json) {
		fputs(first ? "{\"databases\": [\n  {" : ",\n  {", stdout);
		print_json_name(name);
		printf(", \"page_size\": %" PRIu32 ", \"depth\": %" PRIu32
		       ", \"inner_pages\": %" PRIu64 ", \"leaf_pages\": %" PRIu64
		       ", \"blob_pages\": %" PRIu64 ", \"entries\": %" PRIu64 "}",
		       stat.page_size, stat.depth, stat.inner_pages, stat.leaf_pages,
		       stat.blob_pages, stat.entries);
	} else {
		if (first)
			puts("database\tpage_size\tdepth\tinner_pages\tleaf_pages\tblob_"
			     "pages\tentries");
		report_print_name(name);
		printf("\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
		       "\n",
		       stat.page_size, stat.depth, stat.inner_pages, stat.leaf_pages,
		       stat.blob_pages, stat.entries);
	}
	return call_output(call, false);
}

int run_stat(struct call *call)
{
	int status;

	if (call->opt.openmetrics)
		return metrics_print(call);
	status = report_each_database(call, stat_database);
	if (call->opt.json && status == EXIT_OK)
		fputs("]}\n", stdout);
	return status;
}

/* ---- info ------------------------------------------------------------------------------------ */

const char *call_medium_word(enum daxkv_medium medium)
{
	return medium == DAXKV_MEDIUM_DAX    ? "dax"
	       : medium == DAXKV_MEDIUM_FILE ? "file"
	                                     : "emulated";
}

/* print_lazy - what is not durable; on no medium is it more than that. */
static void print_lazy(const struct daxkv_info *info)
{
	if (info->lazy_commits == 0) {
		puts("not synced: nothing");
		return;
	}
	printf("not synced: %" PRIu64 " commits, %" PRIu64 " bytes, the oldest %" PRIu64
	       ".%03" PRIu64 " s old\n",
	       info->lazy_commits, info->lazy_bytes, info->lazy_ms / 1000, info->lazy_ms % 1000);
	printf("newest synced commit: %" PRIu64 "\n", info->synced_txn);
}

static void print_info(const struct daxkv_info *info)
{
	printf("medium: %s\n", call_medium_word(info->medium));
	printf("durability: %s\n", info->durability);
	printf("full disk: %s\n",
	       info->copy_on_write
	           ? "may end a program that writes (SIGBUS): the filesystem copies what is changed"
	           : "an error (ENOSPC), and nothing is lost");
	printf("format version: %" PRIu32 "\n", info->format_version);
	printf("page size: %" PRIu32 " bytes\n", info->page_size);
	printf("file id: %016" PRIx64 "\n", info->file_id);
	printf("file size: %" PRIu64 " bytes\n", info->file_size);
	printf("used: %" PRIu64 " bytes\n", info->used_bytes);
	printf("maximum size: %" PRIu64 " bytes\n", info->max_size);
	printf("newest commit: %" PRIu64 "\n", info->last_txn);
	print_lazy(info);
	printf("records replayed at open: %" PRIu64 "\n", info->recovered);
	printf("free pages held back: %" PRIu64 "\n", info->held_pages);
	printf("readers: %" PRIu32 " of %" PRIu32 "\n", info->readers, info->max_readers);
	printf("opened: %s\n", info->read_only ? "read-only" : "for writing");
	printf("last use: %s\n", info->private_recovery
	                             ? "not closed; shown as recovered, in memory"
	                             : "closed, or recovered in the file");
}

static void print_info_json(const struct daxkv_info *info)
{
	printf("{\"medium\": \"%s\", \"durability\": ", call_medium_word(info->medium));
	bytes_print_json(stdout, info->durability, strlen(info->durability));
	printf(",\n \"format_version\": %" PRIu32 ", \"page_size\": %" PRIu32
	       ", \"file_id\": \"%016" PRIx64 "\", \"file_size\": %" PRIu64
	       ",\n \"used_bytes\": %" PRIu64 ", \"max_size\": %" PRIu64 ", \"last_txn\": %" PRIu64
	       ", \"recovered\": %" PRIu64,
	       info->format_version, info->page_size, info->file_id, info->file_size,
	       info->used_bytes, info->max_size, info->last_txn, info->recovered);
	printf(",\n \"synced_txn\": %" PRIu64 ", \"lazy_commits\": %" PRIu64
	       ", \"lazy_bytes\": %" PRIu64 ", \"lazy_ms\": %" PRIu64,
	       info->synced_txn, info->lazy_commits, info->lazy_bytes, info->lazy_ms);
	printf(
	    ",\n \"held_pages\": %" PRIu64 ", \"readers\": %" PRIu32 ", \"max_readers\": %" PRIu32
	    ", \"read_only\": %s, \"private_recovery\": %s, \"copy_on_write\": %s}\n",
	    info->held_pages, info->readers, info->max_readers, info->read_only ? "true" : "false",
	    info->private_recovery ? "true" : "false", info->copy_on_write ? "true" : "false");
}

int run_info(struct call *call)
{
	struct daxkv_info info;
	int err, status = store_open(call, DAXKV_READ_ONLY, NULL);

	if (status != EXIT_OK)
		return status;
	err = daxkv_info(call->store, &info);
	if (err != 0)
		return call_fail(call, err, "cannot tell about the store");
	if (call->opt.json)
		print_info_json(&info);
	else
		print_info(&info);
	return EXIT_OK;
}

/* ---- readers --------------------------------------------------------------------------------- */

struct readers {
	const struct call *call;
	bool any;
};

static void print_reader(const struct daxkv_reader *reader, void *arg)
{
	struct readers *readers = arg;
	unsigned long seconds = (unsigned long)(reader->age_ms / 1000),
	              ms = (unsigned long)(reader->age_ms % 1000);

	if (!reader->running)
		return;
	if (readers->call->opt.json)
		printf("%s{\"pid\": %d, \"thread\": %d, \"snapshot\": %" PRIu64
		       ", \"seconds\": %lu.%03lu, \"evicted\": %s}",
		       readers->any ? ", " : "", reader->pid, reader->thread, reader->snapshot,
		       seconds, ms, reader->evicted ? "true" : "false");
	else
		printf("%d\t%" PRIu64 "\t%lu.%03lu%s\n", reader->pid, reader->snapshot, seconds, ms,
		       reader->evicted ? "\tevicted" : "");
	readers->any = true;
}

int run_readers(struct call *call)
{
	struct readers readers = {.call = call};
	int status = store_open(call, DAXKV_READ_ONLY, NULL);

	if (status != EXIT_OK)
		return status;
	(void)daxkv_readers_reap(call->store);
	if (call->opt.json)
		fputs("[", stdout);
	daxkv_readers_list(call->store, print_reader, &readers);
	if (call->opt.json)
		fputs("]\n", stdout);
	return EXIT_OK;
}

/* ---- check ----------------------------------------------------------------------------------- */

struct report_faults {
	const struct call *call;
	bool any;
};

static void print_fault(const char *fault, void *arg)
{
	struct report_faults *faults = arg;

	if (faults->call->opt.json) {
		fputs(faults->any ? ",\n  " : "{\"faults\": [\n  ", stdout);
		bytes_print_json(stdout, fault, strlen(fault));
	} else {
		puts(fault);
	}
	faults->any = true;
}

/* pages_told - how far the check is. */
static int pages_told(uint64_t pages, uint64_t total, void *arg)
{
	(void)arg;
	progress_total(total);
	progress_is(pages);
	return session_interrupted() ? EINTR : 0;
}

/* check - the store, whoever writes to it. 0, or daxkv's result; *said: it was printed. */
static int check(struct call *call, struct report_faults *faults, uint64_t *count, bool *said)
{
	const int64_t from = store_now_ms();
	unsigned int wait = store_waiting(call, 0);
	struct daxkv_check options = {.report = print_fault, .progress = pages_told, .arg = faults};
	int err;

	*said = false;
	for (;;) {
		options.milliseconds = wait;
		err = daxkv_check_with(call->store, &options, count);
		if (err != DAXKV_BUSY)
			break;
		int64_t waited = store_now_ms() - from;

		if (waited < wait) /* it is not a matter of waiting */
			return err;
		wait = store_waiting(call, waited > 0 ? waited : 1);
		*said = wait == 0;
		if (*said)
			break;
	}
	return err;
}

int run_check(struct call *call)
{
	bool begun = false;
	struct report_faults faults = {.call = call};
	uint64_t count = 0;
	bool said;
	int err, status = store_open(call, DAXKV_READ_ONLY, NULL);

	if (status != EXIT_OK)
		return status;
	begun = progress_begin(call, "pages", 0);
	err = check(call, &faults, &count, &said);
	progress_end(begun);
	if (err != 0 && err != DAXKV_CORRUPT)
		return said ? EXIT_SYSTEM : call_fail(call, err, "cannot check the store");
	if (call->opt.json)
		printf("%s], \"count\": %" PRIu64 "}\n", faults.any ? "" : "{\"faults\": [", count);
	else
		printf("%" PRIu64 " faults\n", count);
	return err == 0 ? EXIT_OK
	                : call_fail_as(call, EXIT_CORRUPT,
	                               "the store is corrupted (%" PRIu64 " faults)", count);
}
