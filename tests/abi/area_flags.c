/* SPDX-License-Identifier: BSD-3-Clause */
/* area_flags.c - every flag of an environment, alone and with others; integers where programs read
 * them in place; what statistics add up to. */
#include "areas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
	const char *name;
	unsigned int flag;
} env_flags[] = {
    {"fixedmap", MDB_FIXEDMAP},   {"nosubdir", MDB_NOSUBDIR},     {"nosync", MDB_NOSYNC},
    {"rdonly", MDB_RDONLY},       {"nometasync", MDB_NOMETASYNC}, {"writemap", MDB_WRITEMAP},
    {"mapasync", MDB_MAPASYNC},   {"notls", MDB_NOTLS},           {"nolock", MDB_NOLOCK},
    {"nordahead", MDB_NORDAHEAD}, {"nomeminit", MDB_NOMEMINIT}};
#define FLAGS (sizeof env_flags / sizeof env_flags[0])

/* written - an entry put, read back, and read back once more by a read-only environment; what the
 * flags are then. */
static void written(const char *name, unsigned int flags)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k = value_of("k"), v = value_of("v");
	unsigned int now = 0;
	int rc;

	if (!(flags & MDB_NOSUBDIR))
		mkdir(name, 0755);
	if (mdb_env_create(&env))
		exit(2);
	rc = mdb_env_open(env, name, flags, 0644);
	printf("%x: open %d", flags, rc);
	if (!rc) {
		mdb_env_get_flags(env, &now);
		rc = mdb_txn_begin(env, NULL, 0, &txn);
		printf(", flags %x, begin %d", now, rc);
		if (!rc) {
			printf(", open %d", mdb_dbi_open(txn, NULL, 0, &dbi));
			printf(", put %d", mdb_put(txn, dbi, &k, &v, 0));
			printf(", commit %d", mdb_txn_commit(txn));
			printf(", put %d",
			       mdb_put(txn, dbi, &k, &v, 0)); /* LMDB knows that it has ended */
			printf(", sync %d", mdb_env_sync(env, 1));
		}
	}
	mdb_env_close(env);
	if (mdb_env_create(&env))
		exit(2);
	rc = mdb_env_open(env, name, (flags & ~(unsigned int)MDB_WRITEMAP) | MDB_RDONLY, 0644);
	printf("; again %d", rc);
	if (!rc && !(rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))) {
		rc = mdb_dbi_open(txn, NULL, 0, &dbi);
		if (!rc)
			rc = mdb_get(txn, dbi, &k, &v);
		mdb_txn_abort(txn);
	}
	printf(", read %d\n", rc);
	mdb_env_close(env);
}

static void all_flags(void)
{
	char name[64];

	for (size_t i = 0; i < FLAGS; i++) {
		for (size_t j = i; j < FLAGS; j++) {
			snprintf(name, sizeof name, "flags-%s-%s", env_flags[i].name,
			         env_flags[j].name);
			written(place(name), env_flags[i].flag | env_flags[j].flag);
		}
	}
}

static void setting(void)
{
	MDB_env *env = started("flags-set", 0);
	unsigned int now;

	for (size_t i = 0; i < FLAGS; i++) {
		for (int on = 1; on >= 0; on--) {
			printf("%s %d: %d", env_flags[i].name, on,
			       mdb_env_set_flags(env, env_flags[i].flag, on));
			mdb_env_get_flags(env, &now);
			printf(" %x\n", now);
		}
	}
	SHOW(mdb_env_set_assert(env, NULL));
	SHOW(mdb_env_set_assert(NULL, NULL));
	SHOW(mdb_env_set_userctx(NULL, NULL));
	printf("context %d %d\n", mdb_env_get_userctx(env) == NULL,
	       mdb_env_get_userctx(NULL) == NULL);
	SHOW(mdb_env_set_userctx(env, env));
	printf("context %d\n", mdb_env_get_userctx(env) == env);
	SHOW(mdb_env_copy2(env, place("flags-set-copy"), 0x10) != 0);
	mdb_env_close(env);
}

/* ---- integers -------------------------------------------------------------------------------- */

/* badly_placed - how many pointers a walk gives that are no multiple of what they point to. */
static unsigned int badly_placed(MDB_txn *txn, MDB_dbi dbi, size_t key_size, size_t data_size)
{
	MDB_cursor *c;
	MDB_val k, v;
	unsigned int n = 0;

	if (mdb_cursor_open(txn, dbi, &c))
		exit(2);
	while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0) {
		if (key_size && (uintptr_t)k.mv_data % key_size)
			n++;
		if (data_size && (uintptr_t)v.mv_data % data_size)
			n++;
	}
	mdb_cursor_close(c);
	return n;
}

