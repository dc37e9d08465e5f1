/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load_mdb.c - the text format of mdb_dump: one or more databases, each
 *
 *   VERSION=3
 *   keyword=value       format=bytevalue or print; database=NAME; type=btree; dupsort=1 and other
 *                       flags; sizes, which say nothing here
 *   HEADER=END
 *    key                a blank, then hexadecimal digits (bytevalue) or characters with \HH and \\
 *                       (print)
 *    value
 *   DATA=END
 *
 * One line of its own is kv dump's: name_escaped=1 tells that the name is written with \HH and \\,
 * as names with a line's end must be.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dump_words.h"
#include "load.h"

struct header {
	bool print, has_name, name_escaped;
	unsigned int flags;
	char *name; /* owned */
	size_t name_size;
};

/* is_size - keywords that describe the other store's file. */
static bool is_size(const char *keyword)
{
	static const char *const sizes[] = {"mapsize", "mapaddr", "maxreaders", "db_pagesize"};

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		if (strcmp(keyword, sizes[i]) == 0)
			return true;
	}
	return false;
}

/* header_name - keep the name, which outlives the line. */
static int header_name(const struct load *load, const struct load_input *input,
                       struct header *header, const char *value, size_t size)
{
	free(header->name);
	header->name = malloc(size + 1);
	if (header->name == NULL)
		return call_fail_sys(load->call, ENOMEM, "cannot read '%s'", input->path);
	memcpy(header->name, value, size);
	header->name_size = size;
	header->has_name = true;
	return EXIT_OK;
}

/* header_line - one line of keyword=value. */
static int header_line(const struct load *load, const struct load_input *input,
                       struct header *header)
{
	char *value = memchr(input->line, '=', input->size);
	unsigned int flag;

	if (value == NULL)
		return load_bad_line(load, input, "the header needs lines of keyword=value");
	*value++ = '\0';
	if (strcmp(input->line, "database") == 0)
		return header_name(load, input, header, value,
		                   input->size - (size_t)(value - input->line));
	if (strcmp(input->line, "name_escaped") == 0) {
		header->name_escaped = strcmp(value, "1") == 0;
	} else if (strcmp(input->line, "format") == 0) {
		header->print = strcmp(value, "print") == 0;
		if (!header->print && strcmp(value, "bytevalue") != 0)
			return load_bad_line(load, input,
			                     "the format is neither bytevalue nor print");
	} else if (strcmp(input->line, "type") == 0) {
		if (strcmp(value, "btree") != 0)
			return load_bad_line(load, input, "the type is not btree");
	} else if ((flag = dump_word_flag(input->line)) != 0) {
		if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
			return load_bad_line(load, input, "a flag is 0 or 1");
		header->flags |= *value == '1' ? flag : 0;
	} else if (!is_size(input->line)) {
		call_note(load->call, "%s: line %llu: header line '%.64s' ignored", input->path,
		          (unsigned long long)input->number, input->line);
	}
	return EXIT_OK;
}

/* header_read - the lines behind VERSION=3, up to HEADER=END. */
static int header_read(const struct load *load, struct load_input *input, struct header *header)
{
	int got, status;

	while ((got = load_line(load, input)) > 0) {
		if (strcmp(input->line, "HEADER=END") == 0) {
			if ((header->flags & DAXKV_DUP_SORT) ==
			    0) /* LMDB keeps flags of duplicates where there are none */
				header->flags &=
				    ~(unsigned int)(DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP |
				                    DAXKV_REVERSE_DUP);
			return EXIT_OK;
		}
		status = header_line(load, input, header);
		if (status != EXIT_OK)
			return status;
	}
	return got < 0 ? load_status(got)
	               : load_bad_line(load, input, "the dump ends before HEADER=END");
}

/* decode - the bytes of a data line. */
static int decode(const struct load *load, const struct load_input *input, bool print,
                  struct daxkv_val *bytes)
{
	if (input->line[0] != ' ')
		return load_bad_line(load, input, "a line of data begins with a blank");
	if (!print && !bytes_decode_hex(input->line + 1, input->size - 1, bytes))
		return load_bad_line(load, input, "the data are not pairs of hexadecimal digits");
	if (print && !bytes_decode_short(input->line + 1, input->size - 1, bytes))
		return load_bad_line(load, input,
		                     "a backslash must begin \\HH or \\\\ (older mdb_dump -p "
		                     "writes them bare: dump without -p instead)");
	return EXIT_OK;
}

/* data_key - the key of the next entry, copied to *room, as the value's line takes its place. 1, 0
 * at DATA=END, or -1: printed. */
static int data_key(const struct load *load, struct load_input *input, bool print, char **room,
                    size_t *room_size, struct daxkv_val *key, int *status)
{
	int got = load_line(load, input);

	*status = EXIT_SYSTEM;
	if (got < 0) {
		*status = load_status(got);
		return -1;
	}
	if (got == 0)
		*status = load_bad_line(load, input, "the dump ends before DATA=END");
	else if (strcmp(input->line, "DATA=END") == 0)
		return 0;
	else
		*status = decode(load, input, print, key);
	if (*status != EXIT_OK)
		return -1;
	if (key->size > *room_size) {
		char *larger = realloc(*room, key->size);
		if (larger == NULL) {
			*status =
			    call_fail_sys(load->call, ENOMEM, "cannot read '%s'", input->path);
			return -1;
		}
		*room = larger;
		*room_size = key->size;
	}
	if (key->size > 0)
		memcpy(*room, key->data, key->size);
	key->data = *room;
	return 1;
}

/* data_read - the entries up to DATA=END. */
static int data_read(struct load *load, struct load_input *input, bool print)
{
	char *room = NULL;
	size_t room_size = 0;
	struct daxkv_val key, value;
	int more, status = EXIT_OK;

	while ((more = data_key(load, input, print, &room, &room_size, &key, &status)) > 0) {
		int got = load_line(load, input);
		if (got <= 0)
			status = got < 0
			             ? load_status(got)
			             : load_bad_line(load, input, "the dump ends before a value");
		else
			status = decode(load, input, print, &value);
		if (status == EXIT_OK)
			status = load_put(load, &key, &value);
		if (status != EXIT_OK)
			break;
	}
	free(room);
	return more == 0 ? EXIT_OK : status;
}

/* database_read - one database, from behind its VERSION=3. */
static int database_read(struct load *load, struct load_input *input)
{
	struct header header = {0};
	struct daxkv_val name = {0, NULL};
	int status = header_read(load, input, &header);

	if (status == EXIT_OK && header.has_name) {
		name = (struct daxkv_val){header.name_size, header.name};
		if (header.name_escaped &&
		    !bytes_decode_short(header.name, header.name_size, &name))
			status = load_bad_line(
			    load, input,
			    "a backslash in the database's name must begin \\HH or \\\\");
	}
	if (status == EXIT_OK)
		status = load_database(load, header.has_name ? &name : NULL,
		                       header.flags | load->call->opt.db_flags);
	if (status == EXIT_OK)
		status = data_read(load, input, header.print);
	free(header.name);
	return status;
}

int load_mdb(struct load *load, struct load_input *input)
{
	bool any = false;
	int got, status;

	while ((got = load_line(load, input)) > 0) {
		if (strcmp(input->line, "VERSION=3") != 0)
			return load_bad_line(load, input,
			                     "a dump of version 3 begins with VERSION=3");
		status = database_read(load, input);
		if (status != EXIT_OK)
			return status;
		any = true;
	}
	if (got < 0)
		return load_status(got);
	return any ? EXIT_OK : load_bad_line(load, input, "the dump is empty");
}
