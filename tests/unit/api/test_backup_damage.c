/* SPDX-License-Identifier: BSD-3-Clause */
/* test_backup_damage.c - pieces with wrong bytes, and a damaged store: an error that says so, and
 * never a store that is not what it should be. */
#include "../backup_history.h"
#include "base/crc.h"
#include "base/delta.h"

static uint8_t *piece_read(const char *name, size_t *n)
{
	struct stat st;
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);
	uint8_t *bytes;

	assert_int_equal(fstat(fd, &st), 0);
	*n = (size_t)st.st_size;
	bytes = malloc(*n + 1);
	assert_int_equal(pread(fd, bytes, *n, 0), (ssize_t)*n);
	close(fd);
	return bytes;
}

static void piece_write(const char *name, const uint8_t *bytes, size_t n)
{
	int fd = open(scratch_path(name), O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

/* Each byte of a delta that is another, and each length that is less or more. */
static void a_damaged_delta_is_refused(void **state)
{
	struct history h;
	size_t n;

	(void)state;
	daxkv_txn_abort(small_chain(&h));
	OK(daxkv_close(h.store));
	uint8_t *bytes = piece_read("d1", &n);

	bytes[n] = 0;
	for (size_t i = 0; i < n; i++) {
		const uint8_t bit = (uint8_t)(1 << i % 8);

		bytes[i] ^= bit;
		piece_write("d1", bytes, n);
		no_store_of(restore("again", 3));
		bytes[i] ^= bit;
	}
	for (size_t i = 0; i <= n + 1; i += i + 40 < n && i > 200 ? 17 : 1) {
		if (i == n)
			continue;
		piece_write("d1", bytes, i);
		no_store_of(restore("again", 3));
	}
	piece_write("d1", bytes, n);
	OK(restore("again", 3));
	free(bytes);
}

/* seal - the checksums of a delta of n bytes, as they belong to what is in it. */
static void seal(uint8_t *bytes, size_t n)
{
	const size_t at = offsetof(struct delta_head, crc);
	uint32_t crc = crc32c(0, bytes, at), length;

	put32(bytes + at, crc);
	for (size_t off = sizeof(struct delta_head); off + DELTA_BLOCK_HEAD <= n;
	     off += DELTA_BLOCK_HEAD + length) {
		length = get32(bytes + off) ? get32(bytes + off) : DELTA_TOTALS;
		crc = crc32c(crc32c(crc, bytes + off, 4), bytes + off + DELTA_BLOCK_HEAD, length);
		put32(bytes + off + 4, crc);
	}
}

/* Records that make no sense, with right checksums: the restore may succeed, and the store is sound
 * then; it never fails in another way than by an error. */
static void records_of_any_bytes(void **state)
{
	const size_t first = sizeof(struct delta_head) + DELTA_BLOCK_HEAD;
	const char *more = getenv("BACKUP_SEEDS");
	struct daxkv_store *store;
	struct history h;
	uint64_t made = 0;
	size_t n;

	(void)state;
	daxkv_txn_abort(small_chain(&h));
	OK(daxkv_close(h.store));
	uint8_t *bytes = piece_read("d1", &n), *copy = malloc(n);

	memcpy(copy, bytes, n); /* one byte fewer in all than there are */
	copy[n - DELTA_TOTALS] ^= 1;
	seal(copy, n);
	piece_write("d1", copy, n);
	no_store_of(restore_of("full", "d1", NULL));

	for (uint64_t i = more ? 50 * strtoull(more, NULL, 10) : 600; i > 0; i--) {
		memcpy(copy, bytes, n);
		for (uint64_t k = 1 + below(&h, 3); k > 0; k--) {
			size_t at = first + below(&h, n - first - DELTA_BLOCK_HEAD - DELTA_TOTALS);
			uint64_t way = below(&h, 3);

			copy[at] = way == 0   ? (uint8_t)below(&h, 8)
			           : way == 1 ? (uint8_t)(copy[at] + 1)
			                      : (uint8_t)below(&h, 256);
		}
		seal(copy, n);
		piece_write("d1", copy, n);
		if (restore_of("full", "d1", NULL) == 0) {
			made++;
			store = store_open("again", (struct daxkv_options){.flags = DAXKV_NO_LOCK});
			OK(daxkv_check(store, NULL, NULL, NULL));
			OK(daxkv_close(store));
			unlink(scratch_path("again"));
		} else {
			struct stat st;

			assert_true(stat(scratch_path("again"), &st) != 0);
		}
	}
	assert_true(made > 0);
	free(bytes);
	free(copy);
}

/* Each byte of a full backup, in one bit: refused, or of no meaning. And each page that is missing.
 */
static void a_damaged_full_backup_is_refused_or_as_good(void **state)
{
	struct history h;
	struct daxkv_txn *txn = small_chain(&h);
	uint64_t version = daxkv_user_version(h.store), refused = 0;
	size_t n;
	uint8_t *bytes = piece_read("full", &n);

	(void)state;
	for (size_t i = 0; i < n; i += i < 400 ? 1 : 23) {
		bytes[i] ^= (uint8_t)(1 << i % 8);
		piece_write("full", bytes, n);
		bytes[i] ^= (uint8_t)(1 << i % 8);
		int rc = restore("again", 3);

		if (rc)
			no_store_of(rc);
		else
			same_store(txn, version, "again");
		refused += rc != 0;
	}
	assert_true(refused > 100);
	for (size_t i = 0; i < n; i += 512) {
		piece_write("full", bytes, i);
		no_store_of(restore("again", 1));
		assert_true(daxkv_open(scratch_path("full"),
		                       &(struct daxkv_options){.flags = DAXKV_NO_LOCK},
		                       &(struct daxkv_store *){NULL}) != 0);
	}
	free(bytes);
	daxkv_txn_abort(txn);
	OK(daxkv_close(h.store));
}

/* The births in inner pages tell what changed: those are verified, all that are in use. */
static void a_damaged_birth_is_no_unchanged_page(void **state)
{
	struct daxkv_backup_info since;
	struct daxkv_backup_options options = {.since = &since};
	struct daxkv_store *store = store_new("source", 512);
	struct daxkv_db_stat stat;
	struct daxkv_txn *txn;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	uint64_t found = 0;
	size_t n;

	(void)state;
	put_some(store, 0, 3000, 20, 1);
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
	OK(daxkv_db_stat(txn, DAXKV_MAIN, &stat));
	OK(backup_fd(txn, "full", NULL));
	daxkv_txn_abort(txn);
	OK(daxkv_close(store));
	OK(daxkv_backup_look(scratch_path("full"), &since));
	uint8_t *bytes = piece_read("source", &n);

	for (size_t at = 0; at < n; at += 512) {
		if (bytes[at + 20] != FMT_INNER)
			continue;
		bytes[at] ^= 1;
		piece_write("source", bytes, n);
		bytes[at] ^= 1;
		store = store_open(
		    "source", (struct daxkv_options){.flags = DAXKV_NO_LOCK | DAXKV_READ_ONLY});
		OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn));
		int rc = daxkv_backup(txn, null, &options);

		assert_true(rc == 0 || rc == DAXKV_CORRUPT);
		found += rc == DAXKV_CORRUPT;
		daxkv_txn_abort(txn);
		OK(daxkv_close(store));
	}
	assert_int_equal(found, stat.inner_pages);
	free(bytes);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_damaged_delta_is_refused),
	    cmocka_unit_test(records_of_any_bytes),
	    cmocka_unit_test(a_damaged_full_backup_is_refused_or_as_good),
	    cmocka_unit_test(a_damaged_birth_is_no_unchanged_page),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
