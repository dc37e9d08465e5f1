/* SPDX-License-Identifier: BSD-3-Clause */
/* engines.c - which engines there are. Those of packages that the Makefile did not find are not
 * linked, and their symbols are zero. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define OPTIONAL extern const struct bench_engine __attribute__((weak))

extern const struct bench_engine engine_daxkv, engine_daxkv_lmdb, engine_lmdb, engine_lmdb_pwrite,
    engine_lmdb_nosync, engine_lmdb_async;
OPTIONAL engine_sqlite, engine_rocksdb, engine_leveldb, engine_wiredtiger;

static const struct {
	const char *name, *package; /* Debian's */
	const struct bench_engine *engine;
} known[] = {
    {"daxkv", "", &engine_daxkv},
    {"daxkv-lmdb", "", &engine_daxkv_lmdb},
    {"lmdb", "", &engine_lmdb},
    {"lmdb-pwrite", "", &engine_lmdb_pwrite},
    {"lmdb-nosync", "", &engine_lmdb_nosync},
    {"lmdb-async", "", &engine_lmdb_async},
    {"sqlite", "libsqlite3-dev", &engine_sqlite},
    {"rocksdb", "librocksdb-dev", &engine_rocksdb},
    {"leveldb", "libleveldb-dev", &engine_leveldb},
    {"wiredtiger", "libwiredtiger-dev", &engine_wiredtiger},
};
#define KNOWN (sizeof known / sizeof known[0])

_Static_assert(KNOWN <= BENCH_ENGINES, "a report has room for all");

/* list_has - is name one of the comma-separated words of list. */
static int list_has(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == 0))
			return 1;
	}
	return 0;
}

/* list_check - every word of the list is the name of an engine that is there. */
static int list_check(const char *list)
{
	for (const char *at = list; at; at = strchr(at, ',')) {
		size_t n, i = 0;

		at += *at == ',';
		n = strcspn(at, ",");
		while (i < KNOWN &&
		       (strlen(known[i].name) != n || strncmp(known[i].name, at, n) != 0))
			i++;
		if (i == KNOWN) {
			fprintf(stderr, "bench: no engine %.*s; there are", (int)n, at);
			for (size_t k = 0; k < KNOWN; k++)
				fprintf(stderr, " %s", known[k].name);
			fputc('\n', stderr);
			return 0;
		}
		if (!known[i].engine) {
			fprintf(stderr,
			        "bench: built without %s: install %s (make bench-deps) and build "
			        "again\n",
			        known[i].name, known[i].package);
			return 0;
		}
	}
	return 1;
}

unsigned int engines_select(const char *list, const struct bench_engine *selected[BENCH_ENGINES])
{
	unsigned int n = 0;

	if (list && !list_check(list))
		return 0;
	for (size_t i = 0; i < KNOWN;
	     i++) /* the first is what the others are compared with: always there */
		if (known[i].engine &&
		    (i == 0 || (list ? list_has(list, known[i].name)
		                     /* only when they are named */
		                     : known[i].engine != &engine_daxkv_lmdb &&
		                           known[i].engine != &engine_lmdb_async)))
			selected[n++] = known[i].engine;
	return n;
}

void engines_absent(char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = 0;
	for (size_t i = 0; i < KNOWN; i++)
		if (!known[i].engine && at < size)
			at += (size_t)snprintf(buf + at, size - at, "%s%s (%s)", at ? ", " : "",
			                       known[i].name, known[i].package);
}
