/* SPDX-License-Identifier: BSD-3-Clause */
#include "lmdb_ref.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lmdb_ref {
	MDB_env *env;
	const char *path;
	unsigned int depth;
	MDB_txn *txn[OP_DEPTH];
	MDB_dbi dbi[OP_DBS]; /* 0: not opened; forgotten at every abort, which may close it */
	uint32_t incarnation[OP_DBS];
};

/* must - LMDB itself failed: no comparison is possible. */
static void must(int rc, const char *what)
{
	if (rc == 0)
		return;
	printf("LMDB: %s: %s\n", what, mdb_strerror(rc));
	exit(2);
}

static MDB_val val_of(const struct daxkv_val *val)
{
	return (MDB_val){val->size, val->data};
}

static struct daxkv_val val_from(const MDB_val *val)
{
	return (struct daxkv_val){val->mv_size, val->mv_data};
}

static int compare_keys(const MDB_val *a, const MDB_val *b)
{
	struct daxkv_val x = val_from(a), y = val_from(b);

	return order_own_keys(&x, &y, NULL);
}

static int compare_values(const MDB_val *a, const MDB_val *b)
{
	struct daxkv_val x = val_from(a), y = val_from(b);

	return order_own_values(&x, &y, NULL);
}

static unsigned int db_flags(unsigned int flags)
{
	static const unsigned int map[][2] = {
	    {DAXKV_REVERSE_KEY, MDB_REVERSEKEY}, {DAXKV_DUP_SORT, MDB_DUPSORT},
	    {DAXKV_INTEGER_KEY, MDB_INTEGERKEY}, {DAXKV_DUP_FIXED, MDB_DUPFIXED},
	    {DAXKV_INTEGER_DUP, MDB_INTEGERDUP}, {DAXKV_REVERSE_DUP, MDB_REVERSEDUP},
	};
	unsigned int to = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		to |= flags & map[i][0] ? map[i][1] : 0;
	return to;
}

static MDB_txn *txn_of(const struct lmdb_ref *ref)
{
	return ref->depth ? ref->txn[ref->depth - 1] : NULL;
}

/* dbi_get - the slot's database: one for each set of flags that the slot ever had. */
static MDB_dbi dbi_get(struct lmdb_ref *ref, unsigned int index, const struct oracle_db *db)
{
	char name[64];

	if (ref->dbi[index] && ref->incarnation[index] == db->incarnation)
		return ref->dbi[index];
	snprintf(name, sizeof(name), "%u-%x", index, db->flags);
	must(mdb_dbi_open(txn_of(ref), name, db_flags(db->flags) | MDB_CREATE, &ref->dbi[index]),
	     "mdb_dbi_open");
	if (db->flags & DAXKV_OWN_COMPARE)
		must(mdb_set_compare(txn_of(ref), ref->dbi[index], compare_keys),
		     "mdb_set_compare");
	if (db->flags & DAXKV_OWN_DUP_COMPARE)
		must(mdb_set_dupsort(txn_of(ref), ref->dbi[index], compare_values),
		     "mdb_set_dupsort");
	ref->incarnation[index] = db->incarnation;
	return ref->dbi[index];
}

struct lmdb_ref *lmdb_ref_start(const char *path, unsigned int main_flags)
{
	struct lmdb_ref *ref = xmalloc(sizeof(*ref));
	struct oracle_db db = {.incarnation = 1, .flags = main_flags};

	*ref = (struct lmdb_ref){.path = path};
	(void)unlink(path);
	must(mdb_env_create(&ref->env), "mdb_env_create");
	must(mdb_env_set_mapsize(ref->env, (size_t)8 << 30), "mdb_env_set_mapsize");
	must(mdb_env_set_maxdbs(ref->env, 2048), "mdb_env_set_maxdbs");
	must(mdb_env_open(ref->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOMETASYNC | MDB_NOLOCK,
	                  0644),
	     "mdb_env_open");
	must(mdb_txn_begin(ref->env, NULL, 0, &ref->txn[ref->depth++]), "mdb_txn_begin");
	(void)dbi_get(ref, 0, &db);
	must(mdb_txn_commit(ref->txn[--ref->depth]), "mdb_txn_commit");
	return ref;
}

