/* SPDX-License-Identifier: BSD-3-Clause */
/* A full store is no trap: whatever it is full of, all of it can be deleted, in any order [I22]. */
#include "small_store.h"

#include <endian.h>
#include <sched.h>
#include <sys/mount.h>

#define MIB  ((size_t)1 << 20)
#define DBS  600u /* databases at most, of FEW entries each */
#define FEW  12u
#define MANY 5000u /* values that a key has, where it has many */

enum content { SMALL, MIXED, LARGE, NAMED, DUPS };
enum sequence { ASCENDING, DESCENDING, RANDOM, ORDERS };
static const char *const content_name[] = {"small", "mixed", "large", "named", "dups"};

struct full {
	struct daxkv_store *store;
	enum content content;
	uint64_t n;
	uint64_t *order;
	uint64_t random;
	daxkv_db db[DBS];
	uint64_t dbs;
};

/* entry_db - the database of entry n, in txn. */
static daxkv_db entry_db(struct full *f, uint64_t n)
{
	if (f->content == NAMED)
		return f->db[n / FEW];
	return f->content == DUPS ? f->db[0] : DAXKV_MAIN;
}

static struct daxkv_val entry_key(const struct full *f, char buf[17], uint64_t n)
{
	/* keys in no order, so that leaves split in the middle */
	if (f->content == SMALL || f->content == MIXED)
		return key_n(buf, n * 7919 % 99999989);
	return key_n(buf, f->content == DUPS ? n / MANY : n);
}

static size_t entry_size(const struct full *f, uint64_t n)
{
	switch (f->content) {
	case MIXED:
		return n % 17 ? 8 : n * 37 % 1500;
	case LARGE:
		return 3000 + n * 7919 % 60000;
	default:
		return 20;
	}
}

/* entry_value_of - the number first, so that duplicates are in its order. */
static void entry_value_of(const struct full *f, uint8_t *value, size_t size, uint64_t n)
{
	const uint64_t number = htobe64(n);

	fill_n(value, size, n, 0);
	if (f->content == DUPS)
		memcpy(value, &number, sizeof number);
}

static int entry_put(struct full *f, struct daxkv_txn *txn, uint64_t n)
{
	static uint8_t value[64000];
	char buf[17];
	struct daxkv_val k = entry_key(f, buf, n), v = {entry_size(f, n), value};

	if (f->content == NAMED && n / FEW >= f->dbs) {
		char name[32];

		snprintf(name, sizeof name, "database-%lu", (unsigned long)(n / FEW));
		struct daxkv_val name_val = text(name);
		int rc = daxkv_db_open(txn, &name_val, DAXKV_CREATE, &f->db[n / FEW]);

		if (rc)
			return rc;
	}
	entry_value_of(f, value, v.size, n);
	return daxkv_put(txn, entry_db(f, n), &k, &v, 0);
}

static int entry_del(struct full *f, struct daxkv_txn *txn, uint64_t n)
{
	uint8_t value[32];
	char buf[17];
	struct daxkv_val k = entry_key(f, buf, n), v = {entry_size(f, n), value};

	if (f->content != DUPS)
		return daxkv_del(txn, entry_db(f, n), &k, NULL);
	entry_value_of(f, value, v.size, n);
	return daxkv_del(txn, f->db[0], &k, &v);
}

static bool is_full(int rc)
{
	return rc == DAXKV_FULL || rc == ENOSPC;
}

/* full_fill - put entries until there is no room, first many and then one in a transaction. */
static void full_fill(struct full *f)
{
	for (uint64_t step = 64; step; step = step == 64 ? 1 : 0)
		for (int rc = 0; !rc;) {
			struct daxkv_txn *txn = begin(f->store);
			uint64_t n = f->n;

			for (; n < f->n + step && !rc; n++)
				rc = entry_put(f, txn, n);
			if (!rc)
				rc = daxkv_txn_commit(txn);
			else
				daxkv_txn_abort(txn);
			if (!rc) {
				f->n = n;
				f->dbs = f->content == NAMED ? (n - 1) / FEW + 1 : 1;
			} else if (!is_full(rc)) {
				fail_msg("%s: %s", content_name[f->content], daxkv_errmsg());
			}
			assert_true(f->content != NAMED || f->n / FEW < DBS - 12);
		}
}

