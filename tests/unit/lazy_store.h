/* SPDX-License-Identifier: BSD-3-Clause */
/* lazy_store.h - stores in files with lazy commits, and what a power cut would leave of them. */
#ifndef DAXKV_TEST_LAZY_STORE_H
#define DAXKV_TEST_LAZY_STORE_H

#include "small_store.h"
#include "txn/commit.h"

#define MAIN DAXKV_MAIN
#define FILE_MODE                                                                                  \
	(struct daxkv_options)                                                                     \
	{                                                                                          \
		.flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FILE, .durability = DAXKV_LAZY           \
	}

static inline int put_in(struct daxkv_store *store, unsigned int flags, unsigned int from,
                         unsigned int n)
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, flags, &txn);

	for (unsigned int i = from; i < from + n && !rc; i++) {
		struct daxkv_val key = {sizeof i, &i}, value = {sizeof i, &i};

		rc = daxkv_put(txn, MAIN, &key, &value, 0);
	}
	return rc ? rc : daxkv_txn_commit(txn);
}

static inline uint64_t entries(struct daxkv_store *store)
{
	struct daxkv_db_stat stat;
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
	OK(daxkv_db_stat(txn, MAIN, &stat));
	daxkv_txn_abort(txn);
	return stat.entries;
}

/* entries_cut - what the file alone shows: a copy of it, as a power cut would leave it at best. */
static inline uint64_t entries_cut(const char *name)
{
	struct daxkv_store *store;
	char copy[64], text[2 * PATH_MAX + 16];
	uint64_t n;

	snprintf(copy, sizeof copy, "%s-cut", name);
	snprintf(text, sizeof text, "cp %s", scratch_path(name));
	snprintf(text + strlen(text), sizeof text - strlen(text), " %s", scratch_path(copy));
	assert_int_equal(system(text), 0);
	store = store_open(copy, (struct daxkv_options){.flags = DAXKV_NO_LOCK});
	OK(daxkv_check(store, NULL, NULL, NULL));
	n = entries(store);
	OK(daxkv_close(store));
	return n;
}

static inline struct daxkv_info info_of(struct daxkv_store *store)
{
	struct daxkv_info info;

	OK(daxkv_info(store, &info));
	return info;
}

#endif