static void put_integers(MDB_txn *txn, MDB_dbi dbi, size_t key_size, size_t data_size)
{
	for (uint64_t i = 0; i < 500; i++) {
		uint64_t key = i * 2654435761u % (data_size ? 7 : UINT32_MAX),
		         data = i * 40503u % 65536;
		MDB_val k = {key_size, &key}, v = {data_size ? data_size : i % 30, &data};
		char text[64] = "text behind which an odd number of bytes lies";

		if (!data_size)
			v.mv_data = text;
		if (mdb_put(txn, dbi, &k, &v, 0))
			exit(2);
	}
}

/* integers - LMDB itself places them by 2 bytes where a page has more than integers; what is read
 * here is by 4 and 8. */
static void integers(void)
{
	static const size_t sizes[][2] = {{4, 0}, {8, 0}, {4, 4}, {4, 8}, {8, 4}, {8, 8}};
	MDB_env *env = started("flags-integers", MDB_NOSYNC);
	int daxkv = strstr(mdb_version(NULL, NULL, NULL), "daxkv") != NULL;
	MDB_txn *txn;
	char name[16];

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		MDB_dbi dbi;

		snprintf(name, sizeof name, "%zu-%zu", sizes[i][0], sizes[i][1]);
		SHOW(mdb_dbi_open(
		    txn, name,
		    MDB_CREATE | MDB_INTEGERKEY |
		        (sizes[i][1] ? MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP : 0),
		    &dbi));
		put_integers(txn, dbi, sizes[i][0], sizes[i][1]);
		printf("badly placed %u\n",
		       daxkv ? badly_placed(txn, dbi, sizes[i][0], sizes[i][1]) : 0);
	}
	SHOW(mdb_txn_commit(txn));
	mdb_env_close(env);
}

/* odd_duplicate - with each way to put a duplicate of a size that no integer has; only the first
 * word and, without DUPFIXED, the rest differ. */
static void odd_duplicate(MDB_txn *txn, MDB_dbi dbi, size_t size, const char *bytes)
{
	MDB_val k = value_of("key"), v = {size, (void *)(uintptr_t)bytes};
	MDB_cursor *c;

	printf("%.*s\n", (int)size, bytes);
	SHOW(mdb_put(txn, dbi, &k, &v, 0));
	SHOW(mdb_put(txn, dbi, &k, &v, MDB_NODUPDATA));
	SHOW(mdb_cursor_open(txn, dbi, &c));
	k = value_of("other");
	SHOW(mdb_cursor_put(c, &k, &v, 0));
	k = value_of("key");
	SHOW(mdb_cursor_get(c, &k, &v, MDB_GET_BOTH));
	shown_val("both", &v);
	mdb_cursor_close(c);
}

/* odd_duplicates - a directory server keeps 12 bytes as an integer. */
static void odd_duplicates(size_t size, unsigned int fixed)
{
	static const char *const bytes[] = {"aaaa1zzzzzzz", "aaaa2zzzzzzz", "baaa1zzzzzzz",
	                                    "abaa0zzzzzzz", "aaaa3yyyyyyy", "aaaa3zzzzzzz",
	                                    "zaaa0aaaaaaa"};
	char name[24];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k = value_of("key"), v = {size, (void *)(uintptr_t) "aaaa9zzzzzzz"};

	snprintf(name, sizeof name, "odd-%zu-%u", size, fixed);
	env = started(name, MDB_NOSYNC);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "odd", MDB_CREATE | MDB_DUPSORT | MDB_INTEGERDUP | fixed, &dbi));
	for (size_t i = 0; i < 4; i++)
		odd_duplicate(txn, dbi, size, bytes[i]);
	SHOW(mdb_txn_commit(txn));
	mdb_env_close(env);

	if (mdb_env_create(&env) || mdb_env_set_maxdbs(env, 8))
		exit(2);
	SHOW(mdb_env_open(env, place(name), 0, 0644));
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "odd", 0, &dbi));
	shown_all(txn, dbi);
	for (size_t i = 4; i < sizeof bytes / sizeof bytes[0]; i++)
		odd_duplicate(txn, dbi, size, bytes[i]);
	SHOW(mdb_dcmp(txn, dbi, &v, &(MDB_val){size, (void *)(uintptr_t)bytes[1]}) == 0);
	SHOW(mdb_del(txn, dbi, &k, &v));
	shown_all(txn, dbi);
	SHOW(mdb_txn_commit(txn));
	mdb_env_close(env);
}