static void full_open_at(struct full *f, const char *name, enum content content,
                         unsigned int page_size, size_t max_size)
{
	*f = (struct full){.content = content, .random = 88172645463325252u};
	unlink(scratch_path(name));
	f->store = store_open(name, (struct daxkv_options){.flags = DAXKV_CREATE,
	                                                   .page_size = page_size,
	                                                   .pmem = DAXKV_PMEM_FORCE,
	                                                   .max_size = max_size});
	if (content == DUPS) {
		struct daxkv_txn *txn = begin(f->store);

		f->db[0] = db_of(txn, "dups", DAXKV_DUP_SORT);
		OK(daxkv_txn_commit(txn));
	}
	full_fill(f);
	assert_true(f->n > 10);
	f->order = malloc(f->n * sizeof *f->order);
	assert_non_null(f->order);
}

static void full_open(struct full *f, enum content content, unsigned int page_size, size_t max_size)
{
	full_open_at(f, "full", content, page_size, max_size);
}

static void full_order(struct full *f, enum sequence order)
{
	for (uint64_t i = 0; i < f->n; i++)
		f->order[i] = order == DESCENDING ? f->n - 1 - i : i;
	for (uint64_t i = f->n; order == RANDOM && i > 1; i--) {
		uint64_t other = random_next(&f->random) % i, kept = f->order[i - 1];

		f->order[i - 1] = f->order[other];
		f->order[other] = kept;
	}
}

/* full_empty - nothing is left, and what was freed can be used. */
static void full_empty(struct full *f)
{
	uint64_t had = f->n;

	f->n = f->dbs = 0;
	if (f->content == NAMED || f->content == DUPS) {
		struct daxkv_txn *txn = begin(f->store);

		OK(daxkv_db_drop(txn, DAXKV_MAIN, 0));
		if (f->content == DUPS)
			f->db[0] = db_of(txn, "dups", DAXKV_DUP_SORT);
		OK(daxkv_txn_commit(txn));
	}
	full_fill(f);
	if (f->n < had / 10 * 8)
		fail_msg("%s: %lu of %lu entries fit again", content_name[f->content],
		         (unsigned long)f->n, (unsigned long)had);
	store_check(f->store);
	free(f->order);
	OK(daxkv_close(f->store));
}

/* full_delete - all entries from the i-th on in that order, so many in a transaction. */
static int full_delete(struct full *f, uint64_t *i, uint64_t step)
{
	while (*i < f->n) {
		struct daxkv_txn *txn = begin(f->store);
		uint64_t n = *i;
		uint64_t end = n + step < f->n ? n + step : f->n;
		int rc = 0;

		for (; n < end && !rc; n++)
			rc = entry_del(f, txn, f->order[n]);
		if (rc)
			daxkv_txn_abort(txn);
		else
			rc = daxkv_txn_commit(txn);
		if (rc)
			return rc;
		*i = n;
	}
	return 0;
}

static void full_delete_all(struct full *f, enum sequence order, uint64_t step)
{
	uint64_t i = 0;

	full_order(f, order);
	if (full_delete(f, &i, step))
		fail_msg("%s in order %d by %lu: deleting behind %lu of %lu: %s",
		         content_name[f->content], order, (unsigned long)step, (unsigned long)i,
		         (unsigned long)f->n, daxkv_errmsg());
	full_empty(f);
}

static void one_in_a_transaction(void **state)
{
	(void)state;
	for (enum content c = SMALL; c <= DUPS; c++)
		for (enum sequence o = ASCENDING; o < ORDERS; o++) {
			struct full f;

			full_open(&f, c, 4096, MIB);
			full_delete_all(&f, o, 1);
			full_open(&f, c, 512, MIB / 2);
			full_delete_all(&f, o, 1);
		}
}

/* by_key - entries in the order of their keys. */
static int by_key(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a * 7919 % 99999989;
	const uint64_t y = *(const uint64_t *)b * 7919 % 99999989;

	return (x > y) - (x < y);
}