static void abort_all(struct lmdb_ref *ref)
{
	while (ref->depth)
		mdb_txn_abort(ref->txn[--ref->depth]);
	memset(ref->dbi, 0, sizeof(ref->dbi));
}

void lmdb_ref_end(struct lmdb_ref *ref)
{
	abort_all(ref);
	mdb_env_close(ref->env);
	(void)unlink(ref->path);
	free(ref);
}

static int result(int rc)
{
	return rc == MDB_KEYEXIST ? DAXKV_EXIST : rc == MDB_NOTFOUND ? DAXKV_NOT_FOUND : rc;
}

/* ---- transactions, databases ----------------------------------------------------------------- */

static int txn_apply(struct lmdb_ref *ref, const struct op *op)
{
	int rc;

	switch (op->kind) {
	case OP_BEGIN:
		rc = mdb_txn_begin(ref->env, txn_of(ref), 0, &ref->txn[ref->depth]);
		ref->depth += rc == 0;
		return rc;
	case OP_COMMIT:
		return mdb_txn_commit(ref->txn[--ref->depth]);
	case OP_ABORT:
		mdb_txn_abort(ref->txn[--ref->depth]);
		memset(ref->dbi, 0, sizeof(ref->dbi));
		return 0;
	default: /* OP_REOPEN */
		abort_all(ref);
		return 0;
	}
}

/* name_put, name_del - the entry that a named database has in the main one. */
static int name_put(struct lmdb_ref *ref, const char *name, const struct oracle_db *main_db)
{
	MDB_val key = {strlen(name), (void *)(uintptr_t)name}, value = {0, NULL};

	return mdb_put(txn_of(ref), dbi_get(ref, 0, main_db), &key, &value, MDB_NOOVERWRITE);
}

static int name_del(struct lmdb_ref *ref, const char *name, const struct oracle_db *main_db)
{
	MDB_val key = {strlen(name), (void *)(uintptr_t)name};

	return mdb_del(txn_of(ref), dbi_get(ref, 0, main_db), &key, NULL);
}

static int db_apply(struct lmdb_ref *ref, const struct op *op, const struct oracle_before *before,
                    const struct outcome *want, struct outcome *out)
{
	struct oracle_db main_db = {.incarnation = ref->incarnation[0],
	                            .flags = before->main_flags};
	MDB_stat stat;
	int rc;

	if (op->kind == OP_DB_CREATE)
		return name_put(ref, op->name, &main_db);
	if (want->rc || op->kind == OP_DB_OPEN || op->kind == OP_DB_LIST)
		return OP_SKIP;
	switch (op->kind) {
	case OP_DB_STAT:
		rc = mdb_stat(txn_of(ref), dbi_get(ref, op->db, &before->db), &stat);
		out->count = stat.ms_entries;
		return rc;
	case OP_DB_RENAME:
		rc = name_del(ref, before->db.name, &main_db);
		return rc ? rc : name_put(ref, op->name, &main_db);
	default:
		rc = mdb_drop(txn_of(ref), dbi_get(ref, op->db, &before->db), 0);
		return rc || op->kind == OP_DB_EMPTY ? rc
		                                     : name_del(ref, before->db.name, &main_db);
	}
}

/* ---- pairs ----------------------------------------------------------------------------------- */

static unsigned int put_flags(unsigned int flags)
{
	static const unsigned int map[][2] = {
	    {DAXKV_NO_OVERWRITE, MDB_NOOVERWRITE},
	    {DAXKV_NO_DUP_DATA, MDB_NODUPDATA},
	    {DAXKV_RESERVE, MDB_RESERVE},
	    {DAXKV_APPEND, MDB_APPEND},
	};
	unsigned int to = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		to |= flags & map[i][0] ? map[i][1] : 0;
	return to;
}

