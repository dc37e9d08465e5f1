/* SPDX-License-Identifier: BSD-3-Clause */
/* mdb_load.c - usage: mdb_load [-V] [-a] [-f INPUT] [-n] [-s NAME] [-N] [-T] DBPATH */
#include "dump_words.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 100u /* entries of a transaction */

struct load {
	const char *path;
	char *name; /* of the database; NULL: the main one */
	char *line; /* the last read */
	size_t room, number;
	unsigned int env_flags, flags, put_flags;
	size_t mapsize;
	unsigned int maxreaders;
	bool text, print, append, ended;
	MDB_env *env;
};

static int bad(const struct load *load, const char *what)
{
	fprintf(stderr, "%s: line %zu: %s\n", tool_name, load->number, what);
	return EINVAL;
}

/* line_read - the next line without its end; its length, or -1 at the input's end. */
static ssize_t line_read(struct load *load)
{
	ssize_t n = getline(&load->line, &load->room, stdin);

	if (n < 0)
		return -1; /* run looks for a failure when all is read */
	load->number++;
	if (n && load->line[n - 1] == '\n')
		load->line[--n] = '\0';
	return n;
}

/* ---- headers --------------------------------------------------------------------------------- */

static int head_line(struct load *load)
{
	char *value = strchr(load->line, '=');
	unsigned int flag;

	if (!value)
		return bad(load, "unexpected format");
	*value++ = '\0';
	if (strcmp(load->line, "VERSION") == 0)
		return atoi(value) > 3 ? bad(load, "unsupported VERSION") : 0;
	if (strcmp(load->line, "format") == 0) {
		load->print = strcmp(value, "print") == 0;
		return load->print || strcmp(value, "bytevalue") == 0
		           ? 0
		           : bad(load, "unsupported FORMAT");
	}
	if (strcmp(load->line, "type") == 0)
		return strcmp(value, "btree") == 0 ? 0 : bad(load, "unsupported type");
	if (strcmp(load->line, "database") == 0) {
		free(load->name);
		load->name = strdup(value);
		return load->name ? 0 : ENOMEM;
	}
	if (strcmp(load->line, "mapsize") == 0)
		return sscanf(value, "%zu", &load->mapsize) == 1 ? 0 : bad(load, "invalid mapsize");
	if (strcmp(load->line, "maxreaders") == 0)
		return sscanf(value, "%u", &load->maxreaders) == 1
		           ? 0
		           : bad(load, "invalid maxreaders");
	if ((flag = dump_word_flag(load->line)) != 0)
		load->flags = atoi(value) ? load->flags | flag : load->flags & ~flag;
	else if (strcmp(load->line, "db_pagesize") != 0 && strcmp(load->line, "mapaddr") != 0)
		fprintf(stderr, "%s: line %zu: unrecognized keyword ignored: %s\n", tool_name,
		        load->number, load->line);
	return 0;
}

/* head_read - up to HEADER=END; *more false when the input ended before. */
static int head_read(struct load *load, bool *more)
{
	*more = false;
	load->flags = 0;
	while (line_read(load) >= 0) {
		if (strcmp(load->line, "HEADER=END") == 0) {
			*more = true;
			return 0;
		}
		int rc = head_line(load);

		if (rc)
			return rc;
	}
	return 0;
}

/* ---- entries --------------------------------------------------------------------------------- */

static int digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

/* decode - the bytes that the text stands for, in its place. */
static int decode(const struct load *load, char *text, size_t size, MDB_val *v)
{
	char *out = text;

	v->mv_data = text;
	for (size_t i = 0; i < size;) {
		bool escape = (load->print || load->text) && text[i] == '\\';

		if ((load->print || load->text) &&
		    (!escape || (i + 1 < size && text[i + 1] == '\\'))) {
			i += escape;
			*out++ = text[i++];
			continue;
		}
		i += escape;
		int high = i < size ? digit(text[i]) : -1,
		    low = i + 1 < size ? digit(text[i + 1]) : -1;

		if (high < 0 || low < 0)
			return bad(load, "bad hexadecimal digits");
		*out++ = (char)(high * 16 + low);
		i += 2;
	}
	v->mv_size = (size_t)(out - text);
	return 0;
}

/* item_read - a key or a value. *more false at DATA=END, or at the end of plain text. */
static int item_read(struct load *load, char **copy, MDB_val *v, bool *more)
{
	ssize_t n = line_read(load);

	*more = false;
	if (n < 0) {
		load->ended = true;
		return load->text ? 0 : bad(load, "unexpected end of file");
	}
	if (!load->text && strcmp(load->line, "DATA=END") == 0)
		return 0;
	if (!load->text && load->line[0] != ' ')
		return bad(load, "unexpected format");
	*more = true;
	free(*copy);
	*copy = malloc((size_t)n + 1);
	if (!*copy)
		return ENOMEM;
	memcpy(*copy, load->line, (size_t)n + 1);
	return decode(load, *copy + !load->text, (size_t)n - !load->text, v);
}

static int ever_greater(const MDB_val *a, const MDB_val *b)
{
	(void)a;
	(void)b;
	return 1;
}

