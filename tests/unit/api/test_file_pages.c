/* SPDX-License-Identifier: BSD-3-Clause */
/* On a disk: how much of the page cache a small commit makes the kernel write. */
#include "small_store.h"

#include <inttypes.h>

/* bytes_dirtied - what this process has given the kernel to write, in whole pages of the page
 * cache. In memory nothing is counted. */
static uint64_t bytes_dirtied(void)
{
	FILE *f = fopen("/proc/self/io", "re");
	uint64_t bytes = 0;
	char line[128];

	while (f && fgets(line, sizeof line, f))
		(void)sscanf(line, "write_bytes: %" SCNu64, &bytes);
	if (f)
		fclose(f);
	return bytes;
}

/* A page cache may hold a file in pages of up to 2 MiB, and writes each that has a changed byte
 * whole: a store's are small. A commit of one value has three: its record's, its leaf for the
 * entry, and the leaf of the commit before for the slot. What
 * nobody has faulted in the kernel reads ahead, in larger pages. */
static void small_commits_write_small_pages(struct daxkv_options options, uint64_t pages)
{
	enum { COMMITS = 40, ENTRIES = 100000, LEN = 100 };

	options.pmem = DAXKV_PMEM_FILE;
	unlink(scratch_path("small"));
	struct daxkv_store *store = store_open("small", options);
	uint64_t before = bytes_dirtied();

	put_some(store, 0, ENTRIES, LEN, 1);
	if (bytes_dirtied() == before) {
		OK(daxkv_close(store));
		skip(); /* tmpfs, or not counted here */
	}
	before = bytes_dirtied();
	for (uint64_t i = 0; i < COMMITS; i++)
		put_some(store, i * 7919 % ENTRIES, i * 7919 % ENTRIES + 1, LEN, 2);
	assert_in_range(bytes_dirtied() - before, 1, COMMITS * pages * 4096);
	store_done(store);
}

static void of_a_new_file(void **state)
{
	(void)state;
	small_commits_write_small_pages(
	    (struct daxkv_options){.flags = DAXKV_CREATE, .initial_size = 64 << 20}, 6);
}

static void of_a_new_file_faulted_in(void **state)
{
	(void)state;
	small_commits_write_small_pages(
	    (struct daxkv_options){.flags = DAXKV_CREATE | DAXKV_POPULATE,
	                           .initial_size = 64 << 20},
	    3);
}

static void of_a_file_that_grew(void **state)
{
	(void)state;
	small_commits_write_small_pages((struct daxkv_options){.flags = DAXKV_CREATE}, 3);
}

/* disk_make - scratch files where files outlive a boot, if there is such a place. */
static int disk_make(void **state)
{
	if (!getenv("TMPDIR"))
		setenv("TMPDIR", access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp", 1);
	return scratch_make(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(of_a_new_file),
	    cmocka_unit_test(of_a_new_file_faulted_in),
	    cmocka_unit_test(of_a_file_that_grew),
	};

	return cmocka_run_group_tests(tests, disk_make, scratch_remove);
}
