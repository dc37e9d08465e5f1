/* SPDX-License-Identifier: BSD-3-Clause */
/* mdb_dump.c - usage: mdb_dump [-V] [-f OUTPUT] [-l] [-n] [-p] [-a | -s SUBDB] DBPATH */
#include "dump_words.h"
#include "tool.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dump {
	bool print, list;
};

static void print_bytes(const MDB_val *v, bool print)
{
	const unsigned char *p = v->mv_data;

	putchar(' ');
	for (size_t i = 0; i < v->mv_size; i++) {
		if (print && isprint(p[i]) && p[i] != '\\')
			putchar(p[i]);
		else
			printf(print ? "\\%02x" : "%02x", p[i]);
	}
	putchar('\n');
}

static int print_head(MDB_txn *txn, MDB_dbi dbi, const char *name, bool print)
{
	unsigned int flags;
	MDB_stat st;
	MDB_envinfo info;
	int rc = mdb_dbi_flags(txn, dbi, &flags);

	if (!rc)
		rc = mdb_stat(txn, dbi, &st);
	if (!rc)
		rc = mdb_env_info(mdb_txn_env(txn), &info);
	if (rc)
		return rc;
	printf("VERSION=3\nformat=%s\n", print ? "print" : "bytevalue");
	if (name)
		printf("database=%s\n", name);
	printf("type=btree\nmapsize=%zu\n", info.me_mapsize);
	if (info.me_mapaddr)
		printf("mapaddr=%p\n", info.me_mapaddr);
	printf("maxreaders=%u\n", info.me_maxreaders);
	for (size_t i = 0; i < DUMP_WORDS; i++)
		if (flags & dump_words[i].flag)
			printf("%s=1\n", dump_words[i].word);
	printf("db_pagesize=%u\nHEADER=END\n", st.ms_psize);
	return 0;
}

static int dump_database(MDB_txn *txn, const char *name, MDB_dbi dbi, void *arg)
{
	struct dump *dump = arg;
	MDB_cursor *c;
	MDB_val key, data;
	MDB_stat st;
	size_t found = 0;
	int rc;

	if (dump->list) {
		printf("%s\n", name);
		return 0;
	}
	rc = print_head(txn, dbi, name, dump->print);
	if (!rc)
		rc = mdb_stat(txn, dbi, &st);
	if (!rc)
		rc = mdb_cursor_open(txn, dbi, &c);
	if (rc)
		return rc;
	for (; (rc = mdb_cursor_get(c, &key, &data, MDB_NEXT)) == 0 && !ferror(stdout); found++) {
		print_bytes(&key, dump->print);
		print_bytes(&data, dump->print);
	}
	mdb_cursor_close(c);
	if (rc == MDB_NOTFOUND)
		rc = found == st.ms_entries ? 0 : MDB_CORRUPTED; /* else the end came too early */
	if (!rc) /* mdb_load refuses a dump without it */
		printf("DATA=END\n");
	return rc;
}

static int usage(void)
{
	fprintf(stderr, "usage: %s [-V] [-f output] [-l] [-n] [-p] [-a|-s subdb] dbpath\n",
	        tool_name);
	return 1;
}

static int run(MDB_env *env, const char *path, struct dump *dump, bool all, const char *db)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return tool_fail("mdb_txn_begin", rc);
	if (all || dump->list) {
		size_t names = 0;

		rc = tool_named(txn, dump_database, dump, &names);
		if (!rc && !names) { /* LMDB's tool counts entries as well */
			fprintf(stderr, "%s: %s does not contain multiple databases\n", tool_name,
			        path);
			rc = MDB_NOTFOUND;
		}
	} else {
		rc = mdb_dbi_open(txn, db, 0, &dbi);
		if (rc)
			tool_fail("mdb_open", rc);
		else
			rc = dump_database(txn, db, dbi, dump);
	}
	if (rc && rc != MDB_NOTFOUND)
		fprintf(stderr, "%s: %s: %s\n", tool_name, path, mdb_strerror(rc));
	mdb_txn_abort(txn);
	return rc != 0;
}

int main(int argc, char **argv)
{
	struct dump dump = {0};
	unsigned int flags = MDB_RDONLY;
	const char *db = NULL;
	bool all = false;
	int option;

	tool_name = argv[0];
	while ((option = getopt(argc, argv, "Vaf:lnps:")) != -1) {
		switch (option) {
		case 'V':
			printf("%s\n", mdb_version(NULL, NULL, NULL));
			return 0;
		case 'a':
			all = true;
			break;
		case 'f':
			if (!freopen(optarg, "w", stdout)) {
				fprintf(stderr, "%s: %s: reopen: %s\n", tool_name, optarg,
				        strerror(errno));
				return 1;
			}
			break;
		case 'l':
			dump.list = true;
			break;
		case 'n':
			flags |= MDB_NOSUBDIR;
			break;
		case 'p':
			dump.print = true;
			break;
		case 's':
			db = optarg;
			break;
		default:
			return usage();
		}
	}
	if (optind != argc - 1 || (all && db))
		return usage();
	setenv("DAXKV_VERIFY", "1", 0); /* a dump is what is left when the store is not */
	MDB_env *env = tool_open(argv[optind], flags, 0664);

	if (!env)
		return 1;
	int rc = run(env, argv[optind], &dump, all, db);

	mdb_env_close(env);
	return tool_output() || rc;
}
