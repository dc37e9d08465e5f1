/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * differ.c - a long random walk over LMDB's interface whose every result is printed, to be run with
 * two libraries and compared: two environments, databases of all kinds in each, nested
 * transactions, cursors that live through changes, snapshots held over commits, drops, a map that
 * is full, and reopening.
 *
 * usage: differ DIR SEED OPS
 *
 * What LMDB leaves open is not asked: a cursor is used again only after an absolute move when an
 * earlier call left it in a place that lmdb.h does not name.
 */
#include "differ.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DBS     11u
#define LEVELS  5u
#define CURSORS 4u
#define WORLDS  2u
#define KEYS    300u

struct cursor {
	MDB_cursor *c;
	unsigned int db;
	bool placed;             /* where it is can be relied on */
	bool at_end;             /* its last move found nothing further, or was to the end */
	unsigned long deletions; /* of its database when it moved last */
};

struct level {
	MDB_txn *txn;
	struct cursor cursor[CURSORS];
};

static struct world { /* an environment and what is open in it */
	char dir[4096];
	MDB_env *env;
	MDB_dbi dbi[DBS];
	bool open_db[DBS], was_open[DBS];
	unsigned int opened_at[DBS]; /* depth of the transaction that opened it: an abort closes it.
	                                0: it stays */
	struct level level[LEVELS];
	unsigned int depth;
	MDB_txn *reader;
	MDB_cursor *reader_cursor;
	unsigned int reader_db;
	bool reader_placed;
	unsigned long deletions[DBS];
} worlds[WORLDS], *w = worlds;
uint64_t random_state;
static unsigned long op_number;

static const struct kind {
	const char *name;
	unsigned int flags;
	size_t item; /* bytes of a value, with DUPFIXED */
	bool own;    /* in an order of this program's */
} kinds[DBS] = {
    {NULL, 0, 0, false},
    {"plain", 0, 0, false},
    {"dups", MDB_DUPSORT, 0, false},
    {"fixed", MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP, 8, false},
    {"integers", MDB_INTEGERKEY, 0, false},
    {"reverse", MDB_REVERSEKEY | MDB_DUPSORT | MDB_REVERSEDUP, 0, false},
    {"own", MDB_DUPSORT, 0, true},
    {"small", MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP, 4, false},
    {"bytes", MDB_DUPSORT | MDB_DUPFIXED, 12, false},
    {"back", MDB_DUPSORT | MDB_DUPFIXED | MDB_REVERSEDUP, 6, false},
    {"numbered", MDB_INTEGERKEY | MDB_DUPSORT, 0, false},
};

/* ---- random ops and what they print ---------------------------------------------------------- */

