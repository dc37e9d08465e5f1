/* SPDX-License-Identifier: BSD-3-Clause */
/* layout.c - prints sizes, offsets and numbers of LMDB's interface: compiled with lmdb.h, and with
 * the layer's own header, it prints the same. */
#ifdef STOCK
#include <lmdb.h>
#else
#include "lmdb_abi.h"
#endif
#include <stddef.h>
#include <stdio.h>

#define NUMBER(name) printf(#name " %d\n", (int)(name))
#define FIELD(type, field)                                                                         \
	printf(#type "." #field " %zu %zu\n", offsetof(type, field), sizeof(((type *)NULL)->field))

static void numbers(void)
{
	NUMBER(MDB_FIXEDMAP), NUMBER(MDB_NOSUBDIR), NUMBER(MDB_NOSYNC), NUMBER(MDB_RDONLY),
	    NUMBER(MDB_NOMETASYNC), NUMBER(MDB_WRITEMAP);
	NUMBER(MDB_MAPASYNC), NUMBER(MDB_NOTLS), NUMBER(MDB_NOLOCK), NUMBER(MDB_NORDAHEAD),
	    NUMBER(MDB_NOMEMINIT);
	NUMBER(MDB_REVERSEKEY), NUMBER(MDB_DUPSORT), NUMBER(MDB_INTEGERKEY), NUMBER(MDB_DUPFIXED),
	    NUMBER(MDB_INTEGERDUP), NUMBER(MDB_REVERSEDUP);
	NUMBER(MDB_CREATE), NUMBER(MDB_NOOVERWRITE), NUMBER(MDB_NODUPDATA), NUMBER(MDB_CURRENT),
	    NUMBER(MDB_RESERVE), NUMBER(MDB_APPEND);
	NUMBER(MDB_APPENDDUP), NUMBER(MDB_MULTIPLE), NUMBER(MDB_CP_COMPACT);
	NUMBER(MDB_FIRST), NUMBER(MDB_FIRST_DUP), NUMBER(MDB_GET_BOTH), NUMBER(MDB_GET_BOTH_RANGE),
	    NUMBER(MDB_GET_CURRENT), NUMBER(MDB_GET_MULTIPLE);
	NUMBER(MDB_LAST), NUMBER(MDB_LAST_DUP), NUMBER(MDB_NEXT), NUMBER(MDB_NEXT_DUP),
	    NUMBER(MDB_NEXT_MULTIPLE), NUMBER(MDB_NEXT_NODUP);
	NUMBER(MDB_PREV), NUMBER(MDB_PREV_DUP), NUMBER(MDB_PREV_NODUP), NUMBER(MDB_SET),
	    NUMBER(MDB_SET_KEY), NUMBER(MDB_SET_RANGE);
	NUMBER(MDB_PREV_MULTIPLE);
	NUMBER(MDB_KEYEXIST), NUMBER(MDB_NOTFOUND), NUMBER(MDB_PAGE_NOTFOUND),
	    NUMBER(MDB_CORRUPTED), NUMBER(MDB_PANIC), NUMBER(MDB_VERSION_MISMATCH);
	NUMBER(MDB_INVALID), NUMBER(MDB_MAP_FULL), NUMBER(MDB_DBS_FULL), NUMBER(MDB_READERS_FULL),
	    NUMBER(MDB_TLS_FULL), NUMBER(MDB_TXN_FULL);
	NUMBER(MDB_CURSOR_FULL), NUMBER(MDB_PAGE_FULL), NUMBER(MDB_MAP_RESIZED),
	    NUMBER(MDB_INCOMPATIBLE), NUMBER(MDB_BAD_RSLOT), NUMBER(MDB_BAD_TXN);
	NUMBER(MDB_BAD_VALSIZE), NUMBER(MDB_BAD_DBI);
}

int main(void)
{
	numbers();
	FIELD(MDB_val, mv_size), FIELD(MDB_val, mv_data);
	FIELD(MDB_stat, ms_psize), FIELD(MDB_stat, ms_depth), FIELD(MDB_stat, ms_branch_pages),
	    FIELD(MDB_stat, ms_leaf_pages);
	FIELD(MDB_stat, ms_overflow_pages), FIELD(MDB_stat, ms_entries);
	FIELD(MDB_envinfo, me_mapaddr), FIELD(MDB_envinfo, me_mapsize),
	    FIELD(MDB_envinfo, me_last_pgno), FIELD(MDB_envinfo, me_last_txnid);
	FIELD(MDB_envinfo, me_maxreaders), FIELD(MDB_envinfo, me_numreaders);
	printf("%zu %zu %zu %zu %zu\n", sizeof(MDB_val), sizeof(MDB_stat), sizeof(MDB_envinfo),
	       sizeof(MDB_dbi), sizeof(MDB_cursor_op));
	return 0;
}
