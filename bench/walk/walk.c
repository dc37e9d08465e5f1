/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * walk.c - one put and its commit, with each call of the library on the standard output: "E
 * address" where a function begins and "X" where it returns. scripts/walk builds it and reads that.
 *
 * The library is compiled with -finstrument-functions, which has each of its functions call the two
 * below; this file is not.
 *
 * usage: walk STORE VALUE-SIZE    the store must not exist
 */
#include <daxkv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUE_MOST 1048576
#define ENTRIES    1000 /* before the put, in an order that is not the keys': several leaves */

void __cyg_profile_func_enter(void *function, void *site);
void __cyg_profile_func_exit(void *function, void *site);

static bool walking;

void __cyg_profile_func_enter(void *function, void *site)
{
	(void)site;
	if (walking)
		printf("E %p\n", function);
}

void __cyg_profile_func_exit(void *function, void *site)
{
	(void)function;
	(void)site;
	if (walking)
		puts("X");
}

/* put - one entry in a transaction of its own, or of several. An error of daxkv. */
static int put(struct daxkv_txn *txn, unsigned int number, size_t size)
{
	static char bytes[VALUE_MOST];
	char text[16];
	struct daxkv_val key = {8, text};
	struct daxkv_val value = {size, bytes};

	snprintf(text, sizeof text, "%08u", number * 7919u % 100000u);
	return daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
}

int main(int argc, char **argv)
{
	struct daxkv_options options = {.flags = DAXKV_CREATE | DAXKV_EXCLUSIVE};
	struct daxkv_store *store;
	struct daxkv_txn *txn;

	if (argc != 3 || strtoul(argv[2], NULL, 10) > VALUE_MOST) {
		fprintf(stderr, "usage: walk STORE VALUE-SIZE (up to %d)\n", VALUE_MOST);
		return 2;
	}
	int err = daxkv_open(argv[1], &options, &store);

	if (!err)
		err = daxkv_txn_begin(store, NULL, 0, &txn);
	for (unsigned int i = 0; !err && i < ENTRIES; i++)
		err = put(txn, i, 100);
	if (!err)
		err = daxkv_txn_commit(txn);
	if (!err)
		err = daxkv_txn_begin(store, NULL, 0, &txn);
	walking = true;
	if (!err)
		err = put(txn, ENTRIES, strtoul(argv[2], NULL, 10));
	if (!err)
		err = daxkv_txn_commit(txn);
	walking = false;
	if (err)
		fprintf(stderr, "walk: %s\n", daxkv_errmsg());
	else
		err = daxkv_close(store);
	return err != 0;
}
