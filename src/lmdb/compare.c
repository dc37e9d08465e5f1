/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compare.c - the orders of keys and duplicates, LMDB's way: a program sets its comparator after it
 * opened a database, every time, and nothing in the file tells that it did. A store keeps a flag
 * for that. So before the first change to a database whose handle has a comparator, the database
 * gets the flag: at once when it is empty, and otherwise by being rewritten, when the program's
 * order agrees with the one it was written in. The other way around, a database with the flag whose
 * handle has no comparator is searched in the default order.
 */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- default orders -------------------------------------------------------------------------- */

static int by_length(const MDB_val *a, const MDB_val *b)
{
	return a->mv_size < b->mv_size ? -1 : a->mv_size > b->mv_size;
}

static int by_bytes(const MDB_val *a, const MDB_val *b)
{
	size_t n = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
	int c = n ? memcmp(a->mv_data, b->mv_data, n) : 0;

	return c ? c : by_length(a, b);
}

/* by_end - from the last byte to the first; what little-endian integers of one size need as
 * well. */
static int by_end(const MDB_val *a, const MDB_val *b)
{
	const unsigned char *x = a->mv_data, *y = b->mv_data;
	size_t n = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;

	for (size_t i = 1; i <= n; i++)
		if (x[a->mv_size - i] != y[b->mv_size - i])
			return x[a->mv_size - i] < y[b->mv_size - i] ? -1 : 1;
	return by_length(a, b);
}

static uint64_t integer(const MDB_val *v)
{
	uint64_t n = 0;

	memcpy(&n, v->mv_data, v->mv_size);
	return n;
}

static int by_integer(const MDB_val *a, const MDB_val *b)
{
	if (a->mv_size > sizeof(uint64_t) || b->mv_size > sizeof(uint64_t))
		return by_end(a, b);
	uint64_t x = integer(a), y = integer(b);

	return x != y ? (x < y ? -1 : 1) : by_length(a, b);
}

/* by_first_word - LMDB's order of integer duplicates of one size that is none of an integer's: what
 * follows the first one makes no difference. */
static int by_first_word(const MDB_val *a, const MDB_val *b)
{
	uint32_t x, y;

	if (a->mv_size < sizeof x || b->mv_size < sizeof y)
		return by_end(a, b);
	memcpy(&x, a->mv_data, sizeof x);
	memcpy(&y, b->mv_data, sizeof y);
	return x < y ? -1 : x > y;
}

static bool is_integer(const MDB_val *v)
{
	return v->mv_size == sizeof(uint32_t) || v->mv_size == sizeof(uint64_t);
}

/* by_fixed - integer duplicates of one size, whatever that is. */
static int by_fixed(const MDB_val *a, const MDB_val *b)
{
	return is_integer(a) && is_integer(b) ? by_integer(a, b) : by_first_word(a, b);
}

/* wide_order - of integer duplicates of whatever size: the same in every process, whether it has
 * widened the database or found it so. */
static MDB_cmp_func *wide_order(const struct handle *handle)
{
	return handle->flags & MDB_DUPFIXED ? by_fixed : by_end;
}

int compare_keys(const struct handle *handle, const MDB_val *a, const MDB_val *b)
{
	if (handle->cmp)
		return handle->cmp(a, b);
	return handle->flags & MDB_REVERSEKEY   ? by_end(a, b)
	       : handle->flags & MDB_INTEGERKEY ? by_integer(a, b)
	                                        : by_bytes(a, b);
}

int compare_dups(const struct handle *handle, const MDB_val *a, const MDB_val *b)
{
	if (handle->dcmp)
		return handle->dcmp(a, b);
	if (handle->flags & MDB_INTEGERDUP)
		return wide_order(handle)(a, b);
	return handle->flags & MDB_REVERSEDUP ? by_end(a, b) : by_bytes(a, b);
}

int mdb_cmp(MDB_txn *txn, MDB_dbi dbi, const MDB_val *a, const MDB_val *b)
{
	const struct handle *handle = handle_of(txn, dbi);

	return handle ? compare_keys(handle, a, b) : 0;
}

int mdb_dcmp(MDB_txn *txn, MDB_dbi dbi, const MDB_val *a, const MDB_val *b)
{
	const struct handle *handle = handle_of(txn, dbi);

	return handle ? compare_dups(handle, a, b) : 0;
}