/* put - APPEND_DUP is a plain put here: LMDB's looks at the key's duplicates only. */
static int put(struct lmdb_ref *ref, const struct op *op, MDB_dbi dbi, const struct outcome *want,
               struct outcome *out)
{
	MDB_val key = val_of(&op->key), value = val_of(&op->value);
	int rc;

	if (want->rc && (want->rc != DAXKV_EXIST || op->flags & DAXKV_APPEND_DUP))
		return OP_SKIP;
	rc = mdb_put(txn_of(ref), dbi, &key, &value, put_flags(op->flags));
	if (rc == 0 && op->flags & DAXKV_RESERVE && op->value.size)
		memcpy(value.mv_data, op->value.data, op->value.size);
	out->value = val_from(&value);
	return result(rc);
}

/* put_current - as a deletion and a put: LMDB takes only a duplicate that sorts to the same
 * place. */
static int put_current(struct lmdb_ref *ref, const struct op *op, MDB_dbi dbi,
                       const struct oracle_before *before, const struct outcome *want)
{
	struct daxkv_val old = rec_value(before->cursor.rec);
	MDB_val key = val_of(&op->key), value = val_of(&old);
	int rc = 0;

	if (want->rc)
		return OP_SKIP;
	if (before->db.flags & DAXKV_DUP_SORT)
		rc = mdb_del(txn_of(ref), dbi, &key, &value);
	value = val_of(&op->value);
	return rc ? rc : mdb_put(txn_of(ref), dbi, &key, &value, 0);
}

static int place_offset(MDB_cursor *cursor, const struct oracle_before *before)
{
	struct daxkv_val key = rec_key(before->cursor.rec), value = rec_value(before->cursor.rec);
	MDB_val k = val_of(&key), v = val_of(&value);

	return mdb_cursor_get(cursor, &k, &v,
	                      before->db.flags & DAXKV_DUP_SORT ? MDB_GET_BOTH : MDB_SET_KEY);
}

/* seek_le - LMDB has no such step. */
static int seek_le(MDB_cursor *cursor, const struct oracle_before *before, MDB_val *key,
                   MDB_val *value)
{
	struct daxkv_val found, want = val_from(key);
	int rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);

	if (rc == MDB_NOTFOUND)
		return mdb_cursor_get(cursor, key, value, MDB_LAST);
	if (rc)
		return rc;
	found = val_from(key);
	if (order_keys(before->db.flags, &found, &want))
		return mdb_cursor_get(cursor, key, value, MDB_PREV);
	return before->db.flags & DAXKV_DUP_SORT ? mdb_cursor_get(cursor, key, value, MDB_LAST_DUP)
	                                         : 0;
}

static const MDB_cursor_op steps[] = {
    [DAXKV_FIRST] = MDB_FIRST,
    [DAXKV_LAST] = MDB_LAST,
    [DAXKV_NEXT] = MDB_NEXT,
    [DAXKV_PREV] = MDB_PREV,
    [DAXKV_NEXT_KEY] = MDB_NEXT_NODUP,
    [DAXKV_PREV_KEY] = MDB_PREV_NODUP,
    [DAXKV_NEXT_DUP] = MDB_NEXT_DUP,
    [DAXKV_PREV_DUP] = MDB_PREV_DUP,
    [DAXKV_FIRST_DUP] = MDB_FIRST_DUP,
    [DAXKV_LAST_DUP] = MDB_LAST_DUP,
    [DAXKV_GET_CURRENT] = MDB_GET_CURRENT,
    [DAXKV_SEEK] = MDB_SET_KEY,
    [DAXKV_SEEK_GE] = MDB_SET_RANGE,
    [DAXKV_SEEK_PAIR] = MDB_GET_BOTH,
    [DAXKV_SEEK_PAIR_GE] = MDB_GET_BOTH_RANGE,
};

/* cursor_get - FIRST_DUP and LAST_DUP show no key in LMDB, SEEK_PAIR and SEEK_PAIR_GE need not: it
 * is the one looked for. */
