/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * small_store.h - what the tests of the engine's modules share: small real stores, entries by text
 * or by number, and the image of a store as a crash of its process would leave it.
 */
#ifndef DAXKV_TEST_STORE_H
#define DAXKV_TEST_STORE_H

#include "scratch.h"
#include "txn/store.h"

#define OK(call)                                                                                   \
	do {                                                                                       \
		int result_of_call = (call);                                                       \
		if (result_of_call)                                                                \
			fail_msg("%s:%d: %s: %s: %s", __FILE__, __LINE__, #call,                   \
			         daxkv_strerror(result_of_call), daxkv_errmsg());                  \
	} while (0)

static inline struct daxkv_store *store_open(const char *name, struct daxkv_options o)
{
	struct daxkv_store *store = NULL;

	OK(daxkv_open(scratch_path(name), &o, &store));
	return store;
}

/* store_made_sure - the fence that the first write transaction makes behind an opening is over. */
static inline void store_made_sure(struct daxkv_store *store)
{
	struct daxkv_txn *txn;

	OK(daxkv_txn_begin(store, NULL, 0, &txn));
	daxkv_txn_abort(txn);
}

/* store_new - a fresh store, flushed by cache lines whatever the filesystem, so that nothing waits
 * for a disk. */
static inline struct daxkv_store *store_new(const char *name, unsigned int page_size)
{
	char lock[64];

	snprintf(lock, sizeof lock, "%s-lock", name);
	unlink(scratch_path(name));
	unlink(scratch_path(lock)); /* a test that failed may have left its store open */
	struct daxkv_store *store = store_open(
	    name, (struct daxkv_options){
	              .flags = DAXKV_CREATE, .page_size = page_size, .pmem = DAXKV_PMEM_FORCE});

	store_made_sure(store);
	return store;
}

static inline struct daxkv_store *store_again(const char *name)
{
	return store_open(name, (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE});
}

static inline void store_fault(const char *fault, void *arg)
{
	(void)arg;
	print_error("fault: %s\n", fault);
}

/* store_check - the checker finds nothing. */
static inline void store_check(struct daxkv_store *store)
{
	uint64_t faults = 0;

	OK(daxkv_check(store, store_fault, NULL, &faults));
	assert_int_equal(faults, 0);
}

static inline void store_done(struct daxkv_store *store)
{
	store_check(store);
	OK(daxkv_close(store));
}

/* store_image - the bytes that a store's users see now, as a file of its own: what a crash of the
 * process leaves. */
static inline void store_image(const struct daxkv_store *store, const char *name)
{
	int fd = open(scratch_path(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, store->map.base, store->map.size), (ssize_t)store->map.size);
	close(fd);
}

/* image_flip - damage one byte of an image. */
static inline void image_flip(const char *name, uint64_t off)
{
	uint8_t byte = 0;
	int fd = open(scratch_path(name), O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0 && pread(fd, &byte, 1, (off_t)off) == 1);
	byte ^= 0x41;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)off), 1);
	close(fd);
}

static inline struct daxkv_txn *begin(struct daxkv_store *store)
{
	struct daxkv_txn *txn = NULL;

	OK(daxkv_txn_begin(store, NULL, 0, &txn));
	return txn;
}

static inline struct daxkv_txn *begin_in(struct daxkv_txn *parent)
{
	struct daxkv_txn *txn = NULL;

	OK(daxkv_txn_begin(daxkv_txn_store(parent), parent, 0, &txn));
	return txn;
}

static inline struct daxkv_txn *begin_reading(struct daxkv_store *store)
{
	struct daxkv_txn *txn = NULL;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
	return txn;
}

/* bytes - memory as the interface takes it: keys and values that are only read. */
static inline struct daxkv_val bytes(const void *p, size_t n)
{
	union {
		const void *in;
		void *out;
	} u = {p};

	return (struct daxkv_val){n, u.out};
}

static inline struct daxkv_val text(const char *s)
{
	return bytes(s, strlen(s));
}

/* db_of - the named database, made when it is missing. */
static inline daxkv_db db_of(struct daxkv_txn *txn, const char *name, unsigned int flags)
{
	struct daxkv_val n = text(name);
	daxkv_db db = 0;

	OK(daxkv_db_open(txn, &n, flags | DAXKV_CREATE, &db));
	return db;
}