/* ---- cursors over a change of order ---------------------------------------------------------- */

/* A database that daxkv has to rewrite, because what is put next needs an order that it was not
 * made with: its cursors, and those of a parent, notice nothing. */

static int by_text(const MDB_val *a, const MDB_val *b)
{
	size_t n = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
	int c = memcmp(a->mv_data, b->mv_data, n);

	return c ? c : (int)a->mv_size - (int)b->mv_size;
}

static MDB_val numbered(unsigned int n, size_t size)
{
	static char text[16];

	memset(text, 'z', sizeof text);
	text[size - 2] = (char)('0' + n / 10);
	text[size - 1] = (char)('0' + n % 10);
	return (MDB_val){size, text};
}

static void filled(MDB_txn *txn, MDB_dbi dbi, bool dups)
{
	for (unsigned int i = 0; i < 6; i++) {
		MDB_val k = value_of(i < 4 ? "key" : i < 5 ? "last" : "a");
		MDB_val v = numbered(10 + 11 * i, 8);

		if (!dups)
			k = (MDB_val){8, v.mv_data};
		SHOW(mdb_put(txn, dbi, &k, &v, 0));
	}
}

/* mixed_duplicates - of several sizes, put by two environments in turn: LMDB reads beyond the short
 * ones, daxkv has one order for all, in which each is found again. Only failures are printed. */
static void mixed_duplicates(void)
{
	MDB_env *env;
	MDB_val k = value_of("key");
	MDB_txn *txn;
	MDB_dbi dbi;
	unsigned int wrong = 0;

	if (!is_daxkv())
		return;
	mkdir(place("odd-mixed"), 0755);
	for (unsigned int part = 0; part < 4; part++) {
		if (mdb_env_create(&env) || mdb_env_set_maxdbs(env, 8) ||
		    mdb_env_open(env, place("odd-mixed"), MDB_NOSYNC, 0644) ||
		    mdb_txn_begin(env, NULL, 0, &txn) ||
		    mdb_dbi_open(txn, "odd", MDB_CREATE | MDB_DUPSORT | MDB_INTEGERDUP, &dbi))
			exit(2);
		for (unsigned int i = 0; i < 48; i++) {
			unsigned int n = i * 7 % 48;
			MDB_val v = numbered(part % 2 + 2 * n, n % 3 ? 4 * (n % 3) : 12);

			if (i == 0 && part == 0)
				v = numbered(99, 12); /* from now on it takes any size */
			wrong += part < 2 ? mdb_put(txn, dbi, &k, &v, MDB_NODUPDATA) != 0
			                  : mdb_del(txn, dbi, &k, &v) != 0;
		}
		if (mdb_txn_commit(txn))
			exit(2);
		mdb_env_close(env);
	}
	if (wrong != 1) /* the first put was of another one */
		printf("mixed duplicates: %u are wrong\n", wrong);
}

enum { CURSORS = 7, STEPS = 5 };

static void all_move(MDB_cursor *const *c, MDB_cursor_op op)
{
	for (unsigned int i = 0; i < CURSORS; i++) {
		MDB_val k = {0, NULL}, v = {0, NULL};

		printf("cursor %u ", i);
		if (SHOW(mdb_cursor_get(c[i], &k, &v, op)))
			continue;
		shown_val("key", &k);
		shown_val("value", &v);
	}
}

static void all_opened(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **c)
{
	MDB_val k, v;

	for (unsigned int i = 0; i < CURSORS; i++)
		SHOW(mdb_cursor_open(txn, dbi, &c[i]));
	for (unsigned int i = 0; i < STEPS; i++)
		for (unsigned int n = 0; n <= i; n++)
			SHOW(mdb_cursor_get(c[i], &k, &v, MDB_NEXT));
	SHOW(mdb_cursor_get(c[STEPS], &k, &v, MDB_LAST)); /* and the next one stands nowhere */
}

struct change {
	const char *name;
	unsigned int flags; /* of the database */
	bool by_cursor, nested, kept;
	MDB_cursor_op op; /* what follows */
};

static void put_wide(MDB_txn *txn, MDB_dbi dbi, const struct change *h, MDB_cursor *c)
{
	MDB_val k = value_of("key"), v = numbered(35, h->flags ? 12 : 8);

	if (!h->flags)
		k = (MDB_val){8, v.mv_data};
	if (h->by_cursor)
		SHOW(mdb_cursor_put(c, &k, &v, 0));
	else
		SHOW(mdb_put(txn, dbi, &k, &v, 0));
}