/* ---- the store's comparators ----------------------------------------------------------------- */

/* The store asks with what it has first and what is looked for second, LMDB the other way around,
 * and there are comparators that count on it: bulk loaders call whatever comes first the greater
 * one. */
static int reversed(int c)
{
	return c < 0 ? 1 : c > 0 ? -1 : 0;
}

static int store_keys(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	return reversed(compare_keys(arg, (const MDB_val *)b, (const MDB_val *)a));
}

static int store_dups(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	return reversed(compare_dups(arg, (const MDB_val *)b, (const MDB_val *)a));
}

int compare_provide(struct daxkv_txn *txn, struct handle *handle)
{
	unsigned int flags = 0;
	int rc = daxkv_db_flags(txn, handle->db, &flags);

	if (!rc && flags & DAXKV_OWN_COMPARE)
		rc = daxkv_db_set_compare(txn, handle->db, store_keys, handle);
	if (!rc && flags & DAXKV_OWN_DUP_COMPARE)
		rc = daxkv_db_set_dup_compare(txn, handle->db, store_dups, handle);
	return rc;
}

static int set(MDB_txn *txn, MDB_dbi dbi, MDB_cmp_func *fn, bool dups)
{
	struct handle *handle = handle_of(txn, dbi);

	if (!handle || dbi == FREE_DBI)
		return EINVAL;
	if (dups)
		handle->dcmp = fn;
	else
		handle->cmp = fn;
	handle->adopted = 0;
	return 0;
}

int mdb_set_compare(MDB_txn *txn, MDB_dbi dbi, MDB_cmp_func *cmp)
{
	return set(txn, dbi, cmp, false);
}

int mdb_set_dupsort(MDB_txn *txn, MDB_dbi dbi, MDB_cmp_func *cmp)
{
	return set(txn, dbi, cmp, true);
}

int mdb_set_relfunc(MDB_txn *txn, MDB_dbi dbi, MDB_rel_func *rel)
{
	(void)rel;
	return handle_of(txn, dbi) && dbi != FREE_DBI ? 0 : EINVAL;
}

int mdb_set_relctx(MDB_txn *txn, MDB_dbi dbi, void *ctx)
{
	(void)ctx;
	return handle_of(txn, dbi) && dbi != FREE_DBI ? 0 : EINVAL;
}

/* ---- adopting an order ----------------------------------------------------------------------- */

struct pairs {          /* of a whole database, in memory */
	uint8_t *bytes; /* size, size, key, value of each */
	size_t used, room;
	uint64_t n;
};

static int pairs_add(struct pairs *p, const struct daxkv_val *key, const struct daxkv_val *value)
{
	size_t head[2] = {key->size, value->size}, need = sizeof head + key->size + value->size;

	if (p->room - p->used < need) {
		size_t room = 2 * (p->used + need);
		uint8_t *more = realloc(p->bytes, room);

		if (!more)
			return ENOMEM;
		p->bytes = more;
		p->room = room;
	}
	memcpy(p->bytes + p->used, head, sizeof head);
	memcpy(p->bytes + p->used + sizeof head, key->data, key->size);
	if (value->size)
		memcpy(p->bytes + p->used + sizeof head + key->size, value->data, value->size);
	p->used += need;
	p->n++;
	return 0;
}

static size_t pairs_at(const struct pairs *p, size_t at, struct daxkv_val *key,
                       struct daxkv_val *value)
{
	size_t head[2];

	memcpy(head, p->bytes + at, sizeof head);
	*key = (struct daxkv_val){head[0], p->bytes + at + sizeof head};
	*value = (struct daxkv_val){head[1], p->bytes + at + sizeof head + head[0]};
	return at + sizeof head + head[0] + head[1];
}

/* pairs_read - all pairs, each of which must come after the one before in the handle's order.
 * MDB_INCOMPATIBLE. */
