/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dump.c - kv dump: the text format of mdb_dump, see load_mdb.c.
 *
 * The output depends on nothing but the entries and the databases' flags, so that two stores with
 * the same content have the same dump. mapsize, which mdb_load needs, is therefore worked out from
 * the entries: a power of two well above what they take in LMDB.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "call_store.h"
#include "dump_words.h"
#include "names.h"
#include "progress.h"

#define MAPSIZE_MIN (16u << 20)
#define LMDB_PAGE   4096u
#define LMDB_ENTRY  32u /* more than an entry's header, slot and share of inner pages */

struct dump {
	struct call *call;
	struct names names;
	uint64_t mapsize;
	uint64_t size; /* weighed so far */
};

/* What is done with each entry; an exit status. */
typedef int dump_entry(struct dump *dump, const struct daxkv_val *key,
                       const struct daxkv_val *value);

static int entry_weigh(struct dump *dump, const struct daxkv_val *key,
                       const struct daxkv_val *value)
{
	uint64_t size = key->size + value->size + LMDB_ENTRY;

	if (value->size > LMDB_PAGE / 4)
		size += LMDB_PAGE;
	dump->size += size;
	return EXIT_OK;
}

static int entry_print(struct dump *dump, const struct daxkv_val *key,
                       const struct daxkv_val *value)
{
	void (*print)(FILE *, const struct daxkv_val *) =
	    dump->call->opt.print ? bytes_print_short : bytes_print_hex;

	putchar(' ');
	print(stdout, key);
	fputs("\n ", stdout);
	print(stdout, value);
	putchar('\n');
	return ferror(stdout) ? call_output(dump->call, false) : EXIT_OK;
}

/* each_entry - all entries of the selected database that are not databases themselves. */
static int each_entry(struct dump *dump, dump_entry *entry)
{
	struct call *call = dump->call;
	struct daxkv_cursor *cursor;
	struct daxkv_val key, value;
	uint64_t found = 0;
	int err = 0, status = store_cursor(call, &cursor);

	if (status != EXIT_OK)
		return status;
	while (status == EXIT_OK &&
	       (err = daxkv_cursor_get(cursor, &key, &value, DAXKV_NEXT)) == 0) {
		found++;
		progress_add(1);
		if (call->db != DAXKV_MAIN || !names_has(&dump->names, &key))
			status = entry(dump, &key, &value);
	}
	daxkv_cursor_close(cursor);
	if (status == EXIT_OK && err != DAXKV_NOT_FOUND)
		return call_fail(call, err, "cannot read the database");
	return status == EXIT_OK ? store_count(call, found) : status;
}

/* dump_print_name - most names stand as they are, as mdb_dump writes them; one that would break its
 * line, or that mdb_dump's readers would take apart, is escaped and a line of its own says so. */
static void dump_print_name(const struct daxkv_val *name)
{
	bool plain = memchr(name->data, '\n', name->size) == NULL &&
	             memchr(name->data, '\0', name->size) == NULL;

	if (!plain)
		puts("name_escaped=1");
	fputs("database=", stdout);
	if (plain)
		fwrite(name->data, 1, name->size, stdout);
	else
		bytes_print_short(stdout, name);
	putchar('\n');
}

/* print_header - up to HEADER=END, in mdb_dump's order. */
static int print_header(const struct dump *dump, const struct daxkv_val *name)
{
	struct call *call = dump->call;
	unsigned int flags;
	char text[80];
	int err = daxkv_db_flags(call->txn, call->db, &flags);

	if (err != 0)
		return call_fail(call, err, "cannot read the database");
	if (flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE))
		call_note(
		    call,
		    "the database '%s' has its program's own order, which the dump cannot tell",
		    name == NULL ? "(main)" : bytes_text(name, text, sizeof text));
	printf("VERSION=3\nformat=%s\n", call->opt.print ? "print" : "bytevalue");
	if (name != NULL)
		dump_print_name(name);
	printf("type=btree\nmapsize=%" PRIu64 "\nmaxreaders=126\n", dump->mapsize);
	for (size_t i = 0; i < DUMP_WORDS; i++) {
		if (flags & dump_words[i].flag)
			printf("%s=1\n", dump_words[i].word);
	}
	puts("db_pagesize=4096\nHEADER=END");
	return call_output(call, false);
}

/* print_database - the selected database. */
static int print_database(struct dump *dump, const struct daxkv_val *name)
{
	int status = print_header(dump, name);

	if (status == EXIT_OK)
		status = each_entry(dump, entry_print);
	if (status != EXIT_OK)
		return status;
	puts("DATA=END");
	return call_output(dump->call, false);
}

/* has_plain - whether the main database has entries that are no databases. */
static int has_plain(const struct dump *dump, bool *plain)
{
	struct daxkv_db_stat stat;
	int err = daxkv_db_stat(dump->call->txn, DAXKV_MAIN, &stat);

	if (err != 0)
		return call_fail(dump->call, err, "cannot read the main database");
	*plain = stat.entries > dump->names.count;
	return EXIT_OK;
}

/* dump_each_database - weigh all databases that are to be dumped, or print them. */
static int dump_each_database(struct dump *dump, bool print)
{
	struct call *call = dump->call;
	bool plain = false;
	int status;

	if (call->opt.has_db)
		return print ? print_database(dump, &call->opt.db) : each_entry(dump, entry_weigh);
	status = has_plain(dump, &plain);
	if (status == EXIT_OK && (plain || dump->names.count == 0))
		status = print ? print_database(dump, NULL) : each_entry(dump, entry_weigh);
	for (size_t i = 0; i < dump->names.count && status == EXIT_OK; i++) {
		status = store_select(call, &dump->names.name[i], 0);
		if (status == EXIT_OK)
			status = print ? print_database(dump, &dump->names.name[i])
			               : each_entry(dump, entry_weigh);
		if (status == EXIT_OK)
			status = store_next_db(call);
	}
	return status;
}

int run_dump(struct call *call)
{
	bool begun = false;
	struct dump dump = {.call = call, .mapsize = MAPSIZE_MIN};
	int status = store_read_verified(call);

	if (status == EXIT_OK)
		status = names_read(call, &dump.names);
	begun = progress_begin_beside_output(call, "entries read");
	if (status == EXIT_OK)
		status = dump_each_database(&dump, false);
	while (dump.mapsize < 4 * dump.size)
		dump.mapsize *= 2;
	if (status == EXIT_OK)
		status = dump_each_database(&dump, true);
	progress_end(begun);
	names_free(&dump.names);
	return status;
}
