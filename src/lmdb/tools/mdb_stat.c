/* SPDX-License-Identifier: BSD-3-Clause */
/* mdb_stat.c - usage: mdb_stat [-V] [-n] [-e] [-r[r]] [-f[f[f]]] [-a | -s SUBDB] DBPATH */
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void print_stat(const MDB_stat *st)
{
	printf("  Tree depth: %u\n  Branch pages: %zu\n  Leaf pages: %zu\n  Overflow pages: %zu\n  "
	       "Entries: %zu\n",
	       st->ms_depth, st->ms_branch_pages, st->ms_leaf_pages, st->ms_overflow_pages,
	       st->ms_entries);
}

static int print_env(MDB_env *env)
{
	MDB_stat st;
	MDB_envinfo info;
	int rc = mdb_env_info(env, &info); /* first: mdb_env_stat takes a reader's place */

	if (!rc)
		rc = mdb_env_stat(env, &st);
	if (rc)
		return tool_fail("mdb_env_info", rc);
	printf("Environment Info\n  Map address: %p\n  Map size: %zu\n  Page size: %u\n  Max "
	       "pages: %zu\n  Number of pages used: %zu\n",
	       info.me_mapaddr, info.me_mapsize, st.ms_psize, info.me_mapsize / st.ms_psize,
	       info.me_last_pgno + 1);
	printf("  Last transaction ID: %zu\n  Max readers: %u\n  Number of readers used: %u\n",
	       info.me_last_txnid, info.me_maxreaders, info.me_numreaders);
	return 0;
}

static int print_line(const char *msg, void *ctx)
{
	return fputs(msg, ctx) < 0 ? -1 : 0;
}

static int print_readers(MDB_env *env, int level)
{
	int rc, dead = 0;

	printf("Reader Table Status\n");
	rc = mdb_reader_list(env, print_line, stdout);
	if (rc >= 0 && level > 1) {
		rc = mdb_reader_check(env, &dead);
		printf("  %d stale readers cleared.\n", dead);
		if (rc == 0)
			rc = mdb_reader_list(env, print_line, stdout);
	}
	return rc < 0 ? tool_fail("mdb_reader_list", rc) : 0;
}

/* print_free_list - it is empty: a store has no such database. */
static int print_free_list(MDB_txn *txn)
{
	MDB_stat st;
	int rc = mdb_stat(txn, 0, &st);

	if (rc)
		return tool_fail("mdb_stat", rc);
	printf("Freelist Status\n");
	print_stat(&st);
	printf("  Free pages: 0\n");
	return 0;
}

static int print_named(MDB_txn *txn, const char *name, MDB_dbi dbi, void *arg)
{
	MDB_stat st;
	int rc = mdb_stat(txn, dbi, &st);

	(void)arg;
	if (!rc) {
		printf("Status of %s\n", name);
		print_stat(&st);
	}
	return rc;
}

struct wish {
	bool env, all;
	int readers, free_list;
	const char *db;
	unsigned int flags;
};

static int run(MDB_env *env, const struct wish *wish)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc = wish->env ? print_env(env) : 0;

	if (!rc && wish->readers) {
		rc = print_readers(env, wish->readers);
		if (!rc && !wish->env && !wish->free_list && !wish->all && !wish->db)
			return 0;
	}
	if (rc)
		return rc;
	rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return tool_fail("mdb_txn_begin", rc);
	if (wish->free_list)
		rc = print_free_list(txn);
	if (!rc) {
		rc = mdb_dbi_open(txn, wish->db, 0, &dbi);
		if (rc)
			tool_fail("mdb_open", rc);
		else
			rc = print_named(txn, wish->db ? wish->db : "Main DB", dbi, NULL);
	}
	if (!rc && wish->all)
		rc = tool_named(txn, print_named, NULL, NULL);
	mdb_txn_abort(txn);
	return rc != 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: %s [-V] [-n] [-e] [-r[r]] [-f[f[f]]] [-a|-s subdb] dbpath\n",
	        tool_name);
	return 1;
}

int main(int argc, char **argv)
{
	struct wish wish = {0};
	int option, rc;

	tool_name = argv[0];
	while ((option = getopt(argc, argv, "Vaefnrs:")) != -1) {
		switch (option) {
		case 'V':
			printf("%s\n", mdb_version(NULL, NULL, NULL));
			return 0;
		case 'a':
			wish.all = true;
			break;
		case 'e':
			wish.env = true;
			break;
		case 'f':
			wish.free_list++;
			break;
		case 'n':
			wish.flags |= MDB_NOSUBDIR;
			break;
		case 'r':
			wish.readers++;
			break;
		case 's':
			wish.db = optarg;
			break;
		default:
			return usage();
		}
	}
	if (optind != argc - 1 || (wish.all && wish.db))
		return usage();
	setenv("DAXKV_VERIFY", "1", 0); /* no database is left out without a word */
	MDB_env *env = tool_open(argv[optind], wish.flags | MDB_RDONLY, 0664);

	if (!env)
		return 1;
	rc = run(env, &wish);
	mdb_env_close(env);
	return tool_output() || rc;
}