uint64_t rnd(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

void say(const char *format, ...)
{
	va_list args;

	printf("%lu ", op_number);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

static void say_val(const MDB_val *v)
{
	const unsigned char *p = v->mv_data;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < v->mv_size; i++)
		h = (h ^ p[i]) * 16777619u;
	printf(" %zu:%08x", v->mv_size, h);
	for (size_t i = 0; i < v->mv_size && i < 8; i++)
		printf("%02x", p[i]);
}

/* is_record - of the main database: whether the key is none of the databases' names. */
static bool is_record(const MDB_val *k)
{
	const char *first = k->mv_data;

	return *first >= '0' && *first <= '9';
}

/* say_pair - an entry; of a database's own entry in the main one, the name alone. */
static void say_pair(unsigned int db, const MDB_val *k, const MDB_val *v)
{
	say_val(k);
	if (db || is_record(k))
		say_val(v);
}

void must(int rc, const char *what)
{
	if (rc) {
		printf("%lu %s: %s\n", op_number, what, mdb_strerror(rc));
		exit(2);
	}
}

static int own_order(const MDB_val *a, const MDB_val *b) /* the other way around */
{
	size_t n = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
	int c = memcmp(b->mv_data, a->mv_data, n);

	return c ? c : a->mv_size < b->mv_size ? 1 : a->mv_size > b->mv_size ? -1 : 0;
}

static unsigned char key_bytes[600], value_bytes[20000];

static MDB_val some_key(unsigned int db)
{
	uint64_t n = rnd(kinds[db].flags & MDB_DUPSORT ? KEYS / 8 : KEYS);

	if (kinds[db].flags & MDB_INTEGERKEY) {
		memcpy(key_bytes, &n, sizeof n);
		return (MDB_val){sizeof n, key_bytes};
	}
	int len = snprintf((char *)key_bytes, sizeof key_bytes, "%03u-", (unsigned int)n);

	for (uint64_t more = n % 7 == 0 ? n : n % 5; more; more--)
		key_bytes[len++] = (unsigned char)('a' + n % 26);
	return (MDB_val){(size_t)len, key_bytes};
}

static MDB_val some_value(unsigned int db)
{
	uint64_t n = rnd(40), size = 1 + rnd(60);

	if (kinds[db].flags & MDB_DUPFIXED) {
		n = rnd(2000);
		memset(value_bytes, (int)(n % 5), 16);
		memcpy(value_bytes, &n, kinds[db].item < sizeof n ? 4 : sizeof n);
		return (MDB_val){kinds[db].item, value_bytes};
	}
	if (kinds[db].flags & MDB_DUPSORT)
		size = 1 + n % 50;
	else if (rnd(20) == 0)
		size = rnd(sizeof value_bytes);
	else if (rnd(20) == 0)
		size = 0;
	memset(value_bytes, (int)n, size);
	if (size > 4)
		memcpy(value_bytes, &n, 4);
	return (MDB_val){size, value_bytes};
}

/* ---- databases and transactions -------------------------------------------------------------- */

static void use_db(MDB_txn *txn, unsigned int db)
{
	if (w->open_db[db])
		return;
	must(mdb_dbi_open(txn, kinds[db].name, kinds[db].flags | MDB_CREATE, &w->dbi[db]), "open");
	if (kinds[db].own) {
		must(mdb_set_compare(txn, w->dbi[db], own_order), "compare");
		must(mdb_set_dupsort(txn, w->dbi[db], own_order), "dupsort");
	}
	say("handle %u\n", w->dbi[db]);
	w->open_db[db] = true;
	w->opened_at[db] = w->depth;
}

static void dbs_reopen(bool create)
{
	MDB_txn *txn;

	memset(w->open_db, 0, sizeof w->open_db);
	must(mdb_txn_begin(w->env, NULL, 0, &txn), "begin");
	for (unsigned int db = 0; db < DBS; db++)
		if (create || w->was_open[db])
			use_db(txn, db);
	must(mdb_txn_commit(txn), "commit");
	memcpy(w->was_open, w->open_db, sizeof w->open_db);
}

static void env_start(void)
{
	must(mdb_env_create(&w->env), "create");
	must(mdb_env_set_maxdbs(w->env, DBS), "maxdbs");
	must(mdb_env_set_mapsize(w->env, (size_t)256 << 20), "mapsize");
	must(mdb_env_open(w->env, w->dir, MDB_NOSYNC | MDB_NOTLS, 0644), "env open");
}

static void print_all(MDB_txn *txn)
{
	for (unsigned int db = 0; db < DBS; db++) {
		MDB_cursor *c;
		MDB_val k, v;
		MDB_stat st;
		unsigned int flags;
		int rc;

		if (!w->open_db[db])
			continue;
		must(mdb_stat(txn, w->dbi[db], &st), "stat");
		must(mdb_dbi_flags(txn, w->dbi[db], &flags), "flags");
		say("database %u: %zu entries, flags %x\n", db, st.ms_entries, flags);
		must(mdb_cursor_open(txn, w->dbi[db], &c), "cursor");
		while ((rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) == 0) {
			say_pair(db, &k, &v);
			printf("\n");
		}
		say("end %d\n", rc);
		mdb_cursor_close(c);
	}
}

static void level_start(void)
{
	struct level *l = &w->level[w->depth];

	memset(l, 0, sizeof *l);
	must(mdb_txn_begin(w->env, w->depth ? w->level[w->depth - 1].txn : NULL, 0, &l->txn),
	     "begin");
	say("begin %u\n", w->depth);
	w->depth++;
}

static void level_end(void)
{
	struct level *l = &w->level[--w->depth];
	bool keep = rnd(3) != 0;

	if (keep) {
		must(mdb_txn_commit(l->txn), "commit");
	} else {
		mdb_txn_abort(l->txn);
	}
	say("%s %u\n", keep ? "commit" : "abort", w->depth);
	for (unsigned int db = 0; db < DBS; db++) {
		if (w->opened_at[db] <= w->depth)
			continue;
		w->opened_at[db] = w->depth;
		w->open_db[db] &= keep;
	}
	for (unsigned int i = 0; w->depth && i < CURSORS; i++)
		w->level[w->depth - 1].cursor[i].placed =
		    false; /* where a parent's cursor is after its child's changes is left open */
}

/* ---- operations ------------------------------------------------------------------------------ */

/* unplace - db was changed: its other cursors keep their places, but not in LMDB's own way among
 * duplicates, or when the entry under one is gone and another came into the gap. */
static void unplace(unsigned int db, const struct cursor *but, bool added)
{
	struct level *l = &w->level[w->depth - 1];

	for (unsigned int i = 0; i < CURSORS; i++) {
		struct cursor *c = &l->cursor[i];

		if (c->c && c->db == db && c != but &&
		    (kinds[db].flags & MDB_DUPSORT || c->at_end ||
		     (added && c->deletions != w->deletions[db])))
			c->placed = false;
	}
	w->deletions[db] += !added;
}

static void do_put(struct level *l, unsigned int db)
{
	static const unsigned int some[] = {
	    0, 0, 0, MDB_NOOVERWRITE, MDB_NODUPDATA, MDB_APPEND, MDB_RESERVE, MDB_APPENDDUP};
	unsigned int flags = some[rnd(sizeof some / sizeof some[0])];
	MDB_val k = some_key(db), v = some_value(db), found;

	/* with duplicates only a key's first value can be reserved */
	if (flags == MDB_RESERVE && kinds[db].flags & MDB_DUPSORT &&
	    mdb_get(l->txn, w->dbi[db], &k, &found) != MDB_NOTFOUND)
		flags = 0;
	if ((flags == MDB_NODUPDATA || flags == MDB_APPENDDUP) && !(kinds[db].flags & MDB_DUPSORT))
		flags = 0;
	if (flags == MDB_RESERVE)
		v.mv_data = NULL;
	int rc = mdb_put(l->txn, w->dbi[db], &k, &v, flags);

	if (!rc && flags == MDB_RESERVE)
		memset(v.mv_data, (int)(v.mv_size % 251), v.mv_size);
	say("put db %u flags %x: %d", db, flags, rc);
	if (rc == MDB_KEYEXIST && flags == MDB_NOOVERWRITE)
		say_val(&v);
	printf("\n");
	unplace(db, NULL, true);
}

/* do_bulk - hundreds of entries, or of a key's values: pages split, duplicates become trees. */
static void do_bulk(struct level *l, unsigned int db)
{
	MDB_val k = some_key(db);
	uint64_t n = 100 + rnd(500), sum = 0;
	bool dups = kinds[db].flags & MDB_DUPSORT;

	for (uint64_t i = 0; i < n; i++) {
		if (!dups)
			k = some_key(db);
		MDB_val v = some_value(db);

		if (dups && !kinds[db].item &&
		    v.mv_size > 8) /* most of the few that there are would be the same */
			memcpy(value_bytes + 4, &i, 4);
		int rc = mdb_put(l->txn, w->dbi[db], &k, &v, 0);

		sum = sum * 31 + (uint64_t)(unsigned int)rc;
	}
	say("bulk db %u: %lu %lx\n", db, (unsigned long)n, (unsigned long)sum);
	unplace(db, NULL, true);
}

static void do_del(struct level *l, unsigned int db)
{
	MDB_val k = some_key(db), v = some_value(db);
	bool pair = rnd(2);

	say("del db %u: %d\n", db, mdb_del(l->txn, w->dbi[db], &k, pair ? &v : NULL));
	unplace(db, NULL, false);
}

static void do_get(MDB_txn *txn, unsigned int db)
{
	MDB_val k = some_key(db), v;
	int rc = mdb_get(txn, w->dbi[db], &k, &v);

	say("get db %u: %d", db, rc);
	if (!rc)
		say_val(&v);
	printf("\n");
}

static int number(const struct cursor *c)
{
	return (int)(c - w->level[w->depth - 1].cursor);
}

static void cursor_move(struct cursor *c, bool dups)
{
	static const MDB_cursor_op absolute[] = {MDB_FIRST,         MDB_LAST,      MDB_SET,
	                                         MDB_SET_KEY,       MDB_SET_RANGE, MDB_GET_BOTH,
	                                         MDB_GET_BOTH_RANGE};
	static const MDB_cursor_op relative[] = {MDB_NEXT,       MDB_NEXT,       MDB_NEXT,
	                                         MDB_PREV,       MDB_PREV,       MDB_GET_CURRENT,
	                                         MDB_NEXT_NODUP, MDB_PREV_NODUP, MDB_NEXT_DUP,
	                                         MDB_PREV_DUP,   MDB_FIRST_DUP,  MDB_LAST_DUP};
	bool abs = !c->placed || rnd(3) == 0;
	MDB_cursor_op op = abs ? absolute[rnd(dups ? 7 : 5)] : relative[rnd(dups ? 12 : 8)];
	MDB_val k = some_key(c->db), v = some_value(c->db);
	int rc = mdb_cursor_get(c->c, &k, &v, op);

	say("cursor %d db %u op %d: %d", number(c), c->db, (int)op, rc);
	if (!rc) {
		if (op == MDB_FIRST_DUP || op == MDB_LAST_DUP)
			say_val(&v);
		else
			say_pair(c->db, &k, &v);
	}
	printf("\n");
	/* A move that found nothing leaves the cursor where it was; a search, somewhere. */
	c->placed = rc == 0 || (!abs && c->placed && op != MDB_GET_CURRENT &&
	                        c->deletions == w->deletions[c->db]);
	c->at_end = rc != 0 || op == MDB_LAST || (c->at_end && op == MDB_GET_CURRENT);
	if (op == MDB_FIRST_DUP || (rc && dups)) /* in LMDB one that was at the end among duplicates
	                                            may believe to be there still */
		c->placed = false;
	if (rc == 0)
		c->deletions = w->deletions[c->db];
	if (c->db == 0 && rc == 0 && !is_record(&k)) /* no place to delete or write at */
		c->placed = false;
}

static void cursor_change(struct cursor *c, bool dups)
{
	MDB_val k, v;
	size_t count = 0;
	int rc;

	switch (rnd(4)) {
	case 0:
		if (!c->placed ||
		    (c->db == 0 &&
		     (mdb_cursor_get(c->c, &k, &v, MDB_GET_CURRENT) != 0 || !is_record(&k))))
			return;
		rc = mdb_cursor_del(c->c, dups && rnd(3) == 0 ? MDB_NODUPDATA : 0);
		say("cursor %d del db %u: %d\n", number(c), c->db, rc);
		unplace(c->db, c, false);
		if (dups || c->at_end)
			c->placed = false;
		break;
	case 1:
		if (!c->placed || mdb_cursor_get(c->c, &k, &v, MDB_GET_CURRENT) != 0 || dups)
			return;
		memcpy(key_bytes, k.mv_data, k.mv_size);
		k.mv_data = key_bytes;
		v = some_value(c->db);
		rc = mdb_cursor_put(c->c, &k, &v, MDB_CURRENT);
		say("cursor %d put current db %u: %d\n", number(c), c->db, rc);
		break;
	case 2:
		k = some_key(c->db);
		v = some_value(c->db);
		rc = mdb_cursor_put(c->c, &k, &v, rnd(4) == 0 ? MDB_NOOVERWRITE : 0);
		say("cursor %d put db %u: %d\n", number(c), c->db, rc);
		unplace(c->db, c, true);
		c->placed = rc == 0;
		c->at_end = false;
		c->deletions = w->deletions[c->db];
		break;
	default:
		if (!dups || !c->placed || mdb_cursor_get(c->c, &k, &v, MDB_GET_CURRENT) != 0)
			return;
		rc = mdb_cursor_count(c->c, &count);
		say("count db %u: %d %zu\n", c->db, rc, count);
	}
}

static void do_cursor(struct level *l)
{
	struct cursor *c = &l->cursor[rnd(CURSORS)];

	if (!c->c) {
		c->db = (unsigned int)rnd(DBS);
		use_db(l->txn, c->db);
		must(mdb_cursor_open(l->txn, w->dbi[c->db], &c->c), "cursor open");
		c->placed = false;
	}
	bool dups = kinds[c->db].flags & MDB_DUPSORT;

	if (rnd(100) == 0) {
		mdb_cursor_close(c->c);
		c->c = NULL;
	} else if (rnd(3) == 0) {
		cursor_change(c, dups);
	} else {
		cursor_move(c, dups);
	}
}

/* put_multiple - some more values of a key, in an array; LMDB stops at a first item that is a key's
 * only value already. */
static void put_multiple(MDB_cursor *c, unsigned int db, MDB_val *k)
{
	unsigned char items[50 * 12];
	MDB_val data[2] = {{kinds[db].item, items}, {50, NULL}};

	for (unsigned int i = 0; i < 50; i++)
		memcpy(items + i * kinds[db].item, some_value(db).mv_data, kinds[db].item);
	int rc = mdb_cursor_put(c, k, data, MDB_MULTIPLE);

	say("put multiple %zu: %d\n", data[1].mv_size, rc);
	unplace(db, NULL, true);
}

/* do_multiple - all values of a key by arrays, whose borders are the library's own: forwards in
 * order, or backwards in any. */
static void do_multiple(struct level *l, unsigned int db)
{
	MDB_val k = some_key(db), v;
	MDB_cursor *c;
	uint64_t sum = 0;
	size_t n = 0, count = 0;
	bool back = rnd(3) == 0;

	must(mdb_cursor_open(l->txn, w->dbi[db], &c), "cursor");
	int rc = mdb_cursor_get(c, &k, &v, MDB_SET);

	if (!rc)
		must(mdb_cursor_count(c, &count), "count");
	if (!rc && count > 1 && rnd(2)) {
		put_multiple(c, db, &k);
		must(mdb_cursor_get(c, &k, &v, MDB_SET), "set");
		must(mdb_cursor_count(c, &count), "count");
	}
	if (!rc && count > 1) {
		if (back)
			must(mdb_cursor_get(c, NULL, &v, MDB_LAST_DUP), "last");
		rc = mdb_cursor_get(c, &k, &v, MDB_GET_MULTIPLE);
		for (; !rc;
		     rc = mdb_cursor_get(c, &k, &v, back ? MDB_PREV_MULTIPLE : MDB_NEXT_MULTIPLE)) {
			for (size_t i = 0; i + kinds[db].item <= v.mv_size;
			     i += kinds[db].item, n++) {
				uint64_t item = 0;

				memcpy(&item, (char *)v.mv_data + i,
				       kinds[db].item < 8 ? kinds[db].item : 8);
				sum = back ? sum + item * item : sum * 31 + item;
			}
		}
	}
	say("multiple: %d %zu %zu %lx\n", rc, count, back ? 0 : n, back ? 0 : (unsigned long)sum);
	mdb_cursor_close(c);
}

/* ---- readers, deletions, and the walk -------------------------------------------------------- */

/* do_reader - a snapshot that is held over commits. */
static void do_reader(void)
{
	static const unsigned int some[] = {
	    1, 2, 4,
	    10}; /* which are never deleted: a handle must not be closed beside its reader */
	static const MDB_cursor_op ops[] = {MDB_NEXT, MDB_NEXT,       MDB_NEXT,
	                                    MDB_PREV, MDB_NEXT_NODUP, MDB_SET_RANGE};
	MDB_val k, v;

	if (!w->reader) {
		must(mdb_txn_begin(w->env, NULL, MDB_RDONLY, &w->reader), "reader");
		w->reader_db = some[rnd(sizeof some / sizeof some[0])];
		say("reader begins\n");
		return;
	}
	if (rnd(50) == 0) {
		mdb_txn_reset(w->reader);
		must(mdb_txn_renew(w->reader), "renew");
		say("reader renewed\n");
		if (w->reader_cursor)
			must(mdb_cursor_renew(w->reader, w->reader_cursor), "cursor renew");
		w->reader_placed = false;
		return;
	}
	if (!w->was_open[w->reader_db])
		return;
	if (!w->reader_cursor)
		must(mdb_cursor_open(w->reader, w->dbi[w->reader_db], &w->reader_cursor),
		     "reader cursor");
	if (rnd(2))
		do_get(w->reader, w->reader_db);
	k = some_key(w->reader_db);
	MDB_cursor_op op = ops[rnd(sizeof ops / sizeof ops[0])];

	if (!w->reader_placed &&
	    op != MDB_SET_RANGE) /* an unplaced PREV gives LMDB's own idea of a key */
		op = MDB_FIRST;
	int rc = mdb_cursor_get(w->reader_cursor, &k, &v, op);

	w->reader_placed = rc == 0;
	say("reader op %d: %d", (int)op, rc);
	if (!rc) {
		say_val(&k);
		say_val(&v);
	}
	printf("\n");
}

static void reader_end(void)
{
	if (w->reader_cursor)
		mdb_cursor_close(w->reader_cursor);
	if (w->reader)
		mdb_txn_abort(w->reader);
	w->reader_cursor = NULL;
	w->reader = NULL;
	w->reader_placed = false;
}

static void reopen(void)
{
	while (w->depth)
		level_end();
	reader_end();
	mdb_env_close(w->env);
	env_start();
	dbs_reopen(false);
	MDB_txn *txn;

	must(mdb_txn_begin(w->env, NULL, MDB_RDONLY, &txn), "begin");
	print_all(txn);
	mdb_txn_abort(txn);
}

/* do_delete - a database with its handle; no cursor may be left on it. It is made anew when it is
 * used next. */
static void do_delete(struct level *l)
{
	static const unsigned int some[] = {3, 5, 6, 7, 8, 9};
	unsigned int db = some[rnd(sizeof some / sizeof some[0])];

	if (w->depth != 1 || !w->open_db[db] || rnd(3))
		return;
	for (unsigned int i = 0; i < CURSORS; i++) {
		struct cursor *c = &l->cursor[i];

		if (!c->c || c->db != db)
			continue;
		mdb_cursor_close(c->c);
		c->c = NULL;
	}
	say("delete db %u: %d\n", db, mdb_drop(l->txn, w->dbi[db], 1));
	w->open_db[db] = false;
	w->opened_at[db] = 0;
}

static void step(void)
{
	unsigned int db = (unsigned int)rnd(DBS);
	uint64_t what = rnd(1000);

	w = &worlds[rnd(3) == 0];
	say("in %d: ", (int)(w - worlds));
	if (what == 4)
		do_full(worlds[0].dir);
	if (what == 0)
		reopen();
	if (what >= 900) {
		do_reader();
		return;
	}
	if (!w->depth || (w->depth < LEVELS && rnd(60) == 0))
		level_start();
	struct level *l = &w->level[w->depth - 1];

	unsigned int fixed = (unsigned int[]){3, 7, 8, 9}[what % 4];

	use_db(l->txn, db);
	use_db(l->txn, fixed);
	if (what < 20)
		level_end();
	else if (what < 22)
		do_delete(l);
	else if (what < 23 && db)
		say("empty db %u: %d\n", db, mdb_drop(l->txn, w->dbi[db], 0)),
		    unplace(db, NULL, false);
	else if (what < 26)
		do_bulk(l, db);
	else if (what < 400)
		do_put(l, db);
	else if (what < 480)
		do_del(l, db);
	else if (what < 600)
		do_get(l->txn, db);
	else if (what < 620)
		do_multiple(l, fixed);
	else
		do_cursor(l);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	random_state = strtoul(argv[2], NULL, 0) * 0x9e3779b97f4a7c15u + 1;
	unsigned long ops = strtoul(argv[3], NULL, 0);

	for (unsigned int i = 0; i < WORLDS; i++) {
		w = &worlds[i];
		snprintf(w->dir, sizeof w->dir, "%s/%u", argv[1], i);
		if (mkdir(w->dir, 0755) != 0)
			return 2;
		env_start();
		dbs_reopen(true);
	}
	for (op_number = 1; op_number <= ops; op_number++)
		step();
	for (w = worlds; w < worlds + WORLDS; w++) {
		reopen();
		mdb_env_close(w->env);
	}
	printf("done\n");
	return 0;
}