static inline int put(struct daxkv_txn *txn, daxkv_db db, const char *key, const char *value,
                      unsigned int flags)
{
	struct daxkv_val k = text(key), v = text(value);

	return daxkv_put(txn, db, &k, &v, flags);
}

static inline int del(struct daxkv_txn *txn, daxkv_db db, const char *key, const char *value)
{
	struct daxkv_val k = text(key), v = text(value ? value : "");

	return daxkv_del(txn, db, &k, value ? &v : NULL);
}

/* has - whether key has that value; value NULL: whether it is not there. */
static inline bool has(struct daxkv_txn *txn, daxkv_db db, const char *key, const char *value)
{
	struct daxkv_val k = text(key), v;
	int rc = daxkv_get(txn, db, &k, &v);

	if (!value)
		return rc == DAXKV_NOT_FOUND;
	return rc == 0 && v.size == strlen(value) && memcmp(v.data, value, v.size) == 0;
}

/* Numbered entries: key n is 16 bytes with a common prefix of 8, its value depends on n, version
 * and length. */
static inline struct daxkv_val key_n(char buf[17], uint64_t n)
{
	char text[32]; /* for any number, as far as the compiler can tell */

	snprintf(text, sizeof text, "numbered%08lu", (unsigned long)(n % 100000000));
	memcpy(buf, text, 17);
	return bytes(buf, 16);
}

static inline void fill_n(uint8_t *p, size_t len, uint64_t n, uint64_t version)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(n * 31 + version * 131 + i * 7 + i / 251);
}

static inline int put_n(struct daxkv_txn *txn, daxkv_db db, uint64_t n, size_t len,
                        uint64_t version)
{
	uint8_t small[256], *p = len <= sizeof small ? small : malloc(len);
	char buf[17];
	struct daxkv_val k = key_n(buf, n), v = {len, p};

	assert_non_null(p);
	fill_n(p, len, n, version);
	int rc = daxkv_put(txn, db, &k, &v, 0);

	if (p != small)
		free(p);
	return rc;
}

static inline int del_n(struct daxkv_txn *txn, daxkv_db db, uint64_t n)
{
	char buf[17];
	struct daxkv_val k = key_n(buf, n);

	return daxkv_del(txn, db, &k, NULL);
}

static inline bool has_n(struct daxkv_txn *txn, daxkv_db db, uint64_t n, size_t len,
                         uint64_t version)
{
	char buf[17];
	struct daxkv_val k = key_n(buf, n), v;

	if (daxkv_get(txn, db, &k, &v) || v.size != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (((const uint8_t *)v.data)[i] !=
		    (uint8_t)(n * 31 + version * 131 + i * 7 + i / 251))
			return false;
	return true;
}

static inline bool lacks_n(struct daxkv_txn *txn, daxkv_db db, uint64_t n)
{
	char buf[17];
	struct daxkv_val k = key_n(buf, n), v;

	return daxkv_get(txn, db, &k, &v) == DAXKV_NOT_FOUND;
}

/* put_one, put_some - a transaction of one entry, of the entries [from, to). */
static inline void put_one(struct daxkv_store *store, const char *key, const char *value)
{
	struct daxkv_txn *txn = begin(store);

	OK(put(txn, DAXKV_MAIN, key, value, 0));
	OK(daxkv_txn_commit(txn));
}

static inline void put_some(struct daxkv_store *store, uint64_t from, uint64_t to, size_t len,
                            uint64_t version)
{
	struct daxkv_txn *txn = begin(store);

	for (uint64_t n = from; n < to; n++)
		OK(put_n(txn, DAXKV_MAIN, n, len, version));
	OK(daxkv_txn_commit(txn));
}

static inline void del_some(struct daxkv_store *store, uint64_t from, uint64_t to)
{
	struct daxkv_txn *txn = begin(store);

	for (uint64_t n = from; n < to; n++)
		OK(del_n(txn, DAXKV_MAIN, n));
	OK(daxkv_txn_commit(txn));
}

static inline struct daxkv_counters counters(struct daxkv_store *store)
{
	struct daxkv_counters c;

	daxkv_counters(store, &c);
	return c;
}

static inline struct daxkv_info info(struct daxkv_store *store)
{
	struct daxkv_info i;

	OK(daxkv_info(store, &i));
	return i;
}

/* random_next - xorshift: the same numbers in every run. */
static inline uint64_t random_next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

#define TEST(name) cmocka_unit_test(name)

#endif