static void rewritten(MDB_env *env, const struct change *h)
{
	MDB_cursor *c[CURSORS], *inner = NULL;
	MDB_txn *txn, *child;
	MDB_dbi dbi;

	printf("%s, cursor %d, nested %d, kept %d, then %d\n", h->name, h->by_cursor, h->nested,
	       h->kept, (int)h->op);
	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, h->name, 0, &dbi));
	if (!h->flags)
		SHOW(mdb_set_compare(txn, dbi, by_text));
	all_opened(txn, dbi, c);
	child = txn;
	if (h->nested)
		SHOW(mdb_txn_begin(env, txn, 0, &child));
	SHOW(mdb_cursor_open(child, dbi, &inner));
	put_wide(child, dbi, h, inner);
	mdb_cursor_close(inner);
	if (h->nested && h->kept)
		SHOW(mdb_txn_commit(child));
	else if (h->nested)
		mdb_txn_abort(child);
	all_move(c, h->op);
	all_move(c, MDB_GET_CURRENT);
	all_move(c, MDB_NEXT);
	shown_all(txn, dbi);
	for (unsigned int i = 0; i < CURSORS; i++)
		mdb_cursor_close(c[i]);
	mdb_txn_abort(txn);
}

static void orders_changed(void)
{
	static const MDB_cursor_op ops[] = {MDB_GET_CURRENT, MDB_NEXT, MDB_PREV, MDB_PREV_NODUP};
	MDB_env *env = started("flags-rewritten", MDB_NOSYNC);
	MDB_txn *txn;
	MDB_dbi dbi;

	SHOW(mdb_txn_begin(env, NULL, 0, &txn));
	SHOW(mdb_dbi_open(txn, "wide", MDB_CREATE | MDB_DUPSORT | MDB_INTEGERDUP, &dbi));
	filled(txn, dbi, true);
	SHOW(mdb_dbi_open(txn, "text", MDB_CREATE, &dbi));
	filled(txn, dbi, false);
	SHOW(mdb_txn_commit(txn));
	for (unsigned int i = 0; i < 2 * 2 * 3 * 4; i++) {
		struct change h = {.name = i & 1 ? "wide" : "text",
		                   .flags = i & 1 ? MDB_DUPSORT | MDB_INTEGERDUP : 0,
		                   .by_cursor = i >> 1 & 1,
		                   .op = ops[i / 12],
		                   .nested = i / 4 % 3 != 0,
		                   .kept = i / 4 % 3 == 1};

		rewritten(env, &h);
	}
	mdb_env_close(env);
}

/* ---- statistics ------------------------------------------------------------------------------ */

static void statistics(void)
{
	MDB_env *env = started("flags-stat", MDB_NOSYNC);
	MDB_txn *txn;
	MDB_envinfo info;
	MDB_stat st;
	struct stat file;
	static char bytes[9000];

	if (mdb_env_set_mapsize(env, 4 << 20) || mdb_txn_begin(env, NULL, 0, &txn))
		exit(2);
	for (unsigned int i = 0; i < 2000; i++) {
		MDB_val k = {sizeof i, &i}, v = {i % 100 ? 300 : sizeof bytes, bytes};

		if (mdb_put(txn, 1, &k, &v, 0))
			exit(2);
	}
	SHOW(mdb_txn_commit(txn));
	SHOW(mdb_env_info(env, &info));
	SHOW(mdb_env_stat(env, &st));
	size_t pages = st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
	int fd = -1;

	printf("entries %zu, depth %d, page size %u\n", st.ms_entries,
	       st.ms_depth >= 2 && st.ms_depth <= 4, st.ms_psize);
	printf("branch %d, leaf %d, overflow %d\n", st.ms_branch_pages > 0,
	       st.ms_leaf_pages > 100 && st.ms_leaf_pages < 400, st.ms_overflow_pages >= 60);
	printf("in the map %d, all pages known %d\n",
	       (info.me_last_pgno + 1) * st.ms_psize <= info.me_mapsize,
	       info.me_last_pgno >= pages);
	printf("most pages in use %d\n", pages * 10 > info.me_last_pgno * 8);
	SHOW(mdb_env_get_fd(env, &fd));
	SHOW(fstat(fd, &file));
	printf("in the file %d\n", (size_t)file.st_size >= pages * st.ms_psize);
	mdb_env_close(env);
}

void area_flags(void)
{
	all_flags();
	setting();
	integers();
	odd_duplicates(12, MDB_DUPFIXED);
	odd_duplicates(6, MDB_DUPFIXED);
	odd_duplicates(12, 0);
	odd_duplicates(6, 0);
	mixed_duplicates();
	orders_changed();
	statistics();
}