static int database_open(struct load *load, MDB_txn **txn, MDB_dbi *dbi, MDB_cursor **c)
{
	int rc = mdb_txn_begin(load->env, NULL, 0, txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(*txn, load->name, load->flags | MDB_CREATE, dbi);
	if (!rc && load->append) {
		rc = mdb_set_compare(*txn, *dbi, ever_greater);
		if (!rc && load->flags & MDB_DUPSORT)
			rc = mdb_set_dupsort(*txn, *dbi, ever_greater);
	}
	if (!rc)
		rc = mdb_cursor_open(*txn, *dbi, c);
	if (rc)
		mdb_txn_abort(*txn);
	return rc;
}

/* put - with -a in the order of the input: a key that is the last one's again gets another
 * duplicate. */
static int put(struct load *load, MDB_cursor *c, MDB_val *key, MDB_val *data)
{
	unsigned int flags = load->put_flags;
	MDB_val last, value;

	if (load->append) {
		int rc = mdb_cursor_get(c, &last, &value, MDB_LAST);
		bool same = !rc && last.mv_size == key->mv_size &&
		            memcmp(last.mv_data, key->mv_data, last.mv_size) == 0;

		if (rc && rc != MDB_NOTFOUND)
			return rc;
		flags = same && load->flags & MDB_DUPSORT ? MDB_APPENDDUP : MDB_APPEND;
	}
	return mdb_cursor_put(c, key, data, flags);
}

static int entries_load(struct load *load)
{
	char *key_text = NULL, *data_text = NULL;
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_dbi dbi;
	MDB_val key, data;
	bool more = true;
	int rc = database_open(load, &txn, &dbi, &c);

	if (rc) {
		tool_fail("mdb_open", rc);
		return rc;
	}
	for (unsigned int n = 0; !rc;) {
		rc = item_read(load, &key_text, &key, &more);
		if (rc || !more)
			break;
		rc = item_read(load, &data_text, &data, &more);
		if (!rc && !more)
			rc = bad(load, "a key without a value");
		if (rc)
			break;
		rc = put(load, c, &key, &data);
		if (rc == MDB_KEYEXIST && load->put_flags)
			rc = 0;
		else if (rc)
			tool_fail("mdb_cursor_put", rc);
		if (!rc && ++n == BATCH) {
			n = 0;
			rc = mdb_txn_commit(txn);
			if (!rc)
				rc = database_open(load, &txn, &dbi, &c);
			if (rc) {
				tool_fail("mdb_txn_commit", rc);
				txn = NULL;
			}
		}
	}
	free(key_text);
	free(data_text);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn);
	if (rc)
		tool_fail("mdb_txn_commit", rc);
	if (load->name)
		mdb_dbi_close(load->env, dbi);
	return rc;
}

static int env_open(struct load *load)
{
	int rc = mdb_env_create(&load->env);

	if (rc)
		return rc;
	rc = mdb_env_set_maxdbs(load->env, 2);
	if (!rc && load->maxreaders)
		rc = mdb_env_set_maxreaders(load->env, load->maxreaders);
	if (!rc && load->mapsize)
		rc = mdb_env_set_mapsize(load->env, load->mapsize);
	if (!rc)
		rc = mdb_env_open(load->env, load->path, load->env_flags, 0664);
	if (rc)
		tool_fail("mdb_env_open", rc);
	return rc;
}

static int run(struct load *load)
{
	bool more = true;
	int rc = load->text ? 0 : head_read(load, &more);

	if (!rc) /* also when there is no input */
		rc = env_open(load);
	while (!rc && more) {
		rc = entries_load(load);
		more = !load->ended;
		if (!rc && more)
			rc = head_read(load, &more);
	}
	if (ferror(stdin)) {
		fprintf(stderr, "%s: line %zu: the input cannot be read\n", tool_name,
		        load->number + 1);
		rc = EIO;
	}
	if (load->env)
		mdb_env_close(load->env);
	return rc != 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: %s [-V] [-a] [-f input] [-n] [-s name] [-N] [-T] dbpath\n",
	        tool_name);
	return 1;
}

int main(int argc, char **argv)
{
	struct load load = {0};
	int option, rc;

	tool_name = argv[0];
	while ((option = getopt(argc, argv, "Vaf:ns:NT")) != -1) {
		switch (option) {
		case 'V':
			printf("%s\n", mdb_version(NULL, NULL, NULL));
			return 0;
		case 'a':
			load.append = true;
			break;
		case 'f':
			if (!freopen(optarg, "r", stdin)) {
				fprintf(stderr, "%s: %s: reopen: %s\n", tool_name, optarg,
				        strerror(errno));
				return 1;
			}
			break;
		case 'n':
			load.env_flags |= MDB_NOSUBDIR;
			break;
		case 's':
			free(load.name);
			load.name = strdup(optarg);
			break;
		case 'N':
			load.put_flags = MDB_NOOVERWRITE | MDB_NODUPDATA;
			break;
		case 'T':
			load.text = true;
			break;
		default:
			return usage();
		}
	}
	if (optind != argc - 1)
		return usage();
	load.path = argv[optind];
	rc = run(&load);
	free(load.name);
	free(load.line);
	return rc;
}