/* In the order of keys a transaction needs few pages, whatever it removes of a database. */
static void all_in_one_transaction(void **state)
{
	(void)state;
	for (enum content c = SMALL; c <= DUPS; c += c == LARGE ? 2 : 1)
		for (unsigned int back = 0; back < 2; back++)
			for (size_t page_size = 512; page_size <= 4096; page_size *= 8) {
				struct full f;
				uint64_t i = 0;

				full_open(&f, c, (unsigned int)page_size, MIB);
				full_order(&f, back ? DESCENDING : ASCENDING);
				if (c == SMALL || c == MIXED)
					qsort(f.order, f.n, sizeof *f.order, by_key);
				if (full_delete(&f, &i, f.n))
					fail_msg("%s, pages of %zu: %s", content_name[c], page_size,
					         daxkv_errmsg());
				full_empty(&f);
			}
}

/* Scattered over all leaves a transaction needs a page for each that it rewrites, until they are
 * empty. One whose result has no room beside what there was fails as a whole, and smaller ones do
 * not. */
static void many_in_a_transaction(void **state)
{
	(void)state;
	for (enum content c = SMALL; c <= DUPS; c++)
		for (size_t page_size = 512; page_size <= 4096; page_size *= 8) {
			struct full f;

			full_open(&f, c, (unsigned int)page_size, MIB);
			full_delete_all(&f, RANDOM, f.n);
			full_open(&f, c, (unsigned int)page_size, MIB);
			full_delete_all(&f, RANDOM, 8);
		}
}

/* full_remove - in txn, every step-th entry of the order from the first on. The first error. */
static int full_remove(struct full *f, struct daxkv_txn *txn, uint64_t first, uint64_t step)
{
	int rc = 0;

	for (uint64_t i = first; i < f->n && !rc; i += step)
		rc = entry_del(f, txn, f->order[i]);
	return rc;
}

static bool full_has(struct full *f, struct daxkv_txn *txn, uint64_t n)
{
	struct daxkv_val key, value;
	uint8_t want[64000];
	char buf[17];
	const size_t size = entry_size(f, n);
	int rc;

	key = entry_key(f, buf, n);
	entry_value_of(f, want, size, n);
	value = bytes(want, size);
	if (f->content != DUPS) {
		rc = daxkv_get(txn, entry_db(f, n), &key, &value);
		return !rc && value.size == size && memcmp(value.data, want, size) == 0;
	}
	struct daxkv_cursor *c;

	OK(daxkv_cursor_open(txn, f->db[0], &c));
	rc = daxkv_cursor_get(c, &key, &value, DAXKV_SEEK_PAIR);
	daxkv_cursor_close(c);
	return !rc;
}

/* Nested transactions remove, and an abort of one, and of all, brings back what was there. A reader
 * that began before has it to its end. */
static void levels_and_aborts(void **state)
{
	(void)state;
	for (enum content c = SMALL; c <= DUPS; c++)
		for (size_t page_size = 512; page_size <= 4096; page_size *= 8) {
			struct full f;

			full_open(&f, c, (unsigned int)page_size, MIB);
			full_order(&f, RANDOM);
			for (unsigned int round = 0; round < 2; round++) {
				struct daxkv_txn *reader = begin_reading(f.store);
				struct daxkv_txn *txn = begin(f.store), *child;

				OK(full_remove(&f, txn, 0, 3));
				child = begin_in(txn);
				OK(full_remove(&f, child, 1, 3));
				OK(full_remove(&f, child, 2, 3));
				daxkv_txn_abort(child);
				for (uint64_t i = 0; i < f.n; i += 11)
					assert_true(full_has(&f, txn, f.order[i]) == (i % 3 != 0));
				child = begin_in(txn);
				OK(full_remove(&f, child, 1, 3));
				OK(daxkv_txn_commit(child));
				child = begin_in(txn);
				OK(full_remove(&f, child, 2, 3));
				OK(daxkv_txn_commit(child));
				if (round)
					OK(daxkv_txn_commit(txn));
				else
					daxkv_txn_abort(txn);
				for (uint64_t i = 0; i < f.n; i += 11)
					assert_true(full_has(&f, reader, f.order[i]));
				daxkv_txn_abort(reader);
				store_check(f.store);
			}
			full_empty(&f);
		}
}

