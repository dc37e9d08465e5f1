/* SPDX-License-Identifier: BSD-3-Clause */
/* count.c - the counted operations by daxkv's interface. See count.h */
#include "count.h"

#include "daxkv.h"

/* Visible, so that callgrind knows them by name. */
int count_begin(void *store, uint64_t n);
int count_write(void *store, uint64_t n);
int count_get(void *store, uint64_t n);
int count_next(void *store, uint64_t n);
int count_put(void *store, uint64_t n);
int count_update(void *store, uint64_t n);
int count_insert(void *store, uint64_t n);
int count_delete(void *store, uint64_t n);

static int begin_and_abort(struct daxkv_store *store, unsigned int flags, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		struct daxkv_txn *txn;

		err = daxkv_txn_begin(store, NULL, flags, &txn);
		if (!err)
			daxkv_txn_abort(txn);
	}
	return err;
}

int count_begin(void *store, uint64_t n)
{
	return begin_and_abort(store, DAXKV_TXN_READ_ONLY, n);
}

int count_write(void *store, uint64_t n)
{
	return begin_and_abort(store, 0, n);
}

/* All gets lie in one transaction. */
int count_get(void *store, uint64_t n)
{
	struct daxkv_txn *txn;
	struct record r;
	int err = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (err)
		return err;
	for (uint64_t i = 0; i < n && !err; i++) {
		entry_make(&r, id_existing(i), 0);
		struct daxkv_val k = {sizeof r.key, r.key}, v;

		err = daxkv_get(txn, DAXKV_MAIN, &k, &v);
	}
	daxkv_txn_abort(txn);
	return err;
}

int count_next(void *store, uint64_t n)
{
	struct daxkv_cursor *cursor;
	struct daxkv_txn *txn;
	int err = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (err)
		return err;
	err = daxkv_cursor_open(txn, DAXKV_MAIN, &cursor);
	for (uint64_t i = 0; i < n && !err; i++) {
		struct daxkv_val k, v;

		err = daxkv_cursor_get(cursor, &k, &v, DAXKV_NEXT);
	}
	daxkv_cursor_close(cursor);
	daxkv_txn_abort(txn);
	return err;
}

static int put(struct daxkv_txn *txn, uint64_t id, uint64_t version)
{
	struct record r;

	entry_make(&r, id, version);
	struct daxkv_val k = {sizeof r.key, r.key}, v = {sizeof r.value, r.value};

	return daxkv_put(txn, DAXKV_MAIN, &k, &v, 0);
}

static int end(struct daxkv_txn *txn, int err)
{
	if (!err)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return err;
}

/* put_range - new entries, many in a transaction. */
static int put_range(struct daxkv_store *store, uint64_t from, uint64_t to)
{
	int err = 0;

	for (uint64_t i = from; i < to && !err;) {
		struct daxkv_txn *txn;

		err = daxkv_txn_begin(store, NULL, 0, &txn);
		if (err)
			break;
		for (unsigned int k = 0; k < BATCH && i < to && !err; k++, i++)
			err = put(txn, i, 1);
		err = end(txn, err);
	}
	return err;
}

static int put_one(struct daxkv_store *store, uint64_t id, uint64_t version)
{
	struct daxkv_txn *txn;
	int err = daxkv_txn_begin(store, NULL, 0, &txn);

	return err ? err : end(txn, put(txn, id, version));
}

int count_put(void *store, uint64_t n)
{
	return put_range(store, ENTRIES, ENTRIES + n);
}

int count_update(void *store, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++)
		err = put_one(store, id_existing(i), i + 2);
	return err;
}

int count_insert(void *store, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++)
		err = put_one(store, ENTRIES + i, 1);
	return err;
}

int count_delete(void *store, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		struct daxkv_txn *txn;
		struct record r;

		err = daxkv_txn_begin(store, NULL, 0, &txn);
		if (err)
			break;
		entry_make(&r, i, 0);
		struct daxkv_val k = {sizeof r.key, r.key};

		err = end(txn, daxkv_del(txn, DAXKV_MAIN, &k, NULL));
	}
	return err;
}

static int store_open(const char *file, void **opened)
{
	/* valgrind has little address space to give: max_size keeps the reservation small. */
	struct daxkv_options options = {.flags = DAXKV_CREATE | DAXKV_EXCLUSIVE,
	                                .pmem = DAXKV_PMEM_FORCE,
	                                .initial_size = 64u << 20,
	                                .max_size = 1u << 30};
	struct daxkv_store *store;
	int err = daxkv_open(file, &options, &store);

	if (!err)
		*opened = store;
	return err;
}

/* store_fill - the last commit is a small one: whoever begins to write flushes its words. */
static int store_fill(void *store)
{
	int err = put_range(store, 0, ENTRIES);

	return err ? err : put_one(store, 0, 1);
}

static int store_close(void *store)
{
	return daxkv_close(store);
}

static const char *store_text(int err)
{
	const char *text = daxkv_errmsg();

	return text[0] ? text : daxkv_strerror(err);
}

int main(int argc, char **argv)
{
	static const struct count_program program = {
	    .name = "bench-count",
	    .open = store_open,
	    .fill = store_fill,
	    .close = store_close,
	    .text = store_text,
	    .kinds = {{"begin", count_begin},
	              {"write", count_write},
	              {"get", count_get},
	              {"next", count_next},
	              {"put", count_put},
	              {"update", count_update},
	              {"insert", count_insert},
	              {"delete", count_delete},
	              {NULL, NULL}},
	};

	return count_main(&program, argc, argv);
}