static int cursor_get(MDB_cursor *cursor, const struct op *op, const struct oracle_before *before,
                      struct outcome *out)
{
	MDB_val key = val_of(&op->key), value = val_of(&op->value);
	bool relative = op->step != DAXKV_FIRST && op->step != DAXKV_LAST && op->step < DAXKV_SEEK;
	MDB_cursor_op step = steps[op->step];
	int rc = 0;

	if (relative && before->cursor.state == CURSOR_UNPOSITIONED &&
	    (op->step == DAXKV_NEXT || op->step == DAXKV_PREV))
		step = op->step == DAXKV_NEXT ? MDB_FIRST : MDB_LAST;
	else if (relative && before->cursor.state != CURSOR_AT)
		return OP_SKIP;
	else if (relative)
		rc = place_offset(cursor, before);
	if (rc)
		return rc;
	if (op->step == DAXKV_FIRST_DUP || op->step == DAXKV_LAST_DUP) {
		struct daxkv_val at = rec_key(before->cursor.rec);

		key = val_of(&at);
	}
	rc = op->step == DAXKV_SEEK_LE ? seek_le(cursor, before, &key, &value)
	                               : mdb_cursor_get(cursor, &key, &value, step);
	out->key = val_from(&key);
	out->value = val_from(&value);
	return result(rc);
}

static int cursor_apply(struct lmdb_ref *ref, const struct op *op, MDB_dbi dbi,
                        const struct oracle_before *before, const struct outcome *want,
                        struct outcome *out)
{
	MDB_cursor *cursor;
	size_t count;
	int rc;

	if (op->kind != OP_CURSOR_GET && (want->rc || before->cursor.state != CURSOR_AT))
		return OP_SKIP;
	if (op->kind == OP_CURSOR_COUNT && !(before->db.flags & DAXKV_DUP_SORT))
		return OP_SKIP;
	must(mdb_cursor_open(txn_of(ref), dbi, &cursor), "mdb_cursor_open");
	if (op->kind == OP_CURSOR_GET) {
		rc = cursor_get(cursor, op, before, out);
	} else {
		rc = place_offset(cursor, before);
		if (rc == 0 && op->kind == OP_CURSOR_DEL) {
			rc = mdb_cursor_del(cursor,
			                    op->flags & DAXKV_NO_DUP_DATA ? MDB_NODUPDATA : 0);
		} else if (rc == 0) {
			rc = mdb_cursor_count(cursor, &count);
			out->count = count;
		}
	}
	mdb_cursor_close(cursor);
	return rc;
}

/* put_many - the puts that do something. */
static int put_many(struct lmdb_ref *ref, const struct op *op, MDB_dbi dbi,
                    const struct outcome *want, struct outcome *out)
{
	for (unsigned int i = 0; i < op->pairs->n; i++) {
		MDB_val key = val_of(&op->pairs->key[i]), value = val_of(&op->pairs->value[i]);

		out->result[i] = want->result[i];
		if (want->result[i] == 0)
			out->result[i] =
			    result(mdb_put(txn_of(ref), dbi, &key, &value, put_flags(op->flags)));
	}
	return 0;
}

/* load - the pairs that were stored, one put after the other. */
static int load(struct lmdb_ref *ref, const struct op *op, MDB_dbi dbi, const struct outcome *want,
                struct outcome *out)
{
	int rc = 0;

	for (; out->count < want->count && rc == 0; out->count++) {
		MDB_val key = val_of(&op->pairs->key[out->count]),
		        value = val_of(&op->pairs->value[out->count]);

		rc = mdb_put(txn_of(ref), dbi, &key, &value, 0);
	}
	return rc ? result(rc) : want->rc;
}

