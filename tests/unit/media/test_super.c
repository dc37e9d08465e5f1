/* SPDX-License-Identifier: BSD-3-Clause */
/* The superblock: a new store's bytes, and what is said of files that are none. */
#include "media/super.h"

#include "base/base.h"
#include "base/crc.h"
#include "daxkv.h"
#include "scratch.h"

#define SIZE ((uint64_t)2 << 20)

static int file_new(void)
{
	int fd = open(scratch_path("super"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static int store_fd(uint32_t page_size, uint64_t size)
{
	struct super_new new = {
	    .page_size = page_size, .size = size, .file_id = 0xabcdef, .created = 1};
	int fd = file_new();
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(super_fill(fd, &new), 0);
	return fd;
}

/* header_set - change four bytes of the superblock and make its hash right again. */
static void header_set(int fd, uint64_t off, uint32_t value)
{
	struct fmt_super s;
	assert_int_equal(pread(fd, &s, sizeof s, 0), sizeof s);
	memcpy((uint8_t *)&s + off, &value, sizeof value);
	s.hash = hash64(0x6461786b76000001u, &s, offsetof(struct fmt_super, hash));
	assert_int_equal(pwrite(fd, &s, sizeof s, 0), sizeof s);
}

static int read_of(int fd, uint64_t size)
{
	struct geometry g;
	return super_read(fd, size, &g);
}

static void fill_and_read_back(void **state)
{
	(void)state;
	for (uint32_t psize = FMT_PAGE_MIN; psize <= FMT_PAGE_MAX; psize *= 2) {
		struct geometry g;
		int fd = store_fd(psize, SIZE);
		assert_int_equal(super_read(fd, SIZE, &g), 0);
		assert_true(g.page_size == psize && g.file_id == 0xabcdef && !g.rocompat);
		assert_int_equal(g.ring_off, psize > 4096 ? psize : 4096);
		assert_int_equal(g.first_page, round_up(g.ring_off + 64 * 512, psize));
		close(fd);
	}
}

/* The directory names a bitmap page for each zone, and the bitmaps have the pages in use and no
 * others. */
static void fill_of_several_zones(void **state)
{
	const uint32_t psize = 512;
	const uint64_t zones = 70, size = zones * super_zone_bytes(psize) -
	                                  10 * psize; /* two directory pages: 64 zones each */
	struct fmt_super s;
	uint64_t dir[64], bits[64], used = 0;
	int fd = store_fd(psize, size);
	(void)state;
	assert_int_equal(pread(fd, &s, sizeof s, 0), sizeof s);
	assert_true(s.dir[0] && s.dir[1] == s.dir[0] + psize && s.dir[2] == 0);
	for (uint64_t z = 0; z < 128; z++) {
		if (z % 64 == 0)
			assert_int_equal(pread(fd, dir, sizeof dir, (off_t)s.dir[z / 64]),
			                 sizeof dir);
		if (z >= zones) {
			assert_int_equal(dir[z % 64], 0);
			continue;
		}
		assert_int_equal(dir[z % 64], s.dir[1] + psize + z * psize);
		assert_int_equal(pread(fd, bits, sizeof bits, (off_t)dir[z % 64]), sizeof bits);
		for (int i = 0; i < 64; i++)
			used += (uint64_t)__builtin_popcountll(bits[i]);
	}
	assert_int_equal(used, s.main_desc / psize + 1);
	close(fd);
}

static void fill_fails_with_the_errno(void **state)
{
	struct super_new new = {.page_size = 4096, .size = SIZE};
	int fd = file_new();
	(void)state;
	close(fd);
	fd = open(scratch_path("super"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(super_fill(fd, &new), EBADF);
	close(fd);
}

static void every_byte_of_the_header_counts(void **state)
{
	int fd = store_fd(4096, SIZE);
	(void)state;
	for (off_t i = 0; i < 256; i++) {
		uint8_t was, byte;
		assert_int_equal(pread(fd, &was, 1, i), 1);
		byte = was ^ 0x10;
		assert_int_equal(pwrite(fd, &byte, 1, i), 1);
		assert_true(read_of(fd, SIZE) < 0);
		assert_int_equal(pwrite(fd, &was, 1, i), 1);
	}
	assert_int_equal(read_of(fd, SIZE), 0);
	close(fd);
}

static void other_files_are_foreign(void **state)
{
	uint8_t bytes[FMT_SUPER_SIZE] = {0};
	int fd = file_new();
	(void)state;
	assert_int_equal(read_of(fd, 0), DAXKV_FOREIGN);
	assert_non_null(strstr(daxkv_errmsg(), "empty"));
	assert_int_equal(pwrite(fd, bytes, sizeof bytes, 0), sizeof bytes);
	assert_int_equal(read_of(fd, sizeof bytes), DAXKV_FOREIGN);
	assert_non_null(strstr(daxkv_errmsg(), "zero"));
	memcpy(bytes + 16, "\xde\xc0\xef\xbe", 4);
	assert_int_equal(pwrite(fd, bytes, sizeof bytes, 0), sizeof bytes);
	assert_int_equal(read_of(fd, sizeof bytes), DAXKV_FOREIGN);
	assert_non_null(strstr(daxkv_errmsg(), "LMDB"));
	assert_int_equal(pwrite(fd, "some text", 9, 0), 9);
	assert_int_equal(read_of(fd, sizeof bytes), DAXKV_FOREIGN);
	assert_int_equal(ftruncate(fd, 3), 0);
	assert_int_equal(read_of(fd, 3), DAXKV_FOREIGN);
	close(fd);
}

static void cut_off_is_corrupt(void **state)
{
	int fd = store_fd(4096, SIZE);
	(void)state;
	assert_int_equal(read_of(fd, super_min_size(4096)), 0);
	assert_int_equal(read_of(fd, super_min_size(4096) - 1), DAXKV_CORRUPT);
	assert_int_equal(ftruncate(fd, 1000), 0);
	assert_int_equal(read_of(fd, 1000), DAXKV_CORRUPT);
	assert_non_null(strstr(daxkv_errmsg(), "truncated"));
	close(fd);
}

static void version_and_features(void **state)
{
	const uint64_t version = offsetof(struct fmt_super, version),
	               incompat = offsetof(struct fmt_super, incompat);
	struct geometry g;
	int fd = store_fd(4096, SIZE);
	(void)state;
	header_set(fd, version, FMT_VERSION + 1);
	assert_int_equal(read_of(fd, SIZE), DAXKV_VERSION);
	header_set(fd, version, 0);
	assert_int_equal(read_of(fd, SIZE), DAXKV_VERSION);
	header_set(fd, version, FMT_VERSION);
	header_set(fd, incompat, 0x80);
	assert_int_equal(read_of(fd, SIZE), DAXKV_VERSION);
	assert_non_null(strstr(daxkv_errmsg(), "0x80"));
	header_set(fd, incompat, 0);
	header_set(fd, incompat + 4, 1);
	assert_int_equal(super_read(fd, SIZE, &g), 0);
	assert_true(g.rocompat);
	header_set(fd, incompat + 4, 0);
	header_set(fd, incompat + 8, 1); /* compatible features need nobody's consent */
	assert_int_equal(super_read(fd, SIZE, &g), 0);
	assert_false(g.rocompat);
	close(fd);
}

static void geometry_out_of_range(void **state)
{
	const struct {
		uint64_t off;
		uint32_t value;
	} bad[] = {{offsetof(struct fmt_super, page_size), 0},
	           {offsetof(struct fmt_super, page_size), 256},
	           {offsetof(struct fmt_super, page_size), 5000},
	           {offsetof(struct fmt_super, page_size), 65536},
	           {offsetof(struct fmt_super, ring_record_size), 1},
	           {offsetof(struct fmt_super, ring_records), 32},
	           {offsetof(struct fmt_super, ring_off), 8192},
	           {offsetof(struct fmt_super, first_page), 0},
	           {offsetof(struct fmt_super, endian), 0x04030201}};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int fd = store_fd(4096, SIZE);
		header_set(fd, bad[i].off, bad[i].value);
		assert_int_equal(read_of(fd, SIZE), DAXKV_CORRUPT);
		close(fd);
	}
}

static void sizes_by_page_size(void **state)
{
	(void)state;
	assert_int_equal(super_zone_bytes(512), 512 * 8 * 512);
	assert_int_equal(super_zone_bytes(4096), 128 << 20);
	assert_true(super_max_bytes(4096) > (uint64_t)1 << 44);
	assert_int_equal(super_min_size(4096), 4096 + 32768 + 3 * 4096);
	assert_int_equal(super_min_size(512), 4096 + 32768 + 3 * 512);
	assert_int_equal(super_min_size(32768), 2 * 32768 + 3 * 32768);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fill_and_read_back),
	    cmocka_unit_test(fill_of_several_zones),
	    cmocka_unit_test(fill_fails_with_the_errno),
	    cmocka_unit_test(every_byte_of_the_header_counts),
	    cmocka_unit_test(other_files_are_foreign),
	    cmocka_unit_test(cut_off_is_corrupt),
	    cmocka_unit_test(version_and_features),
	    cmocka_unit_test(geometry_out_of_range),
	    cmocka_unit_test(sizes_by_page_size),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
