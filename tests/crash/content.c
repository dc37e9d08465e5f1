/* SPDX-License-Identifier: BSD-3-Clause */
/* content.c - see content.h */
#include "content.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "oracle.h"

#define NAMES_MAX 64u
#define SEED      0x636f6e74656e7431u
#define SAMPLE                                                                                     \
	((size_t)1 << 16) /* of a larger value the ends count: the checker verifies its checksum   \
	                   */

static uint64_t add(uint64_t sum, const void *p, size_t n)
{
	const unsigned char *bytes = p;
	uint64_t last = 0, size = n;

	sum = hash64(sum, &size, sizeof size);
	sum = hash64(sum, bytes, n / 8 * 8);
	if (n % 8)
		memcpy(&last, bytes + n / 8 * 8, n % 8);
	return hash64(sum, &last, sizeof last);
}

static uint64_t db_begin(const void *name, size_t n, unsigned int flags)
{
	uint64_t wide = flags;

	return add(add(SEED, name, n), &wide, sizeof wide);
}

/* add_pair - a catalog entry in the main one counts by its key: its value is the engine's
 * business. */
static uint64_t add_pair(uint64_t sum, const struct daxkv_val *key, const struct daxkv_val *value,
                         bool is_db)
{
	sum = add(sum, key->data, key->size);
	if (is_db)
		return sum;
	if (value->size <= 2 * SAMPLE)
		return add(sum, value->data, value->size);
	sum = add(sum, &value->size, sizeof value->size);
	sum = add(sum, value->data, SAMPLE);
	return add(sum, (const char *)value->data + value->size - SAMPLE, SAMPLE);
}

uint64_t content_of_oracle(const struct oracle_state *state)
{
	uint64_t total = 0;

	for (size_t i = 0; i < OP_DBS; i++) {
		const struct oracle_db *db = &state->db[i];
		size_t n = treap_count(db->root);
		struct rec **list;
		uint64_t sum;

		if (i && !db->incarnation)
			continue;
		sum = i ? db_begin(db->name, strlen(db->name), db->flags)
		        : db_begin(NULL, 0, db->flags);
		list = xmalloc((n + 1) * sizeof *list);
		treap_list(db->root, list);
		for (size_t j = 0; j < n; j++) {
			struct daxkv_val key = rec_key(list[j]), value = rec_value(list[j]);

			sum = add_pair(sum, &key, &value, list[j]->is_db);
		}
		free(list);
		total += sum;
	}
	return total;
}

struct names {
	struct daxkv_val name[NAMES_MAX];
	size_t n;
};

static bool is_name(const struct names *names, const struct daxkv_val *key)
{
	for (size_t i = 0; i < names->n; i++)
		if (names->name[i].size == key->size &&
		    memcmp(names->name[i].data, key->data, key->size) == 0)
			return true;
	return false;
}

static int names_get(struct daxkv_txn *txn, struct names *names)
{
	struct daxkv_val name = {0, NULL};
	int rc = 0;

	while (names->n < NAMES_MAX && (rc = daxkv_db_list_next(txn, &name)) == 0)
		names->name[names->n++] = name;
	return rc == DAXKV_NOT_FOUND ? 0 : rc;
}

static int db_sum(struct daxkv_txn *txn, daxkv_db db, const struct names *names, uint64_t *sum,
                  uint64_t *pairs)
{
	struct daxkv_val key = {0, NULL}, value = {0, NULL};
	struct daxkv_cursor *cursor;
	int rc = daxkv_cursor_open(txn, db, &cursor);

	if (rc)
		return rc;
	while ((rc = daxkv_cursor_get(cursor, &key, &value, DAXKV_NEXT)) == 0) {
		*sum = add_pair(*sum, &key, &value, names && is_name(names, &key));
		(*pairs)++;
	}
	daxkv_cursor_close(cursor);
	return rc == DAXKV_NOT_FOUND ? 0 : rc;
}

static int named_sum(struct daxkv_txn *txn, const struct daxkv_val *name, uint64_t *total,
                     uint64_t *pairs)
{
	unsigned int flags;
	daxkv_db db;
	int rc = daxkv_db_open(txn, name, 0, &db);

	if (!rc)
		rc = daxkv_db_flags(txn, db, &flags);
	if (!rc && flags & DAXKV_OWN_COMPARE)
		rc = daxkv_db_set_compare(txn, db, order_own_keys, NULL);
	if (!rc && flags & DAXKV_OWN_DUP_COMPARE)
		rc = daxkv_db_set_dup_compare(txn, db, order_own_values, NULL);
	if (rc)
		return rc;
	uint64_t sum = db_begin(name->data, name->size, flags);

	rc = db_sum(txn, db, NULL, &sum, pairs);
	*total += sum;
	return rc;
}

int content_of_store(struct daxkv_store *store, uint64_t *content, uint64_t *pairs)
{
	struct names names = {.n = 0};
	struct daxkv_txn *txn;
	unsigned int flags;
	uint64_t sum;
	int rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (rc)
		return rc;
	*pairs = 0;
	*content = 0;
	rc = names_get(txn, &names);
	if (!rc)
		rc = daxkv_db_flags(txn, DAXKV_MAIN, &flags);
	if (!rc) {
		sum = db_begin(NULL, 0, flags);
		rc = db_sum(txn, DAXKV_MAIN, &names, &sum, pairs);
		*content = sum;
	}
	for (size_t i = 0; i < names.n && !rc; i++)
		rc = named_sum(txn, &names.name[i], content, pairs);
	daxkv_txn_abort(txn);
	return rc;
}
