/* SPDX-License-Identifier: BSD-3-Clause */
/* test_group_tally.c - members of a group that change long lists of duplicates in a full store: the
 * numbers of their values are written when the member ends, which may take pages in memory. */
#include "group_workers.h"

#include <string.h>

#define LISTS     400u
#define KEY_SIZE  450u /* a few tallies fill a leaf */
#define MAX_BYTES ((size_t)4 << 20)

static unsigned int values; /* of each list */

/* pair - put that value into that list, or take it away. */
static int pair(struct daxkv_txn *txn, unsigned int list, unsigned int value, bool there)
{
	char name[KEY_SIZE];
	struct daxkv_val key = {sizeof name, name}, data = {sizeof value, &value};

	memset(name, 'k', sizeof name);
	snprintf(name, sizeof name, "%03u", list);
	const daxkv_db lists = db_of(txn, "lists", DAXKV_DUP_SORT);

	if (there)
		return daxkv_put(txn, lists, &key, &data, DAXKV_NO_DUP_DATA);
	return daxkv_del(txn, lists, &key, &data);
}

/* body_thins - of each list the first values, as many as the worker's number says. */
static int body_thins(struct worker *w, struct daxkv_txn *txn)
{
	int rc = 0;

	for (unsigned int value = 0; value < w->n && !rc; value++)
		for (unsigned int list = 0; list < LISTS && !rc; list++) {
			rc = pair(txn, list, value, false);
			if (rc == DAXKV_NOT_FOUND) /* another member's */
				rc = 0;
		}
	if (!rc)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return rc;
}

/* A tally is as long as its key, so their tree needs more pages than a full store keeps in reserve.
 * A member that would leave it with that many fails alone, before the group has its changes; the
 * one behind it that removes all finds the room that it needs. */
static void members_that_thin_the_lists_of_a_full_store(void **state)
{
	struct daxkv_store *store = file_new();
	struct worker w[3];
	struct daxkv_txn *txn;
	unsigned int gone[] = {1, 2, 0};
	struct daxkv_db_stat stat;
	int rc = 0;
	(void)state;

	OK(daxkv_set_max_size(store, MAX_BYTES));
	for (values = 0; !rc; values++) {
		txn = begin(store);
		for (unsigned int list = 0; list < LISTS && !rc; list++)
			rc = pair(txn, list, values, true);
		if (rc)
			daxkv_txn_abort(txn);
		else
			rc = daxkv_txn_commit(txn);
	}
	assert_int_equal(rc, DAXKV_FULL);
	gone[2] = --values;
	assert_true(values > 4);
	txn = begin(store);
	for (unsigned int i = 0; i < 3; i++)
		start(&w[i], store, body_thins, gone[i]);
	OK(pair(txn, 0, values - 1, false));
	OK(daxkv_txn_commit(txn));
	for (unsigned int i = 0; i < 3; i++)
		end(&w[i]);
	assert_int_equal(w[0].rc, DAXKV_FULL);
	assert_int_equal(w[1].rc, DAXKV_FULL);
	OK(w[2].rc); /* it empties the store, which is always possible [I22] */
	store_check(store);
	txn = begin_reading(store);
	OK(daxkv_db_stat(txn, db_of(txn, "lists", 0), &stat));
	assert_int_equal(stat.entries, 0);
	daxkv_txn_abort(txn);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(members_that_thin_the_lists_of_a_full_store),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