/* What stays of a store has no room beside what there was: that is told, and nothing is lost. */
static void a_result_without_room(void **state)
{
	(void)state;
	for (enum content c = SMALL; c <= DUPS; c += DUPS - SMALL) {
		struct full f;

		full_open(&f, c, 4096, MIB);
		full_order(&f, ASCENDING);
		struct daxkv_txn *txn = begin(f.store);

		OK(full_remove(&f, txn, 0, 2));
		for (uint64_t i = 0; i < f.n; i += 11)
			assert_true(full_has(&f, txn, i) == (i % 2 != 0));
		assert_int_equal(daxkv_txn_commit(txn), DAXKV_FULL);
		txn = begin_reading(f.store);
		for (uint64_t i = 0; i < f.n; i++)
			assert_true(full_has(&f, txn, i));
		daxkv_txn_abort(txn);
		store_check(f.store);
		full_delete_all(&f, RANDOM, f.n);
	}
}

/* What stays of a few leaves has room: the pages in memory that it lies in get places in the file,
 * under inner pages that a commit made. */
static void a_result_with_room(void **state)
{
	(void)state;
	for (size_t page_size = 512; page_size <= 4096; page_size *= 8) {
		struct full f;
		int rc = 0;

		full_open(&f, SMALL, (unsigned int)page_size, MIB);
		full_order(&f, ASCENDING);
		qsort(f.order, f.n, sizeof *f.order, by_key);
		const uint64_t some = f.n - f.n / 10, end = some + f.n / 100;
		struct daxkv_txn *txn = begin(f.store);

		for (uint64_t step = 0; step < 5 && !rc; step++) {
			for (uint64_t i = step; i < some && !rc; i += 5)
				rc = entry_del(&f, txn, f.order[i]);
			for (uint64_t i = some; i < end && !rc && step == 3; i += 2)
				rc = entry_del(&f, txn, f.order[i]);
			assert_true(step != 3 || f.store->space.memory.used);
		}
		OK(rc);
		OK(daxkv_txn_commit(txn));
		store_check(f.store);
		txn = begin_reading(f.store);
		for (uint64_t i = 0; i < f.n; i++)
			assert_true(full_has(&f, txn, f.order[i]) ==
			            (i >= end || (i >= some && (i - some) % 2)));
		daxkv_txn_abort(txn);
		free(f.order);
		OK(daxkv_close(f.store));
	}
}

/* full_drop - all databases at once, or parts of them as ranges. */
static void full_drop(struct full *f, bool ranges)
{
	struct daxkv_txn *txn;
	uint64_t all = 0, deleted = 0;

	for (uint64_t i = 0; ranges && i < 8; i++) {
		char from[17], to[17];
		struct daxkv_val a = entry_key(f, from, f->n / 8 * i);
		struct daxkv_val b = entry_key(f, to, f->n / 8 * (i + 1) - 1);

		txn = begin(f->store);
		OK(daxkv_del_range(txn, entry_db(f, f->n / 8 * i), i ? &a : NULL, i < 7 ? &b : NULL,
		                   &deleted));
		OK(daxkv_txn_commit(txn));
		all += deleted;
	}
	assert_true(!ranges || f->content == NAMED || all);
	txn = begin(f->store);
	OK(daxkv_db_drop(txn, DAXKV_MAIN, 0));
	OK(daxkv_txn_commit(txn));
	if (f->content == DUPS) {
		txn = begin(f->store);
		f->db[0] = db_of(txn, "dups", DAXKV_DUP_SORT);
		OK(daxkv_txn_commit(txn));
	}
	full_empty(f);
}

static void ranges_and_drops(void **state)
{
	(void)state;
	for (enum content c = SMALL; c <= DUPS; c++)
		for (size_t page_size = 512; page_size <= 4096; page_size *= 8)
			for (unsigned int ranges = 0; ranges < 2; ranges++) {
				struct full f;

				full_open(&f, c, (unsigned int)page_size, MIB);
				full_drop(&f, ranges);
			}
}

