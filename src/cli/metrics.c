/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * metrics.c - kv stat --openmetrics: what a store is and holds, as text for monitoring programs
 * (OpenMetrics 1.0). The samples of one family stand together, so the numbers of all databases are
 * gathered first.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bytes.h"
#include "call_store.h"
#include "metrics.h"
#include "names.h"

struct metrics {
	struct names names;
	struct daxkv_db_stat *stat; /* of the main database, and then of each name */
	size_t n;
	struct daxkv_info info;
	uint64_t oldest_ms; /* of the running readers */
	uint64_t running;
};

static void family(const char *name, const char *type, const char *unit, const char *help)
{
	printf("# TYPE daxkv_%s %s\n", name, type);
	if (unit != NULL)
		printf("# UNIT daxkv_%s %s\n", name, unit);
	printf("# HELP daxkv_%s %s\n", name, help);
}

static void gauge(const char *name, const char *unit, const char *help, uint64_t value)
{
	family(name, "gauge", unit, help);
	printf("daxkv_%s %" PRIu64 "\n", name, value);
}

static void reader_add(const struct daxkv_reader *reader, void *arg)
{
	struct metrics *m = arg;

	if (!reader->running || reader->own) /* this call reads, too */
		return;
	m->running++;
	if (reader->age_ms > m->oldest_ms)
		m->oldest_ms = reader->age_ms;
}

/* label_print - a name in the escaped form, as a label's value: that form has backslashes, which a
 * label doubles. The main database's is empty, as no name is. */
static void label_print(const struct daxkv_val *name)
{
	const unsigned char *p = name != NULL ? name->data : NULL;

	for (size_t i = 0; name != NULL && i < name->size; i++) {
		if (p[i] == '\\')
			fputs("\\\\\\\\", stdout);
		else if (p[i] == '"')
			fputs("\\\"", stdout);
		else if (p[i] >= 0x20 && p[i] < 0x7f)
			putchar(p[i]);
		else
			printf("\\\\x%02x", p[i]);
	}
}

static void sample(const struct metrics *m, size_t i, const char *name, const char *more,
                   uint64_t value)
{
	printf("daxkv_%s{database=\"", name);
	label_print(i == 0 ? NULL : &m->names.name[i - 1]);
	printf("\"%s} %" PRIu64 "\n", more, value);
}

static void print_store(const struct metrics *m)
{
	const struct daxkv_info *info = &m->info;

	family("store", "info", NULL, "What the store is.");
	printf("daxkv_store_info{medium=\"%s\",format_version=\"%" PRIu32 "\",file_id=\"%016" PRIx64
	       "\"} 1\n",
	       call_medium_word(info->medium), info->format_version, info->file_id);
	gauge("page_size_bytes", "bytes", "Bytes of a page.", info->page_size);
	gauge("file_size_bytes", "bytes", "Bytes of the file.", info->file_size);
	gauge("used_bytes", "bytes", "Bytes allocated to pages.", info->used_bytes);
	gauge("max_size_bytes", "bytes", "Bytes that the file may grow to.", info->max_size);
	gauge("held_pages", NULL, "Free pages that readers or recovery may still need.",
	      info->held_pages);
	family("commits", "counter", NULL,
	       "The newest commit's number; lazy commits leave some out.");
	printf("daxkv_commits_total %" PRIu64 "\n", info->last_txn);
	gauge("lazy_commits", NULL, "Commits that are not durable before the next sync.",
	      info->lazy_commits);
	gauge("lazy_bytes", "bytes", "Bytes of pages that these commits wrote.", info->lazy_bytes);
	family("lazy_seconds", "gauge", "seconds", "Time since the first of these commits.");
	printf("daxkv_lazy_seconds %" PRIu64 ".%03" PRIu64 "\n", info->lazy_ms / 1000,
	       info->lazy_ms % 1000);
	gauge("readers", NULL, "Read transactions that run now.", m->running);
	gauge("max_readers", NULL, "Read transactions that can run at once.", info->max_readers);
	family("oldest_reader_seconds", "gauge", "seconds",
	       "Time since the oldest running read transaction began.");
	printf("daxkv_oldest_reader_seconds %" PRIu64 ".%03" PRIu64 "\n", m->oldest_ms / 1000,
	       m->oldest_ms % 1000);
}

static void print_databases(const struct metrics *m)
{
	family("database_entries", "gauge", NULL, "Entries of a database.");
	for (size_t i = 0; i < m->n; i++)
		sample(m, i, "database_entries", "",
		       m->stat[i].entries - (i == 0 ? m->names.count : 0));
	family("database_depth", "gauge", NULL, "Levels of a database's tree.");
	for (size_t i = 0; i < m->n; i++)
		sample(m, i, "database_depth", "", m->stat[i].depth);
	family("database_pages", "gauge", NULL, "Pages of a database, by kind.");
	for (size_t i = 0; i < m->n; i++) {
		sample(m, i, "database_pages", ",kind=\"inner\"", m->stat[i].inner_pages);
		sample(m, i, "database_pages", ",kind=\"leaf\"", m->stat[i].leaf_pages);
		sample(m, i, "database_pages", ",kind=\"blob\"", m->stat[i].blob_pages);
	}
}

static int gather_databases(struct call *call, struct metrics *m)
{
	int err, status = names_read(call, &m->names);

	if (status != EXIT_OK)
		return status;
	m->stat = calloc(m->names.count + 1, sizeof *m->stat);
	if (m->stat == NULL)
		return call_fail_sys(call, ENOMEM, "cannot tell about the databases");
	for (m->n = 0; m->n <= m->names.count && status == EXIT_OK; m->n++) {
		if (m->n > 0)
			status = store_select(call, &m->names.name[m->n - 1], 0);
		if (status != EXIT_OK)
			break;
		err = daxkv_db_stat(call->txn, call->db, &m->stat[m->n]);
		status =
		    err == 0 ? store_next_db(call) : call_fail(call, err, "cannot read a database");
	}
	return status;
}

int metrics_print(struct call *call)
{
	struct metrics m = {.n = 0};
	int err, status;

	if (call->opt.has_db || call->opt.json)
		return call_fail_as(call, EXIT_USAGE,
		                    "--openmetrics tells of all databases, in a form of its own");
	status = store_read(call);
	if (status == EXIT_OK)
		status = gather_databases(call, &m);
	if (status == EXIT_OK) {
		err = daxkv_info(call->store, &m.info);
		status = err == 0 ? EXIT_OK : call_fail(call, err, "cannot tell about the store");
	}
	if (status == EXIT_OK) {
		daxkv_readers_list(call->store, reader_add, &m);
		print_store(&m);
		print_databases(&m);
		puts("# EOF");
	}
	free(m.stat);
	names_free(&m.names);
	return status;
}
