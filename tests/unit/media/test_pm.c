/* SPDX-License-Identifier: BSD-3-Clause */
/* The persistence layer: what each backend stores, and that lines and fences are counted exactly.
 * What survives a power cut is the subject of the crash tests: here a store cannot be told from a
 * durable one. */
#include "media/pm.h"

#include "base/base.h"
#include "scratch.h"

static const struct pm_ops *const all_ops[] = {&pm_dax_ops, &pm_file_ops, &pm_private_ops};

static _Alignas(64) uint8_t memory[4096];
static _Alignas(64) uint8_t source[4096];

static int scratch_fd(void)
{
	int fd = open(scratch_path("fence"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void write_stores_exactly_the_range(void **state)
{
	(void)state;
	for (size_t o = 0; o < 3; o++) {
		struct pm pm;
		pm_init(&pm, all_ops[o], -1);
		memset(memory, 0xaa, sizeof memory);
		memset(source, 0x55, sizeof source);
		pm_write(&pm, memory + 3, source, 100);
		pm_write(&pm, memory + 500, source, 0);
		pm_zero(&pm, memory + 1000, 77);
		pm_zero(&pm, memory + 2000, 0);
		for (size_t i = 0; i < sizeof memory; i++)
			assert_int_equal(memory[i], i >= 3 && i < 103       ? 0x55
			                            : i >= 1000 && i < 1077 ? 0
			                                                    : 0xaa);
		assert_int_equal(pm.lines_flushed + pm.lines_streamed + pm.fences, 0);
	}
}

static void stream_stores_and_counts_lines(void **state)
{
	(void)state;
	for (size_t o = 0; o < 3; o++) {
		struct pm pm;
		pm_init(&pm, all_ops[o], -1);
		memset(memory, 0, sizeof memory);
		for (size_t i = 0; i < sizeof source; i++)
			source[i] = (uint8_t)(i * 7 + 1);
		pm_stream(&pm, memory + 64, source, 64);
		assert_int_equal(pm.lines_streamed, 1);
		pm_stream(&pm, memory + 128, source + 64, sizeof source - 128);
		assert_int_equal(pm.lines_streamed, 63);
		pm_stream(&pm, memory, source, 0);
		assert_int_equal(pm.lines_streamed, 63);
		assert_memory_equal(memory + 64, source, sizeof source - 64);
		assert_int_equal(memory[63], 0);
		assert_int_equal(pm.lines_flushed, 0);
	}
}

static void store8_changes_one_word(void **state)
{
	(void)state;
	for (size_t o = 0; o < 3; o++) {
		struct pm pm;
		const uint64_t *words = (const uint64_t *)(const void *)memory;
		pm_init(&pm, all_ops[o], -1);
		memset(memory, 0, sizeof memory);
		pm_store8(&pm, words + 5, 0x0123456789abcdefu);
		assert_true(load_word(words + 5) == 0x0123456789abcdefu);
		assert_true(words[4] == 0 && words[6] == 0);
	}
}

static void flush_counts_the_lines_touched(void **state)
{
	const struct {
		size_t at, n, lines;
	} cases[] = {{0, 0, 0},  {0, 1, 1},  {63, 1, 1}, {63, 2, 2},    {0, 64, 1},    {0, 65, 2},
	             {1, 64, 2}, {56, 8, 1}, {60, 8, 2}, {0, 4096, 64}, {32, 4000, 63}};
	(void)state;
	for (size_t o = 0; o < 3; o++)
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			struct pm pm;
			pm_init(&pm, all_ops[o], -1);
			pm_flush(&pm, memory + cases[i].at, cases[i].n);
			assert_int_equal(pm.lines_flushed, cases[i].lines);
			assert_int_equal(pm.lines_streamed + pm.fences, 0);
		}
}

static void fence_is_counted(void **state)
{
	(void)state;
	for (size_t o = 0; o < 3; o++) {
		struct pm pm;
		int fd = scratch_fd();
		pm_init(&pm, all_ops[o], fd);
		assert_int_equal(pm_fence(&pm), 0);
		assert_int_equal(pm_fence(&pm), 0);
		assert_int_equal(pm.fences, 2);
		close(fd);
	}
}

/* Only the file backend's fence is a system call on the file. */
static void fence_on_a_bad_descriptor(void **state)
{
	struct pm pm;
	(void)state;
	pm_init(&pm, &pm_file_ops, -1);
	assert_int_equal(pm_fence(&pm), EBADF);
	assert_non_null(strstr(daxkv_errmsg(), "fdatasync"));
	assert_int_equal(pm.fences, 1);
	pm_init(&pm, &pm_dax_ops, -1);
	assert_int_equal(pm_fence(&pm), 0);
	pm_init(&pm, &pm_private_ops, -1);
	assert_int_equal(pm_fence(&pm), 0);
}

static void own_changes_nothing(void **state)
{
	(void)state;
	memset(memory, 0x11, sizeof memory);
	pm_own(memory + 100);
	for (size_t i = 0; i < sizeof memory; i++)
		assert_int_equal(memory[i], 0x11);
}

int main(void)
{
	if (pm_dax_missing())
		return 1;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(write_stores_exactly_the_range),
	    cmocka_unit_test(stream_stores_and_counts_lines),
	    cmocka_unit_test(store8_changes_one_word),
	    cmocka_unit_test(flush_counts_the_lines_touched),
	    cmocka_unit_test(fence_is_counted),
	    cmocka_unit_test(fence_on_a_bad_descriptor),
	    cmocka_unit_test(own_changes_nothing),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