/* What an old snapshot holds back is missing while it lasts, and no longer. */
static void an_old_reader_is_waited_for(void **state)
{
	(void)state;
	for (enum content c = SMALL; c <= DUPS; c++) {
		struct full f;
		uint64_t i = 0;

		full_open(&f, c, 4096, MIB);
		full_order(&f, RANDOM);
		struct daxkv_txn *reader = begin_reading(f.store);
		int rc = full_delete(&f, &i, 1);

		assert_true(i > 4 && (!rc || rc == DAXKV_FULL));
		daxkv_txn_abort(reader);
		OK(full_delete(&f, &i, 1));
		full_empty(&f);
	}
}

/* disk_mount - a small disk at scratch_path("disk"), of this process alone. */
static bool disk_mount(const char *options)
{
	static bool own;

	if (geteuid() != 0 || (!own && unshare(CLONE_NEWNS) != 0))
		return false;
	own = true;
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       (mkdir(scratch_path("disk"), 0700) == 0 || errno == EEXIST) &&
	       mount("none", scratch_path("disk"), "tmpfs", 0, options) == 0;
}

/* disk_fill - another file takes all that is left. */
static void disk_fill(void)
{
	static const uint8_t page[4096];
	int fd = open(scratch_path("disk/other"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	while (write(fd, page, sizeof page) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

static void on_a_full_disk(void **state)
{
	(void)state;
	for (enum content c = SMALL; c <= DUPS; c++)
		for (unsigned int way = 0; way < 4; way++) {
			struct full f;

			if (!disk_mount("size=2m"))
				skip();
			full_open_at(&f, "disk/store", c, 4096, 0);
			disk_fill();
			if (way >= 2)
				full_delete_all(&f, RANDOM, way == 2 ? 1 : f.n);
			else
				full_drop(&f, way);
			assert_int_equal(umount(scratch_path("disk")), 0);
		}
}

/* half_drop - every other database goes, in one transaction that frees too many extents for a lock
 * file which cannot grow. */
static void half_drop(struct full *f)
{
	struct daxkv_txn *txn = begin(f->store);

	for (uint64_t i = 0; i < f->dbs; i += 2)
		OK(daxkv_db_drop(txn, f->db[i], 1));
	OK(daxkv_txn_commit(txn));
}

/* Where one item of the lock file stands for all that a transaction freed, what a later one frees
 * among that waits for its own readers. */
static void held_by_two_one_of_them_coarse(void **state)
{
	struct full f;
	struct daxkv_txn *txn, *reader;

	(void)state;
	if (!disk_mount("size=2m"))
		skip();
	full_open_at(&f, "disk/store", NAMED, 4096, 0);
	disk_fill();
	half_drop(&f);
	assert_true(f.store->space.limbo.n > 0 && f.store->space.limbo.n < 20);
	reader = begin_reading(f.store);
	for (uint64_t i = 1; i < f.dbs; i += 8) {
		txn = begin(f.store);
		OK(daxkv_db_drop(txn, f.db[i], 1));
		OK(daxkv_txn_commit(txn));
	}
	int rc = 0;

	for (uint64_t n = 0; !rc; n++) { /* as much as there is room for */
		txn = begin(f.store);
		rc = put_n(txn, DAXKV_MAIN, 1000000 + n, 1500, 7);
		if (rc)
			daxkv_txn_abort(txn);
		else
			rc = daxkv_txn_commit(txn);
		assert_true(!rc || (rc == ENOSPC && n > 20));
	}
	for (uint64_t n = FEW; n < f.n / FEW * FEW; n++)
		if (n / FEW % 2)
			assert_true(has_n(reader, f.db[n / FEW], n, 20, 0));
	daxkv_txn_abort(reader);
	full_drop(&f, false);
	assert_int_equal(umount(scratch_path("disk")), 0);
}

static int copy_bytes(const void *bytes, size_t size, void *arg)
{
	return fwrite(bytes, 1, size, arg) == size ? 0 : EIO;
}

/* full_copied - f's store is a packed copy of it, of which the maximum is what it has. */
static void full_copied(struct full *f)
{
	struct daxkv_txn *txn = begin_reading(f->store);
	FILE *out = fopen(scratch_path("copied"), "wb");

	assert_non_null(out);
	OK(daxkv_copy(txn, copy_bytes, out));
	assert_int_equal(fclose(out), 0);
	daxkv_txn_abort(txn);
	const uint64_t page = f->store->page_size;
	OK(daxkv_close(f->store));
	f->store = store_open("copied", (struct daxkv_options){.pmem = DAXKV_PMEM_FORCE});
	store_check(f->store);
	OK(daxkv_set_max_size(f->store, daxkv_size(f->store)));
	assert_int_equal(f->store->page_size, page);
	txn = begin(f->store);
	for (uint64_t i = 0; i < f->dbs && (f->content == NAMED || f->content == DUPS); i++) {
		char name[32] = "dups";

		if (f->content == NAMED)
			snprintf(name, sizeof name, "database-%lu", (unsigned long)i);
		f->db[i] = db_of(txn, name, 0);
	}
	OK(daxkv_txn_commit(txn));
}

/* A copy is packed, and has no page that its entries do not need but for the reserve. */
static void a_packed_copy(void **state)
{
	(void)state;
	for (enum content c = SMALL; c <= DUPS; c++)
		for (size_t page_size = 512; page_size <= 4096; page_size *= 8)
			for (unsigned int all = 0; all < 2; all++) {
				struct full f;
				uint64_t i = 0;

				full_open(&f, c, (unsigned int)page_size, MIB);
				full_copied(&f);
				full_order(&f, RANDOM);
				if (full_delete(&f, &i, all ? f.n : 1))
					fail_msg("%s, pages of %zu: behind %lu of %lu: %s",
					         content_name[c], page_size, (unsigned long)i,
					         (unsigned long)f.n, daxkv_errmsg());
				store_check(f.store);
				free(f.order);
				OK(daxkv_close(f.store));
			}
}

struct load {
	uint64_t n, to;
	char key[17];
	uint8_t value[64];
};

static int load_next(void *arg, struct daxkv_val *key, struct daxkv_val *value)
{
	struct load *l = arg;

	if (l->n == l->to)
		return DAXKV_NOT_FOUND;
	*key = key_n(l->key, l->n++);
	*value = bytes(l->value, sizeof l->value);
	return 0;
}

/* Removals from leaves that are full do not split them: that would take pages for good. */
static void full_leaves_lose_an_entry_each(void **state)
{
	struct daxkv_txn *txn;
	struct load l = {0};
	uint64_t n = 11500;
	int rc;

	(void)state;
	struct daxkv_store *store = store_open(
	    "leaves", (struct daxkv_options){
	                  .flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE, .max_size = MIB});
	do { /* as many as there is room for */
		l.n = 0;
		l.to = n -= 100;
		txn = begin(store);
		rc = daxkv_bulk_load(txn, DAXKV_MAIN, 100, load_next, &l, NULL);
		if (rc)
			daxkv_txn_abort(txn);
	} while (rc);
	OK(daxkv_txn_commit(txn));
	assert_true(n > 8000);
	for (unsigned int round = 0; round < 20; round++)
		for (uint64_t i = round; i < n; i += 20) {
			txn = begin(store);
			OK(del_n(txn, DAXKV_MAIN, i));
			OK(daxkv_txn_commit(txn));
		}
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(one_in_a_transaction),
	    TEST(all_in_one_transaction),
	    TEST(many_in_a_transaction),
	    TEST(ranges_and_drops),
	    TEST(an_old_reader_is_waited_for),
	    TEST(on_a_full_disk),
	    TEST(full_leaves_lose_an_entry_each),
	    TEST(held_by_two_one_of_them_coarse),
	    TEST(levels_and_aborts),
	    TEST(a_result_without_room),
	    TEST(a_result_with_room),
	    TEST(a_packed_copy),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