static int del_range(struct lmdb_ref *ref, const struct op *op, MDB_dbi dbi,
                     const struct outcome *want, struct outcome *out)
{
	MDB_val key = val_of(&op->key), value, end = val_of(&op->value);
	MDB_cursor *cursor;
	int rc;

	if (want->rc)
		return OP_SKIP;
	must(mdb_cursor_open(txn_of(ref), dbi, &cursor), "mdb_cursor_open");
	rc = mdb_cursor_get(cursor, &key, &value, op->key.data ? MDB_SET_RANGE : MDB_FIRST);
	while (rc == 0 && (!op->value.data || mdb_cmp(txn_of(ref), dbi, &key, &end) < 0)) {
		rc = mdb_cursor_del(cursor, 0);
		out->count++;
		key = val_of(&op->key);
		if (rc == 0)
			rc = mdb_cursor_get(cursor, &key, &value,
			                    op->key.data ? MDB_SET_RANGE : MDB_FIRST);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int entry_apply(struct lmdb_ref *ref, const struct op *op,
                       const struct oracle_before *before, const struct outcome *want,
                       struct outcome *out)
{
	MDB_dbi dbi = dbi_get(ref, op->db, &before->db);
	MDB_val key = val_of(&op->key), value = val_of(&op->value);
	int rc;

	switch (op->kind) {
	case OP_GET:
		if (want->rc == DAXKV_KEY_SIZE)
			return OP_SKIP;
		rc = mdb_get(txn_of(ref), dbi, &key, &value);
		out->value = val_from(&value);
		return result(rc);
	case OP_DEL:
		if (want->rc && want->rc != DAXKV_NOT_FOUND)
			return OP_SKIP;
		return result(mdb_del(txn_of(ref), dbi, &key, op->pair ? &value : NULL));
	case OP_CURSOR_PUT:
		if (op->flags & DAXKV_CURRENT)
			return put_current(ref, op, dbi, before, want);
		return put(ref, op, dbi, want, out);
	case OP_PUT:
		return put(ref, op, dbi, want, out);
	case OP_PUT_MANY:
		return put_many(ref, op, dbi, want, out);
	case OP_LOAD:
		return load(ref, op, dbi, want, out);
	case OP_DEL_RANGE:
		return del_range(ref, op, dbi, want, out);
	default:
		return cursor_apply(ref, op, dbi, before, want, out);
	}
}

void lmdb_ref_apply(struct lmdb_ref *ref, const struct op *op, const struct oracle_before *before,
                    const struct outcome *want, struct outcome *out)
{
	memset(out, 0, sizeof(*out));
	if (op->txn)
		out->rc = OP_SKIP;
	else if (op->kind <= OP_ABORT || op->kind == OP_REOPEN)
		out->rc = txn_apply(ref, op);
	else if (op->kind >= OP_DB_CREATE && op->kind <= OP_DB_STAT)
		out->rc = db_apply(ref, op, before, want, out);
	else if (op->kind <= OP_DEL || op->kind == OP_PUT_MANY || op->kind == OP_LOAD ||
	         op->kind == OP_DEL_RANGE ||
	         (op->kind >= OP_CURSOR_GET && op->kind <= OP_CURSOR_COUNT))
		out->rc = entry_apply(ref, op, before, want, out);
	else
		out->rc = OP_SKIP;
}

bool lmdb_ref_compare(struct lmdb_ref *ref, unsigned int index, const struct oracle_db *db,
                      struct rec **list, size_t n)
{
	MDB_cursor *cursor;
	bool same = true;

	for (int back = 0; back < 2 && same; back++) {
		must(mdb_cursor_open(txn_of(ref), dbi_get(ref, index, db), &cursor),
		     "mdb_cursor_open");
		for (size_t i = 0; i <= n && same; i++) {
			struct rec *rec = i == n ? NULL : list[back ? n - 1 - i : i];
			MDB_val key, value;
			int rc = mdb_cursor_get(cursor, &key, &value,
			                        i == 0 ? (back ? MDB_LAST : MDB_FIRST)
			                        : back ? MDB_PREV
			                               : MDB_NEXT);

			if (!rec || rc)
				same = !rec && rc == MDB_NOTFOUND;
			else
				same =
				    key.mv_size == rec->klen && value.mv_size == rec->vlen &&
				    memcmp(key.mv_data, rec->bytes, rec->klen) == 0 &&
				    memcmp(value.mv_data, rec->bytes + rec->klen, rec->vlen) == 0;
		}
		mdb_cursor_close(cursor);
	}
	if (!same)
		printf("compare: LMDB has other pairs than the oracle\n");
	return same;
}