static int pairs_read(MDB_txn *txn, const struct handle *handle, struct pairs *p)
{
	struct daxkv_cursor *c;
	struct daxkv_val key, value;
	size_t last = 0;
	int rc = daxkv_cursor_open(txn->inner, handle->db, &c);

	if (rc)
		return err_of(rc);
	while ((rc = daxkv_cursor_get(c, &key, &value, DAXKV_NEXT)) == 0) {
		struct daxkv_val k, v;
		size_t here = p->used;

		if (here) {
			pairs_at(p, last, &k, &v);
			int order = store_keys(&k, &key, (void *)(uintptr_t)handle);

			if (!order && handle->flags & MDB_DUPSORT)
				order = store_dups(&v, &value, (void *)(uintptr_t)handle);
			if (order >= 0) {
				rc = MDB_INCOMPATIBLE;
				break;
			}
		}
		rc = pairs_add(p, &key, &value);
		if (rc)
			break;
		last = here;
	}
	daxkv_cursor_close(c);
	return rc == DAXKV_NOT_FOUND ? 0 : err_of(rc);
}

/* flags_turn - an empty database gets the flags for the comparators that the handle has. */
static int flags_turn(MDB_txn *txn, struct handle *handle)
{
	int rc = handle->cmp ? daxkv_db_set_compare(txn->inner, handle->db, store_keys, handle) : 0;

	if (!rc && handle->dcmp && handle->flags & MDB_DUPSORT)
		rc = daxkv_db_set_dup_compare(txn->inner, handle->db, store_dups, handle);
	return rc;
}

/* rewrite - a database of so many entries, in the handle's order. The store's cursors on it find
 * their places again. */
static int rewrite(MDB_txn *txn, struct handle *handle, uint64_t entries)
{
	struct pairs p = {0};
	int rc = pairs_read(txn, handle, &p);

	if (!rc && p.n != entries) /* damage hides some: they must not be lost for good */
		rc = txn_result(txn, DAXKV_CORRUPT);
	if (!rc)
		rc = err_of(daxkv_db_drop(txn->inner, handle->db, 0));
	if (!rc)
		rc = err_of(flags_turn(txn, handle));
	for (size_t at = 0; !rc && at < p.used;) {
		struct daxkv_val key, value;

		at = pairs_at(&p, at, &key, &value);
		rc = txn_result(txn, daxkv_put(txn->inner, handle->db, &key, &value, 0));
	}
	free(p.bytes);
	return rc;
}

int compare_widen(MDB_txn *txn, struct handle *handle, const MDB_val *data)
{
	struct daxkv_db_stat stat;
	int rc;

	if (!(handle->flags & MDB_INTEGERDUP) || handle->dcmp || is_integer(data))
		return DAXKV_VALUE_SIZE;
	rc = daxkv_db_stat(txn->inner, handle->db, &stat);
	if (!rc && handle->flags & MDB_DUPFIXED && stat.entries)
		rc = DAXKV_VALUE_SIZE;
	if (rc)
		return rc;
	handle->dcmp = wide_order(handle);
	handle->adopted = 0;
	rc = compare_adopt_set(txn, handle);
	if (rc) /* it stays as it is: what has an integer's size is taken, as before */
		handle->dcmp = NULL;
	return rc == MDB_INCOMPATIBLE ? DAXKV_VALUE_SIZE : rc;
}

int compare_adopt_set(MDB_txn *txn, struct handle *handle)
{
	struct daxkv_val name = {0, NULL};
	unsigned int flags = 0, wanted = 0;
	struct daxkv_db_stat stat;
	int rc;

	if (handle->adopted == txn_serial(txn))
		return 0;
	rc = daxkv_db_flags(txn->inner, handle->db, &flags);
	if (rc)
		return err_of(rc);
	if (handle->cmp)
		wanted |= DAXKV_OWN_COMPARE;
	if (handle->dcmp && flags & DAXKV_DUP_SORT)
		wanted |= DAXKV_OWN_DUP_COMPARE;
	if (wanted & ~flags) {
		rc = handle->db == DAXKV_MAIN ? daxkv_db_list_next(txn->inner, &name)
		                              : DAXKV_NOT_FOUND;
		if (!rc) /* names are kept in byte order */
			return MDB_INCOMPATIBLE;
		if (rc == DAXKV_NOT_FOUND)
			rc = daxkv_db_stat(txn->inner, handle->db, &stat);
		if (rc)
			return err_of(rc);
		rc = stat.entries ? rewrite(txn, handle, stat.entries)
		                  : txn_result(txn, flags_turn(txn, handle));
	}
	if (!rc)
		rc = err_of(compare_provide(txn->inner, handle));
	if (!rc)
		handle->adopted = txn_serial(txn);
	return rc;
}
